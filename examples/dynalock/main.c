/* dynalock: a lock around any program. `dynalock --help` says how. */
#include "command.h"

typedef struct cli_family {
    const char *name;
    unsigned id;
    int words; /* it needs */
    const char *missing;
    int (*act)(const cli_options *options);
    const char *help;
} cli_family;

static const cli_family families[] = {
    { "run", COMMAND_RUN, 0, "", command_run, help_run },
    { "acquire", COMMAND_ACQUIRE, 2, "KEY and TOKENFILE", command_acquire,
        help_acquire },
    { "renew", COMMAND_RENEW, 1, "TOKENFILE", command_renew, help_renew },
    { "release", COMMAND_RELEASE, 1, "TOKENFILE", command_release,
        help_release },
    { "status", COMMAND_STATUS, 1, "KEY", command_status, help_status },
    { "list", COMMAND_LIST, 0, "", command_list, help_list },
    { "watch", COMMAND_WATCH, 1, "KEY", command_watch, help_watch },
    { "break", COMMAND_BREAK, 1, "KEY", command_break, help_break },
    { "init", COMMAND_INIT, 0, "", command_init, help_init },
    { "doctor", COMMAND_DOCTOR, 0, "", command_doctor, help_doctor },
};

static void set_defaults(cli_options *options)
{
    memset(options, 0, sizeof *options);
    options->wait_ms = DYNALOCK_FOREVER;
    options->busy_code = CODE_BUSY;
    options->lost_code = CODE_LOST;
}

/* run looks at its words itself: it can say more. */
static int check_words(const cli_family *family, const cli_options *options)
{
    if (family->id == COMMAND_RUN || options->words == family->words) return 0;
    if (options->words < family->words)
        return complain(CODE_USAGE, "it needs %s: dynalock %s %s",
            family->missing, family->name, family->missing);
    return complain(CODE_USAGE, "%s is one word too many; see --help.",
        options->word[family->words]);
}

static int act(const cli_family *family, char **arguments)
{
    static cli_options options;
    int code;

    set_defaults(&options);
    output_set(family->name, &options);
    code = options_read(&options, family->id, arguments);
    output_set(family->name, &options);
    if (code != 0) return code;
    if (options.help) {
        fputs(family->help, stdout);
        return 0;
    }
    code = check_words(family, &options);
    return code != 0 ? code : family->act(&options);
}

static int is_one_of(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

int main(int count, char **arguments)
{
    size_t i;

    if (count < 2)
        return complain(
            CODE_USAGE, "which command? `dynalock --help` shows them.");
    if (is_one_of(arguments[1], "--help", "-h")) {
        fputs(help_all, stdout);
        return 0;
    }
    if (is_one_of(arguments[1], "--version", "-V")) {
        puts("dynalock " DYNALOCK_VERSION);
        return 0;
    }
    for (i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(arguments[1], families[i].name) == 0)
            return act(&families[i], arguments + 2);
    return complain(CODE_USAGE,
        "%s is no command of it; `dynalock --help` shows them.", arguments[1]);
}
