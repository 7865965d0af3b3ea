"""What is measured over PostgreSQL: in a private cluster with the durability that PostgreSQL has by default, as the owner where
the floor is measured, as the runtime role where the server is."""
import contextlib
import os
import secrets
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tests", "support"), os.path.join(HERE, "baseline_postgres")]
import baseline  # noqa: E402
import load  # noqa: E402
import postgres  # noqa: E402
from measure import IN_PROCESS_BATCHES, TARGETS, Run, machine  # noqa: E402

KIND_TRANSFER = 3  # journal.kind
SECTIONS = ("floor", "http", "processes", "baseline")
BATCHES = (*IN_PROCESS_BATCHES, 8000)
# The private server's; what they are in the end is read from the server itself.
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}
SHOWN = ("server_version", "shared_buffers", "max_wal_size", "checkpoint_timeout", "fsync", "synchronous_commit", "full_page_writes",
         "wal_compression", "autovacuum")
# What several processes are loaded with; the connections are divided among them.
SHAPES = {
    "64 connections": (64, []),
    "256 connections": (256, []),
    "64 connections, hot": (64, ["--hot"]),
    "64 connections, A to B and B to A": (64, []),  # two accounts, each as often the one that pays
}
OPPOSITE = "64 connections, A to B and B to A"
HAND_WRITTEN = "hand-written, one transaction"
# What, compared with what, at least how many times as fast (None: only shown).
COMPARISONS = [
    ("HTTP single, 64 connections", HAND_WRITTEN, 10),
    ("HTTP single, 256 connections", HAND_WRITTEN, 10),
    ("HTTP bulk, 1000 a request", HAND_WRITTEN, 10),
    ("HTTP single, 64 connections, hot", HAND_WRITTEN + ", hot", 10),
    ("HTTP single, 64 connections", "hand-written, one statement", None),
    ("HTTP single, 64 connections, hot", "hand-written, one statement, hot", None),
    ("HTTP single, 64 connections", "hand-written, with postings", None),
    *((f"floor without checks, batch {batch}", f"floor, batch {batch}", None) for batch in BATCHES),
]


def process_name(count, shape):
    return f"{count} process{'es' if count > 1 else ''}, {shape}"


def targets(counts):
    several = {process_name(count, shape): (process_name(1, shape), 0.80) for count in counts if count > 1 for shape in SHAPES}
    return TARGETS | {f"in-process, batch {BATCHES[-1]}": (f"floor, batch {BATCHES[-1]}", 0.85)} | several


class PostgresRun(Run):
    def __init__(self, arguments):
        super().__init__(arguments, targets(arguments.processes))
        self.cluster, self.url, self.settings, self.disk = None, None, {}, {}
        self.role = f"creditledger_bench_{secrets.token_hex(4)}"
        self.password = secrets.token_hex(16)
        unknown = set(arguments.only or []) - set(SECTIONS)
        if unknown:
            sys.exit(f"run.py: --only takes {', '.join(SECTIONS)}, not {', '.join(sorted(unknown))}")

    # --- the server ------------------------------------------------------------------------------------------------

    def prepare(self):
        if self.arguments.database_url:
            self.url = self.arguments.database_url
        else:
            if postgres.BIN is None:
                sys.exit(f"run.py: PostgreSQL {postgres.OLDEST} or newer is not installed")
            self.cluster = postgres.Cluster(options=SETTINGS | dict(s.split("=", 1) for s in self.arguments.set))
            self.url = self.cluster.url()
        names = ", ".join(f"'{name}'" for name in SHOWN)
        rows = postgres.sql(self.url, f"SELECT name, current_setting(name) FROM pg_settings WHERE name IN ({names})")
        self.settings = dict(row.split("|", 1) for row in rows.splitlines())
        for name in ("fsync", "synchronous_commit"):
            if self.settings[name] == "off":
                sys.exit(f"run.py: {name} is off: such figures would be worth nothing")

    def close(self):
        if self.cluster is not None:
            self.cluster.close()
        elif self.url is not None:
            postgres.sql(self.url, f"DROP ROLE IF EXISTS {self.role}")

    @contextlib.contextmanager
    def database(self, name):
        url = postgres.make_database(self.url, "bench_" + name)
        try:
            yield url
        finally:
            postgres.drop_database(url)

    def migrate(self, url):
        """Makes the journal there; the URL for servers, as the runtime role."""
        subprocess.run([self.program, "migrate", "--database-url", url, "--runtime-role", self.role], check=True,
                       stdout=subprocess.DEVNULL)
        postgres.sql(url, f"ALTER ROLE {self.role} PASSWORD '{self.password}'")
        return postgres.with_user(url, self.role, self.password)

    def round(self):
        for section in SECTIONS:
            if section in (self.arguments.only or SECTIONS):
                self.say(section)
                getattr(self, section)()

    # --- the floor and the engine, side by side ---------------------------------------------------------------------

    def floor(self):
        for batch in BATCHES:
            self.floor_at(batch, "floor")
            self.in_process(batch)
            self.floor_at(batch, "floor without checks", "--no-checks")

    def floor_at(self, batch, name, *options):
        a = self.arguments
        with self.database("floor") as url:
            result = self.command(os.path.join(a.build, "bench", "floor_postgres"), "--database-url", url, "--accounts", a.accounts,
                                  "--transfers", max(a.transfers, 3 * batch), "--batch", batch, "--json", *options)
            for row in result.get("floor", []):
                self.add(f"{name}, batch {batch}", row)

    def in_process(self, batch):
        a = self.arguments
        with self.database("engine") as url:
            result = self.command(self.program, "bench", "--in-process", "--database-url", self.migrate(url), "--accounts",
                                  a.accounts, "--batch", batch, "--requests", max(4, a.transfers // batch), "--json", "--quiet")
            self.add(f"in-process, batch {batch}", result)

    # --- HTTP ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def servers(self, count, url):
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.server("--database-url", url)) for _ in range(count)]

    def open_accounts(self, server, count):
        """Opens accounts at one server; the name under which others find them."""
        result = self.command(self.program, "bench", "--url", server[0], "--accounts", count, "--connections", 4, "--requests", 1,
                              "--json", "--quiet")
        return result["run"]

    def under_load(self, name, servers, connections, accounts, opened_by, *options):
        result = load.measure(self.program, servers, postgres_url=self.url, connections=connections, accounts=accounts,
                              opened_by=opened_by, seconds=self.arguments.seconds, options=options, say=self.say)
        self.add(name, result)

    def http(self):
        accounts = self.arguments.accounts
        with self.database("http") as owner:
            url = self.migrate(owner)
            with self.servers(1, url) as servers:
                opened_by = self.open_accounts(servers[0], accounts)
                before = self.sizes(owner)
                self.under_load("HTTP bulk, 1000 a request", servers, 4, accounts, opened_by, "--bulk", 1000)
                self.under_load("HTTP single, 64 connections", servers, 64, accounts, opened_by)
                self.under_load("HTTP single, 256 connections", servers, 256, accounts, opened_by)
                self.under_load("HTTP single, 64 connections, hot", servers, 64, accounts, opened_by, "--hot")
            self.measure_disk(owner, before)
            self.verify(url)

    def processes(self):
        """The same load over one server of a ledger and over several."""
        with self.database("processes") as owner:
            url = self.migrate(owner)
            opened = {}
            for shape, (connections, options) in SHAPES.items():
                accounts = 2 if shape == OPPOSITE else self.arguments.accounts
                for count in self.arguments.processes:
                    with self.servers(count, url) as servers:
                        if accounts not in opened:
                            opened[accounts] = self.open_accounts(servers[0], accounts)
                        self.under_load(process_name(count, shape), servers, connections, accounts, opened[accounts],
                                        *options)
            self.verify(url)

    def verify(self, url):
        self.command(self.program, "verify", "--database-url", url, "--json")

    def sizes(self, url):
        """Bytes of each table and of its indexes."""
        rows = postgres.sql(url, """SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid)
            FROM pg_class c WHERE c.relnamespace = 'creditledger'::regnamespace AND c.relkind = 'r'""")
        return {name: {"table": int(table), "indexes": int(indexes)} for name, table, indexes in
                (row.split("|") for row in rows.splitlines())}

    def measure_disk(self, url, before):
        """What transfers have added to the journal as it was before them."""
        transfers = int(postgres.sql(url, f"SELECT count(*) FROM creditledger.journal WHERE kind = {KIND_TRANSFER}"))
        tables = {name: {what: size[what] - before[name][what] for what in size} for name, size in self.sizes(url).items()}
        size = sum(each["table"] + each["indexes"] for each in tables.values())
        self.disk = {"transfers": transfers, "bytes": size, "bytesPerTransfer": round(size / max(transfers, 1)), "tables": tables}

    # --- the hand-written ledger --------------------------------------------------------------------------------------

    def baseline(self):
        names = {"transaction": HAND_WRITTEN, "statement": "hand-written, one statement", "postings": "hand-written, with postings"}
        for variant, name in names.items():
            for hot in (False, True) if variant != "postings" else (False,):
                with self.database("baseline") as url:
                    result = baseline.measure(url, variant, self.arguments.accounts, 64, self.arguments.seconds, hot,
                                              clock=load.Clock([], self.url))
                    self.add(name + (", hot" if hot else ""), result)

    # --- what is said ------------------------------------------------------------------------------------------------

    def remark(self, name):
        """Fairness among the processes, from the round that was the least fair."""
        shares = [each for r in self.parts[name] if len(each := r.get("processes", [])) > 1]
        if not shares:
            return ""
        worst = min(shares, key=lambda each: min(p["share"] for p in each))
        return "  shares " + " ".join(f"{p['share']:.2f}" for p in worst) + "; p99 " + \
            " ".join(f"{p['latencyMs']['p99']:.0f}" for p in worst)

    def table(self):
        about = machine()
        lines = [f"{about['cores']} cores shared by clients, servers and PostgreSQL ({about['cpu']}), load average "
                 f"{about['loadAverage']:.1f} now; {self.arguments.accounts} accounts, median of {self.arguments.rounds} round(s)",
                 "PostgreSQL: " + ", ".join(f"{name} {value}" for name, value in self.settings.items()), "", *super().table(), ""]
        for name, base, target in COMPARISONS:
            if (times := self.times(name, base)) is not None:
                wanted = f", target {target}" + (" MISSED" if times < target else "") if target else ""
                lines.append(f"{name}: {times:.2f} times {base}{wanted}")
        if self.disk:
            lines.append(f"{self.disk['bytesPerTransfer']} bytes of tables and indexes per transfer; peak memory of a server "
                         f"{self.peak_kib / 1024:.0f} MiB")
        return lines + ["", *self.processor_table()]

    def processor_table(self):
        """Processor time by who used it, in microseconds a transfer, and WAL bytes a transfer."""
        kinds = ("servers", "clients", "postgres")
        width = max(len(name) for name in self.parts) + 2
        yield f"{'us of processor time per transfer':{width}}" + "".join(f"{kind:>10}" for kind in kinds) + f"{'WAL bytes':>12}"
        for name, results in self.parts.items():
            spent = results[len(results) // 2].get("processor")
            if spent:
                yield f"{name:{width}}" + "".join(f"{spent.get(kind, 0):10.1f}" for kind in kinds) + \
                    f"{results[len(results) // 2]['walBytes']:12.0f}"

    def report(self):
        compared = [{"what": name, "of": base, "times": round(times, 3), "target": target} for name, base, target in COMPARISONS
                    if (times := self.times(name, base)) is not None]
        return super().report() | {"database": "postgres", "settings": self.settings, "disk": self.disk, "comparisons": compared}
