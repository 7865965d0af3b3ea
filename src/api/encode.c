#include "api/encode.h"

#include <string.h>

#include "api/text.h"
#include "base/instant.h"
#include "ledger/refusal.h"

/* name and metadata; both null once erased. */
static void encode_name(struct json_out *o, const struct record_text *text)
{
    struct text_parts parts;
    out_key(o, "name");
    if (text != NULL && text->readable && text_split(text->body, &parts) && parts.name.data != NULL)
        out_raw(o, parts.name);
    else
        out_null(o);
}

static void encode_metadata(struct json_out *o, const struct record_text *text)
{
    struct text_parts parts;
    out_key(o, "metadata");
    if (text == NULL || !text->present)
        out_raw(o, STR("{}"));
    else if (!text->readable)
        out_null(o);
    else if (text_split(text->body, &parts) && parts.metadata.data != NULL)
        out_raw(o, parts.metadata);
    else
        out_raw(o, STR("{}"));
}

/* Legs come in pairs, one a posting: debit, then credit. Declines, openings and the like have a zero entry
 * instead. */
static size_t postings_of(const struct record *record)
{
    return record->n_entries >= 2 && entry_moves(&record->entries[0]) ? record->n_entries / 2 : 0;
}

static struct str code_of(const struct record_view *view, uint32_t asset)
{
    const struct asset *found = view->assets.find(view->assets.ctx, asset);
    INVARIANT_F(found != NULL, "asset %u", asset);
    return str_of(found->code);
}

static void encode_postings(struct json_out *o, const struct record_view *view)
{
    const struct record *record = view->record;
    size_t n = postings_of(record);
    if (n == 1) {
        out_uuid_member(o, "from", record->entries[0].account_id);
        out_uuid_member(o, "to", record->entries[1].account_id);
        out_amount_member(o, "amount", record->entries[1].change.posted);
        out_str_member(o, "currency", code_of(view, record->entries[1].asset));
    }
    out_key(o, "postings");
    out_begin(o, '[');
    for (size_t i = 0; i < n; i++) {
        const struct entry *debit = &record->entries[2 * i], *credit = debit + 1;
        out_begin(o, '{');
        out_uuid_member(o, "debit", debit->account_id);
        out_uuid_member(o, "credit", credit->account_id);
        out_amount_member(o, "amount", credit->change.posted);
        out_str_member(o, "currency", code_of(view, credit->asset));
        out_end(o, '}');
    }
    out_end(o, ']');
}

static void encode_entries(struct json_out *o, const struct record *record)
{
    out_key(o, "entries");
    out_begin(o, '[');
    for (size_t i = 0; i < record->n_entries; i++) {
        const struct entry *entry = &record->entries[i];
        out_begin(o, '{');
        out_uuid_member(o, "accountId", entry->account_id);
        out_uint_member(o, "version", entry->version);
        out_amount_member(o, "change", amounts_balance(entry->change, entry->side));
        out_amount_member(o, "balance", amounts_balance(entry->after, entry->side));
        out_amount_member(o, "available", amounts_available(entry->after, entry->side));
        out_floor_member(o, "minBalance", entry->floor);
        out_end(o, '}');
    }
    out_end(o, ']');
}

static void encode_decline(struct json_out *o, const struct record *record)
{
    if (record->kind != RECORD_DECLINED)
        return;
    const struct refusal_info *info = refusal_info((enum refusal)record->refusal);
    out_c_member(o, "code", info != NULL ? info->name : NULL);
    out_amount_member(o, "declinedAmount", record->declined_amount);
}

static void encode_identity(struct json_out *o, const struct record_view *view)
{
    const struct record *record = view->record;
    if (view->dry_run) {
        out_bool_member(o, "dryRun", true);
        out_null_member(o, "transferId");
    } else {
        out_uuid_member(o, "transferId", record->id);
    }
    out_str_member(o, "ledger", view->ledger);
    out_c_member(o, "kind", record_kind_name(record->kind));
    out_c_member(o, "status", record->kind == RECORD_DECLINED ? "declined" : "posted");
    if (view->dry_run)
        out_null_member(o, "seq");
    else
        out_uint_member(o, "seq", record->seq);
}

void encode_record(struct json_out *o, const struct record_view *view)
{
    const struct record *record = view->record;
    out_begin(o, '{');
    encode_identity(o, view);
    encode_decline(o, record);
    encode_postings(o, view);
    encode_entries(o, record);
    out_str_member(o, "idempotencyKey", record->idempotency_key);
    out_str_member(o, "reference", record->reference);
    out_instant_member(o, "effectiveAt", record->effective_at);
    out_instant_member(o, "recordedAt", record->recorded_at);
    encode_metadata(o, &record->text);
    out_key(o, "relatedTransferId");
    if (view->related != NULL)
        out_uuid(o, *view->related);
    else
        out_null(o);
    out_str_member(o, "actor", record->actor);
    out_key(o, "traceId");
    if (record->has_trace) {
        strbuf_char(o->b, '"');
        strbuf_hex(o->b, record->trace_id, TRACE_ID_LEN);
        strbuf_char(o->b, '"');
    } else {
        out_null(o);
    }
    out_end(o, '}');
}

struct account_view account_view_opened(
    const struct record *opening, struct str ledger, const struct asset *asset)
{
    INVARIANT(opening->kind == RECORD_OPENING && opening->account != NULL && opening->n_revisions == 1);
    return (struct account_view){
        .ledger = ledger,
        .number = opening->account->number,
        .id = opening->account->id,
        .asset = asset,
        .type = opening->account->type,
        .external_id = opening->account->external_id,
        .opened_seq = opening->seq,
        .opened_at = opening->recorded_at,
        .revision = opening->revisions[0].revision,
        .status = opening->revisions[0].status,
        .floor = opening->revisions[0].floor,
        .text = &opening->text,
    };
}

void encode_account(struct json_out *o, const struct account_view *view)
{
    out_begin(o, '{');
    if (view->dry_run)
        out_bool_member(o, "dryRun", true);
    if (view->unborn)
        out_null_member(o, "accountId");
    else
        out_uuid_member(o, "accountId", view->id);
    out_str_member(o, "ledger", view->ledger);
    if (view->unborn)
        out_null_member(o, "number");
    else
        out_uint_member(o, "number", view->number);
    out_c_member(o, "currency", view->asset->code);
    out_uint_member(o, "scale", view->asset->scale);
    out_c_member(o, "type", account_type_name(view->type));
    out_c_member(o, "normalSide", account_type_side(view->type) > 0 ? "credit" : "debit");
    out_str_member(o, "externalId", view->external_id);
    encode_name(o, view->text);
    encode_metadata(o, view->text);
    out_c_member(o, "status", account_status_name(view->status));
    out_floor_member(o, "minBalance", view->floor);
    out_uint_member(o, "revision", view->revision);
    out_instant_member(o, "openedAt", view->opened_at);
    if (view->unborn)
        out_null_member(o, "seq");
    else
        out_uint_member(o, "seq", view->opened_seq);
    out_end(o, '}');
}

void encode_balance(struct json_out *o, const struct balance_view *view)
{
    const struct history_balance *b = &view->balance;
    int64_t posted = amounts_balance(b->amounts, view->side);
    out_begin(o, '{');
    out_uuid_member(o, "accountId", view->account);
    out_str_member(o, "currency", view->currency);
    out_amount_member(o, "balance", posted);
    out_amount_member(o, "posted", posted);
    out_key(o, "pending");
    out_begin(o, '{');
    out_amount_member(o, "incoming", b->amounts.incoming);
    out_amount_member(o, "outgoing", b->amounts.outgoing);
    out_end(o, '}');
    out_amount_member(o, "available", amounts_available(b->amounts, view->side));
    out_floor_member(o, "minBalance", b->floor);
    out_uint_member(o, "version", b->version);
    out_uint_member(o, "seq", b->seq);
    out_instant_member(o, "asOf", view->as_of);
    out_uint_member(o, "asOfSeq", view->as_of_seq);
    out_end(o, '}');
}

/* The other side of a leg; of a record without pairs, nobody. */
static const struct uuid *counterparty_of(const struct statement_view *view, size_t i)
{
    const struct record *record = view->records[i];
    if (view->counterparties != NULL)
        return view->has_counterparty[i] ? &view->counterparties[i] : NULL;
    size_t other = view->statement->lines[i].entry.leg ^ 1u;
    bool paired = postings_of(record) > 0 && other < record->n_entries;
    return paired ? &record->entries[other].account_id : NULL;
}

static void encode_counterparties(struct json_out *o, const struct uuid *counterparty)
{
    out_key(o, "counterparties");
    out_begin(o, '[');
    if (counterparty != NULL)
        out_uuid(o, *counterparty);
    out_end(o, ']');
}

static void encode_line(struct json_out *o, const struct statement_view *view, size_t i)
{
    const struct history_line *line = &view->statement->lines[i];
    const struct record *record = view->records[i];
    out_begin(o, '{');
    out_uint_member(o, "seq", line->seq);
    out_uuid_member(o, "transferId", record->id);
    out_c_member(o, "kind", record_kind_name(record->kind));
    out_uint_member(o, "version", line->entry.version);
    out_amount_member(o, "amount", amounts_balance(line->entry.change, view->side));
    out_amount_member(o, "balance", amounts_balance(line->running, view->side));
    out_amount_member(o, "available", amounts_available(line->running, view->side));
    encode_counterparties(o, counterparty_of(view, i));
    out_str_member(o, "reference", record->reference);
    out_instant_member(o, "effectiveAt", line->effective_at);
    out_instant_member(o, "recordedAt", line->recorded_at);
    out_end(o, '}');
}

void encode_statement(struct json_out *o, const struct statement_view *view)
{
    const struct history_statement *s = view->statement;
    out_begin(o, '{');
    out_uuid_member(o, "accountId", view->account);
    out_str_member(o, "currency", view->currency);
    out_c_member(o, "axis", view->axis == AXIS_EFFECTIVE ? "effective" : "recorded");
    out_key(o, "from");
    if (view->has_from)
        out_instant(o, view->from);
    else
        out_null(o);
    out_instant_member(o, "to", view->to);
    out_amount_member(o, "opening", amounts_balance(s->opening, view->side));
    out_key(o, "lines");
    out_begin(o, '[');
    for (size_t i = 0; i < s->n_lines; i++)
        encode_line(o, view, i);
    out_end(o, ']');
    out_amount_member(o, "closing", amounts_balance(s->closing, view->side));
    out_uint_member(o, "asOfSeq", view->as_of_seq);
    if (view->cursor.data != NULL)
        out_str_member(o, "cursor", view->cursor);
    out_end(o, '}');
}

void encode_day(struct json_out *o, const struct day_view *view)
{
    char text[INSTANT_TEXT_LEN + 1];
    instant_format(view->midnight, text);
    out_begin(o, '{');
    out_str_member(o, "day", (struct str){text, strlen("2026-01-31")});
    out_sum_member(o, "in", view->in);
    out_sum_member(o, "out", view->out);
    out_uint_member(o, "count", view->count);
    out_amount_member(o, "closing", view->closing);
    out_end(o, '}');
}

void encode_total(struct json_out *o, const struct total_view *view)
{
    out_begin(o, '{');
    out_str_member(o, "currency", view->currency);
    out_uint_member(o, "scale", view->scale);
    out_uint_member(o, "accounts", view->accounts);
    out_uint_member(o, "entries", view->entries);
    out_sum_member(o, "volume", view->volume);
    out_sum_member(o, "creditNormal", view->credit_normal);
    out_sum_member(o, "debitNormal", view->debit_normal);
    out_end(o, '}');
}

void encode_ledger(struct json_out *o, const struct ledger_row *ledger, uint64_t seq, bool dry_run)
{
    out_begin(o, '{');
    if (dry_run)
        out_bool_member(o, "dryRun", true);
    out_c_member(o, "ledger", ledger->name);
    out_floor_member(o, "defaultMinBalance", ledger->default_floor);
    out_instant_member(o, "createdAt", ledger->created_at);
    out_uint_member(o, "seq", seq);
    out_end(o, '}');
}

void encode_asset(struct json_out *o, const struct asset *asset, bool dry_run)
{
    out_begin(o, '{');
    if (dry_run)
        out_bool_member(o, "dryRun", true);
    out_c_member(o, "currency", asset->code);
    out_uint_member(o, "scale", asset->scale);
    out_end(o, '}');
}
