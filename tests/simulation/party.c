#define _DEFAULT_SOURCE
#include "world.h"

/*
The world "group": a device wants one to three of four locks at once, in
whatever order, or whichever it gets of the four, or just one. Its tasks, one
for each lock, hold and lose what they have as in all other worlds; what is
here begins and ends for several of them together.
*/

static task *member(device *d, unsigned i)
{
    return &d->tasks[d->party.of[i]];
}

static unsigned member_count(const device *d)
{
    return d->party.is_group ? d->party.group.count : d->task_count;
}

static dynalock_operation *operation_of(device *d)
{
    return d->party.is_group ? &d->party.group.operation
                             : &d->party.semaphore.operation;
}

static int is_idle(const device *d)
{
    unsigned i;

    for (i = 0; i < d->task_count; i++)
        if (d->tasks[i].app != APP_IDLE) return 0;
    return 1;
}

static void rest(device *d)
{
    world *w = d->world;

    d->party.app = APP_IDLE;
    d->party.next_at =
        w->now + draw(&w->chance, is_quiet(w) ? 200 * MS : SECOND);
}

void start_party(device *d)
{
    rest(d);
}

/* ---- asking ---- */

static void shuffle(device *d)
{
    party *p = &d->party;
    unsigned i;

    for (i = 0; i < d->task_count; i++) {
        unsigned k = (unsigned)draw(&d->world->chance, i + 1);

        p->of[i] = p->of[k];
        p->of[k] = i;
    }
    for (i = 0; i < d->task_count; i++) p->locks[i] = member(d, i)->lock;
}

static dynalock_outcome start(device *d, uint32_t wait_ms)
{
    party *p = &d->party;

    p->is_group = !one_in(&d->world->chance, 5);
    if (!p->is_group)
        return dynalock_start_semaphore_acquire(
            &d->client, &p->semaphore, wait_ms);
    p->group.locks = p->locks;
    p->group.count = 1 + (unsigned)draw(&d->world->chance, d->task_count - 1);
    return dynalock_start_group_acquire(&d->client, &p->group, wait_ms);
}

static void ask(device *d)
{
    world *w = d->world;
    party *p = &d->party;
    uint32_t wait_ms = draw_wait(w);
    dynalock_outcome rc;
    unsigned i;

    shuffle(d);
    rest(d);
    if (one_in(&w->chance, 5)) {
        ask_task(member(d, 0), wait_ms);
        return;
    }
    rc = start(d, wait_ms);
    total.unknown += rc == DYNALOCK_UNKNOWN;
    if (rc != DYNALOCK_AGAIN) return;
    p->app = APP_ASK;
    p->lost = 0;
    p->asked_at = w->now;
    p->deadline_ms = wait_ms == 0 || wait_ms == DYNALOCK_FOREVER
                         ? 0
                         : local_ms(d) + wait_ms;
    for (i = 0; i < member_count(d); i++) begin_task(member(d, i), 0);
}

/* What a member has got while the call may still be under way. */
static void note_grants(device *d)
{
    unsigned i;

    for (i = 0; i < member_count(d); i++) {
        task *t = member(d, i);

        if (t->app != APP_ASK || t->lock->until == 0) continue;
        judge_grant(d->world, t);
        t->until = t->lock->until;
        t->app = APP_HOLD;
        t->work_until = UINT64_MAX;
    }
}

static void hold_all(device *d)
{
    world *w = d->world;
    party *p = &d->party;
    int together = p->is_group && !one_in(&w->chance, 3);
    uint64_t most = is_quiet(w) ? SECOND : 6 * SECOND;
    unsigned i;

    judge_party(w, d);
    p->app = APP_HOLD;
    p->work_until = together ? w->now + draw(&w->chance, most) : UINT64_MAX;
    for (i = 0; i < member_count(d); i++) {
        task *t = member(d, i);

        if (t->app != APP_HOLD) rest_task(t);
        else
            t->work_until =
                together ? UINT64_MAX : w->now + draw(&w->chance, most);
    }
}

static void hold_none(device *d)
{
    unsigned i;

    for (i = 0; i < member_count(d); i++) {
        task *t = member(d, i);

        if (t->app == APP_IDLE) continue; /* a part that it lost */
        if (t->lock->until != 0)
            violate(d->world, "d%u holds %s of what it has not got", d->id,
                d->world->places[t->key].key);
        rest_task(t);
    }
    rest(d);
}

static void ask_on(device *d, uint64_t polled_ms)
{
    world *w = d->world;
    party *p = &d->party;
    dynalock_operation *operation = operation_of(d);
    dynalock_outcome rc = dynalock_result(operation);

    note_grants(d);
    if (rc == DYNALOCK_AGAIN) {
        if (p->deadline_ms != 0 && polled_ms >= p->deadline_ms &&
            !is_giving_back(d))
            violate(w, "d%u waits for several beyond its deadline", d->id);
        if (strikes(w, WORLD_PAUSE, 300))
            dynalock_cancel(&d->client, operation);
        else if (strikes(w, WORLD_PAUSE, 900))
            dynalock_cancel(&d->client, &member(d, 0)->lock->operation);
        return;
    }
    total.operations++;
    if (rc == DYNALOCK_OK) {
        total.groups += (unsigned)p->is_group;
        total.permits += !p->is_group;
        hold_all(d);
    } else {
        say(w, "d%u got none: %d", d->id, (int)rc);
        hold_none(d);
    }
}

/* ---- holding ---- */

static void give_back(device *d)
{
    party *p = &d->party;
    dynalock_outcome rc;
    unsigned i;

    rc = dynalock_start_group_release(&d->client, &p->group);
    say(d->world, "d%u releases several: %d", d->id, (int)rc);
    p->work_until = UINT64_MAX;
    for (i = 0; i < p->group.count; i++) {
        task *t = member(d, i);

        t->work_until = d->world->now; /* what was refused is done singly */
        /* one that was over stays: it has a loss to tell */
        if (rc == DYNALOCK_AGAIN && t->app == APP_HOLD &&
            t->lock->until == 0 &&
            !is_loss(dynalock_result(&t->lock->operation)))
            t->app = APP_GIVE;
    }
}

static void hold(device *d)
{
    world *w = d->world;
    party *p = &d->party;

    if (is_idle(d)) {
        if (dynalock_result(operation_of(d)) != DYNALOCK_AGAIN) rest(d);
    } else if (w->now >= p->work_until) {
        give_back(d);
    } else if (p->is_group && one_in(&w->chance, 40)) {
        (void)!dynalock_start_group_renew(&d->client, &p->group);
    }
}

/* ---- one step ---- */

uint64_t party_wake(device *d)
{
    party *p = &d->party;

    if (!has(d->world, WORLD_GROUP)) return UINT64_MAX;
    if (p->app == APP_IDLE) return is_idle(d) ? p->next_at : UINT64_MAX;
    if (p->app == APP_HOLD && !is_idle(d)) return p->work_until;
    return dynalock_result(operation_of(d)) == DYNALOCK_AGAIN ? UINT64_MAX
                                                              : d->world->now;
}

void run_party(device *d, uint64_t polled_ms)
{
    if (!has(d->world, WORLD_GROUP)) return;
    if (d->party.app == APP_ASK) ask_on(d, polled_ms);
    else if (d->party.app == APP_HOLD) hold(d);
    else if (is_idle(d) && d->world->now >= d->party.next_at) ask(d);
}
