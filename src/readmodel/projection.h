/*
 * A projection: some tables of the read model, and how facts become their rows. One small module each; a new one is a
 * `struct projection` more in projections.c, and another READMODEL_FORMAT, so that read models are built anew with it.
 *
 * A projection is handed every fact exactly once, whatever the source repeats, the entries of an account in the order of
 * its versions; between accounts, and between the facts of a record, there is no order to rely on. fold() works in
 * memory; flush() writes what was folded since the last one, within the batch's transaction. What fold() borrows of a
 * fact is there until the flush. After a failure the state is thrown away and loaded again.
 *
 * Tables are written `@name`, with types BIGINT, TEXT and @BYTES, once for both databases. Rows are inserted by the batch
 * (rows.h): what several facts of a batch do to one row is to be folded into one before.
 */
#ifndef CREDITLEDGER_READMODEL_PROJECTION_H
#define CREDITLEDGER_READMODEL_PROJECTION_H

#include "db/db.h"
#include "money/amount.h"
#include "readmodel/fact.h"
#include "readmodel/heads.h"

/* A fact that counts, and the read model's numbers for what it names. */
struct applied {
    const struct fact *fact;
    uint32_t ledger;
    uint32_t asset;    /* entries and accounts; else 0 */
    uint64_t account;  /* its number, of the same */
    struct head *head; /* entries: the account after it; else NULL */
    bool erased;       /* the text of its record was erased, whatever the fact still says */
};

struct projection {
    const char *name;
    const char *ddl; /* its tables */
    const char
        *indexes; /* besides primary keys; NULL: none. What is built from nothing gets them when it is full */
    void *(*state_new)(void);
    void (*state_free)(void *state);
    int (*load)(void *state, struct db *db, struct err *err); /* NULL: nothing is kept in memory */
    void (*fold)(void *state, const struct applied *applied);
    int (*flush)(void *state, struct db *db, struct err *err);
};

#define PROJECTIONS_N 5
extern const struct projection *const projections[PROJECTIONS_N];

extern const struct projection projection_accounts;  /* who they are: @account */
extern const struct projection projection_lines;     /* entries, which statements are made of: @line */
extern const struct projection projection_transfers; /* @transfer, @transfer_metadata */
extern const struct projection projection_activity;  /* @day */
extern const struct projection projection_totals;    /* @total */

/* A sum of 128 bits, as both databases keep it: decimal text. */
MUST_CHECK bool sum_parse(struct str text, amount_sum *ret_sum);

/* Visits the members of a metadata object that are searched by: text, numbers and booleans of its top level, in their JSON
 * text but for text itself. Keys and values longer than METADATA_SEARCHED_BYTES are left out, as is what is beyond the first
 * METADATA_SEARCHED_MEMBERS. */
#define METADATA_SEARCHED_BYTES 255
#define METADATA_SEARCHED_MEMBERS 64
void metadata_visit(struct str metadata, struct arena *arena,
    void (*visit)(void *ctx, struct str key, struct str value), void *ctx);

#endif
