"""Bad requests as bytes on a socket: what no well-behaved client sends. Each gets its own status and code, a message that
says what to do, and leaves nothing behind; the next client is served.
"""
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import PROGRAM, SLOWNESS, Client, Lost, Node, encode  # noqa: E402
from tap import Tap  # noqa: E402

BODY = b'{"from":"ext:a","to":"ext:b","amount":5,"currency":"USD"}'
REQUEST_SECONDS = 30  # that a request may take to arrive


def post(*lines, body=BODY, path="/transfers", length=None):
    """A POST with these header lines besides."""
    head = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *lines]
    if length is not False:
        head.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def transfer(amount):
    return b'{"from":"ext:a","to":"ext:b","amount":%s,"currency":"USD"}' % amount


# name, bytes, status, code; without a code the HTTP library answers by itself, in its own words, and closes
WIRE = [
    ("two Content-Length headers", post(f"Content-Length: {len(BODY)}"), 400, "malformed_http"),
    ("two different Content-Length headers", post("Content-Length: 3"), 400, "malformed_http"),
    ("Content-Length with Transfer-Encoding", post("Transfer-Encoding: chunked", body=b"5\r\nabcde\r\n0\r\n\r\n"), 400,
     "malformed_http"),
    ("a Content-Length list", post(length="5, 5"), 400, None),
    ("a signed Content-Length", post(length="+57"), 400, None),
    ("two Host headers", post("Host: localhost"), 400, "malformed_http"),
    ("no Host header", b"GET /accounts HTTP/1.1\r\n\r\n", 400, "malformed_http"),
    ("a foreign Host", b"GET /accounts HTTP/1.1\r\nHost: ledger.example\r\n\r\n", 421, "host_not_allowed"),
    ("a 2 MB body", post(body=b" " * (2 << 20)), 413, "body_too_large"),
    ("a 2 MB body in chunks", post("Transfer-Encoding: chunked", length=False,
                                   body=b"200000\r\n" + b" " * (2 << 20) + b"\r\n0\r\n\r\n"), 413, "body_too_large"),
    ("a 20 MB bulk body announced", post(path="/transfers/batch", body=b"[", length=20 << 20), 413, "body_too_large"),
    ("a head of 20 kB", b"GET /accounts HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 20000 + b"\r\n\r\n", 431,
     "headers_too_large"),
    ("a URL of 10 kB", b"GET /accounts?" + b"a" * 10000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431, "headers_too_large"),
    ("a wrong method", b"DELETE /transfers HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "method_not_allowed"),
    ("a method nobody knows", b"BREW /transfers HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "method_not_allowed"),
    ("no such path", b"GET /transfer HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "route_not_found"),
    ("a wrong content type", post().replace(b"application/json", b"text/plain"), 415, "unsupported_media_type"),
    ("invalid UTF-8", post(body=BODY[:-1] + b',"reference":"\xff\xfe"}'), 400, "invalid_utf8"),
    ("malformed JSON", post(body=BODY[:-1]), 400, "malformed_json"),
    ("a body that is empty", post(body=b""), 400, "malformed_json"),
    ("a key twice", post(body=BODY[:-1] + b',"amount":6}'), 400, "duplicate_json_key"),
    ("an unknown field", post(body=BODY[:-1] + b',"colour":"red"}'), 400, "unknown_field"),
    ("JSON a thousand deep", post(body=b"[" * 1000 + b"]" * 1000), 400, "json_too_deep"),
    ("two keys that differ", post("Idempotency-Key: x", body=BODY[:-1] + b',"idempotencyKey":"y"}'), 400,
     "idempotency_key_conflict"),
    ("amount 0", post(body=transfer(b"0")), 400, "amount_zero"),
    ("amount -1", post(body=transfer(b"-1")), 400, "amount_negative"),
    ("amount 1.5", post(body=transfer(b"1.5")), 400, "amount_fractional"),
    ("amount 1e3", post(body=transfer(b"1e3")), 400, "amount_exponent"),
    ("amount 9223372036854775808", post(body=transfer(b"9223372036854775808")), 400, "number_out_of_range"),
    ("amount 4000000000000000001", post(body=transfer(b"4000000000000000001")), 400, "amount_too_large"),
    ('amount "12x"', post(body=transfer(b'"12x"')), 400, "amount_not_digits"),
    ('amount "12.34"', post(body=transfer(b'"12.34"')), 400, "amount_decimal"),
    ("amount true", post(body=transfer(b"true")), 400, "amount_not_number"),
    ("an unknown account", post(body=BODY.replace(b"ext:b", b"ext:nobody")), 404, "account_not_found"),
    ("another currency", post(body=BODY.replace(b"ext:b", b"ext:eur")), 422, "currency_mismatch"),
    ("the same account twice", post(body=BODY.replace(b"ext:b", b"ext:a")), 422, "same_account"),
    ("a frozen account", post(body=BODY.replace(b"ext:a", b"ext:frozen")), 422, "account_frozen"),
    ("a closed account", post(body=BODY.replace(b"ext:b", b"ext:closed")), 422, "account_closed"),
]


def ask(port, data):
    """One connection for the bytes; the answer may come before the last of them is taken."""
    client = Client(port, timeout=20).connect()

    def send():
        try:
            client.socket.sendall(data)
        except OSError:
            pass  # refused before it was all sent

    sender = threading.Thread(target=send)
    sender.start()
    try:
        return client.receive()
    finally:
        client.close()
        sender.join()


def check_problem(answer, status, code):
    assert (answer.status, answer.code()) == (status, code), f"expected {status} {code}, got {answer}"
    problem = answer.json()
    assert problem["status"] == status and problem["type"].endswith("/" + code), problem
    assert len(problem["title"]) > 3 and len(problem.get("hint", "")) > 10, f"it does not say what to do: {problem}"


class Slow(threading.Thread):
    """Sends the first part at once, then a byte a second, until there is an answer or an end."""

    def __init__(self, port, first, rest):
        super().__init__()
        self.port, self.first, self.rest, self.answer, self.took = port, first, rest, None, None
        self.start()

    def run(self):
        client, began = Client(self.port, timeout=90).connect(), time.monotonic()
        dribble = threading.Thread(target=self.dribble, args=(client.socket,))
        dribble.start()
        try:
            self.answer = client.receive()
        except Lost:
            pass
        self.took = time.monotonic() - began
        client.close()
        dribble.join()

    def dribble(self, to):
        try:
            to.sendall(self.first)
            for byte in self.rest:
                time.sleep(1)
                to.sendall(bytes([byte]))
        except OSError:
            pass


def prepare(client):
    for name in ("a", "b", "frozen", "closed"):
        client.must(201, "POST", "/accounts", {"currency": "USD", "externalId": name})
    client.must(201, "POST", "/accounts", {"currency": "EUR", "externalId": "eur"})
    client.must(200, "PATCH", "/accounts/ext:frozen", {"status": "frozen"})
    client.must(200, "PATCH", "/accounts/ext:closed", {"status": "closed"})


def last_seq(client):
    return client.must(200, "GET", "/events?limit=1000")["last"]


def table(tap, port):
    client = Client(port)
    for name, data, status, code in WIRE:
        with tap.point(f"{name}: {status} {code or ''}"):
            answer = ask(port, data)
            if code is None:
                assert answer.status == status and answer.headers["connection"] == "close", answer
            else:
                check_problem(answer, status, code)
            assert client.get("/healthz").status == 200
    with tap.point("a wrong method is told which there are"):
        assert "POST" in ask(port, b"DELETE /transfers HTTP/1.1\r\nHost: localhost\r\n\r\n").headers["allow"]
    for name, data in (("binary rubbish", bytes(range(256)) * 4), ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00"),
                       ("half a request", post()[:-20])):
        with tap.point(f"{name}, then the end: no effect, and the next client is served"):
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(10 * SLOWNESS)
            while s.recv(65536):
                pass
            s.close()
            assert client.get("/healthz").status == 200
    with tap.point("pipelined requests are answered in their order"):
        client.send(encode("GET", "/healthz") + encode("GET", "/nowhere") + encode("GET", "/accounts/ext:a"))
        assert [client.receive().status for _ in range(3)] == [200, 404, 200]


def table_of_states(tap, client, before):
    """Of all these only two left a record: refusals by state, which bind a key if there is one."""
    with tap.point("all this left no record but the two declines"):
        assert last_seq(client) == before + 2, (before, last_seq(client))
        for name in ("a", "b"):
            assert client.must(200, "GET", f"/accounts/ext:{name}/balance")["balance"] == 0


def slow_ones(tap, node, slow):
    for name, thread in slow.items():
        with tap.point(f"{name}: 408 request_timeout within {REQUEST_SECONDS} s"):
            thread.join()
            assert thread.answer is not None, f"closed without an answer after {thread.took:.1f} s"
            check_problem(thread.answer, 408, "request_timeout")
            assert REQUEST_SECONDS - 5 < thread.took < REQUEST_SECONDS + 5 * SLOWNESS, f"after {thread.took:.1f} s"
    assert node.alive()


def token(node, name, scopes):
    path = os.path.join(node.directory, "tokens")
    done = subprocess.run([PROGRAM, "token", name, "--scopes", scopes, "--file", path], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return path, next(word for word in (done.stdout + done.stderr).split() if word.startswith("clt_"))


def access(tap):
    with Node() as node:
        path, reader = token(node, "reporting", "read")
        _, poster = token(node, "billing", "post")
        node.options = ("--token-file", path)
        node.start()
        body = {"currency": "USD"}
        cases = [
            ("no token", "GET", "/accounts", None, None, 401, "unauthenticated"),
            ("no token to post", "POST", "/accounts", body, None, 401, "unauthenticated"),
            ("a token nobody has", "GET", "/accounts", None, "Bearer " + "x" * 43, 401, "unauthenticated"),
            ("another scheme", "GET", "/accounts", None, f"Basic {reader}", 401, "unauthenticated"),
            ("no token for the metrics", "GET", "/metrics", None, None, 401, "unauthenticated"),
            ("posting with scope read", "POST", "/accounts", body, f"Bearer {reader}", 403, "scope_missing"),
            ("reading with scope post", "GET", "/accounts", None, f"Bearer {poster}", 403, "scope_missing"),
            ("a ledger with scope post", "POST", "/ledgers", {"name": "x"}, f"Bearer {poster}", 403, "scope_missing"),
        ]
        client = Client(node.port)
        for name, method, where, content, authorization, status, code in cases:
            with tap.point(f"{name}: {status} {code}"):
                headers = {"Authorization": authorization} if authorization else {}
                answer = client.request(method, where, content, headers)
                check_problem(answer, status, code)
                assert status != 401 or answer.headers["www-authenticate"].startswith("Bearer")
        with tap.point("with its scope a token serves, and names the actor"):
            client.must(201, "POST", "/accounts", {**body, "externalId": "a"}, {"Authorization": f"Bearer {poster}"})
            posted = client.must(201, "POST", "/accounts/ext:a/credits", {"amount": 1},
                                 {"Authorization": f"Bearer {poster}"})
            assert posted["actor"] == "billing"
            client.must(200, "GET", "/accounts/ext:a", None, {"Authorization": f"Bearer {reader}"})
            assert client.get("/healthz").status == 200
        client.close()
        node.stop_well()


def main():
    tap = Tap()
    with Node() as node:
        node.start()
        client = Client(node.port)
        prepare(client)
        before = last_seq(client)
        slow = {
            "a head that dribbles in": Slow(node.port, b"GET /accounts HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a" * 60),
            "a body that dribbles in": Slow(node.port, post()[:-len(BODY)], b" " * 60),
            "a body that never comes": Slow(node.port, post()[:-len(BODY)], b""),
        }
        table(tap, node.port)
        table_of_states(tap, client, before)
        client.close()
        access(tap)
        slow_ones(tap, node, slow)
        with tap.point("it stops with 0 and verify passes"):
            node.stop_well()
            node.verify()
    tap.done()


main()
