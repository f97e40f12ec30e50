/* Reads the command line. Options may stand anywhere before --; what stands
   behind it is the command's. */
#include "command.h"

enum {
    OPTION_TABLE = 't',
    OPTION_LEASE = 'l',
    OPTION_WAIT = 'w',
    OPTION_NOW = 'n',
    OPTION_BUSY_CODE = 'E',
    OPTION_SHELL = 'c',
    OPTION_QUIET = 'q',
    OPTION_JSON = 'j',
    OPTION_HELP = 'h',
    OPTION_REGION = 256,
    OPTION_ENDPOINT,
    OPTION_CERTIFICATES,
    OPTION_OWNER,
    OPTION_KEY_NAME,
    OPTION_SORT_KEY_NAME,
    OPTION_SORT_KEY,
    OPTION_TTL,
    OPTION_POLL,
    OPTION_GRACE,
    OPTION_ON_LOST,
    OPTION_LOST_CODE,
    OPTION_FOREGROUND,
    OPTION_IF,
    OPTION_POLICY
};

#define TAKES (COMMAND_RUN | COMMAND_ACQUIRE)

typedef struct cli_rule {
    const char *name;
    int id; /* also its letter, if below 256 */
    int has_value;
    unsigned commands;
} cli_rule;

static const cli_rule rules[] = {
    { "table", OPTION_TABLE, 1, COMMAND_ANY },
    { "region", OPTION_REGION, 1, COMMAND_ANY },
    { "endpoint", OPTION_ENDPOINT, 1, COMMAND_ANY },
    { "ca", OPTION_CERTIFICATES, 1, COMMAND_ANY },
    { "key-name", OPTION_KEY_NAME, 1, COMMAND_ANY },
    { "sort-key-name", OPTION_SORT_KEY_NAME, 1, COMMAND_ANY },
    { "ttl", OPTION_TTL, 1, COMMAND_ANY },
    { "quiet", OPTION_QUIET, 0, COMMAND_ANY },
    { "json", OPTION_JSON, 0, COMMAND_ANY },
    { "help", OPTION_HELP, 0, COMMAND_ANY },
    { "sort-key", OPTION_SORT_KEY, 1,
        TAKES | COMMAND_STATUS | COMMAND_WATCH | COMMAND_BREAK },
    { "lease", OPTION_LEASE, 1, TAKES | COMMAND_RENEW },
    { "wait", OPTION_WAIT, 1, TAKES },
    { "timeout", OPTION_WAIT, 1, TAKES }, /* as flock has it */
    { "nonblock", OPTION_NOW, 0, TAKES },
    { "nb", OPTION_NOW, 0, TAKES },
    { "conflict-exit-code", OPTION_BUSY_CODE, 1, TAKES },
    { "owner", OPTION_OWNER, 1, TAKES },
    { "poll", OPTION_POLL, 1, TAKES | COMMAND_WATCH },
    { "command", OPTION_SHELL, 1, COMMAND_RUN },
    { "grace", OPTION_GRACE, 1, COMMAND_RUN },
    { "on-lost", OPTION_ON_LOST, 1, COMMAND_RUN },
    { "lost-exit-code", OPTION_LOST_CODE, 1,
        COMMAND_RUN | COMMAND_RENEW | COMMAND_RELEASE },
    { "foreground", OPTION_FOREGROUND, 0, COMMAND_RUN },
    { "if", OPTION_IF, 1, COMMAND_BREAK },
    { "policy", OPTION_POLICY, 0, COMMAND_INIT },
};

/* ---- values ---- */

static int is_unit(const char *text, double *factor)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = { { "", 1e3 }, { "s", 1e3 }, { "ms", 1 }, { "m", 6e4 },
        { "min", 6e4 }, { "h", 3.6e6 }, { "d", 8.64e7 } };
    size_t i;

    for (i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text, units[i].name) != 0) continue;
        *factor = units[i].ms;
        return 1;
    }
    return 0;
}

/* Seconds, or with a unit; a fraction will do. 24 days at most. */
static int read_time(const char *text, uint32_t *ms)
{
    char *end;
    double number, factor = 1;

    if ((*text < '0' || *text > '9') && *text != '.') return 0;
    number = strtod(text, &end);
    if (end == text || !is_unit(end, &factor)) return 0;
    number *= factor;
    if (!(number >= 0 && number < 24 * 8.64e7)) return 0;
    *ms = (uint32_t)(number + 0.5);
    return *ms != 0 || number <= 0;
}

static int read_number(const char *text, int most, int *number)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value > most) return 0;
    *number = (int)value;
    return 1;
}

static int read_signal(const char *text, int *number)
{
    static const struct {
        const char *name;
        int number;
    } names[] = { { "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT },
        { "KILL", SIGKILL }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 },
        { "TERM", SIGTERM }, { "STOP", SIGSTOP } };
    size_t i;

    if (strncmp(text, "SIG", 3) == 0) text += 3;
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) != 0) continue;
        *number = names[i].number;
        return 1;
    }
    return read_number(text, 64, number) && *number != 0;
}

static int read_on_lost(cli_options *options, const char *text)
{
    if (strcmp(text, "kill") == 0) options->on_lost = ON_LOST_KILL;
    else if (strcmp(text, "warn") == 0) options->on_lost = ON_LOST_WARN;
    else if (strncmp(text, "signal:", 7) == 0) {
        options->on_lost = ON_LOST_SIGNAL;
        return read_signal(text + 7, &options->lost_signal);
    } else return 0;
    return 1;
}

static const char **text_option(cli_options *options, int id)
{
    switch (id) {
    case OPTION_TABLE: return &options->table;
    case OPTION_REGION: return &options->region;
    case OPTION_ENDPOINT: return &options->endpoint;
    case OPTION_CERTIFICATES: return &options->certificates;
    case OPTION_OWNER: return &options->owner;
    case OPTION_KEY_NAME: return &options->key_name;
    case OPTION_SORT_KEY_NAME: return &options->sort_key_name;
    case OPTION_SORT_KEY: return &options->sort_key;
    case OPTION_TTL: return &options->ttl_attribute;
    case OPTION_SHELL: return &options->shell;
    case OPTION_IF: return &options->version;
    default: return NULL;
    }
}

/* Whether the value makes sense; *wanted: what would. */
static int set_value(
    cli_options *options, int id, const char *value, const char **wanted)
{
    const char **text = text_option(options, id);

    if (text != NULL) *text = value;
    if (text != NULL) return 1;
    *wanted = "a time such as 20, 0.5, 500ms, 5m or 2h";
    switch (id) {
    case OPTION_LEASE:
        return read_time(value, &options->lease_ms) && options->lease_ms != 0;
    case OPTION_WAIT: return read_time(value, &options->wait_ms);
    case OPTION_POLL:
        return read_time(value, &options->poll_ms) && options->poll_ms != 0;
    case OPTION_GRACE:
        return read_time(value, &options->grace_ms) && options->grace_ms != 0;
    default: break;
    }
    *wanted = "a number from 0 to 255";
    if (id == OPTION_BUSY_CODE)
        return read_number(value, 255, &options->busy_code);
    if (id == OPTION_LOST_CODE)
        return read_number(value, 255, &options->lost_code);
    *wanted = "kill, warn, or signal: and its name or number";
    return read_on_lost(options, value);
}

static void set_flag(cli_options *options, int id)
{
    switch (id) {
    case OPTION_NOW: options->wait_ms = 0; break;
    case OPTION_QUIET: options->quiet = 1; break;
    case OPTION_JSON: options->json = 1; break;
    case OPTION_HELP: options->help = 1; break;
    case OPTION_FOREGROUND: options->foreground = 1; break;
    case OPTION_POLICY: options->policy = 1; break;
    default: break;
    }
}

/* ---- words ---- */

typedef struct cli_reader {
    cli_options *options;
    unsigned command;
    char **at;
} cli_reader;

static int refuse(const char *name, const char *what)
{
    return complain(
        CODE_USAGE, "%s %s; --help shows those there are.", name, what);
}

static int set(cli_reader *reader, const cli_rule *rule, const char *given,
    const char *value)
{
    const char *wanted = "";

    if ((rule->commands & reader->command) == 0)
        return refuse(given, "is not an option of this command");
    if (!rule->has_value) {
        set_flag(reader->options, rule->id);
        return 0;
    }
    if (value == NULL) value = *reader->at != NULL ? *reader->at++ : NULL;
    if (value == NULL || strcmp(value, "--") == 0)
        return complain(CODE_USAGE, "%s needs a value behind it.", given);
    if (!set_value(reader->options, rule->id, value, &wanted))
        return complain(
            CODE_USAGE, "%s %s: give it %s.", given, value, wanted);
    return 0;
}

static int read_long(cli_reader *reader, const char *word)
{
    size_t i, size = strcspn(word + 2, "=");
    const char *value = word[2 + size] == '=' ? word + 2 + size + 1 : NULL;

    for (i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strncmp(word + 2, rules[i].name, size) != 0 ||
            rules[i].name[size] != '\0')
            continue;
        if (value != NULL && !rules[i].has_value)
            return refuse(word, "takes no value");
        return set(reader, &rules[i], word, value);
    }
    return refuse(word, "is not an option");
}

/* Letters together, the last perhaps with its value: -qn, -w5. */
static int read_letters(cli_reader *reader, const char *word)
{
    const char *at = word + 1;
    size_t i;
    int code;

    while (*at != '\0') {
        for (i = 0; i < sizeof rules / sizeof rules[0]; i++)
            if (rules[i].id == *at) break;
        if (i == sizeof rules / sizeof rules[0])
            return refuse(word, "is not an option");
        at++;
        code = set(reader, &rules[i], word,
            rules[i].has_value && *at != '\0' ? at : NULL);
        if (code != 0 || rules[i].has_value) return code;
    }
    return 0;
}

static int read_word(cli_reader *reader, const char *word)
{
    cli_options *options = reader->options;

    if (word[0] == '-' && word[1] == '-') return read_long(reader, word);
    if (word[0] == '-' && word[1] != '\0') return read_letters(reader, word);
    if (options->words == WORDS_MOST)
        return complain(CODE_USAGE, "%s is one word too many%s; see --help.",
            word,
            reader->command == COMMAND_RUN
                ? ": put -- between the key and the command"
                : "");
    options->word[options->words++] = word;
    return 0;
}

int options_read(cli_options *options, unsigned command, char **arguments)
{
    cli_reader reader;
    int code = 0;

    reader.options = options;
    reader.command = command;
    reader.at = arguments;
    while (code == 0 && *reader.at != NULL) {
        const char *word = *reader.at++;

        if (strcmp(word, "--") == 0) {
            options->command = reader.at;
            break;
        }
        code = read_word(&reader, word);
    }
    return code;
}
