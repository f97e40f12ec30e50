/* == json: the filter and what is read from its output. Every document is fed
   whole, byte by byte, and in two pieces cut at each position. */

#include "support.h"
#include "json_corpus.h"

static const dl_want wants[] = {
    { .name = "owner", .limit = 60, .expect = DL_EXPECT_ATTRIBUTE },
    { .name = "rvn", .limit = 60, .expect = DL_EXPECT_ATTRIBUTE },
    { .name = NULL },
};

#define ROOM 1024 /* enough for all that these tests keep */

/* ---- one way through the filter ---- */

typedef struct sieving {
    dynalock_filter filter;
    char *out;
} sieving;

static void begin(sieving *sieve, uint16_t room)
{
    sieve->out = exact(NULL, room);
    dl_filter_begin(&sieve->filter, wants, sieve->out, room);
}

static void end(sieving *sieve)
{
    free(sieve->out);
}

static void feed(sieving *sieve, slice document, size_t way)
{
    char *copy = exact(document.at, document.size);
    size_t at, n;

    for (at = 0; at < document.size; at += n) {
        n = next_piece(way, at, document.size);
        dl_put(&sieve->filter.sink, copy + at, n);
    }
    free(copy);
}

static int is_done(const sieving *sieve)
{
    return sieve->filter.state == DL_JSON_DONE;
}

static int is_refused(const sieving *sieve)
{
    return sieve->filter.state == DL_JSON_BAD;
}

static slice kept(const sieving *sieve)
{
    slice result;

    result.at = sieve->out;
    result.size = sieve->filter.used;
    return result;
}

static int same(slice a, slice b)
{
    return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

/* In every way; expected NULL: the document is not accepted. */
static void check(slice document, const char *expected)
{
    size_t way;

    for (way = 0; way < ways_to_feed(document.size); way++) {
        sieving sieve;

        begin(&sieve, ROOM);
        feed(&sieve, document, way);
        CHECK(is_done(&sieve) == (expected != NULL), "%s (way %zu): %s",
            expected != NULL ? "not accepted" : "accepted", way, document.at);
        if (expected != NULL)
            CHECK(same(kept(&sieve), text_of(expected)),
                "kept %.*s (way %zu) of %s", (int)sieve.filter.used, sieve.out,
                way, document.at);
        end(&sieve);
    }
}

/* ---- the grammar, and what is kept: a second opinion ---- */

static void the_filter_agrees_with_an_independent_one(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(json_corpus); i++) {
        slice document;

        document.at = json_corpus[i].document;
        document.size = json_corpus[i].size;
        check(document, json_corpus[i].kept);
    }
}

/* ---- the promises, one by one ---- */

static const struct {
    const char *promise, *document, *kept;
} promises[] = {
    { "an answer without an item", "{}", "{}" },
    { "white space goes", " {\t\"message\" :\r\n\"a b\" } ",
        "{\"message\":\"a b\"}" },
    { "texts and the item, in their order",
        "{\"message\":\"m\",\"Item\":{\"rvn\":{\"S\":\"r\"},"
        "\"owner\":{\"S\":\"o\"}},\"__type\":\"t\",\"Message\":\"n\"}",
        "{\"message\":\"m\",\"Item\":{\"rvn\":{\"S\":\"r\"},"
        "\"owner\":{\"S\":\"o\"}},\"__type\":\"t\",\"Message\":\"n\"}" },
    { "nothing else",
        "{\"a\":1,\"Item\":{\"x\":{\"S\":\"\"},\"owner\":{\"S\":\"o\"},"
        "\"y\":{\"L\":[{\"S\":\"o\"}]}},\"z\":{\"message\":\"m\"}}",
        "{\"Item\":{\"owner\":{\"S\":\"o\"}}}" },
    { "an item of which nothing is wanted", "{\"Item\":{\"x\":{\"S\":\"\"}}}",
        "{\"Item\":{}}" },
    { "an attribute of any type, one scalar",
        "{\"Item\":{\"owner\":{\"N\":\"-1.5\"},\"rvn\":{\"BOOL\":false}}}",
        "{\"Item\":{\"owner\":{\"N\":\"-1.5\"},\"rvn\":{\"BOOL\":false}}}" },
    { "a scalar is kept as it is spelt",
        "{\"Item\":{\"owner\":{\"a\":-1.50e+01},\"rvn\":{\"b\":null}}}",
        "{\"Item\":{\"owner\":{\"a\":-1.50e+01},\"rvn\":{\"b\":null}}}" },
    { "another shape is kept as true",
        "{\"__type\":7,\"message\":[\"m\"],\"Message\":{\"message\":\"m\"},"
        "\"Item\":[{\"owner\":{\"S\":\"o\"}}]}",
        "{\"__type\":true,\"message\":true,\"Message\":true,\"Item\":true}" },
    { "an attribute that is a scalar, or an array",
        "{\"Item\":{\"owner\":\"o\",\"rvn\":[]}}",
        "{\"Item\":{\"owner\":true,\"rvn\":true}}" },
    { "an attribute of two types",
        "{\"Item\":{\"owner\":{\"S\":\"o\",\"N\":\"1\"},\"rvn\":{\"S\":\"r\","
        "\"S\":\"r\"}}}",
        "{\"Item\":{\"owner\":true,\"rvn\":true}}" },
    { "an attribute of no type", "{\"Item\":{\"owner\":{},\"rvn\":{ }}}",
        "{\"Item\":{\"owner\":true,\"rvn\":true}}" },
    { "an attribute that holds more than a scalar",
        "{\"Item\":{\"owner\":{\"M\":{\"S\":\"o\"}},\"rvn\":{\"SS\":[]}}}",
        "{\"Item\":{\"owner\":true,\"rvn\":true}}" },
    { "null is a value",
        "{\"Item\":{\"owner\":null},\"message\":null,\"x\":null}",
        "{\"Item\":{\"owner\":true},\"message\":true}" },
    { "a wanted name counts in its place only",
        "{\"owner\":{\"S\":\"o\"},\"x\":{\"Item\":{\"rvn\":{\"S\":\"r\"}}},"
        "\"Item\":{\"message\":\"m\",\"Item\":{\"owner\":{\"S\":\"o\"}},"
        "\"z\":{\"owner\":{\"S\":\"o\"}}}}",
        "{\"Item\":{}}" },
    { "a name is wanted whole, and in its own case",
        "{\"Item\":{\"own\":{\"S\":\"a\"},\"owners\":{\"S\":\"b\"},"
        "\"Owner\":{\"S\":\"c\"},\"\":{\"S\":\"d\"}},\"item\":{}}",
        "{\"Item\":{}}" },
    { "a name may be spelt with escapes",
        "{\"\\u0049tem\":{\"o\\u0077ner\":{\"\\u0053\":\"o\"}}}",
        "{\"Item\":{\"owner\":{\"S\":\"o\"}}}" },
    { "unwanted names may come twice",
        "{\"x\":1,\"x\":1,\"Item\":{\"y\":1,\"y\":1}}", "{\"Item\":{}}" },
    { "wanted names elsewhere too",
        "{\"x\":{\"Item\":1,\"Item\":1},\"Item\":{\"y\":{\"rvn\":1,\"rvn\":1}}"
        ",\"owner\":1}",
        "{\"Item\":{}}" },
    { "escapes are normalised",
        "{\"message\":\"\\/\\u002f\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"}",
        "{\"message\":\"//A\303\251\342\202\254\360\237\230\200\"}" },
    { "these remain",
        "{\"message\":"
        "\"\\\"\\u0022\\\\\\u005C\\b\\f\\n\\r\\t\\u0000\\u001F\"}",
        "{\"message\":\"\\\"\\\"\\\\\\\\\x08\x0c\n\r\t\\b\x1f\"}" },
    { "a lone name with an escape in it", "{\"mess\\\"age\":\"m\"}", "{}" },
};

static void promises_are_kept(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(promises); i++)
        check(text_of(promises[i].document), promises[i].kept);
}

static const slice refusals[] = {
    /* a wanted name twice */
    TEXT("{\"message\":\"a\",\"message\":\"a\"}"),
    TEXT("{\"message\":1,\"x\":2,\"message\":[]}"),
    TEXT("{\"Item\":{},\"Item\":{}}"),
    TEXT("{\"Item\":null,\"\\u0049tem\":null}"),
    TEXT("{\"Item\":{\"owner\":{\"S\":\"a\"},\"x\":1,\"owner\":{\"S\":\"a\"}}"
         "}"),
    TEXT("{\"Item\":{\"rvn\":{\"S\":\"a\"},\"\\u0072vn\":{}}}"),

    /* not one object */
    TEXT(""),
    TEXT(" "),
    TEXT("[]"),
    TEXT("\"Item\""),
    TEXT("true"),
    TEXT("1 "),
    TEXT("{}{}"),
    TEXT("{},"),
    TEXT("{}\0"),
    TEXT("\0{}"),
    TEXT("\357\273\277{}"),
    TEXT("<html></html>"),

    /* a mismatch, at each depth that is treated in its own way */
    TEXT("{]"),
    TEXT("{\"Item\":{]}"),
    TEXT("{\"Item\":{\"owner\":{]}}"),
    TEXT("{\"Item\":{\"owner\":{\"S\":\"o\"]}}"),
    TEXT("{\"x\":[}]}"),
    TEXT("{\"x\":[{\"y\":[1}]]}"),
};

static void what_must_not_be_understood_is_refused(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(refusals); i++) check(refusals[i], NULL);
}

static void what_is_refused_stays_refused(void **state)
{
    static const slice more = TEXT("\"}]}}{}");
    sieving sieve;

    (void)state;
    begin(&sieve, ROOM);
    feed(&sieve, text_of("{\"message\":\"\t"), 0);
    assert_true(is_refused(&sieve));
    feed(&sieve, more, 1);
    assert_true(is_refused(&sieve));
    end(&sieve);
}

static void a_document_that_is_cut_is_neither_done_nor_refused(void **state)
{
    size_t i, cut;

    (void)state;
    for (i = 0; i < COUNT(promises); i++) {
        slice part = text_of(promises[i].document);
        size_t whole = part.size;

        while (part.at[whole - 1] == ' ') whole--;
        for (cut = 0; cut < whole; cut++) {
            sieving sieve;

            part.size = cut;
            begin(&sieve, ROOM);
            feed(&sieve, part, 0);
            CHECK(!is_done(&sieve) && !is_refused(&sieve), "%.*s", (int)cut,
                part.at);
            end(&sieve);
        }
    }
}

/* ---- depth ---- */

/* {"x":[[...]]} or {"Item":{"owner":[[...]]}}: so many levels in all. */
static int is_depth_accepted(const char *head, size_t levels, const char *tail)
{
    size_t brackets = levels - strlen(tail), i;
    sieving sieve;
    int done;

    begin(&sieve, ROOM);
    feed(&sieve, text_of(head), 0);
    for (i = 0; i < brackets; i++) feed(&sieve, text_of("["), 0);
    for (i = 0; i < brackets; i++) feed(&sieve, text_of("]"), 0);
    feed(&sieve, text_of(tail), 0);
    done = is_done(&sieve);
    end(&sieve);
    return done;
}

static void nesting_ends_at_95_levels(void **state)
{
    static const char *const heads[] = { "{\"x\":", "{\"message\":",
        "{\"Item\":{\"owner\":", "{\"Item\":{\"z\":" };
    static const char *const tails[] = { "}", "}", "}}", "}}" };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(heads); i++) {
        assert_true(is_depth_accepted(heads[i], 33, tails[i]));
        assert_true(is_depth_accepted(heads[i], 95, tails[i]));
        assert_false(is_depth_accepted(heads[i], 96, tails[i]));
        assert_false(is_depth_accepted(heads[i], 300, tails[i]));
    }
}

/* Objects and arrays in turn: none may be closed as the other. */
static void every_level_knows_what_it_is(void **state)
{
    char document[1200] = "{\"x\":";
    size_t depth, at;

    (void)state;
    for (depth = 0; depth < 90; depth++)
        strcat(document, depth % 3 == 0 ? "{\"y\":" : "[");
    strcat(document, "1");
    for (depth = 90; depth-- > 0;)
        strcat(document, depth % 3 == 0 ? "}" : "]");
    strcat(document, "}");
    check(text_of(document), "{}");
    for (at = strcspn(document, "1") + 1; document[at] != '\0'; at++) {
        document[at] = (char)(document[at] ^ ']' ^ '}');
        check(text_of(document), NULL);
        document[at] = (char)(document[at] ^ ']' ^ '}');
    }
}

/* ---- limits ---- */

/* What is kept of head, unit so many times, and tail. */
static void keep_repeated(sieving *sieve, const char *head, const char *unit,
    size_t times, const char *tail)
{
    begin(sieve, ROOM);
    feed(sieve, text_of(head), 0);
    while (times-- != 0) feed(sieve, text_of(unit), 0);
    feed(sieve, text_of(tail), 0);
    assert_true(is_done(sieve));
}

/* A text fits with its quotes, or as many units as fit are kept. */
static void check_text_limit(const char *name, const char *unit, size_t limit)
{
    size_t most = (limit - 2) / strlen(unit), times;

    for (times = 0; times < most + 3; times++) {
        char head[32], expected[ROOM];
        size_t i;
        sieving sieve;

        snprintf(head, sizeof head, "{\"%s\":\"", name);
        strcpy(expected, head);
        for (i = 0; i < times && i < most; i++) strcat(expected, unit);
        strcat(expected, "\"}");
        keep_repeated(&sieve, head, unit, times, "\"}");
        CHECK(same(kept(&sieve), text_of(expected)), "%zu times %s", times,
            unit);
        end(&sieve);
    }
}

static void texts_are_cut_between_characters(void **state)
{
    static const char *const units[] = { "x", "\303\251", "\342\202\254",
        "\360\237\230\200", "\\\"", "\\\\" };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(units); i++) {
        check_text_limit("__type", units[i], DL_TYPE_LIMIT);
        check_text_limit("message", units[i], DL_MESSAGE_LIMIT);
        check_text_limit("Message", units[i], DL_MESSAGE_LIMIT);
    }
}

/* Beneath its limit a value is kept; else it becomes true. */
static void check_value_limit(
    const char *head, const char *unit, const char *tail)
{
    size_t times;

    for (times = 1; times < 70; times++) {
        char value[ROOM], expected[ROOM + 32];
        size_t i;
        sieving sieve;

        strcpy(value, head);
        for (i = 0; i < times; i++) strcat(value, unit);
        strcat(value, tail);
        snprintf(expected, sizeof expected, "{\"Item\":{\"rvn\":%s}}",
            strlen(value) < wants[1].limit ? value : "true");
        keep_repeated(&sieve, "{\"Item\":{\"rvn\":", value, 1, "}}");
        CHECK(same(kept(&sieve), text_of(expected)), "%s", value);
        end(&sieve);
    }
}

static void values_are_kept_whole_or_not_at_all(void **state)
{
    (void)state;
    check_value_limit("{\"S\":\"", "x", "\"}");
    check_value_limit("{\"S\":\"", "\342\202\254", "\"}");
    check_value_limit("{\"S\":\"", "\\\\", "\"}");
    check_value_limit("{\"", "x", "\":true}");
    check_value_limit("{\"N\":", "1", "}");
}

static void values_before_and_behind_a_long_one_are_kept(void **state)
{
    sieving sieve;

    (void)state;
    keep_repeated(&sieve, "{\"message\":\"m\",\"Item\":{\"owner\":{\"S\":\"",
        "x", 400 * 1024, "\"},\"rvn\":{\"S\":\"r\"}},\"Message\":\"n\"}");
    assert_true(same(
        kept(&sieve), text_of("{\"message\":\"m\",\"Item\":{\"owner\":true,"
                              "\"rvn\":{\"S\":\"r\"}},\"Message\":\"n\"}")));
    end(&sieve);
}

static void an_item_of_400_kilobytes_goes_by(void **state)
{
    sieving sieve;

    (void)state;
    keep_repeated(&sieve, "{\"Item\":{\"owner\":{\"S\":\"o\"}",
        ",\"blob\":{\"L\":[{\"B\":\"QUJDRA==\"},{\"M\":{\"owner\":{\"S\":"
        "\"x\"},\"rvn\":{\"N\":\"-1e5\"}}},{\"NULL\":true}]}",
        4096, ",\"rvn\":{\"S\":\"r\"}},\"message\":\"m\"}");
    assert_true(same(kept(&sieve),
        text_of("{\"Item\":{\"owner\":{\"S\":\"o\"},\"rvn\":{\"S\":\"r\"}},"
                "\"message\":\"m\"}")));
    end(&sieve);
}

/* ---- a buffer of any size ---- */

/* Control characters are kept as they are, NUL as \\b: not quite JSON. */
static int is_document(slice kept)
{
    size_t i;

    for (i = 0; i < kept.size; i++) {
        if ((uint8_t)kept.at[i] < 0x20) return 0;
        if (kept.at[i] == '\\' && kept.at[++i] == 'b') return 0;
    }
    return 1;
}

/* In too little memory something must go; what is left is a document that the
   filter leaves as it is. */
static void check_room(slice document, uint16_t room)
{
    sieving first, second;

    begin(&first, room);
    begin(&second, room);
    feed(&first, document, 0);
    CHECK(is_done(&first), "%u bytes: %s", room, document.at);
    assert_in_range(first.filter.used, 2, room);
    if (is_document(kept(&first))) feed(&second, kept(&first), 0);
    else feed(&second, document, 0);
    CHECK(is_done(&second), "kept in %u bytes: %.*s", room,
        (int)first.filter.used, first.out);
    CHECK(same(kept(&first), kept(&second)),
        "kept in %u bytes: %.*s, then: %.*s", room, (int)first.filter.used,
        first.out, (int)second.filter.used, second.out);
    end(&first);
    end(&second);
}

static void any_buffer_holds_a_document(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(promises); i++) {
        slice document = text_of(promises[i].document);
        uint16_t room;

        for (room = 16; room < 16 + 2 * strlen(promises[i].kept); room++)
            check_room(document, room);
    }
}

static void a_buffer_with_room_for_true_holds_all(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(promises); i++) {
        slice expected = text_of(promises[i].kept);
        sieving sieve;

        begin(&sieve, (uint16_t)(expected.size + DL_RESERVE + 1));
        feed(&sieve, text_of(promises[i].document), 0);
        CHECK(same(kept(&sieve), expected), "%s", promises[i].promise);
        end(&sieve);
    }
}

/* ---- what is read from it ---- */

typedef struct reading {
    sieving sieve;
    dynalock_token tokens[DYNALOCK_TOKENS];
    dl_json json;
} reading;

static void read_document(reading *reader, const char *document)
{
    begin(&reader->sieve, ROOM);
    feed(&reader->sieve, text_of(document), 0);
    dl_json_parse(
        &reader->json, &reader->sieve.filter, reader->tokens, DYNALOCK_TOKENS);
}

static void whatever_was_accepted_can_be_read(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(json_corpus); i++) {
        reading reader;
        slice document;

        document.at = json_corpus[i].document;
        document.size = json_corpus[i].size;
        begin(&reader.sieve, ROOM);
        feed(&reader.sieve, document, 0);
        dl_json_parse(&reader.json, &reader.sieve.filter, reader.tokens,
            DYNALOCK_TOKENS);
        CHECK((reader.json.count > 0) == (json_corpus[i].kept != NULL),
            "%d tokens of %s", reader.json.count, document.at);
        end(&reader.sieve);
    }
}

static void members_are_found_in_their_object_only(void **state)
{
    reading reader;
    const dl_json *json = &reader.json;
    int item;

    (void)state;
    read_document(&reader,
        "{\"message\":\"m\",\"Item\":{\"owner\":{\"S\":\"o\"},\"rvn\":true},"
        "\"__type\":\"t\"}");
    item = dl_json_member(json, 0, "Item");
    assert_int_not_equal(item, 0);
    assert_int_not_equal(dl_json_member(json, 0, "message"), 0);
    assert_int_not_equal(dl_json_member(json, 0, "__type"), 0);
    assert_int_equal(dl_json_member(json, 0, "owner"), 0);
    assert_int_equal(dl_json_member(json, 0, "m"), 0);
    assert_int_equal(dl_json_member(json, 0, "Ite"), 0);
    assert_int_equal(dl_json_member(json, 0, "Items"), 0);
    assert_int_not_equal(dl_json_member(json, item, "owner"), 0);
    assert_int_not_equal(dl_json_member(json, item, "rvn"), 0);
    assert_int_equal(dl_json_member(json, item, "S"), 0);
    assert_int_equal(dl_json_member(json, item, "__type"), 0);
    assert_int_equal(
        dl_json_member(json, dl_json_member(json, 0, "message"), "m"), 0);
    end(&reader.sieve);
}

static void texts_are_unescaped(void **state)
{
    static const char text[] = "a\0\"\\\n\303\251";
    reading reader;
    dl_found found;

    (void)state;
    read_document(&reader,
        "{\"message\":\"a\\u0000\\\"\\\\\\n\\u00e9\",\"Message\":1,"
        "\"__type\":\"\"}");
    dl_json_text(
        &reader.json, dl_json_member(&reader.json, 0, "message"), &found);
    assert_int_equal(found.size, sizeof text - 1);
    assert_memory_equal(found.text, text, sizeof text); /* NUL at its end */
    dl_json_text(
        &reader.json, dl_json_member(&reader.json, 0, "__type"), &found);
    assert_non_null(found.text);
    assert_int_equal(found.size, 0);
    dl_json_text(
        &reader.json, dl_json_member(&reader.json, 0, "Message"), &found);
    assert_null(found.text);
    dl_json_text(
        &reader.json, dl_json_member(&reader.json, 0, "Item"), &found);
    assert_null(found.text);
    end(&reader.sieve);
}

static void attributes_are_absent_of_another_shape_or_text(void **state)
{
    static const struct {
        const char *item;
        int there;
        const char *text;
    } cases[] = {
        { "{}", 0, NULL },
        { "{\"rvn\":{\"S\":\"x\"}}", 0, NULL },
        { "{\"owner\":{\"S\":\"x\"}}", 1, "x" },
        { "{\"owner\":{\"S\":\"\"}}", 1, "" },
        { "{\"rvn\":{\"N\":\"1\"},\"owner\":{\"S\":\"\\\"\"}}", 1, "\"" },
        { "{\"owner\":{\"N\":\"1\"}}", 1, NULL },
        { "{\"owner\":{\"S\":1}}", 1, NULL },
        { "{\"owner\":{\"S\":null}}", 1, NULL },
        { "{\"owner\":{\"S\":\"x\",\"N\":\"1\"}}", 1, NULL },
        { "{\"owner\":{}}", 1, NULL },
        { "{\"owner\":\"S\"}", 1, NULL },
        { "{\"owner\":[\"S\",\"x\"]}", 1, NULL },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        char document[128];
        reading reader;
        dl_found found;

        snprintf(document, sizeof document, "{\"Item\":%s}", cases[i].item);
        read_document(&reader, document);
        dl_json_attribute(&reader.json,
            dl_json_member(&reader.json, 0, "Item"), "owner", "S", &found);
        CHECK(found.there == cases[i].there, "%s", document);
        CHECK((found.text != NULL) == (cases[i].text != NULL), "%s", document);
        if (found.text != NULL) {
            assert_int_equal(found.size, strlen(cases[i].text));
            assert_memory_equal(found.text, cases[i].text, found.size);
        }
        end(&reader.sieve);
    }
}

static void nothing_is_read_from_what_was_not_accepted(void **state)
{
    static const char *const documents[] = { "", "{", "{\"message\":\"m\"",
        "{\"message\":\"m\",}", "[]", "{}x" };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(documents); i++) {
        reading reader;

        read_document(&reader, documents[i]);
        assert_int_equal(reader.json.count, 0);
        assert_int_equal(dl_json_member(&reader.json, 0, "message"), 0);
        end(&reader.sieve);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_agrees_with_an_independent_one),
        cmocka_unit_test(promises_are_kept),
        cmocka_unit_test(what_must_not_be_understood_is_refused),
        cmocka_unit_test(what_is_refused_stays_refused),
        cmocka_unit_test(a_document_that_is_cut_is_neither_done_nor_refused),
        cmocka_unit_test(nesting_ends_at_95_levels),
        cmocka_unit_test(every_level_knows_what_it_is),
        cmocka_unit_test(texts_are_cut_between_characters),
        cmocka_unit_test(values_are_kept_whole_or_not_at_all),
        cmocka_unit_test(values_before_and_behind_a_long_one_are_kept),
        cmocka_unit_test(an_item_of_400_kilobytes_goes_by),
        cmocka_unit_test(any_buffer_holds_a_document),
        cmocka_unit_test(a_buffer_with_room_for_true_holds_all),
        cmocka_unit_test(whatever_was_accepted_can_be_read),
        cmocka_unit_test(members_are_found_in_their_object_only),
        cmocka_unit_test(texts_are_unescaped),
        cmocka_unit_test(attributes_are_absent_of_another_shape_or_text),
        cmocka_unit_test(nothing_is_read_from_what_was_not_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
