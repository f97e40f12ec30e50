/* What the application and the ports ask of a board. */
#ifndef BOARD_H
#define BOARD_H

#include "dynalock.h"

/* Starts clocks and network, and fills in the hooks. */
void board_start(dynalock_platform *platform);

/* Milliseconds since the start. Never steps back; wraps after 49 days. */
uint32_t board_ms(void);
/* Until the next interrupt, but not longer than ms. */
void board_sleep(uint32_t ms);
void board_entropy(void *out, size_t size);

/* The two wires of a serial modem. -1: no byte has come. */
int board_uart_get(void);
uint32_t board_uart_waiting(void); /* bytes that have come */
void board_uart_put(uint8_t byte);

/* ---- semihosting.c: a console and settings, from the debugger ---- */

void board_print(const char *text);
void board_print_number(uint64_t number);
/* The value of "name=value" on the command line; "" if it is not there. */
const char *board_setting(const char *name);
uint32_t board_setting_number(const char *name);
uint32_t board_unix_seconds(void); /* the debugger's clock */
void board_entropy_of_host(void *out, size_t size);

/* ---- startup.c ---- */

/* What has been used of the stack at most, of how many bytes. */
uint32_t board_stack_used(void);
uint32_t board_stack_size(void);
void board_restart(void);
void board_exit(int status);

/* Memory that keeps its content over a restart (not over a power loss). */
#define BOARD_NOINIT __attribute__((section(".noinit")))

#define BOARD_REGISTER(address) (*(volatile uint32_t *)(address))

#endif
