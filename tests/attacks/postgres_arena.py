"""Where attacks on PostgreSQL are tried: a database with the schema, two roles and the base, and what is in it."""
import os
import re
import secrets
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import postgres
import postgres_attacks_more as attacks
import postgres_sql
import tap
from postgres_session import Refused, Session

SCHEMA = tap.read("src/journal/sql/postgres/0001_journal.sql")
WHOLE = SCHEMA + tap.read("src/journal/sql/postgres/0002_append.sql") + tap.read("src/journal/sql/postgres/0003_views.sql")
TABLES = list(attacks.TABLES)
CODE = re.compile(r"(I[1-8]):")
CONSTRAINT = re.compile(r"\[i([1-8])_")
# What the backend makes of the keys' names (journal/postgres.c).
KEYS = {"journal_seq": "I1", "journal_idempotency": "I8", "entry_pkey": "I1", "entry_version": "I4", "account_revision_record": "I1",
        "account_revision_pkey": "I4", "account_pkey": "I7", "account_external": "I7", "lot_record": "I1", "record_text_pkey": "I1"}


PLACE = "((ledger - 1)::bigint << 47) + (seq << 11) + leg"
SIDE = "CASE WHEN type IN (1, 5) THEN -1 ELSE 1 END"


class Arena:
    """A database of its own; `owner` is a session of who made the schema, `runtime` the name of a role that only serves."""

    def __init__(self, schema=SCHEMA):
        self.url = postgres.make_database(postgres.need_shared(), "attacks")
        self.runtime = "cl_attacker_" + secrets.token_hex(4)
        self.owner = Session(self.url)
        self.owner.rows("CREATE SCHEMA creditledger; CREATE TABLE creditledger.migration(n int)")
        self.owner.rows(schema)
        self.owner.rows("""CREATE ROLE %(r)s; GRANT USAGE ON SCHEMA creditledger TO %(r)s;
            GRANT SELECT ON ALL TABLES IN SCHEMA creditledger TO %(r)s;""" % {"r": self.runtime})
        for table in TABLES:
            self.owner.rows("GRANT INSERT ON creditledger.%s TO %s" % (table, self.runtime))
        for statement in postgres_sql.base():
            self.owner.rows(statement)
        self.before = contents(self.owner)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.owner.close()
        with Session(self.url) as session:
            session.rows("DROP OWNED BY %s; DROP ROLE %s" % (self.runtime, self.runtime))
        postgres.drop_database(self.url)


class Rows:
    """The tables as audit.py reads them: rows in the order of their keys, with the columns that SQLite computes."""

    def __init__(self, session):
        self.session = session

    def execute(self, query):
        table = re.search(r"main\.(\w+)", query)[1]
        keys = {"entry": "ledger, seq, leg", "account_revision": "ledger, seq, leg", "lot": "ledger, seq, place"}.get(
            table, attacks.TABLES[table][1] if table in attacks.TABLES else None)
        if keys is None:
            return Cursor([], [])
        columns = [r[0] for r in self.session.rows("SELECT attname FROM pg_attribute WHERE attrelid = 'creditledger.%s'::regclass "
                                                   "AND attnum > 0 ORDER BY attnum" % table)]
        more = {"entry": ("place", PLACE), "account_revision": ("place", PLACE), "account": ("side", SIDE)}.get(table)
        rows = self.session.rows("SELECT %s FROM creditledger.%s ORDER BY %s" % (", ".join(columns + ([more[1]] if more else [])), table, keys))
        return Cursor(columns + ([more[0]] if more else []),
                      [[int(v) if v is not None and re.fullmatch(r"-?\d+", v) else v for v in row] for row in rows])


class Cursor(list):
    def __init__(self, names, rows):
        super().__init__(rows)
        self.description = [(n,) for n in names]


def contents(session):
    """A digest of all rows of the journal's tables: what an attack must leave as it was."""
    return session.rows("SELECT " + ", ".join(
        "(SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM creditledger.%s t)" % table for table in TABLES))[0]


def left_by(session, statements, role, before, audit):
    """What is wrong after statements whose errors did not stop anybody."""
    session.rows("BEGIN")
    try:
        if role:
            session.rows("SET LOCAL ROLE " + role)
        for statement in statements:
            session.rows("SAVEPOINT s")
            if session.refusal(statement) is not None:
                session.rows("ROLLBACK TO s")
        session.rows("RESET ROLE")
        return [] if contents(session) == before else list(audit(Rows(session)))
    finally:
        session.rows("ROLLBACK")


def attempt(session, statements, stop, role=None, settings=()):
    """Runs them in a transaction that is rolled back; with `stop` until the first error, else like a prompt that goes on.
    Returns what was refused, and what was there at the end (None if the transaction had failed)."""
    session.rows("BEGIN")
    refused, left = [], None
    try:
        for setting in settings:
            session.rows(setting)
        if role:
            session.rows("SET LOCAL ROLE " + role)
        for statement in statements:
            if not stop:
                session.rows("SAVEPOINT s")
            refusal = session.refusal(statement)
            if refusal is not None:
                refused.append(refusal)
                if stop:
                    break
                session.rows("ROLLBACK TO s")
        if not stop:
            session.rows("RESET ROLE")
            left = contents(session)
    finally:
        session.rows("ROLLBACK")
    return refused, left


def invariant_of(refused):
    """As the backend names it: by the message, the constraint's name or the key's; else the SQLSTATE."""
    named = CODE.match(refused.message)
    if named:
        return named[1] if refused.sqlstate == "CL00" + named[1][1] else "message and code differ"
    named = CONSTRAINT.search(refused.message)
    if named:
        return "I" + named[1]
    key = re.search(r"\[(\w+)\]$", refused.message)
    return KEYS.get(key[1], key[1]) if key else refused.sqlstate


__all__ = ["Arena", "Refused", "Session", "attempt", "contents", "invariant_of"]
