#!/usr/bin/env python3
"""How fast gpu-doctor reads a large requests.csv, beside `wc -l` and pandas, and how much memory each takes.

benches/triage.py [--megabytes N] [--python EXE]; `target/release/gpu-doctor` must be built. EXE is an interpreter with
pandas, made under target/ where none is named. Each is run three times over the same file, which is then in the page
cache; the best counts. Exit code 1: gpu-doctor reads less than 300 MB/s, takes more than 50 MB, or tells other figures
than pandas.
"""
import argparse, json, pathlib, random, subprocess, sys, time, venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCTOR = ROOT / "target/release/gpu-doctor"
LEAST_MB_PER_S, MOST_PEAK_MB = 300, 50
PANDAS = """
import pandas, sys
table = pandas.read_csv(sys.argv[1])
print(len(table), (table.status == 200).sum(), table.latency_ms.median())
"""


def make(path, megabytes):
    """The columns of a load script: time, status, latency, error, url, bytes."""
    if path.exists() and abs(path.stat().st_size / 1e6 - megabytes) < megabytes / 50:
        return
    chance, written, at = random.Random(7), 0, 1_732_354_800.0
    with open(path, "w") as file:
        written += file.write("timestamp,status,latency_ms,error,url,bytes\n")
        while written < megabytes * 1e6:
            lines = []
            for _ in range(20_000):
                at += 0.004
                bad = chance.random() < 0.01
                took = chance.lognormvariate(4.4, 0.3)
                error = "upstream timed out" if bad else ""
                lines.append(f"{at:.6f},{504 if bad else 200},{took:.3f},{error},http://127.0.0.1:8000/asr,{chance.randint(80, 4000)}\n")
            written += file.write("".join(lines))


def run(command):
    """Seconds, peak memory in MB and standard output of the best of three runs."""
    best = None
    for _ in range(3):
        began = time.monotonic()
        # GNU time would do; it is not everywhere.
        script = "import resource,subprocess,sys;p=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE);sys.stdout.buffer.write(p.stdout);" \
            "print('\\npeak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        done = subprocess.run([sys.executable, "-c", script, *map(str, command)], stdout=subprocess.PIPE, text=True, check=True)
        took = time.monotonic() - began
        out, _, peak = done.stdout.rpartition("\npeak ")
        if best is None or took < best[0]:
            best = (took, int(peak) * 1024 / 1e6, out)
    return best


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=int, default=1000)
    options.add_argument("--python")
    options = options.parse_args()
    folder = ROOT / "target/triage"
    folder.mkdir(parents=True, exist_ok=True)
    python = options.python
    if not python:
        python = folder / "venv/bin/python"
        if not python.exists():
            venv.create(folder / "venv", with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "pandas"], check=True)
    path = folder / "requests.csv"
    make(path, options.megabytes)
    size = path.stat().st_size / 1e6
    idle = run([sys.executable, "-c", "pass"])[0]
    runs = {
        "wc -l": run(["wc", "-l", path]),
        "pandas": run([python, "-c", PANDAS, path]),
        "gpu-doctor": run(["sh", "-c", f"'{DOCTOR}' triage --format json '{path}' || true"]),
    }
    print(f"{size:.0f} MB, {runs['wc -l'][2].split()[0]} lines")
    for name, (took, peak, _) in runs.items():
        took = max(took - idle / 2, 1e-3)
        print(f"{name:<12} {took:6.2f} s  {size / took:7.0f} MB/s  peak {peak:7.1f} MB")
    rate, peak = size / runs["gpu-doctor"][0], runs["gpu-doctor"][1]
    print(f"gpu-doctor is {runs['pandas'][0] / runs['gpu-doctor'][0]:.1f} times as fast as pandas and takes "
          f"{runs['gpu-doctor'][0] / runs['wc -l'][0]:.1f} times as long as wc -l")
    told = json.loads(runs["gpu-doctor"][2])["recorded"]["requests"]["known"]
    count, ok, median = runs["pandas"][2].split()
    same = told["count"] == int(count) and told["ok"]["known"] == int(ok)
    same = same and abs(told["median_ms"]["known"] / float(median) - 1) < 0.002
    print(f"figures: {'the same' if same else 'DIFFERENT'} ({count} requests, {ok} succeeded, median {float(median):.1f} ms)")
    return 0 if same and rate >= LEAST_MB_PER_S and peak <= MOST_PEAK_MB else 1


if __name__ == "__main__":
    sys.exit(main())
