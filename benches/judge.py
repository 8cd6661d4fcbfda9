#!/usr/bin/env python3
"""How long judging takes from the start of the process: 300 checks over recorded snapshots, at most 30 ms.

benches/judge.py [--checks N] [--rounds N] [--doctor EXE]; `target/release/gpu-doctor` must be built. The built-in checks are
filled up to N with copies of themselves under other ids. Ways of running stand side by side in each round, in turn, and the
best of each counts:
  start       the doctor does nothing (`--version`)
  python      `python3 -c pass`, for comparison with something that everybody knows
  built in    the built-in checks, which the program holds as JSON
  filled up   the same and the copies, which `--checks` reads as YAML: slower than if they were built in
The time that N built-in checks would take is `start` plus the rest in proportion to their number. Exit code 1: it is more
than 30 ms for a snapshot.
"""
import argparse, pathlib, re, shutil, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST_MS = 30
SNAPSHOTS = ["healthy-server", "a1", "files-a1", "demo"]


def filled_up(folder, number):
    """Copies of the built-in checks under other ids, so that there are `number` in all."""
    shutil.rmtree(folder, ignore_errors=True)
    checks = sorted((ROOT / "checks").glob("*/*.yaml"))
    ids = {path.stem for path in checks}
    copies = 0
    for suffix in range(1, 10):
        for path in checks:
            if len(checks) + copies >= number:
                return len(checks), copies
            text = path.read_text()
            text = re.sub(r"^id: .*$", f"id: {path.stem}-copy{suffix}", text, count=1, flags=re.M)
            target = folder / path.parent.name / f"{path.stem}-copy{suffix}.yaml"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            copies += 1
    return len(ids), copies


def took_ms(command):
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    took = (time.perf_counter() - began) * 1000
    if done.returncode not in (0, 1, 2):
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}: {done.stderr.decode()}")
    return took


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--checks", type=int, default=300)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--doctor", type=pathlib.Path, default=ROOT / "target/release/gpu-doctor")
    options = options.parse_args()
    if not options.doctor.is_file():
        sys.exit(f"{options.doctor} is not there; build it with cargo build --release")
    folder = ROOT / "target/judge/checks"
    built_in, copies = filled_up(folder, options.checks)
    files = [ROOT / f"fixtures/snapshots/{name}.json" for name in SNAPSHOTS]
    missed = []
    print(f"{built_in} built-in checks and {copies} copies; the best of {options.rounds} rounds, milliseconds")
    print(f"{'snapshot':<16}{'kB':>7}{'start':>9}{'python':>9}{'built in':>10}{'filled up':>11}{f'{options.checks} built in':>15}{'x python':>10}")
    for file in files:
        judged = [options.doctor, "diagnose", file, "--format", "json"]
        ways = {
            "start": [options.doctor, "--version"],
            "python": ["python3", "-c", "pass"],
            "built": judged,
            "filled": [*judged, "--checks", folder],
        }
        best = {}
        for _ in range(options.rounds):
            for name, command in ways.items():
                best[name] = min(best.get(name, float("inf")), took_ms(command))
        all_ms = best["start"] + (best["built"] - best["start"]) * options.checks / built_in
        size = file.stat().st_size / 1000
        print(f"{file.stem:<16}{size:>7.0f}{best['start']:>9.1f}{best['python']:>9.1f}{best['built']:>10.1f}{best['filled']:>11.1f}{all_ms:>15.1f}{all_ms / best['python']:>10.2f}")
        if all_ms > MOST_MS:
            missed.append(f"{file.stem}: {all_ms:.1f} ms for {options.checks} checks, more than {MOST_MS} ms")
    print(*missed, sep="\n", file=sys.stderr, end="\n" if missed else "")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
