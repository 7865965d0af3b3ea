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
 * Sampling (OTEL_TRACES_SAMPLER: always_on, always_off, traceidratio, parentbased_*; the default is parentbased_always_on):
 * a root's by the trace id alone, so that all processes decide alike; the parent's flag counts for the parentbased ones.
 * What the request's process decided goes on with the record: the lowest bit of its id is the flag "sampled" of its trace
 * (trace_flags_of). Else whoever samples one request in a hundred would find the other ninety-nine in relay and projector.
 */
#ifndef CREDITLEDGER_TELEMETRY_SPANS_H
#define CREDITLEDGER_TELEMETRY_SPANS_H

#include "base/err.h"
#include "telemetry/trace.h"

#define SPANS_RING 8192 /* waiting to be sent */
#define SPAN_ATTRIBUTES_MAX 6
#define SPAN_TEXT_MAX 96 /* bytes of an attribute's text, with a NUL; longer is cut */

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

/*
 * Reads the environment: OTEL_EXPORTER_OTLP_ENDPOINT (`/v1/traces` is put behind it), OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT,
 * _PROTOCOL, _CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY, and each as OTEL_EXPORTER_OTLP_TRACES_*, which wins (its endpoint is
 * taken as it is); OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG,
 * OTEL_TRACES_EXPORTER, OTEL_SDK_DISABLED. *ret_spans is NULL, and 0 returned, if there is no endpoint or they are switched
 * off. ERR_CONFIG names the variable: an endpoint that is none, gRPC, headers that are none. Else a value that is not
 * understood is warned about and counts as not set, as the specification wants it. Header values are in no log.
 */
MUST_CHECK int spans_start(
    const char *role, struct metrics *metrics, struct spans **ret_spans, struct err *err);
/* Sends what waits, for at most timeout_ms; then it is gone. Nobody records any more. NULL is fine. */
void spans_stop(struct spans *spans, int timeout_ms);

/* All of these do nothing for NULL. Any thread. */
bool spans_sampled(
    const struct spans *spans, const uint8_t trace_id[16], bool has_parent, uint8_t parent_flags);
/* For who follows the journal: whether the trace of the record with that id (struct uuid's bytes) is followed. */
bool spans_sampled_record(const struct spans *spans, const uint8_t trace_id[16], const uint8_t record_id[16]);
void spans_record(struct spans *spans, const struct span *span);
/* Ids that are not zero and that nobody else has. */
void spans_trace_id(struct spans *spans, uint8_t ret_id[16]);
void spans_span_id(struct spans *spans, uint8_t ret_id[8]);

void span_int(struct span *span, const char *key, int64_t value);
void span_text(struct span *span, const char *key, struct str value);

#endif
