/*
 * Balances and statements on the two axes of time, over any backend. Recorded time is the order of seq: what was
 * known then is a version of the account, found by binary search. Effective time may lie before recorded time: the
 * balance effective at T is the last version recorded by T plus the changes of later, backdated entries that are
 * effective by T. Callers hold a snapshot of the journal for the whole call.
 */
#ifndef CREDITLEDGER_JOURNAL_HISTORY_H
#define CREDITLEDGER_JOURNAL_HISTORY_H

#include "journal/journal.h"

/* The last seq recorded at or before `instant`, 0 if none. */
MUST_CHECK int history_seq_at(
    struct journal *j, uint32_t ledger, int64_t instant, uint64_t *ret_seq, struct err *err);
/* The account's last version in a record up to and including `seq`, 0 if it was not open yet. */
MUST_CHECK int history_version_at(
    struct journal *j, const struct account *account, uint64_t seq, uint64_t *ret_version, struct err *err);

struct history_balance {
    struct amounts amounts;
    uint64_t version;   /* the last version that counts by recorded time; 0: none */
    uint64_t seq;       /* its record */
    struct floor floor; /* in force at that version; if version is 0, none */
};

/* at: effective by then (NULL: no limit). known_at: recorded by then (NULL: no limit). */
MUST_CHECK int history_balance(struct journal *j, const struct account *account, const int64_t *at,
    const int64_t *known_at, struct history_balance *ret_balance, struct err *err);

enum history_axis { AXIS_RECORDED, AXIS_EFFECTIVE };

/* Where a page of a statement goes on. All zero: at the start. */
struct history_position {
    bool started;
    int64_t instant;        /* of the last line given, on the axis */
    uint64_t version;       /* of the last line given */
    uint64_t known_version; /* the statement sees versions up to this one, on every page */
    struct amounts running; /* after the last line given */
};

struct history_line {
    struct entry entry;
    uint64_t seq;
    int64_t effective_at, recorded_at;
    struct amounts running; /* after this line, on the statement's axis */
};

struct history_statement {
    struct amounts opening; /* of the whole period, not of the page */
    struct amounts closing;
    struct history_line
        *lines; /* entries that moved something, in order of the axis; backdated ones in their place */
    size_t n_lines;
    bool more;
    struct history_position next; /* valid if more */
};

/* Lines with from <= t < to on the axis; known_at limits what is seen (NULL: all). At most `limit` lines. */
MUST_CHECK int history_statement(struct journal *j, const struct account *account, enum history_axis axis,
    int64_t from, int64_t to, const int64_t *known_at, const struct history_position *position, size_t limit,
    struct arena *arena, struct history_statement *ret_statement, struct err *err);

#endif
