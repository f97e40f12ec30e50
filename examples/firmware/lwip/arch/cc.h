/* What lwIP asks of the compiler. */
#ifndef CC_H
#define CC_H

#include <stdint.h>

uint32_t port_lwip_random(void);
void board_print(const char *text);
void board_exit(int status);

#define LWIP_NO_UNISTD_H 1
#define LWIP_RAND() port_lwip_random()
#define LWIP_PLATFORM_DIAG(message) ((void)0)
#define LWIP_PLATFORM_ASSERT(message)                                         \
    do {                                                                      \
        board_print("lwIP: " message "\n");                                   \
        board_exit(98);                                                       \
    } while (0)

#endif
