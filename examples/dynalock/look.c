/* status, list, watch and break: what stands on the table. */
#include "command.h"

static cli_session shown;
static dynalock_record record;

static const char *word_of(dynalock_status status)
{
    switch (status) {
    case DYNALOCK_ABSENT: return "free";
    case DYNALOCK_RELEASED: return "released";
    case DYNALOCK_LOCKED: return "locked";
    case DYNALOCK_FOREIGN: break;
    }
    return "foreign";
}

static cli_colour colour_of(dynalock_status status)
{
    if (status == DYNALOCK_LOCKED) return COLOUR_WARNING;
    return status == DYNALOCK_FOREIGN ? COLOUR_BAD : COLOUR_GOOD;
}

/* ---- status ---- */

static void row(const char *name, cli_colour colour, const char *value)
{
    put_coloured(COLOUR_DIM, 10, name);
    put_coloured(colour, 0, harmless(value));
    putchar('\n');
}

static void row_of_lock(void)
{
    char text[160];

    row("owner", COLOUR_NONE, record.owner);
    (void)snprintf(text, sizeof text,
        "%s; whether its holder renews it, `dynalock watch` shows",
        duration(record.lease_ms));
    row("lease", COLOUR_NONE, text);
}

static void print_status(const cli_options *options)
{
    char text[32];

    row("key", COLOUR_NONE, options->word[0]);
    if (options->sort_key != NULL)
        row("sort key", COLOUR_NONE, options->sort_key);
    row("table", COLOUR_NONE, shown.client.config.table);
    row("status", colour_of(record.status), word_of(record.status));
    if (record.status == DYNALOCK_LOCKED) row_of_lock();
    if (record.fence != 0) {
        (void)snprintf(text, sizeof text, "%" PRIu64, record.fence);
        row("fence", COLOUR_NONE, text);
    }
    if (record.rvn[0] != '\0') row("version", COLOUR_NONE, record.rvn);
}

static void json_record(const cli_options *options)
{
    int locked = record.status == DYNALOCK_LOCKED;

    json_text(stdout, "key", options->word[0]);
    if (options->sort_key != NULL)
        json_text(stdout, "sort_key", options->sort_key);
    json_text(stdout, "table", shown.client.config.table);
    json_text(stdout, "status", word_of(record.status));
    json_text(stdout, "owner", locked ? record.owner : NULL);
    json_number(stdout, "lease_ms", locked ? record.lease_ms : 0);
    json_number(stdout, "fence", record.fence);
    json_text(stdout, "version", record.rvn[0] != '\0' ? record.rvn : NULL);
}

/* Ends the command: what was read stands in record. */
static int finish(dynalock_outcome rc, const char *what)
{
    int code = rc == DYNALOCK_OK ? 0 : session_code(&shown, rc, what);

    (void)session_close(&shown, 0);
    return code;
}

int command_status(const cli_options *options)
{
    dynalock_name name;
    dynalock_outcome rc;
    int code;

    signals_catch();
    code = session_open(&shown, options, NULL);
    if (code != 0) return code;
    session_name(options, &name);
    rc = dynalock_read(&shown.client, &name, &record);
    if (rc == DYNALOCK_OK && output_is_json()) {
        json_open(stdout);
        json_record(options);
        json_close(stdout);
    } else if (rc == DYNALOCK_OK) {
        print_status(options);
    }
    return finish(rc, options->word[0]);
}
int command_list(const cli_options *options)
{
    (void)options;
    return 70;
}
int command_watch(const cli_options *options)
{
    (void)options;
    return 70;
}
int command_break(const cli_options *options)
{
    (void)options;
    return 70;
}
int command_init(const cli_options *options)
{
    (void)options;
    return 70;
}
int command_doctor(const cli_options *options)
{
    (void)options;
    return 70;
}
