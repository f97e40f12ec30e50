/*
A resource that remembers the highest fence it has seen and refuses lower ones:
here a file of one line, "FENCE WRITER". A database does the same with a
condition on each write ("... IF fence <= :mine").
*/
#ifndef FENCED_FILE_H
#define FENCED_FILE_H

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 1: written. 0: refused, somebody with a higher fence was here. -1: the file
   cannot be used. */
static int fenced_write(const char *path, uint64_t fence, const char *writer)
{
    char line[128] = "";
    int fd = open(path, O_RDWR | O_CREAT, 0600), size, ok = -1;
    uint64_t highest;

    if (fd < 0) return -1;
    if (lockf(fd, F_LOCK, 0) == 0 && read(fd, line, sizeof line - 1) >= 0) {
        highest = strtoull(line, NULL, 10);
        ok = fence >= highest;
        size = snprintf(line, sizeof line, "%" PRIu64 " %s\n", fence, writer);
        if (ok && (pwrite(fd, line, (size_t)size, 0) != size ||
                      ftruncate(fd, size) != 0))
            ok = -1;
    }
    (void)close(fd); /* unlocks */
    return ok;
}

#endif
