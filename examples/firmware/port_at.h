/*
dynalock.h over a serial modem that does TCP (or TLS) on AT commands. Every
maker's are a little different; these are typical:

    AT+OPEN="host",port,tls   OK, later +OPEN: 0, or +OPEN: and an error
    AT+SEND=n                 "> ", takes n bytes (ESC: none), then SEND OK
    AT+READ=n                 +READ: m, m bytes (at most n), then OK
    AT+CLOSE                  OK
    AT+CCLK?                  +CCLK: "yy/MM/dd,hh:mm:ss+00", then OK
    by itself                 +RECV: there is something to read; after a READ
                              again, if it left something
                              +CLOSED: the peer has closed
*/
#ifndef PORT_AT_H
#define PORT_AT_H

#include "dynalock.h"

/* One modem. Belongs to the caller, serves one client. */
typedef struct port_at {
    uint8_t state;
    uint8_t arrived; /* the modem has something to read */
    uint8_t ended;   /* the peer sends no more than that */
    uint8_t used;    /* of line[] */
    uint16_t left;   /* of what the modem is handing over or waits for */
    int32_t error;   /* why the connection is of no use; 0: none */
    int64_t unix_ms; /* of board_ms() 0; 0: the modem does not know */
    char line[32];
} port_at;

/* Calls the modem to order, asks it for the time, fills in open, write, read,
   close and wait. unix_ms is then the wall clock's lead over board_ms(). */
void port_at_start(port_at *port, dynalock_platform *platform);

#endif
