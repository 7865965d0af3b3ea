/*
 * How far the read model is. The projector of this process tells (service_projected); where it is in another process, or
 * is not the active one, a thread looks, but only while somebody waits. It also has the loop look at its clock, since
 * patience is shorter than the loop's own tick.
 */
#include <stdlib.h>
#include <string.h>

#include "app/service_internal.h"

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

int progress_start(struct service *s, struct err *err)
{
    (void)s, (void)err;
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
    free(p->rows);
}
