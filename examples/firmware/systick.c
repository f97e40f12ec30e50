#include "systick.h"

#define SYSTICK_CONTROL BOARD_REGISTER(0xe000e010)
#define SYSTICK_RELOAD BOARD_REGISTER(0xe000e014)
#define SYSTICK_VALUE BOARD_REGISTER(0xe000e018)

static volatile uint32_t ticks; /* milliseconds */
static dynalock_ticks widened;
static int64_t unix_ms_at_start;

void SysTick_Handler(void);
void SysTick_Handler(void)
{
    ticks++;
}

uint32_t board_ms(void)
{
    return ticks;
}

void board_sleep(uint32_t ms)
{
    (void)ms; /* the next tick comes first */
    __asm volatile("wfi");
}

void board_entropy(void *out, size_t size)
{
    board_entropy_of_host(out, size); /* the emulated chips have no source */
}

static uint64_t hook_monotonic_ms(void *context)
{
    (void)context;
    return dynalock_extend_ticks(&widened, ticks);
}

static int64_t hook_unix_ms(void *context)
{
    return unix_ms_at_start + (int64_t)hook_monotonic_ms(context);
}

static int32_t hook_entropy(void *context, void *out, size_t size)
{
    (void)context;
    board_entropy(out, size);
    return 0;
}

void board_start_clock(dynalock_platform *platform, uint32_t hz)
{
    SYSTICK_RELOAD = hz / 1000 - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 7; /* processor clock, interrupt, on */
    unix_ms_at_start = (int64_t)board_unix_seconds() * 1000;
    platform->monotonic_ms = hook_monotonic_ms;
    platform->unix_ms = hook_unix_ms;
    platform->entropy = hook_entropy;
}
