"""The attacks on what is written already, on keys and shapes, and with what a prompt offers besides: see postgres_attacks.py."""
from postgres_attacks import *

# A column of each table, and its key.
TABLES = {"ledger": ("id", "id"), "asset": ("id", "id"), "account": ("number", "ledger, number"),
          "account_revision": ("revision", "ledger, account, revision"), "journal": ("seq", "ledger, seq"), "entry": ("leg", "ledger, seq, leg"),
          "lot": ("version", "ledger, origin, leg, kind, version"), "record_text": ("seq", "ledger, seq")}
SECOND_LEDGER = [[p.but(ledger=2) for n in range(1, 8) for p in (revision(n, n, 0, 1, None), account(n, n), entry(n, 0, n, 1, 0, 0, asset=1, side=1, floor=None))],
                 [journal(n, 1, ledger=2) for n in range(1, 7)], text(7, ledger=2), journal(7, 1, ledger=2, text_digest=bytes(32))]

# --- I7: nothing changes, nothing goes
for table, (key, keys) in TABLES.items():
    add("I7", "UPDATE " + table, "UPDATE creditledger.%s SET %s = %s" % (table, key, key), role="owner")
    add("I7", "UPDATE of no row of " + table, "UPDATE creditledger.%s SET %s = 1 WHERE false" % (table, key), role="owner")
    add("I7", "DELETE FROM " + table, "DELETE FROM creditledger." + table, role="owner")
    add("I7", "TRUNCATE " + table, "TRUNCATE creditledger." + table, role="owner")
    add("I7", "ON CONFLICT DO UPDATE on " + table, "INSERT INTO creditledger.%s SELECT * FROM creditledger.%s ON CONFLICT (%s) DO UPDATE SET %s = excluded.%s"
        % (table, table, keys, key, key), role="owner")
    add("I7", "MERGE that deletes from " + table, "MERGE INTO creditledger.%s t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE" % table, role="owner")
    add("I7", "MERGE that updates " + table, "MERGE INTO creditledger.%s t USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET %s = t.%s"
        % (table, key, key), role="owner")
    for verb in ("UPDATE creditledger.%s SET %s = %s" % (table, key, key), "DELETE FROM creditledger." + table, "TRUNCATE creditledger." + table):
        add("42501", "%s as the runtime role: %s" % (verb.split()[0], table), verb, role="runtime")
    if table not in ("ledger", "asset"):
        add("42501", "rows locked by the runtime role: " + table, "SELECT FROM creditledger.%s FOR UPDATE" % table, role="runtime")
add("I7", "TRUNCATE all", "TRUNCATE creditledger.journal, creditledger.entry CASCADE", role="owner")
add("I7", "ledger 9", "INSERT INTO creditledger.ledger(id, name, created_at) VALUES (9, 'nine', 1)")
add("I7", "ledger 0", "INSERT INTO creditledger.ledger(id, name, created_at) VALUES (0, 'zero', 1)")
add("I7", "ledger 65536", "INSERT INTO creditledger.ledger(id, name, created_at) VALUES (65536, 'many', 1)")
add("I7", "ledger again", "INSERT INTO creditledger.ledger(id, name, created_at) VALUES (3, 'main', 1)")
add("I7", "ledger 1 again", "INSERT INTO creditledger.ledger(id, name, created_at) VALUES (1, 'mine', 1)")
add("I7", "asset 9", "INSERT INTO creditledger.asset(id, code, scale) VALUES (9, 'XXX', 2)")
add("I7", "asset 0", "INSERT INTO creditledger.asset(id, code, scale) VALUES (0, 'XXX', 2)")
add("I7", "asset 65536", "INSERT INTO creditledger.asset(id, code, scale) VALUES (65536, 'XXX', 2)")
add("I7", "asset again", "INSERT INTO creditledger.asset(id, code, scale) VALUES (3, 'USD', 9)")
add("I7", "asset 1 again", "INSERT INTO creditledger.asset(id, code, scale) VALUES (1, 'XXX', 9)")
control("ledger and asset", "INSERT INTO creditledger.ledger(id, name, created_at) VALUES (4, 'four', 5), (3, 'third', 5)",
        "INSERT INTO creditledger.asset(id, code, scale) VALUES (3, 'GBP', 2), (4, 'JPY', 0)")
add("I7", "external id again", revision(7, N, 0, 1, 0), account(7, N, external_id="ext"), entry(N, 0, 7, 1, 0, 0), journal(N, 1),
    revision(8, N + 1, 0, 1, 0), account(8, N + 1, external_id="ext"), entry(N + 1, 0, 8, 1, 0, 0), journal(N + 1, 1))
add("I7", "account number again", revision(2, N, 0, 2, 0), account(2, N), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2), journal(N, 2))
add("I7", "account number skipped", revision(8, N, 0, 1, 0), account(8, N), entry(N, 0, 8, 1, 0, 0), journal(N, 1))
add("I7", "account number 0", revision(0, N, 0, 1, 0), account(0, N), entry(N, 0, 0, 1, 0, 0), journal(N, 1))
add("I7", "accounts in another order than their openings", opening(8, N), opening(7, N + 1))
add("I7", "erasure of a record without text", entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 6, related_seq=8))
add("I7", "text deleted without erasure", "DELETE FROM creditledger.record_text WHERE seq = 7", role="owner")
add("I7", "text deleted by a decline that names it", entry(N, 0, 2, 6, 0, 900, outgoing_after=300), journal(N, 5, refusal=308, related_seq=7),
    "DELETE FROM creditledger.record_text WHERE seq = 7", role="owner")
add("I7", "text of another ledger deleted by an erasure in this", SECOND_LEDGER, ERASURE, "DELETE FROM creditledger.record_text WHERE ledger = 2", role="owner")
add("I1", "erased text comes back", text(11))
add("I1", "erased text comes back, in the transaction that erased it", ERASURE, "SELECT 1", text(7), role="owner")
add("I1", "erased text comes back, in the transaction that wrote and erased it", legs(), text(N), journal(N, text_digest=bytes(32)),
    "SELECT 1", entry(N + 1, 0, 2, 7, 0, 800, outgoing_after=300), journal(N + 1, 6, related_seq=N), "SELECT 1", text(N), role="owner")
add("42501", "erasure by the runtime role", ERASURE, role="runtime")
control("erasure and deletion in one statement", "WITH gone AS (DELETE FROM creditledger.record_text WHERE ledger = 1 AND seq = 7), " + one(ERASURE)[5:],
        role="owner")
control("text and its erasure in one statement", legs(), text(N), journal(N, text_digest=bytes(32)),
        entry(N + 1, 0, 2, 7, 0, 800, outgoing_after=300), journal(N + 1, 6, related_seq=N), role="owner")
control("first record erased in the batch that has others", legs(), journal(N), entry(N + 1, 0, 2, 7, 0, 800, outgoing_after=300),
        journal(N + 1, 6, related_seq=7), role="owner")

# --- I8: one key, one effect
add("I8", "key again", legs(), journal(N, key="key-7"))
add("I8", "key twice in one statement", legs(), journal(N, key="k"), legs_after(), journal(N + 1, key="k"))
add("I8", "key without request", legs(), journal(N, key="key-9", request_hash=None))
add("I8", "request without key", legs(), journal(N, request_hash=bytes(32)))
add("I1", "ON CONFLICT DO NOTHING skips the record, keeps its entries", one(legs(), journal(N, key="key-7"), tail=" ON CONFLICT DO NOTHING"))
add("I1", "ON CONFLICT DO NOTHING skips leg 0, keeps legs 2 and 3 of record 7",
    insert([entry(7, 0, 4, 4, -1, -901), entry(7, 2, 2, 6, -100, 800, outgoing_after=300), entry(7, 3, 3, 5, 100, 150, incoming_after=300)],
           " ON CONFLICT DO NOTHING"))
add("I1", "legs 2 and 3 of record 7 ride on a good record", legs(), journal(N), entry(7, 2, 2, 7, -100, 700, outgoing_after=300),
    entry(7, 3, 3, 6, 100, 250, incoming_after=300))
add("I1", "records of one statement, balanced entries for one of them only", legs(), journal(N), journal(N + 1))
add("I1", "gap inside one statement", legs(), journal(N), [p.but(seq=N + 2) for p in legs_after()], journal(N + 2))
add("I1", "recorded_at backwards inside one statement", legs(), journal(N, now=9000), legs_after(), journal(N + 1, now=8000))
add("I2", "two records, balanced only together", legs()[0], journal(N), entry(N + 1, 0, 3, 5, 100, 150, incoming_after=300), journal(N + 1))
add("I4", "versions in the other order than seq", entry(N, 0, 2, 7, -100, 700, outgoing_after=300), entry(N, 1, 3, 6, 100, 250, incoming_after=300), journal(N),
    entry(N + 1, 0, 2, 6, -100, 800, outgoing_after=300), entry(N + 1, 1, 3, 5, 100, 150, incoming_after=300), journal(N + 1))
add("I4", "versions in the other order than legs", entry(N, 0, 2, 7, 100, 900, outgoing_after=300), entry(N, 1, 2, 6, -100, 800, outgoing_after=300), journal(N))
add("I4", "versions in the other order than legs, in a record looked at closely", entry(N, 0, 2, 7, 100, 900, outgoing_after=300, incoming=0),
    entry(N, 1, 2, 6, -100, 800, outgoing_after=300), entry(N, 2, 6, 2, -92, -92), entry(N, 3, 5, 2, 92, 92), journal(N))

# --- shapes
for name, statement in {
    "record id out of range": journal(N, id_low=2 ** 18), "hash of 31 bytes": journal(N, hash=bytes(31)),
    "trace id of 15 bytes": journal(N, trace_id=bytes(15)), "empty key": journal(N, key=""), "empty reference": journal(N, reference=""),
    "empty actor": journal(N, actor=""), "format 0": journal(N, format=0), "negative number of lots": journal(N, lots=-1), "short request hash": journal(N, key="k", request_hash=bytes(31)),
}.items():
    add("CHECK", name, legs(), statement)
add("CHECK", "short digest", legs(), text(N), journal(N, text_digest=bytes(31)))
add("CHECK", "short salt", legs(), text(N, salt=bytes(15)), journal(N, text_digest=bytes(32)))
add("CHECK", "text too long", legs(), text(N, body="x" * 32769), journal(N, text_digest=bytes(32)))
add("CHECK", "account id out of range", revision(7, N, 0, 1, 0), account(7, N, id_low=2 ** 18), entry(N, 0, 7, 1, 0, 0), journal(N, 1))
add("CHECK", "account type 6", revision(7, N, 0, 1, 0), account(7, N, type=6), entry(N, 0, 7, 1, 0, 0), journal(N, 1))
add("CHECK", "empty external id", revision(7, N, 0, 1, 0), account(7, N, external_id=""), entry(N, 0, 7, 1, 0, 0), journal(N, 1))
add("CHECK", "status 4", revision(7, N, 0, 1, 0, status=4), account(7, N), entry(N, 0, 7, 1, 0, 0), journal(N, 1))
add("CHECK", "floor out of range", revision(7, N, 0, 1, 5 * 10 ** 18), account(7, N), entry(N, 0, 7, 1, 0, 0, floor=5 * 10 ** 18), journal(N, 1))
add("CHECK", "ledger without name", "INSERT INTO creditledger.ledger(id, name, created_at) VALUES (3, '', 1)")
add("CHECK", "ledger floor out of range", "INSERT INTO creditledger.ledger(id, name, default_floor, created_at) VALUES (3, 'x', 5000000000000000000, 1)")
add("CHECK", "asset without code", "INSERT INTO creditledger.asset(id, code, scale) VALUES (3, '', 2)")
add("CHECK", "asset scale 19", "INSERT INTO creditledger.asset(id, code, scale) VALUES (3, 'XXX', 19)")

add("CHECK", "entry of side 2", legs()[0], legs()[1].but(side=2), journal(N))
add("CHECK", "entry of version 0", legs()[0], legs()[1].but(version=0), journal(N))
add("CHECK", "revision 0", revision(2, N, 0, 0, 0), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=0), journal(N, 2))
add("CHECK", "lot of version 0", entry(N, 0, 1, 3, -10, -60), entry(N, 1, 3, 5, 10, 60, incoming_after=300), lot(N, 0, N, 1, 2, 0, 3, 10, 10), journal(N, 10, lots=1))

# --- what a prompt offers besides
FORGED = [entry(N, 0, 2, 6, -5000, 5000, outgoing_after=300), entry(N, 1, 3, 5, 5000, 5050, incoming_after=300), journal(N)]
UNBALANCED = [legs()[0], entry(N, 1, 3, 5, 101, 151, incoming_after=300), journal(N)]
add("I4", "temporary entry, forged", "CREATE TEMP TABLE entry AS SELECT * FROM creditledger.entry",
    "UPDATE pg_temp.entry SET posted_after = 10000 WHERE account = 2", "SET LOCAL search_path = pg_temp, creditledger", FORGED)
add("I1", "temporary journal that says record 12 is not there", "CREATE TEMP TABLE journal AS SELECT * FROM creditledger.journal WHERE seq < 12",
    "SET LOCAL search_path = pg_temp, creditledger", legs(12), journal(12))
add("I2", "temporary table with the name of the new rows", "CREATE TEMP TABLE fresh (LIKE creditledger.entry)",
    "SET LOCAL search_path = pg_temp, creditledger", UNBALANCED)
add("I2", "aggregate and operator of one's own before the catalog's", "CREATE SCHEMA mine",
    "CREATE FUNCTION mine.yes(numeric, integer) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "CREATE OPERATOR mine.= (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = mine.yes)",
    "SET LOCAL search_path = mine, pg_catalog", UNBALANCED, role="owner")
add("I2", "domain of one's own instead of the type's name", "CREATE DOMAIN pg_temp.bigint AS pg_catalog.int8", UNBALANCED)
add("I2", "settings that change plans", "SET LOCAL enable_nestloop = off", "SET LOCAL enable_hashagg = off", "SET LOCAL enable_sort = off",
    "SET LOCAL enable_indexscan = off", "SET LOCAL enable_indexonlyscan = off", UNBALANCED)
add("I2", "settings that change meanings", "SET LOCAL transform_null_equals = on", "SET LOCAL standard_conforming_strings = off",
    "SET LOCAL extra_float_digits = -15", "SET LOCAL row_security = off", UNBALANCED)
# One insert inside another: the inner one's checks run before the outer one is whole.
INNER = "CREATE FUNCTION pg_temp.inner_insert(leg int) RETURNS smallint LANGUAGE plpgsql AS $$ BEGIN IF leg = %d THEN %s; END IF; RETURN leg; END $$"


def nested(rows, at, inner):
    """Inserts rows in order, and in the row whose leg is `at` something else first."""
    columns = list(TYPES["entry"])
    select = "SELECT %s FROM (VALUES %s) AS v(%s)" % (", ".join("pg_temp.inner_insert(leg)" if c == "leg" else c for c in columns),
                                                      ", ".join(r.values() for r in rows), ", ".join(columns))
    return [INNER % (at, inner), "INSERT INTO creditledger.entry(%s) %s" % (", ".join(columns), select)]


add("I2", "record inserted after leg 0, then the leg that does not balance", nested(UNBALANCED[:2], 1, one(journal(N))))
add("I1", "decline inserted after leg 0, then a second leg", nested([entry(N, 0, 2, 6, 0, 900, outgoing_after=300),
    entry(N, 1, 3, 5, 0, 50, incoming_after=300)], 1, one(journal(N, 5, refusal=308))))
add("I5", "hold inserted after leg 0, then more outgoing than its lot", nested([
    entry(N, 0, 2, 6, 0, 900, outgoing=100, outgoing_after=400), entry(N, 1, 3, 5, 0, 50, incoming=150, incoming_after=450),
    entry(N, 2, 2, 7, 0, 900, outgoing=50, outgoing_after=450)], 2,
    one(lot(N, 0, N, 0, 1, 1, 2, 100, 100), journal(N, 7, lots=1))))


def after_rows(rows, *statements):
    """The journal's rows, and statements that run when they are in and their checks have not run."""
    columns = ", ".join(TYPES["journal"])
    return ["CREATE FUNCTION pg_temp.then() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN %s; RETURN true; END $$" % "; ".join(statements),
            "INSERT INTO creditledger.journal(%s) SELECT * FROM (VALUES %s) v UNION ALL SELECT * FROM (VALUES %s) w WHERE NOT pg_temp.then()"
            % (columns, ", ".join(r.values() for r in rows), rows[0].values())]


control("entries inserted after their record, in its statement", after_rows([journal(N)], insert(legs())))
add("I1", "gap, the entries of either side by themselves", after_rows([journal(N), journal(N + 2)], insert(legs()),
    insert([p.but(seq=N + 2) for p in legs_after()])))
add("I1", "lots that come when the entries were examined", after_rows([journal(N, 10, lots=1)], insert(GRANT), insert([lot(N, 0, 7, 0, 3, 3, 4, -100, 800)])))
add("I1", "text inserted inside its record's statement", nested(legs(), 1, one(text(N), journal(N, text_digest=bytes(32)))), text(N))
add("I1", "record whose errors are swallowed, entries kept", nested(legs(), 1,
    "BEGIN %s; EXCEPTION WHEN OTHERS THEN NULL; END" % one(journal(N + 1))))
add("I1", "entries out of a table", "CREATE TEMP TABLE saved AS SELECT * FROM creditledger.entry WHERE false",
    insert(legs()).replace("creditledger.entry", "pg_temp.saved"), "INSERT INTO creditledger.entry TABLE pg_temp.saved")
add("I1", "entries through a view", "CREATE TEMP VIEW v AS SELECT * FROM creditledger.entry", insert(legs()).replace("creditledger.entry", "pg_temp.v"))
for table in TABLES:
    add("42501", "triggers of %s off, by the runtime role" % table, "ALTER TABLE creditledger.%s DISABLE TRIGGER ALL" % table, role="runtime")
    add("42501", "trigger on %s, by the runtime role" % table, "CREATE TRIGGER mine BEFORE INSERT ON creditledger.%s FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()" % table, role="runtime")
    add("42501", "rule on %s, by the runtime role" % table, "CREATE RULE mine AS ON INSERT TO creditledger.%s DO INSTEAD NOTHING" % table, role="runtime")
for name, statement in {
    "replica role": "SET LOCAL session_replication_role = replica",
    "checks replaced": "CREATE OR REPLACE FUNCTION creditledger.entry_check() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "checks dropped": "DROP FUNCTION creditledger.entry_check() CASCADE",
    "a settings list changed": "ALTER FUNCTION creditledger.entry_check() RESET ALL",
    "child table": "CREATE TEMP TABLE child () INHERITS (creditledger.entry)",
    "table of one's own in the schema": "CREATE TABLE creditledger.mine(n int)",
    "constraint dropped": "ALTER TABLE creditledger.entry DROP CONSTRAINT i6_floor",
    "schema dropped": "DROP SCHEMA creditledger CASCADE",
    "migration noted": "INSERT INTO creditledger.migration DEFAULT VALUES",
}.items():
    add("42501", name + ", by the runtime role", statement, role="runtime")
