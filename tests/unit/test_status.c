/* What is told of a lock: when it was granted, what changes while it is
   watched; and the way to break it. */
#include "world.h"

#define SEEN 16

static world w;
static dynalock_lock lock;
static dynalock_watch watching;
static dynalock_record memory;
static const dynalock_name name = { "k", NULL, NULL };

/* What the watch's callback was told. */
static struct {
    int calls;
    dynalock_status status[SEEN];
    uint64_t fence[SEEN];
    uint32_t before_ms[SEEN];
    uint64_t at[SEEN];
    char owner[SEEN][32];
} seen;

static void note(
    void *context, const dynalock_watch *watch, uint32_t before_ms)
{
    int i = seen.calls++;

    assert_ptr_equal(context, &w);
    assert_true(i < SEEN);
    assert_int_equal(watch->unchanged_ms, 0);
    seen.status[i] = watch->record.status;
    seen.fence[i] = watch->record.fence;
    seen.before_ms[i] = before_ms;
    seen.at[i] = w.now;
    (void)snprintf(
        seen.owner[i], sizeof seen.owner[i], "%.31s", watch->record.owner);
}

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    world_ready(&w, &lock);
    memset(&seen, 0, sizeof seen);
    memset(&watching, 0x5a, sizeof watching); /* as memory may be */
    watching.changed = note;
    watching.context = &w;
    return 0;
}

static void watch(void)
{
    assert_int_equal(
        dynalock_start_watch(&w.client, &name, &watching), DYNALOCK_AGAIN);
}

static dynalock_outcome watched(void)
{
    return dynalock_result(&watching.record.operation);
}

/* Somebody's item with a fence; version n of acquisition `letter`. */
static void hold_as(char letter, unsigned n, unsigned long long fence)
{
    char rvn[64];

    memset(rvn, letter, 32);
    (void)snprintf(rvn + 32, sizeof rvn - 32, ":%08x", n);
    world_hold(&w, rvn, "10000");
    w.item.has_fence = 1;
    w.item.fence = fence;
}

/* ---- granted about when ---- */

static void test_a_fence_is_about_the_time_of_its_grant(void **state)
{
    int64_t now = w.unix_ms + (int64_t)w.now;

    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(dynalock_granted_ms(dynalock_fence(&lock)) == now);
    assert_int_equal(dynalock_read(&w.client, &name, &memory), DYNALOCK_OK);
    assert_true(dynalock_granted_ms(memory.fence) == now);
    assert_true(dynalock_granted_ms(0) == 0);
}

/* ---- watching ---- */

static void test_the_first_look_is_told(void **state)
{
    (void)state;
    watch();
    world_run(&w, 100);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.status[0], DYNALOCK_ABSENT);
    assert_int_equal(seen.before_ms[0], 0);
    assert_int_equal(watched(), DYNALOCK_AGAIN);
    assert_int_equal(watching.record.status, DYNALOCK_ABSENT);
}

static void test_every_change_is_told(void **state)
{
    (void)state;
    watch();
    world_run(&w, 100);
    hold_as('a', 1, 1000);
    world_run(&w, 3000);
    w.item.released = 1;
    world_run(&w, 3000);
    hold_as('b', 1, 2000);
    world_run(&w, 3000);
    hold_as('c', 1, 3000); /* taken over */
    world_run(&w, 3000);
    (void)snprintf(w.item.owner, sizeof w.item.owner, "third");
    world_run(&w, 3000);
    memset(&w.item, 0, sizeof w.item);
    world_run(&w, 3000);
    w.item.exists = 1;
    w.item.raw = "{\"key\":{\"S\":\"k\"},\"colour\":{\"S\":\"red\"}}";
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 8);
    assert_int_equal(seen.status[1], DYNALOCK_LOCKED);
    assert_string_equal(seen.owner[1], "other");
    assert_true(seen.fence[1] == 1000);
    assert_int_equal(seen.status[2], DYNALOCK_RELEASED);
    assert_true(seen.fence[3] == 2000);
    assert_true(seen.fence[4] == 3000);
    assert_string_equal(seen.owner[5], "third");
    assert_int_equal(seen.status[6], DYNALOCK_ABSENT);
    assert_int_equal(seen.status[7], DYNALOCK_FOREIGN);
    assert_int_equal(watched(), DYNALOCK_AGAIN);
}

static void test_looks_come_at_the_interval(void **state)
{
    (void)state;
    hold_as('a', 1, 1000);
    watch();
    world_run(&w, 60000);
    assert_in_range(w.reads, 60000 / 1250, 60000 / 1000 + 1);
    assert_int_equal(seen.calls, 1);
    /* only the first one is dear */
    assert_null(world_find(&w, "ConsistentRead"));
}

static void test_heartbeats_only_update(void **state)
{
    unsigned n;

    (void)state;
    hold_as('a', 1, 1000);
    watch();
    for (n = 2; n < 10; n++) {
        world_run(&w, 3000);
        assert_in_range(watching.unchanged_ms, 500, 3000);
        hold_as('a', n, 1000);
    }
    world_run(&w, 1300);
    assert_int_equal(seen.calls, 1);
    assert_string_equal(watching.record.rvn, w.item.rvn);
    assert_true(watching.unchanged_ms < 1300);
}

/* Those of the Java client keep what they do not know, our fence too. */
static void test_a_fence_ties_strange_versions_together(void **state)
{
    (void)state;
    hold_as('a', 1, 1000);
    watch();
    world_run(&w, 3000);
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "a-uuid");
    world_run(&w, 3000);
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "another-uuid");
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 1);
    w.item.has_fence = 0;
    world_run(&w, 3000);
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "a-third-uuid");
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 3);
}

/* From the answer that first showed the record to the request of the last look,
   not longer: what lies before and behind nobody has seen. */
static void test_unchanged_is_never_too_long(void **state)
{
    uint64_t asked;

    (void)state;
    hold_as('a', 1, 1000);
    w.latency = 200;
    watch();
    world_run(&w, 300);
    assert_int_equal(seen.calls, 1);
    world_run(&w, 100000);
    while (w.now < w.answer_from) world_run(&w, 1);
    asked = w.answer_from - w.latency;
    assert_true(asked > seen.at[0] + 98000);
    assert_int_equal(watching.unchanged_ms, asked - seen.at[0]);
    hold_as('b', 1, 2000);
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 2);
    assert_int_equal(seen.before_ms[1], asked - seen.at[0]);
}

/* Reads that are not consistent may show the past: neither a change back and
   forth nor an older heartbeat may come of that. */
static void test_the_past_is_not_told(void **state)
{
    (void)state;
    hold_as('a', 7, 1000);
    w.stale = w.item;
    hold_as('b', 1, 2000);
    watch();
    world_run(&w, 10000);
    assert_int_equal(seen.calls, 1);
    assert_true(seen.fence[0] == 2000);
    w.stale.exists = 0;
    hold_as('b', 5, 2000);
    world_run(&w, 3000);
    w.stale = w.item;
    hold_as('b', 6, 2000);
    w.stale.rvn[40] = '4';
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(watching.record.rvn[40], '5');
}

static void test_cut_texts_are_not_a_change_at_each_look(void **state)
{
    (void)state;
    hold_as('a', 1, 1000);
    memset(w.item.owner, 'x', DYNALOCK_OWNER_SIZE + 20);
    watch();
    world_run(&w, 10000);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.status[0], DYNALOCK_FOREIGN);
    memset(w.item.owner, 'y', 250); /* not even kept */
    world_run(&w, 10000);
    assert_int_equal(seen.calls, 2);
}

static void test_what_passes_does_not_end_a_watch(void **state)
{
    static const enum world_fault faults[] = { FAULT_LOSE_REQUEST,
        FAULT_LOSE_ANSWER, FAULT_CUT, FAULT_THROTTLE, FAULT_500, FAULT_DAMAGE,
        FAULT_HTML, FAULT_CLOSE_IDLE, FAULT_THROTTLE, FAULT_500 };

    (void)state;
    hold_as('a', 1, 1000);
    memcpy(w.faults, faults, sizeof faults);
    watch();
    world_run(&w, 30000);
    assert_int_equal(w.fault_at, sizeof faults / sizeof faults[0]);
    w.refuse = 1;
    w.faults[w.fault_at] = FAULT_CLOSE_IDLE;
    world_run(&w, 60000);
    w.refuse = 0;
    hold_as('b', 1, 2000);
    world_run(&w, 10000);
    assert_int_equal(seen.calls, 2);
    assert_int_equal(watched(), DYNALOCK_AGAIN);
}

static void test_what_does_not_pass_ends_it(void **state)
{
    (void)state;
    hold_as('a', 1, 1000);
    watch();
    world_run(&w, 100);
    w.faults[0] = FAULT_DENY;
    world_run(&w, 3000);
    assert_int_equal(watched(), DYNALOCK_DENIED);
    assert_int_equal(dynalock_poll(&w.client), DYNALOCK_OK);
}

static void test_cancel_and_close_end_it(void **state)
{
    (void)state;
    watch();
    assert_int_equal(
        dynalock_start_watch(&w.client, &name, &watching), DYNALOCK_IN_USE);
    world_run(&w, 100);
    dynalock_cancel(&w.client, &watching.record.operation);
    assert_int_equal(watched(), DYNALOCK_CANCELLED);
    world_run(&w, 5000);
    assert_int_equal(w.requests, 1);
    watch(); /* again, with the same memory */
    world_run(&w, 100);
    assert_int_equal(seen.calls, 2);
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(watched(), DYNALOCK_CANCELLED);
}

static void test_a_watch_beside_a_held_lock(void **state)
{
    (void)state;
    watch();
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    world_run(&w, 60000);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    world_run(&w, 3000);
    assert_int_equal(seen.status[seen.calls - 1], DYNALOCK_RELEASED);
    assert_in_range(seen.calls, 2, 3);
}

static void test_bad_watches_are_refused(void **state)
{
    static const dynalock_name nameless = { "", NULL, NULL };

    (void)state;
    assert_int_equal(dynalock_start_watch(&w.client, &nameless, &watching),
        DYNALOCK_BAD_KEY);
    assert_int_equal(dynalock_start_watch(&w.client, NULL, &watching),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_start_watch(&w.client, &name, NULL), DYNALOCK_BAD_ARGUMENT);
    watching.changed = NULL;
    assert_int_equal(dynalock_start_watch(&w.client, &name, &watching),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(w.requests, 0);
}

/* ---- breaking ---- */

static dynalock_outcome break_shown(const char *rvn)
{
    return dynalock_break(&w.client, &name, rvn, &memory);
}

static void test_what_was_shown_is_broken(void **state)
{
    (void)state;
    hold_as('a', 3, 1000);
    assert_int_equal(dynalock_read(&w.client, &name, &memory), DYNALOCK_OK);
    /* the version number stands in the memory that the call uses */
    assert_int_equal(break_shown(memory.rvn), DYNALOCK_OK);
    assert_true(w.item.released);
    assert_true(w.item.fence == 1000);
    assert_string_equal(
        w.item.rvn, "released:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(memory.status, DYNALOCK_RELEASED);
    assert_string_equal(memory.rvn, w.item.rvn);
    /* and taken at once, with a fence above */
    w.item.fence = 1800000000000;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) == 1800000000001);
}

static void test_strange_versions_are_broken_too(void **state)
{
    (void)state;
    world_hold(&w, "5e2f\\u0022\\\\ \xc3\xa9", "10000");
    assert_int_equal(dynalock_read(&w.client, &name, &memory), DYNALOCK_OK);
    assert_string_equal(memory.rvn, "5e2f\"\\ \xc3\xa9");
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "plain");
    assert_int_equal(break_shown("plain"), DYNALOCK_OK);
    assert_string_equal(w.item.rvn, "released:");
    assert_int_equal(break_shown("5e2f\"\\ \xc3\xa9"), DYNALOCK_OK);
    assert_non_null(
        world_find(&w, "\":r\":{\"S\":\"5e2f\\\"\\\\ \xc3\xa9\"}"));
}

static void test_what_has_changed_is_kept(void **state)
{
    char shown[sizeof w.item.rvn];

    (void)state;
    hold_as('a', 3, 1000);
    memcpy(shown, w.item.rvn, sizeof shown);
    hold_as('a', 4, 1000); /* a heartbeat: it lives */
    assert_int_equal(break_shown(shown), DYNALOCK_KEPT);
    assert_int_equal(memory.status, DYNALOCK_LOCKED);
    assert_string_equal(memory.rvn, w.item.rvn);
    assert_string_equal(memory.owner, "other");
    assert_true(memory.fence == 1000);
    hold_as('b', 1, 2000);
    assert_int_equal(break_shown(shown), DYNALOCK_KEPT);
    assert_true(memory.fence == 2000);
    w.item.released = 1;
    assert_int_equal(break_shown(w.item.rvn), DYNALOCK_KEPT);
    assert_int_equal(memory.status, DYNALOCK_RELEASED);
    memset(&w.item, 0, sizeof w.item);
    assert_int_equal(break_shown(shown), DYNALOCK_KEPT);
    assert_int_equal(memory.status, DYNALOCK_ABSENT);
}

/* Not every server shows the item with a refusal. */
static void test_what_stands_there_is_read_if_it_must(void **state)
{
    (void)state;
    w.never_item = 1;
    hold_as('a', 3, 1000);
    assert_int_equal(break_shown("another"), DYNALOCK_KEPT);
    assert_int_equal(w.reads, 1);
    assert_non_null(world_find(&w, "ConsistentRead"));
    assert_string_equal(memory.rvn, w.item.rvn);
}

static void test_a_lost_answer_does_not_keep_it(void **state)
{
    static const enum world_fault faults[] = { FAULT_LOSE_ANSWER, FAULT_REPEAT,
        FAULT_500_AFTER, FAULT_DAMAGE, FAULT_CUT };
    size_t i;

    (void)state;
    for (i = 0; i < 2 * sizeof faults / sizeof faults[0]; i++) {
        w.never_item = (int)(i % 2);
        hold_as('a', 3, 1000);
        w.faults[0] = faults[i / 2];
        w.faults[1] = FAULT_NONE;
        w.fault_at = 0;
        assert_int_equal(break_shown(w.item.rvn), DYNALOCK_OK);
        assert_true(w.item.released);
        assert_int_equal(memory.status, DYNALOCK_RELEASED);
    }
}

static void test_the_robbed_holder_is_told_at_its_renewal(void **state)
{
    dynalock_outcome rc;

    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(break_shown(w.item.rvn), DYNALOCK_OK);
    /* it does not know yet: that is what the manual warns of */
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    world_run(&w, 4000);
    rc = dynalock_check(&w.client, &lock);
    assert_int_equal(rc, DYNALOCK_LOST_RELEASED);
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
}

static void test_the_robbed_holders_release_is_done(void **state)
{
    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(break_shown(w.item.rvn), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_true(w.item.released);
}

static void test_bad_breaks_are_refused(void **state)
{
    char longest[DYNALOCK_RVN_SIZE + 1];

    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[DYNALOCK_RVN_SIZE] = '\0';
    assert_int_equal(break_shown(NULL), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(break_shown(""), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(break_shown("\xff"), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(break_shown(longest), DYNALOCK_BAD_ARGUMENT);
    longest[DYNALOCK_RVN_SIZE - 1] = '\0';
    assert_int_equal(break_shown(longest), DYNALOCK_KEPT);
    assert_int_equal(
        dynalock_break(&w.client, NULL, "x", &memory), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_break(&w.client, &name, "x", NULL), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_start_break(&w.client, &name, "x", &memory), DYNALOCK_AGAIN);
    assert_int_equal(
        dynalock_start_break(&w.client, &name, "x", &memory), DYNALOCK_IN_USE);
    dynalock_cancel(&w.client, &memory.operation);
    w.config.layout = dynalock_for_dynamolock();
    world_ready(&w, &lock);
    assert_int_equal(break_shown("x"), DYNALOCK_BAD_ARGUMENT);
}

/* ---- what does not begin, or does not pass ---- */

static void test_nothing_begins_without_a_clock(void **state)
{
    (void)state;
    w.unix_ms = 0;
    hold_as('a', 3, 1000);
    assert_int_equal(break_shown(w.item.rvn), DYNALOCK_CLOCK_UNSET);
    assert_int_equal(
        dynalock_tidy(&w.client, &name, &memory), DYNALOCK_CLOCK_UNSET);
    assert_int_equal(
        dynalock_read(&w.client, &name, &memory), DYNALOCK_CLOCK_UNSET);
    assert_int_equal(dynalock_start_watch(&w.client, &name, &watching),
        DYNALOCK_CLOCK_UNSET);
    assert_int_equal(w.requests, 0);
}

static void fail_twice(enum world_fault first, enum world_fault second)
{
    w.faults[0] = first;
    w.faults[1] = second;
    w.faults[2] = FAULT_NONE;
    w.fault_at = 0;
}

static void test_a_break_ends_when_it_is_denied(void **state)
{
    (void)state;
    w.never_item = 1;
    hold_as('a', 3, 1000);
    fail_twice(FAULT_DENY, FAULT_NONE);
    assert_int_equal(break_shown(w.item.rvn), DYNALOCK_DENIED);
    fail_twice(FAULT_REFUSE, FAULT_THROTTLE); /* the look at what stands */
    assert_int_equal(break_shown("another"), DYNALOCK_KEPT);
    fail_twice(FAULT_REFUSE, FAULT_DENY);
    assert_int_equal(break_shown("another"), DYNALOCK_DENIED);
    fail_twice(FAULT_THROTTLE, FAULT_NONE);
    assert_int_equal(break_shown(w.item.rvn), DYNALOCK_OK);
}

static void test_texts_that_begin_alike_differ(void **state)
{
    (void)state;
    hold_as('a', 1, 1000);
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "version-10");
    w.item.has_fence = 0;
    watch();
    world_run(&w, 3000);
    (void)snprintf(w.item.owner, sizeof w.item.owner, "oth");
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 2);
    assert_string_equal(seen.owner[1], "oth");
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "version-1");
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 3);
    /* what is released twice is released anew */
    w.item.released = 1;
    world_run(&w, 3000);
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "version-2");
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 5);
}

/* Of one grant: whatever wrote the version, it is no older one. */
static void test_versions_that_have_no_order_are_heartbeats(void **state)
{
    (void)state;
    hold_as('b', 9, 1000);
    watch();
    world_run(&w, 3000);
    hold_as('a', 1, 1000);
    world_run(&w, 3000);
    (void)snprintf(w.item.rvn, sizeof w.item.rvn, "short");
    world_run(&w, 3000);
    assert_string_equal(watching.record.rvn, "short");
    hold_as('a', 1, 1000);
    world_run(&w, 3000);
    assert_int_equal(seen.calls, 1);
    assert_memory_equal(watching.record.rvn, "aaaa", 4);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fence_is_about_the_time_of_its_grant),
        TEST(the_first_look_is_told),
        TEST(every_change_is_told),
        TEST(looks_come_at_the_interval),
        TEST(heartbeats_only_update),
        TEST(a_fence_ties_strange_versions_together),
        TEST(unchanged_is_never_too_long),
        TEST(the_past_is_not_told),
        TEST(cut_texts_are_not_a_change_at_each_look),
        TEST(what_passes_does_not_end_a_watch),
        TEST(what_does_not_pass_ends_it),
        TEST(cancel_and_close_end_it),
        TEST(a_watch_beside_a_held_lock),
        TEST(bad_watches_are_refused),
        TEST(what_was_shown_is_broken),
        TEST(strange_versions_are_broken_too),
        TEST(what_has_changed_is_kept),
        TEST(what_stands_there_is_read_if_it_must),
        TEST(a_lost_answer_does_not_keep_it),
        TEST(the_robbed_holder_is_told_at_its_renewal),
        TEST(the_robbed_holders_release_is_done),
        TEST(bad_breaks_are_refused),
        TEST(nothing_begins_without_a_clock),
        TEST(a_break_ends_when_it_is_denied),
        TEST(texts_that_begin_alike_differ),
        TEST(versions_that_have_no_order_are_heartbeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
