/*
What the fuzz targets share. A target is one file, tests/fuzz/fuzz_NAME.c, with
LLVMFuzzerTestOneInput; it may define options of dynalock.h before it includes
this. Its corpus, with what was once found, is tests/fuzz/corpus/NAME.

    make fuzz TARGET=http SECONDS=600           libFuzzer
    make fuzz TARGET=http ENGINE=afl            AFL++
    make build/replay/http                      the corpus alone, by any
    build/replay/http tests/fuzz/corpus/http    compiler
*/
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* What a target holds to be true of any input. */
#define REQUIRE(condition)                                                    \
    do {                                                                      \
        if (!(condition)) {                                                   \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,  \
                #condition);                                                  \
            abort();                                                          \
        }                                                                     \
    } while (0)

/* What of an item is read in the standard layout. */
static DYNALOCK_MAYBE_UNUSED const dynalock_want *standard_wants(void)
{
    static dynalock_want wants[DL_WANTS + 1];

    dl_want_names(wants, dynalock_standard());
    return wants;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* However a call ends. (A cast does not tell gcc so.) */
static DYNALOCK_MAYBE_UNUSED void ignore(dynalock_outcome rc)
{
    (void)rc;
}

/* Memory of just that size: a sanitizer sees each byte read or written beyond.
   A copy of data, unless that is NULL. Free it. */
static DYNALOCK_MAYBE_UNUSED char *memory(const void *data, size_t size)
{
    char *copy = (char *)malloc(size != 0 ? size : 1);

    REQUIRE(copy != NULL);
    if (data != NULL && size != 0) memcpy(copy, data, size);
    return copy;
}

/* What is left of an input. Behind its end all choices are 0. */
typedef struct input {
    const uint8_t *at;
    size_t size;
} input;

static DYNALOCK_MAYBE_UNUSED unsigned choose(input *in)
{
    if (in->size == 0) return 0;
    in->size--;
    return *in->at++;
}

static DYNALOCK_MAYBE_UNUSED unsigned choose_two(input *in)
{
    unsigned high = choose(in);

    return high << 8 | choose(in);
}

/* The next bytes, at most so many. */
static DYNALOCK_MAYBE_UNUSED input choose_bytes(input *in, size_t most)
{
    input part = *in;

    if (part.size > most) part.size = most;
    in->at += part.size;
    in->size -= part.size;
    return part;
}

/* Up to a byte that no text has, which is dropped. */
#define FUZZ_END 0xff
static DYNALOCK_MAYBE_UNUSED input choose_text(input *in)
{
    input part = *in;

    part.size = 0;
    while (part.size < in->size && part.at[part.size] != FUZZ_END) part.size++;
    in->at += part.size;
    in->size -= part.size;
    (void)choose(in);
    return part;
}

/* The same with a NUL behind it. Free it. */
static DYNALOCK_MAYBE_UNUSED char *choose_string(input *in)
{
    input part = choose_text(in);
    char *text = memory(NULL, part.size + 1);

    if (part.size != 0) memcpy(text, part.at, part.size);
    text[part.size] = '\0';
    return text;
}

#endif
