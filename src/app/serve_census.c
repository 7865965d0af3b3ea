#include "app/serve_census.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "app/store.h"
#include "base/instant.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define PAGE_ACCOUNTS 1000
#define NICENESS 10

struct census {
    struct census_config config;
    pthread_t thread;
    struct journal *journal;
    size_t ledgers;
    pthread_mutex_t lock;
    pthread_cond_t stopped;                      /* on the monotonic clock */
    _Atomic bool stop;                           /* set under the lock */
    int64_t known_accounts, known_without_floor; /* what the gauges said when the snapshot was taken */
    uint64_t last;                               /* number of the account seen last */
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

static void publish(struct census *c)
{
    struct metrics *m = c->config.metrics;
    /* What the engine counts meanwhile stays; what others did comes in. */
    metrics_add(m, METRIC_ACCOUNTS, c->accounts - c->known_accounts);
    metrics_add(m, METRIC_ACCOUNTS_WITHOUT_FLOOR, c->without_floor - c->known_without_floor);
    char accounts[24], open[24];
    snprintf(accounts, sizeof accounts, "%lld", (long long)c->accounts);
    snprintf(open, sizeof open, "%lld", (long long)c->without_floor);
    log_event(LOG_DEBUG, "accounts counted", "accounts", accounts, "withoutFloor", open, NULL);
}

/* A snapshot is what the first read sees: one is made at once. */
static int take_snapshot(struct census *c, struct err *err)
{
    struct ledger_head head;
    struct journal *j = c->journal;
    c->ledgers = catalog_ledgers(c->config.catalog);
    c->known_accounts = metrics_gauge(c->config.metrics, METRIC_ACCOUNTS);
    c->known_without_floor = metrics_gauge(c->config.metrics, METRIC_ACCOUNTS_WITHOUT_FLOOR);
    c->accounts = c->without_floor = 0;
    int failed = j->ops->snapshot_begin(j, err);
    if (failed)
        return failed;
    failed = j->ops->head(j, 1, &head, err);
    if (failed)
        j->ops->snapshot_end(j);
    return failed;
}

static void complain(const struct err *err)
{
    log_event(LOG_WARNING, "accounts could not be counted; the gauges count what this process did since",
        "error", err->message, NULL);
}

/* Within the snapshot, which it ends. */
static void count_all(struct census *c)
{
    struct err err;
    int failed = 0;
    for (uint32_t ledger = 1; ledger <= c->ledgers && !failed && !atomic_load(&c->stop); ledger++)
        failed = count_ledger(c, ledger, &err);
    c->journal->ops->snapshot_end(c->journal);
    if (failed)
        complain(&err);
    else if (!atomic_load(&c->stop))
        publish(c);
}

/* False if it is to stop. */
static bool wait_for_next(struct census *c, int64_t wait_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + wait_us % MICROS_PER_SECOND * 1000;
    until.tv_sec += wait_us / MICROS_PER_SECOND + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&c->lock);
    while (!c->stop && pthread_cond_timedwait(&c->stopped, &c->lock, &until) == 0)
        ;
    bool go_on = !c->stop;
    pthread_mutex_unlock(&c->lock);
    return go_on;
}

static void *census_main(void *arg)
{
    struct census *c = arg;
    struct err err;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS); /* of this thread only, on Linux */
    for (bool snapshot = true;; snapshot = take_snapshot(c, &err) == 0) {
        int64_t begun = store_now(NULL);
        if (snapshot)
            count_all(c);
        else
            complain(&err);
        int64_t took = store_now(NULL) - begun, wait = (int64_t)c->config.again_ms * 1000;
        if (wait == 0 || !wait_for_next(c, took * 20 > wait ? took * 20 : wait))
            return NULL;
    }
}

static int start(struct census *c, struct err *err)
{
    struct journal_options options = {
        .mode = JOURNAL_READ, .now = store_now(NULL), .direct_url = c->config.database_direct_url};
    int failed = journal_open(c->config.database_url, &options, &c->journal, err);
    if (failed)
        return failed;
    failed = take_snapshot(c, err);
    if (!failed && pthread_create(&c->thread, NULL, census_main, c) != 0) {
        c->journal->ops->snapshot_end(c->journal);
        failed = err_set(err, ERR_IO, "cannot start a thread");
    }
    if (failed)
        journal_close(c->journal);
    return failed;
}

static void census_free(struct census *c)
{
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->stopped);
    free(c);
}

struct census *serve_census_start(const struct census_config *config)
{
    struct census *c = calloc(1, sizeof *c);
    INVARIANT(c != NULL);
    c->config = *config;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    struct err err;
    if (start(c, &err) == 0)
        return c;
    complain(&err);
    census_free(c);
    return NULL;
}

void serve_census_stop(struct census *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->stopped);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    journal_close(c->journal);
    census_free(c);
}
