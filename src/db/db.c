/* What both drivers have in common: URLs, the dialect, statements that are kept, the state of a transaction. */
#include "db/db.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/db_internal.h"
#include "db/postgres_url.h"

#define SQLITE_SCHEME "sqlite:"

/* ---- the dialect ---- */

static size_t word_length(const char *text)
{
    size_t n = 0;
    while (isalnum((unsigned char)text[n]) || text[n] == '_')
        n++;
    return n;
}

/* The length of what is not looked into: a text, a quoted name, a comment; 0 if none begins here. */
static size_t opaque_length(const char *sql)
{
    const char *end = NULL;
    if (sql[0] == '\'' || sql[0] == '"')
        end = strchr(sql + 1, sql[0]);
    else if (strncmp(sql, "--", 2) == 0)
        return strcspn(sql, "\n");
    else if (strncmp(sql, "/*", 2) == 0)
        end = (end = strstr(sql + 2, "*/")) == NULL ? NULL : end + 1;
    else
        return 0;
    return end == NULL ? strlen(sql) : (size_t)(end - sql) + 1;
}

/* NUL-terminated, to be freed. */
static char *rewritten(const struct db *db, const char *sql)
{
    struct strbuf out;
    strbuf_init(&out);
    for (const char *p = sql; *p != '\0';) {
        size_t opaque = opaque_length(p), word = word_length(p + 1);
        if (opaque > 0) {
            strbuf_add(&out, p, opaque);
            p += opaque;
        } else if (*p == '@' && word > 0) {
            db->ops->word(db, (struct str){p + 1, word}, &out);
            p += 1 + word;
        } else {
            strbuf_char(&out, *p == '?' && isdigit((unsigned char)p[1]) ? db->ops->parameter : *p);
            p++;
        }
    }
    strbuf_char(&out, '\0');
    return out.data;
}

/* ---- statements ---- */

static struct db_kept *kept_new(const struct db *db, const void *key, const char *name, const char *sql)
{
    struct db_kept *kept = calloc(1, sizeof *kept);
    INVARIANT(kept != NULL);
    *kept = (struct db_kept){.key = key, .name = name, .sql = rewritten(db, sql)};
    return kept;
}

static void kept_free(struct db *db, struct db_kept *kept)
{
    db->ops->forget(db, kept);
    free(kept->sql);
    free(kept);
}

static struct db_kept *find(const struct db *db, const void *key)
{
    for (size_t i = 0; i < db->n_kept; i++)
        if (db->kept[i]->key == key)
            return db->kept[i];
    return NULL;
}

static struct db_kept *keep(struct db *db, const void *key, const char *name, const char *sql)
{
    if (db->n_kept == db->cap_kept) {
        db->cap_kept = db->cap_kept == 0 ? 32 : db->cap_kept * 2;
        db->kept = realloc(db->kept, db->cap_kept * sizeof(struct db_kept *));
        INVARIANT(db->kept != NULL);
    }
    return db->kept[db->n_kept++] = kept_new(db, key, name, sql);
}

void db_fini(struct db *db)
{
    for (size_t i = 0; i < db->n_kept; i++)
        kept_free(db, db->kept[i]);
    free(db->kept);
}

/* ---- open and close ---- */

static bool is_part(const char *part)
{
    return part[0] != '\0' && strlen(part) <= DB_PART_MAX && word_length(part) == strlen(part) &&
           strchr(part, '_') == NULL;
}

void db_init(struct db *db, const struct db_ops *ops, const struct db_options *options)
{
    db->ops = ops;
    snprintf(db->part, sizeof db->part, "%s", options->part == NULL ? "" : options->part);
    db->read_only = options->read_only;
    db->busy_timeout_ms = options->busy_timeout_ms ? options->busy_timeout_ms : DB_BUSY_TIMEOUT_DEFAULT_MS;
}

/* The path of sqlite:PATH, NULL if it is none. */
static const char *sqlite_path(const char *url)
{
    size_t len = strlen(SQLITE_SCHEME);
    return strncmp(url, SQLITE_SCHEME, len) == 0 && url[len] != '\0' ? url + len : NULL;
}

static int unknown_url(const char *url, struct err *err)
{
    char shown[256];
    db_url_shown(url, shown, sizeof shown);
    return err_set(
        err, ERR_CONFIG, "read database URL \"%s\" is none of sqlite:PATH and postgres://...", shown);
}

int db_open(const char *url, const struct db_options *options, struct db **ret_db, struct err *err)
{
    INVARIANT(url != NULL && options != NULL && ret_db != NULL);
    INVARIANT(options->part == NULL || is_part(options->part));
    INVARIANT(!options->create || !options->read_only);
    if (postgres_url(url))
        return db_postgres_open(url, options, ret_db, err);
    const char *path = sqlite_path(url);
    return path == NULL ? unknown_url(url, err) : db_sqlite_open(path, options, ret_db, err);
}

int db_drop_part(const char *url, const char *part, struct err *err)
{
    INVARIANT(url != NULL && part != NULL && is_part(part));
    if (postgres_url(url))
        return db_postgres_drop_part(url, part, err);
    const char *path = sqlite_path(url);
    return path == NULL ? unknown_url(url, err) : db_sqlite_drop_part(path, part, err);
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    db_rollback(db);
    db->ops->close(db);
}

bool db_is_postgres(const struct db *db)
{
    return db->ops->postgres;
}

void db_url_shown(const char *url, char *ret_shown, size_t size)
{
    postgres_url_redact(url, ret_shown, size);
}

/* ---- running ---- */

/* Refuses what cannot go on here. */
static int check_state(struct db *db, bool writes, struct err *err)
{
    if (db->state == DB_UNDONE)
        return err_set(err, db->undone_by.code, "the transaction is undone: %s", db->undone_by.message);
    INVARIANT(!(writes && db->state == DB_READING));
    if (writes && db->read_only)
        return err_set(err, ERR_CONFIG, "this handle on the read database writes nothing");
    return 0;
}

/* An error ends the transaction in both databases alike: PostgreSQL would go on in none, SQLite after some. */
static int ended(struct db *db, int rc, const struct err *why, struct err *err)
{
    if (rc == 0)
        return 0;
    if (db->state != DB_IDLE) {
        db->ops->rollback(db);
        db->undone_by = *why;
        db->state = DB_UNDONE;
    }
    return err_set(err, rc, "%s", why->message);
}

int db_script(struct db *db, const char *sql, struct err *err)
{
    struct err why = {0};
    bool own = db->state == DB_IDLE;
    int rc = check_state(db, true, err);
    if (rc != 0)
        return rc;
    if (own && (rc = db_begin(db, true, err)) != 0)
        return rc;
    char *text = rewritten(db, sql);
    rc = ended(db, db->ops->script(db, text, &why), &why, err);
    free(text);
    if (own && rc == 0)
        return db_commit(db, err);
    if (own)
        db_rollback(db);
    return rc;
}

int db_run(struct db *db, const struct db_statement *statement, const struct db_value *values,
    size_t n_values, struct arena *arena, struct db_result *ret_result, struct err *err)
{
    struct err why = {0};
    INVARIANT(ret_result == NULL || arena != NULL);
    if (ret_result != NULL)
        *ret_result = (struct db_result){0};
    int rc = check_state(db, false, err);
    if (rc != 0)
        return rc;
    struct db_kept *kept =
        statement->name == NULL ? kept_new(db, NULL, NULL, statement->sql) : find(db, statement);
    if (kept == NULL)
        kept = keep(db, statement, statement->name, statement->sql);
    rc = db->ops->run(db, kept, values, n_values, arena, ret_result, &why);
    if (statement->name == NULL)
        kept_free(db, kept);
    return ended(db, rc, &why, err);
}

static struct db_kept *kept_insert(struct db *db, const struct db_table *table)
{
    struct db_kept *kept = find(db, table);
    if (kept != NULL)
        return kept;
    INVARIANT(table->n_columns > 0 && table->n_columns <= DB_COLUMNS_MAX);
    struct strbuf sql;
    strbuf_init(&sql);
    db->ops->insert_sql(table, &sql);
    strbuf_char(&sql, '\0');
    kept = keep(db, table, table->name, sql.data);
    strbuf_fini(&sql);
    return kept;
}

int db_insert(struct db *db, const struct db_table *table, const struct db_value *values, size_t n_rows,
    uint64_t *ret_changed, struct err *err)
{
    struct err why = {0};
    uint64_t changed = 0;
    if (ret_changed != NULL)
        *ret_changed = 0;
    int rc = check_state(db, true, err);
    if (rc != 0 || n_rows == 0)
        return rc;
    bool own = db->state == DB_IDLE;
    if (own && (rc = db_begin(db, true, err)) != 0)
        return rc;
    struct db_kept *kept = kept_insert(db, table);
    rc = ended(db, db->ops->insert(db, kept, table, values, n_rows, &changed, &why), &why, err);
    if (own && rc == 0)
        rc = db_commit(db, err);
    if (own)
        db_rollback(db);
    if (rc == 0 && ret_changed != NULL)
        *ret_changed = changed;
    return rc;
}

/* ---- transactions ---- */

int db_begin(struct db *db, bool write, struct err *err)
{
    INVARIANT(db->state == DB_IDLE);
    int rc = check_state(db, write, err);
    if (rc == 0)
        rc = db->ops->begin(db, write, err);
    if (rc == 0)
        db->state = write ? DB_WRITING : DB_READING;
    return rc;
}

int db_commit(struct db *db, struct err *err)
{
    INVARIANT(db->state != DB_IDLE);
    int rc = check_state(db, false, err);
    if (rc == 0)
        rc = db->ops->commit(db, err);
    db->state = DB_IDLE;
    return rc;
}

void db_rollback(struct db *db)
{
    if (db->state == DB_READING || db->state == DB_WRITING)
        db->ops->rollback(db);
    db->state = DB_IDLE;
}

int db_scrub(struct db *db, bool thorough, struct err *err)
{
    INVARIANT(db->state == DB_IDLE);
    return db->ops->scrub == NULL ? 0 : db->ops->scrub(db, thorough, err);
}
