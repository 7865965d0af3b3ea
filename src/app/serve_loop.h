/*
 * What stands between the HTTP server and the service: requests become service calls, finished calls become
 * replies, streams flow no faster than their clients take them. Everything runs on the thread that is in
 * serve_loop_run(), except where said otherwise.
 */
#ifndef CREDITLEDGER_APP_SERVE_LOOP_H
#define CREDITLEDGER_APP_SERVE_LOOP_H

#include "app/service.h"
#include "http/http.h"

struct serve_loop;
struct metrics;

struct serve_loop_config {
    struct engine *engine; /* with its catalog NULL without the role `api` */
    struct catalog *catalog;
    struct metrics *metrics;
    struct tokens *tokens;  /* NULL: everybody may do everything */
    const char *token_file; /* read again by serve_loop_reload(); NULL if tokens is NULL */
    const char *database_url;
    const char *database_direct_url; /* as in struct service_config */
    bool shared;
    bool (*reachable)(const void *ctx); /* as in struct service_config */
    const void *reachable_ctx;
    const char *read_url; /* these four too */
    bool read_pooled;
    bool (*projection_stuck)(void *ctx, char *ret_detail, size_t size);
    void *projection_ctx;
    struct spans *spans;
    size_t readers;
    const char *listen;
    size_t connections_max;
    int grace_ms; /* how long calls in progress may take after serve_loop_stop() */
};

/* Listens from here on; an engine must be running before serve_loop_run(). */
MUST_CHECK int serve_loop_new(
    const struct serve_loop_config *config, struct serve_loop **ret_loop, struct err *err);
/* After engine_stop(): nothing is in progress any more. */
void serve_loop_free(struct serve_loop *loop);
int serve_loop_port(const struct serve_loop *loop);

/* Until serve_loop_stop() and everything in progress is answered. */
MUST_CHECK int serve_loop_run(struct serve_loop *loop, struct err *err);
/* After engine_stop(): ends the calls that outlived the grace. False if some would not end: then free
 * nothing. */
MUST_CHECK bool serve_loop_drain(struct serve_loop *loop);

/* From any thread. */
void serve_loop_stop(struct serve_loop *loop);
void serve_loop_reload(struct serve_loop *loop);                        /* the token file */
void serve_loop_committed(void *loop);                                  /* the engine's `committed` hook */
void serve_loop_projected(void *loop, struct str ledger, uint64_t seq); /* the projector's `reached` hook */

#endif
