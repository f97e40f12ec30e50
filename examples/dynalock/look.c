/* status, list, watch and break: what stands on the table. */
#include "command.h"

#include <time.h>

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

/* "2026-11-26 19:31:13Z", or "" for 0 */
static const char *date(int64_t ms)
{
    static char text[32];
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;

    text[0] = '\0';
    if (ms != 0 && gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &parts);
    return text;
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
    char text[80];

    row("key", COLOUR_NONE, options->word[0]);
    if (options->sort_key != NULL)
        row("sort key", COLOUR_NONE, options->sort_key);
    row("table", COLOUR_NONE, shown.client.config.table);
    row("status", colour_of(record.status), word_of(record.status));
    if (record.status == DYNALOCK_LOCKED) row_of_lock();
    if (record.fence != 0) {
        (void)snprintf(text, sizeof text, "%" PRIu64 "%s%s", record.fence,
            record.status == DYNALOCK_LOCKED ? ", granted about " : "",
            record.status == DYNALOCK_LOCKED
                ? date(dynalock_granted_ms(record.fence))
                : "");
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
/* ---- list ---- */

static void json_listed(const dynalock_listed *item)
{
    int locked = item->status == DYNALOCK_LOCKED;

    json_open(stdout);
    json_text(stdout, "key", item->key);
    if (item->sort_key != NULL) json_text(stdout, "sort_key", item->sort_key);
    json_text(stdout, "status", word_of(item->status));
    json_text(stdout, "owner", locked ? item->owner : NULL);
    json_number(stdout, "lease_ms", locked ? item->lease_ms : 0);
    json_number(stdout, "fence", item->fence);
    json_text(stdout, "version", item->rvn[0] != '\0' ? item->rvn : NULL);
    if (item->again) json_flag(stdout, "again", 1);
    json_close(stdout);
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text != NULL && *text != '\0' ? harmless(text) : otherwise;
}

/* For cut(1) and awk(1): a tab between columns, and no heading. */
static void plain_listed(const dynalock_listed *item)
{
    int locked = item->status == DYNALOCK_LOCKED;

    printf("%s\t%s\t%s\t%s\t%" PRIu32 "\t%" PRIu64 "\t%s\n",
        or_else(item->key, "-"), or_else(item->sort_key, "-"),
        word_of(item->status), locked ? or_else(item->owner, "-") : "-",
        locked ? item->lease_ms : 0, item->fence, or_else(item->rvn, "-"));
}

static void pretty_listed(const dynalock_listed *item, int first)
{
    int locked = item->status == DYNALOCK_LOCKED;

    if (first) {
        put_coloured(COLOUR_DIM, 0,
            "STATUS    LEASE    FENCE OF ABOUT         OWNER"
            "                     KEY");
        putchar('\n');
    }
    put_coloured(colour_of(item->status), 10, word_of(item->status));
    put_coloured(COLOUR_NONE, 9, locked ? duration(item->lease_ms) : "-");
    put_coloured(
        COLOUR_NONE, 23, or_else(date(dynalock_granted_ms(item->fence)), "-"));
    put_coloured(
        COLOUR_NONE, 25, locked ? or_else(item->owner, "(too long)") : "-");
    printf(" %s", or_else(item->key, "(too long)"));
    if (item->sort_key != NULL) printf(" / %s", harmless(item->sort_key));
    putchar('\n');
}

static int show_listed(void *context, const dynalock_listed *item)
{
    const dynalock_listing *listing = (const dynalock_listing *)context;

    if (output_is_json()) json_listed(item);
    else if (output_is_terminal()) pretty_listed(item, listing->count <= 1);
    else plain_listed(item);
    return ferror(stdout);
}

int command_list(const cli_options *options)
{
    static dynalock_listing listing;
    dynalock_outcome rc;
    int code;

    signals_catch();
    code = session_open(&shown, options, NULL);
    if (code != 0) return code;
    listing.each = show_listed;
    listing.context = &listing;
    rc = dynalock_list(&shown.client, NULL, &listing);
    if (rc == DYNALOCK_OK && listing.count == 0)
        note("empty", "%s: there are no locks.", shown.client.config.table);
    return finish(rc, shown.client.config.table);
}

/* ---- watch ---- */

typedef struct cli_view {
    const cli_options *options;
    dynalock_watch watch;
} cli_view;

static void json_change(const cli_view *view)
{
    record = view->watch.record;
    json_open(stdout);
    json_number(stdout, "unix_ms",
        (uint64_t)shown.platform.unix_ms(shown.platform.context));
    json_record(view->options);
    json_close(stdout);
}

static void print_change(const dynalock_record *found)
{
    put_coloured(
        COLOUR_DIM, 22, date(shown.platform.unix_ms(shown.platform.context)));
    put_coloured(colour_of(found->status), 9, word_of(found->status));
    if (found->status == DYNALOCK_LOCKED)
        printf(" by %s, with a lease of %s, fence %" PRIu64,
            harmless(found->owner), duration(found->lease_ms), found->fence);
    putchar('\n');
    (void)fflush(stdout);
}

static void show_change(
    void *context, const dynalock_watch *watch, uint32_t before_ms)
{
    (void)before_ms;
    if (output_is_terminal()) fputs("\r\033[K", stdout);
    if (output_is_json()) json_change((const cli_view *)context);
    else print_change(&watch->record);
}

/* On a terminal, below the changes. What was not seen since the last look can
   only make it shorter. */
static void count_down(const dynalock_watch *watch)
{
    const dynalock_record *found = &watch->record;

    if (!output_is_terminal() || found->status != DYNALOCK_LOCKED) return;
    if (watch->unchanged_ms >= found->lease_ms)
        printf("\r\033[K%s said nothing for %s: whoever wants the lock may "
               "take it",
            harmless(found->owner), duration(watch->unchanged_ms));
    else
        printf("\r\033[Kif %s says nothing more: held for at most %s",
            harmless(found->owner),
            duration(found->lease_ms - watch->unchanged_ms));
    (void)fflush(stdout);
}

static int is_interrupted(void)
{
    int number;

    while ((number = signals_next()) != 0)
        if (signals_ends(number)) shown.caught = number;
    return shown.caught != 0;
}

static dynalock_outcome follow(cli_view *view)
{
    dynalock_name name;
    dynalock_outcome rc;

    session_name(view->options, &name);
    rc = dynalock_start_watch(&shown.client, &name, &view->watch);
    while (rc == DYNALOCK_AGAIN && !is_interrupted()) {
        (void)dynalock_poll(&shown.client);
        rc = dynalock_result(&view->watch.record.operation);
        if (rc != DYNALOCK_AGAIN) break;
        count_down(&view->watch);
        session_sleep(&shown, 1000);
    }
    if (output_is_terminal()) putchar('\n');
    return rc;
}

int command_watch(const cli_options *options)
{
    static cli_view view;
    int code;

    signals_catch();
    code = session_open(&shown, options, NULL);
    if (code != 0) return code;
    view.options = options;
    view.watch.changed = show_change;
    view.watch.context = &view;
    return finish(follow(&view), options->word[0]);
}

/* ---- break ---- */

static int tell_kept(const cli_options *options)
{
    (void)complain(options->busy_code,
        "%s: nothing was broken: it is %s%s%s now%s%s.", options->word[0],
        word_of(record.status), record.status == DYNALOCK_LOCKED ? " by " : "",
        record.status == DYNALOCK_LOCKED ? record.owner : "",
        record.rvn[0] != '\0' ? ", with version " : "", record.rvn);
    (void)session_close(&shown, 0);
    return options->busy_code;
}

int command_break(const cli_options *options)
{
    dynalock_name name;
    dynalock_outcome rc;
    int code;

    if (options->version == NULL)
        return complain(CODE_USAGE,
            "--if VERSION is needed, as `dynalock status %s` shows it.",
            options->word[0]);
    signals_catch();
    code = session_open(&shown, options, NULL);
    if (code != 0) return code;
    session_name(options, &name);
    rc = dynalock_break(&shown.client, &name, options->version, &record);
    if (rc == DYNALOCK_KEPT) return tell_kept(options);
    if (rc == DYNALOCK_OK && output_is_json()) {
        json_open(stdout);
        json_text(stdout, "key", options->word[0]);
        json_flag(stdout, "broken", 1);
        json_close(stdout);
    }
    return finish(rc, options->word[0]);
}
