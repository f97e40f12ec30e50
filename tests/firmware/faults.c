/* Does what no program may: fault=NAME. The board must report it and stop;
   "none" is the control. */
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include "board.h"
#include <string.h>

#define WORD(address) (*(volatile uint32_t *)(address))

extern uint32_t ram_end[], guard[]; /* the guard is below the stack */
static dynalock_platform platform;

static uint32_t deeper(uint32_t depth)
{
    volatile uint32_t frame[64];

    frame[0] = depth;
    return depth == 0 ? 0 : deeper(depth - 1) + frame[0];
}

static void cause(const char *fault)
{
    if (strcmp(fault, "write-flash") == 0) WORD(0x1000) = 1;
    if (strcmp(fault, "read-beyond-flash") == 0) (void)WORD(512 * 1024);
    if (strcmp(fault, "write-beyond-ram") == 0) WORD(ram_end) = 1;
    if (strcmp(fault, "write-below-stack") == 0) WORD(guard) = 1;
    if (strcmp(fault, "stack-overflow") == 0) (void)deeper(1000);
    if (strcmp(fault, "call-nothing") == 0) ((void (*)(void))0x00300001)();
    if (strcmp(fault, "run-data") == 0) {
        static uint16_t code[2] = { 0x4770, 0x4770 }; /* bx lr */

        ((void (*)(void))((uintptr_t)code | 1))();
    }
}

int main(void)
{
    board_start(&platform);
    board_print("started\n");
    cause(board_setting("fault"));
    board_print("survived\n");
    return 0;
}
