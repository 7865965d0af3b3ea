"""Running the real binary in a directory of its own, and a server to talk to."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import postgres  # noqa: E402
from tap import BUILD, SOURCE  # noqa: E402

BINARY = os.environ.get("CREDITLEDGER_BINARY") or os.path.join(BUILD, "creditledger")
POSTGRES = os.environ.get("CREDITLEDGER_TEST_BACKEND") == "postgres"


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\n{self.out}{self.err}"

    def json(self):
        return json.loads(self.out)


class Desk:
    """A directory with a database in data/; with CREDITLEDGER_TEST_BACKEND=postgres the database is one in the PostgreSQL that
    tests share."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="creditledger-cli-")
        self.data = os.path.join(self.path, "data")
        self.database = os.path.join(self.data, "ledger.db")
        self.url = postgres.make_database(postgres.need_shared(), "desk") if POSTGRES else None

    def file(self, name, text=None):
        path = os.path.join(self.path, name)
        if text is not None:
            with open(path, "w", encoding="utf-8", newline="") as out:
                out.write(text)
        return path

    def run(self, command, *arguments, code=0, data=None, **more):
        """Runs a subcommand; it must end with that exit code (None: with any)."""
        where = ["--database-url", self.url] if self.url and data is None else ["--data", data or self.data]
        line = [BINARY, command, *arguments, *where]
        result = subprocess.run(line, capture_output=True, text=True, timeout=240, cwd=self.path, **more)
        done = Done(result.returncode, result.stdout, result.stderr)
        assert code is None or done.code == code, f"{' '.join(line)}\nexpected exit {code}, got {done}"
        return done

    def sql(self, text, database=None):
        """With the sqlite3 program and its defaults."""
        result = subprocess.run(["sqlite3", "-bail", database or self.database, text], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def drop_triggers(self):
        for name in self.sql("SELECT name FROM sqlite_schema WHERE type = 'trigger'").split():
            self.sql(f"DROP TRIGGER {name}")

    @contextlib.contextmanager
    def server(self):
        line = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data", self.data, "--log-format", "json"]
        process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        try:
            yield Server(process, self.data)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            process.stderr.close()

    def close(self):
        if self.url:
            postgres.drop_database(self.url)
        shutil.rmtree(self.path)


class Server:
    def __init__(self, process, data):
        self.process, self.data = process, data
        seen = []
        for line in process.stderr:
            seen.append(line)
            event = json.loads(line)
            if event["message"] == "listening":
                self.base = f"http://127.0.0.1:{event['port']}"
                return
        raise AssertionError("the server did not start: " + "".join(seen))

    def post(self, path, body, method="POST"):
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
