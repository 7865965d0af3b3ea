"""A real server of this build for a test: a data directory and a port of its own."""
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

from tap import BUILD

PROGRAM = os.path.join(BUILD, "creditledger")


def free_port(wanted=0):
    """`wanted` if it is free, else another."""
    for port in (wanted, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return s.getsockname()[1]
            except OSError:
                continue
    raise OSError("no free port")


@contextlib.contextmanager
def server(*options, port=0):
    """Yields the server's port. Afterwards the server must stop with 0, and its journal must verify."""
    with tempfile.TemporaryDirectory(prefix="creditledger-test-") as directory:
        port = free_port(port)
        data = os.path.join(directory, "data")
        with open(os.path.join(directory, "log"), "w+", encoding="utf-8") as log:
            process = subprocess.Popen([PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", "--data", data, *options],
                                       stderr=log, stdout=log)
            try:
                wait_ready(process, port, log)
                yield port
            finally:
                process.send_signal(signal.SIGTERM)
                status = process.wait(timeout=60)
            assert status == 0, f"the server exited with {status}"
            verified = subprocess.run([PROGRAM, "verify", "--data", data], capture_output=True, text=True, check=False)
            assert verified.returncode == 0, verified.stdout + verified.stderr


def wait_ready(process, port, log):
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        if process.poll() is not None:
            log.seek(0)
            raise AssertionError("the server stopped at once: " + log.read())
        time.sleep(0.05)
    raise AssertionError("the server did not become ready in 30 s")
