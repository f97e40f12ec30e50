/*
Counts what a device sends and receives for each operation over TLS, records
and handshakes included, as it would with AWS in eu-central-1: only the port
connects to a server of this host instead.

    wire PORT CA [SIZE]    prints "operation up down writes cpu" lines: bytes
                           of TCP payload, in how many writes they leave, and
                           seconds of CPU. With SIZE, that much data is stored
                           with the lock.
*/
#define DYNALOCK_TLS_BUFFER 1349 /* records of 1 KB, as on the boards */
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include "measure.h"

static dynalock_posix posix;
static dynalock_platform platform, plain;
static dynalock_anchors anchors;
static dynalock_tls tls;
static dynalock_client client;
static dynalock_lock lock;
static dynalock_record record;
static uint16_t port;
static unsigned long up, down, writes;

static int32_t open_here(void *context, const dynalock_peer *peer)
{
    dynalock_peer here = *peer;

    here.host = "localhost";
    here.port = port;
    return plain.open(context, &here);
}

static int32_t counting_write(void *context, const void *data, size_t size)
{
    int32_t n = plain.write(context, data, size);

    if (n > 0) up += (unsigned long)n;
    writes++;
    return n;
}

static int32_t counting_read(void *context, void *data, size_t size)
{
    int32_t n = plain.read(context, data, size);

    if (n > 0) down += (unsigned long)n;
    return n;
}

static void check(dynalock_outcome outcome)
{
    if (outcome != DYNALOCK_OK) fail(dynalock_explain(outcome));
}

static void open_client(const char *ca)
{
    static const dynalock_credentials credentials = { "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };
    dynalock_config config;
    dynalock_lock_options options;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    dynalock_posix_platform(&posix, &platform);
    plain = platform;
    platform.open = open_here;
    platform.write = counting_write;
    platform.read = counting_read;
    check(dynalock_posix_anchors(&anchors, ca));
    dynalock_tls_init(&tls, dynalock_tls_small(), anchors.list, anchors.count);
    config.platform = &platform;
    config.credentials = &credentials;
    config.tls = &tls;
    config.region = "eu-central-1";
    config.table = "dynalock";
    options.key = "site-leader";
    check(dynalock_client_init(&client, &config));
    check(dynalock_lock_init(&lock, &options));
}

static void begin(void)
{
    up = down = writes = 0;
    start_measuring();
}

static void print_bytes(const char *operation)
{
    printf("%s %lu %lu %lu %.6f\n", operation, up, down, writes,
        cpu_seconds() - cpu_start);
    begin();
}

/* Nothing is sent in it: the stream alone is opened, then closed. */
static void count_handshake(const char *name)
{
    int32_t rc;

    do {
        rc = client.stream(DL_STREAM_OPEN).open(&client);
        if (rc < 0) fail(name);
        if (rc != 0)
            (void)platform.wait(
                platform.context, client.exchange.interest, 1000);
    } while (rc != 0);
    print_bytes(name);
    client.stream(DL_STREAM_CLOSE).close(&client);
    begin();
}

static void count_call(const char *operation, dynalock_outcome outcome)
{
    check(outcome);
    print_bytes(operation);
}

static void count_handshakes(void)
{
    uint8_t session[32];

    begin();
    count_handshake("handshake");
    memcpy(session, tls.session.session_id, sizeof session);
    (void)platform.wait(platform.context, 0, 300); /* the server closes, too */
    count_handshake("resumption");
    if (memcmp(session, tls.session.session_id, sizeof session) != 0)
        fail("the session was not resumed");
}

int main(int argc, char **argv)
{
    static uint8_t data[DYNALOCK_DATA_MOST];
    dynalock_name name;

    if (argc < 3) fail("usage: wire PORT CA [SIZE]");
    port = (uint16_t)strtoul(argv[1], NULL, 10);
    memset(&name, 0, sizeof name);
    name.key = "site-leader";
    open_client(argv[2]);
    count_handshakes();
    check(dynalock_acquire(&client, &lock, 0));
    check(dynalock_release(&client, &lock));
    if (argc > 3)
        check(dynalock_set_data(
            &lock, data, (uint32_t)strtoul(argv[3], NULL, 10)));
    begin();
    count_call("acquire", dynalock_acquire(&client, &lock, 0));
    count_call("renew", dynalock_renew(&client, &lock));
    count_call("read", dynalock_read(&client, &name, &record));
    count_call("release", dynalock_release(&client, &lock));
    return 0;
}
