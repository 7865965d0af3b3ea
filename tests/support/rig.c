#include "support/rig.h"

#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct rig *rig_of(struct journal *j)
{
    return (struct rig *)((char *)(uintptr_t)j->ops - offsetof(struct rig, ops));
}

static bool read_fails(struct rig *rig, struct err *err)
{
    if (rig->reads_until_fail == 0 || --rig->reads_until_fail > 0)
        return false;
    rig->reads_failed++;
    (void)err_set(err, ERR_IO, "made to fail");
    return true;
}

static struct journal *target(const struct rig *rig)
{
    return rig->standby != NULL ? rig->standby : rig->journal;
}

/* A read of the port that fails when it is its turn. */
#define FAILING(name, parameters, arguments) \
    static int rig_##name parameters \
    { \
        struct rig *rig = rig_of(j); \
        j = target(rig); \
        return read_fails(rig, err) ? ERR_IO : rig->real->name arguments; \
    }

FAILING(ledgers, (struct journal * j, journal_ledger_visit *visit, void *ctx, struct err *err),
    (j, visit, ctx, err))
FAILING(assets, (struct journal * j, journal_asset_visit *visit, void *ctx, struct err *err),
    (j, visit, ctx, err))
FAILING(head, (struct journal * j, uint32_t ledger, struct ledger_head *ret_head, struct err *err),
    (j, ledger, ret_head, err))
FAILING(accounts_fetch,
    (struct journal * j, struct account_want *wants, size_t n, struct arena *arena, struct err *err),
    (j, wants, n, arena, err))
FAILING(record,
    (struct journal * j, uint32_t ledger, uint64_t seq, bool with_text, struct arena *arena,
        const struct record **ret_record, struct err *err),
    (j, ledger, seq, with_text, arena, ret_record, err))
FAILING(lots,
    (struct journal * j, uint32_t ledger, uint64_t origin, struct arena *arena, const struct lot **ret_lots,
        size_t *ret_n, struct err *err),
    (j, ledger, origin, arena, ret_lots, ret_n, err))

static int rig_keys_fetch(struct journal *j, struct key_want *wants, size_t n, struct err *err)
{
    struct rig *rig = rig_of(j);
    rig->key_reads++;
    return read_fails(rig, err) ? ERR_IO : rig->real->keys_fetch(target(rig), wants, n, err);
}

static int rig_append(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    struct rig *rig = rig_of(j);
    j = target(rig);
    rig->appends++;
    if (rig->fault == RIG_SOUND || rig->appends_fail == 0)
        return rig->real->append(j, batch, err);
    rig->appends_fail--;
    if (rig->real->release != NULL) /* an append lets go of what was held, whatever becomes of it */
        rig->real->release(j);
    if (rig->fault == RIG_OUTCOME_UNKNOWN) {
        int rc = rig->real->append(j, batch, err);
        if (rc != 0)
            return rc;
    }
    return err_set(err, rig->fault_code, "made to fail");
}

/* --- a shared journal's calls */

static int rig_append_start(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    (void)err;
    struct rig *rig = rig_of(j);
    INVARIANT(!rig->in_flight);
    rig->in_flight = true;
    rig->sent = batch;
    rig->late = rig->commits_late;
    if (!rig->late)
        rig->outcome = rig_append(j, batch, &rig->outcome_err);
    return 0;
}

static int rig_append_finish(struct journal *j, struct err *err)
{
    struct rig *rig = rig_of(j);
    INVARIANT(rig->in_flight);
    rig->in_flight = false;
    if (rig->late)
        rig->outcome = rig_append(j, rig->sent, &rig->outcome_err);
    return rig->outcome == 0 ? 0 : err_set(err, rig->outcome, "%s", rig->outcome_err.message);
}

static int rig_append_fd(const struct journal *j)
{
    const struct rig *rig = rig_of((struct journal *)(uintptr_t)j);
    return rig->outcome_waits ? rig->quiet_fd : rig->ready_fd;
}

static int rig_catch_up(struct journal *j, const struct ledger_known *known, size_t n, bool hold,
    size_t max_entries, struct ledger_news *ret_news, journal_change_visit *visit, void *ctx, struct err *err)
{
    struct rig *rig = rig_of(j);
    rig->catch_ups++;
    rig->holds += hold;
    INVARIANT(!(hold && rig->in_flight));
    if (read_fails(rig, err))
        return ERR_IO;
    return rig->real->catch_up(target(rig), known, n, hold, max_entries, ret_news, visit, ctx, err);
}

static void rig_release(struct journal *j)
{
    struct rig *rig = rig_of(j);
    rig->real->release(target(rig));
}

static int rig_heads(struct journal *j, journal_head_visit *visit, void *ctx, struct err *err)
{
    struct rig *rig = rig_of(j);
    return read_fails(rig, err) ? ERR_IO : rig->real->heads(target(rig), visit, ctx, err);
}

static void rig_pause(void *environment, int64_t micros)
{
    (void)micros;
    ((struct rig *)environment)->pauses++;
}

static int64_t rig_now(void *environment)
{
    return ((struct rig *)environment)->clock;
}

/* xorshift64*, as in base/check.h, which a program without cmocka cannot include. */
static void rig_random(void *environment, void *ret_bytes, size_t len)
{
    struct rig *rig = environment;
    uint8_t *bytes = ret_bytes;
    for (size_t i = 0; i < len; i++) {
        rig->random ^= rig->random >> 12;
        rig->random ^= rig->random << 25;
        rig->random ^= rig->random >> 27;
        bytes[i] = (uint8_t)(rig->random * UINT64_C(2685821657736338717) >> 56);
    }
}

static int open_engine(struct rig *rig, struct err *err)
{
    const struct journal_options options = {.mode = JOURNAL_WRITE,
        .create = true,
        .now = rig->options.now,
        .cache_bytes = 1 << 20,
        .vfs = rig->options.vfs,
        .unsafe_no_sync = rig->options.unsafe_no_sync,
        .shared = rig->options.shared};
    int rc = journal_open(rig->options.url, &options, &rig->journal, err);
    if (rc != 0)
        return rc;
    rig->real = rig->journal->ops;
    rig->ops = *rig->real;
    rig->ops.ledgers = rig_ledgers;
    rig->ops.assets = rig_assets;
    rig->ops.head = rig_head;
    rig->ops.accounts_fetch = rig_accounts_fetch;
    rig->ops.keys_fetch = rig_keys_fetch;
    rig->ops.record = rig_record;
    rig->ops.lots = rig_lots;
    rig->ops.append = rig_append;
    if (rig->journal->shared) {
        rig->ops.append_start = rig_append_start;
        rig->ops.append_finish = rig_append_finish;
        rig->ops.append_fd = rig_append_fd;
        rig->ops.catch_up = rig_catch_up;
        rig->ops.release = rig_release;
        rig->ops.heads = rig_heads;
    }
    rig->journal->ops = &rig->ops;
    rc = catalog_new(rig->journal, &rig->catalog, err);
    if (rc != 0)
        return rc;
    const struct engine_config config = {.journal = rig->journal,
        .catalog = rig->catalog,
        .now = rig_now,
        .random = rig_random,
        .pause = rig_pause,
        .environment = rig,
        .metrics = rig->metrics,
        .queue_commands = rig->options.queue_commands,
        .commit_commands = rig->options.commit_commands,
        .cache_accounts = rig->options.cache_accounts};
    return engine_new(&config, &rig->engine, err);
}

static void close_engine(struct rig *rig)
{
    engine_free(rig->engine);
    catalog_free(rig->catalog);
    if (rig->journal != NULL)
        rig->journal->ops = rig->real;
    journal_close(rig->journal);
    journal_close(rig->standby);
    rig->standby = NULL;
    rig->in_flight = false;
    rig->engine = NULL;
    rig->catalog = NULL;
    rig->journal = NULL;
}

int rig_open(struct rig *rig, const struct rig_options *options, struct err *err)
{
    memset(rig, 0, sizeof *rig);
    rig->options = *options;
    rig->clock = options->now;
    rig->random = options->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    rig->metrics = metrics_new();
    rig->quiet_fd = eventfd(0, EFD_CLOEXEC);
    rig->ready_fd = eventfd(1, EFD_CLOEXEC);
    if (rig->quiet_fd < 0 || rig->ready_fd < 0)
        return err_set(err, ERR_IO, "eventfd");
    int rc = open_engine(rig, err);
    const struct journal_options reader = {.mode = JOURNAL_READ, .vfs = options->vfs};
    return rc != 0 ? rc : journal_open(options->url, &reader, &rig->reader, err);
}

int rig_restart(struct rig *rig, struct err *err)
{
    close_engine(rig);
    return open_engine(rig, err);
}

int rig_failover(struct rig *rig, const char *url, struct err *err)
{
    const struct journal_options options = {.mode = JOURNAL_WRITE, .shared = true};
    return journal_open(url, &options, &rig->standby, err);
}

void rig_close(struct rig *rig)
{
    close_engine(rig);
    journal_close(rig->reader);
    metrics_free(rig->metrics);
    close(rig->quiet_fd);
    close(rig->ready_fd);
    rig->reader = NULL;
    rig->metrics = NULL;
}
