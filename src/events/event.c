#include "events/event.h"

#include <string.h>

#include "base/instant.h"
#include "events/event_json.h"
#include "ledger/refusal.h"

#define EVENT_BYTES 1000 /* most are smaller; the buffer grows */

static const char *record_event_type(enum record_kind kind, enum event_topic *ret_topic)
{
    *ret_topic = EVENT_TOPIC_TRANSFER;
    switch (kind) {
    case RECORD_TRANSFER:
        return "ledger.transfer.posted.v1";
    case RECORD_REVERSAL:
        return "ledger.transfer.reversed.v1";
    case RECORD_DECLINED:
        return "ledger.transfer.declined.v1";
    case RECORD_OPENING:
        *ret_topic = EVENT_TOPIC_ACCOUNT;
        return "ledger.account.opened.v1";
    case RECORD_REVISION:
        *ret_topic = EVENT_TOPIC_ACCOUNT;
        return "ledger.account.revised.v1";
    case RECORD_ERASURE:
    case RECORD_HOLD:
    case RECORD_CAPTURE:
    case RECORD_VOID:
    case RECORD_GRANT:
    case RECORD_EXPIRY:
    case RECORD_EXCHANGE:
        break; /* told by their entries */
    }
    return NULL;
}

const char *event_topic_name(enum event_topic topic)
{
    switch (topic) {
    case EVENT_TOPIC_TRANSFER:
        return "ledger.transfer.v1";
    case EVENT_TOPIC_ENTRY:
        return "ledger.entry.v1";
    case EVENT_TOPIC_ACCOUNT:
        return "ledger.account.v1";
    }
    return NULL;
}

size_t event_first_entry(enum record_kind kind)
{
    enum event_topic topic;
    return record_event_type(kind, &topic) != NULL;
}

size_t event_count(const struct record *r)
{
    return event_first_entry(r->kind) + r->n_entries;
}

static struct str uuid_text(struct uuid id, struct arena *arena)
{
    char *text = arena_alloc(arena, UUID_TEXT_LEN + 1);
    uuid_format(id, text);
    return (struct str){text, UUID_TEXT_LEN};
}

static void put_floor(struct strbuf *b, struct floor floor)
{
    event_json_name(b, "minBalance");
    if (floor.present)
        strbuf_int(b, floor.minor);
    else
        strbuf_c(b, "null");
}

/* `metadata` is {} when there is none, null when it is unreadable (erased, or not asked for). */
static void put_metadata(struct strbuf *b, const struct record_text *text)
{
    struct str raw = text->readable ? event_json_member(text->body, "metadata") : STR_NONE;
    event_json_name(b, "metadata");
    if (raw.data != NULL)
        strbuf_str(b, raw);
    else
        strbuf_c(b, text->present && !text->readable ? "null" : "{}");
}

static void put_name(struct strbuf *b, const struct record_text *text)
{
    struct str raw = text->readable ? event_json_member(text->body, "name") : STR_NONE;
    event_json_name(b, "name");
    strbuf_str(b, raw.data != NULL ? raw : STR("null"));
}

static void put_trace(struct strbuf *b, const struct record *r)
{
    event_json_name(b, "traceId");
    if (!r->has_trace) {
        strbuf_c(b, "null");
        return;
    }
    strbuf_char(b, '"');
    strbuf_hex(b, r->trace_id, TRACE_ID_LEN);
    strbuf_char(b, '"');
}

static void put_related(struct strbuf *b, const struct record *r)
{
    event_json_name(b, "relatedSeq");
    if (r->related_seq != 0)
        strbuf_uint(b, r->related_seq);
    else
        strbuf_c(b, "null");
}

/* An entry as the API shows it: in the account's normal sign. */
static void put_entry_members(struct strbuf *b, const struct entry *e, const struct asset *asset)
{
    event_json_uuid(b, "accountId", e->account_id);
    event_json_uint(b, "version", e->version);
    event_json_text(b, "currency", str_of(asset->code));
    event_json_int(b, "change", amounts_balance(e->change, e->side));
    event_json_int(b, "balance", amounts_balance(e->after, e->side));
    event_json_int(b, "available", amounts_available(e->after, e->side));
    put_floor(b, e->floor);
}

/* Entries come in pairs, debit then credit, one pair a posting. */
static void put_postings(struct strbuf *b, const struct event_source *s)
{
    const struct record *r = s->record;
    event_json_name(b, "postings");
    strbuf_char(b, '[');
    for (size_t i = 0; i + 1 < r->n_entries; i += 2) {
        const struct entry *debit = &r->entries[i], *credit = &r->entries[i + 1];
        strbuf_c(b, i > 0 ? ",{" : "{");
        event_json_uuid(b, "debit", debit->account_id);
        event_json_uuid(b, "credit", credit->account_id);
        event_json_int(b, "amount", credit->change.posted);
        event_json_text(b, "currency", str_of(s->assets[i]->code));
        strbuf_char(b, '}');
    }
    strbuf_char(b, ']');
}

static void put_record_members(struct strbuf *b, const struct event_source *s)
{
    const struct record *r = s->record;
    event_json_text(b, "ledger", s->ledger);
    event_json_uint(b, "seq", r->seq);
    event_json_text(b, "kind", str_of(record_kind_name(r->kind)));
    event_json_uint(b, "events", event_count(r));
}

static void put_times(struct strbuf *b, const struct record *r)
{
    event_json_instant(b, "effectiveAt", r->effective_at);
    event_json_instant(b, "recordedAt", r->recorded_at);
}

static void put_declined(struct strbuf *b, const struct event_source *s)
{
    const struct record *r = s->record;
    const struct refusal_info *info = refusal_info((enum refusal)r->refusal);
    event_json_text(b, "code", info != NULL ? str_of(info->name) : STR_NONE);
    event_json_int(b, "declinedAmount", r->declined_amount);
}

static void put_transfer(struct strbuf *b, const struct event_source *s)
{
    const struct record *r = s->record;
    event_json_uuid(b, "transferId", r->id);
    put_record_members(b, s);
    bool declined = r->kind == RECORD_DECLINED;
    event_json_text(b, "status", declined ? STR("declined") : STR("posted"));
    if (declined)
        put_declined(b, s);
    else
        put_postings(b, s);
    event_json_name(b, "entries");
    strbuf_char(b, '[');
    for (size_t i = 0; i < r->n_entries; i++) {
        strbuf_c(b, i > 0 ? ",{" : "{");
        put_entry_members(b, &r->entries[i], s->assets[i]);
        strbuf_char(b, '}');
    }
    strbuf_char(b, ']');
    event_json_text(b, "idempotencyKey", r->idempotency_key);
    event_json_text(b, "reference", r->reference);
    put_times(b, r);
    put_metadata(b, &r->text);
    put_related(b, r);
    event_json_text(b, "actor", r->actor);
    put_trace(b, r);
}

/* Opened: the whole account. Revised: what is in force now; name and metadata only if this revision set them.
 */
static void put_account(struct strbuf *b, const struct event_source *s)
{
    const struct record *r = s->record;
    INVARIANT_F(r->n_revisions == 1 && r->n_entries == 1, "record %llu", (unsigned long long)r->seq);
    const struct revision_row *revision = &r->revisions[0];
    const struct account_row *account = r->account;
    event_json_uuid(b, "accountId", r->entries[0].account_id);
    put_record_members(b, s);
    event_json_uint(b, "number", revision->account);
    event_json_text(b, "currency", str_of(s->assets[0]->code));
    event_json_int(b, "scale", s->assets[0]->scale);
    if (account != NULL) {
        event_json_text(b, "type", str_of(account_type_name(account->type)));
        event_json_text(b, "externalId", account->external_id);
    }
    event_json_text(b, "normalSide", r->entries[0].side > 0 ? STR("credit") : STR("debit"));
    event_json_text(b, "status", str_of(account_status_name(revision->status)));
    put_floor(b, revision->floor);
    event_json_uint(b, "revision", revision->revision);
    if (account != NULL || revision->text_seq == r->seq) {
        put_name(b, &r->text);
        put_metadata(b, &r->text);
    }
    event_json_uint(b, "version", r->entries[0].version);
    event_json_text(b, "idempotencyKey", r->idempotency_key);
    event_json_instant(b, "recordedAt", r->recorded_at);
    event_json_text(b, "actor", r->actor);
    put_trace(b, r);
}

static void put_pending(struct strbuf *b, const char *name, struct amounts amounts)
{
    event_json_name(b, name);
    strbuf_c(b, "{\"incoming\":");
    strbuf_int(b, amounts.incoming);
    strbuf_c(b, ",\"outgoing\":");
    strbuf_int(b, amounts.outgoing);
    strbuf_char(b, '}');
}

const struct entry *event_counterparty(const struct record *r, uint32_t leg)
{
    size_t other = leg ^ 1u;
    return r->n_entries >= 2 && entry_moves(&r->entries[0]) && other < r->n_entries ? &r->entries[other]
                                                                                    : NULL;
}

static void put_counterparty(struct strbuf *b, const struct record *r, uint32_t leg)
{
    const struct entry *other = event_counterparty(r, leg);
    event_json_name(b, "counterparty");
    if (other == NULL) {
        strbuf_c(b, "null");
        return;
    }
    strbuf_char(b, '"');
    strbuf_uuid(b, other->account_id);
    strbuf_char(b, '"');
}

static void put_entry(struct strbuf *b, const struct event_source *s, const struct entry *e)
{
    const struct record *r = s->record;
    put_entry_members(b, e, s->assets[e->leg]);
    event_json_int(b, "scale", s->assets[e->leg]->scale);
    event_json_text(b, "normalSide", e->side > 0 ? STR("credit") : STR("debit"));
    put_pending(b, "pending", e->after);
    put_pending(b, "pendingChange", e->change);
    event_json_uint(b, "revision", e->revision);
    put_record_members(b, s);
    event_json_uint(b, "leg", e->leg);
    put_counterparty(b, r, e->leg);
    event_json_uuid(b, "transferId", r->id);
    event_json_text(b, "reference", r->reference);
    put_times(b, r);
    put_related(b, r);
}

/*
 * The trace goes on from the record: the parent is the span of its commit, whose id is the record id's last eight bytes,
 * unique to it and never zero; the flags are there too.
 */
static void set_traceparent(const struct record *r, struct event *e)
{
    e->has_traceparent = r->has_trace;
    if (!r->has_trace)
        return;
    struct trace_context context = {.flags = trace_flags_of(r->id.bytes)};
    memcpy(context.trace_id, r->trace_id, sizeof context.trace_id);
    memcpy(context.parent_id, r->id.bytes + 8, sizeof context.parent_id);
    trace_format(&context, e->traceparent);
}

/* `<ledger>:<seq>[:<leg>]`, and `/ledgers/<ledger>`: at the front of what becomes one copy with the data. */
static size_t put_id(struct strbuf *b, const struct event_source *s, const struct entry *entry)
{
    strbuf_str(b, s->ledger);
    strbuf_char(b, ':');
    strbuf_uint(b, s->record->seq);
    if (entry != NULL) {
        strbuf_char(b, ':');
        strbuf_uint(b, entry->leg);
    }
    return b->len;
}

static size_t put_source(struct strbuf *b, const struct event_source *s)
{
    strbuf_c(b, "/ledgers/");
    strbuf_str(b, s->ledger);
    return b->len;
}

void event_at(const struct event_source *s, size_t n, struct arena *arena, struct event *ret_event)
{
    const struct record *r = s->record;
    INVARIANT_F(n < event_count(r), "event %zu of record %llu", n, (unsigned long long)r->seq);
    struct event e = {.time = r->recorded_at};
    struct strbuf b;
    strbuf_init(&b);
    strbuf_reserve(&b, EVENT_BYTES);
    const char *type = record_event_type(r->kind, &e.topic);
    const struct entry *entry = type != NULL && n == 0 ? NULL : &r->entries[n - (type != NULL)];
    bool account = entry == NULL && e.topic == EVENT_TOPIC_ACCOUNT;
    size_t id = put_id(&b, s, entry), source = put_source(&b, s);
    strbuf_char(&b, '{');
    if (entry != NULL) {
        e.topic = EVENT_TOPIC_ENTRY;
        e.type = "ledger.entry.posted.v1";
        e.key = uuid_text(entry->account_id, arena);
        put_entry(&b, s, entry);
    } else {
        e.type = type;
        e.key = uuid_text(account ? r->entries[0].account_id : r->id, arena);
        if (account)
            put_account(&b, s);
        else
            put_transfer(&b, s);
    }
    strbuf_char(&b, '}');
    struct str all = arena_str(arena, strbuf_view(&b));
    strbuf_fini(&b);
    e.id = (struct str){all.data, id};
    e.source = (struct str){all.data + id, source - id};
    e.data = (struct str){all.data + source, all.len - source};
    e.subject = e.key;
    set_traceparent(r, &e);
    *ret_event = e;
}

void event_json(const struct event *e, struct strbuf *b)
{
    strbuf_c(b, "{\"specversion\":\"1.0\"");
    event_json_text(b, "id", e->id);
    event_json_text(b, "source", e->source);
    event_json_text(b, "type", str_of(e->type));
    event_json_text(b, "subject", e->subject);
    event_json_instant(b, "time", e->time);
    event_json_text(b, "partitionkey", e->key);
    if (e->has_traceparent)
        event_json_text(b, "traceparent", str_of(e->traceparent));
    strbuf_c(b, ",\"datacontenttype\":\"application/json\",\"data\":");
    strbuf_str(b, e->data);
    strbuf_char(b, '}');
}
