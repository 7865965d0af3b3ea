#!/usr/bin/env python3
"""./dev up: everything runs, what is posted to either process is published and projected, Prometheus sees all, and all ends
together."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import kafka  # noqa: E402
import postgres  # noqa: E402
import prometheus  # noqa: E402
import under  # noqa: E402
from live import PROGRAM, Client  # noqa: E402
from tap import SOURCE, Tap  # noqa: E402

postgres.need_binaries()
kafka.need_broker()
prometheus.need_programs()
EACH = 200


def start(directory, *options):
    return subprocess.Popen([sys.executable, os.path.join(SOURCE, "scripts", "up.py"), "--directory", directory, "--port", "0", *options],
                            env={**os.environ, "CREDITLEDGER_BINARY": PROGRAM}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=under.end_with_parent)


def places(program):
    found = {}
    for line in program.stdout:
        if line.startswith("Ctrl-C"):
            return found
        name, place = line.split()
        found[name] = place
    raise AssertionError(program.stderr.read())


def port(place):
    return int(place.rpartition(":")[2])


def members(directory, servers):
    """What runs of it: what works in its directories, and its servers, which are known by their ports."""
    running = len(postgres.inhabitants(directory))
    for place in servers:
        with contextlib.suppress(Exception):
            Client(port(place)).get("/healthz")
            running += 1
    return running


def post(clients):
    for name in ("alice", "bob"):
        clients[0].must(201, "POST", "/accounts", {"currency": "USD", "type": "wallet", "externalId": name})
    clients[1].must(201, "POST", "/accounts/ext:alice/credits", {"amount": 5000})
    for i in range(EACH):
        for client in clients:
            client.must(201, "POST", "/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 1, "currency": "USD",
                                                    "reference": f"up-{i}"})


def wait_for(what, seconds=20):
    ends = time.monotonic() + seconds
    while True:
        try:
            assert what(), "it does not come"
            return
        except AssertionError:
            if time.monotonic() > ends:
                raise
        time.sleep(0.1)


def check_work(tap, found):
    clients = [Client(port(found[name])) for name in ("api-1", "api-2")]
    with tap.point("both processes take transfers of one ledger"):
        post(clients)
    with tap.point("the topic has them all"):
        def published():
            return sum(m.headers["ce_type"] == "ledger.transfer.posted.v1" for m in kafka.messages(found["kafka"], "ledger.transfer.v1"))
        wait_for(lambda: published() == 2 * EACH + 1)
    with tap.point("so has the read model, asked at either process"):
        seq = clients[0].get("/accounts/ext:bob/balance").json()["seq"]
        for client in clients:
            client.must(200, "GET", "/accounts/ext:bob/balance?consistency=eventual", None, {"Ledger-Min-Seq": str(seq)})
            answer = client.must(200, "GET", "/accounts/ext:bob/balance?consistency=eventual")
            assert answer["balance"] == 2 * EACH and answer["asOfSeq"] >= seq, answer
    with tap.point("Prometheus sees all four, one relay and one projector, and no alert"):
        seen = prometheus.Prometheus.__new__(prometheus.Prometheus)
        seen.address = found["prometheus"].removeprefix("http://")
        seen.wait_targets()
        assert set(seen.targets()) == {"api-1", "api-2", "relay", "projector"}
        wait_for(lambda: [v for _, v in seen.query("sum(creditledger_relay_active) + sum(creditledger_projector_active)")] == [2.0])
        wait_for(lambda: [v for _, v in seen.query("sum(creditledger_postings_total)")] == [2 * EACH + 1.0])
        assert not [r for r in seen.get("rules")["groups"][0]["rules"] if r["state"] == "firing"]
    for client in clients:
        client.close()


def main():
    tap = Tap()
    base = tempfile.mkdtemp(prefix="creditledger-up-test-")
    directory = os.path.join(base, "up")
    try:
        with start(directory) as program:
            found = places(program)
            servers = [found[name] for name in ("api-1", "api-2", "relay", "projector")]
            check_work(tap, found)
            with tap.point("Ctrl-C ends all, and leaves the logs"):
                cluster = re.search(r"host=([^&]*)", found["postgres"])[1]
                program.send_signal(signal.SIGINT)
                assert program.wait(60) == 0, program.stderr.read()
                assert members(directory, servers) == 0 and not os.path.exists(cluster)
                logs = sorted(os.listdir(os.path.join(directory, "logs")))
                assert logs == ["api-1", "api-2", "kafka", "postgres", "projector", "relay"], logs
        with start(directory) as program, tap.point("killed, it takes all with it"):
            found = places(program)
            servers = [found[name] for name in ("api-1", "api-2", "relay", "projector")]
            program.kill()
            wait_for(lambda: members(directory, servers) == 0, 60)
        with tap.point("it empties no directory that is not its own"):
            with open(os.path.join(base, "mine"), "w", encoding="utf-8"):
                pass
            with start(base) as program:
                assert program.wait(60) != 0 and "something else's" in program.stderr.read()
            assert os.path.exists(os.path.join(base, "mine"))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    tap.done()


main()
