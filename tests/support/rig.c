#include "support/rig.h"

#include <stddef.h>
#include <string.h>

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

/* A read of the port that fails when it is its turn. */
#define FAILING(name, parameters, arguments) \
    static int rig_##name parameters \
    { \
        struct rig *rig = rig_of(j); \
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
FAILING(
    keys_fetch, (struct journal * j, struct key_want *wants, size_t n, struct err *err), (j, wants, n, err))
FAILING(record,
    (struct journal * j, uint32_t ledger, uint64_t seq, bool with_text, struct arena *arena,
        const struct record **ret_record, struct err *err),
    (j, ledger, seq, with_text, arena, ret_record, err))
FAILING(lots,
    (struct journal * j, uint32_t ledger, uint64_t origin, struct arena *arena, const struct lot **ret_lots,
        size_t *ret_n, struct err *err),
    (j, ledger, origin, arena, ret_lots, ret_n, err))

static int rig_append(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    struct rig *rig = rig_of(j);
    rig->appends++;
    if (rig->fault == RIG_SOUND || rig->appends_fail == 0)
        return rig->real->append(j, batch, err);
    rig->appends_fail--;
    if (rig->fault == RIG_OUTCOME_UNKNOWN) {
        int rc = rig->real->append(j, batch, err);
        if (rc != 0)
            return rc;
    }
    return err_set(err, rig->fault_code, "made to fail");
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
        .unsafe_no_sync = rig->options.unsafe_no_sync};
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
    rig->journal->ops = &rig->ops;
    rc = catalog_new(rig->journal, &rig->catalog, err);
    if (rc != 0)
        return rc;
    const struct engine_config config = {.journal = rig->journal,
        .catalog = rig->catalog,
        .now = rig_now,
        .random = rig_random,
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
    int rc = open_engine(rig, err);
    const struct journal_options reader = {.mode = JOURNAL_READ, .vfs = options->vfs};
    return rc != 0 ? rc : journal_open(options->url, &reader, &rig->reader, err);
}

int rig_restart(struct rig *rig, struct err *err)
{
    close_engine(rig);
    return open_engine(rig, err);
}

void rig_close(struct rig *rig)
{
    close_engine(rig);
    journal_close(rig->reader);
    metrics_free(rig->metrics);
    rig->reader = NULL;
    rig->metrics = NULL;
}
