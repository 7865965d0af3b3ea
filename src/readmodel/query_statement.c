/* Statements on the recorded axis: a range of the account's versions, as history_statement() gives it. */
#include "readmodel/query_internal.h"

static const struct db_statement after_version = {"statement_after",
    "SELECT posted, incoming, outgoing FROM @line WHERE ledger = ?1 AND account = ?2 AND version = ?3"};
static const struct db_statement page = {"statement_page",
    "SELECT " QUERY_ENTRY_COLUMNS
    ", l.kind, l.record, l.reference, l.counterparty, l.related_seq FROM @line l"
    " JOIN @account a ON a.ledger = l.ledger AND a.number = l.account"
    " WHERE l.ledger = ?1 AND l.account = ?2 AND l.version >= ?3 AND l.version <= ?4"
    " AND (l.change <> 0 OR l.change_incoming <> 0 OR l.change_outgoing <> 0) ORDER BY l.version LIMIT ?5"};

/* Version 0: nothing yet. */
static int amounts_after(struct reading *r, const struct account *account, uint64_t version,
    struct amounts *ret_amounts, struct err *err)
{
    int64_t after[3] = {0, 0, 0};
    bool found;
    int rc = version == 0 ? 0
                          : query_numbers(r, &after_version,
                                DB_VALUES(db_uint(r->ledger), db_uint(account->number), db_uint(version)),
                                after, 3, &found, err);
    *ret_amounts = (struct amounts){after[0], after[1], after[2]};
    return rc;
}

struct lines {
    struct history_line *lines;
    const struct record **records;
    struct uuid *counterparties;
    bool *has_counterparty;
    size_t n;
};

static struct lines take_lines(const struct db_result *result, struct arena *arena)
{
    size_t n = result->n_rows;
    struct lines l = {.lines = ARENA_ARRAY(arena, struct history_line, n),
        .records = ARENA_ARRAY(arena, const struct record *, n),
        .counterparties = ARENA_ARRAY(arena, struct uuid, n),
        .has_counterparty = ARENA_ARRAY(arena, bool, n),
        .n = n};
    struct record *records = ARENA_ARRAY(arena, struct record, n);
    for (size_t i = 0; i < n; i++) {
        const struct db_value *v = db_at(result, i, 0), *rest = v + QUERY_ENTRY_N;
        struct history_line *line = &l.lines[i];
        *line = (struct history_line){.entry = query_entry(v),
            .seq = value_uint(&v[0]),
            .effective_at = v[12].integer,
            .recorded_at = v[13].integer};
        line->running = line->entry.after;
        records[i] = (struct record){.seq = line->seq,
            .kind = (enum record_kind)value_uint(&rest[0]),
            .id = value_uuid(&rest[1]),
            .reference = value_str(&rest[2]),
            .effective_at = line->effective_at,
            .recorded_at = line->recorded_at,
            .related_seq = value_uint(&rest[4])};
        l.records[i] = &records[i];
        l.has_counterparty[i] = rest[3].type == DB_BYTES;
        l.counterparties[i] = value_uuid(&rest[3]);
    }
    return l;
}

/* Where the next page goes on, if there is one more line than the page takes. */
static void cut_page(struct history_statement *s, const struct lines *l, size_t limit, uint64_t known,
    const struct history_position *position)
{
    s->lines = l->lines;
    s->n_lines = l->n < limit ? l->n : limit;
    s->more = l->n > limit;
    if (!s->more)
        return;
    s->next = (struct history_position){.started = true, .known_version = known};
    if (s->n_lines == 0) { /* a page of nothing goes on where it was */
        if (position != NULL)
            s->next = *position;
        else
            s->next.running = s->opening, s->next.instant = INT64_MIN;
        return;
    }
    const struct history_line *last = &l->lines[s->n_lines - 1];
    s->next.instant = last->recorded_at;
    s->next.version = last->entry.version;
    s->next.running = last->running;
}

int query_statement(struct reading *r, const struct account *account, int64_t from, int64_t to,
    const struct history_position *position, size_t limit, struct arena *arena,
    struct query_statement *ret_statement, struct err *err)
{
    INVARIANT(r->begun && limit < SIZE_MAX);
    uint64_t known = account->version, before = 0, last = 0;
    position = position != NULL && position->started ? position : NULL;
    if (position != NULL && position->known_version < known) /* from outside: not beyond what is here */
        known = position->known_version;
    int rc = query_version_before(r, account->number, from, known, &before, err);
    if (rc == 0)
        rc = query_version_before(r, account->number, to > from ? to : from, known, &last, err);
    struct history_statement s = {.n_lines = 0};
    if (rc == 0)
        rc = amounts_after(r, account, before, &s.opening, err);
    if (rc == 0)
        rc = amounts_after(r, account, last, &s.closing, err);
    uint64_t first = before + 1;
    if (position != NULL && position->version >= first)
        first = position->version + 1;
    struct db_result result;
    if (rc == 0)
        rc = db_run(r->db, &page,
            DB_VALUES(db_uint(r->ledger), db_uint(account->number), db_uint(first), db_uint(last),
                db_uint(limit + 1)),
            arena, &result, err);
    if (rc != 0)
        return rc;
    struct lines lines = take_lines(&result, arena);
    cut_page(&s, &lines, limit, known, position);
    *ret_statement = (struct query_statement){.statement = s,
        .records = lines.records,
        .counterparties = lines.counterparties,
        .has_counterparty = lines.has_counterparty};
    return 0;
}
