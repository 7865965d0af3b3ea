#!/usr/bin/env python3
"""A read model made anew while the server goes on: so many transfers in the journal, so many more a second meanwhile.

Fills a journal in-process, lets the server project it, then runs `creditledger projections rebuild` beside an open-loop load, and asks
the read model for balances all the time. Every answer must be the journal's own at the version that it names, and what an
answer is complete up to (asOfSeq) must never go back. At the end `projections check` compares all of it. Exits 1 if an answer was wrong.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "support")]

BATCH = 1000
SLOWEST = 6000  # transfers a second of a rebuild for which the load is made to last


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="directory of a release build")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--transfers", type=int, default=1000000)
    parser.add_argument("--accounts", type=int, default=100000)
    parser.add_argument("--rate", type=int, default=1000, help="transfers a second beside the rebuild")
    parser.add_argument("--json", help="file for what was measured")
    arguments = parser.parse_args()
    os.environ["CREDITLEDGER_BUILD"] = os.path.abspath(arguments.build)
    return arguments


class Watcher(threading.Thread):
    """Asks for balances by the read model, and holds each against the journal's line of that version."""

    def __init__(self, port, accounts):
        super().__init__(daemon=True)
        self.port, self.accounts, self.stopping = port, accounts, threading.Event()
        self.answers, self.wrong, self.seq, self.took = 0, [], 0, []

    def run(self):
        from live import Client
        client = Client(self.port)
        while not self.stopping.is_set():
            account = random.choice(self.accounts)
            began = time.monotonic()
            said = client.must(200, "GET", f"/accounts/{account}/balance?consistency=eventual")
            self.took.append(time.monotonic() - began)
            self.answers += 1
            if said["asOfSeq"] < self.seq:
                self.wrong.append(f"asOfSeq went back from {self.seq} to {said['asOfSeq']}")
            self.seq = max(self.seq, said["asOfSeq"])
            self.hold(client, account, said)
            time.sleep(0.01)
        client.close()

    def hold(self, client, account, said):
        """The journal's newest entries; the one of that version has that balance."""
        if said["version"] == 1:
            right = said["balance"] == 0
        else:
            lines = client.must(200, "GET", f"/accounts/{account}/statements?consistency=strong&limit=1000")["lines"]
            right = any(line["version"] == said["version"] and line["balance"] == said["balance"] for line in lines)
        if not right:
            self.wrong.append(f"account {account}: {said}")


def command(program, node, *arguments):
    """A subcommand that may take its time."""
    return subprocess.run([program, *arguments, *node.where()], capture_output=True, text=True, check=False)


def fill(program, where, arguments):
    began = time.monotonic()
    options = [program, "bench", "--in-process", "--batch", BATCH, "--requests", arguments.transfers // BATCH, "--accounts", arguments.accounts,
               "--no-verify", "--json", "--quiet", *where]
    done = subprocess.run([str(o) for o in options], capture_output=True, text=True, check=True)
    print(f"{arguments.transfers} transfers in the journal after {time.monotonic() - began:.0f} s", flush=True)
    return json.loads(done.stdout)["run"]


def caught_up(node):
    """Seconds until the read model has everything."""
    began = time.monotonic()
    while True:
        said = json.loads(node.run("projections", "status", "--json").stdout)
        if said["ledgers"] and all(ledger["projectedSeq"] == ledger["journalSeq"] for ledger in said["ledgers"]):
            return time.monotonic() - began
        time.sleep(0.2)


def some_accounts(port, n):
    from live import Client
    client = Client(port)
    page = client.must(200, "GET", f"/accounts?limit={n}")["accounts"]
    client.close()
    return [account["accountId"] for account in page if not (account["externalId"] or "").startswith("@")]


def measure(node, run, arguments, program):
    first = caught_up(node)
    print(f"projected from nothing by the server: {first:.1f} s, {arguments.transfers / first:.0f} transfers/s", flush=True)
    seconds = 20 + arguments.transfers // SLOWEST
    load = subprocess.Popen([str(c) for c in [program, "bench", "--url", f"http://127.0.0.1:{node.port}", "--reuse", run, "--accounts",
                                              arguments.accounts, "--rate", arguments.rate, "--connections", 16, "--seconds", seconds,
                                              "--no-verify", "--json", "--quiet"]], stdout=subprocess.PIPE, text=True)
    watcher = Watcher(node.port, some_accounts(node.port, 500))
    watcher.start()
    time.sleep(2)
    began = time.monotonic()
    done = command(program, node, "projections", "rebuild", "--json")
    took = time.monotonic() - began
    beside = load.poll() is None  # the load lasted as long as the rebuild
    posted = json.loads(load.communicate()[0] or "{}")
    watcher.stopping.set()
    watcher.join()
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    caught_up(node)
    check = command(program, node, "projections", "check")
    took_ms = sorted(1000 * t for t in watcher.took)
    result = {"transfers": arguments.transfers, "database": arguments.database, "rebuild": report, "seconds": round(took, 1),
              "recordsPerSecond": round(report["records"] / took), "answers": watcher.answers, "wrong": watcher.wrong[:10],
              "answerP95Ms": round(took_ms[int(len(took_ms) * .95)], 2), "postedPerSecond": posted.get("transfersPerSecond"),
              "postLatencyMs": posted.get("latencyMs"), "loadLastedAsLong": beside, "check": check.stdout.strip(), "projectedFirstSeconds": round(first, 1)}
    print(json.dumps(result, indent=1))
    return result, not watcher.wrong and check.returncode == 0 and watcher.answers > 0


def main():
    arguments = parse()
    from live import Node, migrate
    program = os.path.join(os.environ["CREDITLEDGER_BUILD"], "creditledger")
    if arguments.database == "postgres":
        import postgres
        cluster = postgres.Cluster(options={"shared_buffers": "512MB", "max_wal_size": "4GB"})
        node = Node(url=migrate(cluster.database()))
    else:
        cluster, node = None, Node(data=os.path.join(tempfile.mkdtemp(prefix="creditledger-rebuild-"), "data"))
    try:
        run = fill(program, node.where(), arguments)
        node.start()
        result, right = measure(node, run, arguments, program)
    finally:
        node.__exit__()
        if cluster:
            cluster.close()
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    sys.exit(0 if right else 1)


main()
