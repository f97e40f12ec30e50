/* Clocks from the SysTick timer, for boards that have it. */
#ifndef SYSTICK_H
#define SYSTICK_H

#include "board.h"

/* Ticks once a millisecond; fills in monotonic_ms, unix_ms and entropy. */
void board_start_clock(dynalock_platform *platform, uint32_t hz);

#endif
