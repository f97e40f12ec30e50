/*
The promises of dynalock.h's manual, put to the test before a real server.

    tests/harness.py --server dynoxide|dynalite -- build/conformance/conformance

Each test is a sentence that the manual says, or that follows from what it
says. Two or three devices run in this one process, each with a client and a
connection of its own. Between them and the server stands the proxy of
tests/proxy.py, which checks every signature and fails on demand; items are
put, changed and deleted behind the devices' backs by plain requests to the
server itself.

Lower bounds on time are exact, upper bounds generous.
*/

#include "support.h"

static dynalock_anchors strangers;
static device sleeper; /* idle from before the first test to the last */
static dynalock_lock sleepers_lock;
static uint64_t sleeping_since;

/* ---- before the first test ---- */

static void start_sleeper(void)
{
    dynalock_lock_options options;

    prepare(&sleeper, "sleeper", harness("DIRECT"));
    sleeper.config.attempts = 1;
    sleeper.config.lease_ms = 600000;
    assert_ok(dynalock_client_init(&sleeper.client, &sleeper.config));
    memset(&options, 0, sizeof options);
    options.key = "sleeper";
    assert_ok(dynalock_lock_init(&sleepers_lock, &options));
    assert_ok(dynalock_acquire(&sleeper.client, &sleepers_lock, 0));
    sleeping_since = sleeper.healthy.monotonic_ms(&sleeper.posix);
}

static int start_promises(void **state)
{
    static char path[512];

    (void)start_all(state);
    (void)snprintf(path, sizeof path, "%s/otherca.pem", harness("PKI"));
    assert_ok(dynalock_posix_anchors(&strangers, path));
    (void)server("CreateTable",
        "{\"TableName\":\"elsewhere\",\"BillingMode\":\"PAY_PER_REQUEST\","
        "\"AttributeDefinitions\":[{\"AttributeName\":\"key\","
        "\"AttributeType\":\"S\"}],\"KeySchema\":[{\"AttributeName\":\"key\","
        "\"KeyType\":\"HASH\"}]}");
    start_sleeper();
    return 0;
}

/* ---- the job ---- */

static void do_the_job(const char *url, const char *key)
{
    dynalock_lock *lock = lock_named(key);
    uint64_t fence;

    prepare(&a, "gateway-7", url);
    start(&a);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    fence = dynalock_fence(lock);
    assert_at_least(fence, 1);
    assert_in_range(remaining(&a, lock), 1, LONG_LEASE_MS);
    assert_ok(dynalock_renew(&a.client, lock));
    assert_true(dynalock_fence(lock) == fence);

    (void)look(&a, key);
    assert_int_equal(record.status, DYNALOCK_LOCKED);
    assert_string_equal(record.owner, "gateway-7");
    assert_true(record.fence == fence);
    assert_int_equal(record.lease_ms, LONG_LEASE_MS);

    assert_ok(dynalock_release(&a.client, lock));
    assert_int_equal(remaining(&a, lock), 0);
    assert_int_equal(look(&a, key)->status, DYNALOCK_RELEASED);

    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_true(dynalock_fence(lock) > fence);
    assert_ok(dynalock_release(&a.client, lock));
}

static void the_job_is_done_over_plain_http(void **state)
{
    (void)state;
    do_the_job(harness("HTTP"), __func__);
}

static void the_job_is_done_over_tls_with_an_ec_certificate(void **state)
{
    (void)state;
    do_the_job(harness("HTTPS"), __func__);
    assert_at_least(counter("handshakes"), 1);
}

static void the_job_is_done_over_tls_with_an_rsa_certificate(void **state)
{
    (void)state;
    do_the_job(harness("HTTPS_RSA"), __func__);
    assert_at_least(counter("handshakes"), 1);
}

static void the_wide_profile_does_the_job_too(void **state)
{
    const char *const urls[] = { harness("HTTPS"), harness("HTTPS_RSA") };
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        prepare(&a, "a", urls[i]);
        dynalock_tls_init(
            &a.tls, dynalock_tls_wide(), anchors.list, anchors.count);
        start(&a);
        assert_int_equal(look(&a, __func__)->status, DYNALOCK_ABSENT);
        assert_ok(dynalock_client_close(&a.client, 100));
        a.running = 0;
    }
}

static void the_item_is_that_of_the_java_client_and_a_fence(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    char fence[48];

    (void)state;
    start_plain(&a, "gateway-7");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    (void)snprintf(fence, sizeof fence, "\"fence\":{\"N\":\"%llu\"}",
        (unsigned long long)dynalock_fence(lock));
    assert_has(item(__func__), "\"ownerName\":{\"S\":\"gateway-7\"}");
    assert_has(item(__func__), "\"leaseDuration\":{\"S\":\"20000\"}");
    assert_has(item(__func__), "\"recordVersionNumber\":{\"S\":\"");
    assert_has(item(__func__), fence);
    assert_lacks(item(__func__), "isReleased");
    assert_ok(dynalock_release(&a.client, lock));
    assert_has(item(__func__), "\"isReleased\":{\"S\":\"1\"}");
}

static void an_owner_without_a_name_gets_32_hex_digits(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, NULL);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    (void)look(&a, __func__);
    assert_int_equal(strlen(record.owner), 32);
    assert_int_equal(strspn(record.owner, "0123456789abcdef"), 32);
}

/* The fence is a clock, so that it rises over a deletion too. */
static void the_fence_rises_though_the_item_was_deleted(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_lock *again = lock_named(__func__);
    uint64_t fence;

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b"); /* knows nothing of a's fence */
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    fence = dynalock_fence(lock);
    assert_ok(dynalock_release(&a.client, lock));
    delete_item(__func__);
    assert_ok(dynalock_acquire(&b.client, again, 0));
    assert_true(dynalock_fence(again) > fence);
}

static void a_clock_that_is_behind_does_not_lower_the_fence(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_lock *again = lock_named(__func__);
    uint64_t fence;

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    b.clock_off_ms = -120000;
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    fence = dynalock_fence(lock);
    assert_ok(dynalock_release(&a.client, lock));
    assert_ok(dynalock_acquire(&b.client, again, 0));
    assert_true(dynalock_fence(again) > fence);
}

static void one_client_holds_many_locks(void **state)
{
    static char keys[8][64];
    dynalock_lock *held[8];
    size_t i;

    (void)state;
    start_with_lease(&a, "a", 1000);
    for (i = 0; i < 8; i++) {
        (void)snprintf(
            keys[i], sizeof keys[i], "%s %u", __func__, (unsigned)i);
        held[i] = lock_named(keys[i]);
        assert_ok(dynalock_acquire(&a.client, held[i], 0));
    }
    run_for(1200);
    for (i = 0; i < 8; i++) assert_true(remaining(&a, held[i]) > 0);
    assert_int_equal(counter("connections"), 1);
}

/* ---- places ---- */

static void a_sort_key_tells_locks_apart(void **state)
{
    dynalock_lock_options options;
    dynalock_lock *one, *two, *same;
    dynalock_name name;

    (void)state;
    start_sorted(&a, "a");
    start_sorted(&b, "b");
    memset(&options, 0, sizeof options);
    options.key = __func__;
    options.sort_key = "1";
    one = new_lock(&options);
    same = new_lock(&options);
    options.sort_key = "2";
    two = new_lock(&options);
    assert_ok(dynalock_acquire(&a.client, one, 0));
    assert_ok(dynalock_acquire(&b.client, two, 0));
    assert_outcome(dynalock_acquire(&b.client, same, 0), DYNALOCK_BUSY);
    memset(&name, 0, sizeof name);
    name.key = __func__;
    name.sort_key = "2";
    assert_ok(dynalock_read(&a.client, &name, &record));
    assert_string_equal(record.owner, "b");
    assert_ok(dynalock_release(&a.client, one));
    assert_ok(dynalock_acquire(&b.client, same, 0));
}

static void a_lock_may_have_a_table_and_a_lease_of_its_own(void **state)
{
    dynalock_lock_options options;
    dynalock_lock *here, *elsewhere;
    dynalock_name name;

    (void)state;
    start_plain(&a, "a");
    memset(&options, 0, sizeof options);
    options.key = __func__;
    here = new_lock(&options);
    options.table = "elsewhere";
    options.lease_ms = 7000;
    elsewhere = new_lock(&options);
    assert_ok(dynalock_acquire(&a.client, here, 0));
    assert_ok(dynalock_acquire(&a.client, elsewhere, 0));
    assert_in_range(remaining(&a, elsewhere), 1, 7000);
    memset(&name, 0, sizeof name);
    name.key = __func__;
    name.table = "elsewhere";
    assert_ok(dynalock_read(&a.client, &name, &record));
    assert_int_equal(record.lease_ms, 7000);
    assert_int_equal(look(&a, __func__)->lease_ms, LONG_LEASE_MS);
}

/* The key as JSON would have it, all that may be escaped escaped. */
static void escape(char *out, const char *key)
{
    for (; *key != '\0'; key++) {
        uint8_t byte = (uint8_t)*key;

        if (byte < 0x20 || byte == '"' || byte == '\\')
            out += sprintf(out, "\\u%04x", byte);
        else *out++ = (char)byte;
    }
    *out = '\0';
}

static void a_key_may_be_any_utf8(void **state)
{
    static char controls[33], ascii[2049], accents[2049], bells[2049];
    static char escaped[6 * 2048 + 1];
    const char *const keys[] = { "\"", "\\", "\\\"", "\\u0041", "a/b?c=d&e",
        " ", "'$[#]:T", "{}", controls, "\x7f", "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f\x94\x92", "\xef\xbf\xbf", ascii, accents, bells };
    size_t i;

    (void)state;
    for (i = 0; i < 32; i++) controls[i] = (char)(i + 1);
    memset(ascii, 'k', 2048);
    memset(bells, '\a', 2048);
    for (i = 0; i < 2048; i++) accents[i] = "\xc3\xa9"[i % 2];
    start_plain(&a, "a");
    for (i = 0; i < COUNT(keys); i++) {
        dynalock_lock *lock = lock_named(keys[i]);

        assert_ok(dynalock_acquire(&a.client, lock, 0));
        assert_int_equal(look(&a, keys[i])->status, DYNALOCK_LOCKED);
        escape(escaped, keys[i]);
        assert_has(item(escaped), "\"ownerName\":{\"S\":\"a\"}");
        assert_ok(dynalock_release(&a.client, lock));
    }
}

static void an_owner_name_may_be_any_utf8_up_to_its_size(void **state)
{
    static char longest[DYNALOCK_OWNER_SIZE];
    const char *const names[] = { "\"\\\x01\x1f\x7f", "\xf0\x9f\x94\x92",
        longest };
    static char keys[3][64];
    size_t i;

    (void)state;
    memset(longest, '"', sizeof longest - 1);
    start_plain(&b, "b");
    for (i = 0; i < 3; i++) {
        dynalock_lock *lock, *other;

        (void)snprintf(
            keys[i], sizeof keys[i], "%s %u", __func__, (unsigned)i);
        lock = lock_named(keys[i]);
        other = lock_named(keys[i]);
        start_plain(&a, names[i]);
        assert_ok(dynalock_acquire(&a.client, lock, 0));
        assert_ok(dynalock_renew(&a.client, lock));
        assert_outcome(dynalock_acquire(&b.client, other, 0), DYNALOCK_BUSY);
        assert_string_equal(b.client.detail.holder, names[i]);
        assert_ok(dynalock_client_close(&a.client, 500));
        a.running = 0;
    }
}

static void data_is_stored_with_the_lock_and_read_back(void **state)
{
    static const uint32_t sizes[] = { 0, 1, 2, 3, 4, 255, 256 };
    uint8_t bytes[DYNALOCK_DATA_SIZE];
    dynalock_lock *lock = lock_named(__func__);
    const uint8_t *data;
    uint32_t size;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(255 - i);
    start_plain(&a, "a");
    for (i = 0; i < COUNT(sizes); i++) {
        assert_ok(dynalock_set_data(lock, bytes, sizes[i]));
        assert_ok(dynalock_acquire(&a.client, lock, 0));
        assert_ok(dynalock_renew(&a.client, lock));
        (void)look(&a, __func__);
        data = dynalock_data(&record, &size);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(data, bytes, size);
        assert_ok(dynalock_release(&a.client, lock));
    }
}

static void without_data_what_the_last_holder_left_is_removed(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint32_t size;

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_set_data(lock, "mine", 4));
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_has(item(__func__), "\"data\":{\"B\":\"bWluZQ==\"}");
    assert_ok(dynalock_release(&a.client, lock));
    assert_ok(dynalock_set_data(lock, NULL, 0));
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_lacks(item(__func__), "\"data\"");
    (void)look(&a, __func__);
    (void)dynalock_data(&record, &size);
    assert_int_equal(size, 0);
}

static void data_that_does_not_fit_is_too_long(void **state)
{
    static const struct {
        const char *attribute;
        int fits;
    } cases[] = { { "\"data\":{\"B\":\"AAEC\"}", 1 },
        { "\"data\":{\"S\":\"text\"}", 0 }, { "\"data\":{\"N\":\"1\"}", 0 } };
    char attributes[600];
    dynalock_lock *lock = lock_named(__func__);
    uint8_t bytes[DYNALOCK_DATA_SIZE + 1];
    uint32_t size;
    size_t i;

    (void)state;
    start_plain(&a, "a");
    for (i = 0; i < COUNT(cases); i++) {
        (void)snprintf(attributes, sizeof attributes,
            "\"ownerName\":{\"S\":\"x\"},\"leaseDuration\":{\"S\":\"9\"},"
            "\"recordVersionNumber\":{\"S\":\"1\"},%s",
            cases[i].attribute);
        put_item(__func__, attributes);
        (void)look(&a, __func__);
        (void)dynalock_data(&record, &size);
        assert_int_equal(size, cases[i].fits ? 3 : DYNALOCK_TOO_LONG);
    }
    delete_item(__func__);
    memset(bytes, 1, sizeof bytes);
    assert_ok(dynalock_set_data(lock, bytes, sizeof bytes));
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_int_equal(look(&a, __func__)->status, DYNALOCK_LOCKED);
    (void)dynalock_data(&record, &size);
    assert_int_equal(size, DYNALOCK_TOO_LONG);
}

static uint64_t ttl_of(const char *key)
{
    const char *at = strstr(item(key), "\"ttl\":{\"N\":\"");

    return at != NULL ? strtoull(at + 12, NULL, 10) : 0;
}

static void the_ttl_lies_an_hour_past_the_lease(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint64_t earliest, latest;

    (void)state;
    prepare(&a, "a", harness("HTTP"));
    a.config.ttl_attribute = "ttl";
    start(&a);
    earliest = (uint64_t)a.healthy.unix_ms(&a.posix) / 1000 + 3620;
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    latest = (uint64_t)a.healthy.unix_ms(&a.posix) / 1000 + 3621;
    assert_in_range(ttl_of(__func__), earliest, latest);
    assert_ok(dynalock_renew(&a.client, lock));
    assert_at_least(ttl_of(__func__), earliest);
    assert_ok(dynalock_release(&a.client, lock));
    assert_at_least(ttl_of(__func__), earliest - 20);
    /* and one that writes none removes it where it finds it */
    prepare(&b, "b", harness("HTTP"));
    b.config.ttl_attribute = "ttl";
    b.config.no_ttl = 1;
    start(&b);
    lock = lock_named(__func__);
    assert_ok(dynalock_acquire(&b.client, lock, 0));
    assert_int_equal(ttl_of(__func__), 0);
}

/* ---- credentials ---- */

static void temporary_credentials_with_tokens_are_signed(void **state)
{
    static const dynalock_credentials temporary = { "ASIAEXAMPLE",
        "secretOfSTS", "tok/en+with=chars" };
    static char token[2049];
    static dynalock_credentials long_token = { "ASIALONGTOKEN", "secretOfSTS",
        token };
    const dynalock_credentials *const all[] = { &temporary, &long_token };
    const char *const urls[] = { harness("HTTP"), harness("HTTPS") };
    dynalock_lock *lock = lock_named(__func__);
    size_t i;

    (void)state;
    for (i = 0; i < 2048; i++) token[i] = "A1+/"[i % 4];
    for (i = 0; i < 4; i++) {
        prepare(&a, "a", urls[i / 2]);
        a.config.credentials = all[i % 2];
        start(&a);
        assert_ok(dynalock_acquire(&a.client, lock, 0));
        assert_ok(dynalock_release(&a.client, lock));
        assert_ok(dynalock_client_close(&a.client, 100));
        a.running = 0;
    }
    assert_int_equal(counter("signature_failures"), 0);
    assert_at_least(writes(), 8);
}

static void new_credentials_serve_from_the_next_request_on(void **state)
{
    static const dynalock_credentials wrong = { "AKIDEXAMPLE", "wrong", NULL },
                                      none = { "AKIDEXAMPLE", NULL, NULL };
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_set_credentials(&a.client, &wrong));
    assert_outcome(
        dynalock_renew(&a.client, lock), DYNALOCK_CREDENTIALS_REFUSED);
    assert_true(remaining(&a, lock) > 0);
    assert_ok(dynalock_set_credentials(&a.client, &long_term));
    assert_ok(run_while(&lock->operation, DYNALOCK_CREDENTIALS_REFUSED));
    assert_outcome(dynalock_set_credentials(&a.client, &none),
        DYNALOCK_CREDENTIALS_MISSING);
    assert_ok(dynalock_renew(&a.client, lock)); /* the old ones stay */
    proxy("clear");
}

/* ---- waiting ---- */

static void one_try_on_a_held_lock_is_busy_and_names_the_holder(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);

    (void)state;
    start_plain(&a, "gateway-7");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(dynalock_acquire(&b.client, other, 0), DYNALOCK_BUSY);
    assert_string_equal(b.client.detail.holder, "gateway-7");
    assert_int_equal(b.client.detail.holder_lease_ms, LONG_LEASE_MS);
    assert_int_equal(remaining(&b, other), 0);
    assert_true(remaining(&a, lock) > 0);
}

static void a_bounded_wait_ends_at_its_deadline(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    uint64_t began;

    (void)state;
    start_plain(&a, "gateway-7");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    began = now_ms();
    assert_outcome(dynalock_acquire(&b.client, other, 400), DYNALOCK_TIMEOUT);
    assert_in_range(now_ms() - began, 400, 400 + SLACK_MS);
    assert_string_equal(b.client.detail.holder, "gateway-7");
    assert_int_equal(writes(), 2); /* one write each; then it only looked */
    assert_int_equal(remaining(&b, other), 0);
}

/* A look changes nothing: one without an answer leaves nothing unknown. */
static void a_wait_that_ends_during_a_look_is_a_timeout(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    unsigned long seen;
    int cancelled;

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    for (cancelled = 0; cancelled < 2; cancelled++) {
        proxy("clear");
        assert_outcome(
            dynalock_start_acquire(&b.client, other, 600), DYNALOCK_AGAIN);
        while ((seen = looks()) < 3) run_for(5);
        proxy("fault silent x99 on=GetItem");
        while (looks() == seen) run_for(5);
        if (cancelled) {
            dynalock_cancel(&b.client, &other->operation);
            assert_outcome(
                dynalock_result(&other->operation), DYNALOCK_CANCELLED);
        } else {
            assert_outcome(run_while(&other->operation, DYNALOCK_AGAIN),
                DYNALOCK_TIMEOUT);
        }
    }
}

static void a_waiter_has_the_lock_within_a_poll_of_its_release(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    uint64_t released;

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(dynalock_start_acquire(&b.client, other, DYNALOCK_FOREVER),
        DYNALOCK_AGAIN);
    run_for(300);
    assert_outcome(dynalock_result(&other->operation), DYNALOCK_AGAIN);
    released = now_ms();
    assert_outcome(dynalock_start_release(&a.client, lock), DYNALOCK_AGAIN);
    assert_ok(run_while(&other->operation, DYNALOCK_AGAIN));
    assert_at_most(now_ms() - released, 2 * POLL_MS + SLACK_MS);
    assert_true(dynalock_fence(other) > dynalock_fence(lock));
}

/* The lease, the margin of 1 % and the clock's step. */
static uint64_t watch_of(uint32_t lease_ms)
{
    return lease_ms + (lease_ms + 99) / 100 + DYNALOCK_CLOCK_STEP_MS;
}

static void a_dead_holders_lock_is_taken_over_after_its_lease(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    uint64_t began;

    (void)state;
    start_with_lease(&a, "a", 600);
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    a.running = 0; /* from here on nobody polls for it */
    began = now_ms();
    assert_ok(dynalock_acquire(&b.client, other, 5000));
    assert_in_range(now_ms() - began, watch_of(600), watch_of(600) + SLACK_MS);
    assert_true(dynalock_fence(other) > dynalock_fence(lock));
    assert_int_equal(remaining(&a, lock), 0);
    a.running = 1;
}

static void short_waits_outlive_a_dead_holder_too(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    dynalock_outcome rc;
    uint64_t began;
    unsigned calls = 0;

    (void)state;
    start_with_lease(&a, "a", 600);
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    a.running = 0;
    began = now_ms();
    do { /* UNKNOWN: the deadline came just when it had begun to take over */
        rc = dynalock_acquire(&b.client, other, 100);
        calls++;
    } while (rc == DYNALOCK_TIMEOUT || rc == DYNALOCK_UNKNOWN);
    assert_ok(rc);
    assert_in_range(now_ms() - began, watch_of(600), watch_of(600) + SLACK_MS);
    assert_at_least(calls, 2);
    assert_true(dynalock_fence(other) > dynalock_fence(lock));
    a.running = 1;
}

/* One look never proves that a lock is free: however long the holder has been
   dead, its lease is watched. */
static void a_lease_is_watched_from_the_first_look_on(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    uint64_t began;

    (void)state;
    start_with_lease(&a, "a", 400);
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    a.running = 0;
    run_for(600);
    assert_outcome(dynalock_acquire(&b.client, other, 0), DYNALOCK_BUSY);
    began = now_ms();
    assert_ok(dynalock_acquire(&b.client, other, 5000));
    assert_at_least(now_ms() - began, watch_of(400) - SLACK_MS / 10);
    a.running = 1;
}

static void heartbeats_restart_a_waiters_watch(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);

    (void)state;
    start_with_lease(&a, "a", 600);
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(
        dynalock_start_acquire(&b.client, other, 1500), DYNALOCK_AGAIN);
    assert_outcome(
        run_while(&other->operation, DYNALOCK_AGAIN), DYNALOCK_TIMEOUT);
    assert_true(remaining(&a, lock) > 0);
}

static void cancel_ends_a_wait(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(dynalock_start_acquire(&b.client, other, DYNALOCK_FOREVER),
        DYNALOCK_AGAIN);
    run_for(200);
    dynalock_cancel(&b.client, &other->operation);
    assert_outcome(dynalock_result(&other->operation), DYNALOCK_CANCELLED);
    assert_ok(dynalock_release(&a.client, lock));
    assert_ok(dynalock_acquire(&b.client, other, 0));
}

static void a_cancelled_write_is_taken_back(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    proxy("fault silent-after on=UpdateItem");
    assert_outcome(
        dynalock_start_acquire(&a.client, lock, 5000), DYNALOCK_AGAIN);
    while (counter("faults") == 0) run_for(5);
    dynalock_cancel(&a.client, &lock->operation);
    assert_outcome(dynalock_result(&lock->operation), DYNALOCK_UNKNOWN);
    assert_int_equal(remaining(&a, lock), 0);
    assert_outcome(
        run_while(&lock->operation, DYNALOCK_UNKNOWN), DYNALOCK_CANCELLED);
    assert_ok(dynalock_acquire(&b.client, other, 0));
}

static void a_cancelled_renewal_leaves_the_lock_held(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(dynalock_start_renew(&a.client, lock), DYNALOCK_AGAIN);
    dynalock_cancel(&a.client, &lock->operation);
    assert_outcome(dynalock_result(&lock->operation), DYNALOCK_CANCELLED);
    assert_true(remaining(&a, lock) > 0);
    assert_ok(dynalock_renew(&a.client, lock));
    assert_ok(dynalock_release(&a.client, lock));
}

/* The answer counts for the call that it was sent for. */
static void the_answer_to_a_cancelled_renewal_is_not_the_next_ones(
    void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    proxy("fault denied on=UpdateItem");
    assert_outcome(dynalock_start_renew(&a.client, lock), DYNALOCK_AGAIN);
    (void)dynalock_poll(&a.client); /* it leaves */
    dynalock_cancel(&a.client, &lock->operation);
    while (counter("faults") == 0) continue; /* it is answered */
    assert_ok(dynalock_renew(&a.client, lock));
}

static void the_wait_hook_may_give_up(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    volatile int stop = 1;

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    b.posix.stop = &stop;
    assert_outcome(dynalock_acquire(&b.client, other, DYNALOCK_FOREVER),
        DYNALOCK_CANCELLED);
    b.posix.stop = NULL;
    assert_outcome(dynalock_acquire(&b.client, other, 0), DYNALOCK_BUSY);
}

/* ---- holding ---- */

static void polling_keeps_a_lock_for_many_leases(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    uint64_t end, fence;

    (void)state;
    start_with_lease(&a, "a", 700);
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    fence = dynalock_fence(lock);
    for (end = now_ms() + 2200; now_ms() < end;) {
        run_for(50);
        assert_true(remaining(&a, lock) > 0);
        assert_outcome(dynalock_acquire(&b.client, other, 0), DYNALOCK_BUSY);
    }
    assert_ok(dynalock_result(&lock->operation));
    assert_true(dynalock_fence(lock) == fence);
    assert_ok(dynalock_release(&a.client, lock));
}

static void heartbeats_survive_lost_answers(void **state)
{
    static const char *const faults[] = { "drop-request", "drop-answer", "500",
        "500-after", "throttle", "late 50", "duplicate", "bad-crc",
        "cut-answer 20", "close-after", "no-item" };
    dynalock_lock *lock = lock_named(__func__);
    uint64_t end;
    size_t i = 0;

    (void)state;
    start_with_lease(&a, "a", 900);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    for (end = now_ms() + 2500; now_ms() < end;) {
        if (counter("pending_faults") == 0)
            proxy("fault %s on=UpdateItem", faults[i++ % COUNT(faults)]);
        run_for(50);
        assert_true(remaining(&a, lock) > 0);
    }
    assert_at_least(counter("faults"), 5);
    assert_ok(dynalock_result(&lock->operation));
}

static void without_polls_the_lease_runs_out(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_with_lease(&a, "a", 400);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_at_most(remaining(&a, lock), 400);
    a.running = 0;
    run_for(400);
    a.running = 1;
    assert_int_equal(remaining(&a, lock), 0);
    (void)dynalock_poll(&a.client);
    assert_outcome(dynalock_result(&lock->operation), DYNALOCK_LOST_EXPIRED);
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_EXPIRED);
    assert_outcome(dynalock_release(&a.client, lock), DYNALOCK_LOST_EXPIRED);
}

static void with_manual_renew_only_the_caller_renews(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    prepare(&a, "a", harness("HTTP"));
    a.config.manual_renew = 1;
    a.config.lease_ms = 1000;
    start(&a);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    run_for(400);
    assert_int_equal(writes(), 1);
    assert_ok(dynalock_renew(&a.client, lock));
    assert_outcome(
        run_while(&lock->operation, DYNALOCK_OK), DYNALOCK_LOST_EXPIRED);
    assert_int_equal(writes(), 2);
}

static void the_fence_of_a_lost_lock_stays_readable(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint64_t fence;

    (void)state;
    start_plain(&a, "a");
    assert_int_equal(dynalock_fence(lock), 0);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    fence = dynalock_fence(lock);
    delete_item(__func__);
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_VANISHED);
    assert_true(dynalock_fence(lock) == fence);
}

static void another_lease_counts_from_the_next_renewal_on(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_set_lease(&a.client, lock, 60000));
    assert_at_most(remaining(&a, lock), LONG_LEASE_MS);
    assert_ok(dynalock_renew(&a.client, lock));
    assert_in_range(remaining(&a, lock), LONG_LEASE_MS, 60000);
    assert_int_equal(look(&a, __func__)->lease_ms, 60000);
    assert_outcome(dynalock_set_lease(&a.client, lock, 5), DYNALOCK_BAD_LEASE);
}

static void a_shorter_lease_counts_at_once(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_set_lease(&a.client, lock, 3000));
    assert_in_range(remaining(&a, lock), 1, 3000);
    assert_ok(dynalock_renew(&a.client, lock));
    assert_in_range(remaining(&a, lock), 1, 3000);
    assert_int_equal(look(&a, __func__)->lease_ms, 3000);
}

/* ---- losing ---- */

static void a_lock_that_was_stolen_is_lost(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    change_item(__func__, "ownerName=:o,recordVersionNumber=:r",
        "\":o\":{\"S\":\"thief\"},\":r\":{\"S\":\"stolen\"}");
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_STOLEN);
    assert_string_equal(a.client.detail.holder, "thief");
    assert_int_equal(remaining(&a, lock), 0);
    assert_outcome(dynalock_result(&lock->operation), DYNALOCK_LOST_STOLEN);
    assert_outcome(dynalock_release(&a.client, lock), DYNALOCK_LOST_STOLEN);
    assert_has(item(__func__), "\"ownerName\":{\"S\":\"thief\"}");
    assert_lacks(item(__func__), "isReleased");
}

static void a_lock_whose_item_was_deleted_is_lost(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    delete_item(__func__);
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_VANISHED);
    assert_int_equal(remaining(&a, lock), 0);
    assert_string_equal(item(__func__), "{}");
}

static void a_lock_that_somebody_released_is_lost(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    change_item(__func__, "isReleased=:y", "\":y\":{\"S\":\"1\"}");
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_RELEASED);
    assert_int_equal(remaining(&a, lock), 0);
}

static void a_heartbeat_finds_a_loss_without_being_asked(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_with_lease(&a, "a", 900);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    delete_item(__func__);
    assert_outcome(
        run_while(&lock->operation, DYNALOCK_OK), DYNALOCK_LOST_VANISHED);
    assert_int_equal(remaining(&a, lock), 0);
}

/* What is gone needs no giving back. */
static void releasing_what_was_lost_unnoticed_harms_nobody(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    change_item(__func__, "ownerName=:o,recordVersionNumber=:r",
        "\":o\":{\"S\":\"thief\"},\":r\":{\"S\":\"stolen\"}");
    assert_ok(dynalock_release(&a.client, lock));
    assert_has(item(__func__), "\"recordVersionNumber\":{\"S\":\"stolen\"}");
    assert_lacks(item(__func__), "isReleased");
}

static void a_lost_lock_can_be_acquired_again(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint64_t fence;

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    fence = dynalock_fence(lock);
    delete_item(__func__);
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_VANISHED);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_true(dynalock_fence(lock) > fence);
    assert_ok(dynalock_release(&a.client, lock));
}

/* ---- states of a lock ---- */

static void a_lock_that_is_not_held_cannot_be_given_back(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_outcome(dynalock_result(&lock->operation), DYNALOCK_NOT_HELD);
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_NOT_HELD);
    assert_outcome(dynalock_release(&a.client, lock), DYNALOCK_NOT_HELD);
    assert_outcome(
        dynalock_set_lease(&a.client, lock, 9000), DYNALOCK_NOT_HELD);
    assert_int_equal(counter("connections"), 0);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_release(&a.client, lock));
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_NOT_HELD);
    assert_outcome(dynalock_release(&a.client, lock), DYNALOCK_NOT_HELD);
}

static void a_held_lock_is_not_acquired_again(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *twin = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_HELD);
    assert_outcome(dynalock_acquire(&a.client, twin, 0), DYNALOCK_SAME_KEY);
    assert_outcome(dynalock_acquire(&b.client, lock, 0), DYNALOCK_IN_USE);
    assert_true(remaining(&a, lock) > 0);
    assert_int_equal(writes(), 1);
    assert_ok(dynalock_release(&a.client, lock));
    assert_ok(dynalock_acquire(&a.client, twin, 0));
}

static void nothing_else_begins_during_an_acquire(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *twin = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_outcome(
        dynalock_start_acquire(&a.client, lock, 5000), DYNALOCK_AGAIN);
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_IN_USE);
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_IN_USE);
    assert_outcome(dynalock_release(&a.client, lock), DYNALOCK_IN_USE);
    assert_outcome(dynalock_acquire(&a.client, twin, 0), DYNALOCK_SAME_KEY);
    assert_ok(run_while(&lock->operation, DYNALOCK_AGAIN));
}

static void nothing_else_begins_during_a_release(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(dynalock_start_release(&a.client, lock), DYNALOCK_AGAIN);
    assert_int_equal(remaining(&a, lock), 0);
    assert_outcome(dynalock_release(&a.client, lock), DYNALOCK_IN_USE);
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_IN_USE);
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_IN_USE);
    assert_ok(run_while(&lock->operation, DYNALOCK_AGAIN));
}

static void one_renewal_at_a_time(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(dynalock_start_renew(&a.client, lock), DYNALOCK_AGAIN);
    assert_outcome(dynalock_start_renew(&a.client, lock), DYNALOCK_IN_USE);
    assert_ok(run_while(&lock->operation, DYNALOCK_AGAIN));
}

static void a_release_may_begin_during_a_renewal(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_outcome(dynalock_start_renew(&a.client, lock), DYNALOCK_AGAIN);
    (void)dynalock_poll(&a.client); /* it leaves */
    assert_outcome(dynalock_start_release(&a.client, lock), DYNALOCK_AGAIN);
    assert_int_equal(remaining(&a, lock), 0);
    assert_ok(run_while(&lock->operation, DYNALOCK_AGAIN));
    assert_int_equal(look(&a, __func__)->status, DYNALOCK_RELEASED);
}

static void one_read_at_a_time_into_a_record(void **state)
{
    dynalock_outcome rc;
    dynalock_name name;

    (void)state;
    memset(&name, 0, sizeof name);
    name.key = __func__;
    start_plain(&a, "a");
    assert_outcome(
        dynalock_start_read(&a.client, &name, &record), DYNALOCK_AGAIN);
    rc = dynalock_start_read(&a.client, &name, &record);
    if (rc != DYNALOCK_IN_USE) a.running = 0; /* its list is broken */
    assert_outcome(rc, DYNALOCK_IN_USE);
    assert_ok(run_while(&record.operation, DYNALOCK_AGAIN));
}

static void with_runs_its_block_once_and_releases(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    int runs = 0;

    (void)state;
    start_plain(&a, "a");
    DYNALOCK_WITH(&a.client, lock, 0)
    {
        runs++;
        assert_true(remaining(&a, lock) > 0);
        assert_lacks(item(__func__), "isReleased");
    }
    assert_int_equal(runs, 1);
    assert_ok(dynalock_result(&lock->operation));
    assert_int_equal(remaining(&a, lock), 0);
    assert_has(item(__func__), "isReleased");
}

static void with_releases_on_break_and_continue(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    int runs = 0;

    (void)state;
    start_plain(&a, "a");
    DYNALOCK_WITH(&a.client, lock, 0)
    {
        if (runs++ == 0) break;
        fail();
    }
    assert_has(item(__func__), "isReleased");
    DYNALOCK_WITH(&a.client, lock, 0)
    {
        runs++;
        continue;
    }
    assert_int_equal(runs, 2);
    assert_int_equal(remaining(&a, lock), 0);
    assert_has(item(__func__), "isReleased");
}

#if defined(__GNUC__)
static int leave_by_return(dynalock_lock *lock)
{
    DYNALOCK_WITH(&a.client, lock, 0)
    {
        return 7;
    }
    return 0;
}

static void with_releases_on_return(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    assert_int_equal(leave_by_return(lock), 7);
    assert_int_equal(remaining(&a, lock), 0);
    assert_has(item(__func__), "isReleased");
}
#endif

static void with_runs_nothing_without_the_lock(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    DYNALOCK_WITH(&b.client, other, 0)
    {
        fail();
    }
    assert_outcome(dynalock_result(&other->operation), DYNALOCK_BUSY);
    assert_true(remaining(&a, lock) > 0);
}

static void closing_the_client_releases_what_it_holds(void **state)
{
    dynalock_lock *one = lock_named("closed 1"), *two = lock_named("closed 2");

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, one, 0));
    assert_ok(dynalock_acquire(&a.client, two, 0));
    assert_ok(dynalock_client_close(&a.client, PATIENCE_MS));
    a.running = 0;
    assert_int_equal(remaining(&a, one), 0);
    assert_ok(dynalock_acquire(&b.client, lock_named("closed 1"), 0));
    assert_ok(dynalock_acquire(&b.client, lock_named("closed 2"), 0));
    assert_outcome(dynalock_acquire(&a.client, one, 0), DYNALOCK_BAD_ARGUMENT);
}

static void closing_without_a_network_is_unknown_in_time(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint64_t began;

    (void)state;
    start_plain(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    proxy("fault silent x99");
    began = now_ms();
    assert_outcome(dynalock_client_close(&a.client, 300), DYNALOCK_UNKNOWN);
    a.running = 0;
    assert_in_range(now_ms() - began, 300, 300 + SLACK_MS);
}

/* ---- other people's items ---- */

static void foreign_items_are_left_alone(void **state)
{
    static const char owner[] = "\"ownerName\":{\"S\":\"x\"}";
    static const char lease[] = "\"leaseDuration\":{\"S\":\"50\"}";
    static const char rvn[] = "\"recordVersionNumber\":{\"S\":\"v\"}";
    static char long_owner[300], long_rvn[200];
    const char *const items[][4] = {
        { "", "", "", "" },
        { "\"price\":{\"N\":\"12\"}", "\"tags\":{\"SS\":[\"x\"]}", "", "" },
        { owner, lease, "", "" },
        { owner, "", rvn, "" },
        { "", lease, rvn, "" },
        { "\"ownerName\":{\"N\":\"1\"}", lease, rvn, "" },
        { owner, "\"leaseDuration\":{\"S\":\"soon\"}", rvn, "" },
        { owner, "\"leaseDuration\":{\"S\":\"0\"}", rvn, "" },
        { owner, "\"leaseDuration\":{\"S\":\"-5\"}", rvn, "" },
        { owner, "\"leaseDuration\":{\"S\":\"99999999999\"}", rvn, "" },
        { owner, lease, "\"recordVersionNumber\":{\"N\":\"1\"}", "" },
        { owner, lease, rvn, "\"fence\":{\"N\":\"1.5\"}" },
        { owner, lease, rvn, "\"fence\":{\"S\":\"1\"}" },
        { owner, lease, rvn, "\"fence\":{\"N\":\"9223372036854775807\"}" },
        { long_owner, lease, rvn, "" },
        { owner, lease, long_rvn, "" },
    };
    static char keys[COUNT(items)][48];
    char text[600], whole[1000];
    size_t i, k, size;

    (void)state;
    (void)snprintf(long_owner, sizeof long_owner,
        "\"ownerName\":{\"S\":\"%0*d\"}", DYNALOCK_OWNER_SIZE, 0);
    (void)snprintf(long_rvn, sizeof long_rvn,
        "\"recordVersionNumber\":{\"S\":\"%0*d\"}", DYNALOCK_RVN_SIZE, 0);
    start_plain(&a, "a");
    for (i = 0; i < COUNT(items); i++) {
        dynalock_lock *lock;

        (void)snprintf(
            keys[i], sizeof keys[i], "%s %u", __func__, (unsigned)i);
        lock = lock_named(keys[i]);
        for (k = size = 0, text[0] = '\0'; k < 4; k++)
            if (items[i][k][0] != '\0')
                size += (size_t)sprintf(
                    text + size, "%s%s", size ? "," : "", items[i][k]);
        put_item(keys[i], text);
        size = strlen(item(keys[i]));
        check_outcome(dynalock_acquire(&a.client, lock, 0),
            DYNALOCK_NOT_A_LOCK, text, __FILE__, __LINE__);
        check_outcome(dynalock_acquire(&a.client, lock, 300),
            DYNALOCK_NOT_A_LOCK, text, __FILE__, __LINE__);
        assert_int_equal(look(&a, keys[i])->status, DYNALOCK_FOREIGN);
        /* servers order attributes as they please: all are there, no other */
        (void)strcpy(whole, item(keys[i]));
        assert_int_equal(strlen(whole), size);
        for (k = 0; k < 4; k++) assert_has(whole, items[i][k]);
    }
}

static const char java_item[] =
    "\"ownerName\":{\"S\":\"java-1\"},\"leaseDuration\":{\"S\":\"600\"},"
    "\"recordVersionNumber\":"
    "{\"S\":\"a1b2c3d4-0000-4000-8000-00805f9b34fb\"},"
    "\"data\":{\"B\":\"amF2YQ==\"}";

static void a_java_holder_is_respected_until_its_lease_was_watched(
    void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint64_t began;

    (void)state;
    start_plain(&a, "a");
    put_item(__func__, java_item);
    assert_int_equal(look(&a, __func__)->status, DYNALOCK_LOCKED);
    assert_int_equal(record.lease_ms, 600);
    began = now_ms();
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_BUSY);
    assert_string_equal(a.client.detail.holder, "java-1");
    assert_int_equal(a.client.detail.holder_lease_ms, 600);
    assert_ok(dynalock_acquire(&a.client, lock, 5000));
    assert_in_range(now_ms() - began, watch_of(600), watch_of(600) + SLACK_MS);
    assert_has(item(__func__), "\"ownerName\":{\"S\":\"a\"}");
    assert_has(item(__func__), "\"fence\":{\"N\":\"");
    assert_lacks(item(__func__), "\"data\"");
}

static void a_java_heartbeat_restarts_the_watch(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint64_t began;

    (void)state;
    start_plain(&a, "a");
    put_item(__func__, java_item);
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_BUSY);
    run_for(400);
    began = now_ms();
    change_item(__func__, "recordVersionNumber=:r",
        "\":r\":{\"S\":\"a1b2c3d4-0000-4000-8000-00805f9b34fc\"}");
    assert_ok(dynalock_acquire(&a.client, lock, 5000));
    assert_at_least(now_ms() - began, watch_of(600));
}

static void what_java_released_is_free(void **state)
{
    static char released[400];
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    (void)snprintf(released, sizeof released,
        "%s,\"isReleased\":{\"S\":\"1\"}", java_item);
    start_plain(&a, "a");
    put_item(__func__, released);
    assert_int_equal(look(&a, __func__)->status, DYNALOCK_RELEASED);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_lacks(item(__func__), "isReleased");
}

/* "Released" is exactly isReleased = "1". */
static void what_only_looks_released_is_held(void **state)
{
    static const char *const marks[] = { "{\"BOOL\":true}", "{\"N\":\"1\"}",
        "{\"S\":\"0\"}", "{\"S\":\"true\"}" };
    dynalock_lock *lock = lock_named(__func__);
    char text[400];
    size_t i;

    (void)state;
    start_plain(&a, "a");
    for (i = 0; i < COUNT(marks); i++) {
        (void)snprintf(
            text, sizeof text, "%s,\"isReleased\":%s", java_item, marks[i]);
        put_item(__func__, text);
        assert_int_equal(look(&a, __func__)->status, DYNALOCK_LOCKED);
        assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_BUSY);
    }
}

/* Go clients write "600ms"; some write numbers. */
static void leases_are_read_in_other_spellings(void **state)
{
    static const struct {
        const char *attribute;
        uint32_t ms;
    } cases[] = { { "{\"S\":\"20s\"}", 20000 }, { "{\"S\":\"1m30s\"}", 90000 },
        { "{\"S\":\"500ms\"}", 500 }, { "{\"N\":\"1234\"}", 1234 } };
    char text[300];
    size_t i;

    (void)state;
    start_plain(&a, "a");
    for (i = 0; i < COUNT(cases); i++) {
        (void)snprintf(text, sizeof text,
            "\"ownerName\":{\"S\":\"x\"},\"recordVersionNumber\":{\"S\":\"v\"}"
            ",\"leaseDuration\":%s",
            cases[i].attribute);
        put_item(__func__, text);
        assert_int_equal(look(&a, __func__)->status, DYNALOCK_LOCKED);
        assert_int_equal(record.lease_ms, cases[i].ms);
    }
}

/* ---- connections ---- */

/* Begun before all other tests, so that the time passes by itself. */
static void the_servers_own_idle_timeout_is_no_failure(void **state)
{
    const uint64_t idle_ms = 7000; /* dynalite closes after 6 s */

    (void)state;
    if (now_ms() - sleeping_since < idle_ms)
        run_for((uint32_t)(idle_ms - (now_ms() - sleeping_since)));
    wait_for_end(&sleeper);
    assert_ok(dynalock_renew(&sleeper.client, &sleepers_lock));
    assert_ok(dynalock_release(&sleeper.client, &sleepers_lock));
    assert_ok(dynalock_client_close(&sleeper.client, 500));
}

static void tls_sessions_are_resumed(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    prepare(&a, "a", harness("HTTPS"));
    start(&a);
    proxy("fault close-after x3");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_renew(&a.client, lock));
    assert_ok(dynalock_renew(&a.client, lock));
    assert_ok(dynalock_release(&a.client, lock));
    assert_at_least(counter("handshakes"), 4);
    assert_int_equal(counter("resumed_handshakes"), counter("handshakes") - 1);
}

static void one_connection_serves_all_calls(void **state)
{
    const char *const urls[] = { harness("HTTP"), harness("HTTPS") };
    static const char *const keys[] = { "one plain", "one tls" };
    size_t i;
    int k;

    (void)state;
    for (i = 0; i < 2; i++) {
        dynalock_lock *lock = lock_named(keys[i]);

        prepare(&a, "a", urls[i]);
        start(&a);
        for (k = 0; k < 10; k++) {
            assert_ok(dynalock_acquire(&a.client, lock, 0));
            assert_ok(dynalock_release(&a.client, lock));
        }
        assert_ok(dynalock_client_close(&a.client, 500));
        a.running = 0;
    }
    assert_int_equal(counter("connections"), 2);
    assert_int_equal(counter("requests"), 40);
}

/* ---- particular faults ---- */

#define FAULT_LEASE_MS 1000 /* a request may take a quarter: 250 ms */
#define FAULT_REQUEST_MS 150

/* A pair of devices, the first of which will meet faults. A call of it that
   does not wait ends after connect_ms + FAULT_REQUEST_MS. */
static void start_pair(const char *url, uint32_t connect_ms, uint16_t attempts)
{
    prepare(&a, "a", url);
    a.config.lease_ms = FAULT_LEASE_MS;
    a.config.connect_ms = connect_ms;
    a.config.attempts = attempts;
    a.config.request_ms = FAULT_REQUEST_MS;
    start(&a);
    start_plain(&b, "b");
}

static void a_lost_answer_is_no_second_acquisition(void **state)
{
    static const char *const faults[] = { "drop-answer", "late 30",
        "duplicate", "500-after", "silent-after", "cut-answer 10", "bad-crc" };
    static char keys[COUNT(faults)][64];
    size_t i;

    (void)state;
    start_pair(harness("HTTP"), 400, 3);
    for (i = 0; i < COUNT(faults); i++) {
        dynalock_lock *lock;

        (void)snprintf(
            keys[i], sizeof keys[i], "%s %u", __func__, (unsigned)i);
        lock = lock_named(keys[i]);
        proxy("fault %s on=UpdateItem", faults[i]);
        assert_ok(dynalock_acquire(&a.client, lock, 0));
        run_for(60); /* the late copy has come and is refused */
        (void)look(&a, keys[i]);
        assert_string_equal(record.owner, "a");
        assert_true(record.fence == dynalock_fence(lock));
        assert_ok(dynalock_release(&a.client, lock));
    }
}

static void with_no_item_in_refusals_it_takes_a_look(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    proxy("fault no-item x99");
    assert_outcome(dynalock_acquire(&b.client, other, 0), DYNALOCK_BUSY);
    assert_string_equal(b.client.detail.holder, "a");
    assert_at_least(looks(), 1);
    delete_item(__func__);
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_VANISHED);
}

static void a_wait_is_bounded_though_nothing_answers(void **state)
{
    static const struct {
        const char *fault;
        dynalock_outcome outcome;
    } cases[] = { { "silent", DYNALOCK_UNKNOWN },
        { "drop-request", DYNALOCK_UNKNOWN }, { "500", DYNALOCK_UNKNOWN },
        { "throttle", DYNALOCK_THROTTLED } };
    static char keys[COUNT(cases)][64];
    dynalock_outcome rc;
    uint64_t began;
    size_t i;

    (void)state;
    start_pair(harness("HTTP"), 400, 3);
    for (i = 0; i < COUNT(cases); i++) {
        (void)snprintf(
            keys[i], sizeof keys[i], "%s %u", __func__, (unsigned)i);
        proxy("fault %s x9999", cases[i].fault);
        began = now_ms();
        rc = dynalock_acquire(&a.client, lock_named(keys[i]), 300);
        assert_in_range(now_ms() - began, 300, 300 + SLACK_MS);
        /* UNKNOWN: the deadline came with a write under way */
        if (rc != DYNALOCK_UNKNOWN) assert_outcome(rc, cases[i].outcome);
        proxy("clear");
    }
}

static void a_waiter_gets_over_faults_between_its_looks(void **state)
{
    dynalock_lock *lock = lock_named(__func__), *other = lock_named(__func__);
    uint64_t began;

    (void)state;
    start_with_lease(&a, "a", 1000);
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    a.running = 0;
    began = now_ms();
    assert_outcome(
        dynalock_start_acquire(&b.client, other, 10000), DYNALOCK_AGAIN);
    run_for(100);
    proxy("fault drop-request x3");
    proxy("fault throttle x3");
    proxy("fault 500 x2");
    proxy("fault cut-answer 5 x2");
    assert_ok(run_while(&other->operation, DYNALOCK_AGAIN));
    assert_in_range(
        now_ms() - began, watch_of(1000), watch_of(1000) + SLACK_MS);
    assert_int_equal(counter("pending_faults"), 0);
    a.running = 1;
}

static void the_next_acquire_waits_for_an_unknown_one(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&a, "a");
    proxy("fault drop-answer x3 on=UpdateItem");
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_UNKNOWN);
    assert_outcome(
        dynalock_start_acquire(&a.client, lock, 0), DYNALOCK_UNKNOWN);
    assert_ok(dynalock_acquire(&a.client, lock, 5000));
    assert_ok(dynalock_release(&a.client, lock));
}

static void the_detail_has_the_services_words(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    const dynalock_detail *detail = &a.client.detail;

    (void)state;
    start_plain(&a, "a");
    proxy("fault throttle x99");
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_THROTTLED);
    assert_int_equal(counter("faults"), 3); /* config.attempts */
    assert_int_equal(detail->http_status, 400);
    assert_string_equal(
        detail->type, "ProvisionedThroughputExceededException");
    assert_has(detail->message, "throughput");
    assert_has(detail->request_id, "PROXY");
}

/* Whatever happens between them and the server, never two at once, and every
   grant's fence is above the ones before. */
static void among_contenders_under_faults_one_holds(void **state)
{
    static const char *const faults[] = { "drop-answer", "late 120",
        "duplicate", "drop-request", "500-after", "throttle", "delay 300",
        "cut-answer 30", "bad-crc", "close-after", "late 500", "html",
        "silent-after", "no-item" };
    dynalock_lock *lock[COUNT(devices)];
    int had[COUNT(devices)] = { 0 };
    uint64_t end, highest = 0;
    size_t i, k = 0, grants = 0;

    (void)state;
    for (i = 0; i < COUNT(devices); i++) {
        prepare(devices[i],
            i == 0   ? "a"
            : i == 1 ? "b"
                     : "c",
            harness(i == 2 ? "HTTPS" : "HTTP"));
        devices[i]->config.lease_ms = 600;
        start(devices[i]);
        lock[i] = lock_named(__func__);
    }
    for (end = now_ms() + 3000; now_ms() < end; run_for(15)) {
        size_t holders = 0;

        if (counter("pending_faults") == 0)
            proxy("fault %s", faults[k++ % COUNT(faults)]);
        for (i = 0; i < COUNT(devices); i++) {
            int has = remaining(devices[i], lock[i]) > 0;

            holders += (size_t)has;
            if (has && !had[i]) {
                grants++;
                assert_true(dynalock_fence(lock[i]) > highest);
                highest = dynalock_fence(lock[i]);
            } else if (has && k % 3 == i) {
                (void)!dynalock_start_release(&devices[i]->client, lock[i]);
            } else if (!has) {
                (void)!dynalock_start_acquire(
                    &devices[i]->client, lock[i], DYNALOCK_FOREVER);
            }
            had[i] = has;
        }
        assert_at_most(holders, 1);
    }
    assert_at_least(grants, 3);
    assert_at_least(counter("faults"), 10);
}

/* ---- what the service refuses ---- */

static void a_missing_table_is_named_as_such(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_name name;

    (void)state;
    prepare(&a, "a", harness("HTTP"));
    a.config.table = "no-such-table";
    start(&a);
    assert_outcome(
        dynalock_acquire(&a.client, lock, 0), DYNALOCK_TABLE_MISSING);
    memset(&name, 0, sizeof name);
    name.key = __func__;
    assert_outcome(
        dynalock_read(&a.client, &name, &record), DYNALOCK_TABLE_MISSING);
    name.table = "locks";
    assert_ok(dynalock_read(&a.client, &name, &record));
}

static void a_table_with_other_keys_is_named_as_such(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_name name;

    (void)state;
    prepare(&a, "a", harness("HTTP"));
    a.config.table = "sorted";
    start(&a);
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_TABLE_SHAPE);
    memset(&name, 0, sizeof name);
    name.key = __func__;
    assert_outcome(
        dynalock_read(&a.client, &name, &record), DYNALOCK_TABLE_SHAPE);
}

static void credentials_that_are_wrong_are_refused(void **state)
{
    static const dynalock_credentials wrong[] = {
        { "AKIDUNKNOWN", "secret", NULL },
        { "AKIDEXAMPLE", "another secret", NULL },
        { "ASIAEXAMPLE", "secretOfSTS", NULL },
        { "ASIAEXAMPLE", "secretOfSTS", "another token" },
    };
    dynalock_lock *lock = lock_named(__func__);
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(wrong); i++) {
        prepare(&a, "a", harness("HTTP"));
        a.config.credentials = &wrong[i];
        start(&a);
        assert_outcome(dynalock_acquire(&a.client, lock, 0),
            DYNALOCK_CREDENTIALS_REFUSED);
        assert_ok(dynalock_client_close(&a.client, 100));
        a.running = 0;
    }
    assert_int_equal(counter("requests"), 4); /* asking again is no use */
    proxy("clear");
}

static void another_region_is_refused(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    prepare(&a, "a", harness("HTTP"));
    a.config.region = "eu-central-1";
    start(&a);
    assert_outcome(
        dynalock_acquire(&a.client, lock, 0), DYNALOCK_CREDENTIALS_REFUSED);
    proxy("clear");
}

static void a_clock_that_is_far_off_is_named_as_such(void **state)
{
    static const int64_t off_ms[] = { -3600000, 3600000 };
    dynalock_lock *lock = lock_named(__func__);
    size_t i;

    (void)state;
    start_plain(&a, "a");
    for (i = 0; i < 2; i++) {
        a.clock_off_ms = off_ms[i];
        assert_outcome(
            dynalock_acquire(&a.client, lock, 0), DYNALOCK_CLOCK_SKEW);
        a.clock_off_ms = 0;
        proxy("clock %d", (int)(off_ms[i] / 1000));
        assert_outcome(
            dynalock_acquire(&a.client, lock, 0), DYNALOCK_CLOCK_SKEW);
        proxy("clock 0");
    }
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    proxy("clear");
}

/* ---- TLS and connections that fail ---- */

/* A client whose connections go astray: each failure has an outcome of its
   own, in time, and ends with its cause. Nothing was sent, so that nothing is
   unknown. */
static void every_bad_connection_has_its_own_outcome(void **state)
{
    static const struct {
        const char *listener;
        dynalock_outcome outcome;
    } cases[] = {
        { "HTTPS_WRONGNAME", DYNALOCK_TLS_NAME },
        { "HTTPS_EXPIRED", DYNALOCK_TLS_DATE },
        { "HTTPS_NOTYET", DYNALOCK_TLS_DATE },
        { "HTTPS_SELFSIGNED", DYNALOCK_TLS_UNTRUSTED },
        { "HTTPS_TLS10", DYNALOCK_TLS_FAILED }, /* has none of our suites */
        { "HTTPS_TLS11", DYNALOCK_TLS_FAILED },
        { "HTTPS_CBC", DYNALOCK_TLS_FAILED },
        { "HTTPS_TLS13", DYNALOCK_TLS_NO_HANDSHAKE },
        { "DIRECT", DYNALOCK_TLS_NO_HANDSHAKE }, /* speaks plain HTTP */
        { "REFUSED", DYNALOCK_UNREACHABLE },
        { "MUTE", DYNALOCK_NO_ANSWER },
    };
    static char keys[COUNT(cases)][64];
    dynalock_outcome rc;
    uint64_t began;
    size_t i, k;

    (void)state;
    prepare(&a, "a", harness("HTTPS"));
    a.config.connect_ms = 300;
    a.config.request_ms = 300;
    start(&a);
    for (i = 0; i < COUNT(cases); i++) {
        dynalock_lock *lock;

        (void)snprintf(
            keys[i], sizeof keys[i], "%s %u", __func__, (unsigned)i);
        lock = lock_named(keys[i]);
        a.detour = port_of(harness(cases[i].listener));
        proxy("clear");
        for (k = 0; k < 2; k++) {
            began = now_ms();
            rc = dynalock_acquire(&a.client, lock, 0);
            if (rc != cases[i].outcome) print_error("%s: ", keys[i]);
            assert_outcome(rc, cases[i].outcome);
            assert_at_most(now_ms() - began, 600 + SLACK_MS);
            assert_int_equal(remaining(&a, lock), 0);
        }
        assert_int_equal(counter("requests"), 0);
        a.detour = 0;
        proxy("fault close-after x2");
        assert_ok(dynalock_acquire(&a.client, lock, 0));
        assert_ok(dynalock_release(&a.client, lock));
        wait_for_end(&a);
    }
}

static void a_certificate_of_another_authority_is_untrusted(void **state)
{
    static const char *const listeners[] = { "HTTPS", "HTTPS_RSA" };
    dynalock_lock *lock = lock_named(__func__);
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        prepare(&a, "a", harness(listeners[i]));
        dynalock_tls_init(
            &a.tls, dynalock_tls_small(), strangers.list, strangers.count);
        start(&a);
        assert_outcome(
            dynalock_acquire(&a.client, lock, 0), DYNALOCK_TLS_UNTRUSTED);
        assert_true(a.client.detail.tls_error != 0);
        assert_outcome(
            dynalock_acquire(&a.client, lock, 0), DYNALOCK_TLS_UNTRUSTED);
        assert_ok(dynalock_client_close(&a.client, 100));
        a.running = 0;
    }
    assert_int_equal(counter("requests"), 0);
}

static void a_clock_years_off_is_a_matter_of_certificates(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    prepare(&a, "a", harness("HTTPS"));
    start(&a);
    a.clock_off_ms = -(int64_t)86400000 * 365 * 20;
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_TLS_DATE);
    a.clock_off_ms = 0;
    assert_ok(dynalock_acquire(&a.client, lock, 0));
}

/* OpenSSL takes the refusal for the end, once it has answered; the next call
   finds out before it sends. */
static void a_second_handshake_is_refused(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    prepare(&a, "a", harness("HTTPS"));
    start(&a);
    proxy("fault renegotiate x2");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    wait_for_end(&a);
    assert_ok(dynalock_renew(&a.client, lock));
    wait_for_end(&a);
    assert_ok(dynalock_release(&a.client, lock));
    assert_int_equal(counter("faults"), 2);
    assert_int_equal(counter("handshakes"), 3);
    assert_int_equal(counter("requests"), 3);
}

static void plain_text_to_a_tls_port_fails_in_time(void **state)
{
    dynalock_name name;
    dynalock_outcome rc;

    (void)state;
    start_plain(&a, "a");
    memset(&name, 0, sizeof name);
    name.key = __func__;
    a.detour = port_of(harness("HTTPS"));
    rc = dynalock_read(&a.client, &name, &record);
    assert_true(rc == DYNALOCK_DISCONNECTED || rc == DYNALOCK_BAD_ANSWER);
    a.detour = 0;
    assert_ok(dynalock_read(&a.client, &name, &record));
}

static void nobody_listening_is_unreachable(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint64_t began = now_ms();

    (void)state;
    start_plain(&a, "a");
    a.detour = port_of(harness("REFUSED"));
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_UNREACHABLE);
    assert_int_equal(a.client.detail.port_error, -ECONNREFUSED);
    assert_outcome(
        dynalock_acquire(&a.client, lock, 200), DYNALOCK_UNREACHABLE);
    assert_in_range(now_ms() - began, 200, 200 + 2 * SLACK_MS);
    a.detour = 0;
    assert_ok(dynalock_acquire(&a.client, lock, 0));
}

/* Plain, the request has left: it may be carried out yet. */
static void a_mute_server_is_no_answer(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_name name;
    uint64_t began;

    (void)state;
    prepare(&a, "a", harness("HTTP"));
    a.config.connect_ms = 200;
    a.config.request_ms = 200;
    start(&a);
    memset(&name, 0, sizeof name);
    name.key = __func__;
    a.detour = port_of(harness("MUTE"));
    began = now_ms();
    assert_outcome(
        dynalock_read(&a.client, &name, &record), DYNALOCK_NO_ANSWER);
    assert_in_range(now_ms() - began, 200, 400 + SLACK_MS);
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_UNKNOWN);
    a.detour = 0;
    assert_outcome(
        run_while(&lock->operation, DYNALOCK_UNKNOWN), DYNALOCK_NO_ANSWER);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
}

static void a_name_that_does_not_resolve_is_unreachable(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    prepare(&a, "a", "http://no-such-host.invalid:1");
    a.config.attempts = 1;
    start(&a);
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_UNREACHABLE);
    assert_true(a.client.detail.port_error < 0);
}

/* ---- bad input: each outcome, and nothing is sent ---- */

static dynalock_outcome init_with_endpoint(const char *endpoint)
{
    prepare(&a, "a", harness("HTTP"));
    a.config.endpoint = endpoint;
    return dynalock_client_init(&a.client, &a.config);
}

static dynalock_outcome init_with_region(const char *region)
{
    prepare(&a, "a", harness("HTTP"));
    a.config.region = region;
    return dynalock_client_init(&a.client, &a.config);
}

static dynalock_outcome init_with_table(const char *table)
{
    prepare(&a, "a", harness("HTTP"));
    a.config.table = table;
    return dynalock_client_init(&a.client, &a.config);
}

static dynalock_outcome init_with_owner(const char *owner)
{
    prepare(&a, owner, harness("HTTP"));
    return dynalock_client_init(&a.client, &a.config);
}

static dynalock_outcome init_with_lease(uint32_t lease_ms)
{
    prepare(&a, "a", harness("HTTP"));
    a.config.lease_ms = lease_ms;
    return dynalock_client_init(&a.client, &a.config);
}

static dynalock_outcome init_with_credentials(
    const char *key_id, const char *secret)
{
    static dynalock_credentials credentials;

    prepare(&a, "a", harness("HTTP"));
    credentials.key_id = key_id;
    credentials.secret = secret;
    a.config.credentials = &credentials;
    return dynalock_client_init(&a.client, &a.config);
}

static dynalock_outcome name_lock(
    const char *key, const char *sort_key, const char *table)
{
    static dynalock_lock lock;
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = key;
    options.sort_key = sort_key;
    options.table = table;
    return dynalock_lock_init(&lock, &options);
}

static void assert_nothing_was_sent(void)
{
    assert_int_equal(counter("connections"), 0);
}

static void a_null_is_a_bad_argument(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_name name;
    unsigned interest = 1;
    uint32_t ms = 1;

    (void)state;
    memset(&name, 0, sizeof name);
    name.key = __func__;
    start_plain(&a, "a");
#define assert_bad(call) assert_outcome(call, DYNALOCK_BAD_ARGUMENT)
    assert_bad(dynalock_client_init(NULL, &a.config));
    assert_bad(dynalock_client_init(&b.client, NULL));
    assert_bad(dynalock_client_close(NULL, 0));
    assert_bad(dynalock_set_credentials(NULL, &long_term));
    assert_outcome(dynalock_set_credentials(&a.client, NULL),
        DYNALOCK_CREDENTIALS_MISSING);
    assert_bad(dynalock_lock_init(NULL, NULL));
    assert_bad(dynalock_lock_init(&locks[1], NULL));
    assert_bad(dynalock_acquire(NULL, lock, 0));
    assert_bad(dynalock_acquire(&a.client, NULL, 0));
    assert_bad(dynalock_renew(NULL, lock));
    assert_bad(dynalock_renew(&a.client, NULL));
    assert_bad(dynalock_release(NULL, lock));
    assert_bad(dynalock_release(&a.client, NULL));
    assert_bad(dynalock_read(NULL, &name, &record));
    assert_bad(dynalock_read(&a.client, NULL, &record));
    assert_bad(dynalock_read(&a.client, &name, NULL));
    assert_bad(dynalock_start_acquire(NULL, lock, 0));
    assert_bad(dynalock_start_acquire(&a.client, NULL, 0));
    assert_bad(dynalock_start_renew(&a.client, NULL));
    assert_bad(dynalock_start_release(&a.client, NULL));
    assert_bad(dynalock_start_read(&a.client, &name, NULL));
    assert_bad(dynalock_poll(NULL));
    assert_bad(dynalock_set_data(NULL, "", 0));
    assert_bad(dynalock_set_data(lock, NULL, 1));
    assert_bad(dynalock_set_lease(NULL, lock, 0));
    assert_bad(dynalock_set_lease(&a.client, NULL, 0));
    assert_bad(dynalock_posix_anchors(NULL, "x"));
    assert_bad(dynalock_posix_anchors(&strangers, NULL));
    assert_outcome(dynalock_result(NULL), DYNALOCK_NOT_HELD);
    assert_int_equal(dynalock_remaining_ms(NULL, lock), 0);
    assert_int_equal(dynalock_remaining_ms(&a.client, NULL), 0);
    assert_int_equal(dynalock_fence(NULL), 0);
    dynalock_wants(NULL, &interest, &ms);
    assert_int_equal(interest, 0);
    dynalock_cancel(&a.client, NULL);
    dynalock_cancel(NULL, &lock->operation);
    dynalock_tls_init(NULL, NULL, NULL, 0);
    assert_nothing_was_sent();
}

static void a_missing_hook_is_a_bad_argument(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    prepare(&a, "a", harness("HTTP"));
    a.config.platform = NULL;
    assert_bad(dynalock_client_init(&a.client, &a.config));
#define assert_needed(hook)                                                   \
    do {                                                                      \
        prepare(&a, "a", harness("HTTP"));                                    \
        a.platform.hook = NULL;                                               \
        assert_bad(dynalock_client_init(&a.client, &a.config));               \
        assert_bad(dynalock_acquire(&a.client, lock, 0));                     \
    } while (0)
    assert_needed(open);
    assert_needed(write);
    assert_needed(read);
    assert_needed(close);
    assert_needed(monotonic_ms);
    assert_needed(unix_ms);
    assert_needed(entropy);
    /* wait is for the blocking calls only */
    prepare(&a, "a", harness("HTTP"));
    a.platform.wait = NULL;
    start(&a);
    assert_bad(dynalock_acquire(&a.client, lock, 0));
    assert_nothing_was_sent();
    assert_outcome(dynalock_start_acquire(&a.client, lock, 0), DYNALOCK_AGAIN);
    assert_ok(run_while(&lock->operation, DYNALOCK_AGAIN));
}

static void bad_keys_are_refused(void **state)
{
    static char long_key[2050], long_sort_key[1026];
    static const char *const bad[] = { NULL, "", "\xff", "\xc0\xaf",
        "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80", "\xe2\x82", long_key };
    dynalock_name name;
    size_t i;

    (void)state;
    memset(long_key, 'k', 2049);
    memset(long_sort_key, 'k', 1025);
    start_plain(&a, "a");
    for (i = 0; i < COUNT(bad); i++) {
        assert_outcome(name_lock(bad[i], NULL, NULL), DYNALOCK_BAD_KEY);
        memset(&name, 0, sizeof name);
        name.key = bad[i];
        assert_outcome(
            dynalock_read(&a.client, &name, &record), DYNALOCK_BAD_KEY);
        if (bad[i] == NULL) continue; /* none, as a sort key */
        assert_outcome(name_lock("k", bad[i], NULL), DYNALOCK_BAD_KEY);
    }
    assert_outcome(name_lock("k", long_sort_key, NULL), DYNALOCK_BAD_KEY);
    long_sort_key[1024] = '\0';
    assert_ok(name_lock("k", long_sort_key, NULL));
    long_key[2048] = '\0';
    assert_ok(name_lock(long_key, NULL, NULL));
    assert_nothing_was_sent();
}

static void a_sort_key_belongs_to_tables_that_have_one(void **state)
{
    dynalock_lock_options options;
    dynalock_name name;

    (void)state;
    memset(&options, 0, sizeof options);
    memset(&name, 0, sizeof name);
    options.key = name.key = __func__;
    start_plain(&a, "a");
    start_sorted(&b, "b");
    assert_outcome(
        dynalock_acquire(&b.client, new_lock(&options), 0), DYNALOCK_BAD_KEY);
    assert_outcome(dynalock_read(&b.client, &name, &record), DYNALOCK_BAD_KEY);
    options.sort_key = name.sort_key = "1";
    assert_outcome(
        dynalock_acquire(&a.client, new_lock(&options), 0), DYNALOCK_BAD_KEY);
    assert_outcome(dynalock_read(&a.client, &name, &record), DYNALOCK_BAD_KEY);
    /* and one that is bad */
    name.sort_key = "\xff";
    assert_outcome(dynalock_read(&b.client, &name, &record), DYNALOCK_BAD_KEY);
    name.sort_key = "";
    assert_outcome(dynalock_read(&b.client, &name, &record), DYNALOCK_BAD_KEY);
    assert_nothing_was_sent();
}

static void bad_tables_are_refused(void **state)
{
    static char long_name[257];
    static const char *const bad[] = { "", "ab", "lo cks", "locks/1",
        "l\xc3"
        "\xa9s",
        long_name };
    dynalock_name name;
    size_t i;

    (void)state;
    memset(long_name, 't', 256);
    assert_outcome(init_with_table(NULL), DYNALOCK_BAD_TABLE);
    for (i = 0; i < COUNT(bad); i++) {
        assert_outcome(init_with_table(bad[i]), DYNALOCK_BAD_TABLE);
        assert_outcome(name_lock("k", NULL, bad[i]), DYNALOCK_BAD_TABLE);
    }
    start_plain(&a, "a");
    memset(&name, 0, sizeof name);
    name.key = "k";
    for (i = 0; i < COUNT(bad); i++) {
        name.table = bad[i];
        assert_outcome(
            dynalock_read(&a.client, &name, &record), DYNALOCK_BAD_TABLE);
    }
    long_name[255] = '\0';
    assert_ok(name_lock("k", NULL, long_name));
    assert_ok(init_with_table("Aa9_.-"));
    assert_nothing_was_sent();
}

static void bad_leases_are_refused(void **state)
{
    static const uint32_t bad[] = { 1, DYNALOCK_CLOCK_STEP_MS, 0x80000000u,
        0xffffffffu };
    dynalock_lock_options options;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(bad); i++)
        assert_outcome(init_with_lease(bad[i]), DYNALOCK_BAD_LEASE);
    start_plain(&a, "a");
    memset(&options, 0, sizeof options);
    options.key = __func__;
    for (i = 0; i < COUNT(bad); i++) {
        options.lease_ms = bad[i];
        assert_outcome(dynalock_acquire(&a.client, new_lock(&options), 0),
            DYNALOCK_BAD_LEASE);
        assert_outcome(dynalock_set_lease(&a.client, &locks[0], bad[i]),
            DYNALOCK_BAD_LEASE);
    }
    assert_ok(init_with_lease(0x7fffffff));
    assert_ok(init_with_lease(100));
    assert_nothing_was_sent();
}

static void bad_regions_are_refused(void **state)
{
    static const char *const bad[] = { NULL, "", "EU-CENTRAL-1", "eu central",
        "eu/central-1", "a-region-name-that-is-much-too-long-1" };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(bad); i++)
        assert_outcome(init_with_region(bad[i]), DYNALOCK_BAD_REGION);
    prepare(&a, "a", harness("HTTPS"));
    a.config.endpoint = NULL; /* then it must be one that AWS has */
    a.config.region = "local";
    assert_outcome(
        dynalock_client_init(&a.client, &a.config), DYNALOCK_BAD_REGION);
    a.config.region = "us-gov-west-1";
    assert_ok(dynalock_client_init(&a.client, &a.config));
    assert_ok(init_with_region("local"));
    assert_nothing_was_sent();
}

static void bad_endpoints_are_refused(void **state)
{
    static char long_host[8 + DYNALOCK_HOST_SIZE];
    static const char *const bad[] = { "", "localhost", "ftp://host",
        "http://", "http:///", "http://:80", "http://host:", "http://host:0",
        "http://host:65536", "http://host:-1", "http://host:8x",
        "http://host:80:80", "http://host/path", "http://a b", "http://u@host",
        "http://[::1]", "http//host", "http://host:80//", long_host };
    size_t i;

    (void)state;
    (void)strcpy(long_host, "http://");
    memset(long_host + 7, 'h', DYNALOCK_HOST_SIZE);
    for (i = 0; i < COUNT(bad); i++) {
        if (init_with_endpoint(bad[i]) != DYNALOCK_BAD_ENDPOINT)
            fail_msg("%s", bad[i]);
    }
    assert_ok(init_with_endpoint("http://host"));
    assert_ok(init_with_endpoint("HTTP://host:65535/"));
    assert_nothing_was_sent();
}

static void bad_owners_are_refused(void **state)
{
    static char long_name[DYNALOCK_OWNER_SIZE + 1];

    (void)state;
    memset(long_name, 'o', DYNALOCK_OWNER_SIZE);
    assert_outcome(init_with_owner(""), DYNALOCK_BAD_OWNER);
    assert_outcome(init_with_owner("\xff"), DYNALOCK_BAD_OWNER);
    assert_outcome(init_with_owner(long_name), DYNALOCK_BAD_OWNER);
    long_name[DYNALOCK_OWNER_SIZE - 1] = '\0';
    assert_ok(init_with_owner(long_name));
    assert_nothing_was_sent();
}

static void plain_and_tls_are_not_confused(void **state)
{
    (void)state;
#define assert_bad_tls()                                                      \
    assert_outcome(                                                           \
        dynalock_client_init(&a.client, &a.config), DYNALOCK_BAD_TLS)
    prepare(&a, "a", harness("HTTPS"));
    a.config.tls = NULL;
    assert_bad_tls();
    a.config.secure_transport = 1; /* the port does it */
    assert_ok(dynalock_client_init(&a.client, &a.config));
    a.config.tls = &a.tls; /* both */
    assert_bad_tls();
    prepare(&a, "a", harness("HTTP"));
    a.config.secure_transport = 1;
    assert_bad_tls();
    prepare(&a, "a", harness("HTTPS"));
    a.config.endpoint = harness("HTTP");
    assert_bad_tls();
    prepare(&a, "a", harness("HTTPS")); /* none to trust */
    dynalock_tls_init(&a.tls, dynalock_tls_small(), anchors.list, 0);
    assert_bad_tls();
    dynalock_tls_init(&a.tls, dynalock_tls_small(), NULL, 1);
    assert_bad_tls();
    dynalock_tls_init(&a.tls, NULL, anchors.list, anchors.count);
    assert_bad_tls();
    a.config.endpoint = NULL; /* https to AWS */
    a.config.tls = NULL;
    assert_bad_tls();
    assert_nothing_was_sent();
}

static void missing_credentials_are_named_as_such(void **state)
{
    (void)state;
    assert_outcome(
        init_with_credentials(NULL, "secret"), DYNALOCK_CREDENTIALS_MISSING);
    assert_outcome(
        init_with_credentials("id", NULL), DYNALOCK_CREDENTIALS_MISSING);
    assert_outcome(
        init_with_credentials("", "secret"), DYNALOCK_CREDENTIALS_MISSING);
    assert_outcome(
        init_with_credentials("id", ""), DYNALOCK_CREDENTIALS_MISSING);
    prepare(&a, "a", harness("HTTP"));
    a.config.credentials = NULL;
    assert_outcome(dynalock_client_init(&a.client, &a.config),
        DYNALOCK_CREDENTIALS_MISSING);
    assert_nothing_was_sent();
}

static void without_entropy_nothing_is_sent(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_name name;

    (void)state;
    prepare(&a, "a", harness("HTTPS"));
    a.no_entropy = 1;
    assert_outcome(
        dynalock_client_init(&a.client, &a.config), DYNALOCK_NO_ENTROPY);
    a.no_entropy = 0;
    start(&a);
    a.no_entropy = 1;
    assert_outcome(dynalock_acquire(&a.client, lock, 0), DYNALOCK_NO_ENTROPY);
    assert_nothing_was_sent();
    memset(&name, 0, sizeof name);
    name.key = __func__;
    assert_outcome(
        dynalock_read(&a.client, &name, &record), DYNALOCK_NO_ENTROPY);
    assert_int_equal(counter("handshakes"), 0);
    a.no_entropy = 0;
    assert_ok(dynalock_acquire(&a.client, lock, 0));
}

static void without_a_clock_nothing_is_sent(void **state)
{
    const char *const urls[] = { harness("HTTP"), harness("HTTPS") };
    static const char *const keys[] = { "unset plain", "unset tls" };
    dynalock_name name;
    size_t i;

    (void)state;
    memset(&name, 0, sizeof name);
    for (i = 0; i < 2; i++) {
        dynalock_lock *lock = lock_named(keys[i]);

        name.key = keys[i];
        proxy("clear");
        prepare(&a, "a", urls[i]);
        a.no_clock = 1;
        start(&a);
        assert_outcome(
            dynalock_acquire(&a.client, lock, 0), DYNALOCK_CLOCK_UNSET);
        assert_outcome(
            dynalock_read(&a.client, &name, &record), DYNALOCK_CLOCK_UNSET);
        assert_nothing_was_sent();
        a.no_clock = 0;
        assert_ok(dynalock_acquire(&a.client, lock, 0));
        a.no_clock = 1;
        assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_CLOCK_UNSET);
        assert_true(remaining(&a, lock) > 0);
        assert_outcome(
            dynalock_release(&a.client, lock), DYNALOCK_CLOCK_UNSET);
        assert_int_equal(remaining(&a, lock), 0);
        assert_int_equal(counter("requests"), 1);
        assert_ok(dynalock_client_close(&a.client, 100));
        a.running = 0;
    }
}

static dynalock_outcome read_anchors(const char *name)
{
    static dynalock_anchors scratch;
    static char path[512];

    memset(&scratch, 0, sizeof scratch);
    (void)snprintf(path, sizeof path, "%s/%s", harness("PKI"), name);
    return dynalock_posix_anchors(&scratch, path);
}

static void anchor_files_that_are_none_are_refused(void **state)
{
    static dynalock_anchors many;
    dynalock_outcome rc;

    (void)state;
    assert_ok(read_anchors("ca.pem"));
    assert_outcome(read_anchors("no-such-file.pem"), DYNALOCK_NO_FILE);
    assert_outcome(read_anchors("."), DYNALOCK_NO_FILE);
    assert_outcome(read_anchors("ec.key"), DYNALOCK_BAD_FILE);
    assert_outcome(read_anchors("complete"), DYNALOCK_BAD_FILE);
    while ((rc = dynalock_posix_anchors(&many, harness("CA"))) == DYNALOCK_OK)
        assert_true(many.count <= DYNALOCK_ANCHORS);
    assert_outcome(rc, DYNALOCK_BAD_BUFFER);
    assert_int_equal(many.count, DYNALOCK_ANCHORS);
}

static void every_outcome_has_a_sentence(void **state)
{
    int outcome, named = 0;

    (void)state;
    for (outcome = -128; outcome <= 1; outcome++) {
        const char *text = dynalock_explain((dynalock_outcome)outcome);

        assert_non_null(text);
        assert_at_least(strlen(text), 1);
        if (strncmp(text, "Not an outcome", 14) != 0) named++;
    }
    assert_at_least(named, 48);
}

/* ---- all of them ---- */

#define PROMISE(test)                                                         \
    cmocka_unit_test_setup_teardown(test, before_each, after_each)

int main(int argc, char **argv)
{
    static const struct CMUnitTest promises[] = {
        PROMISE(the_job_is_done_over_plain_http),
        PROMISE(the_job_is_done_over_tls_with_an_ec_certificate),
        PROMISE(the_job_is_done_over_tls_with_an_rsa_certificate),
        PROMISE(the_wide_profile_does_the_job_too),
        PROMISE(the_item_is_that_of_the_java_client_and_a_fence),
        PROMISE(an_owner_without_a_name_gets_32_hex_digits),
        PROMISE(the_fence_rises_though_the_item_was_deleted),
        PROMISE(a_clock_that_is_behind_does_not_lower_the_fence),
        PROMISE(one_client_holds_many_locks),
        PROMISE(a_sort_key_tells_locks_apart),
        PROMISE(a_lock_may_have_a_table_and_a_lease_of_its_own),
        PROMISE(a_key_may_be_any_utf8),
        PROMISE(an_owner_name_may_be_any_utf8_up_to_its_size),
        PROMISE(data_is_stored_with_the_lock_and_read_back),
        PROMISE(without_data_what_the_last_holder_left_is_removed),
        PROMISE(data_that_does_not_fit_is_too_long),
        PROMISE(the_ttl_lies_an_hour_past_the_lease),
        PROMISE(temporary_credentials_with_tokens_are_signed),
        PROMISE(new_credentials_serve_from_the_next_request_on),

        PROMISE(one_try_on_a_held_lock_is_busy_and_names_the_holder),
        PROMISE(a_bounded_wait_ends_at_its_deadline),
        PROMISE(a_wait_that_ends_during_a_look_is_a_timeout),
        PROMISE(a_waiter_has_the_lock_within_a_poll_of_its_release),
        PROMISE(a_dead_holders_lock_is_taken_over_after_its_lease),
        PROMISE(short_waits_outlive_a_dead_holder_too),
        PROMISE(a_lease_is_watched_from_the_first_look_on),
        PROMISE(heartbeats_restart_a_waiters_watch),
        PROMISE(cancel_ends_a_wait),
        PROMISE(a_cancelled_write_is_taken_back),
        PROMISE(a_cancelled_renewal_leaves_the_lock_held),
        PROMISE(the_answer_to_a_cancelled_renewal_is_not_the_next_ones),
        PROMISE(the_wait_hook_may_give_up),

        PROMISE(polling_keeps_a_lock_for_many_leases),
        PROMISE(heartbeats_survive_lost_answers),
        PROMISE(without_polls_the_lease_runs_out),
        PROMISE(with_manual_renew_only_the_caller_renews),
        PROMISE(the_fence_of_a_lost_lock_stays_readable),
        PROMISE(another_lease_counts_from_the_next_renewal_on),
        PROMISE(a_shorter_lease_counts_at_once),

        PROMISE(a_lock_that_was_stolen_is_lost),
        PROMISE(a_lock_whose_item_was_deleted_is_lost),
        PROMISE(a_lock_that_somebody_released_is_lost),
        PROMISE(a_heartbeat_finds_a_loss_without_being_asked),
        PROMISE(releasing_what_was_lost_unnoticed_harms_nobody),
        PROMISE(a_lost_lock_can_be_acquired_again),

        PROMISE(a_lock_that_is_not_held_cannot_be_given_back),
        PROMISE(a_held_lock_is_not_acquired_again),
        PROMISE(nothing_else_begins_during_an_acquire),
        PROMISE(nothing_else_begins_during_a_release),
        PROMISE(one_renewal_at_a_time),
        PROMISE(a_release_may_begin_during_a_renewal),
        PROMISE(one_read_at_a_time_into_a_record),
        PROMISE(with_runs_its_block_once_and_releases),
        PROMISE(with_releases_on_break_and_continue),
#if defined(__GNUC__)
        PROMISE(with_releases_on_return),
#endif
        PROMISE(with_runs_nothing_without_the_lock),
        PROMISE(closing_the_client_releases_what_it_holds),
        PROMISE(closing_without_a_network_is_unknown_in_time),

        PROMISE(foreign_items_are_left_alone),
        PROMISE(a_java_holder_is_respected_until_its_lease_was_watched),
        PROMISE(a_java_heartbeat_restarts_the_watch),
        PROMISE(what_java_released_is_free),
        PROMISE(what_only_looks_released_is_held),
        PROMISE(leases_are_read_in_other_spellings),

        PROMISE(tls_sessions_are_resumed),
        PROMISE(one_connection_serves_all_calls),

        PROMISE(a_lost_answer_is_no_second_acquisition),
        PROMISE(with_no_item_in_refusals_it_takes_a_look),
        PROMISE(a_wait_is_bounded_though_nothing_answers),
        PROMISE(a_waiter_gets_over_faults_between_its_looks),
        PROMISE(the_next_acquire_waits_for_an_unknown_one),
        PROMISE(the_detail_has_the_services_words),
        PROMISE(among_contenders_under_faults_one_holds),

        PROMISE(a_missing_table_is_named_as_such),
        PROMISE(a_table_with_other_keys_is_named_as_such),
        PROMISE(credentials_that_are_wrong_are_refused),
        PROMISE(another_region_is_refused),
        PROMISE(a_clock_that_is_far_off_is_named_as_such),

        PROMISE(every_bad_connection_has_its_own_outcome),
        PROMISE(a_certificate_of_another_authority_is_untrusted),
        PROMISE(a_clock_years_off_is_a_matter_of_certificates),
        PROMISE(a_second_handshake_is_refused),
        PROMISE(plain_text_to_a_tls_port_fails_in_time),
        PROMISE(nobody_listening_is_unreachable),
        PROMISE(a_mute_server_is_no_answer),
        PROMISE(a_name_that_does_not_resolve_is_unreachable),

        PROMISE(a_null_is_a_bad_argument),
        PROMISE(a_missing_hook_is_a_bad_argument),
        PROMISE(bad_keys_are_refused),
        PROMISE(a_sort_key_belongs_to_tables_that_have_one),
        PROMISE(bad_tables_are_refused),
        PROMISE(bad_leases_are_refused),
        PROMISE(bad_regions_are_refused),
        PROMISE(bad_endpoints_are_refused),
        PROMISE(bad_owners_are_refused),
        PROMISE(plain_and_tls_are_not_confused),
        PROMISE(missing_credentials_are_named_as_such),
        PROMISE(without_entropy_nothing_is_sent),
        PROMISE(without_a_clock_nothing_is_sent),
        PROMISE(anchor_files_that_are_none_are_refused),
        PROMISE(every_outcome_has_a_sentence),

        /* the last one is dynalite's alone: dynoxide never closes */
        PROMISE(the_servers_own_idle_timeout_is_no_failure),
    };

    size_t promise_count = COUNT(promises);

    if (argc > 1) cmocka_set_test_filter(argv[1]); /* a name, * and ? */
    if (strcmp(harness("SERVER"), "dynalite") != 0) promise_count--;
    return _cmocka_run_group_tests(
        harness("SERVER"), promises, promise_count, start_promises, NULL);
}
