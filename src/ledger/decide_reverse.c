/*
 * Reversal: the original's postings in reverse order with the sides swapped. What each leg of the original
 * has left to give back is a lot that the first reversal opens at the leg's amount and every reversal draws
 * on, so that no sum of reversals exceeds the original (the databases hold remaining_after >= 0).
 */
#include "ledger/decide_internal.h"

#include "money/amount.h"

static int64_t magnitude(const struct entry *entry)
{
    return entry->change.posted < 0 ? -entry->change.posted : entry->change.posted;
}

/* What leg `leg` of the original has left to reverse. */
static int64_t left_of(const struct facts *facts, size_t leg)
{
    const struct lot *lot = facts->refundable[leg];
    if (lot == NULL)
        return magnitude(&facts->original->entries[leg]);
    INVARIANT_F(lot->origin == facts->original->seq && lot->leg == leg && lot->kind == LOT_REFUNDABLE,
        "lot of record %llu leg %u for record %llu leg %zu", (unsigned long long)lot->origin, lot->leg,
        (unsigned long long)facts->original->seq, leg);
    return lot->remaining_after;
}

/* False after a refusal of the request itself. */
static bool check_request(const struct making *m)
{
    const struct record *original = m->facts->original;
    if (original == NULL) {
        making_refuse(m, REFUSAL_TRANSFER_NOT_FOUND, (struct refusal_detail){0});
        return false;
    }
    if (!making_check_effective(m))
        return false;
    if (original->kind != RECORD_TRANSFER) {
        making_refuse(m, REFUSAL_NOT_REVERSIBLE, (struct refusal_detail){0});
        return false;
    }
    INVARIANT_F(original->n_entries >= 2 && original->n_entries % 2 == 0, "transfer %llu with %zu entries",
        (unsigned long long)original->seq, original->n_entries);
    if (m->command->as.reverse.has_amount && original->n_entries > 2) {
        making_refuse(m, REFUSAL_PARTIAL_OF_MANY,
            (struct refusal_detail){.amount_minor = m->command->as.reverse.amount_minor});
        return false;
    }
    return true;
}

/* The movements in their order: the original's last posting first. Amounts are what is left, or what was
 * asked. */
static struct movement *plan(const struct making *m, size_t n)
{
    const struct facts *facts = m->facts;
    const struct command_reverse *reverse = &m->command->as.reverse;
    struct movement *moves = ARENA_ARRAY(m->arena, struct movement, n);
    for (size_t i = 0; i < n; i++) {
        size_t debit_leg = 2 * (n - 1 - i), credit_leg = debit_leg + 1;
        int64_t left = left_of(facts, debit_leg);
        INVARIANT_F(left == left_of(facts, credit_leg), "legs %zu and %zu of transfer %llu", debit_leg,
            credit_leg, (unsigned long long)facts->original->seq);
        moves[i] = (struct movement){
            .debit = facts->original_accounts[credit_leg],
            .credit = facts->original_accounts[debit_leg],
            .amount_minor = reverse->has_amount ? reverse->amount_minor : left,
        };
        INVARIANT(moves[i].debit->number == facts->original->entries[credit_leg].account &&
                  moves[i].credit->number == facts->original->entries[debit_leg].account);
    }
    return moves;
}

/* False after a decline: nothing is left, or less than was asked for. */
static bool check_left(const struct making *m, size_t n)
{
    const struct command_reverse *reverse = &m->command->as.reverse;
    const struct facts *facts = m->facts;
    for (size_t i = 0; i < n; i++) {
        int64_t left = left_of(facts, 2 * i);
        if (left > 0 && (!reverse->has_amount || reverse->amount_minor <= left))
            continue;
        const struct account *account = facts->original_accounts[0];
        struct refusal_detail detail = {
            .account = account,
            .index = i,
            .amount_minor =
                reverse->has_amount ? reverse->amount_minor : magnitude(&facts->original->entries[2 * i]),
            .actual_minor = left,
        };
        making_decline(m, REFUSAL_REVERSAL_EXCEEDS, detail, account,
            reverse->has_amount ? reverse->amount_minor : 0, facts->original->seq);
        return false;
    }
    return true;
}

/* In the order of (leg, version). */
static void put_lots(const struct making *m, const struct movement *moves, size_t n, struct record *record)
{
    const struct record *original = m->facts->original;
    struct lot *lots = ARENA_ARRAY(m->arena, struct lot, 2 * original->n_entries);
    size_t n_lots = 0;
    for (size_t leg = 0; leg < original->n_entries; leg++) {
        struct lot lot = {
            .origin = original->seq,
            .leg = (uint32_t)leg,
            .kind = LOT_REFUNDABLE,
            .version = 1,
            .account = original->entries[leg].account,
            .change = magnitude(&original->entries[leg]),
            .remaining_after = magnitude(&original->entries[leg]),
        };
        if (m->facts->refundable[leg] != NULL)
            lot = *m->facts->refundable[leg];
        else
            lots[n_lots++] = lot;
        lot.version++;
        lot.change = -moves[n - 1 - leg / 2].amount_minor;
        INVARIANT(
            amount_add(lot.remaining_after, lot.change, &lot.remaining_after) && lot.remaining_after >= 0);
        lots[n_lots++] = lot;
    }
    record->lots = lots;
    record->n_lots = n_lots;
}

void decide_reverse(const struct making *m)
{
    if (!check_request(m))
        return;
    const struct record *original = m->facts->original;
    size_t n = original->n_entries / 2;
    const struct movement *moves = plan(m, n);
    if (!movements_check_status(m, moves, n, original->seq) || !check_left(m, n))
        return;
    struct record *record = making_record(m, RECORD_REVERSAL);
    record->effective_at = making_effective_at(m);
    record->related_seq = original->seq;
    if (!movements_apply(m, moves, n, record))
        return;
    put_lots(m, moves, n, record);
    m->decision->record = record;
}
