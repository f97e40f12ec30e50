/*
Tables are made and looked at, on a real server:

    tests/harness.py --server dynoxide|dynalite -- build/conformance/table

Each test has a table of its own name. dynalite knows no TTL but says that it is
off; its tables take a moment to become active.
*/
#include "support.h"

static dynalock_table table;

static int has_ttl(void)
{
    return strcmp(harness("SERVER"), "dynalite") != 0;
}

/* A device whose locks are in this table; its config may be changed before
   start(). */
static void prepare_for(device *d, const char *name)
{
    prepare(d, "me", harness("HTTP"));
    d->config.table = name;
}

static dynalock_outcome look_at(device *d)
{
    return dynalock_table_check(&d->client, NULL, &table);
}

static dynalock_outcome create(device *d)
{
    return dynalock_table_create(&d->client, NULL, &table, PATIENCE_MS);
}

static void use_a_lock(device *d, const char *sort_key)
{
    dynalock_lock_options options;
    dynalock_lock *lock;

    memset(&options, 0, sizeof options);
    options.key = "k";
    options.sort_key = sort_key;
    lock = new_lock(&options);
    assert_ok(dynalock_acquire(&d->client, lock, 0));
    assert_ok(dynalock_release(&d->client, lock));
}

/* Makes a table behind the library's back. */
static void make(const char *name, const char *keys, const char *types)
{
    int i;

    (void)server("CreateTable",
        "{\"TableName\":\"%s\",\"BillingMode\":\"PAY_PER_REQUEST\","
        "\"KeySchema\":[%s],\"AttributeDefinitions\":[%s]}",
        name, keys, types);
    for (i = 0; i < 200; i++) {
        if (strstr(server("DescribeTable", "{\"TableName\":\"%s\"}", name),
                "\"ACTIVE\"") != NULL)
            return;
        (void)poll(NULL, 0, 25);
    }
    fail_msg("%s does not become active", name);
}

#define HASH(name) "{\"AttributeName\":\"" name "\",\"KeyType\":\"HASH\"}"
#define RANGE(name) "{\"AttributeName\":\"" name "\",\"KeyType\":\"RANGE\"}"
#define TYPE(name, type)                                                      \
    "{\"AttributeName\":\"" name "\",\"AttributeType\":\"" type "\"}"

static void check_misfit(const char *name, const char *message)
{
    prepare_for(&a, name);
    start(&a);
    assert_outcome(look_at(&a), DYNALOCK_TABLE_SHAPE);
    assert_string_equal(a.client.detail.message, message);
    assert_outcome(create(&a), DYNALOCK_TABLE_SHAPE); /* changes nothing */
    assert_string_equal(a.client.detail.message, message);
    (void)dynalock_client_close(&a.client, 0);
    a.running = 0;
}

/* ---- looking ---- */

static void the_harness_tables_fit(void **state)
{
    (void)state;
    start_plain(&a, "a");
    assert_ok(look_at(&a));
    assert_ok(create(&a));
    start_sorted(&b, "b");
    assert_ok(look_at(&b));
    assert_ok(create(&b));
    assert_int_equal(counter("CreateTable"), 0);
    assert_int_equal(counter("UpdateTimeToLive"), 0);
    prepare(&c, "c", harness("HTTPS"));
    start(&c);
    assert_ok(look_at(&c));
    assert_outcome(dynalock_table_check(&c.client, "sorted", &table),
        DYNALOCK_TABLE_SHAPE);
}

static void what_is_not_there_is_missing(void **state)
{
    (void)state;
    prepare_for(&a, "nobodys");
    start(&a);
    assert_outcome(look_at(&a), DYNALOCK_TABLE_MISSING);
    assert_int_equal(counter("CreateTable"), 0);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    make("misfit-1", HASH("id"), TYPE("id", "S"));
    check_misfit("misfit-1", "partition key is \"id\", not \"key\"");
    make("misfit-2", HASH("key"), TYPE("key", "N"));
    check_misfit("misfit-2", "partition key is of type N, not S");
    make("misfit-3", HASH("key") "," RANGE("part"),
        TYPE("part", "S") "," TYPE("key", "S"));
    check_misfit("misfit-3", "sort key is \"part\", not none");
}

/* An index brings more keys, more definitions and more statuses. */
static void an_index_does_not_matter(void **state)
{
    (void)state;
    (void)server("CreateTable",
        "{\"TableName\":\"indexed\",\"BillingMode\":\"PAY_PER_REQUEST\","
        "\"KeySchema\":[" HASH(
            "k\\\"\\u00e9") "],\"AttributeDefinitions\":"
                            "[" TYPE("part", "N") "," TYPE("k\\\"\\u00e9",
                                "S") "],"
                                     "\"GlobalSecondaryIndexes\":[{"
                                     "\"IndexName\":\"index\",\"KeySchema\":"
                                     "[" HASH("part") "," RANGE(
                                         "k\\\"\\u00e9") "],"
                                                         "\"Projection\":{"
                                                         "\"ProjectionType\":"
                                                         "\"ALL\"}}]}");
    prepare_for(&a, "indexed");
    a.config.key_name = "k\"\xc3\xa9";
    start(&a);
    assert_ok(create(&a)); /* waits until it is active */
    assert_ok(look_at(&a));
    use_a_lock(&a, NULL);
}

/* ---- making ---- */

static void what_is_made_can_be_used(void **state)
{
    (void)state;
    prepare_for(&a, "made");
    start(&a);
    assert_ok(create(&a));
    assert_int_equal(counter("CreateTable"), 1);
    use_a_lock(&a, NULL);
    assert_ok(look_at(&a));
    assert_ok(create(&a)); /* nothing is left to do */
    assert_int_equal(counter("CreateTable"), 1);
    assert_has(server("DescribeTable", "{\"TableName\":\"made\"}"),
        "PAY_PER_REQUEST");
}

static void a_sort_key_is_made_too(void **state)
{
    (void)state;
    prepare_for(&a, "made-sorted");
    a.config.key_name = "a \"name\"\\";
    a.config.sort_key_name = "\xc3\xbc"
                             "ber";
    start(&a);
    assert_ok(create(&a));
    assert_ok(look_at(&a));
    use_a_lock(&a, "s");
}

/* One that does not wait says that it is not ready yet, or that it is. */
static void without_a_wait_it_comes_back_at_once(void **state)
{
    uint64_t since;
    dynalock_outcome rc;
    int i;

    (void)state;
    prepare_for(&a, "unhurried");
    start(&a);
    since = now_ms();
    for (i = 0; i < 500; i++) {
        rc = dynalock_table_create(&a.client, NULL, &table, 0);
        if (rc == DYNALOCK_OK) break;
        assert_outcome(rc, DYNALOCK_TABLE_NOT_READY);
        assert_string_equal(a.client.detail.message, "status is CREATING");
        (void)poll(NULL, 0, 10);
    }
    assert_ok(rc);
    assert_at_most(now_ms() - since, PATIENCE_MS);
    assert_int_equal(counter("CreateTable"), 1);
}

static void two_may_make_it_at_once(void **state)
{
    static dynalock_table other;

    (void)state;
    prepare_for(&a, "contended");
    start(&a);
    prepare_for(&b, "contended");
    start(&b);
    assert_outcome(
        dynalock_start_table_create(&a.client, NULL, &table, PATIENCE_MS),
        DYNALOCK_AGAIN);
    assert_outcome(
        dynalock_start_table_create(&b.client, NULL, &other, PATIENCE_MS),
        DYNALOCK_AGAIN);
    assert_ok(run_while(&table.operation, DYNALOCK_AGAIN));
    assert_ok(run_while(&other.operation, DYNALOCK_AGAIN));
    use_a_lock(&a, NULL);
}

static void faults_do_not_stop_it(void **state)
{
    static const char *const faults[] = { "drop-request", "drop-answer",
        "cut-answer 9", "500", "500-after", "bad-crc", "garbage", "html",
        "throttle", "close-after", "chunked", "silent-after" };
    static const char *const operations[] = { "DescribeTable", "CreateTable",
        "DescribeTimeToLive", "UpdateTimeToLive" };
    static char names[COUNT(faults)][4][32];
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(faults); i++)
        for (j = 0; j < (has_ttl() ? 4u : 3u); j++) {
            (void)snprintf(names[i][j], sizeof names[i][j], "faulty-%u-%u",
                (unsigned)i, (unsigned)j);
            prepare_for(&a, names[i][j]);
            if (has_ttl()) a.config.ttl_attribute = "expires";
            start(&a);
            proxy("fault %s on=%s", faults[i], operations[j]);
            assert_ok(create(&a));
            assert_ok(look_at(&a));
            (void)dynalock_client_close(&a.client, 0);
            a.running = 0;
            proxy("clear");
        }
}

static void what_is_denied_is_said(void **state)
{
    (void)state;
    prepare_for(&a, "denied");
    start(&a);
    proxy("fault denied on=CreateTable");
    assert_outcome(create(&a), DYNALOCK_DENIED);
    assert_string_equal(a.client.detail.type, "AccessDeniedException");
    assert_true(a.client.detail.message[0] != '\0');
}

/* ---- TTL ---- */

static void ttl_is_turned_on(void **state)
{
    (void)state;
    prepare_for(&a, "fleeting");
    a.config.ttl_attribute = "expires";
    start(&a);
    if (!has_ttl()) { /* it says why not */
        assert_outcome(create(&a), DYNALOCK_SERVICE_REFUSED);
        assert_string_equal(a.client.detail.type, "UnknownOperationException");
        assert_outcome(look_at(&a), DYNALOCK_TABLE_TTL);
        return;
    }
    assert_ok(create(&a));
    assert_int_equal(counter("UpdateTimeToLive"), 1);
    assert_has(server("DescribeTimeToLive", "{\"TableName\":\"fleeting\"}"),
        "\"AttributeName\":\"expires\"");
    assert_ok(create(&a));
    assert_ok(look_at(&a));
    assert_int_equal(counter("UpdateTimeToLive"), 1);
    use_a_lock(&a, NULL);
}

static void ttl_that_does_not_fit_is_named(void **state)
{
    (void)state;
    make("lasting", HASH("key"), TYPE("key", "S"));
    prepare_for(&a, "lasting");
    a.config.ttl_attribute = "expires";
    start(&a);
    assert_outcome(look_at(&a), DYNALOCK_TABLE_TTL);
    assert_string_equal(
        a.client.detail.message, "TTL attribute is none, not \"expires\"");
    if (!has_ttl()) return; /* more there cannot be */
    (void)server("UpdateTimeToLive",
        "{\"TableName\":\"lasting\",\"TimeToLiveSpecification\":"
        "{\"Enabled\":true,\"AttributeName\":\"gone\"}}");
    assert_outcome(create(&a), DYNALOCK_TABLE_TTL);
    assert_string_equal(
        a.client.detail.message, "TTL attribute is \"gone\", not \"expires\"");
    prepare_for(&b, "lasting");
    start(&b);
    assert_outcome(look_at(&b), DYNALOCK_TABLE_TTL);
    assert_string_equal(
        b.client.detail.message, "TTL attribute is \"gone\", not none");
    prepare_for(&c, "lasting");
    c.config.ttl_attribute = "gone";
    start(&c);
    assert_ok(look_at(&c));
}

#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_harness_tables_fit),
        TEST(what_is_not_there_is_missing),
        TEST(what_does_not_fit_is_named),
        TEST(an_index_does_not_matter),
        TEST(what_is_made_can_be_used),
        TEST(a_sort_key_is_made_too),
        TEST(without_a_wait_it_comes_back_at_once),
        TEST(two_may_make_it_at_once),
        TEST(faults_do_not_stop_it),
        TEST(what_is_denied_is_said),
        TEST(ttl_is_turned_on),
        TEST(ttl_that_does_not_fit_is_named),
    };

    return cmocka_run_group_tests_name(
        harness("SERVER"), tests, start_all, NULL);
}
