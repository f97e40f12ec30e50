/*
What is told of locks, on real servers: when one was granted, what changes while
it is watched, all of a table's; and the breaking of one.

    tests/harness.py --server dynoxide|dynalite -- build/conformance/status
*/
#include "support.h"

#define MANY 10000
#define BATCH 25 /* items of one BatchWriteItem, as the service has it */

static dynalock_watch watching;
static dynalock_listing listing;

/* ---- what the callbacks were told ---- */

#define CHANGES 16

static struct {
    int count;
    dynalock_status status[CHANGES];
    uint64_t fence[CHANGES];
    char owner[CHANGES][32];
} changes;

static void note_change(
    void *context, const dynalock_watch *watch, uint32_t before_ms)
{
    int i = changes.count++;

    (void)context;
    assert_true(i < CHANGES);
    assert_at_most(before_ms, PATIENCE_MS);
    changes.status[i] = watch->record.status;
    changes.fence[i] = watch->record.fence;
    (void)snprintf(changes.owner[i], sizeof changes.owner[i], "%.31s",
        watch->record.owner);
}

static void run_to_change(int count)
{
    uint64_t end = now_ms() + PATIENCE_MS;

    for (poll_all(); changes.count < count; poll_all()) {
        if (now_ms() >= end) fail_msg("change %d does not come", count);
        wait_all(end);
    }
    assert_int_equal(changes.count, count);
}

static void watch(device *d, const char *key)
{
    dynalock_name name = { NULL, NULL, NULL };

    name.key = key;
    memset(&changes, 0, sizeof changes);
    watching.changed = note_change;
    assert_outcome(
        dynalock_start_watch(&d->client, &name, &watching), DYNALOCK_AGAIN);
    run_to_change(1);
}

/* Each item of a listing, found again by its key. */
static struct {
    int count, again;
    uint8_t times[MANY];
    struct {
        char key[256], sort_key[64], owner[64];
        uint32_t key_size;
        dynalock_status status;
        uint64_t fence;
        uint32_t lease_ms;
    } items[32];
} listed;

static int note_item(void *context, const dynalock_listed *item)
{
    int i = listed.count++;
    unsigned long number;

    (void)context;
    listed.again += item->again;
    if (item->key != NULL && strncmp(item->key, "item ", 5) == 0) {
        number = strtoul(item->key + 5, NULL, 10);
        assert_true(number < MANY);
        listed.times[number]++;
    }
    if (i >= (int)COUNT(listed.items)) return 0;
    listed.items[i].key_size = item->key_size;
    if (item->key != NULL)
        (void)snprintf(
            listed.items[i].key, sizeof listed.items[i].key, "%s", item->key);
    if (item->sort_key != NULL)
        (void)snprintf(listed.items[i].sort_key,
            sizeof listed.items[i].sort_key, "%s", item->sort_key);
    (void)snprintf(listed.items[i].owner, sizeof listed.items[i].owner, "%s",
        item->owner);
    listed.items[i].status = item->status;
    listed.items[i].fence = item->fence;
    listed.items[i].lease_ms = item->lease_ms;
    return 0;
}

static dynalock_outcome list(device *d, const char *table, uint16_t page)
{
    memset(&listed, 0, sizeof listed);
    listing.each = note_item;
    listing.page = page;
    return dynalock_list(&d->client, table, &listing);
}

/* Where in the listing a key is. */
static int listed_at(const char *key)
{
    int i;

    for (i = 0; i < listed.count && i < (int)COUNT(listed.items); i++)
        if (strcmp(listed.items[i].key, key) == 0) return i;
    fail_msg("%s is not listed", key);
    return 0;
}

/* ---- tables ---- */

static void create_table(const char *table)
{
    (void)server("CreateTable",
        "{\"TableName\":\"%s\",\"BillingMode\":\"PAY_PER_REQUEST\","
        "\"AttributeDefinitions\":[{\"AttributeName\":\"key\","
        "\"AttributeType\":\"S\"}],\"KeySchema\":[{\"AttributeName\":\"key\","
        "\"KeyType\":\"HASH\"}]}",
        table);
    while (strstr(server("DescribeTable", "{\"TableName\":\"%s\"}", table),
               "\"ACTIVE\"") == NULL)
        (void)poll(NULL, 0, 10);
}

static void fill_batch(int from)
{
    static char body[16000];
    size_t used;
    int i;

    used =
        (size_t)snprintf(body, sizeof body, "{\"RequestItems\":{\"many\":[");
    for (i = from; i < from + BATCH; i++)
        used += (size_t)snprintf(body + used, sizeof body - used,
            "%s{\"PutRequest\":{\"Item\":{\"key\":{\"S\":\"item %d\"},"
            "\"ownerName\":{\"S\":\"device %d\"},\"leaseDuration\":{\"S\":"
            "\"20000\"},\"recordVersionNumber\":{\"S\":\"version %d\"},"
            "\"fence\":{\"N\":\"%d\"},\"data\":{\"B\":\"AAAAAAAAAAAAAAAA\"}}}"
            "}",
            i > from ? "," : "", i, i, i, i + 1);
    (void)snprintf(body + used, sizeof body - used, "]}}");
    assert_has(
        server("BatchWriteItem", "%s", body), "\"UnprocessedItems\":{}");
}

static void put_odd(const char *attributes)
{
    (void)server(
        "PutItem", "{\"TableName\":\"odd\",\"Item\":{%s}}", attributes);
}

/* As large as an item may be: 400 KB. */
static void put_large(void)
{
    static char piece[12001];
    int i;

    memset(piece, 'x', sizeof piece - 1);
    put_odd("\"key\":{\"S\":\"large\"},\"list\":{\"L\":[]}");
    for (i = 0; i < 33; i++)
        (void)server("UpdateItem",
            "{\"TableName\":\"odd\",\"Key\":{\"key\":{\"S\":\"large\"}},"
            "\"UpdateExpression\":\"SET #l=list_append(#l,:p)\","
            "\"ExpressionAttributeNames\":{\"#l\":\"list\"},"
            "\"ExpressionAttributeValues\":{\":p\":{\"L\":[{\"S\":\"%s\"}]}}}",
            piece);
}

static int start_status(void **state)
{
    int i;

    (void)start_all(state);
    create_table("many");
    for (i = 0; i < MANY; i += BATCH) fill_batch(i);
    create_table("odd");
    return 0;
}

/* ---- granted about when ---- */

static void a_grant_is_dated_by_its_fence(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    int64_t before, after;

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    before = a.healthy.unix_ms(&a.posix);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    after = a.healthy.unix_ms(&a.posix);
    (void)look(&b, __func__);
    assert_true(dynalock_granted_ms(record.fence) >= before);
    assert_true(dynalock_granted_ms(record.fence) <= after);
}

/* ---- watching ---- */

static void a_watch_tells_of_every_change(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_lock *others = lock_named(__func__);
    uint64_t fence;

    (void)state;
    start_with_lease(&a, "a", 600);
    start_plain(&b, "b");
    start_plain(&c, "c");
    watch(&c, __func__);
    assert_int_equal(changes.status[0], DYNALOCK_ABSENT);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    fence = dynalock_fence(lock);
    run_to_change(2);
    assert_int_equal(changes.status[1], DYNALOCK_LOCKED);
    assert_string_equal(changes.owner[1], "a");
    assert_true(changes.fence[1] == fence);
    run_for(1500); /* heartbeats */
    assert_at_least(writes(), 4);
    assert_int_equal(changes.count, 2);
    assert_at_most(watching.unchanged_ms, 600);
    assert_ok(dynalock_release(&a.client, lock));
    run_to_change(3);
    assert_int_equal(changes.status[2], DYNALOCK_RELEASED);
    assert_ok(dynalock_acquire(&b.client, others, 0));
    run_to_change(4);
    assert_string_equal(changes.owner[3], "b");
    assert_true(changes.fence[3] > fence);
    delete_item(__func__);
    run_to_change(5);
    assert_int_equal(changes.status[4], DYNALOCK_ABSENT);
    put_item(__func__, "\"colour\":{\"S\":\"red\"}");
    run_to_change(6);
    assert_int_equal(changes.status[5], DYNALOCK_FOREIGN);
    dynalock_cancel(&c.client, &watching.record.operation);
    assert_outcome(
        dynalock_result(&watching.record.operation), DYNALOCK_CANCELLED);
}

static void a_dead_holder_is_seen_unchanged(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    uint64_t start;

    (void)state;
    start_plain(&a, "a");
    start_plain(&c, "c");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    a.running = 0; /* nobody polls it any more */
    start = now_ms();
    watch(&c, __func__);
    run_for(1000);
    assert_in_range(watching.unchanged_ms, 500, now_ms() - start);
    assert_int_equal(changes.count, 1);
    a.running = 1;
}

static void a_watch_outlives_what_passes(void **state)
{
    static const char *const faults[] = { "throttle", "500", "drop-answer",
        "bad-crc", "html", "cut-answer 40", "close-after" };
    dynalock_lock *lock = lock_named(__func__);
    size_t i;

    (void)state;
    start_plain(&a, "a");
    start_plain(&c, "c");
    watch(&c, __func__);
    for (i = 0; i < COUNT(faults); i++) {
        proxy("fault %s x2 on=GetItem", faults[i]);
        if (i % 2 == 0) assert_ok(dynalock_acquire(&a.client, lock, 0));
        else assert_ok(dynalock_release(&a.client, lock));
        run_to_change((int)i + 2);
    }
    proxy("fault denied on=GetItem");
    assert_outcome(run_while(&watching.record.operation, DYNALOCK_AGAIN),
        DYNALOCK_DENIED);
}

/* ---- breaking ---- */

static dynalock_outcome break_shown(
    device *d, const char *key, const char *rvn)
{
    dynalock_name name = { NULL, NULL, NULL };

    name.key = key;
    return dynalock_break(&d->client, &name, rvn, &record);
}

static void a_broken_lock_is_free_and_its_holder_told(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    dynalock_lock *others = lock_named(__func__);
    uint64_t fence;

    (void)state;
    start_with_lease(&a, "a", 3000);
    start_plain(&b, "b");
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    fence = dynalock_fence(lock);
    (void)look(&b, __func__);
    assert_ok(break_shown(&b, __func__, record.rvn));
    assert_int_equal(look(&b, __func__)->status, DYNALOCK_RELEASED);
    assert_true(record.fence == fence);
    assert_has(item(__func__), "\"ownerName\":{\"S\":\"a\"}");
    /* the robbed holder is told when it renews, and not before */
    assert_ok(dynalock_check(&a.client, lock));
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_RELEASED);
    assert_int_equal(remaining(&a, lock), 0);
    assert_ok(dynalock_acquire(&b.client, others, 0));
    assert_true(dynalock_fence(others) > fence);
}

static void what_has_changed_is_not_broken(void **state)
{
    dynalock_lock *lock = lock_named(__func__);
    char rvn[DYNALOCK_RVN_SIZE];
    int i;

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    assert_outcome(break_shown(&b, __func__, "any"), DYNALOCK_KEPT);
    assert_int_equal(record.status, DYNALOCK_ABSENT);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    memcpy(rvn, look(&b, __func__)->rvn, sizeof rvn);
    assert_ok(dynalock_renew(&a.client, lock));
    for (i = 0; i < 2; i++) {
        if (i == 1) proxy("fault no-item on=UpdateItem");
        assert_outcome(break_shown(&b, __func__, rvn), DYNALOCK_KEPT);
        assert_int_equal(record.status, DYNALOCK_LOCKED);
        assert_string_equal(record.owner, "a");
        assert_true(strcmp(record.rvn, rvn) != 0);
    }
    assert_ok(dynalock_renew(&a.client, lock));
    memcpy(rvn, look(&b, __func__)->rvn, sizeof rvn);
    assert_ok(dynalock_release(&a.client, lock));
    /* that acquisition is over: nothing is left to break */
    assert_ok(break_shown(&b, __func__, rvn));
    assert_int_equal(record.status, DYNALOCK_RELEASED);
    assert_outcome(break_shown(&b, __func__, record.rvn), DYNALOCK_KEPT);
}

static void a_break_outlives_what_passes(void **state)
{
    static const char *const faults[] = { "throttle", "500", "500-after",
        "drop-answer", "drop-request", "bad-crc", "duplicate", "cut-answer 40",
        "reset-after" };
    dynalock_lock *lock = lock_named(__func__);
    size_t i;

    (void)state;
    start_plain(&a, "a");
    start_plain(&b, "b");
    for (i = 0; i < COUNT(faults); i++) {
        assert_ok(dynalock_acquire(&a.client, lock, 0));
        (void)look(&b, __func__);
        proxy("fault %s on=UpdateItem", faults[i]);
        assert_ok(break_shown(&b, __func__, record.rvn));
        assert_int_equal(look(&b, __func__)->status, DYNALOCK_RELEASED);
        assert_outcome(
            dynalock_renew(&a.client, lock), DYNALOCK_LOST_RELEASED);
    }
}

/* The Java client's items: no fence, and a version number of its own. */
static void a_java_clients_lock_is_broken(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_plain(&b, "b");
    put_item(__func__,
        "\"ownerName\":{\"S\":\"java\"},\"leaseDuration\":{\"S\":\"20000\"},"
        "\"recordVersionNumber\":{\"S\":\"5c3d2f60-0000-4000-8000-"
        "000000000000\"}");
    (void)look(&b, __func__);
    assert_ok(break_shown(&b, __func__, record.rvn));
    assert_has(item(__func__), "\"isReleased\":{\"S\":\"1\"}");
    assert_lacks(item(__func__), "fence");
    assert_ok(dynalock_acquire(&b.client, lock, 0));
}

static void a_break_with_a_sort_key(void **state)
{
    dynalock_name name = { "n", "\"part\" \\", NULL };
    dynalock_lock_options options;
    dynalock_lock *lock;

    (void)state;
    start_sorted(&a, "a");
    memset(&options, 0, sizeof options);
    options.key = name.key;
    options.sort_key = name.sort_key;
    lock = new_lock(&options);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    assert_ok(dynalock_read(&a.client, &name, &record));
    assert_ok(dynalock_break(&a.client, &name, record.rvn, &record));
    assert_outcome(dynalock_renew(&a.client, lock), DYNALOCK_LOST_RELEASED);
}

/* ---- listing ---- */

static void check_once_each(void)
{
    int i;

    assert_int_equal(listed.count, MANY);
    assert_int_equal(listing.count, MANY);
    for (i = 0; i < MANY; i++)
        if (listed.times[i] != 1)
            fail_msg("item %d was listed %d times", i, listed.times[i]);
}

static void ten_thousand_items_are_listed_once_each(void **state)
{
    (void)state;
    start_plain(&a, "a");
    assert_ok(list(&a, "many", 0));
    check_once_each();
    assert_int_equal(listed.again, 0);
    assert_string_equal(listed.items[7].key + 5, listed.items[7].owner + 7);
    assert_int_equal(
        listed.items[7].fence, strtoul(listed.items[7].key + 5, NULL, 10) + 1);
    assert_int_equal(listed.items[7].lease_ms, 20000);
    assert_int_equal(listed.items[7].status, DYNALOCK_LOCKED);
    assert_in_range(counter("Scan"), MANY / 50, MANY / 50 + 1);
}

static void they_are_under_tls_and_in_large_pages(void **state)
{
    (void)state;
    prepare(&a, "a", harness("HTTPS"));
    a.config.request_ms = 10000;
    start(&a);
    assert_ok(list(&a, "many", 1000));
    check_once_each();
}

static void a_listing_outlives_what_passes(void **state)
{
    static const char *const faults[] = { "throttle", "500", "drop-answer",
        "bad-crc", "html", "cut-answer 5000", "reset-after" };
    size_t i;
    int item;

    (void)state;
    start_plain(&a, "a");
    for (i = 0; i < COUNT(faults); i++) proxy("fault %s on=Scan", faults[i]);
    a.config.attempts = (uint16_t)COUNT(faults) + 1;
    assert_ok(dynalock_client_close(&a.client, 100));
    start(&a);
    assert_ok(list(&a, "many", 100));
    for (item = 0; item < MANY; item++)
        assert_in_range(listed.times[item], 1, 4);
    assert_int_equal(listed.count - listed.again, MANY);
    assert_at_least(listed.again, 1);
}

static void a_held_lock_is_kept_through_a_listing(void **state)
{
    dynalock_lock *lock = lock_named(__func__);

    (void)state;
    start_with_lease(&a, "a", 1000);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    proxy("fault delay-answer 30 x100 on=Scan"); /* longer than the lease */
    assert_ok(list(&a, "many", 100));
    check_once_each();
    assert_ok(dynalock_check(&a.client, lock));
    assert_ok(dynalock_release(&a.client, lock));
}

static void items_are_listed_whatever_they_hold(void **state)
{
    static const char *const keys[] = { "foreign", "numbers", "shapes",
        "\"quotes\" \\ /", "\x01\t\n\x1f", "h\xc3\xa9 \xe6\x97\xa5",
        "\xf0\x9f\x98\x80" };
    dynalock_lock_options options;
    size_t i;

    (void)state;
    put_odd("\"key\":{\"S\":\"foreign\"},\"colour\":{\"S\":\"red\"}");
    put_odd("\"key\":{\"S\":\"numbers\"},\"fence\":{\"N\":"
            "\"12345678901234567890123456789012345678\"},\"ownerName\":{\"N\":"
            "\"-1.5E-100\"},\"recordVersionNumber\":{\"S\":\"r\"}");
    put_odd("\"key\":{\"S\":\"shapes\"},\"ownerName\":{\"M\":{\"key\":{\"S\":"
            "\"x\"}}},\"fence\":{\"NS\":[\"1\",\"2\"]},\"isReleased\":"
            "{\"BOOL\":true},\"leaseDuration\":{\"NULL\":true},"
            "\"recordVersionNumber\":{\"L\":[{\"S\":\"r\"}]}");
    put_odd("\"key\":{\"S\":\"\\\"quotes\\\" \\\\ /\"}");
    put_odd("\"key\":{\"S\":\"\\u0001\\t\\n\\u001f\"}");
    put_odd("\"key\":{\"S\":\"h\xc3\xa9 \xe6\x97\xa5\"}");
    put_odd("\"key\":{\"S\":\"\\ud83d\\ude00\"}");
    put_large();
    start_plain(&a, "a");
    memset(&options, 0, sizeof options);
    options.key = "of ours";
    options.table = "odd";
    assert_ok(dynalock_acquire(&a.client, new_lock(&options), 0));

    assert_ok(list(&a, "odd", 0));
    assert_int_equal(listed.count, COUNT(keys) + 2);
    for (i = 0; i < COUNT(keys); i++) {
        int at = listed_at(keys[i]);

        assert_int_equal(listed.items[at].status, DYNALOCK_FOREIGN);
        assert_int_equal(listed.items[at].key_size, strlen(keys[i]));
    }
    assert_int_equal(
        listed.items[listed_at("large")].status, DYNALOCK_FOREIGN);
    assert_int_equal(
        listed.items[listed_at("of ours")].status, DYNALOCK_LOCKED);
    assert_string_equal(listed.items[listed_at("of ours")].owner, "a");
    /* one by one, each of these keys is a page's last */
    assert_ok(list(&a, "odd", 1));
    assert_int_equal(listed.count, COUNT(keys) + 2);
    for (i = 0; i < COUNT(keys); i++) (void)listed_at(keys[i]);
}

static void keys_too_long_are_told(void **state)
{
    static char key[2049];
    int i, too_long = 0;

    (void)state;
    create_table("long");
    for (i = 0; i < 3; i++) {
        memset(key, 'a' + i, sizeof key - 1);
        (void)server("PutItem",
            "{\"TableName\":\"long\",\"Item\":{\"key\":{\"S\":\"%s\"},"
            "\"recordVersionNumber\":{\"S\":\"r\"},\"isReleased\":{\"S\":"
            "\"1\"}}}",
            key);
    }
    start_plain(&a, "a");
    assert_ok(list(&a, "long", 0));
    assert_int_equal(listed.count, 3);
    for (i = 0; i < 3; i++) {
        too_long += listed.items[i].key_size == DYNALOCK_TOO_LONG;
        assert_int_equal(listed.items[i].status, DYNALOCK_RELEASED);
    }
    assert_int_equal(too_long, 3);
    assert_outcome(list(&a, "long", 1), DYNALOCK_KEY_TOO_LONG);
    assert_int_equal(listed.count, 1);
}

static void sort_keys_are_listed(void **state)
{
    dynalock_lock_options options;
    int i;

    (void)state;
    start_sorted(&a, "a");
    memset(&options, 0, sizeof options);
    options.key = "listed";
    for (i = 0; i < 3; i++) {
        static const char *const parts[] = { "one", "tw\"o", "thr\xc3\xa9" };

        options.sort_key = parts[i];
        assert_ok(dynalock_acquire(&a.client, new_lock(&options), 0));
    }
    assert_ok(list(&a, NULL, 1));
    for (i = 0; i < 3; i++) assert_true(listed.count >= 3);
    assert_string_equal(listed.items[listed_at("listed")].owner, "a");
    for (i = 0; i < listed.count; i++)
        assert_true(listed.items[i].sort_key[0] != '\0');
}

static void what_cannot_be_listed_is_refused(void **state)
{
    (void)state;
    start_plain(&a, "a");
    assert_outcome(list(&a, "nowhere", 0), DYNALOCK_TABLE_MISSING);
    start_sorted(&b, "b");
    assert_outcome(list(&b, "many", 0), DYNALOCK_TABLE_SHAPE);
    assert_int_equal(listed.count, 0);
    proxy("fault denied on=Scan");
    assert_outcome(list(&a, "many", 0), DYNALOCK_DENIED);
    assert_ok(list(&a, "many", 500));
}

#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, before_each, after_each)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_grant_is_dated_by_its_fence),
        TEST(a_watch_tells_of_every_change),
        TEST(a_dead_holder_is_seen_unchanged),
        TEST(a_watch_outlives_what_passes),
        TEST(a_broken_lock_is_free_and_its_holder_told),
        TEST(what_has_changed_is_not_broken),
        TEST(a_break_outlives_what_passes),
        TEST(a_java_clients_lock_is_broken),
        TEST(a_break_with_a_sort_key),
        TEST(ten_thousand_items_are_listed_once_each),
        TEST(they_are_under_tls_and_in_large_pages),
        TEST(a_listing_outlives_what_passes),
        TEST(a_held_lock_is_kept_through_a_listing),
        TEST(items_are_listed_whatever_they_hold),
        TEST(keys_too_long_are_told),
        TEST(sort_keys_are_listed),
        TEST(what_cannot_be_listed_is_refused),
    };

    if (argc > 1) cmocka_set_test_filter(argv[1]); /* a name, * and ? */
    return cmocka_run_group_tests_name(
        harness("SERVER"), tests, start_status, NULL);
}
