/*
 * An SQLite VFS over the default one whose n-th call fails: reading, writing, truncating, syncing, opening,
 * deleting, locking, mapping the shared memory. For "fail the Nth call" tests: N = 1, 2, ... until nothing
 * fails any more. Syncs are not passed on, for speed: what a power failure leaves is the business of
 * vfs_crash.h. One process, one thread at a time.
 */
#ifndef CREDITLEDGER_TESTS_VFS_FAIL_H
#define CREDITLEDGER_TESTS_VFS_FAIL_H

#include <stdbool.h>
#include <stdint.h>

#define VFS_FAIL_NAME "fail"

enum vfs_fail_mode {
    VFS_FAIL_ONCE_IO,   /* the n-th call fails with SQLITE_IOERR_... */
    VFS_FAIL_ONCE_FULL, /* the n-th call that needs space fails with SQLITE_FULL */
    VFS_FAIL_FROM_IO,   /* the n-th and all after it, until disarmed */
    VFS_FAIL_FROM_FULL,
    VFS_FAIL_MODES
};

void vfs_fail_register(void);                           /* once a process is enough */
void vfs_fail_arm(enum vfs_fail_mode mode, uint64_t n); /* n = 1: the next call that can fail in this mode */
void vfs_fail_disarm(void);
bool vfs_fail_fired(void);       /* since it was armed */
const char *vfs_fail_what(void); /* the first call that failed since then */

#endif
