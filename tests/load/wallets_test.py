"""64 clients move money at random among 10 wallets that cannot be overdrawn, while readers look on.

Every answer is kept. From the answers alone the balances are worked out in two ways, as sums and as chains of versions,
and both must agree with what the server says in the end.
"""
import collections
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import Client, Node, balance, open_wallets, setting  # noqa: E402
from tap import Tap  # noqa: E402

CLIENTS = 64
WALLETS = 10
EACH = 1000
SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 5.0)


class Crowd:
    def __init__(self, port):
        self.port = port
        self.ends = time.monotonic() + SECONDS
        self.problems, self.posted, self.declined, self.replayed = [], [], 0, 0
        self.newest = None  # recordedAt of a committed record
        self.polls = self.totals = 0
        self.lock = threading.Lock()

    def wrong(self, text):
        with self.lock:
            self.problems.append(text)
        self.ends = 0

    def guarded(self, work, *arguments):
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001
            self.wrong(f"{work.__name__}: {error!r}")

    def judge(self, body, answer):
        """What one answer must be like, whatever else happens."""
        if answer.status == 201:
            transfer = answer.json()
            if transfer["amount"] != body["amount"] or sorted(e["change"] for e in transfer["entries"]) != [
                    -body["amount"], body["amount"]]:
                self.wrong(f"asked {body}, got {transfer}")
            for entry in transfer["entries"]:
                if entry["balance"] < 0 or entry["available"] < 0 or entry["minBalance"] != 0:
                    self.wrong(f"below its floor: {entry}")
            self.newest = transfer["recordedAt"]
            return transfer
        problem = answer.json()
        if answer.code() != "insufficient_funds" or problem["available"] >= problem["required"] \
                or problem["required"] != body["amount"]:
            self.wrong(f"asked {body}, got {answer}")
        return None

    def mover(self, number):
        chance, client, sent, posted, declined = random.Random(number), Client(self.port), [], [], 0
        while time.monotonic() < self.ends:
            if sent and chance.random() < 0.05:
                body, before = chance.choice(sent)
                again = client.post("/transfers", body)
                if (again.status, again.body) != (before.status, before.body) \
                        or again.headers.get("idempotency-replayed") != "true":
                    self.wrong(f"a retry differs: {before}, then {again}")
                with self.lock:
                    self.replayed += 1
                continue
            source, target = chance.sample(range(WALLETS), 2)
            body = {"from": f"ext:w{source}", "to": f"ext:w{target}", "amount": chance.randint(1, EACH),
                    "currency": "USD", "idempotencyKey": f"{number}-{len(sent)}"}
            answer = client.post("/transfers", body)
            sent.append((body, answer))
            transfer = self.judge(body, answer)
            if transfer is None:
                declined += 1
            else:
                posted.append(transfer)
        client.close()
        with self.lock:
            self.posted += posted
            self.declined += declined

    def poller(self):
        client, versions = Client(self.port), collections.Counter()
        while time.monotonic() < self.ends:
            for i in range(WALLETS):
                seen = client.must(200, "GET", f"/accounts/ext:w{i}/balance")
                if seen["balance"] < 0 or seen["available"] < 0:
                    self.wrong(f"below its floor: {seen}")
                if seen["version"] < versions[i]:
                    self.wrong(f"wallet {i} went back from version {versions[i]}: {seen}")
                versions[i] = seen["version"]
                self.polls += 1

    def totaller(self):
        """All balances as known at one time: whole, though they are read one after another."""
        client = Client(self.port)
        while time.monotonic() < self.ends:
            known_at = self.newest
            if known_at is None:
                time.sleep(0.01)
                continue
            seen = [client.must(200, "GET", f"/accounts/ext:w{i}/balance?knownAt={known_at}")["balance"]
                    for i in range(WALLETS)]
            if sum(seen) != WALLETS * EACH or min(seen) < 0:
                self.wrong(f"known at {known_at}: {seen}, together {sum(seen)}")
            self.totals += 1

    def run(self):
        work = [(self.mover, i) for i in range(CLIENTS)] + [(self.poller,), (self.totaller,)]
        threads = [threading.Thread(target=self.guarded, args=job) for job in work]
        for thread in threads:
            thread.start()
        return threads


def chains(posted):
    """Each wallet's entries by version must lead from balance to balance; yields what does not."""
    entries = collections.defaultdict(dict)
    for transfer in posted:
        for entry in transfer["entries"]:
            if entry["version"] in entries[entry["accountId"]]:
                yield f"version twice: {entry}"
            entries[entry["accountId"]][entry["version"]] = entry
    for account, by_version in entries.items():
        before = EACH
        for version in sorted(by_version):
            entry = by_version[version]
            if before + entry["change"] != entry["balance"]:
                yield f"{account} version {version}: {before} + {entry['change']} is not {entry['balance']}"
            before = entry["balance"]


def main():
    tap = Tap()
    with Node() as node:
        node.start()
        client = Client(node.port)
        ids = open_wallets(client, WALLETS, EACH)
        crowd = Crowd(node.port)
        threads = crowd.run()
        with tap.point("verify passes beside the crowd"):
            time.sleep(SECONDS / 2)
            beside = node.verify()
            assert beside["ok"], beside
        for thread in threads:
            thread.join()
        posted = len(crowd.posted)
        print(f"# {CLIENTS} clients, {SECONDS} s: {posted} posted, {crowd.declined} declined, {crowd.replayed} retried, "
              f"{crowd.polls} balances polled, {crowd.totals} totals")
        tap.check("every answer keeps to the floors, every retry gets the first answer", crowd.problems[:20])
        with tap.point("there was a crowd"):
            assert posted > 100 and crowd.declined > 10 and crowd.replayed > 5, "too little happened"
            assert crowd.polls > 20 and crowd.totals > 3, "nobody looked on"
        final = {account: balance(client, account) for account in ids}
        with tap.point("the total is unchanged and no wallet below its floor"):
            assert sum(final.values()) == WALLETS * EACH and min(final.values()) >= 0, final
        with tap.point("the balances are the sums of what was answered"):
            sums = dict.fromkeys(ids, EACH)
            for transfer in crowd.posted:
                sums[transfer["from"]] -= transfer["amount"]
                sums[transfer["to"]] += transfer["amount"]
            assert sums == final, (sums, final)
        tap.check("the answers form one chain of versions an account", list(chains(crowd.posted))[:20])
        with tap.point("it stops with 0, verify passes, and every record is there"):
            client.close()
            node.stop_well()
            records = node.verify()["records"]
            expected = 1 + 2 * WALLETS + posted + crowd.declined  # the first: @world's opening
            assert records == expected, f"{records} records, not {expected}"
    tap.done()


main()
