/*
 * For tests in C: databases of their own in the PostgreSQL that tests share (CREDITLEDGER_TEST_POSTGRES, a superuser's
 * URL; ./dev test and scripts/postgres.py set it). The product's own migrations make the schema once a process; the
 * databases are copies of that one. All of them go when the process exits; what a killed test leaves goes with the
 * cluster. One thread. What fails here ends the program: a test without its database has nothing to say.
 */
#ifndef CREDITLEDGER_TESTS_PG_DATABASE_H
#define CREDITLEDGER_TESTS_PG_DATABASE_H

#include <stddef.h>
#include <stdint.h>

#define PG_DATABASE_URL_MAX 512

/* Exits, as a test whose points are all skipped, if there is no PostgreSQL to test with. */
void pg_database_need(void);
/* A database with the journal's schema and nothing in it but ledger `main`, as old as the first call says. */
void pg_database_make(int64_t created_at, char ret_url[PG_DATABASE_URL_MAX]);
void pg_database_drop(const char *url);

#endif
