/*
TLS servers that are not what they should be, each with its outcome and
BearSSL's own number: what they show, how they speak, and what becomes of their
bytes on the way. Nothing of it grants a lock, waits beyond the deadline, or
harms the connection after it.
*/
#define DYNALOCK_POSIX
#define DYNALOCK_TLS_BUFFER 1349 /* a server that obeys sends 1 KB at most */
#include "tls_server.h"

#define CHAIN_MOST 4
#define CERTIFICATE_SIZE 2048

static world w;
static dynalock_lock lock;
static char url[128];
static dynalock_anchors anchors; /* build/pki/ca.pem */
static br_x509_certificate chain[CHAIN_MOST];
static unsigned char certificates[CHAIN_MOST][CERTIFICATE_SIZE];
static br_skey_decoder_context private_key;
static char where[128]; /* the case, for a failure's message */

static void expect(const char *what, long got, long expected, int line)
{
    if (got == expected) return;
    print_error("%s: %s is %ld, not %ld\n", where, what, got, expected);
    _fail(__FILE__, line);
}

#define EXPECT(what, got, expected)                                           \
    expect((what), (long)(got), (long)(expected), __LINE__)

/* ---- what tests/pki.sh makes ---- */

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

static void load(const char *certificate, const char *key)
{
    unsigned char der[4096];
    size_t sizes[CHAIN_MOST], i, length;
    char path[128];

    (void)snprintf(path, sizeof path, "build/pki/%s-chain.pem", certificate);
    length =
        pem_read(path, certificates[0], CERTIFICATE_SIZE, CHAIN_MOST, sizes);
    for (i = 0; i < length; i++) {
        chain[i].data = certificates[i];
        chain[i].data_len = sizes[i];
    }
    (void)snprintf(path, sizeof path, "build/pki/%s.key", key);
    assert_int_equal(pem_read(path, der, sizeof der, 1, sizes), 1);
    br_skey_decoder_init(&private_key);
    br_skey_decoder_push(&private_key, der, sizes[0]);
    assert_int_equal(br_skey_decoder_last_error(&private_key), 0);
    tls_server.chain = chain;
    tls_server.chain_length = length;
    tls_server.rsa = br_skey_decoder_get_rsa(&private_key);
    tls_server.ec = br_skey_decoder_get_ec(&private_key);
}

static int make_pki(void **state)
{
    (void)state;
    assert_int_equal(system("tests/pki.sh"), 0);
    assert_int_equal(
        dynalock_posix_anchors(&anchors, "build/pki/ca.pem"), DYNALOCK_OK);
    return 0;
}

/* ---- the world ---- */

/* Each call makes one try, so that its outcome is that of one connection. */
static void begin_world(void)
{
    world_begin(&w);
    tls_world(&w, &w.platform);
    tls_server.forgets = 1;
    w.config.attempts = 1;
    w.config.connect_ms = 2000;
    w.config.request_ms = 1000;
    memset(&lock, 0, sizeof lock);
}

static void start_client(dynalock_tls_profile *profile, const char *host)
{
    dynalock_tls_init(&tls, profile, anchors.list, anchors.count);
    (void)snprintf(url, sizeof url, "https://%s:8443", host);
    w.config.endpoint = url;
    world_ready(&w, &lock);
}

enum { SMALL, WIDE, SMALL_STRICT, WIDE_STRICT, PROFILES };
static const char *const profile_names[] = { "small", "wide", "small, strict",
    "wide, strict" };

static dynalock_tls_profile *profile_of(int profile)
{
    switch (profile) {
    case SMALL: return dynalock_tls_small();
    case WIDE: return dynalock_tls_wide();
    case SMALL_STRICT: return dynalock_tls_small_strict();
    default: return dynalock_tls_wide_strict();
    }
}

static int begin(void **state)
{
    (void)state;
    begin_world();
    load("ec", "ec");
    return 0;
}

static void begin_with(int profile)
{
    (void)begin(NULL);
    start_client(profile_of(profile), "localhost");
}

static dynalock_outcome acquire(void)
{
    return dynalock_acquire(&w.client, &lock, 0);
}

/* The server is honest again, and the wire whole. */
static void mend(void)
{
    tls_server.script = NULL;
    tls_server.refill = NULL;
    tls_server.before_answer = NULL;
    tls_server.suites = NULL;
    tls_server.version_most = BR_TLS12;
    tls_server.no_goodbye = 0;
    tls_server.drip_ms = 0;
    tls_server.cut_to_client = tls_server.cut_to_server = tls_server.flip_at =
        TLS_NEVER;
    load("ec", "ec");
}

/* Whatever was before, the lock can be had and given back. */
static void expect_unharmed(void)
{
    mend();
    EXPECT("the next acquire", acquire(), DYNALOCK_OK);
    EXPECT("the release", dynalock_release(&w.client, &lock), DYNALOCK_OK);
    EXPECT("the close", dynalock_client_close(&w.client, 100), DYNALOCK_OK);
}

/* The handshake fails: nothing was sent, nothing can be unknown. */
static void expect_refused(dynalock_outcome outcome, int tls_error)
{
    uint64_t began = w.now;

    EXPECT("the outcome", acquire(), outcome);
    EXPECT("tls_error", w.client.detail.tls_error, tls_error);
    EXPECT("requests", w.requests, 0);
    EXPECT("remaining_ms", dynalock_remaining_ms(&w.client, &lock), 0);
    EXPECT("the connections left open", w.opens - w.closes, 0);
    if (outcome == DYNALOCK_NO_ANSWER)
        EXPECT("late by so many steps",
            (w.now - began - w.config.connect_ms) / (DL_TLS_STEPS + 1), 0);
    else assert_true(w.now - began < w.config.connect_ms);
}

/* ---- certificates ---- */

typedef struct verdict {
    dynalock_outcome outcome;
    int tls_error;
} verdict;

#define GOOD                                                                  \
    {                                                                         \
        DYNALOCK_OK, 0                                                        \
    }
#define NAME                                                                  \
    {                                                                         \
        DYNALOCK_TLS_NAME, BR_ERR_X509_BAD_SERVER_NAME                        \
    }
#define DATE                                                                  \
    {                                                                         \
        DYNALOCK_TLS_DATE, BR_ERR_X509_EXPIRED                                \
    }
#define UNTRUSTED(why)                                                        \
    {                                                                         \
        DYNALOCK_TLS_UNTRUSTED, BR_ERR_X509_##why                             \
    }
#define FAILED(why)                                                           \
    {                                                                         \
        DYNALOCK_TLS_FAILED, BR_ERR_##why                                     \
    }

typedef struct certificate_case {
    const char *chain, *key; /* of tests/pki.sh; NULL: of the same name */
    const char *host;        /* NULL: localhost */
    verdict verdicts[2];     /* of the small and the wide profile */
} certificate_case;

static const certificate_case certificate_cases[] = {
    { "ec", NULL, NULL, { GOOD, GOOD } },
    { "rsa", NULL, NULL, { GOOD, GOOD } },

    /* its time */
    { "expired", NULL, NULL, { DATE, DATE } },
    { "notyet", NULL, NULL, { DATE, DATE } },

    /* its name: the whole of it, in any case, or one label for a star */
    { "wrongname", NULL, NULL, { NAME, NAME } },
    { "ec", NULL, "LocalHost", { GOOD, GOOD } },
    { "ec", NULL, "localhost.evil.test", { NAME, NAME } },
    { "ec", NULL, "evillocalhost", { NAME, NAME } },
    { "capitals", NULL, "www.locks.test", { GOOD, GOOD } },
    { "wildcard", NULL, "www.locks.test", { GOOD, GOOD } },
    { "wildcard", NULL, "a.www.locks.test", { NAME, NAME } },
    { "wildcard", NULL, "locks.test", { NAME, NAME } },
    { "wildcard", NULL, "wwwlocks.test", { NAME, NAME } },
    { "partial", NULL, "ab.locks.test", { NAME, NAME } },
    { "twostars", NULL, "a.b.locks.test", { NAME, NAME } },
    { "inner", NULL, "a.b.locks.test", { NAME, NAME } },
    { "star", NULL, "localhost", { NAME, NAME } },
    { "nul", NULL, "www.locks.test", { NAME, NAME } },
    { "ec", NULL, "127.0.0.1", { NAME, NAME } }, /* addresses are none */
    { "address", NULL, "127.0.0.1", { NAME, NAME } },
    { "nameless", NULL, "www.locks.test", { GOOD, GOOD } }, /* by its CN */
    { "othername", NULL, "www.locks.test", { NAME, NAME } },

    /* who has signed it */
    { "selfsigned", NULL, NULL,
        { UNTRUSTED(NOT_TRUSTED), UNTRUSTED(NOT_TRUSTED) } },
    { "chained", NULL, NULL, { GOOD, GOOD } },
    { "underlast", NULL, NULL, { GOOD, GOOD } },
    { "missing", NULL, NULL,
        { UNTRUSTED(NOT_TRUSTED), UNTRUSTED(NOT_TRUSTED) } },
    { "reordered", NULL, NULL,
        { UNTRUSTED(DN_MISMATCH), UNTRUSTED(DN_MISMATCH) } },
    { "underleaf", NULL, NULL, { UNTRUSTED(NOT_CA), UNTRUSTED(NOT_CA) } },
    { "toodeep", NULL, NULL, { UNTRUSTED(NOT_CA), UNTRUSTED(NOT_CA) } },

    /* its keys and signatures */
    { "rsa1024", NULL, NULL,
        { UNTRUSTED(WEAK_PUBLIC_KEY), UNTRUSTED(WEAK_PUBLIC_KEY) } },
    { "rsa2040", NULL, NULL,
        { UNTRUSTED(WEAK_PUBLIC_KEY), UNTRUSTED(WEAK_PUBLIC_KEY) } },
    { "underweak", NULL, NULL,
        { UNTRUSTED(WEAK_PUBLIC_KEY), UNTRUSTED(WEAK_PUBLIC_KEY) } },
    { "sha1", NULL, NULL, { UNTRUSTED(UNSUPPORTED), UNTRUSTED(UNSUPPORTED) } },
    { "sha384", NULL, NULL, { UNTRUSTED(UNSUPPORTED), GOOD } },
    { "p384", NULL, NULL, { FAILED(BAD_SIGNATURE), GOOD } },
    { "k256", "ec", NULL, { UNTRUSTED(UNSUPPORTED), UNTRUSTED(UNSUPPORTED) } },
    { "ec", "wrongname", NULL,
        { FAILED(BAD_SIGNATURE), FAILED(BAD_SIGNATURE) } },
    { "ec", "rsa", NULL,
        { FAILED(WRONG_KEY_USAGE), FAILED(WRONG_KEY_USAGE) } },
    { "notsigning", NULL, NULL,
        { FAILED(WRONG_KEY_USAGE), FAILED(WRONG_KEY_USAGE) } },
    { "critical", NULL, NULL,
        { UNTRUSTED(CRITICAL_EXTENSION), UNTRUSTED(CRITICAL_EXTENSION) } },
};

static void check_certificate(
    const certificate_case *at, int profile, const verdict *expected)
{
    (void)snprintf(where, sizeof where, "%s for %s, %s", at->chain,
        at->host != NULL ? at->host : "localhost", profile_names[profile]);
    begin_world();
    load(at->chain, at->key != NULL ? at->key : at->chain);
    w.unix_ms = (int64_t)time(NULL) * 1000; /* as tests/pki.sh has it */
    start_client(
        profile_of(profile), at->host != NULL ? at->host : "localhost");
    if (expected->outcome == DYNALOCK_OK)
        EXPECT("the outcome", acquire(), DYNALOCK_OK);
    else expect_refused(expected->outcome, expected->tls_error);
    (void)dynalock_client_close(&w.client, 100);
}

static void test_certificates(void **state)
{
    size_t i;
    int profile;

    (void)state;
    for (i = 0; i < DL_COUNT(certificate_cases); i++)
        for (profile = SMALL; profile < PROFILES; profile++)
            check_certificate(&certificate_cases[i], profile,
                &certificate_cases[i].verdicts[profile & 1]);
}

/* What a client's certificate is good for only a strict profile asks. */
static void test_usages(void **state)
{
    static const struct {
        certificate_case certificate;
        verdict strict;
    } cases[] = {
        { { "ec", NULL, NULL, { GOOD, GOOD } }, GOOD },
        { { "rsa", NULL, NULL, { GOOD, GOOD } }, GOOD },
        { { "nousage", NULL, NULL, { GOOD, GOOD } }, GOOD },
        { { "anyusage", NULL, NULL, { GOOD, GOOD } }, GOOD },
        { { "bothusages", NULL, NULL, { GOOD, GOOD } }, GOOD },
        { { "client", NULL, NULL, { GOOD, GOOD } },
            UNTRUSTED(FORBIDDEN_KEY_USAGE) },
        { { "disguised", NULL, NULL, { GOOD, GOOD } },
            UNTRUSTED(FORBIDDEN_KEY_USAGE) },
        { { "underserver", NULL, NULL, { GOOD, GOOD } },
            UNTRUSTED(FORBIDDEN_KEY_USAGE) },
        { { "criticalusage", NULL, NULL,
              { UNTRUSTED(CRITICAL_EXTENSION),
                  UNTRUSTED(CRITICAL_EXTENSION) } },
            UNTRUSTED(CRITICAL_EXTENSION) },
    };
    size_t i;
    int profile;

    (void)state;
    for (i = 0; i < DL_COUNT(cases); i++)
        for (profile = SMALL; profile < PROFILES; profile++)
            check_certificate(&cases[i].certificate, profile,
                profile < SMALL_STRICT
                    ? &cases[i].certificate.verdicts[profile]
                    : &cases[i].strict);
}

/* Whatever bytes a certificate has (nobody has checked its signature yet), who
   reads its usages stays within its table. */
static void test_no_certificate_leads_its_reader_astray(void **state)
{
    static const char *const names[] = { "ec", "anyusage", "bothusages" };
    static const unsigned char values[] = { 0x00, 0x01, 0x06, 0x30, 0x7f, 0x80,
        0x84, 0xa3, 0xff };
    dynalock_usage usage;
    size_t i, k, at, fed;

    (void)state;
    for (i = 0; i < DL_COUNT(names); i++) {
        load(names[i], names[i]);
        for (at = 0; at < chain[0].data_len; at++) {
            unsigned char was = certificates[0][at];

            for (k = 0; k < DL_COUNT(values); k++) {
                certificates[0][at] = values[k];
                memset(&usage, 0, sizeof usage);
                for (fed = 0; fed < chain[0].data_len; fed++) {
                    dl_usage_byte(&usage, certificates[0][fed]);
                    assert_in_range(usage.level, 0, 7);
                }
            }
            certificates[0][at] = was;
        }
    }
}

/* Every byte of a certificate counts. */
static void test_an_altered_certificate_is_refused(void **state)
{
    size_t at;

    (void)state;
    begin_with(SMALL_STRICT);
    for (at = 0; at < chain[0].data_len; at += 3) {
        dynalock_outcome rc;

        (void)snprintf(where, sizeof where, "byte %u", (unsigned)at);
        certificates[0][at] ^= 1;
        rc = acquire();
        certificates[0][at] ^= 1;
        if (rc > DYNALOCK_TLS_NO_HANDSHAKE || rc < DYNALOCK_TLS_FAILED)
            EXPECT("the outcome", rc, DYNALOCK_TLS_UNTRUSTED);
        EXPECT("requests", w.requests, 0);
    }
    expect_unharmed();
}

/* ---- what it speaks ---- */

static const uint16_t chacha[] = {
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
};
static const uint16_t cbc[] = { BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
    BR_TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA };
static const uint16_t static_keys[] = { BR_TLS_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256 };

#define FATAL(number)                                                         \
    {                                                                         \
        DYNALOCK_TLS_FAILED, BR_ERR_RECV_FATAL_ALERT + (number)               \
    }

/* A server that ends at TLS 1.1 has none of our suites, and says so. */
static void test_versions_and_suites(void **state)
{
    static const struct {
        const char *name;
        unsigned version_most;
        const uint16_t *suites;
        size_t suite_count;
        verdict verdicts[2];
    } cases[] = {
        { "TLS 1.0", BR_TLS10, NULL, 0, { FATAL(40), FATAL(40) } },
        { "TLS 1.1", BR_TLS11, NULL, 0, { FATAL(40), FATAL(40) } },
        { "ChaCha20 alone", BR_TLS12, chacha, 1, { FATAL(40), GOOD } },
        { "CBC alone", BR_TLS12, cbc, DL_COUNT(cbc),
            { FATAL(40), FATAL(40) } },
        { "static keys", BR_TLS12, static_keys, DL_COUNT(static_keys),
            { FATAL(40), FATAL(40) } },
    };
    size_t i;
    int profile;

    (void)state;
    for (i = 0; i < DL_COUNT(cases); i++) {
        for (profile = SMALL; profile <= WIDE; profile++) {
            const verdict *expected = &cases[i].verdicts[profile];

            begin_with(profile);
            (void)snprintf(where, sizeof where, "%s, %s", cases[i].name,
                profile_names[profile]);
            tls_server.version_most = cases[i].version_most;
            tls_server.suites = cases[i].suites;
            tls_server.suite_count = cases[i].suite_count;
            if (expected->outcome != DYNALOCK_OK)
                expect_refused(expected->outcome, expected->tls_error);
            expect_unharmed();
        }
    }
}

/* ---- what is no handshake ---- */

typedef struct script_case {
    const char *name;
    const char *bytes;
    size_t size;
    verdict expected;
} script_case;

#define BYTES(literal) literal, sizeof(literal) - 1
#define RANDOM "0123456789abcdefghijklmnopqrstuv"
#define HELLO(version, suite, compression)                                    \
    "\x16\x03\x03\0\x2a\x02\0\0\x26" version RANDOM "\0" suite compression
#define ALERT(level, description) "\x15\x03\x03\0\x02" level description
#define NO_HANDSHAKE(why)                                                     \
    {                                                                         \
        DYNALOCK_TLS_NO_HANDSHAKE, why                                        \
    }
#define MUTE                                                                  \
    {                                                                         \
        DYNALOCK_NO_ANSWER, 0                                                 \
    }

static const script_case script_cases[] = {
    { "nothing", BYTES(""), MUTE },
    { "SSH", BYTES("SSH-2.0-OpenSSH_9.2\r\n"),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "HTTP", BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "an answer in plain text",
        BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "zeros", BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "SSL 2", BYTES("\x80\x2e\x04\0\x01\0\x02\0\0\0\0\0\0\0\0\0"),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "a record of version 2", BYTES("\x16\x02\x03\0\x04\0\0\0\0"),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "a record of no type", BYTES("\x63\x03\x03\0\x01x"),
        FAILED(UNEXPECTED) },
    { "a record of 65535 bytes", BYTES("\x16\x03\x03\xff\xff"),
        FAILED(BAD_LENGTH) },
    { "a handshake's record larger than the buffer",
        BYTES("\x16\x03\x03\x20\0"), MUTE },
    { "data at once", BYTES("\x17\x03\x03\0\x02{}"), FAILED(UNEXPECTED) },
    { "a change of keys at once", BYTES("\x14\x03\x03\0\x01\x01"),
        FAILED(UNEXPECTED) },

    { "handshake_failure", BYTES(ALERT("\x02", "\x28")), FATAL(40) },
    { "protocol_version", BYTES(ALERT("\x02", "\x46")),
        NO_HANDSHAKE(BR_ERR_RECV_FATAL_ALERT + 70) },
    { "internal_error", BYTES(ALERT("\x02", "\x50")), FATAL(80) },
    { "unrecognized_name", BYTES(ALERT("\x02", "\x70")), FATAL(112) },
    { "unrecognized_name as a warning", BYTES(ALERT("\x01", "\x70")), MUTE },
    { "goodbye", BYTES(ALERT("\x01", "\0")), NO_HANDSHAKE(0) },
    { "an alert of no level", BYTES(ALERT("\x03", "\x28")), FATAL(40) },
    { "half an alert", BYTES("\x15\x03\x03\0\x01\x02"), MUTE },

    { "hello of SSL 3", BYTES(HELLO("\x03\0", "\xc0\x2b", "\0")),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "hello of TLS 1.1", BYTES(HELLO("\x03\x02", "\xc0\x2b", "\0")),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "hello of TLS 1.3", BYTES(HELLO("\x03\x04", "\x13\x01", "\0")),
        NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
    { "hello with a suite of TLS 1.3",
        BYTES(HELLO("\x03\x03", "\x13\x01", "\0")), FAILED(BAD_CIPHER_SUITE) },
    { "hello with a static key", BYTES(HELLO("\x03\x03", "\0\x9c", "\0")),
        FAILED(BAD_CIPHER_SUITE) },
    { "hello without encryption", BYTES(HELLO("\x03\x03", "\0\x3b", "\0")),
        FAILED(BAD_CIPHER_SUITE) },
    { "hello with compression", BYTES(HELLO("\x03\x03", "\xc0\x2b", "\x01")),
        FAILED(BAD_COMPRESSION) },
    { "hello, and keys are changed",
        BYTES(HELLO("\x03\x03", "\xc0\x2b", "\0") "\x14\x03\x03\0\x01\x01"),
        FAILED(UNEXPECTED) },
    { "hello, and data",
        BYTES(HELLO("\x03\x03", "\xc0\x2b", "\0") "\x17\x03\x03\0\x02{}"),
        FAILED(UNEXPECTED) },
    { "hello twice",
        BYTES(HELLO("\x03\x03", "\xc0\x2b", "\0")
                HELLO("\x03\x03", "\xc0\x2b", "\0")),
        FAILED(UNEXPECTED) },
    { "hello, and no certificate",
        BYTES(HELLO("\x03\x03", "\xc0\x2b", "\0") //
            "\x16\x03\x03\0\x07\x0b\0\0\x03\0\0\0"),
        FAILED(UNEXPECTED) },
    { "hello, and done",
        BYTES(HELLO("\x03\x03", "\xc0\x2b", "\0") "\x16\x03\x03\0\x04\x0e\0\0"
                                                  "\0"),
        FAILED(UNEXPECTED) },
};

static void test_what_is_no_handshake(void **state)
{
    size_t i;
    int profile;

    (void)state;
    for (i = 0; i < DL_COUNT(script_cases); i++) {
        const script_case *at = &script_cases[i];

        for (profile = SMALL; profile <= WIDE; profile++) {
            begin_with(profile);
            (void)snprintf(where, sizeof where, "%s, %s", at->name,
                profile_names[profile]);
            tls_server.script = (const unsigned char *)at->bytes;
            tls_server.script_size = at->size;
            expect_refused(at->expected.outcome, at->expected.tls_error);
            expect_unharmed();
        }
    }
}

/* ---- handshakes and answers without end ---- */

static void send_warning(void)
{
    tls_send(BYTES(ALERT("\x01", "\x70")));
}

static void send_empty_record(void)
{
    tls_send(BYTES("\x16\x03\x03\0\0"));
}

static void send_hello_request(void)
{
    tls_send(BYTES("\x16\x03\x03\0\x04\0\0\0\0"));
}

/* A certificate of 16 MB, in records of 1000 bytes. */
static void send_certificate(void)
{
    static unsigned char record[1005] = "\x16\x03\x03\x03\xe8";

    if (tls_server.to_client == 0) {
        tls_send(BYTES(HELLO("\x03\x03", "\xc0\x2b", "\0")));
        tls_send(BYTES("\x16\x03\x03\0\x0a\x0b\xff\xff\xff\xff\xff\xfc\xff\xff"
                       "\xf9"));
    }
    tls_send(record, sizeof record);
}

static void test_endless_handshakes(void **state)
{
    static const struct {
        const char *name;
        void (*refill)(void);
        verdict expected;
    } cases[] = {
        { "warnings", send_warning, MUTE },
        { "empty records", send_empty_record, MUTE },
        { "requests for a hello", send_hello_request, MUTE },
        { "a certificate", send_certificate, MUTE },
    };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(cases); i++) {
        begin_with(SMALL);
        (void)snprintf(where, sizeof where, "%s", cases[i].name);
        tls_server.refill = cases[i].refill;
        expect_refused(cases[i].expected.outcome, cases[i].expected.tls_error);
        expect_unharmed();
    }
}

/* Byte by byte: in time, or to the deadline and no longer. */
static void test_slow_handshakes(void **state)
{
    static const struct {
        uint32_t drip_ms;
        dynalock_outcome outcome;
    } cases[] = {
        { 1, DYNALOCK_OK },
        { 10, DYNALOCK_NO_ANSWER },
        { 1500, DYNALOCK_NO_ANSWER },
        { 60000, DYNALOCK_NO_ANSWER },
    };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(cases); i++) {
        begin_with(SMALL);
        (void)snprintf(where, sizeof where, "a byte each %u ms",
            (unsigned)cases[i].drip_ms);
        tls_server.drip_ms = cases[i].drip_ms;
        if (cases[i].outcome == DYNALOCK_OK)
            EXPECT("the outcome", acquire(), DYNALOCK_OK);
        else expect_refused(cases[i].outcome, 0);
        (void)dynalock_client_close(&w.client, 0);
    }
}

/* ---- cuts and damage on the way ---- */

#define STRIDE 11 /* between two bytes that are cut or altered */

/* What was sent may have been carried out: it is taken back, and only then is
   the outcome sure. */
static dynalock_outcome settle(dynalock_outcome rc)
{
    EXPECT("remaining_ms", dynalock_remaining_ms(&w.client, &lock), 0);
    if (rc != DYNALOCK_UNKNOWN) return rc;
    mend();
    world_run(&w, 20000);
    EXPECT("left on the table", w.item.exists && !w.item.released, 0);
    return dynalock_result(&lock.operation);
}

/* Each handshake with an RSA key has the same length. */
static void begin_with_rsa(void)
{
    begin_with(SMALL);
    load("rsa", "rsa");
}

/* How many bytes an acquire that nobody disturbs takes each way. */
static struct tls_server measure(void)
{
    begin_with_rsa();
    EXPECT("an acquire", acquire(), DYNALOCK_OK);
    return tls_server;
}

static size_t next_offset(size_t at, size_t border)
{
    size_t next = at + STRIDE;

    if (at + 1 < border && next > border - 1) return border - 1;
    if (at + 1 == border || at == border) return at + 1;
    return next;
}

static void cut_acquire(size_t at, size_t shaken, int to_server)
{
    dynalock_outcome rc;

    begin_with_rsa();
    (void)snprintf(where, sizeof where, "cut after %u bytes %s", (unsigned)at,
        to_server ? "to the server" : "to the client");
    tls_server.by_reset = at % 2 == 0;
    if (to_server) tls_server.cut_to_server = at;
    else tls_server.cut_to_client = at;
    rc = acquire();
    EXPECT("in the handshake", rc == DYNALOCK_TLS_NO_HANDSHAKE, at < shaken);
    if (at < shaken) EXPECT("requests", w.requests, 0);
    else EXPECT("the outcome", rc, DYNALOCK_UNKNOWN);
    rc = settle(rc);
    if (at >= shaken) EXPECT("the ending", rc, DYNALOCK_DISCONNECTED);
    EXPECT("tls_error", w.client.detail.tls_error, 0);
    expect_unharmed();
}

static void test_a_handshake_may_be_cut_anywhere(void **state)
{
    struct tls_server whole = measure();
    size_t at, shaken = whole.shaken_to_client;

    (void)state;
    assert_true(shaken > 500 && shaken < whole.to_client);
    for (at = 0; at < whole.to_client; at = next_offset(at, shaken))
        cut_acquire(at, shaken, 0);
    shaken = whole.shaken_to_server;
    assert_true(shaken > 200 && shaken < whole.to_server);
    for (at = 0; at < whole.to_server; at = next_offset(at, shaken))
        cut_acquire(at, shaken, 1);
}

/* Whatever TLS makes of it, nothing is granted. */
static void test_no_altered_byte_passes(void **state)
{
    struct tls_server whole = measure();
    size_t at;

    (void)state;
    for (at = 0; at < whole.to_client; at += STRIDE) {
        dynalock_outcome rc;
        uint64_t began;

        begin_with_rsa();
        (void)snprintf(where, sizeof where, "byte %u altered", (unsigned)at);
        tls_server.flip_at = at;
        began = w.now;
        rc = acquire();
        if (w.now - began > w.config.connect_ms) fail_msg("%s", where);
        if (at < whole.shaken_to_client) EXPECT("requests", w.requests, 0);
        else EXPECT("the outcome", rc, DYNALOCK_UNKNOWN);
        rc = settle(rc);
        if (rc != DYNALOCK_NO_ANSWER && rc != DYNALOCK_BAD_ANSWER &&
            (rc > DYNALOCK_TLS_NO_HANDSHAKE || rc < DYNALOCK_TLS_FAILED))
            EXPECT("the outcome", rc, DYNALOCK_TLS_FAILED);
        expect_unharmed();
    }
}

/* ---- a connection that stood ---- */

static void say(const char *answer)
{
    (void)snprintf(w.answer, sizeof w.answer, "%s", answer);
    w.answer_size = strlen(answer);
    w.answer_at = 0;
}

static const char *told; /* the answer in place of the table's */
static int whole;        /* not: the server dies behind it */

static void tell(void)
{
    say(told);
    w.peer_closed = 1;
    tls_server.no_goodbye = !whole;
}

/* Only a goodbye or the answer's own framing says that it is whole; the end of
   the connection may be an attacker's. */
static void test_a_truncated_answer_is_none(void **state)
{
    static const struct {
        const char *answer;
        dynalock_outcome goodbye, dead;
    } cases[] = {
        { "HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}", DYNALOCK_OK,
            DYNALOCK_OK },
        { "HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\n{}",
            DYNALOCK_DISCONNECTED, DYNALOCK_DISCONNECTED },
        { "HTTP/1.1 200 X\r\n\r\n{}", DYNALOCK_OK, DYNALOCK_DISCONNECTED },
        { "HTTP/1.0 200 X\r\n\r\n{}", DYNALOCK_OK, DYNALOCK_DISCONNECTED },
        { "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
          "0\r\n\r\n",
            DYNALOCK_OK, DYNALOCK_OK },
        { "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            DYNALOCK_DISCONNECTED, DYNALOCK_DISCONNECTED },
        { "HTTP/1.1 200 X\r\n", DYNALOCK_DISCONNECTED, DYNALOCK_DISCONNECTED },
        { "", DYNALOCK_DISCONNECTED, DYNALOCK_DISCONNECTED },
    };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(cases); i++) {
        for (whole = 0; whole <= 1; whole++) {
            dynalock_outcome expected =
                whole ? cases[i].goodbye : cases[i].dead;

            begin_with(SMALL);
            told = cases[i].answer;
            (void)snprintf(where, sizeof where, "%s, %s", told,
                whole ? "and goodbye" : "and dead");
            tls_server.before_answer = tell;
            if (expected == DYNALOCK_OK)
                EXPECT("the outcome", acquire(), DYNALOCK_OK);
            else EXPECT("the ending", settle(acquire()), expected);
            if (expected == DYNALOCK_OK)
                (void)dynalock_client_close(&w.client, 100);
            else expect_unharmed();
        }
    }
}

static void ask_for_another_handshake(void)
{
    assert_true(br_ssl_engine_renegotiate(&tls_server.context.eng));
}

/* It is refused. This server ends the connection then; while it was idle
   another one serves. */
static void test_no_second_handshake(void **state)
{
    (void)state;
    begin_with(SMALL);
    tls_server.before_answer = ask_for_another_handshake;
    EXPECT("the ending", settle(acquire()), DYNALOCK_DISCONNECTED);
    EXPECT("the next acquire", acquire(), DYNALOCK_OK);
    ask_for_another_handshake();
    w.opens = 0;
    EXPECT("the release", dynalock_release(&w.client, &lock), DYNALOCK_OK);
    EXPECT("connections", w.opens, 1);
    expect_unharmed();
}

/* What a read comes to, and an acquire, that is met by this on a connection
   whose handshake was sound. */
static void expect_on_connection(void (*before_answer)(void), verdict expected)
{
    static const dynalock_name name = { "k", NULL, NULL };
    static dynalock_record record;

    begin_with(SMALL);
    tls_server.before_answer = before_answer;
    EXPECT("the outcome", dynalock_read(&w.client, &name, &record),
        expected.outcome);
    EXPECT("tls_error", w.client.detail.tls_error, expected.tls_error);
    tls_server.before_answer = before_answer;
    EXPECT("the ending", settle(acquire()), expected.outcome);
    expect_unharmed();
}

static const char *injected;
static size_t injected_size;

static void inject(void)
{
    tls_send(injected, injected_size);
}

static void test_what_is_put_between_is_no_answer(void **state)
{
    static const struct {
        const char *name;
        const char *bytes;
        size_t size;
        verdict expected;
    } cases[] = {
        { "an answer", BYTES("HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}"),
            NO_HANDSHAKE(BR_ERR_UNSUPPORTED_VERSION) },
        { "an answer in a record", BYTES("\x17\x03\x03\0\x02{}"),
            FAILED(BAD_LENGTH) },
        { "an alert in plain text", BYTES(ALERT("\x02", "\x28")),
            FAILED(BAD_LENGTH) },
        { "a goodbye in plain text", BYTES(ALERT("\x01", "\0")),
            FAILED(BAD_LENGTH) },
        { "a hello in plain text", BYTES(HELLO("\x03\x03", "\xc0\x2b", "\0")),
            { DYNALOCK_BAD_ANSWER, BR_ERR_BAD_MAC } },
        { "a record larger than the buffer", BYTES("\x17\x03\x03\x20\0"),
            { DYNALOCK_TLS_RECORD, BR_ERR_TOO_LARGE } },
    };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(cases); i++) {
        (void)snprintf(where, sizeof where, "%s", cases[i].name);
        injected = cases[i].bytes;
        injected_size = cases[i].size;
        expect_on_connection(inject, cases[i].expected);
    }
}

/* As servers do that know no max_fragment_length. The record under way has
   its size already; the next ones are as long as they can be. */
static void ignore_fragment_length(void)
{
    tls_server.context.eng.max_frag_len = 16384;
    tls_server.context.eng.log_max_frag_len = 14;
    say("HTTP/1.1 200 X\r\nContent-Length: 6000\r\n\r\n{}");
    memset(w.answer + w.answer_size, ' ', 5998);
    w.answer_size += 5998;
}

static void test_records_larger_than_the_buffer(void **state)
{
    static const verdict too_large = { DYNALOCK_TLS_RECORD, BR_ERR_TOO_LARGE };

    (void)state;
    expect_on_connection(ignore_fragment_length, too_large);
}

/* A heartbeat that meets all this leaves what was granted. */
static void test_a_held_lock_outlives_it(void **state)
{
    static const char *const answers[] = { "", "HTTP/1.1 200 X\r\n\r\n{}" };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(answers); i++) {
        begin_with(SMALL);
        EXPECT("acquire", acquire(), DYNALOCK_OK);
        told = answers[i];
        whole = 0;
        tls_server.before_answer = tell;
        EXPECT(
            "renew", dynalock_renew(&w.client, &lock), DYNALOCK_DISCONNECTED);
        mend();
        w.peer_closed = 0;
        assert_true(dynalock_remaining_ms(&w.client, &lock) > 9000);
        EXPECT("renew", dynalock_renew(&w.client, &lock), DYNALOCK_OK);
        EXPECT("release", dynalock_release(&w.client, &lock), DYNALOCK_OK);
        expect_unharmed();
    }
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(certificates),
        TEST(usages),
        TEST(no_certificate_leads_its_reader_astray),
        TEST(an_altered_certificate_is_refused),
        TEST(versions_and_suites),
        TEST(what_is_no_handshake),
        TEST(endless_handshakes),
        TEST(slow_handshakes),
        TEST(a_handshake_may_be_cut_anywhere),
        TEST(no_altered_byte_passes),
        TEST(a_truncated_answer_is_none),
        TEST(no_second_handshake),
        TEST(what_is_put_between_is_no_answer),
        TEST(records_larger_than_the_buffer),
        TEST(a_held_lock_outlives_it),
    };

    return cmocka_run_group_tests(tests, make_pki, NULL);
}
