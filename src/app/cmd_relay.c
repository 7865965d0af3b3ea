/* `creditledger relay`: what is published and what is not, publishing again, and the topics. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/json_out.h"
#include "app/downstream.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/store.h"
#include "relay/relay.h"

#define TOPICS_MS 30000

struct work {
    const struct options *o;
    bool json;
    struct store store; /* describes only; nothing is opened through it */
    struct downstream downstream;
    struct relay_config config;
};

static int fail(const struct work *w, int code, const struct err *err)
{
    int status = code == ERR_CONFIG                        ? EXIT_USAGE
                 : code == ERR_LOST || code == ERR_CORRUPT ? EXIT_FAULT
                                                           : EXIT_ENVIRONMENT;
    return options_fail(w->o, status, "%s", err->message);
}

/* Exit 1 for a relay that is needed and not there; a backlog of a relay that works is none. */
static int run_status(const struct work *w)
{
    struct arena arena;
    struct relay_ledger *ledgers;
    size_t n = 0;
    char holder[129];
    struct err err = {0};
    arena_init(&arena, 0);
    int rc = relay_status(&w->config, &arena, &ledgers, &n, holder, &err);
    if (rc != 0) {
        arena_fini(&arena);
        return fail(w, rc, &err);
    }
    int64_t now = store_now(NULL);
    uint64_t behind = 0;
    struct strbuf text;
    strbuf_init(&text);
    struct json_out out = {.b = &text};
    out_begin(&out, '{');
    out_c_member(&out, "publishedBy", *holder != '\0' ? holder : NULL);
    out_key(&out, "ledgers");
    out_begin(&out, '[');
    if (!w->json)
        printf("published by %s\n%-32s %14s %14s %12s %10s\n", *holder != '\0' ? holder : "nobody", "ledger",
            "published", "head", "behind", "age");
    for (size_t i = 0; i < n; i++) {
        const struct relay_ledger *l = &ledgers[i];
        uint64_t left = l->head > l->published ? l->head - l->published : 0;
        int64_t age_us = l->oldest_at != 0 && now > l->oldest_at ? now - l->oldest_at : 0;
        behind += left;
        if (!w->json) {
            printf("%-32.*s %14" PRIu64 " %14" PRIu64 " %12" PRIu64 " %8.1f s\n", STR_ARG(l->ledger),
                l->published, l->head, left, (double)age_us / 1e6);
            continue;
        }
        out_begin(&out, '{');
        out_str_member(&out, "ledger", l->ledger);
        out_uint_member(&out, "published", l->published);
        out_uint_member(&out, "head", l->head);
        out_uint_member(&out, "behind", left);
        out_int_member(&out, "ageMs", age_us / 1000);
        out_end(&out, '}');
    }
    out_end(&out, ']');
    out_end(&out, '}');
    if (w->json)
        printf(STR_FMT "\n", STR_ARG(strbuf_view(&text)));
    strbuf_fini(&text);
    arena_fini(&arena);
    return behind > 0 && *holder == '\0' ? EXIT_FAULT : EXIT_OK;
}

static int run_replay(const struct work *w)
{
    const struct options *o = w->o;
    const char *after = options_get(o, "after");
    uint64_t seq, events = 0;
    if (after == NULL || !str_to_uint64(str_of(after), &seq))
        return options_fail(o, EXIT_USAGE,
            "replay needs --after N: the seq behind which to begin; 0 publishes everything again");
    progress_mind_signals();
    struct progress progress;
    struct err err = {0};
    progress_begin(&progress, "publishing", 0, w->json);
    int rc = relay_replay(&w->config, options_get(o, "ledger"), seq, options_get(o, "topic"), progress_step,
        &progress, &events, &err);
    progress_end(&progress);
    if (rc != 0)
        return fail(w, rc, &err);
    printf(w->json ? "{\"events\":%" PRIu64 "}\n" : "%" PRIu64 " events published again\n", events);
    return EXIT_OK;
}

static void show_retention(const struct kafka_topic *topic, int64_t retention_ms)
{
    if (topic->compacted)
        printf("the newest of each key\n");
    else if (retention_ms < 0)
        printf("for ever\n");
    else
        printf("%.4g days\n", (double)retention_ms / 86400000);
}

static int run_topics(const struct work *w)
{
    const struct kafka_config *kafka = w->config.kafka;
    struct err err = {0};
    int rc = kafka_make_topics(kafka, relay_topics, relay_topics_n, TOPICS_MS, &err);
    if (rc == 0 && !w->json)
        printf("%-40s %10s  %s\n", "topic", "partitions", "kept");
    struct strbuf text;
    strbuf_init(&text);
    struct json_out out = {.b = &text};
    out_begin(&out, '[');
    for (size_t i = 0; rc == 0 && i < relay_topics_n; i++) {
        const struct kafka_topic *topic = &relay_topics[i];
        char name[512];
        int partitions = 0;
        int64_t retention_ms = 0;
        snprintf(name, sizeof name, "%s%s", kafka->topic_prefix, topic->name);
        rc = kafka_partitions(kafka, topic->name, TOPICS_MS, &partitions, &err);
        if (rc == 0)
            rc = kafka_retention(kafka, topic->name, TOPICS_MS, &retention_ms, &err);
        if (rc != 0)
            break;
        out_begin(&out, '{');
        out_c_member(&out, "topic", name);
        out_int_member(&out, "partitions", partitions);
        out_bool_member(&out, "compacted", topic->compacted);
        if (!topic->compacted)
            out_int_member(&out, "retentionMs", retention_ms);
        out_end(&out, '}');
        if (!w->json) {
            printf("%-40s %10d  ", name, partitions);
            show_retention(topic, retention_ms);
        }
    }
    out_end(&out, ']');
    if (rc == 0 && w->json)
        printf(STR_FMT "\n", STR_ARG(strbuf_view(&text)));
    strbuf_fini(&text);
    return rc != 0 ? fail(w, rc, &err) : EXIT_OK;
}

static int describe(struct work *w, bool needs_kafka, struct err *err)
{
    const struct options *o = w->o;
    int rc = store_describe(o, &w->store, err);
    if (rc == 0)
        rc = downstream_describe(o, &w->store, &w->downstream, err);
    if (rc == 0 && !w->downstream.has_read)
        return err_set(err, ERR_CONFIG,
            "nothing is published from here: %s is in memory, or --read-database-url is none",
            w->store.shown);
    if (rc == 0 && needs_kafka && !w->downstream.has_kafka)
        return err_set(err, ERR_CONFIG, "which Kafka? --kafka-brokers HOST:PORT names it");
    if (rc != 0)
        return rc;
    w->json = options_flag(o, "json");
    w->config = (struct relay_config){
        .journal_url = w->store.url,
        .journal_options = &w->store.options,
        .read_url = w->downstream.read_url,
        .pooled = w->downstream.pooled,
        .kafka = &w->downstream.kafka,
    };
    return 0;
}

static int run(const struct options *o)
{
    static const struct {
        const char *name;
        int (*run)(const struct work *w);
        bool needs_kafka;
    } verbs[] = {{"status", run_status, false}, {"replay", run_replay, true}, {"topics", run_topics, true}};
    const char *verb = options_positional_at(o, 0);
    struct work w = {.o = o};
    struct err err = {0};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, verb) != 0)
            continue;
        if (describe(&w, verbs[i].needs_kafka, &err) != 0)
            return options_fail(o, EXIT_USAGE, "%s", err.message);
        return verbs[i].run(&w);
    }
    return options_fail(o, EXIT_USAGE, "there is no '%s': use status, replay or topics", verb);
}

static const struct option_spec options[] = {
    STORE_OPTIONS,
    READ_OPTIONS,
    KAFKA_OPTIONS,
    {"after", "N", "replay: publish the records behind this seq; 0: all", NULL, NULL, NULL},
    {"ledger", "NAME", "replay: of this ledger only", NULL, NULL, NULL},
    {"topic", "NAME", "replay: everything to this topic instead of the events' own", NULL, NULL, NULL},
    {"json", NULL, "print JSON", NULL, NULL, NULL},
    {0},
};

const struct command_spec cmd_relay = {
    .name = "relay",
    .summary = "events in Kafka: how far they are published, publishing again, the topics",
    .positional = "status|replay|topics",
    .positional_min = 1,
    .positional_max = 1,
    .details =
        "status   who publishes, and for each ledger the newest published record, the journal's head, and "
        "how\n"
        "         long the oldest unpublished record has waited\n"
        "replay   publishes the events of records behind --after once more, with the header ce_replay: "
        "true.\n"
        "         Ids are those of the first time: consumers drop what they have. To their own topics goes "
        "only\n"
        "         what the relay has published; to another --topic all, up to the journal's head. The relay\n"
        "         may run meanwhile; names and metadata that were erased are not in what is published again\n"
        "topics   makes the topics that are missing, and prints all with partitions and retention\n"
        "\n"
        "The relay itself is a role of 'creditledger serve'. docs/events.md tells more.\n"
        "\n"
        "Exit status: 0 done, 1 records wait and nobody publishes, or journal and topics contradict each\n"
        "other, 2 usage, 3 a database or Kafka is in the way.",
    .options = options,
    .run = run,
};
