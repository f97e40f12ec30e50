/*
Fuzzes where credentials are fetched from (libFuzzer): EC2's metadata service, a
container's endpoint, AWS IoT, and the chain of a POSIX host with a container's
token in a file. The first byte chooses the source, what it is configured with
comes next, then what becomes of each of its requests.

Whatever is answered: only whole, right and unexpired credentials are used; the
heads of requests are in order, whatever the configuration and the token hold;
nothing of a failed fetch stays in memory; the fetch ends in time; and with
right answers the same client gets its credentials.
*/

#define _GNU_SOURCE /* memfd_create, strcasestr */
#define DYNALOCK_NO_TLS
#define DYNALOCK_POSIX
#include "device.h"

#include <cjson/cJSON.h>
#include <sys/mman.h>

#define CONNECT_MS 3000
#define REQUEST_MS 1000
#define ROOM 4096

enum { EC2, CONTAINER, IOT, CHAIN, SOURCES };

static device d;
static input script;
static unsigned kind;
static int honest;
static char last[DEVICE_ANSWER]; /* answer of a source */
static size_t last_size;
static unsigned asked; /* the table, for the lock's item */
static char memory_of[ROOM];
static dynalock_provider provider;
static dynalock_ec2 ec2;
static dynalock_container container;
static dynalock_iot iot;
static dynalock_posix_aws aws;
static char *texts[3]; /* of the configuration */

/* ---- what a right answer is ---- */

static const char keys[] =
    "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":"
    "\"sec\\/ret\",\"Token\":\"tok+/=\",\"Expiration\":"
    "\"2023-11-15T04:13:20Z\"}"; /* six hours from now */
static const char nested_keys[] =
    "{\"credentials\":{\"accessKeyId\":\"ASIA1\",\"secretAccessKey\":\"sec\","
    "\"sessionToken\":\"tok\",\"expiration\":\"2023-11-15T04:13:20Z\"}}";

#define ROLE_PATH "GET /latest/meta-data/iam/security-credentials/ HTTP"

static int begins(const char *line, const char *name)
{
    return strncmp(line, name, strlen(name)) == 0;
}

static const char *right_body(const device *of)
{
    if (begins(of->request, "PUT ")) return "the-token==";
    if (begins(of->request, ROLE_PATH)) return "a-role\n";
    return kind == IOT ? nested_keys : keys;
}

static int is_text(const cJSON *object, const char *name, const char *text)
{
    const cJSON *it = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(it) && strcmp(it->valuestring, text) == 0;
}

/* The last answer gives what is used. */
static int is_right(void)
{
    const dynalock_credentials *used = &provider.credentials;
    cJSON *json = NULL;
    const cJSON *in;
    int right = 0;
    answer a;

    if (read_answer(&a, last, last_size, 1))
        json = cJSON_ParseWithLength(a.body, a.size);
    in = cJSON_GetObjectItemCaseSensitive(json, "credentials");
    if (a.status == 200 && kind == IOT)
        right = is_text(in, "accessKeyId", used->key_id) &&
                is_text(in, "secretAccessKey", used->secret) &&
                is_text(in, "sessionToken", used->token);
    else if (a.status == 200)
        right = is_text(json, "AccessKeyId", used->key_id) &&
                is_text(json, "SecretAccessKey", used->secret) &&
                is_text(json, "Token", used->token) &&
                cJSON_GetObjectItemCaseSensitive(json, "Expiration") != NULL;
    cJSON_Delete(json);
    free(a.chunks);
    return right;
}

/* ---- requests ---- */

/* Lines of printable characters, each once, and none that we do not know. */
static void check_head(const device *of)
{
    static const char *const names[] = { "GET /", "PUT /latest/api/token ",
        "host:", "x-aws-ec2-metadata-token-ttl-seconds:60",
        "x-aws-ec2-metadata-token:", "content-length:0", "connection:close",
        "accept:application/json", "authorization:", "x-amzn-iot-thingname:" };
    const char *line = of->request, *end;
    unsigned seen = 0;
    size_t i;

    while ((end = strstr(line, "\r\n")) != line) {
        REQUIRE(end != NULL);
        for (i = 0; i < COUNT(names) && !begins(line, names[i]);) i++;
        REQUIRE(i < COUNT(names) && (seen >> i & 1) == 0);
        REQUIRE((i < 2) == (line == of->request));
        seen |= 1u << i;
        for (; line != end; line++) REQUIRE(*line >= ' ' && *line <= '~');
        line += 2;
    }
    REQUIRE((seen & 4) != 0 && end[2] == '\0');
}

/* ---- what becomes of them ---- */

static void answer_right(device *of)
{
    device_answer_text(of, 200, right_body(of));
}

static void answer_body(device *of)
{
    static const unsigned statuses[] = { 200, 200, 401, 403, 404, 429, 500,
        503, 302, 400, 204 };
    unsigned status = statuses[choose(&script) % COUNT(statuses)];
    input body = choose_text(&script);

    device_answer(of, status, body.at, body.size);
}

static void answer_raw(device *of)
{
    input text = choose_text(&script);

    device_answer_bytes(of, text.at, text.size);
}

static void answer_cut(device *of)
{
    answer_right(of);
    of->answer_size = of->answer_size * choose(&script) / 256;
    of->hangs_up = 1;
}

static void answer_altered(device *of)
{
    size_t at;

    answer_right(of);
    at = choose_two(&script) % of->answer_size;
    of->answer[at] = (char)(of->answer[at] ^ (choose(&script) | 1));
}

static void answer_late(device *of)
{
    answer_right(of);
    of->answer_from = of->now + 16 * choose(&script);
}

static void lose(device *of)
{
    (void)of;
}

static void fail_next(device *of)
{
    answer_right(of);
    of->fails = 1;
}

static void (*const fates[])(device *) = { answer_right, answer_body,
    answer_raw, answer_cut, answer_altered, answer_late, lose, fail_next };

/* The table is asked only with credentials that were fetched. */
static void serve_table(device *of)
{
    /* not in what a token may say, but where its line begins */
    const char *id = strcasestr(of->request, "\r\nauthorization:");

    REQUIRE(id != NULL);
    id = strstr(id, "Credential=");
    REQUIRE(id != NULL);
    id += strlen("Credential=");
    REQUIRE(begins(id, provider.credentials.key_id));
    REQUIRE(id[strlen(provider.credentials.key_id)] == '/');
    REQUIRE(provider.credentials.key_id[0] != '-' || id[1] != '/');
    REQUIRE(is_right());
    asked++;
    device_answer_text(of, 200, "{}");
}

static void serve(device *of)
{
    unsigned fate;

    if (strcmp(of->host, "table.test") == 0) {
        serve_table(of);
        return;
    }
    check_head(of);
    fate = honest ? 0 : choose(&script);
    fates[fate % COUNT(fates)](of);
    memcpy(last, of->answer, of->answer_size);
    last_size = of->answer_size;
    if (fate >= 64) of->piece = 1 + fate % 7;
    if (fate >= 128) of->hangs_up = 1;
}

/* ---- the sources ---- */

static dynalock_source choose_ec2(void)
{
    memset(&ec2, 0, sizeof ec2);
    return dynalock_source_ec2();
}

static dynalock_source choose_container(void)
{
    static const char *const uris[] = { "/v2/credentials/x?a=b",
        "http://127.0.0.1:8080/x", "http://[::1]/x", NULL };
    unsigned choice = choose(&script);

    memset(&container, 0, sizeof container);
    texts[0] = choose_string(&script);
    texts[1] = choose_string(&script);
    container.uri = uris[choice % COUNT(uris)];
    if (container.uri == NULL) container.uri = texts[0];
    if (texts[1][0] != '\0') container.authorization = texts[1];
    return dynalock_source_container();
}

static dynalock_source choose_iot(void)
{
    unsigned choice = choose(&script);

    memset(&iot, 0, sizeof iot);
    texts[0] = choose_string(&script);
    texts[1] = choose_string(&script);
    iot.host = "prefix.credentials.iot.eu-west-1.amazonaws.com";
    iot.role_alias = choice & 1 ? texts[0] : "alias";
    if ((choice & 2) != 0) iot.thing = texts[1];
    if ((choice & 4) != 0) iot.host = texts[1];
    d.config.endpoint = "https://table.test:8000";
    d.config.secure_transport = 1;
    return dynalock_source_iot();
}

static void write_token(input token)
{
    static int fd = -1;
    static char path[32];

    if (fd < 0) fd = memfd_create("token", 0);
    REQUIRE(fd >= 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    REQUIRE(ftruncate(fd, 0) == 0);
    REQUIRE(pwrite(fd, token.at, token.size, 0) == (ssize_t)token.size);
    REQUIRE(setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1) == 0);
}

static dynalock_source choose_chain(void)
{
    static const input small = { (const uint8_t *)"AWS_", 4 };
    input token = choose_text(&script);
    unsigned most = choose(&script);
    uint8_t large[9000];

    memset(&aws, 0, sizeof aws);
    memset(large, 'a' + (int)(most & 15), sizeof large);
    if (most >= 250) { /* about as long as it may be */
        token.at = large;
        token.size = sizeof aws.authorization - 253 + most;
    }
    write_token(token.size != 0 ? token : small);
    REQUIRE(setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x", 1) == 0);
    REQUIRE(setenv("AWS_CONFIG_FILE", "/dev/null", 1) == 0);
    REQUIRE(setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1) == 0);
    return dynalock_source_posix();
}

static void begin(void)
{
    static dynalock_source (*const choices[SOURCES])(
        void) = { choose_ec2, choose_container, choose_iot, choose_chain };
    static void *const contexts[SOURCES] = { &ec2, &container, &iot, &aws };
    dynalock_source source;

    device_init(&d, serve);
    kind = choose(&script) % SOURCES;
    source = choices[kind]();
    memset(memory_of, 'x', sizeof memory_of);
    REQUIRE(dynalock_provider_init(&provider, source, contexts[kind],
                memory_of, sizeof memory_of) == DYNALOCK_OK);
    d.config.credentials = &provider.credentials;
    d.config.connect_ms = CONNECT_MS;
    d.config.request_ms = REQUEST_MS;
    d.config.cap_ms = 100;
    device_start(&d);
    REQUIRE(dynalock_set_provider(&d.client, &provider) == DYNALOCK_OK);
}

/* ---- what holds afterwards ---- */

static dynalock_outcome ask(void)
{
    static dynalock_record record;
    dynalock_name name = { "k", NULL, NULL };

    return dynalock_read(&d.client, &name, &record);
}

/* Some characters, none of them below the least. */
static int is_word(const char *text, char least)
{
    const char *at = text;

    while (*at >= least && *at <= '~') at++;
    return at != text && *at == '\0';
}

/* The half that is not in use holds nothing. */
static void check_memory(void)
{
    const char *spare = dl_spare(&provider);
    uint32_t i;

    for (i = 0; i < provider.half; i++) REQUIRE(spare[i] == '\0');
}

static void check_use(dynalock_outcome rc)
{
    const dynalock_credentials *used = &provider.credentials;

    REQUIRE(provider.state == DL_ASK_IDLE && !provider.fetching);
    REQUIRE(strcmp(d.client.host, "table.test") == 0);
    REQUIRE(d.client.port == 8000);
    check_memory();
    REQUIRE(d.now <= 1000 + CONNECT_MS + REQUEST_MS + 100);
    REQUIRE((rc == DYNALOCK_OK) == (asked != 0));
    if (asked == 0) return;
    REQUIRE(is_word(used->key_id, '!') && is_word(used->token, '!'));
    REQUIRE(is_word(used->secret, ' '));
}

static int is_configured(dynalock_outcome rc)
{
    return rc != DYNALOCK_BAD_ENDPOINT && rc != DYNALOCK_BAD_TLS &&
           rc != DYNALOCK_BAD_FILE && rc != DYNALOCK_NO_FILE &&
           rc != DYNALOCK_BAD_ARGUMENT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dynalock_outcome rc;
    size_t i;

    script.at = data;
    script.size = size;
    honest = 0;
    asked = 0;
    texts[0] = texts[1] = texts[2] = NULL;
    begin();
    rc = ask();
    check_use(rc);
    honest = 1;
    if (is_configured(rc)) REQUIRE(ask() == DYNALOCK_OK);
    (void)dynalock_client_close(&d.client, 0);
    for (i = 0; i < sizeof memory_of; i++) REQUIRE(memory_of[i] == '\0');
    for (i = 0; i < COUNT(texts); i++) free(texts[i]);
    return 0;
}
