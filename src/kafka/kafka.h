/*
 * Kafka as the relay and the projector need it: the only room that knows librdkafka. Configuration comes from the command
 * line and, for everything that librdkafka knows (TLS, SASL, tuning), from a properties file, because secrets have no
 * place on a command line. Messages never show a value of the file.
 */
#ifndef CREDITLEDGER_KAFKA_KAFKA_H
#define CREDITLEDGER_KAFKA_KAFKA_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct kafka_config {
    const char *brokers;       /* "host:port,host:port" */
    const char *file;          /* properties of librdkafka, "key=value" a line; NULL: none */
    const char *topic_prefix;  /* before every topic's name; "" */
    const char *group;         /* the projector's consumer group: "creditledger-projector" */
    const char *transactional; /* the relay's transactional.id: "creditledger-relay"; NULL: no transactions */
    int partitions, replication; /* of topics that are made; replication -1: the broker's default */
    int64_t retention_ms;        /* of topics that are made; -1: for ever; 0: the broker's default */
};

/* ERR_CONFIG with the name of the property that is wrong, or the file and line. Touches no network. */
MUST_CHECK int kafka_check(const struct kafka_config *config, struct err *err);

/* --- topics ------------------------------------------------------------------------------------------------- */

struct kafka_topic {
    const char *name; /* without the prefix */
    bool compacted;   /* keeps the last message of a key, for ever */
    int partitions;   /* 0: as configured */
};
/* Makes those that are missing; waits until they have leaders. Existing ones stay as they are. */
MUST_CHECK int kafka_make_topics(const struct kafka_config *config, const struct kafka_topic *topics,
    size_t n, int timeout_ms, struct err *err);
/* How many partitions a topic has; 0 if there is none. */
MUST_CHECK int kafka_partitions(const struct kafka_config *config, const char *topic, int timeout_ms,
    int *ret_partitions, struct err *err);

/* How long a topic keeps its messages, in ms; -1: for ever. */
MUST_CHECK int kafka_retention(const struct kafka_config *config, const char *topic, int timeout_ms,
    int64_t *ret_retention_ms, struct err *err);

/* --- producing ---------------------------------------------------------------------------------------------- */

struct kafka_header {
    const char *name;
    struct str value;
};
struct kafka_message {
    const char *topic; /* without the prefix */
    struct str key, value;
    int64_t timestamp_ms;
    const struct kafka_header *headers;
    size_t n_headers;
};

/*
 * A transactional, idempotent producer (acks=all). kafka_producer_new() fences every other producer with the same
 * transactional id: what they send from then on is refused by the broker (ERR_CONFLICT on their side), and what they
 * had not committed is aborted. All of a transaction becomes visible, or none. ERR_IO and ERR_TIMEOUT: abort and send
 * the batch again. ERR_CONFLICT: fenced, for good. ERR_UNKNOWN: the commit's outcome is not known; ask the topic.
 * A producer that failed in any way may be freed and made anew: that settles what it left behind, too.
 *
 * Without a transactional id it is idempotent only: kafka_begin() does nothing, what is sent is visible at once, and
 * kafka_commit() waits until all of it is.
 */
struct kafka_producer;
MUST_CHECK int kafka_producer_new(
    const struct kafka_config *config, int timeout_ms, struct kafka_producer **ret_producer, struct err *err);
/* At once: what was not committed is lost. NULL is fine. */
void kafka_producer_free(struct kafka_producer *producer);
MUST_CHECK int kafka_begin(struct kafka_producer *producer, struct err *err);
/* Copies the message to the queue; waits while it is full. */
MUST_CHECK int kafka_send(
    struct kafka_producer *producer, const struct kafka_message *message, struct err *err);
MUST_CHECK int kafka_commit(struct kafka_producer *producer, int timeout_ms, struct err *err);
MUST_CHECK int kafka_abort(struct kafka_producer *producer, int timeout_ms, struct err *err);

/* --- consuming ---------------------------------------------------------------------------------------------- */

/* Reads committed messages only. */
struct kafka_consumer;
struct kafka_place {
    const char *topic; /* without the prefix */
    int partition;
    int64_t next; /* offset; -1: from the beginning */
};
struct kafka_received {
    const char *topic;
    int partition;
    int64_t offset, timestamp_ms;
    struct str key, value; /* STR_NONE: null */
    const struct kafka_header *headers;
    size_t n_headers;
};
MUST_CHECK int kafka_consumer_new(
    const struct kafka_config *config, struct kafka_consumer **ret_consumer, struct err *err);
void kafka_consumer_free(struct kafka_consumer *consumer); /* NULL is fine */
/* These partitions from these offsets, and no others: who reads is decided elsewhere. */
MUST_CHECK int kafka_assign(
    struct kafka_consumer *consumer, const struct kafka_place *places, size_t n, struct err *err);
/* Messages in the arena, at most `most`; waits at most timeout_ms for the first. */
MUST_CHECK int kafka_receive(struct kafka_consumer *consumer, size_t most, int timeout_ms,
    struct arena *arena, struct kafka_received **ret_messages, size_t *ret_n, struct err *err);
/* Where the reader found the partition's end last, markers of transactions counted; -1: not yet since it was assigned.
 * Without having to ask, and true also when a reader gets nothing although something is there. */
int64_t kafka_end_read(const struct kafka_consumer *consumer, const char *topic, int partition);
/* Commits the offsets of the group, for who watches it with Kafka's tools; does not wait. */
void kafka_commit_offsets(struct kafka_consumer *consumer, const struct kafka_place *places, size_t n);
/* The partition's first offset and the one after its last committed message. */
MUST_CHECK int kafka_watermarks(struct kafka_consumer *consumer, const char *topic, int partition,
    int timeout_ms, int64_t *ret_low, int64_t *ret_high, struct err *err);

typedef int kafka_visit(void *ctx, const struct kafka_received *message);
/* Visits the committed messages of one partition from its beginning to its end as of the call, and returns what a visit
 * returned if that is not 0. ERR_NOT_FOUND: no such topic. ERR_TIMEOUT: nothing came for timeout_ms. */
MUST_CHECK int kafka_read_all(const struct kafka_config *config, const char *topic, int partition,
    int timeout_ms, kafka_visit *visit, void *ctx, struct err *err);

#endif
