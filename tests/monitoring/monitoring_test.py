#!/usr/bin/env python3
"""deploy/prometheus/ and deploy/grafana/ against a real Prometheus that scrapes real servers: every metric named exists, every
expression evaluates, every alert has a test in which it fires."""
import json
import os
import re
import subprocess
import sys
import time

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import prometheus as prom  # noqa: E402
from fleet import Fleet  # noqa: E402
from live import Client  # noqa: E402
from tap import Tap, read  # noqa: E402

prom.need_programs()
# A collector that is not there: a server without one has no series of spans.
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
METRIC = re.compile(r"\b(?:creditledger|process)_\w+\b|\bup\b")


def rules():
    return yaml.safe_load(read("deploy/prometheus/alerts.yml"))["groups"][0]["rules"]


def panels():
    return [p for p in json.loads(read("deploy/grafana/creditledger.json"))["panels"] if p["type"] != "row"]


def expressions():
    """(where, expression) with the dashboard's variables filled in."""
    found = [(rule["alert"], rule["expr"]) for rule in rules()]
    for panel in panels():
        for target in panel["targets"]:
            found.append((panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$job", "creditledger")))
    return found


def check_files(tap):
    for name, words in (("prometheus.yml", ("check", "config")), ("alerts.yml", ("check", "rules")),
                        ("alerts_test.yml", ("test", "rules"))):
        with tap.point(f"promtool {' '.join(words)} {name}"):
            done = subprocess.run([prom.program("promtool"), *words, name], cwd=prom.DEPLOY, capture_output=True, text=True,
                                  timeout=120, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load(read("deploy/prometheus/alerts_test.yml"))["tests"]
    cases = [(case["alertname"], bool(case.get("exp_alerts"))) for test in tests for case in test["alert_rule_test"]]
    tap.check("each alert has a test in which it fires, and one in which it does not",
              (rule["alert"] for rule in rules() if {(rule["alert"], True), (rule["alert"], False)} - set(cases)))
    tap.check("each alert says what to do", (rule["alert"] for rule in rules()
                                             if not {"summary", "description"} <= set(rule["annotations"]) or
                                             rule["labels"]["severity"] not in ("info", "warning", "critical")))
    ids = [p["id"] for p in panels()]
    tap.check("panels have ids of their own, and descriptions",
              [p["title"] for p in panels() if ids.count(p["id"]) != 1 or not p["description"]])


def make_everything(client):
    """Reads, writes, a decline: so that every series by class, code and asset is there."""
    for name in ("alice", "bob"):
        client.must(201, "POST", "/accounts", {"currency": "USD", "type": "wallet", "externalId": name})
    client.must(201, "POST", "/accounts/ext:alice/credits", {"amount": 5000})
    transfer = {"from": "ext:alice", "to": "ext:bob", "amount": 1, "currency": "USD"}
    for _ in range(50):
        client.must(201, "POST", "/transfers", transfer)
        client.must(200, "GET", "/accounts/ext:alice/balance")
    client.must(422, "POST", "/transfers", {**transfer, "amount": 99999})


def check_expressions(tap, prometheus):
    names = prometheus.names()
    tap.check("every metric that a rule or a panel names exists",
              sorted({f"{name} ({where})" for where, text in expressions() for name in METRIC.findall(text)
                      if name not in names}))

    def evaluate(where, text):
        try:
            prometheus.query(text)
        except AssertionError as error:
            yield f"{where}: {error}"

    tap.check("every expression evaluates", (p for where, text in expressions() for p in evaluate(where, text)))
    quiet = [f"{panel['title']}: {target['expr']}" for panel in panels() for target in panel["targets"]
             if not prometheus.query(target["expr"].replace("$__rate_interval", "1m").replace("$job", "creditledger"))]
    tap.check("every panel's expressions have something to show", quiet)
    loaded = prometheus.get("rules")["groups"][0]["rules"]
    tap.check("every rule is healthy", (f"{r['name']}: {r.get('lastError')}" for r in loaded if r["health"] != "ok"))
    tap.check("no alert fires", (f"{r['name']}" for r in loaded if r["state"] == "firing"))


def main():
    tap = Tap()
    check_files(tap)
    with Fleet() as fleet:
        nodes = {roles: fleet.start(roles) for roles in ("api", "relay", "projector")}
        with prom.Prometheus({name: f"127.0.0.1:{node.port}" for name, node in nodes.items()}, interval="500ms") as prometheus:
            prometheus.wait_targets()
            time.sleep(1)  # a first value of what is counted, before it moves
            client = Client(nodes["api"].port)
            make_everything(client)
            client.close()
            fleet.settle()
            time.sleep(2)
            check_expressions(tap, prometheus)
    tap.done()


main()
