#!/usr/bin/env python3
"""The relay alone, a process that is killed, stopped and continued, over a real Kafka that is killed too: at the end the topics
hold exactly the journal's events, each once, in order per key. CREDITLEDGER_TEST_KILLS=20 kills more often."""
import collections
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import kafka  # noqa: E402
from live import PROGRAM, Client, Node, open_wallets, setting  # noqa: E402
from tap import Tap  # noqa: E402

kafka.need_broker()
PROCESS = os.path.join(os.environ["CREDITLEDGER_BUILD"], "tests", "kafka", "relay_process")
KILLS = setting("CREDITLEDGER_TEST_KILLS", 5)
LEASE_SECONDS = 5
TOPICS = ("ledger.transfer.v1", "ledger.entry.v1", "ledger.account.v1")


class Relay:
    def __init__(self, node, address, prefix):
        self.node, self.address, self.prefix = node, address, prefix
        self.read_url = f"sqlite:{node.directory}/{prefix}read.db"
        self.starts, self.process = 0, None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self):
        self.starts += 1
        self.path = os.path.join(self.node.directory, f"{self.prefix}relay.{id(self)}.{self.starts}")
        with open(self.path, "wb") as log:
            self.process = subprocess.Popen([PROCESS, f"sqlite:{self.node.data}/ledger.db", self.read_url, self.address, self.prefix],
                                            stdout=log, stderr=log)

    def log(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def state(self):
        states = [line for line in self.log().splitlines() if line.split(" ")[0] in ("standby", "publishing", "failing")]
        return states[-1] if states else ""

    def wait(self, text, seconds=40):
        ends = time.monotonic() + seconds
        while text not in self.state():
            assert time.monotonic() < ends and self.process.poll() is None, f"no '{text}' but:\n{self.log()[-3000:]}"
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


class Load:
    """Transfers between wallets, in batches, until it is left."""

    def __init__(self, node, wallets=12):
        self.node, self.wallets, self.posted, self.failed = node, wallets, 0, None
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        chance, client = random.Random(7), Client(self.node.port)
        try:
            while not self.ends.wait(0.05):
                first = self.posted
                batch = [{"from": f"ext:w{a}", "to": f"ext:w{b}", "amount": 1, "currency": "USD", "idempotencyKey": f"r{time.monotonic_ns()}-{i}",
                          "metadata": {"n": first + i}}
                         for i, (a, b) in enumerate(chance.sample(range(self.wallets), 2) for _ in range(chance.choice((1, 5, 40))))]
                answer = client.must(200, "POST", "/transfers/batch", batch)
                assert all(r["status"] == 201 for r in answer["results"]), answer["results"][:3]
                self.posted += len(batch)
        except Exception as error:  # pylint: disable=broad-except
            self.failed = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()
        assert self.failed is None, self.failed


def journal_events(node):
    """Every event of the journal, as the server itself tells it, by id."""
    events, last, client = {}, 0, Client(node.port)
    while True:
        page = client.must(200, "GET", f"/events?limit=1000&after={last}")
        events.update((event["id"], event) for event in page["events"])
        if not page["events"]:
            return events
        last = page["last"]


def head(node):
    with contextlib.closing(sqlite3.connect(f"file:{node.data}/ledger.db?mode=ro", uri=True)) as journal:
        return journal.execute("SELECT max(seq) FROM journal WHERE ledger = 1").fetchone()[0]


def position(address, prefix):
    last = {m.key: m.data() for m in kafka.messages(address, prefix + "ledger.position.v1")}
    return last.get("main", {"seq": 0})["seq"]


def wait_published(node, relay, seconds=60):
    ends, want = time.monotonic() + seconds, head(node)
    while (at := position(relay.address, relay.prefix)) < want:
        assert time.monotonic() < ends, f"published up to {at} of {want}:\n{relay.log()[-3000:]}"
        time.sleep(0.2)


def differences(node, relay, replayed=False):
    """What the topics have wrong, a line each."""
    want, got, versions = journal_events(node), collections.Counter(), {}
    for topic in TOPICS:
        places = {}
        for m in kafka.messages(relay.address, relay.prefix + topic):
            name, event = m.headers["ce_id"], want.get(m.headers["ce_id"])
            got[name] += 1
            if event is None:
                yield f"{name} is in {topic} and not in the journal"
                continue
            if m.data() != event["data"] or m.headers["ce_type"] != event["type"] or m.headers["ce_source"] != event["source"] \
                    or m.headers["ce_time"] != event["time"] or m.key != event["partitionkey"]:
                yield f"{name} of {topic} is not what the journal tells: {m.value}"
            if places.setdefault(m.key, m.partition) != m.partition:
                yield f"key {m.key} of {topic} is in two partitions"
            if topic == "ledger.entry.v1" and not replayed:
                if m.data()["version"] != versions.get(m.key, 0) + 1:
                    yield f"account {m.key}: version {m.data()['version']} follows {versions.get(m.key, 0)}"
                versions[m.key] = m.data()["version"]
    for name in want:
        if got[name] != (2 if replayed else 1):
            yield f"{name} is {got[name]} times in the topics"


def first_ten(problems):
    return [p for _, p in zip(range(10), problems)]


def check_kills(tap, node, broker):
    chance = random.Random(11)
    with Relay(node, broker.address, "kills.") as relay, Load(node) as load:
        with tap.point("it begins, and makes the topics"):
            relay.wait("publishing")
            topics = kafka.topics(broker.address)
            assert {name: topics.get("kills." + name) for name in TOPICS} == dict.fromkeys(TOPICS, 4), topics
            assert topics["kills.ledger.position.v1"] == 1, topics
        with tap.point(f"the relay is killed {KILLS} times, the broker {max(1, KILLS // 3)} times, under load"):
            for i in range(KILLS):
                time.sleep(chance.uniform(0.2, 1.5))
                relay.kill()
                relay.start()
                if i % 3 == 2:
                    time.sleep(chance.uniform(0.5, 7))
                    broker.kill()
                    relay.wait("failing")
                    broker.start()
                relay.wait("publishing", 60)
            before = load.posted
            time.sleep(1)
            assert load.posted > before, "posting went on all the time"
    # The context has killed the relay: another goes on.
    with Relay(node, broker.address, "kills.") as relay:
        relay.wait("publishing")
        wait_published(node, relay)
        tap.check("every event is there once, in order per key", first_ten(differences(node, relay)))
        with tap.point("it stops cleanly, and gives the lease back"):
            assert relay.stop() == 0, relay.log()
            done = subprocess.run([PROGRAM, "relay", "status", "--json", "--data", node.data, "--read-database-url", relay.read_url,
                                   "--kafka-topic-prefix", "kills."], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            status = json.loads(done.stdout)
            assert status["publishedBy"] is None and status["ledgers"][0]["behind"] == 0, status


def check_takeover(tap, node, broker):
    with Relay(node, broker.address, "two.") as one, Load(node):
        one.wait("publishing")
        with Relay(node, broker.address, "two.") as two:
            with tap.point("a second relay stands by"):
                two.wait("standby")
                time.sleep(1.5)
                assert two.state().endswith("publishes"), two.state()
            with tap.point("it takes over from one that is stopped, which goes on as the second and breaks nothing"):
                one.signal(signal.SIGSTOP)
                two.wait("publishing", LEASE_SECONDS + 20)
                time.sleep(3)
                one.signal(signal.SIGCONT)
                one.wait("standby", 30)
                assert two.state().startswith("publishing"), two.log()
            with tap.point("stopped in the middle of a transaction, for less than the lease: it goes on itself"):
                two.signal(signal.SIGSTOP)
                time.sleep(2)
                two.signal(signal.SIGCONT)
                time.sleep(1)
                two.wait("publishing")
            with tap.point("one that ends leaves the lease to the other within two seconds"):
                began = time.monotonic()
                assert two.stop() == 0
                one.wait("publishing", 10)
                assert time.monotonic() - began < 4, time.monotonic() - began
            two.start()
    with Relay(node, broker.address, "two.") as relay:
        wait_published(node, relay)
        tap.check("every event is there once, in order per key, after that", first_ten(differences(node, relay)))


def command(node, relay, *arguments):
    return subprocess.run([PROGRAM, "relay", *arguments, "--data", node.data, "--read-database-url", relay.read_url, "--kafka-brokers",
                           relay.address, "--kafka-topic-prefix", relay.prefix, "--kafka-partitions", "3", "--kafka-retention", "30"],
                          capture_output=True, text=True, timeout=120, check=False)


def check_commands(tap, node, broker):
    with Relay(node, broker.address, "cmd.") as relay:
        relay.wait("publishing")
        wait_published(node, relay)
        with tap.point("relay replay publishes everything once more, with a mark"):
            done = command(node, relay, "replay", "--after", "0", "--json")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["events"] == len(journal_events(node)), done.stdout
            problems = first_ten(differences(node, relay, replayed=True))
            assert not problems, "\n".join(problems)
            marked = sum(m.headers.get("ce_replay") == "true" for t in TOPICS for m in kafka.messages(broker.address, "cmd." + t))
            assert marked == len(journal_events(node)), marked
        with tap.point("to another topic, which must be there"):
            done = command(node, relay, "replay", "--after", "0", "--topic", "elsewhere")
            assert done.returncode == 2 and "there is no topic cmd.elsewhere" in done.stderr, done.stderr
            broker.create("cmd.elsewhere", 2)
            done = command(node, relay, "replay", "--after", str(head(node) - 2), "--topic", "elsewhere", "--json")
            ids = [m.headers["ce_id"].split(":")[1] for m in kafka.messages(broker.address, "cmd.elsewhere")]
            assert set(ids) == {str(head(node) - 1), str(head(node))}, ids
    with tap.point("relay topics makes them, with partitions and retention"):
        relay.prefix = "made."
        done = command(node, relay, "topics", "--json")
        assert done.returncode == 0, done.stderr
        made = {t["topic"]: t for t in json.loads(done.stdout)}
        for name in TOPICS:
            t = made["made." + name]
            assert (t["partitions"], t["compacted"], t["retentionMs"]) == (3, False, 30 * 86400000), t
        assert made["made.ledger.position.v1"]["compacted"] and made["made.ledger.position.v1"]["partitions"] == 1, made


def check_errors(tap, node, broker):
    with Relay(node, "127.0.0.1:9", "away.") as relay:
        with tap.point("a broker that is not there: it says which, and why, and tries on"):
            relay.wait("failing", 60)
            assert "127.0.0.1:9" in relay.state() and "Connection refused" in relay.state(), relay.state()
            assert relay.stop() == 0
            age = [line for line in relay.log().splitlines() if line.startswith("creditledger_outbox_age_seconds ")]
            assert age and float(age[0].split()[1]) > 0, age
    with tap.point("a properties file that is wrong is told by its line, without its values"):
        path = os.path.join(node.directory, "kafka.properties")
        with open(path, "w", encoding="utf-8") as file:
            file.write("# ours\nsasl.pasword=hunter2\n")
        done = subprocess.run([PROGRAM, "relay", "topics", "--data", node.data, "--kafka-brokers", broker.address, "--kafka-config", path],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and f"{path}: line 2: there is no property 'sasl.pasword'" in done.stderr, done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    with tap.point("topics of another journal are not written to"), Node() as other:
        other.start()
        open_wallets(Client(other.port), 2, 5)
        with Relay(other, broker.address, "two.") as relay:
            relay.wait("failing", 60)
            assert "another journal" in relay.state(), relay.state()


def main():
    tap = Tap()
    with kafka.Broker() as broker, Node() as node:
        node.start()
        open_wallets(Client(node.port), 12, 1_000_000)
        check_kills(tap, node, broker)
        check_takeover(tap, node, broker)
        check_commands(tap, node, broker)
        check_errors(tap, node, broker)
    tap.done()


main()
