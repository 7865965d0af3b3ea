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
from tap import skip_all

TOPICS = ("ledger.transfer.v1", "ledger.entry.v1", "ledger.account.v1")


def need_roles():
    """For programs of tests that need more than the API of a server."""
    done = subprocess.run([PROGRAM, "serve", "--help"], capture_output=True, text=True, check=False)
    if "--kafka-brokers" not in done.stdout or "--roles" not in done.stdout:
        skip_all("this server has no roles")


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
