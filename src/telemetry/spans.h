/*
 * Spans of OpenTelemetry traces, sent over OTLP/HTTP (JSON encoding of opentelemetry-proto's ExportTraceServiceRequest,
 * specification 1.x) to OTEL_EXPORTER_OTLP_ENDPOINT. Recording a span is a copy into a bounded ring: it never waits,
 * never allocates, and what does not fit is counted and dropped. A thread of its own sends them in batches and never holds
 * up anybody. Without an endpoint there are no spans, and every call does nothing.
 *
 * One trace goes from the request to the read model, and only ids that the journal keeps hold it together: a record has
 * the trace id, and the span that committed it has the last eight bytes of the record's id as its span id. So relay and
 * projector, processes away and minutes later, know the parent of what they do without anything being stored for it.
 *
 *   request (server) ─ queue, decide, commit (the last one: span id from the record's id) ─ publish ─ project
 *
 * Sampling (OTEL_TRACES_SAMPLER: always_on, always_off, traceidratio, parentbased_*): by the trace id alone, so that all
 * processes decide alike; the parent's flag counts for the parentbased ones.
 */
#ifndef CREDITLEDGER_TELEMETRY_SPANS_H
#define CREDITLEDGER_TELEMETRY_SPANS_H

#include "base/err.h"
#include "telemetry/trace.h"

#define SPANS_RING 8192 /* waiting to be sent */
#define SPAN_ATTRIBUTES_MAX 6
#define SPAN_TEXT_MAX 96 /* bytes of an attribute's text; longer is cut */

struct spans;
struct metrics;

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3, SPAN_PRODUCER = 4, SPAN_CONSUMER = 5 };

struct span {
    uint8_t trace_id[16], span_id[8], parent_id[8]; /* parent all zero: a root */
    const char *name;                               /* static */
    enum span_kind kind;
    int64_t began_us, ended_us; /* since the epoch */
    bool failed;
    struct {
        const char *key; /* static; NULL: unused */
        bool is_text;
        int64_t number;
        char text[SPAN_TEXT_MAX];
    } attributes[SPAN_ATTRIBUTES_MAX];
};

/* Reads the environment (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
 * OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG,
 * OTEL_SDK_DISABLED). *ret_spans is NULL, and 0 returned, if there is no endpoint. ERR_CONFIG names the variable. */
MUST_CHECK int spans_start(
    const char *role, struct metrics *metrics, struct spans **ret_spans, struct err *err);
/* Sends what waits, for at most timeout_ms. */
void spans_stop(struct spans *spans, int timeout_ms);

/* All of these do nothing for NULL. Any thread. */
bool spans_sampled(
    const struct spans *spans, const uint8_t trace_id[16], bool has_parent, uint8_t parent_flags);
void spans_record(struct spans *spans, const struct span *span);
/* Ids that are not zero and not known to anybody. */
void spans_trace_id(struct spans *spans, uint8_t ret_id[16]);
void spans_span_id(struct spans *spans, uint8_t ret_id[8]);

void span_int(struct span *span, const char *key, int64_t value);
void span_text(struct span *span, const char *key, struct str value);

#endif
