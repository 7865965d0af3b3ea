#include "app/serve_follow.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/store.h"
#include "telemetry/log.h"

struct follower {
    struct follow_config config;
    struct journal *journal;
    pthread_t thread;
    int stop_fd;  /* readable: it is to stop */
    bool failing; /* said once, until it works again */
    _Atomic bool unreachable;
};

/* True if it is to stop; at most so long. */
static bool rest(const struct follower *f, int ms)
{
    struct pollfd stop = {.fd = f->stop_fd, .events = POLLIN};
    return poll(&stop, 1, ms) > 0;
}

struct look {
    struct catalog *catalog;
    bool news, unknown_ledger;
};

static int see_head(void *ctx, uint32_t ledger, uint64_t seq)
{
    struct look *look = ctx;
    if (ledger > catalog_ledgers(look->catalog)) {
        look->unknown_ledger = true;
        return 0;
    }
    if (seq > catalog_head_seq(look->catalog, ledger)) {
        catalog_reached(look->catalog, ledger, seq);
        look->news = true;
    }
    return 0;
}

/* A ledger that is not known is added with its rows, and then has a head. What was heard of may be in the catalog
 * already, by the engine's doing or a reader's, and they wake nobody. */
static int look_around(struct follower *f, bool heard, struct err *err)
{
    struct look look = {.catalog = f->config.catalog};
    int r = f->journal->ops->heads(f->journal, see_head, &look, err);
    if (r == 0 && look.unknown_ledger) {
        r = catalog_refresh(f->config.catalog, f->journal, err);
        look.news = true;
    }
    if (r == 0 && (look.news || heard))
        f->config.reached(f->config.ctx);
    return r;
}

static void say(struct follower *f, int r, const struct err *err)
{
    if (r < 0 && !f->failing)
        log_event(LOG_WARNING, "cannot follow what other processes write; trying again every second", "error",
            err->message, NULL);
    else if (r >= 0 && f->failing)
        log_event(LOG_INFO, "following what other processes write again", NULL);
    f->failing = r < 0;
}

static void *follower_main(void *arg)
{
    struct follower *f = arg;
    for (bool stop = false; !stop;) {
        struct err err = {0};
        struct err unheard = {0};
        int heard = f->journal->ops->listen(f->journal, FOLLOW_POLL_MS, f->stop_fd, &unheard);
        /* Without messages there are still the heads, later. */
        int r = look_around(f, heard > 0, &err);
        atomic_store(&f->unreachable, r < 0);
        if (r == 0 && heard < 0) {
            r = heard;
            err = unheard;
        }
        say(f, r, &err);
        stop = rest(f, r < 0 ? FOLLOW_RETRY_MS : FOLLOW_REST_MS);
    }
    return NULL;
}

static int start(struct follower *f, struct err *err)
{
    const struct journal_options options = {
        .mode = JOURNAL_READ, .now = store_now(NULL), .direct_url = f->config.database_direct_url};
    int failed = journal_open(f->config.database_url, &options, &f->journal, err);
    if (failed)
        return failed;
    INVARIANT(f->journal->ops->listen != NULL && f->journal->ops->heads != NULL);
    failed = f->journal->ops->listen(f->journal, 0, -1, err);
    if (failed < 0)
        return err_wrap(err, "cannot listen for what other processes write");
    f->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->stop_fd < 0 || pthread_create(&f->thread, NULL, follower_main, f) != 0)
        return err_set(err, ERR_IO, "cannot start a thread");
    return 0;
}

static void follower_free(struct follower *f)
{
    journal_close(f->journal);
    if (f->stop_fd >= 0)
        close(f->stop_fd);
    free(f);
}

bool serve_follow_reachable(const struct follower *f)
{
    return !atomic_load(&f->unreachable);
}

int serve_follow_start(const struct follow_config *config, struct follower **ret_follower, struct err *err)
{
    struct follower *f = calloc(1, sizeof *f);
    INVARIANT(f != NULL);
    f->config = *config;
    f->stop_fd = -1;
    int failed = start(f, err);
    if (failed) {
        follower_free(f);
        return failed;
    }
    *ret_follower = f;
    return 0;
}

void serve_follow_stop(struct follower *f)
{
    if (f == NULL)
        return;
    INVARIANT(eventfd_write(f->stop_fd, 1) == 0);
    pthread_join(f->thread, NULL);
    follower_free(f);
}
