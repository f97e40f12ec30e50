/*
The command's reader of certificate stores, held against BearSSL's decoder; and
what is broken, which it must leave out without reading beyond its end.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define DYNALOCK_POSIX
#define DYNALOCK_STATIC
#define DYNALOCK_IMPLEMENTATION
#include "examples/dynalock/anchors.c"

#define STORE "/etc/ssl/certs/ca-certificates.crt"

static dynalock_anchors expected;
static cli_anchors found;

static void check_bytes(
    const unsigned char *a, size_t a_size, const unsigned char *b, size_t size)
{
    assert_int_equal(a_size, size);
    assert_memory_equal(a, b, size);
}

static void check_anchor(
    const br_x509_trust_anchor *a, const br_x509_trust_anchor *b)
{
    const br_x509_pkey *x = &a->pkey, *y = &b->pkey;

    check_bytes(a->dn.data, a->dn.len, b->dn.data, b->dn.len);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(x->key_type, y->key_type);
    if (x->key_type == BR_KEYTYPE_EC) {
        assert_int_equal(x->key.ec.curve, y->key.ec.curve);
        check_bytes(x->key.ec.q, x->key.ec.qlen, y->key.ec.q, y->key.ec.qlen);
    } else {
        check_bytes(
            x->key.rsa.n, x->key.rsa.nlen, y->key.rsa.n, y->key.rsa.nlen);
        check_bytes(
            x->key.rsa.e, x->key.rsa.elen, y->key.rsa.e, y->key.rsa.elen);
    }
}

static void the_whole_store_is_as_bearssl_reads_it(void **state)
{
    size_t i;

    (void)state;
    assert_int_equal(dynalock_posix_anchors(&expected, STORE), DYNALOCK_OK);
    memset(&found, 0, sizeof found);
    assert_int_equal(anchors_read(&found, STORE), DYNALOCK_OK);
    assert_true(found.count > 50);
    assert_int_equal(found.count, expected.count);
    for (i = 0; i < found.count; i++)
        check_anchor(&expected.list[i], &found.list[i]);
}

/* The first certificate of the store, in memory that ends where it does. */
static unsigned char *first_certificate(size_t *size)
{
    static char text[8192];
    static unsigned char der[8192];
    unsigned char *exact;
    cli_pem pem;
    FILE *from = fopen(STORE, "r");

    assert_non_null(from);
    pem.at = text;
    pem.end = text + fread(text, 1, sizeof text, from);
    (void)fclose(from);
    assert_true(find_certificate(&pem));
    *size = decode(&pem, der, sizeof der);
    exact = (unsigned char *)malloc(*size);
    assert_non_null(exact);
    memcpy(exact, der, *size);
    return exact;
}

static size_t count_of(const unsigned char *bytes, size_t size)
{
    cli_span from;
    unsigned char *exact = (unsigned char *)malloc(size + 1);

    assert_non_null(exact);
    memcpy(exact + 1, bytes, size); /* so that size 0 has an address, too */
    from.at = exact + 1;
    from.size = size;
    memset(&found, 0, sizeof found);
    add_certificate(&found, from);
    free(exact);
    return found.count;
}

static void a_cut_certificate_is_left_out(void **state)
{
    size_t size, cut;
    unsigned char *bytes = first_certificate(&size);

    (void)state;
    assert_int_equal(count_of(bytes, size), 1);
    for (cut = 0; cut < size; cut++) assert_int_equal(count_of(bytes, cut), 0);
    free(bytes);
}

static void a_damaged_certificate_is_read_within_its_bounds(void **state)
{
    static const unsigned char flips[] = { 0x01, 0x80, 0xff };
    size_t size, at, flip, left_out = 0;
    unsigned char *bytes = first_certificate(&size);

    (void)state;
    for (at = 0; at < size; at++) {
        for (flip = 0; flip < sizeof flips; flip++) {
            bytes[at] ^= flips[flip];
            left_out += count_of(bytes, size) == 0;
            bytes[at] ^= flips[flip];
        }
    }
    assert_in_range(left_out, 1, 3 * size - 1);
    free(bytes);
}

static dynalock_outcome read_text(const char *text)
{
    char path[] = "/tmp/dynalock-test-XXXXXX";
    int file = mkstemp(path);
    dynalock_outcome rc;

    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (int)strlen(text));
    (void)close(file);
    memset(&found, 0, sizeof found);
    rc = anchors_read(&found, path);
    (void)unlink(path);
    return rc;
}

static void what_is_no_store_is_refused(void **state)
{
    (void)state;
    assert_int_equal(anchors_read(&found, "/no/such"), DYNALOCK_NO_FILE);
    assert_int_equal(anchors_read(&found, "/dev/null"), DYNALOCK_BAD_FILE);
    assert_int_equal(anchors_read(&found, "/tmp"), DYNALOCK_BAD_FILE);
    assert_int_equal(read_text(""), DYNALOCK_BAD_FILE);
    assert_int_equal(
        read_text("-----BEGIN CERTIFICATE-----"), DYNALOCK_BAD_FILE);
    assert_int_equal(read_text("-----BEGIN CERTIFICATE-----\nMAA=\n----"),
        DYNALOCK_BAD_FILE);
    assert_int_equal(read_text("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n"
                               "-----END RSA PRIVATE KEY-----\n"),
        DYNALOCK_BAD_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_store_is_as_bearssl_reads_it),
        cmocka_unit_test(a_cut_certificate_is_left_out),
        cmocka_unit_test(a_damaged_certificate_is_read_within_its_bounds),
        cmocka_unit_test(what_is_no_store_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
