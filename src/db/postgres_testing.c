#include "db/postgres_testing.h"

#include "base/testing.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/postgres_url.h"

#define NAME_PREFIX "cl_backend_"

static struct {
    const char *base;
    unsigned made;
} testing;

/* The base URL with another database, and another role unless that is NULL. */
static void make_url(const char *role, const char *database, char *ret_url, size_t size)
{
    const char *authority = strstr(testing.base, "://") + 3, *path = strchr(authority, '/');
    const char *at = path == NULL ? NULL : memchr(authority, '@', (size_t)(path - authority));
    const char *query = strchr(authority, '?');
    if (path == NULL || (query != NULL && path > query))
        fail_msg("CREDITLEDGER_TEST_POSTGRES names no database");
    const char *host = at == NULL ? authority : at + 1;
    int n = role == NULL ? snprintf(ret_url, size, "%.*s/%s%s", (int)(path - testing.base), testing.base,
                               database, query == NULL ? "" : query)
                         : snprintf(ret_url, size, "postgres://%s@%.*s/%s%s", role, (int)(path - host), host,
                               database, query == NULL ? "" : query);
    assert_in_range(n, 0, (int)size - 1);
}

static const char *database_of(const char *url, char ret_name[64])
{
    const char *path = strchr(strstr(url, "://") + 3, '/') + 1;
    snprintf(ret_name, 64, "%.*s", (int)strcspn(path, "?"), path);
    return ret_name;
}

static void run(const char *url, const char *sql, char *ret_text, size_t size, char ret_sqlstate[6])
{
    PGconn *pg = PQconnectdb(url);
    PGresult *result = PQexec(pg, sql);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool failed = PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK;
    if (failed && (ret_sqlstate == NULL || sqlstate == NULL))
        fail_msg("%s: %s%s", sql, PQresultErrorMessage(result), PQerrorMessage(pg));
    if (ret_sqlstate != NULL)
        snprintf(ret_sqlstate, 6, "%s", sqlstate == NULL ? "" : sqlstate);
    if (ret_text != NULL)
        snprintf(ret_text, size, "%s",
            PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(pg);
}

void postgres_testing_prompt(const char *url, const char *sql, char *ret_text, size_t size)
{
    run(url, sql, ret_text, size, NULL);
}

void postgres_testing_sqlstate(const char *url, const char *sql, char ret_sqlstate[6])
{
    run(url, sql, NULL, 0, ret_sqlstate);
}

bool postgres_testing_here(void)
{
    testing.base = getenv("CREDITLEDGER_TEST_POSTGRES");
    return testing.base != NULL && postgres_url(testing.base);
}

bool postgres_testing_needed(void)
{
    if (postgres_testing_here())
        return true;
    printf("1..0 # SKIP needs PostgreSQL: run it by ./dev test, or by scripts/postgres.py run -- COMMAND\n");
    return false;
}

static void create(const char *model, char *ret_url, size_t size)
{
    char name[64], sql[160];
    snprintf(name, sizeof name, NAME_PREFIX "%d_%u", (int)getpid(), testing.made++);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE %s", name, model);
    run(testing.base, sql, NULL, 0, NULL);
    make_url(NULL, name, ret_url, size);
}

void postgres_testing_empty_url(char *ret_url, size_t size)
{
    create("template0", ret_url, size);
}

void postgres_testing_copy_url(const char *model, char *ret_url, size_t size)
{
    char name[64];
    create(database_of(model, name), ret_url, size);
}

/* Not through cmocka: the process may be ending. */
void postgres_testing_forget(const char *url)
{
    char name[64], sql[128];
    PGconn *pg = PQconnectdb(testing.base);
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", database_of(url, name));
    PQclear(PQexec(pg, sql));
    PQfinish(pg);
}

void postgres_testing_as(const char *url, const char *role, char *ret_url, size_t size)
{
    char name[64];
    make_url(role, database_of(url, name), ret_url, size);
}

void postgres_testing_drop(const char *url)
{
    char name[64], sql[128];
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", database_of(url, name));
    run(testing.base, sql, NULL, 0, NULL);
}
