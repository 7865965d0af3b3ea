/*
 * What producers, consumers and the administration of topics have in common: librdkafka's configuration from ours, its log
 * lines in ours, and its errors as codes of base/err.h. Internal to the room.
 */
#ifndef CREDITLEDGER_KAFKA_CLIENT_H
#define CREDITLEDGER_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "kafka/kafka.h"

#define KAFKA_TOPIC_MAX 249 /* bytes of a topic's name, prefix included: Kafka's own limit */

enum client_role { CLIENT_PRODUCER, CLIENT_TRANSACTIONAL, CLIENT_CONSUMER, CLIENT_ADMIN };

/* What went wrong last on a connection: "timed out" alone tells nobody why. */
struct client {
    rd_kafka_t *handle;
    pthread_mutex_t lock;
    char trouble[256]; /* under the lock */
};

/* In place, because librdkafka's threads keep its address. `on_delivery` may be NULL; `opaque` is what it is given. */
MUST_CHECK int client_open(struct client *client, const struct kafka_config *config, enum client_role role,
    void (*on_delivery)(rd_kafka_t *, const rd_kafka_message_t *, void *), struct err *err);
void client_close(struct client *client); /* one of zeros is fine */

/* Configures only: what is wrong with the configuration, without a client. */
MUST_CHECK int client_check(const struct kafka_config *config, enum client_role role, struct err *err);

/* ERR_CONFIG if prefix and name are no name of a topic. */
MUST_CHECK int client_topic(
    const struct kafka_config *config, const char *name, char ret_name[KAFKA_TOPIC_MAX + 1], struct err *err);

/* The code for an error of librdkafka. */
int client_code(rd_kafka_resp_err_t error);
/* Sets err from it, with the last trouble behind it, and returns the code. */
int client_fail(
    struct client *client, rd_kafka_resp_err_t error, const char *text, const char *doing, struct err *err);
/* The same for an error object, which it frees. */
int client_fail_error(struct client *client, rd_kafka_error_t *error, const char *doing, struct err *err);

#endif
