/*
 * Metrics in the Prometheus text format 0.0.4. One `struct metrics` a process holds every series the product has,
 * named in one table; counting is a relaxed atomic add, safe from any thread and cheap enough for the hot path.
 * Histograms have fixed buckets and measure in seconds, fed in microseconds.
 *
 * What only some processes do (relay, projector, sending spans) is shown only by those: a process without a relay must
 * not claim that nothing waits to be published. Counters and histograms of such a part appear, all of them, with the first
 * call that names any series of the part (metrics_set(m, METRIC_RELAY_ACTIVE, 0) will do); gauges, ages and the
 * series by ledger each with its own first value.
 */
#ifndef CREDITLEDGER_TELEMETRY_METRICS_H
#define CREDITLEDGER_TELEMETRY_METRICS_H

#include "base/str.h"

/* X(NAME, exposed name, help) */
#define METRIC_RELAY_COUNTERS(X) \
    X(RELAY_EVENTS, "creditledger_relay_events_total", "Events published") \
    X(RELAY_BATCHES, "creditledger_relay_batches_total", "Batches published, a transaction of Kafka each") \
    X(RELAY_FAILURES, "creditledger_relay_failures_total", \
        "Batches that could not be published and were tried again")

#define METRIC_PROJECTOR_COUNTERS(X) \
    X(PROJECTED_FACTS, "creditledger_projected_facts_total", "Facts applied to the read model") \
    X(PROJECTED_DUPLICATES, "creditledger_projected_duplicates_total", "Facts that had been applied before") \
    X(PROJECTOR_FAILURES, "creditledger_projector_failures_total", \
        "Batches that could not be applied and were tried again")

#define METRIC_SPAN_COUNTERS(X) \
    X(SPANS_SENT, "creditledger_spans_sent_total", "Spans that the collector took") \
    X(SPANS_DROPPED, "creditledger_spans_dropped_total", \
        "Spans lost: no room, or a collector that did not take them")

#define METRIC_COUNTERS(X) \
    METRIC_RELAY_COUNTERS(X) \
    METRIC_PROJECTOR_COUNTERS(X) \
    METRIC_SPAN_COUNTERS(X) \
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

#define METRIC_RELAY_GAUGES(X) \
    X(RELAY_ACTIVE, "creditledger_relay_active", "1 if this process publishes, 0 if it stands by")

#define METRIC_PROJECTOR_GAUGES(X) \
    X(PROJECTOR_ACTIVE, "creditledger_projector_active", "1 if this process projects, 0 if it stands by") \
    X(PROJECTION_GAP, "creditledger_projection_gap", "1 if a missing fact has stopped the projection") \
    X(PARKED_MESSAGES, "creditledger_parked_messages", \
        "Messages set aside because they could not be applied") \
    X(PROJECTION_LAG_RECORDS, "creditledger_projection_lag_records", \
        "Records that wait to be applied to the read model")

#define METRIC_GAUGES(X) \
    METRIC_RELAY_GAUGES(X) \
    METRIC_PROJECTOR_GAUGES(X) \
    X(QUEUE_DEPTH, "creditledger_queue_depth", "Commands waiting for the engine") \
    X(CONNECTIONS, "creditledger_http_connections", "Open client connections") \
    X(ACCOUNTS, "creditledger_accounts", "Accounts opened") \
    X(ACCOUNTS_WITHOUT_FLOOR, "creditledger_accounts_without_floor", \
        "Accounts that may go negative without limit, @world excluded") \
    X(CACHED_ACCOUNTS, "creditledger_cached_accounts", "Account heads in memory") \
    X(READY, "creditledger_ready", "1 if the server takes writes")

/* Fed with the instant of the oldest that waits; shown as the seconds since then, 0 if nothing waits. */
#define METRIC_AGES(X) \
    X(OUTBOX_OLDEST, "creditledger_outbox_age_seconds", "Age of the oldest record that is not published") \
    X(PROJECTION_OLDEST, "creditledger_projection_lag_seconds", \
        "Age of the oldest record that is not in the read model")

#define METRIC_LEDGER_SERIES(X) \
    X(LEDGER_JOURNAL, "creditledger_journal_seq", "Newest record of the journal, by ledger") \
    X(LEDGER_PUBLISHED, "creditledger_published_seq", "Newest record that is published, by ledger") \
    X(LEDGER_PROJECTED, "creditledger_projected_seq", "Newest record that is in the read model, by ledger")

#define METRIC_RELAY_HISTOGRAMS(X) \
    X(RELAY_PUBLISH, "creditledger_relay_publish_seconds", "One batch published, its transaction committed")

#define METRIC_PROJECTOR_HISTOGRAMS(X) \
    X(PROJECTION_APPLY, "creditledger_projection_apply_seconds", \
        "One batch applied to the read model, committed")

#define METRIC_HISTOGRAMS(X) \
    METRIC_RELAY_HISTOGRAMS(X) \
    METRIC_PROJECTOR_HISTOGRAMS(X) \
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
enum metric_age {
#define X(NAME, name, help) METRIC_##NAME,
    METRIC_AGES(X)
#undef X
        METRIC_AGES_N
};
enum metric_ledger {
#define X(NAME, name, help) METRIC_##NAME,
    METRIC_LEDGER_SERIES(X)
#undef X
        METRIC_LEDGER_SERIES_N
};
enum metric_histogram {
#define X(NAME, name, help) METRIC_##NAME,
    METRIC_HISTOGRAMS(X)
#undef X
        METRIC_HISTOGRAMS_N
};

#define METRICS_LEDGERS 1024 /* that series by ledger are kept for: the first that are named */
#define METRIC_UNKNOWN \
    INT64_MIN /* takes a gauge of relay or projector, or an age, from view: a standby knows neither */

struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);
/* All of these do nothing if m is NULL. */
void metrics_count(struct metrics *m, enum metric_counter counter, uint64_t n);
void metrics_set(struct metrics *m, enum metric_gauge gauge, int64_t value);
int64_t metrics_gauge(const struct metrics *m, enum metric_gauge gauge); /* 0 for NULL */
void metrics_add(struct metrics *m, enum metric_gauge gauge, int64_t delta);
/* instant_us: since the epoch; 0: nothing waits. */
void metrics_oldest(struct metrics *m, enum metric_age age, int64_t instant_us);
/* Any name; nothing happens for more than METRICS_LEDGERS of them. No lock and, but for a new name, no allocation. */
void metrics_ledger_seq(struct metrics *m, enum metric_ledger series, struct str ledger, uint64_t seq);
/* Microseconds for the *_seconds histograms, a plain number for BATCH. */
void metrics_observe(struct metrics *m, enum metric_histogram histogram, uint64_t value);
/* Labelled counters: declines by code, volume by asset (minor units), HTTP responses by status. */
void metrics_declined(struct metrics *m, uint32_t refusal_number, const char *code);
void metrics_volume(struct metrics *m, uint32_t asset, const char *asset_code, int64_t amount_minor);
void metrics_response(struct metrics *m, int status);
/* Everything, with the process's own (CPU, memory, descriptors, start time) read from /proc. */
void metrics_render(struct metrics *m, struct strbuf *b);

#endif
