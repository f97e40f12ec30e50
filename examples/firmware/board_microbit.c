/* BBC micro:bit: nRF51822 (Cortex-M0, 16 KB of RAM), a modem on its UART. */
#include "board.h"
#include "port_at.h"

static dynalock_ticks widened;
static port_at port;

/* ---- time: TIMER0 counts microseconds (nRF51 reference manual, 3.0) ---- */

#define TIMER0(offset) BOARD_REGISTER(0x40008000 + (offset))
#define TIMER0_START TIMER0(0x000)
#define TIMER0_CAPTURE0 TIMER0(0x040)
#define TIMER0_COMPARE1 TIMER0(0x144)
#define TIMER0_INTENSET TIMER0(0x304)
#define TIMER0_BITMODE TIMER0(0x508)
#define TIMER0_PRESCALER TIMER0(0x510)
#define TIMER0_CC0 TIMER0(0x540)
#define TIMER0_CC1 TIMER0(0x544)
#define NVIC_ISER BOARD_REGISTER(0xe000e100)
#define UART0_IRQ 2
#define TIMER0_IRQ 8

void TIMER0_Handler(void);
void TIMER0_Handler(void)
{
    TIMER0_COMPARE1 = 0; /* it has woken us: that is all */
}

static void start_timer(void)
{
    TIMER0_BITMODE = 3;   /* 32 bits */
    TIMER0_PRESCALER = 4; /* 16 MHz / 2^4 */
    TIMER0_INTENSET = 1u << 17;
    TIMER0_START = 1;
    NVIC_ISER = 1u << TIMER0_IRQ;
}

static uint32_t microseconds(void)
{
    TIMER0_CAPTURE0 = 1;
    return TIMER0_CC0;
}

/* The counter wraps every 71 minutes: this is called more often. */
uint32_t board_ms(void)
{
    return (uint32_t)(dynalock_extend_ticks(&widened, microseconds()) / 1000);
}

/* With interrupts masked, none can come between the look and the wfi, which
   wakes all the same. */
void board_sleep(uint32_t ms)
{
    if (ms > 1000) ms = 1000;
    __asm volatile("cpsid i" ::: "memory");
    TIMER0_CC1 = microseconds() + ms * 1000 + 20;
    if (board_uart_waiting() == 0) __asm volatile("wfi");
    __asm volatile("cpsie i" ::: "memory");
}

/* ---- entropy: the chip's noise, bias-corrected ---- */

#define RNG(offset) BOARD_REGISTER(0x4000d000 + (offset))
#define RNG_START RNG(0x000)
#define RNG_VALRDY RNG(0x100)
#define RNG_CONFIG RNG(0x504)
#define RNG_VALUE RNG(0x508)

void board_entropy(void *out, size_t size)
{
    uint8_t *at = (uint8_t *)out;

    RNG_CONFIG = 1;
    RNG_START = 1;
    while (size-- != 0) {
        RNG_VALRDY = 0;
        while (RNG_VALRDY == 0) {
        }
        *at++ = (uint8_t)RNG_VALUE;
    }
}

/* ---- the UART ---- */

#define UART0(offset) BOARD_REGISTER(0x40002000 + (offset))
#define UART0_STARTRX UART0(0x000)
#define UART0_STARTTX UART0(0x008)
#define UART0_RXDRDY UART0(0x108)
#define UART0_TXDRDY UART0(0x11c)
#define UART0_INTENSET UART0(0x304)
#define UART0_ENABLE UART0(0x500)
#define UART0_PSELTXD UART0(0x50c)
#define UART0_PSELRXD UART0(0x514)
#define UART0_RXD UART0(0x518)
#define UART0_TXD UART0(0x51c)
#define UART0_BAUDRATE UART0(0x524)

/* What has come and was not taken yet. The indices wrap by themselves. */
static volatile uint8_t received[256];
static volatile uint8_t received_to, taken_to;

void UART0_Handler(void);
void UART0_Handler(void)
{
    while (UART0_RXDRDY != 0) {
        UART0_RXDRDY = 0;
        received[received_to] = (uint8_t)UART0_RXD;
        received_to++;
    }
}

int board_uart_get(void)
{
    if (taken_to == received_to) return -1;
    return received[taken_to++];
}

uint32_t board_uart_waiting(void)
{
    return (uint8_t)(received_to - taken_to);
}

void board_uart_put(uint8_t byte)
{
    UART0_TXDRDY = 0;
    UART0_TXD = byte;
    while (UART0_TXDRDY == 0) {
    }
}

static void start_uart(void)
{
    UART0_PSELTXD = 24;
    UART0_PSELRXD = 25;
    UART0_BAUDRATE = 0x01d7e000; /* 115200 */
    UART0_ENABLE = 4;
    UART0_INTENSET = 1u << 2; /* a byte has come */
    UART0_STARTRX = 1;
    UART0_STARTTX = 1;
    NVIC_ISER = 1u << UART0_IRQ;
}

/* ---- the hooks that the board brings ---- */

static uint64_t hook_monotonic_ms(void *context)
{
    (void)context;
    return dynalock_extend_ticks(&widened, microseconds()) / 1000;
}

static int64_t hook_unix_ms(void *context)
{
    if (port.unix_ms == 0) return 0;
    return port.unix_ms + (int64_t)hook_monotonic_ms(context);
}

static int32_t hook_entropy(void *context, void *out, size_t size)
{
    (void)context;
    board_entropy(out, size);
    return 0;
}

void board_start(dynalock_platform *platform)
{
    start_timer();
    start_uart();
    port_at_start(&port, platform);
    platform->monotonic_ms = hook_monotonic_ms;
    platform->unix_ms = hook_unix_ms;
    platform->entropy = hook_entropy;
}
