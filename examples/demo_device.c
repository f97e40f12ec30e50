/*
A device of `make demo`: takes a lock, works under it, gives it back.

    demo_device NAME ENDPOINT CA.pem FILE LEASE_MS WAIT_MS WORK_MS

It prints one line for everything that happens. Its work is to write to FILE
with its fence (fenced_file.h). When it learns that the lock is lost it tries
one more write all the same, as a program would that did not look: the file
must refuse it. Exit status: 0 = worked and released, 3 = lost the lock and the
late write was refused, 1 = anything else.
*/
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include "fenced_file.h"

static dynalock_posix posix;
static dynalock_platform platform;
static dynalock_anchors anchors;
static dynalock_tls tls;
static dynalock_credentials credentials;
static dynalock_client client;
static dynalock_lock lock;

static const char *name, *file;
static char holder[DYNALOCK_OWNER_SIZE];

static int fail(const char *what, dynalock_outcome rc)
{
    printf("failed %s: %s (%s)\n", what, dynalock_explain(rc),
        client.detail.message);
    return 1;
}

static dynalock_outcome set_up(char **arguments)
{
    dynalock_config config;
    dynalock_lock_options options;
    dynalock_outcome rc;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    dynalock_posix_platform(&posix, &platform);
    dynalock_posix_credentials(&credentials);
    rc = dynalock_posix_anchors(&anchors, arguments[3]);
    if (rc != DYNALOCK_OK) return rc;
    dynalock_tls_init(&tls, dynalock_tls_small(), anchors.list, anchors.count);
    config.platform = &platform;
    config.credentials = &credentials;
    config.tls = &tls;
    config.endpoint = arguments[2];
    config.region = "us-east-1";
    config.table = "locks";
    config.owner = name;
    config.lease_ms = (uint32_t)strtoul(arguments[5], NULL, 10);
    config.poll_ms = 250;
    rc = dynalock_client_init(&client, &config);
    if (rc != DYNALOCK_OK) return rc;
    options.key = "site-leader";
    return dynalock_lock_init(&lock, &options);
}

/* Polls, and sleeps until there is more to do, but not longer than ms. */
static void step(uint32_t ms)
{
    unsigned interest;
    uint32_t wants;

    if (dynalock_poll(&client) < 0) return;
    dynalock_wants(&client, &interest, &wants);
    (void)platform.wait(&posix, interest, wants < ms ? wants : ms);
}

static dynalock_outcome take(uint32_t wait_ms)
{
    dynalock_outcome rc = dynalock_start_acquire(&client, &lock, wait_ms);

    if (rc != DYNALOCK_AGAIN) return rc;
    while ((rc = dynalock_result(&lock.operation)) == DYNALOCK_AGAIN) {
        step(100);
        if (strcmp(holder, client.detail.holder) == 0) continue;
        memcpy(holder, client.detail.holder, sizeof holder);
        printf("waits holder=%s lease_ms=%" PRIu32 "\n", holder,
            client.detail.holder_lease_ms);
    }
    return rc;
}

static int put(const char *what)
{
    int ok = fenced_write(file, dynalock_fence(&lock), name);

    printf("%s fence=%" PRIu64 " %s\n", what, dynalock_fence(&lock),
        ok > 0    ? "accepted"
        : ok == 0 ? "refused"
                  : "failed");
    return ok;
}

/* Works for so long, or until the lock is lost. */
static dynalock_outcome work(uint32_t work_ms)
{
    uint64_t end = platform.monotonic_ms(&posix) + work_ms;
    uint32_t left = dynalock_remaining_ms(&client, &lock), now_left;

    while (platform.monotonic_ms(&posix) < end) {
        step(50);
        now_left = dynalock_remaining_ms(&client, &lock);
        if (now_left == 0) return dynalock_renew(&client, &lock);
        if (now_left > left) printf("renewed left_ms=%" PRIu32 "\n", now_left);
        left = now_left;
    }
    return DYNALOCK_OK;
}

int main(int count, char **arguments)
{
    dynalock_outcome rc;

    if (count != 8) return 64;
    name = arguments[1];
    file = arguments[4];
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    rc = set_up(arguments);
    if (rc != DYNALOCK_OK) return fail("set-up", rc);
    rc = take((uint32_t)strtoul(arguments[6], NULL, 10));
    if (rc != DYNALOCK_OK) return fail("acquire", rc);
    printf("acquired owner=%s fence=%" PRIu64 " left_ms=%" PRIu32 "\n", name,
        dynalock_fence(&lock), dynalock_remaining_ms(&client, &lock));
    if (put("write") != 1) return 1;
    rc = work((uint32_t)strtoul(arguments[7], NULL, 10));
    if (rc != DYNALOCK_OK) {
        printf("lost outcome=%d %s\n", (int)rc, dynalock_explain(rc));
        return put("late-write") == 0 ? 3 : 1;
    }
    rc = dynalock_release(&client, &lock);
    if (rc != DYNALOCK_OK) return fail("release", rc);
    printf("released\n");
    return dynalock_client_close(&client, 1000) == DYNALOCK_OK ? 0 : 1;
}
