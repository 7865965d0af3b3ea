"""Two servers that reach PostgreSQL through PgBouncer in transaction mode, with fewer server connections than they have
connections of their own; LISTEN goes past it. The pooler is restarted under load: no acknowledged transfer lost, none doubled.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import SLOWNESS, Crowd, Fleet  # noqa: E402
from live import setting  # noqa: E402
from postgres import Cluster  # noqa: E402
from tap import Tap  # noqa: E402

SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 8.0)
CLIENTS = 16


def wake_seconds(writer, reader):
    """From a write's answer by one server to the event's arrival at a client who waits at the other."""
    head = writer.post("/accounts/ext:w0/credits", {"amount": 1}).headers["ledger-seq"]
    reader.must(200, "GET", "/accounts/ext:w0/balance", headers={"Ledger-Min-Seq": head})
    reader.send(f"GET /events?after={head}&wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    time.sleep(0.2)
    answered = writer.post("/accounts/ext:w0/debits", {"amount": 1})
    assert answered.status == 201, answered
    began = time.monotonic()
    events = reader.receive()
    assert events.status == 200 and json.loads(events.body)["events"], events
    return time.monotonic() - began


def main():
    tap = Tap()
    with Cluster() as postgres:
        direct = postgres.database()
        bouncer = postgres.bouncer(settings={"default_pool_size": "4", "server_lifetime": "2"})
        with Fleet(bouncer.url(direct.split("?")[0].rsplit("/", 1)[1]), 2, "--database-direct-url", direct) as fleet:
            fleet.start()
            crowd = Crowd(fleet, CLIENTS).open()
            with tap.point("requests are answered through the pooler, and again after it was restarted"):
                crowd.start()
                time.sleep(SECONDS / 2)
                before = len(crowd.times[0]) + len(crowd.times[1])
                bouncer.stop()
                time.sleep(0.5)
                bouncer.start()
                time.sleep(SECONDS / 2)
                crowd.stop()
                assert before > 50 / SLOWNESS and len(crowd.times[0]) + len(crowd.times[1]) > before + 50 / SLOWNESS
            crowd.report()
            with tap.point("the pooler pooled: no more server connections than it may have"):
                assert len(postgres.backends("datname <> 'postgres' AND application_name <> 'psql'")) <= 4 + 2, \
                    postgres.sql("SELECT application_name, query FROM pg_stat_activity")
            with tap.point("the journal has what was answered"):
                crowd.audit()
            with tap.point("what one server writes wakes who waits at the other"):
                a, b = fleet.client(0), fleet.client(1)
                waits = [wake_seconds(a, b) for _ in range(5)]
                print(f"# woken after {', '.join(f'{w * 1000:.0f}' for w in waits)} ms")
                assert sorted(waits)[2] < 0.3 * SLOWNESS, waits  # a poll would take as long as its pause
                a.close()
                b.close()
            with tap.point("both stop well"):
                fleet.stop()
    tap.done()


main()
