/* What the command says: one line for a person, or as JSON for a program. */
#include "command.h"

#include <stdarg.h>
#include <unistd.h>

static const char *command_name = "";
static int quiet, json, passing; /* passing: a line waits to be replaced */
static int colours;

static int is_terminal(int descriptor)
{
    return isatty(descriptor) != 0;
}

void output_set(const char *command, const cli_options *options)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    command_name = command;
    quiet = options->quiet;
    json = options->json;
    colours = is_terminal(STDOUT_FILENO) && !json &&
              (no_colour == NULL || *no_colour == '\0') &&
              (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

int output_is_json(void)
{
    return json;
}

int output_is_quiet(void)
{
    return quiet;
}

int output_is_terminal(void)
{
    return !json && is_terminal(STDOUT_FILENO);
}

int output_errors_on_terminal(void)
{
    return !json && is_terminal(STDERR_FILENO);
}

/* ---- JSON ---- */

static int members;

static void json_string(FILE *to, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    putc('"', to);
    for (; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') fprintf(to, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f) fprintf(to, "\\u%04x", *at);
        else putc(*at, to);
    }
    putc('"', to);
}

static void json_member(FILE *to, const char *name)
{
    if (members++ != 0) putc(',', to);
    json_string(to, name);
    putc(':', to);
}

void json_open(FILE *to)
{
    members = 0;
    putc('{', to);
}

void json_text(FILE *to, const char *name, const char *value)
{
    json_member(to, name);
    if (value != NULL) json_string(to, value);
    else fputs("null", to);
}

void json_number(FILE *to, const char *name, uint64_t value)
{
    json_member(to, name);
    fprintf(to, "%" PRIu64, value);
}

void json_flag(FILE *to, const char *name, int value)
{
    json_member(to, name);
    fputs(value ? "true" : "false", to);
}

void json_close(FILE *to)
{
    fputs("}\n", to);
    (void)fflush(to);
}

/* ---- text of others ---- */

/* Also U+0080 to U+009F, which terminals obey. */
static size_t harmful(const unsigned char *at)
{
    if (*at < 0x20 || *at == 0x7f) return 1;
    return at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0 ? 2 : 0;
}

const char *harmless(const char *text)
{
    static char buffers[4][2 * 1024 + 64];
    static unsigned turn;
    char *out = buffers[turn++ % 4];
    const unsigned char *at = (const unsigned char *)text;
    size_t used = 0, skip;

    while (*at != '\0' && used < sizeof buffers[0] - 1) {
        skip = harmful(at);
        out[used++] = skip != 0 ? '?' : (char)*at;
        at += skip != 0 ? skip : 1;
    }
    out[used] = '\0';
    return out;
}

const char *duration(uint64_t ms)
{
    static char buffers[4][32];
    static unsigned turn;
    char *out = buffers[turn++ % 4];
    uint64_t s = (ms + 500) / 1000;

    if (ms < 1000)
        (void)snprintf(out, sizeof buffers[0], "%" PRIu64 " ms", ms);
    else if (s < 180)
        (void)snprintf(out, sizeof buffers[0], "%" PRIu64 " s", s);
    else if (s < 180 * 60)
        (void)snprintf(out, sizeof buffers[0], "%" PRIu64 " min", s / 60);
    else if (s < 72 * 3600)
        (void)snprintf(out, sizeof buffers[0], "%" PRIu64 " h", s / 3600);
    else (void)snprintf(out, sizeof buffers[0], "%" PRIu64 " days", s / 86400);
    return out;
}

/* ---- lines on stderr ---- */

static void wipe_passing(void)
{
    if (passing) fputs("\r\033[K", stderr);
    passing = 0;
}

static void say(const char *text)
{
    wipe_passing();
    fprintf(stderr, "dynalock%s%s: %s\n", *command_name != '\0' ? " " : "",
        command_name, harmless(text));
}

int complain(int code, const char *format, ...)
{
    char text[1600];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (json) {
        json_open(stderr);
        json_text(stderr, "event", "error");
        json_text(stderr, "error", text);
        json_number(stderr, "code", (uint64_t)code);
        json_close(stderr);
    } else {
        say(text);
    }
    return code;
}

void note(const char *event, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    if (quiet) return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (json) {
        json_open(stderr);
        json_text(stderr, "event", event);
        json_text(stderr, "text", text);
        json_close(stderr);
    } else {
        say(text);
    }
}

void note_passing(const char *format, ...)
{
    char text[512];
    va_list arguments;

    if (quiet) return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\r\033[K%s", harmless(text));
    (void)fflush(stderr);
    passing = 1;
}

/* ---- columns on stdout ---- */

void put_coloured(cli_colour colour, int width, const char *text)
{
    static const char *const codes[] = { "", "\033[2m", "\033[32m", "\033[33m",
        "\033[31m" };

    if (!colours || colour == COLOUR_NONE) {
        printf("%-*s", width, text);
        return;
    }
    printf("%s%-*s\033[0m", codes[colour], width, text);
}

/* ---- outcomes ---- */

static int code_of_group(dynalock_outcome outcome)
{
    if (outcome <= DYNALOCK_TABLE_MISSING) return CODE_SERVICE;
    if (outcome <= DYNALOCK_THROTTLED) return CODE_SERVICE;
    if (outcome <= DYNALOCK_CREDENTIALS_MISSING) return CODE_CREDENTIALS;
    if (outcome <= DYNALOCK_TLS_NO_HANDSHAKE) return CODE_CLOCK_OR_TLS;
    if (outcome <= DYNALOCK_BUSY) return CODE_SERVICE;
    return CODE_USAGE;
}

int code_of(dynalock_outcome outcome)
{
    switch ((int)outcome) {
    case DYNALOCK_OK: return CODE_OK;
    case DYNALOCK_BAD_TLS:
    case DYNALOCK_BAD_BUFFER:
    case DYNALOCK_NO_FILE:
    case DYNALOCK_BAD_FILE: return CODE_CLOCK_OR_TLS;
    case DYNALOCK_NO_ENTROPY: return CODE_SYSTEM;
    case DYNALOCK_BAD_BLOB: return CODE_BAD_TOKEN;
    case DYNALOCK_BUSY:
    case DYNALOCK_TIMEOUT: return CODE_BUSY;
    case DYNALOCK_LOST_EXPIRED:
    case DYNALOCK_LOST_STOLEN:
    case DYNALOCK_LOST_VANISHED:
    case DYNALOCK_LOST_RELEASED: return CODE_LOST;
    default: return code_of_group(outcome);
    }
}

/* What a person at a shell can do about it, beyond what explain says. */
static const char *remedy(dynalock_outcome outcome)
{
    switch ((int)outcome) {
    case DYNALOCK_BAD_REGION: return "Set AWS_REGION or give --region.";
    case DYNALOCK_CREDENTIALS_MISSING:
        return "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "
               "profile.";
    case DYNALOCK_CREDENTIALS_REFUSED:
        return "Check AWS_ACCESS_KEY_ID and its secret.";
    case DYNALOCK_CREDENTIALS_EXPIRED: return "Get fresh ones.";
    case DYNALOCK_DENIED:
        return "`dynalock init --policy` prints the rights that are needed.";
    case DYNALOCK_CLOCK_UNSET:
    case DYNALOCK_CLOCK_SKEW: return "Set it, best by NTP.";
    case DYNALOCK_TLS_UNTRUSTED:
        return "Give the right certificates with --ca FILE.";
    case DYNALOCK_UNREACHABLE:
    case DYNALOCK_NO_ANSWER: return "`dynalock doctor` looks for the reason.";
    case DYNALOCK_TABLE_MISSING:
        return "`dynalock init` creates it; -t names another.";
    case DYNALOCK_TABLE_SHAPE:
        return "Name its keys with --key-name and --sort-key-name, or another "
               "table with -t.";
    default: return "";
    }
}

static const char *own_words(
    dynalock_outcome outcome, const dynalock_client *client)
{
    static char text[800];
    const dynalock_detail *detail = &client->detail;

    text[0] = '\0';
    if (outcome == DYNALOCK_CREDENTIALS_MISSING ||
        outcome == DYNALOCK_CREDENTIALS_NOT_OFFERED)
        (void)snprintf(text, sizeof text, " (%s)", session_report());
    else if (outcome == DYNALOCK_UNREACHABLE)
        (void)snprintf(text, sizeof text, " (%s)",
            detail->port_error == -2 ? "the host name is not known"
                                     : strerror(-detail->port_error));
    else if (outcome <= DYNALOCK_CLOCK_UNSET && detail->type[0] != '\0')
        (void)snprintf(
            text, sizeof text, " (%s: %s)", detail->type, detail->message);
    return text;
}

static const char *sentence(dynalock_outcome outcome)
{
    if (outcome == DYNALOCK_UNKNOWN)
        return "The service did not answer a write: the lock may look held "
               "until its lease ends.";
    return dynalock_explain(outcome);
}

const char *advice(dynalock_outcome outcome, const dynalock_client *client)
{
    static char text[1200];
    const char *hint = remedy(outcome);

    (void)snprintf(text, sizeof text, "%s%s%s%s", sentence(outcome),
        client != NULL ? own_words(outcome, client) : "",
        *hint != '\0' ? " " : "", hint);
    return text;
}

int complain_of(
    dynalock_outcome outcome, const dynalock_client *client, const char *what)
{
    return complain(
        code_of(outcome), "%.200s: %s", what, advice(outcome, client));
}
