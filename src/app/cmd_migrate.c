/*
 * `creditledger migrate`: makes the database, or brings its schema up to date, without serving. `serve` does
 * the same when it starts; this is for deployments that want it as a step of its own.
 */
#include <stdio.h>

#include "app/store.h"

static const struct option_spec options[] = {
    STORE_OPTIONS,
    {"json", NULL, "print JSON", NULL, NULL, NULL},
    {.name = NULL},
};

static bool is_current(const char *url)
{
    struct journal *j;
    struct journal_options read = {.mode = JOURNAL_READ, .now = store_now(NULL)};
    if (journal_open(url, &read, &j, NULL) != 0)
        return false;
    journal_close(j);
    return true;
}

static int migrate(const char *url, bool *ret_changed, struct err *err)
{
    struct journal *j;
    struct journal_options write = {.mode = JOURNAL_WRITE, .create = true, .now = store_now(NULL)};
    *ret_changed = !is_current(url);
    int failed = journal_open(url, &write, &j, err);
    if (!failed)
        journal_close(j);
    return failed;
}

static int run(const struct options *o)
{
    char url[4200];
    struct err err;
    int lock;
    bool changed = false;
    if (store_url(o, url, sizeof url, &err) != 0)
        return options_fail(o, EXIT_USAGE, "%s", err.message);
    if (store_lock(url, &lock, &err) != 0)
        return options_fail(o, EXIT_ENVIRONMENT, "%s", err.message);
    int failed = migrate(url, &changed, &err);
    store_unlock(lock);
    if (failed)
        return options_fail(o, EXIT_ENVIRONMENT, "%s", err.message);
    if (options_flag(o, "json"))
        printf("{\"changed\":%s}\n", changed ? "true" : "false");
    else
        printf("%s %s\n", url, changed ? "is up to date now" : "was up to date");
    return EXIT_OK;
}

const struct command_spec cmd_migrate = {
    .name = "migrate",
    .summary = "make the database or bring its schema up to date",
    .positional = "",
    .details =
        "Refused while a server has the database open. A database written by a newer version is refused and\n"
        "left as it is.",
    .options = options,
    .run = run,
};
