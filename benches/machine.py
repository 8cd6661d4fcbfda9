#!/usr/bin/env python3
"""What examining the machine costs, as times and as ratios against commands of the same machine.

    cargo build --release && make drivers venvs && benches/machine.py

Each figure is the median of several runs. A goal that is missed makes the exit status 1: a person runs this, no test
does, for the figures depend on the machine.
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


def median_seconds(command, environment=None, runs=RUNS):
    """Median wall time of a command, whatever its exit status."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def peak_mib(command):
    """Largest resident memory of a command, MiB, by a child of its own so that earlier ones do not count."""
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    told = subprocess.run([sys.executable, "-c", program, *map(str, command)], capture_output=True, text=True, check=True)
    return int(told.stdout) / 1024


def probe_ms(probe, arguments, environment=None, runs=RUNS):
    """Median time of one probe by the doctor's own clock, ms."""
    times = []
    for _ in range(runs):
        told = subprocess.run([DOCTOR, "collect", *arguments], env=environment, capture_output=True, text=True, check=False)
        records = {record["id"]: record for record in json.loads(told.stdout)["probes"]}
        times.append(records[probe]["duration_ms"])
    return statistics.median(times)


def tell(what, value, unit, goal, against=None):
    """Prints one figure; `against` is (name, value in the same unit)."""
    held = goal is None or value <= goal
    line = f"{what:<52} {value:8.2f} {unit:<4}"
    line += f" goal {goal:g} {unit}: {'met' if held else 'MISSED'}" if goal is not None else ""
    if against is not None and against[1] > 0:
        line += f"; {value / against[1]:.2f} x {against[0]} ({against[1]:.2f} {unit})"
    print(line, flush=True)
    if not held:
        missed.append(what)


def without_driver():
    clean = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    bare = median_seconds(["/bin/true"])
    python = median_seconds([sys.executable, "-c", "pass"])
    doctor = median_seconds([DOCTOR, "run"], clean)
    tell("run without server and driver, wall", doctor, "s", 0.15, ("python3 -c pass", python))
    tell("  the same less an empty process", doctor - bare, "s", None)
    tell("run without server and driver, resident", peak_mib([DOCTOR, "run"]), "MiB", 40,
         ("python3 -c pass", peak_mib([sys.executable, "-c", "pass"])))


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
    bare = statistics.median(times)
    probe = probe_ms("cuda", ["--only", "cuda"], faked)
    tell("probe of libcuda in a child", probe, "ms", None, ("the same calls made directly", bare))
    tell("  over the bare work", probe - bare, "ms", 5)


def needed_walk():
    python = ROOT / "target/venv-gpu/bin/python"
    providers = list((ROOT / "target/venv-gpu").glob("lib/python3*/site-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so"))
    if not providers:
        print("NEEDED walk: left out, no target/venv-gpu (make venvs)")
        return
    readelf = median_seconds(["readelf", "-d", providers[0]]) * 1e3 if shutil.which("readelf") else 0
    ldd = median_seconds(["ldd", providers[0]]) * 1e3
    walk = probe_ms("linker", ["--only", "cuda", "--python", python])
    tell("walk of what onnxruntime-gpu needs", walk, "ms", 20, ("ldd, which runs the loader", ldd))
    if readelf:
        tell("  readelf -d of the one library, for comparison", readelf, "ms", None)


def processes():
    """The process behind a port, among 500 others."""
    sleepers = [subprocess.Popen(["sleep", "120"]) for _ in range(500)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.7)
        probe = probe_ms("process", ["--only", "process", "--server", f"http://127.0.0.1:{port}"])
        other = None
        if shutil.which("lsof"):
            other = ("lsof -i", median_seconds(["lsof", "-nP", f"-iTCP:{port}"], runs=5) * 1e3)
        elif shutil.which("ss"):
            other = ("ss -ltnp", median_seconds(["ss", "-ltnp"], runs=5) * 1e3)
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
