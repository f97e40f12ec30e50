/* == layouts: what a lock does on a table that it shares with others: first
   kmdeveloping/dynalock, whose put may be under way while ours is carried
   out. */
#include "world.h"

#define SETTLE_MS 1000

static world w;
static dynalock_lock lock;
static uint64_t go_puts_at; /* over whatever stands there; 0: never */
static uint64_t written_at, last_look_at;

static const char gos_item[] =
    "{\"Item\":{\"key\":{\"S\":\"k\"},\"owner\":{\"S\":\"go\"},"
    "\"timestamp\":{\"N\":\"1700000000\"},\"ttl\":{\"N\":\"2592000\"},"
    "\"deleteOnRelease\":{\"BOOL\":false},\"isReleased\":{\"BOOL\":false},"
    "\"data\":{\"S\":\"\"}}}";

static void put_our_item(char *out, size_t size)
{
    (void)snprintf(out, size,
        "{\"Item\":{\"key\":{\"S\":\"k\"},\"owner\":{\"S\":\"%s\"},"
        "\"leaseDuration\":{\"S\":\"%s\"},\"recordVersionNumber\":"
        "{\"S\":\"%s\"},\"fence\":{\"N\":\"%llu\"},"
        "\"isReleased\":{\"BOOL\":false}}}",
        w.item.owner, w.item.lease, w.item.rvn, w.item.fence);
}

/* One item, which is taken only while there is none. */
static int go_table(world *from, int damage)
{
    char body[4096] = "{}";

    if (strcmp(from->last_operation, "GetItem") == 0) {
        last_look_at = from->now;
        if (go_puts_at != 0 && from->now >= go_puts_at)
            (void)snprintf(body, sizeof body, "%s", gos_item);
        else if (from->item.exists) put_our_item(body, sizeof body);
    } else if (from->item.exists) {
        world_refuse(from);
        return 1;
    } else {
        from->item.exists = 1;
        written_at = from->now;
        from->item.fence = world_number(from, 'f');
        world_value(from, 'o', from->item.owner, sizeof from->item.owner);
        world_value(from, 'r', from->item.rvn, sizeof from->item.rvn);
        world_value(from, 'l', from->item.lease, sizeof from->item.lease);
    }
    world_reply(from, 200, body, damage);
    return 1;
}

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    w.other = go_table;
    w.never_item = 1;
    w.latency = 20;
    w.config.layout = dynalock_for_dynalock_go();
    go_puts_at = written_at = last_look_at = 0;
    world_ready(&w, &lock);
    return 0;
}

/* "With Go: a grant counts only if it still stands a second later." */
static void test_a_grant_stands_for_a_second(void **state)
{
    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(last_look_at >= written_at + SETTLE_MS);
    assert_int_equal(w.requests, 2);
}

/* The refusal of a request that somebody has repeated shows no item, and the
   look that it takes shows ours: that is no second yet. */
static void test_a_repeated_write_stands_for_a_second_too(void **state)
{
    (void)state;
    w.faults[0] = FAULT_REPEAT;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(last_look_at >= written_at + SETTLE_MS);
    assert_int_equal(w.requests, 3);
}

static void test_what_is_overwritten_within_it_is_no_grant(void **state)
{
    static const enum world_fault faults[] = { FAULT_NONE, FAULT_REPEAT };
    size_t i;

    for (i = 0; i < 2; i++) {
        (void)begin(state);
        w.faults[0] = faults[i];
        go_puts_at = w.now + SETTLE_MS / 2;
        assert_int_equal(
            dynalock_acquire(&w.client, &lock, 0), DYNALOCK_UNKNOWN);
        assert_string_equal(w.client.detail.holder, "go");
        world_run(&w, 1000); /* what may come late is taken back */
        assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_BUSY);
    }
}

/* It is taken anew in the same call, and that has its own second. */
static void test_a_second_write_has_a_second_of_its_own(void **state)
{
    uint64_t first;

    (void)state;
    w.faults[0] = FAULT_REPEAT;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 60000), DYNALOCK_AGAIN);
    world_run(&w, 100);
    first = written_at;
    w.item.exists = 0; /* Go puts, and deletes when it is done */
    w.faults[1] = w.faults[2] = FAULT_REPEAT; /* the look, the write */
    world_run(&w, 2 * SETTLE_MS);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_AGAIN);
    world_run(&w, SETTLE_MS / 2);
    assert_int_equal(dynalock_result(&lock.operation), DYNALOCK_OK);
    assert_true(written_at > first);
    assert_true(last_look_at >= written_at + SETTLE_MS);
}

/* "key_name: NULL: the layout's"; each layout's sort key has its type. */
static void test_names_and_types_are_the_layouts(void **state)
{
    static const struct {
        dynalock_layout *(*layout)(void);
        const char *key;
    } cases[] = {
        { dynalock_standard, "'key':{'S':'k'},'rank':{'S':'7'}" },
        { dynalock_for_dynamolock, "'key':{'S':'k'},'rank':{'S':'7'}" },
        { dynalock_for_dynalock_py, "'LockId':{'S':'k'},'rank':{'S':'7'}" },
        { dynalock_for_dynamo_dlm,
            "'resource_id':{'S':'k'},'rank':{'N':'7'}" },
        { dynalock_for_chainsaws, "'_pk':{'S':'k'},'rank':{'S':'7'}" },
        { dynalock_for_dynalock_go, "'key':{'S':'k'},'rank':{'S':'7'}" },
    };
    static const dynalock_name name = { "k", "7", NULL };
    dynalock_record record;
    size_t i, n;

    for (i = 0; i < DL_COUNT(cases); i++) {
        char key[64];

        (void)begin(state);
        w.config.layout = cases[i].layout();
        w.config.sort_key_name = "rank";
        assert_int_equal(
            dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
        assert_int_equal(
            dynalock_read(&w.client, &name, &record), DYNALOCK_OK);
        for (n = 0; cases[i].key[n] != '\0'; n++)
            key[n] = cases[i].key[n] == '\'' ? '"' : cases[i].key[n];
        key[n] = '\0';
        assert_non_null(world_find(&w, key));
        /* "BAD_ARGUMENT: not in the standard layout, either" */
        assert_int_equal(dynalock_start_tidy(&w.client, &name, &record),
            i == 0 ? DYNALOCK_AGAIN : DYNALOCK_BAD_ARGUMENT);
    }
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_stands_for_a_second),
        TEST(a_repeated_write_stands_for_a_second_too),
        TEST(what_is_overwritten_within_it_is_no_grant),
        TEST(a_second_write_has_a_second_of_its_own),
        TEST(names_and_types_are_the_layouts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
