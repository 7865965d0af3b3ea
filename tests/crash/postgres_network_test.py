"""The network between server and PostgreSQL fails while clients write: connections cut in the middle of a commit, or swallowed
without a word. And PostgreSQL itself gives up on statements: timeouts, deadlocks, locks that somebody else keeps.

A commit whose answer was lost is neither done nor undone until the server has found out. Every answer must stand in the end.
"""
import contextlib
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from crowd import Crowd, fund  # noqa: E402
from live import SERVER_ROLE, Node, migrate, setting  # noqa: E402
from postgres import BIN, Cluster, database_of  # noqa: E402
from proxy import Proxy  # noqa: E402
from tap import Tap  # noqa: E402

SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 4.0)
SEED = setting("CREDITLEDGER_TEST_SEED", 0) or random.SystemRandom().randrange(1, 1 << 32)
HOLE_SECONDS = 2


def cut(proxy, requests, answers):
    proxy.cut_requests, proxy.cut_answers = requests, answers


def connections_cut(tap, cluster, proxy, node, before):
    for name, requests, answers in (("answers", 0, 0.05), ("requests", 0.05, 0), ("both, and new ones too", 0.1, 0.1)):
        with tap.point(f"connections are cut at random: {name}"):
            with Crowd([node], seed=SEED) as crowd:
                crowd.going_on()
                cuts = proxy.cuts
                cut(proxy, requests, answers)
                time.sleep(SECONDS)
                cut(proxy, 0, 0)
                crowd.going_on()
            print(f"# {proxy.cuts - cuts} cuts; {crowd.figures()}")
            crowd.audit(node, before)
            before.append(crowd)
            assert proxy.cuts - cuts > 5, "hardly anything was cut"


def swallowed(tap, proxy, node, before):
    with tap.point("a network that swallows everything: given up in time, and found again"):
        with Crowd([node], seed=SEED + 1) as crowd:
            crowd.going_on()
            with proxy.hole():
                time.sleep(HOLE_SECONDS)
            took = crowd.going_on(seconds=90)
            print(f"# answers again {took:.1f} s after the hole; {crowd.figures()}")
        crowd.audit(node, before)
        before.append(crowd)


def no_password(tap, cluster, node):
    with tap.point("the log never shows the password"):
        assert cluster.password not in node.log() and "s3cret" not in node.log(), node.log()[-2000:]


def over_the_network(tap):
    before = []
    with Cluster(tcp=True) as cluster, Proxy(cluster.port, SEED) as proxy:
        url = migrate(cluster.database("network"))
        cluster.sql(f"ALTER ROLE {SERVER_ROLE} LOGIN PASSWORD 's3cret'")
        with Node(url=cluster.tcp_url(database_of(url), SERVER_ROLE, "s3cret", proxy.port)) as node, Node(url=url) as reader:
            node.run = reader.run  # the command line needs no bad network
            node.start()
            fund(node)
            connections_cut(tap, cluster, proxy, node, before)
            swallowed(tap, proxy, node, before)
            no_password(tap, cluster, node)
            with tap.point("one process all the time, and it stops with 0"):
                assert node.starts == 1 and node.alive()
                node.stop_well()


# --- PostgreSQL gives up -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def session(url, text):
    """Another session that has said this and keeps its transaction open."""
    process = subprocess.Popen([os.path.join(BIN, "psql"), "-XAtq", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(f"BEGIN; {text}; SELECT 'there';\n")
    process.stdin.flush()
    while process.stdout.readline().strip() != "there":
        assert process.poll() is None, "the other session ended"
    try:
        yield
    finally:
        process.stdin.close()
        process.wait()


def locked_out(cluster, url, crowd):
    """Somebody's forgotten session keeps the table from being written."""
    owner = cluster.url(database_of(url))
    with session(owner, "LOCK TABLE creditledger.journal IN SHARE MODE"):
        time.sleep(2)
    crowd.going_on()


def role_setting(name, value):
    def story(cluster, url, crowd):
        """Sessions made from now on have it; those there are are ended."""
        cluster.sql(f"ALTER ROLE {SERVER_ROLE} SET {name} = '{value}'")
        end_sessions(cluster)
        owner = cluster.url(database_of(url))
        for _ in range(5):
            with session(owner, "LOCK TABLE creditledger.journal IN SHARE MODE"):
                time.sleep(0.4)
            time.sleep(0.2)
        cluster.sql(f"ALTER ROLE {SERVER_ROLE} RESET {name}")
        end_sessions(cluster)
        crowd.going_on()
    return story


def end_sessions(cluster):
    cluster.sql(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{SERVER_ROLE}'")


def cancelled(cluster, url, crowd):
    """An administrator cancels whatever runs."""
    for _ in range(100):
        cluster.sql(f"SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE usename = '{SERVER_ROLE}' AND state = 'active'")
    crowd.going_on()


def deadlocked(cluster, url, crowd):
    """A session takes the tables in the order that the server does not."""
    owner = cluster.url(database_of(url))
    cluster.set(deadlock_timeout="20ms")
    ends, ended = time.monotonic() + 3, 0
    while time.monotonic() < ends:
        done = subprocess.run([os.path.join(BIN, "psql"), "-XAtq", "-d", owner, "-c", "BEGIN; "
                               "LOCK TABLE creditledger.entry IN SHARE MODE; SELECT pg_sleep(0.05); "
                               "LOCK TABLE creditledger.journal IN SHARE MODE; COMMIT"], capture_output=True, text=True, check=False)
        ended += "deadlock" in done.stderr
    deadlocks = int(cluster.sql(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{database_of(url)}'"))
    print(f"# {deadlocks} deadlocks, {ended} of them ended by ending the other session")
    crowd.going_on()


STORIES = {
    "a table that somebody keeps locked for two seconds": locked_out,
    "statement_timeout": role_setting("statement_timeout", "100ms"),
    "lock_timeout": role_setting("lock_timeout", "100ms"),
    "statements cancelled by the administrator": cancelled,
    "deadlocks with another session": deadlocked,
}


def postgres_gives_up(tap):
    before = []
    with Cluster() as cluster:
        url = migrate(cluster.database("gives_up"))
        with Node(url=url) as node, Node(url=url) as other:
            node.start()
            other.start()
            fund(node)
            for name, story in STORIES.items():
                with tap.point(name):
                    with Crowd([node, other]) as crowd:
                        crowd.going_on()
                        story(cluster, url, crowd)
                    print(f"# {crowd.figures()}")
                    crowd.audit(node, before)
                    before.append(crowd)
            with tap.point("the processes are the same, and stop with 0"):
                for one in (node, other):
                    one.stop_well()


def main():
    tap = Tap()
    print(f"# CREDITLEDGER_TEST_SEED={SEED}")
    over_the_network(tap)
    postgres_gives_up(tap)
    tap.done()


main()
