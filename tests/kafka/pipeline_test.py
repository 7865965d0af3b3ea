#!/usr/bin/env python3
"""100 000 transfers through HTTP, journal, relay, Kafka and projector, each a process of its own: then the topics hold exactly the
journal's events, in order per key, and the read model is the journal's (I11, I12)."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "contract"))
import kafka  # noqa: E402
import postgres  # noqa: E402
from event_schemas import EventSchemas  # noqa: E402
from fleet import TOPICS, Fleet  # noqa: E402
from live import Client, open_wallets, setting  # noqa: E402
from tap import Tap  # noqa: E402

postgres.need_shared()
kafka.need_shared()
TRANSFERS = setting("CREDITLEDGER_TEST_PIPELINE_TRANSFERS", 100_000)
WALLETS, BULK = 200, 1000
SAMPLE = 50  # so many messages for one that is held against its schema; kafka/consumer does it with all


def transfers():
    """Most go through, some are declined: w0 soon has nothing left."""
    for i in range(TRANSFERS):
        poor = i % 100 == 99
        yield {"from": f"ext:w{0 if poor else 1 + i % (WALLETS - 1)}", "to": f"ext:w{1 + (i * 7 + 1) % (WALLETS - 1)}",
               "amount": 1000 if poor else 1 + i % 3, "currency": "USD", "idempotencyKey": f"p{i}", "reference": f"order-{i % 1000}"}


def post_all(client):
    batch, statuses = [], {}
    for transfer in transfers():
        if transfer["from"] != transfer["to"]:
            batch.append(transfer)
        if len(batch) == BULK:
            count(statuses, client.must(200, "POST", "/transfers/batch", batch))
            batch = []
    if batch:
        count(statuses, client.must(200, "POST", "/transfers/batch", batch))
    return statuses


def count(statuses, answer):
    for one in answer["results"] if isinstance(answer, dict) else answer:
        statuses[one["status"]] = statuses.get(one["status"], 0) + 1


def check_topic(tap, fleet, schemas, topic, wanted):
    seen, last, where = set(), {}, {}
    wrong, unordered, invalid = [], [], []
    for i, message in enumerate(fleet.messages(topic)):
        identity = message.headers["ce_id"]
        key, kind, place = wanted.get(identity, (None, None, 0))
        if identity in seen or (message.key, message.headers["ce_type"]) != (key, kind):
            wrong.append(f"{identity} of key {message.key}, expected key {key} and {kind}")
        seen.add(identity)
        step = place - last.get(message.key, 0)
        if (step != 1 if topic == "ledger.entry.v1" else step <= 0) or where.setdefault(message.key, message.partition) != message.partition:
            unordered.append(f"{identity}: {place} after {last.get(message.key)}, partition {message.partition}")
        last[message.key] = place
        if i % SAMPLE == 0 or topic == "ledger.account.v1":
            invalid += schemas.message_problems(message)
    tap.check(f"{topic} has every event of the journal", [f"{len(wanted) - len(seen)} are missing"] if wanted.keys() - seen else [])
    tap.check(f"{topic} has them once, and nothing else", wrong[:10])
    tap.check(f"{topic} is in order per key, without a gap", unordered[:10])
    tap.check(f"{topic} is as its schemas say", invalid[:10])


def check_position(tap, fleet, schemas):
    last = {}
    for message in fleet.messages("ledger.position.v1"):
        last[message.key] = message.data()
    with tap.point("ledger.position.v1 says that all is published"):
        assert {name: value["seq"] for name, value in last.items()} == fleet.heads(), last
        problems = [e.message for value in last.values() for e in schemas.position.iter_errors(value)]
        assert not problems, problems


def main():
    tap, schemas = Tap(), EventSchemas()
    with Fleet() as fleet:
        api, relay, projector = (fleet.start(role) for role in ("api", "relay", "projector"))
        client = Client(api.port)
        open_wallets(client, WALLETS, 5000)
        with tap.point(f"{TRANSFERS} transfers are posted, some of them declined"):
            statuses = post_all(client)
            assert statuses[201] > TRANSFERS * 0.9 and statuses[422] > TRANSFERS * 0.005, statuses
        client.close()
        with tap.point("relay and projector get to the end"):
            fleet.settle(seconds=400)
        wanted = fleet.events()
        for topic in TOPICS:
            check_topic(tap, fleet, schemas, topic, wanted[topic])
        check_position(tap, fleet, schemas)
        with tap.point("the read model is the journal's"):
            done = fleet.run("projections", "check")
            assert done.returncode == 0, done.stdout + done.stderr
        with tap.point("all end when they are told to"):
            for node in (projector, relay, api):
                node.stop_well()
    tap.done()


main()
