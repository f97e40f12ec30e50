/*
What the files of the command `dynalock` share. main.c dispatches, options.c
reads the command line, output.c writes for people and programs, anchors.c
reads the certificate store, signals.c makes signals readable, session.c
connects; then a file for each family of commands: run.c with child.c, token.c,
look.c, admin.c.

It is for Linux: timerfd, prctl.
*/
#ifndef DYNALOCK_COMMAND_H
#define DYNALOCK_COMMAND_H

#ifndef DYNALOCK_POSIX
#define DYNALOCK_POSIX
#endif
/* Keys of any length are listed. */
#define DYNALOCK_DATA_SIZE 2048
#define DYNALOCK_CURSOR_SIZE 8192
#include "dynalock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* ---- how a command ends: sysexits.h and the shell's, and LOST ---- */

enum {
    CODE_OK = 0,
    CODE_USAGE = 64,
    CODE_BAD_TOKEN = 65,
    CODE_NO_TOKEN = 66,
    CODE_SERVICE = 69, /* table, network, service */
    CODE_SYSTEM = 71,  /* fork and its kin */
    CODE_NO_CREATE = 73,
    CODE_BUSY = 75,
    CODE_CLOCK_OR_TLS = 76,
    CODE_CREDENTIALS = 77,
    CODE_LOST = 79,
    CODE_NOT_EXECUTABLE = 126,
    CODE_NOT_FOUND = 127,
    CODE_SIGNAL = 128 /* + its number */
};

/* ---- options.c ---- */

typedef enum cli_on_lost {
    ON_LOST_KILL,
    ON_LOST_WARN,
    ON_LOST_SIGNAL
} cli_on_lost;

#define WORDS_MOST 2 /* words a command takes besides its options */

typedef struct cli_options {
    const char *table, *region, *endpoint, *certificates, *owner;
    const char *key_name, *sort_key_name, *sort_key, *ttl_attribute;
    const char *shell;   /* -c */
    const char *version; /* --if */
    const char *word[WORDS_MOST];
    char **command;    /* behind --; NULL: no -- was there */
    uint32_t lease_ms; /* 0: the default */
    uint32_t poll_ms;  /* likewise */
    uint32_t grace_ms; /* likewise */
    uint32_t wait_ms;
    int busy_code, lost_code;
    cli_on_lost on_lost;
    int lost_signal;
    int words;
    int quiet, json, foreground, policy, help;
} cli_options;

/* Of a command, or of several as bits. */
enum {
    COMMAND_RUN = 1,
    COMMAND_ACQUIRE = 2,
    COMMAND_RENEW = 4,
    COMMAND_RELEASE = 8,
    COMMAND_STATUS = 16,
    COMMAND_LIST = 32,
    COMMAND_WATCH = 64,
    COMMAND_BREAK = 128,
    COMMAND_INIT = 256,
    COMMAND_DOCTOR = 512,
    COMMAND_ANY = 1023
};

/* 0, or the code to end with, having said why. */
int options_read(cli_options *options, unsigned command, char **arguments);

/* ---- output.c ---- */

void output_set(const char *command, const cli_options *options);
int output_is_json(void);
int output_is_quiet(void);
int output_errors_on_terminal(void);

/* One line on stderr. Returns code. */
int complain(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int complain_of(
    dynalock_outcome outcome, const dynalock_client *client, const char *what);
/* What an outcome means, and what to do about it; in a static buffer. */
const char *advice(dynalock_outcome outcome, const dynalock_client *client);
int code_of(dynalock_outcome outcome);

/* One line on stderr, unless -q: an event, and the same for people. */
void note(const char *event, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line that the next one replaces; on a terminal only. */
void note_passing(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* What others wrote, harmless on a terminal; in one of a few static buffers. */
const char *harmless(const char *text);

/* A JSON object on one line, member by member. */
void json_open(FILE *to);
void json_text(FILE *to, const char *name, const char *value);
void json_number(FILE *to, const char *name, uint64_t value);
void json_flag(FILE *to, const char *name, int value);
void json_close(FILE *to);

typedef enum cli_colour {
    COLOUR_NONE,
    COLOUR_DIM,
    COLOUR_GOOD,
    COLOUR_WARNING,
    COLOUR_BAD
} cli_colour;
/* Text on stdout, in colour if that is a terminal, padded to width. */
void put_coloured(cli_colour colour, int width, const char *text);
int output_is_terminal(void);
/* "20 s", "3 h"; in a static buffer */
const char *duration(uint64_t ms);

/* ---- anchors.c ---- */

typedef struct cli_anchors {
    size_t count, used;
    br_x509_trust_anchor list[320];
    unsigned char bytes[192 * 1024];
} cli_anchors;

dynalock_outcome anchors_read(cli_anchors *anchors, const char *path);

/* ---- signals.c ---- */

void signals_catch(void);
/* Stopping from the terminal, once there is a command to be stopped too. */
void signals_catch_stop(void);
void signals_release_stop(void);
int signals_descriptor(void);
int signals_next(void); /* its number; 0: none */
int signals_ends(int number);
/* In a child: as they were found. */
void signals_restore(void);

/* ---- session.c ---- */

typedef struct cli_session {
    dynalock_posix posix; /* first: the platform's context */
    int caught;           /* the signal that has ended a blocking call */
    dynalock_platform platform;
    dynalock_provider provider;
    char memory[16384]; /* two sets of keys; a token has about 1 KB */
    dynalock_tls tls;
    dynalock_client client;
    char owner[DYNALOCK_OWNER_SIZE];
    const cli_options *options;
} cli_session;

/* 0, or the code to end with, having said why. owner: NULL: the options', or
   host and process. */
int session_open(
    cli_session *session, const cli_options *options, const char *owner);
/* The same, saying nothing. */
dynalock_outcome session_try(
    cli_session *session, const cli_options *options, const char *owner);
/* Gives back what is held, within this time. */
dynalock_outcome session_close(cli_session *session, uint32_t wait_ms);
/* Sleeps until the socket, a signal, or until so much time has passed. */
void session_sleep(cli_session *session, uint32_t ms);
/* What a failed call ends the command with, having said why. */
int session_code(
    cli_session *session, dynalock_outcome outcome, const char *what);
uint64_t boot_ms(void);
void session_name(const cli_options *options, dynalock_name *name);
/* What the host has: AWS' files and variables, and certificates, if the
   endpoint is one with TLS. Only doctor needs it alone. */
dynalock_outcome session_load(const cli_options *options, const char **path);
/* The places that were asked for credentials. */
const char *session_report(void);

/* ---- child.c ---- */

typedef struct cli_child {
    pid_t id;    /* 0: none */
    pid_t guard; /* 0: none */
    int guard_pipe;
    int failure_pipe; /* has errno if the command cannot be executed */
    int terminal;     /* -1: none */
    int own_group;    /* the command leads a process group */
    int owns_terminal;
    int stopped_by; /* a signal; 0: it runs */
    int ended;      /* its process; others of the group may live */
    int status;     /* as waitpid has it */
} cli_child;

/* When the guard sends TERM and KILL, on the boot clock. kill_at 0: there is no
   guard. */
typedef struct cli_times {
    uint64_t term_at, kill_at;
} cli_times;

/* Starts the command. 0, or the code to end with. */
int child_start(
    cli_child *child, char **command, int own_group, cli_times times);
void child_guard(cli_child *child, cli_times times);
void child_signal(cli_child *child, int number);
/* Learns how the command is. */
void child_look(cli_child *child);
/* Whether anything of it is left. */
int child_is_gone(cli_child *child);
/* It was stopped from the terminal: so is this program, until it goes on. */
void child_suspend(cli_child *child);
void child_resume(cli_child *child);
void child_take_terminal_back(cli_child *child);
/* No guard any more; tells why the command was not executed, if it was not. */
int child_finish(cli_child *child, const char *name);
/* 0 if a shell would find it, or the code to end with. */
int child_find(const char *name);

/* ---- help.c: a screen each ---- */

extern const char help_all[], help_run[], help_acquire[], help_renew[],
    help_release[], help_status[], help_list[], help_watch[], help_break[],
    help_init[], help_doctor[];

/* ---- the commands; each returns the code to end with ---- */

int command_run(const cli_options *options);
int command_acquire(const cli_options *options);
int command_renew(const cli_options *options);
int command_release(const cli_options *options);
int command_status(const cli_options *options);
int command_list(const cli_options *options);
int command_watch(const cli_options *options);
int command_break(const cli_options *options);
int command_init(const cli_options *options);
int command_doctor(const cli_options *options);

#endif
