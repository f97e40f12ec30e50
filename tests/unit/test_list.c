/* Listing a table: the splitter that makes documents of an answer's items, and
   pages that come in whatever shape. */
#include "world.h"

/* ---- the splitter ---- */

/* What came out of an answer, one line for each item. */
typedef struct split {
    dynalock_splitter splitter; /* first */
    dynalock_filter whole;
    char envelope[320], room[400], key[64];
    char text[4096];
} split;

static void split_each(dynalock_splitter *splitter)
{
    split *into = (split *)(void *)splitter;
    size_t used = strlen(into->text);

    (void)snprintf(into->text + used, sizeof into->text - used, "%.*s\n",
        (int)splitter->filter.used, splitter->filter.out);
}

static const dynalock_want split_wants[] = {
    { "key", 100, DL_EXPECT_ATTRIBUTE },
    { "fence", 48, DL_EXPECT_ATTRIBUTE },
    { NULL, 0, 0 },
};

static const dynalock_want nothing = { NULL, 0, 0 };

static void split_open(split *into)
{
    memset(into, 0, sizeof *into);
    dl_filter_begin(
        &into->whole, &nothing, into->envelope, sizeof into->envelope);
    into->splitter.each = split_each;
    into->splitter.wants = split_wants;
    into->splitter.out = into->room;
    into->splitter.out_size = sizeof into->room;
    into->splitter.key = into->key;
    into->splitter.key_size = sizeof into->key;
}

/* Returns what came out, with the key that the answer ends with in the last
   line; "bad" for what is no answer. */
static const char *split_all(split *into, const char *answer)
{
    size_t used;

    split_open(into);
    for (; *answer != '\0'; answer++)
        dl_split_byte(&into->splitter, &into->whole, *answer);
    if (into->whole.state != DL_JSON_DONE) return "bad";
    used = strlen(into->text);
    if (into->splitter.key_used > into->splitter.key_size)
        (void)strcpy(into->text + used, "too long");
    else
        (void)snprintf(into->text + used, sizeof into->text - used, "%.*s",
            (int)into->splitter.key_used, into->key);
    return into->text;
}

static void test_answers_are_split(void **state)
{
    static const struct {
        const char *answer, *expected;
    } cases[] = {
        { "{}", "" },
        { "{\"Items\":[]}", "" },
        { " { \"Items\" : [ ] , \"Count\" : 0 } ", "" },
        { "{\"Items\":[{}]}", "{\"Item\":{}}\n" },
        { "{\"Items\":[{\"key\":{\"S\":\"a\"}}]}",
            "{\"Item\":{\"key\":{\"S\":\"a\"}}}\n" },
        { "{\"Count\":2,\"Items\":[{\"key\":{\"S\":\"a\"}},"
          "{\"fence\":{\"N\":\"12\"},\"key\":{\"S\":\"b\"}}],"
          "\"ScannedCount\":2}",
            "{\"Item\":{\"key\":{\"S\":\"a\"}}}\n"
            "{\"Item\":{\"fence\":{\"N\":\"12\"},\"key\":{\"S\":\"b\"}}}\n" },
        { "{\"Items\" :\n[ {\"key\" : {\"S\" : \"a\"} } , {} ] }",
            "{\"Item\":{\"key\":{\"S\":\"a\"}}}\n{\"Item\":{}}\n" },
        { "{\"LastEvaluatedKey\":{\"key\":{\"S\":\"z\\\"}\"}},\"Items\":[{}]}",
            "{\"Item\":{}}\n{\"key\":{\"S\":\"z\\\"}\"}}" },
        { "{\"Items\":[{}],\"LastEvaluatedKey\":{}}", "{\"Item\":{}}\n{}" },
        { "{\"Items\":[{}],\"LastEvaluatedKey\" : { \"n\" : {\"N\":\"1\"}} }",
            "{\"Item\":{}}\n{ \"n\" : {\"N\":\"1\"}}" },
        /* names are what they say, not how they are written */
        { "{\"\\u0049tems\":[{}]}", "{\"Item\":{}}\n" },
        { "{\"Item\":[{}],\"Itemss\":[{}],\"items\":[{}],"
          "\"aVeryLongName0123456789\":[{}]}",
            "" },
        /* brackets and names within strings, and deeper */
        { "{\"x\":\"\\\"Items\\\":[{}]\",\"Items\":[{\"y\":{\"S\":"
          "\"]}{[\\\\\"}}]}",
            "{\"Item\":{}}\n" },
        { "{\"x\":{\"Items\":[{}]},\"y\":[{\"LastEvaluatedKey\":{}}]}", "" },
        { "{\"Items\":[{\"x\":{\"L\":[{\"M\":{\"Items\":{\"L\":[]}}}]},"
          "\"key\":{\"S\":\"a\"}}]}",
            "{\"Item\":{\"key\":{\"S\":\"a\"}}}\n" },
        /* foreign shapes: present, but not understood */
        { "{\"Items\":[{\"key\":{\"N\":\"1\"},\"fence\":{\"M\":{}}}]}",
            "{\"Item\":{\"key\":{\"N\":\"1\"},\"fence\":true}}\n" },
        { "{\"__type\":\"x#Y\",\"message\":\"no\"}", "" },
        { "{\"LastEvaluatedKey\":{\"key\":{\"S\":\"0123456789012345678901234"
          "56789012345678901234567890123456789\"}}}",
            "too long" },
        { "{\"LastEvaluatedKey\":{\"key\":{\"S\":\"01234567890123456789012345"
          "678901234567890123456\"}}}",
            "{\"key\":{\"S\":\"01234567890123456789012345678901234567890123456"
            "\"}}" },
    };
    static split one;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(
            split_all(&one, cases[i].answer), cases[i].expected);
}

#define FIFTY "123456789 123456789 123456789 123456789 123456789 "

static void test_what_is_no_answer_is_bad(void **state)
{
    static const char *const answers[] = { "", "[]", "{\"Items\":[{}]",
        "{\"Items\":[{}]}}", "{\"Items\":{}}", "{\"Items\":null}",
        "{\"Items\":\"\"}", "{\"Items\":1}", "{\"Items\":[1]}",
        "{\"Items\":[null]}", "{\"Items\":[\"x\"]}", "{\"Items\":[[]]}",
        "{\"Items\":[{},2]}", "{\"Items\":[{}{}]}", "{\"Items\":[{},]}",
        "{\"Items\":[,{}]}", "{\"Items\":[{\"key\":}]}",
        "{\"Items\":[],\"Items\":[]}",
        "{\"LastEvaluatedKey\":{},\"LastEvaluatedKey\":{}}",
        "{\"LastEvaluatedKey\":[]}", "{\"LastEvaluatedKey\":null}",
        "{\"LastEvaluatedKey\":\"k\"}", "{\"LastEvaluatedKey\":7}",
        "{\"Items\":[{\"key\":{\"S\":\"a\"},\"key\":{\"S\":\"b\"}}]}",
        "{\"Items\":[{\"key\":{\"S\":\"\xff\"}}]}",
        /* no room is left to tell names by */
        "{\"__type\":\"" FIFTY FIFTY "\",\"message\":\"" FIFTY FIFTY
        "\",\"Message\":\"" FIFTY FIFTY "\",\"Items\":[{}]}" };
    static split one;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof answers / sizeof answers[0]; i++)
        assert_string_equal(split_all(&one, answers[i]), "bad");
}

/* ---- a world with a table ---- */

#define MOST 12000

static world w;
static dynalock_lock lock;
static dynalock_listing listing;
static char body[16000];

/* The table of one test: item i's attributes are written by item_text. */
static struct {
    int items;
    void (*item_text)(int i, char *out, size_t size);
    int cursor_first; /* LastEvaluatedKey stands before Items */
    int pages;
} table;

/* What was listed. */
static struct {
    int calls, again, stop_at;
    int times[MOST]; /* item i was reported, by the number in its key */
    dynalock_listed last;
    char key[2200], sort_key[1100], owner[300], rvn[100];
} listed;

static void copy(char *out, const char *text)
{
    out[0] = '\0';
    if (text != NULL) (void)strcpy(out, text);
}

static int note(void *context, const dynalock_listed *item)
{
    const char *digits =
        item->key != NULL ? strpbrk(item->key, "0123456789") : NULL;

    assert_ptr_equal(context, &w);
    listed.calls++;
    listed.again += item->again;
    listed.last = *item;
    copy(listed.key, item->key);
    copy(listed.sort_key, item->sort_key);
    copy(listed.owner, item->owner);
    copy(listed.rvn, item->rvn);
    if (digits != NULL && atoi(digits) < MOST) listed.times[atoi(digits)]++;
    return listed.calls == listed.stop_at;
}

static void lock_item(int i, char *out, size_t size)
{
    (void)snprintf(out, size,
        "{\"key\":{\"S\":\"lock-%d\"},\"ownerName\":{\"S\":\"device-%d\"},"
        "\"leaseDuration\":{\"S\":\"20000\"},\"recordVersionNumber\":"
        "{\"S\":\"rvn-%d\"},\"fence\":{\"N\":\"%d\"}%s}",
        i, i, i, 1000 + i, i % 2 ? ",\"isReleased\":{\"S\":\"1\"}" : "");
}

/* One item, as JSON. */
static const char *raw;
static void raw_item(int i, char *out, size_t size)
{
    (void)i;
    (void)snprintf(out, size, "%s", raw);
}

static const char *serve_page(world *from)
{
    const char *start = strstr(from->last_body, "\"ExclusiveStartKey\":");
    const char *limit = strstr(from->last_body, "\"Limit\":");
    int i = 0, end, most;
    char cursor[128] = "";
    size_t used;

    assert_non_null(limit);
    most = atoi(limit + 8);
    if (start != NULL) i = atoi(strstr(start, "lock-") + 5) + 1;
    end = i + most < table.items ? i + most : table.items;
    table.pages++;
    if (end < table.items || (end == i + most && most != 0))
        (void)snprintf(cursor, sizeof cursor,
            "\"LastEvaluatedKey\":{\"key\":{\"S\":\"lock-%d\"}}", end - 1);
    used = (size_t)snprintf(body, sizeof body, "{%s%s\"Items\":[",
        table.cursor_first ? cursor : "",
        table.cursor_first && cursor[0] != '\0' ? "," : "");
    for (most = i; i < end; i++) {
        if (i != most) body[used++] = ',';
        table.item_text(i, body + used, sizeof body - used);
        used += strlen(body + used);
    }
    (void)snprintf(body + used, sizeof body - used, "]%s%s}",
        table.cursor_first || cursor[0] == '\0' ? "" : ",",
        table.cursor_first ? "" : cursor);
    return body;
}

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    world_ready(&w, &lock);
    w.scan = serve_page;
    memset(&table, 0, sizeof table);
    table.item_text = lock_item;
    memset(&listed, 0, sizeof listed);
    memset(&listing, 0x5a, sizeof listing); /* as memory may be */
    listing.each = note;
    listing.context = &w;
    listing.page = 0;
    return 0;
}

static dynalock_outcome list_table(void)
{
    return dynalock_list(&w.client, NULL, &listing);
}

static void check_once_each(int items)
{
    int i;

    for (i = 0; i < items; i++) assert_int_equal(listed.times[i], 1);
    assert_int_equal(listed.calls, items);
    assert_int_equal(listing.count, items);
    assert_int_equal(listed.again, 0);
}

static void test_an_empty_table(void **state)
{
    (void)state;
    assert_int_equal(list_table(), DYNALOCK_OK);
    assert_int_equal(listed.calls, 0);
    assert_string_equal(w.last_operation, "Scan");
    assert_string_equal(w.last_body,
        "{\"TableName\":\"locks\",\"Limit\":50,\"ProjectionExpression\":"
        "\"#k,ownerName,recordVersionNumber,isReleased,fence,leaseDuration\","
        "\"ExpressionAttributeNames\":{\"#k\":\"key\"}}");
}

static void test_ten_thousand_items(void **state)
{
    (void)state;
    table.items = 10000;
    assert_int_equal(list_table(), DYNALOCK_OK);
    check_once_each(10000);
    assert_int_equal(table.pages, 201);
    assert_int_equal(w.opens, 1);
}

static void test_pages_of_any_size(void **state)
{
    int size;

    (void)state;
    for (size = 1; size < 60; size += 7) {
        begin(NULL);
        table.items = 41;
        table.cursor_first = size % 2;
        listing.page = (uint16_t)size;
        w.read_most = (size_t)size;
        assert_int_equal(list_table(), DYNALOCK_OK);
        check_once_each(41);
    }
}

static void test_an_item_is_told_whole(void **state)
{
    (void)state;
    table.items = 1;
    assert_int_equal(list_table(), DYNALOCK_OK);
    assert_string_equal(listed.key, "lock-0");
    assert_int_equal(listed.last.key_size, 6);
    assert_null(listed.last.sort_key);
    assert_int_equal(listed.last.status, DYNALOCK_LOCKED);
    assert_string_equal(listed.owner, "device-0");
    assert_string_equal(listed.rvn, "rvn-0");
    assert_true(listed.last.fence == 1000);
    assert_int_equal(listed.last.lease_ms, 20000);
    table.items = 2;
    assert_int_equal(list_table(), DYNALOCK_OK);
    assert_int_equal(listed.last.status, DYNALOCK_RELEASED);
    assert_true(listed.last.fence == 1001);
}

static void test_a_sort_key(void **state)
{
    (void)state;
    w.config.key_name = "name";
    w.config.sort_key_name = "part";
    world_ready(&w, &lock);
    table.items = 1;
    table.item_text = raw_item;
    raw = "{\"part\":{\"S\":\"p\"},\"name\":{\"S\":\"n\"}}";
    assert_int_equal(
        dynalock_list(&w.client, "elsewhere", &listing), DYNALOCK_OK);
    assert_string_equal(listed.key, "n");
    assert_string_equal(listed.sort_key, "p");
    assert_int_equal(listed.last.sort_key_size, 1);
    assert_non_null(world_find(&w,
        "{\"TableName\":\"elsewhere\",\"Limit\":50,\"ProjectionExpression\":"
        "\"#k,#s,ownerName,"));
    assert_non_null(world_find(&w, "{\"#k\":\"name\",\"#s\":\"part\"}"));
}

/* ---- whatever the items hold ---- */

static void list_raw(const char *item)
{
    raw = item;
    table.items = 1;
    table.item_text = raw_item;
    memset(&listed, 0, sizeof listed);
    assert_int_equal(list_table(), DYNALOCK_OK);
    assert_int_equal(listed.calls, 1);
}

static void test_foreign_items(void **state)
{
    static const char *const items[] = { "{\"key\":{\"S\":\"k\"}}",
        "{\"key\":{\"S\":\"k\"},\"ownerName\":{\"N\":\"1\"},"
        "\"recordVersionNumber\":{\"S\":\"r\"}}",
        "{\"ownerName\":{\"M\":{\"key\":{\"S\":\"x\"}}},\"key\":{\"S\":\"k\"}"
        "}",
        "{\"key\":{\"S\":\"k\"},\"fence\":{\"N\":"
        "\"12345678901234567890123456789012345678\"},\"recordVersionNumber\":"
        "{\"S\":\"r\"},\"ownerName\":{\"S\":\"o\"},\"leaseDuration\":"
        "{\"S\":\"1\"}}",
        "{\"key\":{\"S\":\"k\"},\"fence\":{\"NS\":[\"1\",\"2\"]},"
        "\"isReleased\":{\"BOOL\":true},\"leaseDuration\":{\"NULL\":true},"
        "\"ownerName\":{\"SS\":[\"a\"]},\"recordVersionNumber\":{\"L\":[]}}" };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof items / sizeof items[0]; i++) {
        list_raw(items[i]);
        assert_string_equal(listed.key, "k");
        assert_int_equal(listed.last.status, DYNALOCK_FOREIGN);
        assert_true(listed.last.fence == 0);
    }
}

static void test_keys_of_any_characters(void **state)
{
    (void)state;
    list_raw("{\"key\":{\"S\":\"\\\"q\\\" \\\\ \\u0001\\n\\/ \\u00e9 "
             "\xe6\x97\xa5 \\ud83d\\ude00\"}}");
    assert_string_equal(
        listed.key, "\"q\" \\ \x01\n/ \xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80");
    assert_int_equal(listed.last.key_size, strlen(listed.key));
    list_raw("{\"key\":{\"S\":\"a\\u0000b\"}}");
    assert_int_equal(listed.last.key_size, 3);
    assert_string_equal(listed.key, "a");
}

/* A key, an owner and a version of their greatest sizes fit together, whatever
   comes first; longer ones are told as such. */
static void test_long_texts(void **state)
{
    static char item[8192], key[2049], owner[DYNALOCK_OWNER_SIZE],
        rvn[DYNALOCK_RVN_SIZE];
    size_t size, fits = 0;
    int first;

    (void)state;
    memset(owner, 'o', sizeof owner - 1);
    memset(rvn, 'r', sizeof rvn - 1);
    for (size = 1; size < sizeof key; size++)
        for (first = 0; first < 2; first++) {
            memset(key, 'k', size);
            key[size] = '\0';
            (void)snprintf(item, sizeof item,
                "{%s%s%s\"fence\":{\"N\":\"9223372036854775806\"},"
                "\"leaseDuration\":{\"S\":\"2147483647\"},"
                "\"isReleased\":{\"S\":\"10\"},"
                "\"recordVersionNumber\":{\"S\":\"%s\"},"
                "\"ownerName\":{\"S\":\"%s\"}%s%s%s}",
                first ? "\"key\":{\"S\":\"" : "", first ? key : "",
                first ? "\"}," : "", rvn, owner,
                first ? "" : ",\"key\":{\"S\":\"", first ? "" : key,
                first ? "" : "\"}");
            list_raw(item);
            assert_int_equal(listed.last.status, DYNALOCK_LOCKED);
            assert_string_equal(listed.owner, owner);
            assert_string_equal(listed.rvn, rvn);
            if (listed.last.key != NULL) {
                assert_string_equal(listed.key, key);
                fits = size;
            } else {
                assert_int_equal(listed.last.key_size, DYNALOCK_TOO_LONG);
                assert_true(size > 530); /* as the manual says */
            }
        }
    assert_in_range(fits, 530, 1000);
}

static void test_large_foreign_attributes(void **state)
{
    static char item[12000];
    size_t i, used;

    (void)state;
    used = (size_t)snprintf(item, sizeof item, "{\"blob\":{\"B\":\"");
    for (i = 0; i < 11000; i++) item[used++] = 'A';
    (void)snprintf(
        item + used, sizeof item - used, "\"},\"key\":{\"S\":\"k\"}}");
    list_raw(item);
    assert_string_equal(listed.key, "k");
}

static void test_keys_that_are_not_the_configs(void **state)
{
    static const char *const items[] = { "{\"id\":{\"S\":\"k\"}}",
        "{\"key\":{\"N\":\"1\"}}", "{\"key\":{\"B\":\"AAAA\"}}", "{}" };
    size_t i;

    (void)state;
    table.item_text = raw_item;
    for (i = 0; i < sizeof items / sizeof items[0]; i++) {
        raw = items[i];
        table.items = 3;
        assert_int_equal(list_table(), DYNALOCK_TABLE_SHAPE);
        assert_int_equal(listed.calls, 0);
    }
}

static void test_items_without_the_sort_key(void **state)
{
    (void)state;
    w.config.sort_key_name = "sort";
    world_ready(&w, &lock);
    table.item_text = raw_item;
    table.items = 1;
    raw = "{\"key\":{\"S\":\"k\"}}";
    assert_int_equal(list_table(), DYNALOCK_TABLE_SHAPE);
    raw = "{\"key\":{\"S\":\"k\"},\"sort\":{\"S\":\"s\"}}";
    assert_int_equal(list_table(), DYNALOCK_OK);
}

/* ---- the way through the table ---- */

static const char *endless_page(world *from)
{
    (void)from;
    return "{\"Items\":[],\"LastEvaluatedKey\":{\"key\":{\"S\":\"a\"}}}";
}

static void test_a_key_that_leads_nowhere(void **state)
{
    (void)state;
    w.scan = endless_page;
    assert_int_equal(list_table(), DYNALOCK_BAD_ANSWER);
    assert_int_equal(w.requests, 1 + 3);
}

static const char *page_without_items(world *from)
{
    (void)from;
    return "{}";
}

static void test_an_answer_without_items(void **state)
{
    (void)state;
    w.scan = page_without_items;
    assert_int_equal(list_table(), DYNALOCK_BAD_ANSWER);
}

/* An answer that is both an error and a page is no page; one whose error leaves
   no room to read the names of a page's parts, no answer. */
static const char *wordy_messages;
static const char *wordy_page(world *from)
{
    char x[201], y[201];

    (void)from;
    memset(x, 'x', 200);
    memset(y, 'y', 200);
    x[200] = y[200] = '\0';
    (void)snprintf(body, sizeof body,
        "{\"__type\":\"%s\",\"message\":\"%s\",%s%s%s\"Items\":[{\"key\":"
        "{\"S\":\"%s\"}}],\"LastEvaluatedKey\":{\"key\":{\"S\":\"x\"}}}",
        x, y, wordy_messages, y, "\",", x);
    return body;
}

static void test_errors_and_items_share_no_memory(void **state)
{
    const dynalock_detail *detail = &w.client.detail;

    (void)state;
    w.scan = wordy_page;
    wordy_messages = "\"Message\":\"";
    assert_int_equal(list_table(), DYNALOCK_BAD_ANSWER);
    assert_int_equal(listed.calls, 0);
    wordy_messages = "\"other\":\"";
    listed.stop_at = 1;
    assert_int_equal(list_table(), DYNALOCK_OK);
    assert_int_equal(listed.last.key_size, 200);
    assert_int_equal(strspn(detail->type, "x"), sizeof detail->type - 1);
    assert_int_equal(strspn(detail->message, "y"), strlen(detail->message));
    assert_int_equal(strlen(detail->message), sizeof detail->message - 1);
}

/* Keys of different sizes follow each other in the one memory. */
static size_t cursor_size;
static int cursors;
static const char *long_page(world *from)
{
    size_t used, i;

    (void)from;
    if (cursors == 0) return "{\"Items\":[]}";
    used = (size_t)snprintf(
        body, sizeof body, "{\"LastEvaluatedKey\":{\"k\":{\"S\":\"");
    for (i = 0; i < cursor_size - 14; i++)
        body[used++] = (char)('a' + cursors % 26);
    (void)snprintf(body + used, sizeof body - used,
        "\"}},\"Items\":[{\"key\":{\"S\":\"k\"}}]}");
    cursors--;
    return body;
}

static void test_long_cursors(void **state)
{
    (void)state;
    w.scan = long_page;
    for (cursor_size = 20; cursor_size <= DYNALOCK_CURSOR_SIZE / 2;
         cursor_size++) {
        cursors = 5;
        assert_int_equal(list_table(), DYNALOCK_OK);
        assert_int_equal(listing.count, 5);
    }
    cursors = 5; /* one more: the second does not fit beside the first */
    assert_int_equal(list_table(), DYNALOCK_KEY_TOO_LONG);
    assert_int_equal(listing.count, 2);
    cursor_size = DYNALOCK_CURSOR_SIZE + 1;
    cursors = 5;
    assert_int_equal(list_table(), DYNALOCK_KEY_TOO_LONG);
    assert_int_equal(listing.count, 1);
}

static void test_the_callback_ends_it(void **state)
{
    int stop;

    (void)state;
    for (stop = 1; stop < 120; stop += 17) {
        begin(NULL);
        table.items = 200;
        listed.stop_at = stop;
        assert_int_equal(list_table(), DYNALOCK_OK);
        assert_int_equal(listed.calls, stop);
        assert_int_equal(table.pages, (stop + 49) / 50);
    }
}

static int stop_and_damage(void *context, const dynalock_listed *item)
{
    w.answer[w.answer_size - 1] = ' '; /* the last bracket */
    return note(context, item);
}

/* It has what it wants, and what comes behind is not asked for again. */
static void test_the_callback_ends_it_before_the_answer_fails(void **state)
{
    (void)state;
    table.items = 200;
    listed.stop_at = 3;
    listing.each = stop_and_damage;
    w.read_most = 50;
    assert_int_equal(list_table(), DYNALOCK_OK);
    assert_int_equal(listed.calls, 3);
    assert_int_equal(table.pages, 1);
}

/* ---- failures ---- */

static void test_pages_that_fail_are_read_again(void **state)
{
    static const enum world_fault faults[] = { FAULT_LOSE_ANSWER, FAULT_CUT,
        FAULT_THROTTLE, FAULT_500, FAULT_DAMAGE, FAULT_HTML,
        FAULT_CLOSE_IDLE };
    size_t i;
    int item;

    (void)state;
    for (i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        begin(NULL);
        table.items = 120;
        table.cursor_first = (int)(i % 2);
        w.faults[0] = FAULT_CLOSE_IDLE; /* so that the second page fails */
        w.faults[1] = faults[i];
        assert_int_equal(list_table(), DYNALOCK_OK);
        for (item = 0; item < 120; item++)
            assert_in_range(listed.times[item], 1, 2);
        assert_int_equal(listed.again, listed.calls - 120);
        /* what came before the damage was noticed */
        if (faults[i] == FAULT_DAMAGE) assert_int_equal(listed.again, 50);
        if (faults[i] == FAULT_CUT) assert_in_range(listed.again, 20, 30);
        if (faults[i] == FAULT_500) assert_int_equal(listed.again, 0);
    }
}

static void test_what_does_not_pass_ends_it(void **state)
{
    int i;

    (void)state;
    table.items = 120;
    w.faults[0] = FAULT_DENY;
    assert_int_equal(list_table(), DYNALOCK_DENIED);
    assert_string_equal(w.client.detail.type, "AccessDeniedException");
    for (i = 0; i < 3; i++) w.faults[w.fault_at + (size_t)i] = FAULT_THROTTLE;
    assert_int_equal(list_table(), DYNALOCK_THROTTLED);
    assert_string_equal(w.client.detail.message, "told by the test");
    /* and what comes next is not a listing's any more */
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
}

static void test_cancelled_in_mid_page(void **state)
{
    (void)state;
    table.items = 120;
    w.read_most = 10;
    assert_int_equal(
        dynalock_start_list(&w.client, NULL, &listing), DYNALOCK_AGAIN);
    assert_int_equal(
        dynalock_start_list(&w.client, NULL, &listing), DYNALOCK_IN_USE);
    while (listed.calls < 60)
        assert_int_equal(dynalock_poll(&w.client), DYNALOCK_AGAIN);
    dynalock_cancel(&w.client, &listing.operation);
    assert_int_equal(dynalock_result(&listing.operation), DYNALOCK_CANCELLED);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(w.item.exists);
}

static void test_locks_are_renewed_between_pages(void **state)
{
    (void)state;
    table.items = 5000;
    listing.page = 10;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    w.latency = 200; /* a listing of 100 s, a lease of 10 */
    assert_int_equal(list_table(), DYNALOCK_OK);
    check_once_each(5000);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    assert_true(w.writes > 20);
}

static void test_bad_listings_are_refused(void **state)
{
    static char longest[256];

    (void)state;
    assert_int_equal(
        dynalock_list(&w.client, "x", &listing), DYNALOCK_BAD_TABLE);
    assert_int_equal(
        dynalock_list(&w.client, NULL, NULL), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_list(NULL, NULL, &listing), DYNALOCK_BAD_ARGUMENT);
    listing.each = NULL;
    assert_int_equal(list_table(), DYNALOCK_BAD_ARGUMENT);
    listing.each = note;
    w.config.layout = dynalock_for_dynamolock();
    world_ready(&w, &lock);
    assert_int_equal(list_table(), DYNALOCK_BAD_ARGUMENT);
    w.config.layout = NULL;
    w.config.key_name = "a \"key\"";
    world_ready(&w, &lock);
    assert_int_equal(list_table(), DYNALOCK_BAD_KEY);
    w.config.key_name = "a\tkey";
    world_ready(&w, &lock);
    assert_int_equal(list_table(), DYNALOCK_BAD_KEY);
    w.config.key_name = "key";
    w.config.sort_key_name = "a\\b";
    world_ready(&w, &lock);
    assert_int_equal(list_table(), DYNALOCK_BAD_KEY);
    w.config.sort_key_name = NULL;
    world_ready(&w, &lock);
    w.unix_ms = 0;
    assert_int_equal(list_table(), DYNALOCK_CLOCK_UNSET);
    w.unix_ms = 1700000000000;
    memset(longest, 'n', 255);
    w.config.key_name = longest;
    w.config.sort_key_name = longest;
    world_ready(&w, &lock);
    assert_int_equal(list_table(), DYNALOCK_BAD_BUFFER);
    assert_int_equal(w.requests, 0);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_are_split),
        TEST(what_is_no_answer_is_bad),
        TEST(an_empty_table),
        TEST(ten_thousand_items),
        TEST(pages_of_any_size),
        TEST(an_item_is_told_whole),
        TEST(a_sort_key),
        TEST(foreign_items),
        TEST(keys_of_any_characters),
        TEST(long_texts),
        TEST(large_foreign_attributes),
        TEST(keys_that_are_not_the_configs),
        TEST(items_without_the_sort_key),
        TEST(a_key_that_leads_nowhere),
        TEST(an_answer_without_items),
        TEST(errors_and_items_share_no_memory),
        TEST(long_cursors),
        TEST(the_callback_ends_it),
        TEST(the_callback_ends_it_before_the_answer_fails),
        TEST(pages_that_fail_are_read_again),
        TEST(what_does_not_pass_ends_it),
        TEST(cancelled_in_mid_page),
        TEST(locks_are_renewed_between_pages),
        TEST(bad_listings_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
