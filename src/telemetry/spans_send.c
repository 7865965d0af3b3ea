/*
 * The thread that sends spans (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"): 429, 502, 503, 504 and connections that
 * fail are tried again with growing pauses, everything else is final. Meanwhile the ring takes what it holds.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "telemetry/log.h"
#include "telemetry/spans_internal.h"

static int64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* No more time to send anything. */
static bool is_over(struct spans *s)
{
    return s->stopping && monotonic_us() >= s->stop_at;
}

/* Until the time has passed, or somebody wakes us. */
static void sleep_ms(struct spans *s, int64_t ms)
{
    int64_t left = s->stopping ? (s->stop_at - monotonic_us()) / 1000 : ms;
    ms = left < ms ? left : ms;
    if (ms > 0)
        (void)curl_multi_poll(s->multi, NULL, 0, (int)ms, NULL);
}

/* --- one request */

enum outcome { TAKEN, AGAIN, REFUSED };

struct reply {
    enum outcome outcome;
    int64_t retry_after_ms; /* 0: it did not say */
    char reason[96];
};

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is libcurl's */
static size_t ignore_body(char *data, size_t size, size_t n, void *ctx)
{
    (void)data;
    (void)ctx;
    return size * n;
}

static void read_reply(struct spans *s, CURLcode code, struct reply *ret_reply)
{
    long status = 0;
    curl_off_t after = 0;
    *ret_reply = (struct reply){.outcome = AGAIN};
    if (code != CURLE_OK) {
        snprintf(ret_reply->reason, sizeof ret_reply->reason, "%s", curl_easy_strerror(code));
        return;
    }
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &after);
    snprintf(ret_reply->reason, sizeof ret_reply->reason, "it answers %ld", status);
    ret_reply->retry_after_ms = after > 0 ? (after < 3600 ? after : 3600) * 1000 : 0;
    if (status >= 200 && status < 300)
        ret_reply->outcome = TAKEN;
    else if (status != 429 && status != 502 && status != 503 && status != 504)
        ret_reply->outcome = REFUSED;
}

/* What curl says of the transfer that ended; CURLE_ABORTED_BY_CALLBACK: the time was over first. */
static CURLcode transfer(struct spans *s)
{
    int running = 1, left;
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    curl_multi_add_handle(s->multi, s->easy);
    while (curl_multi_perform(s->multi, &running) == CURLM_OK && running > 0 && !is_over(s)) {
        int64_t until = s->stopping ? (s->stop_at - monotonic_us()) / 1000 + 1 : 1000;
        (void)curl_multi_poll(s->multi, NULL, 0, (int)(until < 1000 ? until : 1000), NULL);
    }
    for (CURLMsg *m; (m = curl_multi_info_read(s->multi, &left)) != NULL;)
        if (m->msg == CURLMSG_DONE)
            code = m->data.result;
    curl_multi_remove_handle(s->multi, s->easy);
    return code;
}

/* --- one batch */

static void note(struct spans *s, const struct reply *reply)
{
    bool failing = reply->outcome != TAKEN;
    if (failing && !s->failing)
        log_event(LOG_WARNING, "the collector does not take spans", "reason", reply->reason, NULL);
    else if (!failing && s->failing)
        log_event(LOG_INFO, "the collector takes spans again", NULL);
    s->failing = failing;
}

/* Doubled for each try, between half of that and all of it, so that many processes do not come at once. */
static int64_t pause_of(struct spans *s, int tries, int64_t retry_after_ms)
{
    s->jitter ^= s->jitter << 13; /* G. Marsaglia's xorshift64 */
    s->jitter ^= s->jitter >> 7;
    s->jitter ^= s->jitter << 17;
    int64_t pause = (int64_t)SPANS_PAUSE_MS << (tries - 1);
    pause = pause / 2 + (int64_t)(s->jitter % (uint64_t)(pause / 2));
    pause = pause < retry_after_ms ? retry_after_ms : pause;
    return pause < SPANS_PAUSE_MAX_MS ? pause : SPANS_PAUSE_MAX_MS;
}

static void pause_before_retry(struct spans *s, int64_t ms)
{
    int64_t until = monotonic_us() + ms * 1000;
    for (int64_t left; (left = until - monotonic_us()) > 0 && !is_over(s);)
        sleep_ms(s, left / 1000 + 1); /* a batch that is full wakes us too */
}

static bool send_body(struct spans *s)
{
    struct reply reply = {.outcome = AGAIN};
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->body.data);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->body.len);
    for (int tries = 1; reply.outcome == AGAIN && tries <= SPANS_TRIES && !is_over(s); tries++) {
        if (tries > 1)
            pause_before_retry(s, pause_of(s, tries - 1, reply.retry_after_ms));
        if (is_over(s))
            break;
        read_reply(s, transfer(s), &reply);
        if (!is_over(s))
            note(s, &reply);
    }
    return reply.outcome == TAKEN;
}

/* Sends a batch of what waits; false if nothing did. */
static bool send_some(struct spans *s)
{
    size_t n = 0;
    strbuf_clear(&s->body);
    for (const struct span *span; n < SPANS_BATCH && (span = spans_next(s)) != NULL; n++) {
        if (n == 0)
            spans_encode_begin(&s->body, &s->config);
        spans_encode_one(&s->body, span);
        spans_taken(s);
    }
    if (n == 0)
        return false;
    spans_encode_end(&s->body);
    metrics_count(s->metrics, send_body(s) ? METRIC_SPANS_SENT : METRIC_SPANS_DROPPED, n);
    return true;
}

static void *sender_main(void *arg)
{
    struct spans *s = arg;
    for (;;) {
        bool last = s->stopping;
        while (!is_over(s) && send_some(s))
            ;
        if (last)
            break;
        if (!s->stopping) /* who sets it later wakes us */
            sleep_ms(s, SPANS_PERIOD_MS);
    }
    uint64_t lost = 0;
    for (; spans_next(s) != NULL; lost++)
        spans_taken(s);
    metrics_count(s->metrics, METRIC_SPANS_DROPPED, lost);
    return NULL;
}

/* --- life */

static void add_header(struct spans *s, const char *line)
{
    struct curl_slist *more = curl_slist_append(s->headers, line);
    INVARIANT(more != NULL);
    s->headers = more;
}

static void make_headers(struct spans *s)
{
    struct arena *arena = &s->config.arena;
    add_header(s, "Content-Type: application/json");
    add_header(s, "User-Agent: creditledger/" CREDITLEDGER_VERSION);
    add_header(s, "Expect:"); /* no round trip before a large body */
    for (size_t i = 0; i < s->config.n_headers; i++) {
        const struct spans_pair *h = &s->config.headers[i];
        /* An empty value is ';' to curl: it would take the header away. */
        add_header(s, h->value.len > 0
                          ? arena_printf(arena, STR_FMT ": " STR_FMT, STR_ARG(h->key), STR_ARG(h->value)).data
                          : arena_printf(arena, STR_FMT ";", STR_ARG(h->key)).data);
    }
}

static void global_init(void)
{
    INVARIANT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static void make_client(struct spans *s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    s->multi = curl_multi_init();
    s->easy = curl_easy_init();
    INVARIANT(s->multi != NULL && s->easy != NULL);
    make_headers(s);
    curl_easy_setopt(s->easy, CURLOPT_URL, s->config.url);
    curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(s->easy, CURLOPT_TIMEOUT_MS, s->config.timeout_ms);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, ignore_body);
    if (s->config.authorities != NULL)
        curl_easy_setopt(s->easy, CURLOPT_CAINFO, s->config.authorities);
    if (s->config.certificate != NULL)
        curl_easy_setopt(s->easy, CURLOPT_SSLCERT, s->config.certificate);
    if (s->config.key != NULL)
        curl_easy_setopt(s->easy, CURLOPT_SSLKEY, s->config.key);
}

int spans_send_start(struct spans *s, struct err *err)
{
    make_client(s);
    /* Signals are for the main thread, and SIGPIPE for nobody. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&s->thread, NULL, sender_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        s->thread = 0;
        return err_set(err, ERR_IO, "cannot start the thread that sends spans: %s", strerror(r));
    }
    return 0;
}

void spans_send_wake(struct spans *s)
{
    curl_multi_wakeup(s->multi);
}

void spans_send_stop(struct spans *s, int timeout_ms)
{
    if (s->thread != 0) {
        s->stop_at = monotonic_us() + (int64_t)timeout_ms * 1000;
        s->stopping = true;
        spans_send_wake(s);
        pthread_join(s->thread, NULL);
    }
    curl_easy_cleanup(s->easy);
    curl_multi_cleanup(s->multi);
    curl_slist_free_all(s->headers);
}
