#!/usr/bin/env python3
"""Traces as a collector sees them: one of a transfer from its request to the read model, and collectors that are slow, broken or
away, which nobody who posts may feel."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import kafka  # noqa: E402
from collector import Receiver, Rotel, free_port  # noqa: E402
from live import PROGRAM, SLOWNESS, Client, Node  # noqa: E402
from tap import Skip, Tap  # noqa: E402

CLIENT = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
SECRET = "s3cretKey"


def environment(**values):
    """Only these variables of OpenTelemetry, and no proxy."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    os.environ["no_proxy"] = "*"
    os.environ.update({"OTEL_" + name: value for name, value in values.items()})


def metric(client, name):
    found = re.search(rf"^{name} (\S+)$", client.get("/metrics").body.decode(), re.M)
    return float(found[1]) if found else None


def open_pair(client):
    for name in ("a", "b"):
        client.must(201, "POST", "/accounts", {"currency": "USD", "externalId": name, "minBalance": None})


def transfer(client, headers=None):
    answer = client.post("/transfers", {"from": "ext:a", "to": "ext:b", "amount": 1, "currency": "USD"}, headers)
    assert answer.status == 201, answer
    return answer


def record_span(transfer_id):
    """The span id that a record's commit has."""
    return transfer_id.replace("-", "")[16:]


def expect_tree(found, posted, parent):
    request, queue, decide, commit = (found[name] for name in ("POST /transfers", "queue", "decide", "commit"))
    assert request.parent == parent, request
    assert request.kind == "SERVER" and not request.failed, request
    assert request.attributes == {
        "http.request.method": "POST", "http.route": "/transfers", "http.response.status_code": 201,
        "creditledger.ledger": "main", "creditledger.seq": posted["seq"]}, request
    assert {queue.parent, decide.parent, commit.parent} == {request.id}, found
    assert commit.id == record_span(posted["transferId"]), commit
    assert commit.attributes == {"creditledger.ledger": "main", "creditledger.seq": posted["seq"], "creditledger.batch": 1}, commit
    times = [request.began, queue.began, queue.ended, decide.began, decide.ended, commit.began, commit.ended, request.ended]
    assert times == sorted(times), times
    assert abs(time.time() - request.began / 1e9) < 600, request.began
    assert request.resource["service.name"] == "creditledger" and request.resource["creditledger.role"], request.resource
    assert len(request.resource["service.instance.id"]) == 36, request.resource


def one_trace(tap, url, receiver, what):
    environment(EXPORTER_OTLP_ENDPOINT=url)
    with Node() as node:
        node.start()
        client = Client(node.port)
        open_pair(client)
        with tap.point(f"{what}: one trace from the request through queue and decide to commit"):
            posted = transfer(client).json()
            expect_tree(receiver.wait(posted["traceId"], ["POST /transfers", "queue", "decide", "commit"]), posted, "")
        with tap.point(f"{what}: the client's trace goes on"):
            answer = transfer(client, {"traceparent": f"00-{CLIENT[0]}-{CLIENT[1]}-01"})
            assert answer.json()["traceId"] == CLIENT[0], answer
            expect_tree(receiver.wait(CLIENT[0], ["POST /transfers", "commit"]), answer.json(), CLIENT[1])
        with tap.point(f"{what}: the read model ends it"):
            if not metric(client, "creditledger_projector_active"):
                raise Skip("this server has no projector")
            found = receiver.wait(posted["traceId"], ["project"])
            assert found["project"].parent == found["commit"].id, found
            assert found["project"].kind == "CONSUMER" and found["project"].ended >= found["commit"].began, found
        node.stop_well()


def check_bulk_and_refusals(tap):
    with Receiver() as receiver, Node("--log-level", "debug") as node:
        environment(EXPORTER_OTLP_TRACES_ENDPOINT=receiver.url + "/v1/traces", SERVICE_NAME="books",
                    RESOURCE_ATTRIBUTES="deployment.environment=a%20test")
        node.start()
        client = Client(node.port)
        open_pair(client)
        with tap.point("a bulk request: one span, and a commit for each record"):
            elements = [{"from": "ext:a", "to": "ext:b", "amount": 1, "currency": "USD"} for _ in range(20)]
            answer = client.must(200, "POST", "/transfers/batch", elements)
            trace = answer["results"][0]["transfer"]["traceId"]
            receiver.wait(trace, ["POST /transfers/batch", "commit"])
            spans = receiver.of(trace)
            commits = {span.id for span in spans if span.name == "commit"}
            assert commits == {record_span(r["transfer"]["transferId"]) for r in answer["results"]}, spans
            assert len([s for s in spans if s.name == "POST /transfers/batch"]) == 1, spans
        with tap.point("the environment's names of the service are in every span"):
            assert spans[0].resource["service.name"] == "books", spans[0].resource
            assert spans[0].resource["deployment.environment"] == "a test", spans[0].resource
        with tap.point("a decline is committed like a transfer, and is no error"):
            client.must(201, "POST", "/accounts", {"currency": "USD", "externalId": "poor", "minBalance": 0})
            answer = client.post("/transfers", {"from": "ext:poor", "to": "ext:b", "amount": 1, "currency": "USD"},
                                 {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"})
            assert answer.status == 422, answer
            found = receiver.wait("1" * 32, ["POST /transfers", "commit"])
            assert found["POST /transfers"].attributes["http.response.status_code"] == 422
            assert not found["POST /transfers"].failed and not found["commit"].failed, found
        with tap.point("whoever does not follow a trace gets none, and keeps the id"):
            answer = transfer(client, {"traceparent": f"00-{'3' * 32}-{'4' * 16}-00"})
            assert answer.json()["traceId"] == "3" * 32, answer
            last = transfer(client).json()["traceId"]
            receiver.wait(last, ["POST /transfers"])
            assert not receiver.of("3" * 32), receiver.of("3" * 32)
            event = next(e for e in client.get("/events?limit=1000").json()["events"] if e.get("traceparent", "")[3:35] == "3" * 32)
            assert event["traceparent"].endswith("-00"), event
        with tap.point("the end sends what waits"):
            last = transfer(client).json()["traceId"]
            node.stop_well()
            receiver.wait(last, ["POST /transfers", "queue", "decide", "commit"], 2)
        with tap.point("the log names the trace, the client's and ours"):
            logged = {json.loads(line).get("traceId") for line in node.log().splitlines()}
            assert {last, "1" * 32} <= logged, logged


def check_sampling(tap):
    with Receiver() as receiver:
        for sampler, argument, least, most in (("always_off", "", 0, 0), ("parentbased_traceidratio", "0.1", 5, 80),
                                               ("traceidratio", "0", 0, 0)):
            environment(EXPORTER_OTLP_ENDPOINT=receiver.url, TRACES_SAMPLER=sampler, TRACES_SAMPLER_ARG=argument)
            with Node() as node, tap.point(f"{sampler} {argument}: as many traces as it says, with all their spans"):
                node.start()
                client = Client(node.port)
                open_pair(client)
                traces = {transfer(client).json()["traceId"] for _ in range(300)} - {None}
                assert least <= len(traces) <= most, len(traces)
                node.stop_well()
                for trace in traces:
                    receiver.wait(trace, ["POST /transfers", "queue", "decide", "commit"], 5)
                assert {span.trace for span in receiver.spans if span.name == "commit"} >= traces


def posting_seconds(client, n=200):
    took = []
    for _ in range(n):
        began = time.monotonic()
        transfer(client)
        took.append(time.monotonic() - began)
    return sorted(took)[len(took) // 2], max(took)


def flood(client):
    """More spans at once than there is room for."""
    lines = b'{"from":"ext:a","to":"ext:b","amount":1,"currency":"USD"}\n' * 12000
    began = time.monotonic()
    answer = client.request("POST", "/transfers/batch", lines, {"Content-Type": "application/x-ndjson"})
    assert answer.status == 200 and answer.body.count(b'"status":201') == 12000, answer
    return time.monotonic() - began


def check_bad_collectors(tap):
    def measured(url):
        environment(**({"EXPORTER_OTLP_ENDPOINT": url, "EXPORTER_OTLP_HEADERS": "authorization=" + SECRET,
                          "EXPORTER_OTLP_TIMEOUT": "300"} if url else {}))
        with Node() as node:
            node.start()
            client = Client(node.port)
            open_pair(client)
            median, longest = posting_seconds(client)
            rest = flood(client)
            dropped, sent = (metric(client, f"creditledger_spans_{what}_total") for what in ("dropped", "sent"))
            began = time.monotonic()
            node.stop_well()
            return {"median": median, "longest": longest, "bulk": rest, "stop": time.monotonic() - began, "dropped": dropped,
                    "sent": sent, "log": node.log()}

    calm = measured(None)
    with tap.point("without an endpoint there is nothing of it"):
        assert calm["dropped"] is None, calm["dropped"]
    for name, answer in (("hangs", "hang"), ("answers 503", 503), ("answers 400", 400), ("is away", None)):
        with Receiver(answer) as receiver:
            seen = measured(receiver.url if answer else f"http://127.0.0.1:{free_port()}")
        figures = {key: (calm[key], seen[key]) for key in ("median", "longest", "bulk", "stop")}
        with tap.point(f"a collector that {name} slows nobody down"):
            assert seen["median"] < 3 * calm["median"] + 0.005 * SLOWNESS, figures
            assert seen["bulk"] < 3 * calm["bulk"] + 1 * SLOWNESS, figures
            assert seen["stop"] < calm["stop"] + 5 * SLOWNESS, figures
        with tap.point(f"a collector that {name}: spans are dropped, counted, and it is logged once"):
            assert seen["dropped"] > 0 and seen["sent"] == 0, seen
            assert seen["log"].count("the collector does not take spans") == 1, seen["log"][-2000:]
        with tap.point(f"a collector that {name}: no secret is in the log"):
            assert SECRET not in seen["log"]


def check_mistakes(tap):
    for name, value in (("EXPORTER_OTLP_ENDPOINT", f"localhost:4318/{SECRET}"), ("EXPORTER_OTLP_PROTOCOL", "grpc"),
                        ("EXPORTER_OTLP_HEADERS", SECRET)):
        with tap.point(f"OTEL_{name} that cannot be is refused by its name"):
            environment(**{"EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", name: value})
            with Node() as node:
                done = subprocess.run([PROGRAM, "serve", "--listen", "127.0.0.1:0", *node.where()], capture_output=True, text=True,
                                      timeout=60, check=False)
            assert done.returncode != 0 and "OTEL_" + name in done.stderr, done
            assert SECRET not in done.stderr, done.stderr


def check_broker(tap):
    """Through Kafka: the relay's span stands between commit and projection."""
    with tap.point("through Kafka: publish and projection hang on the commit"):
        address = os.environ.get(kafka.VARIABLE)
        if not address:
            raise Skip(kafka.HOW)
        with Receiver() as receiver, Node("--kafka-brokers", address, "--kafka-topic-prefix", kafka.shared_prefix("otlp")) as node:
            environment(EXPORTER_OTLP_ENDPOINT=receiver.url)
            node.start()
            client = Client(node.port)
            open_pair(client)
            posted = transfer(client).json()
            found = receiver.wait(posted["traceId"], ["commit", "publish", "project"], 60 * SLOWNESS)
            assert found["publish"].parent == found["commit"].id, found
            assert found["publish"].kind == "PRODUCER" and found["project"].kind == "CONSUMER", found
            assert found["project"].parent in (found["publish"].id, found["commit"].id), found
            node.stop_well()


def main():
    tap = Tap()
    with Receiver() as receiver:
        one_trace(tap, receiver.url, receiver, "the official definitions")
        with tap.point("it is sent as OTLP/HTTP wants it"):
            assert receiver.headers[0]["Content-Type"] == "application/json"
            assert receiver.headers[0]["User-Agent"].startswith("creditledger/"), receiver.headers[0]
    if Rotel.program() is None:
        with tap.point("a real collector takes it and hands it on"):
            raise Skip("rotel is not installed (tests/requirements.txt)")
    else:
        with Receiver() as receiver, Rotel(receiver.url) as rotel:
            one_trace(tap, rotel.url, receiver, "a real collector")
    check_bulk_and_refusals(tap)
    check_sampling(tap)
    check_bad_collectors(tap)
    check_mistakes(tap)
    check_broker(tap)
    tap.done()


if __name__ == "__main__":
    main()
