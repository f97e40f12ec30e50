/* No call does anything with an argument that is missing, or with a client
   that was not made: BAD_ARGUMENT, or nothing to tell. */
#include "world.h"

static world w;
static dynalock_client unmade, *client;
static dynalock_lock lock;
static dynalock_name name = { "k", NULL, NULL };
static dynalock_blob blob;
static dynalock_record record;
static dynalock_watch watch;
static dynalock_listing listing;
static dynalock_request request;
static dynalock_table table;
static dynalock_group group;
static dynalock_semaphore semaphore;
static dynalock_provider provider;
static dynalock_credentials credentials;
static char memory[2048];

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    world_ready(&w, &lock);
    client = &w.client;
    return 0;
}

/* The same for each client that is none. */
static void test_a_client_that_is_none(void **state)
{
    dynalock_client *const none[] = { NULL, &unmade };
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        dynalock_client *at = none[i];
        unsigned interest;
        uint32_t ms;

#define REFUSES(call) assert_int_equal(call, DYNALOCK_BAD_ARGUMENT)
        REFUSES(dynalock_client_close(at, 0));
        REFUSES(dynalock_set_credentials(at, &w.credentials));
        REFUSES(dynalock_set_clock(at, 1));
        REFUSES(dynalock_set_provider(at, &provider));
        REFUSES(dynalock_acquire(at, &lock, 0));
        REFUSES(dynalock_renew(at, &lock));
        REFUSES(dynalock_release(at, &lock));
        REFUSES(dynalock_release_all(at, 0));
        REFUSES(dynalock_release_restored(at, &lock));
        REFUSES(dynalock_read(at, &name, &record));
        REFUSES(dynalock_tidy(at, &name, &record));
        REFUSES(dynalock_break(at, &name, "rvn", &record));
        REFUSES(dynalock_start_watch(at, &name, &watch));
        REFUSES(dynalock_list(at, NULL, &listing));
        REFUSES(dynalock_call(at, &request));
        REFUSES(dynalock_table_check(at, NULL, &table));
        REFUSES(dynalock_table_create(at, NULL, &table, 0));
        REFUSES(dynalock_check(at, &lock));
        REFUSES(dynalock_save(at, &lock, &blob));
        REFUSES(dynalock_restore(at, &lock, &blob));
        REFUSES(dynalock_set_lease(at, &lock, 1));
        REFUSES(dynalock_group_acquire(at, &group, 0));
        REFUSES(dynalock_group_renew(at, &group));
        REFUSES(dynalock_group_release(at, &group));
        REFUSES(dynalock_semaphore_acquire(at, &semaphore, 0));
        REFUSES(dynalock_poll(at));
        assert_int_equal(dynalock_remaining_ms(at, &lock), 0);
        assert_int_equal(dynalock_group_remaining_ms(at, &group), 0);
        dynalock_wants(at, &interest, &ms);
        assert_int_equal(interest, 0);
    }
    assert_int_equal(w.hook_calls, 1); /* the owner's name was drawn */
}

static void test_something_else_that_is_missing(void **state)
{
    (void)state;
    REFUSES(dynalock_acquire(client, NULL, 0));
    REFUSES(dynalock_renew(client, NULL));
    REFUSES(dynalock_release(client, NULL));
    REFUSES(dynalock_release_restored(client, NULL));
    REFUSES(dynalock_check(client, NULL));
    REFUSES(dynalock_save(client, NULL, &blob));
    REFUSES(dynalock_save(client, &lock, NULL));
    REFUSES(dynalock_restore(client, NULL, &blob));
    REFUSES(dynalock_restore(client, &lock, NULL));
    REFUSES(dynalock_set_clock(client, 0));
    REFUSES(dynalock_set_clock(client, -1));
    REFUSES(dynalock_set_lease(client, NULL, 1));
    REFUSES(dynalock_set_data(NULL, "d", 1));
    REFUSES(dynalock_set_data(&lock, NULL, 1));
    REFUSES(dynalock_keep_data(NULL));
    REFUSES(dynalock_set_alarm(NULL, NULL));
    REFUSES(dynalock_read(client, NULL, &record));
    REFUSES(dynalock_read(client, &name, NULL));
    REFUSES(dynalock_tidy(client, NULL, &record));
    REFUSES(dynalock_tidy(client, &name, NULL));
    REFUSES(dynalock_break(client, NULL, "rvn", &record));
    REFUSES(dynalock_break(client, &name, NULL, &record));
    REFUSES(dynalock_break(client, &name, "rvn", NULL));
    REFUSES(dynalock_start_watch(client, NULL, &watch));
    REFUSES(dynalock_start_watch(client, &name, NULL));
    REFUSES(dynalock_list(client, NULL, NULL));
    REFUSES(dynalock_start_list(client, NULL, NULL));
    REFUSES(dynalock_call(client, NULL));
    REFUSES(dynalock_table_check(client, NULL, NULL));
    REFUSES(dynalock_table_create(client, NULL, NULL, 0));
    REFUSES(dynalock_group_acquire(client, NULL, 0));
    REFUSES(dynalock_semaphore_acquire(client, NULL, 0));
    REFUSES(dynalock_set_provider(client, NULL));
    REFUSES(dynalock_provide(NULL, &provider, &credentials, 0));
    REFUSES(dynalock_provide(client, NULL, &credentials, 0));
    REFUSES(dynalock_provide(client, &provider, NULL, 0));
    REFUSES(dynalock_client_init(NULL, &w.config));
    REFUSES(dynalock_client_init(&unmade, NULL));
    REFUSES(dynalock_lock_init(NULL, NULL));
    assert_int_equal(dynalock_remaining_ms(client, NULL), 0);
    assert_true(dynalock_fence(NULL) == 0);
    assert_int_equal(
        dynalock_set_credentials(client, NULL), DYNALOCK_CREDENTIALS_MISSING);
    assert_int_equal(w.requests, 0);
}

/* A provider that was never given a source is none. */
static void test_a_provider_needs_source_and_memory(void **state)
{
    dynalock_source source;

    (void)state;
    memset(&source, 0, sizeof source);
    memset(&provider, 0, sizeof provider);
    w.client.config.credentials = &provider.credentials;
    REFUSES(dynalock_set_provider(client, &provider));
    w.client.config.credentials = &w.credentials;
    REFUSES(dynalock_provider_init(NULL, source, NULL, memory, 1024));
    REFUSES(dynalock_provider_init(&provider, source, NULL, memory, 1024));
    source = dynalock_source_ec2();
    REFUSES(dynalock_provider_init(&provider, source, NULL, NULL, 1024));
    source.name = NULL;
    REFUSES(dynalock_provider_init(&provider, source, NULL, memory, 1024));
    source.name = "named";
    assert_int_equal(
        dynalock_provider_init(&provider, source, NULL, memory, 1023),
        DYNALOCK_BAD_BUFFER);
    assert_int_equal(
        dynalock_provider_init(&provider, source, NULL, memory, 131073),
        DYNALOCK_BAD_BUFFER);
    assert_int_equal(
        dynalock_provider_init(&provider, source, NULL, memory, 1024),
        DYNALOCK_OK);
    REFUSES(dynalock_set_provider(client, &provider)); /* not the config's */
}

/* ---- the configuration ---- */

static void check_config(dynalock_outcome expected)
{
    assert_int_equal(dynalock_client_init(&unmade, &w.config), expected);
    memset(&unmade, 0, sizeof unmade);
}

static char too_long[512];

static void test_names_of_keys_are_names(void **state)
{
    (void)state;
    memset(too_long, 'k', 256);
    w.config.key_name = too_long;
    check_config(DYNALOCK_BAD_KEY);
    w.config.key_name = "";
    check_config(DYNALOCK_BAD_KEY);
    too_long[255] = '\0';
    w.config.key_name = too_long;
    check_config(DYNALOCK_OK);
    w.config.sort_key_name = "";
    check_config(DYNALOCK_BAD_KEY);
    w.config.sort_key_name = "s";
    check_config(DYNALOCK_OK);
    w.config.ttl_attribute = "";
    check_config(DYNALOCK_BAD_KEY);
    w.config.ttl_attribute = "expires";
    check_config(DYNALOCK_OK);
}

/* An endpoint needs no region's name; AWS' own hosts need one of AWS'. */
static void test_regions_are_names_of_aws(void **state)
{
    static const struct {
        const char *region;
        dynalock_outcome expected;
    } regions[] = {
        { "eu-west-1", DYNALOCK_OK },
        { "us-gov-east-1", DYNALOCK_OK },
        { "eu-west-x", DYNALOCK_BAD_REGION },
        { "eu-1", DYNALOCK_BAD_REGION },
        { "", DYNALOCK_BAD_REGION },
        { NULL, DYNALOCK_BAD_REGION },
    };
    size_t i;

    (void)state;
    w.config.endpoint = NULL;
    w.config.secure_transport = 1;
    for (i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        w.config.region = regions[i].region;
        check_config(regions[i].expected);
    }
}

static void check_signed_host(const char *endpoint, uint16_t port)
{
    w.config.endpoint = endpoint;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    assert_int_equal(w.client.signing.port, port);
}

/* The port is in the header Host, and signed, unless it is the usual one. */
static void test_the_usual_port_is_not_signed(void **state)
{
    (void)state;
    check_signed_host("http://table.test", 0);
    check_signed_host("http://table.test:80", 0);
    check_signed_host("http://table.test:80/", 0);
    check_signed_host("http://table.test:443", 443);
    w.config.secure_transport = 1;
    check_signed_host("https://table.test:443", 0);
    check_signed_host("https://table.test:80", 80);
}

static void test_a_margin_is_half_the_lease_at_most(void **state)
{
    (void)state;
    w.config.margin_per_mille = 500;
    check_config(DYNALOCK_OK);
    w.config.margin_per_mille = 501;
    check_config(DYNALOCK_BAD_LEASE);
}

/* An hour: what is deleted earlier could be held still. */
static void test_a_ttl_is_an_hour_at_least(void **state)
{
    (void)state;
    w.config.ttl_s = 3599;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    assert_int_equal(w.client.config.ttl_s, 3600);
    w.config.ttl_s = 3601;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    assert_int_equal(w.client.config.ttl_s, 3601);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_client_that_is_none, begin),
        cmocka_unit_test_setup(test_something_else_that_is_missing, begin),
        cmocka_unit_test_setup(test_a_provider_needs_source_and_memory, begin),
        cmocka_unit_test_setup(test_names_of_keys_are_names, begin),
        cmocka_unit_test_setup(test_regions_are_names_of_aws, begin),
        cmocka_unit_test_setup(test_the_usual_port_is_not_signed, begin),
        cmocka_unit_test_setup(test_a_margin_is_half_the_lease_at_most, begin),
        cmocka_unit_test_setup(test_a_ttl_is_an_hour_at_least, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
