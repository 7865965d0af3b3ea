/* Facts from events, which come from outside: every member is looked at before it counts. */
#include <jansson.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "events/event_json.h"
#include "money/amount.h"
#include "money/asset.h"
#include "readmodel/fact.h"

/* One event being read. The first thing wrong stays in `err`, and what is read after it does not count. */
struct decoding {
    json_t *root;
    struct str data;
    struct arena *arena;
    struct err *err;
    bool bad;
};

static void bad(struct decoding *d, const char *name, const char *what)
{
    if (!d->bad)
        err_set(d->err, ERR_CORRUPT, "the event's \"%s\" %s", name, what);
    d->bad = true;
}

/* The member, or NULL for null and for none; `optional` says whether that is in order. */
static json_t *member(struct decoding *d, json_t *object, const char *name, bool optional)
{
    json_t *value = json_object_get(object, name);
    if (value == NULL || json_is_null(value)) {
        if (!optional)
            bad(d, name, "is missing");
        return NULL;
    }
    return value;
}

static int64_t integer(struct decoding *d, json_t *object, const char *name, int64_t least, int64_t most)
{
    json_t *value = member(d, object, name, false);
    if (value == NULL)
        return least;
    if (!json_is_integer(value) || json_integer_value(value) < least || json_integer_value(value) > most) {
        bad(d, name, "is no integer within its range");
        return least;
    }
    return json_integer_value(value);
}

static uint64_t counter(struct decoding *d, const char *name)
{
    return (uint64_t)integer(d, d->root, name, 1, (int64_t)UUID_COUNTER_MAX);
}

static int64_t amount(struct decoding *d, json_t *object, const char *name)
{
    return integer(d, object, name, -LIMIT_AMOUNT_MAX, LIMIT_AMOUNT_MAX);
}

static struct str text(struct decoding *d, json_t *object, const char *name, size_t most, bool optional)
{
    json_t *value = member(d, object, name, optional);
    if (value == NULL)
        return STR_NONE;
    if (!json_is_string(value) || json_string_length(value) > most) {
        bad(d, name, "is no text of its length");
        return STR_NONE;
    }
    return arena_str(d->arena, (struct str){json_string_value(value), json_string_length(value)});
}

static struct uuid uuid(struct decoding *d, json_t *object, const char *name)
{
    struct uuid id = {{0}};
    struct str written = text(d, object, name, UUID_TEXT_LEN, false);
    if (!d->bad && (!uuid_parse(written, &id) || uuid_counter(id) == 0))
        bad(d, name, "is no id");
    return id;
}

static int64_t instant(struct decoding *d, const char *name)
{
    int64_t at = 0;
    struct str written = text(d, d->root, name, 64, false);
    if (!d->bad && !instant_parse(written, &at))
        bad(d, name, "is no time");
    return at;
}

static struct floor floor_of(struct decoding *d)
{
    if (member(d, d->root, "minBalance", true) == NULL)
        return (struct floor){.present = false};
    return (struct floor){.present = true, .minor = amount(d, d->root, "minBalance")};
}

static int8_t side(struct decoding *d)
{
    struct str written = text(d, d->root, "normalSide", 16, false);
    if (!d->bad && !str_eq_c(written, "credit") && !str_eq_c(written, "debit"))
        bad(d, "normalSide", "is neither credit nor debit");
    return str_eq_c(written, "credit") ? 1 : -1;
}

static struct str currency(struct decoding *d, json_t *object)
{
    struct str code = text(d, object, "currency", LIMIT_ASSET_CODE_MAX, false);
    if (!d->bad && !asset_code_valid(code))
        bad(d, "currency", "is no currency");
    return code;
}

static uint8_t scale(struct decoding *d)
{
    return (uint8_t)integer(d, d->root, "scale", 0, LIMIT_ASSET_SCALE_MAX);
}

/*
 * As it was written, if it stands there without blanks, as ours do; else in the same form. `type` is what it must be.
 */
static struct str raw(struct decoding *d, const char *name, json_type type, size_t most)
{
    json_t *value = member(d, d->root, name, true);
    if (value == NULL)
        return STR_NONE;
    if (json_typeof(value) != type) {
        bad(d, name, "is of another type");
        return STR_NONE;
    }
    struct str written = event_json_member(d->data, name);
    if (written.data != NULL) {
        written = arena_str(d->arena, written);
    } else {
        char *dumped = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        INVARIANT(dumped != NULL);
        written = arena_str(d->arena, str_of(dumped));
        free(dumped);
    }
    if (written.len > most)
        bad(d, name, "is too long");
    return written;
}

static void decode_trace(struct decoding *d, struct fact_transfer *t)
{
    struct str written = text(d, d->root, "traceId", 2 * (size_t)TRACE_ID_LEN, true);
    t->has_trace = written.data != NULL;
    if (t->has_trace && !str_to_bytes(written, t->trace_id, TRACE_ID_LEN))
        bad(d, "traceId", "is no trace's id");
}

static void decode_postings(struct decoding *d, struct fact_transfer *t)
{
    json_t *postings = member(d, d->root, "postings", false), *posting;
    size_t i;
    if (!json_is_array(postings)) {
        bad(d, "postings", "is no array");
        return;
    }
    json_array_foreach(postings, i, posting)
    {
        struct str code = currency(d, posting);
        if (i == 0)
            t->currency = code;
        int64_t value = amount(d, posting, "amount");
        if (!d->bad && str_eq(code, t->currency))
            fact_transfer_add(t, value);
    }
}

static void decode_transfer(struct decoding *d, struct fact *f)
{
    struct fact_transfer *t = &f->transfer;
    f->record = uuid(d, d->root, "transferId");
    *t = (struct fact_transfer){
        .idempotency_key = text(d, d->root, "idempotencyKey", LIMIT_IDEMPOTENCY_KEY_MAX, true),
        .actor = text(d, d->root, "actor", LIMIT_ACTOR_MAX, true),
        .metadata = raw(d, "metadata", JSON_OBJECT, LIMIT_TEXT_BODY_MAX)};
    decode_trace(d, t);
    if (f->record_kind == RECORD_DECLINED) {
        t->refusal = text(d, d->root, "code", 64, true);
        t->declined_amount = amount(d, d->root, "declinedAmount");
    } else {
        decode_postings(d, t);
    }
}

static void decode_account(struct decoding *d, struct fact *f)
{
    struct fact_account *a = &f->account;
    *a = (struct fact_account){.account = uuid(d, d->root, "accountId"),
        .currency = currency(d, d->root),
        .scale = scale(d),
        .side = side(d),
        .opened = f->record_kind == RECORD_OPENING,
        .revision = (uint32_t)integer(d, d->root, "revision", 1, INT32_MAX),
        .floor = floor_of(d),
        .has_text = json_object_get(d->root, "metadata") != NULL,
        .actor = text(d, d->root, "actor", LIMIT_ACTOR_MAX, true)};
    struct str status = text(d, d->root, "status", 16, false);
    if (!d->bad && !account_status_parse(status, &a->status))
        bad(d, "status", "is not known");
    if (a->opened) {
        struct str type = text(d, d->root, "type", 16, false);
        if (!d->bad && (!account_type_parse(type, &a->type) || account_type_side(a->type) != a->side))
            bad(d, "type", "is not known, or of the other side");
        a->external_id = text(d, d->root, "externalId", LIMIT_EXTERNAL_ID_MAX, true);
    }
    if (a->has_text) {
        a->name = raw(d, "name", JSON_STRING, LIMIT_TEXT_BODY_MAX);
        a->metadata = raw(d, "metadata", JSON_OBJECT, LIMIT_TEXT_BODY_MAX);
    }
    if (!d->bad && counter(d, "number") != uuid_counter(a->account))
        bad(d, "number", "is not that of the account's id");
}

/* Amounts come in the account's normal sign; facts have them signed, credit positive. */
static struct amounts amounts_of(struct decoding *d, const char *posted, const char *pending, int8_t sign)
{
    json_t *object = member(d, d->root, pending, false);
    if (!json_is_object(object)) {
        bad(d, pending, "is no object");
        return (struct amounts){0};
    }
    return (struct amounts){.posted = sign * amount(d, d->root, posted),
        .incoming = amount(d, object, "incoming"),
        .outgoing = amount(d, object, "outgoing")};
}

static void decode_entry(struct decoding *d, struct fact *f)
{
    struct fact_entry *e = &f->entry;
    f->record = uuid(d, d->root, "transferId");
    *e = (struct fact_entry){.leg = (uint32_t)integer(d, d->root, "leg", 0, 2 * LIMIT_POSTINGS_MAX - 1),
        .account = uuid(d, d->root, "accountId"),
        .has_counterparty = member(d, d->root, "counterparty", true) != NULL,
        .version = counter(d, "version"),
        .currency = currency(d, d->root),
        .scale = scale(d),
        .side = side(d),
        .revision = (uint32_t)integer(d, d->root, "revision", 1, INT32_MAX),
        .floor = floor_of(d)};
    if (e->has_counterparty)
        e->counterparty = uuid(d, d->root, "counterparty");
    e->change = amounts_of(d, "change", "pendingChange", e->side);
    e->after = amounts_of(d, "balance", "pending", e->side);
    f->n = e->leg + (uint32_t)event_first_entry(f->record_kind);
    if (!d->bad && (e->after.incoming < 0 || e->after.outgoing < 0))
        bad(d, "pending", "is negative");
}

static bool kind_of(struct str name, enum record_kind *ret_kind)
{
#define X(NAME, name_, number) \
    if (str_eq_c(name, #name_)) { \
        *ret_kind = RECORD_##NAME; \
        return true; \
    }
    RECORD_KIND_TABLE(X)
#undef X
    return false;
}

/* Its type and the kind of its record go together. */
static const struct {
    const char *type;
    enum fact_kind fact;
    enum record_kind record;
} types[] = {
    {"ledger.transfer.posted.v1", FACT_TRANSFER, RECORD_TRANSFER},
    {"ledger.transfer.reversed.v1", FACT_TRANSFER, RECORD_REVERSAL},
    {"ledger.transfer.declined.v1", FACT_TRANSFER, RECORD_DECLINED},
    {"ledger.account.opened.v1", FACT_ACCOUNT, RECORD_OPENING},
    {"ledger.account.revised.v1", FACT_ACCOUNT, RECORD_REVISION},
    {FACT_ENTRY_TYPE, FACT_ENTRY, 0},
};

static void decode_record(struct decoding *d, size_t type, struct fact *f)
{
    f->kind = types[type].fact;
    f->ledger = text(d, d->root, "ledger", LIMIT_LEDGER_NAME_MAX, false);
    f->seq = counter(d, "seq");
    f->of = (uint32_t)integer(d, d->root, "events", 1, 2 * LIMIT_POSTINGS_MAX + 1);
    f->recorded_at = instant(d, "recordedAt");
    f->effective_at = f->kind == FACT_ACCOUNT ? f->recorded_at : instant(d, "effectiveAt");
    if (f->kind != FACT_ACCOUNT) {
        f->reference = text(d, d->root, "reference", LIMIT_REFERENCE_MAX, true);
        if (member(d, d->root, "relatedSeq", true) != NULL)
            f->related_seq = counter(d, "relatedSeq");
    }
    struct str kind = text(d, d->root, "kind", 16, false);
    if (d->bad)
        return;
    if (!kind_of(kind, &f->record_kind) || (types[type].record != 0 && types[type].record != f->record_kind))
        bad(d, "kind", "is not known, or not its type's");
    else if (f->kind == FACT_TRANSFER)
        decode_transfer(d, f);
    else if (f->kind == FACT_ACCOUNT)
        decode_account(d, f);
    else
        decode_entry(d, f);
    if (!d->bad && f->ledger.len == 0)
        bad(d, "ledger", "is empty");
    if (!d->bad && f->kind != FACT_ACCOUNT && uuid_counter(f->record) != f->seq)
        bad(d, "transferId", "is not that of the seq");
    if (!d->bad && f->n >= f->of)
        bad(d, "events", "is less than this one's place");
}

bool fact_decode(struct str type, struct str data, struct arena *arena, struct fact *ret_fact,
    bool *ret_known, struct err *err)
{
    size_t i = 0;
    while (i < sizeof types / sizeof types[0] && !str_eq_c(type, types[i].type))
        i++;
    *ret_known = i < sizeof types / sizeof types[0];
    if (!*ret_known)
        return true;
    json_error_t error;
    struct decoding d = {.data = data, .arena = arena, .err = err};
    d.root = data.len > 0 ? json_loadb(data.data, data.len, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (!json_is_object(d.root)) {
        if (d.root == NULL && data.len > 0)
            err_set(err, ERR_CORRUPT, "the event's data are no JSON: %s", error.text);
        else
            err_set(err, ERR_CORRUPT, "the event's data are no JSON object");
        json_decref(d.root);
        return false;
    }
    *ret_fact = (struct fact){.offset = -1};
    decode_record(&d, i, ret_fact);
    json_decref(d.root);
    return !d.bad;
}
