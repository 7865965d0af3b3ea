/* What concerns no ledger: health, metrics, files, and the lists of ledgers and assets, all from memory. */
#include "app/service_internal.h"
#include "app/static_files.h"

static void health(struct job *job)
{
    struct json_out o = job_json(job, 200);
    out_raw(&o, STR("{\"status\":\"ok\"}"));
}

static void readiness(struct job *job)
{
    const struct service_config *c = &job->service->config;
    const char *lost = c->engine != NULL ? engine_lost(c->engine) : NULL;
    char stuck[512];
    if (job->service->stopping) {
        job_refuse(job, REFUSAL_SHUTTING_DOWN, NULL);
    } else if (lost != NULL) {
        job_refuse(job, REFUSAL_JOURNAL_BEHIND, lost);
    } else if (c->reachable != NULL && !c->reachable(c->reachable_ctx)) {
        job_refuse(job, REFUSAL_STORAGE_UNAVAILABLE, "The database cannot be reached.");
    } else if (c->engine != NULL && !engine_healthy(c->engine)) {
        job_refuse(job, REFUSAL_STORAGE_UNAVAILABLE, "The last write to the journal failed.");
    } else if (c->projection_stuck != NULL && c->projection_stuck(c->projection_ctx, stuck, sizeof stuck)) {
        job_refuse(job, REFUSAL_PROJECTION_STOPPED, stuck);
    } else {
        struct json_out o = job_json(job, 200);
        out_raw(&o, STR("{\"status\":\"ready\"}"));
    }
}

/* As far as this process knows: what it wrote, and what it has heard of others. */
static void note_heads(const struct service_config *c)
{
    size_t n = c->engine != NULL ? catalog_ledgers(c->catalog) : 0;
    for (uint32_t id = 1; id <= n && id <= METRICS_LEDGERS; id++)
        metrics_ledger_seq(c->metrics, METRIC_LEDGER_JOURNAL, str_of(catalog_ledger(c->catalog, id)->name),
            catalog_head_seq(c->catalog, id));
}

static void metrics(struct job *job)
{
    struct api_response *r = &job->call->response;
    r->status = 200;
    r->content_type = "text/plain; version=0.0.4; charset=utf-8";
    if (job->service->config.metrics != NULL) {
        note_heads(&job->service->config);
        metrics_render(job->service->config.metrics, &r->body);
    }
}

static void file(struct job *job)
{
    struct api_response *r = &job->call->response;
    const struct static_file *found = static_file_find(job->call->request->path);
    if (found == NULL) {
        job_refuse(job, REFUSAL_ROUTE_NOT_FOUND, "There is no such file.");
        return;
    }
    r->status = 200;
    r->content_type = found->content_type;
    api_response_header(r, "Cache-Control", "no-cache");
    api_response_header(r, "X-Content-Type-Options", "nosniff");
    strbuf_str(&r->body, found->bytes);
}

static void ledgers(struct job *job)
{
    const struct catalog *catalog = job->service->config.catalog;
    struct json_out o = job_json(job, 200);
    size_t n = catalog_ledgers(catalog);
    out_begin(&o, '{');
    out_key(&o, "ledgers");
    out_begin(&o, '[');
    for (uint32_t id = 1; id <= n; id++)
        encode_ledger(&o, catalog_ledger(catalog, id), catalog_head_seq(catalog, id), false);
    out_end(&o, ']');
    out_end(&o, '}');
}

static void assets(struct job *job)
{
    const struct catalog *catalog = job->service->config.catalog;
    struct json_out o = job_json(job, 200);
    size_t n = catalog_assets(catalog);
    out_begin(&o, '{');
    out_key(&o, "assets");
    out_begin(&o, '[');
    for (uint32_t id = 1; id <= n; id++)
        encode_asset(&o, catalog_asset(catalog, id), false);
    out_end(&o, ']');
    out_end(&o, '}');
}

/* The lists, with what other processes added a moment ago. */
static void fresh_list_step(struct job *job, struct reader *reader)
{
    struct err err = {0};
    if (service_refresh(job, reader, &err) < 0)
        job_failed(job, &err);
    else if (job->match.route->id == ROUTE_LIST_LEDGERS)
        ledgers(job);
    else
        assets(job);
    job_ready(job);
}

void misc_begin(struct job *job)
{
    static void (*const handlers[ROUTES_N])(struct job * job) = {
        [ROUTE_LIST_LEDGERS] = ledgers,
        [ROUTE_LIST_ASSETS] = assets,
        [ROUTE_HEALTH] = health,
        [ROUTE_READINESS] = readiness,
        [ROUTE_METRICS] = metrics,
        [ROUTE_OPENAPI] = file,
        [ROUTE_API_PAGE] = file,
        [ROUTE_API_PAGE_SLASH] = file,
        [ROUTE_API_FILE] = file,
    };
    enum route_id route = job->match.route->id;
    INVARIANT(handlers[route] != NULL);
    if (job->service->config.shared && (route == ROUTE_LIST_LEDGERS || route == ROUTE_LIST_ASSETS)) {
        pool_run(job, fresh_list_step);
        return;
    }
    handlers[route](job);
    job_ready(job);
}
