/*
Fuzzes the environment and the shared files of AWS (libFuzzer). The input is
texts that a byte 255 ends: the config file, the credentials file, the
profile's name, and the values of variables; the first bytes choose which of
these are set.

What is loaded is the same every time, and fits its memory. Credentials that
are then used stand in what was given, for the profile that was asked for, and
can be headers; a profile that asks for another way gets none.
*/

#define _GNU_SOURCE /* memfd_create, memmem */
#define DYNALOCK_NO_TLS
#define DYNALOCK_POSIX
#include "device.h"

#include <sys/mman.h>

#define FILES 2

static device d;
static dynalock_posix_aws aws;
static dynalock_provider provider;
static char memory_of[8192];
static int asked;   /* the table */
static input given; /* all texts */

/* ---- the host ---- */

static const char *const file_variables[FILES] = { "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE" };
static const char *const variables[] = { "AWS_PROFILE", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION",
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB", "AWS_CA_BUNDLE",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT" };

/* A file without a name, whose path names its descriptor. */
static void write_file(unsigned i, input text)
{
    static int fds[FILES] = { -1, -1 };
    char path[32];

    if (fds[i] < 0) fds[i] = memfd_create("aws", 0);
    REQUIRE(fds[i] >= 0 && ftruncate(fds[i], 0) == 0);
    REQUIRE(pwrite(fds[i], text.at, text.size, 0) == (ssize_t)text.size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fds[i]);
    REQUIRE(setenv(file_variables[i], path, 1) == 0);
}

static void set_variables(input *in, unsigned which)
{
    unsigned i;

    for (i = 0; i < COUNT(variables); i++) {
        char *value;

        (void)unsetenv(variables[i]);
        if ((which >> i & 1) == 0) continue;
        value = choose_string(in);
        REQUIRE(setenv(variables[i], value, 1) == 0);
        free(value);
    }
    REQUIRE(setenv("AWS_EC2_METADATA_DISABLED", "true", 1) == 0);
}

/* ---- the peers ---- */

static int is_given(const char *text)
{
    return memmem(given.at, given.size, text, strlen(text)) != NULL;
}

static int is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~') return 0;
    return 1;
}

static void check_credentials(void)
{
    const dynalock_credentials *used = &provider.credentials;

    REQUIRE(used->key_id[0] != '\0' && is_given(used->key_id));
    REQUIRE(used->secret[0] != '\0' && is_given(used->secret));
    REQUIRE(used->token == NULL || is_given(used->token));
    REQUIRE(is_printable(used->key_id) && is_printable(used->secret));
    REQUIRE(used->token == NULL || is_printable(used->token));
    REQUIRE(getenv("AWS_ACCESS_KEY_ID") != NULL || is_given("[") != 0);
}

/* Where a container's variables lead is not the table; nothing is there. */
static void serve(device *of)
{
    if (strcmp(of->host, "table.test") != 0) {
        device_answer_text(of, 404, "");
        return;
    }
    asked = 1;
    check_credentials();
    device_answer_text(of, 200, "{}");
}

/* ---- what holds ---- */

static void check_setting(const char *text, const char *own, size_t room)
{
    if (text == NULL) return;
    REQUIRE(memchr(own, '\0', room) != NULL || text != own);
    /* a value that goes on in the next line has its own line's end */
    REQUIRE(strchr(text, '\n') != NULL || is_given(text));
}

static void check_loaded(dynalock_outcome rc)
{
    REQUIRE(rc == DYNALOCK_OK || rc == DYNALOCK_BAD_FILE);
    REQUIRE(memchr(aws.report, '\0', sizeof aws.report) != NULL);
    REQUIRE(rc == DYNALOCK_OK || aws.report[0] != '\0');
    check_setting(aws.region, aws.region_text, sizeof aws.region_text);
    check_setting(aws.endpoint, aws.endpoint_text, sizeof aws.endpoint_text);
    check_setting(aws.ca_bundle, aws.bundle_text, sizeof aws.bundle_text);
}

static dynalock_outcome load(void)
{
    static dynalock_posix_aws again;
    const char *profile = aws.profile;
    dynalock_outcome rc = dynalock_posix_load(&aws);

    memset(&again, 'x', sizeof again);
    again.profile = profile;
    REQUIRE(dynalock_posix_load(&again) == rc);
    REQUIRE(strcmp(again.report, aws.report) == 0);
    REQUIRE((again.region == NULL) == (aws.region == NULL));
    REQUIRE(again.region == NULL || strcmp(again.region, aws.region) == 0);
    check_loaded(rc);
    return rc;
}

/* Said anywhere, by a line that begins so. */
static int says(const char *name)
{
    const char *at = (const char *)given.at, *end = at + given.size;
    size_t size = strlen(name);

    while ((at = (const char *)memmem(at, (size_t)(end - at), name, size)) !=
           NULL) {
        if (at == (const char *)given.at || at[-1] == '\n' ||
            (uint8_t)at[-1] == FUZZ_END)
            return 1;
        at += size;
    }
    return 0;
}

static void ask(int malformed)
{
    static dynalock_record record;
    dynalock_name name = { "k", NULL, NULL };
    dynalock_outcome rc = dynalock_read(&d.client, &name, &record);

    REQUIRE(memchr(aws.report, '\0', sizeof aws.report) != NULL);
    REQUIRE((rc == DYNALOCK_OK) == asked);
    if (getenv("AWS_ACCESS_KEY_ID") != NULL && rc == DYNALOCK_OK) return;
    if (malformed) REQUIRE(rc != DYNALOCK_OK);
    if (rc == DYNALOCK_CREDENTIALS_NOT_OFFERED)
        REQUIRE(says("role_arn") || says("credential_process") ||
                says("web_identity_token_file") || says("sso_") ||
                getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = { data, size };
    unsigned which = choose_two(&in), i;
    char *profile = NULL;
    dynalock_outcome rc;
    int malformed;

    given = in;
    asked = 0;
    for (i = 0; i < FILES; i++) write_file(i, choose_text(&in));
    set_variables(&in, which);
    if (in.size != 0) profile = choose_string(&in);
    memset(&aws, 0, sizeof aws);
    aws.profile = profile;
    rc = load();
    /* a services section that is missing is no matter of credentials */
    malformed = rc != DYNALOCK_OK && strstr(aws.report, "malformed") != NULL;
    device_init(&d, serve);
    REQUIRE(dynalock_provider_init(&provider, dynalock_source_posix(), &aws,
                memory_of, sizeof memory_of) == DYNALOCK_OK);
    d.config.credentials = &provider.credentials;
    device_start(&d);
    REQUIRE(dynalock_set_provider(&d.client, &provider) == DYNALOCK_OK);
    ask(malformed);
    (void)dynalock_client_close(&d.client, 0);
    free(profile);
    return 0;
}
