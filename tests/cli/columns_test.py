"""Every column of every table, changed behind the database's back: `verify` finds it and names invariant, ledger and record.

The journal is one that a real server wrote. With the triggers in place the sqlite3 program cannot change it at all; without
them every single value matters.
"""
import os
import shutil
import subprocess

from cli import Desk
from tap import Tap

ATTACKS = [
    "UPDATE entry SET posted = posted + 1",
    "UPDATE entry SET posted_after = 1000000 WHERE place = (SELECT max(place) FROM entry)",
    "UPDATE journal SET idempotency_key = 'other'",
    "UPDATE account_revision SET floor = -1000",
    "UPDATE account SET external_id = 'mallory'",
    "UPDATE asset SET scale = 3",
    "UPDATE ledger SET default_floor = NULL, name = 'other'",
    "UPDATE record_text SET body = '{}'",
    "DELETE FROM entry",
    "DELETE FROM journal WHERE record = (SELECT max(record) FROM journal)",
    "DELETE FROM record_text",
    "INSERT OR REPLACE INTO entry SELECT * FROM entry LIMIT 1",
    "INSERT OR REPLACE INTO journal(record, kind, lots, format, declined_amount, effective_at, recorded_at, id_high, id_low,"
    " hash) SELECT record, kind, lots, format, declined_amount, effective_at, recorded_at, id_high, id_low, hash FROM journal",
    "PRAGMA foreign_keys = OFF; INSERT INTO appending(ledger) VALUES (1)",
    "PRAGMA ignore_check_constraints = ON; PRAGMA recursive_triggers = OFF; UPDATE OR REPLACE entry SET posted = 0",
    "CREATE TEMP TABLE entry AS SELECT * FROM main.entry; DELETE FROM main.entry",
]


def write_books(server):
    for name in ("alice", "bob"):
        server.post("/accounts", {"currency": "USD", "type": "wallet", "externalId": name, "name": name.title()})
    server.post("/accounts/ext:alice/credits", {"amount": 1000, "idempotencyKey": "k-credit"})
    paid = server.post("/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 300, "currency": "USD",
                                      "idempotencyKey": "k-pay", "reference": "order 7", "metadata": {"who": "Ann"}})
    server.post(f"/transfers/{paid['transferId']}/reverse", {"amount": 100})


def attack(desk, sql):
    """With the sqlite3 program and its defaults; true if it says no."""
    done = subprocess.run(["sqlite3", "-bail", desk.database, ".timeout 5000", sql], capture_output=True, text=True,
                          check=False)
    return done.returncode != 0


def columns(desk):
    """(table, column, type) of all that is stored."""
    for table in desk.sql("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").split():
        for line in desk.sql(f"SELECT name, type FROM pragma_table_xinfo('{table}') WHERE hidden = 0").splitlines():
            name, kind = line.split("|")
            yield table, name, kind


def changed(column, kind):
    """Another value of the same shape."""
    return {
        "INTEGER": f"coalesce({column} + 1, 1)",
        "TEXT": f"CASE WHEN {column} IS NULL THEN 'x' ELSE substr({column}, 1, length({column}) - 1) || '~' END",
        "BLOB": f"coalesce(cast(substr({column}, 1, length({column}) - 1) || x'5a' AS BLOB), zeroblob(32))",
    }[kind]


def check_column(desk, tampered, table, column, kind):
    """One row of the table with another value there."""
    rows = f"FROM {table} WHERE {column} IS NOT NULL"
    if desk.sql(f"SELECT count(*) {rows}").strip() == "0":
        rows = f"FROM {table}"
    if desk.sql(f"SELECT count(*) {rows}").strip() == "0":
        return False
    shutil.rmtree(tampered, ignore_errors=True)
    shutil.copytree(desk.data, tampered)
    database = os.path.join(tampered, "ledger.db")
    desk.sql("PRAGMA ignore_check_constraints = ON;"
             f" UPDATE {table} SET {column} = {changed(column, kind)} WHERE rowid = (SELECT max(rowid) {rows})", database)
    done = desk.run("verify", "--json", data=tampered, code=None)
    assert done.code == 1, f"{table}.{column} changed unseen: {done}"
    if not done.out:  # not even the catalogue can be read
        assert "I1" in done.err and table in done.err, done
        return True
    faults = [f for f in done.json()["faults"] if "trigger" not in f["message"]]
    assert faults and any(f.get("invariant") for f in faults), f"{table}.{column}: {faults}"
    if table not in ("ledger", "asset"):
        assert any(f.get("ledger") == "main" and f.get("seq") for f in faults), f"{table}.{column}: no record named: {faults}"
    return True


def main():
    tap, desk, tried = Tap(), Desk(), 0
    with desk.server() as server:
        write_books(server)
        for sql in ATTACKS:
            with tap.point(f"sqlite3 beside the server is refused: {sql[:60]}"):
                assert attack(desk, sql), "it went through"
        with tap.point("the server goes on, and verify passes beside it"):
            server.post("/accounts/ext:bob/credits", {"amount": 1})
            assert desk.run("verify", "--json").json()["ok"]
    desk.drop_triggers()
    for table, column, kind in columns(desk):
        with tap.point(f"{table}.{column}"):
            tried += check_column(desk, desk.file("tampered"), table, column, kind)
    with tap.point("all tables had rows to change"):
        assert tried > 55, tried
    desk.close()
    tap.done()


main()
