/* Data stored with the lock, and sealed data. (The whole of dynalock.h: sealing
   is BearSSL's.) */
#include "world.h"

static world w;
static dynalock_lock lock;

static const uint8_t key[32] = { 1, 2, 3 };
static const dynalock_name place = { "k", NULL, NULL };

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    world_ready(&w, &lock);
    return 0;
}

static void acquire(void)
{
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
}

static void set_data(const char *text)
{
    assert_int_equal(
        dynalock_set_data(&lock, text, (uint32_t)strlen(text)), DYNALOCK_OK);
}

/* What the last write said of the data: set, removed, or nothing. */
static const char *said(void)
{
    int set = world_find(&w, "#d=:d") != NULL;
    int removed = world_find(&w, "REMOVE isReleased,#d") != NULL ||
                  world_find(&w, "REMOVE #d") != NULL;
    int named = world_find(&w, "\"#d\":\"data\"") != NULL;

    assert_int_equal(set + removed, named);
    assert_int_equal(set, world_find(&w, "\":d\":{\"B\":") != NULL);
    return set ? "set" : removed ? "removed" : "kept";
}

static void test_acquire_removes_what_others_left(void **state)
{
    (void)state;
    acquire();
    assert_string_equal(said(), "removed");
}

static void test_acquire_sets_it_every_time(void **state)
{
    (void)state;
    set_data("hello");
    acquire();
    assert_string_equal(said(), "set");
    assert_non_null(world_find(&w, "\":d\":{\"B\":\"aGVsbG8=\"}"));
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(said(), "kept");
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(said(), "kept");
    acquire();
    assert_string_equal(said(), "set");
}

static void test_acquire_keeps_it_when_asked(void **state)
{
    (void)state;
    assert_int_equal(dynalock_keep_data(&lock), DYNALOCK_OK);
    acquire();
    assert_string_equal(said(), "kept");
}

static void test_data_given_while_held_goes_with_the_next_renewal(void **state)
{
    (void)state;
    acquire();
    set_data("news");
    world_run(&w, 10);
    assert_int_equal(w.requests, 2);
    assert_non_null(world_find(&w, "SET recordVersionNumber"));
    assert_string_equal(said(), "set");
    world_run(&w, 10000);
    assert_true(w.requests > 3);
    assert_string_equal(said(), "kept");
}

static void test_data_that_was_not_stored_is_sent_again(void **state)
{
    (void)state;
    acquire();
    set_data("news");
    w.faults[0] = FAULT_THROTTLE;
    world_run(&w, 1000);
    assert_int_equal(w.requests, 3);
    assert_string_equal(said(), "set");
}

static void test_data_is_removed_while_held(void **state)
{
    (void)state;
    set_data("hello");
    acquire();
    assert_int_equal(dynalock_set_data(&lock, NULL, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(said(), "removed");
}

static void test_a_release_takes_data_along(void **state)
{
    (void)state;
    acquire();
    set_data("last words");
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(said(), "set");
    acquire();
    assert_int_equal(dynalock_set_data(&lock, NULL, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(said(), "removed");
}

/* With a TTL that is set or removed beside it, every list has its commas. */
static void test_data_and_ttl_share_the_lists(void **state)
{
    static const char *const removed[2][2] = {
        { "REMOVE #d\"", "REMOVE #d,#t\"" },
        { "REMOVE isReleased,#d\"", "REMOVE isReleased,#d,#t\"" },
    };
    int no_ttl;

    (void)state;
    for (no_ttl = 0; no_ttl < 2; no_ttl++) {
        world_begin(&w);
        w.config.ttl_attribute = "expires";
        w.config.no_ttl = (uint8_t)no_ttl;
        world_ready(&w, &lock);
        acquire();
        assert_non_null(world_find(&w, removed[1][no_ttl]));
        assert_non_null(world_find(
            &w, "{\"#k\":\"key\",\"#d\":\"data\",\"#t\":\"expires\"}"));
        assert_int_equal(dynalock_set_data(&lock, NULL, 0), DYNALOCK_OK);
        assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
        assert_non_null(world_find(&w, removed[0][no_ttl]));
        assert_non_null(
            world_find(&w, "{\"#d\":\"data\",\"#t\":\"expires\"}"));
        assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
        assert_non_null(world_find(&w, "{\"#t\":\"expires\"}"));
        assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
        assert_int_equal(dynalock_keep_data(&lock), DYNALOCK_OK);
        acquire();
        assert_non_null(world_find(&w, "{\"#k\":\"key\",\"#t\":\"expires\"}"));
    }
}

static void test_data_does_not_change_under_way(void **state)
{
    (void)state;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    assert_int_equal(dynalock_set_data(&lock, "x", 1), DYNALOCK_IN_USE);
    assert_int_equal(dynalock_keep_data(&lock), DYNALOCK_IN_USE);
    world_run(&w, 10);
    w.latency = 100;
    assert_int_equal(dynalock_start_renew(&w.client, &lock), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    assert_int_equal(dynalock_set_data(&lock, "x", 1), DYNALOCK_IN_USE);
}

static void test_data_has_a_limit(void **state)
{
    (void)state;
    assert_int_equal(dynalock_set_data(&lock, "x", DYNALOCK_DATA_MOST + 1),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_set_data(&lock, NULL, 1), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_keep_data(NULL), DYNALOCK_BAD_ARGUMENT);
}

/* ---- sealed ---- */

static void test_a_seal_opens_with_its_key_alone(void **state)
{
    uint8_t other[32] = { 1, 2, 4 };
    char text[64] = "attack at dawn";
    uint32_t size = 14;

    (void)state;
    assert_int_equal(
        dynalock_seal(&w.client, &place, key, text, &size, sizeof text),
        DYNALOCK_OK);
    assert_int_equal(size, 14 + DYNALOCK_SEAL_SIZE);
    assert_int_equal(
        dynalock_unseal(&w.client, &place, key, text, &size), DYNALOCK_OK);
    assert_int_equal(size, 14);
    assert_memory_equal(text, "attack at dawn", 14);
    assert_int_equal(
        dynalock_seal(&w.client, &place, key, text, &size, sizeof text),
        DYNALOCK_OK);
    assert_int_equal(dynalock_unseal(&w.client, &place, other, text, &size),
        DYNALOCK_BAD_SEAL);
    assert_int_equal(size, 0);
    assert_int_equal(text[20], 0); /* nothing of it is left */
}

static void test_every_altered_byte_breaks_the_seal(void **state)
{
    uint8_t sealed[5 + DYNALOCK_SEAL_SIZE], copy[sizeof sealed];
    uint32_t size = 5;
    size_t i;

    (void)state;
    memset(sealed, 7, sizeof sealed);
    assert_int_equal(
        dynalock_seal(&w.client, &place, key, sealed, &size, sizeof sealed),
        DYNALOCK_OK);
    for (i = 0; i < sizeof sealed; i++) {
        memcpy(copy, sealed, sizeof copy);
        copy[i] ^= 0x40;
        size = sizeof copy;
        assert_int_equal(dynalock_unseal(&w.client, &place, key, copy, &size),
            DYNALOCK_BAD_SEAL);
    }
    for (i = 0; i < sizeof sealed; i++) {
        memcpy(copy, sealed, sizeof copy);
        size = (uint32_t)i;
        assert_int_equal(dynalock_unseal(&w.client, &place, key, copy, &size),
            DYNALOCK_BAD_SEAL);
    }
}

static void test_a_seal_is_for_one_item(void **state)
{
    static const dynalock_name others[] = {
        { "l", NULL, NULL },
        { "k", "s", NULL },
        { "k", NULL, "other-table" },
        { "", "k", NULL },
    };
    char text[64] = "secret";
    uint32_t size;
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(others); i++) {
        size = 6;
        assert_int_equal(
            dynalock_seal(&w.client, &place, key, text, &size, sizeof text),
            DYNALOCK_OK);
        assert_int_equal(
            dynalock_unseal(&w.client, &others[i], key, text, &size),
            DYNALOCK_BAD_SEAL);
    }
}

static void test_two_seals_are_never_alike(void **state)
{
    uint8_t a[40] = { 0 }, b[40] = { 0 };
    uint32_t m = 0, n = 0;

    (void)state;
    assert_int_equal(
        dynalock_seal(&w.client, &place, key, a, &m, sizeof a), DYNALOCK_OK);
    assert_int_equal(
        dynalock_seal(&w.client, &place, key, b, &n, sizeof b), DYNALOCK_OK);
    assert_int_equal(m, DYNALOCK_SEAL_SIZE);
    assert_memory_not_equal(a, b, 12);
    assert_memory_not_equal(a + 12, b + 12, 16);
}

static void test_what_cannot_be_sealed(void **state)
{
    uint8_t text[32];
    uint32_t size = 5;

    (void)state;
    assert_int_equal(
        dynalock_seal(&w.client, &place, key, text, &size, sizeof text),
        DYNALOCK_BAD_BUFFER);
    assert_int_equal(dynalock_seal(&w.client, &place, key, text, &size, 3),
        DYNALOCK_BAD_BUFFER);
    w.no_entropy = 1;
    size = 4;
    assert_int_equal(
        dynalock_seal(&w.client, &place, key, text, &size, sizeof text),
        DYNALOCK_NO_ENTROPY);
    assert_int_equal(dynalock_seal(&w.client, NULL, key, text, &size, 32),
        DYNALOCK_BAD_ARGUMENT);
    size = DYNALOCK_TOO_LONG;
    assert_int_equal(dynalock_unseal(&w.client, &place, key, text, &size),
        DYNALOCK_BAD_SEAL);
}

static void test_a_seal_needs_all_its_arguments(void **state)
{
    static const dynalock_name nameless = { NULL, NULL, NULL };
    uint8_t text[64] = { 0 };
    uint32_t size = 4;

    (void)state;
#define REFUSES(call) assert_int_equal(call, DYNALOCK_BAD_ARGUMENT)
    REFUSES(dynalock_seal(NULL, &place, key, text, &size, 64));
    REFUSES(dynalock_seal(&w.client, &place, NULL, text, &size, 64));
    REFUSES(dynalock_seal(&w.client, &place, key, NULL, &size, 64));
    REFUSES(dynalock_seal(&w.client, &place, key, text, NULL, 64));
    REFUSES(dynalock_seal(&w.client, &nameless, key, text, &size, 64));
    REFUSES(dynalock_unseal(NULL, &place, key, text, &size));
    REFUSES(dynalock_unseal(&w.client, NULL, key, text, &size));
    REFUSES(dynalock_unseal(&w.client, &place, NULL, text, &size));
    REFUSES(dynalock_unseal(&w.client, &place, key, NULL, &size));
    REFUSES(dynalock_unseal(&w.client, &place, key, text, NULL));
    REFUSES(dynalock_unseal(&w.client, &nameless, key, text, &size));
    assert_int_equal(size, 4);
}

/* Other layouts keep text: it is shown as it is. */
static void test_text_is_no_base64(void **state)
{
    static dynalock_record record;
    uint32_t size;

    (void)state;
    w.config.layout = dynalock_for_dynalock_go();
    world_ready(&w, &lock);
    w.item.exists = 1;
    w.item.raw = "{\"key\":{\"S\":\"k\"},\"data\":{\"S\":\"aGVsbG8=\"}}";
    assert_int_equal(dynalock_read(&w.client, &place, &record), DYNALOCK_OK);
    assert_memory_equal(dynalock_data(&record, &size), "aGVsbG8=", 8);
    assert_int_equal(size, 8);
}

/* In memory that ends where it must, or a byte before. */
static void test_seals_of_every_size(void **state)
{
    uint32_t size, capacity, used;

    (void)state;
    for (size = 0; size < 600; size++) {
        for (capacity = size; capacity <= size + DYNALOCK_SEAL_SIZE + 1;
             capacity++) {
            uint8_t *data = (uint8_t *)malloc(capacity + !capacity);
            dynalock_outcome rc;

            assert_non_null(data);
            memset(data, 7, size);
            used = size;
            rc = dynalock_seal(&w.client, &place, key, data, &used, capacity);
            assert_int_equal(rc, capacity < size + DYNALOCK_SEAL_SIZE
                                     ? DYNALOCK_BAD_BUFFER
                                     : DYNALOCK_OK);
            if (rc == DYNALOCK_OK)
                assert_int_equal(
                    dynalock_unseal(&w.client, &place, key, data, &used),
                    DYNALOCK_OK);
            assert_int_equal(used, size);
            for (used = 0; used < size; used++)
                assert_int_equal(data[used], 7);
            free(data);
        }
    }
}

static int answer_yes(world *of, int damage)
{
    world_reply(of, 200, "{}", damage);
    return 1;
}

/* Where data is text, it is written as it is. */
static void test_text_is_stored_as_text(void **state)
{
    (void)state;
    w.other = answer_yes;
    w.config.layout = dynalock_for_dynalock_go();
    world_ready(&w, &lock);
    set_data("a \"word\"");
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    assert_non_null(world_find(&w, "{\"S\":\"a \\\"word\\\"\"}"));
    dynalock_cancel(&w.client, &lock.operation);
}

/* ---- AWS IoT ---- */

static dynalock_tls tls;
static dynalock_provider provider;
static dynalock_iot iot;
static dynalock_identity identity;
static char memory[4096];

static void check_iot_is_refused(dynalock_tls *with, const char *endpoint)
{
    iot.host = "abc.credentials.iot.eu-west-1.amazonaws.com";
    iot.role_alias = "alias";
    assert_int_equal(dynalock_provider_init(&provider, dynalock_source_iot(),
                         &iot, memory, sizeof memory),
        DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    w.config.endpoint = endpoint;
    w.config.tls = with;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(w.opens, 0);
}

/* TLS without an identity, an identity without TLS: neither can be. */
static void test_iot_needs_tls_and_an_identity(void **state)
{
    static br_x509_trust_anchor roots[DYNALOCK_AMAZON_ANCHORS];

    (void)state;
    dynalock_tls_init(
        &tls, dynalock_tls_small(), roots, dynalock_amazon_anchors(roots));
    iot.identity = NULL;
    check_iot_is_refused(&tls, "https://table.test");
    iot.identity = &identity;
    check_iot_is_refused(NULL, "http://table.test");
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(acquire_removes_what_others_left),
        TEST(acquire_sets_it_every_time),
        TEST(acquire_keeps_it_when_asked),
        TEST(data_given_while_held_goes_with_the_next_renewal),
        TEST(data_that_was_not_stored_is_sent_again),
        TEST(data_is_removed_while_held),
        TEST(a_release_takes_data_along),
        TEST(data_and_ttl_share_the_lists),
        TEST(data_does_not_change_under_way),
        TEST(data_has_a_limit),
        TEST(a_seal_opens_with_its_key_alone),
        TEST(every_altered_byte_breaks_the_seal),
        TEST(a_seal_is_for_one_item),
        TEST(two_seals_are_never_alike),
        TEST(what_cannot_be_sealed),
        TEST(a_seal_needs_all_its_arguments),
        TEST(text_is_no_base64),
        TEST(seals_of_every_size),
        TEST(text_is_stored_as_text),
        TEST(iot_needs_tls_and_an_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
