#include "at_text.h"
#include "board.h"

void at_put(const char *text)
{
    while (*text != '\0') board_uart_put((uint8_t)*text++);
}

void at_put_number(uint32_t number)
{
    char digits[11];
    char *at = digits + sizeof digits - 1;

    *at = '\0';
    do *--at = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    at_put(at);
}

uint32_t at_number(const char *at, size_t digits)
{
    uint32_t number = 0;

    for (; digits-- != 0 && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint32_t)(*at - '0');
    return number;
}

/* "yy/MM/dd,hh:mm:ss+00"; days by Howard Hinnant's "days_from_civil", for
   years that begin in March. */
int64_t at_unix_ms(const char *at)
{
    uint32_t year = 2000 + at_number(at, 2), month = at_number(at + 3, 2);
    uint32_t march = (month + 9) % 12, days;

    if (at_number(at, 2) < 20) return 0; /* not from the network yet */
    year -= month < 3;
    days = 365 * year + year / 4 - year / 100 + year / 400;
    days += (153 * march + 2) / 5 + at_number(at + 6, 2) - 719469;
    days = days * 24 + at_number(at + 9, 2);
    return ((int64_t)days * 3600 + at_number(at + 12, 2) * 60 +
               at_number(at + 15, 2)) *
           1000;
}
