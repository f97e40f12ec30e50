/*
Fuzzes what unseals (libFuzzer). The input is a key's and a name's choice, a
byte to alter, and data: what was not sealed for this key and name is refused
and wiped, what was comes back, and with one bit altered it does not.
*/

#include "device.h"

static device d;
static const dynalock_name names[] = { { "a", NULL, NULL },
    { "b", NULL, NULL }, { "a", "b", NULL }, { "ab", NULL, "others" } };

static void serve(device *of)
{
    (void)of;
}

static void make_key(uint8_t key[32], unsigned choice)
{
    memset(key, (int)choice, 32);
}

static int is_zero(const char *data, size_t size)
{
    while (size-- != 0)
        if (*data++ != 0) return 0;
    return 1;
}

/* Nobody can make a seal by chance. */
static void check_refused(
    const char *data, uint32_t size, const dynalock_name *name, unsigned of)
{
    char *copy = memory(data, size);
    uint32_t left = size;
    uint8_t key[32];

    make_key(key, of);
    REQUIRE(dynalock_unseal(&d.client, name, key, copy, &left) ==
            DYNALOCK_BAD_SEAL);
    REQUIRE(left == 0);
    REQUIRE(size < DYNALOCK_SEAL_SIZE || is_zero(copy, size));
    free(copy);
}

static void check_sealed(
    input data, const dynalock_name *name, unsigned of, unsigned at)
{
    uint32_t size = (uint32_t)data.size, room = size + DYNALOCK_SEAL_SIZE;
    char *sealed = memory(NULL, room), *copy;
    uint8_t key[32];

    make_key(key, of);
    if (size != 0) memcpy(sealed, data.at, size);
    REQUIRE(dynalock_seal(&d.client, name, key, sealed, &size, room - 1) ==
            DYNALOCK_BAD_BUFFER);
    REQUIRE(dynalock_seal(&d.client, name, key, sealed, &size, room) ==
            DYNALOCK_OK);
    REQUIRE(size == room);
    check_refused(sealed, size, name, of ^ 1);
    check_refused(sealed, size,
        &names[at % COUNT(names)] == name ? &names[(at + 1) % COUNT(names)]
                                          : &names[at % COUNT(names)],
        of);
    check_refused(sealed, size - 1, name, of);
    copy = memory(sealed, size);
    copy[at % size] = (char)(copy[at % size] ^ 1 << (at & 7));
    check_refused(copy, size, name, of);
    free(copy);
    REQUIRE(
        dynalock_unseal(&d.client, name, key, sealed, &size) == DYNALOCK_OK);
    REQUIRE(size == data.size);
    REQUIRE(size == 0 || memcmp(sealed, data.at, size) == 0);
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = { data, size };
    const dynalock_name *name = &names[choose(&in) % COUNT(names)];
    unsigned of = choose(&in), at = choose_two(&in);

    device_init(&d, serve);
    d.random = of;
    device_start(&d);
    check_refused((const char *)in.at, (uint32_t)in.size, name, of);
    check_sealed(in, name, of, at);
    return 0;
}
