/* Does a table fit? Making one that does. And the hosts of the regions. */
#include "support.h"
#include "tables.h"

static world w;
static dynalock_table table;

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    tables_begin(&w);
    return 0;
}

static void start(void)
{
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
}

/* message NULL: none is expected. */
static void check(dynalock_outcome expected, const char *message)
{
    start();
    assert_int_equal(dynalock_table_check(&w.client, NULL, &table), expected);
    assert_int_equal(dynalock_result(&table.operation), expected);
    if (message != NULL) assert_string_equal(w.client.detail.message, message);
    (void)dynalock_client_close(&w.client, 0);
}

static dynalock_outcome create(uint32_t wait_ms)
{
    return dynalock_table_create(&w.client, NULL, &table, wait_ms);
}

/* ---- check ---- */

static void test_a_table_that_fits(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 8; i++) { /* whatever else the answers hold */
        service.types_first = i & 1;
        service.noise = i & 2;
        w.read_most = i & 4 ? 1 : 0;
        check(DYNALOCK_OK, "");
        assert_string_equal(w.last_operation, "DescribeTimeToLive");
        assert_string_equal(w.last_body, "{\"TableName\":\"locks\"}");
    }
    service.status = "UPDATING";
    check(DYNALOCK_OK, NULL);
    service.sort_key = "part";
    service.sort_key_type = "S";
    w.config.sort_key_name = "part";
    check(DYNALOCK_OK, NULL);
    assert_int_equal(service.creations + service.changes, 0);
}

static void test_a_table_that_is_not_there(void **state)
{
    (void)state;
    service.status = NULL;
    check(DYNALOCK_TABLE_MISSING, NULL);
    assert_int_equal(w.requests, 1);
}

static void test_a_table_that_is_not_active(void **state)
{
    static const char *const states[] = { "CREATING", "DELETING", "ARCHIVED",
        "INACCESSIBLE_ENCRYPTION_CREDENTIALS" };
    char message[128];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(states); i++) {
        service.status = states[i];
        (void)snprintf(message, sizeof message, "status is %s", states[i]);
        check(DYNALOCK_TABLE_NOT_READY, message);
    }
}

static void test_wrong_keys_are_named(void **state)
{
    static const struct {
        const char *key, *type, *sort_key, *sort_type; /* the table's */
        const char *wanted, *sort_wanted;
        const char *message;
    } cases[] = {
        { "id", "S", NULL, NULL, "key", NULL,
            "partition key is \"id\", not \"key\"" },
        { "key", "N", NULL, NULL, "key", NULL,
            "partition key is of type N, not S" },
        { "key", "S", "part", "S", "key", NULL,
            "sort key is \"part\", not none" },
        { "key", "S", NULL, NULL, "key", "part",
            "sort key is none, not \"part\"" },
        { "key", "S", "a", "S", "key", "b", "sort key is \"a\", not \"b\"" },
        { "key", "S", "part", "B", "key", "part",
            "sort key is of type B, not S" },
        { "part", "S", "key", "S", "key", "part",
            "partition key is \"part\", not \"key\"" },
        { "ke", "S", NULL, NULL, "key", NULL,
            "partition key is \"ke\", not \"key\"" },
        { "keys", "S", NULL, NULL, "key", NULL,
            "partition key is \"keys\", not \"key\"" },
        { "a\\\"b\\\\\\u00e9\\t", "S", NULL, NULL, "a\"b\\\xc3\xa9\t", NULL,
            NULL },
        { "a\\\"b", "S", NULL, NULL, "a\"c", NULL,
            "partition key is \"a\\\"b\", not \"a\"c\"" },
        { "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", "S", NULL,
            NULL, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyZ", NULL,
            "partition key is \"abcdefghijklmnopqrstuvwxyzabcdefghij\", not "
            "\"abcdefghijklmnopqrstuvwxyzabcdefghij\"" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        service.key = cases[i].key;
        service.key_type = cases[i].type;
        service.sort_key = cases[i].sort_key;
        service.sort_key_type = cases[i].sort_type;
        service.types_first = i % 2;
        w.config.key_name = cases[i].wanted;
        w.config.sort_key_name = cases[i].sort_wanted;
        check(cases[i].message != NULL ? DYNALOCK_TABLE_SHAPE : DYNALOCK_OK,
            cases[i].message);
        /* making one changes none that is there */
        start();
        assert_int_equal(create(1000),
            cases[i].message != NULL ? DYNALOCK_TABLE_SHAPE : DYNALOCK_OK);
        (void)dynalock_client_close(&w.client, 0);
    }
    assert_int_equal(service.creations + service.changes, 0);
}

static void test_the_ttl_must_be_the_configs(void **state)
{
    static const struct {
        const char *ttl, *status, *wanted;
        int no_ttl, delete_on_release;
        const char *message; /* NULL: fits */
    } cases[] = {
        { NULL, "DISABLED", NULL, 0, 0, NULL },
        { NULL, "DISABLING", NULL, 0, 0, NULL },
        { "expires", "ENABLED", "expires", 0, 0, NULL },
        { "expires", "ENABLING", "expires", 0, 0, NULL },
        { NULL, "DISABLED", "expires", 0, 0,
            "TTL attribute is none, not \"expires\"" },
        { "expires", "DISABLING", "expires", 0, 0,
            "TTL attribute is none, not \"expires\"" },
        { "other", "ENABLED", "expires", 0, 0,
            "TTL attribute is \"other\", not \"expires\"" },
        /* whoever does not know the attribute cannot remove it */
        { "other", "ENABLED", NULL, 0, 0,
            "TTL attribute is \"other\", not none" },
        { NULL, "DISABLED", "expires", 1, 0, NULL },
        { "expires", "ENABLED", "expires", 1, 0, NULL },
        { NULL, "DISABLED", "expires", 1, 1,
            "TTL attribute is none, not \"expires\"" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        service.ttl = cases[i].ttl;
        service.ttl_status = cases[i].status;
        w.config.ttl_attribute = cases[i].wanted;
        w.config.no_ttl = (uint8_t)cases[i].no_ttl;
        w.config.delete_on_release = (uint8_t)cases[i].delete_on_release;
        check(cases[i].message != NULL ? DYNALOCK_TABLE_TTL : DYNALOCK_OK,
            cases[i].message);
    }
    assert_int_equal(service.changes, 0);
}

static const char *strange;
static const char *strange_operation; /* NULL: to all */

static int strange_answer(world *world, int damage)
{
    if (strange_operation != NULL &&
        strcmp(world->last_operation, strange_operation) != 0)
        return tables_serve(world, damage);
    world_reply(world, 200, strange, 0);
    return 1;
}

/* Well-formed, but nothing that it could be told by. */
static void test_a_strange_answer_is_no_table(void **state)
{
    static const char *const answers[] = { "{}", "{\"Table\":[]}",
        "{\"Table\":{\"TableStatus\":1}}",
        "{\"Table\":{\"TableStatus\":{\"S\":\"ACTIVE\"}}}",
        "{\"Table\":[{\"TableStatus\":\"ACTIVE\"}]}",
        "{\"Table\":{\"TableStatus\":\"\"}}", "{\"Table\":{\"TableStatus\":" };
    size_t i;

    (void)state;
    w.other = strange_answer;
    for (i = 0; i < COUNT(answers); i++) {
        strange = answers[i];
        check(DYNALOCK_BAD_ANSWER, NULL);
    }
    w.config.ttl_attribute = "expires";
    strange = "{\"TimeToLiveDescription\":{}}";
    strange_operation = "DescribeTimeToLive";
    check(DYNALOCK_BAD_ANSWER, NULL);
    strange_operation = NULL;
    w.config.ttl_attribute = NULL;
    /* active, but the keys are in no form that is known */
    strange = "{\"Table\":{\"TableStatus\":\"ACTIVE\"}}";
    check(DYNALOCK_TABLE_SHAPE, "partition key is none, not \"key\"");
    strange = "{\"Table\":{\"TableStatus\":\"ACTIVE\",\"KeySchema\":"
              "[{\"KeyType\":\"HASH\",\"AttributeName\":\"key\"}]}}";
    check(DYNALOCK_TABLE_SHAPE, "partition key is of type none, not S");
    strange = "{\"Table\":{\"TableStatus\":\"ACTIVE\",\"KeySchema\":"
              "[{\"AttributeName\":\"key\",\"KeyType\":\"\"}]}}";
    check(DYNALOCK_TABLE_SHAPE, "partition key is of type none, not S");
    strange = "{\"Table\":{\"TableStatus\":\"ACTIVE\",\"KeySchema\":"
              "{\"KeyType\":\"HASH\",\"AttributeName\":\"key\"},"
              "\"AttributeDefinitions\":[{\"AttributeName\":\"key\","
              "\"AttributeType\":\"S\"}]}}";
    check(DYNALOCK_TABLE_SHAPE, "partition key is none, not \"key\"");
}

/* ---- create ---- */

static void test_create_makes_what_is_missing(void **state)
{
    uint64_t since = w.now;

    (void)state;
    service.status = NULL;
    service.looks = 7;
    w.config.ttl_attribute = "expires";
    start();
    assert_int_equal(create(30000), DYNALOCK_OK);
    assert_int_equal(service.creations, 1);
    assert_int_equal(service.changes, 1);
    assert_in_range(w.now - since, 3500, 7000);
    assert_int_equal(create(30000), DYNALOCK_OK); /* nothing is left to do */
    assert_int_equal(create(0), DYNALOCK_OK);
    assert_int_equal(service.creations + service.changes, 2);
}

static void check_created(const char *body)
{
    service.status = NULL;
    service.looks = 1;
    start();
    assert_int_equal(create(0), DYNALOCK_TABLE_NOT_READY);
    assert_string_equal(w.client.detail.message, "status is CREATING");
    assert_int_equal(service.creations, 1);
    assert_string_equal(service.created, body);
    assert_int_equal(create(0), DYNALOCK_OK);
}

static void test_a_tables_keys_are_the_configs(void **state)
{
    (void)state;
    check_created(
        "{\"TableName\":\"locks\",\"BillingMode\":\"PAY_PER_REQUEST\","
        "\"KeySchema\":[{\"AttributeName\":\"key\",\"KeyType\":\"HASH\"}],"
        "\"AttributeDefinitions\":[{\"AttributeName\":\"key\","
        "\"AttributeType\":\"S\"}]}");
    service.creations = 0;
    w.connected = 0;
    w.config.sort_key_name = "part";
    check_created(
        "{\"TableName\":\"locks\",\"BillingMode\":\"PAY_PER_REQUEST\","
        "\"KeySchema\":[{\"AttributeName\":\"key\",\"KeyType\":\"HASH\"},"
        "{\"AttributeName\":\"part\",\"KeyType\":\"RANGE\"}],"
        "\"AttributeDefinitions\":[{\"AttributeName\":\"key\","
        "\"AttributeType\":\"S\"},{\"AttributeName\":\"part\","
        "\"AttributeType\":\"S\"}]}");
}

static void test_create_waits_so_long_only(void **state)
{
    uint64_t since = w.now;

    (void)state;
    service.looks = 1000;
    start();
    assert_int_equal(create(5000), DYNALOCK_TABLE_NOT_READY);
    assert_in_range(w.now - since, 5000, 5001);
    assert_string_equal(w.client.detail.message, "status is CREATING");
    w.refuse = 1;
    (void)dynalock_client_close(&w.client, 0);
    start();
    since = w.now;
    assert_int_equal(create(5000), DYNALOCK_UNREACHABLE);
    assert_in_range(w.now - since, 5000, 5001);
    w.cancel_at = w.now + 1000;
    assert_int_equal(create(5000), DYNALOCK_CANCELLED);
}

/* A table that is being deleted is gone one day, and then made. */
static int deleting(world *world, int damage)
{
    if (service.looks > 0 && --service.looks == 0) service.status = NULL;
    if (service.looks == 0) return tables_serve(world, damage);
    world_reply(
        world, 200, "{\"Table\":{\"TableStatus\":\"DELETING\"}}", damage);
    return 1;
}

static void test_create_waits_for_a_deletion(void **state)
{
    (void)state;
    service.looks = 4;
    w.other = deleting;
    start();
    assert_int_equal(create(30000), DYNALOCK_OK);
    assert_int_equal(service.creations, 1);
}

/* Every request is answered badly once, at each place. */
static void test_create_lasts_over_every_fault(void **state)
{
    static const enum world_fault faults[] = { FAULT_LOSE_REQUEST,
        FAULT_LOSE_ANSWER, FAULT_REPEAT, FAULT_CUT, FAULT_THROTTLE, FAULT_500,
        FAULT_500_AFTER, FAULT_DAMAGE, FAULT_HTML, FAULT_CLOSE_IDLE };
    size_t i, at;

    (void)state;
    for (i = 0; i < COUNT(faults); i++)
        for (at = 0; at < 5; at++) {
            begin(NULL);
            service.status = NULL;
            service.looks = 2;
            w.config.ttl_attribute = "expires";
            (void)memset(w.faults, 0, sizeof w.faults);
            start();
            assert_int_equal(
                dynalock_start_table_create(&w.client, NULL, &table, 60000),
                DYNALOCK_AGAIN);
            w.latency = 1;
            while (w.requests < (int)at &&
                   dynalock_result(&table.operation) == DYNALOCK_AGAIN)
                world_run(&w, 1);
            w.faults[0] = faults[i];
            w.fault_at = 0;
            world_run(&w, 59000);
            CHECK(dynalock_result(&table.operation) == DYNALOCK_OK,
                "fault %d at %u: %d", (int)faults[i], (unsigned)at,
                (int)dynalock_result(&table.operation));
            CHECK(service.creations == 1 && service.changes == 1,
                "fault %d at %u", (int)faults[i], (unsigned)at);
        }
}

static const char *denied;

static int denies(world *world, int damage)
{
    if (strcmp(world->last_operation, denied) != 0)
        return tables_serve(world, damage);
    world_reply(world, 400,
        "{\"__type\":\"com.amazon.coral.service#AccessDeniedException\","
        "\"Message\":\"not you\"}",
        0);
    return 1;
}

static void test_what_is_denied_ends_it(void **state)
{
    static const char *const operations[] = { "DescribeTable", "CreateTable",
        "DescribeTimeToLive", "UpdateTimeToLive" };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(operations); i++) {
        begin(NULL);
        service.status = NULL;
        denied = operations[i];
        w.other = denies;
        w.config.ttl_attribute = "expires";
        start();
        assert_int_equal(create(30000), DYNALOCK_DENIED);
        assert_string_equal(w.last_operation, operations[i]);
        assert_string_equal(w.client.detail.message, "not you");
    }
}

/* ---- memory and arguments ---- */

static void test_bad_arguments(void **state)
{
    (void)state;
    start();
    assert_int_equal(
        dynalock_table_check(NULL, NULL, &table), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_table_check(&w.client, NULL, NULL), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_table_create(&w.client, "no", &table, 0), DYNALOCK_BAD_TABLE);
    assert_int_equal(
        dynalock_table_check(&w.client, "a/b", &table), DYNALOCK_BAD_TABLE);
    assert_int_equal(w.requests, 0);
    assert_int_equal(
        dynalock_table_check(&w.client, "other", &table), DYNALOCK_OK);
    assert_string_equal(w.last_body, "{\"TableName\":\"other\"}");
    memset(&table, 0xa5, sizeof table); /* memory may hold anything */
    assert_int_equal(
        dynalock_start_table_check(&w.client, NULL, &table), DYNALOCK_AGAIN);
    assert_int_equal(
        dynalock_start_table_check(&w.client, NULL, &table), DYNALOCK_IN_USE);
    assert_int_equal(dynalock_client_close(&w.client, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_result(&table.operation), DYNALOCK_CANCELLED);
}

/* ---- regions ---- */

/* What botocore 1.29.27 connects to, for every region it knows in these
   partitions; the host with FIPS, and whether there is one. */
static const struct {
    const char *region, *host, *fips;
} hosts[] = {
#define HOSTS(region)                                                         \
    {                                                                         \
        region, "dynamodb." region ".amazonaws.com",                          \
            "dynamodb-fips." region ".amazonaws.com"                          \
    }
    HOSTS("af-south-1"),
    HOSTS("ap-east-1"),
    HOSTS("ap-northeast-1"),
    HOSTS("ap-northeast-2"),
    HOSTS("ap-northeast-3"),
    HOSTS("ap-south-1"),
    HOSTS("ap-south-2"),
    HOSTS("ap-southeast-1"),
    HOSTS("ap-southeast-2"),
    HOSTS("ap-southeast-3"),
    HOSTS("ca-central-1"),
    HOSTS("eu-central-1"),
    HOSTS("eu-central-2"),
    HOSTS("eu-north-1"),
    HOSTS("eu-south-1"),
    HOSTS("eu-south-2"),
    HOSTS("eu-west-1"),
    HOSTS("eu-west-2"),
    HOSTS("eu-west-3"),
    HOSTS("me-central-1"),
    HOSTS("me-south-1"),
    HOSTS("sa-east-1"),
    HOSTS("us-east-1"),
    HOSTS("us-east-2"),
    HOSTS("us-west-1"),
    HOSTS("us-west-2"),
    { "cn-north-1", "dynamodb.cn-north-1.amazonaws.com.cn", NULL },
    { "cn-northwest-1", "dynamodb.cn-northwest-1.amazonaws.com.cn", NULL },
    { "us-gov-east-1", "dynamodb.us-gov-east-1.amazonaws.com",
        "dynamodb.us-gov-east-1.amazonaws.com" },
    { "us-gov-west-1", "dynamodb.us-gov-west-1.amazonaws.com",
        "dynamodb.us-gov-west-1.amazonaws.com" },
};

static char opened[256];
static int opened_securely;

static int32_t open_and_see(void *context, const dynalock_peer *peer)
{
    (void)context;
    (void)snprintf(opened, sizeof opened, "%s:%u", peer->host, peer->port);
    opened_securely = peer->secure;
    return -1;
}

static void check_host(const char *host)
{
    char expected[256];

    (void)snprintf(expected, sizeof expected, "%s:443", host);
    assert_int_equal(
        dynalock_table_check(&w.client, NULL, &table), DYNALOCK_UNREACHABLE);
    assert_string_equal(opened, expected);
    assert_int_equal(opened_securely, 1);
}

static void test_every_region_has_its_host(void **state)
{
    size_t i;

    (void)state;
    w.platform.open = open_and_see;
    w.config.endpoint = NULL;
    w.config.secure_transport = 1;
    w.config.attempts = 1;
    for (i = 0; i < COUNT(hosts); i++) {
        w.config.region = hosts[i].region;
        start();
        check_host(hosts[i].host);
        assert_int_equal(dynalock_use_fips(&w.client),
            hosts[i].fips != NULL ? DYNALOCK_OK : DYNALOCK_BAD_REGION);
        check_host(hosts[i].fips != NULL ? hosts[i].fips : hosts[i].host);
        (void)dynalock_client_close(&w.client, 0);
    }
}

/* The host is part of the signature. */
static void test_fips_is_for_a_client_without_a_connection(void **state)
{
    (void)state;
    start();
    assert_int_equal(dynalock_use_fips(&w.client), DYNALOCK_BAD_ENDPOINT);
    assert_int_equal(dynalock_use_fips(NULL), DYNALOCK_BAD_ARGUMENT);
    w.config.endpoint = NULL;
    w.config.secure_transport = 1;
    w.config.region = "us-east-2";
    start();
    assert_int_equal(dynalock_use_fips(&w.client), DYNALOCK_OK);
    assert_int_equal(
        dynalock_start_table_check(&w.client, NULL, &table), DYNALOCK_AGAIN);
    w.latency = 100;
    world_run(&w, 10);
    assert_int_equal(dynalock_use_fips(&w.client), DYNALOCK_IN_USE);
    world_run(&w, 1000);
    assert_int_equal(dynalock_result(&table.operation), DYNALOCK_OK);
    assert_string_equal(
        w.client.host, "dynamodb-fips.us-east-2.amazonaws.com");
}

/* Names are compared as the answer writes them. */
static void test_keys_of_any_characters(void **state)
{
    static const struct {
        const char *key, *written;
        int fits;
    } names[] = {
        { "a\"b", "a\\\"b", 1 },
        { "a\\b", "a\\\\b", 1 },
        { "a\"b", "ab", 0 },
        { "a\"b", "a", 0 },
        { "a\"", "a", 0 },
        { "a\"b", "a\\\"c", 0 },
        { "ab", "abc", 0 },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(names); i++) {
        w.config.key_name = names[i].key;
        service.key = names[i].written;
        check(names[i].fits ? DYNALOCK_OK : DYNALOCK_TABLE_SHAPE, NULL);
    }
}

static void test_nothing_is_made_without_a_clock(void **state)
{
    (void)state;
    start();
    w.unix_ms = 0;
    assert_int_equal(create(1000), DYNALOCK_CLOCK_UNSET);
    assert_int_equal(
        dynalock_table_check(&w.client, NULL, &table), DYNALOCK_CLOCK_UNSET);
    w.unix_ms = 1700000000000;
    assert_int_equal(
        dynalock_table_create(&w.client, "x", &table, 0), DYNALOCK_BAD_TABLE);
    assert_int_equal(w.requests, 0);
}

static int refuses(world *world, int damage)
{
    if (strcmp(world->last_operation, denied) != 0)
        return tables_serve(world, damage);
    world_reply_error(world, 400, "ValidationException");
    return 1;
}

static void test_what_is_refused_ends_it(void **state)
{
    static const char *const operations[] = { "CreateTable",
        "UpdateTimeToLive" };
    size_t i;

    (void)state;
    w.other = refuses;
    w.config.ttl_attribute = "expires";
    for (i = 0; i < COUNT(operations); i++) {
        denied = operations[i];
        service.status = i == 0 ? NULL : "ACTIVE";
        start();
        assert_int_equal(create(5000), DYNALOCK_SERVICE_REFUSED);
        assert_string_equal(w.last_operation, denied);
        (void)dynalock_client_close(&w.client, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_table_that_fits),
        TEST(a_table_that_is_not_there),
        TEST(a_table_that_is_not_active),
        TEST(wrong_keys_are_named),
        TEST(the_ttl_must_be_the_configs),
        TEST(a_strange_answer_is_no_table),
        TEST(create_makes_what_is_missing),
        TEST(a_tables_keys_are_the_configs),
        TEST(create_waits_so_long_only),
        TEST(create_waits_for_a_deletion),
        TEST(create_lasts_over_every_fault),
        TEST(what_is_denied_ends_it),
        TEST(bad_arguments),
        TEST(every_region_has_its_host),
        TEST(fips_is_for_a_client_without_a_connection),
        TEST(keys_of_any_characters),
        TEST(nothing_is_made_without_a_clock),
        TEST(what_is_refused_ends_it),
    };

    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
