/*
Credentials from real servers (tests/sources.py starts them): AWS IoT's
credential provider over mutual TLS, EC2's metadata, a container's endpoint.
Behind them is DynamoDB's proxy, which checks every signature and token: a lock
that is held proves the keys.
*/
#include "device.h"

static dynalock_posix_aws aws;

static void begin_iot(
    const char *device, const char *alias, dynalock_tls_profile *profile)
{
    prepare_iot(device, alias);
    begin(dynalock_source_iot(), &iot, harness("HTTPS"), profile);
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
        { "absent", DYNALOCK_CREDENTIALS_MISSING },
        { "throttled", DYNALOCK_THROTTLED },
        { "failing", DYNALOCK_SERVICE_FAILED },
        { "garbage", DYNALOCK_BAD_ANSWER },
        { "cut", DYNALOCK_BAD_ANSWER },
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

/* A secret of every printable character and a token of five kilobytes sign what
   another's signer agrees with. */
static void test_strange_keys(void **state)
{
    (void)state;
    begin_iot("device", "strange", dynalock_tls_small());
    assert_ok(acquire());
    assert_int_equal(strlen(provider.credentials.secret), 95);
    assert_int_equal(strlen(provider.credentials.token), 5000);
    assert_ok(dynalock_renew(&client, &lock));
    assert_ok(dynalock_release(&client, &lock));
    end();
}

static int64_t clock_off_ms;

static int64_t wrong_unix_ms(void *context)
{
    return dl_posix_unix_ms(context) + clock_off_ms;
}

/* Years off, as far as the certificates allow: how long keys live is told by
   the source's own Date, and the signature is mended by the service's. */
static void test_clocks_years_off(void **state)
{
    static const int years[] = { -3, 5 };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(years); i++) {
        clock_off_ms = years[i] * INT64_C(31536000000);
        begin_iot("device", "lock-role", dynalock_tls_small());
        platform.unix_ms = wrong_unix_ms;
        assert_ok(acquire());
        assert_in_range(provider.until, dl_posix_monotonic_ms(&port) + 3500000,
            dl_posix_monotonic_ms(&port) + 3600000);
        assert_ok(dynalock_release(&client, &lock));
        end();
    }
}

/* Keys of three seconds, a lease of four: over many refreshes no heartbeat is
   late, and both hosts resume their sessions. */
static void test_iot_refreshes(void **state)
{
    long before = count("fetches"), resumed = count("resumed");
    unsigned char session[32];

    (void)state;
    begin_iot("device", "short", dynalock_tls_small());
    assert_ok(acquire());
    memcpy(session, tls.session.session_id, sizeof session);
    assert_at_least(hold_for(12000), 1500);
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
    start = dl_posix_monotonic_ms(&port);
    while (dl_posix_monotonic_ms(&port) - start < 6000) {
        (void)dynalock_poll(&client);
        (void)platform.wait(platform.context, 0, 10);
        assert_at_least(dynalock_remaining_ms(&client, &lock), 500);
    }
    assert_true(provider.renew > start);
    end();
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

static char token_path[64];

static void begin_container(const char *uri, const char *hosts)
{
    int fd;

    (void)snprintf(
        token_path, sizeof token_path, "/tmp/dynalock-token-XXXXXX");
    fd = mkstemp(token_path);
    assert_true(fd >= 0);
    (void)close(fd);
    memset(&aws, 0, sizeof aws);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri, harness(hosts));
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "%s", token_path);
    begin(
        dynalock_source_posix(), &aws, harness("HTTPS"), dynalock_tls_small());
}

static void end_container(void)
{
    end();
    (void)unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    (void)unlink(token_path);
}

static void acquire_with_a_new_token(void)
{
    write_token(token_path, count("fetches"));
    assert_ok(acquire());
    assert_ok(dynalock_release(&client, &lock));
}

static void test_container(void **state)
{
    (void)state;
    begin_container("http://127.0.0.1:%s/keys", "HOSTS");
    acquire_with_a_new_token();
    /* the next fetch needs the file's new text */
    provider.until = 0;
    assert_outcome(acquire(), DYNALOCK_CREDENTIALS_REFUSED);
    assert_non_null(strstr(aws.report, "container: another token, please"));
    acquire_with_a_new_token();
    end_container();
}

/* One TLS object goes to and fro: each host resumes its own session. */
static void test_container_over_tls(void **state)
{
    unsigned char session[32];
    long before;

    (void)state;
    begin_container("https://localhost:%s/keys", "HOSTS_TLS");
    acquire_with_a_new_token();
    memcpy(session, tls.session.session_id, sizeof session);
    before = count("resumed");
    provider.until = 0;
    acquire_with_a_new_token();
    assert_int_equal(count("resumed") - before, 1);
    assert_memory_equal(session, tls.session.session_id, sizeof session);
    assert_false(has(&tls, sizeof tls, "secretOfSTS"));
    end_container();
}

/* A host with another name than its certificate's is told no token. */
static void test_container_over_tls_is_checked(void **state)
{
    long before = count("fetches");

    (void)state;
    begin_container("https://127.0.0.1:%s/keys", "HOSTS_TLS");
    write_token(token_path, before);
    assert_outcome(acquire(), DYNALOCK_TLS_NAME);
    assert_int_equal(count("fetches"), before);
    end_container();
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
        cmocka_unit_test(test_strange_keys),
        cmocka_unit_test(test_clocks_years_off),
        cmocka_unit_test(test_iot_refreshes),
        cmocka_unit_test(test_iot_silence_while_held),
        cmocka_unit_test(test_secrets_are_wiped),
        cmocka_unit_test(test_ec2),
        cmocka_unit_test(test_container),
        cmocka_unit_test(test_container_over_tls),
        cmocka_unit_test(test_container_over_tls_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
