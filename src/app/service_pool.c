/* Reader threads with their bounded queue, and the jobs that wait for a seq. */
#include <stdlib.h>
#include <string.h>

#include "app/service_internal.h"
#include "readmodel/query.h"

static void queue_push(struct job_queue *q, struct job *job)
{
    job->next = NULL;
    *(q->first == NULL ? &q->first : &q->last->next) = job;
    q->last = job;
    q->n++;
}

static struct job *queue_pop(struct job_queue *q)
{
    struct job *job = q->first;
    if (job != NULL) {
        q->first = job->next;
        q->n--;
    }
    return job;
}

static void *reader_main(void *arg)
{
    struct reader *reader = arg;
    struct service *s = reader->service;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (s->queue.first == NULL && !s->closing)
            pthread_cond_wait(&s->arrived, &s->lock);
        struct job *job = queue_pop(&s->queue);
        pthread_mutex_unlock(&s->lock);
        if (job == NULL)
            return NULL;
        job->step(job, reader);
    }
}

static int reader_open(struct service *s, struct reader *reader, struct err *err)
{
    const struct journal_options options = {
        .mode = JOURNAL_READ, .direct_url = s->config.database_direct_url};
    reader->service = s;
    reader->digest = digest_new();
    if (s->config.read_url != NULL)
        reader->reading = reading_new(s->config.read_url, s->config.read_pooled);
    int r = journal_open(s->config.database_url, &options, &reader->journal, err);
    return r < 0 ? err_wrap(err, "cannot open the journal for reading") : 0;
}

int reader_snapshot(struct reader *reader, struct err *err)
{
    struct journal *j = reader->journal;
    int r = j->ops->snapshot_begin(j, err);
    return r == ERR_IO ? j->ops->snapshot_begin(j, err) : r;
}

static void reader_close(struct reader *reader)
{
    journal_close(reader->journal);
    if (reader->reading != NULL)
        reading_free(reader->reading);
    if (reader->digest != NULL)
        digest_free(reader->digest);
    *reader = (struct reader){0};
}

int pool_start(struct service *s, struct err *err)
{
    s->loop.service = s;
    if (s->config.engine == NULL) { /* nothing here reads a journal */
        s->config.readers = 0;
        return 0;
    }
    if (s->config.readers == 0)
        return reader_open(s, &s->loop, err);
    s->loop.digest = digest_new();
    s->readers = calloc(s->config.readers, sizeof *s->readers);
    INVARIANT(s->readers != NULL);
    for (size_t i = 0; i < s->config.readers; i++) {
        struct reader *reader = &s->readers[i];
        int r = reader_open(s, reader, err);
        if (r == 0 && pthread_create(&reader->thread, NULL, reader_main, reader) != 0)
            r = err_set(err, ERR_IO, "cannot start a reader thread");
        if (r < 0) {
            reader_close(reader);
            return r;
        }
        s->n_readers++;
    }
    return 0;
}

void pool_stop(struct service *s)
{
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->arrived);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->n_readers; i++) {
        pthread_join(s->readers[i].thread, NULL);
        reader_close(&s->readers[i]);
    }
    free(s->readers);
    s->readers = NULL;
    s->n_readers = 0;
    reader_close(&s->loop);
}

bool pool_dispatch(struct job *job, job_step *step, bool forced)
{
    struct service *s = job->service;
    if (s->config.readers == 0) {
        step(job, &s->loop);
        return true;
    }
    job->step = step;
    pthread_mutex_lock(&s->lock);
    bool fits = forced || s->queue.n < LIMIT_READ_QUEUE;
    if (fits) {
        queue_push(&s->queue, job);
        pthread_cond_signal(&s->arrived);
    }
    pthread_mutex_unlock(&s->lock);
    return fits;
}

void pool_run(struct job *job, job_step *step)
{
    if (pool_dispatch(job, step, false))
        return;
    job->streaming = false;
    job_refuse(job, REFUSAL_QUEUE_FULL, "Too many reads wait.");
    job_ready(job);
}

void pool_after(struct job *job, job_step *step)
{
    if (job->service->config.readers > 0) {
        (void)!pool_dispatch(job, step, true);
        return;
    }
    job->step = step;
    job->step_in_finish = true;
    job_ready(job);
}

static bool park_room(struct job *job)
{
    if (job->service->n_parked < LIMIT_WAITERS_MAX)
        return true;
    job_refuse(job, REFUSAL_QUEUE_FULL, "Too many requests wait for a seq.");
    job_ready(job);
    return false;
}

static void put_parked(struct job *job, uint64_t seq, int64_t wait_us, job_step *step)
{
    struct service *s = job->service;
    job->wait_seq = seq;
    job->deadline = job->began_at + wait_us;
    job->wait_step = step;
    job->parked = true;
    job->next = s->parked;
    s->parked = job;
    s->n_parked++;
}

void park(struct job *job, uint64_t seq, int64_t wait_us, bool answer_anyway, job_step *step)
{
    if (!park_room(job))
        return;
    job->answer_anyway = answer_anyway;
    put_parked(job, seq, wait_us, step);
}

void park_projected(struct job *job, uint64_t seq, int64_t wait_us, job_step *step)
{
    if (!park_room(job))
        return;
    job->wait_projected = true;
    job->patience = job->began_at + QUERY_PATIENCE_US;
    put_parked(job, seq, wait_us, step);
    progress_wait(job->service, job->ledger->id);
}

static uint64_t reached_seq(const struct job *job)
{
    struct service *s = job->service;
    return job->wait_projected ? progress_seq(s, job->ledger->id)
                               : catalog_head_seq(s->config.catalog, job->ledger->id);
}

/* What was waited for is there, or as much of it as was worth waiting for. */
static bool reached_enough(const struct job *job, int64_t now)
{
    uint64_t seq = reached_seq(job);
    return seq >= job->wait_seq ||
           (job->wait_projected && ((now >= job->patience && seq >= job->least_seq) ||
                                       progress_unreadable(job->service))); /* the answer says so */
}

static void unpark(struct job *job, bool enough)
{
    struct service *s = job->service;
    job->parked = false;
    s->n_parked--;
    if (job->wait_projected)
        progress_wait_over(s, job->ledger->id);
    if (!job->cancelled && (enough || job->answer_anyway)) {
        pool_run(job, job->wait_step);
        return;
    }
    char detail[96];
    snprintf(detail, sizeof detail, "The %s is at %llu, %llu was asked for.",
        job->wait_projected ? "read model" : "ledger", (unsigned long long)reached_seq(job),
        (unsigned long long)(job->wait_projected ? job->least_seq : job->wait_seq));
    job_refuse(job, s->stopping ? REFUSAL_SHUTTING_DOWN : REFUSAL_NOT_REACHED, detail);
    job_ready(job);
}

void park_release(struct service *s, bool all)
{
    struct job **link = &s->parked, *due = NULL;
    int64_t now = service_now(s);
    while (*link != NULL) {
        struct job *job = *link;
        if (all || now >= job->deadline || reached_enough(job, now)) {
            *link = job->next;
            job->next = due;
            due = job;
        } else {
            link = &job->next;
        }
    }
    /* Only now, since what is released may end in the owner's hands and call back. */
    while (due != NULL) {
        struct job *job = due;
        due = job->next;
        unpark(job, reached_enough(job, all ? INT64_MAX : now));
    }
}

void park_cancel(struct job *job)
{
    for (struct job **link = &job->service->parked; *link != NULL; link = &(*link)->next) {
        if (*link != job)
            continue;
        *link = job->next;
        unpark(job, false);
        return;
    }
}
