/*
 * Fuzzing the decoding of events into facts: the first byte picks the type, the rest is the data. What is accepted must
 * have the properties that the read model relies on, and an entry must come back the same from what is parked of it. What
 * is plain must be JSON.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "money/amount.h"
#include "readmodel/fact.h"
#include "readmodel/json_plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct fact *f, struct arena *arena)
{
    const struct fact_entry *e = &f->entry;
    struct fact again;
    struct err err;
    bool known;
    INVARIANT(uuid_counter(e->account) > 0 && e->version > 0);
    INVARIANT(amount_in_range(e->after.posted) && amount_in_range(e->change.posted));
    INVARIANT(e->side == 1 || e->side == -1);
    INVARIANT(fact_decode(STR(FACT_ENTRY_TYPE), fact_entry_json(f, arena), arena, &again, &known, &err));
    INVARIANT(again.seq == f->seq && again.n == f->n && again.entry.version == e->version &&
              again.entry.after.posted == e->after.posted && str_eq(again.entry.currency, e->currency));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {FACT_ENTRY_TYPE, "ledger.transfer.posted.v1",
        "ledger.transfer.reversed.v1", "ledger.transfer.declined.v1", "ledger.account.opened.v1",
        "ledger.account.revised.v1"};
    if (size < 1)
        return 0;
    struct arena arena;
    struct fact fact;
    struct err err = {0};
    bool known;
    arena_init(&arena, 0);
    json_t *tree =
        json_loadb((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    INVARIANT(tree != NULL || json_plain((struct str){(const char *)data + 1, size - 1}, &arena) == NULL);
    json_decref(tree);
    struct str type = str_of(types[data[0] % (sizeof types / sizeof types[0])]);
    if (fact_decode(type, (struct str){(const char *)data + 1, size - 1}, &arena, &fact, &known, &err)) {
        INVARIANT(known && fact.seq > 0 && fact.n < fact.of && fact.ledger.len > 0);
        if (fact.kind == FACT_ENTRY)
            check_entry(&fact, &arena);
    } else {
        INVARIANT(err.code == ERR_CORRUPT && err.message[0] != 0);
    }
    arena_fini(&arena);
    return 0;
}
