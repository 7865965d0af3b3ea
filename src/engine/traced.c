/*
 * Spans of what the engine did (telemetry/spans.h): how long commands waited, how long they took to decide, and the commit of
 * each record, whose span id is in the record's id so that relay and projector know it.
 */
#include <string.h>

#include "engine/engine_internal.h"
#include "telemetry/spans.h"

void traced_decided(struct engine *e, const struct batch_input *input)
{
    if (e->config.spans == NULL)
        return;
    int64_t now = e->config.now(e->config.environment);
    for (struct submission *s = input->first; s != NULL; s = s->next)
        s->decided_at = now;
}

static struct span begin(const struct command *command, const char *name, int64_t began, int64_t ended)
{
    struct span span = {.name = name, .kind = SPAN_INTERNAL, .began_us = began, .ended_us = ended};
    memcpy(span.trace_id, command->trace_id, sizeof span.trace_id);
    memcpy(span.parent_id, command->trace_parent, sizeof span.parent_id);
    return span;
}

static void record_stage(
    struct engine *e, const struct submission *s, const char *name, int64_t began, int64_t ended)
{
    struct span span = begin(&s->commands[0], name, began, ended);
    spans_span_id(e->config.spans, span.span_id);
    span_int(&span, "creditledger.commands", (int64_t)s->n);
    spans_record(e->config.spans, &span);
}

struct append {
    int64_t began, ended;
    size_t commands;
};

static void record_commit(
    struct engine *e, const struct command *command, const struct append *append, const struct record *record)
{
    struct span span = begin(command, "commit", append->began, append->ended);
    if (record != NULL) {
        memcpy(span.span_id, record->id.bytes + 8, sizeof span.span_id);
        span_text(&span, "creditledger.ledger", command->ledger);
        span_int(&span, "creditledger.seq", (int64_t)record->seq);
    } else {
        spans_span_id(e->config.spans, span.span_id);
        span.failed = true;
    }
    span_int(&span, "creditledger.batch", (int64_t)append->commands);
    spans_record(e->config.spans, &span);
}

/* The batch's records are those of the commands in their order; before a command's own are the openings of @world that
 * it caused. */
static void record_commits(struct engine *e, const struct batch *b, const struct submission *s,
    const struct append *append, size_t *next)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct command *command = &s->commands[i];
        const struct answer *answer = &s->answers[i];
        if (answer->record == NULL || answer->replayed || answer->dry_run)
            continue;
        for (bool own = false; !own && *next < b->n_records; ++*next) {
            own = b->records[*next] == answer->record;
            if (command->trace_sampled)
                record_commit(e, command, append, b->records[*next]);
        }
    }
}

void traced_batch(struct engine *e, const struct batch *b, const struct batch_input *input, int r)
{
    if (e->config.spans == NULL)
        return;
    struct append append = {e->append_began, e->config.now(e->config.environment), input->n_commands};
    size_t next = 0;
    for (const struct submission *s = input->first; s != NULL; s = s->next) {
        if (s->commands[0].trace_sampled) {
            record_stage(e, s, "queue", s->queued_at, s->taken_at);
            record_stage(e, s, "decide", s->taken_at, s->decided_at);
            if (r < 0 && append.began >= s->taken_at) /* else it did not come that far */
                record_commit(e, &s->commands[0], &append, NULL);
        }
        if (r == 0)
            record_commits(e, b, s, &append, &next);
    }
}
