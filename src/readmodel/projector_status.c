/* What is known of the read model from outside: the control part, the live generation, and the journal beside it. */
#include <stdio.h>
#include <string.h>

#include "journal/journal.h"
#include "readmodel/projector_internal.h"

struct known {
    struct arena *arena;
    struct projector_ledger *ledgers; /* of the journal, by id */
    size_t n, cap;
};

static int know(void *ctx, const struct ledger_row *row)
{
    struct known *k = ctx;
    if (k->n == k->cap) {
        size_t cap = k->cap == 0 ? 16 : k->cap * 2;
        struct projector_ledger *more = ARENA_ARRAY(k->arena, struct projector_ledger, cap);
        for (size_t i = 0; i < k->n; i++)
            more[i] = k->ledgers[i];
        k->ledgers = more;
        k->cap = cap;
    }
    k->ledgers[k->n++] = (struct projector_ledger){.name = arena_str(k->arena, str_of(row->name))};
    return 0;
}

static int see_ledger(
    struct journal *j, struct readmodel *model, struct projector_ledger *l, uint32_t id, struct err *err)
{
    struct ledger_head head;
    int r = j->ops->head(j, id, &head, err);
    if (r != 0)
        return r;
    l->journal_seq = head.seq;
    if (model != NULL)
        r = readmodel_seq(model, l->name, &l->seq, err);
    if (r == 0 && l->seq < head.seq)
        r = j->ops->recorded_at(j, id, l->seq + 1, &l->next_at, err);
    return r;
}

/* How far the read model is beyond what is complete; and ledgers that the journal does not know. */
static int see_model(struct known *k, struct readmodel *model, struct err *err)
{
    struct readmodel_ledger *ledgers;
    size_t n;
    int r = readmodel_ledgers(model, k->arena, &ledgers, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        size_t at = 0;
        while (at < k->n && !str_eq(k->ledgers[at].name, ledgers[i].name))
            at++;
        if (at == k->n) {
            char name[LIMIT_LEDGER_NAME_MAX + 1] = "";
            struct ledger_row row = {.id = 0};
            memcpy(name, ledgers[i].name.data, ledgers[i].name.len);
            memcpy(row.name, name, sizeof name);
            r = know(k, &row);
            k->ledgers[at].seq = ledgers[i].seq;
        }
        k->ledgers[at].most_seq = ledgers[i].most_seq;
    }
    return r;
}

static int see_journal(
    const struct projector_config *config, struct readmodel *model, struct known *k, struct err *err)
{
    struct journal *j;
    int r = journal_open(config->journal_url, config->journal_options, &j, err);
    if (r != 0)
        return r;
    r = j->ops->snapshot_begin(j, err);
    if (r == 0) {
        r = j->ops->ledgers(j, know, k, err);
        for (size_t i = 0; r == 0 && i < k->n; i++)
            r = see_ledger(j, model, &k->ledgers[i], (uint32_t)i + 1, err);
        j->ops->snapshot_end(j);
    }
    journal_close(j);
    return r;
}

static int see_leases(struct db *control, struct projector_status *status, struct err *err)
{
    struct lease_state lease;
    int r = lease_read(control, LEASE_PROJECTOR, &lease, err);
    if (r == 0 && lease.expires_in_us > 0)
        snprintf(status->holder, sizeof status->holder, "%s", lease.holder);
    if (r == 0)
        r = lease_read(control, LEASE_REBUILD, &lease, err);
    status->rebuilding = r == 0 && lease.holder[0] != '\0' && lease.expires_in_us > 0;
    return r;
}

static int see_generations(const struct projector_config *config, struct arena *arena,
    struct projector_status *status, struct err *err)
{
    struct generation *generations;
    int r = generation_list(config->read_url, arena, &generations, &status->n_generations, err);
    if (r != 0)
        return r;
    status->generations = generations;
    for (size_t i = 0; i < status->n_generations; i++)
        if (generations[i].state == GENERATION_LIVE)
            status->live = generations[i].id;
    return 0;
}

static int see_live(const struct projector_config *config, struct arena *arena,
    struct projector_status *status, struct err *err)
{
    const struct readmodel_options options = {.pooled = config->pooled};
    struct readmodel *model = NULL;
    struct known known = {.arena = arena};
    int r = readmodel_open(config->read_url, &options, &model, err);
    status->readable = r == 0;
    if (r != 0 && r != ERR_UNSUPPORTED)
        return r;
    r = status->readable ? readmodel_parked_count(model, &status->parked, err) : 0;
    if (r == 0)
        r = see_journal(config, model, &known, err);
    if (r == 0 && status->readable)
        r = see_model(&known, model, err);
    status->ledgers = known.ledgers;
    status->n_ledgers = known.n;
    readmodel_close(model);
    return r;
}

int projector_status(const struct projector_config *config, struct arena *arena,
    struct projector_status *ret_status, struct err *err)
{
    struct db *control;
    struct projector_status status = {.live = 0};
    int r = projector_control(config, false, &control, err);
    if (r != 0)
        return r;
    r = see_leases(control, &status, err);
    if (r == 0)
        r = projector_note_read(control, &status.state, &status.state_at, err);
    if (r == 0)
        r = see_generations(config, arena, &status, err);
    db_close(control);
    if (r == 0 && status.live != 0)
        r = see_live(config, arena, &status, err);
    *ret_status = status;
    return r;
}
