/*
What AWS users have on a host: environment, shared files, the chain's order,
and what it says when nothing helps. Files are real, below a directory of the
test's own; hosts are the world's.
*/
#define DYNALOCK_POSIX
#include "world.h"

#include <sys/stat.h>

static world w;
static dynalock_lock lock;
static dynalock_provider provider;
static dynalock_posix_aws aws;
static char memory[20000];
static char home[] = "/tmp/dynalock-chain-XXXXXX";

/* ---- the host ---- */

static const char *const variables[] = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CA_BUNDLE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
};

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static const char *path_of(const char *name)
{
    static char path[200];

    (void)snprintf(path, sizeof path, "%s/%s", home, name);
    return path;
}

static void write_bytes(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    (void)setvbuf(file, NULL, _IONBF, 0); /* no trace of the test's own */
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void credentials(const char *text)
{
    write_file(".aws/credentials", text);
}

static void config(const char *text)
{
    write_file(".aws/config", text);
}

static char last_request[20000];
static int silent;

/* EC2, or a container's endpoint. */
static void serve(world *of)
{
    static const char keys[] =
        "{\"AccessKeyId\":\"FETCHED\",\"SecretAccessKey\":\"s\",\"Token\":"
        "\"t\",\"Expiration\":\"2023-11-15T04:13:20Z\"}";
    const char *body = keys;

    (void)snprintf(last_request, sizeof last_request, "%s", of->request);
    if (silent) return;
    if (strncmp(of->request, "PUT", 3) == 0) body = "token";
    if (strstr(of->request, "credentials/ ") != NULL) body = "role";
    of->answer_size = (size_t)snprintf(of->answer, sizeof of->answer,
        "HTTP/1.1 200 X\r\nContent-Length: %u\r\n\r\n%s",
        (unsigned)strlen(body), body);
    of->answer_at = 0;
    of->answer_from = of->now;
}

static void ready(const char *profile)
{
    memset(&aws, 0, sizeof aws);
    aws.profile = profile;
    world_begin(&w);
    w.serve_other = serve;
    assert_int_equal(dynalock_provider_init(&provider, dynalock_source_posix(),
                         &aws, memory, sizeof memory),
        DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
}

static int begin(void **state)
{
    size_t i;

    (void)state;
    silent = 0;
    for (i = 0; i < DL_COUNT(variables); i++) (void)unsetenv(variables[i]);
    set("HOME", home);
    set("AWS_EC2_METADATA_DISABLED", "TRUE");
    (void)unlink(path_of(".aws/credentials"));
    (void)unlink(path_of(".aws/config"));
    ready(NULL);
    return 0;
}

static dynalock_outcome acquire(void)
{
    return dynalock_acquire(&w.client, &lock, 0);
}

static void assert_given(const char *id, const char *secret, const char *token)
{
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_string_equal(provider.credentials.key_id, id);
    assert_string_equal(provider.credentials.secret, secret);
    if (token == NULL) assert_null(provider.credentials.token);
    else assert_string_equal(provider.credentials.token, token);
}

static void assert_reported(dynalock_outcome outcome, const char *part)
{
    assert_int_equal(acquire(), outcome);
    if (strstr(aws.report, part) == NULL) /* shows both */
        assert_string_equal(aws.report, part);
    assert_string_equal(w.client.detail.type, "credentials chain");
}

/* ---- the environment ---- */

static void test_environment(void **state)
{
    (void)state;
    set("AWS_ACCESS_KEY_ID", "AKID");
    set("AWS_SECRET_ACCESS_KEY", "secret key");
    assert_given("AKID", "secret key", NULL);
    (void)dynalock_client_close(&w.client, 1000);
    set("AWS_SESSION_TOKEN", "tok");
    ready(NULL);
    assert_given("AKID", "secret key", "tok");
    assert_true(provider.until == DL_NEVER);
}

static void test_environment_with_expiry(void **state)
{
    (void)state;
    set("AWS_ACCESS_KEY_ID", "AKID");
    set("AWS_SECRET_ACCESS_KEY", "s");
    set("AWS_CREDENTIAL_EXPIRATION", "2023-11-15T00:00:00Z");
    assert_given("AKID", "s", NULL);
    assert_true(provider.until != DL_NEVER);
    set("AWS_CREDENTIAL_EXPIRATION", "2023-11-14T00:00:00Z");
    ready(NULL);
    assert_reported(DYNALOCK_CREDENTIALS_EXPIRED, "environment: expired");
    set("AWS_CREDENTIAL_EXPIRATION", "soon");
    ready(NULL);
    assert_reported(DYNALOCK_BAD_ANSWER,
        "environment: AWS_CREDENTIAL_EXPIRATION is not a time");
}

static void test_half_an_environment_is_passed_over(void **state)
{
    (void)state;
    set("AWS_ACCESS_KEY_ID", "AKID");
    set("AWS_SECRET_ACCESS_KEY", "");
    credentials("[default]\naws_access_key_id = FILE\n"
                "aws_secret_access_key = fs\n");
    assert_given("FILE", "fs", NULL);
    assert_non_null(
        strstr(aws.report, "environment: AWS_SECRET_ACCESS_KEY is not set"));
}

static void test_environment_with_control_characters(void **state)
{
    (void)state;
    set("AWS_ACCESS_KEY_ID", "AKID");
    set("AWS_SECRET_ACCESS_KEY", "secret\r");
    assert_reported(
        DYNALOCK_BAD_ANSWER, "environment: characters no header may have");
    assert_null(strstr(aws.report, "secret\r"));
}

/* ---- the files' grammar ---- */

static void test_files_grammar(void **state)
{
    (void)state;
    credentials("# comment\r\n"
                "   \r\n"
                "; another\r\n"
                "[ other ] # of somebody\r\n"
                "aws_access_key_id = WRONG\r\n"
                "[default];comment\r\n"
                "aws_access_key_id=AK#ID ; the key\r\n"
                "  aws_secret_access_key\t=\tx\r\n" /* a continuation */
                "aws_access_key_id = AK#ID\r\n"
                "aws_secret_access_key = a=b;c#d \t# why\r\n"
                "s3 =\r\n"
                "  aws_access_key_id = SUB\r\n"
                "bad name! = 1\r\n"
                "aws_session_token = first\r\n"
                "[bad name!]\r\n"
                "aws_session_token = skipped\r\n"
                " and this\r\n"
                "[profile default]\r\n"
                "aws_session_token = skipped too\r\n"
                "[default]\r\n"
                "aws_session_token = last"); /* no line's end */
    assert_given("AK#ID", "a=b;c#d", "last");
}

/* Below a property stands more of it, whatever it looks like. */
static void test_continuation_lines(void **state)
{
    (void)state;
    credentials("[default]\naws_access_key_id = A\n"
                "  aws_secret_access_key = x\naws_session_token = t\n");
    assert_reported(DYNALOCK_CREDENTIALS_MISSING, "profile: default has no");
    credentials("[default]\naws_access_key_id = A\n"
                "aws_secret_access_key = s\n  # and more\n");
    ready(NULL);
    assert_reported(
        DYNALOCK_BAD_ANSWER, "profile: characters no header may have");
}

static void test_fatal_lines(void **state)
{
    static const struct {
        const char *text;
        const char *where;
    } cases[] = {
        { "[default\naws_access_key_id = A\n", "malformed in line 1" },
        { "[default # ]\n", "malformed in line 1" },
        { "\naws_access_key_id = A\n", "malformed in line 2" },
        { "[default]\naws_access_key_id\n", "malformed in line 2" },
        { "[default]\n continued\n", "malformed in line 2" },
        { "  continued\n", "malformed in line 1" },
        { "[default]\naws_access_key_id = A\n[other]\nx\n",
            "malformed in line 4" },
    };
    size_t i;

    for (i = 0; i < DL_COUNT(cases); i++) {
        (void)begin(state);
        credentials(cases[i].text);
        assert_reported(DYNALOCK_BAD_FILE, cases[i].where);
        assert_non_null(strstr(aws.report, ".aws/credentials"));
        assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_BAD_FILE);
    }
}

/* Cut anywhere, as by a writer that was interrupted: an outcome each time,
   and only whole keys are ever used. */
static void test_half_written_files(void **state)
{
    static const char whole[] = "[default]\naws_access_key_id = AKID\n"
                                "aws_secret_access_key = se\xc3\xa9\n";
    size_t i;

    for (i = 0; i < sizeof whole - 1; i++) {
        dynalock_outcome rc;

        (void)begin(state);
        write_bytes(".aws/credentials", whole, i);
        rc = acquire();
        if (rc == DYNALOCK_OK) continue; /* a secret that is cut */
        assert_true(rc == DYNALOCK_BAD_FILE || rc == DYNALOCK_BAD_ANSWER ||
                    rc == DYNALOCK_CREDENTIALS_MISSING);
        assert_true(aws.report[0] != '\0');
    }
}

/* How often it is found in what libc has given back to the heap. */
static size_t count_in_heap(const char *text)
{
    char *heap[16];
    size_t i, k, seen = 0, n = strlen(text);

    for (i = 0; i < DL_COUNT(heap); i++) {
        heap[i] = (char *)malloc(4096);
        assert_non_null(heap[i]);
        for (k = 0; k + n <= 4096; k++)
            seen += memcmp(heap[i] + k, text, n) == 0;
    }
    for (i = 0; i < DL_COUNT(heap); i++) free(heap[i]);
    return seen;
}

/* Nor does the library keep it. */
static void test_files_leave_nothing_in_memory(void **state)
{
    (void)state;
    credentials("[default]\naws_access_key_id = A\n"
                "aws_secret_access_key = hush-of-file\n");
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_int_equal(count_in_heap("hush-of-file"), 0);
    assert_given("A", "hush-of-file", NULL);
    assert_int_equal(count_in_heap("hush-of-file"), 0);
}

static void test_nonsense(void **state)
{
    static char text[100000];
    size_t i;
    uint32_t x = 1;

    (void)state;
    for (i = 0; i < sizeof text; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = (char)(x >> 24);
    }
    write_bytes(".aws/credentials", text, sizeof text);
    assert_reported(DYNALOCK_BAD_FILE, "malformed");
    memset(text, 'x', sizeof text);
    write_bytes(".aws/credentials", text, sizeof text);
    assert_reported(DYNALOCK_BAD_FILE, "malformed in line 1");
}

static void test_long_and_strange_values(void **state)
{
    static char text[12000], token[5001], secret[95];
    size_t i;

    for (i = 0; i < 94; i++) secret[i] = (char)('!' + i);
    memset(token, 't', sizeof token - 1);
    (void)snprintf(text, sizeof text,
        "[default]\naws_access_key_id = A\naws_secret_access_key = %s\n"
        "aws_session_token = %s\n",
        secret, token);
    credentials(text);
    assert_given("A", secret, token);
    /* cut memory: no half of a token */
    (void)begin(state);
    credentials(text);
    assert_int_equal(dynalock_provider_init(&provider, dynalock_source_posix(),
                         &aws, memory, 4096),
        DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    assert_reported(DYNALOCK_BAD_BUFFER, "profile: too long");
}

/* More than is kept: cut, wherever that is, and nothing is written beyond. */
static void test_values_longer_than_any(void **state)
{
    static char text[40000], line[8000];
    size_t i, used;

    (void)state;
    memset(line, 'r', sizeof line - 1);
    used =
        (size_t)snprintf(text, sizeof text, "[default]\nregion = %s\n", line);
    for (i = 0; i < 3; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "  %s\n", line);
    config(text);
    ready(NULL);
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_int_equal(strlen(aws.region), sizeof aws.region_text - 1);
}

/* A line that is too long is malformed, whatever comes behind it. */
static void test_lines_longer_than_any(void **state)
{
    static char text[12000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "[default]\nregion = ", 19);
    (void)strcpy(text + sizeof text - 20, "\nregion = r\n");
    config(text);
    ready(NULL);
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_BAD_FILE);
    assert_non_null(strstr(aws.report, "is malformed in line 2"));
    assert_null(aws.region);
}

static void test_lines_below_what_nobody_looks_at(void **state)
{
    (void)state;
    config("[default]\nunknown = x\n  y\nregion = r\n");
    ready(NULL);
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_string_equal(aws.region, "r");
}

static void test_every_blank_is_one(void **state)
{
    (void)state;
    config("[default]\nregion\v=\f\t eu-west-1 \v\f\r\n");
    ready(NULL);
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_string_equal(aws.region, "eu-west-1");
}

/* ---- profiles ---- */

static void test_profiles(void **state)
{
    static const char text[] = "[default]\naws_access_key_id = D\n"
                               "aws_secret_access_key = ds\n"
                               "[dev]\naws_access_key_id = V\n"
                               "aws_secret_access_key = vs\n";

    (void)state;
    credentials(text);
    assert_given("D", "ds", NULL);
    set("AWS_PROFILE", "dev");
    ready(NULL);
    assert_given("V", "vs", NULL);
    ready("default");
    assert_given("D", "ds", NULL);
    set("AWS_PROFILE", "absent");
    ready(NULL);
    assert_reported(
        DYNALOCK_CREDENTIALS_MISSING, "profile: absent is in no file");
}

/* What one writes in code or in AWS_PROFILE must be there; no other identity
   takes its place. */
static void test_a_named_profile_ends_the_chain(void **state)
{
    (void)state;
    (void)unsetenv("AWS_EC2_METADATA_DISABLED");
    ready("absent");
    assert_int_equal(acquire(), DYNALOCK_CREDENTIALS_MISSING);
    assert_int_equal(w.others, 0);
    ready(NULL);
    assert_given("FETCHED", "s", "t");
}

static void test_both_files(void **state)
{
    (void)state;
    config("[profile dev]\naws_access_key_id = C\n"
           "aws_secret_access_key = cs\naws_session_token = ct\n"
           "region = eu-west-1\n"
           "[dev]\naws_session_token = not a profile\n");
    credentials("[dev]\naws_access_key_id = V\n"
                "aws_secret_access_key = vs\n");
    ready("dev");
    assert_given("V", "vs", "ct");
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_string_equal(aws.region, "eu-west-1");
}

static void test_profile_default_beats_default(void **state)
{
    (void)state;
    config("[profile default]\naws_access_key_id = P\n"
           "aws_secret_access_key = ps\n"
           "[default]\naws_access_key_id = D\naws_session_token = dt\n");
    assert_given("P", "ps", NULL);
    config("[default]\naws_access_key_id = D\naws_session_token = dt\n"
           "[profile default]\naws_access_key_id = P\n"
           "aws_secret_access_key = ps\n");
    ready(NULL);
    assert_given("P", "ps", NULL);
}

static void test_what_is_not_offered_is_named(void **state)
{
    static const struct {
        const char *line, *name;
        int beats_keys;
    } cases[] = {
        { "role_arn = arn:aws:iam::1:role/r", "role_arn", 1 },
        { "web_identity_token_file = /x", "web_identity_token_file", 1 },
        { "sso_session = s", "sso_session", 1 },
        { "sso_start_url = https://x", "sso_start_url", 1 },
        { "credential_process = /bin/x", "credential_process", 0 },
    };
    char text[400];
    size_t i;

    for (i = 0; i < DL_COUNT(cases); i++) {
        (void)begin(state);
        (void)unsetenv("AWS_EC2_METADATA_DISABLED");
        (void)snprintf(text, sizeof text, "[default]\n%s\n", cases[i].line);
        config(text);
        assert_reported(DYNALOCK_CREDENTIALS_NOT_OFFERED, cases[i].name);
        assert_int_equal(w.others, 0);
        credentials("[default]\naws_access_key_id = D\n"
                    "aws_secret_access_key = ds\n");
        ready(NULL);
        if (cases[i].beats_keys)
            assert_reported(DYNALOCK_CREDENTIALS_NOT_OFFERED, cases[i].name);
        else assert_given("D", "ds", NULL);
    }
    (void)begin(state);
    set("AWS_WEB_IDENTITY_TOKEN_FILE", "/x");
    assert_reported(
        DYNALOCK_CREDENTIALS_NOT_OFFERED, "AWS_WEB_IDENTITY_TOKEN_FILE");
}

/* ---- where the files are ---- */

static void test_places(void **state)
{
    (void)state;
    write_file("elsewhere", "[default]\naws_access_key_id = E\n"
                            "aws_secret_access_key = es\n");
    set("AWS_SHARED_CREDENTIALS_FILE", "~/elsewhere");
    assert_given("E", "es", NULL);
    set("AWS_SHARED_CREDENTIALS_FILE", path_of("elsewhere"));
    ready(NULL);
    assert_given("E", "es", NULL);
    set("AWS_SHARED_CREDENTIALS_FILE", "~");
    ready(NULL);
    assert_reported(DYNALOCK_CREDENTIALS_MISSING, "cannot be read");
    set("AWS_SHARED_CREDENTIALS_FILE", "~elsewhere"); /* no user's home */
    ready(NULL);
    assert_reported(DYNALOCK_CREDENTIALS_MISSING, "~elsewhere is not there");
    set("AWS_SHARED_CREDENTIALS_FILE", "/etc/passwd/no-directory");
    ready(NULL);
    assert_reported(DYNALOCK_CREDENTIALS_MISSING, "cannot be read");
    set("AWS_SHARED_CREDENTIALS_FILE", path_of("elsewhere"));
    (void)unsetenv("HOME");
    ready(NULL);
    assert_given("E", "es", NULL);
    (void)unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    ready(NULL);
    assert_reported(DYNALOCK_CREDENTIALS_MISSING, "HOME is not set");
}

static void test_missing_and_unreadable_files(void **state)
{
    (void)state;
    credentials("[default]\naws_access_key_id = D\n"
                "aws_secret_access_key = ds\n");
    set("AWS_CONFIG_FILE",
        home); /* a directory cannot be read, even by root */
    assert_given("D", "ds", NULL);
    assert_non_null(strstr(aws.report, "cannot be read"));
    (void)begin(state);
    assert_reported(
        DYNALOCK_CREDENTIALS_MISSING, "/.aws/config is not there; profile: ");
    assert_non_null(strstr(aws.report, "environment: AWS_ACCESS_KEY_ID is"));
    assert_non_null(strstr(aws.report, "container: its variables are not"));
    assert_non_null(strstr(aws.report, "AWS_EC2_METADATA_DISABLED is true"));
}

/* ---- region, endpoint, bundle ---- */

static void test_settings(void **state)
{
    (void)state;
    config("[default]\nregion = r-file-1\nendpoint_url = http://file\n"
           "ca_bundle = /file\n");
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_string_equal(aws.region, "r-file-1");
    assert_string_equal(aws.endpoint, "http://file");
    assert_string_equal(aws.ca_bundle, "/file");
    set("AWS_DEFAULT_REGION", "r-default-1");
    set("AWS_ENDPOINT_URL", "http://any");
    set("AWS_CA_BUNDLE", "/bundle");
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_string_equal(aws.region, "r-default-1");
    assert_string_equal(aws.endpoint, "http://any");
    assert_string_equal(aws.ca_bundle, "/bundle");
    set("AWS_REGION", "r-1");
    set("AWS_ENDPOINT_URL_DYNAMODB", "http://own");
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_string_equal(aws.region, "r-1");
    assert_string_equal(aws.endpoint, "http://own");
    (void)begin(state);
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    assert_null(aws.region);
    assert_null(aws.endpoint);
    assert_null(aws.ca_bundle);
}

static void assert_endpoint(const char *endpoint)
{
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_OK);
    if (endpoint == NULL) assert_null(aws.endpoint);
    else assert_non_null(aws.endpoint);
    if (endpoint != NULL) assert_string_equal(aws.endpoint, endpoint);
}

static const char services[] = "[services local]\n"
                               "endpoint_url = http://of-no-service\n"
                               "s3 =\n"
                               "  endpoint_url = http://s3\n"
                               "dynamodb = # of the lab\n"
                               "\t# endpoint_url = http://commented\n"
                               "  ; only words\n"
                               "  other = 1\n"
                               "\n"
                               "  endpoint_url\t= http://services\r\n"
                               "[services other]\n"
                               "dynamodb =\n"
                               "  endpoint_url = http://other\n"
                               "[profile local]\n"
                               "dynamodb =\n"
                               "  endpoint_url = http://of-no-section\n"
                               "[default]\n"
                               "region = r-1\n"
                               "services = local\n"
                               "ca_bundle = /ca\n"
                               "endpoint_url = http://profile\n";

/* The section may stand before the profile, and is one of many. */
static void test_services_section(void **state)
{
    (void)state;
    config(services);
    assert_endpoint("http://services");
    assert_string_equal(aws.region, "r-1");
    assert_string_equal(aws.ca_bundle, "/ca");
    set("AWS_ENDPOINT_URL", "http://any");
    assert_endpoint("http://any");
    set("AWS_ENDPOINT_URL_DYNAMODB", "http://own");
    assert_endpoint("http://own");
}

static void test_services_of_profiles(void **state)
{
    (void)state;
    config(services);
    credentials("[default]\nservices = other\n"
                "[services other]\ndynamodb =\n endpoint_url = http://no\n"
                "[local]\nservices = empty\nendpoint_url = http://local\n");
    assert_endpoint("http://other");
    ready("local");
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_BAD_FILE);
    assert_non_null(
        strstr(aws.report, "services: empty is not in the config file"));
    config("[services empty]\ns3 =\n  endpoint_url = http://s3\n");
    assert_endpoint("http://local");
    config("[services empty]\ndynamodb =\n  endpoint_url = http://was\n"
           "[services empty]\ndynamodb =\n");
    assert_endpoint("http://local");
}

/* A device that is to speak to a local table must not come to AWS' unseen. */
static void test_services_that_are_broken(void **state)
{
    static const char head[] = "[default]\nservices = x\n";
    char text[200];

    (void)state;
    config(head);
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_BAD_FILE);
    assert_null(aws.endpoint);
    assert_non_null(
        strstr(aws.report, "services: x is not in the config file"));
    set("AWS_ENDPOINT_URL", "http://any"); /* nobody asks for it */
    assert_endpoint("http://any");
    (void)unsetenv("AWS_ENDPOINT_URL");
    (void)snprintf(
        text, sizeof text, "%s[services x]\ndynamodb =\n  endpoint_u", head);
    config(text);
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_BAD_FILE);
    assert_non_null(strstr(aws.report, "malformed in line 5"));
    (void)snprintf(text, sizeof text,
        "%s[services]\ndynamodb =\n  endpoint_url = http://x\n", head);
    config(text);
    assert_int_equal(dynalock_posix_load(&aws), DYNALOCK_BAD_FILE);
}

static void test_endpoints_may_be_ignored(void **state)
{
    (void)state;
    config(services);
    set("AWS_ENDPOINT_URL_DYNAMODB", "http://own");
    set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True");
    assert_endpoint(NULL);
    assert_string_equal(aws.region, "r-1");
    set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "truely");
    assert_endpoint("http://own");
    (void)unsetenv("AWS_ENDPOINT_URL_DYNAMODB");
    (void)unsetenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    credentials("[default]\nignore_configured_endpoint_urls = true\n");
    assert_endpoint(NULL);
    set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false");
    assert_endpoint("http://services");
}

/* ---- hosts ---- */

static void test_container(void **state)
{
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/y");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic xyz");
    assert_given("FETCHED", "s", "t");
    assert_non_null(strstr(last_request, "GET /x HTTP/1.1\r\n"));
    assert_non_null(strstr(last_request, "\r\nauthorization:Basic xyz\r\n"));
    (void)begin(state);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/y");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path_of("token"));
    write_file("token", "from-file\n");
    ready(NULL);
    assert_given("FETCHED", "s", "t");
    assert_non_null(strstr(last_request, "GET /y HTTP/1.1\r\n"));
    assert_non_null(strstr(last_request, "\r\nauthorization:from-file\r\n"));
    write_file("token", "rotated");
    w.faults[0] = FAULT_EXPIRED_TOKEN;
    w.fault_at = 0;
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_non_null(strstr(last_request, "\r\nauthorization:rotated\r\n"));
    assert_int_equal(aws.authorization[0], 0);
    (void)unlink(path_of("token"));
    ready(NULL);
    assert_reported(DYNALOCK_NO_FILE, "container: the authorization token");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", home); /* a directory */
    ready(NULL);
    assert_reported(DYNALOCK_NO_FILE, "container: the authorization token");
    write_file("token", "fine");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path_of("token"));
    silent = 1;
    ready(NULL);
    assert_reported(DYNALOCK_NO_ANSWER, "container: not in time");
    silent = 0;
    (void)unsetenv("AWS_EC2_METADATA_DISABLED");
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/y");
    ready(NULL);
    assert_reported(DYNALOCK_BAD_ENDPOINT, "container: not a URI");
    assert_int_equal(w.others, 0);
}

static void test_ec2(void **state)
{
    (void)state;
    (void)unsetenv("AWS_EC2_METADATA_DISABLED");
    assert_given("FETCHED", "s", "t");
    assert_non_null(strstr(last_request, "\r\nhost:169.254.169.254\r\n"));
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv4");
    ready(NULL);
    assert_given("FETCHED", "s", "t");
    assert_non_null(strstr(last_request, "\r\nhost:169.254.169.254\r\n"));
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
    ready(NULL);
    assert_given("FETCHED", "s", "t");
    assert_non_null(strstr(last_request, "\r\nhost:[fd00:ec2::254]\r\n"));
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338/");
    set("AWS_EC2_METADATA_DISABLED", "no");
    ready(NULL);
    assert_given("FETCHED", "s", "t");
    assert_non_null(strstr(last_request, "\r\nhost:127.0.0.1:1338\r\n"));
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1");
    ready(NULL);
    assert_given("FETCHED", "s", "t");
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1/latest");
    ready(NULL);
    assert_reported(DYNALOCK_BAD_ENDPOINT, "AWS_EC2_METADATA_SERVICE");
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "https://127.0.0.1");
    ready(NULL);
    assert_reported(DYNALOCK_BAD_ENDPOINT, "AWS_EC2_METADATA_SERVICE");
}

/* What a laptop without any keys says. */
static void test_nothing_anywhere(void **state)
{
    (void)state;
    (void)unsetenv("AWS_EC2_METADATA_DISABLED");
    silent = 1;
    assert_reported(DYNALOCK_NO_ANSWER,
        "container: its variables are not set; EC2 metadata: not in time");
    assert_non_null(strstr(aws.report, "environment: AWS_ACCESS_KEY_ID"));
    ready(NULL);
    w.refuse = 1;
    assert_reported(DYNALOCK_UNREACHABLE, "EC2 metadata: no connection");
}

static void test_arguments(void **state)
{
    (void)state;
    assert_int_equal(dynalock_posix_load(NULL), DYNALOCK_BAD_ARGUMENT);
}

static int make_home(void **state)
{
    (void)state;
    if (mkdtemp(home) == NULL) return -1;
    return mkdir(path_of(".aws"), 0700);
}

static int remove_home(void **state)
{
    static const char *const names[] = { ".aws/credentials", ".aws/config",
        "elsewhere", "token" };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(names); i++) (void)unlink(path_of(names[i]));
    return rmdir(path_of(".aws")) | rmdir(home);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(environment),
        TEST(environment_with_expiry),
        TEST(half_an_environment_is_passed_over),
        TEST(environment_with_control_characters),
        TEST(files_grammar),
        TEST(continuation_lines),
        TEST(fatal_lines),
        TEST(half_written_files),
        TEST(files_leave_nothing_in_memory),
        TEST(nonsense),
        TEST(long_and_strange_values),
        TEST(values_longer_than_any),
        TEST(lines_longer_than_any),
        TEST(lines_below_what_nobody_looks_at),
        TEST(every_blank_is_one),
        TEST(profiles),
        TEST(a_named_profile_ends_the_chain),
        TEST(both_files),
        TEST(profile_default_beats_default),
        TEST(what_is_not_offered_is_named),
        TEST(places),
        TEST(missing_and_unreadable_files),
        TEST(settings),
        TEST(services_section),
        TEST(services_of_profiles),
        TEST(services_that_are_broken),
        TEST(endpoints_may_be_ignored),
        TEST(container),
        TEST(ec2),
        TEST(nothing_anywhere),
        TEST(arguments),
    };

    return cmocka_run_group_tests(tests, make_home, remove_home);
}
