/* Facts from events, which come from outside: every member is looked at before it counts. */
#include <jansson.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "events/event_json.h"
#include "money/amount.h"
#include "money/asset.h"
#include "readmodel/fact.h"
#include "readmodel/json_plain.h"

/* One event being read. The first thing wrong stays in `err`, and what is read after it does not count. */
struct decoding {
    struct json_value *root;
    json_t *tree; /* what is not plain, as it was read; else NULL */
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
static struct json_value *member(
    struct decoding *d, const struct json_value *object, const char *name, bool optional)
{
    struct json_value *value = json_value_member(object, name);
    if (value != NULL && value->kind != JSON_KIND_NULL)
        return value;
    if (!optional)
        bad(d, name, "is missing");
    return NULL;
}

static int64_t integer(
    struct decoding *d, const struct json_value *object, const char *name, int64_t least, int64_t most)
{
    const struct json_value *value = member(d, object, name, false);
    if (value == NULL)
        return least;
    if (value->kind != JSON_KIND_INT || value->integer < least || value->integer > most) {
        bad(d, name, "is no integer within its range");
        return least;
    }
    return value->integer;
}

static uint64_t counter(struct decoding *d, const char *name)
{
    return (uint64_t)integer(d, d->root, name, 1, (int64_t)UUID_COUNTER_MAX);
}

static int64_t amount(struct decoding *d, const struct json_value *object, const char *name)
{
    return integer(d, object, name, -LIMIT_AMOUNT_MAX, LIMIT_AMOUNT_MAX);
}

static struct str text(
    struct decoding *d, const struct json_value *object, const char *name, size_t most, bool optional)
{
    const struct json_value *value = member(d, object, name, optional);
    if (value == NULL)
        return STR_NONE;
    if (value->kind != JSON_KIND_TEXT || value->text.len > most) {
        bad(d, name, "is no text of its length");
        return STR_NONE;
    }
    return value->text;
}

static struct uuid uuid(struct decoding *d, const struct json_value *object, const char *name)
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

static struct str currency(struct decoding *d, const struct json_value *object)
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

/* Read by jansson: as it was written, if it stands there without blanks; else in the same form. */
static struct str raw_of_tree(struct decoding *d, const char *name)
{
    struct str written = event_json_member(d->data, name);
    if (written.data != NULL)
        return written;
    char *dumped =
        json_dumps(json_object_get(d->tree, name), JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    INVARIANT(dumped != NULL);
    written = arena_str(d->arena, str_of(dumped));
    free(dumped);
    return written;
}

/* JSON text. `kind` is what it must be. */
static struct str raw(struct decoding *d, const char *name, enum json_kind kind, size_t most)
{
    const struct json_value *value = member(d, d->root, name, true);
    if (value == NULL)
        return STR_NONE;
    if (value->kind != kind) {
        bad(d, name, "is of another type");
        return STR_NONE;
    }
    struct str written = value->raw.data != NULL ? value->raw : raw_of_tree(d, name);
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
    const struct json_value *postings = member(d, d->root, "postings", false);
    if (postings == NULL || postings->kind != JSON_KIND_ARRAY) {
        bad(d, "postings", "is no array");
        return;
    }
    for (const struct json_value *posting = postings->first; posting != NULL; posting = posting->next) {
        struct str code = currency(d, posting);
        if (posting == postings->first)
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
        .metadata = raw(d, "metadata", JSON_KIND_OBJECT, LIMIT_TEXT_BODY_MAX)};
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
        .has_text = json_value_member(d->root, "metadata") != NULL,
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
        a->name = raw(d, "name", JSON_KIND_TEXT, LIMIT_TEXT_BODY_MAX);
        a->metadata = raw(d, "metadata", JSON_KIND_OBJECT, LIMIT_TEXT_BODY_MAX);
    }
    if (!d->bad && counter(d, "number") != uuid_counter(a->account))
        bad(d, "number", "is not that of the account's id");
}

/* Amounts come in the account's normal sign; facts have them signed, credit positive. */
static struct amounts amounts_of(struct decoding *d, const char *posted, const char *pending, int8_t sign)
{
    const struct json_value *object = member(d, d->root, pending, false);
    if (object == NULL || object->kind != JSON_KIND_OBJECT) {
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

static struct json_value *value_of_tree(json_t *tree, struct arena *arena)
{
    static const enum json_kind kinds[] = {[JSON_OBJECT] = JSON_KIND_OBJECT,
        [JSON_ARRAY] = JSON_KIND_ARRAY,
        [JSON_STRING] = JSON_KIND_TEXT,
        [JSON_INTEGER] = JSON_KIND_INT,
        [JSON_REAL] = JSON_KIND_REAL,
        [JSON_TRUE] = JSON_KIND_BOOL,
        [JSON_FALSE] = JSON_KIND_BOOL,
        [JSON_NULL] = JSON_KIND_NULL};
    struct json_value *value = ARENA_NEW(arena, struct json_value), **last = &value->first;
    *value = (struct json_value){.kind = kinds[json_typeof(tree)]};
    const char *name;
    json_t *child;
    size_t i;
    if (json_is_string(tree))
        value->text = arena_str(arena, (struct str){json_string_value(tree), json_string_length(tree)});
    else if (json_is_integer(tree))
        value->integer = json_integer_value(tree);
    json_object_foreach(tree, name, child)
    {
        *last = value_of_tree(child, arena);
        (*last)->name = arena_str(arena, str_of(name));
        last = &(*last)->next;
    }
    json_array_foreach(tree, i, child)
    {
        *last = value_of_tree(child, arena);
        last = &(*last)->next;
    }
    return value;
}

/* All of JSON, for what is not plain. */
static void read_tree(struct decoding *d)
{
    json_error_t error;
    d->tree = d->data.len > 0 ? json_loadb(d->data.data, d->data.len, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (d->tree != NULL)
        d->root = value_of_tree(d->tree, d->arena);
    else if (d->data.len > 0)
        err_set(d->err, ERR_CORRUPT, "the event's data are no JSON: %s", error.text);
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
    struct decoding d = {.data = data, .arena = arena, .err = err, .root = json_plain(data, arena)};
    if (d.root == NULL)
        read_tree(&d);
    if (d.root != NULL && d.root->kind == JSON_KIND_OBJECT) {
        *ret_fact = (struct fact){.offset = -1};
        decode_record(&d, i, ret_fact);
    } else {
        d.bad = true;
        if (d.root != NULL || data.len == 0)
            err_set(err, ERR_CORRUPT, "the event's data are no JSON object");
    }
    json_decref(d.tree);
    return !d.bad;
}
