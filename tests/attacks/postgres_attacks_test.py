"""Every attack on PostgreSQL fails and every control is accepted, as the owner and as the role of a server, whatever the
settings, in one statement and in several.

An attack that stops at its first error shows also that the refusal names the invariant. One that goes on after errors
may leave what was sound in it: then an audit that shares nothing with the schema finds nothing wrong.
"""
import postgres_arena as arena
from audit import audit
from postgres_sql import flat_parts, several, statements_of
from tap import Tap

SETTINGS = {
    "defaults": [],
    "repeatable read": ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"],
    "serializable": ["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
    "constraints deferred": ["SET CONSTRAINTS ALL DEFERRED"],
    "search path of one's own": ["SET LOCAL search_path = pg_temp, creditledger, pg_catalog"],
}
OWNER_SETTINGS = {"replica role": ["SET LOCAL session_replication_role = replica"],
                  "system tables, no triggers by default": ["SET LOCAL session_replication_role = replica", "SET LOCAL allow_system_table_mods = on"]}


def told(where, who, settings):
    """Each attack until its first error."""
    for invariant, name, role, items in arena.attacks.ATTACKS:
        if role not in (None, who):
            continue
        refused, _ = arena.attempt(where.owner, statements_of(items), True, where.runtime if who == "runtime" else None, settings)
        if invariant == "-" and refused:
            yield "%s: refused: %s" % (name, refused[0])
        elif invariant != "-" and not refused:
            yield "%s: %s: ACCEPTED" % (invariant, name)
        elif invariant == "CHECK" and refused[0].sqlstate != "23514" or \
                invariant not in ("-", "CHECK") and arena.invariant_of(refused[0]) != invariant:
            yield "%s: %s: refused for another reason: %s" % (invariant, name, refused[0])


def going_on(where, who):
    """Each attack to its end, whatever is refused on the way."""
    for invariant, name, role, items in arena.attacks.ATTACKS:
        if role not in (None, who):
            continue
        problems = arena.left_by(where.owner, statements_of(items), where.runtime if who == "runtime" else None, where.before, audit)
        yield from ("%s: %s: %s" % (invariant, name, problem) for problem in problems)


def in_pieces(where, who):
    """What belongs into one statement in one for each table: nothing of it may stay, not even of the controls."""
    for invariant, name, role, items in arena.attacks.ATTACKS:
        parts = flat_parts(items)
        if len({p.table for p in parts}) < 2:
            continue
        for statements in several(parts):
            _, left = arena.attempt(where.owner, statements, False, where.runtime if who == "runtime" else None)
            if left != where.before:
                yield "%s: %s: something stayed" % (invariant, name)


def loose(where):
    """What a session's settings or somebody else's objects could bend."""
    for name, in where.owner.rows("SELECT proname FROM pg_proc WHERE pronamespace = 'creditledger'::regnamespace AND prosqlbody IS NULL AND NOT "
                                  "coalesce(proconfig::text LIKE '%\"search_path=pg_catalog, pg_temp\"%', false)"):
        yield "%s() does not fix its search path" % name
    for name, in where.owner.rows("SELECT proname FROM pg_proc WHERE pronamespace = 'creditledger'::regnamespace AND prosecdef AND proname <> 'lock_row'"):
        yield "%s() runs as its owner" % name
    for table, name in where.owner.rows("SELECT tgrelid::regclass, tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid "
                                        "WHERE relnamespace = 'creditledger'::regnamespace AND tgenabled <> 'A'"):
        yield "trigger %s on %s does not fire always" % (name, table)


def main():
    arena.postgres.need_shared()
    tap = Tap()
    with arena.Arena(arena.WHOLE) as where:
        for who in ("owner", "runtime"):
            for name, settings in {**SETTINGS, **(OWNER_SETTINGS if who == "owner" else {})}.items():
                tap.check("%s, %s, stopping at the first error" % (who, name), told(where, who, settings))
            tap.check("%s, going on after errors" % who, going_on(where, who))
            tap.check("%s, a statement for each table" % who, in_pieces(where, who))
        tap.check("nothing of the schema depends on the session", loose(where))
        tap.check("the base is what it was", [] if arena.contents(where.owner) == where.before else ["it is not"])
        tap.check("the audit finds the base sound", audit(arena.Rows(where.owner)))
    attacks = sum(a[0] != "-" for a in arena.attacks.ATTACKS)
    tap.check("%d attacks, %d controls" % (attacks, len(arena.attacks.ATTACKS) - attacks), [] if attacks >= 200 else ["fewer than 200"])
    tap.done()


if __name__ == "__main__":
    main()
