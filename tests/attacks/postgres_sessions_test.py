"""Two sessions at PostgreSQL: what one has not committed, or what the other cannot see any more, helps nobody.

A is always first. Where B must wait, it is seen waiting; then A ends, and B gets what it deserves.
"""
import contextlib
import threading
import time

import postgres_arena as arena
from audit import audit
from postgres_attacks import ERASURE, N, legs, legs_after
from postgres_mutations import functions, replaced, swap
from postgres_sql import account, entry, journal, one, opening, revision, text
from tap import Tap

GOOD = one(legs(), journal(N))
OTHER = one(entry(N, 0, 1, 3, -7, -57), entry(N, 1, 3, 5, 7, 57, incoming_after=300), journal(N, key="other"))
NEXT = one(legs_after(), journal(N + 1))
IN_ANOTHER_LEDGER = one(revision(1, 1, 0, 1, None, ledger=2), account(1, 1, type=3, ledger=2), entry(1, 0, 1, 1, 0, 0, ledger=2),
                        journal(1, 1, ledger=2))


class Waiting(threading.Thread):
    """A statement that is expected to wait."""

    def __init__(self, session, statement):
        super().__init__(daemon=True)
        self.session, self.statement, self.refusal = session, statement, None
        self.pid = session.value("SELECT pg_backend_pid()")
        self.start()

    def run(self):
        self.refusal = self.session.refusal(self.statement)

    def waits(self, watcher):
        for _ in range(500):
            if watcher.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'" % self.pid) == "1":
                return True
            if not self.is_alive():
                return False
            time.sleep(0.01)
        return False

    def outcome(self):
        self.join(30)
        assert not self.is_alive(), "still waiting"
        return arena.invariant_of(self.refusal) if self.refusal else "accepted"


class Two:
    """Sessions a and b on a fresh base."""

    def __init__(self, where):
        self.url = arena.postgres.make_database(where.url, "sessions", template=arena.postgres.database_of(where.url))
        self.a, self.b, self.watcher = (arena.Session(self.url) for _ in range(3))

    def close(self):
        for session in (self.a, self.b, self.watcher):
            session.close()
        arena.postgres.drop_database(self.url)

    def meet(self, first, second, end, expected):
        """A does `first` and does not commit; B does `second` and waits; A ends by `end`."""
        self.a.rows("BEGIN")
        self.a.rows(first)
        b = Waiting(self.b, second)
        assert b.waits(self.watcher), "B does not wait: %s" % b.outcome()
        self.a.rows(end)
        assert b.outcome() == expected, b.outcome() + ": " + str(b.refusal)

    def sound(self, head):
        found = self.watcher.value("SELECT max(seq) FROM creditledger.journal WHERE ledger = 1")
        assert found == str(head), "head is %s" % found
        problems = list(audit(arena.Rows(self.watcher)))
        assert not problems, problems


def refused(session, statement, expected):
    refusal = session.refusal(statement)
    found = arena.invariant_of(refusal) if refusal else "accepted"
    assert found == expected, "%s: %s" % (found, refusal)


def same_seq_committed(two):
    two.meet(GOOD, OTHER, "COMMIT", "I1")
    two.sound(N)


def same_seq_rolled_back(two):
    two.meet(GOOD, OTHER, "ROLLBACK", "accepted")
    two.sound(N)


def same_version(two):
    two.meet(GOOD, one(legs(amount=1), journal(N)), "COMMIT", "I1")
    two.sound(N)


def floor_raised_while_another_spends(two):
    raised = one(revision(2, N, 0, 2, 900), entry(N, 0, 2, 6, 0, 900, outgoing_after=300, revision=2, floor=900), journal(N, 2))
    two.meet(raised, GOOD, "COMMIT", "I1")
    refused(two.b, one(entry(N + 1, 0, 2, 7, -100, 800, outgoing_after=300), entry(N + 1, 1, 3, 5, 100, 150, incoming_after=300), journal(N + 1)), "I4")
    two.sound(N)


def same_account_number(two):
    two.meet(one(opening(7, N)), one(revision(7, N, 0, 1, None), account(7, N, type=3), entry(N, 0, 7, 1, 0, 0, floor=None), journal(N, 1)),
             "COMMIT", "I1")
    two.sound(N)


def same_asset(two):
    two.meet("INSERT INTO creditledger.asset(id, code, scale) VALUES (3, 'GBP', 2)",
             "INSERT INTO creditledger.asset(id, code, scale) VALUES (3, 'JPY', 0)", "COMMIT", "I7")


def next_before_this_is_committed(two):
    two.a.rows("BEGIN")
    two.a.rows(GOOD)
    refused(two.b, NEXT, "I1")
    two.a.rows("COMMIT")
    two.b.rows(NEXT)
    two.sound(N + 1)


def an_asset_that_is_not_committed(two):
    two.a.rows("BEGIN")
    two.a.rows("INSERT INTO creditledger.asset(id, code, scale) VALUES (3, 'GBP', 2)")
    refused(two.b, one(revision(7, N, 0, 1, 0), account(7, N, asset=3), entry(N, 0, 7, 1, 0, 0, asset=3), journal(N, 1)), "I4")
    refused(two.b, "INSERT INTO creditledger.asset(id, code, scale) VALUES (4, 'JPY', 0)", "I7")
    two.a.rows("ROLLBACK")
    two.sound(N - 1)


def two_ledgers_at_once(two):
    two.a.rows("BEGIN")
    two.a.rows(GOOD)
    two.b.rows("SET statement_timeout = '5s'")
    two.b.rows(IN_ANOTHER_LEDGER)
    two.a.rows("COMMIT")
    two.sound(N)


def snapshot_from_before(level, of_this, of_next):
    def case(two):
        for statement, expected in ((NEXT, of_next), (OTHER, of_this)):
            two.b.rows("BEGIN ISOLATION LEVEL " + level)
            two.b.rows("SELECT count(*) FROM creditledger.journal")
            if statement is NEXT:
                two.a.rows(GOOD)
            refused(two.b, statement, expected)
            two.b.rows("ROLLBACK")
        two.b.rows(NEXT)
        two.sound(N + 1)
    return case


def erased_text_comes_back(two, expected="I1"):
    two.b.rows("BEGIN ISOLATION LEVEL REPEATABLE READ")
    two.b.rows("SELECT count(*) FROM creditledger.journal")
    two.a.rows("WITH gone AS (DELETE FROM creditledger.record_text WHERE ledger = 1 AND seq = 7), " + one(ERASURE)[5:])
    refused(two.b, one(text(7)), expected)
    two.b.rows("ROLLBACK")


def erased_text_comes_back_without_the_check(old, new):
    """The check is what holds: the old snapshot does not see the erasure."""
    def case(two):
        two.a.rows(replaced(swap(functions(arena.SCHEMA)["record_text_check"], old, new)))
        erased_text_comes_back(two, "accepted")
    return case


def savepoints(two):
    two.a.rows("BEGIN")
    two.a.rows("SAVEPOINT s")
    two.a.rows(GOOD)
    two.a.rows("ROLLBACK TO s")
    refused(two.a, NEXT, "I1")
    two.a.rows("ROLLBACK TO s")
    two.a.rows(OTHER)
    two.a.rows("COMMIT")
    two.sound(N)


def prepared_transaction(two):
    """A record that is prepared is no predecessor either."""
    if two.a.value("SHOW max_prepared_transactions") == "0":
        raise arena.tap.Skip("max_prepared_transactions is 0")
    two.a.rows("BEGIN")
    two.a.rows(GOOD)
    two.a.rows("PREPARE TRANSACTION 'attack'")
    refused(two.b, NEXT, "I1")
    two.a.rows("COMMIT PREPARED 'attack'")
    two.b.rows(NEXT)
    two.sound(N + 1)


CASES = {
    "the same seq, A commits": same_seq_committed, "the same seq, A rolls back": same_seq_rolled_back,
    "the same versions": same_version, "A raises the floor, B spends": floor_raised_while_another_spends,
    "the same account number": same_account_number, "the same asset": same_asset,
    "B goes on from what A has not committed": next_before_this_is_committed,
    "B uses an asset that A has not committed": an_asset_that_is_not_committed, "two ledgers at once": two_ledgers_at_once,
    "B's repeatable snapshot is older than A's commit": snapshot_from_before("REPEATABLE READ", "I1", "I1"),
    "B's serializable snapshot is older than A's commit": snapshot_from_before("SERIALIZABLE", "I1", "I1"),
    "a text erased by A comes back in B's old snapshot": erased_text_comes_back,
    "the same, if the transaction is not compared: it does": erased_text_comes_back_without_the_check("t.xmin = j.xmin AND ", ""),
    "the same, if one of two texts is looked at: it does": erased_text_comes_back_without_the_check("OFFSET 0) t", "LIMIT 1) t"),
    "the same, if the quick look does not compare it: it does": erased_text_comes_back_without_the_check("x.xmin = t.xmin AND ", ""),
    "the same, if the quick look is at one of two texts: it does": erased_text_comes_back_without_the_check("OFFSET 0) t ON", "LIMIT 1) t ON"),
    "savepoints": savepoints, "a prepared transaction": prepared_transaction,
}


def main():
    arena.postgres.need_shared()
    tap = Tap()
    with arena.Arena() as where:
        where.owner.close()
        for name, case in CASES.items():
            with tap.point(name), contextlib.closing(Two(where)) as two:
                case(two)
        where.owner = arena.Session(where.url)
    tap.done()


main()
