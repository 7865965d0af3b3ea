/*
 * The seal: what must be true of a record as a whole, whatever its parts are. Which entries and lots a record
 * may have depends on its kind; kinds without a command yet (holds, grants, exchanges) keep to the general
 * rules.
 */
#include "journal/memory_check.h"

#include "money/amount.h"

#define REFUSE(...) return err_set(err, ERR_CONFLICT, __VA_ARGS__)

static bool moves_nothing(const struct entry *e)
{
    return e->change.posted == 0 && e->change.incoming == 0 && e->change.outgoing == 0;
}

/* A declined record, an opening, a revision and an erasure move nothing; a transfer and its reversal only
 * posted. */
static int check_moves(const struct record *r, struct err *err)
{
    bool nothing = r->kind == RECORD_OPENING || r->kind == RECORD_REVISION || r->kind == RECORD_DECLINED ||
                   r->kind == RECORD_ERASURE;
    bool posted = r->kind == RECORD_TRANSFER || r->kind == RECORD_REVERSAL;
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct entry *e = &r->entries[i];
        if ((nothing && !moves_nothing(e)) ||
            (posted && (e->change.posted == 0 || e->change.incoming != 0 || e->change.outgoing != 0)))
            REFUSE("I2: leg %zu moves what this kind of record does not", i);
    }
    if ((r->kind == RECORD_OPENING || r->kind == RECORD_DECLINED) && r->n_entries != 1)
        REFUSE("I1: entries do not fit the kind of record");
    return 0;
}

static int check_balance(const struct record *r, struct err *err)
{
    for (size_t i = 0; i < r->n_entries; i++) {
        amount_sum posted = 0, pending = 0;
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = r->entries[k].asset == r->entries[i].asset;
        for (size_t k = i; k < r->n_entries && !seen; k++) {
            if (r->entries[k].asset != r->entries[i].asset)
                continue;
            posted += r->entries[k].change.posted;
            pending += (amount_sum)r->entries[k].change.incoming - r->entries[k].change.outgoing;
        }
        if (posted != 0)
            REFUSE("I2: asset %u does not balance", r->entries[i].asset);
        if (pending != 0)
            REFUSE("I3: pending amounts of asset %u do not balance", r->entries[i].asset);
    }
    return 0;
}

/* What an account holds back is what its holds say. */
static int check_holds(const struct record *r, struct err *err)
{
    for (size_t i = 0; i < r->n_entries; i++) {
        if (r->entries[i].change.outgoing == 0)
            continue;
        amount_sum outgoing = 0, held = 0;
        for (size_t k = 0; k < r->n_entries; k++)
            if (r->entries[k].account == r->entries[i].account)
                outgoing += r->entries[k].change.outgoing;
        for (size_t k = 0; k < r->n_lots; k++)
            if (r->lots[k].account == r->entries[i].account && r->lots[k].kind == LOT_HOLD)
                held += r->lots[k].change;
        if (outgoing != held)
            REFUSE(
                "I5: outgoing of account %llu is not its holds", (unsigned long long)r->entries[i].account);
    }
    return 0;
}

static int check_revisions(const struct record *r, struct err *err)
{
    bool revises = r->kind == RECORD_OPENING || r->kind == RECORD_REVISION;
    if (!revises && r->n_revisions > 0)
        REFUSE("I1: only openings and revisions revise an account");
    if (revises && r->n_revisions != r->n_entries)
        REFUSE("I1: revision without its entry");
    for (size_t i = 0; i < r->n_revisions; i++)
        if (r->entries[i].account != r->revisions[i].account ||
            r->entries[i].revision != r->revisions[i].revision)
            REFUSE("I1: revision of account %llu without its entry",
                (unsigned long long)r->revisions[i].account);
    return 0;
}

/* By how much a lot of a reversal changes the account it is of, and on which side: against its original leg.
 */
static int64_t given_back(const struct record *original, const struct lot *lot)
{
    return original->entries[lot->leg].change.posted > 0 ? lot->change : -lot->change;
}

/* Every entry of a reversal takes as much from what is left to refund of a leg with the other sign. */
static int check_reversal(const struct record *original, const struct record *r, struct err *err)
{
    for (size_t i = 0; i < r->n_lots; i++) {
        size_t takes = 0, opens = 0;
        bool first = false;
        for (size_t k = 0; k < r->n_lots; k++) {
            if (r->lots[k].leg != r->lots[i].leg)
                continue;
            takes += r->lots[k].change < 0;
            opens += r->lots[k].change > 0;
            first = first || r->lots[k].version == 1;
        }
        if (takes != 1 || opens != first)
            REFUSE("I5: a reversal takes from each leg once");
    }
    size_t takes = 0;
    for (size_t i = 0; i < r->n_lots; i++)
        takes += r->lots[i].change < 0;
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct entry *e = &r->entries[i];
        size_t entries = 0, lots = 0;
        for (size_t k = 0; k < r->n_entries; k++)
            entries += r->entries[k].account == e->account && r->entries[k].change.posted == e->change.posted;
        for (size_t k = 0; k < r->n_lots; k++)
            lots += r->lots[k].change < 0 && r->lots[k].account == e->account &&
                    given_back(original, &r->lots[k]) == e->change.posted;
        if (entries != lots)
            REFUSE("I5: leg %zu of a reversal is not what it takes from its original", i);
    }
    if (takes != r->n_entries)
        REFUSE("I5: reversal is not what it takes from its original");
    return 0;
}

static int check_lot_kinds(const struct mem_ledger *ledger, const struct record *r, struct err *err)
{
    for (size_t i = 0; i < r->n_lots; i++) {
        const struct lot *lot = &r->lots[i];
        bool fits = r->kind == RECORD_REVERSAL ? lot->kind == LOT_REFUNDABLE && lot->origin == r->related_seq
                                               : r->kind >= RECORD_HOLD && lot->kind != LOT_REFUNDABLE;
        if (!fits)
            REFUSE("I5: lot that this kind of record does not have");
    }
    if (r->kind >= RECORD_HOLD)
        return check_holds(r, err);
    if (r->kind != RECORD_REVERSAL)
        return 0;
    const struct record *original = mem_record(ledger, r->related_seq);
    if (original == NULL || original->kind != RECORD_TRANSFER)
        REFUSE("I5: only a transfer can be reversed");
    return check_reversal(original, r, err);
}

int mem_check_seal(const struct mem_ledger *ledger, const struct record *r, struct err *err)
{
    INVARIANT(r->n_entries > 0);
    int rc = check_revisions(r, err);
    if (rc == 0)
        rc = check_moves(r, err);
    if (rc == 0)
        rc = check_balance(r, err);
    return rc != 0 ? rc : check_lot_kinds(ledger, r, err);
}
