/*
A lock with what AWS users have on a host: keys from the environment, a profile,
a container or the EC2 instance; region and endpoint from the same places;
Amazon's roots, or AWS_CA_BUNDLE.

    aws TABLE KEY
*/
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include <stdio.h>

static dynalock_posix posix;
static dynalock_platform platform;
static dynalock_posix_aws aws;
static dynalock_provider provider;
static char memory[16384]; /* two sets of keys; a token has about 1 KB */
static dynalock_anchors anchors;
static dynalock_tls tls;
static dynalock_client client;
static dynalock_lock lock;

static int fail(dynalock_outcome outcome)
{
    fprintf(stderr, "%s\n%s\n%s\n", dynalock_explain(outcome),
        client.detail.message, aws.report);
    return 1;
}

/* Trusts what the bundle says, or Amazon. */
static dynalock_outcome trust(void)
{
    if (aws.ca_bundle != NULL)
        return dynalock_posix_anchors(&anchors, aws.ca_bundle);
    anchors.count = dynalock_amazon_anchors(anchors.list);
    return DYNALOCK_OK;
}

static dynalock_outcome start(const char *table, const char *key)
{
    dynalock_config config = { 0 };
    dynalock_lock_options options = { 0 };
    dynalock_outcome rc;

    dynalock_posix_platform(&posix, &platform);
    rc = dynalock_posix_load(&aws);
    if (rc == DYNALOCK_OK) rc = trust();
    if (rc == DYNALOCK_OK)
        rc = dynalock_provider_init(
            &provider, dynalock_source_posix(), &aws, memory, sizeof memory);
    if (rc != DYNALOCK_OK) return rc;
    dynalock_tls_init(&tls, dynalock_tls_wide(), anchors.list, anchors.count);
    config.platform = &platform;
    config.credentials = &provider.credentials;
    config.region = aws.region;
    config.endpoint = aws.endpoint;
    config.table = table;
    if (aws.endpoint == NULL || strncmp(aws.endpoint, "https:", 6) == 0)
        config.tls = &tls;
    options.key = key;
    rc = dynalock_client_init(&client, &config);
    if (rc == DYNALOCK_OK) rc = dynalock_set_provider(&client, &provider);
    if (rc == DYNALOCK_OK) rc = dynalock_lock_init(&lock, &options);
    return rc;
}

int main(int argc, char **argv)
{
    dynalock_outcome rc;

    if (argc != 3) return fprintf(stderr, "usage: aws TABLE KEY\n"), 2;
    rc = start(argv[1], argv[2]);
    if (rc == DYNALOCK_OK) rc = dynalock_acquire(&client, &lock, 30000);
    if (rc != DYNALOCK_OK) return fail(rc);
    printf("held, fence %llu\n", (unsigned long long)dynalock_fence(&lock));
    return dynalock_client_close(&client, 5000) == DYNALOCK_OK ? 0 : 1;
}
