/*
 * creditledger: one binary, its subcommands in one table.
 */
#include "app/options.h"

int main(int argc, char **argv)
{
    const struct command_spec commands[] = {
        cmd_serve,
        cmd_migrate,
        cmd_verify,
        cmd_trial_balance,
        cmd_import,
        cmd_export,
        cmd_backup,
        cmd_erase,
        cmd_projections,
        cmd_relay,
        cmd_token,
        cmd_bench,
        cmd_completion,
        cmd_version,
        {.name = NULL},
    };
    return options_main(commands, argc, argv);
}
