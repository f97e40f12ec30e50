/*
Does what a lock can do, one thing after the other, for tests/capacity.py to
count what each sends. The clock leaps over every sleep, an answer takes no
time by it, and entropy is a fixed sequence: each run sends the same requests.

    capacity MEASURED-URL DIRECT-URL

What is to be counted goes to the first, what only sets the scene to the
second. After each thing, "TIMES NAME" is printed and a line awaited: what was
sent since the last one is NAME's, done TIMES times. NAME "-" is nobody's.
*/
#define DYNALOCK_NO_TLS
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include "repeatable.h"

#include <stdio.h>

#define LEASE_MS 20000
#define HOUR_MS 3600000u
#define TAKEOVERS 50
#define ANSWER_REAL_MS 10000
#define MOST_REAL_S 120

typedef struct gateway {
    dynalock_posix posix;
    dynalock_platform platform;
    dynalock_client client;
} gateway;

static gateway measured; /* as a device is configured by default */
static gateway patient;  /* measured too; waits without reads */
static gateway holder;   /* renews what others wait for */
static gateway mortal;   /* takes locks and does not renew them */
static gateway *const gateways[] = { &measured, &patient, &holder, &mortal };
#define GATEWAYS (sizeof gateways / sizeof gateways[0])

static uint64_t now_ms = 1000;

static uint64_t leaping_monotonic_ms(void *context)
{
    (void)context;
    return now_ms;
}

static int64_t leaping_unix_ms(void *context)
{
    (void)context;
    return INT64_C(1735689600000) + (int64_t)now_ms; /* from 2025 on */
}

/* ---- running ---- */

static void fail(const char *why)
{
    fprintf(stderr, "capacity: %s\n", why);
    exit(1);
}

static void expect(dynalock_outcome outcome, dynalock_outcome expected)
{
    if (outcome == expected) return;
    fprintf(stderr, "expected: %s\n", dynalock_explain(expected));
    fail(dynalock_explain(outcome));
}

/* Whether somebody waits for a socket; then until one is ready. */
static int wait_for_sockets(void)
{
    struct pollfd sockets[GATEWAYS];
    unsigned interest;
    uint32_t ms;
    size_t i;
    int busy = 0;

    for (i = 0; i < GATEWAYS; i++) {
        dynalock_wants(&gateways[i]->client, &interest, &ms);
        sockets[i].fd = interest != 0 ? gateways[i]->posix.fd : -1;
        sockets[i].events = 0;
        if ((interest & DYNALOCK_READ) != 0) sockets[i].events |= POLLIN;
        if ((interest & DYNALOCK_WRITE) != 0) sockets[i].events |= POLLOUT;
        busy |= interest != 0;
    }
    if (busy && poll(sockets, GATEWAYS, ANSWER_REAL_MS) <= 0)
        fail("no answer");
    return busy;
}

/* To the next moment at which somebody has something to do. */
static void leap(uint64_t most)
{
    uint64_t next = most;
    unsigned interest;
    uint32_t ms;
    size_t i;

    for (i = 0; i < GATEWAYS; i++) {
        dynalock_wants(&gateways[i]->client, &interest, &ms);
        if (now_ms + ms < next) next = now_ms + ms;
    }
    now_ms = next;
}

/* Until the operation has ended (NULL: none) or the moment has come, and every
   request is answered. */
static void run_until(const dynalock_operation *operation, uint64_t moment)
{
    size_t i;

    for (;;) {
        for (i = 0; i < GATEWAYS; i++)
            (void)dynalock_poll(&gateways[i]->client);
        if (wait_for_sockets()) continue;
        if (operation != NULL && dynalock_result(operation) != DYNALOCK_AGAIN)
            return;
        if (now_ms >= moment) return;
        leap(moment);
    }
}

static void pass(uint32_t ms)
{
    run_until(NULL, now_ms + ms);
}

static void finish(dynalock_outcome started,
    const dynalock_operation *operation, dynalock_outcome expected)
{
    expect(started, DYNALOCK_AGAIN);
    run_until(operation, UINT64_MAX);
    expect(dynalock_result(operation), expected);
}

static void count(int times, const char *name)
{
    char line[8];

    printf("%d %s\n", times, name);
    if (fflush(stdout) != 0 || fgets(line, sizeof line, stdin) == NULL)
        fail("nobody counts");
}

/* ---- gateways and locks ---- */

static void open_gateway(
    gateway *of, const char *url, const char *owner, uint32_t poll_ms)
{
    static const dynalock_credentials credentials = { "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };
    dynalock_config config;

    memset(&config, 0, sizeof config);
    dynalock_posix_platform(&of->posix, &of->platform);
    of->platform.monotonic_ms = leaping_monotonic_ms;
    of->platform.unix_ms = leaping_unix_ms;
    of->platform.entropy = repeatable_entropy;
    config.platform = &of->platform;
    config.credentials = &credentials;
    config.region = "us-east-1";
    config.endpoint = url;
    config.table = "locks";
    config.owner = owner;
    config.poll_ms = poll_ms;
    config.lease_ms = LEASE_MS;
    config.manual_renew = of == &mortal;
    expect(dynalock_client_init(&of->client, &config), DYNALOCK_OK);
}

static void ready(dynalock_lock *lock, const char *key)
{
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = key;
    expect(dynalock_lock_init(lock, &options), DYNALOCK_OK);
}

static void acquire(gateway *of, dynalock_lock *lock, uint32_t wait_ms)
{
    finish(dynalock_start_acquire(&of->client, lock, wait_ms),
        &lock->operation, DYNALOCK_OK);
}

static void renew(gateway *of, dynalock_lock *lock)
{
    finish(dynalock_start_renew(&of->client, lock), &lock->operation,
        DYNALOCK_OK);
}

static void release(gateway *of, dynalock_lock *lock)
{
    finish(dynalock_start_release(&of->client, lock), &lock->operation,
        DYNALOCK_OK);
}

/* ---- what is counted ---- */

static void count_simple_calls(void)
{
    static dynalock_record record;
    dynalock_name name = { "simple", NULL, NULL };
    dynalock_lock lock;

    ready(&lock, "simple");
    acquire(&measured, &lock, 0);
    count(1, "acquire: the key is free");
    renew(&measured, &lock);
    count(1, "renew");
    finish(dynalock_start_read(&measured.client, &name, &record),
        &record.operation, DYNALOCK_OK);
    if (record.status != DYNALOCK_LOCKED) fail("not locked");
    count(1, "read");
    release(&measured, &lock);
    count(1, "release");
    acquire(&measured, &lock, 0);
    count(1, "acquire: the key is free");
    release(&measured, &lock);
    count(1, "release");
    pass(HOUR_MS + 1000);
    finish(dynalock_start_tidy(&measured.client, &name, &record),
        &record.operation, DYNALOCK_OK);
    count(1, "tidy");
}

/* A renewal writes the whole item, in the table's eyes. */
static void count_data(void)
{
    static uint8_t data[1500];
    dynalock_lock lock;

    ready(&lock, "data");
    expect(dynalock_set_data(&lock, data, sizeof data), DYNALOCK_OK);
    acquire(&measured, &lock, 0);
    count(1, "-");
    renew(&measured, &lock);
    count(1, "renew, with 1,500 bytes of data");
    release(&measured, &lock);
    count(1, "-");
}

static void count_heartbeat(void)
{
    dynalock_lock lock;

    ready(&lock, "held");
    acquire(&measured, &lock, 0);
    count(1, "-");
    pass(HOUR_MS);
    expect(dynalock_result(&lock.operation), DYNALOCK_OK);
    count(1, "heartbeat, an hour");
    release(&measured, &lock);
    count(1, "-");
}

/* What follows the first write, which is counted as a try. */
static void count_waiting(gateway *of, const char *name)
{
    dynalock_lock lock;

    ready(&lock, "busy");
    expect(dynalock_start_acquire(&of->client, &lock, DYNALOCK_FOREVER),
        DYNALOCK_AGAIN);
    pass(1);
    count(1, "-");
    pass(HOUR_MS);
    expect(dynalock_result(&lock.operation), DYNALOCK_AGAIN);
    count(60, name);
    dynalock_cancel(&of->client, &lock.operation);
    expect(dynalock_result(&lock.operation), DYNALOCK_CANCELLED);
}

static void count_busy(void)
{
    dynalock_lock held, lock;

    ready(&held, "busy");
    ready(&lock, "busy");
    acquire(&holder, &held, 0);
    finish(dynalock_start_acquire(&measured.client, &lock, 0), &lock.operation,
        DYNALOCK_BUSY);
    count(1, "acquire: busy, one try");
    count_waiting(&measured, "wait, a minute");
    count_waiting(&patient, "wait without reads, a minute");
    expect(dynalock_result(&held.operation), DYNALOCK_OK);
    release(&holder, &held);
}

/* The whole call, from the first write to the grant. */
static void count_takeovers(gateway *of, const char *name)
{
    dynalock_lock dead, lock;
    int i;

    ready(&lock, "dead");
    for (i = 0; i < TAKEOVERS; i++) {
        ready(&dead, "dead");
        acquire(&mortal, &dead, 0);
        acquire(of, &lock, DYNALOCK_FOREVER);
        count(1, name);
        expect(dynalock_result(&dead.operation), DYNALOCK_LOST_EXPIRED);
        release(of, &lock);
        count(1, "-");
    }
}

static void count_reboot(const char *url)
{
    dynalock_lock lock;
    dynalock_blob blob;

    ready(&lock, "rebooted");
    acquire(&measured, &lock, 0);
    expect(dynalock_save(&measured.client, &lock, &blob), DYNALOCK_OK);
    measured.platform.close(measured.platform.context);
    count(1, "-");
    open_gateway(&measured, url, "gateway-1", 0);
    ready(&lock, "rebooted");
    expect(dynalock_restore(&measured.client, &lock, &blob), DYNALOCK_OK);
    acquire(&measured, &lock, 0);
    count(1, "acquire after restore");
    release(&measured, &lock);
    count(1, "-");
}

int main(int argc, char **argv)
{
    if (argc != 3) fail("usage: capacity MEASURED-URL DIRECT-URL");
    (void)alarm(MOST_REAL_S);
    open_gateway(&measured, argv[1], "gateway-1", 0);
    open_gateway(&patient, argv[1], "gateway-2", DYNALOCK_FOREVER);
    open_gateway(&holder, argv[2], "gateway-3", 0);
    open_gateway(&mortal, argv[2], "gateway-4", 0);
    count_simple_calls();
    count_reboot(argv[1]);
    count_data();
    count_heartbeat();
    count_busy();
    count_takeovers(&measured, "take over a dead lease of 20 s");
    count_takeovers(&patient, "take it over without reads");
    return 0;
}
