#include "api/fault.h"

#include <stdio.h>
#include <string.h>

bool fault_set(struct fault *fault, enum refusal refusal, const char *field, const char *format, ...)
{
    fault->refusal = refusal;
    snprintf(fault->field, sizeof fault->field, "%s", field != NULL ? field : "");
    va_list args;
    va_start(args, format);
    vsnprintf(fault->detail, sizeof fault->detail, format, args);
    va_end(args);
    /* A cut may fall inside a character; what is left of it goes too. */
    size_t len = strlen(fault->detail);
    while (len > 0 && !str_utf8_valid((struct str){fault->detail, len}) && len > sizeof fault->detail - 5)
        fault->detail[--len] = '\0';
    return false;
}

struct problem fault_problem(const struct fault *fault)
{
    return (struct problem){
        .refusal = fault->refusal, .detail = str_of(fault->detail), .field = str_of(fault->field)};
}
