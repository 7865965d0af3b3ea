"""What a server over PostgreSQL refuses to start with, and what it warns of: each with a sentence that says what to do."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import PROGRAM, SERVER_ROLE, SLOWNESS, Node, migrate  # noqa: E402
from postgres import Cluster  # noqa: E402
from tap import Tap  # noqa: E402


def serve(url, *options):
    """A server that is to stop by itself: its exit code and what it said."""
    done = subprocess.run([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--database-url", url, *options], capture_output=True, text=True,
                          timeout=60 * max(1, SLOWNESS / 2), check=False)
    return done.returncode, done.stdout + done.stderr


def refused(url, *words):
    code, said = serve(url)
    assert code not in (0, 1, 2) and code > 0, f"exit {code}: {said}"
    for word in words:
        assert word in said, f"'{word}' is not in: {said}"


def settings(tap):
    with Cluster() as cluster:
        url = migrate(cluster.database())
        with tap.point("synchronous_commit = off for the role"):
            cluster.sql(f"ALTER ROLE {SERVER_ROLE} SET synchronous_commit = off")
            refused(url, "synchronous_commit")
            cluster.sql(f"ALTER ROLE {SERVER_ROLE} RESET synchronous_commit")
        with tap.point("synchronous_commit = off for the cluster"):
            cluster.set(synchronous_commit="off")
            refused(url, "synchronous_commit")
            cluster.sql("ALTER SYSTEM RESET synchronous_commit; ")
            cluster.sql("SELECT pg_reload_conf()")
        with tap.point("another isolation level by default"):
            cluster.sql(f"ALTER ROLE {SERVER_ROLE} SET default_transaction_isolation = 'repeatable read'")
            refused(url, "read committed")
            cluster.sql(f"ALTER ROLE {SERVER_ROLE} RESET default_transaction_isolation")
        with tap.point("a database that nobody migrated, as the server's role"):
            refused(cluster.database("empty").replace("postgres@", f"{SERVER_ROLE}@"), "migrate")
        with tap.point("a database that does not exist"):
            refused(cluster.url("nowhere", SERVER_ROLE), "nowhere")
        with tap.point("a server nobody runs"):
            refused("postgres://nobody@127.0.0.1:1/nowhere")
        with tap.point("a password is never shown"):
            code, said = serve("postgres://nobody:s3cret@127.0.0.1:1/nowhere")
            assert code > 0 and "s3cret" not in said, said
        with tap.point("none of these, and it serves; more rights than it needs are a warning"):
            with Node(url=url) as node:
                node.start()
                node.stop_well()
                assert "superuser" not in node.log(), node.log()
            with Node(url=url.replace(f"{SERVER_ROLE}@", "postgres@")) as node:
                node.start()
                node.stop_well()
                assert "superuser" in node.log(), node.log()


def fsync_off(tap):
    with Cluster(options={"fsync": "off"}) as cluster:
        url = migrate(cluster.database())
        with tap.point("fsync = off"):
            refused(url, "fsync")


def main():
    tap = Tap()
    settings(tap)
    fsync_off(tap)
    tap.done()


main()
