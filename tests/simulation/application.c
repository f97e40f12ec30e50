#define _DEFAULT_SOURCE
#include "world.h"

#include <stdlib.h>
#include <string.h>

/* What a device wants with its locks: it asks, holds, gives back, rests. */

/* ---- booting ---- */

static void set_times(const world *w, dynalock_config *config)
{
    if (has(w, WORLD_CROWD)) return; /* the defaults */
    config->lease_ms = w->lease_ms;
    config->poll_ms = w->poll_ms;
    config->connect_ms = 1000;
    config->request_ms = w->request_ms;
    config->base_ms = 20;
    config->cap_ms = 500;
}

static void init_client(device *d)
{
    world *w = d->world;
    dynalock_config config;

    memset(&config, 0, sizeof config);
    config.platform = &d->platform;
    config.credentials = &d->credentials;
    config.endpoint = "https://table.test";
    config.secure_transport = 1;
    config.region = w->options.region;
    config.table = w->table;
    config.owner = d->owner;
    if (has(w, WORLD_SORTED)) {
        config.key_name = "name";
        config.sort_key_name = "part";
    }
    set_times(w, &config);
    config.ttl_attribute = has(w, WORLD_TTL) ? "expires" : NULL;
    config.no_ttl = has(w, WORLD_TTL) && d->id % 2 != 0;
    if (dynalock_client_init(&d->client, &config) != DYNALOCK_OK) abort();
}

static void init_task(task *t)
{
    world *w = t->device->world;
    const place *p = &w->places[t->key];
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = p->key;
    options.sort_key = p->sort_key;
    if (dynalock_lock_init(&t->lock, &options) != DYNALOCK_OK) abort();
    t->app = APP_IDLE;
    t->deadline_ms = 0;
    t->has_lost = 0;
    t->until = 0;
    t->watched[0] = '\0';
    t->own_seen = 0;
    t->next_at = w->now + draw(&w->chance, 300 * MS);
}

void boot_device(device *d)
{
    unsigned i;

    d->on = 1;
    d->connection = 0;
    d->epoch++;
    /* boards with a weak start all alike */
    if (has(d->world, WORLD_WEAK)) d->offset_us = UINT64_C(1) << 40;
    init_client(d);
    for (i = 0; i < d->task_count; i++) init_task(&d->tasks[i]);
}

/* ---- asking ---- */

static uint32_t draw_wait(world *w)
{
    if (has(w, WORLD_SHORT)) return (uint32_t)draw(&w->chance, 900);
    if (is_quiet(w)) return DYNALOCK_FOREVER;
    if (has(w, WORLD_EDGE)) return 60000;
    switch (draw(&w->chance, 4)) {
    case 0: return 0;
    case 1: return 1 + (uint32_t)draw(&w->chance, 900);
    default: return 1 + (uint32_t)draw(&w->chance, 9000);
    }
}

static void ask(task *t)
{
    device *d = t->device;
    world *w = d->world;
    uint32_t wait_ms = draw_wait(w);
    dynalock_outcome rc =
        dynalock_start_acquire(&d->client, &t->lock, wait_ms);

    t->next_at = w->now + 50 * MS + draw(&w->chance, SECOND);
    if (rc == DYNALOCK_UNKNOWN) total.unknown++;
    if (rc != DYNALOCK_AGAIN) return;
    t->app = APP_ASK;
    t->has_lost = 0;
    t->until = 0;
    t->asked_at = w->now;
    t->own_seen = 0;
    t->deadline_ms = wait_ms == 0 || wait_ms == DYNALOCK_FOREVER
                         ? 0
                         : local_ms(d) + wait_ms;
}

static void rest(task *t)
{
    world *w = t->device->world;
    uint64_t pause = draw(&w->chance, 600 * MS);

    if (one_in(&w->chance, 20)) pause = draw(&w->chance, 20 * SECOND);
    if (has(w, WORLD_TTL) && one_in(&w->chance, 30))
        pause = draw(&w->chance, 9000 * SECOND);
    if (is_quiet(w)) pause = draw(&w->chance, 200 * MS);
    t->app = APP_IDLE;
    t->deadline_ms = 0;
    t->next_at = w->now + pause;
    if (!is_quiet(w) && t->next_at > w->quiet_from)
        t->next_at = w->quiet_from; /* all are there in the end */
}

static void ask_on(task *t, dynalock_outcome rc)
{
    device *d = t->device;
    world *w = d->world;

    if (rc == DYNALOCK_AGAIN) {
        if (strikes(w, WORLD_PAUSE, 300))
            dynalock_cancel(&d->client, &t->lock.operation);
        return;
    }
    t->deadline_ms = 0;
    total.waited_us += w->now - t->asked_at;
    if (rc != DYNALOCK_OK) {
        say(w, "d%u got %d", d->id, (int)rc);
        rest(t);
        return;
    }
    judge_grant(w, t);
    t->app = APP_HOLD;
    t->work_until =
        w->now + draw(&w->chance, is_quiet(w) ? SECOND : 6 * SECOND);
}

/* ---- holding ---- */

static void change_lease(task *t)
{
    device *d = t->device;
    world *w = d->world;
    static const uint32_t leases[] = { 2000, 2000, 500, 4000 };

    if (dynalock_set_lease(
            &d->client, &t->lock, leases[draw(&w->chance, 4)]) == DYNALOCK_OK)
        say(w, "d%u will ask for another lease", d->id);
}

static int is_loss(dynalock_outcome rc)
{
    return rc <= DYNALOCK_LOST_EXPIRED && rc >= DYNALOCK_LOST_RELEASED;
}

static void give_back(task *t)
{
    device *d = t->device;
    dynalock_outcome rc = dynalock_start_release(&d->client, &t->lock);

    say(d->world, "d%u releases: %d", d->id, (int)rc);
    if (is_loss(rc)) judge_loss(d->world, t, rc);
    t->app = APP_GIVE;
    if (rc != DYNALOCK_AGAIN) rest(t);
}

static void hold(task *t, dynalock_outcome rc)
{
    world *w = t->device->world;

    if (is_loss(rc)) {
        judge_loss(w, t, rc);
        rest(t);
    } else if (w->now >= t->work_until) {
        give_back(t);
    } else if (has(w, WORLD_SHORTEN) && one_in(&w->chance, 4)) {
        change_lease(t);
    }
}

static void act(task *t)
{
    dynalock_outcome rc = dynalock_result(&t->lock.operation);

    switch (t->app) {
    case APP_IDLE:
        if (t->device->world->now >= t->next_at) ask(t);
        break;
    case APP_ASK: ask_on(t, rc); break;
    case APP_HOLD: hold(t, rc); break;
    case APP_GIVE:
        if (rc == DYNALOCK_AGAIN) break;
        total.releases += rc == DYNALOCK_OK;
        total.operations++;
        rest(t);
        break;
    }
}

/* ---- one step ---- */

static uint64_t app_wake(const task *t)
{
    if (t->app == APP_IDLE) return t->next_at;
    return t->app == APP_HOLD ? t->work_until : UINT64_MAX;
}

/* When something is next due on this device, by the world's clock. */
static uint64_t next_wake(device *d)
{
    unsigned interest, i;
    uint32_t ms;
    uint64_t at;

    dynalock_wants(&d->client, &interest, &ms);
    if (d->client.operations == NULL) ms = 60000;
    at = d->world->now + (((uint64_t)ms * 1000) << 20) / d->rate + 1;
    for (i = 0; i < d->task_count; i++)
        if (app_wake(&d->tasks[i]) < at) at = app_wake(&d->tasks[i]);
    return at;
}

static void run_task(task *t, uint64_t polled_ms)
{
    device *d = t->device;
    world *w = d->world;

    judge_deadline(w, t, polled_ms);
    judge_watch(w, t);
    if (t->app == APP_HOLD && t->lock.until > t->until) {
        total.renewals++;
        total.operations++;
    }
    act(t);
    if (t->lock.until != 0) t->until = t->lock.until;
    judge_exclusion(w, t->key);
}

void run_device(device *d)
{
    world *w = d->world;
    uint64_t polled_ms;
    unsigned i;

    if (!d->on) boot_device(d);
    if (strikes(w, WORLD_JUMP, 100))
        d->wall_off_ms = (int64_t)draw(&w->chance, 2 * OFF_MS) - OFF_MS;
    polled_ms = local_ms(d);
    (void)dynalock_poll(&d->client);
    for (i = 0; i < d->task_count; i++) run_task(&d->tasks[i], polled_ms);
    wake(d, next_wake(d));
}
