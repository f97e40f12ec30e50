#define _DEFAULT_SOURCE
#include "foreign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By how much a clock that signs may be ahead, and a few fences more. */
#define FENCE_AHEAD_MS (600000 + 2000)

/* Where a renewal may fail for now. */
#define TROUBLED                                                              \
    (WORLD_LOSS | WORLD_DELAY | WORLD_REPEAT | WORLD_CRASH | WORLD_PAUSE |    \
        WORLD_THROTTLE | WORLD_STALE | WORLD_TOKEN)

totals total;

/* ---- sets of acquisitions ---- */

static void grow(id_set *set)
{
    id_set old = *set;
    size_t i;

    set->room = old.room == 0 ? 256 : 2 * old.room;
    set->count = 0;
    set->ids = (uint64_t *)calloc(set->room, sizeof *set->ids);
    if (set->ids == NULL) abort();
    for (i = 0; i < old.room; i++)
        if (old.ids[i] != 0) add_id(set, old.ids[i]);
    free(old.ids);
}

static uint64_t *slot(const id_set *set, uint64_t id)
{
    size_t i = id % set->room;

    while (set->ids[i] != 0 && set->ids[i] != id) i = (i + 1) % set->room;
    return &set->ids[i];
}

void add_id(id_set *set, uint64_t id)
{
    if (id == 0) id = 1;
    if (2 * set->count >= set->room) grow(set);
    set->count += *slot(set, id) == 0;
    *slot(set, id) = id;
}

int has_id(const id_set *set, uint64_t id)
{
    return set->room != 0 && *slot(set, id != 0 ? id : 1) != 0;
}

void free_ids(id_set *set)
{
    free(set->ids);
}

/* ---- acquisitions on the table ---- */

#define ACQUISITION 32 /* hex digits before the colon */

static int is_ours(const char *rvn)
{
    return rvn != NULL && strspn(rvn, "0123456789abcdef") == ACQUISITION &&
           rvn[ACQUISITION] == ':';
}

static uint64_t read_id(const char *hex)
{
    char digits[17];

    memcpy(digits, hex, 16);
    digits[16] = '\0';
    return strtoull(digits, NULL, 16);
}

static uint64_t id_of(const uint8_t acquisition[16])
{
    uint64_t id = 0;
    int i;

    for (i = 0; i < 8; i++) id = id << 8 | acquisition[i];
    return id;
}

static uint64_t number(const char *text)
{
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

/* Somebody who is at work with it. */
static task *find_task(world *w, unsigned key, uint64_t id)
{
    unsigned i, k;

    for (i = 0; i < w->device_count; i++)
        for (k = 0; k < w->devices[i].task_count; k++) {
            task *t = &w->devices[i].tasks[k];

            if (t->key == key && t->device->on &&
                t->lock->operation.client != NULL &&
                id_of(t->lock->acquisition) == id)
                return t;
        }
    return NULL;
}

/* Worlds in which others than us write, or clocks are worse than we allow. */
static int is_pure(const world *w)
{
    return w->foreign_count == 0 && !has(w, WORLD_OPERATOR);
}

static int is_exclusive(const world *w)
{
    return !has(w, WORLD_BEYOND | WORLD_OPERATOR);
}

/* ---- at most one with time left on a key ---- */

uint32_t remaining_ms(const task *t)
{
    uint64_t until = t->lock->until, now;

    if (until == 0 || !t->device->on) return 0;
    now = local_ms(t->device);
    return until > now ? (uint32_t)(until - now) : 0;
}

static void judge_pair(world *w, const task *a, const task *b)
{
    violate(w, "d%u and d%u hold %s, left %u and %u ms", a->device->id,
        b->device->id, w->places[a->key].key, remaining_ms(a),
        remaining_ms(b));
}

void judge_exclusion(world *w, unsigned key)
{
    const task *first = NULL;
    unsigned i, k;

    if (!is_exclusive(w)) return;
    for (i = 0; i < w->device_count; i++)
        for (k = 0; k < w->devices[i].task_count; k++) {
            const task *t = &w->devices[i].tasks[k];

            if (t->lock->until == 0 || t->key != key || remaining_ms(t) == 0 ||
                t->robbed_at != 0)
                continue;
            if (first != NULL) judge_pair(w, first, t);
            first = t;
        }
    for (i = 0; i < w->foreign_count; i++) {
        const foreign *f = &w->foreigners[i];

        if (f->key != key || f->until <= w->now || f->robbed == f->turn)
            continue;
        if (first != NULL)
            violate(w, "d%u and %s hold %s, left %u and %.1f ms",
                first->device->id, f->owner, w->places[key].key,
                remaining_ms(first), (double)(f->until - w->now) / MS);
    }
}

/* ---- others that overwrite or delete what is not theirs ---- */

uint64_t live_acquisition(const world *w, unsigned key)
{
    model_view view;

    if (!look(w, key, &view) || view.released != NULL || !is_ours(view.rvn))
        return 0;
    return read_id(view.rvn);
}

/* Two copies of a request may be so much closer than the devices' second. */
#define PUT_RACE_US (980 * MS)

/* What the manual says may happen: a put long after its look; a delete when
   the lease is over (and the grace), or by a second copy of its request. */
static int is_excused(const world *w, const event *e)
{
    const foreign *f = e->foreign;

    if ((f->client->flags & FOREIGN_ROBS_TAKING) != 0)
        return w->now >= e->as_of + PUT_RACE_US;
    return f->given >= e->turn || f->robbed >= e->turn ||
           w->now >= foreign_time(f, e->ends) + w->lock_delay_ms * MS;
}

/* From here on until it is told a device holds in vain. */
static void rob(world *w, const event *e, uint64_t id)
{
    task *t = find_task(w, e->key, id);

    if (t == NULL) return;
    if (t->robbed_id != id && !is_excused(w, e)) t->robbed_early = 1;
    if (t->robbed_early && t->lock->until != 0)
        violate(w, "%s takes %s from d%u in time", e->foreign->owner,
            w->places[e->key].key, t->device->id);
    t->robbed_at = w->now;
    t->robbed_ms = local_ms(t->device);
    t->robbed_id = id;
    total.robberies++;
}

static int is_unconditional(const event *e)
{
    unsigned flags = e->foreign->client->flags;

    return (e->state == FOREIGN_TAKE && (flags & FOREIGN_ROBS_TAKING) != 0) ||
           (e->state == FOREIGN_GIVE && (flags & FOREIGN_ROBS_LEAVING) != 0);
}

/* It was carried out, where `was` had stood. */
void judge_foreign_write(
    world *w, const event *e, uint64_t was, uint64_t row_until)
{
    place *p = &w->places[e->key];
    foreign *f = e->foreign;

    if (is_unconditional(e) && was != 0) rob(w, e, was);
    if (p->row != NULL && (p->row != f || e->turn != p->row_turn) &&
        p->row_turn > p->row->robbed)
        p->row->robbed = p->row_turn;
    p->row = e->state == FOREIGN_GIVE ? NULL : f;
    p->row_turn = e->turn;
    /* a late copy of a put brings back the very record that has been watched */
    p->row_until =
        f->client->beat != NULL && f->given >= e->turn ? 0 : row_until;
    if (e->state == FOREIGN_GIVE && e->turn > f->given) f->given = e->turn;
}

/* The mark of a release that the holder has not asked for. */
static void note_broken(world *w, unsigned key, uint64_t id)
{
    task *t = find_task(w, key, id);

    if (!has(w, WORLD_OPERATOR) || t == NULL) return;
    total.robberies += t->lock->until != 0; /* else its grant is on the way */
    t->robbed_at = w->now;
    t->robbed_ms = local_ms(t->device);
    t->robbed_id = id;
}

/* OK: the grant that was shown is over; KEPT: something else had come. */
void judge_broken(world *w, const device *d, dynalock_outcome rc)
{
    const place *p = &w->places[d->shown_key];
    model_view view;

    total.broken += rc == DYNALOCK_OK;
    if (p->edited_at >= d->shown_at || !look(w, d->shown_key, &view) ||
        view.rvn == NULL)
        return;
    if (rc == DYNALOCK_OK && view.released == NULL &&
        strncmp(view.rvn, d->shown, ACQUISITION) == 0 &&
        number(view.fence) == d->shown_fence)
        violate(w, "d%u has broken %s, but it stands", d->id, p->key);
    if (rc == DYNALOCK_KEPT && strcmp(view.rvn, d->shown) == 0)
        violate(w, "d%u was told that %s has changed", d->id, p->key);
}

/* By its next renewal at the latest, and never told the contrary. */
void judge_told(world *w, const task *t)
{
    uint64_t within = w->lease_ms / 3 + 2 * w->request_ms;

    if (t->robbed_at == 0 || t->lock->until == 0 || has(w, WORLD_SHORTEN))
        return;
    /* a group that has given up begins the next time without its task */
    if (id_of(t->lock->acquisition) != t->robbed_id) return;
    if (t->lock->until > t->robbed_ms + w->lease_ms)
        violate(w, "d%u renews %s, which was taken from it", t->device->id,
            w->places[t->key].key);
    if (!has(w, TROUBLED) && w->now > t->robbed_at + within * MS)
        violate(w, "d%u is not told that it lost %s", t->device->id,
            w->places[t->key].key);
}

/* ---- fences rise in the order of grants ---- */

/* Grants of the table are in order, not the news of them: where an operator
   edits, two devices may hold. */
static void judge_fence(world *w, unsigned key, uint64_t at, uint64_t fence)
{
    place *p = &w->places[key];
    unsigned i, oldest = p->granted > GRANTS ? p->granted - GRANTS : 0;

    for (i = p->granted; i > oldest; i--) {
        const grant *g = &p->grants[(i - 1) % GRANTS];

        if ((g->fence < fence || g->at + w->fence_slack > at) &&
            (g->fence > fence || at + w->fence_slack > g->at))
            continue;
        violate(w,
            "fence %" PRIu64 " of %s, granted at %.1f ms, and %" PRIu64
            ", granted at %.1f ms",
            fence, p->key, (double)at / MS, g->fence, (double)g->at / MS);
        return;
    }
    p->grants[p->granted % GRANTS].at = at;
    p->grants[p->granted++ % GRANTS].fence = fence;
}

/* ---- from a holder's death to the next grant ---- */

static int is_measured(const world *w)
{
    return is_quiet(w) && w->foreign_count == 0 &&
           !has(w, WORLD_SHORTEN | WORLD_HIDE | WORLD_SHORT | WORLD_EDGE |
                       WORLD_BEYOND | WORLD_OPERATOR | WORLD_WEAK | WORLD_ODD |
                       WORLD_CLOCK | WORLD_GROUP | WORLD_CREDENTIALS);
}

static int is_waited_for(world *w, unsigned key)
{
    unsigned i, k;

    for (i = 0; i < w->device_count; i++)
        for (k = 0; k < w->devices[i].task_count; k++) {
            const task *t = &w->devices[i].tasks[k];

            if (t->key == key && t->device->on && t->app == APP_ASK &&
                w->now - t->asked_at > 2 * w->poll_ms * MS)
                return 1;
        }
    return 0;
}

/* A wait has ended, whatever the outcome. */
void judge_waited(world *w, const task *t)
{
    total.waited_us += w->now - t->asked_at;
    total.operations++;
}

void judge_death(world *w, const task *t)
{
    if (t->app == APP_ASK) judge_waited(w, t);
    if (is_measured(w) && remaining_ms(t) != 0 && is_waited_for(w, t->key))
        w->places[t->key].died_at = w->now;
}

/* Lease, margin, one poll interval, one round trip. */
static uint64_t takeover_most_us(const world *w)
{
    return w->lease_ms * MS + w->lease_ms * MS / 100 +
           DYNALOCK_CLOCK_STEP_MS * MS + w->poll_ms * MS + 17 * MS;
}

static void count_takeover(world *w, place *p)
{
    takeover *last;

    if (p->died_at == 0) return;
    if (total.takeovers == total.takeover_room) {
        total.takeover_room = 2 * total.takeover_room + 256;
        total.takeover = (takeover *)realloc(
            total.takeover, total.takeover_room * sizeof *total.takeover);
        if (total.takeover == NULL) abort();
    }
    last = &total.takeover[total.takeovers++];
    last->us = w->now - p->died_at;
    last->most_us = takeover_most_us(w);
    p->died_at = 0;
}

/* ---- a device's news ---- */

void judge_grant(world *w, task *t)
{
    place *p = &w->places[t->key];
    uint64_t fence = dynalock_fence(t->lock);

    say(w, "d%u GRANTED %s fence %" PRIu64 ", left %u", t->device->id, p->key,
        fence, remaining_ms(t));
    if (remaining_ms(t) == 0) return;
    if (t->taken_fence != fence && !has(w, WORLD_WEAK))
        violate(w, "d%u was granted %s, but not by the table", t->device->id,
            p->key);
    if (t->robbed_early)
        violate(w, "d%u is granted %s, which had just been taken from it",
            t->device->id, p->key);
    if (!has(w, WORLD_BEYOND))
        judge_fence(
            w, t->key, has(w, WORLD_WEAK) ? w->now : t->taken_at, fence);
    count_takeover(w, p);
    total.grants++;
    if (is_quiet(w)) p->granted_after_quiet++;
}

/* Of a group all, of the permits one. What is over meanwhile has been lost, and
   says so; but who lost a part while it still asked must not be told that it
   has all. */
void judge_party(world *w, device *d)
{
    party *p = &d->party;
    unsigned i, held = 0;

    for (i = 0; i < d->task_count; i++) {
        const task *t = &d->tasks[i];

        held += t->app == APP_HOLD ||
                is_loss((dynalock_outcome)t->lock->operation.outcome);
        if (!p->is_group && t->app == APP_HOLD &&
            t->lock != dynalock_semaphore_lock(&p->semaphore))
            violate(w, "d%u was told of another permit than it holds", d->id);
    }
    if (p->is_group && p->lost != 0)
        violate(w, "d%u was granted several, after it lost a part", d->id);
    else if (held < (p->is_group ? p->group.count : 1))
        violate(w, "d%u was granted several, a part is missing", d->id);
}

/* A loss must be true: the lease is over, or somebody else's doing. */
void judge_loss(world *w, task *t, dynalock_outcome outcome)
{
    const place *p = &w->places[t->key];
    uint64_t now = local_ms(t->device);
    int is_edited = t->robbed_at != 0 ||
                    (p->edited_at != 0 && p->edited_at >= t->taken_at);
    model_view view;

    total.losses++;
    say(w, "d%u LOST %s: %d", t->device->id, p->key, (int)outcome);
    memcpy(t->lost, t->lock->acquisition, sizeof t->lost);
    t->has_lost = 1;
    /* a poll that asks for a shorter lease and then stands still */
    if (outcome == DYNALOCK_LOST_EXPIRED && has(w, WORLD_SHORTEN) &&
        t->standstills != t->device->standstills)
        return;
    if (now < t->until && (outcome == DYNALOCK_LOST_EXPIRED ||
                              (!has(w, WORLD_BEYOND) && !is_edited)))
        violate(w, "d%u was told %d of %s with %u ms left", t->device->id,
            (int)outcome, p->key, (unsigned)(t->until - now));
    if (outcome == DYNALOCK_LOST_EXPIRED || is_edited ||
        !look(w, t->key, &view) || view.released != NULL ||
        !is_ours(view.rvn) || view.owner == NULL)
        return;
    if (read_id(view.rvn) == id_of(t->lock->acquisition) &&
        number(view.fence) == dynalock_fence(t->lock) &&
        strcmp(view.owner, t->device->owner) == 0)
        violate(w, "d%u was told %d, but %s is its own", t->device->id,
            (int)outcome, p->key);
}

static void judge_left(world *w, const task *t)
{
    model_view view;

    if (!is_pure(w) || has(w, WORLD_WEAK) || !look(w, t->key, &view) ||
        view.released != NULL || !is_ours(view.rvn))
        return;
    if (read_id(view.rvn) == id_of(t->lock->acquisition))
        violate(w, "d%u was told that %s is given back", t->device->id,
            w->places[t->key].key);
}

/* A lock that had time until then, in a call for all that is held: given back,
   and gone from the table; or over when the call began, which is a loss; or
   unknown, and then so is the whole. Standing still within the call can make
   the first the second. */
void judge_given_back(
    world *w, task *t, uint64_t asked_ms, uint64_t until, dynalock_outcome all)
{
    dynalock_outcome rc = (dynalock_outcome)t->lock->operation.outcome;

    t->until = until;
    if (is_loss(rc)) judge_loss(w, t, rc);
    else if (asked_ms >= until)
        violate(w, "d%u has given back %s, which was lost: %d", t->device->id,
            w->places[t->key].key, (int)rc);
    else if (rc == DYNALOCK_OK) judge_left(w, t);
    else if (all == DYNALOCK_OK)
        violate(w, "d%u has given all back, but %s: %d", t->device->id,
            w->places[t->key].key, (int)rc);
}

/* Every wait ends by its deadline: the poll at or after it has the answer. */
void judge_deadline(world *w, const task *t, uint64_t polled_ms)
{
    if (t->deadline_ms != 0 && polled_ms >= t->deadline_ms &&
        t->lock->operation.outcome == DYNALOCK_AGAIN)
        violate(w, "d%u waits for %s beyond its deadline, state %u, app %d",
            t->device->id, w->places[t->key].key, t->lock->operation.state,
            (int)t->app);
}

/* The watch must not go back to an older record of one acquisition. */
void judge_watch(world *w, task *t)
{
    const char *now = watched_record(t);
    const char *was = t->watched;

    /* where items say when they are over a watch is but a pause */
    if (strcmp(now, was) == 0 || (w->others->flags & FOREIGN_WALL) != 0)
        return;
    if (*was != '\0' && *now != '\0') total.watch_restarts++;
    if (is_ours(now) && strncmp(was, now, ACQUISITION) == 0 &&
        strcmp(now, was) < 0)
        violate(w, "d%u watches %.12s after a newer one", t->device->id,
            now + ACQUISITION - 3);
    strcpy(t->watched, now);
}

/* What the alarm told last is how things stand. */
void judge_alarm(world *w, const task *t, uint64_t polled_ms)
{
    uint64_t until = t->lock->until, now = local_ms(t->device);
    uint32_t safe = t->alarm.safe_ms;
    dynalock_outcome rc = (dynalock_outcome)t->lock->operation.outcome;

    if (t->lock->alarm == NULL) return;
    if (until == 0) {
        if (is_loss(rc) && t->told != rc)
            violate(w, "d%u lost %d, the alarm told %d", t->device->id,
                (int)rc, (int)t->told);
    } else if (now + safe < until && t->told != DYNALOCK_OK) {
        violate(
            w, "d%u is safe, the alarm told %d", t->device->id, (int)t->told);
    } else if (polled_ms < until && polled_ms + safe >= until &&
               t->told != DYNALOCK_DANGER) {
        violate(w, "d%u is in danger, the alarm told %d", t->device->id,
            (int)t->told);
    }
}

/* ---- what is sent and heard ---- */

static task *task_of(device *d, unsigned key)
{
    unsigned i;

    for (i = 0; i < d->task_count; i++)
        if (d->tasks[i].key == key) return &d->tasks[i];
    abort();
}

static void judge_written(world *w, task *t)
{
    device *d = t->device;

    t->own_seen = 0;
    if (t->lock->operation.client == NULL)
        violate(w, "d%u writes without a call under way", d->id);
    if (t->has_lost && memcmp(t->lost, t->lock->acquisition, 16) == 0)
        violate(w, "d%u writes after it was told of the loss", d->id);
}

void judge_sent(world *w, device *d)
{
    const char *name = name_of(d->request), *at = d->request;
    int breaks = strstr(d->request, " AND NOT isReleased=:y") != NULL;
    int writes =
        !breaks && (strcmp(name, "UpdateItem") == 0 || name[0] == 'T');
    unsigned key;

    judge_signed(w, d, writes);
    while ((at = next_key(d->world, at, &key)) != NULL) {
        task *t = task_of(d, key);

        say(w, "d%u sends %s %s n=%u", d->id, name, w->places[key].key,
            t->lock->counter);
        if (t->app == APP_ASK && !has(w, WORLD_GROUP)) total.waiter_requests++;
        if (writes) judge_written(w, t);
    }
}

/* One that was cut tells the device nothing. */
static int is_whole(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");
    const char *size = strstr(answer, "Content-Length: ");

    return body != NULL && size != NULL &&
           strlen(body + 4) == strtoul(size + 16, NULL, 10);
}

/* A waiter that is shown its own write must not wait for itself. */
void judge_heard(world *w, device *d, const char *answer)
{
    const char *const *names = w->others->names; /* owner, lease, version */
    char rvn[DYNALOCK_RVN_SIZE], owner[40];
    unsigned key;
    task *t;

    if (!is_whole(answer) || next_key(w, answer, &key) == NULL) return;
    t = task_of(d, key);
    if (t->app != APP_ASK) return;
    if (strstr(answer, "ConditionalCheckFailed") != NULL) {
        total.waiter_writes_refused++;
        return;
    }
    if (!foreign_read(answer, names[2], 'S', rvn, sizeof rvn) ||
        strstr(answer, "\"isReleased\":{\"S\"") != NULL ||
        !foreign_read(answer, names[0], 'S', owner, sizeof owner) ||
        strcmp(owner, d->owner) != 0 || /* an operator's doing */
        !is_ours(rvn) || read_id(rvn) != id_of(t->lock->acquisition))
        return;
    total.own_looks++;
    if (++t->own_seen >= 4 && !has(w, WORLD_WEAK))
        violate(w, "d%u waits for itself", d->id);
}

/* ---- what happens on the table ---- */

static void judge_acquired(
    world *w, unsigned key, const model_view *before, const model_view *after)
{
    uint64_t id = read_id(after->rvn);
    const place *p = &w->places[key];

    if (before->rvn != NULL && before->released == NULL) total.steals++;
    if (p->row != NULL && before->released == NULL && w->now < p->row_until)
        violate(w, "%s of %s is taken too early", p->key, p->row->owner);
    /* a clock that jumps back by more than a signature may be off makes a
       release forget the fence of an earlier try */
    if (has_id(&w->released, id) && is_pure(w) &&
        !has(w, WORLD_WEAK | WORLD_JUMP | WORLD_CLOCK))
        violate(w, "%s is acquired by %.12s... after its release",
            w->places[key].key, after->rvn);
    if (find_task(w, key, id) == NULL) total.ghosts++;
    if (number(after->fence) > (uint64_t)server_ms(w) + FENCE_AHEAD_MS)
        violate(w, "fence %s of %s is far ahead of the time", after->fence,
            w->places[key].key);
    if (is_pure(w) && number(after->fence) <= number(before->fence))
        violate(w, "fence %s of %s is acquired over %s", after->fence,
            w->places[key].key, before->fence);
}

/* The first write that grants: copies of it have its fence, late ones of
   earlier tries a lower one. */
static void note_taken(world *w, unsigned key, const model_view *after)
{
    uint64_t id = read_id(after->rvn), fence = number(after->fence);
    task *t = find_task(w, key, id);

    /* taken anew, or a late copy of its own has put things right */
    if (t != NULL && t->robbed_id == id && fence >= t->taken_fence)
        t->robbed_at = t->robbed_early = 0;
    if (t == NULL || (t->taken_id == id && fence <= t->taken_fence)) return;
    t->taken_id = id;
    t->taken_fence = fence;
    t->taken_at = w->now;
}

void judge_write(
    world *w, unsigned key, const model_view *before, const model_view *after)
{
    if (after->rvn == NULL ||
        (before->rvn != NULL && strcmp(before->rvn, after->rvn) == 0))
        return;
    if (after->released == NULL && is_ours(after->rvn))
        note_taken(w, key, after);
    if (after->released != NULL) {
        if (strncmp(after->rvn, "released:", 9) == 0) {
            add_id(&w->released, read_id(after->rvn + 9));
            note_broken(w, key, read_id(after->rvn + 9));
            if (is_ours(before->rvn) && before->released == NULL &&
                read_id(before->rvn) != read_id(after->rvn + 9))
                violate(
                    w, "%.12s... is marked as another's release", before->rvn);
        }
    } else if (is_ours(after->rvn) &&
               (before->rvn == NULL || before->released != NULL ||
                   strncmp(before->rvn, after->rvn, ACQUISITION) != 0)) {
        judge_acquired(w, key, before, after);
    }
    w->places[key].row = NULL;
}

/* The table's TTL must not delete a lock that is held. */
void judge_expiry(world *w, unsigned key)
{
    unsigned i, k;

    for (i = 0; i < w->device_count; i++)
        for (k = 0; k < w->devices[i].task_count; k++) {
            const task *t = &w->devices[i].tasks[k];

            if (t->key == key && remaining_ms(t) != 0)
                violate(w, "the TTL deletes %s, which d%u holds",
                    w->places[key].key, i);
        }
}

/* ---- the end: when the faults have stopped, all are served ---- */

void judge_end(world *w)
{
    unsigned i, k;

    for (i = 0; i < w->device_count; i++) {
        judge_source(w, &w->devices[i]);
        for (k = 0; k < w->devices[i].task_count; k++) {
            const task *t = &w->devices[i].tasks[k];

            if (t->app != APP_ASK) continue;
            judge_waited(w, t);
            /* where others take without asking its turns are too few */
            if (t->asked_at < w->now - 90 * SECOND && w->device_count <= 16 &&
                (w->others->flags & FOREIGN_ROBS_TAKING) == 0 &&
                t->device->client.config.poll_ms != DYNALOCK_FOREVER)
                violate(w, "d%u was never served", i);
        }
    }
    for (i = 0; i < w->key_count; i++) {
        const place *p = &w->places[i];

        if (p->granted_after_quiet < 5) violate(w, "%s stands still", p->key);
        if (p->died_at != 0 && p->died_at + 3 * takeover_most_us(w) < w->now)
            violate(w, "%s was never taken over", p->key);
    }
}
