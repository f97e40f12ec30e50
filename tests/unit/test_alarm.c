/* Who is told before and when a lock is lost; giving back all at once; waiting
   without reads, and longer than the lease. */
#include "world.h"

#define LOCKS 3
#define SAFE 4000

static world w;
static dynalock_lock locks[LOCKS];
static dynalock_alarm alarms[LOCKS];
static char told[400];

static void note(void *context, dynalock_lock *lock, dynalock_outcome state)
{
    size_t n = strlen(told);

    assert_int_equal(&locks[(dynalock_alarm *)context - alarms] - lock, 0);
    (void)snprintf(told + n, sizeof told - n, "%llu:%d ",
        (unsigned long long)(w.now - 1000000), (int)state);
}

static int begin(void **state)
{
    static const char *const keys[LOCKS] = { "k", "l", "m" };
    size_t i;

    (void)state;
    world_begin(&w);
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    memset(alarms, 0, sizeof alarms);
    told[0] = '\0';
    for (i = 0; i < LOCKS; i++) {
        world_lock(&locks[i], keys[i]);
        alarms[i].safe_ms = SAFE;
        alarms[i].notify = note;
        alarms[i].context = &alarms[i];
        assert_int_equal(
            dynalock_set_alarm(&locks[i], &alarms[i]), DYNALOCK_OK);
    }
    w.locks[0] = &locks[0];
    return 0;
}

static void acquire(void)
{
    assert_int_equal(dynalock_acquire(&w.client, &locks[0], 0), DYNALOCK_OK);
}

static void expect(const char *text)
{
    assert_string_equal(told, text);
    told[0] = '\0';
}

/* 10,000 ms less 110: safe until 5,890, lost at 9,890. */
static void test_danger_and_loss_are_told_in_time(void **state)
{
    (void)state;
    acquire();
    expect("0:0 ");
    w.refuse = 1;
    w.peer_closed = 1;
    world_run(&w, 5889);
    expect("");
    assert_int_equal(dynalock_check(&w.client, &locks[0]), DYNALOCK_OK);
    world_run(&w, 1);
    expect("5890:-39 ");
    assert_int_equal(dynalock_check(&w.client, &locks[0]), DYNALOCK_DANGER);
    world_run(&w, 3999);
    expect("");
    assert_int_equal(dynalock_remaining_ms(&w.client, &locks[0]), 1);
    world_run(&w, 2);
    expect("9890:-32 ");
    assert_int_equal(
        dynalock_check(&w.client, &locks[0]), DYNALOCK_LOST_EXPIRED);
    assert_int_equal(w.client.operations == NULL, 1);
}

static void test_safe_again_is_told(void **state)
{
    (void)state;
    acquire();
    w.refuse = 1;
    w.peer_closed = 1;
    world_run(&w, 7000);
    expect("0:0 5890:-39 ");
    w.refuse = 0;
    world_run(&w, 2890);
    assert_non_null(strstr(told, ":0 "));
    assert_int_equal(strlen(told), 7); /* and nothing else */
    assert_int_equal(dynalock_check(&w.client, &locks[0]), DYNALOCK_OK);
}

static void test_heartbeats_in_time_tell_nothing(void **state)
{
    (void)state;
    acquire();
    world_run(&w, 100000);
    expect("0:0 ");
    assert_int_equal(dynalock_release(&w.client, &locks[0]), DYNALOCK_OK);
    expect("");
    assert_int_equal(dynalock_check(&w.client, &locks[0]), DYNALOCK_NOT_HELD);
    acquire();
    expect("100000:0 ");
}

static void test_theft_is_told_at_the_next_renewal(void **state)
{
    (void)state;
    acquire();
    told[0] = '\0';
    world_hold(&w, "x", "10000");
    world_run(&w, 3400);
    assert_non_null(strstr(told, ":-33 "));
    assert_string_equal(w.client.detail.holder, "other");
    assert_int_equal(
        dynalock_check(&w.client, &locks[0]), DYNALOCK_LOST_STOLEN);
    w.requests = 0;
    world_run(&w, 30000);
    assert_int_equal(w.requests, 0); /* after a loss nothing is written */
}

static void test_deletion_and_foreign_release_are_told(void **state)
{
    (void)state;
    acquire();
    told[0] = '\0';
    memset(&w.item, 0, sizeof w.item);
    world_run(&w, 3400);
    assert_non_null(strstr(told, ":-34 "));
    acquire();
    told[0] = '\0';
    w.item.released = 1;
    world_run(&w, 3400);
    assert_non_null(strstr(told, ":-35 "));
}

/* With a safe time that no renewal can keep, danger is all there is. */
static void test_a_lease_that_is_never_safe(void **state)
{
    (void)state;
    alarms[0].safe_ms = 20000;
    acquire();
    world_run(&w, 20000);
    expect("0:-39 ");
    assert_int_equal(dynalock_check(&w.client, &locks[0]), DYNALOCK_DANGER);
}

static void test_a_shorter_lease_is_a_danger(void **state)
{
    (void)state;
    acquire();
    told[0] = '\0';
    assert_int_equal(
        dynalock_set_lease(&w.client, &locks[0], 3000), DYNALOCK_OK);
    world_run(&w, 1);
    assert_int_equal(dynalock_check(&w.client, &locks[0]), DYNALOCK_DANGER);
    assert_non_null(strstr(told, ":-39 "));
}

/* Even if another lock has the connection just then. */
static void test_a_shorter_lease_is_told_without_the_connection(void **state)
{
    (void)state;
    acquire();
    w.latency = 4000;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &locks[1], 0), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    told[0] = '\0';
    assert_int_equal(
        dynalock_set_lease(&w.client, &locks[0], 3000), DYNALOCK_OK);
    (void)dynalock_poll(&w.client);
    expect("0:-39 ");
}

static void test_alarms_are_set_before_the_call(void **state)
{
    (void)state;
    acquire();
    assert_int_equal(
        dynalock_set_alarm(&locks[0], &alarms[0]), DYNALOCK_IN_USE);
    assert_int_equal(
        dynalock_set_alarm(NULL, &alarms[0]), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_set_alarm(&locks[1], NULL), DYNALOCK_BAD_ARGUMENT);
    alarms[1].notify = NULL;
    assert_int_equal(
        dynalock_set_alarm(&locks[1], &alarms[1]), DYNALOCK_BAD_ARGUMENT);
}

/* ---- all at once ---- */

static void acquire_all(void)
{
    size_t i;

    for (i = 0; i < LOCKS; i++) {
        memset(&w.item, 0, sizeof w.item); /* the world has but one */
        assert_int_equal(
            dynalock_acquire(&w.client, &locks[i], 0), DYNALOCK_OK);
    }
}

static void test_all_are_given_back(void **state)
{
    size_t i;

    (void)state;
    acquire_all();
    w.requests = 0;
    assert_int_equal(dynalock_release_all(&w.client, 5000), DYNALOCK_OK);
    assert_int_equal(w.requests, LOCKS);
    for (i = 0; i < LOCKS; i++)
        assert_int_equal(
            dynalock_check(&w.client, &locks[i]), DYNALOCK_NOT_HELD);
    assert_int_equal(dynalock_release_all(&w.client, 5000), DYNALOCK_OK);
    assert_int_equal(w.requests, LOCKS);
}

static void test_a_release_of_all_that_is_unanswered_goes_on(void **state)
{
    uint64_t then;

    (void)state;
    acquire_all();
    w.faults[0] = FAULT_LOSE_ANSWER;
    then = w.now;
    assert_int_equal(dynalock_release_all(&w.client, 100), DYNALOCK_UNKNOWN);
    assert_int_equal(w.now - then, 100);
    assert_int_equal(dynalock_remaining_ms(&w.client, &locks[0]), 0);
    world_run(&w, 10000);
    assert_int_equal(w.client.operations == NULL, 1);
}

static void test_waiters_outlast_a_release_of_all(void **state)
{
    (void)state;
    world_hold(&w, "x", "10000");
    assert_int_equal(
        dynalock_start_acquire(&w.client, &locks[1], 60000), DYNALOCK_AGAIN);
    world_run(&w, 10);
    assert_int_equal(dynalock_release_all(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(dynalock_result(&locks[1].operation), DYNALOCK_AGAIN);
    world_run(&w, 11000);
    assert_int_equal(dynalock_result(&locks[1].operation), DYNALOCK_OK);
}

/* ---- other ways to wait ---- */

static void test_waiting_without_reads(void **state)
{
    uint64_t then;

    (void)state;
    w.config.poll_ms = DYNALOCK_FOREVER;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    world_hold(&w, "x", "10000");
    then = w.now;
    assert_int_equal(
        dynalock_acquire(&w.client, &locks[0], 60000), DYNALOCK_OK);
    assert_int_equal(w.now - then, 10110);
    assert_int_equal(w.reads, 0);
    assert_int_equal(w.writes, 2);
}

/* Released, but the fence is behind twice: it is tried again within a lease,
   though reads are never due. */
static void test_without_reads_a_free_lock_is_not_slept_over(void **state)
{
    uint64_t then;

    (void)state;
    w.config.poll_ms = DYNALOCK_FOREVER;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    world_hold(&w, "x", "10000");
    w.item.released = 1;
    w.faults[0] = w.faults[1] = FAULT_REFUSE;
    then = w.now;
    assert_int_equal(
        dynalock_acquire(&w.client, &locks[0], 60000), DYNALOCK_OK);
    assert_true(w.now - then <= 10000);
}

static void test_the_longest_lock_delay_is_waited_for(void **state)
{
    (void)state;
    w.config.lock_delay_ms = 0xffffffffu;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    world_hold(&w, "x", "10000");
    assert_int_equal(
        dynalock_acquire(&w.client, &locks[0], 60000), DYNALOCK_TIMEOUT);
    assert_string_equal(w.item.owner, "other");
}

static void test_lock_delay_is_for_the_dead(void **state)
{
    uint64_t then;

    (void)state;
    w.config.lock_delay_ms = 7000;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    world_hold(&w, "x", "10000");
    then = w.now;
    assert_int_equal(
        dynalock_acquire(&w.client, &locks[0], 60000), DYNALOCK_OK);
    assert_int_equal(w.now - then, 17110);
    assert_int_equal(dynalock_release(&w.client, &locks[0]), DYNALOCK_OK);
    /* who releases is not dead */
    then = w.now;
    assert_int_equal(
        dynalock_acquire(&w.client, &locks[1], 60000), DYNALOCK_OK);
    assert_int_equal(w.now - then, 0);
}

static void test_a_nested_scope_is_told_that_it_is_held(void **state)
{
    int outer = 0, inner = 0;

    (void)state;
    DYNALOCK_WITH(&w.client, &locks[0], 0)
    {
        outer++;
        DYNALOCK_WITH(&w.client, &locks[0], 0)
        {
            inner++;
        }
        assert_int_equal(dynalock_check(&w.client, &locks[0]), DYNALOCK_OK);
    }
    assert_int_equal(outer, 1);
    assert_int_equal(inner, 0);
    assert_int_equal(dynalock_check(&w.client, &locks[0]), DYNALOCK_NOT_HELD);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(danger_and_loss_are_told_in_time),
        TEST(safe_again_is_told),
        TEST(heartbeats_in_time_tell_nothing),
        TEST(theft_is_told_at_the_next_renewal),
        TEST(deletion_and_foreign_release_are_told),
        TEST(a_lease_that_is_never_safe),
        TEST(a_shorter_lease_is_a_danger),
        TEST(a_shorter_lease_is_told_without_the_connection),
        TEST(alarms_are_set_before_the_call),
        TEST(all_are_given_back),
        TEST(a_release_of_all_that_is_unanswered_goes_on),
        TEST(waiters_outlast_a_release_of_all),
        TEST(waiting_without_reads),
        TEST(without_reads_a_free_lock_is_not_slept_over),
        TEST(the_longest_lock_delay_is_waited_for),
        TEST(lock_delay_is_for_the_dead),
        TEST(a_nested_scope_is_told_that_it_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
