/* dynalock.h over lwIP's raw API, without an operating system. */
#ifndef PORT_LWIP_H
#define PORT_LWIP_H

#include "dynalock.h"
#include "lwip/tcp.h"

/* One connection. Belongs to the caller, serves one client. */
typedef struct port_lwip {
    struct tcp_pcb *pcb;   /* NULL: none, or lwIP has dropped it */
    struct pbuf *received; /* and not read yet */
    ip_addr_t address;
    err_t error; /* why it was dropped */
    uint8_t state;
    uint8_t ended; /* the peer sends no more */
} port_lwip;

/* Starts lwIP on the board's chip. */
void port_lwip_start(void);
/* Fills in open, write, read, close and wait. */
void port_lwip_platform(port_lwip *port, dynalock_platform *platform);
/* What lwIP has to do; wait calls it too. Call it often. */
void port_lwip_poll(void);

#endif
