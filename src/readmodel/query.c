#include "readmodel/query_internal.h"

#include <stdlib.h>
#include <string.h>

#include "readmodel/projection.h"

static const struct db_statement find_ledger = {
    "query_ledger", "SELECT id, seq, recorded_at FROM @ledger WHERE name = ?1"};
static const struct db_statement more_assets = {
    "query_assets", "SELECT id, code, scale FROM @asset WHERE id > ?1 ORDER BY id"};
#define ACCOUNT_COLUMNS \
    "SELECT a.number, a.id, a.asset, a.type, a.external_id, a.opened_seq, a.revision, a.status, a.floor, " \
    "a.text_seq," \
    " a.name, a.metadata, h.version, h.seq, h.posted, h.incoming, h.outgoing, h.revision, h.floor" \
    " FROM @account a JOIN @head h ON h.ledger = a.ledger AND h.account = a.number" \
    " WHERE a.type IS NOT NULL AND a.ledger = ?1 AND "
static const struct db_statement account_by_number = {"query_account", ACCOUNT_COLUMNS "a.number = ?2"};
static const struct db_statement account_by_external_id = {
    "query_external", ACCOUNT_COLUMNS "a.external_id = ?2 ORDER BY a.number LIMIT 1"};
static const struct db_statement place_of_version = {"query_version",
    "SELECT seq, recorded_at FROM @line WHERE ledger = ?1 AND account = ?2 AND version = ?3"};
static const struct db_statement head_of_version = {"query_head",
    "SELECT seq, posted, incoming, outgoing, revision, COALESCE(floor, 0), CASE WHEN floor IS NULL THEN 0 "
    "ELSE 1 END"
    " FROM @line WHERE ledger = ?1 AND account = ?2 AND version = ?3"};
static const struct db_statement days = {"query_days",
    "SELECT day, in_billions, in_rest, out_billions, out_rest, entries, closing FROM @day"
    " WHERE ledger = ?1 AND account = ?2 AND day >= ?3 AND day <= ?4 ORDER BY day LIMIT ?5"};
static const struct db_statement totals = {"query_totals",
    "SELECT a.code, a.scale, t.accounts, t.entries, t.volume, t.credit_normal, t.debit_normal FROM @total t"
    " JOIN @asset a ON a.id = t.asset WHERE t.ledger = ?1 ORDER BY a.code"};

/* ---- the reader ---- */

struct reading *reading_new(const char *url, bool pooled)
{
    struct reading *r = calloc(1, sizeof *r);
    INVARIANT(r != NULL);
    r->url = strdup(url);
    INVARIANT(r->url != NULL);
    r->pooled = pooled;
    return r;
}

static void close_model(struct reading *r)
{
    readmodel_close(r->model);
    r->model = NULL;
    r->db = NULL;
    free(r->assets);
    r->assets = NULL;
    r->n_assets = 0;
}

static void close_all(struct reading *r)
{
    close_model(r);
    db_close(r->control);
    r->control = NULL;
}

void reading_free(struct reading *r)
{
    if (r == NULL)
        return;
    query_end(r);
    close_all(r);
    free(r->url);
    free(r);
}

/* The live generation, opened if it is another than before. */
static int follow(struct reading *r, struct err *err)
{
    uint32_t live;
    int rc =
        r->control != NULL
            ? 0
            : db_open(r->url, &(struct db_options){.read_only = true, .pooled = r->pooled}, &r->control, err);
    if (rc == 0)
        rc = generation_live(r->control, &live, err);
    if (rc == 0 && live == 0)
        rc = err_set(err, ERR_NOT_FOUND, "there is no read model yet");
    if (rc != 0 || (r->model != NULL && readmodel_generation(r->model) == live))
        return rc;
    close_model(r);
    return readmodel_open(
        r->url, &(struct readmodel_options){.building = live, .pooled = r->pooled}, &r->model, err);
}

static int load_assets(struct reading *r, struct arena *arena, struct err *err)
{
    struct db_result result;
    int rc = db_run(r->db, &more_assets, DB_VALUES(db_uint(r->n_assets)), arena, &result, err);
    if (rc != 0 || result.n_rows == 0)
        return rc;
    r->assets = realloc(r->assets, (r->n_assets + result.n_rows) * sizeof *r->assets);
    INVARIANT(r->assets != NULL);
    for (size_t i = 0; i < result.n_rows; i++) {
        struct str code = value_str(db_at(&result, i, 1));
        if (value_uint(db_at(&result, i, 0)) != r->n_assets + 1 || code.len > LIMIT_ASSET_CODE_MAX)
            return err_set(err, ERR_CORRUPT, "the read model's assets: row %zu is none", i);
        struct asset *asset = &r->assets[r->n_assets++];
        *asset =
            (struct asset){.id = (uint32_t)r->n_assets, .scale = (uint8_t)value_uint(db_at(&result, i, 2))};
        memcpy(asset->code, code.data, code.len);
    }
    return 0;
}

static int look(struct reading *r, struct str ledger, int64_t *ret_recorded_at, struct err *err)
{
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(r->db, &find_ledger, DB_VALUES(db_text(ledger)), &arena, &result, err);
    bool found = rc == 0 && result.n_rows > 0;
    r->ledger = found ? (uint32_t)value_uint(db_at(&result, 0, 0)) : 0;
    r->seq = found ? value_uint(db_at(&result, 0, 1)) : 0;
    *ret_recorded_at = found ? db_at(&result, 0, 2)->integer : 0;
    if (rc == 0)
        rc = load_assets(r, &arena, err);
    arena_fini(&arena);
    return rc;
}

static int begin(struct reading *r, struct str ledger, int64_t *ret_recorded_at, struct err *err)
{
    int rc = follow(r, err);
    if (rc == ERR_NOT_FOUND && r->control != NULL)
        rc = follow(r, err); /* dropped between the look and the opening: there is another one */
    if (rc != 0)
        return rc;
    r->db = readmodel_db(r->model);
    rc = db_begin(r->db, false, err);
    if (rc != 0)
        return rc;
    rc = look(r, ledger, ret_recorded_at, err);
    if (rc != 0)
        db_rollback(r->db);
    return rc;
}

int query_begin(
    struct reading *r, struct str ledger, uint64_t *ret_seq, int64_t *ret_recorded_at, struct err *err)
{
    INVARIANT(!r->begun);
    bool fresh = r->model == NULL;
    int rc = begin(r, ledger, ret_recorded_at, err);
    if (rc != 0 && !fresh) {
        /* What was open may be of yesterday: a connection that ended, a file that was replaced. */
        close_all(r);
        rc = begin(r, ledger, ret_recorded_at, err);
    }
    if (rc != 0) {
        close_all(r);
        return rc;
    }
    r->begun = true;
    *ret_seq = r->seq;
    return 0;
}

void query_end(struct reading *r)
{
    if (r->begun)
        db_rollback(r->db);
    r->begun = false;
}

const struct asset *query_asset(const struct reading *r, uint32_t id)
{
    return id >= 1 && id <= r->n_assets ? &r->assets[id - 1] : NULL;
}

/* ---- versions ---- */

int query_numbers(struct reading *r, const struct db_statement *statement, const struct db_value *values,
    size_t n_values, int64_t *ret_numbers, size_t n_numbers, bool *ret_found, struct err *err)
{
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(r->db, statement, values, n_values, &arena, &result, err);
    INVARIANT(rc != 0 || result.n_rows == 0 || result.n_columns == n_numbers);
    *ret_found = rc == 0 && result.n_rows > 0;
    for (size_t i = 0; *ret_found && i < n_numbers; i++)
        ret_numbers[i] = db_at(&result, 0, i)->integer;
    arena_fini(&arena);
    return rc;
}

/* The last version up to `most` whose seq (0) or recorded_at (1) is at most `bound`: neither ever decreases. */
static int last_version(struct reading *r, uint64_t account, size_t column, int64_t bound, uint64_t most,
    uint64_t *ret_version, struct err *err)
{
    uint64_t low = 0, high = most, middle = most; /* the newest first: it is mostly the answer */
    while (low < high) {
        int64_t place[2];
        bool found;
        int rc = query_numbers(r, &place_of_version,
            DB_VALUES(db_uint(r->ledger), db_uint(account), db_uint(middle)), place, 2, &found, err);
        if (rc != 0)
            return rc;
        if (found && place[column] <= bound)
            low = middle;
        else
            high = middle - 1;
        middle = low + (high - low + 1) / 2;
    }
    *ret_version = low;
    return 0;
}

int query_version_at(
    struct reading *r, uint64_t account, uint64_t seq, uint64_t most, uint64_t *ret_version, struct err *err)
{
    return last_version(r, account, 0, (int64_t)seq, most, ret_version, err);
}

int query_version_before(struct reading *r, uint64_t account, int64_t instant, uint64_t most,
    uint64_t *ret_version, struct err *err)
{
    *ret_version = 0;
    return instant == INT64_MIN ? 0 : last_version(r, account, 1, instant - 1, most, ret_version, err);
}

struct entry query_entry(const struct db_value *v)
{
    struct entry e = {.leg = (uint32_t)value_uint(&v[1]),
        .account = value_uint(&v[2]),
        .version = value_uint(&v[3]),
        .revision = (uint32_t)value_uint(&v[4]),
        .floor = value_floor(&v[5]),
        .change = {v[6].integer, v[7].integer, v[8].integer},
        .after = {v[9].integer, v[10].integer, v[11].integer},
        .effective_at = v[12].integer,
        .asset = (uint32_t)value_uint(&v[14]),
        .side = v[15].integer > 0 ? 1 : -1,
        .account_id = value_uuid(&v[16])};
    e.backdated = entry_moves(&e) && e.effective_at < v[13].integer;
    return e;
}

/* ---- accounts ---- */

/* The head at the ledger's seq, if entries of later records are here already. */
static int step_back(struct reading *r, struct account *a, struct err *err)
{
    int64_t head[7];
    bool found;
    uint64_t version;
    int rc = query_version_at(r, a->number, r->seq, a->version, &version, err);
    if (rc == 0 && version == 0)
        rc = err_set(err, ERR_NOT_FOUND, "the account is not here yet");
    if (rc == 0)
        rc = query_numbers(r, &head_of_version,
            DB_VALUES(db_uint(r->ledger), db_uint(a->number), db_uint(version)), head, 7, &found, err);
    if (rc == 0 && !found)
        rc = err_set(err, ERR_CORRUPT, "the read model lacks version %llu of account %llu",
            (unsigned long long)version, (unsigned long long)a->number);
    if (rc != 0)
        return rc;
    a->version = version;
    a->seq = (uint64_t)head[0];
    a->balance = (struct amounts){head[1], head[2], head[3]};
    a->revision = (uint32_t)head[4];
    a->floor = (struct floor){head[6] != 0, head[5]};
    return 0;
}

static struct account account_of(const struct reading *r, const struct db_value *v)
{
    struct str metadata = value_str(&v[11]);
    bool text = v[10].type != DB_NULL || !str_eq_c(metadata, "{}");
    bool newer = value_uint(&v[6]) > value_uint(&v[17]); /* a revision whose entry has not come yet */
    return (struct account){.ledger = r->ledger,
        .number = value_uint(&v[0]),
        .id = value_uuid(&v[1]),
        .asset = (uint32_t)value_uint(&v[2]),
        .type = (enum account_type)value_uint(&v[3]),
        .external_id = value_str(&v[4]),
        .opened_seq = value_uint(&v[5]),
        .revision = (uint32_t)value_uint(&v[newer ? 6 : 17]),
        .status = (enum account_status)value_uint(&v[7]),
        .floor = value_floor(&v[newer ? 8 : 18]),
        .text_seq = text ? value_uint(&v[9]) : 0,
        .version = value_uint(&v[12]),
        .seq = value_uint(&v[13]),
        .balance = {v[14].integer, v[15].integer, v[16].integer}};
}

int query_account(struct reading *r, const struct uuid *id, struct str external_id, struct arena *arena,
    struct query_account *ret_account, struct err *err)
{
    INVARIANT(r->begun);
    struct db_result result;
    struct db_value what = id != NULL ? db_uint(uuid_counter(*id)) : db_text(external_id);
    int rc = db_run(r->db, id != NULL ? &account_by_number : &account_by_external_id,
        DB_VALUES(db_uint(r->ledger), what), arena, &result, err);
    if (rc != 0)
        return rc;
    if (result.n_rows == 0)
        return err_set(err, ERR_NOT_FOUND, "the account is not here");
    struct account account = account_of(r, db_at(&result, 0, 0));
    if ((id != NULL && !uuid_eq(*id, account.id)) || account.opened_seq > r->seq)
        return err_set(err, ERR_NOT_FOUND, "the account is not here");
    if (account.seq > r->seq)
        rc = step_back(r, &account, err);
    if (rc == 0)
        *ret_account = (struct query_account){.account = account, .seq = account.seq};
    return rc;
}

/* ---- sums ---- */

#define BILLION INT64_C(1000000000)

int query_activity(struct reading *r, const struct account *account, int64_t from_day, int64_t to_day,
    size_t limit, struct arena *arena, struct query_day **ret_days, size_t *ret_n, struct err *err)
{
    INVARIANT(r->begun);
    struct db_result result;
    int rc = db_run(r->db, &days,
        DB_VALUES(
            db_uint(r->ledger), db_uint(account->number), db_int(from_day), db_int(to_day), db_uint(limit)),
        arena, &result, err);
    if (rc != 0)
        return rc;
    *ret_n = result.n_rows;
    *ret_days = ARENA_ARRAY(arena, struct query_day, result.n_rows);
    for (size_t i = 0; i < result.n_rows; i++) {
        const struct db_value *v = db_at(&result, i, 0);
        (*ret_days)[i] = (struct query_day){.day = v[0].integer,
            .in = (amount_sum)v[1].integer * BILLION + v[2].integer,
            .out = (amount_sum)v[3].integer * BILLION + v[4].integer,
            .count = value_uint(&v[5]),
            .closing = v[6].integer};
    }
    return 0;
}

int query_totals(
    struct reading *r, struct arena *arena, struct query_total **ret_totals, size_t *ret_n, struct err *err)
{
    INVARIANT(r->begun);
    struct db_result result;
    int rc = db_run(r->db, &totals, DB_VALUES(db_uint(r->ledger)), arena, &result, err);
    if (rc != 0)
        return rc;
    *ret_n = result.n_rows;
    *ret_totals = ARENA_ARRAY(arena, struct query_total, result.n_rows);
    for (size_t i = 0; i < result.n_rows; i++) {
        const struct db_value *v = db_at(&result, i, 0);
        struct query_total *t = &(*ret_totals)[i];
        *t = (struct query_total){.currency = value_str(&v[0]),
            .scale = (uint8_t)value_uint(&v[1]),
            .accounts = value_uint(&v[2]),
            .entries = value_uint(&v[3])};
        if (!sum_parse(value_str(&v[4]), &t->volume) || !sum_parse(value_str(&v[5]), &t->credit_normal) ||
            !sum_parse(value_str(&v[6]), &t->debit_normal))
            return err_set(err, ERR_CORRUPT, "the read model's totals: a sum is no number");
    }
    return 0;
}
