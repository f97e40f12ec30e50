#define _DEFAULT_SOURCE
#include "foreign.h"

#include <inttypes.h>
#include <stdio.h>

/*
Python's DynaLock and dynamo-dlm: a put says until which second of its wall
clock an item is held; whoever comes later puts over it. Neither renews. They
let go by a delete: dynamo-dlm of its own code only, DynaLock of whatever stands
there, which is its fault when it comes too late, or comes twice.
*/

void expiry_look(foreign *f)
{
    f->client->take(f);
}

static void begin(foreign *f)
{
    f->ends = foreign_second(f) + (int64_t)f->client->lease_ms / 1000;
}

/* ---- DynaLock ---- */

void dynalock_py_take(foreign *f)
{
    begin(f);
    foreign_call(f, FOREIGN_TAKE, "PutItem",
        "\"Item\":{%s,\"TTL\":{\"N\":\"%" PRId64 "\"}},"
        "\"ConditionExpression\":\"attribute_not_exists(LockId) OR #T < "
        ":current_time\",\"ExpressionAttributeNames\":{\"#T\":\"TTL\"},"
        "\"ExpressionAttributeValues\":{\":current_time\":{\"N\":\"%" PRId64
        "\"}}}",
        foreign_key(f), f->ends, foreign_second(f));
}

void dynalock_py_give(foreign *f)
{
    foreign_call(
        f, FOREIGN_GIVE, "DeleteItem", "\"Key\":{%s}}", foreign_key(f));
}

/* ---- dynamo-dlm ---- */

void dlm_take(foreign *f)
{
    begin(f);
    foreign_draw_code(f, "000040008000");
    foreign_call(f, FOREIGN_TAKE, "PutItem",
        "\"Item\":{%s,\"release_code\":{\"S\":\"%s\"},\"expires\":{\"N\":"
        "\"%" PRId64
        "\"}},\"ConditionExpression\":\"(attribute_not_exists(#n0) OR "
        "#n1 <= :v0)\",\"ExpressionAttributeNames\":{\"#n0\":\"resource_id\","
        "\"#n1\":\"expires\"},\"ExpressionAttributeValues\":{\":v0\":{\"N\":"
        "\"%" PRId64 "\"}}}",
        foreign_key(f), f->next, f->ends, foreign_second(f));
}

/* The next permit; and all of them again without a pause, now and then. */
void dlm_refused(foreign *f)
{
    unsigned permits = f->client->permits;

    if (permits != 0) f->key = (f->key + 1) % permits;
    if ((permits != 0 && f->key != 0) || one_in(&f->world->chance, 2))
        dlm_take(f);
    else foreign_wait(f);
}

void dlm_give(foreign *f)
{
    foreign_call(f, FOREIGN_GIVE, "DeleteItem",
        "\"Key\":{%s},\"ConditionExpression\":\"#n0 = :v0\","
        "\"ExpressionAttributeNames\":{\"#n0\":\"release_code\"},"
        "\"ExpressionAttributeValues\":{\":v0\":{\"S\":\"%s\"}}}",
        foreign_key(f), f->mine);
}
