/*
 * The private shape of spans.
 *
 *   spans.c         the ring, ids, sampling
 *   spans_config.c  the environment
 *   spans_encode.c  OTLP's JSON encoding; pure
 *   spans_send.c    the thread that sends, and HTTP
 *
 * The ring is D. Vyukov's bounded queue: a slot's turn says whose it is, so recorders on any thread and the one sender never
 * wait for each other. Full is full: the newest is dropped.
 */
#ifndef CREDITLEDGER_TELEMETRY_SPANS_INTERNAL_H
#define CREDITLEDGER_TELEMETRY_SPANS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <curl/curl.h>

#include "base/arena.h"
#include "telemetry/metrics.h"
#include "telemetry/spans.h"

#define SPANS_BATCH 512          /* of one request */
#define SPANS_PERIOD_MS 500      /* what waits is sent that often, or when there is a batch of it */
#define SPANS_TRIES 5            /* of one request; then its spans are dropped */
#define SPANS_PAUSE_MS 500       /* before the second try; doubled for each further one, jittered */
#define SPANS_PAUSE_MAX_MS 30000 /* whatever Retry-After says */
#define SPANS_TIMEOUT_MS 10000   /* of a try: the specification's default */
#define SPANS_HEADERS_MAX 32
#define SPANS_RESOURCE_MAX 64

struct spans_pair {
    struct str key, value;
};

enum spans_root { ROOT_ALWAYS, ROOT_NEVER, ROOT_RATIO };

struct spans_config {
    struct arena arena; /* of all the texts */
    const char *url;    /* NULL: there are to be no spans */
    struct spans_pair headers[SPANS_HEADERS_MAX], resource[SPANS_RESOURCE_MAX];
    size_t n_headers, n_resource;
    const char *authorities, *certificate, *key; /* files; NULL: the system's, none */
    long timeout_ms;
    bool parent_based; /* a parent's flag decides, if there is a parent */
    enum spans_root root;
    uint64_t threshold; /* ROOT_RATIO: ids whose last eight bytes are below it */
};

struct spans_slot {
    _Atomic uint64_t turn; /* its position: free for it; one more: filled */
    struct span span;
};

struct spans {
    struct spans_config config;
    struct metrics *metrics;
    uint64_t seeds[2];
    _Atomic uint64_t ids;

    struct spans_slot *slots;   /* SPANS_RING */
    _Atomic uint64_t head;      /* where the next is recorded */
    _Alignas(64) uint64_t tail; /* the sender's: where the next is read */

    /* The sender's. */
    pthread_t thread;
    CURLM *multi; /* curl_multi_wakeup() may come from any thread */
    CURL *easy;
    struct curl_slist *headers;
    struct strbuf body;
    uint64_t jitter;
    bool failing; /* the last request was not taken; the log was told */
    _Atomic bool stopping;
    _Atomic int64_t stop_at; /* monotonic microseconds */
};

/* --- spans_config.c */

/* Reads the environment; to be given back with spans_config_fini() whatever it returns. */
MUST_CHECK int spans_config_read(const char *role, struct spans_config *ret_config, struct err *err);
void spans_config_fini(struct spans_config *config);

/* --- spans_encode.c: an ExportTraceServiceRequest, in this order */

void spans_encode_begin(struct strbuf *b, const struct spans_config *config);
void spans_encode_one(struct strbuf *b, const struct span *span);
void spans_encode_end(struct strbuf *b);

/* --- spans.c */

/* The next span that was recorded, to be given back with spans_taken(); NULL: none. The sender's. */
const struct span *spans_next(struct spans *spans);
void spans_taken(struct spans *spans);

/* --- spans_send.c */

MUST_CHECK int spans_send_start(struct spans *spans, struct err *err);
void spans_send_stop(struct spans *spans, int timeout_ms);
void spans_send_wake(struct spans *spans);

#endif
