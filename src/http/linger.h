/*
 * Closing after a refusal without losing it. A server that closes a socket while the client is still sending
 * makes the kernel reset the connection, and the client may then never read the answer. So a duplicate of the
 * socket stays open for a moment and throws away what still comes, within limits of time, bytes and number.
 */
#ifndef CREDITLEDGER_HTTP_LINGER_H
#define CREDITLEDGER_HTTP_LINGER_H

#include <stddef.h>
#include <stdint.h>

#define LINGER_SLOTS 64
#define LINGER_MS 2000
#define LINGER_BYTES (32u << 20)

struct linger_set {
    int epoll_fd;
    uint64_t tag; /* slot i reports as epoll data tag + i */
    struct linger_slot {
        int fd; /* -1: free */
        int64_t deadline_ms;
        size_t left;
    } slots[LINGER_SLOTS];
};

void linger_init(struct linger_set *set, int epoll_fd, uint64_t tag);
void linger_fini(struct linger_set *set);
/* Duplicates `fd`, whose sending half has been shut down; does nothing if no slot is free. */
void linger_add(struct linger_set *set, int fd, int64_t now_ms);
void linger_ready(struct linger_set *set, size_t slot);
/* Closes what is overdue; returns the next deadline, INT64_MAX if there is none. */
int64_t linger_expire(struct linger_set *set, int64_t now_ms);

#endif
