#include "base/instant.h"
#include "relay/relay_internal.h"

const struct kafka_topic relay_topics[] = {
    {"ledger.transfer.v1", false, 0},
    {"ledger.entry.v1", false, 0},
    {"ledger.account.v1", false, 0},
    {RELAY_POSITION_TOPIC, true, 1},
};
const size_t relay_topics_n = sizeof relay_topics / sizeof *relay_topics;

static void put(struct relay_message *m, const char *name, struct str value)
{
    INVARIANT_F(m->message.n_headers < RELAY_HEADERS_MAX, "header %s", name);
    m->headers[m->message.n_headers++] = (struct kafka_header){name, value};
}

void relay_message(const struct event *e, bool replay, struct arena *arena, struct relay_message *ret_message)
{
    struct relay_message *m = ret_message;
    char *time = arena_alloc(arena, INSTANT_TEXT_LEN + 1);
    instant_format(e->time, time);
    m->message = (struct kafka_message){
        .topic = event_topic_name(e->topic),
        .key = e->key,
        .value = e->data,
        .timestamp_ms = e->time / 1000,
        .headers = m->headers,
    };
    put(m, "ce_specversion", STR("1.0"));
    put(m, "ce_id", e->id);
    put(m, "ce_source", e->source);
    put(m, "ce_type", str_of(e->type));
    put(m, "ce_subject", e->subject);
    put(m, "ce_time", (struct str){time, INSTANT_TEXT_LEN});
    put(m, "content-type", STR("application/json"));
    if (e->has_traceparent) {
        /* As CloudEvents' extension for tracing has it, and as OpenTelemetry's instrumentations of Kafka look for it. */
        put(m, "ce_traceparent", (struct str){e->traceparent, TRACEPARENT_LEN});
        put(m, "traceparent", (struct str){e->traceparent, TRACEPARENT_LEN});
    }
    if (replay)
        put(m, "ce_replay", STR("true"));
}
