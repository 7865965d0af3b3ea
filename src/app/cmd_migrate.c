/*
 * `creditledger migrate`: makes the database, or brings its schema up to date, without serving. `serve` does
 * the same when it starts and may; this is for deployments that want it as a step of its own, and in PostgreSQL as
 * another role than the server's.
 */
#include <stdio.h>

#include "api/json_out.h"
#include "app/store.h"
#include "journal/postgres.h"

static const struct option_spec options[] = {
    STORE_OPTIONS,
    {"runtime-role", "NAME", "PostgreSQL: a role for servers, made if missing, that may read and append only",
        "CREDITLEDGER_RUNTIME_ROLE", NULL, NULL},
    {"plain", NULL, "PostgreSQL's relatives: tables, keys and checks, no triggers and functions",
        "CREDITLEDGER_PLAIN", NULL, NULL},
    {"json", NULL, "print JSON", NULL, NULL, NULL},
    {.name = NULL},
};

static bool is_current(const struct store *s)
{
    struct journal *j;
    if (journal_open(s->url, &s->options, &j, NULL) != 0)
        return false;
    journal_close(j);
    return true;
}

struct notes {
    bool json;
    size_t n;
    struct strbuf b; /* the answer as JSON, as far as it is known */
};

static int on_note(void *ctx, const char *note)
{
    struct notes *notes = ctx;
    struct json_out out = {.b = &notes->b};
    notes->n++;
    if (notes->json)
        out_str(&out, str_of(note));
    else
        puts(note);
    return 0;
}

/* A file, or memory: opening it to write brings it up to date. */
static int migrate_file(const struct store *s, bool *ret_changed, struct err *err)
{
    struct journal *j;
    struct journal_options write = s->options;
    int lock;
    write.mode = JOURNAL_WRITE;
    write.create = true;
    int failed = store_lock(s->url, &lock, err);
    if (failed)
        return failed;
    *ret_changed = !is_current(s);
    failed = journal_open(s->url, &write, &j, err);
    if (!failed)
        journal_close(j);
    store_unlock(lock);
    return failed;
}

static int migrate_postgres(
    const struct options *o, const struct store *s, struct notes *notes, bool *ret_changed, struct err *err)
{
    const struct postgres_migration_plan plan = {
        .now = s->options.now,
        .runtime_role = options_get(o, "runtime-role"),
        .plain = options_flag(o, "plain"),
    };
    const char *url = s->options.direct_url != NULL ? s->options.direct_url : s->url;
    int failed = postgres_migrate(url, &plan, on_note, notes, err);
    *ret_changed = notes->n > 0;
    return failed;
}

static void print_result(const struct store *s, struct notes *notes, bool changed)
{
    if (!notes->json) {
        printf("%s %s\n", s->shown, changed ? "is up to date now" : "was up to date");
        return;
    }
    struct json_out out = {.b = &notes->b};
    out_end(&out, ']');
    out_bool_member(&out, "changed", changed);
    out_end(&out, '}');
    printf(STR_FMT "\n", STR_ARG(strbuf_view(&notes->b)));
}

static int run(const struct options *o)
{
    struct store s;
    struct err err = {0};
    bool changed = false;
    if (store_describe(o, &s, &err) != 0)
        return options_fail(o, EXIT_USAGE, "%s", err.message);
    bool postgres = postgres_url(s.url);
    if (!postgres && (options_given(o, "runtime-role") || options_given(o, "plain")))
        return options_fail(
            o, EXIT_USAGE, "--runtime-role and --plain are for PostgreSQL: name it with --database-url");
    struct notes notes = {.json = options_flag(o, "json")};
    struct json_out out = {.b = &notes.b};
    strbuf_init(&notes.b);
    out_begin(&out, '{');
    out_key(&out, "notes");
    out_begin(&out, '[');
    int failed =
        postgres ? migrate_postgres(o, &s, &notes, &changed, &err) : migrate_file(&s, &changed, &err);
    if (!failed)
        print_result(&s, &notes, changed);
    strbuf_fini(&notes.b);
    return failed ? options_fail(o, EXIT_ENVIRONMENT, "%s", err.message) : EXIT_OK;
}

const struct command_spec cmd_migrate = {
    .name = "migrate",
    .summary = "make the database or bring its schema up to date",
    .positional = "",
    .details =
        "An embedded database must not be open in a server meanwhile. A database written by a newer version "
        "is\n"
        "refused and left as it is.\n"
        "\n"
        "Over PostgreSQL: schema creditledger of the database in the URL, in one transaction, as a role that "
        "owns\n"
        "it or may create it. --runtime-role makes and grants a role that may select and insert there and\n"
        "nothing more, and that keeps read models in schema creditledger_read: let servers connect as that\n"
        "one. --plain leaves triggers and functions out, for databases that have none (docs/scaling.md says\n"
        "what is then no longer enforced by the database).",
    .options = options,
    .run = run,
};
