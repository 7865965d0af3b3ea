/*
 * Follows what other processes write to a shared journal, on a thread of its own with a handle of its own: sleeps until
 * it is told of a commit (LISTEN, over the direct URL) or a second has passed, looks at the heads of all ledgers, and
 * tells the catalog; then whoever waits for an event or a seq in this process is woken. A database that is away is
 * asked for again every second; messages that were missed meanwhile are made up for by the look at the heads.
 */
#ifndef CREDITLEDGER_APP_SERVE_FOLLOW_H
#define CREDITLEDGER_APP_SERVE_FOLLOW_H

#include "engine/catalog.h"

/* Without a message it looks this often: that is how late a reader is when messages are off. */
#define FOLLOW_POLL_MS 1000
/* Commits come in crowds: between two looks it rests so long. */
#define FOLLOW_REST_MS 5
/* After a failure it tries again so much later. */
#define FOLLOW_RETRY_MS 1000

struct follower;

struct follow_config {
    const char *database_url;
    const char *database_direct_url; /* as in struct journal_options */
    struct catalog *catalog;
    void (*reached)(
        void *ctx); /* on the follower's thread, after a message or a look that found something new */
    void *ctx;
};

/* Fails when it cannot listen: what is wrong with the direct URL is said now, and not in every log line from then on. */
MUST_CHECK int serve_follow_start(
    const struct follow_config *config, struct follower **ret_follower, struct err *err);
/* False while the database cannot be reached: how the last attempts went, from any thread. */
bool serve_follow_reachable(const struct follower *follower);
void serve_follow_stop(struct follower *follower); /* at once; NULL is fine */

#endif
