"""The real binary over PostgreSQL: subcommands, and servers to talk to. The URL goes by the environment, as in production."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from cli import BINARY, Done

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import SLOWNESS, Client, Lost  # noqa: E402

PATIENCE = 30 * max(1, SLOWNESS / 2)


def environment(url, direct=None):
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CREDITLEDGER_D", "PG"))}
    return ours | {"CREDITLEDGER_DATABASE_URL": url} | ({"CREDITLEDGER_DATABASE_DIRECT_URL": direct} if direct else {})


def run(url, command, *arguments, code=0):
    """It must end with that exit code (None: with any)."""
    done = subprocess.run([BINARY, command, *arguments], capture_output=True, text=True, timeout=240, env=environment(url), check=False)
    result = Done(done.returncode, done.stdout, done.stderr)
    assert code is None or result.code == code, f"{command} {' '.join(arguments)}\nexpected exit {code}, got {result}"
    return result


def eventually(what, condition, seconds=PATIENCE):
    ends = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < ends, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
    return result


class Server:
    def __init__(self, url, *options, direct=None):
        self.log_lines = []
        self.process = subprocess.Popen([BINARY, "serve", "--listen", "127.0.0.1:0", "--log-format", "json", *options],
                                        stderr=subprocess.PIPE, text=True, env=environment(url, direct))
        for line in self.process.stderr:
            self.log_lines.append(line)
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("message") == "listening":
                self.port = int(event["port"])
                break
        else:
            raise AssertionError("the server did not start: " + "".join(self.log_lines))
        os.set_blocking(self.process.stderr.fileno(), False)
        self.client = Client(self.port)

    def warnings(self):
        return [json.loads(line) for line in self.log_lines if '"level":"warning"' in line]

    def must(self, status, method, path, body=None, headers=None):
        return self.client.must(status, method, path, body, headers)

    def ready(self):
        with contextlib.suppress(Lost):
            return self.client.get("/readyz")
        return None

    def stop(self, timeout=PATIENCE):
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        finally:
            self.client.close()
            self.process.stderr.close()


@contextlib.contextmanager
def server(url, *options, direct=None):
    it = Server(url, *options, direct=direct)
    try:
        yield it
    finally:
        try:
            status = it.stop() if it.process.poll() is None else it.process.returncode
        except subprocess.TimeoutExpired:
            it.process.kill()
            it.process.wait()
            raise
    assert status == 0, f"the server ended with {status}"
