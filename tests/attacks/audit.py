"""What a database must satisfy after whatever was tried on it, computed from its rows alone and from zero.

It shares nothing with the schema's triggers. audit(db) yields what is wrong; nothing, if all is well.
"""
from collections import defaultdict


def rows(db, table):
    cursor = db.execute("SELECT * FROM main.%s ORDER BY 1" % table)
    names = [d[0] for d in cursor.description]
    return [type("row", (), dict(zip(names, r))) for r in cursor]


def audit(db):
    records = {(j.ledger, j.seq): j for j in rows(db, "journal")}
    entries, revisions, lots = rows(db, "entry"), rows(db, "account_revision"), rows(db, "lot")
    accounts = {(a.ledger, a.number): a for a in rows(db, "account")}
    texts = {(t.ledger, t.seq) for t in rows(db, "record_text")}
    if rows(db, "appending"):
        yield "I1: appending was committed"
    yield from audit_records(records, {l.id: l for l in rows(db, "ledger")}, texts)
    yield from audit_parts(records, entries, revisions, lots, texts)
    yield from audit_accounts(accounts, entries, revisions, records)
    yield from audit_lots(records, {(e.ledger, e.seq, e.leg): e for e in entries}, lots)


def audit_records(records, ledgers, texts):
    last, keys = {}, set()
    for (ledger, seq), j in records.items():
        before = last.get(ledger)
        if seq != (before.seq if before else 0) + 1:
            yield "I1: gap before record %d/%d" % (ledger, seq)
        if j.recorded_at < (before.recorded_at if before else ledgers[ledger].created_at) or j.effective_at > j.recorded_at:
            yield "I1: time of record %d/%d" % (ledger, seq)
        if j.idempotency_key is not None and (ledger, j.idempotency_key) in keys or (j.idempotency_key is None) != (j.request_hash is None):
            yield "I8: key of record %d/%d" % (ledger, seq)
        erased = any(k.kind == 6 and k.ledger == ledger and k.related_seq == seq for k in records.values())
        if ((ledger, seq) in texts) != (j.text_digest is not None and not erased):
            yield "I7: text of record %d/%d" % (ledger, seq)
        if (j.refusal is not None) != (j.kind == 5) or j.declined_amount != 0 and j.kind != 5:
            yield "I1: refusal of record %d/%d" % (ledger, seq)
        if j.kind not in range(1, 13) or (j.related_seq is None and j.kind in (4, 6)) or (
                j.related_seq is not None and (j.kind < 4 or not 0 < j.related_seq < seq)):
            yield "I1: kind or related record of %d/%d" % (ledger, seq)
        keys.add((ledger, j.idempotency_key))
        last[ledger] = j


def audit_parts(records, entries, revisions, lots, texts):
    legs, posted, pending, held = defaultdict(list), defaultdict(int), defaultdict(int), defaultdict(int)
    for e in entries:
        record = (e.ledger, e.seq)
        legs[record].append(e)
        posted[record, e.asset] += e.posted
        pending[record, e.asset] += e.incoming - e.outgoing
        held[record, e.account] += e.outgoing
    for l in lots:
        if l.kind == 1:
            held[(l.ledger, l.seq), l.account] -= l.change
    for part in entries + revisions + lots:
        if (part.ledger, part.seq) not in records:
            yield "I1: rows of record %d/%d without it" % (part.ledger, part.seq)
    for record, j in records.items():
        own = legs[record]
        if [e.leg for e in own] != list(range(max(1, len(own)))):
            yield "I1: legs of record %s" % (record,)
        late = j.effective_at if j.effective_at < j.recorded_at else None
        if any(e.effective_at != late for e in own):
            yield "I1: entries of record %s are of another time" % (record,)
        if j.kind in (1, 2, 5, 6) and any(e.posted or e.incoming or e.outgoing for e in own):
            yield "I2: record %s moves something" % (record,)
        if j.kind in (3, 4) and any(not e.posted or e.incoming or e.outgoing for e in own):
            yield "I2: record %s moves what it must not" % (record,)
        if j.kind in (1, 5) and len(own) != 1:
            yield "I1: record %s has more than one entry" % (record,)
        if any((e.version == 1) != (j.kind == 1) for e in own):
            yield "I4: first versions of record %s" % (record,)
        if j.lots != sum((l.ledger, l.seq) == record for l in lots):
            yield "I1: lots of record %s" % (record,)
        revised = [(v.place, v.account, v.revision, v.floor) for v in revisions if (v.ledger, v.seq) == record]
        if revised != ([(e.place, e.account, e.revision, e.floor) for e in own] if j.kind in (1, 2) else []):
            yield "I1: revisions of record %s" % (record,)
        if any((v.ledger, v.seq) == record and v.text_seq == v.seq and j.text_digest is None for v in revisions):
            yield "I1: record %s names a text that is not there" % (record,)
    for what, sums in (("I2: posted", posted), ("I3: pending", pending), ("I5: held", held)):
        for key, total in sums.items():
            if total != 0:
                yield "%s of %s is %d" % (what, key, total)


def audit_accounts(accounts, entries, revisions, records):
    heads, current, texts, limit = {}, defaultdict(int), {}, 4 * 10 ** 18
    for v in revisions:
        name = (v.ledger, v.account)
        current[name] += 1
        if v.revision != current[name] or v.text_seq not in (None, v.seq, texts.get(name)):
            yield "I4: revision %d of account %s" % (v.revision, name)
        texts[name] = v.text_seq
    for e in entries:
        name, p = (e.ledger, e.account), heads.get((e.ledger, e.account))
        if p is None:
            a = accounts.get(name)
            if a is None or (e.version, e.revision, e.posted_after, e.incoming_after, e.outgoing_after) != (1, 1, 0, 0, 0) or (
                    a.asset, a.side, a.opened_seq) != (e.asset, e.side, e.seq):
                yield "I4: account %s does not begin with its opening" % (name,)
        elif (e.version, e.posted_after, e.incoming_after, e.outgoing_after, e.asset, e.side) != (
                p.version + 1, p.posted_after + e.posted, p.incoming_after + e.incoming, p.outgoing_after + e.outgoing, p.asset, p.side):
            yield "I4: version %d of account %s does not continue" % (e.version, name)
        elif (e.revision, e.floor) != (p.revision, p.floor) and (e.revision != p.revision + 1 or records[e.ledger, e.seq].kind != 2):
            yield "I4: floor of version %d of account %s" % (e.version, name)
        if abs(e.posted_after) > limit or not 0 <= e.incoming_after <= limit or not 0 <= e.outgoing_after <= limit:
            yield "I5: range of version %d of account %s" % (e.version, name)
        available = e.posted_after - e.outgoing_after if e.side > 0 else -e.posted_after - e.incoming_after
        change = e.posted - e.outgoing if e.side > 0 else -e.posted - e.incoming
        if e.floor is not None and available < e.floor and change < 0:
            yield "I6: version %d of account %s" % (e.version, name)
        heads[name] = e
    if set(heads) != set(accounts) or any(n > len([1 for l, _ in accounts if l == ledger]) for ledger, n in accounts):
        yield "I1: accounts and openings differ"


def audit_lots(records, entries, lots):
    heads, taken = {}, defaultdict(lambda: defaultdict(int))
    for l in lots:
        name, p, e = (l.ledger, l.origin, l.leg, l.kind), heads.get((l.ledger, l.origin, l.leg, l.kind)), entries.get((l.ledger, l.origin, l.leg))
        j = records.get((l.ledger, l.seq))
        if p is None:
            size = None if e is None else {1: e.outgoing, 2: e.posted * e.side, 3: abs(e.posted)}.get(l.kind)
            if (l.version, l.change, l.remaining_after) != (1, size, size) or l.account != e.account or (l.kind == 3) != (l.origin < l.seq):
                yield "I5: lot %s does not begin as its leg" % (name,)
        elif (l.version, l.account, l.remaining_after) != (p.version + 1, p.account, p.remaining_after + l.change):
            yield "I5: lot %s does not continue" % (name,)
        if l.remaining_after < 0 or l.change == 0:
            yield "I5: lot %s" % (name,)
        if j is None or (j.kind == 4) != (l.kind == 3) or j.kind < 4 or j.kind == 4 and j.related_seq != l.origin:
            yield "I5: lot %s in another kind of record" % (name,)
        elif l.change < 0 and j.kind == 4 and e is not None:
            taken[l.ledger, l.seq][l.account, l.change if e.posted > 0 else -l.change] += 1
        heads[name] = l
    for record, j in records.items():
        if j.kind == 4:
            posted = defaultdict(int)
            for (ledger, seq, _), e in entries.items():
                if (ledger, seq) == record:
                    posted[e.account, e.posted] += 1
            original = records.get((j.ledger, j.related_seq))
            own = [l for l in lots if (l.ledger, l.seq) == record]
            if posted != taken[record] or original is None or original.kind != 3 or any(
                    [sum(l.change < 0 for l in own if l.leg == leg), sum(l.change > 0 for l in own if l.leg == leg)] not in ([1, 0], [1, 1])
                    for leg in {l.leg for l in own}):
                yield "I5: reversal %s" % (record,)
