#define _DEFAULT_SOURCE
#include "foreign.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What ended longer ago was released: a release says a day. */
#define HALF_DAY_MS (12 * 3600000)

const char *const world_names[WORLDS] = { "loss", "delay", "repeat", "crash",
    "pause", "drift", "tick", "jump", "throttle", "stale", "shorten", "hide",
    "ttl", "short", "sorted", "many", "java", "blob", "twin", "same", "clock",
    "tidy", "token", "odd", "edge", "weak", "beyond", "operator", "crowd",
    "calm", "group", "credentials" };

/* ---- chance ---- */

uint64_t draw64(chance *c) /* splitmix64 */
{
    uint64_t z = c->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t draw(chance *c, uint64_t below)
{
    return below == 0 ? 0 : draw64(c) % below;
}

int one_in(chance *c, uint64_t n)
{
    return n != 0 && draw(c, n) == 0;
}

int has(const world *w, uint32_t trouble)
{
    return (w->trouble & trouble) != 0;
}

int is_quiet(const world *w)
{
    return w->now >= w->quiet_from;
}

int strikes(world *w, uint32_t trouble, uint64_t n)
{
    return has(w, trouble) && !is_quiet(w) && one_in(&w->chance, n);
}

/* ---- telling ---- */

void say(world *w, const char *format, ...)
{
    char *line = w->trace[w->trace_lines % TRACE_LINES];
    va_list arguments;
    int n;

    if (!w->tracing) return;
    n = snprintf(line, TRACE_COLUMNS, "%12.3f ", (double)w->now / MS);
    va_start(arguments, format);
    (void)vsnprintf(line + n, (size_t)(TRACE_COLUMNS - n), format, arguments);
    va_end(arguments);
    w->trace_lines++;
}

void violate(world *w, const char *format, ...)
{
    va_list arguments;

    if (w->failed++ > 0) return;
    printf("VIOLATION seed %" PRIu64 " at %.3f ms: ", w->seed,
        (double)w->now / MS);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    (void)fflush(stdout);
}

void print_trace(const world *w)
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

event *push(world *w, uint64_t at, event_kind kind, device *d)
{
    size_t i = w->queued++;
    event *e;

    if (w->queued > w->queue_room) {
        w->queue_room = w->queue_room == 0 ? 256 : 2 * w->queue_room;
        w->queue =
            (event *)realloc(w->queue, w->queue_room * sizeof *w->queue);
        if (w->queue == NULL) abort();
    }
    e = &w->queue[i];
    memset(e, 0, sizeof *e);
    e->at = at < w->now ? w->now : at;
    e->number = ++w->number;
    e->kind = kind;
    e->device = d;
    for (; i != 0 && before(&w->queue[i], &w->queue[(i - 1) / 2]);
         i = (i - 1) / 2)
        swap(&w->queue[i], &w->queue[(i - 1) / 2]);
    return &w->queue[i];
}

event pop(world *w)
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

void set_text(event *e, const char *text, size_t size)
{
    e->text = (char *)malloc(size + 1);
    if (e->text == NULL) abort();
    memcpy(e->text, text, size);
    e->text[size] = '\0';
    e->size = size;
}

/* The operation's name in a request. */
const char *name_of(const char *request)
{
    static char name[32];
    const char *at = strstr(request, "DynamoDB_20120810.");

    if (at == NULL) abort();
    (void)snprintf(
        name, sizeof name, "%.*s", (int)strcspn(at + 18, "\r"), at + 18);
    return name;
}

/* ---- clocks, and the table ---- */

static uint64_t local_us(const device *d)
{
    uint64_t t = d->world->now;

    return d->offset_us + (t >> 20) * d->rate +
           (((t & 0xfffff) * d->rate) >> 20);
}

uint64_t local_ms(const device *d)
{
    uint64_t ms = local_us(d) / 1000;

    return ms - ms % d->tick_ms;
}

int64_t server_ms(const world *w)
{
    return START_MS + (int64_t)(w->now / 1000);
}

int64_t draw_off_ms(world *w)
{
    return (int64_t)draw(&w->chance, (uint64_t)(2 * w->off_ms)) - w->off_ms;
}

/* What says "released" in another way counts as not being there. */
int look(const world *w, unsigned key, model_view *view)
{
    const char *released = w->others->released;

    if (!model_look(w->model, w->table, w->places[key].key,
            w->places[key].sort_key, w->others->names, view))
        return 0;
    if (released == NULL) {
        if (view->ttl != NULL &&
            strtoll(view->ttl, NULL, 10) * 1000 + HALF_DAY_MS < server_ms(w))
            view->released = view->ttl;
    } else if (view->released != NULL &&
               strcmp(view->released, released) != 0) {
        view->released = NULL;
    }
    return 1;
}

/* Permits are places of one key: their number stands behind it. */
static const char *next_permit(const world *w, const char *at, unsigned *key)
{
    char name[40];

    (void)snprintf(
        name, sizeof name, "\"},\"%s\":{\"N\":\"", w->sort_key_name);
    if (strncmp(at, name, strlen(name)) != 0) return NULL;
    *key = (unsigned)(at[strlen(name)] - '0');
    return *key < w->key_count ? at + strlen(name) : NULL;
}

const char *next_key(const world *w, const char *text, unsigned *key)
{
    const char *at = strstr(text, "{\"S\":\"k/");

    if (at == NULL || at[8] < '0' || at[8] >= '0' + KEYS) return NULL;
    *key = (unsigned)(at[8] - '0');
    at += 9;
    return w->others->permits != 0 ? next_permit(w, at, key) : at;
}
