/*
Data stored with a lock, before a real server.

    tests/harness.py --server dynoxide|dynalite -- build/conformance/data
*/
#include "support.h"

static uint8_t bytes[DYNALOCK_DATA_MOST];

static int begin(void **state)
{
    size_t i;

    (void)before_each(state);
    start_plain(&a, "a");
    start_plain(&b, "b");
    for (i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    return 0;
}

static void set_data(dynalock_lock *lock, const char *text)
{
    assert_ok(dynalock_set_data(lock, text, (uint32_t)strlen(text)));
}

/* What b reads of a's lock; NULL: nothing. */
static const char *read_by_b(const char *key)
{
    static char text[DYNALOCK_DATA_SIZE + 1];
    const uint8_t *data;
    uint32_t size;

    (void)look(&b, key);
    data = dynalock_data(&record, &size);
    if (size == 0) return NULL;
    assert_in_range(size, 1, DYNALOCK_DATA_SIZE);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static void data_comes_changes_and_goes(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    set_data(lock, "first");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_string_equal(read_by_b(__func__), "first");
    set_data(lock, "second");
    assert_ok(dynalock_renew(&a.client, lock));
    assert_string_equal(read_by_b(__func__), "second");
    assert_ok(dynalock_set_data(lock, NULL, 0));
    assert_ok(dynalock_renew(&a.client, lock));
    assert_null(read_by_b(__func__));
    set_data(lock, "last words");
    assert_ok(dynalock_release(&a.client, lock));
    assert_string_equal(read_by_b(__func__), "last words");
}

static void a_take_over_clears_or_keeps(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_lock *other = lock_named(__func__);

    (void)state;
    set_data(lock, "a's");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_release(&a.client, lock));
    assert_ok(dynalock_keep_data(other));
    assert_ok(dynalock_acquire(&b.client, other, 0));
    assert_string_equal(read_by_b(__func__), "a's");
    assert_ok(dynalock_release(&b.client, other));
    assert_ok(dynalock_set_data(other, NULL, 0));
    assert_ok(dynalock_acquire(&b.client, other, 0));
    assert_null(read_by_b(__func__));
}

/* Every length up to the reader's memory comes back byte for byte. */
static void every_length_comes_back(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint32_t size, got;

    (void)state;
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    for (size = 1; size <= DYNALOCK_DATA_SIZE; size++) {
        const uint8_t *data;

        assert_ok(dynalock_set_data(lock, bytes, size));
        assert_ok(dynalock_renew(&a.client, lock));
        (void)look(&b, __func__);
        data = dynalock_data(&record, &got);
        assert_int_equal(got, size);
        assert_memory_equal(data, bytes, size);
    }
    assert_ok(dynalock_set_data(lock, bytes, 0));
    assert_ok(dynalock_renew(&a.client, lock));
    assert_has(item(__func__), "\"data\":{\"B\":\"\"}");
}

/* The most that an item has room for is stored; a reader with less memory is
   told so, and everything else of the lock is as usual. */
static void the_most_is_stored(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint32_t size;

    (void)state;
    a.running = 0;
    (void)dynalock_client_close(&a.client, 0);
    prepare(&a, "a", harness("HTTP"));
    a.config.request_ms = PATIENCE_MS;
    a.config.lease_ms = 4 * PATIENCE_MS;
    start(&a);
    assert_outcome(dynalock_set_data(lock, bytes, DYNALOCK_DATA_MOST + 1),
        DYNALOCK_BAD_ARGUMENT);
    assert_ok(dynalock_set_data(lock, bytes, DYNALOCK_DATA_MOST));
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_string_equal(look(&b, __func__)->owner, "a");
    (void)dynalock_data(&record, &size);
    assert_true(size == DYNALOCK_TOO_LONG);
    assert_ok(dynalock_set_data(lock, NULL, 0));
    assert_ok(dynalock_release(&a.client, lock));
    assert_lacks(item(__func__), "\"data\"");
}

static void sealed_data_is_for_those_with_the_key(void **state)
{
    static const uint8_t key[32] = { 9, 8, 7 }, other[32] = { 9, 8, 6 };
    dynalock_lock *lock = lock_named(__func__);
    char text[64] = "the door's code";
    uint32_t size = 15;
    uint8_t *data;
    dynalock_name name;

    (void)state;
    memset(&name, 0, sizeof name);
    name.key = __func__;
    assert_ok(dynalock_seal(&a.client, &name, key, text, &size, sizeof text));
    assert_ok(dynalock_set_data(lock, text, size));
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_lacks(item(__func__), "dGhlIGRvb3"); /* "the doo" */
    (void)look(&b, __func__);
    data = (uint8_t *)(size_t)dynalock_data(&record, &size);
    assert_ok(dynalock_unseal(&b.client, &name, key, data, &size));
    assert_int_equal(size, 15);
    assert_memory_equal(data, "the door's code", 15);
    /* without the key the lock is as good as with it */
    (void)look(&b, __func__);
    data = (uint8_t *)(size_t)dynalock_data(&record, &size);
    assert_outcome(dynalock_unseal(&b.client, &name, other, data, &size),
        DYNALOCK_BAD_SEAL);
    assert_string_equal(record.owner, "a");
    assert_ok(dynalock_renew(&a.client, lock));
    assert_ok(dynalock_release(&a.client, lock));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_comes_changes_and_goes),
        TEST(a_take_over_clears_or_keeps),
        TEST(every_length_comes_back),
        TEST(the_most_is_stored),
        TEST(sealed_data_is_for_those_with_the_key),
    };

    return cmocka_run_group_tests(tests, start_all, NULL);
}
