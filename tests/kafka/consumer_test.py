#!/usr/bin/env python3
"""Consumers that no one here wrote read the topics as docs/consumers.md says: examples/consumer/spending.py over kafka-python, which
shares no code with librdkafka, and kcat."""
import collections
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "contract")]
import kafka  # noqa: E402
import postgres  # noqa: E402
from event_schemas import EventSchemas, make_all_types  # noqa: E402
from fleet import TOPICS, Fleet  # noqa: E402
from live import Client, open_wallets, setting  # noqa: E402
from tap import SOURCE, Tap, read, skip_all  # noqa: E402

postgres.need_shared()
kafka.need_shared()
PYTHON = os.path.join(SOURCE, "build-tools", "venv", "bin", "python3")
if subprocess.run([PYTHON, "-c", "import kafka"], capture_output=True, check=False).returncode != 0:
    skip_all("kafka-python is not installed: ./dev test does it (tests/requirements.txt)")
TRANSFERS = setting("CREDITLEDGER_TEST_CONSUMER_TRANSFERS", 2000)


def post(client):
    make_all_types(client)
    wallets = 20
    open_wallets(client, wallets, 10_000)
    batch = [{"from": f"ext:w{i % wallets}", "to": f"ext:w{(i + 1 + i % 7) % wallets}", "amount": 1 + i % 50, "currency": "USD",
              "idempotencyKey": f"c{i}", **({"reference": f"order-{i % 37}"} if i % 5 else {})} for i in range(TRANSFERS)]
    for i in range(0, TRANSFERS, 1000):
        client.must(200, "POST", "/transfers/batch", batch[i:i + 1000])


def spending(fleet):
    return subprocess.run([PYTHON, os.path.join(SOURCE, "examples", "consumer", "spending.py"), fleet.brokers,
                           fleet.prefix + "ledger.entry.v1"], capture_output=True, text=True, timeout=180, check=False)


def by_sql(fleet):
    """The same from the journal."""
    return fleet.sql("SELECT concat_ws(',', to_char(instant(j.recorded_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD'), coalesce(j.reference, ''), "
                     "'USD', sum(-e.posted * e.side)) FROM journal j JOIN entry e USING (ledger, seq) WHERE kind_name(j.kind) = 'transfer' "
                     "AND e.posted * e.side < 0 GROUP BY to_char(instant(j.recorded_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD'), "
                     "coalesce(j.reference, '')")


def check_lines(tap):
    with tap.point("it has about thirty lines, and stands in the documentation as it is"):
        program = read("examples/consumer/spending.py")
        code = [line for line in program.splitlines() if line.strip()]
        assert len(code) <= 33, len(code)
        body = program[program.index("consumer = "):].strip()
        assert body in read("docs/consumers.md")


def check_messages(tap, fleet, name, replayed):
    schemas, types, wrong = EventSchemas(), set(), []
    for topic in TOPICS:
        for message in fleet.messages(topic):
            types.add(message.headers["ce_type"])
            wrong += schemas.message_problems(message)
            replayed -= message.headers.get("ce_replay") == "true"
    tap.check(name, [*wrong[:10], *(types ^ set(schemas.files)), *(["replayed ones bear a header"] if replayed else [])])


def check_kcat(tap, fleet):
    with tap.point("kcat reads an account's entries as documented"):
        command = re.search(r"^    (kcat -C .*)$", read("docs/consumers.md"), re.MULTILINE)[1]
        command = command.replace("localhost:9092", fleet.brokers).replace("-t ledger.", f"-t {fleet.prefix}ledger.")
        out = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert out.returncode == 0, out.stderr
        lines = [line.split("\t") for line in out.stdout.splitlines()]
        versions = collections.defaultdict(list)
        for key, headers, value in lines:
            assert re.search(r"\bce_id=main:\d+:\d+,", headers), headers
            versions[key].append(int(re.search(r'"version":(\d+)', value)[1]))
        assert len(lines) == int(fleet.sql("SELECT count(*) FROM entry"))
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())


def main():
    tap = Tap()
    check_lines(tap)
    with Fleet() as fleet:
        for role in ("api", "relay"):
            node = fleet.start(role)
            if role == "api":
                client = Client(node.port)
        post(client)
        client.close()
        fleet.settle(names=("creditledger_published_seq",))
        with tap.point("a program of thirty lines builds a view from zero that equals SQL over the journal"):
            done = spending(fleet)
            assert done.returncode == 0, done.stderr
            assert sorted(done.stdout.splitlines()) == sorted(by_sql(fleet).splitlines()) and "order-36" in done.stdout
        check_kcat(tap, fleet)
        check_messages(tap, fleet, "every message is as its schema says", 0)
        with tap.point("it drops what is delivered twice"):
            before = done.stdout
            again = fleet.run("relay", "replay", "--after", "0", *fleet.options)
            assert again.returncode == 0, again.stdout + again.stderr
            done = spending(fleet)
            assert done.returncode == 0 and done.stdout == before, done.stdout[:300] + done.stderr
        events = int(fleet.sql("SELECT count(*) FROM entry")) + int(fleet.sql("SELECT count(*) FROM journal"))
        check_messages(tap, fleet, "so is every message of a replay, which bears a header", events)
        with tap.point("it sees that something is missing"):
            account = fleet.sql("SELECT uuid(id_high, number, id_low) FROM account WHERE number = 1")
            entry = '{"accountId":"%s","version":999999,"change":-1,"kind":"transfer"}' % account
            kafka.produce(fleet.brokers, fleet.prefix + "ledger.entry.v1", entry, key=account,
                          headers={"ce_type": "ledger.entry.posted.v1"})
            done = spending(fleet)
            assert done.returncode != 0 and "something is missing" in done.stderr, done.stdout[:300] + done.stderr
    tap.done()


main()
