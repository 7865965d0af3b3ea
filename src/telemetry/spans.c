#include "telemetry/spans_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MASK (SPANS_RING - 1)
_Static_assert((SPANS_RING & MASK) == 0, "slots are found with a mask");

/* --- life */

int spans_start(const char *role, struct metrics *metrics, struct spans **ret_spans, struct err *err)
{
    struct spans_config config;
    *ret_spans = NULL;
    int r = spans_config_read(role, &config, err);
    if (r < 0 || config.url == NULL) {
        spans_config_fini(&config);
        return r;
    }
    struct spans *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    INVARIANT(s != NULL);
    memset(s, 0, sizeof *s);
    s->config = config;
    s->metrics = metrics;
    s->slots = calloc(SPANS_RING, sizeof *s->slots);
    INVARIANT(s->slots != NULL);
    for (uint64_t i = 0; i < SPANS_RING; i++)
        atomic_init(&s->slots[i].turn, i);
    INVARIANT(getrandom(s->seeds, sizeof s->seeds, 0) == (ssize_t)sizeof s->seeds);
    s->jitter = s->seeds[0] | 1;
    strbuf_init(&s->body);
    r = spans_send_start(s, err);
    if (r < 0) {
        spans_stop(s, 0);
        return r;
    }
    metrics_count(metrics, METRIC_SPANS_SENT, 0); /* shown from now on */
    *ret_spans = s;
    return 0;
}

void spans_stop(struct spans *s, int timeout_ms)
{
    if (s == NULL)
        return;
    spans_send_stop(s, timeout_ms);
    strbuf_fini(&s->body);
    spans_config_fini(&s->config);
    free(s->slots);
    free(s);
}

/* --- the ring */

static void copy_span(struct span *to, const struct span *from)
{
    size_t n = 0;
    while (n < SPAN_ATTRIBUTES_MAX && from->attributes[n].key != NULL)
        n++;
    memcpy(to, from, offsetof(struct span, attributes) + n * sizeof from->attributes[0]);
    if (n < SPAN_ATTRIBUTES_MAX)
        to->attributes[n].key = NULL;
}

void spans_record(struct spans *s, const struct span *span)
{
    if (s == NULL)
        return;
    uint64_t at = atomic_load_explicit(&s->head, memory_order_relaxed);
    struct spans_slot *slot;
    for (;;) {
        slot = &s->slots[at & MASK];
        uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        if (turn == at) {
            if (atomic_compare_exchange_weak_explicit(
                    &s->head, &at, at + 1, memory_order_relaxed, memory_order_relaxed))
                break;
        } else if ((int64_t)(turn - at) < 0) {
            metrics_count(s->metrics, METRIC_SPANS_DROPPED, 1);
            return;
        } else {
            at = atomic_load_explicit(&s->head, memory_order_relaxed);
        }
    }
    copy_span(&slot->span, span);
    atomic_store_explicit(&slot->turn, at + 1, memory_order_release);
    /* A system call for every span would be felt; the sender looks by itself for what is less than a batch. */
    if (at % SPANS_BATCH == SPANS_BATCH - 1)
        spans_send_wake(s);
}

const struct span *spans_next(struct spans *s)
{
    struct spans_slot *slot = &s->slots[s->tail & MASK];
    bool filled = atomic_load_explicit(&slot->turn, memory_order_acquire) == s->tail + 1;
    return filled ? &slot->span : NULL;
}

void spans_taken(struct spans *s)
{
    atomic_store_explicit(&s->slots[s->tail & MASK].turn, s->tail + SPANS_RING, memory_order_release);
    s->tail++;
}

/* --- sampling */

static uint64_t low_half(const uint8_t trace_id[16])
{
    uint64_t low = 0;
    for (int i = 8; i < 16; i++)
        low = low << 8 | trace_id[i];
    return low;
}

bool spans_sampled(const struct spans *s, const uint8_t trace_id[16], bool has_parent, uint8_t parent_flags)
{
    if (s == NULL)
        return false;
    if (has_parent && s->config.parent_based)
        return (parent_flags & TRACE_SAMPLED) != 0;
    if (s->config.root == ROOT_RATIO)
        return low_half(trace_id) < s->config.threshold;
    return s->config.root == ROOT_ALWAYS;
}

/* Whichever sampler the request's process has: it has decided. */
bool spans_sampled_record(const struct spans *s, const uint8_t trace_id[16], const uint8_t record_id[16])
{
    (void)trace_id;
    return s != NULL && (s->config.parent_based || s->config.root != ROOT_NEVER) &&
           trace_flags_of(record_id) != 0;
}

/* --- ids */

/* Sebastiano Vigna's splitmix64, on a counter that starts somewhere unknown. */
static uint64_t splitmix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void put_id(struct spans *s, uint8_t *ret_id, size_t len)
{
    uint64_t n = atomic_fetch_add_explicit(&s->ids, 1, memory_order_relaxed);
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = splitmix(s->seeds[i / 8] + n * UINT64_C(0x9e3779b97f4a7c15));
        word += word == 0;
        memcpy(ret_id + i, &word, sizeof word);
    }
}

void spans_trace_id(struct spans *s, uint8_t ret_id[16])
{
    if (s != NULL)
        put_id(s, ret_id, 16);
}

void spans_span_id(struct spans *s, uint8_t ret_id[8])
{
    if (s != NULL)
        put_id(s, ret_id, 8);
}

/* --- attributes */

static int free_attribute(const struct span *span)
{
    for (int i = 0; i < SPAN_ATTRIBUTES_MAX; i++)
        if (span->attributes[i].key == NULL)
            return i;
    return -1;
}

void span_int(struct span *span, const char *key, int64_t value)
{
    int i = free_attribute(span);
    INVARIANT_F(i >= 0, "no room for %s", key);
    span->attributes[i].key = key;
    span->attributes[i].is_text = false;
    span->attributes[i].number = value;
}

void span_text(struct span *span, const char *key, struct str value)
{
    int i = free_attribute(span);
    INVARIANT_F(i >= 0, "no room for %s", key);
    size_t len = value.len;
    if (len >= SPAN_TEXT_MAX) {
        len = SPAN_TEXT_MAX - 1;
        while (len > 0 && ((unsigned char)value.data[len] & 0xc0) == 0x80) /* not amid a character */
            len--;
    }
    span->attributes[i].key = key;
    span->attributes[i].is_text = true;
    memcpy(span->attributes[i].text, value.data != NULL ? value.data : "", len);
    span->attributes[i].text[len] = '\0';
}
