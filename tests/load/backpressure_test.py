"""More than the server takes: it refuses and says when to come again, keeps its memory, and what it acknowledged is there."""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import SLOWNESS, Client, Lost, Node, balance, encode, open_wallets, setting  # noqa: E402
from tap import Skip, Tap  # noqa: E402

CLIENTS = 200
SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 2.0)
MIB = 1 << 20


class Watch(threading.Thread):
    """The most memory that the server had resident meanwhile."""

    def __init__(self, node):
        super().__init__()
        self.node, self.ended, self.before = node, threading.Event(), node.rss_bytes()
        self.most = self.before

    def run(self):
        while not self.ended.wait(0.02):
            self.most = max(self.most, self.node.rss_bytes())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def check(self, name, limit_bytes):
        grown = self.most - self.before
        print(f"# {name}: {self.before / MIB:.0f} MiB resident before, {self.most / MIB:.0f} MiB at most")
        if SLOWNESS > 1:
            raise Skip("a sanitizer's memory says nothing")
        assert grown < limit_bytes, f"grew by {grown / MIB:.0f} MiB"


class Flood:
    """Closed-loop clients, each with `make(n)` as its n-th request; `took(answer)` gets the answers under a lock."""

    def __init__(self, port, clients, make, took):
        self.port, self.make, self.took = port, make, took
        self.ends, self.problems, self.lock = time.monotonic() + SECONDS, [], threading.Lock()
        self.threads = [threading.Thread(target=self.loop, args=(i,)) for i in range(clients)]

    def loop(self, who):
        client, n = Client(self.port), 0
        try:
            while time.monotonic() < self.ends:
                n += 1
                answer = client.request(*self.make(who, n))
                with self.lock:
                    self.took(answer)
        except Exception as error:  # noqa: BLE001
            self.problems.append(repr(error))
        client.close()

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        assert not self.problems, self.problems[:3]


def check_refusal(answer):
    assert answer.status == 503 and answer.code() == "queue_full", answer
    assert 1 <= int(answer.headers.get("retry-after", 0)) <= 60, answer.headers


def tiny_queue(tap):
    acknowledged, refused = [], []

    def took(answer):
        acknowledged.append(answer.json()["transferId"]) if answer.status == 201 else refused.append(answer)

    def make(who, n):
        return "POST", "/transfers", {"from": "@world", "to": "ext:w0", "amount": 1, "currency": "USD",
                                      "idempotencyKey": f"{who}-{n}"}

    with Node("--queue", "1") as node:
        node.start()
        client = Client(node.port)
        open_wallets(client, 1, 0)
        with Watch(node) as watch:
            with tap.point("a queue of one and 200 clients: 503 queue_full with Retry-After, the others posted"):
                Flood(node.port, CLIENTS, make, took).run()
                print(f"# {len(acknowledged)} posted, {len(refused)} refused")
                assert len(acknowledged) > 50 and len(refused) > 5, (len(acknowledged), len(refused))
                for answer in refused:
                    check_refusal(answer)
        with tap.point("its memory stays"):
            watch.check("tiny queue", 64 * MIB)
        with tap.point("what was refused counts as refused, and left nothing"):
            assert balance(client, "ext:w0") == len(acknowledged)
            metrics = client.get("/metrics").body.decode()
            assert f"\ncreditledger_queue_refused_total {len(refused)}\n" in metrics, "other count in /metrics"
        with tap.point("all acknowledged is there, and verify passes"):
            assert len(set(acknowledged)) == len(acknowledged)
            for transfer_id in acknowledged[::10]:
                client.must(200, "GET", f"/transfers/{transfer_id}")
            client.close()
            node.stop_well()
            assert node.verify()["records"] == 2 + len(acknowledged)


def bulk_flood(tap):
    posted, refused = [0], [0]

    def took(answer):
        if answer.status == 200:
            results = answer.json()["results"]
            assert {r["status"] for r in results} == {201}, results[0]
            posted[0] += len(results)
        else:
            check_refusal(answer)
            refused[0] += 1

    element = {"from": "@world", "to": "ext:w0", "amount": 1, "currency": "USD", "metadata": {"fill": "x" * 500}}

    with Node("--queue", "2000") as node:
        node.start()
        client = Client(node.port)
        open_wallets(client, 1, 0)
        with Watch(node) as watch:
            with tap.point("bulk requests beyond the queue: 503, the others whole"):
                Flood(node.port, 32, lambda *_: ("POST", "/transfers/batch", [element] * 1000), took).run()
                print(f"# {posted[0]} posted, {refused[0]} requests refused")
                assert posted[0] >= 1000 and refused[0] > 0
        with tap.point("its memory stays in bounds"):
            watch.check("bulk flood", 320 * MIB)
        with tap.point("all acknowledged is there"):
            assert balance(client, "ext:w0") == posted[0]
            client.close()
            node.stop_well()
            node.verify()


def deaf_clients(tap):
    """They send and send and never read an answer."""
    with Node() as node:
        node.start()
        client = Client(node.port)
        open_wallets(client, 1, 0)
        requests = encode("GET", "/openapi.yaml") * 200
        sockets = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(20)]
        with Watch(node) as watch:
            with tap.point("clients that never read an answer are not read from either; others are served"):
                sent, ends = 0, time.monotonic() + SECONDS
                for s in sockets:
                    s.setblocking(False)
                while time.monotonic() < ends:
                    for s in sockets:
                        try:
                            sent += s.send(requests)
                        except BlockingIOError:
                            pass
                    assert balance(client, "ext:w0") == 0
                assert sent < 20 * 16 * MIB, f"took {sent / MIB:.0f} MiB of requests"
        with tap.point("its memory stays, and it serves"):
            watch.check("deaf clients", 64 * MIB)
        for s in sockets:
            s.close()
        with tap.point("it stops with 0"):
            client.must(201, "POST", "/accounts/ext:w0/credits", {"amount": 5})
            client.close()
            node.stop_well()


def too_many_connections(tap):
    with Node("--connections", "20") as node:
        node.start()
        with tap.point("more connections than --connections: those there are served, others when there is room"):
            inside = [Client(node.port) for _ in range(20)]
            for client in inside:
                assert client.get("/healthz").status == 200
            outside = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(100)]
            for client in inside:
                assert client.get("/healthz").status == 200
                client.close()
            for s in outside:
                s.close()
            ends = time.monotonic() + 10 * SLOWNESS
            while True:
                try:
                    assert Client(node.port).get("/healthz").status == 200
                    break
                except Lost:
                    assert time.monotonic() < ends, "nobody gets in any more"
                    time.sleep(0.05)
            node.stop_well()


def main():
    tap = Tap()
    tiny_queue(tap)
    bulk_flood(tap)
    deaf_clients(tap)
    too_many_connections(tap)
    tap.done()


main()
