/*
 * creditledger: one binary, its subcommands in one table.
 */
#include "app/options.h"

int main(int argc, char **argv)
{
    const struct command_spec commands[] = {
#if HAVE_CMD_SERVE
        cmd_serve,
#endif
#if HAVE_CMD_MIGRATE
        cmd_migrate,
#endif
#if HAVE_CMD_VERIFY
        cmd_verify,
#endif
#if HAVE_CMD_TRIAL_BALANCE
        cmd_trial_balance,
#endif
#if HAVE_CMD_IMPORT
        cmd_import,
#endif
#if HAVE_CMD_EXPORT
        cmd_export,
#endif
#if HAVE_CMD_BACKUP
        cmd_backup,
#endif
#if HAVE_CMD_ERASE
        cmd_erase,
#endif
#if HAVE_CMD_TOKEN
        cmd_token,
#endif
#if HAVE_CMD_BENCH
        cmd_bench,
#endif
#if HAVE_CMD_COMPLETION
        cmd_completion,
#endif
#if HAVE_CMD_VERSION
        cmd_version,
#endif
        {.name = NULL},
    };
    return options_main(commands, argc, argv);
}
