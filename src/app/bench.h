/*
 * What the files of `creditledger bench` share: the plan (from the options), what was measured, and the list
 * of acknowledged transfers, each of which must be found again afterwards.
 */
#ifndef CREDITLEDGER_APP_BENCH_H
#define CREDITLEDGER_APP_BENCH_H

#include "app/bench_client.h"
#include "app/bench_histogram.h"
#include "app/options.h"
#include "base/uuid.h"

#define BENCH_RUN_LEN 12 /* hex digits that make a run's keys its own */
#define BENCH_CURRENCY "USD"
#define BENCH_KEY_DIGITS 10
#define BENCH_AMOUNT 1

struct bench_plan {
    const char *url, *token;
    bool in_process, hot, json, quiet, wait;
    size_t connections, accounts, bulk, lookups;
    int64_t seconds, requests; /* requests 0: for `seconds` */
    int64_t rate, think_us;
    size_t batch, in_flight;     /* in-process */
    char run[BENCH_RUN_LEN + 1]; /* names the transfers' keys */
    char opened_by[BENCH_RUN_LEN +
                   1]; /* names the accounts: this run, or the one whose accounts are used again */
};

struct bench_acked {
    struct uuid transfer;
    uint64_t n; /* its key's number */
};

struct bench_results {
    struct uuid *accounts;
    struct histogram latency;
    struct bench_acked *acked;
    size_t n_acked, cap_acked;
    uint64_t answers[600]; /* transfers by HTTP status */
    uint64_t lost;         /* the connection ended before the answer */
    uint64_t sent;         /* requests */
    double open_seconds, load_seconds, lookup_seconds;
    uint64_t looked_up, missing;
};

/* Deterministic, so that two runs do the same: xorshift64*. */
uint64_t bench_random(uint64_t *state);
/* The two accounts of a transfer: indices into results->accounts, different. */
void bench_pick(const struct bench_plan *plan, uint64_t *state, uint64_t n, size_t *ret_from, size_t *ret_to);
/* "bench-<run>-<kind><n>", all equally long. Accounts and transfers share the ledger's keys, so their kinds
 * differ. */
void bench_key(const char *run, char kind, uint64_t n, char *ret_text);
#define BENCH_KEY_LEN (6 + BENCH_RUN_LEN + 2 + BENCH_KEY_DIGITS)
#define BENCH_ACCOUNT 'a'
#define BENCH_TRANSFER 't'

void bench_ack(struct bench_results *r, struct uuid transfer, uint64_t n);
/* Which of the acknowledged the i-th of `lookups` evenly spread look-ups is. */
size_t bench_sample(size_t n_acked, size_t lookups, size_t i);

MUST_CHECK int bench_http(const struct bench_plan *plan, struct bench_results *r, struct err *err);
MUST_CHECK int bench_in_process(
    const struct options *o, const struct bench_plan *plan, struct bench_results *r, struct err *err);

/* The verdict of an audit of the database afterwards. */
struct bench_audit {
    bool done;
    uint64_t records, faults;
    double seconds;
};

void bench_report(
    const struct bench_plan *plan, const struct bench_results *r, const struct bench_audit *audit);

#endif
