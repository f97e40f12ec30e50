/* What the simulator's model of DynamoDB takes of OpenSSL, done by BearSSL,
   which can be built for any processor. Not dynalock.h's own: that is what is
   checked. */
#ifndef SHA_H
#define SHA_H

#include <bearssl.h>

typedef br_sha256_context SHA256_CTX;

static inline int SHA256_Init(SHA256_CTX *context)
{
    br_sha256_init(context);
    return 1;
}

static inline int SHA256_Update(
    SHA256_CTX *context, const void *data, size_t size)
{
    br_sha256_update(context, data, size);
    return 1;
}

static inline int SHA256_Final(unsigned char *out, SHA256_CTX *context)
{
    br_sha256_out(context, out);
    return 1;
}

static inline unsigned char *SHA256(
    const unsigned char *data, size_t size, unsigned char *out)
{
    SHA256_CTX context;

    br_sha256_init(&context);
    br_sha256_update(&context, data, size);
    br_sha256_out(&context, out);
    return out;
}

#endif
