/*
 * Writing a ledger's records out, one snapshot, in order of seq: as NDJSON (complete), CSV (an entry a line),
 * and as plain text accounting for hledger and beancount, two independent programs that can check the books.
 * Formats are documented in docs/export.md. Memory: NDJSON none; the others hold every account's name. One
 * thread.
 */
#ifndef CREDITLEDGER_APP_EXPORT_H
#define CREDITLEDGER_APP_EXPORT_H

#include <stdio.h>

#include "app/asset_table.h"
#include "journal/journal.h"

enum export_format { EXPORT_NDJSON, EXPORT_CSV, EXPORT_HLEDGER, EXPORT_BEANCOUNT };

struct export_request {
    struct journal *j;
    const struct ledger_row *ledger;
    enum export_format format;
    uint64_t from_seq; /* hledger and beancount: 1, since balances need all history */
    FILE *out;
    journal_progress *progress; /* in records; may be NULL */
    void *ctx;
};

/* Takes its own snapshot. *ret_records: how many were written (those without a movement included). */
MUST_CHECK int export_ledger(const struct export_request *request, uint64_t *ret_records, struct err *err);

/* ---- between export.c and the formats
 * ---------------------------------------------------------------------- */

struct export_account {
    struct uuid id;
    struct str external_id; /* STR_NONE if none */
    enum account_type type;
    uint32_t asset;
    int64_t first_effective; /* of the movements met so far; INSTANT_MAX: none */
};

struct exporter {
    const struct export_request *request;
    struct strbuf b; /* written out whenever it has grown */
    struct asset_table assets;
    struct ledger_head head;
    struct arena names;
    struct export_account *accounts; /* number - 1; not for NDJSON */
    size_t n_accounts;
};

struct export_writer {
    int (*begin)(struct exporter *x, struct err *err);
    int (*record)(struct exporter *x, const struct record *record, struct err *err);
    int (*end)(struct exporter *x, struct err *err);
    bool needs_accounts, needs_text;
};

extern const struct export_writer export_ndjson, export_csv, export_hledger, export_beancount;

/* ERR_CORRUPT for a number that no account has. */
MUST_CHECK int export_account_find(
    struct exporter *x, uint64_t number, struct export_account **ret_account, struct err *err);
/* What the account is called in the two plain text formats: valid there, and no other account's name. */
void export_hledger_name(const struct export_account *account, uint64_t number, struct strbuf *b);
void export_beancount_name(const struct export_account *account, uint64_t number, struct strbuf *b);
/* "beancount" also needs the set of all assets, to keep two codes apart that it cannot both spell. */
void export_beancount_commodity(
    const struct asset_table *assets, const struct asset *asset, struct strbuf *b);

#endif
