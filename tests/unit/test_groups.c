/* Several locks at once, and one of several permits, against a service that
   answers as each test says. What they promise before a real one is in
   tests/conformance/groups.c. */
#include "world.h"

#define MEMBERS 3

static world w;
static dynalock_lock a, b, c;
static dynalock_lock *members[MEMBERS] = { &a, &b, &c };
static dynalock_group group;
static dynalock_permit permits[2];
static dynalock_semaphore semaphore;

/* What the next requests are answered with, and what they were. */
typedef struct answer {
    int status;
    const char *body;
} answer;
static const answer *answers;
static char asked[512];

#define TYPE(name)                                                            \
    "\"__type\":\"com.amazonaws.dynamodb.v20120810#" name "\",\"message\":"
#define CANCELLED(reasons)                                                    \
    {                                                                         \
        400, "{" TYPE("TransactionCanceledException") "\"Transaction "        \
                                                      "cancelled, please "    \
                                                      "refer cancellation "   \
                                                      "reasons for specific " \
                                                      "reasons" reasons "\"}" \
    }
#define UNKNOWN_OPERATION                                                     \
    {                                                                         \
        400, "{" TYPE("UnknownOperationException") "\"\"}"                    \
    }
#define DONE                                                                  \
    {                                                                         \
        200, "{}"                                                             \
    }
#define LIVE(rvn)                                                             \
    {                                                                         \
        200,                                                                  \
            "{\"Item\":{\"key\":{\"S\":\"k\"},\"ownerName\":{\"S\":\"you\"}," \
            "\"leaseDuration\":{\"S\":\"10000\"},\"fence\":{\"N\":\"5\"},"    \
            "\"recordVersionNumber\":{\"S\":\"" rvn "\"}}}"                   \
    }
#define FREE                                                                  \
    {                                                                         \
        200,                                                                  \
            "{\"Item\":{\"key\":{\"S\":\"k\"},\"ownerName\":{\"S\":\"you\"}," \
            "\"leaseDuration\":{\"S\":\"10000\"},\"fence\":{\"N\":\"5\"},"    \
            "\"recordVersionNumber\":{\"S\":\"v\"},"                          \
            "\"isReleased\":{\"S\":\"1\"}}}"                                  \
    }
#define NO_LOCK                                                               \
    {                                                                         \
        200, "{\"Item\":{\"key\":{\"S\":\"k\"},\"a\":{\"N\":\"1\"}}}"         \
    }

/* T: a transaction, G: a look, U: one lock's write; and the key of the last
   two. */
static void note_request(const world *world)
{
    const char *key = strstr(world->last_body, "{\"S\":\"");
    char text[16] = { world->last_operation[0], '\0' };

    if (text[0] != 'T' && key != NULL)
        (void)snprintf(text + 1, sizeof text - 1, "%.3s", key + 6);
    if (text[0] != 'T' && key != NULL && strchr(text, '"') != NULL)
        *strchr(text, '"') = '\0';
    (void)snprintf(
        asked + strlen(asked), sizeof asked - strlen(asked), "%s ", text);
}

static int answer_in_turn(world *world, int damage)
{
    static const answer done = DONE;
    const answer *next =
        answers != NULL && answers->body != NULL ? answers++ : &done;

    note_request(world);
    world_reply(world, next->status, next->body, damage);
    return 1;
}

static int begin(void **state)
{
    static const char *const keys[] = { "a", "b", "c" };
    int i;

    (void)state;
    world_begin(&w);
    w.other = answer_in_turn;
    world_ready(&w, &a);
    for (i = 0; i < MEMBERS; i++) world_lock(members[i], keys[i]);
    memset(&group, 0, sizeof group);
    group.locks = members;
    group.count = MEMBERS;
    answers = NULL;
    asked[0] = '\0';
    return 0;
}

static void check_acquire(uint32_t wait_ms, dynalock_outcome expected)
{
    assert_int_equal(
        dynalock_group_acquire(&w.client, &group, wait_ms), expected);
    assert_int_equal(
        dynalock_group_remaining_ms(&w.client, &group) > 0, expected == 0);
}

/* ---- which group ---- */

static void test_a_group_has_locks_none_of_them_missing(void **state)
{
    dynalock_lock *const hole[] = { &a, NULL, &c };

    (void)state;
    group.locks = hole;
    check_acquire(0, DYNALOCK_BAD_ARGUMENT);
    group.locks = NULL;
    check_acquire(0, DYNALOCK_BAD_ARGUMENT);
    group.locks = members;
    group.count = 0;
    check_acquire(0, DYNALOCK_BAD_ARGUMENT);
    group.count = DYNALOCK_GROUP_MOST + 1;
    check_acquire(0, DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_group_remaining_ms(&w.client, NULL), 0);
    assert_string_equal(asked, "");
}

static void test_a_group_at_work_starts_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(
        dynalock_start_group_acquire(&w.client, &group, 1000), DYNALOCK_AGAIN);
    assert_int_equal(dynalock_start_group_acquire(&w.client, &group, 1000),
        DYNALOCK_IN_USE);
    assert_int_equal(
        dynalock_start_group_release(&w.client, &group), DYNALOCK_IN_USE);
    world_run(&w, 10);
    assert_int_equal(dynalock_result(&group.operation), DYNALOCK_OK);
}

static void test_a_group_without_a_clock_leaves_its_locks_alone(void **state)
{
    (void)state;
    w.unix_ms = 0;
    check_acquire(0, DYNALOCK_CLOCK_UNSET);
    w.unix_ms = 1700000000000;
    check_acquire(0, DYNALOCK_OK);
}

/* ---- what a refusal names ---- */

static void test_the_refused_one_is_looked_at(void **state)
{
    static const answer told[] = {
        CANCELLED(" [None, ConditionalCheckFailed, None]"), LIVE("v"), { 0, 0 }
    };

    (void)state;
    answers = told;
    check_acquire(0, DYNALOCK_BUSY);
    assert_string_equal(asked, "T Gb ");
}

static void test_what_is_no_lock_ends_the_group(void **state)
{
    static const answer told[] = {
        CANCELLED(" [None, None, ConditionalCheckFailed]"), NO_LOCK, { 0, 0 }
    };

    (void)state;
    answers = told;
    check_acquire(5000, DYNALOCK_NOT_A_LOCK);
    assert_string_equal(asked, "T Gc ");
}

/* All are looked at then, one after another, and what is free is asked for
   once more. */
static void test_a_message_without_reasons_names_none(void **state)
{
    static const answer told[] = { CANCELLED(""), FREE, FREE, FREE, DONE,
        { 0, 0 } };

    (void)state;
    answers = told;
    check_acquire(0, DYNALOCK_OK);
    assert_string_equal(asked, "T Ga Gb Gc T ");
}

static void test_a_message_that_is_cut_names_what_it_can(void **state)
{
    static const answer told[] = { CANCELLED(" ["), FREE, FREE, FREE,
        CANCELLED(" [Non"), FREE, FREE, FREE, FREE, DONE, { 0, 0 } };

    (void)state;
    answers = told;
    check_acquire(5000, DYNALOCK_OK);
    assert_string_equal(asked, "T Ga Gb Gc T Ga Gb Gc Gc T ");
}

static void test_busy_tables_and_throttling_pass(void **state)
{
    static const answer told[] = { CANCELLED(" [None, ThrottlingError, None]"),
        CANCELLED(" [ProvisionedThroughputExceeded, None, None]"),
        CANCELLED(" [None, TransactionConflict, None]"), DONE, { 0, 0 } };

    (void)state;
    answers = told;
    check_acquire(5000, DYNALOCK_OK);
    assert_string_equal(asked, "T T T T ");
}

static void test_other_reasons_are_the_services_refusal(void **state)
{
    static const answer told[] = { CANCELLED(" [ValidationError, None, None]"),
        { 0, 0 } };

    (void)state;
    answers = told;
    check_acquire(5000, DYNALOCK_SERVICE_REFUSED);
    assert_string_equal(asked, "T ");
    assert_non_null(strstr(w.client.detail.message, "ValidationError"));
}

/* ---- members that go their own way ---- */

/* One that is cancelled and begun again, while the transaction is under way
   that does not ask for it any more, is not held by that, nor ended. */
static void check_a_member_begun_again(uint32_t wait_ms)
{
    static const answer told[] = {
        CANCELLED(" [None, ConditionalCheckFailed, None]"), LIVE("v"), FREE,
        { 0, 0 }
    };
    int i;

    answers = told;
    group.count = 2;
    w.latency = 50;
    assert_int_equal(dynalock_start_group_acquire(&w.client, &group, 60000),
        DYNALOCK_AGAIN);
    for (i = 0; i < 4000 && strcmp(asked, "T Gb ") != 0; i++) world_run(&w, 1);
    dynalock_cancel(&w.client, &a.operation);
    for (i = 0; i < 4000 && strcmp(asked, "T Gb Gb T ") != 0; i++)
        world_run(&w, 1);
    assert_null(world_find(&w, "{\"S\":\"a\"}"));
    assert_int_equal(
        dynalock_start_acquire(&w.client, &a, wait_ms), DYNALOCK_AGAIN);
    while (dynalock_result(&a.operation) == DYNALOCK_AGAIN) {
        assert_int_equal(dynalock_remaining_ms(&w.client, &a), 0);
        world_run(&w, 1);
    }
    assert_int_equal(dynalock_result(&a.operation), DYNALOCK_OK);
    assert_non_null(strstr(asked, "Ua "));
    world_run(&w, 1000);
    assert_int_equal(dynalock_result(&group.operation), DYNALOCK_CANCELLED);
    assert_int_equal(dynalock_remaining_ms(&w.client, &b), 0);
    assert_true(dynalock_remaining_ms(&w.client, &a) > 0);
}

static void test_a_member_begun_again_asks_for_itself(void **state)
{
    check_a_member_begun_again(20000);
    (void)begin(state);
    check_a_member_begun_again(DYNALOCK_FOREVER);
}

/* ---- one after another ---- */

static void take_in_line(const char *expected)
{
    static const answer told[] = { UNKNOWN_OPERATION, { 0, 0 } };

    answers = told;
    check_acquire(0, DYNALOCK_OK);
    assert_string_equal(asked, expected);
}

static void test_where_no_transactions_are_all_use_one_order(void **state)
{
    (void)state;
    world_lock(&a, "k2");
    world_lock(&b, "k");
    world_lock(&c, "k1");
    take_in_line("T Uk Uk1 Uk2 ");
}

static void test_tables_come_before_keys_in_the_order(void **state)
{
    dynalock_lock_options options;

    (void)state;
    memset(&options, 0, sizeof options);
    options.key = "z";
    options.table = "earlier";
    assert_int_equal(dynalock_lock_init(&b, &options), DYNALOCK_OK);
    take_in_line("T Uz Ua Uc ");
}

static void test_sort_keys_order_what_has_one_key(void **state)
{
    static const char *const sorts[] = { "z", "y", "x" };
    dynalock_lock_options options;
    int i;

    (void)state;
    w.config.sort_key_name = "sort";
    world_ready(&w, &a);
    memset(&options, 0, sizeof options);
    options.key = "k";
    for (i = 0; i < MEMBERS; i++) {
        options.sort_key = sorts[i];
        assert_int_equal(
            dynalock_lock_init(members[i], &options), DYNALOCK_OK);
    }
    take_in_line("T Uk Uk Uk ");
    assert_true(dynalock_fence(&c) <= dynalock_fence(&b));
    assert_true(dynalock_fence(&b) <= dynalock_fence(&a));
    assert_non_null(strstr(w.last_body, "\"sort\":{\"S\":\"z\"}"));
}

/* A layout whose grants need more than the write has no transactions. */
static void test_layouts_that_confirm_are_taken_one_after_another(void **state)
{
    (void)state;
    w.config.layout = dynalock_for_dynalock_go();
    world_ready(&w, &a);
    assert_int_equal(
        dynalock_start_group_acquire(&w.client, &group, 0), DYNALOCK_AGAIN);
    world_run(&w, 50);
    assert_null(strchr(asked, 'T'));
    dynalock_cancel(&w.client, &group.operation);
}

/* ---- while they are held ---- */

static void test_a_member_at_work_counts_as_asked(void **state)
{
    (void)state;
    check_acquire(0, DYNALOCK_OK);
    assert_int_equal(dynalock_start_renew(&w.client, &b), DYNALOCK_AGAIN);
    assert_int_equal(dynalock_group_renew(&w.client, &group), DYNALOCK_OK);
    assert_int_equal(dynalock_start_release(&w.client, &b), DYNALOCK_AGAIN);
    assert_int_equal(
        dynalock_start_group_renew(&w.client, &group), DYNALOCK_AGAIN);
    world_run(&w, 50);
    assert_int_not_equal(dynalock_result(&group.operation), DYNALOCK_OK);
    assert_int_equal(dynalock_group_release(&w.client, &group), DYNALOCK_OK);
    assert_int_equal(
        dynalock_group_renew(&w.client, &group), DYNALOCK_NOT_HELD);
}

/* ---- permits ---- */

static void make_semaphore(void)
{
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = "p";
    assert_int_equal(dynalock_semaphore_init(&semaphore, permits, 2, &options),
        DYNALOCK_OK);
}

static void test_a_semaphore_needs_permits_and_a_name(void **state)
{
    dynalock_lock_options options;

    (void)state;
    memset(&options, 0, sizeof options);
    options.key = "p";
    assert_int_equal(dynalock_semaphore_init(NULL, permits, 2, &options),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_semaphore_init(&semaphore, NULL, 2, &options),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_semaphore_init(&semaphore, permits, 0, &options),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_semaphore_init(&semaphore, permits, 2, NULL),
        DYNALOCK_BAD_ARGUMENT);
    options.key = NULL;
    assert_int_equal(dynalock_semaphore_init(&semaphore, permits, 2, &options),
        DYNALOCK_BAD_KEY);
    assert_int_equal(dynalock_semaphore_acquire(&w.client, &semaphore, 0),
        DYNALOCK_BAD_ARGUMENT);
    assert_null(dynalock_semaphore_lock(&semaphore));
    assert_null(dynalock_semaphore_lock(NULL));
}

static void test_a_semaphore_at_work_starts_nothing_else(void **state)
{
    (void)state;
    make_semaphore();
    assert_int_equal(
        dynalock_start_semaphore_acquire(&w.client, &semaphore, 1000),
        DYNALOCK_AGAIN);
    assert_int_equal(
        dynalock_start_semaphore_acquire(&w.client, &semaphore, 1000),
        DYNALOCK_IN_USE);
    assert_null(dynalock_semaphore_lock(&semaphore));
    world_run(&w, 50);
    assert_int_equal(dynalock_result(&semaphore.operation), DYNALOCK_OK);
    assert_non_null(dynalock_semaphore_lock(&semaphore));
}

static void test_another_acquire_takes_another_permit(void **state)
{
    dynalock_lock *first;

    (void)state;
    make_semaphore();
    assert_int_equal(
        dynalock_semaphore_acquire(&w.client, &semaphore, 0), DYNALOCK_OK);
    first = dynalock_semaphore_lock(&semaphore);
    answers = (const answer[]){ FREE, DONE, FREE, DONE, { 0, 0 } };
    assert_int_equal(
        dynalock_semaphore_acquire(&w.client, &semaphore, 0), DYNALOCK_OK);
    assert_ptr_not_equal(dynalock_semaphore_lock(&semaphore), first);
    assert_int_equal(
        dynalock_semaphore_acquire(&w.client, &semaphore, 0), DYNALOCK_BUSY);
}

/* Without polls it looks again when a lease can be over: the refused permit's
   is, and it is taken over. */
static void test_a_semaphore_waits_without_reads(void **state)
{
    static const answer told[] = {
        { 400,
            "{\"Item\":{\"key\":{\"S\":\"k\"},\"ownerName\":{\"S\":\"you\"},"
            "\"leaseDuration\":{\"S\":\"10000\"},\"fence\":{\"N\":\"5\"},"
            "\"recordVersionNumber\":{\"S\":\"v\"}}," TYPE(
                "ConditionalCheckFailedException") "\"\"}" },
        LIVE("u"), LIVE("v"), DONE, { 0, 0 }
    };

    (void)state;
    w.config.poll_ms = DYNALOCK_FOREVER;
    world_ready(&w, &a);
    make_semaphore();
    answers = told;
    assert_int_equal(
        dynalock_start_semaphore_acquire(&w.client, &semaphore, 60000),
        DYNALOCK_AGAIN);
    world_run(&w, 9900);
    assert_int_equal(dynalock_result(&semaphore.operation), DYNALOCK_AGAIN);
    assert_int_equal(w.requests, 2);
    world_run(&w, 2000);
    assert_int_equal(dynalock_result(&semaphore.operation), DYNALOCK_OK);
}

static void start_semaphore(uint32_t wait_ms)
{
    make_semaphore();
    assert_int_equal(
        dynalock_start_semaphore_acquire(&w.client, &semaphore, wait_ms),
        DYNALOCK_AGAIN);
}

static void test_a_semaphore_needs_a_clock(void **state)
{
    (void)state;
    make_semaphore();
    w.unix_ms = 0;
    assert_int_equal(dynalock_semaphore_acquire(&w.client, &semaphore, 0),
        DYNALOCK_CLOCK_UNSET);
}

/* What fails for all permits ends the call, unless it passes with time. */
static void test_only_a_call_that_waits_outlives_failures(void **state)
{
    (void)state;
    w.refuse = 1;
    make_semaphore();
    assert_int_equal(dynalock_semaphore_acquire(&w.client, &semaphore, 0),
        DYNALOCK_UNREACHABLE);
    start_semaphore(60000);
    world_run(&w, 5000);
    assert_int_equal(dynalock_result(&semaphore.operation), DYNALOCK_AGAIN);
    w.refuse = 0;
    world_run(&w, 20000);
    assert_int_equal(dynalock_result(&semaphore.operation), DYNALOCK_OK);
}

static void test_a_close_ends_a_semaphore_and_its_permit(void **state)
{
    (void)state;
    start_semaphore(60000);
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(
        dynalock_result(&semaphore.operation), DYNALOCK_CANCELLED);
    assert_null(dynalock_semaphore_lock(&semaphore));
}

/* The permit is had, and the semaphore has not looked at it yet. */
static void run_to_the_grant(void)
{
    start_semaphore(60000);
    while (semaphore.permits[semaphore.at].lock.until == 0) {
        (void)dynalock_poll(&w.client);
        assert_int_equal(
            dynalock_result(&semaphore.operation), DYNALOCK_AGAIN);
    }
}

static void test_a_cancelled_semaphore_gives_back_its_permit(void **state)
{
    (void)state;
    run_to_the_grant();
    dynalock_cancel(&w.client, &semaphore.operation);
    assert_int_equal(
        dynalock_result(&semaphore.operation), DYNALOCK_CANCELLED);
    world_run(&w, 50);
    assert_non_null(strstr(w.last_body, "\"released:"));
}

static void test_a_close_gives_back_what_was_just_granted(void **state)
{
    (void)state;
    run_to_the_grant();
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(
        dynalock_result(&semaphore.operation), DYNALOCK_CANCELLED);
    assert_non_null(strstr(w.last_body, "\"released:"));
}

/* By its own lock, before the semaphore has looked at it. */
static void test_a_permit_given_back_meanwhile_is_not_granted(void **state)
{
    dynalock_lock *permit;
    uint32_t at;

    (void)state;
    run_to_the_grant();
    at = semaphore.at;
    permit = &semaphore.permits[at].lock;
    assert_int_equal(
        dynalock_start_release(&w.client, permit), DYNALOCK_AGAIN);
    while (permit->operation.client != NULL) (void)dynalock_poll(&w.client);
    world_run(&w, 50);
    assert_int_equal(dynalock_result(&semaphore.operation), DYNALOCK_OK);
    assert_int_not_equal(semaphore.at, at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            test_a_group_has_locks_none_of_them_missing, begin),
        cmocka_unit_test_setup(
            test_a_group_at_work_starts_nothing_else, begin),
        cmocka_unit_test_setup(
            test_a_group_without_a_clock_leaves_its_locks_alone, begin),
        cmocka_unit_test_setup(test_the_refused_one_is_looked_at, begin),
        cmocka_unit_test_setup(test_what_is_no_lock_ends_the_group, begin),
        cmocka_unit_test_setup(
            test_a_message_without_reasons_names_none, begin),
        cmocka_unit_test_setup(
            test_a_message_that_is_cut_names_what_it_can, begin),
        cmocka_unit_test_setup(test_busy_tables_and_throttling_pass, begin),
        cmocka_unit_test_setup(
            test_other_reasons_are_the_services_refusal, begin),
        cmocka_unit_test_setup(
            test_a_member_begun_again_asks_for_itself, begin),
        cmocka_unit_test_setup(
            test_where_no_transactions_are_all_use_one_order, begin),
        cmocka_unit_test_setup(
            test_tables_come_before_keys_in_the_order, begin),
        cmocka_unit_test_setup(test_sort_keys_order_what_has_one_key, begin),
        cmocka_unit_test_setup(
            test_layouts_that_confirm_are_taken_one_after_another, begin),
        cmocka_unit_test_setup(test_a_member_at_work_counts_as_asked, begin),
        cmocka_unit_test_setup(
            test_a_semaphore_needs_permits_and_a_name, begin),
        cmocka_unit_test_setup(
            test_a_semaphore_at_work_starts_nothing_else, begin),
        cmocka_unit_test_setup(
            test_another_acquire_takes_another_permit, begin),
        cmocka_unit_test_setup(test_a_semaphore_needs_a_clock, begin),
        cmocka_unit_test_setup(
            test_only_a_call_that_waits_outlives_failures, begin),
        cmocka_unit_test_setup(
            test_a_close_ends_a_semaphore_and_its_permit, begin),
        cmocka_unit_test_setup(
            test_a_cancelled_semaphore_gives_back_its_permit, begin),
        cmocka_unit_test_setup(
            test_a_close_gives_back_what_was_just_granted, begin),
        cmocka_unit_test_setup(
            test_a_permit_given_back_meanwhile_is_not_granted, begin),
        cmocka_unit_test_setup(test_a_semaphore_waits_without_reads, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
