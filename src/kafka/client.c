#include "kafka/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* syslog.h and telemetry/log.h both have a LOG_DEBUG, LOG_INFO and LOG_WARNING. */
enum { SYSLOG_WARNING = LOG_WARNING };
#undef LOG_DEBUG
#undef LOG_INFO
#undef LOG_WARNING
#include "kafka/properties.h"
#include "telemetry/log.h"

#define FILE_MAX 1048576 /* bytes of a properties file */

struct property {
    const char *key, *value;
};

/* Latency first, as a default: the file may say otherwise. */
static const struct property producer_defaults[] = {
    {"linger.ms", "5"},
    {"queue.buffering.max.messages", "200000"},
    {"queue.buffering.max.kbytes", "131072"},
    {"batch.size", "1000000"},
    {NULL, NULL},
};
static const struct property consumer_defaults[] = {
    {"fetch.min.bytes", "1"},
    {"fetch.wait.max.ms", "500"},
    {"fetch.error.backoff.ms", "20"},
    {"queued.max.messages.kbytes", "32768"},
    {NULL, NULL},
};
static const struct property common_defaults[] = {
    {"client.id", "creditledger"},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "1000"},
    {"socket.keepalive.enable", "true"},
    {"topic.metadata.propagation.max.ms", "3000"},
    {NULL, NULL},
};

/* What the guarantees stand on, and what has an option of its own: not for the file. */
static const char *const reserved[] = {"acks", "bootstrap.servers", "delivery.report.only.error",
    "enable.auto.commit", "enable.auto.offset.store", "enable.idempotence", "enable.partition.eof",
    "group.id", "group.instance.id", "isolation.level", "max.in.flight",
    "max.in.flight.requests.per.connection", "metadata.broker.list", "partitioner", "plugin.library.paths",
    "request.required.acks", "transaction.timeout.ms", "transactional.id"};

static const struct property producer_fixed[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    /* The hash of Kafka's own clients, so that theirs and ours agree on a key's partition. */
    {"partitioner", "murmur2_random"},
    /* Of successes too: a report wakes who flushes, who else would look every 10 ms. */
    {"delivery.report.only.error", "false"},
    {NULL, NULL},
};
static const struct property consumer_fixed[] = {
    {"isolation.level", "read_committed"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "earliest"},
    {"enable.partition.eof", "true"}, /* how far a reader is, markers of transactions counted */
    {NULL, NULL},
};

static int set(rd_kafka_conf_t *conf, const char *key, const char *value, struct err *err)
{
    char why[512];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, key, value, why, sizeof why);
    if (result == RD_KAFKA_CONF_OK)
        return 0;
    /* librdkafka's own message quotes the value, which may be a password. */
    return result == RD_KAFKA_CONF_UNKNOWN
               ? err_set(err, ERR_CONFIG, "there is no property '%s'", key)
               : err_set(err, ERR_CONFIG, "the value of property '%s' is not valid", key);
}

static int set_all(rd_kafka_conf_t *conf, const struct property *properties, struct err *err)
{
    for (const struct property *p = properties; p->key != NULL; p++) {
        int rc = set(conf, p->key, p->value, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int set_from_file(void *ctx, int line, const char *key, const char *value, struct err *err)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(key, reserved[i]) == 0)
            return err_set(err, ERR_CONFIG, "line %d: '%s' is not for this file, creditledger sets it itself",
                line, key);
    int rc = set(ctx, key, value, err);
    return rc != 0 ? err_wrap(err, "line %d", line) : 0;
}

static int read_file(const char *path, struct strbuf *ret_text, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return err_set(err, ERR_CONFIG, "%s: %s", path, strerror(errno));
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof part, file)) > 0 && ret_text->len <= FILE_MAX)
        strbuf_add(ret_text, part, n);
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed != 0)
        return err_set(err, ERR_CONFIG, "%s: %s", path, strerror(failed));
    if (ret_text->len > FILE_MAX)
        return err_set(err, ERR_CONFIG, "%s is larger than %d bytes", path, FILE_MAX);
    return 0;
}

static int set_file(rd_kafka_conf_t *conf, const char *path, struct err *err)
{
    struct strbuf text;
    strbuf_init(&text);
    int rc = read_file(path, &text, err);
    if (rc == 0) {
        rc = properties_parse(strbuf_view(&text), set_from_file, conf, err);
        if (rc != 0)
            rc = err_wrap(err, "%s", path);
    }
    if (text.data != NULL)
        explicit_bzero(text.data, text.len);
    strbuf_fini(&text);
    return rc;
}

/* The better one of those that this librdkafka was built with. */
static int set_compression(rd_kafka_conf_t *conf, struct err *err)
{
    static const char *const codecs[] = {"lz4", "zstd", "snappy", "none"};
    char why[512];
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (rd_kafka_conf_set(conf, "compression.codec", codecs[i], why, sizeof why) == RD_KAFKA_CONF_OK)
            return 0;
    return err_set(err, ERR_CONFIG, "the value of property 'compression.codec' is not valid");
}

static int configure_producer(
    rd_kafka_conf_t *conf, const struct kafka_config *config, enum client_role role, struct err *err)
{
    int rc = set_all(conf, producer_fixed, err);
    if (rc == 0 && role == CLIENT_TRANSACTIONAL)
        rc = set(conf, "transactional.id", config->transactional, err);
    if (rc == 0 && role == CLIENT_TRANSACTIONAL)
        rc = set(conf, "transaction.timeout.ms", "20000", err);
    return rc;
}

static int configure_consumer(rd_kafka_conf_t *conf, const struct kafka_config *config, struct err *err)
{
    const char *group = config->group != NULL && *config->group != '\0' ? config->group : "creditledger";
    int rc = set_all(conf, consumer_fixed, err);
    if (rc == 0)
        rc = set(conf, "group.id", group, err);
    return rc;
}

static int configure(
    rd_kafka_conf_t *conf, const struct kafka_config *config, enum client_role role, struct err *err)
{
    if (config->brokers == NULL || *config->brokers == '\0')
        return err_set(err, ERR_CONFIG, "no Kafka brokers are named");
    bool producer = role == CLIENT_PRODUCER || role == CLIENT_TRANSACTIONAL;
    bool consumer = role == CLIENT_CONSUMER;
    int rc = set_all(conf, common_defaults, err);
    if (rc == 0 && producer)
        rc = set_all(conf, producer_defaults, err);
    if (rc == 0 && producer)
        rc = set_compression(conf, err);
    if (rc == 0 && consumer)
        rc = set_all(conf, consumer_defaults, err);
    if (rc == 0 && config->file != NULL && *config->file != '\0')
        rc = set_file(conf, config->file, err);
    if (rc == 0)
        rc = set(conf, "bootstrap.servers", config->brokers, err);
    if (rc == 0 && producer)
        rc = configure_producer(conf, config, role, err);
    if (rc == 0 && consumer)
        rc = configure_consumer(conf, config, err);
    return rc;
}

static void remember(struct client *client, const char *text)
{
    pthread_mutex_lock(&client->lock);
    snprintf(client->trouble, sizeof client->trouble, "%s", text);
    pthread_mutex_unlock(&client->lock);
}

/*
 * Called by librdkafka's threads. A broker that is away is a warning (the one who waits for it says what it means); that
 * properties of a producer mean nothing to a consumer is no news: one file serves both.
 */
static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    struct client *client = rd_kafka_opaque(handle);
    /* GETPID: a coordinator that is still at the transaction before; asked again until it is not. */
    bool trouble =
        level <= SYSLOG_WARNING && strcmp(facility, "CONFWARN") != 0 && strcmp(facility, "GETPID") != 0;
    if (trouble && client != NULL)
        remember(client, text);
    log_event(trouble ? LOG_WARNING : LOG_DEBUG, "kafka", "facility", facility, "text", text, NULL);
}

static void on_error(rd_kafka_t *handle, int error, const char *reason, void *opaque)
{
    (void)handle;
    remember(opaque, reason);
    log_event(
        LOG_DEBUG, "kafka", "error", rd_kafka_err2name((rd_kafka_resp_err_t)error), "text", reason, NULL);
}

int client_check(const struct kafka_config *config, enum client_role role, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = configure(conf, config, role, err);
    rd_kafka_conf_destroy(conf);
    return rc;
}

int client_open(struct client *client, const struct kafka_config *config, enum client_role role,
    void (*on_delivery)(rd_kafka_t *, const rd_kafka_message_t *, void *), struct err *err)
{
    *client = (struct client){.lock = PTHREAD_MUTEX_INITIALIZER};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = configure(conf, config, role, err);
    if (rc != 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (on_delivery != NULL)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    char why[512];
    bool consumer = role == CLIENT_CONSUMER;
    client->handle = rd_kafka_new(consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (client->handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_CONFIG, "Kafka client: %s", why);
    }
    if (consumer)
        rd_kafka_poll_set_consumer(client->handle);
    return 0;
}

void client_close(struct client *client)
{
    if (client->handle == NULL)
        return;
    if (rd_kafka_type(client->handle) == RD_KAFKA_PRODUCER)
        rd_kafka_purge(client->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    /* No goodbyes: nobody is in the group, and a broker that is away would be waited for. */
    rd_kafka_destroy_flags(client->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    client->handle = NULL;
    pthread_mutex_destroy(&client->lock);
}

int client_topic(
    const struct kafka_config *config, const char *name, char ret_name[KAFKA_TOPIC_MAX + 1], struct err *err)
{
    const char *prefix = config->topic_prefix != NULL ? config->topic_prefix : "";
    int n = snprintf(ret_name, KAFKA_TOPIC_MAX + 1, "%s%s", prefix, name);
    bool valid = n > 0 && n <= KAFKA_TOPIC_MAX && strcmp(ret_name, ".") != 0 && strcmp(ret_name, "..") != 0;
    for (const char *p = ret_name; valid && *p != '\0'; p++)
        valid = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                strchr("._-", *p) != NULL;
    return valid ? 0
                 : err_set(err, ERR_CONFIG,
                       "'%s%s' is no name of a topic: letters, digits, '.', '_' and '-', at most %d", prefix,
                       name, KAFKA_TOPIC_MAX);
}

int client_code(rd_kafka_resp_err_t error)
{
    /* A short list of many: everything else is the network's or the broker's, and tried again. */
    static const struct {
        rd_kafka_resp_err_t error;
        int code;
    } codes[] = {
        {RD_KAFKA_RESP_ERR__FENCED, ERR_CONFLICT},
        {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, ERR_CONFLICT},
        {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, ERR_CONFLICT},
        {RD_KAFKA_RESP_ERR__TIMED_OUT, ERR_TIMEOUT},
        {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, ERR_TIMEOUT},
        {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, ERR_TIMEOUT},
        {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, ERR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, ERR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERR_NOT_FOUND},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_INVALID_CONFIG, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, ERR_UNSUPPORTED},
        {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, ERR_UNSUPPORTED},
        {RD_KAFKA_RESP_ERR__BAD_MSG, ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].error == error)
            return codes[i].code;
    return ERR_IO;
}

int client_fail(
    struct client *client, rd_kafka_resp_err_t error, const char *text, const char *doing, struct err *err)
{
    char trouble[sizeof client->trouble];
    pthread_mutex_lock(&client->lock);
    memcpy(trouble, client->trouble, sizeof trouble);
    pthread_mutex_unlock(&client->lock);
    if (text == NULL)
        text = rd_kafka_err2str(error);
    return err_set(err, client_code(error), "%s: %s%s%s%s", doing, text, *trouble != '\0' ? " (" : "",
        trouble, *trouble != '\0' ? ")" : "");
}

int client_fail_error(struct client *client, rd_kafka_error_t *error, const char *doing, struct err *err)
{
    char text[256];
    snprintf(text, sizeof text, "%s", rd_kafka_error_string(error));
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        code = rd_kafka_fatal_error(client->handle, text, sizeof text);
    rd_kafka_error_destroy(error);
    return client_fail(client, code, text, doing, err);
}
