/*
A world of one process for the lock's tests: virtual clocks, a stream that
ends in a table of one item, and faults on demand. The table knows the
requests by their wording and evaluates them as the service would; it is no
model of DynamoDB (tests/simulation has one), just enough to answer. A test
that lists a table answers the Scans itself.
*/
#ifndef WORLD_H
#define WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* after the above */
#include <cmocka.h>

#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#define WORLD_STATES 16
#define WORLD_LOCKS 4
#define WORLD_TEXT 1100 /* of an item's attribute */
#ifndef WORLD_ANSWER
#define WORLD_ANSWER 16384
#endif

enum world_fault {
    FAULT_NONE,
    FAULT_LOSE_REQUEST, /* never carried out, never answered */
    FAULT_LOSE_ANSWER,  /* carried out, never answered */
    FAULT_REPEAT,       /* carried out twice; the second answer arrives */
    FAULT_CUT,          /* carried out; the answer ends half way */
    FAULT_THROTTLE,
    FAULT_500,       /* not carried out */
    FAULT_500_AFTER, /* carried out */
    FAULT_DAMAGE,    /* carried out; the answer's checksum is wrong */
    FAULT_HTML,
    FAULT_DENY,
    FAULT_EXPIRED_TOKEN,
    FAULT_REFUSE,    /* "the condition failed", though it did not */
    FAULT_CLOSE_IDLE /* answered; then the connection closes */
};

typedef struct world_item {
    int exists, released, has_fence;
    char owner[WORLD_TEXT], lease[64], rvn[300];
    unsigned long long fence;
    const char *raw; /* instead of all this: the item's JSON */
} world_item;

typedef struct world world;
struct world {
    dynalock_platform platform;
    dynalock_credentials credentials;
    dynalock_config config;
    dynalock_client client;
    uint64_t now;
    int64_t unix_ms;   /* at now == 0; 0: the clock is not set */
    int64_t server_ms; /* the service's clock at now == 0; 0: the device's */
    int dated, aged;   /* answers have Date, and Age */
    int connected, opens, closes, refuse, mute_open;
    char host[256]; /* of the connection */
    int secure;
    uint16_t port;
    /* hosts but the table's: answers w->request, or does not yet */
    void (*serve_other)(struct world *w);
    int others;             /* requests to them */
    uint64_t pause_in_read; /* ms that pass inside the next read that gets */
    size_t read_most, write_most;
    /* the request under way, and the answer */
    char request[16384];
    size_t request_size;
    char answer[WORLD_ANSWER];
    size_t answer_size, answer_at;
    int peer_closed;
    uint64_t latency;
    uint64_t answer_from; /* when it can be read */
    /* the table */
    world_item item;
    world_item stale; /* what eventual reads see, if it exists */
    int never_item;   /* a server that shows no item with a refusal */
    enum world_fault faults[32];
    size_t fault_at;
    const char *(*scan)(struct world *w); /* the answer to a Scan */
    int requests, writes, reads;
    char last_body[16384];
    char last_operation[32];
    /* failing hooks */
    long hook_calls, fail_at; /* the call that fails; 0: none */
    int no_entropy, cancel;
    uint64_t cancel_at;
    /* states seen, for the transition tables */
    dynalock_lock *locks[WORLD_LOCKS];
    uint8_t lock_was[WORLD_LOCKS], exchange_was;
    uint8_t lock_moves[WORLD_STATES][WORLD_STATES];
    uint8_t exchange_moves[WORLD_STATES][WORLD_STATES];
    const dynalock_operation *table; /* NULL, or looked at too */
    const dynalock_provider *provider;
    uint8_t ask_was;
    uint8_t ask_moves[WORLD_STATES][WORLD_STATES];
    uint8_t table_was;
    uint8_t table_moves[WORLD_STATES][WORLD_STATES];
    /* carries out what is not about the item: last_operation, last_body, and
       world_reply; 0: it is about the item after all */
    int (*other)(world *w, int damage);
    /* what becomes of the answers to so many requests that were carried out;
       a part of one may come over and over, a millisecond later each time */
    void (*forge)(world *w);
    int forgeries;
    size_t loop_from, loop_to;
    unsigned loops;
};

/* ---- states ---- */

static void world_look(world *w)
{
    size_t i;

    for (i = 0; i < WORLD_LOCKS; i++) {
        uint8_t is, was = w->lock_was[i];

        if (w->locks[i] == NULL) continue;
        is = w->locks[i]->operation.state;
        if (is != was) w->lock_moves[was][is] = 1;
        w->lock_was[i] = is;
    }
    if (w->table != NULL && w->table->state != w->table_was)
        w->table_moves[w->table_was][w->table->state] = 1;
    if (w->table != NULL) w->table_was = w->table->state;
    if (w->provider != NULL && w->provider->state != w->ask_was)
        w->ask_moves[w->ask_was][w->provider->state] = 1;
    if (w->provider != NULL) w->ask_was = w->provider->state;
    if (w->client.exchange.state != w->exchange_was)
        w->exchange_moves[w->exchange_was][w->client.exchange.state] = 1;
    w->exchange_was = w->client.exchange.state;
}

static int world_fails(world *w)
{
    world_look(w);
    return ++w->hook_calls == w->fail_at;
}

/* ---- the table ---- */

static const char *world_find(const world *w, const char *text)
{
    return strstr(w->last_body, text);
}

/* The text of value :x, "" when it is not there. */
static void world_value(const world *w, char letter, char *out, size_t size)
{
    char start[8];
    const char *at;
    size_t n = 0;

    (void)snprintf(start, sizeof start, "\":%c\":{", letter);
    at = world_find(w, start);
    out[0] = '\0';
    if (at == NULL) return;
    at += strlen(start) + 5; /* "S":" */
    while (at[n] != '"' && n + 1 < size) n++;
    memcpy(out, at, n);
    out[n] = '\0';
}

static unsigned long long world_number(const world *w, char letter)
{
    char text[64];

    world_value(w, letter, text, sizeof text);
    return strtoull(text, NULL, 10);
}

static int world_between(const world *w, const char *rvn, char a, char z)
{
    char low[300], high[300];

    world_value(w, a, low, sizeof low);
    world_value(w, z, high, sizeof high);
    return strcmp(rvn, low) >= 0 && strcmp(rvn, high) <= 0;
}

/* What the claims of a reboot ask for. */
static int world_is_heir(const world *w, const char *rvn)
{
    if (world_find(w, " BETWEEN :b AND :e") != NULL)
        return world_between(w, rvn, 'b', 'e');
    return world_find(w, " OR (ownerName=:o)") != NULL;
}

static int world_is_owner(const world *w)
{
    char owner[WORLD_TEXT];

    world_value(w, 'o', owner, sizeof owner);
    return strcmp(owner, w->item.owner) == 0;
}

static int world_may_acquire(const world *w)
{
    const world_item *item = &w->item;
    char watched[300];
    int through;

    if (!item->exists) return 1;
    if (item->raw != NULL) return 0;
    if (item->has_fence && item->fence >= world_number(w, 'f')) return 0;
    if (item->released) return 1;
    if (world_is_owner(w) && world_between(w, item->rvn, 'a', 'z')) return 1;
    if (world_is_owner(w) && world_is_heir(w, item->rvn)) return 1;
    world_value(w, 'w', watched, sizeof watched);
    through = strcmp(watched, item->rvn) == 0;
    if (world_find(w, "AND fence=:v") != NULL)
        return through && item->has_fence &&
               item->fence == world_number(w, 'v');
    return through && !item->has_fence;
}

static int world_may_renew(const world *w)
{
    return w->item.exists && !w->item.released && world_is_owner(w) &&
           w->item.has_fence && w->item.fence == world_number(w, 'f') &&
           world_between(w, w->item.rvn, 'a', 'z');
}

static int world_may_release(const world *w)
{
    return w->item.exists && world_is_owner(w) && w->item.has_fence &&
           w->item.fence <= world_number(w, 'f') &&
           world_between(w, w->item.rvn, 'a', 'z');
}

/* Only what was shown is broken. */
static int world_may_break(const world *w)
{
    char shown[300];

    world_value(w, 'r', shown, sizeof shown);
    return w->item.exists && !w->item.released &&
           strcmp(shown, w->item.rvn) == 0;
}

/* Carries the write out; 0: its condition does not hold. */
static int world_write(world *w)
{
    world_item *item = &w->item;

    w->writes++;
    if (strcmp(w->last_operation, "DeleteItem") == 0) {
        if (!item->exists || !item->released || !item->has_fence ||
            item->fence >= world_number(w, 'f'))
            return 0;
        memset(item, 0, sizeof *item);
        return 1;
    }
    if (world_find(w, " AND NOT isReleased=:y") != NULL) {
        if (!world_may_break(w)) return 0;
        item->released = 1;
        world_value(w, 'm', item->rvn, sizeof item->rvn);
        return 1;
    }
    if (world_find(w, " AND fence<=:f") != NULL) {
        if (!world_may_release(w)) return 0;
        item->released = 1;
        world_value(w, 'r', item->rvn, sizeof item->rvn);
        item->fence = world_number(w, 'f');
        return 1;
    }
    if (world_find(w, "ownerName=:o,") == NULL) {
        if (!world_may_renew(w)) return 0;
    } else {
        if (!world_may_acquire(w)) return 0;
        item->exists = 1;
        item->released = 0;
        item->has_fence = 1;
        item->fence = world_number(w, 'f');
        world_value(w, 'o', item->owner, sizeof item->owner);
    }
    world_value(w, 'r', item->rvn, sizeof item->rvn);
    world_value(w, 'l', item->lease, sizeof item->lease);
    return 1;
}

static void world_item_text(const world_item *item, char *out, size_t size)
{
    char fence[64] = "";

    if (item->raw != NULL) {
        (void)snprintf(out, size, "%s", item->raw);
        return;
    }
    if (item->has_fence)
        (void)snprintf(
            fence, sizeof fence, ",\"fence\":{\"N\":\"%llu\"}", item->fence);
    (void)snprintf(out, size,
        "{\"key\":{\"S\":\"k\"},\"ownerName\":{\"S\":\"%s\"},"
        "\"leaseDuration\":{\"S\":\"%s\"},"
        "\"recordVersionNumber\":{\"S\":\"%s\"}%s%s}",
        item->owner, item->lease, item->rvn, fence,
        item->released ? ",\"isReleased\":{\"S\":\"1\"}" : "");
}

/* ---- the answer ---- */

static int64_t world_server_ms(const world *w)
{
    int64_t at = w->server_ms != 0 ? w->server_ms : w->unix_ms;

    return at + (int64_t)w->now;
}

static void world_date(const world *w, char *out, size_t size)
{
    time_t seconds = (time_t)(world_server_ms(w) / 1000);

    (void)strftime(
        out, size, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime(&seconds));
}

/* Refuses signatures that are five minutes off, as DynamoDB does. */
static int world_is_signed_now(const world *w)
{
    const char *at = strstr(w->request, "x-amz-date:");
    int64_t off;
    struct tm tm;

    assert_non_null(at);
    memset(&tm, 0, sizeof tm);
    assert_int_equal(
        sscanf(at + 11, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon,
            &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec),
        6);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    off = (int64_t)timegm(&tm) - world_server_ms(w) / 1000;
    return off >= -300 && off <= 300;
}

static void world_reply(world *w, int status, const char *body, int damage)
{
    uint32_t crc = dl_crc32(0, body, strlen(body)) + (uint32_t)damage;
    char date[48] = "";

    if (w->dated) world_date(w, date, sizeof date);
    w->answer_size = (size_t)snprintf(w->answer, sizeof w->answer,
        "HTTP/1.1 %d X\r\nx-amz-crc32: %lu\r\n%s%sContent-Length: %u\r\n"
        "\r\n%s",
        status, (unsigned long)crc, date, w->aged ? "Age: 7\r\n" : "",
        (unsigned)strlen(body), body);
    w->answer_at = 0;
    w->answer_from = w->now + w->latency;
}

static void world_reply_error(world *w, int status, const char *type)
{
    char body[256];

    (void)snprintf(body, sizeof body,
        "{\"__type\":\"com.amazonaws.dynamodb.v20120810#%s\","
        "\"message\":\"told by the test\"}",
        type);
    world_reply(w, status, body, 0);
}

static void world_refuse(world *w)
{
    char item[4096], body[8192];

    if (w->never_item || !w->item.exists) {
        world_reply_error(w, 400, "ConditionalCheckFailedException");
        return;
    }
    world_item_text(&w->item, item, sizeof item);
    (void)snprintf(body, sizeof body,
        "{\"__type\":\"com.amazonaws.dynamodb.v20120810#"
        "ConditionalCheckFailedException\",\"Item\":%s,\"message\":\"x\"}",
        item);
    world_reply(w, 400, body, 0);
}

static void world_carry_out(world *w, int damage)
{
    char item[4096], body[8192] = "{}";
    const world_item *seen = &w->item;

    if (strcmp(w->last_operation, "Scan") == 0) {
        world_reply(w, 200, w->scan(w), damage);
        return;
    }
    if (w->other != NULL && w->other(w, damage)) return;
    if (strcmp(w->last_operation, "GetItem") != 0) {
        if (world_write(w)) world_reply(w, 200, "{}", damage);
        else world_refuse(w);
        return;
    }
    w->reads++;
    if (w->stale.exists && world_find(w, "ConsistentRead") == NULL)
        seen = &w->stale;
    if (seen->exists) {
        world_item_text(seen, item, sizeof item);
        (void)snprintf(body, sizeof body, "{\"Item\":%s}", item);
    }
    world_reply(w, 200, body, damage);
}

static void world_serve(world *w)
{
    enum world_fault fault = w->faults[w->fault_at];

    if (fault != FAULT_NONE) w->fault_at++;
    w->requests++;
    switch (fault) {
    case FAULT_LOSE_REQUEST: break;
    case FAULT_LOSE_ANSWER:
        world_carry_out(w, 0);
        w->answer_size = 0;
        break;
    case FAULT_REPEAT:
        world_carry_out(w, 0);
        world_carry_out(w, 0);
        break;
    case FAULT_CUT:
        world_carry_out(w, 0);
        w->answer_size /= 2;
        w->peer_closed = 1;
        break;
    case FAULT_THROTTLE:
        world_reply_error(w, 400, "ProvisionedThroughputExceededException");
        break;
    case FAULT_500: world_reply_error(w, 500, "InternalServerError"); break;
    case FAULT_500_AFTER:
        world_carry_out(w, 0);
        world_reply_error(w, 500, "InternalServerError");
        break;
    case FAULT_DAMAGE: world_carry_out(w, 1); break;
    case FAULT_HTML: world_reply(w, 502, "<html>sorry</html>", 0); break;
    case FAULT_EXPIRED_TOKEN:
        world_reply_error(w, 400, "ExpiredTokenException");
        break;
    case FAULT_DENY: world_reply_error(w, 400, "AccessDeniedException"); break;
    case FAULT_REFUSE: world_refuse(w); break;
    case FAULT_CLOSE_IDLE:
        world_carry_out(w, 0);
        w->peer_closed = 1;
        break;
    case FAULT_NONE: world_carry_out(w, 0); break;
    }
}

/* The connection is to a host that is not the table's. */
static int world_is_elsewhere(const world *w)
{
    return w->serve_other != NULL && strcmp(w->host, "table.test") != 0;
}

/* Serves the request once all of it has arrived. */
static void world_take(world *w)
{
    const char *end, *at;
    size_t head, size;

    w->request[w->request_size] = '\0';
    end = strstr(w->request, "\r\n\r\n");
    if (end == NULL) return;
    if (world_is_elsewhere(w)) {
        w->others++;
        w->serve_other(w);
        w->request_size = 0;
        return;
    }
    head = (size_t)(end - w->request) + 4;
    at = strstr(w->request, "content-length:");
    assert_non_null(at);
    size = (size_t)strtoul(at + 15, NULL, 10);
    if (w->request_size < head + size) return;
    assert_int_equal(w->request_size, head + size);
    memcpy(w->last_body, w->request + head, size + 1);
    at = strstr(w->request, "DynamoDB_20120810.");
    assert_non_null(at);
    (void)sscanf(at + 18, "%31[A-Za-z]", w->last_operation);
    w->request_size = 0;
    if (world_is_signed_now(w)) {
        world_serve(w);
        if (w->forgeries != 0) {
            w->forgeries--;
            w->forge(w);
        }
        return;
    }
    w->requests++;
    world_reply(w, 400,
        "{\"__type\":\"x#InvalidSignatureException\",\"message\":"
        "\"Signature expired: too old\"}",
        0);
}

/* ---- the hooks ---- */

static int32_t world_open(void *context, const dynalock_peer *peer)
{
    world *w = (world *)context;

    assert_non_null(peer->host);
    if (world_fails(w) || w->refuse) return -111;
    if (w->mute_open) return DYNALOCK_AGAIN;
    assert_false(w->connected);
    (void)snprintf(w->host, sizeof w->host, "%s", peer->host);
    w->port = peer->port;
    w->secure = peer->secure;
    w->connected = 1;
    w->opens++;
    w->peer_closed = 0;
    w->request_size = 0;
    w->answer_size = 0;
    w->answer_at = 0;
    w->loops = 0;
    return 0;
}

static int32_t world_write_hook(void *context, const void *data, size_t size)
{
    world *w = (world *)context;

    assert_true(w->connected);
    assert_true(size > 0);
    if (world_fails(w)) return -32;
    if (w->write_most != 0 && size > w->write_most) size = w->write_most;
    assert_true(w->request_size + size < sizeof w->request);
    memcpy(w->request + w->request_size, data, size);
    w->request_size += size;
    world_take(w);
    return (int32_t)size;
}

static int32_t world_read_hook(void *context, void *data, size_t size)
{
    world *w = (world *)context;
    size_t there = w->answer_size - w->answer_at;

    assert_true(w->connected);
    if (world_fails(w)) return -104;
    if (w->read_most != 0 && size > w->read_most) size = w->read_most;
    if (w->now < w->answer_from) there = 0;
    if (there == 0) return w->peer_closed ? (int32_t)DYNALOCK_EOF : 0;
    w->now += w->pause_in_read;
    w->pause_in_read = 0;
    if (w->loops != 0) there = w->loop_to - w->answer_at;
    if (size > there) size = there;
    memcpy(data, w->answer + w->answer_at, size);
    w->answer_at += size;
    if (w->loops != 0 && w->answer_at == w->loop_to) {
        w->answer_at = w->loop_from;
        w->loops--;
        w->now++;
    }
    return (int32_t)size;
}

static void world_close(void *context)
{
    world *w = (world *)context;

    world_look(w);
    if (w->connected) w->closes++;
    w->connected = 0;
}

static uint64_t world_monotonic(void *context)
{
    world *w = (world *)context;

    world_look(w);
    return w->now;
}

static int64_t world_unix(void *context)
{
    const world *w = (const world *)context;

    return w->unix_ms == 0 ? 0 : w->unix_ms + (int64_t)w->now;
}

static int32_t world_entropy(void *context, void *out, size_t size)
{
    static uint32_t state = 1;
    world *w = (world *)context;
    uint8_t *at = (uint8_t *)out;

    if (world_fails(w) || w->no_entropy) return -1;
    while (size-- != 0) {
        state = state * 1664525 + 1013904223;
        *at++ = (uint8_t)(state >> 24);
    }
    return 0;
}

/* Time passes only here: to the end of the wait, or to the answer. */
static int32_t world_wait(void *context, unsigned interest, uint32_t ms)
{
    world *w = (world *)context;
    int readable =
        w->connected && (w->peer_closed || w->answer_at < w->answer_size);

    if (world_fails(w)) return 1;
    if ((interest & DYNALOCK_READ) != 0 && readable) {
        uint64_t left = w->answer_from > w->now ? w->answer_from - w->now : 0;

        if (left < ms) ms = (uint32_t)left;
    }
    if ((interest & DYNALOCK_WRITE) != 0 && !w->mute_open) ms = 0;
    w->now += ms;
    return w->cancel || (w->cancel_at != 0 && w->now >= w->cancel_at);
}

/* ---- making one ---- */

static void world_begin(world *w)
{
    memset(w, 0, sizeof *w);
    w->now = 1000000;
    w->unix_ms = 1700000000000;
    w->platform.context = w;
    w->platform.open = world_open;
    w->platform.write = world_write_hook;
    w->platform.read = world_read_hook;
    w->platform.close = world_close;
    w->platform.monotonic_ms = world_monotonic;
    w->platform.unix_ms = world_unix;
    w->platform.entropy = world_entropy;
    w->platform.wait = world_wait;
    w->credentials.key_id = "AKID";
    w->credentials.secret = "secret";
    w->config.platform = &w->platform;
    w->config.credentials = &w->credentials;
    w->config.endpoint = "http://table.test:8000";
    w->config.region = "test-1";
    w->config.table = "locks";
    w->config.owner = "me";
    w->config.lease_ms = 10000;
}

DYNALOCK_MAYBE_UNUSED static void world_lock(
    dynalock_lock *lock, const char *key)
{
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = key;
    assert_int_equal(dynalock_lock_init(lock, &options), DYNALOCK_OK);
}

/* A client and a lock on key "k", ready to use. */
DYNALOCK_MAYBE_UNUSED static void world_ready(world *w, dynalock_lock *lock)
{
    assert_int_equal(
        dynalock_client_init(&w->client, &w->config), DYNALOCK_OK);
    world_lock(lock, "k");
    w->locks[0] = lock;
}

/* Somebody else's live item. */
DYNALOCK_MAYBE_UNUSED static void world_hold(
    world *w, const char *rvn, const char *lease)
{
    memset(&w->item, 0, sizeof w->item);
    w->item.exists = 1;
    (void)snprintf(w->item.owner, sizeof w->item.owner, "other");
    (void)snprintf(w->item.lease, sizeof w->item.lease, "%s", lease);
    (void)snprintf(w->item.rvn, sizeof w->item.rvn, "%s", rvn);
}

/* Polls for so many virtual milliseconds. */
DYNALOCK_MAYBE_UNUSED static void world_run(world *w, uint64_t ms)
{
    uint64_t end = w->now + ms;

    while (w->now < end) {
        unsigned interest;
        uint32_t wait;

        (void)dynalock_poll(&w->client);
        dynalock_wants(&w->client, &interest, &wait);
        if (wait > end - w->now) wait = (uint32_t)(end - w->now);
        if (w->now < end) (void)w->platform.wait(w, interest, wait);
        if (wait == 0 && interest == 0) w->now++;
    }
    (void)dynalock_poll(&w->client);
    world_look(w);
}

#endif
