/*
 * Where a projector gets its facts: the journal itself (source_journal.c), or Kafka (source_kafka.c). A batch is facts in
 * an order in which they can be applied, and messages that could not be read. One thread at a time.
 */
#ifndef CREDITLEDGER_READMODEL_SOURCE_H
#define CREDITLEDGER_READMODEL_SOURCE_H

#include "readmodel/readmodel.h"

/* What the metrics say of a ledger, or of all (Kafka, where a lag is of the topics). */
struct source_lag {
    uint64_t records; /* journal: records behind the head; Kafka: messages behind the end of the partitions */
    int64_t oldest_at; /* recorded_at of what is next, 0 if nothing waits */
};

struct source_batch {
    struct arena arena; /* what facts and parked messages point to */
    const struct fact
        *facts; /* this array and the next are the source's own, until its next next() or close() */
    size_t n;
    const struct parked *parked;
    size_t n_parked;
    bool more; /* as far as the source knows, something waits behind it */
};

struct source;
struct source_ops {
    /* Goes on from where the read model is. Called after opening, after a switch, and after a failed apply. */
    int (*seek)(struct source *source, struct readmodel *model, struct err *err);
    /* Facts as they are there, at most `most`; waits at most timeout_ms for the first. An empty batch is no error. */
    int (*next)(
        struct source *source, size_t most, int timeout_ms, struct source_batch *batch, struct err *err);
    /* The last batch is in the read model (Kafka: offsets are committed for who watches the group). */
    void (*applied)(struct source *source);
    int (*lag)(struct source *source, struct source_lag *ret_lag, struct err *err);
    /* Ends a wait in next(), from any thread. */
    void (*wake)(struct source *source);
    void (*close)(struct source *source);
};
struct source {
    const struct source_ops *ops;
    const char *name; /* "journal", "kafka" */
};

struct journal_options;
MUST_CHECK int source_journal_open(const char *journal_url, const struct journal_options *options,
    struct source **ret_source, struct err *err);
struct kafka_config;
MUST_CHECK int source_kafka_open(
    const struct kafka_config *config, struct source **ret_source, struct err *err);

#endif
