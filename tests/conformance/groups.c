/*
Several locks at once, and one of several permits, before a real server.

    tests/harness.py --server dynoxide|dynalite -- build/conformance/groups
*/
#include "support.h"

#define MEMBERS 4
#define PERMITS 3

static dynalock_group group, other;
static dynalock_lock *members[DYNALOCK_GROUP_MOST];
static dynalock_lock *others[DYNALOCK_GROUP_MOST];

/* Keys that differ with each test: items are never deleted. */
static const char *key_of(const char *test, int i)
{
    static char keys[64][48];
    static int used;
    char *key = keys[used++ % (int)COUNT(keys)];

    (void)snprintf(key, 48, "%.40s %d", test, i);
    return key;
}

/* The same keys for both devices, in opposite orders. */
static void gather(const char *test, uint32_t count)
{
    uint32_t i;

    memset(&group, 0, sizeof group);
    memset(&other, 0, sizeof other);
    for (i = 0; i < count; i++) {
        const char *key = key_of(test, (int)i);

        members[i] = lock_named(key);
        others[count - 1 - i] = lock_named(key);
    }
    group.locks = members;
    group.count = count;
    other.locks = others;
    other.count = count;
}

static int held(const device *d, const dynalock_group *g)
{
    int n = 0;
    uint32_t i;

    for (i = 0; i < g->count; i++) n += remaining(d, g->locks[i]) > 0;
    return n;
}

static int begin(void **state)
{
    (void)before_each(state);
    start_with_lease(&a, "a", 2000);
    start_with_lease(&b, "b", 2000);
    return 0;
}

static int has_transactions(void)
{
    return strcmp(harness("SERVER"), "dynoxide") == 0;
}

static void all_are_taken_or_none(void **state)
{
    uint32_t i;

    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_group_acquire(&a.client, &group, 0));
    assert_int_equal(held(&a, &group), MEMBERS);
    assert_at_least(dynalock_group_remaining_ms(&a.client, &group), 1000);
    if (has_transactions()) {
        assert_int_equal(counter("TransactWriteItems"), 1);
        assert_int_equal(writes(), 0);
    }
    for (i = 0; i < MEMBERS; i++) assert_true(dynalock_fence(members[i]) > 0);
    assert_outcome(
        dynalock_group_acquire(&b.client, &other, 0), DYNALOCK_BUSY);
    assert_int_equal(held(&b, &other), 0);
    assert_string_equal(b.client.detail.holder, "a");
    assert_ok(dynalock_group_release(&a.client, &group));
    assert_int_equal(held(&a, &group), 0);
    assert_ok(dynalock_group_acquire(&b.client, &other, 0));
    assert_int_equal(held(&b, &other), MEMBERS);
}

/* Whichever it is. */
static void one_that_is_busy_stops_them_all(void **state)
{
    char name[48];
    uint32_t i;

    (void)state;
    for (i = 0; i < DYNALOCK_GROUP_MOST; i += 5) {
        locks_used = 0;
        (void)snprintf(name, sizeof name, "%s %u", __func__, (unsigned)i);
        gather(name, i < COUNT(locks) / 2 ? 16 : 1);
        assert_ok(dynalock_acquire(&b.client, others[15 - i], 0));
        assert_outcome(
            dynalock_group_acquire(&a.client, &group, 0), DYNALOCK_BUSY);
        assert_int_equal(held(&a, &group), 0);
        assert_ok(dynalock_release(&b.client, others[15 - i]));
        assert_ok(dynalock_group_acquire(&a.client, &group, 0));
        assert_int_equal(held(&a, &group), 16);
        assert_ok(dynalock_group_release(&a.client, &group));
    }
}

static void a_group_waits_for_what_is_busy(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_acquire(&b.client, others[1], 0));
    assert_outcome(
        dynalock_start_group_acquire(&a.client, &group, 9000), DYNALOCK_AGAIN);
    run_for(500);
    assert_outcome(dynalock_result(&group.operation), DYNALOCK_AGAIN);
    if (has_transactions()) assert_int_equal(held(&a, &group), 0);
    assert_outcome(
        dynalock_start_release(&b.client, others[1]), DYNALOCK_AGAIN);
    assert_ok(run_while(&group.operation, DYNALOCK_AGAIN));
    assert_int_equal(held(&a, &group), MEMBERS);
}

static void a_group_outlives_a_dead_holder(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_group_acquire(&b.client, &other, 0));
    b.running = 0;
    /* the members are watched one after another in the worst case */
    assert_ok(dynalock_group_acquire(
        &a.client, &group, MEMBERS * (2000 + 100) + SLACK_MS));
    assert_int_equal(held(&a, &group), MEMBERS);
    b.running = 1;
    assert_int_equal(held(&b, &other), 0);
}

static void heartbeats_keep_a_group(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_group_acquire(&a.client, &group, 0));
    run_for(4000);
    assert_int_equal(held(&a, &group), MEMBERS);
    assert_ok(dynalock_group_renew(&a.client, &group));
    assert_at_least(dynalock_group_remaining_ms(&a.client, &group), 1500);
}

/* One that is lost keeps nothing from the rest. */
static void a_lost_member_is_told_and_the_rest_given_back(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_group_acquire(&a.client, &group, 0));
    delete_item(members[2]->operation.name.key);
    assert_outcome(
        dynalock_group_renew(&a.client, &group), DYNALOCK_LOST_VANISHED);
    assert_int_equal(held(&a, &group), MEMBERS - 1);
    assert_int_equal(dynalock_group_remaining_ms(&a.client, &group), 0);
    assert_ok(dynalock_group_release(&a.client, &group));
    assert_int_equal(held(&a, &group), 0);
    assert_ok(dynalock_group_acquire(&b.client, &other, 0));
}

static void a_renewal_tells_of_what_was_lost_before(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_group_acquire(&a.client, &group, 0));
    delete_item(members[2]->operation.name.key);
    assert_outcome(
        dynalock_renew(&a.client, members[2]), DYNALOCK_LOST_VANISHED);
    assert_outcome(
        dynalock_group_renew(&a.client, &group), DYNALOCK_LOST_VANISHED);
    assert_ok(dynalock_group_release(&a.client, &group));
}

/* A transaction that was carried out without an answer is one's own copy. */
static void faults_make_no_second_holder(void **state)
{
    static const char *const faults[] = { "drop-request", "drop-answer",
        "cut-answer 40", "500", "500-after", "late 700", "repeat 300",
        "throttle", "delay-answer 900", "no-item" };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(faults); i++) {
        char name[48];

        (void)snprintf(name, sizeof name, "%.40s %u", __func__, (unsigned)i);
        locks_used = 0;
        proxy("clear");
        gather(name, MEMBERS);
        proxy("fault %s x2", faults[i]);
        assert_ok(dynalock_group_acquire(&a.client, &group, 9000));
        proxy("clear");
        assert_int_equal(held(&a, &group), MEMBERS);
        assert_outcome(
            dynalock_group_acquire(&b.client, &other, 0), DYNALOCK_BUSY);
        assert_ok(dynalock_group_release(&a.client, &group));
        run_for(800); /* late copies arrive, and have come too late */
        assert_ok(dynalock_group_acquire(&b.client, &other, 6000));
        assert_ok(dynalock_group_release(&b.client, &other));
    }
}

/* What was never answered is taken back by later polls. */
static void an_unanswered_group_is_taken_back(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    proxy("fault drop-answer x9 on=%s",
        has_transactions() ? "TransactWriteItems" : "UpdateItem");
    assert_outcome(
        dynalock_group_acquire(&a.client, &group, 0), DYNALOCK_UNKNOWN);
    assert_int_equal(held(&a, &group), 0);
    proxy("clear");
    run_for(1500);
    assert_null(a.client.operations);
    assert_ok(dynalock_group_acquire(&b.client, &other, 0));
}

/* Two devices with opposite orders never wait for each other. */
static void opposite_orders_do_not_block(void **state)
{
    int turns[2] = { 0, 0 }, i;

    (void)state;
    gather(__func__, MEMBERS);
    for (i = 0; i < 20; i++) {
        dynalock_outcome rc;

        assert_outcome(dynalock_start_group_acquire(&a.client, &group, 20000),
            DYNALOCK_AGAIN);
        assert_outcome(dynalock_start_group_acquire(&b.client, &other, 20000),
            DYNALOCK_AGAIN);
        while (dynalock_result(&group.operation) == DYNALOCK_AGAIN &&
               dynalock_result(&other.operation) == DYNALOCK_AGAIN)
            run_for(1);
        rc = dynalock_result(&group.operation);
        if (rc == DYNALOCK_OK) {
            assert_int_equal(held(&b, &other) == MEMBERS, 0);
            turns[0]++;
            assert_ok(dynalock_group_release(&a.client, &group));
            assert_ok(run_while(&other.operation, DYNALOCK_AGAIN));
            assert_ok(dynalock_group_release(&b.client, &other));
        } else {
            assert_ok(dynalock_result(&other.operation));
            turns[1]++;
            assert_ok(dynalock_group_release(&b.client, &other));
            assert_ok(run_while(&group.operation, DYNALOCK_AGAIN));
            assert_ok(dynalock_group_release(&a.client, &group));
        }
    }
    assert_int_equal(turns[0] + turns[1], 20);
}

static void what_cannot_be_a_group(void **state)
{
    dynalock_lock *twice[2];

    (void)state;
    gather(__func__, MEMBERS);
    group.count = 0;
    assert_outcome(
        dynalock_group_acquire(&a.client, &group, 0), DYNALOCK_BAD_ARGUMENT);
    group.count = 17;
    assert_outcome(
        dynalock_group_acquire(&a.client, &group, 0), DYNALOCK_BAD_ARGUMENT);
    twice[0] = members[0];
    twice[1] = others[MEMBERS - 1];
    group.locks = twice;
    group.count = 2;
    assert_outcome(
        dynalock_group_acquire(&a.client, &group, 0), DYNALOCK_SAME_KEY);
    assert_null(a.client.operations);
    assert_ok(dynalock_acquire(&a.client, members[0], 0));
    assert_outcome(
        dynalock_group_acquire(&a.client, &group, 0), DYNALOCK_HELD);
    assert_true(remaining(&a, members[0]) > 0);
}

static void a_cancelled_group_leaves_nothing(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_acquire(&b.client, others[0], 0));
    assert_outcome(
        dynalock_start_group_acquire(&a.client, &group, 9000), DYNALOCK_AGAIN);
    run_for(200);
    dynalock_cancel(&a.client, &group.operation);
    assert_outcome(dynalock_result(&group.operation), DYNALOCK_CANCELLED);
    run_for(100);
    assert_null(a.client.operations);
    assert_ok(dynalock_release(&b.client, others[0]));
    assert_ok(dynalock_group_acquire(&b.client, &other, 0));
}

static void a_cancelled_member_ends_the_group(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_acquire(&b.client, others[0], 0));
    assert_outcome(
        dynalock_start_group_acquire(&a.client, &group, 9000), DYNALOCK_AGAIN);
    run_for(200);
    dynalock_cancel(&a.client, &members[1]->operation);
    if (!has_transactions())
        dynalock_cancel(&a.client, &members[3]->operation);
    assert_ok(dynalock_release(&b.client, others[0]));
    assert_outcome(
        run_while(&group.operation, DYNALOCK_AGAIN), DYNALOCK_CANCELLED);
    run_for(100);
    assert_null(a.client.operations);
    assert_int_equal(held(&a, &group), 0);
    assert_ok(dynalock_group_acquire(&b.client, &other, 0));
}

static void a_closed_client_gives_a_group_back(void **state)
{
    (void)state;
    gather(__func__, MEMBERS);
    assert_ok(dynalock_group_acquire(&a.client, &group, 0));
    a.running = 0;
    assert_ok(dynalock_client_close(&a.client, 3000));
    assert_ok(dynalock_group_acquire(&b.client, &other, 0));
}

/* ---- permits ---- */

static dynalock_permit permits[2][8];
static dynalock_semaphore semaphore[2];

static void make_semaphores(const char *name, uint32_t count)
{
    dynalock_lock_options options;
    int i;

    memset(&options, 0, sizeof options);
    options.key = name;
    for (i = 0; i < 2; i++)
        assert_ok(dynalock_semaphore_init(
            &semaphore[i], permits[i], count, &options));
}

static void as_many_permits_as_there_are(void **state)
{
    const dynalock_lock *got[PERMITS];
    int i;

    (void)state;
    make_semaphores(__func__, PERMITS);
    assert_null(dynalock_semaphore_lock(&semaphore[0]));
    for (i = 0; i < PERMITS; i++) {
        assert_ok(dynalock_semaphore_acquire(&a.client, &semaphore[0], 0));
        got[i] = dynalock_semaphore_lock(&semaphore[0]);
        assert_true(remaining(&a, got[i]) > 0);
    }
    assert_true(got[0] != got[1] && got[1] != got[2] && got[0] != got[2]);
    assert_outcome(dynalock_semaphore_acquire(&b.client, &semaphore[1], 0),
        DYNALOCK_BUSY);
    assert_null(dynalock_semaphore_lock(&semaphore[1]));
    assert_outcome(dynalock_semaphore_acquire(&b.client, &semaphore[1], 300),
        DYNALOCK_TIMEOUT);
    assert_outcome(
        dynalock_start_semaphore_acquire(&b.client, &semaphore[1], 9000),
        DYNALOCK_AGAIN);
    run_for(300);
    assert_ok(dynalock_release(&a.client, &permits[0][1].lock));
    assert_ok(run_while(&semaphore[1].operation, DYNALOCK_AGAIN));
    assert_ptr_equal(
        dynalock_semaphore_lock(&semaphore[1]), &permits[1][1].lock);
}

static void a_dead_holders_permit_is_taken_over(void **state)
{
    (void)state;
    make_semaphores(__func__, 2);
    assert_ok(dynalock_semaphore_acquire(&a.client, &semaphore[0], 0));
    assert_ok(dynalock_semaphore_acquire(&a.client, &semaphore[0], 0));
    a.running = 0;
    assert_ok(dynalock_semaphore_acquire(
        &b.client, &semaphore[1], 2000 + 100 + SLACK_MS));
    a.running = 1;
}

static void short_waits_outlive_a_dead_holder_too(void **state)
{
    uint64_t end_ms;
    dynalock_outcome rc;

    (void)state;
    make_semaphores(__func__, 1);
    assert_ok(dynalock_semaphore_acquire(&a.client, &semaphore[0], 0));
    a.running = 0;
    end_ms = now_ms() + 2000 + 100 + SLACK_MS;
    do {
        rc = dynalock_semaphore_acquire(&b.client, &semaphore[1], 100);
    } while (rc == DYNALOCK_TIMEOUT && now_ms() < end_ms);
    assert_ok(rc);
    a.running = 1;
}

/* All permits are held here already: nothing is left to ask for. */
static void a_pause_sends_nothing(void **state)
{
    unsigned long before;

    (void)state;
    make_semaphores(__func__, 1);
    assert_ok(dynalock_semaphore_acquire(&a.client, &semaphore[0], 0));
    before = counter("requests");
    assert_outcome(dynalock_semaphore_acquire(&a.client, &semaphore[0], 300),
        DYNALOCK_TIMEOUT);
    assert_int_equal(counter("requests"), before);
    assert_true(remaining(&a, &permits[0][0].lock) > 0);
}

/* Nothing of a call that has ended is in the list but what is taken back. */
static void an_unanswered_permit_is_unknown(void **state)
{
    (void)state;
    make_semaphores(__func__, 1);
    proxy("fault drop-answer x99 on=UpdateItem");
    assert_outcome(dynalock_semaphore_acquire(&a.client, &semaphore[0], 700),
        DYNALOCK_UNKNOWN);
    assert_outcome(
        dynalock_result(&permits[0][0].lock.operation), DYNALOCK_UNKNOWN);
    proxy("clear");
    run_for(1500);
    assert_null(a.client.operations);
    assert_ok(dynalock_semaphore_acquire(&b.client, &semaphore[1], 0));
}

static void one_foreign_item_does_not_stop_the_rest(void **state)
{
    (void)state;
    make_semaphores(__func__, 2);
    put_item(permits[0][0].key, "\"x\":{\"N\":\"1\"}");
    assert_ok(dynalock_semaphore_acquire(&a.client, &semaphore[0], 3000));
    assert_ptr_equal(
        dynalock_semaphore_lock(&semaphore[0]), &permits[0][1].lock);
}

static void what_cannot_be_a_semaphore(void **state)
{
    dynalock_lock_options options;
    char key[70];

    (void)state;
    memset(&options, 0, sizeof options);
    assert_outcome(
        dynalock_semaphore_init(&semaphore[0], permits[0], 2, &options),
        DYNALOCK_BAD_KEY);
    memset(key, 'k', 62);
    key[62] = '\0';
    options.key = key;
    assert_outcome(
        dynalock_semaphore_init(&semaphore[0], permits[0], 2, &options),
        DYNALOCK_BAD_KEY);
    key[61] = '\0';
    assert_ok(dynalock_semaphore_init(&semaphore[0], permits[0], 2, &options));
    assert_outcome(
        dynalock_semaphore_init(&semaphore[0], permits[0], 0, &options),
        DYNALOCK_BAD_ARGUMENT);
    assert_outcome(dynalock_semaphore_acquire(&a.client, &semaphore[0], 0),
        DYNALOCK_BAD_ARGUMENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_are_taken_or_none),
        TEST(one_that_is_busy_stops_them_all),
        TEST(a_group_waits_for_what_is_busy),
        TEST(a_group_outlives_a_dead_holder),
        TEST(heartbeats_keep_a_group),
        TEST(a_lost_member_is_told_and_the_rest_given_back),
        TEST(a_renewal_tells_of_what_was_lost_before),
        TEST(faults_make_no_second_holder),
        TEST(an_unanswered_group_is_taken_back),
        TEST(opposite_orders_do_not_block),
        TEST(what_cannot_be_a_group),
        TEST(a_cancelled_group_leaves_nothing),
        TEST(a_cancelled_member_ends_the_group),
        TEST(a_closed_client_gives_a_group_back),
        TEST(as_many_permits_as_there_are),
        TEST(a_dead_holders_permit_is_taken_over),
        TEST(short_waits_outlive_a_dead_holder_too),
        TEST(a_pause_sends_nothing),
        TEST(an_unanswered_permit_is_unknown),
        TEST(one_foreign_item_does_not_stop_the_rest),
        TEST(what_cannot_be_a_semaphore),
    };

    return cmocka_run_group_tests(tests, start_all, NULL);
}
