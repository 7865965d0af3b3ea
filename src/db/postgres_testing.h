/*
 * For tests: databases of their own on a test cluster. CREDITLEDGER_TEST_POSTGRES is a superuser's URI of one
 * (scripts/postgres.py makes a private one); its database's name is replaced. Whoever makes a database drops it.
 */
#ifndef CREDITLEDGER_DB_POSTGRES_TESTING_H
#define CREDITLEDGER_DB_POSTGRES_TESTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool postgres_testing_here(void); /* is there a cluster? */
/* The same; false after a TAP line that skips all tests has been printed: main() returns 0. */
bool postgres_testing_needed(void);
/* A new database without anything in it. The test fails if it cannot be made, here and below. */
void postgres_testing_empty_url(char *ret_url, size_t size);
/* A new database, as the one of another URL is, to which nobody is connected. */
void postgres_testing_copy_url(const char *model, char *ret_url, size_t size);
/* The same database as another role, which has no password. */
void postgres_testing_as(const char *url, const char *role, char *ret_url, size_t size);
void postgres_testing_drop(const char *url);
/* The same at the process's end, where no test can fail. */
void postgres_testing_forget(const char *url);
/* As somebody with an SQL prompt; the first column of the first row, empty if there is none. */
void postgres_testing_prompt(const char *url, const char *sql, char *ret_text, size_t size);
/* The SQLSTATE that a statement ends with, empty if it succeeds. */
void postgres_testing_sqlstate(const char *url, const char *sql, char ret_sqlstate[6]);

#endif
