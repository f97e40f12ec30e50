/* Every call of every hook goes wrong, over plain HTTP. */
#include "scenarios.h"

static void test_every_call_of_every_hook_goes_wrong(void **state)
{
    (void)state;
    assert_true(try_all(scenarios, COUNT(scenarios)) > 3000);
}

#define TEST(name, setup)                                                     \
    cmocka_unit_test_setup_teardown(test_##name, setup, tell)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_call_of_every_hook_goes_wrong, by_blocking_calls),
        TEST(every_call_of_every_hook_goes_wrong, by_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
