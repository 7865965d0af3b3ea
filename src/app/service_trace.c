/*
 * The span of a request, and the trace that its records get: the client's, or one that begins here if it is to be followed.
 * Without spans (telemetry/spans.h) only what the client sent is passed on.
 */
#include <string.h>

#include "api/routes.h"
#include "app/service_internal.h"
#include "telemetry/spans.h"

static const char *const span_names[] = {
#define X(NAME, method, pattern, ...) [ROUTE_##NAME] = #method " " pattern,
    ROUTE_TABLE(X)
#undef X
};
static const char *const methods[] = {
#define X(NAME, method, ...) [ROUTE_##NAME] = #method,
    ROUTE_TABLE(X)
#undef X
};

void trace_take(struct job *job)
{
    struct str traceparent = api_request_header(job->call->request, "traceparent");
    struct write_context *c = &job->context;
    if (traceparent.data == NULL || !trace_parse(traceparent, &job->trace.parent))
        return;
    char text[TRACEPARENT_LEN + 1];
    job->trace.has_parent = c->has_trace = true;
    c->trace_sampled = (job->trace.parent.flags & TRACE_SAMPLED) != 0;
    memcpy(c->trace_id, job->trace.parent.trace_id, TRACE_ID_LEN);
    trace_format(&job->trace.parent, text);
    api_response_header(&job->call->response, "traceparent", "%s", text);
}

/* Health checks, scrapes and files would be most of what there is to see. */
static bool is_followed(const struct route *route)
{
    return route->place == ROUTE_PLACE_LEDGER || route->body != ROUTE_BODY_NONE;
}

void trace_begin(struct job *job)
{
    struct spans *spans = job->service->config.spans;
    struct job_trace *t = &job->trace;
    struct write_context *c = &job->context;
    if (spans == NULL || !is_followed(job->match.route))
        return;
    if (!t->has_parent)
        spans_trace_id(spans, t->parent.trace_id);
    t->sampled = spans_sampled(spans, t->parent.trace_id, t->has_parent, t->parent.flags);
    c->trace_sampled = t->sampled;
    if (!t->sampled)
        return;
    spans_span_id(spans, t->span_id);
    memcpy(c->trace_parent, t->span_id, SPAN_ID_LEN);
    if (t->has_parent)
        return;
    struct trace_context own = {.flags = TRACE_SAMPLED};
    char text[TRACEPARENT_LEN + 1];
    c->has_trace = true;
    memcpy(c->trace_id, t->parent.trace_id, TRACE_ID_LEN);
    memcpy(own.trace_id, t->parent.trace_id, TRACE_ID_LEN);
    memcpy(own.parent_id, t->span_id, SPAN_ID_LEN);
    trace_format(&own, text);
    api_response_header(&job->call->response, "traceparent", "%s", text);
}

void trace_end(struct job *job, int64_t ended)
{
    const struct job_trace *t = &job->trace;
    if (!t->sampled)
        return;
    const struct route *route = job->match.route;
    const struct answer *answer = &job->answer;
    int status = job->call->response.status;
    struct span span = {
        .name = span_names[route->id],
        .kind = SPAN_SERVER,
        .began_us = job->began_at,
        .ended_us = ended,
        .failed = status >= 500,
    };
    memcpy(span.trace_id, t->parent.trace_id, sizeof span.trace_id);
    memcpy(span.span_id, t->span_id, sizeof span.span_id);
    if (t->has_parent)
        memcpy(span.parent_id, t->parent.parent_id, sizeof span.parent_id);
    span_text(&span, "http.request.method", str_of(methods[route->id]));
    span_text(&span, "http.route", str_of(route->pattern));
    if (status > 0)
        span_int(&span, "http.response.status_code", status);
    if (route->place == ROUTE_PLACE_LEDGER)
        span_text(&span, "creditledger.ledger", job->match.ledger);
    if (answer->record != NULL && !answer->dry_run)
        span_int(&span, "creditledger.seq", (int64_t)answer->record->seq);
    if (answer->replayed)
        span_text(&span, "creditledger.replayed", STR("true"));
    spans_record(job->service->config.spans, &span);
}
