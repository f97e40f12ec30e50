/*
Fuzzes a client's whole exchanges, without TLS (libFuzzer). The input is a
script of what the caller does and of what becomes of each request on its way
to the simulator's table, which is honest: lost, late, cut, altered, or answered
by the script itself. Whatever comes,

  - a lock is granted or renewed by a right answer to its own write only: found
    with a second, simpler reader (cJSON's), and never for longer than the lease
    from before the send, or with a fence that does not rise;
  - as long as nobody has lied, the table says so, too;
  - no call takes longer than the manual says, nor turns in circles;
  - requests stay sound, and rightly signed (the table ends the program);
  - when all are honest again the client is as good as new.
*/

#define _GNU_SOURCE /* strcasestr */
#define DYNALOCK_NO_TLS
#include "device.h"

#include "../simulation/model.h"
#include <cjson/cJSON.h>

#define LOCKS 3
#define PERMITS 2
#define ALL (LOCKS + PERMITS)
#define CALLS 16
#define CONNECT_MS 2000
#define REQUEST_MS 1000
#define ONE_CALL_MS (CONNECT_MS + REQUEST_MS)
#define SLACK_MS 800 /* three pauses within hooks, which must not block */
#define OWNER "device"

/* The last write of a lock. */
typedef struct sent {
    char rvn[64];
    unsigned long long fence;
    uint64_t began;
    uint32_t lease_ms;
    unsigned request; /* its number */
} sent;

static struct {
    device d;
    model *table;
    model_options options;
    input script;
    int honest, lied;
    unsigned requests, scans;
    dynalock_lock locks[LOCKS];
    dynalock_semaphore semaphore;
    dynalock_permit permits[PERMITS];
    dynalock_group group;
    dynalock_lock *members[LOCKS];
    sent sent[ALL];
    uint64_t until[ALL], token[ALL]; /* as last seen */
    dynalock_blob blob;
    int has_blob;
} w;

static const char *const keys[ALL] = { "a", "b\"\\\n", "\xc3\xa9", "s/0",
    "s/1" };

static dynalock_lock *lock_at(unsigned i)
{
    return i < LOCKS ? &w.locks[i] : &w.permits[i - LOCKS].lock;
}

static int64_t unix_ms(void)
{
    return DEVICE_UNIX_MS + (int64_t)w.d.now;
}

/* ---- what is a right answer ---- */

static const char *text_of(const cJSON *item, const char *name, const char *of)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(item, name);
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(member, of);

    return cJSON_IsString(text) ? text->valuestring : "";
}

/* The item of an answer is what the lock's last write wrote. */
static int shows_write(const cJSON *json, unsigned i)
{
    const dynalock_want *wants = w.d.client.wants;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, "Item");
    const sent *last = &w.sent[i];

    return strcmp(text_of(item, wants[1].name, "S"), OWNER) == 0 &&
           strcmp(text_of(item, wants[2].name, "S"), last->rvn) == 0 &&
           strtoull(text_of(item, "fence", "N"), NULL, 10) == last->fence;
}

/* What was read is a right answer to this lock's write. */
static int is_granted_by(const cJSON *json, unsigned status, unsigned i)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(json, "__type");
    int is_write = w.sent[i].request == w.requests;

    if (!cJSON_IsObject(json)) return 0;
    if (status == 200)
        return is_write ||
               (device_asks_for(&w.d, "GetItem") && shows_write(json, i));
    return status < 500 && is_write && cJSON_IsString(type) &&
           strcasestr(type->valuestring, "cond") != NULL &&
           shows_write(json, i);
}

static int is_granted(unsigned i)
{
    const device *d = &w.d;
    int closed = d->hangs_up && d->answer_at == d->answer_size;
    answer a;
    int granted = 0;

    if (read_answer(&a, d->answer, d->answer_at, closed) && is_undamaged(&a)) {
        cJSON *json = cJSON_ParseWithLength(a.body, a.size);

        granted = is_granted_by(json, a.status, i);
        cJSON_Delete(json);
    }
    free(a.chunks);
    return granted;
}

/* ---- what is looked at whenever the clock is read ---- */

static uint32_t usable_ms(uint32_t lease_ms)
{
    return lease_ms - (lease_ms * 10 + 999) / 1000 - DYNALOCK_CLOCK_STEP_MS;
}

static void check_grant(unsigned i, const dynalock_lock *lock)
{
    const sent *last = &w.sent[i];

    REQUIRE(is_granted(i));
    REQUIRE(lock->until <= last->began + usable_ms(last->lease_ms));
    if (w.until[i] == 0) REQUIRE(lock->token > w.token[i]);
    else REQUIRE(lock->token == w.token[i]);
    REQUIRE(dynalock_fence(lock) == lock->token);
    w.token[i] = lock->token;
}

/* By the names of this layout. Go's mark is there, held or not. */
static int look_at(unsigned i, model_view *view)
{
    const dynalock_want *wants = w.d.client.wants;
    const char *names[6] = { wants[1].name, NULL, wants[2].name, NULL, "fence",
        NULL };

    if (w.d.config.layout != dynalock_for_dynalock_go())
        names[3] = "isReleased";
    return model_look(w.table, "locks", keys[i], NULL, names, view);
}

static void check_held(unsigned i)
{
    model_view view;

    if (w.lied) return;
    REQUIRE(look_at(i, &view));
    REQUIRE(view.owner != NULL && strcmp(view.owner, OWNER) == 0);
    REQUIRE(view.released == NULL);
}

static void look(device *d)
{
    unsigned i;

    for (i = 0; i < ALL; i++) {
        const dynalock_lock *lock = lock_at(i);

        if (lock->until > w.until[i]) check_grant(i, lock);
        w.until[i] = lock->until;
        if (lock->until > d->now) check_held(i);
    }
}

/* ---- requests ---- */

static void note_write(const cJSON *update)
{
    const cJSON *values =
        cJSON_GetObjectItemCaseSensitive(update, "ExpressionAttributeValues");
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(update, "Key");
    const char *rvn = text_of(values, ":r", "S");
    const char *lease = text_of(values, ":l", "S");
    unsigned i;

    if (strlen(rvn) != 41) return; /* a release, or of another's lock */
    for (i = 0; i < ALL; i++) {
        if (strcmp(text_of(key, "key", "S"), keys[i]) != 0) continue;
        strcpy(w.sent[i].rvn, rvn);
        w.sent[i].fence = strtoull(text_of(values, ":f", "N"), NULL, 10);
        w.sent[i].began = w.d.began;
        w.sent[i].request = w.requests;
        w.sent[i].lease_ms = lock_at(i)->sent_lease_ms;
        if (lease[0] != '\0')
            REQUIRE(strtoul(lease, NULL, 10) == w.sent[i].lease_ms);
    }
}

static void note_request(const device *d)
{
    cJSON *json = cJSON_Parse(device_body(d));
    const cJSON *at;

    w.requests++;
    if (device_asks_for(d, "Scan")) w.scans++;
    REQUIRE(cJSON_IsObject(json));
    if (device_asks_for(d, "UpdateItem")) note_write(json);
    at = cJSON_GetObjectItemCaseSensitive(json, "TransactItems");
    if (at != NULL && device_asks_for(d, "TransactWriteItems"))
        for (at = at->child; at != NULL; at = at->next)
            note_write(cJSON_GetObjectItemCaseSensitive(at, "Update"));
    cJSON_Delete(json);
}

/* ---- what becomes of them ---- */

static void carry_out(device *d)
{
    char text[MODEL_ANSWER_SIZE];
    size_t size = model_serve(
        w.table, &w.options, unix_ms(), d->request, d->request_size, text);

    d->answer_size = 0;
    device_answer_bytes(d, text, size);
}

static void lose_request(device *d)
{
    (void)d;
}

static void lose_answer(device *d)
{
    carry_out(d);
    d->answer_size = 0;
}

static void repeat(device *d)
{
    carry_out(d);
    carry_out(d);
}

static void cut(device *d)
{
    carry_out(d);
    d->answer_size = d->answer_size * choose(&w.script) / 256;
    d->hangs_up = 1;
}

static void alter(device *d)
{
    size_t at;

    carry_out(d);
    at = choose_two(&w.script) % d->answer_size;
    d->answer[at] = (char)(d->answer[at] ^ (choose(&w.script) | 1));
    w.lied = 1;
}

static void answer_raw(device *d)
{
    input text = choose_text(&w.script);

    device_answer_bytes(d, text.at, text.size);
    w.lied = 1;
}

static void answer_body(device *d)
{
    static const unsigned statuses[] = { 200, 400, 500, 503, 301, 204, 599,
        413 };
    unsigned status = statuses[choose(&w.script) % COUNT(statuses)];
    input text = choose_text(&w.script);

    device_answer(d, status, text.at, text.size);
    w.lied = 1;
}

static void answer_error(device *d)
{
    static const char *const types[] = { "ConditionalCheckFailedException",
        "ProvisionedThroughputExceededException", "ThrottlingException",
        "ResourceNotFoundException", "ValidationException",
        "ExpiredTokenException", "InvalidSignatureException",
        "UnrecognizedClientException", "AccessDeniedException",
        "InternalServerError", "TransactionCanceledException",
        "TransactionConflictException", "UnknownOperationException",
        "ResourceInUseException", "#", "x#x" };
    unsigned choice = choose(&w.script);
    input text = choose_text(&w.script);
    char message[64] = "", body[MODEL_ANSWER_SIZE];
    size_t n;

    for (n = 0; n < text.size && n + 1 < sizeof message; n++)
        message[n] = (char)(text.at[n] & 0x7f);
    n = (size_t)snprintf(body, sizeof body,
        "{\"__type\":\"com.amazonaws.dynamodb.v20120810#%s\",\"message\":"
        "\"%s\"}",
        types[choice % COUNT(types)], message);
    device_answer(d, choice >= 128 ? 500 : 400, body, n);
}

/* A refusal, or a look, that shows an item of the script's. */
static void answer_item(device *d)
{
    int looking = device_asks_for(d, "GetItem");
    static const char refusal[] = "{\"__type\":\"#ConditionalCheckFailed\",";
    input text = choose_text(&w.script);
    char *body = memory(NULL, text.size + 64);
    int n = snprintf(body, 64, "%s\"Item\":", looking ? "{" : refusal);

    if (text.size != 0) memcpy(body + n, text.at, text.size);
    body[(size_t)n + text.size] = '}';
    device_answer(d, looking ? 200 : 400, body, (size_t)n + text.size + 1);
    free(body);
    w.lied = 1;
}

/* The same that shows some lock's last write, or nearly. */
static void answer_write(device *d)
{
    const sent *last = &w.sent[choose(&w.script) % ALL];
    const dynalock_want *wants = w.d.client.wants;
    unsigned off = choose(&w.script);
    char body[512];

    (void)snprintf(body, sizeof body,
        "{%s\"Item\":{\"%s\":{\"S\":\"%s\"},\"%s\":{\"S\":\"%s\"},"
        "\"fence\":{\"N\":\"%llu\"},\"%s\":{\"S\":\"20000\"}}}",
        device_asks_for(d, "GetItem") ? "" : "\"__type\":\"x#Conditional\",",
        wants[1].name, off & 1 ? "other" : OWNER, wants[2].name,
        last->rvn + (off & 2 ? 1 : 0), last->fence + (off >> 2) % 3,
        wants[5].name);
    device_answer_text(d, device_asks_for(d, "GetItem") ? 200 : 400, body);
    w.lied = 1;
}

static void be_late(device *d)
{
    carry_out(d);
    d->answer_from = d->now + 16 * choose(&w.script);
}

/* The table's answer, in chunks. */
static void answer_chunked(device *d)
{
    char text[DEVICE_ANSWER];
    size_t size, n;
    char *body;

    carry_out(d);
    memcpy(text, d->answer, d->answer_size);
    text[d->answer_size] = '\0';
    body = strstr(text, "\r\n\r\n") + 4;
    d->answer_size = (size_t)snprintf(d->answer, sizeof d->answer,
        "HTTP/1.1 %.3s X\r\nTransfer-Encoding: chunked\r\n\r\n", text + 9);
    for (size = strlen(body); size != 0; size -= n, body += n) {
        char head[16];

        n = 1 + choose(&w.script) % size;
        device_answer_bytes(
            d, head, (size_t)snprintf(head, sizeof head, "%zx;x\r\n", n));
        device_answer_bytes(d, body, n);
        device_answer_bytes(d, "\r\n", 2);
    }
    device_answer_bytes(d, "0\r\nx: y\r\n\r\n", 11);
}

static void fail_next(device *d)
{
    carry_out(d);
    d->fails = 1;
}

static void turn_deaf(device *d)
{
    carry_out(d);
    d->deaf = 1;
}

static void (*const fates[])(device *) = { carry_out, lose_request,
    lose_answer, repeat, cut, alter, answer_raw, answer_body, answer_error,
    answer_item, answer_write, be_late, answer_chunked, fail_next, turn_deaf,
    carry_out };

static void serve(device *d)
{
    unsigned fate;

    note_request(d);
    if (w.honest) {
        carry_out(d);
        return;
    }
    fate = choose(&w.script);
    fates[fate % COUNT(fates)](d);
    if (fate >= 64) d->piece = 1 + fate % 7;
    if (fate >= 128) d->hangs_up = 1;
    if (fate >= 192) d->pause_ms = fate;
}

/* ---- what the caller does ---- */

static uint32_t choose_wait(void)
{
    unsigned choice = choose(&w.script);

    return choice < 128 ? 0 : (choice - 127) * 50;
}

static dynalock_lock *choose_lock(void)
{
    return lock_at(choose(&w.script) % ALL);
}

static void check_time(uint64_t began, uint64_t most)
{
    REQUIRE(w.d.now <= began + most + SLACK_MS);
}

static uint32_t wait_or(uint32_t wait_ms, uint32_t otherwise)
{
    return wait_ms != 0 ? wait_ms : otherwise;
}

static void do_acquire(void)
{
    dynalock_lock *lock = choose_lock();
    uint32_t wait_ms = choose_wait();
    uint64_t began = w.d.now;
    dynalock_outcome rc = dynalock_acquire(&w.d.client, lock, wait_ms);

    check_time(began, wait_or(wait_ms, 2 * ONE_CALL_MS));
    REQUIRE(rc != DYNALOCK_AGAIN);
    if (rc == DYNALOCK_OK) REQUIRE(lock->until != 0);
    if (rc != DYNALOCK_OK && rc != DYNALOCK_HELD && rc != DYNALOCK_IN_USE)
        REQUIRE(dynalock_remaining_ms(&w.d.client, lock) == 0);
}

static void do_renew(void)
{
    dynalock_lock *lock = choose_lock();
    uint64_t began = w.d.now, until = lock->until;

    ignore(dynalock_renew(&w.d.client, lock));
    if (until > began) check_time(began, until - began);
    else check_time(began, 0);
}

static void do_release(void)
{
    dynalock_lock *lock = choose_lock();
    uint64_t began = w.d.now;

    (void)dynalock_release(&w.d.client, lock);
    check_time(began, ONE_CALL_MS);
    REQUIRE(dynalock_remaining_ms(&w.d.client, lock) == 0);
}

static dynalock_record record;

static dynalock_name choose_name(void)
{
    dynalock_name name = { NULL, NULL, NULL };

    name.key = keys[choose(&w.script) % ALL];
    return name;
}

static void check_record(void)
{
    uint32_t size;
    const uint8_t *data;

    REQUIRE(memchr(record.owner, '\0', sizeof record.owner) != NULL);
    REQUIRE(memchr(record.rvn, '\0', sizeof record.rvn) != NULL);
    if (record.status == DYNALOCK_LOCKED)
        REQUIRE(record.lease_ms != 0 && record.lease_ms <= 0x7fffffff);
    data = dynalock_data(&record, &size);
    REQUIRE(size == DYNALOCK_TOO_LONG || size <= sizeof record.data);
    REQUIRE((const void *)data == (const void *)record.data);
}

static void do_read(void)
{
    dynalock_name name = choose_name();
    uint64_t began = w.d.now;

    if (dynalock_read(&w.d.client, &name, &record) == DYNALOCK_OK)
        check_record();
    check_time(began, ONE_CALL_MS);
}

static void do_tidy(void)
{
    dynalock_name name = choose_name();
    uint64_t began = w.d.now;

    ignore(dynalock_tidy(&w.d.client, &name, &record));
    check_time(began, ONE_CALL_MS);
}

static void do_break(void)
{
    dynalock_name name = choose_name();
    uint64_t began = w.d.now;
    dynalock_outcome rc;

    w.lied = 1; /* it may be our own that it breaks */
    rc = dynalock_break(&w.d.client, &name,
        record.rvn[0] != '\0' ? record.rvn : "shown", &record);
    if (rc == DYNALOCK_OK) REQUIRE(record.status == DYNALOCK_RELEASED);
    check_time(began, ONE_CALL_MS);
}

static int each_listed(void *context, const dynalock_listed *item)
{
    (void)context;
    REQUIRE(item->status != DYNALOCK_ABSENT);
    if (item->key != NULL) REQUIRE(item->key[item->key_size] == '\0');
    REQUIRE(item->key != NULL || item->key_size == DYNALOCK_TOO_LONG);
    REQUIRE(strlen(item->owner) < DYNALOCK_ANSWER_SIZE);
    REQUIRE(strlen(item->rvn) < DYNALOCK_ANSWER_SIZE);
    return choose(&w.script) == 17;
}

static void do_list(void)
{
    static dynalock_listing listing;
    uint64_t began = w.d.now;

    memset(&listing, 0, sizeof listing);
    listing.each = each_listed;
    listing.page = (uint16_t)choose(&w.script);
    w.scans = 0;
    ignore(dynalock_list(&w.d.client, NULL, &listing));
    check_time(began, (w.scans + 1) * (uint64_t)ONE_CALL_MS);
}

static void do_call(void)
{
    static const char *const targets[] = { "GetItem", "PutItem",
        "TransactWriteItems" };
    static dynalock_request call;
    char answer[64];
    uint64_t began = w.d.now;
    unsigned choice = choose(&w.script);

    memset(&call, 0, sizeof call);
    call.target = targets[choice % COUNT(targets)];
    call.body = "{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":\"z\"}},"
                "\"Item\":{\"key\":{\"S\":\"z\"}}}";
    call.answer = answer;
    call.capacity = choice >> 3;
    call.repeatable = choice >= 128;
    if (dynalock_call(&w.d.client, &call) == DYNALOCK_OK)
        REQUIRE(call.size <= call.capacity);
    check_time(began, ONE_CALL_MS);
}

static void do_group(void)
{
    static dynalock_outcome (*const calls[])(dynalock_client *,
        dynalock_group *) = { dynalock_group_renew, dynalock_group_release };
    unsigned choice = choose(&w.script);
    uint64_t began = w.d.now;
    uint32_t wait_ms;

    w.group.count = 1 + choice % LOCKS;
    if (choice >= 64) {
        (void)calls[choice & 1](&w.d.client, &w.group);
        check_time(began, 30000);
        return;
    }
    wait_ms = choose_wait();
    if (dynalock_group_acquire(&w.d.client, &w.group, wait_ms) == DYNALOCK_OK)
        REQUIRE(
            w.lied || dynalock_group_remaining_ms(&w.d.client, &w.group) != 0);
    check_time(began, wait_or(wait_ms, 2 * ONE_CALL_MS) + ONE_CALL_MS);
}

static void do_semaphore(void)
{
    uint32_t wait_ms = choose_wait();
    uint64_t began = w.d.now;
    const dynalock_lock *lock;

    if (dynalock_semaphore_acquire(&w.d.client, &w.semaphore, wait_ms) ==
        DYNALOCK_OK) {
        lock = dynalock_semaphore_lock(&w.semaphore);
        REQUIRE(lock != NULL && lock->until != 0);
    }
    check_time(began, wait_or(wait_ms, ONE_CALL_MS));
}

static void changed(
    void *context, const dynalock_watch *watch, uint32_t before_ms)
{
    (void)context;
    REQUIRE(watch->unchanged_ms == 0);
    REQUIRE(before_ms <= w.d.now);
}

static void do_watch(void)
{
    static dynalock_watch watch;
    dynalock_name name = choose_name();

    watch.changed = changed;
    if (dynalock_start_watch(&w.d.client, &name, &watch) != DYNALOCK_AGAIN)
        return;
    device_run(&w.d, 20 * choose(&w.script));
    dynalock_cancel(&w.d.client, &watch.record.operation);
    REQUIRE(dynalock_result(&watch.record.operation) != DYNALOCK_AGAIN);
}

static void do_table(void)
{
    static dynalock_table memory_of_table;
    uint32_t wait_ms = choose_wait();
    uint64_t began = w.d.now;

    if (wait_ms == 0)
        ignore(dynalock_table_check(&w.d.client, NULL, &memory_of_table));
    else
        ignore(dynalock_table_create(
            &w.d.client, NULL, &memory_of_table, wait_ms));
    check_time(began, wait_or(wait_ms, ONE_CALL_MS));
}

static void do_nothing(void)
{
    device_run(&w.d, 20 * choose(&w.script));
}

static void do_change(void)
{
    static const uint8_t data[] = "some data";
    unsigned choice = choose(&w.script);
    dynalock_lock *lock = choose_lock();

    if ((choice & 3) == 0)
        ignore(dynalock_set_lease(&w.d.client, lock, choice * 64));
    else if ((choice & 3) == 1)
        ignore(dynalock_set_data(lock, data, choice % sizeof data));
    else if ((choice & 3) == 2) ignore(dynalock_keep_data(lock));
    else ignore(dynalock_set_data(lock, NULL, 0));
}

/* Takes a lock's place in its next life. */
static void do_reboot(void)
{
    dynalock_lock *lock = choose_lock();
    unsigned choice = choose(&w.script);

    if (choice < 128) {
        if (dynalock_save(&w.d.client, lock, &w.blob) == DYNALOCK_OK)
            w.has_blob = 1;
        return;
    }
    if (!w.has_blob) return;
    if (dynalock_restore(&w.d.client, lock, &w.blob) == DYNALOCK_OK)
        REQUIRE(dynalock_remaining_ms(&w.d.client, lock) == 0);
    w.lied = 1; /* two lives at once */
    if (choice >= 192) {
        uint64_t began = w.d.now;

        (void)dynalock_release_restored(&w.d.client, lock);
        check_time(began, ONE_CALL_MS);
    }
}

/* Cancelled on its way. */
static void do_half(void)
{
    dynalock_lock *lock = choose_lock();

    if (dynalock_start_acquire(&w.d.client, lock, 5000) != DYNALOCK_AGAIN)
        return;
    device_run(&w.d, choose(&w.script));
    dynalock_cancel(&w.d.client, &lock->operation);
    REQUIRE(dynalock_result(&lock->operation) != DYNALOCK_AGAIN);
}

static void do_cancelled(void)
{
    w.d.waits_to_cancel = 1 + choose(&w.script) % 16;
    do_acquire();
    w.d.waits_to_cancel = 0;
}

static void put_item(const char *key, const char *text)
{
    char name[32], body[512], out[MODEL_ANSWER_SIZE];
    dl_span span;

    dl_put_contents(dl_span_open(&span, name, sizeof name - 1, 0), key);
    name[span.used] = '\0';
    (void)snprintf(body, sizeof body,
        "{\"TableName\":\"locks\",\"%s\":{\"key\":{\"S\":\"%s\"}%s}}",
        text[0] != '\0' ? "Item" : "Key", name, text);
    (void)model_call(w.table, &w.options, unix_ms(),
        text[0] != '\0' ? "PutItem" : "DeleteItem", body, out);
}

/* Somebody else comes, or goes; not where the device holds. */
static void do_stranger(void)
{
    unsigned i = choose(&w.script) % ALL, choice = choose(&w.script);
    model_view view;
    char text[256];

    if (look_at(i, &view) && view.owner != NULL &&
        strcmp(view.owner, OWNER) == 0)
        return;
    text[0] = '\0';
    if (choice >= 64)
        (void)snprintf(text, sizeof text,
            ",\"ownerName\":{\"S\":\"x\"},\"leaseDuration\":{\"S\":\"%u\"},"
            "\"recordVersionNumber\":{\"S\":\"r%u\"}%s%s",
            choice * 20, choice, choice & 1 ? ",\"fence\":{\"N\":\"7\"}" : "",
            choice & 2 ? ",\"isReleased\":{\"S\":\"1\"}" : "");
    put_item(keys[i], text);
}

static void do_release_all(void)
{
    uint32_t wait_ms = choose_wait();
    uint64_t began = w.d.now;

    (void)dynalock_release_all(&w.d.client, wait_ms);
    check_time(began, wait_ms);
}

static void do_repair(void)
{
    w.d.deaf = 0;
}

static void (*const calls[])(void) = { do_acquire, do_renew, do_release,
    do_read, do_list, do_call, do_group, do_semaphore, do_watch, do_table,
    do_nothing, do_change, do_reboot, do_half, do_stranger, do_break, do_tidy,
    do_release_all, do_cancelled, do_repair };

/* ---- afterwards ---- */

static void check_lock(size_t i)
{
    dynalock_lock *lock = lock_at(i);
    dynalock_name name = { keys[i], NULL, NULL };

    put_item(keys[i], "");
    REQUIRE(dynalock_acquire(&w.d.client, lock, 0) == DYNALOCK_OK);
    REQUIRE(dynalock_check(&w.d.client, lock) == DYNALOCK_OK);
    REQUIRE(dynalock_read(&w.d.client, &name, &record) == DYNALOCK_OK);
    REQUIRE(record.status == DYNALOCK_LOCKED);
    REQUIRE(dynalock_release(&w.d.client, lock) == DYNALOCK_OK);
}

/* From here on nothing goes wrong. One lock is tried again. */
static void check_client(size_t last)
{
    static const dynalock_client wiped;
    uint64_t began;
    unsigned i;

    w.honest = 1;
    w.d.deaf = w.d.fails = 0;
    device_run(&w.d, 2 * ONE_CALL_MS); /* what is under way may go wrong yet */
    began = w.d.now;
    REQUIRE(dynalock_release_all(&w.d.client, ONE_CALL_MS) == DYNALOCK_OK);
    check_time(began, ONE_CALL_MS);
    w.lied = 1; /* a lock that could not be given back may be deleted now */
    check_lock(last % ALL);
    REQUIRE(dynalock_client_close(&w.d.client, 1000) == DYNALOCK_OK);
    for (i = 0; i < ALL; i++) REQUIRE(lock_at(i)->operation.client == NULL);
    REQUIRE(memcmp(&w.d.client, &wiped, sizeof wiped) == 0);
    REQUIRE(!w.d.connected);
}

/* ---- beginning ---- */

static void choose_config(void)
{
    static dynalock_layout *(*const layouts[])(void) = { dynalock_standard,
        dynalock_standard, dynalock_for_dynamolock, dynalock_for_dynalock_py,
        dynalock_for_dynamo_dlm, dynalock_for_chainsaws,
        dynalock_for_dynalock_go, dynalock_standard };
    unsigned choice = choose(&w.script);
    dynalock_config *config = &w.d.config;

    config->layout = layouts[choice & 7]();
    config->key_name = "key";
    config->owner = OWNER;
    config->connect_ms = CONNECT_MS;
    config->request_ms = REQUEST_MS;
    config->cap_ms = 200;
    config->poll_ms = 500;
    config->lease_ms = choice & 8 ? 4000 : 20000;
    config->manual_renew = (choice & 16) != 0;
    if ((choice & 32) != 0) config->ttl_attribute = "expires";
    w.options.key_id = "AKIDEXAMPLE";
    w.options.secret = "secret";
    w.options.region = "eu-central-1";
    w.options.hide_item = (choice & 64) != 0;
    w.options.no_transactions = (choice & 128) != 0;
}

static void begin(void)
{
    dynalock_lock_options options = { NULL, NULL, NULL, 0, NULL };
    unsigned i;

    for (i = 0; i < LOCKS; i++) {
        options.key = keys[i];
        REQUIRE(dynalock_lock_init(&w.locks[i], &options) == DYNALOCK_OK);
        w.members[i] = &w.locks[i];
    }
    options.key = "s";
    REQUIRE(dynalock_semaphore_init(
                &w.semaphore, w.permits, PERMITS, &options) == DYNALOCK_OK);
    w.group.locks = w.members;
    memset(&record, 0, sizeof record);
    device_start(&w.d);
    w.d.look = look;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int i;

    memset(&w, 0, sizeof w);
    w.script.at = data;
    w.script.size = size;
    w.table = model_new();
    device_init(&w.d, serve);
    choose_config();
    begin();
    for (i = 0; i < CALLS && w.script.size != 0; i++)
        calls[choose(&w.script) % COUNT(calls)]();
    check_client(size);
    model_free(w.table);
    return 0;
}
