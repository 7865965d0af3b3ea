/*
 * The demonstration: a small shop's wallets, revenue and promotions, posted through the API as any client
 * would. Every request has its idempotency key, so that a second start posts nothing.
 */
#ifndef CREDITLEDGER_APP_SERVE_DEMO_H
#define CREDITLEDGER_APP_SERVE_DEMO_H

#include "app/service.h"

/* The engine must be running. ERR_CONFLICT names a request that was not answered as expected. */
MUST_CHECK int serve_demo_seed(const struct service_config *like, size_t *ret_posted, struct err *err);

#endif
