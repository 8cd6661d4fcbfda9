#!/usr/bin/env python3
"""How long each form of the report takes to be written from a snapshot of 5 MB: at most 100 ms.

benches/reports.py [--megabytes N] [--rounds N] [--doctor EXE]; `target/release/gpu-doctor` must be built. The snapshots are
recordings whose lists of facts are repeated until they have that size. Ways of running stand side by side in each round, in
turn, and the best of each counts. `npd` writes one line: what a form takes beyond it is its writing, for reading the snapshot
and judging it cost the same. `all` writes every form at once, eight of them to files. Counted is the processor time of the
run, which has one thread: it is no less than what passes on the clock, and other programs disturb it less. Exit code 1: a
form takes more than 100 ms.
"""
import argparse, json, os, pathlib, subprocess, sys, tempfile

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
    """Processor time of a run, and the bytes that it wrote to its output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        run = subprocess.Popen(command, stdout=out, stderr=complaints)
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        if run.returncode not in (0, 1, 2):
            complaints.seek(0)
            sys.exit(f"{' '.join(map(str, command))}: exit code {run.returncode}: {complaints.read().decode()}")
        return (used.ru_utime + used.ru_stime) * 1000, out.seek(0, os.SEEK_END)


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
    print(f"{'snapshot':<12}{'kB':>7}{'npd':>7}" + "".join(f"{form:>16}" for form in [*FORMS, "all"]))
    for name in RECORDED:
        file = grown(name, options.megabytes * 1e6)
        best, size = {}, {}
        for _ in range(options.rounds):
            for form in ["npd", *FORMS]:
                took, size[form] = took_ms([options.doctor, "diagnose", file, "--format", form])
                best[form] = min(best.get(form, float("inf")), took)
            outputs = [part for form in FORMS for part in ("--output", f"{form}={file.with_name(name + '-written.' + form)}")]
            took, _ = took_ms([options.doctor, "diagnose", file, "--format", "npd", *outputs])
            best["all"] = min(best.get("all", float("inf")), took)
        beyond = {form: best[form] - best["npd"] for form in [*FORMS, "all"]}
        size["all"] = sum(size[form] for form in FORMS)
        cells = "".join(f"{f'{beyond[form]:.1f} / {size[form] / 1000:.0f}':>16}" for form in beyond)
        print(f"{name:<12}{file.stat().st_size / 1000:>7.0f}{best['npd']:>7.0f}{cells}")
        missed += [f"{name}: {form} takes {ms:.0f} ms" for form, ms in beyond.items() if ms > MOST_MS and form != "all"]
    print(*missed, sep="\n", file=sys.stderr, end="\n" if missed else "")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
