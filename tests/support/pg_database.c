#include "support/pg_database.h"

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/postgres.h"

#define VARIABLE "CREDITLEDGER_TEST_POSTGRES"

static struct {
    pid_t owner; /* children that fork inherit this and must not drop anything */
    unsigned made;
    PGconn *connection;
} state;

_Noreturn static void give_up(const char *what, const char *why)
{
    printf("Bail out! %s: %s\n", what, why);
    fflush(stdout);
    _exit(1);
}

void pg_database_need(void)
{
    if (getenv(VARIABLE) != NULL)
        return;
    printf("1..0 # SKIP needs PostgreSQL: run it by ./dev test, or by scripts/postgres.py run -- COMMAND\n");
    exit(0);
}

static void command(const char *format, ...) PRINTF_LIKE(1, 2);
static void command(const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    PGresult *result = PQexec(state.connection, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        give_up(text, PQerrorMessage(state.connection));
    PQclear(result);
}

static void name_of(unsigned n, char ret_name[64])
{
    snprintf(ret_name, 64, "c_test_%ld_%u", (long)state.owner, n);
}

/* The cluster's URL with another database in it: scheme://authority/DATABASE?parameters. */
static void url_of(const char *name, char ret_url[PG_DATABASE_URL_MAX])
{
    const char *cluster = getenv(VARIABLE);
    const char *authority = strstr(cluster, "://");
    if (authority == NULL)
        give_up(VARIABLE, "is no URL");
    size_t before = (size_t)(authority - cluster) + 3;
    before += strcspn(cluster + before, "/?");
    const char *parameters = strchr(cluster, '?');
    int n = snprintf(ret_url, PG_DATABASE_URL_MAX, "%.*s/%s%s", (int)before, cluster, name,
        parameters != NULL ? parameters : "");
    if (n < 0 || n >= PG_DATABASE_URL_MAX)
        give_up(VARIABLE, "is too long");
}

static void drop_all(void)
{
    if (getpid() != state.owner)
        return;
    for (unsigned n = 0; n < state.made; n++) {
        char name[64];
        name_of(n, name);
        command("DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    }
    PQfinish(state.connection);
}

static int quietly(void *ctx, const char *note)
{
    (void)ctx, (void)note;
    return 0;
}

static void no_notice(void *ctx, const char *note)
{
    (void)ctx, (void)note;
}

/* Connects, and makes the database that the others are copies of. */
static void set_up(int64_t created_at)
{
    char name[64], url[PG_DATABASE_URL_MAX];
    struct err err;
    state.owner = getpid();
    state.connection = PQconnectdb(getenv(VARIABLE));
    if (PQstatus(state.connection) != CONNECTION_OK)
        give_up(VARIABLE, PQerrorMessage(state.connection));
    (void)PQsetNoticeProcessor(state.connection, no_notice, NULL);
    name_of(state.made++, name);
    command("CREATE DATABASE %s", name);
    atexit(drop_all);
    url_of(name, url);
    const struct postgres_migration_plan plan = {.now = created_at};
    if (postgres_migrate(url, &plan, quietly, NULL, &err) != 0)
        give_up("migrate", err.message);
}

void pg_database_make(int64_t created_at, char ret_url[PG_DATABASE_URL_MAX])
{
    char name[64], template[64];
    if (state.made == 0)
        set_up(created_at);
    name_of(0, template);
    name_of(state.made++, name);
    command("CREATE DATABASE %s TEMPLATE %s", name, template);
    url_of(name, ret_url);
}

void pg_database_drop(const char *url)
{
    const char *name = strstr(url, "/c_test_");
    if (name == NULL)
        give_up(url, "is no database of this program");
    char copy[64];
    snprintf(copy, sizeof copy, "%.*s", (int)strcspn(name + 1, "?"), name + 1);
    command("DROP DATABASE IF EXISTS %s WITH (FORCE)", copy);
}
