/*
 * Books to bend: a journal with a bit of everything (the story), and a wrapper around it that hands out
 * copies of its records for a test to write into, and can lie about heads and accounts too. For the auditor's
 * tests. One at a time.
 */
#ifndef CREDITLEDGER_APP_BENT_FIXTURE_H
#define CREDITLEDGER_APP_BENT_FIXTURE_H

#include "app/books_fixture.h"

#define RECORDS_MAX 64

/* Seqs of the story. */
enum {
    OPEN_ALICE = 1,
    OPEN_BOB,
    OPEN_WORLD,
    TOP_UP,
    PAY,
    PAY_LATE, /* backdated */
    DECLINED,
    REVERSAL,
    REVERSAL_AGAIN,
    REVISION,
    OPEN_EVE,
    ERASURE,
    LAST_PAY,
    STORY_END = LAST_PAY
};
enum { ALICE = 1, BOB, WORLD, EVE };

extern struct books books;

struct fake {
    struct journal base;
    struct journal_ops ops;
    struct journal *real;
    struct record *records[RECORDS_MAX];
    size_t n;
    struct ledger_row ledger;
    struct arena arena;
    size_t scan_at;
    uint64_t unreadable; /* seq that the backend cannot read */
    const char *note;
    void (*bend_account)(struct account *account);
    bool hide_last_account, invent_account;
    bool bend_head;
};

extern struct fake fake;

/* Opens `books` and writes the story into them. */
void tell_story(void);
/* A fresh copy of every record of the story in fake.records, with memory of its own in fake.arena. */
void fake_open(void);
/* Hashes the chain anew, so that a bent record is consistent with itself and only its rule is broken. */
void rehash(void);

#endif
