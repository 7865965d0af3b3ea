/*
 * Files compiled into the binary: the OpenAPI contract and Swagger UI.
 */
#ifndef CREDITLEDGER_APP_STATIC_FILES_H
#define CREDITLEDGER_APP_STATIC_FILES_H

#include "base/str.h"

struct static_file {
    const char *path; /* "/openapi.yaml", "/api", "/api/swagger-ui-bundle.js" */
    const char *content_type;
    struct str bytes;
};

/* NULL if there is none of that path ("/api/" finds "/api"). */
const struct static_file *static_file_find(struct str path);

#endif
