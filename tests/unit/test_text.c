/* == text: numbers, hex, base64, JSON strings, UTF-8, templates, dates. */

#include "support.h"
#define VECTORS_BASE64
#define VECTORS_DATE
#include "../vectors.h"

/* ---- sinks ---- */

static void a_span_shows_any_window_and_counts_all(void **state)
{
    static const char whole[] = "0123456789";
    size_t skip, capacity;

    (void)state;
    for (skip = 0; skip <= 12; skip++)
        for (capacity = 0; capacity <= 12; capacity++) {
            char *window = exact(NULL, capacity);
            size_t rest = skip < 10 ? 10 - skip : 0;
            dl_span span;
            dl_sink *sink = dl_span_open(&span, window, capacity, skip);

            dl_put(sink, whole, 3);
            dl_put(sink, whole + 3, 0);
            dl_put(sink, whole + 3, 7);
            assert_int_equal(span.total, 10);
            assert_int_equal(span.used, rest < capacity ? rest : capacity);
            assert_memory_equal(window, whole + (10 - rest), span.used);
            free(window);
        }
}

/* ---- numbers ---- */

static void decimals_are_written_in_full(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { 9, "9" },
        { 10, "10" },
        { 1000, "1000" },
        { 4294967296, "4294967296" },
        { UINT64_C(9223372036854775808), "9223372036854775808" },
        { UINT64_MAX, "18446744073709551615" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        sheet page;

        dl_put_decimal(sheet_open(&page), cases[i].value);
        CHECK(sheet_is(&page, text_of(cases[i].text)), "%s", cases[i].text);
    }
}

static void decimals_are_read_if_whole_and_not_over_the_bound(void **state)
{
    static const struct {
        const char *text;
        uint64_t most;
        int fits;
        uint64_t value;
    } cases[] = {
        { "0", 0, 1, 0 },
        { "7", 7, 1, 7 },
        { "8", 7, 0, 0 },
        { "0042", 42, 1, 42 },
        { "9999999999999999999", UINT64_MAX, 1,
            UINT64_C(9999999999999999999) },
        { "9223372036854775807", INT64_MAX, 1, INT64_MAX },
        { "9223372036854775808", INT64_MAX, 0, 0 },
        { "18446744073709551617", UINT64_MAX, 0, 0 },
        { "00000000000000000001", UINT64_MAX, 0, 0 },
        { "", UINT64_MAX, 0, 0 },
        { "-1", UINT64_MAX, 0, 0 },
        { "+1", UINT64_MAX, 0, 0 },
        { " 1", UINT64_MAX, 0, 0 },
        { "1 ", UINT64_MAX, 0, 0 },
        { "1.0", UINT64_MAX, 0, 0 },
        { "1e3", UINT64_MAX, 0, 0 },
        { "0x10", UINT64_MAX, 0, 0 },
        { "1/", UINT64_MAX, 0, 0 },
        { "1:", UINT64_MAX, 0, 0 },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        uint64_t value = 0;
        int fits = dl_read_decimal(
            cases[i].text, strlen(cases[i].text), cases[i].most, &value);

        CHECK(fits == cases[i].fits, "\"%s\"", cases[i].text);
        CHECK(!fits || value == cases[i].value, "\"%s\"", cases[i].text);
    }
}

static void divide_agrees_with_the_compiler(void **state)
{
    static const uint64_t values[] = { 0, 1, 9, 10, 59, 60, 65535, 65536,
        4294967295, 4294967296, 1440938160123, INT64_MAX,
        UINT64_C(0xfffeffffffff0000), UINT64_MAX };
    static const uint32_t divisors[] = { 1, 2, 3, 10, 24, 60, 1000, 32768,
        65535 };
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(values); i++)
        for (j = 0; j < COUNT(divisors); j++) {
            uint64_t quotient = values[i];
            uint32_t rest = dl_divide(&quotient, divisors[j]);

            assert_true(quotient == values[i] / divisors[j]);
            assert_true(rest == values[i] % divisors[j]);
        }
}

/* ---- hex and base64 ---- */

static void hex_is_lower_case(void **state)
{
    static const uint8_t bytes[] = { 0x00, 0x0f, 0xf0, 0x9a, 0xbc, 0xff };
    sheet page;

    (void)state;
    dl_put_hex(sheet_open(&page), bytes, sizeof bytes);
    assert_true(sheet_is(&page, text_of("000ff09abcff")));
    dl_put_hex(sheet_open(&page), bytes, 0);
    assert_true(sheet_is(&page, text_of("")));
}

static void base64_is_written_with_padding(void **state)
{
    uint8_t bytes[1024];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bytes; i++) bytes[i] = VECTORS_BYTE(i);
    for (i = 0; i < COUNT(vectors_base64); i++) {
        size_t length = vectors_base64[i].length;
        sheet page;

        assert_in_range(length, 0, sizeof bytes);
        dl_put_base64(sheet_open(&page), bytes, length);
        CHECK(sheet_is(&page, text_of(vectors_base64[i].text)), "%zu bytes",
            length);
    }
}

static void base64_has_64_digits(void **state)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t bytes[48];
    size_t i;
    sheet page;

    (void)state;
    assert_int_equal(dl_base64_decode(bytes, 48, digits, 64), 48);
    for (i = 0; i < 16; i++) {
        uint32_t four = (uint32_t)bytes[3 * i] << 16 |
                        (uint32_t)bytes[3 * i + 1] << 8 | bytes[3 * i + 2];

        assert_int_equal(four >> 18, 4 * i);
        assert_int_equal(four & 63, 4 * i + 3);
    }
    dl_put_base64(sheet_open(&page), bytes, sizeof bytes);
    assert_true(sheet_is(&page, text_of(digits)));
}

/* Decodes a text that lies in memory of its own size into `capacity` bytes;
   returns what dl_base64_decode does. Free *out. */
static uint32_t decode(
    uint8_t **out, size_t capacity, const char *at, size_t size)
{
    char *source = exact(at, size);
    uint32_t used;

    *out = (uint8_t *)exact(NULL, capacity);
    used = dl_base64_decode(*out, capacity, source, size);
    free(source);
    return used;
}

static void base64_is_read_back_into_memory_that_just_fits(void **state)
{
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(vectors_base64); i++) {
        const char *at = vectors_base64[i].text;
        size_t length = vectors_base64[i].length;
        uint8_t *out;

        assert_int_equal(decode(&out, length, at, strlen(at)), length);
        for (j = 0; j < length; j++) assert_int_equal(out[j], VECTORS_BYTE(j));
        free(out);
        if (length == 0) continue;
        CHECK(decode(&out, length - 1, at, strlen(at)) == DYNALOCK_TOO_LONG,
            "%zu bytes in too little memory", length);
        free(out);
    }
}

static void base64_may_be_read_in_place(void **state)
{
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(vectors_base64); i++) {
        size_t size = strlen(vectors_base64[i].text);
        char *memory = exact(vectors_base64[i].text, size);
        uint32_t used =
            dl_base64_decode((uint8_t *)memory, size, memory, size);

        assert_int_equal(used, vectors_base64[i].length);
        for (j = 0; j < used; j++)
            assert_int_equal((uint8_t)memory[j], VECTORS_BYTE(j));
        free(memory);
    }
}

static void base64_is_read_strictly(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(vectors_base64_bad); i++) {
        uint8_t *out;
        uint32_t used = decode(&out, 64, vectors_base64_bad[i].text,
            vectors_base64_bad[i].text_length);

        free(out);
        CHECK(used == DYNALOCK_TOO_LONG, "\"%s\": %s",
            vectors_base64_bad[i].text, vectors_base64_bad[i].fault);
    }
}

/* ---- JSON strings ---- */

static void quoted_text_is_a_json_string(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        { "", "\"\"" },
        { "plain", "\"plain\"" },
        { "a\"b", "\"a\\\"b\"" },
        { "\"", "\"\\\"\"" },
        { "a\\", "\"a\\\\\"" },
        { "a/b", "\"a/b\"" },
        { "\x01", "\"\\u0001\"" },
        { "\b\t\n\f\r", "\"\\u0008\\u0009\\u000a\\u000c\\u000d\"" },
        { "\x1f ", "\"\\u001f \"" },
        { "\x7f", "\"\x7f\"" },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x92",
            "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x92\"" },
        { "\\u0041", "\"\\\\u0041\"" },
        { "\"\n\\\t", "\"\\\"\\u000a\\\\\\u0009\"" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        sheet page;

        dl_put_quoted(sheet_open(&page), cases[i].from);
        CHECK(sheet_is(&page, text_of(cases[i].to)), "%s", cases[i].to);
    }
}

static void unescaping_undoes_quoting(void **state)
{
    char all[256 - 31];
    size_t i;
    sheet page;

    (void)state;
    for (i = 0; i < sizeof all - 1; i++) all[i] = (char)(i + 32);
    all[i] = '\0';
    dl_put_quoted(sheet_open(&page), all);
    assert_int_equal(dl_unescape(page.text + 1, page.span.used - 2), i);
    assert_memory_equal(page.text + 1, all, i);
}

static void unescaping_reads_no_further_than_the_text(void **state)
{
    static const struct {
        slice from, to;
    } cases[] = {
        { TEXT(""), TEXT("") },
        { TEXT("\\b"), TEXT("\0") },
        { TEXT("a\\bb\x1f"), TEXT("a\0b\x1f") },
        { TEXT("\\\\b"), TEXT("\\b") },
        { TEXT("\\\\\\\""), TEXT("\\\"") },
        { TEXT("a\\"), TEXT("a\\") },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        char *memory = exact(cases[i].from.at, cases[i].from.size);
        size_t size = dl_unescape(memory, cases[i].from.size);

        CHECK(size == cases[i].to.size &&
                  memcmp(memory, cases[i].to.at, size) == 0,
            "%s", cases[i].from.at);
        free(memory);
    }
}

/* ---- UTF-8 ---- */

static void names_are_sound_utf8(void **state)
{
    static const char *const sound[] = { "a", "\x7f", "\xc2\x80", "\xdf\xbf",
        "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\x01", "a\xc3\xa9z" };
    static const char *const broken[] = { "\x80", "\xbf", "\xc0\x80",
        "\xc1\xbf", "\xc2", "\xc2z", "\xc2\xc2", "\xe0\x80\x80",
        "\xe0\x9f\xbf", "\xe1\x80", "\xe1\x80z", "\xed\xa0\x80",
        "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf1\x80\x80",
        "\xf1\x80\x80z", "\xf1\x80\xc0\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "a\x80",
        "\xc3\xa9\xa9" };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(sound); i++)
        CHECK(dl_is_name(sound[i], 9) == 1, "sound[%zu]", i);
    for (i = 0; i < COUNT(broken); i++)
        CHECK(dl_is_name(broken[i], 9) == 0, "broken[%zu]", i);
}

static unsigned count_names(unsigned first, unsigned last, size_t size)
{
    unsigned count = 0, head, tail;

    for (head = first; head <= last; head++)
        for (tail = 0; tail < (size == 3 ? 65536u : 256u); tail++) {
            char name[4] = { (char)head, (char)tail, '\0', '\0' };

            if (size == 3) name[2] = (char)(tail >> 8);
            if (strlen(name) == size) count += dl_is_name(name, size) != 0;
        }
    return count;
}

/* Of two bytes, two ASCII ones or one of 0x80..0x7ff; of three, from 0xc0 on,
   one of those and an ASCII one, or one of 0x800..0xffff but surrogates. */
static void there_are_as_many_names_as_utf8_has(void **state)
{
    (void)state;
    assert_int_equal(count_names(1, 255, 2), 127 * 127 + 1920);
    assert_int_equal(count_names(0xc0, 255, 3), 1920 * 127 + 63488 - 2048);
}

static void names_have_a_length(void **state)
{
    size_t size;

    (void)state;
    assert_int_equal(dl_is_name(NULL, 9), 0);
    assert_int_equal(dl_is_name("", 9), 0);
    for (size = 1; size <= 2049; size += size < 2047 ? 93 : 1) {
        char *name = exact(NULL, size + 1);

        memset(name, 'k', size);
        name[size] = '\0';
        assert_int_equal(dl_is_name(name, size), 1);
        assert_int_equal(dl_is_name(name, size - 1), 0);
        assert_int_equal(dl_is_name(name, 2048), size <= 2048);
        free(name);
    }
    assert_int_equal(dl_is_name("\xe2\x82\xac", 3), 1);
    assert_int_equal(dl_is_name("\xe2\x82\xac", 2), 0);
}

/* ---- templates ---- */

/* Field x is "<x>"; a flag is set if it is among those in context. */
static void put_letter(const dl_fields *fields, char letter, dl_sink *sink)
{
    (void)fields;
    dl_put(sink, "<", 1);
    dl_put(sink, &letter, 1);
    dl_put(sink, ">", 1);
}

static void templates_have_quotes_fields_and_groups(void **state)
{
    static const struct {
        const char *flags, *template, *text;
    } cases[] = {
        { "", "", "" },
        { "", "plain \" text", "plain \" text" },
        { "", "{'a':$b,'c':1}", "{\"a\":<b>,\"c\":1}" },
        { "", "$a$b", "<a><b>" },
        { "S", "a[Sb]c", "abc" },
        { "", "a[Sb]c", "ac" },
        { "S", "[S$x,'y']$z", "<x>,\"y\"<z>" },
        { "", "[S$x,'y']$z", "<z>" },
        { "AB", "1[A2[B3]4]5", "12345" },
        { "A", "1[A2[B3]4]5", "1245" },
        { "B", "1[A2[B3]4]5", "15" },
        { "", "1[A2[B3]4]5", "15" },
        { "A", "1[A2[B3[C4]]]5", "125" },
        { "C", "1[A2[B3[C4]]][C6]5", "165" },
        { "A", "[Ax][By]", "x" },
        { "B", "[Ax][By]", "y" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        const char *flag;
        dl_fields fields;
        sheet page;

        memset(&fields, 0, sizeof fields);
        fields.put = put_letter;
        for (flag = cases[i].flags; *flag != '\0'; flag++)
            fields.flags |= DL_FLAG(*flag);
        dl_put_template(sheet_open(&page), cases[i].template, &fields);
        CHECK(sheet_is(&page, text_of(cases[i].text)), "\"%s\" with \"%s\"",
            cases[i].template, cases[i].flags);
    }
}

/* ---- dates ---- */

static void dates_agree_with_the_c_library(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(vectors_date); i++) {
        char date[DL_DATE_SIZE];

        dl_date(date, (uint64_t)vectors_date[i].time * 1000);
        assert_string_equal(date, vectors_date[i].amz);
    }
}

typedef struct calendar {
    unsigned year, month, day;
} calendar;

static unsigned days_of_month(const calendar *day)
{
    static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
        30, 31 };
    int leap =
        (day->year % 4 == 0 && day->year % 100 != 0) || day->year % 400 == 0;

    return days[day->month - 1] + (day->month == 2 && leap ? 1 : 0);
}

static void tomorrow(calendar *day)
{
    if (day->day++ < days_of_month(day)) return;
    day->day = 1;
    if (day->month++ < 12) return;
    day->month = 1;
    day->year++;
}

static void dates_go_to_9999(void **state)
{
    static const struct {
        uint64_t second;
        const char *date;
    } cases[] = {
        { 13574649599, "24000229T235959Z" },
        { 13574649600, "24000301T000000Z" },
        { 253402300799, "99991231T235959Z" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        char date[DL_DATE_SIZE];

        dl_date(date, (uint64_t)cases[i].second * 1000);
        assert_string_equal(date, cases[i].date);
    }
}

/* For the 400 years after which the calendar repeats itself. */
static void every_day_follows_the_one_before(void **state)
{
    calendar day = { 1970, 1, 1 };
    uint64_t second = 86399;

    (void)state;
    for (; day.year <= 2370; tomorrow(&day), second += 86400) {
        char date[DL_DATE_SIZE];
        unsigned number = (day.year * 100 + day.month) * 100 + day.day;

        dl_date(date, (uint64_t)second * 1000);
        assert_string_equal(date + 8, "T235959Z");
        assert_int_equal(strtoul(date, NULL, 10), number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_shows_any_window_and_counts_all),
        cmocka_unit_test(decimals_are_written_in_full),
        cmocka_unit_test(decimals_are_read_if_whole_and_not_over_the_bound),
        cmocka_unit_test(divide_agrees_with_the_compiler),
        cmocka_unit_test(hex_is_lower_case),
        cmocka_unit_test(base64_is_written_with_padding),
        cmocka_unit_test(base64_has_64_digits),
        cmocka_unit_test(base64_is_read_back_into_memory_that_just_fits),
        cmocka_unit_test(base64_may_be_read_in_place),
        cmocka_unit_test(base64_is_read_strictly),
        cmocka_unit_test(quoted_text_is_a_json_string),
        cmocka_unit_test(unescaping_undoes_quoting),
        cmocka_unit_test(unescaping_reads_no_further_than_the_text),
        cmocka_unit_test(names_are_sound_utf8),
        cmocka_unit_test(there_are_as_many_names_as_utf8_has),
        cmocka_unit_test(names_have_a_length),
        cmocka_unit_test(templates_have_quotes_fields_and_groups),
        cmocka_unit_test(dates_agree_with_the_c_library),
        cmocka_unit_test(dates_go_to_9999),
        cmocka_unit_test(every_day_follows_the_one_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
