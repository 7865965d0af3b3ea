/*
 * W3C Trace Context (Level 1): reading and writing `traceparent`. Pure.
 */
#ifndef CREDITLEDGER_TELEMETRY_TRACE_H
#define CREDITLEDGER_TELEMETRY_TRACE_H

#include "base/str.h"

struct trace_context {
    uint8_t trace_id[16];
    uint8_t parent_id[8];
    uint8_t flags;
};

#define TRACE_SAMPLED 1    /* of the flags */
#define TRACEPARENT_LEN 55 /* 00-<32 hex>-<16 hex>-<2 hex> */

/* Version 00 exactly; a higher version by its first four fields. All-zero ids are invalid (section 3.2.2.3). */
MUST_CHECK bool trace_parse(struct str traceparent, struct trace_context *ret_context);
void trace_format(const struct trace_context *context, char ret_text[TRACEPARENT_LEN + 1]);
/* A record with a trace has the trace's flag "sampled" as the lowest bit of its id: it is stored nowhere else. */
static inline uint8_t trace_flags_of(const uint8_t record_id[16])
{
    return record_id[15] & TRACE_SAMPLED;
}

#endif
