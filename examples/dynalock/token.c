/*
A lock over several processes of one host: acquire leaves a file by which renew
and release know it. Whoever has the file has the lock, until its lease ends:
nobody renews it meanwhile.

The file is text, name=value, with % escapes in values, and says what table it
is about, so that release needs no options.
*/
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_SIZE (3 * 2048 + 64) /* a key of 2,048 bytes, all escaped */
#define FIRST_LINE "dynalock-token 1"
#define SETTLE_MS 5000u

typedef struct cli_token {
    char table[256], region[40], endpoint[300], owner[DYNALOCK_OWNER_SIZE];
    char key[2049], sort_key[1025];
    char key_name[256], sort_key_name[256], ttl_attribute[256];
    char fence[24], lease_ms[16];
    char boot[40], deadline[24]; /* ms on the clock of that boot */
    char blob[2 * DYNALOCK_BLOB_SIZE + 1];
} cli_token;

typedef struct cli_field {
    const char *name;
    size_t offset, size;
} cli_field;

#define FIELD(name)                                                           \
#name, offsetof(cli_token, name), sizeof((cli_token *)0)->name
static const cli_field fields[] = {
    { FIELD(table) },
    { FIELD(region) },
    { FIELD(endpoint) },
    { FIELD(owner) },
    { FIELD(key) },
    { FIELD(sort_key) },
    { FIELD(key_name) },
    { FIELD(sort_key_name) },
    { FIELD(ttl_attribute) },
    { FIELD(fence) },
    { FIELD(lease_ms) },
    { FIELD(boot) },
    { FIELD(deadline) },
    { FIELD(blob) },
};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])

typedef struct cli_holding {
    cli_session session;
    dynalock_lock lock;
    cli_token given; /* of an earlier process: what the session refers to */
    cli_token token; /* of this one */
    cli_options
        options; /* with what the file says where the user says nothing */
    const char *path;
    char new_path[4096];
} cli_holding;

static cli_holding held;

static char *field_of(cli_token *token, const cli_field *field)
{
    return (char *)token + field->offset;
}

/* ---- text ---- */

static void put_escaped(FILE *to, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    for (; *at != '\0'; at++)
        if (*at <= ' ' || *at == '%' || *at == 0x7f)
            fprintf(to, "%%%02x", *at);
        else putc(*at, to);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* A byte of two digits; -1: it is none. */
static int hex_byte(const char *at)
{
    int high = hex_digit(at[0]);
    int low = high >= 0 ? hex_digit(at[1]) : -1;

    return low >= 0 ? high * 16 + low : -1;
}

static int read_escaped(const char *from, char *out, size_t size)
{
    size_t used = 0;
    int byte;

    for (; *from != '\0'; from++) {
        byte = (unsigned char)*from;
        if (byte == '%') {
            byte = hex_byte(from + 1);
            if (byte <= 0) return 0;
            from += 2;
        }
        if (used + 1 >= size) return 0;
        out[used++] = (char)byte;
    }
    out[used] = '\0';
    return 1;
}

static void blob_to_text(const dynalock_blob *blob, char *out)
{
    size_t i;

    for (i = 0; i < sizeof blob->bytes; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", blob->bytes[i]);
}

static int blob_from_text(const char *text, dynalock_blob *blob)
{
    size_t i;
    int byte;

    if (strlen(text) != 2 * sizeof blob->bytes) return 0;
    for (i = 0; i < sizeof blob->bytes; i++) {
        byte = hex_byte(text + 2 * i);
        if (byte < 0) return 0;
        blob->bytes[i] = (uint8_t)byte;
    }
    return 1;
}

/* ---- the file ---- */

static int read_line(cli_token *token, char *line)
{
    char *value = strchr(line, '=');
    size_t i;

    if (value == NULL) return 0;
    *value++ = '\0';
    for (i = 0; i < FIELD_COUNT; i++)
        if (strcmp(line, fields[i].name) == 0)
            return read_escaped(
                value, field_of(token, &fields[i]), fields[i].size);
    return 0;
}

static int read_lines(cli_token *token, FILE *from)
{
    char line[LINE_SIZE];
    size_t size;
    int number = 0;

    while (fgets(line, sizeof line, from) != NULL) {
        size = strlen(line);
        if (size == 0 || line[size - 1] != '\n') return 0;
        line[size - 1] = '\0';
        if (number++ == 0 ? strcmp(line, FIRST_LINE) != 0
                          : !read_line(token, line))
            return 0;
    }
    return number != 0 && !ferror(from) && token->key[0] != '\0' &&
           token->table[0] != '\0' && token->blob[0] != '\0';
}

static int token_read(cli_token *token, const char *path)
{
    FILE *from = fopen(path, "re");
    int well;

    memset(token, 0, sizeof *token);
    if (from == NULL)
        return complain(CODE_NO_TOKEN,
            "%s: the token file cannot be read (%s); `dynalock acquire` "
            "writes one.",
            path, strerror(errno));
    well = read_lines(token, from);
    (void)fclose(from);
    if (well) return 0;
    return complain(CODE_BAD_TOKEN,
        "%s: it is not a token file of dynalock, or damaged; the lease ends "
        "by itself.",
        path);
}

/* It is written beside the old one and takes its place when it is whole. */
static FILE *token_create(cli_holding *holding)
{
    int file;
    FILE *to = NULL;

    if (snprintf(holding->new_path, sizeof holding->new_path, "%s.%ld",
            holding->path, (long)getpid()) >= (int)sizeof holding->new_path)
        errno = ENAMETOOLONG;
    else {
        file = open(holding->new_path,
            O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
        if (file >= 0) to = fdopen(file, "w");
    }
    if (to == NULL)
        (void)complain(CODE_NO_CREATE,
            "%s: the token file cannot be written (%s); name another place.",
            holding->path, strerror(errno));
    return to;
}

static int token_write(cli_holding *holding, FILE *to)
{
    size_t i;
    int well;

    fputs(FIRST_LINE "\n", to);
    for (i = 0; i < FIELD_COUNT; i++) {
        fprintf(to, "%s=", fields[i].name);
        put_escaped(to, field_of(&holding->token, &fields[i]));
        putc('\n', to);
    }
    well = fflush(to) == 0 && fsync(fileno(to)) == 0;
    well = fclose(to) == 0 && well;
    if (well && rename(holding->new_path, holding->path) == 0) return 0;
    (void)complain(CODE_NO_CREATE,
        "%s: the token file cannot be written (%s); the lock is given back.",
        holding->path, strerror(errno));
    (void)unlink(holding->new_path);
    return CODE_NO_CREATE;
}

/* ---- what a token says ---- */

static void read_boot(char *out, size_t size)
{
    FILE *from = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (from == NULL || fgets(out, (int)size, from) == NULL)
        (void)snprintf(out, size, "unknown");
    out[strcspn(out, "\n")] = '\0';
    if (from != NULL) (void)fclose(from);
}

/* Milliseconds until its lease ends; 0: it has ended. */
static uint64_t token_left(const cli_token *token)
{
    char boot[sizeof token->boot];
    uint64_t now = boot_ms(), deadline = strtoull(token->deadline, NULL, 10);

    read_boot(boot, sizeof boot);
    if (strcmp(boot, token->boot) != 0 || deadline <= now) return 0;
    return deadline - now;
}

static void copy(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}
#define COPY(out, text) copy(out, sizeof(out), text)

/* The lock as it is held now. */
static dynalock_outcome token_fill(cli_holding *holding)
{
    const dynalock_config *config = &holding->session.client.config;
    cli_token *token = &holding->token;
    dynalock_blob blob;
    dynalock_outcome rc =
        dynalock_save(&holding->session.client, &holding->lock, &blob);

    if (rc != DYNALOCK_OK) return rc;
    memset(token, 0, sizeof *token);
    COPY(token->table, config->table);
    COPY(token->region, config->region);
    COPY(token->endpoint, config->endpoint);
    COPY(token->owner, config->owner);
    COPY(token->key, holding->options.word[0]);
    COPY(token->sort_key, holding->options.sort_key);
    COPY(token->key_name, holding->options.key_name);
    COPY(token->sort_key_name, holding->options.sort_key_name);
    COPY(token->ttl_attribute, holding->options.ttl_attribute);
    (void)snprintf(token->fence, sizeof token->fence, "%" PRIu64,
        dynalock_fence(&holding->lock));
    (void)snprintf(
        token->lease_ms, sizeof token->lease_ms, "%" PRIu32, config->lease_ms);
    (void)snprintf(token->deadline, sizeof token->deadline, "%" PRIu64,
        boot_ms() +
            dynalock_remaining_ms(&holding->session.client, &holding->lock));
    read_boot(token->boot, sizeof token->boot);
    blob_to_text(&blob, token->blob);
    return DYNALOCK_OK;
}

static void prefer(const char **option, const char *text)
{
    if (*option == NULL && *text != '\0') *option = text;
}

static void token_to_options(cli_holding *holding)
{
    cli_options *options = &holding->options;
    const cli_token *token = &holding->given;

    prefer(&options->table, token->table);
    prefer(&options->region, token->region);
    prefer(&options->endpoint, token->endpoint);
    prefer(&options->key_name, token->key_name);
    prefer(&options->sort_key_name, token->sort_key_name);
    prefer(&options->sort_key, token->sort_key);
    prefer(&options->ttl_attribute, token->ttl_attribute);
    options->word[0] = token->key;
    if (options->lease_ms == 0)
        options->lease_ms = (uint32_t)strtoul(token->lease_ms, NULL, 10);
}

/* ---- what the commands share ---- */

static dynalock_outcome ready_lock(cli_holding *holding)
{
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = holding->options.word[0];
    options.sort_key = holding->options.sort_key;
    return dynalock_lock_init(&holding->lock, &options);
}

static void print_grant(const cli_holding *holding)
{
    const cli_token *token = &holding->token;
    uint64_t left = token_left(token);

    if (output_is_json()) {
        json_open(stdout);
        json_text(stdout, "key", token->key);
        json_text(stdout, "table", token->table);
        json_text(stdout, "owner", token->owner);
        json_number(stdout, "fence", strtoull(token->fence, NULL, 10));
        json_number(stdout, "lease_ms", strtoull(token->lease_ms, NULL, 10));
        json_number(stdout, "remaining_ms", left);
        json_text(stdout, "token", holding->path);
        json_close(stdout);
    } else if (!output_is_quiet()) {
        printf("%s\n", token->fence);
    }
}

/* What failed before anything was granted. */
static int give_up(cli_holding *holding, FILE *to, int code)
{
    if (to != NULL) (void)fclose(to);
    if (to != NULL) (void)unlink(holding->new_path);
    (void)session_close(&holding->session, SETTLE_MS);
    return code;
}

/* Takes the lock and leaves the file. */
static int take(cli_holding *holding, FILE *to, uint32_t wait_ms)
{
    dynalock_outcome rc =
        dynalock_acquire(&holding->session.client, &holding->lock, wait_ms);
    const dynalock_detail *detail = &holding->session.client.detail;
    int code;

    if (rc == DYNALOCK_BUSY || rc == DYNALOCK_TIMEOUT) {
        note("busy", "%s: held by %s, with a lease of %s.",
            holding->options.word[0], detail->holder,
            duration(detail->holder_lease_ms));
        return give_up(holding, to, holding->options.busy_code);
    }
    if (rc == DYNALOCK_OK) rc = token_fill(holding);
    if (rc != DYNALOCK_OK) {
        code = session_code(&holding->session, rc, holding->options.word[0]);
        return give_up(holding, to, code);
    }
    code = token_write(holding, to);
    if (code != 0) return give_up(holding, NULL, code);
    print_grant(holding);
    return 0; /* the lock stays held: the session is left as it is */
}

/* ---- acquire ---- */

static int is_in_the_way(const cli_holding *holding)
{
    cli_token old;
    FILE *from = fopen(holding->path, "re");
    int mine = 0;

    if (from == NULL) return 0;
    memset(&old, 0, sizeof old);
    mine = read_lines(&old, from);
    (void)fclose(from);
    if (mine && token_left(&old) == 0) return 0;
    return complain(CODE_NO_CREATE,
        mine ? "%s: its lock is held yet; `dynalock release` it first."
             : "%s: the file is there and is no token; name another.",
        holding->path);
}

int command_acquire(const cli_options *options)
{
    FILE *to;
    dynalock_outcome rc;
    int code;

    held.options = *options;
    held.path = options->word[1];
    code = is_in_the_way(&held);
    if (code != 0) return code;
    signals_catch();
    code = session_open(&held.session, &held.options, NULL);
    if (code != 0) return code;
    rc = ready_lock(&held);
    if (rc != DYNALOCK_OK)
        return give_up(
            &held, NULL, session_code(&held.session, rc, "the key"));
    to = token_create(&held);
    if (to == NULL) return give_up(&held, NULL, CODE_NO_CREATE);
    return take(&held, to, options->wait_ms);
}

/* ---- renew and release ---- */

static int lost(cli_holding *holding, const char *how)
{
    note("lost", "%s: The lock is lost: %s", holding->options.word[0], how);
    (void)unlink(holding->path);
    return holding->options.lost_code;
}

/* Opens the session of the token's life, and reads its blob. */
static int go_on(cli_holding *holding, const cli_options *options)
{
    dynalock_blob blob;
    dynalock_outcome rc;
    int code;

    holding->options = *options;
    holding->path = options->word[0];
    code = token_read(&holding->given, holding->path);
    if (code != 0) return code;
    token_to_options(holding);
    signals_catch();
    code = session_open(
        &holding->session, &holding->options, holding->given.owner);
    if (code != 0) return code;
    rc = ready_lock(holding);
    if (rc == DYNALOCK_OK)
        rc = blob_from_text(holding->given.blob, &blob)
                 ? dynalock_restore(
                       &holding->session.client, &holding->lock, &blob)
                 : DYNALOCK_BAD_BLOB;
    if (rc == DYNALOCK_OK) return 0;
    return give_up(
        holding, NULL, session_code(&holding->session, rc, holding->path));
}

/* Whether the item is still that of the grant: no other has its fence. */
static dynalock_outcome look(cli_holding *holding, int *mine)
{
    static dynalock_record record;
    dynalock_name name;
    dynalock_outcome rc;

    session_name(&holding->options, &name);
    memset(&record, 0, sizeof record);
    rc = dynalock_read(&holding->session.client, &name, &record);
    *mine = record.status == DYNALOCK_LOCKED &&
            strcmp(record.owner, holding->given.owner) == 0 &&
            record.fence == strtoull(holding->given.fence, NULL, 10);
    return rc;
}

/* Another process cannot renew what this one was granted: it takes the lock
   over, as a grant of its own with a higher fence. */
int command_renew(const cli_options *options)
{
    dynalock_outcome rc;
    FILE *to;
    int code = go_on(&held, options), mine = 0;

    if (code != 0) return code;
    if (token_left(&held.given) == 0)
        return give_up(&held, NULL, lost(&held, "its lease ran out."));
    rc = look(&held, &mine);
    if (rc != DYNALOCK_OK)
        return give_up(&held, NULL,
            session_code(&held.session, rc, held.options.word[0]));
    if (!mine)
        return give_up(
            &held, NULL, lost(&held, "it was broken, and may be another's."));
    to = token_create(&held);
    if (to == NULL) return give_up(&held, NULL, CODE_NO_CREATE);
    return take(&held, to, 0);
}

int command_release(const cli_options *options)
{
    dynalock_outcome rc;
    int code = go_on(&held, options), late;

    if (code != 0) return code;
    late = token_left(&held.given) == 0;
    rc = dynalock_release_restored(&held.session.client, &held.lock);
    if (code_of(rc) == CODE_LOST)
        return give_up(&held, NULL, lost(&held, dynalock_explain(rc)));
    if (rc != DYNALOCK_OK)
        return give_up(&held, NULL,
            session_code(&held.session, rc, held.options.word[0]));
    if (late) return give_up(&held, NULL, lost(&held, "its lease ran out."));
    (void)unlink(held.path);
    if (output_is_json()) {
        json_open(stdout);
        json_text(stdout, "key", held.given.key);
        json_flag(stdout, "released", 1);
        json_close(stdout);
    }
    return give_up(&held, NULL, 0);
}
