#include "app/serve_census.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/store.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define PAGE_ACCOUNTS 1000
#define NICENESS 10

struct census {
    pthread_t thread;
    struct journal *journal;
    struct metrics *metrics;
    size_t ledgers;
    _Atomic bool stop;
    uint64_t last; /* number of the account seen last */
    size_t on_page;
    int64_t accounts, without_floor;
};

static int visit(void *ctx, const struct account *account)
{
    struct census *c = ctx;
    c->last = account->number;
    c->on_page++;
    c->accounts++;
    c->without_floor += !account->floor.present && !account_is_world(account);
    return 0;
}

static int count_ledger(struct census *c, uint32_t ledger, struct err *err)
{
    c->last = 0;
    do {
        c->on_page = 0;
        int failed = c->journal->ops->accounts(c->journal, ledger, c->last, PAGE_ACCOUNTS, visit, c, err);
        if (failed)
            return failed;
    } while (c->on_page == PAGE_ACCOUNTS && !atomic_load(&c->stop));
    return 0;
}

static void *count(void *arg)
{
    struct census *c = arg;
    struct err err;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS); /* of this thread only, on Linux */
    int failed = 0;
    for (uint32_t ledger = 1; ledger <= c->ledgers && !failed && !atomic_load(&c->stop); ledger++)
        failed = count_ledger(c, ledger, &err);
    c->journal->ops->snapshot_end(c->journal);
    if (failed) {
        log_event(LOG_WARNING, "accounts could not be counted; the gauges count from the start", "error",
            err.message, NULL);
    } else if (!atomic_load(&c->stop)) {
        metrics_add(c->metrics, METRIC_ACCOUNTS, c->accounts);
        metrics_add(c->metrics, METRIC_ACCOUNTS_WITHOUT_FLOOR, c->without_floor);
        char accounts[24], open[24];
        snprintf(accounts, sizeof accounts, "%lld", (long long)c->accounts);
        snprintf(open, sizeof open, "%lld", (long long)c->without_floor);
        log_event(LOG_DEBUG, "accounts counted", "accounts", accounts, "withoutFloor", open, NULL);
    }
    return NULL;
}

/* A snapshot is what the first read sees: one is made at once. */
static int take_snapshot(struct census *c, struct err *err)
{
    struct ledger_head head;
    int failed = c->journal->ops->snapshot_begin(c->journal, err);
    if (failed)
        return failed;
    failed = c->journal->ops->head(c->journal, 1, &head, err);
    if (failed)
        c->journal->ops->snapshot_end(c->journal);
    return failed;
}

static int start(struct census *c, const char *url, struct err *err)
{
    struct journal_options options = {.mode = JOURNAL_READ, .now = store_now(NULL)};
    int failed = journal_open(url, &options, &c->journal, err);
    if (failed)
        return failed;
    failed = take_snapshot(c, err);
    if (!failed && pthread_create(&c->thread, NULL, count, c) != 0) {
        c->journal->ops->snapshot_end(c->journal);
        failed = err_set(err, ERR_IO, "cannot start a thread");
    }
    if (failed)
        journal_close(c->journal);
    return failed;
}

struct census *serve_census_start(
    const char *database_url, const struct catalog *catalog, struct metrics *metrics)
{
    struct census *c = calloc(1, sizeof *c);
    INVARIANT(c != NULL);
    c->metrics = metrics;
    c->ledgers = catalog_ledgers(catalog);
    struct err err;
    if (start(c, database_url, &err) == 0)
        return c;
    log_event(LOG_WARNING, "accounts cannot be counted; the gauges count from the start", "error",
        err.message, NULL);
    free(c);
    return NULL;
}

void serve_census_stop(struct census *c)
{
    if (c == NULL)
        return;
    atomic_store(&c->stop, true);
    pthread_join(c->thread, NULL);
    journal_close(c->journal);
    free(c);
}
