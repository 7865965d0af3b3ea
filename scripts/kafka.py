#!/usr/bin/env python3
"""A private Kafka broker for as long as a command runs.

usage: kafka.py run [-c NAME=VALUE]... -- COMMAND [ARGUMENT]...
       kafka.py address [-c NAME=VALUE]...
       kafka.py prepare

run: starts a broker in a new directory, sets CREDITLEDGER_TEST_KAFKA to its host:port, runs the command, and takes all away when
     it ended. Exits as the command did.
address: prints host:port and keeps the broker until the end of its standard input, or Ctrl-C.
prepare: fetches Kafka's jars with Maven into build-tools/, once; the other two do so as well. Exits with 1 if it cannot be had.

-c sets what server.properties can set. Nothing outlives this program, however it ends.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
import under  # noqa: E402
from kafka import VARIABLE, Broker, Unavailable, prepare  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("verb", choices=["run", "address", "prepare"])
    parser.add_argument("-c", dest="settings", action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        del options.command[0]
    if (options.verb == "run") != bool(options.command) or any("=" not in s for s in options.settings):
        parser.error("run wants a command, the others none; -c wants NAME=VALUE")
    return options


def main():
    options = parse()
    under.end_by_exit()
    try:
        prepare()
    except Unavailable as reason:
        sys.exit(f"kafka.py: {reason}")
    if options.verb == "prepare":
        return
    code = 0
    with Broker(options=dict(s.split("=", 1) for s in options.settings)) as broker:
        if options.verb == "run":
            code = under.run(options.command, **{VARIABLE: broker.address})
        else:
            print(broker.address, flush=True)
            try:
                sys.stdin.read()
            except KeyboardInterrupt:
                pass
    sys.exit(code)


main()
