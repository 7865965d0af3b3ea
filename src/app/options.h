/*
 * Subcommands and their options, table-driven: one table gives parsing, --help, environment variables
 * (CREDITLEDGER_<NAME>, for options that name one) and the completions for bash and zsh. Precedence: command line,
 * environment, default.
 */
#ifndef CREDITLEDGER_APP_OPTIONS_H
#define CREDITLEDGER_APP_OPTIONS_H

#include "base/err.h"
#include "base/str.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAULT = 1,       /* it ran, and what it found or did is not all right */
    EXIT_USAGE = 2,       /* the command line is wrong; nothing was done */
    EXIT_ENVIRONMENT = 3, /* a file, a lock, the disk or the network is in the way */
};

struct option_spec {
    const char *name;          /* "listen": --listen VALUE or --listen=VALUE */
    const char *argument;      /* "ADDRESS"; NULL: a flag */
    const char *help;          /* one line */
    const char *environment;   /* "CREDITLEDGER_LISTEN"; NULL: none */
    const char *default_value; /* NULL: none */
    const char *values;        /* for completion: "ndjson csv hledger", "@file", "@dir"; NULL: nothing */
};

struct options;

struct command_spec {
    const char *name;
    const char *summary;    /* one line, for the list */
    const char *positional; /* "FILE", "" */
    size_t positional_min, positional_max;
    const char *details;                       /* paragraphs under the options in --help; NULL: none */
    const struct option_spec *options;         /* ends with name NULL; --help is always there */
    int (*run)(const struct options *options); /* an exit_code */
};

/* Prints errors and help itself; returns the exit code. `commands` ends with name NULL. */
int options_main(const struct command_spec *commands, int argc, char **argv);

const char *options_get(
    const struct options *o, const char *name);                /* the value or the default; NULL if neither */
bool options_given(const struct options *o, const char *name); /* on the command line itself */
bool options_flag(const struct options *o, const char *name);
/* False after printing an error that names the option, the value and the allowed range. */
MUST_CHECK bool options_int(
    const struct options *o, const char *name, int64_t least, int64_t most, int64_t *ret_value);
size_t options_positional(const struct options *o);
const char *options_positional_at(const struct options *o, size_t index);
const struct command_spec *options_command(const struct options *o);
const struct command_spec *options_commands(
    const struct options *o); /* the whole table, ends with name NULL */
bool options_has(
    const struct options *o, const char *name); /* the command's table has an option of that name */
/* "creditledger verify: message" on standard error; returns code. */
int options_fail(const struct options *o, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Every subcommand's table, one a file: app/cmd_<name>.c. */
extern const struct command_spec cmd_serve, cmd_migrate, cmd_verify, cmd_trial_balance, cmd_import,
    cmd_export, cmd_backup, cmd_erase, cmd_bench, cmd_version, cmd_completion, cmd_token, cmd_projections,
    cmd_relay;

#endif
