/*
 * Metrics in the Prometheus text format 0.0.4. One `struct metrics` a process holds every series the product has,
 * named in one table; counting is a relaxed atomic add, safe from any thread and cheap enough for the hot path.
 * Histograms have fixed buckets and measure in seconds, fed in microseconds.
 */
#ifndef CREDITLEDGER_TELEMETRY_METRICS_H
#define CREDITLEDGER_TELEMETRY_METRICS_H

#include "base/str.h"

/* X(NAME, exposed name, help) */
#define METRIC_COUNTERS(X) \
    X(POSTINGS, "creditledger_postings_total", "Postings committed") \
    X(RECORDS, "creditledger_records_total", "Journal records committed") \
    X(REPLAYS, "creditledger_idempotent_replays_total", "Answers given again for a known idempotency key") \
    X(COMMITS, "creditledger_commits_total", "Database transactions committed") \
    X(COMMIT_FAILURES, "creditledger_commit_failures_total", "Database transactions that failed") \
    X(QUEUE_REFUSED, "creditledger_queue_refused_total", "Submissions refused because the queue was full") \
    X(CACHE_HITS, "creditledger_account_cache_hits_total", "Account heads found in memory") \
    X(CACHE_MISSES, "creditledger_account_cache_misses_total", "Account heads read from the journal") \
    X(DATABASE_ERRORS, "creditledger_database_errors_total", "Errors reported by the database") \
    X(CONFLICTS, "creditledger_conflicts_total", "Batches that another process's writing made void") \
    X(DECIDED_AGAIN, "creditledger_batches_decided_again_total", "Batches decided more than once") \
    X(HELD_BATCHES, "creditledger_held_batches_total", \
        "Batches decided under their ledgers' locks, because other processes write too") \
    X(UNKNOWN_OUTCOMES, "creditledger_unknown_outcomes_total", "Commits during which the connection broke") \
    X(DUPLICATES, "creditledger_duplicates_total", \
        "Batches in which the database's index found a key used before")

#define METRIC_GAUGES(X) \
    X(QUEUE_DEPTH, "creditledger_queue_depth", "Commands waiting for the engine") \
    X(CONNECTIONS, "creditledger_http_connections", "Open client connections") \
    X(ACCOUNTS, "creditledger_accounts", "Accounts opened") \
    X(ACCOUNTS_WITHOUT_FLOOR, "creditledger_accounts_without_floor", \
        "Accounts that may go negative without limit, @world excluded") \
    X(CACHED_ACCOUNTS, "creditledger_cached_accounts", "Account heads in memory") \
    X(READY, "creditledger_ready", "1 if the server takes writes")

#define METRIC_HISTOGRAMS(X) \
    X(REQUEST_WRITE, "creditledger_http_request_seconds{class=\"write\"}", "HTTP request to response") \
    X(REQUEST_READ, "creditledger_http_request_seconds{class=\"read\"}", "HTTP request to response") \
    X(POSTING, "creditledger_posting_seconds", "Command queued to answered") \
    X(COMMIT, "creditledger_commit_seconds", "Append of one batch, fsync included") \
    X(BATCH, "creditledger_batch_commands", "Commands in one batch")

enum metric_counter {
#define X(NAME, name, help) METRIC_##NAME,
    METRIC_COUNTERS(X)
#undef X
        METRIC_COUNTERS_N
};
enum metric_gauge {
#define X(NAME, name, help) METRIC_##NAME,
    METRIC_GAUGES(X)
#undef X
        METRIC_GAUGES_N
};
enum metric_histogram {
#define X(NAME, name, help) METRIC_##NAME,
    METRIC_HISTOGRAMS(X)
#undef X
        METRIC_HISTOGRAMS_N
};

struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);
/* All of these do nothing if m is NULL. */
void metrics_count(struct metrics *m, enum metric_counter counter, uint64_t n);
void metrics_set(struct metrics *m, enum metric_gauge gauge, int64_t value);
int64_t metrics_gauge(const struct metrics *m, enum metric_gauge gauge); /* 0 for NULL */
void metrics_add(struct metrics *m, enum metric_gauge gauge, int64_t delta);
/* Microseconds for the *_seconds histograms, a plain number for BATCH. */
void metrics_observe(struct metrics *m, enum metric_histogram histogram, uint64_t value);
/* Labelled counters: declines by code, volume by asset (minor units), HTTP responses by status. */
void metrics_declined(struct metrics *m, uint32_t refusal_number, const char *code);
void metrics_volume(struct metrics *m, uint32_t asset, const char *asset_code, int64_t amount_minor);
void metrics_response(struct metrics *m, int status);
/* Everything, with the process's own (CPU, memory, descriptors, start time) read from /proc. */
void metrics_render(struct metrics *m, struct strbuf *b);

#endif
