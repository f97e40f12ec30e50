/* Requests of the caller's own, and the texts that tie them to a lock. */
#include "world.h"

static world w;
static dynalock_lock lock;
static dynalock_request request;
static char answer[256];
static int status;
static const char *reply, *target;

/* Answers what is not about locks as the test says. */
static int answer_as_told(world *world, int damage)
{
    if (strcmp(world->last_operation, target) != 0) return 0;
    world_reply(world, status, reply, damage);
    return 1;
}

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    w.other = answer_as_told;
    status = 200;
    reply = "{}";
    target = "PutItem";
    world_ready(&w, &lock);
    memset(&request, 0, sizeof request);
    memset(answer, '#', sizeof answer);
    request.target = target;
    request.body = "{\"TableName\":\"ours\"}";
    request.answer = answer;
    request.capacity = 200;
    return 0;
}

static void check_call(dynalock_outcome expected)
{
    assert_int_equal(dynalock_call(&w.client, &request), expected);
    assert_int_equal(dynalock_result(&request.operation), expected);
}

#define CANCELLED(codes)                                                      \
    "{\"Message\":\"Transaction cancelled\",\"CancellationReasons\":[" codes  \
    "],\"__type\":\"com.amazonaws.dynamodb.v20120810#"                        \
    "TransactionCanceledException\"}"

static void refuse(const char *body)
{
    status = 400;
    reply = body;
}

/* ---- what is sent, and what comes back ---- */

static void test_body_and_answer_are_the_callers(void **state)
{
    (void)state;
    reply = "{\"Attributes\":{\"a\":{\"L\":[{\"M\":{\"b\":{\"S\":\"c\"}}}]}}}";
    check_call(DYNALOCK_OK);
    assert_string_equal(w.last_operation, "PutItem");
    assert_string_equal(w.last_body, request.body);
    assert_string_equal(answer, reply);
    assert_int_equal(request.size, strlen(reply));
    assert_int_equal(request.unanswered, 0);
    assert_int_equal(w.client.detail.http_status, 200);
    assert_int_equal(answer[request.size + 1], '#');
}

static void put_numbers(dynalock_sink *sink, void *context)
{
    int i, most = *(const int *)context;
    char text[16];

    dynalock_put(sink, "[", 1);
    for (i = 0; i < most; i++) {
        (void)snprintf(text, sizeof text, i == 0 ? "%d" : ",%d", i);
        dynalock_put(sink, text, strlen(text));
    }
    dynalock_put(sink, "]", 1);
}

static void test_a_body_may_be_generated(void **state)
{
    int most = 2000;

    (void)state;
    request.body = NULL;
    request.put_body = put_numbers;
    request.context = &most;
    w.write_most = 7;
    check_call(DYNALOCK_OK);
    assert_int_equal(
        strlen(w.last_body), 2 + 10 + 90 * 2 + 900 * 3 + 1000 * 4 + 1999);
    assert_memory_equal(w.last_body, "[0,1,2,", 7);
    assert_non_null(strstr(w.last_body, ",1998,1999]"));
}

static void test_an_answer_that_does_not_fit(void **state)
{
    uint32_t capacity;

    (void)state;
    reply = "{\"Attributes\":{}}";
    w.read_most = 3;
    for (capacity = 0; capacity < 20; capacity++) {
        memset(answer, '#', sizeof answer);
        request.capacity = capacity;
        check_call(capacity < 17 ? DYNALOCK_BAD_BUFFER : DYNALOCK_OK);
        assert_int_equal(request.size, 17);
        assert_memory_equal(answer, reply, capacity < 17 ? capacity : 17);
        assert_int_equal(answer[capacity], '#');
        if (capacity > 17) assert_int_equal(answer[17], '\0');
    }
    request.answer = NULL;
    check_call(DYNALOCK_OK);
    assert_int_equal(request.size, 17);
}

static void test_a_refusal_is_told(void **state)
{
    (void)state;
    refuse("{\"__type\":\"a#ValidationException\",\"message\":\"no\"}");
    check_call(DYNALOCK_SERVICE_REFUSED);
    assert_string_equal(w.client.detail.type, "ValidationException");
    assert_string_equal(w.client.detail.message, "no");
    assert_int_equal(w.client.detail.http_status, 400);
    assert_string_equal(answer, reply);
    assert_int_equal(w.requests, 1);
    refuse("{\"__type\":\"a#ResourceNotFoundException\"}");
    check_call(DYNALOCK_TABLE_MISSING);
}

static void test_a_malformed_answer_is_none(void **state)
{
    (void)state;
    reply = "{\"Attributes\":{\"a\":}}";
    check_call(DYNALOCK_BAD_ANSWER);
    assert_int_equal(request.unanswered, 1);
    assert_int_equal(w.requests, 1);
}

/* ---- conditions ---- */

static void test_a_condition_has_its_outcome(void **state)
{
    (void)state;
    refuse("{\"__type\":\"a#ConditionalCheckFailedException\"}");
    check_call(DYNALOCK_CONDITION);
    assert_int_equal(w.requests, 1);
    assert_int_equal(request.unanswered, 0);
}

static void test_a_transactions_reasons_are_read(void **state)
{
    (void)state;
    refuse(CANCELLED("{\"Code\":\"None\"},{\"Item\":{\"Code\":{\"S\":\"x\"}},"
                     "\"Code\":\"ConditionalCheckFailed\"}"));
    check_call(DYNALOCK_CONDITION);
    assert_int_equal(w.requests, 1);
    /* certain, whatever else stood in the way */
    refuse(CANCELLED("{\"Code\":\"TransactionConflict\"},"
                     "{\"Code\":\"ConditionalCheckFailed\"}"));
    check_call(DYNALOCK_CONDITION);
    refuse(CANCELLED("{\"Code\":\"ValidationError\"}"));
    check_call(DYNALOCK_SERVICE_REFUSED);
    /* a reason is where it belongs */
    refuse(CANCELLED("{\"Code\":\"None\",\"Item\":{\"Code\":"
                     "\"ConditionalCheckFailed\"}}"));
    check_call(DYNALOCK_SERVICE_REFUSED);
    assert_int_equal(w.requests, 4);
}

static void test_a_conflict_passes(void **state)
{
    (void)state;
    refuse(
        CANCELLED("{\"Code\":\"None\"},{\"Code\":\"TransactionConflict\"}"));
    check_call(DYNALOCK_THROTTLED);
    assert_int_equal(w.requests, 3);
    assert_int_equal(request.unanswered, 0);
}

/* ---- repeating ---- */

static void test_an_unanswered_write_is_not_repeated(void **state)
{
    static const enum world_fault faults[] = { FAULT_LOSE_REQUEST,
        FAULT_LOSE_ANSWER, FAULT_CUT, FAULT_500, FAULT_500_AFTER, FAULT_DAMAGE,
        FAULT_HTML };
    static const dynalock_outcome outcomes[] = { DYNALOCK_NO_ANSWER,
        DYNALOCK_NO_ANSWER, DYNALOCK_DISCONNECTED, DYNALOCK_SERVICE_FAILED,
        DYNALOCK_SERVICE_FAILED, DYNALOCK_BAD_ANSWER,
        DYNALOCK_SERVICE_FAILED };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(faults); i++) {
        w.requests = 0;
        w.fault_at = 0;
        w.faults[0] = faults[i];
        check_call(outcomes[i]);
        assert_int_equal(w.requests, 1);
        assert_int_equal(request.unanswered, 1);
        /* the same, if it may be repeated */
        w.requests = 0;
        w.fault_at = 0;
        request.repeatable = 1;
        check_call(DYNALOCK_OK);
        assert_int_equal(w.requests, 2);
        assert_int_equal(request.unanswered, 1);
        request.repeatable = 0;
    }
}

static void test_what_was_not_done_is_repeated(void **state)
{
    (void)state;
    w.faults[0] = FAULT_THROTTLE;
    w.faults[1] = FAULT_THROTTLE;
    check_call(DYNALOCK_OK);
    assert_int_equal(w.requests, 3);
    assert_int_equal(request.unanswered, 0);
    assert_int_equal(dynalock_client_close(&w.client, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    w.refuse = 1;
    w.hook_calls = 0;
    check_call(DYNALOCK_UNREACHABLE);
    assert_int_equal(request.unanswered, 0);
    assert_int_equal(w.requests, 3);
}

static void test_a_look_is_repeated(void **state)
{
    (void)state;
    target = "GetItem";
    request.target = target;
    w.faults[0] = FAULT_CUT;
    w.faults[1] = FAULT_500;
    check_call(DYNALOCK_OK);
    assert_int_equal(w.requests, 3);
    assert_int_equal(request.unanswered, 0);
}

/* An earlier copy may be why the condition does not hold. */
static void test_a_condition_after_an_unanswered_copy(void **state)
{
    (void)state;
    request.repeatable = 1;
    w.faults[0] = FAULT_LOSE_ANSWER;
    refuse("{\"__type\":\"a#ConditionalCheckFailedException\"}");
    check_call(DYNALOCK_CONDITION);
    assert_int_equal(w.requests, 2);
    assert_int_equal(request.unanswered, 1);
}

static void test_a_cancelled_call_may_have_been_done(void **state)
{
    (void)state;
    w.latency = 100;
    assert_int_equal(dynalock_start_call(&w.client, &request), DYNALOCK_AGAIN);
    assert_int_equal(
        dynalock_start_call(&w.client, &request), DYNALOCK_IN_USE);
    dynalock_cancel(&w.client, &request.operation);
    assert_int_equal(dynalock_result(&request.operation), DYNALOCK_CANCELLED);
    assert_int_equal(request.unanswered, 0); /* had not left */
    assert_int_equal(dynalock_start_call(&w.client, &request), DYNALOCK_AGAIN);
    world_run(&w, 50);
    assert_int_equal(dynalock_result(&request.operation), DYNALOCK_AGAIN);
    dynalock_cancel(&w.client, &request.operation);
    assert_int_equal(dynalock_result(&request.operation), DYNALOCK_CANCELLED);
    assert_int_equal(request.unanswered, 1);
    assert_false(w.connected); /* its answer is nobody's */
}

static void test_a_call_ends_at_its_deadline(void **state)
{
    (void)state;
    request.repeatable = 1;
    w.latency = 1000000;
    check_call(DYNALOCK_NO_ANSWER);
    assert_int_equal(request.unanswered, 3);
}

static void test_reasons_of_another_shape_are_none(void **state)
{
    (void)state;
    refuse(CANCELLED("{\"Code\":{\"S\":\"ConditionalCheckFailed\"}},"
                     "{\"Code\":[]},{\"Kode\":\"ThrottlingError\"}"));
    check_call(DYNALOCK_SERVICE_REFUSED);
}

/* More than a byte can count are as many as it can. */
static void test_unanswered_copies_are_counted_to_255(void **state)
{
    int i;

    (void)state;
    w.config.attempts = 300;
    w.config.cap_ms = 1;
    w.config.connect_ms = 100000;
    w.config.request_ms = 10;
    world_ready(&w, &lock);
    request.repeatable = 1;
    for (i = 0; i < 32; i++) w.faults[i] = FAULT_LOSE_ANSWER;
    assert_int_equal(dynalock_start_call(&w.client, &request), DYNALOCK_AGAIN);
    for (i = 0; i < 290; i++) {
        w.fault_at = 0;
        world_run(&w, 10);
    }
    assert_int_equal(dynalock_result(&request.operation), DYNALOCK_AGAIN);
    assert_int_equal(request.unanswered, 255);
    dynalock_cancel(&w.client, &request.operation);
    assert_int_equal(request.unanswered, 255);
}

/* A body must be the same each time. One that is not ends the try: what was
   signed is not what would leave. */
static int grows;

static void growing_body(dynalock_sink *sink, void *context)
{
    static const char text[] = "{\"TableName\":\"ours\",\"a\":\"%900d\"}";
    char body[1024];
    int i;

    (void)context;
    (void)snprintf(body, sizeof body, text, 7);
    dynalock_put(sink, body, strlen(body));
    dynalock_put(sink, body, strlen(body));
    for (i = 0; i < grows; i++) dynalock_put(sink, " ", 1);
    grows++;
}

static void test_a_body_that_changes_is_not_sent(void **state)
{
    (void)state;
    grows = 0;
    request.body = NULL;
    request.put_body = growing_body;
    check_call(DYNALOCK_DISCONNECTED);
    assert_int_equal(w.requests, 0);
    assert_false(w.connected);
}

/* ---- arguments ---- */

static void test_bad_arguments_send_nothing(void **state)
{
    static const char *const bad[] = { NULL, "", "Put Item", "PutItem\r\nX: y",
        "Put.Item", "Put\xc3\xa9Item" };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(bad); i++) {
        request.target = bad[i];
        check_call(DYNALOCK_BAD_ARGUMENT);
    }
    request.target = "PutItem";
    request.body = NULL;
    check_call(DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_call(&w.client, NULL), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_call(NULL, &request), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(w.requests, 0);
}

/* ---- beside a lock ---- */

static void test_heartbeats_go_on_beside_a_slow_call(void **state)
{
    int i;

    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    w.latency = 2000;
    for (i = 0; i < 20; i++) {
        check_call(DYNALOCK_OK);
        assert_true(dynalock_remaining_ms(&w.client, &lock) > 0);
    }
    assert_true(w.now > 1000000 + 4 * 10000);
    w.latency = 3000; /* over a quarter of the lease: given up in time */
    check_call(DYNALOCK_NO_ANSWER);
    assert_true(dynalock_remaining_ms(&w.client, &lock) > 0);
}

static void test_it_is_no_lock_on_a_key(void **state)
{
    (void)state;
    w.latency = 10;
    assert_int_equal(dynalock_start_call(&w.client, &request), DYNALOCK_AGAIN);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    world_run(&w, 20);
    assert_int_equal(dynalock_result(&request.operation), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
}

/* ---- fences ---- */

static char buffer[1024];

static dynalock_outcome condition(size_t size)
{
    return dynalock_fence_condition(&w.client, &lock, buffer, size);
}

static dynalock_outcome clause(size_t size)
{
    return dynalock_fence_clause(&w.client, &lock, buffer, size);
}

static void test_a_condition_names_owner_and_fence(void **state)
{
    char expected[1024], renewed[1024], acquisition[33];
    dl_span span;

    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(condition(sizeof buffer), DYNALOCK_OK);
    memset(acquisition, 0, sizeof acquisition);
    dl_put_hex(dl_span_open(&span, acquisition, 32, 0), lock.acquisition, 16);
    (void)snprintf(expected, sizeof expected,
        "{\"ConditionCheck\":{\"TableName\":\"locks\",\"Key\":{\"key\":"
        "{\"S\":\"k\"}},\"ConditionExpression\":\"ownerName=:o AND fence=:f "
        "AND recordVersionNumber BETWEEN :a AND :z AND "
        "attribute_not_exists(isReleased)\",\"ExpressionAttributeValues\":"
        "{\":o\":{\"S\":\"me\"},\":f\":{\"N\":\"%llu\"},\":a\":{\"S\":"
        "\"%s:00000000\"},\":z\":{\"S\":\"%s:ffffffff\"}}}}",
        (unsigned long long)dynalock_fence(&lock), acquisition, acquisition);
    assert_string_equal(buffer, expected);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    memcpy(renewed, buffer, sizeof renewed);
    assert_int_equal(condition(sizeof buffer), DYNALOCK_OK);
    assert_string_equal(buffer, renewed);
}

static void test_a_clause_is_open_for_more_values(void **state)
{
    char expected[512];

    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(clause(DYNALOCK_FENCE_CLAUSE_SIZE), DYNALOCK_OK);
    (void)snprintf(expected, sizeof expected,
        "\"ConditionExpression\":\"attribute_not_exists(fence) OR "
        "fence<=:fence\",\"ExpressionAttributeValues\":{\":fence\":{\"N\":"
        "\"%llu\"}",
        (unsigned long long)dynalock_fence(&lock));
    assert_string_equal(buffer, expected);
    lock.token = UINT64_MAX; /* the longest */
    assert_int_equal(clause(DYNALOCK_FENCE_CLAUSE_SIZE), DYNALOCK_OK);
}

static void test_a_text_that_does_not_fit_is_none(void **state)
{
    size_t size, i;
    int fits = 0;

    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    for (size = 1; size < sizeof buffer; size++) {
        dynalock_outcome rc;

        memset(buffer, '#', sizeof buffer);
        rc = condition(size);
        for (i = size; i < sizeof buffer; i++)
            assert_int_equal(buffer[i], '#');
        if (rc == DYNALOCK_OK) {
            assert_int_equal(buffer[strlen(buffer) - 1], '}');
            fits++;
        } else {
            assert_int_equal(rc, DYNALOCK_BAD_BUFFER);
            assert_string_equal(buffer, "");
            assert_int_equal(fits, 0);
        }
    }
    assert_true(fits > 0);
}

static void test_names_are_escaped(void **state)
{
    dynalock_lock_options options;

    (void)state;
    w.config.owner = "a \"b\"\\";
    w.config.key_name = "k\"";
    w.config.sort_key_name = "s\n";
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    memset(&options, 0, sizeof options);
    options.key = "\xc3\xa9\"";
    options.sort_key = "\x01";
    options.table = "others";
    assert_int_equal(dynalock_lock_init(&lock, &options), DYNALOCK_OK);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(condition(sizeof buffer), DYNALOCK_OK);
    assert_non_null(
        strstr(buffer, "\"TableName\":\"others\",\"Key\":{\"k\\\"\""
                       ":{\"S\":\"\xc3\xa9\\\"\"},\"s\\u000a\":"
                       "{\"S\":\"\\u0001\"}}"));
    assert_non_null(strstr(buffer, "{\"S\":\"a \\\"b\\\"\\\\\"}"));
}

static void test_only_a_held_lock_has_a_fence(void **state)
{
    (void)state;
    memset(buffer, '#', sizeof buffer);
    assert_int_equal(condition(sizeof buffer), DYNALOCK_NOT_HELD);
    assert_string_equal(buffer, "");
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    assert_int_equal(condition(sizeof buffer), DYNALOCK_IN_USE);
    world_run(&w, 10);
    assert_int_equal(clause(sizeof buffer), DYNALOCK_OK);
    w.now += 10000;
    assert_int_equal(clause(sizeof buffer), DYNALOCK_LOST_EXPIRED);
    assert_string_equal(buffer, "");
    assert_int_equal(dynalock_fence_condition(&w.client, NULL, buffer, 99),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_fence_condition(NULL, &lock, buffer, 99),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_fence_condition(&w.client, &lock, NULL, 99),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(condition(0), DYNALOCK_BAD_ARGUMENT);
}

static int answer_yes(world *world, int damage)
{
    world_reply(world, 200, "{}", damage);
    return 1;
}

/* A fence of another layout stands where that has it. */
static void test_a_condition_in_another_layout(void **state)
{
    dynalock_layout *const layouts[] = { dynalock_for_dynamolock(),
        dynalock_for_dynalock_py() };
    static char buffer[512];
    size_t i;

    (void)state;
    w.other = answer_yes;
    for (i = 0; i < DL_COUNT(layouts); i++) {
        w.connected = 0;
        w.config.layout = layouts[i];
        world_ready(&w, &lock);
        assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
        assert_int_equal(
            dynalock_fence_condition(&w.client, &lock, buffer, sizeof buffer),
            DYNALOCK_OK);
        assert_non_null(strstr(buffer, "fence"));
    }
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(body_and_answer_are_the_callers),
        TEST(a_body_may_be_generated),
        TEST(an_answer_that_does_not_fit),
        TEST(a_refusal_is_told),
        TEST(a_malformed_answer_is_none),
        TEST(a_condition_has_its_outcome),
        TEST(a_transactions_reasons_are_read),
        TEST(a_conflict_passes),
        TEST(an_unanswered_write_is_not_repeated),
        TEST(what_was_not_done_is_repeated),
        TEST(a_look_is_repeated),
        TEST(a_condition_after_an_unanswered_copy),
        TEST(a_cancelled_call_may_have_been_done),
        TEST(a_call_ends_at_its_deadline),
        TEST(reasons_of_another_shape_are_none),
        TEST(unanswered_copies_are_counted_to_255),
        TEST(a_body_that_changes_is_not_sent),
        TEST(bad_arguments_send_nothing),
        TEST(heartbeats_go_on_beside_a_slow_call),
        TEST(it_is_no_lock_on_a_key),
        TEST(a_condition_names_owner_and_fence),
        TEST(a_clause_is_open_for_more_values),
        TEST(a_text_that_does_not_fit_is_none),
        TEST(names_are_escaped),
        TEST(only_a_held_lock_has_a_fence),
        TEST(a_condition_in_another_layout),
    };

    return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
