#include "script.h"

#include <jansson.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"

#define VARIABLES_MAX 128

struct variable {
    struct str name, value;
};

struct script {
    const char *file;
    int line;
    struct target *target;
    FILE *record;
    struct arena arena; /* everything of one scenario */
    struct variable variables[VARIABLES_MAX];
    size_t n_variables;
    struct exchange exchange; /* being put together */
    struct strbuf body;
    bool pending; /* an exchange waits to be sent */
    struct outcome outcome;
    json_t *answer; /* of the last exchange; NULL if it is no JSON */
    struct err *err;
};

static bool fail(struct script *s, const char *format, ...) PRINTF_LIKE(2, 3);

static bool fail(struct script *s, const char *format, ...)
{
    char message[ERR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    err_set(s->err, ERR_CONFLICT, "%s:%d: %s", s->file, s->line, message);
    return false;
}

/* --- variables
 * --------------------------------------------------------------------------------------------------- */

static void set_variable(struct script *s, struct str name, struct str value)
{
    for (size_t i = 0; i < s->n_variables; i++)
        if (str_eq(s->variables[i].name, name)) {
            s->variables[i].value = arena_str(&s->arena, value);
            return;
        }
    INVARIANT(s->n_variables < VARIABLES_MAX);
    s->variables[s->n_variables++] =
        (struct variable){arena_str(&s->arena, name), arena_str(&s->arena, value)};
}

static const struct variable *find_variable(const struct script *s, struct str name)
{
    for (size_t i = 0; i < s->n_variables; i++)
        if (str_eq(s->variables[i].name, name))
            return &s->variables[i];
    return NULL;
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* $name and ${name} become the variable's value, $$ a dollar. */
static bool substitute(struct script *s, struct str text, struct str *ret_text)
{
    struct strbuf out;
    strbuf_init(&out);
    bool good = true;
    for (size_t i = 0; good && i < text.len; i++) {
        if (text.data[i] != '$') {
            strbuf_char(&out, text.data[i]);
            continue;
        }
        if (i + 1 < text.len && text.data[i + 1] == '$') {
            strbuf_char(&out, '$');
            i++;
            continue;
        }
        bool braces = i + 1 < text.len && text.data[i + 1] == '{';
        size_t begin = i + 1 + (braces ? 1 : 0), end = begin;
        while (end < text.len && name_char(text.data[end]))
            end++;
        const struct variable *v = find_variable(s, (struct str){text.data + begin, end - begin});
        if (v == NULL)
            good = fail(s, "no variable '%.*s'", (int)(end - begin), text.data + begin);
        else
            strbuf_str(&out, v->value);
        i = braces ? end : end - 1;
    }
    *ret_text = arena_str(&s->arena, strbuf_view(&out));
    strbuf_fini(&out);
    return good;
}

/* --- answers
 * ----------------------------------------------------------------------------------------------------- */

struct str outcome_header(const struct outcome *outcome, const char *name)
{
    struct str rest = strbuf_view(&outcome->headers), line;
    size_t len = strlen(name);
    while (str_split(&rest, '\n', &line))
        if (line.len > len && line.data[len] == ':' && strncasecmp(line.data, name, len) == 0)
            return str_trim((struct str){line.data + len + 1, line.len - len - 1});
    return STR_NONE;
}

/* An answer in NDJSON is the array of its lines. */
static json_t *parse_answer(const struct outcome *o)
{
    if (!str_starts(outcome_header(o, "Content-Type"), STR("application/x-ndjson")))
        return o->body.len == 0
                   ? NULL
                   : json_loadb(o->body.data, o->body.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    json_t *lines = json_array();
    struct str rest = strbuf_view(&o->body), line;
    while (str_split(&rest, '\n', &line))
        if (line.len > 0)
            json_array_append_new(
                lines, json_loadb(line.data, line.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL));
    return lines;
}

/* "lines[0].balance"; the last part may be "length". NULL if there is no such member. Borrowed, or owned if
 * *ret_owned. */
static json_t *find_member(json_t *at, struct str path, json_t **ret_owned)
{
    *ret_owned = NULL;
    while (at != NULL && path.len > 0) {
        if (path.data[0] == '[') {
            const char *end = memchr(path.data, ']', path.len);
            uint64_t index;
            if (end == NULL ||
                !str_to_uint64((struct str){path.data + 1, (size_t)(end - path.data) - 1}, &index))
                return NULL;
            at = json_array_get(at, index);
            path = (struct str){end + 1, path.len - (size_t)(end + 1 - path.data)};
        } else {
            if (path.data[0] == '.')
                path = (struct str){path.data + 1, path.len - 1};
            size_t len = 0;
            while (len < path.len && path.data[len] != '.' && path.data[len] != '[')
                len++;
            char name[128];
            snprintf(name, sizeof(name), "%.*s", (int)len, path.data);
            path = (struct str){path.data + len, path.len - len};
            if (json_is_array(at) && strcmp(name, "length") == 0)
                return *ret_owned = json_integer((json_int_t)json_array_size(at));
            at = json_object_get(at, name);
        }
    }
    return at;
}

static char *dump(const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    INVARIANT(text != NULL);
    return text;
}

static bool expect_json(struct script *s, struct str member, const json_t *got, struct str want_text)
{
    json_t *want = json_loadb(want_text.data, want_text.len, JSON_DECODE_ANY, NULL);
    if (want == NULL)
        return fail(s, "'" STR_FMT "' is not JSON", STR_ARG(want_text));
    bool equal = got != NULL && json_equal(got, want);
    if (!equal) {
        char *text = got != NULL ? dump(got) : NULL;
        fail(s, STR_FMT " should be " STR_FMT ", is %.200s", STR_ARG(member), STR_ARG(want_text),
            text != NULL ? text : "absent");
        free(text);
    }
    json_decref(want);
    return equal;
}

static bool expect_match(struct script *s, struct str member, struct str text, struct str pattern)
{
    regex_t regex;
    struct str p = arena_str(&s->arena, pattern), t = arena_str(&s->arena, text);
    if (regcomp(&regex, p.data, REG_EXTENDED | REG_NOSUB | REG_NEWLINE) != 0)
        return fail(s, "'" STR_FMT "' is no regular expression", STR_ARG(pattern));
    bool matches = t.data != NULL && regexec(&regex, t.data, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches || fail(s, STR_FMT " should match " STR_FMT ", is '%.*s'", STR_ARG(member),
                          STR_ARG(pattern), (int)(t.len < 200 ? t.len : 200), t.data != NULL ? t.data : "");
}

static bool cut(struct str line, const char *separator, struct str *ret_before, struct str *ret_after)
{
    const char *at = memmem(line.data, line.len, separator, strlen(separator));
    if (at == NULL)
        return false;
    *ret_before = str_trim((struct str){line.data, (size_t)(at - line.data)});
    *ret_after = str_trim(
        (struct str){at + strlen(separator), line.len - (size_t)(at - line.data) - strlen(separator)});
    return true;
}

static bool ends(struct str s, const char *tail)
{
    size_t len = strlen(tail);
    return s.len >= len && memcmp(s.data + s.len - len, tail, len) == 0;
}

static bool expect_header(struct script *s, struct str line)
{
    struct str name, value;
    if (ends(line, " absent")) {
        name = arena_str(&s->arena, str_trim((struct str){line.data, line.len - strlen(" absent")}));
        struct str got = outcome_header(&s->outcome, name.data);
        return got.data == NULL ||
               fail(s, "header %s should be absent, is '" STR_FMT "'", name.data, STR_ARG(got));
    }
    if (cut(line, " -> ", &name, &value)) {
        struct str got = outcome_header(&s->outcome, arena_str(&s->arena, name).data);
        if (got.data == NULL)
            return fail(s, "header " STR_FMT " is absent", STR_ARG(name));
        set_variable(s, value, got);
        return true;
    }
    if (!cut(line, " = ", &name, &value))
        return fail(s, "expected 'header NAME = VALUE', 'header NAME -> VARIABLE' or 'header NAME absent'");
    struct str got = outcome_header(&s->outcome, arena_str(&s->arena, name).data);
    return str_eq(got, value) || fail(s, "header " STR_FMT " should be '" STR_FMT "', is '" STR_FMT "'",
                                     STR_ARG(name), STR_ARG(value), STR_ARG(got));
}

/* One indented line under an answer. */
static bool expect_line(struct script *s, struct str line)
{
    struct str member, value;
    json_t *owned, *got;
    if (s->pending || s->outcome.status == 0)
        return fail(s, "an expectation before the status line");
    if (str_starts(line, STR("header ")))
        return expect_header(s, (struct str){line.data + 7, line.len - 7});
    if (str_starts(line, STR("body ~ ")))
        return expect_match(
            s, STR("body"), strbuf_view(&s->outcome.body), (struct str){line.data + 7, line.len - 7});
    bool absent = ends(line, " absent"), good;
    if (absent) {
        member = str_trim((struct str){line.data, line.len - strlen(" absent")});
        got = find_member(s->answer, member, &owned);
        good = got == NULL || fail(s, STR_FMT " should be absent", STR_ARG(member));
    } else if (cut(line, " -> ", &member, &value)) {
        got = find_member(s->answer, member, &owned);
        good = got != NULL || fail(s, STR_FMT " is absent", STR_ARG(member));
        if (good) {
            char *text = json_is_string(got) ? strdup(json_string_value(got)) : dump(got);
            set_variable(s, value, str_of(text));
            free(text);
        }
    } else if (cut(line, " ~ ", &member, &value)) {
        got = find_member(s->answer, member, &owned);
        good = expect_match(s, member, str_of(got != NULL ? json_string_value(got) : NULL), value);
    } else if (cut(line, " = ", &member, &value)) {
        got = find_member(s->answer, member, &owned);
        good = expect_json(s, member, got, value);
    } else {
        good = fail(s, "expected 'MEMBER = JSON', '~ REGEX', '-> VARIABLE' or 'absent'");
        owned = NULL;
    }
    json_decref(owned);
    return good;
}

/* --- requests
 * ---------------------------------------------------------------------------------------------------- */

static void record_exchange(const struct script *s)
{
    if (s->record == NULL)
        return;
    const struct exchange *e = &s->exchange;
    const struct outcome *o = &s->outcome;
    struct str type = outcome_header(o, "Content-Type");
    json_t *line = json_pack("{s:s, s:s%, s:s%, s:s%, s:s%, s:i, s:s%, s:s%, s:s%}", "scenario", s->file,
        "method", e->method.data, e->method.len, "path", e->path.data, e->path.len, "query",
        e->query.len ? e->query.data : "", e->query.len, "request", e->body.len ? e->body.data : "",
        e->body.len, "status", o->status, "type", type.len ? type.data : "", type.len, "headers",
        o->headers.len ? o->headers.data : "", o->headers.len, "answer", o->body.len ? o->body.data : "",
        o->body.len);
    if (line == NULL)
        return; /* not UTF-8, on purpose */
    char *text = dump(line);
    fprintf(s->record, "%s\n", text);
    free(text);
    json_decref(line);
}

static void begin_answer(struct script *s)
{
    strbuf_clear(&s->outcome.headers);
    strbuf_clear(&s->outcome.body);
    s->outcome.status = 0;
    json_decref(s->answer);
    s->answer = NULL;
}

static bool has_header(const struct exchange *e, const char *name)
{
    for (size_t i = 0; i < e->n_headers; i++)
        if (e->headers[i].name.len == strlen(name) &&
            strncasecmp(e->headers[i].name.data, name, strlen(name)) == 0)
            return true;
    return false;
}

static bool send_pending(struct script *s)
{
    struct exchange *e = &s->exchange;
    if (!substitute(s, strbuf_view(&s->body), &e->body))
        return false;
    if (e->body.len > 0 && !has_header(e, "Content-Type"))
        e->headers[e->n_headers++] = (struct exchange_header){STR("Content-Type"), STR("application/json")};
    begin_answer(s);
    s->pending = false;
    struct err err;
    if (!s->target->send(s->target, e, &s->outcome, &err))
        return fail(s, "%.300s", err.message);
    s->answer = parse_answer(&s->outcome);
    record_exchange(s);
    return true;
}

/* "POST /transfers?dryRun=true {...}" */
static bool request_line(struct script *s, struct str line)
{
    if (s->pending)
        return fail(s, "the request before has no '=> STATUS'");
    struct str rest = line, method, target, query;
    s->exchange = (struct exchange){.n_headers = 0};
    strbuf_clear(&s->body);
    if (!str_split(&rest, ' ', &method) || !str_split(&rest, ' ', &target) || !substitute(s, target, &target))
        return s->err->code != 0 ? false : fail(s, "expected 'METHOD /path [body]'");
    query = target;
    if (!str_split(&query, '?', &s->exchange.path))
        return fail(s, "expected a path");
    s->exchange.method = method;
    s->exchange.query = s->exchange.path.len < target.len ? query : STR_NONE;
    strbuf_str(&s->body, str_trim(rest));
    s->pending = true;
    return true;
}

static bool status_line(struct script *s, struct str line)
{
    int64_t want;
    if (!s->pending)
        return fail(s, "a status without a request");
    if (!str_to_int64(str_trim(line), &want))
        return fail(s, "expected '=> STATUS'");
    if (!send_pending(s))
        return false;
    return s->outcome.status == want ||
           fail(s, "status should be %d, is %d: %.300s", (int)want, s->outcome.status,
               s->outcome.body.len > 0 ? arena_str(&s->arena, strbuf_view(&s->outcome.body)).data : "");
}

static bool header_line(struct script *s, struct str line)
{
    struct str name, value;
    if (!s->pending || !cut(line, ":", &name, &value) || s->exchange.n_headers == TARGET_HEADERS_MAX - 1)
        return fail(s, "expected '+ Header: value' under a request");
    if (!substitute(s, value, &value))
        return false;
    s->exchange.headers[s->exchange.n_headers++] =
        (struct exchange_header){arena_str(&s->arena, name), value};
    return true;
}

/* "balance ACCOUNT [in LEDGER] = N" */
static bool balance_line(struct script *s, struct str line)
{
    struct str account, ledger = STR_NONE, value, request;
    if (!cut(line, " = ", &account, &value))
        return fail(s, "expected 'balance ACCOUNT [in LEDGER] = N'");
    struct str whole = account;
    cut(whole, " in ", &account, &ledger);
    request = ledger.len > 0
                  ? arena_printf(&s->arena, "GET /ledgers/" STR_FMT "/accounts/" STR_FMT "/balance",
                        STR_ARG(ledger), STR_ARG(account))
                  : arena_printf(&s->arena, "GET /accounts/" STR_FMT "/balance", STR_ARG(account));
    if (!request_line(s, request) || !status_line(s, STR("200")))
        return false;
    json_t *owned, *got = find_member(s->answer, STR("balance"), &owned);
    return substitute(s, value, &value) &&
           expect_json(s, arena_printf(&s->arena, "balance of " STR_FMT, STR_ARG(account)), got, value);
}

static bool run_line(struct script *s, struct str line)
{
    if (s->pending && str_starts(line, STR("|"))) {
        size_t skip = line.len > 1 && line.data[1] == ' ' ? 2 : 1;
        strbuf_add(&s->body, line.data + skip, line.len - skip);
        strbuf_char(&s->body, '\n');
        return true;
    }
    bool indented = line.len > 0 && line.data[0] == ' ';
    line = str_trim(line);
    if (line.len == 0 || line.data[0] == '#')
        return true;
    if (str_starts(line, STR("+ ")))
        return header_line(s, (struct str){line.data + 2, line.len - 2});
    if (str_starts(line, STR("=> ")))
        return status_line(s, (struct str){line.data + 3, line.len - 3});
    if (indented)
        return substitute(s, line, &line) && expect_line(s, line);
    if (str_starts(line, STR("balance ")))
        return balance_line(s, (struct str){line.data + 8, line.len - 8});
    return request_line(s, line);
}

bool script_run(const char *file, struct str text, struct target *target, FILE *record, struct err *err)
{
    struct script s = {.file = file, .target = target, .record = record, .err = err};
    arena_init(&s.arena, 65536);
    strbuf_init(&s.body);
    strbuf_init(&s.outcome.headers);
    strbuf_init(&s.outcome.body);
    *err = (struct err){.code = 0};
    struct str line;
    bool good = true;
    while (good && str_split(&text, '\n', &line)) {
        s.line++;
        good = run_line(&s, line);
    }
    if (good && s.pending)
        good = fail(&s, "the last request has no '=> STATUS'");
    json_decref(s.answer);
    strbuf_fini(&s.outcome.body);
    strbuf_fini(&s.outcome.headers);
    strbuf_fini(&s.body);
    arena_fini(&s.arena);
    return good;
}
