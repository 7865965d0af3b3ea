/*
 * A progress bar on standard error, drawn only if that is a terminal, at most ten times a second; and nothing at
 * all with --json or --quiet. Safe to call on every row.
 */
#ifndef CREDITLEDGER_APP_PROGRESS_H
#define CREDITLEDGER_APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *label;
    bool on;
    int64_t started_us, drawn_us;
    uint64_t total;
};

void progress_begin(struct progress *p, const char *label, uint64_t total, bool quiet); /* total 0: unknown */
void progress_at(struct progress *p, uint64_t done);
void progress_end(struct progress *p); /* clears the line */

/* From then on SIGINT and SIGTERM ask to stop: progress_step() says so. The second one ends the process as usual. */
void progress_mind_signals(void);
/* progress_at() as a callback; `progress` is a struct progress. False: it is to stop. */
bool progress_step(void *progress, uint64_t done, uint64_t total);

#endif
