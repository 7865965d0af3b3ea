/*
 * What options.c says about the tables: help texts and "did you mean". Writes to the stream it is given,
 * nothing else.
 */
#ifndef CREDITLEDGER_APP_OPTIONS_HELP_H
#define CREDITLEDGER_APP_OPTIONS_HELP_H

#include <stdio.h>

#include "app/options.h"

void options_help_program(FILE *out, const struct command_spec *commands);
void options_help_command(FILE *out, const struct command_spec *command);

/* The candidate that looks most like `word`; NULL if none is close enough to be meant. */
const char *options_nearest_command(const struct command_spec *commands, const char *word);
const char *options_nearest_option(const struct option_spec *options, const char *word);

#endif
