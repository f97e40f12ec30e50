/*
What Frama-C's Eva is given: the implementation without TLS, and input of which
it may assume nothing but its size.
*/
#include <__fc_builtin.h>

#define DYNALOCK_NO_TLS
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

/* Each value is looked at by itself. */
#define EACH(least, most) Frama_C_interval_split(least, most)

static void make_any(void *memory, size_t size)
{
    Frama_C_make_unknown((char *)memory, size);
}

/* Of memory of `most` bytes the last ones: whoever goes beyond them goes beyond
   the memory. */
static char *make_bytes(char *memory, size_t most, size_t size)
{
    make_any(memory, most);
    return memory + (most - size);
}

/* The same without NUL, and a NUL behind it. */
static char *make_text(char *memory, size_t most, size_t size)
{
    char *text = make_bytes(memory, most, size);
    size_t i;

    for (i = 0; i < size; i++)
        if (text[i] == '\0') text[i] = 'x';
    text[size] = '\0';
    return text;
}
