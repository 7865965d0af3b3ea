#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/service.h"
#include "app/verify.h"
#include "support/pg_database.h"
#include "target.h"

struct service_target {
    struct target target;
    char url[PG_DATABASE_URL_MAX];
    bool postgres;
    struct journal *journal;
    struct catalog *catalog;
    struct engine *engine;
    struct service *service;
};

static int64_t now_us(void *environment)
{
    (void)environment;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void random_bytes(void *environment, void *ret_bytes, size_t len)
{
    (void)environment;
    if (getentropy(ret_bytes, len) != 0)
        abort();
}

_Noreturn static void give_up(const char *what, const struct err *err)
{
    printf("Bail out! %s: %s\n", what, err->message);
    exit(1);
}

static struct api_request request_of(const struct exchange *e, struct api_header *headers)
{
    for (size_t i = 0; i < e->n_headers; i++)
        headers[i] = (struct api_header){e->headers[i].name, e->headers[i].value};
    return (struct api_request){
        .method = api_method_parse(e->method),
        .method_name = e->method,
        .path = e->path,
        .query = e->query,
        .headers = headers,
        .n_headers = e->n_headers,
        .body = e->body,
    };
}

static bool service_send(
    struct target *target, const struct exchange *e, struct outcome *ret_outcome, struct err *err)
{
    (void)err;
    struct service_target *t = (struct service_target *)target;
    struct api_header headers[TARGET_HEADERS_MAX];
    struct api_request request = request_of(e, headers);
    struct api_response response;
    api_response_init(&response);
    service_sync(t->service, &request, &response);
    ret_outcome->status = response.status;
    if (response.content_type != NULL)
        strbuf_printf(&ret_outcome->headers, "Content-Type: %s\n", response.content_type);
    for (size_t i = 0; i < response.n_headers; i++)
        strbuf_printf(&ret_outcome->headers, "%s: %s\n", response.headers[i].name, response.headers[i].value);
    strbuf_str(&ret_outcome->body, strbuf_view(&response.body));
    api_response_fini(&response);
    return true;
}

static void on_fault(void *ctx, const struct verify_fault *fault)
{
    char *first = ctx;
    if (first[0] == '\0')
        snprintf(first, ERR_MESSAGE_MAX, "%s at seq %llu: %.400s", fault->invariant,
            (unsigned long long)fault->seq, fault->message);
}

static bool audit(const char *url, struct err *err)
{
    struct journal_options options = {.mode = JOURNAL_READ};
    struct journal *journal;
    if (journal_open(url, &options, &journal, err) != 0)
        return false;
    char first[ERR_MESSAGE_MAX] = "";
    struct verify_options how = {.fault = on_fault, .ctx = first};
    struct verify_counts counts;
    int rc = verify_journal(journal, &how, &counts, err);
    journal_close(journal);
    if (rc == 0 && counts.faults > 0)
        err_set(err, ERR_CORRUPT, "the journal is not sound: %s", first);
    return rc == 0 && counts.faults == 0;
}

static bool service_finish_target(struct target *target, struct err *err)
{
    struct service_target *t = (struct service_target *)target;
    service_stop(t->service);
    engine_stop(t->engine);
    service_free(t->service);
    engine_free(t->engine);
    /* While the writer is open: a memory journal lives as long as its handles. */
    bool sound = audit(t->url, err);
    catalog_free(t->catalog);
    journal_close(t->journal);
    if (t->postgres)
        pg_database_drop(t->url);
    free(t);
    return sound;
}

struct target *target_service_new(enum target_kind kind, const char *directory)
{
    struct service_target *t = calloc(1, sizeof(*t));
    INVARIANT(t != NULL);
    t->target = (struct target){service_send, service_finish_target};
    t->postgres = kind == TARGET_POSTGRES;
    if (t->postgres)
        pg_database_make(0, t->url);
    else if (kind == TARGET_MEMORY)
        snprintf(t->url, sizeof(t->url), "memory:%s", directory);
    else
        snprintf(t->url, sizeof(t->url), "sqlite:%s/scenario.db", directory);
    struct err err;
    struct journal_options options = {.mode = JOURNAL_WRITE, .create = true, .now = now_us(NULL)};
    if (journal_open(t->url, &options, &t->journal, &err) != 0)
        give_up("journal", &err);
    if (catalog_new(t->journal, &t->catalog, &err) != 0)
        give_up("catalog", &err);
    struct engine_config engine = {
        .journal = t->journal, .catalog = t->catalog, .now = now_us, .random = random_bytes};
    if (engine_new(&engine, &t->engine, &err) != 0 || engine_start(t->engine, &err) != 0)
        give_up("engine", &err);
    struct service_config service = {
        .database_url = t->url,
        .shared = t->journal->shared,
        .engine = t->engine,
        .catalog = t->catalog,
        .now = now_us,
    };
    if (service_new(&service, &t->service, &err) != 0)
        give_up("service", &err);
    return &t->target;
}
