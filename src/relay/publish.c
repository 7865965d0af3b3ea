#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay/relay_internal.h"

#define TRACES_MAX 256 /* spans of one batch; the records of others are published all the same */

struct publisher {
    struct publisher_config config;
    struct kafka_producer *producer;
    struct assets assets;
    struct arena arena;
    size_t turn; /* the ledger that is first in the next batch: none waits for ever behind a busy one */
    /* the batch at hand */
    size_t records, bytes, events;
    struct place *reached; /* by ledger, as books */
    size_t n_reached;
    int64_t oldest;
    struct trace_context traces[TRACES_MAX];
    struct {
        uint64_t seq;
        size_t book;
    } traced[TRACES_MAX];
    size_t n_traces;
};

int64_t relay_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t relay_monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- assets --------------------------------------------------------------------------------------------------- */

static int add_asset(void *ctx, const struct asset *row)
{
    struct assets *assets = ctx;
    if (row->id > assets->cap) {
        size_t cap = assets->cap > 0 ? assets->cap : 64;
        while (cap < row->id)
            cap *= 2;
        assets->rows = realloc(assets->rows, cap * sizeof *assets->rows);
        INVARIANT(assets->rows != NULL);
        memset(assets->rows + assets->cap, 0, (cap - assets->cap) * sizeof *assets->rows);
        assets->cap = cap;
    }
    INVARIANT_F(row->id >= 1, "asset %u", row->id);
    assets->rows[row->id - 1] = *row;
    assets->n = row->id > assets->n ? row->id : assets->n;
    return 0;
}

int assets_load(struct assets *assets, struct journal *journal, struct err *err)
{
    return journal->ops->assets(journal, add_asset, assets, err);
}

void assets_fini(struct assets *assets)
{
    free(assets->rows);
    *assets = (struct assets){0};
}

static const struct asset *find_asset(const struct assets *assets, uint32_t id)
{
    return id >= 1 && id <= assets->n && assets->rows[id - 1].id == id ? &assets->rows[id - 1] : NULL;
}

/* --- one record ----------------------------------------------------------------------------------------------- */

int send_record(struct kafka_producer *producer, const struct ledger_row *ledger, const struct record *record,
    const struct assets *assets, const char *topic, bool replay, struct arena *arena, size_t *ret_events,
    size_t *ret_bytes, bool *ret_unknown, struct err *err)
{
    const struct asset **of_entries = ARENA_ARRAY(arena, const struct asset *, record->n_entries + 1);
    *ret_unknown = false;
    *ret_events = *ret_bytes = 0;
    for (size_t i = 0; i < record->n_entries; i++) {
        of_entries[i] = find_asset(assets, record->entries[i].asset);
        if (of_entries[i] == NULL) {
            *ret_unknown = true;
            return 0;
        }
    }
    struct event_source source = {.ledger = str_of(ledger->name), .record = record, .assets = of_entries};
    size_t n = event_count(record);
    for (size_t i = 0; i < n; i++) {
        struct event event;
        struct relay_message m;
        event_at(&source, i, arena, &event);
        relay_message(&event, replay, arena, &m);
        if (topic != NULL)
            m.message.topic = topic;
        int rc = kafka_send(producer, &m.message, err);
        if (rc != 0)
            return rc;
        *ret_bytes += event.data.len;
    }
    *ret_events = n;
    return 0;
}

/* --- opening -------------------------------------------------------------------------------------------------- */

int publisher_open(const struct publisher_config *config, struct publisher **ret_publisher, struct err *err)
{
    struct publisher *p = calloc(1, sizeof *p);
    INVARIANT(p != NULL);
    p->config = *config;
    arena_init(&p->arena, 65536);
    int rc = kafka_make_topics(config->kafka, relay_topics, relay_topics_n, RELAY_TOPICS_MS, err);
    if (rc == 0)
        rc = kafka_producer_new(config->kafka, RELAY_TAKE_OVER_MS, &p->producer, err);
    /* Only now: whoever published before can no more. */
    if (rc == 0)
        rc = places_from_topic(config->books, config->kafka, err);
    if (rc == 0)
        rc = assets_load(&p->assets, config->journal, err);
    if (rc != 0) {
        publisher_close(p);
        return rc;
    }
    *ret_publisher = p;
    return 0;
}

void publisher_close(struct publisher *p)
{
    if (p == NULL)
        return;
    kafka_producer_free(p->producer);
    assets_fini(&p->assets);
    arena_fini(&p->arena);
    free(p->reached);
    free(p);
}

/* --- one batch ------------------------------------------------------------------------------------------------ */

static bool full(const struct publisher *p)
{
    return p->records >= RELAY_BATCH_RECORDS || p->bytes >= RELAY_BATCH_BYTES;
}

static void remember_trace(struct publisher *p, size_t book, const struct record *r)
{
    if (!r->has_trace || p->config.spans == NULL || p->n_traces == TRACES_MAX ||
        !spans_sampled_record(p->config.spans, r->trace_id, r->id.bytes))
        return;
    struct trace_context *trace = &p->traces[p->n_traces];
    memcpy(trace->trace_id, r->trace_id, sizeof trace->trace_id);
    memcpy(trace->parent_id, r->id.bytes + 8, sizeof trace->parent_id);
    p->traced[p->n_traces].seq = r->seq;
    p->traced[p->n_traces++].book = book;
}

/* The record at the place is read once more: if it is not what was published, the journal lost it (a restored backup,
 * a failover to a replica that lagged), and what follows it follows something else. */
static int check_place(const struct book *book, const struct record *record, struct err *err)
{
    if (record != NULL && record->seq == book->place.seq &&
        memcmp(record->hash, book->place.hash, HASH_LEN) == 0)
        return 0;
    return err_set(err, ERR_LOST,
        "ledger %s is published up to seq %llu, and the journal %s: it has lost records, or these topics are "
        "another "
        "journal's",
        book->row.name, (unsigned long long)book->place.seq,
        record == NULL ? "ends before it" : "has another record there");
}

static int send_ledger(
    struct publisher *p, size_t index, struct journal_scan *scan, bool *ret_more, struct err *err)
{
    const struct journal_ops *ops = p->config.journal->ops;
    const struct book *book = &p->config.books->at[index];
    struct place *reached = &p->reached[index];
    const struct record *record;
    int rc = 0;
    if (book->place.seq > 0) {
        rc = ops->scan_next(scan, &record, err);
        if (rc == 0)
            rc = check_place(book, record, err);
    }
    while (rc == 0) {
        rc = ops->scan_next(scan, &record, err);
        if (rc != 0 || record == NULL)
            break;
        if (full(p)) {
            *ret_more = true;
            break;
        }
        if (record->seq != reached->seq + 1)
            return err_set(err, ERR_CORRUPT, "ledger %s: seq %llu follows %llu (I1)", book->row.name,
                (unsigned long long)record->seq, (unsigned long long)reached->seq);
        if (reached->seq == book->place.seq && (p->oldest == 0 || record->recorded_at < p->oldest)) {
            p->oldest = record->recorded_at;
            metrics_oldest(p->config.metrics, METRIC_OUTBOX_OLDEST, p->oldest);
        }
        size_t events, bytes;
        bool unknown;
        arena_reset(&p->arena);
        rc = send_record(p->producer, &book->row, record, &p->assets, NULL, false, &p->arena, &events, &bytes,
            &unknown, err);
        if (rc != 0)
            break;
        if (unknown) { /* declared since; the next batch knows it */
            *ret_more = true;
            return assets_load(&p->assets, p->config.journal, err);
        }
        *reached = (struct place){.seq = record->seq, .recorded_at = record->recorded_at};
        memcpy(reached->hash, record->hash, HASH_LEN);
        remember_trace(p, index, record);
        p->records++;
        p->bytes += bytes;
        p->events += events;
    }
    return rc;
}

static int scan_ledger(struct publisher *p, size_t index, bool *ret_more, struct err *err)
{
    struct journal *j = p->config.journal;
    const struct book *book = &p->config.books->at[index];
    struct journal_scan *scan;
    uint64_t from = book->place.seq > 0 ? book->place.seq : 1;
    int rc = j->ops->scan_open(j, book->row.id, from, true, &scan, err);
    if (rc != 0)
        return rc;
    bool more = false;
    rc = send_ledger(p, index, scan, &more, err);
    j->ops->scan_close(scan);
    *ret_more = *ret_more || more;
    return rc;
}

static int send_positions(struct publisher *p, struct err *err)
{
    struct strbuf value;
    int rc = 0;
    strbuf_init(&value);
    for (size_t i = 0; rc == 0 && i < p->n_reached; i++) {
        const struct book *book = &p->config.books->at[i];
        if (p->reached[i].seq == book->place.seq)
            continue;
        strbuf_clear(&value);
        place_format(&p->reached[i], &value);
        struct kafka_message m = {
            .topic = RELAY_POSITION_TOPIC,
            .key = str_of(book->row.name),
            .value = strbuf_view(&value),
            .timestamp_ms = relay_now_us() / 1000,
        };
        rc = kafka_send(p->producer, &m, err);
    }
    strbuf_fini(&value);
    return rc;
}

static void record_spans(struct publisher *p, int64_t began_us)
{
    int64_t ended_us = relay_now_us();
    for (size_t i = 0; i < p->n_traces; i++) {
        struct span span = {
            .name = "publish", .kind = SPAN_PRODUCER, .began_us = began_us, .ended_us = ended_us};
        memcpy(span.trace_id, p->traces[i].trace_id, sizeof span.trace_id);
        memcpy(span.parent_id, p->traces[i].parent_id, sizeof span.parent_id);
        spans_span_id(p->config.spans, span.span_id);
        span_text(&span, "messaging.system", STR("kafka"));
        span_text(&span, "creditledger.ledger", str_of(p->config.books->at[p->traced[i].book].row.name));
        span_int(&span, "creditledger.seq", (int64_t)p->traced[i].seq);
        span_int(&span, "messaging.batch.message_count", (int64_t)p->events);
        spans_record(p->config.spans, &span);
    }
}

/* All of it is in Kafka. */
static void advance(struct publisher *p)
{
    struct books *books = p->config.books;
    for (size_t i = 0; i < p->n_reached; i++)
        if (p->reached[i].seq != books->at[i].place.seq) {
            books->at[i].place = p->reached[i];
            books->at[i].cursor_due = true;
            metrics_ledger_seq(
                p->config.metrics, METRIC_LEDGER_PUBLISHED, str_of(books->at[i].row.name), p->reached[i].seq);
        }
}

static void begin_batch(struct publisher *p)
{
    const struct books *books = p->config.books;
    if (p->n_reached < books->n) {
        p->reached = realloc(p->reached, books->n * sizeof *p->reached);
        INVARIANT(p->reached != NULL);
    }
    p->n_reached = books->n;
    for (size_t i = 0; i < books->n; i++)
        p->reached[i] = books->at[i].place;
    p->records = p->bytes = p->events = p->n_traces = 0;
    p->oldest = 0;
}

static int fill_batch(struct publisher *p, bool *ret_more, struct err *err)
{
    const struct books *books = p->config.books;
    size_t first = p->turn;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < books->n; k++) {
        size_t index = (first + k) % books->n;
        const struct book *book = &books->at[index];
        if (book->head < book->place.seq)
            return check_place(book, NULL, err);
        if (book->head == book->place.seq)
            continue;
        if (full(p)) {
            *ret_more = true;
            break;
        }
        rc = scan_ledger(p, index, ret_more, err);
        p->turn = index + 1;
    }
    return rc;
}

int publish_batch(struct publisher *p, bool *ret_more, struct err *err)
{
    int64_t began_us = relay_now_us(), clock = relay_monotonic_us();
    *ret_more = false;
    begin_batch(p);
    int rc = kafka_begin(p->producer, err);
    if (rc == 0)
        rc = fill_batch(p, ret_more, err);
    if (rc == 0 && p->records > 0)
        rc = send_positions(p, err);
    if (rc != 0)
        return rc;
    rc = p->records > 0 ? kafka_commit(p->producer, RELAY_COMMIT_MS, err)
                        : kafka_abort(p->producer, RELAY_COMMIT_MS, err);
    if (rc != 0 || p->records == 0)
        return rc;
    advance(p);
    metrics_count(p->config.metrics, METRIC_RELAY_EVENTS, p->events);
    metrics_count(p->config.metrics, METRIC_RELAY_BATCHES, 1);
    metrics_observe(p->config.metrics, METRIC_RELAY_PUBLISH, (uint64_t)(relay_monotonic_us() - clock));
    record_spans(p, began_us);
    return 0;
}
