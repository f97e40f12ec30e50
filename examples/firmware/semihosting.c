/* Console, settings, date and entropy, all from the debugger (or QEMU) that
   the board hangs on: developer.arm.com, "Semihosting for AArch32". A product
   has other sources; the application does not see a difference. */
#include "board.h"
#include <string.h>

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_READ = 0x06,
    SYS_TIME = 0x11,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20
};
#define APPLICATION_EXIT 0x20026u

static char settings[192]; /* "name=value", each with its NUL */
static uint32_t settings_size;

static uint32_t ask(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;

    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_print(const char *text)
{
    (void)ask(SYS_WRITE0, text);
}

void board_print_number(uint64_t number)
{
    char digits[21];
    char *at = digits + sizeof digits - 1;

    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    board_print(at);
}

void board_exit(int status)
{
    uint32_t block[2] = { APPLICATION_EXIT, (uint32_t)status };

    (void)ask(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

uint32_t board_unix_seconds(void)
{
    return ask(SYS_TIME, NULL);
}

static void read_settings(void)
{
    uint32_t block[2] = { (uint32_t)settings, sizeof settings };
    char *at;

    if (ask(SYS_GET_CMDLINE, block) != 0) {
        board_print("the command line is too long\n");
        board_exit(1);
    }
    settings_size = (uint32_t)strlen(settings) + 1;
    for (at = settings; *at != '\0'; at++)
        if (*at == ' ') *at = '\0';
}

const char *board_setting(const char *name)
{
    size_t size = strlen(name);
    uint32_t at;

    if (settings_size == 0) read_settings();
    for (at = 0; at < settings_size; at += (uint32_t)strlen(settings + at) + 1)
        if (memcmp(settings + at, name, size) == 0 &&
            settings[at + size] == '=')
            return settings + at + size + 1;
    return "";
}

uint32_t board_setting_number(const char *name)
{
    const char *at = board_setting(name);
    uint32_t number = 0;

    for (; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint32_t)(*at - '0');
    return number;
}

void board_entropy_of_host(void *out, size_t size)
{
    static const char file[] = "/dev/urandom";
    uint32_t open[3] = { (uint32_t)file, 1, sizeof file - 1 };
    uint32_t handle = ask(SYS_OPEN, open);
    uint32_t read[3] = { handle, (uint32_t)out, size };

    if (handle == 0xffffffff || ask(SYS_READ, read) != 0) {
        board_print("no entropy\n");
        board_exit(1);
    }
    (void)ask(SYS_CLOSE, &handle);
}
