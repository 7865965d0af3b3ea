"""The attacks on PostgreSQL, and the controls that must be accepted: (invariant, name, role, items). A control's invariant is "-".

An attack is what somebody may type at a prompt; it must leave no trace. Items are parts, which a run without a string
between them makes one statement of, or statements. The role is who must try: None for everybody, "owner" for what only an
owner may try, "runtime" for what the role of a server is refused besides.
"""
from postgres_sql import *
N = NEXT
ATTACKS = []
ERASURE = [entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 6, related_seq=7)]


def add(invariant, name, *items, role=None):
    ATTACKS.append((invariant, name, role, flat(items)))


def control(name, *items, role=None):
    add("-", name, *items, role=role)


# --- controls
control("transfer", legs(), journal(N))
control("two transfers", legs(), journal(N), legs_after(), journal(N + 1))
control("transfer with key and text", legs(), text(N), journal(N, key="key", text_digest=bytes(32)))
control("texts in another order than their records", legs(), text(N + 1), text(N), journal(N, text_digest=bytes(32)), legs_after(),
    journal(N + 1, text_digest=bytes(32)))
control("transfer between two assets", entry(N, 0, 2, 6, -100, 800, outgoing_after=300), entry(N, 1, 1, 3, 100, 50),
        entry(N, 2, 6, 2, -92, -92), entry(N, 3, 5, 2, 92, 92), journal(N))
control("backdated", late(legs(), 7), journal(N, effective_at=7))
control("partial capture", entry(N, 0, 2, 6, -200, 700, outgoing=-300), entry(N, 1, 3, 5, 200, 250, incoming=-300),
        lot(N, 0, 8, 0, 1, 2, 2, -300, 0), journal(N, 8, lots=1))
control("floor raised above the balance, then capture",
        revision(2, N, 0, 2, 5000), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2, floor=5000), journal(N, 2),
        entry(N + 1, 0, 2, 7, -300, 600, outgoing=-300, revision=2, floor=5000),
                entry(N + 1, 1, 3, 5, 300, 350, incoming=-300), lot(N + 1, 0, 8, 0, 1, 2, 2, -300, 0), journal(N + 1, 8, lots=1))
control("opening", opening(7, N))
control("opening with text", revision(7, N, 0, 1, 0, text_seq=N), account(7, N, external_id="ext"), entry(N, 0, 7, 1, 0, 0),
        text(N), journal(N, 1, text_digest=bytes(32)))
control("reversal", reversal(), journal(N, 4, lots=2, related_seq=7))
control("reversal of all that is left", reversal(amount=600), journal(N, 4, lots=2, related_seq=7))
control("decline", entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, declined_amount=5))
control("erasure, and the text is gone", ERASURE, "SELECT 1 / (1 - count(*)) FROM creditledger.record_text WHERE ledger = 1 AND seq = 7", role="owner")
control("incoming hold that the floor of a debit-normal account allows",
        entry(N, 0, 1, 3, 0, -50, outgoing=900, outgoing_after=900), entry(N, 1, 4, 4, 0, -900, incoming=900, incoming_after=900),
                lot(N, 0, N, 0, 1, 1, 1, 900, 900), journal(N, 7, lots=1))
control("grant", entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
        lot(N, 0, N, 1, 2, 1, 3, 10, 10), journal(N, 10, lots=1))
control("a hold and a grant of one leg", entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300, outgoing=5, outgoing_after=5),
        entry(N, 2, 2, 6, 0, 900, incoming=5, incoming_after=5, outgoing_after=300), lot(N, 0, N, 1, 2, 1, 3, 10, 10), lot(N, 1, N, 1, 1, 1, 3, 5, 5),
        journal(N, 10, lots=2))
control("revision that keeps the text", revision(7, N, 0, 1, 0, text_seq=N), account(7, N), entry(N, 0, 7, 1, 0, 0), text(N),
        journal(N, 1, text_digest=bytes(32)),
    revision(7, N + 1, 0, 2, 0, text_seq=N), entry(N + 1, 0, 7, 2, 0, 0, revision=2), journal(N + 1, 2))

control("opening in another ledger, of another type and asset", revision(1, 1, 0, 1, None, ledger=2), account(1, 1, asset=2, type=1, ledger=2),
        entry(1, 0, 1, 1, 0, 0, ledger=2, asset=2, side=-1), journal(1, 1, ledger=2))
control("opening of an expense account", revision(7, N, 0, 1, None), account(7, N, type=5), entry(N, 0, 7, 1, 0, 0, side=-1, floor=None), journal(N, 1))
control("two revisions", revision(2, N, 0, 2, -5), revision(3, N, 1, 2, 7), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2, floor=-5),
        entry(N, 1, 3, 5, 0, 50, incoming_after=300, revision=2, floor=7), journal(N, 2))
FIRST = [entry(N, 0, 3, 5, -50, 0, incoming_after=300), entry(N, 1, 1, 3, 50, 0), lot(N, 0, 11, 0, 3, 1, 1, 50, 50), lot(N, 1, 11, 0, 3, 2, 1, -50, 0),
         lot(N, 2, 11, 1, 3, 1, 3, 50, 50), lot(N, 3, 11, 1, 3, 2, 3, -50, 0)]
control("first reversal of a record", FIRST, journal(N, 4, lots=4, related_seq=11))
control("two ledgers in one statement", legs(), journal(N), revision(1, 1, 0, 1, None, ledger=2), account(1, 1, type=3, ledger=2),
        entry(1, 0, 1, 1, 0, 0, ledger=2), journal(1, 1, ledger=2))
control("revision that leaves the text out", revision(7, N, 0, 1, 0, text_seq=N), account(7, N), entry(N, 0, 7, 1, 0, 0), text(N),
        journal(N, 1, text_digest=bytes(32)), revision(7, N + 1, 0, 2, 0), entry(N + 1, 0, 7, 2, 0, 0, revision=2), journal(N + 1, 2))
control("decline of a reversal", entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, related_seq=7))
control("two legs of one account", entry(N, 0, 2, 6, -100, 800, outgoing_after=300), entry(N, 1, 2, 7, 100, 900, outgoing_after=300), journal(N))

# --- I1: gap-free and whole
add("I1", "gap in seq", legs(N + 1), journal(N + 1))
add("I1", "gap, journal row only", journal(N + 1))
add("I1", "same seq again", journal(8))
add("I1", "seq 0", journal(0))
add("I1", "unknown ledger", journal(1, ledger=77))
add("I1", "record without entries", journal(N))
add("I1", "entries without their record", legs())
add("I1", "first leg without its record", legs()[0])
UNBALANCED = [legs()[0], entry(N, 1, 3, 5, 101, 151, incoming_after=300)]
add("I1", "legs added to record 7", entry(7, 2, 2, 6, -100, 800, outgoing_after=300), entry(7, 3, 3, 5, 100, 150, incoming_after=300))
add("I1", "legs 0 and 2", legs()[0], entry(N, 2, 3, 5, 100, 150, incoming_after=300), journal(N))
add("I1", "legs from 1", entry(N, 1, 2, 6, -100, 800, outgoing_after=300), entry(N, 2, 3, 5, 100, 150, incoming_after=300), journal(N))
add("I1", "leg 0 twice", legs()[0], entry(N, 0, 3, 5, 100, 150, incoming_after=300), journal(N))
add("I1", "recorded_at runs backwards", legs(), journal(N, now=5))
add("I1", "effective in the future", legs(), journal(N, effective_at=10 ** 15))
add("I1", "backdated, entries do not say so", legs(), journal(N, effective_at=7))
add("I1", "entries say backdated, record does not", late(legs(), 7), journal(N))
add("I1", "account of an old record", account(7, 7))
add("I7", "account with the revision of another account", revision(7, N, 0, 1, 0), account(7, N), account(8, N),
    entry(N, 0, 7, 1, 0, 0), journal(N, 1))
add("I1", "revision without its entry, sealed with another", revision(2, N, 5, 2, 0), legs(), journal(N))
add("I1", "revision without its entry, in a revision", revision(3, N, 1, 2, 0), revision(2, N, 0, 2, 0),
    entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 2))
add("I1", "entry without its revision, in a revision", revision(2, N, 0, 2, 0),
    entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), entry(N, 1, 3, 5, 0, 50, incoming_after=300), journal(N, 2))
add("I1", "revision of an old record", revision(2, 8, 0, 2, 0))
add("I1", "account and revision without an entry", revision(7, N, 9, 1, 0), account(7, N), legs(), journal(N))
add("I1", "two openings in one record", revision(7, N, 0, 1, 0), revision(8, N, 1, 1, 0), account(7, N), account(8, N),
    entry(N, 0, 7, 1, 0, 0), entry(N, 1, 8, 1, 0, 0), journal(N, 1))
add("I1", "kind 0", legs(), journal(N, 0))
add("I1", "kind 13", legs(), journal(N, 13))
add("I1", "refusal of a transfer", legs(), journal(N, refusal=308))
add("I1", "declined amount of a transfer", legs(), journal(N, declined_amount=308))
add("I1", "decline without refusal", entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5))
add("I1", "decline of two accounts", entry(N, 0, 2, 6, 0, 900, outgoing_after=300),
    entry(N, 1, 3, 5, 0, 50, incoming_after=300), journal(N, 5, refusal=308))
add("I1", "related to itself", entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, related_seq=N))
add("I1", "related to record 0", entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, related_seq=0))
add("I1", "transfer related to another", legs(), journal(N, related_seq=7))
add("I1", "reversal of nothing", reversal(), journal(N, 4, lots=2))
add("I1", "text without digest", legs(), text(N), journal(N))
add("I1", "digest without text", legs(), journal(N, text_digest=bytes(32)))
add("I1", "text of an old record", text(8))
add("I1", "text before its record", text(N))
add("I1", "text after the seal", legs(), journal(N), text(N))
add("I1", "revision names a text that is not there", revision(7, N, 0, 1, 0, text_seq=N), account(7, N),
    entry(N, 0, 7, 1, 0, 0), journal(N, 1))
add("I4", "revision names the text of another", revision(7, N, 0, 1, 0, text_seq=7), account(7, N), entry(N, 0, 7, 1, 0, 0),
    journal(N, 1))
add("I5", "transfer says one lot", legs(), journal(N, lots=1))
add("I1", "record says one lot, has none", legs(), journal(N, 8, lots=1))
add("I1", "record says no lot, has one", legs(), lot(N, 0, 8, 0, 1, 2, 2, -300, 0), journal(N, 8))
add("I1", "lot of a transfer that names a hold", legs(), lot(N, 0, 8, 0, 1, 2, 2, -300, 0), journal(N))
add("I1", "lots from 1", entry(N, 0, 2, 6, -300, 600, outgoing=-300), entry(N, 1, 3, 5, 300, 350, incoming=-300),
    lot(N, 1, 8, 0, 1, 2, 2, -300, 0), journal(N, 8, lots=1))

# --- I2, I3
add("I2", "unbalanced", legs()[0], entry(N, 1, 3, 5, 101, 151, incoming_after=300), journal(N))
add("I2", "one-sided", entry(N, 0, 3, 5, 100, 150, incoming_after=300), journal(N))
add("I2", "USD out, EUR in", legs()[0], entry(N, 1, 5, 2, 100, 100), journal(N))
add("I2", "leg of nothing in a transfer", legs(), entry(N, 2, 1, 3, 0, -50), journal(N))
add("I2", "pending in a transfer", legs()[0], entry(N, 1, 3, 5, 100, 150, incoming=-300), journal(N))
add("I2", "outgoing in a transfer", entry(N, 0, 2, 6, -100, 800, outgoing=-300), legs()[1], journal(N))
for kind, invariant, revised, other in ((2, "I4", 2, {}), (6, "I2", 1, {"related_seq": 7}), (3, "I2", 1, {})):
    revisions = [revision(2, N, 0, 2, 0), revision(3, N, 1, 2, 0)] if kind == 2 else []
    money = 100 if kind == 3 else 0
    add(invariant, "kind %d that moves incoming amounts" % kind, revisions,
        entry(N, 0, 2, 6, -money, 900 - money, incoming=100, incoming_after=100, outgoing_after=300, revision=revised),
        entry(N, 1, 3, 5, money, 50 + money, incoming=-100, incoming_after=200, revision=revised), journal(N, kind, **other), role="owner")
    add(invariant, "kind %d that moves outgoing amounts" % kind, revisions,
        entry(N, 0, 2, 6, -money, 900 - money, outgoing=-40, outgoing_after=260, revision=revised),
        entry(N, 1, 3, 5, money, 50 + money, incoming_after=300, outgoing=40, outgoing_after=40, revision=revised), journal(N, kind, **other), role="owner")
add("I4", "revisions that move money", revision(2, N, 0, 2, 0), revision(3, N, 1, 2, 0),
    entry(N, 0, 2, 6, -100, 800, outgoing_after=300, revision=2), entry(N, 1, 3, 5, 100, 150, incoming_after=300, revision=2), journal(N, 2))
add("I2", "decline that moves", entry(N, 0, 3, 5, 100, 150, incoming_after=300), journal(N, 5, refusal=308))
add("I2", "erasure that moves", legs(), journal(N, 6, related_seq=7), role="owner")
add("I4", "EUR entry labelled USD", legs()[0], entry(N, 1, 5, 2, 100, 100, asset=1), journal(N))
add("I4", "sum near 2^63", entry(N, 0, 1, 3, 2 ** 63 - 1, 2 ** 63 - 1), entry(N, 1, 1, 4, 2 ** 63 - 1, -2), entry(N, 2, 1, 5, 2, 0), journal(N))
add("I4", "out of range, no floor", entry(N, 0, 1, 3, -5 * 10 ** 18, -5 * 10 ** 18 - 50), entry(N, 1, 1, 4, 5 * 10 ** 18, -50), journal(N))
add("I4", "out of range above", entry(N, 0, 1, 3, 5 * 10 ** 18, 5 * 10 ** 18 - 50), entry(N, 1, 1, 4, -5 * 10 ** 18, -50), journal(N))
add("I3", "hold without other side", entry(N, 0, 2, 6, 0, 900, outgoing=100, outgoing_after=400),
    lot(N, 0, N, 0, 1, 1, 2, 100, 100), journal(N, 7, lots=1))
add("I3", "outgoing USD, incoming EUR", entry(N, 0, 2, 6, 0, 900, outgoing=100, outgoing_after=400),
    entry(N, 1, 5, 2, 0, 0, incoming=100, incoming_after=100), lot(N, 0, N, 0, 1, 1, 2, 100, 100), journal(N, 7, lots=1))

# --- I4: continuity
add("I4", "version skipped", entry(N, 0, 2, 7, -100, 800, outgoing_after=300), legs()[1], journal(N))
add("I4", "version repeated", entry(N, 0, 2, 5, -100, 800, outgoing_after=300), legs()[1], journal(N))
add("I4", "version 1 again", entry(N, 0, 2, 1, 0, 0))
add("I4", "version 1 again, in an opening", revision(2, N, 0, 2, 0), entry(N, 0, 2, 1, 0, 0), journal(N, 1))
add("I4", "posted_after wrong", entry(N, 0, 2, 6, -100, 850, outgoing_after=300), legs()[1], journal(N))
add("I4", "incoming_after wrong", legs()[0], entry(N, 1, 3, 5, 100, 150), journal(N))
add("I4", "outgoing_after wrong", entry(N, 0, 2, 6, -100, 800), legs()[1], journal(N))
add("I4", "rows consistent with each other only", entry(N, 0, 2, 6, -100, 99900, outgoing_after=300), entry(N, 1, 2, 7, 100, 100000, outgoing_after=300), journal(N))
add("I4", "island of versions 10 and 11", entry(N, 0, 2, 10, -100, 800, outgoing_after=300), entry(N, 1, 2, 11, 100, 900, outgoing_after=300), journal(N))
add("I4", "unknown account", legs()[0], entry(N, 1, 99, 1, 100, 100), journal(N))
add("I4", "unknown account in a hold", entry(N, 0, 99, 1, 0, 0), journal(N, 7))
add("I4", "opening with money", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 100, 100), journal(N, 1))
add("I4", "opening with a balance", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 100), journal(N, 1))
add("I4", "opening with incoming", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, incoming_after=5), journal(N, 1))
add("I4", "opening with outgoing", revision(7, N, 0, 1, -9), account(7, N), entry(N, 0, 7, 1, 0, 0, outgoing_after=5, floor=-9), journal(N, 1))
add("I4", "opening under another asset", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, asset=2), journal(N, 1))
add("I4", "opening under another side", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, side=-1), journal(N, 1))
add("I4", "opening under another floor", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, floor=None), journal(N, 1))
add("I4", "opening of another account than the revision's", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 8, 1, 0, 0), journal(N, 1))
add("I4", "opening without account", revision(7, N, 0, 1, 0), entry(N, 0, 7, 1, 0, 0), journal(N, 1))
add("I4", "opening as a revision", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0), journal(N, 2))
add("I4", "transfer as an opening", revision(2, N, 0, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 1))
add("I4", "account of an unknown asset", revision(7, N, 0, 1, 0), account(7, N, asset=9), entry(N, 0, 7, 1, 0, 0, asset=9), journal(N, 1))
add("I4", "first version is version 2", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 2, 0, 0), journal(N, 1))
add("I4", "first revision is revision 2", revision(7, N, 0, 2, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, revision=2), journal(N, 1))
add("I4", "first entry has revision 2", revision(7, N, 0, 1, 0), account(7, N), entry(N, 0, 7, 1, 0, 0, revision=2), journal(N, 1))
add("I4", "text of another account", revision(7, N, 0, 1, 0, text_seq=N), account(7, N), entry(N, 0, 7, 1, 0, 0), text(N),
        journal(N, 1, text_digest=bytes(32)),
    revision(7, N + 1, 0, 2, 0, text_seq=N), entry(N + 1, 0, 7, 2, 0, 0, revision=2), journal(N + 1, 2),
    revision(8, N + 2, 0, 1, 0, text_seq=N), account(8, N + 2), entry(N + 2, 0, 8, 1, 0, 0), journal(N + 2, 1))
add("I4", "asset changed", entry(N, 0, 2, 6, -100, 800, outgoing_after=300, asset=2), legs()[1], journal(N))
add("I4", "other ledger", entry(1, 0, 2, 6, -100, 800, outgoing_after=300, ledger=2),
    entry(1, 1, 3, 5, 100, 150, incoming_after=300, ledger=2), journal(1, ledger=2))
add("I4", "revision skipped", revision(2, N, 0, 3, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=3), journal(N, 2))
add("I4", "entry of another revision than the row", revision(3, N, 0, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 2))
add("I4", "two revisions the wrong way round", revision(2, N, 1, 2, 0), revision(2, N, 0, 3, 0),
    entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=3), entry(N, 1, 2, 7, 0, 900, outgoing_after=300, revision=2), journal(N, 2))

# --- I5: pending amounts and lots
B = 3 * 10 ** 18
add("I5", "more outgoing than there can be", entry(N, 0, 1, 3, 0, -50, outgoing=B, outgoing_after=B), entry(N, 1, 3, 5, 0, 50, incoming=B - 300, incoming_after=B),
    entry(N, 2, 1, 4, 0, -50, outgoing=B - 300, outgoing_after=2 * B - 300), entry(N, 3, 2, 6, 0, 900, incoming=B, incoming_after=B, outgoing_after=300),
    lot(N, 0, N, 0, 1, 1, 1, B, B), lot(N, 1, N, 2, 1, 1, 1, B - 300, B - 300), journal(N, 7, lots=2))
add("I5", "more incoming than there can be", entry(N, 0, 1, 3, 0, -50, outgoing=B, outgoing_after=B), entry(N, 1, 4, 4, 0, -900, outgoing=B, outgoing_after=B),
    entry(N, 2, 3, 5, 0, 50, incoming=B, incoming_after=B + 300), entry(N, 3, 3, 6, 0, 50, incoming=B, incoming_after=2 * B + 300),
    lot(N, 0, N, 0, 1, 1, 1, B, B), lot(N, 1, N, 1, 1, 1, 4, B, B), journal(N, 7, lots=2))
add("I5", "capture of what was never incoming", entry(N, 0, 2, 6, 0, 900, incoming=-100, incoming_after=-100, outgoing=-100, outgoing_after=200),
    lot(N, 0, 8, 0, 1, 2, 2, -100, 200), journal(N, 8, lots=1))
add("I5", "outgoing below zero", entry(N, 0, 3, 5, 0, 50, incoming_after=300, outgoing=-100, outgoing_after=-100))
add("I5", "incoming below zero", entry(N, 0, 2, 6, 0, 900, incoming=-100, incoming_after=-100, outgoing_after=300))
add("I5", "outgoing out of range", entry(N, 0, 1, 3, 0, -50, outgoing=5 * 10 ** 18, outgoing_after=5 * 10 ** 18))
add("I5", "incoming out of range", entry(N, 0, 1, 3, 0, -50, incoming=5 * 10 ** 18, incoming_after=5 * 10 ** 18))
add("I5", "hold captured twice",
    entry(N, 0, 2, 6, 0, 900, outgoing=300, outgoing_after=600), entry(N, 1, 3, 5, 0, 50, incoming=300, incoming_after=600),
            lot(N, 0, N, 0, 1, 1, 2, 300, 300), journal(N, 7, lots=1),
    entry(N + 1, 0, 2, 7, -300, 600, outgoing=-300, outgoing_after=300), entry(N + 1, 1, 3, 6, 300, 350, incoming=-300, incoming_after=300),
            lot(N + 1, 0, 8, 0, 1, 2, 2, -300, 0), journal(N + 1, 8, lots=1),
    entry(N + 2, 0, 2, 8, -300, 300, outgoing=-300), entry(N + 2, 1, 3, 7, 300, 650, incoming=-300),
            lot(N + 2, 0, 8, 0, 1, 3, 2, -300, -300), journal(N + 2, 8, lots=1))
CAPTURE = [entry(N, 0, 2, 6, -300, 600, outgoing=-300), entry(N, 1, 3, 5, 300, 350, incoming=-300)]
add("I5", "capture without a lot", CAPTURE, journal(N, 8))
add("I5", "hold released without entries", legs(), lot(N, 0, 8, 0, 1, 2, 2, -300, 0), journal(N, 8, lots=1))
add("I5", "capture that leaves the hold whole", CAPTURE, lot(N, 0, 8, 0, 1, 2, 2, -300, 300), journal(N, 8, lots=1))
add("I5", "capture on another account's hold", CAPTURE, lot(N, 0, 8, 0, 1, 2, 3, -300, 0), journal(N, 8, lots=1))
add("I5", "lot version skipped", CAPTURE, lot(N, 0, 8, 0, 1, 3, 2, -300, 0), journal(N, 8, lots=1))
add("I5", "lot of a record that is not there", CAPTURE, lot(N, 0, 8, 7, 1, 1, 2, 300, 300), journal(N, 8, lots=1))
add("I5", "lot that changes nothing", legs(), lot(N, 0, 8, 0, 1, 2, 2, 0, 300), journal(N, 8, lots=1))
GRANT = [entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300)]
add("I5", "lot of kind 4", GRANT, lot(N, 0, N, 1, 4, 1, 3, 10, 10), journal(N, 10, lots=1))
add("I5", "grant spent by another account", GRANT, lot(N, 0, N, 1, 2, 1, 3, 10, 10), lot(N, 1, N, 1, 2, 2, 2, -10, 0), journal(N, 10, lots=2))
add("I5", "capture from a lot of another record", entry(N, 0, 2, 6, -100, 800, outgoing=-100, outgoing_after=200),
    entry(N, 1, 3, 5, 100, 150, incoming=-100, incoming_after=200), lot(N, 0, 7, 0, 1, 2, 2, -100, 200), journal(N, 8, lots=1))
add("I5", "grant that continues a hold", legs(), lot(N, 0, 8, 0, 2, 2, 2, -100, 200), journal(N, 8, lots=1))
add("I5", "hold born late", entry(N, 0, 2, 6, 0, 900, outgoing=300, outgoing_after=600), entry(N, 1, 3, 5, 0, 50, incoming=300, incoming_after=600),
    lot(N, 0, 8, 1, 1, 1, 3, 0, 0), journal(N, 7, lots=1))
add("I5", "grant of an old record", entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, 11, 1, 2, 1, 3, 50, 50), journal(N, 10, lots=1))
add("I5", "grant larger than its leg", entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, N, 1, 2, 1, 3, 500, 500), journal(N, 10, lots=1))
add("I5", "grant of another account", entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, N, 1, 2, 1, 2, 10, 10), journal(N, 10, lots=1))
add("I5", "grant with more left than there is", entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, N, 1, 2, 1, 3, 10, 500), journal(N, 10, lots=1))
add("I5", "lot of a transfer", entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300),
    lot(N, 0, N, 1, 2, 1, 3, 10, 10), journal(N, 3, lots=1))
add("I5", "refundable lot in a capture", legs(), lot(N, 0, 7, 0, 3, 3, 4, -100, 800), journal(N, 8, lots=1))
add("I5", "refundable lot of its own record", legs(), lot(N, 0, N, 0, 3, 1, 2, 100, 100), journal(N, 4, lots=1, related_seq=7))
add("I5", "reversal of more than there was", entry(N, 0, 1, 3, -100, -150), entry(N, 1, 3, 5, 100, 150, incoming_after=300), journal(N),
    entry(N + 1, 0, 3, 6, -51, 99, incoming_after=300), entry(N + 1, 1, 1, 4, 51, -99),
            lot(N + 1, 0, 11, 0, 3, 1, 1, 50, 50), lot(N + 1, 1, 11, 0, 3, 2, 1, -51, -1), lot(N + 1, 2, 11, 1, 3, 1, 3, 50, 50),
            lot(N + 1, 3, 11, 1, 3, 2, 3, -51, -1), journal(N + 1, 4, lots=4, related_seq=11))
add("I5", "reversal of a hold", reversal(), journal(N, 4, lots=2, related_seq=8))
add("I5", "reversal of a reversal", entry(N, 0, 2, 6, 100, 1000, outgoing_after=300), entry(N, 1, 4, 4, -100, -1000),
    lot(N, 0, 9, 0, 3, 1, 2, 100, 100), lot(N, 1, 9, 0, 3, 2, 2, -100, 0), lot(N, 2, 9, 1, 3, 1, 4, 100, 100), lot(N, 3, 9, 1, 3, 2, 4, -100, 0),
    journal(N, 4, lots=4, related_seq=9))
add("I5", "reversal pinned to nothing", reversal()[:2], journal(N, 4, related_seq=7))
add("I5", "reversal pinned to one leg", reversal()[:3], journal(N, 4, lots=1, related_seq=7))
add("I5", "reversal of another account", legs(), reversal()[2:], journal(N, 4, lots=2, related_seq=7))
add("I5", "reversal the same way again", entry(N, 0, 2, 6, 100, 1000, outgoing_after=300), entry(N, 1, 4, 4, -100, -1000),
    reversal()[2:], journal(N, 4, lots=2, related_seq=7))
add("I5", "reversal of more than it takes", reversal(amount=200)[:2], reversal(amount=100)[2:], journal(N, 4, lots=2, related_seq=7))
add("I5", "reversal of another than it names", reversal(), journal(N, 4, lots=2, related_seq=11))
add("I5", "reversal that takes from a leg twice", entry(N, 0, 2, 6, -50, 850, outgoing_after=300), entry(N, 1, 4, 4, 50, -850),
    entry(N, 2, 2, 7, -50, 800, outgoing_after=300), entry(N, 3, 4, 5, 50, -800),
    lot(N, 0, 7, 0, 3, 3, 4, -50, 850), lot(N, 1, 7, 0, 3, 4, 4, -50, 800), lot(N, 2, 7, 1, 3, 3, 2, -50, 850), lot(N, 3, 7, 1, 3, 4, 2, -50, 800),
    journal(N, 4, lots=4, related_seq=7))
add("I5", "reversal that fills up", reversal(), lot(N, 2, 7, 0, 3, 4, 4, 100, 900), journal(N, 4, lots=3, related_seq=7))
add("I5", "reversal that opens a lot only", entry(N, 0, 3, 5, -50, 0, incoming_after=300), entry(N, 1, 1, 3, 50, 0),
    lot(N, 0, 11, 0, 3, 1, 1, 50, 50), lot(N, 1, 11, 0, 3, 2, 1, -50, 0), lot(N, 2, 11, 1, 3, 1, 3, 50, 50), journal(N, 4, lots=3, related_seq=11))

# --- I6: floors
add("I6", "overdraft", entry(N, 0, 2, 6, -601, 299, outgoing_after=300), entry(N, 1, 3, 5, 601, 651, incoming_after=300), journal(N))
add("I6", "hold beyond available", entry(N, 0, 2, 6, 0, 900, outgoing=601, outgoing_after=901))
add("I4", "floor left out", entry(N, 0, 2, 6, -601, 299, outgoing_after=300, floor=None), entry(N, 1, 3, 5, 601, 651, incoming_after=300), journal(N))
add("I4", "lower floor", entry(N, 0, 2, 6, -601, 299, outgoing_after=300, floor=-500), entry(N, 1, 3, 5, 601, 651, incoming_after=300), journal(N))
add("I4", "side flipped", entry(N, 0, 2, 6, -601, 299, outgoing_after=300, side=-1), entry(N, 1, 3, 5, 601, 651, incoming_after=300), journal(N))
add("I6", "debit-normal account credited by 901", entry(N, 0, 4, 4, 901, 1), entry(N, 1, 1, 3, -901, -951), journal(N))
add("I6", "incoming hold of 901 on a debit-normal account", entry(N, 0, 1, 3, 0, -50, outgoing=901, outgoing_after=901),
    entry(N, 1, 4, 4, 0, -900, incoming=901, incoming_after=901), lot(N, 0, N, 0, 1, 1, 1, 901, 901), journal(N, 7, lots=1))
add("I4", "revision that moves money", revision(2, N, 0, 2, None), entry(N, 0, 2, 6, -5000, -4100, outgoing_after=300, revision=2, floor=None), journal(N, 2))
add("I4", "floor changed without revision", entry(N, 0, 2, 6, -100, 800, outgoing_after=300, revision=2, floor=-500), legs()[1], journal(N))
add("I4", "another floor than the revision's", revision(2, N, 0, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2, floor=-500), journal(N, 2))
add("I1", "revision in a transfer", revision(2, N, 0, 2, -500), entry(N, 0, 2, 6, -100, 800, outgoing_after=300, revision=2, floor=-500), legs()[1], journal(N))

# --- what only a second look tells apart from what is right
add("I1", "two texts and digests crossed", legs(), text(N), journal(N), legs_after(), journal(N + 1, text_digest=bytes(32)))
add("I1", "copy of a record", journal(10, 5, refusal=308, declined_amount=5000))
add("I1", "legs 0, 1, 1, 3", legs(), entry(N, 1, 2, 7, -100, 700, outgoing_after=300), entry(N, 3, 3, 6, 100, 250, incoming_after=300), journal(N))
add("I1", "legs -1, 0, 2", entry(N, -1, 2, 6, -100, 800, outgoing_after=300), entry(N, 0, 3, 5, 50, 100, incoming_after=300), entry(N, 2, 1, 3, 50, 0),
    journal(N))
add("I1", "legs 0 and 1 of record 7 once more", entry(7, 0, 2, 6, -100, 800, outgoing_after=300), entry(7, 1, 3, 5, 100, 150, incoming_after=300))
add("I1", "legs -2, -1 and 2 added to record 7", entry(7, -2, 2, 6, -100, 800, outgoing_after=300), entry(7, -1, 3, 5, 50, 100, incoming_after=300),
    entry(7, 2, 1, 3, 50, 0))
add("I1", "first record before its ledger", revision(1, 1, 0, 1, None, ledger=2), account(1, 1, type=3, ledger=2), entry(1, 0, 1, 1, 0, 0, ledger=2),
    journal(1, 1, ledger=2, now=0))
add("I1", "two revisions on one leg", revision(2, N, 0, 2, 0), revision(3, N, 0, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2),
    journal(N, 2))
HOLD_AND_GRANT = [entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300, outgoing=5, outgoing_after=5),
                  entry(N, 2, 2, 6, 0, 900, incoming=5, incoming_after=5, outgoing_after=300)]
add("I1", "lots -1 and 1", HOLD_AND_GRANT, lot(N, -1, N, 1, 2, 1, 3, 10, 10), lot(N, 1, N, 1, 1, 1, 3, 5, 5), journal(N, 10, lots=2))
add("I1", "lots 0 and 2", HOLD_AND_GRANT, lot(N, 0, N, 1, 2, 1, 3, 10, 10), lot(N, 2, N, 1, 1, 1, 3, 5, 5), journal(N, 10, lots=2))
add("I1", "lots 0, 1, 1, 3", [p.but(place=1) if p.row.get("place") == 2 else p for p in FIRST], journal(N, 4, lots=4, related_seq=11))
add("I3", "two holds, balanced only together", entry(N, 0, 2, 6, 0, 900, outgoing=100, outgoing_after=400), lot(N, 0, N, 0, 1, 1, 2, 100, 100),
    journal(N, 7, lots=1), entry(N + 1, 0, 3, 5, 0, 50, incoming=100, incoming_after=400), journal(N + 1, 7))
add("I4", "incoming that changes nothing", legs()[0], legs()[1].but(incoming=7), journal(N))
add("I4", "outgoing that changes nothing", legs()[0].but(outgoing=7), legs()[1], journal(N))
add("I4", "another revision, the same floor", legs()[0].but(revision=2), legs()[1], journal(N))
add("I4", "continues another account", legs()[0], entry(N, 1, 3, 5, 100, 1000, outgoing_after=300), journal(N))
add("I4", "continues older versions", entry(N, 0, 1, 3, -100, -100), entry(N, 1, 3, 5, 100, 100), journal(N))
add("I4", "version skipped, no floor", entry(N, 0, 1, 4, -100, -150), legs()[1], journal(N))
add("I4", "version skipped, in a revision", revision(1, N, 0, 2, None), entry(N, 0, 1, 4, 0, -50, revision=2), journal(N, 2))
add("I4", "revision row skips a number, its entry does not", revision(2, N, 0, 3, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 2))
add("I4", "two rows of one revision", revision(2, N, 0, 2, 0), revision(2, N, 1, 2, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2),
    entry(N, 1, 2, 7, 0, 900, outgoing_after=300, revision=2), journal(N, 2))
add("I5", "second version of a lot before its first", GRANT, lot(N, 0, N, 1, 2, 2, 3, -10, 0), lot(N, 1, N, 1, 2, 1, 3, 10, 10), journal(N, 10, lots=2))
add("I5", "second version of a lot twice", CAPTURE, lot(N, 0, 8, 0, 1, 2, 2, -150, 150), lot(N, 1, 8, 0, 1, 2, 2, -150, 150), journal(N, 8, lots=2))
add("I7", "another account of a number", account(2, 2, type=1))
add("I1", "two texts of one record, none of the other", legs(), text(N), text(N), journal(N, text_digest=bytes(32)), legs_after(),
    journal(N + 1, text_digest=bytes(32)))
add("I2", "a sound decline, then a transfer that does not balance", entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308),
    entry(N + 1, 0, 2, 7, -100, 800, outgoing_after=300), entry(N + 1, 1, 3, 5, 101, 151, incoming_after=300), journal(N + 1))
add("I2", "a transfer that does not balance, then a sound decline", legs()[0], entry(N, 1, 3, 5, 101, 151, incoming_after=300), journal(N),
    entry(N + 1, 0, 2, 7, 0, 800, outgoing_after=300), journal(N + 1, 5, refusal=308))
