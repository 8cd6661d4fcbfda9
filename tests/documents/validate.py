"""Holds documents against JSON Schemas, by the validator jsonschema.

Reads a JSON list from standard input, of objects with `schema` and `document` (files) and `valid` (whether the document must
fit), and prints a line for each that is not as it must be.
"""

import json
import pathlib
import sys

import jsonschema

validators = {}
for case in json.load(sys.stdin):
    name = case["schema"]
    if name not in validators:
        schema = json.loads(pathlib.Path(name).read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        validators[name] = jsonschema.Draft202012Validator(schema)
    document = json.loads(pathlib.Path(case["document"]).read_text())
    problem = next(validators[name].iter_errors(document), None)
    where = f"{case['document']} by {name}"
    if case["valid"] and problem is not None:
        print(f"{where}: {problem.json_path}: {problem.message[:300]}")
    elif not case["valid"] and problem is None:
        print(f"{where}: it fits, and must not")
