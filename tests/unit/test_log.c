/* What the log is told, and that no secret is in it. */
#define DYNALOCK_LOG 4
#include "world.h"

static world w;
static dynalock_lock lock;
static char told[4000];

static void note(void *context, dynalock_log_id id, const char *text)
{
    size_t n = strlen(told);

    assert_ptr_equal(context, &w);
    assert_non_null(text);
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "tok/en"));
    (void)snprintf(told + n, sizeof told - n, "%d %s\n", (int)id, text);
}

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    w.credentials.token = "tok/en";
    w.platform.log = note;
    world_ready(&w, &lock);
    told[0] = '\0';
    return 0;
}

static void expect(const char *text)
{
    assert_string_equal(told, text);
    told[0] = '\0';
}

static void test_the_main_job_is_told(void **state)
{
    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    expect("303 table.test\n402 UpdateItem\n403 UpdateItem\n301 k\n");
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    expect("402 UpdateItem\n403 UpdateItem\n404 k\n");
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    expect("402 UpdateItem\n403 UpdateItem\n302 k\n");
    assert_int_equal(dynalock_client_close(&w.client, 0), DYNALOCK_OK);
    expect("401 table.test\n");
}

static void test_waiting_is_told_once_a_record(void **state)
{
    (void)state;
    world_hold(&w, "x", "10000");
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 4000), DYNALOCK_TIMEOUT);
    assert_non_null(strstr(told, "405 other\n"));
    assert_null(strstr(strstr(told, "405 other\n") + 1, "405 other\n"));
}

static void test_failures_are_told_by_their_type(void **state)
{
    (void)state;
    w.faults[0] = FAULT_DENY;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_DENIED);
    assert_non_null(strstr(told, "201 AccessDeniedException\n"));
    told[0] = '\0';
    w.refuse = 1;
    w.peer_closed = 1;
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNREACHABLE);
    assert_non_null(strstr(told, "201 table.test\n"));
}

static void test_the_unanswered_and_the_lost_are_told(void **state)
{
    (void)state;
    w.client.config.attempts = 1;
    w.faults[0] = FAULT_LOSE_ANSWER;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
    assert_non_null(strstr(told, "202 k\n"));
    world_run(&w, 5000);
    assert_non_null(strstr(told, "302 k\n"));
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    told[0] = '\0';
    w.refuse = 1;
    w.peer_closed = 1;
    world_run(&w, 10000);
    assert_non_null(strstr(told, "101 k\n"));
}

static void test_what_could_not_be_taken_back_is_told(void **state)
{
    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    w.faults[0] = FAULT_LOSE_REQUEST;
    assert_int_equal(dynalock_client_close(&w.client, 10), DYNALOCK_UNKNOWN);
    assert_non_null(strstr(told, "102 k\n"));
}

static const dynalock_credentials *fresh(void *context)
{
    return (const dynalock_credentials *)context;
}

static void test_mended_clocks_and_credentials_are_told(void **state)
{
    (void)state;
    w.config.refresh = fresh;
    w.config.refresh_context = &w.credentials;
    w.config.endpoint = "https://table.test";
    w.config.secure_transport = 1;
    w.dated = 1;
    w.server_ms = w.unix_ms + 3600000;
    world_ready(&w, &lock);
    w.faults[0] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 9000), DYNALOCK_OK);
    assert_non_null(strstr(told, "203 table.test\n"));
    assert_non_null(strstr(told, "204 table.test\n"));
}

static void test_nobody_need_listen(void **state)
{
    (void)state;
    w.platform.log = NULL;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_main_job_is_told),
        TEST(waiting_is_told_once_a_record),
        TEST(failures_are_told_by_their_type),
        TEST(the_unanswered_and_the_lost_are_told),
        TEST(what_could_not_be_taken_back_is_told),
        TEST(mended_clocks_and_credentials_are_told),
        TEST(nobody_need_listen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
