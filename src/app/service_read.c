/* Reads of one ledger: accounts, balances, statements, single records. Each runs on a reader, in one
 * snapshot. */
#include <string.h>

#include "api/cursor.h"
#include "app/service_internal.h"
#include "base/instant.h"
#include "journal/history.h"

/* --- accounts
 * ----------------------------------------------------------------------------------------------- */

bool find_account(struct job *job, struct journal *journal, const struct account_ref *ref,
    struct account *ret_account, int *ret_result, struct err *err)
{
    struct account_want want = {.ledger = job->ledger->id};
    if (ref->by == REF_BY_ID)
        want.number = uuid_counter(ref->id);
    else if (ref->by == REF_BY_EXTERNAL_ID)
        want.external_id = ref->external_id;
    else
        want.external_id = arena_printf(&job->arena, WORLD_PREFIX STR_FMT, STR_ARG(ref->currency));
    if (ref->by == REF_BY_ID && want.number == 0)
        return false;
    *ret_result = journal->ops->accounts_fetch(journal, &want, 1, &job->arena, err);
    if (*ret_result < 0 || !want.found || (ref->by == REF_BY_ID && !uuid_eq(ref->id, want.account.id)))
        return false;
    *ret_account = want.account;
    return true;
}

bool path_account_ref(const struct job *job, struct account_ref *ret_ref)
{
    return account_ref_parse(job->match.parameter, ret_ref) &&
           !(ret_ref->by == REF_BY_WORLD && ret_ref->currency.data == NULL);
}

void refuse_path_account(struct job *job)
{
    struct account_ref ref;
    struct str text = job->match.parameter;
    char detail[300];
    int shown = text.len < 100 ? (int)text.len : 100;
    if (path_account_ref(job, &ref))
        snprintf(
            detail, sizeof detail, "Ledger '%s' has no account %.*s.", job->ledger->name, shown, text.data);
    else
        snprintf(detail, sizeof detail,
            "'%.*s' is neither an account's id nor ext:… with an externalId nor @world:… with a currency.",
            shown, text.data);
    job_refuse(job, REFUSAL_ACCOUNT_NOT_FOUND, detail);
}

bool path_account(
    struct job *job, struct journal *journal, struct account *ret_account, int *ret_result, struct err *err)
{
    struct account_ref ref;
    *ret_result = 0;
    if (path_account_ref(job, &ref) && find_account(job, journal, &ref, ret_account, ret_result, err))
        return true;
    if (*ret_result == 0)
        refuse_path_account(job);
    return false;
}

int account_view_load(struct job *job, struct journal *journal, const struct account *account,
    struct account_view *ret_view, struct err *err)
{
    const struct asset *asset;
    int r = service_know_asset(job->service, journal, account->asset, &asset, err);
    if (r < 0)
        return r;
    *ret_view = (struct account_view){
        .ledger = str_of(job->ledger->name),
        .number = account->number,
        .id = account->id,
        .asset = asset,
        .type = account->type,
        .external_id = account->external_id,
        .opened_seq = account->opened_seq,
        .revision = account->revision,
        .status = account->status,
        .floor = account->floor,
    };
    r = journal->ops->recorded_at(journal, account->ledger, account->opened_seq, &ret_view->opened_at, err);
    if (r < 0 || account->text_seq == 0)
        return r;
    const struct record *record;
    r = journal->ops->record(journal, account->ledger, account->text_seq, true, &job->arena, &record, err);
    if (r == 0)
        ret_view->text = &record->text;
    return r;
}

static int get_account(struct job *job, struct journal *journal, struct err *err)
{
    struct account account;
    struct account_view view;
    int r;
    if (!path_account(job, journal, &account, &r, err))
        return r;
    r = account_view_load(job, journal, &account, &view, err);
    if (r < 0)
        return r;
    api_response_header(&job->call->response, "ETag", "\"%u\"", view.revision);
    struct json_out o = job_json(job, 200);
    encode_account(&o, &view);
    return 0;
}

/* --- balances and statements
 * --------------------------------------------------------------------------------- */

static int get_balance(struct job *job, struct journal *journal, struct err *err)
{
    const struct query *q = &job->query;
    struct account account;
    const struct asset *asset;
    int r;
    if (!path_account(job, journal, &account, &r, err))
        return r;
    r = service_know_asset(job->service, journal, account.asset, &asset, err);
    if (r < 0)
        return r;
    struct balance_view view = {
        .account = account.id,
        .currency = str_of(asset->code),
        .side = account_type_side(account.type),
        .balance = {account.balance, account.version, account.seq, account.floor},
        .as_of = q->has_at         ? q->at
                 : q->has_known_at ? q->known_at
                                   : service_now(job->service),
        /* Both are in the snapshot, with all before them; asking for the head would cost another look. */
        .as_of_seq = account.seq > job->known_seq ? account.seq : job->known_seq,
    };
    /* Without a time the head says it all. */
    if (q->has_at || q->has_known_at)
        r = history_balance(journal, &account, q->has_at ? &q->at : NULL,
            q->has_known_at ? &q->known_at : NULL, &view.balance, err);
    if (r < 0)
        return r;
    struct json_out o = job_json(job, 200);
    encode_balance(&o, &view);
    return 0;
}

/* What a statement's cursor carries beside its filters: the shown end of an open period, and the position. */
enum {
    AT_AS_OF,
    AT_INSTANT,
    AT_VERSION,
    AT_KNOWN_VERSION,
    AT_POSTED,
    AT_INCOMING,
    AT_OUTGOING,
    STATEMENT_VALUES
};

uint64_t account_filter(const struct job *job, const struct account *account)
{
    char text[16];
    memcpy(text, account->id.bytes, 16);
    return cursor_filter(job->query.filter + job->ledger->id, (struct str){text, sizeof text});
}

static bool instant_valid(int64_t instant)
{
    return instant >= INSTANT_MIN && instant <= INSTANT_MAX;
}

/* A cursor's numbers are input like any other: only positions that a page can have had are let through. */
static bool position_valid(const struct history_position *p, const struct account *account, int64_t as_of)
{
    const int64_t most = LIMIT_AMOUNT_MAX;
    return instant_valid(p->instant) && instant_valid(as_of) && p->version >= 1 &&
           p->version <= p->known_version && p->known_version <= account->version &&
           p->running.posted >= -most && p->running.posted <= most && p->running.incoming >= 0 &&
           p->running.incoming <= most && p->running.outgoing >= 0 && p->running.outgoing <= most;
}

bool statement_position(struct job *job, int kind, const struct account *account,
    struct history_position *ret_position, int64_t *ret_as_of)
{
    struct cursor cursor;
    *ret_position = (struct history_position){.started = false};
    if (job->query.cursor.data == NULL)
        return true;
    if (!take_cursor(job, kind, account_filter(job, account), STATEMENT_VALUES, &cursor))
        return false;
    const uint64_t *v = cursor.values;
    *ret_position = (struct history_position){
        .started = true,
        .instant = (int64_t)v[AT_INSTANT],
        .version = v[AT_VERSION],
        .known_version = v[AT_KNOWN_VERSION],
        .running = {(int64_t)v[AT_POSTED], (int64_t)v[AT_INCOMING], (int64_t)v[AT_OUTGOING]},
    };
    *ret_as_of = (int64_t)v[AT_AS_OF];
    if (position_valid(ret_position, account, *ret_as_of))
        return true;
    job_refuse(job, REFUSAL_INVALID_CURSOR, NULL);
    return false;
}

struct str statement_cursor(struct job *job, int kind, const struct account *account,
    const struct history_position *next, int64_t as_of)
{
    struct strbuf b;
    strbuf_init(&b);
    cursor_encode(&(struct cursor){.kind = (enum cursor_kind)kind,
                      .filter = account_filter(job, account),
                      .n = STATEMENT_VALUES,
                      .values = {[AT_AS_OF] = (uint64_t)as_of,
                          [AT_INSTANT] = (uint64_t)next->instant,
                          [AT_VERSION] = next->version,
                          [AT_KNOWN_VERSION] = next->known_version,
                          [AT_POSTED] = (uint64_t)next->running.posted,
                          [AT_INCOMING] = (uint64_t)next->running.incoming,
                          [AT_OUTGOING] = (uint64_t)next->running.outgoing}},
        &b);
    struct str text = arena_str(&job->arena, strbuf_view(&b));
    strbuf_fini(&b);
    return text;
}

static int load_line_records(struct job *job, struct journal *journal,
    const struct history_statement *statement, const struct record ***ret_records, struct err *err)
{
    const struct record **records = ARENA_ARRAY(&job->arena, const struct record *, statement->n_lines);
    for (size_t i = 0; i < statement->n_lines; i++) {
        bool same = i > 0 && statement->lines[i].seq == statement->lines[i - 1].seq;
        int r = 0;
        if (same)
            records[i] = records[i - 1];
        else
            r = journal->ops->record(
                journal, job->ledger->id, statement->lines[i].seq, false, &job->arena, &records[i], err);
        if (r < 0)
            return r;
    }
    *ret_records = records;
    return 0;
}

static int get_statement(struct job *job, struct journal *journal, struct err *err)
{
    const struct query *q = &job->query;
    struct account account;
    struct history_position position;
    struct history_statement statement;
    const struct record **records = NULL;
    const struct asset *asset;
    struct ledger_head head;
    int64_t as_of = service_now(job->service);
    int r;
    if (!path_account(job, journal, &account, &r, err))
        return r;
    r = service_know_asset(job->service, journal, account.asset, &asset, err);
    if (r < 0)
        return r;
    if (!statement_position(job, CURSOR_STATEMENT, &account, &position, &as_of))
        return 0;
    enum history_axis axis = q->axis_effective ? AXIS_EFFECTIVE : AXIS_RECORDED;
    /* An open period ends with what is known, whatever the clock that recorded it said. */
    r = history_statement(journal, &account, axis, q->has_from ? q->from : INSTANT_MIN,
        q->has_to ? q->to : INSTANT_MAX, q->has_known_at ? &q->known_at : NULL, &position, q->limit,
        &job->arena, &statement, err);
    if (r == 0)
        r = load_line_records(job, journal, &statement, &records, err);
    if (r == 0)
        r = journal->ops->head(journal, job->ledger->id, &head, err);
    if (r < 0)
        return r;
    struct statement_view view = {
        .account = account.id,
        .currency = str_of(asset->code),
        .side = account_type_side(account.type),
        .axis = axis,
        .has_from = q->has_from,
        .from = q->from,
        .to = q->has_to ? q->to : as_of,
        .statement = &statement,
        .records = records,
        .as_of_seq = head.seq,
        .cursor = statement.more ? statement_cursor(job, CURSOR_STATEMENT, &account, &statement.next, as_of)
                                 : STR_NONE,
    };
    struct json_out o = job_json(job, 200);
    encode_statement(&o, &view);
    return 0;
}

/* --- records
 * ------------------------------------------------------------------------------------------------ */

int encode_record_of(struct job *job, struct journal *journal, const struct record *record,
    struct arena *scratch, struct json_out *o, struct err *err)
{
    const struct record *related = NULL;
    int r = service_know_record(job->service, journal, record, err);
    if (r < 0)
        return r;
    if (record->related_seq != 0) {
        r = journal->ops->record(journal, record->ledger, record->related_seq, false, scratch, &related, err);
        if (r < 0)
            return r;
    }
    encode_record(o, &(struct record_view){
                         .record = record,
                         .ledger = str_of(job->ledger->name),
                         .assets = service_assets(job->service),
                         .related = related != NULL ? &related->id : NULL,
                     });
    return 0;
}

static int get_transfer(struct job *job, struct journal *journal, struct err *err)
{
    struct uuid id;
    struct str text = job->match.parameter;
    const struct record *record = NULL;
    int r = ERR_NOT_FOUND;
    if (uuid_parse(text, &id) && uuid_counter(id) != 0)
        r = journal->ops->record(journal, job->ledger->id, uuid_counter(id), true, &job->arena, &record, err);
    if (r == 0 && !uuid_eq(record->id, id))
        r = ERR_NOT_FOUND;
    if (r == ERR_NOT_FOUND) {
        char detail[200];
        snprintf(detail, sizeof detail, "Ledger '%s' has no transfer %.*s.", job->ledger->name,
            text.len < 60 ? (int)text.len : 60, text.data);
        job_refuse(job, REFUSAL_TRANSFER_NOT_FOUND, detail);
        return 0;
    }
    if (r < 0)
        return r;
    struct json_out o = job_json(job, 200);
    return encode_record_of(job, journal, record, &job->arena, &o, err);
}

/* --- dispatch
 * ----------------------------------------------------------------------------------------------- */

static read_handler *const handlers[ROUTES_N] = {
    [ROUTE_LIST_ACCOUNTS] = list_accounts,
    [ROUTE_GET_ACCOUNT] = get_account,
    [ROUTE_GET_BALANCE] = get_balance,
    [ROUTE_GET_STATEMENT] = get_statement,
    [ROUTE_LIST_TRANSFERS] = list_transfers,
    [ROUTE_GET_TRANSFER] = get_transfer,
    [ROUTE_LIST_EVENTS] = list_events,
};

void read_step(struct job *job, struct reader *reader)
{
    struct err err = {0};
    struct journal *journal = reader->journal;
    job->known_seq = catalog_head_seq(job->service->config.catalog, job->ledger->id);
    int r = reader_snapshot(reader, &err);
    if (r == 0) {
        r = handlers[job->match.route->id](job, journal, &err);
        journal->ops->snapshot_end(journal);
    }
    if (r < 0)
        job_failed(job, &err);
    job_ready(job);
}

/* How far the ledger must have got for this read; false after a fault. */
static bool wanted_seq(struct job *job, uint64_t *ret_seq, struct fault *fault)
{
    struct str header = api_request_header(job->call->request, "Ledger-Min-Seq");
    *ret_seq = 0;
    if (header.data == NULL || str_to_uint64(str_trim(header), ret_seq))
        return true;
    return fault_set(fault, REFUSAL_INVALID_PARAMETER, "Ledger-Min-Seq", "It is a seq: an integer from 0.");
}

static void refuse(struct job *job, enum refusal refusal, const char *detail)
{
    job_refuse(job, refusal, detail);
    job_ready(job);
}

/*
 * On a reader: the ledger that is not in memory may be another process's. It is as new as can be, so what is waited
 * for is not waited for here, where nobody can: a seq beyond its end is to be asked for again, an event feed is read as
 * it is.
 */
static void find_step(struct job *job, struct reader *reader)
{
    struct err err = {0};
    struct fault fault;
    bool read_model;
    if (service_find_ledger(job, reader, &err) < 0) {
        job_failed(job, &err);
        job_ready(job);
    } else if (job->ledger == NULL) {
        refuse(job, REFUSAL_LEDGER_NOT_FOUND, NULL);
    } else if (!wanted_seq(job, &job->least_seq, &fault) || !road_choose(job, &read_model, &fault)) {
        job_fault(job, &fault);
        job_ready(job);
    } else if (read_model) {
        job->known_seq = catalog_head_seq(job->service->config.catalog, job->ledger->id);
        query_step(job, reader);
    } else if (job->least_seq > catalog_head_seq(job->service->config.catalog, job->ledger->id)) {
        refuse(job, REFUSAL_NOT_REACHED, "The ledger was made a moment ago and is not there yet.");
    } else {
        read_step(job, reader);
    }
}

void read_begin(struct job *job)
{
    const struct catalog *catalog = job->service->config.catalog;
    const struct query *q = &job->query;
    struct fault fault;
    bool read_model;
    job->ledger = catalog_ledger_by_name(catalog, job->match.ledger);
    if (job->ledger == NULL) {
        if (job->service->config.shared)
            pool_run(job, find_step);
        else
            refuse(job, REFUSAL_LEDGER_NOT_FOUND, NULL);
        return;
    }
    if (!wanted_seq(job, &job->least_seq, &fault) || !road_choose(job, &read_model, &fault)) {
        job_fault(job, &fault);
        job_ready(job);
        return;
    }
    if (read_model) {
        query_begin_job(job);
        return;
    }
    uint64_t head = catalog_head_seq(catalog, job->ledger->id), least = job->least_seq;
    bool stopping = job->service->stopping;
    if (least > head) {
        if (stopping)
            refuse(job, REFUSAL_SHUTTING_DOWN, NULL);
        else
            park(job, least, LIMIT_WAIT_SECONDS_MAX * MICROS_PER_SECOND, false, read_step);
    } else if (q->wait_s > 0 && q->after >= head && !stopping) {
        park(job, q->after + 1, q->wait_s * MICROS_PER_SECOND, true, read_step);
    } else {
        pool_run(job, read_step);
    }
}
