/*
A connection that is cut after every byte of a request and of an answer.

    tests/harness.py --server dynoxide|dynalite -- build/conformance/cuts

For each of acquire, renew, release and read: the device's connection runs over
a wire of tests/proxy.py that ends, on both sides, after so many bytes, by an
orderly end and by a reset in turn. A device that sends finds the network full
at that very byte, so that it is cut in the middle of its request and not
behind it. It has one attempt: what the call says is about that cut.

After each cut the promises hold: nothing was granted that is not had, the
outcome says what is true, an unknown one is settled by later polls, and the
lock can be renewed, given back or taken by the next call.

Under TLS the cuts are at the ends of the records, in them and around them; the
bytes counted are those of the wire, the handshake's too.
*/

#include "support.h"

#define LEASE_MS 2000
#define LEAST_REQUEST 400 /* bytes of any request: fewer cuts prove nothing */
#define LEAST_ANSWER 100
#define RECORD_HEAD 5
#define MOST_RECORDS 32
#define MOST_OFFSETS 512
#define TLS_STRIDE 23 /* between the cuts that are not at a record's ends */

#define TO_SERVER 0
#define TO_CLIENT 1
static const char *const way_names[] = { "to-server", "to-client" };

/* ---- the wire, seen from the device ---- */

/* What has passed one way since a call began, and where its TLS records
   ended. */
typedef struct traffic {
    size_t bytes;
    size_t record_ends[MOST_RECORDS];
    size_t records;
    unsigned char head[RECORD_HEAD];
    size_t head_size;
    size_t left; /* of the record under way */
} traffic;

static traffic passed[2];
static int has_closed; /* since the call began */
static int is_full; /* room is all that is taken, until the other side ends */
static size_t room;

static void count_record_byte(traffic *way, unsigned char byte)
{
    if (way->head_size < RECORD_HEAD) {
        way->head[way->head_size++] = byte;
        if (way->head_size < RECORD_HEAD) return;
        way->left = (size_t)way->head[3] << 8 | way->head[4];
    } else {
        way->left--;
    }
    if (way->left != 0) return;
    way->head_size = 0;
    if (way->records < MOST_RECORDS)
        way->record_ends[way->records++] = way->bytes;
}

static void count_bytes(traffic *way, const void *data, int32_t size)
{
    const unsigned char *at = (const unsigned char *)data;

    for (; size > 0; size--) {
        way->bytes++;
        count_record_byte(way, *at++);
    }
}

static int has_ended(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

static int32_t write_into_the_cut(void *context, const void *data, size_t size)
{
    int32_t n;

    if (is_full && !has_ended(a.posix.fd)) {
        if (room == 0) return 0;
        if (size > room) size = room;
    }
    n = a.healthy.write(context, data, size);
    if (n > 0 && is_full) room -= (size_t)n < room ? (size_t)n : room;
    count_bytes(&passed[TO_SERVER], data, n);
    return n;
}

static int32_t read_and_count(void *context, void *data, size_t size)
{
    int32_t n = a.healthy.read(context, data, size);

    count_bytes(&passed[TO_CLIENT], data, n);
    return n;
}

static void close_and_mend(void *context)
{
    is_full = 0;
    has_closed = 1;
    a.healthy.close(context);
}

/* A socket that takes nothing is not writable. */
static int32_t wait_for_the_cut(void *context, unsigned interest, uint32_t ms)
{
    if (is_full && room == 0) interest = DYNALOCK_READ;
    return a.healthy.wait(context, interest, ms);
}

static void start_cut(const char *url)
{
    prepare(&a, "a", url);
    a.config.lease_ms = LEASE_MS;
    a.config.attempts = 1;
    a.platform.write = write_into_the_cut;
    a.platform.read = read_and_count;
    a.platform.close = close_and_mend;
    a.platform.wait = wait_for_the_cut;
    is_full = 0;
    start(&a);
}

/* The next connection begins with a whole handshake. */
static void restart_cut(void)
{
    (void)shutdown(a.posix.fd, SHUT_RDWR); /* no goodbye that meets the cut */
    (void)dynalock_client_close(&a.client, 500);
    a.running = 0;
    start_cut(harness("WIRE_TLS"));
}

/* ---- what is cut ---- */

typedef struct cut_case {
    const char *key;
    int way;
    size_t offset;
    dynalock_lock *lock;  /* a's */
    dynalock_lock *other; /* b's */
} cut_case;

typedef struct cut_call {
    const char *name;
    void (*before)(const cut_case *at);
    dynalock_outcome (*call)(const cut_case *at);
    void (*after)(const cut_case *at, dynalock_outcome outcome, int was_cut);
} cut_call;

static uint64_t highest; /* fence granted so far, on any key */
static int ghosts;       /* of requests that reached the server late */

static void fail_at(const cut_case *at, const char *what, dynalock_outcome rc)
{
    fail_msg("%s, cut after %u bytes %s: %s (%d, %s)", at->key,
        (unsigned)at->offset, way_names[at->way], what, (int)rc,
        dynalock_explain(rc));
}

static void expect(const cut_case *at, const char *what, dynalock_outcome got,
    dynalock_outcome expected)
{
    if (got != expected) fail_at(at, what, got);
}

static void expect_granted(
    const cut_case *at, const device *d, const dynalock_lock *lock)
{
    if (remaining(d, lock) == 0) fail_at(at, "no time left", DYNALOCK_OK);
    if (dynalock_fence(lock) <= highest)
        fail_at(at, "the fence did not rise", DYNALOCK_OK);
    highest = dynalock_fence(lock);
}

/* The other device takes the lock, at once, and gives it back. */
static void expect_free(const cut_case *at)
{
    dynalock_outcome rc = dynalock_acquire(&b.client, at->other, 0);

    if (remaining(&a, at->lock) != 0) fail_at(at, "two holders", rc);
    if (rc == DYNALOCK_BUSY) {
        ghosts++;
        rc = dynalock_acquire(&b.client, at->other, 3 * LEASE_MS);
    }
    expect(at, "the other's acquire", rc, DYNALOCK_OK);
    expect_granted(at, &b, at->other);
    expect(at, "the other's release", dynalock_release(&b.client, at->other),
        DYNALOCK_OK);
}

/* The device's next acquire, under a version number of its own, shows that the
   lock is free, too: sometimes is enough. */
static int is_checked_by_the_other(const cut_case *at)
{
    return at->offset % 4 == 0;
}

/* In a handshake nothing was sent, and nothing can be unknown. */
static int is_cut_outcome(dynalock_outcome rc)
{
    return rc == DYNALOCK_DISCONNECTED ||
           (a.config.tls != NULL && rc == DYNALOCK_TLS_NO_HANDSHAKE);
}

static void expect_cut(const cut_case *at, dynalock_outcome rc)
{
    if (!is_cut_outcome(rc)) fail_at(at, "not the outcome of a cut", rc);
}

/* A write that is cut is unknown; later polls take it back, and then the
   outcome is the cut's. */
static void expect_settled(const cut_case *at, dynalock_outcome rc)
{
    if (remaining(&a, at->lock) != 0) fail_at(at, "granted", rc);

    if (rc == DYNALOCK_UNKNOWN) rc = run_while(&at->lock->operation, rc);
    expect_cut(at, rc);
    if (remaining(&a, at->lock) != 0) fail_at(at, "granted", rc);
}

/* ---- acquire ---- */

static void before_nothing(const cut_case *at)
{
    (void)at;
}

static void before_held(const cut_case *at)
{
    expect(
        at, "acquire", dynalock_acquire(&a.client, at->lock, 0), DYNALOCK_OK);
    expect_granted(at, &a, at->lock);
}

static void before_busy(const cut_case *at)
{
    expect(at, "the other's acquire",
        dynalock_acquire(&b.client, at->other, 0), DYNALOCK_OK);
    expect_granted(at, &b, at->other);
}

static dynalock_outcome cut_acquire(const cut_case *at)
{
    return dynalock_acquire(&a.client, at->lock, 0);
}

static void after_acquire(const cut_case *at, dynalock_outcome rc, int was_cut)
{
    if (was_cut && rc != DYNALOCK_OK) {
        if (a.config.tls == NULL)
            expect(at, "the cut call", rc, DYNALOCK_UNKNOWN);
        expect_settled(at, rc);
    } else {
        expect(at, "acquire", rc, DYNALOCK_OK);
        expect_granted(at, &a, at->lock);
        expect(
            at, "release", dynalock_release(&a.client, at->lock), DYNALOCK_OK);
    }
    if (is_checked_by_the_other(at)) {
        expect_free(at);
        return;
    }
    (void)look(&b, at->key);
    if (record.status == DYNALOCK_LOCKED) expect_free(at); /* a ghost? */
}

/* dynalite sends no item with a refusal: the write is answered then, and what
   is cut may be the look behind it. */
static int is_always_unknown(void)
{
    return a.config.tls == NULL && strcmp(harness("SERVER"), "dynalite") != 0;
}

static void after_busy(const cut_case *at, dynalock_outcome rc, int was_cut)
{
    if (was_cut && rc != DYNALOCK_BUSY) {
        if (is_always_unknown())
            expect(at, "the cut call", rc, DYNALOCK_UNKNOWN);
        expect_settled(at, rc);
    } else {
        expect(at, "acquire", rc, DYNALOCK_BUSY);
    }
    if (remaining(&b, at->other) == 0) fail_at(at, "b has lost it", rc);
    expect(at, "the holder's release", dynalock_release(&b.client, at->other),
        DYNALOCK_OK);
}

/* ---- renew ---- */

static dynalock_outcome cut_renew(const cut_case *at)
{
    return dynalock_renew(&a.client, at->lock);
}

static void after_renew(const cut_case *at, dynalock_outcome rc, int was_cut)
{
    if (was_cut && rc != DYNALOCK_OK) expect_cut(at, rc);
    else expect(at, "renew", rc, DYNALOCK_OK);
    if (remaining(&a, at->lock) == 0) fail_at(at, "not held", rc);
    if (is_checked_by_the_other(at))
        expect(at, "the other's acquire",
            dynalock_acquire(&b.client, at->other, 0), DYNALOCK_BUSY);
    if (at->offset % 2 == 0) /* or it is given back as it is */
        expect(at, "the next renewal", dynalock_renew(&a.client, at->lock),
            DYNALOCK_OK);
    expect(at, "release", dynalock_release(&a.client, at->lock), DYNALOCK_OK);
    if (is_checked_by_the_other(at)) expect_free(at);
}

/* ---- release ---- */

static dynalock_outcome cut_release(const cut_case *at)
{
    return dynalock_release(&a.client, at->lock);
}

/* It is tried again until its deadline. */
static void after_release(const cut_case *at, dynalock_outcome rc, int was_cut)
{
    (void)was_cut;
    expect(at, "release", rc, DYNALOCK_OK);
    if (remaining(&a, at->lock) != 0) fail_at(at, "still held", rc);
    expect(
        at, "renew", dynalock_renew(&a.client, at->lock), DYNALOCK_NOT_HELD);
    if (is_checked_by_the_other(at)) expect_free(at);
}

/* ---- read ---- */

static dynalock_outcome cut_read(const cut_case *at)
{
    dynalock_name name;

    memset(&name, 0, sizeof name);
    name.key = at->key;
    return dynalock_read(&a.client, &name, &record);
}

static void after_read(const cut_case *at, dynalock_outcome rc, int was_cut)
{
    if (was_cut && rc != DYNALOCK_OK) {
        expect_cut(at, rc);
        rc = cut_read(at);
    }
    expect(at, "read", rc, DYNALOCK_OK);
    assert_int_equal(record.status, DYNALOCK_LOCKED);
    assert_string_equal(record.owner, "b");
}

static const cut_call acquire_free = { "acquire", before_nothing, cut_acquire,
    after_acquire };
static const cut_call acquire_busy = { "acquire, busy", before_busy,
    cut_acquire, after_busy };
static const cut_call renew = { "renew", before_held, cut_renew, after_renew };
static const cut_call release_held = { "release", before_held, cut_release,
    after_release };
static const cut_call read_held = { "read", before_nothing, cut_read,
    after_read };

/* ---- one cut ---- */

static void begin_traffic(void)
{
    memset(passed, 0, sizeof passed);
    has_closed = 0;
}

/* The cut behind the last byte of an answer is an idle connection's end. The
   next call must not run into it. */
static void await_the_end(const cut_case *at)
{
    struct pollfd pfd;

    if (has_closed || at->way != TO_CLIENT ||
        passed[TO_CLIENT].bytes != at->offset)
        return;
    pfd.fd = a.posix.fd;
    pfd.events = POLLIN;
    assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
}

/* Returns whether the cut came before the call had ended. */
static int cut_once(const cut_call *call, const cut_case *at)
{
    dynalock_outcome rc;
    unsigned long cuts;
    int was_cut;

    call->before(at);
    cuts = counter("cuts");
    proxy("wire %s %u %s", way_names[at->way], (unsigned)at->offset,
        at->offset % 2 == 0 ? "end" : "reset");
    begin_traffic();
    is_full = at->way == TO_SERVER;
    room = at->offset != 0 ? at->offset : 1; /* a byte shows there is one */
    rc = call->call(at);
    is_full = 0;
    await_the_end(at);
    was_cut = counter("cuts") != cuts;
    if (!was_cut) proxy("clear");
    call->after(at, rc, was_cut);
    return was_cut;
}

static void begin(cut_case *at, const char *key, int way)
{
    memset(at, 0, sizeof *at);
    at->key = key;
    at->way = way;
    at->lock = lock_named(key);
    at->other = lock_named(key);
    start_plain(&b, "b");
    ghosts = 0;
}

/* What a read finds. */
static void put_the_others(const cut_call *call, const cut_case *at)
{
    if (call != &read_held) return;
    b.running = 1;
    assert_ok(dynalock_acquire(&b.client, at->other, 0));
}

/* ---- every byte, plain ---- */

/* The last cut falls behind the last byte, and is none. */
static void cut_every_byte(const cut_call *call, const char *key, int way)
{
    cut_case at;

    begin(&at, key, way);
    start_cut(harness("WIRE"));
    put_the_others(call, &at);
    while (cut_once(call, &at)) at.offset++;
    assert_at_least(
        at.offset, way == TO_SERVER ? LEAST_REQUEST : LEAST_ANSWER);
    /* what has wholly left before the cut may arrive after it was taken back,
       and is then nobody's until its lease has run out */
    assert_at_most(ghosts, way == TO_SERVER ? 1 : 0);
    print_message("%s: %u bytes %s, each cut\n", call->name,
        (unsigned)at.offset - 1, way_names[way]);
}

#define EVERY_BYTE(test, call, way)                                           \
    static void test(void **state)                                            \
    {                                                                         \
        (void)state;                                                          \
        cut_every_byte(&(call), __func__, way);                               \
    }

EVERY_BYTE(an_acquire_may_be_cut_anywhere, acquire_free, TO_SERVER)
EVERY_BYTE(
    the_answer_to_an_acquire_may_be_cut_anywhere, acquire_free, TO_CLIENT)
EVERY_BYTE(
    the_answer_of_a_busy_lock_may_be_cut_anywhere, acquire_busy, TO_CLIENT)
EVERY_BYTE(a_renewal_may_be_cut_anywhere, renew, TO_SERVER)
EVERY_BYTE(the_answer_to_a_renewal_may_be_cut_anywhere, renew, TO_CLIENT)
EVERY_BYTE(a_release_may_be_cut_anywhere, release_held, TO_SERVER)
EVERY_BYTE(
    the_answer_to_a_release_may_be_cut_anywhere, release_held, TO_CLIENT)
EVERY_BYTE(a_read_may_be_cut_anywhere, read_held, TO_SERVER)
EVERY_BYTE(the_answer_to_a_read_may_be_cut_anywhere, read_held, TO_CLIENT)

/* ---- records, under TLS ---- */

static size_t add_offset(size_t *out, size_t n, size_t offset, size_t end)
{
    if (offset > end) return n;
    assert_true(n < MOST_OFFSETS);
    out[n] = offset;
    return n + 1;
}

/* At the ends of the records, beside them, behind their heads; and some. */
static size_t offsets_of(const traffic *way, size_t *out)
{
    size_t i, n = 0, offset;

    assert_true(way->records > 0 && way->records < MOST_RECORDS);

    for (i = 0; i < way->records; i++) {
        size_t end = way->record_ends[i];

        n = add_offset(out, n, end - 1, way->bytes);
        n = add_offset(out, n, end, way->bytes);
        n = add_offset(out, n, end + 1, way->bytes);
        n = add_offset(out, n, end + RECORD_HEAD, way->bytes);
    }
    for (offset = 0; offset < RECORD_HEAD + 1; offset++)
        n = add_offset(out, n, offset, way->bytes);
    for (offset = TLS_STRIDE; offset < way->bytes; offset += TLS_STRIDE)
        n = add_offset(out, n, offset, way->bytes);
    return n;
}

/* How a call looks on the wire that nobody cuts. */
static size_t measure(const cut_call *call, const cut_case *at, size_t *out)
{
    dynalock_outcome rc;
    size_t n;

    call->before(at);
    begin_traffic();
    rc = call->call(at);
    n = offsets_of(&passed[at->way], out);
    call->after(at, rc, 0);
    return n;
}

/* In a session that stands, or from its handshake on. */
static void cut_records(
    const cut_call *call, const char *key, int way, int from_handshake)
{
    size_t offsets[MOST_OFFSETS], count, i, cuts = 0;
    cut_case at;

    begin(&at, key, way);
    start_cut(harness("WIRE_TLS"));
    put_the_others(call, &at);
    if (!from_handshake) (void)look(&a, "nothing");
    count = measure(call, &at, offsets);
    for (i = 0; i < count; i++) {
        if (from_handshake) restart_cut();
        else (void)look(&a, "nothing");
        at.offset = offsets[i];
        cuts += (size_t)cut_once(call, &at);
    }
    /* a request or an answer is a record at least */
    assert_at_least(cuts, 8);
    /* a copy of a long request may differ by some bytes in length */
    assert_at_least(cuts + 2, count);
    print_message("%s: %u cuts %s%s\n", call->name, (unsigned)cuts,
        way_names[way], from_handshake ? ", handshake included" : "");
}

#define EVERY_RECORD(test, call, from_handshake)                              \
    static void test(void **state)                                            \
    {                                                                         \
        int way;                                                              \
                                                                              \
        (void)state;                                                          \
        for (way = TO_SERVER; way <= TO_CLIENT; way++) {                      \
            cut_records(&(call), __func__, way, from_handshake);              \
            (void)dynalock_client_close(&a.client, 500);                      \
            (void)dynalock_client_close(&b.client, 500);                      \
            a.running = b.running = 0;                                        \
            locks_used = 0;                                                   \
        }                                                                     \
    }

EVERY_RECORD(an_acquire_may_be_cut_in_any_record, acquire_free, 0)
EVERY_RECORD(a_refused_acquire_may_be_cut_in_any_record, acquire_busy, 0)
EVERY_RECORD(a_renewal_may_be_cut_in_any_record, renew, 0)
EVERY_RECORD(a_release_may_be_cut_in_any_record, release_held, 0)
EVERY_RECORD(a_read_may_be_cut_in_any_record, read_held, 0)
EVERY_RECORD(a_handshake_may_be_cut_under_an_acquire, acquire_free, 1)
EVERY_RECORD(a_handshake_may_be_cut_under_a_read, read_held, 1)

/* ---- all of them ---- */

#define CUT(test)                                                             \
    cmocka_unit_test_setup_teardown(test, before_each, after_each)

int main(int argc, char **argv)
{
    static const struct CMUnitTest cuts[] = {
        CUT(an_acquire_may_be_cut_anywhere),
        CUT(the_answer_to_an_acquire_may_be_cut_anywhere),
        CUT(the_answer_of_a_busy_lock_may_be_cut_anywhere),
        CUT(a_renewal_may_be_cut_anywhere),
        CUT(the_answer_to_a_renewal_may_be_cut_anywhere),
        CUT(a_release_may_be_cut_anywhere),
        CUT(the_answer_to_a_release_may_be_cut_anywhere),
        CUT(a_read_may_be_cut_anywhere),
        CUT(the_answer_to_a_read_may_be_cut_anywhere),

        CUT(an_acquire_may_be_cut_in_any_record),
        CUT(a_refused_acquire_may_be_cut_in_any_record),
        CUT(a_renewal_may_be_cut_in_any_record),
        CUT(a_release_may_be_cut_in_any_record),
        CUT(a_read_may_be_cut_in_any_record),
        CUT(a_handshake_may_be_cut_under_an_acquire),
        CUT(a_handshake_may_be_cut_under_a_read),
    };

    if (argc > 1) cmocka_set_test_filter(argv[1]); /* a name, * and ? */
    return cmocka_run_group_tests_name(
        harness("SERVER"), cuts, start_all, NULL);
}
