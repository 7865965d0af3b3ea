/* Migrations, and what the database can tell about itself. */
#include "journal/sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAGE_SIZE 4096

/* ---- migrations ---- */

static int read_versions(struct sqlite_journal *s, int64_t *ret_id, int64_t *ret_version, struct err *err)
{
    int rc = sql_int(s, "PRAGMA application_id", ret_id, err);
    return rc != 0 ? rc : sql_int(s, "PRAGMA user_version", ret_version, err);
}

static int check_versions(
    struct sqlite_journal *s, const char *path, bool create, int64_t *ret_version, struct err *err)
{
    int64_t id, objects;
    int rc = read_versions(s, &id, ret_version, err);
    if (rc == 0)
        rc = sql_int(s, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc != 0)
        return rc;
    bool fresh = id == 0 && *ret_version == 0 && objects == 0;
    if (id != SQLITE_APPLICATION_ID && !(create && fresh))
        return err_set(err, ERR_CONFIG, "%s is not a Credit Ledger database", path);
    if (*ret_version > (int64_t)sqlite_migration_count)
        return err_set(err, ERR_UNSUPPORTED,
            "%s has schema version %lld, this program knows %u: use a newer one", path,
            (long long)*ret_version, sqlite_migration_count);
    if (!create && *ret_version < (int64_t)sqlite_migration_count)
        return err_set(err, ERR_CONFIG, "%s has schema version %lld of %u: run 'creditledger migrate'", path,
            (long long)*ret_version, sqlite_migration_count);
    return 0;
}

/* The switch to WAL needs the file for itself for a moment and does not wait for it, so two programs that
 * start at once would refuse each other. */
static int use_wal(struct sqlite_journal *s, const struct journal_options *options, struct err *err)
{
    int limit_ms = options->busy_timeout_ms ? options->busy_timeout_ms : 5000;
    for (int waited_ms = 0;; waited_ms += 10) {
        int rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            return 0;
        if ((rc & 0xff) != SQLITE_BUSY || waited_ms >= limit_ms)
            return sql_error(s, rc, "journal_mode", err);
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
}

static int put_main_ledger(struct sqlite_journal *s, int64_t now, struct err *err)
{
    char sql[160];
    snprintf(sql, sizeof sql,
        "INSERT INTO ledger(id, name, default_floor, created_at) SELECT 1, 'main', NULL, %lld"
        " WHERE NOT EXISTS (SELECT 1 FROM ledger)",
        (long long)now);
    return sql_exec(s, sql, err);
}

/* One migration, one transaction. What another program did meanwhile is left alone. */
static int migrate_next(
    struct sqlite_journal *s, const struct journal_options *options, bool *ret_done, struct err *err)
{
    int64_t id, version;
    int rc = sql_run(s, SQL_BEGIN_IMMEDIATE, err);
    if (rc != 0)
        return rc;
    rc = read_versions(s, &id, &version, err);
    if (rc == 0 && version < (int64_t)sqlite_migration_count) {
        const struct sqlite_migration *migration = &sqlite_migrations[version];
        char sql[96];
        snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %lld;",
            SQLITE_APPLICATION_ID, (long long)version + 1);
        rc = sql_exec(s, migration->sql, err);
        if (rc != 0)
            err_wrap(err, "migration %s", migration->name);
        if (rc == 0)
            rc = put_main_ledger(s, options->now, err);
        if (rc == 0)
            rc = sql_exec(s, sql, err);
    }
    if (rc == 0)
        rc = sql_run(s, SQL_COMMIT, err);
    if (rc != 0)
        sql_rollback(s);
    *ret_done = rc == 0 && version + 1 >= (int64_t)sqlite_migration_count;
    return rc;
}

int sqlite_schema_open(struct sqlite_journal *s, const struct journal_options *options, struct err *err)
{
    const char *path = sqlite3_db_filename(s->db, "main");
    char pragma[64];
    int64_t version;
    int rc;
    if (options->create) {
        snprintf(pragma, sizeof pragma, "PRAGMA page_size = %d", PAGE_SIZE); /* of a new file only */
        rc = sql_exec(s, pragma, err);
        if (rc != 0)
            return rc;
    }
    rc = check_versions(s, path, options->create, &version, err);
    if (rc == 0 && (options->create || s->mode == JOURNAL_WRITE))
        rc = use_wal(s, options, err);
    bool done = version >= (int64_t)sqlite_migration_count;
    while (rc == 0 && !done)
        rc = migrate_next(s, options, &done, err);
    return rc;
}

/* ---- self check ---- */

struct checking {
    journal_note_visit *visit;
    void *ctx;
};

/* A database in memory that has what the migrations give, to compare with. */
static int open_model(sqlite3 **ret_model, struct err *err)
{
    int rc = sqlite3_open(":memory:", ret_model);
    for (unsigned i = 0; rc == SQLITE_OK && i < sqlite_migration_count; i++)
        rc = sqlite3_exec(*ret_model, sqlite_migrations[i].sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return 0;
    return err_set(err, ERR_IO, "schema to compare with: %s", sqlite3_errmsg(*ret_model));
}

/* Objects of `a` that `b` lacks or has otherwise. */
static int compare_schemas(struct sqlite_journal *s, sqlite3 *a, sqlite3 *b, const char *missing,
    const char *differs, const struct checking *c, struct err *err)
{
    sqlite3_stmt *all = NULL, *one = NULL;
    int rc = sqlite3_prepare_v2(
        a, "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'", -1, &all, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(
            b, "SELECT sql IS ?3 FROM sqlite_schema WHERE type = ?1 AND name = ?2", -1, &one, NULL);
    int stop = 0;
    while (rc == SQLITE_OK && stop == 0 && (rc = sqlite3_step(all)) == SQLITE_ROW) {
        for (int i = 0; i < 3; i++)
            sqlite3_bind_value(one, i + 1, sqlite3_column_value(all, i));
        rc = sqlite3_step(one);
        const char *what = rc == SQLITE_DONE ? missing : sqlite3_column_int(one, 0) ? NULL : differs;
        if (rc == SQLITE_ROW || rc == SQLITE_DONE)
            rc = SQLITE_OK;
        if (rc == SQLITE_OK && what != NULL)
            stop = journal_note(
                c->visit, c->ctx, "%s %s %s", sqlite3_column_text(all, 0), sqlite3_column_text(all, 1), what);
        sqlite3_reset(one);
    }
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        stop = sql_error(s, rc, "schema", err);
    sqlite3_finalize(all);
    sqlite3_finalize(one);
    return stop;
}

static int check_schema(struct sqlite_journal *s, const struct checking *c, struct err *err)
{
    int64_t id, version;
    int rc = read_versions(s, &id, &version, err);
    if (rc == 0 && (id != SQLITE_APPLICATION_ID || version != (int64_t)sqlite_migration_count))
        rc = journal_note(c->visit, c->ctx,
            "application_id %lld and user_version %lld are not those of schema version %u", (long long)id,
            (long long)version, sqlite_migration_count);
    sqlite3 *model = NULL;
    if (rc == 0)
        rc = open_model(&model, err);
    if (rc == 0)
        rc = compare_schemas(
            s, model, s->db, "is missing", "is not what the migrations made: it was altered", c, err);
    if (rc == 0)
        rc = compare_schemas(s, s->db, model, "is not of this schema", NULL, c, err);
    sqlite3_close(model);
    return rc;
}

/* Every row of the answer whose first column is not `good` is a finding. */
static int check_rows(struct sqlite_journal *s, const char *sql, const char *finding, const char *good,
    const struct checking *c, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return sql_error(s, rc, "self check", err);
    while ((rc = sql_step(s, statement, err)) > 0) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (good != NULL && text != NULL && strcmp(text, good) == 0)
            continue;
        rc = journal_note(c->visit, c->ctx, "%s%s", finding, text == NULL ? "" : text);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(statement);
    return rc;
}

/* Of the head of each ledger only: what lies deeper is for verify, which reads every record. */
#define HEAD_OF_LEDGER \
    "ifnull((SELECT record FROM journal WHERE record BETWEEN (l.id - 1) << 36 AND (l.id - 1) << 36 | " \
    "0xfffffffff" \
    " ORDER BY record DESC LIMIT 1), (l.id - 1) << 36)"

static int check_seals(struct sqlite_journal *s, const struct checking *c, struct err *err)
{
    static const struct {
        const char *table, *key;
    } parts[] = {{"entry", "place >> 11"}, {"account_revision", "place >> 11"}, {"lot", "place >> 11"},
        {"record_text", "record"}};
    int rc = check_rows(
        s, "SELECT ledger FROM appending", "I1: an append was never finished, ledger ", NULL, c, err);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++) {
        const char *column = parts[i].key[0] == 'p' ? "place" : "record";
        const char *shift = parts[i].key[0] == 'p' ? " << 11" : "";
        char sql[640];
        snprintf(sql, sizeof sql,
            "SELECT format('ledger %%s, table %s, key %%d', l.name, p.%s) FROM ledger l CROSS JOIN %s p"
            " WHERE p.%s >= (" HEAD_OF_LEDGER " + 1)%s AND p.%s < (l.id << 36)%s LIMIT 10",
            parts[i].table, column, parts[i].table, column, shift, column, shift);
        rc = check_rows(s, sql, "I1: rows of a record without the record: ", NULL, c, err);
    }
    return rc;
}

int sqlite_self_check(struct journal *j, journal_note_visit *visit, void *ctx, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    const struct checking c = {visit, ctx};
    bool began;
    int rc = sql_read_begin(s, &began, err);
    if (rc != 0)
        return rc;
    rc = check_schema(s, &c, err);
    if (rc == 0)
        rc = check_seals(s, &c, err);
    if (rc == 0)
        rc = check_rows(s, "PRAGMA quick_check", "database file: ", "ok", &c, err);
    sql_read_end(s, began);
    return rc;
}
