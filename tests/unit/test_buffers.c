/*
Memory that callers give, of every size from the least one up: what the manual
says fits does, the next byte does not, and nothing is touched beyond (in memory
that ends where it should, which the sanitizers and valgrind watch). The sizes
that macros set are in tests/options.py.
*/
#define WORLD_ANSWER 40000
#include "support.h"
#include "world.h"

static world w;
static dynalock_lock lock;

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    world_ready(&w, &lock);
    return 0;
}

static void acquire(void)
{
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
}

/* All sizes for a while, then around powers of two. */
static size_t next_size(size_t size, size_t dense)
{
    size_t power = 1;

    if (size < dense) return size + 1;
    while (power + 1 <= size) power *= 2;
    return size < power - 1 ? power - 1 : size + 1;
}

/* ---- fences ---- */

typedef dynalock_outcome (*write_text)(const dynalock_client *client,
    const dynalock_lock *lock, char *buffer, size_t size);

static void check_text(write_text write, size_t most)
{
    char whole[2048];
    size_t size, needed;

    assert_int_equal(
        write(&w.client, &lock, whole, sizeof whole), DYNALOCK_OK);
    needed = strlen(whole) + 1;
    assert_true(needed <= most);
    assert_int_equal(write(&w.client, &lock, whole, 0), DYNALOCK_BAD_ARGUMENT);
    for (size = 1; size < needed + 300; size++) {
        char *buffer = exact(NULL, size);

        assert_int_equal(write(&w.client, &lock, buffer, size),
            size < needed ? DYNALOCK_BAD_BUFFER : DYNALOCK_OK);
        assert_string_equal(buffer, size < needed ? "" : whole);
        free(buffer);
    }
}

static void test_texts_of_a_fence(void **state)
{
    (void)state;
    acquire();
    check_text(dynalock_fence_clause, DYNALOCK_FENCE_CLAUSE_SIZE);
    check_text(dynalock_fence_condition, 450);
}

/* ---- answers ---- */

static char reply[20000];

static int answer_put(world *of, int damage)
{
    if (strcmp(of->last_operation, "PutItem") != 0) return 0;
    world_reply(of, 200, reply, damage);
    return 1;
}

static void make_reply(size_t size)
{
    memset(reply, 'x', size);
    memcpy(reply, "{\"Attributes\":{\"a\":{\"S\":\"", 25);
    memcpy(reply + size - 4, "\"}}}", 5);
}

static void check_capacity(size_t size, size_t capacity)
{
    dynalock_request request;
    char *answer = exact(NULL, capacity);

    memset(&request, 0, sizeof request);
    request.target = "PutItem";
    request.body = "{}";
    request.answer = answer;
    request.capacity = (uint32_t)capacity;
    assert_int_equal(dynalock_call(&w.client, &request),
        capacity < size ? DYNALOCK_BAD_BUFFER : DYNALOCK_OK);
    assert_int_equal(request.size, size);
    assert_memory_equal(answer, reply, capacity < size ? capacity : size);
    if (capacity > size) assert_int_equal(answer[size], '\0');
    free(answer);
}

static void test_answers_of_calls(void **state)
{
    size_t size, more;

    (void)state;
    w.other = answer_put;
    for (size = 30; size < 15000; size = next_size(size, 330)) {
        make_reply(size);
        assert_int_equal(strlen(reply), size);
        w.read_most = size % 7 == 0 ? 1 : size % 5 * 100;
        for (more = 0; more < 3; more++) check_capacity(size, size - 1 + more);
        check_capacity(size, 0);
        check_capacity(size, 1);
    }
}

/* ---- credentials ---- */

static struct {
    size_t token, role, key_token; /* sizes */
} served;

static void serve_ec2(world *of)
{
    char text[WORLD_ANSWER];
    size_t size;

    if (strncmp(of->request, "PUT ", 4) == 0) {
        size = served.token;
        memset(text, 't', size);
    } else if (strstr(of->request, "-credentials/ HTTP") != NULL) {
        size = served.role;
        memset(text, 'r', size);
    } else {
        size = (size_t)sprintf(text,
            "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Expiration\":"
            "\"2023-11-15T04:13:20Z\",\"Token\":\"");
        memset(text + size, 'k', served.key_token);
        size += served.key_token;
        size += (size_t)sprintf(text + size, "\"}");
    }
    text[size] = '\0';
    of->answer_size = (size_t)snprintf(of->answer, sizeof of->answer,
        "HTTP/1.1 200 X\r\nContent-Length: %u\r\n\r\n%s", (unsigned)size,
        text);
    of->answer_at = 0;
    of->answer_from = of->now;
}

/* One fetch of these sizes with memory of that size. */
static dynalock_outcome fetch(
    size_t memory_size, size_t token, size_t role, size_t key_token)
{
    dynalock_provider provider;
    dynalock_ec2 ec2;
    dynalock_outcome rc;
    char *memory = exact(NULL, memory_size);

    served.token = token;
    served.role = role;
    served.key_token = key_token;
    memset(&ec2, 0, sizeof ec2);
    w.serve_other = serve_ec2;
    rc = dynalock_provider_init(
        &provider, dynalock_source_ec2(), &ec2, memory, memory_size);
    assert_int_equal(rc, DYNALOCK_OK);
    w.config.credentials = &provider.credentials;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    rc = dynalock_acquire(&w.client, &lock, 0);
    if (rc == DYNALOCK_OK) {
        assert_int_equal(strlen(provider.credentials.token), key_token);
        assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    }
    (void)dynalock_client_close(&w.client, 0);
    w.connected = 0;
    free(memory);
    return rc;
}

static void test_memory_of_a_provider_has_limits(void **state)
{
    dynalock_provider provider;
    char *memory;
    size_t size;

    (void)state;
    for (size = 0; size < 1024; size++) {
        memory = exact(NULL, size);
        assert_int_equal(dynalock_provider_init(&provider,
                             dynalock_source_ec2(), NULL, memory, size),
            DYNALOCK_BAD_BUFFER);
        free(memory);
    }
    memory = exact(NULL, 131073);
    assert_int_equal(dynalock_provider_init(&provider, dynalock_source_ec2(),
                         NULL, memory, 131073),
        DYNALOCK_BAD_BUFFER);
    free(memory);
}

/* Half of it has room for the answer, names included; the longest token that
   fits grows by one with every second byte. */
static void test_memory_of_a_provider(void **state)
{
    size_t size, most = 1, around = 0;

    (void)state;
    for (size = 1024; size <= 16385; size = next_size(size, 1330)) {
        size_t before = most;

        if (size > 1024) most = size / 2 - around; /* or one more */
        while (fetch(size, 9, 6, most + 1) == DYNALOCK_OK) most++;
        assert_true(most + 200 > size / 2 && most < size / 2);
        around = size / 2 - most;
        if (size > 1024 && size < 1330) assert_in_range(most - before, 0, 1);
        assert_int_equal(fetch(size, 9, 6, most + 1), DYNALOCK_BAD_BUFFER);
        assert_int_equal(fetch(size, 9, 6, 2 * size), DYNALOCK_BAD_BUFFER);
    }
    assert_int_equal(fetch(131072, 9, 6, 7000), DYNALOCK_OK);
}

static void test_texts_of_ec2(void **state)
{
    const size_t token = sizeof(((dynalock_ec2 *)0)->token) - 1;
    const size_t role = sizeof(((dynalock_ec2 *)0)->found) - 1;
    size_t size;

    (void)state;
    for (size = 1; size < token + 300; size++)
        assert_int_equal(fetch(2048, size, 6, 20),
            size <= token ? DYNALOCK_OK : DYNALOCK_BAD_BUFFER);
    for (size = 1; size < role + 300; size++)
        assert_int_equal(fetch(2048, 9, size, 20),
            size <= role ? DYNALOCK_OK : DYNALOCK_BAD_BUFFER);
}

/* ---- names ---- */

static char name[5000];

static const char *name_of(size_t size)
{
    memset(name, 'n', size);
    name[size] = '\0';
    return name;
}

/* The request says it, whatever the window holds of it at a time. */
static void check_key(size_t size, size_t most, int is_sort_key)
{
    dynalock_lock_options options;
    dynalock_outcome rc;

    memset(&options, 0, sizeof options);
    options.key = is_sort_key ? "k" : name_of(size);
    if (is_sort_key) options.sort_key = name_of(size);
    rc = dynalock_lock_init(&lock, &options);
    assert_int_equal(rc, size <= most ? DYNALOCK_OK : DYNALOCK_BAD_KEY);
    if (rc != DYNALOCK_OK) return;
    memset(&w.item, 0, sizeof w.item);
    w.write_most = size % 3 * 50;
    acquire();
    assert_non_null(world_find(&w, name));
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
}

static void test_keys(void **state)
{
    size_t size;

    (void)state;
    w.config.sort_key_name = "part";
    for (size = 1; size < 2400; size = next_size(size, 300)) {
        w.config.sort_key_name = NULL;
        world_ready(&w, &lock);
        check_key(size, 2048, 0);
        (void)dynalock_client_close(&w.client, 0);
        w.config.sort_key_name = "part";
        world_ready(&w, &lock);
        check_key(size, 1024, 1);
        (void)dynalock_client_close(&w.client, 0);
    }
}

static void test_names_of_tables(void **state)
{
    size_t size;

    (void)state;
    for (size = 0; size < 600; size++) {
        dynalock_config config = w.config;
        dynalock_outcome rc;

        config.table = name_of(size);
        rc = dynalock_client_init(&w.client, &config);
        assert_int_equal(
            rc, size >= 3 && size <= 255 ? DYNALOCK_OK : DYNALOCK_BAD_TABLE);
        if (rc != DYNALOCK_OK) continue;
        world_lock(&lock, "k");
        acquire();
        assert_non_null(world_find(&w, name));
        assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    }
}

static void test_keys_of_permits(void **state)
{
    dynalock_semaphore semaphore;
    dynalock_permit permits[11];
    dynalock_lock_options options;
    size_t size;

    (void)state;
    memset(&options, 0, sizeof options);
    options.key = name;
    for (size = 1; size < DYNALOCK_PERMIT_KEY_SIZE + 300; size++) {
        (void)name_of(size); /* and "/10" */
        assert_int_equal(
            dynalock_semaphore_init(&semaphore, permits, 11, &options),
            size + 3 < DYNALOCK_PERMIT_KEY_SIZE ? DYNALOCK_OK
                                                : DYNALOCK_BAD_KEY);
        assert_int_equal(
            dynalock_semaphore_init(&semaphore, permits, 10, &options),
            size + 2 < DYNALOCK_PERMIT_KEY_SIZE ? DYNALOCK_OK
                                                : DYNALOCK_BAD_KEY);
    }
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(texts_of_a_fence),
        TEST(answers_of_calls),
        TEST(memory_of_a_provider_has_limits),
        TEST(memory_of_a_provider),
        TEST(texts_of_ec2),
        TEST(keys),
        TEST(names_of_tables),
        TEST(keys_of_permits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
