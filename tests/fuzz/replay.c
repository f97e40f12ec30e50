/*
Feeds files to a fuzz target, each once, in the order of their names, without a
fuzzing engine: any compiler will do, and every run is the same.

    build/replay/NAME FILE|DIRECTORY...

The last line is how many there were. None is an error.
*/
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned count;

static void fail(const char *path)
{
    perror(path);
    exit(2);
}

/* In memory of just its size. */
static void feed_file(const char *path, size_t size)
{
    uint8_t *data = (uint8_t *)malloc(size != 0 ? size : 1);
    FILE *file = fopen(path, "rb");

    if (data == NULL || file == NULL || fread(data, 1, size, file) != size)
        fail(path);
    (void)fclose(file);
    printf("%s\n", path);
    (void)fflush(stdout); /* the target may end the program */
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    count++;
}

static void feed(const char *path);

static void feed_directory(const char *path)
{
    struct dirent **entries;
    int i, n = scandir(path, &entries, NULL, alphasort);
    char below[4096];

    if (n < 0) fail(path);
    for (i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            (void)snprintf(
                below, sizeof below, "%s/%s", path, entries[i]->d_name);
            feed(below);
        }
        free(entries[i]);
    }
    free(entries);
}

static void feed(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0) fail(path);
    if (S_ISDIR(status.st_mode)) feed_directory(path);
    else feed_file(path, (size_t)status.st_size);
}

int main(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) feed(argv[i]);
    printf("%u inputs\n", count);
    return count == 0;
}
