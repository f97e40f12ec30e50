#define _DEFAULT_SOURCE
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

FILE *record;

/* Quick, so that every millisecond of the margins counts; or too late, or just
   in time. Coarse clocks are met anywhere between two steps. */
static uint64_t edge_delay_us(world *w)
{
    switch (draw(&w->chance, 40)) {
    case 0: return draw(&w->chance, 3 * SECOND);
    case 1: return draw(&w->chance, 300 * MS);
    case 2:
    case 3:
    case 4:
    case 5: return 50 + draw(&w->chance, has(w, WORLD_TICK) ? 100 * MS : 300);
    default: return 50 + draw(&w->chance, 300);
    }
}

uint64_t delay_us(world *w)
{
    uint64_t x = draw(&w->chance, 1000);

    if (has(w, WORLD_EDGE) && !is_quiet(w)) return edge_delay_us(w);
    if (is_quiet(w) || !has(w, WORLD_DELAY))
        return 500 + draw(&w->chance, 8 * MS);
    if (x < 800) return 500 + draw(&w->chance, 10 * MS);
    if (x < 950) return draw(&w->chance, 400 * MS);
    if (x < 990) return draw(&w->chance, 4 * SECOND);
    if (x < 998) return draw(&w->chance, 12 * SECOND);
    return draw(&w->chance, 400 * SECOND); /* beyond the window */
}

static void send_copy(
    device *d, uint64_t after, uint32_t connection, int silent)
{
    world *w = d->world;
    event *e = push(w, w->now + after, EVENT_SERVE, d);

    e->value = connection;
    e->silent = silent;
    e->to_source = d->at_source;
    set_text(e, d->request, d->request_size);
}

void send_request(device *d)
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

/* What stands on the table, in memory of its own. */
typedef struct snapshot {
    model_view view;
    char texts[6][DYNALOCK_OWNER_SIZE];
} snapshot;

static void take_snapshot(const world *w, unsigned key, snapshot *s)
{
    const char **fields = (const char **)&s->view;
    int i;

    (void)look(w, key, &s->view);
    for (i = 0; i < 6; i++) {
        if (fields[i] == NULL) continue;
        (void)snprintf(s->texts[i], sizeof s->texts[i], "%s", fields[i]);
        fields[i] = s->texts[i];
    }
}

static void judge_change(world *w, unsigned key, const snapshot *before)
{
    model_view after;

    (void)look(w, key, &after);
    judge_write(w, key, &before->view, &after);
    /* what is over by its TTL may go just when it is taken */
    if (has(w, WORLD_TTL) && one_in(&w->chance, 4))
        push(w, w->now + draw(&w->chance, 3 * SECOND), EVENT_EXPIRE, NULL)
            ->value = 1;
}

/* Carries the request out; the judges see what changed. */
static size_t carry_out(world *w, const event *e, char *answer)
{
    snapshot before[KEYS];
    const char *at;
    unsigned key;
    size_t size;

    if (record != NULL)
        fprintf(record, "%s %s\n", name_of(e->text),
            strstr(e->text, "\r\n\r\n") + 4);
    for (at = e->text; (at = next_key(w, at, &key)) != NULL;)
        take_snapshot(w, key, &before[key]);
    expect_session(w, e->text);
    size = model_serve(
        w->model, &w->options, server_ms(w), e->text, e->size, answer);
    for (at = e->text; (at = next_key(w, at, &key)) != NULL;)
        judge_change(w, key, &before[key]);
    return size;
}

/* Somebody else's transaction is in the way. */
static size_t conflict(world *w, const event *e, char *answer)
{
    int is_transaction = strcmp(name_of(e->text), "TransactWriteItems") == 0;

    return model_error(&w->options, server_ms(w), 400,
        is_transaction ? "TransactionCanceledException"
                       : "TransactionConflictException",
        is_transaction ? "Transaction cancelled, please refer cancellation "
                         "reasons for specific reasons [TransactionConflict]"
                       : "Transaction is ongoing for the item",
        answer);
}

static size_t trouble_answer(world *w, const event *e, char *answer)
{
    const model_options *o = &w->options;
    int64_t now = server_ms(w);

    if (has(w, WORLD_GROUP) && one_in(&w->chance, 4))
        return conflict(w, e, answer);
    switch (draw(&w->chance, 4)) {
    case 0:
        return model_error(o, now, 400,
            "ProvisionedThroughputExceededException", "too fast", answer);
    case 1:
        return model_error(
            o, now, 400, "ThrottlingException", "too fast", answer);
    case 2: break;
    default: (void)carry_out(w, e, answer); break; /* all the same */
    }
    return model_error(o, now, 500, "InternalServerError", "sorry", answer);
}

/* Answers of a cache are old, and say so. */
void set_options(world *w)
{
    w->options.stale_ms = 0;
    w->options.age_s = 0;
    if (has(w, WORLD_STALE) && !is_quiet(w))
        w->options.stale_ms =
            draw(&w->chance, one_in(&w->chance, 4) ? 3000 : 200);
    if (strikes(w, WORLD_STALE, 50)) w->options.age_s = 600;
}

static size_t serve_table(world *w, const event *e, char *answer)
{
    set_options(w);
    return strikes(w, WORLD_THROTTLE, 25) ? trouble_answer(w, e, answer)
                                          : carry_out(w, e, answer);
}

void serve(world *w, event *e)
{
    char answer[MODEL_ANSWER_SIZE];
    uint64_t later = 0;
    size_t size = e->to_source ? serve_source(w, e, &later, answer)
                               : serve_table(w, e, answer);
    event *back;

    if (w->tracing)
        say(w, "%s answers d%u %s %s", e->to_source ? "source" : "table",
            e->device->id, e->to_source ? "" : name_of(e->text),
            strstr(answer, "\r\n\r\n") + 4);
    if (e->silent) return;
    /* cut anywhere: the rest never comes, the connection ends */
    if (strikes(w, WORLD_LOSS, 40)) size = draw(&w->chance, size);
    back = push(w, w->now + later + delay_us(w), EVENT_ANSWER, e->device);
    back->value = e->value;
    set_text(back, answer, size);
}

void deliver(world *w, const event *e)
{
    device *d = e->device;

    if (d->connection != e->value || !d->on) return;
    if (d->answer_size + e->size > sizeof d->answer) return;
    memcpy(d->answer + d->answer_size, e->text, e->size);
    d->answer_size += e->size;
    note_answer(w, d, e->text);
    judge_heard(w, d, e->text);
    if (strikes(w, WORLD_LOSS, 30)) d->peer_closed = 1;
    wake(d, w->now);
}
