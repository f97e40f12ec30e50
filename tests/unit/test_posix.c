/*
The POSIX port over a world (world.h) in place of an operating system, whose
calls fail once each, in turn and for each reason that they may have. The linker
leads them here (--wrap, see Makefile).
*/
#define DYNALOCK_POSIX
#include "support.h"
#include "world.h"

#define FD 1000     /* the socket */
#define RANDOM 1001 /* /dev/urandom */

enum call {
    CALL_NONE,
    CALL_RESOLVE,
    CALL_SOCKET,
    CALL_FCNTL,
    CALL_CONNECT,
    CALL_POLL,
    CALL_GETSOCKOPT,
    CALL_SEND,
    CALL_RECV,
    CALL_CLOCK,
    CALL_OPEN,
    CALL_READ
};

typedef struct call_fault {
    enum call call;
    int error;   /* errno; 0: it does nothing, or less */
    int network; /* passes: the client tries again */
} call_fault;

static const call_fault call_faults[] = {
    { CALL_RESOLVE, EAI_AGAIN, 1 },
    { CALL_SOCKET, EMFILE, 1 },
    { CALL_FCNTL, EBADF, 1 },
    { CALL_CONNECT, ECONNREFUSED, 1 },
    { CALL_CONNECT, EINPROGRESS, 1 },
    { CALL_POLL, EINTR, 1 },
    { CALL_POLL, 0, 1 },
    { CALL_GETSOCKOPT, ENOBUFS, 1 },
    { CALL_SEND, EPIPE, 1 },
    { CALL_SEND, EINTR, 1 },
    { CALL_SEND, EAGAIN, 1 },
    { CALL_RECV, ECONNRESET, 1 },
    { CALL_RECV, EINTR, 1 },
    { CALL_RECV, EAGAIN, 1 },
    { CALL_RECV, 0, 1 },
    { CALL_CLOCK, EINVAL, 0 },
    { CALL_OPEN, EMFILE, 0 },
    { CALL_READ, EIO, 0 },
    { CALL_READ, 0, 0 },
};

static world w;
static dynalock_posix posix;
static dynalock_lock lock;

static struct {
    const call_fault *fault;
    long at, calls[CALL_READ + 1];
    int files, sockets, resolved; /* open now */
    int in_progress;              /* connects take a second call */
    int connecting;               /* one does, and poll has not said more */
    int no_boottime;
    int addresses; /* of the host */
    int longest_wait;
} system_;

static int call_fails(enum call call)
{
    const call_fault *fault = system_.fault;

    system_.calls[call]++;
    if (fault == NULL || fault->call != call ||
        system_.calls[call] != system_.at)
        return 0;
    errno = fault->error;
    return 1;
}

/* ---- the system ---- */

/* Behind the tests the counts of `make coverage` are written. */
static int over;

int __real_fcntl(int fd, int command, ...);
int __real_open(const char *path, int flags, ...);
ssize_t __real_read(int fd, void *data, size_t size);
int __real_close(int fd);

int __wrap_getaddrinfo(const char *host, const char *port,
    const struct addrinfo *hints, struct addrinfo **found);
void __wrap_freeaddrinfo(struct addrinfo *found);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_setsockopt(
    int fd, int level, int name, const void *value, socklen_t size);
int __wrap_getsockopt(
    int fd, int level, int name, void *value, socklen_t *size);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t size);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *data, size_t size);
int __wrap_close(int fd);

int __wrap_getaddrinfo(const char *host, const char *port,
    const struct addrinfo *hints, struct addrinfo **found)
{
    static struct addrinfo address[2];

    assert_string_equal(host, "table.test");
    assert_string_equal(port, "8000");
    if (call_fails(CALL_RESOLVE)) return system_.fault->error;
    address[0] = *hints;
    address[1] = *hints;
    address[0].ai_next = system_.addresses > 1 ? &address[1] : NULL;
    *found = address;
    system_.resolved++;
    return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *found)
{
    (void)found;
    system_.resolved--;
}

int __wrap_socket(int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    if (call_fails(CALL_SOCKET)) return -1;
    system_.sockets++;
    return FD;
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, command);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (over) return __real_fcntl(fd, command, argument);
    assert_int_equal(fd, FD);
    return call_fails(CALL_FCNTL) ? -1 : 0;
}

int __wrap_setsockopt(
    int fd, int level, int name, const void *value, socklen_t size)
{
    (void)level;
    (void)name;
    (void)value;
    (void)size;
    assert_int_equal(fd, FD);
    return 0;
}

int __wrap_getsockopt(
    int fd, int level, int name, void *value, socklen_t *size)
{
    (void)level;
    (void)name;
    assert_int_equal(fd, FD);
    memset(value, 0, *size);
    return call_fails(CALL_GETSOCKOPT) ? -1 : 0;
}

static void begin_connection(void)
{
    dynalock_peer peer = { "table.test", 8000, 0 };

    assert_int_equal(world_open(&w, &peer), 0);
}

int __wrap_connect(int fd, const struct sockaddr *to, socklen_t size)
{
    (void)to;
    (void)size;
    assert_int_equal(fd, FD);
    if (call_fails(CALL_CONNECT) && errno != EINPROGRESS) return -1;
    begin_connection();
    if (!system_.in_progress && errno != EINPROGRESS) return 0;
    errno = EINPROGRESS;
    system_.connecting = 1;
    return -1;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
    unsigned interest = 0;

    assert_int_equal(count, 1);
    if (call_fails(CALL_POLL)) return errno == 0 ? 0 : -1;
    if (ms == 0) { /* the port looks */
        system_.connecting = 0;
        return 1;
    }
    if (ms > system_.longest_wait) system_.longest_wait = ms;
    if ((fds->events & POLLIN) != 0) interest |= DYNALOCK_READ;
    if ((fds->events & POLLOUT) != 0) interest |= DYNALOCK_WRITE;
    (void)world_wait(&w, interest, (uint32_t)ms);
    return 1;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    (void)flags;
    assert_int_equal(fd, FD);
    assert_int_equal(system_.connecting, 0);
    if (call_fails(CALL_SEND)) return -1;
    return world_write_hook(&w, data, size);
}

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    int32_t n;

    (void)flags;
    assert_int_equal(fd, FD);
    if (call_fails(CALL_RECV)) return errno == 0 ? 0 : -1;
    n = world_read_hook(&w, data, size);
    errno = EAGAIN;
    if (n == DYNALOCK_EOF) return 0;
    return n == 0 ? -1 : n;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int64_t ms = (int64_t)w.now;

    if (call_fails(CALL_CLOCK)) return -1;
    if (clock == CLOCK_BOOTTIME && system_.no_boottime) return -1;
    if (clock == CLOCK_REALTIME) ms += w.unix_ms;
    now->tv_sec = ms / 1000;
    now->tv_nsec = ms % 1000 * 1000000;
    return 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    int mode;

    va_start(arguments, flags);
    mode = va_arg(arguments, int);
    va_end(arguments);
    if (over) return __real_open(path, flags, mode);
    assert_string_equal(path, "/dev/urandom");
    if (call_fails(CALL_OPEN)) return -1;
    system_.files++;
    return RANDOM;
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    if (over) return __real_read(fd, data, size);
    assert_int_equal(fd, RANDOM);
    if (call_fails(CALL_READ)) return errno == 0 ? 0 : -1;
    if (size > 5) size = 5; /* the rest another time */
    assert_int_equal(world_entropy(&w, data, size), 0);
    return (ssize_t)size;
}

int __wrap_close(int fd)
{
    if (over) return __real_close(fd);
    if (fd == RANDOM) {
        system_.files--;
        return 0;
    }
    assert_int_equal(fd, FD);
    system_.sockets--;
    system_.connecting = 0;
    world_close(&w);
    return 0;
}

/* ---- the tests ---- */

static dynalock_platform platform;

static int begin(void **state)
{
    (void)state;
    memset(&system_, 0, sizeof system_);
    world_begin(&w);
    dynalock_posix_platform(&posix, &platform);
    w.config.platform = &platform;
    world_ready(&w, &lock);
    w.locks[0] = NULL;
    return 0;
}

static void check_nothing_is_open(void)
{
    assert_int_equal(system_.files, 0);
    assert_int_equal(system_.sockets, 0);
    assert_int_equal(system_.resolved, 0);
    assert_int_equal(posix.fd, -1);
}

static dynalock_outcome live(void)
{
    dynalock_outcome rc = dynalock_acquire(&w.client, &lock, 0);

    if (rc == DYNALOCK_OK) rc = dynalock_renew(&w.client, &lock);
    if (rc == DYNALOCK_OK) rc = dynalock_release(&w.client, &lock);
    return rc;
}

static int may_be(const call_fault *fault, dynalock_outcome rc)
{
    if (fault->network) return rc == DYNALOCK_OK;
    if (fault->call != CALL_CLOCK) return rc == DYNALOCK_NO_ENTROPY;
    return rc == DYNALOCK_OK || rc == DYNALOCK_CLOCK_UNSET;
}

/* Returns whether there was such a call. */
static int try_fault(const call_fault *fault, long n, int in_progress)
{
    dynalock_outcome rc;
    uint64_t began;

    (void)begin(NULL);
    began = w.now;
    system_.in_progress = in_progress;
    memset(system_.calls, 0, sizeof system_.calls);
    system_.fault = fault;
    system_.at = n;
    rc = live();
    system_.fault = NULL;
    if (system_.calls[fault->call] < n) return 0;
    CHECK(may_be(fault, rc), "call %d, errno %d, %ld: %d", fault->call,
        fault->error, n, (int)rc);
    assert_true(w.now - began <= 3 * 15000);
    assert_true(dynalock_remaining_ms(&w.client, &lock) <= 9890);
    world_run(&w, 20000);
    (void)dynalock_release_all(&w.client, 1000);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 30000), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    check_nothing_is_open();
    return 1;
}

static void test_every_call_of_the_system_fails_once(void **state)
{
    size_t i;
    long n;
    int in_progress;

    (void)state;
    for (in_progress = 0; in_progress < 2; in_progress++)
        for (i = 0; i < COUNT(call_faults); i++) {
            int needed =
                in_progress || (call_faults[i].call != CALL_POLL &&
                                   call_faults[i].call != CALL_GETSOCKOPT);

            for (n = 1; try_fault(&call_faults[i], n, in_progress); n++)
                assert_true(n < 1000);
            if (needed) assert_true(n > 1);
        }
}

/* A step back, or a jump ahead, would be a lie about a lease. */
static void test_a_clock_that_fails_stands_still(void **state)
{
    static const call_fault fault = { CALL_CLOCK, EINVAL, 0 };
    uint64_t before;

    (void)state;
    before = platform.monotonic_ms(&posix);
    w.now += 500;
    system_.fault = &fault;
    system_.at = system_.calls[CALL_CLOCK] + 1;
    assert_true(platform.monotonic_ms(&posix) == before);
    assert_true(platform.monotonic_ms(&posix) == before + 500);
    system_.at = system_.calls[CALL_CLOCK] + 1;
    assert_true(platform.unix_ms(&posix) == 0);
}

/* An old kernel, or a sandbox. */
static void test_without_a_clock_that_counts_sleep(void **state)
{
    (void)state;
    system_.no_boottime = 1;
    dynalock_posix_platform(&posix, &platform);
    w.now += 700;
    assert_true(platform.monotonic_ms(&posix) == w.now);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    w.now += 20000;
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

/* Each address of a host is tried, until one answers. */
static void test_the_next_address_is_tried(void **state)
{
    static const call_fault refused = { CALL_CONNECT, ECONNREFUSED, 1 };

    (void)state;
    system_.addresses = 2;
    system_.fault = &refused;
    system_.at = 1;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(system_.calls[CALL_CONNECT], 2);
    assert_int_equal(system_.calls[CALL_RESOLVE], 1);
}

static void test_sockets_do_no_tls(void **state)
{
    dynalock_peer peer;

    (void)state;
    memset(&peer, 0, sizeof peer);
    peer.host = "table.test";
    peer.port = 443;
    peer.secure = 1;
    assert_int_equal(platform.open(platform.context, &peer), -EPROTONOSUPPORT);
    assert_int_equal(system_.calls[CALL_RESOLVE], 0);
}

/* A wait is a minute at most, and ends when `stop` says so. */
static void test_stop_ends_a_wait(void **state)
{
    volatile int stop = 0;

    (void)state;
    posix.stop = &stop;
    assert_int_equal(platform.wait(platform.context, 0, 100000), 0);
    assert_int_equal(system_.longest_wait, 60000);
    stop = 1;
    assert_int_equal(platform.wait(platform.context, 0, 10), 1);
}

static void test_credentials_are_the_environments(void **state)
{
    dynalock_credentials credentials;

    (void)state;
    (void)setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    (void)unsetenv("AWS_SESSION_TOKEN");
    dynalock_posix_credentials(&credentials);
    assert_string_equal(credentials.key_id, "AKID");
    assert_string_equal(credentials.secret, "secret");
    assert_null(credentials.token);
}

static int end(void **state)
{
    (void)state;
    over = 1;
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_call_of_the_system_fails_once),
        TEST(a_clock_that_fails_stands_still),
        TEST(without_a_clock_that_counts_sleep),
        TEST(the_next_address_is_tried),
        TEST(sockets_do_no_tls),
        TEST(stop_ends_a_wait),
        TEST(credentials_are_the_environments),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
