#include "at_modem.h"
#include "board.h"
#include <string.h>

void at_put(const char *text)
{
    while (*text != '\0') board_uart_put((uint8_t)*text++);
}

void at_put_number(uint32_t number)
{
    char digits[11];
    char *at = digits + sizeof digits - 1;

    *at = '\0';
    do *--at = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    at_put(at);
}

uint32_t at_number(const char *at, size_t digits)
{
    uint32_t number = 0;

    for (; digits-- != 0 && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint32_t)(*at - '0');
    return number;
}

/* "yy/MM/dd,hh:mm:ss+00"; days by Howard Hinnant's "days_from_civil", for
   years that begin in March. */
int64_t at_unix_ms(const char *at)
{
    uint32_t year = 2000 + at_number(at, 2), month = at_number(at + 3, 2);
    uint32_t march = (month + 9) % 12, days;

    if (at_number(at, 2) < 20) return 0; /* not from the network yet */
    year -= month < 3;
    days = 365 * year + year / 4 - year / 100 + year / 400;
    days += (153 * march + 2) / 5 + at_number(at + 6, 2) - 719469;
    days = days * 24 + at_number(at + 9, 2);
    return ((int64_t)days * 3600 + at_number(at + 12, 2) * 60 +
               at_number(at + 15, 2)) *
           1000;
}

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
    if (port->state == AT_CLOSING) { /* what else comes is of the past */
        if (begins(port, "OK")) port->state = AT_CLOSED;
    } else if (begins(port, "+OPEN: ")) {
        port->error = -(int32_t)at_number(port->line + 7, 5);
        port->state = port->error == 0 ? AT_READY : AT_CLOSED;
        port->arrived = 0;
        port->ended = 0;
    } else if (begins(port, "+READ: ")) {
        port->left = (uint16_t)at_number(port->line + 7, 5);
        port->state = port->left != 0 ? AT_DATA : AT_TRAILER;
    } else if (begins(port, "OK") && port->state == AT_TRAILER) {
        port->state = AT_READY;
    } else if (begins(port, "SEND OK")) {
        port->state = AT_READY;
    } else if (begins(port, "ERROR") || begins(port, "SEND FAIL")) {
        port->error = ERROR_COMMAND;
    }
}

void at_listen(port_at *port)
{
    int byte;

    while (port->state != AT_DATA && (byte = board_uart_get()) >= 0) {
        if (port->state == AT_ASKING && port->used == 0 && byte == '>') {
            port->state = AT_PROMPTED;
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
