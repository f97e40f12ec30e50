/*
The command that runs under the lock, and what keeps it from running without.

It leads a process group of its own. The kernel kills it when this program dies
(PR_SET_PDEATHSIG), and a guard sees to its whole group: a process of its own
that knows when to send TERM and KILL, on a clock that counts suspension. So
the command does not outlive the lock either when this program is stopped,
killed, or waits for a name to be resolved. What leaves the group (setsid) is
not guarded.
*/
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* ---- finding it ---- */

/* CODE_OK, CODE_NOT_EXECUTABLE or CODE_NOT_FOUND */
static int judge(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return errno == EACCES ? CODE_NOT_EXECUTABLE : CODE_NOT_FOUND;
    if (S_ISDIR(status.st_mode) || access(path, X_OK) != 0)
        return CODE_NOT_EXECUTABLE;
    return CODE_OK;
}

static int judge_in(const char *directory, size_t size, const char *name)
{
    char path[4096];

    if (size + strlen(name) + 2 > sizeof path) return CODE_NOT_FOUND;
    memcpy(path, directory, size);
    path[size] = '/';
    strcpy(path + size + (size != 0), name); /* empty: here */
    return judge(path);
}

int child_find(const char *name)
{
    const char *at = getenv("PATH");
    int worst = CODE_NOT_FOUND, found;
    size_t size;

    if (*name == '\0') return CODE_NOT_FOUND;
    if (strchr(name, '/') != NULL) return judge(name);
    if (at == NULL) at = "/bin:/usr/bin";
    for (;; at += size + 1) {
        size = strcspn(at, ":");
        found = judge_in(at, size, name);
        if (found == CODE_OK) return CODE_OK;
        if (found == CODE_NOT_EXECUTABLE) worst = found;
        if (at[size] == '\0') return worst;
    }
}

/* ---- the guard ---- */

static void wait_until(int timer, uint64_t boot)
{
    struct itimerspec when;

    memset(&when, 0, sizeof when);
    when.it_value.tv_sec = (time_t)(boot / 1000);
    when.it_value.tv_nsec = (long)(boot % 1000) * 1000000 + 1;
    (void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* A time has come. Whether it was the last. */
static int guard_act(cli_times *times, pid_t target)
{
    if (boot_ms() >= times->kill_at) {
        (void)kill(target, SIGKILL);
        return 1;
    }
    (void)kill(target, SIGTERM);
    times->term_at = times->kill_at;
    return 0;
}

/* Other times, or the end. Whether it is the end. */
static int guard_read(int from, cli_times *times, pid_t target)
{
    if (read(from, times, sizeof *times) != (ssize_t)sizeof *times)
        times->kill_at = 0; /* this program is gone */
    else if (times->kill_at == UINT64_MAX) return 1;
    return times->kill_at == 0 && guard_act(times, target);
}

static void guard_watch(int from, int timer, cli_times times, pid_t target)
{
    struct pollfd polled[2];
    int over = 0;

    memset(polled, 0, sizeof polled);
    polled[0].fd = from;
    polled[1].fd = timer;
    polled[0].events = polled[1].events = POLLIN;
    while (!over) {
        wait_until(timer, times.term_at);
        if (poll(polled, 2, -1) < 0) continue;
        if (polled[0].revents != 0) over = guard_read(from, &times, target);
        else if (polled[1].revents != 0) over = guard_act(&times, target);
    }
}

/* Terminals and pipes must not stay open for the guard's sake. */
static void guard_let_go(int from, int timer)
{
    int descriptor, most = (int)sysconf(_SC_OPEN_MAX);

    if (most < 0 || most > 1024) most = 1024;
    for (descriptor = 0; descriptor < most; descriptor++)
        if (descriptor != from && descriptor != timer) (void)close(descriptor);
}

static void guard_run(int from, pid_t target, cli_times times)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1,
        SIGUSR2, SIGTSTP, SIGPIPE };
    int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
    size_t i;

    for (i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)setsid(); /* out of reach of the terminal */
    (void)prctl(PR_SET_NAME, "dynalock-guard", 0, 0, 0);
    guard_let_go(from, timer);
    if (timer < 0) _exit(1);
    guard_watch(from, timer, times, target);
    _exit(0);
}

static pid_t target_of(const cli_child *child)
{
    return child->own_group ? -child->id : child->id;
}

static int guard_start(cli_child *child, cli_times times)
{
    int ends[2];

    if (times.kill_at == 0) return 0;
    if (pipe(ends) != 0) return -1;
    child->guard = fork();
    if (child->guard == 0) {
        (void)close(ends[1]);
        guard_run(ends[0], target_of(child), times);
    }
    (void)close(ends[0]);
    child->guard_pipe = ends[1];
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return child->guard > 0 ? 0 : -1;
}

void child_guard(cli_child *child, cli_times times)
{
    /* A guard that is stopped has a full pipe in the end; one that was killed
       has none. Nothing can be done about either. */
    if (child->guard > 0 && write(child->guard_pipe, &times, sizeof times) < 0)
        return;
}

static void guard_end(cli_child *child)
{
    static const cli_times never = { UINT64_MAX, UINT64_MAX };

    if (child->guard <= 0) return;
    child_guard(child, never);
    (void)close(child->guard_pipe);
    while (waitpid(child->guard, NULL, 0) < 0 && errno == EINTR) {
    }
    child->guard = 0;
}

/* ---- the terminal ---- */

/* With a pipe on one side, others of the pipeline may want the terminal. */
static void find_terminal(cli_child *child)
{
    if (!child->own_group || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return;
    child->terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
}

static int in_foreground(const cli_child *child)
{
    return child->terminal >= 0 && tcgetpgrp(child->terminal) == getpgrp();
}

static void hand_terminal_over(cli_child *child)
{
    if (in_foreground(child) && tcsetpgrp(child->terminal, child->id) == 0)
        child->owns_terminal = 1;
}

void child_take_terminal_back(cli_child *child)
{
    if (child->owns_terminal) (void)tcsetpgrp(child->terminal, getpgrp());
    child->owns_terminal = 0;
}

/* ---- starting ---- */

/* In the new process, up to the command. */
static void become(
    char **command, int own_group, pid_t parent, int gate, int failure)
{
    char go;

    if (own_group) (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(CODE_SIGNAL + SIGKILL); /* too late */
    signals_restore();
    /* Not before the guard is there and the terminal handed over. */
    if (read(gate, &go, 1) != 1) _exit(CODE_SIGNAL + SIGKILL);
    (void)execvp(command[0], command);
    gate = errno;
    if (write(failure, &gate, sizeof gate) < 0) _exit(CODE_SYSTEM);
    _exit(gate == ENOENT ? CODE_NOT_FOUND : CODE_NOT_EXECUTABLE);
}

static void keep_to_self(int descriptor)
{
    (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

/* Returns the gate's end to open, or -1. */
static int fork_command(cli_child *child, char **command)
{
    int gate[2], failure[2];
    pid_t parent = getpid();

    if (pipe(gate) != 0) return -1;
    if (pipe(failure) != 0) return -1;
    keep_to_self(gate[0]);
    keep_to_self(gate[1]);
    keep_to_self(failure[0]);
    keep_to_self(failure[1]);
    child->id = fork();
    if (child->id == 0) {
        (void)close(gate[1]);
        become(command, child->own_group, parent, gate[0], failure[1]);
    }
    (void)close(gate[0]);
    (void)close(failure[1]);
    child->failure_pipe = failure[0];
    if (child->id > 0 && child->own_group)
        (void)setpgid(child->id, child->id); /* whoever is first */
    return child->id > 0 ? gate[1] : -1;
}

int child_start(
    cli_child *child, char **command, int own_group, cli_times times)
{
    int gate;

    memset(child, 0, sizeof *child);
    child->terminal = child->failure_pipe = -1;
    child->own_group = own_group;
    find_terminal(child);
    gate = fork_command(child, command);
    if (gate < 0 || guard_start(child, times) != 0)
        return complain(CODE_SYSTEM, "%s: cannot start a process (%s).",
            command[0], strerror(errno));
    signals_catch_stop();
    hand_terminal_over(child);
    if (write(gate, "", 1) != 1) child_signal(child, SIGKILL);
    (void)close(gate);
    return 0;
}

/* ---- while it runs ---- */

void child_signal(cli_child *child, int number)
{
    if (child->id > 0) (void)kill(target_of(child), number);
}

void child_look(cli_child *child)
{
    int status;

    while (!child->ended &&
           waitpid(child->id, &status, WNOHANG | WUNTRACED | WCONTINUED) > 0) {
        if (WIFSTOPPED(status)) child->stopped_by = WSTOPSIG(status);
        else child->stopped_by = 0;
        if (!WIFEXITED(status) && !WIFSIGNALED(status)) continue;
        child->ended = 1;
        child->status = status;
    }
}

int child_is_gone(cli_child *child)
{
    if (!child->ended) return 0;
    return !child->own_group || kill(-child->id, 0) != 0;
}

void child_resume(cli_child *child)
{
    hand_terminal_over(child);
    child->stopped_by = 0;
    child_signal(child, SIGCONT);
}

/* As a shell expects it of a job: all of it stops. A command that wanted the
   terminal, which is ours to give, gets it instead. */
void child_suspend(cli_child *child)
{
    int by = child->stopped_by;

    if (by == SIGSTOP) return; /* somebody's own business: stays so */
    child_take_terminal_back(child);
    if ((by == SIGTTIN || by == SIGTTOU) && in_foreground(child)) return;
    signals_release_stop();
    (void)kill(0, SIGTSTP);
    signals_catch_stop();
}

static int explain_failure(const cli_child *child, const char *name)
{
    int error = 0;

    if (read(child->failure_pipe, &error, sizeof error) !=
        (ssize_t)sizeof error)
        return 0;
    return complain(error == ENOENT ? CODE_NOT_FOUND : CODE_NOT_EXECUTABLE,
        "%s: it cannot be executed (%s).", name, strerror(error));
}

int child_finish(cli_child *child, const char *name)
{
    int code = 0;

    guard_end(child);
    child_take_terminal_back(child);
    signals_release_stop();
    if (child->failure_pipe >= 0 && child->ended)
        code = explain_failure(child, name);
    if (child->failure_pipe >= 0) (void)close(child->failure_pipe);
    if (child->terminal >= 0) (void)close(child->terminal);
    return code;
}
