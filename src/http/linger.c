#include "http/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void linger_init(struct linger_set *set, int epoll_fd, uint64_t tag)
{
    set->epoll_fd = epoll_fd;
    set->tag = tag;
    for (size_t i = 0; i < LINGER_SLOTS; i++)
        set->slots[i].fd = -1;
}

static void slot_close(struct linger_set *set, struct linger_slot *slot)
{
    (void)epoll_ctl(set->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
    close(slot->fd);
    slot->fd = -1;
}

void linger_fini(struct linger_set *set)
{
    for (size_t i = 0; i < LINGER_SLOTS; i++)
        if (set->slots[i].fd >= 0)
            slot_close(set, &set->slots[i]);
}

void linger_add(struct linger_set *set, int fd, int64_t now_ms)
{
    for (size_t i = 0; i < LINGER_SLOTS; i++) {
        struct linger_slot *slot = &set->slots[i];
        if (slot->fd >= 0)
            continue;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            return;
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = set->tag + i};
        if (epoll_ctl(set->epoll_fd, EPOLL_CTL_ADD, copy, &event) != 0) {
            close(copy);
            return;
        }
        *slot = (struct linger_slot){copy, now_ms + LINGER_MS, LINGER_BYTES};
        return;
    }
}

void linger_ready(struct linger_set *set, size_t slot_index)
{
    struct linger_slot *slot = &set->slots[slot_index];
    if (slot->fd < 0)
        return;
    /* tcp(7): with MSG_TRUNC the bytes are thrown away in the kernel. */
    ssize_t n = recv(slot->fd, NULL, LINGER_BYTES, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n >= slot->left)
        slot_close(set, slot);
    else
        slot->left -= (size_t)n;
}

int64_t linger_expire(struct linger_set *set, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < LINGER_SLOTS; i++) {
        struct linger_slot *slot = &set->slots[i];
        if (slot->fd >= 0 && slot->deadline_ms <= now_ms)
            slot_close(set, slot);
        else if (slot->fd >= 0 && slot->deadline_ms < next)
            next = slot->deadline_ms;
    }
    return next;
}
