/* == sha256: from any state, with every fill of its block. Of the size before
   only what is in the block matters. */
#include "eva.h"

#define MOST 130

static uint8_t data[MOST];
static dl_sha256 sha;

static void any_state(uint32_t used)
{
    dl_sha256_init(&sha);
    make_any(sha.state, sizeof sha.state);
    make_any(sha.block, sizeof sha.block);
    sha.size = used;
    make_any(data, sizeof data);
}

/* Every size that fills no block, one, two. */
void prove_update(void)
{
    int used = EACH(0, 63), blocks = EACH(0, 2);
    int least = blocks == 0 ? 0 : 64 * blocks - used;
    int most = 64 * blocks + 63 - used;

    if (most > MOST) most = MOST;
    any_state((uint32_t)used);
    dl_sha256_update(
        &sha, data + MOST - most, (size_t)Frama_C_interval(least, most));
}

void prove_final(void)
{
    uint8_t digest[DL_SHA256_SIZE];
    any_state((uint32_t)EACH(0, 63));
    dl_sha256_final(&sha, digest);
}

/* Of keys that fit the pad with their prefix, just do, just do not, and of
   secrets and digests. */
void prove_hmac(void)
{
    static const size_t sizes[] = { 0, 1, 32, 40, 60, 61, 64, MOST };
    dynalock_hmac_key key;
    uint8_t digest[DL_SHA256_SIZE];
    size_t size = sizes[EACH(0, 7)];

    make_any(data, sizeof data);
    dl_hmac_key(&key, "AWS4", data + MOST - size, size);
    dl_hmac_init(&sha, &key);
    dl_hmac_final(&sha, &key, digest);
}

void prove_crc32(void)
{
    size_t size = (size_t)EACH(0, 9);

    make_any(data, sizeof data);
    dl_crc32(Frama_C_unsigned_int_interval(0, 0xffffffff), data + MOST - size,
        size);
}
