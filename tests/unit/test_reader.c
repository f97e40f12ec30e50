/* What stands deeper in an answer than the filter keeps: the reader finds it,
   and the filter keeps what it keeps without one. */
#include "support.h"

#include "json_corpus.h"

#define ROOM 600

static const char names[] = "Table,Keys,Name,Item,";

/* All that a reader found, as "path:text;", or "path.;" for an end. */
typedef struct notes {
    dynalock_client client;
    dl_reader reader;
    char out[ROOM];
    uint16_t room; /* of out */
    sheet page;
} notes;

static notes n = { .room = ROOM };

static void note(
    dl_reader *reader, uint32_t path, const char *text, size_t size)
{
    char start[16];

    assert_ptr_equal(reader, &n.reader);
    (void)snprintf(start, sizeof start, "%x", (unsigned)path);
    dl_put_text(&n.page.span.sink, start);
    dl_put_text(&n.page.span.sink, text != NULL ? ":" : ".");
    if (text != NULL) dl_put(&n.page.span.sink, text, size);
    dl_put_text(&n.page.span.sink, ";");
}

static void read_document(slice document, const dl_want *wants, size_t way)
{
    char *copy = exact(document.at, document.size);
    size_t at, piece;

    (void)sheet_open(&n.page);
    memset(n.out, 0, sizeof n.out);
    dl_filter_begin(&n.client.filter, wants, n.out, n.room);
    dl_reader_begin(&n.reader, &n.client, names, note);
    if (wants != NULL) n.client.filter.wants = wants;
    assert_ptr_equal(n.client.response.body, &n.reader.sink);
    for (at = 0; at < document.size; at += piece) {
        piece = next_piece(way, at, document.size);
        dl_put(n.client.response.body, copy + at, piece);
    }
    free(copy);
}

static void check_found(const char *document, const char *expected)
{
    slice text = text_of(document);
    size_t way;

    for (way = 0; way < ways_to_feed(text.size); way++) {
        read_document(text, NULL, way);
        n.page.text[n.page.span.used] = '\0';
        CHECK(n.client.filter.state == DL_JSON_DONE, "bad: %s", document);
        CHECK(sheet_is(&n.page, text_of(expected)), "%s (way %zu): %s",
            document, way, n.page.text);
    }
}

static void test_texts_are_told_with_their_paths(void **state)
{
    (void)state;
    check_found("{}", "1.;");
    check_found("{\"Table\":\"x\"}", "11:x;1.;");
    check_found("{\"Table\":{\"Name\":\"x\",\"Keys\":1}}", "113:x;11.;1.;");
    check_found(
        "{\"y\":{\"Name\":\"x\"},\"Name\":\"z\"}", "103:x;10.;13:z;1.;");
    check_found("{\"Table\":{\"Keys\":[{\"Name\":\"a\"},{\"b\":\"c\"},\"d\","
                "[\"e\"],null,-1e5]}}",
        "11203:a;1120.;11200:c;1120.;1120:d;11200:e;1120.;112.;11.;1.;");
    check_found("{ \"Table\" : [ ] , \"Keys\" : { } }", "11.;12.;1.;");
}

/* A name at another place than expected does not pass for it. */
static void test_paths_are_told_apart(void **state)
{
    (void)state;
    check_found("{\"a\":{\"Table\":\"x\"}}", "101:x;10.;1.;");
    check_found("{\"Tables\":\"x\",\"Tabl\":\"y\",\"\":\"z\",\"table\":\"a\","
                "\"Table,Keys\":\"b\",\",\":\"c\"}",
        "10:x;10:y;10:z;10:a;10:b;10:c;1.;");
    check_found(
        "{\"T\\u0061ble\":{\"\\u004bey\\u0073\":\"x\"}}", "112:x;11.;1.;");
}

/* The filter's own names at the top are kept by it, not told. */
static void test_what_the_filter_keeps_is_kept(void **state)
{
    (void)state;
    check_found("{\"Table\":{\"Name\":\"q\"},\"message\":\"no\",\"__type\":"
                "\"a#b\",\"Keys\":\"x\"}",
        "113:q;11.;12:x;1.;");
    assert_memory_equal(n.out, "{\"message\":\"no\",\"__type\":\"a#b\"}", 31);
    check_found("{\"Item\":{\"Name\":{\"S\":\"x\"},\"Keys\":{\"L\":[{\"S\":"
                "\"y\"}]}},\"Table\":\"z\"}",
        "1430:x;143.;142000:y;14200.;1420.;142.;14.;11:z;1.;");
    assert_memory_equal(n.out, "{\"Item\":{}}", 11);
}

static void test_escapes_are_those_of_the_filter(void **state)
{
    (void)state;
    check_found("{\"Table\":[\"a\\u0022\\/\\\\\\u00e9\\ud83d\\ude00\\n\"]}",
        "110:a\\\"/\\\\\xc3\xa9\xf0\x9f\x98\x80\n;11.;1.;");
}

static void test_what_lies_too_deep_is_not_told(void **state)
{
    (void)state;
    check_found(
        "{\"Table\":[[[[[[\"seven\",[\"eight\",{\"Name\":\"nine\"}]]]]]"
        "]],\"Keys\":\"x\"}",
        "11000000:seven;11000000.;1100000.;110000.;11000.;1100.;110.;11.;"
        "12:x;1.;");
}

/* Longer than the filter's memory: cut, and nothing is lost behind it. */
static void test_long_texts_are_cut(void **state)
{
    static char document[8192], expected[1024];
    size_t size;

    (void)state;
    (void)snprintf(document, sizeof document,
        "{\"Table\":{\"Name\":\"%02000d\",\"%01999d\":\"y\"},\"Keys\":\"x\"}",
        7, 8);
    (void)snprintf(expected, sizeof expected, "113:%0574d;", 0);
    read_document(text_of(document), NULL, 0);
    n.page.text[n.page.span.used] = '\0';
    size = (size_t)(strchr(n.page.text, ';') - n.page.text) - 4;
    assert_in_range(size, 500, ROOM - DL_RESERVE);
    assert_string_equal(n.page.text + 4 + size, ";110:y;11.;12:x;1.;");
    assert_int_equal(n.client.filter.state, DL_JSON_DONE);
    /* names at the top and of the item are the filter's, and cut by it */
    (void)snprintf(document, sizeof document,
        "{\"%01999d\":\"a\",\"Item\":{\"%01999d\":\"y\",\"Name\":{\"S\":\"z\"}"
        "}"
        ",\"Keys\":\"x\"}",
        7, 8);
    read_document(text_of(document), NULL, 0);
    assert_true(
        sheet_is(&n.page, text_of("10:a;140:y;1430:z;143.;14.;12:x;1.;")));
}

static void test_nothing_is_told_of_what_is_malformed(void **state)
{
    static const char *const bad[] = { "{\"Table\":\"a\nb\"}",
        "{\"Table\":\"\\x\"}", "{\"Table\":\"\xff\"}",
        "{\"Table\":\"\\ud800\"}", "{\"Table\":\"x", "{\"Table\":,\"x\"}",
        "{\"Table\":]", "\"Table\"" };
    size_t i, way;

    (void)state;
    for (i = 0; i < COUNT(bad); i++)
        for (way = 0; way < ways_to_feed(strlen(bad[i])); way++) {
            read_document(text_of(bad[i]), NULL, way);
            CHECK(n.client.filter.state != DL_JSON_DONE, "%s", bad[i]);
            CHECK(n.page.span.total == 0, "%s", bad[i]);
        }
}

static void check_unnoticed(slice document, uint16_t room)
{
    static char plain[ROOM];
    dynalock_filter filter;

    memset(plain, 0, sizeof plain);
    dl_filter_begin(&filter, standard_wants(), plain, room);
    dl_put(&filter.sink, document.at, document.size);
    n.room = room;
    read_document(document, standard_wants(), room % 2);
    n.room = ROOM;
    CHECK(n.client.filter.state == filter.state, "%s", document.at);
    if (filter.state != DL_JSON_DONE) return; /* nothing is kept */
    CHECK(n.client.filter.used == filter.used, "%s", document.at);
    CHECK(memcmp(n.out, plain, filter.used) == 0, "%s", document.at);
}

/* With a reader before it the filter accepts, refuses and keeps the same, in
   whatever memory it has. */
static void test_the_filter_does_not_notice_a_reader(void **state)
{
    static const char full[] =
        "{\"__type\":\"a long type of an error\",\"message\":\"and a long "
        "message\",\"Other\":\"x\",\"another\":{\"Name\":\"y\",\"z\":[]},"
        "\"Item\":{\"fence\":{\"N\":\"1\"},\"a\":{\"S\":\"b\"}},\"c\":1}";
    uint16_t room;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(json_corpus); i++) {
        slice document;

        document.at = json_corpus[i].document;
        document.size = json_corpus[i].size;
        check_unnoticed(document, ROOM);
        check_unnoticed(document, (uint16_t)(16 + i % 100));
    }
    for (room = 16; room < 256; room++) check_unnoticed(text_of(full), room);
}

#define TEST(name) cmocka_unit_test(test_##name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_are_told_with_their_paths),
        TEST(paths_are_told_apart),
        TEST(what_the_filter_keeps_is_kept),
        TEST(escapes_are_those_of_the_filter),
        TEST(what_lies_too_deep_is_not_told),
        TEST(long_texts_are_cut),
        TEST(nothing_is_told_of_what_is_malformed),
        TEST(the_filter_does_not_notice_a_reader),
    };

    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
