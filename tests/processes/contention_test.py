"""Two servers in each other's way: opposite transfers between the same two accounts, and one hot account that everybody pays.
Nobody waits for ever, nobody is refused, both get their share.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import WALLETS, Crowd, Fleet  # noqa: E402
from live import setting  # noqa: E402
from postgres import Cluster  # noqa: E402
from tap import Tap  # noqa: E402

SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 8.0)
CLIENTS = 32


def opposite(chance, server):
    source, target = ("ext:w0", "ext:w1") if server == 0 else ("ext:w1", "ext:w0")
    return {"from": source, "to": target, "amount": chance.randint(1, 3)}


def hot(chance, _server):
    return {"from": f"ext:w{chance.randrange(1, WALLETS)}", "to": "ext:w0", "amount": 1}


def run(tap, postgres, name, make):
    with Fleet(postgres.database(name.replace(" ", "_")), 2) as fleet:
        fleet.start()
        crowd = Crowd(fleet, CLIENTS, make=make, stay=True).open()
        with tap.point(f"{name}: every request is answered"):
            crowd.start()
            time.sleep(SECONDS)
            crowd.stop()
        print(f"# {name}: {sum(map(len, crowd.times)) / SECONDS:.0f} answers/s")
        crowd.report()
        with tap.point(f"{name}: none was refused for the other server's sake"):
            assert crowd.doubted == 0, f"{crowd.doubted} requests had to be sent again: {fleet.errors()[:5]}"
        with tap.point(f"{name}: both servers got their share"):
            shares = [len(times) for times in crowd.times]
            assert min(shares) > sum(shares) / 10, shares
        with tap.point(f"{name}: no deadlock was met"):
            met = postgres.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
                               postgres.url(name.replace(" ", "_")))
            assert met == "0", f"{met} deadlocks"
        with tap.point(f"{name}: the journal has what was answered"):
            crowd.audit()
            fleet.stop()


def main():
    tap = Tap()
    with Cluster() as postgres:
        run(tap, postgres, "opposite transfers", opposite)
        run(tap, postgres, "one hot account", hot)
    tap.done()


main()
