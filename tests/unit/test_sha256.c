/* == sha256: SHA-256, HMAC and CRC-32, of messages whole and in pieces. */

#include "support.h"
#define VECTORS_SHA256
#define VECTORS_HMAC
#define VECTORS_CRC32
#include "../vectors.h"

/* Sizes of the pieces of a message, in turn and over again: whole, byte by
   byte, odd ones, and around the size of a block. */
static const size_t pieces[][8] = {
    { SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX,
        SIZE_MAX },
    { 1, 1, 1, 1, 1, 1, 1, 1 },
    { 3, 1, 7, 0, 31, 101, 13, 211 },
    { 63, 65, 64, 1, 127, 128, 129, 55 },
    { 119, 56, 57, 120, 2, 64, 192, 61 },
};

/* The first bytes of a pattern of vectors.h. Free them. */
static uint8_t *bytes_of(size_t size, int as_key)
{
    uint8_t *bytes = (uint8_t *)exact(NULL, size);
    size_t i;

    for (i = 0; i < size; i++)
        bytes[i] = as_key ? VECTORS_KEY(i) : VECTORS_BYTE(i);
    return bytes;
}

/* Feeds a message of so many bytes, in pieces of pieces[way]. */
static void feed(dl_sha256 *sha, size_t size, size_t way)
{
    uint8_t *message = bytes_of(size, 0);
    size_t at = 0, turn, n;

    for (turn = 0; at < size; turn++, at += n) {
        n = pieces[way][turn % COUNT(pieces[0])];
        if (n > size - at) n = size - at;
        dl_sha256_update(sha, message + at, n);
    }
    free(message);
}

/* ---- SHA-256 ---- */

static void a_digest_does_not_depend_on_the_pieces(void **state)
{
    size_t i, way;

    (void)state;
    for (i = 0; i < COUNT(vectors_sha256); i++)
        for (way = 0; way < COUNT(pieces); way++) {
            uint8_t digest[DL_SHA256_SIZE];
            dl_sha256 sha;

            dl_sha256_init(&sha);
            feed(&sha, vectors_sha256[i].length, way);
            dl_sha256_final(&sha, digest);
            CHECK(memcmp(digest, vectors_sha256[i].digest, 32) == 0,
                "%zu bytes, pieces[%zu]", vectors_sha256[i].length, way);
        }
}

/* FIPS 180-2, appendix B. */
static void the_digests_of_the_standard_come_out(void **state)
{
    static const struct {
        const char *message;
        unsigned times;
        const char *digest;
    } cases[] = {
        { "abc", 1,
            "ba7816bf8f01cfea414140de5dae2223"
            "b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
            "248d6a61d20638b8e5c026930c3e6039"
            "a33ce45964ff2167f6ecedd419db06c1" },
        { "aaaaaaaaaa", 100000,
            "cdc76e5c9914fb9281a1c7e284d73e67"
            "f1809a48a497200e046d39ccc7112cd0" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        uint8_t digest[DL_SHA256_SIZE];
        dl_sha256 sha;
        unsigned n;
        sheet page;

        dl_sha256_init(&sha);
        for (n = 0; n < cases[i].times; n++)
            dl_sha256_update(&sha, cases[i].message, strlen(cases[i].message));
        dl_sha256_final(&sha, digest);
        dl_put_hex(sheet_open(&page), digest, sizeof digest);
        CHECK(sheet_is(&page, text_of(cases[i].digest)), "cases[%zu]", i);
    }
}

/* ---- HMAC ---- */

/* A key is given as a prefix, which is a text, and the data behind it. */
static void make_key(dynalock_hmac_key *ready, size_t size, size_t prefix_size)
{
    uint8_t *key = bytes_of(size, 1);
    char *prefix = exact(NULL, prefix_size + 1);

    memcpy(prefix, key, prefix_size);
    prefix[prefix_size] = '\0';
    assert_int_equal(strlen(prefix), prefix_size);
    dl_hmac_key(ready, prefix, key + prefix_size, size - prefix_size);
    free(prefix);
    free(key);
}

static void check_mac(
    const struct vector_hmac *vector, size_t prefix_size, size_t way)
{
    uint8_t mac[DL_SHA256_SIZE];
    dynalock_hmac_key ready;
    dl_sha256 sha;

    make_key(&ready, vector->key_length, prefix_size);
    dl_hmac_init(&sha, &ready);
    feed(&sha, vector->message_length, way);
    dl_hmac_final(&sha, &ready, mac);
    CHECK(memcmp(mac, vector->mac, sizeof mac) == 0,
        "key of %zu bytes (%zu as prefix), message of %zu, pieces[%zu]",
        vector->key_length, prefix_size, vector->message_length, way);
}

static void a_mac_does_not_depend_on_the_pieces(void **state)
{
    size_t i, way;

    (void)state;
    for (i = 0; i < COUNT(vectors_hmac); i++)
        for (way = 0; way < COUNT(pieces); way++)
            check_mac(&vectors_hmac[i], 0, way);
}

static void a_key_may_be_joined_anywhere(void **state)
{
    static const size_t prefixes[] = { 1, 4, 31, 32, 60, 63, 64, 65, 127,
        200 };
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(vectors_hmac); i++)
        for (j = 0; j < COUNT(prefixes); j++)
            if (prefixes[j] <= vectors_hmac[i].key_length)
                check_mac(&vectors_hmac[i], prefixes[j], 0);
}

static void one_key_serves_many_messages(void **state)
{
    dynalock_hmac_key ready;
    size_t i, used = 0;

    (void)state;
    make_key(&ready, 32, 0);
    for (i = 0; i < COUNT(vectors_hmac); i++) {
        uint8_t mac[DL_SHA256_SIZE];
        dl_sha256 sha;

        if (vectors_hmac[i].key_length != 32) continue;
        used++;
        dl_hmac_init(&sha, &ready);
        feed(&sha, vectors_hmac[i].message_length, 0);
        dl_hmac_final(&sha, &ready, mac);
        assert_memory_equal(mac, vectors_hmac[i].mac, sizeof mac);
    }
    assert_in_range(used, 2, COUNT(vectors_hmac));
}

/* ---- CRC-32 ---- */

static void the_crc_of_the_check_text_comes_out(void **state)
{
    (void)state;
    assert_int_equal(dl_crc32(0, "123456789", 9), VECTORS_CRC32_CHECK);
}

static void a_crc_does_not_depend_on_the_pieces(void **state)
{
    size_t i, at;

    (void)state;
    for (i = 0; i < COUNT(vectors_crc32); i++) {
        size_t length = vectors_crc32[i].length, third = length / 3;
        uint8_t *message = bytes_of(length, 0);
        uint32_t whole = dl_crc32(0, message, length);
        uint32_t two = dl_crc32(0, message, third);
        uint32_t many = 0;

        two = dl_crc32(two, message + third, length - third);
        for (at = 0; at < length; at++) many = dl_crc32(many, message + at, 1);
        free(message);
        CHECK(whole == vectors_crc32[i].crc, "%zu bytes", length);
        CHECK(two == whole, "%zu bytes in two pieces", length);
        CHECK(many == whole, "%zu bytes, one by one", length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_does_not_depend_on_the_pieces),
        cmocka_unit_test(the_digests_of_the_standard_come_out),
        cmocka_unit_test(a_mac_does_not_depend_on_the_pieces),
        cmocka_unit_test(a_key_may_be_joined_anywhere),
        cmocka_unit_test(one_key_serves_many_messages),
        cmocka_unit_test(the_crc_of_the_check_text_comes_out),
        cmocka_unit_test(a_crc_does_not_depend_on_the_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
