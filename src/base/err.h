/*
 * Errors of the environment (disk, network, peer, configuration) and bugs.
 *
 * An environment error is a negative code returned, plus a caller-owned `struct err` with a message that is
 * wrapped on the way up. Only the I/O rooms make them. A refusal of the domain is not an error: see
 * ledger/refusal.h. A bug is an INVARIANT that does not hold: it prints where and aborts, in release builds too,
 * because a ledger that goes on after a broken assumption writes the damage down for ever.
 */
#ifndef CREDITLEDGER_BASE_ERR_H
#define CREDITLEDGER_BASE_ERR_H

#include <stdarg.h>

enum err_code {
    ERR_IO = -1,       /* the disk or the operating system failed; the outcome is as if nothing was asked */
    ERR_FULL = -2,     /* no space left: retry when there is */
    ERR_BUSY = -3,     /* another process holds what is needed: retry */
    ERR_CORRUPT = -4,  /* stored data contradict themselves */
    ERR_CONFIG = -5,   /* the operator asked for something that cannot be */
    ERR_CONFLICT = -6, /* the journal moved on under us, or refused a record: reload heads and decide again */
    ERR_NOT_FOUND = -7,   /* what was asked for does not exist */
    ERR_TIMEOUT = -8,     /* the deadline passed */
    ERR_UNSUPPORTED = -9, /* written by a newer version, or a feature this build lacks */
    ERR_CANCELLED = -10,  /* stopped on request */
    ERR_DUPLICATE = -11,  /* an idempotency key of the batch is in the journal already */
    ERR_UNKNOWN = -12,    /* the connection broke while committing: done or not, nobody knows yet */
    ERR_LOST = -13,       /* the journal lacks records that it had acknowledged: stop writing */
};

#define ERR_MESSAGE_MAX 512

struct err {
    int code;
    char message[ERR_MESSAGE_MAX];
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Sets code and message; returns the code, so that `return err_set(...)` reads well. `err` may be NULL. */
int err_set(struct err *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the message already there; returns the code already there. */
int err_wrap(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

_Noreturn void invariant_failed(const char *file, int line, const char *condition, const char *format, ...)
    PRINTF_LIKE(4, 5);

#define INVARIANT(condition) \
    do { \
        if (__builtin_expect(!(condition), 0)) \
            invariant_failed(__FILE__, __LINE__, #condition, "%s", ""); \
    } while (0)

/* The same with the ids that make the report useful: INVARIANT_F(v == 1, "account %llu", n). */
#define INVARIANT_F(condition, ...) \
    do { \
        if (__builtin_expect(!(condition), 0)) \
            invariant_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    } while (0)

#endif
