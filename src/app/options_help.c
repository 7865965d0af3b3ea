#include "app/options_help.h"

#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 26
#define HELP_WIDTH 100
#define WORD_MAX 40

void options_help_program(FILE *out, const struct command_spec *commands)
{
    fputs("Usage: creditledger COMMAND [OPTIONS]\n\n"
          "A double-entry ledger server: every movement of value is an immutable, balanced "
          "record.\n\nCommands:\n",
        out);
    for (const struct command_spec *c = commands; c->name != NULL; c++)
        fprintf(out, "  %-*s  %s\n", 14, c->name, c->summary);
    fputs(
        "\n'creditledger COMMAND --help' explains one of them; 'creditledger --version' prints the version.\n"
        "Exit codes: 0 all is well, 1 a fault was found, 2 wrong usage, 3 the environment is in the way.\n",
        out);
}

/* Words from column `at` on, wrapped and indented to HELP_COLUMN. */
static void put_wrapped(FILE *out, size_t at, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (at > HELP_COLUMN && at + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
        }
        if (at > HELP_COLUMN) {
            fputc(' ', out);
            at++;
        }
        fwrite(text, 1, len, out);
        at += len;
        text += len + strspn(text + len, " ");
    }
    fputc('\n', out);
}

static void help_option(FILE *out, const struct option_spec *o)
{
    char left[80], text[1024];
    int n = snprintf(
        left, sizeof left, "  --%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    size_t used = n < 0 ? 0 : (size_t)n;
    fputs(left, out);
    if (used + 2 > HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", (int)(HELP_COLUMN - used), "");
    const char *value = o->default_value, *variable = o->environment;
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s%s", o->help, value || variable ? " (" : "",
        value ? "default " : "", value ? value : "", value && variable ? "; " : "", variable ? "also " : "",
        variable ? variable : "", value || variable ? ")" : "");
    put_wrapped(out, HELP_COLUMN, text);
}

void options_help_command(FILE *out, const struct command_spec *c)
{
    fprintf(out, "Usage: creditledger %s [OPTIONS]%s%s\n\n%s\n\nOptions:\n", c->name,
        *c->positional ? " " : "", c->positional, c->summary);
    for (const struct option_spec *o = c->options; o->name != NULL; o++)
        help_option(out, o);
    help_option(out, &(struct option_spec){.name = "help", .help = "print this and exit"});
    if (c->details != NULL)
        fprintf(out, "\n%s\n", c->details);
}

/* Edits (insert, delete, replace, swap neighbours) that turn a into b. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), d[WORD_MAX + 1][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

/* Half a short word or three letters of a long one may be wrong; a word that begins another is always close.
 */
static size_t closeness(const char *word, const char *candidate)
{
    size_t len = strlen(word), allowed = len / 2 < 3 ? len / 2 : 3;
    if (len >= 2 && strncmp(word, candidate, len) == 0)
        return 1;
    size_t distance = edit_distance(word, candidate);
    return distance <= allowed ? distance : SIZE_MAX;
}

const char *options_nearest_command(const struct command_spec *commands, const char *word)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (const struct command_spec *c = commands; c->name != NULL; c++) {
        size_t far = closeness(word, c->name);
        if (far < least) {
            least = far;
            best = c->name;
        }
    }
    return best;
}

const char *options_nearest_option(const struct option_spec *options, const char *word)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (const struct option_spec *o = options; o->name != NULL; o++) {
        size_t far = closeness(word, o->name);
        if (far < least) {
            least = far;
            best = o->name;
        }
    }
    return best;
}
