"""A share of the mutations of PostgreSQL's checks: postgres_mutations_test.py NUMBER OF."""
import sys

from postgres_mutations import share

# Taking these away changes nothing that can be seen; each with its reason.
TRIGGERS_TOO = "the triggers see it too; it is there for the plain profile, which has none"
EQUIVALENT = {
    "entry_check: without 'OR p.seq = n.seq' in line 16": "vouches for less, so more is looked at closely",
    "record_text_check: without 'AND x.seq = n.first' in line 10": "vouches for less, so more is looked at closely",
    "record_text_check: without 'AND x.xmin = t.xmin' in line 12": "needs an older transaction: postgres_sessions_test.py",
    "creditledger.account_revision: i4_revision": TRIGGERS_TOO,
    "creditledger.journal: i1_lots": TRIGGERS_TOO,
    "creditledger.journal: i1_seq": TRIGGERS_TOO,
    "creditledger.entry: i4_side": TRIGGERS_TOO,
    "i1_related: may be without": TRIGGERS_TOO,
    "i5_pending: outgoing below": "an account's outgoing is the sum of its holds, of which none falls below zero",
    "record_text_check: transaction": "needs an older transaction: postgres_sessions_test.py",
}

share(int(sys.argv[1]), int(sys.argv[2]), EQUIVALENT)
