/*
A TLS server in this process, for worlds (world.h): BearSSL's engine stands
between the client's hooks and the world's, under the same virtual time. Its
bytes go over a wire that can be cut, slowed or tampered with, and it can be
made to misbehave; or there is none, and the client gets the bytes that the test
has written. What goes to other hosts passes by it.

Its certificate, unless the test has others, is for table.test, signed with its
own key, which is a trust anchor (openssl ca -selfsign; P-256, 2020 to 2049).
The key protects nothing but these tests.
*/
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include "world.h"

#define TLS_NEVER ((size_t)-1)

/* clang-format off */
static const unsigned char tls_certificate[] = {
    0x30, 0x82, 0x01, 0x5f, 0x30, 0x82, 0x01, 0x05, 0xa0, 0x03, 0x02, 0x01,
    0x02, 0x02, 0x01, 0x01, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x04, 0x03, 0x02, 0x30, 0x15, 0x31, 0x13, 0x30, 0x11, 0x06, 0x03,
    0x55, 0x04, 0x03, 0x0c, 0x0a, 0x74, 0x61, 0x62, 0x6c, 0x65, 0x2e, 0x74,
    0x65, 0x73, 0x74, 0x30, 0x1e, 0x17, 0x0d, 0x32, 0x30, 0x30, 0x31, 0x30,
    0x31, 0x30, 0x30, 0x30, 0x30, 0x30, 0x30, 0x5a, 0x17, 0x0d, 0x34, 0x39,
    0x31, 0x32, 0x33, 0x31, 0x32, 0x33, 0x35, 0x39, 0x35, 0x39, 0x5a, 0x30,
    0x15, 0x31, 0x13, 0x30, 0x11, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x0a,
    0x74, 0x61, 0x62, 0x6c, 0x65, 0x2e, 0x74, 0x65, 0x73, 0x74, 0x30, 0x59,
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    0x04, 0xb0, 0x12, 0x87, 0xf7, 0x76, 0x0b, 0x87, 0x51, 0xf4, 0x5d, 0xc1,
    0xd7, 0x6f, 0x46, 0x5c, 0x99, 0xcb, 0xa1, 0x6c, 0x5a, 0x60, 0xa2, 0x2c,
    0x04, 0x15, 0x6e, 0xf2, 0xe3, 0xf3, 0x8e, 0x0c, 0x5b, 0x4a, 0xdd, 0x17,
    0x2b, 0x76, 0x80, 0x81, 0x14, 0x53, 0x6e, 0xab, 0x2b, 0x3b, 0x10, 0x26,
    0xfb, 0xf1, 0xad, 0x45, 0x82, 0x31, 0x00, 0x1b, 0xc6, 0x6b, 0xf5, 0xfe,
    0x7b, 0x48, 0xf1, 0x8e, 0x97, 0xa3, 0x46, 0x30, 0x44, 0x30, 0x15, 0x06,
    0x03, 0x55, 0x1d, 0x11, 0x04, 0x0e, 0x30, 0x0c, 0x82, 0x0a, 0x74, 0x61,
    0x62, 0x6c, 0x65, 0x2e, 0x74, 0x65, 0x73, 0x74, 0x30, 0x0c, 0x06, 0x03,
    0x55, 0x1d, 0x13, 0x01, 0x01, 0xff, 0x04, 0x02, 0x30, 0x00, 0x30, 0x1d,
    0x06, 0x03, 0x55, 0x1d, 0x0e, 0x04, 0x16, 0x04, 0x14, 0x10, 0xc7, 0x0e,
    0x31, 0x71, 0x86, 0xf9, 0x0e, 0x09, 0x1c, 0x17, 0x2e, 0xe2, 0xb7, 0x66,
    0x59, 0xf2, 0x80, 0xe7, 0x06, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x04, 0x03, 0x02, 0x03, 0x48, 0x00, 0x30, 0x45, 0x02, 0x20,
    0x43, 0x84, 0x86, 0x4c, 0x26, 0xf4, 0xa4, 0xa2, 0x59, 0x34, 0xa8, 0x3b,
    0xf6, 0xf5, 0x2b, 0xf9, 0x5a, 0xfe, 0xe7, 0xd3, 0x1a, 0x84, 0xeb, 0x05,
    0x1e, 0x9d, 0xf8, 0xe6, 0x99, 0x9d, 0xf1, 0xb6, 0x02, 0x21, 0x00, 0x81,
    0xea, 0x5f, 0x7d, 0xfc, 0xeb, 0xd0, 0xbb, 0x95, 0x1b, 0x4a, 0xce, 0x14,
    0x2f, 0x16, 0x1e, 0x1c, 0x9b, 0xd2, 0xcc, 0xec, 0x99, 0x69, 0xd8, 0x0e,
    0xd9, 0xec, 0x81, 0x4b, 0xff, 0x8a, 0x58,
};
static const unsigned char tls_secret_key[] = {
    0x8a, 0x63, 0xd2, 0xf8, 0xec, 0xc7, 0x37, 0x9d, 0x9b, 0xaa, 0xcd, 0xc7,
    0xcd, 0xc5, 0x52, 0xef, 0x45, 0x59, 0x9f, 0x16, 0xb4, 0xe1, 0x99, 0xa4,
    0xce, 0x81, 0x32, 0x22, 0x6e, 0xa6, 0xa2, 0xf6,
};
static const unsigned char tls_public_key[] = {
    0x04, 0xb0, 0x12, 0x87, 0xf7, 0x76, 0x0b, 0x87, 0x51, 0xf4, 0x5d, 0xc1,
    0xd7, 0x6f, 0x46, 0x5c, 0x99, 0xcb, 0xa1, 0x6c, 0x5a, 0x60, 0xa2, 0x2c,
    0x04, 0x15, 0x6e, 0xf2, 0xe3, 0xf3, 0x8e, 0x0c, 0x5b, 0x4a, 0xdd, 0x17,
    0x2b, 0x76, 0x80, 0x81, 0x14, 0x53, 0x6e, 0xab, 0x2b, 0x3b, 0x10, 0x26,
    0xfb, 0xf1, 0xad, 0x45, 0x82, 0x31, 0x00, 0x1b, 0xc6, 0x6b, 0xf5, 0xfe,
    0x7b, 0x48, 0xf1, 0x8e, 0x97,
};
static const unsigned char tls_name[] = {
    0x30, 0x15, 0x31, 0x13, 0x30, 0x11, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c,
    0x0a, 0x74, 0x61, 0x62, 0x6c, 0x65, 0x2e, 0x74, 0x65, 0x73, 0x74,
};
/* clang-format on */

static const br_x509_certificate tls_chain = {
    (unsigned char *)tls_certificate, sizeof tls_certificate
};
static const br_ec_private_key tls_key = { BR_EC_secp256r1,
    (unsigned char *)tls_secret_key, sizeof tls_secret_key };

static struct tls_server {
    br_ssl_server_context context;
    unsigned char buffer[BR_SSL_BUFSIZE_BIDI];
    unsigned char sessions[1000];
    br_ssl_session_cache_lru cache;
    int forgets; /* each handshake is a whole one */
    const br_x509_certificate *chain;
    size_t chain_length;
    const br_ec_private_key *ec;
    const br_rsa_private_key *rsa; /* NULL: ec is its key */
    unsigned version_most;
    const uint16_t *suites; /* NULL: all that BearSSL has */
    size_t suite_count;
    int no_goodbye; /* it ends connections without close_notify */
    void (*before_answer)(void);
    /* instead of it */
    const unsigned char *script;
    size_t script_size;
    void (*refill)(void); /* of a wire that never ends */
    /* the wire */
    unsigned char wire[65536];
    size_t wire_size, wire_at;
    size_t to_client, to_server;               /* bytes that have passed */
    size_t shaken_to_client, shaken_to_server; /* of them in the handshake */
    size_t cut_to_client, cut_to_server;
    int by_reset, ended;
    uint32_t drip_ms; /* between two bytes to the client */
    uint64_t next_byte;
    size_t flip_at; /* a byte to the client that is altered */
} tls_server;

static br_x509_trust_anchor tls_anchor;
static dynalock_tls tls; /* the client's */

/* ---- the server ---- */

static void tls_start(void)
{
    br_ssl_server_context *context = &tls_server.context;
    br_ssl_engine_context *engine = &context->eng;

    if (tls_server.rsa != NULL)
        br_ssl_server_init_full_rsa(context, tls_server.chain,
            tls_server.chain_length, tls_server.rsa);
    else
        br_ssl_server_init_full_ec(context, tls_server.chain,
            tls_server.chain_length, BR_KEYTYPE_EC, tls_server.ec);
    if (!tls_server.forgets)
        br_ssl_server_set_cache(context, &tls_server.cache.vtable);
    br_ssl_engine_set_versions(engine, BR_TLS10, tls_server.version_most);
    if (tls_server.suites != NULL)
        br_ssl_engine_set_suites(
            engine, tls_server.suites, tls_server.suite_count);
    br_ssl_engine_set_buffer(
        engine, tls_server.buffer, sizeof tls_server.buffer, 1);
    br_ssl_engine_inject_entropy(
        engine, "all the same, all the same again", 32);
    assert_true(br_ssl_server_reset(context));
}

static int tls_wire_is_empty(void)
{
    return tls_server.wire_at == tls_server.wire_size;
}

static void tls_send(const void *data, size_t size)
{
    if (tls_wire_is_empty()) tls_server.wire_at = tls_server.wire_size = 0;
    assert_true(tls_server.wire_size + size <= sizeof tls_server.wire);
    memcpy(tls_server.wire + tls_server.wire_size, data, size);
    tls_server.wire_size += size;
}

static int tls_has_answer(const world *w)
{
    return w->answer_at < w->answer_size && w->now >= w->answer_from;
}

/* All of an answer in one record, if it fits. */
static void tls_answer(world *w)
{
    br_ssl_engine_context *engine = &tls_server.context.eng;
    void (*before)(void) = tls_server.before_answer;
    unsigned char *at;
    size_t size;
    int32_t n;

    if (w->answer_at == 0 && before != NULL) {
        tls_server.before_answer = NULL;
        before();
        return;
    }
    at = br_ssl_engine_sendapp_buf(engine, &size);
    n = world_read_hook(w, at, size);
    assert_true(n > 0);
    br_ssl_engine_sendapp_ack(engine, (size_t)n);
    br_ssl_engine_flush(engine, 0);
}

/* What the server, which is free to send, can do with the world's answer: one
   record at a time, then the end. 0: nothing now. */
static int tls_forward(world *w)
{
    if (tls_has_answer(w)) {
        if (!tls_wire_is_empty()) return 0;
        tls_answer(w);
        return 1;
    }
    if (!w->peer_closed || tls_server.ended) return 0;
    tls_server.ended = 1;
    if (!tls_server.no_goodbye) br_ssl_engine_close(&tls_server.context.eng);
    return 1;
}

/* One thing that the server can do now; 0: there is none. */
static int tls_step(world *w)
{
    br_ssl_engine_context *engine = &tls_server.context.eng;
    unsigned state = br_ssl_engine_current_state(engine);
    unsigned char *at;
    size_t size;
    int32_t n;

    if ((state & BR_SSL_SENDREC) != 0) {
        at = br_ssl_engine_sendrec_buf(engine, &size);
        tls_send(at, size);
        br_ssl_engine_sendrec_ack(engine, size);
        return 1;
    }
    if ((state & BR_SSL_RECVAPP) != 0) {
        at = br_ssl_engine_recvapp_buf(engine, &size);
        n = world_write_hook(w, at, size);
        assert_true(n > 0);
        br_ssl_engine_recvapp_ack(engine, (size_t)n);
        return 1;
    }
    if ((state & BR_SSL_SENDAPP) != 0) return tls_forward(w);
    if (state == BR_SSL_CLOSED) tls_server.ended = 1;
    return 0;
}

/* The test has written what the client gets. */
static int tls_is_scripted(void)
{
    return tls_server.script != NULL || tls_server.refill != NULL;
}

static void tls_serve(world *w)
{
    while (!tls_is_scripted() && tls_step(w)) continue;
}

/* Takes what the server asks for now, the header of a record or its rest. */
static size_t tls_feed(world *w, const void *data, size_t size)
{
    br_ssl_engine_context *engine = &tls_server.context.eng;
    unsigned char *to;
    size_t room;

    if ((br_ssl_engine_current_state(engine) & BR_SSL_RECVREC) == 0)
        return size; /* it has hung up, and hears nothing */
    to = br_ssl_engine_recvrec_buf(engine, &room);
    if (size > room) size = room;
    memcpy(to, data, size);
    br_ssl_engine_recvrec_ack(engine, size);
    tls_serve(w);
    return size;
}

/* ---- the hooks ---- */

static int32_t tls_open(void *context, const dynalock_peer *peer)
{
    const world *w = (const world *)context;
    int32_t rc = world_open(context, peer);

    tls_server.wire_size = tls_server.wire_at = 0;
    tls_server.to_client = tls_server.to_server = 0;
    tls_server.ended = 0;
    tls_server.next_byte = w->now;
    if (rc == 0 && !world_is_elsewhere(w) && !tls_is_scripted()) tls_start();
    return rc;
}

static int tls_is_cut(void)
{
    return tls_server.to_client >= tls_server.cut_to_client ||
           tls_server.to_server >= tls_server.cut_to_server;
}

static int32_t tls_write(void *context, const void *data, size_t size)
{
    world *w = (world *)context;
    size_t left = tls_server.cut_to_server - tls_server.to_server;

    if (world_is_elsewhere(w)) return world_write_hook(context, data, size);
    assert_true(w->connected);
    if (tls_is_cut()) return -32;
    if (size > left) size = left;
    if (w->write_most != 0 && size > w->write_most) size = w->write_most;
    if (tls_server.script != NULL && tls_server.to_server == 0)
        tls_send(tls_server.script, tls_server.script_size);
    if (!tls_is_scripted()) size = tls_feed(w, data, size);
    tls_server.to_server += size;
    if (tls.state == DL_TLS_SHAKE)
        tls_server.shaken_to_server = tls_server.to_server;
    return (int32_t)size;
}

/* How many bytes can be read now. */
static size_t tls_ready(const world *w)
{
    size_t size = tls_server.wire_size - tls_server.wire_at;
    size_t left = tls_server.cut_to_client - tls_server.to_client;

    if (size > left) size = left;
    if (tls_server.drip_ms != 0 && size > 1) size = 1;
    if (w->read_most != 0 && size > w->read_most) size = w->read_most;
    return w->now < tls_server.next_byte ? 0 : size;
}

/* Takes bytes that are ready off the wire. */
static void tls_take(const world *w, unsigned char *out, size_t size)
{
    size_t flip = tls_server.flip_at - tls_server.to_client;

    memcpy(out, tls_server.wire + tls_server.wire_at, size);
    if (flip < size) out[flip] ^= 1;
    tls_server.wire_at += size;
    tls_server.to_client += size;
    if (tls.state == DL_TLS_SHAKE)
        tls_server.shaken_to_client = tls_server.to_client;
    tls_server.next_byte = w->now + tls_server.drip_ms;
}

static int32_t tls_read(void *context, void *data, size_t size)
{
    world *w = (world *)context;
    size_t there;

    if (world_is_elsewhere(w)) return world_read_hook(context, data, size);
    assert_true(w->connected);
    if (tls_server.refill != NULL && tls_wire_is_empty()) {
        w->now++; /* nothing takes no time at all */
        tls_server.refill();
    }
    tls_serve(w);
    there = tls_ready(w);
    if (size > there) size = there;
    if (size != 0) {
        tls_take(w, (unsigned char *)data, size);
        return (int32_t)size;
    }
    if (!tls_is_cut() && !(tls_server.ended && tls_wire_is_empty())) return 0;
    return tls_server.by_reset ? -104 : (int32_t)DYNALOCK_EOF;
}

static int tls_is_readable(const world *w)
{
    return w->connected && (!tls_wire_is_empty() || tls_server.ended ||
                               tls_is_cut() || tls_server.refill != NULL);
}

/* Time passes here: to the next byte, or to the end of the wait. */
static int32_t tls_wait(void *context, unsigned interest, uint32_t ms)
{
    world *w = (world *)context;
    uint64_t next = tls_server.next_byte;
    uint64_t left = next > w->now ? next - w->now : 0;

    if (w->connected && !world_is_elsewhere(w)) {
        tls_serve(w);
        if ((interest & DYNALOCK_READ) != 0 && tls_is_readable(w) && left < ms)
            ms = (uint32_t)left;
    }
    return world_wait(context, interest, ms);
}

/* ---- making one ---- */

/* The world's hooks, through TLS; its config asks for it. */
static void tls_world(world *w, dynalock_platform *platform)
{
    memset(&tls_server, 0, sizeof tls_server);
    br_ssl_session_cache_lru_init(
        &tls_server.cache, tls_server.sessions, sizeof tls_server.sessions);
    tls_server.chain = &tls_chain;
    tls_server.chain_length = 1;
    tls_server.ec = &tls_key;
    tls_server.version_most = BR_TLS12;
    tls_server.cut_to_client = tls_server.cut_to_server = TLS_NEVER;
    tls_server.flip_at = TLS_NEVER;
    platform->open = tls_open;
    platform->write = tls_write;
    platform->read = tls_read;
    platform->wait = tls_wait;
    tls_anchor.dn.data = (unsigned char *)tls_name;
    tls_anchor.dn.len = sizeof tls_name;
    tls_anchor.pkey.key_type = BR_KEYTYPE_EC;
    tls_anchor.pkey.key.ec.curve = BR_EC_secp256r1;
    tls_anchor.pkey.key.ec.q = (unsigned char *)tls_public_key;
    tls_anchor.pkey.key.ec.qlen = sizeof tls_public_key;
    dynalock_tls_init(&tls, dynalock_tls_small(), &tls_anchor, 1);
    w->config.endpoint = "https://table.test:8000";
    w->config.tls = &tls;
}

#endif
