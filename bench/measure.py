"""What measuring over any database has in common: running programs, servers, what was measured, the table."""
import contextlib
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import time
import urllib.request

IN_PROCESS_BATCHES = (64, 256, 1000)
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


class Run:
    """One run of everything. Every part may be measured several times, once a round; rounds alternate the parts, so that a
    machine whose pace changes slows them alike."""

    def __init__(self, arguments, targets):
        self.arguments = arguments
        self.targets = targets
        self.program = os.path.abspath(os.path.join(arguments.build, "creditledger"))
        self.parts = {}
        self.sound = True
        self.peak_kib = 0

    def say(self, text):
        print(text, flush=True, file=self.arguments.progress)

    def fail(self, text):
        self.sound = False
        self.say(text)

    def command(self, *command):
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            self.fail(f"failed with {done.returncode}: {' '.join(map(str, command))}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def add(self, name, result):
        """Every acknowledged transfer must be there, and there must be some."""
        if result.get("missing") or result.get("problems") or not result.get("transfersPerSecond"):
            self.fail(f"  {name}: not sound: {result.get('missing', 0)} missing, {result.get('problems', [])}")
        self.parts.setdefault(name, []).append(result)
        self.say(f"  {name}: {result.get('transfersPerSecond', 0):.0f} transfers/s")

    def rates(self, name):
        return [r.get("transfersPerSecond", 0) for r in self.parts.get(name, [])]

    def rate(self, name):
        return statistics.median(self.rates(name) or [0])

    def ratio(self, name):
        """(what it is compared with, the ratio, the target), or None. Each round is divided by its own."""
        base, target = self.targets.get(name, (None, None))
        times = self.times(name, base)
        return (base, times, target) if times is not None else None

    def times(self, name, base):
        """How many times the base's rate, or None if one of them was not measured."""
        pairs = [(a, b) for a, b in zip(self.rates(name), self.rates(base)) if b]
        return statistics.median(a / b for a, b in pairs) if pairs else None

    def latency(self, name):
        """Medians over the rounds."""
        latencies = [r["latencyMs"] for r in self.parts[name] if r.get("latencyMs")]
        return {q: statistics.median(each[q] for each in latencies) for q in latencies[0]} if latencies else {}

    @contextlib.contextmanager
    def server(self, *where):
        """Yields its URL and process. It posts and answers, and keeps no read model: that road is measured by pipeline.py."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        process = subprocess.Popen([self.program, "serve", "--listen", f"127.0.0.1:{port}", "--roles", "api", "--log-level", "warning",
                                    *where],
                                   stderr=self.arguments.progress)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_ready(process, url)
            yield url, process
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1])
                self.peak_kib = max(self.peak_kib, peak)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code != 0:
                self.fail(f"the server ended with {code}")

    # --- the table -------------------------------------------------------------------------------------------------

    def remark(self, name):
        """What else is to be said at the end of a part's line."""
        del name
        return ""

    def table(self):
        width = max(len(name) for name in self.parts) + 2
        lines = [f"{'':{width}}{'transfers/s':>12}{'ratio':>8}{'target':>8}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}  ms"]
        for name in self.parts:
            ratio, latency = self.ratio(name), self.latency(name)
            line = f"{name:{width}}{self.rate(name):12.0f}"
            line += f"{ratio[1]:8.2f}{ratio[2]:8.2f}" if ratio else f"{'':16}"
            line += "".join(f"{latency[q]:9.2f}" if q in latency else f"{'':9}" for q in ("p50", "p95", "p99", "max"))
            line += f"  of {ratio[0]}" if ratio else ""
            line += "  BELOW TARGET" if ratio and ratio[1] < ratio[2] else ""
            lines.append((line + self.remark(name)).rstrip())
        return lines

    def report(self):
        ratios = {name: self.ratio(name) for name in self.targets}
        return {"machine": machine(), "accounts": self.arguments.accounts, "seconds": self.arguments.seconds, "parts": self.parts,
                "peakKiB": self.peak_kib, "sound": self.sound,
                "ratios": {name: {"of": r[0], "ratio": round(r[1], 3), "target": r[2]} for name, r in ratios.items() if r}}


def wait_ready(process, url):
    for _ in range(1200):
        with contextlib.suppress(OSError), urllib.request.urlopen(url + "/readyz", timeout=5) as answer:
            if answer.status == 200:
                return
        if process.poll() is not None:
            raise RuntimeError(f"the server ended at once with {process.returncode}")
        time.sleep(0.05)
    raise RuntimeError("the server does not become ready")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "loadAverage": os.getloadavg()[0]}
