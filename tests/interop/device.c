/*
Our side of `make interop`: one device on a table that others lock on too.

    device MODE name=value ...

    work    take the lock, work under the witness, give it back; until it says
            "stop" (see tests/interop.py)
    hold    take it and say so; give it back at the next line of input
    try     one try; say how it ended
    look    say what stands at the key
    group   take this key and the one in `second`, together; say so; give back

The values: endpoint, table, key, layout, owner, lease (ms), and perhaps
key_name, sort_name, sort, data, ttl, witness (a port), pause (ms). Each mode
prints lines of words that the driver reads. Exit status: 0 = as asked.
*/
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include <arpa/inet.h>
#include <stdio.h>

static dynalock_posix posix;
static dynalock_platform platform;
static dynalock_credentials credentials;
static dynalock_client client;
static dynalock_lock lock;
static dynalock_record record;
static FILE *witness;
static char **values;

static const char *value(const char *name, const char *otherwise)
{
    size_t size = strlen(name);
    char **at;

    for (at = values; *at != NULL; at++)
        if (strncmp(*at, name, size) == 0 && (*at)[size] == '=')
            return *at + size + 1;
    return otherwise;
}

static uint32_t number(const char *name, const char *otherwise)
{
    return (uint32_t)strtoul(value(name, otherwise), NULL, 10);
}

static dynalock_layout *layout(void)
{
    static const struct {
        const char *name;
        dynalock_layout *(*get)(void);
    } layouts[] = { { "standard", dynalock_standard },
        { "dynamolock", dynalock_for_dynamolock },
        { "dynalock_py", dynalock_for_dynalock_py },
        { "dynamo_dlm", dynalock_for_dynamo_dlm },
        { "chainsaws", dynalock_for_chainsaws },
        { "dynalock_go", dynalock_for_dynalock_go } };
    const char *name = value("layout", "standard");
    size_t i;

    for (i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (strcmp(layouts[i].name, name) == 0) return layouts[i].get();
    return NULL;
}

static int fail(const char *what, dynalock_outcome rc)
{
    printf("failed %s %d: %s (%s: %s)\n", what, (int)rc, dynalock_explain(rc),
        client.detail.type, client.detail.message);
    return 1;
}

/* ---- the lock ---- */

static dynalock_outcome set_up(void)
{
    dynalock_config config;
    dynalock_lock_options options;
    dynalock_outcome rc;
    const char *data = value("data", NULL);

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    dynalock_posix_platform(&posix, &platform);
    dynalock_posix_credentials(&credentials);
    config.platform = &platform;
    config.credentials = &credentials;
    config.endpoint = value("endpoint", NULL);
    config.region = "us-east-1";
    config.table = value("table", NULL);
    config.layout = layout();
    config.owner = value("owner", NULL);
    config.key_name = value("key_name", NULL);
    config.sort_key_name = value("sort_name", NULL);
    config.ttl_attribute = value("ttl", NULL);
    config.lease_ms = number("lease", "2000");
    config.lock_delay_ms = number("delay", "0");
    config.poll_ms = 20;
    rc = dynalock_client_init(&client, &config);
    if (rc != DYNALOCK_OK) return rc;
    options.key = value("key", NULL);
    options.sort_key = value("sort", NULL);
    rc = dynalock_lock_init(&lock, &options);
    if (rc != DYNALOCK_OK || data == NULL) return rc;
    return dynalock_set_data(&lock, data, (uint32_t)strlen(data));
}

/* Renews the lease for so long, or until it is lost. Whether it is held
   still. */
static int work(uint32_t ms)
{
    uint64_t end = platform.monotonic_ms(&posix) + ms, now;
    unsigned interest;
    uint32_t wants;

    while ((now = platform.monotonic_ms(&posix)) < end) {
        (void)dynalock_poll(&client);
        if (dynalock_remaining_ms(&client, &lock) == 0) return 0;
        dynalock_wants(&client, &interest, &wants);
        if (wants > end - now) wants = (uint32_t)(end - now);
        (void)platform.wait(&posix, interest, wants);
    }
    return dynalock_remaining_ms(&client, &lock) > 0;
}

/* ---- the witness ---- */

static FILE *connect_to_witness(void)
{
    struct sockaddr_in to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)number("witness", "0"));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        return NULL;
    return fdopen(fd, "r+");
}

/* Enters, works as long as it is told, adds one to the counter, leaves, and
   gives the lock back; or says why it cannot. */
static int work_once(int *stop)
{
    dynalock_outcome rc;
    char line[64];
    long counter;
    unsigned ms;

    if (fprintf(witness, "enter %llu\n",
            (unsigned long long)dynalock_fence(&lock)) < 0 ||
        fflush(witness) != 0 || fgets(line, sizeof line, witness) == NULL ||
        sscanf(line, "%ld %u", &counter, &ms) != 2)
        return fail("witness", DYNALOCK_OK);
    fseek(witness, 0, SEEK_CUR); /* from reading to writing */
    rc = work(ms) ? DYNALOCK_OK : dynalock_check(&client, &lock);
    if (rc == DYNALOCK_OK) fprintf(witness, "leave %ld\n", counter + 1);
    else fprintf(witness, "lost %d\n", (int)rc);
    if (fflush(witness) != 0 || fgets(line, sizeof line, witness) == NULL)
        return fail("witness", DYNALOCK_OK);
    *stop = strcmp(line, "stop\n") == 0;
    fseek(witness, 0, SEEK_CUR);
    if (rc != DYNALOCK_OK) return 0;
    rc = dynalock_release(&client, &lock);
    return rc == DYNALOCK_OK ? 0 : fail("release", rc);
}

static int mode_work(void)
{
    dynalock_outcome rc;
    int stop = 0;

    witness = connect_to_witness();
    if (witness == NULL) return fail("witness", DYNALOCK_OK);
    fprintf(witness, "device %ld\n", (long)getpid());
    while (!stop) {
        rc = dynalock_acquire(&client, &lock, DYNALOCK_FOREVER);
        if (rc != DYNALOCK_OK) return fail("acquire", rc);
        if (work_once(&stop) != 0) return 1;
        (void)platform.wait(&posix, 0, number("pause", "60"));
    }
    return 0;
}

/* ---- the other modes ---- */

static int mode_hold(void)
{
    struct pollfd input = { 0, POLLIN, 0 };
    dynalock_outcome rc =
        dynalock_acquire(&client, &lock, number("wait", "20000"));

    if (rc != DYNALOCK_OK) return fail("acquire", rc);
    printf("held %llu\n", (unsigned long long)dynalock_fence(&lock));
    while (poll(&input, 1, 0) == 0 && work(20)) continue;
    rc = dynalock_check(&client, &lock);
    if (rc != DYNALOCK_OK) return fail("hold", rc);
    rc = dynalock_release(&client, &lock);
    if (rc != DYNALOCK_OK) return fail("release", rc);
    puts("released");
    return 0;
}

static int mode_group(void)
{
    static dynalock_lock second;
    static dynalock_group group;
    dynalock_lock *locks[] = { &lock, &second };
    dynalock_lock_options options;
    dynalock_outcome rc;

    memset(&options, 0, sizeof options);
    options.key = value("second", NULL);
    options.sort_key = value("sort", NULL);
    rc = dynalock_lock_init(&second, &options);
    if (rc != DYNALOCK_OK) return fail("lock_init", rc);
    group.locks = locks;
    group.count = 2;
    rc = dynalock_group_acquire(&client, &group, 20000);
    if (rc != DYNALOCK_OK) return fail("group", rc);
    printf("held %d %d", dynalock_check(&client, &lock),
        dynalock_check(&client, &second));
    rc = dynalock_group_release(&client, &group);
    printf(", released %d\n", (int)rc);
    return 0;
}

static int mode_try(void)
{
    dynalock_outcome rc = dynalock_acquire(&client, &lock, 0);

    if (rc == DYNALOCK_BUSY)
        printf("busy %s %u\n", client.detail.holder,
            (unsigned)client.detail.holder_lease_ms);
    else if (rc != DYNALOCK_OK) return fail("acquire", rc);
    else printf("held %llu\n", (unsigned long long)dynalock_fence(&lock));
    if (rc == DYNALOCK_OK) (void)dynalock_release(&client, &lock);
    return 0;
}

static int mode_look(void)
{
    static const char *const words[] = { "absent", "released", "locked",
        "foreign" };
    dynalock_name name;
    dynalock_outcome rc;
    const uint8_t *data;
    uint32_t size = 0;

    name.key = value("key", NULL);
    name.sort_key = value("sort", NULL);
    name.table = NULL;
    rc = dynalock_read(&client, &name, &record);
    if (rc != DYNALOCK_OK) return fail("read", rc);
    data = dynalock_data(&record, &size);
    if (size == DYNALOCK_TOO_LONG) size = 0;
    printf("%s owner=%s lease=%u fence=%llu data=%.*s\n", words[record.status],
        record.owner, (unsigned)record.lease_ms,
        (unsigned long long)record.fence, (int)size, (const char *)data);
    return 0;
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } modes[] = { { "work", mode_work }, { "hold", mode_hold },
        { "try", mode_try }, { "look", mode_look }, { "group", mode_group } };
    dynalock_outcome rc;
    size_t i;

    if (count < 2) return 64;
    values = arguments + 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    rc = set_up();
    if (rc != DYNALOCK_OK) return fail("set_up", rc);
    for (i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(arguments[1], modes[i].name) == 0) return modes[i].run();
    return 64;
}
