/*
 * For tests: databases with the journal's schema on a test cluster (db/postgres_testing.h). One database is migrated in a
 * process, the others are copies of it, which is much quicker. It is dropped when the process ends.
 */
#ifndef CREDITLEDGER_JOURNAL_POSTGRES_TESTING_H
#define CREDITLEDGER_JOURNAL_POSTGRES_TESTING_H

#include "db/postgres_testing.h"

/* False if there is no cluster: a TAP line that skips all tests has been printed, main() returns 0. `now` is when
 * ledger `main` of the databases was made. */
bool postgres_testing_begin(int64_t now);
/* A new database, migrated. The test fails if it cannot be made. */
void postgres_testing_url(char *ret_url, size_t size);

#endif
