"""Bodies of the functions that depend on the node: one for each of the kinds of node that make a difference.

onnx builds such a body for a given node and given types. Here it is asked for every combination of what can matter, and
what did not matter is left out again.
"""
import itertools
import json

import onnx
from onnx import TensorProto, helper

from functions import nodes, ordered

FLOAT, DOUBLE, HALF, INT64, INT32 = (TensorProto.DataType.Value(name) for name in "FLOAT DOUBLE FLOAT16 INT64 INT32".split())
# For each operator: types of its inputs (each in two variants, to see where the body takes a type from it), which of them
# may be absent, how many outputs it can have, and the attributes that may matter with the values they are tried with.
KINDS = {
    "Bernoulli": ([(FLOAT, DOUBLE)], [], [1], {"dtype": [None, FLOAT]}),
    "CastLike": ([(FLOAT, DOUBLE), (INT64, INT32)], [], [1], {}),
    "CenterCropPad": ([(FLOAT, DOUBLE), (INT64, INT32)], [], [1], {"axes": [None, [0]]}),
    "GroupNormalization": ([(FLOAT, DOUBLE)] * 3, [], [1], {"num_groups": [2]}),
    "NegativeLogLikelihoodLoss": (
        [(FLOAT, DOUBLE), (INT64, INT32), (FLOAT, DOUBLE)], [2], [1],
        {"reduction": ["none", "sum", "mean"], "ignore_index": [None, -1]},
    ),
    "RMSNormalization": ([(FLOAT, DOUBLE)] * 2, [], [1], {"stash_type": [None, FLOAT]}),
    "SoftmaxCrossEntropyLoss": (
        [(FLOAT, DOUBLE), (INT64, INT32), (FLOAT, DOUBLE)], [2], [1, 2],
        {"reduction": ["none", "sum", "mean"], "ignore_index": [None, -1]},
    ),
}
# Operators whose body is another one where the first input is not of floats.
BY_FLOAT = {"NegativeLogLikelihoodLoss"}
# Types that inputs share, by index of the first: they cannot be changed one by one.
SHARED = {"GroupNormalization": {1: 0, 2: 0}, "NegativeLogLikelihoodLoss": {2: 0}, "SoftmaxCrossEntropyLoss": {2: 0}}
RANK = 3


def body(schema, opset, types, outputs, given):
    """The nodes that the function has for a node with these types (None: absent), outputs and attributes."""
    names = [f"in{index}" if of_type else "" for index, of_type in enumerate(types)]
    while names and not names[-1]:
        names.pop()
    node = helper.make_node(schema.name, names, [f"out{index}" for index in range(outputs)], domain=schema.domain, **given)
    sides = [f"side{index}" for index in range(RANK)]
    protos = [helper.make_tensor_type_proto(of_type, sides).SerializeToString() if of_type else b""
              for of_type in types[: len(names)]]
    function = onnx.FunctionProto()
    function.ParseFromString(
        schema.get_context_dependent_function_with_opset_version(opset, node.SerializeToString(), protos))
    return {"inputs": list(function.input), "outputs": list(function.output), "nodes": nodes(function.node)}


def marked(base, other, index):
    """The same tree, with {"type_of": INDEX} where the other has another number."""
    if isinstance(base, dict) and isinstance(other, dict) and base.keys() == other.keys():
        return {key: marked(value, other[key], index) for key, value in base.items()}
    if isinstance(base, list) and isinstance(other, list) and len(base) == len(other):
        return [marked(one, two, index) for one, two in zip(base, other)]
    return base if base == other else {"type_of": index}


def general(schema, opset, variants, present, outputs, given):
    """The body for any types of the inputs."""
    shared = SHARED.get(schema.name, {})
    first = [one if index in present else None for index, (one, _) in enumerate(variants)]
    base = result = body(schema, opset, first, outputs, given)
    for index in [index for index in present if index not in shared]:
        types = [variants[n][1] if of_type and shared.get(n, n) == index else of_type for n, of_type in enumerate(first)]
        changed = marked(base, body(schema, opset, types, outputs, given), index)
        # Several inputs may have left their mark, each where the base was changed by it.
        result = merged(result, base, changed)
    return result


def merged(one, base, two):
    if isinstance(two, dict) and "type_of" in two and two != base:
        return two
    if isinstance(base, dict):
        return {key: merged(one[key], value, two[key]) if isinstance(one, dict) and key in one else one
                for key, value in base.items()}
    if isinstance(base, list):
        return [merged(a, b, c) for a, b, c in zip(one, base, two)] if isinstance(one, list) else one
    return one


def cases(schema, opset):
    """Rows {"when": what must hold of the node, "inputs", "outputs", "nodes"}."""
    variants, optional, outputs, attributes = KINDS[schema.name]
    sides = {f"input {index}": [True, False] for index in optional}
    if schema.name in BY_FLOAT:
        sides["float"] = [True, False]
    sides |= {"outputs": outputs} | attributes
    found = {}
    for choice in itertools.product(*(range(len(values)) for values in sides.values())):
        kind = {name: values[index] for (name, values), index in zip(sides.items(), choice)}
        present = [index for index in range(len(variants)) if kind.get(f"input {index}", True)]
        given = {name: kind[name] for name in attributes if kind[name] is not None}
        of_types = variants
        if "float" in kind:
            kinds = {(FLOAT, DOUBLE): (FLOAT, FLOAT) if kind["float"] else (DOUBLE, HALF)}
            of_types = [kinds.get(pair, pair) for pair in variants]
        found[choice] = general(schema, opset, of_types, present, kind["outputs"], given)
    names = list(sides)
    for side in list(names):
        at = names.index(side)
        without = {}
        for choice, made in found.items():
            without.setdefault(choice[:at] + choice[at + 1 :], []).append(json.dumps(made, sort_keys=True))
        if all(len(set(made)) == 1 for made in without.values()):
            names.remove(side)
            found = {key: json.loads(made[0]) for key, made in without.items()}
    rows = []
    for choice, made in found.items():
        when = {}
        for name, index in zip(names, choice):
            value = sides[name][index]
            if name.startswith("input "):
                when.setdefault("inputs", {})[name.removeprefix("input ")] = value
            elif name in ("outputs", "float"):
                when[name] = value
            else:
                # Given or not; the value where it has more than one.
                tried = [one for one in attributes[name] if one is not None]
                when.setdefault("attributes", {})[name] = value if len(tried) > 1 else value is not None
        rows.append({"when": when, **made})
    return rows


def rows(known):
    """Rows of all operators in KINDS that the runtime knows."""
    made = []
    for schema in ordered():
        if schema.name in KINDS and (schema.domain, schema.name, schema.since_version) in known:
            for opset in schema.context_dependent_function_opset_versions:
                of = {"domain": schema.domain, "op": schema.name, "since_version": schema.since_version, "opset": opset}
                made += [{**of, **case} for case in cases(schema, opset)]
    return made
