#include "app/bench_histogram.h"

#define PARTS (UINT64_C(1) << HISTOGRAM_PART_BITS)

static unsigned bucket_of(uint64_t us)
{
    if (us < PARTS)
        return (unsigned)us;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(us) - HISTOGRAM_PART_BITS;
    unsigned bucket = ((exponent + 1) << HISTOGRAM_PART_BITS) + (unsigned)((us >> exponent) - PARTS);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_edge(unsigned bucket)
{
    if (bucket < PARTS)
        return bucket;
    unsigned exponent = (bucket >> HISTOGRAM_PART_BITS) - 1;
    return ((PARTS + (bucket & (PARTS - 1)) + 1) << exponent) - 1;
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->buckets[bucket_of(us)]++;
    h->n++;
    h->sum += us;
    if (us > h->most)
        h->most = us;
}

uint64_t histogram_quantile(const struct histogram *h, double part)
{
    uint64_t rank = (uint64_t)(part * (double)h->n), seen = 0;
    if (rank >= h->n)
        return h->most;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > rank)
            return upper_edge(i) < h->most ? upper_edge(i) : h->most;
    }
    return h->most;
}
