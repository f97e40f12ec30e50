/*
The certificate store of a host as trust anchors. dynalock_posix_anchors does
the same with BearSSL's decoder, byte by byte, which takes a tenth of a second
for a whole store: too long for a command. This one walks the certificates'
structure. What does not look like a certificate is left out: it is trusted in
nothing then.
*/
#include "command.h"

#include <fcntl.h>
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

static unsigned char *keep(anchor_list *anchors, cli_span from)
{
    unsigned char *at = anchors->bytes + anchors->used;

    if (from.size > sizeof anchors->bytes - anchors->used) return NULL;
    memcpy(at, from.at, from.size);
    anchors->used += from.size;
    return at;
}

static int read_rsa(anchor_list *anchors, cli_span bits, br_x509_pkey *key)
{
    cli_span both, modulus, exponent;

    if (!der_enter(&bits, DER_SEQUENCE, &both) ||
        !der_enter(&both, DER_INTEGER, &modulus) ||
        !der_enter(&both, DER_INTEGER, &exponent))
        return 0;
    while (modulus.size != 0 && modulus.at[0] == 0) {
        modulus.at++;
        modulus.size--;
    }
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

static int read_key(anchor_list *anchors, cli_span info, br_x509_pkey *key)
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

static void add_certificate(anchor_list *anchors, cli_span from)
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

typedef struct cli_pem {
    anchor_list *anchors;
    size_t line_used;
    int inside;
    int full;
    uint32_t bits; /* of the group of four under way */
    int letters;   /* of the group */
    size_t size;
    char line[80];               /* longer ones carry no certificate */
    unsigned char der[8 * 1024]; /* a longer certificate is left out */
} cli_pem;

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

static void pem_letter(cli_pem *pem, char c)
{
    int value = base64_value(c);

    if (value < 0 || pem->size + 1 > sizeof pem->der) return;
    pem->bits = pem->bits << 6 | (uint32_t)value;
    if (pem->letters++ % 4 == 0) return;
    pem->der[pem->size++] =
        (unsigned char)(pem->bits >> (8 - pem->letters % 4 * 2) % 8);
}

static void pem_end(cli_pem *pem)
{
    cli_span der;

    der.at = pem->der;
    der.size = pem->size;
    pem->inside = 0;
    if (pem->anchors->count ==
            sizeof pem->anchors->list / sizeof pem->anchors->list[0] ||
        sizeof pem->anchors->bytes - pem->anchors->used < sizeof pem->der)
        pem->full = 1;
    else add_certificate(pem->anchors, der);
}

static void pem_line(cli_pem *pem)
{
    const char *at = pem->line;

    if (strncmp(at, "-----BEGIN ", 11) == 0) {
        pem->inside = strncmp(at + 11, "CERTIFICATE-----", 16) == 0 ||
                      strncmp(at + 11, "X509 CERTIFICATE-----", 21) == 0;
        pem->size = 0;
        pem->letters = 0;
    } else if (strncmp(at, "-----END ", 9) == 0) {
        if (pem->inside) pem_end(pem);
    } else if (pem->inside) {
        while (*at != '\0') pem_letter(pem, *at++);
    }
}

static void pem_take(cli_pem *pem, const char *text, size_t size)
{
    for (; size != 0 && !pem->full; text++, size--) {
        if (*text != '\n' && *text != '\0') {
            if (pem->line_used < sizeof pem->line - 1)
                pem->line[pem->line_used++] = *text;
            continue;
        }
        pem->line[pem->line_used] = '\0';
        pem_line(pem);
        pem->line_used = 0;
    }
}

dynalock_outcome anchors_read(anchor_list *anchors, const char *path)
{
    char text[4096];
    cli_pem pem;
    ssize_t n;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0) return DYNALOCK_NO_FILE;
    memset(&pem, 0, sizeof pem);
    pem.anchors = anchors;
    while ((n = read(file, text, sizeof text)) > 0)
        pem_take(&pem, text, (size_t)n);
    pem_take(&pem, "\n", 1);
    (void)close(file);
    if (n < 0) return DYNALOCK_NO_FILE;
    if (pem.full) return DYNALOCK_BAD_BUFFER;
    return anchors->count != 0 ? DYNALOCK_OK : DYNALOCK_BAD_FILE;
}
