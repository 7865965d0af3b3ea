#!/usr/bin/env python3
"""The whole road, from the POST to the row that a query reads: HTTP, journal, Kafka, projection, all on this machine.

Sends single transfers at rising rates (open loop: each has its time, and a server that falls behind shows it), and at each rate
measures the POST as the client saw it and the lag as an outsider sees it: from the answer to a POST of its own to the moment
when the row of that transfer is in the read model's database, read there by SQL. A rate is sustained if what was asked for was
acknowledged, p95 of the lag stays under the bound, and the read model is level with the journal a second after the load.

--database postgres: PostgreSQL, Kafka, and a process each for api, relay and projector. --database sqlite: the embedded default,
one process. Prints a table; --json also writes everything. Exits 1 if something is wrong, not if a rate is not sustained.

Where others use the machine too, rates and lags say little: "us" is processor time a transfer, by process, PostgreSQL's by whom
it works for. --warm first sends the lowest rate for a while, not counted: Kafka's compiler has most to do at the start.
"""
import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "support")]

TICK = os.sysconf("SC_CLK_TCK")
PROBE_EVERY = 0.05
PROBE_PAUSE = 0.001
PROBE_GIVE_UP = 20.0
LEVEL_SECONDS = 1.0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="directory of a release build")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="postgres")
    parser.add_argument("--rates", type=lambda text: [int(word) for word in text.split(",")], default=[400, 1000, 2000, 3000, 4000],
                        metavar="N,N,...", help="transfers a second, in rising order; stops after the first that is not sustained")
    parser.add_argument("--seconds", type=int, default=15, help="at each rate")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--warm", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--full-jvm", action="store_true", help="Kafka with both compilers: for runs of minutes, of which it needs the first")
    parser.add_argument("--option", action="append", default=[], metavar="ROLE:OPTION=VALUE", help="for a process: relay:--kafka-partitions=3")
    parser.add_argument("--on", action="store_true", help="go on after a rate that is not sustained")
    parser.add_argument("--lag-ms", type=float, default=100.0, help="the bound of the lag's p95")
    parser.add_argument("--closed", action="store_true", help="one more part: 20 clients with 10 ms of thinking time")
    parser.add_argument("--dir", help="sqlite: where the database is made, and removed")
    parser.add_argument("--json", help="file for all that was measured")
    arguments = parser.parse_args()
    os.environ["CREDITLEDGER_BUILD"] = os.path.abspath(arguments.build)
    return arguments


# --- who uses what -------------------------------------------------------------------------------------------------------------


def descendants(pid):
    """The process and all below it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    children.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def cpu_seconds(pids):
    """Of these, and of their children that ended."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                total += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
    return total / TICK


def memory_kib(pids):
    """What they take of the machine: memory that they share is counted once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total


# --- the sets ------------------------------------------------------------------------------------------------------------------


class Embedded:
    """One process, SQLite beside SQLite."""

    def __init__(self, arguments):
        from live import Node
        self.directory = tempfile.mkdtemp(prefix="creditledger-pipeline-", dir=arguments.dir)
        self.node = Node(data=os.path.join(self.directory, "data"))
        self.node.start()
        self.port = self.node.port

    def roots(self):
        return {"server": self.node.process.pid}

    def backends(self):
        return {}

    def batches(self):
        return {"projector": metric(self.port, "creditledger_projection_apply_seconds_count")}

    def reader(self):
        return SqliteReader(os.path.join(self.directory, "data", "ledger-read.db"))

    def check(self):
        return self.node.run("projections", "check")

    def close(self):
        self.node.__exit__()
        shutil.rmtree(self.directory, ignore_errors=True)


def named(url, name):
    """The same database, for one whose backends are to be told from others'."""
    return f"{url}{'&' if '?' in url else '?'}application_name={name}"


class Production:
    """PostgreSQL, Kafka, and three processes of ours."""

    def __init__(self, arguments):
        import kafka
        import postgres
        from live import Node, migrate
        self.stack = contextlib.ExitStack()
        self.cluster = self.stack.enter_context(postgres.Cluster(options={"shared_buffers": "512MB", "max_wal_size": "4GB"}))
        self.broker = self.stack.enter_context(kafka.Broker(jvm=() if arguments.full_jvm else kafka.JVM))
        self.url = migrate(self.cluster.database())
        self.nodes = {}
        for role in ("api", "relay", "projector"):
            more = [] if role == "api" else ["--kafka-brokers", self.broker.address]
            more += [word for option in arguments.option if option.startswith(role + ":") for word in option[len(role) + 1:].split("=", 1)]
            node = self.stack.enter_context(Node("--roles", role, *more, url=named(self.url, role)))
            node.start()
            self.nodes[role] = node
        self.port = self.nodes["api"].port

    def roots(self):
        return {role: node.process.pid for role, node in self.nodes.items()} | {
            "PostgreSQL": self.cluster.process.pid, "Kafka": self.broker.process.pid}

    def backends(self):
        """{whom it works for: processor seconds}; what is no backend (checkpoints, WAL) is "itself"."""
        import postgres
        rows = self.cluster.sql("SELECT pid, application_name FROM pg_stat_activity WHERE backend_type = 'client backend'")
        names = {int(row.split("|")[0]): row.split("|")[1] for row in rows.split()}
        seconds = dict.fromkeys((*self.nodes, "itself"), 0.0)
        for pid in descendants(self.cluster.process.pid):
            who = names.get(pid, "itself")
            seconds[who if who in self.nodes else "itself"] += cpu_seconds([pid])
        return seconds

    def batches(self):
        return {"relay": metric(self.nodes["relay"].port, "creditledger_relay_batches_total"),
                "projector": metric(self.nodes["projector"].port, "creditledger_projection_apply_seconds_count")}

    def reader(self):
        return PostgresReader(self.url)

    def check(self):
        return self.nodes["projector"].run("projections", "check", "--kafka-brokers", self.broker.address)

    def close(self):
        self.stack.close()


# --- an outsider's look at the read model --------------------------------------------------------------------------------------


class SqliteReader:
    def __init__(self, control):
        with contextlib.closing(sqlite3.connect(f"file:{control}?mode=ro", uri=True)) as db:
            part = db.execute("SELECT id FROM generation WHERE state = 2").fetchone()[0]
        path = control.removesuffix(".db") + f"-g{part}.db"
        self.db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)

    def has(self, seq):
        return self.db.execute("SELECT count(*) FROM transfer WHERE ledger = 1 AND seq = ?", (seq,)).fetchone()[0] > 0

    def close(self):
        self.db.close()


class PostgresReader:
    """psql on a pipe: a question a line, an answer a line."""

    def __init__(self, url):
        import postgres
        part = postgres.sql(url, "SELECT id FROM creditledger_read.generation WHERE state = 2").strip()
        self.table = f"creditledger_read.g{part}_transfer"
        self.psql = subprocess.Popen([os.path.join(postgres.BIN, "psql"), "-XqAt", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True, bufsize=1)

    def has(self, seq):
        self.psql.stdin.write(f"SELECT count(*) FROM {self.table} WHERE ledger = 1 AND seq = {seq};\n")
        self.psql.stdin.flush()
        return int(self.psql.stdout.readline()) > 0

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()


class Probe(threading.Thread):
    """Posts a transfer now and then and looks for its row."""

    def __init__(self, setting):
        super().__init__(daemon=True)
        self.setting, self.lags, self.lost, self.stopping = setting, [], 0, threading.Event()

    def run(self):
        from live import Client
        client, reader = Client(self.setting.port), self.setting.reader()
        body = {"from": "@world", "to": "ext:probe", "amount": 1, "currency": "USD"}
        while not self.stopping.wait(PROBE_EVERY):
            answer = client.must(201, "POST", "/transfers", body)
            began = time.monotonic()
            while not reader.has(answer["seq"]) and time.monotonic() - began < PROBE_GIVE_UP:
                time.sleep(PROBE_PAUSE)
            lag = time.monotonic() - began
            self.lags.append(lag * 1000)
            self.lost += lag >= PROBE_GIVE_UP
        reader.close()
        client.close()

    def finish(self):
        self.stopping.set()
        self.join()
        return self.lags


def quantiles(values):
    ordered = sorted(values)
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * q))], 2)
            for name, q in (("p50", .5), ("p95", .95), ("p99", .99), ("max", 1.0))} if ordered else {}


# --- a part --------------------------------------------------------------------------------------------------------------------


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name):
                return float(line.split()[-1])
    return 0.0


def load(setting, arguments, options):
    program = os.path.join(os.environ["CREDITLEDGER_BUILD"], "creditledger")
    command = [program, "bench", "--url", f"http://127.0.0.1:{setting.port}", "--accounts", arguments.accounts,
               "--seconds", arguments.seconds, "--lookups", 2000, "--wait", "--json", "--quiet", *options]
    return subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def part(setting, arguments, name, rate, options):
    client = load(setting, arguments, options)
    for line in client.stderr:
        if line.strip() == "ready":
            break
    roots = setting.roots() | {"load": client.pid}
    before = {who: cpu_seconds(descendants(pid)) for who, pid in roots.items()}
    backends, batches = setting.backends(), setting.batches()
    own = time.process_time()
    probe = Probe(setting)
    probe.start()
    began = time.monotonic()
    client.stdin.write("\n")
    client.stdin.flush()
    time.sleep(arguments.seconds)
    lags = probe.finish()
    took = time.monotonic() - began
    after = {who: cpu_seconds(descendants(pid)) for who, pid in roots.items()}
    backends = {f"PostgreSQL for {who}": at - backends[who] for who, at in setting.backends().items()}
    batches = {who: round((n - batches[who]) / took) for who, n in setting.batches().items()}
    memory = {who: memory_kib(descendants(pid)) // 1024 for who, pid in roots.items()}
    ended = time.monotonic()
    out, errors = client.communicate()
    result = json.loads(out) if out.strip() else {}
    sound = client.returncode == 0 and probe.lost == 0 and not result.get("missing")
    posted = result.get("transfersPerSecond", 0)
    lag = quantiles(lags)
    level = settle(setting, ended)
    sustained = sound and posted >= 0.97 * (rate or 0) and bool(lag) and lag["p95"] <= arguments.lag_ms and level <= LEVEL_SECONDS
    cpu = {who: round((after[who] - before[who]) / took, 3) for who in roots} | {"probe": round((time.process_time() - own) / took, 3)}
    each = {who: after[who] - before[who] for who in roots if who not in ("load", "PostgreSQL")} | backends
    each = {who: round(seconds / max(posted * arguments.seconds, 1) * 1e6, 1) for who, seconds in each.items()}
    if errors.strip():
        print("  " + errors.strip()[:500], file=sys.stderr)
    return {"name": name, "rate": rate, "transfersPerSecond": posted, "latencyMs": result.get("latencyMs", {}), "lagMs": lag,
            "probes": len(lags), "cpu": cpu, "usATransfer": each, "batchesASecond": batches, "memoryMiB": memory, "levelAfterSeconds": round(level, 2), "sound": sound, "sustained": sustained}


def settle(setting, since):
    """Seconds until a transfer posted now is visible: everything before it is then."""
    probe = Probe(setting)
    probe.stopping.wait = lambda _, state=iter([False, True]): next(state)
    probe.start()
    probe.join()
    return time.monotonic() - since


def show(result):
    post, lag = result["latencyMs"], result["lagMs"]
    cpu = ", ".join(f"{who} {share:.2f}" for who, share in result["cpu"].items())
    print(f"{result['name']:24}{result['transfersPerSecond']:10.0f}/s  POST p50 {post.get('p50', 0):.2f} p95 {post.get('p95', 0):.2f} "
          f"p99 {post.get('p99', 0):.2f} ms  lag p50 {lag.get('p50', 0):.1f} p95 {lag.get('p95', 0):.1f} p99 {lag.get('p99', 0):.1f} "
          f"max {lag.get('max', 0):.1f} ms  {'sustained' if result['sustained'] else 'NOT SUSTAINED'}\n"
          f"{'':24}cores: {cpu}; memory {sum(v for k, v in result['memoryMiB'].items() if k != 'load')} MiB: {result['memoryMiB']}\n"
          f"{'':24}us a transfer: {', '.join(f'{who} {us:.0f}' for who, us in result['usATransfer'].items())}; "
          f"batches a second: {result['batchesASecond']}", flush=True)


def open_accounts(setting, arguments):
    from live import Client
    client = Client(setting.port)
    client.must(201, "POST", "/accounts", {"currency": "USD", "externalId": "probe"})
    client.close()
    program = os.path.join(os.environ["CREDITLEDGER_BUILD"], "creditledger")
    first = subprocess.run([program, "bench", "--url", f"http://127.0.0.1:{setting.port}", "--accounts", str(arguments.accounts), "--requests",
                            "100", "--json", "--quiet"], capture_output=True, text=True, check=True)
    return json.loads(first.stdout)["run"]


def main():
    arguments = parse()
    setting = (Production if arguments.database == "postgres" else Embedded)(arguments)
    results, sound = [], True
    try:
        run = open_accounts(setting, arguments)
        settle(setting, time.monotonic())  # everybody is at work
        steps = [(f"{rate} asked for", rate, ["--rate", rate, "--connections", arguments.connections]) for rate in arguments.rates]
        if arguments.closed:
            steps.insert(0, ("20 clients, 10 ms", 0, ["--connections", 20, "--think-ms", 10]))
        if arguments.warm:
            load(setting, arguments, ["--rate", arguments.rates[0], "--connections", arguments.connections, "--reuse", run, "--seconds",
                                      arguments.warm]).communicate("\n")
        for name, rate, options in steps:
            options = [*options, "--reuse", run]
            results.append(part(setting, arguments, name, rate, options))
            show(results[-1])
            if not results[-1]["sustained"] and not arguments.on:
                break
        done = setting.check()
        print(done.stdout.strip() or done.stderr.strip())
        sound = all(r["sound"] for r in results) and done.returncode == 0
    finally:
        setting.close()
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    sys.exit(0 if sound else 1)


main()
