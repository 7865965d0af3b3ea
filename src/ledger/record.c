#include "ledger/record.h"

const char *record_kind_name(enum record_kind kind)
{
    switch (kind) {
#define X(NAME, name, number) \
    case RECORD_##NAME: \
        return #name;
        RECORD_KIND_TABLE(X)
#undef X
    }
    return NULL;
}

const char *account_type_name(enum account_type type)
{
    switch (type) {
#define X(NAME, name, number, side) \
    case ACCOUNT_##NAME: \
        return #name;
        ACCOUNT_TYPE_TABLE(X)
#undef X
    }
    return NULL;
}

bool account_type_parse(struct str name, enum account_type *ret_type)
{
#define X(NAME, name_, number, side) \
    if (str_eq_c(name, #name_)) { \
        *ret_type = ACCOUNT_##NAME; \
        return true; \
    }
    ACCOUNT_TYPE_TABLE(X)
#undef X
    return false;
}

int account_type_side(enum account_type type)
{
    switch (type) {
#define X(NAME, name, number, side) \
    case ACCOUNT_##NAME: \
        return side;
        ACCOUNT_TYPE_TABLE(X)
#undef X
    }
    INVARIANT_F(false, "account type %d", (int)type);
    return 0;
}

const char *account_status_name(enum account_status status)
{
    switch (status) {
    case ACCOUNT_OPEN:
        return "open";
    case ACCOUNT_FROZEN:
        return "frozen";
    case ACCOUNT_CLOSED:
        return "closed";
    }
    return NULL;
}

bool account_status_parse(struct str name, enum account_status *ret_status)
{
    static const enum account_status all[] = {ACCOUNT_OPEN, ACCOUNT_FROZEN, ACCOUNT_CLOSED};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (str_eq_c(name, account_status_name(all[i]))) {
            *ret_status = all[i];
            return true;
        }
    return false;
}

bool entry_moves(const struct entry *entry)
{
    return entry->change.posted != 0 || entry->change.incoming != 0 || entry->change.outgoing != 0;
}

int64_t amounts_balance(struct amounts a, int side)
{
    return side > 0 ? a.posted : -a.posted;
}

/* Cannot overflow: both terms are within LIMIT_AMOUNT_MAX, which leaves room for one addition. */
int64_t amounts_available(struct amounts a, int side)
{
    return side > 0 ? a.posted - a.outgoing : -a.posted - a.incoming;
}
