/* TI Stellaris LM3S6965 evaluation board: Cortex-M3, Ethernet on the chip. */
#include "board.h"
#include "ethernet.h"
#include "port_lwip.h"
#include "systick.h"

#define CLOCK_HZ 12500000

static port_lwip port;

void board_start(dynalock_platform *platform)
{
    board_start_clock(platform, CLOCK_HZ);
    port_lwip_start();
    port_lwip_platform(&port, platform);
}

/* ---- the Ethernet controller (LM3S6965 data sheet, chapter 15) ---- */

/* A frame in its FIFO begins with 16 bits of length: just where lwIP leaves
   ETH_PAD_SIZE (2) bytes free. */
#if ETH_PAD_SIZE != 2
#error "define ETH_PAD_SIZE=2 for all of lwIP"
#endif
#define MAC(offset) BOARD_REGISTER(0x40048000 + (offset))
#define RCGC2 BOARD_REGISTER(0x400fe108)
#define MAC_IM MAC(0x04)
#define MAC_RCTL MAC(0x08)
#define MAC_TCTL MAC(0x0c)
#define MAC_DATA MAC(0x10)
#define MAC_IA0 MAC(0x14)
#define MAC_IA1 MAC(0x18)
#define MAC_NP MAC(0x34)
#define MAC_TR MAC(0x38)
#define HEADER 14
#define CHECK_SUM 4

void ethernet_start(const uint8_t address[6])
{
    RCGC2 |= 1u << 28 | 1u << 30; /* clocks of the controller and its PHY */
    MAC_IM = 0;
    MAC_IA0 = address[0] | (uint32_t)address[1] << 8 |
              (uint32_t)address[2] << 16 | (uint32_t)address[3] << 24;
    MAC_IA1 = address[4] | (uint32_t)address[5] << 8;
    MAC_TCTL = 0x17; /* full duplex, check sum, padding, on */
    MAC_RCTL = 0x13; /* only sound frames, on */
}

void ethernet_send(const struct pbuf *frame)
{
    uint32_t size = frame->tot_len, at;

    while ((MAC_TR & 1) != 0) {
    }
    for (at = 0; at < size; at += 4) {
        uint32_t word = 0;

        (void)pbuf_copy_partial(frame, &word, 4, (u16_t)at);
        if (at == 0)
            word = (word & 0xffff0000) | (size - ETH_PAD_SIZE - HEADER);
        MAC_DATA = word;
    }
    MAC_TR = 1;
}

struct pbuf *ethernet_receive(void)
{
    uint32_t word, size, at;
    struct pbuf *frame;

    if ((MAC_NP & 0x3f) == 0) return NULL;
    word = MAC_DATA;
    size = word & 0xffff; /* with itself and the check sum */
    frame = pbuf_alloc(PBUF_RAW, (u16_t)size, PBUF_POOL);
    for (at = 0; at < size; at += 4) {
        if (at != 0) word = MAC_DATA;
        if (frame != NULL && at + 4 <= PBUF_POOL_BUFSIZE)
            ((uint32_t *)frame->payload)[at / 4] = word;
    }
    if (frame != NULL) pbuf_realloc(frame, (u16_t)(size - CHECK_SUM));
    return frame;
}
