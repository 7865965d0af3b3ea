#include "app/store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/instant.h"
#include "journal/postgres.h"
#include "telemetry/metrics.h"

#define STORE_FILE "ledger.db"
#define SQLITE_SCHEME "sqlite:"

int store_url(const struct options *o, char *ret_url, size_t size, struct err *err)
{
    const char *url = options_get(o, "database-url"), *data = options_get(o, "data");
    if (url != NULL && *url == '\0')
        url = NULL;
    if (url != NULL && options_given(o, "data")) {
        if (options_given(o, "database-url"))
            return err_set(
                err, ERR_CONFIG, "--data and --database-url both name a database: say one of them");
        url = NULL; /* the command line comes before the environment */
    }
    if (url == NULL && (data == NULL || *data == '\0'))
        return err_set(err, ERR_CONFIG, "--data is empty: name the directory of the database");
    int n = url != NULL ? snprintf(ret_url, size, "%s", url)
                        : snprintf(ret_url, size, SQLITE_SCHEME "%s/" STORE_FILE, data);
    if (n < 0 || (size_t)n >= size)
        return err_set(err, ERR_CONFIG, "the path of the database is too long (%d bytes)", n);
    return 0;
}

/* False after saying what is wrong. Commands that only read have no such options. */
static int write_options(const struct options *o, struct journal_options *options, struct err *err)
{
    static const struct {
        const char *name;
        enum ledger_lock lock;
    } locks[] = {{"auto", LEDGER_LOCK_DEFAULT}, {"advisory", LEDGER_LOCK_ADVISORY}, {"row", LEDGER_LOCK_ROW},
        {"none", LEDGER_LOCK_NONE}};
    if (!options_has(o, "ledger-lock"))
        return 0;
    const char *lock = options_get(o, "ledger-lock"), *notify = options_get(o, "database-notify");
    size_t i = 0, n = sizeof locks / sizeof *locks;
    while (i < n && strcmp(locks[i].name, lock) != 0)
        i++;
    if (i == n)
        return err_set(
            err, ERR_CONFIG, "--ledger-lock is '%s': it must be auto, advisory, row or none", lock);
    options->lock = locks[i].lock;
    options->no_notify = strcmp(notify, "off") == 0;
    if (!options->no_notify && strcmp(notify, "on") != 0)
        return err_set(err, ERR_CONFIG, "--database-notify is '%s': it must be on or off", notify);
    return 0;
}

/* The direct URL of the environment is for the database of the environment: with another one it says nothing. */
static int direct_option(const struct options *o, struct store *s, struct err *err)
{
    const char *direct = options_has(o, "database-direct-url") ? options_get(o, "database-direct-url") : NULL;
    if (direct == NULL || *direct == '\0')
        return 0;
    bool given = options_given(o, "database-direct-url");
    if (postgres_url(s->url) && (given || !options_given(o, "database-url"))) {
        if (!postgres_url(direct))
            return err_set(err, ERR_CONFIG, "--database-direct-url must begin with postgres://");
        s->options.direct_url = direct;
        return 0;
    }
    return given ? err_set(err, ERR_CONFIG, "--database-direct-url goes with a --database-url of PostgreSQL")
                 : 0;
}

int store_describe(const struct options *o, struct store *ret_store, struct err *err)
{
    struct store s = {.lock_fd = -1, .options = {.mode = JOURNAL_READ, .now = store_now(NULL)}};
    int failed = store_url(o, s.url, sizeof s.url, err);
    if (!failed)
        failed = direct_option(o, &s, err);
    if (!failed)
        failed = write_options(o, &s.options, err);
    if (failed)
        return failed;
    if (postgres_url(s.url))
        postgres_url_redact(s.url, s.shown, sizeof s.shown);
    else
        memcpy(s.shown, s.url, sizeof s.shown);
    *ret_store = s;
    return 0;
}

/* Like mkdir -p. Only the owner enters what is made: a ledger is nobody else's business by default. */
static int make_directories(const char *path, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return err_set(err, ERR_CONFIG, "'%s' is no usable directory name", path);
    memcpy(part, path, len + 1);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char kept = *p;
        *p = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST && errno != EISDIR && errno != EROFS)
            return err_set(err, errno == ENOSPC ? ERR_FULL : ERR_IO, "cannot make the directory %s: %s", part,
                strerror(errno));
        *p = kept;
        if (kept == '\0')
            return 0;
    }
}

/*
 * A data directory is locked as a whole by DIR/lock, whether --data or --database-url leads to it; another
 * database file by a file of its name with ".lock" behind it. Symbolic links are followed first, so that two
 * names of one database meet in one lock.
 */
static int lock_path(const char *database, char ret_path[PATH_MAX], struct err *err)
{
    char real[PATH_MAX], directory[PATH_MAX], base[PATH_MAX];
    if (realpath(database, real) == NULL &&
        (size_t)snprintf(real, sizeof real, "%s", database) >= sizeof real)
        return err_set(err, ERR_CONFIG, "the path of the database is too long");
    memcpy(directory, real, sizeof directory);
    memcpy(base, real, sizeof base);
    const char *dir = dirname(directory), *name = basename(base);
    int failed = make_directories(dir, err);
    if (failed)
        return failed;
    int n = strcmp(name, STORE_FILE) == 0 ? snprintf(ret_path, PATH_MAX, "%s/lock", dir)
                                          : snprintf(ret_path, PATH_MAX, "%s.lock", real);
    if (n < 0 || n >= PATH_MAX)
        return err_set(err, ERR_CONFIG, "the path of the database is too long");
    return 0;
}

static int busy(int fd, const char *path, struct err *err)
{
    char holder[32] = "";
    ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
    holder[n > 0 ? n : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return err_set(err, ERR_BUSY,
        "another creditledger (process %s) has this database open for writing and holds %s: "
        "stop it first, or use another --data directory",
        *holder ? holder : "unknown", path);
}

int store_lock(const char *url, int *ret_fd, struct err *err)
{
    if (strncmp(url, SQLITE_SCHEME, strlen(SQLITE_SCHEME)) != 0) {
        *ret_fd = -1;
        return 0;
    }
    char path[PATH_MAX];
    int failed = lock_path(url + strlen(SQLITE_SCHEME), path, err);
    if (failed)
        return failed;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, errno == ENOSPC ? ERR_FULL : ERR_IO,
            "cannot write %s: %s; the data directory must be "
            "writable for this user",
            path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int code = errno == EWOULDBLOCK ? busy(fd, path, err)
                                        : err_set(err, ERR_IO, "cannot lock %s: %s", path, strerror(errno));
        close(fd);
        return code;
    }
    /* The pid is for the message above only; the lock is the kernel's, and ends with the process. */
    char pid[32];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n) {
        int code =
            err_set(err, errno == ENOSPC ? ERR_FULL : ERR_IO, "cannot write %s: %s", path, strerror(errno));
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return 0;
}

void store_unlock(int fd)
{
    if (fd < 0)
        return;
    /* The file stays: unlinking it would let two processes hold locks on two files of one name. */
    int emptied = ftruncate(fd, 0);
    (void)emptied; /* a stale pid misleads nobody once the lock is gone */
    close(fd);
}

int store_open_read(const struct options *o, struct store *ret_store, struct err *err)
{
    struct store s;
    int failed = store_describe(o, &s, err);
    if (failed)
        return failed;
    failed = journal_open(s.url, &s.options, &s.journal, err);
    if (failed == ERR_NOT_FOUND && !postgres_url(s.url))
        return err_set(err, failed,
            "there is no ledger at %s: 'creditledger serve' or 'creditledger migrate' makes one", s.shown);
    if (failed)
        return failed;
    failed = catalog_new(s.journal, &s.catalog, err);
    if (failed) {
        journal_close(s.journal);
        return failed;
    }
    *ret_store = s;
    return 0;
}

static int open_engine(const struct engine_config *tuning, struct store *s, struct err *err)
{
    struct journal_options options = s->options;
    options.mode = JOURNAL_WRITE;
    options.create = true;
    int failed = journal_open(s->url, &options, &s->journal, err);
    if (failed)
        return failed;
    failed = catalog_new(s->journal, &s->catalog, err);
    if (failed)
        return failed;
    s->metrics = metrics_new();
    struct engine_config config = tuning != NULL ? *tuning : (struct engine_config){0};
    config.journal = s->journal;
    config.catalog = s->catalog;
    config.now = store_now;
    config.random = store_random;
    config.environment = NULL;
    config.metrics = s->metrics;
    return engine_new(&config, &s->engine, err);
}

int store_open_tuned(
    const struct options *o, const struct engine_config *tuning, struct store *ret_store, struct err *err)
{
    struct store s;
    int failed = store_describe(o, &s, err);
    if (failed)
        return failed;
    failed = store_lock(s.url, &s.lock_fd, err);
    if (failed)
        return failed;
    failed = open_engine(tuning, &s, err);
    if (failed) {
        store_close(&s);
        return failed;
    }
    *ret_store = s;
    return 0;
}

int store_open_engine(const struct options *o, struct store *ret_store, struct err *err)
{
    return store_open_tuned(o, NULL, ret_store, err);
}

void store_close(struct store *s)
{
    if (s->url[0] == '\0')
        return;
    if (s->engine != NULL)
        engine_free(s->engine);
    if (s->catalog != NULL)
        catalog_free(s->catalog);
    journal_close(s->journal);
    if (s->metrics != NULL)
        metrics_free(s->metrics);
    store_unlock(s->lock_fd);
    *s = (struct store){.lock_fd = -1};
}

int64_t store_now(void *environment)
{
    (void)environment;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * MICROS_PER_SECOND + t.tv_nsec / 1000;
}

/* Salts are asked for by the thousand, 16 bytes each: a pool a thread saves the system call for each. */
void store_random(void *environment, void *ret_bytes, size_t len)
{
    (void)environment;
    static _Thread_local uint8_t pool[4096];
    static _Thread_local size_t left;
    uint8_t *out = ret_bytes;
    while (len > 0) {
        if (left == 0) {
            for (size_t got = 0; got < sizeof pool;) {
                ssize_t n = getrandom(pool + got, sizeof pool - got, 0);
                INVARIANT_F(n > 0 || errno == EINTR, "getrandom: %s", strerror(errno));
                got += n > 0 ? (size_t)n : 0;
            }
            left = sizeof pool;
        }
        size_t n = len < left ? len : left;
        uint8_t *from = pool + sizeof pool - left;
        memcpy(out, from, n);
        memset(from, 0, n);
        out += n;
        len -= n;
        left -= n;
    }
}
