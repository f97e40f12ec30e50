/* What newlib and cmocka ask of a system: a console, a heap, an exit. */
#include "board.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char heap_start[], ram_end[];

int _write(int file, const char *data, int size);
int _write(int file, const char *data, int size)
{
    char piece[65];
    int done, n;

    (void)file;
    for (done = 0; done < size; done += n) {
        n = size - done < 64 ? size - done : 64;
        memcpy(piece, data + done, (size_t)n);
        piece[n] = '\0';
        board_print(piece);
    }
    return size;
}

void *_sbrk(ptrdiff_t size);
void *_sbrk(ptrdiff_t size)
{
    static char *heap_end = heap_start;
    char *before = heap_end;

    if (size > ram_end - heap_end) {
        errno = ENOMEM;
        return (void *)-1;
    }
    heap_end += size;
    return before;
}

void _exit(int status)
{
    board_exit(status);
    for (;;) {
    }
}

int _fstat(int file, struct stat *status);
int _fstat(int file, struct stat *status)
{
    (void)file;
    status->st_mode = S_IFCHR;
    return 0;
}

int _isatty(int file);
int _isatty(int file)
{
    (void)file;
    return 1;
}

int _read(int file, char *data, int size);
int _read(int file, char *data, int size)
{
    (void)file;
    (void)data;
    (void)size;
    return 0;
}

int _close(int file);
int _close(int file)
{
    (void)file;
    return -1;
}

int _lseek(int file, int offset, int whence);
int _lseek(int file, int offset, int whence)
{
    (void)file;
    (void)offset;
    (void)whence;
    return 0;
}

int _kill(int process, int signal);
int _kill(int process, int signal)
{
    (void)process;
    _exit(128 + signal);
    return 0;
}

int _getpid(void);
int _getpid(void)
{
    return 1;
}
