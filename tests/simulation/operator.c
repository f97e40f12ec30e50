#define _DEFAULT_SOURCE
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

/* An operator, who means well. */

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
