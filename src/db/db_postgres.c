/*
 * The driver over PostgreSQL: one connection a handle, tables in schema creditledger_read, a part's under its prefix.
 * A part other than the control part can be made again from its source, so its commits are not waited for by the disk
 * (synchronous_commit off, said in each transaction, which goes through a pooler too): a crash of the server may take the
 * last of them, together with the position that they reached, and never part of one.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "db/db_internal.h"
#include "db/pg_wire.h"
#include "db/postgres_url.h"

#define SCHEMA "creditledger_read"
#define SCRIPT_LOCK "SELECT pg_catalog.pg_advisory_xact_lock(1129075268, 0);" /* 'CLRD' */
#define VARIANTS_MAX 8
#define DROP_WAITS_MS 5000
#define MADE_BY \
    "'creditledger migrate --runtime-role' makes schema " SCHEMA " for a role, as the owner of the database"

/* A statement is prepared once for each combination of types that its parameters come in: NULLs differ. */
struct variant {
    struct variant *next;
    struct pg_statement statement;
    char *name;
    size_t n_types;
    Oid types[];
};

struct db_postgres {
    struct db db;
    struct pg_wire wire;
    struct pg_params params; /* scratch */
    unsigned settled;        /* the connection, by its number, that has its settings */
    char begin_write[160];
};

static struct db_postgres *inside(struct db *db)
{
    return (struct db_postgres *)db;
}

/* ---- the connection ---- */

/* The caller's word for what is not there. */
static int meant(struct db_postgres *p, int rc, struct err *err)
{
    bool missing = strcmp(p->wire.sqlstate, "42P01") == 0 || strcmp(p->wire.sqlstate, "3F000") == 0;
    if (rc == ERR_CONFIG && missing && err != NULL)
        return err->code = ERR_NOT_FOUND;
    return rc == ERR_CONFIG && missing ? ERR_NOT_FOUND : rc;
}

/* Over a pooler nothing can be said for a session; db.c refuses writes through a reader in any case. */
static int ready(struct db_postgres *p, struct err *err)
{
    int rc = pg_ready(&p->wire, err);
    if (rc != 0 || p->wire.connections == p->settled)
        return rc;
    if (p->db.read_only && !p->wire.pooled)
        rc = pg_exec(&p->wire, "SET default_transaction_read_only = on", NULL, err);
    if (rc == 0)
        p->settled = p->wire.connections;
    else
        pg_close(&p->wire);
    return rc;
}

static int exec(struct db_postgres *p, const char *sql, PGresult **ret_result, struct err *err)
{
    int rc = ready(p, err);
    if (rc == 0)
        rc = pg_exec(&p->wire, sql, ret_result, err);
    return meant(p, rc, err);
}

/* ---- the dialect ---- */

/* The word that ends before `end`; *ret_start is where it starts. */
static bool word_before(const struct strbuf *sql, size_t end, const char *word, size_t *ret_start)
{
    size_t len = strlen(word);
    while (end > 0 && (sql->data[end - 1] == ' ' || sql->data[end - 1] == '\n'))
        end--;
    if (end < len || strncasecmp(sql->data + end - len, word, len) != 0)
        return false;
    *ret_start = end - len;
    return true;
}

/* The name of a new index stands without its schema: it is the table's. */
static bool names_index(const struct strbuf *sql)
{
    size_t at = sql->len;
    if (word_before(sql, at, "EXISTS", &at) &&
        !(word_before(sql, at, "NOT", &at) && word_before(sql, at, "IF", &at)))
        return false;
    return word_before(sql, at, "INDEX", &at) &&
           (word_before(sql, at, "UNIQUE", &at) || word_before(sql, at, "CREATE", &at));
}

static void put_word(const struct db *db, struct str word, struct strbuf *sql)
{
    if (str_eq_c(word, "BYTES"))
        strbuf_c(sql, "bytea");
    else if (str_eq_c(word, "TEXT"))
        strbuf_c(sql, "text COLLATE \"C\"");
    else if (!str_eq_c(word, "WITHOUT_ROWID"))
        strbuf_printf(sql, "%s%s%s" STR_FMT, names_index(sql) ? "" : SCHEMA ".", db->part,
            db->part[0] == '\0' ? "" : "_", STR_ARG(word));
}

/*
 * Rows that only are inserted are copied: two thirds of what an INSERT of as many arrays takes, each of which the
 * server lays out as a table of its own, and less WAL.
 */
static bool is_copied(const struct db_table *table)
{
    return table->tail[0] == '\0';
}

static void copy_sql(const struct db_table *table, struct strbuf *sql)
{
    strbuf_printf(sql, "COPY %s (", table->table);
    for (size_t i = 0; i < table->n_columns; i++)
        strbuf_printf(sql, "%s%s", i == 0 ? "" : ", ", table->columns[i].name);
    strbuf_c(sql, ") FROM STDIN (FORMAT binary)");
}

static void insert_sql(const struct db_table *table, struct strbuf *sql)
{
    if (is_copied(table)) {
        copy_sql(table, sql);
        return;
    }
    strbuf_printf(sql, "INSERT INTO %s (", table->table);
    for (size_t i = 0; i < table->n_columns; i++)
        strbuf_printf(sql, "%s%s", i == 0 ? "" : ", ", table->columns[i].name);
    strbuf_c(sql, ") SELECT * FROM unnest(");
    for (size_t i = 0; i < table->n_columns; i++)
        strbuf_printf(sql, "%s?%zu", i == 0 ? "" : ", ", i + 1);
    strbuf_printf(sql, ") %s", table->tail);
}

/* ---- statements ---- */

static void forget(struct db *db, struct db_kept *kept)
{
    (void)db;
    for (struct variant *v = kept->native, *next; v != NULL; v = next) {
        next = v->next;
        free(v->name);
        free(v);
    }
    kept->native = NULL;
}

static struct variant *variant_new(
    const struct db_kept *kept, const struct pg_params *params, unsigned number)
{
    size_t n = (size_t)params->n;
    struct variant *v = calloc(1, sizeof *v + n * sizeof(Oid));
    INVARIANT(v != NULL);
    if (kept->name != NULL && number <= VARIANTS_MAX && asprintf(&v->name, "%s/%u", kept->name, number) < 0)
        v->name = NULL;
    v->statement = (struct pg_statement){v->name, kept->sql};
    v->n_types = n;
    memcpy(v->types, params->types, n * sizeof(Oid));
    return v;
}

/* The statement for these types. One that comes in more than VARIANTS_MAX is not prepared for the others. */
static const struct pg_statement *statement_for(struct db_kept *kept, const struct pg_params *params)
{
    unsigned number = 1;
    struct variant **v = (struct variant **)&kept->native;
    for (; *v != NULL; v = &(*v)->next, number++)
        if ((*v)->name == NULL || ((*v)->n_types == (size_t)params->n &&
                                      memcmp((*v)->types, params->types, (*v)->n_types * sizeof(Oid)) == 0))
            return &(*v)->statement;
    *v = variant_new(kept, params, number);
    return &(*v)->statement;
}

static int execute(struct db_postgres *p, struct db_kept *kept, PGresult **ret_result, struct err *err)
{
    int rc = ready(p, err);
    if (rc == 0)
        rc = pg_run(&p->wire, statement_for(kept, &p->params), &p->params, ret_result, err);
    rc = meant(p, rc, err);
    return rc == 0 || kept->name == NULL ? rc : err_wrap(err, "%s", kept->name);
}

/* ---- values ---- */

static Oid oid_of(enum db_type type)
{
    switch (type) {
    case DB_INT:
        return PG_INT8;
    case DB_TEXT:
        return PG_TEXT;
    case DB_BYTES:
        return PG_BYTEA;
    case DB_NULL:
        break;
    }
    return 0; /* the server finds out */
}

static void put_value(struct pg_params *params, const struct db_value *value)
{
    switch (value->type) {
    case DB_NULL:
        pg_put_null(params, oid_of((enum db_type)value->integer));
        break;
    case DB_INT:
        pg_put_int8(params, value->integer);
        break;
    case DB_TEXT:
        pg_put_str(params, value->bytes);
        break;
    case DB_BYTES:
        pg_put_bytes(params, value->bytes.data, value->bytes.len);
        break;
    }
}

static int take_value(const PGresult *result, int row, int column, struct arena *arena,
    struct db_value *ret_value, struct err *err)
{
    if (pg_is_null(result, row, column)) {
        *ret_value = db_null();
        return 0;
    }
    switch (PQftype(result, column)) {
    case PG_INT8:
    case PG_INT4:
    case PG_INT2:
        *ret_value = db_int(pg_int(result, row, column));
        return 0;
    case PG_BOOL:
        *ret_value = db_int(pg_bool(result, row, column));
        return 0;
    case PG_TEXT:
        *ret_value = db_text(arena_str(arena, pg_str(result, row, column)));
        return 0;
    case PG_BYTEA:
        *ret_value = db_bytes(
            arena_str(arena, pg_str(result, row, column)).data, (size_t)PQgetlength(result, row, column));
        return 0;
    default:
        return err_set(err, ERR_CONFIG, "read database: column %s is neither integer, text nor bytes",
            PQfname(result, column));
    }
}

static int take_rows(
    const PGresult *result, struct arena *arena, struct db_result *ret_result, struct err *err)
{
    size_t n_rows = (size_t)PQntuples(result), n_columns = (size_t)PQnfields(result);
    struct db_value *values = n_rows == 0 ? NULL : ARENA_ARRAY(arena, struct db_value, n_rows * n_columns);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n_rows * n_columns; i++)
        rc = take_value(result, (int)(i / n_columns), (int)(i % n_columns), arena, &values[i], err);
    *ret_result = (struct db_result){.n_rows = n_rows, .n_columns = n_columns, .values = values};
    return rc;
}

static uint64_t changed_by(PGresult *result)
{
    uint64_t changed = 0;
    if (strncmp(PQcmdStatus(result), "SELECT", 6) == 0 ||
        !str_to_uint64(str_of(PQcmdTuples(result)), &changed))
        return 0;
    return changed;
}

static int run(struct db *db, struct db_kept *kept, const struct db_value *values, size_t n_values,
    struct arena *arena, struct db_result *ret_result, struct err *err)
{
    struct db_postgres *p = inside(db);
    PGresult *result = NULL;
    pg_params_clear(&p->params);
    for (size_t i = 0; i < n_values; i++)
        put_value(&p->params, &values[i]);
    int rc = execute(p, kept, &result, err);
    if (rc == 0 && ret_result != NULL)
        rc = take_rows(result, arena, ret_result, err);
    if (rc == 0 && ret_result != NULL)
        ret_result->changed = changed_by(result);
    PQclear(result);
    return rc;
}

static void put_column(struct pg_params *params, const struct db_table *table, size_t column,
    const struct db_value *values, size_t n_rows)
{
    enum db_type type = table->columns[column].type;
    pg_array_begin(params, oid_of(type));
    for (size_t row = 0; row < n_rows; row++) {
        const struct db_value *value = &values[row * table->n_columns + column];
        INVARIANT_F(
            value->type == DB_NULL || value->type == type, "%s.%s", table->name, table->columns[column].name);
        if (value->type == DB_INT)
            pg_array_int8(params, value->integer);
        else
            pg_array_bytes(params, value->type == DB_NULL ? NULL : value->bytes.data, value->bytes.len);
    }
    pg_array_end(params);
}

static void copy_u16(struct strbuf *b, uint16_t value)
{
    value = htobe16(value);
    strbuf_add(b, &value, sizeof value);
}

static void copy_u32(struct strbuf *b, uint32_t value)
{
    value = htobe32(value);
    strbuf_add(b, &value, sizeof value);
}

static void copy_value(struct strbuf *b, const struct db_value *value)
{
    if (value->type == DB_NULL) {
        copy_u32(b, UINT32_MAX);
    } else if (value->type == DB_INT) {
        uint64_t integer = htobe64((uint64_t)value->integer);
        copy_u32(b, sizeof integer);
        strbuf_add(b, &integer, sizeof integer);
    } else {
        INVARIANT(value->bytes.len <= INT32_MAX);
        copy_u32(b, (uint32_t)value->bytes.len);
        strbuf_str(b, value->bytes);
    }
}

/* The binary format of COPY: a signature, flags and an extension that are none, the rows, and -1 for a row. */
static int copy(struct db_postgres *p, struct db_kept *kept, const struct db_table *table,
    const struct db_value *values, size_t n_rows, PGresult **ret_result, struct err *err)
{
    struct strbuf *b = &p->params.bytes;
    pg_params_clear(&p->params);
    strbuf_add(b, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0", 19);
    for (size_t i = 0; i < n_rows * table->n_columns; i++) {
        size_t column = i % table->n_columns;
        if (column == 0)
            copy_u16(b, (uint16_t)table->n_columns);
        INVARIANT_F(values[i].type == DB_NULL || values[i].type == table->columns[column].type, "%s.%s",
            table->name, table->columns[column].name);
        copy_value(b, &values[i]);
    }
    copy_u16(b, UINT16_MAX);
    int rc = ready(p, err);
    if (rc == 0)
        rc = pg_copy(&p->wire, kept->sql, strbuf_view(b), ret_result, err);
    rc = meant(p, rc, err);
    return rc == 0 ? rc : err_wrap(err, "%s", kept->name);
}

static int insert_arrays(struct db_postgres *p, struct db_kept *kept, const struct db_table *table,
    const struct db_value *values, size_t n_rows, PGresult **ret_result, struct err *err)
{
    pg_params_clear(&p->params);
    for (size_t i = 0; i < table->n_columns; i++)
        put_column(&p->params, table, i, values, n_rows);
    return execute(p, kept, ret_result, err);
}

static int insert(struct db *db, struct db_kept *kept, const struct db_table *table,
    const struct db_value *values, size_t n_rows, uint64_t *ret_changed, struct err *err)
{
    struct db_postgres *p = inside(db);
    PGresult *result = NULL;
    int rc = (is_copied(table) ? copy : insert_arrays)(p, kept, table, values, n_rows, &result, err);
    if (rc == 0)
        *ret_changed = changed_by(result);
    PQclear(result);
    return rc;
}

/* ---- transactions ---- */

static int script(struct db *db, const char *sql, struct err *err)
{
    struct strbuf all; /* CREATE ... IF NOT EXISTS is none when two do it at once: they wait for each other */
    strbuf_init(&all);
    strbuf_c(&all, SCRIPT_LOCK);
    strbuf_c(&all, sql);
    strbuf_char(&all, '\0');
    int rc = exec(inside(db), all.data, NULL, err);
    strbuf_fini(&all);
    return rc;
}

static void rollback(struct db *db)
{
    struct db_postgres *p = inside(db);
    if (p->wire.pg != NULL && pg_exec(&p->wire, "ROLLBACK", NULL, NULL) != 0)
        pg_close(&p->wire);
    p->wire.in_transaction = false;
}

static int begin(struct db *db, bool write, struct err *err)
{
    struct db_postgres *p = inside(db);
    int rc = exec(
        p, write ? p->begin_write : "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, err);
    p->wire.in_transaction = rc == 0;
    if (rc != 0 && p->wire.pg != NULL)
        pg_close(&p->wire); /* it may be in a transaction */
    return rc;
}

static int commit(struct db *db, struct err *err)
{
    struct db_postgres *p = inside(db);
    int rc = pg_ready(&p->wire, err); /* lost before the word was said: certainly not committed */
    p->wire.in_transaction = false;
    if (rc != 0)
        return rc;
    rc = pg_exec(&p->wire, "COMMIT", NULL, err);
    if (rc == ERR_IO || rc == ERR_TIMEOUT) {
        if (err != NULL)
            err->code = ERR_UNKNOWN;
        return ERR_UNKNOWN;
    }
    if (rc != 0)
        rollback(db);
    return rc;
}

/* ---- open and close ---- */

static void close_handle(struct db *db)
{
    struct db_postgres *p = inside(db);
    db_fini(db);
    pg_close(&p->wire);
    pg_params_fini(&p->params);
    free(p->wire.url);
    free(p);
}

static const struct db_ops postgres_ops = {
    .close = close_handle,
    .forget = forget,
    .word = put_word,
    .insert_sql = insert_sql,
    .script = script,
    .run = run,
    .insert = insert,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .parameter = '$',
    .postgres = true,
};

static bool is_true(const PGresult *result, int column)
{
    return strcmp(PQgetvalue(result, 0, column), "t") == 0;
}

/* What of the schema is there: 0, ERR_NOT_FOUND, ERR_CONFIG. */
static int check_schema(struct db_postgres *p, bool create, struct err *err)
{
    PGresult *result = NULL;
    int rc = exec(p,
        "SELECT pg_catalog.has_schema_privilege(oid, 'USAGE'), pg_catalog.has_schema_privilege(oid, 'CREATE')"
        " FROM pg_catalog.pg_namespace WHERE nspname = '" SCHEMA "'",
        &result, err);
    if (rc == 0 && PQntuples(result) == 0)
        rc = err_set(err, ERR_NOT_FOUND, "database \"%s\" has no schema " SCHEMA, PQdb(p->wire.pg));
    else if (rc == 0 && !is_true(result, 0))
        rc = err_set(
            err, ERR_CONFIG, "role \"%s\" may not use schema " SCHEMA "; " MADE_BY, PQuser(p->wire.pg));
    else if (rc == 0 && create && !is_true(result, 1))
        rc = err_set(err, ERR_CONFIG, "role \"%s\" may not make tables in schema " SCHEMA "; " MADE_BY,
            PQuser(p->wire.pg));
    PQclear(result);
    return rc;
}

static int open_schema(struct db_postgres *p, bool create, struct err *err)
{
    int rc = check_schema(p, create, err);
    if (rc != ERR_NOT_FOUND || !create)
        return rc;
    rc = exec(p, SCRIPT_LOCK "CREATE SCHEMA IF NOT EXISTS " SCHEMA, NULL, err);
    return rc == ERR_CONFIG ? err_wrap(err, "schema " SCHEMA " is not there and cannot be made; " MADE_BY)
                            : rc;
}

static struct db_postgres *make(const char *url, const struct db_options *options)
{
    struct db_postgres *p = calloc(1, sizeof *p);
    INVARIANT(p != NULL);
    db_init(&p->db, &postgres_ops, options);
    p->wire = (struct pg_wire){.url = strdup(url),
        .name = "read database",
        .pooled = options->pooled,
        .timeout_ms = options->timeout_ms};
    INVARIANT(p->wire.url != NULL);
    pg_params_init(&p->params);
    snprintf(p->begin_write, sizeof p->begin_write,
        "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = %d%s",
        p->db.busy_timeout_ms, options->part == NULL ? "" : "; SET LOCAL synchronous_commit = off");
    return p;
}

int db_postgres_open(const char *url, const struct db_options *options, struct db **ret_db, struct err *err)
{
    int rc = postgres_url_check(url, err);
    if (rc != 0)
        return rc;
    struct db_postgres *p = make(url, options);
    rc = open_schema(p, options->create, err);
    if (rc != 0)
        close_handle(&p->db);
    else
        *ret_db = &p->db;
    return rc;
}

/* ---- dropping ---- */

static int drop_tables(struct db_postgres *p, const char *part, struct err *err)
{
    char sql[512];
    PGresult *result = NULL;
    snprintf(sql, sizeof sql,
        "SELECT 'DROP TABLE ' || string_agg(pg_catalog.format('%%I.%%I', n.nspname, c.relname), ', ') || ' "
        "CASCADE'"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = '" SCHEMA "' AND c.relkind IN ('r', 'p')"
        " AND pg_catalog.starts_with(c.relname::text, '%s_')",
        part);
    int rc = exec(p, sql, &result, err);
    if (rc == 0 && PQntuples(result) > 0 && !PQgetisnull(result, 0, 0)) {
        struct strbuf drop; /* a reader in a snapshot is waited for, but not for ever */
        strbuf_init(&drop);
        strbuf_printf(&drop, "SET LOCAL lock_timeout = %d; %s", DROP_WAITS_MS, PQgetvalue(result, 0, 0));
        strbuf_char(&drop, '\0');
        rc = exec(p, drop.data, NULL, err);
        strbuf_fini(&drop);
    }
    PQclear(result);
    return rc;
}

int db_postgres_drop_part(const char *url, const char *part, struct err *err)
{
    const struct db_options options = {.part = part, .pooled = true};
    int rc = postgres_url_check(url, err);
    if (rc != 0)
        return rc;
    struct db_postgres *p = make(url, &options);
    rc = drop_tables(p, part, err);
    close_handle(&p->db);
    return rc;
}
