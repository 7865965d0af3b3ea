#!/usr/bin/env python3
"""Everything that can be killed is, in turn and under load: relay, projector, broker, PostgreSQL; a relay sleeps past its lease and
goes on after another took over; what was published is published again. Two of each, api, relay and projector, and clients who
repeat themselves until they are answered. In the end every answer stands, the topics hold each event of the journal once beside
what was marked as a repetition, in order per key, and the read model is the journal's.

CREDITLEDGER_TEST_SECONDS says how long, though each happens at least twice; CREDITLEDGER_TEST_SEED makes the order the same again."""
import collections
import json
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import kafka  # noqa: E402
import postgres  # noqa: E402
from crowd import Crowd, fund  # noqa: E402
from fleet import TOPICS, Fleet, metric  # noqa: E402
from live import SLOWNESS, Client, Lost, setting  # noqa: E402
from tap import Tap  # noqa: E402

postgres.need_binaries()
kafka.need_broker()
SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 60)
SEED = setting("CREDITLEDGER_TEST_SEED", random.SystemRandom().randrange(1 << 32))
PATIENCE = 60 * max(1, SLOWNESS / 2)  # until somebody is at work again, and until all is published and projected
CLIENTS, THINK = 8, 0.03
REPEATED = 400  # records of a replay


class Chaos:
    def __init__(self, cluster, broker, fleet, crowd):
        self.cluster, self.broker, self.fleet, self.crowd = cluster, broker, fleet, crowd
        self.chance, self.replayed = random.Random(SEED), 0
        self.relays, self.projectors = ([n for n, roles in fleet.nodes if roles == role] for role in ("relay", "projector"))

    def at_work(self, nodes, gauge):
        """Who of them says that it is the one."""
        for node in nodes:
            try:
                if metric(node, gauge).get("", 0) == 1:
                    return node
            except (Lost, OSError):
                pass
        return None

    def wait_at_work(self, nodes, gauge):
        ends = time.monotonic() + PATIENCE
        while (node := self.at_work(nodes, gauge)) is None:
            assert time.monotonic() < ends, f"{gauge}: nobody\n" + "\n".join(n.log()[-1500:] for n in nodes)
            time.sleep(0.05)
        return node

    def relay(self):
        return self.wait_at_work(self.relays, "creditledger_relay_active")

    def projector(self):
        return self.wait_at_work(self.projectors, "creditledger_projector_active")

    # --- what happens ------------------------------------------------------------------------------------------------

    def relay_killed(self):
        node = self.relay()
        node.kill()
        assert self.relay() is not node
        node.start()

    def projector_killed(self):
        node = self.projector()
        node.kill()
        assert self.projector() is not node
        node.start()

    def broker_killed(self):
        self.broker.kill()
        time.sleep(self.chance.uniform(0.5, 3))
        self.crowd.going_on(20)  # posting does not need it
        self.broker.start()

    def postgres_killed(self):
        self.cluster.kill()
        time.sleep(self.chance.uniform(0.2, 1))
        self.cluster.start()

    def postgres_crashes(self):
        self.cluster.crash()
        time.sleep(self.chance.uniform(0.2, 1))
        self.cluster.start()

    def relay_sleeps(self):
        """Its lease ends, another takes over, and it wakes in the middle of what it was about to do."""
        node = self.relay()
        node.process.send_signal(signal.SIGSTOP)
        other = [n for n in self.relays if n is not node]
        try:
            self.wait_at_work(other, "creditledger_relay_active")
            self.crowd.going_on(50)
        finally:
            node.process.send_signal(signal.SIGCONT)
        ends = time.monotonic() + PATIENCE
        while len([n for n in self.relays if self.at_work([n], "creditledger_relay_active")]) != 1:
            assert time.monotonic() < ends, "two relays publish, or none"
            time.sleep(0.1)

    def repeated(self):
        """Published once more, into the same topics, while others are."""
        self.relay()
        after = max(0, self.fleet.heads()["main"] - REPEATED)
        done = self.fleet.run("relay", "replay", "--after", str(after), "--json", *self.fleet.options)
        assert done.returncode == 0, done.stdout + done.stderr
        self.replayed += json.loads(done.stdout)["events"]

    def go_on(self):
        stories = [self.relay_killed, self.projector_killed, self.broker_killed, self.postgres_killed, self.relay_sleeps, self.repeated,
                   self.postgres_crashes, self.repeated]
        began, rounds = time.monotonic(), 0
        while rounds < 2 or time.monotonic() - began < SECONDS:
            self.chance.shuffle(stories)
            for story in stories:
                at = time.monotonic()
                print(f"# {at - began:6.1f} s {story.__name__}", flush=True)
                story()
                self.crowd.going_on()
                print(f"# done in {time.monotonic() - at:.1f} s", flush=True)
                time.sleep(self.chance.uniform(0, 1.5))
            rounds += 1


# --- afterwards ------------------------------------------------------------------------------------------------------


def topic_problems(fleet, topic, wanted, replays):
    """What a topic has wrong, a line each; repetitions are counted in `replays`."""
    seen, last, where = collections.Counter(), {}, {}
    for message in fleet.messages(topic):
        identity = message.headers["ce_id"]
        key, kind, place = wanted.get(identity, (None, None, 0))
        if (message.key, message.headers["ce_type"]) != (key, kind):
            yield f"{identity} of key {message.key}, expected key {key} and {kind}"
        if where.setdefault(message.key, message.partition) != message.partition:
            yield f"key {message.key} is in two partitions"
        if topic == "ledger.entry.v1" and message.data()["version"] != place:
            yield f"{identity} has version {message.data()['version']}, expected {place}"
        if message.headers.get("ce_replay") == "true":
            replays[identity] += 1
            if not seen[identity]:
                yield f"{identity} is repeated before it was there"
            continue
        seen[identity] += 1
        step = place - last.get(message.key, 0)
        if step != 1 if topic == "ledger.entry.v1" else step <= 0:
            yield f"{identity}: {place} of key {message.key} follows {last.get(message.key)}"
        last[message.key] = place
    for identity in wanted:
        if seen[identity] != 1:
            yield f"{identity} is there {seen[identity]} times"


def check_topics(tap, chaos):
    wanted, replays = chaos.fleet.events(), collections.Counter()
    for topic in TOPICS:
        tap.check(f"{topic} has each event of the journal once, in order per key",
                  [p for _, p in zip(range(10), topic_problems(chaos.fleet, topic, wanted[topic], replays))])
    with tap.point("repetitions are marked, and all there"):
        assert sum(replays.values()) == chaos.replayed > 0, (sum(replays.values()), chaos.replayed)


def check_read_model(tap, fleet):
    with tap.point("the read model is the journal's"):
        done = fleet.run("projections", "check")
        assert done.returncode == 0, done.stdout + done.stderr
    with tap.point("nothing is parked, and no gap was left"):
        status = json.loads(fleet.run("projections", "status", "--json").stdout)
        assert (status["parked"], status["gap"], status["phase"]) == (0, False, "following"), status
    with tap.point("a row that was changed by hand is found"):
        postgres.sql(fleet.owner, "UPDATE creditledger_read.g1_head SET posted = posted + 1 WHERE account = 3")
        done = fleet.run("projections", "check")
        assert done.returncode == 1, done.stdout + done.stderr


def main():
    tap = Tap()
    print(f"# CREDITLEDGER_TEST_SEED={SEED}")
    with postgres.Cluster() as cluster, kafka.Broker() as broker, Fleet(cluster, broker) as fleet:
        apis = [fleet.start("api") for _ in range(2)]
        for _ in range(2):
            fleet.start("relay")
            fleet.start("projector")
        fund(apis[0])
        with tap.point("whatever is killed, others or itself go on, and clients are answered"):
            with Crowd(apis, clients=CLIENTS, think=THINK) as crowd:
                chaos = Chaos(cluster, broker, fleet, crowd)
                chaos.go_on()
            print(f"# {crowd.figures()}; {chaos.replayed} events repeated")
        with tap.point("relay and projector get to the end"):
            began = time.monotonic()
            fleet.settle(seconds=PATIENCE)
            print(f"# after {time.monotonic() - began:.1f} s")
        with tap.point("every answer stands, and the journal verifies"):
            crowd.audit(apis[0])
        check_topics(tap, chaos)
        with tap.point("balances of the read model are those of the journal"):
            client = Client(apis[1].port)
            for i in range(8):
                strong, eventual = (client.must(200, "GET", f"/accounts/ext:w{i}/balance?consistency={c}") for c in ("strong", "eventual"))
                assert (strong["balance"], strong["version"]) == (eventual["balance"], eventual["version"]), (strong, eventual)
            client.close()
        check_read_model(tap, fleet)
        with tap.point("all end when they are told to"):
            for node, _roles in fleet.nodes:
                node.stop_well()
    tap.done()


main()
