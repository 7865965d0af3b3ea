/*
 * A scenario: a plain text of requests and what is expected of their answers (docs/scenarios.md). Runs it
 * line by line against a target and stops at the first thing that is not as written.
 */
#ifndef CREDITLEDGER_TESTS_SCRIPT_H
#define CREDITLEDGER_TESTS_SCRIPT_H

#include <stdio.h>

#include "target.h"

/* False, with "FILE:LINE: what was expected, what came". `record`, unless NULL, gets one JSON line an
 * exchange. */
bool script_run(const char *file, struct str text, struct target *target, FILE *record, struct err *err);

#endif
