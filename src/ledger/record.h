/*
 * The journal's record and its rows, as values. A record is what one command did: a journal row, and with it the
 * account it opened, the revisions, the entries and the lots. Records are built by ledger/decide.h, sealed (hashed)
 * by journal/digest.h, appended and read back by journal/journal.h. All pointers borrow from the arena that the
 * record was made in. Column names in the databases are the same words. Pure.
 */
#ifndef CREDITLEDGER_LEDGER_RECORD_H
#define CREDITLEDGER_LEDGER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"

#define HASH_LEN 32
#define SALT_LEN 16
#define TRACE_ID_LEN 16
#define SPAN_ID_LEN 8
#define RECORD_FORMAT 1 /* of the canonical bytes, docs/record-format.md */

/* X(NAME, name, number). Numbers are stored; the last seven have their place in the format and no command yet. */
#define RECORD_KIND_TABLE(X) \
    X(OPENING, opening, 1) \
    X(REVISION, revision, 2) \
    X(TRANSFER, transfer, 3) \
    X(REVERSAL, reversal, 4) \
    X(DECLINED, declined, 5) \
    X(ERASURE, erasure, 6) \
    X(HOLD, hold, 7) \
    X(CAPTURE, capture, 8) \
    X(VOID, void, 9) \
    X(GRANT, grant, 10) \
    X(EXPIRY, expiry, 11) \
    X(EXCHANGE, exchange, 12)

enum record_kind {
#define X(NAME, name, number) RECORD_##NAME = number,
    RECORD_KIND_TABLE(X)
#undef X
};

/* X(NAME, name, number, side). side: 1 credit-normal, -1 debit-normal. */
#define ACCOUNT_TYPE_TABLE(X) \
    X(ASSET, asset, 1, -1) \
    X(LIABILITY, liability, 2, 1) \
    X(EQUITY, equity, 3, 1) \
    X(INCOME, income, 4, 1) \
    X(EXPENSE, expense, 5, -1)

enum account_type {
#define X(NAME, name, number, side) ACCOUNT_##NAME = number,
    ACCOUNT_TYPE_TABLE(X)
#undef X
};

enum account_status { ACCOUNT_OPEN = 1, ACCOUNT_FROZEN = 2, ACCOUNT_CLOSED = 3 };

enum lot_kind { LOT_HOLD = 1, LOT_GRANT = 2, LOT_REFUNDABLE = 3 };

/* A floor is optional: without one the account may go below zero without limit. */
struct floor {
    bool present;
    int64_t minor;
};

/* posted is signed, credit positive; incoming and outgoing are pending amounts. */
struct amounts {
    int64_t posted, incoming, outgoing;
};

struct account_row {
    uint64_t number; /* dense per ledger, from 1, in the order of opening */
    struct uuid id;  /* its counter is `number` */
    uint32_t asset;
    enum account_type type;
    struct str external_id; /* STR_NONE if none */
    uint64_t opened_seq;
};

struct revision_row {
    uint64_t account;
    uint32_t revision; /* from 1 */
    enum account_status status;
    struct floor floor;
    uint64_t text_seq; /* the record whose text has the account's name and metadata; 0 if it has none */
};

struct entry {
    uint32_t leg; /* dense from 0 */
    uint64_t account;
    uint64_t version; /* gap-free per account, from 1 */
    uint32_t asset;
    int8_t side;
    uint32_t revision; /* in force after this entry, with its floor */
    struct floor floor;
    struct amounts change, after;
    bool backdated;       /* effective before it was recorded */
    int64_t effective_at; /* the record's; stored with the entry only if backdated */
    /* Not columns: joined for the reader's convenience, filled by decide and by journal reads alike. */
    struct uuid account_id;
};

struct lot {
    uint64_t origin; /* the record and ... */
    uint32_t leg;    /* ... the leg that brought it about */
    enum lot_kind kind;
    uint32_t version; /* from 1 */
    uint64_t account;
    int64_t change, remaining_after;
    bool has_due;
    int64_t due_at;
};

/* What may hold personal data. The digest is SHA-256(salt || body), and stays when salt and body are erased. */
struct record_text {
    bool present;  /* the record was made with a text: the digest counts */
    bool readable; /* salt and body are here (not erased, and asked for) */
    uint8_t digest[HASH_LEN];
    uint8_t salt[SALT_LEN];
    struct str body; /* a JSON object: {"name":..., "metadata":{...}}, members optional */
};

struct record {
    uint32_t ledger;
    uint64_t seq;
    enum record_kind kind;
    struct uuid id;                 /* its counter is `seq` */
    struct str idempotency_key;     /* STR_NONE if none */
    uint8_t request_hash[HASH_LEN]; /* counts only with a key */
    int64_t effective_at, recorded_at;
    struct str reference; /* STR_NONE if none */
    uint64_t
        related_seq; /* reversal: what it reverses; erasure: what it erased; declined reversal too; 0 if none */
    struct str actor; /* name of the token; STR_NONE if none */
    bool has_trace;
    uint8_t trace_id[TRACE_ID_LEN];
    uint32_t refusal;        /* declined: the number of ledger/refusal.h; else 0 */
    int64_t declined_amount; /* declined: what the account would have had to give, or 0 */
    struct record_text text;
    const struct account_row *account; /* opening: the account; else NULL */
    const struct revision_row *revisions;
    const struct entry *entries;
    const struct lot *lots;
    size_t n_revisions, n_entries, n_lots;
    uint32_t format;
    uint8_t hash[HASH_LEN]; /* SHA-256(previous record's hash || canonical bytes) */
};

const char *record_kind_name(enum record_kind kind);   /* NULL if unknown */
const char *account_type_name(enum account_type type); /* NULL if unknown */
bool account_type_parse(struct str name, enum account_type *ret_type);
int account_type_side(enum account_type type); /* 1 or -1 */
const char *account_status_name(enum account_status status);
bool account_status_parse(struct str name, enum account_status *ret_status);

/* True if the entry moved something (openings, revisions and declines have zero entries). */
bool entry_moves(const struct entry *entry);
/* Posted, in the account's normal sign. */
int64_t amounts_balance(struct amounts a, int side);
/* Posted less the pending amounts that would lower it, in the normal sign: what floors are compared with (I6). */
int64_t amounts_available(struct amounts a, int side);

#endif
