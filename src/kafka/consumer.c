#include <stdlib.h>
#include <string.h>

#include "kafka/client.h"

#define BATCH_MAX 4096 /* messages asked of librdkafka at once */

struct end {
    const char *topic;
    int partition;
    int64_t offset; /* -1: not reached */
};

struct kafka_consumer {
    struct client client;
    const struct kafka_config *config;
    rd_kafka_queue_t *queue;
    /* What is assigned, so that messages carry the caller's names without a copy each. */
    char **names; /* as the caller says them */
    size_t n_names;
    struct end *ends; /* of the partitions that are assigned */
    size_t n_ends;
    rd_kafka_message_t *batch[BATCH_MAX];
};

int kafka_consumer_new(
    const struct kafka_config *config, struct kafka_consumer **ret_consumer, struct err *err)
{
    struct kafka_consumer *c = calloc(1, sizeof *c);
    INVARIANT(c != NULL);
    c->config = config;
    int rc = client_open(&c->client, config, CLIENT_CONSUMER, NULL, err);
    if (rc != 0) {
        free(c);
        return rc;
    }
    c->queue = rd_kafka_queue_get_consumer(c->client.handle);
    INVARIANT(c->queue != NULL);
    *ret_consumer = c;
    return 0;
}

void kafka_consumer_free(struct kafka_consumer *c)
{
    if (c == NULL)
        return;
    rd_kafka_queue_destroy(c->queue);
    client_close(&c->client);
    for (size_t i = 0; i < c->n_names; i++)
        free(c->names[i]);
    free(c->names);
    free(c->ends);
    free(c);
}

/* Names live as long as the consumer: received messages point to them. */
static const char *keep_name(struct kafka_consumer *c, const char *name)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (strcmp(c->names[i], name) == 0)
            return c->names[i];
    c->names = realloc(c->names, (c->n_names + 1) * sizeof *c->names);
    INVARIANT(c->names != NULL);
    c->names[c->n_names] = strdup(name);
    INVARIANT(c->names[c->n_names] != NULL);
    return c->names[c->n_names++];
}

static int place_list(const struct kafka_config *config, const struct kafka_place *places, size_t n,
    rd_kafka_topic_partition_list_t **ret_list, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++) {
        char full[KAFKA_TOPIC_MAX + 1];
        int rc = client_topic(config, places[i].topic, full, err);
        if (rc != 0) {
            rd_kafka_topic_partition_list_destroy(list);
            return rc;
        }
        rd_kafka_topic_partition_list_add(list, full, places[i].partition)->offset =
            places[i].next < 0 ? RD_KAFKA_OFFSET_BEGINNING : places[i].next;
    }
    *ret_list = list;
    return 0;
}

int kafka_assign(struct kafka_consumer *c, const struct kafka_place *places, size_t n, struct err *err)
{
    rd_kafka_topic_partition_list_t *list;
    int rc = place_list(c->config, places, n, &list, err);
    if (rc != 0)
        return rc;
    c->ends = realloc(c->ends, (n + 1) * sizeof *c->ends);
    INVARIANT(c->ends != NULL);
    c->n_ends = n;
    for (size_t i = 0; i < n; i++)
        c->ends[i] = (struct end){keep_name(c, places[i].topic), places[i].partition, -1};
    rd_kafka_resp_err_t error = rd_kafka_assign(c->client.handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : client_fail(&c->client, error, NULL, "cannot read from Kafka", err);
}

static struct end *end_of(const struct kafka_consumer *c, const char *topic, int partition)
{
    for (size_t i = 0; i < c->n_ends; i++)
        if (c->ends[i].partition == partition && strcmp(c->ends[i].topic, topic) == 0)
            return &c->ends[i];
    return NULL;
}

static const char *short_name(const struct kafka_consumer *c, const rd_kafka_message_t *m)
{
    const char *prefix = c->config->topic_prefix != NULL ? c->config->topic_prefix : "";
    return rd_kafka_topic_name(m->rkt) + strlen(prefix);
}

static void note_end(struct kafka_consumer *c, const rd_kafka_message_t *m)
{
    struct end *end = m->rkt == NULL ? NULL : end_of(c, short_name(c, m), m->partition);
    if (end != NULL)
        end->offset = m->offset;
}

int64_t kafka_end_read(const struct kafka_consumer *c, const char *topic, int partition)
{
    const struct end *end = end_of(c, topic, partition);
    return end == NULL ? -1 : end->offset;
}

static struct str copy_bytes(struct arena *arena, const void *data, size_t len)
{
    if (data == NULL)
        return STR_NONE;
    return arena_str(arena, (struct str){data, len});
}

static void copy_headers(struct arena *arena, const rd_kafka_message_t *m, struct kafka_received *r)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    size_t n = rd_kafka_header_cnt(headers);
    struct kafka_header *copies = ARENA_ARRAY(arena, struct kafka_header, n);
    for (size_t i = 0; i < n; i++) {
        const char *name;
        const void *value;
        size_t len;
        if (rd_kafka_header_get_all(headers, i, &name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        copies[r->n_headers].name = arena_str(arena, str_of(name)).data;
        copies[r->n_headers++].value = copy_bytes(arena, value, len);
    }
    r->headers = copies;
}

static void copy_message(
    struct kafka_consumer *c, struct arena *arena, const rd_kafka_message_t *m, struct kafka_received *r)
{
    rd_kafka_timestamp_type_t type;
    *r = (struct kafka_received){
        .topic = keep_name(c, short_name(c, m)),
        .partition = m->partition,
        .offset = m->offset,
        .timestamp_ms = rd_kafka_message_timestamp(m, &type),
        .key = copy_bytes(arena, m->key, m->key_len),
        .value = copy_bytes(arena, m->payload, m->len),
    };
    copy_headers(arena, m, r);
}

/*
 * The first is waited for, the others are taken as they are there: asked for many at once, librdkafka would wait
 * for all of them until the time is over.
 */
static size_t take(struct kafka_consumer *c, size_t most, int timeout_ms)
{
    most = most < BATCH_MAX ? most : BATCH_MAX;
    rd_kafka_message_t *first = most > 0 ? rd_kafka_consumer_poll(c->client.handle, timeout_ms) : NULL;
    if (first == NULL)
        return 0;
    c->batch[0] = first;
    ssize_t more = most > 1 ? rd_kafka_consume_batch_queue(c->queue, 0, c->batch + 1, most - 1) : 0;
    return 1 + (more > 0 ? (size_t)more : 0);
}

/* Errors that pass by themselves are librdkafka's to get over; the caller sees no message meanwhile. */
static bool passes(rd_kafka_resp_err_t error)
{
    int code = client_code(error);
    return error == RD_KAFKA_RESP_ERR__PARTITION_EOF || code == ERR_IO || code == ERR_TIMEOUT;
}

int kafka_receive(struct kafka_consumer *c, size_t most, int timeout_ms, struct arena *arena,
    struct kafka_received **ret_messages, size_t *ret_n, struct err *err)
{
    size_t n = take(c, most, timeout_ms), kept = 0;
    struct kafka_received *received = ARENA_ARRAY(arena, struct kafka_received, n > 0 ? n : 1);
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_t *m = c->batch[i];
        /* Behind a failure nothing is handed out: the caller goes on from where it was. */
        if (rc == 0 && m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            copy_message(c, arena, m, &received[kept++]);
        else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            note_end(c, m);
        else if (rc == 0 && !passes(m->err))
            rc = client_fail(&c->client, m->err, rd_kafka_message_errstr(m), "cannot read from Kafka", err);
        rd_kafka_message_destroy(m);
    }
    if (rc != 0)
        return rc;
    *ret_messages = received;
    *ret_n = kept;
    return 0;
}

void kafka_commit_offsets(struct kafka_consumer *c, const struct kafka_place *places, size_t n)
{
    rd_kafka_topic_partition_list_t *list;
    struct err ignored;
    if (n == 0 || place_list(c->config, places, n, &list, &ignored) != 0)
        return;
    (void)rd_kafka_commit(c->client.handle, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

int kafka_watermarks(struct kafka_consumer *c, const char *topic, int partition, int timeout_ms,
    int64_t *ret_low, int64_t *ret_high, struct err *err)
{
    char full[KAFKA_TOPIC_MAX + 1];
    int rc = client_topic(c->config, topic, full, err);
    if (rc != 0)
        return rc;
    rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(c->client.handle, full, partition, ret_low, ret_high, timeout_ms);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : client_fail(&c->client, error, NULL, full, err);
}

/*
 * *ret_end: behind what was there, or at the partition's end: of a topic that is being written to the end may stay ahead for
 * ever, and behind its last message there may be markers of transactions, which nobody is handed.
 */
static int read_on(struct kafka_consumer *c, int timeout_ms, int64_t high, kafka_visit *visit, void *ctx,
    bool *ret_end, struct err *err)
{
    size_t n = take(c, BATCH_MAX, timeout_ms);
    if (n == 0)
        return client_fail(&c->client, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, "cannot read from Kafka", err);
    struct arena arena;
    arena_init(&arena, 65536);
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_t *m = c->batch[i];
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            *ret_end = true;
        } else if (rc == 0 && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            struct kafka_received received;
            copy_message(c, &arena, m, &received);
            rc = visit(ctx, &received);
            *ret_end |= m->offset + 1 >= high;
        } else if (rc == 0 && !passes(m->err)) {
            rc = client_fail(&c->client, m->err, rd_kafka_message_errstr(m), "cannot read from Kafka", err);
        }
        rd_kafka_message_destroy(m);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    return rc;
}

int kafka_read_all(const struct kafka_config *config, const char *topic, int partition, int timeout_ms,
    kafka_visit *visit, void *ctx, struct err *err)
{
    struct kafka_consumer *c;
    /* librdkafka waits for a topic that is not there: it might be made. */
    int partitions = 0;
    int rc = kafka_partitions(config, topic, timeout_ms, &partitions, err);
    if (rc != 0)
        return rc;
    if (partition >= partitions)
        return err_set(err, ERR_NOT_FOUND, "there is no partition %d of topic %s%s", partition,
            config->topic_prefix != NULL ? config->topic_prefix : "", topic);
    rc = kafka_consumer_new(config, &c, err);
    if (rc != 0)
        return rc;
    rc = kafka_assign(c, &(struct kafka_place){.topic = topic, .partition = partition, .next = -1}, 1, err);
    int64_t low, high = 0;
    if (rc == 0)
        rc = kafka_watermarks(c, topic, partition, timeout_ms, &low, &high, err);
    for (bool end = false; rc == 0 && !end;)
        rc = read_on(c, timeout_ms, high, visit, ctx, &end, err);
    kafka_consumer_free(c);
    return rc;
}
