"""PostgreSQL's disk is full while clients write: 503 and no lie, reads go on, and when there is space again it goes on by itself.

Twice: where the tables are, where PostgreSQL refuses each statement; and where its write-ahead log is, where it stops working
altogether and an operator starts it again. On small file systems, in a mount namespace of this process.
"""
import errno
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from crowd import EACH, WALLETS, Crowd  # noqa: E402
from live import SLOWNESS, Client, Node, balance, migrate, open_wallets  # noqa: E402
from postgres import Cluster, database_of, give, need_binaries  # noqa: E402
from tap import Tap, skip_all  # noqa: E402

MARK = "CREDITLEDGER_TEST_NAMESPACE"


def enter_namespace():
    """Runs this program again in a mount namespace, as root of a user namespace if need be; returns if there is none. There
    PostgreSQL would be run by root, so a user namespace is no use to it."""
    unshare = shutil.which("unshare")
    if unshare and os.getuid() == 0 and subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode == 0:
        os.environ[MARK] = "1"
        os.execv(unshare, [unshare, "--mount", sys.executable, *sys.argv])


class Disk:
    """A file system in memory with little space, to be filled up and made larger."""

    def __init__(self, cluster, name, mib):
        self.path = os.path.join(cluster.base, name)
        os.mkdir(self.path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", self.path], check=True)
        give(self.path)
        os.chmod(self.path, 0o700)

    def fill(self, leave_kib):
        """Takes all space but a little. PostgreSQL takes space meanwhile: what was free a moment ago may be no more."""
        size = 0
        with open(os.path.join(self.path, "ballast"), "wb", buffering=0) as file:
            while (take := os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize - leave_kib * 1024) > 0:
                try:
                    os.posix_fallocate(file.fileno(), size, take)
                    size += take
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self):
        os.remove(os.path.join(self.path, "ballast"))


def wait_for(what, condition, seconds=20):
    ends = time.monotonic() + seconds * max(1, SLOWNESS / 2)
    while not condition():
        assert time.monotonic() < ends, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def start(node):
    node.start()
    client = Client(node.port)
    open_wallets(client, WALLETS, EACH)
    return client


def tables_full(tap):
    with Cluster() as cluster:
        disk = Disk(cluster, "tables", 64)
        cluster.sql(f"CREATE TABLESPACE small LOCATION '{disk.path}'")
        url = cluster.database("full")
        cluster.sql(f"ALTER DATABASE {database_of(url)} SET TABLESPACE small")
        with Node(url=migrate(url)) as node:
            client = start(node)
            with tap.point("no space for the tables: 503 storage_unavailable, reads go on"):
                with Crowd([node]) as crowd:
                    crowd.going_on()
                    disk.fill(64)
                    wait_for("503", lambda: crowd.codes["storage_unavailable"] > 20)
                    wait_for("/readyz 503", lambda: client.get("/readyz").status == 503)
                    assert client.get("/healthz").status == 200 and balance(client, "ext:w0") >= 0
                    silent = crowd.count()
                    disk.free()
                    print(f"# answers again {crowd.going_on():.2f} s after there was space; {silent} before")
                print(f"# {crowd.figures()}")
            with tap.point("every answer stands, in the same process"):
                crowd.audit(node)
                assert client.get("/readyz").status == 200 and node.starts == 1
            with tap.point("full again and without a write, /readyz comes back by itself"):
                disk.fill(0)
                body = {"from": "ext:w0", "to": "ext:w1", "amount": 1, "currency": "USD", "metadata": {"fill": "x" * 16000}}
                wait_for("503", lambda: client.post("/transfers/batch", [body] * 60).status == 503)
                disk.free()
                wait_for("/readyz 200", lambda: client.get("/readyz").status == 200)
            client.close()
            node.stop_well()
            node.verify()


def log_full(tap):
    with Cluster() as cluster:
        cluster.stop()
        wal = os.path.join(cluster.data, "pg_wal")
        disk = Disk(cluster, "wal", 256)
        subprocess.run(["cp", "-a", wal + "/.", disk.path], check=True)
        shutil.rmtree(wal)
        os.symlink(disk.path, wal)
        cluster.start()
        with Node(url=migrate(cluster.database())) as node:
            client = start(node)
            with tap.point("no space for the write-ahead log: PostgreSQL goes down, and comes back when there is some"):
                with Crowd([node], clients=24) as crowd:
                    crowd.going_on()
                    disk.fill(0)
                    # Until it wants another segment of its log.
                    wait_for("PostgreSQL without space", lambda: switch(cluster) or "No space left" in cluster.log(), 60)
                    wait_for("/readyz 503", lambda: client.get("/readyz").status == 503)
                    time.sleep(0.5)
                    assert client.get("/healthz").status == 200
                    disk.free()
                    if cluster.process.poll() is not None or "startup process" in cluster.log():
                        if cluster.process.poll() is None:
                            cluster.kill()
                        cluster.start()
                    print(f"# answers again after {crowd.going_on(seconds=60):.2f} s")
                print(f"# {crowd.figures()}")
            with tap.point("every answer stands, in the same process"):
                crowd.audit(node)
                assert node.starts == 1
            client.close()
            node.stop_well()


def switch(cluster):
    """The next segment, please; false in any case."""
    try:
        cluster.sql("SELECT pg_switch_wal()")
    except AssertionError:
        pass
    return False


def main():
    need_binaries()
    if MARK not in os.environ:
        enter_namespace()
    if MARK not in os.environ:
        skip_all("no mount namespace here: needs root")
    tap = Tap()
    tables_full(tap)
    log_full(tap)
    tap.done()


main()
