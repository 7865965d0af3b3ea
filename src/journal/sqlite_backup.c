/*
 * Backup beside a live writer: the copy is of one snapshot, held for the whole copy, because SQLite starts a
 * copy all over whenever another connection has written. It goes to a file beside the target and gets its
 * name when it is complete and synced. The copy is one file (no WAL); a server that opens it turns WAL on
 * again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/sqlite_internal.h"

#define PAGES_PER_STEP 1024

static int copy_pages(
    struct sqlite_journal *s, sqlite3 *to, journal_progress *progress, void *ctx, struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", s->db, "main");
    if (backup == NULL)
        return err_set(err, ERR_IO, "backup: %s", sqlite3_errmsg(to));
    int rc, code = 0;
    do {
        rc = sqlite3_backup_step(backup, PAGES_PER_STEP);
        uint64_t total = (uint64_t)sqlite3_backup_pagecount(backup);
        uint64_t done = total - (uint64_t)sqlite3_backup_remaining(backup);
        if (progress != NULL && !progress(ctx, done, total))
            code = err_set(err, ERR_CANCELLED, "backup stopped");
    } while (rc == SQLITE_OK && code == 0);
    int finish = sqlite3_backup_finish(backup);
    if (code == 0 && (rc != SQLITE_DONE || finish != SQLITE_OK))
        code = err_set(err, rc == SQLITE_FULL ? ERR_FULL : ERR_IO, "backup: %s", sqlite3_errmsg(to));
    return code;
}

static int copy_to(
    struct sqlite_journal *s, const char *path, journal_progress *progress, void *ctx, struct err *err)
{
    sqlite3 *to = NULL;
    sqlite_make_private(path);
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    int code = rc == SQLITE_OK ? 0 : err_set(err, ERR_IO, "%s: %s", path, sqlite3_errstr(rc));
    if (code == 0)
        code = copy_pages(s, to, progress, ctx, err);
    if (code == 0) {
        rc = sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            code = err_set(err, rc == SQLITE_FULL ? ERR_FULL : ERR_IO, "%s: %s", path, sqlite3_errmsg(to));
    }
    sqlite3_close(to);
    return code;
}

/* Makes a rename durable. */
static int sync_directory(const char *path, struct err *err)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
        slash == NULL ? "." : path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY);
    int rc = fd < 0 || fsync(fd) != 0 ? err_set(err, ERR_IO, "%s: %s", directory, strerror(errno)) : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

int sqlite_backup(struct journal *j, const char *path, journal_progress *progress, void *ctx, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    char partial[4096];
    if (snprintf(partial, sizeof partial, "%s.partial", path) >= (int)sizeof partial)
        return err_set(err, ERR_CONFIG, "%s: the name is too long", path);
    if (access(path, F_OK) == 0)
        return err_set(err, ERR_CONFIG, "%s exists already", path);
    unlink(partial); /* of a backup that was interrupted */
    bool own = !s->in_snapshot;
    int rc = own ? j->ops->snapshot_begin(j, err) : 0;
    own = own && rc == 0;
    if (rc == 0)
        rc = copy_to(s, partial, progress, ctx, err);
    if (own)
        j->ops->snapshot_end(j);
    if (rc == 0 && rename(partial, path) != 0)
        rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    if (rc == 0)
        rc = sync_directory(path, err);
    if (rc != 0)
        unlink(partial);
    return rc;
}
