#include "port_at.h"
#include "at_text.h"
#include "board.h"
#include <string.h>

#define ESC 0x1b
#define MOST_SENT 256 /* bytes at a time: the wire must not block for long */
#define MOST_READ 192 /* fits the board's buffer, with the lines around it */
#define START_MS 3000

enum { ERROR_COMMAND = -1, ERROR_SEND = -2, ERROR_UNREAD = -3 };

/* port_at.h has the transitions. */
enum {
    CLOSED,
    OPENING,
    READY,
    ASKING,
    PROMPTED,
    SENDING,
    FETCHING,
    DATA,
    TRAILER,
    CLOSING
};

/* ---- what the modem says ---- */

static int begins(const port_at *port, const char *start)
{
    return strncmp(port->line, start, strlen(start)) == 0;
}

static void on_line(port_at *port)
{
    if (begins(port, "+RECV")) port->arrived = 1;
    if (begins(port, "+CLOSED")) port->ended = 1;
    if (begins(port, "+CCLK: ")) port->unix_ms = at_unix_ms(port->line + 8);
    if (port->state == CLOSING) { /* what else comes is of the past */
        if (begins(port, "OK")) port->state = CLOSED;
    } else if (begins(port, "+OPEN: ")) {
        port->error = -(int32_t)at_number(port->line + 7, 5);
        port->state = port->error == 0 ? READY : CLOSED;
        port->arrived = 0;
        port->ended = 0;
    } else if (begins(port, "+READ: ")) {
        port->left = (uint16_t)at_number(port->line + 7, 5);
        port->state = port->left != 0 ? DATA : TRAILER;
    } else if (begins(port, "OK") && port->state == TRAILER) {
        port->state = READY;
    } else if (begins(port, "SEND OK")) {
        port->state = READY;
    } else if (begins(port, "ERROR") || begins(port, "SEND FAIL")) {
        port->error = ERROR_COMMAND;
    }
}

/* Takes lines; bytes that were asked for are left to hook_read. */
static void listen(port_at *port)
{
    int byte;

    while (port->state != DATA && (byte = board_uart_get()) >= 0) {
        if (port->state == ASKING && port->used == 0 && byte == '>') {
            port->state = PROMPTED;
        } else if (byte == '\n') {
            port->line[port->used] = '\0';
            if (port->used != 0) on_line(port);
            port->used = 0;
        } else if (byte != '\r' && (port->used != 0 || byte != ' ')) {
            port->line[port->used] = (char)byte;
            if (port->used < sizeof port->line - 1) port->used++;
        }
    }
}

/* ---- the hooks ---- */

static void hook_close(void *context)
{
    port_at *port = (port_at *)context;

    if (port->state == ASKING || port->state == PROMPTED) board_uart_put(ESC);
    at_put("\rAT+CLOSE\r");
    port->state = CLOSING;
    port->error = 0;
}

static int32_t hook_open(void *context, const dynalock_peer *peer)
{
    port_at *port = (port_at *)context;
    int32_t error;

    listen(port);
    error = port->error;
    if (error != 0) port->state = CLOSED;
    port->error = 0;
    if (error != 0 || port->state == READY) return error;
    if (port->state != CLOSED) return DYNALOCK_AGAIN;
    at_put("AT+OPEN=\"");
    at_put(peer->host);
    at_put("\",");
    at_put_number(peer->port);
    at_put(peer->secure ? ",1\r" : ",0\r");
    port->state = OPENING;
    return DYNALOCK_AGAIN;
}

/* The first call asks for leave to send, a later one with the same data
   sends. */
static int32_t hook_write(void *context, const void *data, size_t size)
{
    port_at *port = (port_at *)context;
    const uint8_t *bytes = (const uint8_t *)data;
    uint16_t i;

    listen(port);
    if (port->error != 0) return port->error;
    if (port->state == FETCHING || port->state == DATA) return ERROR_UNREAD;
    if (port->state == READY) {
        port->left = (uint16_t)(size < MOST_SENT ? size : MOST_SENT);
        at_put("AT+SEND=");
        at_put_number(port->left);
        at_put("\r");
        port->state = ASKING;
    }
    if (port->state != PROMPTED) return 0;
    if (size < port->left) return ERROR_SEND;
    for (i = 0; i < port->left; i++) board_uart_put(bytes[i]);
    port->state = SENDING;
    return port->left;
}

static int32_t hook_read(void *context, void *data, size_t size)
{
    port_at *port = (port_at *)context;
    uint8_t *bytes = (uint8_t *)data;
    int32_t n = 0;
    int byte;

    listen(port);
    if (port->error != 0) return port->error;
    if (port->state == READY && port->arrived) {
        port->arrived = 0;
        at_put("AT+READ=");
        at_put_number(MOST_READ);
        at_put("\r");
        port->state = FETCHING;
    }
    if (port->state == READY && port->ended) return DYNALOCK_EOF;
    if (port->state != DATA) return 0;
    while (size-- != 0 && port->left != 0 && (byte = board_uart_get()) >= 0) {
        bytes[n++] = (uint8_t)byte;
        port->left--;
    }
    if (port->left == 0) port->state = TRAILER;
    return n;
}

static int is_ready(const port_at *port, unsigned interest)
{
    if (interest == 0) return 0;
    if (port->error != 0 || port->state == CLOSED) return 1;
    if (port->state == DATA) return board_uart_waiting() != 0;
    if (port->state == PROMPTED) return 1;
    if (port->state != READY) return 0;
    return (interest & DYNALOCK_WRITE) != 0 || port->arrived || port->ended;
}

static int32_t hook_wait(void *context, unsigned interest, uint32_t ms)
{
    port_at *port = (port_at *)context;
    uint32_t start = board_ms(), passed = 0;

    for (;;) {
        listen(port);
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
