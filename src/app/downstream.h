/*
 * Where what follows the journal lives: the read model's database and the Kafka that events go to, as options that
 * several subcommands have. Opens nothing.
 */
#ifndef CREDITLEDGER_APP_DOWNSTREAM_H
#define CREDITLEDGER_APP_DOWNSTREAM_H

#include "app/store.h"
#include "kafka/kafka.h"

/* clang-format off */
#define READ_OPTIONS                                                                                          \
    {"read-database-url", "URL", "the read model's database: postgres://... or sqlite:PATH; none: without one", \
        "CREDITLEDGER_READ_DATABASE_URL", NULL, NULL}

#define KAFKA_OPTIONS                                                                                         \
    {"kafka-brokers", "HOSTS", "Kafka to publish events to and to project from: host:port,host:port",         \
        "CREDITLEDGER_KAFKA_BROKERS", NULL, NULL},                                                            \
    {"kafka-config", "FILE", "properties of librdkafka, 'key=value' a line: TLS, SASL, tuning",               \
        "CREDITLEDGER_KAFKA_CONFIG", NULL, "@file"},                                                          \
    {"kafka-topic-prefix", "TEXT", "goes before the names of all topics", "CREDITLEDGER_KAFKA_TOPIC_PREFIX",  \
        "", NULL},                                                                                            \
    {"kafka-partitions", "N", "partitions of topics that are made", "CREDITLEDGER_KAFKA_PARTITIONS", "12", NULL}, \
    {"kafka-replication", "N", "replicas of topics that are made; -1: the broker's default",                  \
        "CREDITLEDGER_KAFKA_REPLICATION", "-1", NULL},                                                        \
    {"kafka-retention", "DAYS", "how long topics that are made keep events; 0: the broker's default, -1: for ever", \
        "CREDITLEDGER_KAFKA_RETENTION", "0", NULL}
/* clang-format on */

struct downstream {
    bool has_read;
    char read_url[4200];   /* for db_open() */
    char read_shown[4200]; /* for messages and logs */
    bool pooled;           /* the read database is behind a pooler in transaction mode */
    bool has_kafka;
    struct kafka_config kafka; /* borrows from the options and from here: do not move it */
    char group[128], transactional[128];
};

/*
 * The read model's default is beside the journal: FILE-read.db beside SQLite's FILE.db, schema creditledger_read of the
 * journal's PostgreSQL. A journal in memory has none. ERR_CONFIG names the option that is wrong.
 */
MUST_CHECK int downstream_describe(
    const struct options *o, const struct store *store, struct downstream *ret_downstream, struct err *err);

#endif
