/*
 * For tests: books with everything in them that a record can be, the facts of their records, and a read database of
 * either kind to put them in.
 */
#ifndef CREDITLEDGER_READMODEL_READMODEL_FIXTURE_H
#define CREDITLEDGER_READMODEL_READMODEL_FIXTURE_H

#include "journal/journal_fixture.h"
#include "readmodel/readmodel.h"

struct books {
    struct fixture f;
    const struct record **records; /* as they were when they were new, texts and all */
    size_t n_records;
    struct fact *facts; /* of all records, in the journal's order; offsets are those of `part` 0 */
    size_t n_facts;
    bool *erased; /* [seq - 1] */
};

/* `n` records by chance, over a few accounts in two currencies; with texts, references and erasures. With a journal
 * they are committed to it. */
void books_make(struct books *b, struct journal *journal, const char *ledger, size_t n, uint64_t seed);
void books_free(struct books *b);
/* The journal's order, but for partitions that are read as chance has it: an account's facts keep theirs. `repeats`: now
 * and then a partition goes back. Offsets are the partition's. To be freed. */
struct fact *books_scatter(
    const struct books *b, uint32_t partitions, bool repeats, uint64_t seed, size_t *ret_n);

/* An empty place for a read database; false after a TAP line if there is none of the kind (CREDITLEDGER_TEST_BACKEND). */
bool place_make(char *ret_url, size_t size);
void place_drop(const char *url);

#endif
