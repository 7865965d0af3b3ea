/*
 * For unit tests only: the smallest engine there can be. It resolves a command's names, decides twice (the
 * same inputs must give the same bytes), and applies the record to its heads, all in memory.
 */
#ifndef CREDITLEDGER_LEDGER_TESTBENCH_H
#define CREDITLEDGER_LEDGER_TESTBENCH_H

#include "ledger/decide.h"

#define BENCH_ACCOUNTS 64

struct bench_row {
    const struct record *record;
    const struct lot **refundable; /* newest, one an entry */
    bool erased;
};

struct bench {
    struct arena arena;
    struct asset assets[2];                  /* 1: USD, 2: EUR */
    struct account accounts[BENCH_ACCOUNTS]; /* number - 1 */
    size_t n_accounts;
    struct bench_row *rows; /* seq - 1 */
    size_t n_rows, cap;
    int64_t now;
    struct floor default_floor;
};

void bench_init(struct bench *bench);
void bench_fini(struct bench *bench);
/* Decides and applies. @world is opened on first use, as a record of its own before. */
void bench_run(struct bench *bench, const struct command *command, struct decision *ret_decision);
/* Opens an account and returns its number. */
uint64_t bench_open(struct bench *bench, const char *currency, enum account_type type, struct floor floor);
struct account_ref bench_ref(const struct bench *bench, uint64_t number);
/* One posting; amounts in minor units of the debit account's currency. Returns the record's seq, 0 if
 * refused. */
uint64_t bench_post(struct bench *bench, uint64_t debit, uint64_t credit, int64_t amount);
const struct record *bench_record(const struct bench *bench, uint64_t seq);
int64_t bench_balance(const struct bench *bench, uint64_t number); /* posted, in the normal sign */
/* Everything a record says, as text. */
void bench_dump(const struct record *record, struct strbuf *b);

#endif
