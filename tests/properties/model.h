/*
 * The ledger as a naive model: lists that only grow, and every question answered by reading them from the end
 * or from the start. It shares no code with the product but the types in which commands are written, and says
 * beforehand what each command of a batch must come to. It cannot foresee ids, which are random: these it is
 * told.
 */
#ifndef CREDITLEDGER_TESTS_PROPERTIES_MODEL_H
#define CREDITLEDGER_TESTS_PROPERTIES_MODEL_H

#include "ledger/command.h"
#include "ledger/refusal.h"

#define MODEL_LEDGERS 4
#define MODEL_ASSETS 8
#define MODEL_ACCOUNTS 64
#define MODEL_RECORDS 3000
#define MODEL_POSTINGS 4

struct model_account {
    char external[48]; /* empty: none */
    size_t asset;
    int side;
    bool world;
    struct uuid id; /* zero until told */
};

struct model_leg {
    uint64_t account, version;
    int64_t change, after;
    uint32_t revision;
    struct floor floor;
    enum account_status status;
};

struct model_record {
    enum record_kind kind;
    const char *key, *said; /* NULL: none. said: what was asked, in words */
    struct model_leg legs[2 * MODEL_POSTINGS];
    size_t n_legs;
    uint64_t related;
    enum refusal refusal;
    int64_t declined, effective, recorded;
    bool text;
    struct uuid id; /* zero until told */
};

struct model_ledger {
    char name[16];
    struct floor default_floor;
    int64_t created;
    struct model_account accounts[MODEL_ACCOUNTS]; /* [number - 1] */
    struct model_record records[MODEL_RECORDS];    /* [seq - 1] */
    size_t n_accounts, n_records;
};

struct model {
    struct model_ledger ledgers[MODEL_LEDGERS];
    struct {
        char code[12];
        int scale;
    } assets[MODEL_ASSETS];
    size_t n_ledgers, n_assets;
};

/* How far everything has got: since nothing changes but by growing, this is all that undoing needs. */
struct model_mark {
    size_t ledgers, assets;
    size_t accounts[MODEL_LEDGERS], records[MODEL_LEDGERS];
};

/* What must come of a command. */
struct model_answer {
    enum refusal refusal;
    bool replayed, created;
    size_t ledger;
    uint64_t seq; /* of its record; 0: none */
};

struct model_submission {
    const struct command *commands;
    const char *const *said; /* one a command; lives as long as the model */
    size_t n;
    bool atomic, stop_on_refusal;
};

void model_init(struct model *m, int64_t now);
struct model_mark model_mark(const struct model *m);
void model_undo(struct model *m, const struct model_mark *mark);
bool model_has_room(const struct model *m);
/* One batch: `committed` is how far the ledger had got before it. */
void model_submission(struct model *m, const struct model_mark *committed, const struct model_submission *s,
    int64_t now, struct model_answer *ret_answers);

/* NULL: not opened yet. */
const struct model_leg *model_head(const struct model_ledger *l, uint64_t number, size_t n_records);
/* What posting i of record `seq` has left to reverse after the first n_records. */
int64_t model_left(const struct model_ledger *l, uint64_t seq, size_t posting, size_t n_records);
bool model_erased(const struct model_ledger *l, uint64_t seq);
/* All that was recorded by `known` and effective before or at `at`. */
int64_t model_balance(const struct model_ledger *l, uint64_t number, int64_t at, int64_t known);

#endif
