/* The driver as its users see it, over SQLite and, where CREDITLEDGER_TEST_POSTGRES names a cluster, over PostgreSQL. */
#include "base/check.h"

#include "db/db.h"

struct place {
    char directory[64], url[512];
    struct db *db;
    struct arena arena;
};

static const struct db_options making = {.part = "g1", .create = true};

static const char sql_tables[] =
    "CREATE TABLE IF NOT EXISTS @item (id BIGINT NOT NULL PRIMARY KEY, name @TEXT,"
    " body @BYTES, n BIGINT) @WITHOUT_ROWID;"
    "CREATE INDEX IF NOT EXISTS @item_name ON @item (name)";
static const struct db_statement put = {
    "put", "INSERT INTO @item (id, name, body, n) VALUES (?1, ?2, ?3, ?4)"};
static const struct db_statement all = {"all", "SELECT id, name, body, n FROM @item ORDER BY id"};
static const struct db_statement count = {"count", "SELECT count(*) FROM @item"};

static void good(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, err->message);
}

static int64_t count_of(struct place *at, struct db *db)
{
    struct err err = {0};
    struct db_result result;
    good(db_run(db, &count, DB_NO_VALUES, &at->arena, &result, &err), &err);
    return db_at(&result, 0, 0)->integer;
}

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
    CHECK_STR("text", db_at(&result, 0, 1)->bytes, STR("caf\xc3\xa9"));
    CHECK_INT("text", db_at(&result, 0, 1)->type, DB_TEXT);
    CHECK_STR("bytes", db_at(&result, 0, 2)->bytes, STR("\0\xff"));
    CHECK_INT("bytes", db_at(&result, 0, 2)->type, DB_BYTES);
    CHECK_INT("empty text", db_at(&result, 1, 1)->type, DB_TEXT);
    CHECK_INT("empty bytes", db_at(&result, 1, 2)->type, DB_BYTES);
    for (size_t i = 1; i < 4; i++)
        CHECK_INT("nothing", db_at(&result, 2, i)->type, DB_NULL);
}

static void test_transactions(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    good(db_begin(at->db, true, &err), &err);
    good(db_run(at->db, &put, DB_VALUES(db_int(1), db_null(), db_null(), db_null()), NULL, NULL, &err), &err);
    db_rollback(at->db);
    db_rollback(at->db);
    CHECK_INT("rolled back", count_of(at, at->db), 0);
    good(db_begin(at->db, true, &err), &err);
    good(db_run(at->db, &put, DB_VALUES(db_int(1), db_null(), db_null(), db_null()), NULL, NULL, &err), &err);
    good(db_commit(at->db, &err), &err);
    CHECK_INT("committed", count_of(at, at->db), 1);
}

static int setup_sqlite(void **state)
{
    struct place *at = calloc(1, sizeof *at);
    struct err err = {0};
    arena_init(&at->arena, 0);
    snprintf(at->directory, sizeof at->directory, "/tmp/creditledger-db-XXXXXX");
    assert_non_null(mkdtemp(at->directory));
    snprintf(at->url, sizeof at->url, "sqlite:%s/read.db", at->directory);
    good(db_open(at->url, &making, &at->db, &err), &err);
    good(db_script(at->db, sql_tables, &err), &err);
    *state = at;
    return 0;
}

static int teardown_sqlite(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    db_close(at->db);
    good(db_drop_part(at->url, "g1", &err), &err);
    assert_int_equal(rmdir(at->directory), 0);
    arena_fini(&at->arena);
    free(at);
    return 0;
}

#define over_sqlite(test) \
    { \
#test " over sqlite", test, setup_sqlite, teardown_sqlite, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        over_sqlite(test_values_come_back),
        over_sqlite(test_transactions),
    };
    return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
