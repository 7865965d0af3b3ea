#include "telemetry/metrics_ledgers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (2 * METRICS_LEDGERS) /* half empty at most, so that a search ends soon */

struct ledger {
    _Atomic uint64_t after[METRIC_LEDGER_SERIES_N]; /* seq + 1; 0: no value yet */
    size_t name_len;
    char name[];
};

struct metrics_ledgers {
    _Atomic size_t n;
    _Atomic(struct ledger *) slots[SLOTS];
};

_Static_assert((SLOTS & (SLOTS - 1)) == 0, "slots are found with a mask");

struct metrics_ledgers *metrics_ledgers_new(void)
{
    struct metrics_ledgers *ledgers = calloc(1, sizeof *ledgers);
    INVARIANT(ledgers != NULL);
    return ledgers;
}

void metrics_ledgers_free(struct metrics_ledgers *ledgers)
{
    if (ledgers == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(atomic_load_explicit(&ledgers->slots[i], memory_order_relaxed));
    free(ledgers);
}

static bool is_named(const struct ledger *l, struct str name)
{
    return l->name_len == name.len && memcmp(l->name, name.data, name.len) == 0;
}

/* Takes the slot for a name that is new. NULL: there are too many; else who has the slot now, ours or another's. */
static struct ledger *claim(struct metrics_ledgers *ledgers, _Atomic(struct ledger *) *slot, struct str name)
{
    if (atomic_fetch_add(&ledgers->n, 1) >= METRICS_LEDGERS) {
        atomic_fetch_sub(&ledgers->n, 1);
        return NULL;
    }
    struct ledger *fresh = calloc(1, sizeof *fresh + name.len), *winner = NULL;
    INVARIANT(fresh != NULL);
    fresh->name_len = name.len;
    memcpy(fresh->name, name.data, name.len);
    if (atomic_compare_exchange_strong(slot, &winner, fresh))
        return fresh;
    atomic_fetch_sub(&ledgers->n, 1);
    free(fresh);
    return winner;
}

static struct ledger *find(struct metrics_ledgers *ledgers, struct str name)
{
    size_t at = (size_t)hash64(0, name.data, name.len);
    for (size_t tries = 0; tries < SLOTS; tries++) {
        _Atomic(struct ledger *) *slot = &ledgers->slots[(at + tries) & (SLOTS - 1)];
        struct ledger *l = atomic_load_explicit(slot, memory_order_acquire);
        if (l == NULL)
            l = claim(ledgers, slot, name);
        if (l == NULL || is_named(l, name))
            return l;
    }
    return NULL;
}

void metrics_ledgers_set(
    struct metrics_ledgers *ledgers, enum metric_ledger series, struct str ledger, uint64_t seq)
{
    struct ledger *l = ledger.len > 0 ? find(ledgers, ledger) : NULL;
    if (l != NULL)
        atomic_store_explicit(&l->after[series], seq + 1, memory_order_relaxed);
}

static void put_label(struct strbuf *b, struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] == '\n')
            strbuf_c(b, "\\n");
        else if (value.data[i] == '"' || value.data[i] == '\\')
            strbuf_printf(b, "\\%c", value.data[i]);
        else
            strbuf_char(b, value.data[i]);
}

size_t metrics_ledgers_render(
    struct metrics_ledgers *ledgers, enum metric_ledger series, const char *name, struct strbuf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        struct ledger *l = atomic_load_explicit(&ledgers->slots[i], memory_order_acquire);
        uint64_t after = l != NULL ? atomic_load_explicit(&l->after[series], memory_order_relaxed) : 0;
        if (after == 0)
            continue;
        strbuf_printf(b, "%s{ledger=\"", name);
        put_label(b, (struct str){l->name, l->name_len});
        strbuf_printf(b, "\"} %llu\n", (unsigned long long)(after - 1));
        n++;
    }
    return n;
}
