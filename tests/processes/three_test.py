"""Three servers write to one ledger while each in turn is killed with -9, and PostgreSQL with -9 twice. Clients repeat what
was not answered, with its key. Afterwards every acknowledged transfer is there exactly once, money is conserved, seq has no gap.

CREDITLEDGER_TEST_SECONDS changes how long it goes on.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import SLOWNESS, Crowd, Fleet  # noqa: E402
from live import setting  # noqa: E402
from postgres import Cluster  # noqa: E402
from tap import Tap  # noqa: E402

SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 60.0)
CLIENTS = 24


def disturb(fleet, postgres, ends):
    """Kills one after another until the time is over; returns what was killed."""
    killed, began, step = {"server": 0, "postgres": 0}, time.monotonic(), SECONDS / 14
    while time.monotonic() < ends - step:
        time.sleep(step)
        if time.monotonic() - began > SECONDS / 3 * (killed["postgres"] + 1) and killed["postgres"] < 2:
            postgres.kill()
            time.sleep(0.5)
            postgres.start()
            killed["postgres"] += 1
        else:
            node = fleet.nodes[killed["server"] % len(fleet.nodes)]
            node.kill()
            time.sleep(0.5)
            node.start()
            killed["server"] += 1
    return killed


def main():
    tap = Tap()
    with Cluster() as postgres, Fleet(postgres.database(), 3) as fleet:
        fleet.start()
        crowd = Crowd(fleet, CLIENTS).open()
        crowd.start()
        killed = {}
        with tap.point("every request is answered in the end, and a repeated one with its first answer"):
            try:
                killed = disturb(fleet, postgres, time.monotonic() + SECONDS)
            finally:
                crowd.stop()
        print(f"# killed: {killed}; {crowd.doubted} requests were sent more than once")
        crowd.report()
        with tap.point("there was something to survive"):
            assert killed["postgres"] == 2 and killed["server"] >= 6, killed
            assert len(crowd.posted()) > 100 * SECONDS / 10 / SLOWNESS and crowd.doubted > 20, (len(crowd.posted()), crowd.doubted)
        with tap.point("each acknowledged request is in the journal exactly once, and nothing else is"):
            crowd.audit()
        with tap.point("all three became ready again by themselves, and stop well"):
            for index in range(3):
                assert fleet.client(index).get("/readyz").status == 200, f"server {index}: {fleet.nodes[index].log()[-2000:]}"
            fleet.stop()
    tap.done()


main()
