/*
 * The floor of the PostgreSQL journal: what the database allows with the product's own migrations and every check
 * on. A plain C loop makes transfers with keys, hashes, references and texts, each with its own key, and appends
 * them over one connection; the next batch is made while one commits. There is no engine, no decision, and the hashes are
 * filler bytes. It appends through the journal library: one call of creditledger.append() with a binary array a
 * column was the fastest way found (docs/performance.md tells what else was tried), and the time goes to the server,
 * whose processor time is shown beside. Prints transfers a second for each batch size.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/uuid.h"
#include "journal/journal.h"

#define TEXT "{\"metadata\":{\"order\":\"2718281828\",\"channel\":\"web\"}}"
#define BATCHES_MAX 16
#define OPENINGS 2000 /* accounts a batch */

struct settings {
    const char *url; /* an empty database; the schema is dropped at the end unless keep */
    uint64_t accounts, transfers;
    unsigned batches[BATCHES_MAX];
    size_t n_batches;
    bool hot, keep, json, no_checks, no_notify;
    enum ledger_lock lock;
};

/* One record with room for its rows. */
struct slot {
    struct record record;
    struct entry entries[2];
    struct account_row account;
    struct revision_row revision;
    char key[40], reference[32];
};

struct batch {
    struct slot *slots;
    const struct record **records;
    size_t n;
    struct ledger_known known;
};

struct floor_bench {
    struct settings set;
    struct journal *j;
    PGconn *pg; /* beside: for the schema, and to ask which process serves the append */
    struct err err;
    uint64_t seq, random;
    uint8_t last_hash[HASH_LEN];
    struct batch batches[2];
    struct head {
        int64_t posted;
        uint32_t version;
    } * heads; /* [number - 1] */
    char stat_path[64];
};

struct rate {
    double per_second, cpu_micros; /* transfers a second; processor time of the server's process for one */
};

static void must(struct floor_bench *b, int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "floor_postgres: %s\n", b->err.message);
    exit(1);
}

static void must_run(struct floor_bench *b, const char *sql, char *ret_value, size_t size)
{
    PGresult *result = PQexec(b->pg, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "floor_postgres: %s", PQresultErrorMessage(result));
        exit(1);
    }
    if (ret_value != NULL)
        snprintf(ret_value, size, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of the server's process, where it runs on this machine; else 0. */
static double cpu_seconds(const struct floor_bench *b)
{
    unsigned long user = 0, system = 0;
    FILE *stat = fopen(b->stat_path, "r");
    if (stat == NULL)
        return 0;
    if (fscanf(stat, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        user = system = 0;
    fclose(stat);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* xorshift64*, S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled". */
static uint64_t next_random(struct floor_bench *b)
{
    b->random ^= b->random >> 12;
    b->random ^= b->random << 25;
    b->random ^= b->random >> 27;
    return b->random * UINT64_C(2685821657736338717);
}

static void put_entry(
    struct floor_bench *b, struct slot *slot, uint32_t leg, uint64_t account, int64_t amount)
{
    struct head *head = &b->heads[account - 1];
    head->posted += amount;
    head->version++;
    slot->entries[leg] = (struct entry){.leg = leg,
        .account = account,
        .version = head->version,
        .asset = 1,
        .side = 1,
        .revision = 1,
        .change = {amount, 0, 0},
        .after = {head->posted, 0, 0}};
    slot->record.entries = slot->entries;
    slot->record.n_entries = leg + 1;
}

static void put_record(struct floor_bench *b, struct slot *slot, enum record_kind kind, bool filled)
{
    uint64_t filler[4] = {next_random(b), next_random(b), next_random(b), next_random(b)};
    int64_t instant = INT64_C(1700000000000000) + (int64_t)++b->seq * 37;
    struct record *r = &slot->record;
    *r = (struct record){.ledger = 1,
        .seq = b->seq,
        .kind = kind,
        .id = uuid_make(instant, b->seq, (uint32_t)filler[0] & 0x3fffffff),
        .effective_at = instant,
        .recorded_at = instant,
        .actor = STR("bench"),
        .format = RECORD_FORMAT};
    memcpy(r->hash, filler, sizeof filler);
    memcpy(b->last_hash, filler, sizeof filler);
    if (!filled)
        return;
    snprintf(slot->key, sizeof slot->key, "%016" PRIx64 "%016" PRIx64, filler[0], filler[1]);
    snprintf(slot->reference, sizeof slot->reference, "order-%" PRIu64, b->seq);
    r->idempotency_key = str_of(slot->key);
    r->reference = str_of(slot->reference);
    memcpy(r->request_hash, filler, HASH_LEN);
    r->has_trace = true;
    memcpy(r->trace_id, filler, TRACE_ID_LEN);
    r->text = (struct record_text){.present = true, .readable = true, .body = STR(TEXT)};
    memcpy(r->text.digest, filler, HASH_LEN);
    memcpy(r->text.salt, filler, SALT_LEN);
}

static void batch_begin(const struct floor_bench *b, struct batch *batch)
{
    batch->n = 0;
    batch->known = (struct ledger_known){.ledger = 1, .seq = b->seq};
    memcpy(batch->known.hash, b->last_hash, HASH_LEN);
}

static struct slot *batch_next(struct batch *batch)
{
    struct slot *slot = &batch->slots[batch->n];
    batch->records[batch->n++] = &slot->record;
    return slot;
}

static void start(struct floor_bench *b, struct batch *batch, struct journal_batch *sent)
{
    *sent = (struct journal_batch){
        .records = batch->records, .n_records = batch->n, .known = &batch->known, .n_known = 1};
    must(b, b->j->ops->append_start(b->j, sent, &b->err));
}

static void open_accounts(struct floor_bench *b)
{
    const struct asset usd = {.id = 1, .scale = 2, .code = "USD"};
    const struct journal_batch assets = {.assets = &usd, .n_assets = 1};
    must(b, b->j->ops->append(b->j, &assets, &b->err));
    for (uint64_t number = 1; number <= b->set.accounts;) {
        struct journal_batch sent;
        struct batch *batch = &b->batches[0];
        batch_begin(b, batch);
        for (; batch->n < OPENINGS && number <= b->set.accounts; number++) {
            struct slot *slot = batch_next(batch);
            put_record(b, slot, RECORD_OPENING, false);
            put_entry(b, slot, 0, number, 0);
            slot->account = (struct account_row){.number = number,
                .id = uuid_make(slot->record.recorded_at, number, (uint32_t)next_random(b) & 0x3fffffff),
                .asset = 1,
                .type = ACCOUNT_LIABILITY,
                .external_id = STR_NONE,
                .opened_seq = slot->record.seq};
            slot->revision = (struct revision_row){.account = number, .revision = 1, .status = ACCOUNT_OPEN};
            slot->record.account = &slot->account;
            slot->record.revisions = &slot->revision;
            slot->record.n_revisions = 1;
        }
        start(b, batch, &sent);
        must(b, b->j->ops->append_finish(b->j, &b->err));
    }
}

static void make_transfers(struct floor_bench *b, struct batch *batch, uint64_t n)
{
    batch_begin(b, batch);
    while (batch->n < n) {
        struct slot *slot = batch_next(batch);
        uint64_t debit = next_random(b) % b->set.accounts + 1;
        uint64_t credit = b->set.hot ? 1 : next_random(b) % b->set.accounts + 1;
        int64_t amount = (int64_t)(next_random(b) % 10000) + 1;
        if (debit == credit)
            debit = debit % b->set.accounts + 1;
        put_record(b, slot, RECORD_TRANSFER, true);
        put_entry(b, slot, 0, debit, -amount);
        put_entry(b, slot, 1, credit, amount);
    }
}

static struct rate transfers(struct floor_bench *b, unsigned size)
{
    uint64_t left = b->set.transfers, n = left < size ? left : size;
    double begun = now_seconds(), cpu = cpu_seconds(b);
    struct journal_batch sent;
    unsigned turn = 0;
    make_transfers(b, &b->batches[turn], n);
    while (n > 0) {
        start(b, &b->batches[turn], &sent);
        left -= n;
        n = left < size ? left : size;
        turn = 1 - turn;
        make_transfers(b, &b->batches[turn], n);
        must(b, b->j->ops->append_finish(b->j, &b->err));
    }
    double done = (double)b->set.transfers;
    return (struct rate){done / (now_seconds() - begun), (cpu_seconds(b) - cpu) / done * 1e6};
}

static void usage(void)
{
    puts("usage: floor_postgres --database-url URL [--accounts N] [--transfers N] [--batch N,N,...] [--hot]\n"
         "                      [--lock advisory|row|none] [--no-checks] [--no-notify] [--keep] [--json]\n"
         "Transfers a second that PostgreSQL allows with the product's schema, every constraint and trigger "
         "on.\n"
         "  --database-url URL  an empty database, as its owner; the schema is dropped at the end unless "
         "--keep\n"
         "  --accounts N        accounts opened first (default 1000000)\n"
         "  --transfers N       transfers for each batch size (default 200000)\n"
         "  --batch LIST        transfers a transaction (default 64,256,1000,8000)\n"
         "  --hot               every transfer credits the same account\n"
         "  --lock KIND         what serialises writers of a ledger (default: the product's)\n"
         "  --no-checks         with the triggers off, to tell what they cost\n"
         "  --no-notify         commits wake nobody");
}

static bool read_lock(const char *word, enum ledger_lock *ret_lock)
{
    static const char *const words[] = {"default", "advisory", "row", "none"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0) {
            *ret_lock = (enum ledger_lock)i;
            return true;
        }
    return false;
}

static bool read_flag(struct settings *set, const char *word)
{
    bool *flag = strcmp(word, "--hot") == 0         ? &set->hot
                 : strcmp(word, "--keep") == 0      ? &set->keep
                 : strcmp(word, "--json") == 0      ? &set->json
                 : strcmp(word, "--no-checks") == 0 ? &set->no_checks
                 : strcmp(word, "--no-notify") == 0 ? &set->no_notify
                                                    : NULL;
    if (flag != NULL)
        *flag = true;
    return flag != NULL;
}

static void refuse_arguments(bool help)
{
    usage();
    exit(help ? 0 : 2);
}

static void read_arguments(struct settings *set, int argc, char **argv)
{
    const char *batches = "64,256,1000,8000";
    *set = (struct settings){.accounts = 1000000, .transfers = 200000};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (read_flag(set, argv[i]))
            continue;
        if (strcmp(argv[i], "--database-url") == 0 && ++i)
            set->url = value;
        else if (strcmp(argv[i], "--accounts") == 0 && ++i)
            set->accounts = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--transfers") == 0 && ++i)
            set->transfers = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--batch") == 0 && ++i)
            batches = value;
        else if (strcmp(argv[i], "--lock") != 0 || !read_lock(argv[++i] == NULL ? "" : value, &set->lock))
            refuse_arguments(strcmp(argv[i] == NULL ? "" : argv[i], "--help") == 0);
    }
    struct str rest = str_of(batches), one;
    while (str_split(&rest, ',', &one)) {
        uint64_t size = 0;
        if (!str_to_uint64(one, &size) || size < 1 || size > 1000000 || set->n_batches == BATCHES_MAX)
            refuse_arguments(false);
        set->batches[set->n_batches++] = (unsigned)size;
    }
    if (set->url == NULL || set->accounts < 2 || set->transfers < 1)
        refuse_arguments(false);
}

static void print_result(const struct floor_bench *b, size_t i, struct rate rate)
{
    if (b->set.json)
        printf("%s{\"batch\":%u,\"transfersPerSecond\":%.0f,\"cpuMicros\":%.2f}", i == 0 ? "" : ",",
            b->set.batches[i], rate.per_second, rate.cpu_micros);
    else
        printf("%8u  %11.0f  %19.1f\n", b->set.batches[i], rate.per_second, rate.cpu_micros);
    fflush(stdout);
}

static void make_room(struct floor_bench *b)
{
    size_t most = OPENINGS;
    for (size_t i = 0; i < b->set.n_batches; i++)
        most = b->set.batches[i] > most ? b->set.batches[i] : most;
    b->heads = calloc(b->set.accounts, sizeof *b->heads);
    INVARIANT(b->heads != NULL);
    for (size_t i = 0; i < 2; i++) {
        b->batches[i].slots = calloc(most, sizeof *b->batches[i].slots);
        b->batches[i].records = calloc(most, sizeof *b->batches[i].records);
        INVARIANT(b->batches[i].slots != NULL && b->batches[i].records != NULL);
    }
}

static void disable_checks(struct floor_bench *b)
{
    static const char *const tables[] = {
        "entry", "journal", "record_text", "account", "account_revision", "lot"};
    char sql[128];
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        snprintf(sql, sizeof sql, "ALTER TABLE creditledger.%s DISABLE TRIGGER USER", tables[i]);
        must_run(b, sql, NULL, 0);
    }
}

static void set_up(struct floor_bench *b)
{
    char value[32];
    const struct journal_options options = {
        .mode = JOURNAL_WRITE, .create = true, .now = 1, .lock = b->set.lock, .no_notify = b->set.no_notify};
    b->pg = PQconnectdb(b->set.url);
    if (PQstatus(b->pg) != CONNECTION_OK) {
        fprintf(stderr, "floor_postgres: %s", PQerrorMessage(b->pg));
        exit(1);
    }
    must_run(b, "SET client_min_messages = warning", NULL, 0);
    must_run(b, "SELECT count(*) FROM pg_namespace WHERE nspname = 'creditledger'", value, sizeof value);
    if (strcmp(value, "0") != 0) {
        fprintf(stderr, "floor_postgres: the database has a journal already\n");
        exit(1);
    }
    must(b, journal_open(b->set.url, &options, &b->j, &b->err));
    if (b->set.no_checks)
        disable_checks(b);
    open_accounts(b);
    must_run(b,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%append(%' AND"
        " pid <> pg_backend_pid() ORDER BY query_start DESC LIMIT 1",
        value, sizeof value);
    snprintf(b->stat_path, sizeof b->stat_path, "/proc/%s/stat", value);
    must_run(b, "CHECKPOINT", NULL, 0);
}

static void tear_down(struct floor_bench *b)
{
    journal_close(b->j);
    if (!b->set.keep)
        must_run(b, "DROP SCHEMA creditledger CASCADE", NULL, 0);
    PQfinish(b->pg);
    for (size_t i = 0; i < 2; i++) {
        free(b->batches[i].slots);
        free(b->batches[i].records);
    }
    free(b->heads);
}

int main(int argc, char **argv)
{
    struct floor_bench b = {.random = 88172645463325252u};
    read_arguments(&b.set, argc, argv);
    make_room(&b);
    set_up(&b);
    if (b.set.json)
        printf("{\"accounts\":%" PRIu64 ",\"transfers\":%" PRIu64 ",\"hot\":%s,\"checks\":%s,\"floor\":[",
            b.set.accounts, b.set.transfers, b.set.hot ? "true" : "false",
            b.set.no_checks ? "false" : "true");
    else
        printf("%" PRIu64 " accounts, %" PRIu64
               " transfers a line, %s%s\n   batch  transfers/s  cpu us per transfer\n",
            b.set.accounts, b.set.transfers, b.set.hot ? "one hot account" : "uniform",
            b.set.no_checks ? ", without the checks" : "");
    for (size_t i = 0; i < b.set.n_batches; i++)
        print_result(&b, i, transfers(&b, b.set.batches[i]));
    if (b.set.json)
        puts("]}");
    tear_down(&b);
    return 0;
}
