"""No check of the schema is untested: each is taken away in turn, and at least one attack must then get through (or one
control be refused).
"""
import re
import sqlite3

import arena
from tap import Tap

BRANCH = re.compile(r"(?:(?<=\bCASE\n)|(?<=\n))(?:    --[^\n]*\n)*    WHEN (?:(?!THEN RAISE).)*?THEN RAISE\(FAIL, '((?:[^']|'')*)'\)", re.S)
STATEMENT = re.compile(r"SELECT RAISE\(FAIL, '((?:[^']|'')*)'\)[^;]*;", re.S)
CONJUNCT = re.compile(r"\b(?:AND|OR) (?:NOT )?(?:(?:NEW|OLD|[a-z])\.)?[a-z_]+ (?:=|<>|>|<|>=|IS NOT|IS|BETWEEN 1 AND|NOT BETWEEN 0 AND) "
                      r"(?:(?:NEW|OLD|[a-z])\.)?(?:[a-z_]+|\d+)(?: [+] (?:(?:NEW|OLD|[a-z])\.)?(?:[a-z_]+|\d+))?(?=[\s)])")
# Taking these away changes nothing that can be seen; each with its reason.
EQUIVALENT = {
    "ledger_insert: without 'OR NEW.id > 65535'": "needs 65535 ledgers",
    "asset_insert: without 'OR NEW.id > 65535'": "needs 65535 assets",
}


def closing(text, start):
    depth = 0
    for i in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    raise ValueError


def trigger_of(schema, position):
    return re.findall(r"CREATE (?:TRIGGER|TABLE) (\w+)", schema[:position])[-1]


def mutants(schema):
    """(name, message of the check if it has one, schema without it)"""
    for m in BRANCH.finditer(schema):
        yield "%s: %s" % (trigger_of(schema, m.start()), m.group(1)), m.group(1), schema[:m.start()] + "    WHEN 0 THEN NULL" + schema[m.end():]
    for m in STATEMENT.finditer(schema):
        yield "%s: %s" % (trigger_of(schema, m.start()), m.group(1)), m.group(1), schema[:m.start()] + "SELECT 1;" + schema[m.end():]
    for m in re.finditer(r"(?<!-)\bCHECK (?=\()", schema):
        end = closing(schema, m.end())
        yield "%s: %s" % (trigger_of(schema, m.start()), schema[m.start():end]), "CHECK", schema[:m.start()] + schema[end:]
    fk = " REFERENCES ledger(id) DEFERRABLE INITIALLY DEFERRED"
    assert schema.count(fk) == 1
    yield "appending: foreign key", "FOREIGN KEY", schema.replace(fk, "")
    yield "appending_update: erases the text", "I7", re.sub(r"\n  DELETE FROM record_text.*?;", "", schema, flags=re.S)
    body = schema.index("CREATE TRIGGER")
    for m in CONJUNCT.finditer(schema, body):
        yield "%s: without '%s'" % (trigger_of(schema, m.start()), m.group(0)), "", schema[:m.start()] + schema[m.end():]


def survives(schema, attacks):
    """The name of the first attack that tells the schema from the true one; None if none does."""
    try:
        base = arena.make(schema)
    except sqlite3.Error as error:
        return "the base: %s" % error
    image, before = base.serialize(), arena.contents(base)
    for invariant, name, statements in attacks:
        db = arena.connect()
        db.deserialize(image)
        db.execute("PRAGMA foreign_keys = ON")
        arena.attempt(db, statements, True)
        changed = arena.contents(db) != before
        db.close()
        if changed != (invariant == "-"):
            return name
    return None


def messages():
    """What the true schema says to each attack."""
    base = arena.make()
    image = base.serialize()
    said = {}
    for invariant, name, statements in arena.attacks.ATTACKS:
        db = arena.connect()
        db.deserialize(image)
        db.execute("PRAGMA foreign_keys = ON")
        said[name] = " ".join(arena.attempt(db, statements, True))
        db.close()
    return said


def main():
    tap = Tap()
    said = messages()
    for name, message, schema in mutants(arena.SCHEMA):
        if name in EQUIVALENT:
            continue
        own = sorted(arena.attacks.ATTACKS, key=lambda a: not message or message.replace("''", "'") not in said[a[1]])
        with tap.point(name.replace("\n", " ")):
            assert survives(schema, own), "no attack notices that this check is gone"
    tap.done()


main()
