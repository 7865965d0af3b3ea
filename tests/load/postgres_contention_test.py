"""Two servers in each other's way: opposite transfers between the same two wallets, and one hot wallet that everybody pays.
Nobody waits for ever, nobody is refused, no deadlock is met, both servers get their share.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from crowd import WALLETS, Crowd, Promise, fund  # noqa: E402
from live import SLOWNESS, Node, migrate, setting  # noqa: E402
from postgres import Cluster, database_of  # noqa: E402
from tap import Tap  # noqa: E402

SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 5.0)
CLIENTS = 32


def opposite(chance, server):
    source, target = (0, 1) if server == 0 else (1, 0)
    return source, target, chance.randint(1, 3)


def hot(chance, _server):
    return chance.randrange(1, WALLETS), 0, 1


class Rivals(Crowd):
    """Clients who stay with their server, send one transfer at a time and all want the same accounts."""

    bulk = 1

    def __init__(self, nodes, choose):
        super().__init__(nodes, CLIENTS)
        self.choose = choose

    def _promise(self, who, chance):
        source, target, amount = self.choose(chance, who % len(self.nodes))
        with self.lock:
            promise = Promise({"from": f"ext:w{source}", "to": f"ext:w{target}", "currency": "USD", "amount": amount,
                               "idempotencyKey": f"{self.seed}-{who}-{len(self.promises)}"})
            self.promises.append(promise)
            return promise


def run(tap, cluster, name, choose):
    url = migrate(cluster.database(name.replace(" ", "_")))
    with Node(url=url) as one, Node(url=url) as two:
        for node in (one, two):
            node.start()
        fund(one)
        with tap.point(f"{name}: every request is answered, and every answer stands"):
            with Rivals([one, two], choose) as crowd:
                time.sleep(SECONDS)
            crowd.audit(two)
        print(f"# {name}: {crowd.figures()}; answered by server: {dict(sorted(crowd.answered.items()))}")
        with tap.point(f"{name}: none was refused for the other server's sake"):
            assert not crowd.codes, crowd.codes
        with tap.point(f"{name}: both servers got their share"):
            assert len(crowd.answered) == 2 and min(crowd.answered.values()) > sum(crowd.answered.values()) / 10, crowd.answered
            assert crowd.longest < 5 * SLOWNESS, f"nobody was answered for {crowd.longest:.1f} s"
        with tap.point(f"{name}: no deadlock was met"):
            met = cluster.sql(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{database_of(url)}'")
            assert met == "0", f"{met} deadlocks"
        for node in (one, two):
            node.stop_well()


def main():
    tap = Tap()
    with Cluster() as cluster:
        run(tap, cluster, "opposite transfers", opposite)
        run(tap, cluster, "one hot account", hot)
    tap.done()


main()
