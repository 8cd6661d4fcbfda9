#!/usr/bin/env python3
"""What examining the machine costs, as times and as ratios against commands of the same machine.

    cargo build --release && make drivers venvs && benches/machine.py

Each figure is the median of several runs, and the least beside it: on a machine that does other work too, the least is
nearer to what the work costs. Where two figures are subtracted, the least ones are. A goal that is missed makes the exit
status 1: a person runs this, no test does, for the figures depend on the machine.
"""
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCTOR = ROOT / "target/release/gpu-doctor"
DRIVER = ROOT / "target/fake-driver"
SCENARIO = ROOT / "fixtures/drivers/scenarios/healthy-idle.yaml"
RUNS = 15
missed = []


class Times:
    """Several measurements of the same thing."""

    def __init__(self, times):
        self.median = statistics.median(times)
        self.least = min(times)


def wall(command, environment=None, runs=RUNS):
    """Wall times of a command, whatever its exit status, ms."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        times.append((time.perf_counter() - began) * 1e3)
    return Times(times)


def peak_mb(command):
    """Largest resident memory of a command, MB, by a child of its own so that earlier ones do not count."""
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    told = subprocess.run([sys.executable, "-c", program, *map(str, command)], capture_output=True, text=True, check=True)
    return int(told.stdout) * 1024 / 1e6


def probe_ms(probe, room, fact, arguments, environment=None, runs=RUNS):
    """Times of one probe by the doctor's own clock, ms. What did not find the fact that it is there for is not timed."""
    times = []
    for _ in range(runs):
        told = subprocess.run([DOCTOR, "collect", *arguments], env=environment, capture_output=True, text=True, check=False)
        snapshot = json.loads(told.stdout)
        found = snapshot["facts"][room][fact]
        if not found.get("known"):
            sys.exit(f"probe {probe}: {room}.{fact} is {found}")
        times.extend(record["duration_ms"] for record in snapshot["probes"] if record["id"] == probe)
    return Times(times)


def tell(what, value, unit, goal, against=None):
    """Prints one figure, a number or times; `against` is (name, number in the same unit)."""
    least = ""
    if isinstance(value, Times):
        value, least = value.median, f" (least {value.least:.2f})"
    held = goal is None or value <= goal
    line = f"{what:<52} {value:8.2f} {unit:<4}{least:<16}"
    line += f" goal {goal:g} {unit}: {'met' if held else 'MISSED'}" if goal is not None else ""
    if against is not None and against[1] > 0:
        line += f"; {value / against[1]:.2f} x {against[0]} ({against[1]:.2f} {unit})"
    print(line, flush=True)
    if not held:
        missed.append(what)


def without_driver():
    clean = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    python = wall([sys.executable, "-c", "pass"])
    doctor = wall([DOCTOR, "run"], clean)
    tell("run without server and driver, wall", doctor, "ms", 150, ("python3 -c pass", python.median))
    tell("  the same less an empty process", doctor.least - wall(["/bin/true"]).least, "ms", None)
    tell("start alone: gpu-doctor --version", wall([DOCTOR, "--version"], clean), "ms", None)
    tell("all checks compiled: gpu-doctor explain", wall([DOCTOR, "explain", "no-nvidia-device"], clean), "ms", None)
    tell("run without server and driver, resident", peak_mb([DOCTOR, "run"]), "MB", 40,
         ("python3 -c pass", peak_mb([sys.executable, "-c", "pass"])))


def child():
    """The probe of libcuda in its child, against the same calls made directly."""
    faked = {**os.environ, "LD_LIBRARY_PATH": str(DRIVER), "GPU_DOCTOR_FAKE_DRIVER": str(SCENARIO)}
    program = (
        "import ctypes, time\n"
        "began = time.perf_counter()\n"
        "cuda = ctypes.CDLL('libcuda.so.1')\n"
        "number = ctypes.c_int()\n"
        "cuda.cuDriverGetVersion(ctypes.byref(number)); cuda.cuInit(0); cuda.cuDeviceGetCount(ctypes.byref(number))\n"
        "text = ctypes.create_string_buffer(256)\n"
        "cuda.cuDeviceGetName(text, 256, 0); cuda.cuDeviceGetUuid(text, 0)\n"
        "print((time.perf_counter() - began) * 1e3)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", program], env=faked, capture_output=True, text=True, check=True).stdout)
        for _ in range(RUNS)
    ]
    bare = Times(times)
    probe = probe_ms("cuda", "cuda", "devices", ["--only", "cuda"], faked)
    tell("probe of libcuda in a child", probe, "ms", None, ("the same calls made directly", bare.median))
    tell("  over the bare work", probe.least - bare.least, "ms", 5)


def needed_walk():
    python = ROOT / "target/venv-gpu/bin/python"
    providers = list((ROOT / "target/venv-gpu").glob("lib/python3*/site-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so"))
    if not providers:
        print("NEEDED walk: left out, no target/venv-gpu (make venvs)")
        return
    ldd = wall(["ldd", providers[0]]).median
    walk = probe_ms("linker", "linker", "runtimes", ["--only", "cuda", "--python", python])
    tell("walk of what onnxruntime-gpu needs", walk, "ms", 20, ("ldd, which runs the loader", ldd))
    if shutil.which("readelf"):
        tell("  readelf -d of the one library, for comparison", wall(["readelf", "-d", providers[0]]), "ms", None)


def processes():
    """The process behind a port, among 500 others."""
    sleepers = [subprocess.Popen(["sleep", "120"]) for _ in range(500)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        patience = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0 and time.monotonic() < patience:
            time.sleep(0.02)
        probe = probe_ms("process", "process", "processes", ["--only", "process", "--server", f"http://127.0.0.1:{port}"])
        other = None
        if shutil.which("lsof"):
            other = ("lsof -i", wall(["lsof", "-nP", f"-iTCP:{port}"], runs=5).median)
        elif shutil.which("ss"):
            other = ("ss -ltnp", wall(["ss", "-ltnp"], runs=5).median)
        tell("process behind a port among 500 others", probe, "ms", 50, other)
    finally:
        for process in [server, *sleepers]:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if not DOCTOR.exists():
        sys.exit(f"{DOCTOR} is missing: cargo build --release")
    for part in (without_driver, child, needed_walk, processes):
        part()
    if missed:
        sys.exit("missed: " + ", ".join(missed))
