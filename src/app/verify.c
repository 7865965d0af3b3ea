#include "app/verify.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "app/verify_audit.h"
#include "money/amount.h"

#define PROGRESS_EVERY 1024
#define ACCOUNTS_PAGE 1000

void audit_fault(
    struct audit *a, const char *invariant, uint64_t seq, uint64_t account, const char *format, ...)
{
    if (a->stop)
        return;
    struct verify_fault fault = {
        .invariant = invariant,
        .ledger = a->ledger ? a->ledger->name : NULL,
        .seq = seq,
        .account = account,
    };
    va_list args;
    va_start(args, format);
    vsnprintf(fault.message, sizeof fault.message, format, args);
    va_end(args);
    a->options->fault(a->options->ctx, &fault);
    a->counts->faults++;
    uint64_t most = a->options->max_faults ? a->options->max_faults : VERIFY_FAULTS_DEFAULT;
    a->stop = a->counts->stopped = a->counts->faults - a->notes >= most;
}

static int add_asset(void *ctx, const struct asset *row)
{
    struct audit *a = ctx;
    if (row->id > LIMIT_ASSETS_MAX) {
        audit_fault(a, "I1", 0, 0, "asset number %" PRIu32 " is beyond the limit", row->id);
        return 0;
    }
    if (row->id >= a->assets_n) {
        size_t n = row->id + 1u;
        a->assets = reallocarray(a->assets, n, sizeof *a->assets);
        INVARIANT(a->assets != NULL);
        memset(a->assets + a->assets_n, 0, (n - a->assets_n) * sizeof *a->assets);
        a->assets_n = n;
    }
    a->assets[row->id] = arena_copy(&a->asset_rows, row, sizeof *row);
    return 0;
}

/* ---- the walk over the records
 * -------------------------------------------------------------------------------- */

static bool keep_on(struct audit *a, uint64_t done, uint64_t total)
{
    if (done % PROGRESS_EVERY == 0 && a->options->progress != NULL &&
        !a->options->progress(a->options->ctx, done, total))
        a->stop = a->cancelled = true;
    return !a->stop;
}

/* Records until the end, or until one that the backend itself cannot read: ERR_CORRUPT. */
static int walk_readable(struct audit *a, uint64_t *done, uint64_t total, struct err *err)
{
    struct journal_scan *scan;
    int rc = a->j->ops->scan_open(a->j, a->ledger->id, a->head.seq + 1, true, &scan, err);
    if (rc != 0)
        return rc;
    while (keep_on(a, *done, total)) {
        const struct record *record;
        rc = a->j->ops->scan_next(scan, &record, err);
        if (rc != 0 || record == NULL || (rc = audit_record(a, record, err)) != 0)
            break;
        ++*done;
    }
    a->j->ops->scan_close(scan);
    return rc;
}

/* `*done` counts over all ledgers. What cannot be read is a fault; the walk goes on behind it. */
static int walk(struct audit *a, uint64_t *done, uint64_t total, struct err *err)
{
    struct ledger_head head;
    int rc = a->j->ops->head(a->j, a->ledger->id, &head, err);
    if (rc != 0)
        return rc;
    for (;;) {
        struct err unreadable = {0};
        rc = walk_readable(a, done, total, &unreadable);
        if (rc != ERR_CORRUPT)
            return rc == 0 ? 0 : err_set(err, rc, "%s", unreadable.message);
        a->head.seq++;
        a->unhashed = true;
        audit_fault(a, "I1", a->head.seq, 0, "%s", unreadable.message);
        if (a->stop || a->head.seq >= head.seq)
            return 0;
    }
}

/* ---- after the walk
 * ------------------------------------------------------------------------------------------- */

static int same_key(void *ctx, uint64_t row, uint64_t other_row)
{
    struct audit *a = ctx;
    const struct record *first, *second;
    struct err ignored;
    arena_reset(&a->scratch);
    int rc = a->j->ops->record(a->j, a->ledger->id, row, false, &a->scratch, &first, &ignored);
    if (rc == 0)
        rc = a->j->ops->record(a->j, a->ledger->id, other_row, false, &a->scratch, &second, &ignored);
    if (rc == 0 && str_eq(first->idempotency_key, second->idempotency_key))
        audit_fault(a, "I8", other_row, 0, "record %" PRIu64 " has the same idempotency key", row);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int same_external_id(void *ctx, uint64_t row, uint64_t other_row)
{
    struct audit *a = ctx;
    struct account_want wants[2] = {
        {.ledger = a->ledger->id, .number = row}, {.ledger = a->ledger->id, .number = other_row}};
    struct err ignored;
    arena_reset(&a->scratch);
    int rc = a->j->ops->accounts_fetch(a->j, wants, 2, &a->scratch, &ignored);
    if (rc == 0 && wants[0].found && wants[1].found &&
        str_eq(wants[0].account.external_id, wants[1].account.external_id))
        audit_fault(a, "I8", audit_account(a, other_row)->opened_seq, other_row,
            "account %" PRIu64 " has the same external id", row);
    return rc;
}

static int compare_seqs(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* Both lists ascend: the missing ones were met in order of seq. */
static void check_missing_texts(struct audit *a)
{
    if (a->erasures_n > 0)
        qsort(a->erasures, a->erasures_n, sizeof *a->erasures, compare_seqs);
    for (size_t i = 0, k = 0; i < a->missing_n; i++) {
        while (k < a->erasures_n && a->erasures[k] < a->missing_texts[i])
            k++;
        if (k == a->erasures_n || a->erasures[k] != a->missing_texts[i])
            audit_fault(a, "I10", a->missing_texts[i], 0, "its text is gone, and no record erased it");
        else
            a->counts->texts_erased++;
    }
}

static void check_number(
    struct audit *a, const struct account *account, const char *what, int64_t found, int64_t expected)
{
    if (found != expected)
        audit_fault(a, "I4", account->seq, account->number,
            "the account's %s reads as %" PRId64 ", recomputed %" PRId64, what, found, expected);
}

/* One account as the journal reads it now, against what was recomputed. */
static int check_account(void *ctx, const struct account *account)
{
    struct audit *a = ctx;
    const struct audit_account *mine = audit_account(a, account->number);
    if (mine == NULL) {
        audit_fault(a, "I1", 0, account->number, "an account that no record opened");
        return a->stop;
    }
    struct str name = account->external_id;
    uint64_t name_hash = name.data ? hash64(a->hash_seed, name.data, name.len) | 1 : 0;
    if (!uuid_eq(account->id, mine->id) || name_hash != mine->external_hash)
        audit_fault(a, "I4", mine->opened_seq, account->number,
            "the account's id or external id is not its opening's");
    check_number(a, account, "asset", account->asset, mine->asset);
    check_number(a, account, "type", (int64_t)account->type, mine->type);
    check_number(a, account, "opened_seq", (int64_t)account->opened_seq, (int64_t)mine->opened_seq);
    check_number(a, account, "revision", account->revision, mine->revision);
    check_number(a, account, "status", (int64_t)account->status, mine->status);
    check_number(a, account, "floor's presence", account->floor.present, mine->floor.present);
    if (account->floor.present && mine->floor.present)
        check_number(a, account, "floor", account->floor.minor, mine->floor.minor);
    check_number(a, account, "text_seq", (int64_t)account->text_seq, (int64_t)mine->text_seq);
    check_number(a, account, "version", (int64_t)account->version, (int64_t)mine->version);
    check_number(a, account, "seq", (int64_t)account->seq, (int64_t)mine->seq);
    check_number(a, account, "posted", account->balance.posted, mine->posted);
    check_number(a, account, "incoming", account->balance.incoming, mine->incoming);
    check_number(a, account, "outgoing", account->balance.outgoing, mine->outgoing);
    a->counts->accounts++;
    return a->stop;
}

static int check_accounts(struct audit *a, struct err *err)
{
    uint64_t counted = a->counts->accounts;
    for (uint64_t after = 0; !a->stop; after += ACCOUNTS_PAGE) {
        uint64_t before = a->counts->accounts;
        int rc = a->j->ops->accounts(a->j, a->ledger->id, after, ACCOUNTS_PAGE, check_account, a, err);
        if (rc == ERR_CORRUPT) {
            audit_fault(
                a, "I4", 0, 0, "after account %" PRIu64 ": %s", a->counts->accounts - counted, err->message);
            break;
        }
        if (rc < 0)
            return rc;
        uint64_t expected = a->head.accounts > after ? a->head.accounts - after : 0;
        uint64_t page = expected < ACCOUNTS_PAGE ? expected : ACCOUNTS_PAGE;
        if (a->counts->accounts - before < page)
            audit_fault(a, "I1", 0, 0,
                "accounts %" PRIu64 " to %" PRIu64 " were opened, only %" PRIu64 " of them are there",
                after + 1, after + page, a->counts->accounts - before);
        if (page < ACCOUNTS_PAGE)
            break;
    }
    return 0;
}

static int check_head(struct audit *a, struct err *err)
{
    struct ledger_head head;
    int rc = a->j->ops->head(a->j, a->ledger->id, &head, err);
    if (rc != 0)
        return rc;
    if (head.seq != a->head.seq || head.accounts != a->head.accounts)
        audit_fault(a, "I1", head.seq, 0,
            "the head reads as seq %" PRIu64 " with %" PRIu64 " accounts, the records end at %" PRIu64
            " with %" PRIu64,
            head.seq, head.accounts, a->head.seq, a->head.accounts);
    else if (memcmp(head.hash, a->head.hash, HASH_LEN) != 0 || head.recorded_at != a->head.recorded_at)
        audit_fault(a, "I10", head.seq, 0, "the head's hash or time is not the last record's");
    return 0;
}

static int finish_ledger(struct audit *a, struct err *err)
{
    int rc = unique_finish(a->keys, same_key, a, err);
    if (rc == 0)
        rc = unique_finish(a->external_ids, same_external_id, a, err);
    if (rc != 0)
        return err_set(err, rc, "while looking for keys used twice in ledger %s", a->ledger->name);
    check_missing_texts(a);
    rc = check_head(a, err);
    return rc == 0 ? check_accounts(a, err) : rc;
}

static int audit_ledger(
    struct audit *a, const struct ledger_row *ledger, uint64_t *done, uint64_t total, struct err *err)
{
    a->ledger = ledger;
    a->head = (struct ledger_head){.recorded_at = ledger->created_at};
    digest_genesis(a->digest, ledger, a->head.hash);
    a->lots_n = a->missing_n = a->erasures_n = 0;
    a->unhashed = false;
    if (a->lots != NULL)
        memset(a->lots, 0, a->lots_cap * sizeof *a->lots);
    a->keys = unique_new(0);
    a->external_ids = unique_new(0);
    int rc = walk(a, done, total, err);
    if (rc == 0 && !a->stop)
        rc = finish_ledger(a, err);
    unique_free(a->keys);
    unique_free(a->external_ids);
    if (rc == 0) {
        a->counts->ledgers++;
        if (a->options->ledger_done != NULL && !a->cancelled)
            a->options->ledger_done(a->options->ctx, ledger, &a->head);
    }
    a->ledger = NULL;
    return rc;
}

/* ---- ledgers ---------------------------------------------------------------------------------------------
 */

struct ledger_list {
    struct ledger_row *rows;
    size_t n;
};

static int add_ledger(void *ctx, const struct ledger_row *row)
{
    struct ledger_list *list = ctx;
    list->rows = reallocarray(list->rows, list->n + 1, sizeof *row);
    INVARIANT(list->rows != NULL);
    list->rows[list->n++] = *row;
    return 0;
}

/* ---- what the database says of itself
 * --------------------------------------------------------------------------- */

struct self_check {
    struct journal *j;
    pthread_t thread;
    bool started;
    struct arena arena;
    const char **notes;
    size_t n;
    int rc;
    struct err err;
};

static int keep_note(void *ctx, const char *note)
{
    struct self_check *c = ctx;
    c->notes = reallocarray(c->notes, c->n + 1, sizeof *c->notes);
    INVARIANT(c->notes != NULL);
    c->notes[c->n++] = arena_str(&c->arena, str_of(note)).data;
    return 0;
}

static void *run_self_check(void *ctx)
{
    struct self_check *c = ctx;
    c->rc = c->j->ops->self_check(c->j, keep_note, c, &c->err);
    return NULL;
}

static void self_check_begin(struct self_check *c, struct audit *a)
{
    struct journal *second = a->options->second;
    *c = (struct self_check){.j = second ? second : a->j};
    arena_init(&c->arena, 0);
    c->started = second != NULL && pthread_create(&c->thread, NULL, run_self_check, c) == 0;
    if (!c->started)
        run_self_check(c);
}

static int self_check_end(struct self_check *c, struct audit *a, struct err *err)
{
    if (c->started)
        pthread_join(c->thread, NULL);
    /* Told even when the walk has found enough. */
    bool stop = a->stop;
    a->stop = a->cancelled;
    for (size_t i = 0; i < c->n; i++) {
        a->notes++;
        audit_fault(a, "I7", 0, 0, "%s", c->notes[i]);
    }
    a->stop = stop;
    a->counts->stopped = stop && !a->cancelled;
    arena_fini(&c->arena);
    free(c->notes);
    return c->rc == 0 ? 0 : err_set(err, c->rc, "%s", c->err.message);
}

/* ---- the whole database
 * ------------------------------------------------------------------------------------------ */

static int audit_ledgers(struct audit *a, const struct ledger_list *list, struct err *err)
{
    uint64_t total = 0, done = 0;
    bool found = false;
    struct str only = a->options->ledger;
    for (size_t i = 0; i < list->n; i++) {
        if (list->rows[i].id != i + 1)
            audit_fault(a, "I1", 0, 0, "ledger %s has number %" PRIu32 ", expected %zu", list->rows[i].name,
                list->rows[i].id, i + 1);
        if (only.data != NULL && !str_eq_c(only, list->rows[i].name))
            continue;
        found = true;
        struct ledger_head head;
        int rc = a->j->ops->head(a->j, list->rows[i].id, &head, err);
        if (rc != 0)
            return rc;
        total += head.seq;
    }
    if (!found && only.data != NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no ledger '" STR_FMT "'", STR_ARG(only));
    for (size_t i = 0; i < list->n && !a->stop; i++) {
        if (only.data != NULL && !str_eq_c(only, list->rows[i].name))
            continue;
        int rc = audit_ledger(a, &list->rows[i], &done, total, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int audit_all(struct audit *a, struct err *err)
{
    struct ledger_list list = {0};
    struct self_check check;
    self_check_begin(&check, a);
    int rc = a->j->ops->assets(a->j, add_asset, a, err);
    if (rc == 0)
        rc = a->j->ops->ledgers(a->j, add_ledger, &list, err);
    if (rc == 0)
        rc = audit_ledgers(a, &list, err);
    free(list.rows);
    int checked = self_check_end(&check, a, rc == 0 ? err : NULL);
    return rc == 0 ? checked : rc;
}

int verify_journal(struct journal *j, const struct verify_options *options, struct verify_counts *ret_counts,
    struct err *err)
{
    *ret_counts = (struct verify_counts){0};
    struct audit a = {.j = j, .options = options, .counts = ret_counts, .digest = digest_new()};
    /* Only spreads the tables: unpredictable, so that nobody can choose keys that collide. */
    if (getrandom(&a.hash_seed, sizeof a.hash_seed, 0) != sizeof a.hash_seed)
        a.hash_seed = (uint64_t)(uintptr_t)&a;
    arena_init(&a.asset_rows, 0);
    arena_init(&a.scratch, 0);
    int rc = j->ops->snapshot_begin(j, err);
    if (rc == 0) {
        rc = audit_all(&a, err);
        j->ops->snapshot_end(j);
    }
    if (rc == 0 && a.cancelled)
        rc = err_set(err, ERR_CANCELLED, "stopped");
    arena_fini(&a.scratch);
    arena_fini(&a.asset_rows);
    digest_free(a.digest);
    free(a.assets);
    free(a.accounts);
    free(a.lots);
    free(a.missing_texts);
    free(a.erasures);
    return rc;
}
