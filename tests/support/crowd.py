"""Clients that never give up: each wants one transfer after another, under a key of its own, and sends it until it is told what
became of it, to whichever server answers. What they were told must stand: no answer may ever change, and in the end audit()
holds the journal against all answers.

    with Crowd([node]) as crowd:
        ...kill, cut, restart...
        crowd.going_on()           # answers come again
    crowd.audit(node)              # after the end of the block: everybody has an answer
"""
import collections
import json
import random
import threading
import time

from live import SLOWNESS, Client, Lost, balance, open_wallets

WALLETS = 8
EACH = 5000
BULK = 20
SETTLE_SECONDS = 60


def fund(node):
    """The wallets, with money."""
    client = Client(node.port)
    open_wallets(client, WALLETS, EACH)
    client.close()


class Promise:
    """A transfer with its key, and what was answered: status and id."""

    def __init__(self, body):
        self.body, self.answer, self.tries = body, None, 0

    def note(self, status, transfer_id):
        assert self.answer in (None, (status, transfer_id)), \
            f"{self.body['idempotencyKey']}: {self.answer} became {(status, transfer_id)}"
        self.answer = (status, transfer_id)


class Crowd:
    """`nodes` may be killed and started again meanwhile. Wallets ext:w0 ... must be there with EACH in them."""

    bulk = BULK  # transfers a request of every fourth client

    born = 0  # so that no two use the same keys

    def __init__(self, nodes, clients=12, seed=0, think=0.0):
        Crowd.born += 1
        self.nodes, self.seed = nodes, f"{seed or random.SystemRandom().randrange(1, 1 << 32)}-{Crowd.born}"
        self.think = think  # seconds between two requests of a client, on average
        self.promises, self.problems, self.stopping, self.lock = [], [], False, threading.Lock()
        self.last, self.longest = time.monotonic(), 0.0  # of the answers to writes
        self.answered = collections.Counter()  # by node
        self.waits = collections.defaultdict(list)  # seconds a first try took that was answered, by node
        self.codes = collections.Counter()  # of what was not
        self.threads = [threading.Thread(target=self._live, args=(i,), daemon=True) for i in range(clients)]

    def __enter__(self):
        self.last = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopping = True
        ends = time.monotonic() + (SETTLE_SECONDS * max(1, SLOWNESS / 2) if kind is None else 1)
        for thread in self.threads:
            thread.join(max(0.1, ends - time.monotonic()))
        if kind is None:
            assert not self.problems, self.problems[:3]
            waiting = [p.body["idempotencyKey"] for p in self.promises if p.answer is None]
            assert not waiting, f"{len(waiting)} requests were never answered: {waiting[:5]}; {dict(self.codes)}"

    def _promise(self, who, chance):
        source, target = chance.sample(range(WALLETS), 2)
        with self.lock:
            promise = Promise({"from": f"ext:w{source}", "to": f"ext:w{target}", "currency": "USD",
                               "amount": chance.randint(1, EACH // 10),
                               "idempotencyKey": f"{self.seed}-{who}-{len(self.promises)}"})
            self.promises.append(promise)
            return promise

    def _live(self, who):
        chance = random.Random(f"{self.seed}-{who}")
        try:
            while not self.stopping:
                promises = [self._promise(who, chance) for _ in range(self.bulk if who % 4 == 3 else 1)]
                self._settle(promises, who, chance)
                if chance.random() < 0.05:  # as if the answer had not come
                    self._settle(promises, who, chance, again=True)
                time.sleep(chance.uniform(0, 2 * self.think))
        except Exception as error:  # noqa: BLE001
            self.problems.append(f"client {who}: {error!r}")

    def _settle(self, promises, who, chance, again=False):
        """Sends them until all are answered."""
        wait, place = 0.01, who % len(self.nodes)
        while again or any(p.answer is None for p in promises):
            again = False
            node, began = self.nodes[place], time.monotonic()
            if self._try(node.port, promises):
                took = time.monotonic() - began
                with self.lock:
                    self.longest = max(self.longest, time.monotonic() - self.last)
                    self.last = time.monotonic()
                    self.answered[place] += len(promises)
                    if promises[0].tries == 1:
                        self.waits[place].append(took)
                continue
            if self.problems or (self.stopping and time.monotonic() > self.last + SETTLE_SECONDS * max(1, SLOWNESS / 2)):
                return
            time.sleep(wait * chance.uniform(0.5, 1))
            wait, place = min(wait * 2, 0.2), chance.randrange(len(self.nodes))

    def _try(self, port, promises):
        """False if there was no answer that settles anything."""
        client = self._client(port)
        for promise in promises:
            promise.tries += 1
        try:
            if len(promises) == 1:
                answer = client.post("/transfers", promises[0].body)
                return self._take(promises[0], answer.status, answer.json() if answer.body else {})
            answer = client.post("/transfers/batch", [p.body for p in promises])
            if answer.status != 200:
                return self._take(promises[0], answer.status, answer.json())
            good = True
            for promise, result in zip(promises, answer.json()["results"], strict=True):
                good &= self._take(promise, result["status"], result.get("transfer") or result["error"])
            return good
        except Lost:
            with self.lock:
                self.codes["connection lost"] += 1
            return False

    def _take(self, promise, status, said):
        if status in (201, 422) and "transferId" in said:
            promise.note(status, said["transferId"])
            return True
        with self.lock:
            self.codes[said.get("code")] += 1
        assert status == 503, f"{promise.body}: {status} {said}"
        return False

    def _client(self, port):
        """One kept-alive connection a thread and port."""
        mine = threading.current_thread().__dict__.setdefault("clients", {})
        if port not in mine:
            mine[port] = Client(port)
        return mine[port]

    def count(self):
        with self.lock:
            return sum(self.answered.values())

    def going_on(self, more=50, seconds=30):
        """Waits until so many more answers came; returns the seconds that took."""
        began, before = time.monotonic(), self.count()
        while self.count() < before + more:
            assert not self.problems, self.problems[:3]
            assert time.monotonic() - began < seconds * max(1, SLOWNESS / 2), \
                f"no {more} answers in {seconds} s; refusals: {dict(self.codes)}"
            time.sleep(0.01)
        return time.monotonic() - began

    def figures(self):
        tries = sum(p.tries for p in self.promises)
        p99 = [f"{sorted(w)[len(w) * 99 // 100] * 1000:.0f}" for _, w in sorted(self.waits.items()) if w]
        return (f"{len(self.promises)} transfers, {tries} tries, longest silence {self.longest:.2f} s, p99 "
                f"{'/'.join(p99)} ms, unanswered: {dict(self.codes)}")

    # --- afterwards ----------------------------------------------------------------------------------------------

    def balances(self, node, others=()):
        """They are the sums of what was answered."""
        client, want = Client(node.port), [EACH] * WALLETS
        for promise in self.promises + [p for other in others for p in other.promises]:
            if promise.answer[0] == 201:
                want[int(promise.body["from"][5:])] -= promise.body["amount"]
                want[int(promise.body["to"][5:])] += promise.body["amount"]
        got = [balance(client, f"ext:w{i}") for i in range(WALLETS)]
        client.close()
        assert got == want and sum(got) == WALLETS * EACH and min(got) >= 0, f"balances {got}, answered {want}"

    def audit(self, node, others=()):
        """Every promise has one record, and it is as answered. `others`: crowds with the same wallets, before."""
        promises, found = self.promises + [p for other in others for p in other.promises], {}
        exported = node.run("export", "--format", "ndjson")
        assert exported.returncode == 0, exported.stderr
        for line in exported.stdout.splitlines():
            record = json.loads(line)
            if record["type"] == "record" and record["idempotencyKey"]:
                assert record["idempotencyKey"] not in found, f"key {record['idempotencyKey']} twice"
                found[record["idempotencyKey"]] = record
        for promise in promises:
            body, (status, transfer_id) = promise.body, promise.answer
            record = found.get(body["idempotencyKey"])
            assert record is not None, f"{body} was answered {promise.answer} and is gone"
            amount = record["declinedAmount"] if status == 422 else max(e["posted"] for e in record["entries"])
            got = (record["id"], record["kind"], amount)
            assert got == (transfer_id, "transfer" if status == 201 else "declined", body["amount"]), \
                f"{body}: answered {promise.answer}, recorded {record}"
        self.balances(node, others)
        records = node.verify()["records"]
        assert records == 1 + 2 * WALLETS + len(promises), f"{records} records, {len(promises)} transfers wanted"
