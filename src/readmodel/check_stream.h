/*
 * Rows of a large table in the order of their key, by the page: what a check merges. The statement takes ?1 the ledger,
 * ?2 a bound, ?3 how many rows (or keys) a page has, ?4 the first part of the key that it begins behind, and ?5 the second, if
 * the key has two. The key is the row's first columns. A page without rows is the end; but where pages are ranges of
 * the first key, which groups need (behind ?4, up to ?4 + ?3), the end is behind `last`.
 */
#ifndef CREDITLEDGER_READMODEL_CHECK_STREAM_H
#define CREDITLEDGER_READMODEL_CHECK_STREAM_H

#include "db/db.h"

struct check_stream {
    struct db *db;
    const struct db_statement *statement;
    int64_t ledger, bound, page;
    int keys;     /* 1 or 2 */
    int64_t last; /* of ranges; 0: pages are not ranges */
    struct arena arena;
    struct db_result rows;
    size_t at;
    bool begun, over;
    int64_t after[2];
};

void check_stream_init(struct check_stream *s, struct db *db, const struct db_statement *statement, int keys,
    int64_t page, int64_t ledger, int64_t bound);
void check_stream_init_ranges(struct check_stream *s, struct db *db, const struct db_statement *statement,
    int64_t page, int64_t last, int64_t ledger, int64_t bound);
void check_stream_fini(struct check_stream *s); /* one of zeros is fine */

/* The row it stands at, NULL at the end; good until check_stream_pass(). */
MUST_CHECK int check_stream_row(struct check_stream *s, const struct db_value **ret_row, struct err *err);
void check_stream_pass(struct check_stream *s);

#endif
