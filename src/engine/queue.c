/* Commands on their way to the engine's thread, and its sleep: on the queue and on the journal's descriptor at once. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/engine_internal.h"

int queue_init(struct engine *e, struct err *err)
{
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->answered, NULL);
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->wake_fd < 0)
        return err_set(err, ERR_IO, "eventfd: %s", strerror(errno));
    return 0;
}

void queue_fini(struct engine *e)
{
    if (e->wake_fd >= 0)
        close(e->wake_fd);
    pthread_mutex_destroy(&e->mutex);
    pthread_cond_destroy(&e->answered);
}

/* Under the mutex. Only who sleeps is woken: a system call for every command would be felt. */
static void wake(struct engine *e)
{
    if (!e->sleeping)
        return;
    e->sleeping = false;
    const uint64_t one = 1;
    ssize_t n = write(e->wake_fd, &one, sizeof one);
    INVARIANT_F(n == sizeof one, "eventfd: %d", errno);
}

static size_t bytes_of(const struct submission *s)
{
    size_t bytes = sizeof *s + s->n * (sizeof *s->commands + sizeof *s->answers);
    for (size_t i = 0; i < s->n; i++) {
        const struct command *command = &s->commands[i];
        bytes += command->text.len + command->reference.len + command->idempotency_key.len;
        if (command->op == COMMAND_POST)
            bytes += command->as.post.n_postings * sizeof(struct posting) +
                     command->as.post.n_expects * sizeof(struct expectation);
    }
    return bytes;
}

enum refusal engine_submit(struct engine *e, struct submission *s)
{
    INVARIANT(s->n >= 1);
    s->queued_bytes = bytes_of(s);
    s->queued_at = e->config.now(e->config.environment);
    s->next = NULL;
    enum refusal refusal = REFUSAL_NONE;
    pthread_mutex_lock(&e->mutex);
    /* An empty queue takes anything that a single request may be. */
    bool full = e->first != NULL && (e->queued_commands + s->n > e->config.queue_commands ||
                                        e->queued_bytes + s->queued_bytes > e->config.queue_bytes);
    if (e->stopping) {
        refusal = REFUSAL_SHUTTING_DOWN;
    } else if (full) {
        refusal = REFUSAL_QUEUE_FULL;
    } else {
        *(e->first == NULL ? &e->first : &e->last->next) = s;
        e->last = s;
        e->queued_commands += s->n;
        e->queued_bytes += s->queued_bytes;
        e->depth = e->queued_commands;
        wake(e);
    }
    pthread_mutex_unlock(&e->mutex);
    if (refusal == REFUSAL_QUEUE_FULL)
        metrics_count(e->config.metrics, METRIC_QUEUE_REFUSED, 1);
    return refusal;
}

/* What one transaction should hold; a submission alone may be larger. */
static bool fits(const struct engine *e, size_t already, const struct submission *s)
{
    return already == 0 || already + s->n <= e->config.commit_commands;
}

static struct batch_input take_locked(struct engine *e, size_t already, queue_accept *accept)
{
    struct batch_input input = {.first = e->first};
    for (struct submission *s = e->first; s != NULL; s = s->next) {
        if (!fits(e, already + input.n_commands, s) || (accept != NULL && !accept(e, s)))
            break;
        input.last = s;
        input.n_commands += s->n;
        e->queued_bytes -= s->queued_bytes;
    }
    if (input.last == NULL)
        return (struct batch_input){0};
    e->first = input.last->next;
    input.last->next = NULL;
    e->queued_commands -= input.n_commands;
    e->depth = e->queued_commands;
    return input;
}

struct batch_input queue_take(struct engine *e, size_t already, queue_accept *accept)
{
    pthread_mutex_lock(&e->mutex);
    struct batch_input input = take_locked(e, already, accept);
    size_t left = e->queued_commands;
    pthread_mutex_unlock(&e->mutex);
    metrics_set(e->config.metrics, METRIC_QUEUE_DEPTH, (int64_t)left);
    return input;
}

void queue_append(struct batch_input *input, const struct batch_input *more)
{
    if (more->first == NULL)
        return;
    *(input->first == NULL ? &input->first : &input->last->next) = more->first;
    input->last = more->last;
    input->n_commands += more->n_commands;
}

/* Between the look at the queue and the sleep nothing is missed: `sleeping` is set under the queue's mutex, and the
 * eventfd remembers. */
bool queue_wait(struct engine *e, bool room, int fd, int timeout_ms)
{
    pthread_mutex_lock(&e->mutex);
    bool next = room && e->first != NULL && fits(e, e->open_input.n_commands, e->first);
    bool ready = e->stopping || next;
    e->sleeping =
        !ready && room && e->first == NULL; /* behind one that does not fit nothing that arrives is of use */
    pthread_mutex_unlock(&e->mutex);
    if (ready)
        return true;
    struct pollfd fds[] = {{.fd = e->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int n = poll(fds, 2, timeout_ms);
    INVARIANT_F(n >= 0 || errno == EINTR, "poll: %d", errno);
    pthread_mutex_lock(&e->mutex);
    e->sleeping = false;
    pthread_mutex_unlock(&e->mutex);
    uint64_t wakes;
    ssize_t ignored = read(e->wake_fd, &wakes, sizeof wakes);
    (void)ignored; /* nothing to read: it was not woken */
    return n != 0;
}

bool queue_stopping(struct engine *e)
{
    pthread_mutex_lock(&e->mutex);
    bool stopping = e->stopping;
    pthread_mutex_unlock(&e->mutex);
    return stopping;
}

void queue_stop(struct engine *e)
{
    pthread_mutex_lock(&e->mutex);
    e->stopping = true;
    e->sleeping = true; /* it may sleep for the journal alone */
    wake(e);
    pthread_mutex_unlock(&e->mutex);
}
