#!/usr/bin/env python3
"""A private PostgreSQL for as long as a command runs, for any user, root included.

usage: postgres.py run [--tcp] [-c NAME=VALUE]... -- COMMAND [ARGUMENT]...
       postgres.py url [--tcp] [-c NAME=VALUE]...

run: starts a cluster in a new directory, sets CREDITLEDGER_TEST_POSTGRES to a superuser's URL, runs the command, and takes all
     away when it ended. Exits as the command did.
url: prints the URL and keeps the cluster until the end of its standard input, or Ctrl-C.

The cluster listens on a unix socket only; with --tcp on 127.0.0.1 too (the URL is that one then, with a password). -c sets what
postgresql.conf can set. Nothing outlives this program, however it ends.
"""
import argparse
import ctypes
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
from postgres import BIN, OLDEST, VARIABLE, Cluster  # noqa: E402

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def end_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("verb", choices=["run", "url"])
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("-c", dest="settings", action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        del options.command[0]
    if (options.verb == "run") != bool(options.command) or any("=" not in s for s in options.settings):
        parser.error("run wants a command, url none; -c wants NAME=VALUE")
    return options


def run(command, url):
    """The command's exit code. It gets the signals that ask this program to end, and ends with it in any case."""
    child = subprocess.Popen(command, env={**os.environ, VARIABLE: url}, preexec_fn=end_with_parent)
    # A terminal sends SIGINT to both by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: child.send_signal(number))
    code = child.wait()
    return code if code >= 0 else 128 - code


def main():
    options = parse()
    if BIN is None:
        sys.exit(f"postgres.py: PostgreSQL {OLDEST} or newer is not installed (Debian, Ubuntu: postgresql)")
    # Python's own way out, with the cluster's end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(128 + signal.SIGHUP))
    end_with_parent()
    with Cluster(tcp=options.tcp, options=dict(s.split("=", 1) for s in options.settings)) as cluster:
        url = cluster.tcp_url() if options.tcp else cluster.url()
        if options.verb == "run":
            code = run(options.command, url)
        else:
            print(url, flush=True)
            try:
                sys.stdin.read()
            except KeyboardInterrupt:
                pass
            code = 0
    sys.exit(code)


main()
