#include "vfs_crash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/err.h"

#define SECTOR 512
#define NAME_MAX_LEN 128
#define LOCK_SLOTS 8 /* SQLITE_SHM_NLOCK */

/* ---- the disk ---- */

struct bytes {
    uint8_t *data;
    size_t size, cap;
};

/* A change that has not been synced: a write, or, if data is NULL, a truncation to `offset`. */
struct change {
    struct change *next;
    size_t offset, len;
    uint8_t *data;
};

struct inode {
    struct inode *next;         /* all that there are */
    struct bytes seen, durable; /* what reads give, what was synced */
    struct change *changes, **last_change;
    void **shm; /* regions of the shared memory that goes with it: lost when the power fails */
    size_t n_shm;
    bool directory_unsynced; /* created with its directory not synced yet */
};

struct name {
    struct name *next;
    char text[NAME_MAX_LEN];
    struct inode *seen, *durable; /* NULL: there is no such file */
};

struct handle {
    sqlite3_file base;
    struct handle *next; /* of all that are open */
    struct inode *inode;
    int lock;
    uint16_t shm_shared, shm_exclusive;
    bool mapped;
};

static struct {
    pthread_mutex_t mutex;
    struct inode *inodes;
    struct name *names;
    struct handle *handles;
    bool off, lying;
    uint64_t fail_after;
    struct vfs_crash_counts counts;
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *allocated(void *p)
{
    INVARIANT(p != NULL);
    return p;
}

static void bytes_resize(struct bytes *b, size_t size)
{
    if (size > b->cap) {
        b->cap = size * 2;
        b->data = allocated(realloc(b->data, b->cap));
    }
    if (size > b->size)
        memset(b->data + b->size, 0, size - b->size);
    b->size = size;
}

static void bytes_write(struct bytes *b, const uint8_t *data, size_t len, size_t offset)
{
    if (len == 0)
        return;
    if (offset + len > b->size)
        bytes_resize(b, offset + len);
    memcpy(b->data + offset, data, len);
}

static struct inode *inode_new(void)
{
    struct inode *inode = allocated(calloc(1, sizeof *inode));
    inode->last_change = &inode->changes;
    inode->next = disk.inodes;
    disk.inodes = inode;
    return inode;
}

static void inode_drop_changes(struct inode *inode)
{
    for (struct change *c = inode->changes, *next; c != NULL; c = next) {
        next = c->next;
        free(c->data);
        free(c);
    }
    inode->changes = NULL;
    inode->last_change = &inode->changes;
}

static void inode_change(struct inode *inode, const void *data, size_t len, size_t offset)
{
    struct change *c = allocated(calloc(1, sizeof *c));
    c->offset = offset;
    c->len = len;
    if (data != NULL) {
        c->data = allocated(malloc(len ? len : 1));
        memcpy(c->data, data, len);
        bytes_write(&inode->seen, data, len, offset);
    } else {
        bytes_resize(&inode->seen, offset);
    }
    *inode->last_change = c;
    inode->last_change = &c->next;
}

static void directory_sync(void)
{
    for (struct name *n = disk.names; n != NULL; n = n->next)
        n->durable = n->seen;
    for (struct inode *i = disk.inodes; i != NULL; i = i->next)
        i->directory_unsynced = false;
}

static void inode_sync(struct inode *inode)
{
    if (disk.lying)
        return;
    for (struct change *c = inode->changes; c != NULL; c = c->next) {
        if (c->data != NULL)
            bytes_write(&inode->durable, c->data, c->len, c->offset);
        else
            bytes_resize(&inode->durable, c->offset);
    }
    inode_drop_changes(inode);
    if (inode->directory_unsynced)
        directory_sync();
}

static struct name *name_find(const char *text)
{
    for (struct name *n = disk.names; n != NULL; n = n->next)
        if (strcmp(n->text, text) == 0)
            return n;
    return NULL;
}

static struct name *name_get(const char *text)
{
    struct name *n = name_find(text);
    if (n != NULL)
        return n;
    n = allocated(calloc(1, sizeof *n));
    INVARIANT(strlen(text) < NAME_MAX_LEN);
    strcpy(n->text, text);
    n->next = disk.names;
    disk.names = n;
    return n;
}

/* Before every change: true if the power is off, or fails now. The change that was under way may get half
 * through. */
static bool power_failed(void)
{
    if (disk.off)
        return true;
    if (disk.fail_after > 0 && --disk.fail_after == 0)
        disk.off = true;
    return disk.off;
}

/* ---- what survives ---- */

static uint64_t dice(uint64_t *state)
{
    /* splitmix64, public domain (Sebastiano Vigna) */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Some sectors of a write, any of them. */
static void tear(struct inode *inode, const struct change *c, uint64_t *state)
{
    for (size_t at = 0; at < c->len;) {
        size_t end = (c->offset + at) / SECTOR * SECTOR + SECTOR - c->offset;
        end = end < c->len ? end : c->len;
        if (dice(state) % 2)
            bytes_write(&inode->durable, c->data + at, end - at, c->offset + at);
        at = end;
    }
}

static void inode_crash(struct inode *inode, uint64_t *state)
{
    /* Each of: all lost, all kept, a run of the oldest, any of them in whole, any of them in part. */
    unsigned manner = (unsigned)(dice(state) % 5);
    bool going = true;
    for (struct change *c = inode->changes; c != NULL; c = c->next) {
        if (manner == 2 && dice(state) % 16 == 0)
            going = false;
        bool keep = manner == 1 || (manner == 2 && going) || (manner >= 3 && dice(state) % 2);
        if (manner == 4 && c->data != NULL && dice(state) % 2) {
            tear(inode, c, state);
            disk.counts.torn++;
        } else if (keep && c->data != NULL) {
            bytes_write(&inode->durable, c->data, c->len, c->offset);
            disk.counts.kept++;
        } else if (keep) {
            bytes_resize(&inode->durable, c->offset);
        } else {
            disk.counts.lost += c->data != NULL;
        }
    }
    inode_drop_changes(inode);
    bytes_resize(&inode->seen, 0);
    bytes_write(&inode->seen, inode->durable.data, inode->durable.size, 0);
    for (size_t i = 0; i < inode->n_shm; i++)
        free(inode->shm[i]);
    free(inode->shm);
    inode->shm = NULL;
    inode->n_shm = 0;
    inode->directory_unsynced = false;
}

void vfs_crash_reboot(uint64_t seed)
{
    pthread_mutex_lock(&disk.mutex);
    INVARIANT(disk.handles == NULL);
    uint64_t state = seed;
    for (struct inode *i = disk.inodes; i != NULL; i = i->next)
        inode_crash(i, &state);
    for (struct name *n = disk.names; n != NULL; n = n->next) {
        if (n->seen != n->durable && dice(&state) % 2)
            n->durable = n->seen;
        n->seen = n->durable;
    }
    disk.off = false;
    disk.fail_after = 0;
    pthread_mutex_unlock(&disk.mutex);
}

void vfs_crash_format(void)
{
    vfs_crash_reboot(0);
    pthread_mutex_lock(&disk.mutex);
    for (struct inode *i = disk.inodes, *next; i != NULL; i = next) {
        next = i->next;
        free(i->seen.data);
        free(i->durable.data);
        free(i);
    }
    for (struct name *n = disk.names, *next; n != NULL; n = next) {
        next = n->next;
        free(n);
    }
    disk.inodes = NULL;
    disk.names = NULL;
    disk.lying = false;
    disk.counts = (struct vfs_crash_counts){0};
    pthread_mutex_unlock(&disk.mutex);
}

void vfs_crash_fail_after(uint64_t n)
{
    pthread_mutex_lock(&disk.mutex);
    disk.fail_after = n;
    pthread_mutex_unlock(&disk.mutex);
}

void vfs_crash_power_off(void)
{
    pthread_mutex_lock(&disk.mutex);
    disk.off = true;
    pthread_mutex_unlock(&disk.mutex);
}

bool vfs_crash_is_off(void)
{
    pthread_mutex_lock(&disk.mutex);
    bool off = disk.off;
    pthread_mutex_unlock(&disk.mutex);
    return off;
}

void vfs_crash_lie_about_syncs(void)
{
    pthread_mutex_lock(&disk.mutex);
    disk.lying = true;
    pthread_mutex_unlock(&disk.mutex);
}

struct vfs_crash_counts vfs_crash_counts(void)
{
    pthread_mutex_lock(&disk.mutex);
    struct vfs_crash_counts counts = disk.counts;
    pthread_mutex_unlock(&disk.mutex);
    return counts;
}

/* ---- a file ---- */

static struct handle *handle_of(sqlite3_file *file)
{
    return (struct handle *)file;
}

static int crash_close(sqlite3_file *file)
{
    pthread_mutex_lock(&disk.mutex);
    struct handle **link = &disk.handles;
    while (*link != handle_of(file))
        link = &(*link)->next;
    *link = handle_of(file)->next;
    pthread_mutex_unlock(&disk.mutex);
    return SQLITE_OK;
}

static int crash_read(sqlite3_file *file, void *ret, int amount, sqlite3_int64 offset)
{
    pthread_mutex_lock(&disk.mutex);
    const struct bytes *b = &handle_of(file)->inode->seen;
    size_t at = (size_t)offset, want = (size_t)amount;
    size_t have = at >= b->size ? 0 : b->size - at < want ? b->size - at : want;
    int rc = disk.off ? SQLITE_IOERR_READ : have < want ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
    if (!disk.off) {
        if (have > 0)
            memcpy(ret, b->data + at, have);
        memset((uint8_t *)ret + have, 0, want - have);
    }
    pthread_mutex_unlock(&disk.mutex);
    return rc;
}

static int crash_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
    pthread_mutex_lock(&disk.mutex);
    bool was_off = disk.off, failed = power_failed();
    if (!was_off) { /* the write during which the power fails may yet reach the disk */
        inode_change(handle_of(file)->inode, data, (size_t)amount, (size_t)offset);
        disk.counts.writes++;
    }
    pthread_mutex_unlock(&disk.mutex);
    return failed ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int crash_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    pthread_mutex_lock(&disk.mutex);
    bool was_off = disk.off, failed = power_failed();
    if (!was_off)
        inode_change(handle_of(file)->inode, NULL, 0, (size_t)size);
    pthread_mutex_unlock(&disk.mutex);
    return failed ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int crash_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    pthread_mutex_lock(&disk.mutex);
    bool failed = power_failed();
    if (!failed) {
        inode_sync(handle_of(file)->inode);
        disk.counts.syncs++;
    }
    pthread_mutex_unlock(&disk.mutex);
    return failed ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int crash_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    pthread_mutex_lock(&disk.mutex);
    *ret_size = (sqlite3_int64)handle_of(file)->inode->seen.size;
    int rc = disk.off ? SQLITE_IOERR_FSTAT : SQLITE_OK;
    pthread_mutex_unlock(&disk.mutex);
    return rc;
}

/* The highest lock that another handle has on the same file. */
static int others_lock(const struct handle *h)
{
    int lock = SQLITE_LOCK_NONE;
    for (const struct handle *o = disk.handles; o != NULL; o = o->next)
        if (o != h && o->inode == h->inode && o->lock > lock)
            lock = o->lock;
    return lock;
}

static int crash_lock(sqlite3_file *file, int level)
{
    struct handle *h = handle_of(file);
    pthread_mutex_lock(&disk.mutex);
    int others = others_lock(h), rc = SQLITE_OK;
    if (disk.off)
        rc = SQLITE_IOERR_LOCK;
    else if (h->lock >= level)
        rc = SQLITE_OK;
    else if ((level == SQLITE_LOCK_SHARED && others >= SQLITE_LOCK_PENDING) ||
             (level == SQLITE_LOCK_RESERVED && others >= SQLITE_LOCK_RESERVED) ||
             (level == SQLITE_LOCK_EXCLUSIVE && others >= SQLITE_LOCK_SHARED))
        rc = SQLITE_BUSY;
    else
        h->lock = level;
    pthread_mutex_unlock(&disk.mutex);
    return rc;
}

static int crash_unlock(sqlite3_file *file, int level)
{
    pthread_mutex_lock(&disk.mutex);
    if (handle_of(file)->lock > level)
        handle_of(file)->lock = level;
    pthread_mutex_unlock(&disk.mutex);
    return SQLITE_OK;
}

static int crash_check_reserved(sqlite3_file *file, int *ret_reserved)
{
    struct handle *h = handle_of(file);
    pthread_mutex_lock(&disk.mutex);
    *ret_reserved = h->lock >= SQLITE_LOCK_RESERVED || others_lock(h) >= SQLITE_LOCK_RESERVED;
    pthread_mutex_unlock(&disk.mutex);
    return SQLITE_OK;
}

static int crash_control(sqlite3_file *file, int op, void *arg)
{
    (void)file, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int crash_sector_size(sqlite3_file *file)
{
    (void)file;
    return 4096; /* what SQLite assumes of disks */
}

static int crash_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* a torn write harms no byte beside it: what SQLite assumes, too
                                              */
}

/* ---- shared memory ---- */

static int crash_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    struct handle *h = handle_of(file);
    struct inode *inode = h->inode;
    pthread_mutex_lock(&disk.mutex);
    *ret = NULL;
    int rc = disk.off ? SQLITE_IOERR_SHMMAP : SQLITE_OK;
    if (rc == SQLITE_OK && extend && (size_t)region >= inode->n_shm) {
        size_t n = (size_t)region + 1;
        inode->shm = allocated(realloc(inode->shm, n * sizeof *inode->shm));
        for (; inode->n_shm < n; inode->n_shm++)
            inode->shm[inode->n_shm] = allocated(calloc(1, (size_t)size));
    }
    if (rc == SQLITE_OK && (size_t)region < inode->n_shm)
        *ret = inode->shm[region];
    h->mapped = h->mapped || rc == SQLITE_OK;
    pthread_mutex_unlock(&disk.mutex);
    return rc;
}

static int crash_shm_lock(sqlite3_file *file, int first, int n, int flags)
{
    struct handle *h = handle_of(file);
    uint16_t mask = (uint16_t)(((1u << n) - 1) << first);
    INVARIANT(first >= 0 && n > 0 && first + n <= LOCK_SLOTS);
    int rc = SQLITE_OK;
    pthread_mutex_lock(&disk.mutex);
    if (flags & SQLITE_SHM_UNLOCK) {
        h->shm_shared &= (uint16_t)~mask;
        h->shm_exclusive &= (uint16_t)~mask;
    } else {
        bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
        for (const struct handle *o = disk.handles; o != NULL; o = o->next)
            if (o != h && o->inode == h->inode &&
                ((o->shm_exclusive & mask) != 0 || (exclusive && (o->shm_shared & mask) != 0)))
                rc = SQLITE_BUSY;
        if (disk.off)
            rc = SQLITE_IOERR_SHMLOCK;
        if (rc == SQLITE_OK && exclusive)
            h->shm_exclusive |= mask;
        else if (rc == SQLITE_OK)
            h->shm_shared |= mask;
    }
    pthread_mutex_unlock(&disk.mutex);
    return rc;
}

static void crash_shm_barrier(sqlite3_file *file)
{
    (void)file;
    __sync_synchronize();
}

/* The last one out takes the memory along, as the last process does with the -shm file. */
static int crash_shm_unmap(sqlite3_file *file, int delete)
{
    struct handle *h = handle_of(file);
    pthread_mutex_lock(&disk.mutex);
    h->mapped = false;
    h->shm_shared = h->shm_exclusive = 0;
    bool used = false;
    for (const struct handle *o = disk.handles; o != NULL; o = o->next)
        used = used || (o->inode == h->inode && o->mapped);
    if (!used && delete) {
        for (size_t i = 0; i < h->inode->n_shm; i++)
            free(h->inode->shm[i]);
        free(h->inode->shm);
        h->inode->shm = NULL;
        h->inode->n_shm = 0;
    }
    pthread_mutex_unlock(&disk.mutex);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = crash_close,
    .xRead = crash_read,
    .xWrite = crash_write,
    .xTruncate = crash_truncate,
    .xSync = crash_sync,
    .xFileSize = crash_size,
    .xLock = crash_lock,
    .xUnlock = crash_unlock,
    .xCheckReservedLock = crash_check_reserved,
    .xFileControl = crash_control,
    .xSectorSize = crash_sector_size,
    .xDeviceCharacteristics = crash_characteristics,
    .xShmMap = crash_shm_map,
    .xShmLock = crash_shm_lock,
    .xShmBarrier = crash_shm_barrier,
    .xShmUnmap = crash_shm_unmap,
};

/* ---- the file system ---- */

static int crash_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    struct handle *h = handle_of(file);
    *h = (struct handle){.base.pMethods = NULL};
    pthread_mutex_lock(&disk.mutex);
    struct name *name = path != NULL ? name_get(path) : NULL;
    int rc = SQLITE_OK;
    if (disk.off)
        rc = SQLITE_CANTOPEN;
    else if (name != NULL && name->seen != NULL)
        h->inode = name->seen;
    else if (name != NULL && !(flags & SQLITE_OPEN_CREATE))
        rc = SQLITE_CANTOPEN;
    else
        h->inode = inode_new();
    if (rc == SQLITE_OK && name != NULL && name->seen == NULL) {
        name->seen = h->inode;
        /* The unix VFS syncs the directory at the first sync of these, and of no others. */
        h->inode->directory_unsynced =
            flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL);
    }
    if (rc == SQLITE_OK) {
        h->base.pMethods = &methods;
        h->next = disk.handles;
        disk.handles = h;
    }
    if (ret_flags != NULL)
        *ret_flags = flags;
    pthread_mutex_unlock(&disk.mutex);
    return rc;
}

static int crash_delete(sqlite3_vfs *vfs, const char *path, int sync_directory)
{
    (void)vfs;
    pthread_mutex_lock(&disk.mutex);
    struct name *name = name_find(path);
    int rc = power_failed() ? SQLITE_IOERR_DELETE : SQLITE_OK;
    if (rc == SQLITE_OK && (name == NULL || name->seen == NULL))
        rc = SQLITE_IOERR_DELETE_NOENT;
    if (rc == SQLITE_OK) {
        name->seen = NULL;
        if (sync_directory && !disk.lying)
            directory_sync();
    }
    pthread_mutex_unlock(&disk.mutex);
    return rc;
}

static int crash_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    (void)vfs, (void)flags;
    pthread_mutex_lock(&disk.mutex);
    const struct name *name = name_find(path);
    /* An empty journal or WAL counts as none, as in the unix VFS. */
    *ret = name != NULL && name->seen != NULL && (flags != SQLITE_ACCESS_EXISTS || name->seen->seen.size > 0);
    pthread_mutex_unlock(&disk.mutex);
    return SQLITE_OK;
}

static int crash_full_path(sqlite3_vfs *vfs, const char *path, int n, char *ret)
{
    (void)vfs;
    if (strlen(path) + 1 > (size_t)n)
        return SQLITE_CANTOPEN;
    strcpy(ret, path);
    return SQLITE_OK;
}

static int crash_sleep(sqlite3_vfs *vfs, int micros)
{
    (void)vfs;
    return micros; /* nobody is waited for here */
}

void vfs_crash_register(void)
{
    static sqlite3_vfs vfs;
    if (sqlite3_vfs_find(VFS_CRASH_NAME) != NULL)
        return;
    vfs = *sqlite3_vfs_find(NULL); /* time and randomness come from the default one */
    vfs.iVersion = 2;
    vfs.szOsFile = sizeof(struct handle);
    vfs.mxPathname = NAME_MAX_LEN - 16;
    vfs.pNext = NULL;
    vfs.zName = VFS_CRASH_NAME;
    vfs.xOpen = crash_open;
    vfs.xDelete = crash_delete;
    vfs.xAccess = crash_access;
    vfs.xFullPathname = crash_full_path;
    vfs.xSleep = crash_sleep;
    INVARIANT(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}
