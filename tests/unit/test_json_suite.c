/*
JSONTestSuite (github.com/nst/JSONTestSuite), all of it: what is JSON is
accepted, what is not is refused, and what may be either is decided here; and
each document as the answer to a write, as the item that a refusal shows, and
within that. tests/setup.sh brings the suite with Debian's source package of
liborcus.
*/
#include "world.h"
#include "support.h"

#include <dirent.h>
#include <sys/stat.h>

#define SUITE "build/suites/liborcus/test/json/validation"
#define MOST 400
#define HEAD 160

/* ---- the files ---- */

typedef struct document {
    char name[80];
    char *at;
    size_t size;
} document;

static document documents[MOST];
static size_t count;

static void read_document(const char *name)
{
    document *d = &documents[count++];
    char path[200];
    struct stat status;
    FILE *file;

    assert_in_range(count, 1, MOST);
    (void)snprintf(d->name, sizeof d->name, "%s", name);
    (void)snprintf(path, sizeof path, "%s/%s", SUITE, name);
    assert_int_equal(stat(path, &status), 0);
    d->size = (size_t)status.st_size;
    d->at = exact(NULL, d->size);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(d->at, 1, d->size, file), d->size);
    (void)fclose(file);
}

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_name[1] == '_';
}

static int read_suite(void **state)
{
    struct dirent **entries;
    int i, n = scandir(SUITE, &entries, is_case, alphasort);

    (void)state;
    CHECK(n >= 0, "no " SUITE ": run tests/setup.sh test");
    for (i = 0; i < n; i++) {
        read_document(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static int forget_suite(void **state)
{
    (void)state;
    while (count > 0) free(documents[--count].at);
    return 0;
}

/* ---- what is decided ---- */

/* Of what a parser may accept or refuse (i_). */
static const struct {
    const char *name; /* all that begin so */
    int files, accepted;
    const char *reason;
} decisions[] = {
    { "i_number_", 10, 1, "numbers are text here: none is too large" },
    { "i_object_key_lone_2nd_surrogate", 1, 0, "no Unicode text" },
    { "i_string_1st_surrogate_but", 1, 0, "no Unicode text" },
    { "i_string_1st_valid_surrogate", 1, 0, "no Unicode text" },
    { "i_string_incomplete_surrogate", 3, 0, "no Unicode text" },
    { "i_string_invalid_lonely_surrogate", 1, 0, "no Unicode text" },
    { "i_string_invalid_surrogate", 1, 0, "no Unicode text" },
    { "i_string_inverted_surrogates", 1, 0, "no Unicode text" },
    { "i_string_lone_second_surrogate", 1, 0, "no Unicode text" },
    { "i_string_UTF8_surrogate", 1, 0, "UTF-8 has no surrogates" },
    { "i_string_UTF-8_invalid_sequence", 1, 0, "not UTF-8" },
    { "i_string_invalid_utf-8", 1, 0, "not UTF-8" },
    { "i_string_iso_latin_1", 1, 0, "not UTF-8" },
    { "i_string_lone_utf8_continuation", 1, 0, "not UTF-8" },
    { "i_string_not_in_unicode_range", 1, 0, "no code point" },
    { "i_string_overlong_sequence", 3, 0, "UTF-8 has one form for each" },
    { "i_string_truncated-utf-8", 1, 0, "not UTF-8" },
    { "i_string_UTF-16LE", 1, 0, "RFC 8259 8.1: UTF-8" },
    { "i_string_utf16", 2, 0, "RFC 8259 8.1: UTF-8" },
    { "i_structure_500_nested_arrays", 1, 0, "over 95 levels: fixed memory" },
    { "i_structure_UTF-8_BOM", 1, 0, "RFC 8259 8.1: must not be added" },
};

static int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static int is_accepted(const document *d)
{
    size_t i;

    if (d->name[0] != 'i') return d->name[0] == 'y';
    for (i = 0; i < COUNT(decisions); i++)
        if (begins(d->name, decisions[i].name)) return decisions[i].accepted;
    fail_msg("%s: not decided", d->name);
    return 0;
}

/* Only an object can be an answer. */
static int is_answer(const document *d)
{
    size_t i = 0;

    while (i < d->size && strchr(" \t\r\n", d->at[i]) != NULL) i++;
    return i < d->size && d->at[i] == '{' && is_accepted(d);
}

static void the_suite_is_whole_and_decided(void **state)
{
    size_t i, k, y = 0, n = 0;

    (void)state;
    for (i = 0; i < count; i++) {
        y += documents[i].name[0] == 'y';
        n += documents[i].name[0] == 'n';
    }
    assert_int_equal(count, 318);
    assert_int_equal(y, 95);
    assert_int_equal(n, 188);
    for (k = 0; k < COUNT(decisions); k++) {
        int files = 0;

        for (i = 0; i < count; i++)
            files += begins(documents[i].name, decisions[k].name);
        CHECK(files == decisions[k].files, "%s: %d files", decisions[k].name,
            files);
    }
}

/* ---- the filter alone ---- */

static int filter_accepts(
    const char *before, const document *d, const char *after, size_t piece)
{
    char *out = exact(NULL, DYNALOCK_ANSWER_SIZE);
    dynalock_filter filter;
    size_t at, n;
    int accepted;

    dl_filter_begin(&filter, standard_wants(), out, DYNALOCK_ANSWER_SIZE);
    dl_put(&filter.sink, before, strlen(before));
    for (at = 0; at < d->size; at += n) {
        n = d->size - at < piece ? d->size - at : piece;
        dl_put(&filter.sink, d->at + at, n);
    }
    dl_put(&filter.sink, after, strlen(after));
    accepted = filter.state == DL_JSON_DONE;
    free(out);
    return accepted;
}

static void check_filter(const char *before, const char *after)
{
    static const size_t pieces[] = { (size_t)-1, 1, 3 };
    size_t i, k;

    for (i = 0; i < count; i++)
        for (k = 0; k < COUNT(pieces); k++)
            CHECK(filter_accepts(before, &documents[i], after, pieces[k]) ==
                      is_accepted(&documents[i]),
                "%s: not as decided between %s and %s", documents[i].name,
                before, after);
}

static void values_are_judged_where_nobody_wants_them(void **state)
{
    (void)state;
    check_filter("{\"x\":", "}");
    check_filter("{\"x\":[1,", ",{}],\"y\":{}}");
}

static void values_are_judged_where_they_are_wanted(void **state)
{
    (void)state;
    check_filter("{\"message\":", "}");
    check_filter("{\"Item\":{\"ownerName\":", "}}");
    check_filter("{\"Item\":{\"fence\":{\"N\":", "}}}");
}

static void an_answer_is_an_object(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < count; i++)
        CHECK(filter_accepts("", &documents[i], "", (size_t)-1) ==
                  is_answer(&documents[i]),
            "%s: not as decided", documents[i].name);
}

/* ---- as the answer to a write ---- */

static world w;
static dynalock_lock lock;
static struct {
    const char *before, *after;
    const document *d; /* NULL: the world answers */
    int status;
    char *bytes;
    size_t size, at;
} sent;

static int32_t read_hook(void *context, void *data, size_t size)
{
    if (sent.bytes == NULL) return world_read_hook(context, data, size);
    if (size > sent.size - sent.at) size = sent.size - sent.at;
    memcpy(data, sent.bytes + sent.at, size);
    sent.at += size;
    if (sent.at != sent.size) return (int32_t)size;
    w.answer_size = 0;
    free(sent.bytes);
    sent.bytes = NULL;
    return (int32_t)size;
}

static int send_document(world *of, int damage)
{
    size_t body;

    (void)damage;
    if (sent.d == NULL) return 0;
    body = strlen(sent.before) + sent.d->size + strlen(sent.after);
    free(sent.bytes); /* one that was not read to its end */
    sent.bytes = exact(NULL, HEAD + body);
    sent.size = (size_t)snprintf(sent.bytes, HEAD,
        "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", sent.status, body,
        sent.before);
    memcpy(sent.bytes + sent.size, sent.d->at, sent.d->size);
    sent.size += sent.d->size;
    memcpy(sent.bytes + sent.size, sent.after, strlen(sent.after));
    sent.size += strlen(sent.after);
    sent.at = 0;
    of->answer_at = 0;
    of->answer_size = 1; /* there is something to read */
    return 1;
}

static void begin(int status, const char *before, const char *after)
{
    sent.status = status;
    sent.before = before;
    sent.after = after;
    world_begin(&w);
    w.platform.read = read_hook;
    w.other = send_document;
    w.config.attempts = 1;
    world_ready(&w, &lock);
}

/* With an honest answer the same client takes the lock. */
static void check_usable(const document *d)
{
    sent.d = NULL;
    free(sent.bytes);
    sent.bytes = NULL;
    w.answer_size = 0;
    CHECK(dynalock_acquire(&w.client, &lock, 0) == DYNALOCK_OK,
        "not usable after %s", d->name);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_client_close(&w.client, 100), DYNALOCK_OK);
}

static void check_exchange(
    int status, const char *before, const char *after, int grants)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const document *d = &documents[i];
        dynalock_outcome rc;

        begin(status, before, after);
        sent.d = d;
        rc = dynalock_acquire(&w.client, &lock, 0);
        CHECK((rc == DYNALOCK_OK) == (grants && is_answer(d)), "%s: %d",
            d->name, (int)rc);
        CHECK((dynalock_remaining_ms(&w.client, &lock) != 0) ==
                  (rc == DYNALOCK_OK),
            "%s: held after %d", d->name, (int)rc);
        if (rc == DYNALOCK_OK) {
            sent.d = NULL;
            assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
        }
        check_usable(d);
    }
}

static void an_answer_of_json_grants_and_no_other(void **state)
{
    (void)state;
    check_exchange(200, "", "", 1);
}

#define REFUSED "{\"__type\":\"x#ConditionalCheckFailedException\","

static void what_a_refusal_shows_grants_nothing(void **state)
{
    (void)state;
    check_exchange(400, REFUSED "\"Item\":", "}", 0);
    check_exchange(400, REFUSED "\"Item\":{\"ownerName\":{\"S\":", "}}}", 0);
    check_exchange(400, "", "", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_suite_is_whole_and_decided),
        cmocka_unit_test(values_are_judged_where_nobody_wants_them),
        cmocka_unit_test(values_are_judged_where_they_are_wanted),
        cmocka_unit_test(an_answer_is_an_object),
        cmocka_unit_test(an_answer_of_json_grants_and_no_other),
        cmocka_unit_test(what_a_refusal_shows_grants_nothing),
    };

    return cmocka_run_group_tests(tests, read_suite, forget_suite);
}
