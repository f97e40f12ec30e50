/* One device whose keys come from a source, for the programs that
   tests/sources.py runs. */
#ifndef SOURCES_DEVICE_H
#define SOURCES_DEVICE_H

#include "../conformance/support.h"

static dynalock_posix port;
static dynalock_platform platform;
static dynalock_tls tls;
static dynalock_posix_identity identity;
static dynalock_iot iot;
static dynalock_provider provider;
static char memory[16384];
static dynalock_client client;
static dynalock_lock lock;

SHARED const char *path_of(const char *name)
{
    static char path[2][256];
    static unsigned turn;

    turn = !turn;
    (void)snprintf(
        path[turn], sizeof path[turn], "%s/%s", harness("PKI"), name);
    return path[turn];
}

/* A client with a lock; the credentials are static, or a provider's. */
SHARED void begin_with(const dynalock_credentials *credentials,
    const char *endpoint, dynalock_tls_profile *profile)
{
    dynalock_config config;
    dynalock_lock_options options;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    memset(&anchors, 0, sizeof anchors);
    dynalock_posix_platform(&port, &platform);
    assert_ok(dynalock_posix_anchors(&anchors, harness("CA")));
    dynalock_tls_init(&tls, profile, anchors.list, anchors.count);
    config.platform = &platform;
    config.credentials = credentials;
    config.tls = strncmp(endpoint, "https", 5) == 0 ? &tls : NULL;
    config.endpoint = endpoint;
    config.region = "us-east-1";
    config.table = "locks";
    config.lease_ms = 4000;
    options.key = "sources";
    assert_ok(dynalock_client_init(&client, &config));
    assert_ok(dynalock_lock_init(&lock, &options));
}

SHARED void begin(dynalock_source source, void *context, const char *endpoint,
    dynalock_tls_profile *profile)
{
    assert_ok(dynalock_provider_init(
        &provider, source, context, memory, sizeof memory));
    begin_with(&provider.credentials, endpoint, profile);
    assert_ok(dynalock_set_provider(&client, &provider));
}

/* What AWS IoT's host is told: this certificate, that role. */
SHARED void prepare_iot(const char *device, const char *alias)
{
    char chain[64], key[64];

    (void)snprintf(chain, sizeof chain, "%s-chain.pem", device);
    (void)snprintf(key, sizeof key, "%s.key", device);
    assert_ok(
        dynalock_posix_load_identity(&identity, path_of(chain), path_of(key)));
    memset(&iot, 0, sizeof iot);
    iot.identity = &identity.identity;
    iot.host = "localhost";
    iot.port = (uint16_t)atoi(harness("IOT"));
    iot.role_alias = alias;
    iot.thing = device;
}

SHARED dynalock_outcome acquire(void)
{
    return dynalock_acquire(&client, &lock, 0);
}

SHARED void end(void)
{
    assert_ok(dynalock_client_close(&client, 5000));
}

SHARED void assert_works(void)
{
    assert_ok(acquire());
    assert_ok(dynalock_renew(&client, &lock));
    assert_ok(dynalock_release(&client, &lock));
    end();
}

/* Polls, as a device does, for so long; returns the least that was left. */
SHARED uint32_t hold_for(uint32_t ms)
{
    uint64_t start = dl_posix_monotonic_ms(&port);
    uint32_t left, least = UINT32_MAX, wait_ms;
    unsigned interest;

    while (dl_posix_monotonic_ms(&port) - start < ms) {
        (void)dynalock_poll(&client);
        dynalock_wants(&client, &interest, &wait_ms);
        (void)platform.wait(platform.context, interest, wait_ms);
        left = dynalock_remaining_ms(&client, &lock);
        assert_true(left > 0);
        if (left < least) least = left;
    }
    return least;
}

SHARED int has(const void *where, size_t size, const char *text)
{
    const char *at = (const char *)where;
    size_t i, n = strlen(text);

    for (i = 0; i + n <= size; i++)
        if (memcmp(at + i, text, n) == 0) return 1;
    return 0;
}

/* Asks the servers themselves: counters, or another state. */
SHARED const char *tell(const char *path)
{
    static char answer[8192];
    char request[128];
    int fd = dial((uint16_t)atoi(harness("HOSTS")));
    int n = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);

    send_all(fd, request, (size_t)n);
    receive_all(fd, answer, sizeof answer);
    assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    return answer;
}

SHARED long count(const char *name)
{
    const char *at = strstr(tell("/counts"), name);

    assert_non_null(at);
    return strtol(at + strlen(name) + 2, NULL, 10);
}

#endif
