#include "readmodel/check_stream.h"

void check_stream_init(struct check_stream *s, struct db *db, const struct db_statement *statement, int keys,
    int64_t page, int64_t ledger, int64_t bound)
{
    *s = (struct check_stream){.db = db,
        .statement = statement,
        .ledger = ledger,
        .bound = bound,
        .page = page,
        .keys = keys,
        .after = {0, INT64_MIN}};
    arena_init(&s->arena, 65536);
}

void check_stream_init_ranges(struct check_stream *s, struct db *db, const struct db_statement *statement,
    int64_t page, int64_t last, int64_t ledger, int64_t bound)
{
    check_stream_init(s, db, statement, 1, page, ledger, bound);
    s->last = last;
    s->over = last == 0;
}

void check_stream_fini(struct check_stream *s)
{
    if (s->db != NULL)
        arena_fini(&s->arena);
    s->db = NULL;
}

static int ask(struct check_stream *s, struct err *err)
{
    const struct db_value values[] = {
        db_int(s->ledger), db_int(s->bound), db_int(s->page), db_int(s->after[0]), db_int(s->after[1])};
    arena_reset(&s->arena);
    s->at = 0;
    return db_run(s->db, s->statement, values, s->keys == 2 ? 5 : 4, &s->arena, &s->rows, err);
}

static int turn_range(struct check_stream *s, struct err *err)
{
    int r = 0;
    s->rows.n_rows = 0;
    for (; r == 0 && s->rows.n_rows == 0 && s->after[0] < s->last; s->after[0] += s->page)
        r = ask(s, err);
    s->over = r == 0 && s->rows.n_rows == 0;
    return r;
}

static int turn_page(struct check_stream *s, struct err *err)
{
    if (s->last != 0)
        return turn_range(s, err);
    int r = ask(s, err);
    if (r != 0)
        return r;
    s->over = s->rows.n_rows == 0;
    for (int k = 0; !s->over && k < s->keys; k++)
        s->after[k] = db_at(&s->rows, s->rows.n_rows - 1, (size_t)k)->integer;
    return 0;
}

int check_stream_row(struct check_stream *s, const struct db_value **ret_row, struct err *err)
{
    int r = 0;
    if (!s->over && (!s->begun || s->at >= s->rows.n_rows))
        r = turn_page(s, err);
    s->begun = true;
    *ret_row = r == 0 && !s->over ? db_at(&s->rows, s->at, 0) : NULL;
    return r;
}

void check_stream_pass(struct check_stream *s)
{
    INVARIANT(s->at < s->rows.n_rows);
    s->at++;
}
