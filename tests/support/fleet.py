"""An installation for tests: processes of several roles on one PostgreSQL database and one Kafka, each with topics and
tables of its own.

    with Fleet() as fleet:
        api, relay, projector = (fleet.start(role) for role in ("api", "relay", "projector"))
        fleet.settle()      # until the read model has all of the journal
"""
import contextlib
import re
import subprocess
import time

import kafka
import postgres
from live import PROGRAM, SLOWNESS, Client, Lost, Node, migrate

TOPICS = ("ledger.transfer.v1", "ledger.entry.v1", "ledger.account.v1")
# How many events a record is before its entries: one, but for what is told by its entries alone.
KINDS = {"opening": ("ledger.account.v1", "ledger.account.opened.v1"), "revision": ("ledger.account.v1", "ledger.account.revised.v1"),
         "transfer": ("ledger.transfer.v1", "ledger.transfer.posted.v1"), "reversal": ("ledger.transfer.v1", "ledger.transfer.reversed.v1"),
         "declined": ("ledger.transfer.v1", "ledger.transfer.declined.v1")}


def metric(node, name):
    """A metric of a process by its labels' text: {'{ledger="main"}': 12.0}; {} if it has none of the name."""
    client = Client(node.port)
    text = client.get("/metrics").body.decode()
    client.close()
    return {labels: float(value) for labels, value in re.findall(rf"^{name}(\{{.*?\}})? (\S+)$", text, re.MULTILINE)}


class Fleet:
    """`cluster` and `broker`: ones that the test breaks; else those that tests share."""

    def __init__(self, cluster=None, broker=None, partitions=4):
        shared = cluster.url() if cluster else postgres.need_shared()
        self.brokers = broker.address if broker else kafka.need_shared()
        self.prefix = kafka.shared_prefix("fleet")
        self.owner = postgres.make_database(shared, "fleet")
        self.url = migrate(self.owner)
        self.options = ["--kafka-brokers", self.brokers, "--kafka-topic-prefix", self.prefix, "--kafka-partitions", str(partitions)]
        self.nodes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node, _roles in self.nodes:
            node.__exit__()
        postgres.drop_database(self.owner)
        for topic in kafka.topics(self.brokers):
            if topic.startswith(self.prefix):
                with contextlib.suppress(AssertionError):
                    kafka.delete(self.brokers, topic)

    def start(self, roles, *options):
        node = Node("--roles", roles, *self.options, *options, url=self.url)
        self.nodes.append((node, roles))
        node.start()
        return node

    def sql(self, text):
        return postgres.sql(self.owner, "SET search_path = creditledger;\n" + text)

    def heads(self):
        """The newest seq of each ledger, from the journal itself."""
        rows = self.sql("SELECT l.name, max(j.seq) FROM journal j JOIN ledger l ON l.id = j.ledger GROUP BY 1")
        return {name: int(seq) for name, seq in (row.split("|") for row in rows.splitlines())}

    def events(self):
        """From the journal's own tables: topic to {event id: (key, type, place in the order of its key)}."""
        topics = {topic: {} for topic in TOPICS}
        rows = self.sql("SELECT j.seq, kind_name(j.kind), uuid(j.id_high, j.seq, j.id_low), e.leg, e.version, "
                        "uuid(a.id_high, a.number, a.id_low) FROM journal j JOIN entry e USING (ledger, seq) "
                        "JOIN account a ON a.ledger = e.ledger AND a.number = e.account ORDER BY j.seq, e.leg")
        for row in rows.splitlines():
            seq, kind, record, leg, version, account = row.split("|")
            if leg == "0":
                topic, event = KINDS[kind]
                topics[topic][f"main:{seq}"] = (account if topic == "ledger.account.v1" else record, event, int(seq))
            topics["ledger.entry.v1"][f"main:{seq}:{leg}"] = (account, "ledger.entry.posted.v1", int(version))
        return topics

    def reached(self, name):
        """creditledger_published_seq or creditledger_projected_seq: the highest that a process shows, by ledger."""
        found = {}
        for node, roles in self.nodes:
            if node.alive() and roles != "api":
                with contextlib.suppress(Lost):
                    for labels, value in metric(node, name).items():
                        ledger = re.search(r'ledger="(.*?)"', labels)[1]
                        found[ledger] = max(found.get(ledger, 0), int(value))
        return found

    def settle(self, names=("creditledger_published_seq", "creditledger_projected_seq"), seconds=60):
        """Waits until all that is in the journal is published and projected."""
        ends, heads = time.monotonic() + seconds * SLOWNESS, self.heads()
        for name in names:
            while any((reached := self.reached(name)).get(ledger, 0) < seq for ledger, seq in heads.items()):
                assert time.monotonic() < ends, f"{name}: {reached}, the journal has {heads}"
                time.sleep(0.05)
        return heads

    def messages(self, topic):
        return kafka.messages(self.brokers, self.prefix + topic)

    def run(self, *arguments):
        """A subcommand on this installation's journal, read model and topics."""
        return subprocess.run([PROGRAM, *arguments, "--database-url", self.url], capture_output=True, text=True,
                              timeout=300 * SLOWNESS, check=False)
