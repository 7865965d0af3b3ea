#include "telemetry/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/instant.h"
#include "telemetry/json_text.h"

static _Atomic int least_level = LOG_INFO;
static _Atomic int line_format = LOG_JSON;
static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

void log_setup(enum log_level least, enum log_format format)
{
    atomic_store(&least_level, (int)least);
    atomic_store(&line_format, (int)format);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARNING:
        return "warning";
    case LOG_ERROR:
        return "error";
    }
    return "error";
}

/* Plain where that is clear, quoted where it is not; control characters never reach a terminal. */
static void put_text_value(struct strbuf *b, const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == '"' || *p == '=' || *p == 0x7f) {
            json_text(b, str_of(text));
            return;
        }
    if (*text == '\0')
        strbuf_c(b, "\"\"");
    else if (str_utf8_valid(str_of(text)))
        strbuf_c(b, text);
    else
        json_text(b, str_of(text));
}

static void write_line(const struct strbuf *b)
{
    pthread_mutex_lock(&output);
    for (size_t done = 0; done < b->len;) {
        ssize_t n = write(STDERR_FILENO, b->data + done, b->len - done);
        if (n < 0 && errno != EINTR)
            break; /* nobody left to tell */
        done += n > 0 ? (size_t)n : 0;
    }
    pthread_mutex_unlock(&output);
}

void log_event(enum log_level level, const char *message, ...)
{
    if (!log_enabled(level))
        return;
    bool json = atomic_load(&line_format) == LOG_JSON;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    struct strbuf b;
    strbuf_init(&b);
    strbuf_c(&b, json ? "{\"time\":\"" : "");
    strbuf_instant(&b, (int64_t)t.tv_sec * MICROS_PER_SECOND + t.tv_nsec / 1000);
    strbuf_printf(&b, json ? "\",\"level\":\"%s\",\"message\":" : " %s ", level_name(level));
    if (json)
        json_text(&b, str_of(message));
    else
        strbuf_c(&b, message);
    va_list args;
    va_start(args, message);
    for (const char *name, *value;
         (name = va_arg(args, const char *)) != NULL && (value = va_arg(args, const char *)) != NULL;) {
        strbuf_char(&b, json ? ',' : ' ');
        if (json) {
            json_text(&b, str_of(name));
            strbuf_char(&b, ':');
            json_text(&b, str_of(value));
        } else {
            strbuf_printf(&b, "%s=", name);
            put_text_value(&b, value);
        }
    }
    va_end(args);
    strbuf_c(&b, json ? "}\n" : "\n");
    write_line(&b);
    strbuf_fini(&b);
}
