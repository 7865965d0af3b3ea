#!/usr/bin/env python3
"""The plainest thing a team would write itself over PostgreSQL, measured: a balance column, one SQL transaction a transfer with
SELECT ... FOR UPDATE on both accounts, driven by pgbench over prepared statements.

usage: baseline.py --database-url URL [--variant transaction|statement|postings] [--accounts N] [--clients N] [--seconds N]
                   [--hot]

URL is an empty database's; schema.sql is put into it. Prints one JSON object: transfers/s, latencies from pgbench's log,
and whether the money is all there. Exits 1 if it is not.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "support"))
from postgres import BIN, sql  # noqa: E402

VARIANTS = ("transaction", "statement", "postings")
OPENING_BALANCE = 1_000_000_000


def pgbench():
    """Debian puts it into a package of its own beside the programs, others into the PATH."""
    path = os.path.join(BIN, "pgbench")
    return path if os.path.exists(path) else "pgbench"


def prepare(url, accounts):
    with open(os.path.join(HERE, "schema.sql"), encoding="utf-8") as file:
        sql(url, file.read())
    sql(url, f"INSERT INTO account(id, balance, currency) SELECT i, {OPENING_BALANCE}, 'USD' FROM generate_series(1, {accounts}) i;"
             "VACUUM ANALYZE account")


def script(variant, directory):
    """pgbench has no include; it sends a statement a line."""
    path = os.path.join(directory, variant + ".sql")
    with open(path, "w", encoding="utf-8") as out:
        for name in ("pick.sql", variant + ".sql"):
            with open(os.path.join(HERE, name), encoding="utf-8") as file:
                out.write(file.read())
    return path


def quantiles(directory):
    """Milliseconds. The third column of pgbench's log is a transaction's microseconds."""
    micros = []
    for path in glob.glob(os.path.join(directory, "log.*")):
        with open(path, encoding="ascii") as file:
            micros += [int(line.split()[2]) for line in file]
    micros.sort()
    return {name: micros[min(len(micros) - 1, int(part * len(micros)))] / 1000
            for name, part in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99), ("max", 1))} if micros else {}


def transfers_written(url):
    return int(sql(url, "SELECT count(*) FROM transfer"))


def audit(url, acknowledged, before):
    """What is wrong with the money, a line each."""
    if (written := transfers_written(url) - before) != acknowledged:
        yield f"{acknowledged} transfers acknowledged, {written} written"
    wrong = sql(url, f"""SELECT count(*) FROM account a
        LEFT JOIN (SELECT account, sum(amount) AS moved FROM (
            SELECT from_account AS account, -amount AS amount FROM transfer
            UNION ALL SELECT to_account, amount FROM transfer) m GROUP BY account) t ON t.account = a.id
        WHERE a.balance <> {OPENING_BALANCE} + coalesce(t.moved, 0)""")
    if wrong != "0":
        yield f"{wrong} accounts whose balance is not what their transfers say"
    if sql(url, f"SELECT sum(balance) - count(*) * {OPENING_BALANCE} FROM account") != "0":
        yield "the sum of all balances has changed"


def measure(url, variant="transaction", accounts=10000, clients=64, seconds=8, hot=False, clock=None):
    """`clock`, if given, is read at both ends of the load and says what it cost."""
    if sql(url, "SELECT to_regclass('account') IS NULL") == "t":
        prepare(url, accounts)
    before = transfers_written(url)
    began = clock.read() if clock else None
    with tempfile.TemporaryDirectory(prefix="creditledger-baseline-") as directory:
        done = subprocess.run(
            [pgbench(), "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(2, clients)), "-T", str(seconds), "-l",
             "--log-prefix", os.path.join(directory, "log"), "-D", f"accounts={accounts}", "-D", f"hot={int(hot)}",
             "-f", script(variant, directory), url],
            capture_output=True, text=True, check=False)
        ended = clock.read() if clock else None
        if done.returncode != 0:
            return {"problems": [done.stderr.strip()[:1000]]}
        latency = quantiles(directory)
    processed = int(re.search(r"transactions actually processed: (\d+)", done.stdout)[1])
    rate = float(re.search(r"tps = ([\d.]+) \(without initial connection time\)", done.stdout)[1])
    cost = clock.since(began, processed, ended) if clock else {}
    return {"variant": variant, "clients": clients, "accounts": accounts, "hot": hot, "seconds": seconds, "transfers": processed,
            "transfersPerSecond": rate, "latencyMs": latency, "problems": list(audit(url, processed, before)), **cost}


def main():
    parser = argparse.ArgumentParser(description="A hand-written ledger over PostgreSQL, measured.")
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--variant", choices=VARIANTS, default="transaction")
    parser.add_argument("--accounts", type=int, default=10000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--hot", action="store_true")
    a = parser.parse_args()
    result = measure(a.database_url, a.variant, a.accounts, a.clients, a.seconds, a.hot)
    print(json.dumps(result))
    sys.exit(1 if result["problems"] else 0)


if __name__ == "__main__":
    main()
