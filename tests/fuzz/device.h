/*
A device for the targets that run a whole client: its clocks move only here,
and its peer is the target's own: `serve` gets every whole request and leaves
the bytes of an answer, or none.
*/
#ifndef DEVICE_H
#define DEVICE_H

#include "fuzz.h"

#include <strings.h>

#define DEVICE_REQUEST 32768
#define DEVICE_ANSWER 32768
#define DEVICE_UNIX_MS INT64_C(1700000000000) /* when it was started */
#define DEVICE_IDLE 2000 /* waits in a row in which nothing moves */

typedef struct device device;
struct device {
    dynalock_platform platform;
    dynalock_credentials credentials;
    dynalock_config config;
    dynalock_client client;
    uint64_t now;
    uint64_t began;           /* when the request under way began to leave */
    unsigned idle;            /* waits since time passed, or a byte */
    unsigned waits_to_cancel; /* 0: never */
    uint32_t random;
    /* the connection */
    int connected, deaf; /* deaf: it opens and takes nothing */
    int fails;           /* the next hook of it fails */
    char host[DYNALOCK_HOST_SIZE];
    uint16_t port;
    char request[DEVICE_REQUEST + 1];
    size_t request_size;
    /* what serve leaves */
    char answer[DEVICE_ANSWER];
    size_t answer_size, answer_at;
    uint64_t answer_from; /* when it can be read */
    size_t piece;         /* most bytes of one read; 0: any */
    uint32_t pause_ms;    /* that pass within its first read */
    int hangs_up;         /* the connection ends behind it */
    void (*serve)(device *d);
    void (*look)(device *d); /* whenever the clock is read; NULL: nobody */
};

/* ---- the hooks ---- */

static int device_fails(device *d)
{
    int fails = d->fails;

    d->fails = 0;
    return fails;
}

static int32_t device_open(void *context, const dynalock_peer *peer)
{
    device *d = (device *)context;

    REQUIRE(!d->connected);
    REQUIRE(strlen(peer->host) < sizeof d->host);
    if (d->deaf) return DYNALOCK_AGAIN;
    if (device_fails(d)) return -111;
    strcpy(d->host, peer->host);
    d->port = peer->port;
    d->connected = 1;
    d->request_size = d->answer_size = d->answer_at = 0;
    d->hangs_up = 0;
    return 0;
}

/* 0: the head or the body is not whole yet. */
static size_t device_request_size(const device *d)
{
    const char *end = strstr(d->request, "\r\n\r\n");
    const char *length = strstr(d->request, "\r\ncontent-length:");
    size_t size;

    if (end == NULL) return 0;
    size = (size_t)(end + 4 - d->request);
    if (length != NULL && length < end) size += strtoul(length + 17, NULL, 10);
    return d->request_size < size ? 0 : size;
}

static int32_t device_write(void *context, const void *data, size_t size)
{
    device *d = (device *)context;

    REQUIRE(d->connected && size != 0);
    if (d->deaf) return 0;
    if (device_fails(d)) return -32;
    if (d->request_size == 0) d->began = d->now;
    REQUIRE(d->request_size + size <= DEVICE_REQUEST);
    memcpy(d->request + d->request_size, data, size);
    d->request_size += size;
    d->request[d->request_size] = '\0';
    d->idle = 0;
    if (device_request_size(d) == 0) return (int32_t)size;
    REQUIRE(device_request_size(d) == d->request_size);
    d->answer_size = d->answer_at = d->piece = 0;
    d->answer_from = d->now;
    d->pause_ms = 0;
    d->serve(d);
    REQUIRE(d->answer_size <= sizeof d->answer);
    d->request_size = 0;
    return (int32_t)size;
}

static int32_t device_read(void *context, void *data, size_t size)
{
    device *d = (device *)context;
    size_t there = d->answer_size - d->answer_at;

    REQUIRE(d->connected && size != 0);
    if (device_fails(d)) return -104;
    if (d->now < d->answer_from) return 0;
    if (there == 0) return d->hangs_up ? (int32_t)DYNALOCK_EOF : 0;
    d->now += d->pause_ms;
    d->pause_ms = 0;
    if (d->piece != 0 && size > d->piece) size = d->piece;
    if (size > there) size = there;
    memcpy(data, d->answer + d->answer_at, size);
    d->answer_at += size;
    d->idle = 0;
    return (int32_t)size;
}

static void device_close(void *context)
{
    device *d = (device *)context;

    d->connected = 0;
}

static uint64_t device_monotonic_ms(void *context)
{
    device *d = (device *)context;

    if (d->look != NULL) d->look(d);
    return d->now;
}

static int64_t device_unix_ms(void *context)
{
    const device *d = (const device *)context;

    return DEVICE_UNIX_MS + (int64_t)d->now;
}

static int32_t device_entropy(void *context, void *out, size_t size)
{
    device *d = (device *)context;
    uint8_t *to = (uint8_t *)out;

    while (size-- != 0) {
        d->random = d->random * 1664525 + 1013904223;
        *to++ = (uint8_t)(d->random >> 24);
    }
    return 0;
}

/* To the end of the wait, or to when the socket is ready. */
static int32_t device_wait(void *context, unsigned interest, uint32_t ms)
{
    device *d = (device *)context;
    int readable =
        d->connected && (d->hangs_up || d->answer_at < d->answer_size);

    if ((interest & DYNALOCK_READ) != 0 && readable) {
        uint64_t left = d->answer_from > d->now ? d->answer_from - d->now : 0;

        if (left < ms) ms = (uint32_t)left;
    }
    if ((interest & DYNALOCK_WRITE) != 0 && !d->deaf) ms = 0;
    d->now += ms;
    if (ms != 0) d->idle = 0;
    REQUIRE(d->idle++ < DEVICE_IDLE);
    return d->waits_to_cancel != 0 && --d->waits_to_cancel == 0;
}

/* ---- making one ---- */

static DYNALOCK_MAYBE_UNUSED void device_init(
    device *d, void (*serve)(device *))
{
    memset(d, 0, sizeof *d);
    d->now = 1000;
    d->serve = serve;
    d->platform.context = d;
    d->platform.open = device_open;
    d->platform.write = device_write;
    d->platform.read = device_read;
    d->platform.close = device_close;
    d->platform.monotonic_ms = device_monotonic_ms;
    d->platform.unix_ms = device_unix_ms;
    d->platform.entropy = device_entropy;
    d->platform.wait = device_wait;
    d->credentials.key_id = "AKIDEXAMPLE";
    d->credentials.secret = "secret";
    d->config.platform = &d->platform;
    d->config.credentials = &d->credentials;
    d->config.endpoint = "http://table.test:8000";
    d->config.region = "eu-central-1";
    d->config.table = "locks";
    d->config.owner = "device";
}

static DYNALOCK_MAYBE_UNUSED void device_start(device *d)
{
    REQUIRE(dynalock_client_init(&d->client, &d->config) == DYNALOCK_OK);
}

/* Until nothing is left to do, or so much time has passed. */
static DYNALOCK_MAYBE_UNUSED void device_run(device *d, uint32_t most_ms)
{
    uint64_t end = d->now + most_ms;
    unsigned interest;
    uint32_t ms;

    while (dynalock_poll(&d->client) == DYNALOCK_AGAIN && d->now < end) {
        dynalock_wants(&d->client, &interest, &ms);
        if (ms > end - d->now) ms = (uint32_t)(end - d->now);
        (void)device_wait(d, interest, ms);
    }
}

/* ---- answers ---- */

static DYNALOCK_MAYBE_UNUSED void device_answer_bytes(
    device *d, const void *data, size_t size)
{
    if (size > sizeof d->answer - d->answer_size)
        size = sizeof d->answer - d->answer_size;
    if (size != 0) memcpy(d->answer + d->answer_size, data, size);
    d->answer_size += size;
}

/* A whole and sound message around any body. */
static DYNALOCK_MAYBE_UNUSED void device_answer(
    device *d, unsigned status, const void *body, size_t size)
{
    char head[160];
    int n = snprintf(head, sizeof head,
        "HTTP/1.1 %u X\r\nx-amz-crc32: %lu\r\nContent-Length: %u\r\n\r\n",
        status, (unsigned long)dl_crc32(0, body, size), (unsigned)size);

    device_answer_bytes(d, head, (size_t)n);
    device_answer_bytes(d, body, size);
}

static DYNALOCK_MAYBE_UNUSED void device_answer_text(
    device *d, unsigned status, const char *body)
{
    device_answer(d, status, body, strlen(body));
}

/* The request's target, and its body (with a NUL). */
static DYNALOCK_MAYBE_UNUSED const char *device_body(const device *d)
{
    return strstr(d->request, "\r\n\r\n") + 4;
}

static DYNALOCK_MAYBE_UNUSED int device_asks_for(
    const device *d, const char *operation)
{
    const char *at = strstr(d->request, "DynamoDB_20120810.");
    size_t size = strlen(operation);

    return at != NULL && strncmp(at + 18, operation, size) == 0 &&
           at[18 + size] == '\r';
}

/* ---- a second reader of answers, which has them whole ---- */

/* It accepts more than the client does: what it refuses is surely wrong. */

typedef struct answer {
    unsigned status;
    const char *body;
    size_t size;
    uint32_t crc;
    int has_crc;
    char *chunks; /* the body, if it was chunked; to be freed */
} answer;

/* Cuts a line off what is left, without its end. NULL: there is none. */
static const char *cut_line(input *in, size_t *size)
{
    const char *line = (const char *)in->at;
    const char *end = (const char *)memchr(line, '\n', in->size);

    if (end == NULL) return NULL;
    *size = (size_t)(end - line);
    in->at += *size + 1;
    in->size -= *size + 1;
    if (*size != 0 && line[*size - 1] == '\r') --*size;
    return line;
}

/* A header's number; 0: it is another header. */
static int is_header(
    const char *line, size_t size, const char *name, unsigned long *number)
{
    size_t n = strlen(name);

    if (size <= n || strncasecmp(line, name, n) != 0) return 0;
    *number = strtoul(line + n, NULL, 10);
    return 1;
}

/* The chunks, in memory of their own. 0: they are not whole. */
static int read_chunks(input in, answer *a)
{
    unsigned long n;
    const char *line;
    size_t size;

    a->chunks = memory(NULL, in.size);
    a->body = a->chunks;
    for (a->size = 0; (line = cut_line(&in, &size)) != NULL;) {
        n = strtoul(line, NULL, 16);
        if (n == 0) return 1; /* trailers do not matter */
        if (n > in.size) return 0;
        memcpy(a->chunks + a->size, in.at, n);
        a->size += n;
        (void)choose_bytes(&in, n);
        if (cut_line(&in, &size) == NULL) return 0;
    }
    return 0;
}

/* Behind the status line. */
static int read_message(input in, answer *a, int closed)
{
    unsigned long length = 0, crc = 0;
    int chunked = 0, sized = 0;
    const char *line;
    size_t size;

    while ((line = cut_line(&in, &size)) != NULL && size != 0) {
        if (is_header(line, size, "content-length:", &length)) sized = 1;
        if (is_header(line, size, "x-amz-crc32:", &crc)) a->has_crc = 1;
        if (size > 18 && strncasecmp(line, "transfer-encoding:", 18) == 0)
            chunked = 1;
    }
    a->crc = (uint32_t)crc;
    if (line == NULL) return 0;
    if (chunked) return read_chunks(in, a);
    a->body = (const char *)in.at;
    a->size = sized ? length : in.size;
    return sized ? length <= in.size : closed;
}

/* closed: the connection ends there. 0: no whole answer. Free its chunks. */
static DYNALOCK_MAYBE_UNUSED int read_answer(
    answer *a, const char *bytes, size_t all, int closed)
{
    input in = { (const uint8_t *)bytes, all };
    const char *line;
    size_t size;

    do {
        memset(a, 0, sizeof *a);
        line = cut_line(&in, &size);
        if (line == NULL || size < 12) return 0;
        a->status = (unsigned)strtoul(line + 9, NULL, 10);
        while (a->status < 200 && (line = cut_line(&in, &size)) != NULL)
            if (size == 0) break;
    } while (a->status < 200 && line != NULL);
    return line != NULL && read_message(in, a, closed);
}

static DYNALOCK_MAYBE_UNUSED int is_undamaged(const answer *a)
{
    return !a->has_crc || a->crc == dl_crc32(0, a->body, a->size);
}

#endif
