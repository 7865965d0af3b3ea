#include "app/service_fixture.h"

#include <stdatomic.h>

#include "base/arena.h"
#include "telemetry/log.h"

static int64_t fixture_now(void *environment)
{
    struct fixture *f = environment;
    return ++f->clock;
}

static void fixture_random(void *environment, void *ret_bytes, size_t len)
{
    struct fixture *f = environment;
    uint8_t *p = ret_bytes;
    uint32_t from = atomic_fetch_add(&f->random, (uint32_t)len);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)((from + i) * 167 >> 3);
}

static bool is_reachable(const void *ctx)
{
    return !((const struct fixture *)ctx)->unreachable;
}

static struct service *new_service(
    struct fixture *f, const struct fixture_options *options, struct catalog *catalog)
{
    struct service *service;
    struct err err = {0};
    struct service_config config = {.database_url = f->url,
        .engine = f->engine,
        .catalog = catalog != NULL ? catalog : f->catalog,
        .shared = catalog != NULL,
        .reachable = is_reachable,
        .reachable_ctx = f,
        .read_url = options->read_url,
        .metrics = f->metrics,
        .spans = options->spans,
        .tokens = options->tokens,
        .readers = options->readers,
        .now = fixture_now,
        .environment = f};
    assert_int_equal(service_new(&config, &service, &err), 0);
    return service;
}

struct service *fixture_second_service(struct fixture *f, size_t readers, struct catalog *catalog)
{
    return new_service(f, &(struct fixture_options){.readers = readers}, catalog);
}

struct fixture *fixture_new(const struct fixture_options *options)
{
    static int n;
    struct fixture *f = calloc(1, sizeof *f);
    struct err err = {0};
    log_setup(LOG_ERROR, LOG_JSON);
    f->clock = INT64_C(1767225600000000); /* 2026-01-01 */
    snprintf(f->url, sizeof f->url, "memory:service-%d-%d", (int)getpid(), n++);
    struct journal_options journal = {.mode = JOURNAL_WRITE, .create = true, .now = f->clock};
    assert_int_equal(journal_open(f->url, &journal, &f->journal, &err), 0);
    assert_int_equal(catalog_new(f->journal, &f->catalog, &err), 0);
    f->metrics = metrics_new();
    struct engine_config engine = {.journal = f->journal,
        .catalog = f->catalog,
        .now = fixture_now,
        .random = fixture_random,
        .environment = f,
        .metrics = f->metrics,
        .spans = options->spans,
        .queue_commands = options->queue_commands};
    assert_int_equal(engine_new(&engine, &f->engine, &err), 0);
    if (options->started)
        assert_int_equal(engine_start(f->engine, &err), 0);
    f->service = new_service(f, options, NULL);
    api_response_init(&f->response);
    return f;
}

void fixture_free(struct fixture *f)
{
    service_stop(f->service);
    engine_stop(f->engine);
    service_free(f->service);
    engine_free(f->engine);
    catalog_free(f->catalog);
    journal_close(f->journal);
    metrics_free(f->metrics);
    api_response_fini(&f->response);
    json_decref(f->json);
    free(f);
}

static size_t parse_headers(struct fixture *f, const char *text, bool body, struct api_header *headers)
{
    size_t n = 0;
    bool typed = false;
    struct str rest = str_of(text), line, name;
    while (str_split(&rest, '\n', &line)) {
        assert_true(str_split(&line, ':', &name));
        headers[n].name = name;
        headers[n++].value = str_trim(line);
        typed |= str_eq(name, STR("Content-Type"));
    }
    if (body && !typed)
        headers[n++] = (struct api_header){STR("Content-Type"), STR("application/json")};
    if (f->token != NULL)
        headers[n++] = (struct api_header){STR("Authorization"), str_of(f->token)};
    return n;
}

int call(struct fixture *f, const char *method, const char *target, const char *headers, const char *body)
{
    struct api_header list[8];
    struct str rest = str_of(target), path;
    assert_true(str_split(&rest, '?', &path));
    struct api_request request = {
        .method = api_method_parse(str_of(method)),
        .method_name = str_of(method),
        .path = path,
        .query = rest.data != NULL ? rest : STR(""),
        .headers = list,
        .n_headers = parse_headers(f, headers, body != NULL, list),
        .body = body != NULL ? str_of(body) : STR(""),
    };
    api_response_fini(&f->response);
    json_decref(f->json);
    service_sync(f->service, &request, &f->response);
    f->json = f->response.body.len > 0
                  ? json_loadb(f->response.body.data, f->response.body.len, JSON_REJECT_DUPLICATES, NULL)
                  : NULL;
    return f->response.status;
}

void expect(struct fixture *f, int status, const char *method, const char *target, const char *body)
{
    int got = call(f, method, target, NULL, body);
    if (got != status)
        fail_msg("%s %s %s: status %d, not %d: " STR_FMT, method, target, body != NULL ? body : "", got,
            status, STR_ARG(body_of(f)));
}

void refused(
    struct fixture *f, int status, const char *code, const char *method, const char *target, const char *body)
{
    expect(f, status, method, target, body);
    const char *got = text_at(f, "code");
    if (got == NULL || strcmp(got, code) != 0)
        fail_msg("%s %s: code %s, not %s: " STR_FMT, method, target, got, code, STR_ARG(body_of(f)));
    assert_string_equal(f->response.content_type, "application/problem+json");
    assert_int_equal(number_at(f, "status"), status);
    assert_non_null(text_at(f, "hint"));
}

json_t *value_at(struct fixture *f, const char *path)
{
    json_t *at = f->json;
    struct str rest = str_of(path), part;
    while (at != NULL && str_split(&rest, '.', &part)) {
        char name[64];
        snprintf(name, sizeof name, STR_FMT, STR_ARG(part));
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(name)) : json_object_get(at, name);
    }
    return at;
}

const char *text_at(struct fixture *f, const char *path)
{
    return json_string_value(value_at(f, path));
}

int64_t number_at(struct fixture *f, const char *path)
{
    json_t *value = value_at(f, path);
    if (!json_is_integer(value))
        fail_msg("%s is no integer in " STR_FMT, path, STR_ARG(body_of(f)));
    return json_integer_value(value);
}

const char *header_of(struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->response.n_headers; i++)
        if (strcmp(f->response.headers[i].name, name) == 0)
            return f->response.headers[i].value;
    return NULL;
}

struct str body_of(struct fixture *f)
{
    return strbuf_view(&f->response.body);
}

void open_account(struct fixture *f, const char *body, char ret_id[37])
{
    expect(f, 201, "POST", "/accounts", body);
    snprintf(ret_id, 37, "%s", text_at(f, "accountId"));
}

void transfer(struct fixture *f, const char *from, const char *to, int64_t amount)
{
    char body[300];
    snprintf(body, sizeof body, "{\"from\":\"%s\",\"to\":\"%s\",\"amount\":%lld,\"currency\":\"USD\"}", from,
        to, (long long)amount);
    expect(f, 201, "POST", "/transfers", body);
}

int64_t balance_of(struct fixture *f, const char *account)
{
    char target[100];
    snprintf(target, sizeof target, "/accounts/%s/balance", account);
    expect(f, 200, "GET", target, NULL);
    return number_at(f, "balance");
}
