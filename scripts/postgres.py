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
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
import under  # noqa: E402
from postgres import BIN, OLDEST, VARIABLE, Cluster  # noqa: E402


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


def main():
    options = parse()
    if BIN is None:
        sys.exit(f"postgres.py: PostgreSQL {OLDEST} or newer is not installed (Debian, Ubuntu: postgresql)")
    under.end_by_exit()
    with Cluster(tcp=options.tcp, options=dict(s.split("=", 1) for s in options.settings)) as cluster:
        url = cluster.tcp_url() if options.tcp else cluster.url()
        if options.verb == "run":
            code = under.run(options.command, **{VARIABLE: url})
        else:
            print(url, flush=True)
            try:
                sys.stdin.read()
            except KeyboardInterrupt:
                pass
            code = 0
    sys.exit(code)


main()
