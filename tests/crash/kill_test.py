"""kill -9 under load, again and again. After each kill the server is back within two seconds, `verify` passes, every
acknowledged request is there with its id, every other one is retried and has exactly one effect, and money is conserved.

Acknowledged is what a client has read: a single answer, an element of a bulk answer, a line of a stream. CREDITLEDGER_TEST_KILLS
and CREDITLEDGER_TEST_SEED change what is tried. kill -9 leaves the page cache alone: what fsync is for, crash/sqlite tries.
"""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import SLOWNESS, Client, Lost, Node, balance, open_wallets, setting  # noqa: E402
from tap import Tap  # noqa: E402

KILLS = setting("CREDITLEDGER_TEST_KILLS", 10 if SLOWNESS == 1 else 3)
SEED = setting("CREDITLEDGER_TEST_SEED", 0) or random.SystemRandom().randrange(1, 1 << 32)
WALLETS = 8
EACH = 500
START_SECONDS = 2


class Promise:
    """A request with its key, and what was acknowledged: status and id."""

    def __init__(self, body):
        self.body, self.acknowledged = body, None

    def note(self, status, transfer_id):
        assert status in (201, 422), f"{self.body}: {status}"
        assert self.acknowledged in (None, (status, transfer_id)), \
            f"{self.body['idempotencyKey']}: {self.acknowledged} became {(status, transfer_id)}"
        self.acknowledged = (status, transfer_id)

    def note_answer(self, answer):
        self.note(answer.status, answer.json()["transferId"])

    def note_result(self, result):
        self.note(result["status"], (result.get("transfer") or result["error"])["transferId"])


class Round:
    """The load between two kills."""

    def __init__(self, port, number, chance):
        self.port, self.number, self.chance = port, number, chance
        self.promises, self.problems, self.lock, self.killed = [], [], threading.Lock(), False

    def promise(self, who):
        with self.lock:
            source, target = self.chance.sample(range(WALLETS), 2)
            promise = Promise({"from": f"ext:w{source}", "to": f"ext:w{target}", "currency": "USD",
                               "amount": self.chance.randint(1, EACH // 2),
                               "idempotencyKey": f"{self.number}-{who}-{len(self.promises)}"})
            self.promises.append(promise)
            return promise

    def single(self, who, client):
        promise = self.promise(who)
        promise.note_answer(client.post("/transfers", promise.body))

    def bulk(self, who, client):
        promises = [self.promise(who) for _ in range(50)]
        answer = client.post("/transfers/batch", [p.body for p in promises])
        for promise, result in zip(promises, answer.json()["results"]):
            promise.note_result(result)

    def stream(self, who, client):
        promises = [self.promise(who) for _ in range(3000)]
        # The stream first, so that it is read to its end.
        for result, promise in zip(client.stream("/transfers/batch", [p.body for p in promises]), promises):
            promise.note_result(result)

    def loop(self, work, who):
        client = Client(self.port)
        try:
            while not self.killed:
                work(who, client)
        except Lost:
            if not self.killed:
                self.problems.append("the connection ended before the kill")
        except Exception as error:  # noqa: BLE001
            self.problems.append(f"{who}: {error!r}")
        finally:
            client.close()

    def run(self, node, seconds):
        jobs = [(self.single, f"s{i}") for i in range(14)] + [(self.bulk, "b"), (self.stream, "n")]
        threads = [threading.Thread(target=self.loop, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.killed = True
        node.kill()
        for thread in threads:
            thread.join()
        assert not self.problems, self.problems


def listed(client, wanted):
    """The records with these ids, page by page, newest first."""
    found, cursor = {}, ""
    while wanted - found.keys():
        page = client.must(200, "GET", f"/transfers?limit=1000&consistency=strong{cursor}")
        found.update((t["transferId"], t) for t in page["transfers"])
        if "cursor" not in page:
            break
        cursor = "&cursor=" + page["cursor"]
    return found


def check_kept(client, promises):
    """Every acknowledged one is there with its id, before anybody retries."""
    known = [p for p in promises if p.acknowledged is not None]
    found = listed(client, {p.acknowledged[1] for p in known})
    for promise in known:
        status, transfer_id = promise.acknowledged
        record = found.get(transfer_id)
        assert record is not None, f"{promise.body['idempotencyKey']} {transfer_id}: acknowledged with {status} and gone"
        want = ("posted" if status == 201 else "declined", promise.body["idempotencyKey"])
        assert (record["status"], record["idempotencyKey"]) == want, f"{record} is not {want}"
        assert status != 201 or record["amount"] == promise.body["amount"], record


def retry_unknown(client, promises):
    """What nobody knows is sent again, twice; returns how many of them had happened."""
    unknown, happened = [p for p in promises if p.acknowledged is None], 0
    for start in range(0, len(unknown), 1000):
        part = unknown[start:start + 1000]
        for again in (False, True):
            results = client.must(200, "POST", "/transfers/batch", [p.body for p in part])["results"]
            for promise, result in zip(part, results):
                promise.note_result(result)
                if "replayed" in result:  # a decline is the same whether it is new or not
                    assert result["replayed"] or not again, result
                    happened += result["replayed"] and not again
    return happened


def check_balances(client, promises):
    want = [EACH] * WALLETS
    for promise in promises:
        if promise.acknowledged[0] == 201:
            want[int(promise.body["from"][5:])] -= promise.body["amount"]
            want[int(promise.body["to"][5:])] += promise.body["amount"]
    got = [balance(client, f"ext:w{i}") for i in range(WALLETS)]
    assert got == want and sum(got) == WALLETS * EACH and min(got) >= 0, f"balances {got}, acknowledged {want}"


def one_kill(node, number, chance, promises):
    """Returns the seconds of the start that followed."""
    load = Round(node.port, number, chance)
    load.run(node, chance.uniform(0.05, 0.4) * min(SLOWNESS, 4))
    started = node.start()
    node.verify()
    client = Client(node.port)
    acknowledged = sum(p.acknowledged is not None for p in load.promises)
    check_kept(client, load.promises)
    happened = retry_unknown(client, load.promises)
    unknown = len(load.promises) - acknowledged
    promises += load.promises
    check_balances(client, promises)
    client.close()
    print(f"# kill {number}: ready again in {started * 1000:.0f} ms; {acknowledged} acknowledged, {unknown} not, "
          f"of which {happened} had happened")
    assert started < START_SECONDS * SLOWNESS, f"ready after {started:.2f} s"
    return started, acknowledged, unknown


def main():
    tap, chance, promises, seen = Tap(), random.Random(SEED), [], []
    print(f"# CREDITLEDGER_TEST_SEED={SEED} CREDITLEDGER_TEST_KILLS={KILLS}")
    with Node() as node:
        node.start()
        client = Client(node.port)
        open_wallets(client, WALLETS, EACH)
        client.close()
        for number in range(1, KILLS + 1):
            with tap.point(f"kill {number}"):
                seen.append(one_kill(node, number, chance, promises))
            if not node.alive():
                break
        with tap.point("the load was one: much acknowledged, and requests caught in flight"):
            assert sum(s[1] for s in seen) > 20 * KILLS and sum(s[2] for s in seen) > KILLS, seen
        with tap.point("in the end all is there, once each"):
            assert node.alive(), "it could not be tried"
            client = Client(node.port)
            check_kept(client, promises)
            client.close()
            node.stop_well()
            records = node.verify()["records"]
            assert records == 1 + 2 * WALLETS + len(promises), f"{records} records, {len(promises)} keys"
        print(f"# slowest start {max((s[0] for s in seen), default=0) * 1000:.0f} ms; {len(promises)} requests")
    tap.done()


main()
