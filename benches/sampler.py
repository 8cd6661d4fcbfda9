#!/usr/bin/env python3
"""What sampling eight GPUs costs over the driver's own work, in per cent of one core.

    cargo build --release && make drivers && benches/sampler.py

The sampler's child runs on the fake driver, and its calls are logged. Then a program that does nothing else makes the
same calls at the same times (nvml_calls.c): the least that sampling can cost. Processor time of both is user and system
time together, less that of a short run, so that starting does not count. On a real driver the calls themselves cost more;
that share is no different for any sampler. A goal that is missed makes the exit status 1.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCTOR = pathlib.Path(os.environ.get("GPU_DOCTOR", ROOT / "target/release/gpu-doctor"))
DRIVER = ROOT / "target/fake-driver"
SCENARIO = ROOT / "fixtures/drivers/scenarios/healthy-busy.yaml"
GPUS = 8
SHORT, LONG = 2, 12
RUNS = 3
# Rate, samples a second, and what it may cost over the calls, per cent of a core.
GOALS = [(20, 1.0), (100, 3.0)]


def scenario(folder, log=None):
    """Eight busy GPUs with two processes each."""
    text = SCENARIO.read_text()
    head, gpu = text.split("  - name:", 1)
    processes = "    processes: [{pid: 77, used_mib: 4000, utilization_percent: 80}, {pid: 78, used_mib: 10}]\n"
    gpus = "".join(
        "  - name:" + gpu.replace("GPU-5f3c2a10", f"GPU-{number:08x}") + processes for number in range(GPUS)
    )
    file = folder / ("logged.yaml" if log else "scenario.yaml")
    file.write_text((f"call_log: {log}\n" if log else "") + head + gpus)
    return file


def environment(file):
    return {**os.environ, "LD_LIBRARY_PATH": str(DRIVER), "GPU_DOCTOR_FAKE_DRIVER": str(file)}


def sample(file, rate, seconds):
    """Runs the sampler's child; gives back its processor time, s, and the number and bytes of its lines."""
    argument = json.dumps({"server_pids": [77], "period_ms": 1000 / rate})
    child = subprocess.Popen(
        [DOCTOR, "__child", "nvml-samples", str(os.getpid()), argument],
        env=environment(file), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    said = []
    reader = threading.Thread(target=lambda: said.append(child.stdout.read()))
    reader.start()
    time.sleep(seconds)
    child.stdin.close()
    _, _, used = os.wait4(child.pid, 0)
    child.returncode = 0
    reader.join()
    samples = said[0].count(b'"gpus":')
    return used.ru_utime + used.ru_stime, samples, len(said[0])


def replay(program, file, log):
    """Makes a log's calls; gives back the processor time, s."""
    child = subprocess.Popen([program, log], env=environment(file), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = status
    if status != 0:
        sys.exit(f"{program} ended with {status}")
    return used.ru_utime + used.ru_stime


def until(log, second, into):
    """The part of a log up to that second."""
    lines = [line for line in log.read_text().splitlines(True) if float(line.split(" ", 1)[0]) < second]
    into.write_text("".join(lines))
    return into


def main():
    for needed in (DOCTOR, DRIVER / "libnvidia-ml.so.1"):
        if not needed.exists():
            sys.exit(f"{needed} is missing: cargo build --release && make drivers; the folder is filled by the tests")
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        program = folder / "nvml_calls"
        subprocess.run(["cc", "-O2", "-o", program, ROOT / "benches/nvml_calls.c", "-ldl"], check=True)
        plain = scenario(folder)
        for rate, goal in GOALS:
            log = folder / f"calls-{rate}"
            sample(scenario(folder, log), rate, LONG)
            long, short = until(log, LONG, folder / "long"), until(log, SHORT, folder / "short")
            calls = long.read_text().count("\n") - short.read_text().count("\n")
            own, bare = [], []
            for _ in range(RUNS):
                first, more = sample(plain, rate, SHORT), sample(plain, rate, LONG)
                own.append((more[0] - first[0]) / (LONG - SHORT) * 100)
                bare.append((replay(program, plain, long) - replay(program, plain, short)) / (LONG - SHORT) * 100)
            samples = (more[1] - first[1]) / (LONG - SHORT)
            size = (more[2] - first[2]) / max(1, more[1] - first[1])
            over = min(own) - min(bare)
            held = over <= goal
            missed |= not held
            print(f"{GPUS} GPUs at {rate} Hz: {samples:.1f} samples a second of {size:.0f} bytes, "
                  f"{calls / (LONG - SHORT):.0f} calls a second")
            print(f"  sampler {min(own):.2f} % of a core, the calls alone {min(bare):.2f} %, ratio "
                  f"{min(own) / max(min(bare), 1e-9):.2f}; over the calls {over:.2f} %, goal {goal:g} %: "
                  f"{'met' if held else 'MISSED'}", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
