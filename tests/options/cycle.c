/*
What a client does in its life, with the options that this file is compiled
with: at each of their limits and just beyond, in pieces of several sizes. The
exit status is 0 if all is as the manual's table of options says.

    cycle [FILE]    certificates are written to FILE, for the POSIX port
*/
#define WORLD_ANSWER 200000
#ifdef DYNALOCK_NO_TLS
#include "../unit/world.h"
#else
#include "../unit/tls_server.h"
#endif

#define LEASE_MS 10000

static world w;
static dynalock_lock lock;
static dynalock_record record;
static char answer[150000]; /* the service's, when a test gives it */
static int levels[6];       /* of what was logged: how often */
static const dynalock_name place = { "k", NULL, NULL };

/* ---- the world ---- */

static void count_log(void *context, dynalock_log_id id, const char *text)
{
    (void)context;
    assert_non_null(text);
    assert_in_range(id, 100, 499);
    levels[(int)id / 100]++;
}

static const char *scan_answer(world *of)
{
    (void)of;
    return answer;
}

static void set_up(size_t read_most, size_t write_most)
{
    world_begin(&w);
#ifndef DYNALOCK_NO_TLS
    tls_world(&w, &w.platform);
#endif
    w.platform.log = count_log;
    w.read_most = read_most;
    w.write_most = write_most;
    w.scan = scan_answer;
}

static void start(void)
{
    world_ready(&w, &lock);
    w.locks[0] = NULL;
}

static void stop(void)
{
    assert_int_equal(dynalock_client_close(&w.client, 1000), DYNALOCK_OK);
    assert_int_equal(w.opens, w.closes);
}

/* A text of so many bytes, that each take two in JSON. */
static void quotes(char *out, size_t size)
{
    memset(out, '"', size);
    out[size] = '\0';
}

/* ---- the lock ---- */

/* DYNALOCK_CLOCK_STEP_MS: of 10 s, 1 % is the margin. */
static void check_remaining(void)
{
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock),
        LEASE_MS - 100 - DYNALOCK_CLOCK_STEP_MS);
}

static void check_cycle(void)
{
    dynalock_blob blob;

    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    check_remaining();
    assert_int_equal(dynalock_save(&w.client, &lock, &blob), DYNALOCK_OK);
    world_run(&w, 2 * LEASE_MS);
    assert_true(dynalock_remaining_ms(&w.client, &lock) > 0);
    assert_int_equal(dynalock_set_data(&lock, "0123456789", 10), DYNALOCK_OK);
    assert_int_equal(dynalock_renew(&w.client, &lock), DYNALOCK_OK);
    check_remaining();
    assert_non_null(world_find(&w, "{\"B\":\"MDEyMzQ1Njc4OQ==\"}"));
    assert_int_equal(dynalock_read(&w.client, &place, &record), DYNALOCK_OK);
    assert_int_equal(record.status, DYNALOCK_LOCKED);
    assert_string_equal(record.owner, w.client.config.owner);
    assert_true(record.fence == dynalock_fence(&lock));
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(w.item.released, 1);
    assert_int_equal(dynalock_restore(&w.client, &lock, &blob), DYNALOCK_OK);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
}

static void check_takeover(void)
{
    world_hold(&w, "strange-1", "3000");
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    assert_string_equal(w.client.detail.holder, "other");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 9000), DYNALOCK_OK);
}

/* ---- DYNALOCK_OWNER_SIZE, _RVN_SIZE, _DATA_SIZE ---- */

/* A lock whose owner, version number and data have these sizes, all of them of
   bytes that JSON makes two of, where it can. */
static void give_item(size_t owner, size_t rvn, size_t data)
{
    static char text[WORLD_TEXT];
    static uint8_t bytes[33000];
    dl_span span;
    dl_sink *sink = dl_span_open(&span, answer, sizeof answer, 0);

    dl_put_text(sink, "{\"key\":{\"S\":\"k\"},\"data\":{\"B\":\"");
    memset(bytes, 0xa5, data);
    dl_put_base64(sink, bytes, data);
    dl_put_text(sink, "\"},\"leaseDuration\":{\"S\":\"10000\"},"
                      "\"fence\":{\"N\":\"1699999999999\"},"
                      "\"ownerName\":{\"S\":\"");
    quotes(text, owner);
    dl_put_contents(sink, text);
    dl_put_text(sink, "\"},\"recordVersionNumber\":{\"S\":\"");
    quotes(text, rvn);
    dl_put_contents(sink, text);
    dl_put_text(sink, "\"}}");
    answer[span.used] = '\0';
}

static int serve_item(world *of, int damage)
{
    static char body[sizeof answer + 16];

    if (strcmp(of->last_operation, "GetItem") != 0) return 0;
    (void)snprintf(body, sizeof body, "{\"Item\":%s}", answer);
    world_reply(of, 200, body, damage);
    return 1;
}

static void look(size_t owner, size_t rvn, size_t data)
{
    give_item(owner, rvn, data);
    w.other = serve_item;
    assert_int_equal(dynalock_read(&w.client, &place, &record), DYNALOCK_OK);
    w.other = NULL;
}

/* The most of all three at once, and one more of each. */
static void check_items(void)
{
    static char text[WORLD_TEXT];
    const size_t owner = DYNALOCK_OWNER_SIZE - 1, rvn = DYNALOCK_RVN_SIZE - 1,
                 data = DYNALOCK_DATA_SIZE;
    uint32_t size, i;
    const uint8_t *bytes;

    look(owner, rvn, data);
    assert_int_equal(record.status, DYNALOCK_LOCKED);
    quotes(text, owner);
    assert_string_equal(record.owner, text);
    quotes(text, rvn);
    assert_string_equal(record.rvn, text);
    bytes = dynalock_data(&record, &size);
    assert_int_equal(size, data);
    for (i = 0; i < size; i++) assert_int_equal(bytes[i], 0xa5);

    look(owner + 1, rvn, data);
    assert_int_equal(record.status, DYNALOCK_FOREIGN);
    look(owner, rvn + 1, data);
    assert_int_equal(record.status, DYNALOCK_FOREIGN);
    look(owner, rvn, data + 1);
    assert_int_equal(record.status, DYNALOCK_LOCKED);
    (void)dynalock_data(&record, &size);
    assert_int_equal(size, DYNALOCK_TOO_LONG);
}

/* ---- the config's texts ---- */

static dynalock_outcome init_with(const char *owner, const char *endpoint)
{
    static dynalock_client client;
    dynalock_config config = w.config;

    config.owner = owner;
    config.endpoint = endpoint;
    return dynalock_client_init(&client, &config);
}

static void check_texts(void)
{
    static char owner[DYNALOCK_OWNER_SIZE + 1];
    static char endpoint[DYNALOCK_HOST_SIZE + 20];
    const char *scheme = w.config.tls != NULL ? "https://" : "http://";
    size_t at = strlen(scheme);

    memset(owner, 'o', DYNALOCK_OWNER_SIZE);
    assert_int_equal(init_with(owner, w.config.endpoint), DYNALOCK_BAD_OWNER);
    owner[DYNALOCK_OWNER_SIZE - 1] = '\0';
    assert_int_equal(init_with(owner, w.config.endpoint), DYNALOCK_OK);

    memcpy(endpoint, scheme, at);
    memset(endpoint + at, 'h', DYNALOCK_HOST_SIZE);
    (void)strcpy(endpoint + at + DYNALOCK_HOST_SIZE, ":8000");
    assert_int_equal(init_with("me", endpoint), DYNALOCK_BAD_ENDPOINT);
    (void)strcpy(endpoint + at + DYNALOCK_HOST_SIZE - 1, ":8000");
    assert_int_equal(init_with("me", endpoint), DYNALOCK_OK);
}

/* The longest owner's lock, from its first request to the last. */
static void check_owner(void)
{
    static char owner[DYNALOCK_OWNER_SIZE];
    dynalock_record *seen = &record;

    memset(owner, 'o', sizeof owner - 1);
    w.config.owner = owner;
    start();
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_read(&w.client, &place, seen), DYNALOCK_OK);
    assert_string_equal(seen->owner, owner);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    stop();
}

/* ---- DYNALOCK_CURSOR_SIZE ---- */

/* Two pages; the first ends at a key whose JSON has so many bytes. */
static const char *two_pages(world *of)
{
    dl_span span;
    dl_sink *sink = dl_span_open(&span, answer + 40000, 50000, 0);

    if (strstr(of->last_body, "\"ExclusiveStartKey\"") != NULL) {
        assert_non_null(strstr(of->last_body, answer));
        return "{\"Items\":[{\"key\":{\"S\":\"k\"}}]}";
    }
    dl_put_text(sink, "{\"LastEvaluatedKey\":");
    dl_put_text(sink, answer);
    dl_put_text(sink, ",\"Items\":[]}");
    answer[40000 + span.used] = '\0';
    return answer + 40000;
}

static int take_listed(void *context, const dynalock_listed *item)
{
    (void)context;
    (void)item;
    return 0;
}

static void check_list(void)
{
    static dynalock_listing listing;
    size_t most = DYNALOCK_CURSOR_SIZE / 2, longest = 2048 + 16;
    char *at = answer;

    if (most > longest) most = longest;
    memset(at, 'x', most);
    memcpy(at, "{\"key\":{\"S\":\"", 13);
    (void)strcpy(at + most - 3, "\"}}");
    w.scan = two_pages;
    memset(&listing, 0, sizeof listing);
    listing.each = take_listed;
    assert_int_equal(dynalock_list(&w.client, NULL, &listing), DYNALOCK_OK);
    assert_int_equal(listing.count, 1);
}

/* ---- the port ---- */

#if defined(DYNALOCK_POSIX) && !defined(DYNALOCK_NO_TLS)

static void put_certificates(const char *path, int count)
{
    char text[1024];
    dl_span span;
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    dl_put_base64(dl_span_open(&span, text, sizeof text, 0), tls_certificate,
        sizeof tls_certificate);
    while (count-- != 0)
        (void)fprintf(file,
            "-----BEGIN CERTIFICATE-----\n%.*s\n-----END CERTIFICATE-----\n",
            (int)span.used, text);
    assert_int_equal(fclose(file), 0);
}

/* A certificate takes its name and its key of these bytes. */
#define ANCHOR_SIZE (sizeof tls_name + sizeof tls_public_key)

static void check_port(const char *path)
{
    static dynalock_posix posix;
    static dynalock_platform platform;
    static dynalock_anchors anchors;
    size_t most = DYNALOCK_ANCHOR_BYTES / ANCHOR_SIZE;

    dynalock_posix_platform(&posix, &platform);
    assert_true(platform.monotonic_ms(platform.context) > 0);
    if (most > DYNALOCK_ANCHORS) most = DYNALOCK_ANCHORS;
    put_certificates(path, (int)most);
    assert_int_equal(dynalock_posix_anchors(&anchors, path), DYNALOCK_OK);
    assert_int_equal(anchors.count, most);
    put_certificates(path, 1);
    assert_int_equal(
        dynalock_posix_anchors(&anchors, path), DYNALOCK_BAD_BUFFER);
}

#elif defined(DYNALOCK_POSIX)

static void check_port(const char *path)
{
    static dynalock_posix posix;
    static dynalock_platform platform;

    (void)path;
    dynalock_posix_platform(&posix, &platform);
    assert_true(platform.monotonic_ms(platform.context) > 0);
}

#else

static void check_port(const char *path)
{
    (void)path;
}

#endif

#if defined(DYNALOCK_NO_TLS) || defined(DYNALOCK_NO_AMAZON)
static void check_roots(void)
{
}
#else
static void check_roots(void)
{
    br_x509_trust_anchor roots[DYNALOCK_AMAZON_ANCHORS];

    assert_int_equal(dynalock_amazon_anchors(roots), DYNALOCK_AMAZON_ANCHORS);
}
#endif

/* DYNALOCK_LOG: a grant is news, a request detail. */
static void check_log(void)
{
    assert_int_equal(levels[3] > 0, DYNALOCK_LOG >= 3);
    assert_int_equal(levels[4] > 0, DYNALOCK_LOG >= 4);
    if (DYNALOCK_LOG < 1) assert_int_equal(levels[1], 0);
    if (DYNALOCK_LOG < 2) assert_int_equal(levels[2], 0);
}

static void live(size_t read_most, size_t write_most)
{
    set_up(read_most, write_most);
    start();
    check_cycle();
    check_takeover();
    check_items();
    check_list();
    stop();
    check_owner();
    check_texts();
}

static const char *path;

static void test_a_life(void **state)
{
    static const size_t pieces[][2] = { { 0, 0 }, { 1, 1 }, { 3, 7 },
        { 64, 0 } };
    size_t i;

    (void)state;
    for (i = 0; i < DL_COUNT(pieces); i++) live(pieces[i][0], pieces[i][1]);
    check_log();
    check_roots();
    if (path != NULL) check_port(path);
}

int main(int count, char **arguments)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_life),
    };

    path = count > 1 ? arguments[1] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
