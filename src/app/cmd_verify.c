/* `creditledger verify`: the auditor on the command line. Reads only, beside whatever else runs. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "api/json_out.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/store.h"
#include "app/verify.h"

struct report {
    bool json;
    struct progress progress;
    struct strbuf faults, ledgers; /* members of two JSON arrays */
};

static void print_fault(const struct verify_fault *f)
{
    printf("FAULT %s", f->invariant);
    if (f->ledger != NULL)
        printf(" ledger %s", f->ledger);
    if (f->seq != 0)
        printf(" seq %" PRIu64, f->seq);
    if (f->account != 0)
        printf(" account %" PRIu64, f->account);
    printf(": %s\n", f->message);
}

static void on_fault(void *ctx, const struct verify_fault *f)
{
    struct report *r = ctx;
    if (!r->json) {
        progress_end(&r->progress);
        print_fault(f);
        return;
    }
    struct json_out o = {.b = &r->faults};
    out_begin(&o, '{');
    out_c_member(&o, "invariant", f->invariant);
    out_c_member(&o, "ledger", f->ledger);
    if (f->seq != 0)
        out_uint_member(&o, "seq", f->seq);
    if (f->account != 0)
        out_uint_member(&o, "account", f->account);
    out_c_member(&o, "message", f->message);
    out_end(&o, '}');
}

static void on_ledger(void *ctx, const struct ledger_row *ledger, const struct ledger_head *head)
{
    struct report *r = ctx;
    struct strbuf hash;
    strbuf_init(&hash);
    strbuf_hex(&hash, head->hash, HASH_LEN);
    if (r->json) {
        struct json_out o = {.b = &r->ledgers};
        out_begin(&o, '{');
        out_c_member(&o, "ledger", ledger->name);
        out_uint_member(&o, "seq", head->seq);
        out_uint_member(&o, "accounts", head->accounts);
        out_str_member(&o, "hash", strbuf_view(&hash));
        out_end(&o, '}');
    } else {
        progress_end(&r->progress);
        printf("ledger %s: %" PRIu64 " records, %" PRIu64 " accounts, head " STR_FMT "\n", ledger->name,
            head->seq, head->accounts, STR_ARG(strbuf_view(&hash)));
    }
    strbuf_fini(&hash);
}

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct report *r = ctx;
    r->progress.total = total;
    progress_at(&r->progress, done);
    return true;
}

static void print_json(const struct report *r, const struct verify_counts *c, double seconds)
{
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {.b = &b};
    out_begin(&o, '{');
    out_bool_member(&o, "ok", c->faults == 0);
    out_bool_member(&o, "complete", !c->stopped);
    out_uint_member(&o, "records", c->records);
    out_uint_member(&o, "entries", c->entries);
    out_uint_member(&o, "accounts", c->accounts);
    out_uint_member(&o, "lots", c->lots);
    out_uint_member(&o, "keys", c->keys);
    out_uint_member(&o, "texts", c->texts);
    out_uint_member(&o, "textsErased", c->texts_erased);
    out_uint_member(&o, "milliseconds", (uint64_t)(seconds * 1e3));
    out_uint_member(&o, "recordsPerSecond", seconds > 0 ? (uint64_t)((double)c->records / seconds) : 0);
    out_key(&o, "ledgers");
    strbuf_printf(&b, "[" STR_FMT "]", STR_ARG(strbuf_view(&r->ledgers)));
    out_key(&o, "faults");
    strbuf_printf(&b, "[" STR_FMT "]", STR_ARG(strbuf_view(&r->faults)));
    out_end(&o, '}');
    puts((strbuf_char(&b, '\0'), b.data));
    strbuf_fini(&b);
}

static void print_text(const struct verify_counts *c, double seconds)
{
    printf("checked %" PRIu64 " records, %" PRIu64 " entries, %" PRIu64 " accounts, %" PRIu64
           " lots, %" PRIu64 " keys and %" PRIu64 " texts (%" PRIu64 " erased) of %" PRIu64
           " ledgers in %.2f s: %.0f records/s\n",
        c->records, c->entries, c->accounts, c->lots, c->keys, c->texts, c->texts_erased, c->ledgers, seconds,
        seconds > 0 ? (double)c->records / seconds : 0);
    if (c->faults == 0)
        printf("OK: seq, times and ids (I1), sums (I2, I3), balances recomputed from zero (I4, I5), floors "
               "(I6), the "
               "database's own guards (I7), keys (I8) and the hash chain (I10)\n");
    else
        printf("%s%" PRIu64 " fault%s\n", c->stopped ? "stopped after " : "", c->faults,
            c->faults == 1 ? "" : "s");
}

static int audit(const struct options *o, struct store *store, int64_t max_faults)
{
    struct report r = {.json = options_flag(o, "json")};
    strbuf_init(&r.faults);
    strbuf_init(&r.ledgers);
    struct verify_options options = {
        .ledger = str_of(options_get(o, "ledger")),
        .max_faults = (uint64_t)max_faults,
        .fault = on_fault,
        .ledger_done = on_ledger,
        .progress = on_progress,
        .ctx = &r,
    };
    if (journal_open(store->url, &store->options, &options.second, NULL) != 0)
        options.second = NULL; /* then one handle does all, one after the other */
    struct timespec from, to;
    struct verify_counts counts;
    struct err err = {0};
    progress_begin(&r.progress, "verifying", 0, r.json);
    clock_gettime(CLOCK_MONOTONIC, &from);
    int rc = verify_journal(store->journal, &options, &counts, &err);
    clock_gettime(CLOCK_MONOTONIC, &to);
    journal_close(options.second);
    progress_end(&r.progress);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    int code = EXIT_ENVIRONMENT;
    if (rc == 0) {
        if (r.json)
            print_json(&r, &counts, seconds);
        else
            print_text(&counts, seconds);
        code = counts.faults == 0 ? EXIT_OK : EXIT_FAULT;
    } else {
        code = options_fail(o,
            rc == ERR_NOT_FOUND ? EXIT_USAGE
            : rc == ERR_CORRUPT ? EXIT_FAULT
                                : EXIT_ENVIRONMENT,
            "%s", err.message);
    }
    strbuf_fini(&r.faults);
    strbuf_fini(&r.ledgers);
    return code;
}

static int run(const struct options *o)
{
    int64_t max_faults;
    struct store store;
    struct err err;
    if (!options_int(o, "max-faults", 1, 1000000, &max_faults))
        return EXIT_USAGE;
    int rc = store_open_read(o, &store, &err);
    if (rc != 0)
        return options_fail(o, rc == ERR_CORRUPT ? EXIT_FAULT : EXIT_ENVIRONMENT, "%s", err.message);
    int code = audit(o, &store, max_faults);
    store_close(&store);
    return code;
}

static const struct option_spec options[] = {
    STORE_OPTIONS,
    {"ledger", "NAME", "only this ledger (default: all)", NULL, NULL, NULL},
    {"max-faults", "N", "stop after that many faults in the records", NULL, "20", NULL},
    {"json", NULL, "print one JSON object", NULL, NULL, NULL},
    {0},
};

const struct command_spec cmd_verify = {
    .name = "verify",
    .summary = "audit the whole journal: recompute every balance, check every rule and the hash chain",
    .positional = "",
    .details = "Reads every record of every ledger in order, beside a running server if there is one, and "
               "checks the\n"
               "invariants of docs/invariants.md with arithmetic of its own. A fault is printed with its "
               "invariant, ledger,\n"
               "seq and account number. The head hashes that it prints are worth keeping elsewhere: they fix "
               "all history\n"
               "before them.\n"
               "\n"
               "Exit status: 0 all is well, 1 faults were found, 2 usage, 3 the journal could not be read.",
    .options = options,
    .run = run,
};
