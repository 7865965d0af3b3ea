"""`projections`: a read model is made, checked, tampered with and made anew, while nobody serves. A server that projects is tried in
crash/projector_test.py."""
import contextlib
import glob
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.request

from cli import BINARY, Desk
from tap import Tap

TABLES = ("ledger", "asset", "head", "account", "line", "day", "transfer", "transfer_metadata", "total")


def write_books(desk, transfers=20):
    """Every kind of record, in two ledgers and two currencies."""
    with desk.server() as server:
        for name in ("alice", "bob"):
            server.post("/accounts", {"currency": "USD", "type": "wallet", "externalId": name, "name": name.title()})
        server.post("/accounts/ext:alice/credits", {"amount": 100000, "idempotencyKey": "k-credit"})
        for n in range(transfers):
            paid = server.post("/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 300 + n, "currency": "USD",
                                              "idempotencyKey": f"k-{n}", "reference": f"order {n}",
                                              "metadata": {"who": "Ann", "n": n}})
        server.post("/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 5, "currency": "USD",
                                   "effectiveAt": "2025-01-01T00:00:00Z"})
        server.post(f"/transfers/{paid['transferId']}/reverse", {"amount": 100})
        server.post("/accounts/ext:bob", {"minBalance": -10, "name": "Robert"}, method="PATCH")
        server.post("/ledgers", {"name": "second"})
        server.post("/ledgers/second/accounts", {"currency": "EUR", "externalId": "carl"})
        server.post("/ledgers/second/accounts/ext:carl/credits", {"amount": 7})
    return paid["transferId"]


@contextlib.contextmanager
def opened(path):
    """The database, committed and closed at the end."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        yield database


def projections(desk, verb, *more, code=0):
    return desk.run("projections", verb, *more, code=code)


def generation(desk):
    """The file of the live generation, with everything in it."""
    live = projections(desk, "status", "--json").json()["live"]
    path = os.path.join(desk.data, f"ledger-read-g{live}.db")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def restore(path, saved):
    for file in glob.glob(path + "-*"):
        os.remove(file)
    shutil.copy(saved, path)


def columns(path, table):
    with opened(path) as database:
        info = list(database.execute(f"PRAGMA table_info({table})"))
        count = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    assert count > 0, f"{table} is empty: nothing is tried"
    return [row[1] for row in info], [row[1] for row in info if row[5]], count


def where_middle(table, key, count):
    order = ", ".join(key)
    return " AND ".join(f"{name} = (SELECT {name} FROM {table} ORDER BY {order} LIMIT 1 OFFSET {count // 2})" for name in key)


def changed(path, sql):
    """False if the database itself refuses the change."""
    try:
        with opened(path) as database:
            return database.execute(sql).rowcount == 1
    except sqlite3.IntegrityError:
        return False


def check_tampering(tap, desk):
    path = generation(desk)
    saved = desk.file("saved.db")
    shutil.copy(path, saved)
    for table in TABLES:
        names, key, count = columns(path, table)
        where = where_middle(table, key, count)
        attacks = [(f"{table}.{name} changed", f"UPDATE {table} SET {name} = CASE typeof({name}) WHEN 'integer' THEN {name} + 1"
                    f" WHEN 'blob' THEN zeroblob(16) WHEN 'null' THEN 1 ELSE '77' END WHERE {where}") for name in names]
        attacks.append((f"a row of {table} deleted", f"DELETE FROM {table} WHERE {where}"))
        with tap.point(f"a row of {table} changed by hand is found, whatever column it is, or deleted"):
            missed, tried = [], 0
            for name, sql in attacks:
                if changed(path, sql):
                    tried += 1
                    done = projections(desk, "check", code=None)
                    if done.code != 1 or "DIFFERENCE" not in done.out:
                        missed.append((name, done))
                restore(path, saved)
            assert tried > len(names) // 2, f"{tried} of {len(attacks)} attacks were possible"
            assert not missed, missed
    with tap.point("and as it was before, the check passes"):
        report = projections(desk, "check", "--json").json()
        assert report["ok"] and report["differences"] == [], report
        assert report["transfers"] >= 20 and report["lines"] > 2 * report["transfers"], report
    with tap.point("a difference names ledger, account and both values"):
        changed(path, "UPDATE head SET posted = posted + 1 WHERE account = 2 AND ledger = (SELECT id FROM ledger WHERE name = 'main')")
        one = projections(desk, "check", "--json", code=1).json()["differences"]
        assert [(d["ledger"], d["account"], d["what"]) for d in one if d["what"] == "posted"] == [("main", 2, "posted")], one
        assert int(one[0]["found"]) == int(one[0]["expected"]) + 1, one
    with tap.point("a rebuild heals it"):
        projections(desk, "rebuild")
        assert projections(desk, "check", "--json").json()["ok"]


def check_status(tap, desk):
    with tap.point("without a read model, that is said"):
        done = projections(desk, "status", code=3)
        assert "rebuild" in done.err, done
        assert "rebuild" in projections(desk, "check", code=3).err
    with tap.point("a rebuild makes one, and it equals the journal"):
        done = projections(desk, "rebuild", "--json").json()
        assert done["generation"] == 1 and done["records"] > 20 and done["facts"] > done["records"], done
        assert projections(desk, "check", "--json").json()["ok"]
    with tap.point("status tells the generation, each ledger's seq, and that nobody projects"):
        status = projections(desk, "status", "--json").json()
        assert status["live"] == 1 and status["holder"] is None and status["parked"] == 0 and not status["gap"], status
        assert [(l["ledger"], l["lagRecords"]) for l in status["ledgers"]] == [("main", 0), ("second", 0)], status
        assert all(l["journalSeq"] == l["projectedSeq"] > 0 for l in status["ledgers"]), status
        text = projections(desk, "status").out
        assert "nobody projects" in text and "main" in text, text
    with tap.point("what the journal has and the read model has not is a lag, in records and seconds"):
        with opened(generation(desk)) as database:
            database.execute("UPDATE ledger SET seq = seq - 3 WHERE name = 'main'")
        lag = projections(desk, "status", "--json").json()["ledgers"][0]
        assert lag["lagRecords"] == 3 and lag["lagSeconds"] > 0, lag


def check_rebuild(tap, desk):
    with tap.point("a rebuild begins a new generation and leaves only that"):
        before = projections(desk, "status", "--json").json()["live"]
        projections(desk, "rebuild")
        status = projections(desk, "status", "--json").json()
        assert status["live"] > before and len(status["generations"]) == 1, status
        assert len(glob.glob(os.path.join(desk.data, "ledger-read-g*.db"))) == 1
    with tap.point("a read model of another format is refused, told, and healed by a rebuild"):
        with opened(generation(desk)) as database:
            database.execute("UPDATE state SET format = 99")
        assert "99" in projections(desk, "check", code=3).err
        assert not projections(desk, "status", "--json", code=1).json()["readable"]
        projections(desk, "rebuild")
        assert projections(desk, "check", "--json").json()["ok"]


def write_many(desk, bulks=4, each=10000):
    """So that a rebuild takes a while."""
    with desk.server() as server:
        for bulk in range(bulks):
            server.post("/transfers/batch", [{"from": "ext:alice", "to": "ext:bob", "amount": 1, "currency": "USD",
                                              "idempotencyKey": f"bulk-{bulk}-{n}"} for n in range(each)])
    projections(desk, "rebuild")


def check_interrupted(tap, desk):
    write_many(desk)
    line = [BINARY, "projections", "rebuild", "--data", desk.data]
    files = set(glob.glob(os.path.join(desk.data, "ledger-read*.db")))
    live = projections(desk, "status", "--json").json()["live"]

    def begin():
        """A rebuild that is at work."""
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ends = time.monotonic() + 30
        while set(glob.glob(os.path.join(desk.data, "ledger-read*.db"))) == files and process.poll() is None:
            assert time.monotonic() < ends
            time.sleep(0.001)
        time.sleep(0.1)
        assert process.poll() is None, "it was over too soon: more books are needed"
        return process

    with tap.point("SIGINT stops a rebuild, and nothing is left of it"):
        process = begin()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 3 and "stopped" in err, (process.returncode, out, err)
        status = projections(desk, "status", "--json").json()
        assert status["live"] == live and len(status["generations"]) == 1 and not status["rebuilding"], status
        assert set(glob.glob(os.path.join(desk.data, "ledger-read*.db"))) == files
        assert projections(desk, "check", "--json").json()["ok"]
    with tap.point("a second rebuild at once is refused"):
        process = begin()
        process.send_signal(signal.SIGSTOP)
        second = projections(desk, "rebuild", code=3)
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 0, process.communicate()
        assert "another rebuild" in second.err, second
    with tap.point("kill -9 leaves the live one as it is; the next rebuild clears up"):
        files = set(glob.glob(os.path.join(desk.data, "ledger-read*.db")))
        live = projections(desk, "status", "--json").json()["live"]
        process = begin()
        process.kill()
        process.wait()
        status = projections(desk, "status", "--json").json()
        assert status["live"] == live, status
        time.sleep(5.5)  # its lease
        projections(desk, "rebuild")
        assert len(projections(desk, "status", "--json").json()["generations"]) == 1
        assert len(glob.glob(os.path.join(desk.data, "ledger-read-g*.db"))) == 1
        assert projections(desk, "check", "--json").json()["ok"]


def check_parked(tap, desk):
    path = generation(desk)
    with tap.point("nothing is parked, and nothing to replay"):
        assert projections(desk, "parked", "--json").json() == []
        assert projections(desk, "replay", "--all", "--json").json() == {"applied": 0, "stillParked": 0}
    with opened(path) as database:
        line = "INSERT INTO parked VALUES ({}, 'ledger.entry.v1', 'k', '{}', '{}', 'a reason', 131072, {}, 1, 0)"
        database.execute(line.format(1, "ledger.entry.posted.v1", "{\"no\": \"entry\"}", 5))
        database.execute(line.format(2, "ledger.unheard.of.v1", "{}", 6))
    with tap.point("parked messages are listed with their reason and where they came from"):
        parked = projections(desk, "parked", "--json").json()
        assert [(p["id"], p["reason"], p["part"], p["offset"]) for p in parked] == [(1, "a reason", 131072, 5),
                                                                                   (2, "a reason", 131072, 6)], parked
        assert "a reason" in projections(desk, "parked").out
        assert projections(desk, "status", "--json").json()["parked"] == 2
    with tap.point("poison stays parked, with what is wrong with it"):
        done = projections(desk, "replay", "1", code=1)
        assert "stays parked" in done.out and "1 still parked" in done.out, done
        assert projections(desk, "replay", "--all", "--json", code=1).json() == {"applied": 0, "stillParked": 2}
        assert len(projections(desk, "parked", "--json").json()) == 2
    with tap.point("a message that is not there, or none named, is wrong usage"):
        assert "no parked message" in projections(desk, "replay", "77", code=2).err
        projections(desk, "replay", code=2)
        projections(desk, "replay", "x", code=2)
        projections(desk, "nonsense", code=2)
        projections(desk, "check", "1", code=2)


def check_replay(tap, desk):
    """An entry that contradicted what was there, until that was put right."""
    path = generation(desk)
    with opened(path) as database:
        seq, leg = database.execute("SELECT seq, leg FROM line WHERE ledger ="
                                             " (SELECT id FROM ledger WHERE name = 'second') ORDER BY seq DESC, leg DESC").fetchone()
    with tap.point("an entry that was applied before replays as done"):
        with desk.server() as server:
            with urllib.request.urlopen(server.base + "/ledgers/second/events?limit=1000") as answer:
                events = json.load(answer)["events"]
        event = next((e for e in events if e["id"] == f"second:{seq}:{leg}"), None)
        assert event is not None, (seq, leg, [e["id"] for e in events])
        with opened(path) as database:
            database.execute("INSERT INTO parked VALUES (3, 'ledger.entry.v1', 'k', ?, ?, 'a reason', 131072, 7, 1, 0)",
                             (event["type"], json.dumps(event["data"]).encode()))
        done = projections(desk, "replay", "3")
        assert "3: applied" in done.out, done
        assert [p["replayed"] for p in projections(desk, "parked", "--all", "--json").json() if p["id"] == 3] == [True]
        assert projections(desk, "check", "--json").json()["ok"]
    with tap.point("one that contradicts what is there stays parked with the reason, once"):
        data = event["data"]
        data |= {"version": data["version"] + 1, "seq": data["seq"] + 1, "balance": data["balance"] + 1}
        with opened(path) as database:
            database.execute("INSERT INTO parked VALUES (4, 'ledger.entry.v1', 'k', ?, ?, 'a reason', 131072, 8, 1, 0)",
                             (event["type"], json.dumps(data).encode()))
        for _ in range(2):
            done = projections(desk, "replay", "4", code=1)
            assert "4: stays parked: " in done.out and "a reason" not in done.out, done
        assert [p["id"] for p in projections(desk, "parked", "--json").json() if p["id"] > 2] == [4]


def main():
    tap = Tap()
    desk = Desk()
    try:
        write_books(desk)
        # The server may have projected; these tests begin without a read model.
        for file in glob.glob(os.path.join(desk.data, "ledger-read*")):
            os.remove(file)
        check_status(tap, desk)
        projections(desk, "rebuild")
        check_tampering(tap, desk)
        check_rebuild(tap, desk)
        check_interrupted(tap, desk)
        check_parked(tap, desk)
        check_replay(tap, desk)
    finally:
        desk.close()
    tap.done()


main()
