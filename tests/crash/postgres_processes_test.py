"""Three servers write to one ledger while each in turn is killed -9, and PostgreSQL twice. Clients go to whoever answers.

Directly, and then two servers through a PgBouncer in transaction mode that is restarted too. CREDITLEDGER_TEST_SECONDS=60 takes
longer over it.
"""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from crowd import Crowd, fund  # noqa: E402
from live import SERVER_ROLE, SLOWNESS, Node, migrate, setting  # noqa: E402
from postgres import Cluster, database_of  # noqa: E402
from tap import Tap  # noqa: E402

SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 15.0 if SLOWNESS == 1 else 8.0)
SEED = setting("CREDITLEDGER_TEST_SEED", 0) or random.SystemRandom().randrange(1, 1 << 32)
CLIENTS = 24


def check_journal(cluster, database):
    """Without the product: seq has no gap, no key comes twice."""
    said = cluster.sql("SELECT count(*) = max(seq) AND min(seq) = 1, count(idempotency_key) = count(DISTINCT idempotency_key) "
                       "FROM creditledger.journal WHERE ledger = 1", database)
    assert said == "t|t", said


def strike(what, cluster, nodes, bouncer):
    if what == "postgres":
        cluster.kill()
        time.sleep(0.3)
        cluster.start()
    elif what == "bouncer":
        bouncer.stop()
        time.sleep(0.3)
        bouncer.start()
    else:
        nodes[what].kill()
        time.sleep(0.3)
        nodes[what].start()


def live_through(plan, cluster, nodes, bouncer=None):
    """The crowd, while the plan's things happen at random moments."""
    chance = random.Random(SEED)
    with Crowd(nodes, CLIENTS, SEED, think=0.02) as crowd:
        crowd.going_on()
        for what in plan:
            time.sleep(chance.uniform(0.5, 1.5) * SECONDS / len(plan))
            print(f"# {what if isinstance(what, str) else f'server {what}'} killed", flush=True)
            strike(what, cluster, nodes, bouncer)
            crowd.going_on(20)
        time.sleep(0.5)
    print(f"# {crowd.figures()}; answered by server: {dict(sorted(crowd.answered.items()))}")
    return crowd


def three_servers(tap, cluster):
    url = migrate(cluster.database("three"))
    with Node(url=url) as one, Node(url=url) as two, Node(url=url) as three:
        nodes = [one, two, three]
        for node in nodes:
            node.start()
        fund(one)
        with tap.point("three servers on one ledger, each killed twice, PostgreSQL killed twice: every answer stands"):
            crowd = live_through([0, 1, "postgres", 2, 0, "postgres", 1, 2], cluster, nodes)
            crowd.audit(one)
            crowd.balances(two)
            crowd.balances(three)
            check_journal(cluster, database_of(url))
        with tap.point("all three served"):
            assert len(crowd.answered) == 3 and min(crowd.answered.values()) > 50, crowd.answered
        with tap.point("they stop with 0"):
            for node in nodes:
                node.stop_well()


def through_a_pooler(tap, cluster):
    url = migrate(cluster.database("pooled"))
    bouncer = cluster.bouncer(users=("postgres", SERVER_ROLE))
    pooled = bouncer.url(database_of(url), SERVER_ROLE)
    with Node(url=pooled, direct=url) as one, Node(url=pooled, direct=url) as two:
        for node in (one, two):
            node.start()
        fund(one)
        with tap.point("two servers through PgBouncer, all of them restarted or killed: every answer stands"):
            crowd = live_through([0, "bouncer", 1, "postgres", "bouncer"], cluster, [one, two], bouncer)
            crowd.audit(two)
            crowd.balances(one)
            check_journal(cluster, database_of(url))
        with tap.point("they stop with 0"):
            for node in (one, two):
                node.stop_well()


def main():
    tap = Tap()
    print(f"# CREDITLEDGER_TEST_SEED={SEED} CREDITLEDGER_TEST_SECONDS={SECONDS} slowness {SLOWNESS}")
    with Cluster() as cluster:
        three_servers(tap, cluster)
        through_a_pooler(tap, cluster)
    tap.done()


main()
