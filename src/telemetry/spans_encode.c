/*
 * OTLP's JSON encoding (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"): ids are hex, 64-bit numbers are texts,
 * enums are numbers.
 */
#include <string.h>

#include "telemetry/json_text.h"
#include "telemetry/spans_internal.h"

static void put_text_attribute(struct strbuf *b, struct str key, struct str value)
{
    strbuf_c(b, "{\"key\":");
    json_text(b, key);
    strbuf_c(b, ",\"value\":{\"stringValue\":");
    json_text(b, value);
    strbuf_c(b, "}}");
}

void spans_encode_begin(struct strbuf *b, const struct spans_config *config)
{
    strbuf_c(b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (size_t i = 0; i < config->n_resource; i++) {
        strbuf_c(b, i > 0 ? "," : "");
        put_text_attribute(b, config->resource[i].key, config->resource[i].value);
    }
    strbuf_c(b, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"creditledger\",\"version\":\"" CREDITLEDGER_VERSION
                "\"},\"spans\":[");
}

static void put_id(struct strbuf *b, const char *name, const uint8_t *id, size_t len)
{
    strbuf_printf(b, "\"%s\":\"", name);
    strbuf_hex(b, id, len);
    strbuf_c(b, "\",");
}

static void put_nanos(struct strbuf *b, const char *name, int64_t micros)
{
    strbuf_printf(b, "\"%s\":\"", name);
    strbuf_int(b, micros > 0 ? micros : 0);
    strbuf_c(b, micros > 0 ? "000\"," : "\",");
}

static void put_attributes(struct strbuf *b, const struct span *span)
{
    strbuf_c(b, "\"attributes\":[");
    for (size_t i = 0; i < SPAN_ATTRIBUTES_MAX && span->attributes[i].key != NULL; i++) {
        struct str key = str_of(span->attributes[i].key);
        strbuf_c(b, i > 0 ? "," : "");
        if (span->attributes[i].is_text) {
            put_text_attribute(b, key, str_of(span->attributes[i].text));
        } else {
            strbuf_c(b, "{\"key\":");
            json_text(b, key);
            strbuf_c(b, ",\"value\":{\"intValue\":\"");
            strbuf_int(b, span->attributes[i].number);
            strbuf_c(b, "\"}}");
        }
    }
    strbuf_c(b, "]");
}

void spans_encode_one(struct strbuf *b, const struct span *span)
{
    static const uint8_t none[8];
    if (b->data[b->len - 1] == '}')
        strbuf_char(b, ',');
    strbuf_char(b, '{');
    put_id(b, "traceId", span->trace_id, sizeof span->trace_id);
    put_id(b, "spanId", span->span_id, sizeof span->span_id);
    if (memcmp(span->parent_id, none, sizeof none) != 0)
        put_id(b, "parentSpanId", span->parent_id, sizeof span->parent_id);
    strbuf_c(b, "\"name\":");
    json_text(b, str_of(span->name));
    strbuf_printf(b, ",\"kind\":%d,", (int)span->kind);
    put_nanos(b, "startTimeUnixNano", span->began_us);
    /* A clock that was set back meanwhile; no span ends before it began. */
    put_nanos(b, "endTimeUnixNano", span->ended_us > span->began_us ? span->ended_us : span->began_us);
    put_attributes(b, span);
    if (span->failed)
        strbuf_c(b, ",\"status\":{\"code\":2}");
    strbuf_char(b, '}');
}

void spans_encode_end(struct strbuf *b)
{
    strbuf_c(b, "]}]}]}");
}
