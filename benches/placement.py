#!/usr/bin/env python3
"""How well `gpu-doctor model` predicts where onnxruntime's CUDA provider places nodes and what it copies to the GPU.

    cargo build --release && benches/placement.py [--versions 1.23.2,1.31.1] [--sets known,further,tests]

Fetches onnxruntime-gpu and the models from PyPI into target/placement (some 4 GB for all eight versions), makes the rigs,
lets each onnxruntime place each model on its rig (placement/truth.py), asks gpu-doctor for the same, and compares node by
node. What was fetched and what onnxruntime said is kept; --again asks onnxruntime once more. No GPU is needed.

Sets: `known`, the models with which the rules of the prediction were found; `further`, models that came later; `tests`,
the tests for backends that the package `onnx` brings. The tests of the repository use none but silero-vad of `known`.
A goal that is missed makes the exit status 1: a person runs this, no test does.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "placement"))
import compare  # noqa: E402

VERSIONS = ["1.19.2", "1.20.2", "1.22.0", "1.23.2", "1.25.1", "1.27.0", "1.29.0", "1.31.1"]
# What onnxruntime and the scripts import.
PYTHON_PACKAGES = ["numpy", "onnx", "protobuf", "flatbuffers", "packaging", "coloredlogs", "sympy"]
# Least ratio of nodes that are placed as predicted, by set.
GOALS = {"known": 0.995, "further": 0.995, "tests": 0.97}


def pip(python, *arguments):
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments], check=True)


def prepared(work, versions):
    """A Python with what the scripts import, and the folder and the rig of each onnxruntime-gpu."""
    python = work / "python/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", work / "python"], check=True)
        pip(python, "install", *PYTHON_PACKAGES)
    for version in versions:
        folder = work / "env" / version
        if not (folder / "onnxruntime").exists():
            pip(python, "install", "--no-deps", "--no-cache-dir", "--target", folder, f"onnxruntime-gpu=={version}")
        if not (work / "rig" / version).exists():
            subprocess.run([sys.executable, ROOT / "fixtures/rig/make.py", "--driver", folder, work / "rig" / version], check=True)
    return python


def models(work, python, versions):
    """Set -> key -> path of the models."""
    folder = work / "models"
    folder.mkdir(exist_ok=True)
    if not (folder / "tests.json").exists():
        environment = {**os.environ, "PYTHONPATH": str(work / "env" / versions[0])}
        subprocess.run([python, HERE / "placement/models.py", folder], env=environment, check=True)
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def truths(work, python, version, name, again):
    """What that onnxruntime said of each model of the set."""
    out = work / "truth" / version / f"{name}.jsonl"
    if again or not out.exists():
        part = out.with_suffix(".part")
        environment = {**os.environ, "PYTHONPATH": str(work / "env" / version)}
        subprocess.run([python, HERE / "placement/truth.py", "--rig", work / "rig" / version, "--out", part,
                        work / "models" / f"{name}.json"], env=environment, check=True)
        part.rename(out)
    return [json.loads(line) for line in out.read_text().splitlines()]


def prediction(doctor, path, version):
    said = subprocess.run([doctor, "model", path, "--for-onnxruntime", version, "--format", "json"],
                          capture_output=True, text=True)
    if said.returncode != 0:
        raise ValueError(said.stderr.strip() or f"exit status {said.returncode}")
    return compare.of_prediction(json.loads(said.stdout))


def own_nodes(python, paths):
    """(scope, output) -> (operator, label) of the nodes of each model's file."""
    program = (
        "import json, sys, onnx, truth\n"
        "for path in json.load(sys.stdin):\n"
        "    nodes = truth.walk(onnx.load(path, load_external_data=False).graph)\n"
        "    print(json.dumps([[s, list(n.output), n.domain, n.op_type, n.name] for n, s in nodes]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE / "placement")}
    said = subprocess.run([python, "-c", program], input=json.dumps([str(path) for path in paths]), env=environment,
                          capture_output=True, text=True, check=True)
    every = []
    for line in said.stdout.splitlines():
        found = {}
        for scope, outputs, domain, op, name in json.loads(line):
            node = {"op": op, "domain": "" if domain == "ai.onnx" else domain, "name": name, "outputs": outputs}
            for output in filter(None, outputs):
                found[tuple(scope), output] = compare.operator(node), compare.label(node)
        every.append(found)
    return every


def judged(name, version, results, paths, graphs, doctor, notes):
    """Prints what the set's figures are with that version; whether all goals are reached."""
    partitioned, final, lines, near, failures = compare.Tally(), compare.Tally(), [], 0, []
    placed = [result for result in results if not result["error"]]
    for result in placed:
        key = result["model"]
        try:
            predicted, predicted_bytes = prediction(doctor, paths[key], version)
        except ValueError as why:
            failures.append(f"    {key}: no prediction: {why}")
            predicted, predicted_bytes = {}, None
        partitioned.add(key, compare.of_truth(result["partitioned"]), predicted)
        final.add(key, *compare.fused(result, graphs[key], predicted))
        line, fits = compare.bytes_line(key, result["h2d_bytes"], predicted_bytes)
        near += fits
        if name != "tests" or not fits:
            lines.append(line)
    print(f"{version:8} {name:8} {partitioned}")
    print(f"{'':17} after fusions, in both: {final}")
    print(f"{'':17} parameter bytes within 0.1 %: {near} of {len(placed)} models; {len(results) - len(placed)} without a session")
    for line in [*failures, *(lines if notes else [])]:
        print(line)
    for line in partitioned.notes if notes else []:
        print(f"    {line}")
    return (partitioned.ratio or 0) >= GOALS[name] and (name == "tests" or near == len(placed))


def main():
    asked = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    asked.add_argument("--versions", default=",".join(VERSIONS), help="of onnxruntime-gpu")
    asked.add_argument("--sets", default=",".join(GOALS))
    asked.add_argument("--work", type=pathlib.Path, default=ROOT / "target/placement", help="where things are kept")
    asked.add_argument("--doctor", type=pathlib.Path, default=ROOT / "target/release/gpu-doctor")
    asked.add_argument("--again", action="store_true", help="ask onnxruntime again")
    asked.add_argument("--notes", action="store_true", help="print every difference, and the bytes of every model")
    asked = asked.parse_args()
    versions = asked.versions.split(",")
    work = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    python = prepared(work, versions)
    every = models(work, python, versions)
    reached = True
    for name in asked.sets.split(","):
        graphs = dict(zip(every[name], own_nodes(python, every[name].values())))
        for version in versions:
            results = truths(work, python, version, name, asked.again)
            reached &= judged(name, version, results, every[name], graphs, asked.doctor, asked.notes)
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
