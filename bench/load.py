"""Load over HTTP on one or several servers at once: a client process for each, which begin together, and the processor time
that servers, clients and PostgreSQL took in those seconds."""
import contextlib
import json
import os
import resource
import subprocess
import time

import postgres

TICK = os.sysconf("SC_CLK_TCK")
LOOKUPS = 5000  # of what each client had acknowledged: each part is looked into, the audit reads all


def stat_fields(pid):
    """What follows the program's name in /proc/PID/stat: [1] is the parent, [11] to [14] are ticks of this process and of its
    children that ended. None when it is gone."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    return None


def postmaster(url):
    """Its process id, if it runs on this machine and can be told."""
    pid = postgres.sql(url, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    fields = stat_fields(pid) if pid else None
    return int(fields[1]) if fields else None


class Clock:
    """Processor seconds used so far, by who used them, and where the WAL ends."""

    def __init__(self, servers, postgres_url):
        self.servers, self.clients, self.url = servers, [], postgres_url
        self.postmaster = postmaster(postgres_url)

    def _of(self, pids):
        return sum(sum(map(int, fields[11:13])) for pid in pids if (fields := stat_fields(pid))) / TICK

    def _postgres(self):
        if self.postmaster is None:
            return 0.0
        own = stat_fields(self.postmaster)
        children = (int(f[11]) + int(f[12]) for pid in os.listdir("/proc") if pid.isdigit()
                    if (f := stat_fields(pid)) and int(f[1]) == self.postmaster)
        return (sum(children) + sum(map(int, own[11:15]))) / TICK

    def _clients(self):
        """Those named, while they run; else all that this program started and has waited for."""
        if self.clients:
            return self._of(self.clients)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def read(self):
        wal = int(postgres.sql(self.url, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))
        return {"servers": self._of(self.servers), "clients": self._clients(), "postgres": self._postgres(), "wal": wal}

    @staticmethod
    def since(before, transfers, now):
        n = max(transfers, 1)
        return {"processor": {kind: round((now[kind] - before[kind]) * 1e6 / n, 2) for kind in ("servers", "clients", "postgres")},
                "walBytes": round((now["wal"] - before["wal"]) / n)}


def start(program, url, connections, accounts, opened_by, seconds, options):
    command = [program, "bench", "--url", url, "--connections", connections, "--accounts", accounts, "--reuse", opened_by, "--seconds",
               seconds, "--lookups", LOOKUPS, "--wait", "--json", "--quiet", *options]
    return subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until_ready(client):
    for line in client.stderr:
        if line.strip() == "ready":
            return
        raise RuntimeError(f"a client is not ready: {line.strip()}")
    raise RuntimeError(f"a client ended with {client.wait()}")


def finish(client, problems):
    out, err = client.communicate()
    if client.returncode != 0 or err.strip():
        problems.append(f"a client ended with {client.returncode}: {err.strip()[:500]}")
    return json.loads(out) if out.strip() else {}


def measure(program, servers, *, postgres_url, connections, accounts, opened_by, seconds, options, say):
    """`servers`: (URL, process) of each. The connections are divided among them."""
    each = max(1, connections // len(servers))
    clients, problems = [], []
    try:
        for url, _ in servers:
            clients.append(start(program, url, each, accounts, opened_by, seconds, options))
        for client in clients:
            wait_until_ready(client)
        clock = Clock([process.pid for _, process in servers], postgres_url)
        clock.clients = [client.pid for client in clients]
        before = clock.read()
        for client in clients:
            client.stdin.write("\n")
            client.stdin.flush()
        time.sleep(seconds)
        after = clock.read()
        results = [finish(client, problems) for client in clients]
    finally:
        for client in clients:
            if client.poll() is None:
                client.kill()
                client.wait()
    for problem in problems:
        say("  " + problem)
    return combine(results, problems) | clock.since(before, sum(r.get("transfers", 0) for r in results), after)


def combine(results, problems):
    """Sums of what the clients saw; of latencies the worst of each."""
    rates = [r.get("transfersPerSecond", 0) for r in results]
    errors = {}
    for r in results:
        for kind, count in r.get("errors", {}).items():
            errors[kind] = errors.get(kind, 0) + count
    if errors:
        problems = [*problems, f"answers other than 201: {errors}"]
    latencies = [r["latencyMs"] for r in results if "latencyMs" in r]
    return {
        "transfers": sum(r.get("transfers", 0) for r in results),
        "transfersPerSecond": sum(rates),
        "latencyMs": {q: max(each[q] for each in latencies) for q in latencies[0]} if latencies else {},
        "missing": sum(r.get("missing", 0) for r in results),
        "errors": errors,
        "problems": problems,
        "processes": [{"transfersPerSecond": rate, "share": round(rate / max(sum(rates), 1), 3), "latencyMs": r.get("latencyMs", {})}
                      for rate, r in zip(rates, results)],
    }
