/* Posting: any number of movements between accounts, all or nothing; reversals move through here too. */
#include "ledger/decide_internal.h"

#include "money/amount.h"

static int side_of(const struct account *account)
{
    return account_type_side(account->type);
}

/* True if an amount debited (sign -1) or credited (sign 1) lowers the balance that people read. */
static bool lowers(const struct account *account, int sign)
{
    return side_of(account) * sign < 0;
}

bool movements_check_status(
    const struct making *m, const struct movement *moves, size_t n, uint64_t related_seq)
{
    for (size_t i = 0; i < n; i++) {
        const struct account *debit = moves[i].debit, *credit = moves[i].credit, *refuses = NULL;
        enum refusal refusal = REFUSAL_ACCOUNT_CLOSED;
        if (debit->status == ACCOUNT_CLOSED)
            refuses = debit;
        else if (credit->status == ACCOUNT_CLOSED)
            refuses = credit;
        else {
            refusal = REFUSAL_ACCOUNT_FROZEN;
            if (debit->status == ACCOUNT_FROZEN && lowers(debit, -1))
                refuses = debit;
            else if (credit->status == ACCOUNT_FROZEN && lowers(credit, 1))
                refuses = credit;
        }
        if (refuses == NULL)
            continue;
        struct refusal_detail detail = {
            .account = refuses, .index = i, .amount_minor = moves[i].amount_minor};
        making_decline(m, refusal, detail, refuses, moves[i].amount_minor, related_seq);
        return false;
    }
    return true;
}

/* The heads that a transaction has moved so far, and where each came from. */
struct working {
    struct account *heads;
    const struct account **origins; /* as they are in the journal: a decline continues these */
    size_t n;
};

static size_t working_find(struct working *w, const struct account *account)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->heads[i].number == account->number)
            return i;
    w->heads[w->n] = *account;
    w->origins[w->n] = account;
    return w->n++;
}

/* The entry that moves `amount` on a head, or the STATE refusal (I6, range). */
static enum refusal move_one(const struct account *head, int sign, int64_t amount, struct entry *ret_entry)
{
    struct amounts after = head->balance;
    bool in_range = amount_add(head->balance.posted, sign * amount, &after.posted);
    /* Out of range downwards is below every floor. An entry that improves available passes a floor it is
     * below. */
    if (lowers(head, sign) && head->floor.present &&
        (!in_range || amounts_available(after, side_of(head)) < head->floor.minor))
        return REFUSAL_INSUFFICIENT_FUNDS;
    if (!in_range)
        return REFUSAL_BALANCE_LIMIT;
    ret_entry->change.posted = sign * amount;
    ret_entry->after = after;
    return REFUSAL_NONE;
}

/* Both legs of movement `i` as entries, checked before either is applied: debit, then credit. */
static bool movement_apply(const struct making *m, struct working *w, const struct movement *move, size_t i,
    const struct record *record, struct entry *ret_pair)
{
    INVARIANT_F(move->amount_minor > 0 && amount_in_range(move->amount_minor), "amount %lld of posting %zu",
        (long long)move->amount_minor, i);
    const size_t at[2] = {working_find(w, move->debit), working_find(w, move->credit)};
    INVARIANT(at[0] != at[1]);
    enum refusal refusals[2];
    for (size_t leg = 0; leg < 2; leg++) {
        const struct account *head = &w->heads[at[leg]];
        struct entry *entry = &ret_pair[leg];
        *entry = entry_zero(head, record->effective_at);
        entry->leg = (uint32_t)(2 * i + leg);
        entry->backdated = record->effective_at < record->recorded_at;
        refusals[leg] = move_one(head, leg == 0 ? -1 : 1, move->amount_minor, entry);
    }
    /* Funds come before range on whichever side: the table's order. */
    size_t refuses =
        refusals[1] == REFUSAL_NONE || (refusals[0] != REFUSAL_NONE && refusals[0] <= refusals[1]) ? 0 : 1;
    if (refusals[refuses] != REFUSAL_NONE) {
        const struct account *head = &w->heads[at[refuses]];
        struct refusal_detail detail = {
            .account = head,
            .index = i,
            .amount_minor = move->amount_minor,
            .actual_minor = amounts_available(head->balance, side_of(head)),
        };
        making_decline(
            m, refusals[refuses], detail, w->origins[at[refuses]], move->amount_minor, record->related_seq);
        return false;
    }
    INVARIANT(ret_pair[0].asset == ret_pair[1].asset);                  /* I2 */
    INVARIANT(ret_pair[0].change.posted == -ret_pair[1].change.posted); /* I2 */
    account_apply(&w->heads[at[0]], &ret_pair[0], record->seq);         /* asserts I4, I5 */
    account_apply(&w->heads[at[1]], &ret_pair[1], record->seq);
    return true;
}

bool movements_apply(const struct making *m, const struct movement *moves, size_t n, struct record *record)
{
    INVARIANT_F(n >= 1 && n <= LIMIT_POSTINGS_MAX, "%zu postings", n);
    struct working w = {ARENA_ARRAY(m->arena, struct account, 2 * n),
        ARENA_ARRAY(m->arena, const struct account *, 2 * n), 0};
    struct entry *entries = ARENA_ARRAY(m->arena, struct entry, 2 * n);
    for (size_t i = 0; i < n; i++)
        if (!movement_apply(m, &w, &moves[i], i, record, &entries[2 * i]))
            return false;
    record->entries = entries;
    record->n_entries = 2 * n;
    return true;
}

/* What is wrong with one posting whatever the balances are, in precedence order. */
static bool check_posting(const struct making *m, size_t i)
{
    const struct posting *posting = &m->command->as.post.postings[i];
    const struct posting_facts *facts = &m->facts->postings[i];
    struct refusal_detail detail = {.index = i, .amount_minor = posting->amount_minor};
    enum refusal refusal = REFUSAL_NONE;
    if (facts->asset == NULL)
        refusal = REFUSAL_ASSET_NOT_FOUND;
    else if (facts->asset->id == 0 && (facts->debit != NULL || facts->credit != NULL)) {
        /* No account has that currency yet, so the one that was found has another; @world is not opened for it. */
        refusal = REFUSAL_CURRENCY_MISMATCH;
        detail.account = facts->debit != NULL ? facts->debit : facts->credit;
    } else if (facts->debit == NULL || facts->credit == NULL)
        refusal = REFUSAL_ACCOUNT_NOT_FOUND;
    else if (facts->debit->number == facts->credit->number) {
        refusal = REFUSAL_SAME_ACCOUNT;
        detail.account = facts->debit;
    } else if (facts->debit->asset != facts->asset->id || facts->credit->asset != facts->asset->id) {
        refusal = REFUSAL_CURRENCY_MISMATCH;
        detail.account = facts->debit->asset != facts->asset->id ? facts->debit : facts->credit;
    } else if (posting->wallet && side_of(facts->debit) < 0 && side_of(facts->credit) < 0) {
        refusal = REFUSAL_DEBIT_NORMAL_PAIR;
        detail.account = facts->debit;
    }
    if (refusal == REFUSAL_NONE)
        return true;
    making_refuse(m, refusal, detail);
    return false;
}

static bool check_request(const struct making *m)
{
    const struct command_post *post = &m->command->as.post;
    for (size_t i = 0; i < post->n_postings; i++)
        if (!check_posting(m, i))
            return false;
    for (size_t i = 0; i < post->n_expects; i++)
        if (m->facts->expects[i] == NULL) {
            making_refuse(m, REFUSAL_ACCOUNT_NOT_FOUND, (struct refusal_detail){.index = i});
            return false;
        }
    if (post->has_balance_after && m->facts->balance_account == NULL) {
        making_refuse(m, REFUSAL_ACCOUNT_NOT_FOUND, (struct refusal_detail){0});
        return false;
    }
    return making_check_effective(m);
}

/* The client's optimistic locks, against the heads before the transaction. */
static bool check_expectations(const struct making *m)
{
    const struct command_post *post = &m->command->as.post;
    for (size_t i = 0; i < post->n_expects; i++) {
        const struct expectation *expected = &post->expects[i];
        const struct account *account = m->facts->expects[i];
        int64_t available = amounts_available(account->balance, side_of(account));
        struct refusal_detail detail = {.account = account, .index = i, .actual_minor = available};
        enum refusal refusal = REFUSAL_NONE;
        if (expected->has_version && expected->version != account->version) {
            refusal = REFUSAL_EXPECTED_VERSION;
            detail.expected_version = expected->version;
        } else if (expected->has_min_available && available < expected->min_available_minor) {
            refusal = REFUSAL_EXPECTED_AVAILABLE;
            detail.amount_minor = expected->min_available_minor;
        }
        if (refusal != REFUSAL_NONE) {
            making_decline(m, refusal, detail, account, 0, 0);
            return false;
        }
    }
    return true;
}

/* Not recorded: it is the importer's check of its own figures, and a decline would change what it compares.
 */
static bool check_balance_after(const struct making *m, const struct record *record)
{
    const struct command_post *post = &m->command->as.post;
    const struct account *account = m->facts->balance_account;
    if (!post->has_balance_after)
        return true;
    struct amounts after = account->balance;
    for (size_t i = 0; i < record->n_entries; i++)
        if (record->entries[i].account == account->number)
            after = record->entries[i].after;
    int64_t balance = amounts_balance(after, side_of(account));
    if (balance == post->balance_after_minor)
        return true;
    making_refuse(m, REFUSAL_BALANCE_DIFFERS,
        (struct refusal_detail){
            .account = account, .amount_minor = post->balance_after_minor, .actual_minor = balance});
    return false;
}

void decide_post(const struct making *m)
{
    const struct command_post *post = &m->command->as.post;
    if (!check_request(m))
        return;
    struct movement *moves = ARENA_ARRAY(m->arena, struct movement, post->n_postings);
    for (size_t i = 0; i < post->n_postings; i++)
        moves[i] = (struct movement){
            m->facts->postings[i].debit, m->facts->postings[i].credit, post->postings[i].amount_minor};
    if (!movements_check_status(m, moves, post->n_postings, 0) || !check_expectations(m))
        return;
    struct record *record = making_record(m, RECORD_TRANSFER);
    record->effective_at = making_effective_at(m);
    if (!movements_apply(m, moves, post->n_postings, record) || !check_balance_after(m, record))
        return;
    m->decision->record = record;
}
