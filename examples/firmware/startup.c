/* From reset to main() on any Cortex-M, and what happens when it crashes. */
#include "board.h"
#include <string.h>

#define PAINT 0xdeadbeefu
#define STATUS_FAULT 99

/* of the linker script */
extern uint32_t stack_bottom[], stack_top[];
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];

int main(void);
void start(void);
void fault(const uint32_t *frame);
void Reset_Handler(void);
void Fault_Handler(void);
void SysTick_Handler(void);
void UART0_Handler(void);
void TIMER0_Handler(void);

/* The stack is painted before anything uses it: what keeps its paint was never
   reached. Thumb-1, for Cortex-M0 too. */
__attribute__((naked, noreturn)) void Reset_Handler(void)
{
    __asm volatile("ldr r0, =stack_bottom \n"
                   "ldr r1, =stack_top    \n"
                   "ldr r2, =0xdeadbeef   \n"
                   "1: stmia r0!, {r2}    \n"
                   "cmp r0, r1            \n"
                   "blo 1b                \n"
                   "bl start              \n");
}

/* The stack may be what failed: the report gets a new one. */
__attribute__((naked)) void Fault_Handler(void)
{
    __asm volatile("mrs r0, msp           \n"
                   "ldr r1, =stack_top    \n"
                   "msr msp, r1           \n"
                   "bl fault              \n");
}

/* A board names the interrupts that it uses. */
__attribute__((weak, alias("Fault_Handler"))) void SysTick_Handler(void);
__attribute__((weak, alias("Fault_Handler"))) void UART0_Handler(void);
__attribute__((weak, alias("Fault_Handler"))) void TIMER0_Handler(void);

typedef union vector {
    uint32_t *stack;
    void (*handler)(void);
} vector;

/* clang-format off */
__attribute__((section(".vectors"), used))
static const vector vectors[16 + 32] = {
    { stack_top },
    { .handler = Reset_Handler },
    { .handler = Fault_Handler }, /* NMI */
    { .handler = Fault_Handler }, /* HardFault */
    { .handler = Fault_Handler }, /* MemManage */
    { .handler = Fault_Handler }, /* BusFault */
    { .handler = Fault_Handler }, /* UsageFault */
    [11] = { .handler = Fault_Handler }, /* SVCall */
    [12] = { .handler = Fault_Handler }, /* DebugMonitor */
    [14] = { .handler = Fault_Handler }, /* PendSV */
    [15] = { .handler = SysTick_Handler },
    [16 + 2] = { .handler = UART0_Handler }, /* nRF51 */
    [16 + 8] = { .handler = TIMER0_Handler }, /* nRF51 */
};
/* clang-format on */

void start(void)
{
    memcpy(data_start, data_load,
        (size_t)((char *)data_end - (char *)data_start));
    memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
    board_exit(main());
}

void fault(const uint32_t *frame)
{
    board_print("fault");
    if (frame >= stack_bottom && frame + 8 <= stack_top) {
        board_print(" at=");
        board_print_number(frame[6]);
        board_print(" called_from=");
        board_print_number(frame[5]);
    } else {
        board_print(" of the stack");
    }
    board_print("\n");
    board_exit(STATUS_FAULT);
}

uint32_t board_stack_size(void)
{
    return (uint32_t)((char *)stack_top - (char *)stack_bottom);
}

uint32_t board_stack_used(void)
{
    const volatile uint32_t *at = stack_bottom;

    while (at < stack_top && *at == PAINT) at++;
    return (uint32_t)((char *)stack_top - (const volatile char *)at);
}

void board_restart(void)
{
    BOARD_REGISTER(0xe000ed0c) = 0x05fa0004; /* AIRCR: SYSRESETREQ */
    for (;;) {
    }
}
