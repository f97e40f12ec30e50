/*
    simulate [--runs N] [--seed S] [--devices D] [--world a,b,...] [--trace]
             [--figures] [--record FILE] [--tick MS]

The real dynalock.h, unchanged, runs on every device of a fleet, driven through
its hooks: virtual monotonic clocks that drift and step, wall clocks that jump,
a network that loses, delays, repeats, reorders and cuts, and a table behind
it. Each run derives from one seed; a seed that fails replays exactly, --trace
prints its last events. After every event the promises of the manual are
asserted. --figures: too slow is a failure too. --record: writes
down what the table was asked, a line for each request.
*/
#define _DEFAULT_SOURCE
#include "foreign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MARGIN 10380 /* 1 % less a step, in 2^-20 */
#define YEAR_MS (INT64_C(365) * 86400000)
#define FAILURES 5            /* that end the program */
#define MUST_OPERATIONS 20000 /* per second */

/* Where a lease ends by the wall clock these agree to four seconds. */
#define AGREED_OFF_MS 2000
#define GRACE_MS 8000 /* lock_delay_ms, for who leaves late */

typedef struct command {
    uint64_t runs, seed;
    unsigned devices;
    uint32_t trouble;
    const foreign_client *others;
    int tracing, figures;
} command;

/* The clocks' step at the edge: as the header was compiled. */
static uint32_t coarse_ms = DYNALOCK_CLOCK_STEP_MS;

/* ---- a world ---- */

/* None at all, or years off. */
static void set_wrong_clock(device *d)
{
    world *w = d->world;

    if (!has(w, WORLD_CLOCK) || one_in(&w->chance, 3)) return;
    d->clockless = one_in(&w->chance, 2);
    d->wall_off_ms = (int64_t)draw(&w->chance, 20 * YEAR_MS) - 15 * YEAR_MS;
}

static void make_device(world *w, unsigned i)
{
    device *d = &w->devices[i];
    int64_t drift = 0,
            most = w->others->beat != NULL ? MARGIN * 8 / 10 : MARGIN;
    unsigned k;

    d->world = w;
    d->id = i;
    (void)snprintf(d->owner, sizeof d->owner, "d%u", i);
    make_platform(d);
    d->credentials.key_id = w->options.key_id;
    d->credentials.secret = w->options.secret;
    /* each within the margin of 1 %: holder and waiter both allow for it;
       others that watch a lease do not */
    if (has(w, WORLD_DRIFT))
        drift = (int64_t)draw(&w->chance, (uint64_t)(2 * most)) - most;
    if (has(w, WORLD_EDGE)) drift = one_in(&w->chance, 2) ? MARGIN : -MARGIN;
    if (has(w, WORLD_BEYOND))
        drift = one_in(&w->chance, 2) ? 10 * MARGIN : -10 * MARGIN;
    d->rate = (uint64_t)((1 << 20) + drift);
    d->offset_us = draw(&w->chance, 1000000 * SECOND);
    d->tick_ms = has(w, WORLD_TICK) ? 1 + (uint32_t)draw(&w->chance, 10) : 1;
    if (has(w, WORLD_EDGE) && has(w, WORLD_TICK)) d->tick_ms = coarse_ms;
    d->wall_off_ms = has(w, WORLD_JUMP) ? draw_off_ms(w) : 0;
    d->task_count = has(w, WORLD_MANY) && w->key_count > 1 ? 2 : 1;
    if (has(w, WORLD_GROUP)) d->task_count = KEYS;
    for (k = 0; k < d->task_count; k++) {
        d->tasks[k].device = d;
        d->tasks[k].lock = &d->permits[k].lock;
        d->tasks[k].key = has(w, WORLD_GROUP) ? k : (i + k) % w->key_count;
    }
    set_wrong_clock(d);
}

/* The token that was good so far has expired. */
static void rotate_token(world *w)
{
    if (!has(w, WORLD_TOKEN)) return;
    w->options.old_token = w->token_count != 0 ? w->options.token : NULL;
    w->options.token = w->tokens[w->token_count % 2];
    (void)snprintf(w->tokens[w->token_count % 2], sizeof w->tokens[0],
        "session %u", w->token_count);
    w->token_count++;
    if (!is_quiet(w))
        push(w, w->now + draw(&w->chance, 20 * SECOND), EVENT_ROTATE, NULL);
}

static void make_places(world *w)
{
    static const char *const keys[KEYS] = { "k/0", "k/1", "k/2", "k/3" };
    const foreign_client *others = w->others;
    unsigned i;

    w->table = has(w, WORLD_SORTED) ? "sorted" : "locks";
    w->key_name = has(w, WORLD_SORTED) ? "name" : "key";
    w->sort_key_name = has(w, WORLD_SORTED) ? "part" : NULL;
    w->key_count = 1;
    if (w->device_count > 8 && !has(w, WORLD_CROWD))
        w->key_count += (unsigned)draw(&w->chance, KEYS);
    else if (has(w, WORLD_MANY)) w->key_count = 2;
    if (has(w, WORLD_GROUP)) w->key_count = KEYS;
    for (i = 0; i < w->key_count; i++) {
        w->places[i].key = keys[i];
        w->places[i].sort_key = has(w, WORLD_SORTED) ? "p" : NULL;
    }
    if (others->table == NULL) return;
    w->table = others->table;
    w->key_name = others->key_name != NULL ? others->key_name : "key";
    w->sort_key_name = others->sort_key_name;
    if (others->permits == 0) return;
    w->key_count = others->permits;
    for (i = 0; i < w->key_count; i++) {
        w->places[i].key = keys[0];
        w->places[i].sort_key = keys[i] + 2;
    }
}

/* Wall clocks agree, and the dead are waited for longer: by their graces. */
static int is_slow(const world *w)
{
    return (w->others->flags & FOREIGN_WALL) != 0;
}

static void set_times(world *w)
{
    w->lease_ms = 2000;
    w->poll_ms = has(w, WORLD_EDGE) ? 20 : 300;

    w->request_ms = 400;
    w->quiet_from = (has(w, WORLD_TTL | WORLD_TIDY) ? 20000 : 120) * SECOND;
    w->end = w->quiet_from + 120 * SECOND;
    /* who deletes an item makes its fence be forgotten: clocks order then */
    if (w->foreign_count != 0 || has(w, WORLD_OPERATOR))
        w->fence_slack = (w->request_ms + 100) * MS +
                         (!has(w, WORLD_JUMP | WORLD_CLOCK) ? 0
                             : is_slow(w) ? 2 * AGREED_OFF_MS * MS
                                          : 600 * SECOND);
    if (!has(w, WORLD_CROWD)) return;
    w->lease_ms = 20000;
    w->poll_ms = 1000;
    w->quiet_from = 0;
    w->end = 900 * SECOND;
}

static void push_events(world *w)
{
    start_foreigners(w);
    if (has(w, WORLD_TTL)) push(w, 0, EVENT_EXPIRE, NULL);
    if (has(w, WORLD_OPERATOR)) push(w, 0, EVENT_OPERATOR, NULL);
    push(w, w->quiet_from + (has(w, WORLD_SHORT) ? 0 : 15 * SECOND),
        EVENT_KILL, NULL);
}

/* Any mixture, thick or thin; Java and clocks that wait for hours not so
   often. */
static uint32_t draw_trouble(world *w)
{
    uint32_t trouble = (uint32_t)draw(&w->chance, 1u << DRAWN_WORLDS);

    if (one_in(&w->chance, 2)) trouble &= (uint32_t)draw64(&w->chance);
    if (!one_in(&w->chance, 4)) trouble &= ~(uint32_t)WORLD_JAVA;
    if (!one_in(&w->chance, 3)) trouble &= ~(uint32_t)(WORLD_TTL | WORLD_TIDY);
    return trouble;
}

/* Who wants several restores nothing; by itself that world is a mixture. */
static void mix_groups(world *w)
{
    if (w->trouble == WORLD_GROUP) w->trouble |= draw_trouble(w);
    w->trouble &= ~(uint32_t)(WORLD_SHORT | WORLD_BLOB | WORLD_TWIN |
                              WORLD_SAME | WORLD_CROWD);
    w->options.no_transactions = one_in(&w->chance, 3);
}

/* Who shares a table with another library: by itself that world is a mixture.
   What belongs to the standard layout is left out, and clocks are as good as
   the layout wants them. */
static void mix_foreign(world *w)
{
    if (w->trouble == 0) w->trouble = draw_trouble(w);
    w->trouble &=
        ~(uint32_t)(WORLD_JAVA | WORLD_TTL | WORLD_TIDY | WORLD_SORTED |
                    WORLD_BLOB | WORLD_TWIN | WORLD_SAME | WORLD_CLOCK |
                    WORLD_SHORT | WORLD_SHORTEN | WORLD_ODD);
}

/* The others by name, or Java by chance. */
static void invite_others(world *w, const foreign_client *others)
{
    w->others = others != NULL ? others : find_foreign(NULL);
    if (others != NULL) mix_foreign(w);
    else if (w->trouble == 0) w->trouble = draw_trouble(w);
    if (has(w, WORLD_JAVA)) w->others = find_foreign("java");
    w->off_ms = is_slow(w) ? AGREED_OFF_MS : OFF_MS;
    if (w->others != find_foreign(NULL))
        w->foreign_count = 1 + (unsigned)(w->seed % FOREIGNERS);
    if ((w->others->flags & FOREIGN_ROBS_LEAVING) != 0 &&
        one_in(&w->chance, 3))
        w->lock_delay_ms = GRACE_MS;
}

static void make_twins(world *w)
{
    unsigned i, twins = w->device_count < TWINS ? w->device_count : TWINS;

    if (!has(w, WORLD_TWIN)) return;
    for (i = 0; i < twins; i++) { /* unborn: no event wakes them */
        device *d = &w->devices[w->device_count + i];

        make_device(w, w->device_count + i);
        (void)snprintf(d->owner, sizeof d->owner, "d%u", i);
        d->tasks[0].key = w->devices[i].tasks[0].key;
        d->task_count = 1;
        w->devices[i].twin = d;
    }
    w->device_count += twins;
}

static void make_world(world *w, uint64_t seed, const command *c)
{
    unsigned i;

    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->chance.state = seed;
    w->tracing = c->tracing;
    w->trouble = c->trouble;
    invite_others(w, c->others);
    if (has(w, WORLD_GROUP)) mix_groups(w);
    mix_sources(w);
    w->device_count =
        c->devices != 0 ? c->devices : 2 + (unsigned)draw(&w->chance, 5);
    if (c->devices == 0 && has(w, WORLD_CROWD)) w->device_count = 101;
    make_places(w);
    set_times(w);
    if (has(w, WORLD_CREDENTIALS)) make_issuer(w);
    w->model = model_new();
    w->options.key_id = "AKIDSIM";
    w->options.secret = "simulated";
    w->options.region = "sim-1";
    w->options.hide_item = has(w, WORLD_HIDE);
    rotate_token(w);
    w->devices = (device *)calloc(w->device_count + TWINS, sizeof(device));
    if (w->devices == NULL) abort();
    for (i = 0; i < w->device_count; i++) {
        make_device(w, i);
        push(w, draw(&w->chance, 50 * MS), EVENT_STEP, &w->devices[i])->value =
            ++w->devices[i].wake_number;
    }
    make_twins(w);
    push_events(w);
}

static void free_world(world *w)
{
    size_t i;

    for (i = 0; i < w->queued; i++) free(w->queue[i].text);
    for (i = 0; i < w->device_count; i++) free(w->devices[i].stack);
    free_issuer(w);
    free(w->queue);
    free(w->devices);
    free(w->foreigners);
    free_ids(&w->released);
    model_free(w->model);
}

/* ---- its events ---- */

static void expire_items(world *w)
{
    unsigned i;

    for (i = 0; i < w->key_count; i++) {
        const place *p = &w->places[i];

        if (!model_expire(w->model, w->table, p->key, p->sort_key, "expires",
                server_ms(w)))
            continue;
        say(w, "the TTL deletes %s", p->key);
        judge_expiry(w, i);
        total.deleted++;
    }
}

/* In the quiet end holders die one by one, to see how soon that is noticed;
   in worlds of short waits all of them at its start. */
static void kill_holders(world *w)
{
    unsigned i, k;

    for (i = 0; i < w->device_count; i++)
        for (k = 0; k < w->devices[i].task_count; k++) {
            device *d = &w->devices[i];

            if (!d->on || remaining_ms(&d->tasks[k]) == 0) continue;
            crash_device(d);
            if (!has(w, WORLD_SHORT)) i = w->device_count - 1;
            break;
        }
    push(w,
        w->now +
            (has(w, WORLD_CROWD | WORLD_CREDENTIALS) ? 40
                : is_slow(w)                         ? 15
                                                     : 5) *
                SECOND +
            draw(&w->chance, 5 * SECOND),
        EVENT_KILL, NULL);
}

static void handle_device(world *w, const event *e)
{
    device *d = e->device;

    switch (e->kind) {
    case EVENT_STEP:
        if (e->value == d->wake_number) step_device(d);
        break;
    case EVENT_RESUME:
        if (e->value == d->epoch && d->paused) resume_device(d);
        break;
    default: /* EVENT_OPEN */
        if (d->connection != e->value) break;
        d->open = 1;
        wake(d, w->now);
        break;
    }
}

static void handle(world *w, event *e)
{
    switch (e->kind) {
    case EVENT_STEP:
    case EVENT_RESUME:
    case EVENT_OPEN: handle_device(w, e); break;
    case EVENT_SERVE: serve(w, e); break;
    case EVENT_ANSWER: deliver(w, e); break;
    case EVENT_EXPIRE:
        expire_items(w);
        if (e->value == 0)
            push(w, w->now + draw(&w->chance, 600 * SECOND), EVENT_EXPIRE,
                NULL);
        break;
    case EVENT_KILL: kill_holders(w); break;
    case EVENT_ROTATE: rotate_token(w); break;
    case EVENT_OPERATOR:
        edit_item(w);
        if (!is_quiet(w))
            push(w, w->now + draw(&w->chance, 4 * SECOND), EVENT_OPERATOR,
                NULL);
        break;
    case EVENT_FOREIGN_STEP: step_foreign(e->foreign, e); break;
    case EVENT_FOREIGN_SERVE: serve_foreign(w, e); break;
    case EVENT_FOREIGN_ANSWER: hear_foreign(e->foreign, e); break;
    }
    free(e->text);
}

static int run(uint64_t seed, const command *c)
{
    static world w;
    int failed;

    make_world(&w, seed, c);
    while (w.queued != 0 && w.queue[0].at < w.end && !w.failed) {
        event e = pop(&w);

        w.now = e.at;
        handle(&w, &e);
    }
    if (!w.failed) {
        w.now = w.end;
        judge_end(&w);
    }
    failed = w.failed;
    if (failed && c->tracing) print_trace(&w);
    free_world(&w);
    return failed;
}

/* ---- the command ---- */

static int by_share(const void *a, const void *b)
{
    const takeover *x = (const takeover *)a, *y = (const takeover *)b;
    uint64_t left = x->us * y->most_us, right = y->us * x->most_us;

    return left < right ? -1 : left > right;
}

/* Of deaths in the quiet end. Returns whether it is as promised. */
static int print_takeovers(void)
{
    const takeover *half, *most;

    if (total.takeovers < 20) return 1;
    qsort(total.takeover, total.takeovers, sizeof *total.takeover, by_share);
    half = &total.takeover[total.takeovers / 2];
    most = &total.takeover[total.takeovers * 99 / 100];
    printf("%zu take-overs of the dead: p50 %.0f ms of %.0f, p99 %.0f ms of "
           "%.0f allowed\n",
        total.takeovers, (double)half->us / MS, (double)half->most_us / MS,
        (double)most->us / MS, (double)most->most_us / MS);
    return most->us <= most->most_us;
}

/* Of the crowd's waiters. Returns whether it is as promised. */
static int print_waiters(void)
{
    double polls = (double)total.waited_us / MS / 1000;

    printf("waiters: %.3f requests per poll interval, %.4f of them refused "
           "writes\n",
        (double)total.waiter_requests / polls,
        (double)total.waiter_writes_refused / (double)total.waiter_requests);
    return (double)total.waiter_requests <= polls &&
           10 * total.waiter_writes_refused <= total.waiter_requests;
}

static int print_totals(
    uint64_t runs, uint64_t seed, uint64_t failures, double seconds)
{
    double speed = (double)total.operations / seconds;

    printf("%" PRIu64 " requests, %" PRIu64 " grants, %" PRIu64
           " renewals, %" PRIu64 " releases, %" PRIu64 " losses, %" PRIu64
           " crashes, %" PRIu64 " TTL deletions, %" PRIu64 " edits, %" PRIu64
           " grants of others, %" PRIu64 " robberies\n",
        total.requests, total.grants, total.renewals, total.releases,
        total.losses, total.crashes, total.deleted, total.edits,
        total.foreign_grants, total.robberies);
    printf("%" PRIu64 " restored, %" PRIu64 " twins, %" PRIu64
           " tidied, %" PRIu64 " refreshed, %" PRIu64 " alarms, %" PRIu64
           " closed, %" PRIu64 " broken, %" PRIu64 " groups, %" PRIu64
           " permits\n",
        total.restored, total.twins, total.tidied, total.refreshed,
        total.alarms, total.closed, total.broken, total.groups, total.permits);
    printf("%" PRIu64 " steals, %" PRIu64 " ghosts, %" PRIu64
           " watch restarts, %" PRIu64 " looks at an own write\n",
        total.steals, total.ghosts, total.watch_restarts, total.own_looks);
    printf("%" PRIu64 " runs from seed %" PRIu64 ": %" PRIu64
           " violations; %.0f operations/s\n",
        runs, seed, failures, speed);
    return speed >= MUST_OPERATIONS;
}

static void read_worlds(command *c, char *text)
{
    char *name;
    size_t i;

    for (name = strtok(text, ","); name != NULL; name = strtok(NULL, ",")) {
        for (i = 0; i < COUNT_OF(world_names); i++)
            if (strcmp(name, world_names[i]) == 0) break;
        if (i < COUNT_OF(world_names)) {
            c->trouble |= UINT32_C(1) << i;
            continue;
        }
        c->others = find_foreign(name);
        if (c->others == NULL) {
            fprintf(stderr, "no such world: %s\n", name);
            exit(64);
        }
    }
}

static int read_command(command *c, int argc, char **argv)
{
    int a;

    for (a = 1; a < argc; a++) {
        char *value = a + 1 < argc ? argv[a + 1] : argv[a];

        if (strcmp(argv[a], "--trace") == 0) c->tracing = 1;
        else if (strcmp(argv[a], "--figures") == 0) c->figures = 1;
        else if (strcmp(argv[a++], "--runs") == 0)
            c->runs = strtoull(value, NULL, 10);
        else if (strcmp(argv[a - 1], "--seed") == 0)
            c->seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[a - 1], "--devices") == 0)
            c->devices = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[a - 1], "--world") == 0) read_worlds(c, value);
        else if (strcmp(argv[a - 1], "--tick") == 0)
            coarse_ms = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[a - 1], "--record") == 0)
            record = fopen(value, "w");
        else return 0;
    }
    return c->devices <= DEVICES;
}

int main(int argc, char **argv)
{
    command c = { 100, 1, 0, 0, NULL, 0, 0 };
    uint64_t i, failures = 0;
    clock_t start = clock();
    int well;

    if (!read_command(&c, argc, argv)) return 64;
    for (i = 0; i < c.runs && failures < FAILURES; i++)
        if (run(c.seed + i, &c) != 0) failures++;
    if (record != NULL && fclose(record) != 0) failures++;
    well = print_takeovers();
    if ((c.trouble & WORLD_CROWD) != 0) well &= print_waiters();
    if (!print_totals(
            i, c.seed, failures, (double)(clock() - start) / CLOCKS_PER_SEC) &&
        c.figures)
        well = 0;
    if (!well) printf("a figure is not what it must be\n");
    return failures != 0 || !well;
}
