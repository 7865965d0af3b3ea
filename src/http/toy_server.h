/*
 * A listening server with a handler made for tests, and a client that speaks bytes. Tests and the fuzz target
 * only.
 *
 *   /now           answered in the handler: "<method> <path> <query>"
 *   /echo          the request's body
 *   /later         answered "later" after a detour over another thread and http_wake()
 *   /never         kept until toy_release() or toy_stop()
 *   /stream?N      N lines of a stream, fed as the client takes them
 *   /stall         a stream that begins and is then kept like /never
 *   /small         as /echo, with a body limit of 10
 */
#ifndef CREDITLEDGER_HTTP_TOY_SERVER_H
#define CREDITLEDGER_HTTP_TOY_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/http.h"

#define TOY_KEPT_MAX 4096
#define TOY_BODY_LIMIT 1048576
#define TOY_STREAM_AHEAD 65536 /* a stream is fed while less than this waits */

struct toy {
    struct http_server *server;
    pthread_t loop, worker;
    int run_result;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct http_exchange *to_worker[TOY_KEPT_MAX], *from_worker[TOY_KEPT_MAX];
    size_t n_to_worker, n_from_worker;
    /* The loop's thread. */
    struct http_exchange *kept[TOY_KEPT_MAX];
    size_t n_kept;
    struct toy_stream {
        struct http_exchange *exchange;
        uint64_t left;
    } streams[TOY_KEPT_MAX];
    size_t n_streams;
    atomic_bool quit, release;
    atomic_size_t handled, kept_now, streams_lost, most_buffered;
};

/* NULL for the defaults of everything but the handler; listens on 127.0.0.1 and a free port unless told. */
void toy_start(struct toy *toy, const struct http_config *config);
void toy_release(struct toy *toy); /* answers all that /never keeps */
/* http_stop, waits for http_run to return, frees all. Returns the milliseconds it took. */
int64_t toy_stop(struct toy *toy, int grace_ms);

struct client {
    int fd;
    struct strbuf in; /* received and not yet consumed */
};

struct reply {
    int status;
    struct strbuf head, body;
};

void client_open(struct client *c, const struct toy *toy);
void client_close(struct client *c);
void client_send(struct client *c, struct str bytes); /* stops quietly when the other side has closed */
/* One whole answer. False if the connection ended, or 5 s passed, before that. */
bool client_reply(struct client *c, bool head_only, struct reply *ret_reply);
/* True if the other side closes within timeout_ms, without another byte. */
bool client_closed(struct client *c, int timeout_ms);
void reply_fini(struct reply *r);
bool reply_has(const struct reply *r, const char *text); /* in head or body */

#endif
