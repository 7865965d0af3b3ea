#include "relay/relay.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "relay/relay_internal.h"
#include "telemetry/log.h"

#define RETRY_LEAST_MS 250
#define RETRY_MOST_MS 5000
#define LEASE_RENEW_US (LEASE_RENEW_MS * INT64_C(1000))
/* A database that does not answer for so long may have given the lease to another. */
#define LEASE_LOST_US ((LEASE_SECONDS - 1) * INT64_C(1000000))

struct relay {
    struct relay_config config;
    struct journal_options journal_options;
    pthread_t thread;
    int wake_fd;
    _Atomic bool stop;

    pthread_mutex_t lock;
    struct relay_state state; /* under the lock */

    /* the thread's own */
    struct journal *journal, *bell; /* bell: hears of commits of other processes; NULL: nobody else writes */
    struct db *db;
    char holder[LEASE_HOLDER_MAX + 1];
    bool held, prepared;
    uint64_t epoch;
    int64_t lease_asked_us, lease_held_us; /* monotonic: last asked for, last had */
    int64_t cursor_written_us;
    struct books books;
    struct publisher *publisher;
    int retry_ms; /* 0: the last attempt succeeded */
    char complaint[ERR_MESSAGE_MAX];
};

static void set_phase(struct relay *r, enum relay_phase phase, const char *detail)
{
    pthread_mutex_lock(&r->lock);
    r->state.phase = phase;
    snprintf(r->state.detail, sizeof r->state.detail, "%s", detail);
    pthread_mutex_unlock(&r->lock);
    metrics_set(r->config.metrics, METRIC_RELAY_ACTIVE, phase == RELAY_PUBLISHING);
}

void relay_state(struct relay *r, struct relay_state *ret_state)
{
    pthread_mutex_lock(&r->lock);
    *ret_state = r->state;
    pthread_mutex_unlock(&r->lock);
}

void relay_wake(struct relay *r)
{
    INVARIANT(eventfd_write(r->wake_fd, 1) == 0);
}

static bool stopping(const struct relay *r)
{
    return atomic_load_explicit(&r->stop, memory_order_relaxed);
}

/* Until woken or the time is over. */
static void rest(const struct relay *r, int ms)
{
    struct pollfd wake = {.fd = r->wake_fd, .events = POLLIN};
    eventfd_t ignored;
    if (poll(&wake, 1, ms) > 0)
        (void)eventfd_read(r->wake_fd, &ignored);
}

/* The same, where being woken is no reason to hurry. */
static void rest_through(const struct relay *r, int ms)
{
    for (int64_t until = relay_monotonic_us() + ms * INT64_C(1000);;) {
        int64_t left = (until - relay_monotonic_us()) / 1000;
        if (left <= 0 || stopping(r))
            return;
        rest(r, (int)left);
        /* Woken by every commit it would spin: a tick is soon enough to see that it is to stop. */
        if (!stopping(r))
            (void)usleep(10000);
    }
}

/* --- failing and recovering ----------------------------------------------------------------------------------- */

/* How long the journal has waited, also while nothing gets through. What cannot be told now is told later. */
static void measure_outbox(struct relay *r)
{
    int64_t oldest;
    struct err ignored;
    if (r->journal != NULL && books_heads(&r->books, r->journal, &ignored) == 0 &&
        books_oldest(&r->books, r->journal, &oldest, &ignored) == 0)
        metrics_oldest(r->config.metrics, METRIC_OUTBOX_OLDEST, oldest);
}

/* Whatever failed, the next attempt begins with a new producer: it settles what this one left in Kafka, and the topic
 * tells what of it counts. So no outcome needs guessing. */
static void fail(struct relay *r, const struct err *err)
{
    publisher_close(r->publisher);
    r->publisher = NULL;
    r->retry_ms = r->retry_ms == 0 ? RETRY_LEAST_MS : r->retry_ms * 2;
    if (r->retry_ms > RETRY_MOST_MS)
        r->retry_ms = RETRY_MOST_MS;
    metrics_count(r->config.metrics, METRIC_RELAY_FAILURES, 1);
    set_phase(r, RELAY_FAILING, err->message);
    if (strcmp(r->complaint, err->message) != 0)
        log_event(LOG_WARNING, "the relay cannot publish; it tries on", "error", err->message, NULL);
    memcpy(r->complaint, err->message, sizeof r->complaint);
    measure_outbox(r);
}

static void recovered(struct relay *r)
{
    if (r->retry_ms != 0)
        log_event(LOG_INFO, "the relay publishes again", NULL);
    r->retry_ms = 0;
    r->complaint[0] = '\0';
}

/* --- the lease ------------------------------------------------------------------------------------------------ */

static int open_databases(struct relay *r, struct err *err)
{
    int rc = 0;
    if (r->journal == NULL)
        rc = journal_open(r->config.journal_url, &r->journal_options, &r->journal, err);
    if (rc == 0 && r->bell == NULL && r->journal->ops->listen != NULL)
        rc = journal_open(r->config.journal_url, &r->journal_options, &r->bell, err);
    if (rc == 0 && r->db == NULL) {
        const struct db_options options = {.create = true, .pooled = r->config.pooled};
        rc = db_open(r->config.read_url, &options, &r->db, err);
    }
    if (rc == 0 && !r->prepared) {
        rc = lease_prepare(r->db, err);
        if (rc == 0)
            rc = cursor_prepare(r->db, err);
        r->prepared = rc == 0;
    }
    return rc;
}

static void lose_lease(struct relay *r, const char *why)
{
    publisher_close(r->publisher);
    r->publisher = NULL;
    if (r->held)
        log_event(LOG_INFO, "the relay stands by", "reason", why, NULL);
    r->held = false;
    set_phase(r, RELAY_STANDBY, why);
    /* Its age is told by the one who publishes. */
    metrics_oldest(r->config.metrics, METRIC_OUTBOX_OLDEST, 0);
}

/* Asks for the lease, or renews it, when it is time to. A database that is away for a moment takes it from nobody. */
static int keep_lease(struct relay *r, struct err *err)
{
    int64_t now = relay_monotonic_us();
    if (r->lease_asked_us != 0 && now - r->lease_asked_us < LEASE_RENEW_US)
        return 0;
    struct lease_state state;
    int rc = lease_take(r->db, RELAY_LEASE, r->holder, &state, err);
    if (rc != 0) {
        if (r->held && now - r->lease_held_us < LEASE_LOST_US)
            return 0;
        lose_lease(r, "the lease could not be renewed");
        return err_wrap(err, "the relay's lease");
    }
    r->lease_asked_us = now;
    if (!state.held) {
        char why[LEASE_HOLDER_MAX + 32];
        snprintf(why, sizeof why, "%s publishes", *state.holder != '\0' ? state.holder : "another");
        lose_lease(r, why);
        return 0;
    }
    if (r->held && r->epoch != state.epoch)
        lose_lease(r, "another has published meanwhile");
    if (!r->held)
        log_event(LOG_INFO, "the relay takes over", "holder", r->holder, NULL);
    r->held = true;
    r->epoch = state.epoch;
    r->lease_held_us = now;
    return 0;
}

static void give_lease(struct relay *r)
{
    struct err err = {0};
    if (r->held && lease_give(r->db, RELAY_LEASE, r->holder, &err) != 0)
        log_event(LOG_WARNING, "the relay's lease could not be given back; it runs out by itself", "error",
            err.message, NULL);
    r->held = false;
    r->lease_asked_us = 0;
}

/* --- publishing ----------------------------------------------------------------------------------------------- */

static int take_over(struct relay *r, struct err *err)
{
    const struct publisher_config config = {
        .journal = r->journal,
        .kafka = r->config.kafka,
        .books = &r->books,
        .metrics = r->config.metrics,
        .spans = r->config.spans,
    };
    books_fini(&r->books);
    int rc = books_refresh(&r->books, r->journal, err);
    if (rc == 0) /* before Kafka is asked: what its absence means is counted from here */
        rc = places_from_cursor(&r->books, r->db, r->config.kafka, NULL, err);
    if (rc == 0)
        rc = publisher_open(&config, &r->publisher, err);
    const char *raised = NULL;
    if (rc == 0)
        rc = places_from_cursor(&r->books, r->db, r->config.kafka, &raised, err);
    if (rc != 0)
        return rc;
    if (raised != NULL)
        log_event(LOG_WARNING,
            "Kafka's topic of positions ends before what was published: it has lost messages; "
            "'creditledger relay replay' publishes again",
            "ledger", raised, NULL);
    for (size_t i = 0; i < r->books.n; i++)
        metrics_ledger_seq(r->config.metrics, METRIC_LEDGER_PUBLISHED, str_of(r->books.at[i].row.name),
            r->books.at[i].place.seq);
    r->cursor_written_us = relay_monotonic_us();
    return 0;
}

static bool cursor_due(const struct relay *r)
{
    for (size_t i = 0; i < r->books.n; i++)
        if (r->books.at[i].cursor_due)
            return true;
    return false;
}

/* The rows are for people: that they cannot be written stops nothing. */
static void write_cursor(struct relay *r, bool now)
{
    int64_t clock = relay_monotonic_us();
    if (!cursor_due(r) || (!now && clock - r->cursor_written_us < RELAY_CURSOR_MS * INT64_C(1000)))
        return;
    struct err err = {0};
    r->cursor_written_us = clock;
    if (cursor_write(&r->books, r->db, r->config.kafka, r->epoch, &err) != 0)
        log_event(LOG_WARNING, "the relay's cursor could not be written", "error", err.message, NULL);
}

static bool news(const struct relay *r)
{
    for (size_t i = 0; i < r->books.n; i++)
        if (r->books.at[i].head != r->books.at[i].place.seq)
            return true;
    return false;
}

/* What is there, batch by batch, as long as it is ours to publish. */
static int publish(struct relay *r, struct err *err)
{
    while (!stopping(r)) {
        int rc = books_heads(&r->books, r->journal, err);
        if (rc != 0)
            return rc;
        if (!news(r))
            break;
        bool more;
        rc = publish_batch(r->publisher, &more, err);
        if (rc != 0)
            return rc;
        recovered(r);
        write_cursor(r, false);
        rc = keep_lease(r, err);
        if (rc != 0 || !r->held)
            return rc;
    }
    recovered(r);
    if (!news(r))
        metrics_oldest(r->config.metrics, METRIC_OUTBOX_OLDEST, 0);
    set_phase(r, RELAY_PUBLISHING, "");
    return 0;
}

static int work(struct relay *r, struct err *err)
{
    int rc = open_databases(r, err);
    if (rc == 0)
        rc = keep_lease(r, err);
    if (rc != 0 || !r->held)
        return rc;
    if (r->publisher == NULL)
        rc = take_over(r, err);
    return rc == 0 ? publish(r, err) : rc;
}

/* Until there may be news, the cursor is due, or the lease. */
static void wait_for_news(struct relay *r)
{
    int ms = LEASE_RENEW_MS < RELAY_POLL_MS ? LEASE_RENEW_MS : RELAY_POLL_MS;
    if (!r->held) {
        rest_through(r, ms);
        return;
    }
    if (cursor_due(r))
        ms = RELAY_CURSOR_MS;
    if (r->bell == NULL) {
        rest(r, ms);
    } else {
        struct err err = {0};
        if (r->bell->ops->listen(r->bell, ms, r->wake_fd, &err) < 0)
            rest(r, ms / 10);
        else
            rest(r, 0);
    }
    write_cursor(r, false);
}

static void *relay_main(void *arg)
{
    struct relay *r = arg;
    while (!stopping(r)) {
        struct err err = {0};
        int rc = work(r, &err);
        if (stopping(r))
            break;
        if (rc == ERR_CONFLICT && r->held) {
            /* Someone with our transactional id began after us. If that was no relay of this database (whose lease
             * we have), the two would fence each other as fast as they can. */
            lose_lease(r, "fenced by another relay");
            rest_through(r, LEASE_RENEW_MS);
        } else if (rc != 0) {
            fail(r, &err);
            /* Another that reaches Kafka may try meanwhile. */
            if (r->db != NULL)
                give_lease(r);
            rest_through(r, r->retry_ms);
        } else {
            wait_for_news(r);
        }
    }
    return NULL;
}

/* --- starting and stopping ------------------------------------------------------------------------------------ */

static void relay_free(struct relay *r)
{
    publisher_close(r->publisher);
    books_fini(&r->books);
    journal_close(r->bell);
    journal_close(r->journal);
    db_close(r->db);
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int relay_start(const struct relay_config *config, struct relay **ret_relay, struct err *err)
{
    int rc = kafka_check(config->kafka, err);
    if (rc != 0)
        return rc;
    struct relay *r = calloc(1, sizeof *r);
    INVARIANT(r != NULL);
    r->config = *config;
    r->journal_options = *config->journal_options;
    r->journal_options.mode = JOURNAL_READ;
    r->journal_options.create = false;
    r->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    lease_holder(r->holder);
    set_phase(r, RELAY_STANDBY, "starting");
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->wake_fd < 0 || pthread_create(&r->thread, NULL, relay_main, r) != 0) {
        relay_free(r);
        return err_set(err, ERR_IO, "cannot start the relay's thread");
    }
    *ret_relay = r;
    return 0;
}

void relay_stop(struct relay *r)
{
    if (r == NULL)
        return;
    atomic_store(&r->stop, true);
    relay_wake(r);
    pthread_join(r->thread, NULL);
    if (r->held)
        write_cursor(r, true);
    if (r->db != NULL)
        give_lease(r);
    relay_free(r);
}
