/*
 * The in-memory backend: a real journal that lives as long as a handle on its name is open in this process.
 * Handles on one name share a store and its read-write lock, which is held while data are looked at or copied
 * and never while a visitor runs, so that a visitor may call the journal and a slow reader cannot stop the
 * writer.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "journal/digest.h"
#include "journal/memory_check.h"
#include "journal/memory_shared.h"

struct memory {
    struct journal journal;
    struct mem_store *store;
    struct digest *digest;
    bool writes;
    bool in_snapshot;
    uint64_t *snapshot; /* [ledger - 1]: the last seq that this handle sees */
    size_t n_snapshot, n_snapshot_assets;
    int outcome_fd; /* shared writers: always readable; else -1 */
    int outcome;    /* of append_start(), for append_finish() */
    struct err outcome_err;
};

struct journal_scan {
    struct memory *m;
    uint32_t ledger;
    uint64_t next, last;
    bool with_text;
    struct arena arena;
};

static pthread_mutex_t stores_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mem_store *stores;

static struct memory *memory_of(struct journal *j)
{
    return (struct memory *)j;
}

static void read_lock(struct memory *m)
{
    INVARIANT(pthread_rwlock_rdlock(&m->store->lock) == 0);
}

static void unlock(struct memory *m)
{
    INVARIANT(pthread_rwlock_unlock(&m->store->lock) == 0);
}

/* ---- what a handle sees; under the lock ---- */

static size_t visible_ledgers(const struct memory *m)
{
    return m->in_snapshot ? m->n_snapshot : m->store->n_ledgers;
}

static struct mem_ledger *visible_ledger(const struct memory *m, uint32_t id, uint64_t *ret_last)
{
    struct mem_ledger *ledger = id >= 1 && id <= visible_ledgers(m) ? mem_ledger(m->store, id) : NULL;
    *ret_last = ledger == NULL ? 0 : m->in_snapshot ? m->snapshot[id - 1] : ledger->n_records;
    return ledger;
}

static uint64_t visible_accounts(const struct mem_ledger *ledger, uint64_t last)
{
    uint64_t low = 0, high = ledger->n_accounts;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (ledger->accounts[middle]->row->opened_seq <= last)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t visible_versions(const struct mem_account *account, uint64_t last)
{
    uint64_t low = 0, high = account->n_entries;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (account->entries[middle].seq <= last)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* external_id is the store's own, which outlives every handle on it. */
static struct account account_as_of(
    const struct mem_ledger *ledger, const struct mem_account *a, uint64_t last)
{
    uint64_t version = visible_versions(a, last);
    INVARIANT(version >= 1);
    const struct mem_entry *head = &a->entries[version - 1];
    const struct revision_row *revision = a->revisions[head->entry->revision - 1].row;
    return (struct account){.ledger = ledger->row.id,
        .number = a->row->number,
        .id = a->row->id,
        .asset = a->row->asset,
        .type = a->row->type,
        .external_id = a->row->external_id,
        .opened_seq = a->row->opened_seq,
        .revision = revision->revision,
        .status = revision->status,
        .floor = revision->floor,
        .text_seq = revision->text_seq,
        .version = version,
        .seq = head->seq,
        .balance = head->entry->after};
}

/* ---- reads ---- */

static int memory_ledgers(struct journal *j, journal_ledger_visit *visit, void *ctx, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    int rc = 0;
    for (uint32_t id = 1; rc == 0; id++) {
        uint64_t last;
        read_lock(m);
        const struct mem_ledger *ledger = visible_ledger(m, id, &last);
        unlock(m);
        if (ledger == NULL)
            break;
        rc = visit(ctx, &ledger->row);
    }
    return rc;
}

static int memory_assets(struct journal *j, journal_asset_visit *visit, void *ctx, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    int rc = 0;
    for (size_t i = 0; rc == 0; i++) {
        struct asset asset = {0};
        read_lock(m);
        if (i < (m->in_snapshot ? m->n_snapshot_assets : m->store->n_assets))
            asset = m->store->assets[i];
        unlock(m);
        if (asset.id == 0)
            break;
        rc = visit(ctx, &asset);
    }
    return rc;
}

static int memory_head(struct journal *j, uint32_t ledger, struct ledger_head *ret_head, struct err *err)
{
    struct memory *m = memory_of(j);
    uint64_t last;
    read_lock(m);
    const struct mem_ledger *l = visible_ledger(m, ledger, &last);
    if (l != NULL) {
        const struct record *record = mem_record(l, last);
        *ret_head = (struct ledger_head){.seq = last,
            .accounts = visible_accounts(l, last),
            .recorded_at = record ? record->recorded_at : l->row.created_at};
        memcpy(ret_head->hash, record ? record->hash : l->genesis, HASH_LEN);
    }
    unlock(m);
    return l != NULL ? 0 : err_set(err, ERR_NOT_FOUND, "no ledger %u", ledger);
}

static int memory_accounts_fetch(
    struct journal *j, struct account_want *wants, size_t n, struct arena *arena, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    read_lock(m);
    for (size_t i = 0; i < n; i++) {
        struct account_want *want = &wants[i];
        uint64_t last;
        const struct mem_ledger *ledger = visible_ledger(m, want->ledger, &last);
        const struct mem_account *account = NULL;
        if (ledger != NULL && want->number != 0)
            account = mem_account(ledger, want->number);
        else if (ledger != NULL && want->external_id.data != NULL)
            account = mem_account_by_external_id(ledger, want->external_id);
        want->found = account != NULL && account->row->opened_seq <= last;
        if (!want->found)
            continue;
        want->account = account_as_of(ledger, account, last);
        want->account.external_id = arena_str(arena, want->account.external_id);
    }
    unlock(m);
    return 0;
}

static int memory_keys_fetch(struct journal *j, struct key_want *wants, size_t n, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    read_lock(m);
    for (size_t i = 0; i < n; i++) {
        uint64_t last;
        const struct mem_ledger *ledger = visible_ledger(m, wants[i].ledger, &last);
        const struct record *record = ledger ? mem_record_by_key(ledger, wants[i].key) : NULL;
        wants[i].found = record != NULL && record->seq <= last;
        if (!wants[i].found)
            continue;
        wants[i].seq = record->seq;
        memcpy(wants[i].request_hash, record->request_hash, HASH_LEN);
    }
    unlock(m);
    return 0;
}

static int memory_record(struct journal *j, uint32_t ledger, uint64_t seq, bool with_text,
    struct arena *arena, const struct record **ret_record, struct err *err)
{
    struct memory *m = memory_of(j);
    uint64_t last;
    read_lock(m);
    const struct mem_ledger *l = visible_ledger(m, ledger, &last);
    const struct record *found = l != NULL && seq <= last ? mem_record(l, seq) : NULL;
    if (found != NULL)
        *ret_record = mem_record_copy(found, with_text, arena);
    unlock(m);
    return found != NULL
               ? 0
               : err_set(err, ERR_NOT_FOUND, "no record %llu in ledger %u", (unsigned long long)seq, ledger);
}

static int by_leg_and_kind(const void *a, const void *b)
{
    const struct lot *x = a, *y = b;
    if (x->leg != y->leg)
        return x->leg < y->leg ? -1 : 1;
    return (int)x->kind - (int)y->kind;
}

static int memory_lots(struct journal *j, uint32_t ledger, uint64_t origin, struct arena *arena,
    const struct lot **ret_lots, size_t *ret_n, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    uint64_t last;
    size_t n = 0;
    struct lot *lots = NULL;
    read_lock(m);
    const struct mem_ledger *l = visible_ledger(m, ledger, &last);
    if (l != NULL && mem_record(l, origin) != NULL) {
        const struct mem_record *record = &l->records[origin - 1];
        lots = ARENA_ARRAY(arena, struct lot, record->n_lots);
        for (size_t i = 0; i < record->n_lots; i++) {
            const struct lot *lot = record->lots[i].lot;
            if (lot->version == 1 && record->lots[i].seq <= last)
                lots[n++] = *mem_lot_newest(l, origin, lot->leg, lot->kind, last);
        }
    }
    unlock(m);
    if (n > 1)
        qsort(lots, n, sizeof *lots, by_leg_and_kind);
    *ret_lots = lots;
    *ret_n = n;
    return 0;
}

static int memory_snapshot_begin(struct journal *j, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    INVARIANT(!m->in_snapshot);
    read_lock(m);
    m->n_snapshot = m->store->n_ledgers;
    m->n_snapshot_assets = m->store->n_assets;
    m->snapshot = calloc(m->n_snapshot, sizeof *m->snapshot);
    INVARIANT(m->snapshot != NULL);
    for (size_t i = 0; i < m->n_snapshot; i++)
        m->snapshot[i] = m->store->ledgers[i]->n_records;
    unlock(m);
    m->in_snapshot = true;
    return 0;
}

static void memory_snapshot_end(struct journal *j)
{
    struct memory *m = memory_of(j);
    INVARIANT(m->in_snapshot);
    m->in_snapshot = false;
    free(m->snapshot);
    m->snapshot = NULL;
}

static int memory_accounts(struct journal *j, uint32_t ledger, uint64_t after_number, size_t limit,
    journal_account_visit *visit, void *ctx, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    int rc = 0;
    uint64_t last = 0, as_of = UINT64_MAX;
    for (size_t i = 0; rc == 0 && i < limit; i++) {
        struct account account = {0};
        uint64_t number = after_number + i + 1;
        read_lock(m);
        const struct mem_ledger *l = visible_ledger(m, ledger, &last);
        as_of = as_of == UINT64_MAX ? last
                                    : as_of; /* one walk sees one state, like one statement of a database */
        const struct mem_account *a = l != NULL ? mem_account(l, number) : NULL;
        if (a != NULL && a->row->opened_seq <= as_of)
            account = account_as_of(l, a, as_of);
        unlock(m);
        if (account.number == 0)
            break;
        rc = visit(ctx, &account);
    }
    return rc;
}

static bool entry_at(
    struct memory *m, uint32_t ledger, uint64_t number, uint64_t version, struct mem_entry *ret)
{
    uint64_t last;
    read_lock(m);
    const struct mem_ledger *l = visible_ledger(m, ledger, &last);
    const struct mem_account *a = l != NULL ? mem_account(l, number) : NULL;
    bool found = a != NULL && version >= 1 && version <= a->n_entries && a->entries[version - 1].seq <= last;
    if (found)
        *ret = a->entries[version - 1];
    unlock(m);
    return found;
}

static int memory_entry(struct journal *j, uint32_t ledger, uint64_t account, uint64_t version,
    struct entry *ret_entry, uint64_t *ret_seq, struct err *err)
{
    struct mem_entry found;
    if (!entry_at(memory_of(j), ledger, account, version, &found))
        return err_set(err, ERR_NOT_FOUND, "no version %llu of account %llu in ledger %u",
            (unsigned long long)version, (unsigned long long)account, ledger);
    *ret_entry = *found.entry;
    *ret_seq = found.seq;
    return 0;
}

static int memory_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    bool descending, journal_entry_visit *visit, void *ctx, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    uint64_t seen;
    read_lock(m);
    const struct mem_ledger *l = visible_ledger(m, ledger, &seen);
    const struct mem_account *a = l != NULL ? mem_account(l, account) : NULL;
    uint64_t versions = a != NULL ? visible_versions(a, seen) : 0;
    unlock(m);
    first = first > 1 ? first : 1;
    last = last < versions ? last : versions;
    int rc = 0;
    for (uint64_t n = first; rc == 0 && n <= last; n++) {
        struct mem_entry e;
        bool found = entry_at(m, ledger, account, descending ? last - (n - first) : n, &e);
        INVARIANT(found);
        rc = visit(ctx, e.entry, e.seq);
    }
    return rc;
}

static int memory_late_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first,
    uint64_t last, int64_t from, int64_t to, int64_t after_effective, uint64_t after_version,
    journal_entry_visit *visit, void *ctx, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    uint64_t seen = 0, as_of = UINT64_MAX;
    int64_t effective = after_effective;
    uint64_t version = after_version;
    if (from > effective) { /* nothing before `from` counts: start just before it */
        effective = from;
        version = 0;
    }
    for (int rc = 0; rc == 0;) {
        struct mem_entry e = {NULL, 0};
        read_lock(m);
        const struct mem_ledger *l = visible_ledger(m, ledger, &seen);
        as_of = as_of == UINT64_MAX ? seen : as_of;
        const struct mem_account *a = l != NULL ? mem_account(l, account) : NULL;
        for (size_t i = a ? mem_late_after(a, effective, version) : 0; a != NULL && i < a->n_late; i++) {
            const struct mem_entry *candidate = &a->entries[a->late[i] - 1];
            if (candidate->entry->effective_at >= to)
                break;
            if (candidate->seq > as_of || a->late[i] < first || a->late[i] > last)
                continue;
            e = *candidate;
            break;
        }
        unlock(m);
        if (e.entry == NULL)
            return 0;
        effective = e.entry->effective_at;
        version = e.entry->version;
        rc = visit(ctx, e.entry, e.seq);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int memory_recorded_at(
    struct journal *j, uint32_t ledger, uint64_t seq, int64_t *ret_instant, struct err *err)
{
    struct memory *m = memory_of(j);
    uint64_t last;
    read_lock(m);
    const struct mem_ledger *l = visible_ledger(m, ledger, &last);
    const struct record *found = l != NULL && seq <= last ? mem_record(l, seq) : NULL;
    if (found != NULL)
        *ret_instant = found->recorded_at;
    unlock(m);
    return found != NULL
               ? 0
               : err_set(err, ERR_NOT_FOUND, "no record %llu in ledger %u", (unsigned long long)seq, ledger);
}

/* ---- scans ---- */

static int memory_scan_open(struct journal *j, uint32_t ledger, uint64_t from_seq, bool with_text,
    struct journal_scan **ret_scan, struct err *err)
{
    struct memory *m = memory_of(j);
    uint64_t last;
    read_lock(m);
    const struct mem_ledger *l = visible_ledger(m, ledger, &last);
    unlock(m);
    if (l == NULL)
        return err_set(err, ERR_NOT_FOUND, "no ledger %u", ledger);
    struct journal_scan *scan = malloc(sizeof *scan);
    INVARIANT(scan != NULL);
    *scan = (struct journal_scan){
        .m = m, .ledger = ledger, .next = from_seq > 1 ? from_seq : 1, .last = last, .with_text = with_text};
    arena_init(&scan->arena, 0);
    *ret_scan = scan;
    return 0;
}

static int memory_scan_next(struct journal_scan *scan, const struct record **ret_record, struct err *err)
{
    arena_reset(&scan->arena);
    *ret_record = NULL;
    if (scan->next > scan->last)
        return 0;
    return memory_record(
        &scan->m->journal, scan->ledger, scan->next++, scan->with_text, &scan->arena, ret_record, err);
}

static void memory_scan_close(struct journal_scan *scan)
{
    if (scan == NULL)
        return;
    arena_fini(&scan->arena);
    free(scan);
}

static int memory_self_check(struct journal *j, journal_note_visit *visit, void *ctx, struct err *err)
{
    (void)j, (void)visit, (void)ctx, (void)err;
    return 0; /* no file and no schema that could be damaged */
}

static int memory_backup(
    struct journal *j, const char *path, journal_progress *progress, void *ctx, struct err *err)
{
    (void)progress, (void)ctx;
    return err_set(err, ERR_UNSUPPORTED,
        "memory:%s cannot be backed up to %s: an in-memory journal has no file form",
        memory_of(j)->store->name, path);
}

/* ---- the writer ---- */

static int add_assets_and_ledgers(struct memory *m, const struct journal_batch *batch, struct err *err)
{
    for (size_t i = 0; i < batch->n_assets; i++) {
        int rc = mem_check_asset(m->store, &batch->assets[i], err);
        if (rc != 0)
            return rc;
        mem_add_asset(m->store, &batch->assets[i]);
    }
    for (size_t i = 0; i < batch->n_ledgers; i++) {
        uint8_t genesis[HASH_LEN];
        int rc = mem_check_ledger(m->store, &batch->ledgers[i], err);
        if (rc != 0)
            return rc;
        digest_genesis(m->digest, &batch->ledgers[i], genesis);
        mem_add_ledger(m->store, &batch->ledgers[i], genesis);
    }
    return 0;
}

/* Entries show the id of their account, as a database's join would. */
static void fill_account_ids(const struct mem_ledger *ledger, struct record *record)
{
    for (size_t i = 0; i < record->n_entries; i++) {
        struct entry *e = (struct entry *)&record->entries[i]; /* our own copy */
        e->account_id = mem_account(ledger, e->account)->row->id;
    }
}

static void erase_text(const struct mem_ledger *ledger, uint64_t seq)
{
    struct record_text *text = &ledger->records[seq - 1].record->text;
    if (!text->readable)
        return;
    explicit_bzero((char *)text->body.data, text->body.len); /* our own copy */
    explicit_bzero(text->salt, SALT_LEN);
    text->body = STR_NONE;
    text->readable = false;
}

static int append_locked(struct memory *m, const struct journal_batch *batch, struct err *err)
{
    struct mem_store *store = m->store;
    size_t n_assets = store->n_assets, n_ledgers = store->n_ledgers, done = 0;
    struct record **copies = calloc(batch->n_records + 1, sizeof *copies);
    INVARIANT(copies != NULL);
    int rc = add_assets_and_ledgers(m, batch, err);
    for (; rc == 0 && done < batch->n_records; done += rc == 0) {
        copies[done] = mem_record_copy(batch->records[done], true, &store->arena);
        rc = mem_append_record(store, copies[done], err);
    }
    if (rc == 0) {
        for (size_t i = 0; i < done; i++) {
            const struct mem_ledger *ledger = mem_ledger(store, copies[i]->ledger);
            fill_account_ids(ledger, copies[i]);
            if (copies[i]->kind == RECORD_ERASURE)
                erase_text(ledger, copies[i]->related_seq);
        }
    } else {
        while (done-- > 0)
            mem_take_back(mem_ledger(store, copies[done]->ledger), copies[done]);
        mem_shrink(store, n_assets, n_ledgers);
    }
    free(copies);
    return rc;
}

static int memory_append(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    struct memory *m = memory_of(j);
    INVARIANT(m->writes);
    INVARIANT(!m->in_snapshot);
    INVARIANT(pthread_rwlock_wrlock(&m->store->lock) == 0);
    int rc = append_locked(m, batch, err);
    unlock(m);
    return rc;
}

/* ---- as a shared journal ---- */

static int memory_append_shared(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    struct memory *m = memory_of(j);
    struct mem_store *store = m->store;
    bool there = false;
    INVARIANT(m->writes && !m->in_snapshot);
    INVARIANT(pthread_rwlock_wrlock(&store->lock) == 0);
    int rc = store->holder != NULL && store->holder != m
                 ? err_set(err, ERR_BUSY, "another writer holds the ledgers")
                 : mem_shared_check(store, batch, &there, err);
    if (rc == 0 && !there)
        rc = append_locked(m, batch, err);
    if (store->holder == m)
        store->holder = NULL;
    unlock(m);
    return rc;
}

static int memory_append_start(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    m->outcome = memory_append_shared(j, batch, &m->outcome_err);
    return 0;
}

static int memory_append_finish(struct journal *j, struct err *err)
{
    const struct memory *m = memory_of(j);
    return m->outcome == 0 ? 0 : err_set(err, m->outcome, "%s", m->outcome_err.message);
}

static int memory_append_fd(const struct journal *j)
{
    return ((const struct memory *)j)->outcome_fd;
}

static int visit_entries(
    struct memory *m, const struct ledger_known *known, uint64_t last, journal_change_visit *visit, void *ctx)
{
    int rc = 0;
    for (uint64_t seq = known->seq + 1; rc == 0 && seq <= last; seq++) {
        read_lock(m);
        const struct record *record = mem_record(mem_ledger(m->store, known->ledger), seq);
        unlock(m);
        for (size_t i = 0; rc == 0 && i < record->n_entries; i++)
            rc = visit(ctx, known->ledger, &record->entries[i], seq);
    }
    return rc;
}

static int memory_catch_up(struct journal *j, const struct ledger_known *known, size_t n, bool hold,
    size_t max_entries, struct ledger_news *ret_news, journal_change_visit *visit, void *ctx, struct err *err)
{
    struct memory *m = memory_of(j);
    uint64_t *last = calloc(n + 1, sizeof *last);
    INVARIANT(last != NULL && pthread_rwlock_wrlock(&m->store->lock) == 0);
    bool busy = hold && m->store->holder != NULL && m->store->holder != m;
    if (!busy)
        mem_shared_news(m->store, known, n, max_entries, ret_news, last);
    if (!busy && hold)
        m->store->holder = m;
    unlock(m);
    int rc = busy ? err_set(err, ERR_BUSY, "another writer holds the ledgers") : 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = visit_entries(m, &known[i], last[i], visit, ctx);
    free(last);
    return rc;
}

static void memory_release(struct journal *j)
{
    struct memory *m = memory_of(j);
    INVARIANT(pthread_rwlock_wrlock(&m->store->lock) == 0);
    if (m->store->holder == m)
        m->store->holder = NULL;
    unlock(m);
}

static int memory_heads(struct journal *j, journal_head_visit *visit, void *ctx, struct err *err)
{
    (void)err;
    struct memory *m = memory_of(j);
    int rc = 0;
    for (uint32_t id = 1; rc == 0; id++) {
        uint64_t last;
        read_lock(m);
        const struct mem_ledger *ledger = visible_ledger(m, id, &last);
        unlock(m);
        if (ledger == NULL)
            break;
        rc = visit(ctx, id, last);
    }
    return rc;
}

/* ---- opening ---- */

static struct mem_store *store_find(const char *name)
{
    struct mem_store *store = stores;
    while (store != NULL && strcmp(store->name, name) != 0)
        store = store->next;
    return store;
}

static void store_leave(struct mem_store *store)
{
    if (--store->handles > 0)
        return;
    struct mem_store **link = &stores;
    while (*link != store)
        link = &(*link)->next;
    *link = store->next;
    mem_store_free(store);
}

static void memory_close(struct journal *j)
{
    struct memory *m = memory_of(j);
    if (m->in_snapshot)
        memory_snapshot_end(j);
    pthread_mutex_lock(&stores_lock);
    if (m->writes)
        m->store->has_writer = false;
    if (m->store->holder == m) /* as a database does when a connection ends */
        m->store->holder = NULL;
    store_leave(m->store);
    pthread_mutex_unlock(&stores_lock);
    if (m->outcome_fd >= 0)
        close(m->outcome_fd);
    digest_free(m->digest);
    free(m);
}

/* What both have in common. */
#define MEMORY_READS \
    .close = memory_close, .ledgers = memory_ledgers, .assets = memory_assets, .head = memory_head, \
    .accounts_fetch = memory_accounts_fetch, .keys_fetch = memory_keys_fetch, .record = memory_record, \
    .lots = memory_lots, .snapshot_begin = memory_snapshot_begin, .snapshot_end = memory_snapshot_end, \
    .accounts = memory_accounts, .entry = memory_entry, .entries = memory_entries, \
    .late_entries = memory_late_entries, .recorded_at = memory_recorded_at, .scan_open = memory_scan_open, \
    .scan_next = memory_scan_next, .scan_close = memory_scan_close, .self_check = memory_self_check, \
    .backup = memory_backup

static const struct journal_ops memory_ops = {MEMORY_READS, .append = memory_append};

static const struct journal_ops shared_ops = {
    MEMORY_READS,
    .append = memory_append_shared,
    .append_start = memory_append_start,
    .append_finish = memory_append_finish,
    .append_fd = memory_append_fd,
    .catch_up = memory_catch_up,
    .release = memory_release,
    .heads = memory_heads,
};

/* The store with ledger `main`, made if need be; under stores_lock. */
static int store_join(const char *name, const struct journal_options *options, struct digest *digest,
    struct mem_store **ret, struct err *err)
{
    struct mem_store *store = store_find(name);
    if (store == NULL && !options->create)
        return err_set(err, ERR_NOT_FOUND, "no journal memory:%s is open in this process", name);
    bool alone = store != NULL && !(store->shared && options->shared);
    if (alone && store->has_writer && options->mode == JOURNAL_WRITE)
        return err_set(err, ERR_BUSY, "memory:%s has a writer already", name);
    if (store == NULL) {
        const struct ledger_row row = {.id = 1, .name = "main", .created_at = options->now};
        uint8_t genesis[HASH_LEN];
        store = mem_store_new(name);
        digest_genesis(digest, &row, genesis);
        mem_add_ledger(store, &row, genesis);
        store->shared = options->shared;
        store->next = stores;
        stores = store;
    }
    store->handles++;
    store->has_writer = store->has_writer || options->mode == JOURNAL_WRITE;
    *ret = store;
    return 0;
}

int journal_memory_open(
    const char *name, const struct journal_options *options, struct journal **ret_journal, struct err *err)
{
    struct mem_store *store = NULL;
    struct digest *digest = digest_new();
    pthread_mutex_lock(&stores_lock);
    int rc = store_join(name, options, digest, &store, err);
    pthread_mutex_unlock(&stores_lock);
    if (rc != 0) {
        digest_free(digest);
        return rc;
    }
    struct memory *m = malloc(sizeof *m);
    INVARIANT(m != NULL);
    *m = (struct memory){.journal = {&memory_ops, false},
        .store = store,
        .digest = digest,
        .writes = options->mode == JOURNAL_WRITE,
        .outcome_fd = -1};
    if (store->shared) {
        m->journal = (struct journal){&shared_ops, true};
        m->outcome_fd = eventfd(1, EFD_CLOEXEC);
        INVARIANT(m->outcome_fd >= 0);
    }
    *ret_journal = &m->journal;
    return 0;
}
