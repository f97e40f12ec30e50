/*
Credentials from real servers (tests/sources.py starts them): AWS IoT's
credential provider over mutual TLS, EC2's metadata, a container's endpoint.
Behind them is DynamoDB's proxy, which checks every signature and token: a lock
that is held proves the keys.
*/
#include "../conformance/support.h"

static dynalock_posix port;
static dynalock_platform platform;
static dynalock_anchors anchors;
static dynalock_tls tls;
static dynalock_posix_identity identity;
static dynalock_iot iot;
static dynalock_posix_aws aws;
static dynalock_provider provider;
static char memory[16384];
static dynalock_client client;
static dynalock_lock lock;

/* ---- one device ---- */

static const char *path_of(const char *name)
{
    static char path[2][256];
    static unsigned turn;

    turn = !turn;
    (void)snprintf(
        path[turn], sizeof path[turn], "%s/%s", harness("PKI"), name);
    return path[turn];
}

static void begin(const dynalock_source *source, void *context,
    const char *endpoint, const dynalock_tls_profile *profile)
{
    dynalock_config config;
    dynalock_lock_options options;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    memset(&anchors, 0, sizeof anchors);
    dynalock_posix_platform(&port, &platform);
    assert_ok(dynalock_posix_anchors(&anchors, harness("CA")));
    dynalock_tls_init(&tls, profile, anchors.list, anchors.count);
    assert_ok(dynalock_provider_init(
        &provider, source, context, memory, sizeof memory));
    config.platform = &platform;
    config.credentials = &provider.credentials;
    config.tls = strncmp(endpoint, "https", 5) == 0 ? &tls : NULL;
    config.endpoint = endpoint;
    config.region = "us-east-1";
    config.table = "locks";
    config.lease_ms = 4000;
    options.key = "sources";
    assert_ok(dynalock_client_init(&client, &config));
    assert_ok(dynalock_set_provider(&client, &provider));
    assert_ok(dynalock_lock_init(&lock, &options));
}

static void begin_iot(
    const char *device, const char *alias, const dynalock_tls_profile *profile)
{
    char chain[64], key[64];

    (void)snprintf(chain, sizeof chain, "%s-chain.pem", device);
    (void)snprintf(key, sizeof key, "%s.key", device);
    assert_ok(
        dynalock_posix_load_identity(&identity, path_of(chain), path_of(key)));
    memset(&iot, 0, sizeof iot);
    iot.identity = &identity.identity;
    iot.host = "localhost";
    iot.port = (uint16_t)atoi(harness("IOT"));
    iot.role_alias = alias;
    iot.thing = device;
    begin(dynalock_source_iot(), &iot, harness("HTTPS"), profile);
}

static dynalock_outcome acquire(void)
{
    return dynalock_acquire(&client, &lock, 0);
}

static void end(void)
{
    assert_ok(dynalock_client_close(&client, 5000));
}

/* A counter of the servers'. */
static long count(const char *name)
{
    char answer[8192];
    size_t size = 0;
    ssize_t n;
    int fd = dial((uint16_t)atoi(harness("HOSTS")));
    static const char request[] =
        "GET /counts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const char *at;

    assert_int_equal(
        write(fd, request, sizeof request - 1), sizeof request - 1);
    while ((n = read(fd, answer + size, sizeof answer - 1 - size)) > 0)
        size += (size_t)n;
    (void)close(fd);
    answer[size] = '\0';
    at = strstr(answer, name);
    assert_non_null(at);
    return strtol(at + strlen(name) + 2, NULL, 10);
}

static void assert_works(void)
{
    assert_ok(acquire());
    assert_ok(dynalock_renew(&client, &lock));
    assert_ok(dynalock_release(&client, &lock));
    end();
}

/* ---- AWS IoT ---- */

static void test_iot_with_ec(void **state)
{
    (void)state;
    begin_iot("device", "lock-role", dynalock_tls_small());
    assert_ptr_equal(identity.identity.ec_key, &identity.ec_key);
    assert_works();
}

static void test_iot_with_rsa(void **state)
{
    (void)state;
    begin_iot("devicersa", "lock-role", dynalock_tls_wide());
    assert_ptr_equal(identity.identity.rsa_key, &identity.rsa_key);
    assert_works();
}

static void test_iot_refuses_strangers(void **state)
{
    long before = count("fetches");
    dynalock_outcome rc;

    (void)state;
    begin_iot("selfsigned", "lock-role", dynalock_tls_small());
    rc = acquire();
    assert_in_range(-rc, -DYNALOCK_TLS_NO_HANDSHAKE, -DYNALOCK_TLS_FAILED);
    assert_string_equal(client.detail.type, "AWS IoT");
    assert_int_equal(count("fetches"), before);
    end();
}

/* An IoT host whose certificate has another name gets nothing of us. */
static void test_iot_is_checked_too(void **state)
{
    (void)state;
    begin_iot("device", "lock-role", dynalock_tls_small());
    iot.host = "127.0.0.1";
    assert_outcome(acquire(), DYNALOCK_TLS_NAME);
    end();
}

static void test_iot_answers(void **state)
{
    static const struct {
        const char *alias;
        dynalock_outcome outcome;
    } cases[] = {
        { "denied", DYNALOCK_DENIED },
        { "throttled", DYNALOCK_THROTTLED },
        { "failing", DYNALOCK_SERVICE_FAILED },
        { "garbage", DYNALOCK_BAD_ANSWER },
        { "expired", DYNALOCK_CREDENTIALS_EXPIRED },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        begin_iot("device", cases[i].alias, dynalock_tls_small());
        assert_outcome(acquire(), cases[i].outcome);
        assert_string_equal(client.detail.type, "AWS IoT");
        /* and then it is well again */
        iot.role_alias = "lock-role";
        assert_works();
    }
}

/* Keys of three seconds, a lease of four: over many refreshes no heartbeat is
   late, and both hosts resume their sessions. */
static void test_iot_refreshes(void **state)
{
    long before = count("fetches"), resumed = count("resumed");
    uint64_t start;
    uint32_t left, least = 4000;
    unsigned char session[32];

    (void)state;
    begin_iot("device", "short", dynalock_tls_small());
    assert_ok(acquire());
    start = dl_posix_monotonic_ms(NULL);
    memcpy(session, tls.session.session_id, sizeof session);
    while (dl_posix_monotonic_ms(NULL) - start < 12000) {
        unsigned interest;
        uint32_t ms;

        (void)dynalock_poll(&client);
        dynalock_wants(&client, &interest, &ms);
        (void)platform.wait(platform.context, interest, ms);
        left = dynalock_remaining_ms(&client, &lock);
        assert_true(left > 0);
        if (left < least) least = left;
    }
    assert_at_least(least, 1500);
    assert_at_least(count("fetches") - before, 4);
    assert_at_least(count("resumed") - resumed, 3);
    assert_memory_equal(session, tls.session.session_id, sizeof session);
    end();
}

/* A server that takes long costs no lock. */
static void test_iot_silence_while_held(void **state)
{
    uint64_t start;

    (void)state;
    begin_iot("device", "lock-role", dynalock_tls_small());
    assert_ok(acquire());
    iot.role_alias = "silent";
    provider.renew = 0; /* as if they were about to expire */
    start = dl_posix_monotonic_ms(NULL);
    while (dl_posix_monotonic_ms(NULL) - start < 6000) {
        (void)dynalock_poll(&client);
        (void)platform.wait(platform.context, 0, 10);
        assert_at_least(dynalock_remaining_ms(&client, &lock), 500);
    }
    assert_true(provider.renew > start);
    end();
}

static int has(const void *where, size_t size, const char *text)
{
    const char *at = (const char *)where;
    size_t i, n = strlen(text);

    for (i = 0; i + n <= size; i++)
        if (memcmp(at + i, text, n) == 0) return 1;
    return 0;
}

/* TLS has seen the secret in plain text: it is in the provider's memory, once,
   and nowhere after the end. */
static void test_secrets_are_wiped(void **state)
{
    (void)state;
    begin_iot("device", "lock-role", dynalock_tls_small());
    assert_ok(acquire());
    assert_true(has(memory, sizeof memory, "secretOfSTS"));
    assert_false(has(&tls, sizeof tls, "secretOfSTS"));
    assert_false(has(&client, sizeof client, "secretOfSTS"));
    end();
    assert_false(has(memory, sizeof memory, "secretOfSTS"));
    assert_false(has(memory, sizeof memory, "A1+/A1+/"));
    assert_false(has(&tls, sizeof tls, "A1+/A1+/"));
}

/* ---- identities ---- */

static void test_identities(void **state)
{
    (void)state;
    assert_outcome(dynalock_posix_load_identity(
                       &identity, "/nonexistent", path_of("device.key")),
        DYNALOCK_NO_FILE);
    assert_outcome(dynalock_posix_load_identity(
                       &identity, path_of("device.pem"), "/nonexistent"),
        DYNALOCK_NO_FILE);
    assert_outcome(dynalock_posix_load_identity(&identity,
                       path_of("device.key"), path_of("device.key")),
        DYNALOCK_BAD_FILE);
    assert_outcome(dynalock_posix_load_identity(&identity,
                       path_of("device.pem"), path_of("device.pem")),
        DYNALOCK_BAD_FILE);
    assert_outcome(
        dynalock_posix_load_identity(NULL, "", ""), DYNALOCK_BAD_ARGUMENT);
}

/* ---- the chain, over real sockets ---- */

static void set(const char *name, const char *format, const char *value)
{
    char text[256];

    (void)snprintf(text, sizeof text, format, value);
    assert_int_equal(setenv(name, text, 1), 0);
}

static void test_ec2(void **state)
{
    (void)state;
    memset(&aws, 0, sizeof aws);
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:%s",
        harness("HOSTS"));
    begin(
        dynalock_source_posix(), &aws, harness("HTTP"), dynalock_tls_small());
    assert_works();
    /* and from there to a host over TLS */
    begin(
        dynalock_source_posix(), &aws, harness("HTTPS"), dynalock_tls_small());
    assert_works();
}

static void write_token(const char *path, long number)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    (void)fprintf(file, "token-%ld\n", number);
    assert_int_equal(fclose(file), 0);
}

static void test_container(void **state)
{
    char path[] = "/tmp/dynalock-token-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    memset(&aws, 0, sizeof aws);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:%s/keys",
        harness("HOSTS"));
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "%s", path);
    begin(
        dynalock_source_posix(), &aws, harness("HTTPS"), dynalock_tls_small());
    write_token(path, count("fetches"));
    assert_ok(acquire());
    /* the next fetch needs the file's new text */
    assert_ok(dynalock_release(&client, &lock));
    provider.until = 0;
    assert_outcome(acquire(), DYNALOCK_CREDENTIALS_REFUSED);
    assert_non_null(strstr(aws.report, "container: another token, please"));
    write_token(path, count("fetches"));
    assert_ok(acquire());
    assert_ok(dynalock_release(&client, &lock));
    end();
    (void)unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    (void)unlink(path);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_iot_with_ec),
        cmocka_unit_test(test_iot_with_rsa),
        cmocka_unit_test(test_iot_refuses_strangers),
        cmocka_unit_test(test_iot_is_checked_too),
        cmocka_unit_test(test_iot_answers),
        cmocka_unit_test(test_iot_refreshes),
        cmocka_unit_test(test_iot_silence_while_held),
        cmocka_unit_test(test_secrets_are_wiped),
        cmocka_unit_test(test_ec2),
        cmocka_unit_test(test_container),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
