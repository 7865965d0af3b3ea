/*
 * What the read model answers. Results have the shapes that the journal's reads have (records, history), so that
 * api/encode.h prints the same JSON for both; what the read model does not keep (hashes, lots) is zero. Ledgers and
 * assets are those of the read model: `struct query_assets` finds an asset by the number that results carry.
 *
 * All of them run within one snapshot of the reader: query_begin() .. query_end(). Readers follow the live generation:
 * query_begin() opens the new one after a switch. One thread at a time.
 *
 * Accounts, statements and transfers are those of the ledger at its seq, whatever came in of later records already; days
 * and totals have what came in, because they are sums.
 */
#ifndef CREDITLEDGER_READMODEL_QUERY_H
#define CREDITLEDGER_READMODEL_QUERY_H

#include "journal/history.h"
#include "money/amount.h"
#include "money/asset.h"
#include "readmodel/readmodel.h"

struct reading; /* a reader's handle */

/* Opens when it is first needed, and again after errors: a read model that is away fails the query only. */
struct reading *reading_new(const char *url, bool pooled);
void reading_free(struct reading *reading);

/* Begins a snapshot; *ret_seq is how far the ledger is in it, *ret_recorded_at that record's time (0 if none). */
MUST_CHECK int query_begin(
    struct reading *reading, struct str ledger, uint64_t *ret_seq, int64_t *ret_recorded_at, struct err *err);
void query_end(struct reading *reading);

/* The asset with the number that a result carries; lives until query_end(). NULL: no such. */
const struct asset *query_asset(const struct reading *reading, uint32_t id);

/* By id (uuid_counter is its number), or by external id. ERR_NOT_FOUND: not (yet) here. */
struct query_account {
    struct account account; /* journal/journal.h's; head as projected */
    uint64_t seq;           /* of its last entry */
};
MUST_CHECK int query_account(struct reading *reading, const struct uuid *id, struct str external_id,
    struct arena *arena, struct query_account *ret_account, struct err *err);

/* Statements on the recorded axis. Position and page as in history_statement(); the records are those of the lines,
 * with id, kind, reference, and times. Counterparties are in `counterparties`, one a line; zero: none. */
struct query_statement {
    struct history_statement statement;
    const struct record *const *records;
    const struct uuid *counterparties;
    const bool *has_counterparty;
};
MUST_CHECK int query_statement(struct reading *reading, const struct account *account, int64_t from,
    int64_t to, const struct history_position *position, size_t limit, struct arena *arena,
    struct query_statement *ret_statement, struct err *err);

/* Transfers, newest first. What is not set does not count. Several metadata pairs must all be there. */
#define QUERY_METADATA_MAX 8
struct query_filter {
    bool has_account, has_kind, has_from, has_to, has_least, has_most;
    uint64_t account; /* number */
    enum record_kind kind;
    int64_t from, to;    /* recorded_at: from <= t < to */
    int64_t least, most; /* amount, minor units */
    struct str currency, reference;
    struct {
        struct str key,
            value; /* a member of the metadata's top level; numbers and booleans as their JSON text */
    } metadata[QUERY_METADATA_MAX];
    size_t n_metadata;
    uint64_t before_seq; /* 0: from the newest */
};
/* A transfer and what it relates to. */
struct query_transfer {
    const struct record *record; /* text.body has {"metadata": ...} */
    bool has_related;
    struct uuid related;
};
MUST_CHECK int query_transfers(struct reading *reading, const struct query_filter *filter, size_t limit,
    struct arena *arena, struct query_transfer **ret_transfers, size_t *ret_n, struct err *err);

/* A day (UTC, of recorded time) of an account, in its normal sign; days without movement have no row. */
struct query_day {
    int64_t day;        /* days since 1970-01-01 */
    amount_sum in, out; /* no balance exceeds 64 bits, but what passes through on a day may */
    int64_t closing;
    uint64_t count; /* entries that moved something */
};
MUST_CHECK int query_activity(struct reading *reading, const struct account *account, int64_t from_day,
    int64_t to_day, size_t limit, struct arena *arena, struct query_day **ret_days, size_t *ret_n,
    struct err *err);

/* An asset's totals in the ledger, ascending by code. Sums are 128 bits wide. credit_normal == debit_normal (I2), whenever
 * nothing is here of records beyond the ledger's seq. */
struct query_total {
    struct str currency;
    uint8_t scale;
    uint64_t accounts, entries;
    amount_sum volume;        /* of all that was credited */
    amount_sum credit_normal; /* what credit-normal accounts hold, in their sign */
    amount_sum debit_normal;
};
MUST_CHECK int query_totals(struct reading *reading, struct arena *arena, struct query_total **ret_totals,
    size_t *ret_n, struct err *err);

#endif
