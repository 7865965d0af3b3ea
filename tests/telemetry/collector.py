"""Collectors for the tests of spans: one of ours that remembers what it was sent, and a real one in front of it.

    with Receiver() as receiver:            # OTLP/HTTP, JSON and protobuf
        receiver.url                        # for OTEL_EXPORTER_OTLP_ENDPOINT
        receiver.wait(trace_id, 4)          # the spans of a trace, once there are that many
    with Rotel(receiver.url) as rotel: ...  # takes OTLP, hands it on to the receiver as protobuf

Everything is read with the official protobuf definitions (opentelemetry-proto), unknown fields refused. The packages come from
tests/requirements.txt; without them the tests say so and are skipped.
"""
import base64
import copy
import glob
import gzip
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from tap import SOURCE, skip_all

VENV = os.path.join(SOURCE, "build-tools", "venv")
for directory in glob.glob(os.path.join(VENV, "lib", "python3*", "site-packages")):
    sys.path.append(directory)

try:
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
    from opentelemetry.proto.trace.v1.trace_pb2 import Status
except ImportError as missing:
    skip_all(f"needs opentelemetry-proto (tests/requirements.txt): {missing}")

ID_LENGTHS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def from_json(body):
    """OTLP's JSON is protobuf's, but for ids: hex instead of base64, and lower camel case is the only spelling."""
    document = json.loads(body, object_pairs_hook=no_duplicates)

    def convert(node):
        if isinstance(node, list):
            for one in node:
                convert(one)
        elif isinstance(node, dict):
            for name, value in node.items():
                assert "_" not in name, f"{name}: OTLP's JSON has lower camel case only"
                if name in ID_LENGTHS:
                    assert len(value) == 2 * ID_LENGTHS[name], f"{name}: {value}"
                    node[name] = base64.b64encode(bytes.fromhex(value)).decode()
                else:
                    assert name not in ("kind", "code") or isinstance(value, int), f"{name}: enums are numbers in OTLP's JSON"
                    convert(value)

    convert(document)
    return json_format.Parse(json.dumps(document), ExportTraceServiceRequest(), ignore_unknown_fields=False)


def no_duplicates(pairs):
    assert len(dict(pairs)) == len(pairs), f"a name twice: {pairs}"
    return dict(pairs)


def plain(value):
    return getattr(value, value.WhichOneof("value"))


class Span:
    def __init__(self, span, resource):
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.name, self.kind = span.name, ProtoSpan.SpanKind.Name(span.kind)[len("SPAN_KIND_"):]
        self.began, self.ended = span.start_time_unix_nano, span.end_time_unix_nano
        self.failed = span.status.code == Status.STATUS_CODE_ERROR
        self.attributes = {a.key: plain(a.value) for a in span.attributes}
        self.resource = {a.key: plain(a.value) for a in resource.attributes}

    def __repr__(self):
        return f"{self.name}({self.id} in {self.parent or 'nothing'}, {self.attributes})"


class Receiver:
    """Takes what `answer` says: a status, or "hang"."""

    def __init__(self, answer=200):
        self.answer, self.requests, self.headers, self.problems = answer, 0, [], []
        self.spans, self.lock, self.ended = [], threading.Lock(), threading.Event()
        self.server = None

    def __enter__(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests += 1
                if receiver.answer == "hang":
                    receiver.ended.wait(60)
                    self.close_connection = True
                    return
                if receiver.answer == 200:
                    receiver.take(self, body)
                self.send_response(receiver.answer)
                self.send_header("Content-Type", self.headers["Content-Type"])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a server that is gone
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def take(self, handler, body):
        try:
            assert handler.path == "/v1/traces", handler.path
            if handler.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if handler.headers["Content-Type"] == "application/json":
                message = from_json(body)
            else:
                assert handler.headers["Content-Type"] == "application/x-protobuf", handler.headers["Content-Type"]
                message = ExportTraceServiceRequest.FromString(body)
            spans = [Span(span, group.resource) for group in message.resource_spans for scope in group.scope_spans
                     for span in scope.spans]
            with self.lock:
                self.spans += spans
                self.headers.append(copy.copy(handler.headers))
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append(f"{type(error).__name__}: {error}")

    def of(self, trace):
        with self.lock:
            return [span for span in self.spans if span.trace == trace]

    def wait(self, trace, names, seconds=15):
        """The spans of the trace by name, once each of the names is there."""
        until = time.monotonic() + seconds
        while True:
            found = {span.name: span for span in self.of(trace)}
            missing = [name for name in names if name not in found]
            assert not self.problems, self.problems
            if not missing:
                return found
            assert time.monotonic() < until, f"no span {missing} of {trace}; there are {list(found.values())}"
            time.sleep(0.02)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Rotel:
    """Rotel, a collector in Rust by others, whose wheel brings the program."""

    def __init__(self, onward):
        self.onward, self.process = onward, None
        self.directory = tempfile.mkdtemp(prefix="creditledger-rotel-")

    @staticmethod
    def program():
        for path in sys.path:
            program = os.path.join(path, "rotel", "rotel-agent")
            if os.access(program, os.X_OK):
                return program
        return None

    def __enter__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = os.path.join(self.directory, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [self.program(), "start", "--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint",
                 f"127.0.0.1:{free_port()}", "--exporter", "otlp", "--otlp-exporter-protocol", "http",
                 "--otlp-exporter-endpoint", self.onward, "--otlp-exporter-compression", "none", "--batch-timeout", "50ms",
                 "--pid-file", os.path.join(self.directory, "pid"), "--log-file", os.path.join(self.directory, "log2")],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for _ in range(500):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError("the collector does not start: " + self.text())

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory)
