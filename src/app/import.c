#include "app/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "app/import_internal.h"

#define FETCH_CHUNK 500
#define ACTOR "command-line"

/* ---- currencies
 * --------------------------------------------------------------------------------------------------- */

/* What a code means: declared in the journal, in ISO 4217, or by --scale. */
static int resolve_currency(
    struct import *im, struct str code, size_t line, struct import_currency *ret, struct err *err)
{
    int given = im->options->scale, known = -1;
    const struct asset *asset = catalog_asset_by_code(im->catalog, code);
    *ret = (struct import_currency){0};
    if (asset != NULL) {
        ret->asset = *asset;
        known = asset->scale;
    } else {
        memcpy(ret->asset.code, code.data, code.len);
        if (!asset_iso4217_scale(code, &known)) {
            known = given;
            ret->declare = true;
        }
    }
    if (known < 0)
        return import_fail(im, line, COLUMN_CURRENCY, err,
            "'" STR_FMT
            "' is no ISO 4217 currency and not declared: say how many decimals it has with --scale",
            STR_ARG(code));
    if (given >= 0 && given != known)
        return import_fail(im, line, COLUMN_CURRENCY, err, STR_FMT " has scale %d, --scale says %d",
            STR_ARG(code), known, given);
    ret->asset.scale = (uint8_t)known;
    return 0;
}

int import_currency(struct import *im, struct str code, size_t line, size_t *ret_index, struct err *err)
{
    for (size_t i = 0; i < im->n_currencies; i++)
        if (str_eq_c(code, im->currencies[i].asset.code)) {
            *ret_index = i;
            return 0;
        }
    if (!asset_code_valid(code))
        return import_fail(
            im, line, COLUMN_CURRENCY, err, "'" STR_FMT "' is not a currency code", STR_ARG(code));
    struct import_currency currency;
    int rc = resolve_currency(im, code, line, &currency, err);
    if (rc != 0)
        return rc;
    im->currencies = reallocarray(im->currencies, im->n_currencies + 1, sizeof *im->currencies);
    INVARIANT(im->currencies != NULL);
    im->currencies[im->n_currencies] = currency;
    *ret_index = im->n_currencies++;
    return 0;
}

/* ---- accounts
 * ------------------------------------------------------------------------------------------------------- */

/* The name as the ledger will know it, in im->scratch. */
static struct str full_name(struct import *im, struct str name, size_t currency)
{
    bool world = str_eq_c(name, "@world");
    if (!world && !im->options->per_currency)
        return name;
    strbuf_clear(&im->scratch);
    strbuf_str(&im->scratch, name);
    strbuf_char(&im->scratch, ':');
    strbuf_c(&im->scratch, im->currencies[currency].asset.code);
    return strbuf_view(&im->scratch);
}

int import_account(struct import *im, struct str name, size_t currency, bool principal, size_t line,
    size_t *ret_index, struct err *err)
{
    enum import_column column = principal ? COLUMN_ACCOUNT : COLUMN_COUNTER;
    struct str full = full_name(im, name, currency);
    if (full.len > LIMIT_EXTERNAL_ID_MAX)
        return import_fail(im, line, column, err, "'" STR_FMT "' has more than %d bytes", STR_ARG(full),
            LIMIT_EXTERNAL_ID_MAX);
    bool new = string_set_add(&im->names, full, ret_index);
    if (im->names.n > im->accounts_cap) {
        im->accounts_cap = im->accounts_cap ? im->accounts_cap * 2 : 256;
        im->accounts = reallocarray(im->accounts, im->accounts_cap, sizeof *im->accounts);
        INVARIANT_F(im->accounts != NULL, "out of memory at %zu accounts", im->accounts_cap);
    }
    struct import_account *account = &im->accounts[*ret_index];
    if (new)
        *account = (struct import_account){
            .name = im->names.items[*ret_index],
            .line = line,
            .currency = currency,
            .world = full.data[0] == '@',
        };
    if (account->currency != currency)
        return import_fail(im, line, column, err,
            "'" STR_FMT
            "' is in %s here and in %s on line %zu: an account has one currency (see --per-currency)",
            STR_ARG(full), im->currencies[currency].asset.code, im->currencies[account->currency].asset.code,
            account->line);
    account->principal = account->principal || principal;
    return 0;
}

/* What an account that is not there yet will be. */
static void expect_account(const struct import *im, struct import_account *account)
{
    const struct import_options *o = im->options;
    enum account_type type = account->world       ? ACCOUNT_EQUITY
                             : account->principal ? o->account_type
                                                  : o->counter_type;
    account->side = account_type_side(type);
    account->status = ACCOUNT_OPEN;
    if (account->principal)
        account->floor = o->has_floor ? o->floor : im->ledger->default_floor;
}

static int know_account(
    const struct import *im, struct import_account *account, const struct account_want *want, struct err *err)
{
    expect_account(im, account);
    if (!want->found)
        return 0;
    const struct account *head = &want->account;
    const struct asset *asset = catalog_asset(im->catalog, head->asset);
    if (asset == NULL || strcmp(asset->code, im->currencies[account->currency].asset.code) != 0)
        return import_fail(im, account->line, account->principal ? COLUMN_ACCOUNT : COLUMN_COUNTER, err,
            "the ledger's account '" STR_FMT "' is in %s, the row in %s", STR_ARG(account->name),
            asset ? asset->code : "another currency", im->currencies[account->currency].asset.code);
    account->exists = true;
    account->side = account_type_side(head->type);
    account->status = head->status;
    account->floor = head->floor;
    account->balance_minor = amounts_balance(head->balance, account->side);
    account->held_minor = account->balance_minor - amounts_available(head->balance, account->side);
    return 0;
}

int import_fetch_accounts(struct import *im, struct err *err)
{
    static const size_t most = FETCH_CHUNK;
    struct account_want *wants = calloc(most, sizeof *wants);
    INVARIANT(wants != NULL);
    struct arena arena;
    arena_init(&arena, 0);
    int rc = 0;
    for (size_t from = 0; from < im->names.n && rc == 0; from += most) {
        size_t n = im->names.n - from < most ? im->names.n - from : most;
        arena_reset(&arena);
        for (size_t i = 0; i < n; i++)
            wants[i] =
                (struct account_want){.ledger = im->ledger->id, .external_id = im->accounts[from + i].name};
        rc = im->j->ops->accounts_fetch(im->j, wants, n, &arena, err);
        for (size_t i = 0; i < n && rc == 0; i++)
            rc = know_account(im, &im->accounts[from + i], &wants[i], err);
    }
    arena_fini(&arena);
    free(wants);
    return rc;
}

/* ---- commands
 * ---------------------------------------------------------------------------------------------------------
 */

struct str import_key(struct import *im, const struct import_row *row, struct arena *arena)
{
    const struct import_options *o = im->options;
    if (row->id.data != NULL)
        return arena_printf(arena, STR_FMT STR_FMT, STR_ARG(o->key_prefix), STR_ARG(row->id));
    if (!o->opening)
        return arena_printf(arena, STR_FMT "%s:%" PRIu64, STR_ARG(o->key_prefix), im->file_tag, row->number);
    /* An account has one opening balance, whatever file it comes in. */
    struct str name = im->accounts[row->account].name;
    struct str key = arena_printf(arena, STR_FMT "opening:" STR_FMT, STR_ARG(o->key_prefix), STR_ARG(name));
    if (key.len <= LIMIT_IDEMPOTENCY_KEY_MAX)
        return key;
    uint8_t hash[HASH_LEN];
    digest_bytes(im->digest, name, hash);
    strbuf_clear(&im->scratch);
    strbuf_hex(&im->scratch, hash, HASH_LEN);
    return arena_printf(
        arena, STR_FMT "opening#" STR_FMT, STR_ARG(o->key_prefix), STR_ARG(strbuf_view(&im->scratch)));
}

static struct account_ref ref_of(const struct import *im, size_t index)
{
    const struct import_account *account = &im->accounts[index];
    if (account->world)
        return (struct account_ref){
            .by = REF_BY_WORLD, .currency = str_of(im->currencies[account->currency].asset.code)};
    return (struct account_ref){.by = REF_BY_EXTERNAL_ID, .external_id = account->name};
}

bool import_credits(const struct import *im, const struct import_row *row)
{
    return (row->amount_minor > 0) == (im->accounts[row->account].side > 0);
}

void import_command(
    struct import *im, const struct import_row *row, struct arena *arena, struct command *ret_command)
{
    bool credits = import_credits(im, row);
    struct posting *posting = ARENA_NEW(arena, struct posting);
    *posting = (struct posting){
        .debit = ref_of(im, credits ? row->counter : row->account),
        .credit = ref_of(im, credits ? row->account : row->counter),
        .amount_minor = row->amount_minor < 0 ? -row->amount_minor : row->amount_minor,
        .currency = str_of(im->currencies[row->currency].asset.code),
    };
    struct text_parts text = {.metadata = row->metadata};
    *ret_command = (struct command){
        .op = COMMAND_POST,
        .ledger = str_of(im->ledger->name),
        .idempotency_key = import_key(im, row, arena),
        .has_effective_at = row->has_date,
        .effective_at = row->effective_at,
        .reference = row->reference,
        .actor = STR(ACTOR),
        .text = text_join(&text, arena),
        .as.post =
            {
                .postings = posting,
                .n_postings = 1,
                .has_balance_after = row->has_balance,
                .balance_account = ref_of(im, row->account),
                .balance_after_minor = row->balance_minor,
            },
    };
    digest_command(im->digest, ret_command);
}

int import_run(struct engine *engine, struct journal *j, const struct catalog *catalog,
    const struct ledger_row *ledger, const struct import_options *options, struct str file, int64_t now,
    struct import_counts *ret_counts, struct err *err)
{
    *ret_counts = (struct import_counts){0};
    struct import im = {
        .engine = engine,
        .j = j,
        .catalog = catalog,
        .ledger = ledger,
        .options = options,
        .file = file,
        .now = now,
        .counts = ret_counts,
        .digest = digest_new(),
    };
    uint8_t hash[HASH_LEN];
    digest_bytes(im.digest, file, hash);
    strbuf_init(&im.scratch);
    strbuf_hex(&im.scratch, hash, sizeof im.file_tag / 2);
    memcpy(im.file_tag, im.scratch.data, sizeof im.file_tag - 1);
    arena_init(&im.names_arena, 0);
    string_set_init(&im.names);
    int rc = import_check(&im, err);
    if (rc == 0 && !options->dry_run)
        rc = import_post(&im, err);
    string_set_fini(&im.names);
    arena_fini(&im.names_arena);
    strbuf_fini(&im.scratch);
    free(im.currencies);
    free(im.accounts);
    digest_free(im.digest);
    return rc;
}
