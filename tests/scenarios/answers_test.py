#!/usr/bin/env python3
"""Holds the answers of all scenarios against the contract: their status, their headers and every member.

usage: answers_test.py SCENARIO_RUNNER SCENARIO...
"""
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "contract")]
from tap import SOURCE, Tap, skip_all  # noqa: E402

VENV = os.path.join(SOURCE, "build-tools", "venv", "bin", "python")
TRANSPORT = {"content-type", "content-length", "connection", "date", "transfer-encoding", "cache-control", "keep-alive",
             "x-content-type-options"}


def find_operation(spec, method, path):
    """The path's pattern and operation; literal paths come before those with parameters."""
    in_ledger = re.match(r"^/ledgers/[^/]+(/.+)$", path)
    path = in_ledger[1] if in_ledger else path
    for pattern in sorted(spec["paths"], key=lambda p: p.count("{")):
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", pattern), path) and method.lower() in spec["paths"][pattern]:
            return pattern, spec["paths"][pattern][method.lower()]
    return None, None


def resolve(spec, node):
    while "$ref" in node:
        target = spec
        for part in node["$ref"][2:].split("/"):
            target = target[part]
        node = target
    return node


def problems_of(spec, validator, exchange):
    """What of one answer is not as the contract says."""
    pattern, operation = find_operation(spec, exchange["method"], exchange["path"])
    if operation is None:
        if exchange["status"] not in (404, 405):
            yield f"no such operation, and yet {exchange['status']}"
        return
    responses = operation["responses"]
    response = responses.get(str(exchange["status"])) or responses.get("default")
    if response is None:
        yield f"status {exchange['status']} is not in the contract"
        return
    response = resolve(spec, response)
    media_type = exchange["type"].split(";")[0].strip()
    if media_type not in response["content"]:
        yield f"content type {media_type} is not in the contract for {exchange['status']}"
        return
    known = TRANSPORT | {name.lower() for name in response.get("headers", {})}
    for line in exchange["headers"].splitlines():
        if line.split(":")[0].lower() not in known:
            yield f"header {line} is not in the contract"
    if media_type == "application/x-ndjson":
        for line in exchange["answer"].splitlines():
            yield from validator({"$ref": "#/components/schemas/BatchResult"}, json.loads(line))
    elif media_type.endswith("json"):
        schema = response["content"][media_type]["schema"]
        yield from validator(schema, json.loads(exchange["answer"]))


def closed(node):
    """The schemas with unknown members refused, so that an answer cannot hold what the contract does not name."""
    if isinstance(node, dict):
        node = {key: closed(value) for key, value in node.items()}
        if "properties" in node and "additionalProperties" not in node:
            node["unevaluatedProperties"] = False
    elif isinstance(node, list):
        node = [closed(item) for item in node]
    return node


def main():
    try:
        import jsonschema
        from tables import contract
    except ImportError:
        skip_all("python's jsonschema is not installed")
    spec = closed(contract())
    def validate(schema, value):
        validator = jsonschema.Draft202012Validator({**schema, "components": spec["components"]})
        for error in validator.iter_errors(value):
            yield f"{error.json_path}: {error.message[:300]}"

    runner, files = sys.argv[1], sys.argv[2:]
    tap = Tap()
    with tempfile.TemporaryDirectory() as directory:
        record = os.path.join(directory, "exchanges.ndjson")
        subprocess.run([runner, "--memory", "--record", record, *files], stdout=subprocess.DEVNULL, check=False)
        with open(record, encoding="utf-8") as file:
            exchanges = [json.loads(line) for line in file]
    by_scenario = {}
    for exchange in exchanges:
        by_scenario.setdefault(exchange["scenario"], []).append(exchange)
    for scenario, group in by_scenario.items():
        tap.check(f"answers of {scenario}",
                  (f"{e['method']} {e['path']} {e['request'][:120]} {e['status']}: {problem}"
                   for e in group for problem in problems_of(spec, validate, e)))
    tap.check("every operation of a ledger was asked for", unasked(spec, exchanges))
    tap.done()


def unasked(spec, exchanges):
    asked = {(e["method"], find_operation(spec, e["method"], e["path"])[0]) for e in exchanges}
    for pattern, item in spec["paths"].items():
        for method in item.keys() & {"get", "post", "patch"}:
            if (method.upper(), pattern) not in asked and not pattern.startswith("/api/"):
                yield f"{method.upper()} {pattern} is in no scenario"


if __name__ == "__main__":
    if os.path.exists(VENV) and os.path.abspath(sys.prefix) != os.path.dirname(os.path.dirname(VENV)):
        os.execv(VENV, [VENV, *sys.argv])
    main()
