/*
dynalock run: holds the lock while a command runs.

    WAITING   the lock is not held; a signal ends it, nothing was started
    RUNNING   held, the command runs
    ENDING    the lock is lost, or about to be: TERM was sent
    KILLED    KILL was sent
    GONE      nothing is left of the command: the lock is given back

    WAITING -> RUNNING            granted
    RUNNING -> ENDING             lost, or not renewed until `grace` before
                                  the lease ends
    RUNNING, ENDING -> KILLED     kill_at, shortly before the lease ends
    RUNNING, ENDING, KILLED -> GONE

Every turn of the loop looks at the clock first: after a stop or a suspension
the lease may be over, which the guard has then acted on already (child.c).
*/
#include "command.h"

#include <sys/wait.h>

typedef enum cli_phase {
    PHASE_WAITING,
    PHASE_RUNNING,
    PHASE_ENDING,
    PHASE_KILLED,
    PHASE_GONE
} cli_phase;

typedef struct cli_run {
    cli_session session;
    const cli_options *options;
    dynalock_lock lock;
    dynalock_alarm alarm;
    cli_child child;
    cli_phase phase;
    const char *key;
    uint32_t lease_ms, grace_ms;
    uint32_t kill_ms; /* so long before the lease ends the command is killed */
    uint64_t kill_at; /* on the boot clock */
    uint64_t since;   /* start of the wait */
    uint64_t next_note;
    char holder[DYNALOCK_OWNER_SIZE]; /* last told of */
    dynalock_outcome lost;            /* DYNALOCK_OK: not */
    int warned;                       /* --on-lost was obeyed */
    int left_behind;                  /* was told of */
} cli_run;

static cli_run running;

#define GROUP_POLL_MS 50u
#define SETTLE_MS 5000u
#define FIRST_NOTE_MS 1000u
#define NOTE_MS 60000u

/* ---- waiting ---- */

static void note_json(const cli_run *run, uint64_t waited)
{
    json_open(stderr);
    json_text(stderr, "event", "waiting");
    json_text(stderr, "key", run->key);
    json_number(stderr, "waited_ms", waited);
    json_text(stderr, "holder", run->holder[0] != '\0' ? run->holder : NULL);
    json_number(
        stderr, "holder_lease_ms", run->session.client.detail.holder_lease_ms);
    json_close(stderr);
}

static void note_holder(const cli_run *run, uint64_t waited, int stays)
{
    char text[512];

    if (run->holder[0] == '\0')
        (void)snprintf(text, sizeof text,
            "waiting for %s, for %s: the service does not answer yet",
            run->key, duration(waited));
    else
        (void)snprintf(text, sizeof text,
            "waiting for %s, for %s: held by %s, with a lease of %s", run->key,
            duration(waited), run->holder,
            duration(run->session.client.detail.holder_lease_ms));
    if (stays) note("waiting", "%s", text);
    else note_passing("%s", text);
}

/* On a terminal one line that counts; else one a minute, or sooner when the
   holder is another. */
static void show_waiting(cli_run *run, uint64_t now)
{
    const char *holder = run->session.client.detail.holder;
    int changed = strcmp(holder, run->holder) != 0;
    uint32_t pause = output_errors_on_terminal() ? 1000 : NOTE_MS;

    if (output_is_quiet() || now < run->since + FIRST_NOTE_MS) return;
    if (now + (changed ? pause - pause / 6 : 0) < run->next_note) return;
    run->next_note = now + pause;
    memcpy(run->holder, holder, sizeof run->holder);
    if (output_is_json()) note_json(run, now - run->since);
    else note_holder(run, now - run->since, pause == NOTE_MS);
}

static int is_ended_by_signal(cli_run *run)
{
    int number;

    while ((number = signals_next()) != 0)
        if (signals_ends(number)) run->session.caught = number;
    return run->session.caught != 0;
}

/* DYNALOCK_OK: held, and no signal has come. */
static dynalock_outcome wait_for_lock(cli_run *run)
{
    dynalock_client *client = &run->session.client;
    dynalock_outcome rc =
        dynalock_start_acquire(client, &run->lock, run->options->wait_ms);

    run->since = boot_ms();
    while (rc == DYNALOCK_AGAIN && !is_ended_by_signal(run)) {
        (void)dynalock_poll(client);
        rc = dynalock_result(&run->lock.operation);
        if (rc != DYNALOCK_AGAIN) break;
        show_waiting(run, boot_ms());
        session_sleep(&run->session, 1000);
    }
    return is_ended_by_signal(run) ? DYNALOCK_CANCELLED : rc;
}

static int busy(const cli_run *run)
{
    const dynalock_detail *detail = &run->session.client.detail;

    note("busy", "%s: held by %s, with a lease of %s.", run->key,
        detail->holder, duration(detail->holder_lease_ms));
    return run->options->busy_code;
}

/* Closing also takes back what may have been granted meanwhile, and wipes what
   could be told. */
static int refused(cli_run *run, dynalock_outcome rc)
{
    int code = code_of(rc);

    if (rc == DYNALOCK_BUSY || rc == DYNALOCK_TIMEOUT) code = busy(run);
    else if (rc != DYNALOCK_UNKNOWN && run->session.caught == 0)
        code = complain_of(rc, &run->session.client, run->key);
    if (session_close(&run->session, SETTLE_MS) == DYNALOCK_OK &&
        rc == DYNALOCK_UNKNOWN)
        return complain_of(DYNALOCK_NO_ANSWER, NULL, run->key);
    if (run->session.caught != 0) return CODE_SIGNAL + run->session.caught;
    if (rc == DYNALOCK_UNKNOWN) (void)complain_of(rc, NULL, run->key);
    return code;
}

/* ---- losing it ---- */

static void obey_on_lost(cli_run *run)
{
    if (run->warned) return;
    run->warned = 1;
    if (run->options->on_lost == ON_LOST_SIGNAL)
        child_signal(&run->child, run->options->lost_signal);
}

/* The guard steps in a little later than this program should have, so that
   TERM comes once. */
static cli_times guard_times(const cli_run *run)
{
    cli_times times = { 0, 0 };
    uint64_t late = run->grace_ms < 800 ? run->grace_ms / 8 : 100;

    if (run->options->on_lost != ON_LOST_KILL) return times;
    times.kill_at = run->kill_at;
    times.term_at = run->phase == PHASE_ENDING
                        ? run->kill_at
                        : run->kill_at + run->kill_ms - run->grace_ms + late;
    return times;
}

/* The command is told to end, and has until kill_at. */
static void end_command(cli_run *run, dynalock_outcome why, uint64_t now)
{
    if (run->lost == DYNALOCK_OK || run->lost == DYNALOCK_DANGER)
        if (run->lost != why)
            note("lost", "%s: %s%s", run->key,
                why == DYNALOCK_DANGER ? "The lease could not be renewed."
                                       : dynalock_explain(why),
                run->options->on_lost == ON_LOST_KILL && !run->child.ended
                    ? " The command is ended."
                    : "");
    run->lost = why;
    if (run->options->on_lost != ON_LOST_KILL) obey_on_lost(run);
    if (run->options->on_lost != ON_LOST_KILL || run->phase != PHASE_RUNNING)
        return;
    run->phase = PHASE_ENDING;
    if (run->kill_at > now + run->grace_ms) run->kill_at = now + run->grace_ms;
    child_guard(&run->child, guard_times(run));
    child_signal(&run->child, SIGTERM);
}

static void kill_in_time(cli_run *run, uint64_t now)
{
    if (run->options->on_lost != ON_LOST_KILL || now < run->kill_at) return;
    if (run->phase != PHASE_RUNNING && run->phase != PHASE_ENDING) return;
    run->phase = PHASE_KILLED;
    child_signal(&run->child, SIGKILL);
    if (run->lost == DYNALOCK_OK) run->lost = DYNALOCK_LOST_EXPIRED;
}

/* Once it was told to end, the command gets no more time by a late renewal. */
static void look_at_lock(cli_run *run)
{
    const dynalock_client *client = &run->session.client;
    dynalock_outcome state = dynalock_check(client, &run->lock);
    uint64_t now = boot_ms(), kill_at;

    if (run->phase != PHASE_RUNNING) return;
    kill_at = now + dynalock_remaining_ms(client, &run->lock) - run->kill_ms;
    if ((state == DYNALOCK_OK || state == DYNALOCK_DANGER) &&
        kill_at > run->kill_at + 1) {
        run->kill_at = kill_at;
        child_guard(&run->child, guard_times(run));
    }
    if (state == DYNALOCK_OK) return;
    if (run->warned && run->lost != DYNALOCK_DANGER) return;
    end_command(run, state, now);
}

/* ---- the command runs ---- */

static void pass_signal(cli_run *run, int number)
{
    int keyboard = number == SIGINT || number == SIGQUIT ||
                   number == SIGTSTP || number == SIGWINCH;

    if (number == SIGCHLD) return;
    if (number == SIGCONT && run->child.stopped_by != 0 &&
        run->child.stopped_by != SIGSTOP)
        child_resume(&run->child);
    else if (run->child.own_group || !keyboard) /* else it has it already */
        child_signal(&run->child, number);
}

static void look_at_command(cli_run *run)
{
    int was_stopped, number;

    /* Signals first: that of a child must not be taken after the look. */
    while ((number = signals_next()) != 0) pass_signal(run, number);
    was_stopped = run->child.stopped_by;
    child_look(&run->child);
    if (run->child.stopped_by != 0 && was_stopped == 0) {
        child_suspend(&run->child);
        kill_in_time(run, boot_ms()); /* before it is let run on */
        if (run->phase == PHASE_RUNNING && run->child.stopped_by != SIGSTOP)
            child_resume(&run->child);
    }
    if (child_is_gone(&run->child)) run->phase = PHASE_GONE;
    else if (run->child.ended && !run->left_behind) {
        run->left_behind = 1;
        note("left",
            "%s: the command has ended, but processes that it "
            "started have not: held until they end.",
            run->key);
    }
}

static uint32_t turn_ms(const cli_run *run, uint64_t now)
{
    uint64_t ms = run->child.ended ? GROUP_POLL_MS : 60000;

    if (run->options->on_lost == ON_LOST_KILL && run->phase < PHASE_KILLED &&
        run->kill_at < now + ms)
        ms = run->kill_at > now ? run->kill_at - now : 0;
    return (uint32_t)ms;
}

static void supervise(cli_run *run)
{
    while (run->phase != PHASE_GONE) {
        kill_in_time(run, boot_ms());
        (void)dynalock_poll(&run->session.client);
        look_at_lock(run);
        look_at_command(run);
        if (run->phase != PHASE_GONE)
            session_sleep(&run->session, turn_ms(run, boot_ms()));
    }
}

/* ---- before and after ---- */

static void put_environment(const cli_run *run)
{
    char number[24];
    uint64_t ends =
        boot_ms() + dynalock_remaining_ms(&run->session.client, &run->lock);

    (void)setenv("DYNALOCK_KEY", run->key, 1);
    (void)setenv("DYNALOCK_TABLE", run->session.client.config.table, 1);
    (void)setenv("DYNALOCK_OWNER", run->session.client.config.owner, 1);
    (void)snprintf(
        number, sizeof number, "%" PRIu64, dynalock_fence(&run->lock));
    (void)setenv("DYNALOCK_FENCE", number, 1);
    (void)snprintf(number, sizeof number, "%" PRIu64, ends);
    (void)setenv("DYNALOCK_DEADLINE", number, 1);
    (void)snprintf(number, sizeof number, "%" PRIu32, run->lease_ms);
    (void)setenv("DYNALOCK_LEASE_MS", number, 1);
}

static int start_command(cli_run *run, char **command)
{
    uint64_t now = boot_ms();
    uint32_t remaining =
        dynalock_remaining_ms(&run->session.client, &run->lock);

    run->kill_at = now + remaining - run->kill_ms;
    put_environment(run);
    return child_start(
        &run->child, command, !run->options->foreground, guard_times(run));
}

static int status_of(const cli_child *child)
{
    if (WIFSIGNALED(child->status))
        return CODE_SIGNAL + WTERMSIG(child->status);
    return WEXITSTATUS(child->status);
}

static int is_loss(dynalock_outcome outcome)
{
    return outcome <= DYNALOCK_LOST_EXPIRED &&
           outcome >= DYNALOCK_LOST_RELEASED;
}

/* The guard kept the command within the lease: that the lease has run out
   since, while this program was stopped, is no loss. */
static int give_back(cli_run *run, int code)
{
    uint32_t left = dynalock_remaining_ms(&run->session.client, &run->lock);
    dynalock_outcome rc;

    /* After the lease there is nothing to wait for. */
    rc = session_close(&run->session, left < SETTLE_MS ? left : SETTLE_MS);
    if (run->lost != DYNALOCK_OK)
        return run->options->on_lost == ON_LOST_KILL ? run->options->lost_code
                                                     : code;
    if (rc == DYNALOCK_OK || rc == DYNALOCK_LOST_EXPIRED) return code;
    if (is_loss(rc)) {
        note("lost", "%s: %s It was while the command ran.", run->key,
            dynalock_explain(rc));
        return run->options->lost_code;
    }
    note("unreleased",
        "%s: it could not be given back; others wait until the "
        "lease ends. %s",
        run->key, dynalock_explain(rc));
    return code;
}

static int hold(cli_run *run, char **command)
{
    int code = start_command(run, command), failure;

    if (code != 0) {
        child_signal(&run->child, SIGKILL);
        (void)session_close(&run->session, SETTLE_MS);
        return code;
    }
    run->phase = PHASE_RUNNING;
    supervise(run);
    failure = child_finish(&run->child, command[0]);
    code = give_back(run, status_of(&run->child));
    return failure != 0 ? failure : code;
}

static void told(void *context, dynalock_lock *lock, dynalock_outcome state)
{
    (void)context; /* look_at_lock asks in every turn: this only wakes it */
    (void)lock;
    (void)state;
}

static dynalock_outcome set_up(cli_run *run)
{
    dynalock_lock_options lock;
    dynalock_outcome rc;

    memset(&lock, 0, sizeof lock);
    lock.key = run->key;
    lock.sort_key = run->options->sort_key;
    rc = dynalock_lock_init(&run->lock, &lock);
    if (rc != DYNALOCK_OK) return rc;
    run->alarm.safe_ms = run->grace_ms;
    run->alarm.notify = told;
    return dynalock_set_alarm(&run->lock, &run->alarm);
}

/* 5 % of the lease, 20 ms to half a second. */
static uint32_t kill_margin(uint32_t lease_ms)
{
    uint32_t ms = lease_ms / 20;

    if (ms < 20) return 20;
    return ms < 500 ? ms : 500;
}

static int check_usage(cli_run *run, char **command)
{
    const cli_options *options = run->options;
    int found;

    if (options->words == 0)
        return complain(CODE_USAGE,
            "which lock? dynalock run [options] KEY -- COMMAND...");
    if (options->words > 1 || (command == NULL && options->shell == NULL))
        return complain(CODE_USAGE,
            "put -- between the key and the command: "
            "dynalock run [options] KEY -- COMMAND...");
    if (options->shell != NULL && options->command != NULL)
        return complain(CODE_USAGE, "either -c or -- COMMAND, not both.");
    if (command == NULL || command[0] == NULL)
        return complain(CODE_USAGE, "there is no command behind --.");
    run->lease_ms = options->lease_ms != 0 ? options->lease_ms : 20000;
    run->grace_ms =
        options->grace_ms != 0 ? options->grace_ms : run->lease_ms / 4;
    run->kill_ms = kill_margin(run->lease_ms);
    if (run->grace_ms > run->lease_ms / 2)
        return complain(CODE_USAGE,
            "--grace must be at most half of the lease: it is time in which "
            "the lease is no longer waited for.");
    found = child_find(command[0]);
    if (found == CODE_NOT_FOUND)
        return complain(found, "%s: no such command; check its name and PATH.",
            command[0]);
    if (found != 0)
        return complain(found,
            "%s: it is not executable; chmod +x it, or name its interpreter.",
            command[0]);
    return 0;
}

int command_run(const cli_options *options)
{
    static char shell[] = "/bin/sh", flag[] = "-c", *by_shell[4];
    char **command = options->command;
    cli_run *run = &running;
    dynalock_outcome rc;
    int code;

    if (options->shell != NULL && options->command == NULL) {
        by_shell[0] = shell;
        by_shell[1] = flag;
        memcpy(&by_shell[2], &options->shell, sizeof by_shell[2]);
        command = by_shell;
    }
    run->options = options;
    run->key = options->word[0];
    code = check_usage(run, command);
    if (code != 0) return code;
    signals_catch();
    code = session_open(&run->session, options, NULL);
    if (code != 0) return code;
    rc = set_up(run);
    if (rc == DYNALOCK_OK) rc = wait_for_lock(run);
    return rc == DYNALOCK_OK ? hold(run, command) : refused(run, rc);
}
