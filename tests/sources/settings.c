/* Prints what dynalock.h takes from this host's environment and files, for
   tests/chain.py: settings, then the keys that the chain comes to. */
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include <stdio.h>

static dynalock_posix_aws aws;
static dynalock_posix port;
static dynalock_platform platform;
static dynalock_provider provider;
static dynalock_client client;
static dynalock_lock lock;
static char memory[16384];

static void print(const char *name, const char *value)
{
    if (value != NULL) printf("%s %s\n", name, value);
}

/* Who asks a port where nobody is has been given keys before. */
static dynalock_outcome ask(void)
{
    dynalock_config config;
    dynalock_lock_options options;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    if (dynalock_provider_init(&provider, dynalock_source_posix(), &aws,
            memory, sizeof memory) != DYNALOCK_OK)
        return DYNALOCK_BAD_ARGUMENT;
    dynalock_posix_platform(&port, &platform);
    config.platform = &platform;
    config.credentials = &provider.credentials;
    config.endpoint = "http://127.0.0.1:1";
    config.region = "us-east-1";
    config.table = "locks";
    config.attempts = 1;
    options.key = "k";
    if (dynalock_client_init(&client, &config) != DYNALOCK_OK ||
        dynalock_set_provider(&client, &provider) != DYNALOCK_OK ||
        dynalock_lock_init(&lock, &options) != DYNALOCK_OK)
        return DYNALOCK_BAD_ARGUMENT;
    return dynalock_acquire(&client, &lock, 0);
}

int main(void)
{
    dynalock_outcome rc = dynalock_posix_load(&aws);

    if (rc == DYNALOCK_OK) {
        print("region", aws.region);
        print("endpoint", aws.endpoint);
        print("bundle", aws.ca_bundle);
    } else {
        print("unread", aws.report);
    }
    rc = ask();
    if (rc == DYNALOCK_UNREACHABLE) {
        print("id", provider.credentials.key_id);
        print("secret", provider.credentials.secret);
        print("token", provider.credentials.token);
    } else {
        print("none", aws.report);
    }
    return 0;
}
