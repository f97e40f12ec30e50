/*
Amazon's roots as dynalock.h has them, beside those that its own reader makes of
Debian's certificates: two programs that read DER, and the same anchors.
(tools/gen_anchors --check compares the text.)
*/
#define DYNALOCK_POSIX
#include "support.h"

static const char *const names[DYNALOCK_AMAZON_ANCHORS] = {
    "Amazon_Root_CA_1",
    "Amazon_Root_CA_2",
    "Amazon_Root_CA_3",
    "Amazon_Root_CA_4",
    "Starfield_Services_Root_Certificate_Authority_-_G2",
};

static dynalock_anchors store;
static br_x509_trust_anchor roots[DYNALOCK_AMAZON_ANCHORS];

static void assert_bytes(const unsigned char *a, size_t a_size,
    const unsigned char *b, size_t b_size)
{
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
}

static void test_roots_are_debians(void **state)
{
    char path[200];
    size_t i;

    (void)state;
    assert_int_equal(dynalock_amazon_anchors(roots), 5);
    for (i = 0; i < DL_COUNT(names); i++) {
        const br_x509_trust_anchor *a = &roots[i], *b = &store.list[i];

        (void)snprintf(path, sizeof path,
            "/usr/share/ca-certificates/mozilla/%s.crt", names[i]);
        assert_int_equal(dynalock_posix_anchors(&store, path), DYNALOCK_OK);
        assert_int_equal(a->flags, b->flags);
        assert_int_equal(a->pkey.key_type, b->pkey.key_type);
        assert_bytes(a->dn.data, a->dn.len, b->dn.data, b->dn.len);
        if (a->pkey.key_type == BR_KEYTYPE_RSA) {
            const br_rsa_public_key *x = &a->pkey.key.rsa,
                                    *y = &b->pkey.key.rsa;

            assert_bytes(x->n, x->nlen, y->n, y->nlen);
            assert_bytes(x->e, x->elen, y->e, y->elen);
        } else {
            const br_ec_public_key *x = &a->pkey.key.ec, *y = &b->pkey.key.ec;

            assert_int_equal(x->curve, y->curve);
            assert_bytes(x->q, x->qlen, y->q, y->qlen);
        }
    }
    assert_int_equal(store.count, 5);
}

static void test_the_bytes_are_used_up(void **state)
{
    const unsigned char *at = dl_amazon_roots;
    size_t i;

    (void)state;
    for (i = 0; i < DYNALOCK_AMAZON_ANCHORS; i++)
        at = dl_amazon_root(&roots[i], at);
    assert_ptr_equal(at, dl_amazon_roots + sizeof dl_amazon_roots);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots_are_debians),
        cmocka_unit_test(test_the_bytes_are_used_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
