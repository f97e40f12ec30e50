/* Wall clocks that are wrong or missing, and credentials that are refused: what
   is mended within a call, and what is not. */
#include "world.h"

#define HOUR 3600000

static world w;
static dynalock_lock lock;

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    return 0;
}

/* Over a transport whose Date can be believed, or over one whose cannot. */
static void ready(int secure)
{
    if (secure) {
        w.config.endpoint = "https://table.test";
        w.config.secure_transport = 1;
    }
    w.dated = 1;
    world_ready(&w, &lock);
}

static void test_a_refused_signature_is_tried_again_with_the_date(void **state)
{
    int sign;

    (void)state;
    for (sign = -1; sign <= 1; sign += 2) {
        world_begin(&w);
        w.server_ms = w.unix_ms + sign * (int64_t)HOUR;
        ready(1);
        assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
        assert_int_equal(w.requests, 2);
        assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
        assert_int_equal(w.requests, 3);
    }
}

/* The hour that the clock is off moves the fence, and nothing else. */
static void test_skew_dates_fences_and_no_lease(void **state)
{
    int64_t off;

    (void)state;
    w.server_ms = w.unix_ms + HOUR;
    ready(1);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    off = (int64_t)dynalock_fence(&lock) - world_server_ms(&w);
    assert_true(off > -3000 && off < 3000);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock) + w.now,
        lock.base + 10000 - 100 - DYNALOCK_CLOCK_STEP_MS);
    w.unix_ms -= HOUR;
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock) + w.now,
        lock.base + 10000 - 100 - DYNALOCK_CLOCK_STEP_MS);
}

static void test_a_date_that_is_not_authentic_is_not_believed(void **state)
{
    (void)state;
    w.server_ms = w.unix_ms + HOUR;
    ready(0);
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_CLOCK_SKEW);
    assert_int_equal(w.requests, 1);
}

static void test_a_date_from_a_cache_is_not_believed(void **state)
{
    (void)state;
    w.server_ms = w.unix_ms + HOUR;
    w.aged = 1;
    ready(1);
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_CLOCK_SKEW);
    assert_int_equal(w.requests, 1);
}

static void test_a_clock_that_is_about_right_is_left_alone(void **state)
{
    (void)state;
    w.server_ms = w.unix_ms + 1500;
    ready(1);
    w.latency = 900;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(w.client.skew_ms == 0);
}

static void test_a_clock_that_jumps_while_held_costs_one_try(void **state)
{
    (void)state;
    ready(1);
    w.server_ms = w.unix_ms;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    w.unix_ms -= HOUR;
    world_run(&w, 20000);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
}

static void test_no_clock_is_said_and_can_be_set(void **state)
{
    (void)state;
    w.server_ms = w.unix_ms;
    w.unix_ms = 0;
    ready(0);
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_CLOCK_UNSET);
    assert_int_equal(w.requests, 0);
    assert_int_equal(dynalock_set_clock(&w.client, 0), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_set_clock(&w.client, world_server_ms(&w)), DYNALOCK_OK);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    w.now += 2 * HOUR; /* counted by the monotonic clock */
    memset(&w.item, 0, sizeof w.item);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(w.requests, 2);
}

static void test_a_clock_set_wrongly_is_mended(void **state)
{
    (void)state;
    w.server_ms = w.unix_ms;
    w.unix_ms = 0;
    ready(1);
    assert_int_equal(
        dynalock_set_clock(&w.client, world_server_ms(&w) - 30 * HOUR),
        DYNALOCK_OK);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(w.requests, 2);
}

static const struct {
    const char *text;
    uint32_t seconds;
} dates[] = {
    { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
    { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
    { "Tue, 29 Feb 2000 23:59:59 GMT", 951868799 },
    { "Wed, 01 Mar 2000 00:00:00 GMT", 951868800 },
    { "Thu, 26 Nov 2026 18:24:13 GMT", 1795717453 },
    { "Sun, 06 Nov 1969 08:49:37 GMT", 0 },
    { "Sun, 06 Nov 2100 08:49:37 GMT", 0 },
    { "Sun, 6 Nov 1994 08:49:37 GMT", 0 },
    { "Sun, 06 Nov 1994 08-49-37 GMTx", 0 },
    { "Sunday, 06-Nov-94 08:49:37 GMT", 0 },
    { "Sun Nov  6 08:49:37 1994", 0 },
    { "Sun, 06 Nov 199x 08:49:37 GMT", 0 },
    { "Sun, 06 Nov 9999 08:49:37 GMT", 0 },
    { "Sun, 06 Nob 1994 08:49:37 GMT", 0 },
    { "Sun, 06 Mae 1994 08:49:37 GMT", 0 },
    { "Sun, xx Nov 1994 08:49:37 GMT", 0 },
    { "Sun, 06 Nov 1994 xx:49:37 GMT", 0 },
    { "Sun, 06 Nov 1994 08:xx:37 GMT", 0 },
    { "Sun, 06 Nov 1994 08:49:xx GMT", 0 },
    { "", 0 },
};

static void test_dates_are_read(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(dates); i++)
        assert_int_equal(dl_read_date(dates[i].text, strlen(dates[i].text)),
            dates[i].seconds);
}

/* Every day that the reader knows, against libc, which may know none after
   2038. */
static void test_every_day_is_read(void **state)
{
    int64_t at;

    (void)state;
    for (at = 43261; at < (int64_t)47482 * 86400; at += 86400) {
        time_t now = (time_t)at;
        char text[64];

        if (now != at) break;
        (void)strftime(
            text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
        assert_true(dl_read_date(text, strlen(text)) == (uint32_t)at);
    }
    assert_true(at > 2147400000);
}

/* What has more than four digits of a year cannot be signed. */
static void test_a_clock_behind_the_year_9999_is_none(void **state)
{
    (void)state;
    ready(0);
    w.unix_ms = 253402300800000 - (int64_t)w.now;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_CLOCK_UNSET);
    assert_int_equal(w.requests, 0);
}

/* A fence that was made by a wrong clock and refused is forgotten. */
static void test_fences_do_not_run_ahead_of_time(void **state)
{
    (void)state;
    w.server_ms = w.unix_ms - HOUR;
    ready(1);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(w.requests, 2);
    assert_true((int64_t)dynalock_fence(&lock) < world_server_ms(&w) + 3000);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true((int64_t)dynalock_fence(&lock) < world_server_ms(&w) + 3000);
}

/* Within an acquisition it rises even where the clock stands still or is set
   back a little: the earlier copies may have been written. */
static void test_fences_rise_over_what_was_sent(void **state)
{
    uint64_t sent;

    (void)state;
    ready(0);
    w.faults[0] = FAULT_LOSE_ANSWER;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 9000), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    sent = w.item.fence;
    w.unix_ms -= 60000;
    world_run(&w, 5000);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) == sent + 1);
    assert_int_equal(w.requests, 2);
}

/* Nor does a release write what a wrong clock has made. */
static void test_a_release_does_not_run_ahead_of_time(void **state)
{
    (void)state;
    ready(0);
    w.client.config.attempts = 1;
    w.faults[0] = FAULT_LOSE_REQUEST;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    w.unix_ms -= HOUR;
    world_run(&w, 6000);
    assert_null(w.client.operations);
    assert_int_equal(w.requests, 2);
    assert_non_null(world_find(&w, " AND fence<=:f"));
    assert_true(
        (int64_t)world_number(&w, 'f') <= w.unix_ms + (int64_t)w.now + 300000);
}

/* ---- credentials ---- */

static dynalock_credentials fresh = { "AKID2", "secret2", NULL };
static int asked;

static const dynalock_credentials *refresh(void *context)
{
    asked++;
    return (const dynalock_credentials *)context;
}

static void ready_to_refresh(dynalock_credentials *with)
{
    asked = 0;
    w.config.refresh = refresh;
    w.config.refresh_context = with;
    ready(0);
}

static void test_expired_credentials_are_asked_for_once(void **state)
{
    (void)state;
    ready_to_refresh(&fresh);
    w.faults[0] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(asked, 1);
    assert_int_equal(w.requests, 2);
    assert_ptr_equal(w.client.config.credentials, &fresh);
}

static void test_fresh_ones_that_are_refused_too_end_the_call(void **state)
{
    (void)state;
    ready_to_refresh(&fresh);
    w.faults[0] = FAULT_EXPIRED_TOKEN;
    w.faults[1] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 9000),
        DYNALOCK_CREDENTIALS_EXPIRED);
    assert_int_equal(asked, 1);
    assert_int_equal(w.requests, 2);
    assert_string_equal(w.client.detail.type, "ExpiredTokenException");
}

/* Each failing call asks once, also when none were ever accepted. */
static void test_the_next_call_may_ask_again(void **state)
{
    (void)state;
    ready_to_refresh(&fresh);
    w.faults[0] = w.faults[1] = w.faults[2] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_CREDENTIALS_EXPIRED);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(asked, 2);
    assert_int_equal(w.requests, 4);
}

static void test_no_fresh_ones_end_the_call(void **state)
{
    (void)state;
    ready_to_refresh(NULL);
    w.faults[0] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 9000),
        DYNALOCK_CREDENTIALS_EXPIRED);
    assert_int_equal(asked, 1);
    assert_int_equal(w.requests, 1);
}

static void test_once_accepted_they_may_expire_again(void **state)
{
    (void)state;
    ready_to_refresh(&fresh);
    w.faults[0] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    w.faults[1] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(asked, 2);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_refused_signature_is_tried_again_with_the_date),
        TEST(skew_dates_fences_and_no_lease),
        TEST(a_date_that_is_not_authentic_is_not_believed),
        TEST(a_date_from_a_cache_is_not_believed),
        TEST(a_clock_that_is_about_right_is_left_alone),
        TEST(a_clock_that_jumps_while_held_costs_one_try),
        TEST(no_clock_is_said_and_can_be_set),
        TEST(a_clock_set_wrongly_is_mended),
        TEST(dates_are_read),
        TEST(every_day_is_read),
        TEST(a_clock_behind_the_year_9999_is_none),
        TEST(fences_do_not_run_ahead_of_time),
        TEST(fences_rise_over_what_was_sent),
        TEST(a_release_does_not_run_ahead_of_time),
        TEST(expired_credentials_are_asked_for_once),
        TEST(the_next_call_may_ask_again),
        TEST(fresh_ones_that_are_refused_too_end_the_call),
        TEST(no_fresh_ones_end_the_call),
        TEST(once_accepted_they_may_expire_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
