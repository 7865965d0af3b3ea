/*
 * Assets: a code and a scale (how many decimals the minor unit has). Currencies of ISO 4217 are known by code
 * and need no declaration; any other code is declared once with its scale. Pure.
 */
#ifndef CREDITLEDGER_MONEY_ASSET_H
#define CREDITLEDGER_MONEY_ASSET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/str.h"

struct asset {
    uint32_t id; /* the journal's number for it, from 1 */
    uint8_t scale;
    char code[LIMIT_ASSET_CODE_MAX + 1];
};

/* A-Z first, then A-Z 0-9 '.' '_' '-'; 1 to LIMIT_ASSET_CODE_MAX bytes. */
bool asset_code_valid(struct str code);
/*
 * The scale of an ISO 4217 currency (the list's minor-unit column); false if the code is none. Also false for
 * the codes whose minor unit is "N.A." there (metals such as XAU, XDR, XTS, XXX and other units): the
 * standard gives them no scale, whole ounces would be a trap, and a scale never changes, so these are
 * declared with the scale wanted.
 */
bool asset_iso4217_scale(struct str code, int *ret_scale);

#endif
