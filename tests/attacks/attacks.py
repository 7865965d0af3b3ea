"""The attacks, and the controls that must be accepted: (invariant, name, statements). A control's invariant is "-".

An attack is what somebody may type at an SQL prompt; it must leave no trace. Most write the way the backend does, so
that only what they are about is wrong; those that do not are wrong in that alone.
"""
from ledger_sql import *

N = NEXT
TABLES = {"ledger": "id", "asset": "id", "account": "holder", "account_revision": "place", "journal": "record", "entry": "place",
          "lot": "place", "record_text": "record"}
ATTACKS = []


def add(invariant, name, *statements, ledger=1):
    ATTACKS.append((invariant, name, transaction(*statements, ledger=ledger)))


def raw(invariant, name, *statements):
    ATTACKS.append((invariant, name, flat(statements)))


def control(name, *statements, ledger=1):
    add("-", name, *statements, ledger=ledger)


# --- controls
control("transfer", legs(), journal(N))
control("transfer, announced and examined", careful(N, legs(), journal(N)))
control("two transfers", legs(), journal(N), legs_after(), journal(N + 1))
control("transfer with key and text", legs(), text(N), journal(N, key="key", text_digest="zeroblob(32)"))
control("transfer between two assets", careful(N, entry(N, 0, 2, 6, -100, 800, outgoing_after=300), entry(N, 1, 1, 3, 100, 50),
        entry(N, 2, 6, 2, -92, -92), entry(N, 3, 5, 2, 92, 92), journal(N)))
control("backdated", careful(N, [s.replace("NULL)", "7)") for s in legs()], journal(N, effective_at=7)))
control("partial capture", careful(N, entry(N, 0, 2, 6, -200, 700, outgoing=-300), entry(N, 1, 3, 5, 200, 250, incoming=-300),
        lot(N, 0, 8, 0, 1, 2, 2, -300, 0), journal(N, 8, lots=1)))
control("floor raised above the balance, then capture",
        careful(N, revision(2, N, 0, 2, 5000), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2, floor=5000), journal(N, 2)),
        careful(N + 1, entry(N + 1, 0, 2, 7, -300, 600, outgoing=-300, revision=2, floor=5000),
                entry(N + 1, 1, 3, 5, 300, 350, incoming=-300), lot(N + 1, 0, 8, 0, 1, 2, 2, -300, 0), journal(N + 1, 8, lots=1)))
control("opening", opening(7, N))
control("opening with text", careful(N, revision(7, N, 0, 1, 0, text_seq=N), account(7, N, external_id="ext"), entry(N, 0, 7, 1, 0, 0),
        text(N), journal(N, 1, text_digest="zeroblob(32)")))
control("opening in another ledger", [s.replace("WHERE ledger = 1", "WHERE ledger = 2") for s in (
    announce(1, 2), revision(1, 1, 0, 1, None, at=place(1, 0, 2)), account(1, 1, type=3, holder=record_key(1, 2)),
    entry(1, 0, 1, 1, 0, 0, ledger=2), journal(1, 1, ledger=2), examine(2))], ledger=2)
control("reversal", careful(N, reversal(), journal(N, 4, lots=2, related_seq=7)))
control("reversal of all that is left", careful(N, reversal(amount=600), journal(N, 4, lots=2, related_seq=7)))
control("decline", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, declined_amount=5)))
control("erasure", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 6, related_seq=7)))
control("incoming hold that the floor of a debit-normal account allows",
        careful(N, entry(N, 0, 1, 3, 0, -50, outgoing=900, outgoing_after=900), entry(N, 1, 4, 4, 0, -900, incoming=900, incoming_after=900),
                lot(N, 0, N, 0, 1, 1, 1, 900, 900), journal(N, 7, lots=1)))
control("grant", careful(N, entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
        lot(N, 0, N, 1, 2, 1, 3, 10, 10), journal(N, 10, lots=1)))
control("a hold and a grant of one leg", careful(N, entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300, outgoing=5, outgoing_after=5),
        entry(N, 2, 2, 6, 0, 900, incoming=5, incoming_after=5, outgoing_after=300), lot(N, 0, N, 1, 2, 1, 3, 10, 10), lot(N, 1, N, 1, 1, 1, 3, 5, 5),
        journal(N, 10, lots=2)))
control("revision that keeps the text", careful(N, revision(7, N, 0, 1, 0, text_seq=N), account(7, N), entry(N, 0, 7, 1, 0, 0), text(N),
        journal(N, 1, text_digest="zeroblob(32)")),
    careful(N + 1, revision(7, N + 1, 0, 2, 0, text_seq=N), entry(N + 1, 0, 7, 2, 0, 0, revision=2), journal(N + 1, 2)))
raw("-", "ledger and asset", "INSERT INTO ledger VALUES(3, 'third', NULL, 5)", "INSERT INTO asset VALUES(3, 'GBP', 2)")

# --- I1: gap-free, whole, sealed
add("I1", "gap in seq", legs(N + 1), journal(N + 1))
add("I1", "gap, journal row only", journal(N + 1))
add("I1", "same seq again", journal(8))
add("I1", "same seq again, announced", careful(8, journal(8)))
add("I1", "seq 0", journal(0))
add("I1", "negative key", journal(0, at=-5))
add("I1", "no key", journal(0, at="NULL") .replace("'NULL'", "NULL"))
add("I1", "unknown ledger", journal(1, ledger=77))
raw("I1", "appending to an unknown ledger", "BEGIN", "INSERT INTO appending(ledger) VALUES(77)", "COMMIT")
add("I2", "record without entries", journal(N))
add("I1", "record without entries, announced", careful(N, journal(N)))
add("I1", "entries without their record", legs())
add("I1", "first leg without its record", legs()[0])
add("I1", "revision without its record", announce(N), revision(2, N, 0, 2, 0))
raw("I1", "appending left open", "BEGIN", "INSERT INTO appending(ledger) VALUES(1)", legs(), "COMMIT")
raw("I1", "appending committed empty", "BEGIN", "INSERT INTO appending(ledger) VALUES(1)", "COMMIT")
raw("I1", "without appending", "BEGIN", legs(), journal(N), "COMMIT")
raw("I1", "foreign keys off", "PRAGMA foreign_keys = OFF", transaction(legs(), journal(N)))
raw("I1", "foreign keys off, left open", "PRAGMA foreign_keys = OFF", "BEGIN", "INSERT INTO appending(ledger) VALUES(1)", legs(), "COMMIT")
raw("I1", "a table that says foreign keys are on", "PRAGMA foreign_keys = OFF", "CREATE TEMP TABLE pragma_foreign_keys(foreign_keys)",
    "INSERT INTO temp.pragma_foreign_keys VALUES(1)", "BEGIN", "INSERT INTO appending(ledger) VALUES(1)", legs(), "COMMIT")
UNBALANCED = [legs()[0], entry(N, 1, 3, 5, 101, 151, incoming_after=300)]
add("I1", "appending again, to forget what was announced", announce(N), UNBALANCED, journal(N), "REPLACE INTO appending(ledger) VALUES(1)")
raw("I1", "appending sealed at once", "BEGIN", "INSERT INTO appending(ledger, sealed) VALUES(1, 1)", legs(), "COMMIT")
raw("I1", "appending sealed later", "BEGIN", "INSERT INTO appending(ledger) VALUES(1)", "UPDATE appending SET sealed = 1", legs(), "COMMIT")
add("I1", "appending renamed", legs(), "UPDATE appending SET ledger = 2")
add("I1", "appending renamed by rowid", legs(), "UPDATE appending SET rowid = 2")
raw("I1", "appending announced from the start", "BEGIN", "INSERT INTO appending(ledger, announced) VALUES(1, 8)", "UPDATE appending SET examined = 8",
    "DELETE FROM appending", "INSERT INTO appending(ledger, announced, examined) VALUES(1, %d, NULL)" % N, UNBALANCED, journal(N),
    "DELETE FROM appending", "COMMIT")
raw("I1", "appending examined from the start", "BEGIN", "INSERT INTO appending(ledger, announced, examined) VALUES(1, %d, %d)" % (N, N),
    UNBALANCED, journal(N), "DELETE FROM appending", "COMMIT")
add("I1", "announced, never examined", announce(N), legs(), journal(N))
add("I1", "announced over one not examined", announce(N), legs(), journal(N), careful(N + 1, legs_after(), journal(N + 1)))
add("I1", "announced too early", announce(N + 1), legs(), journal(N), legs_after(), journal(N + 1), examine())
add("I1", "examined before the seal", announce(N), legs(), examine(), journal(N))
add("I1", "examined another", announce(N), legs(), journal(N), "UPDATE appending SET examined = 7")
add("I1", "announced and examined in one", "UPDATE appending SET announced = %d, examined = %d" % (N, N), legs(), journal(N))
add("I1", "legs added to record 7", entry(7, 2, 2, 6, -100, 800, outgoing_after=300), entry(7, 3, 3, 5, 100, 150, incoming_after=300))
add("I1", "leg added after the seal", legs(), journal(N), entry(N, 2, 2, 7, 0, 800, outgoing_after=300))
add("I1", "legs 0 and 2", legs()[0], entry(N, 2, 3, 5, 100, 150, incoming_after=300), journal(N))
add("I1", "legs from 1", entry(N, 1, 2, 6, -100, 800, outgoing_after=300), entry(N, 2, 3, 5, 100, 150, incoming_after=300), journal(N))
add("I1", "leg 0 twice", legs()[0], entry(N, 0, 3, 5, 100, 150, incoming_after=300), journal(N))
add("I1", "recorded_at runs backwards", legs(), journal(N, now=5))
add("I1", "first record before its ledger", [s.replace("WHERE ledger = 1", "WHERE ledger = 2") for s in (
    announce(1, 2), revision(1, 1, 0, 1, None, at=place(1, 0, 2)), account(1, 1, type=3, holder=record_key(1, 2)),
    entry(1, 0, 1, 1, 0, 0, ledger=2), journal(1, 1, ledger=2, now=0), examine(2))], ledger=2)
add("I1", "effective in the future", careful(N, legs(), journal(N, effective_at=10 ** 15)))
add("I2", "effective in the future, not announced", legs(), journal(N, effective_at=10 ** 15))
add("I1", "backdated, entries do not say so", careful(N, legs(), journal(N, effective_at=7)))
add("I1", "entries say backdated, record does not", careful(N, [s.replace("NULL)", "7)") for s in legs()], journal(N)))
add("I2", "entries say backdated, record does not, not announced", [s.replace("NULL)", "7)") for s in legs()], journal(N))
add("I2", "backdated, not announced", [s.replace("NULL)", "7)") for s in legs()], journal(N, effective_at=7))
add("I1", "account without revision", announce(N), account(7, N))
add("I1", "account of an old record", account(7, 7))
add("I1", "account with the revision of another account", careful(N, revision(7, N, 0, 1, 0), account(7, N), account(8, N),
    entry(N, 0, 7, 1, 0, 0), journal(N, 1)))
add("I1", "account with the revision of another record", opening(7, N)[:-2], journal(N, 1), examine(), account(8, N))
add("I1", "revision without its entry, sealed with another", careful(N, revision(2, N, 5, 2, 0), legs(), journal(N)))
add("I1", "revision without its entry, in a revision", careful(N, revision(3, N, 1, 2, 0), revision(2, N, 0, 2, 0),
    entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 2)))
add("I1", "entry without its revision, in a revision", careful(N, revision(2, N, 0, 2, 0),
    entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), entry(N, 1, 3, 5, 0, 50, incoming_after=300), journal(N, 2)))
add("I1", "revision of an old record", revision(2, 8, 0, 2, 0))
add("I1", "revision, not announced", revision(2, N, 0, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 2))
add("I1", "revision after the seal", announce(N), legs(), journal(N), revision(2, N, 1, 2, 0), examine())
add("I1", "account and revision without an entry", careful(N, revision(7, N, 9, 1, 0), account(7, N), legs(), journal(N)))
add("I1", "two openings in one record", careful(N, revision(7, N, 0, 1, 0), revision(8, N, 1, 1, 0), account(7, N), account(8, N),
    entry(N, 0, 7, 1, 0, 0), entry(N, 1, 8, 1, 0, 0), journal(N, 1)))
add("I1", "kind 0", careful(N, legs(), journal(N, 0)))
add("I1", "kind 13", careful(N, legs(), journal(N, 13)))
add("I2", "kind 13, not announced", legs(), journal(N, 13))
add("I1", "refusal of a transfer", careful(N, legs(), journal(N, refusal=308)))
add("I2", "refusal of a transfer, not announced", legs(), journal(N, refusal=308))
add("I1", "declined amount of a transfer", careful(N, legs(), journal(N, declined_amount=308)))
add("I2", "declined amount of a transfer, not announced", legs(), journal(N, declined_amount=308))
add("I1", "decline without refusal", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5)))
add("I1", "decline of two accounts", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300),
    entry(N, 1, 3, 5, 0, 50, incoming_after=300), journal(N, 5, refusal=308)))
add("I1", "related to itself", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, related_seq=N)))
add("I1", "related to record 0", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, related_seq=0)))
add("I1", "transfer related to another", careful(N, legs(), journal(N, related_seq=7)))
add("I2", "transfer related to another, not announced", legs(), journal(N, related_seq=7))
add("I1", "reversal of nothing", careful(N, reversal(), journal(N, 4, lots=2)))
add("I1", "text without digest", legs(), text(N), journal(N))
add("I1", "digest without text", legs(), journal(N, text_digest="zeroblob(32)"))
add("I1", "text of an old record", text(8))
add("I1", "text before its record", text(N))
add("I1", "text after the seal", legs(), journal(N), text(N))
add("I1", "revision names a text that is not there", careful(N, revision(7, N, 0, 1, 0, text_seq=N), account(7, N),
    entry(N, 0, 7, 1, 0, 0), journal(N, 1)))
add("I4", "revision names the text of another", careful(N, revision(7, N, 0, 1, 0, text_seq=7), account(7, N), entry(N, 0, 7, 1, 0, 0),
    journal(N, 1)))
add("I1", "record says one lot, has none", careful(N, legs(), journal(N, lots=1)))
add("I2", "record says one lot, has none, not announced", legs(), journal(N, lots=1))
add("I1", "lot added to record 8", announce(N), lot(8, 1, 8, 0, 1, 2, 2, -300, 0))
add("I1", "lot without announcement", legs(), lot(N, 0, 8, 0, 1, 2, 2, -300, 0), journal(N))
add("I1", "lot after the seal", announce(N), legs(), journal(N), lot(N, 0, 8, 0, 1, 2, 2, -300, 0), examine())
add("I1", "lot before the entries", announce(N), lot(N, 0, 8, 0, 1, 2, 2, -300, 0))
add("I1", "lots from 1", careful(N, entry(N, 0, 2, 6, -300, 600, outgoing=-300), entry(N, 1, 3, 5, 300, 350, incoming=-300),
    lot(N, 1, 8, 0, 1, 2, 2, -300, 0), journal(N, 8, lots=1)))

# --- I2, I3
add("I2", "unbalanced", legs()[0], entry(N, 1, 3, 5, 101, 151, incoming_after=300), journal(N))
add("I2", "unbalanced, announced", careful(N, legs()[0], entry(N, 1, 3, 5, 101, 151, incoming_after=300), journal(N)))
add("I2", "one-sided", entry(N, 0, 3, 5, 100, 150, incoming_after=300), journal(N))
add("I2", "USD out, EUR in", legs()[0], entry(N, 1, 5, 2, 100, 100), journal(N))
add("I2", "USD out, EUR in, announced", careful(N, legs()[0], entry(N, 1, 5, 2, 100, 100), journal(N)))
add("I2", "leg of nothing in a transfer", legs(), entry(N, 2, 1, 3, 0, -50), journal(N))
add("I2", "leg of nothing in a transfer, announced", careful(N, legs(), entry(N, 2, 1, 3, 0, -50), journal(N)))
add("I2", "pending in a transfer", legs()[0], entry(N, 1, 3, 5, 100, 150, incoming=-300), journal(N))
add("I2", "pending in a transfer, announced", careful(N, legs()[0], entry(N, 1, 3, 5, 100, 150, incoming=-300), journal(N)))
add("I2", "outgoing in a transfer", entry(N, 0, 2, 6, -100, 800, outgoing=-300), legs()[1], journal(N))
add("I2", "outgoing in a transfer, announced", careful(N, entry(N, 0, 2, 6, -100, 800, outgoing=-300), legs()[1], journal(N)))
for kind, invariant, revised, other in ((2, "I4", 2, {}), (6, "I2", 1, {"related_seq": 7}), (3, "I2", 1, {})):
    revisions = [revision(2, N, 0, 2, 0), revision(3, N, 1, 2, 0)] if kind == 2 else []
    money = 100 if kind == 3 else 0
    add(invariant, "kind %d that moves incoming amounts" % kind, careful(N, revisions,
        entry(N, 0, 2, 6, -money, 900 - money, incoming=100, incoming_after=100, outgoing_after=300, revision=revised),
        entry(N, 1, 3, 5, money, 50 + money, incoming=-100, incoming_after=200, revision=revised), journal(N, kind, **other)))
    add(invariant, "kind %d that moves outgoing amounts" % kind, careful(N, revisions,
        entry(N, 0, 2, 6, -money, 900 - money, outgoing=-40, outgoing_after=260, revision=revised),
        entry(N, 1, 3, 5, money, 50 + money, incoming_after=300, outgoing=40, outgoing_after=40, revision=revised), journal(N, kind, **other)))
add("I4", "revisions that move money", careful(N, revision(2, N, 0, 2, 0), revision(3, N, 1, 2, 0),
    entry(N, 0, 2, 6, -100, 800, outgoing_after=300, revision=2), entry(N, 1, 3, 5, 100, 150, incoming_after=300, revision=2), journal(N, 2)))
add("I2", "decline that moves", careful(N, entry(N, 0, 3, 5, 100, 150, incoming_after=300), journal(N, 5, refusal=308)))
add("I2", "erasure that moves", careful(N, legs(), journal(N, 6, related_seq=7)))
add("I4", "EUR entry labelled USD", legs()[0], entry(N, 1, 5, 2, 100, 100, asset=1), journal(N))
add("I4", "sum near 2^63", entry(N, 0, 1, 3, 2 ** 63 - 1, 2 ** 63 - 1), entry(N, 1, 1, 4, 2 ** 63 - 1, -2), entry(N, 2, 1, 5, 2, 0), journal(N))
add("I4", "out of range, no floor", entry(N, 0, 1, 3, -5 * 10 ** 18, -5 * 10 ** 18 - 50), entry(N, 1, 1, 4, 5 * 10 ** 18, -50), journal(N))
add("I4", "out of range above", entry(N, 0, 1, 3, 5 * 10 ** 18, 5 * 10 ** 18 - 50), entry(N, 1, 1, 4, -5 * 10 ** 18, -50), journal(N))
add("", "text in an amount", entry(N, 0, 2, 6, "ten", 800, outgoing_after=300))
add("", "no amount", entry(N, 0, 2, 6, None, None, outgoing_after=300))
add("I3", "hold without other side", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing=100, outgoing_after=400),
    lot(N, 0, N, 0, 1, 1, 2, 100, 100), journal(N, 7, lots=1)))
add("I3", "outgoing USD, incoming EUR", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing=100, outgoing_after=400),
    entry(N, 1, 5, 2, 0, 0, incoming=100, incoming_after=100), lot(N, 0, N, 0, 1, 1, 2, 100, 100), journal(N, 7, lots=1)))

# --- I4: continuity
add("I4", "version skipped", entry(N, 0, 2, 7, -100, 800, outgoing_after=300), legs()[1], journal(N))
add("I4", "version repeated", entry(N, 0, 2, 5, -100, 800, outgoing_after=300), legs()[1], journal(N))
add("I4", "version 1 again", entry(N, 0, 2, 1, 0, 0))
add("I4", "version 1 again, in an opening", careful(N, revision(2, N, 0, 2, 0), entry(N, 0, 2, 1, 0, 0), journal(N, 1)))
add("I4", "posted_after wrong", entry(N, 0, 2, 6, -100, 850, outgoing_after=300), legs()[1], journal(N))
add("I4", "incoming_after wrong", legs()[0], entry(N, 1, 3, 5, 100, 150), journal(N))
add("I4", "outgoing_after wrong", entry(N, 0, 2, 6, -100, 800), legs()[1], journal(N))
add("I4", "rows consistent with each other only", entry(N, 0, 2, 6, -100, 99900, outgoing_after=300), entry(N, 1, 2, 7, 100, 100000, outgoing_after=300), journal(N))
add("I4", "island of versions 10 and 11", entry(N, 0, 2, 10, -100, 800, outgoing_after=300), entry(N, 1, 2, 11, 100, 900, outgoing_after=300), journal(N))
add("I4", "unknown account", entry(N, 0, 99, 1, 0, 0))
add("I4", "unknown account in a hold", careful(N, entry(N, 0, 99, 1, 0, 0), journal(N, 7)))
add("I4", "opening with money", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 100, 100), journal(N, 1)))
add("I4", "opening with a balance", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 100), journal(N, 1)))
add("I4", "opening with incoming", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, incoming_after=5), journal(N, 1)))
add("I4", "opening with outgoing", careful(N, revision(7, N, 0, 1, -9), account(7, N), entry(N, 0, 7, 1, 0, 0, outgoing_after=5, floor=-9), journal(N, 1)))
add("I4", "opening under another asset", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, asset=2), journal(N, 1)))
add("I4", "opening under another side", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, side=-1), journal(N, 1)))
add("I4", "opening under another floor", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, floor=None), journal(N, 1)))
add("I4", "opening of another account than the revision's", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 8, 1, 0, 0), journal(N, 1)))
add("I4", "opening without account", careful(N, revision(7, N, 0, 1, 0), entry(N, 0, 7, 1, 0, 0), journal(N, 1)))
add("I4", "opening as a revision", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0), journal(N, 2)))
add("I4", "transfer as an opening", careful(N, revision(2, N, 0, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 1)))
add("I4", "account of an unknown asset", careful(N, revision(7, N, 0, 1, 0), account(7, N, asset=9), entry(N, 0, 7, 1, 0, 0, asset=9), journal(N, 1)))
add("I4", "first version is version 2", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 2, 0, 0), journal(N, 1)))
add("I4", "first revision is revision 2", careful(N, revision(7, N, 0, 2, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, revision=2), journal(N, 1)))
add("I4", "first entry has revision 2", careful(N, revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, revision=2), journal(N, 1)))
add("I4", "text of another account", careful(N, revision(7, N, 0, 1, 0, text_seq=N), account(7, N), entry(N, 0, 7, 1, 0, 0), text(N),
        journal(N, 1, text_digest="zeroblob(32)")),
    careful(N + 1, revision(7, N + 1, 0, 2, 0, text_seq=N), entry(N + 1, 0, 7, 2, 0, 0, revision=2), journal(N + 1, 2)),
    careful(N + 2, revision(8, N + 2, 0, 1, 0, text_seq=N), account(8, N + 2), entry(N + 2, 0, 8, 1, 0, 0), journal(N + 2, 1)))
add("I4", "asset changed", entry(N, 0, 2, 6, -100, 800, outgoing_after=300, asset=2), legs()[1], journal(N))
add("I4", "other ledger", entry(1, 0, 2, 6, -100, 800, outgoing_after=300, ledger=2), ledger=2)
add("I4", "revision skipped", careful(N, revision(2, N, 0, 3, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=3), journal(N, 2)))
add("I4", "entry of another revision than the row", careful(N, revision(3, N, 0, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 2)))
add("I4", "two revisions the wrong way round", careful(N, revision(2, N, 1, 2, 0), revision(2, N, 0, 3, 0),
    entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=3), entry(N, 1, 2, 7, 0, 900, outgoing_after=300, revision=2), journal(N, 2)))

# --- I5: pending amounts and lots
B = 3 * 10 ** 18
add("I5", "more outgoing than there can be", careful(N, entry(N, 0, 1, 3, 0, -50, outgoing=B, outgoing_after=B), entry(N, 1, 3, 5, 0, 50, incoming=B - 300, incoming_after=B),
    entry(N, 2, 1, 4, 0, -50, outgoing=B - 300, outgoing_after=2 * B - 300), entry(N, 3, 2, 6, 0, 900, incoming=B, incoming_after=B, outgoing_after=300),
    lot(N, 0, N, 0, 1, 1, 1, B, B), lot(N, 1, N, 2, 1, 1, 1, B - 300, B - 300), journal(N, 7, lots=2)))
add("I5", "more incoming than there can be", careful(N, entry(N, 0, 1, 3, 0, -50, outgoing=B, outgoing_after=B), entry(N, 1, 4, 4, 0, -900, outgoing=B, outgoing_after=B),
    entry(N, 2, 3, 5, 0, 50, incoming=B, incoming_after=B + 300), entry(N, 3, 3, 6, 0, 50, incoming=B, incoming_after=2 * B + 300),
    lot(N, 0, N, 0, 1, 1, 1, B, B), lot(N, 1, N, 1, 1, 1, 4, B, B), journal(N, 7, lots=2)))
add("I5", "capture of what was never incoming", careful(N, entry(N, 0, 2, 6, 0, 900, incoming=-100, incoming_after=-100, outgoing=-100, outgoing_after=200),
    lot(N, 0, 8, 0, 1, 2, 2, -100, 200), journal(N, 8, lots=1)))
add("I5", "outgoing below zero", entry(N, 0, 3, 5, 0, 50, incoming_after=300, outgoing=-100, outgoing_after=-100))
add("I5", "incoming below zero", entry(N, 0, 2, 6, 0, 900, incoming=-100, incoming_after=-100, outgoing_after=300))
add("I5", "outgoing out of range", entry(N, 0, 1, 3, 0, -50, outgoing=5 * 10 ** 18, outgoing_after=5 * 10 ** 18))
add("I5", "incoming out of range", entry(N, 0, 1, 3, 0, -50, incoming=5 * 10 ** 18, incoming_after=5 * 10 ** 18))
add("I5", "hold captured twice",
    careful(N, entry(N, 0, 2, 6, 0, 900, outgoing=300, outgoing_after=600), entry(N, 1, 3, 5, 0, 50, incoming=300, incoming_after=600),
            lot(N, 0, N, 0, 1, 1, 2, 300, 300), journal(N, 7, lots=1)),
    careful(N + 1, entry(N + 1, 0, 2, 7, -300, 600, outgoing=-300, outgoing_after=300), entry(N + 1, 1, 3, 6, 300, 350, incoming=-300, incoming_after=300),
            lot(N + 1, 0, 8, 0, 1, 2, 2, -300, 0), journal(N + 1, 8, lots=1)),
    careful(N + 2, entry(N + 2, 0, 2, 8, -300, 300, outgoing=-300), entry(N + 2, 1, 3, 7, 300, 650, incoming=-300),
            lot(N + 2, 0, 8, 0, 1, 3, 2, -300, -300), journal(N + 2, 8, lots=1)))
CAPTURE = [entry(N, 0, 2, 6, -300, 600, outgoing=-300), entry(N, 1, 3, 5, 300, 350, incoming=-300)]
add("I5", "capture without a lot", careful(N, CAPTURE, journal(N, 8)))
add("I5", "hold released without entries", careful(N, legs(), lot(N, 0, 8, 0, 1, 2, 2, -300, 0), journal(N, 8, lots=1)))
add("I5", "capture that leaves the hold whole", careful(N, CAPTURE, lot(N, 0, 8, 0, 1, 2, 2, -300, 300), journal(N, 8, lots=1)))
add("I5", "capture on another account's hold", careful(N, CAPTURE, lot(N, 0, 8, 0, 1, 2, 3, -300, 0), journal(N, 8, lots=1)))
add("I5", "lot version skipped", careful(N, CAPTURE, lot(N, 0, 8, 0, 1, 3, 2, -300, 0), journal(N, 8, lots=1)))
add("I5", "lot version repeated", careful(N, CAPTURE, lot(N, 0, 8, 0, 1, 1, 2, -300, 0, verb="REPLACE"), journal(N, 8, lots=1)))
add("I5", "lot started again", careful(N, CAPTURE, lot(N, 0, 8, 0, 1, 1, 2, 300, 300, verb="REPLACE"), journal(N, 8, lots=1)))
add("I5", "lot of a record that is not there", careful(N, CAPTURE, lot(N, 0, 8, 7, 1, 1, 2, 300, 300), journal(N, 8, lots=1)))
add("I5", "lot that changes nothing", careful(N, legs(), lot(N, 0, 8, 0, 1, 2, 2, 0, 300), journal(N, 8, lots=1)))
GRANT = [entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300)]
add("I5", "lot of kind 4", careful(N, GRANT, lot(N, 0, N, 1, 4, 1, 3, 10, 10), journal(N, 10, lots=1)))
add("I5", "grant spent by another account", careful(N, GRANT, lot(N, 0, N, 1, 2, 1, 3, 10, 10), lot(N, 1, N, 1, 2, 2, 2, -10, 0), journal(N, 10, lots=2)))
add("I5", "capture from a lot of another record", careful(N, entry(N, 0, 2, 6, -100, 800, outgoing=-100, outgoing_after=200),
    entry(N, 1, 3, 5, 100, 150, incoming=-100, incoming_after=200), lot(N, 0, 7, 0, 1, 2, 2, -100, 200), journal(N, 8, lots=1)))
add("I5", "grant that continues a hold", careful(N, legs(), lot(N, 0, 8, 0, 2, 2, 2, -100, 200), journal(N, 8, lots=1)))
add("I5", "hold born late", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing=300, outgoing_after=600), entry(N, 1, 3, 5, 0, 50, incoming=300, incoming_after=600),
    lot(N, 0, 8, 1, 1, 1, 3, 0, 0), journal(N, 7, lots=1)))
add("I5", "grant of an old record", careful(N, entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, 11, 1, 2, 1, 3, 50, 50), journal(N, 10, lots=1)))
add("I5", "grant larger than its leg", careful(N, entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, N, 1, 2, 1, 3, 500, 500), journal(N, 10, lots=1)))
add("I5", "grant of another account", careful(N, entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, N, 1, 2, 1, 2, 10, 10), journal(N, 10, lots=1)))
add("I5", "grant with more left than there is", careful(N, entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, N, 1, 2, 1, 3, 10, 500), journal(N, 10, lots=1)))
add("I5", "lot of a transfer", careful(N, entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, N, 1, 2, 1, 3, 10, 10), journal(N, 3, lots=1)))
add("I5", "refundable lot in a capture", careful(N, legs(), lot(N, 0, 7, 0, 3, 3, 4, -100, 800), journal(N, 8, lots=1)))
add("I5", "refundable lot of its own record", careful(N, legs(), lot(N, 0, N, 0, 3, 1, 2, 100, 100), journal(N, 4, lots=1, related_seq=7)))
add("I5", "reversal of more than there was", entry(N, 0, 1, 3, -100, -150), entry(N, 1, 3, 5, 100, 150, incoming_after=300), journal(N),
    careful(N + 1, entry(N + 1, 0, 3, 6, -51, 99, incoming_after=300), entry(N + 1, 1, 1, 4, 51, -99),
            lot(N + 1, 0, 11, 0, 3, 1, 1, 50, 50), lot(N + 1, 1, 11, 0, 3, 2, 1, -51, -1), lot(N + 1, 2, 11, 1, 3, 1, 3, 50, 50),
            lot(N + 1, 3, 11, 1, 3, 2, 3, -51, -1), journal(N + 1, 4, lots=4, related_seq=11)))
add("I5", "reversal of a hold", careful(N, reversal(), journal(N, 4, lots=2, related_seq=8)))
add("I5", "reversal of a reversal", careful(N, entry(N, 0, 2, 6, 100, 1000, outgoing_after=300), entry(N, 1, 4, 4, -100, -1000),
    lot(N, 0, 9, 0, 3, 1, 2, 100, 100), lot(N, 1, 9, 0, 3, 2, 2, -100, 0), lot(N, 2, 9, 1, 3, 1, 4, 100, 100), lot(N, 3, 9, 1, 3, 2, 4, -100, 0),
    journal(N, 4, lots=4, related_seq=9)))
add("I5", "reversal pinned to nothing", careful(N, reversal()[:2], journal(N, 4, related_seq=7)))
add("I5", "reversal pinned to one leg", careful(N, reversal()[:3], journal(N, 4, lots=1, related_seq=7)))
add("I5", "reversal of another account", careful(N, legs(), reversal()[2:], journal(N, 4, lots=2, related_seq=7)))
add("I5", "reversal the same way again", careful(N, entry(N, 0, 2, 6, 100, 1000, outgoing_after=300), entry(N, 1, 4, 4, -100, -1000),
    reversal()[2:], journal(N, 4, lots=2, related_seq=7)))
add("I5", "reversal of more than it takes", careful(N, reversal(amount=200)[:2], reversal(amount=100)[2:], journal(N, 4, lots=2, related_seq=7)))
add("I5", "reversal of another than it names", careful(N, reversal(), journal(N, 4, lots=2, related_seq=11)))
add("I5", "reversal that takes from a leg twice", careful(N, entry(N, 0, 2, 6, -50, 850, outgoing_after=300), entry(N, 1, 4, 4, 50, -850),
    entry(N, 2, 2, 7, -50, 800, outgoing_after=300), entry(N, 3, 4, 5, 50, -800),
    lot(N, 0, 7, 0, 3, 3, 4, -50, 850), lot(N, 1, 7, 0, 3, 4, 4, -50, 800), lot(N, 2, 7, 1, 3, 3, 2, -50, 850), lot(N, 3, 7, 1, 3, 4, 2, -50, 800),
    journal(N, 4, lots=4, related_seq=7)))
add("I5", "reversal that fills up", careful(N, reversal(), lot(N, 2, 7, 0, 3, 4, 4, 100, 900), journal(N, 4, lots=3, related_seq=7)))
add("I5", "reversal that opens a lot only", careful(N, entry(N, 0, 3, 5, -50, 0, incoming_after=300), entry(N, 1, 1, 3, 50, 0),
    lot(N, 0, 11, 0, 3, 1, 1, 50, 50), lot(N, 1, 11, 0, 3, 2, 1, -50, 0), lot(N, 2, 11, 1, 3, 1, 3, 50, 50), journal(N, 4, lots=3, related_seq=11)))

# --- I6: floors
add("I6", "overdraft", entry(N, 0, 2, 6, -601, 299, outgoing_after=300), entry(N, 1, 3, 5, 601, 651, incoming_after=300), journal(N))
add("I6", "hold beyond available", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing=601, outgoing_after=901)))
add("I4", "floor left out", entry(N, 0, 2, 6, -601, 299, outgoing_after=300, floor=None), entry(N, 1, 3, 5, 601, 651, incoming_after=300), journal(N))
add("I4", "lower floor", entry(N, 0, 2, 6, -601, 299, outgoing_after=300, floor=-500), entry(N, 1, 3, 5, 601, 651, incoming_after=300), journal(N))
add("I4", "side flipped", entry(N, 0, 2, 6, -601, 299, outgoing_after=300, side=-1), entry(N, 1, 3, 5, 601, 651, incoming_after=300), journal(N))
add("I6", "debit-normal account credited by 901", entry(N, 0, 4, 4, 901, 1), entry(N, 1, 1, 3, -901, -951), journal(N))
add("I6", "incoming hold of 901 on a debit-normal account", careful(N, entry(N, 0, 1, 3, 0, -50, outgoing=901, outgoing_after=901),
    entry(N, 1, 4, 4, 0, -900, incoming=901, incoming_after=901), lot(N, 0, N, 0, 1, 1, 1, 901, 901), journal(N, 7, lots=1)))
add("I4", "revision that moves money", careful(N, revision(2, N, 0, 2, None), entry(N, 0, 2, 6, -5000, -4100, outgoing_after=300, revision=2, floor=None), journal(N, 2)))
add("I4", "floor changed without revision", entry(N, 0, 2, 6, -100, 800, outgoing_after=300, revision=2, floor=-500), legs()[1], journal(N))
add("I4", "another floor than the revision's", careful(N, revision(2, N, 0, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2, floor=-500), journal(N, 2)))
add("I1", "revision in a transfer", careful(N, revision(2, N, 0, 2, -500), entry(N, 0, 2, 6, -100, 800, outgoing_after=300, revision=2, floor=-500), legs()[1], journal(N)))

# --- I7: nothing changes, nothing goes
for table, key in TABLES.items():
    raw("I7", "UPDATE " + table, "UPDATE %s SET %s = %s" % (table, key, key))
    raw("I7", "UPDATE OR REPLACE " + table, "UPDATE OR REPLACE %s SET %s = %s + 1" % (table, key, key))
    raw("I7", "DELETE FROM " + table, "DELETE FROM " + table)
    raw("I7", "DELETE one of " + table, "DELETE FROM %s WHERE %s = (SELECT max(%s) FROM %s)" % (table, key, key, table))
raw("I7", "REPLACE ledger by name", "REPLACE INTO ledger VALUES(3, 'main', NULL, 1)")
raw("I7", "REPLACE ledger by id", "REPLACE INTO ledger VALUES(1, 'mine', NULL, 1)")
raw("I7", "ledger 9", "INSERT INTO ledger VALUES(9, 'nine', NULL, 1)")
raw("I7", "ledger 0", "INSERT INTO ledger VALUES(0, 'zero', NULL, 1)")
raw("I7", "REPLACE asset by code", "REPLACE INTO asset VALUES(3, 'USD', 9)")
raw("I7", "REPLACE asset by id", "REPLACE INTO asset VALUES(1, 'XXX', 9)")
raw("I7", "asset 9", "INSERT INTO asset VALUES(9, 'XXX', 2)")
add("I7", "REPLACE account by external id", careful(N, revision(7, N, 0, 1, 0), account(7, N, external_id="ext"), entry(N, 0, 7, 1, 0, 0), journal(N, 1)),
    careful(N + 1, revision(8, N + 1, 0, 1, 0), account(8, N + 1, external_id="ext", verb="REPLACE"), entry(N + 1, 0, 8, 1, 0, 0), journal(N + 1, 1)))
add("I7", "REPLACE account by number", careful(N, revision(2, N, 0, 2, 0), account(2, N, verb="REPLACE"), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 2)))
add("I7", "account number skipped", careful(N, revision(8, N, 0, 1, 0), account(8, N), entry(N, 0, 8, 1, 0, 0), journal(N, 1)))
add("I1", "REPLACE revision by place", announce(N), revision(2, 2, 0, 1, -99999, verb="REPLACE"))
add("I4", "REPLACE revision by number", careful(N, revision(2, N, 0, 1, 0, status=2, verb="REPLACE"), entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 2)))
add("I4", "REPLACE revision of this record", careful(N, revision(2, N, 0, 2, -99999), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2, floor=-99999),
    revision(3, N, 0, 2, -99999, verb="REPLACE"), entry(N, 1, 3, 5, 0, 50, incoming_after=300, revision=2, floor=-99999), journal(N, 2)))
add("I1", "REPLACE record 8", journal(8, verb="REPLACE"))
add("I8", "REPLACE journal by idempotency key", legs(), journal(N, key="key-7", verb="REPLACE"))
add("I4", "REPLACE entry by version", entry(N, 0, 2, 5, -100, 800, outgoing_after=300, verb="REPLACE"), legs()[1], journal(N))
add("I1", "REPLACE entry of record 7", entry(7, 0, 2, 6, -100, 800, outgoing_after=300, verb="REPLACE"))
add("I1", "REPLACE a part under a later one", entry(N, 0, 2, 6, -100, 800, outgoing_after=300), entry(N, 1, 2, 7, 100, 900, outgoing_after=300),
    entry(N, 0, 3, 5, -100, -50, incoming_after=300, verb="REPLACE"), journal(N))
add("I1", "REPLACE lot of this record", announce(N), legs(), lot(N, 0, 8, 0, 1, 2, 2, -100, 200), lot(N, 0, 7, 0, 3, 3, 4, -1, 899, verb="REPLACE"))
add("I1", "REPLACE text of record 7", text(7, verb="REPLACE", body="{\"name\":\"mine\"}"))
add("I1", "erased text comes back", text(11))
add("I1", "UPSERT journal", journal(8, tail=" ON CONFLICT(record) DO UPDATE SET hash = excluded.hash"))
add("I1", "UPSERT entry", entry(7, 0, 4, 2, -1000, -1000).replace("INSERT", "INSERT", 1) + " ON CONFLICT(place) DO UPDATE SET posted = 5")
add("I2", "INSERT OR IGNORE, entries that break a rule, then the seal", *[s.replace("INSERT", "INSERT OR IGNORE", 1) for s in (
    entry(N, 0, 2, 6, -100, 800, outgoing_after=300), )], journal(N))
add("I7", "erasure of a record without text", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 6, related_seq=8)))
raw("I7", "text deleted without erasure", "DELETE FROM record_text WHERE record = 7")
add("I7", "text deleted by a decline that names it", careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, related_seq=7)),
    "DELETE FROM record_text WHERE record = 7")

# --- I8: one key, one effect
add("I8", "key again", legs(), journal(N, key="key-7"))
add("I8", "key again, announced", careful(N, legs(), journal(N, key="key-7")))
add("I8", "INSERT OR IGNORE journal with a used key", legs(), journal(N, key="key-7", verb="INSERT OR IGNORE"))
add("I8", "key without request", legs(), journal(N, key="key-9", request_hash=None))
add("I8", "request without key", legs(), journal(N, request_hash="zeroblob(32)"))

# --- shadows and traps: what somebody else's temporary objects can do
raw("I1", "temporary journal that says record 12 is not there", "CREATE TEMP TABLE journal AS SELECT * FROM main.journal WHERE seq < 12",
    transaction([s.replace("INTO journal", "INTO main.journal") for s in flat([legs(12), journal(12)])]))
raw("I4", "temporary entry, forged", "CREATE TEMP TABLE entry AS SELECT * FROM main.entry", "UPDATE temp.entry SET posted_after = 10000 WHERE account = 2",
    transaction([s.replace("INTO entry", "INTO main.entry").replace("INTO journal", "INTO main.journal") for s in (
        entry(N, 0, 2, 6, -5000, 5000, outgoing_after=300), entry(N, 1, 3, 5, 5000, 5050, incoming_after=300), journal(N))]))
raw("I1", "temporary appending", "PRAGMA foreign_keys = OFF", "CREATE TEMP TABLE appending AS SELECT 1 AS ledger, 0 AS sealed, 13 AS announced, 13 AS examined",
    "BEGIN", legs(), journal(N), "COMMIT")
raw("I1", "temporary view of appending", "PRAGMA foreign_keys = OFF", "CREATE TEMP VIEW appending AS SELECT 1 AS ledger, 0 AS sealed", "BEGIN", legs(), "COMMIT")
raw("I1", "temporary trigger that seals before the third leg", "CREATE TEMP TRIGGER t BEFORE INSERT ON main.entry WHEN NEW.leg = 2 BEGIN %s; END"
    % journal(N), transaction(legs(), entry(N, 2, 2, 7, 0, 800, outgoing_after=300)))
raw("I1", "temporary trigger that writes the version first", "CREATE TEMP TRIGGER t BEFORE INSERT ON main.entry WHEN NEW.posted = -77 BEGIN %s; %s; END"
    % tuple(legs()), transaction(entry(N, 0, 2, 6, -77, 823, outgoing_after=300, verb="REPLACE"), journal(N)))
raw("I1", "temporary trigger that skips the parts' seal", "CREATE TEMP TRIGGER t BEFORE INSERT ON main.journal BEGIN SELECT RAISE(IGNORE); END",
    transaction(legs(), journal(N)))
raw("I1", "temporary trigger that skips the examination", "CREATE TEMP TRIGGER t BEFORE UPDATE ON main.appending WHEN NEW.examined IS NOT NULL BEGIN SELECT RAISE(IGNORE); END",
    transaction(careful(N, legs()[0], entry(N, 1, 3, 5, 101, 151, incoming_after=300), journal(N))))
raw("I1", "temporary trigger that keeps appending", "CREATE TEMP TRIGGER t BEFORE DELETE ON main.appending BEGIN SELECT RAISE(IGNORE); END",
    transaction(legs(), journal(N)))
raw("I1", "temporary trigger that drops every second leg", "CREATE TEMP TRIGGER t BEFORE INSERT ON main.entry WHEN NEW.leg = 1 BEGIN SELECT RAISE(IGNORE); END",
    transaction(careful(N, legs(), entry(N, 2, 1, 3, 0, -50), journal(N, 7))))
raw("I7", "temporary trigger that skips the erasing", "CREATE TEMP TRIGGER t BEFORE DELETE ON main.record_text BEGIN SELECT RAISE(IGNORE); END",
    transaction(careful(N, entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 6, related_seq=7))))

# --- shapes
for name, statement in {
    "record id out of range": journal(N, id_low=2 ** 18), "hash of 31 bytes": journal(N, hash="zeroblob(31)"),
    "trace id of 15 bytes": journal(N, trace_id="zeroblob(15)"), "empty key": journal(N, key=""), "empty reference": journal(N, reference=""),
    "empty actor": journal(N, actor=""), "format 0": journal(N, format=0), "short request hash": journal(N, key="k", request_hash="zeroblob(31)"),
}.items():
    add("CHECK", name, legs(), statement)
add("CHECK", "short digest", legs(), text(N), journal(N, text_digest="zeroblob(31)"))
add("CHECK", "short salt", legs(), text(N, salt="zeroblob(15)"), journal(N, text_digest="zeroblob(32)"))
add("CHECK", "text too long", legs(), text(N, body="x" * 32769), journal(N, text_digest="zeroblob(32)"))
add("CHECK", "account id out of range", careful(N, revision(7, N, 0, 1, 0), account(7, N, id_low=2 ** 18), entry(N, 0, 7, 1, 0, 0), journal(N, 1)))
add("CHECK", "account type 6", careful(N, revision(7, N, 0, 1, 0), account(7, N, type=6), entry(N, 0, 7, 1, 0, 0), journal(N, 1)))
add("CHECK", "empty external id", careful(N, revision(7, N, 0, 1, 0), account(7, N, external_id=""), entry(N, 0, 7, 1, 0, 0), journal(N, 1)))
add("CHECK", "status 4", careful(N, revision(7, N, 0, 1, 0, status=4), account(7, N), entry(N, 0, 7, 1, 0, 0), journal(N, 1)))
add("CHECK", "floor out of range", careful(N, revision(7, N, 0, 1, 5 * 10 ** 18), account(7, N), entry(N, 0, 7, 1, 0, 0, floor=5 * 10 ** 18), journal(N, 1)))
raw("CHECK", "ledger without name", "INSERT INTO ledger VALUES(3, '', NULL, 1)")
raw("CHECK", "ledger floor out of range", "INSERT INTO ledger VALUES(3, 'x', 5000000000000000000, 1)")
raw("CHECK", "asset without code", "INSERT INTO asset VALUES(3, '', 2)")
raw("CHECK", "asset scale 19", "INSERT INTO asset VALUES(3, 'XXX', 19)")
