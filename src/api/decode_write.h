/*
 * Writes: a matched request to the command it asks for. What the path, the headers and the body say is put
 * together here; what needs the ledger's state is left to the decision. Pure.
 */
#ifndef CREDITLEDGER_API_DECODE_WRITE_H
#define CREDITLEDGER_API_DECODE_WRITE_H

#include "api/decode_body.h"
#include "api/routes.h"
#include "api/text.h"

/* What a request says outside of its body. */
struct write_context {
    enum route_id route;
    struct str ledger;    /* its name */
    struct str parameter; /* of the path */
    bool dry_run;
    struct str header_key; /* Idempotency-Key; STR_NONE if none */
    struct str if_match;   /* STR_NONE if none */
    struct str actor;      /* name of the token; STR_NONE if none */
    bool has_trace, trace_sampled;
    uint8_t trace_id[TRACE_ID_LEN];
    uint8_t trace_parent[SPAN_ID_LEN]; /* sampled: the request's own span */
    struct arena *arena;
};

struct write {
    struct command command; /* without request_hash */
    /* Credits and debits that name no currency: write_set_currency() is to be called with the account's. */
    bool needs_currency;
    /* A revision that changes name or metadata: command.text is what the client sent, which is what the
     * request hash covers; write_merge_text() then completes it. */
    bool needs_text;
};

/* A whole body, which may be empty where nothing is required. Not for POST_BATCH. */
MUST_CHECK bool decode_write(
    const struct write_context *context, struct str body, struct write *ret_write, struct fault *fault);
/* One element of a bulk request: a transfer, or a transaction if it has `postings`. */
MUST_CHECK bool decode_element(
    const struct write_context *context, const json_t *element, struct write *ret_write, struct fault *fault);
/* Array of 1 to LIMIT_BATCH_ELEMENTS_MAX. *ret_root is the caller's to json_decref(). */
MUST_CHECK bool decode_batch(
    const struct write_context *context, struct str body, json_t **ret_root, struct fault *fault);
/* The header Idempotency-Key is not for bulk requests. */
MUST_CHECK bool decode_batch_head(const struct write_context *context, struct fault *fault);

void write_set_currency(struct write *write, struct str currency);
/* Puts the client's name and metadata over the account's present text (STR_NONE: it has none). */
void write_merge_text(struct write *write, struct str present, struct arena *arena);

#endif
