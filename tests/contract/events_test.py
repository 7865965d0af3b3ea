#!/usr/bin/env python3
"""Holds api/events/ and api/asyncapi.yaml against each other, against the source, and against the events of a server."""
import copy
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from event_schemas import EventSchemas, make_all_types  # noqa: E402
from live import Client, Node  # noqa: E402
from tap import SOURCE, Skip, Tap, read  # noqa: E402

PARSER = os.path.join(SOURCE, "build-tools", "asyncapi", "node_modules")


def check_schemas(tap, schemas):
    tap.check("schemas bear their types' names", (n for n, schema in schemas.files.items() if schema["title"] != n))
    tap.check("schemas have an example each", (n for n, schema in schemas.files.items() if not schema.get("examples")))
    tap.check("their examples are such events",
              (p for n, schema in schemas.files.items() for data in schema["examples"] for p in schemas.problems(n, data)))
    tap.check("consumers of today take members of tomorrow",
              (n for n, schema in schemas.files.items() if "additionalProperties" in str(schema)))
    wrong = copy.deepcopy(schemas.files["ledger.entry.posted.v1"]["examples"][0])
    wrong["change"], wrong["new"] = "12.34", 1
    with tap.point("a wrong event is seen"):
        assert len(schemas.problems("ledger.entry.posted.v1", wrong)) == 2


def check_source(tap, schemas):
    source = read("src/events/event.c")
    types = set(re.findall(r'"(ledger\.[a-z]+\.[a-z]+\.v1)"', source))
    tap.check("types are those of the source", types ^ set(schemas.files))
    document = schemas.asyncapi
    messages = {name: m for name, m in document["components"]["messages"].items() if name != "position"}
    tap.check("AsyncAPI names these types", {m["name"] for m in messages.values()} ^ types)
    topics = {c["address"]: c for c in document["channels"].values()}
    made = dict(re.findall(r'\{"(ledger\.[a-z]+\.v1)", (true|false)', read("src/relay/message.c")))
    made["ledger.position.v1"] = "true"
    tap.check("AsyncAPI's channels are the relay's topics", set(made) ^ set(topics))
    tap.check("compacted are those that the relay makes so",
              (t for t in made if ("topicConfiguration" in topics[t]["bindings"]["kafka"]) != (made[t] == "true")))
    tap.check("every channel sends what belongs to its topic",
              (f"{t}: {name}" for t, c in topics.items() for name in c["messages"] if name != "position" and
               not messages[name]["name"].startswith(t[:-len("v1")])))
    tap.check("every message has its schema's file, and its channel",
              (name for name, m in messages.items() if m["payload"]["$ref"] != f"events/{m['name']}.schema.json" or
               not any(name in c["messages"] for c in topics.values())))
    tap.check("every channel is sent to by one operation",
              {f"#/channels/{name}" for name in document["channels"]} ^
              {o["channel"]["$ref"] for o in document["operations"].values() if o["action"] == "send"})


class Example:
    """An example of the document, as a message."""

    def __init__(self, example):
        self.headers, self.payload = example["headers"], example["payload"]
        self.key = self.headers["ce_subject"]

    def data(self):
        return self.payload


def check_examples(tap, schemas):
    messages = schemas.asyncapi["components"]["messages"]
    tap.check("AsyncAPI's examples are such messages",
              (p for m in messages.values() if m["name"] != "position" for e in m["examples"]
               for p in schemas.message_problems(Example(e))))
    tap.check("so is that of the position",
              (e.message for m in messages["position"]["examples"] for e in schemas.position.iter_errors(m["payload"])))


def check_parser(tap):
    with tap.point("AsyncAPI's own parser finds nothing wrong"):
        if shutil.which("node") is None or not os.path.isdir(PARSER):
            raise Skip("AsyncAPI's parser is not there: ./dev test fetches it")
        done = subprocess.run(["node", os.path.join(SOURCE, "tests/contract/asyncapi/check.js"),
                               os.path.join(SOURCE, "api/asyncapi.yaml")], capture_output=True, text=True,
                              env={**os.environ, "NODE_PATH": PARSER}, timeout=120, check=False)
        assert done.returncode == 0 and done.stdout == "" and "4 channels" in done.stderr, done.stdout + done.stderr


def check_server(tap, schemas):
    with Node() as node:
        node.start()
        client = Client(node.port)
        make_all_types(client)
        events = client.must(200, "GET", "/events?limit=1000")["events"]
        client.close()
    tap.check("a server's events are of every type", {e["type"] for e in events} ^ set(schemas.files))
    tap.check("each is as its schema says, and has nothing that the schema does not know",
              (p for e in events for p in schemas.problems(e["type"], e["data"])))
    counts = {}
    for event in events:
        counts.setdefault(event["data"]["seq"], []).append(event["data"]["events"])
    tap.check("each says of how many events its record is", (s for s, said in counts.items() if set(said) != {len(said)}))


def main():
    tap = Tap()
    schemas = EventSchemas()
    check_schemas(tap, schemas)
    check_source(tap, schemas)
    check_examples(tap, schemas)
    check_parser(tap)
    check_server(tap, schemas)
    tap.done()


main()
