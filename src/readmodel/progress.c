#include "readmodel/progress.h"

#include <stdlib.h>
#include <string.h>

#include "readmodel/numbers.h"
#include "readmodel/rows.h"

const char progress_ddl[] =
    "CREATE TABLE @ledger (id BIGINT PRIMARY KEY, name @TEXT NOT NULL, seq BIGINT NOT NULL, most_seq BIGINT "
    "NOT NULL,"
    " recorded_at BIGINT NOT NULL);"
    "CREATE TABLE @asset (id BIGINT PRIMARY KEY, code @TEXT NOT NULL, scale BIGINT NOT NULL);"
    "CREATE TABLE @incomplete (ledger BIGINT NOT NULL, seq BIGINT NOT NULL, facts BIGINT NOT NULL,"
    " recorded_at BIGINT NOT NULL, seen @BYTES NOT NULL, PRIMARY KEY (ledger, seq));"
    "CREATE TABLE @erased (ledger BIGINT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (ledger, seq));";

#define FACTS_MAX (2 * LIMIT_POSTINGS_MAX + 1)
#define SEEN_BYTES ((FACTS_MAX + 7) / 8)

/* A record beyond the ledger's seq. Most have three facts; those of many have their bits elsewhere. */
struct incomplete {
    uint64_t seq;
    uint32_t ledger, facts, seen;
    bool changed, stored;
    int64_t recorded_at;
    uint64_t bits;
    uint8_t *many; /* SEEN_BYTES, if there are more than 64 */
    uint32_t next_free;
};

struct place {
    uint32_t ledger;
    uint64_t seq;
};

struct places {
    struct place *at;
    size_t n, cap;
};

struct progress {
    struct progress_ledger *ledgers;
    struct asset *assets;
    size_t n_ledgers, n_assets, written_assets;
    struct numbers ledger_at, asset_at; /* by the hash of their names */
    uint32_t last_ledger;               /* most facts are of the same */
    struct incomplete *incomplete;
    size_t n_incomplete, cap_incomplete;
    uint32_t free_incomplete;
    struct numbers incomplete_at, erased;
    struct places changed, newly_erased;
};

struct progress *progress_new(void)
{
    struct progress *p = calloc(1, sizeof *p);
    INVARIANT(p != NULL);
    p->free_incomplete = NUMBERS_NONE;
    return p;
}

void progress_free(struct progress *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n_incomplete; i++)
        free(p->incomplete[i].many);
    free(p->incomplete);
    free(p->ledgers);
    free(p->assets);
    free(p->changed.at);
    free(p->newly_erased.at);
    numbers_fini(&p->ledger_at);
    numbers_fini(&p->asset_at);
    numbers_fini(&p->incomplete_at);
    numbers_fini(&p->erased);
    free(p);
}

static void places_add(struct places *places, uint32_t ledger, uint64_t seq)
{
    if (places->n == places->cap) {
        places->cap = places->cap == 0 ? 64 : 2 * places->cap;
        places->at = realloc(places->at, places->cap * sizeof *places->at);
        INVARIANT(places->at != NULL);
    }
    places->at[places->n++] = (struct place){ledger, seq};
}

/* ---- ledgers and assets ---- */

/* Two hashes are a name as good as the name itself; it is compared all the same. */
static uint32_t named(const struct numbers *t, struct str name)
{
    return numbers_get(t, hash64(1, name.data, name.len), hash64(2, name.data, name.len));
}

static void put_name(struct numbers *t, struct str name, uint32_t id)
{
    numbers_set(t, hash64(1, name.data, name.len), hash64(2, name.data, name.len), id);
}

static uint32_t add_ledger(struct progress *p, struct str name)
{
    INVARIANT(name.len <= LIMIT_LEDGER_NAME_MAX);
    p->ledgers = realloc(p->ledgers, (p->n_ledgers + 1) * sizeof *p->ledgers);
    INVARIANT(p->ledgers != NULL);
    struct progress_ledger *ledger = &p->ledgers[p->n_ledgers++];
    *ledger = (struct progress_ledger){.changed = true};
    memcpy(ledger->name, name.data, name.len);
    put_name(&p->ledger_at, name, (uint32_t)p->n_ledgers);
    return (uint32_t)p->n_ledgers;
}

uint32_t progress_ledger_id(struct progress *p, struct str name)
{
    if (p->last_ledger != 0 && str_eq_c(name, p->ledgers[p->last_ledger - 1].name))
        return p->last_ledger;
    uint32_t id = named(&p->ledger_at, name);
    if (id == NUMBERS_NONE)
        id = add_ledger(p, name);
    INVARIANT(str_eq_c(name, p->ledgers[id - 1].name));
    p->last_ledger = id;
    return id;
}

static uint32_t add_asset(struct progress *p, struct str code, uint8_t scale)
{
    INVARIANT(code.len <= LIMIT_ASSET_CODE_MAX);
    p->assets = realloc(p->assets, (p->n_assets + 1) * sizeof *p->assets);
    INVARIANT(p->assets != NULL);
    struct asset *asset = &p->assets[p->n_assets++];
    *asset = (struct asset){.id = (uint32_t)p->n_assets, .scale = scale};
    memcpy(asset->code, code.data, code.len);
    put_name(&p->asset_at, code, asset->id);
    return asset->id;
}

uint32_t progress_asset_id(struct progress *p, struct str code, uint8_t scale)
{
    uint32_t id = named(&p->asset_at, code);
    if (id == NUMBERS_NONE)
        id = add_asset(p, code, scale);
    INVARIANT(str_eq_c(code, p->assets[id - 1].code));
    return id;
}

size_t progress_ledgers(const struct progress *p)
{
    return p->n_ledgers;
}

const struct progress_ledger *progress_ledger(const struct progress *p, uint32_t id)
{
    return &p->ledgers[id - 1];
}

/* ---- which facts are here ---- */

static uint8_t *bits_of(struct incomplete *r)
{
    return r->many != NULL ? r->many : (uint8_t *)&r->bits;
}

bool progress_has(const struct progress *p, uint32_t ledger, const struct fact *fact)
{
    if (fact->seq <= p->ledgers[ledger - 1].seq)
        return true;
    uint32_t at = numbers_get(&p->incomplete_at, ledger, fact->seq);
    return at != NUMBERS_NONE && fact->n < p->incomplete[at].facts &&
           (bits_of(&p->incomplete[at])[fact->n / 8] >> fact->n % 8 & 1) != 0;
}

static struct incomplete *incomplete_add(struct progress *p, uint32_t ledger, uint64_t seq, uint32_t facts)
{
    uint32_t at = p->free_incomplete;
    if (at != NUMBERS_NONE) {
        p->free_incomplete = p->incomplete[at].next_free;
    } else {
        if (p->n_incomplete == p->cap_incomplete) {
            p->cap_incomplete = p->cap_incomplete == 0 ? 64 : 2 * p->cap_incomplete;
            p->incomplete = realloc(p->incomplete, p->cap_incomplete * sizeof *p->incomplete);
            INVARIANT(p->incomplete != NULL);
        }
        at = (uint32_t)p->n_incomplete++;
    }
    struct incomplete *r = &p->incomplete[at];
    *r = (struct incomplete){.seq = seq, .ledger = ledger, .facts = facts};
    if (facts > 64) {
        r->many = calloc(1, SEEN_BYTES);
        INVARIANT(r->many != NULL);
    }
    numbers_set(&p->incomplete_at, ledger, seq, at);
    return r;
}

static void incomplete_remove(struct progress *p, uint32_t at)
{
    struct incomplete *r = &p->incomplete[at];
    numbers_remove(&p->incomplete_at, r->ledger, r->seq);
    free(r->many);
    *r = (struct incomplete){.next_free = p->free_incomplete};
    p->free_incomplete = at;
}

/* The ledger goes on over all records that are complete. */
static void advance(struct progress *p, uint32_t ledger)
{
    struct progress_ledger *l = &p->ledgers[ledger - 1];
    for (;;) {
        uint32_t at = numbers_get(&p->incomplete_at, ledger, l->seq + 1);
        if (at == NUMBERS_NONE || p->incomplete[at].seen < p->incomplete[at].facts)
            return;
        l->seq++;
        l->recorded_at = p->incomplete[at].recorded_at;
        l->changed = true;
        l->passed |= p->incomplete[at].stored;
        incomplete_remove(p, at);
    }
}

void progress_mark(struct progress *p, uint32_t ledger, const struct fact *fact)
{
    INVARIANT(fact->of <= FACTS_MAX && fact->n < fact->of);
    uint32_t at = numbers_get(&p->incomplete_at, ledger, fact->seq);
    struct incomplete *r =
        at != NUMBERS_NONE ? &p->incomplete[at] : incomplete_add(p, ledger, fact->seq, fact->of);
    if (fact->n >= r->facts)
        return; /* it says another number of facts than the first did */
    bits_of(r)[fact->n / 8] |= (uint8_t)(1u << fact->n % 8);
    r->seen++;
    r->recorded_at = fact->recorded_at;
    if (!r->changed) {
        r->changed = true;
        places_add(&p->changed, ledger, fact->seq);
    }
    struct progress_ledger *l = &p->ledgers[ledger - 1];
    if (fact->seq > l->most_seq) {
        l->most_seq = fact->seq;
        l->changed = true;
    }
    if (fact->seq == l->seq + 1)
        advance(p, ledger);
}

/* ---- erased texts ---- */

void progress_erase(struct progress *p, uint32_t ledger, uint64_t seq)
{
    if (progress_erased(p, ledger, seq))
        return;
    numbers_set(&p->erased, ledger, seq, 0);
    places_add(&p->newly_erased, ledger, seq);
}

bool progress_erased(const struct progress *p, uint32_t ledger, uint64_t seq)
{
    return numbers_get(&p->erased, ledger, seq) != NUMBERS_NONE;
}

/* ---- the database ---- */

static const struct db_statement load_ledgers = {
    "progress_ledgers", "SELECT id, name, seq, most_seq, recorded_at FROM @ledger ORDER BY id"};
static const struct db_statement load_assets = {
    "progress_assets", "SELECT id, code, scale FROM @asset ORDER BY id"};
static const struct db_statement load_incomplete = {
    "progress_incomplete", "SELECT ledger, seq, facts, recorded_at, seen FROM @incomplete"};
static const struct db_statement load_erased = {"progress_erased", "SELECT ledger, seq FROM @erased"};
static const struct db_statement forget_passed = {
    "progress_passed", "DELETE FROM @incomplete WHERE ledger = ?1 AND seq <= ?2"};

static const struct db_table ledger_table = {.name = "progress_ledger",
    .table = "@ledger",
    .columns = {{"id", DB_INT}, {"name", DB_TEXT}, {"seq", DB_INT}, {"most_seq", DB_INT},
        {"recorded_at", DB_INT}},
    .n_columns = 5,
    .tail = "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, most_seq = excluded.most_seq,"
            " recorded_at = excluded.recorded_at"};
static const struct db_table asset_table = {.name = "progress_asset",
    .table = "@asset",
    .columns = {{"id", DB_INT}, {"code", DB_TEXT}, {"scale", DB_INT}},
    .n_columns = 3,
    .tail = ""};
static const struct db_table incomplete_table = {.name = "progress_incomplete_put",
    .table = "@incomplete",
    .columns = {{"ledger", DB_INT}, {"seq", DB_INT}, {"facts", DB_INT}, {"recorded_at", DB_INT},
        {"seen", DB_BYTES}},
    .n_columns = 5,
    .tail = "ON CONFLICT (ledger, seq) DO UPDATE SET seen = excluded.seen"};
static const struct db_table erased_table = {.name = "progress_erased_put",
    .table = "@erased",
    .columns = {{"ledger", DB_INT}, {"seq", DB_INT}},
    .n_columns = 2,
    .tail = ""};

static int loaded(struct progress *p, struct db *db, const struct db_statement *statement,
    bool (*take)(struct progress *p, const struct db_value *row), struct err *err)
{
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(db, statement, DB_NO_VALUES, &arena, &result, err);
    for (size_t i = 0; rc == 0 && i < result.n_rows; i++)
        if (!take(p, db_at(&result, i, 0)))
            rc = err_set(
                err, ERR_CORRUPT, "the read model's table of %s: row %zu is none", statement->name, i);
    arena_fini(&arena);
    return rc;
}

static bool take_ledger(struct progress *p, const struct db_value *row)
{
    struct str name = value_str(&row[1]);
    if (name.len == 0 || name.len > LIMIT_LEDGER_NAME_MAX || value_uint(&row[0]) != p->n_ledgers + 1)
        return false;
    uint32_t id = add_ledger(p, name);
    struct progress_ledger *l = &p->ledgers[id - 1];
    l->seq = value_uint(&row[2]);
    l->most_seq = value_uint(&row[3]);
    l->recorded_at = row[4].integer;
    l->changed = false;
    return true;
}

static bool take_asset(struct progress *p, const struct db_value *row)
{
    struct str code = value_str(&row[1]);
    if (!asset_code_valid(code) || value_uint(&row[0]) != p->n_assets + 1)
        return false;
    add_asset(p, code, (uint8_t)value_uint(&row[2]));
    p->written_assets = p->n_assets;
    return true;
}

static bool take_incomplete(struct progress *p, const struct db_value *row)
{
    uint64_t ledger = value_uint(&row[0]), facts = value_uint(&row[2]);
    size_t bytes = (size_t)(facts + 7) / 8;
    if (ledger == 0 || ledger > p->n_ledgers || facts == 0 || facts > FACTS_MAX || row[4].type != DB_BYTES ||
        row[4].bytes.len != bytes)
        return false;
    struct incomplete *r = incomplete_add(p, (uint32_t)ledger, value_uint(&row[1]), (uint32_t)facts);
    memcpy(bits_of(r), row[4].bytes.data, bytes);
    for (size_t i = 0; i < bytes; i++)
        r->seen += (uint32_t)__builtin_popcount(bits_of(r)[i]);
    r->recorded_at = row[3].integer;
    r->stored = true;
    return true;
}

static bool take_erased(struct progress *p, const struct db_value *row)
{
    numbers_set(&p->erased, value_uint(&row[0]), value_uint(&row[1]), 0);
    return true;
}

int progress_load(struct progress *p, struct db *db, struct err *err)
{
    INVARIANT(p->n_ledgers == 0 && p->n_incomplete == 0);
    int rc = loaded(p, db, &load_ledgers, take_ledger, err);
    if (rc == 0)
        rc = loaded(p, db, &load_assets, take_asset, err);
    if (rc == 0)
        rc = loaded(p, db, &load_incomplete, take_incomplete, err);
    return rc != 0 ? rc : loaded(p, db, &load_erased, take_erased, err);
}

static int flush_ledgers(struct progress *p, struct db *db, struct rows *rows, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->n_ledgers; i++) {
        struct progress_ledger *l = &p->ledgers[i];
        if (l->passed)
            rc = db_run(db, &forget_passed, DB_VALUES(db_uint(i + 1), db_uint(l->seq)), NULL, NULL, err);
        l->passed = false;
        if (!l->changed)
            continue;
        struct db_value *v = rows_next(rows, 5);
        v[0] = db_uint(i + 1);
        v[1] = db_text(str_of(l->name));
        v[2] = db_uint(l->seq);
        v[3] = db_uint(l->most_seq);
        v[4] = db_int(l->recorded_at);
        l->changed = false;
    }
    return rc != 0 ? rc : rows_flush(rows, db, &ledger_table, err);
}

static int flush_incomplete(struct progress *p, struct db *db, struct rows *rows, struct err *err)
{
    for (size_t i = 0; i < p->changed.n; i++) {
        const struct place *place = &p->changed.at[i];
        uint32_t at = numbers_get(&p->incomplete_at, place->ledger, place->seq);
        if (at == NUMBERS_NONE)
            continue; /* complete by now, and passed */
        struct incomplete *r = &p->incomplete[at];
        struct db_value *v = rows_next(rows, 5);
        v[0] = db_uint(r->ledger);
        v[1] = db_uint(r->seq);
        v[2] = db_uint(r->facts);
        v[3] = db_int(r->recorded_at);
        v[4] = db_bytes(bits_of(r), (r->facts + 7) / 8);
        r->changed = false;
        r->stored = true;
    }
    p->changed.n = 0;
    return rows_flush(rows, db, &incomplete_table, err);
}

int progress_flush(struct progress *p, struct db *db, struct err *err)
{
    struct rows rows;
    rows_init(&rows);
    int rc = flush_ledgers(p, db, &rows, err);
    for (; p->written_assets < p->n_assets; p->written_assets++) {
        const struct asset *asset = &p->assets[p->written_assets];
        struct db_value *v = rows_next(&rows, 3);
        v[0] = db_uint(asset->id);
        v[1] = db_text(str_of(asset->code));
        v[2] = db_int(asset->scale);
    }
    if (rc == 0)
        rc = rows_flush(&rows, db, &asset_table, err);
    if (rc == 0)
        rc = flush_incomplete(p, db, &rows, err);
    for (size_t i = 0; rc == 0 && i < p->newly_erased.n; i++) {
        struct db_value *v = rows_next(&rows, 2);
        v[0] = db_uint(p->newly_erased.at[i].ledger);
        v[1] = db_uint(p->newly_erased.at[i].seq);
    }
    if (rc == 0)
        rc = rows_flush(&rows, db, &erased_table, err);
    p->newly_erased.n = 0;
    rows_fini(&rows);
    return rc;
}
