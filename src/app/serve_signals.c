#include "app/serve_signals.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "app/serve_loop.h"
#include "app/serve_notify.h"
#include "telemetry/log.h"

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

static void *watch(void *arg)
{
    struct serve_signals *s = arg;
    sigset_t set = handled();
    bool stopping = false;
    for (int got; sigwait(&set, &got) == 0;) {
        if (got == SIGNAL_END)
            break;
        if (got == SIGHUP) {
            serve_loop_reload(s->loop);
            continue;
        }
        if (stopping)
            _exit(128 + got);
        stopping = true;
        log_event(LOG_INFO, "stopping: no new requests, what is queued is answered", "signal", strsignal(got),
            NULL);
        serve_notify("STOPPING=1");
        serve_loop_stop(s->loop);
    }
    return NULL;
}

int serve_signals_start(struct serve_signals *signals, struct serve_loop *loop, struct err *err)
{
    signals->loop = loop;
    int failed = pthread_create(&signals->thread, NULL, watch, signals);
    return failed ? err_set(err, ERR_IO, "cannot start a thread: %s", strerror(failed)) : 0;
}

void serve_signals_stop(struct serve_signals *signals)
{
    pthread_kill(signals->thread, SIGNAL_END);
    pthread_join(signals->thread, NULL);
}
