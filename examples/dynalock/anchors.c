/*
The certificate store of a host as trust anchors. dynalock_posix_anchors does
the same with BearSSL's decoder, byte by byte, which takes a tenth of a second
for a whole store: too long for a command. This one walks the certificates'
structure. What does not look like a certificate is left out: it is trusted in
nothing then.
*/
#include "command.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- DER ---- */

typedef struct cli_span {
    const unsigned char *at;
    size_t size;
} cli_span;

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BITS = 0x03,
    DER_OCTETS = 0x04,
    DER_OBJECT = 0x06,
    DER_SEQUENCE = 0x30,
    DER_VERSION = 0xa0,
    DER_EXTENSIONS = 0xa3
};

/* Takes the next element off `from`. Its tag; 0: there is none. */
static unsigned der_next(cli_span *from, cli_span *content)
{
    size_t size, head = 2, i;
    unsigned tag;

    if (from->size < 2) return 0;
    tag = from->at[0];
    size = from->at[1];
    if (size >= 0x80) {
        head += size & 0x7f;
        if (size == 0x80 || head > 5 || head > from->size) return 0;
        for (size = 0, i = 2; i < head; i++) size = size << 8 | from->at[i];
    }
    if (size > from->size - head) return 0;
    content->at = from->at + head;
    content->size = size;
    from->at += head + size;
    from->size -= head + size;
    return tag;
}

static int der_enter(cli_span *from, unsigned tag, cli_span *content)
{
    return der_next(from, content) == tag;
}

static int is_object(cli_span object, const char *bytes, size_t size)
{
    return object.size == size && memcmp(object.at, bytes, size) == 0;
}
#define IS_OBJECT(object, text) is_object(object, text, sizeof text - 1)

/* ---- certificate ---- */

static unsigned char *keep(cli_anchors *anchors, cli_span from)
{
    unsigned char *at = anchors->bytes + anchors->used;

    if (from.size > sizeof anchors->bytes - anchors->used) return NULL;
    memcpy(at, from.at, from.size);
    anchors->used += from.size;
    return at;
}

/* A number without the zeros before it. */
static int der_number(cli_span *from, cli_span *number)
{
    if (!der_enter(from, DER_INTEGER, number)) return 0;
    while (number->size != 0 && number->at[0] == 0) {
        number->at++;
        number->size--;
    }
    return 1;
}

static int read_rsa(cli_anchors *anchors, cli_span bits, br_x509_pkey *key)
{
    cli_span both, modulus, exponent;

    if (!der_enter(&bits, DER_SEQUENCE, &both) ||
        !der_number(&both, &modulus) || !der_number(&both, &exponent))
        return 0;
    key->key_type = BR_KEYTYPE_RSA;
    key->key.rsa.n = keep(anchors, modulus);
    key->key.rsa.nlen = modulus.size;
    key->key.rsa.e = keep(anchors, exponent);
    key->key.rsa.elen = exponent.size;
    return key->key.rsa.n != NULL && key->key.rsa.e != NULL;
}

static int curve_of(cli_span object)
{
    if (IS_OBJECT(object, "\x2a\x86\x48\xce\x3d\x03\x01\x07"))
        return BR_EC_secp256r1;
    if (IS_OBJECT(object, "\x2b\x81\x04\x00\x22")) return BR_EC_secp384r1;
    if (IS_OBJECT(object, "\x2b\x81\x04\x00\x23")) return BR_EC_secp521r1;
    return 0;
}

static int read_key(cli_anchors *anchors, cli_span info, br_x509_pkey *key)
{
    cli_span algorithm, object, curve, bits;

    if (!der_enter(&info, DER_SEQUENCE, &algorithm) ||
        !der_enter(&info, DER_BITS, &bits) || bits.size == 0 ||
        bits.at[0] != 0 || !der_enter(&algorithm, DER_OBJECT, &object))
        return 0;
    bits.at++;
    bits.size--;
    if (IS_OBJECT(object, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"))
        return read_rsa(anchors, bits, key);
    if (!IS_OBJECT(object, "\x2a\x86\x48\xce\x3d\x02\x01") ||
        !der_enter(&algorithm, DER_OBJECT, &curve) || curve_of(curve) == 0)
        return 0;
    key->key_type = BR_KEYTYPE_EC;
    key->key.ec.curve = curve_of(curve);
    key->key.ec.q = keep(anchors, bits);
    key->key.ec.qlen = bits.size;
    return key->key.ec.q != NULL;
}

/* basicConstraints with a true cA, among the extensions. */
static int is_authority(cli_span rest)
{
    cli_span wrapped, all, one, object, value, constraints, flag;
    unsigned tag;

    while ((tag = der_next(&rest, &wrapped)) != 0 && tag != DER_EXTENSIONS) {
    }
    if (tag == 0 || !der_enter(&wrapped, DER_SEQUENCE, &all)) return 0;
    while (der_enter(&all, DER_SEQUENCE, &one)) {
        if (!der_enter(&one, DER_OBJECT, &object) ||
            !IS_OBJECT(object, "\x55\x1d\x13"))
            continue;
        tag = der_next(&one, &value);
        if (tag == DER_BOOLEAN) tag = der_next(&one, &value);
        return tag == DER_OCTETS &&
               der_enter(&value, DER_SEQUENCE, &constraints) &&
               der_enter(&constraints, DER_BOOLEAN, &flag) && flag.size == 1 &&
               flag.at[0] != 0;
    }
    return 0;
}

/* The subject, as the server's chain must name it, with its own head. */
static int find_parts(
    cli_span from, cli_span *subject, cli_span *info, cli_span *rest)
{
    cli_span certificate, body, skipped;
    const unsigned char *start;
    int i;

    if (!der_enter(&from, DER_SEQUENCE, &certificate) ||
        !der_enter(&certificate, DER_SEQUENCE, &body))
        return 0;
    if (body.size != 0 && body.at[0] == DER_VERSION)
        (void)der_next(&body, &skipped);
    for (i = 0; i < 4; i++) /* number, algorithm, issuer, validity */
        if (der_next(&body, &skipped) == 0) return 0;
    start = body.at;
    if (!der_enter(&body, DER_SEQUENCE, &skipped)) return 0;
    subject->at = start;
    subject->size = (size_t)(body.at - start);
    if (!der_enter(&body, DER_SEQUENCE, info)) return 0;
    *rest = body;
    return 1;
}

static void add_certificate(cli_anchors *anchors, cli_span from)
{
    br_x509_trust_anchor *anchor = &anchors->list[anchors->count];
    cli_span subject, info, rest;
    size_t before = anchors->used;

    if (!find_parts(from, &subject, &info, &rest)) return;
    memset(anchor, 0, sizeof *anchor);
    anchor->dn.data = keep(anchors, subject);
    anchor->dn.len = subject.size;
    anchor->flags = is_authority(rest) ? BR_X509_TA_CA : 0;
    if (anchor->dn.data != NULL && read_key(anchors, info, &anchor->pkey))
        anchors->count++;
    else anchors->used = before;
}

/* ---- PEM ---- */

/* Values of base64's letters, from '+' on, plus one; 0: it is none. */
static const unsigned char letters[80] = { 63, 0, 0, 0, 64, 53, 54, 55, 56, 57,
    58, 59, 60, 61, 62, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0, 0, 0, 0, 0,
    0, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    45, 46, 47, 48, 49, 50, 51, 52 };

typedef struct cli_pem {
    const char *at, *end;
} cli_pem;

/* Decodes up to the dash that ends a section; as much as fits. */
static size_t decode(cli_pem *pem, unsigned char *out, size_t size)
{
    uint32_t bits = 0;
    unsigned count = 0, letter;
    size_t used = 0;

    for (; pem->at != pem->end && *pem->at != '-'; pem->at++) {
        letter = (unsigned char)*pem->at - (unsigned)'+';
        if (letter >= sizeof letters || letters[letter] == 0) continue;
        bits = bits << 6 | (letters[letter] - 1u);
        if (count++ % 4 == 0) continue;
        if (used == size) return 0;
        out[used++] = (unsigned char)(bits >> (8 - count % 4 * 2) % 8);
    }
    return used;
}

/* Takes this text, if it stands there. */
static int take(cli_pem *pem, const char *text)
{
    size_t size = strlen(text);

    if ((size_t)(pem->end - pem->at) < size ||
        memcmp(pem->at, text, size) != 0)
        return 0;
    pem->at += size;
    return 1;
}

static int find_certificate(cli_pem *pem)
{
    while (pem->at != pem->end) {
        pem->at =
            (const char *)memchr(pem->at, '-', (size_t)(pem->end - pem->at));
        if (pem->at == NULL) return 0;
        if (!take(pem, "-----BEGIN ")) pem->at++;
        else if (take(pem, "CERTIFICATE-----") ||
                 take(pem, "X509 CERTIFICATE-----"))
            return 1;
    }
    return 0;
}

static dynalock_outcome read_all(cli_anchors *anchors, cli_pem pem)
{
    unsigned char der[8 * 1024]; /* a longer one is left out */
    cli_span from;

    from.at = der;
    while (find_certificate(&pem)) {
        from.size = decode(&pem, der, sizeof der);
        if (anchors->count == sizeof anchors->list / sizeof anchors->list[0] ||
            sizeof anchors->bytes - anchors->used < sizeof der)
            return DYNALOCK_BAD_BUFFER;
        add_certificate(anchors, from);
    }
    return anchors->count != 0 ? DYNALOCK_OK : DYNALOCK_BAD_FILE;
}

dynalock_outcome anchors_read(cli_anchors *anchors, const char *path)
{
    struct stat status;
    dynalock_outcome rc = DYNALOCK_NO_FILE;
    void *text = MAP_FAILED;
    cli_pem pem;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0) return DYNALOCK_NO_FILE;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size > 0)
        text = mmap(
            NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    else rc = DYNALOCK_BAD_FILE;
    (void)close(file);
    if (text == MAP_FAILED) return rc;
    pem.at = (const char *)text;
    pem.end = pem.at + status.st_size;
    rc = read_all(anchors, pem);
    (void)munmap(text, (size_t)status.st_size);
    return rc;
}
