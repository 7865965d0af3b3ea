/*
 * `creditledger completion bash|zsh`: a completion script, written from the same tables that parse and
 * explain.
 */
#include <stdio.h>
#include <string.h>

#include "app/options.h"

static const struct option_spec options[] = {{.name = NULL}};

static void put_words(const char *before, const char *words, const char *after)
{
    printf("%s%s%s", before, words, after);
}

/* What may stand behind an option or as an argument, as bash's compgen wants it. */
static void bash_values(const char *values)
{
    if (values == NULL)
        put_words("", "return", "");
    else if (strcmp(values, "@file") == 0)
        put_words("", "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")); return", "");
    else if (strcmp(values, "@dir") == 0)
        put_words("", "compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\")); return", "");
    else
        put_words("COMPREPLY=($(compgen -W '", values, "' -- \"$cur\")); return");
}

/* "status|check [ID]" has words to choose from, each printed behind a blank; "FILE" has none: false. */
static bool positional_words(const struct command_spec *c)
{
    size_t len = strcspn(c->positional, " ");
    if (memchr(c->positional, '|', len) == NULL)
        return false;
    putchar(' ');
    for (size_t i = 0; i < len; i++)
        putchar(c->positional[i] == '|' ? ' ' : c->positional[i]);
    return true;
}

static void bash_command(const struct command_spec *c)
{
    printf("    %s)\n        case \"$prev\" in\n", c->name);
    for (const struct option_spec *o = c->options; o->name != NULL; o++)
        if (o->argument != NULL) {
            printf("        --%s) ", o->name);
            bash_values(o->values);
            printf(" ;;\n");
        }
    printf("        esac\n        words='");
    for (const struct option_spec *o = c->options; o->name != NULL; o++)
        printf("--%s ", o->name);
    printf("--help");
    (void)positional_words(c);
    printf("'\n        file_arguments=%d ;;\n", strcmp(c->positional, "FILE") == 0);
}

static void bash_script(const struct command_spec *commands)
{
    printf("# bash completion for creditledger\n"
           "_creditledger() {\n"
           "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" words='' "
           "file_arguments=0\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W '");
    for (const struct command_spec *c = commands; c->name != NULL; c++)
        printf("%s ", c->name);
    printf(
        "help --help --version' -- \"$cur\"))\n        return\n    fi\n    case \"${COMP_WORDS[1]}\" in\n");
    for (const struct command_spec *c = commands; c->name != NULL; c++)
        bash_command(c);
    printf("    *) return ;;\n    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "    if [ \"$file_arguments\" -eq 1 ] && [ \"${cur#-}\" = \"$cur\" ]; then\n"
           "        compopt -o filenames\n"
           "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
           "    fi\n"
           "}\n"
           "complete -F _creditledger creditledger\n");
}

/* Inside '...[text]': zsh takes a bracket or colon for its own, and the shell a quote. */
static void zsh_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr("[]:\\", *text) != NULL)
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_option(const struct option_spec *o)
{
    printf("                '--%s[", o->name);
    zsh_text(o->help);
    putchar(']');
    if (o->argument != NULL) {
        printf(":%s:", o->argument);
        if (o->values != NULL && strcmp(o->values, "@file") == 0)
            printf("_files");
        else if (o->values != NULL && strcmp(o->values, "@dir") == 0)
            printf("_files -/");
        else if (o->values != NULL)
            printf("(%s)", o->values);
    }
    printf("' \\\n");
}

static void zsh_script(const struct command_spec *commands)
{
    printf("#compdef creditledger\n_creditledger() {\n    local -a commands\n    commands=(\n");
    for (const struct command_spec *c = commands; c->name != NULL; c++) {
        printf("        '%s:", c->name);
        zsh_text(c->summary);
        printf("'\n");
    }
    printf(
        "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
        "    case \"$words[2]\" in\n");
    for (const struct command_spec *c = commands; c->name != NULL; c++) {
        printf("        %s)\n            shift words; (( CURRENT-- ))\n            _arguments \\\n", c->name);
        for (const struct option_spec *o = c->options; o->name != NULL; o++)
            zsh_option(o);
        printf("                '--help[print help and exit]'");
        if (strchr(c->positional, '|') != NULL) {
            printf(" \\\n                '1:word:(");
            (void)positional_words(c);
            printf(")'");
        } else if (c->positional_max > 0) {
            printf(" \\\n                '*:%s:_files'", c->positional);
        }
        printf(" ;;\n");
    }
    printf("    esac\n}\n"
           "if [ \"$funcstack[1]\" = _creditledger ]; then\n    _creditledger \"$@\"\nelse\n    compdef "
           "_creditledger creditledger\nfi\n");
}

static int run(const struct options *o)
{
    const char *shell = options_positional_at(o, 0);
    if (strcmp(shell, "bash") == 0)
        bash_script(options_commands(o));
    else if (strcmp(shell, "zsh") == 0)
        zsh_script(options_commands(o));
    else
        return options_fail(o, EXIT_USAGE, "'%s' is no shell it knows: bash or zsh", shell);
    return EXIT_OK;
}

const struct command_spec cmd_completion = {
    .name = "completion",
    .summary = "print a completion script for bash or zsh",
    .positional = "bash|zsh",
    .positional_min = 1,
    .positional_max = 1,
    .details = "  source <(creditledger completion bash)      # in ~/.bashrc\n"
               "  source <(creditledger completion zsh)       # in ~/.zshrc, after compinit",
    .options = options,
    .run = run,
};
