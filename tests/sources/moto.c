/*
Keys that a real issuer has issued, at a service that checks them: moto's IAM
and STS, and its DynamoDB, which knows each signature, session and right
(tests/sources.py --server moto). Nothing here is the proxy's doing.
*/
#include "device.h"

typedef struct keys {
    char text[1024];
    dynalock_credentials credentials;
} keys;

/* What was issued: "ID SECRET[ TOKEN]". */
static const dynalock_credentials *read_keys(keys *k, const char *name)
{
    char *next = NULL;

    (void)snprintf(k->text, sizeof k->text, "%s", harness(name));
    k->credentials.key_id = strtok_r(k->text, " ", &next);
    k->credentials.secret = strtok_r(NULL, " ", &next);
    k->credentials.token = strtok_r(NULL, " ", &next);
    assert_non_null(k->credentials.secret);
    return &k->credentials;
}

static keys own;

/* As one whom moto has issued keys for. */
static void begin_as(const char *name)
{
    begin_with(read_keys(&own, name), harness("AUTH"), dynalock_tls_small());
}

static void begin_iot(const char *device, const char *alias)
{
    prepare_iot(device, alias);
    begin(dynalock_source_iot(), &iot, harness("AUTH"), dynalock_tls_small());
}

/* The service's own type of error, and words. */
static void assert_detail(const char *type, const char *words)
{
    assert_string_equal(client.detail.type, type);
    assert_has(client.detail.message, words);
    assert_int_equal(client.detail.http_status, 400);
}

static dynalock_outcome look_at(const char *key)
{
    dynalock_name name;

    memset(&name, 0, sizeof name);
    name.key = key;
    return dynalock_read(&client, &name, &record);
}

/* ---- keys that are right ---- */

static void test_keys_of_a_user(void **state)
{
    (void)state;
    begin_as("USER");
    assert_null(own.credentials.token);
    assert_works();
}

static void test_keys_of_a_role(void **state)
{
    (void)state;
    begin_as("ROLE");
    assert_non_null(own.credentials.token);
    assert_works();
}

/* Its heartbeats are signed and allowed as well. */
static void test_a_lock_is_kept(void **state)
{
    (void)state;
    begin_as("ROLE");
    assert_ok(acquire());
    assert_at_least(hold_for(3500), 1500);
    assert_ok(dynalock_release(&client, &lock));
    end();
}

/* User and role want one lock; each knows the other's by owner. */
static void test_two_identities_contend(void **state)
{
    static dynalock_client first;
    static dynalock_posix first_port;
    static dynalock_platform first_platform;
    static dynalock_tls first_tls;
    static dynalock_lock first_lock;
    dynalock_config config;
    dynalock_lock_options options;
    keys user;

    (void)state;
    begin_as("ROLE");
    memset(&options, 0, sizeof options);
    options.key = "sources";
    dynalock_posix_platform(&first_port, &first_platform);
    dynalock_tls_init(
        &first_tls, dynalock_tls_small(), anchors.list, anchors.count);
    config = client.config;
    config.platform = &first_platform;
    config.credentials = read_keys(&user, "USER");
    config.tls = &first_tls;
    config.owner = "the user";
    assert_ok(dynalock_client_init(&first, &config));
    assert_ok(dynalock_lock_init(&first_lock, &options));
    assert_ok(dynalock_acquire(&first, &first_lock, 0));
    assert_outcome(acquire(), DYNALOCK_BUSY);
    assert_string_equal(client.detail.holder, "the user");
    assert_ok(dynalock_release(&first, &first_lock));
    assert_ok(acquire());
    assert_at_least(dynalock_fence(&lock), dynalock_fence(&first_lock) + 1);
    assert_ok(dynalock_client_close(&first, 5000));
    end();
}

/* ---- keys that are wrong ---- */

/* Refused, in these words, and nothing is on the table. */
static void assert_refused(const char *type, const char *words)
{
    assert_outcome(acquire(), DYNALOCK_CREDENTIALS_REFUSED);
    assert_detail(type, words);
    assert_int_equal(dynalock_remaining_ms(&client, &lock), 0);
    end();
    begin_as("READER");
    assert_ok(look_at("sources"));
    assert_int_not_equal(record.status, DYNALOCK_LOCKED);
    end();
}

static void test_a_wrong_secret(void **state)
{
    (void)state;
    begin_as("USER");
    own.credentials.secret = "wrong";
    assert_refused("InvalidSignatureException", "does not match");
}

static void test_unknown_keys(void **state)
{
    (void)state;
    begin_as("USER");
    own.credentials.key_id = "AKIANOBODYKNOWS00000";
    assert_refused("UnrecognizedClientException", "is invalid");
    begin_as("GONE"); /* once issued, deleted since */
    assert_refused("UnrecognizedClientException", "is invalid");
}

/* None, another session's, one too many. */
static void test_wrong_tokens(void **state)
{
    keys other;

    (void)state;
    (void)read_keys(&other, "OTHER");
    begin_as("ROLE");
    own.credentials.token = NULL;
    assert_refused("UnrecognizedClientException", "is invalid");
    begin_as("ROLE");
    own.credentials.token = other.credentials.token;
    assert_refused("UnrecognizedClientException", "is invalid");
    begin_as("USER");
    own.credentials.token = other.credentials.token;
    assert_refused("UnrecognizedClientException", "is invalid");
}

/* ---- rights that are missing ---- */

static void test_no_rights(void **state)
{
    (void)state;
    begin_as("NOBODY");
    assert_outcome(acquire(), DYNALOCK_DENIED);
    assert_detail("AccessDeniedException", ":user/nobody is not authorized");
    assert_has(client.detail.message, "dynamodb:UpdateItem");
    assert_outcome(look_at("sources"), DYNALOCK_DENIED);
    assert_has(client.detail.message, "dynamodb:GetItem");
    end();
}

static void test_rights_to_read(void **state)
{
    (void)state;
    begin_as("READER");
    assert_ok(look_at("sources"));
    assert_outcome(acquire(), DYNALOCK_DENIED);
    assert_has(client.detail.message, "dynamodb:UpdateItem");
    end();
}

/* README gives a device no more than it needs. */
static void test_rights_of_a_device(void **state)
{
    dynalock_name name;

    (void)state;
    memset(&name, 0, sizeof name);
    name.key = "sources";
    begin_as("USER");
    assert_outcome(dynalock_tidy(&client, &name, &record), DYNALOCK_DENIED);
    assert_has(client.detail.message, "dynamodb:DeleteItem");
    end();
}

/* Who loses the right to renew keeps what was granted, and no more. */
static void test_rights_withdrawn_while_held(void **state)
{
    uint32_t left;

    (void)state;
    begin_as("ROLE");
    assert_ok(acquire());
    (void)tell("/deny");
    left = dynalock_remaining_ms(&client, &lock);
    assert_outcome(dynalock_renew(&client, &lock), DYNALOCK_DENIED);
    assert_has(client.detail.message, ":assumed-role/lock-role/device");
    assert_in_range(dynalock_remaining_ms(&client, &lock), 1, left);
    (void)tell("/allow");
    assert_ok(dynalock_renew(&client, &lock));
    assert_at_least(dynalock_remaining_ms(&client, &lock), 3000);
    assert_ok(dynalock_release(&client, &lock));
    end();
}

static void test_rights_withdrawn_for_good(void **state)
{
    (void)state;
    begin_as("ROLE");
    assert_ok(acquire());
    (void)tell("/deny");
    while (dynalock_check(&client, &lock) == DYNALOCK_OK) {
        (void)dynalock_poll(&client);
        (void)platform.wait(platform.context, 0, 20);
    }
    assert_outcome(dynalock_check(&client, &lock), DYNALOCK_LOST_EXPIRED);
    (void)tell("/allow");
    /* what it left on the table is not released: it waits as anybody does */
    assert_ok(dynalock_acquire(&client, &lock, PATIENCE_MS));
    assert_ok(dynalock_release(&client, &lock));
    end();
}

/* ---- from the issuer to the service ---- */

/* Mutual TLS to AWS IoT's endpoint, with either kind of key; a session of STS
   from there; a lock. */
static void test_iot_sessions(void **state)
{
    long before = count("fetches");

    (void)state;
    begin_iot("device", "lock-role");
    assert_works();
    begin_iot("devicersa", "lock-role");
    assert_works();
    assert_int_equal(count("fetches") - before, 2);
}

/* A new session every three seconds; the old ones are never mixed with it. */
static void test_sessions_change_while_held(void **state)
{
    long before = count("fetches");

    (void)state;
    begin_iot("device", "short");
    assert_ok(acquire());
    assert_at_least(hold_for(6000), 1500);
    assert_at_least(count("fetches") - before, 3);
    assert_ok(dynalock_release(&client, &lock));
    end();
}

/* A token that the service does not know: one fetch more, one request more. */
static void test_a_refusal_brings_one_refresh(void **state)
{
    long fetches = count("fetches"), requests = count("requests");

    (void)state;
    (void)tell("/mix");
    begin_iot("device", "lock-role");
    assert_ok(acquire());
    assert_int_equal(count("fetches") - fetches, 2);
    assert_int_equal(count("requests") - requests, 2);
    assert_ok(dynalock_release(&client, &lock));
    end();
}

static void test_a_refusal_again_ends_the_call(void **state)
{
    long fetches = count("fetches"), requests = count("requests");

    (void)state;
    begin_iot("device", "wrong");
    assert_outcome(acquire(), DYNALOCK_CREDENTIALS_REFUSED);
    assert_detail("UnrecognizedClientException", "is invalid");
    assert_int_equal(count("fetches") - fetches, 2);
    assert_int_equal(count("requests") - requests, 2);
    iot.role_alias = "lock-role"; /* mended there: the next call works */
    assert_works();
}

/* A container's endpoint has the role's session as well. */
static void test_ec2_sessions(void **state)
{
    static dynalock_ec2 ec2;

    (void)state;
    memset(&ec2, 0, sizeof ec2);
    ec2.host = "127.0.0.1";
    ec2.port = (uint16_t)atoi(harness("HOSTS"));
    begin(dynalock_source_ec2(), &ec2, harness("AUTH"), dynalock_tls_small());
    assert_works();
}

/* moto's own refusals are pages of XML: not the service's form, so that nothing
   is read into them, not even that nothing was written. */
static void test_a_refusal_in_another_form(void **state)
{
    (void)state;
    begin_with(read_keys(&own, "NOBODY"), harness("DIRECT"), NULL);
    assert_outcome(look_at("sources"), DYNALOCK_BAD_ANSWER);
    assert_int_equal(client.detail.http_status, 403);
    assert_outcome(acquire(), DYNALOCK_UNKNOWN);
    (void)dynalock_client_close(&client, 100);
    begin_with(read_keys(&own, "USER"), harness("DIRECT"), NULL);
    assert_works();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_a_user),
        cmocka_unit_test(test_keys_of_a_role),
        cmocka_unit_test(test_a_lock_is_kept),
        cmocka_unit_test(test_two_identities_contend),
        cmocka_unit_test(test_a_wrong_secret),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_wrong_tokens),
        cmocka_unit_test(test_no_rights),
        cmocka_unit_test(test_rights_to_read),
        cmocka_unit_test(test_rights_of_a_device),
        cmocka_unit_test(test_rights_withdrawn_while_held),
        cmocka_unit_test(test_rights_withdrawn_for_good),
        cmocka_unit_test(test_iot_sessions),
        cmocka_unit_test(test_sessions_change_while_held),
        cmocka_unit_test(test_a_refusal_brings_one_refresh),
        cmocka_unit_test(test_a_refusal_again_ends_the_call),
        cmocka_unit_test(test_ec2_sessions),
        cmocka_unit_test(test_a_refusal_in_another_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
