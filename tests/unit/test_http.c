/* == http: the response reader. Every answer is fed whole, byte by byte, and
   in two pieces cut at each position: the result is always the same. */

#include "support.h"

/* ---- one way through the reader ---- */

typedef struct reading {
    dl_sink sink; /* takes the body */
    dynalock_response response;
    char body[4096];
    size_t size; /* of the body */
    size_t taken;
} reading;

static void take_body(dl_sink *sink, const void *data, size_t size)
{
    reading *reader = (reading *)(void *)sink;

    assert_in_range(reader->size + size, 0, sizeof reader->body);
    memcpy(reader->body + reader->size, data, size);
    reader->size += size;
}

static void begin(reading *reader)
{
    memset(reader, 0, sizeof *reader);
    reader->sink.take = take_body;
    dl_response_begin(&reader->response, &reader->sink);
}

static int is_done(const reading *reader)
{
    return reader->response.state == DL_HTTP_DONE;
}

static int is_refused(const reading *reader)
{
    return reader->response.state == DL_HTTP_BAD;
}

static int closes(const reading *reader)
{
    return (reader->response.seen & DL_SEEN_CLOSE) != 0;
}

/* Each piece in memory of its own size. It is taken whole, unless the
   response has ended. */
static void feed(reading *reader, const char *at, size_t size)
{
    char *piece = exact(at, size);
    size_t taken = dl_response_feed(&reader->response, piece, size);

    free(piece);
    assert_in_range(taken, 0, size);
    if (taken < size) assert_true(is_done(reader) || is_refused(reader));
    reader->taken += taken;
}

static void read_answer(reading *reader, slice answer, size_t way)
{
    size_t at, n;

    begin(reader);
    for (at = 0; at < answer.size; at += n) {
        n = next_piece(way, at, answer.size);
        feed(reader, answer.at + at, n);
    }
}

/* ---- what is understood ---- */

enum {          /* flags of a case */
    TO_EOF = 1, /* ends only with the stream */
    CLOSES = 2, /* the connection serves no other request */
    DAMAGED = 4 /* the body is not the one that x-amz-crc32 speaks of */
};

typedef struct answer {
    slice text;
    uint16_t status;
    uint8_t flags;
    uint8_t surplus; /* bytes behind the end, which must not be taken */
    slice body;
} answer;

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"
#define FIVE "Content-Length: 5\r\n"
#define HELLO TEXT("hello")
#define EMPTY TEXT("")

static const answer answers[] = {
    /* framed by Content-Length */
    { TEXT(OK FIVE "\r\nhello"), 200, 0, 0, HELLO },
    { TEXT(OK "Content-Length: 0\r\n\r\n"), 200, 0, 0, EMPTY },
    { TEXT(OK "Content-Length: 0005\r\n\r\nhello"), 200, 0, 0, HELLO },
    { TEXT(OK FIVE FIVE "\r\nhello"), 200, 0, 0, HELLO },
    { TEXT(OK "Server: x\r\nDate:\r\n" FIVE ":\r\nodd\r\n\r\nhello"), 200, 0,
        0, HELLO },
    { TEXT(OK FIVE "\r\nhelloHTTP"), 200, 0, 4, HELLO },
    { TEXT(OK "Content-Length: 0\r\n\r\n\r\n"), 200, 0, 2, EMPTY },
    { TEXT(OK FIVE "\r\na\0b\r\n"), 200, 0, 0, TEXT("a\0b\r\n") },

    /* the status line */
    { TEXT("HTTP/1.1 200\r\n" FIVE "\r\nhello"), 200, 0, 0, HELLO },
    { TEXT("HTTP/1.1 200 \r\n" FIVE "\r\nhello"), 200, 0, 0, HELLO },
    { TEXT("HTTP/1.1 400 Bad Request\r\n" FIVE "\r\nhello"), 400, 0, 0,
        HELLO },
    { TEXT("HTTP/1.1 503 Na\303\257ve \200\r\n" FIVE "\r\nhello"), 503, 0, 0,
        HELLO },
    { TEXT("HTTP/1.1 599 x\r\n" FIVE "\r\nhello"), 599, 0, 0, HELLO },

    /* lines may end in a bare LF */
    { TEXT("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"), 200, 0, 0, HELLO },
    { TEXT("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"),
        200, 0, 0, HELLO },

    /* header names and our values in any case, white space around values */
    { TEXT(OK "content-length:5\r\n\r\nhello"), 200, 0, 0, HELLO },
    { TEXT(OK "CONTENT-LENGTH: \t 5 \t\r\n\r\nhello"), 200, 0, 0, HELLO },
    { TEXT(OK "cOnTeNt-LeNgTh:\t5\r\n\r\nhello"), 200, 0, 0, HELLO },
    { TEXT(OK "TRANSFER-ENCODING:Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 200,
        0, 0, HELLO },
    { TEXT(OK "X-AMZ-CRC32:907060870\r\n" FIVE "\r\nhello"), 200, 0, 0,
        HELLO },
    { TEXT(OK "CONNECTION:\tCLOSE\r\n" FIVE "\r\nhello"), 200, CLOSES, 0,
        HELLO },
    { TEXT(OK "Content-Encoding: Identity\r\n" FIVE "\r\nhello"), 200, 0, 0,
        HELLO },

    /* only whole names count */
    { TEXT(OK "X-Content-Length: 9\r\n" FIVE "\r\nhello"), 200, 0, 0, HELLO },
    { TEXT(OK "Content-Lengthy: 9\r\n" FIVE "\r\nhello"), 200, 0, 0, HELLO },

    /* chunked */
    { TEXT(CHUNKED "5\r\nhello\r\n0\r\n\r\n"), 200, 0, 0, HELLO },
    { TEXT(CHUNKED "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), 200, 0, 0, HELLO },
    { TEXT(CHUNKED "0\r\n\r\n"), 200, 0, 0, EMPTY },
    { TEXT(CHUNKED "a\r\n0123456789\r\n0\r\n\r\n"), 200, 0, 0,
        TEXT("0123456789") },
    { TEXT(CHUNKED "A\r\n0123456789\r\n0\r\n\r\n"), 200, 0, 0,
        TEXT("0123456789") },
    { TEXT(CHUNKED "0005\r\nhello\r\n000\r\n\r\n"), 200, 0, 0, HELLO },
    { TEXT(CHUNKED "5;name=value\r\nhello\r\n0;x\r\n\r\n"), 200, 0, 0, HELLO },
    { TEXT(CHUNKED "5 ; name=\"va;lue\"\r\nhello\r\n0\r\n\r\n"), 200, 0, 0,
        HELLO },
    { TEXT(CHUNKED "5\r\nhello\r\n0\r\nExpires: now\r\nContent-Length: 9\r\n"
                   "\r\n"),
        200, 0, 0, HELLO },
    { TEXT(CHUNKED "4\r\n\r\n\0\n\r\n0\r\n\r\n"), 200, 0, 0,
        TEXT("\r\n\0\n") },
    { TEXT(CHUNKED "5\r\nhello\r\n0\r\n\r\n5\r\n"), 200, 0, 3, HELLO },

    /* to the end of the stream */
    { TEXT(OK "\r\nhello"), 200, TO_EOF | CLOSES, 0, HELLO },
    { TEXT(OK "\r\n"), 200, TO_EOF | CLOSES, 0, EMPTY },
    { TEXT("HTTP/1.0 200 OK\r\n\r\nhe\0\r\nllo"), 200, TO_EOF | CLOSES, 0,
        TEXT("he\0\r\nllo") },

    /* whether the connection may serve again */
    { TEXT("HTTP/1.0 200 OK\r\n" FIVE "\r\nhello"), 200, CLOSES, 0, HELLO },
    { TEXT("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" FIVE "\r\nhello"),
        200, 0, 0, HELLO },
    { TEXT(OK "Connection: close\r\n" FIVE "\r\nhello"), 200, CLOSES, 0,
        HELLO },
    { TEXT(OK "Connection: keep-alive\r\n" FIVE "\r\nhello"), 200, 0, 0,
        HELLO },

    /* no body, whatever the headers say */
    { TEXT("HTTP/1.1 204 No Content\r\n\r\n"), 204, 0, 0, EMPTY },
    { TEXT("HTTP/1.1 204 No Content\r\n" FIVE "\r\nhello"), 204, 0, 5, EMPTY },
    { TEXT("HTTP/1.1 304 Not Modified\r\n" FIVE "\r\n"), 304, 0, 0, EMPTY },
    { TEXT("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        304, 0, 0, EMPTY },

    /* interim answers are passed over, with all that they say */
    { TEXT("HTTP/1.1 100 Continue\r\n\r\n" OK FIVE "\r\nhello"), 200, 0, 0,
        HELLO },
    { TEXT("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
           "HTTP/1.1 102 Processing\r\n\r\n" OK FIVE "\r\nhello"),
        200, 0, 0, HELLO },
    { TEXT("HTTP/1.0 100 Continue\r\nConnection: close\r\nX-Amz-Crc32: 1\r\n"
           "Content-Length: 3\r\nContent-Encoding: gzip\r\n\r\n" OK FIVE
           "\r\nhello"),
        200, 0, 0, HELLO },

    /* checksums */
    { TEXT(OK "x-amz-crc32: 907060870\r\n" FIVE "\r\nhello"), 200, 0, 0,
        HELLO },
    { TEXT(OK "x-amz-crc32: 907060870\r\nx-amz-crc32: 907060870\r\n" FIVE
              "\r\nhello"),
        200, 0, 0, HELLO },
    { TEXT(OK "x-amz-crc32: 907060871\r\n" FIVE "\r\nhello"), 200, DAMAGED, 0,
        HELLO },
    { TEXT(OK "x-amz-crc32: 907060870\r\n" FIVE "\r\nhellp"), 200, DAMAGED, 0,
        TEXT("hellp") },
    { TEXT(OK "x-amz-crc32: 0\r\nContent-Length: 0\r\n\r\n"), 200, 0, 0,
        EMPTY },
    { TEXT(OK "x-amz-crc32: 907060870\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        200, 0, 0, HELLO },
    { TEXT(OK "x-amz-crc32: 4294967295\r\n\r\nhello"), 200,
        TO_EOF | CLOSES | DAMAGED, 0, HELLO },
};

static void check_answer(const answer *expected, size_t way)
{
    const char *name = expected->text.at;
    reading reader;

    read_answer(&reader, expected->text, way);
    if ((expected->flags & TO_EOF) != 0) {
        CHECK(
            !is_done(&reader), "done before the end (way %zu): %s", way, name);
        dl_response_eof(&reader.response);
    }
    CHECK(is_done(&reader), "not done (way %zu): %s", way, name);
    CHECK(reader.taken == expected->text.size - expected->surplus,
        "%zu bytes taken (way %zu): %s", reader.taken, way, name);
    assert_int_equal(reader.response.status, expected->status);
    CHECK(reader.size == expected->body.size &&
              memcmp(reader.body, expected->body.at, reader.size) == 0,
        "another body (way %zu): %s", way, name);
    CHECK(closes(&reader) == ((expected->flags & CLOSES) != 0),
        "connection (way %zu): %s", way, name);
    CHECK(dl_response_damaged(&reader.response) ==
              ((expected->flags & DAMAGED) != 0),
        "checksum (way %zu): %s", way, name);
}

static void answers_are_understood_however_they_arrive(void **state)
{
    size_t i, way;

    (void)state;
    for (i = 0; i < COUNT(answers); i++)
        for (way = 0; way < ways_to_feed(answers[i].text.size); way++)
            check_answer(&answers[i], way);
}

static void an_answer_that_is_cut_is_refused(void **state)
{
    size_t i, cut;

    (void)state;
    for (i = 0; i < COUNT(answers); i++) {
        slice part = answers[i].text;
        reading reader;

        if ((answers[i].flags & TO_EOF) != 0) continue;
        for (cut = 0; cut + answers[i].surplus < answers[i].text.size; cut++) {
            part.size = cut;
            read_answer(&reader, part, 0);
            CHECK(!is_done(&reader) && !is_refused(&reader),
                "ended after %zu: %s", cut, part.at);
            dl_response_eof(&reader.response);
            CHECK(is_refused(&reader), "done after %zu: %s", cut, part.at);
        }
    }
}

static void after_the_end_nothing_is_taken(void **state)
{
    reading reader;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(answers); i++) {
        read_answer(&reader, answers[i].text, 0);
        if ((answers[i].flags & TO_EOF) != 0)
            dl_response_eof(&reader.response);
        assert_int_equal(dl_response_feed(&reader.response, "\r\n", 2), 0);
        dl_response_eof(&reader.response);
        assert_true(is_done(&reader));
        assert_true(closes(&reader));
    }
}

static void the_request_id_is_kept(void **state)
{
    static const slice whole =
        TEXT(OK "x-amzn-RequestId:  6VV4KQNSO5AEMVJF66Q9ASUAAJG0123456789\t"
                "\r\n" FIVE "\r\nhello");
    reading reader;
    size_t way;

    (void)state;
    for (way = 0; way < ways_to_feed(whole.size); way++) {
        read_answer(&reader, whole, way);
        assert_string_equal(reader.response.request_id,
            "6VV4KQNSO5AEMVJF66Q9ASUAAJG0123456789");
    }
}

static void a_long_request_id_is_cut(void **state)
{
    size_t size;

    (void)state;
    for (size = 1; size < 200; size++) {
        char head[300] = OK "x-amzn-RequestId: ";
        reading reader;
        size_t room = sizeof reader.response.request_id - 1;

        memset(head + strlen(head), 'i', size);
        strcat(head, "\r\n" FIVE "\r\nhello");
        read_answer(&reader, text_of(head), 0);
        CHECK(is_done(&reader), "refused for an id of %zu bytes", size);
        assert_int_equal(
            strlen(reader.response.request_id), size < room ? size : room);
    }
}

/* ---- what is refused ---- */

#define TEN "          "
#define FIFTY TEN TEN TEN TEN TEN
#define ZEROS "00000000000000000000"

static const struct {
    const char *why;
    slice text;
} refusals[] = {
    { "not HTTP", TEXT("SSH-2.0-OpenSSH_9.2\r\n") },
    { "not HTTP", TEXT("\r\n" OK) },
    { "not HTTP", TEXT(" " OK) },
    { "not HTTP/1", TEXT("HTTP/2.0 200 OK\r\n") },
    { "not HTTP/1", TEXT("HTTP/0.9 200 OK\r\n") },
    { "not HTTP/1", TEXT("HTTP/1 200 OK\r\n") },
    { "not HTTP/1", TEXT("HTTP/1.x 200 OK\r\n") },
    { "not HTTP/1", TEXT("HTTP/1. 200 OK\r\n") },
    { "no status", TEXT("HTTP/1.1\r\n") },
    { "no status", TEXT("HTTP/1.1 \r\n") },
    { "no status", TEXT("HTTP/1.1 OK\r\n") },
    { "no status", TEXT("HTTP/1.1 20\r\n") },
    { "no status", TEXT("HTTP/1.1 2000\r\n") },
    { "no status", TEXT("HTTP/1.1 200OK\r\n") },
    { "no status", TEXT("HTTP/1.1  200 OK\r\n") },
    { "no status", TEXT("HTTP/1.1\t200 OK\r\n") },
    { "no status", TEXT("HTTP/1.1 -20 OK\r\n") },
    { "no status", TEXT("HTTP/1.1 2\0000 OK\r\n") },
    { "no such status", TEXT("HTTP/1.1 099 x\r\n") },
    { "no such status", TEXT("HTTP/1.1 600 x\r\n") },
    { "another protocol",
        TEXT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n") },

    { "length", TEXT(OK "Content-Length:\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: x\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: -5\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: +5\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 5.0\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 0x5\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 5 5\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 5, 6\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 5\0\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 5\r\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 2147483648\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 4294967301\r\n\r\n") },
    { "length", TEXT(OK "Content-Length: 18446744073709551621\r\n\r\n") },
    { "two lengths", TEXT(OK FIVE "Content-Length: 6\r\n\r\n") },
    { "two lengths", TEXT(OK "Content-Length: 0\r\n" FIVE "\r\n") },

    { "length and chunks",
        TEXT(OK FIVE "Transfer-Encoding: chunked\r\n\r\n") },
    { "length and chunks",
        TEXT(OK "Transfer-Encoding: chunked\r\n" FIVE "\r\n") },
    { "length and chunks",
        TEXT(OK "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding: gzip\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding: chunked, gzip\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding: chunkedy\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding: chunkeb\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding: chunke\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding: identity\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding:\r\n\r\n") },
    { "coding", TEXT(OK "Transfer-Encoding: chunked\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n") },
    { "compressed", TEXT(OK FIVE "Content-Encoding: gzip\r\n\r\n") },
    { "compressed", TEXT(OK "CONTENT-ENCODING:GZIP\r\n" FIVE "\r\n") },
    { "compressed", TEXT(OK "Content-Encoding: deflate\r\n\r\n") },
    { "compressed", TEXT(OK "Content-Encoding: identity, gzip\r\n\r\n") },
    { "compressed", TEXT(OK "Content-Encoding: gzip\r\n"
                            "Content-Encoding: identity\r\n\r\n") },
    { "checksum", TEXT(OK "x-amz-crc32: x\r\n\r\n") },
    { "checksum", TEXT(OK "x-amz-crc32: -1\r\n\r\n") },
    { "checksum", TEXT(OK "x-amz-crc32: 4294967296\r\n\r\n") },
    { "checksum", TEXT(OK "x-amz-crc32:\r\n\r\n") },
    { "folded", TEXT(OK FIVE " 0\r\n\r\n") },
    { "folded", TEXT(OK FIVE "\t0\r\n\r\n") },
    { "folded", TEXT(OK "X: y\r\n z\r\n\r\n") },
    { "NUL", TEXT("HTTP/1.1 200 OK\0\r\n" FIVE "\r\n") },
    { "NUL", TEXT(OK "x: a\0b\r\n" FIVE "\r\n") },
    { "folded", TEXT(OK " Content-Length: 5\r\n\r\n") },

    { "chunk size", TEXT(CHUNKED "\r\n") },
    { "chunk size", TEXT(CHUNKED ";x\r\n") },
    { "chunk size", TEXT(CHUNKED " 5\r\n") },
    { "chunk size", TEXT(CHUNKED "g\r\n") },
    { "chunk size", TEXT(CHUNKED "-5\r\n") },
    { "chunk size", TEXT(CHUNKED "+5\r\n") },
    { "chunk size", TEXT(CHUNKED "0x5\r\n") },
    { "chunk size", TEXT(CHUNKED "5x\r\n") },
    { "chunk size", TEXT(CHUNKED "5\0\r\n") },
    { "chunk size", TEXT(CHUNKED "5,\r\n") },
    { "chunk size", TEXT(CHUNKED "80000000\r\n") },
    { "chunk size", TEXT(CHUNKED "ffffffff\r\n") },
    { "chunk size", TEXT(CHUNKED "100000005\r\n") },
    { "chunk size", TEXT(CHUNKED "10000000000000005\r\n") },
    { "chunk end", TEXT(CHUNKED "5\r\nhello0\r\n\r\n") },
    { "chunk end", TEXT(CHUNKED "5\r\nhello \r\n") },
    { "chunk end", TEXT(CHUNKED "5\r\nhello\r\r\n") },
    { "chunk end", TEXT(CHUNKED "4\r\nhello\r\n") },
};

static void malformed_answers_are_refused_however_they_arrive(void **state)
{
    size_t i, way;

    (void)state;
    for (i = 0; i < COUNT(refusals); i++)
        for (way = 0; way < ways_to_feed(refusals[i].text.size); way++) {
            reading reader;

            read_answer(&reader, refusals[i].text, way);
            CHECK(is_refused(&reader), "%s (way %zu): %s", refusals[i].why,
                way, refusals[i].text.at);
        }
}

/* Longer than a line that we keep: what is cut off must not be missed. */
static const slice long_lines[] = {
    TEXT(OK "Content-Length:" FIFTY TEN TEN "      12345678\r\n"
            "\r\n12345678"),
    TEXT(OK "Content-Length: 1234" FIFTY TEN TEN TEN TEN "5\r\n\r\n"),
    TEXT(OK "Transfer-Encoding: chunked" FIFTY TEN TEN TEN ", gzip\r\n\r\n"),
    TEXT(CHUNKED ZEROS ZEROS ZEROS ZEROS ZEROS "5\r\nhello\r\n"),
};

static void what_a_long_line_says_at_its_end_is_not_missed(void **state)
{
    size_t i, way;

    (void)state;
    for (i = 0; i < COUNT(long_lines); i++)
        for (way = 0; way < ways_to_feed(long_lines[i].size); way++) {
            reading reader;

            read_answer(&reader, long_lines[i], way);
            CHECK(is_refused(&reader), "way %zu: %s", way, long_lines[i].at);
        }
}

static void what_is_refused_stays_refused(void **state)
{
    reading reader;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(refusals); i++) {
        read_answer(&reader, refusals[i].text, 0);
        if (!is_refused(&reader)) continue; /* the test before tells */
        assert_int_equal(dl_response_feed(&reader.response, OK, 3), 0);
        dl_response_eof(&reader.response);
        assert_true(is_refused(&reader));
    }
}

/* ---- sizes ---- */

static const struct {
    const char *start, *again;
} endless[] = {
    { "HTTP/1.1 200 ", "x" },
    { "", "x" },
    { OK, "X: y\r\n" },
    { OK, "x" },
    { OK "X:", " " },
    { OK "Content-Length:", " " },
    { OK "Content-Length:", "0" },
    { "", "HTTP/1.1 100 Continue\r\n\r\n" },
    { CHUNKED "5;", "x" },
    { CHUNKED, "0" },
    { CHUNKED "0\r\n", "X: y\r\n" },
    { CHUNKED "0\r\n", "x" },
};

static void what_never_ends_is_refused(void **state)
{
    size_t i, sent;

    (void)state;
    for (i = 0; i < COUNT(endless); i++) {
        const char *again = endless[i].again;
        reading reader;

        begin(&reader);
        feed(&reader, endless[i].start, strlen(endless[i].start));
        for (sent = 0; sent < 100000 && !is_refused(&reader);)
            sent += dl_response_feed(&reader.response, again, strlen(again));
        CHECK(is_refused(&reader), "\"%s\" and on \"%s\"", endless[i].start,
            again);
        assert_in_range(sent, 0, DL_HEADERS_MOST + 1);
        assert_int_equal(reader.size, 0);
    }
}

/* A head of so many bytes; how it ended. */
static void read_head(reading *reader, size_t size)
{
    static const char last[] = FIVE "\r\n";
    size_t rest;

    begin(reader);
    feed(reader, OK, strlen(OK));
    for (rest = size - strlen(OK) - strlen(last); rest > 100; rest -= 50)
        feed(reader, "X-Filler: 890123456789012345678901234567890123456\r\n",
            50);
    for (; rest > 2; rest--) feed(reader, "x", 1);
    feed(reader, "\r\n", 2);
    feed(reader, last, strlen(last));
}

static void a_head_has_room(void **state)
{
    reading reader;

    (void)state;
    read_head(&reader, DL_HEADERS_MOST);
    feed(&reader, "hello", 5);
    assert_true(is_done(&reader));
    read_head(&reader, DL_HEADERS_MOST + 1);
    assert_true(is_refused(&reader));
}

/* Counts instead of keeping. */
typedef struct counting {
    dl_sink sink;
    size_t size;
} counting;

static void count_body(dl_sink *sink, const void *data, size_t size)
{
    (void)data;
    ((counting *)(void *)sink)->size += size;
}

static void a_body_has_any_size_under_2_gigabytes(void **state)
{
    static const char *const heads[] = {
        OK "Content-Length: 2147483647\r\n\r\n", CHUNKED "7fffffff\r\n"
    };
    char *block = exact(NULL, 65536);
    size_t i, j;

    (void)state;
    memset(block, 'b', 65536);
    for (i = 0; i < COUNT(heads); i++) {
        dynalock_response response;
        counting body = { { count_body }, 0 };

        dl_response_begin(&response, &body.sink);
        (void)dl_response_feed(&response, heads[i], strlen(heads[i]));
        for (j = 0; j < 16; j++)
            assert_int_equal(dl_response_feed(&response, block, 65536), 65536);
        assert_int_equal(body.size, 1 << 20);
        assert_int_equal(response.left, 2147483647 - (1 << 20));
    }
    free(block);
}

static void a_body_has_any_number_of_chunks(void **state)
{
    static const char chunk[] = "1;extension\r\nx\r\n";
    counting body = { { count_body }, 0 };
    dynalock_response response;
    size_t i;

    (void)state;
    dl_response_begin(&response, &body.sink);
    (void)dl_response_feed(&response, CHUNKED, strlen(CHUNKED));
    for (i = 0; i < 100000; i++)
        (void)dl_response_feed(&response, chunk, strlen(chunk));
    assert_int_equal(dl_response_feed(&response, "0\r\n\r\n", 5), 5);
    assert_int_equal(response.state, DL_HTTP_DONE);
    assert_int_equal(body.size, 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_understood_however_they_arrive),
        cmocka_unit_test(an_answer_that_is_cut_is_refused),
        cmocka_unit_test(after_the_end_nothing_is_taken),
        cmocka_unit_test(the_request_id_is_kept),
        cmocka_unit_test(a_long_request_id_is_cut),
        cmocka_unit_test(malformed_answers_are_refused_however_they_arrive),
        cmocka_unit_test(what_a_long_line_says_at_its_end_is_not_missed),
        cmocka_unit_test(what_is_refused_stays_refused),
        cmocka_unit_test(what_never_ends_is_refused),
        cmocka_unit_test(a_head_has_room),
        cmocka_unit_test(a_body_has_any_size_under_2_gigabytes),
        cmocka_unit_test(a_body_has_any_number_of_chunks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
