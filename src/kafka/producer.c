#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kafka/client.h"

#define TOPICS_MAX 16   /* that one producer sends to */
#define FULL_WAIT_MS 20 /* between looks at a full queue */
#define SERVE_EVERY 256 /* sends, after which reports are taken: delivered messages are kept until then */
#define FULL_GIVE_UP_MS 10000 /* a queue that does not move for so long */

struct kafka_producer {
    struct client client; /* first: librdkafka hands its address to the delivery callback */
    const struct kafka_config *config;
    bool transactional;
    struct {
        const char *name; /* the caller's: static */
        rd_kafka_topic_t *topic;
    } topics[TOPICS_MAX];
    size_t n_topics;
    unsigned sends;
    rd_kafka_resp_err_t failed; /* the first message that could not be delivered */
};

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Within calls of the producer's own thread. */
static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    (void)handle;
    struct kafka_producer *p = opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && p->failed == RD_KAFKA_RESP_ERR_NO_ERROR)
        p->failed = message->err;
}

int kafka_producer_new(
    const struct kafka_config *config, int timeout_ms, struct kafka_producer **ret_producer, struct err *err)
{
    struct kafka_producer *p = calloc(1, sizeof *p);
    INVARIANT(p != NULL);
    p->config = config;
    p->transactional = config->transactional != NULL;
    int rc = client_open(
        &p->client, config, p->transactional ? CLIENT_TRANSACTIONAL : CLIENT_PRODUCER, on_delivery, err);
    if (rc == 0 && p->transactional) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(p->client.handle, timeout_ms);
        if (error != NULL)
            rc = client_fail_error(&p->client, error, "Kafka does not take the relay on", err);
    }
    if (rc != 0) {
        kafka_producer_free(p);
        return rc;
    }
    *ret_producer = p;
    return 0;
}

void kafka_producer_free(struct kafka_producer *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n_topics; i++)
        rd_kafka_topic_destroy(p->topics[i].topic);
    client_close(&p->client);
    free(p);
}

int kafka_begin(struct kafka_producer *p, struct err *err)
{
    p->failed = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!p->transactional)
        return 0;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(p->client.handle);
    return error == NULL ? 0 : client_fail_error(&p->client, error, "cannot begin a transaction", err);
}

/* A topic's handle is made once: looking a name up takes librdkafka's lock. */
static int find_topic(
    struct kafka_producer *p, const char *name, rd_kafka_topic_t **ret_topic, struct err *err)
{
    for (size_t i = 0; i < p->n_topics; i++)
        if (p->topics[i].name == name || strcmp(p->topics[i].name, name) == 0) {
            *ret_topic = p->topics[i].topic;
            return 0;
        }
    INVARIANT_F(p->n_topics < TOPICS_MAX, "topic %s", name);
    char full[KAFKA_TOPIC_MAX + 1];
    int rc = client_topic(p->config, name, full, err);
    if (rc != 0)
        return rc;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(p->client.handle, full, NULL);
    if (topic == NULL)
        return client_fail(&p->client, rd_kafka_last_error(), NULL, full, err);
    p->topics[p->n_topics].name = name;
    p->topics[p->n_topics++].topic = topic;
    *ret_topic = topic;
    return 0;
}

static rd_kafka_headers_t *make_headers(const struct kafka_message *m)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(m->n_headers);
    for (size_t i = 0; i < m->n_headers; i++)
        (void)rd_kafka_header_add(
            headers, m->headers[i].name, -1, m->headers[i].value.data, (ssize_t)m->headers[i].value.len);
    return headers;
}

static rd_kafka_error_t *produce(struct kafka_producer *p, rd_kafka_topic_t *topic,
    const struct kafka_message *m, rd_kafka_headers_t *headers)
{
    rd_kafka_vu_t parts[7];
    size_t n = 0;
    parts[n].vtype = RD_KAFKA_VTYPE_RKT;
    parts[n++].u.rkt = topic;
    parts[n].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[n++].u.i = RD_KAFKA_MSG_F_COPY;
    parts[n].vtype = RD_KAFKA_VTYPE_KEY;
    parts[n].u.mem.ptr = (void *)(uintptr_t)m->key.data;
    parts[n++].u.mem.size = m->key.len;
    parts[n].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[n].u.mem.ptr = (void *)(uintptr_t)m->value.data;
    parts[n++].u.mem.size = m->value.len;
    parts[n].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
    parts[n++].u.i64 = m->timestamp_ms;
    if (headers != NULL) {
        parts[n].vtype = RD_KAFKA_VTYPE_HEADERS;
        parts[n++].u.headers = headers;
    }
    return rd_kafka_produceva(p->client.handle, parts, n);
}

int kafka_send(struct kafka_producer *p, const struct kafka_message *m, struct err *err)
{
    rd_kafka_topic_t *topic;
    int rc = find_topic(p, m->topic, &topic, err);
    if (rc != 0)
        return rc;
    rd_kafka_headers_t *headers = m->n_headers > 0 ? make_headers(m) : NULL;
    int64_t since = 0;
    for (;;) {
        /* Success takes the headers over. */
        rd_kafka_error_t *error = produce(p, topic, m, headers);
        if (error == NULL) {
            if (++p->sends % SERVE_EVERY == 0)
                rd_kafka_poll(p->client.handle, 0);
            return 0;
        }
        int64_t now = monotonic_ms();
        since = since == 0 ? now : since;
        bool full = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL;
        if (full && p->failed == RD_KAFKA_RESP_ERR_NO_ERROR && now - since < FULL_GIVE_UP_MS) {
            rd_kafka_error_destroy(error);
            rd_kafka_poll(p->client.handle, FULL_WAIT_MS);
            continue;
        }
        if (headers != NULL)
            rd_kafka_headers_destroy(headers);
        return client_fail_error(&p->client, error, "cannot send to Kafka", err);
    }
}

static int flush(struct kafka_producer *p, int timeout_ms, struct err *err)
{
    rd_kafka_resp_err_t error = rd_kafka_flush(p->client.handle, timeout_ms);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        error = p->failed;
    return error == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : client_fail(&p->client, error, NULL, "Kafka did not take all messages", err);
}

int kafka_commit(struct kafka_producer *p, int timeout_ms, struct err *err)
{
    if (!p->transactional)
        return flush(p, timeout_ms, err);
    rd_kafka_error_t *error = rd_kafka_commit_transaction(p->client.handle, timeout_ms);
    if (error == NULL)
        return 0;
    bool aborts = rd_kafka_error_txn_requires_abort(error);
    int rc = client_fail_error(&p->client, error, "cannot commit to Kafka", err);
    /* Neither refused nor fenced: the broker may have done it. */
    if (!aborts && (rc == ERR_IO || rc == ERR_TIMEOUT)) {
        rc = ERR_UNKNOWN;
        if (err != NULL)
            err->code = rc;
    }
    return rc;
}

int kafka_abort(struct kafka_producer *p, int timeout_ms, struct err *err)
{
    if (!p->transactional) {
        rd_kafka_purge(p->client.handle, RD_KAFKA_PURGE_F_QUEUE);
        return 0;
    }
    rd_kafka_error_t *error = rd_kafka_abort_transaction(p->client.handle, timeout_ms);
    return error == NULL ? 0 : client_fail_error(&p->client, error, "cannot abort a transaction", err);
}
