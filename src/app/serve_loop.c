#include "app/serve_loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/serve_access.h"
#include "app/static_files.h"
#include "app/store.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define STREAM_BUFFER_MAX ((size_t)1 << 20) /* bytes a client may be behind before its stream waits */
#define TICK_US 1000000
#define DRAIN_TRIES 500 /* of 10 ms */

/* One request, from the handler's call until its reply. */
struct exchange {
    struct service_call call;
    struct serve_loop *loop;
    struct http_exchange *http;
    int64_t began_us;
    bool streaming, waiting, cancelled; /* waiting: for the client to take what is buffered */
    struct exchange *next_waiting;
};

struct serve_loop {
    struct serve_loop_config config;
    struct service *service;
    struct http_server *http;
    struct access_log access;
    pthread_mutex_t lock; /* the ready list's */
    struct service_call *ready_first, **ready_end;
    _Atomic bool stop_asked, reload_asked, committed;
    bool stopping, stopped;
    size_t in_progress;
    struct exchange *waiting;
    int64_t ticked_us;
};

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* From any thread, possibly within service_begin(). */
static void on_ready(struct service_call *call)
{
    struct serve_loop *loop = ((struct exchange *)call->owner)->loop;
    call->next = NULL;
    pthread_mutex_lock(&loop->lock);
    bool first = loop->ready_first == NULL;
    *loop->ready_end = call;
    loop->ready_end = &call->next;
    pthread_mutex_unlock(&loop->lock);
    if (first) /* the others ride on the same wake-up */
        http_wake(loop->http);
}

static struct service_call *take_ready(struct serve_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct service_call *first = loop->ready_first;
    loop->ready_first = NULL;
    loop->ready_end = &loop->ready_first;
    pthread_mutex_unlock(&loop->lock);
    return first;
}

static void exchange_over(struct exchange *x)
{
    struct serve_loop *loop = x->loop;
    struct access_entry entry = {
        .request = x->call.request,
        .response = &x->call.response,
        .status = x->call.response.status,
        .took_us = monotonic_us() - x->began_us,
        .cut = x->cancelled,
    };
    access_note(&loop->access, &entry);
    if (x->streaming)
        http_stream_end(x->http);
    else
        http_reply(x->http, &x->call.response);
    api_response_fini(&x->call.response);
    INVARIANT(loop->in_progress > 0);
    loop->in_progress--;
    free(x);
}

/* The next piece is asked for when the client has taken enough of what it was sent. */
static void exchange_go_on(struct exchange *x)
{
    struct serve_loop *loop = x->loop;
    if (!http_stream_alive(x->http)) {
        x->cancelled = true;
        service_cancel(loop->service, &x->call);
    } else if (http_stream_buffered(x->http) < STREAM_BUFFER_MAX) {
        service_continue(loop->service, &x->call);
    } else {
        x->waiting = true;
        x->next_waiting = loop->waiting;
        loop->waiting = x;
    }
}

static void exchange_ready(struct exchange *x)
{
    struct serve_loop *loop = x->loop;
    bool complete = service_finish(loop->service, &x->call);
    if (x->cancelled) {
        INVARIANT(complete);
        exchange_over(x);
        return;
    }
    if (complete && !x->streaming) {
        exchange_over(x);
        return;
    }
    if (!x->streaming) {
        x->streaming = true;
        http_stream_begin(x->http, &x->call.response); /* with the first piece */
    } else {
        http_stream_write(x->http, strbuf_view(&x->call.response.body));
    }
    strbuf_clear(&x->call.response.body);
    if (complete)
        exchange_over(x);
    else
        exchange_go_on(x);
}

static void wake_waiting(struct serve_loop *loop)
{
    struct exchange *x = loop->waiting;
    loop->waiting = NULL;
    while (x != NULL) {
        struct exchange *next = x->next_waiting;
        x->waiting = false;
        exchange_go_on(x);
        x = next;
    }
}

static void finish_ready(struct serve_loop *loop)
{
    for (struct service_call *call = take_ready(loop), *next; call != NULL; call = next) {
        next = call->next;
        exchange_ready(call->owner);
    }
}

static void reload_tokens(struct serve_loop *loop)
{
    struct tokens *fresh;
    struct err err;
    if (loop->config.tokens == NULL) {
        log_event(LOG_INFO, "nothing to reload: there is no token file", NULL);
    } else if (tokens_load(loop->config.token_file, &fresh, &err) != 0) {
        log_event(
            LOG_ERROR, "token file not reloaded, the tokens read before stay", "error", err.message, NULL);
    } else {
        char count[24];
        snprintf(count, sizeof count, "%zu", tokens_count(fresh));
        tokens_replace(loop->config.tokens, fresh);
        log_event(LOG_INFO, "token file reloaded", "file", loop->config.token_file, "tokens", count, NULL);
    }
}

/*
 * What has arrived when we are told to stop is still answered: the server takes it up between the first time
 * round, which only asks for a second, and the second, from which on the service refuses writes and lets
 * waiting reads go.
 */
static void stop_by_steps(struct serve_loop *loop)
{
    if (loop->stopped)
        return;
    if (!loop->stopping) {
        loop->stopping = true;
        http_wake(loop->http);
        return;
    }
    loop->stopped = true;
    service_stop(loop->service);
}

static void on_woken(void *ctx)
{
    struct serve_loop *loop = ctx;
    if (atomic_exchange(&loop->reload_asked, false))
        reload_tokens(loop);
    if (atomic_load(&loop->stop_asked))
        stop_by_steps(loop);
    finish_ready(loop);
    wake_waiting(loop);
    int64_t now = monotonic_us();
    if (atomic_exchange(&loop->committed, false) || now - loop->ticked_us >= TICK_US) {
        loop->ticked_us = now;
        service_tick(loop->service);
        metrics_set(loop->config.metrics, METRIC_CONNECTIONS, (int64_t)http_connections(loop->http));
    }
}

/* The contract and its browser need no token and no ledger. */
static bool reply_static(
    struct serve_loop *loop, struct http_exchange *http, const struct api_request *request)
{
    const struct static_file *file =
        request->method == API_GET || request->method == API_HEAD ? static_file_find(request->path) : NULL;
    if (file == NULL)
        return false;
    struct api_response response;
    api_response_init(&response);
    response.status = 200;
    response.content_type = file->content_type;
    api_response_header(&response, "Cache-Control", "no-cache");
    api_response_header(&response, "X-Content-Type-Options", "nosniff");
    strbuf_str(&response.body, file->bytes);
    metrics_response(loop->config.metrics, response.status);
    http_reply(http, &response);
    api_response_fini(&response);
    return true;
}

static void on_request(void *ctx, struct http_exchange *http, const struct api_request *request)
{
    struct serve_loop *loop = ctx;
    if (reply_static(loop, http, request))
        return;
    struct exchange *x = calloc(1, sizeof *x);
    INVARIANT(x != NULL);
    x->loop = loop;
    x->http = http;
    x->began_us = monotonic_us();
    x->call.request = request;
    x->call.ready = on_ready;
    x->call.owner = x;
    api_response_init(&x->call.response);
    http_exchange_set(http, x);
    loop->in_progress++;
    service_begin(loop->service, &x->call);
}

static size_t on_body_limit(void *ctx, enum api_method method, struct str path)
{
    (void)ctx;
    return service_body_limit(method, path);
}

static int start_service(struct serve_loop *loop, struct err *err)
{
    const struct serve_loop_config *c = &loop->config;
    struct service_config config = {
        .database_url = c->database_url,
        .database_direct_url = c->database_direct_url,
        .shared = c->shared,
        .reachable = c->reachable,
        .reachable_ctx = c->reachable_ctx,
        .read_url = c->read_url,
        .read_pooled = c->read_pooled,
        .projection_stuck = c->projection_stuck,
        .projection_ctx = c->projection_ctx,
        .spans = c->spans,
        .wake = serve_loop_committed,
        .wake_ctx = loop,
        .engine = c->engine,
        .catalog = c->catalog,
        .metrics = c->metrics,
        .tokens = c->tokens,
        .readers = c->readers,
        .now = store_now,
    };
    return service_new(&config, &loop->service, err);
}

int serve_loop_new(const struct serve_loop_config *config, struct serve_loop **ret_loop, struct err *err)
{
    struct serve_loop *loop = calloc(1, sizeof *loop);
    INVARIANT(loop != NULL);
    loop->config = *config;
    loop->ready_end = &loop->ready_first;
    pthread_mutex_init(&loop->lock, NULL);
    struct http_config http = {
        .listen = config->listen,
        .connections_max = config->connections_max,
        .body_limit = on_body_limit,
        .handler = on_request,
        .woken = on_woken,
        .ctx = loop,
    };
    int failed = http_new(&http, &loop->http, err);
    if (!failed)
        failed = start_service(loop, err);
    if (failed) {
        serve_loop_free(loop);
        return failed;
    }
    *ret_loop = loop;
    return 0;
}

void serve_loop_free(struct serve_loop *loop)
{
    if (loop == NULL)
        return;
    INVARIANT_F(loop->in_progress == 0, "%zu calls in progress", loop->in_progress);
    if (loop->service != NULL)
        service_free(loop->service);
    if (loop->http != NULL)
        http_free(loop->http);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

int serve_loop_port(const struct serve_loop *loop)
{
    return http_port(loop->http);
}

int serve_loop_run(struct serve_loop *loop, struct err *err)
{
    return http_run(loop->http, err);
}

bool serve_loop_drain(struct serve_loop *loop)
{
    if (!loop->stopped) {
        loop->stopped = true;
        service_stop(loop->service);
    }
    for (int i = 0; i < DRAIN_TRIES && loop->in_progress > 0; i++) {
        finish_ready(loop);
        wake_waiting(loop);
        service_tick(loop->service);
        if (loop->in_progress > 0)
            usleep(10000);
    }
    return loop->in_progress == 0;
}

void serve_loop_stop(struct serve_loop *loop)
{
    atomic_store(&loop->stop_asked, true);
    http_wake(loop->http);
    http_stop(loop->http, loop->config.grace_ms);
}

void serve_loop_reload(struct serve_loop *loop)
{
    atomic_store(&loop->reload_asked, true);
    http_wake(loop->http);
}

void serve_loop_committed(void *ctx)
{
    struct serve_loop *loop = ctx;
    if (!atomic_exchange(&loop->committed, true))
        http_wake(loop->http);
}

void serve_loop_projected(void *ctx, struct str ledger, uint64_t seq)
{
    struct serve_loop *loop = ctx;
    service_projected(loop->service, ledger, seq);
}
