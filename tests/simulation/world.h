/*
The fleet, its clocks and its network in one deterministic program. The files:

    simulate.c      the command: worlds, runs, what is printed
    world.c         chance, the queue of events, clocks, telling
    network.c       what becomes of a request and of its answer
    device.c        the hooks of dynalock.h, on a stack of the device's own
    application.c   what a device wants with its locks
    party.c         the same, for several at once, or one of several
    credentials.c   where devices fetch their keys, in one of the worlds
    foreign.c ...   who else locks on the table (see foreign.h)
    operator.c      who means well
    judges.c        the promises, and what is counted
    model.c ...     the table (see model.h)
*/
#ifndef WORLD_H
#define WORLD_H

#include "model.h"

#include <setjmp.h>
#include <stdio.h>
#include <ucontext.h>

#define DYNALOCK_NO_TLS
#include "dynalock.h"

#define DEVICES 256
#define TWINS 2
#define TASKS 4 /* locks of one device */
#define KEYS 4
#define FOREIGNERS 2
#define REQUEST_SIZE 8192
#define TRACE_LINES 600
#define TRACE_COLUMNS 200
#define GRANTS 256 /* remembered of a key */
#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

#define MS UINT64_C(1000) /* the world counts microseconds */
#define SECOND UINT64_C(1000000)
#define START_MS INT64_C(1700000000000) /* of the server's clock */
#define OFF_MS 280000 /* the farthest a wall clock may be off and still sign */

enum {                     /* kinds of trouble; --world names them */
    WORLD_LOSS = 1 << 0,   /* lost, cut, refused and silent connections */
    WORLD_DELAY = 1 << 1,  /* long delays: late and reordered requests */
    WORLD_REPEAT = 1 << 2, /* requests carried out twice; second answers */
    WORLD_CRASH = 1 << 3,  /* devices die and boot */
    WORLD_PAUSE = 1 << 4,  /* devices stand still, anywhere */
    WORLD_DRIFT = 1 << 5,  /* clock rates differ, up to the margin */
    WORLD_TICK = 1 << 6,   /* coarse clocks */
    WORLD_JUMP = 1 << 7,   /* wall clocks jump */
    WORLD_THROTTLE =
        1 << 8,           /* throttling and 5xx, before and after the write */
    WORLD_STALE = 1 << 9, /* reads lag; old answers of a cache */
    WORLD_SHORTEN = 1 << 10, /* leases change while held */
    WORLD_HIDE = 1 << 11,    /* a server that shows no item with a refusal */
    WORLD_TTL = 1 << 12,     /* some devices write a TTL; the table deletes */
    WORLD_SHORT = 1 << 13,   /* only waits shorter than the lease */
    WORLD_SORTED = 1 << 14,  /* a table with a sort key */
    WORLD_MANY = 1 << 15,    /* devices with two locks */
    WORLD_JAVA = 1 << 16,    /* the others are Java's (find_foreign) */
    WORLD_BLOB =
        1 << 17, /* devices save their locks, restore them after a crash */
    WORLD_TWIN = 1 << 18, /* what was saved is restored by two */
    WORLD_SAME = 1 << 19, /* a device takes its own lock back after a crash */
    WORLD_CLOCK =
        1 << 20, /* devices without a wall clock, or with a wrong one */
    WORLD_TIDY = 1 << 21,  /* devices delete what was released long ago */
    WORLD_TOKEN = 1 << 22, /* credentials expire */
    WORLD_ODD =
        1 << 23, /* devices that never look, wait longer, delete late */
    /* never drawn, only named */
    WORLD_EDGE = 1 << 24,   /* drift at the margin, holders that stand still,
                                 waiters that look every few ms, a quick net */
    WORLD_WEAK = 1 << 25,   /* entropy of two bits, clocks that start alike */
    WORLD_BEYOND = 1 << 26, /* drift beyond the margin: no exclusion */
    WORLD_OPERATOR = 1 << 27, /* somebody edits live items: no exclusion */
    WORLD_CROWD = 1 << 28,    /* one key, all default times, holders die */
    WORLD_CALM = 1 << 29,     /* nothing of all that */
    WORLD_GROUP = 1 << 30     /* devices want several locks at once, one of
                                 several, or one */
};
/* Devices fetch their keys, from sources that fail. Only named. (No int has
   this bit.) */
#define WORLD_CREDENTIALS (UINT32_C(1) << 31)
#define DRAWN_WORLDS 24
#define WORLDS 32
extern const char *const world_names[WORLDS];

typedef struct chance {
    uint64_t state;
} chance;

typedef enum app_state { APP_IDLE, APP_ASK, APP_HOLD, APP_GIVE } app_state;

typedef struct world world;
typedef struct device device;
typedef struct foreign foreign; /* foreign.h */
typedef struct foreign_client foreign_client;
typedef struct issuer issuer; /* credentials.c */

/* One lock of a device, and what the application does with it. */
typedef struct task {
    device *device;
    unsigned key;
    dynalock_lock *lock; /* within the device's permits */
    app_state app;
    uint64_t next_at; /* what it does next */
    uint64_t work_until;
    uint64_t deadline_ms; /* of the wait under way, local; 0: none */
    uint64_t asked_at;
    uint64_t taken_at, taken_fence, taken_id; /* on the table */
    dynalock_blob blob;                       /* as if in flash */
    int has_blob;
    dynalock_alarm alarm;
    dynalock_outcome told; /* by the alarm */
    uint8_t lost[16];      /* the acquisition that was lost last */
    int has_lost;
    uint64_t robbed_at, robbed_ms, robbed_id; /* overwritten; 0: not so */
    int robbed_early; /* by one who had looked just before */
    /* what the judges compare with */
    uint64_t until;
    unsigned standstills; /* of its device, at that time */
    char watched[DYNALOCK_RVN_SIZE];
    unsigned own_seen; /* looks in a row that showed its own write */
} task;

/* Several locks wanted at once, or one of several: the calls that are made for
   them. */
typedef struct party {
    app_state app;
    int is_group; /* else a semaphore */
    dynalock_group group;
    dynalock_lock *locks[TASKS];
    unsigned of[TASKS]; /* whose tasks these are */
    dynalock_semaphore semaphore;
    unsigned lost; /* of what it had while it still asked */
    uint64_t next_at, asked_at, work_until, deadline_ms;
} party;

struct device {
    world *world;
    unsigned id;
    char owner[16];
    dynalock_platform platform;
    dynalock_credentials credentials;
    char token[24];
    dynalock_client client;
    dynalock_permit permits[TASKS];
    task tasks[TASKS];
    unsigned task_count;
    party party;
    dynalock_record record; /* for tidying and breaking */
    int breaking;           /* a call for that is under way, about: */
    unsigned shown_key;
    uint64_t shown_at, shown_fence;
    char shown[DYNALOCK_RVN_SIZE];
    device *twin; /* who may be born with what this one saved */
    int on;
    uint32_t epoch; /* one more with every boot */
    /* clocks: local = offset + time * rate / 2^20 */
    uint64_t rate;
    uint64_t offset_us;
    uint32_t tick_ms;
    int64_t wall_off_ms;
    int clockless; /* the wall clock says "unknown" */
    unsigned standstills;
    struct source *source; /* of its keys; NULL: it has them */
    /* its thread of control */
    ucontext_t start;
    jmp_buf here;
    char *stack;
    int fresh;            /* not yet begun on its stack */
    int paused;           /* within a hook */
    uint64_t wake_at;     /* of the step that is scheduled */
    uint64_t wake_number; /* only the newest counts */
    uint64_t boot_at;
    /* the connection */
    uint32_t connection; /* 0: none */
    int open;            /* 0: not yet */
    int at_source;       /* it leads to where the keys come from */
    int peer_closed;
    char request[REQUEST_SIZE];
    size_t request_size;
    char answer[2 * MODEL_ANSWER_SIZE];
    size_t answer_size, answer_at;
};

typedef enum event_kind {
    EVENT_STEP,          /* a device looks around */
    EVENT_RESUME,        /* a device that stood still goes on */
    EVENT_OPEN,          /* its connection is there */
    EVENT_SERVE,         /* a request reaches the table */
    EVENT_ANSWER,        /* an answer reaches the device */
    EVENT_EXPIRE,        /* the table's TTL deletion */
    EVENT_KILL,          /* holders die, as a measure */
    EVENT_ROTATE,        /* the session's token expires */
    EVENT_OPERATOR,      /* somebody edits an item */
    EVENT_FOREIGN_STEP,  /* another's timer */
    EVENT_FOREIGN_SERVE, /* its request reaches the table */
    EVENT_FOREIGN_ANSWER /* its answer reaches it */
} event_kind;

typedef struct event {
    uint64_t at;
    uint64_t number; /* events of one moment keep their order */
    event_kind kind;
    device *device;
    foreign *foreign;
    uint64_t value; /* connection, wake number, epoch or request number */
    char *text;     /* request or answer; owned by the event */
    size_t size;
    int silent; /* nobody hears the answer */
    int to_source;
    const char *operation; /* of another's request */
    unsigned key;
    int state;            /* when it was sent */
    uint64_t turn, as_of; /* see foreign.h */
    int64_t ends;
    int status;     /* of its answer */
    unsigned tries; /* made when its time-out was set */
} event;

typedef struct grant {
    uint64_t at, fence;
} grant;

/* What happens on one key. */
typedef struct place {
    const char *key, *sort_key;
    grant grants[GRANTS];
    unsigned granted; /* in all */
    unsigned granted_after_quiet;
    uint64_t died_at;   /* its holder, with somebody waiting; 0: no */
    uint64_t edited_at; /* by an operator */
    foreign *row;       /* whose item stands there; NULL: no other's */
    uint64_t row_turn;  /* of its attempts */
    uint64_t row_until; /* nobody may take it before */
} place;

/* A set of acquisitions: the first 16 digits of each, as a number. */
typedef struct id_set {
    uint64_t *ids;
    size_t count, room;
} id_set;

struct world {
    chance chance;
    uint64_t seed;
    uint32_t trouble;
    uint64_t now;
    uint64_t quiet_from; /* faults stop here */
    uint64_t end;
    uint64_t number;
    uint32_t connections;
    event *queue;
    size_t queued, queue_room;
    jmp_buf here; /* the world's own thread of control */
    device *devices;
    unsigned device_count;
    const foreign_client *others; /* who else is there */
    foreign *foreigners;
    unsigned foreign_count;
    const char *table, *key_name, *sort_key_name;
    place places[KEYS];
    unsigned key_count;
    model *model;
    model_options options;
    char tokens[2][24]; /* of the session: this one and the last */
    unsigned token_count;
    issuer *issuer;       /* of keys that are fetched; NULL: none are */
    uint64_t fence_slack; /* how old a grant must be to be outdone */
    id_set released;      /* acquisitions whose release was carried out */
    uint32_t lease_ms, poll_ms, request_ms, lock_delay_ms;
    int64_t off_ms; /* how far wall clocks may be off */
    int failed;
    int tracing;
    char trace[TRACE_LINES][TRACE_COLUMNS];
    unsigned trace_lines;
};

/* From a holder's death to the next grant, and what is promised of that. */
typedef struct takeover {
    uint64_t us, most_us;
} takeover;

/* Of all runs. */
typedef struct totals {
    uint64_t operations, requests, grants, renewals, releases, losses, crashes,
        deleted, tidied, unknown, foreign_grants, robberies, edits, restored,
        twins, refreshed, alarms, groups, permits, closed, broken;
    /* what may happen but should not often */
    uint64_t steals, ghosts, watch_restarts, own_looks;
    /* of waiters, in the crowd */
    uint64_t waiter_requests, waiter_writes_refused, waited_us, poll_us;
    takeover *takeover;
    size_t takeovers, takeover_room;
} totals;
extern totals total;
extern FILE *record; /* NULL, or where requests are written down */

/* ---- world.c ---- */

uint64_t draw(chance *c, uint64_t below);
uint64_t draw64(chance *c);
int one_in(chance *c, uint64_t n);
int has(const world *w, uint32_t trouble);
int is_quiet(const world *w);
/* Faults strike only before the quiet end of a run. */
int strikes(world *w, uint32_t trouble, uint64_t n);

void say(world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void violate(world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void print_trace(const world *w);

event *push(world *w, uint64_t at, event_kind kind, device *d);
event pop(world *w);
void set_text(event *e, const char *text, size_t size); /* a copy */

uint64_t local_ms(const device *d);
int64_t server_ms(const world *w);
int64_t draw_off_ms(world *w); /* what a wall clock may be off */
const char *name_of(const char *request);
int look(const world *w, unsigned key, model_view *view);
/* The place that a text names next, "k/0" to "k/3" or, of permits, by number.
   Returns where to look on, NULL if there is none. */
const char *next_key(const world *w, const char *text, unsigned *key);

/* ---- network.c ---- */

uint64_t delay_us(world *w);
void send_request(device *d); /* a whole one has left */
void serve(world *w, event *e);
void deliver(world *w, const event *e);
void set_options(world *w); /* before each request is served */

/* ---- device.c ---- */

void make_platform(device *d);
void wake(device *d, uint64_t at);
void step_device(device *d);
void resume_device(device *d);
void crash_device(device *d);
void shut_down(device *d);
/* The record that a waiter watches; "": none. */
const char *watched_record(const task *t);
/* Parts of a group that could not be had. */
int is_giving_back(const device *d);

/* ---- application.c ---- */

int is_loss(dynalock_outcome rc);

void boot_device(device *d);
void run_device(device *d); /* one step of its life */

void begin_task(task *t, uint64_t deadline_ms);
void ask_task(task *t, uint32_t wait_ms);
void rest_task(task *t);
uint32_t draw_wait(world *w);

/* ---- party.c ---- */

void start_party(device *d);
uint64_t party_wake(device *d);
void run_party(device *d, uint64_t polled_ms);

/* ---- credentials.c ---- */

void mix_sources(world *w);
void make_issuer(world *w);
void free_issuer(world *w);
void prepare_source(device *d, dynalock_config *config);
void use_source(device *d);
void expect_session(world *w, const char *request);
size_t serve_source(world *w, event *e, uint64_t *later, char *answer);
int open_to(device *d, const char *host);
void note_answer(world *w, device *d, const char *answer);
void judge_asked(world *w, device *d);
void judge_signed(world *w, device *d, int writes);
void judge_source(world *w, const device *d);

/* ---- foreign.c ---- */

const foreign_client *find_foreign(const char *name); /* NULL: nobody */
void start_foreigners(world *w);
void step_foreign(foreign *f, const event *e);
void serve_foreign(world *w, event *e);
void hear_foreign(foreign *f, const event *e);

/* ---- operator.c ---- */

void edit_item(world *w);
void break_lock(task *t); /* whoever has it */
void hear_of_break(device *d);

/* ---- judges.c ---- */

uint32_t remaining_ms(const task *t);
void judge_exclusion(world *w, unsigned key);
/* Whose acquisition stands there; 0: none, or it was released. */
uint64_t live_acquisition(const world *w, unsigned key);
void judge_foreign_write(
    world *w, const event *e, uint64_t was, uint64_t row_until);
void judge_told(world *w, const task *t);
void judge_broken(world *w, const device *d, dynalock_outcome rc);
void judge_grant(world *w, task *t);
void judge_loss(world *w, task *t, dynalock_outcome outcome);
void judge_deadline(world *w, const task *t, uint64_t polled_ms);
void judge_watch(world *w, task *t);
void judge_alarm(world *w, const task *t, uint64_t polled_ms);
void judge_sent(world *w, device *d);
void judge_heard(world *w, device *d, const char *answer);
void judge_write(
    world *w, unsigned key, const model_view *before, const model_view *after);
void judge_expiry(world *w, unsigned key);
void judge_waited(world *w, const task *t);
void judge_death(world *w, const task *t);
void judge_party(world *w, device *d);
void judge_given_back(world *w, task *t, uint64_t asked_ms, uint64_t until,
    dynalock_outcome all);
void judge_end(world *w);
void add_id(id_set *set, uint64_t id);
int has_id(const id_set *set, uint64_t id);
void free_ids(id_set *set);

#endif
