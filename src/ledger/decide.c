/* The dispatch, and what every decision needs: the record's frame, zero entries, refusals, declined records.
 */
#include "ledger/decide.h"

#include <string.h>

#include "ledger/decide_internal.h"

/*
 * A record and the account it opens get their ids from one random number: each its own share, so that one id
 * does not show the random bits of the other. A bijection on 32 bits (xor-shift-multiply, C. Wellons'
 * "lowbias32").
 */
static uint32_t record_random(uint32_t random)
{
    random ^= 0x9e3779b9u;
    random ^= random >> 16;
    random *= 0x7feb352du;
    random ^= random >> 15;
    random *= 0x846ca68bu;
    return random ^ random >> 16;
}

/*
 * Of a record with a trace the lowest bit says whether the trace is sampled (telemetry/trace.h): who follows the journal
 * has nothing else to know it by.
 */
struct uuid decide_record_id(const struct command *command, int64_t recorded_at, uint64_t seq)
{
    uint32_t random = record_random(command->random);
    if (command->has_trace)
        random = (random & ~UINT32_C(1)) | command->trace_sampled;
    return uuid_make(recorded_at, seq, random);
}

struct record *making_record(const struct making *m, enum record_kind kind)
{
    const struct command *command = m->command;
    const struct facts *facts = m->facts;
    struct record *record = ARENA_NEW(m->arena, struct record);
    *record = (struct record){
        .ledger = facts->ledger,
        .seq = facts->next_seq,
        .kind = kind,
        .id = decide_record_id(command, facts->now, facts->next_seq),
        .idempotency_key = command->idempotency_key,
        .effective_at = facts->now,
        .recorded_at = facts->now,
        .reference = command->reference,
        .actor = command->actor,
        .has_trace = command->has_trace,
        .format = RECORD_FORMAT,
    };
    if (command->idempotency_key.data != NULL)
        memcpy(record->request_hash, command->request_hash, HASH_LEN);
    if (command->has_trace)
        memcpy(record->trace_id, command->trace_id, TRACE_ID_LEN);
    if (command->text.data != NULL) {
        record->text = (struct record_text){.present = true, .readable = true, .body = command->text};
        memcpy(record->text.salt, command->salt, SALT_LEN);
    }
    return record;
}

struct entry entry_zero(const struct account *head, int64_t effective_at)
{
    return (struct entry){
        .account = head->number,
        .version = head->version + 1,
        .asset = head->asset,
        .side = (int8_t)account_type_side(head->type),
        .revision = head->revision,
        .floor = head->floor,
        .after = head->balance,
        .effective_at = effective_at,
        .account_id = head->id,
    };
}

void record_put_zero_entry(struct record *record, const struct account *head, struct arena *arena)
{
    INVARIANT(record->n_entries == 0);
    struct entry *entry = ARENA_NEW(arena, struct entry);
    *entry = entry_zero(head, record->effective_at);
    record->entries = entry;
    record->n_entries = 1;
}

void making_refuse(const struct making *m, enum refusal refusal, struct refusal_detail detail)
{
    if (detail.account != NULL)
        detail.account = arena_copy(m->arena, detail.account, sizeof *detail.account);
    *m->decision = (struct decision){.refusal = refusal, .detail = detail};
}

void making_decline(const struct making *m, enum refusal refusal, struct refusal_detail detail,
    const struct account *head, int64_t declined_amount, uint64_t related_seq)
{
    INVARIANT_F(refusal_is_recorded(refusal), "refusal %d", (int)refusal);
    making_refuse(m, refusal, detail);
    struct record *record = making_record(m, RECORD_DECLINED);
    record->refusal = (uint32_t)refusal;
    record->declined_amount = declined_amount;
    record->related_seq = related_seq;
    record_put_zero_entry(record, head, m->arena);
    m->decision->record = record;
}

int64_t making_effective_at(const struct making *m)
{
    return m->command->has_effective_at ? m->command->effective_at : m->facts->now;
}

bool making_check_effective(const struct making *m)
{
    if (making_effective_at(m) <= m->facts->now)
        return true;
    making_refuse(m, REFUSAL_EFFECTIVE_IN_FUTURE, (struct refusal_detail){0});
    return false;
}

void decide(const struct command *command, const struct facts *facts, struct arena *arena,
    struct decision *ret_decision)
{
    INVARIANT_F(facts->ledger >= 1 && facts->next_seq >= 1, "ledger %u seq %llu", facts->ledger,
        (unsigned long long)facts->next_seq);
    *ret_decision = (struct decision){.refusal = REFUSAL_NONE};
    const struct making m = {command, facts, arena, ret_decision};
    switch (command->op) {
    case COMMAND_OPEN_ACCOUNT:
        decide_open(&m);
        break;
    case COMMAND_REVISE_ACCOUNT:
        decide_revise(&m);
        break;
    case COMMAND_POST:
        decide_post(&m);
        break;
    case COMMAND_REVERSE:
        decide_reverse(&m);
        break;
    case COMMAND_ERASE:
        decide_erase(&m);
        break;
    case COMMAND_CREATE_LEDGER:
    case COMMAND_DECLARE_ASSET:
        INVARIANT_F(false, "command %d makes no record", (int)command->op);
        break;
    }
    INVARIANT((ret_decision->record != NULL) ==
              (ret_decision->refusal == REFUSAL_NONE || refusal_is_recorded(ret_decision->refusal)));
}
