/* What generation.c and readmodel.c share. */
#ifndef CREDITLEDGER_READMODEL_GENERATION_INTERNAL_H
#define CREDITLEDGER_READMODEL_GENERATION_INTERNAL_H

#include "readmodel/readmodel.h"

#define GENERATION_PART_MAX 16
#define GENERATION_BUILD_TIMEOUT_MS 3600000 /* for a statement: an index over all that there is */

void generation_part(uint32_t id, char ret_part[GENERATION_PART_MAX]);
/* The live generation of a database, which is made if there is none and `create` is set. ERR_NOT_FOUND. */
MUST_CHECK int generation_find(
    const char *url, const struct readmodel_options *options, uint32_t *ret_id, struct err *err);
/* The projections' indexes, those that are not there yet. */
MUST_CHECK int generation_index(struct db *db, struct err *err);

#endif
