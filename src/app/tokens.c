#include "app/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (LIMIT_TOKENS_MAX * 256)

/* What one reading of the file gave. Slots hold index + 1 of a token, 0: empty; there are more slots than
 * tokens. */
struct generation {
    struct generation *older;
    struct token *tokens;
    size_t n, n_slots;
    uint32_t *slots;
    uint64_t seed; /* so that nobody can tell from the time of a look-up how digests are spread */
};

struct tokens {
    _Atomic(struct generation *) current;
};

const char *scope_name(enum scope scope)
{
    switch (scope) {
    case SCOPE_NONE:
        return "none";
    case SCOPE_READ:
        return "read";
    case SCOPE_POST:
        return "post";
    case SCOPE_ADMIN:
        return "admin";
    }
    return "none";
}

bool scopes_parse(struct str text, unsigned *ret_scopes)
{
    static const enum scope all[] = {SCOPE_READ, SCOPE_POST, SCOPE_ADMIN};
    unsigned scopes = 0;
    struct str word;
    while (str_split(&text, ',', &word)) {
        unsigned found = 0;
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (str_eq_c(word, scope_name(all[i])))
                found = all[i];
        if (found == 0)
            return false;
        scopes |= found;
    }
    *ret_scopes = scopes;
    return scopes != 0;
}

bool token_name_valid(struct str name)
{
    if (name.len == 0 || name.len > LIMIT_ACTOR_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (c == '\0' || strchr("._-@", c) == NULL))
            return false;
    }
    return true;
}

void token_digest(struct str token, uint8_t ret_sha256[32])
{
    SHA256((const unsigned char *)token.data, token.len, ret_sha256);
}

static struct str next_word(struct str *line)
{
    *line = str_trim(*line);
    if (line->len == 0)
        return STR("");
    size_t n = 0;
    while (n < line->len && line->data[n] != ' ' && line->data[n] != '\t')
        n++;
    struct str word = {line->data, n};
    line->data += n;
    line->len -= n;
    return word;
}

static int parse_line(struct str line, size_t number, struct token *ret_token, struct err *err)
{
    struct str name = next_word(&line), digest = next_word(&line), scopes = next_word(&line);
    *ret_token = (struct token){0};
    if (!token_name_valid(name))
        return err_set(err, ERR_CONFIG,
            "line %zu: '" STR_FMT "' is no name: letters, digits, '.', '_', '-', '@', at most %d", number,
            STR_ARG(name), LIMIT_ACTOR_MAX);
    memcpy(ret_token->name, name.data, name.len);
    /* What stands there may be a token that was put into the wrong place: it is not repeated. */
    if (!str_to_bytes(digest, ret_token->sha256, sizeof ret_token->sha256))
        return err_set(err, ERR_CONFIG,
            "line %zu: the second word must be the SHA-256 of the token, 64 hex digits "
            "('creditledger token' makes such a line)",
            number);
    if (!scopes_parse(scopes, &ret_token->scopes))
        return err_set(err, ERR_CONFIG,
            "line %zu: the third word must be scopes out of read, post and admin, with "
            "commas between them",
            number);
    if (str_trim(line).len != 0)
        return err_set(err, ERR_CONFIG, "line %zu: there is more behind the scopes", number);
    return 0;
}

static size_t slot_of(const struct generation *g, const uint8_t sha256[32])
{
    return hash64(g->seed, sha256, 32) & (g->n_slots - 1);
}

/* The index of the token of that digest; SIZE_MAX if there is none. */
static size_t generation_find(const struct generation *g, const uint8_t sha256[32])
{
    for (size_t at = slot_of(g, sha256);; at = (at + 1) & (g->n_slots - 1)) {
        if (g->slots[at] == 0)
            return SIZE_MAX;
        if (CRYPTO_memcmp(g->tokens[g->slots[at] - 1].sha256, sha256, 32) == 0)
            return g->slots[at] - 1;
    }
}

static void generation_free(struct generation *g)
{
    free(g->tokens);
    free(g->slots);
    free(g);
}

static struct generation *generation_new(size_t capacity)
{
    struct generation *g = calloc(1, sizeof *g);
    INVARIANT(g != NULL);
    g->n_slots = 16;
    while (g->n_slots < 2 * capacity)
        g->n_slots *= 2;
    g->slots = calloc(g->n_slots, sizeof *g->slots);
    g->tokens = calloc(capacity + 1, sizeof *g->tokens);
    INVARIANT(g->slots != NULL && g->tokens != NULL);
    INVARIANT(getrandom(&g->seed, sizeof g->seed, 0) == (ssize_t)sizeof g->seed);
    return g;
}

static int generation_add(struct generation *g, const struct token *token, size_t line, struct err *err)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->tokens[i].name, token->name) == 0)
            return err_set(err, ERR_CONFIG, "line %zu: the name '%s' appears twice", line, token->name);
    if (generation_find(g, token->sha256) != SIZE_MAX)
        return err_set(err, ERR_CONFIG, "line %zu: another line has the same token", line);
    g->tokens[g->n++] = *token;
    size_t at = slot_of(g, token->sha256);
    while (g->slots[at] != 0)
        at = (at + 1) & (g->n_slots - 1);
    g->slots[at] = (uint32_t)g->n;
    return 0;
}

static bool is_token_line(struct str *line)
{
    *line = str_trim(*line);
    return line->len > 0 && line->data[0] != '#';
}

static size_t count_lines(struct str text)
{
    size_t n = 0;
    struct str line;
    while (str_split(&text, '\n', &line))
        n += is_token_line(&line);
    return n;
}

static int parse_into(struct generation *g, struct str text, struct err *err)
{
    struct str line;
    for (size_t number = 1; str_split(&text, '\n', &line); number++) {
        struct token token;
        if (!is_token_line(&line))
            continue;
        int failed = parse_line(line, number, &token, err);
        if (!failed)
            failed = generation_add(g, &token, number, err);
        if (failed)
            return failed;
    }
    return 0;
}

int tokens_parse(struct str text, struct tokens **ret_tokens, struct err *err)
{
    size_t n = count_lines(text);
    if (n == 0)
        return err_set(err, ERR_CONFIG, "it holds no token ('creditledger token NAME' makes a line for it)");
    if (n > LIMIT_TOKENS_MAX)
        return err_set(err, ERR_CONFIG, "it holds %zu tokens, the limit is %d", n, LIMIT_TOKENS_MAX);
    struct generation *g = generation_new(n);
    int failed = parse_into(g, text, err);
    if (failed) {
        generation_free(g);
        return failed;
    }
    struct tokens *tokens = calloc(1, sizeof *tokens);
    INVARIANT(tokens != NULL);
    atomic_init(&tokens->current, g);
    *ret_tokens = tokens;
    return 0;
}

/* The file's text goes into b. Who can read it can try tokens against the digests; who can write it, let
 * himself in. */
static int read_file(const char *path, struct strbuf *b, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat s;
    if (fd < 0 || fstat(fd, &s) != 0) {
        int code = err_set(err, ERR_CONFIG, "cannot read it: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return code;
    }
    if ((s.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
        close(fd);
        return err_set(
            err, ERR_CONFIG, "others may read or change it (mode %03o): chmod 600 it", s.st_mode & 0777u);
    }
    for (;;) {
        strbuf_reserve(b, 65536);
        ssize_t n = read(fd, b->data + b->len, 65536);
        if (n > 0)
            b->len += (size_t)n;
        if (n == 0 || (n < 0 && errno != EINTR) || b->len > FILE_BYTES_MAX) {
            int code = n < 0 ? err_set(err, ERR_CONFIG, "cannot read it: %s", strerror(errno))
                       : b->len > FILE_BYTES_MAX
                           ? err_set(err, ERR_CONFIG, "it is longer than %d bytes", FILE_BYTES_MAX)
                           : 0;
            close(fd);
            return code;
        }
    }
}

int tokens_load(const char *path, struct tokens **ret_tokens, struct err *err)
{
    struct strbuf b;
    strbuf_init(&b);
    int failed = read_file(path, &b, err);
    if (!failed)
        failed = tokens_parse(strbuf_view(&b), ret_tokens, err);
    strbuf_fini(&b);
    return failed ? err_wrap(err, "token file %s", path) : 0;
}

void tokens_free(struct tokens *tokens)
{
    if (tokens == NULL)
        return;
    for (struct generation *g = atomic_load(&tokens->current), *older; g != NULL; g = older) {
        older = g->older;
        generation_free(g);
    }
    free(tokens);
}

void tokens_replace(struct tokens *tokens, struct tokens *fresh)
{
    struct generation *g = atomic_load(&fresh->current);
    INVARIANT(g->older == NULL);
    g->older = atomic_load(&tokens->current);
    atomic_store(&tokens->current, g);
    free(fresh);
}

size_t tokens_count(const struct tokens *tokens)
{
    return atomic_load(&tokens->current)->n;
}

/* RFC 6750 section 2.1; the scheme's name is compared without regard to case (RFC 9110 section 11.1). */
const struct token *tokens_find(const struct tokens *tokens, struct str authorization)
{
    struct str scheme = next_word(&authorization), token = str_trim(authorization);
    if (scheme.len != 6 || strncasecmp(scheme.data, "Bearer", 6) != 0 || token.len == 0)
        return NULL;
    uint8_t sha256[32];
    token_digest(token, sha256);
    const struct generation *g = atomic_load(&tokens->current);
    size_t at = generation_find(g, sha256);
    return at == SIZE_MAX ? NULL : &g->tokens[at];
}

bool token_allows(const struct token *token, enum scope scope)
{
    return scope == SCOPE_NONE || (token->scopes & SCOPE_ADMIN) != 0 ||
           (token->scopes & (unsigned)scope) != 0;
}
