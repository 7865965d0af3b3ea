/*
 * The token file: one token a line, "name sha256-of-the-token-in-hex scope[,scope]", '#' comments. Tokens
 * themselves are never stored or logged; look-ups compare digests in constant time.
 */
#ifndef CREDITLEDGER_APP_TOKENS_H
#define CREDITLEDGER_APP_TOKENS_H

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

enum scope {
    SCOPE_NONE = 0,
    SCOPE_READ = 1,
    SCOPE_POST = 2,
    SCOPE_ADMIN = 4
}; /* admin includes the others */

struct token {
    char name[LIMIT_ACTOR_MAX + 1];
    unsigned scopes;
    uint8_t sha256[32];
};

struct tokens;

/* ERR_CONFIG names the line and what is wrong with it. Files that others may read are refused. */
MUST_CHECK int tokens_load(const char *path, struct tokens **ret_tokens, struct err *err);
MUST_CHECK int tokens_parse(struct str text, struct tokens **ret_tokens, struct err *err);
void tokens_free(struct tokens *tokens);
/*
 * Puts what `fresh` has in the place of what `tokens` had, and frees `fresh`. Look-ups on other threads see the one
 * or the other; a token found before stays valid, since what is replaced is freed only with `tokens`.
 */
void tokens_replace(struct tokens *tokens, struct tokens *fresh);
size_t tokens_count(const struct tokens *tokens);
/* A name a token may have: letters, digits, '.', '_', '-', '@', at most LIMIT_ACTOR_MAX. */
bool token_name_valid(struct str name);
/* "read,post" to SCOPE_ bits; false for an unknown or missing scope. */
MUST_CHECK bool scopes_parse(struct str text, unsigned *ret_scopes);
/* SHA-256 of a token, as the file has it. */
void token_digest(struct str token, uint8_t ret_sha256[32]);
/* `authorization` is the header's value, "Bearer <token>"; NULL if it names no known token. */
const struct token *tokens_find(const struct tokens *tokens, struct str authorization);
bool token_allows(const struct token *token, enum scope scope);
const char *scope_name(enum scope scope);

#endif
