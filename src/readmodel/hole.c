#include "readmodel/hole.h"

#include <stdio.h>
#include <string.h>

/* The one that is watched, if it still stands there; else the next after it that is behind, so that a busy ledger, which is
 * behind at every look and never at the same record, hides no other one. */
static const struct readmodel_ledger *choose(
    const struct hole *h, const struct readmodel_ledger *ledgers, size_t n)
{
    const struct readmodel_ledger *first = NULL, *next = NULL;
    bool passed = false;
    for (size_t i = 0; i < n; i++) {
        const struct readmodel_ledger *l = &ledgers[i];
        bool watched = str_eq_c(l->name, h->ledger), behind = l->seq < l->most_seq;
        if (behind && watched && l->seq == h->seq)
            return l;
        if (behind && first == NULL)
            first = l;
        if (behind && passed && next == NULL)
            next = l;
        passed = passed || watched;
    }
    return next != NULL ? next : first;
}

int hole_look(struct hole *h, struct readmodel *model, bool caught_up, int64_t now_us, struct err *err)
{
    struct arena arena;
    struct readmodel_ledger *ledgers;
    size_t n;
    arena_init(&arena, 0);
    int rc = caught_up ? readmodel_ledgers(model, &arena, &ledgers, &n, err) : 0;
    const struct readmodel_ledger *l = rc == 0 && caught_up ? choose(h, ledgers, n) : NULL;
    if (rc != 0 || l == NULL) {
        *h = (struct hole){.seq = 0};
    } else if (l->seq == h->seq && str_eq_c(l->name, h->ledger)) {
        h->there = now_us - h->since_us >= HOLE_US;
    } else {
        *h = (struct hole){.seq = l->seq, .since_us = now_us};
        memcpy(h->ledger, l->name.data, l->name.len);
    }
    arena_fini(&arena);
    return rc;
}

void hole_describe(const struct hole *h, char ret_text[512])
{
    snprintf(ret_text, 512,
        "ledger %s is complete up to record %llu: of the next one something is missing or parked, and "
        "nothing "
        "waits; the projection is complete when it comes, or after 'creditledger projections rebuild'",
        h->ledger, (unsigned long long)h->seq);
}
