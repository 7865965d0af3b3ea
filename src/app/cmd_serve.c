/*
 * `creditledger serve`: the server. Start-up does nothing that grows with the data: lock, open, listen, go.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/serve_census.h"
#include "app/serve_demo.h"
#include "app/serve_downstream.h"
#include "app/serve_follow.h"
#include "app/serve_listen.h"
#include "app/serve_loop.h"
#include "app/serve_notify.h"
#include "app/serve_signals.h"
#include "app/store.h"
#include "journal/postgres.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "telemetry/spans.h"

#define DESCRIPTORS_WANTED 65536
#define DESCRIPTORS_OWN 64     /* database, logs, readers: not for connections */
#define STOP_EXTRA_MS 30000    /* beyond --grace: for what is queued, and the database to let go */
#define SPANS_STOP_MS 2000     /* for the last spans to leave */
#define CENSUS_AGAIN_MS 600000 /* shared journals: what others opened shows in the gauges this late */

static const struct option_spec options[] = {
    {"listen", "ADDRESS", "address and port to listen on; port 0 takes any that is free",
        "CREDITLEDGER_LISTEN", "127.0.0.1:4000", NULL},
    STORE_OPTIONS,
    STORE_WRITE_OPTIONS,
    {"roles", "ROLES", "what this process does: any of api, relay, projector, with commas between",
        "CREDITLEDGER_ROLES", "api,relay,projector", "api relay projector"},
    READ_OPTIONS,
    KAFKA_OPTIONS,
    {"token-file", "FILE", "require tokens: 'name sha256 scopes' a line ('creditledger token' makes them)",
        "CREDITLEDGER_TOKEN_FILE", NULL, "@file"},
    {"insecure", NULL, "listen beyond this machine without tokens", "CREDITLEDGER_INSECURE", NULL, NULL},
    {"demo", NULL, "open with a small lively data set", "CREDITLEDGER_DEMO", NULL, NULL},
    {"readers", "N", "threads that answer reads", "CREDITLEDGER_READERS", "2", NULL},
    {"cache-accounts", "N", "account heads kept in memory", "CREDITLEDGER_CACHE_ACCOUNTS", "262144", NULL},
    {"queue", "N", "commands that may wait; more are refused with 503", "CREDITLEDGER_QUEUE", "65536", NULL},
    {"connections", "N", "clients at a time", "CREDITLEDGER_CONNECTIONS", "4096", NULL},
    {"grace", "SECONDS", "how long requests in progress may take once it is told to stop",
        "CREDITLEDGER_GRACE", "30", NULL},
    {"log-format", "FORMAT", "json, text, or auto: text on a terminal", "CREDITLEDGER_LOG_FORMAT", "auto",
        "auto json text"},
    {"log-level", "LEVEL", "debug (a line a request), info, warning, error", "CREDITLEDGER_LOG_LEVEL", "info",
        "debug info warning error"},
    {.name = NULL},
};

struct server {
    const struct options *options;
    struct serve_loop_config config;
    struct engine_config tuning;
    struct tokens *tokens;
    struct store store;
    struct serve_loop *loop;
    struct serve_signals signals;
    struct census *census;
    struct follower *follower; /* shared journals only */
    unsigned roles;
    struct downstream downstream;
    struct followers *followers;
    struct spans *spans;
    int64_t began;
};

static bool setup_logs(const struct options *o)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    const char *format = options_get(o, "log-format"), *level = options_get(o, "log-level");
    bool text = strcmp(format, "text") == 0, automatic = strcmp(format, "auto") == 0;
    if (!text && !automatic && strcmp(format, "json") != 0) {
        (void)options_fail(o, EXIT_USAGE, "--log-format is '%s': it must be auto, json or text", format);
        return false;
    }
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(level, levels[i]) == 0) {
            bool terminal = automatic && isatty(STDERR_FILENO);
            log_setup((enum log_level)i, text || terminal ? LOG_TEXT : LOG_JSON);
            return true;
        }
    (void)options_fail(o, EXIT_USAGE, "--log-level is '%s': it must be debug, info, warning or error", level);
    return false;
}

/* Every connection takes a descriptor: as many as the system gives, and no more connections than that. */
static size_t connections_possible(size_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur < DESCRIPTORS_WANTED && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
            return wanted;
    }
    size_t possible =
        limit.rlim_cur > 2 * DESCRIPTORS_OWN ? (size_t)limit.rlim_cur - DESCRIPTORS_OWN : DESCRIPTORS_OWN;
    if (possible >= wanted)
        return wanted;
    char text[24];
    snprintf(text, sizeof text, "%zu", possible);
    log_event(LOG_WARNING, "fewer connections than asked for: raise the limit of open files", "connections",
        text, NULL);
    return possible;
}

/* A role that was asked for must have something to do; of the default ones those are left out that have not. */
static int check_roles(struct server *s, struct err *err)
{
    const struct downstream *d = &s->downstream;
    bool asked = options_given(s->options, "roles");
    if (d->has_kafka && !d->has_read)
        return err_set(err, ERR_CONFIG,
            "--kafka-brokers needs a --read-database-url: the relay keeps its cursor there");
    if (asked && (s->roles & ROLE_RELAY) && !d->has_kafka)
        return err_set(err, ERR_CONFIG, "role relay needs --kafka-brokers: without a broker the journal is the bus");
    if (asked && (s->roles & ROLE_PROJECTOR) && !d->has_read)
        return err_set(err, ERR_CONFIG, "role projector needs a --read-database-url");
    if (!(s->roles & ROLE_API) && options_flag(s->options, "demo"))
        return err_set(err, ERR_CONFIG, "--demo posts, which takes role api");
    return 0;
}

/* All that can be wrong with the command line, before anything is touched. */
static int read_options(struct server *s)
{
    const struct options *o = s->options;
    int64_t readers, cache, queue, connections, grace;
    if (!setup_logs(o) || !options_int(o, "readers", 1, 64, &readers) ||
        !options_int(o, "cache-accounts", 1024, 100000000, &cache) ||
        !options_int(o, "queue", 1, 10000000, &queue) ||
        !options_int(o, "connections", 1, 60000, &connections) || !options_int(o, "grace", 0, 3600, &grace))
        return EXIT_USAGE;
    struct store described;
    struct err err;
    if (store_describe(o, &described, &err) != 0)
        return options_fail(o, EXIT_USAGE, "%s", err.message);
    if (roles_parse(options_get(o, "roles"), &s->roles, &err) != 0 ||
        downstream_describe(o, &described, &s->downstream, &err) != 0 || check_roles(s, &err) != 0)
        return options_fail(o, EXIT_USAGE, "%s", err.message);
    s->tuning.cache_accounts = (size_t)cache;
    s->tuning.queue_commands = (size_t)queue;
    s->config.readers = (size_t)readers;
    s->config.connections_max = connections_possible((size_t)connections);
    s->config.grace_ms = (int)grace * 1000;
    s->config.listen = options_get(o, "listen");
    s->config.token_file = options_get(o, "token-file");
    if (s->config.token_file == NULL && !options_flag(o, "insecure") && !listen_is_loopback(s->config.listen))
        return options_fail(o, EXIT_USAGE,
            "--listen %s is not the loopback address, and other machines may reach it: name a --token-file "
            "('creditledger token --help'), or say --insecure if everybody who gets there may post and read",
            s->config.listen);
    return EXIT_OK;
}

static void on_committed(void *ctx)
{
    const struct server *s = ctx;
    if (s->loop != NULL)
        serve_loop_committed(s->loop);
    followers_wake(s->followers);
}

/* What others committed. */
static void on_reached(void *ctx)
{
    struct server *s = ctx;
    serve_loop_committed(s->loop);
    followers_wake(s->followers);
}

static void on_projected(void *ctx, struct str ledger, uint64_t seq)
{
    const struct server *s = ctx;
    serve_loop_projected(s->loop, ledger, seq);
}

static bool is_stuck(void *ctx, char *ret_detail, size_t size)
{
    struct server *s = ctx;
    return followers_stuck(s->followers, ret_detail, size);
}

static bool is_reachable(const void *ctx)
{
    const struct server *s = ctx;
    return s->follower == NULL || serve_follow_reachable(s->follower);
}

static int on_right(void *ctx, const char *note)
{
    (void)ctx;
    log_event(LOG_WARNING,
        "more rights in the database than a server needs: 'creditledger migrate --runtime-role'", "right",
        note, NULL);
    return 0;
}

/* The engine, whose handle it is, is not at work yet. */
static int warn_of_rights(struct journal *journal, struct err *err)
{
    return postgres_excess_rights(journal, on_right, NULL, err);
}

/* Who takes no writes has no engine and no lock: it only reads the journal. */
static int open_store(struct server *s, struct err *err)
{
    if (s->roles & ROLE_API) {
        s->tuning.committed = on_committed;
        s->tuning.committed_ctx = s;
        return store_open_tuned(s->options, &s->tuning, &s->store, err);
    }
    int failed = store_open_read(s->options, &s->store, err);
    if (!failed)
        s->store.metrics = metrics_new();
    return failed;
}

static int open_all(struct server *s, struct err *err)
{
    int failed = 0;
    if (s->config.token_file != NULL)
        failed = tokens_load(s->config.token_file, &s->tokens, err);
    if (failed)
        return failed;
    failed = open_store(s, err);
    if (!failed)
        failed = spans_start(options_get(s->options, "roles"), s->store.metrics, &s->spans, err);
    if (failed)
        return failed;
    s->config.engine = s->store.engine;
    s->config.catalog = s->store.catalog;
    s->config.metrics = s->store.metrics;
    s->config.tokens = s->tokens;
    s->config.database_url = s->store.url;
    s->config.database_direct_url = s->store.options.direct_url;
    s->config.shared = s->store.journal->shared;
    s->config.reachable = is_reachable;
    s->config.reachable_ctx = s;
    s->config.read_url = s->downstream.has_read ? s->downstream.read_url : NULL;
    s->config.read_pooled = s->downstream.pooled;
    s->config.projection_stuck = is_stuck;
    s->config.projection_ctx = s;
    s->config.spans = s->spans;
    if (s->store.engine != NULL)
        engine_set_spans(s->store.engine, s->spans);
    if (postgres_url(s->store.url))
        failed = warn_of_rights(s->store.journal, err);
    if (failed)
        return failed;
    failed = serve_loop_new(&s->config, &s->loop, err);
    if (failed) {
        struct err inner = *err;
        return err_set(err, failed, "%s; --listen ADDRESS:PORT names another address", inner.message);
    }
    return 0;
}

static int seed_demo(struct server *s, struct err *err)
{
    struct service_config like = {
        .database_url = s->store.url,
        .database_direct_url = s->store.options.direct_url,
        .shared = s->config.shared,
        .engine = s->store.engine,
        .catalog = s->store.catalog,
        .now = store_now,
    };
    size_t posted;
    int failed = serve_demo_seed(&like, &posted, err);
    if (failed)
        return failed;
    char text[24];
    snprintf(text, sizeof text, "%zu", posted);
    log_event(
        LOG_INFO, posted > 0 ? "demo data posted" : "demo data was there already", "requests", text, NULL);
    return 0;
}

/* For the person in front of the terminal; programs read the log. */
static void greet(const struct server *s)
{
    char url[320];
    listen_url(s->config.listen, serve_loop_port(s->loop), url, sizeof url);
    if (!options_flag(s->options, "demo") && !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\n  Credit Ledger %s is ready.\n\n    try it      %s/api\n    metrics     %s/metrics\n",
        CREDITLEDGER_VERSION, url, url);
    if (options_flag(s->options, "demo"))
        fprintf(stderr, "    demo        curl %s/accounts/ext:wallet-alice/statements\n", url);
    fprintf(stderr, "    stop        Ctrl-C\n\n");
}

static void announce(const struct server *s)
{
    char ms[32], pid[24], port[16];
    snprintf(ms, sizeof ms, "%lld", (long long)((store_now(NULL) - s->began) / 1000));
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    snprintf(port, sizeof port, "%d", serve_loop_port(s->loop));
    log_event(LOG_INFO, "listening", "address", s->config.listen, "port", port, "database", s->store.shown,
        "version", CREDITLEDGER_VERSION, "pid", pid, "startMs", ms, "tokens",
        s->tokens ? "required" : "not required", "roles", options_get(s->options, "roles"), "readModel",
        s->downstream.has_read ? s->downstream.read_shown : "none", "kafka",
        s->downstream.has_kafka ? s->downstream.kafka.brokers : "none", NULL);
    if (s->tokens == NULL && !listen_is_loopback(s->config.listen))
        log_event(LOG_WARNING, "insecure: everybody who reaches this address may post and read", NULL);
    greet(s);
    serve_notify("READY=1");
}

static void start_census(struct server *s)
{
    if (!(s->roles & ROLE_API))
        return;
    const struct census_config config = {
        .database_url = s->store.url,
        .database_direct_url = s->store.options.direct_url,
        .catalog = s->store.catalog,
        .metrics = s->store.metrics,
        .again_ms = s->config.shared ? CENSUS_AGAIN_MS : 0,
    };
    s->census = serve_census_start(&config);
}

static int start_follower(struct server *s, struct err *err)
{
    const struct follow_config config = {
        .database_url = s->store.url,
        .database_direct_url = s->store.options.direct_url,
        .catalog = s->store.catalog,
        .reached = on_reached,
        .ctx = s,
    };
    return s->config.shared ? serve_follow_start(&config, &s->follower, err) : 0;
}

static int start_followers(struct server *s, struct err *err)
{
    const struct followers_config config = {
        .roles = s->roles,
        .store = &s->store,
        .downstream = &s->downstream,
        .spans = s->spans,
        .projected = on_projected,
        .ctx = s,
    };
    return followers_start(&config, &s->followers, err);
}

/* The engine, if there is one, runs from here to the end of this function. */
static int serve_requests(struct server *s, struct err *err)
{
    struct engine *engine = s->store.engine;
    int failed = engine != NULL ? engine_start(engine, err) : 0;
    if (failed)
        return failed;
    if (options_flag(s->options, "demo"))
        failed = seed_demo(s, err);
    if (!failed) {
        announce(s);
        failed = serve_loop_run(s->loop, err);
    }
    if (engine != NULL)
        engine_stop(engine);
    if (!serve_loop_drain(
            s->loop)) { /* all that was acknowledged is on the disk: only memory is left behind */
        log_event(LOG_ERROR, "requests in progress would not end", NULL);
        _exit(failed ? EXIT_ENVIRONMENT : EXIT_FAULT);
    }
    return failed;
}

/* Whoever wakes the followers ends before them. */
static int serve(struct server *s, struct err *err)
{
    int failed = start_followers(s, err);
    if (!failed)
        failed = start_follower(s, err);
    if (!failed) {
        start_census(s);
        failed = serve_requests(s, err);
    }
    serve_census_stop(s->census);
    serve_follow_stop(s->follower);
    followers_stop(s->followers);
    return failed;
}

static void close_all(struct server *s)
{
    serve_loop_free(s->loop);
    spans_stop(s->spans, SPANS_STOP_MS);
    store_close(&s->store);
    tokens_free(s->tokens);
}

static int run(const struct options *o)
{
    struct server s = {.options = o, .began = store_now(NULL)};
    struct err err = {0};
    int code = read_options(&s);
    if (code != EXIT_OK)
        return code;
    serve_signals_block();
    int failed = open_all(&s, &err);
    if (!failed)
        failed = serve_signals_start(&s.signals, s.loop, s.config.grace_ms + STOP_EXTRA_MS, &err);
    if (!failed) {
        failed = serve(&s, &err);
        serve_signals_stop(&s.signals);
    }
    close_all(&s);
    if (failed)
        return options_fail(o, EXIT_ENVIRONMENT, "%s", err.message);
    log_event(LOG_INFO, "stopped", NULL);
    return EXIT_OK;
}

const struct command_spec cmd_serve = {
    .name = "serve",
    .summary = "serve the HTTP API, publish events, keep the read model",
    .positional = "",
    .details =
        "SIGTERM and SIGINT stop it: nothing new is accepted, what is queued is answered, exit 0; a second "
        "one\n"
        "ends it at once. SIGHUP reads the token file again. An empty database is made when there is none.",
    .options = options,
    .run = run,
};
