#include "db/lease.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define HOST_MAX 80

/* Microseconds. Over SQLite ?3 is the machine's clock since it started, which nobody sets. */
#define NOW_POSTGRES "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
#define NOW_SQLITE "?3"
#define STRINGIFY(x) #x
#define SECONDS(n) STRINGIFY(n) "000000"
#define TERM SECONDS(LEASE_SECONDS)
/* A lease that ends much later than any that begins now was written by another clock, before a restart of the machine
 * or before the clock was set: nobody would get it for that long. (Much: ?3 was read before this waited for its turn.) */
#define OTHER_CLOCK SECONDS(60)
/* clang-format off */
#define TAKE(now) \
    "INSERT INTO @lease AS l (name, holder, epoch, expires_at) VALUES (?1, ?2, 1, " now " + " TERM ")" \
    " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at," \
    " epoch = l.epoch + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END" \
    " WHERE l.holder = excluded.holder OR l.expires_at <= " now " OR l.expires_at > " now " + " OTHER_CLOCK \
    " RETURNING epoch, holder, expires_at - " now
/* clang-format on */
#define READ(now) "SELECT epoch, holder, expires_at - " now " FROM @lease WHERE name = ?1"

static const struct db_statement take_postgres = {"lease_take", TAKE(NOW_POSTGRES)};
static const struct db_statement take_sqlite = {"lease_take", TAKE(NOW_SQLITE)};
static const struct db_statement read_postgres = {"lease_read", READ(NOW_POSTGRES)};
static const struct db_statement read_sqlite = {"lease_read", READ("?2")};
static const struct db_statement give = {
    "lease_give", "UPDATE @lease SET holder = '', expires_at = 0 WHERE name = ?1 AND holder = ?2"};

int lease_prepare(struct db *db, struct err *err)
{
    return db_script(db,
        "CREATE TABLE IF NOT EXISTS @lease (name @TEXT NOT NULL PRIMARY KEY, holder @TEXT NOT NULL,"
        " epoch BIGINT NOT NULL, expires_at BIGINT NOT NULL)",
        err);
}

void lease_holder(char ret_holder[LEASE_HOLDER_MAX + 1])
{
    char host[HOST_MAX + 1] = "";
    uint64_t random;
    if (gethostname(host, HOST_MAX) != 0)
        host[0] = '\0';
    for (char *c = host; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            *c = '-';
    INVARIANT(getrandom(&random, sizeof random, 0) == sizeof random);
    snprintf(ret_holder, LEASE_HOLDER_MAX + 1, "%s:%ld:%016llx", host[0] == '\0' ? "unknown" : host,
        (long)getpid(), (unsigned long long)random);
}

static int64_t machine_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Of the one row of a result, if there is one. */
static void take_state(const struct db_result *result, struct lease_state *ret_state)
{
    *ret_state = (struct lease_state){0};
    if (result->n_rows == 0)
        return;
    struct str holder = db_at(result, 0, 1)->bytes;
    ret_state->epoch = (uint64_t)db_at(result, 0, 0)->integer;
    ret_state->expires_in_us = db_at(result, 0, 2)->integer;
    snprintf(ret_state->holder, sizeof ret_state->holder, STR_FMT, STR_ARG(holder));
}

static int read_state(
    struct db *db, const char *name, struct arena *arena, struct lease_state *ret_state, struct err *err)
{
    struct db_result result;
    const struct db_value values[] = {db_text(str_of(name)), db_int(machine_now())};
    bool postgres = db_is_postgres(db);
    int rc =
        db_run(db, postgres ? &read_postgres : &read_sqlite, values, postgres ? 1 : 2, arena, &result, err);
    if (rc == 0)
        take_state(&result, ret_state);
    return rc;
}

int lease_take(
    struct db *db, const char *name, const char *holder, struct lease_state *ret_state, struct err *err)
{
    INVARIANT(holder[0] != '\0' && strlen(holder) <= LEASE_HOLDER_MAX);
    struct arena arena;
    struct db_result result;
    const struct db_value values[] = {db_text(str_of(name)), db_text(str_of(holder)), db_int(machine_now())};
    bool postgres = db_is_postgres(db);
    arena_init(&arena, 0);
    int rc =
        db_run(db, postgres ? &take_postgres : &take_sqlite, values, postgres ? 2 : 3, &arena, &result, err);
    if (rc == 0 && result.n_rows > 0) {
        take_state(&result, ret_state);
        ret_state->held = true;
    } else if (rc == 0) {
        rc = read_state(db, name, &arena, ret_state, err);
    }
    arena_fini(&arena);
    return rc;
}

int lease_give(struct db *db, const char *name, const char *holder, struct err *err)
{
    return db_run(db, &give, DB_VALUES(db_text(str_of(name)), db_text(str_of(holder))), NULL, NULL, err);
}

int lease_read(struct db *db, const char *name, struct lease_state *ret_state, struct err *err)
{
    struct arena arena;
    arena_init(&arena, 0);
    int rc = read_state(db, name, &arena, ret_state, err);
    arena_fini(&arena);
    return rc;
}
