#!/usr/bin/env python3
"""How fast, in one run on one machine: what the database allows, the engine without HTTP, HTTP in several shapes; and what each
is of the floor. Over PostgreSQL also several processes on one database, and the plainest thing a team would write itself.
A bare number says little, a ratio from one run says something.

Prints a table; --json also writes everything that was measured. Every part has the same number of accounts, spread evenly
unless it says hot; what was acknowledged is looked up and the databases are audited. Exits 1 if a part fails or a transfer
is missing; a missed target is shown, not an error: this machine may be busy.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# Of each database: what --quick and the absence of an option mean.
DEFAULTS = {
    "sqlite": {"transfers": (200000, 20000), "seconds": (10, 2), "rounds": (1, 1), "accounts": (10000, 1000)},
    "postgres": {"transfers": (30000, 4000), "seconds": (3, 1), "rounds": (2, 1), "accounts": (10000, 1000)},
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="directory of a release build, with the programs under bench/")
    parser.add_argument("--database", choices=list(DEFAULTS), default="sqlite")
    parser.add_argument("--quick", action="store_true", help="short parts, one round: to see that all of it works")
    parser.add_argument("--accounts", type=int)
    parser.add_argument("--transfers", type=int, help="for the floor and in-process, at each batch size")
    parser.add_argument("--seconds", type=int, help="each part over HTTP, and the hand-written ledger")
    parser.add_argument("--rounds", "--repeat", type=int, help="runs of everything; the median counts")
    parser.add_argument("--dir", default="build/bench-data", help="sqlite: made and removed; put it on the disk to be measured")
    parser.add_argument("--database-url", help="postgres: a superuser's URL of a server that is there, instead of a private one")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="postgres: a setting of the private server")
    parser.add_argument("--only", action="append", metavar="SECTION",
                        help="postgres: only these of floor, http, processes, baseline")
    parser.add_argument("--processes", type=lambda text: [int(word) for word in text.split(",")], default=[1, 2, 4], metavar="N,N,...",
                        help="postgres: numbers of servers on one database")
    parser.add_argument("--json", help="file for all that was measured")
    arguments = parser.parse_args()
    for name, (usual, quick) in DEFAULTS[arguments.database].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, quick if arguments.quick else usual)
    if min(arguments.accounts - 1, arguments.transfers, arguments.seconds, arguments.rounds) < 1:
        parser.error("--accounts wants 2, --transfers, --seconds and --rounds want 1 at least")
    arguments.progress = sys.stderr
    # tests/support finds the program by it.
    os.environ["CREDITLEDGER_BUILD"] = os.path.abspath(arguments.build)
    return arguments


def main():
    arguments = parse()
    if arguments.database == "postgres":
        from over_postgres import PostgresRun as Run
    else:
        from over_sqlite import SqliteRun as Run
    run = Run(arguments)
    try:
        run.prepare()
        for number in range(arguments.rounds):
            run.say(f"round {number + 1} of {arguments.rounds}")
            run.round()
    finally:
        run.close()
    print("\n".join(run.table()))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(run.report(), file, indent=1)
    sys.exit(0 if run.sound else 1)


main()
