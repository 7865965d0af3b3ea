/*
 * What the API answers, as JSON: records, accounts, balances, statements, ledgers, assets. An answer is made
 * from values alone, so that a replay gives the bytes of the first answer. Pure.
 */
#ifndef CREDITLEDGER_API_ENCODE_H
#define CREDITLEDGER_API_ENCODE_H

#include "api/json_out.h"
#include "journal/history.h"
#include "money/asset.h"

/* How to find an asset's code and scale by its number; never NULL for a number that a record has. */
struct asset_lookup {
    const struct asset *(*find)(const void *ctx, uint32_t id);
    const void *ctx;
};

struct record_view {
    const struct record *record; /* with its text */
    struct str ledger;
    struct asset_lookup assets;
    const struct uuid *related; /* id of the record with related_seq; NULL if there is none */
    bool dry_run;               /* decided, not recorded: it has no id and no seq */
};

/* A transfer, or any other record in the same shape. */
void encode_record(struct json_out *o, const struct record_view *view);

struct account_view {
    struct str ledger;
    uint64_t number;
    struct uuid id;
    const struct asset *asset;
    enum account_type type;
    struct str external_id;
    uint64_t opened_seq;
    int64_t opened_at;
    /* The revision shown. */
    uint32_t revision;
    enum account_status status;
    struct floor floor;
    const struct record_text *text; /* NULL: it never had one */
    bool dry_run;                   /* decided, not recorded */
    bool unborn;                    /* its opening was a dry run: it has no id, no number and no seq */
};

/* From the record that opened it. */
struct account_view account_view_opened(
    const struct record *opening, struct str ledger, const struct asset *asset);
void encode_account(struct json_out *o, const struct account_view *view);

struct balance_view {
    struct uuid account;
    struct str currency;
    int side;
    struct history_balance balance;
    int64_t as_of;
    uint64_t as_of_seq; /* every record up to this one counts */
};
void encode_balance(struct json_out *o, const struct balance_view *view);

struct statement_view {
    struct uuid account;
    struct str currency;
    int side;
    enum history_axis axis;
    bool has_from; /* else the period has no beginning */
    int64_t from, to;
    const struct history_statement *statement;
    const struct record *const *records; /* one a line, texts not needed */
    /* One a line, where the records come without their entries; NULL: from the entries. */
    const struct uuid *counterparties;
    const bool *has_counterparty;
    uint64_t as_of_seq;
    struct str cursor; /* STR_NONE on the last page */
};
void encode_statement(struct json_out *o, const struct statement_view *view);

/* A day of an account, in its normal sign. */
struct day_view {
    int64_t midnight;   /* UTC */
    amount_sum in, out; /* what raised and what lowered it: of many amounts */
    int64_t closing;
    uint64_t count;
};
void encode_day(struct json_out *o, const struct day_view *view);

/* What there is of an asset in a ledger. */
struct total_view {
    struct str currency;
    uint8_t scale;
    uint64_t accounts, entries;
    amount_sum volume, credit_normal, debit_normal;
};
void encode_total(struct json_out *o, const struct total_view *view);

void encode_ledger(struct json_out *o, const struct ledger_row *ledger, uint64_t seq, bool dry_run);
void encode_asset(struct json_out *o, const struct asset *asset, bool dry_run);

#endif
