/*
 * What follows the journal inside a server: relay and projector, as far as its roles and its options ask for them. They
 * have threads and database handles of their own; posting never waits for them.
 */
#ifndef CREDITLEDGER_APP_SERVE_DOWNSTREAM_H
#define CREDITLEDGER_APP_SERVE_DOWNSTREAM_H

#include "app/downstream.h"

enum role { ROLE_API = 1, ROLE_RELAY = 2, ROLE_PROJECTOR = 4 };

/* "api,relay,projector" to a set; ERR_CONFIG names what is no role. */
MUST_CHECK int roles_parse(const char *text, unsigned *ret_roles, struct err *err);

struct followers;

struct followers_config {
    unsigned
        roles; /* ROLE_RELAY without a broker, and ROLE_PROJECTOR without a read model, have nothing to do */
    const struct store *store;
    const struct downstream *downstream;
    struct spans *spans;
    /* On the projector's thread: the read model has this ledger up to seq. */
    void (*projected)(void *ctx, struct str ledger, uint64_t seq);
    void *ctx;
};

MUST_CHECK int followers_start(
    const struct followers_config *config, struct followers **ret_followers, struct err *err);
void followers_stop(struct followers *followers); /* NULL is fine */
/* Something was committed, here or elsewhere. Any thread; NULL is fine. */
void followers_wake(struct followers *followers);
/* What keeps the projection from following, in a sentence for /readyz; false if nothing does. Any thread. */
bool followers_stuck(struct followers *followers, char *ret_detail, size_t size);

#endif
