/*
 * A properties file: `key=value` a line, blank lines and lines that begin with '#' or '!' apart; blanks around key and value
 * do not count, the value is the rest of its line as it stands (no escapes, no continued lines). It may hold
 * passwords: a message names the line and at most the key, never the value. Pure.
 */
#ifndef CREDITLEDGER_KAFKA_PROPERTIES_H
#define CREDITLEDGER_KAFKA_PROPERTIES_H

#include "base/str.h"

#define PROPERTY_KEY_MAX 128
#define PROPERTY_VALUE_MAX 16384 /* a PEM certificate on one line fits */

typedef int property_visit(void *ctx, int line, const char *key, const char *value, struct err *err);

/* Visits every property in order; the texts live until the visit returns. ERR_CONFIG with the line for what is no
 * property; what a visit returned if that is not 0. */
MUST_CHECK int properties_parse(struct str text, property_visit *visit, void *ctx, struct err *err);

#endif
