/*
 * An SQLite VFS over a disk in memory whose power can fail. It keeps what was written and what was synced
 * apart: when the power goes, unsynced writes, truncations, and files created or deleted without a sync of
 * the directory are lost, except for a random part of them; writes may be torn at sectors of 512 bytes. kill
 * -9 proves nothing about fsync, because the page cache survives the process: this does.
 *
 * One disk a process, safe from any thread. From the moment the power fails every operation fails with
 * SQLITE_IOERR; the owner closes what is open (nothing of that reaches the disk) and calls
 * vfs_crash_reboot().
 */
#ifndef CREDITLEDGER_TESTS_VFS_CRASH_H
#define CREDITLEDGER_TESTS_VFS_CRASH_H

#include <stdbool.h>
#include <stdint.h>

#define VFS_CRASH_NAME "crash"

void vfs_crash_register(void); /* once a process is enough */
/* An empty disk with the power on. Nothing may be open. */
void vfs_crash_format(void);

/* The power fails during the n-th write, sync, truncation or deletion from now (1: the next); 0: never. */
void vfs_crash_fail_after(uint64_t n);
void vfs_crash_power_off(void);
bool vfs_crash_is_off(void);
/* From now on syncs do nothing and say that they did. vfs_crash_format() mends the disk. */
void vfs_crash_lie_about_syncs(void);

/* Decides by the seed what survived and puts the power back on. Nothing may be open. */
void vfs_crash_reboot(uint64_t seed);

struct vfs_crash_counts {
    uint64_t writes, syncs, lost, kept,
        torn; /* since format; the last three are unsynced writes at reboots */
};
struct vfs_crash_counts vfs_crash_counts(void);

#endif
