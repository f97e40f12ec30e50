/* A network chip, polled. ETH_PAD_SIZE bytes stand before each frame. */
#ifndef ETHERNET_H
#define ETHERNET_H

#include "lwip/pbuf.h"

void ethernet_start(const uint8_t address[6]);
void ethernet_send(const struct pbuf *frame);
struct pbuf *ethernet_receive(void); /* NULL: no frame has come */

#endif
