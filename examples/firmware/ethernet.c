/* lwIP's network interface on the board's chip. */
#include "ethernet.h"
#include "board.h"
#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"
#include "port_lwip.h"

static struct netif interface;

u32_t sys_now(void)
{
    return board_ms();
}

uint32_t port_lwip_random(void)
{
    uint32_t number;

    board_entropy(&number, sizeof number);
    return number;
}

static err_t send_frame(struct netif *netif, struct pbuf *frame)
{
    (void)netif;
    ethernet_send(frame);
    return ERR_OK;
}

static err_t start_interface(struct netif *netif)
{
    static const uint8_t address[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

    memcpy(netif->hwaddr, address, sizeof address);
    netif->hwaddr_len = sizeof address;
    netif->mtu = 1500;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP |
                   NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    netif->output = etharp_output;
    netif->linkoutput = send_frame;
    ethernet_start(address);
    return ERR_OK;
}

void port_lwip_start(void)
{
    ip4_addr_t address, mask, gateway;

    IP4_ADDR(&address, 10, 0, 2, 15);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 10, 0, 2, 2);
    lwip_init();
    (void)netif_add(&interface, &address, &mask, &gateway, NULL,
        start_interface, ethernet_input);
    netif_set_default(&interface);
    netif_set_up(&interface);
}

void port_lwip_poll(void)
{
    struct pbuf *frame;

    while ((frame = ethernet_receive()) != NULL)
        if (interface.input(frame, &interface) != ERR_OK) pbuf_free(frame);
    sys_check_timeouts();
}
