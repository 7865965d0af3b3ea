#include "db/postgres_url.h"

#include <libpq-fe.h>
#include <string.h>
#include <strings.h>

bool postgres_url(const char *url)
{
    return strncmp(url, "postgres://", 11) == 0 || strncmp(url, "postgresql://", 13) == 0;
}

/* Whether a parameter of the query, "name=...", is a secret. */
static bool is_secret(const char *parameter)
{
    return strncasecmp(parameter, "password=", 9) == 0 || strncasecmp(parameter, "sslpassword=", 12) == 0;
}

/* The last of a character in [start, end). */
static const char *last_of(const char *start, const char *end, char c)
{
    while (end > start)
        if (*--end == c)
            return end;
    return NULL;
}

/* Takes away more rather than less: a password with an unescaped '/' or '@' is none to libpq, and still a secret. */
void postgres_url_redact(const char *url, char *ret_text, size_t size)
{
    INVARIANT(size > 0);
    const char *authority = strstr(url, "://"), *end = url + strlen(url);
    authority = authority == NULL ? url : authority + 3;
    const char *query = strchr(authority, '?');
    const char *at = last_of(authority, query == NULL ? end : query, '@');
    if (at == NULL) /* a password with an unescaped '?' */
        at = last_of(authority, end, '@');
    if (at != NULL && query != NULL && at > query)
        query = strchr(at, '?');
    const char *colon = at == NULL ? NULL : memchr(authority, ':', (size_t)(at - authority));
    size_t n = 0;
    for (const char *p = url; *p != '\0' && n + 1 < size; p++) {
        if (p == colon) {
            p = at;
        } else if (query != NULL && p > query && (p[-1] == '?' || p[-1] == '&') && is_secret(p)) {
            while (p[1] != '\0' && p[1] != '&')
                p++;
            continue;
        }
        ret_text[n++] = *p;
    }
    ret_text[n] = '\0';
}

/* libpq's own words about a URL would show it. */
int postgres_url_check(const char *url, struct err *err)
{
    char text[256];
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    PQconninfoFree(options);
    if (options != NULL)
        return 0;
    postgres_url_redact(url, text, sizeof text);
    return err_set(err, ERR_CONFIG,
        "database URL \"%s\" is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE"
        " (special characters in it are written as %%40 and the like)",
        text);
}
