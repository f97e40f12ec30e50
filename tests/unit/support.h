/*
What the tests share. They include the implementation, so that the private
functions can be held to what their comments promise.
*/
#ifndef SUPPORT_H
#define SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

/* Fails unless the condition holds, and says in printf's words for which
   case. */
#define CHECK(condition, ...)                                                 \
    do {                                                                      \
        if (!(condition)) fail_msg(__VA_ARGS__);                              \
    } while (0)

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* A text that may hold NUL bytes; TEXT() makes one of a literal. */
typedef struct slice {
    const char *at;
    size_t size;
} slice;

#define TEXT(literal)                                                         \
    {                                                                         \
        literal, sizeof(literal) - 1                                          \
    }

static DYNALOCK_MAYBE_UNUSED slice text_of(const char *string)
{
    slice result;

    result.at = string;
    result.size = strlen(string);
    return result;
}

/* What of an item is read in the standard layout. */
static DYNALOCK_MAYBE_UNUSED const dynalock_want *standard_wants(void)
{
    static dynalock_want wants[DL_WANTS + 1];

    dl_want_names(wants, dynalock_standard());
    return wants;
}

/* Memory of just that size: a sanitizer sees each byte read or written beyond.
   A copy of data, unless that is NULL. Free it. */
static DYNALOCK_MAYBE_UNUSED char *exact(const void *data, size_t size)
{
    char *copy = (char *)malloc(size != 0 ? size : 1);

    assert_non_null(copy);
    if (data != NULL && size != 0) memcpy(copy, data, size);
    return copy;
}

/*
How an input can arrive: way 0 is in one piece, way 1 byte by byte, and the
others cut it in two, at each position once.
*/
static DYNALOCK_MAYBE_UNUSED size_t ways_to_feed(size_t size)
{
    return size == 0 ? 1 : size + 1;
}

static DYNALOCK_MAYBE_UNUSED size_t next_piece(
    size_t way, size_t at, size_t size)
{
    if (way == 1) return 1;
    if (way != 0 && at < way - 1) return way - 1 - at;
    return size - at;
}

/* What was written to a sink. */
typedef struct sheet {
    dl_span span;
    char text[8192];
} sheet;

static DYNALOCK_MAYBE_UNUSED dl_sink *sheet_open(sheet *page)
{
    return dl_span_open(&page->span, page->text, sizeof page->text, 0);
}

static DYNALOCK_MAYBE_UNUSED int sheet_is(const sheet *page, slice expected)
{
    return page->span.total == expected.size &&
           memcmp(page->text, expected.at, expected.size) == 0;
}

#endif
