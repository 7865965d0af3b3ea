/*
 * The relay: tails the journal and publishes every record's events to Kafka, in the order of seq, on a thread of its own.
 * I12: an event is published if and only if its record is committed; at least once; in order per key.
 *
 * One relay at a time for a database (db/lease.h), others stand by and take over. What a lease cannot do, Kafka's
 * transactions do: a batch is one transaction, which also writes how far each ledger got to the compacted topic
 * `ledger.position.v1` (key: ledger, value: {"seq":...}). Whoever takes over begins by fencing the one before, then reads
 * that topic, and goes on exactly behind it: a relay that was stopped for a minute and goes on can publish nothing, and
 * no event is published twice by a crash between Kafka and the cursor. The cursor row (control table `relay`) is for people,
 * metrics, and for a Kafka that lost its topics.
 *
 * Woken by commits of its own process (relay_wake), of others through LISTEN, and by a slow poll. A broker that is away
 * is tried again for ever; the journal keeps what is not published, and posting never waits for it.
 */
#ifndef CREDITLEDGER_RELAY_RELAY_H
#define CREDITLEDGER_RELAY_RELAY_H

#include "db/db.h"
#include "journal/journal.h"
#include "kafka/kafka.h"

#define RELAY_BATCH_RECORDS 2000 /* of one transaction */
#define RELAY_POLL_MS 1000       /* looks without having been woken */

struct metrics;
struct spans;
struct relay;

struct relay_config {
    const char *journal_url;
    const struct journal_options *journal_options;
    const char *read_url; /* its control part has lease and cursor */
    bool pooled;
    const struct kafka_config *kafka;
    struct metrics *metrics; /* may be NULL */
    struct spans *spans;     /* may be NULL */
};

MUST_CHECK int relay_start(const struct relay_config *config, struct relay **ret_relay, struct err *err);
void relay_stop(struct relay *relay); /* after the batch at hand, the lease given back; NULL is fine */
void relay_wake(struct relay *relay); /* any thread */

enum relay_phase { RELAY_STANDBY, RELAY_PUBLISHING, RELAY_FAILING };
struct relay_state {
    enum relay_phase phase;
    char detail[512];
};
void relay_state(struct relay *relay, struct relay_state *ret_state); /* any thread */

/* What `relay status` shows, from the control part and the journal; starts nothing. */
struct relay_ledger {
    struct str ledger;
    uint64_t published, head;
    int64_t oldest_at; /* recorded_at of the first that is not published; 0: none */
};
MUST_CHECK int relay_status(const struct relay_config *config, struct arena *arena,
    struct relay_ledger **ret_ledgers, size_t *ret_n, char ret_holder[129], struct err *err);

/* Publishes the events of records after `after` once more, up to the head at the call; to `topic` all of them, or to their
 * own topics (NULL). Other than the relay it moves no cursor. `ledger` NULL: all. */
MUST_CHECK int relay_replay(const struct relay_config *config, const char *ledger, uint64_t after,
    const char *topic, journal_progress *progress, void *ctx, uint64_t *ret_events, struct err *err);

/* The topics, for `relay topics`, for the documentation's test, and to be made. */
extern const struct kafka_topic relay_topics[];
extern const size_t relay_topics_n;

#endif
