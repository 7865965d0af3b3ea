#include "api/decode_query.h"

#include <string.h>

#include "api/cursor.h"
#include "base/instant.h"
#include "money/asset.h"

typedef bool parameter_reader(struct str value, void *to);

static bool read_bool(struct str value, void *to)
{
    *(bool *)to = str_eq(value, STR("true"));
    return str_eq(value, STR("true")) || str_eq(value, STR("false"));
}

/* The '+' of an offset that nobody encoded arrives as a blank; nothing else in a time is one. */
static bool read_instant(struct str value, void *to)
{
    char text[64];
    if (value.len >= sizeof text)
        return false;
    for (size_t i = 0; i < value.len; i++)
        text[i] = value.data[i] == ' ' ? '+' : value.data[i];
    return instant_parse((struct str){text, value.len}, to);
}

static bool read_limit(struct str value, void *to)
{
    uint64_t n;
    if (!str_to_uint64(value, &n) || n < 1 || n > LIMIT_PAGE_MAX)
        return false;
    *(size_t *)to = (size_t)n;
    return true;
}

static bool read_seq(struct str value, void *to)
{
    return str_to_uint64(value, to);
}

static bool read_wait(struct str value, void *to)
{
    return str_to_int64(value, to) && *(int64_t *)to >= 0 && *(int64_t *)to <= LIMIT_WAIT_SECONDS_MAX;
}

static bool read_axis(struct str value, void *to)
{
    *(bool *)to = str_eq(value, STR("effective"));
    return *(bool *)to || str_eq(value, STR("recorded"));
}

static bool read_account(struct str value, void *to)
{
    struct account_ref *ref = to;
    return account_ref_parse(value, ref) && !(ref->by == REF_BY_WORLD && ref->currency.data == NULL);
}

static bool read_kind(struct str value, void *to)
{
    static const enum record_kind kinds[] = {
#define X(NAME, name, number) RECORD_##NAME,
        RECORD_KIND_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (str_eq_c(value, record_kind_name(kinds[i]))) {
            *(enum record_kind *)to = kinds[i];
            return true;
        }
    return false;
}

static bool read_text(struct str value, void *to)
{
    *(struct str *)to = value;
    return value.len > 0;
}

/* A date alone, or midnight UTC as a time. */
static bool read_day(struct str value, void *to)
{
    char text[64];
    if (value.len >= sizeof text)
        return false;
    for (size_t i = 0; i < value.len; i++)
        text[i] = value.data[i] == ' ' ? '+' : value.data[i];
    int64_t *instant = to;
    return instant_parse_loose((struct str){text, value.len}, instant) && *instant % MICROS_PER_DAY == 0;
}

static bool read_amount(struct str value, void *to)
{
    int64_t *amount = to;
    return str_to_int64(value, amount) && *amount >= 0 && *amount <= LIMIT_AMOUNT_MAX;
}

static bool read_currency(struct str value, void *to)
{
    *(struct str *)to = value;
    return asset_code_valid(value);
}

static bool read_consistency(struct str value, void *to)
{
    bool strong = str_eq(value, STR("strong"));
    *(enum consistency *)to = strong ? CONSISTENCY_STRONG : CONSISTENCY_EVENTUAL;
    return strong || str_eq(value, STR("eventual"));
}

#define ON(NAME) (UINT64_C(1) << ROUTE_##NAME)
#define ON_WRITES (UINT64_C(1) << 63) /* every route that may be a dry run */
#define NO_FLAG SIZE_MAX

/* X(name, reader, member, has_ member or NO_FLAG, routes, what it must be) */
static const struct parameter {
    const char *name;
    parameter_reader *read;
    size_t offset, flag_offset;
    uint64_t routes;
    const char *rule;
} parameters[] = {
#define AT(member) offsetof(struct query, member)
#define INSTANT_RULE "A time is RFC 3339 with an offset, like 2026-01-31T12:34:56Z."
#define DAY_RULE "A day is a date, like 2026-01-31; days are UTC's."
#define AMOUNT_RULE "It is an integer of minor units from 0."
    {"dryRun", read_bool, AT(dry_run), NO_FLAG, ON_WRITES, "It is true or false."},
    {"atomic", read_bool, AT(atomic), NO_FLAG, ON(POST_BATCH), "It is true or false."},
    {"at", read_instant, AT(at), AT(has_at), ON(GET_BALANCE), INSTANT_RULE},
    {"knownAt", read_instant, AT(known_at), AT(has_known_at), ON(GET_BALANCE) | ON(GET_STATEMENT),
        INSTANT_RULE},
    {"from", read_instant, AT(from), AT(has_from), ON(GET_STATEMENT) | ON(LIST_TRANSFERS), INSTANT_RULE},
    {"to", read_instant, AT(to), AT(has_to), ON(GET_STATEMENT) | ON(LIST_TRANSFERS), INSTANT_RULE},
    {"from", read_day, AT(from), AT(has_from), ON(GET_ACTIVITY), DAY_RULE},
    {"to", read_day, AT(to), AT(has_to), ON(GET_ACTIVITY), DAY_RULE},
    {"axis", read_axis, AT(axis_effective), NO_FLAG, ON(GET_STATEMENT), "It is recorded or effective."},
    {"account", read_account, AT(account), AT(has_account), ON(LIST_TRANSFERS),
        "It is an account's id, ext:… with an externalId, or @world:… with a currency."},
    {"kind", read_kind, AT(kind), AT(has_kind), ON(LIST_TRANSFERS),
        "It is transfer, reversal, declined, opening, revision or erasure."},
    {"reference", read_text, AT(reference), NO_FLAG, ON(LIST_TRANSFERS), "It must not be empty."},
    {"currency", read_currency, AT(currency), NO_FLAG, ON(LIST_TRANSFERS),
        "It is a currency's code, like USD."},
    {"minAmount", read_amount, AT(least), AT(has_least), ON(LIST_TRANSFERS), AMOUNT_RULE},
    {"maxAmount", read_amount, AT(most), AT(has_most), ON(LIST_TRANSFERS), AMOUNT_RULE},
    {"consistency", read_consistency, AT(consistency), NO_FLAG,
        ON(GET_BALANCE) | ON(GET_STATEMENT) | ON(LIST_TRANSFERS) | ON(GET_ACTIVITY) | ON(GET_TOTALS),
        "It is strong or eventual."},
    {"after", read_seq, AT(after), NO_FLAG, ON(LIST_EVENTS), "It is a seq: an integer from 0."},
    {"wait", read_wait, AT(wait_s), NO_FLAG, ON(LIST_EVENTS), "It is a number of seconds from 0 to 30."},
    {"limit", read_limit, AT(limit), NO_FLAG,
        ON(LIST_ACCOUNTS) | ON(GET_STATEMENT) | ON(LIST_TRANSFERS) | ON(GET_ACTIVITY) | ON(LIST_EVENTS),
        "It is an integer from 1 to 1000."},
    {"cursor", read_text, AT(cursor), NO_FLAG,
        ON(LIST_ACCOUNTS) | ON(GET_STATEMENT) | ON(LIST_TRANSFERS) | ON(GET_ACTIVITY),
        "It must not be empty."},
#undef AT
};
#define PARAMETERS_N (sizeof parameters / sizeof parameters[0])

_Static_assert(ROUTES_N < 63, "routes are bits of a uint64_t");
_Static_assert(PARAMETERS_N <= 32, "parameters seen are bits of a uint32_t");
_Static_assert(LIMIT_PAGE_MAX == 1000 && LIMIT_WAIT_SECONDS_MAX == 30, "the rules above name these limits");

static bool belongs(const struct parameter *p, enum route_id route)
{
    return (p->routes >> route & 1) != 0 || (p->routes == ON_WRITES && route_of(route)->dry_run);
}

static const struct parameter *find(enum route_id route, struct str name)
{
    for (size_t i = 0; i < PARAMETERS_N; i++)
        if (belongs(&parameters[i], route) && str_eq_c(name, parameters[i].name))
            return &parameters[i];
    return NULL;
}

#define METADATA_PREFIX "metadata."

/* metadata.KEY=VALUE, by key in its place: the order in the URL does not matter. */
static bool take_metadata(struct str key, struct str value, struct query *q, struct fault *fault)
{
    static const char field[] = METADATA_PREFIX "KEY";
    size_t at = q->n_metadata;
    if (key.len == 0)
        return fault_set(fault, REFUSAL_INVALID_PARAMETER, field, "The key is missing: metadata.KEY=VALUE.");
    if (q->n_metadata == LIMIT_METADATA_FILTERS_MAX)
        return fault_set(fault, REFUSAL_INVALID_PARAMETER, field, "At most %d of them can be combined.",
            LIMIT_METADATA_FILTERS_MAX);
    for (; at > 0; at--) {
        struct str before = q->metadata[at - 1].key;
        size_t common = before.len < key.len ? before.len : key.len;
        int order = memcmp(before.data, key.data, common);
        if (order == 0 && before.len == key.len)
            return fault_set(fault, REFUSAL_INVALID_PARAMETER, field, "'metadata.%.*s' is there twice.",
                key.len < 60 ? (int)key.len : 60, key.data);
        if (order < 0 || (order == 0 && before.len < key.len))
            break;
        q->metadata[at] = q->metadata[at - 1];
    }
    q->metadata[at].key = key;
    q->metadata[at].value = value;
    q->n_metadata++;
    return true;
}

static bool take(enum route_id route, struct str pair, uint32_t *seen, struct arena *arena,
    struct query *query, struct fault *fault)
{
    struct str rest = pair, name = STR_NONE, value;
    bool split = str_split(&rest, '=', &name);
    if (!split || !percent_decode(name, true, arena, &name) ||
        !percent_decode(rest.data != NULL ? rest : STR(""), true, arena, &value))
        return fault_set(fault, REFUSAL_INVALID_PARAMETER, NULL,
            "The query has a '%%' without its two hex digits, or something that is no text in UTF-8.");
    if (route == ROUTE_LIST_TRANSFERS && str_starts(name, STR(METADATA_PREFIX)))
        return take_metadata(
            (struct str){name.data + strlen(METADATA_PREFIX), name.len - strlen(METADATA_PREFIX)}, value,
            query, fault);
    int shown = name.len < 60 ? (int)name.len : 60;
    const struct parameter *p = find(route, name);
    char field[64];
    memcpy(field, name.data, (size_t)shown);
    field[shown] = '\0';
    if (p == NULL)
        return fault_set(
            fault, REFUSAL_INVALID_PARAMETER, field, "'%s' is no query parameter of this resource.", field);
    uint32_t bit = UINT32_C(1) << (p - parameters);
    if ((*seen & bit) != 0)
        return fault_set(fault, REFUSAL_INVALID_PARAMETER, field, "'%s' is there twice.", field);
    *seen |= bit;
    if (!p->read(value, (char *)query + p->offset))
        return fault_set(fault, REFUSAL_INVALID_PARAMETER, field, "%s", p->rule);
    if (p->flag_offset != NO_FLAG)
        *(bool *)((char *)query + p->flag_offset) = true;
    return true;
}

/* In the table's order, so that the order in the URL does not matter; what a cursor binds. */
static void hash_filters(enum route_id route, struct query *q)
{
    const struct {
        bool there;
        int64_t value;
    } numbers[] = {{q->has_known_at, q->known_at}, {q->has_from, q->from}, {q->has_to, q->to},
        {true, q->axis_effective}, {q->has_kind, q->has_kind ? (int64_t)q->kind : 0},
        {q->has_account, q->account.by}, {q->has_least, q->least}, {q->has_most, q->most},
        {true, (int64_t)q->n_metadata}};
    uint64_t hash = (uint64_t)route;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[9] = {(char)numbers[i].there};
        memcpy(text + 1, &numbers[i].value, 8);
        hash = cursor_filter(hash, (struct str){text, sizeof text});
    }
    hash = cursor_filter(hash, q->reference);
    hash = cursor_filter(hash, q->currency);
    for (size_t i = 0; i < q->n_metadata; i++)
        hash = cursor_filter(cursor_filter(hash, q->metadata[i].key), q->metadata[i].value);
    hash = cursor_filter(hash, (struct str){(const char *)q->account.id.bytes, sizeof q->account.id.bytes});
    hash = cursor_filter(hash, q->account.external_id);
    q->filter = cursor_filter(hash, q->account.currency);
}

bool decode_query(
    enum route_id route, struct str query, struct arena *arena, struct query *ret_query, struct fault *fault)
{
    uint32_t seen = 0;
    *ret_query = (struct query){.limit = LIMIT_PAGE_DEFAULT};
    struct str rest = query, pair;
    while (query.len > 0 && str_split(&rest, '&', &pair))
        if (pair.len > 0 && !take(route, pair, &seen, arena, ret_query, fault))
            return false;
    if (ret_query->has_from && ret_query->has_to && ret_query->from > ret_query->to)
        return fault_set(fault, REFUSAL_INVALID_PARAMETER, "from", "'from' is after 'to'.");
    if (ret_query->has_least && ret_query->has_most && ret_query->least > ret_query->most)
        return fault_set(
            fault, REFUSAL_INVALID_PARAMETER, "minAmount", "'minAmount' is greater than 'maxAmount'.");
    hash_filters(route, ret_query);
    return true;
}
