/* `creditledger export`: a ledger's records in a format that other programs read. Beside whatever else runs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/export.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/store.h"

#define PATH_LEN_MAX 4096

static bool parse_format(const struct options *o, enum export_format *ret_format)
{
    static const char *const names[] = {"ndjson", "csv", "hledger", "beancount"};
    const char *name = options_get(o, "format");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret_format = (enum export_format)i;
            return true;
        }
    return false;
}

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct progress *p = ctx;
    p->total = total;
    progress_at(p, done);
    return true;
}

/* The file appears under its name only when it is whole. */
static int finish_file(FILE *out, const char *part, const char *path, int rc, struct err *err)
{
    if (rc == 0 && fsync(fileno(out)) != 0)
        rc = err_set(err, ERR_IO, "%s: %s", part, strerror(errno));
    if (fclose(out) != 0 && rc == 0)
        rc = err_set(err, ERR_IO, "%s: %s", part, strerror(errno));
    if (rc == 0 && rename(part, path) != 0)
        rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    if (rc != 0)
        unlink(part);
    return rc;
}

static int export_to(const char *path, struct export_request *request, uint64_t *ret_records, struct err *err)
{
    if (path == NULL) {
        request->out = stdout;
        return export_ledger(request, ret_records, err);
    }
    char part[PATH_LEN_MAX];
    if (snprintf(part, sizeof part, "%s.partial", path) >= (int)sizeof part)
        return err_set(err, ERR_CONFIG, "the output's path is too long");
    request->out = fopen(part, "we");
    if (request->out == NULL)
        return err_set(err, ERR_IO, "%s: %s", part, strerror(errno));
    return finish_file(request->out, part, path, export_ledger(request, ret_records, err), err);
}

static int run_with(const struct options *o, struct store *store, enum export_format format, int64_t from_seq)
{
    const struct ledger_row *ledger =
        catalog_ledger_by_name(store->catalog, str_of(options_get(o, "ledger")));
    if (ledger == NULL)
        return options_fail(o, EXIT_USAGE, "there is no ledger '%s'", options_get(o, "ledger"));
    struct progress progress;
    const char *path = options_get(o, "output");
    struct export_request request = {
        .j = store->journal,
        .ledger = ledger,
        .format = format,
        .from_seq = (uint64_t)from_seq,
        .progress = on_progress,
        .ctx = &progress,
    };
    uint64_t records;
    struct err err = {0};
    progress_begin(&progress, "exporting", 0, path == NULL);
    int rc = export_to(path, &request, &records, &err);
    progress_end(&progress);
    if (rc != 0)
        return options_fail(o, rc == ERR_CORRUPT ? EXIT_FAULT : EXIT_ENVIRONMENT, "%s", err.message);
    if (path != NULL)
        fprintf(stderr, "%" PRIu64 " records to %s\n", records, path);
    return EXIT_OK;
}

static int run(const struct options *o)
{
    enum export_format format;
    int64_t from_seq;
    if (!parse_format(o, &format))
        return options_fail(o, EXIT_USAGE, "--format is '%s': use ndjson, csv, hledger or beancount",
            options_get(o, "format"));
    if (!options_int(o, "from-seq", 1, INT64_MAX, &from_seq))
        return EXIT_USAGE;
    if (from_seq != 1 && (format == EXPORT_HLEDGER || format == EXPORT_BEANCOUNT))
        return options_fail(o, EXIT_USAGE, "--from-seq would give %s wrong balances: it needs all history",
            options_get(o, "format"));
    struct store store;
    struct err err;
    int rc = store_open_read(o, &store, &err);
    if (rc != 0)
        return options_fail(o, EXIT_ENVIRONMENT, "%s", err.message);
    int code = run_with(o, &store, format, from_seq);
    store_close(&store);
    return code;
}

static const struct option_spec options[] = {
    STORE_OPTIONS,
    {"format", "FORMAT", "ndjson (complete), csv (an entry a line), hledger, beancount", NULL, "ndjson",
        "ndjson csv hledger beancount"},
    {"ledger", "NAME", "which ledger", NULL, "main", NULL},
    {"from-seq", "N", "start at this record (ndjson and csv)", NULL, "1", NULL},
    {"output", "FILE", "write there instead of standard output; the file appears when it is complete", NULL,
        NULL, "@file"},
    {0},
};

const struct command_spec cmd_export = {
    .name = "export",
    .summary = "write a ledger's records as NDJSON, CSV, or for hledger and beancount",
    .positional = "",
    .details = "Shows one consistent state, beside a running server if there is one. NDJSON has every byte "
               "that the hash\n"
               "chain covers (docs/export.md); it ends with a line of type \"end\", so a cut-off file shows. "
               "hledger and\n"
               "beancount are independent programs: what they say about the balances is a second opinion.\n"
               "\n"
               "  creditledger export --format hledger | hledger -f - check\n"
               "\n"
               "Exit status: 0 written, 1 the journal contradicts itself, 2 usage, 3 it could not be read or "
               "written.",
    .options = options,
    .run = run,
};
