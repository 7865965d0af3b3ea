/*
 * What the read model answers: balances, statements and transfers like the journal's, and what the journal cannot:
 * search by metadata and amount, an account's activity by day, totals by asset. One snapshot an answer; its seq is the
 * answer's asOfSeq.
 */
#include "api/cursor.h"
#include "app/service_internal.h"
#include "base/instant.h"
#include "readmodel/query.h"

_Static_assert(
    LIMIT_METADATA_FILTERS_MAX <= QUERY_METADATA_MAX, "as many as can be asked for can be answered");

/* The snapshot that an answer is made from. */
struct view {
    struct reading *reading;
    uint64_t seq;
    int64_t recorded_at; /* of the record `seq` */
    bool missing;        /* an account is not there (yet) */
};

typedef int query_handler(struct job *job, struct view *view, struct err *err);

static const struct asset *look_up(const void *ctx, uint32_t id)
{
    return query_asset(ctx, id);
}

/* 1: found; 0: not there, which `view` notes; negative: failed. */
static int find(struct job *job, struct view *view, const struct account_ref *ref,
    struct query_account *ret_account, struct err *err)
{
    struct str external_id = STR_NONE;
    if (ref->by == REF_BY_EXTERNAL_ID)
        external_id = ref->external_id;
    else if (ref->by == REF_BY_WORLD)
        external_id = arena_printf(&job->arena, WORLD_PREFIX STR_FMT, STR_ARG(ref->currency));
    int r = query_account(
        view->reading, ref->by == REF_BY_ID ? &ref->id : NULL, external_id, &job->arena, ret_account, err);
    view->missing |= r == ERR_NOT_FOUND;
    return r == 0 ? 1 : r == ERR_NOT_FOUND ? 0 : r;
}

/* The path's account; as find(), and the job is answered if it is not there. */
static int find_path_account(struct job *job, struct view *view, struct query_account *ret_account,
    const struct asset **ret_asset, struct err *err)
{
    struct account_ref ref;
    int r = path_account_ref(job, &ref) ? find(job, view, &ref, ret_account, err) : 0;
    if (r == 0)
        refuse_path_account(job);
    if (r <= 0)
        return r;
    *ret_asset = query_asset(view->reading, ret_account->account.asset);
    return *ret_asset != NULL
               ? 1
               : err_set(err, ERR_CORRUPT, "asset %u is in use and not there", ret_account->account.asset);
}

static int get_balance(struct job *job, struct view *view, struct err *err)
{
    struct query_account found;
    const struct asset *asset;
    int r = find_path_account(job, view, &found, &asset, err);
    if (r <= 0)
        return r;
    const struct account *account = &found.account;
    struct balance_view balance = {
        .account = account->id,
        .currency = str_of(asset->code),
        .side = account_type_side(account->type),
        .balance = {account->balance, account->version, found.seq, account->floor},
        /* All that was known when the request came is in; else it is as old as the last record that is. */
        .as_of = view->seq >= job->known_seq ? job->began_at : view->recorded_at,
        .as_of_seq = view->seq,
    };
    struct json_out o = job_json(job, 200);
    encode_balance(&o, &balance);
    return 0;
}

static int get_statement(struct job *job, struct view *view, struct err *err)
{
    const struct query *q = &job->query;
    struct query_account found;
    const struct asset *asset;
    struct history_position position;
    struct query_statement got;
    int64_t as_of = service_now(job->service);
    int r = find_path_account(job, view, &found, &asset, err);
    if (r <= 0)
        return r;
    const struct account *account = &found.account;
    if (!statement_position(job, CURSOR_READ_STATEMENT, account, &position, &as_of))
        return 0;
    r = query_statement(view->reading, account, q->has_from ? q->from : INSTANT_MIN,
        q->has_to ? q->to : INSTANT_MAX, &position, q->limit, &job->arena, &got, err);
    if (r < 0)
        return r;
    const struct history_statement *s = &got.statement;
    struct statement_view statement = {
        .account = account->id,
        .currency = str_of(asset->code),
        .side = account_type_side(account->type),
        .axis = AXIS_RECORDED,
        .has_from = q->has_from,
        .from = q->from,
        .to = q->has_to ? q->to : as_of,
        .statement = s,
        .records = got.records,
        .counterparties = got.counterparties,
        .has_counterparty = got.has_counterparty,
        .as_of_seq = view->seq,
        .cursor = s->more ? statement_cursor(job, CURSOR_READ_STATEMENT, account, &s->next, as_of) : STR_NONE,
    };
    struct json_out o = job_json(job, 200);
    encode_statement(&o, &statement);
    return 0;
}

/* --- transfers
 * ---------------------------------------------------------------------------------------------- */

/* 1: the filter is filled; 0: there is no such account, and the job is answered; negative: failed. */
static int transfer_filter(
    struct job *job, struct view *view, struct query_filter *ret_filter, struct err *err)
{
    const struct query *q = &job->query;
    struct query_filter f = {
        .has_kind = q->has_kind,
        .kind = q->kind,
        .has_from = q->has_from,
        .from = q->from,
        .has_to = q->has_to,
        .to = q->to,
        .has_least = q->has_least,
        .least = q->least,
        .has_most = q->has_most,
        .most = q->most,
        .currency = q->currency,
        .reference = q->reference,
        .n_metadata = q->n_metadata,
    };
    for (size_t i = 0; i < q->n_metadata; i++) {
        f.metadata[i].key = q->metadata[i].key;
        f.metadata[i].value = q->metadata[i].value;
    }
    if (q->has_account) {
        struct query_account found;
        int r = find(job, view, &q->account, &found, err);
        if (r == 0)
            job_refuse(job, REFUSAL_ACCOUNT_NOT_FOUND, "The account of the filter 'account' is not there.");
        if (r <= 0)
            return r;
        f.has_account = true;
        f.account = found.account.number;
    }
    *ret_filter = f;
    return 1;
}

/* As many as fit on the page; how many goes to *ret_n. */
static int put_transfers(struct job *job, struct view *view, const struct query_transfer *transfers, size_t n,
    struct json_out *o, size_t *ret_n, struct err *err)
{
    size_t i = 0;
    for (; i < n && (i == 0 || o->b->len < LIMIT_PAGE_BYTES); i++) {
        const struct record *record = transfers[i].record;
        for (size_t k = 0; k < record->n_entries; k++)
            if (query_asset(view->reading, record->entries[k].asset) == NULL)
                return err_set(err, ERR_CORRUPT, "transfer %llu is in an asset that is not there",
                    (unsigned long long)record->seq);
        encode_record(o, &(struct record_view){
                             .record = record,
                             .ledger = str_of(job->ledger->name),
                             .assets = {look_up, view->reading},
                             .related = transfers[i].has_related ? &transfers[i].related : NULL,
                         });
    }
    *ret_n = i;
    return 0;
}

static int list(struct job *job, struct view *view, struct err *err)
{
    size_t limit = job->query.limit, n, shown = 0;
    struct cursor cursor;
    struct query_filter filter;
    struct query_transfer *transfers;
    if (!take_cursor(job, CURSOR_READ_TRANSFERS, job->query.filter + job->ledger->id, 1, &cursor))
        return 0;
    int r = transfer_filter(job, view, &filter, err);
    if (r <= 0)
        return r;
    filter.before_seq = cursor.values[0];
    r = query_transfers(view->reading, &filter, limit + 1, &job->arena, &transfers, &n, err);
    if (r < 0)
        return r;
    struct json_out o = job_json(job, 200);
    out_begin(&o, '{');
    out_key(&o, "transfers");
    out_begin(&o, '[');
    r = put_transfers(job, view, transfers, n > limit ? limit : n, &o, &shown, err);
    if (r < 0)
        return r;
    out_end(&o, ']');
    out_uint_member(&o, "asOfSeq", view->seq);
    if (n > shown) {
        cursor.values[0] = transfers[shown - 1].record->seq;
        put_cursor(&o, &cursor);
    }
    out_end(&o, '}');
    return 0;
}

/* --- what only the read model knows
 * ---------------------------------------------------------------------------------------------- */

/* Days since the epoch of a midnight, exactly. */
static int64_t day_of(int64_t midnight)
{
    return midnight / MICROS_PER_DAY;
}

static void put_day_member(struct json_out *o, const char *key, bool there, int64_t midnight)
{
    char text[INSTANT_TEXT_LEN + 1];
    instant_format(there ? midnight : 0, text);
    text[10] = '\0';
    out_c_member(o, key, there ? text : NULL);
}

/* Where the page starts; false, and the job answered, if the cursor is not one of this list. */
static bool activity_start(
    struct job *job, const struct account *account, int64_t last, int64_t *from, struct cursor *ret_cursor)
{
    if (!take_cursor(job, CURSOR_ACTIVITY, account_filter(job, account), 1, ret_cursor))
        return false;
    if (job->query.cursor.data == NULL)
        return true;
    int64_t shown = (int64_t)ret_cursor->values[0];
    if (shown < *from || shown > last) {
        job_refuse(job, REFUSAL_INVALID_CURSOR, NULL);
        return false;
    }
    *from = shown + 1;
    return true;
}

static int get_activity(struct job *job, struct view *view, struct err *err)
{
    const struct query *q = &job->query;
    struct query_account found;
    const struct asset *asset;
    struct cursor cursor;
    struct query_day *days;
    size_t n;
    int64_t from = day_of(q->has_from ? q->from : INSTANT_MIN);
    int64_t last = q->has_to ? day_of(q->to) - 1 : day_of(INSTANT_MAX);
    int r = find_path_account(job, view, &found, &asset, err);
    if (r <= 0 || !activity_start(job, &found.account, last, &from, &cursor))
        return r < 0 ? r : 0;
    r = query_activity(view->reading, &found.account, from, last, q->limit + 1, &job->arena, &days, &n, err);
    if (r < 0)
        return r;
    size_t shown = n > q->limit ? q->limit : n;
    struct json_out o = job_json(job, 200);
    out_begin(&o, '{');
    out_uuid_member(&o, "accountId", found.account.id);
    out_c_member(&o, "currency", asset->code);
    put_day_member(&o, "from", q->has_from, q->from);
    put_day_member(&o, "to", q->has_to, q->to);
    out_key(&o, "days");
    out_begin(&o, '[');
    for (size_t i = 0; i < shown; i++)
        encode_day(&o, &(struct day_view){days[i].day * MICROS_PER_DAY, days[i].in, days[i].out,
                           days[i].closing, days[i].count});
    out_end(&o, ']');
    out_uint_member(&o, "asOfSeq", view->seq);
    if (n > shown) {
        cursor.values[0] = (uint64_t)days[shown - 1].day;
        put_cursor(&o, &cursor);
    }
    out_end(&o, '}');
    return 0;
}

static int get_totals(struct job *job, struct view *view, struct err *err)
{
    struct query_total *totals;
    size_t n;
    int r = query_totals(view->reading, &job->arena, &totals, &n, err);
    if (r < 0)
        return r;
    struct json_out o = job_json(job, 200);
    out_begin(&o, '{');
    out_key(&o, "totals");
    out_begin(&o, '[');
    for (size_t i = 0; i < n; i++)
        encode_total(&o, &(struct total_view){.currency = totals[i].currency,
                             .scale = totals[i].scale,
                             .accounts = totals[i].accounts,
                             .entries = totals[i].entries,
                             .volume = totals[i].volume,
                             .credit_normal = totals[i].credit_normal,
                             .debit_normal = totals[i].debit_normal});
    out_end(&o, ']');
    out_uint_member(&o, "asOfSeq", view->seq);
    out_end(&o, '}');
    return 0;
}

/* --- dispatch
 * ----------------------------------------------------------------------------------------------- */

static query_handler *const handlers[ROUTES_N] = {
    [ROUTE_GET_BALANCE] = get_balance,
    [ROUTE_GET_STATEMENT] = get_statement,
    [ROUTE_LIST_TRANSFERS] = list,
    [ROUTE_GET_ACTIVITY] = get_activity,
    [ROUTE_GET_TOTALS] = get_totals,
};

static void refuse_seq(struct job *job, uint64_t seq)
{
    char detail[96];
    snprintf(detail, sizeof detail, "The read model is at %llu, %llu was asked for.", (unsigned long long)seq,
        (unsigned long long)job->least_seq);
    job_refuse(job, REFUSAL_NOT_REACHED, detail);
}

static int answer(struct job *job, struct view *view, struct err *err)
{
    int r = query_begin(view->reading, str_of(job->ledger->name), &view->seq, &view->recorded_at, err);
    if (r < 0)
        return r;
    if (view->seq < job->least_seq)
        refuse_seq(job, view->seq);
    else
        r = handlers[job->match.route->id](job, view, err);
    query_end(view->reading);
    return r;
}

/* An account that is not in the read model may have been opened a moment ago: unless the client asked for the read model
 * by name, the journal tells. */
static bool journal_knows_better(const struct job *job, const struct view *view)
{
    return view->missing && view->seq < job->known_seq && job->query.consistency == CONSISTENCY_ANY &&
           job->query.cursor.data == NULL && road_journal_can(job);
}

void query_step(struct job *job, struct reader *reader)
{
    struct err err = {0};
    struct view view = {.reading = reader->reading};
    int r = answer(job, &view, &err);
    if (r == ERR_IO) /* a connection that broke while nobody used it */
        r = answer(job, &view, &err);
    if (r < 0) {
        service_complain(job->service, "read model not readable", &err);
        job_refuse(job, REFUSAL_READ_MODEL_UNAVAILABLE, NULL);
    } else if (journal_knows_better(job, &view)) {
        read_step(job, reader);
        return;
    }
    job_ready(job);
}

void query_begin_job(struct job *job)
{
    struct service *s = job->service;
    uint32_t ledger = job->ledger->id;
    job->known_seq = catalog_head_seq(s->config.catalog, ledger);
    if (s->config.readers == 0)
        progress_look(s, s->loop.reading, job->ledger);
    uint64_t wanted = job->known_seq > job->least_seq ? job->known_seq : job->least_seq;
    if (progress_seq(s, ledger) >= wanted || s->stopping) {
        pool_run(job, query_step);
        return;
    }
    park_projected(job, wanted,
        job->least_seq > 0 ? LIMIT_WAIT_SECONDS_MAX * MICROS_PER_SECOND : QUERY_PATIENCE_US, query_step);
}
