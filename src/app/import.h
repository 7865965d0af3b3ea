/*
 * Bringing movements, or opening balances, from a CSV file into a ledger: one transfer a row between the
 * row's account and a counter account. Accounts are opened as needed under their name as external id.
 *
 * First the whole file is checked: its form, every value, every name, and, by playing it through from the
 * balances as they are, that no account would be refused a movement. What is wrong is told with line and
 * column, and nothing was posted. Then rows are posted in the file's order, about a thousand a transaction. A
 * row whose balance column differs from the ledger's running balance stops the import there. Every row has an
 * idempotency key, so that a second run finds the rows that are there and posts the others.
 *
 * The caller has the file in memory and the only engine on the journal. One thread.
 */
#ifndef CREDITLEDGER_APP_IMPORT_H
#define CREDITLEDGER_APP_IMPORT_H

#include "engine/engine.h"

#define IMPORT_CHUNK 1000 /* rows of one submission */
#define IMPORT_FILE_MAX INT64_C(4294967296)
#define IMPORT_KEY_PREFIX "import:"

struct import_options {
    bool opening; /* balances to start with, from the counter (or @world), instead of movements */
    /* Names of columns; STR_NONE: not given. */
    struct str account_column, amount_column, currency_column, counter_column, date_column, id_column,
        balance_column, reference_column;
    struct str metadata_columns; /* separated by commas */
    struct str currency;         /* of all rows, instead of a column */
    struct str counter;          /* of all rows, instead of a column; "@world" is the outside */
    char separator;
    char decimal_point; /* '\0': amounts are minor units; '.' or ',': decimals with the asset's scale */
    int scale;          /* of a currency that is neither known nor declared; -1: refuse such */
    bool per_currency;  /* append ":CODE" to every account's name */
    bool has_floor;     /* for accounts of the account column that it opens; else the ledger's default */
    struct floor floor;
    enum account_type account_type, counter_type;
    struct str key_prefix;
    bool dry_run;
    journal_progress *progress; /* in rows; may be NULL */
    void *ctx;
};

struct import_counts {
    uint64_t rows;     /* of data in the file */
    uint64_t posted;   /* dry run: would be */
    uint64_t already;  /* posted by an earlier run */
    uint64_t declined; /* declined for good by an earlier run: their keys are bound */
    uint64_t zero;     /* amount 0: nothing to move */
    uint64_t opened;   /* accounts; dry run: would be */
    uint64_t balances; /* checked and equal */
};

/*
 * `now` is when the import starts. ERR_CONFIG: the options do not fit the file. ERR_CORRUPT: a line of the
 * file is at fault, and the message names it. *ret_counts says what was done, after a failure too.
 */
MUST_CHECK int import_run(struct engine *engine, struct journal *j, const struct catalog *catalog,
    const struct ledger_row *ledger, const struct import_options *options, struct str file, int64_t now,
    struct import_counts *ret_counts, struct err *err);

#endif
