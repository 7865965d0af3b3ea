/*
 * How far the read model is. The projector of this process tells (service_projected); where it is in another process, or
 * is not the active one, a thread looks, but only while somebody waits. It also has the loop look at its clock, since
 * patience is shorter than the loop's own tick.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/service_internal.h"
#include "readmodel/query.h"

#define LOOK_MS 25
#define TOLD_US 1000000 /* a projector that spoke within this time goes on doing so */

/* Under the lock. */
static struct progress_row *row_of(struct progress *p, uint32_t ledger)
{
    INVARIANT(ledger > 0);
    if (ledger > p->n) {
        size_t n = p->n > 0 ? 2 * p->n : 8;
        while (n < ledger)
            n *= 2;
        p->rows = realloc(p->rows, n * sizeof *p->rows);
        INVARIANT(p->rows != NULL);
        memset(p->rows + p->n, 0, (n - p->n) * sizeof *p->rows);
        p->n = n;
    }
    return &p->rows[ledger - 1];
}

static void wake(struct service *s)
{
    if (s->config.wake != NULL)
        s->config.wake(s->config.wake_ctx);
}

void service_projected(struct service *s, struct str name, uint64_t seq)
{
    struct progress *p = &s->progress;
    const struct ledger_row *ledger =
        s->config.catalog != NULL ? catalog_ledger_by_name(s->config.catalog, name) : NULL;
    if (ledger == NULL)
        return; /* another process's, not heard of yet: the thread looks when somebody waits for it */
    pthread_mutex_lock(&p->lock);
    struct progress_row *row = row_of(p, ledger->id);
    row->seq = seq;
    row->told_at = service_now(s);
    p->unreadable = false;
    bool awaited = row->waiters > 0;
    pthread_mutex_unlock(&p->lock);
    if (awaited)
        wake(s);
}

uint64_t progress_seq(struct service *s, uint32_t ledger)
{
    struct progress *p = &s->progress;
    pthread_mutex_lock(&p->lock);
    uint64_t seq = ledger <= p->n ? p->rows[ledger - 1].seq : 0;
    pthread_mutex_unlock(&p->lock);
    return seq;
}

bool progress_unreadable(struct service *s)
{
    struct progress *p = &s->progress;
    pthread_mutex_lock(&p->lock);
    bool unreadable = p->unreadable;
    pthread_mutex_unlock(&p->lock);
    return unreadable;
}

void progress_wait(struct service *s, uint32_t ledger)
{
    struct progress *p = &s->progress;
    pthread_mutex_lock(&p->lock);
    row_of(p, ledger)->waiters++;
    p->waiters++;
    if (p->idle) {
        p->unreadable = false; /* as long as nobody has looked again */
        pthread_cond_signal(&p->asked);
    }
    pthread_mutex_unlock(&p->lock);
}

void progress_wait_over(struct service *s, uint32_t ledger)
{
    struct progress *p = &s->progress;
    pthread_mutex_lock(&p->lock);
    struct progress_row *row = row_of(p, ledger);
    INVARIANT(row->waiters > 0 && p->waiters > 0);
    row->waiters--;
    p->waiters--;
    pthread_mutex_unlock(&p->lock);
}

void progress_look(struct service *s, struct reading *reading, const struct ledger_row *ledger)
{
    struct progress *p = &s->progress;
    struct err err = {0};
    uint64_t seq;
    int64_t recorded_at;
    int r = query_begin(reading, str_of(ledger->name), &seq, &recorded_at, &err);
    if (r == 0)
        query_end(reading);
    else
        service_complain(s, "read model not readable", &err);
    pthread_mutex_lock(&p->lock);
    if (r == 0)
        row_of(p, ledger->id)->seq = seq;
    p->unreadable = r != 0;
    pthread_mutex_unlock(&p->lock);
}

/* The next ledger after `id` that somebody waits for and nobody tells of; 0: none. Under the lock. */
static uint32_t next_awaited(const struct progress *p, uint32_t id, int64_t now)
{
    for (uint32_t i = id; i < p->n; i++) {
        const struct progress_row *row = &p->rows[i];
        bool told = row->told_at != 0 && now - row->told_at < TOLD_US && now >= row->told_at;
        if (row->waiters > 0 && !told)
            return i + 1;
    }
    return 0;
}

static void look_at_awaited(struct service *s)
{
    struct progress *p = &s->progress;
    int64_t now = service_now(s);
    for (uint32_t id = 0;;) {
        pthread_mutex_lock(&p->lock);
        id = next_awaited(p, id, now);
        pthread_mutex_unlock(&p->lock);
        if (id == 0)
            return;
        progress_look(s, p->reading, catalog_ledger(s->config.catalog, id));
    }
}

/* Under the lock: LOOK_MS, or until it is closed. */
static void pause_between_looks(struct progress *p)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until); /* the other may be set back while somebody waits */
    until.tv_nsec += LOOK_MS * 1000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    while (!p->closing && pthread_cond_clockwait(&p->asked, &p->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
}

static void *progress_main(void *arg)
{
    struct service *s = arg;
    struct progress *p = &s->progress;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        p->idle = true;
        while (p->waiters == 0 && !p->closing)
            pthread_cond_wait(&p->asked, &p->lock);
        p->idle = false;
        if (p->closing)
            break;
        pthread_mutex_unlock(&p->lock);
        look_at_awaited(s);
        wake(s);
        pthread_mutex_lock(&p->lock);
        pause_between_looks(p);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int progress_start(struct service *s, struct err *err)
{
    struct progress *p = &s->progress;
    if (s->config.read_url == NULL || s->config.readers == 0)
        return 0;
    p->reading = reading_new(s->config.read_url, s->config.read_pooled);
    if (pthread_create(&p->thread, NULL, progress_main, s) != 0)
        return err_set(err, ERR_IO, "cannot start the thread that looks at the read model");
    p->threaded = true;
    return 0;
}

void progress_stop(struct service *s)
{
    struct progress *p = &s->progress;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_signal(&p->asked);
    pthread_mutex_unlock(&p->lock);
    if (p->threaded)
        pthread_join(p->thread, NULL);
    if (p->reading != NULL)
        reading_free(p->reading);
    free(p->rows);
}
