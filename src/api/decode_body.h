/*
 * The bodies of writes, by one table of fields: JSON name, how its value is read, where it goes. A shape is
 * the set of fields that a body may and must have. Fields that do not belong are refused by name, and so is
 * each wrong value. Everything decoded is copied into the arena. Pure.
 */
#ifndef CREDITLEDGER_API_DECODE_BODY_H
#define CREDITLEDGER_API_DECODE_BODY_H

#include "api/json_in.h"
#include "base/arena.h"
#include "ledger/command.h"

/* X(ID, JSON name, reader, member) */
#define BODY_FIELD_TABLE(X) \
    X(LEDGER_NAME, "name", ledger_name, ledger_name) \
    X(DEFAULT_MIN_BALANCE, "defaultMinBalance", floor, min_balance) \
    X(CURRENCY, "currency", currency, currency) \
    X(SCALE, "scale", scale, scale) \
    X(TYPE, "type", account_type, type) \
    X(NAME, "name", name, name) \
    X(EXTERNAL_ID, "externalId", external_id, external_id) \
    X(MIN_BALANCE, "minBalance", floor, min_balance) \
    X(METADATA, "metadata", metadata, metadata) \
    X(IDEMPOTENCY_KEY, "idempotencyKey", idempotency_key, idempotency_key) \
    X(STATUS, "status", status, status) \
    X(FROM, "from", account_ref, debit) \
    X(TO, "to", account_ref, credit) \
    X(DEBIT, "debit", account_ref, debit) \
    X(CREDIT, "credit", account_ref, credit) \
    X(AMOUNT, "amount", amount, amount_minor) \
    X(REFERENCE, "reference", reference, reference) \
    X(EFFECTIVE_AT, "effectiveAt", instant, effective_at) \
    X(POSTINGS, "postings", postings, postings) \
    X(EXPECT, "expect", expects, expects) \
    X(ACCOUNT, "account", account_ref, account) \
    X(VERSION, "version", version, version) \
    X(MIN_AVAILABLE, "minAvailable", balance, min_available_minor)

enum body_field {
#define X(ID, json, reader, member) BODY_##ID,
    BODY_FIELD_TABLE(X)
#undef X
        BODY_FIELDS_N
};

#define BODY_BIT(ID) (UINT32_C(1) << BODY_##ID)

/* Sets of BODY_BIT; what must be there is a part of what may. */
struct body_shape {
    uint32_t allowed, required;
};

struct body_type {
    enum account_type type;
    bool wallet; /* the shorthand: a liability with a floor of 0 unless named */
};

struct body_postings {
    struct posting *at;
    size_t n;
};

struct body_expects {
    struct expectation *at;
    size_t n;
};

/* What was there (`present`, by BODY_BIT) and its value. Texts that are null count as absent where that is
 * allowed. */
struct body {
    uint32_t present;
    struct str ledger_name, currency, external_id, idempotency_key, reference;
    struct str name;     /* a JSON string with quotes, or null */
    struct str metadata; /* canonical JSON */
    struct floor min_balance;
    int scale;
    struct body_type type;
    enum account_status status;
    struct account_ref debit, credit, account;
    int64_t amount_minor, effective_at, min_available_minor;
    uint64_t version;
    struct body_postings postings;
    struct body_expects expects;
};

MUST_CHECK bool body_decode(const json_t *value, struct body_shape shape, struct arena *arena,
    struct body *ret_body, struct fault *fault);
bool body_has(const struct body *body, enum body_field field);

/* "id", "ext:…", "@world", "@world:USD" (then with its currency). False for anything else. */
MUST_CHECK bool account_ref_parse(struct str text, struct account_ref *ret_ref);

#endif
