/*
 * What every unit test includes first: cmocka, which wants these headers before it, in this order.
 */
#ifndef CREDITLEDGER_BASE_TESTING_H
#define CREDITLEDGER_BASE_TESTING_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#endif
