/*
 * For tests: databases of their own on a test cluster. CREDITLEDGER_TEST_POSTGRES is a superuser's URI of one
 * (scripts/postgres.py makes a private one); its database's name is replaced. One database is migrated in a process, the
 * others are copies of it, which is much quicker. All of them are dropped when the process ends.
 */
#ifndef CREDITLEDGER_JOURNAL_POSTGRES_TESTING_H
#define CREDITLEDGER_JOURNAL_POSTGRES_TESTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False if there is no cluster: a TAP line that skips all tests has been printed, main() returns 0. `now` is when
 * ledger `main` of the databases was made. */
bool postgres_testing_begin(int64_t now);
/* A new database, migrated. The test fails if it cannot be made, here and below. */
void postgres_testing_url(char *ret_url, size_t size);
/* A new database without anything in it. */
void postgres_testing_empty_url(char *ret_url, size_t size);
/* The same database as another role, which has no password. */
void postgres_testing_as(const char *url, const char *role, char *ret_url, size_t size);
void postgres_testing_drop(const char *url);
/* As somebody with an SQL prompt; the first column of the first row, empty if there is none. */
void postgres_testing_prompt(const char *url, const char *sql, char *ret_text, size_t size);
/* The SQLSTATE that a statement ends with, empty if it succeeds. */
void postgres_testing_sqlstate(const char *url, const char *sql, char ret_sqlstate[6]);

#endif
