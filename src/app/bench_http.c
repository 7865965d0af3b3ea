/*
 * The three phases over HTTP: open the accounts, move money, look every acknowledged transfer up again.
 * Requests are one template each, in which only texts of fixed width change, so Content-Length never does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench.h"
#include "app/progress.h"

#define PIPELINE_DEPTH 16
#define BUSY_CONNECTIONS 64 /* opening and looking up use at least so many, to be done soon */

struct template
{
    struct strbuf bytes;
    size_t from, to, key, reference; /* where the changing texts are */
};

struct http_bench {
    const struct bench_plan *plan;
    struct bench_results *results;
    struct bench_target target;
    struct bench_client *client;
    struct progress progress;
    struct template element;        /* one transfer's JSON */
    struct strbuf head;             /* of a transfer or bulk request */
    uint64_t random, next_n, begun; /* transfers begun */
    int64_t until_us;
    uint64_t *retry; /* opening: accounts whose answer was lost */
    size_t n_retry, opened;
    size_t looking, n_lookups;
    struct err fault; /* the first thing that must not happen */
};

static size_t busy_connections(const struct bench_plan *plan)
{
    return plan->connections > BUSY_CONNECTIONS ? plan->connections : BUSY_CONNECTIONS;
}

/* ---- opening ---- */

static void post_head(const struct http_bench *b, struct strbuf *out, const char *path, size_t length)
{
    strbuf_printf(out,
        "POST %s%s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
        b->target.base, path, b->target.authority, b->target.authorization, length);
}

static bool open_next(void *ctx, struct strbuf *request, uint64_t *ret_n, int64_t now_us)
{
    (void)now_us;
    struct http_bench *b = ctx;
    if (b->fault.code != 0 || (b->n_retry == 0 && b->next_n == b->plan->accounts))
        return false;
    uint64_t n = b->n_retry > 0 ? b->retry[--b->n_retry] : b->next_n++;
    char key[BENCH_KEY_LEN], body[256];
    bench_key(b->plan->opened_by, BENCH_ACCOUNT, n, key);
    int len = snprintf(body, sizeof body,
        "{\"currency\":\"" BENCH_CURRENCY
        "\",\"minBalance\":null,\"externalId\":\"%.*s\",\"idempotencyKey\":\"%.*s\"}",
        BENCH_KEY_LEN, key, BENCH_KEY_LEN, key);
    post_head(b, request, "/accounts", (size_t)len);
    strbuf_add(request, body, (size_t)len);
    *ret_n = n;
    return true;
}

static const char *find(struct str text, struct str part)
{
    return text.data != NULL ? memmem(text.data, text.len, part.data, part.len) : NULL;
}

/* The id that follows "name":" in the text. */
static bool find_id(struct str text, struct str name, struct uuid *ret_id)
{
    const char *at = find(text, name);
    if (at == NULL || (size_t)(text.data + text.len - at) < name.len + UUID_TEXT_LEN)
        return false;
    return uuid_parse((struct str){at + name.len, UUID_TEXT_LEN}, ret_id);
}

static void open_answered(void *ctx, struct bench_mark mark, int status, struct str body, int64_t now_us)
{
    (void)now_us;
    struct http_bench *b = ctx;
    if (b->fault.code != 0)
        return;
    if (status == 503) {
        b->retry[b->n_retry++] = mark.n;
        return;
    }
    if (status != 201 || !find_id(body, STR("\"accountId\":\""), &b->results->accounts[mark.n])) {
        err_set(&b->fault, ERR_IO, "POST /accounts answered %d: %.*s", status,
            (int)(body.len < 300 ? body.len : 300), body.len > 0 ? body.data : "");
        return;
    }
    progress_at(&b->progress, ++b->opened);
}

static void open_lost(void *ctx, struct bench_mark mark)
{
    struct http_bench *b = ctx;
    b->retry[b->n_retry++] = mark.n;
}

static int open_accounts(struct http_bench *b, struct err *err)
{
    struct bench_driver driver = {.ctx = b,
        .next = open_next,
        .answered = open_answered,
        .lost = open_lost,
        .connections = busy_connections(b->plan),
        .depth = PIPELINE_DEPTH};
    int64_t from_us = bench_now_us();
    int rc = 0;
    b->retry = calloc(b->plan->accounts, sizeof *b->retry);
    INVARIANT(b->retry != NULL);
    progress_begin(&b->progress, "opening accounts", b->plan->accounts, b->plan->quiet);
    /* What was lost or refused for lack of room last is sent again; the keys make that safe. */
    do
        rc = bench_client_run(b->client, &driver, err);
    while (rc == 0 && b->fault.code == 0 && b->n_retry > 0);
    progress_end(&b->progress);
    free(b->retry);
    b->results->open_seconds = (double)(bench_now_us() - from_us) / 1e6;
    if (rc == 0 && b->fault.code != 0)
        rc = err_set(err, b->fault.code, "%s", b->fault.message);
    return rc;
}

/* ---- transfers ---- */

static size_t place(struct strbuf *b, const char *before, size_t width)
{
    strbuf_c(b, before);
    size_t at = b->len;
    for (size_t i = 0; i < width; i++)
        strbuf_char(b, '0');
    return at;
}

static void make_templates(struct http_bench *b)
{
    struct template *t = &b->element;
    size_t bulk = b->plan->bulk;
    t->from = place(&t->bytes, "{\"from\":\"", UUID_TEXT_LEN);
    t->to = place(&t->bytes, "\",\"to\":\"", UUID_TEXT_LEN);
    strbuf_printf(&t->bytes, "\",\"amount\":%d,\"currency\":\"" BENCH_CURRENCY "\",\"idempotencyKey\":\"",
        BENCH_AMOUNT);
    t->key = place(&t->bytes, "", BENCH_KEY_LEN);
    t->reference = place(&t->bytes, "\",\"reference\":\"order-", BENCH_KEY_DIGITS);
    strbuf_c(&t->bytes, "\",\"metadata\":{\"channel\":\"web\",\"order\":\"2718281828\"}}");
    if (bulk <= 1)
        post_head(b, &b->head, "/transfers", t->bytes.len);
    else
        post_head(b, &b->head, "/transfers/batch", bulk * (t->bytes.len + 1) + 1);
}

static void put_transfer(struct http_bench *b, struct strbuf *out, uint64_t n)
{
    const struct template *t = &b->element;
    size_t from, to;
    char id[UUID_TEXT_LEN + 1], key[BENCH_KEY_LEN];
    bench_pick(b->plan, &b->random, n, &from, &to);
    strbuf_add(out, t->bytes.data, t->bytes.len);
    char *at = out->data + out->len - t->bytes.len;
    uuid_format(b->results->accounts[from], id);
    memcpy(at + t->from, id, UUID_TEXT_LEN);
    uuid_format(b->results->accounts[to], id);
    memcpy(at + t->to, id, UUID_TEXT_LEN);
    bench_key(b->plan->run, BENCH_TRANSFER, n, key);
    memcpy(at + t->key, key, BENCH_KEY_LEN);
    memcpy(at + t->reference, key + BENCH_KEY_LEN - BENCH_KEY_DIGITS, BENCH_KEY_DIGITS);
}

static bool load_next(void *ctx, struct strbuf *request, uint64_t *ret_n, int64_t now_us)
{
    struct http_bench *b = ctx;
    const struct bench_plan *plan = b->plan;
    if (plan->requests > 0 ? b->results->sent >= (uint64_t)plan->requests : now_us >= b->until_us)
        return false;
    b->results->sent++;
    *ret_n = b->begun;
    strbuf_add(request, b->head.data, b->head.len);
    for (size_t i = 0; plan->bulk > 1 && i < plan->bulk; i++) {
        strbuf_char(request, i == 0 ? '[' : ',');
        put_transfer(b, request, b->begun++);
    }
    if (plan->bulk > 1)
        strbuf_char(request, ']');
    else
        put_transfer(b, request, b->begun++);
    return true;
}

static void count_answer(struct http_bench *b, int status, struct str transfer, uint64_t n)
{
    struct uuid id;
    b->results->answers[status >= 0 && status < 600 ? status : 0]++;
    if (status != 201)
        return;
    if (find_id(transfer, STR("\"transferId\":\""), &id))
        bench_ack(b->results, id, n);
    else
        b->results->missing++; /* acknowledged without saying what: as bad as lost */
}

/* Behind the `{"status":` that begins the next element; a transfer's own status is no number. */
static const char *next_element(struct str text)
{
    struct str mark = STR("{\"status\":");
    const char *at;
    while ((at = find(text, mark)) != NULL) {
        size_t used = (size_t)(at - text.data) + mark.len;
        text = (struct str){text.data + used, text.len - used};
        if (text.len > 3 && text.data[0] >= '1' && text.data[0] <= '5')
            return text.data;
    }
    return NULL;
}

/* {"results":[{"status":201,...},...]} */
static void count_bulk(struct http_bench *b, struct str body, uint64_t n)
{
    const char *end = body.data + body.len, *at = next_element(body);
    size_t found = 0;
    for (; at != NULL && found < b->plan->bulk; found++) {
        const char *next = next_element((struct str){at, (size_t)(end - at)});
        int status = (at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0');
        count_answer(b, status, (struct str){at, (size_t)((next != NULL ? next : end) - at)}, n + found);
        at = next;
    }
    b->results->answers[0] += b->plan->bulk - found;
}

static void load_answered(void *ctx, struct bench_mark mark, int status, struct str body, int64_t now_us)
{
    struct http_bench *b = ctx;
    histogram_add(&b->results->latency, (uint64_t)(now_us - mark.started_us));
    if (b->plan->bulk <= 1)
        count_answer(b, status, body, mark.n);
    else if (status == 200)
        count_bulk(b, body, mark.n);
    else
        b->results->answers[status >= 0 && status < 600 ? status : 0] += b->plan->bulk;
    progress_at(&b->progress, b->results->n_acked);
}

static void load_lost(void *ctx, struct bench_mark mark)
{
    (void)mark;
    struct http_bench *b = ctx;
    b->results->lost += b->plan->bulk > 1 ? b->plan->bulk : 1;
}

/* Several processes begin together: this one is ready, and whoever started them says when. */
static void wait_for_others(void)
{
    int c;
    fputs("ready\n", stderr);
    do
        c = getchar();
    while (c != EOF && c != '\n');
}

static int load(struct http_bench *b, struct err *err)
{
    const struct bench_plan *plan = b->plan;
    struct bench_driver driver = {.ctx = b,
        .next = load_next,
        .answered = load_answered,
        .lost = load_lost,
        .connections = plan->connections,
        .depth = 1,
        .think_us = plan->think_us,
        .rate = plan->rate};
    if (plan->wait)
        wait_for_others();
    int64_t from_us = bench_now_us();
    b->until_us = from_us + plan->seconds * 1000000;
    b->random = 0x9e3779b97f4a7c15u;
    make_templates(b);
    progress_begin(&b->progress, "transfers", 0, plan->quiet);
    int rc = bench_client_run(b->client, &driver, err);
    progress_end(&b->progress);
    b->results->load_seconds = (double)(bench_now_us() - from_us) / 1e6;
    return rc;
}

/* ---- looking up ---- */

static bool lookup_next(void *ctx, struct strbuf *request, uint64_t *ret_n, int64_t now_us)
{
    (void)now_us;
    struct http_bench *b = ctx;
    if (b->looking == b->n_lookups)
        return false;
    size_t i = bench_sample(b->results->n_acked, b->n_lookups, b->looking++);
    char id[UUID_TEXT_LEN + 1];
    uuid_format(b->results->acked[i].transfer, id);
    strbuf_printf(request, "GET %s/transfers/%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", b->target.base, id,
        b->target.authority, b->target.authorization);
    *ret_n = i;
    return true;
}

/* It must be there, posted, and the one that was asked for with this key. */
static void lookup_answered(void *ctx, struct bench_mark mark, int status, struct str body, int64_t now_us)
{
    (void)now_us;
    struct http_bench *b = ctx;
    struct bench_results *r = b->results;
    char key[BENCH_KEY_LEN];
    bench_key(b->plan->run, BENCH_TRANSFER, r->acked[mark.n].n, key);
    if (status != 200 || find(body, STR("\"status\":\"posted\"")) == NULL ||
        find(body, (struct str){key, sizeof key}) == NULL)
        r->missing++;
    progress_at(&b->progress, ++r->looked_up);
}

/* Not found is not known: a look-up without an answer counts as missing. */
static void lookup_lost(void *ctx, struct bench_mark mark)
{
    (void)mark;
    struct http_bench *b = ctx;
    b->results->missing++;
    b->results->looked_up++;
}

static int look_up(struct http_bench *b, struct err *err)
{
    struct bench_driver driver = {.ctx = b,
        .next = lookup_next,
        .answered = lookup_answered,
        .lost = lookup_lost,
        .connections = busy_connections(b->plan),
        .depth = PIPELINE_DEPTH};
    int64_t from_us = bench_now_us();
    b->n_lookups = b->plan->lookups < b->results->n_acked ? b->plan->lookups : b->results->n_acked;
    progress_begin(&b->progress, "looking up", b->n_lookups, b->plan->quiet);
    int rc = bench_client_run(b->client, &driver, err);
    progress_end(&b->progress);
    b->results->lookup_seconds = (double)(bench_now_us() - from_us) / 1e6;
    return rc;
}

int bench_http(const struct bench_plan *plan, struct bench_results *r, struct err *err)
{
    struct http_bench b = {.plan = plan, .results = r};
    int rc = bench_target_parse(plan->url, plan->token, &b.target, err);
    if (rc == 0)
        rc = bench_client_new(&b.target, busy_connections(plan), &b.client, err);
    if (rc != 0)
        return rc;
    rc = open_accounts(&b, err);
    if (rc == 0)
        rc = load(&b, err);
    if (rc == 0)
        rc = look_up(&b, err);
    bench_client_free(b.client);
    strbuf_fini(&b.head);
    strbuf_fini(&b.element.bytes);
    return rc;
}
