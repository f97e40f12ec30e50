/*
A TLS server in the world of world.h: BearSSL's, with the certificates that
tests/pki.sh makes, under the same virtual time. Its bytes go over a wire that
can be cut, slowed or tampered with, and it can be made to misbehave; or there
is none, and the client gets the bytes that the test has written.
*/
#ifndef TLS_WORLD_H
#define TLS_WORLD_H

#define DYNALOCK_POSIX
#define DYNALOCK_TLS_BUFFER 1349 /* a server that obeys sends 1 KB at most */
#include "world.h"

#define TLS_NEVER ((size_t)-1)
#define TLS_CHAIN_MOST 4
#define TLS_CERTIFICATE_SIZE 2048

typedef struct tls_world tls_world;
struct tls_world {
    world w; /* first: it is the hooks' context */
    dynalock_tls tls;
    dynalock_lock lock;
    char url[128];
    /* the server */
    br_ssl_server_context server;
    unsigned char in[BR_SSL_BUFSIZE_INPUT], out[BR_SSL_BUFSIZE_OUTPUT];
    br_x509_certificate chain[TLS_CHAIN_MOST];
    unsigned char certificates[TLS_CHAIN_MOST][TLS_CERTIFICATE_SIZE];
    size_t chain_length;
    br_skey_decoder_context key;
    unsigned version_most;
    const uint16_t *suites; /* NULL: all that BearSSL has */
    size_t suite_count;
    int no_goodbye; /* it ends connections without close_notify */
    void (*before_answer)(tls_world *t);
    /* instead of it */
    const unsigned char *script;
    size_t script_size;
    void (*refill)(tls_world *t); /* of a wire that never ends */
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
};

/* ---- its certificates ---- */

typedef struct pem_object {
    unsigned char *out;
    size_t size, capacity;
} pem_object;

static void pem_take(void *context, const void *data, size_t size)
{
    pem_object *object = (pem_object *)context;

    assert_true(object->size + size <= object->capacity);
    memcpy(object->out + object->size, data, size);
    object->size += size;
}

/* Decodes a file's objects, one after another, into out[]; returns how many
   there are. */
static size_t pem_read(const char *path, unsigned char *out, size_t each,
    size_t most, size_t *sizes)
{
    static char text[32768];
    br_pem_decoder_context decoder;
    FILE *file = fopen(path, "r");
    size_t size, at = 0, count = 0;
    pem_object object = { NULL, 0, 0 };

    if (file == NULL) fail_msg("%s: tests/pki.sh has not made it", path);
    size = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    assert_true(size < sizeof text);
    br_pem_decoder_init(&decoder);
    while (at < size) {
        at += br_pem_decoder_push(&decoder, text + at, size - at);
        switch (br_pem_decoder_event(&decoder)) {
        case BR_PEM_BEGIN_OBJ:
            assert_true(count < most);
            object.out = out + count * each;
            object.size = 0;
            object.capacity = each;
            br_pem_decoder_setdest(&decoder, pem_take, &object);
            break;
        case BR_PEM_END_OBJ: sizes[count++] = object.size; break;
        case 0: break;
        default: fail_msg("%s: not PEM", path);
        }
    }
    return count;
}

static void tls_load(tls_world *t, const char *certificate, const char *key)
{
    unsigned char der[4096];
    size_t sizes[TLS_CHAIN_MOST], i;
    char path[128];

    (void)snprintf(path, sizeof path, "build/pki/%s-chain.pem", certificate);
    t->chain_length = pem_read(
        path, t->certificates[0], TLS_CERTIFICATE_SIZE, TLS_CHAIN_MOST, sizes);
    for (i = 0; i < t->chain_length; i++) {
        t->chain[i].data = t->certificates[i];
        t->chain[i].data_len = sizes[i];
    }
    (void)snprintf(path, sizeof path, "build/pki/%s.key", key);
    assert_int_equal(pem_read(path, der, sizeof der, 1, sizes), 1);
    br_skey_decoder_init(&t->key);
    br_skey_decoder_push(&t->key, der, sizes[0]);
    assert_int_equal(br_skey_decoder_last_error(&t->key), 0);
}

/* ---- the server ---- */

static void tls_start_server(tls_world *t)
{
    br_ssl_engine_context *engine = &t->server.eng;

    if (br_skey_decoder_key_type(&t->key) == BR_KEYTYPE_RSA)
        br_ssl_server_init_full_rsa(&t->server, t->chain, t->chain_length,
            br_skey_decoder_get_rsa(&t->key));
    else
        br_ssl_server_init_full_ec(&t->server, t->chain, t->chain_length,
            BR_KEYTYPE_EC, br_skey_decoder_get_ec(&t->key));
    br_ssl_engine_set_versions(engine, BR_TLS10, t->version_most);
    if (t->suites != NULL)
        br_ssl_engine_set_suites(engine, t->suites, t->suite_count);
    br_ssl_engine_set_buffers_bidi(
        engine, t->in, sizeof t->in, t->out, sizeof t->out);
    br_ssl_engine_inject_entropy(
        engine, "all the same, all the same again", 32);
    assert_true(br_ssl_server_reset(&t->server));
}

static void tls_send(tls_world *t, const void *data, size_t size)
{
    assert_true(t->wire_size + size <= sizeof t->wire);
    memcpy(t->wire + t->wire_size, data, size);
    t->wire_size += size;
}

static int tls_has_answer(const tls_world *t)
{
    const world *w = &t->w;

    return w->answer_at < w->answer_size && w->now >= w->answer_from;
}

/* All of an answer in one record, if it fits. */
static void tls_answer(tls_world *t)
{
    br_ssl_engine_context *engine = &t->server.eng;
    void (*before)(tls_world *) = t->before_answer;
    unsigned char *at;
    size_t size;
    int32_t n;

    if (t->w.answer_at == 0 && before != NULL) {
        t->before_answer = NULL;
        before(t);
        return;
    }
    at = br_ssl_engine_sendapp_buf(engine, &size);
    n = world_read_hook(&t->w, at, size);
    assert_true(n > 0);
    br_ssl_engine_sendapp_ack(engine, (size_t)n);
    br_ssl_engine_flush(engine, 0);
}

/* One thing that the server can do now; 0: there is none. */
static int tls_server_step(tls_world *t)
{
    br_ssl_engine_context *engine = &t->server.eng;
    unsigned state = br_ssl_engine_current_state(engine);
    unsigned char *at;
    size_t size;

    if ((state & BR_SSL_SENDREC) != 0) {
        at = br_ssl_engine_sendrec_buf(engine, &size);
        tls_send(t, at, size);
        br_ssl_engine_sendrec_ack(engine, size);
    } else if ((state & BR_SSL_RECVAPP) != 0) {
        at = br_ssl_engine_recvapp_buf(engine, &size);
        (void)world_write_hook(&t->w, at, size);
        br_ssl_engine_recvapp_ack(engine, size);
    } else if ((state & BR_SSL_SENDAPP) != 0 && tls_has_answer(t)) {
        tls_answer(t);
    } else if ((state & BR_SSL_SENDAPP) != 0 && t->w.peer_closed &&
               !t->ended) {
        t->ended = 1;
        if (!t->no_goodbye) br_ssl_engine_close(engine);
    } else {
        if (state == BR_SSL_CLOSED) t->ended = 1;
        return 0;
    }
    return 1;
}

static void tls_serve(tls_world *t)
{
    if (t->script != NULL || t->refill != NULL) return;
    while (tls_server_step(t)) continue;
}

static void tls_feed(tls_world *t, const unsigned char *data, size_t size)
{
    br_ssl_engine_context *engine = &t->server.eng;

    while (size != 0) {
        size_t room;
        unsigned char *at;

        if ((br_ssl_engine_current_state(engine) & BR_SSL_RECVREC) == 0)
            return; /* it has closed */
        at = br_ssl_engine_recvrec_buf(engine, &room);
        if (room > size) room = size;
        memcpy(at, data, room);
        br_ssl_engine_recvrec_ack(engine, room);
        data += room;
        size -= room;
        tls_serve(t);
    }
}

/* ---- the hooks ---- */

static int32_t tls_world_open(void *context, const dynalock_peer *peer)
{
    tls_world *t = (tls_world *)context;
    int32_t rc = world_open(context, peer);

    t->wire_size = t->wire_at = 0;
    t->to_client = t->to_server = 0;
    t->ended = 0;
    t->next_byte = t->w.now;
    if (rc == 0 && t->script == NULL && t->refill == NULL) tls_start_server(t);
    return rc;
}

static int tls_is_cut(const tls_world *t)
{
    return t->to_client >= t->cut_to_client ||
           t->to_server >= t->cut_to_server;
}

static int32_t tls_world_write(void *context, const void *data, size_t size)
{
    tls_world *t = (tls_world *)context;

    assert_true(t->w.connected);
    if (tls_is_cut(t)) return -32;
    if (size > t->cut_to_server - t->to_server)
        size = t->cut_to_server - t->to_server;
    if (t->script != NULL && t->to_server == 0)
        tls_send(t, t->script, t->script_size);
    t->to_server += size;
    if (t->tls.state == DL_TLS_SHAKE) t->shaken_to_server = t->to_server;
    if (t->script == NULL && t->refill == NULL)
        tls_feed(t, (const unsigned char *)data, size);
    return (int32_t)size;
}

/* How many bytes can be read now. */
static size_t tls_ready(tls_world *t)
{
    size_t size = t->wire_size - t->wire_at;

    if (size > t->cut_to_client - t->to_client)
        size = t->cut_to_client - t->to_client;
    if (t->drip_ms != 0 && size > 1) size = 1;
    return t->w.now < t->next_byte ? 0 : size;
}

static int32_t tls_world_read(void *context, void *data, size_t size)
{
    tls_world *t = (tls_world *)context;
    unsigned char *out = (unsigned char *)data;
    size_t there;

    assert_true(t->w.connected);
    if (t->refill != NULL && t->wire_at == t->wire_size) {
        t->wire_at = t->wire_size = 0;
        t->w.now++; /* nothing takes no time at all */
        t->refill(t);
    }
    tls_serve(t);
    there = tls_ready(t);
    if (there == 0) {
        if (t->wire_at < t->wire_size && !tls_is_cut(t)) return 0;
        if (!tls_is_cut(t) && !t->ended) return 0;
        return t->by_reset ? -104 : (int32_t)DYNALOCK_EOF;
    }
    if (size > there) size = there;
    memcpy(out, t->wire + t->wire_at, size);
    if (t->flip_at - t->to_client < size) out[t->flip_at - t->to_client] ^= 1;
    t->wire_at += size;
    t->to_client += size;
    if (t->tls.state == DL_TLS_SHAKE) t->shaken_to_client = t->to_client;
    t->next_byte = t->w.now + t->drip_ms;
    return (int32_t)size;
}

/* Time passes here: to the next byte, or to the end of the wait. */
static int32_t tls_world_wait(void *context, unsigned interest, uint32_t ms)
{
    tls_world *t = (tls_world *)context;

    tls_serve(t);
    if ((interest & DYNALOCK_READ) != 0 && t->w.connected &&
        (t->wire_at < t->wire_size || t->ended || tls_is_cut(t) ||
            t->refill != NULL)) {
        uint64_t left = t->next_byte > t->w.now ? t->next_byte - t->w.now : 0;

        if (left < ms) ms = (uint32_t)left;
    }
    if ((interest & DYNALOCK_WRITE) != 0) ms = 0;
    t->w.now += ms;
    return 0;
}

/* ---- making one ---- */

static dynalock_anchors tls_anchors; /* build/pki/ca.pem */

static DYNALOCK_MAYBE_UNUSED int tls_make_pki(void **state)
{
    (void)state;
    assert_int_equal(system("tests/pki.sh"), 0);
    assert_int_equal(
        dynalock_posix_anchors(&tls_anchors, "build/pki/ca.pem"), DYNALOCK_OK);
    return 0;
}

/* Each call makes one try, so that its outcome is that of one connection. */
static void tls_world_begin(tls_world *t)
{
    memset(t, 0, sizeof *t);
    world_begin(&t->w);
    t->w.platform.open = tls_world_open;
    t->w.platform.read = tls_world_read;
    t->w.platform.write = tls_world_write;
    t->w.platform.wait = tls_world_wait;
    t->w.config.tls = &t->tls;
    t->w.config.attempts = 1;
    t->w.config.connect_ms = 2000;
    t->w.config.request_ms = 1000;
    t->version_most = BR_TLS12;
    t->cut_to_client = t->cut_to_server = t->flip_at = TLS_NEVER;
}

static void tls_world_ready(
    tls_world *t, const dynalock_tls_profile *profile, const char *host)
{
    dynalock_tls_init(&t->tls, profile, tls_anchors.list, tls_anchors.count);
    (void)snprintf(t->url, sizeof t->url, "https://%s:8443", host);
    t->w.config.endpoint = t->url;
    world_ready(&t->w, &t->lock);
}

#endif
