"""SQL for the attacks on PostgreSQL: the statements that write records, and a small ledger to attack.

The ledger is that of ledger_sql.py, record for record; so is the way to write one down here: entry(), journal() and so on
give parts, and one(parts) the statement that inserts them together.
"""
from ledger_sql import ACCOUNTS, NEXT, flat  # noqa: F401

TYPES = {
    "account": dict(number="bigint", opened_seq="bigint", id_high="bigint", id_low="int", ledger="int", asset="int", type="smallint",
                    external_id="text"),
    "account_revision": dict(account="bigint", seq="bigint", floor="bigint", text_seq="bigint", ledger="int", revision="int",
                             leg="smallint", status="smallint"),
    "lot": dict(origin="bigint", seq="bigint", account="bigint", change="bigint", remaining_after="bigint", due_at="bigint",
                ledger="int", version="int", leg="smallint", kind="smallint", place="smallint"),
    "record_text": dict(seq="bigint", ledger="int", salt="bytea", body="text"),
    "entry": dict(seq="bigint", account="bigint", version="bigint", posted="bigint", incoming="bigint", outgoing="bigint",
                  posted_after="bigint", incoming_after="bigint", outgoing_after="bigint", floor="bigint", effective_at="bigint",
                  ledger="int", asset="int", revision="int", leg="smallint", side="smallint"),
    "journal": dict(seq="bigint", effective_at="bigint", recorded_at="bigint", id_high="bigint", declined_amount="bigint",
                    related_seq="bigint", ledger="int", id_low="int", refusal="int", kind="smallint", lots="smallint", format="smallint",
                    hash="bytea", request_hash="bytea", idempotency_key="text", reference="text", actor="text", trace_id="bytea",
                    text_digest="bytea"),
}


class Part:
    def __init__(self, table, **row):
        assert set(row) <= set(TYPES[table]), set(row) - set(TYPES[table])
        self.table, self.row = table, row

    def but(self, **other):
        return Part(self.table, **{**self.row, **other})

    def values(self):
        return "(%s)" % ", ".join("%s::%s" % (literal(self.row.get(c)), t) for c, t in TYPES[self.table].items())


def literal(v):
    return "NULL" if v is None else "decode('%s', 'hex')" % v.hex() if isinstance(v, bytes) else "'%s'" % v


def insert(parts, tail=""):
    """One table's rows."""
    table = parts[0].table
    return "INSERT INTO creditledger.%s(%s) VALUES %s%s" % (table, ", ".join(TYPES[table]), ", ".join(p.values() for p in parts), tail)


def by_table(parts):
    return [[p for p in parts if p.table == table] for table in TYPES if any(p.table == table for p in parts)]


def one(*parts, tail=""):
    """One statement, whose last table (the journal, if it is there) is the one that it is about."""
    *others, last = by_table(flat(parts))
    head = ", ".join("%s AS (%s)" % (p[0].table[:9], insert(p)) for p in others)
    return ("WITH %s " % head if others else "") + insert(last, tail)


def several(*parts):
    """A statement a table, the journal last, and the other way round: what must get nobody anywhere."""
    statements = [insert(p) for p in by_table(flat(parts))]
    return statements, statements[::-1]


def flat_parts(statements):
    return [p for p in flat(statements) if isinstance(p, Part)]


def statements_of(items):
    """Parts in a row are one statement; strings stand as they are."""
    out, run = [], []
    for item in flat(items):
        if isinstance(item, Part):
            run.append(item)
            continue
        out += [one(run)] if run else []
        out.append(item)
        run = []
    return out + ([one(run)] if run else [])


def entry(seq, leg, account, version, posted, posted_after, incoming=0, incoming_after=0, outgoing=0, outgoing_after=0,
          ledger=1, **other):
    asset, _, side, floor = ACCOUNTS.get(account, (1, 2, 1, 0))
    row = dict(ledger=ledger, seq=seq, leg=leg, account=account, version=version, asset=asset, side=side, revision=1, floor=floor,
               posted=posted, incoming=incoming, outgoing=outgoing, posted_after=posted_after, incoming_after=incoming_after,
               outgoing_after=outgoing_after)
    return Part("entry", **{**row, **other})


def journal(seq, kind=3, key=None, ledger=1, **other):
    now = other.pop("now", 1000 + seq)
    row = dict(ledger=ledger, seq=seq, kind=kind, lots=0, format=1, declined_amount=0, effective_at=now, recorded_at=now, id_high=1,
               id_low=seq, idempotency_key=key, request_hash=None if key is None else bytes(32), reference="a reference",
               actor="somebody", trace_id=bytes(16), hash=bytes(32))
    return Part("journal", **{**row, **other})


def revision(account, seq, leg, number, floor, status=1, text_seq=None, ledger=1):
    return Part("account_revision", ledger=ledger, seq=seq, leg=leg, account=account, revision=number, status=status, floor=floor,
                text_seq=text_seq)


def account(number, seq, asset=1, type=2, external_id=None, ledger=1, **other):
    row = dict(ledger=ledger, number=number, asset=asset, type=type, opened_seq=seq, id_high=1, id_low=number, external_id=external_id)
    return Part("account", **{**row, **other})


def lot(seq, n, origin, leg, kind, version, account, change, remaining_after, **other):
    return Part("lot", **{**dict(ledger=1, seq=seq, place=n, origin=origin, leg=leg, kind=kind, version=version, account=account,
                                 change=change, remaining_after=remaining_after), **other})


def text(seq, **other):
    return Part("record_text", **{**dict(ledger=1, seq=seq, salt=bytes(16), body="{}"), **other})


def late(parts, at):
    """Entries that say they were effective at another time."""
    return [p.but(effective_at=at) for p in parts]


def opening(number, seq, floor="as usual", type=None):
    asset, usual_type, _, usual_floor = ACCOUNTS.get(number, (1, 2, 1, 0))
    floor = usual_floor if floor == "as usual" else floor
    return [revision(number, seq, 0, 1, floor), account(number, seq, asset, type or usual_type),
            entry(seq, 0, number, 1, 0, 0, floor=floor), journal(seq, 1)]


def legs(seq=NEXT, amount=100):
    """2 pays 3."""
    return [entry(seq, 0, 2, 6, -amount, 900 - amount, outgoing_after=300),
            entry(seq, 1, 3, 5, amount, 50 + amount, incoming_after=300)]


def legs_after(seq=NEXT + 1):
    """After legs(): 3 pays 2 back 50."""
    return [entry(seq, 0, 3, 6, -50, 100, incoming_after=300), entry(seq, 1, 2, 7, 50, 850, outgoing_after=300)]


def reversal(seq=NEXT, amount=100):
    """Of record 7, after the one that the base has."""
    return [entry(seq, 0, 2, 6, -amount, 900 - amount, outgoing_after=300), entry(seq, 1, 4, 4, amount, -900 + amount),
            lot(seq, 0, 7, 0, 3, 3, 4, -amount, 900 - amount), lot(seq, 1, 7, 1, 3, 3, 2, -amount, 900 - amount)]


def base():
    """The statements; the erasure among them needs a role that may delete texts."""
    erasure = [entry(12, 0, 3, 4, 0, 50, incoming_after=300), journal(12, 6, related_seq=11)]
    return ["INSERT INTO creditledger.ledger(id, name, default_floor, created_at) VALUES (1, 'main', NULL, 1), (2, 'other', 0, 1)",
            "INSERT INTO creditledger.asset(id, code, scale) VALUES (1, 'USD', 2), (2, 'EUR', 2)",
            one([opening(n, n) for n in ACCOUNTS],
                entry(7, 0, 4, 2, -1000, -1000), entry(7, 1, 2, 2, 1000, 1000), text(7), journal(7, key="key-7", text_digest=bytes(32)),
                entry(8, 0, 2, 3, 0, 1000, outgoing=300, outgoing_after=300), entry(8, 1, 3, 2, 0, 0, incoming=300, incoming_after=300),
                lot(8, 0, 8, 0, 1, 1, 2, 300, 300), journal(8, 7, key="key-8", lots=1)),
            one(entry(9, 0, 2, 4, -100, 900, outgoing_after=300), entry(9, 1, 4, 3, 100, -900), lot(9, 0, 7, 0, 3, 1, 4, 1000, 1000),
                lot(9, 1, 7, 0, 3, 2, 4, -100, 900), lot(9, 2, 7, 1, 3, 1, 2, 1000, 1000), lot(9, 3, 7, 1, 3, 2, 2, -100, 900),
                journal(9, 4, lots=4, related_seq=7),
                entry(10, 0, 2, 5, 0, 900, outgoing_after=300), journal(10, 5, refusal=308, declined_amount=5000)),
            one(entry(11, 0, 1, 2, -50, -50), entry(11, 1, 3, 3, 50, 50, incoming_after=300), text(11),
                journal(11, text_digest=bytes(32))),
            one(erasure)]
