"""Where attacks are tried: databases with the base, in memory and as files, and what is in them."""
import os
import re
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import attacks
import ledger_sql
import tap

SCHEMA = tap.read("src/journal/sql/sqlite/0001_journal.sql")
TABLES = list(attacks.TABLES) + ["appending"]
CODE = re.compile(r"I[1-8](?=:)|CHECK")


def connect(path=":memory:"):
    return sqlite3.connect(path, isolation_level=None, cached_statements=0)


def make(schema=SCHEMA, path=":memory:"):
    """A database with the base."""
    db = connect(path)
    db.executescript(schema)
    db.execute("PRAGMA foreign_keys = ON")
    for statement in ledger_sql.base():
        db.execute(statement)
    return db


def contents(db):
    """All rows of the journal's tables: what an attack must leave as it was."""
    return [db.execute("SELECT * FROM main.%s ORDER BY 1" % table).fetchall() for table in TABLES]


def attempt(db, statements, stop):
    """Runs them; with `stop` until the first error, else like a prompt that goes on. Returns the errors."""
    errors = []
    for statement in statements:
        try:
            db.execute(statement)
        except sqlite3.Error as error:
            errors.append(str(error))
            if stop:
                break
    if db.in_transaction:
        db.execute("ROLLBACK")
    return errors
