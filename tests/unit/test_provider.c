/*
Credentials that are fetched: when, how often, what a failure does, and what
stays in memory. The source here is one of the test's own; the sources of
dynalock.h are in test_sources.c.
*/
#define DYNALOCK_LOG 4
#include "world.h"

#define HOUR 3600000u

static world w;
static dynalock_lock lock;
static dynalock_provider provider;
static char memory[2048];

/* The source: after so many steps it fails, or gives keys of that life. */
static struct {
    int fetches, stops, steps, steps_left;
    uint64_t step_ms; /* time that each step takes */
    dynalock_outcome fails;
    uint32_t life_ms; /* 0: for ever */
    uint64_t at;      /* when the last fetch began */
    const char *token;
    int provides_nothing;
} source;

static dynalock_outcome provide(dynalock_client *client, dynalock_provider *to)
{
    char id[32], secret[32];
    dynalock_credentials fresh;
    int64_t expires = 0;

    (void)snprintf(id, sizeof id, "ID%d", source.fetches);
    (void)snprintf(secret, sizeof secret, "hush-%d-hush", source.fetches);
    fresh.key_id = id;
    fresh.secret = secret;
    fresh.token = source.token;
    if (source.life_ms != 0)
        expires = world_unix(&w) + (int64_t)source.life_ms;
    return dynalock_provide(client, to, &fresh, expires);
}

static dynalock_outcome step(dynalock_client *client, dynalock_provider *to)
{
    assert_ptr_equal(to->context, &source);
    source.steps++;
    if (source.steps_left == 0) {
        source.steps_left = 3;
        source.fetches++;
        source.at = w.now;
    }
    w.now += source.step_ms;
    if (--source.steps_left > 0) {
        client->exchange.interest = DYNALOCK_WRITE; /* at once */
        return DYNALOCK_AGAIN;
    }
    if (source.fails != DYNALOCK_OK) return source.fails;
    return source.provides_nothing ? DYNALOCK_OK : provide(client, to);
}

static void stop(dynalock_client *client, dynalock_provider *to)
{
    (void)client;
    (void)to;
    source.steps_left = 0;
    source.stops++;
}

static const dynalock_source own = { "the test", step, stop };

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    memset(&source, 0, sizeof source);
    source.life_ms = HOUR;
    assert_int_equal(
        dynalock_provider_init(&provider, own, &source, memory, sizeof memory),
        DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    return 0;
}

static void acquire(void)
{
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
}

static int is_in_use(const char *id)
{
    return strcmp(w.client.config.credentials->key_id, id) == 0;
}

/* ---- when ---- */

static void test_an_idle_client_fetches_nothing(void **state)
{
    (void)state;
    world_run(&w, HOUR);
    assert_int_equal(dynalock_poll(&w.client), DYNALOCK_OK);
    assert_int_equal(source.steps, 0);
    acquire();
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_poll(&w.client), DYNALOCK_OK);
    world_run(&w, 3 * HOUR);
    assert_int_equal(source.fetches, 1);
}

static void test_the_first_request_waits_for_them(void **state)
{
    (void)state;
    acquire();
    assert_int_equal(source.fetches, 1);
    assert_int_equal(source.stops, 1);
    assert_int_equal(w.requests, 1);
    assert_true(is_in_use("ID1"));
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(source.fetches, 1);
    assert_int_equal(w.opens, 1);
}

static void test_the_token_is_sent(void **state)
{
    (void)state;
    source.token = "tok/en+=";
    w.faults[0] = FAULT_LOSE_REQUEST;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    while (w.requests == 0) (void)dynalock_poll(&w.client);
    assert_non_null(
        strstr(w.request, "\r\nx-amz-security-token:tok/en+=\r\n"));
    assert_non_null(strstr(w.request, "Credential=ID1/"));
}

/* Twelve hours of a lock of ten seconds, with keys of an hour: what the issue
   asks for. Every heartbeat leaves when it is due. */
static void test_twelve_hours_no_heartbeat_is_late(void **state)
{
    uint64_t end = w.now + 12 * (uint64_t)HOUR;
    uint32_t least = 10000;

    (void)state;
    source.step_ms = 100; /* 300 ms for each fetch */
    w.latency = 20;
    acquire();
    while (w.now < end) {
        uint32_t left;

        world_run(&w, 50);
        left = dynalock_remaining_ms(&w.client, &lock);
        assert_true(left > 0);
        if (left < least) least = left;
    }
    /* a third is gone when it is due, then the latency, a fetch at the worst,
       and the steps of this loop */
    assert_true(least >= 9890 - 3333 - 20 - 50 - 10);
    assert_in_range(source.fetches, 13, 14);
    /* two connections for each: the source's own is not the world's */
    assert_int_equal(w.opens, source.fetches);
}

/* Right after a renewal, when there is most time, and never before it. */
static void test_a_refresh_follows_a_renewal(void **state)
{
    uint64_t asked;

    (void)state;
    acquire();
    world_run(&w, HOUR - 301000);
    assert_int_equal(source.fetches, 1);
    world_run(&w, 70000);
    assert_int_equal(source.fetches, 2);
    asked = source.at;
    /* all but what the request takes is left at that moment */
    assert_true(lock.base <= asked + 60000);
    assert_true(is_in_use("ID2"));
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
}

static void test_no_refresh_while_a_lock_is_short_of_time(void **state)
{
    (void)state;
    w.config.manual_renew = 1;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    source.life_ms = 8000; /* to be renewed from 4 s on */
    acquire();
    world_run(&w, 5500); /* 4,390 ms are left; a quarter may pass in opening */
    assert_true(dynalock_remaining_ms(&w.client, &lock) < 5000);
    {
        static dynalock_record record;
        static const dynalock_name name = { "other", NULL, NULL };

        assert_int_equal(
            dynalock_read(&w.client, &name, &record), DYNALOCK_OK);
        world_run(&w, 100);
        assert_int_equal(source.fetches, 1);
        assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
        world_run(&w, 100);
        assert_int_equal(source.fetches, 2);
    }
}

/* Whoever has begun to connect to the service goes on with it: its connection
   must not be taken for the source's. */
static void test_keys_run_out_while_connecting(void **state)
{
    (void)state;
    acquire();
    w.peer_closed = 1;
    provider.until = w.now + 100;
    w.mute_open = 1;
    assert_int_equal(dynalock_start_renew(&w.client, &lock), DYNALOCK_AGAIN);
    world_run(&w, 200);
    assert_int_equal(source.fetches, 1);
    w.mute_open = 0;
    world_run(&w, 10);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
    assert_non_null(strstr(w.request, "Credential=ID1/"));
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(source.fetches, 2);
}

static void test_keys_without_expiry_are_never_fetched_again(void **state)
{
    (void)state;
    source.life_ms = 0;
    acquire();
    world_run(&w, 30 * HOUR);
    assert_int_equal(source.fetches, 1);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
}

/* A clock that is years behind makes lives of years: half a day at most. */
static void test_a_life_is_bounded(void **state)
{
    (void)state;
    source.life_ms = 4000000000u;
    acquire();
    world_run(&w, 12 * HOUR);
    assert_int_equal(source.fetches, 2);
}

static void test_a_short_life_is_lived(void **state)
{
    (void)state;
    source.life_ms = 20000;
    acquire();
    world_run(&w, 600000);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    assert_in_range(source.fetches, 30, 65);
}

/* ---- refused ones ---- */

static void test_refused_ones_are_fetched_again_once(void **state)
{
    (void)state;
    w.faults[0] = FAULT_EXPIRED_TOKEN;
    acquire();
    assert_int_equal(source.fetches, 2);
    assert_int_equal(w.requests, 2);
    assert_true(is_in_use("ID2"));
}

static void test_refused_again_ends_the_call(void **state)
{
    (void)state;
    w.faults[0] = w.faults[1] = w.faults[2] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 60000),
        DYNALOCK_CREDENTIALS_EXPIRED);
    assert_int_equal(source.fetches, 2);
    assert_int_equal(w.requests, 2);
    assert_string_equal(w.client.detail.type, "ExpiredTokenException");
}

static void test_a_held_lock_survives_a_refusal(void **state)
{
    (void)state;
    acquire();
    w.faults[w.fault_at] = FAULT_EXPIRED_TOKEN;
    world_run(&w, 30000);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(source.fetches, 2);
}

/* ---- failures ---- */

static void test_a_failure_is_the_calls_outcome(void **state)
{
    (void)state;
    source.fails = DYNALOCK_DENIED;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 60000), DYNALOCK_DENIED);
    assert_string_equal(w.client.detail.type, "the test");
    assert_int_equal(source.fetches, 1);
    assert_int_equal(w.requests, 0);
    source.fails = DYNALOCK_OK;
    acquire();
}

static void test_what_passes_is_tried_again(void **state)
{
    (void)state;
    source.fails = DYNALOCK_THROTTLED;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_THROTTLED);
    assert_int_equal(source.fetches, 3);
    assert_int_equal(w.requests, 0);
}

static void test_a_source_that_gives_nothing(void **state)
{
    (void)state;
    source.provides_nothing = 1;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_CREDENTIALS_MISSING);
    assert_int_equal(w.requests, 0);
}

/* While the old ones are good, a failed refresh is nobody's business. */
static void test_a_failed_refresh_is_silent_until_they_expire(void **state)
{
    int failed;

    (void)state;
    acquire();
    source.fails = DYNALOCK_SERVICE_FAILED;
    world_run(&w, HOUR - 30000);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    failed = source.fetches;
    assert_in_range(failed, 4, 12); /* every 30 to 60 seconds */
    assert_true(is_in_use("ID1"));
    world_run(&w, 60000); /* no heartbeat can be signed any more */
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_LOST_EXPIRED);
    source.fails = DYNALOCK_OK;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 30000), DYNALOCK_OK);
}

static void test_a_slow_source_ends_in_time(void **state)
{
    (void)state;
    source.step_ms = 20000;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_NO_ANSWER);
    assert_string_equal(w.client.detail.type, "the test");
    assert_string_equal(w.client.detail.message, "not in time");
    assert_int_equal(source.stops, source.fetches);
    assert_int_equal(w.requests, 0);
}

static void test_a_fetch_can_be_cancelled(void **state)
{
    (void)state;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 9000), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    assert_int_equal(source.fetches, 1);
    dynalock_cancel(&w.client, &lock.operation);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_CANCELLED);
    assert_int_equal(source.stops, 1);
    acquire();
    assert_int_equal(source.fetches, 2);
}

static void test_close_ends_a_fetch(void **state)
{
    (void)state;
    acquire();
    world_run(&w, HOUR - 300000 - 1000);
    source.steps = 0;
    for (; source.steps == 0; w.now++) (void)dynalock_poll(&w.client);
    assert_int_equal(source.steps, 1); /* two are left */
    assert_int_equal(dynalock_client_close(&w.client, 5000), DYNALOCK_OK);
    assert_int_equal(source.stops, source.fetches);
    assert_int_equal(w.item.released, 1);
}

/* ---- what is given ---- */

static dynalock_outcome give(
    const char *id, const char *secret, const char *token, int64_t expires)
{
    dynalock_credentials credentials;

    credentials.key_id = id;
    credentials.secret = secret;
    credentials.token = token;
    return dynalock_provide(&w.client, &provider, &credentials, expires);
}

static void test_provide_checks_what_it_gets(void **state)
{
    static char large[2048];
    static const char every[] =
        " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
        "abcdefghijklmnopqrstuvwxyz{|}~";

    (void)state;
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(give("A", "s", NULL, 0), DYNALOCK_OK);
    assert_int_equal(give("B", every, every + 1, 0), DYNALOCK_OK);
    assert_string_equal(w.client.config.credentials->secret, every);
    assert_string_equal(w.client.config.credentials->token, every + 1);
    assert_int_equal(give("", "s", NULL, 0), DYNALOCK_CREDENTIALS_MISSING);
    assert_int_equal(give("A", NULL, NULL, 0), DYNALOCK_CREDENTIALS_MISSING);
    assert_int_equal(give("A\n", "s", NULL, 0), DYNALOCK_BAD_ANSWER);
    assert_int_equal(give("A A", "s", NULL, 0), DYNALOCK_BAD_ANSWER);
    assert_int_equal(give("A\x7f", "s", NULL, 0), DYNALOCK_BAD_ANSWER);
    assert_int_equal(give("A", "s\x80", NULL, 0), DYNALOCK_BAD_ANSWER);
    assert_int_equal(give("A", "s", "t\r\nx:y", 0), DYNALOCK_BAD_ANSWER);
    assert_int_equal(give("A", "s", large, 0), DYNALOCK_BAD_BUFFER);
    assert_int_equal(give("A", "s", NULL, 1), DYNALOCK_CREDENTIALS_EXPIRED);
    assert_int_equal(
        give("A", "s", NULL, world_unix(&w)), DYNALOCK_CREDENTIALS_EXPIRED);
    /* none of these has touched what is in use */
    assert_true(is_in_use("B"));
    assert_string_equal(w.client.config.credentials->secret, every);
}

static void test_bad_arguments(void **state)
{
    dynalock_provider other;
    char bytes[1024];

    (void)state;
    assert_int_equal(dynalock_provider_init(NULL, own, NULL, bytes, 1024),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_provider_init(&other, own, NULL, NULL, 1024),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_provider_init(&other, own, NULL, bytes, 1023),
        DYNALOCK_BAD_BUFFER);
    assert_int_equal(
        dynalock_provider_init(&other, own, NULL, bytes, 1024), DYNALOCK_OK);
    assert_int_equal(
        dynalock_set_provider(&w.client, &other), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 1000), DYNALOCK_AGAIN);
    assert_int_equal(
        dynalock_set_provider(&w.client, &provider), DYNALOCK_IN_USE);
    dynalock_cancel(&w.client, &lock.operation);
    assert_int_equal(
        dynalock_set_provider(NULL, &provider), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_set_provider(&w.client, NULL), DYNALOCK_BAD_ARGUMENT);
}

/* ---- what stays in memory ---- */

static int is_within(const void *where, size_t size, const char *text)
{
    const char *at = (const char *)where;
    size_t i, n = strlen(text);

    for (i = 0; i + n <= size; i++)
        if (memcmp(at + i, text, n) == 0) return 1;
    return 0;
}

static int is_anywhere(const char *text)
{
    return is_within(memory, sizeof memory, text) ||
           is_within(&w.client, sizeof w.client, text) ||
           is_within(&provider, sizeof provider, text) ||
           is_within(&lock, sizeof lock, text);
}

static void test_what_is_replaced_is_wiped(void **state)
{
    (void)state;
    source.token = "token-of-the-first";
    acquire();
    assert_true(is_anywhere("hush-1-hush")); /* this test can see it */
    assert_true(is_anywhere("token-of-the-first"));
    source.token = "another";
    world_run(&w, HOUR);
    assert_int_equal(source.fetches, 2);
    assert_true(is_anywhere("hush-2-hush"));
    assert_false(is_anywhere("hush-1-hush"));
    assert_false(is_anywhere("token-of-the-first"));
}

/* Outside of a fetch, too. */
static void test_what_is_given_anew_is_wiped(void **state)
{
    (void)state;
    assert_int_equal(give("A", "secret-of-old", NULL, 0), DYNALOCK_OK);
    assert_true(is_anywhere("secret-of-old"));
    assert_int_equal(give("B", "new", NULL, 0), DYNALOCK_OK);
    assert_false(is_anywhere("secret-of-old"));
}

static void test_close_wipes_all(void **state)
{
    size_t i;

    (void)state;
    source.token = "token-of-the-first";
    acquire();
    assert_int_equal(dynalock_client_close(&w.client, 5000), DYNALOCK_OK);
    for (i = 0; i < sizeof memory; i++) assert_int_equal(memory[i], 0);
    for (i = 0; i < sizeof provider; i++)
        assert_int_equal(((const char *)&provider)[i], 0);
    assert_false(is_anywhere("hush-1-hush"));
    assert_false(is_anywhere("token-of-the-first"));
}

static char logged[65536];

static void note(void *context, dynalock_log_id id, const char *text)
{
    size_t used = strlen(logged);

    (void)context;
    (void)snprintf(
        logged + used, sizeof logged - used, "%d %s\n", (int)id, text);
}

/* Neither in the log, nor in the words of a failure. */
static void test_nothing_secret_is_told(void **state)
{
    (void)state;
    logged[0] = '\0';
    w.platform.log = note;
    source.token = "token-of-the-first";
    acquire();
    world_run(&w, HOUR);
    w.faults[w.fault_at] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    source.token = "token of spaces";
    w.faults[w.fault_at] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_BAD_ANSWER);
    assert_non_null(strstr(logged, "204 the test\n"));
    assert_null(strstr(logged, "hush"));
    assert_null(strstr(logged, "token"));
    assert_false(is_within(&w.client.detail, sizeof w.client.detail, "hush"));
    assert_false(is_within(&w.client.detail, sizeof w.client.detail, "token"));
}

static void test_what_was_refused_is_wiped(void **state)
{
    (void)state;
    assert_int_equal(
        give("A", "secret-of-old", "t\r", 0), DYNALOCK_BAD_ANSWER);
    assert_false(is_anywhere("secret-of-old"));
    source.token = "bad token";
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BAD_ANSWER);
    assert_false(is_anywhere("hush-1-hush"));
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(an_idle_client_fetches_nothing),
        TEST(the_first_request_waits_for_them),
        TEST(the_token_is_sent),
        TEST(twelve_hours_no_heartbeat_is_late),
        TEST(a_refresh_follows_a_renewal),
        TEST(no_refresh_while_a_lock_is_short_of_time),
        TEST(keys_run_out_while_connecting),
        TEST(keys_without_expiry_are_never_fetched_again),
        TEST(a_life_is_bounded),
        TEST(a_short_life_is_lived),
        TEST(refused_ones_are_fetched_again_once),
        TEST(refused_again_ends_the_call),
        TEST(a_held_lock_survives_a_refusal),
        TEST(a_failure_is_the_calls_outcome),
        TEST(what_passes_is_tried_again),
        TEST(a_source_that_gives_nothing),
        TEST(a_failed_refresh_is_silent_until_they_expire),
        TEST(a_slow_source_ends_in_time),
        TEST(a_fetch_can_be_cancelled),
        TEST(close_ends_a_fetch),
        TEST(provide_checks_what_it_gets),
        TEST(bad_arguments),
        TEST(what_is_replaced_is_wiped),
        TEST(what_is_given_anew_is_wiped),
        TEST(close_wipes_all),
        TEST(nothing_secret_is_told),
        TEST(what_was_refused_is_wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
