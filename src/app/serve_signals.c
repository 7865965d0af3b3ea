#include "app/serve_signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/serve_loop.h"
#include "app/serve_notify.h"
#include "telemetry/log.h"

#define EXIT_CUT_OFF 1
#define SIGNAL_END SIGUSR1 /* our own, to end the thread */

static sigset_t handled(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGNAL_END);
    return set;
}

void serve_signals_block(void)
{
    sigset_t set = handled();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a failed write like a full disk, not the end */
}

static void on_stop(const struct serve_signals *s, int got)
{
    log_event(
        LOG_INFO, "stopping: no new requests, what is queued is answered", "signal", strsignal(got), NULL);
    serve_notify("STOPPING=1");
    serve_loop_stop(s->loop);
}

/* The next signal; 0 when the time to stop in is over. */
static int next_signal(const sigset_t *set, bool stopping, const struct timespec *until)
{
    for (;;) {
        struct timespec now, left = {0, 0};
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t ns = (until->tv_sec - now.tv_sec) * INT64_C(1000000000) + until->tv_nsec - now.tv_nsec;
        if (ns > 0)
            left = (struct timespec){ns / 1000000000, ns % 1000000000};
        int got = stopping ? sigtimedwait(set, NULL, &left) : sigwaitinfo(set, NULL);
        if (got > 0)
            return got;
        if (errno == EAGAIN)
            return 0;
        INVARIANT_F(errno == EINTR, "%s", strerror(errno));
    }
}

static void *watch(void *arg)
{
    struct serve_signals *s = arg;
    sigset_t set = handled();
    struct timespec until = {0, 0};
    bool stopping = false;
    for (;;) {
        int got = next_signal(&set, stopping, &until);
        if (got == SIGNAL_END)
            return NULL;
        if (got == 0) { /* what was acknowledged is committed; what was not, clients send again */
            log_event(LOG_ERROR, "could not stop in time: ended with work undone", NULL);
            _exit(EXIT_CUT_OFF);
        }
        if (got == SIGHUP) {
            serve_loop_reload(s->loop);
            continue;
        }
        if (stopping)
            _exit(128 + got);
        stopping = true;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += s->give_up_ms / 1000;
        until.tv_nsec += s->give_up_ms % 1000 * 1000000;
        on_stop(s, got);
    }
}

int serve_signals_start(
    struct serve_signals *signals, struct serve_loop *loop, int give_up_ms, struct err *err)
{
    signals->loop = loop;
    signals->give_up_ms = give_up_ms;
    int failed = pthread_create(&signals->thread, NULL, watch, signals);
    return failed ? err_set(err, ERR_IO, "cannot start a thread: %s", strerror(failed)) : 0;
}

void serve_signals_stop(struct serve_signals *signals)
{
    pthread_kill(signals->thread, SIGNAL_END);
    pthread_join(signals->thread, NULL);
}
