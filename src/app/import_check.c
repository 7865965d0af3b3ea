/*
 * The check of the whole file before anything is posted: every row by itself, ids used twice, then the rows
 * played through from the balances that the ledger has. A decline binds its idempotency key for ever, so a
 * movement that would be declined is refused here, where nothing has happened yet.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/import_internal.h"
#include "money/amount.h"

/* ---- every row by itself
 * --------------------------------------------------------------------------------------------- */

/* What may appear once only: a movement's id; an account in a file of opening balances. */
static int check_unique(struct import *im, struct string_set *seen, size_t **lines, size_t *cap,
    const struct import_row *row, struct err *err)
{
    enum import_column column = row->id.data != NULL ? COLUMN_ID : COLUMN_ACCOUNT;
    struct str what = row->id.data != NULL ? row->id : im->accounts[row->account].name;
    size_t number;
    if (row->id.data == NULL && !im->options->opening)
        return 0;
    if (!string_set_add(seen, what, &number))
        return import_fail(im, row->line, column, err, "'" STR_FMT "' is on line %zu already", STR_ARG(what),
            (*lines)[number]);
    if (number == *cap) {
        *cap = *cap ? *cap * 2 : 1024;
        *lines = reallocarray(*lines, *cap, sizeof **lines);
        INVARIANT_F(*lines != NULL, "out of memory at %zu ids", *cap);
    }
    (*lines)[number] = row->line;
    return 0;
}

static int check_rows(struct import *im, struct import_reader *reader, struct err *err)
{
    struct arena arena;
    struct string_set seen;
    size_t *lines = NULL, cap = 0;
    arena_init(&arena, 0);
    string_set_init(&seen);
    int rc;
    for (;;) {
        struct import_row row;
        arena_reset(&arena);
        rc = import_reader_next(reader, &arena, &row, err);
        if (rc == 1)
            rc = check_unique(im, &seen, &lines, &cap, &row, err);
        else
            break;
        if (rc != 0)
            break;
        im->counts->rows++;
    }
    free(lines);
    string_set_fini(&seen);
    arena_fini(&arena);
    return rc;
}

/* ---- the rows played through
 * ------------------------------------------------------------------------------------------ */

struct play {
    struct import_row rows[IMPORT_CHUNK];
    struct key_want wants[IMPORT_CHUNK];
    struct command commands[IMPORT_CHUNK];
    size_t n;
    struct arena arena;
    bool over; /* a balance differs: nothing after that row will be posted */
};

/* One side of a movement. `change` is in the account's normal sign. */
static int move(
    struct import *im, const struct import_row *row, size_t index, int64_t change, struct err *err)
{
    struct import_account *account = &im->accounts[index];
    enum import_column column = index == row->account ? COLUMN_ACCOUNT : COLUMN_COUNTER;
    int64_t after;
    if (account->status == ACCOUNT_CLOSED || (account->status == ACCOUNT_FROZEN && change < 0))
        return import_fail(im, row->line, column, err, "the account '" STR_FMT "' is %s",
            STR_ARG(account->name), account_status_name(account->status));
    if (!amount_add(account->balance_minor, change, &after))
        return import_fail(im, row->line, column, err, "the balance of '" STR_FMT "' would leave the range",
            STR_ARG(account->name));
    if (change < 0 && account->floor.present && after - account->held_minor < account->floor.minor)
        return import_fail(im, row->line, column, err,
            "'" STR_FMT "' would fall to %" PRId64 ", below its minimum of %" PRId64
            " (accounts that the import opens: see --min-balance)",
            STR_ARG(account->name), after - account->held_minor, account->floor.minor);
    account->balance_minor = after;
    return 0;
}

/*
 * Without ids a corrected file is another file, whose rows get other keys: it could not continue a half
 * import. So there a difference is an error before anything is posted; with ids, the posting stops at it.
 */
static int balance_differs(
    struct import *im, struct play *p, const struct import_row *row, int64_t balance, struct err *err)
{
    p->over = true;
    bool continuable = im->columns[COLUMN_ID] != SIZE_MAX && !im->options->opening;
    if (continuable && !im->options->dry_run)
        return 0;
    return import_fail(im, row->line, COLUMN_BALANCE, err,
        "the ledger's balance of '" STR_FMT "' would be %" PRId64 ", the file says %" PRId64,
        STR_ARG(im->accounts[row->account].name), balance, row->balance_minor);
}

static int play_zero(struct import *im, const struct import_row *row, struct err *err)
{
    const struct import_account *account = &im->accounts[row->account];
    im->counts->zero++;
    /* After rows that are there already the balance is not the one of this row: it cannot be compared. */
    if (!row->has_balance || account->replayed || account->balance_minor == row->balance_minor)
        return 0;
    return import_fail(im, row->line, COLUMN_BALANCE, err,
        "the ledger's balance of '" STR_FMT "' would be %" PRId64 ", the file says %" PRId64,
        STR_ARG(account->name), account->balance_minor, row->balance_minor);
}

static int play_row(struct import *im, struct play *p, size_t i, struct err *err)
{
    const struct import_row *row = &p->rows[i];
    if (p->over)
        return 0;
    if (row->amount_minor == 0)
        return play_zero(im, row, err);
    if (p->wants[i].found) {
        im->accounts[row->account].replayed = im->accounts[row->counter].replayed = true;
        if (im->options->dry_run)
            im->counts->already++;
        if (memcmp(p->wants[i].request_hash, p->commands[i].request_hash, HASH_LEN) == 0)
            return 0;
        return err_set(err, ERR_CORRUPT,
            "line %zu: the key '" STR_FMT "' is in the ledger (record %" PRIu64
            ") with other values: the line was changed since, or imported with other options",
            row->line, STR_ARG(p->commands[i].idempotency_key), p->wants[i].seq);
    }
    const struct import_account *account = &im->accounts[row->account],
                                *counter = &im->accounts[row->counter];
    int64_t other = account->side == counter->side ? -row->amount_minor : row->amount_minor;
    int64_t before = account->balance_minor;
    int rc = move(im, row, row->account, row->amount_minor, err);
    if (rc == 0)
        rc = move(im, row, row->counter, other, err);
    if (rc != 0)
        return rc;
    if (row->has_balance && account->balance_minor != row->balance_minor)
        return balance_differs(im, p, row, before + row->amount_minor, err);
    if (im->options->dry_run) {
        im->counts->posted++;
        im->counts->balances += row->has_balance;
    }
    return 0;
}

static int play_chunk(struct import *im, struct play *p, struct err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        p->wants[i] = (struct key_want){.ledger = im->ledger->id};
        if (p->rows[i].amount_minor != 0)
            import_command(im, &p->rows[i], &p->arena, &p->commands[i]);
        p->wants[i].key = p->rows[i].amount_minor != 0 ? p->commands[i].idempotency_key : STR("-");
    }
    int rc = p->n > 0 ? im->j->ops->keys_fetch(im->j, p->wants, p->n, err) : 0;
    for (size_t i = 0; i < p->n && rc == 0; i++)
        rc = play_row(im, p, i, err);
    arena_reset(&p->arena);
    p->n = 0;
    return rc;
}

static int play_rows(struct import *im, struct import_reader *reader, struct play *p, struct err *err)
{
    for (;;) {
        int got = import_reader_next(reader, &p->arena, &p->rows[p->n], err);
        if (got < 0)
            return got;
        p->n += (size_t)got;
        if (p->n == IMPORT_CHUNK || got == 0) {
            int rc = play_chunk(im, p, err);
            if (rc != 0)
                return rc;
        }
        if (got == 0)
            return 0;
    }
}

static int play_file(struct import *im, struct err *err)
{
    struct import_reader reader;
    int rc = import_reader_init(&reader, im, err);
    if (rc != 0)
        return rc;
    struct play *p = calloc(1, sizeof *p);
    INVARIANT(p != NULL);
    arena_init(&p->arena, 65536);
    rc = play_rows(im, &reader, p, err);
    arena_fini(&p->arena);
    free(p);
    import_reader_fini(&reader);
    for (size_t i = 0; i < im->names.n && rc == 0 && im->options->dry_run; i++)
        im->counts->opened += !im->accounts[i].exists && !im->accounts[i].world;
    return rc;
}

int import_check(struct import *im, struct err *err)
{
    struct import_reader reader;
    int rc = import_reader_init(&reader, im, err);
    if (rc != 0)
        return rc;
    rc = check_rows(im, &reader, err);
    import_reader_fini(&reader);
    if (rc == 0)
        rc = import_fetch_accounts(im, err);
    return rc == 0 ? play_file(im, err) : rc;
}
