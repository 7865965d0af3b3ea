"""The primary dies under load and its replica is promoted; the server finds it by itself, for its URL names both.

A synchronous replica has all that was acknowledged: the clients go on. One that lagged has not: the server sees that the journal
is behind what it knew, writes nothing more for good, and names what is lost.
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from crowd import Crowd, fund  # noqa: E402
from live import SERVER_ROLE, SLOWNESS, Client, Node, migrate  # noqa: E402
from postgres import PORT, Cluster, database_of  # noqa: E402
from tap import Tap  # noqa: E402


def both(primary, replica, database):
    return f"postgres://{SERVER_ROLE}@/{database}?host={primary.base},{replica.base}&port={PORT},{PORT}"


def synchronous(tap):
    with Cluster() as primary:
        database = database_of(migrate(primary.database()))
        with primary.replica(synchronous=True) as replica, Node(url=both(primary, replica, database)) as node:
            node.start()
            fund(node)
            with tap.point("a synchronous replica is promoted under load: every answer stands, by the same process"):
                with Crowd([node]) as crowd:
                    crowd.going_on()
                    primary.crash()
                    replica.promote()
                    print(f"# answers again {crowd.going_on(seconds=60):.2f} s after the promotion")
                print(f"# {crowd.figures()}")
                # verify reads: without the primary it finds the other.
                crowd.audit(node)
                assert node.starts == 1
                node.stop_well()


def receiver(replica):
    """The process that takes the primary's changes."""
    return int(replica.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'"))


def head(cluster, database):
    return int(cluster.sql("SELECT max(seq) FROM creditledger.journal WHERE ledger = 1", database))


def transfer(key):
    return {"from": "@world", "to": "ext:w0", "amount": 1, "currency": "USD", "idempotencyKey": key}


def lagging(tap):
    with Cluster() as primary:
        database = database_of(migrate(primary.database()))
        with primary.replica() as replica, Node(url=both(primary, replica, database)) as node:
            node.start()
            fund(node)
            client = Client(node.port)
            with tap.point("a replica that lagged is promoted"):
                ends = time.monotonic() + 20
                while head(replica, database) != head(primary, database):
                    assert time.monotonic() < ends, "the replica does not follow"
                    time.sleep(0.02)
                kept = head(replica, database)
                # What comes now is acknowledged, and only the primary has it.
                os.kill(receiver(replica), signal.SIGSTOP)
                for i in range(20):
                    client.must(201, "POST", "/transfers", transfer(f"lost-{i}"))
                known = head(primary, database)
                assert known == kept + 20, (known, kept)
                primary.crash()
                replica.crash()  # with what had been sent to it and was not yet written down
                replica.start()
                replica.promote()
            with tap.point("no write is taken any more, /readyz says so, and the log names the lost range"):
                ends = time.monotonic() + 15 * max(1, SLOWNESS / 2)
                while True:
                    answer = client.post("/transfers", transfer("after"))
                    assert answer.status == 503, answer
                    if f"{kept + 1} to {known}" in node.log():
                        break
                    assert time.monotonic() < ends, "it does not notice:\n" + node.log()[-3000:]
                    time.sleep(0.05)
                for i in range(10):
                    assert client.post("/transfers", transfer(f"more-{i}")).status == 503
                time.sleep(1.5)
                assert client.post("/transfers", transfer("after")).status == 503
                assert client.get("/readyz").status == 503 and client.get("/healthz").status == 200
                assert head(replica, database) == kept, "it went on writing"
            with tap.point("reads go on, and it stops"):
                client.must(200, "GET", "/accounts/ext:w0/balance")
                client.close()
                node.stop()
            with tap.point("a new process starts from what there is: an operator's decision"):
                node.start()
                client = Client(node.port)
                client.must(201, "POST", "/transfers", transfer("after"))
                client.close()
                node.verify()
                node.stop_well()


def lagging_and_named_first(tap):
    """Nobody dies but connections: a standby that is behind is no reason to think that records are lost."""
    with Cluster() as primary:
        database = database_of(migrate(primary.database()))
        with primary.replica() as replica:
            ends, there = time.monotonic() + 20, primary.sql("SELECT pg_current_wal_lsn()").strip()
            while replica.sql(f"SELECT pg_last_wal_replay_lsn() >= '{there}'").strip() != "t":
                assert time.monotonic() < ends, "the replica does not follow"
                time.sleep(0.02)
            replica.sql("SELECT pg_wal_replay_pause()")
            with Node(url=both(replica, primary, database)) as node:
                node.start()
                fund(node)
                client = Client(node.port)
                with tap.point("a standby that is named first and lags is neither written to nor read"):
                    for i in range(5):
                        primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                    f" WHERE datname = '{database}' AND pid <> pg_backend_pid()")
                        ends = time.monotonic() + 20
                        while True:
                            answer = client.post("/transfers", transfer(f"again-{i}"))
                            if answer.status == 201:
                                break
                            assert answer.status == 503 and time.monotonic() < ends, (answer, node.log()[-3000:])
                            time.sleep(0.05)
                        reached = {"Ledger-Min-Seq": str(head(primary, database))}
                        client.must(200, "GET", "/accounts/ext:w0/balance", headers=reached)
                    assert "acknowledged and are not in the database" not in node.log()
                client.close()
                node.verify()
                node.stop_well()


def main():
    tap = Tap()
    synchronous(tap)
    lagging(tap)
    lagging_and_named_first(tap)
    tap.done()


main()
