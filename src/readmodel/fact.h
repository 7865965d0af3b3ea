/*
 * Facts: what the read model is made of. A record of the journal is one or more of them, the same and in the same order
 * as its events (events/event.h): first the one of the transfer or the account, then one for each entry. They come from
 * records directly, or from events that were read off a topic; both ways give the same facts, and a test holds them
 * to it. What an event has beyond this is ignored, so that events may grow.
 *
 * Pure. Text borrows from the arena or from what was decoded.
 */
#ifndef CREDITLEDGER_READMODEL_FACT_H
#define CREDITLEDGER_READMODEL_FACT_H

#include "base/arena.h"
#include "events/event.h"
#include "ledger/record.h"

enum fact_kind { FACT_TRANSFER = 1, FACT_ENTRY, FACT_ACCOUNT };

/* A transfer, reversal or decline as such; its entries are facts of their own. */
struct fact_transfer {
    struct str idempotency_key, actor; /* STR_NONE: none */
    struct str refusal;                /* declined: the code; else STR_NONE */
    int64_t declined_amount;
    bool has_trace;
    uint8_t trace_id[TRACE_ID_LEN];
    struct str metadata; /* a JSON object, "{}" if there is none; STR_NONE: erased */
    /* Of its postings: the total when all are in one currency; else the first currency's. 0 and STR_NONE: none. */
    struct str currency;
    int64_t amount;
};

struct fact_entry {
    uint32_t leg;
    struct uuid account;
    bool has_counterparty; /* the account of the pair's other leg */
    struct uuid counterparty;
    uint64_t version;
    struct str currency;
    uint8_t scale;
    int8_t side;
    uint32_t revision;
    struct floor floor;
    struct amounts change, after; /* as in struct entry: posted is signed, credit positive */
};

struct fact_account {
    struct uuid account;
    struct str currency;
    uint8_t scale;
    int8_t side;
    bool opened; /* the opening: type and external id are there */
    enum account_type type;
    struct str external_id;
    uint32_t revision;
    enum account_status status;
    struct floor floor;
    bool has_text;       /* this revision set name and metadata */
    struct str name;     /* a JSON string with its quotes; STR_NONE: none, or erased */
    struct str metadata; /* as a transfer's */
    struct str actor;
};

struct fact {
    enum fact_kind kind;
    struct str ledger; /* its name */
    uint64_t seq;
    uint32_t n, of; /* the n-th (from 0) of the record's `of` facts */
    enum record_kind record_kind;
    struct uuid record;                /* its id; zero in a FACT_ACCOUNT, whose event does not carry it */
    struct str reference;              /* STR_NONE: none */
    int64_t effective_at, recorded_at; /* an account's change is effective when it is recorded */
    uint64_t related_seq;              /* 0: none */
    union {
        struct fact_transfer transfer;
        struct fact_entry entry;
        struct fact_account account;
    };
    /* Where it was read: the source's own. Negative: nowhere, the read model's position stays (a replay). */
    uint32_t part;
    int64_t offset;
};

/* Adds a posting's amount; ends at INT64_MAX. */
void fact_transfer_add(struct fact_transfer *transfer, int64_t amount);
/* The n-th fact of a record, n < event_count(source->record). */
void fact_of_record(const struct event_source *source, size_t n, struct arena *arena, struct fact *ret_fact);
/*
 * From an event: its type (the attribute `type`), and its data. False if it is not one of ours or contradicts itself,
 * with the reason in `err` (ERR_CORRUPT). A type that is not known is no error: *ret_known is false.
 */
MUST_CHECK bool fact_decode(struct str type, struct str data, struct arena *arena, struct fact *ret_fact,
    bool *ret_known, struct err *err);
/*
 * An entry as event data that fact_decode() gives the same fact for: what the read model parks of a fact that it could
 * not apply. Of what is not in a fact nothing is said.
 */
struct str fact_entry_json(const struct fact *fact, struct arena *arena);
#define FACT_ENTRY_TYPE "ledger.entry.posted.v1"

#endif
