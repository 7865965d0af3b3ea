#include "engine/catalog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Twice the limit, so that probing stays short. */
#define NAME_SLOTS 131072u
#define NAME_SEED 0x6c65646765727321u

struct rows {
    _Atomic(void *) *items; /* items[id - 1]; written before n is raised, never moved once it is */
    _Atomic size_t n;
    _Atomic uint32_t *slots; /* id, or 0 for empty; by hash of the name */
};

struct catalog {
    struct rows ledgers, assets;
    _Atomic uint64_t *head_seq; /* by ledger id - 1 */
    pthread_mutex_t adding;     /* one writer at a time; readers need it not */
};

static struct str ledger_name(const void *row)
{
    return str_of(((const struct ledger_row *)row)->name);
}

static struct str asset_name(const void *row)
{
    return str_of(((const struct asset *)row)->code);
}

static void *must_calloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    INVARIANT_F(p != NULL, "out of memory at %zu bytes", n * size);
    return p;
}

static void rows_init(struct rows *rows, size_t limit)
{
    rows->items = must_calloc(limit, sizeof *rows->items);
    rows->slots = must_calloc(NAME_SLOTS, sizeof *rows->slots);
}

static void rows_fini(struct rows *rows, size_t limit)
{
    for (size_t i = 0; i < limit; i++)
        free(atomic_load(&rows->items[i]));
    free(rows->items);
    free(rows->slots);
}

/* NULL beyond the last row, or, of assets, beyond what has been announced. */
static void *rows_get(const struct rows *rows, uint32_t id, size_t limit)
{
    return id >= 1 && id <= limit ? atomic_load_explicit(&rows->items[id - 1], memory_order_acquire) : NULL;
}

static size_t slot_of(struct str name)
{
    return hash64(NAME_SEED, name.data, name.len) & (NAME_SLOTS - 1);
}

static void *rows_find(
    const struct rows *rows, struct str name, size_t limit, struct str (*name_of)(const void *))
{
    for (size_t slot = slot_of(name);; slot = (slot + 1) & (NAME_SLOTS - 1)) {
        uint32_t id = atomic_load_explicit(&rows->slots[slot], memory_order_acquire);
        if (id == 0)
            return NULL;
        void *row = rows_get(rows, id, limit);
        if (row != NULL && str_eq(name_of(row), name))
            return row;
    }
}

/* Replaces what was announced for the place and never committed: nobody can have asked for that. */
static void *rows_put(struct rows *rows, size_t index, const void *row, size_t size)
{
    void *old = atomic_load_explicit(&rows->items[index], memory_order_relaxed);
    if (old != NULL && memcmp(old, row, size) == 0)
        return old;
    void *copy = must_calloc(1, size);
    memcpy(copy, row, size);
    atomic_store_explicit(&rows->items[index], copy, memory_order_release);
    free(old);
    return copy;
}

static void rows_add(struct rows *rows, uint32_t id, size_t limit, const void *row, size_t size,
    struct str (*name_of)(const void *))
{
    size_t n = rows->n;
    if (id <= n)
        return; /* read again after a reload */
    INVARIANT_F(id == n + 1 && n < limit, "row %u after %zu", id, n);
    void *copy = rows_put(rows, n, row, size);
    atomic_store_explicit(&rows->n, n + 1, memory_order_release);
    size_t slot = slot_of(name_of(copy));
    while (rows->slots[slot] != 0)
        slot = (slot + 1) & (NAME_SLOTS - 1);
    atomic_store_explicit(&rows->slots[slot], id, memory_order_release);
}

struct refresh {
    struct catalog *catalog;
    struct err *err;
    size_t ledgers, assets; /* read so far */
};

/* What comes from the disk may be damaged: that is no bug of ours. */
static int check_follows(const struct refresh *x, const char *table, uint32_t id, size_t n)
{
    if (id >= 1 && id <= n + 1)
        return 0;
    return err_set(x->err, ERR_CORRUPT, "I1: table %s has row %u after %zu rows", table, id, n);
}

/* Rows are for ever. After a failover to a replica that lagged, what was known may be gone, and its number another's:
 * an account of one asset would be opened as one of the other. */
static int check_same(const struct refresh *x, const char *table, uint32_t id, bool same)
{
    if (same)
        return 0;
    return err_set(x->err, ERR_LOST, "row %u of table %s is not the one that was committed", id, table);
}

static int check_all(const struct refresh *x, const char *table, size_t n, size_t before)
{
    if (n >= before)
        return 0;
    return err_set(x->err, ERR_LOST, "table %s has %zu rows, and had %zu", table, n, before);
}

static int on_ledger(void *ctx, const struct ledger_row *row)
{
    struct refresh *x = ctx;
    int r = check_follows(x, "ledger", row->id, x->catalog->ledgers.n);
    if (r < 0)
        return r;
    catalog_add_ledger(x->catalog, row);
    x->ledgers++;
    const struct ledger_row *known = catalog_ledger(x->catalog, row->id);
    return check_same(
        x, "ledger", row->id, strcmp(known->name, row->name) == 0 && known->created_at == row->created_at);
}

static int on_asset(void *ctx, const struct asset *row)
{
    struct refresh *x = ctx;
    int r = check_follows(x, "asset", row->id, x->catalog->assets.n);
    if (r < 0)
        return r;
    catalog_add_asset(x->catalog, row);
    x->assets++;
    const struct asset *known = catalog_asset(x->catalog, row->id);
    return check_same(x, "asset", row->id, strcmp(known->code, row->code) == 0 && known->scale == row->scale);
}

/* Of a ledger that was made after the ledgers were read: it is found the next time. */
static int on_head(void *ctx, uint32_t ledger, uint64_t seq)
{
    struct catalog *catalog = ctx;
    if (ledger >= 1 && ledger <= catalog_ledgers(catalog))
        catalog_reached(catalog, ledger, seq);
    return 0;
}

int catalog_refresh(struct catalog *catalog, struct journal *j, struct err *err)
{
    struct refresh x = {.catalog = catalog, .err = err};
    size_t ledgers = catalog_ledgers(catalog), assets = catalog_assets(catalog);
    int r = j->ops->ledgers(j, on_ledger, &x, err);
    if (r == 0)
        r = check_all(&x, "ledger", x.ledgers, ledgers);
    if (r == 0)
        r = j->ops->assets(j, on_asset, &x, err);
    if (r == 0)
        r = check_all(&x, "asset", x.assets, assets);
    if (r == 0 && j->ops->heads != NULL)
        return j->ops->heads(j, on_head, catalog, err);
    for (uint32_t id = 1; r == 0 && id <= catalog_ledgers(catalog); id++) {
        struct ledger_head head;
        r = j->ops->head(j, id, &head, err);
        if (r == 0)
            catalog_reached(catalog, id, head.seq);
    }
    return r;
}

int catalog_new(struct journal *j, struct catalog **ret_catalog, struct err *err)
{
    struct catalog *catalog = must_calloc(1, sizeof *catalog);
    rows_init(&catalog->ledgers, LIMIT_LEDGERS_MAX);
    rows_init(&catalog->assets, LIMIT_ASSETS_MAX);
    catalog->head_seq = must_calloc(LIMIT_LEDGERS_MAX, sizeof *catalog->head_seq);
    pthread_mutex_init(&catalog->adding, NULL);
    int r = catalog_refresh(catalog, j, err);
    if (r < 0) {
        catalog_free(catalog);
        return r;
    }
    *ret_catalog = catalog;
    return 0;
}

void catalog_free(struct catalog *catalog)
{
    if (catalog == NULL)
        return;
    rows_fini(&catalog->ledgers, LIMIT_LEDGERS_MAX);
    rows_fini(&catalog->assets, LIMIT_ASSETS_MAX);
    free(catalog->head_seq);
    pthread_mutex_destroy(&catalog->adding);
    free(catalog);
}

const struct ledger_row *catalog_ledger(const struct catalog *catalog, uint32_t id)
{
    return rows_get(&catalog->ledgers, id, LIMIT_LEDGERS_MAX);
}

const struct ledger_row *catalog_ledger_by_name(const struct catalog *catalog, struct str name)
{
    return rows_find(&catalog->ledgers, name, LIMIT_LEDGERS_MAX, ledger_name);
}

const struct asset *catalog_asset(const struct catalog *catalog, uint32_t id)
{
    return rows_get(&catalog->assets, id, LIMIT_ASSETS_MAX);
}

const struct asset *catalog_asset_by_code(const struct catalog *catalog, struct str code)
{
    return rows_find(&catalog->assets, code, LIMIT_ASSETS_MAX, asset_name);
}

size_t catalog_ledgers(const struct catalog *catalog)
{
    return atomic_load_explicit(&catalog->ledgers.n, memory_order_acquire);
}

size_t catalog_assets(const struct catalog *catalog)
{
    return atomic_load_explicit(&catalog->assets.n, memory_order_acquire);
}

uint64_t catalog_head_seq(const struct catalog *catalog, uint32_t ledger)
{
    INVARIANT(ledger >= 1 && ledger <= LIMIT_LEDGERS_MAX);
    return atomic_load_explicit(&catalog->head_seq[ledger - 1], memory_order_acquire);
}

void catalog_add_ledger(struct catalog *catalog, const struct ledger_row *row)
{
    pthread_mutex_lock(&catalog->adding);
    rows_add(&catalog->ledgers, row->id, LIMIT_LEDGERS_MAX, row, sizeof *row, ledger_name);
    pthread_mutex_unlock(&catalog->adding);
}

void catalog_add_asset(struct catalog *catalog, const struct asset *row)
{
    pthread_mutex_lock(&catalog->adding);
    rows_add(&catalog->assets, row->id, LIMIT_ASSETS_MAX, row, sizeof *row, asset_name);
    pthread_mutex_unlock(&catalog->adding);
}

void catalog_announce_asset(struct catalog *catalog, const struct asset *row)
{
    size_t n = catalog_assets(catalog);
    INVARIANT_F(row->id > n && row->id <= LIMIT_ASSETS_MAX, "asset %u after %zu", row->id, n);
    pthread_mutex_lock(&catalog->adding);
    (void)rows_put(&catalog->assets, row->id - 1, row, sizeof *row);
    pthread_mutex_unlock(&catalog->adding);
}

void catalog_reached(struct catalog *catalog, uint32_t ledger, uint64_t seq)
{
    INVARIANT(ledger >= 1 && ledger <= LIMIT_LEDGERS_MAX);
    _Atomic uint64_t *head = &catalog->head_seq[ledger - 1];
    uint64_t before = atomic_load_explicit(head, memory_order_relaxed);
    while (before < seq && !atomic_compare_exchange_weak_explicit(
                               head, &before, seq, memory_order_release, memory_order_relaxed))
        ;
}
