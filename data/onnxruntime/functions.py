"""Operators that are functions of other operators, from the `onnx` package."""
import onnx
from onnx import defs, helper


def onnx_version():
    return onnx.__version__


def schemas():
    return [schema for schema in defs.get_all_schemas_with_history() if schema.domain in ("", "ai.onnx.ml")]


def flags():
    """For each operator version: whether it is a function, with one body or with one that depends on the node."""
    told = {}
    for schema in schemas():
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
        return {"tensor": [value.data_type, list(value.dims)]}
    if isinstance(value, onnx.GraphProto):
        return {"graph": nodes(value.node)}
    return list(value) if isinstance(value, (list, tuple)) else value


def nodes(of):
    return [
        {"op": node.op_type, "domain": node.domain, "inputs": list(node.input), "outputs": list(node.output),
         "attributes": {one.name: attribute(one) for one in sorted(node.attribute, key=lambda one: one.name)}}
        for node in of
    ]


def bodies(known):
    """The bodies that do not depend on the node, one for each opset from which they differ."""
    known = {(domain, op, since) for domain, op, since, *_ in known}
    rows = []
    for schema in sorted(schemas(), key=lambda schema: (schema.domain, schema.name, schema.since_version)):
        if (schema.domain, schema.name, schema.since_version) not in known:
            continue
        for opset in schema.function_opset_versions:
            body = onnx.FunctionProto()
            body.ParseFromString(schema.get_function_with_opset_version(opset))
            rows.append({
                "domain": schema.domain, "op": schema.name, "since_version": schema.since_version, "opset": opset,
                "inputs": list(body.input), "outputs": list(body.output), "nodes": nodes(body.node),
            })
        if schema.has_context_dependent_function:
            rows.append({
                "domain": schema.domain, "op": schema.name, "since_version": schema.since_version,
                "opsets_of_context": list(schema.context_dependent_function_opset_versions),
            })
    return rows
