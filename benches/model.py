#!/usr/bin/env python3
"""What the audit of a model costs: time and memory, by size and by number of nodes, against onnx.load of the same file.

    python3 -m venv target/venv-bench && target/venv-bench/bin/pip install onnx==1.23.2
    cargo build --release && target/venv-bench/bin/python benches/model.py

DOCTOR=PATH in the environment measures another binary than target/release/gpu-doctor.
The models are written here, without their payloads' bytes: a sparse file has the size, and nothing of it is on disk. Each
time is the median of several runs with everything in the page cache, and the least beside it. `probe` is the work on the
file by the doctor's own clock; `whole` is the command from start to end, which includes starting the process. Of the
peak the goal counts what comes on top of `--version`: the rest is the program itself, mapped from its file. A goal that is
missed makes the exit status 1: a person runs this, no test does.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCTOR = pathlib.Path(os.environ.get("DOCTOR", ROOT / "target/release/gpu-doctor"))
RUNS = 15
FLOAT = 1
missed = []


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    payload = value if isinstance(value, bytes) else value.encode()
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def node(op, inputs, output, name):
    return b"".join(text(1, item) for item in inputs) + text(2, output) + text(3, name) + text(4, op)


def port(name, *shape):
    dims = b"".join(text(1, number(1, size)) for size in shape)
    return text(1, name) + text(2, text(1, number(1, FLOAT) + text(2, dims)))


def write(path, nodes, payload_bytes, external):
    """A chain of MatMul and Add, each with an initializer of its own; returns the payload's bytes."""
    side = max(1, int((payload_bytes / (nodes / 2) / 4) ** 0.5))
    head = number(1, 10) + text(2, "bench")
    pieces, payload, last = [], 0, "x"
    for index in range(nodes):
        op, shape = ("MatMul", [side, side]) if index % 2 == 0 else ("Add", [side])
        size = 4
        for dimension in shape:
            size *= dimension
        weight, output = f"w{index}", f"t{index}"
        pieces.append((text(1, node(op, [last, weight], output, f"n{index}")), 0))
        tensor = b"".join(number(1, dimension) for dimension in shape) + number(2, FLOAT) + text(8, weight)
        if external:
            entries = (("location", path.name + ".data"), ("offset", payload), ("length", size))
            tensor += b"".join(text(13, text(1, key) + text(2, str(value))) for key, value in entries) + number(14, 1)
            pieces.append((text(5, tensor), 0))
        else:
            tensor += varint(9 << 3 | 2) + varint(size)
            pieces.append((varint(5 << 3 | 2) + varint(len(tensor) + size) + tensor, size))
        payload, last = payload + size, output
    pieces.append((text(11, port("x", 1, side)) + text(12, port(last, 1, side)), 0))
    graph = sum(len(piece) + hole for piece, hole in pieces)
    with open(path, "wb") as file:
        file.write(head + varint(7 << 3 | 2) + varint(graph))
        for piece, hole in pieces:
            file.write(piece)
            file.seek(hole, 1)
        file.write(text(8, text(1, "") + number(2, 17)))
    if external:
        with open(str(path) + ".data", "wb") as file:
            file.truncate(payload)
    return payload


class Times:
    """Several measurements of the same thing."""

    def __init__(self, times):
        self.median = statistics.median(times)
        self.least = min(times)

    def __str__(self):
        return f"{self.median:9.2f} ms (least {self.least:.2f})"


def compiled(folder):
    program = folder / "measure"
    subprocess.run(["cc", "-O1", "-o", program, ROOT / "benches/measure.c"], check=True)
    return program


def measured(measure, command, runs=RUNS):
    """Wall times and peak resident MB of a command, which must succeed."""
    times, peaks = [], []
    for _ in range(runs):
        told = subprocess.run([measure, *map(str, command)], capture_output=True, text=True, check=True).stdout.split()
        if told[2] != "0":
            sys.exit(f"{' '.join(map(str, command))} ended with {told[2]}")
        times.append(float(told[0]))
        peaks.append(int(told[1]) * 1024 / 1e6)
    return Times(times), max(peaks)


def probe(name, path):
    """Times of one probe by the doctor's own clock."""
    # A probe runs where a check reads its room: those of the stage read what is in the file, that one the prediction.
    command = [DOCTOR, "collect", "--only", "model,ort-graph-split-cpu", "--model", path]
    times = []
    for _ in range(RUNS):
        told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        record = next(record for record in told["probes"] if record["id"] == name)
        if record["outcome"] != "ok":
            sys.exit(f"probe {name} of {path}: {record['outcome']}, {record['detail']}")
        times.append(record["duration_ms"])
    return Times(times)


def audited(path, expected):
    told = json.loads(subprocess.run([DOCTOR, "model", path, "--format", "json"], capture_output=True, check=True).stdout)
    found = told["model"]["parameter_bytes"]
    if found != expected:
        sys.exit(f"{path}: {found} bytes of parameters, written were {expected}")


def tell(what, value, unit, goal=None, against=None):
    line = f"  {what:<34}{value if isinstance(value, Times) else f'{value:9.2f} {unit}'}"
    plain = value.median if isinstance(value, Times) else value
    if against:
        line += f"; {plain / against[1]:.4f} x {against[0]} ({against[1]:.1f} {unit})"
    if goal is not None:
        met = plain <= goal
        line += f"; goal {goal:g} {unit}: {'met' if met else 'MISSED'}"
        if not met:
            missed.append(what)
    print(line, flush=True)


def sizes(folder, measure):
    start, floor = measured(measure, [DOCTOR, "--version"])
    print("starting the program alone (--version): its own pages and libraries, which every command has")
    tell("whole", start, "ms")
    tell("peak resident", floor, "MB")
    probes = []
    for external in (False, True):
        for megabytes in (20, 200, 2000):
            path = folder / f"{'external' if external else 'inline'}-{megabytes}.onnx"
            payload = write(path, 240, megabytes * 10**6, external)
            audited(path, payload)
            print(f"{payload / 1e6:.0f} MB in 240 tensors, {'external data' if external else 'inline'}")
            whole, peak = measured(measure, [DOCTOR, "model", path, "--format", "json"])
            work = probe("model", path)
            largest = megabytes == 2000
            loaded = loaded_peak = None
            if largest:
                load = [sys.executable, "-c", f"import onnx; onnx.load({str(path)!r})"]
                load_times, loaded_peak = measured(measure, load, runs=3)
                loaded = load_times.median
            tell("probe", work, "ms", 5, ("onnx.load", loaded) if largest else None)
            tell("whole", whole, "ms", None, ("onnx.load", loaded) if largest else None)
            tell("peak resident", peak, "MB", None, ("onnx.load", loaded_peak) if largest else None)
            tell("peak beyond --version", peak - floor, "MB", 10 if largest else None)
            if external is False:
                probes.append((megabytes, work.least, peak))
            for left in folder.glob(f"{path.name}*"):
                left.unlink()
    (_, small, small_peak), *_, (_, large, large_peak) = probes
    print(f"2 GB against 20 MB: {large / small:.2f} x the time, {large_peak / small_peak:.2f} x the memory")


def many_nodes(folder, measure):
    for nodes in (5_000, 100_000, 1_000_000):
        path = folder / f"{nodes}.onnx"
        audited(path, write(path, nodes, nodes * 64, False))
        whole, peak = measured(measure, [DOCTOR, "model", path, "--format", "json"], runs=5)
        print(f"{nodes} nodes, {path.stat().st_size / 1e6:.0f} MB")
        tell("probe model", probe("model", path), "ms")
        if nodes <= 100_000:
            tell("probe prediction", probe("prediction", path), "ms", 50 if nodes == 5_000 else None)
        tell("whole", whole, "ms")
        tell("peak resident", peak, "MB")
        path.unlink()


if __name__ == "__main__":
    if not DOCTOR.exists():
        sys.exit(f"{DOCTOR} is missing: cargo build --release")
    try:
        import onnx  # noqa: F401
    except ImportError:
        sys.exit(f"{sys.executable} has no onnx: see the head of this file")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        measure = compiled(folder)
        sizes(folder, measure)
        many_nodes(folder, measure)
    if missed:
        sys.exit("missed: " + ", ".join(missed))
