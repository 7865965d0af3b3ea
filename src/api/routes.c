#include "api/routes.h"

#include <string.h>

#include "base/limits.h"

#define SEGMENTS_MAX 6

static const struct route routes[ROUTES_N] = {
#define X(NAME, method, pattern, access, place, body, dry_run) \
    [ROUTE_##NAME] = {ROUTE_##NAME, API_##method, pattern, ROUTE_ACCESS_##access, ROUTE_PLACE_##place, \
        ROUTE_BODY_##body, dry_run},
    ROUTE_TABLE(X)
#undef X
};

const struct route *route_of(enum route_id id)
{
    INVARIANT(id < ROUTES_N);
    return &routes[id];
}

bool route_is_write(const struct route *route)
{
    return route->body != ROUTE_BODY_NONE;
}

struct segments {
    struct str at[SEGMENTS_MAX];
    size_t n;
};

/* "/a/b" has the segments "a", "b"; "/a/" has "a", "". False if there are too many for any route. */
static bool split_path(struct str path, struct segments *ret_segments)
{
    *ret_segments = (struct segments){.n = 0};
    if (path.len == 0 || path.data[0] != '/')
        return false;
    struct str rest = {path.data + 1, path.len - 1}, segment;
    while (str_split(&rest, '/', &segment)) {
        if (ret_segments->n == SEGMENTS_MAX)
            return false;
        ret_segments->at[ret_segments->n++] = segment;
    }
    return true;
}

/* Whether segments from `first` on have the pattern's shape; the segment that stands for {…} goes to
 * *ret_parameter. */
static bool pattern_fits(
    const char *pattern, const struct segments *segments, size_t first, struct str *ret_parameter)
{
    struct str rest = str_of(pattern + 1), part;
    size_t i = first;
    *ret_parameter = STR_NONE;
    while (str_split(&rest, '/', &part)) {
        if (i == segments->n)
            return false;
        struct str segment = segments->at[i++];
        if (part.len > 0 && part.data[0] == '{') {
            if (segment.len == 0)
                return false;
            *ret_parameter = segment;
        } else if (!str_eq(part, segment)) {
            return false;
        }
    }
    return i == segments->n;
}

static bool has_ledger_prefix(const struct segments *segments)
{
    return segments->n > 2 && str_eq_c(segments->at[0], "ledgers");
}

static int hex_value(char c)
{
    uint8_t byte;
    char two[2] = {'0', c};
    return str_to_bytes((struct str){two, 2}, &byte, 1) ? byte : -1;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
            return true;
    return false;
}

bool percent_decode(struct str s, bool plus_is_blank, struct arena *arena, struct str *ret_decoded)
{
    struct str decoded = s;
    bool plain = s.len == 0 || (memchr(s.data, '%', s.len) == NULL &&
                                   !(plus_is_blank && memchr(s.data, '+', s.len) != NULL));
    if (!plain) {
        char *out = arena_alloc(arena, s.len + 1);
        size_t n = 0;
        for (size_t i = 0; i < s.len; i++) {
            char c = s.data[i];
            if (c == '%') {
                if (s.len - i < 3)
                    return false;
                int high = hex_value(s.data[i + 1]), low = hex_value(s.data[i + 2]);
                if (high < 0 || low < 0)
                    return false;
                c = (char)(high << 4 | low);
                i += 2;
            } else if (c == '+' && plus_is_blank) {
                c = ' ';
            }
            out[n++] = c;
        }
        decoded = (struct str){out, n};
    }
    if (has_control(decoded) || !str_utf8_valid(decoded))
        return false;
    *ret_decoded = decoded;
    return true;
}

static const char *method_name(enum api_method method)
{
    return method == API_GET ? "GET, HEAD" : method == API_POST ? "POST" : "PATCH";
}

static void allow_add(struct route_match *m, enum api_method method)
{
    size_t used = strlen(m->allow);
    const char *name = method_name(method);
    INVARIANT(used + strlen(name) + 3 < sizeof m->allow);
    if (used > 0) {
        memcpy(m->allow + used, ", ", 2);
        used += 2;
    }
    memcpy(m->allow + used, name, strlen(name) + 1);
}

static void refuse(struct route_match *m, enum refusal refusal, const char *detail)
{
    m->refusal = refusal;
    m->route = NULL;
    m->detail = detail;
}

/* The routes that fit but for their method are named in `Allow`; GET before POST and PATCH, literal before
 * {…}. */
static const struct route *find_route(enum api_method method, const struct segments *segments, size_t first,
    struct str *ret_parameter, struct route_match *m)
{
    const char *taken = NULL;
    for (size_t i = 0; i < ROUTES_N; i++) {
        const struct route *route = &routes[i];
        struct str parameter;
        if (first > 0 && route->place != ROUTE_PLACE_LEDGER)
            continue;
        if (!pattern_fits(route->pattern, segments, first, &parameter))
            continue;
        /* A literal path hides the pattern that would swallow it: /transfers/batch is no transfer's id. */
        if (taken != NULL && strcmp(taken, route->pattern) != 0)
            continue;
        taken = route->pattern;
        if (route->method == method) {
            *ret_parameter = parameter;
            return route;
        }
        allow_add(m, route->method);
    }
    return NULL;
}

void route_match(enum api_method method, struct str path, struct arena *arena, struct route_match *ret_match)
{
    *ret_match = (struct route_match){.ledger = STR("main")};
    struct segments segments;
    if (!split_path(path, &segments)) {
        refuse(ret_match, REFUSAL_ROUTE_NOT_FOUND, "No route has such a path.");
        return;
    }
    size_t first = has_ledger_prefix(&segments) ? 2 : 0;
    struct str parameter = STR_NONE;
    const struct route *route =
        find_route(method == API_HEAD ? API_GET : method, &segments, first, &parameter, ret_match);
    if (route == NULL) {
        bool elsewhere = ret_match->allow[0] != 0;
        refuse(ret_match, elsewhere ? REFUSAL_METHOD_NOT_ALLOWED : REFUSAL_ROUTE_NOT_FOUND,
            elsewhere ? "The path exists, and this method is not one of its own."
                      : "No route has such a path.");
        return;
    }
    ret_match->allow[0] = '\0'; /* of other methods on the way */
    ret_match->route = route;
    if (!percent_decode(parameter, false, arena, &ret_match->parameter) ||
        (first > 0 && !percent_decode(segments.at[1], false, arena, &ret_match->ledger)))
        refuse(ret_match, REFUSAL_INVALID_PARAMETER,
            "A '%' in the path lacks its two hex digits, or what it stands for is no UTF-8 text without "
            "control "
            "characters.");
}

size_t route_body_limit(enum api_method method, struct str path)
{
    struct segments segments;
    struct str parameter;
    struct route_match unused = {.allow = ""};
    if (!split_path(path, &segments))
        return LIMIT_BODY_MAX;
    const struct route *route =
        find_route(method, &segments, has_ledger_prefix(&segments) ? 2 : 0, &parameter, &unused);
    return route != NULL && route->body == ROUTE_BODY_BULK ? LIMIT_BATCH_BODY_MAX : LIMIT_BODY_MAX;
}
