/*
 * What Prometheus expects every process to say about itself (process_*), read from /proc when asked. A number
 * that cannot be read is left out.
 */
#ifndef CREDITLEDGER_TELEMETRY_METRICS_PROCESS_H
#define CREDITLEDGER_TELEMETRY_METRICS_PROCESS_H

#include "base/str.h"

void metrics_process_render(struct strbuf *b);

#endif
