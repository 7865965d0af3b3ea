#!/usr/bin/env python3
"""How fast, in one run on one machine: what the database allows, the engine without HTTP, and HTTP in several shapes; and what
each is of the floor. A bare number says little, a ratio from one run says something.

usage: run.py --build DIRECTORY [--accounts N] [--transfers N] [--seconds N] [--dir DIRECTORY] [--json FILE] [--repeat N]

Prints a table; --json also writes everything that was measured. Every part has the same number of accounts, spread evenly
unless it says hot; everything acknowledged is looked up and the databases are audited. Exits 1 if a part fails or a
transfer is missing; a missed target is shown, not an error: this machine may be busy.
"""
import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time

# Part to (what it is compared with, at least this much of it).
TARGETS = {
    "in-process, batch 64": ("floor, batch 64", 0.85),
    "in-process, batch 256": ("floor, batch 256", 0.85),
    "in-process, batch 1000": ("floor, batch 1000", 0.85),
    "HTTP bulk, 1000 a request": ("floor, batch 1000", 0.70),
    "HTTP single, 64 connections": ("floor, batch 64", 0.50),
    "HTTP single, 256 connections": ("floor, batch 256", 0.60),
    "HTTP single, 64 connections, hot": ("HTTP single, 64 connections", 1.00),
}
THINK = "HTTP single, 20 connections, 10 ms think time"
THINK_P95_MS = 5.0


class Run:
    def __init__(self, arguments):
        self.arguments = arguments
        self.program = os.path.join(arguments.build, "creditledger")
        self.parts = {}
        self.sound = True

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def command(self, *command):
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            self.sound = False
            self.say(f"failed with {done.returncode}: {' '.join(map(str, command))}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def add(self, name, result):
        """The middle of the repetitions counts."""
        if result.get("missing") or not result.get("transfersPerSecond"):
            self.sound = False
        self.parts.setdefault(name, []).append(result)
        self.say(f"  {name}: {result.get('transfersPerSecond', 0):.0f} transfers/s")

    def rate(self, name):
        rates = sorted(r.get("transfersPerSecond", 0) for r in self.parts.get(name, []))
        return rates[len(rates) // 2] if rates else 0

    # --- parts ---------------------------------------------------------------------------------------------------

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
        with self.server(directory) as url:
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

    @contextlib.contextmanager
    def server(self, directory):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        process = subprocess.Popen([self.program, "serve", "--listen", f"127.0.0.1:{port}", "--data", directory,
                                    "--log-level", "warning"])
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                self.peak_kib = int(next(line for line in status if line.startswith("VmHWM")).split()[1])
        finally:
            process.send_signal(signal.SIGTERM)
            self.sound = process.wait(timeout=120) == 0 and self.sound

    # --- the table -------------------------------------------------------------------------------------------------

    def table(self):
        lines = [f"{'':46}{'transfers/s':>12}{'of the floor':>14}{'target':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>9}  ms"]
        for name, results in self.parts.items():
            base, target = TARGETS.get(name, (None, None))
            ratio = self.rate(name) / self.rate(base) if base and self.rate(base) else None
            latency = results[len(results) // 2].get("latencyMs", {})
            line = f"{name:46}{self.rate(name):12.0f}"
            line += f"{ratio:14.2f}{target:8.2f}" if ratio is not None else f"{'':22}"
            line += "".join(f"{latency[q]:8.2f}" if q in latency else f"{'':8}" for q in ("p50", "p95", "p99"))
            line += f"{latency['max']:9.2f}" if "max" in latency else f"{'':9}"
            if ratio is not None and ratio < target:
                line += "  below target"
            if name == THINK and latency.get("p95", 0) > THINK_P95_MS:
                line += f"  p95 above {THINK_P95_MS:.0f} ms"
            lines.append(line.rstrip())
        lines += ["", f"hot compares with the same load on all accounts; peak memory of the server {self.peak_kib / 1024:.0f} MiB; "
                  f"{self.disk['bytesPerTwoEntries']} bytes on disk per transfer"]
        return "\n".join(lines)

    def machine(self):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
        return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}

    def report(self):
        return {"machine": self.machine(), "accounts": self.arguments.accounts, "seconds": self.arguments.seconds,
                "parts": self.parts, "peakKiB": self.peak_kib, "disk": self.disk, "sound": self.sound,
                "ratios": {name: {"of": base, "ratio": round(self.rate(name) / self.rate(base), 3), "target": target}
                           for name, (base, target) in TARGETS.items() if self.rate(base)}}


def main():
    parser = argparse.ArgumentParser(description="How fast, as ratios in one run.")
    parser.add_argument("--build", required=True)
    parser.add_argument("--accounts", type=int, default=10000)
    parser.add_argument("--transfers", type=int, default=200000, help="for the floor and in-process, at each batch size")
    parser.add_argument("--seconds", type=int, default=10, help="each part over HTTP")
    parser.add_argument("--repeat", type=int, default=1, help="runs of everything; the middle one counts")
    parser.add_argument("--dir", default="build/bench-data", help="made and removed; put it on the disk to be measured")
    parser.add_argument("--json", help="file for all that was measured")
    run = Run(parser.parse_args())
    for repetition in range(run.arguments.repeat):
        directory = os.path.join(run.arguments.dir, str(repetition))
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        run.say("the floor")
        run.floor(directory)
        run.say("in-process")
        for batch in (64, 256, 1000):
            data = os.path.join(directory, f"in-process-{batch}")
            run.in_process(data, batch)
            shutil.rmtree(data, ignore_errors=True)
        run.say("HTTP")
        run.http(os.path.join(directory, "http"))
        shutil.rmtree(directory, ignore_errors=True)
    print(run.table())
    if run.arguments.json:
        with open(run.arguments.json, "w", encoding="utf-8") as file:
            json.dump(run.report(), file, indent=1)
    sys.exit(0 if run.sound else 1)


main()
