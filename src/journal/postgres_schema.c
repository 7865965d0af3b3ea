/*
 * Migrations and the runtime role. A migration run is one transaction behind an advisory lock, so that programs that
 * start at once wait for each other and either all of it is there or nothing. Each applied file is kept with its
 * checksum in creditledger.migration: a schema that other files made is not taken for ours.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/postgres_internal.h"

#define VERSION_MIN 150000          /* of the server: what the triggers rely on was tested from 15 on */
#define MIGRATION_TIMEOUT_MS 600000 /* it may wait for another program's */
#define LOCK_KEYS "1129073735, 0"   /* 'CLLG'; the second is a ledger elsewhere, from 1 on */
#define RUN_AS_OWNER \
    "run 'creditledger migrate' as the role that owns the schema (or as the database's owner, the first " \
    "time)"

static const char sql_migration_table[] =
    "CREATE SCHEMA creditledger;"
    "CREATE TABLE creditledger.migration(version int NOT NULL PRIMARY KEY, name text COLLATE \"C\" NOT NULL,"
    " checksum bytea NOT NULL, plain boolean NOT NULL)";

static const struct pg_statement statement_exists = {"schema_exists",
    "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = 'creditledger' AND c.relname = 'migration'"};
static const struct pg_statement statement_applied = {
    "schema_applied", "SELECT version, name, checksum, plain FROM creditledger.migration ORDER BY version"};
static const struct pg_statement statement_record = {"schema_record",
    "INSERT INTO creditledger.migration(version, name, checksum, plain) VALUES($1, $2, $3, $4)"};
static const struct pg_statement statement_main = {"schema_main",
    "INSERT INTO creditledger.ledger(id, name, default_floor, created_at) SELECT 1, 'main', NULL, $1"
    " WHERE NOT EXISTS (SELECT 1 FROM creditledger.ledger)"};
/* Is it there; is it granted to role $1; may we do so? */
static const struct pg_statement statement_read_schema = {"schema_read",
    "SELECT n.oid IS NOT NULL, coalesce(pg_catalog.has_schema_privilege($1, n.oid, 'CREATE')"
    " AND pg_catalog.has_schema_privilege($1, n.oid, 'USAGE'), false),"
    " coalesce(pg_catalog.pg_has_role(n.nspowner, 'USAGE'),"
    " pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'))"
    " FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = 'creditledger_read'"};
static const struct pg_statement statement_role = {
    "schema_role", "SELECT r.rolname = current_user FROM pg_catalog.pg_roles r WHERE r.rolname = $1"};

/* ---- what is there ---- */

size_t postgres_migration_length(const struct postgres_migration *migration, bool plain)
{
    const char *end = plain ? strstr(migration->sql, POSTGRES_PLAIN_END) : NULL;
    INVARIANT(end == NULL || end == migration->sql || end[-1] == '\n');
    return end == NULL ? strlen(migration->sql) : (size_t)(end - migration->sql);
}

static void checksum_of(
    const struct postgres_migration *migration, bool plain, uint8_t ret_checksum[HASH_LEN])
{
    struct digest *digest = digest_new();
    struct str text = {migration->sql, postgres_migration_length(migration, plain)};
    digest_bytes(digest, text, ret_checksum);
    digest_free(digest);
}

struct applied {
    unsigned version; /* 0: nothing is there */
    bool plain;
};

static int check_applied(const PGresult *result, struct applied *applied, struct err *err)
{
    int rows = PQntuples(result);
    for (int i = 0; i < rows; i++) {
        uint8_t ours[HASH_LEN], theirs[HASH_LEN];
        int64_t version = pg_int(result, i, 0);
        struct str name = pg_str(result, i, 1);
        if (version != i + 1)
            return err_set(err, ERR_CORRUPT, "database: creditledger.migration lacks version %d", i + 1);
        if ((unsigned)i >= postgres_migration_count)
            return err_set(err, ERR_UNSUPPORTED,
                "the database has schema version %d, this program knows %u: use a newer one", rows,
                postgres_migration_count);
        applied->plain = pg_bool(result, i, 3);
        checksum_of(&postgres_migrations[i], applied->plain, ours);
        if (!str_eq_c(name, postgres_migrations[i].name) || !pg_bytes(result, i, 2, theirs, HASH_LEN) ||
            memcmp(ours, theirs, HASH_LEN) != 0)
            return err_set(err, ERR_UNSUPPORTED,
                "the database was made by another program's " STR_FMT ", not by this one's %s", STR_ARG(name),
                postgres_migrations[i].name);
    }
    applied->version = (unsigned)rows;
    return 0;
}

static int read_applied(struct pg_wire *wire, struct applied *applied, struct err *err)
{
    PGresult *result = NULL;
    *applied = (struct applied){0};
    int rc = pg_run(wire, &statement_exists, NULL, &result, err);
    bool exists = rc == 0 && pg_int(result, 0, 0) > 0;
    PQclear(result);
    if (!exists)
        return rc;
    rc = pg_run(wire, &statement_applied, NULL, &result, err);
    if (rc == 0)
        rc = check_applied(result, applied, err);
    else if (rc == ERR_CONFIG)
        err_wrap(err,
            "this role may not use schema creditledger; 'creditledger migrate --runtime-role' grants it");
    PQclear(result);
    return rc;
}

int postgres_schema_check(struct pg_wire *wire, bool *ret_plain, struct err *err)
{
    struct applied applied;
    int rc = read_applied(wire, &applied, err);
    if (rc != 0)
        return rc;
    *ret_plain = applied.plain;
    if (applied.version == 0)
        return err_set(
            err, ERR_NOT_FOUND, "database \"%s\" has no schema creditledger: " RUN_AS_OWNER, PQdb(wire->pg));
    if (applied.version < postgres_migration_count)
        return err_set(err, ERR_CONFIG, "database \"%s\" has schema version %u of %u: " RUN_AS_OWNER,
            PQdb(wire->pg), applied.version, postgres_migration_count);
    return 0;
}

int postgres_version_check(const struct pg_wire *wire, bool plain, struct err *err)
{
    int version = PQserverVersion(wire->pg);
    if (plain || version >= VERSION_MIN)
        return 0;
    return err_set(err, ERR_CONFIG, "database: the server is PostgreSQL %d, this program needs %d or newer",
        version / 10000, VERSION_MIN / 10000);
}

/* ---- migrating ---- */

struct migrating {
    struct pg_wire *wire;
    const struct postgres_migration_plan *plan;
    journal_note_visit *visit;
    void *ctx;
    struct pg_params params;
};

static int apply(struct migrating *m, unsigned i, struct err *err)
{
    const struct postgres_migration *migration = &postgres_migrations[i];
    size_t length = postgres_migration_length(migration, m->plan->plain);
    char *sql = strndup(migration->sql, length);
    INVARIANT(sql != NULL);
    int rc = length == 0 ? 0 : pg_exec(m->wire, sql, NULL, err);
    free(sql);
    if (rc != 0)
        return err_wrap(err, "migration %s", migration->name);
    uint8_t checksum[HASH_LEN];
    checksum_of(migration, m->plan->plain, checksum);
    pg_params_clear(&m->params);
    pg_put_int4(&m->params, i + 1);
    pg_put_str(&m->params, str_of(migration->name));
    pg_put_bytes(&m->params, checksum, HASH_LEN);
    pg_put_bool(&m->params, m->plan->plain);
    rc = pg_run(m->wire, &statement_record, &m->params, NULL, err);
    return rc != 0 ? rc
                   : journal_note(m->visit, m->ctx, "applied %s%s", migration->name,
                         m->plan->plain ? ", plain profile" : "");
}

static int apply_missing(struct migrating *m, struct err *err)
{
    struct applied applied;
    int rc = read_applied(m->wire, &applied, err);
    if (rc == 0 && applied.version > 0 && applied.plain != m->plan->plain)
        return err_set(err, ERR_CONFIG, "the database has %s profile: migrate %s --plain, or make a new one",
            applied.plain ? "the plain" : "the full", applied.plain ? "with" : "without");
    if (rc == 0 && applied.version == 0)
        rc = pg_exec(m->wire, sql_migration_table, NULL, err);
    for (unsigned i = applied.version; rc == 0 && i < postgres_migration_count; i++)
        rc = apply(m, i, err);
    if (rc != 0 || applied.version > 0)
        return rc;
    pg_params_clear(&m->params);
    pg_put_int8(&m->params, m->plan->now);
    return pg_run(m->wire, &statement_main, &m->params, NULL, err);
}

/* The only place that says what serving needs. %s: the role. */
static const char *const grants_of_all[] = {
    "REVOKE ALL ON SCHEMA creditledger FROM PUBLIC",
    "REVOKE ALL ON ALL TABLES IN SCHEMA creditledger FROM PUBLIC",
};
static const char *const grants_of_role[] = {
    "REVOKE ALL ON SCHEMA creditledger FROM %s",
    "REVOKE ALL ON ALL TABLES IN SCHEMA creditledger FROM %s",
    "GRANT USAGE ON SCHEMA creditledger TO %s",
    "GRANT SELECT ON ALL TABLES IN SCHEMA creditledger TO %s",
    "GRANT INSERT ON creditledger.ledger, creditledger.asset, creditledger.account TO %s",
    "GRANT INSERT ON creditledger.account_revision, creditledger.entry, creditledger.lot TO %s",
    "GRANT INSERT ON creditledger.journal, creditledger.record_text TO %s",
};
static const char revoke_functions[] = "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA creditledger FROM PUBLIC";
static const char grant_of_functions[] = "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA creditledger TO %s";
/* What views call, they call as whoever reads them. */
static const char grant_of_views[] =
    "GRANT EXECUTE ON FUNCTION creditledger.uuid, creditledger.amount, creditledger.instant,"
    " creditledger.kind_name, creditledger.type_name, creditledger.status_name TO PUBLIC";

static int grant(struct migrating *m, const char *format, const char *role, struct err *err)
{
    const char *place = strstr(format, "%s");
    struct strbuf sql;
    strbuf_init(&sql);
    strbuf_add(&sql, format, place == NULL ? strlen(format) : (size_t)(place - format));
    if (place != NULL)
        strbuf_c(&sql, role);
    strbuf_char(&sql, '\0');
    int rc = pg_exec(m->wire, sql.data, NULL, err);
    strbuf_fini(&sql);
    return rc;
}

/* Another database of the cluster may make the role at this moment: the loser finds it made. */
static int make_role(struct migrating *m, const char *quoted, struct err *err)
{
    struct strbuf sql;
    strbuf_init(&sql);
    strbuf_printf(&sql,
        m->plan->plain ? "CREATE ROLE %s LOGIN"
                       : "DO $creditledger$ BEGIN CREATE ROLE %s LOGIN;"
                         " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $creditledger$",
        quoted);
    strbuf_char(&sql, '\0');
    int rc = strstr(quoted, "$creditledger$") != NULL
                 ? err_set(err, ERR_CONFIG, "%s is no name for a role", quoted)
                 : pg_exec(m->wire, sql.data, NULL, err);
    strbuf_fini(&sql);
    if (rc != 0)
        return rc == ERR_CONFIG ? err_wrap(err, "role %s is not there and cannot be made", quoted) : rc;
    return journal_note(m->visit, m->ctx,
        "made role %s; it can log in once it has a password or another way (ALTER ROLE, pg_hba.conf)",
        quoted);
}

/* A place for what can be made again from the journal: read models, cursors, leases. Servers make its tables and own
 * them; the schema is not theirs, because to give it away one would have to be a member of their role. Without it the
 * journal is whole: who may not make it is told, and has migrated all the same. */
static int set_up_read_schema(struct migrating *m, const char *quoted, struct err *err)
{
    PGresult *result = NULL;
    pg_params_clear(&m->params);
    pg_put_str(&m->params, str_of(m->plan->runtime_role));
    int rc = pg_run(m->wire, &statement_read_schema, &m->params, &result, err);
    bool exists = rc == 0 && pg_bool(result, 0, 0), granted = rc == 0 && pg_bool(result, 0, 1);
    bool may = rc == 0 && pg_bool(result, 0, 2);
    PQclear(result);
    if (rc != 0 || granted)
        return rc;
    if (!may)
        return journal_note(m->visit, m->ctx,
            "this role may not make room for read models; as one that may: CREATE SCHEMA IF NOT EXISTS"
            " creditledger_read; GRANT USAGE, CREATE ON SCHEMA creditledger_read TO %s",
            quoted);
    if (!exists)
        rc = pg_exec(m->wire, "CREATE SCHEMA creditledger_read", NULL, err);
    if (rc == 0)
        rc = grant(m, "GRANT USAGE, CREATE ON SCHEMA creditledger_read TO %s", quoted, err);
    return rc != 0 ? rc
                   : journal_note(
                         m->visit, m->ctx, "%s may keep read models in schema creditledger_read", quoted);
}

static int set_up_role(struct migrating *m, const char *quoted, struct err *err)
{
    PGresult *result = NULL;
    pg_params_clear(&m->params);
    pg_put_str(&m->params, str_of(m->plan->runtime_role));
    int rc = pg_run(m->wire, &statement_role, &m->params, &result, err);
    bool exists = rc == 0 && PQntuples(result) > 0;
    if (exists && pg_bool(result, 0, 0))
        rc = err_set(err, ERR_CONFIG,
            "role %s is the one that migrates: serving needs another, with less rights", quoted);
    PQclear(result);
    if (rc == 0 && !exists)
        rc = make_role(m, quoted, err);
    for (size_t i = 0; rc == 0 && i < sizeof grants_of_role / sizeof grants_of_role[0]; i++)
        rc = grant(m, grants_of_role[i], quoted, err);
    if (rc == 0 && !m->plan->plain)
        rc = grant(m, grant_of_functions, quoted, err);
    return rc == 0 ? set_up_read_schema(m, quoted, err) : rc;
}

static int set_up_rights(struct migrating *m, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof grants_of_all / sizeof grants_of_all[0]; i++)
        rc = grant(m, grants_of_all[i], "", err);
    if (rc == 0 && !m->plan->plain)
        rc = grant(m, revoke_functions, "", err);
    if (rc == 0 && !m->plan->plain)
        rc = grant(m, grant_of_views, "", err);
    if (rc != 0 || m->plan->runtime_role == NULL)
        return rc;
    char *quoted = PQescapeIdentifier(m->wire->pg, m->plan->runtime_role, strlen(m->plan->runtime_role));
    if (quoted == NULL)
        return err_set(err, ERR_CONFIG, "\"%s\" is no name for a role", m->plan->runtime_role);
    rc = set_up_role(m, quoted, err);
    PQfreemem(quoted);
    return rc;
}

static int migrate(struct migrating *m, struct err *err)
{
    int rc = pg_ready(m->wire, err);
    if (rc == 0)
        rc = postgres_version_check(m->wire, m->plan->plain, err);
    if (rc == 0)
        rc = pg_exec(m->wire, "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED", NULL, err);
    m->wire->in_transaction = rc == 0;
    if (rc == 0 && !m->plan->plain)
        rc = pg_exec(m->wire,
            "SET LOCAL search_path = pg_catalog, pg_temp; SELECT pg_advisory_xact_lock(" LOCK_KEYS ")", NULL,
            err);
    if (rc == 0)
        rc = apply_missing(m, err);
    if (rc == 0)
        rc = set_up_rights(m, err);
    return rc != 0 ? rc : pg_exec(m->wire, "COMMIT", NULL, err);
}

int postgres_migrate(const char *url, const struct postgres_migration_plan *plan, journal_note_visit *visit,
    void *ctx, struct err *err)
{
    char *own_url = strdup(url);
    INVARIANT(own_url != NULL);
    struct pg_wire wire = {.url = own_url,
        .constraints = postgres_constraints,
        .pooled = true,
        .timeout_ms = MIGRATION_TIMEOUT_MS};
    struct migrating m = {.wire = &wire, .plan = plan, .visit = visit, .ctx = ctx};
    pg_params_init(&m.params);
    int rc = migrate(&m, err);
    if (rc == ERR_CONFIG && err != NULL && strstr(err->message, "(42501)") != NULL)
        err_wrap(err, "this role may not migrate; " RUN_AS_OWNER);
    pg_params_fini(&m.params);
    pg_close(&wire); /* takes back what did not come to its COMMIT */
    free(own_url);
    return rc;
}
