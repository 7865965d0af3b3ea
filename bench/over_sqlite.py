"""What is measured over SQLite."""
import contextlib
import os
import shutil
import sqlite3

from measure import IN_PROCESS_BATCHES, TARGETS, Run

THINK = "HTTP single, 20 connections, 10 ms think time"
THINK_P95_MS = 5.0


class SqliteRun(Run):
    def __init__(self, arguments):
        super().__init__(arguments, TARGETS)
        self.disk = {}

    def prepare(self):
        shutil.rmtree(self.arguments.dir, ignore_errors=True)
        os.makedirs(self.arguments.dir)

    def close(self):
        shutil.rmtree(self.arguments.dir, ignore_errors=True)

    def round(self):
        directory = self.arguments.dir
        self.say("the floor")
        self.floor(directory)
        self.say("in-process")
        for batch in IN_PROCESS_BATCHES:
            data = os.path.join(directory, f"in-process-{batch}")
            self.in_process(data, batch)
            shutil.rmtree(data, ignore_errors=True)
        self.say("HTTP")
        data = os.path.join(directory, "http")
        self.http(data)
        shutil.rmtree(data, ignore_errors=True)

    def floor(self, directory):
        a = self.arguments
        path = os.path.join(directory, "floor.db")
        result = self.command(os.path.join(a.build, "bench", "floor_sqlite"), "--path", path, "--accounts", a.accounts,
                              "--transfers", a.transfers, "--batch", "64,256,1000,8000", "--json")
        for row in result.get("floor", []):
            self.add(f"floor, batch {row['batch']}", row)

    def in_process(self, directory, batch):
        a = self.arguments
        result = self.command(self.program, "bench", "--in-process", "--data", directory, "--accounts", a.accounts, "--batch", batch,
                              "--requests", max(1, a.transfers // batch), "--bulk", batch, "--json", "--quiet")
        self.add(f"in-process, batch {batch}", result)

    def http(self, directory):
        a = self.arguments
        with self.server("--data", directory) as (url, _):
            common = [self.program, "bench", "--url", url, "--accounts", a.accounts, "--seconds", a.seconds, "--json", "--quiet"]
            first = self.command(*common, "--connections", 4, "--bulk", 1000)
            self.add("HTTP bulk, 1000 a request", first)
            common += ["--reuse", first["run"]] if "run" in first else []
            self.add("HTTP single, 64 connections", self.command(*common, "--connections", 64))
            self.add("HTTP single, 256 connections", self.command(*common, "--connections", 256))
            self.add("HTTP single, 64 connections, hot", self.command(*common, "--connections", 64, "--hot"))
            self.add(THINK, self.command(*common, "--connections", 20, "--think-ms", 10))
        self.measure_disk(directory)
        self.command(self.program, "verify", "--data", directory, "--json")

    def measure_disk(self, directory):
        path = os.path.join(directory, "ledger.db")
        with contextlib.closing(sqlite3.connect(path)) as database:
            entries = database.execute("SELECT count(*) FROM entry").fetchone()[0]
        size = sum(os.path.getsize(os.path.join(directory, f)) for f in os.listdir(directory))
        self.disk = {"bytes": size, "entries": entries, "bytesPerTwoEntries": round(2 * size / max(entries, 1))}

    def remark(self, name):
        late = name == THINK and self.latency(name).get("p95", 0) > THINK_P95_MS
        return f"  p95 above {THINK_P95_MS:.0f} ms" if late else ""

    def table(self):
        return super().table() + ["", f"peak memory of the server {self.peak_kib / 1024:.0f} MiB; "
                                      f"{self.disk.get('bytesPerTwoEntries', 0)} bytes on disk per transfer"]

    def report(self):
        return super().report() | {"disk": self.disk}
