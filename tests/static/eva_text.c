/*
== text: every function that is given what others wrote, with every size up to
MOST.
*/
#include "eva.h"

#define MOST 16

static char out[8 * MOST];
static char bytes[MOST];
static char texts[MOST + 1];
static dl_span span;

static dl_sink *open_span(void)
{
    return dl_span_open(&span, out, sizeof out, 0);
}

static const uint8_t *any_bytes(size_t size)
{
    return (const uint8_t *)make_bytes(bytes, MOST, size);
}

static char *any_text(size_t size)
{
    return make_text(texts, MOST, size);
}

/* Memory of so many bytes, and no more. */
static char *room(size_t size)
{
    return out + sizeof out - size;
}

void prove_span(void)
{
    size_t first = (size_t)EACH(0, 4), second = (size_t)EACH(0, 4);
    size_t capacity = (size_t)EACH(0, 6);
    const char *data = (const char *)any_bytes(first + second);

    dl_span_open(&span, room(capacity), capacity, (size_t)EACH(0, 6));
    dl_put(&span.sink, data, first);
    dl_put(&span.sink, data + first, second);
}

void prove_numbers(void)
{
    uint64_t value;
    uint32_t divisor = Frama_C_unsigned_int_interval(1, 65535);

    make_any(&value, sizeof value);
    dl_put_decimal(open_span(), value);
    dl_put_hex32(open_span(), (uint32_t)value);
    dl_divide(&value, divisor);
}

void prove_hex(void)
{
    size_t size = (size_t)EACH(0, MOST);

    dl_put_hex(open_span(), any_bytes(size), size);
}

void prove_base64(void)
{
    size_t size = (size_t)EACH(0, MOST);

    dl_put_base64(open_span(), any_bytes(size), size);
}

void prove_base64_decode(void)
{
    size_t size = (size_t)EACH(0, MOST), capacity = (size_t)EACH(0, MOST);
    const char *text = (const char *)any_bytes(size);

    dl_base64_decode((uint8_t *)room(capacity), capacity, text, size);
}

void prove_base64_in_place(void)
{
    size_t size = (size_t)EACH(0, MOST);
    char *text = make_bytes(bytes, MOST, size);

    dl_base64_decode((uint8_t *)text, size, text, size);
}

void prove_escapes(void)
{
    dl_put_quoted(open_span(), any_text((size_t)EACH(0, 6)));
}

void prove_unescape(void)
{
    size_t size = (size_t)EACH(0, MOST);

    dl_unescape(make_bytes(bytes, MOST, size), size);
}

void prove_names(void)
{
    const char *text = any_text((size_t)EACH(0, MOST));

    dl_is_unset_or_name(text, (size_t)EACH(0, MOST));
    dl_count_plain(text, "-_.");
    dl_count(text, " \t");
    dl_begins(text, "transaction,");
}

void prove_reading(void)
{
    size_t size = (size_t)EACH(0, MOST), capacity = (size_t)EACH(1, MOST);
    const char *text = (const char *)any_bytes(size);
    uint64_t value;
    uint32_t word;

    dl_read_decimal(text, size, UINT64_MAX, &value);
    dl_read_word(text, size, &word);
    dl_equals(text, size, "key");
    dl_copy_text(room(capacity), capacity, text, size);
}

void prove_date(void)
{
    char date[DL_DATE_SIZE];
    uint64_t unix_ms = Frama_C_unsigned_long_long_interval(0, 253402300799999);

    dl_date(date, unix_ms);
}
