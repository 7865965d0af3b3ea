#include "api/decode_write.h"

#include <string.h>

/* The fields that every posting write may have. */
#define POSTING_EXTRAS \
    (BODY_BIT(IDEMPOTENCY_KEY) | BODY_BIT(REFERENCE) | BODY_BIT(EFFECTIVE_AT) | BODY_BIT(METADATA))
#define TRANSFER_FIELDS (BODY_BIT(FROM) | BODY_BIT(TO) | BODY_BIT(AMOUNT) | BODY_BIT(CURRENCY))

static const struct body_shape ledger_shape = {
    BODY_BIT(LEDGER_NAME) | BODY_BIT(DEFAULT_MIN_BALANCE), BODY_BIT(LEDGER_NAME)};
static const struct body_shape asset_shape = {
    BODY_BIT(CURRENCY) | BODY_BIT(SCALE), BODY_BIT(CURRENCY) | BODY_BIT(SCALE)};
static const struct body_shape open_shape = {BODY_BIT(CURRENCY) | BODY_BIT(TYPE) | BODY_BIT(NAME) |
                                                 BODY_BIT(EXTERNAL_ID) | BODY_BIT(MIN_BALANCE) |
                                                 BODY_BIT(METADATA) | BODY_BIT(IDEMPOTENCY_KEY),
    BODY_BIT(CURRENCY)};
static const struct body_shape revise_shape = {BODY_BIT(STATUS) | BODY_BIT(NAME) | BODY_BIT(MIN_BALANCE) |
                                                   BODY_BIT(METADATA) | BODY_BIT(IDEMPOTENCY_KEY),
    0};
static const struct body_shape transfer_shape = {TRANSFER_FIELDS | POSTING_EXTRAS, TRANSFER_FIELDS};
static const struct body_shape transaction_shape = {
    BODY_BIT(POSTINGS) | BODY_BIT(EXPECT) | POSTING_EXTRAS, BODY_BIT(POSTINGS)};
static const struct body_shape movement_shape = {
    BODY_BIT(AMOUNT) | BODY_BIT(CURRENCY) | POSTING_EXTRAS, BODY_BIT(AMOUNT)};
static const struct body_shape reverse_shape = {BODY_BIT(AMOUNT) | POSTING_EXTRAS, 0};

/* The key is in the body, in the header, or the same in both. */
static bool take_key(
    const struct write_context *c, const struct body *body, struct command *command, struct fault *fault)
{
    struct str header = c->header_key;
    command->idempotency_key = body->idempotency_key;
    if (header.data == NULL)
        return true;
    if (!idempotency_key_valid(header))
        return fault_set(fault, REFUSAL_INVALID_PARAMETER, "Idempotency-Key",
            "A key is 1 to %d bytes of UTF-8 without control characters.", LIMIT_IDEMPOTENCY_KEY_MAX);
    if (body->idempotency_key.data != NULL && !str_eq(header, body->idempotency_key))
        return fault_set(fault, REFUSAL_IDEMPOTENCY_KEY_CONFLICT, "idempotencyKey",
            "The body's key and the header's differ.");
    command->idempotency_key = arena_str(c->arena, header);
    return true;
}

/* What all commands have. */
static bool take_common(const struct write_context *c, const struct body *body, enum command_op op,
    struct command *command, struct fault *fault)
{
    *command = (struct command){
        .op = op,
        .ledger = arena_str(c->arena, c->ledger),
        .dry_run = c->dry_run,
        .has_effective_at = body_has(body, BODY_EFFECTIVE_AT),
        .effective_at = body->effective_at,
        .reference = body->reference,
        .actor = arena_str(c->arena, c->actor),
        .has_trace = c->has_trace,
        .trace_sampled = c->trace_sampled,
    };
    if (c->has_trace) {
        memcpy(command->trace_id, c->trace_id, TRACE_ID_LEN);
        memcpy(command->trace_parent, c->trace_parent, SPAN_ID_LEN);
    }
    struct text_parts parts = {body->metadata, body->name};
    bool clears = op == COMMAND_REVISE_ACCOUNT; /* there an empty value says something */
    if (!clears && str_eq(parts.metadata, STR("{}")))
        parts.metadata = STR_NONE;
    if (!clears && str_eq(parts.name, STR("null")))
        parts.name = STR_NONE;
    command->text = text_join(&parts, c->arena);
    return take_key(c, body, command, fault);
}

/* --- one function an operation
 * ------------------------------------------------------------------------------ */

static bool make_ledger(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault)
{
    if (!take_common(c, body, COMMAND_CREATE_LEDGER, &w->command, fault))
        return false;
    bool named = body_has(body, BODY_DEFAULT_MIN_BALANCE);
    w->command.as.create_ledger = (struct command_ledger){
        .name = body->ledger_name,
        .default_floor = named ? body->min_balance : (struct floor){.present = true},
    };
    return true;
}

static bool make_asset(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault)
{
    w->command.as.declare_asset = (struct command_asset){0};
    if (!take_common(c, body, COMMAND_DECLARE_ASSET, &w->command, fault))
        return false;
    w->command.as.declare_asset = (struct command_asset){body->currency, body->scale};
    return true;
}

static bool make_open(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault)
{
    if (!take_common(c, body, COMMAND_OPEN_ACCOUNT, &w->command, fault))
        return false;
    struct command_open open = {
        .currency = body->currency,
        .type = body_has(body, BODY_TYPE) ? body->type.type : ACCOUNT_LIABILITY,
        .external_id = body->external_id,
        .has_floor = body_has(body, BODY_MIN_BALANCE),
        .floor = body->min_balance,
    };
    if (body->type.wallet && !open.has_floor) {
        open.has_floor = true;
        open.floor = (struct floor){.present = true, .minor = 0};
    }
    w->command.as.open = open;
    return true;
}

static bool take_if_match(struct str header, struct command_revise *revise, struct fault *fault)
{
    if (header.data == NULL)
        return true;
    struct str s = str_trim(header);
    if (str_eq(s, STR("*"))) /* any revision, as long as there is one (RFC 9110 section 13.1.1) */
        return true;
    if (s.len >= 2 && s.data[0] == '"' && s.data[s.len - 1] == '"')
        s = (struct str){s.data + 1, s.len - 2};
    uint64_t revision;
    if (!str_to_uint64(s, &revision) || revision == 0 || revision > UINT32_MAX)
        return fault_set(fault, REFUSAL_INVALID_PARAMETER, "If-Match",
            "It must be one ETag as GET on the account answers it, like \"3\".");
    revise->has_if_revision = true;
    revise->if_revision = (uint32_t)revision;
    return true;
}

/* The account that the path names. A text that can name none is an account that is not there. */
static bool take_account(const struct write_context *c, struct account_ref *ret_ref, struct fault *fault)
{
    struct account_ref ref;
    bool ok = account_ref_parse(c->parameter, &ref);
    if (!ok || (ref.by == REF_BY_WORLD && ref.currency.data == NULL))
        return fault_set(fault, REFUSAL_ACCOUNT_NOT_FOUND, NULL,
            "'%.*s' is neither an account's id nor ext:… with an externalId nor @world:… with a currency.",
            c->parameter.len < 60 ? (int)c->parameter.len : 60, c->parameter.data);
    ref.external_id = arena_str(c->arena, ref.external_id);
    ref.currency = arena_str(c->arena, ref.currency);
    *ret_ref = ref;
    return true;
}

static bool make_revise(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault)
{
    if (!take_common(c, body, COMMAND_REVISE_ACCOUNT, &w->command, fault))
        return false;
    if ((body->present & ~BODY_BIT(IDEMPOTENCY_KEY)) == 0)
        return fault_set(fault, REFUSAL_MISSING_FIELD, NULL,
            "Nothing is to be changed: name at least one of status, name, minBalance, metadata.");
    struct command_revise revise = {
        .has_status = body_has(body, BODY_STATUS),
        .has_floor = body_has(body, BODY_MIN_BALANCE),
        .has_text = body_has(body, BODY_NAME) || body_has(body, BODY_METADATA),
        .status = body->status,
        .floor = body->min_balance,
    };
    if (!take_account(c, &revise.account, fault) || !take_if_match(c->if_match, &revise, fault))
        return false;
    w->command.as.revise = revise;
    w->needs_text = revise.has_text;
    return true;
}

/* @world without a currency is that of the posting. */
static void settle_world(struct posting *posting)
{
    struct account_ref *refs[2] = {&posting->debit, &posting->credit};
    for (size_t i = 0; i < 2; i++)
        if (refs[i]->by == REF_BY_WORLD && refs[i]->currency.data == NULL)
            refs[i]->currency = posting->currency;
}

static bool put_posting(const struct write_context *c, const struct body *body, struct posting posting,
    struct write *w, struct fault *fault)
{
    if (!take_common(c, body, COMMAND_POST, &w->command, fault))
        return false;
    struct posting *one = arena_copy(c->arena, &posting, sizeof posting);
    settle_world(one);
    w->command.as.post = (struct command_post){.postings = one, .n_postings = 1};
    return true;
}

static bool make_transfer(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault)
{
    return put_posting(c, body,
        (struct posting){body->debit, body->credit, body->amount_minor, body->currency, true}, w, fault);
}

static bool make_movement(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault)
{
    struct account_ref account, world = {.by = REF_BY_WORLD};
    if (!take_account(c, &account, fault))
        return false;
    bool credits = c->route == ROUTE_CREDIT_ACCOUNT;
    w->needs_currency = body->currency.data == NULL;
    return put_posting(c, body,
        (struct posting){
            credits ? world : account, credits ? account : world, body->amount_minor, body->currency, true},
        w, fault);
}

static bool make_transaction(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault)
{
    if (!take_common(c, body, COMMAND_POST, &w->command, fault))
        return false;
    for (size_t i = 0; i < body->postings.n; i++)
        settle_world(&body->postings.at[i]);
    w->command.as.post = (struct command_post){.postings = body->postings.at,
        .n_postings = body->postings.n,
        .expects = body->expects.at,
        .n_expects = body->expects.n};
    return true;
}

static bool make_reverse(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault)
{
    if (!take_common(c, body, COMMAND_REVERSE, &w->command, fault))
        return false;
    struct command_reverse reverse = {
        .has_amount = body_has(body, BODY_AMOUNT), .amount_minor = body->amount_minor};
    if (!uuid_parse(c->parameter, &reverse.transfer))
        return fault_set(fault, REFUSAL_TRANSFER_NOT_FOUND, NULL, "'%.*s' is no transfer's id.",
            c->parameter.len < 60 ? (int)c->parameter.len : 60, c->parameter.data);
    w->command.as.reverse = reverse;
    return true;
}

typedef bool write_maker(
    const struct write_context *c, const struct body *body, struct write *w, struct fault *fault);

static const struct {
    const struct body_shape *shape;
    write_maker *make;
} writes[ROUTES_N] = {
    [ROUTE_CREATE_LEDGER] = {&ledger_shape, make_ledger},
    [ROUTE_DECLARE_ASSET] = {&asset_shape, make_asset},
    [ROUTE_OPEN_ACCOUNT] = {&open_shape, make_open},
    [ROUTE_REVISE_ACCOUNT] = {&revise_shape, make_revise},
    [ROUTE_CREDIT_ACCOUNT] = {&movement_shape, make_movement},
    [ROUTE_DEBIT_ACCOUNT] = {&movement_shape, make_movement},
    [ROUTE_CREATE_TRANSFER] = {&transfer_shape, make_transfer},
    [ROUTE_REVERSE_TRANSFER] = {&reverse_shape, make_reverse},
    [ROUTE_CREATE_TRANSACTION] = {&transaction_shape, make_transaction},
};

static bool decode_value(const struct write_context *c, enum route_id route, const json_t *value,
    struct write *ret_write, struct fault *fault)
{
    struct body body;
    INVARIANT(writes[route].make != NULL);
    *ret_write = (struct write){.needs_currency = false};
    return body_decode(value, *writes[route].shape, c->arena, &body, fault) &&
           writes[route].make(c, &body, ret_write, fault);
}

bool decode_write(
    const struct write_context *context, struct str body, struct write *ret_write, struct fault *fault)
{
    INVARIANT(context->route < ROUTES_N && writes[context->route].make != NULL);
    json_t *root = NULL;
    bool optional = writes[context->route].shape->required == 0;
    if (!json_read(optional && str_trim(body).len == 0 ? STR("{}") : body, &root, fault))
        return false;
    bool ok = decode_value(context, context->route, root, ret_write, fault);
    json_decref(root);
    return ok;
}

bool decode_element(
    const struct write_context *context, const json_t *element, struct write *ret_write, struct fault *fault)
{
    bool transaction = json_object_get(element, "postings") != NULL;
    return decode_value(
        context, transaction ? ROUTE_CREATE_TRANSACTION : ROUTE_CREATE_TRANSFER, element, ret_write, fault);
}

bool decode_batch_head(const struct write_context *context, struct fault *fault)
{
    if (context->header_key.data == NULL)
        return true;
    return fault_set(fault, REFUSAL_INVALID_PARAMETER, "Idempotency-Key",
        "A bulk request has no key of its own: give each element its idempotencyKey.");
}

bool decode_batch(
    const struct write_context *context, struct str body, json_t **ret_root, struct fault *fault)
{
    json_t *root;
    if (!decode_batch_head(context, fault) || !json_read(body, &root, fault))
        return false;
    size_t n = json_array_size(root);
    bool ok = true;
    if (!json_is_array(root) || n == 0)
        ok = fault_set(fault, REFUSAL_INVALID_FIELD, NULL,
            "A bulk request is a JSON array of 1 to %d transfers.", LIMIT_BATCH_ELEMENTS_MAX);
    else if (n > LIMIT_BATCH_ELEMENTS_MAX)
        ok = fault_set(fault, REFUSAL_TOO_MANY_ELEMENTS, NULL, "It has %zu elements; at most %d are allowed.",
            n, LIMIT_BATCH_ELEMENTS_MAX);
    if (!ok) {
        json_decref(root);
        return false;
    }
    *ret_root = root;
    return true;
}

void write_set_currency(struct write *write, struct str currency)
{
    INVARIANT(write->needs_currency && write->command.op == COMMAND_POST);
    struct posting *posting = (struct posting *)(uintptr_t)write->command.as.post.postings;
    posting->currency = currency;
    settle_world(posting);
    write->needs_currency = false;
}

void write_merge_text(struct write *write, struct str present, struct arena *arena)
{
    INVARIANT(write->needs_text && write->command.op == COMMAND_REVISE_ACCOUNT);
    struct text_parts wanted, merged = {STR_NONE, STR_NONE};
    INVARIANT(text_split(write->command.text, &wanted));
    if (present.data != NULL && !text_split(present, &merged))
        merged = (struct text_parts){STR_NONE, STR_NONE};
    if (wanted.metadata.data != NULL)
        merged.metadata = wanted.metadata;
    if (wanted.name.data != NULL)
        merged.name = wanted.name;
    write->command.text = text_join_full(&merged, arena);
    write->needs_text = false;
}
