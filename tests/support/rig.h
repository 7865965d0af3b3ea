/*
 * For tests: an engine on the test's thread over a journal of any backend, with a clock that stands still
 * until the test moves it, randomness from a seed, and a journal whose calls fail when the test wants them
 * to. Two rigs that get the same commands, clock and seed must write the same bytes.
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
    bool unsafe_no_sync;
};

struct rig {
    struct journal_ops ops; /* first: the writer's, with faults before them */
    const struct journal_ops *real;
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
    /* What happened. */
    unsigned appends, reads_failed;
};

MUST_CHECK int rig_open(struct rig *rig, const struct rig_options *options, struct err *err);
/* Another engine on another handle, as after a crash of the process. */
MUST_CHECK int rig_restart(struct rig *rig, struct err *err);
void rig_close(struct rig *rig); /* what rig_open() left behind after a failure, too */

#endif
