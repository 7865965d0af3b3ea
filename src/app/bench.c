#include "app/bench.h"

#include <stdlib.h>
#include <string.h>

uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

/* A hot account pays every other time and is paid the other times, so that it stays where it was. */
void bench_pick(const struct bench_plan *plan, uint64_t *state, uint64_t n, size_t *ret_from, size_t *ret_to)
{
    size_t a = plan->hot ? 0 : (size_t)(bench_random(state) % plan->accounts);
    size_t b = 1 + (size_t)(bench_random(state) % (plan->accounts - 1));
    b = (a + b) % plan->accounts;
    bool turned = plan->hot && n % 2 == 1;
    *ret_from = turned ? b : a;
    *ret_to = turned ? a : b;
}

void bench_key(const char *run, char kind, uint64_t n, char *ret_text)
{
    memcpy(ret_text, "bench-", 6);
    memcpy(ret_text + 6, run, BENCH_RUN_LEN);
    ret_text[6 + BENCH_RUN_LEN] = '-';
    ret_text[7 + BENCH_RUN_LEN] = kind;
    for (size_t i = BENCH_KEY_LEN; i > BENCH_KEY_LEN - BENCH_KEY_DIGITS; i--, n /= 10)
        ret_text[i - 1] = (char)('0' + n % 10);
}

void bench_ack(struct bench_results *r, struct uuid transfer, uint64_t n)
{
    if (r->n_acked == r->cap_acked) {
        r->cap_acked = r->cap_acked ? 2 * r->cap_acked : 65536;
        r->acked = realloc(r->acked, r->cap_acked * sizeof *r->acked);
        INVARIANT_F(r->acked != NULL, "out of memory at %zu acknowledged transfers", r->n_acked);
    }
    r->acked[r->n_acked++] = (struct bench_acked){transfer, n};
}

size_t bench_sample(size_t n_acked, size_t lookups, size_t i)
{
    if (lookups >= n_acked)
        return i;
    return n_acked / lookups * i +
           n_acked % lookups * i / lookups; /* i * n_acked / lookups, without overflow */
}
