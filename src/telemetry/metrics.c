#include "telemetry/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "telemetry/metrics_ledgers.h"
#include "telemetry/metrics_process.h"

#define BUCKETS_MAX 18
#define REFUSALS_MAX 1024
#define STATUSES_MAX 600

/* Upper bounds: microseconds from 100 us to 10 s, and powers of two for sizes. The last bucket, +Inf, is the
 * count. */
static const uint64_t time_bounds[] = {100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
    500000, 1000000, 2500000, 5000000, 10000000};
static const uint64_t size_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};

/* Whose series it is; EVERYBODY's are shown from the start. */
enum part { EVERYBODY, RELAY, PROJECTOR, SPANS, PARTS_N };

#define X(NAME, name, help) [METRIC_##NAME] = PART,
static const enum part counter_parts[METRIC_COUNTERS_N] = {
#define PART RELAY
    METRIC_RELAY_COUNTERS(X)
#undef PART
#define PART PROJECTOR
        METRIC_PROJECTOR_COUNTERS(X)
#undef PART
#define PART SPANS
            METRIC_SPAN_COUNTERS(X)
#undef PART
};
static const enum part gauge_parts[METRIC_GAUGES_N] = {
#define PART RELAY
    METRIC_RELAY_GAUGES(X)
#undef PART
#define PART PROJECTOR
        METRIC_PROJECTOR_GAUGES(X)
#undef PART
};
static const enum part histogram_parts[METRIC_HISTOGRAMS_N] = {
#define PART RELAY
    METRIC_RELAY_HISTOGRAMS(X)
#undef PART
#define PART PROJECTOR
        METRIC_PROJECTOR_HISTOGRAMS(X)
#undef PART
};
#undef X

struct histogram {
    _Atomic uint64_t buckets[BUCKETS_MAX]; /* not cumulative; the one behind the last bound takes the rest */
    _Atomic uint64_t sum;
};

struct declines {
    _Atomic uint64_t n;
    _Atomic(const char *) code;
};

/* Volume outgrows 64 bits in a busy asset of scale 18, so it is kept in two words. */
struct volume {
    _Atomic uint64_t low, high;
    char code[LIMIT_ASSET_CODE_MAX + 1];
};

struct metrics {
    _Atomic uint64_t counters[METRIC_COUNTERS_N];
    _Atomic int64_t gauges[METRIC_GAUGES_N];
    _Atomic int64_t ages[METRIC_AGES_N];
    _Atomic bool shown[PARTS_N];
    struct metrics_ledgers *ledgers;
    struct histogram histograms[METRIC_HISTOGRAMS_N];
    struct declines declines[REFUSALS_MAX];
    _Atomic uint64_t responses[STATUSES_MAX];
    _Atomic(struct volume *) volumes[LIMIT_ASSETS_MAX + 1]; /* pages that are never used are never resident */
};

struct metrics *metrics_new(void)
{
    struct metrics *m = calloc(1, sizeof *m);
    INVARIANT_F(m != NULL, "out of memory at %zu bytes", sizeof *m);
    for (size_t i = 0; i < METRIC_GAUGES_N; i++)
        atomic_init(&m->gauges[i], gauge_parts[i] == EVERYBODY ? 0 : METRIC_UNKNOWN);
    for (size_t i = 0; i < METRIC_AGES_N; i++)
        atomic_init(&m->ages[i], METRIC_UNKNOWN);
    m->ledgers = metrics_ledgers_new();
    return m;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i <= LIMIT_ASSETS_MAX; i++)
        free(atomic_load_explicit(&m->volumes[i], memory_order_relaxed));
    metrics_ledgers_free(m->ledgers);
    free(m);
}

static void show(struct metrics *m, enum part part)
{
    if (part != EVERYBODY)
        atomic_store_explicit(&m->shown[part], true, memory_order_relaxed);
}

static bool is_shown(struct metrics *m, enum part part)
{
    return part == EVERYBODY || atomic_load_explicit(&m->shown[part], memory_order_relaxed);
}

void metrics_count(struct metrics *m, enum metric_counter counter, uint64_t n)
{
    if (m == NULL)
        return;
    show(m, counter_parts[counter]);
    atomic_fetch_add_explicit(&m->counters[counter], n, memory_order_relaxed);
}

void metrics_set(struct metrics *m, enum metric_gauge gauge, int64_t value)
{
    if (m == NULL)
        return;
    show(m, gauge_parts[gauge]);
    atomic_store_explicit(&m->gauges[gauge], value, memory_order_relaxed);
}

int64_t metrics_gauge(const struct metrics *m, enum metric_gauge gauge)
{
    int64_t value = m != NULL ? atomic_load_explicit(&m->gauges[gauge], memory_order_relaxed) : 0;
    return value != METRIC_UNKNOWN ? value : 0;
}

void metrics_add(struct metrics *m, enum metric_gauge gauge, int64_t delta)
{
    if (m == NULL)
        return;
    if (gauge_parts[gauge] != EVERYBODY) {
        int64_t unknown = METRIC_UNKNOWN;
        show(m, gauge_parts[gauge]);
        atomic_compare_exchange_strong(&m->gauges[gauge], &unknown, 0);
    }
    atomic_fetch_add_explicit(&m->gauges[gauge], delta, memory_order_relaxed);
}

void metrics_oldest(struct metrics *m, enum metric_age age, int64_t instant_us)
{
    if (m != NULL)
        atomic_store_explicit(&m->ages[age], instant_us, memory_order_relaxed);
}

void metrics_ledger_seq(struct metrics *m, enum metric_ledger series, struct str ledger, uint64_t seq)
{
    if (m != NULL)
        metrics_ledgers_set(m->ledgers, series, ledger, seq);
}

static const uint64_t *bounds_of(enum metric_histogram histogram, size_t *ret_n)
{
    bool sizes = histogram == METRIC_BATCH;
    *ret_n = sizes ? sizeof size_bounds / sizeof *size_bounds : sizeof time_bounds / sizeof *time_bounds;
    return sizes ? size_bounds : time_bounds;
}

void metrics_observe(struct metrics *m, enum metric_histogram histogram, uint64_t value)
{
    if (m == NULL)
        return;
    show(m, histogram_parts[histogram]);
    size_t n, i = 0;
    const uint64_t *bounds = bounds_of(histogram, &n);
    while (i < n && value > bounds[i])
        i++;
    atomic_fetch_add_explicit(&m->histograms[histogram].buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->histograms[histogram].sum, value, memory_order_relaxed);
}

void metrics_declined(struct metrics *m, uint32_t refusal_number, const char *code)
{
    if (m == NULL || refusal_number >= REFUSALS_MAX)
        return;
    struct declines *d = &m->declines[refusal_number];
    atomic_store_explicit(&d->code, code, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->n, 1, memory_order_release);
}

static struct volume *volume_of(struct metrics *m, uint32_t asset, const char *asset_code)
{
    struct volume *v = atomic_load_explicit(&m->volumes[asset], memory_order_acquire);
    if (v != NULL)
        return v;
    struct volume *fresh = calloc(1, sizeof *fresh);
    INVARIANT(fresh != NULL);
    for (size_t i = 0; i < LIMIT_ASSET_CODE_MAX && asset_code[i] != '\0'; i++)
        fresh->code[i] = asset_code[i];
    if (atomic_compare_exchange_strong(&m->volumes[asset], &v, fresh))
        return fresh;
    free(fresh);
    return v;
}

void metrics_volume(struct metrics *m, uint32_t asset, const char *asset_code, int64_t amount_minor)
{
    if (m == NULL || asset > LIMIT_ASSETS_MAX || amount_minor <= 0)
        return;
    struct volume *v = volume_of(m, asset, asset_code);
    uint64_t amount = (uint64_t)amount_minor;
    uint64_t before = atomic_fetch_add_explicit(&v->low, amount, memory_order_relaxed);
    if (before + amount < before)
        atomic_fetch_add_explicit(&v->high, 1, memory_order_relaxed);
}

void metrics_response(struct metrics *m, int status)
{
    if (m != NULL && status >= 0 && status < STATUSES_MAX)
        atomic_fetch_add_explicit(&m->responses[status], 1, memory_order_relaxed);
}

static void put_head(struct strbuf *b, const char *name, const char *type, const char *help)
{
    size_t len = strcspn(name, "{");
    strbuf_printf(b, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len, name, help, (int)len, name, type);
}

static void put_micros(struct strbuf *b, uint64_t micros)
{
    strbuf_printf(
        b, "%llu.%06llu", (unsigned long long)(micros / 1000000), (unsigned long long)(micros % 1000000));
}

/* `name` may carry labels: base{class="write"}; the suffix goes between them, `le` behind the others. */
static void put_histogram(
    struct strbuf *b, const struct histogram *h, enum metric_histogram which, const char *name)
{
    size_t n, base = strcspn(name, "{");
    const uint64_t *bounds = bounds_of(which, &n);
    struct str labels = str_of(name + base);
    if (labels.len > 0)
        labels = (struct str){labels.data + 1, labels.len - 2};
    uint64_t total = 0;
    for (size_t i = 0; i <= n; i++) {
        total += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        strbuf_printf(
            b, "%.*s_bucket{" STR_FMT "%sle=\"", (int)base, name, STR_ARG(labels), labels.len ? "," : "");
        if (i == n)
            strbuf_c(b, "+Inf");
        else if (which == METRIC_BATCH)
            strbuf_uint(b, bounds[i]);
        else
            put_micros(b, bounds[i]);
        strbuf_printf(b, "\"} %llu\n", (unsigned long long)total);
    }
    strbuf_printf(b, "%.*s_sum%s ", (int)base, name, name + base);
    uint64_t sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    if (which == METRIC_BATCH)
        strbuf_uint(b, sum);
    else
        put_micros(b, sum);
    /* The count is the last bucket by construction: a scrape amid an observation stays consistent. */
    strbuf_printf(b, "\n%.*s_count%s %llu\n", (int)base, name, name + base, (unsigned long long)total);
}

__extension__ typedef unsigned __int128 wide_total; /* standard C has no name for it */

static void put_wide(struct strbuf *b, wide_total value)
{
    char digits[40];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    strbuf_add(b, digits + at, sizeof digits - at);
}

static void put_volumes(struct metrics *m, struct strbuf *b)
{
    put_head(b, "creditledger_volume_minor_units_total", "counter", "Value moved, by asset, in minor units");
    for (size_t i = 0; i <= LIMIT_ASSETS_MAX; i++) {
        const struct volume *v = atomic_load_explicit(&m->volumes[i], memory_order_acquire);
        if (v == NULL)
            continue;
        uint64_t high, low;
        do { /* the carry follows the low word a moment later; a counter must not be seen to step back */
            high = atomic_load(&v->high);
            low = atomic_load(&v->low);
        } while (high != atomic_load(&v->high));
        strbuf_printf(b, "creditledger_volume_minor_units_total{asset=\"%s\"} ", v->code);
        put_wide(b, (wide_total)high << 64 | low);
        strbuf_char(b, '\n');
    }
}

static void put_labelled(struct metrics *m, struct strbuf *b)
{
    put_head(b, "creditledger_declines_total", "counter", "Requests declined and recorded, by code");
    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        uint64_t n = atomic_load_explicit(&m->declines[i].n, memory_order_acquire);
        if (n > 0)
            strbuf_printf(b, "creditledger_declines_total{code=\"%s\"} %llu\n",
                atomic_load_explicit(&m->declines[i].code, memory_order_relaxed), (unsigned long long)n);
    }
    put_volumes(m, b);
    put_head(b, "creditledger_http_responses_total", "counter", "HTTP responses, by status");
    for (int i = 0; i < STATUSES_MAX; i++) {
        uint64_t n = atomic_load_explicit(&m->responses[i], memory_order_relaxed);
        if (n > 0)
            strbuf_printf(
                b, "creditledger_http_responses_total{status=\"%d\"} %llu\n", i, (unsigned long long)n);
    }
}

struct series {
    const char *name, *help;
};

#define X(NAME, name, help) {name, help},
static const struct series counters[] = {METRIC_COUNTERS(X)};
static const struct series gauges[] = {METRIC_GAUGES(X)};
static const struct series histograms[] = {METRIC_HISTOGRAMS(X)};
static const struct series ages[] = {METRIC_AGES(X)};
static const struct series by_ledger[] = {METRIC_LEDGER_SERIES(X)};
#undef X

static bool same_base(const char *a, const char *b)
{
    size_t n = strcspn(a, "{");
    return n == strcspn(b, "{") && memcmp(a, b, n) == 0;
}

static void put_gauges(struct metrics *m, struct strbuf *b)
{
    for (size_t i = 0; i < METRIC_GAUGES_N; i++) {
        int64_t value = atomic_load_explicit(&m->gauges[i], memory_order_relaxed);
        if (value == METRIC_UNKNOWN)
            continue;
        put_head(b, gauges[i].name, "gauge", gauges[i].help);
        strbuf_printf(b, "%s %lld\n", gauges[i].name, (long long)value);
    }
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void put_ages(struct metrics *m, struct strbuf *b)
{
    int64_t now = now_us();
    for (size_t i = 0; i < METRIC_AGES_N; i++) {
        int64_t oldest = atomic_load_explicit(&m->ages[i], memory_order_relaxed);
        if (oldest == METRIC_UNKNOWN)
            continue;
        put_head(b, ages[i].name, "gauge", ages[i].help);
        strbuf_printf(b, "%s ", ages[i].name);
        /* Whoever recorded it may have a clock that is ahead of ours. */
        put_micros(b, oldest > 0 && oldest < now ? (uint64_t)(now - oldest) : 0);
        strbuf_char(b, '\n');
    }
}

static void put_by_ledger(struct metrics *m, struct strbuf *b)
{
    for (size_t i = 0; i < METRIC_LEDGER_SERIES_N; i++) {
        size_t before = b->len;
        put_head(b, by_ledger[i].name, "gauge", by_ledger[i].help);
        if (metrics_ledgers_render(m->ledgers, (enum metric_ledger)i, by_ledger[i].name, b) == 0)
            b->len = before;
    }
}

void metrics_render(struct metrics *m, struct strbuf *b)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < METRIC_COUNTERS_N; i++) {
        if (!is_shown(m, counter_parts[i]))
            continue;
        put_head(b, counters[i].name, "counter", counters[i].help);
        strbuf_printf(b, "%s %llu\n", counters[i].name,
            (unsigned long long)atomic_load_explicit(&m->counters[i], memory_order_relaxed));
    }
    put_gauges(m, b);
    put_ages(m, b);
    put_by_ledger(m, b);
    for (size_t i = 0; i < METRIC_HISTOGRAMS_N; i++) {
        if (!is_shown(m, histogram_parts[i]))
            continue;
        if (i == 0 || !same_base(histograms[i - 1].name, histograms[i].name))
            put_head(b, histograms[i].name, "histogram", histograms[i].help);
        put_histogram(b, &m->histograms[i], (enum metric_histogram)i, histograms[i].name);
    }
    put_labelled(m, b);
    metrics_process_render(b);
}
