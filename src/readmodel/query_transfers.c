/*
 * The search for transfers. What the filter has decides what is walked, newest first, and everything else is looked at
 * along the way: a metadata member, else a reference, else an account's lines, else an amount, else all transfers. Each
 * is an index in the order of seq, so that a page ends where it is full.
 */
#include "readmodel/query_internal.h"

#include <string.h>

#include "ledger/refusal.h"

#define TRANSFER_COLUMNS \
    "SELECT t.seq, t.kind, t.record, t.idempotency_key, t.reference, t.refusal, t.declined_amount, " \
    "t.effective_at," \
    " t.recorded_at, t.related_seq, t.actor, t.trace, t.metadata FROM "
#define VALUES_MAX (16 + 2 * QUERY_METADATA_MAX)

/* The statement being put together. */
struct search {
    struct strbuf sql;
    struct db_value values[VALUES_MAX];
    size_t n;
};

/* Puts down `before`, the value's parameter, `after`. */
static void term(struct search *s, const char *before, struct db_value value, const char *after)
{
    INVARIANT(s->n < VALUES_MAX);
    s->values[s->n++] = value;
    strbuf_printf(&s->sql, "%s?%zu%s", before, s->n, after);
}

static void metadata_terms(struct search *s, const struct query_filter *f)
{
    for (size_t i = 1; i < f->n_metadata; i++) {
        term(s,
            " AND EXISTS (SELECT 1 FROM @transfer_metadata x WHERE x.ledger = t.ledger AND x.seq = t.seq AND "
            "x.name = ",
            db_text(f->metadata[i].key), "");
        term(s, " AND x.value = ", db_text(f->metadata[i].value), ")");
    }
}

static const struct db_statement seq_of_instant = {"transfers_instant",
    "SELECT seq, recorded_at FROM @line WHERE ledger = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1"};

/* The last seq recorded before the instant: time never runs back along seq. */
static int seq_before(struct reading *r, int64_t instant, uint64_t *ret_seq, struct err *err)
{
    uint64_t low = 0, high = r->seq;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        int64_t place[2];
        bool found;
        int rc = query_numbers(
            r, &seq_of_instant, DB_VALUES(db_uint(r->ledger), db_uint(middle)), place, 2, &found, err);
        if (rc != 0)
            return rc;
        if (found && place[1] < instant)
            low = middle;
        else
            high = middle - 1;
    }
    *ret_seq = low;
    return 0;
}

/* What the filter's times and its page leave of the ledger. */
static int bounds(
    struct reading *r, const struct query_filter *f, uint64_t *ret_least, uint64_t *ret_most, struct err *err)
{
    uint64_t least = 0, most = r->seq;
    int rc = 0;
    if (f->has_to)
        rc = seq_before(r, f->to, &most, err);
    if (rc == 0 && f->has_from)
        rc = seq_before(r, f->from, &least, err);
    if (f->before_seq != 0 && f->before_seq <= most)
        most = f->before_seq - 1;
    *ret_least = least + 1;
    *ret_most = most;
    return rc;
}

static const struct db_statement newest_version = {
    "transfers_newest", "SELECT version, seq FROM @head WHERE ledger = ?1 AND account = ?2"};

/* The account's lines are walked by version: the newest that may count. */
static int walk_account(
    struct reading *r, struct search *s, const struct query_filter *f, uint64_t most, struct err *err)
{
    int64_t head[2] = {0, 0};
    bool found;
    uint64_t version = 0;
    int rc = query_numbers(
        r, &newest_version, DB_VALUES(db_uint(r->ledger), db_uint(f->account)), head, 2, &found, err);
    if (rc == 0)
        rc = query_version_at(r, f->account, most, (uint64_t)head[0], &version, err);
    strbuf_c(&s->sql, "@line l CROSS JOIN @transfer t WHERE t.ledger = l.ledger AND t.seq = l.seq");
    term(s, " AND l.ledger = ", db_uint(r->ledger), "");
    term(s, " AND l.account = ", db_uint(f->account), "");
    term(s, " AND l.version <= ", db_uint(version), "");
    /* A record may have several lines of the account; it is found by the last of them. */
    strbuf_c(&s->sql,
        " AND NOT EXISTS (SELECT 1 FROM @line n WHERE n.ledger = l.ledger AND n.account = l.account"
        " AND n.version = l.version + 1 AND n.seq = l.seq)");
    return rc;
}

static int put_walk(struct reading *r, struct search *s, const struct query_filter *f, uint64_t most,
    const char **ret_order, struct err *err)
{
    bool by_metadata = f->n_metadata > 0,
         by_account = !by_metadata && f->has_account && f->reference.data == NULL;
    strbuf_c(&s->sql, TRANSFER_COLUMNS);
    *ret_order = "t.seq";
    if (by_account) {
        *ret_order = "l.version";
        return walk_account(r, s, f, most, err);
    }
    if (by_metadata) {
        *ret_order = "m.seq";
        strbuf_c(&s->sql,
            "@transfer_metadata m CROSS JOIN @transfer t WHERE t.ledger = m.ledger AND t.seq = m.seq");
        term(s, " AND m.ledger = ", db_uint(r->ledger), "");
        term(s, " AND m.name = ", db_text(f->metadata[0].key), "");
        term(s, " AND m.value = ", db_text(f->metadata[0].value), "");
        term(s, " AND m.seq <= ", db_uint(most), "");
    } else {
        term(s, "@transfer t WHERE t.ledger = ", db_uint(r->ledger), "");
    }
    if (f->has_account)
        term(s,
            " AND EXISTS (SELECT 1 FROM @line l WHERE l.ledger = t.ledger AND l.seq = t.seq AND l.account = ",
            db_uint(f->account), ")");
    return 0;
}

static int put_search(
    struct reading *r, struct search *s, const struct query_filter *f, size_t limit, struct err *err)
{
    const char *order;
    uint64_t least, most;
    int rc = bounds(r, f, &least, &most, err);
    if (rc == 0)
        rc = put_walk(r, s, f, most, &order, err);
    if (rc != 0)
        return rc;
    term(s, " AND t.seq <= ", db_uint(most), "");
    if (least > 1)
        term(s, " AND t.seq >= ", db_uint(least), "");
    if (f->has_kind)
        term(s, " AND t.kind = ", db_int(f->kind), "");
    if (f->reference.data != NULL)
        term(s, " AND t.reference = ", db_text(f->reference), "");
    if (f->currency.data != NULL)
        term(s, " AND t.currency = ", db_text(f->currency), "");
    bool exact = f->has_least && f->has_most && f->least == f->most;
    if (exact)
        term(s, " AND t.amount > 0 AND t.amount = ", db_int(f->least), "");
    else if (f->has_least)
        term(s, " AND t.amount > 0 AND t.amount >= ", db_int(f->least), "");
    if (f->has_most && !exact)
        term(s, " AND t.amount > 0 AND t.amount <= ", db_int(f->most), "");
    metadata_terms(s, f);
    strbuf_printf(&s->sql, " ORDER BY %s DESC", order);
    term(s, " LIMIT ", db_uint(limit), "");
    return 0;
}

/* ---- from rows to records ---- */

static uint32_t refusal_of(struct str code)
{
    size_t n;
    const struct refusal_info *all = refusal_all(&n);
    for (size_t i = 0; i < n; i++)
        if (str_eq_c(code, all[i].name))
            return (uint32_t)all[i].refusal;
    return 0;
}

static void put_text(struct record_text *text, struct str metadata, struct arena *arena)
{
    if (str_eq_c(metadata, "{}"))
        return; /* as if it never had one: it is answered alike */
    text->present = true;
    text->readable = metadata.data != NULL;
    if (text->readable)
        text->body = arena_printf(arena, "{\"metadata\":" STR_FMT "}", STR_ARG(metadata));
}

static struct record *record_of(const struct reading *r, const struct db_value *v, struct arena *arena)
{
    struct record *record = ARENA_NEW(arena, struct record);
    *record = (struct record){.ledger = r->ledger,
        .seq = value_uint(&v[0]),
        .kind = (enum record_kind)value_uint(&v[1]),
        .id = value_uuid(&v[2]),
        .idempotency_key = value_str(&v[3]),
        .reference = value_str(&v[4]),
        .refusal = refusal_of(value_str(&v[5])),
        .declined_amount = v[6].integer,
        .effective_at = v[7].integer,
        .recorded_at = v[8].integer,
        .related_seq = value_uint(&v[9]),
        .actor = value_str(&v[10]),
        .has_trace = v[11].type == DB_BYTES && v[11].bytes.len == TRACE_ID_LEN};
    if (record->has_trace)
        memcpy(record->trace_id, v[11].bytes.data, TRACE_ID_LEN);
    put_text(&record->text, value_str(&v[12]), arena);
    return record;
}

/* The seqs of a page as text, for both databases alike. */
#define IN_LIST_SQLITE "IN (SELECT value FROM json_each('[' || ?2 || ']'))"
#define IN_LIST_POSTGRES "= ANY (string_to_array(?2, ',')::bigint[])"
#define ENTRIES_SQL(list) \
    "SELECT " QUERY_ENTRY_COLUMNS \
    " FROM @line l JOIN @account a ON a.ledger = l.ledger AND a.number = l.account" \
    " WHERE l.ledger = ?1 AND l.seq " list " ORDER BY l.seq DESC, l.leg"
#define RELATED_SQL(list) "SELECT seq, record FROM @line WHERE ledger = ?1 AND leg = 0 AND seq " list
static const struct db_statement entries_sqlite = {"transfers_entries", ENTRIES_SQL(IN_LIST_SQLITE)};
static const struct db_statement entries_postgres = {"transfers_entries", ENTRIES_SQL(IN_LIST_POSTGRES)};
static const struct db_statement related_sqlite = {"transfers_related", RELATED_SQL(IN_LIST_SQLITE)};
static const struct db_statement related_postgres = {"transfers_related", RELATED_SQL(IN_LIST_POSTGRES)};

static struct str seq_list(struct record *const *records, size_t n, bool related, struct arena *arena)
{
    struct strbuf b;
    strbuf_init(&b);
    for (size_t i = 0; i < n; i++) {
        uint64_t seq = related ? records[i]->related_seq : records[i]->seq;
        if (seq == 0)
            continue;
        if (b.len > 0)
            strbuf_char(&b, ',');
        strbuf_uint(&b, seq);
    }
    struct str list = arena_str(arena, strbuf_view(&b));
    strbuf_fini(&b);
    return list;
}

/* Entries come in the order of the records. */
static int put_entries(
    struct reading *r, struct record *const *records, size_t n, struct arena *arena, struct err *err)
{
    struct db_result result;
    int rc = db_run(r->db, db_is_postgres(r->db) ? &entries_postgres : &entries_sqlite,
        DB_VALUES(db_uint(r->ledger), db_text(seq_list(records, n, false, arena))), arena, &result, err);
    if (rc != 0)
        return rc;
    struct entry *entries = ARENA_ARRAY(arena, struct entry, result.n_rows);
    for (size_t i = 0, row = 0; i < n; i++) {
        records[i]->entries = &entries[row];
        for (; row < result.n_rows && value_uint(db_at(&result, row, 0)) == records[i]->seq; row++) {
            entries[row] = query_entry(db_at(&result, row, 0));
            records[i]->n_entries++;
        }
    }
    return 0;
}

static int put_related(struct reading *r, struct record *const *records, size_t n,
    struct query_transfer *transfers, struct arena *arena, struct err *err)
{
    struct db_result result;
    struct str list = seq_list(records, n, true, arena);
    if (list.len == 0)
        return 0;
    int rc = db_run(r->db, db_is_postgres(r->db) ? &related_postgres : &related_sqlite,
        DB_VALUES(db_uint(r->ledger), db_text(list)), arena, &result, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (size_t row = 0; records[i]->related_seq != 0 && row < result.n_rows; row++)
            if (value_uint(db_at(&result, row, 0)) == records[i]->related_seq) {
                transfers[i].has_related = true;
                transfers[i].related = value_uuid(db_at(&result, row, 1));
            }
    return rc;
}

static int take(struct reading *r, const struct db_result *result, struct arena *arena,
    struct query_transfer **ret_transfers, struct err *err)
{
    size_t n = result->n_rows;
    struct record **records = ARENA_ARRAY(arena, struct record *, n);
    struct query_transfer *transfers = ARENA_ARRAY(arena, struct query_transfer, n);
    for (size_t i = 0; i < n; i++) {
        records[i] = record_of(r, db_at(result, i, 0), arena);
        transfers[i].record = records[i];
    }
    int rc = n == 0 ? 0 : put_entries(r, records, n, arena, err);
    if (rc == 0)
        rc = put_related(r, records, n, transfers, arena, err);
    *ret_transfers = transfers;
    return rc;
}

int query_transfers(struct reading *r, const struct query_filter *f, size_t limit, struct arena *arena,
    struct query_transfer **ret_transfers, size_t *ret_n, struct err *err)
{
    INVARIANT(r->begun && f->n_metadata <= QUERY_METADATA_MAX);
    struct search s = {.n = 0};
    struct db_result result;
    strbuf_init(&s.sql);
    int rc = put_search(r, &s, f, limit, err);
    if (rc == 0) {
        strbuf_char(&s.sql, '\0');
        /* Its shape is the filter's: it is not kept. */
        rc = db_run(r->db, &(struct db_statement){NULL, s.sql.data}, s.values, s.n, arena, &result, err);
    }
    strbuf_fini(&s.sql);
    if (rc == 0)
        rc = take(r, &result, arena, ret_transfers, err);
    if (rc == 0)
        *ret_n = result.n_rows;
    return rc;
}
