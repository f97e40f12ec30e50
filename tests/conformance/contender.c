/*
One of the processes that tests/conformance/contend.py lets contend.

    contender NAME ENDPOINT CA.pem LEDGER LEASE_MS POLL_MS SEED

It takes the lock again and again and counts in LEDGER while it has it: reads
the last value, thinks for a moment, and writes the next one with its fence.
LEDGER is what the lock protects: it knows nothing of the lock, remembers the
highest fence that came with a read or a write, and refuses lower ones. A line
of it is FENCE VALUE and R or W, for a read or a write.

On standard output, one line each, T in microseconds of CLOCK_BOOTTIME:

    grant T FENCE            the lock was granted
    hold T FENCE MS          dynalock_remaining_ms() says MS
    wrote T FENCE VALUE      LEDGER took it
    refused T FENCE          LEDGER did not take it
    release T FENCE          gives back, and is not a holder from here on
    lost T FENCE OUTCOME     finds that it has lost the lock
    failed T OUTCOME         an acquire that waits for ever has ended otherwise

SIGTERM ends it in order.
*/
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#define STEP_MS 4         /* between two updates */
#define THINK_MS 2        /* between a read and its write */
#define LEAST_HOLD_MS 100 /* the work of one hold */
#define MOST_HOLD_MS 500
#define MOST_PAUSE_MS 150 /* after it */
#define LEDGER_LINE 48

static dynalock_posix posix;
static dynalock_platform platform;
static dynalock_anchors anchors;
static dynalock_tls tls;
static const dynalock_credentials credentials = { "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };
static dynalock_client client;
static dynalock_lock lock;
static volatile int stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A line leaves in one write: a kill leaves no half of it. */
static void tell(const char *what, uint64_t t, uint64_t fence, int64_t value)
{
    char line[96];
    int size = snprintf(line, sizeof line,
        "%s %" PRIu64 " %" PRIu64 " %" PRId64 "\n", what, t, fence, value);

    if (write(1, line, (size_t)size) != size) exit(1);
}

/* ---- what the lock protects ---- */

static int ledger_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);

    if (fd < 0) exit(1);
    return fd;
}

/* The last line, which has the highest fence. */
static void ledger_last(int fd, uint64_t *fence, uint64_t *value)
{
    char tail[LEDGER_LINE + 1];
    off_t size = lseek(fd, 0, SEEK_END);
    ssize_t n;

    *fence = *value = 0;
    if (size < LEDGER_LINE) return;
    n = pread(fd, tail, LEDGER_LINE, size - LEDGER_LINE);
    if (n != LEDGER_LINE) exit(1);
    tail[LEDGER_LINE] = '\0';
    if (sscanf(tail, "%" SCNu64 " %" SCNu64, fence, value) != 2) exit(1);
}

/* Returns whether the fence was let in. A read ('R') sets *value, a write
   ('W') takes it. A read leaves its fence behind, too: from then on no older
   holder's write comes between it and its write. */
static int ledger_access(int fd, char kind, uint64_t fence, uint64_t *value)
{
    char line[LEDGER_LINE + 1];
    uint64_t highest, last;
    int taken;

    if (flock(fd, LOCK_EX) != 0) exit(1);
    ledger_last(fd, &highest, &last);
    if (kind == 'R') *value = last;
    taken = fence >= highest;
    (void)snprintf(line, sizeof line, "%020" PRIu64 " %024" PRIu64 " %c\n",
        fence, *value, kind);
    if (taken && write(fd, line, LEDGER_LINE) != LEDGER_LINE) exit(1);
    (void)flock(fd, LOCK_UN);
    return taken;
}

static void update(int fd, uint64_t fence)
{
    uint64_t value = 0;

    if (!ledger_access(fd, 'R', fence, &value)) {
        tell("refused", now_us(), fence, 0);
        return;
    }
    (void)poll(NULL, 0, THINK_MS);
    value++;
    if (ledger_access(fd, 'W', fence, &value))
        tell("wrote", now_us(), fence, (int64_t)value);
    else tell("refused", now_us(), fence, 0);
}

/* ---- the device ---- */

static dynalock_outcome set_up(char **arguments)
{
    dynalock_config config;
    dynalock_lock_options options;
    dynalock_outcome rc;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    dynalock_posix_platform(&posix, &platform);
    posix.stop = &stop;
    rc = dynalock_posix_anchors(&anchors, arguments[3]);
    if (rc != DYNALOCK_OK) return rc;
    dynalock_tls_init(&tls, dynalock_tls_small(), anchors.list, anchors.count);
    config.platform = &platform;
    config.credentials = &credentials;
    config.tls = strncmp(arguments[2], "https:", 6) == 0 ? &tls : NULL;
    config.endpoint = arguments[2];
    config.region = "us-east-1";
    config.table = "locks";
    config.owner = arguments[1];
    config.lease_ms = (uint32_t)strtoul(arguments[5], NULL, 10);
    config.poll_ms = (uint32_t)strtoul(arguments[6], NULL, 10);
    config.cap_ms = config.poll_ms;
    rc = dynalock_client_init(&client, &config);
    if (rc != DYNALOCK_OK) return rc;
    options.key = "contended";
    return dynalock_lock_init(&lock, &options);
}

/* Polls, and sleeps until there is more to do, but not longer than ms. */
static void step(uint32_t ms)
{
    unsigned interest;
    uint32_t wants;

    (void)dynalock_poll(&client);
    dynalock_wants(&client, &interest, &wants);
    (void)platform.wait(&posix, interest, wants < ms ? wants : ms);
}

/* Returns whether it has the lock still. It looks before every update. */
static int work(int ledger)
{
    uint64_t fence = dynalock_fence(&lock), t = now_us();
    uint64_t end =
        t + 1000 * (LEAST_HOLD_MS +
                       (uint64_t)rand() % (MOST_HOLD_MS - LEAST_HOLD_MS));
    uint32_t left;

    tell("grant", t, fence, 0);
    while (!stop && (t = now_us()) < end) {
        left = dynalock_remaining_ms(&client, &lock);
        if (left == 0) return 0;
        tell("hold", t, fence, left);
        update(ledger, fence);
        step(STEP_MS);
    }
    return dynalock_remaining_ms(&client, &lock) != 0;
}

static void give_back(int has)
{
    uint64_t fence = dynalock_fence(&lock);
    dynalock_outcome rc;

    if (has) tell("release", now_us(), fence, 0);
    rc = dynalock_release(&client, &lock);
    if (rc != DYNALOCK_OK) tell("lost", now_us(), fence, (int64_t)rc);
}

static void pause_for(uint32_t ms)
{
    uint64_t end = now_us() + ms * 1000;

    while (!stop && now_us() < end) step(10);
}

int main(int argc, char **argv)
{
    dynalock_outcome rc;
    int ledger;

    if (argc != 8) return 64;
    (void)signal(SIGTERM, on_signal);
    srand((unsigned)strtoul(argv[7], NULL, 10));
    ledger = ledger_open(argv[4]);
    rc = set_up(argv);
    if (rc != DYNALOCK_OK) {
        tell("failed", now_us(), 0, (int64_t)rc);
        return 1;
    }
    while (!stop) {
        rc = dynalock_acquire(&client, &lock, DYNALOCK_FOREVER);
        if (rc == DYNALOCK_OK) give_back(work(ledger));
        else if (!stop) tell("failed", now_us(), 0, (int64_t)rc);
        pause_for((uint32_t)rand() % MOST_PAUSE_MS);
    }
    (void)dynalock_client_close(&client, 500);
    return 0;
}
