/*
How the cost grows with locks and with waiters, in virtual time: the real
dynalock.h talks to the simulator's table, every answer takes a round trip, and
the clock leaps from one event to the next. Only CPU time is real: that which
dynalock.h takes.

    growth locks N      one client takes N locks while a round trip is quick,
                        and keeps them for ten leases while it is not
    growth waiters N    N clients want one lock, which is held for a while,
                        then released; its next holder dies

prints "name value" lines.
*/
#define DYNALOCK_NO_TLS
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include "../simulation/model.h"
#include "measure.h"
#include "repeatable.h"

#define ROUND_TRIP_MS 50
#define QUICK_MS 5     /* a round trip while many locks are taken */
#define LEASE_MS 20000 /* the defaults */
#define POLL_MS 1000
#define SETTLE_MS (2 * LEASE_MS)
#define KEEP_MS (10 * LEASE_MS)
#define WATCH_MS 60000
#define MOST 1001
#define REQUEST_SIZE 4096
#define START_MS INT64_C(1700000000000)

typedef struct device {
    dynalock_platform platform;
    dynalock_client client;
    dynalock_lock lock;
    char owner[16];
    char request[REQUEST_SIZE];
    size_t request_size;
    char answer[MODEL_ANSWER_SIZE];
    size_t answer_size, answer_at;
    uint64_t answer_ms; /* when it arrives; 0: none is on its way */
    uint64_t due_ms;
    int dead;
} device;

static device devices[MOST];
static unsigned device_count;
static dynalock_lock locks[MOST];
static char keys[MOST][16];
static model *table;
static const model_options table_options = {
    .key_id = "AKIDEXAMPLE", .secret = "secret", .region = "eu-central-1"
};
static uint64_t now_ms = 1000;
static unsigned long requests, refusals;
static double library_seconds;
static unsigned round_trip_ms = ROUND_TRIP_MS;

/* ---- the hooks ---- */

static int32_t open_hook(void *context, const dynalock_peer *peer)
{
    (void)context;
    (void)peer;
    return 0;
}

static void close_hook(void *context)
{
    device *d = (device *)context;

    d->request_size = d->answer_size = d->answer_at = 0;
    d->answer_ms = 0;
}

/* A whole request is carried out half way there. */
static void look_at_request(device *d)
{
    const char *end, *length;

    d->request[d->request_size] = '\0';
    end = strstr(d->request, "\r\n\r\n");
    if (end == NULL) return;
    length = strstr(d->request, "\r\ncontent-length:");
    if (length == NULL) fail("no content-length");
    if (d->request_size <
        (size_t)(end + 4 - d->request) + strtoul(length + 17, NULL, 10))
        return;
    d->answer_size = model_serve(table, &table_options,
        START_MS + (int64_t)now_ms + round_trip_ms / 2, d->request,
        d->request_size, d->answer);
    d->answer_ms = now_ms + round_trip_ms;
    d->request_size = 0;
    requests++;
    if (strstr(d->answer, "ConditionalCheckFailed") != NULL) refusals++;
}

static int32_t write_hook(void *context, const void *data, size_t size)
{
    device *d = (device *)context;

    if (d->request_size + size >= sizeof d->request) fail("a long request");
    memcpy(d->request + d->request_size, data, size);
    d->request_size += size;
    return (int32_t)size;
}

static int32_t read_hook(void *context, void *data, size_t size)
{
    device *d = (device *)context;
    size_t there = d->answer_size - d->answer_at;

    if (now_ms < d->answer_ms || there == 0) return 0;
    if (size > there) size = there;
    memcpy(data, d->answer + d->answer_at, size);
    d->answer_at += size;
    if (size == there) {
        d->answer_at = d->answer_size = 0;
        d->answer_ms = 0;
    }
    return (int32_t)size;
}

static uint64_t monotonic_hook(void *context)
{
    (void)context;
    return now_ms;
}

static int64_t unix_hook(void *context)
{
    (void)context;
    return START_MS + (int64_t)now_ms;
}

/* ---- running ---- */

static device *new_device(void)
{
    static const dynalock_credentials credentials = { "AKIDEXAMPLE", "secret",
        NULL };
    device *d = &devices[device_count];
    dynalock_config config;
    dynalock_lock_options options;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    (void)snprintf(d->owner, sizeof d->owner, "device-%u", device_count++);
    d->platform.context = d;
    d->platform.open = open_hook;
    d->platform.close = close_hook;
    d->platform.write = write_hook;
    d->platform.read = read_hook;
    d->platform.monotonic_ms = monotonic_hook;
    d->platform.unix_ms = unix_hook;
    d->platform.entropy = repeatable_entropy;
    config.platform = &d->platform;
    config.credentials = &credentials;
    config.endpoint = "http://growth.test";
    config.region = "eu-central-1";
    config.table = "locks";
    config.owner = d->owner;
    options.key = "wanted";
    if (dynalock_client_init(&d->client, &config) != DYNALOCK_OK ||
        dynalock_lock_init(&d->lock, &options) != DYNALOCK_OK)
        fail("a device");
    return d;
}

static void begin(device *d, dynalock_lock *lock)
{
    if (dynalock_start_acquire(&d->client, lock, DYNALOCK_FOREVER) !=
        DYNALOCK_AGAIN)
        fail("start_acquire");
    d->due_ms = now_ms;
}

static double seconds_of_cpu(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) fail("no clock");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void step(device *d)
{
    double start = seconds_of_cpu();
    unsigned interest;
    uint32_t ms;

    (void)dynalock_poll(&d->client);
    dynalock_wants(&d->client, &interest, &ms);
    library_seconds += seconds_of_cpu() - start;
    look_at_request(d);
    d->due_ms = now_ms + ms;
    if (d->answer_ms != 0 && d->answer_ms < d->due_ms)
        d->due_ms = d->answer_ms;
}

/* Until the moment, or until it is held by anyone but the excluded. */
static device *run_until(uint64_t moment, const device *excluded)
{
    unsigned i;

    while (now_ms < moment) {
        uint64_t next = moment;

        for (i = 0; i < device_count; i++) {
            device *d = &devices[i];

            if (d->dead) continue;
            if (d->due_ms <= now_ms) step(d);
            if (excluded != NULL && d != excluded &&
                dynalock_remaining_ms(&d->client, &d->lock) != 0)
                return d;
            if (d->due_ms < next) next = d->due_ms;
        }
        now_ms = next > now_ms ? next : now_ms + 1;
    }
    return NULL;
}

/* ---- locks of one client ---- */

static void measure_locks(unsigned count)
{
    device *d = new_device();
    dynalock_lock_options options;
    unsigned i, held = 0;
    unsigned long before;
    double seconds;
    uint64_t end;
    uint32_t least = LEASE_MS;

    memset(&options, 0, sizeof options);
    round_trip_ms = QUICK_MS;
    for (i = 0; i < count; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "lock-%u", i);
        options.key = keys[i];
        if (dynalock_lock_init(&locks[i], &options) != DYNALOCK_OK)
            fail("a lock");
        begin(d, &locks[i]);
    }
    (void)run_until(now_ms + SETTLE_MS, NULL);
    round_trip_ms = ROUND_TRIP_MS;
    before = requests;
    seconds = library_seconds;
    for (end = now_ms + KEEP_MS; now_ms < end;) {
        (void)run_until(now_ms + 100, NULL);
        for (i = 0; i < count; i++) {
            uint32_t left = dynalock_remaining_ms(&d->client, &locks[i]);

            if (left != 0 && left < least) least = left;
        }
    }
    for (i = 0; i < count; i++)
        held += dynalock_remaining_ms(&d->client, &locks[i]) != 0;
    printf("held %u\nleast_ms %u\n", held, (unsigned)least);
    printf("requests_per_second %.3f\n",
        (double)(requests - before) * 1000 / KEEP_MS);
    printf("cpu_us %.2f\n",
        (library_seconds - seconds) * 1e6 / (double)(requests - before));
}

/* ---- waiters for one lock ---- */

static void measure_waiters(unsigned count)
{
    device *holder = new_device(), *next;
    uint64_t start;
    unsigned long before, refused;
    double seconds;
    unsigned i;

    begin(holder, &holder->lock);
    (void)run_until(now_ms + 1000, NULL);
    for (i = 0; i < count; i++) {
        device *d = new_device();

        begin(d, &d->lock);
    }
    (void)run_until(now_ms + SETTLE_MS, NULL);
    before = requests;
    refused = refusals;
    seconds = library_seconds;
    (void)run_until(now_ms + WATCH_MS, NULL);
    before = requests - before - 9; /* the holder's renewals in a minute */
    printf("requests_per_second %.3f\n",
        (double)before * 1000 / WATCH_MS / count);
    printf("refused %lu\n", refusals - refused);
    printf(
        "cpu_us %.2f\n", (library_seconds - seconds) * 1e6 / (double)before);

    start = now_ms;
    if (dynalock_start_release(&holder->client, &holder->lock) !=
        DYNALOCK_AGAIN)
        fail("start_release");
    holder->due_ms = now_ms;
    next = run_until(now_ms + 10 * LEASE_MS, holder);
    if (next == NULL) fail("nobody took it");
    printf("handover_ms %u\n", (unsigned)(now_ms - start));
    next->dead = holder->dead = 1;
    start = now_ms + dynalock_remaining_ms(&next->client, &next->lock);
    if (count < 2) return;
    if (run_until(now_ms + 10 * LEASE_MS, next) == NULL)
        fail("nobody took it over");
    printf("takeover_ms %u\n", (unsigned)(now_ms - start));
}

int main(int argc, char **argv)
{
    unsigned count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

    if (count < 1 || count >= MOST) fail("usage: growth locks|waiters N");
    table = model_new();
    if (strcmp(argv[1], "locks") == 0) measure_locks(count);
    else if (strcmp(argv[1], "waiters") == 0) measure_waiters(count);
    else fail("usage: growth locks|waiters N");
    model_free(table);
    return 0;
}
