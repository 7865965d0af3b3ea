/* One line an entry, RFC 4180, with a header. Amounts in minor units; balances in the account's normal sign.
 */
#include "app/export.h"

#include "app/csv.h"
#include "base/instant.h"

static int begin(struct exporter *x, struct err *err)
{
    (void)err;
    strbuf_c(&x->b,
        "ledger,seq,leg,kind,transfer_id,recorded_at,effective_at,account,account_id,external_id,type,"
        "currency,"
        "scale,debit_minor,credit_minor,balance_minor,available_minor,version,reference,idempotency_key,"
        "related_seq\n");
    return 0;
}

static void put_text(struct strbuf *b, struct str s)
{
    strbuf_csv(b, s, ',');
    strbuf_char(b, ',');
}

static void put_uint(struct strbuf *b, uint64_t value)
{
    strbuf_uint(b, value);
    strbuf_char(b, ',');
}

static void put_int(struct strbuf *b, int64_t value)
{
    strbuf_int(b, value);
    strbuf_char(b, ',');
}

static void put_record_head(struct exporter *x, const struct record *r, uint32_t leg)
{
    const char *kind = record_kind_name(r->kind);
    put_text(&x->b, str_of(x->request->ledger->name));
    put_uint(&x->b, r->seq);
    put_uint(&x->b, leg);
    put_text(&x->b, kind ? str_of(kind) : STR_NONE);
    strbuf_uuid(&x->b, r->id);
    strbuf_char(&x->b, ',');
    strbuf_instant(&x->b, r->recorded_at);
    strbuf_char(&x->b, ',');
    strbuf_instant(&x->b, r->effective_at);
    strbuf_char(&x->b, ',');
}

static int put_entry(struct exporter *x, const struct record *r, const struct entry *e, struct err *err)
{
    struct export_account *account;
    const struct asset *asset;
    int rc = export_account_find(x, e->account, &account, err);
    if (rc == 0)
        rc = asset_table_find(&x->assets, e->asset, &asset, err);
    if (rc != 0)
        return rc;
    struct strbuf *b = &x->b;
    put_record_head(x, r, e->leg);
    put_uint(b, e->account);
    strbuf_uuid(b, account->id);
    strbuf_char(b, ',');
    put_text(b, account->external_id);
    put_text(b, str_of(account_type_name(account->type)));
    put_text(b, str_of(asset->code));
    put_uint(b, asset->scale);
    put_int(b, e->change.posted < 0 ? -e->change.posted : 0);
    put_int(b, e->change.posted > 0 ? e->change.posted : 0);
    put_int(b, amounts_balance(e->after, e->side));
    put_int(b, amounts_available(e->after, e->side));
    put_uint(b, e->version);
    put_text(b, r->reference);
    put_text(b, r->idempotency_key);
    if (r->related_seq != 0)
        strbuf_uint(b, r->related_seq);
    strbuf_char(b, '\n');
    return 0;
}

static int put_record(struct exporter *x, const struct record *r, struct err *err)
{
    for (size_t i = 0; i < r->n_entries; i++) {
        int rc = put_entry(x, r, &r->entries[i], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int end(struct exporter *x, struct err *err)
{
    (void)x;
    (void)err;
    return 0;
}

const struct export_writer export_csv = {begin, put_record, end, .needs_accounts = true};
