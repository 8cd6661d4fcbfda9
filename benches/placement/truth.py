#!/usr/bin/env python3
"""Where the real CUDA provider of an onnxruntime-gpu places the nodes of models, on the rig (fixtures/rig).

    PYTHONPATH=FOLDER_WITH_ONNXRUNTIME python benches/placement/truth.py --rig RIG --out OUT.jsonl MODELS.json [KEY]...

The Python must have `onnx` and `numpy`, and onnxruntime-gpu either itself or by PYTHONPATH. MODELS.json maps a key to the
path of a model. One line of JSON is written for each model:

    model, version      key of the model, version of onnxruntime
    nodes               nodes as they run, after all optimizations (ORT_ENABLE_ALL): op, domain, name, outputs, provider,
                        scope (list of "first output of the outer node:attribute", outermost first). A provider is null
                        where nodes of the same type without names were placed on different providers.
    partitioned         the same after partitioning, before the fusions that follow it (ORT_ENABLE_BASIC)
    all_on              the provider where it is only one, else null
    memcpy_to_host, memcpy_from_host    copies that onnxruntime inserted
    memcpy              each of them as [direction, tensor]
    reasons             why a node is on the CPU, by "op name"
    h2d_bytes, d2h_bytes    bytes copied to and from the device while the session was made
    inlined             true where functions of the model were inlined before partitioning
    error               what onnxruntime said where it made no session, else null

Placement does not depend on names. Nodes without a name, or with one that occurs twice, get one of their own in a copy of
the model, so that the lines of the log can be told apart; the result has their own names again. Sessions are made in a
child process; where it crashes or takes too long, that is the model's error and the next model gets a new child.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile

LINE = re.compile(r"^(?:\x1b\[[\d;]*m)?\S+ \S+ \[([VIWEF]):[^\]]*, (\S+) (\S+)\] (.*)$")
GROUP = re.compile(r"^ (All nodes|Node\(s\)) placed on \[(\w+)\]\. Number of nodes: (\d+)")
NODE = re.compile(r"^  (\S+) \((.*)\)$")
COPY = re.compile(r"Add Memcpy(ToHost|FromHost) (?:before|after) (.*) for CUDAExecutionProvider")
REASONS = [
    re.compile(r"CUDA kernel not found in registries for Op type: (?P<op>\S+) node name: (?P<name>.*)$"),
    re.compile(r"Force fallback to CPU execution for node: (?P<name>.*?) because"),
    re.compile(r"(?P<op>)Candidate for fallback CPU execution: (?P<name>.*)$"),
]
# A name that nodes get here, at the end of what onnxruntime may have made of it.
GIVEN = re.compile(r"[A-Za-z0-9]+#\d+$")
HOST_TO_DEVICE, DEVICE_TO_HOST = "1", "2"


# ---- in the child


def subgraphs(node):
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.name, attribute.g
        for graph in attribute.graphs:
            yield attribute.name, graph


def walk(graph, scope=()):
    """Every node of the graph and of the graphs inside it, with its scope."""
    for node in graph.node:
        yield node, list(scope)
        first = next((name for name in node.output if name), "")
        for attribute, inner in subgraphs(node):
            yield from walk(inner, (*scope, f"{first}:{attribute}"))


def with_own_names(path, copy):
    """The model, or a copy of it in which every node has a name of its own; and what the nodes were called before."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    nodes = [node for node, _ in walk(model.graph)]
    for function in model.functions:
        nodes += [node for node, _ in walk(function)]
    taken = collections.Counter(node.name for node in nodes)
    renamed = [node for node in nodes if not node.name or taken[node.name] > 1]
    if not renamed:
        return path, {}
    before = {}
    for number, node in enumerate(renamed):
        given = f"{node.op_type}#{number}"
        before[given], node.name = node.name, given
    onnx.save(model, copy)
    return copy, before


@contextlib.contextmanager
def standard_error_to(path):
    kept = os.dup(2)
    with open(path, "wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def placements(log):
    """Lines of the log as (op, name) -> providers, the provider of all nodes, and the other findings."""
    placed, alone, provider = collections.defaultdict(collections.Counter), None, None
    copies, reasons, inlined = [], {}, False
    for line in log.splitlines():
        told = LINE.match(line)
        if not told:
            continue
        function, text = told[3], told[4].removesuffix("\x1b[m")
        if function.startswith("VerifyEachNode"):
            group, node = GROUP.match(text), NODE.match(text)
            if group:
                provider = group[2]
                if group[1] == "All nodes":
                    alone = provider
            elif node and provider:
                placed[node[1], node[2]][provider] += 1
            continue
        copy = COPY.search(text)
        if copy:
            copies.append([{"ToHost": "to_host", "FromHost": "from_host"}[copy[1]], copy[2]])
            continue
        if "AOT Inlining is not performed" not in text and function.startswith("InlineFunctionsAOT"):
            inlined = True
        for pattern in REASONS:
            found = pattern.search(text)
            if found:
                of = found.groupdict()
                reasons[f"{of.get('op') or ''} {of['name']}".strip()] = text
                break
    return placed, alone, copies, reasons, inlined


def copied(path):
    """Bytes that went to the device and back."""
    total = collections.Counter()
    with contextlib.suppress(FileNotFoundError):
        for line in pathlib.Path(path).read_text().splitlines():
            call, size, kind = line.split()
            if call.startswith("cudaMemcpy"):
                total[kind] += int(size)
    return total[HOST_TO_DEVICE], total[DEVICE_TO_HOST]


def session(path, level, folder):
    """Makes one session; what it said, and the optimized model where it came that far."""
    import onnxruntime

    optimized, log = folder / "optimized.onnx", folder / "log"
    for old in folder.glob("optimized.onnx*"):
        old.unlink()
    pathlib.Path(os.environ["GPU_DOCTOR_RIG_LOG"]).unlink(missing_ok=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 0
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(optimized)
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    error = None
    with standard_error_to(log):
        try:
            made = onnxruntime.InferenceSession(
                str(path), options, providers=["CUDAExecutionProvider", "CPUExecutionProvider"], enable_fallback=0
            )
            if "CUDAExecutionProvider" not in made.get_providers():
                error = "the CUDA provider was not registered"
            del made
        except Exception as failure:  # whatever it is, it is the model's result
            error = str(failure)
    return log.read_text(errors="replace"), optimized, error


def own_name(name, before):
    """What a node is called where its copy, or the node that it was made from, was given a name."""
    given = GIVEN.search(name)
    if not given or given[0] not in before:
        return name
    # A node of an inlined function that has no name gets none.
    prefix = name[: given.start()]
    return before[given[0]] and prefix + before[given[0]] if prefix.startswith("_inlfunc_") else prefix + before[given[0]]


def listed(log, optimized, before):
    """Nodes of the optimized model, each with its provider by the log and the name that it had before."""
    import onnx

    placed, alone, *_ = placements(log)
    if not optimized.exists():
        return [
            {"op": op, "domain": None, "name": own_name(name, before), "outputs": None, "provider": provider, "scope": None}
            for (op, name), of in placed.items() for provider, count in of.items() for _ in range(count)
        ]
    # A tensor that is copied to the host keeps its name there; what the node writes is renamed.
    every = list(walk(onnx.load(optimized, load_external_data=False).graph))
    original = {node.input[0]: node.output[0] for node, _ in every if node.op_type == "MemcpyToHost"}
    nodes = []
    for node, scope in every:
        of = placed.get((node.op_type, node.name), {})
        provider = alone or (next(iter(of)) if len(of) == 1 else None)
        nodes.append({
            "op": node.op_type, "domain": "" if node.domain == "ai.onnx" else node.domain,
            "name": own_name(node.name, before),
            "outputs": [original.get(name, name) for name in node.output], "provider": provider, "scope": scope,
        })
    return nodes


def examine(key, path, folder):
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    result = {"model": key, "version": onnxruntime.__version__}
    try:
        path, before = with_own_names(path, folder / "named.onnx")
        log, optimized, error = session(path, levels.ORT_ENABLE_ALL, folder)
    except Exception as failure:
        return {**result, "nodes": [], "partitioned": [], "error": f"{type(failure).__name__}: {failure}"}
    _, alone, copies, reasons, inlined = placements(log)
    reasons = {GIVEN.sub(lambda given: before.get(given[0], given[0]), key): why for key, why in reasons.items()}
    nodes = listed(log, optimized, before)
    to_device, from_device = copied(os.environ["GPU_DOCTOR_RIG_LOG"])
    directions = collections.Counter(direction for direction, _ in copies)
    log, optimized, _ = session(path, levels.ORT_ENABLE_BASIC, folder)
    partitioned = listed(log, optimized, before)
    return {
        **result, "nodes": nodes, "partitioned": partitioned, "all_on": alone,
        "memcpy_to_host": directions["to_host"], "memcpy_from_host": directions["from_host"], "memcpy": copies,
        "reasons": reasons, "h2d_bytes": to_device, "d2h_bytes": from_device,
        "inlined": inlined, "error": error,
    }


def child():
    """Reads [key, path] lines and answers each with its result."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        os.environ["GPU_DOCTOR_RIG_LOG"] = str(folder / "copies")
        for line in sys.stdin:
            print(json.dumps(examine(*json.loads(line), folder)), file=answers, flush=True)


# ---- in the parent


class Child:
    """A process that makes sessions, replaced when it dies."""

    def __init__(self, rig, timeout_s):
        self.rig, self.timeout_s, self.process = rig, timeout_s, None

    def result(self, key, path):
        if self.process is None:
            # One session can ask for much memory; a child that dies of it is a result too.
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env={**os.environ, "LD_LIBRARY_PATH": str(self.rig)},
            )
        try:
            self.process.stdin.write(json.dumps([key, str(path)]).encode() + b"\n")
            self.process.stdin.flush()
            if select.select([self.process.stdout], [], [], self.timeout_s)[0]:
                line = self.process.stdout.readline()
                if line.endswith(b"\n"):
                    return json.loads(line)
                why = "the process ended"
            else:
                why = f"no answer within {self.timeout_s} s"
        except BrokenPipeError:
            why = "the process ended"
        self.process.kill()
        status = self.process.wait()
        self.process = None
        if why == "the process ended":
            why += f" by signal {-status}" if status < 0 else f" with status {status}"
        return {"model": key, "nodes": [], "partitioned": [], "error": why}

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


def main():
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--rig", required=True, type=pathlib.Path, help="folder with the stand-ins, for this version")
    asked.add_argument("--out", required=True, type=pathlib.Path, help="file for the results, one a line")
    asked.add_argument("--timeout", type=float, default=120, help="seconds that a model may take")
    asked.add_argument("models", type=pathlib.Path, help="JSON: key -> path")
    asked.add_argument("keys", nargs="*", help="only these")
    asked = asked.parse_args()
    models = json.loads(asked.models.read_text())
    child = Child(asked.rig.resolve(), asked.timeout)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    failed = 0
    with open(asked.out, "w") as out:
        for key in asked.keys or models:
            result = child.result(key, models[key])
            failed += bool(result["error"])
            print(json.dumps(result, separators=(",", ":")), file=out, flush=True)
    child.close()
    print(f"{asked.out}: {len(asked.keys or models)} models, {failed} without a session", file=sys.stderr)


if __name__ == "__main__":
    child() if sys.argv[1:] == ["--child"] else main()
