#include "app/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/options_help.h"

#define OPTIONS_MAX 64

struct value {
    const char *text;        /* NULL: neither given nor in the environment */
    const char *environment; /* the variable it came from; NULL: the command line or the default */
    bool given;              /* on the command line */
    bool flag;
};

struct options {
    const struct command_spec *commands, *command;
    struct value values[OPTIONS_MAX]; /* one an option of the command's table, in its order */
    const char **positional;          /* borrowed from argv */
    size_t n_positional;
    bool help;
};

/* A name that the command's table lacks is a bug of the caller. */
static size_t option_index(const struct options *o, const char *name)
{
    size_t i = 0;
    while (o->command->options[i].name != NULL && strcmp(o->command->options[i].name, name) != 0)
        i++;
    INVARIANT_F(o->command->options[i].name != NULL, "%s has no option %s", o->command->name, name);
    return i;
}

const char *options_get(const struct options *o, const char *name)
{
    size_t i = option_index(o, name);
    return o->values[i].text != NULL ? o->values[i].text : o->command->options[i].default_value;
}

bool options_given(const struct options *o, const char *name)
{
    return o->values[option_index(o, name)].given;
}

bool options_flag(const struct options *o, const char *name)
{
    size_t i = option_index(o, name);
    INVARIANT_F(o->command->options[i].argument == NULL, "--%s takes a value", name);
    return o->values[i].flag;
}

bool options_has(const struct options *o, const char *name)
{
    for (const struct option_spec *s = o->command->options; s->name != NULL; s++)
        if (strcmp(s->name, name) == 0)
            return true;
    return false;
}

bool options_int(const struct options *o, const char *name, int64_t least, int64_t most, int64_t *ret_value)
{
    size_t i = option_index(o, name);
    const char *text = options_get(o, name);
    INVARIANT_F(text != NULL, "--%s has no default: ask options_get first", name);
    int64_t value;
    if (str_to_int64(str_of(text), &value) && value >= least && value <= most) {
        *ret_value = value;
        return true;
    }
    const char *variable = o->values[i].environment;
    (void)options_fail(o, EXIT_USAGE, "%s%s is '%s': it must be a whole number from %lld to %lld",
        variable ? "" : "--", variable ? variable : name, text, (long long)least, (long long)most);
    return false;
}

size_t options_positional(const struct options *o)
{
    return o->n_positional;
}

const char *options_positional_at(const struct options *o, size_t index)
{
    INVARIANT(index < o->n_positional);
    return o->positional[index];
}

const struct command_spec *options_command(const struct options *o)
{
    return o->command;
}

const struct command_spec *options_commands(const struct options *o)
{
    return o->commands;
}

int options_fail(const struct options *o, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "creditledger %s: ", o->command->name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return code;
}

static bool parse_flag(const char *text, bool *ret_value)
{
    static const char *const yes[] = {"1", "true", "yes", "on"}, *const no[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        bool is_yes = strcasecmp(text, yes[i]) == 0;
        if (is_yes || strcasecmp(text, no[i]) == 0) {
            *ret_value = is_yes;
            return true;
        }
    }
    return false;
}

/* False after saying what is wrong. An empty variable counts as unset, as service managers write it. */
static bool read_environment(struct options *o)
{
    for (size_t i = 0; o->command->options[i].name != NULL; i++) {
        const struct option_spec *spec = &o->command->options[i];
        const char *text = spec->environment ? getenv(spec->environment) : NULL;
        if (o->values[i].given || text == NULL || *text == '\0')
            continue;
        o->values[i].environment = spec->environment;
        if (spec->argument != NULL) {
            o->values[i].text = text;
        } else if (!parse_flag(text, &o->values[i].flag)) {
            (void)options_fail(
                o, EXIT_USAGE, "%s is '%s': it must be true or false", spec->environment, text);
            return false;
        }
    }
    return true;
}

static bool unknown_option(const struct options *o, const char *word)
{
    const char *nearest = options_nearest_option(o->command->options, word);
    (void)options_fail(o, EXIT_USAGE, "there is no option --%s%s%s%s\nTry 'creditledger %s --help'.", word,
        nearest ? "; did you mean --" : "", nearest ? nearest : "", nearest ? "?" : "", o->command->name);
    return false;
}

/* One "--name", "--name=value" or "--name value"; *at is moved to the last argument taken. */
static bool take_option(struct options *o, int argc, char **argv, int *at)
{
    char word[64];
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    snprintf(word, sizeof word, "%.*s", (int)len, name);
    if (strcmp(word, "help") == 0) {
        o->help = true;
        return true;
    }
    if (!options_has(o, word))
        return unknown_option(o, word);
    size_t i = option_index(o, word);
    struct value *value = &o->values[i];
    value->given = true;
    if (o->command->options[i].argument == NULL) {
        value->flag = true;
        if (equals == NULL || parse_flag(equals + 1, &value->flag))
            return true;
        (void)options_fail(o, EXIT_USAGE, "--%s is '%s': it must be true or false", word, equals + 1);
        return false;
    }
    if (equals == NULL && *at + 1 >= argc) {
        (void)options_fail(
            o, EXIT_USAGE, "--%s needs a value: --%s %s", word, word, o->command->options[i].argument);
        return false;
    }
    value->text = equals ? equals + 1 : argv[++*at];
    return true;
}

static bool parse_arguments(struct options *o, int argc, char **argv)
{
    bool options_over = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (options_over || a[0] != '-' || a[1] == '\0') {
            o->positional[o->n_positional++] = a;
        } else if (strcmp(a, "--") == 0) {
            options_over = true;
        } else if (strcmp(a, "-h") == 0) {
            o->help = true;
        } else if (a[1] != '-') {
            (void)options_fail(
                o, EXIT_USAGE, "there is no option %s\nTry 'creditledger %s --help'.", a, o->command->name);
            return false;
        } else if (!take_option(o, argc, argv, &i)) {
            return false;
        }
        if (o->help)
            return true;
    }
    return true;
}

static bool check_positional(const struct options *o)
{
    const struct command_spec *c = o->command;
    if (o->n_positional > c->positional_max) {
        (void)options_fail(o, EXIT_USAGE, "unexpected argument '%s'\nTry 'creditledger %s --help'.",
            o->positional[c->positional_max], c->name);
        return false;
    }
    if (o->n_positional < c->positional_min) {
        (void)options_fail(
            o, EXIT_USAGE, "%s is missing\nTry 'creditledger %s --help'.", c->positional, c->name);
        return false;
    }
    return true;
}

/* What was printed must have arrived: a full disk behind '>' is not a success. */
static int checked_exit(const char *name, int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "creditledger %s: cannot write the output: %s\n", name, strerror(errno));
    return code == EXIT_OK ? EXIT_ENVIRONMENT : code;
}

static int run_command(struct options *o, int argc, char **argv)
{
    if (!parse_arguments(o, argc, argv))
        return EXIT_USAGE;
    if (o->help) {
        options_help_command(stdout, o->command);
        return EXIT_OK;
    }
    if (!check_positional(o) || !read_environment(o))
        return EXIT_USAGE;
    return o->command->run(o);
}

static const struct command_spec *find_command(const struct command_spec *commands, const char *name)
{
    for (const struct command_spec *c = commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static int unknown_command(const struct command_spec *commands, const char *word)
{
    const char *nearest = options_nearest_command(commands, word);
    fprintf(stderr, "creditledger: there is no command '%s'%s%s%s\nTry 'creditledger --help'.\n", word,
        nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return EXIT_USAGE;
}

static int main_command(
    const struct command_spec *commands, const struct command_spec *command, int argc, char **argv)
{
    size_t n = 0;
    while (command->options[n].name != NULL)
        n++;
    INVARIANT_F(n <= OPTIONS_MAX, "%s has %zu options", command->name, n);
    struct options o = {.commands = commands, .command = command};
    o.positional = calloc((size_t)argc + 1, sizeof *o.positional);
    INVARIANT(o.positional != NULL);
    int code = run_command(&o, argc, argv);
    free(o.positional);
    return checked_exit(command->name, code);
}

int options_main(const struct command_spec *commands, int argc, char **argv)
{
    if (argc < 2) {
        options_help_program(stderr, commands);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || (strcmp(word, "help") == 0 && argc == 2)) {
        options_help_program(stdout, commands);
        return checked_exit("--help", EXIT_OK);
    }
    if (strcmp(word, "help") == 0) {
        const struct command_spec *about = find_command(commands, argv[2]);
        if (about == NULL)
            return unknown_command(commands, argv[2]);
        options_help_command(stdout, about);
        return checked_exit("help", EXIT_OK);
    }
    if (strcmp(word, "--version") == 0) {
        printf("creditledger %s\n", CREDITLEDGER_VERSION);
        return checked_exit("--version", EXIT_OK);
    }
    const struct command_spec *command = find_command(commands, word);
    if (command == NULL)
        return unknown_command(commands, word);
    return main_command(commands, command, argc - 2, argv + 2);
}
