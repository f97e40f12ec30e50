/* Texts to and from a serial modem. */
#ifndef AT_TEXT_H
#define AT_TEXT_H

#include <stddef.h>
#include <stdint.h>

void at_put(const char *text);
void at_put_number(uint32_t number);
/* The decimal number at the beginning, of so many digits at most. */
uint32_t at_number(const char *text, size_t digits);
/* Of "yy/MM/dd,hh:mm:ss"; 0: the modem has no time from its network yet. */
int64_t at_unix_ms(const char *text);

#endif
