/* Lists: accounts, transfers, and the event feed. */
#include "api/cursor.h"
#include "app/service_internal.h"
#include "base/instant.h"
#include "events/event.h"
#include "journal/history.h"

/* How many entries of an account are looked at in one go. */
#define ENTRIES_CHUNK 256

void put_cursor(struct json_out *o, const struct cursor *cursor)
{
    out_key(o, "cursor");
    strbuf_char(o->b, '"');
    cursor_encode(cursor, o->b);
    strbuf_char(o->b, '"');
}

bool take_cursor(struct job *job, int kind, uint64_t filter, size_t n, struct cursor *ret_cursor)
{
    enum cursor_kind wanted = (enum cursor_kind)kind;
    *ret_cursor = (struct cursor){.kind = wanted, .filter = filter, .n = n};
    if (job->query.cursor.data == NULL || cursor_decode(job->query.cursor, wanted, filter, n, ret_cursor))
        return true;
    job_refuse(job, REFUSAL_INVALID_CURSOR, NULL);
    return false;
}

/* --- accounts
 * ----------------------------------------------------------------------------------------------- */

struct account_page {
    struct arena *arena;
    struct account *at;
    size_t n;
};

static int collect_account(void *ctx, const struct account *account)
{
    struct account_page *page = ctx;
    page->at[page->n] = *account;
    page->at[page->n++].external_id = arena_str(page->arena, account->external_id);
    return 0;
}

int list_accounts(struct job *job, struct journal *journal, struct err *err)
{
    size_t limit = job->query.limit;
    struct cursor cursor;
    if (!take_cursor(job, CURSOR_ACCOUNTS, job->query.filter + job->ledger->id, 1, &cursor))
        return 0;
    struct account_page page = {&job->arena, ARENA_ARRAY(&job->arena, struct account, limit + 1), 0};
    struct ledger_head head;
    int r = journal->ops->head(journal, job->ledger->id, &head, err);
    if (r == 0)
        r = journal->ops->accounts(
            journal, job->ledger->id, cursor.values[0], limit + 1, collect_account, &page, err);
    if (r < 0)
        return r;
    size_t n = page.n > limit ? limit : page.n;
    struct json_out o = job_json(job, 200);
    out_begin(&o, '{');
    out_key(&o, "accounts");
    out_begin(&o, '[');
    for (size_t i = 0; i < n; i++) {
        struct account_view view;
        r = account_view_load(job, journal, &page.at[i], &view, err);
        if (r < 0)
            return r;
        encode_account(&o, &view);
    }
    out_end(&o, ']');
    out_uint_member(&o, "asOfSeq", head.seq);
    if (page.n > n) {
        cursor.values[0] = page.at[n - 1].number;
        put_cursor(&o, &cursor);
    }
    out_end(&o, '}');
    return 0;
}

/* --- transfers
 * ---------------------------------------------------------------------------------------------- */

/* A walk back through the records of a ledger or of one account. */
struct walk {
    struct job *job;
    struct journal *journal;
    struct json_out out;
    struct arena scratch; /* of one record */
    uint64_t head_seq, least_seq, most_seq;
    size_t found, looked_at;
    bool more;
    struct cursor next; /* values: seq or version that was looked at last, seq that was looked at last */
};

static bool wanted(const struct query *q, const struct record *record)
{
    bool kind = q->has_kind ? record->kind == q->kind
                            : record->kind == RECORD_TRANSFER || record->kind == RECORD_REVERSAL ||
                                  record->kind == RECORD_DECLINED;
    return kind && (q->reference.data == NULL || str_eq(q->reference, record->reference));
}

/* 1: go on; 0: the page is full, and so is the cursor; negative: failed. */
static int walk_record(struct walk *w, uint64_t at, uint64_t seq, struct err *err)
{
    const struct record *record;
    if (w->found == w->job->query.limit || w->looked_at == LIMIT_LIST_SCAN_MAX ||
        w->out.b->len >= LIMIT_PAGE_BYTES) {
        w->more = true;
        return 0;
    }
    arena_reset(&w->scratch);
    int r = w->journal->ops->record(w->journal, w->job->ledger->id, seq, true, &w->scratch, &record, err);
    if (r == 0 && wanted(&w->job->query, record)) {
        r = encode_record_of(w->job, w->journal, record, &w->scratch, &w->out, err);
        w->found++;
    }
    if (r < 0)
        return r;
    w->looked_at++;
    w->next.values[0] = at;
    w->next.values[1] = seq;
    return 1;
}

static int walk_ledger(struct walk *w, struct err *err)
{
    uint64_t seq = w->most_seq;
    if (w->next.values[0] != 0 && w->next.values[0] <= seq)
        seq = w->next.values[0] - 1;
    int r = 1;
    for (; r > 0 && seq >= w->least_seq && seq > 0; seq--)
        r = walk_record(w, seq, seq, err);
    return r < 0 ? r : 0;
}

struct entry_chunk {
    struct {
        uint64_t version, seq;
    } at[ENTRIES_CHUNK];
    size_t n;
};

static int collect_entry(void *ctx, const struct entry *entry, uint64_t seq)
{
    struct entry_chunk *chunk = ctx;
    INVARIANT(chunk->n < ENTRIES_CHUNK);
    chunk->at[chunk->n].version = entry->version;
    chunk->at[chunk->n++].seq = seq;
    return 0;
}

static int walk_account(struct walk *w, const struct account *account, struct err *err)
{
    struct entry_chunk chunk;
    uint64_t version, done = w->next.values[1];
    int r = history_version_at(w->journal, account, w->most_seq, &version, err);
    if (r < 0)
        return r;
    if (w->next.values[0] != 0 && w->next.values[0] <= version)
        version = w->next.values[0] - 1;
    for (r = 1; r > 0 && version > 0;) {
        uint64_t first = version > ENTRIES_CHUNK ? version - ENTRIES_CHUNK + 1 : 1;
        chunk.n = 0;
        r = w->journal->ops->entries(
            w->journal, account->ledger, account->number, first, version, true, collect_entry, &chunk, err);
        if (r < 0)
            return r;
        r = 1;
        for (size_t i = 0; r > 0 && i < chunk.n; i++) {
            if (chunk.at[i].seq < w->least_seq)
                return 0;
            /* A record may have several entries of the account; it is one line of the list. */
            if (chunk.at[i].seq == done)
                continue;
            done = chunk.at[i].seq;
            r = walk_record(w, chunk.at[i].version, done, err);
        }
        version = first - 1;
    }
    return r < 0 ? r : 0;
}

/* The seqs that from <= recorded time < to leaves. */
static int walk_bounds(struct walk *w, struct err *err)
{
    const struct query *q = &w->job->query;
    uint32_t ledger = w->job->ledger->id;
    struct ledger_head head;
    int r = w->journal->ops->head(w->journal, ledger, &head, err);
    w->least_seq = 1;
    w->head_seq = w->most_seq = head.seq;
    if (r == 0 && q->has_to)
        r = q->to > INSTANT_MIN ? history_seq_at(w->journal, ledger, q->to - 1, &w->most_seq, err)
                                : ((w->most_seq = 0), 0);
    if (r == 0 && q->has_from && q->from > INSTANT_MIN) {
        r = history_seq_at(w->journal, ledger, q->from - 1, &w->least_seq, err);
        w->least_seq++;
    }
    return r;
}

static int walk_all(struct walk *w, struct err *err)
{
    const struct query *q = &w->job->query;
    struct account account;
    int r = walk_bounds(w, err);
    if (r < 0)
        return r;
    if (!q->has_account)
        return walk_ledger(w, err);
    if (find_account(w->job, w->journal, &q->account, &account, &r, err))
        return walk_account(w, &account, err);
    if (r == 0)
        job_refuse(w->job, REFUSAL_ACCOUNT_NOT_FOUND, "The account of the filter 'account' is not there.");
    return r;
}

int list_transfers(struct job *job, struct journal *journal, struct err *err)
{
    struct walk w = {.job = job, .journal = journal};
    if (!take_cursor(job, CURSOR_TRANSFERS, job->query.filter + job->ledger->id, 2, &w.next))
        return 0;
    arena_init(&w.scratch, 0);
    w.out = job_json(job, 200);
    out_begin(&w.out, '{');
    out_key(&w.out, "transfers");
    out_begin(&w.out, '[');
    int r = walk_all(&w, err);
    arena_fini(&w.scratch);
    if (r < 0 || job->call->response.status != 200)
        return r;
    out_end(&w.out, ']');
    out_uint_member(&w.out, "asOfSeq", w.head_seq);
    if (w.more)
        put_cursor(&w.out, &w.next);
    out_end(&w.out, '}');
    return 0;
}

/* --- events
 * ------------------------------------------------------------------------------------------------- */

static int encode_events(struct job *job, struct journal *journal, uint64_t seq, struct arena *scratch,
    struct json_out *o, struct err *err)
{
    const struct record *record;
    int r = journal->ops->record(journal, job->ledger->id, seq, true, scratch, &record, err);
    if (r == 0)
        r = service_know_record(job->service, journal, record, err);
    if (r < 0)
        return r;
    const struct asset **assets = ARENA_ARRAY(scratch, const struct asset *, record->n_entries);
    for (size_t i = 0; i < record->n_entries; i++)
        assets[i] = catalog_asset(job->service->config.catalog, record->entries[i].asset);
    const struct event_source source = {
        .ledger = str_of(job->ledger->name), .record = record, .assets = assets};
    for (size_t n = 0; n < event_count(record); n++) {
        struct event event;
        event_at(&source, n, scratch, &event);
        out_next(o);
        event_json(&event, o->b);
    }
    return 0;
}

int list_events(struct job *job, struct journal *journal, struct err *err)
{
    const struct query *q = &job->query;
    struct ledger_head head;
    struct arena scratch;
    int r = journal->ops->head(journal, job->ledger->id, &head, err);
    if (r < 0)
        return r;
    struct json_out o = job_json(job, 200);
    out_begin(&o, '{');
    out_key(&o, "events");
    out_begin(&o, '[');
    uint64_t seq = q->after;
    arena_init(&scratch, 0);
    for (size_t n = 0; r == 0 && n < q->limit && seq < head.seq && o.b->len < LIMIT_PAGE_BYTES; n++) {
        arena_reset(&scratch);
        r = encode_events(job, journal, ++seq, &scratch, &o, err);
    }
    arena_fini(&scratch);
    out_end(&o, ']');
    out_uint_member(&o, "last", seq);
    out_end(&o, '}');
    return r;
}
