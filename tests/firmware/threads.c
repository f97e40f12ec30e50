/*
Two threads share a client over examples/firmware/port_sockets_threads.c: one
only polls; the other holds a lock for ten leases without ever renewing it, and
then takes and gives back ROUNDS times.

    threads ENDPOINT ROUNDS
*/
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include "anchors.h"
#include "port_sockets_threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LEASE_MS 600
#define LEASES 10
#define LOOK_MS 20

static port_sockets port;
static dynalock_platform platform;
static dynalock_tls tls;
static dynalock_client client;
static dynalock_lock lock;
static int stopping; /* under the mutex */
static const dynalock_credentials credentials = { "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };

static void require(int truth, const char *what, dynalock_outcome rc)
{
    if (truth) return;
    printf("failed: %s: %s\n", what, dynalock_explain(rc));
    exit(1);
}

static int is_stopping(int now)
{
    platform.enter(&port);
    stopping |= now;
    now = stopping;
    platform.leave(&port);
    return now;
}

static void *heartbeat(void *unused)
{
    while (!is_stopping(0)) {
        unsigned interest;
        uint32_t ms;

        (void)dynalock_poll(&client);
        dynalock_wants(&client, &interest, &ms);
        (void)platform.wait(&port, interest, ms);
    }
    return unused;
}

static void set_up(const char *endpoint)
{
    dynalock_config config = { 0 };
    dynalock_lock_options options = { 0 };
    dynalock_outcome rc;

    require(port_sockets_platform(&port, &platform) == 0, "port", DYNALOCK_OK);
    dynalock_tls_init(
        &tls, dynalock_tls_small(), anchors, sizeof anchors / sizeof *anchors);
    config.platform = &platform;
    config.credentials = &credentials;
    config.tls = &tls;
    config.endpoint = endpoint;
    config.region = "us-east-1";
    config.table = "locks";
    config.lease_ms = LEASE_MS;
    rc = dynalock_client_init(&client, &config);
    require(rc == DYNALOCK_OK, "client_init", rc);
    options.key = "site-leader";
    rc = dynalock_lock_init(&lock, &options);
    require(rc == DYNALOCK_OK, "lock_init", rc);
}

static void hold(void)
{
    struct timespec pause = { 0, LOOK_MS * 1000000 };
    dynalock_outcome rc = dynalock_acquire(&client, &lock, 5000);
    int i;

    require(rc == DYNALOCK_OK, "acquire", rc);
    for (i = 0; i < LEASES * LEASE_MS / LOOK_MS; i++) {
        rc = dynalock_check(&client, &lock);
        require(rc == DYNALOCK_OK, "still held", rc);
        (void)nanosleep(&pause, NULL);
    }
    rc = dynalock_release(&client, &lock);
    require(rc == DYNALOCK_OK, "release", rc);
}

int main(int count, char **arguments)
{
    pthread_t thread;
    dynalock_outcome rc;
    long i, rounds;

    if (count != 3) return 64;
    rounds = strtol(arguments[2], NULL, 10);
    set_up(arguments[1]);
    if (pthread_create(&thread, NULL, heartbeat, NULL) != 0) return 1;
    hold();
    for (i = 0; i < rounds; i++) {
        rc = dynalock_acquire(&client, &lock, 5000);
        require(rc == DYNALOCK_OK, "acquire", rc);
        rc = dynalock_release(&client, &lock);
        require(rc == DYNALOCK_OK, "release", rc);
    }
    (void)is_stopping(1);
    (void)pthread_join(thread, NULL);
    rc = dynalock_client_close(&client, 1000);
    require(rc == DYNALOCK_OK, "close", rc);
    printf("%d leases, %ld rounds\n", LEASES, rounds);
    return 0;
}
