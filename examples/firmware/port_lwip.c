#include "port_lwip.h"
#include "board.h"
#include "lwip/dns.h"

/* ---- lwIP's callbacks ---- */

/*
    state      on                                   goes to
    IDLE       open                                 RESOLVE
    RESOLVE    the name is known                    CONNECT
    CONNECT    connected                            OPEN
    any        lwIP dropped it: error; close        IDLE
*/
enum { IDLE, RESOLVE, CONNECT, OPEN };

static void on_resolved(
    const char *name, const ip_addr_t *address, void *argument)
{
    port_lwip *port = (port_lwip *)argument;

    (void)name;
    if (address != NULL) port->address = *address;
    else port->error = ERR_ARG;
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error)
{
    port_lwip *port = (port_lwip *)argument;

    (void)pcb;
    (void)error;
    port->state = OPEN;
    return ERR_OK;
}

static err_t on_received(
    void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error)
{
    port_lwip *port = (port_lwip *)argument;

    (void)pcb;
    (void)error;
    if (data == NULL) port->ended = 1;
    else if (port->received == NULL) port->received = data;
    else pbuf_cat(port->received, data);
    return ERR_OK;
}

static void on_error(void *argument, err_t error)
{
    port_lwip *port = (port_lwip *)argument;

    port->pcb = NULL; /* lwIP has freed it */
    port->error = error;
}

/* ---- the hooks ---- */

static void hook_close(void *context)
{
    port_lwip *port = (port_lwip *)context;

    if (port->pcb != NULL) {
        tcp_arg(port->pcb, NULL);
        tcp_recv(port->pcb, NULL);
        tcp_err(port->pcb, NULL);
        if (tcp_close(port->pcb) != ERR_OK) tcp_abort(port->pcb);
    }
    if (port->received != NULL) (void)pbuf_free(port->received);
    memset(port, 0, sizeof *port);
}

static err_t resolve(port_lwip *port, const dynalock_peer *peer)
{
    err_t error =
        dns_gethostbyname(peer->host, &port->address, on_resolved, port);

    port->state = RESOLVE;
    return error == ERR_INPROGRESS ? (err_t)ERR_OK : error;
}

static err_t connect(port_lwip *port, const dynalock_peer *peer)
{
    port->state = CONNECT;
    port->pcb = tcp_new();
    if (port->pcb == NULL) return ERR_MEM;
    tcp_nagle_disable(port->pcb);
    tcp_arg(port->pcb, port);
    tcp_recv(port->pcb, on_received);
    tcp_err(port->pcb, on_error);
    return tcp_connect(port->pcb, &port->address, peer->port, on_connected);
}

static int32_t hook_open(void *context, const dynalock_peer *peer)
{
    port_lwip *port = (port_lwip *)context;
    err_t error = port->error;

    if (error == ERR_OK && port->state == IDLE) error = resolve(port, peer);
    if (error == ERR_OK && port->state == RESOLVE &&
        !ip_addr_isany_val(port->address))
        error = connect(port, peer);
    if (error == ERR_OK) return port->state == OPEN ? 0 : DYNALOCK_AGAIN;
    hook_close(port);
    return error;
}

static int32_t hook_write(void *context, const void *data, size_t size)
{
    port_lwip *port = (port_lwip *)context;
    err_t error;

    if (port->pcb == NULL) return port->error;
    if (size > tcp_sndbuf(port->pcb)) size = tcp_sndbuf(port->pcb);
    if (size == 0) return 0;
    error = tcp_write(port->pcb, data, (u16_t)size, TCP_WRITE_FLAG_COPY);
    if (error == ERR_MEM) return 0;
    if (error == ERR_OK) error = tcp_output(port->pcb);
    return error == ERR_OK ? (int32_t)size : error;
}

static int32_t hook_read(void *context, void *data, size_t size)
{
    port_lwip *port = (port_lwip *)context;

    if (port->received == NULL) {
        if (port->pcb == NULL) return port->error;
        return port->ended ? DYNALOCK_EOF : 0;
    }
    size = pbuf_copy_partial(
        port->received, data, (u16_t)(size < 0xffff ? size : 0xffff), 0);
    port->received = pbuf_free_header(port->received, (u16_t)size);
    if (port->pcb != NULL) tcp_recved(port->pcb, (u16_t)size);
    return (int32_t)size;
}

static int is_ready(const port_lwip *port, unsigned interest)
{
    if (interest == 0) return 0;
    if (port->error != ERR_OK || port->ended) return 1;
    if ((interest & DYNALOCK_READ) != 0 && port->received != NULL) return 1;
    if ((interest & DYNALOCK_WRITE) == 0) return 0;
    if (port->state == OPEN) return tcp_sndbuf(port->pcb) != 0;
    return port->state == RESOLVE && !ip_addr_isany_val(port->address);
}

static int32_t hook_wait(void *context, unsigned interest, uint32_t ms)
{
    const port_lwip *port = (const port_lwip *)context;
    uint32_t start = board_ms(), passed = 0;

    for (;;) {
        port_lwip_poll();
        if (passed >= ms || is_ready(port, interest)) return 0;
        board_sleep(ms - passed);
        passed = board_ms() - start;
    }
}

void port_lwip_platform(port_lwip *port, dynalock_platform *platform)
{
    memset(port, 0, sizeof *port);
    platform->context = port;
    platform->open = hook_open;
    platform->write = hook_write;
    platform->read = hook_read;
    platform->close = hook_close;
    platform->wait = hook_wait;
}
