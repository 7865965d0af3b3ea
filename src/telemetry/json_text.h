/*
 * Text as a JSON string, on one line and valid whatever it holds: bytes that are not UTF-8 become U+FFFD.
 */
#ifndef CREDITLEDGER_TELEMETRY_JSON_TEXT_H
#define CREDITLEDGER_TELEMETRY_JSON_TEXT_H

#include "base/str.h"

void json_text(struct strbuf *b, struct str text); /* with its quotes */

#endif
