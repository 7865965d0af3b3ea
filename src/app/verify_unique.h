/*
 * Finding what appears twice among very many strings in bounded memory: their 64-bit hashes, with the number
 * of the row that has them, are sorted in runs of UNIQUE_RUN and merged; runs beyond the first go to an
 * unlinked temporary file. Two rows with the same hash are handed to the caller, who looks whether the
 * strings are the same. One thread.
 */
#ifndef CREDITLEDGER_APP_VERIFY_UNIQUE_H
#define CREDITLEDGER_APP_VERIFY_UNIQUE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define UNIQUE_RUN 2097152 /* rows of 16 bytes: 32 MiB */

struct unique;

/* run_max: rows kept in memory; 0 takes UNIQUE_RUN. */
struct unique *unique_new(size_t run_max);
void unique_free(struct unique *u);
MUST_CHECK int unique_add(struct unique *u, uint64_t hash, uint64_t row, struct err *err);
/* Calls `same` for neighbours with equal hashes, lower row first; stops at a non-zero answer and returns it.
 */
MUST_CHECK int unique_finish(
    struct unique *u, int (*same)(void *ctx, uint64_t row, uint64_t other_row), void *ctx, struct err *err);

#endif
