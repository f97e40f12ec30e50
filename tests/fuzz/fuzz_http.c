/*
Fuzzes the response reader of == http (libFuzzer). The first four bytes are the
sizes of the pieces that the rest is fed in, in turn; 0 stands for 256.
*/

#define DYNALOCK_NO_TLS
#include "fuzz.h"

#define PIECES 4

/* What came of one way to feed. */
typedef struct reading {
    dl_sink sink; /* takes the body */
    dynalock_response response;
    char *body;
    size_t room;
    size_t size; /* of the body */
    size_t taken;
    int fed_again; /* the hook is not called once all has ended */
} reading;

static void take_body(dl_sink *sink, const void *data, size_t size)
{
    reading *reader = (reading *)(void *)sink;

    REQUIRE(size != 0 && size <= reader->room - reader->size);
    REQUIRE(!reader->fed_again);
    memcpy(reader->body + reader->size, data, size);
    reader->size += size;
}

static int has_ended(const reading *reader)
{
    return reader->response.state == DL_HTTP_DONE ||
           reader->response.state == DL_HTTP_BAD;
}

/* Each piece lies in memory of its own size: a byte read beyond is seen. */
static size_t feed_piece(reading *reader, const char *at, size_t size)
{
    char *piece = memory(at, size);
    size_t taken;

    taken = dl_response_feed(&reader->response, piece, size);
    free(piece);
    REQUIRE(taken == size || (taken < size && has_ended(reader)));
    return taken;
}

/* pieces NULL: all at once. */
static void read_answer(
    reading *reader, const uint8_t *pieces, const char *at, size_t size)
{
    size_t turn = 0;

    memset(reader, 0, sizeof *reader);
    reader->room = size;
    reader->body = memory(NULL, size);
    reader->sink.take = take_body;
    dl_response_begin(&reader->response, &reader->sink);
    while (reader->taken < size && !has_ended(reader)) {
        size_t n = size - reader->taken;
        size_t most = pieces == NULL ? n : pieces[turn++ % PIECES];

        if (most == 0) most = 256;
        if (n > most) n = most;
        reader->taken += feed_piece(reader, at + reader->taken, n);
    }
}

/* What holds of any answer, wherever it stops. */
static void check_reading(const reading *reader)
{
    const dynalock_response *response = &reader->response;

    REQUIRE(reader->size <= reader->taken);
    REQUIRE(response->crc == dl_crc32(0, reader->body, reader->size));
    REQUIRE(memchr(response->request_id, '\0', sizeof response->request_id) !=
            NULL);
    if (response->state != DL_HTTP_DONE) return;
    REQUIRE(response->status >= 200 && response->status <= 599);
    REQUIRE(response->status != 204 || reader->size == 0);
    REQUIRE(response->status != 304 || reader->size == 0);
}

static void check_same(const reading *a, const reading *b)
{
    const dynalock_response *x = &a->response, *y = &b->response;

    REQUIRE(x->state == y->state);
    REQUIRE(a->taken == b->taken);
    REQUIRE(a->size == b->size);
    REQUIRE(memcmp(a->body, b->body, a->size) == 0);
    REQUIRE(x->status == y->status);
    REQUIRE(x->seen == y->seen);
    REQUIRE(dl_response_damaged(x) == dl_response_damaged(y));
    REQUIRE(memcmp(x->request_id, y->request_id, sizeof x->request_id) == 0);
}

static void check_end(reading *reader)
{
    int bad = reader->response.state == DL_HTTP_BAD;
    size_t size = reader->size;

    dl_response_eof(&reader->response);
    REQUIRE(has_ended(reader));
    REQUIRE(!bad || reader->response.state == DL_HTTP_BAD);
    reader->fed_again = 1;
    REQUIRE(dl_response_feed(&reader->response, "\r\n\r\n", 4) == 0);
    REQUIRE(reader->size == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t ones[PIECES] = { 1, 1, 1, 1 };
    const uint8_t *pieces[3];
    reading readings[3];
    const char *at = (const char *)data + PIECES;
    int i;

    if (size < PIECES) return 0;
    pieces[0] = NULL;
    pieces[1] = ones;
    pieces[2] = data;
    for (i = 0; i < 3; i++) {
        read_answer(&readings[i], pieces[i], at, size - PIECES);
        check_reading(&readings[i]);
        check_same(&readings[0], &readings[i]);
    }
    for (i = 0; i < 3; i++) {
        check_end(&readings[i]);
        check_same(&readings[0], &readings[i]);
    }
    for (i = 0; i < 3; i++) free(readings[i].body);
    return 0;
}
