#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kafka/client.h"

#define LOOK_AGAIN_MS 100

/*
 * A compacted topic is read from its beginning by whoever takes over, and the newest segment is never compacted:
 * small segments keep what there is to read small.
 */
static const struct {
    const char *key, *value;
} compacted_settings[] = {
    {"cleanup.policy", "compact"},
    {"segment.bytes", "8388608"},
    {"segment.ms", "3600000"},
    {"min.cleanable.dirty.ratio", "0.1"},
};

int kafka_check(const struct kafka_config *config, struct err *err)
{
    char name[KAFKA_TOPIC_MAX + 1];
    int rc = client_topic(config, "ledger.position.v1", name, err);
    if (rc == 0)
        rc =
            client_check(config, config->transactional != NULL ? CLIENT_TRANSACTIONAL : CLIENT_PRODUCER, err);
    return rc == 0 ? client_check(config, CLIENT_CONSUMER, err) : rc;
}

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Partitions of a topic, 0 if it is not there; *ret_ready is false while one of them has no leader. */
static int look_up(struct client *client, const char *name, int timeout_ms, int *ret_partitions,
    bool *ret_ready, struct err *err)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client->handle, name, NULL);
    if (topic == NULL)
        return client_fail(client, rd_kafka_last_error(), NULL, name, err);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error = rd_kafka_metadata(client->handle, 0, topic, &metadata, timeout_ms);
    rd_kafka_topic_destroy(topic);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1)
        error = metadata->topics[0].err;
    *ret_partitions = 0;
    *ret_ready = false;
    int rc = 0;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        const struct rd_kafka_metadata_topic *t = &metadata->topics[0];
        *ret_partitions = t->partition_cnt;
        *ret_ready = error == RD_KAFKA_RESP_ERR_NO_ERROR && t->partition_cnt > 0;
        for (int i = 0; i < t->partition_cnt; i++)
            if (t->partitions[i].leader < 0)
                *ret_ready = false;
    } else if (client_code(error) != ERR_NOT_FOUND) {
        rc = client_fail(client, error, NULL, name, err);
    }
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    return rc;
}

int kafka_partitions(const struct kafka_config *config, const char *topic, int timeout_ms,
    int *ret_partitions, struct err *err)
{
    char name[KAFKA_TOPIC_MAX + 1];
    int rc = client_topic(config, topic, name, err);
    if (rc != 0)
        return rc;
    struct client client;
    bool ready;
    rc = client_open(&client, config, CLIENT_ADMIN, NULL, err);
    if (rc == 0)
        rc = look_up(&client, name, timeout_ms, ret_partitions, &ready, err);
    client_close(&client);
    return rc;
}

static int describe_topic(const struct kafka_config *config, const struct kafka_topic *topic,
    const char *name, rd_kafka_NewTopic_t **ret_topic, struct err *err)
{
    char why[256];
    int partitions = topic->partitions > 0    ? topic->partitions
                     : config->partitions > 0 ? config->partitions
                                              : -1;
    int replication = config->replication > 0 ? config->replication : -1;
    rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(name, partitions, replication, why, sizeof why);
    if (made == NULL)
        return err_set(err, ERR_CONFIG, "topic %s: %s", name, why);
    char retention[32];
    snprintf(retention, sizeof retention, "%" PRId64, config->retention_ms);
    if (topic->compacted)
        for (size_t i = 0; i < sizeof compacted_settings / sizeof *compacted_settings; i++)
            (void)rd_kafka_NewTopic_set_config(made, compacted_settings[i].key, compacted_settings[i].value);
    else if (config->retention_ms != 0)
        (void)rd_kafka_NewTopic_set_config(made, "retention.ms", retention);
    /* Which of the events' time stamps expire them: the records', for ever the same. */
    (void)rd_kafka_NewTopic_set_config(made, "message.timestamp.type", "CreateTime");
    *ret_topic = made;
    return 0;
}

static int check_created(
    struct client *client, rd_kafka_event_t *event, int timeout_ms, const char *name, struct err *err)
{
    if (event == NULL)
        return err_set(err, ERR_TIMEOUT, "topic %s: no answer within %d ms", name, timeout_ms);
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        return client_fail(client, error, rd_kafka_event_error_string(event), name, err);
    size_t n = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    for (size_t i = 0; i < n; i++) {
        error = rd_kafka_topic_result_error(results[i]);
        /* Another process was faster. */
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return client_fail(client, error, rd_kafka_topic_result_error_string(results[i]), name, err);
    }
    return 0;
}

static int create(struct client *client, const struct kafka_config *config, const struct kafka_topic *topic,
    const char *name, int timeout_ms, struct err *err)
{
    rd_kafka_NewTopic_t *made;
    int rc = describe_topic(config, topic, name, &made, err);
    if (rc != 0)
        return rc;
    char why[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client->handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client->handle);
    (void)rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, why, sizeof why);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof why);
    rd_kafka_CreateTopics(client->handle, &made, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    rc = check_created(client, event, timeout_ms, name, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(made);
    return rc;
}

/* Made if it is missing, and waited for until every partition has a leader. */
static int make_one(struct client *client, const struct kafka_config *config, const struct kafka_topic *topic,
    int64_t deadline_ms, struct err *err)
{
    char name[KAFKA_TOPIC_MAX + 1];
    int rc = client_topic(config, topic->name, name, err);
    for (bool asked = false; rc == 0;) {
        int64_t left = deadline_ms - monotonic_ms();
        int partitions = 0;
        bool ready = false;
        if (left <= 0)
            return err_set(err, ERR_TIMEOUT, "topic %s has no leaders yet", name);
        rc = look_up(client, name, (int)left, &partitions, &ready, err);
        if (rc != 0 || ready)
            break;
        left = deadline_ms - monotonic_ms();
        if (partitions == 0 && !asked && left > 0) {
            rc = create(client, config, topic, name, (int)left, err);
            asked = true;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
        }
    }
    return rc;
}

int kafka_make_topics(const struct kafka_config *config, const struct kafka_topic *topics, size_t n,
    int timeout_ms, struct err *err)
{
    struct client client;
    int64_t deadline_ms = monotonic_ms() + timeout_ms;
    int rc = client_open(&client, config, CLIENT_ADMIN, NULL, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = make_one(&client, config, &topics[i], deadline_ms, err);
    client_close(&client);
    return rc;
}

/* The value of a topic's setting, as text within the event; NULL if it has none of that name. */
static const char *setting_of(rd_kafka_event_t *event, const char *key)
{
    size_t n_resources = 0, n = 0;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n_resources);
    if (n_resources != 1)
        return NULL;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), key) == 0)
            return rd_kafka_ConfigEntry_value(entries[i]);
    return NULL;
}

static int ask_retention(
    struct client *client, const char *name, int timeout_ms, int64_t *ret_retention_ms, struct err *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client->handle);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_DescribeConfigs(client->handle, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    int rc = 0;
    if (event == NULL) {
        rc = client_fail(client, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, name, err);
    } else if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rc = client_fail(client, rd_kafka_event_error(event), rd_kafka_event_error_string(event), name, err);
    } else {
        const char *value = setting_of(event, "retention.ms");
        if (value == NULL || !str_to_int64(str_of(value), ret_retention_ms))
            rc = err_set(
                err, ERR_NOT_FOUND, "the broker does not tell how long topic %s keeps messages", name);
    }
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
    return rc;
}

int kafka_retention(const struct kafka_config *config, const char *topic, int timeout_ms,
    int64_t *ret_retention_ms, struct err *err)
{
    char name[KAFKA_TOPIC_MAX + 1];
    struct client client = {.handle = NULL};
    int rc = client_topic(config, topic, name, err);
    if (rc == 0)
        rc = client_open(&client, config, CLIENT_ADMIN, NULL, err);
    if (rc == 0)
        rc = ask_retention(&client, name, timeout_ms, ret_retention_ms, err);
    client_close(&client);
    return rc;
}
