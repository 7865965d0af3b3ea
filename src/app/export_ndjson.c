/* One JSON object a line: the ledger, then every record with all its rows, then an end that shows nothing is
 * cut off. */
#include "app/export.h"

#include "api/json_out.h"
#include "journal/digest.h"
#include "ledger/refusal.h"

static void put_hex(struct json_out *o, const char *key, bool present, const uint8_t *bytes, size_t len)
{
    out_key(o, key);
    if (!present) {
        out_null(o);
        return;
    }
    strbuf_char(o->b, '"');
    strbuf_hex(o->b, bytes, len);
    strbuf_char(o->b, '"');
}

static void put_seq(struct json_out *o, const char *key, uint64_t seq)
{
    if (seq == 0)
        out_null_member(o, key);
    else
        out_uint_member(o, key, seq);
}

static int begin(struct exporter *x, struct err *err)
{
    (void)err;
    const struct ledger_row *ledger = x->request->ledger;
    struct json_out o = {.b = &x->b};
    uint8_t genesis[HASH_LEN];
    struct digest *d = digest_new();
    digest_genesis(d, ledger, genesis);
    digest_free(d);
    out_begin(&o, '{');
    out_c_member(&o, "type", "ledger");
    out_c_member(&o, "ledger", ledger->name);
    out_uint_member(&o, "id", ledger->id);
    out_floor_member(&o, "defaultMinBalance", ledger->default_floor);
    out_instant_member(&o, "createdAt", ledger->created_at);
    put_hex(&o, "genesisHash", true, genesis, HASH_LEN);
    out_end(&o, '}');
    strbuf_char(&x->b, '\n');
    return 0;
}

static int put_account(struct exporter *x, struct json_out *o, const struct record *r, struct err *err)
{
    out_key(o, "account");
    if (r->account == NULL) {
        out_null(o);
        return 0;
    }
    const struct asset *asset;
    int rc = asset_table_find(&x->assets, r->account->asset, &asset, err);
    if (rc != 0)
        return rc;
    out_begin(o, '{');
    out_uint_member(o, "number", r->account->number);
    out_uuid_member(o, "id", r->account->id);
    out_uint_member(o, "asset", asset->id);
    out_c_member(o, "currency", asset->code);
    out_uint_member(o, "scale", asset->scale);
    out_c_member(o, "type", account_type_name(r->account->type));
    out_str_member(o, "externalId", r->account->external_id);
    out_end(o, '}');
    return 0;
}

static void put_revisions(struct json_out *o, const struct record *r)
{
    out_key(o, "revisions");
    out_begin(o, '[');
    for (size_t i = 0; i < r->n_revisions; i++) {
        const struct revision_row *v = &r->revisions[i];
        out_begin(o, '{');
        out_uint_member(o, "account", v->account);
        out_uint_member(o, "revision", v->revision);
        out_c_member(o, "status", account_status_name(v->status));
        out_floor_member(o, "minBalance", v->floor);
        put_seq(o, "textSeq", v->text_seq);
        out_end(o, '}');
    }
    out_end(o, ']');
}

static void put_entries(struct json_out *o, const struct record *r)
{
    out_key(o, "entries");
    out_begin(o, '[');
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct entry *e = &r->entries[i];
        out_begin(o, '{');
        out_uint_member(o, "leg", e->leg);
        out_uint_member(o, "account", e->account);
        out_uuid_member(o, "accountId", e->account_id);
        out_uint_member(o, "version", e->version);
        out_uint_member(o, "asset", e->asset);
        out_int_member(o, "side", e->side);
        out_uint_member(o, "revision", e->revision);
        out_floor_member(o, "minBalance", e->floor);
        out_int_member(o, "posted", e->change.posted);
        out_int_member(o, "incoming", e->change.incoming);
        out_int_member(o, "outgoing", e->change.outgoing);
        out_int_member(o, "postedAfter", e->after.posted);
        out_int_member(o, "incomingAfter", e->after.incoming);
        out_int_member(o, "outgoingAfter", e->after.outgoing);
        out_bool_member(o, "backdated", e->backdated);
        out_end(o, '}');
    }
    out_end(o, ']');
}

static void put_lots(struct json_out *o, const struct record *r)
{
    static const char *const kinds[] = {NULL, "hold", "grant", "refundable"};
    out_key(o, "lots");
    out_begin(o, '[');
    for (size_t i = 0; i < r->n_lots; i++) {
        const struct lot *l = &r->lots[i];
        out_begin(o, '{');
        out_uint_member(o, "origin", l->origin);
        out_uint_member(o, "leg", l->leg);
        out_c_member(o, "kind", (size_t)l->kind < sizeof kinds / sizeof *kinds ? kinds[l->kind] : NULL);
        out_uint_member(o, "version", l->version);
        out_uint_member(o, "account", l->account);
        out_int_member(o, "change", l->change);
        out_int_member(o, "remainingAfter", l->remaining_after);
        if (l->has_due)
            out_instant_member(o, "dueAt", l->due_at);
        else
            out_null_member(o, "dueAt");
        out_end(o, '}');
    }
    out_end(o, ']');
}

/* Body and salt are there to check the digest with, so the body is a string of exactly the bytes that were
 * hashed. */
static void put_text(struct json_out *o, const struct record_text *text)
{
    put_hex(o, "textDigest", text->present, text->digest, HASH_LEN);
    put_hex(o, "textSalt", text->present && text->readable, text->salt, SALT_LEN);
    out_str_member(o, "text", text->present && text->readable ? text->body : STR_NONE);
}

static int put_record(struct exporter *x, const struct record *r, struct err *err)
{
    struct json_out o = {.b = &x->b};
    const struct refusal_info *refusal = r->refusal ? refusal_info((enum refusal)r->refusal) : NULL;
    out_begin(&o, '{');
    out_c_member(&o, "type", "record");
    out_uint_member(&o, "seq", r->seq);
    out_c_member(&o, "kind", record_kind_name(r->kind));
    out_uuid_member(&o, "id", r->id);
    out_str_member(&o, "idempotencyKey", r->idempotency_key);
    put_hex(&o, "requestHash", r->idempotency_key.data != NULL, r->request_hash, HASH_LEN);
    out_instant_member(&o, "effectiveAt", r->effective_at);
    out_instant_member(&o, "recordedAt", r->recorded_at);
    out_str_member(&o, "reference", r->reference);
    put_seq(&o, "relatedSeq", r->related_seq);
    out_str_member(&o, "actor", r->actor);
    put_hex(&o, "traceId", r->has_trace, r->trace_id, TRACE_ID_LEN);
    put_seq(&o, "refusal", r->refusal);
    out_c_member(&o, "code", refusal ? refusal->name : NULL);
    out_int_member(&o, "declinedAmount", r->declined_amount);
    put_text(&o, &r->text);
    int rc = put_account(x, &o, r, err);
    put_revisions(&o, r);
    put_entries(&o, r);
    put_lots(&o, r);
    out_uint_member(&o, "format", r->format);
    put_hex(&o, "hash", true, r->hash, HASH_LEN);
    out_end(&o, '}');
    strbuf_char(&x->b, '\n');
    return rc;
}

static int end(struct exporter *x, struct err *err)
{
    (void)err;
    struct json_out o = {.b = &x->b};
    out_begin(&o, '{');
    out_c_member(&o, "type", "end");
    out_uint_member(&o, "seq", x->head.seq);
    put_hex(&o, "hash", true, x->head.hash, HASH_LEN);
    out_end(&o, '}');
    strbuf_char(&x->b, '\n');
    return 0;
}

const struct export_writer export_ndjson = {begin, put_record, end, .needs_text = true};
