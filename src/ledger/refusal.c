#include "ledger/refusal.h"

static const struct refusal_info rows[] = {
#define X(NAME, name, number, status, kind, title, hint) \
    {REFUSAL_##NAME, #name, status, REFUSAL_KIND_##kind, title, hint},
    REFUSAL_TABLE(X)
#undef X
};

#define N_ROWS (sizeof rows / sizeof rows[0])

const struct refusal_info *refusal_info(enum refusal refusal)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].refusal == refusal)
            return &rows[i];
    return NULL;
}

const struct refusal_info *refusal_all(size_t *ret_n)
{
    *ret_n = N_ROWS;
    return rows;
}

bool refusal_is_recorded(enum refusal refusal)
{
    const struct refusal_info *info = refusal_info(refusal);
    return info != NULL && info->kind == REFUSAL_KIND_STATE;
}
