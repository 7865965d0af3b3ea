/*
 * The environment variables of the OpenTelemetry specification ("OTLP Exporter Configuration", "General SDK Configuration").
 * An empty value is none. No message says what a variable holds: endpoints and headers have secrets.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/uuid.h"
#include "telemetry/log.h"
#include "telemetry/spans_internal.h"

#define PREFIX "OTEL_EXPORTER_OTLP_"
#define NAME_MAX_LEN 64

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* OTEL_EXPORTER_OTLP_TRACES_X, or else OTEL_EXPORTER_OTLP_X; which of them to ret_name. */
static const char *otlp_env(const char *what, char ret_name[NAME_MAX_LEN])
{
    snprintf(ret_name, NAME_MAX_LEN, PREFIX "TRACES_%s", what);
    const char *value = env(ret_name);
    if (value != NULL)
        return value;
    snprintf(ret_name, NAME_MAX_LEN, PREFIX "%s", what);
    return env(ret_name);
}

static void warn(const char *name, const char *what)
{
    log_event(LOG_WARNING, "environment variable not understood", "name", name, "taken", what, NULL);
}

/* --- lists: key=value,key=value, values percent-encoded (W3C Baggage) */

static bool decode_value(struct arena *arena, struct str s, struct str *ret_value)
{
    char *out = arena_alloc(arena, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte = (uint8_t)s.data[i];
        if (byte == '%') {
            if (i + 2 >= s.len || !str_to_bytes((struct str){s.data + i + 1, 2}, &byte, 1))
                return false;
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f)
            return false; /* it would begin a header of its own */
        out[n++] = (char)byte;
    }
    *ret_value = (struct str){out, n};
    return str_utf8_valid(*ret_value);
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.data[i]) && strchr("!#$%&'*+-.^_`|~/", s.data[i]) == NULL)
            return false;
    return s.len > 0;
}

static bool read_list(
    struct arena *arena, const char *text, struct spans_pair *pairs, size_t most, size_t *ret_n)
{
    struct str list = str_of(text), one;
    size_t n = 0;
    *ret_n = 0;
    while (str_split(&list, ',', &one)) {
        struct str key, value;
        one = str_trim(one);
        if (one.len == 0)
            continue;
        const char *equals = memchr(one.data, '=', one.len);
        if (equals == NULL || n == most)
            return false;
        key = str_trim((struct str){one.data, (size_t)(equals - one.data)});
        value = str_trim((struct str){equals + 1, one.len - (size_t)(equals + 1 - one.data)});
        if (!is_token(key) || !decode_value(arena, value, &pairs[n].value))
            return false;
        pairs[n++].key = arena_str(arena, key);
    }
    *ret_n = n;
    return true;
}

/* --- where spans go */

static bool add_path(CURLU *url, struct arena *arena)
{
    char *path = NULL;
    if (curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK)
        return false;
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    struct str whole = arena_printf(arena, "%.*s/v1/traces", (int)len, path);
    curl_free(path);
    return curl_url_set(url, CURLUPART_PATH, whole.data, 0) == CURLUE_OK;
}

static bool is_http(CURLU *url)
{
    char *scheme = NULL;
    bool is = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);
    curl_free(scheme);
    return is;
}

static int read_endpoint(struct spans_config *c, struct err *err)
{
    const char *name = PREFIX "TRACES_ENDPOINT", *text = env(name);
    bool whole = text != NULL; /* else the path of traces goes behind it */
    if (text == NULL)
        text = env(name = PREFIX "ENDPOINT");
    if (text == NULL)
        return 0;
    CURLU *url = curl_url();
    INVARIANT(url != NULL);
    char *made = NULL;
    bool ok = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK && is_http(url) &&
              (whole || add_path(url, &c->arena)) && curl_url_get(url, CURLUPART_URL, &made, 0) == CURLUE_OK;
    if (ok)
        c->url = arena_str(&c->arena, str_of(made)).data;
    curl_free(made);
    curl_url_cleanup(url);
    return ok ? 0 : err_set(err, ERR_CONFIG, "%s is not a URL that begins with http:// or https://", name);
}

static int read_protocol(struct err *err)
{
    char name[NAME_MAX_LEN];
    const char *protocol = otlp_env("PROTOCOL", name);
    if (protocol == NULL || strcmp(protocol, "http/json") == 0)
        return 0;
    if (strcmp(protocol, "grpc") == 0)
        return err_set(
            err, ERR_CONFIG, "%s is grpc; spans are sent as http/json, to a collector's port for HTTP", name);
    /* http/protobuf, say: every collector that takes it takes JSON on the same port. */
    log_event(LOG_WARNING, "spans are sent as http/json", "name", name, NULL);
    return 0;
}

static int read_headers(struct spans_config *c, struct err *err)
{
    char name[NAME_MAX_LEN];
    const char *text = otlp_env("HEADERS", name);
    if (text == NULL || read_list(&c->arena, text, c->headers, SPANS_HEADERS_MAX, &c->n_headers))
        return 0;
    return err_set(err, ERR_CONFIG, "%s is not a list of at most %d key=value, with commas between them",
        name, SPANS_HEADERS_MAX);
}

static int read_file_name(struct spans_config *c, const char *what, const char **ret_path, struct err *err)
{
    char name[NAME_MAX_LEN];
    const char *path = otlp_env(what, name);
    if (path == NULL)
        return 0;
    if (access(path, R_OK) != 0)
        return err_set(err, ERR_CONFIG, "the file that %s names cannot be read", name);
    *ret_path = arena_str(&c->arena, str_of(path)).data;
    return 0;
}

static int read_transport(struct spans_config *c, struct err *err)
{
    char name[NAME_MAX_LEN];
    int r = read_protocol(err);
    if (r == 0)
        r = read_headers(c, err);
    if (r == 0)
        r = read_file_name(c, "CERTIFICATE", &c->authorities, err);
    if (r == 0)
        r = read_file_name(c, "CLIENT_CERTIFICATE", &c->certificate, err);
    if (r == 0)
        r = read_file_name(c, "CLIENT_KEY", &c->key, err);
    int64_t timeout;
    const char *text = otlp_env("TIMEOUT", name);
    c->timeout_ms = SPANS_TIMEOUT_MS;
    if (text != NULL && str_to_int64(str_of(text), &timeout) && timeout > 0 && timeout <= 3600000)
        c->timeout_ms = (long)timeout;
    else if (text != NULL)
        warn(name, "10000");
    text = otlp_env("COMPRESSION", name);
    if (text != NULL && strcmp(text, "none") != 0)
        warn(name, "none");
    return r;
}

/* --- what every span says */

static void put_resource(struct spans_config *c, const char *key, struct str value, bool replaces)
{
    size_t i = 0;
    while (i < c->n_resource && !str_eq_c(c->resource[i].key, key))
        i++;
    if ((i < c->n_resource && !replaces) || i == SPANS_RESOURCE_MAX)
        return;
    c->n_resource += i == c->n_resource;
    c->resource[i] = (struct spans_pair){str_of(key), value};
}

static struct str instance_id(struct arena *arena)
{
    struct uuid id;
    char text[UUID_TEXT_LEN + 1];
    INVARIANT(getrandom(id.bytes, sizeof id.bytes, 0) == (ssize_t)sizeof id.bytes);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40); /* RFC 9562 section 5.4: random */
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    uuid_format(id, text);
    return arena_str(arena, str_of(text));
}

static void read_resource(struct spans_config *c, const char *role)
{
    const char *name = "OTEL_RESOURCE_ATTRIBUTES", *text = env(name);
    /* Room is left for ours. */
    if (text != NULL && !read_list(&c->arena, text, c->resource, SPANS_RESOURCE_MAX - 4, &c->n_resource))
        warn(name, "");
    const char *service = env("OTEL_SERVICE_NAME");
    put_resource(c, "service.name",
        service != NULL ? arena_str(&c->arena, str_of(service)) : STR("creditledger"), service != NULL);
    put_resource(c, "service.version", STR(CREDITLEDGER_VERSION), false);
    put_resource(c, "service.instance.id", instance_id(&c->arena), false);
    put_resource(c, "creditledger.role", arena_str(&c->arena, str_of(role)), true);
}

/* --- sampling */

/* A share of all ids as the bound that they are below; false if it is none. */
static bool read_share(const char *text, uint64_t *ret_threshold)
{
    char *end;
    double share = strtod(text, &end);
    if (end == text || *end != '\0' || !(share >= 0 && share <= 1))
        return false;
    *ret_threshold = share >= 1 ? UINT64_MAX : (uint64_t)ldexp(share, 64);
    return true;
}

static void read_sampler(struct spans_config *c)
{
    const char *name = "OTEL_TRACES_SAMPLER", *sampler = env(name), *root = sampler;
    const char *argument = env("OTEL_TRACES_SAMPLER_ARG");
    c->parent_based = true;
    c->root = ROOT_ALWAYS;
    if (sampler == NULL)
        return;
    static const char based[] = "parentbased_";
    c->parent_based = strncmp(sampler, based, strlen(based)) == 0;
    if (c->parent_based)
        root = sampler + strlen(based);
    if (strcmp(root, "always_off") == 0) {
        c->root = ROOT_NEVER;
    } else if (strcmp(root, "traceidratio") == 0) {
        c->root = ROOT_RATIO;
        c->threshold = UINT64_MAX;
        if (argument != NULL && !read_share(argument, &c->threshold))
            warn("OTEL_TRACES_SAMPLER_ARG", "1");
    } else if (strcmp(root, "always_on") != 0) {
        c->parent_based = true;
        warn(name, "parentbased_always_on");
    }
}

static bool is_disabled(void)
{
    const char *disabled = env("OTEL_SDK_DISABLED"), *exporter = env("OTEL_TRACES_EXPORTER");
    if (disabled != NULL && strcasecmp(disabled, "true") == 0)
        return true;
    if (exporter == NULL || strcmp(exporter, "otlp") == 0)
        return false;
    if (strcmp(exporter, "none") != 0)
        warn("OTEL_TRACES_EXPORTER", "otlp");
    return strcmp(exporter, "none") == 0;
}

int spans_config_read(const char *role, struct spans_config *ret_config, struct err *err)
{
    struct spans_config *c = ret_config;
    *c = (struct spans_config){.url = NULL};
    arena_init(&c->arena, 0);
    if (is_disabled())
        return 0;
    int r = read_endpoint(c, err);
    if (r < 0 || c->url == NULL)
        return r;
    r = read_transport(c, err);
    if (r < 0)
        return r;
    read_resource(c, role);
    read_sampler(c);
    return 0;
}

void spans_config_fini(struct spans_config *c)
{
    arena_fini(&c->arena);
}
