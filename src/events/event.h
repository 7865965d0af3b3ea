/*
 * Records of the journal as events: CloudEvents 1.0 (github.com/cloudevents/spec, v1.0.2). Every record is
 * one or more events, in a fixed order: first the one of the record itself, then one for each of its entries,
 * in leg order.
 *
 *   ledger.transfer.posted.v1, .reversed.v1, .declined.v1   key: the record's id
 *   ledger.account.opened.v1, .revised.v1                   key: the account's id
 *   ledger.entry.posted.v1                                  key: the account's id; every entry, those of
 * openings, revisions, declines and erasures too, because they take a version: per key the versions have no
 * gap (I12)
 *
 * Ids are `<ledger>:<seq>` and `<ledger>:<seq>:<leg>`: the same record gives the same ids for ever. An
 * erasure has the event of its entry only, with kind `erasure` and the seq whose text went. The journal is
 * the outbox: events are not stored, they are encoded from records when asked for. Pure.
 */
#ifndef CREDITLEDGER_EVENTS_EVENT_H
#define CREDITLEDGER_EVENTS_EVENT_H

#include "base/arena.h"
#include "ledger/record.h"
#include "money/asset.h"
#include "telemetry/trace.h"

enum event_topic { EVENT_TOPIC_TRANSFER, EVENT_TOPIC_ENTRY, EVENT_TOPIC_ACCOUNT };

struct event_source {
    struct str ledger; /* its name */
    /* With its text if names and metadata are to be in the data; what is unreadable or erased becomes null.
     */
    const struct record *record;
    const struct asset *const *assets; /* one an entry: the entry's */
};

struct event {
    enum event_topic topic;
    const char *type;
    struct str id;
    struct str key;     /* partition key: order holds per key */
    struct str subject; /* the transfer or account it is about */
    struct str source;  /* "/ledgers/<ledger>"; source and id together are unique */
    int64_t time;       /* recorded_at */
    bool has_traceparent;
    char traceparent[TRACEPARENT_LEN + 1];
    struct str data; /* a JSON object */
};

const char *event_topic_name(enum event_topic topic); /* "ledger.transfer.v1" */

/* How many events a record is; at least 1. Every event's data says it, so that who gathers them knows when they are all. */
size_t event_count(const struct record *record);
/* Which of them is that of leg 0: 1, or 0 for kinds that are told by their entries alone. */
size_t event_first_entry(enum record_kind kind);
/* The other leg of the pair, in which value went over; NULL if there is none (openings, declines, erasures ...). */
const struct entry *event_counterparty(const struct record *record, uint32_t leg);
/* The n-th of them, n < event_count(); its text lives in the arena. */
void event_at(const struct event_source *source, size_t n, struct arena *arena, struct event *ret_event);
/* Appends the event as one JSON object (CloudEvents JSON format: attributes, then `data`). */
void event_json(const struct event *event, struct strbuf *b);

#endif
