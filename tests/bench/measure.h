/* What the measured programs share: failing, and the clocks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define WARM_UP 20 /* cycles before the first that counts */

static double wall_start, cpu_start;

static void fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static double wall_seconds(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) fail("no clock");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage used;

    if (getrusage(RUSAGE_SELF, &used) != 0) fail("no CPU time");
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static inline void start_measuring(void)
{
    wall_start = wall_seconds();
    cpu_start = cpu_seconds();
}

static inline void print_measured(void)
{
    double wall = wall_seconds() - wall_start;

    printf("%.6f %.6f\n", wall, cpu_seconds() - cpu_start);
}
