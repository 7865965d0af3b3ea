/*
 * The driver as its users see it: each test over SQLite and, where CREDITLEDGER_TEST_POSTGRES names a cluster, over
 * PostgreSQL with statements that are prepared and, as through a pooler, with none.
 */
#include "base/check.h"

#include <pthread.h>

#include "db/db.h"
#include "db/postgres_testing.h"

#define DATABASE_SIZE 512

struct place {
    char url[DATABASE_SIZE];
    bool pooled;
    struct db *db; /* part g1, with table item */
    struct arena arena;
    char directory[64]; /* SQLite */
};

static char shared_url[DATABASE_SIZE]; /* one database for all tests; each makes the schema anew */

static const char sql_tables[] =
    "CREATE TABLE IF NOT EXISTS @item (id BIGINT NOT NULL PRIMARY KEY, name @TEXT, body @BYTES, n BIGINT,"
    " CHECK (n <> 13)) @WITHOUT_ROWID;"
    "CREATE INDEX IF NOT EXISTS @item_name ON @item (name);"
    "CREATE UNIQUE INDEX IF NOT EXISTS @item_both ON @item (name, id)";
static const struct db_statement put = {
    "put", "INSERT INTO @item (id, name, body, n) VALUES (?1, ?2, ?3, ?4)"};
static const struct db_statement all = {"all", "SELECT id, name, body, n FROM @item ORDER BY id"};
static const struct db_statement count = {"count", "SELECT count(*) FROM @item"};
static const struct db_table items = {.name = "items",
    .table = "@item",
    .columns = {{"id", DB_INT}, {"name", DB_TEXT}, {"body", DB_BYTES}, {"n", DB_INT}},
    .n_columns = 4,
    .tail = ""};

static void good(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, err->message);
}

static struct db *opened(const struct place *at, const char *part, bool read_only, int busy_timeout_ms)
{
    struct err err = {0};
    struct db *db = NULL;
    const struct db_options options = {.part = part,
        .create = !read_only,
        .read_only = read_only,
        .pooled = at->pooled,
        .busy_timeout_ms = busy_timeout_ms};
    good(db_open(at->url, &options, &db, &err), &err);
    return db;
}

static int try_item(struct db *db, int64_t id, struct err *err)
{
    return db_run(db, &put, DB_VALUES(db_int(id), db_text(STR("x")), db_null(), db_int(id)), NULL, NULL, err);
}

static void put_item(struct db *db, int64_t id)
{
    struct err err = {0};
    good(try_item(db, id, &err), &err);
}

static int64_t number(struct place *at, struct db *db, const struct db_statement *statement)
{
    struct err err = {0};
    struct db_result result;
    good(db_run(db, statement, DB_NO_VALUES, &at->arena, &result, &err), &err);
    CHECK_INT(statement->sql, result.n_rows, 1);
    return db_at(&result, 0, 0)->integer;
}

static int64_t items_of(struct place *at, struct db *db)
{
    return number(at, db, &count);
}

/* ---- values and statements ---- */

static void test_values_come_back(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct db_result result;
    good(db_run(at->db, &put,
             DB_VALUES(db_int(INT64_MIN), db_text(STR("caf\xc3\xa9")), db_bytes("\0\xff", 2), db_int(7)),
             NULL, NULL, &err),
        &err);
    good(db_run(at->db, &put, DB_VALUES(db_int(2), db_text(STR("")), db_bytes("", 0), db_null()), &at->arena,
             &result, &err),
        &err);
    CHECK_INT("inserted", result.changed, 1);
    good(db_run(at->db, &put, DB_VALUES(db_int(3), db_text(STR_NONE), db_bytes(NULL, 0), db_null()), NULL,
             NULL, &err),
        &err);
    good(db_run(at->db, &all, DB_NO_VALUES, &at->arena, &result, &err), &err);
    CHECK_INT("rows", result.n_rows, 3);
    CHECK_INT("columns", result.n_columns, 4);
    CHECK_INT("selected", result.changed, 0);
    CHECK_INT("smallest", db_at(&result, 0, 0)->integer, INT64_MIN);
    CHECK_INT("text", db_at(&result, 0, 1)->type, DB_TEXT);
    CHECK_STR("text", db_at(&result, 0, 1)->bytes, STR("caf\xc3\xa9"));
    CHECK_INT("bytes", db_at(&result, 0, 2)->type, DB_BYTES);
    CHECK_STR("bytes", db_at(&result, 0, 2)->bytes, STR("\0\xff"));
    CHECK_INT("empty text", db_at(&result, 1, 1)->type, DB_TEXT);
    CHECK_INT("empty bytes", db_at(&result, 1, 2)->type, DB_BYTES);
    for (size_t i = 1; i < 4; i++)
        CHECK_INT("nothing", db_at(&result, 2, i)->type, DB_NULL);
}

/* Small integers, truth values and counts have other types over PostgreSQL. */
static void test_all_integers_are_integers(void **state)
{
    static const struct db_statement one = {
        "one", "SELECT 1, count(*), CAST(sum(n) AS BIGINT), max(id) FROM @item"};
    struct place *at = *state;
    struct err err = {0};
    struct db_result result;
    put_item(at->db, 5);
    put_item(at->db, 6);
    good(db_run(at->db, &one, DB_NO_VALUES, &at->arena, &result, &err), &err);
    static const int64_t want[] = {1, 2, 11, 6};
    for (size_t i = 0; i < 4; i++) {
        CHECK_INT("type", db_at(&result, 0, i)->type, DB_INT);
        CHECK_INT("value", db_at(&result, 0, i)->integer, want[i]);
    }
    static const struct db_statement real = {"real", "SELECT avg(n) FROM @item"};
    assert_int_equal(db_run(at->db, &real, DB_NO_VALUES, &at->arena, &result, &err), ERR_CONFIG);
}

static void test_nulls_have_types(void **state)
{
    static const struct db_statement filter = {"filter",
        "SELECT id FROM @item WHERE (?1 IS NULL OR n = ?1) AND (?2 IS NULL OR name = ?2) ORDER BY id"};
    struct place *at = *state;
    struct err err = {0};
    struct db_result result;
    for (int64_t id = 1; id <= 3; id++)
        put_item(at->db, id);
    for (int round = 0; round < 2; round++) {
        const struct {
            struct db_value n, name;
            size_t rows;
        } cases[] = {
            {db_null_of(DB_INT), db_text(STR_NONE), 3},
            {db_int(2), db_text(STR_NONE), 1},
            {db_null_of(DB_INT), db_text(STR("x")), 3},
            {db_int(2), db_text(STR("y")), 0},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            good(db_run(at->db, &filter, DB_VALUES(cases[i].n, cases[i].name), &at->arena, &result, &err),
                &err);
            CHECK_INT("rows", result.n_rows, cases[i].rows);
        }
    }
}

/* More combinations of types than are worth preparing. */
static void test_many_kinds_of_nulls(void **state)
{
    static const struct db_statement echo = {"echo",
        "UPDATE @item SET n = ?1, name = ?2, body = ?3 WHERE id = ?4 OR ?5 = 1 OR ?6 = 1 RETURNING n"};
    struct place *at = *state;
    struct err err = {0};
    struct db_result result;
    put_item(at->db, 1);
    for (unsigned kind = 0; kind < 64; kind++) {
        good(db_run(at->db, &echo,
                 DB_VALUES(kind & 1 ? db_null() : db_int(kind), kind & 2 ? db_null() : db_text(STR("a")),
                     kind & 4 ? db_null() : db_bytes("b", 1), db_int(1),
                     kind & 8 ? db_null_of(DB_INT) : db_int(0), kind & 16 ? db_null_of(DB_INT) : db_int(0)),
                 &at->arena, &result, &err),
            &err);
        CHECK_INT("rows", result.n_rows, 1);
        CHECK_INT("changed", result.changed, 1);
        CHECK_INT("value", db_at(&result, 0, 0)->type, kind & 1 ? DB_NULL : DB_INT);
    }
}

static void test_what_is_no_name(void **state)
{
    static const struct db_statement odd = {
        "odd", "SELECT '@item ?1 it''s', /* @item ' ?9 */ ?1 AS \"@n?2\" -- @item ?3"};
    struct place *at = *state;
    struct err err = {0};
    struct db_result result;
    good(db_run(at->db, &odd, DB_VALUES(db_int(4)), &at->arena, &result, &err), &err);
    CHECK_STR("text", db_at(&result, 0, 0)->bytes, STR("@item ?1 it's"));
    CHECK_INT("parameter", db_at(&result, 0, 1)->integer, 4);
}

static void test_a_statement_without_a_name(void **state)
{
    struct place *at = *state;
    put_item(at->db, 1);
    for (int i = 0; i < 5; i++) {
        char sql[64];
        snprintf(sql, sizeof sql, "SELECT count(*) + %d FROM @item", i);
        const struct db_statement once = {NULL, sql};
        CHECK_INT(sql, number(at, at->db, &once), i + 1);
    }
}

static void test_texts_are_ordered_by_bytes(void **state)
{
    static const struct db_statement by_name = {"by_name", "SELECT name FROM @item ORDER BY name"};
    static const char *const names[] = {"b", "A", "\xc3\xa4", "a", "B", "_"};
    static const char *const want[] = {"A", "B", "_", "a", "b", "\xc3\xa4"};
    struct place *at = *state;
    struct err err = {0};
    struct db_result result;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        good(db_run(at->db, &put,
                 DB_VALUES(db_int((int64_t)i), db_text(str_of(names[i])), db_null(), db_null()), NULL, NULL,
                 &err),
            &err);
    good(db_run(at->db, &by_name, DB_NO_VALUES, &at->arena, &result, &err), &err);
    for (size_t i = 0; i < COUNT_OF(want); i++)
        CHECK_STR("name", db_at(&result, i, 0)->bytes, str_of(want[i]));
}

/* ---- errors and transactions ---- */

static void test_errors(void **state)
{
    static const struct db_statement nowhere = {"nowhere", "SELECT n FROM @nowhere"};
    static const struct db_statement nonsense = {"nonsense", "SELECT no_such_column FROM @item"};
    struct place *at = *state;
    struct err err = {0};
    put_item(at->db, 1);
    assert_int_equal(try_item(at->db, 1, &err), ERR_CONFLICT);
    assert_int_equal(try_item(at->db, 13, &err), ERR_CONFLICT);
    assert_int_equal(db_run(at->db, &nowhere, DB_NO_VALUES, NULL, NULL, &err), ERR_NOT_FOUND);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(db_run(at->db, &nonsense, DB_NO_VALUES, NULL, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "no_such_column"));
    CHECK_INT("goes on", items_of(at, at->db), 1);
}

static void test_transactions(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    good(db_begin(at->db, true, &err), &err);
    put_item(at->db, 1);
    db_rollback(at->db);
    db_rollback(at->db);
    CHECK_INT("rolled back", items_of(at, at->db), 0);
    good(db_begin(at->db, true, &err), &err);
    put_item(at->db, 1);
    good(db_commit(at->db, &err), &err);
    CHECK_INT("committed", items_of(at, at->db), 1);
    good(db_begin(at->db, true, &err), &err);
    put_item(at->db, 2);
    db_close(at->db);
    at->db = opened(at, "g1", false, 0);
    CHECK_INT("closed while open", items_of(at, at->db), 1);
}

/* Over SQLite a refused statement alone would undo nothing but itself. */
static void test_an_error_undoes_the_transaction(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    good(db_begin(at->db, true, &err), &err);
    put_item(at->db, 1);
    assert_int_equal(try_item(at->db, 1, &err), ERR_CONFLICT);
    assert_int_equal(try_item(at->db, 2, &err), ERR_CONFLICT);
    assert_int_equal(db_insert(at->db, &items, NULL, 1, NULL, &err), ERR_CONFLICT);
    assert_int_equal(db_commit(at->db, &err), ERR_CONFLICT);
    CHECK_INT("nothing is left", items_of(at, at->db), 0);
    good(db_begin(at->db, true, &err), &err);
    assert_int_equal(try_item(at->db, 13, &err), ERR_CONFLICT);
    db_rollback(at->db);
    put_item(at->db, 3);
    CHECK_INT("and it goes on", items_of(at, at->db), 1);
}

static void test_reads_see_one_state(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct db *reader = opened(at, "g1", true, 0);
    put_item(at->db, 1);
    good(db_begin(reader, false, &err), &err);
    CHECK_INT("before", items_of(at, reader), 1);
    put_item(at->db, 2);
    CHECK_INT("within", items_of(at, reader), 1);
    good(db_commit(reader, &err), &err);
    CHECK_INT("after", items_of(at, reader), 2);
    db_close(reader);
}

static void test_a_writer_does_not_wait_for_ever(void **state)
{
    static const struct db_statement touch = {"touch", "UPDATE @item SET n = n + 1 WHERE id = 1"};
    struct place *at = *state;
    struct err err = {0};
    struct db *other = opened(at, "g1", false, 50);
    put_item(at->db, 1);
    good(db_begin(at->db, true, &err), &err);
    good(db_run(at->db, &touch, DB_NO_VALUES, NULL, NULL, &err), &err);
    int rc = db_begin(other, true, &err);
    if (rc == 0)
        rc = db_run(other, &touch, DB_NO_VALUES, NULL, NULL, &err);
    assert_int_equal(rc, ERR_BUSY);
    db_rollback(other);
    good(db_commit(at->db, &err), &err);
    good(db_begin(other, true, &err), &err);
    good(db_run(other, &touch, DB_NO_VALUES, NULL, NULL, &err), &err);
    good(db_commit(other, &err), &err);
    db_close(other);
}

static void test_a_reader_writes_nothing(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct db *reader = opened(at, "g1", true, 0);
    assert_int_equal(db_begin(reader, true, &err), ERR_CONFIG);
    assert_int_equal(db_script(reader, "DELETE FROM @item", &err), ERR_CONFIG);
    assert_int_equal(db_insert(reader, &items, NULL, 1, NULL, &err), ERR_CONFIG);
    if (!at->pooled) /* there the session cannot be told */
        assert_int_not_equal(try_item(reader, 1, &err), 0);
    CHECK_INT("nothing", items_of(at, reader), at->pooled ? items_of(at, at->db) : 0);
    db_close(reader);
}

/* ---- parts and other processes ---- */

static void test_parts_are_apart(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct db *g10 = opened(at, "g10", false, 0), *control = opened(at, NULL, false, 0), *gone = NULL;
    good(db_script(g10, sql_tables, &err), &err);
    good(db_script(control, sql_tables, &err), &err);
    put_item(at->db, 1);
    put_item(at->db, 2);
    put_item(g10, 1);
    CHECK_INT("g1", items_of(at, at->db), 2);
    CHECK_INT("g10", items_of(at, g10), 1);
    CHECK_INT("control", items_of(at, control), 0);
    db_close(at->db);
    good(db_drop_part(at->url, "g1", &err), &err);
    good(db_drop_part(at->url, "g1", &err), &err); /* twice is once */
    CHECK_INT("g10 still", items_of(at, g10), 1);
    CHECK_INT("control still", items_of(at, control), 0);
    const struct db_options reading = {.part = "g1", .read_only = true, .pooled = at->pooled};
    int rc = db_open(at->url, &reading, &gone, &err);
    if (rc == 0)
        rc = db_run(gone, &count, DB_NO_VALUES, NULL, NULL, &err);
    assert_int_equal(rc, ERR_NOT_FOUND);
    db_close(gone);
    db_close(g10);
    db_close(control);
    good(db_drop_part(at->url, "g10", &err), &err);
    at->db = opened(at, "g1", false, 0);
}

static void test_nothing_is_made_unasked(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct db *db = NULL;
    char url[DATABASE_SIZE + 8];
    const struct db_options options = {.part = "g7", .pooled = at->pooled};
    if (db_is_postgres(at->db)) { /* the schema is there, and says nothing about tables */
        postgres_testing_prompt(at->url, "DROP SCHEMA creditledger_read CASCADE", url, sizeof url);
        assert_int_equal(db_run(at->db, &all, DB_NO_VALUES, NULL, NULL, &err), ERR_NOT_FOUND);
    }
    assert_int_equal(db_open(at->url, &options, &db, &err), ERR_NOT_FOUND);
    snprintf(url, sizeof url, "mysql://u:secret@h/d");
    assert_int_equal(db_open(url, &options, &db, &err), ERR_CONFIG);
    assert_null(strstr(err.message, "secret"));
    assert_int_equal(db_open("sqlite:", &options, &db, &err), ERR_CONFIG);
    assert_int_equal(db_open("postgres://u:secret@[h/d", &options, &db, &err), ERR_CONFIG);
    assert_null(strstr(err.message, "secret"));
    assert_null(db);
}

static void test_a_reader_beside_another_process(void **state)
{
    struct place *at = *state;
    int there[2], back[2];
    char byte = 0;
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    db_close(at->db); /* a handle does not outlive a fork */
    at->db = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = {0};
        struct db *db = NULL;
        const struct db_options options = {.part = "g1", .create = true, .pooled = at->pooled};
        int rc = db_open(at->url, &options, &db, &err);
        for (int64_t i = 1; rc == 0 && i <= 3; i++) {
            rc = try_item(db, i, &err);
            if (rc == 0 && (write(back[1], &byte, 1) != 1 || read(there[0], &byte, 1) != 1))
                rc = 1;
        }
        _exit(rc == 0 ? 0 : 1); /* as a kill would leave it */
    }
    struct db *reader = NULL;
    for (int64_t i = 1; i <= 3; i++) {
        assert_int_equal(read(back[0], &byte, 1), 1);
        if (reader == NULL)
            reader = opened(at, "g1", true, 0);
        CHECK_INT("seen", items_of(at, reader), i);
        assert_int_equal(write(there[1], &byte, 1), 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    CHECK_INT("after its end", items_of(at, reader), 3);
    db_close(reader);
    for (int i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
    at->db = opened(at, "g1", false, 0);
}

/* A process that was killed leaves more than the file; none of it is there afterwards, or comes back. */
static void test_dropping_after_a_kill(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    char path[128];
    db_close(at->db);
    at->db = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        struct db *db = NULL;
        const struct db_options options = {.part = "g1", .create = true, .pooled = at->pooled};
        int rc = db_open(at->url, &options, &db, &err);
        _exit(rc == 0 && try_item(db, 1, &err) == 0 ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    snprintf(path, sizeof path, "%s/read-g1.db-wal", at->directory);
    assert_int_equal(access(path, F_OK), at->directory[0] == '\0' ? -1 : 0);
    good(db_drop_part(at->url, "g1", &err), &err);
    assert_int_not_equal(access(path, F_OK), 0);
    at->db = opened(at, "g1", false, 0);
    good(db_script(at->db, sql_tables, &err), &err);
    CHECK_INT("a new one", items_of(at, at->db), 0);
}

/* ---- many rows, tables ---- */

static void test_many_rows(void **state)
{
    enum { ROWS = 3000, COLUMNS = 4 };
    static const struct db_table upsert = {.name = "upsert",
        .table = "@item",
        .columns = {{"id", DB_INT}, {"name", DB_TEXT}, {"body", DB_BYTES}, {"n", DB_INT}},
        .n_columns = 4,
        .tail = "ON CONFLICT (id) DO UPDATE SET n = @item.n + excluded.n WHERE excluded.n > 2990"};
    struct place *at = *state;
    struct err err = {0};
    struct db_result result;
    uint64_t changed;
    struct db_value *values = calloc(ROWS * COLUMNS, sizeof *values);
    static int64_t bodies[ROWS];
    for (int64_t i = 0; i < ROWS; i++) {
        struct db_value *row = &values[i * COLUMNS];
        row[0] = db_int(i);
        row[1] = i % 3 == 0 ? db_text(STR_NONE) : i % 3 == 1 ? db_text(STR("")) : db_text(STR("name"));
        row[2] = i % 2 == 0 ? db_null() : db_bytes(&bodies[i], sizeof bodies[i]);
        row[3] = i == 13 ? db_null() : db_int(i);
    }
    good(db_insert(at->db, &items, values, ROWS, &changed, &err), &err);
    CHECK_INT("inserted", changed, ROWS);
    good(db_insert(at->db, &upsert, values, ROWS, &changed, &err), &err);
    CHECK_INT("updated", changed, 9);
    good(db_run(at->db, &all, DB_NO_VALUES, &at->arena, &result, &err), &err);
    CHECK_INT("rows", result.n_rows, ROWS);
    for (int64_t i = 0; i < ROWS; i++) {
        CHECK_INT("name", db_at(&result, (size_t)i, 1)->type, i % 3 == 0 ? DB_NULL : DB_TEXT);
        CHECK_INT("body", db_at(&result, (size_t)i, 2)->bytes.len, i % 2 == 0 ? 0 : sizeof bodies[i]);
        CHECK_INT("n", db_at(&result, (size_t)i, 3)->integer, i == 13 ? 0 : i > 2990 ? 2 * i : i);
    }
    values[(ROWS - 1) * COLUMNS] = db_int(ROWS);
    for (int64_t i = 0; i < ROWS - 1; i++)
        values[i * COLUMNS] = db_int(ROWS + i + 1);
    values[(ROWS - 1) * COLUMNS] = db_int(0); /* is there: none of the others may be */
    assert_int_equal(db_insert(at->db, &items, values, ROWS, &changed, &err), ERR_CONFLICT);
    CHECK_INT("changed", changed, 0);
    CHECK_INT("all or nothing", items_of(at, at->db), ROWS);
    good(db_insert(at->db, &items, values, 0, &changed, &err), &err);
    free(values);
}

static void test_scripts(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    good(db_script(at->db, sql_tables, &err), &err);
    assert_int_equal(
        db_script(at->db, "CREATE TABLE @half (n BIGINT); INSERT INTO @item (id) VALUES (1), (1)", &err),
        ERR_CONFLICT);
    static const struct db_statement half = {"half", "SELECT count(*) FROM @half"};
    assert_int_equal(db_run(at->db, &half, DB_NO_VALUES, NULL, NULL, &err), ERR_NOT_FOUND);
    good(db_begin(at->db, true, &err), &err);
    good(db_script(at->db, "CREATE TABLE @half (n BIGINT)", &err), &err);
    db_rollback(at->db);
    assert_int_equal(db_run(at->db, &half, DB_NO_VALUES, NULL, NULL, &err), ERR_NOT_FOUND);
    good(db_script(at->db, "DROP INDEX @item_name; DROP INDEX IF EXISTS @item_both; DROP TABLE @item", &err),
        &err);
}

static void *make_tables(void *ctx)
{
    struct place *at = ctx;
    struct err err = {0};
    struct db *db = NULL;
    const struct db_options options = {.part = "g2", .create = true, .pooled = at->pooled};
    int rc = db_open(at->url, &options, &db, &err);
    if (rc == 0)
        rc = db_script(db, sql_tables, &err);
    if (rc != 0)
        fprintf(stderr, "%d: %s\n", rc, err.message);
    db_close(db);
    return rc == 0 ? at : NULL;
}

static void test_tables_are_made_by_several_at_once(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    pthread_t threads[8];
    void *done;
    int bad = 0;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_tables, at), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &done);
        bad += done == NULL;
    }
    assert_int_equal(bad, 0);
    good(db_drop_part(at->url, "g2", &err), &err);
}

/* ---- PostgreSQL alone ---- */

static void cut(struct place *at)
{
    char text[64];
    postgres_testing_prompt(at->url,
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        text, sizeof text);
    assert_string_not_equal(text, "0");
}

static void test_a_lost_connection(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    put_item(at->db, 1);
    cut(at);
    CHECK_INT("idle: nobody notices", items_of(at, at->db), 1);
    good(db_begin(at->db, true, &err), &err);
    put_item(at->db, 2);
    cut(at);
    assert_int_equal(try_item(at->db, 3, &err), ERR_IO);
    assert_int_equal(db_commit(at->db, &err), ERR_IO);
    CHECK_INT("the transaction is gone", items_of(at, at->db), 1);
    good(db_begin(at->db, true, &err), &err);
    put_item(at->db, 2);
    cut(at);
    assert_int_equal(db_commit(at->db, &err), ERR_IO); /* certainly: it was not asked */
    CHECK_INT("this one too", items_of(at, at->db), 1);
    struct db *reader = opened(at, "g1", true, 0);
    cut(at);
    CHECK_INT("a reader", items_of(at, reader), 1);
    if (!at->pooled)
        assert_int_not_equal(try_item(reader, 9, &err), 0); /* still a reader on its next connection */
    db_close(reader);
}

static void test_an_ambiguous_commit_is_unknown(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    char text[64];
    postgres_testing_prompt(at->url,
        "CREATE OR REPLACE FUNCTION ambiguous() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " RAISE EXCEPTION 'result is ambiguous' USING ERRCODE = '08007'; END $$;"
        "CREATE CONSTRAINT TRIGGER ambiguous AFTER INSERT ON creditledger_read.g1_item DEFERRABLE INITIALLY "
        "DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION ambiguous()",
        text, sizeof text);
    good(db_begin(at->db, true, &err), &err);
    put_item(at->db, 1);
    assert_int_equal(db_commit(at->db, &err), ERR_UNKNOWN);
    assert_int_equal(err.code, ERR_UNKNOWN);
    CHECK_INT("goes on", items_of(at, at->db), 0);
}

static void test_what_a_role_may_not(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct db *db = NULL;
    char url[DATABASE_SIZE], text[64];
    const struct db_options making = {.create = true, .pooled = at->pooled};
    const struct db_options using = {.pooled = at->pooled};
    postgres_testing_as(at->url, "cl_read_stranger", url, sizeof url);
    postgres_testing_prompt(at->url,
        "DO $$BEGIN CREATE ROLE cl_read_stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$",
        text, sizeof text);
    assert_int_equal(db_open(url, &using, &db, &err), ERR_CONFIG); /* it may not look */
    postgres_testing_prompt(
        at->url, "GRANT USAGE ON SCHEMA creditledger_read TO cl_read_stranger", text, sizeof text);
    assert_int_equal(db_open(url, &making, &db, &err), ERR_CONFIG); /* it may not make */
    assert_non_null(strstr(err.message, "--runtime-role"));
    good(db_open(url, &using, &db, &err), &err);
    static const struct db_statement theirs = {"theirs", "SELECT count(*) FROM creditledger_read.g1_item"};
    assert_int_equal(db_run(db, &theirs, DB_NO_VALUES, NULL, NULL, &err), ERR_CONFIG);
    db_close(db);
    postgres_testing_prompt(at->url, "DROP SCHEMA creditledger_read CASCADE", text, sizeof text);
    assert_int_equal(db_open(url, &making, &db, &err), ERR_CONFIG); /* nor the schema */
    assert_non_null(strstr(err.message, "--runtime-role"));
}

/* The cursor and the leases are waited for by the disk, what can be made again is not. */
static void test_what_the_disk_is_waited_for(void **state)
{
    static const struct db_statement setting = {
        "setting", "SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN 0 ELSE 1 END"};
    struct place *at = *state;
    struct err err = {0};
    struct db *control = opened(at, NULL, false, 0);
    good(db_begin(at->db, true, &err), &err);
    good(db_begin(control, true, &err), &err);
    CHECK_INT("a generation", number(at, at->db, &setting), 0);
    CHECK_INT("control", number(at, control, &setting), 1);
    db_rollback(control);
    good(db_commit(at->db, &err), &err);
    CHECK_INT("outside a transaction", number(at, at->db, &setting), 1);
    db_close(control);
}

/* ---- where ---- */

static int setup(void **state, bool postgres, bool pooled)
{
    struct place *at = calloc(1, sizeof *at);
    struct err err = {0};
    char text[64];
    arena_init(&at->arena, 0);
    at->pooled = pooled;
    *state = at;
    if (postgres) {
        postgres_testing_prompt(
            shared_url, "DROP SCHEMA IF EXISTS creditledger_read CASCADE", text, sizeof text);
        snprintf(at->url, sizeof at->url, "%s", shared_url);
    } else {
        snprintf(at->directory, sizeof at->directory, "/tmp/creditledger-db-XXXXXX");
        assert_non_null(mkdtemp(at->directory));
        snprintf(at->url, sizeof at->url, "sqlite:%s/read.db", at->directory);
    }
    at->db = opened(at, "g1", false, 0);
    good(db_script(at->db, sql_tables, &err), &err);
    return 0;
}

/* ---- what was deleted ---- */

/* In the part's file, or in its log. Over PostgreSQL files are the server's. */
static bool in_files(const struct place *at, const char *word)
{
    static const char *const names[] = {"read-g1.db", "read-g1.db-wal"};
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[128], line[4096];
        snprintf(path, sizeof path, "%s/%s", at->directory, names[i]);
        FILE *file = fopen(path, "rb");
        for (size_t n; file != NULL && (n = fread(line, 1, sizeof line, file)) > 0;)
            found |= memmem(line, n, word, strlen(word)) != NULL;
        if (file != NULL)
            fclose(file);
    }
    return found;
}

static void test_what_was_deleted_is_gone(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    bool embedded = !db_is_postgres(at->db);
    for (int thorough = 0; thorough < 2; thorough++) {
        good(db_run(at->db, &put, DB_VALUES(db_int(1), db_text(STR("Secretname")), db_null(), db_int(1)),
                 NULL, NULL, &err),
            &err);
        good(db_scrub(at->db, false, &err), &err);
        CHECK_INT("there", in_files(at, "Secretname"), embedded);
        struct db *reader = opened(at, "g1", true, 0);
        good(db_begin(reader, false, &err), &err);
        CHECK_INT("seen", items_of(at, reader), 1);
        good(db_script(at->db, "DELETE FROM @item", &err), &err);
        if (embedded)
            CHECK_INT("a reader is in the way", db_scrub(at->db, false, &err), ERR_BUSY);
        db_close(reader);
        good(db_scrub(at->db, thorough == 1, &err), &err);
        assert_false(in_files(at, "Secretname"));
        put_item(at->db, 2); /* it goes on */
        good(db_script(at->db, "DELETE FROM @item", &err), &err);
    }
}

static int setup_sqlite(void **state)
{
    return setup(state, false, false);
}

static int setup_postgres(void **state)
{
    return setup(state, true, false);
}

static int setup_pooled(void **state)
{
    return setup(state, true, true);
}

/* Over SQLite: whatever the test made, dropping takes away; the control part is deleted here. */
static void check_directory(const struct place *at)
{
    char path[128];
    snprintf(path, sizeof path, "%s/read.db", at->directory);
    (void)unlink(path);
    if (rmdir(at->directory) != 0)
        fail_msg("%s: something is left", at->directory);
}

static int teardown(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    db_close(at->db);
    good(db_drop_part(at->url, "g1", &err), &err);
    if (at->directory[0] != '\0')
        check_directory(at);
    arena_fini(&at->arena);
    free(at);
    return 0;
}

static void forget_database(void)
{
    postgres_testing_forget(shared_url);
}

#define over(test, where) \
    { \
#test " over " #where, test, setup_##where, teardown, NULL \
    }
#define postgres_too(test) over(test, sqlite), over(test, postgres), over(test, pooled)
#define postgres_only(test) over(test, postgres), over(test, pooled)
#define SHARED_TESTS(X) \
    X(test_values_come_back), X(test_all_integers_are_integers), X(test_nulls_have_types), \
        X(test_many_kinds_of_nulls), X(test_what_is_no_name), X(test_a_statement_without_a_name), \
        X(test_texts_are_ordered_by_bytes), X(test_errors), X(test_transactions), \
        X(test_an_error_undoes_the_transaction), X(test_reads_see_one_state), \
        X(test_a_writer_does_not_wait_for_ever), X(test_a_reader_writes_nothing), X(test_parts_are_apart), \
        X(test_nothing_is_made_unasked), X(test_a_reader_beside_another_process), \
        X(test_dropping_after_a_kill), X(test_many_rows), X(test_scripts), X(test_what_was_deleted_is_gone), \
        X(test_tables_are_made_by_several_at_once)
#define sqlite_only(test) over(test, sqlite)

int main(void)
{
    const struct CMUnitTest everywhere[] = {
        SHARED_TESTS(postgres_too),
        postgres_only(test_a_lost_connection),
        postgres_only(test_an_ambiguous_commit_is_unknown),
        postgres_only(test_what_a_role_may_not),
        postgres_only(test_what_the_disk_is_waited_for),
    };
    const struct CMUnitTest embedded[] = {SHARED_TESTS(sqlite_only)};
    if (!postgres_testing_here()) {
        fprintf(stderr,
            "db: over SQLite only; PostgreSQL needs ./dev test, or scripts/postgres.py run -- COMMAND\n");
        return cmocka_run_group_tests_name("db", embedded, NULL, NULL);
    }
    postgres_testing_empty_url(shared_url, sizeof shared_url);
    atexit(forget_database);
    return cmocka_run_group_tests_name("db", everywhere, NULL, NULL);
}
