#!/usr/bin/env python3
"""Holds api/openapi.yaml against the tables that the server is made of, in both directions."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import SOURCE, Skip, Tap, read  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tables import contract, limits, rows  # noqa: E402

METHODS = ("get", "post", "patch", "put", "delete")
SCOPES = {"READ": "read", "POST": "post", "ADMIN": "admin"}


def operations(spec):
    """(METHOD, path) to operation, with the path's parameters and servers taken in."""
    found = {}
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                operation = dict(item[method])
                operation["parameters"] = [resolve(spec, p) for p in
                                           item.get("parameters", []) + operation.get("parameters", [])]
                operation["servers"] = operation.get("servers") or item.get("servers") or spec["servers"]
                found[method.upper(), path] = operation
    return found


def resolve(spec, node):
    while isinstance(node, dict) and "$ref" in node:
        target = spec
        for part in node["$ref"][2:].split("/"):
            target = target[part.replace("~1", "/")]
        node = target
    return node


def routes():
    table = rows("src/api/routes.h", "ROUTE_TABLE")
    assert len(table) > 20, "the route table was not understood"
    return {(row[1], row[2]): dict(zip(("name", "method", "pattern", "access", "place", "body", "dry_run"), row))
            for row in table}


def parameter_names(operation, where):
    return {p["name"] for p in operation["parameters"] if p["in"] == where}


def check_routes(tap, spec):
    have, want = operations(spec), routes()
    tap.check("every route is in the contract", (f"{m} {p}" for m, p in want if (m, p) not in have))
    tap.check("every operation has a route", (f"{m} {p}" for m, p in have if (m, p) not in want))
    both = {key: (have[key], want[key]) for key in have if key in want}

    def wrong(test):
        return [f"{m} {p}" for (m, p), (operation, route) in both.items() if not test(operation, route)]

    tap.check("path parameters are declared",
              (f"{m} {p}" for (m, p), (operation, _) in both.items()
               if parameter_names(operation, "path") != set(re.findall(r"{(\w+)}", p))))
    tap.check("routes of all ledgers have no second server",
              wrong(lambda o, r: (len(o["servers"]) == 1) == (r["place"] == "GLOBAL")))
    tap.check("dryRun stands where it works",
              wrong(lambda o, r: ("dryRun" in parameter_names(o, "query")) == (r["dry_run"] == "true")))
    tap.check("bodies stand where they are read",
              wrong(lambda o, r: ("requestBody" in o) == (r["body"] != "NONE")))
    tap.check("bulk routes take both content types",
              wrong(lambda o, r: r["body"] == "NONE" or ("application/x-ndjson" in resolve(spec, o["requestBody"])["content"]) ==
                    (r["body"] == "BULK")))
    tap.check("scopes are the routes'",
              wrong(lambda o, r: (o["security"] == []) if r["access"] == "OPEN" else
                    {"bearer": [SCOPES[r["access"]]]} in o["security"]))
    tap.check("reads of a ledger take Ledger-Min-Seq",
              wrong(lambda o, r: ("Ledger-Min-Seq" in parameter_names(o, "header")) ==
                    (r["method"] == "GET" and r["place"] == "LEDGER")))
    ids = [o["operationId"] for o in have.values()]
    tap.check("operation ids are unique", {i for i in ids if ids.count(i) > 1})


def check_refusals(tap, spec):
    codes = [row[1] for row in rows("src/ledger/refusal.h", "REFUSAL_TABLE")]
    assert len(codes) > 40, "the refusal table was not understood"
    listed = spec["components"]["schemas"]["Code"]["enum"]
    tap.check("every code is in the contract", set(codes) - set(listed))
    tap.check("every code of the contract exists", set(listed) - set(codes))
    statuses = {int(row[3]) for row in rows("src/ledger/refusal.h", "REFUSAL_TABLE")}
    named = {int(s) for o in operations(spec).values() for s in o["responses"] if s != "default"}
    tap.check("no refusal status is named that no refusal has", {s for s in named if s >= 400 and s not in statuses})
    example = spec["components"]["schemas"]["Problem"]["example"]
    row = next(r for r in rows("src/ledger/refusal.h", "REFUSAL_TABLE") if r[1] == example["code"])
    tap.check("the example of a problem is the table's",
              [] if [str(example["status"]), example["title"], example["hint"]] == [row[3], row[5], row[6]] else [row])


def check_words(tap, spec):
    schemas = spec["components"]["schemas"]
    kinds = [row[1] for row in rows("src/ledger/record.h", "RECORD_KIND_TABLE")]
    tap.check("kinds of records exist", set(schemas["Kind"]["enum"]) - set(kinds))
    types = [row[1] for row in rows("src/ledger/record.h", "ACCOUNT_TYPE_TABLE")]
    tap.check("account types are the table's", set(schemas["AccountType"]["enum"]) ^ set(types))
    tap.check("account types to open are those and wallet",
              set(schemas["AccountRequest"]["properties"]["type"]["enum"]) ^ (set(types) | {"wallet"}))
    event_types = set(re.findall(r"ledger\.(?:transfer|entry|account)\.\w+\.v1",
                                 "".join(read("src/events/" + f) for f in os.listdir(SOURCE + "/src/events")
                                         if f.endswith(".c") and not f.endswith("_test.c"))))
    tap.check("event types are those of the source", event_types ^ set(schemas["Event"]["properties"]["type"]["enum"]))


def check_limits(tap, spec):
    numbers, schemas = limits(), spec["components"]["schemas"]
    parameters = spec["components"]["parameters"]
    pairs = {
        "LIMIT_AMOUNT_MAX": schemas["Amount"]["oneOf"][0]["maximum"],
        "LIMIT_ASSET_SCALE_MAX": schemas["Asset"]["properties"]["scale"]["maximum"],
        "LIMIT_IDEMPOTENCY_KEY_MAX": schemas["IdempotencyKey"]["maxLength"],
        "LIMIT_REFERENCE_MAX": schemas["Reference"]["maxLength"],
        "LIMIT_EXTERNAL_ID_MAX": schemas["AccountRequest"]["properties"]["externalId"]["maxLength"],
        "LIMIT_NAME_MAX": schemas["AccountRequest"]["properties"]["name"]["maxLength"],
        "LIMIT_POSTINGS_MAX": schemas["TransactionRequest"]["properties"]["postings"]["maxItems"],
        "LIMIT_EXPECTS_MAX": schemas["TransactionRequest"]["properties"]["expect"]["maxItems"],
        "LIMIT_BATCH_ELEMENTS_MAX": spec["paths"]["/transfers/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]["maxItems"],
        "LIMIT_PAGE_MAX": parameters["Limit"]["schema"]["maximum"],
        "LIMIT_PAGE_DEFAULT": parameters["Limit"]["schema"]["default"],
    }
    tap.check("limits are those of base/limits.h",
              (f"{name} is {numbers.get(name)}, the contract says {said}" for name, said in pairs.items()
               if numbers.get(name) != said))
    tap.check("metadata's limit is named", [] if str(numbers["LIMIT_METADATA_MAX"]) in schemas["Metadata"]["description"] else ["no"])


def check_examples(tap, spec):
    """Every example of a request satisfies its schema."""
    try:
        import jsonschema
    except ImportError:
        jsonschema = None
    for (method, path), operation in operations(spec).items():
        if "requestBody" not in operation:
            continue
        with tap.point(f"examples of {method} {path} fit their schema"):
            if jsonschema is None:
                raise Skip("python's jsonschema is not installed")
            content = operation["requestBody"]["content"]["application/json"]
            examples = [content["example"]] if "example" in content else [e["value"] for e in content["examples"].values()]
            assert examples
            for example in examples:
                jsonschema.Draft202012Validator({**content["schema"], "components": spec["components"]}).validate(example)


def check_document(tap, spec):
    with tap.point("the contract is valid OpenAPI 3.1"):
        try:
            from openapi_spec_validator import validate
        except ImportError as error:
            raise Skip("openapi-spec-validator is not installed") from error
        assert spec["openapi"].startswith("3.1")
        validate(spec)

    def nulls(node, path):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            if value is None and "example" not in path:
                yield f"{path}/{key}"
            yield from nulls(value, f"{path}/{key}")

    tap.check("no text was cut short by YAML's commas", nulls(spec, ""))


def main():
    tap = Tap()
    spec = contract()
    check_document(tap, spec)
    check_routes(tap, spec)
    check_refusals(tap, spec)
    check_words(tap, spec)
    check_limits(tap, spec)
    check_examples(tap, spec)
    tap.done()


# The validators live in an environment of their own, which ./dev test makes.
VENV = os.path.join(SOURCE, "build-tools", "venv", "bin", "python")
if __name__ == "__main__":
    if os.path.exists(VENV) and os.path.abspath(sys.prefix) != os.path.dirname(os.path.dirname(VENV)):
        os.execv(VENV, [VENV, *sys.argv])
    main()
