/*
Every fault of tests/proxy.py, in every call.

    tests/harness.py --server dynoxide|dynalite -- build/conformance/faults

A fault has an effect: what became of the request, and what the device can know
of it. A table says for each effect and each call how the call ends that meets
it once and has tries left, how one ends that meets nothing else, what later
polls make of that, and what stands on the table before and after them.
*/

#include "support.h"

/* ---- faults ---- */

typedef enum effect {
    LOST,     /* sent and not carried out; there is no telling */
    DONE,     /* carried out; there is no telling */
    LATE,     /* carried out, but only after a while; there is no telling */
    UNSENT,   /* never sent, and the device knows */
    REJECTED, /* the service has done nothing, says so, and may yet */
    REFUSED,  /* the service has done nothing, says so, and never will */
    FINE,     /* not as usual, but all right */
    EFFECTS
} effect;

#define PLAIN 1
#define TLS 2

typedef struct fault_case {
    const char *fault; /* the proxy's, or "@" and whom to connect to instead */
    effect effect;
    dynalock_outcome outcome; /* of one try that meets it */
    int streams;              /* on which it is met */
} fault_case;

static const fault_case fault_cases[] = {
    { "@REFUSED", UNSENT, DYNALOCK_UNREACHABLE, PLAIN | TLS },
    { "@MUTE", LOST, DYNALOCK_NO_ANSWER, PLAIN },
    { "@MUTE", UNSENT, DYNALOCK_NO_ANSWER, TLS },

    { "drop-request", LOST, DYNALOCK_DISCONNECTED, PLAIN | TLS },
    { "drop-answer", DONE, DYNALOCK_DISCONNECTED, PLAIN | TLS },
    { "silent", LOST, DYNALOCK_NO_ANSWER, PLAIN },
    { "silent-after", DONE, DYNALOCK_NO_ANSWER, PLAIN | TLS },
    { "cut-request 0", LOST, DYNALOCK_DISCONNECTED, PLAIN },
    { "cut-request 40", LOST, DYNALOCK_DISCONNECTED, PLAIN | TLS },
    { "cut-answer 1", DONE, DYNALOCK_DISCONNECTED, PLAIN },
    { "cut-answer 60", DONE, DYNALOCK_DISCONNECTED, PLAIN | TLS },
    { "reset-answer 0", DONE, DYNALOCK_DISCONNECTED, PLAIN | TLS },
    { "reset-answer 60", DONE, DYNALOCK_DISCONNECTED, PLAIN | TLS },
    /* only TLS tells the end from a cut */
    { "truncate 0", FINE, DYNALOCK_OK, PLAIN },
    { "truncate 0", DONE, DYNALOCK_DISCONNECTED, TLS },
    { "truncate 1", DONE, DYNALOCK_BAD_ANSWER, PLAIN },
    { "truncate 1", DONE, DYNALOCK_DISCONNECTED, TLS },

    { "delay 30", FINE, DYNALOCK_OK, PLAIN },
    { "delay 350", LATE, DYNALOCK_NO_ANSWER, PLAIN },
    { "delay-answer 350", DONE, DYNALOCK_NO_ANSWER, PLAIN },
    { "late 1", LATE, DYNALOCK_DISCONNECTED, PLAIN | TLS },
    { "late 150", LATE, DYNALOCK_DISCONNECTED, PLAIN },
    { "duplicate", FINE, DYNALOCK_OK, PLAIN },
    { "repeat 1", FINE, DYNALOCK_OK, PLAIN },
    { "repeat 150", FINE, DYNALOCK_OK, PLAIN | TLS },
    { "drip 20", DONE, DYNALOCK_NO_ANSWER, PLAIN | TLS },
    { "trickle", FINE, DYNALOCK_OK, PLAIN | TLS },

    { "throttle", REJECTED, DYNALOCK_THROTTLED, PLAIN },
    { "error 400:ThrottlingException", REJECTED, DYNALOCK_THROTTLED, PLAIN },
    { "error 400:RequestLimitExceeded", REJECTED, DYNALOCK_THROTTLED, PLAIN },
    { "error 400:TransactionConflictException", REJECTED, DYNALOCK_THROTTLED,
        PLAIN },
    { "error 400:TransactionInProgressException", REJECTED, DYNALOCK_THROTTLED,
        PLAIN },
    { "error 400:ReplicatedWriteConflictException", REJECTED,
        DYNALOCK_THROTTLED, PLAIN },

    { "500", LOST, DYNALOCK_SERVICE_FAILED, PLAIN },
    { "500-after", DONE, DYNALOCK_SERVICE_FAILED, PLAIN | TLS },
    { "error 503:ServiceUnavailable", LOST, DYNALOCK_SERVICE_FAILED, PLAIN },
    { "error-after 503:ServiceUnavailable", DONE, DYNALOCK_SERVICE_FAILED,
        PLAIN },
    { "html", LOST, DYNALOCK_SERVICE_FAILED, PLAIN },

    { "denied", REFUSED, DYNALOCK_DENIED, PLAIN },
    { "expired-token", REFUSED, DYNALOCK_CREDENTIALS_EXPIRED, PLAIN },
    { "error 400:ExpiredToken", REFUSED, DYNALOCK_CREDENTIALS_EXPIRED, PLAIN },
    { "skew 900", REFUSED, DYNALOCK_CLOCK_SKEW, PLAIN },
    { "error 400:UnrecognizedClientException", REFUSED,
        DYNALOCK_CREDENTIALS_REFUSED, PLAIN },
    { "error 400:ResourceNotFoundException", REFUSED, DYNALOCK_TABLE_MISSING,
        PLAIN },
    { "error 400:ItemCollectionSizeLimitExceededException", REFUSED,
        DYNALOCK_SERVICE_REFUSED, PLAIN },

    { "bad-crc", DONE, DYNALOCK_BAD_ANSWER, PLAIN | TLS },
    { "garbage", DONE, DYNALOCK_BAD_ANSWER, PLAIN | TLS },
    { "contradiction", DONE, DYNALOCK_BAD_ANSWER, PLAIN },
    { "gzip", DONE, DYNALOCK_BAD_ANSWER, PLAIN },
    { "two-lengths", DONE, DYNALOCK_BAD_ANSWER, PLAIN },
    { "endless-head", DONE, DYNALOCK_BAD_ANSWER, TLS },
    { "endless-body", DONE, DYNALOCK_NO_ANSWER, TLS },
    { "surplus", FINE, DYNALOCK_OK, PLAIN | TLS },
    { "no-item", FINE, DYNALOCK_OK, PLAIN },
    { "chunked", FINE, DYNALOCK_OK, PLAIN | TLS },
    { "close-delimited", FINE, DYNALOCK_OK, PLAIN | TLS },
    { "100-continue", FINE, DYNALOCK_OK, PLAIN },
    { "close-after", FINE, DYNALOCK_OK, PLAIN | TLS },
    { "abort-after", FINE, DYNALOCK_OK, PLAIN | TLS },
    { "reset-after", FINE, DYNALOCK_OK, PLAIN | TLS },
};

#define SHORT_LEASE_MS 1200
#define LATEST_MS 400 /* then every late copy has come */

/* ---- what the calls make of them ---- */

enum { ACQUIRE, RENEW, RELEASE, READ, CALLS };

typedef enum item_state {
    ANY,
    NONE,    /* no item */
    LIVE,    /* as the call found it, or as an acquire wrote it */
    WRITTEN, /* live, or being taken back already */
    RENEWED, /* live, with another version number than the call found */
    FREE     /* released */
} item_state;

#define OWN ((dynalock_outcome)2) /* the fault's outcome */

typedef struct expectation {
    dynalock_outcome once;    /* the fault comes once, there are tries left */
    dynalock_outcome always;  /* there is nothing but the fault */
    dynalock_outcome settled; /* what later polls make of that */
    item_state meanwhile, finally;
    int held; /* finally */
} expectation;

/* clang-format off */
#define OK DYNALOCK_OK
#define UNKNOWN DYNALOCK_UNKNOWN
static const expectation expectations[CALLS][EFFECTS] = {
    [ACQUIRE] = {
        /*             once always   settled meanwhile finally */
        [LOST]     = { OK,  UNKNOWN, OWN,    NONE,     NONE,    0 },
        [DONE]     = { OK,  UNKNOWN, OWN,    WRITTEN,  FREE,    0 },
        [LATE]     = { OK,  UNKNOWN, OWN,    ANY,      ANY,     0 },
        [UNSENT]   = { OK,  OWN,     OWN,    NONE,     NONE,    0 },
        [REJECTED] = { OK,  OWN,     OWN,    NONE,     NONE,    0 },
        [REFUSED]  = { OWN, OWN,     OWN,    NONE,     NONE,    0 },
        [FINE]     = { OK,  OK,      OK,     LIVE,     LIVE,    1 } },
    /* held all the while; a heartbeat mends what the call could not */
    [RENEW] = {
        [LOST]     = { OK,  OWN,     OK,     LIVE,     RENEWED, 1 },
        [DONE]     = { OK,  OWN,     OK,     RENEWED,  RENEWED, 1 },
        [LATE]     = { OK,  OWN,     OK,     ANY,      RENEWED, 1 },
        [UNSENT]   = { OK,  OWN,     OK,     LIVE,     RENEWED, 1 },
        [REJECTED] = { OK,  OWN,     OK,     LIVE,     RENEWED, 1 },
        [REFUSED]  = { OWN, OWN,     OK,     LIVE,     RENEWED, 1 },
        [FINE]     = { OK,  OK,      OK,     RENEWED,  RENEWED, 1 } },
    /* where nothing was sent, or the service said no, others wait for the end
       of the lease */
    [RELEASE] = {
        [LOST]     = { OK,  UNKNOWN, OK,     LIVE,     FREE,    0 },
        [DONE]     = { OK,  UNKNOWN, OK,     FREE,     FREE,    0 },
        [LATE]     = { OK,  UNKNOWN, OK,     ANY,      FREE,    0 },
        [UNSENT]   = { OK,  OWN,     OWN,    LIVE,     LIVE,    0 },
        [REJECTED] = { OK,  OWN,     OWN,    LIVE,     LIVE,    0 },
        [REFUSED]  = { OWN, OWN,     OWN,    LIVE,     LIVE,    0 },
        [FINE]     = { OK,  OK,      OK,     FREE,     FREE,    0 } },
    /* of the lock that is held, and stays so */
    [READ] = {
        [LOST]     = { OK,  OWN,     OWN,    LIVE,     LIVE,    1 },
        [DONE]     = { OK,  OWN,     OWN,    LIVE,     LIVE,    1 },
        [LATE]     = { OK,  OWN,     OWN,    LIVE,     LIVE,    1 },
        [UNSENT]   = { OK,  OWN,     OWN,    LIVE,     LIVE,    1 },
        [REJECTED] = { OK,  OWN,     OWN,    LIVE,     LIVE,    1 },
        [REFUSED]  = { OWN, OWN,     OWN,    LIVE,     LIVE,    1 },
        [FINE]     = { OK,  OK,      OK,     LIVE,     LIVE,    1 } },
};
#undef OK
#undef UNKNOWN
/* clang-format on */

/* ---- one fault in one call ---- */

typedef struct trial {
    const fault_case *fault;
    const expectation *expected;
    int call;
    int always;
    const char *key;
    dynalock_lock *lock;         /* a's */
    dynalock_lock *other;        /* b's */
    char rvn[DYNALOCK_RVN_SIZE]; /* that the call found */
} trial;

static int detours; /* connections that go astray from now on */
static uint16_t detour_to;

static int32_t open_or_go_astray(void *context, const dynalock_peer *peer)
{
    int32_t rc;

    a.detour = detours > 0 ? detour_to : 0;
    rc = open_detoured(context, peer);
    if (rc != DYNALOCK_AGAIN && detours > 0) detours--;
    return rc;
}

static void fail_trial(const trial *t, const char *what, int got, int expected)
{
    static const char *const calls[] = { "acquire", "renew", "release",
        "read" };

    fail_msg("%s under %s, %s: %s is %d (%s), not %d (%s)", calls[t->call],
        t->fault->fault, t->always ? "always" : "once", what, got,
        dynalock_explain((dynalock_outcome)got), expected,
        dynalock_explain((dynalock_outcome)expected));
}

static void expect(
    const trial *t, const char *what, dynalock_outcome got, int expected)
{
    if (expected == (int)OWN) expected = (int)t->fault->outcome;
    if ((int)got != expected) fail_trial(t, what, (int)got, expected);
}

static void expect_true(const trial *t, const char *what, int truth)
{
    if (!truth) fail_trial(t, what, 0, 1);
}

/* c looks past the proxy. */
static item_state state_on_the_table(const trial *t)
{
    (void)look(&c, t->key);
    if (record.status == DYNALOCK_ABSENT) return NONE;
    if (record.status == DYNALOCK_RELEASED) return FREE;
    assert_int_equal(record.status, DYNALOCK_LOCKED);
    assert_string_equal(record.owner, "a");
    if (t->call == RENEW && strcmp(record.rvn, t->rvn) != 0) return RENEWED;
    return LIVE;
}

static void expect_item(const trial *t, const char *what, item_state expected)
{
    item_state got;

    if (expected == ANY) return;
    got = state_on_the_table(t);
    if (expected == WRITTEN) expected = got == FREE ? FREE : LIVE;
    if (got != expected) fail_trial(t, what, (int)got, (int)expected);
}

#define SHORT_REQUEST_MS 250 /* for what never comes */

/* The device is patient, so that a busy machine makes no fault of its own, but
   where the fault lasts as long as its patience. */
static void set_patience(const trial *t)
{
    dynalock_config *config = &a.client.config;

    config->connect_ms = CONNECT_MS;
    config->request_ms = REQUEST_MS;
    if (t->call == RELEASE && t->always) { /* tried until its deadline */
        config->connect_ms = 100;
        config->request_ms = SHORT_REQUEST_MS;
    } else if (t->fault->outcome == DYNALOCK_NO_ANSWER) {
        config->connect_ms = 600;
        config->request_ms = SHORT_REQUEST_MS;
    }
}

static void begin_fault(const trial *t)
{
    const char *operation = t->call == READ ? "GetItem" : "UpdateItem";

    set_patience(t);

    if (t->fault->fault[0] == '@') {
        detour_to = port_of(harness(t->fault->fault + 1));
        detours = t->always ? 9999 : 1;
        if (a.posix.fd >= 0) (void)shutdown(a.posix.fd, SHUT_RDWR);
        return;
    }
    proxy("fault %s x%d on=%s", t->fault->fault, t->always ? 9999 : 1,
        operation);
}

static int ends_idle(const trial *t)
{
    return strcmp(t->fault->fault, "close-after") == 0 ||
           strcmp(t->fault->fault, "abort-after") == 0 ||
           strcmp(t->fault->fault, "reset-after") == 0;
}

static void end_fault(const trial *t)
{
    if (t->fault->fault[0] == '@')
        expect_true(t, "the detour", detours < (t->always ? 9999 : 1));
    else assert_at_least(counter("faults"), 1);
    detours = 0;
    a.client.config.connect_ms = CONNECT_MS;
    a.client.config.request_ms = REQUEST_MS;
    if (a.posix.fd >= 0 && t->fault->fault[0] == '@')
        (void)shutdown(a.posix.fd, SHUT_RDWR);
    proxy("clear");
    /* a connection that ends while idle has ended before the next call */
    if (ends_idle(t) && a.posix.fd >= 0) wait_for_end(&a);
}

static dynalock_outcome make_call(const trial *t)
{
    dynalock_name name;

    switch (t->call) {
    case ACQUIRE: return dynalock_acquire(&a.client, t->lock, 0);
    case RENEW: return dynalock_renew(&a.client, t->lock);
    case RELEASE: return dynalock_release(&a.client, t->lock);
    default:
        memset(&name, 0, sizeof name);
        name.key = t->key;
        return dynalock_read(&a.client, &name, &record);
    }
}

/* The call itself; it must end in time. */
static dynalock_outcome meet(const trial *t)
{
    uint64_t began;
    dynalock_outcome rc;

    begin_fault(t);
    began = now_ms();
    rc = make_call(t);
    assert_at_most(now_ms() - began,
        a.client.config.connect_ms + a.client.config.request_ms + SLACK_MS);
    if (t->call == READ && rc == DYNALOCK_OK)
        assert_string_equal(record.owner, "a");
    return rc;
}

static int may_come_late(const trial *t)
{
    return t->call != READ && (t->fault->effect == LATE ||
                                  strncmp(t->fault->fault, "repeat", 6) == 0);
}

/* The other device has the lock next, with a higher fence and for good:
   whatever still comes late does not take it away. */
static void expect_handed_over(const trial *t)
{
    uint64_t fence = dynalock_fence(t->lock);
    int ghost = t->expected->finally == ANY;

    a.running = 0; /* dead, if it has not given back */
    expect(t, "the other's acquire",
        dynalock_acquire(
            &b.client, t->other, ghost ? 2 * SHORT_LEASE_MS + SLACK_MS : 0),
        DYNALOCK_OK);
    expect_true(t, "alone", remaining(&a, t->lock) == 0);
    expect_true(t, "the fence's rise", dynalock_fence(t->other) > fence);
    a.running = 1;
    if (may_come_late(t)) run_for(LATEST_MS);
    expect(t, "the other's renewal", dynalock_renew(&b.client, t->other),
        DYNALOCK_OK);
}

/* And the device that met the fault is as good as new. */
static void expect_usable(const trial *t)
{
    expect(t, "acquire while the other holds",
        dynalock_acquire(&a.client, t->lock, 0), DYNALOCK_BUSY);
    expect(t, "the other's release", dynalock_release(&b.client, t->other),
        DYNALOCK_OK);
    expect(t, "the next acquire", dynalock_acquire(&a.client, t->lock, 0),
        DYNALOCK_OK);
    expect_true(t, "the fence's next rise",
        dynalock_fence(t->lock) > dynalock_fence(t->other));
    expect(t, "the next release", dynalock_release(&a.client, t->lock),
        DYNALOCK_OK);
}

static void expect_the_rest(const trial *t)
{
    expect_true(t, "held", (remaining(&a, t->lock) > 0) == t->expected->held);
    expect_item(t, "the item, finally", t->expected->finally);
    if (t->expected->held || t->expected->finally == LIVE)
        expect(t, "the other's acquire, too early",
            dynalock_acquire(&b.client, t->other, 0), DYNALOCK_BUSY);
    if (t->expected->held) {
        expect(t, "renew", dynalock_renew(&a.client, t->lock), DYNALOCK_OK);
        expect(
            t, "release", dynalock_release(&a.client, t->lock), DYNALOCK_OK);
    } else if (t->call == RELEASE) {
        expect(t, "renew after release", dynalock_renew(&a.client, t->lock),
            DYNALOCK_NOT_HELD);
        if (t->expected->finally == LIVE) /* or after the lease */
            change_item(t->key, "isReleased=:y", "\":y\":{\"S\":\"1\"}");
    }
    expect_handed_over(t);
    expect_usable(t);
}

static void expect_settled(const trial *t, dynalock_outcome rc)
{
    if (t->call != READ && t->expected->settled != t->expected->always)
        rc = run_while(&t->lock->operation, rc);
    expect(t, "what came of it", rc, t->expected->settled);
}

static void meet_once(trial *t)
{
    dynalock_outcome rc = meet(t);

    expect(t, "the call", rc, t->expected->once);
    end_fault(t);
    if (t->expected->once == DYNALOCK_OK)
        t->expected = &expectations[t->call][FINE];
    expect_settled(t, rc);
    if (may_come_late(t)) run_for(LATEST_MS);
    expect_the_rest(t);
}

static void meet_always(trial *t)
{
    dynalock_outcome rc = meet(t);

    /* it is tried until its deadline, and then one may be under way */
    if (t->call == RELEASE && t->fault->effect == REJECTED &&
        rc == DYNALOCK_UNKNOWN)
        t->expected = &expectations[RELEASE][LOST];
    expect(t, "the call", rc, t->expected->always);
    expect_true(t, "held meanwhile",
        (remaining(&a, t->lock) > 0) == t->expected->held);
    expect_item(t, "the item, meanwhile", t->expected->meanwhile);
    end_fault(t);
    expect_settled(t, rc);
    expect_the_rest(t);
}

/* ---- every fault in one call ---- */

static void begin_trial(trial *t, const char *key)
{
    dynalock_lock_options options;
    t->expected = &expectations[t->call][t->fault->effect];
    t->key = key;
    locks_used = 0;
    memset(&options, 0, sizeof options);
    options.key = key;
    /* a late acquire may be nobody's for one lease */
    options.lease_ms = t->expected->finally == ANY ? SHORT_LEASE_MS : 0;
    t->lock = new_lock(&options);
    t->other = lock_named(key);
    proxy("clear");
    if (t->call == ACQUIRE) return;
    assert_ok(dynalock_acquire(&a.client, t->lock, 0));
    (void)look(&c, key);
    memcpy(t->rvn, record.rvn, sizeof t->rvn);
}

static void start_devices(int stream, int always)
{
    prepare(&a, "a", harness(stream == TLS ? "HTTPS" : "HTTP"));
    a.config.attempts = always ? 2 : 3;
    a.platform.open = open_or_go_astray;
    start(&a);
    start_plain(&b, "b");
    prepare(&c, "c", harness("DIRECT"));
    start(&c);
    c.running = 0; /* only looks */
}

static void each_fault(const char *name, int stream, int call, int always)
{
    char key[128];
    size_t i, met = 0;
    trial t;

    start_devices(stream, always);
    for (i = 0; i < COUNT(fault_cases); i++) {
        if ((fault_cases[i].streams & stream) == 0) continue;
        memset(&t, 0, sizeof t);
        t.fault = &fault_cases[i];
        t.call = call;
        t.always = always;
        (void)snprintf(key, sizeof key, "%s %s", name, t.fault->fault);
        begin_trial(&t, key);
        if (always) meet_always(&t);
        else meet_once(&t);
        assert_int_equal(counter("signature_failures"), 0);
        met++;
    }
    assert_at_least(met, 20);
    (void)dynalock_client_close(&c.client, 500);
}

#define EACH_FAULT(test, stream, call, always)                                \
    static void test(void **state)                                            \
    {                                                                         \
        (void)state;                                                          \
        each_fault(__func__, stream, call, always);                           \
    }

EACH_FAULT(an_acquire_gets_over_a_fault, PLAIN, ACQUIRE, 0)
EACH_FAULT(a_renewal_gets_over_a_fault, PLAIN, RENEW, 0)
EACH_FAULT(a_release_gets_over_a_fault, PLAIN, RELEASE, 0)
EACH_FAULT(a_read_gets_over_a_fault, PLAIN, READ, 0)
EACH_FAULT(an_acquire_that_keeps_failing_is_taken_back, PLAIN, ACQUIRE, 1)
EACH_FAULT(a_renewal_that_keeps_failing_leaves_the_lock_held, PLAIN, RENEW, 1)
EACH_FAULT(a_release_that_keeps_failing_is_tried_on, PLAIN, RELEASE, 1)
EACH_FAULT(a_read_that_keeps_failing_says_why, PLAIN, READ, 1)

EACH_FAULT(an_acquire_gets_over_a_fault_under_tls, TLS, ACQUIRE, 0)
EACH_FAULT(a_renewal_gets_over_a_fault_under_tls, TLS, RENEW, 0)
EACH_FAULT(a_release_gets_over_a_fault_under_tls, TLS, RELEASE, 0)
EACH_FAULT(a_read_gets_over_a_fault_under_tls, TLS, READ, 0)
EACH_FAULT(an_acquire_that_keeps_failing_under_tls, TLS, ACQUIRE, 1)
EACH_FAULT(a_renewal_that_keeps_failing_under_tls, TLS, RENEW, 1)
EACH_FAULT(a_release_that_keeps_failing_under_tls, TLS, RELEASE, 1)
EACH_FAULT(a_read_that_keeps_failing_under_tls, TLS, READ, 1)

/* ---- a connection that ended while it was idle ---- */

static void end_while_idle(const char *url, const char *fault)
{
    char key[64];
    dynalock_lock *lock;

    (void)snprintf(key, sizeof key, "%s %s", url, fault);
    lock = lock_named(key);
    prepare(&a, "a", url);
    a.config.attempts = 1; /* not even a retry */
    start(&a);
    proxy("fault %s x4", fault);
    assert_ok(dynalock_acquire(&a.client, lock, 0));
    wait_for_end(&a);
    assert_ok(dynalock_renew(&a.client, lock));
    wait_for_end(&a);
    (void)look(&a, key);
    wait_for_end(&a);
    assert_ok(dynalock_release(&a.client, lock));
    assert_ok(dynalock_client_close(&a.client, 500));
    a.running = 0;
    assert_int_equal(counter("pending_faults"), 0);
}

static void an_idle_connection_that_was_closed_is_no_failure(void **state)
{
    (void)state;
    end_while_idle(harness("HTTP"), "close-after");
    end_while_idle(harness("HTTPS"), "close-after");
}

static void an_idle_connection_that_was_reset_is_no_failure(void **state)
{
    (void)state;
    end_while_idle(harness("HTTP"), "reset-after");
    end_while_idle(harness("HTTPS"), "reset-after");
}

static void an_idle_connection_that_ended_without_a_goodbye_is_no_failure(
    void **state)
{
    (void)state;
    end_while_idle(harness("HTTPS"), "abort-after");
}

/* ---- all of them ---- */

#define FAULT(test)                                                           \
    cmocka_unit_test_setup_teardown(test, before_each, after_each)

int main(int argc, char **argv)
{
    static const struct CMUnitTest faults[] = {
        FAULT(an_acquire_gets_over_a_fault),
        FAULT(a_renewal_gets_over_a_fault),
        FAULT(a_release_gets_over_a_fault),
        FAULT(a_read_gets_over_a_fault),
        FAULT(an_acquire_that_keeps_failing_is_taken_back),
        FAULT(a_renewal_that_keeps_failing_leaves_the_lock_held),
        FAULT(a_release_that_keeps_failing_is_tried_on),
        FAULT(a_read_that_keeps_failing_says_why),

        FAULT(an_acquire_gets_over_a_fault_under_tls),
        FAULT(a_renewal_gets_over_a_fault_under_tls),
        FAULT(a_release_gets_over_a_fault_under_tls),
        FAULT(a_read_gets_over_a_fault_under_tls),
        FAULT(an_acquire_that_keeps_failing_under_tls),
        FAULT(a_renewal_that_keeps_failing_under_tls),
        FAULT(a_release_that_keeps_failing_under_tls),
        FAULT(a_read_that_keeps_failing_under_tls),

        FAULT(an_idle_connection_that_was_closed_is_no_failure),
        FAULT(an_idle_connection_that_was_reset_is_no_failure),
        FAULT(an_idle_connection_that_ended_without_a_goodbye_is_no_failure),
    };

    if (argc > 1) cmocka_set_test_filter(argv[1]); /* a name, * and ? */
    return cmocka_run_group_tests_name(
        harness("SERVER"), faults, start_all, NULL);
}
