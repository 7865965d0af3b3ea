#include "readmodel/heads.h"

#include <stdlib.h>

#include "readmodel/rows.h"

const char heads_ddl[] =
    "CREATE TABLE @head (ledger BIGINT NOT NULL, account BIGINT NOT NULL, asset BIGINT NOT NULL,"
    " side BIGINT NOT NULL, version BIGINT NOT NULL, seq BIGINT NOT NULL,"
    " posted BIGINT NOT NULL, incoming BIGINT NOT NULL, outgoing BIGINT NOT NULL,"
    " revision BIGINT NOT NULL, floor BIGINT, recorded_at BIGINT NOT NULL,"
    " PRIMARY KEY (ledger, account)) @WITHOUT_ROWID;";

#define HEAD_COLUMNS 12

static const struct db_table head_table = {.name = "head",
    .table = "@head",
    .columns = {{"ledger", DB_INT}, {"account", DB_INT}, {"asset", DB_INT}, {"side", DB_INT},
        {"version", DB_INT}, {"seq", DB_INT}, {"posted", DB_INT}, {"incoming", DB_INT}, {"outgoing", DB_INT},
        {"revision", DB_INT}, {"floor", DB_INT}, {"recorded_at", DB_INT}},
    .n_columns = HEAD_COLUMNS,
    .tail = "ON CONFLICT (ledger, account) DO UPDATE SET version = excluded.version, seq = excluded.seq,"
            " posted = excluded.posted, incoming = excluded.incoming, outgoing = excluded.outgoing,"
            " revision = excluded.revision, floor = excluded.floor, recorded_at = excluded.recorded_at"};

/* The list of numbers comes as text: neither database's arrays are the other's. */
#define FETCH_COLUMNS \
    "SELECT account, asset, side, version, seq, posted, incoming, outgoing, revision, floor, recorded_at" \
    " FROM @head WHERE ledger = ?1 AND account "
static const struct db_statement fetch_sqlite = {
    "heads_fetch", FETCH_COLUMNS "IN (SELECT value FROM json_each('[' || ?2 || ']'))"};
static const struct db_statement fetch_postgres = {
    "heads_fetch", FETCH_COLUMNS "= ANY (string_to_array(?2, ',')::bigint[])"};

void heads_init(struct heads *h, size_t limit)
{
    *h = (struct heads){.limit = limit / 2 + 1};
}

void heads_fini(struct heads *h)
{
    free(h->young);
    free(h->old);
    free(h->changed);
    free(h->wanted);
    numbers_fini(&h->young_at);
    numbers_fini(&h->old_at);
    numbers_fini(&h->missing);
}

void heads_forget(struct heads *h)
{
    size_t limit = h->limit;
    heads_fini(h);
    *h = (struct heads){.limit = limit};
}

static struct head *put_young(struct heads *h, const struct head *head)
{
    if (h->n_young == h->cap_young) {
        h->cap_young = h->cap_young == 0 ? 1024 : 2 * h->cap_young;
        h->young = realloc(h->young, h->cap_young * sizeof *h->young);
        INVARIANT(h->young != NULL);
    }
    numbers_set(&h->young_at, head->ledger, head->number, (uint32_t)h->n_young);
    h->young[h->n_young] = *head;
    return &h->young[h->n_young++];
}

void heads_want(struct heads *h, uint32_t ledger, uint64_t number)
{
    if (numbers_get(&h->young_at, ledger, number) != NUMBERS_NONE)
        return;
    uint32_t old = numbers_get(&h->old_at, ledger, number);
    if (old != NUMBERS_NONE) {
        put_young(h, &h->old[old]);
        return;
    }
    if (numbers_get(&h->missing, ledger, number) != NUMBERS_NONE)
        return;
    numbers_set(&h->missing, ledger, number, 0);
    if (h->n_wanted == h->cap_wanted) {
        h->cap_wanted = h->cap_wanted == 0 ? 256 : 2 * h->cap_wanted;
        h->wanted = realloc(h->wanted, h->cap_wanted * sizeof *h->wanted);
        INVARIANT(h->wanted != NULL);
    }
    h->wanted[h->n_wanted].ledger = ledger;
    h->wanted[h->n_wanted++].number = number;
}

static void take_row(struct heads *h, uint32_t ledger, const struct db_result *result, size_t row)
{
    struct head head = {.number = value_uint(db_at(result, row, 0)),
        .ledger = ledger,
        .asset = (uint32_t)value_uint(db_at(result, row, 1)),
        .side = db_at(result, row, 2)->integer > 0 ? 1 : -1,
        .version = value_uint(db_at(result, row, 3)),
        .seq = value_uint(db_at(result, row, 4)),
        .balance = {db_at(result, row, 5)->integer, db_at(result, row, 6)->integer,
            db_at(result, row, 7)->integer},
        .revision = (uint32_t)value_uint(db_at(result, row, 8)),
        .floor = value_floor(db_at(result, row, 9)),
        .recorded_at = db_at(result, row, 10)->integer};
    put_young(h, &head);
    numbers_remove(&h->missing, ledger, head.number);
}

/* The wanted ones of one ledger. */
static int fetch_ledger(struct heads *h, struct db *db, uint32_t ledger, struct arena *arena, struct err *err)
{
    struct strbuf list;
    struct db_result result;
    strbuf_init(&list);
    for (size_t i = 0; i < h->n_wanted; i++) {
        if (h->wanted[i].ledger != ledger)
            continue;
        if (list.len > 0)
            strbuf_char(&list, ',');
        strbuf_uint(&list, h->wanted[i].number);
    }
    int rc = db_run(db, db_is_postgres(db) ? &fetch_postgres : &fetch_sqlite,
        DB_VALUES(db_uint(ledger), db_text(strbuf_view(&list))), arena, &result, err);
    for (size_t row = 0; rc == 0 && row < result.n_rows; row++)
        take_row(h, ledger, &result, row);
    strbuf_fini(&list);
    return rc;
}

int heads_fetch(struct heads *h, struct db *db, struct err *err)
{
    struct arena arena;
    int rc = 0;
    arena_init(&arena, 65536);
    struct numbers done = {0};
    for (size_t i = 0; rc == 0 && i < h->n_wanted; i++) {
        uint32_t ledger = h->wanted[i].ledger;
        if (numbers_get(&done, ledger, 0) != NUMBERS_NONE)
            continue;
        numbers_set(&done, ledger, 0, 0);
        rc = fetch_ledger(h, db, ledger, &arena, err);
    }
    for (size_t i = 0; rc == 0 && i < h->n_wanted; i++)
        if (numbers_get(&h->missing, h->wanted[i].ledger, h->wanted[i].number) != NUMBERS_NONE)
            put_young(h, &(struct head){.ledger = h->wanted[i].ledger, .number = h->wanted[i].number});
    numbers_fini(&done);
    numbers_clear(&h->missing);
    h->n_wanted = 0;
    arena_fini(&arena);
    return rc;
}

struct head *heads_at(struct heads *h, uint32_t ledger, uint64_t number)
{
    uint32_t at = numbers_get(&h->young_at, ledger, number);
    INVARIANT_F(at != NUMBERS_NONE, "account %llu was not fetched", (unsigned long long)number);
    return &h->young[at];
}

static bool continues(int64_t before, int64_t change, int64_t after)
{
    int64_t sum;
    return !__builtin_add_overflow(before, change, &sum) && sum == after;
}

enum verdict head_judge(
    const struct head *head, const struct fact *fact, uint32_t asset, const char **ret_why)
{
    const struct fact_entry *e = &fact->entry;
    INVARIANT(fact->kind == FACT_ENTRY && uuid_counter(e->account) == head->number);
    *ret_why = NULL;
    if (e->version <= head->version)
        return VERDICT_PAST;
    if (e->version > head->version + 1)
        return VERDICT_GAP;
    if (head->asset != 0 && (head->asset != asset || head->side != e->side))
        *ret_why = "the account is in another currency, or of the other side";
    else if (fact->seq < head->seq || fact->recorded_at < head->recorded_at)
        *ret_why = "its record is older than that of the account's last entry";
    else if (!continues(head->balance.posted, e->change.posted, e->after.posted) ||
             !continues(head->balance.incoming, e->change.incoming, e->after.incoming) ||
             !continues(head->balance.outgoing, e->change.outgoing, e->after.outgoing))
        *ret_why = "the balance after it is not the balance before it and its change";
    return *ret_why == NULL ? VERDICT_NEXT : VERDICT_CONTRADICTION;
}

void heads_apply(struct heads *h, struct head *head, const struct fact *fact, uint32_t asset)
{
    const struct fact_entry *e = &fact->entry;
    INVARIANT(e->version == head->version + 1);
    head->asset = asset;
    head->side = e->side;
    head->version = e->version;
    head->seq = fact->seq;
    head->balance = e->after;
    head->floor = e->floor;
    head->revision = e->revision;
    head->recorded_at = fact->recorded_at;
    if (head->changed)
        return;
    head->changed = true;
    if (h->n_changed == h->cap_changed) {
        h->cap_changed = h->cap_changed == 0 ? 256 : 2 * h->cap_changed;
        h->changed = realloc(h->changed, h->cap_changed * sizeof *h->changed);
        INVARIANT(h->changed != NULL);
    }
    h->changed[h->n_changed++] = (uint32_t)(head - h->young);
}

static int by_number(const void *a, const void *b, void *ctx)
{
    const struct head *heads = ctx, *x = &heads[*(const uint32_t *)a], *y = &heads[*(const uint32_t *)b];
    if (x->ledger != y->ledger)
        return x->ledger < y->ledger ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

int heads_flush(struct heads *h, struct db *db, struct err *err)
{
    struct rows rows;
    if (h->n_changed == 0)
        return 0;
    rows_init(&rows);
    /* In the table's order: neighbours share a page. */
    qsort_r(h->changed, h->n_changed, sizeof *h->changed, by_number, h->young);
    for (size_t i = 0; i < h->n_changed; i++) {
        const struct head *head = &h->young[h->changed[i]];
        struct db_value *v = rows_next(&rows, HEAD_COLUMNS);
        v[0] = db_uint(head->ledger);
        v[1] = db_uint(head->number);
        v[2] = db_uint(head->asset);
        v[3] = db_int(head->side);
        v[4] = db_uint(head->version);
        v[5] = db_uint(head->seq);
        v[6] = db_int(head->balance.posted);
        v[7] = db_int(head->balance.incoming);
        v[8] = db_int(head->balance.outgoing);
        v[9] = db_uint(head->revision);
        v[10] = db_floor(head->floor);
        v[11] = db_int(head->recorded_at);
    }
    int rc = rows_flush(&rows, db, &head_table, err);
    rows_fini(&rows);
    return rc;
}

void heads_end(struct heads *h)
{
    for (size_t i = 0; i < h->n_changed; i++) {
        h->young[h->changed[i]].changed = false;
        h->young[h->changed[i]].activity = 0;
    }
    h->n_changed = 0;
    if (h->n_young < h->limit)
        return;
    struct heads was = *h;
    h->old = was.young;
    h->n_old = was.n_young;
    h->cap_old = was.cap_young;
    h->old_at = was.young_at;
    h->young = was.old;
    h->cap_young = was.cap_old;
    h->young_at = was.old_at;
    h->n_young = 0;
    numbers_clear(&h->young_at);
}
