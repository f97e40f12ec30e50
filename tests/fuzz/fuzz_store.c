/*
Fuzzes the command's own reader of certificate stores (libFuzzer). The first
byte chooses whether the rest is PEM already, or DER to be dressed as PEM. What
is read lies in its memory; what is left out takes none; and a certificate that
BearSSL's decoder reads, too, says the same to both.
*/

#define _GNU_SOURCE /* memfd_create */
#define DYNALOCK_POSIX
#define DYNALOCK_STATIC
#define DYNALOCK_IMPLEMENTATION
#include "../../examples/dynalock/anchors.c"

#include "fuzz.h"

static cli_anchors found;
static dynalock_anchors expected;

static const char *write_file(const char *text, size_t size)
{
    static int fd = -1;
    static char path[32];

    if (fd < 0) fd = memfd_create("store", 0);
    REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0);
    REQUIRE(pwrite(fd, text, size, 0) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

static const char *write_der(const uint8_t *data, size_t size)
{
    size_t room = size * 2 + 128;
    char *text = memory(NULL, room);
    const char *path;
    dl_span span;
    dl_sink *sink = dl_span_open(&span, text, room, 0);

    dl_put_text(sink, "-----BEGIN CERTIFICATE-----\n");
    dl_put_base64(sink, data, size);
    dl_put_text(sink, "\n-----END CERTIFICATE-----\n");
    path = write_file(text, span.used);
    free(text);
    return path;
}

static int lies_within(const unsigned char *at, size_t size)
{
    return at >= found.bytes && size <= found.used &&
           at + size <= found.bytes + found.used;
}

/* All of the memory in use is some anchor's. */
static void check_anchors(void)
{
    size_t i, used = 0;

    for (i = 0; i < found.count; i++) {
        const br_x509_trust_anchor *a = &found.list[i];
        const br_x509_pkey *key = &a->pkey;

        REQUIRE(lies_within(a->dn.data, a->dn.len) && a->dn.len >= 2);
        used += a->dn.len;
        if (key->key_type == BR_KEYTYPE_RSA) {
            REQUIRE(lies_within(key->key.rsa.n, key->key.rsa.nlen));
            REQUIRE(lies_within(key->key.rsa.e, key->key.rsa.elen));
            used += key->key.rsa.nlen + key->key.rsa.elen;
        } else {
            REQUIRE(key->key_type == BR_KEYTYPE_EC);
            REQUIRE(lies_within(key->key.ec.q, key->key.ec.qlen));
            used += key->key.ec.qlen;
        }
    }
    REQUIRE(used == found.used);
}

/* Of one certificate. (BearSSL finds more of them in a file: "BEgIN", too.) */
static void check_against_bearssl(const char *path)
{
    const br_x509_trust_anchor *a = &found.list[0], *b = &expected.list[0];

    expected.count = expected.used = 0;
    if (dynalock_posix_anchors(&expected, path) != DYNALOCK_OK) return;
    REQUIRE(found.count == 1 && expected.count == 1);
    REQUIRE(a->dn.len == b->dn.len);
    REQUIRE(memcmp(a->dn.data, b->dn.data, a->dn.len) == 0);
    REQUIRE(a->pkey.key_type == b->pkey.key_type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = { data, size };
    int is_der = (choose(&in) & 1) != 0;
    const char *path = is_der ? write_der(in.at, in.size)
                              : write_file((const char *)in.at, in.size);
    dynalock_outcome rc;

    found.count = found.used = 0;
    rc = anchors_read(&found, path);
    REQUIRE(rc == DYNALOCK_OK || rc == DYNALOCK_BAD_FILE ||
            rc == DYNALOCK_BAD_BUFFER);
    REQUIRE((rc == DYNALOCK_OK) == (found.count != 0) ||
            rc == DYNALOCK_BAD_BUFFER);
    REQUIRE(found.count <= COUNT(found.list));
    check_anchors();
    if (rc == DYNALOCK_OK && is_der) check_against_bearssl(path);
    return 0;
}
