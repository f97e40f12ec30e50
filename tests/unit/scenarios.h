/*
Every call of every hook goes wrong once, in turn and in every way that its hook
has, within each operation of the interface. Whatever happens: the outcome is
one that the manual has for it, nothing is held that the table has not given,
the call ends in time, connections and mutex are left as they should be, the
client works again afterwards, and a closed one has no secret in memory.
*/
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include "hooks.h"

static dynalock_lock lock, other; /* on "k" and "k2" */
static dynalock_record record;
static dynalock_watch watch;
static dynalock_listing listing;
static dynalock_request request;
static dynalock_table table;
static dynalock_blob blob;
static dynalock_group group;
static dynalock_semaphore semaphore;
static dynalock_permit permits[2];
static dynalock_provider provider;
static char memory[2048];
static char answer[64];
static int closed, changes, listed;
static int stepping; /* by start and poll, not by the blocking call */
static dynalock_lock *const both[] = { &lock, &other };
static const dynalock_name place = { "k", NULL, NULL };

#define SECRET "hush-secret-hush"

/* ---- what is there before ---- */

static void start_locks(void)
{
    hooks_start_client();
    world_lock(&lock, "k");
    world_lock(&other, "k2");
}

/* What stands between client and world; NULL: nothing. */
static void (*transport)(world *w, dynalock_platform *platform);

static void begin(void)
{
    hooks_begin();
    if (transport != NULL) transport(&w, &hooks.inner);
    w.credentials.secret = SECRET;
    w.credentials.token = "token-" SECRET;
    w.config.owner = "me";
    closed = changes = listed = 0;
    memset(&provider, 0, sizeof provider);
    memset(memory, 0, sizeof memory);
    start_locks();
}

static void alone(void)
{
}

static void hold(void)
{
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
}

static void hold_both(void)
{
    hold();
    assert_int_equal(dynalock_acquire(&w.client, &other, 0), DYNALOCK_OK);
}

/* A stranger's, and watched from now on. */
static void taken(void)
{
    turn_to_item(0);
    world_hold(&w, "strange-1", "10000");
    hooks.taken_until[0] = w.now + 10000;
}

static void taken_and_watched(void)
{
    taken();
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
}

/* Released two hours ago. */
static void old(void)
{
    hold();
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    turn_to_item(0);
    w.item.fence -= 7200000;
}

/* In the next life, with what the earlier one has saved. */
static void rebooted(void)
{
    hold();
    assert_int_equal(dynalock_save(&w.client, &lock, &blob), DYNALOCK_OK);
    w.connected = 0;
    hooks.connection = CLOSED;
    start_locks();
    assert_int_equal(dynalock_restore(&w.client, &lock, &blob), DYNALOCK_OK);
}

static void ready_semaphore(void)
{
    dynalock_lock_options options;

    memset(&options, 0, sizeof options);
    options.key = "p";
    assert_int_equal(dynalock_semaphore_init(&semaphore, permits, 2, &options),
        DYNALOCK_OK);
}

/* ---- credentials that are fetched ---- */

static const char keys[] =
    "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":"
    "\"" SECRET "\",\"Token\":\"t\",\"Expiration\":\"2023-11-15T04:13:20Z\"}";
static const char iot_keys[] =
    "{\"credentials\":{\"accessKeyId\":\"ASIA1\",\"secretAccessKey\":\"" SECRET
    "\",\"sessionToken\":\"t\",\"expiration\":\"2023-11-15T04:13:20Z\"}}";

static void serve_credentials(world *of)
{
    const char *body = keys;

    if (strncmp(of->request, "PUT ", 4) == 0) body = "the-token";
    if (strstr(of->request, "/role-aliases/") != NULL) body = iot_keys;
    if (strstr(of->request, "-credentials/ HTTP") != NULL) body = "a-role";
    of->answer_size = (size_t)snprintf(of->answer, sizeof of->answer,
        "HTTP/1.1 200 X\r\nContent-Length: %u\r\n\r\n%s",
        (unsigned)strlen(body), body);
    of->answer_at = 0;
    of->answer_from = of->now;
}

static void begin_provider(dynalock_source source, void *context)
{
    w.serve_other = serve_credentials;
    assert_int_equal(dynalock_provider_init(
                         &provider, source, context, memory, sizeof memory),
        DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    start_locks();
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
}

static void from_ec2(void)
{
    static dynalock_ec2 ec2;

    memset(&ec2, 0, sizeof ec2);
    begin_provider(dynalock_source_ec2(), &ec2);
}

static void from_container(void)
{
    static dynalock_container container;

    memset(&container, 0, sizeof container);
    container.uri = "/v2/credentials/guid";
    begin_provider(dynalock_source_container(), &container);
}

static void from_iot(void)
{
    static dynalock_iot iot;

    memset(&iot, 0, sizeof iot);
    iot.host = "abc.credentials.iot.eu-west-1.amazonaws.com";
    iot.role_alias = "lock-role";
    w.config.endpoint = "https://table.test:8000";
    w.config.secure_transport = 1;
    begin_provider(dynalock_source_iot(), &iot);
}

static void no_table(void)
{
    service.status = NULL;
    w.config.ttl_attribute = "expires";
    start_locks();
}

/* ---- the calls ---- */

/* To its end, by polls; platform.wait is not called. */
static dynalock_outcome step_through(
    dynalock_operation *operation, dynalock_outcome rc)
{
    while (rc == DYNALOCK_AGAIN) {
        unsigned interest;
        uint32_t ms;

        (void)dynalock_poll(&w.client);
        rc = dynalock_result(operation);
        dynalock_wants(&w.client, &interest, &ms);
        if (rc == DYNALOCK_AGAIN) (void)hooks.inner.wait(&w, interest, ms);
    }
    return rc;
}

/* Either way of one call: its start and its blocking form have the same
   arguments. */
#define CALL(operation, verb, ...)                                            \
    (stepping ? step_through((operation), dynalock_start_##verb(__VA_ARGS__)) \
              : dynalock_##verb(__VA_ARGS__))

static dynalock_outcome acquire_once(void)
{
    return CALL(&lock.operation, acquire, &w.client, &lock, 0);
}

static dynalock_outcome acquire_and_wait(void)
{
    return CALL(&lock.operation, acquire, &w.client, &lock, 30000);
}

static dynalock_outcome renew(void)
{
    return CALL(&lock.operation, renew, &w.client, &lock);
}

static dynalock_outcome release(void)
{
    return CALL(&lock.operation, release, &w.client, &lock);
}

static dynalock_outcome release_restored(void)
{
    return CALL(&lock.operation, release_restored, &w.client, &lock);
}

static dynalock_outcome release_all(void)
{
    return dynalock_release_all(&w.client, 5000);
}

static dynalock_outcome close_client(void)
{
    closed = 1;
    return dynalock_client_close(&w.client, 5000);
}

static dynalock_outcome look(void)
{
    return CALL(&record.operation, read, &w.client, &place, &record);
}

static dynalock_outcome tidy(void)
{
    return CALL(&record.operation, tidy, &w.client, &place, &record);
}

static dynalock_outcome break_it(void)
{
    return CALL(
        &record.operation, break, &w.client, &place, "strange-1", &record);
}

static void note_change(
    void *context, const dynalock_watch *of, uint32_t before_ms)
{
    (void)context;
    (void)before_ms;
    assert_ptr_equal(of, &watch);
    assert_int_equal(of->record.status, DYNALOCK_LOCKED);
    changes++;
}

/* For three seconds, then it is cancelled. */
static dynalock_outcome watch_it(void)
{
    uint64_t end = w.now + 3000;
    dynalock_outcome rc;

    memset(&watch, 0, sizeof watch);
    watch.changed = note_change;
    rc = dynalock_start_watch(&w.client, &place, &watch);
    while (rc == DYNALOCK_AGAIN && w.now < end) {
        world_run(&w, 100);
        rc = dynalock_result(&watch.record.operation);
    }
    dynalock_cancel(&w.client, &watch.record.operation);
    return rc == DYNALOCK_AGAIN ? DYNALOCK_OK : rc;
}

static int note_listed(void *context, const dynalock_listed *item)
{
    (void)context;
    assert_string_equal(item->key, "k");
    listed += !item->again;
    return 0;
}

static const char *one_page(world *of)
{
    (void)of;
    return "{\"Items\":[{\"key\":{\"S\":\"k\"}}]}";
}

static dynalock_outcome list_all(void)
{
    w.scan = one_page;
    memset(&listing, 0, sizeof listing);
    listing.each = note_listed;
    return CALL(&listing.operation, list, &w.client, NULL, &listing);
}

static dynalock_outcome put(int repeatable)
{
    memset(&request, 0, sizeof request);
    request.target = "PutItem";
    request.body = "{\"TableName\":\"ours\"}";
    request.answer = answer;
    request.capacity = sizeof answer;
    request.repeatable = (uint8_t)repeatable;
    return CALL(&request.operation, call, &w.client, &request);
}

static dynalock_outcome put_once(void)
{
    return put(0);
}

static dynalock_outcome put_repeatably(void)
{
    return put(1);
}

static dynalock_outcome check_table(void)
{
    return CALL(&table.operation, table_check, &w.client, NULL, &table);
}

static dynalock_outcome create_table(void)
{
    return CALL(
        &table.operation, table_create, &w.client, NULL, &table, 20000);
}

static void make_group(void)
{
    memset(&group, 0, sizeof group);
    group.locks = both;
    group.count = 2;
}

static dynalock_outcome acquire_group(void)
{
    make_group();
    return CALL(&group.operation, group_acquire, &w.client, &group, 20000);
}

static dynalock_outcome renew_group(void)
{
    make_group();
    return CALL(&group.operation, group_renew, &w.client, &group);
}

static dynalock_outcome release_group(void)
{
    make_group();
    return CALL(&group.operation, group_release, &w.client, &group);
}

static dynalock_outcome acquire_permit(void)
{
    return CALL(
        &semaphore.operation, semaphore_acquire, &w.client, &semaphore, 20000);
}

static dynalock_outcome fence_texts(void)
{
    char text[1024];
    dynalock_outcome rc =
        dynalock_fence_condition(&w.client, &lock, text, sizeof text);

    if (rc != DYNALOCK_OK) return rc;
    return dynalock_fence_clause(&w.client, &lock, text, sizeof text);
}

static dynalock_outcome save(void)
{
    return dynalock_save(&w.client, &lock, &blob);
}

static dynalock_outcome check(void)
{
    return dynalock_check(&w.client, &lock);
}

/* As the holder of a lock does. */
static dynalock_outcome change_all(void)
{
    dynalock_outcome rc = dynalock_set_data(&lock, "x", 1);

    if (rc == DYNALOCK_OK) rc = dynalock_set_lease(&w.client, &lock, 8000);
    if (rc == DYNALOCK_OK) world_run(&w, 100);
    return rc != DYNALOCK_OK ? rc : dynalock_result(&lock.operation);
}

static dynalock_outcome in_scope(void)
{
    DYNALOCK_WITH(&w.client, &lock, 30000)
    {
        check_lock(&lock);
    }
    return dynalock_result(&lock.operation);
}

static dynalock_outcome init_again(void)
{
    dynalock_outcome rc;

    (void)dynalock_client_close(&w.client, 0);
    w.config.owner = NULL;
    hooks.alone = 1;
    rc = dynalock_client_init(&w.client, &w.config);
    hooks.alone = 0;
    closed = rc != DYNALOCK_OK;
    w.config.owner = "me";
    return rc;
}

/* ---- what DYNALOCK_OK says ---- */

static int nothing_else(void)
{
    return 1;
}

static int is_held(void)
{
    return dynalock_remaining_ms(&w.client, &lock) > 0;
}

static int are_held(void)
{
    return dynalock_group_remaining_ms(&w.client, &group) > 0;
}

static int permit_is_held(void)
{
    const dynalock_lock *permit = dynalock_semaphore_lock(&semaphore);

    check_lock(permit);
    return dynalock_remaining_ms(&w.client, permit) > 0;
}

static int is_released(void)
{
    turn_to_item(0);
    return w.item.released;
}

static int are_released(void)
{
    int first = is_released();

    turn_to_item(1);
    return first && w.item.released;
}

static int is_deleted(void)
{
    turn_to_item(0);
    return !w.item.exists;
}

static int is_read(void)
{
    return record.status == DYNALOCK_LOCKED && strcmp(record.owner, "me") == 0;
}

static int is_seen(void)
{
    return changes == 1;
}

static int is_listed(void)
{
    return listed == 1;
}

static int is_answered(void)
{
    return strcmp(answer, "{\"Attributes\":{}}") == 0;
}

static int is_made(void)
{
    return service.creations == 1 && service.changes == 1;
}

static int is_shorter(void)
{
    return is_held() && dynalock_remaining_ms(&w.client, &lock) < 8000;
}

/* ---- all that may come of it ---- */

typedef struct scenario {
    const char *name;
    void (*ready)(void);
    dynalock_outcome (*act)(void);
    dynalock_outcome expected; /* if nothing goes wrong */
    int (*is_so)(void);        /* what that says */
    uint32_t longest_ms;
    dynalock_outcome unlucky; /* if the network fails at the worst moment */
    dynalock_outcome late;    /* after a pause */
} scenario;

#define GRANTED DYNALOCK_OK, is_held
#define NONE DYNALOCK_OK

static const scenario scenarios[] = {
    { "acquire", alone, acquire_once, GRANTED, 15000, NONE,
        DYNALOCK_LOST_EXPIRED },
    /* a write that was not answered could still be carried out */
    { "acquire what is taken", taken, acquire_once, DYNALOCK_BUSY,
        nothing_else, 15000, DYNALOCK_UNKNOWN, DYNALOCK_UNKNOWN },
    { "wait", taken, acquire_and_wait, GRANTED, 30000, NONE,
        DYNALOCK_LOST_EXPIRED },
    { "wait again", taken_and_watched, acquire_and_wait, GRANTED, 30000, NONE,
        DYNALOCK_LOST_EXPIRED },
    { "acquire after a reboot", rebooted, acquire_once, GRANTED, 15000, NONE,
        DYNALOCK_LOST_EXPIRED },
    { "renew", hold, renew, GRANTED, 15000, NONE, DYNALOCK_LOST_EXPIRED },
    { "release", hold, release, DYNALOCK_OK, is_released, 15000, NONE,
        DYNALOCK_LOST_EXPIRED },
    { "release what was restored", rebooted, release_restored, DYNALOCK_OK,
        is_released, 15000, NONE, NONE },
    { "release all", hold_both, release_all, DYNALOCK_OK, are_released, 5000,
        NONE, DYNALOCK_UNKNOWN },
    { "close", hold_both, close_client, DYNALOCK_OK, are_released, 5000, NONE,
        DYNALOCK_UNKNOWN },
    { "read", hold, look, DYNALOCK_OK, is_read, 15000, NONE, NONE },
    /* what was deleted without an answer is not there any more */
    { "tidy", old, tidy, DYNALOCK_OK, is_deleted, 15000, DYNALOCK_KEPT,
        DYNALOCK_KEPT },
    { "break", taken, break_it, DYNALOCK_OK, is_released, 15000, NONE, NONE },
    { "watch", taken, watch_it, DYNALOCK_OK, is_seen, 3100, NONE, NONE },
    { "list", alone, list_all, DYNALOCK_OK, is_listed, 15000, NONE, NONE },
    { "call", hold, put_once, DYNALOCK_OK, is_answered, 15000,
        DYNALOCK_DISCONNECTED, DYNALOCK_NO_ANSWER },
    { "repeatable call", hold, put_repeatably, DYNALOCK_OK, is_answered, 15000,
        NONE, NONE },
    { "check a table", alone, check_table, DYNALOCK_OK, nothing_else, 15000,
        NONE, NONE },
    { "create a table", no_table, create_table, DYNALOCK_OK, is_made, 20000,
        NONE, NONE },
    { "acquire a group", alone, acquire_group, DYNALOCK_OK, are_held, 20000,
        NONE, DYNALOCK_LOST_EXPIRED },
    { "renew a group", hold_both, renew_group, DYNALOCK_OK, are_held, 15000,
        NONE, DYNALOCK_LOST_EXPIRED },
    { "release a group", hold_both, release_group, DYNALOCK_OK, are_released,
        15000, NONE, DYNALOCK_LOST_EXPIRED },
    { "acquire a permit", ready_semaphore, acquire_permit, DYNALOCK_OK,
        permit_is_held, 20000, NONE, NONE },
    { "write a fence's texts", hold, fence_texts, DYNALOCK_OK, nothing_else, 0,
        NONE, DYNALOCK_LOST_EXPIRED },
    { "save", hold, save, DYNALOCK_OK, nothing_else, 0, NONE,
        DYNALOCK_NOT_HELD },
    { "check", hold, check, GRANTED, 0, NONE, DYNALOCK_LOST_EXPIRED },
    { "change data and lease", hold, change_all, DYNALOCK_OK, is_shorter, 200,
        NONE, DYNALOCK_LOST_EXPIRED },
    { "run a scope", alone, in_scope, DYNALOCK_OK, is_released, 30000, NONE,
        DYNALOCK_LOST_EXPIRED },
    { "init", alone, init_again, DYNALOCK_OK, nothing_else, 0, NONE, NONE },
    { "acquire by a role of EC2", from_ec2, acquire_once, GRANTED, 15000, NONE,
        DYNALOCK_LOST_EXPIRED },
    { "acquire by a container's", from_container, acquire_once, GRANTED, 15000,
        NONE, DYNALOCK_LOST_EXPIRED },
    { "acquire by AWS IoT", from_iot, acquire_once, GRANTED, 15000, NONE,
        DYNALOCK_LOST_EXPIRED },
};

static int may_be(const scenario *s, enum fault_class of, dynalock_outcome rc)
{
    if (rc == s->expected) return 1;
    switch (of) {
    case CLASS_NETWORK: return rc == s->unlucky;
    case CLASS_PAUSE: return rc == s->late;
    case CLASS_CLOCK:
        return rc == DYNALOCK_CLOCK_UNSET || rc == DYNALOCK_CLOCK_SKEW ||
               (transport != NULL && rc == DYNALOCK_TLS_DATE);
    case CLASS_ENTROPY: return rc == DYNALOCK_NO_ENTROPY;
    case CLASS_GIVE_UP:
        return rc == DYNALOCK_CANCELLED || rc == DYNALOCK_UNKNOWN;
    default: return 0;
    }
}

static void check_locks(void)
{
    check_lock(&lock);
    check_lock(&other);
}

/* ---- afterwards ---- */

static void check_memory(const void *data, size_t size)
{
    const char *at = (const char *)data;
    size_t i;

    for (i = 0; i + 4 <= size; i++) assert_memory_not_equal(at + i, "hush", 4);
}

/* What is under way is settled; then all works as ever. */
static void check_usable(void)
{
    int i;

    for (i = 0; i < 60 && !closed; i++) {
        world_run(&w, 1000);
        check_locks();
    }
    if (closed && w.config.credentials == &w.credentials) start_locks();
    (void)dynalock_release_all(&w.client, 1000);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 60000), DYNALOCK_OK);
    assert_true(is_held());
    check_locks();
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_true(is_released());
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(hooks.inside, 0);
    assert_true(hooks.connection == CLOSED);
    check_memory(&w.client, sizeof w.client);
    check_memory(&provider, sizeof provider);
    check_memory(memory, sizeof memory);
}

static char under_way[128]; /* the fault that is tried, for who reads */

/* Returns whether there was a call to fail. */
static int try_fault(const scenario *s, const hook_fault *fault, long n)
{
    dynalock_outcome rc;
    uint64_t latest;

    (void)snprintf(under_way, sizeof under_way, "%s: %s at call %ld", s->name,
        fault->name, n);
    begin();
    s->ready();
    latest = w.now + s->longest_ms;
    if (fault->of == CLASS_PAUSE) latest += (uint64_t)fault->value;
    hooks_plan(fault, n);
    rc = s->act();
    hooks.fault = NULL;
    CHECK(may_be(s, fault->of, rc), "it ends in %d", (int)rc);
    assert_true(w.now <= latest);
    if (hooks.calls[fault->hook] < n) return 0;
    if (rc == s->expected && fault->of != CLASS_PAUSE) assert_true(s->is_so());
    if (!closed) check_locks();
    check_usable();
    return 1;
}

/* Every fault at every call in these scenarios; returns how many there were. */
static long try_all(const scenario *of, size_t count)
{
    size_t i, j;
    long n, all = 0;

    for (i = 0; i < count; i++)
        for (j = 0; j < COUNT(hook_faults); j++) {
            for (n = 1; try_fault(&of[i], &hook_faults[j], n); n++)
                assert_true(n < 2000);
            all += n - 1;
        }
    under_way[0] = '\0';
    return all;
}

static int tell(void **state)
{
    (void)state;
    if (under_way[0] != '\0') print_error("%s\n", under_way);
    return 0;
}

static int by_blocking_calls(void **state)
{
    (void)state;
    stepping = 0;
    return 0;
}

DYNALOCK_MAYBE_UNUSED static int by_steps(void **state)
{
    (void)state;
    stepping = 1;
    return 0;
}

#endif
