#define _DEFAULT_SOURCE
#include "foreign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
The "standard" layout's others: Java's client (awslabs) and Go's (cirello-io).
They know nothing of fences: they put the whole item anew, heartbeat it, and
delete or release it. They watch a record for its lease and no longer. Go's
copies what it does not know from the item that it saw, and writes its lease
with a unit.
*/

static int keeps(const foreign *f)
{
    return (f->client->flags & FOREIGN_KEEPS) != 0;
}

void standard_look(foreign *f)
{
    foreign_call(f, FOREIGN_LOOK, "GetItem",
        "\"Key\":{%s},\"ConsistentRead\":true}", foreign_key(f));
}

/* Long.parseLong, or time.ParseDuration. */
static uint64_t read_lease(const foreign *f, const char *text)
{
    char *unit;
    unsigned long long n = strtoull(text, &unit, 10);

    if (strcmp(unit, !keeps(f) ? "" : "ms") == 0) return n;
    if (keeps(f) && strcmp(unit, "s") == 0) return n * 1000;
    violate(f->world, "%s cannot read a lease of %s", f->owner, text);
    return 0;
}

/* ---- what it does ---- */

/* Puts its item in place of what it saw. */
static void take(foreign *f, const char *answer, const char *condition,
    const char *names, const char *values)
{
    char number[32], fence[64] = "";

    if (keeps(f) && foreign_read(answer, "fence", 'N', number, sizeof number))
        (void)snprintf(
            fence, sizeof fence, ",\"fence\":{\"N\":\"%s\"}", number);
    foreign_draw_code(f, "-0000-4000-8000-");
    foreign_call(f, FOREIGN_TAKE, "PutItem",
        "\"Item\":{%s,\"ownerName\":{\"S\":\"%s\"},\"leaseDuration\":"
        "{\"S\":\"%s\"},\"recordVersionNumber\":{\"S\":\"%s\"}%s},"
        "\"ConditionExpression\":\"%s\",\"ExpressionAttributeNames\":{"
        "\"#pk\":\"%s\"%s}%s}",
        foreign_key(f), f->owner, f->client->lease, f->next, fence, condition,
        f->world->key_name, names, values);
}

static void take_seen(foreign *f, const char *answer)
{
    char values[128];

    (void)snprintf(values, sizeof values,
        ",\"ExpressionAttributeValues\":{\":rvn\":{\"S\":\"%s\"}}", f->seen);
    take(f, answer, "attribute_exists(#pk) AND #rvn = :rvn",
        ",\"#rvn\":\"recordVersionNumber\"", values);
}

static void take_free(foreign *f, const char *answer, int is_released)
{
    const char *names = ",\"#ir\":\"isReleased\"";
    const char *values =
        ",\"ExpressionAttributeValues\":{\":one\":{\"S\":\"1\"}}";

    if (keeps(f))
        take(f, answer,
            "attribute_not_exists (#pk) OR ((attribute_exists (#pk)) AND "
            "(#ir = :one))",
            names, values);
    else if (is_released)
        take(f, answer, "attribute_exists(#pk) AND #ir = :one", names, values);
    else take(f, answer, "attribute_not_exists(#pk)", "", "");
}

/* A write to its own item. `update` is SET's list, or empty. */
static void change(foreign *f, int state, const char *operation,
    const char *update, const char *names, const char *values)
{
    foreign_call(f, state, operation,
        "\"Key\":{%s},%s\"ConditionExpression\":\"attribute_exists(#pk) AND "
        "#rvn = :rvn AND #on = :on\",\"ExpressionAttributeNames\":{"
        "\"#pk\":\"%s\",\"#rvn\":\"recordVersionNumber\",\"#on\":"
        "\"ownerName\"%s},\"ExpressionAttributeValues\":{\":rvn\":"
        "{\"S\":\"%s\"},\":on\":{\"S\":\"%s\"}%s}}",
        foreign_key(f), update, f->world->key_name, names, f->mine, f->owner,
        values);
}

void standard_beat(foreign *f)
{
    char values[160];
    int n;

    foreign_draw_code(f, "-0000-4000-8000-");
    n = snprintf(values, sizeof values, ",\":next\":{\"S\":\"%s\"}", f->next);
    if (keeps(f))
        (void)snprintf(values + n, sizeof values - (size_t)n,
            ",\":lease\":{\"S\":\"%s\"}", f->client->lease);
    change(f, FOREIGN_BEAT, "UpdateItem",
        keeps(f) ? "\"UpdateExpression\":\"SET leaseDuration = :lease, "
                   "#rvn = :next\","
                 : "\"UpdateExpression\":\"SET #rvn = :next\",",
        "", values);
}

void standard_give(foreign *f)
{
    if (one_in(&f->world->chance, 2))
        change(f, FOREIGN_GIVE, "DeleteItem", "", "", "");
    else
        change(f, FOREIGN_GIVE, "UpdateItem",
            "\"UpdateExpression\":\"SET #ir = :one\",",
            ",\"#ir\":\"isReleased\"", ",\":one\":{\"S\":\"1\"}");
}

/* ---- what it learns ---- */

void standard_looked(foreign *f, const char *answer)
{
    world *w = f->world;
    char rvn[DYNALOCK_RVN_SIZE], lease[24], released[8];
    uint64_t lease_ms;

    if (!foreign_read(answer, "recordVersionNumber", 'S', rvn, sizeof rvn) ||
        !foreign_read(answer, "leaseDuration", 'S', lease, sizeof lease)) {
        take_free(f, answer, 0);
        return;
    }
    lease_ms = read_lease(f, lease);
    if (foreign_read(answer, "isReleased", 'S', released, sizeof released)) {
        take_free(f, answer, 1);
        return;
    }
    if (strcmp(f->seen, rvn) != 0) {
        strcpy(f->seen, rvn);
        f->seen_at = w->now;
        f->seen_lease_ms = lease_ms;
    } else if (w->now - f->seen_at > f->seen_lease_ms * MS) {
        take_seen(f, answer);
        return;
    }
    foreign_wait(f);
}
