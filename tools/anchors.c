/*
Prints the certificates of PEM files as trust anchors for BearSSL, in C, for
devices without files:

    anchors CA.pem... >anchors.h

The array is `anchors`.
*/
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include <stdio.h>

static dynalock_anchors anchors;

static void print_bytes(
    const char *name, size_t number, const unsigned char *bytes, size_t size)
{
    size_t i;

    printf("static const unsigned char anchor_%s_%u[] = {", name,
        (unsigned)number);
    for (i = 0; i < size; i++)
        printf("%s0x%02x,", i % 12 == 0 ? "\n    " : " ", bytes[i]);
    printf("\n};\n");
}

static void print_parts(size_t number, const br_x509_trust_anchor *anchor)
{
    const br_x509_pkey *key = &anchor->pkey;

    print_bytes("name", number, anchor->dn.data, anchor->dn.len);
    if (key->key_type == BR_KEYTYPE_RSA) {
        print_bytes("n", number, key->key.rsa.n, key->key.rsa.nlen);
        print_bytes("e", number, key->key.rsa.e, key->key.rsa.elen);
    } else {
        print_bytes("q", number, key->key.ec.q, key->key.ec.qlen);
    }
}

/* BearSSL's structs are not const inside, though it only reads them. */
static void print_part(const char *name, size_t number)
{
    printf("(unsigned char *)anchor_%s_%u, sizeof anchor_%s_%u", name,
        (unsigned)number, name, (unsigned)number);
}

static void print_anchor(size_t number, const br_x509_trust_anchor *anchor)
{
    printf("    { { ");
    print_part("name", number);
    printf(" }, %s,\n        { ",
        (anchor->flags & BR_X509_TA_CA) != 0 ? "BR_X509_TA_CA" : "0");
    if (anchor->pkey.key_type == BR_KEYTYPE_RSA) {
        printf("BR_KEYTYPE_RSA, { .rsa = { ");
        print_part("n", number);
        printf(", ");
        print_part("e", number);
    } else {
        printf("BR_KEYTYPE_EC, { .ec = { %d, ", anchor->pkey.key.ec.curve);
        print_part("q", number);
    }
    printf(" } } } },\n");
}

int main(int count, char **files)
{
    dynalock_outcome rc;
    size_t i;

    if (count < 2) return 64;
    while (*++files != NULL) {
        rc = dynalock_posix_anchors(&anchors, *files);
        if (rc == DYNALOCK_OK) continue;
        fprintf(stderr, "%s: %s\n", *files, dynalock_explain(rc));
        return 1;
    }
    for (i = 0; i < anchors.count; i++) print_parts(i, &anchors.list[i]);
    printf("static const br_x509_trust_anchor anchors[] = {\n");
    for (i = 0; i < anchors.count; i++) print_anchor(i, &anchors.list[i]);
    printf("};\n");
    return 0;
}
