"""Every attack fails and every control is accepted, whatever the settings and whichever the program.

An attack that stops at its first error has failed when the tables are as they were; run with foreign keys on it shows
also that the refusal names the invariant. One that goes on after errors may leave what was sound in it: then all rows
that were there are there still, and an audit that shares nothing with the schema finds nothing wrong.
"""
import os
import shutil
import subprocess
import tempfile

import arena
from audit import audit
from tap import Tap

SETTINGS = {
    "foreign keys on": ["PRAGMA foreign_keys = ON"],
    "foreign keys off": ["PRAGMA foreign_keys = OFF"],
    "checks ignored, triggers recursive": ["PRAGMA foreign_keys = ON", "PRAGMA ignore_check_constraints = ON",
        "PRAGMA recursive_triggers = ON", "PRAGMA reverse_unordered_selects = ON"],
    "foreign keys deferred": ["PRAGMA foreign_keys = ON", "PRAGMA defer_foreign_keys = ON"],
}


def wanted(invariant, setting, statements):
    """Whether the attack must be accepted."""
    if invariant == "CHECK" and setting.startswith("checks ignored"):
        return None  # shapes only: asked for and got
    if invariant != "-":
        return False
    return not (setting == "foreign keys off" and any("appending" in s for s in statements))


def harm(db, before):
    """What the attack did that must not be, if anything."""
    after = arena.contents(db)
    if after == before:
        return []
    lost = [row for name, table, old in zip(arena.TABLES, after, before) for row in set(old) - set(table)
            if name != "record_text"]
    return ["rows changed or lost: %s" % (lost[:2],)] if lost else list(audit(db))


def run_library(image, before, setting, pragmas, stop):
    for invariant, name, statements in arena.attacks.ATTACKS:
        want = wanted(invariant, setting, statements)
        if want is None:
            continue
        db = arena.connect()
        db.deserialize(image)
        for pragma in pragmas:
            db.execute(pragma)
        errors = arena.attempt(db, statements, stop)
        changed, problems = arena.contents(db) != before, harm(db, before)
        if want and problems:
            yield "%s: %s: accepted, but %s" % (invariant, name, problems)
        elif changed != want and (want or stop or problems):
            yield "%s: %s: %s (%s)" % (invariant, name, "refused" if want else "ACCEPTED", errors[:1])
        elif stop and setting == "foreign keys on" and invariant not in ("-", "") and not errors:
            yield "%s: %s: no error" % (invariant, name)
        elif stop and setting == "foreign keys on" and invariant not in ("-", ""):
            code = arena.CODE.match(errors[0]) or arena.CODE.match("I1:" if "FOREIGN KEY" in errors[0] else "")
            if code is None or code.group(0) != invariant:
                yield "%s: %s: refused for another reason: %s" % (invariant, name, errors[0])
        db.close()


def run_program(program, directory, original, before):
    path = os.path.join(directory, "attacked.db")
    for invariant, name, statements in arena.attacks.ATTACKS:
        want = wanted(invariant, "foreign keys off", statements)
        shutil.copy(original, path)
        script = "".join(s + ";\n" for s in statements)
        subprocess.run([program, "-batch", path], input=script, text=True, capture_output=True, timeout=30)
        db = arena.connect(path)
        problems = harm(db, before)
        if problems or (arena.contents(db) != before) != want:
            yield "%s: %s: %s %s" % (invariant, name, "refused" if want else "ACCEPTED", problems)
        db.close()


def main():
    tap = Tap()
    base = arena.make()
    image, before = base.serialize(), arena.contents(base)
    for setting, pragmas in SETTINGS.items():
        for stop in (True, False):
            tap.check("library, %s, %s" % (setting, "stopping at the first error" if stop else "going on after errors"),
                      run_library(image, before, setting, pragmas, stop))
    with tempfile.TemporaryDirectory() as directory:
        original = os.path.join(directory, "original.db")
        arena.make(path=original).close()
        program = shutil.which("sqlite3")
        with tap.point("the sqlite3 program with its defaults"):
            assert program, "the sqlite3 program is not installed"
            problems = list(run_program(program, directory, original, before))
            assert not problems, "\n".join(problems)
    tap.check("at least 90 attacks", [] if sum(a[0] != "-" for a in arena.attacks.ATTACKS) >= 90 else ["fewer"])
    tap.done()


main()
