/*
 * A check in three parts. check_records.c reads the journal record by record and holds every line and every transfer of the
 * read model against it, column by column; check_accounts.c has the journal's database add up the entries of each
 * account and holds the balances against that, and the days and totals, which are sums, against the lines; check.c is
 * what they share. What is in the read model beyond the seq that is complete (from topics) must be right if it is there.
 */
#ifndef CREDITLEDGER_READMODEL_CHECK_INTERNAL_H
#define CREDITLEDGER_READMODEL_CHECK_INTERNAL_H

#include "journal/journal.h"
#include "readmodel/check_stream.h"
#include "readmodel/projector_internal.h"

struct check {
    const struct projector_config *config;
    void (*visit)(void *ctx, const struct check_difference *difference);
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    struct db *sums;         /* the journal's database, for SQL */
    struct journal *journal; /* the same, for records */
    struct source *source;   /* the same, for facts */
    struct readmodel *model;
    struct db *read; /* the model's, in one snapshot */
    struct arena arena;
    struct check_report report;
    uint64_t done, total;
};

struct check_ledger {
    struct str name;
    uint32_t journal_id; /* 0: the journal has none of that name */
    int64_t id;          /* the read model's number for it */
    uint64_t seq, most_seq;
    int64_t recorded_at;
};

/* A difference of an account (0: of the ledger). */
void check_differs(struct check *c, const struct check_ledger *l, uint64_t account, const char *what,
    const char *expected, const char *found);
void check_differs_number(struct check *c, const struct check_ledger *l, uint64_t account, const char *what,
    int64_t expected, int64_t found);
/* Row against row; the first column that differs is told, with the row's name before it. */
void check_row(struct check *c, const struct check_ledger *l, uint64_t account, const char *what,
    const char *row, const char *const *columns, const struct db_value *expected,
    const struct db_value *found, size_t n);
MUST_CHECK int check_go_on(struct check *c, struct err *err);

MUST_CHECK int check_records(struct check *c, const struct check_ledger *l, struct err *err);
MUST_CHECK int check_accounts(struct check *c, const struct check_ledger *l, struct err *err);

#endif
