#!/usr/bin/env python3
"""How long each form of the report takes to be written from a snapshot of 5 MB: at most 100 ms.

benches/reports.py [--megabytes N] [--rounds N] [--doctor EXE]; `target/release/gpu-doctor` must be built. The snapshots are
recordings whose lists of facts are repeated until they have that size. Ways of running stand side by side in each round, in
turn, and the best of each counts. `npd` writes one line: what a form takes beyond it is its writing, for reading the snapshot
and judging it cost the same. Exit code 1: a form takes more than 100 ms.
"""
import argparse, json, pathlib, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST_MS = 100
FORMS = ["text", "short", "json", "markdown", "junit", "html", "github", "openmetrics"]
RECORDED = {
    "a1": "snapshots/a1",
    "load": "cases/stress-refused/snapshot",
    "several": "cases/triple-seed-0/snapshot",
    "placement": "cases/ort-model-split/snapshot",
}


def lists(value):
    """The lists of a document that hold objects or words, the largest first."""
    found, pending = [], [value]
    while pending:
        value = pending.pop()
        if isinstance(value, list) and value and isinstance(value[0], (dict, str)):
            found.append(value)
        if isinstance(value, (dict, list)):
            pending.extend(value.values() if isinstance(value, dict) else value)
    return sorted(found, key=lambda one: -len(json.dumps(one)))


def grown(name, size):
    """A recording of at least that size: its eight largest lists, repeated until each has as many bytes."""
    document = json.loads((ROOT / f"fixtures/{RECORDED[name]}.json").read_text())
    largest = lists(document["facts"])[:8]
    # A list inside of a repeated one would be repeated with it.
    whole = [one for one in largest if not any(one is not other and json.dumps(one) in json.dumps(other) for other in largest)]
    for one in whole:
        one.extend(one * int(size / len(whole) / len(json.dumps(one))))
    file = ROOT / f"target/reports/{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))
    return file


def took_ms(command):
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = (time.perf_counter() - began) * 1000
    if done.returncode not in (0, 1, 2):
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}: {done.stderr.decode()}")
    return took, len(done.stdout)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabytes", type=float, default=5)
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--doctor", type=pathlib.Path, default=ROOT / "target/release/gpu-doctor")
    options = options.parse_args()
    if not options.doctor.is_file():
        sys.exit(f"{options.doctor} is not there; build it with cargo build --release")
    missed = []
    print(f"the best of {options.rounds} rounds; npd: all of a run in ms; then what a form takes beyond it, ms / kB written")
    print(f"{'snapshot':<12}{'kB':>7}{'npd':>7}" + "".join(f"{form:>16}" for form in FORMS))
    for name in RECORDED:
        file = grown(name, options.megabytes * 1e6)
        best, size = {}, {}
        for _ in range(options.rounds):
            for form in ["npd", *FORMS]:
                took, size[form] = took_ms([options.doctor, "diagnose", file, "--format", form])
                best[form] = min(best.get(form, float("inf")), took)
        beyond = {form: best[form] - best["npd"] for form in FORMS}
        cells = "".join(f"{f'{beyond[form]:.1f} / {size[form] / 1000:.0f}':>16}" for form in FORMS)
        print(f"{name:<12}{file.stat().st_size / 1000:>7.0f}{best['npd']:>7.0f}{cells}")
        missed += [f"{name}: {form} takes {ms:.0f} ms" for form, ms in beyond.items() if ms > MOST_MS]
    print(*missed, sep="\n", file=sys.stderr, end="\n" if missed else "")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
