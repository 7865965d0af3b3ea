#include "journal/canonical.h"

#include <string.h>

/* Sizes of the parts whose length is fixed; strings and optional values come on top. docs/record-format.md.
 */
#define STRING_NONE 0xffff
#define RECORD_SIZE_MAX \
    1024 /* all before the rows: fixed fields and five strings of at most 255 bytes, rounded up */
#define REVISION_SIZE_MIN 22
#define REVISION_SIZE_MAX 30
#define ENTRY_SIZE_MIN 79
#define ENTRY_SIZE_MAX 87
#define LOT_SIZE_MIN 42
#define LOT_SIZE_MAX 50

/* ---- writing: `width` bytes, the most significant first ---- */

static void put(struct strbuf *b, uint64_t value, unsigned width)
{
    /* Room was reserved by whoever started the part. */
    uint64_t big = __builtin_bswap64(value);
    memcpy(b->data + b->len, (const uint8_t *)&big + (8 - width), width);
    b->len += width;
}

static void put_signed(struct strbuf *b, int64_t value)
{
    put(b, (uint64_t)value, 8);
}

static void put_bytes(struct strbuf *b, const void *bytes, size_t len)
{
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
}

static void put_string(struct strbuf *b, struct str s)
{
    if (s.data == NULL) {
        put(b, STRING_NONE, 2);
        return;
    }
    INVARIANT_F(s.len < STRING_NONE, "string of %zu bytes", s.len);
    strbuf_reserve(b, s.len + RECORD_SIZE_MAX);
    put(b, s.len, 2);
    if (s.len > 0)
        put_bytes(b, s.data, s.len);
}

/* A byte that says whether a value follows. */
static void put_optional(struct strbuf *b, bool present, const void *bytes, size_t len)
{
    put(b, present, 1);
    if (present)
        put_bytes(b, bytes, len);
}

static void put_optional_signed(struct strbuf *b, bool present, int64_t value)
{
    put(b, present, 1);
    if (present)
        put_signed(b, value);
}

static void put_header(struct strbuf *b, const struct record *r)
{
    strbuf_reserve(b, RECORD_SIZE_MAX);
    put(b, r->format, 4);
    put(b, r->ledger, 4);
    put(b, r->seq, 8);
    put(b, (uint64_t)r->kind, 2);
    put_bytes(b, r->id.bytes, sizeof r->id.bytes);
    put_signed(b, r->effective_at);
    put_signed(b, r->recorded_at);
    put(b, r->related_seq, 8);
    put(b, r->refusal, 4);
    put_signed(b, r->declined_amount);
    put_string(b, r->idempotency_key);
    if (r->idempotency_key.data != NULL)
        put_bytes(b, r->request_hash, HASH_LEN);
    put_string(b, r->reference);
    put_string(b, r->actor);
    put_optional(b, r->has_trace, r->trace_id, TRACE_ID_LEN);
    put_optional(b, r->text.present, r->text.digest, HASH_LEN);
}

static void put_account(struct strbuf *b, const struct record *r, const struct asset *asset)
{
    put(b, r->account != NULL, 1);
    if (r->account == NULL)
        return;
    const struct account_row *a = r->account;
    INVARIANT_F(a->opened_seq == r->seq, "seq %llu", (unsigned long long)r->seq);
    INVARIANT_F(asset != NULL && asset->id == a->asset, "seq %llu", (unsigned long long)r->seq);
    put(b, a->number, 8);
    put_bytes(b, a->id.bytes, sizeof a->id.bytes);
    put(b, a->asset, 4);
    put_string(b, str_of(asset->code));
    put(b, asset->scale, 1);
    put(b, (uint64_t)a->type, 1);
    put_string(b, a->external_id);
}

static void put_revision(struct strbuf *b, const struct revision_row *v)
{
    put(b, v->account, 8);
    put(b, v->revision, 4);
    put(b, (uint64_t)v->status, 1);
    put_optional_signed(b, v->floor.present, v->floor.minor);
    put(b, v->text_seq, 8);
}

static void put_amounts(struct strbuf *b, struct amounts a)
{
    put_signed(b, a.posted);
    put_signed(b, a.incoming);
    put_signed(b, a.outgoing);
}

static void put_entry(struct strbuf *b, const struct entry *e)
{
    put(b, e->leg, 4);
    put(b, e->account, 8);
    put(b, e->version, 8);
    put(b, e->asset, 4);
    put(b, (uint64_t)e->side, 1);
    put(b, e->revision, 4);
    put_optional_signed(b, e->floor.present, e->floor.minor);
    put_amounts(b, e->change);
    put_amounts(b, e->after);
    put(b, e->backdated, 1);
}

static void put_lot(struct strbuf *b, const struct lot *l)
{
    put(b, l->origin, 8);
    put(b, l->leg, 4);
    put(b, (uint64_t)l->kind, 1);
    put(b, l->version, 4);
    put(b, l->account, 8);
    put_signed(b, l->change);
    put_signed(b, l->remaining_after);
    put_optional_signed(b, l->has_due, l->due_at);
}

static void put_count(struct strbuf *b, size_t n, size_t row_size_max)
{
    INVARIANT(n <= UINT32_MAX);
    strbuf_reserve(b, 4 + n * row_size_max + 4);
    put(b, n, 4);
}

void canonical_encode(const struct record *record, const struct asset *asset, struct strbuf *b)
{
    put_header(b, record);
    put_account(b, record, asset);
    put_count(b, record->n_revisions, REVISION_SIZE_MAX);
    for (size_t i = 0; i < record->n_revisions; i++)
        put_revision(b, &record->revisions[i]);
    put_count(b, record->n_entries, ENTRY_SIZE_MAX);
    for (size_t i = 0; i < record->n_entries; i++)
        put_entry(b, &record->entries[i]);
    put_count(b, record->n_lots, LOT_SIZE_MAX);
    for (size_t i = 0; i < record->n_lots; i++)
        put_lot(b, &record->lots[i]);
}

void canonical_ledger(
    uint32_t id, struct str name, struct floor default_floor, int64_t created_at, struct strbuf *b)
{
    strbuf_reserve(b, RECORD_SIZE_MAX);
    put(b, id, 4);
    put_string(b, name);
    put_optional_signed(b, default_floor.present, default_floor.minor);
    put_signed(b, created_at);
}

/* ---- reading: the first fault sticks, and everything after it reads as zero ---- */

struct reader {
    const uint8_t *bytes;
    size_t len, at;
    struct arena *arena;
    struct err *err;
    bool failed;
};

static void fail(struct reader *r, size_t at, const char *what)
{
    if (!r->failed)
        err_set(r->err, ERR_CORRUPT, "canonical bytes: %s at offset %zu", what, at);
    r->failed = true;
    r->at = r->len;
}

static const uint8_t *take(struct reader *r, size_t len)
{
    if (r->failed || r->len - r->at < len) {
        fail(r, r->at, "end of bytes");
        return NULL;
    }
    r->at += len;
    return r->bytes + r->at - len;
}

static uint64_t get(struct reader *r, unsigned width)
{
    const uint8_t *p = take(r, width);
    uint64_t value = 0;
    for (unsigned i = 0; p != NULL && i < width; i++)
        value = value << 8 | p[i];
    return value;
}

static int64_t get_signed(struct reader *r)
{
    return (int64_t)get(r, 8);
}

static uint32_t get32(struct reader *r)
{
    return (uint32_t)get(r, 4);
}

/* A number from `first` to `last`, for which the code has a meaning. */
static unsigned get_among(struct reader *r, unsigned width, unsigned first, unsigned last, const char *what)
{
    uint64_t value = get(r, width);
    if (!r->failed && (value < first || value > last))
        fail(r, r->at - width, what);
    return r->failed ? first : (unsigned)value;
}

static bool get_bool(struct reader *r)
{
    return get_among(r, 1, 0, 1, "a flag that is neither 0 nor 1") == 1;
}

static void get_bytes(struct reader *r, void *ret_bytes, size_t len)
{
    const uint8_t *p = take(r, len);
    if (p != NULL)
        memcpy(ret_bytes, p, len);
}

static struct str get_string(struct reader *r)
{
    size_t len = (size_t)get(r, 2);
    if (r->failed || len == STRING_NONE)
        return STR_NONE;
    const uint8_t *p = take(r, len);
    return p ? arena_str(r->arena, (struct str){(const char *)p, len}) : STR_NONE;
}

static struct floor get_floor(struct reader *r)
{
    struct floor f = {.present = get_bool(r)};
    if (f.present)
        f.minor = get_signed(r);
    return f;
}

/* How many rows follow: never more than the bytes left can hold, so that a lie cannot make us allocate. */
static size_t get_count(struct reader *r, size_t row_size_min)
{
    size_t n = get32(r);
    if (!r->failed && n > (r->len - r->at) / row_size_min)
        fail(r, r->at - 4, "a count of rows that the bytes left cannot hold");
    return r->failed ? 0 : n;
}

static void get_header(struct reader *r, struct record *record)
{
    record->format = get32(r);
    if (!r->failed && record->format != RECORD_FORMAT)
        fail(r, 0, "an unknown format");
    record->ledger = get32(r);
    record->seq = get(r, 8);
    record->kind = (enum record_kind)get_among(r, 2, RECORD_OPENING, RECORD_EXCHANGE, "an unknown kind");
    get_bytes(r, record->id.bytes, sizeof record->id.bytes);
    record->effective_at = get_signed(r);
    record->recorded_at = get_signed(r);
    record->related_seq = get(r, 8);
    record->refusal = get32(r);
    record->declined_amount = get_signed(r);
    record->idempotency_key = get_string(r);
    if (record->idempotency_key.data != NULL)
        get_bytes(r, record->request_hash, HASH_LEN);
    record->reference = get_string(r);
    record->actor = get_string(r);
    record->has_trace = get_bool(r);
    if (record->has_trace)
        get_bytes(r, record->trace_id, TRACE_ID_LEN);
    record->text.present = get_bool(r);
    if (record->text.present)
        get_bytes(r, record->text.digest, HASH_LEN);
}

static void get_account(struct reader *r, struct record *record, struct asset *asset)
{
    if (!get_bool(r))
        return;
    struct account_row *a = ARENA_NEW(r->arena, struct account_row);
    a->opened_seq = record->seq;
    a->number = get(r, 8);
    get_bytes(r, a->id.bytes, sizeof a->id.bytes);
    a->asset = asset->id = get32(r);
    size_t code_at = r->at;
    struct str code = get_string(r);
    if (!asset_code_valid(code))
        fail(r, code_at, "an invalid asset code");
    else
        memcpy(asset->code, code.data, code.len);
    asset->scale = (uint8_t)get_among(r, 1, 0, LIMIT_ASSET_SCALE_MAX, "an invalid scale");
    a->type = (enum account_type)get_among(r, 1, ACCOUNT_ASSET, ACCOUNT_EXPENSE, "an unknown account type");
    a->external_id = get_string(r);
    record->account = a;
}

static void get_revisions(struct reader *r, struct record *record)
{
    record->n_revisions = get_count(r, REVISION_SIZE_MIN);
    struct revision_row *rows = ARENA_ARRAY(r->arena, struct revision_row, record->n_revisions);
    for (size_t i = 0; i < record->n_revisions; i++) {
        rows[i].account = get(r, 8);
        rows[i].revision = get32(r);
        rows[i].status =
            (enum account_status)get_among(r, 1, ACCOUNT_OPEN, ACCOUNT_CLOSED, "an unknown account status");
        rows[i].floor = get_floor(r);
        rows[i].text_seq = get(r, 8);
    }
    record->revisions = rows;
}

static struct amounts get_amounts(struct reader *r)
{
    struct amounts a;
    a.posted = get_signed(r);
    a.incoming = get_signed(r);
    a.outgoing = get_signed(r);
    return a;
}

static void get_entries(struct reader *r, struct record *record)
{
    record->n_entries = get_count(r, ENTRY_SIZE_MIN);
    struct entry *rows = ARENA_ARRAY(r->arena, struct entry, record->n_entries);
    for (size_t i = 0; i < record->n_entries; i++) {
        rows[i].leg = get32(r);
        rows[i].account = get(r, 8);
        rows[i].version = get(r, 8);
        rows[i].asset = get32(r);
        uint64_t side = get(r, 1);
        if (side != 0x01 && side != 0xff)
            fail(r, r->at - 1, "a side that is neither 1 nor -1");
        rows[i].side = side == 0x01 ? 1 : -1;
        rows[i].revision = get32(r);
        rows[i].floor = get_floor(r);
        rows[i].change = get_amounts(r);
        rows[i].after = get_amounts(r);
        rows[i].backdated = get_bool(r);
        rows[i].effective_at = record->effective_at;
    }
    record->entries = rows;
}

static void get_lots(struct reader *r, struct record *record)
{
    record->n_lots = get_count(r, LOT_SIZE_MIN);
    struct lot *rows = ARENA_ARRAY(r->arena, struct lot, record->n_lots);
    for (size_t i = 0; i < record->n_lots; i++) {
        rows[i].origin = get(r, 8);
        rows[i].leg = get32(r);
        rows[i].kind = (enum lot_kind)get_among(r, 1, LOT_HOLD, LOT_REFUNDABLE, "an unknown kind of lot");
        rows[i].version = get32(r);
        rows[i].account = get(r, 8);
        rows[i].change = get_signed(r);
        rows[i].remaining_after = get_signed(r);
        rows[i].has_due = get_bool(r);
        if (rows[i].has_due)
            rows[i].due_at = get_signed(r);
    }
    record->lots = rows;
}

bool canonical_decode(struct str bytes, struct arena *arena, struct record *ret_record,
    struct asset *ret_asset, struct err *err)
{
    struct reader r = {.bytes = (const uint8_t *)bytes.data, .len = bytes.len, .arena = arena, .err = err};
    struct record record = {0};
    struct asset asset = {0};
    get_header(&r, &record);
    get_account(&r, &record, &asset);
    get_revisions(&r, &record);
    get_entries(&r, &record);
    get_lots(&r, &record);
    if (!r.failed && r.at != r.len)
        fail(&r, r.at, "more bytes than the record has");
    if (r.failed)
        return false;
    *ret_record = record;
    *ret_asset = asset;
    return true;
}
