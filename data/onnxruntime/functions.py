"""Operators that are functions of other operators, from the `onnx` package."""
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

# Integers of this many elements or fewer are written down: they are shapes, axes and indices.
FEW = 16
INTEGERS = (TensorProto.INT64, TensorProto.INT32)


def onnx_version():
    return onnx.__version__


def ordered():
    """ONNX's operators, each version, in a fixed order."""
    schemas = [schema for schema in defs.get_all_schemas_with_history() if schema.domain in ("", "ai.onnx.ml")]
    return sorted(schemas, key=lambda schema: (schema.domain, schema.name, schema.since_version))


def flags():
    """For each operator version: whether it is a function, with one body or with one that depends on the node."""
    told = {}
    for schema in ordered():
        of = []
        if schema.has_function:
            of.append("function")
        if schema.has_context_dependent_function:
            of.append("function_of_context")
        if of:
            told[schema.domain, schema.name, schema.since_version] = of
    return told


def attribute(of):
    """Value of an attribute; {"ref": NAME} where it is taken from the function's own."""
    if of.ref_attr_name:
        return {"ref": of.ref_attr_name}
    value = helper.get_attribute_value(of)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        held = {"tensor": [value.data_type, list(value.dims)]}
        values = numpy_helper.to_array(value)
        if values.size <= FEW and value.data_type in INTEGERS:
            held["values"] = values.reshape(-1).tolist()
        return held
    if isinstance(value, onnx.GraphProto):
        names = {"inputs": [one.name for one in value.input], "outputs": [one.name for one in value.output]}
        return {"graph": nodes(value.node), **names}
    return list(value) if isinstance(value, (list, tuple)) else value


def nodes(of):
    """Nodes as objects, without what is empty."""
    rows = []
    for node in of:
        attributes = {one.name: attribute(one) for one in sorted(node.attribute, key=lambda one: one.name)}
        row = {"op": node.op_type, "domain": node.domain, "inputs": list(node.input), "outputs": list(node.output),
               "attributes": attributes}
        rows.append({key: value for key, value in row.items() if value})
    return rows


def bodies(known):
    """The bodies that do not depend on the node, one for each opset from which they differ."""
    rows = []
    for schema in ordered():
        if (schema.domain, schema.name, schema.since_version) not in known:
            continue
        for opset in schema.function_opset_versions:
            body = onnx.FunctionProto()
            body.ParseFromString(schema.get_function_with_opset_version(opset))
            rows.append({
                "domain": schema.domain, "op": schema.name, "since_version": schema.since_version, "opset": opset,
                "inputs": list(body.input), "outputs": list(body.output), "nodes": nodes(body.node),
            })
    return rows
