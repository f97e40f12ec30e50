/*
Fuzzes the rows of other libraries' tables, and of the standard layout
(libFuzzer). The first byte chooses the layout, the second how the row comes:

    as JSON   the rest is the item; the table answers with it whatever is asked
    built     each attribute of the layout has a type and a text; the
              simulator's table has the row, and evaluates the conditions

What a read says of it is what stands there, found with a second reader
(cJSON's). A lock is granted only where that says that it is free.
*/

#define DYNALOCK_NO_TLS
#include "device.h"

#include "../simulation/model.h"
#include <cjson/cJSON.h>

#define ATTRIBUTES 6 /* data, owner, version, free or expiry, fence, lease */
#define GRACE_S 5    /* and the second that has begun */
#define NOW_S ((int64_t)(DEVICE_UNIX_MS + 1000) / 1000)

static device d;
static model *table;
static const char *row; /* as JSON; NULL: it is on the table */
static dynalock_lock lock;
static dynalock_record record;
static const model_options options = {
    .key_id = "AKIDEXAMPLE", .secret = "secret", .region = "eu-central-1"
};

enum { STANDARD, DYNAMOLOCK, PY, DLM, CHAINSAWS, GO, LAYOUTS };
static dynalock_layout *(*const layouts[LAYOUTS])(void) = { dynalock_standard,
    dynalock_for_dynamolock, dynalock_for_dynalock_py, dynalock_for_dynamo_dlm,
    dynalock_for_chainsaws, dynalock_for_dynalock_go };
static unsigned layout;

static int expires(void)
{
    return layout >= PY && layout <= CHAINSAWS;
}

/* ---- the table ---- */

static void answer_row(device *of)
{
    static const char refusal[] = "\"__type\":\"x#ConditionalCheckFailed\",";
    int looking = device_asks_for(of, "GetItem");
    size_t room = strlen(row) + sizeof refusal + 16;
    char *body = memory(NULL, room);

    (void)snprintf(body, room, "{%s\"Item\":%s}", looking ? "" : refusal, row);
    device_answer_text(of, looking ? 200 : 400, body);
    free(body);
}

static void serve(device *of)
{
    char text[MODEL_ANSWER_SIZE];
    size_t size;

    if (row != NULL) {
        answer_row(of);
        return;
    }
    size = model_serve(table, &options, DEVICE_UNIX_MS + (int64_t)of->now,
        of->request, of->request_size, text);
    device_answer_bytes(of, text, size);
}

/* ---- a second reader ---- */

static const char *name_of(unsigned attribute)
{
    return d.client.wants[attribute].name;
}

/* NULL: it is not of that type, or not there. */
static const char *text_of(const cJSON *item, unsigned i, const char *type)
{
    const cJSON *it = cJSON_GetObjectItemCaseSensitive(item, name_of(i));
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(it, type);

    return cJSON_IsString(text) ? text->valuestring : NULL;
}

static int is_there(const cJSON *item, unsigned i)
{
    return cJSON_GetObjectItemCaseSensitive(item, name_of(i)) != NULL;
}

/* Digits alone, of any number. */
static int is_number(const char *text, double *value)
{
    if (text == NULL || text[0] == '\0' ||
        text[strspn(text, "0123456789")] != '\0')
        return 0;
    *value = strtod(text, NULL);
    return 1;
}

/* It says by itself that it is free. */
static int says_free(const cJSON *item)
{
    const cJSON *released = cJSON_GetObjectItemCaseSensitive(item, name_of(3));
    const char *one = text_of(item, 3, "S");
    double end, renewed;

    if (layout == GO)
        return cJSON_IsTrue(
            cJSON_GetObjectItemCaseSensitive(released, "BOOL"));
    if (!expires()) return one != NULL && strcmp(one, "1") == 0;
    if (!is_number(text_of(item, 3, "N"), &end)) return 0;
    if (end <= (double)(NOW_S - GRACE_S)) return 1;
    /* beyond 32 bits there are no seconds */
    return layout == CHAINSAWS && is_number(text_of(item, 5, "N"), &renewed) &&
           renewed <= 4294967295.0 && renewed >= end;
}

static int is_shown(const cJSON *item, unsigned i, const char *text)
{
    const char *there = text_of(item, i, "S");

    return strcmp(there != NULL ? there : "", text) == 0;
}

static int begins_owner(const cJSON *item)
{
    const char *there = text_of(item, 1, "S");

    return there != NULL &&
           strncmp(there, record.owner, strlen(record.owner)) == 0;
}

static void check_fence(const cJSON *item)
{
    const char *text = text_of(item, 4, "N");

    if (!is_there(item, 4)) {
        REQUIRE(record.fence == 0);
        return;
    }
    REQUIRE(text != NULL && text[strspn(text, "0123456789")] == '\0');
    REQUIRE(strtoull(text, NULL, 10) == record.fence);
    REQUIRE(record.fence < UINT64_C(0x7fffffffffffffff));
}

/* What a record says of an item that is understood. */
static void check_record(const cJSON *item)
{
    if (record.status == DYNALOCK_FOREIGN) return;
    /* of one who has it no more the name may be cut */
    REQUIRE(is_shown(item, 1, record.owner) || record.owner[0] == '\0' ||
            (record.status == DYNALOCK_RELEASED && begins_owner(item)));
    REQUIRE(is_shown(item, 2, record.rvn));
    check_fence(item);
    REQUIRE(says_free(item) == (record.status == DYNALOCK_RELEASED));
    if (record.status != DYNALOCK_LOCKED) return;
    REQUIRE(record.lease_ms != 0);
    REQUIRE(expires() || record.owner[0] != '\0' ||
            is_shown(item, 1, record.owner));
}

static void check_data(void)
{
    uint32_t size;

    (void)dynalock_data(&record, &size);
    REQUIRE(size == DYNALOCK_TOO_LONG || size < sizeof record.data);
}

/* ---- what is asked ---- */

static void check_read(void)
{
    dynalock_name name = { "k", NULL, NULL };
    cJSON *item = row != NULL ? cJSON_Parse(row) : NULL;
    dynalock_outcome rc = dynalock_read(&d.client, &name, &record);

    if (row != NULL && cJSON_IsObject(item) && rc == DYNALOCK_OK) {
        REQUIRE(record.status != DYNALOCK_ABSENT);
        check_record(item);
    }
    if (rc == DYNALOCK_OK) check_data();
    cJSON_Delete(item);
}

/* The table refuses whatever is written. */
static void check_refused(dynalock_outcome rc, dynalock_status status)
{
    REQUIRE(rc != DYNALOCK_OK && dynalock_fence(&lock) == 0);
    if (status == DYNALOCK_FOREIGN) REQUIRE(rc == DYNALOCK_NOT_A_LOCK);
    else REQUIRE(rc == DYNALOCK_BUSY);
}

/* The row that the model has is what the record has. */
static void check_granted(dynalock_outcome rc, const cJSON *item)
{
    double fence = 0;
    int no_fence =
        !is_there(item, 4) || (is_number(text_of(item, 4, "N"), &fence) &&
                                  fence < (double)DEVICE_UNIX_MS);

    if (rc == DYNALOCK_OK) {
        REQUIRE(item == NULL || says_free(item));
        REQUIRE(dynalock_fence(&lock) > (no_fence ? 0 : (uint64_t)fence));
        REQUIRE(dynalock_release(&d.client, &lock) == DYNALOCK_OK);
        return;
    }
    REQUIRE(rc == DYNALOCK_BUSY || rc == DYNALOCK_NOT_A_LOCK);
    /* "free" in the future, or five years ago, is not */
    REQUIRE(item != NULL && (expires() || !says_free(item) || !no_fence));
}

static void check_acquire(const cJSON *item)
{
    dynalock_lock_options of = { "k", NULL, NULL, 0, NULL };
    dynalock_status status = record.status;
    int read = dynalock_result(&record.operation) == DYNALOCK_OK;
    dynalock_outcome rc;

    REQUIRE(dynalock_lock_init(&lock, &of) == DYNALOCK_OK);
    rc = dynalock_acquire(&d.client, &lock, 0);
    if (row == NULL) check_granted(rc, item);
    else if (read && status != DYNALOCK_ABSENT) check_refused(rc, status);
    else REQUIRE(rc != DYNALOCK_OK);
}

/* ---- a row that is built ---- */

static void add_attribute(cJSON *item, unsigned i, input *in)
{
    static const char *const types[] = { "S", "N", "B" };
    unsigned choice = choose(in);
    char *text = choose_string(in), number[24];
    cJSON *attribute;
    size_t at;

    for (at = 0; text[at] != '\0'; at++)
        text[at] = (char)(text[at] & 0x7f ? text[at] & 0x7f : ' ');
    if (choice >= 128) { /* a time */
        (void)snprintf(number, sizeof number, "%lld",
            (long long)(i == 4 ? NOW_S * 1000 : NOW_S) + (choice & 63) - 32);
        free(text);
        text = memory(number, sizeof number);
    }
    if (choice % 8 < 3 && at < 200) {
        attribute = cJSON_AddObjectToObject(item, name_of(i));
        (void)cJSON_AddStringToObject(attribute, types[choice % 8], text);
    }
    free(text);
}

/* 0: the table does not take it. */
static int put_row(const cJSON *item)
{
    char *text = cJSON_PrintUnformatted(item), out[MODEL_ANSWER_SIZE];
    size_t room = strlen(text) + 128;
    char *body = memory(NULL, room);
    int status;

    (void)snprintf(body, room,
        "{\"TableName\":\"locks\",\"Item\":{\"key\":{\"S\":\"k\"}%s%s}",
        text[1] == '}' ? "" : ",", text + 1);
    status = model_call(
        table, &options, DEVICE_UNIX_MS + 1000, "PutItem", body, out);
    free(body);
    free(text);
    return status == 200;
}

static void try_built(input *in)
{
    cJSON *item = cJSON_CreateObject();
    unsigned i;

    for (i = 0; i < ATTRIBUTES; i++) add_attribute(item, i, in);
    row = NULL;
    table = model_new();
    if (layout != GO && put_row(item)) {
        check_read();
        REQUIRE(dynalock_result(&record.operation) == DYNALOCK_OK);
        check_record(item);
        check_acquire(item);
    }
    model_free(table);
    cJSON_Delete(item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = { data, size };
    unsigned built;
    char *text;

    layout = choose(&in) % LAYOUTS;
    built = choose(&in) & 1;
    device_init(&d, serve);
    d.config.layout = layouts[layout]();
    d.config.key_name = "key";
    device_start(&d);
    if (built) {
        try_built(&in);
        return 0;
    }
    text = memory(NULL, in.size + 1);
    if (in.size != 0) memcpy(text, in.at, in.size);
    text[in.size] = '\0';
    row = text;
    check_read();
    check_acquire(NULL);
    (void)dynalock_client_close(&d.client, 0);
    free(text);
    return 0;
}
