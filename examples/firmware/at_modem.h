/* What is said to a serial modem, and what it says. */
#ifndef AT_MODEM_H
#define AT_MODEM_H

#include "port_at.h"

/*
    state      on                                   goes to
    CLOSED     open: AT+OPEN                        OPENING
    OPENING    +OPEN: 0                             READY
    OPENING    +OPEN: error                         CLOSED
    READY      write: AT+SEND                       ASKING
    ASKING     ">"                                  PROMPTED
    PROMPTED   write: the bytes                     SENDING
    SENDING    SEND OK                              READY
    READY      read, arrived: AT+READ               FETCHING
    FETCHING   +READ: n                             DATA
    DATA       n bytes were read                    TRAILER
    TRAILER    OK                                   READY
    any        close: AT+CLOSE                      CLOSING
    CLOSING    OK                                   CLOSED
*/

enum {
    AT_CLOSED,
    AT_OPENING,
    AT_READY,
    AT_ASKING,
    AT_PROMPTED,
    AT_SENDING,
    AT_FETCHING,
    AT_DATA,
    AT_TRAILER,
    AT_CLOSING
};

enum { ERROR_COMMAND = -1, ERROR_SEND = -2, ERROR_UNREAD = -3 };

void at_put(const char *text);
void at_put_number(uint32_t number);
/* The decimal number at the beginning, of so many digits at most. */
uint32_t at_number(const char *text, size_t digits);
/* Of "yy/MM/dd,hh:mm:ss"; 0: the modem has no time from its network yet. */
int64_t at_unix_ms(const char *text);

/* Takes in what the modem has said; the bytes of AT_DATA are left to read. */
void at_listen(port_at *port);

#endif
