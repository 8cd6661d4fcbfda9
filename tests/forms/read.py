#!/usr/bin/env python3
"""Reads reports with the parsers of others: read.py PLAIN FOLDER.

A file's ending is its form's name. PLAIN holds reports of recordings as they are: a tag or an attribute that none of those
has is not ours. What is wrong is printed, and the exit code is 1.
"""
import json, pathlib, re, sys
import xml.etree.ElementTree as ElementTree

import html5lib
from junitparser import Error, Failure, JUnitXml, Skipped
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

PLAIN, FOLDER = (pathlib.Path(argument) for argument in sys.argv[1:3])
FOLDED = re.compile(r"<details>\s*<summary>[A-Za-z0-9 :,]*</summary>\s*|</details>\s*")
# What GitHub or GitLab would make a mention, a reference or a link of, in text that is no code.
LIVE = re.compile(r"@\w|[#!$~%&]\w|~\"|://|www\.|\b[A-Z]{2,}-\d|\b[0-9a-f]{7,40}\b")
COMMAND = re.compile(r"::(error|warning|notice) (?:file=([^:,\s]+),line=(\d+),)?title=([^:,\n\r]*)::([^\n\r]*)\n")
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
# What JUnit's readers know, by element: Jenkins' xUnit plugin refuses a file with any other (its junit-10.xsd).
JUNIT = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}, {"properties", "testcase"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname"}, {"failure", "skipped", "system-out"}),
    "failure": ({"message", "type"}, set()),
    "skipped": ({"message", "type"}, set()),
    "system-out": (set(), set()),
}
LABELS = {"version", "verdict", "cause", "stage", "severity", "confidence", "check", "standing", "probe", "step", "waived"}
problems = []


def wrong(path, what):
    problems.append(f"{path}: {what}")


def junit(path, text):
    if CONTROL.search(text):
        wrong(path, "a control character")
    root = ElementTree.fromstring(text)
    for element in root.iter():
        attributes, children = JUNIT.get(element.tag, (set(), set()))
        if element.tag not in JUNIT or set(element.keys()) - attributes or {child.tag for child in element} - children:
            wrong(path, f"<{element.tag}> with {sorted(element.keys())} and {sorted({child.tag for child in element})}")
    cases = 0
    for suite in JUnitXml.fromstring(text.encode()):
        results = [result for case in suite for result in case.result]
        failed = sum(isinstance(result, (Failure, Error)) for result in results)
        skipped = sum(isinstance(result, Skipped) for result in results)
        if (suite.tests, suite.failures, suite.skipped) != (len(list(suite)), failed, skipped):
            wrong(path, f"the suite {suite.name} does not count right")
        cases += len(list(suite))
    if not cases or int(root.get("tests")) != cases:
        wrong(path, f"{root.get('tests')} tests and {cases} test cases")


def metrics(path, text):
    for parse in (openmetrics, prometheus):
        seen = set()
        for family in parse(text):
            if not family.name.startswith("gpu_doctor_") or family.type != "gauge":
                wrong(path, f"{family.name} is a {family.type}")
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key in seen or sample.timestamp is not None or set(sample.labels) - LABELS or not all(re.fullmatch(r"[\w.-]*", label) for label in sample.labels.values()):
                    wrong(path, f"{key}")
                seen.add(key)
        if not seen:
            wrong(path, "no sample")
    if not text.endswith("\n# EOF\n") or text.count("# EOF") != 1:
        wrong(path, "# EOF is not at the end alone")


def markdown(path, text):
    if len(text.encode()) > 60_000:
        wrong(path, f"{len(text.encode())} bytes")
    if CONTROL.search(text):
        wrong(path, "a control character")
    lines = text.split("\n")
    folded = 0
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text):
        for one in [token, *(token.children or [])]:
            if one.type in ("html_block", "html_inline"):
                folded += one.content.count("<details>") - one.content.count("</details>")
                if FOLDED.sub("", one.content).strip():
                    wrong(path, f"HTML that is not ours: {one.content[:200]!r}")
            elif one.type in ("link_open", "image"):
                wrong(path, f"a link or an image: {one.attrs}")
            elif one.type == "text" and LIVE.search(one.content):
                wrong(path, f"a mention, a reference or a link: {one.content[:300]!r}")
            elif one.type == "fence":
                last = lines[one.map[1] - 1].strip()
                if last != one.markup or one.info not in ("", "sh"):
                    wrong(path, f"a fence that is not closed or not ours: {lines[one.map[0]][:200]!r} .. {last[:200]!r}")
        if token.type == "paragraph_open" and lines[token.map[0]].lstrip().startswith("/"):
            wrong(path, f"a command to GitLab: {lines[token.map[0]][:200]!r}")
    if folded:
        wrong(path, "<details> is not balanced")


def github(path, text):
    commands = text.splitlines(keepends=True)
    for line in commands:
        if not COMMAND.fullmatch(line) or CONTROL.search(line.rstrip("\n")):
            wrong(path, f"no command of ours: {line[:200]!r}")
    kinds = [line.split(" ")[0] for line in commands]
    if any(kinds.count(kind) > 10 for kind in set(kinds)) or not commands or kinds[-1] != "::notice":
        wrong(path, f"{[(kind, kinds.count(kind)) for kind in set(kinds)]}, the last one {kinds[-1:]}")


def npd(path, text):
    if not re.fullmatch(r"(OK|WARNING|CRITICAL|UNKNOWN) - [ -{}~]*\n", text) or len(text) > 81:
        wrong(path, repr(text))


def printed(path, text):
    if CONTROL.search(text):
        wrong(path, f"a control character: {CONTROL.search(text)[0]!r}")


def elements(text):
    tree = html5lib.parse(text, treebuilder="etree", namespaceHTMLElements=False)
    return [element for element in tree.iter() if isinstance(element.tag, str)]


def html(path, text):
    # No recording has an unknown fact for proof.
    ours = {("i", "")} | {(element.tag, name) for plain in PLAIN.glob("*.html") for element in elements(plain.read_text()) for name in ["", *element.keys()]}
    found = elements(text)
    for element in found:
        foreign = [name for name in ["", *element.keys()] if (element.tag, name) not in ours]
        links = [element.get(name) for name in ("href", "src", "action", "data") if element.get(name)]
        if foreign or [name for name in element.keys() if name.lower().startswith("on")]:
            wrong(path, f"<{element.tag}> with {foreign or list(element.keys())} is not ours")
        if any(not link.startswith(("#", "data:image/")) for link in links):
            wrong(path, f"<{element.tag}> leads to {links}")
    scripts = {sum(element.tag == "script" for element in elements(plain.read_text())) for plain in PLAIN.glob("*.html")}
    if sum(element.tag == "script" for element in found) not in scripts:
        wrong(path, "a script that is not ours")


READERS = {
    "junit": junit, "openmetrics": metrics, "markdown": markdown, "github": github, "npd": npd, "text": printed, "short": printed,
    "html": html, "json": lambda path, text: json.loads(text).keys(),
}
files = sorted(FOLDER.iterdir())
for path in files:
    form = path.suffix[1:]
    try:
        READERS[form](path.name, path.read_text())
    except Exception as error:
        wrong(path.name, f"{type(error).__name__}: {error}")
print(*problems[:40], sep="\n")
print(f"{len(files)} files, {len(problems)} problems")
sys.exit(bool(problems) or not files)
