#include "app/service_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/routes.h"
#include "base/instant.h"

/* --- life
 * --------------------------------------------------------------------------------------------------- */

int service_new(const struct service_config *config, struct service **ret_service, struct err *err)
{
    struct service *s = calloc(1, sizeof *s);
    INVARIANT(s != NULL);
    s->config = *config;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->arrived, NULL);
    pthread_mutex_init(&s->progress.lock, NULL);
    pthread_cond_init(&s->progress.asked, NULL);
    int r = pool_start(s, err);
    if (r == 0)
        r = progress_start(s, err);
    if (r < 0) {
        service_free(s);
        return r;
    }
    *ret_service = s;
    return 0;
}

void service_free(struct service *s)
{
    if (s == NULL)
        return;
    INVARIANT(s->parked == NULL);
    progress_stop(s);
    pool_stop(s);
    pthread_mutex_destroy(&s->progress.lock);
    pthread_cond_destroy(&s->progress.asked);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->arrived);
    free(s);
}

void service_stop(struct service *s)
{
    s->stopping = true;
    park_release(s, true);
}

void service_tick(struct service *s)
{
    park_release(s, false);
}

size_t service_body_limit(enum api_method method, struct str path)
{
    return route_body_limit(method, path);
}

int64_t service_now(const struct service *s)
{
    return s->config.now(s->config.environment);
}

static const struct asset *look_up(const void *ctx, uint32_t id)
{
    return catalog_asset(ctx, id);
}

struct asset_lookup service_assets(const struct service *s)
{
    return (struct asset_lookup){look_up, s->config.catalog};
}

/* --- answers
 * ------------------------------------------------------------------------------------------------ */

void job_ready(struct job *job)
{
    if (!job->in_finish)
        job->call->ready(job->call);
}

void job_problem(struct job *job, const struct problem *problem)
{
    api_problem_respond(&job->call->response, problem, job->amount_strings);
}

void job_refuse(struct job *job, enum refusal refusal, const char *detail)
{
    job_problem(job, &(struct problem){.refusal = refusal, .detail = str_of(detail)});
}

void job_fault(struct job *job, const struct fault *fault)
{
    struct problem problem = fault_problem(fault);
    job_problem(job, &problem);
}

void service_complain(struct service *s, const char *what, const struct err *err)
{
    int64_t now = service_now(s), last = atomic_load(&s->complained_at);
    bool due = now < last || now - last >= MICROS_PER_SECOND;
    if (due && atomic_compare_exchange_strong(&s->complained_at, &last, now))
        log_event(LOG_ERROR, what, "error", err->message, NULL);
    metrics_count(s->config.metrics, METRIC_DATABASE_ERRORS, 1);
}

void job_failed(struct job *job, const struct err *err)
{
    service_complain(job->service, "journal not readable", err);
    bool damaged = err->code == ERR_CORRUPT || err->code == ERR_NOT_FOUND;
    job_refuse(job, damaged ? REFUSAL_INTERNAL : REFUSAL_STORAGE_UNAVAILABLE, NULL);
}

struct json_out job_json(struct job *job, int status)
{
    struct api_response *r = &job->call->response;
    r->status = status;
    r->content_type = "application/json";
    strbuf_clear(&r->body);
    strbuf_reserve(&r->body, 1024); /* most answers */
    return (struct json_out){&r->body, job->amount_strings};
}

/* --- begin
 * -------------------------------------------------------------------------------------------------- */

static enum scope scope_of(enum route_access access)
{
    switch (access) {
    case ROUTE_ACCESS_OPEN:
        return SCOPE_NONE;
    case ROUTE_ACCESS_READ:
        return SCOPE_READ;
    case ROUTE_ACCESS_POST:
        return SCOPE_POST;
    case ROUTE_ACCESS_ADMIN:
        return SCOPE_ADMIN;
    }
    return SCOPE_ADMIN;
}

/* Who asks, and whether they may. What exists is told to those with a token only. */
static bool authorise(struct job *job)
{
    const struct tokens *tokens = job->service->config.tokens;
    const struct route *route = job->match.route;
    struct api_response *r = &job->call->response;
    if (tokens == NULL || (route != NULL && route->access == ROUTE_ACCESS_OPEN))
        return true;
    struct str header = api_request_header(job->call->request, "Authorization");
    const struct token *token = tokens_find(tokens, header);
    if (token == NULL) {
        job_refuse(job, REFUSAL_UNAUTHENTICATED,
            header.data == NULL ? "There is no Authorization header." : "The token is not known here.");
        return false;
    }
    job->context.actor = str_of(token->name);
    if (route == NULL || token_allows(token, scope_of(route->access)))
        return true;
    const char *scope = scope_name(scope_of(route->access));
    char detail[128];
    snprintf(detail, sizeof detail, "Token '%s' lacks the scope '%s'.", token->name, scope);
    api_response_header(r, "WWW-Authenticate", "Bearer error=\"insufficient_scope\", scope=\"%s\"", scope);
    job_refuse(job, REFUSAL_SCOPE_MISSING, detail);
    return false;
}

static bool routed(struct job *job)
{
    const struct route_match *m = &job->match;
    if (m->refusal == REFUSAL_NONE)
        return true;
    if (m->refusal == REFUSAL_METHOD_NOT_ALLOWED)
        api_response_header(&job->call->response, "Allow", "%s", m->allow);
    job_refuse(job, m->refusal, m->detail);
    return false;
}

/* `Prefer: amounts=string` among other preferences (RFC 7240). */
static bool prefers_strings(const struct api_request *request)
{
    struct str header = api_request_header(request, "Prefer"), one;
    while (str_split(&header, ',', &one)) {
        one = str_trim(one);
        if (one.len == strlen("amounts=string") && strncasecmp(one.data, "amounts=string", one.len) == 0)
            return true;
    }
    return false;
}

static void take_headers(struct job *job)
{
    const struct api_request *request = job->call->request;
    struct api_response *r = &job->call->response;
    job->context.header_key = api_request_header(request, "Idempotency-Key");
    job->context.if_match = api_request_header(request, "If-Match");
    trace_take(job);
    job->amount_strings = prefers_strings(request);
    if (job->amount_strings)
        api_response_header(r, "Preference-Applied", "amounts=string");
}

/* What every process of an installation has, whatever its roles. */
static bool works_without_engine(enum route_id route)
{
    switch ((int)route) {
    case ROUTE_HEALTH:
    case ROUTE_READINESS:
    case ROUTE_METRICS:
    case ROUTE_OPENAPI:
    case ROUTE_API_PAGE:
    case ROUTE_API_PAGE_SLASH:
    case ROUTE_API_FILE:
        return true;
    }
    return false;
}

static void job_begin(struct job *job)
{
    const struct api_request *request = job->call->request;
    struct fault fault;
    take_headers(job);
    route_match(request->method, request->path, &job->arena, &job->match);
    if (!authorise(job) || !routed(job)) {
        job_ready(job);
        return;
    }
    trace_begin(job);
    const struct route *route = job->match.route;
    if (job->service->config.engine == NULL && !works_without_engine(route->id)) {
        job_refuse(job, REFUSAL_ROLE_NOT_HERE, NULL);
        job_ready(job);
        return;
    }
    if (!decode_query(route->id, request->query, &job->arena, &job->query, &fault)) {
        job_fault(job, &fault);
        job_ready(job);
        return;
    }
    job->context.route = route->id;
    job->context.ledger = job->match.ledger;
    job->context.parameter = job->match.parameter;
    job->context.dry_run = job->query.dry_run;
    job->context.arena = &job->arena;
    if (route_is_write(route) && job->service->stopping) {
        job_refuse(job, REFUSAL_SHUTTING_DOWN, NULL);
        job_ready(job);
    } else if (route->body == ROUTE_BODY_BULK) {
        bulk_begin(job);
    } else if (route->body == ROUTE_BODY_JSON) {
        write_begin(job);
    } else if (route->place == ROUTE_PLACE_LEDGER) {
        read_begin(job);
    } else {
        misc_begin(job);
    }
}

void service_begin(struct service *service, struct service_call *call)
{
    struct job *job = calloc(1, sizeof *job);
    INVARIANT(job != NULL);
    job->service = service;
    job->call = call;
    job->began_at = service_now(service);
    arena_init(&job->arena, 0);
    api_response_init(&call->response);
    call->state = job;
    job_begin(job);
}

/* --- finish
 * ------------------------------------------------------------------------------------------------- */

static void job_end(struct job *job)
{
    struct metrics *metrics = job->service->config.metrics;
    const struct route *route = job->match.route;
    int64_t now = service_now(job->service), took = now - job->began_at;
    if (route != NULL && route->place == ROUTE_PLACE_LEDGER)
        metrics_observe(metrics, route_is_write(route) ? METRIC_REQUEST_WRITE : METRIC_REQUEST_READ,
            took > 0 ? (uint64_t)took : 0);
    metrics_response(metrics, job->call->response.status);
    trace_end(job, now);
    job->call->state = NULL;
    if (job->bulk != NULL)
        bulk_free(job->bulk);
    arena_fini(&job->arena);
    free(job);
}

bool service_finish(struct service *service, struct service_call *call)
{
    struct job *job = call->state;
    INVARIANT(job != NULL && job->service == service && !job->held);
    if (job->step_in_finish) {
        job->step_in_finish = false;
        job->in_finish = true;
        job->step(job, &service->loop);
        job->in_finish = false;
    }
    if (job->encode != NULL)
        job->encode(job);
    if (job->streaming && !job->last_piece && !job->cancelled) {
        job->held = true;
        return false;
    }
    job_end(job);
    return true;
}

void service_continue(struct service *service, struct service_call *call)
{
    struct job *job = call->state;
    INVARIANT(job != NULL && job->service == service && job->held);
    job->held = false;
    bulk_continue(job);
}

void service_cancel(struct service *service, struct service_call *call)
{
    struct job *job = call->state;
    INVARIANT(job != NULL && job->service == service);
    job->cancelled = true;
    if (job->held) {
        job->held = false;
        job_ready(job);
    } else if (job->parked) {
        park_cancel(job);
    }
}

/* --- begin .. finish in one
 * --------------------------------------------------------------------------------- */

struct sync {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready;
};

static void sync_ready(struct service_call *call)
{
    struct sync *sync = call->owner;
    pthread_mutex_lock(&sync->lock);
    sync->ready = true;
    pthread_cond_signal(&sync->changed);
    pthread_mutex_unlock(&sync->lock);
}

/* True once the call is ready; waits for that a moment if `may_wait`. */
static bool sync_poll(struct sync *sync, bool may_wait)
{
    pthread_mutex_lock(&sync->lock);
    if (!sync->ready && may_wait) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 1000000;
        if (until.tv_nsec >= 1000000000)
            until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&sync->changed, &sync->lock, &until);
    }
    bool ready = sync->ready;
    sync->ready = false;
    pthread_mutex_unlock(&sync->lock);
    return ready;
}

/* Moves on whatever the call waits for: an engine without a thread, a seq that comes, a reader. */
static void sync_wait(struct service *service, struct service_call *call, struct sync *sync)
{
    struct job *job = call->state;
    struct engine *engine = service->config.engine;
    bool threaded = engine == NULL || engine_started(engine), moved = true;
    while (!sync_poll(sync, threaded || !moved)) {
        moved = !threaded && engine_step(engine);
        /* With nobody else to write, what a parked call waits for will not come. */
        if (job->parked)
            park_release(service, !threaded && !moved);
    }
}

void service_sync(
    struct service *service, const struct api_request *request, struct api_response *ret_response)
{
    struct sync sync = {.ready = false};
    struct service_call call = {.request = request, .ready = sync_ready, .owner = &sync};
    struct strbuf pieces;
    pthread_mutex_init(&sync.lock, NULL);
    pthread_cond_init(&sync.changed, NULL);
    strbuf_init(&pieces);
    service_begin(service, &call);
    for (;;) {
        sync_wait(service, &call, &sync);
        if (service_finish(service, &call))
            break;
        strbuf_str(&pieces, strbuf_view(&call.response.body));
        strbuf_clear(&call.response.body);
        service_continue(service, &call);
    }
    if (pieces.len > 0) {
        strbuf_str(&pieces, strbuf_view(&call.response.body));
        strbuf_fini(&call.response.body);
        call.response.body = pieces;
    }
    *ret_response = call.response;
    pthread_mutex_destroy(&sync.lock);
    pthread_cond_destroy(&sync.changed);
}
