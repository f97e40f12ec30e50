/*
== http: from any state that the reader can be in, any byte, any line and any
piece of a body. What is true of every step is true of every stream.
*/
#include "eva.h"

#define PIECE 3

static dynalock_response response;
static char taken[PIECE];

static void take(dl_sink *sink, const void *data, size_t size)
{
    (void)sink;
    memcpy(taken, data, size);
}

static dl_sink body = { take };

static void any_response(int least, int most)
{
    make_any(&response, sizeof response);
    response.state = (uint8_t)Frama_C_interval(least, most);
    response.body = &body;
}

void prove_byte(void)
{
    char c = Frama_C_interval(0, 1) ? Frama_C_char_interval('\n' + 1, 127)
                                    : Frama_C_char_interval(-128, '\n' - 1);

    any_response(DL_HTTP_STATUS, DL_HTTP_BAD);
    response.state = (uint8_t)EACH(DL_HTTP_STATUS, DL_HTTP_BAD);
    dl_response_feed(&response, &c, 1);
    //@ assert a_state: response.state <= DL_HTTP_BAD;
}

/* Of every line but a header's. */
void prove_line(void)
{
    int size = EACH(0, DYNALOCK_LINE + 1);

    any_response(DL_HTTP_STATUS, DL_HTTP_BAD);
    response.state = (uint8_t)EACH(DL_HTTP_STATUS, DL_HTTP_TRAILER);
    if (response.state == DL_HTTP_HEADER) return;
    if (size > DYNALOCK_LINE) size = Frama_C_interval(DYNALOCK_LINE, 65535);
    response.line_size = (uint16_t)size;
    dl_http_line(&response);
    //@ assert a_state: response.state <= DL_HTTP_BAD;
}

/* Of lines up to 20 bytes; longer values are the next one's. */
void prove_header(void)
{
    any_response(DL_HTTP_HEADER, DL_HTTP_HEADER);
    response.line_size = (uint16_t)EACH(0, 20);
    dl_http_line(&response);
    //@ assert a_state: response.state <= DL_HTTP_BAD;
}

void prove_value(void)
{
    static char memory[DYNALOCK_LINE + 1];
    size_t size = (size_t)EACH(0, 40);
    unsigned header = (unsigned)EACH(0, DL_HEADER_REQUEST_ID + 1);
    char *text = make_bytes(memory, DYNALOCK_LINE, size);

    text[size] = '\0'; /* as line[] has it */
    any_response(DL_HTTP_STATUS, DL_HTTP_BAD);
    dl_http_value(&response, header, text, size);
    //@ assert a_state: response.state <= DL_HTTP_BAD;
}

void prove_body(void)
{
    char data[PIECE];
    int left = EACH(0, PIECE + 1);
    size_t size = (size_t)EACH(1, PIECE);

    any_response(DL_HTTP_SIZED, DL_HTTP_CLOSED);
    response.state = (uint8_t)EACH(DL_HTTP_SIZED, DL_HTTP_CLOSED);
    response.left = left <= PIECE
                        ? (uint32_t)left
                        : Frama_C_unsigned_int_interval(PIECE, 0x7fffffff);
    dl_http_body(&response, make_bytes(data, PIECE, size), size);
    //@ assert a_state: response.state <= DL_HTTP_BAD;
    dl_response_eof(&response);
    dl_response_damaged(&response);
    //@ assert ended: response.state >= DL_HTTP_DONE;
}
