/*
What the programs here share: what the harness has started, the proxy's control
port, the server itself, and devices.

Two or three devices run in one process, each with a client and a connection of
its own. Between them and the server stands the proxy of tests/proxy.py, which
checks every signature and fails on demand; items are put, changed and deleted
behind the devices' backs by plain requests to the server itself.
*/
#ifndef SUPPORT_H
#define SUPPORT_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

/* Not every program uses all of it. */
#define SHARED static DYNALOCK_MAYBE_UNUSED

#define SLACK_MS 2000     /* how late a busy machine may make anything */
#define PATIENCE_MS 15000 /* after this what was waited for does not come */
#define LONG_LEASE_MS 20000
#define POLL_MS 40
#define CONNECT_MS 2000
#define REQUEST_MS 1000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- outcomes, when they are not as expected ---- */

SHARED void check_outcome(dynalock_outcome got, dynalock_outcome expected,
    const char *call, const char *file, int line)
{
    if (got == expected) return;
    print_error("%s\n    is %d: %s\n    not %d: %s\n", call, (int)got,
        dynalock_explain(got), (int)expected, dynalock_explain(expected));
    _fail(file, line);
}

#define assert_outcome(call, expected)                                        \
    check_outcome((call), (expected), #call, __FILE__, __LINE__)
#define assert_ok(call) assert_outcome(call, DYNALOCK_OK)
#define assert_at_least(value, least) assert_in_range(value, least, UINT64_MAX)
#define assert_at_most(value, most) assert_in_range(value, 0, most)

/* ---- what the harness has started ---- */

SHARED const char *harness(const char *name)
{
    char variable[64];
    const char *value;

    (void)snprintf(variable, sizeof variable, "DYNALOCK_TEST_%s", name);
    value = getenv(variable);
    if (value == NULL) {
        (void)fprintf(stderr, "%s is not set: run me under tests/harness.py\n",
            variable);
        exit(64);
    }
    return value;
}

SHARED uint16_t port_of(const char *address)
{
    return (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

SHARED int dial(uint16_t port)
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_return_code(
        connect(fd, (struct sockaddr *)&address, sizeof address), errno);
    return fd;
}

SHARED void send_all(int fd, const char *text, size_t size)
{
    while (size != 0) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

        assert_return_code(n, errno);
        text += n;
        size -= (size_t)n;
    }
}

/* Everything until the other side closes, as a string. */
SHARED void receive_all(int fd, char *out, size_t capacity)
{
    size_t used = 0;
    ssize_t n;

    while ((n = recv(fd, out + used, capacity - 1 - used, 0)) > 0)
        used += (size_t)n;
    assert_return_code(n, errno);
    assert_true(used < capacity - 1);
    out[used] = '\0';
    (void)close(fd);
}

/* ---- the proxy's control port ---- */

static char proxy_answer[4096]; /* one line */

/* One connection serves all commands, which makes them cheap. */
SHARED void proxy(const char *format, ...)
{
    static FILE *answers;
    char command[256];
    va_list arguments;
    int n;

    if (answers == NULL)
        answers = fdopen(dial(port_of(harness("CONTROL"))), "r");
    assert_non_null(answers);
    va_start(arguments, format);
    n = vsnprintf(command, sizeof command - 1, format, arguments);
    va_end(arguments);
    command[n++] = '\n';
    send_all(fileno(answers), command, (size_t)n);
    if (fgets(proxy_answer, sizeof proxy_answer, answers) == NULL)
        fail_msg("%.*s: no answer", n - 1, command);
    if (strncmp(proxy_answer, "error", 5) == 0)
        fail_msg("%.*s: %s", n - 1, command, proxy_answer);
}

/* One of the proxy's counters; 0 for an operation that it has not met. */
SHARED unsigned long counter(const char *name)
{
    char quoted[64];
    const char *at;

    proxy("stats");
    (void)snprintf(quoted, sizeof quoted, "\"%s\": ", name);
    at = strstr(proxy_answer, quoted);
    if (at == NULL) return 0;
    at += strlen(quoted);
    if (*at == '{') at = strstr(at, "\"requests\": ") + 12;
    return strtoul(at, NULL, 10);
}

SHARED unsigned long looks(void)
{
    return counter("GetItem");
}

SHARED unsigned long writes(void)
{
    return counter("UpdateItem");
}

/* ---- the server itself, without the proxy ---- */

static char server_answer[65536];

/* Sends a request of DynamoDB's and returns the answer's body. The servers
   want a signature and do not look at it. */
SHARED const char *server(const char *operation, const char *format, ...)
{
    static char body[16384], head[1024];
    va_list arguments;
    int fd = dial(port_of(harness("DIRECT")));
    size_t size;
    const char *at;

    va_start(arguments, format);
    size = (size_t)vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    assert_true(size < sizeof body);
    (void)snprintf(head, sizeof head,
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Type: application/x-amz-json-1.0\r\nContent-Length: %u\r\n"
        "X-Amz-Target: DynamoDB_20120810.%s\r\nX-Amz-Date: 20250101T000000Z"
        "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250101/"
        "us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        "\r\n\r\n",
        (unsigned)size, operation);
    send_all(fd, head, strlen(head));
    send_all(fd, body, size);
    receive_all(fd, server_answer, sizeof server_answer);
    if (strncmp(server_answer, "HTTP/1.1 200", 12) != 0)
        fail_msg("%s %s: %s", operation, body, server_answer);
    at = strstr(server_answer, "\r\n\r\n");
    assert_non_null(at);
    return at + 4;
}

SHARED const char *item(const char *key)
{
    return server("GetItem",
        "{\"TableName\":\"locks\",\"ConsistentRead\":true,"
        "\"Key\":{\"key\":{\"S\":\"%s\"}}}",
        key);
}

SHARED void put_item(const char *key, const char *attributes)
{
    (void)server("PutItem",
        "{\"TableName\":\"locks\",\"Item\":{\"key\":{\"S\":\"%s\"}%s%s}}", key,
        attributes[0] != '\0' ? "," : "", attributes);
}

SHARED void delete_item(const char *key)
{
    (void)server("DeleteItem",
        "{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":\"%s\"}}}", key);
}

/* Sets attributes: "a=:a", "\":a\":{\"S\":\"1\"}". */
SHARED void change_item(const char *key, const char *set, const char *values)
{
    (void)server("UpdateItem",
        "{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":\"%s\"}},"
        "\"UpdateExpression\":\"SET %s\",\"ExpressionAttributeValues\":{%s}}",
        key, set, values);
}

SHARED void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("no %s in %s", part, text);
}

SHARED void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) fail_msg("%s in %s", part, text);
}

/* ---- devices ---- */

static const dynalock_credentials long_term = { "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };
static dynalock_anchors anchors;

/* All that a device's program has, and what is to fail in it. */
typedef struct device {
    dynalock_posix posix; /* first: the context of the platform's hooks */
    dynalock_platform platform, healthy;
    dynalock_tls tls;
    dynalock_config config;
    dynalock_client client;
    uint16_t detour; /* connect to this port instead; 0: where it should */
    int no_entropy;
    int no_clock;
    int64_t clock_off_ms;
    int running; /* has a client, and run_for() lets it live */
} device;

static device a, b, c;
static device *const devices[] = { &a, &b, &c };
static dynalock_record record;
static dynalock_lock locks[32];
static size_t locks_used;

SHARED int32_t open_detoured(void *context, const dynalock_peer *peer)
{
    const device *d = (const device *)context;
    dynalock_peer to = *peer;

    if (d->detour != 0) to.port = d->detour;
    return d->healthy.open(context, &to);
}

SHARED int64_t shifted_unix_ms(void *context)
{
    const device *d = (const device *)context;

    return d->no_clock ? 0 : d->healthy.unix_ms(context) + d->clock_off_ms;
}

SHARED int32_t scarce_entropy(void *context, void *out, size_t size)
{
    const device *d = (const device *)context;

    return d->no_entropy ? -1 : d->healthy.entropy(context, out, size);
}

/* A device that is ready for dynalock_client_init; its config may be changed
   before. */
SHARED void prepare(device *d, const char *owner, const char *url)
{
    memset(d, 0, sizeof *d);
    dynalock_posix_platform(&d->posix, &d->healthy);
    d->platform = d->healthy;
    d->platform.open = open_detoured;
    d->platform.unix_ms = shifted_unix_ms;
    d->platform.entropy = scarce_entropy;
    d->config.platform = &d->platform;
    d->config.credentials = &long_term;
    d->config.region = "us-east-1";
    d->config.endpoint = url;
    d->config.table = "locks";
    d->config.owner = owner;
    d->config.poll_ms = POLL_MS;
    d->config.connect_ms = CONNECT_MS;
    d->config.request_ms = REQUEST_MS;
    d->config.base_ms = 4;
    d->config.cap_ms = 50;
    if (strncmp(url, "https:", 6) == 0) {
        d->config.tls = &d->tls;
        dynalock_tls_init(
            &d->tls, dynalock_tls_small(), anchors.list, anchors.count);
    }
}

SHARED void start(device *d)
{
    assert_ok(dynalock_client_init(&d->client, &d->config));
    d->running = 1;
}

SHARED void start_plain(device *d, const char *owner)
{
    prepare(d, owner, harness("HTTP"));
    start(d);
}

/* Another lease than the default of 20 s: this is about its end. */
SHARED void start_with_lease(device *d, const char *owner, uint32_t lease_ms)
{
    prepare(d, owner, harness("HTTP"));
    d->config.lease_ms = lease_ms;
    start(d);
}

/* For the table with a sort key. */
SHARED void start_sorted(device *d, const char *owner)
{
    prepare(d, owner, harness("HTTP"));
    d->config.table = "sorted";
    d->config.key_name = "name";
    d->config.sort_key_name = "part";
    start(d);
}

SHARED uint64_t now_ms(void)
{
    return a.healthy.monotonic_ms(&a.posix);
}

SHARED uint32_t remaining(const device *d, const dynalock_lock *lock)
{
    return dynalock_remaining_ms(&d->client, lock);
}

/* Locks outlive a test that fails in the middle: its clients hold on to them.
 */
SHARED dynalock_lock *new_lock(const dynalock_lock_options *options)
{
    assert_true(locks_used < COUNT(locks));
    assert_ok(dynalock_lock_init(&locks[locks_used], options));
    return &locks[locks_used++];
}

SHARED dynalock_lock *lock_named(const char *key)
{
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = key;
    return new_lock(&options);
}

SHARED const dynalock_record *look(device *d, const char *key)
{
    dynalock_name name;

    memset(&name, 0, sizeof name);
    name.key = key;
    assert_ok(dynalock_read(&d->client, &name, &record));
    return &record;
}

SHARED void poll_all(void)
{
    size_t i;

    for (i = 0; i < COUNT(devices); i++)
        if (devices[i]->running) (void)dynalock_poll(&devices[i]->client);
}

/* Sleeps until a device that runs has something to do, or so long. */
SHARED void wait_all(uint64_t end)
{
    struct pollfd fds[COUNT(devices)];
    uint64_t now = now_ms();
    uint32_t least = end > now ? (uint32_t)(end - now) : 0, ms;
    unsigned interest;
    nfds_t n = 0;
    size_t i;

    for (i = 0; i < COUNT(devices); i++) {
        const device *d = devices[i];

        if (!d->running) continue;
        dynalock_wants(&d->client, &interest, &ms);
        if (ms < least) least = ms;
        fds[n].fd = interest != 0 ? d->posix.fd : -1;
        fds[n].events = (interest & DYNALOCK_READ) != 0 ? POLLIN : 0;
        if ((interest & DYNALOCK_WRITE) != 0)
            fds[n].events = (short)(fds[n].events | POLLOUT);
        n++;
    }
    (void)poll(fds, n, (int)least);
}

SHARED void run_for(uint32_t ms)
{
    uint64_t end = now_ms() + ms;

    for (poll_all(); now_ms() < end; poll_all()) wait_all(end);
}

/* Until the operation's result is not this any longer; returns what it is. */
SHARED dynalock_outcome run_while(
    const dynalock_operation *operation, dynalock_outcome result)
{
    uint64_t end = now_ms() + PATIENCE_MS;

    for (poll_all(); dynalock_result(operation) == result; poll_all()) {
        if (now_ms() >= end) break;
        wait_all(end);
    }
    return dynalock_result(operation);
}

/* The server has closed the idle connection. */
SHARED void wait_for_end(const device *d)
{
    struct pollfd pfd;

    pfd.fd = d->posix.fd;
    pfd.events = POLLIN;
    assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
}

/* ---- around the tests ---- */

/* A group's set-up. */
SHARED int start_all(void **state)
{
    (void)state;
    assert_ok(dynalock_posix_anchors(&anchors, harness("CA")));
    return 0;
}

SHARED int before_each(void **state)
{
    (void)state;
    memset(&a, 0, sizeof a); /* not running; now_ms() needs its clock */
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    dynalock_posix_platform(&a.posix, &a.healthy);
    locks_used = 0;
    proxy("clear");
    return 0;
}

SHARED int after_each(void **state)
{
    unsigned long refused = counter("signature_failures");
    size_t i;

    (void)state;
    proxy("clear");
    for (i = 0; i < COUNT(devices); i++)
        if (devices[i]->running)
            (void)dynalock_client_close(&devices[i]->client, 500);
    assert_int_equal(refused, 0);
    return 0;
}

#endif
