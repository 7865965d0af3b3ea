/*
 * Clients, a network that loses, doubles and reorders what they say, the service with its engine, SQLite, and
 * a disk whose power fails between any two writes: one world in one thread, in which a seed decides what
 * happens next. The clock jumps in both directions. Clients do what clients must: they send a request again
 * with its key until an answer comes.
 *
 * At the end everybody has an answer, and every answer ever given stands: each acknowledged command is in the
 * journal exactly once, equal keys got equal answers, no money came or went, no wallet is below its floor,
 * the auditor finds nothing, and every command sent once more gives the first answer again and no record.
 *
 * A failure prints its seed; CREDITLEDGER_TEST_SEED=n runs that one alone, CREDITLEDGER_TEST_SEEDS=n runs as
 * many. The same world with synchronous=OFF must lose something: else it could not see a loss.
 */
#include "base/check.h"

#include <jansson.h>
#include <malloc.h>
#include <sqlite3.h>

#include "app/service.h"
#include "app/verify.h"
#include "support/vfs_crash.h"
#include "telemetry/log.h"

#define START INT64_C(1767225600000000) /* 2026-01-01 */
#define SECOND INT64_C(1000000)
#define WALLETS 6
#define CLIENTS 12
#define INTENTS 72 /* what all clients want, in sum */
#define BULK 3
#define MESSAGES 64
#define EVENTS_MAX 10000

/* One thing that a client wants, under one key. */
struct intent {
    char key[24];
    bool opens, credits;
    unsigned from, to;
    int64_t amount;
    bool acknowledged, declined;
    char id[40], code[40]; /* of the first answer */
};

/* A client wants one thing after another; some send several in one request. */
struct client {
    size_t first, n, done; /* its intents */
    size_t width;          /* how many it sends at once */
};

/* A request on its way, in the server, or an answer on its way back. */
struct message {
    enum { FREE, ON_ITS_WAY, IN_SERVER, READY, ANSWERED } state;
    struct client *client;
    size_t first, n; /* intents */
    char path[64], body[600], key[24];
    struct api_header headers[2];
    struct api_request request;
    struct service_call call;
    int status;
    json_t *json;
};

struct sim {
    uint64_t seed, dice;
    bool unsafe;
    int64_t clock;
    char url[96];
    struct journal *journal;
    struct catalog *catalog;
    struct engine *engine;
    struct service *service;
    struct intent intents[WALLETS + INTENTS];
    struct client clients[CLIENTS];
    struct message messages[MESSAGES];
    unsigned failures, restarts;
    bool lost;
    char loss[400];
};

static struct {
    unsigned runs, losses, power, restarts, answers, lost, doubled, again, declined;
    char first[500];
} total;

static char directory[64];

static void lose(struct sim *s, const char *format, ...) PRINTF_LIKE(2, 3);
static void lose(struct sim *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!s->lost)
        vsnprintf(s->loss, sizeof s->loss, format, args);
    va_end(args);
    s->lost = true;
}

static uint64_t draw(struct sim *s, uint64_t n)
{
    return check_below(&s->dice, n);
}

static bool one_in(struct sim *s, uint64_t n)
{
    return draw(s, n) == 0;
}

/* --- the server
 * ---------------------------------------------------------------------------------------------- */

static int64_t sim_now(void *environment)
{
    return ((struct sim *)environment)->clock++;
}

static void sim_random(void *environment, void *ret_bytes, size_t len)
{
    struct sim *s = environment;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)ret_bytes)[i] = (uint8_t)(check_random(&s->dice) >> 32);
}

static int server_open(struct sim *s, struct err *err)
{
    const struct journal_options options = {.mode = JOURNAL_WRITE,
        .create = true,
        .now = START,
        .vfs = VFS_CRASH_NAME,
        .unsafe_no_sync = s->unsafe,
        .cache_bytes = 1 << 20};
    int rc = journal_open(s->url, &options, &s->journal, err);
    if (rc == 0)
        rc = catalog_new(s->journal, &s->catalog, err);
    if (rc != 0)
        return rc;
    const struct engine_config engine = {.journal = s->journal,
        .catalog = s->catalog,
        .now = sim_now,
        .random = sim_random,
        .environment = s,
        .commit_commands = one_in(s, 3) ? 2 : 0,
        .cache_accounts = one_in(s, 3) ? 2 : 0};
    rc = engine_new(&engine, &s->engine, err);
    if (rc != 0)
        return rc;
    const struct service_config service = {
        .database_url = s->url, .engine = s->engine, .catalog = s->catalog, .now = sim_now, .environment = s};
    return service_new(&service, &s->service, err);
}

static void server_close(struct sim *s)
{
    service_free(s->service);
    engine_free(s->engine);
    catalog_free(s->catalog);
    journal_close(s->journal);
    s->service = NULL;
    s->engine = NULL;
    s->catalog = NULL;
    s->journal = NULL;
}

/* Power on, until the server serves; it may fail again meanwhile. */
static void server_boot(struct sim *s)
{
    struct err err = {0};
    for (int tries = 0; tries < 20; tries++) {
        if (server_open(s, &err) == 0)
            return;
        server_close(s);
        if (!vfs_crash_is_off())
            break;
        vfs_crash_reboot(s->seed * 1000 + ++s->failures);
        vfs_crash_fail_after(one_in(s, 3) ? 1 + draw(s, 40) : 0);
    }
    lose(s, "cannot be opened: %s", err.message);
}

static void set_up(struct sim *s, uint64_t seed, bool unsafe)
{
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->dice = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    s->unsafe = unsafe;
    s->clock = START;
    snprintf(s->url, sizeof s->url, "sqlite:%s/ledger.db", directory);
    for (size_t i = 0; i < WALLETS + INTENTS; i++) {
        struct intent *intent = &s->intents[i];
        snprintf(intent->key, sizeof intent->key, "k%zu", i);
        intent->opens = i < WALLETS;
        intent->to = (unsigned)(intent->opens ? i : draw(s, WALLETS));
        intent->from = (unsigned)((intent->to + 1 + draw(s, WALLETS - 1)) % WALLETS);
        intent->credits = one_in(s, 3);
        intent->amount = 1 + (int64_t)draw(s, 40);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        s->clients[i] = (struct client){.first = WALLETS + i * (INTENTS / CLIENTS),
            .n = INTENTS / CLIENTS,
            .width = one_in(s, 3) ? BULK : 1};
    s->clients[0].first = 0;
    s->clients[0].n += WALLETS;
    vfs_crash_format();
    (void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)seed, NULL);
    vfs_crash_fail_after(one_in(s, 4) ? 1 + draw(s, 60) : 0);
    server_boot(s);
}

/* --- requests
 * ------------------------------------------------------------------------------------------------ */

static size_t put_transfer(const struct intent *intent, bool with_key, char *body, size_t size)
{
    char from[24] = "@world", key[64] = "";
    if (!intent->credits)
        snprintf(from, sizeof from, "ext:w%u", intent->from);
    if (with_key)
        snprintf(key, sizeof key, ",\"idempotencyKey\":\"%s\"", intent->key);
    int n = snprintf(body, size,
        "{\"from\":\"%s\",\"to\":\"ext:w%u\",\"amount\":%lld,\"currency\":\"USD\",\"metadata\":{\"n\":\"%s\"}"
        "%s}",
        from, intent->to, (long long)intent->amount, intent->key, key);
    INVARIANT(n > 0 && (size_t)n < size);
    return (size_t)n;
}

static void put_bulk(const struct sim *s, struct message *m)
{
    size_t len = 0;
    snprintf(m->path, sizeof m->path, "/transfers/batch");
    for (size_t i = 0; i < m->n; i++) {
        m->body[len++] = i == 0 ? '[' : ',';
        len += put_transfer(&s->intents[m->first + i], true, m->body + len, sizeof m->body - len - 2);
    }
    snprintf(m->body + len, sizeof m->body - len, "]");
}

/* The next that the client wants, or what it has waited for in vain. */
static void write_request(struct sim *s, struct message *m)
{
    struct client *c = m->client;
    size_t at = c->first + c->done, left = c->n - c->done;
    const struct intent *intent = &s->intents[at];
    m->first = at;
    m->n = intent->opens || c->width == 1 ? 1 : left < c->width ? left : c->width;
    if (intent->opens) {
        snprintf(m->path, sizeof m->path, "/accounts");
        snprintf(m->body, sizeof m->body, "{\"currency\":\"USD\",\"externalId\":\"w%u\",\"minBalance\":0}",
            intent->to);
    } else if (m->n > 1) {
        put_bulk(s, m);
    } else {
        snprintf(m->path, sizeof m->path, "/transfers");
        put_transfer(intent, false, m->body, sizeof m->body);
    }
    snprintf(m->key, sizeof m->key, "%s", intent->key);
    m->headers[0] = (struct api_header){STR("Content-Type"), STR("application/json")};
    m->headers[1] = (struct api_header){STR("Idempotency-Key"), str_of(m->key)};
    m->request = (struct api_request){.method = API_POST,
        .method_name = STR("POST"),
        .path = str_of(m->path),
        .query = STR(""),
        .headers = m->headers,
        .n_headers = m->n > 1 ? 1 : 2,
        .body = str_of(m->body)};
}

static struct message *pick(struct sim *s, int state)
{
    size_t from = draw(s, MESSAGES);
    for (size_t i = 0; i < MESSAGES; i++)
        if ((int)s->messages[(from + i) % MESSAGES].state == state)
            return &s->messages[(from + i) % MESSAGES];
    return NULL;
}

static void client_sends(struct sim *s)
{
    struct client *c = &s->clients[draw(s, CLIENTS)];
    for (int copies = one_in(s, 8) ? 2 : 1; copies > 0 && c->done < c->n; copies--) {
        struct message *m = pick(s, FREE);
        if (m == NULL)
            return;
        m->client = c;
        write_request(s, m);
        m->state = ON_ITS_WAY;
        total.doubled += copies == 2;
    }
}

/* --- the network
 * --------------------------------------------------------------------------------------------- */

static void on_ready(struct service_call *call)
{
    struct message *m = call->owner;
    m->state = READY;
}

static void drop(struct message *m)
{
    json_decref(m->json);
    m->json = NULL;
    m->state = FREE;
}

static void deliver_request(struct sim *s)
{
    struct message *m = pick(s, ON_ITS_WAY);
    if (m == NULL)
        return;
    if (one_in(s, 10)) {
        total.lost++;
        drop(m);
        return;
    }
    m->state = IN_SERVER;
    m->call = (struct service_call){.request = &m->request, .ready = on_ready, .owner = m};
    service_begin(s->service, &m->call);
}

/* The answer leaves the server, if the power is on. */
static void finish(struct sim *s, struct message *m)
{
    bool complete = service_finish(s->service, &m->call);
    INVARIANT(complete);
    struct api_response *r = &m->call.response;
    m->status = r->status;
    m->json = json_loadb(r->body.data, r->body.len, 0, NULL);
    api_response_fini(r);
    m->state = ANSWERED;
    if (m->json == NULL)
        lose(s, "an answer of status %d is no JSON", m->status);
}

static void finish_ready(struct sim *s)
{
    for (size_t i = 0; i < MESSAGES; i++)
        if (s->messages[i].state == READY)
            finish(s, &s->messages[i]);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* One intent's answer: an acknowledgement or a decline, the same each time; anything else: try again. */
static void take_answer(
    struct sim *s, struct intent *intent, int status, const json_t *effect, const json_t *problem)
{
    const char *code = text_of(problem, "code");
    const char *id = status == 201 ? text_of(effect, intent->opens ? "accountId" : "transferId")
                                   : text_of(problem, "transferId");
    bool declined = status == 422 && strcmp(code, "insufficient_funds") == 0;
    if (status != 201 && !declined) {
        total.again++;
        if (status != 503 && strcmp(code, "account_not_found") != 0)
            lose(s, "%s: status %d, %s", intent->key, status, code);
        return;
    }
    total.answers++;
    total.declined += declined;
    if (id[0] == '\0')
        lose(s, "%s: an answer without an id", intent->key);
    if (intent->acknowledged &&
        (intent->declined != declined || strcmp(intent->id, id) != 0 || strcmp(intent->code, code) != 0))
        lose(s, "%s: first %s %s, then %s %s", intent->key, intent->id, intent->code, id, code);
    intent->acknowledged = true;
    intent->declined = declined;
    snprintf(intent->id, sizeof intent->id, "%s", id);
    snprintf(intent->code, sizeof intent->code, "%s", code);
}

static void read_answer(struct sim *s, struct message *m)
{
    for (size_t i = 0; i < m->n; i++) {
        struct intent *intent = &s->intents[m->first + i];
        const json_t *one = json_array_get(json_object_get(m->json, "results"), i);
        if (m->n == 1)
            take_answer(s, intent, m->status, m->json, m->json);
        else if (m->status == 200)
            take_answer(s, intent, (int)json_integer_value(json_object_get(one, "status")),
                json_object_get(one, "transfer"), json_object_get(one, "error"));
        else
            take_answer(s, intent, m->status, NULL, m->json);
    }
    struct client *c = m->client;
    while (c->done < c->n && s->intents[c->first + c->done].acknowledged)
        c->done++;
}

static void deliver_answer(struct sim *s)
{
    struct message *m = pick(s, ANSWERED);
    if (m == NULL)
        return;
    if (one_in(s, 6))
        total.lost++;
    else
        read_answer(s, m);
    drop(m);
}

/* --- what befalls the server
 * --------------------------------------------------------------------------------- */

/* The process ends with everything in it: what it had not sent yet is never sent. */
static void server_dies(struct sim *s)
{
    while (engine_step(s->engine))
        ;
    finish_ready(s);
    for (size_t i = 0; i < MESSAGES; i++) {
        INVARIANT(s->messages[i].state != IN_SERVER);
        if (s->messages[i].state == ANSWERED)
            drop(&s->messages[i]);
    }
    server_close(s);
}

static void power_fails(struct sim *s)
{
    vfs_crash_power_off();
    server_dies(s);
    vfs_crash_reboot(s->seed * 1000 + ++s->failures);
    server_boot(s);
}

static void next_failure(struct sim *s)
{
    if (s->failures < 4 && one_in(s, 20))
        vfs_crash_fail_after(1 + draw(s, 30));
}

static void restart(struct sim *s)
{
    service_stop(s->service);
    server_dies(s);
    s->restarts++;
    server_boot(s);
}

static void clock_jumps(struct sim *s)
{
    int64_t by = (int64_t)draw(s, 7200) * SECOND;
    s->clock += one_in(s, 2) ? by : -by;
    if (s->clock < START - 86400 * SECOND)
        s->clock = START;
}

static void engine_works(struct sim *s)
{
    (void)engine_step(s->engine);
    finish_ready(s);
}

static bool everybody_is_done(const struct sim *s)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (s->clients[i].done < s->clients[i].n)
            return false;
    return true;
}

static void event(struct sim *s)
{
    switch (draw(s, 16)) {
    case 0:
        next_failure(s);
        break;
    case 1:
        if (one_in(s, 10))
            clock_jumps(s);
        break;
    case 2:
        if (one_in(s, 90))
            restart(s);
        break;
    case 3:
    case 4:
    case 5:
        client_sends(s);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        deliver_request(s);
        break;
    case 10:
    case 11:
        engine_works(s);
        break;
    default:
        deliver_answer(s);
        break;
    }
    /* The moment of the failure was within a write; what the server does about it, nobody hears. */
    if (!s->lost && vfs_crash_is_off())
        power_fails(s);
}

/* --- afterwards
 * ---------------------------------------------------------------------------------------------- */

static void on_fault(void *ctx, const struct verify_fault *fault)
{
    lose(ctx, "verify: %s seq %llu: %s", fault->invariant, (unsigned long long)fault->seq, fault->message);
}

static const struct intent *intent_of(const struct sim *s, const struct record *record)
{
    for (size_t i = 0; i < WALLETS + INTENTS; i++)
        if (str_eq_c(record->idempotency_key, s->intents[i].key))
            return &s->intents[i];
    return NULL;
}

/* What the journal holds of an intent is what was asked and what was answered. */
static void check_record(struct sim *s, const struct record *record, unsigned *times, int64_t *balances)
{
    char id[UUID_TEXT_LEN + 1];
    const struct intent *intent = intent_of(s, record);
    if (record->idempotency_key.data == NULL && record->kind == RECORD_OPENING)
        return; /* @world */
    if (intent == NULL) {
        lose(s, "record %llu: nobody wanted it", (unsigned long long)record->seq);
        return;
    }
    uuid_format(intent->opens && record->account != NULL ? record->account->id : record->id, id);
    bool as_asked = intent->opens      ? record->kind == RECORD_OPENING
                    : intent->declined ? record->kind == RECORD_DECLINED
                                       : record->kind == RECORD_TRANSFER && record->n_entries == 2 &&
                                             record->entries[1].change.posted == intent->amount;
    if (times[intent - s->intents]++ > 0)
        lose(s, "%s has two effects", intent->key);
    if (!as_asked || strcmp(id, intent->id) != 0)
        lose(s, "%s: record %llu (kind %d) is not what was answered", intent->key,
            (unsigned long long)record->seq, (int)record->kind);
    if (record->kind != RECORD_TRANSFER)
        return;
    balances[intent->to] += intent->amount;
    if (!intent->credits)
        balances[intent->from] -= intent->amount;
    for (unsigned i = 0; i < WALLETS; i++)
        if (balances[i] < 0)
            lose(s, "wallet %u is below its floor after record %llu", i, (unsigned long long)record->seq);
}

static void check_balances(struct sim *s, const int64_t *balances, int64_t sum)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (unsigned i = 0; i <= WALLETS; i++) {
        struct account_want want = {
            .ledger = 1, .external_id = i < WALLETS ? arena_printf(&arena, "w%u", i) : STR("@world:USD")};
        struct err err;
        int64_t expected = i < WALLETS ? balances[i] : -sum;
        if (s->journal->ops->accounts_fetch(s->journal, &want, 1, &arena, &err) != 0)
            lose(s, "accounts: %s", err.message);
        else if (want.found ? want.account.balance.posted != expected : expected != 0)
            lose(s, "wallet %u has %lld, not %lld", i, (long long)want.account.balance.posted,
                (long long)expected);
    }
    arena_fini(&arena);
}

static uint64_t check_journal(struct sim *s)
{
    unsigned times[WALLETS + INTENTS] = {0};
    int64_t balances[WALLETS] = {0}, sum = 0;
    const struct record *record = NULL;
    struct journal_scan *scan;
    struct err err;
    uint64_t n = 0;
    int rc = s->journal->ops->scan_open(s->journal, 1, 1, false, &scan, &err);
    if (rc != 0) {
        lose(s, "scan: %s", err.message);
        return 0;
    }
    while ((rc = s->journal->ops->scan_next(scan, &record, &err)) == 0 && record != NULL) {
        check_record(s, record, times, balances);
        n++;
    }
    s->journal->ops->scan_close(scan);
    if (rc != 0)
        lose(s, "scan: %s", err.message);
    for (size_t i = 0; i < WALLETS + INTENTS; i++)
        if (times[i] != 1)
            lose(s, "%s was acknowledged and is there %u times", s->intents[i].key, times[i]);
    for (size_t i = 0; i < WALLETS; i++)
        sum += balances[i];
    check_balances(s, balances, sum);
    return n;
}

/* Every command once more: the first answer again, and nothing else. */
static void check_replays(struct sim *s)
{
    for (size_t i = 0; i < WALLETS + INTENTS && !s->lost; i++) {
        struct client one = {.first = i, .n = 1, .width = 1};
        struct message m = {.client = &one};
        struct api_response r;
        bool replayed = false;
        write_request(s, &m);
        service_sync(s->service, &m.request, &r);
        m.status = r.status;
        m.json = json_loadb(r.body.data, r.body.len, 0, NULL);
        for (size_t k = 0; k < r.n_headers; k++)
            replayed |= strcmp(r.headers[k].name, "Idempotency-Replayed") == 0;
        if (!replayed)
            lose(s, "%s: sent again, it was not told from new", s->intents[i].key);
        read_answer(s, &m);
        api_response_fini(&r);
        json_decref(m.json);
    }
}

static void check_all(struct sim *s)
{
    const struct verify_options options = {.fault = on_fault, .ctx = s};
    struct verify_counts counts;
    struct err err;
    uint64_t n = check_journal(s);
    check_replays(s);
    if (!s->lost && check_journal(s) != n)
        lose(s, "answers given again left records");
    if (verify_journal(s->journal, &options, &counts, &err) != 0)
        lose(s, "verify: %s", err.message);
}

static bool run_one(uint64_t seed, bool unsafe)
{
    static struct sim s;
    set_up(&s, seed, unsafe);
    int events = 0;
    for (; !s.lost && !everybody_is_done(&s) && events < EVENTS_MAX; events++)
        event(&s);
    if (!s.lost && events == EVENTS_MAX)
        lose(&s, "after %d events somebody still waits", events);
    vfs_crash_fail_after(0);
    if (!s.lost)
        power_fails(&s); /* what is acknowledged is there after a last failure, too */
    if (!s.lost)
        check_all(&s);
    if (s.service != NULL)
        server_dies(&s);
    for (size_t i = 0; i < MESSAGES; i++)
        drop(&s.messages[i]);
    total.runs++;
    total.power += s.failures;
    total.restarts += s.restarts;
    if (s.lost && total.losses++ == 0)
        snprintf(total.first, sizeof total.first, "seed %llu: %s", (unsigned long long)seed, s.loss);
    return !s.lost;
}

static uint64_t number_of(const char *variable, uint64_t usual)
{
    const char *text = getenv(variable);
    uint64_t n;
    return text != NULL && str_to_uint64(str_of(text), &n) ? n : usual;
}

static void every_answer_stands(void **state)
{
    (void)state;
    uint64_t only = number_of("CREDITLEDGER_TEST_SEED", 0), n = number_of("CREDITLEDGER_TEST_SEEDS", 100);
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : n); seed++)
        (void)run_one(seed, false);
    print_message(
        "# %u worlds, %u power failures, %u restarts, %u answers, %u declines among them; %u messages lost, "
        "%u doubled, %u to be sent again\n",
        total.runs, total.power, total.restarts, total.answers, total.declined, total.lost, total.doubled,
        total.again);
    if (total.losses > 0)
        fail_msg("%u of %u worlds; %s\n  CREDITLEDGER_TEST_SEED=n runs seed n again", total.losses,
            total.runs, total.first);
    assert_true(only || (total.power > n && total.restarts > 0 && total.declined > 0 && total.lost > 0));
}

/* In a process of its own: what the disk has forgotten may bring it down as well. */
static bool survives_without_syncs(uint64_t seed)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        _exit(run_one(seed, true) ? 0 : 1);
    }
    int status = 1;
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void without_syncs_the_loss_is_seen(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 1; seed <= 8; seed++)
        lost += !survives_without_syncs(seed);
    print_message("# %u of 8 worlds lost something\n", lost);
    assert_true(lost > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_stands),
        cmocka_unit_test(without_syncs_the_loss_is_seen),
    };
    char path[96];
    /* An engine's tables are large and mostly untouched: fresh pages, thousands of times, instead of wiped
     * ones. */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    log_setup((enum log_level)(LOG_ERROR + 1), LOG_JSON); /* failures are made on purpose here */
    /* The service opens its own handles, on the default VFS; and it looks first whether there is such a file.
     */
    vfs_crash_register();
    if (sqlite3_vfs_register(sqlite3_vfs_find(VFS_CRASH_NAME), 1) != SQLITE_OK)
        return 2;
    snprintf(directory, sizeof directory, "/tmp/creditledger-simulation-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return 2;
    snprintf(path, sizeof path, "%s/ledger.db", directory);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return 2;
    fclose(file);
    int failed = cmocka_run_group_tests_name("simulation/clients", tests, NULL, NULL);
    unlink(path);
    rmdir(directory);
    return failed;
}
