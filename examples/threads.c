/*
One client for several threads: a heartbeat thread keeps every held lock alive
while the workers work, each under a lock of its own.

    cc -I.. threads.c -o threads -lbearssl -pthread
    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
        ./threads ROUNDS ENDPOINT [CA.pem]

What it takes: enter and leave, a mutex that the library holds for one step at
a time, and a wait that does not sleep for long, since another thread may have
taken the answer that it waits for. Workers ask dynalock_check(), which takes
the mutex, not dynalock_result(), which does not.
*/
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include <pthread.h>
#include <stdio.h>

#define WORKERS 3
#define LONGEST_SLEEP_MS 20

static dynalock_posix posix;
static dynalock_platform platform;
static dynalock_anchors anchors;
static dynalock_tls tls;
static dynalock_credentials credentials;
static dynalock_client client;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int stopping; /* under the mutex, as the socket is */
static long rounds;
static int32_t (*platform_wait)(void *, unsigned, uint32_t);

static void enter(void *context)
{
    (void)context;
    (void)pthread_mutex_lock(&mutex);
}

static void leave(void *context)
{
    (void)context;
    (void)pthread_mutex_unlock(&mutex);
}

/* The socket may be another one when we wake: then the poll was for nothing,
   and the next step looks anew. */
static int32_t wait_a_little(void *context, unsigned interest, uint32_t ms)
{
    dynalock_posix now;

    enter(context);
    now = *(dynalock_posix *)context;
    leave(context);
    now.stop = NULL;
    return platform_wait(
        &now, interest, ms < LONGEST_SLEEP_MS ? ms : LONGEST_SLEEP_MS);
}

static void *heartbeat(void *unused)
{
    int stop;

    do {
        unsigned interest;
        uint32_t ms;

        (void)dynalock_poll(&client);
        dynalock_wants(&client, &interest, &ms);
        (void)wait_a_little(&posix, interest, ms);
        enter(NULL);
        stop = stopping;
        leave(NULL);
    } while (!stop);
    return unused;
}

/* Holds for two leases, so that it takes heartbeats to be still held. */
static int work_under(dynalock_lock *lock, const char *key)
{
    struct timespec pause = { 0, 100000000 };
    int i;

    for (i = 0; i < 20; i++) {
        dynalock_outcome rc = dynalock_check(&client, lock);

        if (rc != DYNALOCK_OK) {
            printf("%s: %s\n", key, dynalock_explain(rc));
            return 0;
        }
        (void)nanosleep(&pause, NULL);
    }
    return 1;
}

static void *work(void *key)
{
    dynalock_lock lock;
    dynalock_lock_options options = { 0 };
    long round;

    options.key = (const char *)key;
    if (dynalock_lock_init(&lock, &options) != DYNALOCK_OK) return key;
    for (round = 0; round < rounds; round++) {
        dynalock_outcome rc = dynalock_acquire(&client, &lock, 10000);

        if (rc == DYNALOCK_OK && !work_under(&lock, options.key)) return key;
        if (rc == DYNALOCK_OK) rc = dynalock_release(&client, &lock);
        if (rc != DYNALOCK_OK) {
            printf("%s: %s\n", options.key, dynalock_explain(rc));
            return key;
        }
    }
    printf("%s: %ld rounds\n", options.key, rounds);
    return NULL;
}

static dynalock_outcome set_up(const char *endpoint, const char *ca_file)
{
    dynalock_config config = { 0 };
    dynalock_outcome rc;

    dynalock_posix_platform(&posix, &platform);
    dynalock_posix_credentials(&credentials);
    platform_wait = platform.wait;
    platform.enter = enter;
    platform.leave = leave;
    platform.wait = wait_a_little;
    config.platform = &platform;
    config.credentials = &credentials;
    config.endpoint = endpoint;
    config.region = "us-east-1";
    config.table = "locks";
    config.lease_ms = 1000;
    if (ca_file != NULL) {
        rc = dynalock_posix_anchors(&anchors, ca_file);
        if (rc != DYNALOCK_OK) return rc;
        dynalock_tls_init(
            &tls, dynalock_tls_small(), anchors.list, anchors.count);
        config.tls = &tls;
    }
    return dynalock_client_init(&client, &config);
}

int main(int count, char **arguments)
{
    static char keys[WORKERS][8] = { "pump", "valve", "heater" };
    pthread_t threads[WORKERS], beat;
    dynalock_outcome rc;
    void *failed;
    int i, failures = 0;

    if (count < 3) {
        fprintf(stderr, "threads ROUNDS ENDPOINT [CA.pem]\n");
        return 64;
    }
    rounds = strtol(arguments[1], NULL, 10);
    rc = set_up(arguments[2], count > 3 ? arguments[3] : NULL);
    if (rc != DYNALOCK_OK) {
        fprintf(stderr, "%s\n", dynalock_explain(rc));
        return 1;
    }
    if (pthread_create(&beat, NULL, heartbeat, NULL) != 0) return 1;
    for (i = 0; i < WORKERS; i++)
        if (pthread_create(&threads[i], NULL, work, keys[i]) != 0) return 1;
    for (i = 0; i < WORKERS; i++) {
        (void)pthread_join(threads[i], &failed);
        failures += failed != NULL;
    }
    enter(NULL);
    stopping = 1;
    leave(NULL);
    (void)pthread_join(beat, NULL);
    rc = dynalock_client_close(&client, 5000);
    return failures != 0 || rc != DYNALOCK_OK;
}
