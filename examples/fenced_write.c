/*
A holder that overslept is refused by what it writes to.

    cc -I.. fenced_write.c -o fenced_write -lbearssl
    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
        ./fenced_write ENDPOINT [CA.pem]

Two devices, here in one program, want to set the same valve. The valve's item,
in a table of its own, remembers the highest fence that wrote to it. The slow
device takes the lock, makes up its mind, and sleeps for longer than its lease.
Meanwhile the quick one takes the lock and writes. When the slow one wakes up it
writes without a look at its lock, as every program does that is stopped between
looking and writing: the item refuses it.
*/
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include <stdio.h>
#include <stdlib.h>

#define TABLE "valves"
#define LEASE_MS 2000

typedef struct device {
    const char *name;
    dynalock_posix posix;
    dynalock_platform platform;
    dynalock_tls tls;
    dynalock_client client;
    dynalock_lock lock;
    char fence[DYNALOCK_FENCE_CLAUSE_SIZE];
    char body[512];
} device;

static dynalock_anchors anchors;
static dynalock_credentials credentials;
static device slow, quick;

static void check(const device *at, const char *what, dynalock_outcome rc)
{
    if (rc == DYNALOCK_OK) return;
    fprintf(stderr, "%s: %s: %s %s\n", at->name, what, dynalock_explain(rc),
        at->client.detail.message);
    exit(1);
}

static void set_up(device *at, const char *name, const char *endpoint)
{
    dynalock_config config = { 0 };
    dynalock_lock_options options = { 0 };

    at->name = name;
    dynalock_posix_platform(&at->posix, &at->platform);
    config.platform = &at->platform;
    config.credentials = &credentials;
    config.endpoint = endpoint;
    config.region = "us-east-1";
    config.table = "locks";
    config.owner = name;
    config.lease_ms = LEASE_MS;
    if (anchors.count != 0) {
        dynalock_tls_init(
            &at->tls, dynalock_tls_small(), anchors.list, anchors.count);
        config.tls = &at->tls;
    }
    check(at, "client", dynalock_client_init(&at->client, &config));
    options.key = "valve-7";
    check(at, "lock", dynalock_lock_init(&at->lock, &options));
}

/* The table of what is protected: like that of the locks. */
static void make_table(device *at)
{
    static dynalock_table memory;

    check(at, "table",
        dynalock_table_create(&at->client, TABLE, &memory, 60000));
}

/* Takes the lock and decides what to write. The fence is part of the write,
   from the moment that the lock was certainly held. */
static void decide(device *at, const char *position)
{
    unsigned long long fence;

    check(at, "acquire", dynalock_acquire(&at->client, &at->lock, 30000));
    check(at, "fence",
        dynalock_fence_clause(
            &at->client, &at->lock, at->fence, sizeof at->fence));
    fence = (unsigned long long)dynalock_fence(&at->lock);
    (void)snprintf(at->body, sizeof at->body,
        "{\"TableName\":\"" TABLE "\",\"Key\":{\"key\":{\"S\":\"valve-7\"}},"
        "\"UpdateExpression\":\"SET fence=:fence, pos=:pos, who=:who\","
        "%s,\":pos\":{\"S\":\"%s\"},\":who\":{\"S\":\"%s\"}}}",
        at->fence, position, at->name);
    printf("%s: held, fence %llu\n", at->name, fence);
}

static dynalock_outcome write_to_valve(device *at)
{
    dynalock_request request = { 0 };
    dynalock_outcome rc;

    request.target = "UpdateItem";
    request.body = at->body;
    rc = dynalock_call(&at->client, &request);
    printf("%s: %s\n", at->name,
        rc == DYNALOCK_OK          ? "written"
        : rc == DYNALOCK_CONDITION ? "refused, another has been here since"
                                   : dynalock_explain(rc));
    return rc;
}

int main(int count, char **arguments)
{
    dynalock_outcome late, in_time;

    if (count < 2) {
        fprintf(stderr, "fenced_write ENDPOINT [CA.pem]\n");
        return 64;
    }
    dynalock_posix_credentials(&credentials);
    if (count > 2 &&
        dynalock_posix_anchors(&anchors, arguments[2]) != DYNALOCK_OK) {
        fprintf(stderr, "%s: no certificates\n", arguments[2]);
        return 1;
    }
    set_up(&slow, "slow", arguments[1]);
    set_up(&quick, "quick", arguments[1]);
    make_table(&slow);

    decide(&slow, "open");
    /* ... and here it is stopped, while time goes on: nobody polls its client,
       so that its lease runs out, and the quick one waits for that */
    decide(&quick, "shut");
    in_time = write_to_valve(&quick);
    late = write_to_valve(&slow);

    (void)dynalock_client_close(&quick.client, 1000);
    (void)dynalock_client_close(&slow.client, 1000);
    return in_time == DYNALOCK_OK && late == DYNALOCK_CONDITION ? 0 : 1;
}
