/*
Guards a file by a lock: every write carries the lock's fence, and the file
refuses the fences of holders that have been replaced (fenced_file.h).

    cc -I.. guard.c -o guard -lbearssl
    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
        ./guard FILE WRITER PAUSE_S ENDPOINT [CA.pem]

The lock keeps two writers apart while both are awake. The fence also stops the
one that fell asleep between "I hold it" and "I write" and woke when the lock
was another's: no lock can do that alone. To see it, let one pause for longer
than its lease, and start another meanwhile that does not:

    ./guard /tmp/log slow 5 ... & sleep 1; ./guard /tmp/log quick 0 ...
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

static dynalock_outcome set_up(const char *endpoint, const char *ca_file)
{
    dynalock_config config = { 0 };
    dynalock_lock_options options = { 0 };
    dynalock_outcome rc;

    dynalock_posix_platform(&posix, &platform);
    dynalock_posix_credentials(&credentials);
    config.platform = &platform;
    config.credentials = &credentials;
    config.endpoint = endpoint;
    config.region = "us-east-1";
    config.table = "locks";
    config.lease_ms = 2000;
    if (ca_file != NULL) {
        rc = dynalock_posix_anchors(&anchors, ca_file);
        if (rc != DYNALOCK_OK) return rc;
        dynalock_tls_init(
            &tls, dynalock_tls_small(), anchors.list, anchors.count);
        config.tls = &tls;
    }
    rc = dynalock_client_init(&client, &config);
    options.key = "the file";
    return rc == DYNALOCK_OK ? dynalock_lock_init(&lock, &options) : rc;
}

int main(int count, char **arguments)
{
    const char *file = arguments[1], *writer = arguments[2];
    unsigned long long fence;
    dynalock_outcome rc;
    int written;

    if (count < 5) {
        fprintf(stderr, "guard FILE WRITER PAUSE_S ENDPOINT [CA.pem]\n");
        return 64;
    }
    rc = set_up(arguments[4], count > 5 ? arguments[5] : NULL);
    if (rc == DYNALOCK_OK) rc = dynalock_acquire(&client, &lock, 30000);
    if (rc != DYNALOCK_OK) {
        fprintf(stderr, "%s: %s\n", writer, dynalock_explain(rc));
        return 1;
    }
    fence = dynalock_fence(&lock);
    printf("%s: held, fence %llu\n", writer, fence);

    /* "I hold it" was true here; who knows what it is when we wake? */
    (void)sleep((unsigned)strtoul(arguments[3], NULL, 10));
    written = fenced_write(file, fence, writer);
    printf("%s: write with fence %llu %s\n", writer, fence,
        written > 0    ? "accepted"
        : written == 0 ? "refused"
                       : "failed");

    rc = dynalock_release(&client, &lock);
    printf("%s: %s\n", writer, dynalock_explain(rc));
    return written > 0 ? 0 : 1;
}
