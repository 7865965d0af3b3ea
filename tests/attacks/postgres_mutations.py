"""No check of PostgreSQL's schema is untested: each is taken away or weakened in turn, in a transaction that is rolled back, and at
least one attack must then get through (or one control be refused).

Used by postgres_mutations_*_test.py, each of which takes a share.
"""
import re

import postgres_arena as arena
from postgres_sql import statements_of
from tap import Tap

FUNCTION = re.compile(r"CREATE FUNCTION creditledger\.(\w+)\(.*?\nEND \$\$;", re.S)
# A branch of a CASE that names what is wrong, and an IF that refuses.
BRANCH = re.compile(r"\n      WHEN ((?:(?!\n      WHEN ).)*?)\n        THEN '((?:[^']|'')*)'", re.S)
REFUSAL = re.compile(r"\bIF ((?:(?!\bTHEN\b|;).)*?) THEN\n\s+(?:PERFORM creditledger\.refuse\(|RAISE EXCEPTION )('?[^',]*)", re.S)
NAME = r"(?:[a-z]\.)?[a-z_]+"
CONJUNCT = re.compile(r"\b(?:AND|OR) (?:%s(?: [-+] %s)? (?:=|<>|<|>|>=|IS NOT DISTINCT FROM|IS DISTINCT FROM) (?:%s|\d+)(?: [-+] \d)?|%s IS (?:NOT )?NULL)(?=[\s)])"
                      % (NAME, NAME, NAME, NAME))
REPLICA = ["SET LOCAL session_replication_role = replica"]


def swap(text, old, new, count=1):
    assert text.count(old) >= count, (old, text.count(old))
    return text.replace(old, new)


def functions(schema):
    return {m[1]: m[0] for m in FUNCTION.finditer(schema)}


def replaced(source):
    return "CREATE OR REPLACE" + source[len("CREATE"):]


def of_functions(schema):
    """(name, message of the check if it has one, statements that weaken it, settings)"""
    for function, source in functions(schema).items():
        for m in BRANCH.finditer(source):
            yield "%s: %s" % (function, m[2]), m[2], [replaced(source[:m.start(1)] + "false" + source[m.end(1):])], ()
        for m in REFUSAL.finditer(source):
            what = m[2].strip("'")
            yield "%s: IF %s: %s" % (function, m[1], what), what if ":" in what else "", [
                replaced(source[:m.start(1)] + "false" + source[m.end(1):])], ()
        body = source.index("BEGIN")
        for m in CONJUNCT.finditer(source, body):
            line = source[:m.start()].count("\n")
            yield "%s: without '%s' in line %d" % (function, m[0], line), "", [replaced(source[:m.start()] + source[m.end():])], ()


def of_constraints(session):
    for table, name, kind in session.rows(
            "SELECT conrelid::regclass, conname, contype FROM pg_constraint WHERE connamespace = 'creditledger'::regnamespace ORDER BY 1, 2"):
        yield "%s: %s" % (table, name), name, ["ALTER TABLE %s DROP CONSTRAINT %s" % (table, name)], ()
    for name, in session.rows("SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indisunique "
                              "AND c.relnamespace = 'creditledger'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint k "
                              "WHERE k.conindid = i.indexrelid)"):
        yield "unique index %s" % name, name.split(".")[1], ["DROP INDEX " + name], ()


def of_triggers(session):
    for table, name in session.rows("SELECT tgrelid::regclass, tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
                                    "WHERE c.relnamespace = 'creditledger'::regnamespace AND NOT tgisinternal ORDER BY 1, 2"):
        yield "%s: trigger %s" % (table, name), "", ["DROP TRIGGER %s ON %s" % (name, table)], ()
        yield "%s: trigger %s, not ALWAYS" % (table, name), "", ["ALTER TABLE %s ENABLE TRIGGER %s" % (table, name)], REPLICA


def check(table, name, text):
    return ["ALTER TABLE creditledger.%s DROP CONSTRAINT %s" % (table, name),
            "ALTER TABLE creditledger.%s ADD CONSTRAINT %s CHECK (%s) NOT VALID" % (table, name, text)]


def by_hand(schema):
    """Weakenings that no pattern finds."""
    f = functions(schema)
    floor = re.search(r"CONSTRAINT i6_floor CHECK \((.*?)\)\);", schema, re.S)[1]
    related = re.search(r"CONSTRAINT i1_related CHECK \((.*?)\),\n  CONSTRAINT", schema, re.S)[1]
    refusal = re.search(r"CONSTRAINT i1_refusal CHECK \((.*?)\),\n", schema, re.S)[1]
    pending = re.search(r"CONSTRAINT i5_pending CHECK \((.*?)\),\n", schema, re.S)[1]
    for name, text in {
        "improving counts for nothing": floor[:floor.rindex("OR CASE")],
        "above, not at": swap(floor, ">= floor", "> floor"),
        "credit-normal only": swap(floor, "OR CASE WHEN side > 0 THEN posted >=", "OR side < 0 OR CASE WHEN side > 0 THEN posted >="),
        "pending outgoing forgotten": swap(floor, "posted_after - outgoing_after", "posted_after"),
        "pending incoming forgotten": swap(floor, "-posted_after - incoming_after", "-posted_after"),
        "outgoing is no worsening": swap(floor, "posted >= outgoing", "posted >= 0"),
        "incoming is no worsening": swap(floor, "posted <= -incoming", "posted <= 0"),
    }.items():
        yield "i6_floor: " + name, "i6_floor", check("entry", "i6_floor", text), ()
    for name, text in {"may be without": swap(related, "kind NOT IN (4, 6)", "true"), "any kind": swap(related, "kind > 3 AND ", ""),
                       "any other record": swap(related, "BETWEEN 1 AND seq - 1", "<> seq"), "itself": swap(related, "seq - 1", "seq")}.items():
        yield "i1_related: " + name, "i1_related", check("journal", "i1_related", text), ()
    for name, text in {"with another kind": swap(refusal, "(kind = 5) = (refusal IS NOT NULL)", "kind <> 5 OR refusal IS NOT NULL"),
                       "not with its kind": swap(refusal, "(kind = 5) = (refusal IS NOT NULL)", "kind = 5 OR refusal IS NULL"),
                       "amount": refusal[:refusal.index(" AND (kind = 5 OR")]}.items():
        yield "i1_refusal: " + name, "i1_refusal", check("journal", "i1_refusal", text), ()
    for name, text in {"incoming below": swap(pending, "incoming_after BETWEEN 0 AND", "incoming_after <="),
                       "incoming above": swap(pending, "incoming_after BETWEEN 0 AND 4000000000000000000", "incoming_after >= 0"),
                       "outgoing below": swap(pending, "outgoing_after BETWEEN 0 AND", "outgoing_after <="),
                       "outgoing above": swap(pending, "outgoing_after BETWEEN 0 AND 4000000000000000000", "outgoing_after >= 0")}.items():
        yield "i5_pending: " + name, "i5_pending", check("entry", "i5_pending", text), ()
    yield "i4_range: below", "i4_range", check("entry", "i4_range", "posted_after <= 4000000000000000000"), ()
    yield "i4_range: above", "i4_range", check("entry", "i4_range", "posted_after >= -4000000000000000000"), ()
    yield "i5_lots: transfers", "i5_lots", check("journal", "i5_lots", "lots = 0 OR kind > 2"), ()
    yield "i8_request: key alone", "", check("journal", "i8_request", "idempotency_key IS NOT NULL OR request_hash IS NULL"), ()
    yield "i8_request: request alone", "", check("journal", "i8_request", "idempotency_key IS NULL OR request_hash IS NOT NULL"), ()
    yield "entry_check: search path", "", ["ALTER FUNCTION creditledger.entry_check() RESET search_path"], ()
    entry, record, journal = f["entry_check"], f["record_check"], f["journal_check"]
    for name, source in {
        "entry_check: unqualified": swap(swap(entry, "FROM creditledger.entry e", "FROM entry e"), "SET search_path = pg_catalog, pg_temp", ""),
        "entry_check: legs from any number": swap(entry, "min(n.leg) = 0 AND", ""),
        "entry_check: legs not dense": swap(entry, "min(n.leg) = 0 AND max(n.leg) = count(*) - 1 AS dense", "min(n.leg) = 0 AS dense"),
        "entry_check: quick pass: balance": swap(entry, "sum(n.posted) = 0 AND", ""),
        "entry_check: quick pass: one asset": swap(entry, " AND min(n.asset) = max(n.asset)", ""),
        "entry_check: quick pass: not what is NULL": swap(entry, "p.leg < n.leg)) IS NOT TRUE", "p.leg < n.leg)) IS FALSE"),
        "entry_check: quick pass: order": swap(entry, "AND (p.seq < n.seq OR p.seq = n.seq AND p.leg < n.leg)", ""),
        "entry_check: quick pass: order in a record": swap(entry, "p.seq = n.seq AND p.leg < n.leg", "p.seq = n.seq"),
        "entry_check: other kinds are plain": swap(entry, "x.kind <> 3 OR", ""),
        "entry_check: backdated ones are plain": swap(entry, " OR x.effective_at <> x.recorded_at", ""),
        "entry_check: what is plain vouches for what is not": swap(entry, "doubtful || g.doubtful || j.doubtful", "(doubtful || g.doubtful || j.doubtful)[1:1]"),
        "entry_check: doubts of the first look forgotten": swap(entry, "doubtful || g.doubtful || j.doubtful", "g.doubtful || j.doubtful"),
        "entry_check: doubts of the second look forgotten": swap(entry, "doubtful || g.doubtful || j.doubtful", "doubtful || j.doubtful"),
        "entry_check: doubts of the journal forgotten": swap(entry, "doubtful || g.doubtful || j.doubtful", "doubtful || g.doubtful"),
        "record_check: not what is NULL (opening)": swap(record, "THEN -1 ELSE 1 END) IS NOT TRUE", "THEN -1 ELSE 1 END) IS FALSE"),
        "record_check: not what is NULL (continues)": swap(record, "AND v.seq IS NOT NULL END) IS NOT TRUE", "AND v.seq IS NOT NULL END) IS FALSE"),
        "record_check: order": swap(record, "AND (p.seq < n.seq OR p.seq = n.seq AND p.leg < n.leg)", ""),
        "record_check: side of the account": swap(record, " AND n.side = CASE WHEN a.type IN (1, 5) THEN -1 ELSE 1 END", ""),
        "record_check: side of expenses": swap(record, "a.type IN (1, 5)", "a.type = 1"),
        "record_check: two more pending in a transfer": swap(record, "n.posted = 0 OR n.incoming <> 0 OR n.outgoing <> 0", "n.posted = 0"),
        "record_check: the sign of what is given back": swap(record, "THEN l.change ELSE -l.change END", "THEN -l.change ELSE l.change END"),
        "record_check: lots of another origin": swap(record, " OR l.origin <> j.related_seq", ""),
        "record_check: takes once": swap(record, "count(*) FILTER (WHERE l.change < 0) <> 1\n            OR ", ""),
        "record_check: fills up": swap(record, "\n            OR count(*) FILTER (WHERE l.change > 0) <> count(*) FILTER (WHERE l.version = 1)", ""),
        "journal_check: predecessor of the first": swap(journal, "SELECT l.created_at INTO start FROM creditledger.ledger l WHERE l.id = g.ledger", "start := 0"),
        "journal_check: time of the first": swap(journal, "SELECT l.created_at INTO start", "SELECT 0 INTO start"),
        "journal_check: time in a statement": swap(journal, "g.earliest < start OR g.earliest <> g.latest AND EXISTS", "g.earliest < start OR false AND EXISTS"),
        "journal_check: time of the predecessor": swap(journal, "g.earliest < start OR ", ""),
        "journal_check: erasure without deletion": re.sub(r"\n      DELETE FROM[^;]*;", "", journal),
        "record_text_check: transaction": swap(f["record_text_check"], "t.xmin = j.xmin AND ", ""),
        "record_text_check: statement": swap(f["record_text_check"], "t.cmin = j.cmin AND ", ""),
        "record_text_check: digest": swap(f["record_text_check"], " AND j.text_digest IS NOT NULL", ""),
        "record_text_erase: kind": swap(f["record_text_erase"], "j.kind = 6 AND ", ""),
        "record_text_erase: ledger": swap(f["record_text_erase"], "j.ledger = o.ledger AND ", ""),
        "record_text_erase: record": swap(f["record_text_erase"], " AND j.related_seq = o.seq", ""),
        "lot_check: places from any number": swap(f["lot_check"], "min(f.place) = 0 AND ", ""),
        "lot_check: places not dense": swap(f["lot_check"], " AND max(f.place) = count(*) - 1", ""),
        "lot_check: grants may be old": swap(f["lot_check"], "AND (n.kind = 3 OR n.origin = n.seq)", ""),
        "lot_check: size": swap(f["lot_check"], "\n          AND n.change = CASE n.kind WHEN 1 THEN e.outgoing WHEN 2 THEN e.posted * e.side ELSE abs(e.posted) END", ""),
    }.items():
        yield name, "", [replaced(source)], ()


def all_of(where):
    yield from of_functions(arena.SCHEMA)
    yield from of_constraints(where.owner)
    yield from of_triggers(where.owner)
    yield from by_hand(arena.SCHEMA)


def tried(session, statements, settings, role):
    """What was said against it, within the transaction that the mutation is in."""
    session.rows("SAVEPOINT tried")
    try:
        for statement in [*settings, *(["SET LOCAL ROLE " + role] if role else []), *statements]:
            refusal = session.refusal(statement)
            if refusal is not None:
                return refusal
        return None
    finally:
        session.rows("ROLLBACK TO tried; RELEASE tried")


def survives(where, weaken, settings, attacks):
    """The name of the first attack that tells the schema from the true one; None if none does."""
    session = where.owner
    session.rows("BEGIN")
    try:
        for statement in weaken:
            session.rows(statement)
        for invariant, name, role, statements in attacks:
            refusal = tried(session, statements, settings, where.runtime if role == "runtime" else None)
            if (refusal is None) != (invariant == "-"):
                return name
        return None
    finally:
        session.rows("ROLLBACK")


def share(number, of, equivalent):
    """The points of one test program."""
    arena.postgres.need_shared()
    tap = Tap()
    with arena.Arena() as where:
        attacks = [(i, name, role, statements_of(items)) for i, name, role, items in arena.attacks.ATTACKS if role != "runtime"]
        where.owner.rows("BEGIN")
        said = {a[1]: str(tried(where.owner, a[3], (), None)) for a in attacks}
        where.owner.rows("ROLLBACK")
        seen = set()
        for n, (name, message, weaken, settings) in enumerate(all_of(where)):
            seen.add(name)
            if n % of != number or name in equivalent:
                continue
            own = sorted(attacks, key=lambda a: not message or message.replace("''", "'") not in said[a[1]])
            with tap.point(re.sub(r"\s+", " ", name)[:150]):
                assert survives(where, weaken, settings, own), "no attack notices"
        tap.check("what is excused is there", [e for e in equivalent if e not in seen])
    tap.done()
