#define _DEFAULT_SOURCE
#include "foreign.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT (200 * MS)
#define TRIES 3

/* ---- the libraries: worlds of their names ---- */

#define STANDARD_NAMES                                                        \
    {                                                                         \
        "ownerName", "leaseDuration", "recordVersionNumber", "isReleased",    \
            "fence", "expires"                                                \
    }
#define EXPIRY_NAMES(version, expiry)                                         \
    {                                                                         \
        "ownerName", NULL, version, NULL, "fence", expiry                     \
    }

/* Nobody: the devices' own layout. */
static const foreign_client nobody = { "", "", dynalock_standard, NULL, NULL,
    NULL, 0, STANDARD_NAMES, "1", 0, NULL, 0, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL };

static const foreign_client foreign_clients[] = {
    /* awslabs/amazon-dynamodb-lock-client */
    { "java", "java", dynalock_standard, NULL, NULL, NULL, 0, STANDARD_NAMES,
        "1", 2000, "2000", 0, standard_look, standard_looked, NULL,
        foreign_wait, standard_beat, standard_give, NULL },
    /* cirello-io/dynamolock */
    { "dynamolock", "go", dynalock_for_dynamolock, "locks", NULL, NULL, 0,
        STANDARD_NAMES, "1", 2000, "2s", FOREIGN_KEEPS, standard_look,
        standard_looked, NULL, foreign_wait, standard_beat, standard_give,
        NULL },
    /* DynaLock, the Python package dynalock */
    { "dynalock-py", "py", dynalock_for_dynalock_py, "LockTable", "LockId",
        NULL, 0, EXPIRY_NAMES("recordVersionNumber", "TTL"), NULL, 3000, NULL,
        FOREIGN_WALL | FOREIGN_ROBS_LEAVING | FOREIGN_OVERSTAYS, expiry_look,
        NULL, dynalock_py_take, foreign_wait, NULL, dynalock_py_give, NULL },
    /* dynamo-dlm 2.x */
    { "dlm", "dlm", dynalock_for_dynamo_dlm, "permits", "resource_id",
        "concurrency_id", 2, EXPIRY_NAMES("release_code", "expires"), NULL,
        3000, NULL, FOREIGN_WALL | FOREIGN_OVERSTAYS, expiry_look, NULL,
        dlm_take, dlm_refused, NULL, dlm_give, NULL },
    /* dynamo-dlm 1.0 */
    { "dlm1", "dlm", dynalock_for_dynamo_dlm, "resources", "resource_id", NULL,
        0, EXPIRY_NAMES("release_code", "expires"), NULL, 3000, NULL,
        FOREIGN_WALL | FOREIGN_OVERSTAYS, expiry_look, NULL, dlm_take,
        dlm_refused, NULL, dlm_give, NULL },
    /* kmdeveloping/dynalock, branch develop */
    { "dynalock-go", "go", dynalock_for_dynalock_go, "locks", NULL, NULL, 0,
        { "owner", "leaseDuration", "recordVersionNumber", "isReleased",
            "fence", NULL },
        "true", 0, NULL, FOREIGN_ROBS_TAKING, go_look, go_looked, go_take,
        foreign_wait, NULL, go_give, go_left },
};

const foreign_client *find_foreign(const char *name)
{
    size_t i;

    if (name == NULL) return &nobody;
    for (i = 0; i < COUNT_OF(foreign_clients); i++)
        if (strcmp(foreign_clients[i].name, name) == 0)
            return &foreign_clients[i];
    return NULL;
}

/* ---- its clock ---- */

int64_t foreign_second(const foreign *f)
{
    return (server_ms(f->world) + f->wall_off_ms) / 1000;
}

uint64_t foreign_time(const foreign *f, int64_t second)
{
    int64_t ms = second * 1000 - f->wall_off_ms - START_MS;

    return ms > 0 ? (uint64_t)ms * MS : 0;
}

/* When a lease is over that was asked for so; a world's time. */
static uint64_t lease_end(const foreign *f, uint64_t base, int64_t ends)
{
    if ((f->client->flags & FOREIGN_WALL) != 0) return foreign_time(f, ends);
    if (f->client->lease_ms == 0) return UINT64_MAX;
    return base + f->client->lease_ms * MS;
}

/* ---- requests ---- */

static void send_copy(foreign *f)
{
    world *w = f->world;
    event *e;

    if (strikes(w, WORLD_LOSS, 12)) return;
    e = push(w, w->now + delay_us(w), EVENT_FOREIGN_SERVE, NULL);
    e->foreign = f;
    e->value = f->number;
    e->operation = f->operation;
    e->silent = strikes(w, WORLD_LOSS, 12);
    e->key = f->key;
    e->state = f->state;
    e->turn = f->turn;
    e->as_of = f->as_of;
    e->ends = f->ends;
    set_text(e, f->body, strlen(f->body));
}

/* Its SDK repeats a request that is not answered, to the letter. */
static void send(foreign *f)
{
    world *w = f->world;
    event *e = push(w, w->now + TIMEOUT, EVENT_FOREIGN_STEP, NULL);

    e->foreign = f;
    e->value = f->number;
    e->tries = ++f->tries;
    f->asking = 1;
    send_copy(f);
    if (strikes(w, WORLD_REPEAT, 8)) send_copy(f);
}

const char *foreign_key(const foreign *f)
{
    static char text[96];
    const world *w = f->world;
    const place *p = &w->places[f->key];
    int n = snprintf(
        text, sizeof text, "\"%s\":{\"S\":\"%s\"}", w->key_name, p->key);

    if (p->sort_key != NULL)
        (void)snprintf(text + n, sizeof text - (size_t)n,
            ",\"%s\":{\"%s\":\"%s\"}", w->sort_key_name,
            f->client->permits != 0 ? "N" : "S", p->sort_key);
    return text;
}

void foreign_call(
    foreign *f, int state, const char *operation, const char *format, ...)
{
    va_list arguments;
    int n = snprintf(
        f->body, sizeof f->body, "{\"TableName\":\"%s\",", f->world->table);

    va_start(arguments, format);
    (void)vsnprintf(
        f->body + n, sizeof f->body - (size_t)n, format, arguments);
    va_end(arguments);
    f->state = state;
    f->operation = operation;
    f->number++;
    f->tries = 0;
    f->base = f->world->now;
    f->turn += state == FOREIGN_TAKE;
    send(f);
}

void foreign_draw_code(foreign *f, const char *middle)
{
    chance *c = &f->world->chance;

    (void)snprintf(f->next, sizeof f->next, "%08x%s%012" PRIx64,
        (unsigned)draw64(c), middle, draw64(c) >> 16);
}

int foreign_read(
    const char *answer, const char *name, char type, char *out, size_t size)
{
    char start[64];
    const char *at;
    size_t n;

    (void)snprintf(start, sizeof start,
        type == 'T' ? "\"%s\":{\"BOOL\":" : "\"%s\":{\"%c\":\"", name, type);
    at = strstr(answer, start);
    if (at == NULL) return 0;
    at += strlen(start);
    n = strcspn(at, type == 'T' ? "}" : "\"");
    if (n >= size) return 0;
    memcpy(out, at, n);
    out[n] = '\0';
    return 1;
}

/* ---- waiting, holding ---- */

void foreign_timer(foreign *f, int state, uint64_t us)
{
    event *e;

    f->state = state;
    f->number++;
    f->asking = 0;
    e = push(f->world, f->world->now + us, EVENT_FOREIGN_STEP, NULL);
    e->foreign = f;
    e->value = f->number;
}

void foreign_wait(foreign *f)
{
    foreign_timer(
        f, FOREIGN_LOOK, 100 * MS + draw(&f->world->chance, 100 * MS));
}

/* Its wall clock may be set meanwhile. */
void foreign_rest(foreign *f)
{
    world *w = f->world;

    f->until = 0;
    f->seen[0] = '\0';
    if (has(w, WORLD_JUMP)) f->wall_off_ms = draw_off_ms(w);
    if (f->client->permits != 0)
        f->key = (unsigned)draw(&w->chance, w->key_count);
    foreign_timer(f, FOREIGN_LOOK,
        draw(&w->chance, is_quiet(w) ? 4 * SECOND : 800 * MS));
}

static void hold(foreign *f)
{
    world *w = f->world;

    strcpy(f->mine, f->next);
    f->until = lease_end(f, f->base, f->ends);
    judge_exclusion(w, f->key);
    foreign_timer(f, FOREIGN_HOLD,
        f->client->beat != NULL  ? f->client->lease_ms / 4 * MS
        : f->work_until > w->now ? f->work_until - w->now
                                 : 0);
}

static void granted(foreign *f)
{
    world *w = f->world;
    uint64_t most = f->client->beat != NULL || f->client->lease_ms == 0
                        ? 3 * SECOND
                        : f->client->lease_ms * MS / 2;

    if ((f->client->flags & FOREIGN_OVERSTAYS) != 0 && !is_quiet(w) &&
        one_in(&w->chance, 5))
        most = 14 * SECOND;
    f->work_until = w->now + draw(&w->chance, most);
    total.foreign_grants++;
    say(w, "%s GRANTED", f->owner);
    hold(f);
}

static void give_back(foreign *f)
{
    f->until = 0;
    f->client->give(f);
}

/* ---- what it hears ---- */

void hear_foreign(foreign *f, const event *e)
{
    if (e->value != f->number || !f->asking) return;
    switch (f->state) {
    case FOREIGN_LOOK: f->client->looked(f, e->text); break;
    case FOREIGN_TAKE:
        if (e->status == 200) granted(f);
        else f->client->refused(f);
        break;
    case FOREIGN_BEAT:
        if (e->status == 200) hold(f);
        else foreign_rest(f);
        break;
    case FOREIGN_LEAVE: f->client->left(f, e->text); break;
    default: foreign_rest(f); break;
    }
}

static void give_up(foreign *f)
{
    if (f->state == FOREIGN_BEAT)
        foreign_timer(f, FOREIGN_HOLD, f->client->lease_ms / 4 * MS);
    else if (f->state >= FOREIGN_LEAVE) foreign_rest(f);
    else foreign_timer(f, FOREIGN_LOOK, 100 * MS);
}

/* ---- its time has come ---- */

static void act(foreign *f)
{
    world *w = f->world;

    if (f->state == FOREIGN_LOOK) f->client->look(f);
    else if (f->state == FOREIGN_TAKE) f->client->take(f);
    else if (f->client->beat != NULL && w->now >= f->until) foreign_rest(f);
    else if (w->now >= f->work_until) give_back(f);
    else f->client->beat(f);
}

void step_foreign(foreign *f, const event *e)
{
    world *w = f->world;

    if (e->value != f->number || (f->asking && e->tries != f->tries)) return;
    if (f->asking) {
        if (f->tries < TRIES) send(f);
        else give_up(f);
    } else if (strikes(w, WORLD_PAUSE, 100)) {
        foreign_timer(f, f->state, draw(&w->chance, 3 * SECOND));
    } else if (strikes(w, WORLD_CRASH, 100)) {
        say(w, "%s CRASHES", f->owner);
        foreign_rest(f);
    } else {
        act(f);
    }
}

/* ---- the table's side ---- */

static int is_look(int state)
{
    return state == FOREIGN_LOOK || state == FOREIGN_LEAVE;
}

/* What was carried out: of a look, how old what it shows is. */
static void note_served(world *w, const event *e, uint64_t was)
{
    foreign *f = e->foreign;
    uint64_t stale = w->options.stale_ms * MS;
    uint64_t as_of = w->now > stale ? w->now - stale : 0;

    if (!is_look(e->state)) {
        judge_foreign_write(w, e, was, lease_end(f, w->now, e->ends));
    } else if (e->value == f->number && as_of < f->as_of) {
        f->as_of = as_of; /* either copy's answer may be the one it takes */
    }
}

void serve_foreign(world *w, event *e)
{
    char answer[MODEL_ANSWER_SIZE];
    uint64_t was = live_acquisition(w, e->key);
    event *back;
    int status;

    if (record != NULL) fprintf(record, "%s %s\n", e->operation, e->text);
    set_options(w);
    status = model_call(
        w->model, &w->options, server_ms(w), e->operation, e->text, answer);
    say(w, "table answers %s %s %d %s", e->foreign->owner, e->operation,
        status, answer);
    if (status == 400 && strstr(answer, "ConditionalCheck") == NULL) {
        fprintf(stderr, "%s\n%s\n", e->text, answer);
        abort();
    }
    if (status == 200) note_served(w, e, was);
    if (e->silent) return;
    back = push(w, w->now + delay_us(w), EVENT_FOREIGN_ANSWER, NULL);
    back->foreign = e->foreign;
    back->value = e->value;
    back->status = status;
    set_text(back, answer, strlen(answer));
}

void start_foreigners(world *w)
{
    unsigned i;

    w->foreigners = (foreign *)calloc(FOREIGNERS, sizeof *w->foreigners);
    if (w->foreigners == NULL) abort();
    for (i = 0; i < w->foreign_count; i++) {
        foreign *f = &w->foreigners[i];

        f->world = w;
        f->client = w->others;
        (void)snprintf(f->owner, sizeof f->owner, "%s%u", w->others->owner, i);
        foreign_rest(f);
    }
}
