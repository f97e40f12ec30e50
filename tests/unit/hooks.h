/*
A world (world.h) whose hooks are counted, so that each call of each can be made
to go wrong in each way that its hook has, once. What the interface promises of
its calls is checked at every call: the mutex is held (but in wait), entered and
left in turn, and every connection that was begun is closed, once. There are
several items here, each known by its key, and the truth about them.
*/
#ifndef HOOKS_H
#define HOOKS_H

#include "support.h"
#include "tables.h"

enum hook {
    HOOK_OPEN,
    HOOK_WRITE,
    HOOK_READ,
    HOOK_CLOSE,
    HOOK_MONOTONIC,
    HOOK_UNIX,
    HOOK_ENTROPY,
    HOOK_WAIT,
    HOOK_ENTER,
    HOOK_LEAVE,
    HOOK_ANY /* whichever is called */
};

enum fault_class {
    CLASS_NETWORK, /* passes: the call tries again */
    CLASS_CLOCK,
    CLASS_ENTROPY,
    CLASS_GIVE_UP,
    CLASS_WAKE, /* nothing has happened: it must not matter */
    CLASS_PAUSE /* the device stood still within the hook */
};

typedef struct hook_fault {
    const char *name;
    enum hook hook;
    enum fault_class of;
    int64_t value;
} hook_fault;

static const hook_fault hook_faults[] = {
    { "open fails", HOOK_OPEN, CLASS_NETWORK, -111 },
    { "open fails with a positive number", HOOK_OPEN, CLASS_NETWORK, 7 },
    { "open needs another call", HOOK_OPEN, CLASS_WAKE, DYNALOCK_AGAIN },
    { "write fails", HOOK_WRITE, CLASS_NETWORK, -32 },
    { "write takes nothing", HOOK_WRITE, CLASS_WAKE, 0 },
    { "write takes one byte", HOOK_WRITE, CLASS_WAKE, 1 },
    { "read fails", HOOK_READ, CLASS_NETWORK, -104 },
    { "read ends", HOOK_READ, CLASS_NETWORK, DYNALOCK_EOF },
    { "read has nothing", HOOK_READ, CLASS_WAKE, 0 },
    { "read has one byte", HOOK_READ, CLASS_WAKE, 1 },
    { "time unknown", HOOK_UNIX, CLASS_CLOCK, 0 },
    { "time below zero", HOOK_UNIX, CLASS_CLOCK, -5 },
    { "time beyond 9999", HOOK_UNIX, CLASS_CLOCK, INT64_MAX },
    { "time of 1970", HOOK_UNIX, CLASS_CLOCK, 1 },
    { "four minutes ahead", HOOK_UNIX, CLASS_CLOCK, 1700001240000 },
    { "no entropy", HOOK_ENTROPY, CLASS_ENTROPY, -1 },
    { "wait gives up", HOOK_WAIT, CLASS_GIVE_UP, 1 },
    { "wait returns at once", HOOK_WAIT, CLASS_WAKE, 0 },
    /* within a request's time, and for more than the lease */
    { "a pause", HOOK_ANY, CLASS_PAUSE, 2000 },
    { "a long pause", HOOK_ANY, CLASS_PAUSE, 12000 },
};

static const char *const item_keys[] = { "k", "k2", "p/0", "p/1" };
#define ITEMS 4

static struct {
    dynalock_platform inner; /* the world's own */
    long calls[HOOK_ANY + 1];
    const hook_fault *fault; /* NULL: none */
    long at;                 /* its call */
    int inside;              /* the mutex is held */
    int alone;               /* no client yet: no mutex either */
    enum { CLOSED, OPENING, OPENED } connection;
    world_item items[ITEMS];
    size_t item; /* the one that is in the world */
    int writes;
    uint64_t read_at;            /* what the clock said last */
    uint64_t written[ITEMS];     /* when */
    uint64_t taken_until[ITEMS]; /* by a stranger, if he lives */
} hooks;

static world w;

/* ---- the items ---- */

static void turn_to_item(size_t i)
{
    if (hooks.item < ITEMS) hooks.items[hooks.item] = w.item;
    hooks.item = i;
    w.item = hooks.items[i];
}

static size_t item_of(const char *key)
{
    size_t i;

    for (i = 0; i < ITEMS; i++)
        if (strcmp(item_keys[i], key) == 0) return i;
    fail_msg("no item %s", key);
    return 0;
}

/* The item that the request is about. */
static void turn_to_request(world *of)
{
    const char *start = "\"Key\":{\"key\":{\"S\":\"";
    const char *at = world_find(of, start);
    char key[16];

    if (at == NULL) return;
    (void)sscanf(at + strlen(start), "%15[^\"]", key);
    turn_to_item(item_of(key));
}

/* A lock that says it is held is so by the table, which does not give the item
   to another before. */
static void check_lock(const dynalock_lock *lock)
{
    uint32_t remaining = dynalock_remaining_ms(&w.client, lock);
    const world_item *item;

    if (remaining == 0) return;
    turn_to_item(item_of(lock->operation.name.key));
    item = &w.item;
    assert_true(item->exists && !item->released);
    assert_string_equal(item->owner, w.client.config.owner);
    assert_true(item->fence == dynalock_fence(lock));
    assert_true(hooks.read_at + remaining <=
                hooks.written[hooks.item] + strtoull(item->lease, NULL, 10));
    assert_true(hooks.written[hooks.item] >= hooks.taken_until[hooks.item]);
}

/* ---- transactions ---- */

/* The transaction's next member; NULL: there is none. */
static char *next_member(char *body)
{
    return strstr(body, "{\"Update\":");
}

/* Carries out each member, or only asks whether it may. */
static int transact(world *of, const char *body, int carrying_out)
{
    static char copy[sizeof of->last_body];
    char *at, *next;

    (void)snprintf(copy, sizeof copy, "%s", body);
    for (at = next_member(copy); at != NULL; at = next) {
        next = next_member(at + 1);
        if (next != NULL) next[0] = '\0';
        (void)snprintf(of->last_body, sizeof of->last_body, "%s", at);
        if (next != NULL) next[0] = '{';
        turn_to_request(of);
        if (!carrying_out && !world_may_acquire(of)) return 0;
        if (!carrying_out) continue;
        assert_true(world_write(of));
        hooks.written[hooks.item] = of->now;
    }
    return 1;
}

static void serve_transaction(world *of, int damage)
{
    static char body[sizeof of->last_body];

    (void)snprintf(body, sizeof body, "%s", of->last_body);
    if (transact(of, body, 0)) {
        (void)transact(of, body, 1);
        world_reply(of, 200, "{}", damage);
        return;
    }
    world_reply(of, 400,
        "{\"__type\":\"x#TransactionCanceledException\",\"Message\":"
        "\"reasons [ConditionalCheckFailed, ConditionalCheckFailed]\"}",
        damage);
}

/* For world.other. */
static int serve_items(world *of, int damage)
{
    if (strcmp(of->last_operation, "TransactWriteItems") == 0) {
        serve_transaction(of, damage);
        return 1;
    }
    if (strcmp(of->last_operation, "PutItem") == 0) {
        world_reply(of, 200, "{\"Attributes\":{}}", damage);
        return 1;
    }
    turn_to_request(of);
    return tables_serve(of, damage);
}

/* ---- the hooks ---- */

static int hook_fails(enum hook hook)
{
    const hook_fault *fault = hooks.fault;

    hooks.calls[hook]++;
    hooks.calls[HOOK_ANY]++;
    if (fault != NULL && fault->hook == HOOK_ANY &&
        hooks.calls[HOOK_ANY] == hooks.at)
        w.now += (uint64_t)fault->value;
    if (!hooks.alone && hook != HOOK_ENTER)
        assert_int_equal(hooks.inside, hook != HOOK_WAIT);
    return fault != NULL && fault->hook == hook &&
           hooks.calls[hook] == hooks.at;
}

static int32_t hook_open(void *context, const dynalock_peer *peer)
{
    int32_t rc;

    assert_true(hooks.connection != OPENED);
    if (hook_fails(HOOK_OPEN)) rc = (int32_t)hooks.fault->value;
    else rc = hooks.inner.open(context, peer);
    hooks.connection = rc == 0                ? OPENED
                       : rc == DYNALOCK_AGAIN ? OPENING
                                              : CLOSED;
    return rc;
}

static int32_t hook_write(void *context, const void *data, size_t size)
{
    int32_t rc;

    assert_true(hooks.connection == OPENED);
    if (hook_fails(HOOK_WRITE)) {
        if (hooks.fault->value <= 0) return (int32_t)hooks.fault->value;
        size = 1;
    }
    rc = hooks.inner.write(context, data, size);
    if (w.writes != hooks.writes) hooks.written[hooks.item] = w.now;
    hooks.writes = w.writes;
    return rc;
}

static int32_t hook_read(void *context, void *data, size_t size)
{
    assert_true(hooks.connection == OPENED);
    if (hook_fails(HOOK_READ)) {
        if (hooks.fault->value <= 0) return (int32_t)hooks.fault->value;
        size = 1;
    }
    return hooks.inner.read(context, data, size);
}

static void hook_close(void *context)
{
    (void)hook_fails(HOOK_CLOSE);
    assert_true(hooks.connection != CLOSED);
    hooks.connection = CLOSED;
    hooks.inner.close(context);
}

static uint64_t hook_monotonic(void *context)
{
    (void)hook_fails(HOOK_MONOTONIC);
    hooks.read_at = hooks.inner.monotonic_ms(context);
    return hooks.read_at;
}

static int64_t hook_unix(void *context)
{
    if (hook_fails(HOOK_UNIX)) return hooks.fault->value;
    return hooks.inner.unix_ms(context);
}

static int32_t hook_entropy(void *context, void *out, size_t size)
{
    if (hook_fails(HOOK_ENTROPY)) return (int32_t)hooks.fault->value;
    return hooks.inner.entropy(context, out, size);
}

static int32_t hook_wait(void *context, unsigned interest, uint32_t ms)
{
    if (hook_fails(HOOK_WAIT)) return (int32_t)hooks.fault->value;
    return hooks.inner.wait(context, interest, ms);
}

static void hook_enter(void *context)
{
    (void)context;
    (void)hook_fails(HOOK_ENTER);
    assert_int_equal(hooks.inside, 0);
    hooks.inside = 1;
}

static void hook_leave(void *context)
{
    (void)context;
    (void)hook_fails(HOOK_LEAVE);
    hooks.inside = 0;
}

static void hooks_begin(void)
{
    world_begin(&w);
    memset(&hooks, 0, sizeof hooks);
    tables_begin(&w);
    w.other = serve_items;
    hooks.inner = w.platform;
    w.platform.open = hook_open;
    w.platform.write = hook_write;
    w.platform.read = hook_read;
    w.platform.close = hook_close;
    w.platform.monotonic_ms = hook_monotonic;
    w.platform.unix_ms = hook_unix;
    w.platform.entropy = hook_entropy;
    w.platform.wait = hook_wait;
    w.platform.enter = hook_enter;
    w.platform.leave = hook_leave;
}

static void hooks_start_client(void)
{
    hooks.alone = 1;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    hooks.alone = 0;
}

/* From here on calls are counted anew, and the nth one has the fault. */
static void hooks_plan(const hook_fault *fault, long n)
{
    memset(hooks.calls, 0, sizeof hooks.calls);
    hooks.fault = fault;
    hooks.at = n;
}

#endif
