/*
 * A histogram of latencies in microseconds with a relative error below 1/64, in fixed memory: linear up to
 * 64, then 64 buckets for each power of two. Recording is one increment. A value.
 */
#ifndef CREDITLEDGER_APP_BENCH_HISTOGRAM_H
#define CREDITLEDGER_APP_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PART_BITS 6
#define HISTOGRAM_EXPONENTS 34 /* up to 2^39 us, six days */
#define HISTOGRAM_BUCKETS (HISTOGRAM_EXPONENTS << HISTOGRAM_PART_BITS)

struct histogram {
    uint64_t n, most, sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t us);
/* The upper edge of the bucket that holds the `part` (0 to 1) of all values, never more than the largest; 0
 * if empty. */
uint64_t histogram_quantile(const struct histogram *h, double part);

#endif
