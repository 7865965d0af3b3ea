/* The PostgreSQL backend: the handle, its snapshots, listening, what its keys stand for. */
#include "journal/postgres.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/postgres_internal.h"

/* What the keys stand for. */
const struct pg_constraint postgres_constraints[] = {
    {"journal_seq", "I1", 0},
    {"journal_idempotency", "I8", ERR_DUPLICATE},
    {"journal_pkey", "I1", 0},
    {"entry_pkey", "I1", 0},
    {"entry_version", "I4", 0},
    {"account_revision_record", "I1", 0},
    {"account_revision_pkey", "I4", 0},
    {"account", "I7", 0},
    {"lot_record", "I1", 0},
    {"lot_pkey", "I4", 0},
    {"record_text", "I1", 0},
    {"journal", "I1", 0},
    {"lot", "I1", 0},
    {NULL, NULL, 0},
};

/* ---- reading ---- */

int postgres_damaged(struct err *err, const char *what, uint64_t ledger, uint64_t n)
{
    return err_set(
        err, ERR_CORRUPT, "%s %llu/%llu is damaged", what, (unsigned long long)ledger, (unsigned long long)n);
}

int postgres_reading(struct postgres_journal *p, struct pg_wire **ret_wire, struct err *err)
{
    *ret_wire = &p->read;
    int rc = p->scan == NULL ? 0 : postgres_scan_settle(p->scan, err);
    /* After a failover `append` leads to another server, and the old one may still answer: it would be a rival journal. */
    if (p->read_beside != p->append.connections && p->scan == NULL && !p->read.in_transaction) {
        pg_close(&p->read);
        p->read_beside = p->append.connections;
    }
    return rc != 0 ? rc : pg_ready(&p->read, err);
}

static int snapshot_begin(struct journal *j, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct pg_wire *wire;
    INVARIANT(!p->read.in_transaction);
    int rc = postgres_reading(p, &wire, err);
    /* BEGIN alone does not choose the state yet */
    if (rc == 0)
        rc =
            pg_exec(wire, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1", NULL, err);
    if (rc != 0)
        pg_close(wire);
    else
        wire->in_transaction = true;
    return rc;
}

static void snapshot_end(struct journal *j)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    INVARIANT(p->read.in_transaction);
    if (p->scan != NULL && postgres_scan_settle(p->scan, NULL) != 0)
        pg_close(&p->read);
    p->read.in_transaction = false;
    if (p->read.pg == NULL)
        return; /* it ended with its connection */
    if (pg_exec(&p->read, "COMMIT", NULL, NULL) != 0)
        pg_close(&p->read);
}

/* ---- listening ---- */

/* 1 after it has begun: what was committed before may have been missed. */
static int listen_begin(struct postgres_journal *p, struct err *err)
{
    if (!p->read.in_transaction && p->scan == NULL)
        pg_close(&p->read); /* one connection is enough: heads() takes this one from now on */
    int rc = pg_exec(&p->listen, "LISTEN " POSTGRES_CHANNEL, NULL, err);
    p->listen.listening = rc == 0;
    return rc == 0 ? 1 : rc;
}

static bool take_messages(struct pg_wire *wire)
{
    PGnotify *message;
    bool any = false;
    while ((message = PQnotifies(wire->pg)) != NULL) {
        PQfreemem(message);
        any = true;
    }
    return any;
}

static int postgres_listen(struct journal *j, int timeout_ms, int interrupt_fd, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct pg_wire *wire = &p->listen;
    INVARIANT(p->mode == JOURNAL_READ);
    int rc = pg_ready(wire, err);
    if (rc != 0)
        return rc;
    if (!wire->listening)
        return listen_begin(p, err);
    int64_t deadline_ms = pg_now_ms() + timeout_ms;
    for (;;) {
        if (!PQconsumeInput(wire->pg))
            return pg_error(wire, NULL, "database", err);
        if (take_messages(wire))
            return 1;
        int64_t left_ms = deadline_ms - pg_now_ms();
        struct pollfd wait[] = {
            {.fd = PQsocket(wire->pg), .events = POLLIN}, {.fd = interrupt_fd, .events = POLLIN}};
        int n = left_ms <= 0 ? 0 : poll(wait, 2, (int)left_ms); /* a negative descriptor is passed over */
        if (n == 0 || (n > 0 && wait[1].revents != 0))
            return 0;
        if (n < 0 && errno != EINTR)
            return err_set(err, ERR_IO, "database: poll: %s", strerror(errno));
    }
}

/* ---- opening and closing ---- */

static int postgres_backup(
    struct journal *j, const char *path, journal_progress *progress, void *ctx, struct err *err)
{
    (void)j, (void)path, (void)progress, (void)ctx;
    return err_set(err, ERR_UNSUPPORTED,
        "a journal in PostgreSQL is backed up by PostgreSQL: use pg_dump, or pg_basebackup with an archive "
        "of the log");
}

static void postgres_close(struct journal *j)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    if (p->scan != NULL)
        postgres_scan_close(p->scan);
    postgres_appending_free(p->appending);
    pg_close(&p->append);
    pg_close(&p->read);
    pg_close(&p->listen);
    pg_params_fini(&p->params);
    digest_free(p->digest);
    free(p->read.url);
    free(p->direct_url);
    free(p);
}

static const struct journal_ops postgres_ops = {
    .close = postgres_close,
    .ledgers = postgres_ledgers,
    .assets = postgres_assets,
    .head = postgres_head,
    .accounts_fetch = postgres_accounts_fetch,
    .keys_fetch = postgres_keys_fetch,
    .record = postgres_record,
    .lots = postgres_lots,
    .snapshot_begin = snapshot_begin,
    .snapshot_end = snapshot_end,
    .accounts = postgres_accounts,
    .entry = postgres_entry,
    .entries = postgres_entries,
    .late_entries = postgres_late_entries,
    .recorded_at = postgres_recorded_at,
    .scan_open = postgres_scan_open,
    .scan_next = postgres_scan_next,
    .scan_close = postgres_scan_close,
    .self_check = postgres_self_check,
    .backup = postgres_backup,
    .append = postgres_append,
    .append_start = postgres_append_start,
    .append_finish = postgres_append_finish,
    .append_fd = postgres_append_fd,
    .catch_up = postgres_catch_up,
    .release = postgres_release,
    .heads = postgres_heads,
    .listen = postgres_listen,
};

static char *copy(const char *text)
{
    char *bytes = text == NULL ? NULL : strdup(text);
    INVARIANT(text == NULL || bytes != NULL);
    return bytes;
}

static struct postgres_journal *make(const char *url, const struct journal_options *options)
{
    struct postgres_journal *p = calloc(1, sizeof *p);
    INVARIANT(p != NULL);
    p->base.ops = &postgres_ops;
    p->base.shared = true;
    p->mode = options->mode;
    p->lock = options->lock;
    p->no_notify = options->no_notify;
    p->direct_url = copy(options->direct_url);
    p->digest = digest_new();
    pg_params_init(&p->params);
    char *main_url = copy(url);
    p->append = (struct pg_wire){.url = main_url,
        .constraints = postgres_constraints,
        .use = PG_APPENDS,
        .pooled = p->direct_url != NULL};
    p->read = (struct pg_wire){.url = main_url,
        .constraints = postgres_constraints,
        .use = p->mode == JOURNAL_WRITE ? PG_APPENDS : 0,
        .pooled = p->direct_url != NULL};
    p->listen = (struct pg_wire){.constraints = postgres_constraints,
        .url = p->direct_url != NULL ? p->direct_url : main_url,
        .use = PG_LISTENS};
    if (p->mode == JOURNAL_WRITE)
        p->appending = postgres_appending_new();
    return p;
}

/* Brings the schema up to date if that is asked for and it is behind; plain stays plain. */
static int open_schema(struct postgres_journal *p, const struct journal_options *options, struct err *err)
{
    int rc = postgres_schema_check(&p->read, &p->plain, err);
    if (options->create && (rc == ERR_NOT_FOUND || rc == ERR_CONFIG)) {
        const struct postgres_migration_plan plan = {.now = options->now, .plain = p->plain};
        const char *url = p->direct_url != NULL ? p->direct_url : p->read.url;
        rc = postgres_migrate(url, &plan, NULL, NULL, err);
        if (rc == 0)
            rc = postgres_schema_check(&p->read, &p->plain, err);
    }
    return rc;
}

int journal_postgres_open(
    const char *url, const struct journal_options *options, struct journal **ret_journal, struct err *err)
{
    int rc = postgres_url_check(url, err);
    if (rc == 0 && options->direct_url != NULL)
        rc = postgres_url_check(options->direct_url, err);
    if (rc != 0)
        return rc;
    struct postgres_journal *p = make(url, options);
    if (p->mode == JOURNAL_WRITE)
        rc = pg_ready(&p->append, err);
    p->read_beside = p->append.connections;
    if (rc == 0)
        rc = pg_ready(&p->read, err);
    if (rc == 0)
        rc = open_schema(p, options, err);
    if (rc == 0)
        rc = postgres_version_check(&p->read, p->plain, err);
    if (rc != 0) {
        postgres_close(&p->base);
        return rc;
    }
    *ret_journal = &p->base;
    return 0;
}
