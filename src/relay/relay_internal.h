/*
 * The relay's parts, bottom up:
 *   message.c  an event as a message: topic, key, headers. Pure.
 *   place.c    how far each ledger is published: the topic of positions, and the cursor rows
 *   publish.c  one batch: records read, encoded, sent and committed
 *   relay.c    the thread: lease, waking, failing and recovering
 *   replay.c, status.c  what the command line asks for
 */
#ifndef CREDITLEDGER_RELAY_RELAY_INTERNAL_H
#define CREDITLEDGER_RELAY_RELAY_INTERNAL_H

#include "db/lease.h"
#include "events/event.h"
#include "relay/relay.h"
#include "telemetry/metrics.h"
#include "telemetry/spans.h"

#define RELAY_LEASE "relay"
#define RELAY_POSITION_TOPIC "ledger.position.v1"
#define RELAY_BATCH_BYTES \
    (8 * 1048576)                /* of values of one transaction; the record that reaches it is its last */
#define RELAY_TOPICS_MS 15000    /* to make the topics */
#define RELAY_TAKE_OVER_MS 15000 /* to fence who was before, and to read one message of the positions */
#define RELAY_COMMIT_MS 10000    /* less than Kafka gives the transaction */
#define RELAY_CURSOR_MS 250      /* between two writes of the cursor: it may lag, the topic does not */

/* --- message.c ------------------------------------------------------------------------------------------------ */

#define RELAY_HEADERS_MAX 10

struct relay_message {
    struct kafka_header headers[RELAY_HEADERS_MAX];
    struct kafka_message message;
};
/* Binary content mode of the CloudEvents binding for Kafka 1.0.2. Borrows from the event and the arena. */
void relay_message(
    const struct event *event, bool replay, struct arena *arena, struct relay_message *ret_message);

/* --- place.c -------------------------------------------------------------------------------------------------- */

/* The newest published record of a ledger. Its hash tells whether the journal still is the one it was read from. */
struct place {
    uint64_t seq; /* 0: nothing is published */
    uint8_t hash[HASH_LEN];
    int64_t recorded_at;
};

struct book {
    struct ledger_row row;
    struct place place;
    uint64_t head;
    bool cursor_due; /* the place is newer than its row */
};

/* By ledger id, from 1, dense: books->at[id - 1]. */
struct books {
    struct book *at;
    size_t n, cap;
};

/* Ledgers that are new; those that are known keep their place. */
MUST_CHECK int books_refresh(struct books *books, struct journal *journal, struct err *err);
/* The heads of all, as they are now; refreshes if one is unknown. */
MUST_CHECK int books_heads(struct books *books, struct journal *journal, struct err *err);
/* recorded_at of the oldest record that is not published, 0 if there is none. */
MUST_CHECK int books_oldest(
    const struct books *books, struct journal *journal, int64_t *ret_oldest, struct err *err);
void books_fini(struct books *books);

/* The message of the topic of positions, and back. False for what is none. */
void place_format(const struct place *place, struct strbuf *b);
MUST_CHECK bool place_parse(struct str value, struct place *ret_place);

/* Raises places to what the topic says; ERR_NOT_FOUND without the topic. Ledgers that are not in the books are ERR_LOST: they
 * are of another journal, or of one that has lost records. */
MUST_CHECK int places_from_topic(struct books *books, const struct kafka_config *kafka, struct err *err);
/* The table of the cursor; several processes may make it at once. */
MUST_CHECK int cursor_prepare(struct db *db, struct err *err);
/* Raises places to what the rows say; `ret_raised` (may be NULL) is a ledger of which the rows know more, or NULL. */
MUST_CHECK int places_from_cursor(struct books *books, struct db *db, const struct kafka_config *kafka,
    const char **ret_raised, struct err *err);
/* Writes the rows that are due, unless a later holder of the lease has written them. */
MUST_CHECK int cursor_write(
    struct books *books, struct db *db, const struct kafka_config *kafka, uint64_t epoch, struct err *err);

/* --- publish.c ------------------------------------------------------------------------------------------------ */

struct publisher;
struct publisher_config {
    struct journal *journal;
    const struct kafka_config *kafka;
    struct books *books;
    struct metrics *metrics;
    struct spans *spans;
};

/* A part of one ledger's records: what relay and replay have in common. */
struct assets {
    struct asset *rows; /* by id, from 1 */
    size_t n, cap;
};
MUST_CHECK int assets_load(struct assets *assets, struct journal *journal, struct err *err);
void assets_fini(struct assets *assets);
/* Sends the events of one record. *ret_unknown: an asset is not in the table, nothing was sent. */
MUST_CHECK int send_record(struct kafka_producer *producer, const struct ledger_row *ledger,
    const struct record *record, const struct assets *assets, const char *topic, bool replay,
    struct arena *arena, size_t *ret_events, size_t *ret_bytes, bool *ret_unknown, struct err *err);

/* Makes the topics, fences who was before, and learns from the topic how far it came. */
MUST_CHECK int publisher_open(
    const struct publisher_config *config, struct publisher **ret_publisher, struct err *err);
/* At once; what is not committed never was. NULL is fine. */
void publisher_close(struct publisher *publisher);
/* One transaction of what the books' heads say is there; *ret_more: there is more. After a failure the publisher is good
 * for publisher_close() only. ERR_CONFLICT: fenced. ERR_LOST: the journal is not the one that was published. */
MUST_CHECK int publish_batch(struct publisher *publisher, bool *ret_more, struct err *err);

int64_t relay_now_us(void);       /* since the epoch */
int64_t relay_monotonic_us(void); /* for intervals */

#endif
