/* For the tests of engines over one shared journal: two processes on the test's thread, and what clients send them. */
#ifndef CREDITLEDGER_TESTS_STAGE_H
#define CREDITLEDGER_TESTS_STAGE_H

#include "base/testing.h"

#include <stdio.h>
#include <string.h>

#include "support/rig.h"

#define PROCESSES 2

struct stage {
    struct rig rigs[PROCESSES];
    struct digest *digest;
    struct arena arena;
    char url[64];
};

/* Accounts a (100) and b (0), wallets in USD; both processes know them. */
void stage_open(struct stage *st);
void stage_close(struct stage *st);

struct account_ref ext(const char *name);
struct command opening(const char *name);
struct command transfer(
    struct stage *st, struct account_ref from, struct account_ref to, int64_t amount, const char *key);
struct command pay(struct stage *st, const char *from, const char *to, int64_t amount, const char *key);
struct command reversing(struct uuid id);

/* Queued, not stepped. queued_at of -1 says that it was answered. */
struct submission *send_all(struct stage *st, int process, const struct command *commands, size_t n);
struct submission *send(struct stage *st, int process, struct command command);
bool answered(const struct submission *s);
/* Sent, and stepped until it is answered. */
struct answer run(struct stage *st, int process, struct command command);
void step(struct stage *st, int process);
/* Of the journal. */
int64_t balance(struct stage *st, const char *name);
uint64_t head(struct stage *st);
/* A counter of the process, as /metrics shows it. */
uint64_t counted(struct stage *st, int process, const char *name);

#endif
