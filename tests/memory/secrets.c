/*
Whoever can measure how long signing or unsealing takes, or which memory it
touches, must learn nothing of keys: no branch and no address may depend on a
secret. valgrind follows what nobody has written to memory, through all that is
computed of it, and reports every branch and address that depends on it; here
the secrets are such memory. Public are lengths, and whether there is a token
(the first byte of a text tells); what goes to the peer is, once it has left.

To be run under valgrind, in each build that may differ: see Makefile.
*/
#include <string.h>
#include <valgrind/memcheck.h>

/* Looks for the end, but tells no more than where it is. */
static size_t public_length(const char *text)
{
    size_t size;

    VALGRIND_DISABLE_ERROR_REPORTING;
    size = strlen(text);
    VALGRIND_ENABLE_ERROR_REPORTING;
    return size;
}

#define strlen public_length
#include "../unit/world.h"

static world w;
static dynalock_lock lock;

static const uint8_t key[32] = { 1, 2, 3 };
static const dynalock_name place = { "k", NULL, NULL };

static void hide(const void *data, size_t size)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(data, size);
}

static void show(const void *data, size_t size)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(data, size);
}

/* Branches and addresses so far that depended on a secret. */
static unsigned told(void)
{
    return (unsigned)VALGRIND_COUNT_ERRORS;
}

/* What leaves is public. */
static int32_t write_shown(void *context, const void *data, size_t size)
{
    static char copy[DYNALOCK_TRANSMIT_WINDOW];

    memcpy(copy, data, size);
    show(copy, size);
    return world_write_hook(context, copy, size);
}

static int begin(void **state)
{
    (void)state;
    assert_true(RUNNING_ON_VALGRIND);
    world_begin(&w);
    w.platform.write = write_shown;
    return 0;
}

/* ---- that it can fail ---- */

static int differ_early(
    const volatile uint8_t *a, const volatile uint8_t *b, size_t size)
{
    while (size-- != 0)
        if (*a++ != *b++) return 1;
    return 0;
}

static void test_a_comparison_that_ends_early_is_seen(void **state)
{
    uint8_t secret[16] = { 0 };
    const uint8_t guess[16] = { 0 };
    unsigned before = told();
    volatile int result;

    (void)state;
    hide(secret, sizeof secret);
    result = differ_early(secret, guess, sizeof secret);
    show(secret, sizeof secret);
    (void)result;
    assert_true(told() - before >= 2);
}

static void test_a_table_that_a_secret_looks_up_is_seen(void **state)
{
    static const volatile char digits[] = "0123456789abcdef";
    uint8_t secret = 7;
    unsigned before = told();
    volatile char result;

    (void)state;
    hide(&secret, 1);
    result = digits[secret & 15];
    (void)result;
    assert_true(told() - before >= 1);
}

/* ---- signing ---- */

/* Secrets of every way into the HMAC: within its block, just, and beyond. */
static const size_t secret_sizes[] = { 1, 40, 60, 61, 200 };
static const size_t token_sizes[] = { 0, 1, 300, 2000 };

static char secret[201], token[2001];

static void fill(char *text, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) text[i] = (char)('a' + (i * 7 + size) % 26);
    text[size] = '\0';
}

static void sign(size_t secret_size, size_t token_size, int hidden,
    uint8_t signature[DL_SHA256_SIZE])
{
    dynalock_credentials credentials = { "AKID", secret, token };
    dynalock_signing_key cache;
    dynalock_signing signing;

    fill(secret, secret_size);
    fill(token, token_size);
    memset(&cache, 0, sizeof cache);
    memset(&signing, 0, sizeof signing);
    signing.credentials = &credentials;
    signing.region = "test-1";
    signing.host = "table.test";
    signing.target = "UpdateItem";
    memcpy(signing.date, "20231114T221320Z", 17);
    if (hidden) {
        hide(secret, secret_size);
        if (token_size > 1) hide(token + 1, token_size - 1);
    }
    dl_sign(&cache, &signing);
    show(signing.digest, sizeof signing.digest);
    memcpy(signature, signing.digest, DL_SHA256_SIZE);
}

static void test_signing_tells_nothing(void **state)
{
    uint8_t plain[DL_SHA256_SIZE], hidden[DL_SHA256_SIZE];
    size_t i, j;

    (void)state;
    for (i = 0; i < DL_COUNT(secret_sizes); i++) {
        for (j = 0; j < DL_COUNT(token_sizes); j++) {
            unsigned before = told();

            sign(secret_sizes[i], token_sizes[j], 1, hidden);
            assert_int_equal(told() - before, 0);
            sign(secret_sizes[i], token_sizes[j], 0, plain);
            assert_memory_equal(hidden, plain, DL_SHA256_SIZE);
        }
    }
}

/* The whole way of a request, from the credentials to the port. */
static void test_a_client_tells_nothing_of_its_credentials(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(token_sizes); i++) {
        unsigned before = told();

        (void)begin(NULL);
        fill(secret, 40);
        fill(token, token_sizes[i]);
        hide(secret + 1, 39);
        if (token_sizes[i] > 1) hide(token + 1, token_sizes[i] - 1);
        w.credentials.secret = secret;
        w.credentials.token = token;
        world_ready(&w, &lock);
        assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
        assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
        assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
        assert_int_equal(dynalock_client_close(&w.client, 0), DYNALOCK_OK);
        assert_int_equal(w.requests, 3);
        assert_int_equal(told() - before, 0);
    }
}

/* ---- sealed data ---- */

static const size_t data_sizes[] = { 0, 1, 15, 16, 63, 64, 65, 1000 };

/* With secret data, under a secret key. */
static unsigned seal(uint8_t *data, uint32_t *size)
{
    uint8_t own_key[32];
    unsigned before = told();
    dynalock_outcome rc;

    memcpy(own_key, key, sizeof own_key);
    hide(own_key, sizeof own_key);
    hide(data, *size);
    rc = dynalock_seal(&w.client, &place, own_key, data, size, 1100);
    show(data, *size);
    assert_int_equal(rc, DYNALOCK_OK);
    return told() - before;
}

static unsigned unseal(uint8_t *data, uint32_t *size, dynalock_outcome outcome)
{
    uint8_t own_key[32];
    unsigned before = told();
    dynalock_outcome rc;

    memcpy(own_key, key, sizeof own_key);
    hide(own_key, sizeof own_key);
    rc = dynalock_unseal(&w.client, &place, own_key, data, size);
    before = told() - before;
    show(&rc, sizeof rc);
    show(data, 1100);
    show(size, sizeof *size);
    assert_int_equal(rc, outcome);
    return before;
}

/* Whether it opens is told, once, and nothing else. */
static void test_seals_tell_only_whether_they_open(void **state)
{
    static uint8_t data[1100], copy[1100];
    size_t i, at;

    (void)state;
    world_ready(&w, &lock);
    for (i = 0; i < DL_COUNT(data_sizes); i++) {
        uint32_t size = (uint32_t)data_sizes[i], sealed;

        fill((char *)data, size);
        memcpy(copy, data, size);
        assert_int_equal(seal(data, &size), 0);
        sealed = size;
        assert_int_equal(unseal(data, &size, DYNALOCK_OK), 1);
        assert_int_equal(size, data_sizes[i]);
        assert_memory_equal(data, copy, size);
        /* the first byte of the tag is wrong, or the last, or some between */
        for (at = 1; at <= DL_TAG_SIZE; at += 5) {
            size = (uint32_t)data_sizes[i];
            assert_int_equal(seal(data, &size), 0);
            data[sealed - at] ^= 1;
            assert_int_equal(unseal(data, &size, DYNALOCK_BAD_SEAL), 1);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_comparison_that_ends_early_is_seen),
        TEST(a_table_that_a_secret_looks_up_is_seen),
        TEST(signing_tells_nothing),
        TEST(a_client_tells_nothing_of_its_credentials),
        TEST(seals_tell_only_whether_they_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
