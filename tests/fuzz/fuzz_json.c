/*
 * Fuzzing the decoding of writes: the first byte picks the route (past the routes: NDJSON-like elements of a
 * bulk request), the rest is the body. What is accepted must have the properties that the decision relies on,
 * and must decode to the same request hash again; what is refused must say so in JSON.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "api/decode_write.h"
#include "ledger/command.h"
#include "money/amount.h"
#include "money/asset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_posting(const struct posting *posting)
{
    INVARIANT(posting->amount_minor > 0 && amount_in_range(posting->amount_minor));
    const struct account_ref *refs[2] = {&posting->debit, &posting->credit};
    for (size_t i = 0; i < 2; i++) {
        INVARIANT(refs[i]->by != REF_BY_EXTERNAL_ID || external_id_valid(refs[i]->external_id));
        INVARIANT(refs[i]->by != REF_BY_WORLD || asset_code_valid(refs[i]->currency));
    }
    INVARIANT(asset_code_valid(posting->currency));
}

static void check_text(struct str text)
{
    struct text_parts parts;
    json_t *root;
    struct fault fault;
    if (text.data == NULL)
        return;
    INVARIANT(text.len <= LIMIT_TEXT_BODY_MAX && text_split(text, &parts));
    INVARIANT(json_read(text, &root, &fault));
    struct strbuf again;
    strbuf_init(&again);
    json_canonical(root, &again);
    INVARIANT(str_eq(strbuf_view(&again), text));
    strbuf_fini(&again);
    json_decref(root);
}

static void check_command(struct write *write, struct arena *arena)
{
    struct command *c = &write->command;
    INVARIANT(c->idempotency_key.data == NULL || idempotency_key_valid(c->idempotency_key));
    INVARIANT(c->reference.len <= LIMIT_REFERENCE_MAX);
    check_text(c->text);
    if (write->needs_currency)
        write_set_currency(write, STR("USD"));
    if (c->op == COMMAND_POST) {
        INVARIANT(c->as.post.n_postings >= 1 && c->as.post.n_postings <= LIMIT_POSTINGS_MAX);
        for (size_t i = 0; i < c->as.post.n_postings; i++)
            check_posting(&c->as.post.postings[i]);
    }
    if (write->needs_text) {
        write_merge_text(write, STR("{\"metadata\":{\"k\":[1,\"}\"]},\"name\":\"n\"}"), arena);
        check_text(c->text);
    }
}

static bool decode(
    const struct write_context *context, struct str body, struct write *write, struct fault *fault)
{
    json_t *root;
    if (context->route != ROUTE_POST_BATCH)
        return decode_write(context, body, write, fault);
    if (!json_read(body, &root, fault))
        return false;
    bool ok = decode_element(context, root, write, fault);
    json_decref(root);
    return ok;
}

static void check_fault(const struct fault *fault)
{
    struct strbuf b;
    json_t *root;
    struct fault unused;
    strbuf_init(&b);
    struct json_out out = {&b, false};
    struct problem problem = fault_problem(fault);
    problem_encode(&out, &problem);
    INVARIANT(json_read(strbuf_view(&b), &root, &unused));
    json_decref(root);
    strbuf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum route_id routes[] = {ROUTE_CREATE_TRANSFER, ROUTE_CREATE_TRANSACTION,
        ROUTE_OPEN_ACCOUNT, ROUTE_REVISE_ACCOUNT, ROUTE_CREDIT_ACCOUNT, ROUTE_REVERSE_TRANSFER,
        ROUTE_CREATE_LEDGER, ROUTE_DECLARE_ASSET, ROUTE_POST_BATCH};
    if (size < 1)
        return 0;
    struct arena arena;
    struct write write, again;
    struct fault fault = {.refusal = REFUSAL_NONE};
    arena_init(&arena, 0);
    const struct write_context context = {
        .route = routes[data[0] % (sizeof routes / sizeof routes[0])],
        .ledger = STR("main"),
        .parameter = STR("0190a000-0000-7000-8000-000000040001"),
        .arena = &arena,
    };
    struct str body = {(const char *)data + 1, size - 1};
    if (decode(&context, body, &write, &fault)) {
        struct strbuf first, second;
        strbuf_init(&first);
        strbuf_init(&second);
        INVARIANT(decode(&context, body, &again, &fault));
        command_canonical(&write.command, &first);
        command_canonical(&again.command, &second);
        INVARIANT(str_eq(strbuf_view(&first), strbuf_view(&second)));
        check_command(&write, &arena);
        strbuf_fini(&first);
        strbuf_fini(&second);
    } else {
        INVARIANT(fault.refusal != REFUSAL_NONE);
        check_fault(&fault);
    }
    arena_fini(&arena);
    return 0;
}
