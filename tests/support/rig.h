/*
 * For tests: an engine on the test's thread over a journal of any backend, with a clock that stands still
 * until the test moves it, randomness from a seed, and a journal whose calls fail when the test wants them
 * to. Two rigs that get the same commands, clock and seed must write the same bytes.
 *
 * With `shared` rigs on one URL are processes on one database: the test steps them in whatever order it likes, and
 * says when an outcome of a commit arrives, and when the commit itself happens.
 */
#ifndef CREDITLEDGER_TESTS_RIG_H
#define CREDITLEDGER_TESTS_RIG_H

#include "engine/engine.h"
#include "journal/digest.h"
#include "telemetry/metrics.h"

enum rig_fault {
    RIG_SOUND,
    RIG_APPEND_FAILS,   /* nothing is written, and the append says so */
    RIG_OUTCOME_UNKNOWN /* all is written, and the append says that it failed */
};

struct rig_options {
    const char *url, *vfs;
    int64_t now;
    uint64_t seed;
    size_t cache_accounts, commit_commands, queue_commands; /* 0: the default */
    bool unsafe_no_sync, shared;
};

struct rig {
    struct journal_ops ops; /* first: the writer's, with faults before them */
    const struct journal_ops *real;
    struct journal *standby; /* not NULL: what the writer is connected to since a failover */
    struct rig_options options;
    struct journal *journal; /* the engine's */
    struct journal *reader;  /* keeps a memory journal alive over a restart */
    struct catalog *catalog;
    struct engine *engine;
    struct metrics *metrics;
    int64_t clock;
    uint64_t random;
    /* What goes wrong next. */
    enum rig_fault fault;
    unsigned appends_fail;     /* so many appends */
    int fault_code;            /* of err.h */
    unsigned reads_until_fail; /* the n-th read of the engine from now on; 0: none */
    /* Shared: */
    bool outcome_waits; /* it does not arrive until the test says so, or somebody waits for it */
    bool commits_late;  /* the commit happens when its outcome is asked for, not when it is sent */
    bool in_flight, late;
    /* What happened. */
    unsigned appends, reads_failed, key_reads, catch_ups, holds, pauses;
    /* The append on its way. */
    const struct journal_batch *sent;
    int outcome, quiet_fd, ready_fd;
    struct err outcome_err;
};

MUST_CHECK int rig_open(struct rig *rig, const struct rig_options *options, struct err *err);
/* Another engine on another handle, as after a crash of the process. */
MUST_CHECK int rig_restart(struct rig *rig, struct err *err);
/* The database is another one from now on: what a process finds after a failover. */
MUST_CHECK int rig_failover(struct rig *rig, const char *url, struct err *err);
void rig_close(struct rig *rig); /* what rig_open() left behind after a failure, too */

#endif
