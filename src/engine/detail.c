#include "engine/engine_internal.h"

#include <stdio.h>

static void name_ref(const struct account_ref *ref, char *ret_text, size_t size)
{
    char id[UUID_TEXT_LEN + 1];
    if (ref->by == REF_BY_WORLD) {
        snprintf(ret_text, size, "@world:" STR_FMT, STR_ARG(ref->currency));
    } else if (ref->by == REF_BY_EXTERNAL_ID) {
        snprintf(ret_text, size, "ext:" STR_FMT, STR_ARG(ref->external_id));
    } else {
        uuid_format(ref->id, id);
        snprintf(ret_text, size, "%s", id);
    }
}

static void account_missing(const struct command *command, const struct facts *facts,
    const struct decision *decision, char *ret_text, size_t size)
{
    const struct account_ref *ref = NULL;
    const char *where = "";
    size_t i = decision->detail.index;
    if (command->op == COMMAND_REVISE_ACCOUNT) {
        ref = &command->as.revise.account;
    } else if (command->op == COMMAND_POST) {
        const struct command_post *post = &command->as.post;
        bool in_postings = i < post->n_postings && !(facts->postings[i].debit && facts->postings[i].credit);
        if (in_postings) {
            bool debit = facts->postings[i].debit == NULL;
            ref = debit ? &post->postings[i].debit : &post->postings[i].credit;
            where = post->postings[i].wallet ? (debit ? "from: " : "to: ") : (debit ? "debit: " : "credit: ");
        } else if (i < post->n_expects) {
            ref = &post->expects[i].account;
            where = "expect: ";
        }
    }
    char name[160] = "";
    if (ref != NULL)
        name_ref(ref, name, sizeof name);
    snprintf(
        ret_text, size, "%sledger '" STR_FMT "' has no account %s.", where, STR_ARG(command->ledger), name);
}

static void currencies(const struct command *command, const struct facts *facts,
    const struct decision *decision, const struct engine *e, char *ret_text, size_t size)
{
    size_t i = decision->detail.index;
    if (command->op != COMMAND_POST || i >= command->as.post.n_postings)
        return;
    const struct posting_facts *p = &facts->postings[i];
    const struct asset *debit = p->debit ? asset_by_id(e, p->debit->asset) : NULL;
    const struct asset *credit = p->credit ? asset_by_id(e, p->credit->asset) : NULL;
    snprintf(ret_text, size,
        "Posting %zu is in " STR_FMT ", its debit account in %s, its credit account in %s.", i,
        STR_ARG(command->as.post.postings[i].currency), debit ? debit->code : "none",
        credit ? credit->code : "none");
}

static struct str currency_of(const struct command *command, size_t i)
{
    if (command->op == COMMAND_OPEN_ACCOUNT)
        return command->as.open.currency;
    if (command->op == COMMAND_POST && i < command->as.post.n_postings)
        return command->as.post.postings[i].currency;
    return STR_NONE;
}

void describe_refusal(const struct command *command, const struct facts *facts,
    const struct decision *decision, const struct engine *e, char *ret_text, size_t size)
{
    const struct refusal_detail *d = &decision->detail;
    ret_text[0] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum" /* the others say all in their title and hint */
    switch (decision->refusal) {
    case REFUSAL_ACCOUNT_NOT_FOUND:
        account_missing(command, facts, decision, ret_text, size);
        break;
    case REFUSAL_ASSET_NOT_FOUND:
        snprintf(ret_text, size, "'" STR_FMT "' is neither an ISO 4217 currency nor a declared asset.",
            STR_ARG(currency_of(command, d->index)));
        break;
    case REFUSAL_CURRENCY_MISMATCH:
        currencies(command, facts, decision, e, ret_text, size);
        break;
    case REFUSAL_BALANCE_DIFFERS:
        snprintf(ret_text, size, "The ledger's balance would be %lld, expected is %lld.",
            (long long)d->actual_minor, (long long)d->amount_minor);
        break;
    case REFUSAL_SAME_ACCOUNT:
    case REFUSAL_DEBIT_NORMAL_PAIR:
        if (command->op == COMMAND_POST && command->as.post.n_postings > 1)
            snprintf(ret_text, size, "Posting %zu.", d->index);
        break;
    default:
        break;
    }
#pragma GCC diagnostic pop
}
