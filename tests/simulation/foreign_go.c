#define _DEFAULT_SOURCE
#include "foreign.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
kmdeveloping/dynalock: looks by a query, which may be old, and puts without a
condition whatever has happened meanwhile. There is no expiry; by its own name
it walks in again, also after a crash. It gives back what bears its name.
*/

void go_look(foreign *f)
{
    f->as_of = UINT64_MAX;
    foreign_call(f, FOREIGN_LOOK, "Query",
        "\"KeyConditionExpression\":\"#key = :lock_key\","
        "\"ExpressionAttributeNames\":{\"#key\":\"key\"},"
        "\"ExpressionAttributeValues\":{\":lock_key\":{\"S\":\"%s\"}}}",
        f->world->places[f->key].key);
}

/* It panics on an attribute that is missing or of another type. */
static int is_free(foreign *f, const char *answer)
{
    static const struct {
        const char *name;
        char type;
    } all[] = { { "timestamp", 'N' }, { "ttl", 'N' },
        { "deleteOnRelease", 'T' }, { "data", 'S' }, { "owner", 'S' },
        { "isReleased", 'T' } };
    char text[64], owner[64] = "";
    size_t i;

    if (strstr(answer, "\"Count\":0") != NULL) return 1;
    for (i = 0; i < COUNT_OF(all); i++) {
        if (!foreign_read(answer, all[i].name, all[i].type, text, sizeof text))
            violate(f->world, "%s panics: no %s in %s", f->owner, all[i].name,
                answer);
        if (all[i].name[0] == 'o') strcpy(owner, text);
    }
    return strcmp(text, "true") == 0 || strcmp(owner, f->owner) == 0;
}

void go_looked(foreign *f, const char *answer)
{
    if (!is_free(f, answer)) foreign_wait(f);
    else if (one_in(&f->world->chance, 6)) /* a slow one */
        foreign_timer(f, FOREIGN_TAKE, draw(&f->world->chance, 2500 * MS));
    else go_take(f);
}

void go_take(foreign *f)
{
    foreign_call(f, FOREIGN_TAKE, "PutItem",
        "\"Item\":{%s,\"owner\":{\"S\":\"%s\"},\"timestamp\":{\"N\":\"%" PRId64
        "\"},\"ttl\":{\"N\":\"2592000\"},\"deleteOnRelease\":{\"BOOL\":%s},"
        "\"isReleased\":{\"BOOL\":false},\"data\":{\"S\":\"{}\"}}}",
        foreign_key(f), f->owner, foreign_second(f),
        one_in(&f->world->chance, 3) ? "true" : "false");
}

void go_give(foreign *f)
{
    foreign_call(f, FOREIGN_LEAVE, "GetItem", "\"Key\":{%s}}", foreign_key(f));
}

void go_left(foreign *f, const char *answer)
{
    char deletes[8];

    if (foreign_read(
            answer, "deleteOnRelease", 'T', deletes, sizeof deletes) &&
        strcmp(deletes, "true") == 0)
        foreign_call(f, FOREIGN_GIVE, "DeleteItem",
            "\"Key\":{%s},\"ConditionExpression\":\"#owner = :owner and "
            "deleteOnRelease = :delete\",\"ExpressionAttributeNames\":{"
            "\"#owner\":\"owner\"},\"ExpressionAttributeValues\":{\":owner\":"
            "{\"S\":\"%s\"},\":delete\":{\"BOOL\":true}}}",
            foreign_key(f), f->owner);
    else
        foreign_call(f, FOREIGN_GIVE, "UpdateItem",
            "\"Key\":{%s},\"UpdateExpression\":\"SET #ts = :timestamp, "
            "isReleased = :isReleased\",\"ConditionExpression\":\"#owner = "
            ":owner\",\"ExpressionAttributeNames\":{\"#ts\":\"timestamp\","
            "\"#owner\":\"owner\"},\"ExpressionAttributeValues\":{\":owner\":"
            "{\"S\":\"%s\"},\":timestamp\":{\"N\":\"%" PRId64
            "\"},\":isReleased\":{\"BOOL\":true}}}",
            foreign_key(f), f->owner, foreign_second(f));
}
