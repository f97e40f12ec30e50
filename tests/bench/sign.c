/*
Signs the request of sign.h N times: what a signature costs is what 2 N of them
cost more than N.

    sign N
*/
#define DYNALOCK_NO_TLS
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#include <stdio.h>
#include <stdlib.h>

#include "sign.h"

int main(int argc, char **argv)
{
    dynalock_signing_key key;
    char header[512];
    size_t size = 0;
    long i, n = argc == 2 ? strtol(argv[1], NULL, 10) : 0;

    memset(&key, 0, sizeof key);
    for (i = 0; i < n; i++) size = sign(&key, header, sizeof header);
    return fwrite(header, 1, size, stdout) == size && size != 0 ? 0 : 1;
}
