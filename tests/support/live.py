"""A server of this build that a test may crowd, starve, kill and start again, and clients to do it with.

    with Node() as node:
        node.start()
        client = Client(node.port)
        answer = client.post("/accounts", {"currency": "USD"})

Client speaks HTTP/1.1 over one kept-alive connection and raises Lost when there is no whole answer: then nobody knows
whether the request had an effect, which is what many of these tests are about.

CREDITLEDGER_TEST_SLOWNESS says how many times slower than a release build this build may be (sanitizers). With
CREDITLEDGER_TEST_BACKEND=postgres a node's journal is a database of its own in the PostgreSQL that tests share.
"""
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import postgres
from tap import BUILD

PROGRAM = os.environ.get("CREDITLEDGER_BINARY") or os.path.join(BUILD, "creditledger")
SLOWNESS = float(os.environ.get("CREDITLEDGER_TEST_SLOWNESS", "1"))
POSTGRES = os.environ.get("CREDITLEDGER_TEST_BACKEND") == "postgres"
if POSTGRES:
    postgres.need_shared()


class Lost(Exception):
    """The connection ended without a whole answer."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def code(self):
        """The problem's code, or None."""
        kind = self.headers.get("content-type", "")
        return self.json().get("code") if kind.startswith("application/problem+json") else None

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


def encode(method, path, body=None, headers=None):
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body, separators=(",", ":")).encode()
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
        if not any(name.lower() == "content-type" for name in headers or {}):
            lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


class Client:
    def __init__(self, port, timeout=60):
        self.port, self.timeout = port, timeout * max(1, SLOWNESS / 2)
        self.socket, self.buffer = None, b""

    def connect(self):
        if self.socket is None:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
            except OSError as error:
                raise Lost(f"cannot connect: {error}") from error
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.buffer = b""
        return self

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def send(self, data):
        self.connect()
        try:
            self.socket.sendall(data)
        except OSError as error:
            self.close()
            raise Lost(f"cannot send: {error}") from error

    def _more(self):
        try:
            data = self.socket.recv(262144)
        except OSError as error:
            self.close()
            raise Lost(f"cannot receive: {error}") from error
        if not data:
            self.close()
            raise Lost("closed")
        self.buffer += data

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def _exactly(self, size):
        while len(self.buffer) < size:
            self._more()
        part, self.buffer = self.buffer[:size], self.buffer[size:]
        return part

    def head(self):
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(lines[0].split()[1]), headers

    def chunks(self):
        """The pieces of a chunked body as they come."""
        while True:
            size = int(self._until(b"\r\n"), 16)
            piece = self._exactly(size + 2)[:-2]
            if size == 0:
                return
            yield piece

    def receive(self):
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(self.chunks())
        else:
            body = self._exactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)

    def request(self, method, path, body=None, headers=None):
        self.send(encode(method, path, body, headers))
        return self.receive()

    def get(self, path, headers=None):
        return self.request("GET", path, None, headers)

    def post(self, path, body, headers=None):
        return self.request("POST", path, body, headers)

    def must(self, status, method, path, body=None, headers=None):
        """The answer's JSON, if it has that status."""
        answer = self.request(method, path, body, headers)
        assert answer.status == status, f"{method} {path}: expected {status}, got {answer}"
        return answer.json()

    def stream(self, path, lines):
        """Posts NDJSON and yields each line of the answer once it is there."""
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        self.send(encode("POST", path, body, {"Content-Type": "application/x-ndjson"}))
        status, headers = self.head()
        assert status == 200, (status, headers)
        whole = headers.get("transfer-encoding") != "chunked"  # few lines are not worth a stream
        rest = b""
        for piece in [self._exactly(int(headers["content-length"]))] if whole else self.chunks():
            *whole, rest = (rest + piece).split(b"\n")
            yield from (json.loads(line) for line in whole)


SERVER_ROLE = "ledger_server"  # what servers may do over PostgreSQL: read and append


def migrate(url, *options):
    """Makes the schema, as the owner; the URL for servers."""
    done = subprocess.run([PROGRAM, "migrate", "--database-url", url, "--runtime-role", SERVER_ROLE, *options], capture_output=True,
                          text=True, timeout=60 * SLOWNESS, check=False)
    assert done.returncode == 0, f"migrate: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return postgres.with_user(url, SERVER_ROLE)


class Node:
    """A journal and the process that serves it. `url`: of a PostgreSQL database that is somebody else's to drop; `direct`: the
    same past a pooler."""

    def __init__(self, *options, data=None, url=None, direct=None):
        self.options, self.direct = options, direct
        self.own = postgres.make_database(postgres.need_shared(), "node") if POSTGRES and not url and not data else None
        self.url = url or (self.own and migrate(self.own))
        self.directory = tempfile.mkdtemp(prefix="creditledger-test-")
        self.data = data or os.path.join(self.directory, "data")
        self.log_path = os.path.join(self.directory, "log")
        self.process, self.port, self.starts = None, None, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.own:
            postgres.drop_database(self.own)
        shutil.rmtree(self.directory)

    def where(self):
        """The options that lead to the journal."""
        if not self.url:
            return ["--data", self.data]
        return ["--database-url", self.url] + (["--database-direct-url", self.direct] if self.direct else [])

    def start(self, file_size=None):
        """Returns the seconds until it was ready. `file_size` limits every file it writes."""
        began = time.monotonic()
        self.starts += 1
        self.log_path = os.path.join(self.directory, f"log.{self.starts}")
        limit = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))) \
            if file_size else None
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--listen", "127.0.0.1:0", *self.where(), "--log-format", "json",
                 *self.options], stdout=log, stderr=log, preexec_fn=limit)
        while (event := self.event("listening")) is None:
            assert self.process.poll() is None, "the server stopped at once:\n" + self.log()
            assert time.monotonic() - began < 60, "the server does not start:\n" + self.log()
            time.sleep(0.002)
        self.port = int(event["port"])
        client = Client(self.port)
        while client.get("/readyz").status != 200:
            assert time.monotonic() - began < 60, "the server does not become ready:\n" + self.log()
            time.sleep(0.002)
        client.close()
        return time.monotonic() - began

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def event(self, message):
        for line in self.log().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                event = json.loads(line)
                if event.get("message") == message:
                    return event
        return None

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout=60):
        """Its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout * max(1, SLOWNESS / 2))

    def stop_well(self):
        status = self.stop()
        assert status == 0, f"exit {status}:\n{self.log()[-4000:]}"

    def run(self, *arguments):
        """A subcommand on the same journal."""
        return subprocess.run([PROGRAM, *arguments, *self.where()], capture_output=True, text=True, timeout=60 * SLOWNESS,
                              check=False)

    def verify(self):
        done = self.run("verify", "--json")
        assert done.returncode == 0, f"verify: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024


def open_wallets(client, count, each):
    """Wallets ext:w0 ... with `each` in them; returns their ids."""
    ids = []
    for i in range(count):
        wallet = client.must(201, "POST", "/accounts", {"currency": "USD", "type": "wallet", "externalId": f"w{i}"})
        ids.append(wallet["accountId"])
        if each:
            client.must(201, "POST", f"/accounts/ext:w{i}/credits", {"amount": each})
    return ids


def balance(client, account):
    return client.must(200, "GET", f"/accounts/{account}/balance")["balance"]


def setting(name, default):
    """A number that whoever runs the test may change."""
    return type(default)(os.environ.get(name, default))
