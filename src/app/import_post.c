/* The posting: rows in the file's order, a chunk a submission, accounts opened before their first use. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/import_internal.h"

#define ACTOR "command-line"
#define COMMANDS_MAX (3 * IMPORT_CHUNK) /* a row and both its accounts */

struct chunk {
    struct import_row rows[IMPORT_CHUNK];
    struct command commands[COMMANDS_MAX];
    struct answer answers[COMMANDS_MAX];
    const struct import_row *row_of[COMMANDS_MAX]; /* NULL: an account's opening */
    size_t n_rows, n;
    struct arena arena;
};

static const char *why(const struct answer *answer)
{
    return answer->detail[0] != '\0' ? answer->detail : refusal_info(answer->refusal)->title;
}

/* ---- currencies that --scale explains
 * ---------------------------------------------------------------------------------- */

static int declare_currency(struct import *im, const struct import_currency *currency, struct err *err)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct command command = {
        .op = COMMAND_DECLARE_ASSET,
        .ledger = str_of(im->ledger->name),
        .actor = STR(ACTOR),
        .as.declare_asset = {.code = str_of(currency->asset.code), .scale = currency->asset.scale},
    };
    struct answer answer;
    digest_command(im->digest, &command);
    struct submission s = {.commands = &command, .answers = &answer, .n = 1, .arena = &arena};
    engine_call(im->engine, &s);
    arena_fini(&arena);
    if (answer.refusal != REFUSAL_NONE)
        return err_set(err, ERR_IO, "declaring %s: %s", currency->asset.code, why(&answer));
    return 0;
}

/* ---- building a submission
 * ------------------------------------------------------------------------------------------------ */

/* The world opens itself on first use. */
static void open_if_needed(struct import *im, struct chunk *c, size_t index)
{
    struct import_account *account = &im->accounts[index];
    if (account->exists || account->world || account->opening_sent)
        return;
    const struct import_options *o = im->options;
    struct str key = arena_printf(&c->arena, IMPORT_KEY_PREFIX "open:" STR_FMT, STR_ARG(account->name));
    /* A name too long for a key of its own is opened without: it is found by its external id the next time.
     */
    if (key.len > LIMIT_IDEMPOTENCY_KEY_MAX)
        key = STR_NONE;
    struct command *command = &c->commands[c->n];
    *command = (struct command){
        .op = COMMAND_OPEN_ACCOUNT,
        .ledger = str_of(im->ledger->name),
        .idempotency_key = key,
        .actor = STR(ACTOR),
        .as.open =
            {
                .currency = str_of(im->currencies[account->currency].asset.code),
                .type = account->principal ? o->account_type : o->counter_type,
                .external_id = account->name,
                .has_floor = !account->principal || o->has_floor,
                .floor = account->principal ? o->floor : (struct floor){0},
            },
    };
    digest_command(im->digest, command);
    c->row_of[c->n++] = NULL;
    account->opening_sent = true;
}

static void build(struct import *im, struct chunk *c)
{
    c->n = 0;
    for (size_t i = 0; i < c->n_rows; i++) {
        const struct import_row *row = &c->rows[i];
        open_if_needed(im, c, row->account);
        if (row->amount_minor == 0)
            continue;
        open_if_needed(im, c, row->counter);
        import_command(im, row, &c->arena, &c->commands[c->n]);
        c->row_of[c->n++] = row;
    }
}

/* ---- answers
 * ----------------------------------------------------------------------------------------------------------------
 */

/* A row that an earlier run posted: the balance that its own record left is the one to compare. */
static int check_replay(
    struct import *im, const struct import_row *row, const struct record *record, struct err *err)
{
    im->counts->already++;
    if (!row->has_balance)
        return 0;
    INVARIANT_F(record != NULL && record->n_entries == 2, "line %zu", row->line);
    const struct entry *e = &record->entries[import_credits(im, row) ? 1 : 0];
    int64_t balance = amounts_balance(e->after, e->side);
    if (balance != row->balance_minor)
        return import_fail(im, row->line, COLUMN_BALANCE, err,
            "record %" PRIu64 " left the account at %" PRId64 ", the file says %" PRId64, record->seq,
            balance, row->balance_minor);
    im->counts->balances++;
    return 0;
}

static int refused(
    const struct import *im, const struct import_row *row, const struct answer *answer, struct err *err)
{
    const struct refusal_info *info = refusal_info(answer->refusal);
    if (info->kind == REFUSAL_KIND_SERVICE)
        return err_set(
            err, ERR_IO, "%s: nothing of these lines was posted; run the import again", why(answer));
    if (row == NULL)
        return err_set(err, ERR_CORRUPT, "opening an account: %s", why(answer));
    enum import_column column = answer->refusal == REFUSAL_BALANCE_DIFFERS ? COLUMN_BALANCE : COLUMN_AMOUNT;
    return import_fail(im, row->line, column, err, "%s: %s", info->title, why(answer));
}

/* From command `from` on. *ret_next: where to go on; the number of commands if all are done. */
static int take_answers(struct import *im, struct chunk *c, size_t from, size_t *ret_next, struct err *err)
{
    *ret_next = c->n;
    for (size_t i = from; i < c->n; i++) {
        const struct answer *answer = &c->answers[i];
        const struct import_row *row = c->row_of[i];
        int rc = 0;
        if (answer->refusal != REFUSAL_NONE && !(row != NULL && answer->replayed))
            return refused(im, row, answer, err);
        if (answer->refusal != REFUSAL_NONE) {
            /* The engine stops behind a decline, an old one too; that one changes nothing for the rows after
             * it. */
            im->counts->declined++;
            *ret_next = i + 1;
            return 0;
        }
        if (row == NULL)
            im->counts->opened += !answer->replayed;
        else if (answer->replayed)
            rc = check_replay(im, row, answer->record, err);
        else {
            im->counts->posted++;
            im->counts->balances += row->has_balance;
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int post_chunk(struct import *im, struct chunk *c, struct err *err)
{
    build(im, c);
    for (size_t from = 0, next; from < c->n; from = next) {
        struct submission s = {
            .commands = c->commands + from,
            .answers = c->answers + from,
            .n = c->n - from,
            .stop_on_refusal = true,
            .arena = &c->arena,
        };
        engine_call(im->engine, &s);
        int rc = take_answers(im, c, from, &next, err);
        if (rc != 0)
            return rc;
    }
    arena_reset(&c->arena);
    c->n_rows = 0;
    return 0;
}

static int post_rows(struct import *im, struct import_reader *reader, struct chunk *c, struct err *err)
{
    for (uint64_t done = 0;;) {
        int got = import_reader_next(reader, &c->arena, &c->rows[c->n_rows], err);
        if (got < 0)
            return got;
        c->n_rows += (size_t)got;
        if (c->n_rows == IMPORT_CHUNK || got == 0) {
            done += c->n_rows;
            int rc = post_chunk(im, c, err);
            if (rc != 0)
                return rc;
            if (im->options->progress != NULL &&
                !im->options->progress(im->options->ctx, done, im->counts->rows))
                return err_set(err, ERR_CANCELLED, "stopped; run it again to go on");
        }
        if (got == 0)
            return 0;
    }
}

int import_post(struct import *im, struct err *err)
{
    for (size_t i = 0; i < im->n_currencies; i++)
        if (im->currencies[i].declare) {
            int rc = declare_currency(im, &im->currencies[i], err);
            if (rc != 0)
                return rc;
        }
    struct import_reader reader;
    int rc = import_reader_init(&reader, im, err);
    if (rc != 0)
        return rc;
    struct chunk *c = calloc(1, sizeof *c);
    INVARIANT(c != NULL);
    arena_init(&c->arena, 65536);
    rc = post_rows(im, &reader, c, err);
    arena_fini(&c->arena);
    free(c);
    import_reader_fini(&reader);
    return rc;
}
