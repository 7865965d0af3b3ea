#include "readmodel/fact.h"

#include "events/event_json.h"
#include "ledger/refusal.h"
#include "money/amount.h"

static struct str metadata_of(const struct record_text *text)
{
    if (!text->present)
        return STR("{}");
    if (!text->readable)
        return STR_NONE;
    struct str raw = event_json_member(text->body, "metadata");
    return raw.data != NULL ? raw : STR("{}");
}

static struct str name_of(const struct record_text *text)
{
    struct str raw = text->readable ? event_json_member(text->body, "name") : STR_NONE;
    return str_eq_c(raw, "null") ? STR_NONE : raw;
}

static void transfer_of(const struct event_source *s, struct fact_transfer *t)
{
    const struct record *r = s->record;
    bool declined = r->kind == RECORD_DECLINED;
    const struct refusal_info *info = declined ? refusal_info((enum refusal)r->refusal) : NULL;
    *t = (struct fact_transfer){.idempotency_key = r->idempotency_key,
        .actor = r->actor,
        .refusal = info != NULL ? str_of(info->name) : STR_NONE,
        .declined_amount = declined ? r->declined_amount : 0,
        .has_trace = r->has_trace,
        .metadata = metadata_of(&r->text)};
    for (size_t i = 0; r->has_trace && i < TRACE_ID_LEN; i++)
        t->trace_id[i] = r->trace_id[i];
    for (size_t i = 1; !declined && i < r->n_entries; i += 2) {
        if (i == 1)
            t->currency = str_of(s->assets[i]->code);
        if (str_eq_c(t->currency, s->assets[i]->code))
            fact_transfer_add(t, r->entries[i].change.posted);
    }
}

void fact_transfer_add(struct fact_transfer *t, int64_t amount)
{
    if (__builtin_add_overflow(t->amount, amount, &t->amount))
        t->amount = INT64_MAX;
}

static void account_of(const struct event_source *s, struct fact_account *a)
{
    const struct record *r = s->record;
    INVARIANT_F(r->n_revisions == 1 && r->n_entries == 1, "record %llu", (unsigned long long)r->seq);
    const struct revision_row *revision = &r->revisions[0];
    *a = (struct fact_account){.account = r->entries[0].account_id,
        .currency = str_of(s->assets[0]->code),
        .scale = s->assets[0]->scale,
        .side = r->entries[0].side,
        .opened = r->account != NULL,
        .revision = revision->revision,
        .status = revision->status,
        .floor = revision->floor,
        .has_text = r->account != NULL || revision->text_seq == r->seq,
        .actor = r->actor};
    if (a->opened) {
        a->type = r->account->type;
        a->external_id = r->account->external_id;
    }
    if (a->has_text) {
        a->name = name_of(&r->text);
        a->metadata = metadata_of(&r->text);
    }
}

static void entry_of(const struct event_source *s, const struct entry *e, struct fact_entry *f)
{
    const struct entry *other = event_counterparty(s->record, e->leg);
    *f = (struct fact_entry){.leg = e->leg,
        .account = e->account_id,
        .version = e->version,
        .currency = str_of(s->assets[e->leg]->code),
        .scale = s->assets[e->leg]->scale,
        .side = e->side,
        .revision = e->revision,
        .floor = e->floor,
        .change = e->change,
        .after = e->after};
    if (other != NULL) {
        f->has_counterparty = true;
        f->counterparty = other->account_id;
    }
}

void fact_of_record(const struct event_source *s, size_t n, struct arena *arena, struct fact *ret_fact)
{
    (void)arena; /* all text is the record's */
    const struct record *r = s->record;
    size_t first = event_first_entry(r->kind);
    INVARIANT_F(n < event_count(r), "fact %zu of record %llu", n, (unsigned long long)r->seq);
    struct fact *f = ret_fact;
    *f = (struct fact){.kind = FACT_ENTRY,
        .ledger = s->ledger,
        .seq = r->seq,
        .n = (uint32_t)n,
        .of = (uint32_t)event_count(r),
        .record_kind = r->kind,
        .record = r->id,
        .reference = r->reference,
        .effective_at = r->effective_at,
        .recorded_at = r->recorded_at,
        .related_seq = r->related_seq,
        .offset = -1};
    if (n >= first) {
        entry_of(s, &r->entries[n - first], &f->entry);
    } else if (r->kind == RECORD_OPENING || r->kind == RECORD_REVISION) {
        f->kind = FACT_ACCOUNT;
        f->record = (struct uuid){{0}};
        f->reference = STR_NONE;
        f->effective_at = r->recorded_at;
        f->related_seq = 0;
        account_of(s, &f->account);
    } else {
        f->kind = FACT_TRANSFER;
        transfer_of(s, &f->transfer);
    }
}

struct str fact_entry_json(const struct fact *f, struct arena *arena)
{
    INVARIANT(f->kind == FACT_ENTRY);
    const struct fact_entry *e = &f->entry;
    struct strbuf b;
    strbuf_init(&b);
    strbuf_char(&b, '{');
    event_json_uuid(&b, "accountId", e->account);
    event_json_uint(&b, "version", e->version);
    event_json_text(&b, "currency", e->currency);
    event_json_int(&b, "change", amounts_balance(e->change, e->side));
    event_json_int(&b, "balance", amounts_balance(e->after, e->side));
    event_json_name(&b, "minBalance");
    if (e->floor.present)
        strbuf_int(&b, e->floor.minor);
    else
        strbuf_c(&b, "null");
    event_json_int(&b, "scale", e->scale);
    event_json_text(&b, "normalSide", e->side > 0 ? STR("credit") : STR("debit"));
    strbuf_printf(&b,
        ",\"pending\":{\"incoming\":%lld,\"outgoing\":%lld},\"pendingChange\":{\"incoming\":%lld,"
        "\"outgoing\":%lld}",
        (long long)e->after.incoming, (long long)e->after.outgoing, (long long)e->change.incoming,
        (long long)e->change.outgoing);
    event_json_uint(&b, "revision", e->revision);
    event_json_text(&b, "ledger", f->ledger);
    event_json_uint(&b, "seq", f->seq);
    event_json_text(&b, "kind", str_of(record_kind_name(f->record_kind)));
    event_json_uint(&b, "events", f->of);
    event_json_uint(&b, "leg", e->leg);
    if (e->has_counterparty)
        event_json_uuid(&b, "counterparty", e->counterparty);
    else
        strbuf_c(&b, ",\"counterparty\":null");
    event_json_uuid(&b, "transferId", f->record);
    event_json_text(&b, "reference", f->reference);
    event_json_instant(&b, "effectiveAt", f->effective_at);
    event_json_instant(&b, "recordedAt", f->recorded_at);
    event_json_name(&b, "relatedSeq");
    if (f->related_seq != 0)
        strbuf_uint(&b, f->related_seq);
    else
        strbuf_c(&b, "null");
    strbuf_char(&b, '}');
    struct str json = arena_str(arena, strbuf_view(&b));
    strbuf_fini(&b);
    return json;
}
