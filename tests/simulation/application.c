#define _DEFAULT_SOURCE
#include "foreign.h"

#include <stdio.h>
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

/* What only some devices are set to. */
static void set_oddities(const device *d, dynalock_config *config)
{
    const world *w = d->world;

    config->ttl_attribute = has(w, WORLD_TTL) ? "expires" : NULL;
    config->no_ttl = has(w, WORLD_TTL) && d->id % 2 != 0;
    config->lock_delay_ms = w->lock_delay_ms;
    if (!has(w, WORLD_ODD)) return;
    if (d->id % 3 == 0) config->poll_ms = DYNALOCK_FOREVER;
    if (d->id % 3 == 1) config->lock_delay_ms = 500;
    config->delete_on_release = has(w, WORLD_TTL) && d->id % 4 < 2;
}

static const dynalock_credentials *refresh(void *context)
{
    device *d = (device *)context;

    (void)snprintf(d->token, sizeof d->token, "%s", d->world->options.token);
    total.refreshed++;
    return &d->credentials;
}

/* Half of them trust no Date: the transport is plain. */
static void set_transport(const device *d, dynalock_config *config)
{
    int secure = d->id % 2 == 0 || has(d->world, WORLD_CLOCK);

    config->endpoint = secure ? "https://table.test" : "http://table.test";
    config->secure_transport = (uint8_t)secure;
}

static void set_names(device *d, dynalock_config *config)
{
    const world *w = d->world;

    config->region = w->options.region;
    config->table = w->table;
    config->owner = d->owner;
    config->layout = w->others->layout();
    config->key_name = has(w, WORLD_SORTED) ? w->key_name : NULL;
    config->sort_key_name = w->sort_key_name;
}

static void init_client(device *d)
{
    world *w = d->world;
    int64_t off_ms = draw_off_ms(w);
    dynalock_config config;

    memset(&config, 0, sizeof config);
    config.platform = &d->platform;
    config.credentials = &d->credentials;
    if (w->options.token != NULL) {
        (void)snprintf(d->token, sizeof d->token, "%s", w->options.token);
        d->credentials.token = d->token;
    }
    config.refresh = refresh;
    config.refresh_context = d;
    set_transport(d, &config);
    set_names(d, &config);
    set_times(w, &config);
    set_oddities(d, &config);
    prepare_source(d, &config);
    if (dynalock_client_init(&d->client, &config) != DYNALOCK_OK) abort();
    use_source(d);
    /* somebody has typed the time in, to a few minutes */
    if (d->clockless &&
        dynalock_set_clock(&d->client, server_ms(w) + off_ms) != DYNALOCK_OK)
        abort();
}

static void be_told(void *context, dynalock_lock *lock, dynalock_outcome state)
{
    task *t = (task *)context;

    (void)lock;
    t->told = state;
    total.alarms++;
}

static void set_alarm(task *t)
{
    t->alarm.safe_ms = (uint32_t)draw(&t->device->world->chance, 1900);
    t->alarm.notify = be_told;
    t->alarm.context = t;
    t->told = DYNALOCK_NOT_HELD;
    if (dynalock_set_alarm(t->lock, &t->alarm) != DYNALOCK_OK) abort();
}

/* The permits of a semaphore are the locks that a group wants, too. */
static void init_semaphore(device *d)
{
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = "k";
    options.sort_key = d->world->places[0].sort_key;
    if (dynalock_semaphore_init(&d->party.semaphore, d->permits, d->task_count,
            &options) != DYNALOCK_OK)
        abort();
}

static void init_lock(task *t)
{
    device *d = t->device;
    const world *w = d->world;
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = w->places[t->key].key;
    options.sort_key = w->places[t->key].sort_key;
    if (has(w, WORLD_SAME) && !has(w, WORLD_TWIN) && d->task_count == 1)
        options.claim = DYNALOCK_SAME_OWNER;
    if (dynalock_lock_init(t->lock, &options) != DYNALOCK_OK) abort();
}

static void start_task(task *t)
{
    world *w = t->device->world;

    if (!has(w, WORLD_GROUP)) init_lock(t);
    if (one_in(&w->chance, 2)) set_alarm(t);
    t->app = APP_IDLE;
    t->deadline_ms = 0;
    t->has_lost = 0;
    t->until = 0;
    t->watched[0] = '\0';
    t->own_seen = 0;
    t->next_at = w->now + draw(&w->chance, 300 * MS);
}

/* A second device gets hold of what the first has saved. */
static void bear_twin(const task *t)
{
    device *d = t->device, *twin = d->twin;
    world *w = d->world;

    if (twin == NULL || twin->boot_at != 0 || t != &d->tasks[0] ||
        !one_in(&w->chance, 2))
        return;
    twin->tasks[0].blob = t->blob;
    twin->tasks[0].has_blob = 1;
    twin->boot_at = w->now + draw(&w->chance, 300 * MS) + 1;
    push(w, twin->boot_at, EVENT_STEP, twin)->value = ++twin->wake_number;
    total.twins++;
}

/* The next life goes on with what was saved, gives it back, or knows nothing
   of it. */
static void restore_task(task *t)
{
    device *d = t->device;
    world *w = d->world;

    if (!t->has_blob) return;
    bear_twin(t);
    if (one_in(&w->chance, 4)) return;
    if (dynalock_restore(&d->client, t->lock, &t->blob) != DYNALOCK_OK) {
        violate(w, "d%u cannot restore", d->id);
        return;
    }
    say(w, "d%u restores %s", d->id, w->places[t->key].key);
    total.restored++;
    if (one_in(&w->chance, 5) &&
        dynalock_start_release_restored(&d->client, t->lock) == DYNALOCK_AGAIN)
        t->app = APP_GIVE;
}

void boot_device(device *d)
{
    unsigned i;

    d->on = 1;
    d->connection = 0;
    d->epoch++;
    if (has(d->world, WORLD_JUMP)) d->wall_off_ms = draw_off_ms(d->world);
    /* boards with a weak start all alike */
    if (has(d->world, WORLD_WEAK)) d->offset_us = UINT64_C(1) << 40;
    init_client(d);
    if (has(d->world, WORLD_GROUP)) {
        init_semaphore(d);
        start_party(d);
    }
    for (i = 0; i < d->task_count; i++) {
        start_task(&d->tasks[i]);
        restore_task(&d->tasks[i]);
    }
}

/* ---- asking ---- */

uint32_t draw_wait(world *w)
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

/* Deletes the item of its key, if that is nobody's any more. */
static void tidy(task *t)
{
    device *d = t->device;
    const place *p = &d->world->places[t->key];
    dynalock_name name;

    memset(&name, 0, sizeof name);
    name.key = p->key;
    name.sort_key = p->sort_key;
    if (dynalock_result(&d->record.operation) == DYNALOCK_OK) total.tidied++;
    (void)!dynalock_start_tidy(&d->client, &name, &d->record);
}

/* A call for it has begun. */
void begin_task(task *t, uint64_t deadline_ms)
{
    t->app = APP_ASK;
    t->has_lost = 0;
    t->until = 0;
    t->robbed_at = 0;
    t->robbed_early = 0;
    t->asked_at = t->device->world->now;
    t->own_seen = 0;
    t->deadline_ms = deadline_ms;
}

void ask_task(task *t, uint32_t wait_ms)
{
    device *d = t->device;
    world *w = d->world;
    dynalock_outcome rc = dynalock_start_acquire(&d->client, t->lock, wait_ms);

    t->next_at = w->now + 50 * MS + draw(&w->chance, SECOND);
    if (rc == DYNALOCK_UNKNOWN) total.unknown++;
    if (rc != DYNALOCK_AGAIN) return;
    begin_task(t, wait_ms == 0 || wait_ms == DYNALOCK_FOREVER
                      ? 0
                      : local_ms(d) + wait_ms);
}

static void ask(task *t)
{
    world *w = t->device->world;
    uint32_t wait_ms = draw_wait(w);

    if (strikes(w, WORLD_OPERATOR, 4)) break_lock(t);
    if (strikes(w, WORLD_TIDY, 4)) { /* perhaps after hours */
        tidy(t);
        t->next_at = w->now + 100 * MS;
        return;
    }
    ask_task(t, wait_ms);
}

void rest_task(task *t)
{
    world *w = t->device->world;
    uint64_t pause = draw(&w->chance, 600 * MS);

    if (one_in(&w->chance, 20)) pause = draw(&w->chance, 20 * SECOND);
    if (has(w, WORLD_TTL | WORLD_TIDY) && one_in(&w->chance, 6))
        pause = draw(&w->chance, 9000 * SECOND);
    if (has(w, WORLD_CREDENTIALS)) pause = draw(&w->chance, 60 * SECOND);
    if (is_quiet(w)) pause = draw(&w->chance, 200 * MS);
    t->app = APP_IDLE;
    t->deadline_ms = 0;
    t->next_at = w->now + pause;
    if (!is_quiet(w) && t->next_at > w->quiet_from)
        t->next_at = w->quiet_from; /* all are there in the end */
    if (strikes(w, WORLD_TIDY, 8)) tidy(t);
}

/* How long it will hold what it was granted. Where days pass, for hours. */
static uint64_t draw_work(world *w)
{
    uint64_t work;

    if (is_quiet(w)) return draw(&w->chance, SECOND);
    if (!has(w, WORLD_CREDENTIALS)) return draw(&w->chance, 6 * SECOND);
    work = draw(
        &w->chance, one_in(&w->chance, 3) ? 20000 * SECOND : 100 * SECOND);
    return w->now + work > w->quiet_from ? w->quiet_from - w->now : work;
}

static void ask_on(task *t, dynalock_outcome rc)
{
    device *d = t->device;
    world *w = d->world;

    if (rc == DYNALOCK_AGAIN) {
        if (strikes(w, WORLD_PAUSE, 300))
            dynalock_cancel(&d->client, &t->lock->operation);
        return;
    }
    t->deadline_ms = 0;
    judge_waited(w, t);
    if (rc != DYNALOCK_OK) {
        say(w, "d%u got %d", d->id, (int)rc);
        rest_task(t);
        return;
    }
    judge_grant(w, t);
    if (has(w, WORLD_BLOB | WORLD_TWIN) && one_in(&w->chance, 2))
        t->has_blob =
            dynalock_save(&d->client, t->lock, &t->blob) == DYNALOCK_OK;
    t->app = APP_HOLD;
    t->work_until = w->now + draw_work(w);
}

/* ---- holding ---- */

static void change_lease(task *t)
{
    device *d = t->device;
    world *w = d->world;
    static const uint32_t leases[] = { 2000, 2000, 500, 4000 };

    if (dynalock_set_lease(&d->client, t->lock, leases[draw(&w->chance, 4)]) ==
        DYNALOCK_OK)
        say(w, "d%u will ask for another lease", d->id);
}

int is_loss(dynalock_outcome rc)
{
    return rc <= DYNALOCK_LOST_EXPIRED && rc >= DYNALOCK_LOST_RELEASED;
}

static void give_back(task *t)
{
    device *d = t->device;
    dynalock_outcome rc = dynalock_start_release(&d->client, t->lock);

    say(d->world, "d%u releases: %d", d->id, (int)rc);
    if (is_loss(rc)) judge_loss(d->world, t, rc);
    t->app = APP_GIVE;
    if (rc != DYNALOCK_AGAIN) rest_task(t);
}

/* At once, and waits for it. */
static void give_all_back(device *d)
{
    world *w = d->world;
    uint64_t start = local_ms(d);
    unsigned standstills = d->standstills, i;
    uint32_t wait_ms = 1 + (uint32_t)draw(&w->chance, 2000);
    uint64_t until[TASKS];
    dynalock_outcome rc;

    for (i = 0; i < d->task_count; i++) /* what was granted just now */
        if (d->tasks[i].app == APP_ASK && d->tasks[i].lock->until != 0)
            ask_on(&d->tasks[i], DYNALOCK_OK);
    for (i = 0; i < d->task_count; i++) until[i] = d->tasks[i].lock->until;
    rc = dynalock_release_all(&d->client, wait_ms);
    say(w, "d%u has given all back: %d", d->id, (int)rc);
    if (local_ms(d) > start + wait_ms + d->tick_ms &&
        d->standstills == standstills)
        violate(w, "d%u took %u ms of %u to give all back", d->id,
            (unsigned)(local_ms(d) - start), wait_ms);
    for (i = 0; i < d->task_count; i++) {
        task *t = &d->tasks[i];

        t->watched[0] = '\0'; /* it has looked more than once meanwhile */
        if (t->app != APP_HOLD) continue;
        if (remaining_ms(t) != 0)
            violate(w, "d%u holds what it gave back", d->id);
        if (until[i] != 0) judge_given_back(w, t, start, until[i], rc);
        rest_task(t);
    }
}

static void hold(task *t, dynalock_outcome rc)
{
    world *w = t->device->world;

    if (is_loss(rc)) {
        judge_loss(w, t, rc);
        if (t->device->party.app == APP_ASK) t->device->party.lost++;
        rest_task(t);
    } else if (t->device->party.app != APP_ASK && strikes(w, WORLD_MANY, 40)) {
        give_all_back(t->device);
    } else if (w->now >= t->work_until) {
        give_back(t);
    } else if (has(w, WORLD_SHORTEN) && one_in(&w->chance, 4)) {
        change_lease(t);
    }
}

static void act(task *t)
{
    dynalock_outcome rc = dynalock_result(&t->lock->operation);

    switch (t->app) {
    case APP_IDLE:
        if (!has(t->device->world, WORLD_GROUP) &&
            t->device->world->now >= t->next_at)
            ask(t);
        break;
    case APP_ASK:
        if (t->device->party.app != APP_ASK) ask_on(t, rc);
        break;
    case APP_HOLD: hold(t, rc); break;
    case APP_GIVE:
        if (rc == DYNALOCK_AGAIN) break;
        total.releases += rc == DYNALOCK_OK;
        total.operations++;
        rest_task(t);
        break;
    }
}

/* ---- one step ---- */

static uint64_t app_wake(const task *t)
{
    if (t->app == APP_IDLE)
        return has(t->device->world, WORLD_GROUP) ? UINT64_MAX : t->next_at;
    if (t->app == APP_HOLD) return t->work_until;
    if (t->app == APP_ASK && t->device->party.app == APP_ASK)
        return UINT64_MAX;
    return dynalock_result(&t->lock->operation) == DYNALOCK_AGAIN
               ? UINT64_MAX
               : t->device->world->now; /* it was cancelled */
}

/* A life that ends in order. */
static void close_client(device *d)
{
    world *w = d->world;
    uint64_t start = local_ms(d);
    unsigned standstills = d->standstills, i;
    uint32_t wait_ms = (uint32_t)draw(&w->chance, 2000);
    uint64_t until[TASKS];
    dynalock_outcome rc;

    for (i = 0; i < d->task_count; i++) until[i] = d->tasks[i].lock->until;
    rc = dynalock_client_close(&d->client, wait_ms);
    say(w, "d%u has closed: %d", d->id, (int)rc);
    total.closed++;
    if (local_ms(d) > start + wait_ms + d->tick_ms &&
        d->standstills == standstills)
        violate(w, "d%u took %u ms of %u to close", d->id,
            (unsigned)(local_ms(d) - start), wait_ms);
    for (i = 0; i < d->task_count; i++) {
        task *t = &d->tasks[i];

        if (remaining_ms(t) != 0)
            violate(w, "d%u has closed and holds %s", d->id,
                w->places[t->key].key);
        if (until[i] != 0) judge_given_back(w, t, start, until[i], rc);
        if (t->app == APP_ASK) judge_waited(w, t);
    }
    shut_down(d);
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
    if (party_wake(d) < at) at = party_wake(d);
    for (i = 0; i < d->task_count; i++)
        if (app_wake(&d->tasks[i]) < at) at = app_wake(&d->tasks[i]);
    if (has(d->world, WORLD_EDGE) && !one_in(&d->world->chance, 4)) {
        uint64_t early = d->world->now + draw(&d->world->chance, 20 * MS);

        if (early < at) at = early; /* one may look sooner than told */
    }
    return at;
}

static void run_task(task *t, uint64_t polled_ms)
{
    device *d = t->device;
    world *w = d->world;

    judge_deadline(w, t, polled_ms);
    judge_watch(w, t);
    judge_alarm(w, t, polled_ms);
    if (t->app == APP_HOLD && t->lock->until > t->until) {
        total.renewals++;
        total.operations++;
    }
    act(t);
    if (t->app != APP_HOLD && t->lock->until != 0)
        violate(w, "d%u holds %s without having asked", d->id,
            w->places[t->key].key);
    if (t->lock->until != 0) t->until = t->lock->until;
    t->standstills = d->standstills;
    judge_told(w, t);
    judge_exclusion(w, t->key);
}

void run_device(device *d)
{
    world *w = d->world;
    uint64_t polled_ms;
    unsigned i;

    if (!d->on) boot_device(d);
    /* where clocks are to agree they are set at most at boot: a correction
       that was learnt before would not fit any more */
    if ((w->others->flags & FOREIGN_WALL) == 0 && strikes(w, WORLD_JUMP, 100))
        d->wall_off_ms = draw_off_ms(w);
    polled_ms = local_ms(d);
    (void)dynalock_poll(&d->client);
    hear_of_break(d);
    run_party(d, polled_ms);
    for (i = 0; i < d->task_count; i++) run_task(&d->tasks[i], polled_ms);
    if (strikes(w, WORLD_CRASH, 2000)) close_client(d);
    else wake(d, next_wake(d));
}
