/*
 * What is wrong with a request before anybody looks at the ledger: the refusal, the field or parameter, and a
 * sentence that names the value. A plain value; the first fault found is the one reported. Pure.
 */
#ifndef CREDITLEDGER_API_FAULT_H
#define CREDITLEDGER_API_FAULT_H

#include "api/problem.h"

struct fault {
    enum refusal refusal;
    char field[96];
    char detail[400]; /* cut off behind that */
};

/* Returns false, so that `return fault_set(...)` reads well. `field` may be NULL. */
bool fault_set(struct fault *fault, enum refusal refusal, const char *field, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Borrows the fault's texts. */
struct problem fault_problem(const struct fault *fault);

#endif
