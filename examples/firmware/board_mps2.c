/* Arm MPS2, AN385 image: Cortex-M3 at 25 MHz, LAN9118 Ethernet. */
#include "board.h"
#include "ethernet.h"
#include "port_lwip.h"
#include "systick.h"

#define CLOCK_HZ 25000000

static port_lwip port;

/* ---- memory: only what a part of 512 KB and 128 KB has ---- */

#define MPU(offset) BOARD_REGISTER(0xe000ed90 + (offset))
#define MPU_READ_ONLY (6u << 24)
#define MPU_READ_WRITE (3u << 24)
#define MPU_NEVER_EXECUTE (1u << 28)
#define MPU_SIZE(log2) ((((log2)-1u) << 1) | 1u)

extern uint32_t guard[]; /* below the stack */

static void protect(uint32_t region, uint32_t address, uint32_t attributes)
{
    MPU(8) = region;
    MPU(12) = address;
    MPU(16) = attributes;
}

static void start_mpu(void)
{
    uint32_t data = MPU_READ_WRITE | MPU_NEVER_EXECUTE;

    protect(0, 0x00000000, MPU_READ_ONLY | MPU_SIZE(19));
    protect(1, 0x20000000, data | MPU_SIZE(17));
    protect(2, 0x40000000, data | MPU_SIZE(29)); /* peripherals */
    protect(3, (uint32_t)guard, MPU_SIZE(5));    /* no access at all */
    MPU(4) = 1;
    __asm volatile("dsb \n isb");
    BOARD_REGISTER(0xe000ed24) |= 7u << 16; /* SHCSR: own fault handlers */
}

void board_start(dynalock_platform *platform)
{
    start_mpu();
    board_start_clock(platform, CLOCK_HZ);
    port_lwip_start();
    port_lwip_platform(&port, platform);
}

/* ---- LAN9118 (Microchip's data sheet DS00002266) ---- */

#define LAN(offset) BOARD_REGISTER(0x40200000 + (offset))
#define RX_DATA LAN(0x00)
#define TX_DATA LAN(0x20)
#define RX_STATUS LAN(0x40)
#define TX_STATUS LAN(0x48)
#define RX_CFG LAN(0x6c)
#define TX_CFG LAN(0x70)
#define HW_CFG LAN(0x74)
#define RX_FIFO_INF LAN(0x7c)
#define TX_FIFO_INF LAN(0x80)
#define MAC_CSR_CMD LAN(0xa4)
#define MAC_CSR_DATA LAN(0xa8)

enum { MAC_CR = 1, MAC_ADDRESS_HIGH, MAC_ADDRESS_LOW };

static void mac_write(uint32_t number, uint32_t value)
{
    MAC_CSR_DATA = value;
    MAC_CSR_CMD = 0x80000000 | number;
    while ((MAC_CSR_CMD & 0x80000000) != 0) {
    }
}

void ethernet_start(const uint8_t address[6])
{
    HW_CFG = 1; /* soft reset */
    while ((HW_CFG & 1) != 0) {
    }
    HW_CFG = 0x00050000;
    mac_write(MAC_ADDRESS_HIGH, address[4] | (uint32_t)address[5] << 8);
    mac_write(MAC_ADDRESS_LOW, address[0] | (uint32_t)address[1] << 8 |
                                   (uint32_t)address[2] << 16 |
                                   (uint32_t)address[3] << 24);
    TX_CFG = 2; /* on */
    RX_CFG = 0;
    mac_write(MAC_CR, 1u << 20 | 1u << 3 | 1u << 2); /* full duplex, on */
}

void ethernet_send(const struct pbuf *frame)
{
    uint32_t size = frame->tot_len, at;

    while ((TX_FIFO_INF >> 16 & 0xff) != 0) (void)TX_STATUS;
    if ((TX_FIFO_INF & 0xffff) < size + 16) return; /* TCP sends it again */
    TX_DATA = 1u << 13 | 1u << 12 | size; /* the first and last segment */
    TX_DATA = size << 16 | size;
    for (at = 0; at < size; at += 4) {
        uint32_t word = 0;

        (void)pbuf_copy_partial(frame, &word, 4, (u16_t)at);
        TX_DATA = word;
    }
}

struct pbuf *ethernet_receive(void)
{
    uint32_t status, size, at;
    struct pbuf *frame;

    if ((RX_FIFO_INF >> 16 & 0xff) == 0) return NULL;
    status = RX_STATUS;
    size = status >> 16 & 0x3fff; /* with its check sum */
    frame = pbuf_alloc(PBUF_RAW, (u16_t)size, PBUF_POOL);
    for (at = 0; at < size; at += 4) {
        uint32_t word = RX_DATA;

        if (frame != NULL && at + 4 <= PBUF_POOL_BUFSIZE)
            ((uint32_t *)frame->payload)[at / 4] = word;
    }
    if (frame == NULL || (status & 1u << 15) == 0) return frame;
    (void)pbuf_free(frame);
    return NULL;
}
