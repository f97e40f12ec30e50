/*
Requests of the caller's own, and fences, on a real server:

    tests/harness.py --server dynoxide|dynalite -- build/conformance/calls

The proxy checks every signature with botocore: of bodies that are generated
and of bodies of any size too.
*/
#include "support.h"

static dynalock_request request;
static char answer[512 * 1024];

/* On dynalite there are no transactions. */
static int has_transactions(void)
{
    return strcmp(harness("SERVER"), "dynalite") != 0;
}

static dynalock_outcome call(device *d, const char *target, const char *body)
{
    memset(&request, 0, sizeof request);
    request.target = target;
    request.body = body;
    request.answer = answer;
    request.capacity = sizeof answer;
    return dynalock_call(&d->client, &request);
}

static const char *text(const char *format, ...)
{
    static char out[4096];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(out, sizeof out, format, arguments);
    va_end(arguments);
    assert_in_range(n, 0, sizeof out - 1);
    return out;
}

/* ---- any operation ---- */

static void an_item_goes_there_and_back(void **state)
{
    (void)state;
    start_plain(&a, "a");
    assert_ok(call(&a, "PutItem",
        "{\"TableName\":\"locks\",\"Item\":{\"key\":{\"S\":\"own \\\"1\\\"\"},"
        "\"deep\":{\"M\":{\"l\":{\"L\":[{\"N\":\"1\"},{\"NULL\":true}]}}}}}"));
    assert_string_equal(answer, "{}");
    assert_ok(call(&a, "GetItem",
        "{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":"
        "\"own \\\"1\\\"\"}}}"));
    assert_has(answer, "{\"M\":{\"l\":{\"L\":[{\"N\":\"1\"},{\"NULL\":true}");
    assert_int_equal(request.size, strlen(answer));
    assert_int_equal(a.client.detail.http_status, 200);
    assert_ok(call(&a, "DeleteItem",
        "{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":"
        "\"own \\\"1\\\"\"}}}"));
    assert_string_equal(item("own \\\"1\\\""), "{}");
}

static const char block[] = "over and over again, with Gr\xc3\xbc\xc3\x9f"
                            "en; ";

#define BLOCKS 8000
#define BIG (BLOCKS * (sizeof block - 1))

static void put_big(dynalock_sink *sink, void *context)
{
    static const char start[] = "{\"TableName\":\"locks\",\"Item\":{\"key\":"
                                "{\"S\":\"big\"},\"text\":{\"S\":\"";
    int i;

    (void)context;
    dynalock_put(sink, start, sizeof start - 1);
    for (i = 0; i < BLOCKS; i++) dynalock_put(sink, block, sizeof block - 1);
    dynalock_put(sink, "\"}}}", 4);
}

static void big_bodies_and_answers(device *d)
{
    memset(&request, 0, sizeof request);
    request.target = "PutItem";
    request.put_body = put_big;
    assert_ok(dynalock_call(&d->client, &request));
    assert_int_equal(request.size, 2);
    assert_ok(call(d, "GetItem",
        "{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":\"big\"}}}"));
    assert_int_equal(request.size, strlen(answer));
    assert_in_range(request.size, BIG, BIG + 200);
    request.capacity = 1000; /* it is all there, but does not fit */
    memset(answer, '#', sizeof answer);
    assert_outcome(dynalock_call(&d->client, &request), DYNALOCK_BAD_BUFFER);
    assert_in_range(request.size, BIG, BIG + 200);
    assert_true(answer[999] != '#');
    assert_int_equal(answer[1000], '#');
    delete_item("big");
}

static void bodies_and_answers_of_any_size(void **state)
{
    (void)state;
    start_plain(&a, "a");
    big_bodies_and_answers(&a);
    prepare(&b, "b", harness("HTTPS"));
    start(&b);
    big_bodies_and_answers(&b);
}

static void refusals_have_the_services_words(void **state)
{
    (void)state;
    start_plain(&a, "a");
    assert_outcome(call(&a, "PutItem",
                       "{\"TableName\":\"locks\",\"Item\":{\"no\":{\"S\":"
                       "\"x\"}}}"),
        DYNALOCK_SERVICE_REFUSED);
    assert_string_equal(a.client.detail.type, "ValidationException");
    assert_int_equal(a.client.detail.http_status, 400);
    assert_has(answer, "ValidationException");
    assert_outcome(
        call(&a, "PutItem", "{\"TableName\":"), DYNALOCK_SERVICE_REFUSED);
    assert_string_equal(a.client.detail.type, "SerializationException");
    assert_outcome(call(&a, "PutItem",
                       "{\"TableName\":\"nobodys\",\"Item\":{\"key\":{\"S\":"
                       "\"x\"}}}"),
        DYNALOCK_TABLE_MISSING);
    assert_outcome(call(&a, "Nonsense", "{}"), DYNALOCK_SERVICE_REFUSED);
    assert_string_equal(a.client.detail.type, "UnknownOperationException");
}

static void a_condition_that_does_not_hold(void **state)
{
    static const char once[] =
        "{\"TableName\":\"locks\",\"Item\":{\"key\":{\"S\":\"once\"}},"
        "\"ConditionExpression\":\"attribute_not_exists(#k)\","
        "\"ExpressionAttributeNames\":{\"#k\":\"key\"}}";

    (void)state;
    start_plain(&a, "a");
    assert_ok(call(&a, "PutItem", once));
    assert_outcome(call(&a, "PutItem", once), DYNALOCK_CONDITION);
    assert_int_equal(request.unanswered, 0);
    delete_item("once");
}

/* ---- faults ---- */

static const char count_up[] =
    "{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":\"count\"}},"
    "\"UpdateExpression\":\"ADD n :one\",\"ExpressionAttributeValues\":"
    "{\":one\":{\"N\":\"1\"}}}";

static int counted(void)
{
    const char *at = strstr(item("count"), "\"n\":{\"N\":\"");

    return at != NULL ? atoi(at + 10) : 0;
}

/* Whatever happens to a write that must not be repeated, it is done at most
   once, and exactly once if the call says so. */
static void a_write_is_done_at_most_once(void **state)
{
    static const char *const faults[] = { "drop-request", "drop-answer",
        "cut-answer 5", "500", "500-after", "bad-crc", "garbage", "html",
        "throttle", "close-after", "chunked", "silent-after",
        "delay-answer 100" };
    size_t i;

    (void)state;
    start_plain(&a, "a");
    for (i = 0; i < COUNT(faults); i++) {
        dynalock_outcome rc;
        int done;

        delete_item("count");
        proxy("fault %s on=UpdateItem", faults[i]);
        rc = call(&a, "UpdateItem", count_up);
        done = counted();
        if (rc == DYNALOCK_OK ? done != 1 || request.unanswered != 0
                              : done > 1 || request.unanswered != 1)
            fail_msg("%s: %d, done %d times, %d unanswered", faults[i],
                (int)rc, done, request.unanswered);
        /* the same, where it may be repeated */
        proxy("fault %s on=UpdateItem", faults[i]);
        memset(&request, 0, sizeof request);
        request.target = "UpdateItem";
        request.body = count_up;
        request.repeatable = 1;
        assert_ok(dynalock_call(&a.client, &request));
        assert_in_range(counted() - done, 1, 1 + request.unanswered);
    }
    delete_item("count");
}

static void a_slow_call_costs_no_lock(void **state)
{
    dynalock_lock *lock = lock_named("beside");
    uint64_t end;

    (void)state;
    start_with_lease(&a, "a", 4000);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    end = now_ms() + 6000;
    while (now_ms() < end) {
        proxy("fault delay 400 on=PutItem");
        assert_ok(call(&a, "PutItem",
            "{\"TableName\":\"locks\",\"Item\":{\"key\":{\"S\":\"slow\"}}}"));
        assert_true(remaining(&a, lock) > 0);
    }
    assert_ok(dynalock_release(&a.client, lock));
    delete_item("slow");
}

/* ---- fences ---- */

static char fence[1024];

/* A transaction with the lock's condition, and a write that it guards. */
static dynalock_outcome transact(device *d)
{
    return call(d, "TransactWriteItems",
        text("{\"TransactItems\":[{\"Put\":{\"TableName\":\"locks\",\"Item\":"
             "{\"key\":{\"S\":\"guarded\"},\"by\":{\"S\":\"%s\"}}}},%s]}",
            d->config.owner, fence));
}

static void a_transaction_stands_with_the_lock(void **state)
{
    dynalock_lock *lock = lock_named("k \"1\"\\\xc3\xa9");

    (void)state;
    start_plain(&a, "a \"quoted\"");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_fence_condition(&a.client, lock, fence, sizeof fence));
    if (!has_transactions()) { /* the text is sound all the same */
        assert_outcome(call(&a, "TransactWriteItems",
                           text("{\"TransactItems\":[%s]}", fence)),
            DYNALOCK_SERVICE_REFUSED);
        assert_string_equal(a.client.detail.type, "UnknownOperationException");
        return;
    }
    a.config.owner = "a";
    assert_ok(transact(&a));
    assert_has(item("guarded"), "\"by\":{\"S\":\"a\"}");
    assert_ok(dynalock_renew(&a.client, lock));
    assert_ok(transact(&a)); /* a renewal changes nothing */
    delete_item("guarded");
    assert_ok(dynalock_release(&a.client, lock));
    assert_outcome(transact(&a), DYNALOCK_CONDITION);
    assert_has(answer, "ConditionalCheckFailed");
    assert_string_equal(item("guarded"), "{}");
    assert_ok(dynalock_acquire(&a.client, lock, 0)); /* another hold */
    assert_outcome(transact(&a), DYNALOCK_CONDITION);
    assert_string_equal(item("guarded"), "{}");
    assert_ok(dynalock_release(&a.client, lock));
}

static void a_stale_holders_transaction_is_refused(void **state)
{
    dynalock_lock *stale = lock_named("stolen"), *heir = lock_named("stolen");

    (void)state;
    if (!has_transactions()) { /* told in the test before */
        start_plain(&a, "a");
        assert_outcome(
            call(&a, "TransactWriteItems", "{}"), DYNALOCK_SERVICE_REFUSED);
        return;
    }
    start_with_lease(&a, "a", 600);
    start_with_lease(&b, "b", 600);
    assert_ok(dynalock_acquire(&a.client, stale, 0));
    assert_ok(dynalock_fence_condition(&a.client, stale, fence, sizeof fence));
    a.running = 0; /* sleeps */
    assert_ok(dynalock_acquire(&b.client, heir, 5000));
    a.running = 1;
    assert_outcome(transact(&a), DYNALOCK_CONDITION);
    assert_string_equal(item("guarded"), "{}");
    assert_ok(dynalock_fence_condition(&b.client, heir, fence, sizeof fence));
    assert_ok(transact(&b));
    assert_has(item("guarded"), "\"by\":{\"S\":\"b\"}");
    assert_ok(dynalock_release(&b.client, heir));
    delete_item("guarded");
}

/* With a sort key the condition has both keys. */
static void a_condition_on_a_table_with_a_sort_key(void **state)
{
    dynalock_lock_options options;
    dynalock_lock *lock;

    (void)state;
    if (!has_transactions()) {
        start_plain(&a, "a");
        assert_outcome(
            call(&a, "TransactWriteItems", "{}"), DYNALOCK_SERVICE_REFUSED);
        return;
    }
    memset(&options, 0, sizeof options);
    options.key = "k";
    options.sort_key = "s\"\n";
    lock = new_lock(&options);
    start_sorted(&a, "a");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_fence_condition(&a.client, lock, fence, sizeof fence));
    assert_ok(transact(&a));
    assert_ok(dynalock_release(&a.client, lock));
    assert_outcome(transact(&a), DYNALOCK_CONDITION);
    delete_item("guarded");
}

static dynalock_outcome write_fenced(device *d, const char *clause)
{
    return call(d, "UpdateItem",
        text("{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":\"resource\"}},"
             "\"UpdateExpression\":\"SET fence=:fence, who=:who\",%s,\":who\":"
             "{\"S\":\"%s\"}}}",
            clause, d->config.owner));
}

static void an_item_that_stores_the_fence_refuses_lower_ones(void **state)
{
    dynalock_lock *first = lock_named("valve"), *then = lock_named("valve");
    char low[DYNALOCK_FENCE_CLAUSE_SIZE], high[DYNALOCK_FENCE_CLAUSE_SIZE];

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, first, 0));
    assert_ok(dynalock_fence_clause(&a.client, first, low, sizeof low));
    assert_ok(write_fenced(&a, low)); /* there is no item yet */
    assert_ok(write_fenced(&a, low)); /* the same holder again */
    assert_ok(dynalock_release(&a.client, first));
    assert_ok(dynalock_acquire(&b.client, then, 0));
    assert_ok(dynalock_fence_clause(&b.client, then, high, sizeof high));
    assert_ok(write_fenced(&a, low)); /* nobody higher has written */
    assert_ok(write_fenced(&b, high));
    assert_outcome(write_fenced(&a, low), DYNALOCK_CONDITION);
    assert_has(item("resource"), "\"who\":{\"S\":\"b\"}");
    assert_ok(dynalock_release(&b.client, then));
    delete_item("resource");
}

#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_item_goes_there_and_back),
        TEST(bodies_and_answers_of_any_size),
        TEST(refusals_have_the_services_words),
        TEST(a_condition_that_does_not_hold),
        TEST(a_write_is_done_at_most_once),
        TEST(a_slow_call_costs_no_lock),
        TEST(a_transaction_stands_with_the_lock),
        TEST(a_stale_holders_transaction_is_refused),
        TEST(a_condition_on_a_table_with_a_sort_key),
        TEST(an_item_that_stores_the_fence_refuses_lower_ones),
    };

    return cmocka_run_group_tests_name(
        harness("SERVER"), tests, start_all, NULL);
}
