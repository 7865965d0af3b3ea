/*
 * Counts the accounts that are there when the server starts, on a thread of its own with a handle of its own,
 * for the gauges `accounts` and `accounts_without_floor`; what comes later the engine counts. Start-up never
 * waits for it. The snapshot is taken in serve_census_start(), before the engine runs, so that nothing is
 * counted twice. In a journal that other processes write to as well the count is taken again and again: what others
 * open shows with the next one.
 */
#ifndef CREDITLEDGER_APP_SERVE_CENSUS_H
#define CREDITLEDGER_APP_SERVE_CENSUS_H

#include "engine/catalog.h"

struct census;
struct metrics;

struct census_config {
    const char *database_url;
    const char *database_direct_url; /* as in struct journal_options */
    const struct catalog *catalog;
    struct metrics *metrics;
    int again_ms; /* 0: once is enough; else this long after the end of one count, or 20 times as long as it took */
};

/* NULL when it cannot be started: the gauges are then not what they should be, and a warning says so. */
struct census *serve_census_start(const struct census_config *config);
void serve_census_stop(struct census *census); /* waits for it; NULL is fine */

#endif
