/*
 * Logs: one JSON object a line on standard error, with time, level, message, and fields; safe from any thread.
 * Never given a token, a body, metadata or an idempotency key. LOG_TEXT (a terminal) writes plain lines instead.
 */
#ifndef CREDITLEDGER_TELEMETRY_LOG_H
#define CREDITLEDGER_TELEMETRY_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_JSON, LOG_TEXT };

void log_setup(enum log_level least, enum log_format format);
bool log_enabled(enum log_level level);

/* Fields follow as name, format-free text pairs: log_event(LOG_INFO, "listening", "address", a, NULL). */
void log_event(enum log_level level, const char *message, ...) __attribute__((sentinel));

#endif
