/* `creditledger backup`: a consistent copy of the database beside a live server, looked over before it gets
 * its name. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/json_out.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/store.h"
#include "journal/postgres.h"

#define PATH_LEN_MAX 4096

struct backup {
    const char *path;
    char part[PATH_LEN_MAX]; /* the copy until it is whole */
    struct progress progress;
    size_t notes;
};

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct backup *b = ctx;
    b->progress.total = total;
    progress_at(&b->progress, done);
    return true;
}

static int on_note(void *ctx, const char *note)
{
    struct backup *b = ctx;
    fprintf(stderr, "the copy: %s\n", note);
    b->notes++;
    return 0;
}

struct heads {
    struct journal *copy;
    const struct catalog *catalog;
    uint64_t records;
    struct err *err;
};

/* The copy was made after the catalog was read, so it has got at least as far. */
static int check_head(void *ctx, const struct ledger_row *ledger)
{
    struct heads *h = ctx;
    struct ledger_head head;
    int rc = h->copy->ops->head(h->copy, ledger->id, &head, h->err);
    if (rc != 0)
        return rc;
    h->records += head.seq;
    if (catalog_ledger(h->catalog, ledger->id) != NULL && head.seq < catalog_head_seq(h->catalog, ledger->id))
        return err_set(h->err, ERR_CORRUPT,
            "ledger %s ends at seq %" PRIu64 " in the copy and at %" PRIu64 " before it", ledger->name,
            head.seq, catalog_head_seq(h->catalog, ledger->id));
    return 0;
}

static int check_copy(struct backup *b, const struct catalog *catalog, uint64_t *ret_records, struct err *err)
{
    char url[PATH_LEN_MAX + 16];
    snprintf(url, sizeof url, "sqlite:%s", b->part);
    struct journal_options options = {.mode = JOURNAL_READ, .now = store_now(NULL)};
    struct heads heads = {.catalog = catalog, .err = err};
    int rc = journal_open(url, &options, &heads.copy, err);
    if (rc != 0)
        return rc;
    rc = heads.copy->ops->self_check(heads.copy, on_note, b, err);
    if (rc == 0 && b->notes > 0)
        rc = err_set(err, ERR_CORRUPT, "the copy is damaged (%zu findings above)", b->notes);
    if (rc == 0)
        rc = heads.copy->ops->ledgers(heads.copy, check_head, &heads, err);
    journal_close(heads.copy);
    *ret_records = heads.records;
    return rc;
}

/* Opening the copy leaves these beside it; without the database's name they mean nothing. */
static void remove_companions(const char *part)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    char path[PATH_LEN_MAX + 16];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(path, sizeof path, "%s%s", part, suffixes[i]);
        unlink(path);
    }
}

static int sync_path(const char *path, int flags, struct err *err)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        int saved = errno;
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_IO, "%s: %s", path, strerror(saved));
    }
    close(fd);
    return 0;
}

/* link() and not rename(): it fails when somebody else has made a file of that name meanwhile. */
static int give_name(struct backup *b, struct err *err)
{
    int rc = sync_path(b->part, O_RDONLY, err);
    if (rc != 0)
        return rc;
    if (link(b->part, b->path) != 0)
        return err_set(err, errno == EEXIST ? ERR_CONFIG : ERR_IO, "%s: %s", b->path, strerror(errno));
    unlink(b->part);
    char *copy = strdup(b->path);
    INVARIANT(copy != NULL);
    rc = sync_path(dirname(copy), O_RDONLY | O_DIRECTORY, err);
    free(copy);
    return rc;
}

static int make_backup(
    struct backup *b, struct store *store, bool check, uint64_t *ret_records, struct err *err)
{
    int rc = store->journal->ops->backup(store->journal, b->part, on_progress, b, err);
    progress_end(&b->progress);
    if (rc == 0 && check)
        rc = check_copy(b, store->catalog, ret_records, err);
    remove_companions(b->part);
    if (rc == 0)
        rc = give_name(b, err);
    if (rc != 0)
        unlink(b->part);
    return rc;
}

static void print_result(const struct options *o, const struct backup *b, bool check, uint64_t records)
{
    struct stat st = {0};
    if (stat(b->path, &st) != 0)
        st.st_size = 0;
    if (!options_flag(o, "json")) {
        printf("%s: %lld bytes%s", b->path, (long long)st.st_size, check ? "" : ", not checked");
        if (check)
            printf(", %" PRIu64
                   " records, looks sound; the full audit: creditledger verify --database-url sqlite:%s",
                records, b->path);
        putchar('\n');
        return;
    }
    struct strbuf text;
    strbuf_init(&text);
    struct json_out out = {.b = &text};
    out_begin(&out, '{');
    out_c_member(&out, "file", b->path);
    out_int_member(&out, "bytes", st.st_size);
    out_bool_member(&out, "checked", check);
    if (check)
        out_uint_member(&out, "records", records);
    out_end(&out, '}');
    printf(STR_FMT "\n", STR_ARG(strbuf_view(&text)));
    strbuf_fini(&text);
}

static int run(const struct options *o)
{
    struct backup b = {.path = options_positional_at(o, 0)};
    bool check = !options_flag(o, "no-check");
    if (access(b.path, F_OK) == 0)
        return options_fail(
            o, EXIT_USAGE, "%s is there already: a backup never overwrites, choose another name", b.path);
    if (snprintf(b.part, sizeof b.part, "%s.partial", b.path) >= (int)sizeof b.part)
        return options_fail(o, EXIT_USAGE, "the path is too long");
    if (access(b.part, F_OK) == 0)
        return options_fail(o, EXIT_USAGE,
            "%s is there: another backup is being made, or was cut off (then remove that file)", b.part);
    struct store store;
    struct err err = {0};
    int rc = store_describe(o, &store, &err);
    if (rc != 0)
        return options_fail(o, EXIT_USAGE, "%s", err.message);
    if (postgres_url(store.url))
        return options_fail(o, EXIT_USAGE,
            "a PostgreSQL database is backed up with PostgreSQL's own tools, beside running servers: "
            "pg_dump --format=custom --schema=creditledger --file=%s '%s'",
            b.path, store.shown);
    rc = store_open_read(o, &store, &err);
    if (rc != 0)
        return options_fail(o, EXIT_ENVIRONMENT, "%s", err.message);
    uint64_t records = 0;
    progress_begin(&b.progress, "copying", 0, options_flag(o, "json"));
    rc = make_backup(&b, &store, check, &records, &err);
    store_close(&store);
    if (rc != 0)
        return options_fail(o, rc == ERR_CORRUPT ? EXIT_FAULT : EXIT_ENVIRONMENT, "%s", err.message);
    print_result(o, &b, check, records);
    return EXIT_OK;
}

static const struct option_spec options[] = {
    STORE_OPTIONS,
    {"no-check", NULL, "do not open and check the copy", NULL, NULL, NULL},
    {"json", NULL, "print one JSON object", NULL, NULL, NULL},
    {0},
};

const struct command_spec cmd_backup = {
    .name = "backup",
    .summary = "copy the database to a new file, beside a running server",
    .positional = "FILE",
    .positional_min = 1,
    .positional_max = 1,
    .details = "The copy is one consistent state: everything that was committed when it ended. It gets its "
               "name only when it\n"
               "is complete, checked and on the disk, and never overwrites a file.\n"
               "\n"
               "Of the embedded database; one in PostgreSQL is for pg_dump (docs/operations.md).\n"
               "\n"
               "To restore: stop the server, put the copy in the data directory as ledger.db (without any "
               "ledger.db-wal or\n"
               "ledger.db-shm of the old database), run 'creditledger verify', start the server. What was "
               "posted after the\n"
               "backup is not in it; clients that retry with their idempotency keys post it again.\n"
               "\n"
               "Exit status: 0 made, 1 the copy is not sound, 2 usage, 3 it could not be read or written.",
    .options = options,
    .run = run,
};
