/*
Trust anchors and identities from files: whole ones, broken ones, and those that
do not fit. (The keys are made for this test and used nowhere else.)
*/
#define DYNALOCK_POSIX
#include "support.h"

static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBbzCCARWgAwIBAgIUdJHggIpB2iM4M1/oTgvFLAJtvekwCgYIKoZIzj0EAwIw\n"
    "DDEKMAgGA1UEAwwBYzAgFw0yNjExMjYyMjI3NDJaGA8yMTI2MTEwMjIyMjc0Mlow\n"
    "DDEKMAgGA1UEAwwBYzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABB35h5JxBvww\n"
    "ufeq62KfTc8EhIzv5zeC8RK0VLvmjjtSvIIyE7/V7yVIKJU1T2AitumB/Z4iLH9H\n"
    "HuYQ1vAN/eqjUzBRMB0GA1UdDgQWBBTM5CMxHYtcGlLhoEFRKnp2e15vATAfBgNV\n"
    "HSMEGDAWgBTM5CMxHYtcGlLhoEFRKnp2e15vATAPBgNVHRMBAf8EBTADAQH/MAoG\n"
    "CCqGSM49BAMCA0gAMEUCIEqLZyJQJdSFVkHPZy4LNK93fsIusaCHLVgGMUCHqiQZ\n"
    "AiEA7xxCnyZFBCcEqO4a3O5wHhx45eTx3c6N+BW2U2wzpME=\n"
    "-----END CERTIFICATE-----\n";

/* Of a key that BearSSL does not know (Ed25519). */
static const char strange[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBLjCB4aADAgECAhRrLgvXpbGiSdWQYKCJ9QmLBDKG/TAFBgMrZXAwDDEKMAgG\n"
    "A1UEAwwBZTAgFw0yNjExMjYyMjI3NDJaGA8yMTI2MTEwMjIyMjc0MlowDDEKMAgG\n"
    "A1UEAwwBZTAqMAUGAytlcAMhABsPrPpIgM8UdqC/HfXEsN+VwyjviHyNUpN6BaK7\n"
    "Jelko1MwUTAdBgNVHQ4EFgQUHVddiUOw9xzi+1S59DhsAV689eAwHwYDVR0jBBgw\n"
    "FoAUHVddiUOw9xzi+1S59DhsAV689eAwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD\n"
    "QQAa5sLdjjAA9T7O2oCW75y9oXUTC2dyy5n110bhbKWHmEcc9hNOkCpBzmo8klCT\n"
    "4FZ1KZ7DRki0syy2BMlWpPEC\n"
    "-----END CERTIFICATE-----\n";

static const char key[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIJnIBKKhQh7yLSQrGd6PotcGZCLjrei/faDx1j2u4RCToAoGCCqGSM49\n"
    "AwEHoUQDQgAEHfmHknEG/DC596rrYp9NzwSEjO/nN4LxErRUu+aOO1K8gjITv9Xv\n"
    "JUgolTVPYCK26YH9niIsf0ce5hDW8A396g==\n"
    "-----END EC PRIVATE KEY-----\n";

static dynalock_anchors anchors;
static dynalock_posix_identity identity;
static char text[32768];

static int begin(void **state)
{
    (void)state;
    memset(&anchors, 0, sizeof anchors);
    return 0;
}

/* A file of these texts; NULL ends them. Its name lasts until the next. */
static const char *file_of(const char *first, const char *second)
{
    static char paths[2][32];
    static int last;
    char *path = paths[last ^= 1];
    int fd;

    (void)strcpy(path, "/tmp/dynalock-test-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, first, strlen(first)), (int)strlen(first));
    assert_int_equal(write(fd, second, strlen(second)), (int)strlen(second));
    (void)close(fd);
    return path;
}

static void check_anchors(
    const char *first, const char *second, dynalock_outcome expected)
{
    const char *path = file_of(first, second);

    assert_int_equal(dynalock_posix_anchors(&anchors, path), expected);
    (void)unlink(path);
}

static void test_every_certificate_is_added(void **state)
{
    (void)state;
    check_anchors(certificate, certificate, DYNALOCK_OK);
    assert_int_equal(anchors.count, 2);
    check_anchors("a remark\n", certificate, DYNALOCK_OK);
    assert_int_equal(anchors.count, 3);
    assert_int_equal(anchors.list[2].pkey.key_type, BR_KEYTYPE_EC);
    assert_int_equal(anchors.list[2].flags, BR_X509_TA_CA);
}

static void test_keys_of_an_unknown_kind_are_left_out(void **state)
{
    (void)state;
    check_anchors(strange, certificate, DYNALOCK_OK);
    assert_int_equal(anchors.count, 1);
    assert_ptr_equal(anchors.list[0].dn.data, anchors.bytes);
    check_anchors(strange, "", DYNALOCK_BAD_FILE); /* none is in it */
}

static void test_what_is_no_certificate_is_none(void **state)
{
    (void)state;
    check_anchors("", "", DYNALOCK_BAD_FILE);
    check_anchors(key, "", DYNALOCK_BAD_FILE);
    check_anchors(key, certificate, DYNALOCK_OK);
    assert_int_equal(anchors.count, 1);
    assert_int_equal(
        dynalock_posix_anchors(NULL, "/dev/null"), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_posix_anchors(&anchors, NULL), DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(
        dynalock_posix_anchors(&anchors, "/nonexistent"), DYNALOCK_NO_FILE);
    assert_int_equal(
        dynalock_posix_anchors(&anchors, "/tmp"), DYNALOCK_NO_FILE);
}

/* As editors and variables may leave it. */
static void test_the_last_line_may_lack_its_end(void **state)
{
    (void)state;
    (void)strcpy(text, certificate);
    text[strlen(text) - 1] = '\0';
    check_anchors(text, "", DYNALOCK_OK);
    assert_int_equal(anchors.count, 1);
    check_anchors(certificate, text, DYNALOCK_OK);
    assert_int_equal(anchors.count, 3);
}

/* The older name of the same, as in a few stores. */
static void test_x509_certificates_are_certificates(void **state)
{
    (void)state;
    (void)snprintf(text, sizeof text, "-----BEGIN X509 %s", certificate + 11);
    (void)strcpy(strstr(text, "-----END"), "-----END X509 CERTIFICATE-----\n");
    check_anchors(text, "", DYNALOCK_OK);
    assert_int_equal(anchors.count, 1);
}

/* Wherever it is cut or damaged, if BearSSL cannot read it. */
static void test_a_broken_certificate_is_told(void **state)
{
    size_t cut;

    (void)state;
    for (cut = 28; cut < sizeof certificate - 28; cut += 7) {
        begin(NULL);
        (void)snprintf(text, sizeof text, "%.*s", (int)cut, certificate);
        check_anchors(certificate, text, DYNALOCK_BAD_FILE);
        (void)strcpy(text, certificate);
        text[cut] = '*'; /* in no base64 */
        check_anchors(certificate, text, DYNALOCK_BAD_FILE);
    }
}

/* The certificate, with so many bytes behind it that do not belong there. */
static void write_surplus(size_t surplus)
{
    static uint8_t der[8192];
    const char *at = strchr(certificate, '\n') + 1;
    char letters[1024];
    size_t size = 0;
    uint32_t used;
    dl_span span;
    dl_sink *sink = dl_span_open(&span, text, sizeof text - 1, 0);

    for (; *at != '-'; at++)
        if (*at != '\n') letters[size++] = *at;
    used = dl_base64_decode(der, sizeof der, letters, size);
    assert_in_range(used, 300, sizeof der - surplus);
    memset(der + used, 0, surplus);
    dl_put_text(sink, "-----BEGIN CERTIFICATE-----\n");
    dl_put_base64(sink, der, used + surplus);
    dl_put_text(sink, "\n-----END CERTIFICATE-----\n");
    text[span.used] = '\0';
}

static void test_a_certificate_with_something_behind_is_told(void **state)
{
    size_t surplus;

    (void)state;
    write_surplus(0);
    check_anchors(text, "", DYNALOCK_OK);
    for (surplus = 1; surplus < 6000; surplus += 97) {
        write_surplus(surplus);
        check_anchors(text, "", DYNALOCK_BAD_FILE);
    }
}

static void test_anchors_that_do_not_fit(void **state)
{
    size_t used;

    (void)state;
    check_anchors(certificate, "", DYNALOCK_OK);
    used = anchors.used;
    for (anchors.used = sizeof anchors.bytes - used + 1;
         anchors.used < sizeof anchors.bytes; anchors.used++)
        check_anchors(certificate, "", DYNALOCK_BAD_BUFFER);
    assert_int_equal(anchors.count, 1);
    anchors.used = 0;
    anchors.count = DYNALOCK_ANCHORS - 1;
    check_anchors(certificate, certificate, DYNALOCK_BAD_BUFFER);
    assert_int_equal(anchors.count, DYNALOCK_ANCHORS);
}

/* ---- identities ---- */

static void check_identity(
    const char *chain, const char *key_text, dynalock_outcome expected)
{
    const char *chain_path = file_of(chain, "");
    const char *key_path = file_of(key_text, "");
    size_t i;

    assert_int_equal(
        dynalock_posix_load_identity(&identity, chain_path, key_path),
        expected);
    (void)unlink(chain_path);
    (void)unlink(key_path);
    if (expected == DYNALOCK_OK) return;
    for (i = 0; i < sizeof identity; i++) /* nothing of the key is left */
        assert_int_equal(((const char *)&identity)[i], 0);
}

static void test_a_chain_and_its_key(void **state)
{
    (void)state;
    check_identity(certificate, key, DYNALOCK_OK);
    assert_int_equal(identity.identity.chain_count, 1);
    assert_int_equal(identity.ec_key.curve, BR_EC_secp256r1);
    (void)snprintf(text, sizeof text, "%s%s%s%s%s", key, certificate,
        certificate, certificate, certificate);
    check_identity(text, key, DYNALOCK_OK);
    assert_int_equal(identity.identity.chain_count, 4);
}

static void test_an_identitys_last_lines_may_lack_their_ends(void **state)
{
    char end[2048];

    (void)state;
    (void)strcpy(text, certificate);
    text[strlen(text) - 1] = '\0';
    (void)strcpy(end, key);
    end[strlen(end) - 1] = '\0';
    check_identity(text, end, DYNALOCK_OK);
    assert_int_equal(identity.identity.chain_count, 1);
}

static void test_a_chain_that_does_not_fit(void **state)
{
    int i;

    (void)state;
    text[0] = '\0';
    for (i = 0; i < 5; i++) (void)strcat(text, certificate);
    check_identity(text, key, DYNALOCK_BAD_BUFFER);
    (void)strcpy(text, "-----BEGIN CERTIFICATE-----\n");
    for (i = 0; i < 200; i++) /* 9 KB */
        (void)strcat(text, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlq"
                           "a2xtbm9w\n");
    (void)strcat(text, "-----END CERTIFICATE-----\n");
    check_identity(text, key, DYNALOCK_BAD_BUFFER);
}

static void test_a_broken_identity_is_told(void **state)
{
    (void)state;
    check_identity(certificate, certificate, DYNALOCK_BAD_FILE);
    check_identity(key, key, DYNALOCK_BAD_FILE);
    (void)snprintf(text, sizeof text, "%s%.100s", certificate, certificate);
    check_identity(text, key, DYNALOCK_BAD_FILE); /* half written */
    (void)strcpy(text, certificate);
    text[60] = '*';
    check_identity(text, key, DYNALOCK_BAD_FILE);
    (void)snprintf(text, sizeof text, "%.100s", key);
    check_identity(certificate, text, DYNALOCK_BAD_FILE);
    (void)strcpy(text, key);
    text[60] = '*';
    check_identity(certificate, text, DYNALOCK_BAD_FILE);
    assert_int_equal(dynalock_posix_load_identity(&identity, NULL, "/tmp"),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_posix_load_identity(&identity, "/tmp", NULL),
        DYNALOCK_BAD_ARGUMENT);
    assert_int_equal(dynalock_posix_load_identity(&identity, "/tmp", "/tmp"),
        DYNALOCK_NO_FILE);
}

/* BearSSL's decoder would run on behind the first. */
static void test_several_keys_are_told(void **state)
{
    int i;

    (void)state;
    for (i = 0, text[0] = '\0'; i < 8; i++) {
        (void)strcat(text, key);
        check_identity(
            certificate, text, i == 0 ? DYNALOCK_OK : DYNALOCK_BAD_FILE);
    }
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_certificate_is_added),
        TEST(keys_of_an_unknown_kind_are_left_out),
        TEST(what_is_no_certificate_is_none),
        TEST(the_last_line_may_lack_its_end),
        TEST(x509_certificates_are_certificates),
        TEST(a_broken_certificate_is_told),
        TEST(a_certificate_with_something_behind_is_told),
        TEST(anchors_that_do_not_fit),
        TEST(a_chain_and_its_key),
        TEST(an_identitys_last_lines_may_lack_their_ends),
        TEST(a_chain_that_does_not_fit),
        TEST(a_broken_identity_is_told),
        TEST(several_keys_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
