/* == sigv4, and the request head of == http: what is signed, what is sent. */

#include "support.h"
#define VECTORS_SIGV4
#include "../vectors.h"

/* One request of a vector, ready to be signed. */
typedef struct signed_request {
    dynalock_credentials credentials;
    dl_signing signing;
    char host[256];
} signed_request;

static void digest_body(
    const struct vector_sigv4 *vector, uint8_t out[DL_SHA256_SIZE])
{
    dl_sha256 sha;
    size_t i;

    dl_sha256_init(&sha);
    for (i = 0; i < vector->body_length; i++) {
        char c = vector->body != NULL ? vector->body[i] : VECTORS_TEXT(i);

        dl_sha256_update(&sha, &c, 1);
    }
    dl_sha256_final(&sha, out);
}

static void prepare(signed_request *request, const struct vector_sigv4 *vector)
{
    static const char prefix[] = "DynamoDB_20120810.";
    dl_signing *signing = &request->signing;

    memset(request, 0, sizeof *request);
    assert_memory_equal(vector->target, prefix, strlen(prefix));
    request->credentials.key_id = vector->key_id;
    request->credentials.secret = vector->secret;
    request->credentials.token = vector->token;
    signing->credentials = &request->credentials;
    signing->region = vector->region;
    signing->host = vector->host;
    signing->target = vector->target + strlen(prefix);
    signing->body_size = (uint32_t)vector->body_length;
    dl_date(signing->date, (uint64_t)vector->time * 1000);
    digest_body(vector, signing->digest);
}

/* The same with the port taken out of the host. Returns whether it had one. */
static int split_port(signed_request *request)
{
    char *colon;

    assert_in_range(
        strlen(request->signing.host), 1, sizeof request->host - 1);
    strcpy(request->host, request->signing.host);
    colon = strrchr(request->host, ':');
    if (colon == NULL) return 0;
    *colon = '\0';
    request->signing.host = request->host;
    request->signing.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return 1;
}

static void check_digest(
    const uint8_t digest[DL_SHA256_SIZE], const char *hex, const char *name)
{
    sheet page;

    dl_put_hex(sheet_open(&page), digest, DL_SHA256_SIZE);
    CHECK(sheet_is(&page, text_of(hex)), "%s", name);
}

/* ---- signatures ---- */

static void every_request_gets_its_signature(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(vectors_sigv4); i++) {
        const struct vector_sigv4 *vector = &vectors_sigv4[i];
        dynalock_signing_key cache;
        signed_request request;

        memset(&cache, 0, sizeof cache);
        prepare(&request, vector);
        assert_string_equal(request.signing.date, vector->date);
        check_digest(
            request.signing.digest, vector->payload_hash, vector->name);
        dl_sign(&cache, &request.signing);
        check_digest(request.signing.digest, vector->signature, vector->name);
    }
}

static void a_port_is_part_of_the_host(void **state)
{
    size_t i, ports = 0;

    (void)state;
    for (i = 0; i < COUNT(vectors_sigv4); i++) {
        const struct vector_sigv4 *vector = &vectors_sigv4[i];
        dynalock_signing_key cache;
        signed_request request;

        memset(&cache, 0, sizeof cache);
        prepare(&request, vector);
        if (!split_port(&request)) continue;
        ports++;
        dl_sign(&cache, &request.signing);
        check_digest(request.signing.digest, vector->signature, vector->name);
    }
    assert_in_range(ports, 4, COUNT(vectors_sigv4));
}

static void mac(const void *key, size_t key_size, const char *message,
    uint8_t out[DL_SHA256_SIZE])
{
    dynalock_hmac_key ready;
    dl_sha256 sha;

    dl_hmac_key(&ready, "", key, key_size);
    dl_hmac_init(&sha, &ready);
    dl_sha256_update(&sha, message, strlen(message));
    dl_hmac_final(&sha, &ready, out);
}

/* "Calculating a signature", step by step as AWS describes it. */
static void the_signature_is_that_of_the_canonical_hash(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(vectors_sigv4); i++) {
        const struct vector_sigv4 *vector = &vectors_sigv4[i];
        uint8_t key[DL_SHA256_SIZE];
        char secret[256], day[9], to_sign[512];

        snprintf(secret, sizeof secret, "AWS4%s", vector->secret);
        snprintf(day, sizeof day, "%.8s", vector->date);
        snprintf(to_sign, sizeof to_sign,
            "AWS4-HMAC-SHA256\n%s\n%s/%s/dynamodb/aws4_request\n%s",
            vector->date, day, vector->region, vector->canonical_hash);
        mac(secret, strlen(secret), day, key);
        mac(key, sizeof key, vector->region, key);
        mac(key, sizeof key, "dynamodb", key);
        mac(key, sizeof key, "aws4_request", key);
        mac(key, sizeof key, to_sign, key);
        check_digest(key, vector->signature, vector->name);
    }
}

static void an_empty_token_is_none(void **state)
{
    dynalock_signing_key cache;
    signed_request request;

    (void)state;
    memset(&cache, 0, sizeof cache);
    prepare(&request, &vectors_sigv4[0]);
    assert_null(request.credentials.token);
    request.credentials.token = "";
    dl_sign(&cache, &request.signing);
    check_digest(request.signing.digest, vectors_sigv4[0].signature, "");
}

/* ---- the signing key ---- */

static const struct vector_sigv4 *vector_named(const char *name)
{
    size_t i = 0;

    while (strcmp(vectors_sigv4[i].name, name) != 0) {
        i++;
        assert_in_range(i, 0, COUNT(vectors_sigv4) - 1);
    }
    return &vectors_sigv4[i];
}

static void the_key_follows_the_day(void **state)
{
    static const char *const names[] = { "last second of a day",
        "first second of the next", "first second of the next",
        "last second of a day", "last second of a year",
        "first second of the next year", "before 29 February", "29 February",
        "end of 29 February", "after 29 February", "time 0" };
    dynalock_signing_key cache;
    size_t i;

    (void)state;
    memset(&cache, 0, sizeof cache);
    for (i = 0; i < COUNT(names); i++) {
        const struct vector_sigv4 *vector = vector_named(names[i]);
        signed_request request;

        prepare(&request, vector);
        dl_sign(&cache, &request.signing);
        check_digest(request.signing.digest, vector->signature, names[i]);
    }
}

/* Whoever changes the secret must forget the key: dynalock_set_credentials. */
static void the_key_is_made_once_a_day(void **state)
{
    const struct vector_sigv4 *vector = &vectors_sigv4[0];
    dynalock_signing_key cache;
    signed_request request;
    int i;

    (void)state;
    memset(&cache, 0, sizeof cache);
    for (i = 0; i < 2; i++) {
        prepare(&request, vector);
        if (i == 1) request.credentials.secret = "another";
        dl_sign(&cache, &request.signing);
        check_digest(request.signing.digest, vector->signature, "kept");
    }
}

/* ---- the head ---- */

/* Writes a signed request's head; returns it as a string. */
static const char *write_head(
    sheet *page, const struct vector_sigv4 *vector, int split)
{
    dynalock_signing_key cache;
    signed_request request;

    memset(&cache, 0, sizeof cache);
    prepare(&request, vector);
    if (split && !split_port(&request)) return NULL;
    dl_sign(&cache, &request.signing);
    dl_put_head(sheet_open(page), &request.signing);
    assert_in_range(page->span.total, 1, sizeof page->text - 1);
    page->text[page->span.total] = '\0';
    return page->text;
}

/* How often a line stands in the head. */
static unsigned lines_like(const char *head, const char *line)
{
    size_t size = strlen(line);
    unsigned count = 0;

    for (; *head != '\0'; head = strchr(head, '\n') + 1) {
        assert_non_null(strstr(head, "\r\n"));
        if (strncmp(head, line, size) == 0 && head[size] == '\r') count++;
    }
    return count;
}

static void check_line(const struct vector_sigv4 *vector, const char *head,
    const char *name, const char *value)
{
    char line[4096];

    snprintf(line, sizeof line, "%s%s", name, value);
    CHECK(lines_like(head, line) == 1, "%s: no \"%s\"", vector->name, line);
}

static unsigned count_lines(const char *head)
{
    unsigned count = 0;

    for (; *head != '\0'; head++)
        if (*head == '\n') count++;
    return count;
}

static void check_head(const struct vector_sigv4 *vector, const char *head)
{
    char size[24];

    snprintf(size, sizeof size, "%lu", (unsigned long)vector->body_length);
    assert_memory_equal(head, "POST / HTTP/1.1\r\n", 17);
    check_line(vector, head, "host:", vector->host);
    check_line(vector, head, "content-type:", "application/x-amz-json-1.0");
    check_line(vector, head, "x-amz-target:", vector->target);
    check_line(vector, head, "x-amz-date:", vector->date);
    check_line(vector, head, "authorization:", vector->authorization);
    check_line(vector, head, "content-length:", size);
    if (vector->token != NULL)
        check_line(vector, head, "x-amz-security-token:", vector->token);
    assert_int_equal(lines_like(head, ""), 1);
    assert_string_equal(head + strlen(head) - 4, "\r\n\r\n");
    assert_int_equal(count_lines(head), vector->token != NULL ? 9 : 8);
}

static void the_head_says_what_was_signed_and_no_more(void **state)
{
    size_t i;
    int split;

    (void)state;
    for (i = 0; i < COUNT(vectors_sigv4); i++)
        for (split = 0; split < 2; split++) {
            sheet page;
            const char *head = write_head(&page, &vectors_sigv4[i], split);

            if (head != NULL) check_head(&vectors_sigv4[i], head);
        }
}

static void a_token_of_two_kilobytes_goes_through(void **state)
{
    const struct vector_sigv4 *vector = vector_named("2 KB token, 16 KB body");
    sheet page;

    (void)state;
    assert_in_range(strlen(vector->token), 2048, 4000);
    assert_non_null(strstr(write_head(&page, vector, 0), vector->token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_gets_its_signature),
        cmocka_unit_test(a_port_is_part_of_the_host),
        cmocka_unit_test(the_signature_is_that_of_the_canonical_hash),
        cmocka_unit_test(an_empty_token_is_none),
        cmocka_unit_test(the_key_follows_the_day),
        cmocka_unit_test(the_key_is_made_once_a_day),
        cmocka_unit_test(the_head_says_what_was_signed_and_no_more),
        cmocka_unit_test(a_token_of_two_kilobytes_goes_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
