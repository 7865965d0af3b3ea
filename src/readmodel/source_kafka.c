/*
 * Kafka as the source: the three topics of events, every partition assigned by hand, because the read model knows where
 * to go on and one projector reads them all. Facts come in the order of each partition, the partitions as they come. A
 * part is topic and partition in one number, topic << 16 | partition, with topics counted from 1 in the order of
 * enum event_topic: numbers that no ledger of the journal has, so that a read model can change its source.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/instant.h"
#include "kafka/kafka.h"
#include "readmodel/projector_internal.h"
#include "telemetry/log.h"

#define TOPICS 3
#define SLICE_MS 50     /* a wake is noticed after that long */
#define COUNT_MS 30000  /* how often partitions are counted */
#define MISSING_MS 500  /* the same, while a topic is missing */
#define MEASURE_MS 2000 /* how often their ends are asked for, */
#define IDLE_MS 5000    /* and how often while nothing comes */
#define TIMEOUT_MS 3000 /* of one question to the broker */

struct place {
    struct kafka_place at; /* next: -1 until anything was read */
    uint32_t part;
    bool moved; /* since offsets were committed */
    bool anew;  /* the partition begins again: what was read of it says nothing of where to go on */
};

struct kafka_source {
    struct source source;
    struct kafka_config config;
    struct kafka_consumer *consumer;
    /* Asks for the ends, and reads nothing: behind a reader's fetch, which the broker holds back until there is something to
     * read, every question would wait for half a second. */
    struct kafka_consumer *watcher;
    struct place *places;
    size_t n_places;
    int partitions[TOPICS];
    bool assigned;
    bool anew;         /* a partition is, see struct place */
    bool idle;         /* the last wait ended without a message */
    int64_t newest_at; /* recorded_at of the last fact handed out */
    int64_t counted_ms, measured_ms;
    struct source_lag lag;
    _Atomic bool woken;
    struct fact *facts;
    struct parked *parked;
    size_t cap;
};

static struct kafka_source *of(struct source *source)
{
    return (struct kafka_source *)source;
}

static int64_t clock_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * MICROS_PER_SECOND + t.tv_nsec / 1000;
}

static int64_t monotonic_ms(void)
{
    return clock_us(CLOCK_MONOTONIC) / 1000;
}

static struct place *place_of(struct kafka_source *s, const char *topic, int partition)
{
    for (size_t i = 0; i < s->n_places; i++)
        if (s->places[i].at.partition == partition && strcmp(s->places[i].at.topic, topic) == 0)
            return &s->places[i];
    return NULL;
}

/* --- which partitions, from where --------------------------------------------------------------------------- */

static void add_place(struct kafka_source *s, enum event_topic topic, int partition)
{
    if (place_of(s, event_topic_name(topic), partition) != NULL)
        return;
    s->places = realloc(s->places, (s->n_places + 1) * sizeof *s->places);
    INVARIANT(s->places != NULL);
    s->places[s->n_places++] = (struct place){
        .at = {.topic = event_topic_name(topic), .partition = partition, .next = -1},
        .part = ((uint32_t)topic + 1) * SOURCE_PART_KAFKA | (uint32_t)partition,
    };
}

/* A topic that was deleted and made again may have fewer. */
static void drop_places(struct kafka_source *s, int topic, int partitions)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n_places; i++)
        if (s->places[i].at.partition < partitions ||
            strcmp(s->places[i].at.topic, event_topic_name((enum event_topic)topic)) != 0)
            s->places[kept++] = s->places[i];
    s->n_places = kept;
    s->partitions[topic] = partitions;
}

/* Topics that are not there yet have none: the relay makes them. `less`: those that went count too. */
static int count_partitions(struct kafka_source *s, bool less, bool *ret_more, struct err *err)
{
    *ret_more = false;
    s->counted_ms = monotonic_ms();
    for (int t = 0; t < TOPICS; t++) {
        int n;
        int r = kafka_partitions(&s->config, event_topic_name((enum event_topic)t), TIMEOUT_MS, &n, err);
        if (r < 0)
            return r;
        if (n >= SOURCE_PART_KAFKA)
            return err_set(
                err, ERR_UNSUPPORTED, "topic %s has %d partitions", event_topic_name((enum event_topic)t), n);
        if (less && n < s->partitions[t])
            drop_places(s, t, n);
        for (; s->partitions[t] < n; s->partitions[t]++) {
            add_place(s, (enum event_topic)t, s->partitions[t]);
            *ret_more = true;
        }
    }
    return 0;
}

static int assign(struct kafka_source *s, struct err *err)
{
    struct kafka_place *places = calloc(s->n_places + 1, sizeof *places);
    INVARIANT(places != NULL);
    for (size_t i = 0; i < s->n_places; i++)
        places[i] = s->places[i].at;
    int r = kafka_assign(s->consumer, places, s->n_places, err);
    free(places);
    s->assigned = r == 0;
    s->idle = false;
    return r;
}

/*
 * A topic that was made anew, or that lost its end, counts its offsets again: where the read model was in it is somewhere
 * else now, or nowhere. librdkafka would go to the beginning by itself when it finds nothing there, and go on in the
 * middle when there is something; and the read model would keep a position that is too far. One of which retention took
 * what was not read goes on at what is left, and says so.
 */
static int begin_again(struct kafka_source *s, struct place *p, struct readmodel *model, struct err *err)
{
    int64_t low, high;
    if (p->at.next <= 0)
        return 0;
    int r = kafka_watermarks(s->watcher, p->at.topic, p->at.partition, TIMEOUT_MS, &low, &high, err);
    bool lost = r == 0 && p->at.next < low;
    if (r < 0 || (p->at.next <= high && !lost && !p->anew))
        return r;
    char partition[16];
    snprintf(partition, sizeof partition, "%d", p->at.partition);
    log_event(LOG_WARNING,
        lost ? "messages were deleted before they were read: 'creditledger projections rebuild' has them"
             : "a topic was made anew, or has lost messages: read from its beginning; what is not there "
               "'creditledger projections rebuild' has",
        "topic", p->at.topic, "partition", partition, NULL);
    p->at.next = low;
    r = readmodel_set_offsets(model, &(struct readmodel_offset){p->part, low}, 1, err);
    p->anew = r != 0;
    return r;
}

static int kafka_source_seek(struct source *source, struct readmodel *model, struct err *err)
{
    struct kafka_source *s = of(source);
    struct arena arena;
    struct readmodel_offset *offsets;
    size_t n;
    bool more;
    s->assigned = false;
    int r = count_partitions(s, true, &more, err);
    if (r < 0)
        return r;
    arena_init(&arena, 0);
    r = readmodel_offsets(model, &arena, &offsets, &n, err);
    for (size_t p = 0; r == 0 && p < s->n_places; p++) {
        s->places[p].at.next = -1;
        for (size_t i = 0; i < n; i++)
            if (offsets[i].part == s->places[p].part)
                s->places[p].at.next = offsets[i].next;
        r = begin_again(s, &s->places[p], model, err);
    }
    arena_fini(&arena);
    return r == 0 ? assign(s, err) : r;
}

static bool topic_missing(const struct kafka_source *s)
{
    for (int t = 0; t < TOPICS; t++)
        if (s->partitions[t] == 0)
            return true;
    return false;
}

/* Partitions may be added while it runs, and topics made, one after the other. */
static int look_for_more(struct kafka_source *s, struct err *err)
{
    bool more;
    if (monotonic_ms() - s->counted_ms < (topic_missing(s) ? MISSING_MS : COUNT_MS))
        return 0;
    int r = count_partitions(s, false, &more, err);
    return r == 0 && more ? assign(s, err) : r;
}

/* --- messages ----------------------------------------------------------------------------------------------- */

static struct str header(const struct kafka_received *m, const char *name)
{
    for (size_t i = 0; i < m->n_headers; i++)
        if (strcmp(m->headers[i].name, name) == 0)
            return m->headers[i].value;
    return STR_NONE;
}

static void park(struct kafka_source *s, const struct kafka_received *m, const struct place *place,
    const char *reason, struct source_batch *batch)
{
    s->parked[batch->n_parked++] = (struct parked){
        .topic = str_of(place->at.topic),
        .key = m->key,
        .type = header(m, "ce_type"),
        .payload = m->value,
        .reason = arena_str(&batch->arena, str_of(reason)),
        .part = place->part,
        .offset = m->offset,
        .parked_at = clock_us(CLOCK_REALTIME),
    };
}

static void take(struct kafka_source *s, const struct kafka_received *m, struct source_batch *batch)
{
    struct err err = {0};
    struct fact *fact = &s->facts[batch->n];
    bool known = true;
    struct place *place = place_of(s, m->topic, m->partition);
    if (place == NULL) /* of an assignment before this one */
        return;
    if (m->offset < place->at.next) {
        place->anew = s->anew = true;
        return;
    }
    place->at.next = m->offset + 1;
    place->moved = true;
    struct str type = header(m, "ce_type");
    if (type.data == NULL) {
        park(s, m, place, "it has no header ce_type", batch);
    } else if (m->value.data == NULL) {
        park(s, m, place, "it has no value", batch);
    } else if (!fact_decode(type, m->value, &batch->arena, fact, &known, &err)) {
        park(s, m, place, err.message, batch);
    } else if (known) {
        fact->part = place->part;
        fact->offset = m->offset;
        s->newest_at = fact->recorded_at;
        batch->n++;
    }
}

static void reserve(struct kafka_source *s, size_t most)
{
    if (most <= s->cap)
        return;
    struct fact *facts = realloc(s->facts, most * sizeof *facts);
    struct parked *parked = realloc(s->parked, most * sizeof *parked);
    INVARIANT(facts != NULL && parked != NULL);
    s->facts = facts;
    s->parked = parked;
    s->cap = most;
}

static int receive(struct kafka_source *s, size_t most, int timeout_ms, struct source_batch *batch,
    struct kafka_received **ret_messages, size_t *ret_n, struct err *err)
{
    int64_t until = monotonic_ms() + timeout_ms;
    for (;;) {
        int64_t left = until - monotonic_ms();
        int slice = left > SLICE_MS ? SLICE_MS : left > 0 ? (int)left : 0;
        int r = 0;
        *ret_n = 0;
        if (s->n_places > 0)
            r = kafka_receive(s->consumer, most, slice, &batch->arena, ret_messages, ret_n, err);
        else if (slice > 0)
            usleep((useconds_t)slice * 1000);
        if (r < 0 || *ret_n > 0 || left <= SLICE_MS || atomic_exchange(&s->woken, false))
            return r;
    }
}

static int kafka_source_next(
    struct source *source, size_t most, int timeout_ms, struct source_batch *batch, struct err *err)
{
    struct kafka_source *s = of(source);
    struct kafka_received *messages = NULL;
    size_t n;
    arena_reset(&batch->arena);
    reserve(s, most);
    *batch = (struct source_batch){.arena = batch->arena, .facts = s->facts, .parked = s->parked};
    INVARIANT(s->assigned);
    s->anew = false;
    int r = look_for_more(s, err);
    if (r == 0)
        r = receive(s, most, timeout_ms, batch, &messages, &n, err);
    if (r < 0)
        return r;
    s->idle = n == 0 && timeout_ms > 0;
    for (size_t i = 0; i < n; i++)
        take(s, &messages[i], batch);
    batch->more = n == most || s->lag.records > 0;
    return s->anew ? err_set(err, ERR_LOST, "a partition of a topic begins again") : 0;
}

static void kafka_source_applied(struct source *source)
{
    struct kafka_source *s = of(source);
    struct kafka_place *places = calloc(s->n_places + 1, sizeof *places);
    INVARIANT(places != NULL);
    size_t n = 0;
    for (size_t i = 0; i < s->n_places; i++) {
        if (s->places[i].moved)
            places[n++] = s->places[i].at;
        s->places[i].moved = false;
    }
    if (n > 0)
        kafka_commit_offsets(s->consumer, places, n);
    free(places);
}

/* --- lag ---------------------------------------------------------------------------------------------------- */

static int measure(struct kafka_source *s, struct err *err)
{
    uint64_t records = 0;
    for (size_t i = 0; i < s->n_places; i++) {
        struct place *p = &s->places[i];
        int64_t low, end;
        int r = kafka_watermarks(s->watcher, p->at.topic, p->at.partition, TIMEOUT_MS, &low, &end, err);
        if (r < 0)
            return r;
        int64_t at = p->at.next > low ? p->at.next : low;
        /* Read to its end, a partition still has the transactions' markers behind its last message. */
        int64_t read = kafka_end_read(s->consumer, p->at.topic, p->at.partition);
        if (at < read)
            at = read;
        records += end > at ? (uint64_t)(end - at) : 0;
    }
    s->lag.records = records;
    return 0;
}

/* Behind by messages: what lies between where it reads and the partitions' ends. Markers of transactions count while it
 * is behind. Asked for now and then also when nothing comes: a reader that gets nothing is to show it. */
static int kafka_source_lag(struct source *source, struct source_lag *ret_lag, struct err *err)
{
    struct kafka_source *s = of(source);
    int r = 0;
    int64_t every = s->idle && s->lag.records == 0 ? IDLE_MS : MEASURE_MS;
    if (s->measured_ms == 0 || monotonic_ms() - s->measured_ms >= every) {
        r = measure(s, err);
        s->measured_ms = monotonic_ms();
    }
    s->lag.oldest_at = s->lag.records > 0 ? s->newest_at : 0;
    *ret_lag = s->lag;
    return r;
}

static void kafka_source_wake(struct source *source)
{
    atomic_store(&of(source)->woken, true);
}

static void kafka_source_close(struct source *source)
{
    struct kafka_source *s = of(source);
    kafka_consumer_free(s->consumer);
    kafka_consumer_free(s->watcher);
    free(s->places);
    free(s->facts);
    free(s->parked);
    free(s);
}

int source_kafka_open(const struct kafka_config *config, struct source **ret_source, struct err *err)
{
    static const struct source_ops ops = {.seek = kafka_source_seek,
        .next = kafka_source_next,
        .applied = kafka_source_applied,
        .lag = kafka_source_lag,
        .wake = kafka_source_wake,
        .close = kafka_source_close};
    struct kafka_consumer *consumer, *watcher;
    int r = kafka_consumer_new(config, &consumer, err);
    if (r < 0)
        return r;
    r = kafka_consumer_new(config, &watcher, err);
    if (r < 0) {
        kafka_consumer_free(consumer);
        return r;
    }
    struct kafka_source *s = calloc(1, sizeof *s);
    INVARIANT(s != NULL);
    s->source = (struct source){.ops = &ops, .name = "kafka"};
    s->config = *config;
    s->consumer = consumer;
    s->watcher = watcher;
    *ret_source = &s->source;
    return 0;
}
