"""SQL for the attacks: the statements that a program would send to write records, and a small ledger to attack.

Accounts of ledger 1 after base(): (asset, type, side, floor; version, posted, incoming, outgoing)
    1 USD equity    no floor   v2   -50                  4 USD asset (debit-normal) floor 0   v3  -900
    2 USD liability floor 0    v5   900, 300 outgoing    5 EUR liability floor 0              v1     0
    3 USD liability floor 0    v4    50, 300 incoming    6 EUR equity no floor                v1     0
Records: 1-6 openings, 7 transfer 4 -> 2 of 1000 with a text, 8 hold of 300 on 2 for 3, 9 reversal of 100 of record 7,
10 a decline, 11 transfer 1 -> 3 of 50 whose text record 12 erased. The next is 13.
"""

NEXT = 13
ACCOUNTS = {1: (1, 3, 1, None), 2: (1, 2, 1, 0), 3: (1, 2, 1, 0), 4: (1, 1, -1, 0), 5: (2, 2, 1, 0), 6: (2, 3, 1, None)}


def record_key(seq, ledger=1):
    return (ledger - 1 << 36) + seq


def place(seq, n, ledger=1):
    return (record_key(seq, ledger) << 11) + n


def value(v):
    return "NULL" if v is None else v if isinstance(v, str) and v[:2] in ("x'", "'t", "ze") else (
        "'%s'" % v if isinstance(v, str) else str(v))


def insert(table, verb="INSERT", tail="", **columns):
    return "%s INTO %s(%s) VALUES(%s)%s" % (verb, table, ", ".join(columns), ", ".join(map(value, columns.values())), tail)


def entry(seq, leg, account, version, posted, posted_after, incoming=0, incoming_after=0, outgoing=0, outgoing_after=0,
          verb="INSERT", ledger=1, at=None, **other):
    asset, _, side, floor = ACCOUNTS.get(account, (1, 2, 1, 0))
    row = dict(place=place(seq, leg, ledger) if at is None else at, account=account, version=version, asset=asset, side=side,
               revision=1, floor=floor, posted=posted, incoming=incoming, outgoing=outgoing, posted_after=posted_after,
               incoming_after=incoming_after, outgoing_after=outgoing_after, effective_at=None)
    row.update(other)
    return insert("entry", verb, **row)


def journal(seq, kind=3, key=None, ledger=1, verb="INSERT", tail="", at=None, **other):
    now = other.pop("now", 1000 + seq)
    row = dict(record=record_key(seq, ledger) if at is None else at, kind=kind, lots=0, format=1, refusal=None, declined_amount=0,
               related_seq=None, effective_at=now, recorded_at=now, id_high=1, id_low=seq, idempotency_key=key,
               request_hash=None if key is None else "zeroblob(32)", reference="a reference", actor="somebody",
               trace_id="zeroblob(16)", text_digest=None, hash="zeroblob(32)")
    row.update(other)
    return insert("journal", verb, tail, **row)


def revision(account, seq, leg, number, floor, verb="INSERT", status=1, text_seq=None, at=None):
    return insert("account_revision", verb, place=place(seq, leg) if at is None else at, account=account, revision=number,
                  status=status, floor=floor, text_seq=text_seq)


def account(number, seq, asset=1, type=2, external_id=None, verb="INSERT", **other):
    row = dict(holder=record_key(number), asset=asset, type=type, opened_seq=seq, id_high=1, id_low=number,
               external_id=external_id)
    row.update(other)
    return insert("account", verb, **row)


def lot(seq, n, origin, leg, kind, version, account, change, remaining_after, verb="INSERT", **other):
    return insert("lot", verb, place=place(seq, n), origin=origin, leg=leg, kind=kind, version=version, account=account,
                  change=change, remaining_after=remaining_after, **other)


def text(seq, verb="INSERT", **other):
    row = dict(record=record_key(seq), salt="zeroblob(16)", body="{}")
    row.update(other)
    return insert("record_text", verb, **row)


def announce(seq, ledger=1):
    return "UPDATE appending SET announced = %d WHERE ledger = %d" % (record_key(seq, ledger), ledger)


def examine(ledger=1):
    return "UPDATE appending SET examined = announced WHERE ledger = %d" % ledger


def careful(seq, *statements):
    return [announce(seq), *flat(statements), examine()]


def flat(statements):
    out = []
    for s in statements:
        out += flat(s) if isinstance(s, (list, tuple)) else [s]
    return out


def transaction(*statements, ledger=1):
    return ["BEGIN", "INSERT INTO appending(ledger) VALUES(%d)" % ledger, *flat(statements), "DELETE FROM appending", "COMMIT"]


def opening(number, seq, floor="as usual", type=None):
    asset, usual_type, side, usual_floor = ACCOUNTS.get(number, (1, 2, 1, 0))
    floor = usual_floor if floor == "as usual" else floor
    return careful(seq, revision(number, seq, 0, 1, floor), account(number, seq, asset, type or usual_type),
                   entry(seq, 0, number, 1, 0, 0, floor=floor), journal(seq, 1))


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
    out = ["INSERT INTO ledger VALUES(1, 'main', NULL, 1)", "INSERT INTO ledger VALUES(2, 'other', 0, 1)",
           "INSERT INTO asset VALUES(1, 'USD', 2)", "INSERT INTO asset VALUES(2, 'EUR', 2)"]
    records = [opening(n, n) for n in ACCOUNTS]
    records += [entry(7, 0, 4, 2, -1000, -1000), entry(7, 1, 2, 2, 1000, 1000), text(7),
                journal(7, key="key-7", text_digest="zeroblob(32)")]
    records += careful(8, entry(8, 0, 2, 3, 0, 1000, outgoing=300, outgoing_after=300),
                       entry(8, 1, 3, 2, 0, 0, incoming=300, incoming_after=300), lot(8, 0, 8, 0, 1, 1, 2, 300, 300),
                       journal(8, 7, key="key-8", lots=1))
    records += careful(9, entry(9, 0, 2, 4, -100, 900, outgoing_after=300), entry(9, 1, 4, 3, 100, -900),
                       lot(9, 0, 7, 0, 3, 1, 4, 1000, 1000), lot(9, 1, 7, 0, 3, 2, 4, -100, 900),
                       lot(9, 2, 7, 1, 3, 1, 2, 1000, 1000), lot(9, 3, 7, 1, 3, 2, 2, -100, 900),
                       journal(9, 4, lots=4, related_seq=7))
    records += careful(10, entry(10, 0, 2, 5, 0, 900, outgoing_after=300), journal(10, 5, refusal=308, declined_amount=5000))
    records += [entry(11, 0, 1, 2, -50, -50), entry(11, 1, 3, 3, 50, 50, incoming_after=300), text(11),
                journal(11, text_digest="zeroblob(32)")]
    records += careful(12, entry(12, 0, 3, 4, 0, 50, incoming_after=300), journal(12, 6, related_seq=11))
    return out + transaction(records)
