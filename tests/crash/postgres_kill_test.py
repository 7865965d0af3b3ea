"""kill -9 while clients write over PostgreSQL: of the server, of the connections' backends, of PostgreSQL itself; restarts too.

After each, the clients go on, with the same server process unless it was that which died; readiness went away and came back.
In the end every answer stands (tests/support/crowd.py). CREDITLEDGER_TEST_KILLS kills more often.
"""
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from crowd import Crowd, fund  # noqa: E402
from live import SERVER_ROLE, SLOWNESS, Client, Lost, Node, migrate, setting  # noqa: E402
from postgres import Cluster, signal_all  # noqa: E402
from tap import Tap  # noqa: E402

KILLS = setting("CREDITLEDGER_TEST_KILLS", 3 if SLOWNESS == 1 else 1)
DOWN_SECONDS = 0.7


class Readiness:
    """Asks /readyz all the time."""

    def __init__(self, node):
        self.node, self.stop, self.seen = node, False, []
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        client = Client(self.node.port)
        while not self.stop:
            try:
                status = client.get("/readyz").status
            except Lost:
                status = 0
            if not self.seen or self.seen[-1] != status:
                self.seen.append(status)
            time.sleep(0.005)
        client.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        """What is true now is seen once more."""
        time.sleep(0.1)
        self.stop = True
        self.thread.join()


def wait_ready(node, seconds=20):
    client, began = Client(node.port), time.monotonic()
    while client.get("/readyz").status != 200:
        assert time.monotonic() - began < seconds * max(1, SLOWNESS / 2), "it does not become ready:\n" + node.log()[-3000:]
        time.sleep(0.01)
    client.close()
    return time.monotonic() - began


def server_killed(node, cluster, crowd):
    crowd.going_on()
    node.kill()
    started = node.start()
    print(f"# ready again in {started:.2f} s; first answers {crowd.going_on():.2f} s later")


def backends_killed(node, cluster, crowd):
    """Asked to end, one after another; PostgreSQL goes on."""
    for _ in range(10):
        crowd.going_on(20)
        cluster.sql(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{SERVER_ROLE}' "
                    "AND random() < 0.6")
    wait_ready(node)


def backend_crashes(node, cluster, crowd):
    """SIGKILL to one: PostgreSQL ends all others and recovers."""
    crowd.going_on()
    backends, recoveries = cluster.backends(f"usename = '{SERVER_ROLE}'"), cluster.log().count("all server processes terminated")
    assert backends, "nobody is connected"
    signal_all([random.choice(backends)], signal.SIGKILL)
    ends = time.monotonic() + 20
    while cluster.log().count("all server processes terminated") == recoveries:
        assert time.monotonic() < ends, "PostgreSQL did not recover"
        time.sleep(0.02)
    wait_ready(node)


def postgres_killed(node, cluster, crowd):
    with Readiness(node) as readiness:
        crowd.going_on()
        cluster.kill()
        time.sleep(DOWN_SECONDS)
        cluster.start()
        took = wait_ready(node)
        print(f"# down {DOWN_SECONDS} s; ready {took:.2f} s after PostgreSQL; first answers {crowd.going_on():.2f} s later")
    check_readiness(readiness)


def postgres_restarted(node, cluster, crowd):
    with Readiness(node) as readiness:
        crowd.going_on()
        cluster.stop("fast")
        time.sleep(DOWN_SECONDS)
        cluster.start()
        wait_ready(node)
    check_readiness(readiness)


def check_readiness(readiness):
    assert 503 in readiness.seen and readiness.seen[-1] == 200 and 0 not in readiness.seen, \
        f"/readyz while PostgreSQL was away: {readiness.seen}"


STORIES = {
    "the server is killed": server_killed,
    "connections are ended by the administrator": backends_killed,
    "a backend is killed, and PostgreSQL recovers": backend_crashes,
    "PostgreSQL is killed and comes back": postgres_killed,
    "PostgreSQL is restarted": postgres_restarted,
}


def tell(tap, name, story, node, cluster, before):
    """A story with a crowd of its own, and then the books."""
    with tap.point(name):
        with Crowd([node]) as crowd:
            story(node, cluster, crowd)
            crowd.going_on()
        print(f"# {crowd.figures()}")
        crowd.audit(node, before)
        before.append(crowd)


def main():
    tap, before = Tap(), []
    with Cluster() as cluster, Node(url=migrate(cluster.database())) as node:
        node.start()
        fund(node)
        for name, story in STORIES.items():
            for number in range(KILLS if "killed" in name else 1):
                tell(tap, f"{name} ({number + 1})", story, node, cluster, before)
        with tap.point("the server was started again only when it was killed, and stops with 0"):
            assert node.starts == 1 + KILLS, node.starts
            node.stop_well()
    tap.done()


main()
