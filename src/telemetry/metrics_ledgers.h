/*
 * Gauges by ledger: for each of the first METRICS_LEDGERS names, one number a series. Setting is lock-free, from any
 * thread; a name is never forgotten, as a ledger is not.
 */
#ifndef CREDITLEDGER_TELEMETRY_METRICS_LEDGERS_H
#define CREDITLEDGER_TELEMETRY_METRICS_LEDGERS_H

#include "telemetry/metrics.h"

struct metrics_ledgers;

struct metrics_ledgers *metrics_ledgers_new(void);
void metrics_ledgers_free(struct metrics_ledgers *ledgers);
void metrics_ledgers_set(
    struct metrics_ledgers *ledgers, enum metric_ledger series, struct str ledger, uint64_t seq);
/* `name{ledger="..."} seq` a line; how many ledgers have a value in this series. */
size_t metrics_ledgers_render(
    struct metrics_ledgers *ledgers, enum metric_ledger series, const char *name, struct strbuf *b);

#endif
