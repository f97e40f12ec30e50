/* The lock's promises, one by one, against a table of one item in a world of
   virtual time (world.h). */
#include "world.h"

static world w;
static dynalock_lock lock, second;

#define MARGIN(lease) ((lease) / 100 + DYNALOCK_CLOCK_STEP_MS)
#define USABLE(lease) ((lease)-MARGIN(lease))
#define WATCHED(lease) ((lease) + MARGIN(lease))

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    return 0;
}

static void ready(void)
{
    world_ready(&w, &lock);
}

static void acquire(uint32_t wait_ms)
{
    assert_int_equal(dynalock_acquire(&w.client, &lock, wait_ms), DYNALOCK_OK);
    assert_true(dynalock_remaining_ms(&w.client, &lock) > 0);
}

static void fault(enum world_fault f)
{
    w.faults[0] = f;
    w.faults[1] = FAULT_NONE;
    w.fault_at = 0;
}

/* ---- the main job ---- */

static void test_acquire_renew_release(void **state)
{
    uint64_t fence;

    (void)state;
    ready();
    acquire(0);
    fence = dynalock_fence(&lock);
    assert_true(fence == (uint64_t)w.unix_ms + w.now);
    assert_string_equal(w.item.owner, "me");
    assert_string_equal(w.item.lease, "10000");
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) == fence);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
    assert_true(w.item.released);
    assert_int_equal(w.requests, 3);
    assert_int_equal(w.opens, 1);
}

static void test_fence_rises_with_a_clock_that_stands(void **state)
{
    uint64_t first;

    (void)state;
    ready();
    acquire(0);
    first = dynalock_fence(&lock);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    w.unix_ms -= 5000;
    acquire(0);
    assert_true(dynalock_fence(&lock) == first + 1);
}

static void test_fence_behind_is_raised_at_once(void **state)
{
    (void)state;
    ready();
    world_hold(&w, "x", "10000");
    w.item.released = 1;
    w.item.has_fence = 1;
    w.item.fence = 9000000000000ull;
    acquire(0);
    assert_int_equal(w.requests, 2);
    assert_true(dynalock_fence(&lock) == 9000000000001ull);
}

static void test_remaining_counts_from_before_the_send(void **state)
{
    uint64_t sent;

    (void)state;
    ready();
    w.latency = 300;
    sent = w.now;
    acquire(0);
    assert_true(w.now >= sent + 300);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock),
        USABLE(10000) - (w.now - sent));
}

static void test_unanswered_renewal_lengthens_nothing(void **state)
{
    uint32_t before;
    uint64_t then;

    (void)state;
    ready();
    w.config.attempts = 1;
    acquire(0);
    w.client.config.attempts = 1;
    w.now += 1000;
    before = dynalock_remaining_ms(&w.client, &lock);
    then = w.now;
    fault(FAULT_LOSE_ANSWER);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_NO_ANSWER);
    assert_int_equal(
        dynalock_remaining_ms(&w.client, &lock), before - (w.now - then));
}

static void test_request_waits_a_quarter_of_the_lease(void **state)
{
    uint64_t then;

    (void)state;
    ready();
    w.client.config.attempts = 1;
    fault(FAULT_LOSE_REQUEST);
    then = w.now;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
    assert_int_equal(w.now - then, 10000 / 4);
}

static void test_shorter_lease_counts_from_before_the_send(void **state)
{
    (void)state;
    ready();
    acquire(0);
    assert_int_equal(dynalock_set_lease(&w.client, &lock, 1000), DYNALOCK_OK);
    assert_int_equal(dynalock_start_renew(&w.client, &lock), DYNALOCK_AGAIN);
    w.latency = 200;
    assert_int_equal(dynalock_poll(&w.client), DYNALOCK_AGAIN);
    assert_true(dynalock_remaining_ms(&w.client, &lock) <= USABLE(1000));
}

/* ---- lost, late and repeated ---- */

static void test_retry_over_ones_own_lost_answer(void **state)
{
    (void)state;
    ready();
    fault(FAULT_LOSE_ANSWER);
    acquire(0);
    assert_int_equal(w.writes, 2);
    assert_non_null(strstr(w.item.rvn, ":00000002"));
}

static void test_repeated_acquire_is_my_own(void **state)
{
    uint64_t then = w.now;

    (void)state;
    ready();
    fault(FAULT_REPEAT);
    acquire(0);
    assert_int_equal(w.requests, 1);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock),
        USABLE(10000) - (w.now - then));
}

static void test_repeated_renewal_is_my_own(void **state)
{
    (void)state;
    ready();
    acquire(0);
    fault(FAULT_REPEAT);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    fault(FAULT_REPEAT);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_true(w.item.released);
}

static void test_repeated_acquire_without_the_item(void **state)
{
    (void)state;
    ready();
    w.never_item = 1;
    fault(FAULT_REPEAT);
    acquire(0);
    assert_int_equal(w.reads, 1);
    fault(FAULT_REPEAT);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(w.reads, 2);
}

static void test_damage_cut_and_500_are_retried(void **state)
{
    static const enum world_fault faults[] = { FAULT_CUT, FAULT_500,
        FAULT_500_AFTER, FAULT_DAMAGE, FAULT_HTML, FAULT_THROTTLE };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        world_begin(&w);
        ready();
        fault(faults[i]);
        acquire(0);
        fault(faults[i]);
        assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
        fault(faults[i]);
        assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
        assert_true(w.item.released);
    }
}

static void test_idle_close_is_survived_without_a_delay(void **state)
{
    uint64_t then;

    (void)state;
    ready();
    fault(FAULT_CLOSE_IDLE);
    acquire(0);
    then = w.now;
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(w.opens, 2);
    assert_int_equal(w.now, then);
}

static void test_late_answer_is_not_taken_for_the_next(void **state)
{
    (void)state;
    ready();
    acquire(0);
    w.client.config.attempts = 2;
    w.latency = 4000; /* the answer comes after the request was given up */
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_NO_ANSWER);
    assert_int_equal(w.closes, 2);
}

/* ---- waiting ---- */

static void test_one_try_is_busy_and_names_the_holder(void **state)
{
    (void)state;
    ready();
    world_hold(&w, "r1", "5000");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    assert_string_equal(w.client.detail.holder, "other");
    assert_int_equal(w.client.detail.holder_lease_ms, 5000);
    assert_int_equal(w.requests, 1);
}

static void test_waits_to_its_deadline_exactly(void **state)
{
    uint64_t then;

    (void)state;
    ready();
    world_hold(&w, "r1", "60000");
    then = w.now;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 3333), DYNALOCK_TIMEOUT);
    assert_int_equal(w.now - then, 3333);
    assert_int_equal(w.writes, 1);
    assert_in_range(w.reads, 2, 3);
}

static void test_takes_a_dead_lock_after_its_whole_lease(void **state)
{
    uint64_t seen;

    (void)state;
    ready();
    world_hold(&w, "r1", "4000");
    w.item.has_fence = 1;
    w.item.fence = 5;
    seen = w.now;
    acquire(60000);
    assert_int_equal(w.now - seen, WATCHED(4000));
    assert_int_equal(w.writes, 2);
}

static void test_watch_starts_after_the_answer_was_received(void **state)
{
    uint64_t seen;

    (void)state;
    ready();
    world_hold(&w, "r1", "4000");
    w.pause_in_read = 1500;
    seen = w.now;
    acquire(60000);
    assert_int_equal(w.now - seen, 1500 + WATCHED(4000));
}

static void test_short_waits_take_a_dead_lock_in_the_end(void **state)
{
    uint64_t seen;
    dynalock_outcome rc;

    (void)state;
    ready();
    world_hold(&w, "r1", "4000");
    seen = w.now;
    do {
        rc = dynalock_acquire(&w.client, &lock, 700);
    } while (rc == DYNALOCK_TIMEOUT);
    assert_int_equal(rc, DYNALOCK_OK);
    assert_in_range(w.now - seen, WATCHED(4000), WATCHED(4000) + 700);
}

static void test_lock_init_forgets_the_watch(void **state)
{
    (void)state;
    ready();
    world_hold(&w, "r1", "4000");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    w.now += 10000;
    world_lock(&lock, "k");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
}

static void test_a_sign_of_life_restarts_the_watch(void **state)
{
    uint64_t seen;

    (void)state;
    ready();
    world_hold(&w, "r1", "4000");
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 3000), DYNALOCK_TIMEOUT);
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "r2");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 1), DYNALOCK_TIMEOUT);
    seen = w.now - 1;
    acquire(60000);
    assert_int_equal(w.now - seen, WATCHED(4000));
}

static void test_changed_lease_or_fence_restarts_the_watch(void **state)
{
    (void)state;
    ready();
    world_hold(&w, "r1", "4000");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    w.now += 3000;
    (void)snprintf(w.item.lease, sizeof w.item.lease, "9000");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    w.now += 8000;
    w.item.has_fence = 1;
    w.item.fence = 3;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    w.now += 9000;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    w.now += 200;
    acquire(0);
}

#define VERSION "00112233445566778899aabbccddeeff:0000000"

static void test_an_older_record_does_not_restart_the_watch(void **state)
{
    uint64_t seen;

    (void)state;
    ready();
    world_hold(&w, VERSION "7", "4000");
    w.stale = w.item;
    (void)snprintf(w.stale.rvn, sizeof w.stale.rvn, VERSION "6");
    seen = w.now;
    acquire(60000);
    assert_int_equal(w.now - seen, WATCHED(4000));
}

static void test_waiter_gets_a_released_lock_within_a_poll(void **state)
{
    uint64_t then;

    (void)state;
    ready();
    world_hold(&w, "r1", "60000");
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 30000), DYNALOCK_AGAIN);
    world_run(&w, 5000);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_AGAIN);
    w.item.released = 1;
    then = w.now;
    while (dynalock_result(&lock.operation) == DYNALOCK_AGAIN)
        world_run(&w, 1);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
    assert_in_range(w.now - then, 0, 1250);
}

static void test_poll_interval_is_never_shorter(void **state)
{
    (void)state;
    w.config.poll_ms = 2000;
    ready();
    world_hold(&w, "r1", "600000");
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 60000), DYNALOCK_TIMEOUT);
    assert_in_range(w.reads, 60000 / 2500, 60000 / 2000);
    assert_int_equal(w.writes, 1);
}

static void test_without_the_item_a_look_decides(void **state)
{
    (void)state;
    ready();
    w.never_item = 1;
    world_hold(&w, "r1", "4000");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    assert_string_equal(w.client.detail.holder, "other");
    assert_int_equal(w.reads, 1);
    acquire(60000);
}

static void test_foreign_items_are_left_alone(void **state)
{
    static const char *const items[] = {
        "{\"key\":{\"S\":\"k\"}}",
        "{\"key\":{\"S\":\"k\"},\"ownerName\":{\"S\":\"o\"},"
        "\"leaseDuration\":{\"S\":\"0\"},"
        "\"recordVersionNumber\":{\"S\":\"r\"}}",
        "{\"key\":{\"S\":\"k\"},\"ownerName\":{\"S\":\"o\"},"
        "\"leaseDuration\":{\"S\":\"1000\"},"
        "\"recordVersionNumber\":{\"S\":\"r\"},"
        "\"fence\":{\"N\":\"99999999999999999999999999999999999999\"}}",
        "{\"key\":{\"S\":\"k\"},\"ownerName\":{\"S\":\"o\"},"
        "\"leaseDuration\":{\"S\":\"soon\"},"
        "\"recordVersionNumber\":{\"S\":\"r\"}}",
    };
    size_t i;

    (void)state;
    ready();
    for (i = 0; i < sizeof items / sizeof items[0]; i++) {
        w.item.exists = 1;
        w.item.raw = items[i];
        assert_int_equal(
            dynalock_acquire(&w.client, &lock, 60000), DYNALOCK_NOT_A_LOCK);
    }
}

/* ---- losing ---- */

static void lose(dynalock_outcome outcome)
{
    int writes;

    assert_int_equal(dynalock_renew(&w.client, &lock), outcome);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
    assert_int_equal(dynalock_result(&lock.operation), outcome);
    writes = w.writes;
    assert_int_equal(dynalock_release(&w.client, &lock), outcome);
    world_run(&w, 60000);
    assert_int_equal(w.writes, writes); /* after a loss nothing is written */
}

static void test_lost_stolen(void **state)
{
    (void)state;
    ready();
    acquire(0);
    world_hold(&w, "r9", "1000");
    lose(DYNALOCK_LOST_STOLEN);
    assert_string_equal(w.client.detail.holder, "other");
}

static void test_lost_vanished(void **state)
{
    (void)state;
    ready();
    acquire(0);
    w.item.exists = 0;
    lose(DYNALOCK_LOST_VANISHED);
}

static void test_lost_released(void **state)
{
    (void)state;
    ready();
    acquire(0);
    w.item.released = 1;
    lose(DYNALOCK_LOST_RELEASED);
}

static void test_lost_expired_without_a_word_on_the_wire(void **state)
{
    int requests;

    (void)state;
    ready();
    acquire(0);
    requests = w.requests;
    w.now += USABLE(10000);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
    lose(DYNALOCK_LOST_EXPIRED);
    assert_int_equal(w.requests, requests);
}

static void test_a_lost_lock_can_be_acquired_again(void **state)
{
    uint64_t first;

    (void)state;
    ready();
    acquire(0);
    first = dynalock_fence(&lock);
    w.now += 20000;
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_LOST_EXPIRED);
    acquire(60000);
    assert_true(dynalock_fence(&lock) > first);
}

/* ---- heartbeats ---- */

static void test_poll_renews_what_is_held(void **state)
{
    int i;

    (void)state;
    ready();
    acquire(0);
    for (i = 0; i < 100; i++) {
        world_run(&w, 1000);
        assert_true(dynalock_remaining_ms(&w.client, &lock) > 5000);
    }
    assert_in_range(w.requests, 100000 / 3334, 100000 / 2800);
}

static void test_manual_renew_renews_nothing_by_itself(void **state)
{
    (void)state;
    w.config.manual_renew = 1;
    ready();
    acquire(0);
    world_run(&w, 9000);
    assert_int_equal(w.requests, 1);
    world_run(&w, 2000);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_LOST_EXPIRED);
}

static void test_heartbeat_survives_faults_until_the_lease_ends(void **state)
{
    size_t i;

    (void)state;
    ready();
    acquire(0);
    for (i = 0; i < 31; i++) w.faults[i] = FAULT_LOSE_REQUEST;
    w.fault_at = 0;
    world_run(&w, USABLE(10000) - 1);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 1);
    world_run(&w, 1);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_LOST_EXPIRED);
}

/* ---- releasing ---- */

static void test_release_waits_for_the_renewal_under_way(void **state)
{
    (void)state;
    ready();
    acquire(0);
    w.latency = 500;
    assert_int_equal(dynalock_start_renew(&w.client, &lock), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    assert_int_equal(w.writes, 2);
    assert_int_equal(dynalock_start_release(&w.client, &lock), DYNALOCK_AGAIN);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
    world_run(&w, 400);
    assert_int_equal(w.writes, 2);
    world_run(&w, 1000);
    assert_int_equal(w.writes, 3);
    assert_true(w.item.released);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
}

static void test_release_after_another_took_it_is_done(void **state)
{
    (void)state;
    ready();
    acquire(0);
    world_hold(&w, "r9", "1000");
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(w.item.rvn, "r9");
}

static void test_unknown_is_settled_by_later_polls(void **state)
{
    size_t i;

    (void)state;
    ready();
    for (i = 0; i < 3; i++) w.faults[i] = FAULT_LOSE_ANSWER;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
    assert_true(w.item.exists);
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
    world_run(&w, 1000);
    assert_true(w.item.released);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_NO_ANSWER);
    acquire(0);
}

static void test_acquire_settles_first(void **state)
{
    size_t i;

    (void)state;
    ready();
    for (i = 0; i < 3; i++) w.faults[i] = FAULT_LOSE_ANSWER;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
    acquire(1000);
}

static void test_acquire_does_not_wait_for_what_cannot_be_settled(void **state)
{
    size_t i;

    (void)state;
    ready();
    for (i = 0; i < 3; i++) w.faults[i] = FAULT_LOSE_ANSWER;
    w.faults[3] = FAULT_DENY; /* the release */
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
    w.cancel_at = w.now + 3600000;
    acquire(DYNALOCK_FOREVER); /* when the ghost's lease is over */
    assert_true(w.now < w.cancel_at);
}

static void test_close_tells_of_its_own_releases_only(void **state)
{
    size_t i;

    (void)state;
    ready();
    for (i = 0; i < 3; i++) w.faults[i] = FAULT_LOSE_ANSWER;
    w.latency = 100;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
    assert_int_equal(dynalock_client_close(&w.client, 5000), DYNALOCK_OK);
    assert_true(w.item.released);
}

static void test_result_is_not_an_earlier_calls(void **state)
{
    (void)state;
    ready();
    acquire(0);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    w.unix_ms = 0;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_CLOCK_UNSET);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_CLOCK_UNSET);
}

/* A key that no window holds: the request leaves in parts. */
static void begin_in_parts(void)
{
    static char key[2049];

    memset(key, 'k', sizeof key - 1);
    ready();
    world_lock(&lock, key);
    w.write_most = 700;
}

static void test_release_while_a_look_is_under_way(void **state)
{
    int i;

    (void)state;
    begin_in_parts();
    w.never_item = 1;
    acquire(0);
    fault(FAULT_REFUSE);
    w.latency = 100;
    assert_int_equal(dynalock_start_renew(&w.client, &lock), DYNALOCK_AGAIN);
    for (i = 0; i < 1000 && lock.operation.state != DL_LOCK_CHECK; i++)
        world_run(&w, 1);
    assert_int_equal(lock.operation.state, DL_LOCK_CHECK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_true(w.item.released);
}

static void test_data_and_credentials_do_not_change_under_way(void **state)
{
    static const dynalock_credentials others = { "AKID2", "secret2", NULL };

    (void)state;
    begin_in_parts();
    w.latency = 50;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    assert_int_equal(dynalock_set_data(&lock, "x", 1), DYNALOCK_IN_USE);
    (void)dynalock_poll(&w.client);
    assert_int_equal(
        dynalock_set_credentials(&w.client, &others), DYNALOCK_OK);
    world_run(&w, 3000);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
}

static int stalls;

static int32_t write_later(void *context, const void *data, size_t size)
{
    return stalls ? 0 : world_write_hook(context, data, size);
}

/* What is half sent was signed with the old ones: it begins anew. */
static void test_credentials_set_in_mid_request(void **state)
{
    static const dynalock_credentials others = { "AKID2", "secret2", NULL };

    (void)state;
    w.platform.write = write_later;
    begin_in_parts();
    stalls = 1;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 10000), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    (void)dynalock_poll(&w.client);
    assert_int_equal(w.client.exchange.state, DL_EXCHANGE_SEND);
    assert_int_equal(
        dynalock_set_credentials(&w.client, &others), DYNALOCK_OK);
    assert_int_equal(w.closes, 1);
    stalls = 0;
    world_run(&w, 3000);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
    assert_int_equal(w.opens, 2);
}

static void test_cancelled_renewal_stays_cancelled(void **state)
{
    int writes;

    (void)state;
    w.config.manual_renew = 1;
    ready();
    acquire(0);
    w.latency = 100;
    assert_int_equal(dynalock_start_renew(&w.client, &lock), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    dynalock_cancel(&w.client, &lock.operation);
    writes = w.writes;
    world_run(&w, 2000);
    assert_int_equal(w.writes, writes);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_CANCELLED);
    assert_true(dynalock_remaining_ms(&w.client, &lock) > 0);
}

static void test_unreachable_is_not_unknown(void **state)
{
    (void)state;
    ready();
    w.refuse = 1;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNREACHABLE);
    assert_int_equal(w.client.detail.port_error, -111);
    w.refuse = 0;
    acquire(0);
}

static void test_silent_connect_ends_at_the_deadline(void **state)
{
    uint64_t then = w.now;

    (void)state;
    ready();
    w.mute_open = 1;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 2500), DYNALOCK_NO_ANSWER);
    assert_int_equal(w.now - then, 2500);
    w.mute_open = 0;
    acquire(0);
}

/* ---- using it wrongly ---- */

static void test_held_and_in_use(void **state)
{
    (void)state;
    ready();
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_IN_USE);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_IN_USE);
    world_run(&w, 10);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_HELD);
    assert_true(dynalock_remaining_ms(&w.client, &lock) > 0);
}

static void test_two_locks_with_one_key(void **state)
{
    (void)state;
    ready();
    world_lock(&second, "k");
    acquire(0);
    assert_int_equal(
        dynalock_acquire(&w.client, &second, 0), DYNALOCK_SAME_KEY);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_acquire(&w.client, &second, 0), DYNALOCK_OK);
}

static void test_never_held(void **state)
{
    dynalock_lock zero;

    (void)state;
    ready();
    memset(&zero, 0, sizeof zero);
    assert_int_equal(dynalock_result(&zero.operation), DYNALOCK_NOT_HELD);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_NOT_HELD);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_NOT_HELD);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_NOT_HELD);
    assert_int_equal(dynalock_fence(&lock), 0);
    acquire(0);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_NOT_HELD);
}

static void test_nothing_leaves_on_bad_input(void **state)
{
    (void)state;
    ready();
    lock.lease_ms = 11;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BAD_LEASE);
    lock.lease_ms = 0;
    w.unix_ms = 0;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_CLOCK_UNSET);
    w.unix_ms = 1700000000000;
    w.no_entropy = 1;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_NO_ENTROPY);
    w.no_entropy = 0;
    lock.operation.name.sort_key = "s";
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BAD_KEY);
    lock.operation.name.sort_key = NULL;
    assert_int_equal(dynalock_acquire(NULL, &lock, 0), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_acquire(&w.client, NULL, 0), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(w.opens, 0);
    acquire(0);
}

/* ---- cancel, close, scope ---- */

static void test_cancel_while_waiting(void **state)
{
    (void)state;
    ready();
    world_hold(&w, "r1", "60000");
    w.cancel_at = w.now + 2000;
    assert_int_equal(dynalock_acquire(&w.client, &lock, DYNALOCK_FOREVER),
        DYNALOCK_CANCELLED);
    assert_in_range(w.now, w.cancel_at, w.cancel_at + 1000);
}

static void test_cancel_with_a_write_under_way(void **state)
{
    (void)state;
    ready();
    w.latency = 400;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    dynalock_cancel(&w.client, &lock.operation);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_UNKNOWN);
    world_run(&w, 2000);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_CANCELLED);
    assert_true(w.item.released);
}

static void test_close_releases_what_is_held(void **state)
{
    static const dynalock_client zero;

    (void)state;
    ready();
    acquire(0);
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_true(w.item.released);
    assert_int_equal(w.opens, w.closes);
    assert_memory_equal(&w.client, &zero, sizeof zero);
}

/* "A lock whose lease was over is lost, and stays on the table as it is." */
static void test_a_lease_that_lapsed_then_closed(void **state)
{
    (void)state;
    ready();
    acquire(0);
    w.now += USABLE(10000);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
    w.requests = 0;
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_LOST_EXPIRED);
    assert_int_equal(w.requests, 0);
    assert_true(w.item.exists && !w.item.released);
}

/* One millisecond before, it is still its own to give back. */
static void test_a_lease_that_lapses_within_the_close(void **state)
{
    (void)state;
    ready();
    acquire(0);
    w.now += USABLE(10000) - 1;
    w.latency = 100;
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
    assert_true(w.item.released);
}

static void test_close_keeps_its_budget(void **state)
{
    uint64_t then;

    (void)state;
    ready();
    acquire(0);
    fault(FAULT_LOSE_REQUEST);
    then = w.now;
    assert_int_equal(dynalock_client_close(&w.client, 700), DYNALOCK_UNKNOWN);
    assert_int_equal(w.now - then, 700);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_UNKNOWN);
    assert_int_equal(w.opens, w.closes);
}

static int leave_by_return(void)
{
    DYNALOCK_WITH(&w.client, &lock, 0)
    {
        return 7;
    }
    return 0;
}

static void test_scope_releases_on_every_way_out(void **state)
{
    int inside = 0;

    (void)state;
    ready();
    DYNALOCK_WITH(&w.client, &lock, 0)
    {
        inside++;
        assert_true(dynalock_remaining_ms(&w.client, &lock) > 0);
    }
    assert_true(w.item.released);
    DYNALOCK_WITH(&w.client, &lock, 0)
    {
        inside++;
        assert_false(w.item.released);
        break;
    }
    assert_true(w.item.released);
    assert_int_equal(leave_by_return(), 7);
    assert_true(w.item.released);
    world_hold(&w, "r1", "60000");
    DYNALOCK_WITH(&w.client, &lock, 0)
    {
        inside++;
    }
    assert_int_equal(inside, 2);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_BUSY);
}

/* ---- any split, any failing hook ---- */

static void test_one_byte_at_a_time(void **state)
{
    (void)state;
    w.read_most = 1;
    w.write_most = 1;
    ready();
    acquire(0);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(w.requests, 3);
}

static dynalock_outcome do_acquire(void)
{
    return dynalock_acquire(&w.client, &lock, 0);
}

static dynalock_outcome do_renew(void)
{
    return dynalock_renew(&w.client, &lock);
}

static dynalock_outcome do_release(void)
{
    return dynalock_release(&w.client, &lock);
}

static dynalock_outcome do_read(void)
{
    static dynalock_record record;
    dynalock_name name;

    memset(&name, 0, sizeof name);
    name.key = "k";
    return dynalock_read(&w.client, &name, &record);
}

/* Fails the nth hook call of one operation; returns whether there was one. */
static int fail_nth(dynalock_outcome (*act)(void), int held, long n)
{
    dynalock_outcome rc;

    world_begin(&w);
    ready();
    if (held) acquire(0);
    w.fail_at = w.hook_calls + n;
    rc = act();
    if (w.hook_calls < w.fail_at) return 0;
    assert_true(rc == DYNALOCK_OK || rc < -9);
    w.fail_at = 0;
    world_run(&w, 60000);
    if (lock.operation.client != NULL)
        (void)dynalock_release(&w.client, &lock);
    acquire(60000); /* usable again */
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(w.opens, w.closes);
    return 1;
}

static void test_every_hook_call_fails_once(void **state)
{
    static const struct {
        dynalock_outcome (*act)(void);
        int held;
    } acts[] = { { do_acquire, 0 }, { do_renew, 1 }, { do_release, 1 },
        { do_read, 1 }, { do_read, 0 } };
    size_t i;
    long n;

    (void)state;
    for (i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        for (n = 1; fail_nth(acts[i].act, acts[i].held, n); n++)
            assert_true(n < 1000);
        assert_true(n > 4);
    }
}

/* ---- the words ---- */

static void test_every_outcome_is_explained(void **state)
{
    int outcome, explained = 0;
    const char *unknown = dynalock_explain((dynalock_outcome)-999);

    (void)state;
    for (outcome = -100; outcome <= 1; outcome++)
        if (strcmp(dynalock_explain((dynalock_outcome)outcome), unknown) != 0)
            explained++;
    assert_int_equal(explained, 57);
}

static void test_ticks_are_widened(void **state)
{
    dynalock_ticks ticks;

    (void)state;
    memset(&ticks, 0, sizeof ticks);
    assert_true(dynalock_extend_ticks(&ticks, 5) == 5);
    assert_true(dynalock_extend_ticks(&ticks, 0xfffffff0u) == 0xfffffff0u);
    assert_true(dynalock_extend_ticks(&ticks, 3) == 0x100000003ull);
    assert_true(dynalock_extend_ticks(&ticks, 3) == 0x100000003ull);
    /* another thread's reading, which comes a little late, is no wrap */
    assert_true(dynalock_extend_ticks(&ticks, 1) == 0x100000003ull);
    assert_true(dynalock_extend_ticks(&ticks, 0x90000000u) == 0x190000000ull);
    assert_true(dynalock_extend_ticks(&ticks, 1) == 0x200000001ull);
}

/* ---- waits ---- */

static void leave_a_write_unanswered(void)
{
    size_t i;

    ready();
    for (i = 0; i < 3; i++) w.faults[i] = FAULT_LOSE_ANSWER;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
}

/* And nothing comes through any more. */
static void lose_everything(void)
{
    size_t i;

    for (i = 3; i < 31; i++) w.faults[i] = FAULT_LOSE_REQUEST;
    leave_a_write_unanswered();
    w.refuse = 1;
}

static void test_one_try_settles_first_too(void **state)
{
    (void)state;
    leave_a_write_unanswered();
    acquire(0);
}

static void test_settling_uses_up_the_wait(void **state)
{
    uint64_t since;

    (void)state;
    lose_everything();
    since = w.now;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 3000), DYNALOCK_UNKNOWN);
    assert_in_range(w.now - since, 3000, 3001);
}

static void test_who_gives_up_while_settling_has_not_begun(void **state)
{
    int writes;

    (void)state;
    lose_everything();
    writes = w.writes;
    w.cancel_at = w.now + 100;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 60000), DYNALOCK_UNKNOWN);
    assert_true(w.now <= w.cancel_at + 2500); /* a wait of the hook */
    assert_int_equal(w.writes, writes);
}

/* What cannot be taken back is over when its lease is: said as it is. */
static void test_what_is_never_settled_stays_unknown(void **state)
{
    (void)state;
    lose_everything();
    world_run(&w, 920000); /* its copies are too old for any signature */
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_UNKNOWN);
    assert_int_equal(dynalock_poll(&w.client), DYNALOCK_OK);
    w.refuse = 0;
    w.fault_at = 31;
    acquire(30000); /* over what it left on the table */
}

/* More tries than a byte can count. */
static void test_a_long_outage_is_outlived(void **state)
{
    (void)state;
    w.config.cap_ms = 1000;
    ready();
    w.refuse = 1;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, DYNALOCK_FOREVER),
        DYNALOCK_AGAIN);
    world_run(&w, 600000);
    assert_int_equal(lock.operation.attempts, 255);
    w.refuse = 0;
    world_run(&w, 1001);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
}

/* The longest backoff that can be told. */
static void test_a_backoff_without_a_cap(void **state)
{
    (void)state;
    w.config.base_ms = DYNALOCK_FOREVER;
    w.config.cap_ms = DYNALOCK_FOREVER;
    ready();
    fault(FAULT_THROTTLE);
    acquire(1000);
}

/* ---- heartbeats by hand ---- */

static void test_manual_renewals_take_new_lease_and_data(void **state)
{
    (void)state;
    w.config.manual_renew = 1;
    ready();
    acquire(0);
    assert_int_equal(dynalock_set_lease(&w.client, &lock, 20000), DYNALOCK_OK);
    assert_int_equal(dynalock_set_data(&lock, "d", 1), DYNALOCK_OK);
    world_run(&w, 5000);
    assert_int_equal(w.writes, 1);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(w.item.lease, "20000");
    assert_non_null(world_find(&w, "\":d\":{\"B\":\"ZA==\"}"));
    assert_int_equal(dynalock_set_lease(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(w.item.lease, "10000"); /* the client's */
}

/* A lease that is set while a renewal is under way has its own renewal. */
static void test_a_lease_set_under_way_is_renewed_by_hand(void **state)
{
    (void)state;
    w.config.manual_renew = 1;
    ready();
    acquire(0);
    w.latency = 100;
    assert_int_equal(dynalock_start_renew(&w.client, &lock), DYNALOCK_AGAIN);
    world_run(&w, 10);
    lock.lease_ms = 5000; /* as set_lease would, were it not in use */
    world_run(&w, 1000);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
    assert_int_equal(w.writes, 2);
}

/* ---- the same item ---- */

static void test_two_locks_with_one_sort_key_or_table(void **state)
{
    static const struct {
        const char *key, *sort_key, *table;
        dynalock_outcome expected;
    } others[] = {
        { "k", "s", NULL, DYNALOCK_SAME_KEY },
        { "k", "s", "locks", DYNALOCK_SAME_KEY },
        { "k", "t", NULL, DYNALOCK_OK },
        { "k", "s", "others", DYNALOCK_OK },
        { "kk", "s", NULL, DYNALOCK_OK },
        { "l", "s", NULL, DYNALOCK_OK },
    };
    dynalock_lock_options options;
    size_t i;

    (void)state;
    w.config.sort_key_name = "sort";
    ready();
    memset(&options, 0, sizeof options);
    options.key = "k";
    options.sort_key = "s";
    assert_int_equal(dynalock_lock_init(&lock, &options), DYNALOCK_OK);
    acquire(0);
    for (i = 0; i < sizeof others / sizeof others[0]; i++) {
        memset(&w.item, 0, sizeof w.item);
        options.key = others[i].key;
        options.sort_key = others[i].sort_key;
        options.table = others[i].table;
        assert_int_equal(dynalock_lock_init(&second, &options), DYNALOCK_OK);
        assert_int_equal(
            dynalock_acquire(&w.client, &second, 0), others[i].expected);
        if (others[i].expected == DYNALOCK_OK)
            assert_int_equal(
                dynalock_release(&w.client, &second), DYNALOCK_OK);
    }
}

/* A stranger's version may be as long as ours. */
static void test_a_strangers_version_of_our_length(void **state)
{
    (void)state;
    ready();
    world_hold(&w, "0123456789012345678901234567890123456789x", "1000");
    assert_int_equal(strlen(w.item.rvn), 41);
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 60000), DYNALOCK_AGAIN);
    world_run(&w, 500);
    (void)strcpy(w.item.rvn, "0123456789012345678901234567890123456788x");
    world_run(&w, 900); /* it lives: the watch begins anew */
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_AGAIN);
    world_run(&w, 2500);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(acquire_renew_release),
        TEST(fence_rises_with_a_clock_that_stands),
        TEST(fence_behind_is_raised_at_once),
        TEST(remaining_counts_from_before_the_send),
        TEST(unanswered_renewal_lengthens_nothing),
        TEST(request_waits_a_quarter_of_the_lease),
        TEST(shorter_lease_counts_from_before_the_send),
        TEST(retry_over_ones_own_lost_answer),
        TEST(repeated_acquire_is_my_own),
        TEST(repeated_renewal_is_my_own),
        TEST(repeated_acquire_without_the_item),
        TEST(damage_cut_and_500_are_retried),
        TEST(idle_close_is_survived_without_a_delay),
        TEST(late_answer_is_not_taken_for_the_next),
        TEST(one_try_is_busy_and_names_the_holder),
        TEST(waits_to_its_deadline_exactly),
        TEST(takes_a_dead_lock_after_its_whole_lease),
        TEST(watch_starts_after_the_answer_was_received),
        TEST(short_waits_take_a_dead_lock_in_the_end),
        TEST(lock_init_forgets_the_watch),
        TEST(a_sign_of_life_restarts_the_watch),
        TEST(changed_lease_or_fence_restarts_the_watch),
        TEST(an_older_record_does_not_restart_the_watch),
        TEST(waiter_gets_a_released_lock_within_a_poll),
        TEST(poll_interval_is_never_shorter),
        TEST(without_the_item_a_look_decides),
        TEST(foreign_items_are_left_alone),
        TEST(lost_stolen),
        TEST(lost_vanished),
        TEST(lost_released),
        TEST(lost_expired_without_a_word_on_the_wire),
        TEST(a_lost_lock_can_be_acquired_again),
        TEST(poll_renews_what_is_held),
        TEST(manual_renew_renews_nothing_by_itself),
        TEST(heartbeat_survives_faults_until_the_lease_ends),
        TEST(release_waits_for_the_renewal_under_way),
        TEST(release_after_another_took_it_is_done),
        TEST(unknown_is_settled_by_later_polls),
        TEST(acquire_settles_first),
        TEST(acquire_does_not_wait_for_what_cannot_be_settled),
        TEST(close_tells_of_its_own_releases_only),
        TEST(result_is_not_an_earlier_calls),
        TEST(release_while_a_look_is_under_way),
        TEST(data_and_credentials_do_not_change_under_way),
        TEST(credentials_set_in_mid_request),
        TEST(cancelled_renewal_stays_cancelled),
        TEST(unreachable_is_not_unknown),
        TEST(silent_connect_ends_at_the_deadline),
        TEST(held_and_in_use),
        TEST(two_locks_with_one_key),
        TEST(never_held),
        TEST(nothing_leaves_on_bad_input),
        TEST(cancel_while_waiting),
        TEST(cancel_with_a_write_under_way),
        TEST(close_releases_what_is_held),
        TEST(a_lease_that_lapsed_then_closed),
        TEST(a_lease_that_lapses_within_the_close),
        TEST(close_keeps_its_budget),
        TEST(scope_releases_on_every_way_out),
        TEST(one_byte_at_a_time),
        TEST(every_hook_call_fails_once),
        TEST(every_outcome_is_explained),
        TEST(ticks_are_widened),
        TEST(one_try_settles_first_too),
        TEST(settling_uses_up_the_wait),
        TEST(who_gives_up_while_settling_has_not_begun),
        TEST(what_is_never_settled_stays_unknown),
        TEST(a_long_outage_is_outlived),
        TEST(a_backoff_without_a_cap),
        TEST(manual_renewals_take_new_lease_and_data),
        TEST(a_lease_set_under_way_is_renewed_by_hand),
        TEST(two_locks_with_one_sort_key_or_table),
        TEST(a_strangers_version_of_our_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
