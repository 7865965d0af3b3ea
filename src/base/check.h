/*
 * For unit tests only: cmocka with what it includes, and checks that name the table's case when they fail. A
 * check that fails ends the test.
 */
#ifndef CREDITLEDGER_BASE_CHECK_H
#define CREDITLEDGER_BASE_CHECK_H

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

#define CHECK(name, condition) \
    do { \
        if (!(condition)) \
            fail_msg("case '%s': %s", (name), #condition); \
    } while (0)

#define CHECK_INT(name, got, want) \
    do { \
        intmax_t got_ = (intmax_t)(got), want_ = (intmax_t)(want); \
        if (got_ != want_) \
            fail_msg("case '%s': %s is %jd, not %jd", (name), #got, got_, want_); \
    } while (0)

#define CHECK_STR(name, got, want) \
    do { \
        struct str got_ = (got), want_ = (want); \
        if (!str_eq(got_, want_)) \
            fail_msg("case '%s': %s is '" STR_FMT "', not '" STR_FMT "'", (name), #got, STR_ARG(got_), \
                STR_ARG(want_)); \
    } while (0)

/* True if the function aborts, as an INVARIANT that does not hold makes it do; in a child, with its report
 * muted. */
static inline bool check_aborts(void (*function)(void *), void *ctx)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        function(ctx);
        _exit(0);
    }
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* A small generator for seeded tests (G. Marsaglia's xorshift64*); the state must not be 0. */
static inline uint64_t check_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* 0 <= result < n. */
static inline uint64_t check_below(uint64_t *state, uint64_t n)
{
    return (check_random(state) >> 11) % n;
}

#endif
