#include "support/vfs_fail.h"

#include <string.h>

#include <sqlite3.h>

struct fail_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct, in the same allocation */
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    bool armed;
    enum vfs_fail_mode mode;
    uint64_t left;
    const char *what;
} fail;

/* Whether this call is to fail. */
static bool fails(const char *what, bool needs_space)
{
    bool full = fail.mode == VFS_FAIL_ONCE_FULL || fail.mode == VFS_FAIL_FROM_FULL;
    bool once = fail.mode == VFS_FAIL_ONCE_IO || fail.mode == VFS_FAIL_ONCE_FULL;
    if (!fail.armed || (full && !needs_space))
        return false;
    if (fail.left > 1) {
        fail.left--;
        return false;
    }
    if (once && fail.what != NULL)
        return false;
    if (fail.what == NULL)
        fail.what = what;
    return true;
}

static int code(int io_error)
{
    return fail.mode == VFS_FAIL_ONCE_FULL || fail.mode == VFS_FAIL_FROM_FULL ? SQLITE_FULL : io_error;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct fail_file *)file)->real;
}

static int file_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 at)
{
    if (fails("read", false))
        return SQLITE_IOERR_READ;
    return real_of(file)->pMethods->xRead(real_of(file), bytes, n, at);
}

static int file_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    if (fails("write", true)) { /* half of it got there, as a disk may do */
        (void)real_of(file)->pMethods->xWrite(real_of(file), bytes, n / 2, at);
        return code(SQLITE_IOERR_WRITE);
    }
    return real_of(file)->pMethods->xWrite(real_of(file), bytes, n, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (fails("truncate", true))
        return code(SQLITE_IOERR_TRUNCATE);
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    (void)file, (void)flags;
    return fails("sync", true) ? code(SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    if (fails("file size", false))
        return SQLITE_IOERR_FSTAT;
    return real_of(file)->pMethods->xFileSize(real_of(file), ret_size);
}

static int file_lock(sqlite3_file *file, int level)
{
    if (fails("lock", false))
        return SQLITE_IOERR_LOCK;
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_lock(sqlite3_file *file, int *ret_locked)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret_locked);
}

static int file_control(sqlite3_file *file, int op, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}

static int file_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret_bytes)
{
    if (fails("shared memory", true))
        return code(SQLITE_IOERR_SHMMAP);
    return real_of(file)->pMethods->xShmMap(real_of(file), region, size, extend, ret_bytes);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    if (!(flags & SQLITE_SHM_UNLOCK) && fails("shared memory lock", false))
        return SQLITE_IOERR_SHMLOCK;
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int delete_flag)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), delete_flag);
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    struct fail_file *f = (struct fail_file *)file;
    (void)vfs;
    f->base.pMethods = NULL;
    f->real = (sqlite3_file *)(f + 1);
    if (fails("open", true))
        return code(SQLITE_CANTOPEN);
    int rc = fail.real->xOpen(fail.real, name, f->real, flags, ret_flags);
    if (f->real->pMethods != NULL)
        f->base.pMethods = &file_methods;
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    (void)vfs;
    if (fails("delete", false))
        return SQLITE_IOERR_DELETE;
    return fail.real->xDelete(fail.real, name, sync_directory);
}

void vfs_fail_register(void)
{
    if (fail.real != NULL)
        return;
    fail.real = sqlite3_vfs_find(NULL);
    fail.vfs = *fail.real; /* what is not replaced works on the real one's data alone */
    fail.vfs.pNext = NULL;
    fail.vfs.zName = VFS_FAIL_NAME;
    fail.vfs.szOsFile = (int)sizeof(struct fail_file) + fail.real->szOsFile;
    fail.vfs.xOpen = vfs_open;
    fail.vfs.xDelete = vfs_delete;
    sqlite3_vfs_register(&fail.vfs, 0);
}

void vfs_fail_arm(enum vfs_fail_mode mode, uint64_t n)
{
    fail.armed = true;
    fail.mode = mode;
    fail.left = n;
    fail.what = NULL;
}

void vfs_fail_disarm(void)
{
    fail.armed = false;
}

bool vfs_fail_fired(void)
{
    return fail.what != NULL;
}

const char *vfs_fail_what(void)
{
    return fail.what == NULL ? "nothing" : fail.what;
}
