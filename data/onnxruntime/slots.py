"""Which inputs and outputs of CUDA kernels lie in host memory, measured.

Kernels do not tell it. onnxruntime's own partitioner does: for each kernel a model of one node is made, whose inputs come
from CUDA nodes and whose outputs go to CUDA nodes; where the kernel wants a tensor on the CPU, onnxruntime inserts a copy
and says so in its log.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from onnx import AttributeProto, TensorProto, TypeProto, helper, save

COPY = re.compile(r"Add Memcpy(?:ToHost before|FromHost after) (in|out)(\d+) for CUDAExecutionProvider")
# The node itself was not given to CUDA: what was measured is another provider's kernel, or the body of a function.
FALLEN = re.compile(r"(?:node name|for node): probed\b")
PREFERRED = ["float", "int64", "int32", "float16", "bool", "uint8", "int8"]
# Attributes that a node must have, where the shortest value of their type would not do.
VALUES = {"equation": "i->i", "kernel_shape": [1, 1], "perm": [0], "max_ngram_size": 2, "policy_mode": "qsa"}
# The CUDA provider takes a GRU only so.
FURTHER = {"GRU": {"linear_before_reset": 1}}
IR_VERSION, OPSET = 8, 17

CHILD = """
import os, sys, onnxruntime
for path in sys.stdin:
    path = path.strip()
    os.dup2(os.open(path + ".log", os.O_WRONLY | os.O_CREAT), 2)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 0
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    try:
        onnxruntime.InferenceSession(path, options, providers=["CUDAExecutionProvider"], enable_fallback=0)
    except Exception as failure:
        os.write(2, str(failure).encode())
    print(path, flush=True)
"""


def chosen(types):
    """One of the types, a usual one if there is."""
    usual = [shape.format(name) for shape in ("tensor({})", "seq(tensor({}))") for name in PREFERRED]
    return next((name for name in usual if name in types), sorted(types)[0])


def type_proto(name):
    """The type that a name such as seq(tensor(float)) means."""
    made = TypeProto()
    outer, _, inner = name.partition("(")
    inner = inner[:-1]
    if outer == "tensor":
        names = {"float": "FLOAT", "double": "DOUBLE"}
        made.tensor_type.elem_type = TensorProto.DataType.Value(names.get(inner, inner.upper()))
    elif outer == "seq":
        made.sequence_type.elem_type.CopyFrom(type_proto(inner))
    elif outer == "optional":
        made.optional_type.elem_type.CopyFrom(type_proto(inner))
    else:
        raise ValueError(name)
    return made


def value_info(name, of_type=None, sides=None):
    info = helper.make_empty_tensor_value_info(name)
    if of_type:
        info.type.CopyFrom(type_proto(of_type))
    for side in range(sides or 0):
        info.type.tensor_type.shape.dim.add().dim_param = f"{name}_{side}"
    return info


def branch(op, name):
    """A subgraph that If, Loop and Scan accept."""
    boolean, number = value_info("b_cond", "tensor(bool)"), value_info("b_iter", "tensor(int64)")
    state = value_info("b_state", "tensor(float)")
    if op == "If":
        return helper.make_graph([helper.make_node("Identity", ["outer"], [f"{name}_out"])], name, [],
                                 [value_info(f"{name}_out", "tensor(float)")])
    copies = [helper.make_node("Identity", ["b_state"], ["b_next"])]
    if op == "Loop":
        copies.append(helper.make_node("Identity", ["b_cond"], ["b_go"]))
        return helper.make_graph(copies, name, [number, boolean, state],
                                 [value_info("b_go", "tensor(bool)"), value_info("b_next", "tensor(float)")])
    return helper.make_graph(copies, name, [state], [value_info("b_next", "tensor(float)")])


def attributes(op, required):
    kinds = {"INT": 1, "INTS": [1], "FLOAT": 1.0, "FLOATS": [1.0], "STRING": "", "STRINGS": [""]}
    made = []
    for name, kind in required:
        if kind == "GRAPH":
            made.append(helper.make_attribute(name, branch(op, name)))
        elif kind == "TENSOR":
            made.append(helper.make_attribute(name, helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0])))
        else:
            made.append(helper.make_attribute(name, VALUES.get(name, kinds[kind])))
    return made + [helper.make_attribute(name, value) for name, value in FURTHER.get(op, {}).items()]


def carrier(source, result):
    """A node that CUDA has in every opset and for every type, and that hands on what it gets."""
    return helper.make_node("Concat", [source] if isinstance(source, str) else source, [result], axis=0)


class Probe:
    """The models of one kernel."""

    def __init__(self, kernel, schema, opset):
        self.domain, self.op, self.types = kernel
        self.opset = opset
        _, _, _, self.inputs, self.outputs, self.allowed, _, self.required = schema
        self.bound = {}

    def of_type(self, parameter):
        """The type that is tried for a parameter, and its option (? * + or nothing)."""
        name, text = parameter
        option = text[-1] if text[-1] in "?*+" else ""
        text = text.removesuffix(option)
        if text in self.allowed:
            types = set(self.allowed[text])
            if text in self.types or name in self.types:
                types &= set(self.types.get(text) or self.types[name])
            text = self.bound.setdefault(text, chosen(types or self.allowed[text]))
        return text, option

    def models(self):
        """The node with all that it can have, failing that with less."""
        inputs, optional = [], []
        for parameter in self.inputs:
            of_type, option = self.of_type(parameter)
            if option == "?":
                optional.append(len(inputs))
            inputs += [of_type] * (2 if option == "*" else 1)
        outputs = [self.of_type(parameter) for parameter in self.outputs]
        needed = [of_type for of_type, option in outputs if option != "?"]
        every, outputs = set(range(len(inputs))), [of_type for of_type, _ in outputs]
        yield [self.model(inputs, every, outputs)]
        yield [self.model(inputs, every, needed)]
        yield [self.model(inputs, every - set(optional) | set(one), needed)
               for one in [[], *([index] for index in optional)]]
        yield [self.model(inputs, every, outputs, sides=2)]

    def model(self, inputs, present, outputs, sides=None):
        feeds, nodes, names = [value_info("outer_in", "tensor(float)")], [carrier("outer_in", "outer")], []
        for index, of_type in enumerate(inputs):
            names.append(f"in{index}" if index in present else "")
            if index not in present:
                continue
            feeds.append(value_info(f"feed{index}", of_type, sides))
            if of_type.startswith("tensor"):
                nodes.append(carrier(f"feed{index}", f"in{index}"))
            else:
                nodes.append(helper.make_node("Identity", [f"feed{index}"], [f"in{index}"]))
        while names and not names[-1]:
            names.pop()
        node = helper.make_node(self.op, names, [f"out{n}" for n in range(len(outputs))], domain=self.domain, name="probed")
        node.attribute.extend(attributes(self.op, self.required))
        nodes.append(node)
        kept = []
        for index, of_type in enumerate(outputs):
            if not of_type.startswith("tensor") or of_type == "tensor(string)":
                kept.append(value_info(f"out{index}"))
                continue
            # A second input that a CUDA node makes, so that this node stays there.
            feeds.append(value_info(f"beside{index}", of_type))
            nodes.append(carrier(f"beside{index}", f"near{index}"))
            nodes.append(carrier([f"out{index}", f"near{index}"], f"end{index}"))
            kept.append(value_info(f"end{index}"))
        graph = helper.make_graph(nodes, "probe", feeds, kept)
        opsets = {"": OPSET, self.domain: self.opset}
        return helper.make_model(graph, ir_version=IR_VERSION,
                                 opset_imports=[helper.make_opsetid(*one) for one in opsets.items()])


def logs(paths, environment, rig):
    """What onnxruntime said of each model. One that ends the process is passed over."""
    variables = {
        **os.environ, "PYTHONPATH": str(environment), "LD_LIBRARY_PATH": str(rig),
        # A version may have kernels for operators of an opset that was not released when it was.
        "ALLOW_RELEASED_ONNX_OPSET_ONLY": "0",
    }
    left = [str(path) for path in paths]
    while left:
        said = subprocess.run([sys.executable, "-c", CHILD], input="\n".join(left), env=variables, cwd=rig, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        left = left[len(said.stdout.split()) + 1 :]
    return [pathlib.Path(f"{path}.log").read_text(errors="replace") for path in paths]


def measured(table, environment, rig):
    """{(domain, op, since): (host inputs, host outputs)} of one version's CUDA kernels; what could not be measured."""
    schemas = {}
    for schema in table["schemas"]:
        schemas.setdefault(tuple(schema[:2]), []).append(schema)
    probes = {}
    for provider, domain, op, start, _, types in table["kernels"]:
        # The operator as it was when the kernel's range begins, in the newest opset that still has it so.
        every = sorted(schemas.get((domain, op), []), key=lambda schema: schema[2])
        of = [schema for schema in every if schema[2] <= start]
        if provider != "CUDAExecutionProvider" or not of or op.startswith("Memcpy") or domain.startswith("com.ms."):
            continue
        end = every[len(of)][2] - 1 if len(of) < len(every) else max(OPSET, start)
        opset = min(end, max(OPSET, start)) if domain == "" else start
        probes.setdefault((domain, op, start), Probe((domain, op, types), of[-1], opset))
    found, unmeasured = {}, []
    with tempfile.TemporaryDirectory() as folder:
        pending = {key: probe.models() for key, probe in probes.items()}
        while pending:
            tried, paths = [], []
            for key, attempts in list(pending.items()):
                models = next(attempts, None)
                if models is None:
                    unmeasured.append(key)
                    del pending[key]
                    continue
                for model in models:
                    path = pathlib.Path(folder, f"{len(paths)}.onnx")
                    path.with_suffix(".onnx.log").unlink(missing_ok=True)
                    save(model, path)
                    tried.append(key)
                    paths.append(path)
            for key, log in zip(tried, logs(paths, environment, rig)):
                # The last of the log's lines that every placed model has.
                if "Node placements" not in log or FALLEN.search(log):
                    continue
                inputs, outputs = found.setdefault(key, (set(), set()))
                for side, index in COPY.findall(log):
                    (inputs if side == "in" else outputs).add(int(index))
                pending.pop(key, None)
    return found, unmeasured


def rows(read_all):
    """Rows [domain, op, since_start, cpu_inputs, cpu_outputs, versions] of the kernels that have any."""
    seen = {}
    for index, (table, environment, rig) in enumerate(read_all):
        found, unmeasured = measured(table, environment, rig)
        names = ", ".join(f"{domain or 'ai.onnx'}.{op}-{since}" for domain, op, since in sorted(unmeasured))
        print(f"{table['version']}: {len(found)} kernels measured, {len(unmeasured)} not: {names}")
        for (domain, op, since), (inputs, outputs) in found.items():
            if inputs or outputs:
                key = (domain, op, since, json.dumps([sorted(inputs), sorted(outputs)]))
                seen.setdefault(key, []).append(index)
    return [[domain, op, since, *json.loads(slots), None if len(versions) == len(read_all) else versions]
            for (domain, op, since, slots), versions in sorted(seen.items())]
