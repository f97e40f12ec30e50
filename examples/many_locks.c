/*
A hundred locks in one loop: no threads, no blocking call, four connections.

    cc -I.. many_locks.c -o many_locks -lbearssl
    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
        ./many_locks NAME SECONDS ENDPOINT [CA.pem]

Every lock is wanted from the start and kept for as long as the program runs;
dynalock_poll() of each client sends what is due, heartbeats first. After
SECONDS, or on SIGINT or SIGTERM, all that is held is given back. Nothing here
waits but poll(2); the longest step is one of TLS.
*/
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include <signal.h>
#include <stdio.h>

#define CLIENTS 4
#define LOCKS_EACH 25

/* One connection and the locks that share it. */
typedef struct line {
    dynalock_posix posix;
    dynalock_platform platform;
    dynalock_tls tls;
    dynalock_client client;
    dynalock_lock locks[LOCKS_EACH];
    char keys[LOCKS_EACH][16];
} line;

static line lines[CLIENTS];
static dynalock_anchors anchors;
static dynalock_credentials credentials;
static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static dynalock_outcome begin_lock(line *l, int number, int i)
{
    dynalock_lock_options options = { 0 };
    dynalock_outcome rc;

    (void)snprintf(
        l->keys[i], sizeof l->keys[i], "valve-%02d", number * LOCKS_EACH + i);
    options.key = l->keys[i];
    rc = dynalock_lock_init(&l->locks[i], &options);
    if (rc != DYNALOCK_OK) return rc;
    rc = dynalock_start_acquire(&l->client, &l->locks[i], DYNALOCK_FOREVER);
    return rc == DYNALOCK_AGAIN ? DYNALOCK_OK : rc;
}

static dynalock_outcome begin_line(
    line *l, int number, const char *owner, const char *endpoint, int secure)
{
    dynalock_config config = { 0 };
    dynalock_outcome rc;
    int i;

    dynalock_posix_platform(&l->posix, &l->platform);
    config.platform = &l->platform;
    config.credentials = &credentials;
    config.endpoint = endpoint;
    config.region = "us-east-1";
    config.table = "locks";
    config.owner = owner;
    config.lease_ms = 6000;
    if (secure) {
        dynalock_tls_init(
            &l->tls, dynalock_tls_small(), anchors.list, anchors.count);
        config.tls = &l->tls;
    }
    rc = dynalock_client_init(&l->client, &config);
    for (i = 0; i < LOCKS_EACH && rc == DYNALOCK_OK; i++)
        rc = begin_lock(l, number, i);
    return rc;
}

/* Sleeps until a connection is ready or something is due. */
static void sleep_until_due(uint64_t left)
{
    struct pollfd fds[CLIENTS];
    uint32_t least = left < 1000 ? (uint32_t)left : 1000, ms;
    unsigned interest;
    int i;

    for (i = 0; i < CLIENTS; i++) {
        dynalock_wants(&lines[i].client, &interest, &ms);
        if (ms < least) least = ms;
        fds[i].fd = interest != 0 ? lines[i].posix.fd : -1;
        fds[i].events = 0;
        if ((interest & DYNALOCK_READ) != 0) fds[i].events |= POLLIN;
        if ((interest & DYNALOCK_WRITE) != 0) fds[i].events |= POLLOUT;
    }
    (void)poll(fds, CLIENTS, (int)least);
}

static int count_held(void)
{
    int held = 0, i, k;

    for (i = 0; i < CLIENTS; i++)
        for (k = 0; k < LOCKS_EACH; k++)
            held += dynalock_remaining_ms(
                        &lines[i].client, &lines[i].locks[k]) > 0;
    return held;
}

static void live(const char *name, uint64_t ms)
{
    const dynalock_platform *clock = &lines[0].platform;
    uint64_t end = clock->monotonic_ms(clock->context) + ms, now;
    int told = -1, held, i;

    while ((now = clock->monotonic_ms(clock->context)) < end && !stopping) {
        for (i = 0; i < CLIENTS; i++) (void)dynalock_poll(&lines[i].client);
        held = count_held();
        if (held != told) printf("%s holds %d\n", name, held);
        told = held;
        sleep_until_due(end - now);
    }
}

int main(int count, char **arguments)
{
    const char *ca_file = count > 4 ? arguments[4] : NULL;
    dynalock_outcome rc = DYNALOCK_OK;
    int i, failures = 0;

    if (count < 4) {
        fprintf(stderr, "many_locks NAME SECONDS ENDPOINT [CA.pem]\n");
        return 64;
    }
    (void)signal(SIGINT, stop);
    (void)signal(SIGTERM, stop);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    dynalock_posix_credentials(&credentials);
    if (ca_file != NULL) rc = dynalock_posix_anchors(&anchors, ca_file);
    for (i = 0; i < CLIENTS && rc == DYNALOCK_OK; i++)
        rc = begin_line(
            &lines[i], i, arguments[1], arguments[3], ca_file != NULL);
    if (rc != DYNALOCK_OK) {
        fprintf(stderr, "%s\n", dynalock_explain(rc));
        return 1;
    }
    live(arguments[1], 1000 * strtoul(arguments[2], NULL, 10));
    for (i = 0; i < CLIENTS; i++)
        failures +=
            dynalock_client_close(&lines[i].client, 5000) != DYNALOCK_OK;
    printf("%s has given all back%s\n", arguments[1],
        failures != 0 ? ", but for what is unanswered" : "");
    return failures != 0;
}
