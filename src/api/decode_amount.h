/*
 * Amounts in JSON: integers, or strings of minor-unit digits. Each way in which an amount can be wrong has
 * its own refusal, because "invalid amount" sends people to support. Pure.
 */
#ifndef CREDITLEDGER_API_DECODE_AMOUNT_H
#define CREDITLEDGER_API_DECODE_AMOUNT_H

#include "api/json_in.h"

/* 1 to LIMIT_AMOUNT_MAX. */
MUST_CHECK bool decode_amount(
    const json_t *value, const char *field, int64_t *ret_amount_minor, struct fault *fault);
/* A balance or a limit: any sign, zero too. */
MUST_CHECK bool decode_balance(
    const json_t *value, const char *field, int64_t *ret_amount_minor, struct fault *fault);

#endif
