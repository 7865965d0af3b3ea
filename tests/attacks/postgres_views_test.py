"""What people read in psql: the views say of the base what is known of it, and the role of a server may read them."""
import postgres_arena as arena
from postgres_attacks import N, legs
from postgres_sql import entry, journal, one, revision, account, text
from tap import Tap

UUIDS = [  # high, number, low and what base/uuid.c makes of the same bits
    (0x0123456789ab7cde, 1, 0, "01234567-89ab-7cde-8000-000000040000"),
    (0x0123456789ab7cde, 2 ** 44 - 1, 2 ** 18 - 1, "01234567-89ab-7cde-bfff-ffffffffffff"),
    (-1, 0x12345678, 0x2ffff, "ffffffff-ffff-ffff-8000-48d159e2ffff"),
]
EXPECTED = {
    "ids": ("SELECT " + ", ".join("creditledger.uuid(%d, %d, %d)" % u[:3] for u in UUIDS), [[u[3] for u in UUIDS]]),
    "amounts": ("SELECT creditledger.amount(1234, 2), creditledger.amount(-5, 3), creditledger.amount(7, 0), creditledger.amount(1, 18)",
                [["12.34", "-0.005", "7", "0.000000000000000001"]]),
    "instants": ("SELECT to_char(creditledger.instant(1700000000123456) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), "
                 "to_char(creditledger.instant(9007199254740993) AT TIME ZONE 'UTC', 'US')", [["2023-11-14 22:13:20.123456", "740993"]]),
    "balances": ("SELECT number, currency, type, posted, pending_incoming, pending_outgoing, available, min_balance, posted_minor, "
                 "available_minor, version, seq FROM creditledger.balances WHERE ledger = 'main' ORDER BY number", [
        ["1", "USD", "equity", "-0.50", "0.00", "0.00", "-0.50", None, "-50", "-50", "2", "11"],
        ["2", "USD", "liability", "9.00", "0.00", "3.00", "6.00", "0.00", "900", "600", "5", "10"],
        ["3", "USD", "liability", "0.50", "3.00", "0.00", "0.50", "0.00", "50", "50", "4", "12"],
        ["4", "USD", "asset", "9.00", "0.00", "0.00", "9.00", "0.00", "900", "900", "3", "9"],
        ["5", "EUR", "liability", "0.00", "0.00", "0.00", "0.00", "0.00", "0", "0", "1", "5"],
        ["6", "EUR", "equity", "0.00", "0.00", "0.00", "0.00", None, "0", "0", "1", "6"]]),
    "statement": ("SELECT version, kind, change, balance, available, seq FROM creditledger.statements WHERE ledger = 'main' AND number = 4 "
                  "ORDER BY version", [["1", "opening", "0.00", "0.00", "0.00", "4"], ["2", "transfer", "10.00", "10.00", "10.00", "7"],
                                       ["3", "reversal", "-1.00", "9.00", "9.00", "9"]]),
    "records": ("SELECT seq, kind, text, entries, refusal, related_seq FROM creditledger.records WHERE ledger = 'main' AND seq > 6 ORDER BY seq", [
        ["7", "transfer", "present", "2", None, None], ["8", "hold", "none", "2", None, None], ["9", "reversal", "none", "2", None, "7"],
        ["10", "declined", "none", "1", "308", None], ["11", "transfer", "erased", "2", None, None],
        ["12", "erasure", "none", "1", None, "11"]]),
    "transfers": ("SELECT seq, kind, debit_number, credit_number, amount, amount_minor FROM creditledger.transfers ORDER BY seq", [
        ["7", "transfer", "4", "2", "10.00", "1000"], ["9", "reversal", "2", "4", "1.00", "100"],
        ["11", "transfer", "1", "3", "0.50", "50"]]),
    "trial balance": ("SELECT ledger, currency, type, accounts, debit, credit, posted_minor FROM creditledger.trial_balance "
                      "ORDER BY currency DESC, total, type", [
        ["main", "USD", "asset", "1", "9.00", "0.00", "-900"], ["main", "USD", "equity", "1", "0.50", "0.00", "-50"],
        ["main", "USD", "liability", "2", "0.00", "9.50", "950"], ["main", "USD", None, "4", "9.50", "9.50", "0"],
        ["main", "EUR", "equity", "1", "0.00", "0.00", "0"], ["main", "EUR", "liability", "1", "0.00", "0.00", "0"],
        ["main", "EUR", None, "2", "0.00", "0.00", "0"]]),
    "holds": ("SELECT seq, number, amount, remaining FROM creditledger.holds", [["8", "2", "3.00", "3.00"]]),
    "accounts": ("SELECT number, type, status, min_balance, revision, name FROM creditledger.accounts ORDER BY number LIMIT 2", [
        ["1", "equity", "open", None, "1", None], ["2", "liability", "open", "0.00", "1", None]]),
}
SPLIT = [entry(N + 1, 0, 2, 7, -30, 770, outgoing_after=300), entry(N + 1, 1, 3, 6, 10, 160, incoming_after=300),
         entry(N + 1, 2, 4, 4, 20, -880)]
NAMED = [revision(7, N + 2, 0, 1, -250, status=2, text_seq=N + 2), account(7, N + 2, external_id="ext"),
         entry(N + 2, 0, 7, 1, 0, 0, floor=-250), text(N + 2, body='{"name": "Zo\u00eb", "metadata": {"plan": "free"}}'),
         journal(N + 2, 1, text_digest=bytes(32))]


def main():
    arena.postgres.need_shared()
    tap = Tap()
    with arena.Arena(arena.WHOLE) as where:
        for name, (query, rows) in EXPECTED.items():
            for who in (None, where.runtime):
                where.owner.rows("SET ROLE " + who if who else "RESET ROLE")
                with tap.point("%s, as %s" % (name, "the server's role" if who else "the owner")):
                    found = where.owner.rows(query)
                    assert found == rows, "found    %s\nexpected %s" % (found, rows)
        where.owner.rows("RESET ROLE")
        where.owner.rows(one(legs(), journal(N), SPLIT, journal(N + 1), NAMED))
        with tap.point("a transfer of several postings has a line each leg"):
            found = where.owner.rows("SELECT debit_number, credit_number, amount_minor FROM creditledger.transfers WHERE seq = %d" % (N + 1))
            assert sorted(found, key=str) == sorted([["2", None, "30"], [None, "3", "10"], [None, "4", "20"]], key=str), found
        with tap.point("an account's name, metadata, status"):
            found = where.owner.rows("SELECT name, metadata ->> 'plan', status, min_balance, external_id FROM creditledger.accounts WHERE number = 7")
            assert found == [["Zo\u00eb", "free", "frozen", "-2.50", "ext"]], found
        with tap.point("every table and view says what it is"):
            silent = where.owner.rows("SELECT relname FROM pg_class WHERE relnamespace = 'creditledger'::regnamespace AND relkind IN ('r', 'v') "
                                      "AND relname <> 'migration' AND obj_description(oid, 'pg_class') IS NULL")
            assert silent == [], silent
        with tap.point("no view can be written through"):
            able = where.owner.rows("SELECT table_name FROM information_schema.views WHERE table_schema = 'creditledger' "
                                    "AND (is_updatable <> 'NO' OR is_insertable_into <> 'NO')")
            assert able == [], able
    tap.done()



main()
