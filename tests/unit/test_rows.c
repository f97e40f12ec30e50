/* == layouts: which rows of other libraries are held, free, or left alone. */

#include "support.h"

#define NOW INT64_C(1700000000000)

/* What is read from a row of these attributes. */
static dl_item_kind kind_of(dynalock_layout *layout, const char *attributes)
{
    static dynalock_client client;
    dynalock_token tokens[DYNALOCK_TOKENS];
    char out[DYNALOCK_ANSWER_SIZE], document[4096];
    dynalock_filter filter;
    dl_item item;

    memset(&client, 0, sizeof client);
    client.config.layout = layout;
    dl_want_names(client.wants, layout);
    client.exchange.unix_ms = NOW;
    (void)snprintf(document, sizeof document, "{\"Item\":{%s}}", attributes);
    dl_filter_begin(&filter, client.wants, out, sizeof out);
    dl_put(&filter.sink, document, strlen(document));
    CHECK(filter.state == DL_JSON_DONE, "not JSON: %s", document);
    dl_json_parse(&client.json, &filter, tokens, DYNALOCK_TOKENS);
    dl_read_item(&client, &item);
    return item.kind;
}

typedef struct row {
    const char *what, *attributes;
    dl_item_kind kind;
} row;

static void check(dynalock_layout *layout, const row *rows, size_t count)
{
    for (; count != 0; count--, rows++)
        CHECK(
            kind_of(layout, rows->attributes) == rows->kind, "%s", rows->what);
}

/* A text of so many bytes. */
static const char *long_text(
    const char *before, size_t size, const char *after)
{
    static char text[2048];
    int n = snprintf(text, sizeof text, "%s", before);

    memset(text + n, 'x', size);
    strcpy(text + n + size, after);
    return text;
}

/* ---- DynaLock, the Python package ---- */

#define PY "\"LockId\":{\"S\":\"k\"},\"ownerName\":{\"S\":\"o\"},"
#define PY_HELD PY "\"TTL\":{\"N\":\"1700000020\"}"

static void rows_of_dynalock_py(void **state)
{
    static const row rows[] = {
        { "held", PY_HELD, DL_ITEM_LIVE },
        { "over for less than the grace", PY "\"TTL\":{\"N\":\"1699999996\"}",
            DL_ITEM_LIVE },
        { "over", PY "\"TTL\":{\"N\":\"1699999995\"}", DL_ITEM_FREE },
        { "five years ago", PY "\"TTL\":{\"N\":\"1542319999\"}",
            DL_ITEM_FOREIGN },
        { "no expiry", "\"ownerName\":{\"S\":\"o\"}", DL_ITEM_FOREIGN },
        { "the expiry is text", PY "\"TTL\":{\"S\":\"1700000020\"}",
            DL_ITEM_FOREIGN },
        { "renewed at its end, which says nothing here",
            PY_HELD ",\"last_renewed_at\":{\"N\":\"1700000020\"}",
            DL_ITEM_LIVE },
        { "a version of another type",
            PY_HELD ",\"recordVersionNumber\":{\"N\":\"1\"}",
            DL_ITEM_FOREIGN },
        { "an owner of another type",
            "\"ownerName\":{\"N\":\"1\"},\"TTL\":{\"N\":\"1700000020\"}",
            DL_ITEM_FOREIGN },
        { "a fence without room above",
            PY_HELD ",\"fence\":{\"N\":\"9223372036854775807\"}",
            DL_ITEM_FOREIGN },
    };

    (void)state;
    check(dynalock_for_dynalock_py(), rows, COUNT(rows));
}

static void versions_that_do_not_fit_are_foreign(void **state)
{
    static const char before[] = PY_HELD ",\"recordVersionNumber\":{\"S\":\"";
    size_t size;

    (void)state;
    assert_int_equal(kind_of(dynalock_for_dynalock_py(),
                         long_text(before, DYNALOCK_RVN_SIZE - 1, "\"}")),
        DL_ITEM_LIVE);
    for (size = DYNALOCK_RVN_SIZE; size < 5 * DYNALOCK_RVN_SIZE; size++)
        assert_int_equal(kind_of(dynalock_for_dynalock_py(),
                             long_text(before, size, "\"}")),
            DL_ITEM_FOREIGN);
}

/* ---- chainsaws ---- */

static void a_release_of_chainsaws_is_renewed_at_its_end(void **state)
{
    static const row rows[] = {
        { "held",
            "\"owner_id\":{\"S\":\"o\"},\"expires_at\":{\"N\":\"1700000020\"},"
            "\"last_renewed_at\":{\"N\":\"1700000019\"}",
            DL_ITEM_LIVE },
        { "released",
            "\"owner_id\":{\"S\":\"o\"},\"expires_at\":{\"N\":\"1700000020\"},"
            "\"last_renewed_at\":{\"N\":\"1700000020\"}",
            DL_ITEM_FREE },
    };

    (void)state;
    check(dynalock_for_chainsaws(), rows, COUNT(rows));
}

/* ---- kmdeveloping/dynalock ---- */

#define GO "\"owner\":{\"S\":\"o\"},"
#define GO_FREE GO "\"isReleased\":{\"BOOL\":true}"

static void rows_of_dynalock_go(void **state)
{
    static const row rows[] = {
        { "its own, held", GO "\"isReleased\":{\"BOOL\":false}",
            DL_ITEM_LIVE },
        { "its own, released", GO_FREE, DL_ITEM_FREE },
        { "released is a literal", GO "\"isReleased\":{\"S\":\"true\"}",
            DL_ITEM_FOREIGN },
        { "no owner", "\"isReleased\":{\"BOOL\":true}", DL_ITEM_FOREIGN },
        { "released, with a fence", GO_FREE ",\"fence\":{\"N\":\"7\"}",
            DL_ITEM_FREE },
        { "released, with a fence without room above",
            GO_FREE ",\"fence\":{\"N\":\"9223372036854775807\"}",
            DL_ITEM_FOREIGN },
        { "released, with a fence that is no number",
            GO_FREE ",\"fence\":{\"S\":\"7\"}", DL_ITEM_FOREIGN },
        { "released, with a version of another type",
            GO_FREE ",\"recordVersionNumber\":{\"N\":\"1\"}",
            DL_ITEM_FOREIGN },
    };

    (void)state;
    check(dynalock_for_dynalock_go(), rows, COUNT(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_dynalock_py),
        cmocka_unit_test(versions_that_do_not_fit_are_foreign),
        cmocka_unit_test(a_release_of_chainsaws_is_renewed_at_its_end),
        cmocka_unit_test(rows_of_dynalock_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
