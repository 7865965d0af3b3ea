/*
 * For tests of the command line's modules: a journal with an engine over it, a clock that ticks once a call,
 * and a short way to write commands down. Every failure is the test's.
 */
#ifndef CREDITLEDGER_APP_BOOKS_FIXTURE_H
#define CREDITLEDGER_APP_BOOKS_FIXTURE_H

#include "engine/engine.h"
#include "journal/digest.h"

struct books {
    char directory[64]; /* of an sqlite database; empty for memory */
    char url[128];
    struct journal *journal;
    struct catalog *catalog;
    struct engine *engine;
    struct digest *digest;
    struct arena arena;
    int64_t clock;
    uint64_t random;
};

#define BOOKS_EPOCH INT64_C(1767225600000000) /* 2026-01-01 */

void books_open(struct books *b, bool sqlite);
void books_close(struct books *b); /* removes the database */

struct account_ref books_ext(const char *name);
struct account_ref books_world(const char *currency);

/* All on ledger `main`; the answer's record is in the books' arena. */
struct answer books_run(struct books *b, struct command command);
/* As books_run, and it must not be refused; returns the record. */
const struct record *books_do(struct books *b, struct command command);
const struct record *books_account(struct books *b, const char *name, enum account_type type,
    const char *currency, struct floor floor, const char *text);
struct command books_transfer_command(struct books *b, struct account_ref debit, struct account_ref credit,
    int64_t amount, const char *currency, const char *key);
const struct record *books_transfer(
    struct books *b, struct account_ref debit, struct account_ref credit, int64_t amount, const char *key);
int64_t books_balance(struct books *b, const char *name); /* in the normal sign */

#endif
