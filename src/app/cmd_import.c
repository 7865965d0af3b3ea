/* `creditledger import`: movements or opening balances from a CSV file. Takes the database for itself. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/json_out.h"
#include "app/import.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/store.h"

/* ---- the file
 * ---------------------------------------------------------------------------------------------------- */

/* The whole file, because it is read more than once and must not change in between. */
static int read_file(const char *path, struct strbuf *b, struct err *err)
{
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    ssize_t n;
    do {
        strbuf_reserve(b, 1 << 20);
        n = read(fd, b->data + b->len, 1 << 20);
        b->len += n > 0 ? (size_t)n : 0;
    } while ((n > 0 || (n < 0 && errno == EINTR)) && b->len <= (size_t)IMPORT_FILE_MAX);
    int saved = errno;
    close(fd);
    if (n < 0)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(saved));
    if (b->len > (size_t)IMPORT_FILE_MAX)
        return err_set(
            err, ERR_CONFIG, "%s has more than %" PRId64 " bytes: split it", path, IMPORT_FILE_MAX);
    return 0;
}

/* ---- options
 * ------------------------------------------------------------------------------------------------------ */

static bool parse_separator(const struct options *o, char *ret_separator)
{
    const char *text = options_get(o, "delimiter");
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0)
        text = "\t";
    if (strlen(text) != 1 || strchr("\"\r\n", *text) != NULL || (unsigned char)*text >= 0x80) {
        (void)options_fail(o, EXIT_USAGE, "--delimiter is '%s': use one character, or tab", text);
        return false;
    }
    *ret_separator = *text;
    return true;
}

static bool parse_floor(const struct options *o, struct import_options *io)
{
    const char *text = options_get(o, "min-balance");
    if (text == NULL)
        return true;
    io->has_floor = true;
    if (strcmp(text, "none") == 0)
        return true;
    io->floor.present = true;
    return options_int(o, "min-balance", -LIMIT_AMOUNT_MAX, LIMIT_AMOUNT_MAX, &io->floor.minor);
}

static bool parse_type(const struct options *o, const char *name, enum account_type *ret_type)
{
    if (account_type_parse(str_of(options_get(o, name)), ret_type))
        return true;
    (void)options_fail(o, EXIT_USAGE, "--%s is '%s': use asset, liability, equity, income or expense", name,
        options_get(o, name));
    return false;
}

static bool parse_values(const struct options *o, struct import_options *io)
{
    int64_t scale = -1;
    if (options_get(o, "scale") != NULL && !options_int(o, "scale", 0, LIMIT_ASSET_SCALE_MAX, &scale))
        return false;
    io->scale = (int)scale;
    io->decimal_point = options_flag(o, "decimal-comma") ? ',' : options_flag(o, "decimal") ? '.' : '\0';
    return parse_separator(o, &io->separator) && parse_floor(o, io) &&
           parse_type(o, "account-type", &io->account_type) &&
           parse_type(o, "counter-type", &io->counter_type);
}

/* NULL if the options fit together. */
static const char *contradiction(const struct import_options *io)
{
    if (io->account_column.data == NULL)
        return "--account-column is needed: the column that names the account";
    if (io->amount_column.data == NULL && !(io->opening && io->balance_column.data != NULL))
        return io->opening ? "--balance-column (or --amount-column) is needed: what each account starts with"
                           : "--amount-column is needed: signed, positive into the account";
    if ((io->currency_column.data == NULL) == (io->currency.data == NULL))
        return "name the currency with one of --currency CODE and --currency-column";
    if (io->counter_column.data != NULL && io->counter.data != NULL)
        return "use one of --counter and --counter-column";
    if (!io->opening && io->counter_column.data == NULL && io->counter.data == NULL)
        return "where movements come from and go to is needed: --counter-column, --counter NAME, or "
               "--counter @world";
    if (!idempotency_key_valid(io->key_prefix) || io->key_prefix.len > 64)
        return "--key-prefix must be 1 to 64 bytes without control characters";
    return NULL;
}

static int parse_options(const struct options *o, struct import_options *io)
{
    *io = (struct import_options){
        .opening = options_flag(o, "opening"),
        .account_column = str_of(options_get(o, "account-column")),
        .amount_column = str_of(options_get(o, "amount-column")),
        .currency_column = str_of(options_get(o, "currency-column")),
        .counter_column = str_of(options_get(o, "counter-column")),
        .date_column = str_of(options_get(o, "date-column")),
        .id_column = str_of(options_get(o, "id-column")),
        .balance_column = str_of(options_get(o, "balance-column")),
        .reference_column = str_of(options_get(o, "reference-column")),
        .metadata_columns = str_of(options_get(o, "metadata-columns")),
        .currency = str_of(options_get(o, "currency")),
        .counter = str_of(options_get(o, "counter")),
        .per_currency = options_flag(o, "per-currency"),
        .key_prefix = str_of(options_get(o, "key-prefix")),
        .dry_run = options_flag(o, "dry-run"),
    };
    if (!parse_values(o, io))
        return EXIT_USAGE;
    const char *wrong = contradiction(io);
    if (wrong != NULL)
        return options_fail(o, EXIT_USAGE, "%s", wrong);
    if (io->opening && io->counter.data == NULL && io->counter_column.data == NULL)
        io->counter = STR("@world");
    return EXIT_OK;
}

/* ---- the report
 * ----------------------------------------------------------------------------------------------------- */

static void print_text(const struct import_counts *c, const struct import_options *io, bool stopped)
{
    printf("%s%" PRIu64 " rows: %" PRIu64 " %s, %" PRIu64 " already there, %" PRIu64 " declined before",
        stopped ? "stopped; " : "", c->rows, c->posted, io->dry_run ? "would be posted" : "posted",
        c->already, c->declined);
    if (c->zero > 0)
        printf(", %" PRIu64 " with amount 0 (nothing to move)", c->zero);
    printf("; %" PRIu64 " accounts %s", c->opened, io->dry_run ? "would be opened" : "opened");
    if (io->balance_column.data != NULL)
        printf("; %" PRIu64 " balances equal", c->balances);
    putchar('\n');
    if (!stopped && !io->dry_run && c->posted == 0 && c->already > 0)
        puts("nothing new: every row is in the ledger already");
    if (c->declined > 0)
        puts("declined rows stay declined under their key; post them by hand, or import them with another "
             "--key-prefix");
}

static void print_json(const struct import_counts *c, const struct import_options *io, const char *error)
{
    struct strbuf b;
    strbuf_init(&b);
    struct json_out out = {.b = &b};
    out_begin(&out, '{');
    out_bool_member(&out, "ok", error == NULL && c->declined == 0);
    out_bool_member(&out, "dryRun", io->dry_run);
    out_uint_member(&out, "rows", c->rows);
    out_uint_member(&out, "posted", c->posted);
    out_uint_member(&out, "alreadyThere", c->already);
    out_uint_member(&out, "declined", c->declined);
    out_uint_member(&out, "zero", c->zero);
    out_uint_member(&out, "accountsOpened", c->opened);
    out_uint_member(&out, "balancesEqual", c->balances);
    out_c_member(&out, "error", error);
    out_end(&out, '}');
    printf(STR_FMT "\n", STR_ARG(strbuf_view(&b)));
    strbuf_fini(&b);
}

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct progress *p = ctx;
    p->total = total;
    progress_at(p, done);
    return true;
}

static int exit_code_of(int rc, const struct import_counts *c)
{
    if (rc == 0)
        return c->declined == 0 ? EXIT_OK : EXIT_FAULT;
    return rc == ERR_CORRUPT ? EXIT_FAULT : rc == ERR_CONFIG ? EXIT_USAGE : EXIT_ENVIRONMENT;
}

static int run_with(const struct options *o, struct store *store, struct import_options *io, struct str file)
{
    const struct ledger_row *ledger =
        catalog_ledger_by_name(store->catalog, str_of(options_get(o, "ledger")));
    if (ledger == NULL)
        return options_fail(
            o, EXIT_USAGE, "there is no ledger '%s': create it with POST /ledgers", options_get(o, "ledger"));
    bool json = options_flag(o, "json");
    struct progress progress;
    struct import_counts counts;
    struct err err = {0};
    io->progress = on_progress;
    io->ctx = &progress;
    progress_begin(&progress, "importing", 0, json);
    int rc = import_run(
        store->engine, store->journal, store->catalog, ledger, io, file, store_now(NULL), &counts, &err);
    progress_end(&progress);
    const char *path = options_positional_at(o, 0);
    if (json)
        print_json(&counts, io, rc == 0 ? NULL : err.message);
    else if (rc == 0 || counts.posted + counts.already + counts.opened > 0)
        print_text(&counts, io, rc != 0);
    int code = exit_code_of(rc, &counts);
    return rc == 0 ? code : options_fail(o, code, "%s: %s", path, err.message);
}

static int run(const struct options *o)
{
    struct import_options io;
    int code = parse_options(o, &io);
    if (code != EXIT_OK)
        return code;
    struct strbuf file;
    struct store store;
    struct err err = {0};
    strbuf_init(&file);
    int rc = read_file(options_positional_at(o, 0), &file, &err);
    if (rc == 0)
        rc = store_open_engine(o, &store, &err);
    if (rc != 0) {
        code = options_fail(o, EXIT_ENVIRONMENT, "%s", err.message);
    } else {
        code = run_with(o, &store, &io, strbuf_view(&file));
        store_close(&store);
    }
    strbuf_fini(&file);
    return code;
}

static const struct option_spec options[] = {
    STORE_OPTIONS,
    STORE_WRITE_OPTIONS,
    {"ledger", "NAME", "which ledger", NULL, "main", NULL},
    {"opening", NULL, "the file has what accounts start with, not movements", NULL, NULL, NULL},
    {"account-column", "COLUMN", "the account; opened if it is not there, with this as external id", NULL,
        NULL, NULL},
    {"amount-column", "COLUMN", "the amount, signed: positive goes into the account", NULL, NULL, NULL},
    {"currency-column", "COLUMN", "the currency's code", NULL, NULL, NULL},
    {"currency", "CODE", "one currency for all rows", NULL, NULL, NULL},
    {"scale", "N", "decimals of a currency that is not in ISO 4217 and not declared yet", NULL, NULL, NULL},
    {"counter-column", "COLUMN", "the other account; @world is the outside", NULL, NULL, NULL},
    {"counter", "NAME", "one other account for all rows (with --opening: default @world)", NULL, NULL, NULL},
    {"date-column", "COLUMN", "when it took effect: YYYY-MM-DD (midnight UTC) or a date-time", NULL, NULL,
        NULL},
    {"id-column", "COLUMN", "what makes the row unique: its idempotency key", NULL, NULL, NULL},
    {"balance-column", "COLUMN", "the account's balance after the row, compared with the ledger's", NULL,
        NULL, NULL},
    {"reference-column", "COLUMN", "kept as the transfer's reference", NULL, NULL, NULL},
    {"metadata-columns", "A,B", "kept as the transfer's metadata (erasable)", NULL, NULL, NULL},
    {"delimiter", "CHAR", "between fields; \"tab\" is one too", NULL, ",", ", ; tab |"},
    {"decimal", NULL, "amounts are like 12.34, with the currency's scale (else minor units: 1234)", NULL,
        NULL, NULL},
    {"decimal-comma", NULL, "amounts are like 12,34", NULL, NULL, NULL},
    {"min-balance", "N|none", "limit of accounts it opens, in minor units (default: the ledger's)", NULL,
        NULL, NULL},
    {"account-type", "TYPE", "of accounts of the account column", NULL, "liability",
        "asset liability equity income expense"},
    {"counter-type", "TYPE", "of counter accounts; these have no limit", NULL, "equity",
        "asset liability equity income expense"},
    {"per-currency", NULL, "append :CODE to every account's name, for accounts that have several", NULL, NULL,
        NULL},
    {"key-prefix", "TEXT", "before the id in the idempotency key", NULL, IMPORT_KEY_PREFIX, NULL},
    {"dry-run", NULL, "check the whole file, post nothing", NULL, NULL, NULL},
    {"json", NULL, "print one JSON object", NULL, NULL, NULL},
    {0},
};

const struct command_spec cmd_import = {
    .name = "import",
    .summary = "bring movements or opening balances in from a CSV file",
    .positional = "FILE",
    .positional_min = 1,
    .positional_max = 1,
    .details =
        "The first line names the columns. One transfer a row, in the file's order. The whole file is "
        "checked before\n"
        "the first posting: an error names line and column, and nothing was posted. A balance column that "
        "differs from\n"
        "the ledger's running balance stops the import at that row.\n"
        "\n"
        "Run it twice and the second run posts nothing: rows are known by --id-column, or, without one, by "
        "the file's\n"
        "content and the row's number. With --opening, by the account: it gets one opening balance, in "
        "whatever file;\n"
        "with --balance-column, the account must then have exactly that balance.\n"
        "\n"
        "  creditledger import movements.csv --account-column account --amount-column amount --currency USD "
        "\\\n"
        "      --counter-column category --id-column id --date-column booked --balance-column balance\n"
        "  creditledger import --opening users.csv --account-column user_id --balance-column "
        "credits_remaining \\\n"
        "      --currency CREDITS --scale 0\n"
        "\n"
        "FILE may be - for standard input. A server on --data must be stopped: import takes an embedded "
        "database for\n"
        "itself. Over PostgreSQL servers may go on.\n"
        "\n"
        "Exit status: 0 every row is in the ledger, 1 the file is at fault (or rows were declined), 2 usage, "
        "3 another\n"
        "process has the database, or it could not be read or written.",
    .options = options,
    .run = run,
};
