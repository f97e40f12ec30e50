#define _DEFAULT_SOURCE
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An operator, who means well: edits the table, and has devices break locks. */

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

/* Breaks what a listing has shown, now or some time ago. */
void break_lock(task *t)
{
    device *d = t->device;
    world *w = d->world;
    dynalock_name name;
    model_view view;

    if (d->breaking) return;
    if (d->shown[0] == '\0' || !one_in(&w->chance, 4)) {
        d->shown_key = t->key;
        if (!look(w, d->shown_key, &view) || view.rvn == NULL ||
            view.released != NULL)
            return;
        strcpy(d->shown, view.rvn);
        d->shown_at = w->now;
        d->shown_fence =
            view.fence != NULL ? strtoull(view.fence, NULL, 10) : 0;
    }
    memset(&name, 0, sizeof name);
    name.key = w->places[d->shown_key].key;
    name.sort_key = w->places[d->shown_key].sort_key;
    d->breaking = dynalock_start_break(&d->client, &name, d->shown,
                      &d->record) == DYNALOCK_AGAIN;
    if (d->breaking) say(w, "d%u breaks %s of %s", d->id, name.key, d->shown);
}

void hear_of_break(device *d)
{
    dynalock_outcome rc = dynalock_result(&d->record.operation);

    if (!d->breaking || rc == DYNALOCK_AGAIN) return;
    d->breaking = 0;
    say(d->world, "d%u has broken it: %d", d->id, (int)rc);
    judge_broken(d->world, d, rc);
}
