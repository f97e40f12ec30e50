/*
A service that has one table, for worlds (world.h): its state, keys and TTL are
what the test says, and it answers in the words of DynamoDB, with all that such
answers hold besides.
*/
#ifndef TABLES_H
#define TABLES_H

#include "world.h"

typedef struct tables {
    const char *status; /* NULL: there is no table */
    const char *key, *key_type, *sort_key, *sort_key_type; /* NULL: none */
    const char *ttl, *ttl_status;
    int looks; /* so many more until it is active */
    int types_first, noise;
    int creations, changes;
    char created[1024]; /* the body that asked for it */
    char body[16384];
} tables;

static tables service;

static void tables_keys(char *out, size_t size)
{
    int n = snprintf(out, size, "\"KeySchema\":[");

    /* the order within an element is anybody's guess */
    if (service.sort_key != NULL)
        n += snprintf(out + n, size - (size_t)n,
            "{\"KeyType\":\"RANGE\",\"AttributeName\":\"%s\"},",
            service.sort_key);
    (void)snprintf(out + n, size - (size_t)n,
        "{\"AttributeName\":\"%s\",\"KeyType\":\"HASH\"}]", service.key);
}

static void tables_types(char *out, size_t size)
{
    int n = snprintf(out, size,
        "\"AttributeDefinitions\":[{\"AttributeName\":\"other\","
        "\"AttributeType\":\"B\"}");

    if (service.sort_key != NULL)
        n += snprintf(out + n, size - (size_t)n,
            ",{\"AttributeType\":\"%s\",\"AttributeName\":\"%s\"}",
            service.sort_key_type, service.sort_key);
    (void)snprintf(out + n, size - (size_t)n,
        ",{\"AttributeName\":\"%s\",\"AttributeType\":\"%s\"}]", service.key,
        service.key_type);
}

/* An index has keys too; they are not the table's. */
#define TABLES_NOISE                                                          \
    "\"GlobalSecondaryIndexes\":[{\"IndexName\":\"i\",\"KeySchema\":["        \
    "{\"AttributeName\":\"wrong\",\"KeyType\":\"HASH\"},"                     \
    "{\"AttributeName\":\"wrong\",\"KeyType\":\"RANGE\"}],"                   \
    "\"IndexStatus\":\"CREATING\",\"TableStatus\":\"DELETING\"}],"            \
    "\"Replicas\":[{\"Table\":{\"TableStatus\":\"DELETING\"}}],"

static void tables_describe(world *w, int damage)
{
    char keys[2048], types[2048];
    const char *status = service.status;

    if (status != NULL && service.looks > 0) {
        status = "CREATING";
        service.looks--;
    }
    if (status == NULL) {
        world_reply_error(w, 400, "ResourceNotFoundException");
        return;
    }
    tables_keys(keys, sizeof keys);
    tables_types(types, sizeof types);
    (void)snprintf(service.body, sizeof service.body,
        "{\"Other\":{\"TableStatus\":\"DELETING\"},\"Table\":{%s%s,%s,"
        "\"ItemCount\":7,\"TableStatus\":\"%s\"},\"TableStatus\":\"x\"}",
        service.noise ? TABLES_NOISE : "", service.types_first ? types : keys,
        service.types_first ? keys : types, status);
    world_reply(w, 200, service.body, damage);
}

static void tables_create(world *w, int damage)
{
    if (service.status != NULL) {
        world_reply_error(w, 400, "ResourceInUseException");
        return;
    }
    service.creations++;
    assert_true(strlen(w->last_body) < sizeof service.created);
    (void)strcpy(service.created, w->last_body);
    service.status = "ACTIVE";
    service.key = "key";
    service.key_type = "S";
    service.ttl_status = "DISABLED";
    if (strstr(w->last_body, "RANGE") != NULL) {
        service.sort_key = "part";
        service.sort_key_type = "S";
    }
    world_reply(w, 200,
        "{\"TableDescription\":{\"TableStatus\":\"CREATING\"}}", damage);
}

static void tables_describe_ttl(world *w, int damage)
{
    char name[256] = "";

    if (service.ttl != NULL)
        (void)snprintf(
            name, sizeof name, "\"AttributeName\":\"%s\",", service.ttl);
    (void)snprintf(service.body, sizeof service.body,
        "{\"TimeToLiveDescription\":{%s\"TimeToLiveStatus\":\"%s\"}}", name,
        service.ttl_status);
    world_reply(w, 200, service.body, damage);
}

static void tables_set_ttl(world *w, int damage)
{
    if (strncmp(service.ttl_status, "ENABL", 5) == 0) {
        world_reply(w, 400,
            "{\"__type\":\"com.amazon.coral.validate#ValidationException\","
            "\"message\":\"TimeToLive is already enabled\"}",
            0);
        return;
    }
    service.changes++;
    service.ttl = "expires";
    service.ttl_status = "ENABLING";
    assert_non_null(
        strstr(w->last_body, "\"TimeToLiveSpecification\":{\"Enabled\":true,"
                             "\"AttributeName\":\"expires\"}}"));
    world_reply(w, 200, "{\"TimeToLiveSpecification\":{}}", damage);
}

/* For world.other. */
static int tables_serve(world *w, int damage)
{
    static const struct {
        const char *operation;
        void (*serve)(world *w, int damage);
    } operations[] = { { "DescribeTable", tables_describe },
        { "CreateTable", tables_create },
        { "DescribeTimeToLive", tables_describe_ttl },
        { "UpdateTimeToLive", tables_set_ttl } };
    size_t i;

    for (i = 0; i < DL_COUNT(operations); i++)
        if (strcmp(w->last_operation, operations[i].operation) == 0) {
            operations[i].serve(w, damage);
            return 1;
        }
    return 0;
}

static void tables_begin(world *w)
{
    memset(&service, 0, sizeof service);
    service.status = "ACTIVE";
    service.key = "key";
    service.key_type = "S";
    service.ttl_status = "DISABLED";
    w->other = tables_serve;
}

#endif
