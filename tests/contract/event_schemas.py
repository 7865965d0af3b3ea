"""Events held against api/events/*.schema.json and api/asyncapi.yaml.

    schemas = EventSchemas()
    schemas.problems(type, data)      # lines; also for members that no schema knows
    schemas.message_problems(message) # one of kafka.messages()
"""
import copy
import glob
import json
import os
import re
import site

import yaml

from tap import SOURCE, read, skip_all

TRACE = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
VENV = os.path.join(SOURCE, "build-tools", "venv")
for directory in glob.glob(os.path.join(VENV, "lib", "python3*", "site-packages")):
    site.addsitedir(directory)
try:
    import jsonschema
except ImportError:
    skip_all("jsonschema is not installed: ./dev test does it (tests/requirements.txt)")
if not hasattr(jsonschema, "Draft202012Validator"):
    skip_all("jsonschema is too old for JSON Schema 2020-12")


def closed(schema):
    """The same, with members refused that it does not name: what is published must be documented."""
    if isinstance(schema, dict):
        schema = {name: closed(part) for name, part in schema.items()}
        if "properties" in schema:
            schema["additionalProperties"] = False
    elif isinstance(schema, list):
        schema = [closed(part) for part in schema]
    return schema


class EventSchemas:
    def __init__(self):
        self.files = {os.path.basename(path)[:-len(".schema.json")]: json.loads(read(os.path.relpath(path, SOURCE)))
                      for path in sorted(glob.glob(os.path.join(SOURCE, "api", "events", "*.schema.json")))}
        self.asyncapi = yaml.safe_load(read("api/asyncapi.yaml"))
        for schema in self.files.values():
            jsonschema.Draft202012Validator.check_schema(schema)
        self.strict = {name: jsonschema.Draft202012Validator(closed(schema)) for name, schema in self.files.items()}
        self.headers = self.component("headers")
        self.position = self.component("position")

    def component(self, name):
        schema = closed(copy.deepcopy(self.asyncapi["components"]["schemas"][name]))
        return jsonschema.Draft202012Validator({**schema, "components": self.asyncapi["components"]})

    def problems(self, kind, data):
        if kind not in self.strict:
            return [f"no schema for {kind}"]
        return [f"{kind}: {error.json_path}: {error.message}" for error in self.strict[kind].iter_errors(data)]

    def message_problems(self, message):
        """Headers, key, time and data of a message of one of the three topics of events."""
        headers, data = message.headers, message.data()
        found = [f"header {error.json_path}: {error.message}" for error in self.headers.iter_errors(headers)]
        found += self.problems(headers.get("ce_type"), data)
        if found:
            return found
        name, seq, leg = re.fullmatch(r"(.+?):(\d+)(?::(\d+))?", headers["ce_id"]).groups()
        expected = {"ce_source": f"/ledgers/{name}", "ce_subject": message.key, "ce_time": data["recordedAt"]}
        found += [f"{header} is {headers[header]}, not {value}" for header, value in expected.items() if headers[header] != value]
        if (data["ledger"], data["seq"], data.get("leg")) != (name, int(seq), leg and int(leg)):
            found.append(f"{headers['ce_id']} is not the id of {data['ledger']}:{data['seq']}:{data.get('leg')}")
        return found


def make_all_types(client):
    """At least one event of each type, with and without what may be missing."""
    client.must(201, "POST", "/accounts", {"currency": "USD", "type": "wallet", "externalId": "alice", "name": "Alice",
                                           "metadata": {"plan": "pro"}}, TRACE)
    client.must(201, "POST", "/accounts", {"currency": "USD", "externalId": "bob"})
    client.must(201, "POST", "/accounts/ext:alice/credits", {"amount": 5000})
    transfer = {"from": "ext:alice", "to": "ext:bob", "amount": 1500, "currency": "USD"}
    first = client.must(201, "POST", "/transfers", {**transfer, "idempotencyKey": "17", "reference": "17", "metadata": {"a": 1}}, TRACE)
    client.must(422, "POST", "/transfers", {**transfer, "amount": 99999})
    client.must(201, "POST", f"/transfers/{first['transferId']}/reverse", {"amount": 500})
    client.must(200, "PATCH", "/accounts/ext:alice", {"name": "Alice B.", "metadata": {}})
    client.must(200, "PATCH", "/accounts/ext:alice", {"status": "frozen"})
    client.must(201, "POST", "/transactions", {"postings": [
        {"debit": "@world", "credit": "ext:bob", "amount": n, "currency": "USD"} for n in (1, 2)]})
