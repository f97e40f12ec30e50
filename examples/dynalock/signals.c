/* Signals as bytes in a pipe, so that poll(2) waits for them with all else. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1,
    SIGUSR2, SIGWINCH, SIGCONT, SIGCHLD };
#define CAUGHT_COUNT (sizeof caught / sizeof caught[0])

static int ends[2] = { -1, -1 };
static struct sigaction found[CAUGHT_COUNT];
static struct sigaction found_pipe, found_stop, found_output;
static sigset_t found_mask;

static void take(int number)
{
    unsigned char byte = (unsigned char)number;
    int kept = errno;

    /* A full pipe has plenty to be read already. */
    if (write(ends[1], &byte, 1) < 0) byte = 0;
    errno = kept;
}

static void catch_one(int number, struct sigaction *before)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = take;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, NULL, before);
    /* What nohup or a shell has switched off stays so; but children count. */
    if (before->sa_handler == SIG_IGN && number != SIGCHLD) return;
    (void)sigaction(number, &action, NULL);
}

static void ignore_one(int number, struct sigaction *before)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    (void)sigaction(number, &action, before);
}

void signals_catch(void)
{
    sigset_t none;
    size_t i;

    if (pipe(ends) != 0) abort(); /* no descriptor is left at the very start */
    for (i = 0; i < 2; i++) {
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    for (i = 0; i < CAUGHT_COUNT; i++) catch_one(caught[i], &found[i]);
    ignore_one(SIGPIPE, &found_pipe);
    /* To say something, and to hand over the terminal, from the background. */
    ignore_one(SIGTTOU, &found_output);
    (void)sigaction(SIGTSTP, NULL, &found_stop);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, &found_mask);
}

void signals_catch_stop(void)
{
    catch_one(SIGTSTP, &found_stop);
}

void signals_release_stop(void)
{
    (void)sigaction(SIGTSTP, &found_stop, NULL);
}

int signals_descriptor(void)
{
    return ends[0];
}

int signals_next(void)
{
    unsigned char byte;

    return ends[0] >= 0 && read(ends[0], &byte, 1) == 1 ? byte : 0;
}

/* Of those that a command is sent to end it. */
int signals_ends(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP ||
           number == SIGQUIT || number == SIGUSR1 || number == SIGUSR2;
}

void signals_restore(void)
{
    size_t i;

    for (i = 0; i < CAUGHT_COUNT; i++)
        (void)sigaction(caught[i], &found[i], NULL);
    (void)sigaction(SIGPIPE, &found_pipe, NULL);
    (void)sigaction(SIGTTOU, &found_output, NULL);
    (void)sigaction(SIGTSTP, &found_stop, NULL);
    (void)sigprocmask(SIG_SETMASK, &found_mask, NULL);
}
