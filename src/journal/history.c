#include "journal/history.h"

#include <string.h>

/* ---- places in recorded time ---- */

int history_seq_at(struct journal *j, uint32_t ledger, int64_t instant, uint64_t *ret_seq, struct err *err)
{
    struct ledger_head head;
    int rc = j->ops->head(j, ledger, &head, err);
    if (rc != 0)
        return rc;
    uint64_t low = 0, high = head.seq;
    if (head.recorded_at <= instant)
        low = head.seq;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        int64_t recorded_at;
        rc = j->ops->recorded_at(j, ledger, middle, &recorded_at, err);
        if (rc != 0)
            return rc;
        if (recorded_at <= instant)
            low = middle;
        else
            high = middle - 1;
    }
    *ret_seq = low;
    return 0;
}

int history_version_at(
    struct journal *j, const struct account *account, uint64_t seq, uint64_t *ret_version, struct err *err)
{
    /* Recorded by then: all up to low; not: all from high + 1. */
    uint64_t low = account->opened_seq <= seq ? 1 : 0, high = low == 0 ? 0 : account->version;
    if (account->seq <= seq)
        low = account->version;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2, middle_seq;
        struct entry entry;
        int rc = j->ops->entry(j, account->ledger, account->number, middle, &entry, &middle_seq, err);
        if (rc != 0)
            return rc;
        if (middle_seq <= seq)
            low = middle;
        else
            high = middle - 1;
    }
    *ret_version = low;
    return 0;
}

/* The last version recorded before `instant`, at most `known`. */
static int version_before(struct journal *j, const struct account *account, int64_t instant, uint64_t known,
    uint64_t *ret_version, struct err *err)
{
    *ret_version = 0;
    if (instant == INT64_MIN)
        return 0;
    uint64_t seq;
    int rc = history_seq_at(j, account->ledger, instant - 1, &seq, err);
    if (rc == 0)
        rc = history_version_at(j, account, seq, ret_version, err);
    if (rc == 0 && *ret_version > known)
        *ret_version = known;
    return rc;
}

/* The versions that a reader with this known_at sees. */
static int known_version(struct journal *j, const struct account *account, const int64_t *known_at,
    uint64_t *ret_version, struct err *err)
{
    *ret_version = account->version;
    if (known_at == NULL || *known_at == INT64_MAX)
        return 0;
    return version_before(j, account, *known_at + 1, account->version, ret_version, err);
}

/* ---- balances ---- */

/* Entries in another order than the one they were checked in can reach further than any balance did. */
static int amounts_add(struct amounts *sum, struct amounts change, struct err *err)
{
    if (__builtin_add_overflow(sum->posted, change.posted, &sum->posted) ||
        __builtin_add_overflow(sum->incoming, change.incoming, &sum->incoming) ||
        __builtin_add_overflow(sum->outgoing, change.outgoing, &sum->outgoing))
        return err_set(err, ERR_UNSUPPORTED, "the balance effective then does not fit 64 bits");
    return 0;
}

struct summing {
    struct amounts sum;
    struct err *err;
};

static int sum_entry(void *ctx, const struct entry *entry, uint64_t seq)
{
    (void)seq;
    struct summing *s = ctx;
    return amounts_add(&s->sum, entry->change, s->err);
}

/* What version 0 stands for: nothing yet. */
static int entry_or_nothing(struct journal *j, const struct account *account, uint64_t version,
    struct entry *ret_entry, uint64_t *ret_seq, struct err *err)
{
    *ret_entry = (struct entry){0};
    *ret_seq = 0;
    return version == 0
               ? 0
               : j->ops->entry(j, account->ledger, account->number, version, ret_entry, ret_seq, err);
}

/* Adds the entries that were recorded after version `base`, up to `known`, and took effect before `before`.
 */
static int add_late(struct journal *j, const struct account *account, uint64_t base, uint64_t known,
    int64_t before, struct amounts *sum, struct err *err)
{
    if (base >= known)
        return 0;
    struct summing s = {*sum, err};
    int rc = j->ops->late_entries(j, account->ledger, account->number, base + 1, known, INT64_MIN, before,
        INT64_MIN, 0, sum_entry, &s, err);
    *sum = s.sum;
    return rc;
}

int history_balance(struct journal *j, const struct account *account, const int64_t *at,
    const int64_t *known_at, struct history_balance *ret_balance, struct err *err)
{
    uint64_t known, version;
    int rc = known_version(j, account, known_at, &known, err);
    version = known;
    bool bounded = at != NULL && *at != INT64_MAX;
    if (rc == 0 && bounded)
        rc = version_before(j, account, *at + 1, known, &version, err);
    struct entry entry;
    uint64_t seq;
    if (rc == 0)
        rc = entry_or_nothing(j, account, version, &entry, &seq, err);
    if (rc != 0)
        return rc;
    struct history_balance balance = {entry.after, version, seq, entry.floor};
    if (bounded)
        rc = add_late(j, account, version, known, *at + 1, &balance.amounts, err);
    if (rc == 0)
        *ret_balance = balance;
    return rc;
}

/* ---- statements ---- */

/* Lines being gathered, in an array that grows in the arena. */
struct gathering {
    struct arena *arena;
    struct history_line *lines;
    size_t n, cap, wanted;
    bool on_time_only;      /* leave out what was backdated */
    int64_t after_instant;  /* of those with this effective time ... */
    uint64_t after_version; /* ... leave out versions up to this one; 0: none */
};

static int gather(void *ctx, const struct entry *entry, uint64_t seq)
{
    struct gathering *g = ctx;
    if (!entry_moves(entry) || (g->on_time_only && entry->backdated) ||
        (g->on_time_only && entry->effective_at == g->after_instant && entry->version <= g->after_version))
        return 0;
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        struct history_line *lines = ARENA_ARRAY(g->arena, struct history_line, cap);
        if (g->n > 0)
            memcpy(lines, g->lines, g->n * sizeof *lines);
        g->lines = lines;
        g->cap = cap;
    }
    /* Recorded when it took effect, unless it was backdated; fill_recorded_at() looks those up. */
    g->lines[g->n++] = (struct history_line){.entry = *entry,
        .seq = seq,
        .effective_at = entry->effective_at,
        .recorded_at = entry->effective_at,
        .running = entry->after};
    return g->n == g->wanted ? 1 : 0; /* enough */
}

/* What both axes have in common: which versions lie in the period, and how far the reader sees. */
struct period {
    struct journal *j;
    const struct account *account;
    int64_t from, to;
    uint64_t known, first, last;             /* versions recorded in the period: first..last */
    const struct history_position *position; /* where to go on; NULL at the start */
    size_t limit;
    struct arena *arena;
    struct err *err;
};

static int walk(int rc)
{
    return rc > 0 ? 0 : rc; /* a visitor that has enough is no error */
}

static int fill_recorded_at(const struct period *p, struct history_line *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!lines[i].entry.backdated)
            continue;
        int rc =
            p->j->ops->recorded_at(p->j, p->account->ledger, lines[i].seq, &lines[i].recorded_at, p->err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Where the next page goes on, if there is one more line than the page takes. */
static void cut_page(const struct period *p, struct history_line *lines, size_t n, enum history_axis axis,
    struct history_statement *s)
{
    s->lines = lines;
    s->n_lines = n < p->limit ? n : p->limit;
    s->more = n > p->limit;
    if (!s->more)
        return;
    s->next = (struct history_position){.started = true, .known_version = p->known};
    if (s->n_lines == 0) { /* a page of nothing goes on where it was */
        if (p->position != NULL)
            s->next = *p->position;
        else
            s->next.running = s->opening, s->next.instant = INT64_MIN;
        return;
    }
    const struct history_line *last = &lines[s->n_lines - 1];
    s->next.instant = axis == AXIS_EFFECTIVE ? last->effective_at : last->recorded_at;
    s->next.version = last->entry.version;
    s->next.running = last->running;
}

static int recorded_statement(const struct period *p, struct history_statement *s)
{
    struct entry entry;
    uint64_t seq, first = p->first;
    int rc = entry_or_nothing(p->j, p->account, p->first - 1, &entry, &seq, p->err);
    s->opening = entry.after;
    if (rc == 0)
        rc = entry_or_nothing(p->j, p->account, p->last, &entry, &seq, p->err);
    s->closing = entry.after;
    if (rc != 0)
        return rc;
    if (p->position != NULL && p->position->version >= first)
        first = p->position->version + 1;
    struct gathering g = {.arena = p->arena, .wanted = p->limit + 1};
    if (first <= p->last)
        rc = walk(p->j->ops->entries(
            p->j, p->account->ledger, p->account->number, first, p->last, false, gather, &g, p->err));
    if (rc == 0)
        rc = fill_recorded_at(p, g.lines, g.n);
    if (rc == 0)
        cut_page(p, g.lines, g.n, AXIS_RECORDED, s);
    return rc;
}

/* The balance effective just before `instant`; `base` is the last version recorded before it. */
static int effective_before(const struct period *p, uint64_t base, int64_t instant, struct amounts *ret)
{
    struct entry entry;
    uint64_t seq;
    int rc = entry_or_nothing(p->j, p->account, base, &entry, &seq, p->err);
    *ret = entry.after;
    return rc != 0 ? rc : add_late(p->j, p->account, base, p->known, instant, ret, p->err);
}

/* The lines that were recorded when they took effect, from where the page goes on. */
static int gather_on_time(const struct period *p, struct gathering *g)
{
    uint64_t first = p->first;
    if (p->position != NULL) {
        uint64_t before;
        int rc = version_before(p->j, p->account, p->position->instant, p->known, &before, p->err);
        if (rc != 0)
            return rc;
        if (before >= first)
            first = before + 1;
        g->after_instant = p->position->instant;
        g->after_version = p->position->version;
    }
    g->on_time_only = true;
    if (first > p->last)
        return 0;
    return walk(p->j->ops->entries(
        p->j, p->account->ledger, p->account->number, first, p->last, false, gather, g, p->err));
}

static int gather_late(const struct period *p, struct gathering *g)
{
    int64_t instant = p->position != NULL ? p->position->instant : INT64_MIN;
    uint64_t version = p->position != NULL ? p->position->version : 0;
    if (p->known == 0)
        return 0;
    return walk(p->j->ops->late_entries(p->j, p->account->ledger, p->account->number, 1, p->known, p->from,
        p->to, instant, version, gather, g, p->err));
}

static bool comes_first(const struct history_line *a, const struct history_line *b)
{
    return a->effective_at != b->effective_at ? a->effective_at < b->effective_at
                                              : a->entry.version < b->entry.version;
}

static int effective_statement(const struct period *p, struct history_statement *s)
{
    int rc = effective_before(p, p->first - 1, p->from, &s->opening);
    if (rc == 0)
        rc = effective_before(p, p->last, p->to, &s->closing);
    struct gathering on_time = {.arena = p->arena, .wanted = p->limit + 1};
    struct gathering late = {.arena = p->arena, .wanted = p->limit + 1};
    if (rc == 0)
        rc = gather_on_time(p, &on_time);
    if (rc == 0)
        rc = gather_late(p, &late);
    if (rc == 0)
        rc = fill_recorded_at(p, late.lines, late.n);
    if (rc != 0)
        return rc;
    struct amounts running = p->position != NULL ? p->position->running : s->opening;
    struct history_line *lines = ARENA_ARRAY(p->arena, struct history_line, on_time.n + late.n);
    size_t n = 0;
    for (size_t a = 0, b = 0; n <= p->limit && (a < on_time.n || b < late.n); n++) {
        bool take_late = a == on_time.n || (b < late.n && comes_first(&late.lines[b], &on_time.lines[a]));
        lines[n] = take_late ? late.lines[b++] : on_time.lines[a++];
        rc = amounts_add(&running, lines[n].entry.change, p->err);
        if (rc != 0)
            return rc;
        lines[n].running = running;
    }
    cut_page(p, lines, n, AXIS_EFFECTIVE, s);
    return 0;
}

int history_statement(struct journal *j, const struct account *account, enum history_axis axis, int64_t from,
    int64_t to, const int64_t *known_at, const struct history_position *position, size_t limit,
    struct arena *arena, struct history_statement *ret_statement, struct err *err)
{
    INVARIANT(limit < SIZE_MAX);
    struct period p = {.j = j,
        .account = account,
        .from = from,
        .to = to > from ? to : from,
        .limit = limit,
        .position = position != NULL && position->started ? position : NULL,
        .arena = arena,
        .err = err};
    int rc = 0;
    if (p.position != NULL) /* from outside: a cursor may claim to have seen what is not there */
        p.known = p.position->known_version < account->version ? p.position->known_version : account->version;
    else
        rc = known_version(j, account, known_at, &p.known, err);
    uint64_t before = 0;
    if (rc == 0)
        rc = version_before(j, account, p.from, p.known, &before, err);
    if (rc == 0)
        rc = version_before(j, account, p.to, p.known, &p.last, err);
    if (rc != 0)
        return rc;
    p.first = before + 1;
    struct history_statement statement = {0};
    rc = axis == AXIS_RECORDED ? recorded_statement(&p, &statement) : effective_statement(&p, &statement);
    if (rc == 0)
        *ret_statement = statement;
    return rc;
}
