/*
 * What every backend of the port must do, as tests that see it only through the port: run over memory by
 * memory_test.c and over each database by a test of its own.
 */
#ifndef CREDITLEDGER_JOURNAL_JOURNAL_SUITE_H
#define CREDITLEDGER_JOURNAL_JOURNAL_SUITE_H

#include <stdbool.h>
#include <stddef.h>

struct journal_suite {
    const char *name;
    /* The URL of a database that a writer which may create finds empty or makes. */
    void (*url)(char *ret_url, size_t size);
    /* The same of one that does not exist; NULL: url() does. */
    void (*missing_url)(char *ret_url, size_t size);
    /* Removes it, after its last handle is closed. May be NULL. */
    void (*drop)(const char *url);
    /* Its data outlive its handles. */
    bool lasting;
    /* It can be backed up to a file that this scheme opens; NULL if not. */
    const char *file_scheme;
};

/* Runs as one cmocka group; returns what main() returns. */
int journal_suite_run(const struct journal_suite *suite);

#endif
