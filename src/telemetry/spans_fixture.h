/*
 * For tests: spans that nobody sends. What was recorded is read with spans_next() and spans_taken() (spans_internal.h).
 */
#ifndef CREDITLEDGER_TELEMETRY_SPANS_FIXTURE_H
#define CREDITLEDGER_TELEMETRY_SPANS_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "telemetry/spans_internal.h"

/* Samples every root, and does as parents say. */
static inline struct spans *spans_fixture_new(struct metrics *metrics)
{
    struct spans *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    INVARIANT(s != NULL);
    memset(s, 0, sizeof *s);
    s->metrics = metrics;
    s->config.parent_based = true;
    s->seeds[0] = 1;
    s->seeds[1] = 2;
    s->multi = curl_multi_init();
    s->slots = calloc(SPANS_RING, sizeof *s->slots);
    INVARIANT(s->multi != NULL && s->slots != NULL);
    for (uint64_t i = 0; i < SPANS_RING; i++)
        atomic_init(&s->slots[i].turn, i);
    return s;
}

static inline void spans_fixture_free(struct spans *s)
{
    if (s == NULL)
        return;
    curl_multi_cleanup(s->multi);
    free(s->slots);
    free(s);
}

#endif
