/*
The filter of == json: from any state, any byte. Of the state is taken for
granted what the step then shows of itself again: its limit and what is used
are within its memory, no bracket is open at depth 0, a literal's next letter
is one of dl_json_literals. What Eva, which knows of no relation between two
numbers, cannot show is in alarms.txt.
*/
#include "eva.h"

#define SIZE 24 /* of the filter's memory */

static const dl_want wants[] = {
    { "key", 8, DL_EXPECT_ATTRIBUTE },
    { "name", 65535, DL_EXPECT_ATTRIBUTE },
    { NULL, 0, 0 },
};

static dynalock_filter filter;
static char out[SIZE];

static void any_filter(int depth)
{
    make_any(&filter, sizeof filter);
    make_any(out, sizeof out);
    filter.sink.take = dl_filter_take;
    filter.size = SIZE;
    filter.out = out;
    filter.wants = wants;
    filter.open[0] = 0;
    if (depth == 4) depth = Frama_C_interval(4, DYNALOCK_DEPTH - 1);
    filter.depth = (uint8_t)depth;
    filter.limit = Frama_C_unsigned_short_interval(0, SIZE);
    filter.used = Frama_C_unsigned_short_interval(depth > 0, SIZE - 1);
    filter.literal = Frama_C_unsigned_char_interval(1, 14);
}

void prove_begin(void)
{
    dl_filter_begin(&filter, wants, out, SIZE);
    //@ assert within: filter.limit <= SIZE && filter.used < SIZE;
    //@ assert closed: filter.open[0] == 0 && filter.depth == 0;
}

/* Both halves of a pair, and what has one byte, two and three in UTF-8. */
static const uint32_t least_code[] = { 1, 0x1000, 0x1008, 0x1080, 0x1d80,
    0x1dc0, 0x1e00, 0x2000 };

/* Letters by themselves, as dl_json_hex asks for a digit after it has used
   it. */
static char any_byte(int kind)
{
    if (kind == 0) return Frama_C_char_interval('0', '9');
    if (kind == 1) return Frama_C_char_interval('a', 'f');
    return Frama_C_char_interval(-128, 127);
}

/* What is compared with each other is exact. */
void prove_step(void)
{
    any_filter(EACH(0, 4));
    filter.state = (uint8_t)EACH(0, DL_JSON_BAD);
    if (filter.state == DL_JSON_HEX) return;
    filter.keep = (uint8_t)EACH(0, DL_KEEP_NONE);
    filter.expect = (uint8_t)Frama_C_interval(0, DL_EXPECT_SCALAR);
    if (filter.depth == 0 && filter.state != DL_JSON_VALUE &&
        filter.state != DL_JSON_DONE)
        return;                        /* an answer is an object */
    if (filter.keep == DL_KEEP_NAME) { /* see dl_filter_name */
        filter.expect = DL_EXPECT_OBJECT;
        filter.limit = SIZE - DL_RESERVE;
        filter.used =
            Frama_C_unsigned_short_interval(1, SIZE - DL_RESERVE - 1);
    }
    if (filter.keep == DL_KEEP_NAME && filter.state == DL_JSON_STRING) {
        filter.used = (uint16_t)EACH(1, SIZE - DL_RESERVE - 1);
        filter.start = (uint16_t)EACH(0, SIZE - DL_RESERVE - 2);
        if (filter.start >= filter.used) return;
    }
    dl_filter_byte(&filter, any_byte(2));
    //@ assert limit: filter.limit <= SIZE;
    //@ assert depth: filter.depth < DYNALOCK_DEPTH;
    //@ assert open: filter.open[0] == 0;
    //@ assert state: filter.state <= DL_JSON_BAD;
}

/* Of an escape's code point, in any text. */
void prove_hex(void)
{
    int code = EACH(0, 6), kind = EACH(0, 1);

    any_filter(1);
    filter.state = DL_JSON_HEX;
    filter.keep = (uint8_t)EACH(0, DL_KEEP_NONE);
    filter.expect = (uint8_t)EACH(0, DL_EXPECT_SCALAR);
    filter.code_point = Frama_C_unsigned_int_interval(
        least_code[code], least_code[code + 1] - 1);
    filter.surrogate =
        EACH(0, 1) ? Frama_C_unsigned_short_interval(0xd800, 0xdbff) : 0;
    if (filter.keep == DL_KEEP_NAME) {
        filter.limit = SIZE - DL_RESERVE;
        filter.used =
            Frama_C_unsigned_short_interval(1, SIZE - DL_RESERVE - 1);
    }
    dl_filter_byte(&filter, any_byte(kind));
    //@ assert limit: filter.limit <= SIZE;
    //@ assert state: filter.state <= DL_JSON_BAD;
}
