"""`verify`: beside a writer, and over books that somebody tampered with behind the database's back."""
import threading

from cli import Desk
from tap import Tap


def write_books(desk):
    """A journal of every kind; returns what later tests need."""
    with desk.server() as server:
        for name in ("alice", "bob"):
            server.post("/accounts", {"currency": "USD", "type": "wallet", "externalId": name, "name": name.title()})
        server.post("/accounts/ext:alice/credits", {"amount": 1000, "idempotencyKey": "k-credit"})
        paid = server.post("/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 300, "currency": "USD",
                                          "idempotencyKey": "k-pay", "reference": "order 7",
                                          "metadata": {"who": "Ann"}})
        server.post("/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 5, "currency": "USD",
                                   "effectiveAt": "2025-01-01T00:00:00Z"})
        server.post(f"/transfers/{paid['transferId']}/reverse", {"amount": 100})
        server.post("/accounts/ext:bob", {"minBalance": -10}, method="PATCH")
    return paid["seq"]


# name, SQL with the triggers gone, expected invariant; {s} is the transfer's seq, {e} its entries' first place.
TAMPERINGS = [
    ("an amount", "UPDATE entry SET posted = posted - 1 WHERE place = {e}", "I4", True),
    ("both amounts of a record", "UPDATE entry SET posted = posted * 2, posted_after = posted_after + posted"
     " WHERE place IN ({e}, {e} + 1)", "I4", False),
    ("a balance", "UPDATE entry SET posted_after = posted_after + 1 WHERE place = {e}", "I4", True),
    ("one side of a record", "UPDATE entry SET posted = posted + 1, posted_after = posted_after + 1"
     " WHERE place = {e} + 1", "I2", True),
    ("pending on one side", "UPDATE entry SET incoming = 1, incoming_after = 1 WHERE place = {e}", "I3", True),
    ("negative pending", "UPDATE entry SET incoming = -1, incoming_after = -1 WHERE place = {e};"
     " UPDATE entry SET outgoing = -1, outgoing_after = -1 WHERE place = {e} + 1", "I5", True),
    ("a floor", "UPDATE entry SET floor = -1000 WHERE place = {e}", "I6", True),
    ("an overdraft", "UPDATE entry SET posted = -1001, posted_after = -1 WHERE place = {e};"
     " UPDATE entry SET posted = 1001, posted_after = 1001 WHERE place = {e} + 1", "I6", True),
    ("a missing leg", "DELETE FROM entry WHERE place = {e} + 1", "I2", True),
    ("a missing record", "DELETE FROM entry WHERE place >> 11 = {s}; DELETE FROM record_text WHERE record = {s};"
     " DELETE FROM journal WHERE record = {s}", "I1", True),
    ("the newest record", "DELETE FROM account_revision WHERE place >> 11 = (SELECT max(record) FROM journal);"
     " DELETE FROM entry WHERE place >> 11 = (SELECT max(record) FROM journal);"
     " DELETE FROM journal WHERE record = (SELECT max(record) FROM journal)", None, False),
    ("recorded_at", "UPDATE journal SET recorded_at = 1, effective_at = 1 WHERE record = {s}", "I1", True),
    ("a reference", "UPDATE journal SET reference = 'order 8' WHERE record = {s}", "I10", True),
    ("a key", "UPDATE journal SET idempotency_key = 'k-other' WHERE record = {s}", "I10", True),
    ("a request hash", "UPDATE journal SET request_hash = zeroblob(32) WHERE record = {s}", "I10", True),
    ("a hash", "UPDATE journal SET hash = zeroblob(32) WHERE record = {s}", "I10", True),
    ("a text", "UPDATE record_text SET body = replace(body, 'Ann', 'Bob') WHERE record = {s}", "I10", True),
    ("a text taken away", "DELETE FROM record_text WHERE record = {s}", "I10", True),
    ("an effective time", "UPDATE journal SET effective_at = effective_at - 1 WHERE record = {s}", "I10", False),
    ("a late entry's time", "UPDATE entry SET effective_at = effective_at + 1 WHERE effective_at IS NOT NULL",
     "time", False),
    ("an account's type", "UPDATE account SET type = 1 WHERE holder = 1", "I4", False),
    ("an account's name", "UPDATE account SET external_id = 'mallory' WHERE holder = 1", "I10", False),
    ("a revision", "UPDATE account_revision SET floor = -20 WHERE revision = 2", "I6", False),
    ("a lot", "UPDATE lot SET remaining_after = remaining_after + 1 WHERE version = 2 AND leg = 0", "I4", False),
    ("an asset's scale", "UPDATE asset SET scale = 3", "I10", False),
    ("the ledger's row", "UPDATE ledger SET default_floor = -5", "I10", False),
    ("a key used twice", "DROP INDEX journal_idempotency;"
     " UPDATE journal SET idempotency_key = 'k-credit' WHERE record = {s}", "I8", True),
    ("an external id used twice", "DROP INDEX account_external; UPDATE account SET external_id = 'alice'", "I8", False),
]


def check_tampering(name, sql, invariant, names_record):
    desk = Desk()
    try:
        seq = write_books(desk)
        before = desk.run("verify", "--json").json()
        assert before["ok"] and before["faults"] == [], before
        hashes = before["ledgers"]
        desk.drop_triggers()
        desk.sql(sql.format(s=seq, e=seq << 11))
        after = desk.run("verify", "--json", code=1).json()
        assert not after["ok"]
        faults = after["faults"]
        assert any(f["invariant"] == "I7" and "trigger" in f["message"] for f in faults), "missing triggers not named"
        if invariant is None:  # only whoever noted the head can tell; verify prints it
            assert after["ledgers"] != hashes
            return
        hits = [f for f in faults if f["invariant"] == invariant]
        assert hits, f"no {invariant} among {faults}"
        if names_record:
            assert any(f.get("seq") in (seq, seq + 1) for f in hits), hits
        text = desk.run("verify", code=1).out
        assert f"FAULT {invariant} ledger main" in text or invariant == "I7", text
    finally:
        desk.close()


def check_beside_a_writer():
    desk = Desk()
    try:
        with desk.server() as server:
            server.post("/accounts", {"currency": "USD", "externalId": "a"})
            stop, errors, posted = threading.Event(), [], [0]

            def write():
                try:
                    while not stop.is_set():
                        server.post("/transfers/batch", [{"from": "@world", "to": "ext:a", "amount": 1,
                                                          "currency": "USD"} for _ in range(50)])
                        posted[0] += 50
                except Exception as error:  # noqa: BLE001
                    errors.append(error)

            thread = threading.Thread(target=write)
            thread.start()
            seen = [desk.run("verify", "--json").json() for _ in range(5)]
            totals = [desk.run("trial-balance", "--json").json() for _ in range(3)]
            exported = desk.run("export", "--format", "csv").out.count("\n")
            stop.set()
            thread.join()
            assert not errors, errors
            assert all(v["ok"] for v in seen) and all(t["equal"] for t in totals)
            assert seen[-1]["records"] > seen[0]["records"] >= 1, "the writer did not write meanwhile"
            assert exported > 1
        final = desk.run("verify", "--json").json()
        assert final["ok"] and final["records"] == posted[0] + 2, (final, posted)
    finally:
        desk.close()


def main():
    tap = Tap()
    for name, sql, invariant, names_record in TAMPERINGS:
        with tap.point(f"tampered: {name}"):
            check_tampering(name, sql, invariant, names_record)
    with tap.point("beside a writer it sees whole states only"):
        check_beside_a_writer()
    with tap.point("no database: exit 3, and nothing is made"):
        desk = Desk()
        done = desk.run("verify", code=3)
        assert "there is no ledger" in done.err, done
        desk.close()
    tap.done()


main()
