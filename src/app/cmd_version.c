/*
 * `creditledger version`: what this binary is, for people and for bug reports.
 */
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>

#include "app/options.h"
#include "ledger/record.h"

static const struct option_spec options[] = {
    {"json", NULL, "print JSON", NULL, NULL, NULL},
    {.name = NULL},
};

static int run(const struct options *o)
{
    printf(options_flag(o, "json")
               ? "{\"version\":\"%s\",\"recordFormat\":%d,\"sqlite\":\"%s\",\"openssl\":\"%s\","
                 "\"compiler\":\"%s\"}\n"
               : "creditledger %s\nrecord format %d\nSQLite %s\nOpenSSL %s\ncompiler %s\n",
        CREDITLEDGER_VERSION, RECORD_FORMAT, sqlite3_libversion(), OpenSSL_version(OPENSSL_VERSION_STRING),
        __VERSION__);
    return EXIT_OK;
}

const struct command_spec cmd_version = {
    .name = "version",
    .summary = "print the version of the program and of what it is built on",
    .positional = "",
    .options = options,
    .run = run,
};
