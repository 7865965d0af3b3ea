"""The primary dies and its replica is promoted. A synchronous replica has all that was acknowledged: service goes on, nothing is
lost. An asynchronous one that lagged does not: the server sees that the journal is behind what it knows, stops writing for good
and names the range.
"""
import os
import re
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import SLOWNESS, Crowd, Fleet  # noqa: E402
from live import setting  # noqa: E402
from postgres import Cluster  # noqa: E402
from tap import Tap  # noqa: E402

SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 6.0)
DATABASE = "ledger"


def both(primary, replica):
    """libpq's way to whichever of them takes writes."""
    hosts = ",".join(urllib.parse.quote(c.base, safe="/") for c in (primary, replica))
    ports = ",".join(str(c.port) for c in (primary, replica))
    return f"postgres://postgres@/{DATABASE}?host={hosts}&port={ports}&target_session_attrs=read-write"


def fail_over(primary, replica):
    primary.kill()
    replica.promote()


def until(condition, seconds, what):
    ends = time.monotonic() + seconds * SLOWNESS
    while not condition():
        assert time.monotonic() < ends, what()
        time.sleep(0.05)


def synchronous(tap):
    with Cluster() as primary:
        primary.database(DATABASE)
        with primary.replica(synchronous=True) as replica, Fleet(both(primary, replica), 2) as fleet:
            fleet.start()
            crowd = Crowd(fleet, 16).open()
            with tap.point("synchronous replica: every request is answered, before or after the failover"):
                crowd.start()
                time.sleep(SECONDS / 2)
                before = sum(map(len, crowd.times))
                fail_over(primary, replica)
                time.sleep(SECONDS / 2)
                crowd.stop()
                assert before > 50 / SLOWNESS and sum(map(len, crowd.times)) > before + 50 / SLOWNESS, (before, crowd.times)
            crowd.report()
            with tap.point("synchronous replica: nothing is lost"):
                crowd.audit()
            with tap.point("synchronous replica: the servers are ready and stop well"):
                for index in range(2):
                    assert fleet.client(index).get("/readyz").status == 200
                fleet.stop()


def asynchronous(tap):
    with Cluster() as primary:
        primary.database(DATABASE)
        with primary.replica() as replica, Fleet(both(primary, replica), 1) as fleet:
            node = fleet.nodes[0]
            fleet.start()
            Crowd(fleet, 1).open()
            client = fleet.client()
            kept = int(client.post("/accounts/ext:w0/credits", {"amount": 1}).headers["ledger-seq"])
            until(lambda: primary.sql("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()") == "1", 20,
                  lambda: "the replica does not follow")
            replica.set(primary_conninfo="host=/nowhere")
            until(lambda: primary.sql("SELECT count(*) FROM pg_stat_replication") == "0", 20, lambda: "the replica still follows")
            for _ in range(5):
                head = int(client.post("/accounts/ext:w0/credits", {"amount": 1}).headers["ledger-seq"])
            fail_over(primary, replica)
            with tap.point("lagging replica: no write is taken any more, and the answer says why"):
                until(lambda: client.post("/accounts/ext:w0/credits", {"amount": 1}).code() == "journal_behind", 30,
                      lambda: client.post("/accounts/ext:w0/credits", {"amount": 1}))
                for _ in range(3):
                    assert client.post("/accounts/ext:w0/credits", {"amount": 1}).code() == "journal_behind"
                    time.sleep(0.5)
            with tap.point("lagging replica: not ready, with the reason"):
                answer = client.get("/readyz")
                assert answer.status == 503 and b"lost" in answer.body.lower() or b"not in the database" in answer.body, answer
            with tap.point("lagging replica: the log names the range that was lost"):
                found = re.search(r"records (\d+) to (\d+) of ledger main", node.log())
                assert found and (int(found[1]), int(found[2])) == (kept + 1, head), f"{kept + 1} to {head}: {node.log()[-2000:]}"
            with tap.point("lagging replica: nothing was written to it, reads go on"):
                assert client.get("/accounts/ext:w0/balance").status == 200
                seq = replica.sql("SELECT max(seq) FROM creditledger.journal", replica.url(DATABASE))
                assert int(seq) == kept, seq
            with tap.point("lagging replica: a server that is started anew takes the journal as it is"):
                node.kill()
                node.start()
                client = fleet.client()
                assert int(client.post("/accounts/ext:w0/credits", {"amount": 1}).headers["ledger-seq"]) == kept + 1
                node.verify()
                fleet.stop()


def main():
    tap = Tap()
    synchronous(tap)
    asynchronous(tap)
    tap.done()


main()
