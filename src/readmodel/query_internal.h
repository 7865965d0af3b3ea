/* What the queries share. Private to query*.c. */
#ifndef CREDITLEDGER_READMODEL_QUERY_INTERNAL_H
#define CREDITLEDGER_READMODEL_QUERY_INTERNAL_H

#include "readmodel/query.h"
#include "readmodel/rows.h"

struct reading {
    char *url;
    bool pooled;
    struct db *control, *db; /* db: the generation's, for the snapshot that is open */
    struct readmodel *model;
    struct asset *assets;
    size_t n_assets;
    /* Of the snapshot: */
    bool begun;
    uint32_t ledger; /* 0: the read model never heard of it */
    uint64_t seq;
};

/* One row of whole numbers; *ret_found is false if there is none. */
MUST_CHECK int query_numbers(struct reading *r, const struct db_statement *statement,
    const struct db_value *values, size_t n_values, int64_t *ret_numbers, size_t n_numbers, bool *ret_found,
    struct err *err);
/* The account's last version of a record up to `seq`, at most `most`. */
MUST_CHECK int query_version_at(
    struct reading *r, uint64_t account, uint64_t seq, uint64_t most, uint64_t *ret_version, struct err *err);
/* The last version recorded before `instant`, at most `most`. */
MUST_CHECK int query_version_before(struct reading *r, uint64_t account, int64_t instant, uint64_t most,
    uint64_t *ret_version, struct err *err);

/* The columns of an entry, in the order of query_entry(); of @line l and @account a. */
#define QUERY_ENTRY_COLUMNS \
    "l.seq, l.leg, l.account, l.version, l.revision, l.floor, l.change, l.change_incoming, " \
    "l.change_outgoing, l.posted," \
    " l.incoming, l.outgoing, l.effective_at, l.recorded_at, a.asset, a.side, a.id"
#define QUERY_ENTRY_N 17
struct entry query_entry(const struct db_value *row);

#endif
