/*
Every call of every hook goes wrong, over TLS: within handshakes, records and
farewells. And within sealing, which is BearSSL's too. (Of the scenarios some:
what lies above TLS is as in test_hooks.c.)
*/
#include "scenarios.h"
#include "tls_server.h"

static const char *const chosen[] = { "acquire", "renew", "close", "read",
    "call", "acquire by a role of EC2" };

static int is_chosen(const scenario *s)
{
    size_t i;

    for (i = 0; i < COUNT(chosen); i++)
        if (strcmp(chosen[i], s->name) == 0) return 1;
    return 0;
}

static void test_every_call_of_every_hook_goes_wrong(void **state)
{
    size_t i;

    (void)state;
    transport = tls_world;
    for (i = 0; i < COUNT(scenarios); i++)
        if (is_chosen(&scenarios[i]))
            assert_true(try_all(&scenarios[i], 1) >= 60);
}

/* ---- sealing ---- */

static char sealed[64];

static dynalock_outcome seal(void)
{
    static const uint8_t key[32] = { 1 };
    uint32_t size = 5;
    dynalock_outcome rc;

    (void)strcpy(sealed, "plain");
    rc = dynalock_seal(&w.client, &place, key, sealed, &size, sizeof sealed);
    if (rc != DYNALOCK_OK) assert_string_equal(sealed, "plain");
    if (rc != DYNALOCK_OK) return rc;
    return dynalock_unseal(&w.client, &place, key, sealed, &size);
}

static int is_as_before(void)
{
    return memcmp(sealed, "plain", 5) == 0;
}

static void test_sealing(void **state)
{
    static const scenario sealing = { "seal", alone, seal, DYNALOCK_OK,
        is_as_before, 0, NONE, NONE };

    (void)state;
    transport = NULL;
    assert_int_equal(try_all(&sealing, 1), 7);
}

#define TEST(name, setup)                                                     \
    cmocka_unit_test_setup_teardown(test_##name, setup, tell)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_call_of_every_hook_goes_wrong, by_blocking_calls),
        TEST(sealing, by_blocking_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
