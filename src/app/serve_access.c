#include "app/serve_access.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "telemetry/log.h"
#include "telemetry/trace.h"

#define SLOW_US 1000000
#define SLOW_BULK_US 30000000 /* thousands of transfers take their time */
#define WARNINGS_A_SECOND 10

void access_path(struct strbuf *b, struct str path)
{
    struct str segment;
    for (bool first = true; str_split(&path, '/', &segment); first = false) {
        if (!first)
            strbuf_char(b, '/');
        bool external = str_starts(segment, STR("ext:")) || str_starts(segment, STR("ext%3A")) ||
                        str_starts(segment, STR("ext%3a"));
        strbuf_str(b, external ? STR("ext:*") : segment);
    }
}

/* A reader may ask to be kept waiting: that is no latency of ours. */
static bool asked_to_wait(const struct api_request *r)
{
    if (r->method != API_GET)
        return false;
    bool poll = r->query.len > 0 && memmem(r->query.data, r->query.len, "wait=", 5) != NULL;
    return poll || api_request_header(r, "Ledger-Min-Seq").data != NULL;
}

static bool is_slow(const struct access_entry *e)
{
    static const char bulk[] = "/batch";
    const struct str path = e->request->path;
    size_t n = sizeof bulk - 1;
    bool is_bulk = path.len >= n && memcmp(path.data + path.len - n, bulk, n) == 0;
    return e->took_us > (is_bulk ? SLOW_BULK_US : SLOW_US) && !asked_to_wait(e->request);
}

/* True if this warning may be written; *ret_withheld is how many before it were not. */
static bool may_warn(struct access_log *log, unsigned long long *ret_withheld)
{
    int64_t second = (int64_t)time(NULL);
    if (second != log->second) {
        log->second = second;
        log->warned = 0;
    }
    if (log->warned >= WARNINGS_A_SECOND) {
        log->withheld++;
        return false;
    }
    log->warned++;
    *ret_withheld = log->withheld;
    log->withheld = 0;
    return true;
}

/* The client's, which is answered as it came, or ours. */
static struct str trace_of(const struct access_entry *e)
{
    for (size_t i = 0; e->response != NULL && i < e->response->n_headers; i++)
        if (strcmp(e->response->headers[i].name, "traceparent") == 0)
            return str_of(e->response->headers[i].value);
    return api_request_header(e->request, "traceparent");
}

static void write_entry(
    enum log_level level, const char *message, const struct access_entry *e, unsigned long long withheld)
{
    const struct api_request *r = e->request;
    struct strbuf path;
    strbuf_init(&path);
    access_path(&path, r->path);
    strbuf_char(&path, '\0');
    char method[16], status[16], ms[32], more[32], trace[33] = "";
    snprintf(method, sizeof method, "%.*s", (int)(r->method_name.len < 15 ? r->method_name.len : 15),
        r->method_name.data);
    snprintf(status, sizeof status, "%d", e->status);
    snprintf(ms, sizeof ms, "%lld.%03lld", (long long)(e->took_us / 1000), (long long)(e->took_us % 1000));
    snprintf(more, sizeof more, "%llu", withheld);
    struct trace_context context;
    char text[TRACEPARENT_LEN + 1];
    if (trace_parse(trace_of(e), &context)) {
        trace_format(&context, text);
        memcpy(trace, text + 3, 32);
    }
    const char *trace_name = *trace ? "traceId" : NULL;
    if (withheld > 0)
        log_event(level, message, "method", method, "path", path.data, "status", status, "ms", ms, "withheld",
            more, trace_name, trace, NULL);
    else
        log_event(level, message, "method", method, "path", path.data, "status", status, "ms", ms, trace_name,
            trace, NULL);
    strbuf_fini(&path);
}

void access_note(struct access_log *log, const struct access_entry *e)
{
    const char *trouble = e->status >= 500 ? "request failed" : is_slow(e) ? "slow request" : NULL;
    unsigned long long withheld = 0;
    if (trouble != NULL && may_warn(log, &withheld))
        write_entry(LOG_WARNING, trouble, e, withheld);
    else if (trouble == NULL && log_enabled(LOG_DEBUG))
        write_entry(LOG_DEBUG, e->cut ? "client went away" : "request", e, 0);
}
