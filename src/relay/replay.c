#include <stdlib.h>
#include <string.h>

#include "relay/relay_internal.h"

struct replay {
    const struct relay_config *config;
    struct journal *journal;
    struct kafka_producer *producer;
    struct books books;
    struct assets assets;
    struct arena arena;
    const char *topic;
    uint64_t after, events, done, total;
    journal_progress *progress;
    void *ctx;
};

/*
 * To their own topics only what the relay has published: a later event before its time would be a gap in its account's
 * versions. Other topics have no relay, and get all.
 */
static int find_ends(struct replay *r, struct err *err)
{
    int rc = books_refresh(&r->books, r->journal, err);
    if (rc == 0 && r->topic == NULL) {
        rc = places_from_topic(&r->books, r->config->kafka, err);
        for (size_t i = 0; rc == 0 && i < r->books.n; i++)
            r->books.at[i].head = r->books.at[i].place.seq;
        return rc;
    }
    return rc == 0 ? books_heads(&r->books, r->journal, err) : rc;
}

static int replay_record(
    struct replay *r, const struct ledger_row *ledger, const struct record *record, struct err *err)
{
    size_t events, bytes;
    bool unknown;
    for (int attempt = 0; attempt < 2; attempt++) {
        arena_reset(&r->arena);
        int rc = send_record(r->producer, ledger, record, &r->assets, r->topic, true, &r->arena, &events,
            &bytes, &unknown, err);
        if (rc != 0)
            return rc;
        if (!unknown) {
            r->events += events;
            return 0;
        }
        if (attempt == 0 && (rc = assets_load(&r->assets, r->journal, err)) != 0)
            return rc;
    }
    return err_set(err, ERR_CORRUPT, "ledger %s, seq %llu: an entry's asset is unknown", ledger->name,
        (unsigned long long)record->seq);
}

static int replay_ledger(struct replay *r, const struct book *book, struct err *err)
{
    struct journal_scan *scan;
    if (book->head <= r->after)
        return 0;
    int rc = r->journal->ops->scan_open(r->journal, book->row.id, r->after + 1, true, &scan, err);
    if (rc != 0)
        return rc;
    for (uint64_t seq = r->after; rc == 0 && seq < book->head; seq++) {
        const struct record *record;
        rc = r->journal->ops->scan_next(scan, &record, err);
        if (rc == 0 && (record == NULL || record->seq != seq + 1))
            rc = err_set(
                err, ERR_CORRUPT, "ledger %s: no seq %llu (I1)", book->row.name, (unsigned long long)seq + 1);
        if (rc == 0)
            rc = replay_record(r, &book->row, record, err);
        r->done++;
        if (rc == 0 && r->progress != NULL && !r->progress(r->ctx, r->done, r->total))
            rc = err_set(err, ERR_CANCELLED, "stopped");
    }
    r->journal->ops->scan_close(scan);
    return rc;
}

static int replay_all(struct replay *r, const char *ledger, struct err *err)
{
    bool found = ledger == NULL;
    for (size_t i = 0; i < r->books.n; i++) {
        struct book *book = &r->books.at[i];
        if (ledger != NULL && strcmp(ledger, book->row.name) != 0)
            book->head = 0;
        else
            found = true;
        if (book->head > r->after)
            r->total += book->head - r->after;
    }
    if (!found)
        return err_set(err, ERR_CONFIG, "there is no ledger '%s'", ledger);
    int rc = kafka_begin(r->producer, err);
    for (size_t i = 0; rc == 0 && i < r->books.n; i++)
        rc = replay_ledger(r, &r->books.at[i], err);
    return rc == 0 ? kafka_commit(r->producer, 6 * RELAY_COMMIT_MS, err) : rc;
}

int relay_replay(const struct relay_config *config, const char *ledger, uint64_t after, const char *topic,
    journal_progress *progress, void *ctx, uint64_t *ret_events, struct err *err)
{
    /* Not the relay's transactional id: that would fence it. What is sent is seen at once. */
    struct kafka_config kafka = *config->kafka;
    kafka.transactional = NULL;
    struct journal_options options = *config->journal_options;
    options.mode = JOURNAL_READ;
    options.create = false;
    struct replay r = {.config = config, .topic = topic, .after = after, .progress = progress, .ctx = ctx};
    arena_init(&r.arena, 65536);
    int partitions = 0;
    int rc = journal_open(config->journal_url, &options, &r.journal, err);
    if (rc == 0 && topic != NULL) {
        rc = kafka_partitions(&kafka, topic, RELAY_TOPICS_MS, &partitions, err);
        if (rc == 0 && partitions == 0)
            rc = err_set(err, ERR_CONFIG,
                "there is no topic %s%s: make it first, with the partitions it is to have",
                kafka.topic_prefix != NULL ? kafka.topic_prefix : "", topic);
    }
    if (rc == 0)
        rc = find_ends(&r, err);
    if (rc == 0)
        rc = assets_load(&r.assets, r.journal, err);
    if (rc == 0)
        rc = kafka_producer_new(&kafka, RELAY_TAKE_OVER_MS, &r.producer, err);
    if (rc == 0)
        rc = replay_all(&r, ledger, err);
    kafka_producer_free(r.producer);
    books_fini(&r.books);
    assets_fini(&r.assets);
    arena_fini(&r.arena);
    journal_close(r.journal);
    *ret_events = r.events;
    return rc;
}
