#define _GNU_SOURCE /* strcasestr */
#define DYNALOCK_IMPLEMENTATION
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_SIZE (128 * 1024)
#define REFUSED (-111) /* errors of a port */
#define BROKEN (-32)

/*
A device runs on a stack of its own, so that it can stand still or die inside
any hook while the world goes on. ucontext makes the stack; setjmp changes
between them (swapcontext costs two system calls).
*/

/* ---- standing still and dying, anywhere ---- */

static void leave(device *d)
{
    if (_setjmp(d->here) == 0) _longjmp(d->world->here, 1);
}

static void enter(device *d)
{
    if (_setjmp(d->world->here) != 0) return;
    if (!d->fresh) _longjmp(d->here, 1);
    d->fresh = 0;
    (void)setcontext(&d->start);
    abort();
}

static void pause_device(device *d, uint64_t us)
{
    world *w = d->world;

    say(w, "d%u stands still for %.1f ms", d->id, (double)us / MS);
    d->paused = 1;
    d->standstills++;
    push(w, w->now + us, EVENT_RESUME, d)->value = d->epoch;
    leave(d);
}

/* Nothing is left of this life; another one will begin. */
void shut_down(device *d)
{
    world *w = d->world;
    unsigned i;

    for (i = 0; i < d->task_count; i++) d->tasks[i].app = APP_IDLE;
    memset(d->permits, 0, sizeof d->permits);
    memset(&d->party, 0, sizeof d->party);
    memset(&d->record, 0, sizeof d->record);
    d->breaking = 0;
    d->on = 0;
    d->connection = 0;
    d->paused = 0;
    d->boot_at = w->now + draw(&w->chance, 3 * SECOND);
    push(w, d->boot_at, EVENT_STEP, d)->value = ++d->wake_number;
}

void crash_device(device *d)
{
    world *w = d->world;
    unsigned i;

    say(w, "d%u CRASHES", d->id);
    total.crashes++;
    for (i = 0; i < d->task_count; i++) judge_death(w, &d->tasks[i]);
    shut_down(d);
}

/* Every hook is a place where it can happen. */
static void strike(device *d)
{
    world *w = d->world;

    if (strikes(w, WORLD_PAUSE, 1500))
        pause_device(d, draw(&w->chance, 5 * SECOND));
    if (strikes(w, WORLD_EDGE, 150))
        pause_device(d,
            draw(&w->chance, one_in(&w->chance, 2) ? 3 * SECOND : 300 * MS));
    if (!strikes(w, WORLD_CRASH, 4000)) return;
    crash_device(d);
    _longjmp(w->here, 1); /* for good: boot begins anew */
}

/* ---- the hooks ---- */

static int32_t hook_open(void *context, const dynalock_peer *peer)
{
    device *d = (device *)context;
    world *w = d->world;

    strike(d);
    if (d->connection != 0) return d->open ? 0 : (int32_t)DYNALOCK_AGAIN;
    if (!open_to(d, peer->host) || strikes(w, WORLD_LOSS, 30)) return REFUSED;
    d->connection = ++w->connections;
    d->open = 0;
    d->peer_closed = 0;
    d->request_size = 0;
    d->answer_size = 0;
    d->answer_at = 0;
    if (!strikes(w, WORLD_LOSS, 40)) /* else: silence */
        push(w, w->now + delay_us(w), EVENT_OPEN, d)->value = d->connection;
    return DYNALOCK_AGAIN;
}

/* Once head and body are whole, the request is on its way. */
static void look_at_request(device *d)
{
    const char *end, *length;

    d->request[d->request_size] = '\0';
    end = strstr(d->request, "\r\n\r\n");
    if (end == NULL) return;
    if (strncmp(d->request, "POST ", 5) != 0) { /* it has no body */
        judge_asked(d->world, d);
        send_request(d);
        d->request_size = 0;
        return;
    }
    length = strcasestr(d->request, "\r\ncontent-length:");
    if (length == NULL || length > end) abort();
    if (d->request_size <
        (size_t)(end + 4 - d->request) + strtoul(length + 17, NULL, 10))
        return;
    judge_sent(d->world, d);
    send_request(d);
    d->request_size = 0;
}

static int32_t hook_write(void *context, const void *data, size_t size)
{
    device *d = (device *)context;
    world *w = d->world;

    strike(d);
    if (d->peer_closed) return BROKEN;
    if (strikes(w, WORLD_LOSS, 80)) { /* cut within the request */
        d->peer_closed = 1;
        return (int32_t)(1 + draw(&w->chance, size));
    }
    if (d->request_size + size >= sizeof d->request) abort();
    memcpy(d->request + d->request_size, data, size);
    d->request_size += size;
    look_at_request(d);
    return (int32_t)size;
}

static int32_t hook_read(void *context, void *data, size_t size)
{
    device *d = (device *)context;
    world *w = d->world;
    size_t there;

    strike(d);
    /* what comes meanwhile is read with an old clock in hand */
    if (d->answer_size == 0 && strikes(w, WORLD_EDGE, 30))
        pause_device(d, draw(&w->chance, 400 * MS));
    there = d->answer_size - d->answer_at;
    if (there == 0) return d->peer_closed ? (int32_t)DYNALOCK_EOF : 0;
    if (size > there) size = there;
    if (one_in(&w->chance, 10)) size = 1 + draw(&w->chance, size);
    memcpy(data, d->answer + d->answer_at, size);
    d->answer_at += size;
    if (d->answer_at == d->answer_size) d->answer_at = d->answer_size = 0;
    return (int32_t)size;
}

static void hook_close(void *context)
{
    ((device *)context)->connection = 0;
}

static uint64_t hook_monotonic(void *context)
{
    uint64_t ms = local_ms((const device *)context);

    strike((device *)context); /* the reading is old when it is used */
    return ms;
}

static int64_t hook_unix(void *context)
{
    device *d = (device *)context;

    strike(d);
    return d->clockless ? 0 : server_ms(d->world) + d->wall_off_ms;
}

static int32_t hook_entropy(void *context, void *out, size_t size)
{
    device *d = (device *)context;
    world *w = d->world;
    uint8_t *at = (uint8_t *)out;

    memset(out, 0, size);
    if (has(w, WORLD_WEAK)) *at = (uint8_t)draw(&w->chance, 3);
    else
        while (size-- != 0) *at++ = (uint8_t)draw(&w->chance, 256);
    return 0;
}

/* For the blocking calls: the world goes on meanwhile. */
static int32_t hook_wait(void *context, unsigned interest, uint32_t ms)
{
    device *d = (device *)context;

    (void)interest;
    wake(d, d->world->now + (((uint64_t)ms * 1000) << 20) / d->rate + 1);
    leave(d);
    return 0;
}

/* ---- its thread of control ---- */

/* makecontext hands over ints: the device comes in two halves. */
static void live(unsigned high, unsigned low)
{
    device *d = (device *)((uintptr_t)high << 16 << 16 | low);

    for (;;) {
        run_device(d);
        leave(d);
    }
}

/* A fresh life for a device that was off. */
static void begin_life(device *d)
{
    uintptr_t p = (uintptr_t)d;

    if (getcontext(&d->start) != 0) abort();
    if (d->stack == NULL) d->stack = (char *)malloc(STACK_SIZE);
    if (d->stack == NULL) abort();
    d->start.uc_stack.ss_sp = d->stack;
    d->start.uc_stack.ss_size = STACK_SIZE;
    d->start.uc_link = NULL;
    makecontext(&d->start, (void (*)(void))live, 2, (unsigned)(p >> 16 >> 16),
        (unsigned)p);
    d->fresh = 1;
}

void make_platform(device *d)
{
    d->platform.context = d;
    d->platform.open = hook_open;
    d->platform.write = hook_write;
    d->platform.read = hook_read;
    d->platform.close = hook_close;
    d->platform.monotonic_ms = hook_monotonic;
    d->platform.unix_ms = hook_unix;
    d->platform.entropy = hook_entropy;
    d->platform.wait = hook_wait;
}

void step_device(device *d)
{
    if (d->paused) return;
    d->wake_at = 0;
    if (!d->on) begin_life(d);
    enter(d);
}

void resume_device(device *d)
{
    d->paused = 0;
    enter(d);
}

void wake(device *d, uint64_t at)
{
    event *e;

    if (!d->on || d->paused) return;
    if (d->wake_at > d->world->now && d->wake_at <= at) return;
    d->wake_at = at;
    e = push(d->world, at, EVENT_STEP, d);
    e->value = ++d->wake_number;
}

/* ---- what only the implementation knows ---- */

const char *watched_record(const task *t)
{
    dynalock_layout *layout = t->device->client.config.layout;

    return t->lock->claim == layout(DL_LAYOUT_WATCHED).claim
               ? t->lock->claim_rvn
               : "";
}

int is_giving_back(const device *d)
{
    return d->party.is_group &&
           d->party.group.operation.state == DL_GROUP_MEMBERS;
}
