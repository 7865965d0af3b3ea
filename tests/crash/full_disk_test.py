"""No more space while clients write: 503 and no lie, reads go on, and when there is space again it goes on by itself.

Twice: on a small file system of its own, which needs a mount namespace (root, or a kernel that gives users one), and with
a limit on the size of files, which needs nothing.
"""
import os
import resource
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import SLOWNESS, Client, Lost, Node, balance, open_wallets, setting  # noqa: E402
from tap import Skip, Tap  # noqa: E402

CLIENTS = 16
WALLETS = 4
EACH = 100000
FULL_SECONDS = setting("CREDITLEDGER_TEST_SECONDS", 1.0)
MARK = "CREDITLEDGER_TEST_NAMESPACE"


class Writers:
    """Each goes on with its own keys, and keeps what it was told."""

    def __init__(self, port):
        self.port, self.stop, self.lock = port, False, threading.Lock()
        self.acknowledged, self.refused, self.problems, self.last_refused = {}, {}, [], 0.0
        self.threads = [threading.Thread(target=self.write, args=(i,)) for i in range(CLIENTS)]

    def write(self, who):
        client, n = Client(self.port), 0
        try:
            while not self.stop:
                n += 1
                body = {"from": f"ext:w{who % WALLETS}", "to": f"ext:w{(who + 1) % WALLETS}", "amount": 1,
                        "currency": "USD", "idempotencyKey": f"{who}-{n}", "metadata": {"fill": "x" * 4000}}
                self.note(body, client.post("/transfers", body))
        except Lost as error:
            self.problems.append(f"connection lost: {error}")
        except Exception as error:  # noqa: BLE001
            self.problems.append(repr(error))
        client.close()

    def note(self, body, answer):
        with self.lock:
            if answer.status == 201:
                self.acknowledged[body["idempotencyKey"]] = answer.json()["transferId"]
            elif answer.code() == "storage_unavailable" and answer.status == 503:
                self.refused[body["idempotencyKey"]] = body
                self.last_refused = time.monotonic()
            else:
                self.problems.append(f"{answer}")
        if answer.status == 503:
            time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join()


def wait_for(what, condition, seconds=10):
    ends = time.monotonic() + seconds * max(1, SLOWNESS / 2)
    while not condition():
        assert time.monotonic() < ends, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def full(tap, how, node, client, writers):
    with tap.point(f"{how}: writes are answered 503 storage_unavailable, with Retry-After"):
        wait_for("the first 503", lambda: writers.refused or writers.problems)
        assert not writers.problems, writers.problems[:3]
        # Small records may still find room where big ones do not: a big one shows it.
        body = {"from": "ext:w0", "to": "ext:w1", "amount": 1, "currency": "USD", "metadata": {"fill": "x" * 16000}}
        answer = client.post("/transfers/batch", [body] * 60)
        assert answer.status == 503 and answer.code() == "storage_unavailable", answer
        assert int(answer.headers["retry-after"]) >= 1
    with tap.point(f"{how}: /readyz says 503, /healthz 200"):
        wait_for("/readyz 503", lambda: client.get("/readyz").status == 503)
        assert client.get("/healthz").status == 200
    with tap.point(f"{how}: reads go on, and show what was acknowledged"):
        ends = time.monotonic() + FULL_SECONDS
        while time.monotonic() < ends:
            key, transfer_id = list(writers.acknowledged.items())[-1]
            assert client.must(200, "GET", f"/transfers/{transfer_id}")["idempotencyKey"] == key
            assert balance(client, "ext:w0") > 0
            client.must(200, "GET", "/accounts/ext:w1/statements?limit=10")
            client.must(200, "GET", "/transfers?limit=10")
        assert node.alive() and not writers.problems, writers.problems[:3]


def space_again(tap, how, node, client, writers, make_space):
    refused_before = len(writers.refused)
    with tap.point(f"{how}: with space again it takes writes without a restart"):
        made = time.monotonic()
        make_space()
        acknowledged = len(writers.acknowledged)
        wait_for("writes go through", lambda: len(writers.acknowledged) > acknowledged + 50)
        wait_for("no more 503", lambda: time.monotonic() - writers.last_refused > 0.5)
        assert client.get("/readyz").status == 200 and not writers.problems, writers.problems[:3]
        print(f"# {how}: {refused_before} refused; the last refusal {writers.last_refused - made:.2f} s after there was "
              f"space; {len(writers.acknowledged)} acknowledged")


def truth(tap, how, node, client, writers):
    with tap.point(f"{how}: all that was acknowledged is there, what was refused happens once when retried"):
        for key, transfer_id in writers.acknowledged.items():
            assert client.must(200, "GET", f"/transfers/{transfer_id}")["idempotencyKey"] == key
        for key, body in writers.refused.items():
            ids = {client.must(201, "POST", "/transfers", body)["transferId"] for _ in range(2)}
            assert len(ids) == 1, f"{key}: {ids}"
        assert sum(balance(client, f"ext:w{i}") for i in range(WALLETS)) == WALLETS * EACH
    with tap.point(f"{how}: it stops with 0, verify passes, no record more and none less"):
        client.close()
        node.stop_well()
        records = node.verify()["records"]
        expected = 1 + 2 * WALLETS + len(writers.acknowledged) + len(writers.refused)
        assert records == expected, f"{records} records, not {expected}"


def idle_recovery(tap, how, client, take_space, make_space):
    """A balancer sends nothing to what is not ready, so readiness must come back without a write that proves it."""
    with tap.point(f"{how}: full again and without a write, /readyz recovers by itself"):
        take_space()
        body = {"from": "ext:w0", "to": "ext:w1", "amount": 1, "currency": "USD", "metadata": {"fill": "x" * 16000}}

        wait_for("503", lambda: client.post("/transfers/batch", [body] * 60).status == 503)
        assert client.get("/readyz").status == 503
        make_space()
        wait_for("/readyz 200", lambda: client.get("/readyz").status == 200, 10)


def story(tap, how, node, make_space, **start):
    node.start(**start)
    client = Client(node.port)
    open_wallets(client, WALLETS, EACH)
    with Writers(node.port) as writers:
        full(tap, how, node, client, writers)
        space_again(tap, how, node, client, writers, make_space)
    truth(tap, how, node, client, writers)


def small_file_system(tap):
    """In a mount namespace of this process: nobody else sees it, and it ends with the process."""
    with Node() as node:
        disk = os.path.join(node.directory, "disk")
        os.mkdir(disk)
        node.data = os.path.join(disk, "data")

        def resize(size):
            return subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)

        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], check=False).returncode != 0:
            with tap.point("full disk"):
                raise Skip("cannot mount a file system here")
        ballast = os.path.join(disk, "ballast")

        def take_space():
            kib = int(subprocess.run(["du", "-sk", disk], capture_output=True, check=True).stdout.split()[0])
            resize(f"{kib + 64}k")
            with open(ballast, "wb", buffering=0) as file:
                try:
                    while file.write(b"\0" * 4096):
                        pass
                except OSError:
                    pass

        def make_space():
            if os.path.exists(ballast):
                os.remove(ballast)
            resize("256m")

        story(tap, "full disk", node, make_space)
        node.start()
        client = Client(node.port)
        idle_recovery(tap, "full disk", client, take_space, make_space)
        client.close()
        full_at_start(tap, node, take_space, make_space)
        subprocess.run(["umount", disk], check=True)


def file_size_limit(tap):
    with Node() as node:
        def make_space():
            resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        story(tap, "file size limit", node, make_space, file_size=4 << 20)


def full_at_start(tap, node, take_space, make_space):
    with tap.point("full disk: a start succeeds, or says what is in the way and exits with 3"):
        node.stop_well()
        take_space()
        try:
            node.start()
            node.stop_well()
        except AssertionError:
            assert node.process.wait() == 3 and "No space left" in node.log(), node.log()
        make_space()
        node.start()
        node.stop_well()
        node.verify()


def enter_namespace():
    """Runs this program again in a mount namespace, as root of a user namespace if need be; returns if there is none."""
    unshare = shutil.which("unshare")
    for options in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        if unshare and subprocess.run([unshare, *options, "true"], capture_output=True, check=False).returncode == 0:
            os.environ[MARK] = "1"
            os.execv(unshare, [unshare, *options, sys.executable, *sys.argv])


def main():
    if MARK not in os.environ:
        enter_namespace()
    tap = Tap()
    file_size_limit(tap)
    if MARK in os.environ:
        small_file_system(tap)
    else:
        with tap.point("full disk"):
            raise Skip("no mount namespace here: needs root or user namespaces")
    tap.done()


main()
