/*
 * The journal itself as the source: no broker is needed, and none is better ordered. A ledger is a part, with the
 * ledger's number as the part's; the offset of a fact is its place, seq << 12 | n, so that a batch may end within a
 * record. Records never change, so nothing here needs a snapshot: a scan goes to the head that it found when it was
 * opened, is kept from batch to batch, and lets go of the database now and then by itself.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "journal/journal.h"
#include "readmodel/projector_internal.h"

#define TURN_RECORDS 65536 /* of one ledger, then the others have theirs */
#define FACT_BITS 12       /* a record has at most 2048 legs */
#define FACT_MASK ((INT64_C(1) << FACT_BITS) - 1)
#define GROW 16

struct followed {
    struct ledger_row row;
    uint64_t next_seq; /* the record that comes next, */
    uint32_t next_n;   /* and which of its facts */
    uint64_t head_seq;
};

struct journal_source {
    struct source source;
    struct journal *journal;
    int wake_fd;
    /* One by one on the heap: facts borrow their names. Ids are dense from 1. */
    struct followed **ledgers;
    struct asset **assets;
    size_t n_ledgers, n_assets;
    size_t turn;   /* whose turn it is among the ledgers */
    uint32_t only; /* that ledger and no other; 0: all */
    /* The open scan, if any; `record` is what it stands at and is not handed out entirely. */
    struct journal_scan *scan;
    const struct record *record;
    uint64_t turn_records;
    struct fact *facts;
    size_t facts_cap;
};

static struct journal_source *of(struct source *source)
{
    return (struct journal_source *)source;
}

static void *grown(void *array, size_t n, size_t size)
{
    if (n % GROW != 0)
        return array;
    void *more = realloc(array, (n + GROW) * size);
    INVARIANT(more != NULL);
    return more;
}

static int know_ledger(void *ctx, const struct ledger_row *row)
{
    struct journal_source *s = ctx;
    if (row->id <= s->n_ledgers)
        return 0;
    INVARIANT_F(row->id == s->n_ledgers + 1, "ledger %u after %zu", row->id, s->n_ledgers);
    struct followed *f = malloc(sizeof *f);
    INVARIANT(f != NULL);
    *f = (struct followed){.row = *row, .next_seq = 1};
    s->ledgers = grown(s->ledgers, s->n_ledgers, sizeof(struct followed *));
    s->ledgers[s->n_ledgers++] = f;
    return 0;
}

static int know_asset(void *ctx, const struct asset *row)
{
    struct journal_source *s = ctx;
    if (row->id <= s->n_assets)
        return 0;
    INVARIANT_F(row->id == s->n_assets + 1, "asset %u after %zu", row->id, s->n_assets);
    struct asset *asset = malloc(sizeof *asset);
    INVARIANT(asset != NULL);
    *asset = *row;
    s->assets = grown(s->assets, s->n_assets, sizeof(struct asset *));
    s->assets[s->n_assets++] = asset;
    return 0;
}

static void scan_done(struct journal_source *s)
{
    if (s->scan != NULL)
        s->journal->ops->scan_close(s->scan);
    s->scan = NULL;
    s->record = NULL;
    s->turn_records = 0;
}

/* --- where to go on ----------------------------------------------------------------------------------------- */

/*
 * Behind what the read model says to be complete, or behind what this source handed it, whichever is further: the
 * first counts when Kafka fed it before, the second when a fact was parked and the ledger is not complete for ever.
 */
static int seek_ledger(struct followed *f, struct readmodel *model, const struct readmodel_offset *offsets,
    size_t n, struct err *err)
{
    uint64_t seq;
    int r = readmodel_seq(model, str_of(f->row.name), &seq, err);
    if (r < 0)
        return r;
    f->next_seq = seq + 1;
    f->next_n = 0;
    for (size_t i = 0; i < n; i++)
        if (offsets[i].part == f->row.id && (uint64_t)(offsets[i].next >> FACT_BITS) >= f->next_seq) {
            f->next_seq = (uint64_t)(offsets[i].next >> FACT_BITS);
            f->next_n = (uint32_t)(offsets[i].next & FACT_MASK);
        }
    return 0;
}

static int journal_seek(struct source *source, struct readmodel *model, struct err *err)
{
    struct journal_source *s = of(source);
    struct arena arena;
    struct readmodel_offset *offsets;
    size_t n;
    scan_done(s);
    int r = s->journal->ops->ledgers(s->journal, know_ledger, s, err);
    if (r != 0)
        return r;
    arena_init(&arena, 0);
    r = readmodel_offsets(model, &arena, &offsets, &n, err);
    for (size_t i = 0; r == 0 && i < s->n_ledgers; i++)
        r = seek_ledger(s->ledgers[i], model, offsets, n, err);
    arena_fini(&arena);
    return r;
}

/* --- what is there ------------------------------------------------------------------------------------------ */

struct look {
    struct journal_source *s;
    bool unknown;
};

static int see_head(void *ctx, uint32_t ledger, uint64_t seq)
{
    struct look *look = ctx;
    if (ledger > look->s->n_ledgers)
        look->unknown = true;
    else
        look->s->ledgers[ledger - 1]->head_seq = seq;
    return 0;
}

static int see_heads(struct journal_source *s, struct look *look, struct err *err)
{
    const struct journal_ops *ops = s->journal->ops;
    if (ops->heads != NULL)
        return ops->heads(s->journal, see_head, look, err);
    int r = ops->ledgers(s->journal, know_ledger, s, err);
    for (size_t i = 0; r == 0 && i < s->n_ledgers; i++) {
        struct ledger_head head;
        r = ops->head(s->journal, s->ledgers[i]->row.id, &head, err);
        if (r == 0)
            s->ledgers[i]->head_seq = head.seq;
    }
    return r;
}

static int look_around(struct journal_source *s, struct err *err)
{
    struct look look = {.s = s};
    int r = see_heads(s, &look, err);
    if (r == 0 && look.unknown) {
        r = s->journal->ops->ledgers(s->journal, know_ledger, s, err);
        if (r == 0)
            r = see_heads(s, &look, err);
    }
    for (size_t i = 0; r == 0 && i < s->n_ledgers; i++) {
        const struct followed *f = s->ledgers[i];
        uint64_t taken = f->next_n > 0 ? f->next_seq : f->next_seq - 1;
        if (f->head_seq < taken)
            return err_set(err, ERR_LOST,
                "the read model has ledger %s up to record %llu, the journal ends at %llu: it is another "
                "journal, or it has lost records; 'creditledger projections rebuild' makes the read model "
                "anew",
                f->row.name, (unsigned long long)taken, (unsigned long long)f->head_seq);
    }
    return r;
}

/* Opens the scan of the next ledger that has news; none: s->scan stays NULL. */
static int scan_next_ledger(struct journal_source *s, struct err *err)
{
    for (size_t tried = 0; tried < s->n_ledgers; tried++) {
        s->turn = s->turn + 1 < s->n_ledgers ? s->turn + 1 : 0;
        const struct followed *f = s->ledgers[s->turn];
        if (f->next_seq <= f->head_seq && (s->only == 0 || s->only == f->row.id))
            return s->journal->ops->scan_open(s->journal, f->row.id, f->next_seq, true, &s->scan, err);
    }
    return 0;
}

/* --- facts -------------------------------------------------------------------------------------------------- */

static int assets_of(struct journal_source *s, const struct record *record, struct arena *arena,
    const struct asset *const **ret_assets, struct err *err)
{
    const struct asset **assets = ARENA_ARRAY(arena, const struct asset *, record->n_entries);
    for (size_t i = 0; i < record->n_entries; i++) {
        uint32_t id = record->entries[i].asset;
        if (id > s->n_assets) {
            int r = s->journal->ops->assets(s->journal, know_asset, s, err);
            if (r != 0)
                return r;
        }
        if (id == 0 || id > s->n_assets)
            return err_set(err, ERR_CORRUPT, "record %llu names asset %u, which the journal does not have",
                (unsigned long long)record->seq, id);
        assets[i] = s->assets[id - 1];
    }
    *ret_assets = assets;
    return 0;
}

/* The scan's record is gone with the next one: its texts are copied, once for all its facts. */
static struct record kept(const struct record *record, struct account_row *account, struct arena *arena)
{
    struct record r = *record;
    r.idempotency_key = arena_str(arena, r.idempotency_key);
    r.reference = arena_str(arena, r.reference);
    r.actor = arena_str(arena, r.actor);
    r.text.body = arena_str(arena, r.text.body);
    if (r.account != NULL) {
        *account = *r.account;
        account->external_id = arena_str(arena, account->external_id);
        r.account = account;
    }
    return r;
}

/* Facts of the record at hand, until the batch is full. */
static int take_facts(
    struct journal_source *s, struct followed *f, size_t most, struct source_batch *batch, struct err *err)
{
    struct account_row account;
    struct record record = kept(s->record, &account, &batch->arena);
    struct event_source source = {.ledger = str_of(f->row.name), .record = &record};
    int r = assets_of(s, &record, &batch->arena, &source.assets, err);
    if (r != 0)
        return r;
    size_t count = event_count(&record);
    INVARIANT_F(count <= (size_t)FACT_MASK, "record %llu", (unsigned long long)record.seq);
    for (; f->next_n < count && batch->n < most; f->next_n++) {
        struct fact *fact = &s->facts[batch->n++];
        fact_of_record(&source, f->next_n, &batch->arena, fact);
        fact->part = f->row.id;
        fact->offset = (int64_t)(record.seq << FACT_BITS | f->next_n);
    }
    if (f->next_n >= count) {
        f->next_seq++;
        f->next_n = 0;
        s->record = NULL;
    }
    return 0;
}

static int collect(struct journal_source *s, size_t most, struct source_batch *batch, struct err *err)
{
    while (batch->n < most) {
        int r = s->scan == NULL ? scan_next_ledger(s, err) : 0;
        if (r != 0 || s->scan == NULL)
            return r;
        if (s->record == NULL && s->turn_records++ < TURN_RECORDS)
            r = s->journal->ops->scan_next(s->scan, &s->record, err);
        if (r != 0)
            return r;
        if (s->record == NULL)
            scan_done(s);
        else
            r = take_facts(s, s->ledgers[s->turn], most, batch, err);
        if (r != 0)
            return r;
    }
    return 0;
}

static void reserve(struct journal_source *s, size_t most)
{
    if (most <= s->facts_cap)
        return;
    struct fact *facts = realloc(s->facts, most * sizeof *facts);
    INVARIANT(facts != NULL);
    s->facts = facts;
    s->facts_cap = most;
}

static bool woken(struct journal_source *s, int timeout_ms)
{
    struct pollfd wake = {.fd = s->wake_fd, .events = POLLIN};
    return poll(&wake, 1, timeout_ms) > 0;
}

static int journal_next(
    struct source *source, size_t most, int timeout_ms, struct source_batch *batch, struct err *err)
{
    struct journal_source *s = of(source);
    arena_reset(&batch->arena);
    reserve(s, most);
    *batch = (struct source_batch){.arena = batch->arena, .facts = s->facts};
    int r = 0;
    for (bool last = timeout_ms <= 0;; last = true) {
        /* Before the look: what is committed after it wakes again. */
        eventfd_t ignored;
        (void)eventfd_read(s->wake_fd, &ignored);
        if (s->scan == NULL)
            r = look_around(s, err);
        if (r == 0)
            r = collect(s, most, batch, err);
        if (r != 0 || batch->n > 0 || last)
            break;
        (void)woken(s, timeout_ms);
    }
    if (r != 0)
        scan_done(s);
    batch->more = batch->n == most; /* else it went to the heads that it saw */
    return r;
}

static void journal_applied(struct source *source)
{
    (void)source; /* the read model has the position */
}

static int journal_lag(struct source *source, struct source_lag *ret_lag, struct err *err)
{
    struct journal_source *s = of(source);
    struct source_lag lag = {0};
    int r = look_around(s, err);
    for (size_t i = 0; r == 0 && i < s->n_ledgers; i++) {
        const struct followed *f = s->ledgers[i];
        if (f->next_seq > f->head_seq)
            continue;
        int64_t at;
        lag.records += f->head_seq - f->next_seq + 1;
        r = s->journal->ops->recorded_at(s->journal, f->row.id, f->next_seq, &at, err);
        if (r == 0 && (lag.oldest_at == 0 || at < lag.oldest_at))
            lag.oldest_at = at;
    }
    *ret_lag = lag;
    return r;
}

static void journal_wake(struct source *source)
{
    (void)eventfd_write(of(source)->wake_fd, 1); /* full: it is awake already */
}

static void journal_source_close(struct source *source)
{
    struct journal_source *s = of(source);
    if (s->journal != NULL)
        scan_done(s);
    journal_close(s->journal);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    for (size_t i = 0; i < s->n_ledgers; i++)
        free(s->ledgers[i]);
    for (size_t i = 0; i < s->n_assets; i++)
        free(s->assets[i]);
    free(s->ledgers);
    free(s->assets);
    free(s->facts);
    free(s);
}

int source_journal_only(struct source *source, uint32_t part, struct err *err)
{
    struct journal_source *s = of(source);
    scan_done(s);
    int r = s->journal->ops->ledgers(s->journal, know_ledger, s, err);
    if (r != 0)
        return r;
    INVARIANT_F(part > 0 && part <= s->n_ledgers, "ledger %u", part);
    s->only = part;
    s->ledgers[part - 1]->next_seq = 1;
    s->ledgers[part - 1]->next_n = 0;
    return 0;
}

int source_journal_open(const char *journal_url, const struct journal_options *options,
    struct source **ret_source, struct err *err)
{
    static const struct source_ops ops = {.seek = journal_seek,
        .next = journal_next,
        .applied = journal_applied,
        .lag = journal_lag,
        .wake = journal_wake,
        .close = journal_source_close};
    struct journal_options reading = *options;
    reading.mode = JOURNAL_READ;
    reading.create = false;
    struct journal_source *s = calloc(1, sizeof *s);
    INVARIANT(s != NULL);
    s->source = (struct source){.ops = &ops, .name = "journal"};
    s->turn = SIZE_MAX; /* the first is next */
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = s->wake_fd < 0 ? err_set(err, ERR_IO, "cannot make an eventfd: %s", strerror(errno))
                           : journal_open(journal_url, &reading, &s->journal, err);
    if (r != 0) {
        journal_source_close(&s->source);
        return r;
    }
    *ret_source = &s->source;
    return 0;
}
