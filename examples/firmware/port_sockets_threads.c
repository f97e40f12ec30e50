#include "port_sockets_threads.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifdef ESP_PLATFORM
#include "esp_random.h"
#endif

/* A thread that waits may be overtaken: another one's step takes the answer,
   or begins what must be renewed. So none sleeps for long. */
#define LONGEST_SLEEP_MS 20

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* lwIP has no signals */
#endif

/* ---- the connection ---- */

static void hook_close(void *context)
{
    port_sockets *port = (port_sockets *)context;

    if (port->socket >= 0) (void)close(port->socket);
    port->socket = -1;
}

static int is_later(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINPROGRESS;
}

/* Resolves, which may block, and begins to connect. */
static int32_t connect_to(port_sockets *port, const dynalock_peer *peer)
{
    struct addrinfo hints, *found;
    struct sockaddr_in to;
    int one = 1;

    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(peer->host, NULL, &hints, &found) != 0) return -ENOENT;
    memcpy(&to, found->ai_addr, sizeof to);
    freeaddrinfo(found);
    to.sin_port = htons(peer->port);
    port->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (port->socket < 0) return -errno;
    if (fcntl(port->socket, F_SETFL, O_NONBLOCK) < 0) return -errno;
    (void)setsockopt(
        port->socket, IPPROTO_TCP, TCP_NODELAY, &one, (socklen_t)sizeof one);
    if (connect(port->socket, (const struct sockaddr *)&to,
            (socklen_t)sizeof to) == 0)
        return 0;
    return is_later() ? (int32_t)DYNALOCK_AGAIN : (int32_t)-errno;
}

/* Is it ready for `interest` within so long? select takes 0 sockets too. */
static int is_ready(int socket, unsigned interest, uint32_t ms)
{
    struct timeval time;
    fd_set readable, writable;

    FD_ZERO(&readable);
    FD_ZERO(&writable);
    if (socket >= 0 && (interest & DYNALOCK_READ) != 0)
        FD_SET(socket, &readable);
    if (socket >= 0 && (interest & DYNALOCK_WRITE) != 0)
        FD_SET(socket, &writable);
    time.tv_sec = (time_t)(ms / 1000);
    time.tv_usec = (suseconds_t)(ms % 1000 * 1000);
    return select(socket + 1, &readable, &writable, NULL, &time) > 0;
}

static int32_t hook_open(void *context, const dynalock_peer *peer)
{
    port_sockets *port = (port_sockets *)context;
    socklen_t size = (socklen_t)sizeof(int);
    int error = 0;
    int32_t rc;

    if (peer->secure) return -EPROTONOSUPPORT; /* sockets do no TLS */
    if (port->socket < 0) {
        rc = connect_to(port, peer);
    } else {
        if (!is_ready(port->socket, DYNALOCK_WRITE, 0)) return DYNALOCK_AGAIN;
        rc = getsockopt(port->socket, SOL_SOCKET, SO_ERROR, &error, &size);
        rc = rc != 0 ? -errno : -error;
    }
    if (rc < 0) hook_close(port);
    return rc;
}

static int32_t hook_write(void *context, const void *data, size_t size)
{
    const port_sockets *port = (const port_sockets *)context;
    ssize_t n = send(port->socket, data, size, MSG_NOSIGNAL);

    if (n >= 0) return (int32_t)n;
    return is_later() ? 0 : -errno;
}

static int32_t hook_read(void *context, void *data, size_t size)
{
    const port_sockets *port = (const port_sockets *)context;
    ssize_t n = recv(port->socket, data, size, 0);

    if (n > 0) return (int32_t)n;
    if (n == 0) return DYNALOCK_EOF;
    return is_later() ? 0 : -errno;
}

/* ---- clocks and entropy ---- */

static uint64_t hook_monotonic_ms(void *context)
{
    struct timespec now;

    (void)context;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Before SNTP has set it, a board's clock stands in the 1970s. */
static int64_t hook_unix_ms(void *context)
{
    struct timeval now;

    (void)context;
    if (gettimeofday(&now, NULL) != 0 || now.tv_sec < 1000000000) return 0;
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

static int32_t hook_entropy(void *context, void *out, size_t size)
{
    (void)context;
#ifdef ESP_PLATFORM
    esp_fill_random(out, size); /* true randomness while the radio is on */
    return 0;
#else
    return getentropy(out, size) == 0 ? 0 : -errno;
#endif
}

/* ---- threads ---- */

static void hook_enter(void *context)
{
    (void)pthread_mutex_lock(&((port_sockets *)context)->mutex);
}

static void hook_leave(void *context)
{
    (void)pthread_mutex_unlock(&((port_sockets *)context)->mutex);
}

/* The socket may be another one when we wake: then the wait was for nothing,
   and the next step looks anew. */
static int32_t hook_wait(void *context, unsigned interest, uint32_t ms)
{
    const port_sockets *port = (const port_sockets *)context;
    int socket;

    hook_enter(context);
    socket = port->socket;
    hook_leave(context);
    if (ms > LONGEST_SLEEP_MS) ms = LONGEST_SLEEP_MS;
    (void)is_ready(interest != 0 ? socket : -1, interest, ms);
    return 0;
}

int port_sockets_platform(port_sockets *port, dynalock_platform *platform)
{
    memset(port, 0, sizeof *port);
    memset(platform, 0, sizeof *platform);
    port->socket = -1;
    platform->context = port;
    platform->open = hook_open;
    platform->write = hook_write;
    platform->read = hook_read;
    platform->close = hook_close;
    platform->monotonic_ms = hook_monotonic_ms;
    platform->unix_ms = hook_unix_ms;
    platform->entropy = hook_entropy;
    platform->wait = hook_wait;
    platform->enter = hook_enter;
    platform->leave = hook_leave;
    return pthread_mutex_init(&port->mutex, NULL);
}
