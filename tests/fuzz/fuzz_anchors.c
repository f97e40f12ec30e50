/*
Fuzzes what reads PEM files (libFuzzer). The first byte chooses: trust anchors,
or an identity, of which the text up to a byte 255 is the chain and the rest the
key; and whether the rest is PEM already, or DER to be dressed as PEM.

An anchor's name and key lie in the anchors' own memory; a file with a broken
certificate, or one that is cut, is refused; an identity that is refused leaves
nothing behind.
*/

#define _GNU_SOURCE /* memfd_create, memmem */
#define DYNALOCK_POSIX
#include "fuzz.h"

#include <sys/mman.h>

#define FILES 2

/* Files without a name, whose paths name their descriptors. */
static struct {
    int fd;
    char path[32];
} files[FILES];

static void write_file(unsigned i, const void *data, size_t size)
{
    if (files[i].path[0] == '\0') {
        files[i].fd = memfd_create("pem", 0);
        REQUIRE(files[i].fd >= 0);
        (void)snprintf(files[i].path, sizeof files[i].path, "/proc/self/fd/%d",
            files[i].fd);
    }
    REQUIRE(ftruncate(files[i].fd, 0) == 0);
    REQUIRE(pwrite(files[i].fd, data, size, 0) == (ssize_t)size);
}

/* Dresses DER as PEM. */
static void write_der(
    unsigned i, const char *name, const uint8_t *data, size_t size)
{
    size_t room = size * 2 + 256;
    char *text = memory(NULL, room);
    dl_span span;
    dl_sink *sink = dl_span_open(&span, text, room, 0);

    dl_put_text(sink, "-----BEGIN ");
    dl_put_text(sink, name);
    dl_put_text(sink, "-----\n");
    dl_put_base64(sink, data, size);
    dl_put_text(sink, "\n-----END ");
    dl_put_text(sink, name);
    dl_put_text(sink, "-----\n");
    write_file(i, text, span.used);
    free(text);
}

/* ---- anchors ---- */

static int lies_in(const void *at, size_t size, const void *in, size_t room)
{
    const char *from = (const char *)in, *p = (const char *)at;

    return p >= from && size <= room && p + size <= from + room;
}

static void check_anchor(
    const dynalock_anchors *anchors, const br_x509_trust_anchor *anchor)
{
    const unsigned char *all = anchors->bytes;
    size_t used = anchors->used;
    const br_rsa_public_key *rsa = &anchor->pkey.key.rsa;
    const br_ec_public_key *ec = &anchor->pkey.key.ec;

    REQUIRE(lies_in(anchor->dn.data, anchor->dn.len, all, used));
    REQUIRE((anchor->flags & ~(unsigned)BR_X509_TA_CA) == 0);
    if (anchor->pkey.key_type == BR_KEYTYPE_RSA) {
        REQUIRE(rsa->nlen != 0 && lies_in(rsa->n, rsa->nlen, all, used));
        REQUIRE(rsa->elen != 0 && lies_in(rsa->e, rsa->elen, all, used));
        return;
    }
    REQUIRE(anchor->pkey.key_type == BR_KEYTYPE_EC);
    REQUIRE(ec->qlen != 0 && lies_in(ec->q, ec->qlen, all, used));
}

/* A line begins a certificate, and none behind it ends anything. */
static int is_cut(const char *text, size_t size)
{
    static const char begin[] = "\n-----BEGIN CERTIFICATE-----\n";
    static const char end[] = "-----END ";
    const char *at = text, *next;

    while ((next = (const char *)memmem(at, size - (size_t)(at - text), begin,
                sizeof begin - 1)) != NULL)
        at = next + 1;
    return at != text &&
           memmem(at, size - (size_t)(at - text), end, sizeof end - 1) == NULL;
}

static void try_anchors(const char *text, size_t size)
{
    static dynalock_anchors anchors;
    dynalock_outcome rc;
    size_t i, before = 0;

    anchors.count = anchors.used = 0;
    for (i = 0; i < 2; i++) { /* the same file again adds the same again */
        rc = dynalock_posix_anchors(&anchors, files[0].path);
        REQUIRE(rc == DYNALOCK_OK || rc == DYNALOCK_BAD_FILE ||
                rc == DYNALOCK_BAD_BUFFER);
        REQUIRE(anchors.count <= DYNALOCK_ANCHORS);
        REQUIRE(anchors.used <= sizeof anchors.bytes);
        if (rc != DYNALOCK_OK) return;
        REQUIRE(anchors.count > before);
        REQUIRE(text == NULL || !is_cut(text, size));
        before = anchors.count - before;
    }
    REQUIRE(anchors.count == 2 * before);
    for (i = 0; i < anchors.count; i++)
        check_anchor(&anchors, &anchors.list[i]);
}

/* ---- identities ---- */

static int is_zero(const void *data, size_t size)
{
    const char *at = (const char *)data;

    while (size-- != 0)
        if (*at++ != 0) return 0;
    return 1;
}

static void try_identity(void)
{
    static dynalock_posix_identity loaded;
    const dynalock_identity *identity = &loaded.identity;
    dynalock_outcome rc =
        dynalock_posix_load_identity(&loaded, files[0].path, files[1].path);
    size_t i;

    if (rc != DYNALOCK_OK) {
        REQUIRE(rc == DYNALOCK_BAD_FILE || rc == DYNALOCK_BAD_BUFFER);
        REQUIRE(is_zero(&loaded, sizeof loaded));
        return;
    }
    REQUIRE(identity->present != NULL && identity->chain == loaded.chain);
    REQUIRE(identity->chain_count >= 1 && identity->chain_count <= 4);
    for (i = 0; i < identity->chain_count; i++)
        REQUIRE(lies_in(identity->chain[i].data, identity->chain[i].data_len,
            loaded.bytes, loaded.used));
    REQUIRE((identity->ec_key != NULL) != (identity->rsa_key != NULL));
    if (identity->ec_key != NULL)
        REQUIRE(lies_in(identity->ec_key->x, identity->ec_key->xlen,
            &loaded.decoder, sizeof loaded.decoder));
    else
        REQUIRE(lies_in(identity->rsa_key->p, identity->rsa_key->plen,
            &loaded.decoder, sizeof loaded.decoder));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = { data, size }, chain;
    unsigned choice = choose(&in);

    if ((choice & 1) != 0) {
        chain = choose_text(&in);
        write_file(0, chain.at, chain.size);
        if ((choice & 2) == 0) write_file(1, in.at, in.size);
        else write_der(1, "PRIVATE KEY", in.at, in.size);
        try_identity();
    } else if ((choice & 2) != 0) {
        write_der(0, "CERTIFICATE", in.at, in.size);
        try_anchors(NULL, 0);
    } else {
        write_file(0, in.at, in.size);
        try_anchors((const char *)in.at, in.size);
    }
    return 0;
}
