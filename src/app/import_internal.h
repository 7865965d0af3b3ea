/*
 * Inside the importer (app/import.h): columns and rows (import_rows.c), accounts and currencies (import.c),
 * the check of the whole file (import_check.c), the posting (import_post.c).
 */
#ifndef CREDITLEDGER_APP_IMPORT_INTERNAL_H
#define CREDITLEDGER_APP_IMPORT_INTERNAL_H

#include "app/csv.h"
#include "app/import.h"
#include "app/string_set.h"
#include "journal/digest.h"

#define IMPORT_METADATA_MAX 64 /* columns */

enum import_column {
    COLUMN_ACCOUNT,
    COLUMN_AMOUNT,
    COLUMN_CURRENCY,
    COLUMN_COUNTER,
    COLUMN_DATE,
    COLUMN_ID,
    COLUMN_BALANCE,
    COLUMN_REFERENCE,
    COLUMN_N
};

struct import_currency {
    struct asset asset; /* id 0: not in the journal yet */
    bool declare;       /* neither known nor declared: --scale says what it is */
};

/* An account that the file names, and its balance as the rows so far leave it. */
struct import_account {
    struct str name; /* of the set of names */
    size_t line;     /* where it was named first */
    size_t currency; /* of the file's currencies */
    bool principal;  /* named by the account column, somewhere in the file */
    bool world;
    bool exists; /* before the import */
    bool opening_sent;
    bool replayed; /* an earlier row is in the journal already: the balance here is not that row's */
    int side;
    enum account_status status;
    struct floor floor;
    int64_t balance_minor; /* in the normal sign */
    int64_t held_minor;    /* balance less available */
};

/* A row whose values are sound by themselves. Strings borrow from the chunk. */
struct import_row {
    size_t line;
    uint64_t number; /* of the data row, from 1 */
    size_t account, counter, currency;
    int64_t amount_minor;
    bool has_balance, has_date;
    int64_t balance_minor, effective_at;
    struct str id, reference, metadata; /* metadata: a JSON object; STR_NONE: none */
};

struct import {
    struct engine *engine;
    struct journal *j;
    const struct catalog *catalog;
    const struct ledger_row *ledger;
    const struct import_options *options;
    struct str file;
    int64_t now;
    struct import_counts *counts;
    struct digest *digest;
    char file_tag[33]; /* names the file in the keys of rows without an id */

    /* Columns: position of each, SIZE_MAX if not given. */
    size_t columns[COLUMN_N];
    size_t n_fields;
    size_t metadata[IMPORT_METADATA_MAX]; /* positions, sorted by name */
    struct str metadata_names[IMPORT_METADATA_MAX];
    size_t n_metadata;
    struct arena names_arena;

    struct import_currency *currencies;
    size_t n_currencies;
    struct string_set names; /* numbers are indexes of accounts */
    struct import_account *accounts;
    size_t accounts_cap;
    struct strbuf scratch;
};

/* ---- rows
 * ------------------------------------------------------------------------------------------------------ */

struct import_reader {
    struct import *im;
    struct csv csv;
    uint64_t number;
};

/* Reads the header. ERR_CONFIG if a column is missing from it. */
MUST_CHECK int import_reader_init(struct import_reader *r, struct import *im, struct err *err);
void import_reader_fini(struct import_reader *r);
/* 1 and a row whose strings are in `arena`; 0 at the end. */
MUST_CHECK int import_reader_next(
    struct import_reader *r, struct arena *arena, struct import_row *ret_row, struct err *err);
/* "line 3, column amount: ..." with ERR_CORRUPT. `column` may be one that is not in the file. */
int import_fail(const struct import *im, size_t line, enum import_column column, struct err *err,
    const char *format, ...) PRINTF_LIKE(5, 6);

/* ---- currencies and accounts
 * ------------------------------------------------------------------------------------- */

MUST_CHECK int import_currency(
    struct import *im, struct str code, size_t line, size_t *ret_index, struct err *err);
MUST_CHECK int import_account(struct import *im, struct str name, size_t currency, bool principal,
    size_t line, size_t *ret_index, struct err *err);
/* After the whole file was read once: what the journal knows of the accounts. */
MUST_CHECK int import_fetch_accounts(struct import *im, struct err *err);

/* ---- commands
 * ------------------------------------------------------------------------------------------------------ */

struct str import_key(struct import *im, const struct import_row *row, struct arena *arena);
/* The transfer of a row with an amount, its request hash filled. */
void import_command(
    struct import *im, const struct import_row *row, struct arena *arena, struct command *ret_command);
/* True if the account's leg is the credit of the row's posting. */
bool import_credits(const struct import *im, const struct import_row *row);

MUST_CHECK int import_check(struct import *im, struct err *err);
MUST_CHECK int import_post(struct import *im, struct err *err);

#endif
