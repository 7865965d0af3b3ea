/*
 * `creditledger token`: makes a random token. The token is printed once and stored nowhere; the line for the
 * token file holds its digest only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/store.h"
#include "app/tokens.h"

#define TOKEN_BYTES 32

static const struct option_spec options[] = {
    {"scopes", "LIST", "what it allows: read, post, admin, with commas between them", NULL, "read,post",
        "read post read,post admin"},
    {"file", "FILE", "append the line to this token file, made with mode 600 if it is not there", NULL, NULL,
        "@file"},
    {"json", NULL, "print JSON", NULL, NULL, NULL},
    {.name = NULL},
};

/* 256 bits as base64url (RFC 4648 section 5) without padding, behind a prefix that secret scanners can look
 * for. */
static void make_token(struct strbuf *b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[TOKEN_BYTES];
    store_random(NULL, bytes, sizeof bytes);
    strbuf_c(b, "clt_");
    unsigned value = 0, bits = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        value = value << 8 | bytes[i];
        for (bits += 8; bits >= 6; bits -= 6)
            strbuf_char(b, digits[value >> (bits - 6) & 63]);
        value &= 63;
    }
    strbuf_char(b, digits[value << (6 - bits) & 63]);
}

static bool read_all(int fd, struct strbuf *b)
{
    char part[8192];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0)
        strbuf_add(b, part, (size_t)n);
    return n == 0;
}

static bool has_name(struct str text, const char *name)
{
    struct str line;
    while (str_split(&text, '\n', &line)) {
        line = str_trim(line);
        size_t n = 0;
        while (n < line.len && line.data[n] != ' ' && line.data[n] != '\t')
            n++;
        if (str_eq((struct str){line.data, n}, str_of(name)))
            return true;
    }
    return false;
}

/* A server refuses a file that has a name twice, and would then not start. */
static int append_to(const struct options *o, int fd, const char *path, const char *name, struct str line)
{
    struct strbuf text;
    strbuf_init(&text);
    bool done = read_all(fd, &text), taken = done && has_name(strbuf_view(&text), name);
    if (done && !taken) {
        bool cut = text.len > 0 && text.data[text.len - 1] != '\n'; /* as some editors leave it */
        strbuf_clear(&text);
        strbuf_c(&text, cut ? "\n" : "");
        strbuf_add(&text, line.data, line.len);
        done = write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    }
    strbuf_fini(&text);
    if (taken)
        return options_fail(o, EXIT_USAGE,
            "%s has a token of the name '%s' already: remove its line, or choose another name", path, name);
    return done ? EXIT_OK : options_fail(o, EXIT_ENVIRONMENT, "cannot write %s: %s", path, strerror(errno));
}

static int append_line(const struct options *o, const char *path, const char *name, struct str line)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return options_fail(o, EXIT_ENVIRONMENT, "cannot write %s: %s", path, strerror(errno));
    int code = append_to(o, fd, path, name, line);
    close(fd);
    return code;
}

static void print(const struct options *o, struct str token, struct str line)
{
    if (options_flag(o, "json")) {
        printf("{\"token\":\"" STR_FMT "\",\"line\":\"" STR_FMT "\"}\n", STR_ARG(token), (int)line.len - 1,
            line.data);
        return;
    }
    printf("token, shown only this once:\n  " STR_FMT "\n", STR_ARG(token));
    if (options_get(o, "file") != NULL)
        printf("its line was appended to %s; a running server reads it after: kill -HUP <pid>\n",
            options_get(o, "file"));
    else
        printf("line for the token file:\n  " STR_FMT, STR_ARG(line));
}

static int run(const struct options *o)
{
    const char *name = options_positional_at(o, 0), *scopes_text = options_get(o, "scopes");
    unsigned scopes;
    if (!token_name_valid(str_of(name)))
        return options_fail(o, EXIT_USAGE, "'%s' is no name: letters, digits, '.', '_', '-', '@', at most %d",
            name, LIMIT_ACTOR_MAX);
    if (!scopes_parse(str_of(scopes_text), &scopes))
        return options_fail(o, EXIT_USAGE,
            "--scopes is '%s': it must be read, post or admin, with commas between them", scopes_text);
    struct strbuf token, line;
    strbuf_init(&token);
    strbuf_init(&line);
    make_token(&token);
    uint8_t sha256[32];
    token_digest(strbuf_view(&token), sha256);
    strbuf_printf(&line, "%s ", name);
    strbuf_hex(&line, sha256, sizeof sha256);
    strbuf_printf(&line, " %s\n", scopes_text);
    const char *file = options_get(o, "file");
    int code = file != NULL ? append_line(o, file, name, strbuf_view(&line)) : EXIT_OK;
    if (code == EXIT_OK)
        print(o, strbuf_view(&token), strbuf_view(&line));
    strbuf_fini(&token);
    strbuf_fini(&line);
    return code;
}

const struct command_spec cmd_token = {
    .name = "token",
    .summary = "make a random access token and its line for the token file",
    .positional = "NAME",
    .positional_min = 1,
    .positional_max = 1,
    .details =
        "NAME is recorded as the actor of everything done with the token. The token itself is stored "
        "nowhere:\n"
        "the file holds its SHA-256. Scopes: read (every GET), post (open accounts, move value), admin\n"
        "(ledgers, assets, revisions; includes the others). Example:\n\n"
        "  creditledger token billing --scopes read,post --file tokens\n"
        "  creditledger serve --token-file tokens --listen 0.0.0.0:4000",
    .options = options,
    .run = run,
};
