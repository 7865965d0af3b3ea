/*
 * What the journal over PostgreSQL has beyond the port: bringing the schema up to date, and telling what its role may
 * do that serving does not need. Both take a libpq URI of a direct connection, or of one through a pooler in
 * transaction mode: a migration is one transaction.
 */
#ifndef CREDITLEDGER_JOURNAL_POSTGRES_H
#define CREDITLEDGER_JOURNAL_POSTGRES_H

#include "db/postgres_url.h"
#include "journal/journal.h"

struct postgres_migration_plan {
    int64_t now; /* created_at of ledger `main` */
    /* NULL; else the role of servers: it may use the journal and keep read models, nothing more; made if missing. */
    const char *runtime_role;
    bool plain; /* for databases that speak PostgreSQL and lack its triggers and functions: tables, keys and
                                 checks only (docs/scaling.md says what is no longer enforced) */
};

/*
 * Makes or updates schema `creditledger`, as a role that owns it or may create it. Idempotent; programs that start at
 * once wait for each other. Notes say what was done, one a step, none if nothing was to do. ERR_UNSUPPORTED: the
 * database is newer than this program. ERR_CONFIG: the role may not, or plain does not fit what is there.
 */
MUST_CHECK int postgres_migrate(const char *url, const struct postgres_migration_plan *plan,
    journal_note_visit *visit, void *ctx, struct err *err);

/* One note for each right that the handle's role has and a server does not need: superuser, owner of a table, UPDATE,
 * DELETE or TRUNCATE on a table of the journal. */
MUST_CHECK int postgres_excess_rights(
    struct journal *j, journal_note_visit *visit, void *ctx, struct err *err);

#endif
