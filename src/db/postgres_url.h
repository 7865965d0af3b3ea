/* URLs of PostgreSQL, as libpq takes them: telling them, and showing them without what is secret. */
#ifndef CREDITLEDGER_DB_POSTGRES_URL_H
#define CREDITLEDGER_DB_POSTGRES_URL_H

#include "base/str.h"

/* True for postgres:// and postgresql://. */
bool postgres_url(const char *url);
/* The URL without its password, for messages and logs. Of any other text what looks like one is left out too. */
void postgres_url_redact(const char *url, char *ret_text, size_t size);
/* ERR_CONFIG if libpq does not understand it. */
MUST_CHECK int postgres_url_check(const char *url, struct err *err);

#endif
