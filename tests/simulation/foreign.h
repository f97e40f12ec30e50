/*
Who else locks on the table: clients of other libraries, as they behave, races
and faults included. Each library is a row of foreign_clients; what it does is
in a few functions, the same for those that are alike. Their calls carry no
signature here; the network treats them as all others.

    foreign.c            the libraries; asking, waiting, holding, dying
    foreign_standard.c   Java's and Go's, that watch a record for its lease
    foreign_expiry.c     those of Python, whose items say when they are over
    foreign_go.c         the one that has no expiry, and puts unasked
*/
#ifndef FOREIGN_H
#define FOREIGN_H

#include "world.h"

enum { /* foreign.state */
    FOREIGN_LOOK,
    FOREIGN_TAKE,
    FOREIGN_HOLD,
    FOREIGN_BEAT,
    FOREIGN_LEAVE, /* a look before it gives back */
    FOREIGN_GIVE
};

enum {                        /* foreign_client.flags */
    FOREIGN_WALL = 1,         /* its leases end by the wall clock */
    FOREIGN_KEEPS = 2,        /* what it does not know stays in the item */
    FOREIGN_ROBS_TAKING = 4,  /* it takes without a condition */
    FOREIGN_ROBS_LEAVING = 8, /* it gives back without a condition */
    FOREIGN_OVERSTAYS = 16    /* some work on when their lease is over */
};

struct foreign_client {
    const char *name; /* of its world */
    const char *owner;
    dynalock_layout *(*layout)(void);
    /* the table; NULL: as the world has it */
    const char *table, *key_name, *sort_key_name;
    unsigned permits;     /* places of one key; 0: no such thing */
    const char *names[6]; /* of a model_view */
    const char *released; /* how an item says that it is */
    uint64_t lease_ms;    /* 0: for ever */
    const char *lease;    /* as its items have it */
    unsigned flags;
    void (*look)(foreign *f); /* begins an attempt */
    void (*looked)(foreign *f, const char *answer);
    void (*take)(foreign *f);
    void (*refused)(foreign *f);
    void (*beat)(foreign *f); /* NULL: it never renews */
    void (*give)(foreign *f);
    void (*left)(foreign *f, const char *answer);
};

struct foreign {
    world *world;
    const foreign_client *client;
    unsigned id;
    char owner[16];
    unsigned key; /* which place */
    int state;
    int asking;      /* a request is under way */
    uint64_t number; /* of the request or timer; older ones are void */
    uint64_t turn;   /* of its attempts to take it */
    uint64_t given;  /* the last turn of which the table knows the end */
    unsigned tries;
    uint64_t base;  /* when the request was first sent */
    uint64_t until; /* end of its hold; a world's time */
    uint64_t work_until;
    uint64_t as_of;  /* how old what it saw is */
    uint64_t robbed; /* the turn of which others have taken the item */
    int64_t wall_off_ms;
    int64_t ends; /* its lease, by its wall clock, in seconds */
    /* of those that watch */
    uint64_t seen_at, seen_lease_ms;
    char seen[DYNALOCK_RVN_SIZE];
    char mine[40], next[40]; /* version numbers, or codes */
    const char *operation;
    char body[1024];
};

/* ---- foreign.c, for the others ---- */

/* Sends a call: what stands behind the table's name in its body. */
void foreign_call(foreign *f, int state, const char *operation,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The attributes of its place's key. */
const char *foreign_key(const foreign *f);
/* Goes on in this state after a while, unless something comes. */
void foreign_timer(foreign *f, int state, uint64_t us);
void foreign_wait(foreign *f);
void foreign_rest(foreign *f);
/* Another UUID, its middle given. */
void foreign_draw_code(foreign *f, const char *middle);
/* An attribute of an answer. 0: it is not there with this type. */
int foreign_read(
    const char *answer, const char *name, char type, char *out, size_t size);
/* When this client's wall clock says so; a world's time. */
uint64_t foreign_time(const foreign *f, int64_t second);
int64_t foreign_second(const foreign *f);

/* ---- the libraries ---- */

void standard_look(foreign *f);
void standard_looked(foreign *f, const char *answer);
void standard_beat(foreign *f);
void standard_give(foreign *f);

void expiry_look(foreign *f);
void dynalock_py_take(foreign *f);
void dynalock_py_give(foreign *f);
void dlm_take(foreign *f);
void dlm_refused(foreign *f);
void dlm_give(foreign *f);

void go_look(foreign *f);
void go_looked(foreign *f, const char *answer);
void go_take(foreign *f);
void go_give(foreign *f);
void go_left(foreign *f, const char *answer);

#endif
