/* == layout: what an item on the table says, and which items are left alone. */

#include "support.h"

#define NOW_MS 1700000000000ull /* of those that expire by the wall clock */

/* An answer that went through the filter, and the item in it. Texts of the
   item last until the answer is forgotten. */
typedef struct answer {
    dynalock_filter filter;
    dynalock_token tokens[DYNALOCK_TOKENS];
    char *out;
    dynalock_client client;
    dl_item item;
} answer;

static void read_answer_as(
    answer *into, dynalock_layout *layout, const char *document)
{
    dynalock_client *client = &into->client;

    memset(client, 0, sizeof *client);
    client->config.layout = layout;
    client->exchange.unix_ms = NOW_MS;
    dl_want_names(client->wants, layout);
    into->out = exact(NULL, DYNALOCK_ANSWER_SIZE);
    dl_filter_begin(
        &into->filter, client->wants + 1, into->out, DYNALOCK_ANSWER_SIZE);
    dl_put(&into->filter.sink, document, strlen(document));
    CHECK(into->filter.state == DL_JSON_DONE, "not JSON: %s", document);
    dl_json_parse(&client->json, &into->filter, into->tokens, DYNALOCK_TOKENS);
    assert_in_range(client->json.count, 1, DYNALOCK_TOKENS);
    dl_read_item(client, &into->item);
}

static void read_answer(answer *into, const char *document)
{
    read_answer_as(into, dynalock_standard(), document);
}

static void forget(answer *into)
{
    free(into->out);
}

/* What is read from an item of these attributes. */
static dl_item_kind kind_of(const char *attributes)
{
    char document[4096];
    answer got;

    snprintf(document, sizeof document, "{\"Item\":{%s}}", attributes);
    read_answer(&got, document);
    forget(&got);
    return got.item.kind;
}

/* ---- a whole item ---- */

#define KEY "\"key\":{\"S\":\"site-leader\"}"
#define OWNER ",\"ownerName\":{\"S\":\"boiler 3\"}"
#define LEASE ",\"leaseDuration\":{\"S\":\"20000\"}"
#define RVN ",\"recordVersionNumber\":{\"S\":\"v1\"}"
#define FENCE ",\"fence\":{\"N\":\"7\"}"
#define RELEASED ",\"isReleased\":{\"S\":\"1\"}"

static void no_item_is_absent(void **state)
{
    answer got;

    (void)state;
    read_answer(&got, "{}");
    assert_int_equal(got.item.kind, DL_ITEM_ABSENT);
    forget(&got);
    read_answer(&got, "{\"message\":\"Item\",\"x\":{\"Item\":{}}}");
    assert_int_equal(got.item.kind, DL_ITEM_ABSENT);
    forget(&got);
}

static void a_live_item_says_all(void **state)
{
    answer got;

    (void)state;
    read_answer(&got, "{\"Item\":{" KEY OWNER LEASE RVN FENCE "}}");
    assert_int_equal(got.item.kind, DL_ITEM_LIVE);
    assert_true(got.item.fence != DL_NO_FENCE);
    assert_int_equal(got.item.fence, 7);
    assert_int_equal(got.item.lease_ms, 20000);
    assert_int_equal(got.item.found[DL_FOUND_OWNER].size, 8);
    assert_memory_equal(got.item.found[DL_FOUND_OWNER].text, "boiler 3", 8);
    assert_int_equal(got.item.found[DL_FOUND_VERSION].size, 2);
    assert_memory_equal(got.item.found[DL_FOUND_VERSION].text, "v1", 2);
    forget(&got);
}

static void a_released_item_says_its_fence(void **state)
{
    answer got;

    (void)state;
    read_answer(&got, "{\"Item\":{" KEY OWNER LEASE RVN FENCE RELEASED "}}");
    assert_int_equal(got.item.kind, DL_ITEM_FREE);
    assert_true(got.item.fence != DL_NO_FENCE);
    assert_int_equal(got.item.fence, 7);
    assert_memory_equal(got.item.found[DL_FOUND_VERSION].text, "v1", 2);
    forget(&got);
}

static void released_is_exactly_the_text_1(void **state)
{
    static const struct {
        const char *released;
        int free;
    } cases[] = {
        { "{\"S\":\"1\"}", 1 },
        { "{\"S\":\"\\u0031\"}", 1 },
        { "{\"S\":\"0\"}", 0 },
        { "{\"S\":\"\"}", 0 },
        { "{\"S\":\"11\"}", 0 },
        { "{\"S\":\"1 \"}", 0 },
        { "{\"S\":\"true\"}", 0 },
        { "{\"S\":1}", 0 },
        { "{\"N\":\"1\"}", 0 },
        { "{\"B\":\"1\"}", 0 },
        { "{\"BOOL\":true}", 0 },
        { "{\"S\":\"1\",\"N\":\"1\"}", 0 },
        { "{\"SS\":[\"1\"]}", 0 },
        { "{\"S\":\"11111111111111111111111111111\"}", 0 },
    };
    char attributes[512];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        snprintf(attributes, sizeof attributes,
            KEY OWNER LEASE RVN FENCE ",\"isReleased\":%s", cases[i].released);
        CHECK(kind_of(attributes) ==
                  (cases[i].free ? DL_ITEM_FREE : DL_ITEM_LIVE),
            "%s", cases[i].released);
    }
}

static void what_is_understood_without(void **state)
{
    static const struct {
        const char *attributes;
        dl_item_kind kind;
    } cases[] = {
        { KEY OWNER LEASE RVN, DL_ITEM_LIVE }, /* another client's */
        { KEY LEASE RVN FENCE, DL_ITEM_FOREIGN },
        { KEY OWNER RVN FENCE, DL_ITEM_FOREIGN },
        { KEY OWNER LEASE FENCE, DL_ITEM_FOREIGN },
        { KEY, DL_ITEM_FOREIGN },
        { "", DL_ITEM_FOREIGN },
        { KEY RVN RELEASED, DL_ITEM_FREE },
        { KEY OWNER LEASE RVN RELEASED, DL_ITEM_FREE },
        { KEY OWNER LEASE FENCE RELEASED, DL_ITEM_FOREIGN },
        { KEY RELEASED, DL_ITEM_FOREIGN },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++)
        CHECK(kind_of(cases[i].attributes) == cases[i].kind, "%s",
            cases[i].attributes);
}

static void what_is_no_item_is_foreign(void **state)
{
    static const char *const documents[] = { "{\"Item\":null}",
        "{\"Item\":[]}", "{\"Item\":\"x\"}", "{\"Item\":{}}" };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(documents); i++) {
        answer got;

        read_answer(&got, documents[i]);
        CHECK(got.item.kind == DL_ITEM_FOREIGN, "%s", documents[i]);
        forget(&got);
    }
}

/* ---- the lease ---- */

static void leases_are_milliseconds_or_go_durations(void **state)
{
    static const struct {
        const char *lease;
        uint32_t ms; /* 0: foreign */
    } cases[] = {
        { "{\"S\":\"20000\"}", 20000 },
        { "{\"S\":\"1\"}", 1 },
        { "{\"S\":\"2147483647\"}", 2147483647 },
        { "{\"N\":\"20000\"}", 20000 },
        { "{\"S\":\"20s\"}", 20000 },
        { "{\"S\":\"1m30s\"}", 90000 },
        { "{\"S\":\"1h0m0s\"}", 3600000 },
        { "{\"S\":\"500ms\"}", 500 },
        { "{\"S\":\"1.5s\"}", 2000 },
        { "{\"S\":\"0\"}", 0 },
        { "{\"N\":\"0\"}", 0 },
        { "{\"S\":\"0s\"}", 0 },
        { "{\"S\":\"\"}", 0 },
        { "{\"S\":\"junk\"}", 0 },
        { "{\"S\":\"20 s\"}", 0 },
        { "{\"S\":\"20s \"}", 0 },
        { "{\"S\":\"-20000\"}", 0 },
        { "{\"N\":\"-1\"}", 0 },
        { "{\"N\":\"0.5\"}", 0 },
        { "{\"N\":\"2E+4\"}", 0 },
        { "{\"S\":\"2147483648\"}", 0 },
        { "{\"S\":\"597h\"}", 0 },
        { "{\"S\":\"20\\u0000s\"}", 0 },
        { "{\"S\":20000}", 0 },
        { "{\"N\":20000}", 0 },
        { "{\"B\":\"20000\"}", 0 },
        { "{\"BOOL\":true}", 0 },
        { "{\"NULL\":true}", 0 },
        { "{\"S\":\"20000\",\"N\":\"20000\"}", 0 },
        { "{\"L\":[{\"S\":\"20000\"}]}", 0 },
        { "{\"S\":\"00000000000000000000000000000000000000000000020\"}", 0 },
    };
    char document[512];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        answer got;

        snprintf(document, sizeof document,
            "{\"Item\":{" KEY OWNER RVN FENCE ",\"leaseDuration\":%s}}",
            cases[i].lease);
        read_answer(&got, document);
        CHECK(got.item.kind ==
                  (cases[i].ms != 0 ? DL_ITEM_LIVE : DL_ITEM_FOREIGN),
            "%s", cases[i].lease);
        CHECK(got.item.lease_ms == cases[i].ms, "%s is %u ms", cases[i].lease,
            (unsigned)got.item.lease_ms);
        forget(&got);
    }
}

static void durations_are_read_or_refused(void **state)
{
    static const struct {
        const char *duration;
        int fits;
        uint64_t ms;
    } cases[] = {
        { "1ms", 1, 1 },
        { "1s", 1, 1000 },
        { "1m", 1, 60000 },
        { "1h", 1, 3600000 },
        { "0s", 1, 0 },
        { "1h2m3s4ms", 1, 3723004 },
        { "1m30s", 1, 90000 },
        { "90m", 1, 5400000 },
        { "596h", 1, 2145600000 },
        { "2147483647ms", 1, 2147483647 },
        { "1.5s", 1, 2000 }, /* longer is safer */
        { "0.25s", 1, 1000 },
        { "1m0.5s", 1, 61000 },
        { "2.000s", 1, 3000 },
        { "2147483648ms", 0, 0 },
        { "597h", 0, 0 },
        { "596h596h", 0, 0 },
        { "2147483647h", 0, 0 },
        { "4294967296ms", 0, 0 },
        { "18446744073709551616ms", 0, 0 },
        { "20", 0, 0 },
        { "s", 0, 0 },
        { ".5s", 0, 0 },
        { "1.5", 0, 0 },
        { "-1s", 0, 0 },
        { "+1s", 0, 0 },
        { "1 s", 0, 0 },
        { " 1s", 0, 0 },
        { "1s ", 0, 0 },
        { "1d", 0, 0 },
        { "1us", 0, 0 },
        { "1ns", 0, 0 },
        { "1\302\265s", 0, 0 },
        { "1sx", 0, 0 },
        { "1s1", 0, 0 },
        { "1,5s", 0, 0 },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        size_t size = strlen(cases[i].duration);
        char *copy = exact(cases[i].duration, size + 1);
        uint64_t ms = 0;
        int fits = dl_read_duration(copy, size, &ms);

        free(copy);
        CHECK(fits == cases[i].fits, "%s", cases[i].duration);
        CHECK(!fits || ms == cases[i].ms, "%s", cases[i].duration);
    }
}

/* ---- the fence ---- */

static void fences_are_whole_numbers_with_room_above(void **state)
{
    static const struct {
        const char *fence;
        int understood;
        uint64_t value;
    } cases[] = {
        { "{\"N\":\"1\"}", 1, 1 },
        { "{\"N\":\"1440938160000\"}", 1, 1440938160000 },
        { "{\"N\":\"9223372036854775806\"}", 1, INT64_MAX - 1 },
        { "{\"N\":\"9223372036854775807\"}", 0, 0 },
        { "{\"N\":\"18446744073709551615\"}", 0, 0 },
        { "{\"N\":\"18446744073709551617\"}", 0, 0 },
        { "{\"N\":\"99999999999999999999999999999999999999\"}", 0, 0 },
        { "{\"N\":\"-1\"}", 0, 0 },
        { "{\"N\":\"1.5\"}", 0, 0 },
        { "{\"N\":\"1E+2\"}", 0, 0 },
        { "{\"N\":\"\"}", 0, 0 },
        { "{\"N\":7}", 0, 0 },
        { "{\"S\":\"7\"}", 0, 0 },
        { "{\"B\":\"7\"}", 0, 0 },
        { "{\"NULL\":true}", 0, 0 },
        { "{\"N\":\"7\",\"S\":\"7\"}", 0, 0 },
        { "{\"NS\":[\"7\"]}", 0, 0 },
        { "{}", 0, 0 },
        { "7", 0, 0 },
    };
    static const char *const rests[] = { LEASE, LEASE RELEASED };
    static const dl_item_kind kinds[] = { DL_ITEM_LIVE, DL_ITEM_FREE };
    char document[512];
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(cases); i++)
        for (j = 0; j < COUNT(rests); j++) {
            answer got;

            snprintf(document, sizeof document,
                "{\"Item\":{" KEY OWNER RVN "%s,\"fence\":%s}}", rests[j],
                cases[i].fence);
            read_answer(&got, document);
            CHECK(got.item.kind ==
                      (cases[i].understood ? kinds[j] : DL_ITEM_FOREIGN),
                "%s", document);
            CHECK(
                !cases[i].understood || (got.item.fence != DL_NO_FENCE &&
                                            got.item.fence == cases[i].value),
                "%s", document);
            forget(&got);
        }
}

static void an_item_without_fence_has_none(void **state)
{
    answer got;

    (void)state;
    read_answer(&got, "{\"Item\":{" KEY OWNER LEASE RVN "}}");
    assert_true(got.item.fence == DL_NO_FENCE);
    forget(&got);
}

/* ---- owner and version number ---- */

/* An item whose attribute is unit so many times, and the rest as usual. */
static void read_repeated(
    answer *into, const char *name, const char *unit, size_t times)
{
    char document[8192];

    snprintf(document, sizeof document, "{\"Item\":{" KEY LEASE FENCE "%s",
        strcmp(name, "ownerName") == 0 ? RVN : OWNER);
    snprintf(document + strlen(document), 64, ",\"%s\":{\"S\":\"", name);
    assert_in_range(
        strlen(document) + times * strlen(unit), 1, sizeof document - 8);
    while (times-- != 0) strcat(document, unit);
    strcat(document, "\"}}}");
    read_answer(into, document);
}

static void check_size(
    const char *name, const char *unit, size_t times, dl_item_kind kind)
{
    answer got;

    read_repeated(&got, name, unit, times);
    CHECK(got.item.kind == kind, "%s of %zu times %s", name, times, unit);
    forget(&got);
}

/* In the item as in memory: a quote is two bytes there, one here. */
static void owners_that_fit_are_understood(void **state)
{
    (void)state;
    check_size("ownerName", "o", 1, DL_ITEM_LIVE);
    check_size("ownerName", "o", DYNALOCK_OWNER_SIZE - 1, DL_ITEM_LIVE);
    check_size("ownerName", "\342\202\254", (DYNALOCK_OWNER_SIZE - 1) / 3,
        DL_ITEM_LIVE);
    check_size(
        "ownerName", "\\u20ac", (DYNALOCK_OWNER_SIZE - 1) / 3, DL_ITEM_LIVE);
    check_size("ownerName", "\\\\", 100, DL_ITEM_LIVE);
}

static void an_owner_of_quotes_is_understood(void **state)
{
    (void)state;
    check_size("ownerName", "\\\"", DYNALOCK_OWNER_SIZE - 1, DL_ITEM_LIVE);
}

/* "An owner or version number that does not fit makes an item
   DYNALOCK_FOREIGN." */
static void owners_that_do_not_fit_are_foreign(void **state)
{
    (void)state;
    check_size("ownerName", "o", 5000, DL_ITEM_FOREIGN);
    check_size("ownerName", "o", 2 * DYNALOCK_OWNER_SIZE, DL_ITEM_FOREIGN);
    check_size("ownerName", "o", DYNALOCK_OWNER_SIZE, DL_ITEM_FOREIGN);
}

static void owners_are_unescaped(void **state)
{
    static const char owner[] = "a\"\\/\n\303\251\360\237\230\200\0z";
    answer got;

    (void)state;
    read_answer(&got,
        "{\"Item\":{" KEY LEASE RVN FENCE
        ",\"ownerName\":{\"S\":\"a\\\"\\\\\\/\\n\\u00e9\\ud83d\\ude00\\u0000z"
        "\"}}}");
    assert_int_equal(got.item.kind, DL_ITEM_LIVE);
    assert_int_equal(got.item.found[DL_FOUND_OWNER].size, sizeof owner - 1);
    assert_memory_equal(
        got.item.found[DL_FOUND_OWNER].text, owner, sizeof owner - 1);
    forget(&got);
}

static void owners_of_another_type_are_foreign(void **state)
{
    static const char *const owners[] = { "{\"N\":\"1\"}", "{\"B\":\"YQ==\"}",
        "{\"NULL\":true}", "{\"S\":null}", "{\"SS\":[\"a\"]}", "\"a\"", "{}" };
    char attributes[256];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(owners); i++) {
        snprintf(attributes, sizeof attributes,
            KEY LEASE RVN FENCE ",\"ownerName\":%s", owners[i]);
        CHECK(kind_of(attributes) == DL_ITEM_FOREIGN, "%s", owners[i]);
    }
}

static void version_numbers_that_fit_are_understood(void **state)
{
    (void)state;
    check_size("recordVersionNumber", "v", 1, DL_ITEM_LIVE);
    check_size("recordVersionNumber", "v", 36, DL_ITEM_LIVE);
    check_size(
        "recordVersionNumber", "v", DYNALOCK_RVN_SIZE - 1, DL_ITEM_LIVE);
    check_size("recordVersionNumber", "\\u00e9", (DYNALOCK_RVN_SIZE - 1) / 2,
        DL_ITEM_LIVE);
}

static void a_version_number_of_quotes_is_understood(void **state)
{
    (void)state;
    check_size(
        "recordVersionNumber", "\\\"", DYNALOCK_RVN_SIZE - 1, DL_ITEM_LIVE);
}

static void version_numbers_that_do_not_fit_are_foreign(void **state)
{
    (void)state;
    check_size("recordVersionNumber", "v", 0, DL_ITEM_FOREIGN);
    check_size("recordVersionNumber", "v", DYNALOCK_RVN_SIZE, DL_ITEM_FOREIGN);
    check_size(
        "recordVersionNumber", "v", 2 * DYNALOCK_RVN_SIZE, DL_ITEM_FOREIGN);
    check_size("recordVersionNumber", "v", 5000, DL_ITEM_FOREIGN);
    check_size("recordVersionNumber", "\\u0000", 1, DL_ITEM_FOREIGN);
    check_size("recordVersionNumber", "a\\u0000b", 1, DL_ITEM_FOREIGN);
}

static void version_numbers_of_another_type_are_foreign(void **state)
{
    static const char *const rvns[] = { "{\"N\":\"1\"}", "{\"B\":\"YQ==\"}",
        "{\"S\":1}", "\"v\"", "{}", "null" };
    static const char *const rests[] = { LEASE, LEASE RELEASED };
    char attributes[256];
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(rvns); i++)
        for (j = 0; j < COUNT(rests); j++) {
            snprintf(attributes, sizeof attributes,
                KEY OWNER FENCE "%s,\"recordVersionNumber\":%s", rests[j],
                rvns[i]);
            CHECK(kind_of(attributes) == DL_ITEM_FOREIGN, "%s", attributes);
        }
}

/* ---- one table, many libraries ---- */

#define JAVA OWNER LEASE RVN
#define DLM ",\"release_code\":{\"S\":\"48d51122fd4d4d408ed3845bfaccf761\"}"
#define CHAINSAWS                                                             \
    ",\"_ptn\":{\"S\":\"distributed_lock\"},\"owner_id\":{\"S\":\"a\"},"      \
    "\"last_renewed_at\":{\"NULL\":true},\"metadata\":{\"M\":{\"pid\":"       \
    "{\"N\":\"1\"}}}"
#define GO                                                                    \
    ",\"timestamp\":{\"N\":\"1700000000\"},\"ttl\":{\"N\":\"2592000\"},"      \
    "\"deleteOnRelease\":{\"BOOL\":false},\"data\":{\"S\":\"a\"}"
#define GO_OWNER ",\"owner\":{\"S\":\"a\"}"
#define GO_HELD ",\"isReleased\":{\"BOOL\":false}"
#define GO_FREE ",\"isReleased\":{\"BOOL\":true}"

enum { /* whose rows a layout understands */
    OF_STANDARD = 1,
    OF_DYNALOCK_PY = 2,
    OF_DLM = 4,
    OF_CHAINSAWS = 8,
    OF_GO = 16
};

/* What each layout makes of a row: as the one that it is of says, and left
   alone by all others. */
static void check_row(const char *row, unsigned of, dl_item_kind kind)
{
    const struct {
        dynalock_layout *layout;
        unsigned of;
    } layouts[] = { { dynalock_standard(), OF_STANDARD },
        { dynalock_for_dynamolock(), OF_STANDARD },
        { dynalock_for_dynalock_py(), OF_DYNALOCK_PY },
        { dynalock_for_dynamo_dlm(), OF_DLM },
        { dynalock_for_chainsaws(), OF_CHAINSAWS },
        { dynalock_for_dynalock_go(), OF_GO } };
    char document[1024];
    size_t i;

    (void)snprintf(document, sizeof document, "{\"Item\":{" KEY "%s}}", row);
    for (i = 0; i < COUNT(layouts); i++) {
        answer got;

        read_answer_as(&got, layouts[i].layout, document);
        CHECK(got.item.kind ==
                  ((layouts[i].of & of) != 0 ? kind : DL_ITEM_FOREIGN),
            "layout %zu reads %s as %d", i, row, (int)got.item.kind);
        forget(&got);
    }
}

static void rows_of_other_libraries_are_left_alone(void **state)
{
    (void)state;
    check_row(JAVA, OF_STANDARD, DL_ITEM_LIVE);
    check_row(OWNER RVN ",\"leaseDuration\":{\"S\":\"20s\"}", OF_STANDARD,
        DL_ITEM_LIVE);
    check_row(",\"TTL\":{\"N\":\"1700000060\"}", OF_DYNALOCK_PY, DL_ITEM_LIVE);
    check_row(DLM ",\"expires\":{\"N\":\"1700000060\"}", OF_DLM, DL_ITEM_LIVE);
    check_row(CHAINSAWS ",\"expires_at\":{\"N\":\"1700000060\"}", OF_CHAINSAWS,
        DL_ITEM_LIVE);
    check_row(GO GO_OWNER GO_HELD, OF_GO, DL_ITEM_LIVE);
    check_row("", 0, DL_ITEM_FOREIGN);
}

static void what_they_have_let_go_is_free_to_their_layout_alone(void **state)
{
    (void)state;
    check_row(JAVA RELEASED, OF_STANDARD, DL_ITEM_FREE);
    check_row(",\"TTL\":{\"N\":\"1699996400\"}", OF_DYNALOCK_PY, DL_ITEM_FREE);
    check_row(DLM ",\"expires\":{\"N\":\"1699996400\"}", OF_DLM, DL_ITEM_FREE);
    check_row(CHAINSAWS ",\"expires_at\":{\"N\":\"1699996400\"}", OF_CHAINSAWS,
        DL_ITEM_FREE);
    check_row(GO GO_OWNER GO_FREE, OF_GO, DL_ITEM_FREE);
}

/* As text, in milliseconds, years ago, a duration, another type, not there. */
static void an_expiry_that_is_no_time_is_left_alone(void **state)
{
    static const char *const rows[] = {
        ",\"TTL\":", DLM ",\"expires\":", CHAINSAWS ",\"expires_at\":"
    };
    static const char *const values[] = { "{\"S\":\"1700000060\"}",
        "{\"S\":\"1699996400\"}", "{\"N\":\"1700000060000\"}",
        "{\"N\":\"1699996400000\"}", "{\"N\":\"1384467200\"}",
        "{\"N\":\"2592000\"}", "{\"N\":\"0\"}", "{\"N\":\"-1\"}",
        "{\"N\":\"1700000060.5\"}", "{\"N\":\"1.7E9\"}", "{\"BOOL\":true}",
        "{\"NULL\":true}", "{\"L\":[{\"N\":\"1699996400\"}]}",
        "{\"M\":{\"N\":{\"N\":\"1699996400\"}}}" };
    char row[512];
    size_t i, k;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        for (k = 0; k < COUNT(values); k++) {
            (void)snprintf(row, sizeof row, "%s%s", rows[i], values[k]);
            check_row(row, 0, DL_ITEM_FOREIGN);
        }
    check_row(DLM, 0, DL_ITEM_FOREIGN);
    check_row(CHAINSAWS, 0, DL_ITEM_FOREIGN);
}

static void a_row_with_a_part_missing_or_mistyped_is_left_alone(void **state)
{
    (void)state;
    check_row(LEASE RVN, 0, DL_ITEM_FOREIGN);
    check_row(OWNER RVN, 0, DL_ITEM_FOREIGN);
    check_row(OWNER LEASE, 0, DL_ITEM_FOREIGN);
    check_row(OWNER LEASE ",\"recordVersionNumber\":{\"N\":\"1\"}", 0,
        DL_ITEM_FOREIGN);
    check_row(JAVA ",\"fence\":{\"S\":\"7\"}", 0, DL_ITEM_FOREIGN);
    check_row(",\"TTL\":{\"N\":\"1700000060\"},\"fence\":{\"S\":\"7\"}", 0,
        DL_ITEM_FOREIGN);
    check_row(GO GO_HELD, 0, DL_ITEM_FOREIGN);
    check_row(GO GO_FREE, 0, DL_ITEM_FOREIGN);
    check_row(GO GO_OWNER, 0, DL_ITEM_FOREIGN);
    check_row(GO GO_HELD ",\"owner\":{\"N\":\"1\"}", 0, DL_ITEM_FOREIGN);
    check_row(
        GO GO_OWNER ",\"isReleased\":{\"S\":\"true\"}", 0, DL_ITEM_FOREIGN);
    check_row(GO GO_OWNER ",\"isReleased\":{\"N\":\"1\"}", 0, DL_ITEM_FOREIGN);
}

/* ---- the answer's memory ---- */

/* The size of the data that is left of so many characters; there: present. */
static size_t size_of_data(size_t size, int *there)
{
    char document[65536] = "{\"Item\":{\"data\":{\"B\":\"";
    char *out = exact(NULL, DYNALOCK_ANSWER_SIZE);
    dynalock_token tokens[DYNALOCK_TOKENS];
    dynalock_filter filter;
    dl_json json;
    dl_found found;

    memset(document + strlen(document), 'A', size);
    strcat(document, "\"}}}");
    dl_filter_begin(&filter, standard_wants(), out, DYNALOCK_ANSWER_SIZE);
    dl_put(&filter.sink, document, strlen(document));
    dl_json_parse(&json, &filter, tokens, DYNALOCK_TOKENS);
    dl_json_attribute(
        &json, dl_json_member(&json, 0, "Item"), "data", "B", &found);
    *there = found.there;
    free(out);
    return found.size;
}

static void data_up_to_its_size_is_kept(void **state)
{
    int there;

    (void)state;
    assert_int_equal(size_of_data(4, &there), 4);
    assert_int_equal(
        size_of_data(DYNALOCK_DATA_TEXT, &there), DYNALOCK_DATA_TEXT);
    assert_int_equal(size_of_data(DYNALOCK_DATA_TEXT + 4, &there), 0);
    assert_true(there);
}

/* So many bytes of x, quoted, behind what is there. */
static void append(char *document, const char *head, size_t size)
{
    strcat(document, head);
    while (size-- != 0) strcat(document, "x");
    strcat(document, "\"");
}

/* Texts are cut, attributes are the longest that are kept: all of them have
   room, and tokens, at once. */
static void an_answer_holds_the_longest_of_everything(void **state)
{
    static const char *const texts[] = { "{\"__type\":\"", ",\"message\":\"",
        ",\"Message\":\"" };
    const dl_want *want;
    char document[65536], *out = exact(NULL, DYNALOCK_ANSWER_SIZE);
    dynalock_token tokens[DYNALOCK_TOKENS];
    dynalock_filter filter;
    dl_json json;
    size_t i;

    (void)state;
    document[0] = '\0';
    for (i = 0; i < COUNT(texts); i++) append(document, texts[i], 1000);
    strcat(document, ",\"Item\":{\"x\":1");
    for (want = standard_wants(); want->name != NULL; want++) {
        snprintf(document + strlen(document), 64, ",\"%s\":{\"", want->name);
        append(document, "S\":\"", want->limit - 1u - 8u);
        strcat(document, "}");
    }
    strcat(document, "}}");
    dl_filter_begin(&filter, standard_wants(), out, DYNALOCK_ANSWER_SIZE);
    dl_put(&filter.sink, document, strlen(document));
    dl_json_parse(&json, &filter, tokens, DYNALOCK_TOKENS);
    assert_in_range(json.count, 1, DYNALOCK_TOKENS);
    for (want = standard_wants(); want->name != NULL; want++) {
        dl_found found;

        dl_json_attribute(
            &json, dl_json_member(&json, 0, "Item"), want->name, "S", &found);
        CHECK(found.size == want->limit - 1u - 8u, "%s", want->name);
    }
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_item_is_absent),
        cmocka_unit_test(a_live_item_says_all),
        cmocka_unit_test(a_released_item_says_its_fence),
        cmocka_unit_test(released_is_exactly_the_text_1),
        cmocka_unit_test(what_is_understood_without),
        cmocka_unit_test(what_is_no_item_is_foreign),
        cmocka_unit_test(leases_are_milliseconds_or_go_durations),
        cmocka_unit_test(durations_are_read_or_refused),
        cmocka_unit_test(fences_are_whole_numbers_with_room_above),
        cmocka_unit_test(an_item_without_fence_has_none),
        cmocka_unit_test(owners_that_fit_are_understood),
        cmocka_unit_test(an_owner_of_quotes_is_understood),
        cmocka_unit_test(owners_that_do_not_fit_are_foreign),
        cmocka_unit_test(owners_are_unescaped),
        cmocka_unit_test(owners_of_another_type_are_foreign),
        cmocka_unit_test(version_numbers_that_fit_are_understood),
        cmocka_unit_test(a_version_number_of_quotes_is_understood),
        cmocka_unit_test(version_numbers_that_do_not_fit_are_foreign),
        cmocka_unit_test(version_numbers_of_another_type_are_foreign),
        cmocka_unit_test(rows_of_other_libraries_are_left_alone),
        cmocka_unit_test(what_they_have_let_go_is_free_to_their_layout_alone),
        cmocka_unit_test(an_expiry_that_is_no_time_is_left_alone),
        cmocka_unit_test(a_row_with_a_part_missing_or_mistyped_is_left_alone),
        cmocka_unit_test(data_up_to_its_size_is_kept),
        cmocka_unit_test(an_answer_holds_the_longest_of_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
