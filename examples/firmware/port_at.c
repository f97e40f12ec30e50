#include "port_at.h"
#include "at_modem.h"
#include "board.h"
#include <string.h>

#define ESC 0x1b
#define MOST_SENT 256 /* bytes at a time: the wire must not block for long */
#define MOST_READ 192 /* fits the board's buffer, with the lines around it */
#define MODEM_MS 20
#define START_MS 3000

/* ---- the hooks ---- */

static void hook_close(void *context)
{
    port_at *port = (port_at *)context;

    if (port->state == AT_ASKING || port->state == AT_PROMPTED)
        board_uart_put(ESC);
    at_put("\rAT+CLOSE\r");
    port->state = AT_CLOSING;
    port->error = 0;
}

static int32_t hook_open(void *context, const dynalock_peer *peer)
{
    port_at *port = (port_at *)context;
    int32_t error;

    at_listen(port);
    error = port->error;
    if (error != 0) port->state = AT_CLOSED;
    port->error = 0;
    if (error != 0 || port->state == AT_READY) return error;
    if (port->state != AT_CLOSED) return DYNALOCK_AGAIN;
    at_put("AT+OPEN=\"");
    at_put(peer->host);
    at_put("\",");
    at_put_number(peer->port);
    at_put(peer->secure ? ",1\r" : ",0\r");
    port->state = AT_OPENING;
    return DYNALOCK_AGAIN;
}

/* The modem's own answers come soon: they are waited for, but not for long. */
static void settle(port_at *port)
{
    uint32_t start = board_ms();

    at_listen(port);
    while ((port->state == AT_ASKING || port->state == AT_SENDING ||
               port->state == AT_FETCHING || port->state == AT_TRAILER) &&
           port->error == 0 && board_ms() - start < MODEM_MS) {
        board_sleep(1);
        at_listen(port);
    }
}

/* If the modem's leave to send comes late, the caller's next try with the same
   data finds it. */
static int32_t hook_write(void *context, const void *data, size_t size)
{
    port_at *port = (port_at *)context;
    const uint8_t *bytes = (const uint8_t *)data;
    uint16_t i;

    settle(port);
    if (port->state == AT_DATA) return ERROR_UNREAD;
    if (port->state == AT_READY && port->error == 0) {
        port->left = (uint16_t)(size < MOST_SENT ? size : MOST_SENT);
        at_put("AT+SEND=");
        at_put_number(port->left);
        at_put("\r");
        port->state = AT_ASKING;
        settle(port);
    }
    if (port->error != 0) return port->error;
    if (port->state != AT_PROMPTED) return 0;
    if (size < port->left) return ERROR_SEND;
    for (i = 0; i < port->left; i++) board_uart_put(bytes[i]);
    port->state = AT_SENDING;
    return port->left;
}

static int32_t hook_read(void *context, void *data, size_t size)
{
    port_at *port = (port_at *)context;
    uint8_t *bytes = (uint8_t *)data;
    int32_t n = 0;
    int byte;

    settle(port);
    if (port->state == AT_READY && port->arrived) {
        port->arrived = 0;
        at_put("AT+READ=");
        at_put_number(MOST_READ);
        at_put("\r");
        port->state = AT_FETCHING;
        settle(port);
    }
    if (port->error != 0) return port->error;
    if (port->state == AT_READY && port->ended && !port->arrived)
        return DYNALOCK_EOF;
    if (port->state != AT_DATA) return 0;
    if (board_uart_waiting() == 0) board_sleep(1);
    while (size-- != 0 && port->left != 0 && (byte = board_uart_get()) >= 0) {
        bytes[n++] = (uint8_t)byte;
        port->left--;
    }
    if (port->left == 0) port->state = AT_TRAILER;
    return n;
}

static int is_ready(const port_at *port, unsigned interest)
{
    if (interest == 0) return 0;
    if (port->error != 0 || port->state == AT_CLOSED) return 1;
    if (port->state == AT_DATA) return board_uart_waiting() != 0;
    if (port->state == AT_PROMPTED) return 1;
    if (port->state != AT_READY) return 0;
    return (interest & DYNALOCK_WRITE) != 0 || port->arrived || port->ended;
}

static int32_t hook_wait(void *context, unsigned interest, uint32_t ms)
{
    port_at *port = (port_at *)context;
    uint32_t start = board_ms(), passed = 0;

    for (;;) {
        at_listen(port);
        if (passed >= ms || is_ready(port, interest)) return 0;
        board_sleep(ms - passed);
        passed = board_ms() - start;
    }
}

void port_at_start(port_at *port, dynalock_platform *platform)
{
    memset(port, 0, sizeof *port);
    platform->context = port;
    platform->open = hook_open;
    platform->write = hook_write;
    platform->read = hook_read;
    platform->close = hook_close;
    platform->wait = hook_wait;
    board_uart_put(ESC); /* an earlier life may have left it in mid-command */
    hook_close(port);
    (void)hook_wait(port, DYNALOCK_WRITE, START_MS);
    at_put("AT+CCLK?\r");
    while (port->unix_ms == 0 && board_ms() < 2 * START_MS)
        (void)hook_wait(port, 0, 10);
    if (port->unix_ms != 0) port->unix_ms -= board_ms();
}
