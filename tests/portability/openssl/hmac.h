#ifndef HMAC_H
#define HMAC_H

#include <bearssl.h>

static inline unsigned char *HMAC(const br_hash_class *hash, const void *key,
    int key_size, const unsigned char *data, size_t size, unsigned char *out,
    unsigned *out_size)
{
    br_hmac_key_context prepared;
    br_hmac_context context;

    br_hmac_key_init(&prepared, hash, key, (size_t)key_size);
    br_hmac_init(&context, &prepared, 0);
    br_hmac_update(&context, data, size);
    *out_size = (unsigned)br_hmac_out(&context, out);
    return out;
}

#endif
