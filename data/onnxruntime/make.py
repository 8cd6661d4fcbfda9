#!/usr/bin/env python3
"""Makes the tables beside it, from which gpu-doctor predicts where onnxruntime's CUDA provider places nodes.

    data/onnxruntime/make.py --env FOLDER [--env FOLDER]...

Each FOLDER has one onnxruntime-gpu (`pip install --no-deps --target FOLDER onnxruntime-gpu==VERSION`); the Python that
runs this must have `numpy`, `onnx` and what onnxruntime imports. No GPU is needed: the CUDA libraries are those of
fixtures/rig. README.md tells what the tables hold. The same versions give the same bytes.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import contexts
import functions
import slots

HERE = pathlib.Path(__file__).resolve().parent
RIG = HERE.parent.parent / "fixtures/rig/make.py"
OPEN_END = 2**31 - 1
PROVIDERS = {"CUDAExecutionProvider": "cuda", "CPUExecutionProvider": "cpu"}
# Layouts that onnxruntime gives the graph itself, after it placed the nodes.
INTERNAL = ("com.ms.internal.nhwc", "com.microsoft.nchwc")

READ = """
import json
import onnxruntime
import onnxruntime.capi.onnxruntime_pybind11_state as state

def parameter(of):
    option = {"Optional": "?", "Variadic": "*" if of.isHomogeneous else "+"}.get(str(of.option).rpartition(".")[2], "")
    return [of.name, of.typeStr + option]

print(json.dumps({
    "version": onnxruntime.__version__,
    "kernels": [
        [k.provider, k.domain, k.op_name, *k.version_range, {name: sorted(t) for name, t in k.type_constraints.items()}]
        for k in state.get_all_opkernel_def()
    ],
    "schemas": [
        [s.domain, s.name, s.since_version, [parameter(p) for p in s.inputs], [parameter(p) for p in s.outputs],
         {c.type_param_str: sorted(c.allowed_type_strs) for c in s.type_constraints}, bool(s.deprecated),
         [[a.name, str(a.type).rpartition(".")[2]] for a in s.attributes.values() if a.required]]
        for s in state.get_all_operator_schema()
    ],
}))
"""


def read(environment, rig):
    """What one onnxruntime says of its kernels and operators."""
    # Without libraries for the TensorRT provider the list of kernels is a crash: onnxruntime asks every provider.
    subprocess.run([sys.executable, RIG, "--driver", "--tensorrt", environment, rig], check=True)
    variables = {**os.environ, "PYTHONPATH": str(environment), "LD_LIBRARY_PATH": str(rig)}
    said = subprocess.run([sys.executable, "-c", READ], env=variables, stdout=subprocess.PIPE, cwd=rig, check=True)
    return json.loads(said.stdout)


def short(name):
    """A type's name: element type alone for a tensor."""
    inner = name.removeprefix("tensor(").removesuffix(")")
    return inner if name == f"tensor({inner})" else name


def merged(kernels):
    """Kernels of one operator that differ in one constraint's types only, as one with all those types."""
    kernels = [(start, end, {name: frozenset(types) for name, types in of.items()}, versions)
               for start, end, of, versions in kernels]
    done = False
    while not done:
        done = True
        for a in range(len(kernels)):
            for b in range(a + 1, len(kernels)):
                one, other = kernels[a], kernels[b]
                if (one[0], one[1], one[3]) != (other[0], other[1], other[3]) or one[2].keys() != other[2].keys():
                    continue
                differing = [name for name in one[2] if one[2][name] != other[2][name]]
                if len(differing) > 1:
                    continue
                types = {**one[2], **{name: one[2][name] | other[2][name] for name in differing}}
                kernels[a : b + 1] = [(one[0], one[1], types, one[3]), *kernels[a + 1 : b]]
                done = False
                break
            if not done:
                break
    return kernels


def kernel_rows(read_all, provider):
    """Rows [domain, op, since_start, since_end, types, versions], sorted. Versions: indexes, null for all."""
    seen = {}
    for index, of in enumerate(read_all):
        for asked, domain, op, start, end, types in of["kernels"]:
            if PROVIDERS.get(asked) != provider or domain in INTERNAL:
                continue
            key = (domain, op, start, None if end == OPEN_END else end, json.dumps(types, sort_keys=True))
            versions = seen.setdefault(key, [])
            if index not in versions:
                versions.append(index)
    operators = {}
    for (domain, op, start, end, types), versions in seen.items():
        operators.setdefault((domain, op), []).append((start, end, json.loads(types), tuple(versions)))
    rows = []
    for (domain, op), kernels in operators.items():
        for start, end, types, versions in merged(kernels):
            types = {name: sorted(map(short, of)) for name, of in sorted(types.items())}
            rows.append([domain, op, start, end, types, None if len(versions) == len(read_all) else list(versions)])
    return sorted(rows, key=lambda row: [*row[:3], row[3] or OPEN_END, json.dumps(row[4:])])


def schema_rows(of, kernels, have_function):
    """Rows [domain, op, since_version, inputs, outputs, types, flags] of every operator."""
    # A kernel may name a parameter where it means its type; such parameters are written "name:type".
    named = {}
    for domain, op, _, _, types, _ in kernels:
        named.setdefault((domain, op), set()).update(types)
    rows = []
    for domain, op, since, inputs, outputs, types, deprecated, _ in of["schemas"]:
        if domain in INTERNAL:
            continue
        kept = named.get((domain, op), set()) - set(types)

        def parameter(one):
            name, of_type = one
            option = of_type[-1] if of_type[-1] in "?*+" else ""
            return (f"{name}:" if name in kept else "") + short(of_type.removesuffix(option)) + option

        single = {name: short(allowed[0]) for name, allowed in sorted(types.items()) if len(allowed) == 1}
        flags = (["deprecated"] if deprecated else []) + have_function.get((domain, op, since), [])
        rows.append([domain, op, since, [*map(parameter, inputs)], [*map(parameter, outputs)], single, flags])
    return sorted(rows, key=lambda row: row[:3])


def written(name, head, sections):
    """A JSON file with one row a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for key, rows in sections.items():
        body = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        lines.append(f"{json.dumps(key)}: [\n{body}\n]")
    (HERE / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{name}: {', '.join(f'{len(rows)} {key}' for key, rows in sections.items())}")


def main(environments):
    with tempfile.TemporaryDirectory() as folder:
        read_all = [(read(path, pathlib.Path(folder, str(n))), path, pathlib.Path(folder, str(n)))
                    for n, path in enumerate(environments)]
        read_all.sort(key=lambda one: [int(part) for part in one[0]["version"].split(".")])
        tables = [table for table, _, _ in read_all]
        versions = [table["version"] for table in tables]
        newest = tables[-1]
        known = {tuple(schema[:3]) for schema in newest["schemas"]}
        kernels = kernel_rows(tables, "cuda")
        columns = ["domain", "op", "since_start", "since_end", "types", "versions"]
        written("kernels.json", {"versions": versions, "columns": columns},
                {"cuda": kernels, "cpu": kernel_rows(tables, "cpu")})
        newest_since = [max(row[2] for row in table["schemas"] if row[0] == "") for table in tables]
        columns = ["domain", "op", "since_version", "inputs", "outputs", "types", "flags"]
        written("schemas.json", {"from": versions[-1], "versions": versions, "newest_since_version": newest_since,
                                 "columns": columns}, {"operators": schema_rows(newest, kernels, functions.flags())})
        written("functions.json", {"from_onnx": functions.onnx_version()}, {"functions": functions.bodies(known), "functions_of_context": contexts.rows(known)})
        columns = ["domain", "op", "since_start", "cpu_inputs", "cpu_outputs", "versions"]
        written("cpu_slots.json", {"versions": versions, "columns": columns},
                {"operators": slots.rows([(table, path, rig) for table, path, rig in read_all])})


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    asked.add_argument("--env", action="append", required=True, type=pathlib.Path, help="folder with one onnxruntime-gpu")
    main([path.resolve() for path in asked.parse_args().env])
