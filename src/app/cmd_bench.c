/*
 * `creditledger bench`: the load generator. What it measures is worth nothing if it is wrong, so at the end
 * every acknowledged transfer is looked up again, and the database, where it is at hand, is audited.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "app/bench.h"
#include "app/progress.h"
#include "app/store.h"
#include "app/verify.h"

static const struct option_spec options[] = {
    {"url", "URL", "server, with /ledgers/NAME behind it for another ledger than main", NULL,
        "http://127.0.0.1:4000", NULL},
    {"connections", "N", "keep-alive connections", NULL, "64", NULL},
    {"seconds", "N", "how long transfers are sent", NULL, "10", NULL},
    {"requests", "N", "send so many requests instead (0: go by --seconds)", NULL, "0", NULL},
    {"accounts", "N", "accounts that are opened first", NULL, "1000", NULL},
    {"reuse", "RUN", "use the accounts that an earlier run opened (as many as then)", NULL, NULL, NULL},
    {"bulk", "N", "transfers a request; 0 or 1: single transfers", NULL, "0", NULL},
    {"rate", "N", "open loop: requests a second, latency counted from when each was due", NULL, "0", NULL},
    {"hot", NULL, "all transfers pay into or out of one account", NULL, NULL, NULL},
    {"think-ms", "MS", "pause of a connection after each answer", NULL, "0", NULL},
    {"wait", NULL, "when the accounts are open, say 'ready' on standard error and wait for a line of input",
        NULL, NULL, NULL},
    {"token", "TOKEN", "for a server with a token file: scopes read and post", "CREDITLEDGER_TOKEN", NULL,
        NULL},
    {"in-process", NULL, "no HTTP: the engine over --data, which must not be in use", NULL, NULL, NULL},
    {"batch", "N", "in-process: commands a transaction", NULL, "64", NULL},
    {"in-flight", "N", "in-process: submissions that wait at a time", NULL, "4", NULL},
    /* Without default and environment: nobody's ledger is filled with measurements by accident. */
    {"data", "DIR", "directory of the database: the server's, to audit it; with --in-process, to write to",
        NULL, NULL, "@dir"},
    {"database-url", "URL", "postgres://..., sqlite:PATH or memory:NAME instead of --data", NULL, NULL, NULL},
    {"database-direct-url", "URL", "PostgreSQL past a pooler", NULL, NULL, NULL},
    STORE_WRITE_OPTIONS,
    {"lookups", "N", "at most so many acknowledged transfers are looked up, evenly spread", NULL, "100000",
        NULL},
    {"no-verify", NULL, "neither look up nor audit afterwards", NULL, NULL, NULL},
    {"quiet", NULL, "no progress bar", NULL, NULL, NULL},
    {"json", NULL, "print one JSON object", NULL, NULL, NULL},
    {.name = NULL},
};

static bool size_option(
    const struct options *o, const char *name, int64_t least, int64_t most, size_t *ret_value)
{
    int64_t value;
    if (!options_int(o, name, least, most, &value))
        return false;
    *ret_value = (size_t)value;
    return true;
}

static bool make_run(const struct options *o, struct bench_plan *plan)
{
    uint8_t bytes[BENCH_RUN_LEN / 2];
    struct str reuse = str_of(options_get(o, "reuse"));
    store_random(NULL, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(plan->run + 2 * i, 3, "%02x", bytes[i]);
    snprintf(plan->opened_by, sizeof plan->opened_by, "%s", plan->run);
    if (reuse.data == NULL)
        return true;
    if (reuse.len != BENCH_RUN_LEN || !str_to_bytes(reuse, bytes, sizeof bytes))
        return false;
    snprintf(plan->opened_by, sizeof plan->opened_by, STR_FMT, STR_ARG(reuse));
    return true;
}

static bool make_plan(const struct options *o, struct bench_plan *plan)
{
    *plan = (struct bench_plan){
        .url = options_get(o, "url"),
        .token = options_get(o, "token"),
        .in_process = options_flag(o, "in-process"),
        .hot = options_flag(o, "hot"),
        .wait = options_flag(o, "wait"),
        .json = options_flag(o, "json"),
        .quiet = options_flag(o, "json") || options_flag(o, "quiet"),
    };
    int64_t think_ms;
    if (!size_option(o, "connections", 1, 20000, &plan->connections) ||
        !options_int(o, "seconds", 1, 86400, &plan->seconds) ||
        !options_int(o, "requests", 0, INT64_C(1000000000), &plan->requests) ||
        !size_option(o, "accounts", 2, 100000000, &plan->accounts) ||
        !size_option(o, "bulk", 0, LIMIT_BATCH_ELEMENTS_MAX, &plan->bulk) ||
        !options_int(o, "rate", 0, 10000000, &plan->rate) ||
        !options_int(o, "think-ms", 0, 3600000, &think_ms) ||
        !size_option(o, "batch", 1, LIMIT_QUEUE_COMMANDS_DEFAULT / 4, &plan->batch) ||
        !size_option(o, "in-flight", 1, 64, &plan->in_flight) ||
        !size_option(o, "lookups", 0, SIZE_MAX / 2 > INT64_MAX ? INT64_MAX : 1000000000, &plan->lookups))
        return false;
    plan->think_us = think_ms * 1000;
    if (options_flag(o, "no-verify"))
        plan->lookups = 0;
    if (!make_run(o, plan)) {
        (void)options_fail(o, EXIT_USAGE, "--reuse '%s' is no run: it has %d hex digits, as 'run' in --json",
            options_get(o, "reuse"), BENCH_RUN_LEN);
        return false;
    }
    if (plan->in_flight * plan->batch > LIMIT_QUEUE_COMMANDS_DEFAULT) {
        (void)options_fail(o, EXIT_USAGE,
            "--batch times --in-flight is more than the engine's queue of %d holds",
            LIMIT_QUEUE_COMMANDS_DEFAULT);
        return false;
    }
    return true;
}

static bool has_database(const struct options *o)
{
    return options_get(o, "data") != NULL || options_get(o, "database-url") != NULL;
}

static void print_fault(void *ctx, const struct verify_fault *fault)
{
    (void)ctx;
    fprintf(
        stderr, "FAULT %s seq %llu: %s\n", fault->invariant, (unsigned long long)fault->seq, fault->message);
}

static int audit(const struct options *o, struct bench_audit *ret_audit, struct err *err)
{
    struct store store;
    struct verify_options how = {.fault = print_fault};
    struct verify_counts counts;
    int64_t from_us = bench_now_us();
    int rc = store_open_read(o, &store, err);
    if (rc != 0)
        return rc;
    rc = verify_journal(store.journal, &how, &counts, err);
    store_close(&store);
    if (rc != 0)
        return err_wrap(err, "verify");
    *ret_audit =
        (struct bench_audit){true, counts.records, counts.faults, (double)(bench_now_us() - from_us) / 1e6};
    return 0;
}

static int measure(const struct options *o, const struct bench_plan *plan, struct bench_results *r)
{
    struct err err = {0};
    struct bench_audit verdict = {0};
    int rc = plan->in_process ? bench_in_process(o, plan, r, &err) : bench_http(plan, r, &err);
    if (rc == 0 && has_database(o) && !options_flag(o, "no-verify"))
        rc = audit(o, &verdict, &err);
    if (rc != 0)
        return options_fail(o, rc == ERR_CONFIG ? EXIT_USAGE : EXIT_ENVIRONMENT, "%s", err.message);
    bench_report(plan, r, &verdict);
    return r->missing == 0 && verdict.faults == 0 && r->n_acked > 0 ? EXIT_OK : EXIT_FAULT;
}

static int run(const struct options *o)
{
    struct bench_plan plan;
    if (!make_plan(o, &plan))
        return EXIT_USAGE;
    if (plan.in_process && !has_database(o))
        return options_fail(o, EXIT_USAGE, "--in-process needs --data DIR: it is filled with measurements");
    struct bench_results *r = calloc(1, sizeof *r);
    INVARIANT(r != NULL);
    r->accounts = calloc(plan.accounts, sizeof *r->accounts);
    INVARIANT(r->accounts != NULL);
    int code = measure(o, &plan, r);
    free(r->accounts);
    free(r->acked);
    free(r);
    return code;
}

const struct command_spec cmd_bench = {
    .name = "bench",
    .summary = "measure a server, or the engine without one, and check what it acknowledged",
    .positional = "",
    .details =
        "Opens accounts of its own, sends transfers of 1 minor unit between them, each with a key, a "
        "reference\n"
        "and metadata of its own, and reports how many were acknowledged a second and how long answers "
        "took.\n"
        "Connections send one request at a time and wait for its answer (closed loop); with --rate requests\n"
        "are due at fixed times, and a server that falls behind shows it in the latencies (open loop).\n"
        "\n"
        "Afterwards acknowledged transfers are looked up again; with --data the database is audited as by\n"
        "'creditledger verify'. The records stay: measure on a database that is for measuring.\n"
        "\n"
        "Exit status: 0 all acknowledged transfers looked up are there, 1 some are missing, faults were "
        "found\n"
        "or nothing was acknowledged, 2 usage, 3 the server or the database cannot be reached.",
    .options = options,
    .run = run,
};
