/*
Acquires and releases a lock over plain HTTP, as fast as it goes.

    cycles run URL N            prints "seconds cpu-seconds" of N cycles, after
                                WARM_UP others
    cycles record URL N FILE    writes the requests of WARM_UP + N cycles to
                                FILE, for tests/bench/replay.c
    cycles bytes URL            prints "operation up down" for one of each:
                                bytes of TCP payload
*/
#define DYNALOCK_NO_TLS
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include "measure.h"

static dynalock_posix posix;
static dynalock_platform platform, plain;
static dynalock_client client;
static dynalock_lock lock;
static dynalock_record record;
static unsigned long up, down;
static FILE *copy;

static int32_t counting_write(void *context, const void *data, size_t size)
{
    int32_t n = plain.write(context, data, size);

    if (n > 0) up += (unsigned long)n;
    if (n > 0 && copy != NULL && fwrite(data, 1, (size_t)n, copy) != (size_t)n)
        fail("the file cannot be written");
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

static void open_client(const char *url, const char *key)
{
    static dynalock_credentials credentials = { "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };
    dynalock_config config;
    dynalock_lock_options options;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    dynalock_posix_platform(&posix, &platform);
    config.platform = &platform;
    config.credentials = &credentials;
    config.region = "us-east-1";
    config.endpoint = url;
    config.table = "locks";
    config.owner = "host-17.example:4711";
    options.key = key;
    check(dynalock_client_init(&client, &config));
    check(dynalock_lock_init(&lock, &options));
}

static void count_bytes(void)
{
    plain = platform;
    platform.write = counting_write;
    platform.read = counting_read;
}

static void cycle(long n)
{
    for (; n > 0; n--) {
        check(dynalock_acquire(&client, &lock, 0));
        check(dynalock_release(&client, &lock));
    }
}

static void print_bytes(const char *operation, dynalock_outcome outcome)
{
    check(outcome);
    printf("%s %lu %lu\n", operation, up, down);
    up = down = 0;
}

static void count_each(const char *key)
{
    dynalock_name name;

    memset(&name, 0, sizeof name);
    name.key = key;
    count_bytes();
    cycle(1);
    up = down = 0;
    print_bytes("acquire", dynalock_acquire(&client, &lock, 0));
    print_bytes("renew", dynalock_renew(&client, &lock));
    print_bytes("read", dynalock_read(&client, &name, &record));
    print_bytes("release", dynalock_release(&client, &lock));
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";
    long n = argc > 3 ? strtol(argv[3], NULL, 10) : 0;

    if (strcmp(mode, "run") == 0 && argc == 4) {
        open_client(argv[2], "bench/dynalock");
        cycle(WARM_UP);
        start_measuring();
        cycle(n);
        print_measured();
    } else if (strcmp(mode, "record") == 0 && argc == 5) {
        open_client(argv[2], "bench/replayed");
        copy = fopen(argv[4], "wb");
        if (copy == NULL) fail("the file cannot be written");
        count_bytes();
        cycle(WARM_UP + n);
        if (fclose(copy) != 0) fail("the file cannot be written");
    } else if (strcmp(mode, "bytes") == 0 && argc == 3) {
        open_client(argv[2], "bench/dynalock");
        count_each("bench/dynalock");
    } else {
        fail("usage: cycles run|record|bytes URL [N [FILE]]");
    }
    return 0;
}
