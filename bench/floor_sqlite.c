/*
 * The floor of the SQLite journal: what the database allows with the product's own migrations and every check
 * on. A plain C loop with prepared statements writes transfers the way the backend does (from parts to seal,
 * one transaction a batch), with keys, hashes, references and texts filled, each transfer with its own key;
 * there is no engine, no decision, and the hashes are filler bytes. Prints transfers a second for each batch
 * size.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/uuid.h"
#include "journal/sqlite_internal.h"

#define TEXT "{\"metadata\":{\"order\":\"2718281828\",\"channel\":\"web\"}}"
#define BATCHES_MAX 16

struct settings {
    const char *path; /* a new file; it is deleted at the end unless keep */
    uint64_t accounts, transfers;
    unsigned batches[BATCHES_MAX];
    size_t n_batches;
    bool hot, keep, json;
};

struct floor_bench {
    struct settings set;
    struct sqlite_journal *s;
    struct err err;
    uint64_t seq, random;
    struct head {
        int64_t posted;
        uint32_t version;
    } * heads; /* [number - 1] */
};

struct rate {
    double per_second, cpu_micros; /* transfers a second; processor time of one */
};

static void must(struct floor_bench *b, int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "floor_sqlite: %s\n", b->err.message);
    exit(1);
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64*, S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled". */
static uint64_t next_random(struct floor_bench *b)
{
    b->random ^= b->random >> 12;
    b->random ^= b->random << 25;
    b->random ^= b->random >> 27;
    return b->random * UINT64_C(2685821657736338717);
}

static sqlite3_stmt *get(struct floor_bench *b, enum sql_id id)
{
    sqlite3_stmt *statement;
    must(b, sql_get(b->s, id, &statement, &b->err));
    return statement;
}

static void step(struct floor_bench *b, sqlite3_stmt *statement)
{
    must(b, sql_step(b->s, statement, &b->err));
}

static void begin(struct floor_bench *b)
{
    must(b, sql_run(b->s, SQL_BEGIN_IMMEDIATE, &b->err));
    sqlite3_stmt *st = get(b, SQL_APPENDING);
    sqlite3_bind_int64(st, 1, 1);
    step(b, st);
}

static void commit(struct floor_bench *b)
{
    must(b, sql_run(b->s, SQL_APPENDED, &b->err));
    must(b, sql_run(b->s, SQL_COMMIT, &b->err));
    sqlite_checkpoint(b->s);
}

static void put_entry(struct floor_bench *b, uint64_t leg, uint64_t account, int64_t amount)
{
    struct head *head = &b->heads[account - 1];
    sqlite3_stmt *st = get(b, SQL_INSERT_ENTRY);
    head->posted += amount;
    head->version++;
    sqlite3_bind_int64(st, 1, place_key(1, b->seq, leg));
    sql_bind_uint(st, 2, account);
    sqlite3_bind_int64(st, 3, head->version);
    sqlite3_bind_int64(st, 4, 1);
    sqlite3_bind_int64(st, 5, 1);
    sqlite3_bind_int64(st, 6, 1);
    sqlite3_bind_null(st, 7);
    sqlite3_bind_int64(st, 8, amount);
    sqlite3_bind_int64(st, 9, 0);
    sqlite3_bind_int64(st, 10, 0);
    sqlite3_bind_int64(st, 11, head->posted);
    sqlite3_bind_int64(st, 12, 0);
    sqlite3_bind_int64(st, 13, 0);
    sqlite3_bind_null(st, 14);
    step(b, st);
}

static void put_seal(struct floor_bench *b, enum record_kind kind, bool filled)
{
    uint64_t filler[4] = {next_random(b), next_random(b), next_random(b), next_random(b)};
    char key[40], reference[32];
    int64_t instant = INT64_C(1700000000000000) + (int64_t)b->seq * 37;
    struct uuid id = uuid_make(instant, b->seq, (uint32_t)filler[0]);
    snprintf(key, sizeof key, "%016" PRIx64 "%016" PRIx64, filler[0], filler[1]);
    snprintf(reference, sizeof reference, "order-%" PRIu64, b->seq);
    if (filled) {
        sqlite3_stmt *st = get(b, SQL_INSERT_TEXT);
        sqlite3_bind_int64(st, 1, record_key(1, b->seq));
        sql_bind_bytes(st, 2, filler, SALT_LEN);
        sql_bind_str(st, 3, STR(TEXT));
        step(b, st);
    }
    sqlite3_stmt *st = get(b, SQL_INSERT_RECORD);
    sqlite3_bind_int64(st, 1, record_key(1, b->seq));
    sqlite3_bind_int(st, 2, (int)kind);
    sqlite3_bind_int(st, 3, 0);
    sqlite3_bind_int(st, 4, RECORD_FORMAT);
    sqlite3_bind_null(st, 5);
    sqlite3_bind_int(st, 6, 0);
    sqlite3_bind_null(st, 7);
    sqlite3_bind_int64(st, 8, instant);
    sqlite3_bind_int64(st, 9, instant);
    sql_bind_uuid(st, 10, id);
    sql_bind_str(st, 12, filled ? str_of(key) : STR_NONE);
    sql_bind_bytes(st, 13, filled ? filler : NULL, HASH_LEN);
    sql_bind_str(st, 14, filled ? str_of(reference) : STR_NONE);
    sql_bind_str(st, 15, STR("bench"));
    sql_bind_bytes(st, 16, filled ? filler : NULL, TRACE_ID_LEN);
    sql_bind_bytes(st, 17, filled ? filler : NULL, HASH_LEN);
    sql_bind_bytes(st, 18, filler, HASH_LEN);
    step(b, st);
}

static void open_accounts(struct floor_bench *b)
{
    must(b, sql_exec(b->s, "INSERT INTO asset(id, code, scale) VALUES(1, 'USD', 2)", &b->err));
    begin(b);
    for (uint64_t number = 1; number <= b->set.accounts; number++) {
        if (number % 10000 == 0) {
            commit(b);
            begin(b);
        }
        b->seq++;
        struct uuid id = uuid_make(INT64_C(1700000000000000), number, (uint32_t)next_random(b));
        sqlite3_stmt *st = get(b, SQL_ANNOUNCE);
        sqlite3_bind_int64(st, 1, record_key(1, b->seq));
        sqlite3_bind_int64(st, 2, 1);
        step(b, st);
        st = get(b, SQL_INSERT_REVISION);
        sqlite3_bind_int64(st, 1, place_key(1, b->seq, 0));
        sql_bind_uint(st, 2, number);
        sqlite3_bind_int(st, 3, 1);
        sqlite3_bind_int(st, 4, ACCOUNT_OPEN);
        sqlite3_bind_null(st, 5);
        sqlite3_bind_null(st, 6);
        step(b, st);
        st = get(b, SQL_INSERT_ACCOUNT);
        sqlite3_bind_int64(st, 1, record_key(1, number));
        sqlite3_bind_int(st, 2, 1);
        sqlite3_bind_int(st, 3, ACCOUNT_LIABILITY);
        sql_bind_uint(st, 4, b->seq);
        sql_bind_uuid(st, 5, id);
        sqlite3_bind_null(st, 7);
        step(b, st);
        put_entry(b, 0, number, 0);
        put_seal(b, RECORD_OPENING, false);
        st = get(b, SQL_EXAMINE);
        sqlite3_bind_int64(st, 1, 1);
        step(b, st);
    }
    commit(b);
}

/* Of this process: what a busy machine takes from it does not count. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct rate transfers(struct floor_bench *b, unsigned batch)
{
    double start = now_seconds(), cpu = cpu_seconds(), n = (double)b->set.transfers;
    for (uint64_t done = 0; done < b->set.transfers;) {
        begin(b);
        for (unsigned i = 0; i < batch && done < b->set.transfers; i++, done++) {
            uint64_t debit = next_random(b) % b->set.accounts + 1;
            uint64_t credit = b->set.hot ? 1 : next_random(b) % b->set.accounts + 1;
            int64_t amount = (int64_t)(next_random(b) % 10000) + 1;
            if (debit == credit)
                debit = debit % b->set.accounts + 1;
            b->seq++;
            put_entry(b, 0, debit, -amount);
            put_entry(b, 1, credit, amount);
            put_seal(b, RECORD_TRANSFER, true);
        }
        commit(b);
    }
    return (struct rate){n / (now_seconds() - start), (cpu_seconds() - cpu) / n * 1e6};
}

static void usage(void)
{
    puts("usage: floor_sqlite [--path FILE] [--accounts N] [--transfers N] [--batch N,N,...] [--hot] "
         "[--keep] [--json]\n"
         "Transfers a second that SQLite allows with the product's schema, every constraint and trigger on.\n"
         "  --path FILE    database to make (default ./floor.db); removed at the end unless --keep\n"
         "  --accounts N   accounts opened first (default 1000000)\n"
         "  --transfers N  transfers for each batch size (default 200000)\n"
         "  --batch LIST   transfers a transaction (default 64,256,1000,8000)\n"
         "  --hot          every transfer credits the same account");
}

static void read_arguments(struct settings *set, int argc, char **argv)
{
    const char *batches = "64,256,1000,8000";
    *set = (struct settings){.path = "floor.db", .accounts = 1000000, .transfers = 200000};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--hot") == 0)
            set->hot = true;
        else if (strcmp(argv[i], "--keep") == 0)
            set->keep = true;
        else if (strcmp(argv[i], "--json") == 0)
            set->json = true;
        else if (strcmp(argv[i], "--path") == 0 && ++i)
            set->path = value;
        else if (strcmp(argv[i], "--accounts") == 0 && ++i)
            set->accounts = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--transfers") == 0 && ++i)
            set->transfers = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--batch") == 0 && ++i)
            batches = value;
        else {
            usage();
            exit(strcmp(argv[i], "--help") == 0 ? 0 : 2);
        }
    }
    struct str rest = str_of(batches), one;
    while (str_split(&rest, ',', &one)) {
        uint64_t size = 0;
        if (!str_to_uint64(one, &size) || size < 1 || size > 1000000 || set->n_batches == BATCHES_MAX) {
            usage();
            exit(2);
        }
        set->batches[set->n_batches++] = (unsigned)size;
    }
    if (set->accounts < 2 || set->transfers < 1) {
        usage();
        exit(2);
    }
}

static void remove_database(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[4200];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
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

int main(int argc, char **argv)
{
    struct floor_bench b = {.random = 88172645463325252u};
    struct journal *j;
    read_arguments(&b.set, argc, argv);
    if (access(b.set.path, F_OK) == 0) {
        fprintf(stderr, "floor_sqlite: %s exists\n", b.set.path);
        return 1;
    }
    b.heads = calloc(b.set.accounts, sizeof *b.heads);
    INVARIANT(b.heads != NULL);
    const struct journal_options options = {.mode = JOURNAL_WRITE, .create = true, .now = 1};
    must(&b, journal_sqlite_open(b.set.path, &options, &j, &b.err));
    b.s = (struct sqlite_journal *)j;
    open_accounts(&b);
    if (b.set.json)
        printf("{\"accounts\":%" PRIu64 ",\"transfers\":%" PRIu64 ",\"hot\":%s,\"floor\":[", b.set.accounts,
            b.set.transfers, b.set.hot ? "true" : "false");
    else
        printf("%" PRIu64 " accounts, %" PRIu64
               " transfers a line, %s\n   batch  transfers/s  cpu us per transfer\n",
            b.set.accounts, b.set.transfers, b.set.hot ? "one hot account" : "uniform");
    for (size_t i = 0; i < b.set.n_batches; i++)
        print_result(&b, i, transfers(&b, b.set.batches[i]));
    if (b.set.json)
        puts("]}");
    j->ops->close(j);
    if (!b.set.keep)
        remove_database(b.set.path);
    free(b.heads);
    return 0;
}
