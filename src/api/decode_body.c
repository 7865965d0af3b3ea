#include "api/decode_body.h"

#include <stdio.h>
#include <string.h>

#include "api/decode_amount.h"
#include "api/json_out.h"
#include "base/instant.h"
#include "money/asset.h"

#define SHOWN_MAX 60 /* bytes of a wrong value that the detail repeats */

struct decoder {
    struct arena *arena;
    struct fault *fault;
    const char *list; /* "postings": the object is element `index` of it; NULL: it is the body */
    size_t index;
};

/* The field's name as people find it: "amount", "postings[3].amount". */
struct field_path {
    char text[96];
};

static struct field_path path_of(const struct decoder *d, const char *name)
{
    struct field_path path;
    if (d->list != NULL)
        snprintf(path.text, sizeof path.text, "%s[%zu].%s", d->list, d->index, name);
    else
        snprintf(path.text, sizeof path.text, "%s", name);
    return path;
}

#define INVALID(d, name, ...) \
    fault_set((d)->fault, REFUSAL_INVALID_FIELD, path_of((d), (name)).text, __VA_ARGS__)

static struct str string_of(const json_t *value)
{
    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR_NONE;
}

static int shown(struct str s)
{
    return (int)(s.len < SHOWN_MAX ? s.len : SHOWN_MAX);
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
            return true;
    return false;
}

/* A string of 1 to max bytes without control characters, copied. */
static bool read_printable(
    struct decoder *d, const json_t *value, const char *name, size_t max, struct str *ret_text)
{
    struct str s = string_of(value);
    if (s.data == NULL)
        return INVALID(d, name, "It must be a string.");
    if (s.len == 0 || s.len > max)
        return INVALID(d, name, "It has %zu bytes; 1 to %zu are allowed.", s.len, max);
    if (has_control(s))
        return INVALID(d, name, "It contains a control character.");
    *ret_text = arena_str(d->arena, s);
    return true;
}

/* --- readers: one a kind of field; false after fault_set() -------------------------------------------------
 */

typedef bool field_reader(struct decoder *d, const json_t *value, const char *name, void *to);

static bool read_ledger_name(struct decoder *d, const json_t *value, const char *name, void *to)
{
    struct str s = string_of(value);
    if (!ledger_name_valid(s))
        return INVALID(d, name, "A ledger's name is 1 to %d of a-z 0-9 - _, a letter or digit first.",
            LIMIT_LEDGER_NAME_MAX);
    *(struct str *)to = arena_str(d->arena, s);
    return true;
}

static bool read_currency(struct decoder *d, const json_t *value, const char *name, void *to)
{
    struct str s = string_of(value);
    if (!asset_code_valid(s))
        return INVALID(d, name, "A currency's code is 1 to %d of A-Z 0-9 . _ -, a letter first, like USD.",
            LIMIT_ASSET_CODE_MAX);
    *(struct str *)to = arena_str(d->arena, s);
    return true;
}

static bool read_scale(struct decoder *d, const json_t *value, const char *name, void *to)
{
    json_int_t scale = json_is_integer(value) ? json_integer_value(value) : -1;
    if (scale < 0 || scale > LIMIT_ASSET_SCALE_MAX)
        return INVALID(d, name, "A scale is an integer from 0 to %d.", LIMIT_ASSET_SCALE_MAX);
    *(int *)to = (int)scale;
    return true;
}

static bool read_floor(struct decoder *d, const json_t *value, const char *name, void *to)
{
    struct floor floor = {.present = !json_is_null(value)};
    if (floor.present && !decode_balance(value, path_of(d, name).text, &floor.minor, d->fault))
        return false;
    *(struct floor *)to = floor;
    return true;
}

static bool read_account_type(struct decoder *d, const json_t *value, const char *name, void *to)
{
    struct body_type type = {ACCOUNT_LIABILITY, false};
    struct str s = string_of(value);
    type.wallet = str_eq(s, STR("wallet"));
    if (s.data == NULL || (!type.wallet && !account_type_parse(s, &type.type)))
        return INVALID(d, name, "A type is asset, liability, equity, income, expense or wallet.");
    *(struct body_type *)to = type;
    return true;
}

static bool read_status(struct decoder *d, const json_t *value, const char *name, void *to)
{
    struct str s = string_of(value);
    if (s.data == NULL || !account_status_parse(s, (enum account_status *)to))
        return INVALID(d, name, "A status is open, frozen or closed.");
    return true;
}

/* Kept as JSON, as it goes into the record's text. */
static bool read_name(struct decoder *d, const json_t *value, const char *name, void *to)
{
    struct str text;
    if (json_is_null(value)) {
        *(struct str *)to = STR("null");
        return true;
    }
    if (!read_printable(d, value, name, LIMIT_NAME_MAX, &text))
        return false;
    struct strbuf b;
    strbuf_init(&b);
    json_escape(&b, text);
    *(struct str *)to = arena_str(d->arena, strbuf_view(&b));
    strbuf_fini(&b);
    return true;
}

static bool read_external_id(struct decoder *d, const json_t *value, const char *name, void *to)
{
    if (json_is_null(value))
        return true;
    if (!read_printable(d, value, name, LIMIT_EXTERNAL_ID_MAX, to))
        return false;
    if (!external_id_valid(*(struct str *)to))
        return INVALID(d, name, "It starts with '@', which is for accounts of the ledger's own.");
    return true;
}

static bool read_metadata(struct decoder *d, const json_t *value, const char *name, void *to)
{
    if (!json_is_object(value))
        return INVALID(d, name, "It must be a JSON object.");
    if (json_object_size(value) == 0) {
        *(struct str *)to = STR("{}");
        return true;
    }
    struct strbuf b;
    strbuf_init(&b);
    json_canonical(value, &b);
    bool fits = b.len <= LIMIT_METADATA_MAX;
    if (fits)
        *(struct str *)to = arena_str(d->arena, strbuf_view(&b));
    else
        INVALID(
            d, name, "It has %zu bytes as compact JSON; at most %d are allowed.", b.len, LIMIT_METADATA_MAX);
    strbuf_fini(&b);
    return fits;
}

/* A null key is refused rather than ignored: whoever sends one believes to be safe from repetition. */
static bool read_idempotency_key(struct decoder *d, const json_t *value, const char *name, void *to)
{
    return read_printable(d, value, name, LIMIT_IDEMPOTENCY_KEY_MAX, to);
}

static bool read_reference(struct decoder *d, const json_t *value, const char *name, void *to)
{
    return json_is_null(value) || read_printable(d, value, name, LIMIT_REFERENCE_MAX, to);
}

static bool read_instant(struct decoder *d, const json_t *value, const char *name, void *to)
{
    struct str s = string_of(value);
    if (s.data == NULL || !instant_parse(s, to))
        return INVALID(d, name, "A time is RFC 3339 with an offset, like \"2026-01-31T12:34:56Z\".");
    return true;
}

bool account_ref_parse(struct str text, struct account_ref *ret_ref)
{
    struct account_ref ref = {.by = REF_BY_ID, .external_id = STR_NONE, .currency = STR_NONE};
    if (str_starts(text, STR("ext:"))) {
        ref.by = REF_BY_EXTERNAL_ID;
        ref.external_id = (struct str){text.data + 4, text.len - 4};
        if (!external_id_valid(ref.external_id))
            return false;
    } else if (str_eq(text, STR("@world"))) {
        ref.by = REF_BY_WORLD;
    } else if (str_starts(text, STR(WORLD_PREFIX))) {
        ref.by = REF_BY_WORLD;
        size_t n = sizeof WORLD_PREFIX - 1;
        ref.currency = (struct str){text.data + n, text.len - n};
        if (!asset_code_valid(ref.currency))
            return false;
    } else if (!uuid_parse(text, &ref.id)) {
        return false;
    }
    *ret_ref = ref;
    return true;
}

static bool read_account_ref(struct decoder *d, const json_t *value, const char *name, void *to)
{
    struct account_ref *ref = to;
    struct str s = string_of(value);
    if (s.data == NULL)
        return INVALID(d, name, "An account is a string: its id, ext:… with its externalId, or @world.");
    if (!account_ref_parse(s, ref))
        return INVALID(d, name, "'%.*s' is neither an account's id nor ext:… with an externalId nor @world.",
            shown(s), s.data);
    ref->external_id = arena_str(d->arena, ref->external_id);
    ref->currency = arena_str(d->arena, ref->currency);
    return true;
}

static bool read_amount(struct decoder *d, const json_t *value, const char *name, void *to)
{
    return decode_amount(value, path_of(d, name).text, to, d->fault);
}

static bool read_balance(struct decoder *d, const json_t *value, const char *name, void *to)
{
    return decode_balance(value, path_of(d, name).text, to, d->fault);
}

static bool read_version(struct decoder *d, const json_t *value, const char *name, void *to)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return INVALID(d, name, "A version is an integer from 0.");
    *(uint64_t *)to = (uint64_t)json_integer_value(value);
    return true;
}

static bool decode_object(
    struct decoder *d, const json_t *value, struct body_shape shape, struct body *ret_body);

/* The i-th object of a list field. */
static bool decode_element(const struct decoder *d, const json_t *array, const char *name, size_t i,
    struct body_shape shape, struct body *ret_body)
{
    struct decoder inner = {d->arena, d->fault, name, i};
    return decode_object(&inner, json_array_get(array, i), shape, ret_body);
}

static bool check_list(struct decoder *d, const json_t *value, const char *name, size_t least, size_t most)
{
    if (!json_is_array(value))
        return INVALID(d, name, "It must be an array.");
    size_t n = json_array_size(value);
    if (n > most)
        return fault_set(d->fault, REFUSAL_TOO_MANY_ELEMENTS, path_of(d, name).text,
            "It has %zu elements; at most %zu are allowed.", n, most);
    if (n < least)
        return INVALID(d, name, "It must have at least %zu element.", least);
    return true;
}

static bool read_postings(struct decoder *d, const json_t *value, const char *name, void *to)
{
    static const struct body_shape shape = {
        BODY_BIT(DEBIT) | BODY_BIT(CREDIT) | BODY_BIT(AMOUNT) | BODY_BIT(CURRENCY),
        BODY_BIT(DEBIT) | BODY_BIT(CREDIT) | BODY_BIT(AMOUNT) | BODY_BIT(CURRENCY),
    };
    struct body_postings *postings = to;
    if (!check_list(d, value, name, 1, LIMIT_POSTINGS_MAX))
        return false;
    postings->n = json_array_size(value);
    postings->at = ARENA_ARRAY(d->arena, struct posting, postings->n);
    for (size_t i = 0; i < postings->n; i++) {
        struct body one;
        if (!decode_element(d, value, name, i, shape, &one))
            return false;
        postings->at[i] = (struct posting){.debit = one.debit,
            .credit = one.credit,
            .amount_minor = one.amount_minor,
            .currency = one.currency};
    }
    return true;
}

static bool read_expects(struct decoder *d, const json_t *value, const char *name, void *to)
{
    static const struct body_shape shape = {
        BODY_BIT(ACCOUNT) | BODY_BIT(VERSION) | BODY_BIT(MIN_AVAILABLE), BODY_BIT(ACCOUNT)};
    struct body_expects *expects = to;
    if (!check_list(d, value, name, 0, LIMIT_EXPECTS_MAX))
        return false;
    expects->n = json_array_size(value);
    expects->at = ARENA_ARRAY(d->arena, struct expectation, expects->n);
    for (size_t i = 0; i < expects->n; i++) {
        struct body one;
        if (!decode_element(d, value, name, i, shape, &one))
            return false;
        struct decoder at = {d->arena, d->fault, name, i};
        if (one.account.by == REF_BY_WORLD && one.account.currency.data == NULL)
            return INVALID(&at, "account", "Here no currency is concerned: say which, like @world:USD.");
        if (!body_has(&one, BODY_VERSION) && !body_has(&one, BODY_MIN_AVAILABLE))
            return fault_set(d->fault, REFUSAL_MISSING_FIELD, path_of(&at, "version").text,
                "An expectation has a version, a minAvailable, or both.");
        expects->at[i] = (struct expectation){.account = one.account,
            .has_version = body_has(&one, BODY_VERSION),
            .has_min_available = body_has(&one, BODY_MIN_AVAILABLE),
            .version = one.version,
            .min_available_minor = one.min_available_minor};
    }
    return true;
}

/* --- the table
 * ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    field_reader *read;
    size_t offset;
} fields[BODY_FIELDS_N] = {
#define X(ID, json, reader, member) [BODY_##ID] = {json, read_##reader, offsetof(struct body, member)},
    BODY_FIELD_TABLE(X)
#undef X
};

bool body_has(const struct body *body, enum body_field field)
{
    return (body->present >> field & 1) != 0;
}

static int find_field(struct body_shape shape, const char *key)
{
    for (int i = 0; i < BODY_FIELDS_N; i++)
        if ((shape.allowed >> i & 1) != 0 && strcmp(fields[i].name, key) == 0)
            return i;
    return -1;
}

static bool refuse_unknown(struct decoder *d, struct body_shape shape, const char *key)
{
    char known[300];
    size_t used = 0;
    known[0] = '\0';
    for (int i = 0; i < BODY_FIELDS_N; i++)
        if ((shape.allowed >> i & 1) != 0 && used < sizeof known)
            used += (size_t)snprintf(
                known + used, sizeof known - used, "%s%s", used > 0 ? ", " : "", fields[i].name);
    return fault_set(d->fault, REFUSAL_UNKNOWN_FIELD, path_of(d, key).text,
        "'%.*s' is no field here; fields are %s.", shown(str_of(key)), key, known);
}

static bool decode_object(
    struct decoder *d, const json_t *value, struct body_shape shape, struct body *ret_body)
{
    const json_t *given[BODY_FIELDS_N] = {NULL};
    *ret_body = (struct body){0};
    if (!json_is_object(value))
        return d->list != NULL
                   ? fault_set(
                         d->fault, REFUSAL_INVALID_FIELD, d->list, "Element %zu is no object.", d->index)
                   : fault_set(d->fault, REFUSAL_INVALID_FIELD, NULL, "It must be a JSON object.");
    json_t *object = (json_t *)(uintptr_t)value; /* jansson's iterators ask for it; nothing is changed */
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        int field = find_field(shape, key);
        if (field < 0)
            return refuse_unknown(d, shape, key);
        given[field] = json_object_iter_value(at);
    }
    for (int i = 0; i < BODY_FIELDS_N; i++) {
        if (given[i] == NULL && (shape.required >> i & 1) != 0)
            return fault_set(d->fault, REFUSAL_MISSING_FIELD, path_of(d, fields[i].name).text,
                "'%s' is missing.", fields[i].name);
        if (given[i] == NULL)
            continue;
        ret_body->present |= UINT32_C(1) << i;
        if (!fields[i].read(d, given[i], fields[i].name, (char *)ret_body + fields[i].offset))
            return false;
    }
    return true;
}

bool body_decode(const json_t *value, struct body_shape shape, struct arena *arena, struct body *ret_body,
    struct fault *fault)
{
    struct decoder d = {.arena = arena, .fault = fault};
    return decode_object(&d, value, shape, ret_body);
}
