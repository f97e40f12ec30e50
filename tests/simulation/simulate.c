/*
The fleet, its clocks and its network in one deterministic program.

    simulate [--runs N] [--seed S] [--devices D] [--world a,b,...] [--trace]

The real dynalock.h, unchanged, runs on every device, each on a stack of its
own, so that a device can stand still or die inside any hook while the world
goes on. It is driven through its hooks: virtual monotonic clocks that drift
and step, wall clocks that jump, a network that loses, delays, repeats,
reorders and cuts, and the table of model.c behind it. Each run derives from
one seed; a seed that fails replays exactly, --trace prints its last events.
After every event the promises of the manual are asserted.
*/
#define _DEFAULT_SOURCE
#include "model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define DYNALOCK_NO_TLS
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"

#define DEVICES 256
#define KEYS 4
#define REQUEST_SIZE 8192
#define STACK_SIZE (128 * 1024)
#define TRACE_LINES 400
#define SECOND 1000000 /* the world counts microseconds */
#define MS 1000
#define START_MS INT64_C(1700000000000) /* of the server's clock */

/* ---- chance ---- */

typedef struct chance {
    uint64_t state;
} chance;

static uint64_t draw64(chance *c) /* splitmix64 */
{
    uint64_t z = c->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t draw(chance *c, uint64_t below)
{
    return below == 0 ? 0 : draw64(c) % below;
}

static int one_in(chance *c, uint64_t n)
{
    return n != 0 && draw(c, n) == 0;
}

/* ---- the world ---- */

enum {                    /* kinds of trouble; --world names them */
    WORLD_LOSS = 1,       /* lost, cut, refused and silent connections */
    WORLD_DELAY = 2,      /* long delays: late and reordered requests */
    WORLD_REPEAT = 4,     /* requests carried out twice; second answers */
    WORLD_CRASH = 8,      /* devices die and boot */
    WORLD_PAUSE = 16,     /* devices stand still, anywhere */
    WORLD_DRIFT = 32,     /* clock rates differ, up to the margin */
    WORLD_TICK = 64,      /* coarse clocks */
    WORLD_JUMP = 128,     /* wall clocks jump */
    WORLD_THROTTLE = 256, /* throttling and 5xx, before and after the write */
    WORLD_STALE = 512,    /* eventually consistent reads lag */
    WORLD_SHORTEN = 1024, /* leases change while held */
    WORLD_HIDE = 2048,    /* a server that shows no item with a refusal */
    WORLD_TTL = 4096,     /* some devices write a TTL; the table deletes */
    WORLD_SHORT = 8192,   /* only waits shorter than the lease */
    WORLD_EDGE = 16384    /* drift at the margin, holders that stand still,
                            waiters that look every few ms, a quick network;
                            never drawn, only named */
};

static const char *const world_names[] = { "loss", "delay", "repeat", "crash",
    "pause", "drift", "tick", "jump", "throttle", "stale", "shorten", "hide",
    "ttl", "short", "edge" };
#define DRAWN_NAMES (DL_COUNT(world_names) - 1)

typedef enum app_state { APP_OFF, APP_IDLE, APP_ASK, APP_HOLD, APP_GIVE } app;

struct world;

typedef struct device {
    struct world *world;
    unsigned id;
    unsigned key;
    char owner[16];
    dynalock_platform platform;
    dynalock_credentials credentials;
    dynalock_client client;
    dynalock_lock lock;
    /* clocks: local = offset + time * rate / 2^20 */
    uint64_t rate;
    uint64_t offset_us;
    uint32_t tick_ms;
    int64_t wall_off_ms;
    /* its thread of control */
    ucontext_t context;
    char *stack;
    int paused; /* within a hook */
    /* the application */
    app app;
    uint64_t next_at; /* what it does next */
    uint64_t work_until;
    uint64_t wake_at;     /* of the step that is scheduled */
    uint64_t wake_number; /* only the newest counts */
    uint64_t deadline_ms; /* of the wait under way, local; 0: none */
    uint64_t asked_at;
    uint32_t epoch; /* one more with every boot */
    int was_held;
    uint64_t fence;
    /* the connection */
    uint32_t connection; /* 0: none */
    int open;            /* 0: not yet */
    int peer_closed;
    char request[REQUEST_SIZE];
    size_t request_size;
    char answer[MODEL_ANSWER_SIZE];
    size_t answer_size, answer_at;
} device;

typedef enum event_kind {
    EVENT_STEP,   /* a device looks around */
    EVENT_RESUME, /* a device that stood still goes on */
    EVENT_OPEN,   /* its connection is there */
    EVENT_SERVE,  /* a request reaches the table */
    EVENT_ANSWER, /* an answer reaches the device */
    EVENT_EXPIRE  /* the table's TTL deletion */
} event_kind;

typedef struct event {
    uint64_t at;
    uint64_t number; /* events of one moment keep their order */
    event_kind kind;
    device *device;
    uint64_t value; /* connection, or wake number */
    char *text;     /* request or answer; owned by the event */
    size_t size;
    int silent; /* nobody hears the answer */
} event;

typedef struct world {
    chance chance;
    uint64_t seed;
    unsigned trouble;
    uint64_t now;
    uint64_t quiet_from; /* faults stop here */
    uint64_t number;
    uint32_t connections;
    event *queue;
    size_t queued, queue_room;
    ucontext_t context; /* the world's own thread of control */
    unsigned device_count, key_count;
    device *devices;
    model *model;
    model_options options;
    uint64_t last_fence[KEYS];
    uint64_t granted_after_quiet[KEYS];
    int failed;
    int tracing;
    char trace[TRACE_LINES][160];
    unsigned trace_lines;
} world;

static struct {
    uint64_t requests, grants, renewals, releases, steals, lost, crashes,
        deleted, unknown, operations;
} total;

static const char *const key_names[KEYS] = { "k0", "k1", "k2", "k3" };

/* ---- telling ---- */

static void say(world *w, const char *format, ...)
{
    char *line = w->trace[w->trace_lines % TRACE_LINES];
    va_list arguments;
    int n;

    if (!w->tracing) return;
    n = snprintf(line, 160, "%12.3f ", (double)w->now / MS);
    va_start(arguments, format);
    (void)vsnprintf(line + n, (size_t)(160 - n), format, arguments);
    va_end(arguments);
    w->trace_lines++;
}

static void violate(world *w, const char *format, ...)
{
    va_list arguments;

    if (w->failed++ > 0) return;
    printf("VIOLATION seed %" PRIu64 " at %.3f ms: ", w->seed,
        (double)w->now / MS);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

static void print_trace(const world *w)
{
    unsigned i =
        w->trace_lines > TRACE_LINES ? w->trace_lines - TRACE_LINES : 0;

    for (; i < w->trace_lines; i++) printf("%s\n", w->trace[i % TRACE_LINES]);
}

/* ---- the queue: a binary heap by time ---- */

static int before(const event *a, const event *b)
{
    return a->at != b->at ? a->at < b->at : a->number < b->number;
}

static void swap(event *a, event *b)
{
    event t = *a;

    *a = *b;
    *b = t;
}

static event *push(world *w, uint64_t at, event_kind kind, device *d)
{
    size_t i = w->queued++;
    event e;

    if (w->queued > w->queue_room) {
        w->queue_room = w->queue_room == 0 ? 256 : 2 * w->queue_room;
        w->queue =
            (event *)realloc(w->queue, w->queue_room * sizeof *w->queue);
        if (w->queue == NULL) abort();
    }
    memset(&e, 0, sizeof e);
    e.at = at < w->now ? w->now : at;
    e.number = ++w->number;
    e.kind = kind;
    e.device = d;
    w->queue[i] = e;
    while (i != 0 && before(&w->queue[i], &w->queue[(i - 1) / 2])) {
        swap(&w->queue[i], &w->queue[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    return &w->queue[i];
}

static event pop(world *w)
{
    event first = w->queue[0];
    size_t i = 0;

    w->queue[0] = w->queue[--w->queued];
    for (;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;

        if (left < w->queued && before(&w->queue[left], &w->queue[least]))
            least = left;
        if (right < w->queued && before(&w->queue[right], &w->queue[least]))
            least = right;
        if (least == i) return first;
        swap(&w->queue[i], &w->queue[least]);
        i = least;
    }
}

/* ---- clocks ---- */

static int has(const world *w, unsigned trouble)
{
    return (w->trouble & trouble) != 0;
}

/* Faults strike only before the quiet end of a run. */
static int strikes(world *w, unsigned trouble, uint64_t n)
{
    return has(w, trouble) && w->now < w->quiet_from && one_in(&w->chance, n);
}

static uint64_t local_us(const device *d)
{
    uint64_t t = d->world->now;

    return d->offset_us + (t >> 20) * d->rate +
           (((t & 0xfffff) * d->rate) >> 20);
}

static uint64_t local_ms(const device *d)
{
    uint64_t ms = local_us(d) / 1000;

    return ms - ms % d->tick_ms;
}

static int64_t server_ms(const world *w)
{
    return START_MS + (int64_t)(w->now / 1000);
}

/* ---- the network ---- */

static uint64_t delay_us(world *w)
{
    uint64_t x = draw(&w->chance, 1000);

    if (has(w, WORLD_EDGE) && w->now < w->quiet_from)
        return one_in(&w->chance, 20) ? draw(&w->chance, 3 * SECOND)
                                      : 50 + draw(&w->chance, 300);
    if (w->now >= w->quiet_from || !has(w, WORLD_DELAY))
        return 500 + draw(&w->chance, 8 * MS);
    if (x < 800) return 500 + draw(&w->chance, 10 * MS);
    if (x < 950) return draw(&w->chance, 400 * MS);
    if (x < 990) return draw(&w->chance, 4 * SECOND);
    if (x < 998) return draw(&w->chance, 12 * SECOND);
    return draw(&w->chance, 400 * (uint64_t)SECOND); /* beyond the window */
}

static void send_copy(
    device *d, uint64_t after, uint32_t connection, int silent)
{
    world *w = d->world;
    event *e;
    char *text = (char *)malloc(d->request_size + 1);

    if (text == NULL) abort();
    memcpy(text, d->request, d->request_size + 1);
    e = push(w, w->now + after, EVENT_SERVE, d);
    e->value = connection;
    e->text = text;
    e->size = d->request_size;
    e->silent = silent;
}

/* A whole request has left: what becomes of it? */
static void send_request(device *d)
{
    world *w = d->world;
    int first_silent = strikes(w, WORLD_LOSS, 12);

    total.requests++;
    if (strikes(w, WORLD_LOSS, 12)) {
        say(w, "d%u request is lost", d->id);
        return;
    }
    if (strikes(w, WORLD_REPEAT, 8)) {
        /* two copies; either answer may be the one that arrives */
        int second = one_in(&w->chance, 2);

        send_copy(d, delay_us(w) + draw(&w->chance, 3 * SECOND), d->connection,
            !second);
        first_silent = second;
    }
    send_copy(d, delay_us(w), d->connection, first_silent);
}

static int trouble_answer(world *w, const event *e, char *answer, size_t *size)
{
    if (!strikes(w, WORLD_THROTTLE, 25)) return 0;
    switch (draw(&w->chance, 4)) {
    case 0:
        *size = model_error(
            400, "ProvisionedThroughputExceededException", "too fast", answer);
        return 1;
    case 1:
        *size = model_error(400, "ThrottlingException", "too fast", answer);
        return 1;
    case 2:
        *size = model_error(500, "InternalServerError", "sorry", answer);
        return 1;
    default: /* carried out all the same */
        (void)model_serve(
            w->model, &w->options, server_ms(w), e->text, e->size, answer);
        *size = model_error(500, "InternalServerError", "sorry", answer);
        return 1;
    }
}

static void serve(world *w, event *e)
{
    char answer[MODEL_ANSWER_SIZE];
    size_t size;
    event *back;

    w->options.stale_ms = 0;
    if (has(w, WORLD_STALE) && w->now < w->quiet_from)
        w->options.stale_ms =
            draw(&w->chance, one_in(&w->chance, 4) ? 3000 : 200);
    if (!trouble_answer(w, e, answer, &size))
        size = model_serve(
            w->model, &w->options, server_ms(w), e->text, e->size, answer);
    say(w, "table answers d%u %.12s %s", e->device->id,
        strstr(e->text, "DynamoDB_20120810.") + 18,
        strstr(answer, "\r\n\r\n") + 4);
    if (e->silent) return;
    /* cut anywhere: the rest never comes, the connection ends */
    if (strikes(w, WORLD_LOSS, 40)) size = draw(&w->chance, size);
    back = push(w, w->now + delay_us(w), EVENT_ANSWER, e->device);
    back->value = e->value;
    back->text = (char *)malloc(size + 1);
    if (back->text == NULL) abort();
    memcpy(back->text, answer, size);
    back->size = size;
}

static void wake(device *d, uint64_t at);

static void deliver(world *w, const event *e)
{
    device *d = e->device;

    if (d->connection != e->value || d->app == APP_OFF) return;
    if (d->answer_size + e->size > sizeof d->answer) return;
    memcpy(d->answer + d->answer_size, e->text, e->size);
    d->answer_size += e->size;
    if (strikes(w, WORLD_LOSS, 30)) d->peer_closed = 1;
    wake(d, w->now);
}

/* ---- standing still and dying, anywhere ---- */

static void leave(device *d)
{
    if (swapcontext(&d->context, &d->world->context) != 0) abort();
}

static void enter(device *d)
{
    if (swapcontext(&d->world->context, &d->context) != 0) abort();
}

static void pause_device(device *d, uint64_t us)
{
    world *w = d->world;

    say(w, "d%u stands still for %.1f ms", d->id, (double)us / MS);
    d->paused = 1;
    push(w, w->now + us, EVENT_RESUME, d)->value = d->epoch;
    leave(d);
}

static void crash(device *d)
{
    world *w = d->world;

    say(w, "d%u CRASHES", d->id);
    total.crashes++;
    d->app = APP_OFF;
    d->connection = 0;
    d->paused = 0;
    d->was_held = 0;
    memset(&d->lock, 0, sizeof d->lock);
    d->next_at = w->now + draw(&w->chance, 3 * SECOND);
    push(w, d->next_at, EVENT_STEP, d)->value = ++d->wake_number;
    leave(d); /* for good: boot begins anew */
}

/* Every hook is a place where it can happen. */
static void strike(device *d)
{
    world *w = d->world;

    if (strikes(w, WORLD_PAUSE, 1500))
        pause_device(d, draw(&w->chance, 5 * SECOND));
    if (strikes(w, WORLD_EDGE, 150))
        pause_device(d, draw(&w->chance, 3 * SECOND));
    if (strikes(w, WORLD_CRASH, 4000)) crash(d);
}

/* ---- the hooks ---- */

static int32_t hook_open(void *context, const dynalock_peer *peer)
{
    device *d = (device *)context;
    world *w = d->world;

    (void)peer;
    strike(d);
    if (d->connection != 0) return d->open ? 0 : (int32_t)DYNALOCK_AGAIN;
    if (strikes(w, WORLD_LOSS, 30)) return -111;
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
    length = strstr(d->request, "content-length:");
    if (length == NULL || length > end) abort();
    if (d->request_size <
        (size_t)(end + 4 - d->request) + strtoul(length + 15, NULL, 10))
        return;
    if (d->lock.operation.client == NULL &&
        strstr(d->request, "UpdateItem") != NULL)
        violate(d->world, "d%u writes without a call under way", d->id);
    say(d->world, "d%u sends %.10s n=%u", d->id,
        strstr(d->request, "DynamoDB_20120810.") + 18, d->lock.counter);
    send_request(d);
    d->request_size = 0;
}

static int32_t hook_write(void *context, const void *data, size_t size)
{
    device *d = (device *)context;
    world *w = d->world;

    strike(d);
    if (d->peer_closed) return -32;
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
    return START_MS + (int64_t)(d->world->now / 1000) + d->wall_off_ms;
}

static int32_t hook_entropy(void *context, void *out, size_t size)
{
    device *d = (device *)context;
    uint8_t *at = (uint8_t *)out;

    while (size-- != 0) *at++ = (uint8_t)draw(&d->world->chance, 256);
    return 0;
}

/* ---- the judges ---- */

static uint32_t remaining(const device *d)
{
    uint64_t now = local_ms(d), until = d->lock.until;

    return until > now ? (uint32_t)(until - now) : 0;
}

/* At most one device with time left on a key. */
static void judge_exclusion(world *w, const device *d)
{
    unsigned i;

    if (d->app == APP_OFF || remaining(d) == 0) return;
    for (i = 0; i < w->device_count; i++) {
        const device *other = &w->devices[i];

        if (other != d && other->key == d->key && other->app != APP_OFF &&
            remaining(other) != 0)
            violate(w, "d%u and d%u hold %s, left %u and %u ms", d->id,
                other->id, key_names[d->key], remaining(d), remaining(other));
    }
}

static void judge_grant(world *w, device *d)
{
    uint64_t fence = dynalock_fence(&d->lock);

    say(w, "d%u GRANTED %s fence %" PRIu64 ", left %u", d->id,
        key_names[d->key], fence, remaining(d));
    if (remaining(d) == 0) return;
    if (fence <= w->last_fence[d->key])
        violate(w, "d%u got fence %" PRIu64 " after %" PRIu64, d->id, fence,
            w->last_fence[d->key]);
    w->last_fence[d->key] = fence;
    total.grants++;
    total.operations++;
    if (w->now >= w->quiet_from) w->granted_after_quiet[d->key]++;
}

/* A loss that is no expiry must be true: nothing of ours is on the table. */
static void judge_loss(world *w, const device *d, dynalock_outcome outcome)
{
    model_view view;
    char version[DL_VERSION_SIZE + 1] = "";

    total.lost++;
    say(w, "d%u LOST %d", d->id, (int)outcome);
    if (outcome == DYNALOCK_LOST_EXPIRED) return;
    if (!model_look(w->model, "locks", key_names[d->key], &view)) return;
    dl_version(&d->lock, version);
    if (view.released == NULL && view.rvn != NULL &&
        strncmp(view.rvn, version, 33) == 0)
        violate(w, "d%u was told %d, but the item is its own", d->id,
            (int)outcome);
}

/* Every wait ends by its deadline: the poll at or after it has the answer. */
static void judge_deadline(world *w, device *d, uint64_t polled_ms)
{
    if (d->deadline_ms != 0 && polled_ms >= d->deadline_ms &&
        d->lock.operation.outcome == DYNALOCK_AGAIN)
        violate(w, "d%u waits beyond its deadline", d->id);
}

/* ---- the application on a device ---- */

static void boot(device *d)
{
    world *w = d->world;
    dynalock_config config;
    dynalock_lock_options options;
    int ttl = has(w, WORLD_TTL);

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    config.platform = &d->platform;
    config.credentials = &d->credentials;
    config.endpoint = "http://table.test";
    config.region = "sim-1";
    config.table = "locks";
    config.owner = d->owner;
    config.lease_ms = 2000;
    config.poll_ms = 300;
    config.connect_ms = 1000;
    config.request_ms = 400;
    config.base_ms = 20;
    config.cap_ms = 500;
    if (has(w, WORLD_EDGE)) config.poll_ms = 20;
    config.ttl_attribute = ttl ? "expires" : NULL;
    config.no_ttl = ttl && d->id % 2 != 0;
    if (dynalock_client_init(&d->client, &config) != DYNALOCK_OK) abort();
    options.key = key_names[d->key];
    if (dynalock_lock_init(&d->lock, &options) != DYNALOCK_OK) abort();
    d->app = APP_IDLE;
    d->was_held = 0;
    d->deadline_ms = 0;
    d->connection = 0;
    d->epoch++;
    d->next_at = w->now + draw(&w->chance, 300 * MS);
}

static void ask(device *d)
{
    world *w = d->world;
    uint32_t wait_ms;
    dynalock_outcome rc;

    switch (draw(&w->chance, 4)) {
    case 0: wait_ms = 0; break;
    case 1: wait_ms = 1 + (uint32_t)draw(&w->chance, 900); break;
    default: wait_ms = 1 + (uint32_t)draw(&w->chance, 9000); break;
    }
    if (has(w, WORLD_EDGE)) wait_ms = 60000;
    if (has(w, WORLD_SHORT)) wait_ms = (uint32_t)draw(&w->chance, 900);
    if (w->now >= w->quiet_from) wait_ms = DYNALOCK_FOREVER;
    rc = dynalock_start_acquire(&d->client, &d->lock, wait_ms);
    d->next_at = w->now + 50 * MS + draw(&w->chance, SECOND);
    if (rc == DYNALOCK_UNKNOWN) total.unknown++;
    if (rc != DYNALOCK_AGAIN) return;
    d->app = APP_ASK;
    d->asked_at = w->now;
    d->deadline_ms = wait_ms == 0 || wait_ms == DYNALOCK_FOREVER
                         ? 0
                         : local_ms(d) + wait_ms;
}

static void rest(device *d)
{
    world *w = d->world;
    uint64_t pause = draw(&w->chance, 600 * MS);

    if (one_in(&w->chance, 20)) pause = draw(&w->chance, 20 * SECOND);
    if (has(w, WORLD_TTL) && one_in(&w->chance, 30))
        pause = draw(&w->chance, 9000 * (uint64_t)SECOND);
    if (w->now >= w->quiet_from) pause = draw(&w->chance, 200 * MS);
    d->app = APP_IDLE;
    d->deadline_ms = 0;
    d->next_at = w->now + pause;
    if (w->now < w->quiet_from && d->next_at > w->quiet_from)
        d->next_at = w->quiet_from; /* all are there in the end */
}

static void change_lease(device *d)
{
    world *w = d->world;
    static const uint32_t leases[] = { 2000, 2000, 500, 4000 };

    if (dynalock_set_lease(
            &d->client, &d->lock, leases[draw(&w->chance, 4)]) == DYNALOCK_OK)
        say(w, "d%u will ask for %u ms", d->id, d->lock.lease_ms);
}

static void hold(device *d)
{
    world *w = d->world;
    dynalock_outcome rc = dynalock_result(&d->lock.operation);

    if (rc <= DYNALOCK_LOST_EXPIRED && rc >= DYNALOCK_LOST_RELEASED) {
        judge_loss(w, d, rc);
        rest(d);
    } else if (w->now >= d->work_until) {
        rc = dynalock_start_release(&d->client, &d->lock);
        say(w, "d%u releases: %d", d->id, (int)rc);
        d->app = APP_GIVE;
        if (rc != DYNALOCK_AGAIN) rest(d);
    } else if (has(w, WORLD_SHORTEN) && one_in(&w->chance, 4)) {
        change_lease(d);
    }
}

static void act(device *d)
{
    world *w = d->world;
    dynalock_outcome rc = dynalock_result(&d->lock.operation);

    switch (d->app) {
    case APP_IDLE:
        if (w->now >= d->next_at) ask(d);
        break;
    case APP_ASK:
        if (rc == DYNALOCK_AGAIN) {
            if (strikes(w, WORLD_PAUSE, 300))
                dynalock_cancel(&d->client, &d->lock.operation);
            break;
        }
        d->deadline_ms = 0;
        if (rc != DYNALOCK_OK) {
            say(w, "d%u got %d", d->id, (int)rc);
            rest(d);
            break;
        }
        judge_grant(w, d);
        d->app = APP_HOLD;
        d->work_until =
            w->now +
            draw(&w->chance, w->now < w->quiet_from ? 6 * SECOND : SECOND);
        break;
    case APP_HOLD: hold(d); break;
    case APP_GIVE:
        if (rc == DYNALOCK_AGAIN) break;
        total.releases += rc == DYNALOCK_OK;
        total.operations++;
        rest(d);
        break;
    case APP_OFF: break;
    }
}

static void wake(device *d, uint64_t at)
{
    event *e;

    if (d->app == APP_OFF || d->paused) return;
    if (d->wake_at > d->world->now && d->wake_at <= at) return;
    d->wake_at = at;
    e = push(d->world, at, EVENT_STEP, d);
    e->value = ++d->wake_number;
}

/* When something is next due on this device, by the world's clock. */
static uint64_t next_wake(const device *d)
{
    unsigned interest;
    uint32_t ms;
    uint64_t at, app_at = UINT64_MAX;

    dynalock_wants(&d->client, &interest, &ms);
    if (d->client.operations == NULL) ms = 60000;
    at = d->world->now + ((uint64_t)ms * 1000 << 20) / d->rate + 1;
    if (d->app == APP_IDLE) app_at = d->next_at;
    if (d->app == APP_HOLD) app_at = d->work_until;
    return at < app_at ? at : app_at;
}

static void live(device *d)
{
    world *w = d->world;
    uint64_t polled_ms, until = d->lock.until;

    if (d->app == APP_OFF) boot(d);
    if (strikes(w, WORLD_JUMP, 100))
        d->wall_off_ms = (int64_t)draw(&w->chance, 560000) - 280000;
    polled_ms = local_ms(d);
    (void)dynalock_poll(&d->client);
    judge_deadline(w, d, polled_ms);
    if (d->lock.until > until && d->app == APP_HOLD) {
        total.renewals++;
        total.operations++;
    }
    act(d);
    judge_exclusion(w, d);
    wake(d, next_wake(d));
}

/* makecontext hands over ints: the device comes in two halves. */
static void live_on(unsigned high, unsigned low)
{
    device *d = (device *)((uintptr_t)high << 16 << 16 | low);

    for (;;) {
        live(d);
        leave(d);
    }
}

/* A fresh life for a device that was off. */
static void begin_life(device *d)
{
    uintptr_t p = (uintptr_t)d;

    if (getcontext(&d->context) != 0) abort();
    d->context.uc_stack.ss_sp = d->stack;
    d->context.uc_stack.ss_size = STACK_SIZE;
    d->context.uc_link = NULL;
    makecontext(&d->context, (void (*)(void))live_on, 2,
        (unsigned)(p >> 16 >> 16), (unsigned)p);
}

static void step(device *d)
{
    if (d->paused) return;
    d->wake_at = 0;
    if (d->app == APP_OFF) begin_life(d);
    enter(d);
}

static void resume(device *d)
{
    d->paused = 0;
    enter(d);
}

/* ---- a run ---- */

static void handle(world *w, event *e)
{
    device *d = e->device;

    switch (e->kind) {
    case EVENT_STEP:
        if (e->value == d->wake_number) step(d);
        break;
    case EVENT_RESUME:
        if (e->value == d->epoch && d->paused) resume(d);
        break;
    case EVENT_OPEN:
        if (d->connection != e->value) break;
        d->open = 1;
        wake(d, w->now);
        break;
    case EVENT_SERVE: serve(w, e); break;
    case EVENT_ANSWER: deliver(w, e); break;
    case EVENT_EXPIRE:
        total.deleted +=
            (uint64_t)model_expire(w->model, "expires", server_ms(w));
        push(w, w->now + draw(&w->chance, 600 * (uint64_t)SECOND),
            EVENT_EXPIRE, NULL);
        break;
    }
    free(e->text);
}

static void make_device(world *w, unsigned i)
{
    device *d = &w->devices[i];
    int64_t drift = 0;

    memset(d, 0, sizeof *d);
    d->stack = (char *)malloc(STACK_SIZE);
    if (d->stack == NULL) abort();
    d->world = w;
    d->id = i;
    d->key = i % w->key_count;
    (void)snprintf(d->owner, sizeof d->owner, "d%u", i);
    d->platform.context = d;
    d->platform.open = hook_open;
    d->platform.write = hook_write;
    d->platform.read = hook_read;
    d->platform.close = hook_close;
    d->platform.monotonic_ms = hook_monotonic;
    d->platform.unix_ms = hook_unix;
    d->platform.entropy = hook_entropy;
    d->credentials.key_id = "AKIDSIM";
    d->credentials.secret = "simulated";
    /* each within the margin of 1 %: holder and waiter both allow for it */
    if (has(w, WORLD_DRIFT))
        drift = (int64_t)draw(&w->chance, 2 * 10380) - 10380;
    if (has(w, WORLD_EDGE)) drift = one_in(&w->chance, 2) ? 10380 : -10380;
    d->rate = (uint64_t)((1 << 20) + drift);
    d->offset_us = draw(&w->chance, 1000000 * (uint64_t)SECOND);
    d->tick_ms = has(w, WORLD_TICK) ? 1 + (uint32_t)draw(&w->chance, 10) : 1;
    d->wall_off_ms =
        has(w, WORLD_JUMP) ? (int64_t)draw(&w->chance, 560000) - 280000 : 0;
    push(w, draw(&w->chance, 50 * MS), EVENT_STEP, d)->value =
        ++d->wake_number;
}

static void make_world(
    world *w, uint64_t seed, unsigned devices, unsigned trouble, int tracing)
{
    unsigned i;

    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->chance.state = seed;
    w->tracing = tracing;
    w->trouble = trouble;
    if (trouble == 0) /* any mixture */
        w->trouble = (unsigned)draw(&w->chance, 1u << DRAWN_NAMES);
    w->device_count =
        devices != 0 ? devices : 2 + (unsigned)draw(&w->chance, 5);
    w->key_count =
        1 + (w->device_count > 8 ? (unsigned)draw(&w->chance, KEYS) : 0);
    w->quiet_from = (has(w, WORLD_TTL) ? 20000 : 120) * (uint64_t)SECOND;
    w->model = model_new();
    w->options.key_id = "AKIDSIM";
    w->options.secret = "simulated";
    w->options.region = "sim-1";
    w->options.hide_item = has(w, WORLD_HIDE);
    w->devices = (device *)calloc(w->device_count, sizeof(device));
    if (w->devices == NULL || w->model == NULL) abort();
    for (i = 0; i < w->device_count; i++) make_device(w, i);
    if (has(w, WORLD_TTL)) push(w, 0, EVENT_EXPIRE, NULL);
}

static void free_world(world *w)
{
    size_t i;

    for (i = 0; i < w->queued; i++) free(w->queue[i].text);
    for (i = 0; i < w->device_count; i++) free(w->devices[i].stack);
    free(w->queue);
    free(w->devices);
    model_free(w->model);
}

/* When the faults have stopped, everybody who asks is served in the end. */
static void judge_liveness(world *w)
{
    unsigned i;

    for (i = 0; i < w->device_count; i++) {
        const device *d = &w->devices[i];

        if (d->app == APP_ASK && d->asked_at < w->now - 90 * SECOND &&
            w->device_count <= 16)
            violate(w, "d%u was never served", i);
    }
    for (i = 0; i < w->key_count; i++)
        if (w->granted_after_quiet[i] < 5)
            violate(w, "%s stands still", key_names[i]);
}

static int run(uint64_t seed, unsigned devices, unsigned trouble, int tracing)
{
    static world w;
    uint64_t end;
    int failed;

    make_world(&w, seed, devices, trouble, tracing);
    end = w.quiet_from + 120 * (uint64_t)SECOND;
    while (w.queued != 0 && w.queue[0].at < end && !w.failed) {
        event e = pop(&w);

        w.now = e.at;
        handle(&w, &e);
    }
    if (!w.failed) {
        w.now = end;
        judge_liveness(&w);
    }
    failed = w.failed;
    if (failed && tracing) print_trace(&w);
    free_world(&w);
    return failed;
}

/* ---- the command ---- */

static unsigned read_trouble(char *text)
{
    unsigned trouble = 0;
    char *name;
    size_t i;

    for (name = strtok(text, ","); name != NULL; name = strtok(NULL, ",")) {
        for (i = 0; i < DL_COUNT(world_names); i++)
            if (strcmp(name, world_names[i]) == 0) break;
        if (i == DL_COUNT(world_names)) {
            fprintf(stderr, "no such trouble: %s\n", name);
            exit(64);
        }
        trouble |= 1u << i;
    }
    return trouble;
}

int main(int argc, char **argv)
{
    uint64_t runs = 100, seed = 1, i, failures = 0;
    unsigned devices = 0, trouble = 0;
    int tracing = 0, a;
    clock_t start = clock();
    double seconds;

    for (a = 1; a < argc; a++) {
        char *value = a + 1 < argc ? argv[a + 1] : argv[a];

        if (strcmp(argv[a], "--trace") == 0) {
            tracing = 1;
            continue;
        }
        if (strcmp(argv[a], "--runs") == 0) runs = strtoull(value, NULL, 10);
        else if (strcmp(argv[a], "--seed") == 0)
            seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[a], "--devices") == 0)
            devices = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[a], "--world") == 0)
            trouble = read_trouble(value);
        else return 64;
        a++;
    }
    if (devices > DEVICES) return 64;
    for (i = 0; i < runs && failures < 5; i++)
        if (run(seed + i, devices, trouble, tracing) != 0) failures++;
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    printf("%" PRIu64 " runs from seed %" PRIu64 ": %" PRIu64
           " violations; %" PRIu64 " requests, %" PRIu64 " grants, %" PRIu64
           " renewals, %" PRIu64 " releases, %" PRIu64 " losses, %" PRIu64
           " crashes, %" PRIu64 " TTL deletions; %.0f operations/s\n",
        i, seed, failures, total.requests, total.grants, total.renewals,
        total.releases, total.lost, total.crashes, total.deleted,
        (double)total.operations / seconds);
    return failures != 0;
}
