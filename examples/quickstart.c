/* The program of the manual: waits up to 30 s for a lock on a real table.

     cc quickstart.c -o quickstart -lbearssl
     AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
         ./quickstart REGION TABLE KEY [CA.pem]                              */
#define _DEFAULT_SOURCE
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include <stdio.h>

static dynalock_posix posix;
static dynalock_platform platform;
static dynalock_anchors anchors;
static dynalock_tls tls;
static dynalock_credentials credentials;
static dynalock_client client;
static dynalock_lock lock;

static int fail(dynalock_outcome rc)
{
    fprintf(stderr, "%s %s\n", dynalock_explain(rc), client.detail.message);
    return 1;
}

int main(int count, char **arguments)
{
    const char *ca = "/etc/ssl/certs/ca-certificates.crt";
    dynalock_config config = { 0 };
    dynalock_lock_options options = { 0 };
    dynalock_outcome rc;

    if (count < 4) return fail(DYNALOCK_BAD_ARGUMENT);
    if (count > 4) ca = arguments[4];
    dynalock_posix_platform(&posix, &platform);
    dynalock_posix_credentials(&credentials);
    rc = dynalock_posix_anchors(&anchors, ca);
    if (rc != DYNALOCK_OK) return fail(rc);
    dynalock_tls_init(&tls, dynalock_tls_wide(), anchors.list, anchors.count);
    config.platform = &platform;
    config.credentials = &credentials;
    config.tls = &tls;
    config.region = arguments[1];
    config.table = arguments[2];
    rc = dynalock_client_init(&client, &config);
    if (rc != DYNALOCK_OK) return fail(rc);
    options.key = arguments[3];
    rc = dynalock_lock_init(&lock, &options);
    if (rc != DYNALOCK_OK) return fail(rc);

    rc = dynalock_acquire(&client, &lock, 30000);
    if (rc != DYNALOCK_OK) return fail(rc);
    printf("held, fence %llu\n", (unsigned long long)dynalock_fence(&lock));
    rc = dynalock_release(&client, &lock);
    return rc == DYNALOCK_OK ? 0 : fail(rc);
}
