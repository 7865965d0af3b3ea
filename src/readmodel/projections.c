#include "readmodel/projection.h"

const struct projection *const projections[PROJECTIONS_N] = {
    &projection_accounts,
    &projection_lines,
    &projection_transfers,
    &projection_activity,
    &projection_totals,
};
