#include "api/problem.h"

#define PROBLEM_TYPE "https://creditledger.dev/errors/"
#define PROBLEM_CONTENT_TYPE "application/problem+json"

static const struct refusal_info *info_of(enum refusal refusal)
{
    const struct refusal_info *info = refusal_info(refusal);
    INVARIANT_F(info != NULL, "refusal %d", (int)refusal);
    return info;
}

int problem_status(enum refusal refusal)
{
    return info_of(refusal)->http_status;
}

void problem_encode(struct json_out *o, const struct problem *p)
{
    const struct refusal_info *info = info_of(p->refusal);
    out_begin(o, '{');
    out_key(o, "type");
    strbuf_c(o->b, "\"" PROBLEM_TYPE);
    strbuf_c(o->b, info->name);
    strbuf_char(o->b, '"');
    out_c_member(o, "title", info->title);
    out_int_member(o, "status", info->http_status);
    out_c_member(o, "code", info->name);
    if (p->detail.len > 0)
        out_str_member(o, "detail", p->detail);
    out_c_member(o, "hint", info->hint);
    if (p->field.len > 0)
        out_str_member(o, "field", p->field);
    if (p->account != NULL)
        out_uuid_member(o, "accountId", *p->account);
    if (p->has_available)
        out_amount_member(o, "available", p->available_minor);
    if (p->has_required)
        out_amount_member(o, "required", p->required_minor);
    if (p->seq != 0)
        out_uint_member(o, "seq", p->seq);
    if (p->transfer != NULL)
        out_uuid_member(o, "transferId", *p->transfer);
    out_end(o, '}');
}

/* What the account's floor leaves, for the sentence about funds. */
static struct str funds_detail(
    struct arena *arena, const char *id, const struct entry *entry, int64_t available, int64_t required)
{
    if (entry->floor.present && entry->floor.minor != 0)
        return arena_printf(arena,
            "Account %s has %lld available, must keep at least %lld, and would have to give %lld.", id,
            (long long)available, (long long)entry->floor.minor, (long long)required);
    return arena_printf(arena, "Account %s has %lld available and would have to give %lld.", id,
        (long long)available, (long long)required);
}

static struct str declined_detail(
    const struct record *record, const struct entry *entry, int64_t available, struct arena *arena)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(entry->account_id, id);
    enum refusal refusal = (enum refusal)record->refusal;
    if (refusal == REFUSAL_INSUFFICIENT_FUNDS)
        return funds_detail(arena, id, entry, available, record->declined_amount);
    if (refusal == REFUSAL_EXTERNAL_ID_TAKEN)
        return arena_printf(arena, "Account %s has this externalId.", id);
    if (refusal == REFUSAL_PRECONDITION_FAILED)
        return arena_printf(arena, "Account %s was at revision %u.", id, entry->revision);
    if (refusal == REFUSAL_ACCOUNT_NOT_EMPTY)
        return arena_printf(arena, "Account %s had a balance of %lld, %lld incoming and %lld outgoing.", id,
            (long long)amounts_balance(entry->after, entry->side), (long long)entry->after.incoming,
            (long long)entry->after.outgoing);
    if (refusal == REFUSAL_EXPECTED_VERSION)
        return arena_printf(
            arena, "Account %s was at version %llu.", id, (unsigned long long)(entry->version - 1));
    if (refusal == REFUSAL_EXPECTED_AVAILABLE)
        return arena_printf(
            arena, "Account %s had %lld available, less than was expected.", id, (long long)available);
    if (refusal == REFUSAL_REVERSAL_EXCEEDS && record->declined_amount == 0)
        return STR("All of it has been reversed.");
    if (refusal == REFUSAL_REVERSAL_EXCEEDS)
        return arena_printf(
            arena, "%lld was to be reversed; less is left.", (long long)record->declined_amount);
    if (refusal == REFUSAL_ACCOUNT_FROZEN || refusal == REFUSAL_ACCOUNT_CLOSED)
        return arena_printf(
            arena, "Account %s was %s.", id, refusal == REFUSAL_ACCOUNT_FROZEN ? "frozen" : "closed");
    return arena_printf(arena, "Account %s refused.", id);
}

void problem_of_record(const struct record *record, struct arena *arena, struct problem *ret_problem)
{
    INVARIANT_F(record->kind == RECORD_DECLINED, "seq %llu", (unsigned long long)record->seq);
    *ret_problem = (struct problem){
        .refusal = (enum refusal)record->refusal,
        .seq = record->seq,
        .transfer = &record->id,
        .has_required = record->declined_amount != 0,
        .required_minor = record->declined_amount,
    };
    if (record->n_entries == 0)
        return;
    const struct entry *entry = &record->entries[0];
    int64_t available = amounts_available(entry->after, entry->side);
    ret_problem->account = &entry->account_id;
    /* Of a reversal it is not the account that falls short: what the account has says nothing of what is left. */
    ret_problem->has_available = record->refusal != REFUSAL_REVERSAL_EXCEEDS;
    ret_problem->available_minor = available;
    ret_problem->detail = declined_detail(record, entry, available, arena);
}

void api_problem_respond(struct api_response *r, const struct problem *problem, bool amount_strings)
{
    r->status = problem_status(problem->refusal);
    r->content_type = PROBLEM_CONTENT_TYPE;
    if (r->status == 503)
        api_response_header(r, "Retry-After", "1");
    if (r->status == 401)
        api_response_header(r, "WWW-Authenticate", "Bearer realm=\"creditledger\"");
    strbuf_clear(&r->body);
    struct json_out out = {&r->body, amount_strings};
    problem_encode(&out, problem);
}

void api_problem_write(struct api_response *r, enum refusal refusal, struct str detail)
{
    api_problem_respond(r, &(struct problem){.refusal = refusal, .detail = detail}, false);
}
