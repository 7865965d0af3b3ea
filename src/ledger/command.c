#include "ledger/command.h"

/* Of the bytes that enter the request hash; stored keys are compared with it for ever, so old ones stay
 * computable. */
#define CANONICAL_VERSION 1

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
            return true;
    return false;
}

static bool printable(struct str s, size_t max)
{
    return s.data != NULL && s.len >= 1 && s.len <= max && !has_control(s) && str_utf8_valid(s);
}

bool external_id_valid(struct str external_id)
{
    return printable(external_id, LIMIT_EXTERNAL_ID_MAX) && external_id.data[0] != '@';
}

bool idempotency_key_valid(struct str key)
{
    return printable(key, LIMIT_IDEMPOTENCY_KEY_MAX);
}

bool ledger_name_valid(struct str name)
{
    if (name.data == NULL || name.len < 1 || name.len > LIMIT_LEDGER_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (i == 0 || (c != '-' && c != '_')))
            return false;
    }
    return true;
}

static void put_uint(struct strbuf *b, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        strbuf_char(b, (char)(uint8_t)(value >> (8 * i)));
}

static void put_bool(struct strbuf *b, bool value)
{
    put_uint(b, value, 1);
}

static void put_int(struct strbuf *b, int64_t value)
{
    put_uint(b, (uint64_t)value, 8);
}

/* All ones as length stands for "none", which is not the same as empty. */
static void put_str(struct strbuf *b, struct str s)
{
    put_uint(b, s.data == NULL ? UINT32_MAX : s.len, 4);
    strbuf_str(b, s);
}

static void put_floor(struct strbuf *b, struct floor floor)
{
    put_bool(b, floor.present);
    if (floor.present)
        put_int(b, floor.minor);
}

static void put_ref(struct strbuf *b, const struct account_ref *ref)
{
    put_uint(b, (uint64_t)ref->by, 1);
    switch (ref->by) {
    case REF_BY_ID:
        strbuf_add(b, ref->id.bytes, sizeof ref->id.bytes);
        break;
    case REF_BY_EXTERNAL_ID:
        put_str(b, ref->external_id);
        break;
    case REF_BY_WORLD:
        put_str(b, ref->currency);
        break;
    }
}

static void put_open(struct strbuf *b, const struct command_open *open)
{
    put_str(b, open->currency);
    put_uint(b, (uint64_t)open->type, 1);
    put_str(b, open->external_id);
    put_bool(b, open->has_floor);
    if (open->has_floor)
        put_floor(b, open->floor);
}

static void put_revise(struct strbuf *b, const struct command_revise *revise)
{
    put_ref(b, &revise->account);
    put_bool(b, revise->has_status);
    if (revise->has_status)
        put_uint(b, (uint64_t)revise->status, 1);
    put_bool(b, revise->has_floor);
    if (revise->has_floor)
        put_floor(b, revise->floor);
    put_bool(b, revise->has_text);
    put_bool(b, revise->has_if_revision);
    if (revise->has_if_revision)
        put_uint(b, revise->if_revision, 4);
}

static void put_post(struct strbuf *b, const struct command_post *post)
{
    put_uint(b, post->n_postings, 4);
    for (size_t i = 0; i < post->n_postings; i++) {
        const struct posting *p = &post->postings[i];
        put_ref(b, &p->debit);
        put_ref(b, &p->credit);
        put_int(b, p->amount_minor);
        put_str(b, p->currency);
        put_bool(b, p->wallet);
    }
    put_uint(b, post->n_expects, 4);
    for (size_t i = 0; i < post->n_expects; i++) {
        const struct expectation *e = &post->expects[i];
        put_ref(b, &e->account);
        put_bool(b, e->has_version);
        if (e->has_version)
            put_uint(b, e->version, 8);
        put_bool(b, e->has_min_available);
        if (e->has_min_available)
            put_int(b, e->min_available_minor);
    }
    put_bool(b, post->has_balance_after);
    if (post->has_balance_after) {
        put_ref(b, &post->balance_account);
        put_int(b, post->balance_after_minor);
    }
}

static void put_operation(struct strbuf *b, const struct command *command)
{
    switch (command->op) {
    case COMMAND_CREATE_LEDGER:
        put_str(b, command->as.create_ledger.name);
        put_floor(b, command->as.create_ledger.default_floor);
        break;
    case COMMAND_DECLARE_ASSET:
        put_str(b, command->as.declare_asset.code);
        put_uint(b, (uint64_t)command->as.declare_asset.scale, 1);
        break;
    case COMMAND_OPEN_ACCOUNT:
        put_open(b, &command->as.open);
        break;
    case COMMAND_REVISE_ACCOUNT:
        put_revise(b, &command->as.revise);
        break;
    case COMMAND_POST:
        put_post(b, &command->as.post);
        break;
    case COMMAND_REVERSE:
        strbuf_add(b, command->as.reverse.transfer.bytes, sizeof command->as.reverse.transfer.bytes);
        put_bool(b, command->as.reverse.has_amount);
        if (command->as.reverse.has_amount)
            put_int(b, command->as.reverse.amount_minor);
        break;
    case COMMAND_ERASE:
        put_uint(b, command->as.erase.seq, 8);
        break;
    }
}

/* Every member has a fixed width or its length before it, so that no two commands share their bytes. */
void command_canonical(const struct command *command, struct strbuf *b)
{
    put_uint(b, CANONICAL_VERSION, 1);
    put_uint(b, (uint64_t)command->op, 1);
    put_str(b, command->ledger);
    put_bool(b, command->has_effective_at);
    if (command->has_effective_at)
        put_int(b, command->effective_at);
    put_str(b, command->reference);
    put_str(b, command->text);
    put_operation(b, command);
}
