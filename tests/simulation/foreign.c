#define _DEFAULT_SOURCE
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
Who else writes to the table. Java's lock client (awslabs, the "standard"
layout) knows nothing of fences: it puts the whole item anew, heartbeats it,
and deletes or releases it. It watches a record for its lease and no longer.
Its calls carry no signature here; the network treats them as all others.
*/

#define LEASE_MS 2000
#define TIMEOUT (200 * MS)
#define TRIES 3

enum { JAVA_LOOK, JAVA_TAKE, JAVA_HOLD, JAVA_BEAT, JAVA_GIVE };

/* ---- requests ---- */

static void send_copy(java *j)
{
    world *w = j->world;
    event *e;

    if (strikes(w, WORLD_LOSS, 12)) return;
    e = push(w, w->now + delay_us(w), EVENT_JAVA_SERVE, NULL);
    e->java = j;
    e->value = j->number;
    e->operation = j->operation;
    e->silent = strikes(w, WORLD_LOSS, 12);
    set_text(e, j->body, strlen(j->body));
}

/* Its SDK repeats a request that is not answered, to the letter. */
static void send(java *j)
{
    world *w = j->world;
    event *e = push(w, w->now + TIMEOUT, EVENT_JAVA_STEP, NULL);

    e->java = j;
    e->value = j->number;
    e->tries = ++j->tries;
    j->asking = 1;
    send_copy(j);
    if (strikes(w, WORLD_REPEAT, 8)) send_copy(j);
}

static const char *key_text(const world *w)
{
    static char text[64];

    (void)snprintf(text, sizeof text,
        w->places[0].sort_key != NULL
            ? "\"name\":{\"S\":\"%s\"},\"part\":{\"S\":\"%s\"}"
            : "\"key\":{\"S\":\"%s\"}",
        w->places[0].key, w->places[0].sort_key);
    return text;
}

static void begin(java *j, int state, const char *operation,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The call's members behind table and key. */
static void begin(
    java *j, int state, const char *operation, const char *format, ...)
{
    va_list arguments;
    int n = snprintf(
        j->body, sizeof j->body, "{\"TableName\":\"%s\",", j->world->table);

    va_start(arguments, format);
    (void)vsnprintf(
        j->body + n, sizeof j->body - (size_t)n, format, arguments);
    va_end(arguments);
    j->state = state;
    j->operation = operation;
    j->number++;
    j->tries = 0;
    j->base = j->world->now;
    send(j);
}

static void set_timer(java *j, int state, uint64_t us)
{
    event *e;

    j->state = state;
    j->number++;
    j->asking = 0;
    e = push(j->world, j->world->now + us, EVENT_JAVA_STEP, NULL);
    e->java = j;
    e->value = j->number;
}

static void rest(java *j)
{
    j->until = 0;
    j->seen[0] = '\0';
    set_timer(j, JAVA_LOOK, draw(&j->world->chance, 800 * MS));
}

static void draw_rvn(java *j)
{
    chance *c = &j->world->chance;

    (void)snprintf(j->next, sizeof j->next, "%08x-0000-4000-8000-%012" PRIx64,
        (unsigned)draw64(c), draw64(c) >> 16);
}

/* ---- what it does ---- */

static void look_around(java *j)
{
    begin(j, JAVA_LOOK, "GetItem", "\"Key\":{%s},\"ConsistentRead\":true}",
        key_text(j->world));
}

/* Puts its item in place of what it saw. */
static void take(
    java *j, const char *condition, const char *names, const char *values)
{
    draw_rvn(j);
    begin(j, JAVA_TAKE, "PutItem",
        "\"Item\":{%s,\"ownerName\":{\"S\":\"java%u\"},\"leaseDuration\":"
        "{\"S\":\"%d\"},\"recordVersionNumber\":{\"S\":\"%s\"}},"
        "\"ConditionExpression\":\"%s\",\"ExpressionAttributeNames\":{"
        "\"#pk\":\"%s\"%s}%s}",
        key_text(j->world), j->id, LEASE_MS, j->next, condition,
        has(j->world, WORLD_SORTED) ? "name" : "key", names, values);
}

static void take_seen(java *j)
{
    char values[128];

    (void)snprintf(values, sizeof values,
        ",\"ExpressionAttributeValues\":{\":rvn\":{\"S\":\"%s\"}}", j->seen);
    take(j, "attribute_exists(#pk) AND #rvn = :rvn",
        ",\"#rvn\":\"recordVersionNumber\"", values);
}

/* A write to its own item. `update` is SET's list, or empty. */
static void change(java *j, int state, const char *operation,
    const char *update, const char *values)
{
    begin(j, state, operation,
        "\"Key\":{%s},%s\"ConditionExpression\":\"attribute_exists(#pk) AND "
        "#rvn = :rvn AND #on = :on\",\"ExpressionAttributeNames\":{"
        "\"#pk\":\"%s\",\"#rvn\":\"recordVersionNumber\",\"#on\":"
        "\"ownerName\"%s},\"ExpressionAttributeValues\":{\":rvn\":"
        "{\"S\":\"%s\"},\":on\":{\"S\":\"java%u\"}%s}}",
        key_text(j->world), update,
        has(j->world, WORLD_SORTED) ? "name" : "key",
        state == JAVA_GIVE && *update != '\0' ? ",\"#ir\":\"isReleased\"" : "",
        j->mine, j->id, values);
}

static void beat(java *j)
{
    char values[128];

    draw_rvn(j);
    (void)snprintf(
        values, sizeof values, ",\":next\":{\"S\":\"%s\"}", j->next);
    change(j, JAVA_BEAT, "UpdateItem",
        "\"UpdateExpression\":\"SET #rvn = :next\",", values);
}

static void give_back(java *j)
{
    j->until = 0;
    if (one_in(&j->world->chance, 2)) {
        change(j, JAVA_GIVE, "DeleteItem", "", "");
        return;
    }
    change(j, JAVA_GIVE, "UpdateItem",
        "\"UpdateExpression\":\"SET #ir = :one\",", ",\":one\":{\"S\":\"1\"}");
}

/* ---- what it learns ---- */

static int read_attribute(
    const char *answer, const char *name, char *out, size_t size)
{
    char start[64];
    const char *at;
    size_t n;

    (void)snprintf(start, sizeof start, "\"%s\":{\"S\":\"", name);
    at = strstr(answer, start);
    if (at == NULL) return 0;
    at += strlen(start);
    n = strcspn(at, "\"");
    if (n >= size) return 0;
    memcpy(out, at, n);
    out[n] = '\0';
    return 1;
}

static void look_at_item(java *j, const char *answer)
{
    world *w = j->world;
    char rvn[DYNALOCK_RVN_SIZE], lease[24], released[8];

    if (!read_attribute(answer, "recordVersionNumber", rvn, sizeof rvn) ||
        !read_attribute(answer, "leaseDuration", lease, sizeof lease)) {
        take(j, "attribute_not_exists(#pk)", "", "");
        return;
    }
    if (read_attribute(answer, "isReleased", released, sizeof released)) {
        take(j, "attribute_exists(#pk) AND #ir = :one",
            ",\"#ir\":\"isReleased\"",
            ",\"ExpressionAttributeValues\":{\":one\":{\"S\":\"1\"}}");
        return;
    }
    if (strcmp(j->seen, rvn) != 0) {
        strcpy(j->seen, rvn);
        j->seen_at = w->now;
        j->seen_lease_ms = strtoull(lease, NULL, 10);
    } else if (w->now - j->seen_at > j->seen_lease_ms * MS) {
        take_seen(j);
        return;
    }
    set_timer(j, JAVA_LOOK, 100 * MS + draw(&w->chance, 100 * MS));
}

static void hold(java *j)
{
    strcpy(j->mine, j->next);
    j->until = j->base + LEASE_MS * MS;
    judge_exclusion(j->world, 0);
    set_timer(j, JAVA_HOLD, LEASE_MS / 4 * MS);
}

static void take_answered(java *j, int status)
{
    world *w = j->world;

    if (status != 200) {
        set_timer(j, JAVA_LOOK, 100 * MS + draw(&w->chance, 100 * MS));
        return;
    }
    j->work_until = w->now + draw(&w->chance, 3 * SECOND);
    total.java_grants++;
    hold(j);
    say(w, "Java%u GRANTED", j->id);
}

void hear_java(java *j, const event *e)
{
    if (e->value != j->number || !j->asking) return;
    switch (j->state) {
    case JAVA_LOOK: look_at_item(j, e->text); break;
    case JAVA_TAKE: take_answered(j, e->status); break;
    case JAVA_BEAT:
        if (e->status == 200) hold(j);
        else rest(j);
        break;
    default: rest(j); break;
    }
}

static void give_up(java *j)
{
    if (j->state == JAVA_BEAT) set_timer(j, JAVA_HOLD, LEASE_MS / 4 * MS);
    else if (j->state == JAVA_GIVE) rest(j);
    else set_timer(j, JAVA_LOOK, 100 * MS);
}

void step_java(java *j, const event *e)
{
    world *w = j->world;

    if (e->value != j->number || (j->asking && e->tries != j->tries)) return;
    if (j->asking) {
        if (j->tries < TRIES) send(j);
        else give_up(j);
    } else if (strikes(w, WORLD_PAUSE, 100)) {
        set_timer(j, j->state, draw(&w->chance, 3 * SECOND));
    } else if (strikes(w, WORLD_CRASH, 300)) {
        say(w, "Java%u CRASHES", j->id);
        rest(j);
    } else if (j->state == JAVA_LOOK) {
        look_around(j);
    } else if (w->now >= j->until) {
        rest(j);
    } else if (w->now >= j->work_until) {
        give_back(j);
    } else {
        beat(j);
    }
}

void start_java(java *j)
{
    rest(j);
}

void serve_java(world *w, event *e)
{
    char answer[MODEL_ANSWER_SIZE];
    event *back;
    int status = model_call(
        w->model, &w->options, server_ms(w), e->operation, e->text, answer);

    say(w, "table answers Java%u %s %d %s", e->java->id, e->operation, status,
        answer);
    if (status == 400 && strstr(answer, "ConditionalCheck") == NULL) {
        fprintf(stderr, "%s\n%s\n", e->text, answer);
        abort();
    }
    if (e->silent) return;
    back = push(w, w->now + delay_us(w), EVENT_JAVA_ANSWER, NULL);
    back->java = e->java;
    back->value = e->value;
    back->status = status;
    set_text(back, answer, strlen(answer));
}

/* ---- an operator, who means well ---- */

/* Deletes or edits a live item, asking nobody. */
void edit_item(world *w)
{
    static const char *const updates[] = {
        "SET isReleased = :x",
        "SET recordVersionNumber = :x",
        "SET ownerName = :x",
        "SET leaseDuration = :x", /* now no lock any more */
        "REMOVE fence",
    };
    unsigned key = (unsigned)draw(&w->chance, w->key_count);
    unsigned n = (unsigned)draw(&w->chance, 6);
    char body[256], answer[MODEL_ANSWER_SIZE];
    model_view view;

    /* a garbled item is mended by deleting it, at the latest in the end */
    if (is_quiet(w)) n = 5;
    if (!look(w, key, &view) || (!is_quiet(w) && view.released != NULL))
        return;
    (void)snprintf(body, sizeof body,
        n == 5 ? "{\"TableName\":\"%s\",\"Key\":{\"%s\":{\"S\":\"%s\"}}}"
        : n == 4
            ? "{\"TableName\":\"%s\",\"Key\":{\"%s\":{\"S\":\"%s\"}},"
              "\"UpdateExpression\":\"%s\"}"
            : "{\"TableName\":\"%s\",\"Key\":{\"%s\":{\"S\":\"%s\"}},"
              "\"UpdateExpression\":\"%s\",\"ExpressionAttributeValues\":{"
              "\":x\":{\"S\":\"1\"}}}",
        w->table, "key", w->places[key].key, n < 5 ? updates[n] : "");
    if (model_call(w->model, &w->options, server_ms(w),
            n == 5 ? "DeleteItem" : "UpdateItem", body, answer) != 200)
        abort();
    w->places[key].edited_at = w->now;
    total.edits++;
    say(w, "the operator does \"%s\" to %s", n < 5 ? updates[n] : "delete",
        w->places[key].key);
}
