/* What people get of two journals, `creditledger export` as NDJSON, byte by byte. */
#ifndef CREDITLEDGER_TESTS_EXPORTS_H
#define CREDITLEDGER_TESTS_EXPORTS_H

#include "support/rig.h"

/* 0 if both export the same; ERR_CONFLICT if not, or why one cannot. */
MUST_CHECK int exports_compare(struct rig *a, struct rig *b, uint32_t ledger, struct err *err);

#endif
