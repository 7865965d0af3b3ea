/* For tests: a journal with books in it, a place for a read model, and what projects from one to the other. */
#ifndef CREDITLEDGER_READMODEL_PROJECTOR_FIXTURE_H
#define CREDITLEDGER_READMODEL_PROJECTOR_FIXTURE_H

#include <stdatomic.h>

#include "readmodel/projector.h"
#include "readmodel/readmodel_fixture.h"

#define STAGE_URL_SIZE 512

struct stage {
    char journal_url[STAGE_URL_SIZE], read_url[STAGE_URL_SIZE];
    struct journal *journal;
    struct journal_options reading;
    struct books books;
    uint64_t a, b; /* accounts to transfer between */
    struct projector_config config;
    _Atomic uint64_t reached; /* of ledger main */
    _Atomic bool went_back;
};

/* Fails the test if the call failed. */
void good(int rc, const struct err *err);

struct stage *stage_new(size_t records);
void stage_free(struct stage *s);
uint64_t stage_head(const struct stage *s);
void stage_transfer(struct stage *s, size_t n); /* a record each, committed */
/* SQL on the live generation. */
void stage_sql(const struct stage *s, const char *statement);

struct projector *stage_start(struct stage *s);
void stage_wait(struct stage *s, uint64_t seq);
void stage_wait_for_phase(struct projector *p, enum projector_phase phase, struct projector_state *ret_state);
uint64_t stage_differences(struct stage *s);

#endif
