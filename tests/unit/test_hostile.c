/*
A service that is malicious or broken, in every call that reads an answer. How
the answer is framed and what it says must leave no doubt: then it counts, and
what is carried out is true. In any other case nobody knows what became of the
request, and no lock is granted, lost or kept for longer by it.
*/
#include "tables.h"

static world w;
static dynalock_lock lock, group_locks[2];
static const char *call_name, *case_name;

static void expect(const char *what, long got, long expected, int line)
{
    if (got == expected) return;
    print_error("%s, %s: %s is %ld, not %ld\n", call_name, case_name, what,
        got, expected);
    _fail(__FILE__, line);
}

#define EXPECT(what, got, expected)                                           \
    expect((what), (long)(got), (long)(expected), __LINE__)

/* ---- forged answers ---- */

/* In a template these stand for: the body that the table answers with, its
   size in decimal and hexadecimal, its checksum, a NUL, a thousand spaces, and
   the ends of a part that comes again. */
#define BODY "\1"
#define SIZE "\2"
#define HEX "\3"
#define CRC "\4"
#define NUL "\5"
#define SPACES "\6"
#define LOOP "\7"
#define POOL "\10"

static const char *forgery;
static int closes; /* the connection ends behind it */

/* One letter of a template as it is sent. */
static void forge_letter(char letter, const char *body, char *out, size_t room)
{
    unsigned long number = (unsigned long)strlen(body);

    switch (letter) {
    case 1: (void)snprintf(out, room, "%s", body); break;
    case 2: (void)snprintf(out, room, "%lu", number); break;
    case 3: (void)snprintf(out, room, "%lx", number); break;
    case 4:
        number = dl_crc32(0, body, strlen(body));
        (void)snprintf(out, room, "%lu", number);
        break;
    case 6: (void)snprintf(out, room, "%1000s", ""); break;
    case 7:
    case 8: out[0] = '\0'; break;
    default: (void)snprintf(out, room, "%c", letter); break;
    }
}

static void forge(world *world)
{
    static char body[sizeof world->answer];
    const char *at = strstr(world->answer, "\r\n\r\n");
    char *out = world->answer;

    assert_non_null(at);
    (void)snprintf(body, sizeof body, "%s", at + 4);
    world->loops = 0;
    for (at = forgery; *at != '\0'; at++) {
        forge_letter(*at, body, out,
            (size_t)(world->answer + sizeof world->answer - out));
        if (*at == 7) world->loop_from = (size_t)(out - world->answer);
        if (*at == 8) {
            world->loop_to = (size_t)(out - world->answer);
            world->loops = (unsigned)-1;
        }
        if (*at == 5) *out++ = '\0';
        else out += strlen(out);
    }
    world->answer_size = (size_t)(out - world->answer);
    world->answer_at = 0;
    world->peer_closed = closes;
}

/* ---- calls ---- */

static int answer_to_all(world *world, int damage)
{
    if (strcmp(world->last_operation, "TransactWriteItems") != 0 &&
        strcmp(world->last_operation, "PutItem") != 0)
        return tables_serve(world, damage);
    world_reply(world, 200, "{}", damage);
    return 1;
}

static const char *empty_page(world *world)
{
    (void)world;
    return "{\"Items\":[],\"Count\":0,\"ScannedCount\":0}";
}

static void begin(void)
{
    world_begin(&w);
    tables_begin(&w);
    w.other = answer_to_all;
    w.scan = empty_page;
    w.forge = forge;
    w.config.attempts = 1;
    w.config.connect_ms = 2000;
    w.config.request_ms = 1000;
    world_ready(&w, &lock);
}

static void be_held(void)
{
    EXPECT("acquire", dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
}

static void be_others(void)
{
    world_hold(&w, "their-version", "10000");
    w.item.has_fence = 1;
    w.item.fence = 7;
}

static void be_released(void)
{
    be_others();
    w.item.released = 1;
}

static void be_restored(void)
{
    dynalock_blob blob;

    be_held();
    EXPECT("save", dynalock_save(&w.client, &lock, &blob), DYNALOCK_OK);
    w.connected = 0;
    world_ready(&w, &lock);
    EXPECT("restore", dynalock_restore(&w.client, &lock, &blob), DYNALOCK_OK);
}

static void be_two(void)
{
    world_lock(&group_locks[0], "k1");
    world_lock(&group_locks[1], "k2");
}

static void be_as_it_is(void)
{
}

static const dynalock_name place = { "k", NULL, NULL };
static dynalock_record record;
static dynalock_listing listing;
static dynalock_request request;
static dynalock_table table;
static dynalock_group group;

static dynalock_outcome call_acquire(void)
{
    return dynalock_acquire(&w.client, &lock, 0);
}

static dynalock_outcome call_renew(void)
{
    return dynalock_renew(&w.client, &lock);
}

static dynalock_outcome call_release(void)
{
    return dynalock_release(&w.client, &lock);
}

static dynalock_outcome call_read(void)
{
    return dynalock_read(&w.client, &place, &record);
}

static dynalock_outcome call_break(void)
{
    return dynalock_break(&w.client, &place, "their-version", &record);
}

static dynalock_outcome call_tidy(void)
{
    return dynalock_tidy(&w.client, &place, &record);
}

static int take_item(void *context, const dynalock_listed *item)
{
    (void)context;
    (void)item;
    return 0;
}

static dynalock_outcome call_list(void)
{
    memset(&listing, 0, sizeof listing);
    listing.each = take_item;
    return dynalock_list(&w.client, NULL, &listing);
}

static dynalock_outcome call_call(void)
{
    static char answer[4096];

    memset(&request, 0, sizeof request);
    request.target = "PutItem";
    request.body = "{}";
    request.answer = answer;
    request.capacity = sizeof answer;
    return dynalock_call(&w.client, &request);
}

static dynalock_outcome call_check_table(void)
{
    return dynalock_table_check(&w.client, NULL, &table);
}

static dynalock_outcome call_group(void)
{
    static dynalock_lock *members[] = { &group_locks[0], &group_locks[1] };

    memset(&group, 0, sizeof group);
    group.locks = members;
    group.count = 2;
    return dynalock_group_acquire(&w.client, &group, 0);
}

typedef enum doubt {
    NONE,     /* the call changes nothing: it ends as the exchange did */
    WRITTEN,  /* as above, but it may have been carried out */
    RETURNED, /* a grant that is unknown is taken back by later polls */
    KEPT,     /* what was granted before stays */
    REPEATED  /* the call goes on until it is answered */
} doubt;

typedef struct call_case {
    const char *name;
    void (*before)(void);
    dynalock_outcome (*call)(void);
    doubt doubt;
} call_case;

static const call_case calls[] = {
    { "acquire", be_as_it_is, call_acquire, RETURNED },
    { "acquire, restored", be_restored, call_acquire, RETURNED },
    { "renew", be_held, call_renew, KEPT },
    { "release", be_held, call_release, REPEATED },
    { "read", be_others, call_read, NONE },
    { "break", be_others, call_break, WRITTEN },
    { "tidy", be_released, call_tidy, WRITTEN },
    { "list", be_as_it_is, call_list, NONE },
    { "call", be_as_it_is, call_call, WRITTEN },
    { "table_check", be_as_it_is, call_check_table, NONE },
    { "group_acquire", be_two, call_group, RETURNED },
};

/* ---- one call that meets one answer ---- */

static void expect_nothing_held(void)
{
    EXPECT("remaining_ms", dynalock_remaining_ms(&w.client, &lock), 0);
    if (w.item.exists && strcmp(w.item.owner, "me") == 0)
        EXPECT("released on the table", w.item.released, 1);
}

static void expect_taken_back(const call_case *at, dynalock_outcome outcome)
{
    const dynalock_operation *operation =
        at->call == call_group ? &group_locks[0].operation : &lock.operation;

    EXPECT("remaining_ms", dynalock_remaining_ms(&w.client, &lock), 0);
    EXPECT("remaining_ms of the group",
        dynalock_group_remaining_ms(&w.client, &group), 0);
    world_run(&w, 20000);
    EXPECT("the ending", dynalock_result(operation), outcome);
    expect_nothing_held();
}

static void expect_doubt(
    const call_case *at, dynalock_outcome rc, dynalock_outcome outcome)
{
    switch (at->doubt) {
    case RETURNED:
        EXPECT("the outcome", rc, DYNALOCK_UNKNOWN);
        expect_taken_back(at, outcome);
        break;
    case REPEATED:
        EXPECT("the outcome", rc, DYNALOCK_OK);
        expect_nothing_held();
        break;
    case KEPT:
        EXPECT("the outcome", rc, outcome);
        EXPECT("the next renewal", call_renew(), DYNALOCK_OK);
        break;
    default:
        EXPECT("the outcome", rc, outcome);
        if (at->call == call_call) EXPECT("unanswered", request.unanswered, 1);
        break;
    }
}

/* Whatever it was, the next call is as if nothing had been. */
static void expect_unharmed(void)
{
    if (w.item.raw != NULL || strcmp(w.item.owner, "other") == 0)
        w.item.exists = 0;
    if (dynalock_remaining_ms(&w.client, &lock) == 0)
        EXPECT("the next acquire", call_acquire(), DYNALOCK_OK);
    EXPECT("the next release", call_release(), DYNALOCK_OK);
    EXPECT("the close", dynalock_client_close(&w.client, 100), DYNALOCK_OK);
}

/* What is accepted, and what of it is not. */
typedef struct answer_case {
    const char *text;
    int closes;
    dynalock_outcome outcome; /* of the exchange; OK: the answer counts */
} answer_case;

static void meet(const call_case *at, const answer_case *answer)
{
    dynalock_outcome rc;
    uint64_t began;

    call_name = at->name;
    case_name = answer->text;
    begin();
    memset(&group, 0, sizeof group);
    at->before();
    forgery = answer->text;
    closes = answer->closes;
    w.forgeries = 1;
    began = w.now;
    rc = at->call();
    if (answer->outcome == DYNALOCK_NO_ANSWER && at->doubt != REPEATED)
        EXPECT("late by so many steps",
            (w.now - began - w.config.request_ms) / DL_TURNS, 0);
    if (answer->outcome == DYNALOCK_OK) EXPECT("the outcome", rc, DYNALOCK_OK);
    else expect_doubt(at, rc, answer->outcome);
    expect_unharmed();
}

static void meet_all(const answer_case *answers, size_t count)
{
    size_t i, k;

    for (i = 0; i < count; i++)
        for (k = 0; k < DL_COUNT(calls); k++) meet(&calls[k], &answers[i]);
}

#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH "Content-Length: " SIZE "\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n"
#define TEN "9999999999"
#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define FINE DYNALOCK_OK
#define BAD DYNALOCK_BAD_ANSWER
#define SILENT DYNALOCK_NO_ANSWER
#define CUT DYNALOCK_DISCONNECTED

/* ---- how answers are framed ---- */

static const answer_case lengths[] = {
    { OK LENGTH "\r\n" BODY, 0, FINE },
    { OK LENGTH "\r\n" BODY, 1, FINE },
    { OK LENGTH LENGTH "\r\n" BODY, 0, FINE },
    { OK "\r\n" BODY, 1, FINE },
    { OK LENGTH "\r\n" BODY "HTTP/1.1 200 OK\r\n", 0, FINE },

    { OK "\r\n" BODY, 0, SILENT }, /* where does it end? */
    { OK "Content-Length : " SIZE "\r\n\r\n" BODY, 0, SILENT }, /* no name */
    { OK "Content-Length: 1" SIZE "\r\n\r\n" BODY, 0, SILENT },
    { OK "Content-Length: 1" SIZE "\r\n\r\n" BODY, 1, CUT },
    { OK "Content-Length: 2147483647\r\n\r\n" BODY, 0, SILENT },
    { OK "Content-Length: 2147483648\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: 4294967298\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: " TEN TEN TEN TEN "\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: 0\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: 1\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: -" SIZE "\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: +" SIZE "\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: 0x" HEX "\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: " SIZE ".0\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: " SIZE " " SIZE "\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: " SIZE ", " SIZE "\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length:\r\n\r\n" BODY, 0, BAD },
    { OK LENGTH "Content-Length: 1" SIZE "\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length: 1\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK LENGTH "Transfer-Encoding: chunked\r\n\r\n" BODY, 0, BAD },
    { CHUNKED LENGTH "\r\n" HEX "\r\n" BODY "\r\n0\r\n\r\n", 0, BAD },
};

static const answer_case chunks[] = {
    { CHUNKED "\r\n" HEX "\r\n" BODY "\r\n0\r\n\r\n", 0, FINE },
    { CHUNKED "\r\n" HEX ";a=b\r\n" BODY "\r\n0\r\nX: y\r\n\r\n", 0, FINE },
    { CHUNKED "\r\n" HEX "\r\n" BODY "\r\n", 0, SILENT },
    { CHUNKED "\r\n" HEX "\r\n" BODY "\r\n", 1, CUT },
    { CHUNKED "\r\n" HEX "\r\n" BODY "\r\n0\r\n", 1, CUT },
    { CHUNKED "\r\n7fffffff\r\n" BODY, 0, SILENT },
    { CHUNKED "\r\n80000000\r\n" BODY, 0, BAD },
    { CHUNKED "\r\n10000000" HEX "\r\n" BODY "\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\nfffffffffffffff" HEX "\r\n" BODY "\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\n-" HEX "\r\n" BODY "\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\n0x" HEX "\r\n" BODY "\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\n " HEX "\r\n" BODY "\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\n" HEX "g\r\n" BODY "\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\n\r\n" BODY "\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\n" HEX "\r\n" BODY "0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\n" HEX "\r\n" BODY "X\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "\r\n0\r\n\r\n", 0, BAD },
    { CHUNKED "Transfer-Encoding: chunked\r\n\r\n" HEX "\r\n" BODY
              "\r\n0\r\n\r\n",
        0, BAD },
    { OK "Transfer-Encoding: gzip, chunked\r\n\r\n" HEX "\r\n" BODY
         "\r\n0\r\n\r\n",
        0, BAD },
    { OK "Transfer-Encoding: identity\r\n\r\n" BODY, 1, BAD },
    { OK "Transfer-Encoding: xchunked\r\n\r\n" BODY, 1, BAD },
};

static const answer_case headers[] = {
    { OK "x-amz-crc32: " CRC "\r\n" LENGTH "\r\n" BODY, 0, FINE },
    { OK "x-amz-crc32: 1" CRC "\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK "x-amz-crc32: 1\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK "x-amz-crc32: -1\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK "x-amz-crc32: x\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK "x-amz-crc32:\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK "x-amz-crc32: " CRC "\r\nx-amz-crc32: 1\r\n" LENGTH "\r\n" BODY, 0,
        BAD },
    { OK "x-amz-crc32: 1\r\nx-amz-crc32: " CRC "\r\n" LENGTH "\r\n" BODY, 0,
        BAD },

    { OK "Content-Encoding: identity\r\n" LENGTH "\r\n" BODY, 0, FINE },
    { OK "Content-Encoding: gzip\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK "Content-Encoding: br\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK "Content-Encoding: identity, gzip\r\n" LENGTH "\r\n" BODY, 0, BAD },
    { OK "Content-Encoding: gzip\r\nContent-Encoding: identity\r\n" LENGTH
         "\r\n" BODY,
        0, BAD },

    { OK LENGTH "Connection: close\r\n\r\n" BODY, 0, FINE },
    { OK LENGTH "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n" BODY, 0, FINE },
    { OK LENGTH "Content-Type: text/html\r\n\r\n" BODY, 0, FINE },
    { OK LENGTH "Date: Thu, 99 Foo 0000 99:99:99 GMT\r\n\r\n" BODY, 0, FINE },
    { OK LENGTH "X: " SPACES "y\r\n\r\n" BODY, 0, FINE },
    { OK LENGTH SPACES "\r\n\r\n" BODY, 0, BAD },
    { OK LENGTH "X: y\r\n z\r\n\r\n" BODY, 0, BAD }, /* folded */
    { OK LENGTH "X: " NUL "\r\n\r\n" BODY, 0, BAD },
    { OK "Content-Length:" SPACES SIZE "\r\n\r\n" BODY, 0, BAD },

    { OK LENGTH LOOP "X: " SPACES "\r\n" POOL, 0, BAD },
    { OK LENGTH "X: " LOOP SPACES POOL, 0, BAD },
    { OK LENGTH LOOP LETTERS POOL, 0, BAD },
    { LOOP LETTERS POOL, 0, BAD },
    { LOOP "HTTP/1.1 200 OK" POOL, 0, SILENT }, /* 15 bytes each ms */
    { OK LOOP LENGTH LENGTH LENGTH LENGTH POOL, 0, BAD },
};

/* ---- statuses ---- */

#define STATUS(line) line "\r\n" LENGTH "\r\n" BODY

static const answer_case statuses[] = {
    { STATUS("HTTP/1.1 200"), 0, FINE },
    { STATUS("HTTP/1.0 200 OK"), 0, FINE },
    { STATUS("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), 0, FINE },
    { STATUS("HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n"
             "HTTP/1.1 199 X\r\n\r\nHTTP/1.1 200 OK"),
        0, FINE },
    { "HTTP/1.1 100 Continue\r\n\r\n", 0, SILENT },
    { "HTTP/1.1 100 Continue\r\n\r\n", 1, CUT },
    { LOOP "HTTP/1.1 100 Continue\r\n\r\n" POOL, 0, BAD },
    { STATUS("HTTP/1.1 101 Switching Protocols"), 0, BAD },

    { STATUS("HTTP/1.1 201 Created"), 0, BAD },
    { STATUS("HTTP/1.1 202 Accepted"), 0, BAD },
    { STATUS("HTTP/1.1 203 Non-Authoritative"), 0, BAD },
    { "HTTP/1.1 204 No Content\r\n\r\n", 0, BAD },
    { STATUS("HTTP/1.1 204 No Content"), 0, BAD },
    { STATUS("HTTP/1.1 206 Partial Content"), 0, BAD },
    { STATUS("HTTP/1.1 301 Moved\r\nLocation: http://table.test/"), 0, BAD },
    { STATUS("HTTP/1.1 302 Found\r\nLocation: http://evil.test/"), 0, BAD },
    { STATUS("HTTP/1.1 304 Not Modified"), 0, BAD },
    { STATUS("HTTP/1.1 307 Temporary\r\nLocation: http://evil.test/"), 0,
        BAD },
    { STATUS("HTTP/1.1 400 Bad Request"), 0, BAD },
    { STATUS("HTTP/1.1 404 Not Found"), 0, BAD },
    { STATUS("HTTP/1.1 500 Oops"), 0, DYNALOCK_SERVICE_FAILED },
    { STATUS("HTTP/1.1 503 Later"), 0, DYNALOCK_SERVICE_FAILED },
    { STATUS("HTTP/1.1 599 X"), 0, DYNALOCK_SERVICE_FAILED },
    { STATUS("HTTP/1.1 600 X"), 0, BAD },
    { STATUS("HTTP/1.1 099 X"), 0, BAD },
    { STATUS("HTTP/1.1 0200 OK"), 0, BAD },
    { STATUS("HTTP/1.1 2000 OK"), 0, BAD },
    { STATUS("HTTP/1.1 -200 OK"), 0, BAD },
    { STATUS("HTTP/1.1  200 OK"), 0, BAD },
    { STATUS("HTTP/2 200 OK"), 0, BAD },
    { STATUS("HTTP/1.2 200 OK"), 0, BAD },
    { STATUS("ICY 200 OK"), 0, BAD },
    { STATUS(" HTTP/1.1 200 OK"), 0, BAD },
    { "\r\n" STATUS("HTTP/1.1 200 OK"), 0, BAD },
    { "\x16\x03\x03", 1, CUT },
    { "", 1, CUT },
    { "", 0, SILENT },
};

/* ---- bodies ---- */

#define BODY_OF(text) CHUNKED "\r\n" text "0\r\n\r\n"
#define CHUNK BODY_OF(HEX "\r\n" BODY "\r\n")
#define ERROR_BODY(type)                                                      \
    "Connection: close\r\n\r\n{\"__type\":\"com.amazonaws.dynamodb.v20120810" \
    "#" type "\",\"message\":\"The conditional request failed\"}"

static const answer_case bodies[] = {
    { BODY_OF("1\r\n \r\n" HEX "\r\n" BODY "\r\n2\r\n\r\n\r\n"), 0, FINE },
    { BODY_OF("3e8\r\n" SPACES "\r\n" HEX "\r\n" BODY "\r\n"
              "3e8\r\n" SPACES "\r\n"),
        0, FINE },
    { CHUNKED "\r\n" LOOP "3e8\r\n" SPACES "\r\n" POOL, 0, SILENT },
    { CHUNKED "\r\n" LOOP "1\r\n \r\n" POOL, 0, SILENT },
    { CHUNKED "\r\n" HEX "\r\n" BODY "\r\n" LOOP "1\r\n \r\n" POOL, 0,
        SILENT },
    { CHUNKED "\r\n" HEX ";" LOOP LETTERS POOL, 0, BAD },
    { CHUNKED "\r\n" HEX "\r\n" BODY "\r\n0\r\n" LOOP "X: " LETTERS
              "\r\n" POOL,
        0, BAD },
    { OK "\r\n" BODY LOOP " " POOL, 0, SILENT },
    { OK "\r\n{\"a\":\"" LOOP "x" POOL, 0, SILENT },
    { OK "\r\n{\"a\":" LOOP "[" POOL, 0, SILENT },
    { OK "Content-Length: 1000\r\n\r\n{\"a\":" LOOP "[" POOL, 0, BAD },

    { OK "\r\n", 1, BAD },
    { OK "\r\n ", 1, BAD },
    { OK "\r\n" BODY BODY, 1, BAD },
    { OK "\r\n" BODY "x", 1, BAD },
    { OK "\r\n" BODY NUL, 1, BAD },
    { OK "\r\n\xef\xbb\xbf" BODY, 1, BAD },
    { OK "\r\nnull", 1, BAD },
    { OK "\r\n[]", 1, BAD },
    { OK "\r\n\"\"", 1, BAD },
    { OK "\r\n{\"a\":1", 1, BAD },
    { OK "\r\n{\"a\":01}", 1, BAD },
    { OK "\r\n{\"a\":\"\xff\"}", 1, BAD },
    { OK "\r\n{'a':1}", 1, BAD },
    { OK "\r\n{\"message\":\"a\",\"message\":\"b\"}", 1, BAD },
    { OK "\r\n<html>sorry</html>", 1, BAD },
    { OK "\r\n\x1f\x8b", 1, BAD },

    /* it says both yes and no */
    { OK ERROR_BODY("ConditionalCheckFailedException"), 1, BAD },
    { OK ERROR_BODY("ResourceNotFoundException"), 1, BAD },
    { "HTTP/1.1 202 X\r\n" ERROR_BODY("ConditionalCheckFailedException"), 1,
        BAD },
    { "HTTP/1.1 302 X\r\n" ERROR_BODY("AccessDeniedException"), 1, BAD },
};

#define FRAMES(test, answers)                                                 \
    static void test(void **state)                                            \
    {                                                                         \
        (void)state;                                                          \
        meet_all(answers, DL_COUNT(answers));                                 \
    }

FRAMES(test_lengths, lengths)
FRAMES(test_chunks, chunks)
FRAMES(test_headers, headers)
FRAMES(test_statuses, statuses)
FRAMES(test_bodies, bodies)

/* ---- items ---- */

#define OTHERS                                                                \
    "\"ownerName\":{\"S\":\"other\"},\"leaseDuration\":{\"S\":\"10000\"},"    \
    "\"recordVersionNumber\":{\"S\":\"v\"}"
#define FENCE(value) "{" OTHERS ",\"fence\":" value "}"
#define LEASE(value)                                                          \
    "{\"ownerName\":{\"S\":\"other\"},\"leaseDuration\":" value               \
    ",\"recordVersionNumber\":{\"S\":\"v\"}}"
#define OWNER(value)                                                          \
    "{\"ownerName\":" value ",\"leaseDuration\":{\"S\":\"10000\"},"           \
    "\"recordVersionNumber\":{\"S\":\"v\"}}"
#define VERSION(value)                                                        \
    "{\"ownerName\":{\"S\":\"other\"},\"leaseDuration\":{\"S\":\"10000\"},"   \
    "\"recordVersionNumber\":" value "}"
#define TEN_DEEP(inside) "[[[[[[[[[[" inside "]]]]]]]]]]"
#define NINETY_DEEP(inside)                                                   \
    TEN_DEEP(TEN_DEEP(TEN_DEEP(                                               \
        TEN_DEEP(TEN_DEEP(TEN_DEEP(TEN_DEEP(TEN_DEEP(TEN_DEEP(inside)))))))))

/* What of an item is believed: in a read, and where an acquire or a renewal is
   said to have been refused for its sake. */
typedef struct item_case {
    const char *item;
    int status; /* of the record; -1: the answer is none */
} item_case;

static const item_case items[] = {
    { FENCE("{\"N\":\"7\"}"), DYNALOCK_LOCKED },
    { FENCE("{\"N\":\"007\"}"), DYNALOCK_LOCKED },
    { FENCE("{\"N\":\"9223372036854775806\"}"), DYNALOCK_LOCKED },
    /* the key is not looked at: whose the lock is, the rest says */
    { "{\"key\":{\"S\":\"not k\"}," OTHERS "}", DYNALOCK_LOCKED },
    { "{" OTHERS ",\"isReleased\":{\"BOOL\":true}}", DYNALOCK_LOCKED },
    { "{" OTHERS ",\"x\":" NINETY_DEEP("") "}", DYNALOCK_LOCKED },

    /* no room above, out of range, or no whole number */
    { FENCE("{\"N\":\"9223372036854775807\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"18446744073709551616\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"18446744073709551623\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"99999999999999999999999999999999999999\"}"),
        DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"-1\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"1e3\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"1E+3\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"7.0\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"+7\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\" 7\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"0x7\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"7\\u0000\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":7}"), DYNALOCK_FOREIGN },
    { FENCE("{\"S\":\"7\"}"), DYNALOCK_FOREIGN },
    { FENCE("{\"NS\":[\"7\"]}"), DYNALOCK_FOREIGN },
    { FENCE("{\"N\":\"7\",\"S\":\"7\"}"), DYNALOCK_FOREIGN },
    { FENCE("{}"), DYNALOCK_FOREIGN },
    { FENCE("null"), DYNALOCK_FOREIGN },
    { FENCE("[{\"N\":\"7\"}]"), DYNALOCK_FOREIGN },

    { LEASE("{\"S\":\"-1\"}"), DYNALOCK_FOREIGN },
    { LEASE("{\"S\":\"0\"}"), DYNALOCK_FOREIGN },
    { LEASE("{\"S\":\"1e4\"}"), DYNALOCK_FOREIGN },
    { LEASE("{\"S\":\"2147483648\"}"), DYNALOCK_FOREIGN },
    { LEASE("{\"S\":\"99999999999999999999h\"}"), DYNALOCK_FOREIGN },
    { LEASE("{\"S\":\"\"}"), DYNALOCK_FOREIGN },
    { LEASE("{\"BOOL\":true}"), DYNALOCK_FOREIGN },

    { OWNER("{\"N\":\"1\"}"), DYNALOCK_FOREIGN },
    { OWNER("{\"S\":null}"), DYNALOCK_FOREIGN },
    { OWNER("{\"S\":\"" SPACES "\"}"), DYNALOCK_FOREIGN },
    { VERSION("{\"S\":\"\"}"), DYNALOCK_FOREIGN },
    { VERSION("{\"S\":\"v\\u0000w\"}"), DYNALOCK_FOREIGN },
    { VERSION("{\"S\":\"" SPACES "\"}"), DYNALOCK_FOREIGN },
    { VERSION("{\"B\":\"dg==\"}"), DYNALOCK_FOREIGN },
    { "{}", DYNALOCK_FOREIGN },
    { "null", DYNALOCK_FOREIGN },
    { "[]", DYNALOCK_FOREIGN },
    { "\"x\"", DYNALOCK_FOREIGN },

    /* which of the two? */
    { "{" OTHERS "},\"Item\":{" OTHERS "}", -1 },
    { "{" OTHERS "},\"Item\":{}", -1 },
    { "{" OTHERS ",\"recordVersionNumber\":{\"S\":\"v\"}}", -1 },
    { "{" OTHERS ",\"ownerName\":{\"S\":\"me\"}}", -1 },
    { "{" OTHERS ",\"leaseDuration\":{\"S\":\"10000\"}}", -1 },
    { "{" OTHERS ",\"fence\":{\"N\":\"7\"},\"fence\":{\"N\":\"7\"}}", -1 },
    { "{" OTHERS ",\"isReleased\":{},\"isReleased\":{\"S\":\"1\"}}", -1 },
    { "{" OTHERS ",\"fence\":{\"N\":\"7\"},\"f\\u0065nce\":{\"N\":\"8\"}}",
        -1 },
    { "{" OTHERS ",\"x\":" NINETY_DEEP(TEN_DEEP("")) "}", -1 },
};

#define REFUSAL_HEAD                                                          \
    "HTTP/1.1 400 X\r\nConnection: close\r\n\r\n{\"__type\":\"com.amazonaws." \
    "dynamodb.v20120810#ConditionalCheckFailedException\",\"Item\":"

static void meet_item(const call_case *at, const char *head,
    const item_case *answer, dynalock_outcome outcome)
{
    static char text[8192];
    dynalock_outcome rc;

    call_name = at->name;
    case_name = answer->item;
    begin();
    memset(&group, 0, sizeof group);
    at->before();
    (void)snprintf(text, sizeof text, "%s%s}", head, answer->item);
    forgery = text;
    closes = 1;
    w.forgeries = 1;
    rc = at->call();
    if (answer->status < 0) {
        expect_doubt(at, rc, DYNALOCK_BAD_ANSWER);
        expect_unharmed();
        return;
    }
    EXPECT("the outcome", rc, outcome);
    if (at->call == call_read) EXPECT("status", record.status, answer->status);
    else EXPECT("remaining_ms", dynalock_remaining_ms(&w.client, &lock), 0);
    (void)dynalock_client_close(&w.client, 100);
}

static void test_items(void **state)
{
    static const call_case acquire = { "acquire", be_as_it_is, call_acquire,
        RETURNED };
    static const call_case renew = { "renew", be_held, call_renew, KEPT };
    static const call_case read = { "read", be_as_it_is, call_read, NONE };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(items); i++) {
        meet_item(&read, OK "\r\n{\"Item\":", &items[i], DYNALOCK_OK);
        meet_item(&renew, REFUSAL_HEAD, &items[i], DYNALOCK_LOST_STOLEN);
        meet_item(&acquire, REFUSAL_HEAD, &items[i],
            items[i].status == DYNALOCK_LOCKED ? DYNALOCK_BUSY
                                               : DYNALOCK_NOT_A_LOCK);
    }
}

/* ---- what only looks like mine ---- */

static const char *shown_owner;
static int version_off, fence_off; /* from those that I have sent */

static void forge_mine(world *world)
{
    char version[DL_VERSION_SIZE];
    static char text[1024];

    lock.counter += (uint32_t)version_off;
    dl_version(&lock, version);
    lock.counter -= (uint32_t)version_off;
    (void)snprintf(text, sizeof text,
        REFUSAL_HEAD "{\"ownerName\":{\"S\":\"%s\"},\"leaseDuration\":"
                     "{\"S\":\"10000\"},\"recordVersionNumber\":{\"S\":"
                     "\"%.*s\"},\"fence\":{\"N\":\"%llu\"}}}",
        shown_owner, DL_VERSION_SIZE, version,
        (unsigned long long)lock.fence + (unsigned long long)fence_off);
    forgery = text;
    forge(world);
}

static void test_what_only_looks_like_mine(void **state)
{
    static const struct {
        const char *name, *owner;
        int version_off, fence_off;
        dynalock_outcome acquire, renew;
    } cases[] = {
        { "my write", "me", 0, 0, DYNALOCK_OK, DYNALOCK_OK },
        { "another owner", "other", 0, 0, DYNALOCK_BUSY,
            DYNALOCK_LOST_STOLEN },
        { "a fence that has gone back", "me", 0, -1, DYNALOCK_BUSY,
            DYNALOCK_LOST_STOLEN },
        { "a fence that I have not sent", "me", 0, 1, DYNALOCK_BUSY,
            DYNALOCK_LOST_STOLEN },
        /* perhaps a stale answer: asked again while the lease lasts */
        { "an earlier write", "me", -1, 0, DYNALOCK_BUSY,
            DYNALOCK_LOST_EXPIRED },
        { "a later write", "me", 1, 0, DYNALOCK_BUSY, DYNALOCK_LOST_EXPIRED },
    };
    size_t i;

    (void)state;
    closes = 1;
    for (i = 0; i < DL_COUNT(cases); i++) {
        shown_owner = cases[i].owner;
        version_off = cases[i].version_off;
        fence_off = cases[i].fence_off;
        case_name = cases[i].name;
        call_name = "acquire";
        begin();
        w.forge = forge_mine;
        w.forgeries = 1 << 30;
        EXPECT("the outcome", call_acquire(), cases[i].acquire);
        EXPECT("held", dynalock_remaining_ms(&w.client, &lock) > 0,
            cases[i].acquire == DYNALOCK_OK);
        call_name = "renew";
        begin();
        be_held();
        w.forge = forge_mine;
        w.forgeries = 1 << 30;
        EXPECT("the outcome", call_renew(), cases[i].renew);
    }
}

/* ---- fences ---- */

/* Whatever the table shows later, a grant exceeds what was seen before. */
static void test_a_fence_that_goes_back_is_not_followed(void **state)
{
    const uint64_t high = 1900000000000; /* far ahead of the clock */

    (void)state;
    call_name = "acquire";
    case_name = "a fence that goes back";
    begin();
    be_others();
    w.item.fence = high;
    EXPECT("the outcome", call_acquire(), DYNALOCK_BUSY);
    w.item.fence = 7;
    EXPECT("the outcome", call_acquire(), DYNALOCK_BUSY);
    w.item.released = 1;
    EXPECT("the outcome", call_acquire(), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) > high);
    EXPECT("the release", call_release(), DYNALOCK_OK);
    w.item.fence = 7;
    EXPECT("the outcome", call_acquire(), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) > high + 1);
    expect_unharmed();
}

static uint64_t watched[8];
static size_t changes;

static void note_change(
    void *context, const dynalock_watch *watch, uint32_t before_ms)
{
    (void)context;
    (void)before_ms;
    assert_true(changes < DL_COUNT(watched));
    watched[changes++] = watch->record.fence;
}

static void test_a_fence_that_goes_back_is_reported(void **state)
{
    static dynalock_watch watch;

    (void)state;
    begin();
    be_others();
    memset(&watch, 0, sizeof watch);
    watch.changed = note_change;
    changes = 0;
    assert_int_equal(
        dynalock_start_watch(&w.client, &place, &watch), DYNALOCK_AGAIN);
    world_run(&w, 3000);
    w.item.fence = 5;
    world_run(&w, 3000);
    assert_int_equal(changes, 2);
    assert_int_equal(watched[0], 7);
    assert_int_equal(watched[1], 5);
    (void)dynalock_client_close(&w.client, 0);
}

/* ---- whose answer is it? ---- */

/* Whether a write was carried out only the status says: what an OK shows
   besides was not asked for, and is nobody's concern. */
static void test_an_ok_may_show_anything(void **state)
{
    static const answer_case answers[] = {
        { OK "\r\n{\"Attributes\":{" OTHERS "},\"Item\":{" OTHERS "}}", 1,
            FINE },
        { OK "\r\n{\"ConsumedCapacity\":{\"__type\":\"x#Error\"}}", 1, FINE },
        { OK "\r\n{\"message\":\"no\"}", 1, FINE },
        { OK "\r\n{\"a\":1,\"a\":2}", 1, FINE },
    };
    size_t i, k;

    (void)state;
    for (i = 0; i < DL_COUNT(answers); i++)
        for (k = 0; k < DL_COUNT(calls); k++)
            if (calls[k].doubt != NONE) meet(&calls[k], &answers[i]);
}

static void put_on_wire(const char *text)
{
    size_t size = strlen(text);

    memcpy(w.answer + w.answer_size, text, size);
    w.answer_size += size;
}

/* An answer that nobody has asked for yet serves nobody: not when it comes
   along with another one, nor when it comes later. */
static void test_an_answer_to_nobodys_request(void **state)
{
    static const char early[] = OK "Content-Length: 2\r\n\r\n{}";
    static const answer_case along = {
        OK LENGTH "\r\n" BODY OK "Content-Length: 2\r\n\r\n{}", 0, FINE
    };

    (void)state;
    meet(&calls[0], &along);
    begin();
    forgery = along.text;
    w.forgeries = 1;
    be_held();
    EXPECT("connections", w.opens, 1);
    EXPECT("the outcome", call_renew(), DYNALOCK_OK);
    EXPECT("connections", w.opens, 2); /* that one is trusted no more */
    case_name = "an early answer";
    begin();
    be_held();
    put_on_wire(early);
    w.faults[0] = FAULT_REFUSE; /* what the service really says */
    w.item.released = 1;
    EXPECT("the outcome", call_renew(), DYNALOCK_LOST_RELEASED);
    EXPECT("connections", w.opens, 2);
    w.item.exists = 0;
    expect_unharmed();
}

/* ---- one that never does anything else ---- */

static void meet_for_ever(const char *text)
{
    uint64_t began;

    case_name = text;
    call_name = "acquire";
    begin();
    w.config.attempts = 3;
    w.connected = 0;
    world_ready(&w, &lock);
    forgery = text;
    closes = 1;
    w.forgeries = 1 << 30;
    began = w.now;
    EXPECT("the outcome", dynalock_acquire(&w.client, &lock, 5000),
        DYNALOCK_UNKNOWN);
    EXPECT("late by so many steps", (w.now - began - 5000) / DL_TURNS, 0);
    assert_in_range(w.requests, 4, 400);
    EXPECT("remaining_ms", dynalock_remaining_ms(&w.client, &lock), 0);
    world_run(&w, 1000000); /* no signature lives so long */
    EXPECT("the ending", dynalock_result(&lock.operation), DYNALOCK_UNKNOWN);
    EXPECT("still tried", w.client.operations != NULL, 0);
}

static void test_a_service_that_never_answers_soundly(void **state)
{
    (void)state;
    meet_for_ever(OK "Content-Length: 1" SIZE "\r\n\r\n" BODY);
    meet_for_ever(OK "Content-Encoding: gzip\r\n\r\n\x1f\x8b");
    meet_for_ever(OK "\r\n" LOOP LETTERS POOL);
    meet_for_ever(STATUS("HTTP/1.1 500 X"));
}

/* Pages without end: two cursors in turn, which no comparison of neighbours
   finds. Only the caller can end that. */
static const char *next_page(world *world)
{
    return world->requests % 2 == 0
               ? "{\"Items\":[],\"LastEvaluatedKey\":{\"key\":{\"S\":\"a\"}}}"
               : "{\"Items\":[],\"LastEvaluatedKey\":{\"key\":{\"S\":\"b\"}}}";
}

static void test_an_endless_list_can_be_left(void **state)
{
    (void)state;
    begin();
    w.scan = next_page;
    w.latency = 1;
    w.cancel_at = w.now + 1000;
    assert_int_equal(call_list(), DYNALOCK_CANCELLED);
    assert_true(w.requests > 100);
    (void)dynalock_client_close(&w.client, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_what_only_looks_like_mine),
        cmocka_unit_test(test_a_fence_that_goes_back_is_not_followed),
        cmocka_unit_test(test_a_fence_that_goes_back_is_reported),
        cmocka_unit_test(test_an_ok_may_show_anything),
        cmocka_unit_test(test_an_answer_to_nobodys_request),
        cmocka_unit_test(test_a_service_that_never_answers_soundly),
        cmocka_unit_test(test_an_endless_list_can_be_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
