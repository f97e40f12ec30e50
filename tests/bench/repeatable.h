/* An entropy hook that gives the same bytes in every run: counted requests and
   bytes must not depend on chance. */
#include <stdint.h>

/* SplitMix64. */
static int32_t repeatable_entropy(void *context, void *out, size_t size)
{
    static uint64_t state;
    uint8_t *to = (uint8_t *)out;
    uint64_t z;

    (void)context;
    for (; size != 0; size--) {
        z = state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        *to++ = (uint8_t)(z >> 56);
    }
    return 0;
}
