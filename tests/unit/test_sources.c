/*
The sources of dynalock.h that ask another host: EC2's metadata, a container's
endpoint, AWS IoT; each with what it may answer. The world's table is the other
end of the same connection hook. (Over real sockets and TLS: tests/sources.py.)
*/
#include "world.h"

static world w;
static dynalock_lock lock;
static dynalock_provider provider;
static char memory[16384];
static dynalock_ec2 ec2;
static dynalock_container container;
static dynalock_iot iot;

/* ---- the servers ---- */

static struct {
    int token_status, role_status, keys_status;
    int unauthorized; /* so many answers are 401 */
    const char *token, *role, *keys;
    const char *date;
    int silent, unsized;
    int tokens, roles, fetches; /* requests of each kind */
    char seen[20000];           /* the last request */
} s;

static const char keys[] =
    "{\"Code\":\"Success\",\"LastUpdated\":\"2023-11-14T22:00:00Z\","
    "\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIA1\","
    "\"SecretAccessKey\":\"sec\\/ret\\u002b\\\"\\\\ 1\",\"Token\":\"tok+/=\","
    "\"Expiration\":\"2023-11-15T04:13:20Z\"}"; /* six hours from now */

static void reply(int status, const char *body)
{
    w.answer_size = (size_t)snprintf(w.answer, sizeof w.answer,
        "HTTP/1.1 %d X\r\n%s%s%sContent-Length: %u\r\n\r\n%s", status,
        s.date != NULL ? "Date: " : "", s.date != NULL ? s.date : "",
        s.date != NULL ? "\r\n" : "", (unsigned)strlen(body), body);
    if (s.unsized) {
        w.answer_size = (size_t)snprintf(w.answer, sizeof w.answer,
            "HTTP/1.1 %d X\r\n\r\n%s", status, body);
        w.peer_closed = 1;
    }
    assert_true(w.answer_size < sizeof w.answer);
    w.answer_at = 0;
    w.answer_from = w.now;
}

static int asks(const char *start)
{
    return strncmp(w.request, start, strlen(start)) == 0;
}

static void serve(world *of)
{
    (void)snprintf(s.seen, sizeof s.seen, "%s", of->request);
    if (s.silent) return;
    if (asks("PUT /latest/api/token HTTP/1.1\r\n")) {
        s.tokens++;
        reply(s.token_status, s.token);
        return;
    }
    if (s.unauthorized > 0) {
        s.unauthorized--;
        reply(401, "");
    } else if (asks("GET /latest/meta-data/iam/security-credentials/ HTTP")) {
        s.roles++;
        reply(s.role_status, s.role);
    } else {
        s.fetches++;
        reply(s.keys_status, s.keys);
    }
}

static void begin_with(dynalock_source source, void *context)
{
    world_begin(&w);
    w.serve_other = serve;
    memset(&s, 0, sizeof s);
    s.token_status = s.role_status = s.keys_status = 200;
    s.token = "the-token==";
    s.role = "a-role\n";
    s.keys = keys;
    assert_int_equal(dynalock_provider_init(
                         &provider, source, context, memory, sizeof memory),
        DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
}

static int begin_ec2(void **state)
{
    (void)state;
    memset(&ec2, 0, sizeof ec2);
    begin_with(dynalock_source_ec2(), &ec2);
    return 0;
}

static int begin_container(void **state)
{
    (void)state;
    memset(&container, 0, sizeof container);
    container.uri = "/v2/credentials/guid?a=b";
    begin_with(dynalock_source_container(), &container);
    return 0;
}

/* Under secure_transport: TLS with a certificate is in tests/sources.py. */
static int begin_iot(void **state)
{
    (void)state;
    memset(&iot, 0, sizeof iot);
    iot.host = "abc.credentials.iot.eu-west-1.amazonaws.com";
    iot.role_alias = "lock-role";
    begin_with(dynalock_source_iot(), &iot);
    w.config.endpoint = "https://table.test:8000";
    w.config.secure_transport = 1;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    s.keys = "{\"credentials\":{\"accessKeyId\":\"ASIA1\",\"secretAccessKey\":"
             "\"sec\",\"sessionToken\":\"tok\",\"expiration\":"
             "\"2023-11-14T23:13:20Z\"}}";
    return 0;
}

/* ---- what the tests say ---- */

static dynalock_outcome acquire(void)
{
    return dynalock_acquire(&w.client, &lock, 0);
}

static void assert_blamed(
    dynalock_outcome outcome, const char *source, const char *why)
{
    assert_int_equal(acquire(), outcome);
    assert_string_equal(w.client.detail.type, source);
    if (strcmp(w.client.detail.message, why) != 0)
        assert_string_equal(w.client.detail.message, why);
    assert_int_equal(w.requests, 0);
    /* all is as it was: the next call speaks to the table */
    assert_string_equal(w.client.host, "table.test");
    assert_int_equal(w.client.port, 8000);
}

static int was_said(const char *text)
{
    return strstr(s.seen, text) != NULL;
}

/* ---- EC2 ---- */

static void test_ec2_three_requests(void **state)
{
    (void)state;
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_int_equal(w.others, 3);
    assert_int_equal(s.tokens + s.roles + s.fetches, 3);
    assert_string_equal(s.seen,
        "GET /latest/meta-data/iam/security-credentials/a-role HTTP/1.1\r\n"
        "host:169.254.169.254\r\n"
        "x-aws-ec2-metadata-token:the-token==\r\nconnection:close\r\n\r\n");
    assert_string_equal(provider.credentials.key_id, "ASIA1");
    assert_string_equal(provider.credentials.secret, "sec/ret+\"\\ 1");
    assert_string_equal(provider.credentials.token, "tok+/=");
    assert_int_equal(w.client.port, 8000);
}

static void test_ec2_refresh_takes_two(void **state)
{
    (void)state;
    assert_int_equal(acquire(), DYNALOCK_OK);
    s.keys = "{\"AccessKeyId\":\"ASIA2\",\"SecretAccessKey\":\"s\",\"Token\":"
             "\"t\",\"Expiration\":\"2023-11-15T10:13:20.123Z\"}";
    world_run(&w, 6 * 3600000u - 200000u);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    assert_string_equal(provider.credentials.key_id, "ASIA2");
    assert_int_equal(w.others, 5);
    assert_int_equal(s.roles, 1);
}

static void test_ec2_other_places(void **state)
{
    (void)state;
    ec2.host = "fd00:ec2::254";
    ec2.port = 8181;
    ec2.role = "given";
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_int_equal(w.others, 2);
    assert_true(was_said("\r\nhost:[fd00:ec2::254]:8181\r\n"));
    assert_true(was_said("/given HTTP/1.1\r\n"));
}

static void test_ec2_put_is_what_it_must_be(void **state)
{
    (void)state;
    s.token_status = 403;
    assert_blamed(DYNALOCK_DENIED, "EC2 metadata", "the host has refused");
    assert_string_equal(s.seen,
        "PUT /latest/api/token HTTP/1.1\r\nhost:169.254.169.254\r\n"
        "x-aws-ec2-metadata-token-ttl-seconds:60\r\ncontent-length:0\r\n"
        "connection:close\r\n\r\n");
    assert_int_equal(w.client.detail.http_status, 403);
}

static void test_ec2_statuses(void **state)
{
    static const struct {
        int status;
        dynalock_outcome outcome;
    } cases[] = {
        { 400, DYNALOCK_SERVICE_REFUSED },
        { 403, DYNALOCK_DENIED },
        { 404, DYNALOCK_CREDENTIALS_MISSING },
        { 429, DYNALOCK_THROTTLED },
        { 500, DYNALOCK_SERVICE_FAILED },
        { 503, DYNALOCK_THROTTLED },
        { 302, DYNALOCK_BAD_ANSWER },
    };
    size_t i;

    for (i = 0; i < DL_COUNT(cases); i++) {
        (void)begin_ec2(state);
        s.token_status = cases[i].status;
        assert_blamed(
            cases[i].outcome, "EC2 metadata", "the host has refused");
        (void)begin_ec2(state);
        s.role_status = cases[i].status;
        assert_blamed(
            cases[i].outcome, "EC2 metadata", "the host has refused");
        (void)begin_ec2(state);
        s.keys_status = cases[i].status;
        assert_blamed(
            cases[i].outcome, "EC2 metadata", "the host has refused");
    }
}

static void test_ec2_401_brings_one_more_token(void **state)
{
    s.unauthorized = 1;
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_int_equal(s.tokens, 2);
    (void)begin_ec2(state);
    s.unauthorized = 100;
    assert_int_equal(acquire(), DYNALOCK_CREDENTIALS_REFUSED);
    assert_int_equal(s.tokens, 4); /* the call asks for them once more */
}

static void test_ec2_roles_and_tokens_are_checked(void **state)
{
    static char large[400], larger[sizeof memory / 2 + 100];

    memset(larger, 'x', sizeof larger - 1);
    s.role = "../other";
    assert_blamed(
        DYNALOCK_BAD_ANSWER, "EC2 metadata", "not the name of a role");
    (void)begin_ec2(state);
    s.role = "";
    assert_blamed(
        DYNALOCK_BAD_ANSWER, "EC2 metadata", "an empty token or role name");
    (void)begin_ec2(state);
    memset(large, 'x', sizeof large - 1);
    s.token = large;
    assert_blamed(DYNALOCK_BAD_BUFFER, "EC2 metadata",
        "the token or role name is too long");
    (void)begin_ec2(state);
    s.token = larger; /* than the memory for any answer */
    assert_blamed(DYNALOCK_BAD_BUFFER, "EC2 metadata",
        "the token or role name is too long");
}

static void test_ec2_200_may_be_an_error(void **state)
{
    s.keys = "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":"
             "\"EC2 cannot assume the role\"}";
    assert_blamed(DYNALOCK_CREDENTIALS_REFUSED, "EC2 metadata",
        "EC2 cannot assume the role");
    (void)begin_ec2(state);
    s.keys = "{\"Code\":\"Failed\"}";
    assert_blamed(DYNALOCK_CREDENTIALS_REFUSED, "EC2 metadata", "Failed");
}

static void test_ec2_bad_answers(void **state)
{
    static const struct {
        const char *keys, *why;
        dynalock_outcome outcome;
    } cases[] = {
        { "", "not JSON", DYNALOCK_BAD_ANSWER },
        { "<html>", "not JSON", DYNALOCK_BAD_ANSWER },
        { "[]", "incomplete credentials", DYNALOCK_BAD_ANSWER },
        { "{},\"a\":1", "not JSON", DYNALOCK_BAD_ANSWER },
        { "{}}", "not JSON", DYNALOCK_BAD_ANSWER },
        { "{}", "incomplete credentials", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"",
            "not JSON", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"}",
            "no time of expiry, or not one", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
          "\"Expiration\":\"tomorrow\"}",
            "no time of expiry, or not one", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
          "\"Expiration\":\"2023-13-14T22:13:20Z\"}",
            "no time of expiry, or not one", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
          "\"Expiration\":\"2023-11-14T22:13:20Z\"}",
            "they have expired already, or this device's clock is wrong",
            DYNALOCK_CREDENTIALS_EXPIRED },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Expiration\":"
          "\"2023-11-15T22:13:20Z\"}",
            "incomplete credentials", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"\","
          "\"Expiration\":\"2023-11-15T22:13:20Z\"}",
            "incomplete credentials", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
          "\"Expiration\":\"2023-11-15T22:13:20Z\"}",
            "incomplete credentials", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\\r\\nx:y\",\"SecretAccessKey\":\"s\","
          "\"Token\":\"t\",\"Expiration\":\"2023-11-15T22:13:20Z\"}",
            "characters no header may have", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\\u0000B\",\"SecretAccessKey\":\"s\","
          "\"Token\":\"t\",\"Expiration\":\"2023-11-15T22:13:20Z\"}",
            "incomplete credentials", DYNALOCK_BAD_ANSWER },
        { "{\"AccessKeyId\":\"A\",\"AccessKeyId\":\"B\",\"SecretAccessKey\":"
          "\"s\",\"Token\":\"t\",\"Expiration\":\"2023-11-15T22:13:20Z\"}",
            "not JSON", DYNALOCK_BAD_ANSWER },
    };
    size_t i;

    for (i = 0; i < DL_COUNT(cases); i++) {
        (void)begin_ec2(state);
        s.keys = cases[i].keys;
        assert_blamed(cases[i].outcome, "EC2 metadata", cases[i].why);
    }
}

/* What stands behind the object may be blank, and an answer may end with its
   connection. */
static void test_ec2_answers_end_as_they_like(void **state)
{
    static char blank[sizeof keys + 8];

    (void)state;
    (void)snprintf(blank, sizeof blank, "%s \r\n\t", keys);
    s.keys = blank;
    assert_int_equal(acquire(), DYNALOCK_OK);
    (void)begin_ec2(state);
    s.unsized = 1;
    assert_int_equal(acquire(), DYNALOCK_OK);
}

static void test_ec2_silence_and_refusal(void **state)
{
    uint64_t start = w.now;

    s.silent = 1;
    assert_int_equal(acquire(), DYNALOCK_NO_ANSWER);
    assert_string_equal(w.client.detail.message, "not in time");
    assert_true(w.now - start < 7000); /* three tries of two seconds */
    (void)begin_ec2(state);
    w.refuse = 1;
    assert_blamed(DYNALOCK_UNREACHABLE, "EC2 metadata", "no connection");
}

/* A device whose clock is years off: an expiry is counted from the source's
   own Date. */
static void test_ec2_date_counts(void **state)
{
    (void)state;
    w.unix_ms += 400 * 86400000ll;
    s.date = "Tue, 14 Nov 2023 22:13:20 GMT";
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_in_range(provider.until, w.now + 6 * 3600000u - 11000u,
        w.now + 6 * 3600000u - 9000u);
    /* but not one that a cache has kept */
    (void)begin_ec2(state);
    w.unix_ms += 400 * 86400000ll;
    s.date = "Tue, 14 Nov 2023 22:13:20 GMT\r\nAge: 5";
    assert_int_equal(acquire(), DYNALOCK_CREDENTIALS_EXPIRED);
}

static void test_a_token_of_five_kilobytes(void **state)
{
    static char token[5001], body[8192];

    (void)state;
    memset(token, 'T', sizeof token - 1);
    (void)snprintf(body, sizeof body,
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"%s\","
        "\"Expiration\":\"2023-11-15T22:13:20Z\"}",
        token);
    s.keys = body;
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_string_equal(provider.credentials.token, token);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    /* and in memory that has no room for it */
    (void)begin_ec2(state);
    assert_int_equal(dynalock_provider_init(
                         &provider, dynalock_source_ec2(), &ec2, memory, 4096),
        DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    s.keys = body;
    assert_blamed(DYNALOCK_BAD_BUFFER, "EC2 metadata",
        "more than the provider's memory has room for");
}

/* Whatever the pieces that it comes in. */
static void test_single_bytes(void **state)
{
    (void)state;
    w.read_most = w.write_most = 1;
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_string_equal(provider.credentials.secret, "sec/ret+\"\\ 1");
}

/* Every hook fails in turn: an outcome, and no harm. */
static void test_every_hook_may_fail(void **state)
{
    long i, calls;

    assert_int_equal(acquire(), DYNALOCK_OK);
    calls = w.hook_calls;
    for (i = 1; i <= calls; i++) {
        (void)begin_ec2(state);
        w.hook_calls = 0;
        w.fail_at = i;
        if (dynalock_acquire(&w.client, &lock, 20000) == DYNALOCK_OK)
            assert_string_equal(provider.credentials.key_id, "ASIA1");
        w.fail_at = 0;
        assert_string_equal(w.client.host, "table.test");
        (void)dynalock_client_close(&w.client, 20000);
    }
}

/* ---- containers ---- */

static void test_container_relative(void **state)
{
    (void)state;
    container.authorization = "Basic abc\n";
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_string_equal(s.seen,
        "GET /v2/credentials/guid?a=b HTTP/1.1\r\nhost:169.254.170.2\r\n"
        "accept:application/json\r\nauthorization:Basic abc\r\n"
        "connection:close\r\n\r\n");
    assert_int_equal(w.others, 1);
}

static char longest[7 + DYNALOCK_HOST_SIZE + 1]; /* a host too long by one */

static void test_container_allows(void **state)
{
    static const char *const allowed[] = {
        "http://127.0.0.1/x",
        "http://127.255.3.4:8080/x",
        "http://169.254.170.2/x",
        "http://169.254.170.23/v1/credentials",
        "http://[::1]:90/x",
        "http://[fd00:ec2::23]/v1/credentials",
        "http://127.0.0.1?x",
        "HTTP://127.0.0.1",
    };
    static const char *const refused[] = {
        "http://169.254.169.254/x",
        "http://10.0.0.1/x",
        "http://128.0.0.1/x",
        "http://127.0.0.1.example.com/x",
        "http://127.1/x",
        "http://0127.0.0.1/x",
        "http://127.0.0.01/x",
        "http://127.0.0.256/x",
        "http://localhost/x",
        "http://[::2]/x",
        "http://[::1/x",
        "http://127.0.0.1@evil.test/x",
        "http:///x",
        "http://127..0.1/x",
        "http://1270.0.0.1/x",
        "http://127.0.0.1:/x",
        "http://127.0.0.1:0/x",
        "http://127.0.0.1:65536/x",
        "http://127.0.0.1:80a/x",
        "http://127.0.0.1/x y",
        "http://127.0.0.1/x\r\nh:v",
        "ftp://127.0.0.1/x",
        "v2/credentials",
        "",
        NULL,
        longest,
    };
    size_t i;

    memset(longest, 'h', sizeof longest - 1);
    memcpy(longest, "http://", 7);

    for (i = 0; i < DL_COUNT(allowed); i++) {
        (void)begin_container(state);
        container.uri = allowed[i];
        assert_int_equal(acquire(), DYNALOCK_OK);
    }
    assert_true(was_said("GET / HTTP/1.1\r\nhost:127.0.0.1\r\n"));
    for (i = 0; i < DL_COUNT(refused); i++) {
        (void)begin_container(state);
        container.uri = refused[i];
        assert_blamed(DYNALOCK_BAD_ENDPOINT, "container",
            "not a URI that credentials may come from");
        assert_int_equal(w.opens, 0);
    }
}

/* Longer than the window. */
static void test_container_paths_of_any_length(void **state)
{
    static char path[4001];

    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    container.uri = path;
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_true(was_said(path));
}

static void test_container_tokens_end_with_their_line(void **state)
{
    (void)state;
    assert_int_equal(dl_count_token("a"), 1);
    assert_int_equal(dl_count_token("a\n"), 1);
    assert_int_equal(dl_count_token("a\r\n"), 1);
    assert_int_equal(dl_count_token("a\r"), 1);
    assert_int_equal(dl_count_token("\r\n"), 0);
    assert_int_equal(dl_count_token("\n"), 0);
    assert_int_equal(dl_count_token(""), 0);
}

static void test_container_https_needs_tls(void **state)
{
    (void)state;
    container.uri = "https://any.example.com/x";
    assert_blamed(DYNALOCK_BAD_TLS, "container", "needs TLS");
}

static int rotations;
static const char *rotate(void *context)
{
    (void)context;
    rotations++;
    return rotations == 1 ? "first" : rotations == 2 ? "second" : NULL;
}

static void test_container_token_rotates(void **state)
{
    (void)state;
    rotations = 0;
    container.authorize = rotate;
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_true(was_said("\r\nauthorization:first\r\n"));
    w.faults[0] = FAULT_EXPIRED_TOKEN;
    w.fault_at = 0;
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_true(was_said("\r\nauthorization:second\r\n"));
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    w.faults[w.fault_at] = FAULT_EXPIRED_TOKEN;
    assert_int_equal(acquire(), DYNALOCK_NO_FILE);
    assert_string_equal(
        w.client.detail.message, "the authorization token cannot be read");
}

static void test_container_token_is_no_header(void **state)
{
    (void)state;
    container.authorization = "a\r\nx-evil:1\r\n";
    assert_blamed(DYNALOCK_BAD_FILE, "container",
        "the authorization token has characters no header may have");
    assert_int_equal(w.opens, 0);
}

static void test_container_refusal_has_words(void **state)
{
    (void)state;
    s.keys_status = 400;
    s.keys = "{\"code\":\"InvalidRequest\",\"message\":\"no such task\"}";
    assert_blamed(DYNALOCK_SERVICE_REFUSED, "container", "no such task");
}

static void assert_no_trace(const char *secret)
{
    const char *at = (const char *)&w.client;
    size_t i, size = strlen(secret);

    assert_true(was_said(secret));
    for (i = 0; i + size <= sizeof w.client; i++)
        assert_true(memcmp(at + i, secret, size) != 0);
}

static void test_container_authorization_leaves_no_trace(void **state)
{
    container.authorization = "Bearer-very-secret";
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_no_trace(container.authorization);
    /* nor where nothing else was sent behind it */
    (void)begin_container(state);
    container.authorization = "Bearer-very-secret";
    s.keys_status = 403;
    s.keys = "";
    assert_int_equal(acquire(), DYNALOCK_DENIED);
    assert_no_trace(container.authorization);
}

/* A modem does TLS to the service, and none to a link-local host. */
static void test_ec2_beside_secure_transport(void **state)
{
    (void)state;
    w.config.endpoint = "https://table.test:8000";
    w.config.secure_transport = 1;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    s.silent = 1;
    assert_int_equal(
        dynalock_start_acquire(&w.client, &lock, 0), DYNALOCK_AGAIN);
    (void)dynalock_poll(&w.client);
    assert_string_equal(w.host, "169.254.169.254");
    assert_int_equal(w.secure, 0);
    dynalock_cancel(&w.client, &lock.operation);
    s.silent = 0;
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_string_equal(w.host, "table.test");
    assert_int_equal(w.secure, 1);
}

/* ---- AWS IoT ---- */

static void test_iot(void **state)
{
    (void)state;
    iot.thing = "thing-7";
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_string_equal(s.seen,
        "GET /role-aliases/lock-role/credentials HTTP/1.1\r\n"
        "host:abc.credentials.iot.eu-west-1.amazonaws.com\r\n"
        "x-amzn-iot-thingname:thing-7\r\naccept:application/json\r\n"
        "connection:close\r\n\r\n");
    assert_int_equal(w.others, 1);
    assert_string_equal(provider.credentials.token, "tok");
    assert_int_equal(w.client.config.secure_transport, 1);
    /* world time 0 is 22:13:20 */
    assert_in_range(provider.until, 3589900, 3590000);
}

/* 1,369 bytes, the longest that was seen of AWS IoT, in two sets of 1.5 KB:
   with provider and source no more than a client takes (tests/sizes.py). */
static void test_iot_takes_little_memory(void **state)
{
    static const char format[] =
        "{\"credentials\":{\"accessKeyId\":\"ASIA0123456789ABCDEF\","
        "\"secretAccessKey\":\"%.40s\",\"sessionToken\":\"%.*s\","
        "\"expiration\":\"2023-11-14T23:13:20Z\"}}";
    static char letters[1400], body[1400];
    int n;

    (void)state;
    memset(letters, 'x', sizeof letters - 1);
    n = snprintf(body, sizeof body, format, letters, 0, letters);
    n = snprintf(body, sizeof body, format, letters, 1369 - n, letters);
    assert_int_equal(n, 1369);
    s.keys = body;
    assert_int_equal(dynalock_provider_init(
                         &provider, dynalock_source_iot(), &iot, memory, 3072),
        DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
}

static void test_iot_expiration_may_be_missing(void **state)
{
    (void)state;
    s.keys = "{\"a\":{\"credentials\":1},\"credentials\":{\"sessionToken\":"
             "\"t\",\"secretAccessKey\":\"s\",\"accessKeyId\":\"A\"}}";
    assert_int_equal(acquire(), DYNALOCK_OK);
    assert_string_equal(provider.credentials.key_id, "A");
    assert_true(provider.until < w.now + 900000u);
}

static void test_iot_refusals(void **state)
{
    s.keys_status = 403;
    s.keys = "{\"message\":\"Access Denied\"}";
    assert_blamed(DYNALOCK_DENIED, "AWS IoT", "Access Denied");
    (void)begin_iot(state);
    s.keys = "{\"message\":\"nothing\"}";
    assert_blamed(DYNALOCK_BAD_ANSWER, "AWS IoT", "no credentials in it");
    (void)begin_iot(state);
    s.keys = keys; /* another source's */
    assert_blamed(DYNALOCK_BAD_ANSWER, "AWS IoT", "no credentials in it");
}

static void check_iot_refused(void)
{
    assert_blamed(DYNALOCK_BAD_ARGUMENT, "AWS IoT",
        "host, role alias, thing or identity cannot be");
    assert_int_equal(w.opens, 0);
    (void)begin_iot(NULL);
}

/* They go into the request's head. */
static void test_iot_names_are_words(void **state)
{
    static char name[130];
    const char *const bad[] = { NULL, "", "a b", "a\r\nb", "\xc3\xa9", name };
    size_t i;

    (void)state;
    memset(name, 'n', sizeof name - 1);
    for (i = 0; i < DL_COUNT(bad); i++) {
        iot.role_alias = bad[i];
        check_iot_refused();
        if (bad[i] != NULL) iot.thing = bad[i];
        if (bad[i] != NULL) check_iot_refused();
        iot.host = bad[i] != name ? bad[i] : NULL;
        check_iot_refused();
    }
    name[128] = '\0';
    iot.role_alias = name;
    iot.thing = name;
    assert_int_equal(acquire(), DYNALOCK_OK);
}

/* ---- times ---- */

static void test_times(void **state)
{
    static const struct {
        const char *text;
        long long seconds;
    } cases[] = {
        { "1970-01-01T00:00:01Z", 1 },
        { "2018-01-18T09:18:06Z", 1516267086 },
        { "2024-02-29T23:59:59Z", 1709251199 },
        { "2100-03-01T00:00:00Z", 4107542400 },
        { "2023-11-14T22:13:20.999999Z", 1700000000 },
        { "2023-11-14t22:13:20+00:00", 1700000000 },
        { "2023-11-14T22:13:20", 0 },
        { "2023-11-14T22:13:20+01:00", 0 },
        { "2023-11-14 22:13:20Z", 0 },
        { "2016-12-31T23:59:60Z", 1483228800 },
        { "2023x11-14T22:13:20Z", 0 },
        { "2023-11x14T22:13:20Z", 0 },
        { "2023-11-14T22x13:20Z", 0 },
        { "2023-11-14T22:13x20Z", 0 },
        { "202x-11-14T22:13:20Z", 0 },
        { "1969-12-31T22:13:20Z", 0 },
        { "2023-11-00T22:13:20Z", 0 },
        { "2023-11-32T22:13:20Z", 0 },
        { "2023-11-14T22:60:20Z", 0 },
        { "2023-11-14T22:13:61Z", 0 },
        { "2023-11-14T24:13:20Z", 0 },
        { "2023-00-14T22:13:20Z", 0 },
        { "20231114T221320Z", 0 },
        { "", 0 },
    };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(cases); i++)
        assert_true(dl_read_time(cases[i].text, strlen(cases[i].text)) ==
                    cases[i].seconds * 1000);
}

#define EC2(name) cmocka_unit_test_setup(test_##name, begin_ec2)
#define CONTAINER(name) cmocka_unit_test_setup(test_##name, begin_container)
#define IOT(name) cmocka_unit_test_setup(test_##name, begin_iot)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        EC2(ec2_three_requests),
        EC2(ec2_refresh_takes_two),
        EC2(ec2_other_places),
        EC2(ec2_put_is_what_it_must_be),
        EC2(ec2_statuses),
        EC2(ec2_401_brings_one_more_token),
        EC2(ec2_roles_and_tokens_are_checked),
        EC2(ec2_200_may_be_an_error),
        EC2(ec2_bad_answers),
        EC2(ec2_silence_and_refusal),
        EC2(ec2_date_counts),
        EC2(a_token_of_five_kilobytes),
        EC2(single_bytes),
        EC2(every_hook_may_fail),
        EC2(ec2_beside_secure_transport),
        CONTAINER(container_relative),
        CONTAINER(container_allows),
        CONTAINER(container_https_needs_tls),
        CONTAINER(container_token_rotates),
        CONTAINER(container_token_is_no_header),
        CONTAINER(container_refusal_has_words),
        CONTAINER(container_authorization_leaves_no_trace),
        IOT(iot),
        IOT(iot_takes_little_memory),
        IOT(iot_expiration_may_be_missing),
        IOT(iot_refusals),
        EC2(ec2_answers_end_as_they_like),
        CONTAINER(container_paths_of_any_length),
        CONTAINER(container_tokens_end_with_their_line),
        IOT(iot_names_are_words),
        cmocka_unit_test(test_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
