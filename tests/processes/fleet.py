"""Several servers on one PostgreSQL, and clients that do not give up: each request has a key and is sent again, to whichever
server answers, until it is acknowledged. At the end every acknowledgement is held against the journal.

    with Cluster() as postgres, Fleet(postgres.database(), 3) as fleet:
        fleet.start()
        crowd = Crowd(fleet, clients=24)
        crowd.start()
        ...                     # break things
        crowd.stop()
        crowd.audit()           # raises AssertionError
"""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import SLOWNESS, Client, Lost, Node, balance, open_wallets  # noqa: E402

WALLETS, EACH = 10, 1000
PATIENCE = 60 * max(1, SLOWNESS / 2)  # seconds that one request may take with all its repetitions
RETRIED = (500, 502, 503, 504)


class Fleet:
    def __init__(self, url, count, *options):
        self.url = url
        self.nodes = [Node(*options, url=url) for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.__exit__()

    def start(self):
        for node in self.nodes:
            node.start()

    def stop(self):
        for node in self.nodes:
            if node.alive():
                node.stop_well()

    def client(self, index=0):
        return Client(self.nodes[index].port)

    def errors(self):
        """What the servers logged as errors."""
        return [line for node in self.nodes for line in node.log().splitlines() if '"level":"error"' in line]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Promise:
    """One request: its body, the first acknowledgement, and whether an answer was ever in doubt."""

    def __init__(self, body):
        self.body, self.acknowledged, self.tries = body, None, 0

    def take(self, answer):
        status, transfer_id = answer.status, answer.json()["transferId"]
        assert self.acknowledged in (None, (status, transfer_id)), \
            f"{self.body['idempotencyKey']}: {self.acknowledged} became {(status, transfer_id)}"
        self.acknowledged = (status, transfer_id)


class Crowd:
    def __init__(self, fleet, clients, seed=1, make=None, stay=False):
        self.fleet, self.clients, self.seed, self.make, self.stay = fleet, clients, seed, make or self.any_two, stay
        self.promises, self.problems = [], []
        self.times = [[] for _ in fleet.nodes]  # seconds of each first answer, by the server that gave it
        self.stall = 0.0                        # the longest that a request took with all its repetitions
        self.doubted = 0                        # requests that were sent more than once
        self.lock, self.ended, self.threads = threading.Lock(), False, []

    def open(self):
        client = self.fleet.client()
        open_wallets(client, WALLETS, EACH)
        client.close()
        return self

    @staticmethod
    def any_two(chance, _server):
        source, target = chance.sample(range(WALLETS), 2)
        return {"from": f"ext:w{source}", "to": f"ext:w{target}", "amount": chance.randint(1, EACH // 2)}

    def start(self):
        self.threads = [threading.Thread(target=self._loop, args=(number,)) for number in range(self.clients)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ended = True
        for thread in self.threads:
            thread.join()
        assert not self.problems, "\n".join(self.problems[:10])

    def posted(self):
        return [p for p in self.promises if p.acknowledged[0] == 201]

    def _loop(self, number):
        chance = random.Random(self.seed * 1000 + number)
        clients, mine, at = [None] * len(self.fleet.nodes), [], number % len(self.fleet.nodes)
        try:
            while not self.ended:
                if mine and chance.random() < 0.05:
                    # An old request once more, wherever: the first answer again.
                    self._ask(clients, chance.randrange(len(clients)), chance.choice(mine), chance)
                    continue
                promise = Promise({**self.make(chance, at), "currency": "USD", "idempotencyKey": f"{number}-{len(mine)}"})
                mine.append(promise)
                at = self._ask(clients, at, promise, chance)
                if not self.stay and chance.random() < 0.1:
                    at = chance.randrange(len(clients))
        except Exception as error:  # noqa: BLE001
            self.problems.append(f"client {number}: {error!r}")
        with self.lock:
            self.promises += mine

    def _ask(self, clients, at, promise, chance):
        """Asks until there is an answer; returns the server that gave it."""
        began = time.monotonic()
        while True:
            if clients[at] is None or clients[at].port != self.fleet.nodes[at].port:
                clients[at] = Client(self.fleet.nodes[at].port)
            sent = time.monotonic()
            promise.tries += 1
            try:
                answer = clients[at].post("/transfers", promise.body)
            except Lost:
                answer = None
            if answer is not None and answer.status not in RETRIED:
                assert answer.status in (201, 422), f"{promise.body}: {answer}"
                break
            assert time.monotonic() - began < PATIENCE, f"no answer in {PATIENCE} s: {promise.body}: {answer}"
            time.sleep(chance.uniform(0.01, 0.1))
            if not self.stay or answer is None:
                at = chance.randrange(len(clients))
        promise.take(answer)
        with self.lock:
            self.times[at].append(time.monotonic() - sent)
            self.stall = max(self.stall, time.monotonic() - began)
            self.doubted += promise.tries > 1
        return at

    def report(self):
        for number, times in enumerate(self.times):
            print(f"# server {number}: {len(times)} answers, p50 {percentile(times, 0.5) * 1000:.1f} ms, "
                  f"p99 {percentile(times, 0.99) * 1000:.1f} ms, longest {max(times, default=0) * 1000:.0f} ms")
        declined = len(self.promises) - len(self.posted())
        print(f"# {len(self.promises)} requests, {declined} declined; longest wait for an answer with all repetitions "
              f"{self.stall * 1000:.0f} ms")

    def audit(self, wallets=WALLETS, each=EACH):
        """Every promise exactly once, balances from acknowledgements, verify, and not a record too many."""
        client = self.fleet.client()
        found, cursor = {}, ""
        while True:
            page = client.must(200, "GET", f"/transfers?limit=1000{cursor}")
            for transfer in page["transfers"]:
                key = transfer.get("idempotencyKey")
                assert key is None or key not in found, f"key {key} has two effects"
                found[key] = (201 if transfer["status"] == "posted" else 422, transfer["transferId"])
            if "cursor" not in page:
                break
            cursor = "&cursor=" + page["cursor"]
        for promise in self.promises:
            key = promise.body["idempotencyKey"]
            assert found.get(key) == promise.acknowledged, f"{key}: acknowledged {promise.acknowledged}, journal {found.get(key)}"
        want = {f"ext:w{i}": each for i in range(wallets)}
        for promise in self.posted():
            want[promise.body["from"]] -= promise.body["amount"]
            want[promise.body["to"]] += promise.body["amount"]
        got = {name: balance(client, name) for name in want}
        client.close()
        assert got == want and sum(got.values()) == wallets * each, f"balances {got}, acknowledged {want}"
        verified = self.fleet.nodes[0].verify()
        expected = 1 + (2 if each else 1) * wallets + len(self.promises)  # the first: @world's opening
        assert verified["ok"] and verified["records"] == expected, f"{verified}, not {expected} records"
