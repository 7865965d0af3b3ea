/* `creditledger projections`: the read model from outside: how far it is, whether it is right, and made anew. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/json_out.h"
#include "app/downstream.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/store.h"
#include "base/instant.h"
#include "readmodel/projector.h"

#define PARKED_PAGE 100
#define PAYLOAD_SHOWN 400

struct work {
    const struct options *o;
    bool json;
    struct store store; /* describes only; nothing is opened through it */
    struct downstream downstream;
    struct projector_config config;
};

/* --- help for all of them ----------------------------------------------------------------------------------- */

static int fail(const struct work *w, int code, const struct err *err)
{
    if (code == ERR_NOT_FOUND)
        return options_fail(w->o, EXIT_ENVIRONMENT,
            "%s\nthere is no read model at %s yet: 'creditledger serve' or 'creditledger projections "
            "rebuild' "
            "makes one",
            err->message, w->downstream.read_shown);
    return options_fail(w->o, code == ERR_CORRUPT ? EXIT_FAULT : EXIT_ENVIRONMENT, "%s", err->message);
}

static void print_json(struct strbuf *b)
{
    strbuf_char(b, '\0');
    puts(b->data);
}

static double seconds_since(int64_t instant)
{
    int64_t now = store_now(NULL);
    return instant == 0 || now < instant ? 0 : (double)(now - instant) / 1e6;
}

/* --- status ------------------------------------------------------------------------------------------------- */

static const char *phase_name(enum projector_phase phase)
{
    switch (phase) {
    case PROJECTOR_STANDBY:
        return "standby";
    case PROJECTOR_FOLLOWING:
        return "following";
    case PROJECTOR_STOPPED_AT_GAP:
        return "gap";
    case PROJECTOR_FAILING:
        return "failing";
    }
    return "unknown";
}

static const char *generation_state_name(enum generation_state state)
{
    return state == GENERATION_LIVE ? "live" : state == GENERATION_BUILDING ? "building" : "retired";
}

static uint64_t lag_of(const struct projector_ledger *l)
{
    return l->journal_seq > l->seq ? l->journal_seq - l->seq : 0;
}

static void status_json(const struct projector_status *s)
{
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {.b = &b};
    out_begin(&o, '{');
    out_key(&o, "generations");
    out_begin(&o, '[');
    for (size_t i = 0; i < s->n_generations; i++) {
        const struct generation *g = &s->generations[i];
        out_begin(&o, '{');
        out_uint_member(&o, "id", g->id);
        out_c_member(&o, "state", generation_state_name(g->state));
        out_uint_member(&o, "format", g->format);
        out_c_member(&o, "source", g->source);
        out_instant_member(&o, "madeAt", g->made_at);
        out_key(&o, "liveAt");
        if (g->live_at != 0)
            out_instant(&o, g->live_at);
        else
            out_null(&o);
        out_end(&o, '}');
    }
    out_end(&o, ']');
    out_uint_member(&o, "live", s->live);
    out_bool_member(&o, "readable", s->readable);
    out_bool_member(&o, "rebuilding", s->rebuilding);
    out_c_member(&o, "holder", s->holder[0] != '\0' ? s->holder : NULL);
    out_c_member(&o, "phase", s->holder[0] == '\0' ? "stopped" : phase_name(s->state.phase));
    out_c_member(&o, "detail", s->state.detail[0] != '\0' ? s->state.detail : NULL);
    out_bool_member(&o, "gap", s->state.phase == PROJECTOR_STOPPED_AT_GAP);
    out_uint_member(&o, "parked", s->parked);
    out_key(&o, "ledgers");
    out_begin(&o, '[');
    for (size_t i = 0; i < s->n_ledgers; i++) {
        const struct projector_ledger *l = &s->ledgers[i];
        out_begin(&o, '{');
        out_str_member(&o, "ledger", l->name);
        out_uint_member(&o, "journalSeq", l->journal_seq);
        out_uint_member(&o, "projectedSeq", l->seq);
        out_uint_member(&o, "lagRecords", lag_of(l));
        out_key(&o, "lagSeconds");
        strbuf_printf(&b, "%.3f", seconds_since(l->next_at));
        out_end(&o, '}');
    }
    out_end(&o, ']');
    out_end(&o, '}');
    print_json(&b);
    strbuf_fini(&b);
}

static void status_ledgers(const struct projector_status *s)
{
    printf("%-24s %14s %14s %12s %12s\n", "ledger", "journal seq", "projected seq", "lag records",
        "lag seconds");
    for (size_t i = 0; i < s->n_ledgers; i++) {
        const struct projector_ledger *l = &s->ledgers[i];
        printf("%-24.*s %14" PRIu64 " %14" PRIu64 " %12" PRIu64 " %12.3f\n", STR_ARG(l->name), l->journal_seq,
            l->seq, lag_of(l), seconds_since(l->next_at));
    }
}

static void status_text(const struct work *w, const struct projector_status *s)
{
    char at[INSTANT_TEXT_LEN + 1];
    printf("read model at %s\n", w->downstream.read_shown);
    for (size_t i = 0; i < s->n_generations; i++) {
        const struct generation *g = &s->generations[i];
        instant_format(g->made_at, at);
        printf("generation %" PRIu32 ": %s, from %s, format %" PRIu32 "%s, made %s\n", g->id,
            generation_state_name(g->state), g->source, g->format,
            g->format == READMODEL_FORMAT ? "" : " (not this program's: rebuild)", at);
    }
    if (s->holder[0] == '\0')
        printf("projector: nobody projects\n");
    else
        printf("projector: %s, %s\n", s->holder, phase_name(s->state.phase));
    if (s->rebuilding)
        printf("a rebuild is running\n");
    if (s->state.detail[0] != '\0')
        printf("%s: %s\n", s->state.phase == PROJECTOR_STOPPED_AT_GAP ? "GAP" : "FAILING", s->state.detail);
    printf("parked messages: %" PRIu64 "%s\n", s->parked,
        s->parked > 0 ? " ('creditledger projections parked' lists them)" : "");
    status_ledgers(s);
}

static int run_status(const struct work *w)
{
    struct projector_status status;
    struct arena arena;
    struct err err = {0};
    arena_init(&arena, 0);
    int r = projector_status(&w->config, &arena, &status, &err);
    int code = EXIT_OK;
    if (r != 0)
        code = fail(w, r, &err);
    else if (w->json)
        status_json(&status);
    else
        status_text(w, &status);
    if (r == 0 && (status.state.phase == PROJECTOR_STOPPED_AT_GAP || !status.readable))
        code = EXIT_FAULT;
    arena_fini(&arena);
    return code;
}

/* --- check -------------------------------------------------------------------------------------------------- */

struct check {
    bool json;
    struct progress progress;
    struct strbuf differences;
};

static void on_difference(void *ctx, const struct check_difference *d)
{
    struct check *c = ctx;
    if (!c->json) {
        progress_end(&c->progress);
        printf("DIFFERENCE ledger " STR_FMT, STR_ARG(d->ledger));
        if (d->account != 0)
            printf(" account %" PRIu64, d->account);
        printf(" %s: the journal has %s, the read model %s\n", d->what, d->expected, d->found);
        return;
    }
    struct json_out o = {.b = &c->differences};
    out_begin(&o, '{');
    out_str_member(&o, "ledger", d->ledger);
    if (d->account != 0)
        out_uint_member(&o, "account", d->account);
    out_c_member(&o, "what", d->what);
    out_c_member(&o, "expected", d->expected);
    out_c_member(&o, "found", d->found);
    out_end(&o, '}');
}

static bool on_checked(void *ctx, uint64_t done, uint64_t total)
{
    struct check *c = ctx;
    return progress_step(&c->progress, done, total);
}

static void check_result(const struct check *c, const struct check_report *r, double seconds)
{
    if (!c->json) {
        printf("compared %" PRIu64 " accounts, %" PRIu64 " lines and %" PRIu64 " transfers in %.2f s: ",
            r->accounts, r->lines, r->transfers, seconds);
        printf(r->differences == 0 ? "the read model equals the journal (I11)\n"
                                   : "%" PRIu64
                                     " differences; 'creditledger projections rebuild' makes it anew\n",
            r->differences);
        return;
    }
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {.b = &b};
    out_begin(&o, '{');
    out_bool_member(&o, "ok", r->differences == 0);
    out_uint_member(&o, "accounts", r->accounts);
    out_uint_member(&o, "lines", r->lines);
    out_uint_member(&o, "transfers", r->transfers);
    out_uint_member(&o, "milliseconds", (uint64_t)(seconds * 1e3));
    out_key(&o, "differences");
    strbuf_printf(&b, "[" STR_FMT "]", STR_ARG(strbuf_view(&c->differences)));
    out_end(&o, '}');
    print_json(&b);
    strbuf_fini(&b);
}

static int run_check(const struct work *w)
{
    struct check c = {.json = w->json};
    struct check_report report;
    struct err err = {0};
    strbuf_init(&c.differences);
    progress_mind_signals();
    int64_t began = store_now(NULL);
    progress_begin(&c.progress, "checking", 0, w->json);
    int r = projector_check(&w->config, on_difference, on_checked, &c, &report, &err);
    progress_end(&c.progress);
    int code = r != 0 ? fail(w, r, &err) : report.differences == 0 ? EXIT_OK : EXIT_FAULT;
    if (r == 0)
        check_result(&c, &report, seconds_since(began));
    strbuf_fini(&c.differences);
    return code;
}

/* --- rebuild ------------------------------------------------------------------------------------------------ */

static void rebuild_result(const struct work *w, const struct rebuild_report *r)
{
    double seconds = (double)r->took_us / 1e6, rate = seconds > 0 ? (double)r->records / seconds : 0;
    if (!w->json) {
        printf("generation %" PRIu32 " is live: %" PRIu64 " records, %" PRIu64
               " facts in %.2f s, %.0f records/s\n",
            r->id, r->records, r->facts, seconds, rate);
        return;
    }
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {.b = &b};
    out_begin(&o, '{');
    out_uint_member(&o, "generation", r->id);
    out_uint_member(&o, "records", r->records);
    out_uint_member(&o, "facts", r->facts);
    out_uint_member(&o, "milliseconds", (uint64_t)(seconds * 1e3));
    out_uint_member(&o, "recordsPerSecond", (uint64_t)rate);
    out_end(&o, '}');
    print_json(&b);
    strbuf_fini(&b);
}

static int run_rebuild(const struct work *w)
{
    struct progress progress;
    struct rebuild_report report;
    struct err err = {0};
    progress_mind_signals();
    progress_begin(&progress, "rebuilding", 0, w->json);
    int r = projector_rebuild(&w->config, progress_step, &progress, &report, &err);
    progress_end(&progress);
    if (r != 0)
        return options_fail(w->o, r == ERR_CORRUPT ? EXIT_FAULT : EXIT_ENVIRONMENT, "%s", err.message);
    rebuild_result(w, &report);
    return EXIT_OK;
}

/* --- parked ------------------------------------------------------------------------------------------------- */

static void parked_json(struct json_out *o, const struct parked *p)
{
    out_begin(o, '{');
    out_int_member(o, "id", p->id);
    out_str_member(o, "reason", p->reason);
    out_str_member(o, "topic", p->topic);
    out_uint_member(o, "part", p->part);
    out_int_member(o, "offset", p->offset);
    out_str_member(o, "key", p->key);
    out_str_member(o, "type", p->type);
    out_instant_member(o, "parkedAt", p->parked_at);
    out_bool_member(o, "replayed", p->replayed);
    out_str_member(o, "payload", str_utf8_valid(p->payload) ? p->payload : STR_NONE);
    out_end(o, '}');
}

static void parked_text(const struct parked *p)
{
    char at[INSTANT_TEXT_LEN + 1];
    struct str payload = p->payload;
    instant_format(p->parked_at, at);
    if (payload.len > PAYLOAD_SHOWN)
        payload.len = PAYLOAD_SHOWN;
    printf("%" PRId64 "  %s  " STR_FMT "  part %" PRIu32 " offset %" PRId64 "  " STR_FMT "%s\n    " STR_FMT
           "\n",
        p->id, at, STR_ARG(p->topic), p->part, p->offset, STR_ARG(p->type), p->replayed ? "  (replayed)" : "",
        STR_ARG(p->reason));
    if (payload.len > 0 && str_utf8_valid(p->payload))
        printf("    " STR_FMT "%s\n", STR_ARG(payload), payload.len < p->payload.len ? "..." : "");
}

static int list_parked(const struct work *w, struct readmodel *model, struct json_out *out, struct err *err)
{
    struct arena arena;
    struct parked *parked;
    bool all = options_flag(w->o, "all");
    int r = 0;
    int64_t after = 0;
    arena_init(&arena, 0);
    for (size_t n = PARKED_PAGE; r == 0 && n == PARKED_PAGE;) {
        arena_reset(&arena);
        r = readmodel_parked(model, after, PARKED_PAGE, &arena, &parked, &n, err);
        for (size_t i = 0; r == 0 && i < n; i++) {
            after = parked[i].id;
            if (parked[i].replayed && !all)
                continue;
            if (w->json)
                parked_json(out, &parked[i]);
            else
                parked_text(&parked[i]);
        }
    }
    arena_fini(&arena);
    return r;
}

static int run_parked(const struct work *w)
{
    const struct readmodel_options options = {.pooled = w->config.pooled};
    struct readmodel *model;
    struct strbuf b;
    struct err err = {0};
    int r = readmodel_open(w->config.read_url, &options, &model, &err);
    if (r != 0)
        return fail(w, r, &err);
    strbuf_init(&b);
    struct json_out o = {.b = &b};
    out_begin(&o, '[');
    r = list_parked(w, model, &o, &err);
    out_end(&o, ']');
    readmodel_close(model);
    if (r == 0 && w->json)
        print_json(&b);
    strbuf_fini(&b);
    return r == 0 ? EXIT_OK : fail(w, r, &err);
}

/* --- replay ------------------------------------------------------------------------------------------------- */

static void on_replayed(void *ctx, const struct parked *p, const char *reason)
{
    const struct work *w = ctx;
    if (w->json)
        return;
    if (reason == NULL)
        printf("%" PRId64 ": applied\n", p->id);
    else
        printf("%" PRId64 ": stays parked: %s\n", p->id, reason);
}

static int run_replay(const struct work *w)
{
    struct replay_report report;
    struct err err = {0};
    int64_t id = 0;
    bool all = options_flag(w->o, "all"), named = options_positional(w->o) > 1;
    if (all == named)
        return options_fail(w->o, EXIT_USAGE, "replay takes the number of a parked message, or --all");
    if (named && (!str_to_int64(str_of(options_positional_at(w->o, 1)), &id) || id <= 0))
        return options_fail(w->o, EXIT_USAGE,
            "'%s' is no number of a parked message: 'projections parked' lists them",
            options_positional_at(w->o, 1));
    int r = projector_replay(&w->config, id, on_replayed, (void *)(uintptr_t)w, &report, &err);
    if (r == ERR_NOT_FOUND)
        return options_fail(w->o, EXIT_USAGE, "%s", err.message);
    if (r != 0)
        return fail(w, r, &err);
    if (w->json)
        printf(
            "{\"applied\":%" PRIu64 ",\"stillParked\":%" PRIu64 "}\n", report.applied, report.still_parked);
    else
        printf("%" PRIu64 " applied, %" PRIu64 " still parked\n", report.applied, report.still_parked);
    return report.still_parked == 0 ? EXIT_OK : EXIT_FAULT;
}

/* --- the command -------------------------------------------------------------------------------------------- */

static int describe(const struct options *o, struct work *w, struct err *err)
{
    int r = store_describe(o, &w->store, err);
    if (r == 0)
        r = downstream_describe(o, &w->store, &w->downstream, err);
    if (r == 0 && !w->downstream.has_read)
        r = err_set(err, ERR_CONFIG,
            "there is no read model: %s is in memory, or --read-database-url is none", w->store.shown);
    if (r != 0)
        return r;
    w->json = options_flag(o, "json");
    w->config = (struct projector_config){
        .read_url = w->downstream.read_url,
        .pooled = w->downstream.pooled,
        .journal_url = w->store.url,
        .journal_options = &w->store.options,
        .kafka = w->downstream.has_kafka ? &w->downstream.kafka : NULL,
    };
    return 0;
}

static int run(const struct options *o)
{
    static const struct {
        const char *name;
        int (*run)(const struct work *w);
        bool takes_more;
    } verbs[] = {{"status", run_status, false}, {"check", run_check, false}, {"rebuild", run_rebuild, false},
        {"parked", run_parked, false}, {"replay", run_replay, true}};
    const char *verb = options_positional_at(o, 0);
    struct work w = {.o = o};
    struct err err = {0};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, verb) != 0)
            continue;
        if (options_positional(o) > 1 && !verbs[i].takes_more)
            return options_fail(o, EXIT_USAGE, "unexpected argument '%s'", options_positional_at(o, 1));
        if (describe(o, &w, &err) != 0)
            return options_fail(o, EXIT_USAGE, "%s", err.message);
        return verbs[i].run(&w);
    }
    return options_fail(
        o, EXIT_USAGE, "there is no '%s': use status, check, rebuild, parked or replay", verb);
}

static const struct option_spec options[] = {
    STORE_OPTIONS,
    READ_OPTIONS,
    KAFKA_OPTIONS,
    {"all", NULL, "replay: every parked message; parked: also those that were replayed", NULL, NULL, NULL},
    {"json", NULL, "print JSON", NULL, NULL, NULL},
    {0},
};

const struct command_spec cmd_projections = {
    .name = "projections",
    .summary = "the read model: how far it is, whether it equals the journal, and making it anew",
    .positional = "status|check|rebuild|parked|replay [ID]",
    .positional_min = 1,
    .positional_max = 2,
    .details =
        "status   generations, who projects, how far each ledger is, parked messages and gaps\n"
        "check    compares the read model with the journal, account by account: balances recomputed by the\n"
        "         journal's database, every line, every day, every transfer, every total (I11)\n"
        "rebuild  makes the read model anew from the journal, beside the live one, and switches over;\n"
        "         the server may run, and serves the old one until then. Interrupted, it leaves nothing\n"
        "parked   messages that could not be read or that contradict what is there, with the reason\n"
        "replay   applies a parked message again, or --all of them\n"
        "\n"
        "With --kafka-brokers as the server has them, a rebuilt read model goes on in the topics where the\n"
        "one before it was. docs/projections.md tells more.\n"
        "\n"
        "Exit status: 0 all is well, 1 differences, a gap, or messages that stay parked, 2 usage, 3 a\n"
        "database or the network is in the way.",
    .options = options,
    .run = run,
};
