/*
 * Signals of the server, taken by a thread of their own, so that no handler runs amid other code. SIGTERM and
 * SIGINT stop it, the second one at once, and a stop that does not come to its end in time (a database that neither
 * answers nor refuses) is cut off; SIGHUP reloads the token file; SIGPIPE and SIGXFSZ are ignored:
 * the writes that caused them fail.
 */
#ifndef CREDITLEDGER_APP_SERVE_SIGNALS_H
#define CREDITLEDGER_APP_SERVE_SIGNALS_H

#include <pthread.h>

#include "base/err.h"

struct serve_loop;

struct serve_signals {
    pthread_t thread;
    struct serve_loop *loop;
    int give_up_ms; /* after the first signal: then the process ends, whatever it waits for */
};

/* First of all, before any thread is started: threads inherit what is blocked. */
void serve_signals_block(void);
MUST_CHECK int serve_signals_start(
    struct serve_signals *signals, struct serve_loop *loop, int give_up_ms, struct err *err);
void serve_signals_stop(struct serve_signals *signals);

#endif
