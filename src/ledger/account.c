#include "ledger/account.h"

#include "money/amount.h"

static bool floor_eq(struct floor a, struct floor b)
{
    return a.present == b.present && (!a.present || a.minor == b.minor);
}

static void check_continues(int64_t before, int64_t change, int64_t after, const struct account *account)
{
    int64_t sum;
    INVARIANT_F(amount_add(before, change, &sum) && sum == after, "I4: ledger %u account %llu version %llu",
        account->ledger, (unsigned long long)account->number, (unsigned long long)account->version + 1);
}

void account_apply(struct account *account, const struct entry *entry, uint64_t seq)
{
    unsigned long long number = account->number, version = entry->version;
    INVARIANT_F(entry->account == account->number, "I4: entry of account %llu on account %llu",
        (unsigned long long)entry->account, number);
    INVARIANT_F(version == account->version + 1, "I4: account %llu at %llu gets version %llu", number,
        (unsigned long long)account->version, version);
    INVARIANT_F(entry->asset == account->asset && entry->side == account_type_side(account->type),
        "I4: account %llu version %llu changes its asset or side", number, version);
    INVARIANT_F(seq >= account->seq, "I4: account %llu at seq %llu gets seq %llu", number,
        (unsigned long long)account->seq, (unsigned long long)seq);
    if (entry->revision == account->revision)
        INVARIANT_F(floor_eq(entry->floor, account->floor), "I4: account %llu version %llu changes its floor",
            number, version);
    else
        INVARIANT_F(entry->revision == account->revision + 1 && !entry_moves(entry),
            "I4: account %llu version %llu revision %u", number, version, entry->revision);
    check_continues(account->balance.posted, entry->change.posted, entry->after.posted, account);
    check_continues(account->balance.incoming, entry->change.incoming, entry->after.incoming, account);
    check_continues(account->balance.outgoing, entry->change.outgoing, entry->after.outgoing, account);
    INVARIANT_F(entry->after.incoming >= 0 && entry->after.outgoing >= 0, "I5: account %llu version %llu",
        number, version);
    account->revision = entry->revision;
    account->floor = entry->floor;
    account->version = entry->version;
    account->seq = seq;
    account->balance = entry->after;
}

void account_revise(struct account *account, const struct revision_row *revision)
{
    INVARIANT_F(revision->account == account->number, "revision of account %llu on account %llu",
        (unsigned long long)revision->account, (unsigned long long)account->number);
    /* Equal when the revision's zero entry was applied first. */
    INVARIANT_F(revision->revision == account->revision + 1 || revision->revision == account->revision,
        "account %llu at revision %u gets %u", (unsigned long long)account->number, account->revision,
        revision->revision);
    account->revision = revision->revision;
    account->status = revision->status;
    account->floor = revision->floor;
    account->text_seq = revision->text_seq;
}

bool account_is_world(const struct account *account)
{
    return str_starts(account->external_id, STR(WORLD_PREFIX));
}
