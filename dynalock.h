/*
dynalock.h - v0.1.0 - a distributed lock in a DynamoDB table, for devices

A single C header (C99, also clean as C++11). Do this in exactly ONE file:

    #define DYNALOCK_IMPLEMENTATION
    #include "dynalock.h"

and include it plainly everywhere else. It needs jsmn.h (only in that one
file), and BearSSL 0.6 (bearssl.h) unless DYNALOCK_NO_TLS is defined.

A PROGRAM THAT WORKS

On a POSIX host, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the
environment (cc program.c -lbearssl); on a board, replace the three posix
lines by a port of your own:

    #define DYNALOCK_POSIX
    #define DYNALOCK_IMPLEMENTATION
    #include "dynalock.h"
    #include <stdio.h>

    static dynalock_posix       posix;
    static dynalock_platform    platform;
    static dynalock_anchors     anchors;
    static dynalock_tls         tls;
    static dynalock_credentials credentials;
    static dynalock_client      client;
    static dynalock_lock        lock;

    int main(void)
    {
        dynalock_config config = {0};
        dynalock_lock_options options = {0};
        dynalock_outcome rc;

        dynalock_posix_platform(&posix, &platform);
        dynalock_posix_credentials(&credentials);
        rc = dynalock_posix_anchors(&anchors,
            "/etc/ssl/certs/ca-certificates.crt");
        if (rc != DYNALOCK_OK) return puts(dynalock_explain(rc)), 1;
        dynalock_tls_init(&tls, dynalock_tls_wide(), anchors.list,
            anchors.count);
        config.platform = &platform;
        config.credentials = &credentials;
        config.tls = &tls;
        config.region = "eu-central-1";
        config.table = "locks";
        rc = dynalock_client_init(&client, &config);
        if (rc != DYNALOCK_OK) return puts(dynalock_explain(rc)), 1;
        options.key = "site-leader";
        rc = dynalock_lock_init(&lock, &options);
        if (rc != DYNALOCK_OK) return puts(dynalock_explain(rc)), 1;

        rc = dynalock_acquire(&client, &lock, 30000);
        if (rc != DYNALOCK_OK) return puts(dynalock_explain(rc)), 1;
        printf("held, fence %llu\n",
            (unsigned long long)dynalock_fence(&lock));
        rc = dynalock_release(&client, &lock);
        return rc == DYNALOCK_OK ? 0 : 1;
    }

The table has one partition key named "key" of type String, nothing else.

WHAT IT PROMISES

 1. Exclusion: two holders never both have dynalock_remaining_ms() > 0,
    whatever the network does and whatever the wall clocks say. Only the rate
    of the monotonic clocks is trusted (to the margin, 1 % by default). This is
    the standard layout's promise, and for_dynamolock's; what the others can
    hold stands in README, "Sharing a table". Whoever breaks a lock, or restores
    one while its earlier life goes on, gives it up.
 2. A fencing token with every grant, rising for a key with every grant, as
    long as only this layout's rules are followed on the table. Give it to the
    resource that the lock protects and let that refuse lower ones: no lock
    can close the gap between "I checked" and "I wrote" by itself.
 3. Every call ends in an outcome that says what is true: see
    dynalock_outcome.
 4. No heap, no globals, no threads; memcpy, memmove, memset, memcmp and
    strlen are all it takes from libc.
 5. The core never blocks: dynalock_poll() does what can be done now,
    dynalock_wants() says what it waits for. The blocking calls are loops over
    these two and the `wait` hook.

WHAT IT DOES NOT DO

 - TLS 1.3, or any TLS but BearSSL's 1.2 (a modem or a port may bring its own:
   config.secure_transport).
 - Check the extended key usage of the server's certificate, unless asked to
   (dynalock_tls_small_strict), or IP addresses in certificates: use a name.
 - Resolve names without blocking: a port's first name resolution may block.
 - Keep a lock while nobody calls dynalock_poll() or a blocking call: there is
   no thread to renew it. The lease then runs out, and remaining_ms() says so.
 - Prove that a lock is free by looking at it once: another holder's lease is
   watched for its whole length on this device's own clock.
 - Delete items at a release: deletion forgets the fence. See dynalock_tidy and
   config.ttl_attribute.
 - Believe a Date header over plain HTTP: there, a wall clock that is wrong
   ends in CLOCK_SKEW. (Over TLS it is mended for signatures and fences.)
 - Assume roles, or ask SSO, a web identity provider or another process for
   credentials: CREDENTIALS_NOT_OFFERED says that a profile wants it.
 - Know its own lock after a reboot without help: see dynalock_save, and
   DYNALOCK_SAME_OWNER.
 - Queue waiters: who looks first after a release has the lock.

WHAT IT COSTS

In requests and in the table's capacity units, counted on a server that reports
them. Lease 20 s, poll_ms 1000, an item of less than 1 KB; an hour's or many
take-overs' average where chance has a part.

                                     requests   write units   read units
acquire: the key is free                    1             1            0
renew                                       1             1            0
read                                        1             0            1
release                                     1             1            0
tidy                                        1             1            0
acquire after restore                       1             1            0
renew, with 1,500 bytes of data             1             2            0
heartbeat, an hour                        575           575            0
acquire: busy, one try                      1             1            0
wait, a minute                           53.4             0         26.7
wait without reads, a minute                3             3            0
take over a dead lease of 20 s           19.4             2          8.7
take it over without reads                  2             2            0

A unit is 1 KB begun of the item to write, 4 KB to read; the data of a lock is
paid for with every renewal. A refused write costs what it would have cost, and
every wait begins with one. A waiter's reads are eventually consistent, at half
a unit. "Without reads" is poll_ms = DYNALOCK_FOREVER: the waiter writes when
the lease that it knows of is over, and so learns of a release only then. A
longer lease needs fewer heartbeats, and a dead holder keeps it longer.

HOW TO USE IT

 1. Fill a dynalock_platform: socket, clock and entropy functions
    (DYNALOCK_POSIX brings one for POSIX hosts).
 2. dynalock_client_init(). One client is one connection; any number of locks
    share it. Zero in a config field means its default.
 3. dynalock_lock_init(), dynalock_acquire(). While the lock is held, call
    dynalock_poll() at least when dynalock_wants() says so: it renews every
    held lock when a third of its lease is gone.
 4. Check dynalock_remaining_ms() before each step of the guarded work; hand
    dynalock_fence() to what you write to.
 5. dynalock_release(), and dynalock_client_close() in the end.

Without blocking: dynalock_start_acquire() and its kin return at once; then

    for (;;) {
        unsigned interest; uint32_t ms;
        dynalock_poll(&client);
        if (dynalock_result(&lock.operation) != DYNALOCK_AGAIN) break;
        dynalock_wants(&client, &interest, &ms);
        // sleep up to ms, or until the socket is ready for `interest`
    }

WHEN THINGS FAIL

What passes is tried again: connections refused, cut or silent, a peer that does
not answer in TLS 1.2 (it may be starting), damaged answers, throttling,
conflicts and 5xx, after a pause drawn from 0 to base_ms * 2^n, at most cap_ms.
A call with a wait goes on until its deadline; one without (acquire with 0,
renew, read) after `attempts` tries; a release for connect_ms + request_ms, a
heartbeat until its lease is over. A signature that is refused for its time is
tried once more if the service's Date has mended the clock, refused credentials
if a provider or config.refresh brings others. Anything else ends the call at
once, with the service's own words in client.detail. No request waits longer
than a quarter of the shortest lease that is held, so that one slow answer costs
no lock.

A write without an answer ends in UNKNOWN: the lock is not held here, and later
polls take it back, however long that takes (acquiring it again waits for
that). A heartbeat that fails leaves what was granted before: see
dynalock_remaining_ms(), or set an alarm. After a loss nothing is written.

WHOM IT BELIEVES

A server whose certificate comes from a trust anchor, directly or by way of
authorities that may sign, is valid now by this device's clock, and names the
host: a DNS name in its subjectAltName, in any case, where "*" stands for the
whole of the left-most label and for no more; its common name only if it has no
such names. RSA keys in its chain of less than 2048 bits (your roots' are your
choice), SHA-1, and what the profile has not end in TLS_UNTRUSTED, or TLS_FAILED
where only the handshake finds out. There is one version and no way down from
it, and no second handshake. A connection that ends without TLS' goodbye has
answered only if the answer's own length is whole.

An answer that leaves no doubt. Anything else ends in BAD_ANSWER, as if it were
lost: lengths or checksums that disagree, a length and chunks, an encoding, over
16 KB of headers, status and body at odds, redirects, JSON that is malformed,
deeper than 95 levels, or says twice what is read. An item that cannot be
understood is FOREIGN, or NOT_A_LOCK; its key is not looked at. No answer lowers
a fence: a grant exceeds every one that was seen.

Who lies soundly is believed: that a write was carried out, or was not, only
the service knows. It can also list pages for ever: `each` and dynalock_cancel
end that.

AFTER A REBOOT

Whoever was holding is a stranger to the new life, and waits a lease for
itself. dynalock_save() and dynalock_restore() spare that with a few bytes of
flash, DYNALOCK_SAME_OWNER without, where an owner's name is used once.

WRITES THAT A STALE HOLDER CANNOT MAKE

A holder may sleep between dynalock_remaining_ms() and its write, for longer
than its lease. What it writes must then be refused by whoever is written to.
Where that is DynamoDB too, dynalock_call() sends any operation of it over the
client's connection, and there are two ways to make a write stand or fall with
the lock: dynalock_fence_condition() ties it to the lock's own item, in one
transaction; dynalock_fence_clause() is for an item that remembers the highest
fence that wrote to it. examples/fenced_write.c shows the second.

THE TABLE

dynalock_table_create() makes the table that a config asks for, and does
nothing to one that is there and fits; dynalock_table_check() says what of it
does not fit. Neither is needed where somebody else looks after the table.

SEVERAL THREADS

With enter and leave, a mutex, several threads may call one client, each for
its own locks; the mutex is held for one step at a time, never across wait, and
must not be entered by the callbacks, which are called with it held. `wait`
should return after some 20 ms, since another thread may have taken the answer
it waits for. Every hook but wait is called within the mutex; close a client
only when no other thread is in a call of it. Ask dynalock_check() then, not
dynalock_result() or client.detail, which another thread may be writing.
examples/threads.c shows one thread that keeps every lock alive.

OPTIONS (define before including, the same in every file; numbers in plain
decimals, for names are made of them)

macro                     values, default      effect
DYNALOCK_IMPLEMENTATION   -                    emit the code in this file
DYNALOCK_STATIC           -                    all functions static
DYNALOCK_NO_TLS           -                    no BearSSL: plain streams only
DYNALOCK_NO_AMAZON        -                    no roots of Amazon
DYNALOCK_POSIX            -                    add the POSIX port; with -std=c99
                                               it needs -D_DEFAULT_SOURCE
DYNALOCK_TRANSMIT_WINDOW  128..65535, 1536     bytes sent in one write; a
                                               smaller one costs packets, not
                                               function
DYNALOCK_OWNER_SIZE       40..1024, 128        longest owner name + 1
DYNALOCK_DATA_SIZE        0..32768, 256        most bytes of data read back
DYNALOCK_RVN_SIZE         42..250, 78          longest version number + 1
DYNALOCK_HOST_SIZE        64..256, 128         longest host name + 1
DYNALOCK_TLS_BUFFER       837..16709, 16709    TLS record buffer; under 16709
                                               asks for max_fragment_length
                                               (not every server obeys)
DYNALOCK_CLOCK_STEP_MS    1..1000, 10          the coarsest step of
                                               monotonic_ms
DYNALOCK_CURSOR_SIZE      128..32768, 1024     twice the longest key of a table
                                               that is listed, as JSON
                                               ({"key":{"S":"..."}})
DYNALOCK_LOG              0..4, 0              what is told to platform.log: 1
                                               errors, 2 warnings too, 3 news,
                                               4 every request; 0 costs nothing

Client memory: max(DYNALOCK_TRANSMIT_WINDOW, 2 * DYNALOCK_OWNER_SIZE + 2 *
DYNALOCK_RVN_SIZE + 4/3 * DYNALOCK_DATA_SIZE + 1.5 KB) + DYNALOCK_OWNER_SIZE +
DYNALOCK_HOST_SIZE + about 1 KB. Two files that disagree on a size, or on
DYNALOCK_NO_TLS, do not link: the names of the functions carry these. A port
with more to trust than a host's store sets DYNALOCK_ANCHORS (256 certificates)
and DYNALOCK_ANCHOR_BYTES (131072) of dynalock_anchors.

CONTENTS (search for the words)

    == options      == interface    == text         == sha256
    == sigv4        == http         == stream       == json
    == request      == layout       == lock         == layouts
    == alarm        == save         == read         == tidy
    == watch        == break        == list         == seal
    == group        == semaphore    == reader       == call
    == fence        == table        == region       == client
    == credentials  == anchors      == posix        == licence
*/

#ifndef DYNALOCK_H
#define DYNALOCK_H

#define DYNALOCK_VERSION "0.1.0"

#include <stddef.h>
#include <stdint.h>
#ifndef DYNALOCK_NO_TLS
#include <bearssl.h>
#endif

/* ===================================================================== */
/* == options                                                            */
/* ===================================================================== */

#ifndef DYNALOCK_TRANSMIT_WINDOW
#define DYNALOCK_TRANSMIT_WINDOW 1536
#endif
#ifndef DYNALOCK_OWNER_SIZE
#define DYNALOCK_OWNER_SIZE 128
#endif
#ifndef DYNALOCK_DATA_SIZE
#define DYNALOCK_DATA_SIZE 256
#endif
#ifndef DYNALOCK_RVN_SIZE
#define DYNALOCK_RVN_SIZE 78
#endif
#ifndef DYNALOCK_HOST_SIZE
#define DYNALOCK_HOST_SIZE 128
#endif
#ifndef DYNALOCK_TLS_BUFFER
#define DYNALOCK_TLS_BUFFER 16709
#endif
#ifndef DYNALOCK_CLOCK_STEP_MS
#define DYNALOCK_CLOCK_STEP_MS 10
#endif
#ifndef DYNALOCK_CURSOR_SIZE
#define DYNALOCK_CURSOR_SIZE 1024
#endif
#ifndef DYNALOCK_LOG
#define DYNALOCK_LOG 0
#endif

#if DYNALOCK_TRANSMIT_WINDOW < 128 || DYNALOCK_TRANSMIT_WINDOW > 65535
#error "DYNALOCK_TRANSMIT_WINDOW must be 128..65535"
#endif
#if DYNALOCK_OWNER_SIZE < 40 || DYNALOCK_OWNER_SIZE > 1024
#error "DYNALOCK_OWNER_SIZE must be 40..1024"
#endif
#if DYNALOCK_DATA_SIZE < 0 || DYNALOCK_DATA_SIZE > 32768
#error "DYNALOCK_DATA_SIZE must be 0..32768"
#endif
#if DYNALOCK_RVN_SIZE < 42 || DYNALOCK_RVN_SIZE > 250
#error "DYNALOCK_RVN_SIZE must be 42..250"
#endif
#if DYNALOCK_HOST_SIZE < 64 || DYNALOCK_HOST_SIZE > 256
#error "DYNALOCK_HOST_SIZE must be 64..256"
#endif
#if DYNALOCK_TLS_BUFFER < 837 || DYNALOCK_TLS_BUFFER > 16709
#error "DYNALOCK_TLS_BUFFER must be 837..16709 (BearSSL hangs below)"
#endif
#if DYNALOCK_CLOCK_STEP_MS < 1 || DYNALOCK_CLOCK_STEP_MS > 1000
#error "DYNALOCK_CLOCK_STEP_MS must be 1..1000"
#endif
#if DYNALOCK_CURSOR_SIZE < 128 || DYNALOCK_CURSOR_SIZE > 32768
#error "DYNALOCK_CURSOR_SIZE must be 128..32768"
#endif
#if DYNALOCK_LOG < 0 || DYNALOCK_LOG > 4
#error "DYNALOCK_LOG must be 0..4"
#endif

#if defined(__GNUC__) || defined(__clang__)
#define DYNALOCK_CHECKED __attribute__((warn_unused_result))
#define DYNALOCK_MAYBE_UNUSED __attribute__((unused))
#else
#define DYNALOCK_CHECKED
#define DYNALOCK_MAYBE_UNUSED
#endif

#ifdef DYNALOCK_STATIC
#define DYNALOCK_API static DYNALOCK_MAYBE_UNUSED
#else
#define DYNALOCK_API extern
#endif

/* A file built with other sizes must not link against this one: each function
   that takes an object whose size depends on options has these in its name. */
#ifdef DYNALOCK_NO_TLS
#define DYNALOCK_TLS_SIZE_ 0
#else
#define DYNALOCK_TLS_SIZE_ DYNALOCK_TLS_BUFFER
#endif
#define DYNALOCK_JOIN2_(a, b) a##_##b
#define DYNALOCK_JOIN2(a, b) DYNALOCK_JOIN2_(a, b)
#define DYNALOCK_JOIN8_(a, b, c, d, e, f, g, h)                               \
    a##_##b##_##c##_##d##_##e##_##f##_##g##_##h
#define DYNALOCK_JOIN8(a, b, c, d, e, f, g, h)                                \
    DYNALOCK_JOIN8_(a, b, c, d, e, f, g, h)
#define DYNALOCK_SIZED(name)                                                  \
    DYNALOCK_JOIN8(name, DYNALOCK_TRANSMIT_WINDOW, DYNALOCK_OWNER_SIZE,       \
        DYNALOCK_DATA_SIZE, DYNALOCK_RVN_SIZE, DYNALOCK_HOST_SIZE,            \
        DYNALOCK_CURSOR_SIZE, DYNALOCK_TLS_SIZE_)
#define dynalock_acquire DYNALOCK_SIZED(dynalock_acquire)
#define dynalock_break DYNALOCK_SIZED(dynalock_break)
#define dynalock_call DYNALOCK_SIZED(dynalock_call)
#define dynalock_cancel DYNALOCK_SIZED(dynalock_cancel)
#define dynalock_check DYNALOCK_SIZED(dynalock_check)
#define dynalock_client_close DYNALOCK_SIZED(dynalock_client_close)
#define dynalock_client_init DYNALOCK_SIZED(dynalock_client_init)
#define dynalock_data DYNALOCK_SIZED(dynalock_data)
#define dynalock_fence DYNALOCK_SIZED(dynalock_fence)
#define dynalock_fence_clause DYNALOCK_SIZED(dynalock_fence_clause)
#define dynalock_fence_condition DYNALOCK_SIZED(dynalock_fence_condition)
#define dynalock_group_acquire DYNALOCK_SIZED(dynalock_group_acquire)
#define dynalock_group_release DYNALOCK_SIZED(dynalock_group_release)
#define dynalock_group_remaining_ms DYNALOCK_SIZED(dynalock_group_remaining_ms)
#define dynalock_group_renew DYNALOCK_SIZED(dynalock_group_renew)
#define dynalock_keep_data DYNALOCK_SIZED(dynalock_keep_data)
#define dynalock_list DYNALOCK_SIZED(dynalock_list)
#define dynalock_lock_init DYNALOCK_SIZED(dynalock_lock_init)
#define dynalock_poll DYNALOCK_SIZED(dynalock_poll)
#define dynalock_posix_load DYNALOCK_SIZED(dynalock_posix_load)
#define dynalock_provide DYNALOCK_SIZED(dynalock_provide)
#define dynalock_provider_init DYNALOCK_SIZED(dynalock_provider_init)
#define dynalock_read DYNALOCK_SIZED(dynalock_read)
#define dynalock_release DYNALOCK_SIZED(dynalock_release)
#define dynalock_release_all DYNALOCK_SIZED(dynalock_release_all)
#define dynalock_release_restored DYNALOCK_SIZED(dynalock_release_restored)
#define dynalock_remaining_ms DYNALOCK_SIZED(dynalock_remaining_ms)
#define dynalock_renew DYNALOCK_SIZED(dynalock_renew)
#define dynalock_restore DYNALOCK_SIZED(dynalock_restore)
#define dynalock_save DYNALOCK_SIZED(dynalock_save)
#define dynalock_scope_enter DYNALOCK_SIZED(dynalock_scope_enter)
#define dynalock_seal DYNALOCK_SIZED(dynalock_seal)
#define dynalock_semaphore_acquire DYNALOCK_SIZED(dynalock_semaphore_acquire)
#define dynalock_semaphore_init DYNALOCK_SIZED(dynalock_semaphore_init)
#define dynalock_semaphore_lock DYNALOCK_SIZED(dynalock_semaphore_lock)
#define dynalock_set_alarm DYNALOCK_SIZED(dynalock_set_alarm)
#define dynalock_set_clock DYNALOCK_SIZED(dynalock_set_clock)
#define dynalock_set_credentials DYNALOCK_SIZED(dynalock_set_credentials)
#define dynalock_set_data DYNALOCK_SIZED(dynalock_set_data)
#define dynalock_set_lease DYNALOCK_SIZED(dynalock_set_lease)
#define dynalock_set_provider DYNALOCK_SIZED(dynalock_set_provider)
#define dynalock_start_acquire DYNALOCK_SIZED(dynalock_start_acquire)
#define dynalock_start_break DYNALOCK_SIZED(dynalock_start_break)
#define dynalock_start_call DYNALOCK_SIZED(dynalock_start_call)
#define dynalock_start_group_acquire                                          \
    DYNALOCK_SIZED(dynalock_start_group_acquire)
#define dynalock_start_group_release                                          \
    DYNALOCK_SIZED(dynalock_start_group_release)
#define dynalock_start_group_renew DYNALOCK_SIZED(dynalock_start_group_renew)
#define dynalock_start_list DYNALOCK_SIZED(dynalock_start_list)
#define dynalock_start_read DYNALOCK_SIZED(dynalock_start_read)
#define dynalock_start_release DYNALOCK_SIZED(dynalock_start_release)
#define dynalock_start_release_restored                                       \
    DYNALOCK_SIZED(dynalock_start_release_restored)
#define dynalock_start_renew DYNALOCK_SIZED(dynalock_start_renew)
#define dynalock_start_semaphore_acquire                                      \
    DYNALOCK_SIZED(dynalock_start_semaphore_acquire)
#define dynalock_start_table_check DYNALOCK_SIZED(dynalock_start_table_check)
#define dynalock_start_table_create DYNALOCK_SIZED(dynalock_start_table_create)
#define dynalock_start_tidy DYNALOCK_SIZED(dynalock_start_tidy)
#define dynalock_start_watch DYNALOCK_SIZED(dynalock_start_watch)
#define dynalock_table_check DYNALOCK_SIZED(dynalock_table_check)
#define dynalock_table_create DYNALOCK_SIZED(dynalock_table_create)
#define dynalock_tidy DYNALOCK_SIZED(dynalock_tidy)
#define dynalock_tls_init DYNALOCK_SIZED(dynalock_tls_init)
#define dynalock_unseal DYNALOCK_SIZED(dynalock_unseal)
#define dynalock_use_fips DYNALOCK_SIZED(dynalock_use_fips)
#define dynalock_wants DYNALOCK_SIZED(dynalock_wants)

/* ===================================================================== */
/* == interface                                                          */
/* ===================================================================== */

#ifdef __cplusplus
extern "C" {
#endif

/*
Conventions, said once:

 - Times are milliseconds. Durations are uint32_t; points on the monotonic
   clock are uint64_t; wall clock times are int64_t since 1970-01-01 UTC.
 - THE CONFIG IS COPIED, BUT EVERY STRING AND OBJECT IN IT IS KEPT BY POINTER
   and must outlive the client (for lock options: the lock). In C++, do not
   pass the c_str() of a temporary.
 - A client, a lock, a record or a tls object must not be copied or moved
   while it is in use (a lock: from start until its last outcome).
 - Not one function may be called from two threads at once for one client,
   unless the platform has enter and leave: see SEVERAL THREADS.
 - Two locks on one key, in one client: SAME_KEY; in two clients, even of one
   process and owner: strangers to each other, as on two devices. A lock that
   is held cannot be acquired: HELD, and nothing is sent. There is no counting:
   a scope within a scope of the same lock does not run.
*/

/*
How a call ended. Only DYNALOCK_OK grants anything. DYNALOCK_AGAIN comes from
dynalock_start_*, dynalock_poll, dynalock_result, dynalock_check, the open hook
and a source's step alone. All others are negative, in groups by who can mend
it. "Any" below means any call that talks to the service: acquire, renew,
release, read, tidy, call, table_*.
*/
/* clang-format off */
typedef enum dynalock_outcome {
    DYNALOCK_OK = 0,
    DYNALOCK_AGAIN = 1,

    /* The caller. Nothing was sent, nothing has changed (but: call). The
       calls named are the usual ones; each function says more. */
    DYNALOCK_BAD_ARGUMENT = -10,   /* NULL, or a hook is missing: all        */
    DYNALOCK_BAD_KEY = -11,        /* empty, over 2048 bytes (sort key 1024),
                                      not UTF-8: lock_init, read; a bad name
                                      of an attribute: client_init; one with
                                      quotes, backslashes or control
                                      characters: list                       */
    DYNALOCK_BAD_TABLE = -12,      /* not 3..255 of A-Za-z0-9_.-: client_init,
                                      lock_init, read, table_*               */
    DYNALOCK_BAD_LEASE = -13,      /* no use left within the margin, over 24
                                      days, or a margin over 500 per mille:
                                      client_init, acquire, set_lease        */
    DYNALOCK_BAD_REGION = -14,     /* missing, or not an AWS region name:
                                      client_init; has no such host: use_fips*/
    DYNALOCK_BAD_ENDPOINT = -15,   /* not http(s)://host[:port], or the host
                                      is too long: client_init               */
    DYNALOCK_BAD_OWNER = -16,      /* empty, not UTF-8 or over
                                      DYNALOCK_OWNER_SIZE - 1: client_init   */
    DYNALOCK_BAD_TLS = -17,        /* https without tls or secure_transport,
                                      http with one, or no trust anchor:
                                      client_init                            */
    DYNALOCK_BAD_BUFFER = -18,     /* the caller's memory is too small:
                                      posix_anchors, fence_*; too small for
                                      the names of the table's keys: list.
                                      call: done, but the answer did not fit */
    DYNALOCK_NO_ENTROPY = -19,     /* the entropy hook failed: client_init,
                                      acquire, any over TLS                  */
    DYNALOCK_IN_USE = -20,         /* this object has a call under way: all
                                      start_*, acquire, renew, release, read */
    DYNALOCK_SAME_KEY = -21,       /* another lock of this client has this
                                      key in use: acquire                    */
    DYNALOCK_HELD = -22,           /* already held by this lock: acquire     */
    DYNALOCK_NOT_HELD = -23,       /* never acquired, or given back before:
                                      renew, release, set_lease, save, check */
    DYNALOCK_NO_FILE = -24,        /* cannot be read: posix_anchors          */
    DYNALOCK_BAD_FILE = -25,       /* no certificate in it: posix_anchors    */
    DYNALOCK_BAD_BLOB = -26,       /* not a saved one, damaged, or of another
                                      owner: restore                         */
    DYNALOCK_BAD_SEAL = -27,       /* another key, another item's data, or
                                      altered: unseal                        */

    /* The lock. */
    DYNALOCK_BUSY = -30,           /* held by client.detail.holder: acquire
                                      without waiting                        */
    DYNALOCK_TIMEOUT = -31,        /* still busy at the deadline: acquire    */
    DYNALOCK_LOST_EXPIRED = -32,   /* the lease ran out: renew, release,
                                      acquire, and the result of a lock that
                                      was held                               */
    DYNALOCK_LOST_STOLEN = -33,    /* another owner has it: as above         */
    DYNALOCK_LOST_VANISHED = -34,  /* somebody deleted the item: as above    */
    DYNALOCK_LOST_RELEASED = -35,  /* somebody released it: as above         */
    DYNALOCK_UNKNOWN = -36,        /* a write is unanswered. It is being taken
                                      back by dynalock_poll; until then the
                                      lock is not held here but may look held
                                      to others: acquire, release            */
    DYNALOCK_CANCELLED = -37,      /* dynalock_cancel, the wait hook, close  */
    DYNALOCK_NOT_A_LOCK = -38,     /* the item at this key is not understood
                                      and is left alone: acquire             */
    DYNALOCK_DANGER = -39,         /* held, but not for longer than the alarm's
                                      safe_ms: check, notify                 */
    DYNALOCK_KEPT = -40,           /* held, granted less than an hour ago, or
                                      not there: tidy; not any more what was
                                      shown: break                           */
    DYNALOCK_KEY_TOO_LONG = -41,   /* a page ends at a key that does not fit
                                      DYNALOCK_CURSOR_SIZE: what lies behind
                                      it is not listed: list                 */
    DYNALOCK_CONDITION = -42,      /* a condition of the caller's own did not
                                      hold, nothing was written: call        */

    /* The network. */
    DYNALOCK_UNREACHABLE = -50,    /* no connection (detail.port_error): any */
    DYNALOCK_DISCONNECTED = -51,   /* cut before the answer was whole: any   */
    DYNALOCK_NO_ANSWER = -52,      /* silence for the connect or the request
                                      timeout: any                           */
    DYNALOCK_BAD_ANSWER = -53,     /* not HTTP, not JSON, or damaged: any    */

    /* TLS. detail.tls_error has BearSSL's number. */
    DYNALOCK_TLS_NO_HANDSHAKE = -60, /* the peer does not answer in TLS 1.2
                                      (plain text? TLS 1.3 only?): any       */
    DYNALOCK_TLS_UNTRUSTED = -61,  /* not issued under the trust anchors, or
                                      not a sound certificate: any           */
    DYNALOCK_TLS_NAME = -62,       /* certificate of another host: any       */
    DYNALOCK_TLS_DATE = -63,       /* expired or not yet valid, or this
                                      device's clock is wrong: any           */
    DYNALOCK_TLS_RECORD = -64,     /* a record is larger than
                                      DYNALOCK_TLS_BUFFER: any               */
    DYNALOCK_TLS_FAILED = -65,     /* anything else that TLS refused: any    */

    /* The clock. */
    DYNALOCK_CLOCK_UNSET = -70,    /* unix_ms says "unknown": any            */
    DYNALOCK_CLOCK_SKEW = -71,     /* the service finds the signature's time
                                      too far off, and its Date did not help
                                      or is not to be trusted: any           */

    /* The credentials. */
    DYNALOCK_CREDENTIALS_MISSING = -75,  /* none given: client_init,
                                            set_credentials; the provider's
                                            source has none: any             */
    DYNALOCK_CREDENTIALS_REFUSED = -76,  /* unknown key, wrong signature: any*/
    DYNALOCK_CREDENTIALS_EXPIRED = -77,  /* temporary ones, expired: any     */
    DYNALOCK_DENIED = -78,         /* they lack the right: any               */
    DYNALOCK_CREDENTIALS_NOT_OFFERED = -79, /* a profile or the environment asks
                                      for a way to them that is not here: any*/

    /* The service. detail has its own words. */
    DYNALOCK_THROTTLED = -80,      /* too many requests, or conflicts: any   */
    DYNALOCK_SERVICE_FAILED = -81, /* 5xx: any                               */
    DYNALOCK_SERVICE_REFUSED = -82,/* any other refusal: any                 */

    /* The table. */
    DYNALOCK_TABLE_MISSING = -90,  /* no such table in this region: any      */
    DYNALOCK_TABLE_SHAPE = -91,    /* its keys have other names or types: any*/
    DYNALOCK_TABLE_NOT_READY = -92,/* it is being created or deleted, or cannot
                                      be used: table_*                       */
    DYNALOCK_TABLE_TTL = -93       /* TTL is off, or on an attribute that is
                                      not the config's: table_*              */
} dynalock_outcome;
/* clang-format on */

/* One sentence a person can act on. Never NULL. */
DYNALOCK_API const char *dynalock_explain(dynalock_outcome outcome);

#define DYNALOCK_FOREVER 0xffffffffu
#define DYNALOCK_EOF (-2147483647 - 1) /* read hook: the peer closed */
#define DYNALOCK_READ 1u  /* interest: the socket is readable (or closed) */
#define DYNALOCK_WRITE 2u /* interest: the socket is writable (connected) */

typedef struct dynalock_client dynalock_client;
typedef struct dynalock_lock dynalock_lock;
typedef struct dynalock_record dynalock_record;
typedef struct dynalock_tls dynalock_tls;
typedef struct dynalock_sink dynalock_sink; /* private */

/* Tables are functions that return one of their parts, so that position
   independence makes no pointer of them data that a loader has to write. All
   is private but the names: a layout and a claim are declared as
   dynalock_layout * and dynalock_claim *, without const. */
typedef union dynalock_step dynalock_step;
typedef union dynalock_stream_part dynalock_stream_part;
typedef union dynalock_layout_part dynalock_layout_part;
typedef dynalock_step dynalock_steps(unsigned which);
typedef dynalock_stream_part dynalock_stream(unsigned which);
typedef dynalock_layout_part dynalock_layout(unsigned which);
struct dynalock_item;
typedef const char *dynalock_claim(
    const dynalock_lock *lock, const struct dynalock_item *item);

/* What platform.log is told. The numbers stay; the hundreds are the level: 1
   error, 2 warning, 3 news, 4 detail. The text that comes along is what stands
   behind the bar; never a secret. */
typedef enum dynalock_log_id {
    DYNALOCK_LOG_LOST = 101,      /* a held lock is lost | its key */
    DYNALOCK_LOG_LEFT = 102,      /* a write could not be taken back | key */
    DYNALOCK_LOG_FAILED = 201,    /* a request failed | the service's error
                                     type, or the operation */
    DYNALOCK_LOG_UNKNOWN = 202,   /* a write is unanswered | key */
    DYNALOCK_LOG_CLOCK = 203,     /* the clock was off, and mended | host */
    DYNALOCK_LOG_REFRESH = 204,   /* credentials are asked for | host */
    DYNALOCK_LOG_GRANTED = 301,   /* a lock was acquired | key */
    DYNALOCK_LOG_RELEASED = 302,  /* given back | key */
    DYNALOCK_LOG_CONNECTED = 303, /* | host */
    DYNALOCK_LOG_CLOSED = 401,    /* the connection | host */
    DYNALOCK_LOG_SENT = 402,      /* a request has left | the operation */
    DYNALOCK_LOG_ANSWERED = 403,  /* it was answered | the operation */
    DYNALOCK_LOG_RENEWED = 404,   /* a held lock | key */
    DYNALOCK_LOG_WATCHED = 405    /* somebody's lock is waited for | owner */
} dynalock_log_id;

/* Whom to connect to. Valid during the open hook only. */
typedef struct dynalock_peer {
    const char *host; /* name, without port, NUL-terminated */
    uint16_t port;
    uint8_t secure; /* 1: the port itself must do TLS (secure_transport)*/
} dynalock_peer;

/*
The port: everything the outside world gives. Belongs to the caller and must
outlive the client; `context` is handed to each function. No function may
block longer than a moment, except open's name resolution and wait.
*/
typedef struct dynalock_platform {
    void *context;
    /* 0: connected. DYNALOCK_AGAIN: not yet, call again with the same peer.
       Any other: the port's error, kept in detail.port_error; close is not
       called then. */
    int32_t (*open)(void *context, const dynalock_peer *peer);
    /* > 0: so many bytes taken. 0: not now. < 0: the port's error. */
    int32_t (*write)(void *context, const void *data, size_t size);
    /* > 0: so many bytes read. 0: nothing now. DYNALOCK_EOF: the peer closed.
       Any other < 0: the port's error. */
    int32_t (*read)(void *context, void *data, size_t size);
    /* Ends the connection, or an open under way. */
    void (*close)(void *context);
    /* Never steps back, counts sleep (CLOCK_BOOTTIME), rate within the margin.
       32-bit ticks: see dynalock_extend_ticks. */
    uint64_t (*monotonic_ms)(void *context);
    /* The wall clock; 0 = unknown. Signs requests, dates certificates and
       orders fences; decides nothing about leases. */
    int64_t (*unix_ms)(void *context);
    /* Fills out[]. 0: done. < 0: none to be had. */
    int32_t (*entropy)(void *context, void *out, size_t size);
    /* Optional (NULL), needed by the blocking calls: sleep up to ms, less if
       the socket becomes ready for `interest` (DYNALOCK_READ | _WRITE; 0: just
       sleep). Nonzero: give up, the call ends in DYNALOCK_CANCELLED. */
    int32_t (*wait)(void *context, unsigned interest, uint32_t ms);
    /* Optional: a mutex, held for one step only and never across wait. */
    void (*enter)(void *context);
    void (*leave)(void *context);
    /* Optional: what happens, as far as DYNALOCK_LOG goes. Called within a
       step: it must not block, nor call the client. */
    void (*log)(void *context, dynalock_log_id id, const char *text);
} dynalock_platform;

/* Belongs to the caller, as do its strings. token may be NULL, of any length.
   To change them: dynalock_set_credentials. To have them fetched:
   dynalock_provider. */
typedef struct dynalock_credentials {
    const char *key_id;
    const char *secret;
    const char *token;
} dynalock_credentials;

/* Zero in any field means the default. */
typedef struct dynalock_config {
    const dynalock_platform *platform;
    const dynalock_credentials *credentials;
    dynalock_tls *tls;         /* NULL: plain, or secure_transport */
    dynalock_layout *layout;   /* NULL: dynalock_standard() */
    const char *table;         /* 3..255 of A-Za-z0-9_.- */
    const char *region;        /* "eu-central-1" */
    const char *endpoint;      /* NULL: https, the region's AWS host; else
                                   "https://host[:port]", "http://..." */
    const char *owner;         /* NULL: 128 random bits in hex */
    const char *key_name;      /* the partition key's name; "key" */
    const char *sort_key_name; /* the sort key's name; NULL: the table has
                                   none */
    const char *ttl_attribute; /* the table's TTL attribute; NULL: none */
    uint32_t ttl_s;            /* its distance past the lease, in seconds;
                                   0: one hour. At least 3600. */
    uint32_t lease_ms;         /* 20000 */
    uint32_t poll_ms;          /* how often a waiter looks; 1000.
                                   DYNALOCK_FOREVER: never: it writes when the
                                   lease that it knows of is over */
    uint32_t lock_delay_ms;    /* what a waiter lets pass beyond the lease
                                   of a holder that did not release, for
                                   resources that check no fence; 0 */
    uint32_t connect_ms;       /* longest time to open a stream; 10000 */
    uint32_t request_ms;       /* longest time for an answer; 5000. Never
                                   over a quarter of a lease that is held */
    uint32_t base_ms, cap_ms;  /* full-jitter backoff; 50, 5000 */
    uint16_t attempts;         /* tries of one request without waiting; 3 */
    uint16_t margin_per_mille; /* by how much clock rates may differ; 10. At
                                  most 500 */
    uint8_t no_ttl;            /* 1: write no TTL, remove it where found */
    uint8_t delete_on_release; /* 1: with no_ttl: a release sets it, ttl_s
                               ahead, so that the table deletes what nobody
                               takes again; needs ttl_attribute */
    uint8_t secure_transport;  /* 1: the port itself does TLS (a modem) */
    uint8_t manual_renew;      /* 1: dynalock_poll renews nothing itself */
    /* Optional, and the provider's if there is one (dynalock_set_provider):
       asked once when credentials are refused or have expired, within a step:
       it must not block, nor call this client. Fresh ones, which belong to the
       caller as the first did; NULL: there are none. */
    const dynalock_credentials *(*refresh)(void *context);
    void *refresh_context;
} dynalock_config;

/* What the last failure looked like from close by. Text is cut to fit. */
typedef struct dynalock_detail {
    int32_t port_error; /* of the platform's hooks */
    int32_t tls_error;  /* BearSSL's */
    uint16_t http_status;
    char type[48];     /* the service's error type, without prefix */
    char message[128]; /* the service's words */
    char request_id[56];
    uint32_t holder_lease_ms; /* this and the next outlast later requests */
    char holder[DYNALOCK_OWNER_SIZE]; /* owner name last seen on a live lock
                                         of somebody else */
} dynalock_detail;

/* An item's place. The struct is copied; its strings must last until the call
   (of a lock: the lock) has ended. */
typedef struct dynalock_name {
    const char *key;      /* 1..2048 bytes of UTF-8 */
    const char *sort_key; /* 1..1024; NULL: none */
    const char *table;    /* NULL: the client's */
} dynalock_name;

/* Private: one call under way. The first member of lock and record, so that
   &lock.operation serves dynalock_result and dynalock_cancel. */
typedef struct dynalock_operation {
    uint8_t state;
    uint8_t attempts;
    int32_t outcome; /* dynalock_outcome */
    dynalock_steps *steps;
    struct dynalock_operation *next; /* in the client's list */
    dynalock_client *client;         /* NULL: not in a list */
    dynalock_name name;
    uint64_t due;      /* when it wants to act next */
    uint64_t deadline; /* when the call ends */
} dynalock_operation;

typedef struct dynalock_lock_options {
    const char *key;
    const char *sort_key; /* NULL: none */
    const char *table;    /* NULL: the client's */
    uint32_t lease_ms;    /* 0: the client's */
    /* NULL, or DYNALOCK_SAME_OWNER: until the first grant this lock takes over
       what an earlier life of this owner has left, at once. ONLY where one
       process and one lock object use the owner's name, and never while an
       earlier life may go on. */
    dynalock_claim *claim;
} dynalock_lock_options;

/* One lock. All private. Belongs to the caller. Small values take whole words,
   and words stand first: that makes short instructions. */
struct dynalock_lock {
    dynalock_operation operation;
    uint32_t memory;        /* of this call: dl_memory */
    int32_t ending;         /* outcome when the release is answered */
    int32_t failure;        /* outcome when the deadline passes */
    uint32_t lease_ms;      /* 0: the client's */
    uint32_t sent_lease_ms; /* of the write under way */
    uint32_t held_lease_ms; /* of the hold */
    uint32_t watch_lease_ms;
    uint32_t counter; /* of the last request sent */
    uint32_t data_size;
    const uint8_t *data;
    dynalock_claim *claim;   /* what may entitle it; NULL: nothing */
    dynalock_claim *through; /* what the write under way relies on */
    struct dynalock_alarm *alarm;
    void (*put_data)(dynalock_sink *, const uint8_t *data, size_t size);
    uint64_t base;      /* before the last request was sent */
    uint64_t until;     /* end of the hold; 0: not held */
    uint64_t token;     /* fence of the hold */
    uint64_t fence;     /* sent last */
    uint64_t top_fence; /* highest seen or granted for this key */
    uint64_t watch_since;
    uint64_t watch_fence;
    uint8_t acquisition[16];
    char claim_rvn[DYNALOCK_RVN_SIZE];
    char data_letter; /* D: an acquire sets it, N: removes it, 0: keeps it */
    uint8_t data_due; /* so must the next renewal or release */
};

typedef enum dynalock_status {
    DYNALOCK_ABSENT,   /* no item */
    DYNALOCK_RELEASED, /* free */
    DYNALOCK_LOCKED,   /* somebody's, or was: one look never says "expired" */
    DYNALOCK_FOREIGN   /* an item that is not understood */
} dynalock_status;

/* What dynalock_read found. An owner or version number that does not fit makes
   an item DYNALOCK_FOREIGN. Data: see dynalock_data. */
#define DYNALOCK_TOO_LONG 0xffffffffu
#define DYNALOCK_DATA_TEXT ((DYNALOCK_DATA_SIZE + 2) / 3 * 4)
struct dynalock_record {
    dynalock_operation operation;
    dynalock_status status;
    uint32_t lease_ms;
    uint64_t fence;     /* 0: none */
    uint32_t data_size; /* of the base64 text */
    uint32_t data_is_text;
    char owner[DYNALOCK_OWNER_SIZE];
    char rvn[DYNALOCK_RVN_SIZE];
    char data[DYNALOCK_DATA_TEXT + 1];
};

/* ---- private types, here because the client holds them ---- */

struct dynalock_sink { /* takes bytes: the first member of what they go to */
    void (*take)(dynalock_sink *sink, const void *data, size_t size);
};

typedef struct dynalock_hmac_key { /* SHA-256 states after the two pads */
    uint32_t inner[8];
    uint32_t outer[8];
} dynalock_hmac_key;

typedef struct dynalock_signing_key {
    dynalock_hmac_key key;
    char day[9]; /* it was made for: YYYYMMDD and NUL */
} dynalock_signing_key;

/* All that a signature covers besides the body. The path is always "/", the
   query empty and the headers few and sorted: nothing to encode or sort. */
typedef struct dynalock_signing {
    const dynalock_credentials *credentials;
    const char *region;
    const char *host;
    uint16_t port;       /* part of the Host header; 0: the default one */
    const char *target;  /* "UpdateItem" */
    const char *newline; /* of the headers: as signed, or as sent */
    uint32_t body_size;
    uint8_t digest[32]; /* of the body, of the canonical request, then the
                           signature */
    char date[17];      /* YYYYMMDDTHHMMSSZ and NUL */
} dynalock_signing;

#define DYNALOCK_LINE 96 /* of a header: what comes behind is dropped */

typedef struct dynalock_response {
    uint8_t state;
    uint8_t seen; /* headers that were there: dl_seen */
    uint16_t status;
    uint16_t line_size; /* may exceed line[]: the rest was dropped */
    uint16_t overhead;  /* bytes of header lines so far */
    uint32_t left;      /* of the body or chunk */
    uint32_t crc;       /* of the body so far */
    uint32_t promised_crc;
    uint32_t date; /* in seconds since 1970; 0: none that counts */
    dynalock_sink *body;
    char line[DYNALOCK_LINE + 1];
    char request_id[56];
} dynalock_response;

typedef struct dynalock_utf8 {
    uint8_t more; /* continuation bytes to come */
    uint8_t last; /* byte */
} dynalock_utf8;

#define DYNALOCK_DEPTH 96 /* one more than containers within another */

typedef struct dynalock_want { /* see dl_root_want */
    const char *name;          /* NULL ends the list */
    uint16_t limit; /* of the value's text, quotes and shape included */
    uint8_t expect;
} dynalock_want;

typedef struct dynalock_filter {
    dynalock_sink sink; /* takes the document */
    uint8_t state;
    uint8_t depth;
    uint8_t keep;        /* dl_keep */
    uint8_t expect;      /* dl_expect */
    uint8_t value_depth; /* where the value under way ends */
    uint8_t in_name;
    uint8_t literal; /* index of its next letter */
    dynalock_utf8 utf8;
    uint16_t size, used; /* of out[] */
    uint16_t mark;       /* where the name or value under way begins in out */
    uint16_t start;      /* where the string under way begins */
    uint16_t unit;       /* where its last character begins */
    uint16_t limit;      /* where it must end */
    uint16_t found;      /* bits: wanted names that were met */
    uint16_t surrogate;  /* first half of a pair */
    uint32_t code_point; /* of the escape, behind a leading 1 */
    char *out;
    const dynalock_want *wants; /* attributes of the item to keep */
    char open[DYNALOCK_DEPTH];  /* the brackets at depths 1, 2 ... */
} dynalock_filter;

/* Makes documents of an answer's items. */
typedef struct dynalock_splitter {
    uint8_t part;      /* dl_part */
    uint8_t seen;      /* bits: the parts that were met */
    uint16_t out_size; /* memory for an item */
    uint16_t key_size; /* memory for the key that the answer ends with */
    uint16_t key_used; /* more than there is: it was too long */
    char *out;
    char *key;
    const dynalock_want *wants;                       /* of an item */
    void (*each)(struct dynalock_splitter *splitter); /* an item is whole */
    dynalock_filter filter;                           /* the item under way */
} dynalock_splitter;
/* See == reader. */
typedef struct dynalock_reader {
    dynalock_sink sink; /* takes the answer */
    dynalock_filter *filter;
    const char *names; /* see == reader */
    void (*found)(struct dynalock_reader *reader, uint32_t path,
        const char *text, size_t size);
    uint32_t path;
    uint8_t lent; /* the filter keeps a text for the reader */
} dynalock_reader;

typedef struct dynalock_exchange {
    uint8_t state;
    uint8_t interest;
    uint8_t fate;   /* dl_fate */
    uint8_t reused; /* the stream has served before */
    uint16_t window_used;
    dynalock_operation *operation; /* NULL: nothing is under way */
    uint32_t total;                /* head and body */
    uint32_t sent;
    uint32_t window_at; /* offset of the window in the request */
    uint64_t deadline;
    uint64_t began;
    uint64_t unix_ms; /* of the signature */
} dynalock_exchange;

typedef struct dynalock_token { /* the shape of jsmn's */
    int32_t words[5];
} dynalock_token;

#define DYNALOCK_TOKENS 36

/* A filtered document and its tokens; token 0 is the root object. */
typedef struct dynalock_json {
    char *text;
    const dynalock_token *tokens;
    int32_t count; /* 0: nothing was understood */
} dynalock_json;

#define DYNALOCK_ANSWER_SIZE                                                  \
    (2 * DYNALOCK_OWNER_SIZE + 2 * DYNALOCK_RVN_SIZE +                        \
        (DYNALOCK_DATA_SIZE * 4) / 3 + 768)

/* A request is sent before its answer is read: they share memory. */
typedef union dynalock_memory {
    char window[DYNALOCK_TRANSMIT_WINDOW];
    struct {
        dynalock_token tokens[DYNALOCK_TOKENS];
        char text[DYNALOCK_ANSWER_SIZE];
    } answer;
} dynalock_memory;

/* Belongs to the caller. `detail` may be read, and a source's step sets
   exchange.interest; all else is private. What is used often stands first:
   short offsets make short instructions. */
struct dynalock_client {
    dynalock_exchange exchange;
    uint64_t now; /* of the step under way */
    dynalock_operation *operations;
    dynalock_stream *stream;
    dynalock_config config;
    dynalock_signing signing;
    dynalock_want wants[7]; /* what of an item is read, as the layout has it */
    uint32_t random;
    uint32_t acquisitions;
    int32_t worst;   /* outcome of what has ended, for close */
    int64_t skew_ms; /* what the wall clock lacks */
    uint16_t port;
    uint8_t clock_is_set; /* by hand: counted by the monotonic clock */
    uint8_t learnt;       /* the last answer has corrected it */
    uint8_t refreshed;    /* no answer yet to the refreshed credentials */
    uint32_t round_trip;  /* ms, of the last request that was answered */
    dynalock_response response;
    dynalock_filter filter;
    dynalock_json json; /* what the filter has kept */
    dynalock_signing_key signing_key;
    dynalock_detail detail;
    char owner[36];
    char host[DYNALOCK_HOST_SIZE]; /* without port, for the socket and TLS */
    dynalock_memory memory;
};

/* ---- TLS ---- */

#ifndef DYNALOCK_NO_TLS
/* A choice of algorithms. Private; named by the functions below so that what
   nobody names is not linked. */
typedef void dynalock_tls_profile(dynalock_tls *tls);

/* Private: reads what the server's certificate may be used for. */
typedef struct dynalock_usage {
    uint32_t length, left; /* of the element under way; of its value */
    uint8_t name[8], used; /* of an object identifier, as far as it fits */
    uint8_t tag, octets, level;
    uint8_t said;
} dynalock_usage;

/* One connection's TLS. Belongs to the caller, serves one client. The anchors
   may be shared between clients and must outlive them. */
struct dynalock_tls {
    /* first: all that a client knows of it */
    dynalock_stream *stream;
    dynalock_tls_profile *profile;
    const br_x509_trust_anchor *anchors;
    size_t anchor_count;
    br_ssl_client_context client;
    br_x509_minimal_context x509;
    br_ssl_session_parameters session;
    const struct dynalock_iot *iot; /* whose certificate is presented */
    br_x509_class strict;
    dynalock_usage usage;
    uint8_t state;
    uint8_t buffer[DYNALOCK_TLS_BUFFER];
};

/* ECDHE on P-256 with RSA or ECDSA certificates, AES-128-GCM, SHA-256 only:
   enough for AWS. Cannot use anchors or chains that are signed with SHA-384/512
   or hold P-384/521 keys (Amazon Root CA 4). */
DYNALOCK_API dynalock_tls_profile *dynalock_tls_small(void);
/* ChaCha20-Poly1305, SHA-384/512, P-384, P-521 and X25519 too: for a host's
   whole certificate store. */
DYNALOCK_API dynalock_tls_profile *dynalock_tls_wide(void);
/* The same, for where one authority signs servers and clients: a server whose
   certificate has an extended key usage without serverAuth is TLS_UNTRUSTED.
   One without that extension may be used for anything. */
DYNALOCK_API dynalock_tls_profile *dynalock_tls_small_strict(void);
DYNALOCK_API dynalock_tls_profile *dynalock_tls_wide_strict(void);

/* Readies tls for a client's config. Keeps anchors by pointer. Nothing can
   fail here; client_init checks what was given. */
DYNALOCK_API void dynalock_tls_init(dynalock_tls *tls,
    dynalock_tls_profile *profile, const br_x509_trust_anchor *anchors,
    size_t anchor_count);
#endif

#if !defined(DYNALOCK_NO_TLS) && !defined(DYNALOCK_NO_AMAZON)
/* Fills list[DYNALOCK_AMAZON_ANCHORS] with the roots under which AWS' hosts
   have their certificates, and returns how many: Amazon Root CA 1 to 4 and
   Starfield Services Root CA G2. 2 KB of flash where it is called.
   amazontrust.com, "Amazon Trust Services" */
#define DYNALOCK_AMAZON_ANCHORS 5u
DYNALOCK_API size_t dynalock_amazon_anchors(br_x509_trust_anchor *list);
#endif

/*
Layouts, for config.layout: whose items these are, so that devices share locks
with that library. What each can promise stands in README.md, "Sharing a table".
sort_key_name, where the table has a sort key, is up to the caller, as always.

standard            awslabs/amazon-dynamodb-lock-client (Java), and a fence
for_dynamolock      cirello-io/dynamolock (Go): the same, with leases that it
                    can read ("20000ms"); Java cannot
for_dynalock_py     DynaLock, the Python package dynalock: key LockId
for_dynamo_dlm      the Python package dynamo-dlm: key resource_id; for 2.x
                    sort_key_name is "concurrency_id", and the sort key the
                    number of a permit ("0", "1" ...)
for_chainsaws       the Python package chainsaws, 0.0.183: key _pk, which is
                    "distributed_lock#lock_id#" and its lock_id; sort key _sk,
                    which is "lock_key#Slock|"
for_dynalock_go     kmdeveloping/dynalock (Go); data is text
*/
DYNALOCK_API dynalock_layout *dynalock_standard(void);
DYNALOCK_API dynalock_layout *dynalock_for_dynamolock(void);
DYNALOCK_API dynalock_layout *dynalock_for_dynalock_py(void);
DYNALOCK_API dynalock_layout *dynalock_for_dynamo_dlm(void);
DYNALOCK_API dynalock_layout *dynalock_for_chainsaws(void);
DYNALOCK_API dynalock_layout *dynalock_for_dynalock_go(void);

/* For dynalock_lock_options.claim. */
#define DYNALOCK_SAME_OWNER dynalock_same_owner()
DYNALOCK_API dynalock_claim *dynalock_same_owner(void);

/* ---- client and lock ---- */

/*
Checks the config, copies it, sends nothing. On any outcome but DYNALOCK_OK
the client is not usable. Returns BAD_ARGUMENT, BAD_TABLE, BAD_REGION,
BAD_ENDPOINT, BAD_OWNER, BAD_KEY, BAD_LEASE, BAD_TLS, CREDENTIALS_MISSING,
NO_ENTROPY.
*/
DYNALOCK_API dynalock_outcome dynalock_client_init(
    dynalock_client *client, const dynalock_config *config) DYNALOCK_CHECKED;

/*
Ends every call under way, releases what is held, closes the connection, wipes
the keys: within wait_ms. DYNALOCK_OK: all that was held was given back; a lock
whose lease was over is lost, and stays on the table as it is.
DYNALOCK_UNKNOWN: some release is unanswered; that lease runs out by itself.
Otherwise the outcome of one that was not given back.
*/
DYNALOCK_API dynalock_outcome dynalock_client_close(
    dynalock_client *client, uint32_t wait_ms);

/* Replaces the credentials and forgets the key derived from the old ones.
   CREDENTIALS_MISSING: they are incomplete, the old ones stay. */
DYNALOCK_API dynalock_outcome dynalock_set_credentials(dynalock_client *client,
    const dynalock_credentials *credentials) DYNALOCK_CHECKED;

/* Tells a device without a wall clock the time: from now on it is counted by
   the monotonic clock instead of unix_ms. What the service's Date says over TLS
   corrects either, for signatures, fences and TTLs; never for leases. Signing
   needs the time to about five minutes, TLS to the certificates' dates.
   BAD_ARGUMENT. */
DYNALOCK_API dynalock_outcome dynalock_set_clock(
    dynalock_client *client, int64_t unix_ms) DYNALOCK_CHECKED;

/* Readies a lock, and forgets what it watched. NEVER FOR ONE THAT IS HELD, HAS
   A CALL UNDER WAY OR ENDED IN UNKNOWN: its client still points to it until
   dynalock_poll says OK, or dynalock_client_close. BAD_ARGUMENT, BAD_KEY,
   BAD_TABLE. */
DYNALOCK_API dynalock_outcome dynalock_lock_init(dynalock_lock *lock,
    const dynalock_lock_options *options) DYNALOCK_CHECKED;

/*
Takes the lock. wait_ms: 0 = one try (DYNALOCK_BUSY when another holds it),
else wait so long (DYNALOCK_TIMEOUT), or DYNALOCK_FOREVER. What a short call
has watched of a dead holder's lease counts for the next one. With 0 it takes
connect_ms + request_ms at most, and as long again if an earlier write of this
lock must be taken back first. BAD_ARGUMENT (also: no wait hook), BAD_KEY,
BAD_LEASE, HELD, SAME_KEY, IN_USE, NO_ENTROPY, NOT_A_LOCK, UNKNOWN, CANCELLED,
LOST_EXPIRED (granted, but the device stood still for the lease), any.
*/
DYNALOCK_API dynalock_outcome dynalock_acquire(dynalock_client *client,
    dynalock_lock *lock, uint32_t wait_ms) DYNALOCK_CHECKED;

/* Renews now. On a network failure the lock is held as long as before:
   dynalock_remaining_ms() knows. LOST_*, NOT_HELD, IN_USE, CLOCK_UNSET,
   CANCELLED, any. */
DYNALOCK_API dynalock_outcome dynalock_renew(
    dynalock_client *client, dynalock_lock *lock) DYNALOCK_CHECKED;

/* Gives back. Not held from the moment it is called, whatever it returns.
   UNKNOWN: unanswered within connect_ms + request_ms, later polls see to it.
   LOST_*, NOT_HELD, IN_USE, any. */
DYNALOCK_API dynalock_outcome dynalock_release(
    dynalock_client *client, dynalock_lock *lock);

/* Gives back all that this client holds, within wait_ms; calls that are under
   way go on. DYNALOCK_OK: all was given back. Otherwise the outcome of one that
   was not, DYNALOCK_UNKNOWN if it is unanswered: later polls send it on. */
DYNALOCK_API dynalock_outcome dynalock_release_all(
    dynalock_client *client, uint32_t wait_ms);

/* Looks at an item. DYNALOCK_OK: record->status says what it is. */
DYNALOCK_API dynalock_outcome dynalock_read(dynalock_client *client,
    const dynalock_name *name, dynalock_record *record) DYNALOCK_CHECKED;

/* About when the lock with this fence was granted, in Unix milliseconds; 0: not
   known (no fence). That is when the granted device signed its request, by its
   own clock: signatures hold that to within 5 minutes of the service's (15 at
   some), Date over TLS to about 3 s. It is too late where the fence had to
   exceed an earlier one of a device whose clock was ahead, and for a lock that
   was released it may be that of a later try. For the eye: nothing follows from
   it. */
DYNALOCK_API int64_t dynalock_granted_ms(uint64_t fence);

/*
Follows an item: the caller sets `changed` and `context`; the object must
outlive the watch. `record` is what stood there at the last look (dynalock_data:
once for each call of changed); `unchanged_ms` for how long that very record was
seen, heartbeats included, from the answer that first showed it to the request
that last found it. Only that, longer than record.lease_ms, suggests a dead
holder: no single look does, and no time stamp.

`changed` is called within a step, at the first look and after every change of
owner, fence, status, or of the version number where that means another
acquisition; before_ms is for how long the record before was seen unchanged.
Heartbeats only update the record. (Those of an item without a fence, which the
AWS client for Java has made, cannot be told from another acquisition: they are
changes.) A release and a new grant between two looks are one change. It must
not block, nor call this client.
*/
typedef struct dynalock_watch {
    dynalock_record record; /* first: &watch.record.operation */
    uint32_t unchanged_ms;
    void (*changed)(
        void *context, const struct dynalock_watch *watch, uint32_t before_ms);
    void *context;
    uint8_t looked; /* private, as all below */
    uint8_t sure;   /* the next look is consistent */
    uint64_t asked;
    uint64_t since;
} dynalock_watch;

/* Looks every config.poll_ms (and up to a quarter more), half as dear as a
   consistent read; what seems to have changed is confirmed by one of these.
   Goes on until dynalock_cancel, over all that passes (after a pause: see WHEN
   THINGS FAIL); anything else ends it with its outcome. DYNALOCK_AGAIN: it
   watches. With poll_ms DYNALOCK_FOREVER it looks but once. BAD_ARGUMENT
   (`changed` is NULL), BAD_KEY, BAD_TABLE, IN_USE, CLOCK_UNSET. */
DYNALOCK_API dynalock_outcome dynalock_start_watch(dynalock_client *client,
    const dynalock_name *name, dynalock_watch *watch) DYNALOCK_CHECKED;

/*
Gives back somebody else's lock by force: marks the item released, as its holder
would, if it still has the version number that was shown (record.rvn of a read,
a watch or a listing; it is copied, and may stand in `memory`). THE HOLDER IS
ROBBED: until its next renewal tells it LOST_RELEASED it believes that it holds
the lock, and works; only a resource that checks fences is safe from it. Break
what is known to be dead, or wait a lease: that is what acquire does.
DYNALOCK_OK: that acquisition is over. KEPT: the item has changed meanwhile, if
only by a heartbeat; `memory` has what stands there now, to be shown again.
After any other outcome it may have been broken all the same: read. The fence
stays, and so rises with the next grant. BAD_ARGUMENT: rvn is empty or too long,
or the layout is not the standard one.
*/
DYNALOCK_API dynalock_outcome dynalock_break(dynalock_client *client,
    const dynalock_name *name, const char *rvn,
    dynalock_record *memory) DYNALOCK_CHECKED;

/* An item of a listing. The texts end in NUL and last during the call only;
   they may hold more NULs, hence the sizes. */
typedef struct dynalock_listed {
    const char *key;      /* NULL: too long for the client's memory */
    const char *sort_key; /* NULL: too long, or the config names none */
    uint32_t key_size;    /* DYNALOCK_TOO_LONG; about 530 bytes fit with the
                             default sizes, more with a larger
                             DYNALOCK_DATA_SIZE */
    uint32_t sort_key_size;
    dynalock_status status; /* not DYNALOCK_ABSENT */
    uint32_t lease_ms;      /* 0: none, as in a record */
    uint64_t fence;
    const char *owner; /* "": none, or too long */
    const char *rvn;
    uint8_t again; /* 1: an answer was cut or damaged and is being read anew;
                      this item may have been reported before */
} dynalock_listed;

/*
Lists a table, page by page and in fixed memory, whatever its items hold. The
caller sets each, context and page; the object must outlive the listing. `each`
is called for every item, in no order, within a step: it must not block, nor
call this client, and ends the listing by returning nonzero. It is called while
an answer is still under way: what it is told may yet prove damaged (over TLS it
is sound), and then comes again. Items that come or go meanwhile are seen or
not.
*/
typedef struct dynalock_listing {
    dynalock_operation operation; /* private */
    int (*each)(void *context, const dynalock_listed *item);
    void *context;
    uint16_t page;   /* items asked for at a time; 0: 50. Locks that are held
                       are renewed between two pages */
    uint32_t count;  /* calls of each so far */
    uint8_t stopped; /* private, as all below */
    uint16_t passed; /* items of this page */
    uint16_t shown;  /* items of this page in an earlier try */
    uint16_t cursor_size;
    int32_t ending; /* outcome, when stopped */
    dynalock_want wants[8];
    dynalock_splitter splitter;
    char cursor[DYNALOCK_CURSOR_SIZE]; /* key to go on behind, then the next */
} dynalock_listing;

/* table: NULL: the client's. DYNALOCK_OK: all was listed, or `each` has ended
   it. TABLE_SHAPE: the keys are not the config's. KEY_TOO_LONG: see there. Each
   page has as many tries, and as long, as a read. BAD_ARGUMENT (another layout
   than the standard one, too), BAD_TABLE, BAD_KEY, BAD_BUFFER, IN_USE. The
   right to Scan is needed; it costs what reading all of the table costs, large
   items included. */
DYNALOCK_API dynalock_outcome dynalock_list(dynalock_client *client,
    const char *table, dynalock_listing *listing) DYNALOCK_CHECKED;

/* Deletes the item at a name if it is released, and was granted more than an
   hour ago. DYNALOCK_OK: deleted. KEPT: not. Whoever never tidies needs a TTL,
   or lives with the items. BAD_ARGUMENT: not in the standard layout, either. */
DYNALOCK_API dynalock_outcome dynalock_tidy(dynalock_client *client,
    const dynalock_name *name, dynalock_record *memory) DYNALOCK_CHECKED;

/* ---- writes of the caller's own, fenced ---- */

/*
Any operation of DynamoDB, with the caller's own body. Zero it, fill in the
first part; what points somewhere must last until the call has ended. The body
is `body`, or what put_body writes by dynalock_put: it is called several times
and must write the same bytes each time.
*/
typedef struct dynalock_request {
    dynalock_operation operation; /* private */
    const char *target;           /* "PutItem" */
    const char *body;             /* JSON; NULL: put_body */
    void (*put_body)(dynalock_sink *sink, void *context);
    void *context;      /* for put_body */
    char *answer;       /* takes the answer's JSON; NULL: nobody wants it */
    uint32_t capacity;  /* of answer, in bytes */
    uint8_t repeatable; /* 1: it may be carried out twice */

    /* Afterwards. */
    uint8_t unanswered; /* how many copies were sent and not answered: each may
                           have been carried out, or may be yet */
    uint32_t size;      /* of the whole answer, also of a refusal; what is over
                           the capacity is missing. A NUL follows if there is
                           room. */

    uint8_t reasons; /* private */
    dynalock_reader reader;
} dynalock_request;

/* For put_body. */
DYNALOCK_API void dynalock_put(
    dynalock_sink *sink, const void *data, size_t size);

/*
Signs and sends the request over the client's connection; heartbeats of held
locks go first. DYNALOCK_OK: the service has done it. CONDITION: a condition
did not hold, in a transaction too. BAD_BUFFER: done, but the answer did not
fit. BAD_ARGUMENT: no target of letters and digits, no body. IN_USE. All that
"any" can have. detail.http_status, type and message have the service's words.

What may have been carried out is sent again only if it is repeatable; what the
service has refused for a moment (throttling, conflicts, the clock, the
credentials), or what has not left, is sent again anyway. So are Get*
operations, which change nothing. When a call fails with `unanswered` not 0,
the write may have been done, or may be yet; a CONDITION may then be the mark
of an earlier copy.
*/
DYNALOCK_API dynalock_outcome dynalock_call(
    dynalock_client *client, dynalock_request *request) DYNALOCK_CHECKED;

/*
Writes a member for the TransactItems of a TransactWriteItems, which lets the
whole transaction fail (CONDITION) unless the lock is still held as it is now:

    {"ConditionCheck":{...}}

It stays good over renewals, and is good for this hold only. It takes about 450
bytes and the names, the key and the owner in it. IN_USE, BAD_BUFFER,
BAD_ARGUMENT; if it is not held: NOT_HELD, LOST_*, or how the last call failed.
*/
DYNALOCK_API dynalock_outcome dynalock_fence_condition(
    const dynalock_client *client, const dynalock_lock *lock, char *buffer,
    size_t size) DYNALOCK_CHECKED;

/*
Writes members for a PutItem, UpdateItem or DeleteItem of an item that has the
highest fence of its writers in an attribute "fence", of type N: a holder with
a lower fence is refused (CONDITION). The write itself must set that attribute,
to the value :fence. The text is open at its end, for more values and the
braces:

    "ConditionExpression":"attribute_not_exists(fence) OR fence<=:fence",
    "ExpressionAttributeValues":{":fence":{"N":"1700000000000"}

DYNALOCK_FENCE_CLAUSE_SIZE bytes are enough. Outcomes as for fence_condition.
*/
#define DYNALOCK_FENCE_CLAUSE_SIZE 160
DYNALOCK_API dynalock_outcome dynalock_fence_clause(
    const dynalock_client *client, const dynalock_lock *lock, char *buffer,
    size_t size) DYNALOCK_CHECKED;

/* ---- the table ---- */

/* Memory for a look at a table. All private. */
typedef struct dynalock_table {
    dynalock_operation operation;
    dynalock_reader reader;
    int32_t failure; /* outcome when the deadline passes */
    uint8_t creating;
    uint8_t patient; /* 0: does not wait for the table to be active */
    uint8_t fits;    /* bits: config names that the text under way is */
    char kind;       /* of the list's element under way: H, R, S, N, B */
    uint8_t key_fits[2];
    char key_type[2][2]; /* of the config's names; "": none has them */
    char text[48];       /* the name under way; all names are cut to fit */
    char key[2][48];     /* partition key and sort key; "": none */
    char status[40];     /* of the table, or of its TTL */
} dynalock_table;

/*
Does the table fit the client's config? Its state, the names and types of its
keys, and its TTL attribute: TTL must be on for config.ttl_attribute (it may be
off with no_ttl, unless delete_on_release), and for no other. `name` is the
table's, NULL: the client's.

TABLE_MISSING. TABLE_NOT_READY, TABLE_SHAPE, TABLE_TTL: detail.message says
what is found and what is wanted. BAD_TABLE, BAD_ARGUMENT, IN_USE. Needs the
rights dynamodb:DescribeTable and DescribeTimeToLive.
*/
DYNALOCK_API dynalock_outcome dynalock_table_check(dynalock_client *client,
    const char *name, dynalock_table *memory) DYNALOCK_CHECKED;

/*
The same, but creates the table if there is none (its keys as the config has
them, billed on demand), waits until it can be used, and turns TTL on if it is
off and the config asks for it. Never changes anything else, so that it may be
called at every boot, by many at once. wait_ms: longest time for all of it, or
DYNALOCK_FOREVER; 0: does not wait for the table, TABLE_NOT_READY means "call
again". A table is ready some ten seconds after its creation. Needs
dynamodb:CreateTable and UpdateTimeToLive as well.
*/
DYNALOCK_API dynalock_outcome dynalock_table_create(dynalock_client *client,
    const char *name, dynalock_table *memory,
    uint32_t wait_ms) DYNALOCK_CHECKED;

/* ---- the region's host ---- */

/* After client_init, before the first call: the region's host with FIPS 140
   validated cryptography, which in GovCloud is the usual one. (What this device
   does itself is validated for nothing.) BAD_ENDPOINT: the config has an
   endpoint of its own. IN_USE: a connection is open. BAD_REGION: none in China.
   BAD_ARGUMENT. */
DYNALOCK_API dynalock_outcome dynalock_use_fips(
    dynalock_client *client) DYNALOCK_CHECKED;

/* ---- a held lock ---- */

/* How long the lock is certainly held from now on; 0: not. */
DYNALOCK_API uint32_t dynalock_remaining_ms(
    const dynalock_client *client, const dynalock_lock *lock);

/* The lock as its holder must see it, now. DYNALOCK_OK: held, and for longer
   than its alarm's safe_ms (0 without an alarm). DANGER: held, not for longer.
   LOST_*, NOT_HELD, AGAIN, UNKNOWN, or how the last call failed: not held. */
DYNALOCK_API dynalock_outcome dynalock_check(
    const dynalock_client *client, const dynalock_lock *lock) DYNALOCK_CHECKED;

/* Who is told when a lock's state changes, as dynalock_check has it: OK (held,
   safe), DANGER and LOST_* only. Called within a step: it must not block, nor
   call this client. The caller fills in the first three; the object must
   outlive the lock. */
typedef struct dynalock_alarm {
    uint32_t safe_ms;
    void (*notify)(void *context, dynalock_lock *lock, dynalock_outcome state);
    void *context;
    int32_t told; /* private */
} dynalock_alarm;

/* After lock_init, before the first acquire. BAD_ARGUMENT, IN_USE. */
DYNALOCK_API dynalock_outcome dynalock_set_alarm(
    dynalock_lock *lock, dynalock_alarm *alarm) DYNALOCK_CHECKED;

/*
A lock over a reboot. After a grant, save writes what the next life needs, to
be kept in flash or a file; once for each grant: it does not change with
renewals. In the next life, after lock_init, restore reads it; the next acquire
then takes over, at once and as a new acquisition with a higher fence, what the
earlier life has left, if nobody else has taken it meanwhile. Until then
remaining_ms is 0. ONLY IF THE EARLIER LIFE IS DEAD: it would be robbed of the
lock, though told so at its next renewal. A client whose owner name was drawn
takes the blob's.
save: BAD_ARGUMENT, NOT_HELD. restore: BAD_ARGUMENT, BAD_BLOB, IN_USE, HELD,
UNKNOWN.
*/
#define DYNALOCK_BLOB_SIZE (29 + DYNALOCK_OWNER_SIZE)
typedef struct dynalock_blob {
    uint8_t bytes[DYNALOCK_BLOB_SIZE];
} dynalock_blob;
DYNALOCK_API dynalock_outcome dynalock_save(const dynalock_client *client,
    const dynalock_lock *lock, dynalock_blob *blob) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_restore(dynalock_client *client,
    dynalock_lock *lock, const dynalock_blob *blob) DYNALOCK_CHECKED;

/* After restore: gives back what the earlier life has left, if it is still
   there, without taking it over first. DYNALOCK_OK: nothing of it is left.
   After a failure restore again. NOT_HELD: nothing was restored. */
DYNALOCK_API dynalock_outcome dynalock_release_restored(
    dynalock_client *client, dynalock_lock *lock);

/* The fencing token of the hold; 0: not held since lock_init or the last start
   of an acquire. Stays readable after a loss, to tell what the late write would
   have carried. */
DYNALOCK_API uint64_t dynalock_fence(const dynalock_lock *lock);

/* What is stored with the lock for others to read: at every acquire from now on
   and, if it is held, with the next renewal (which is then due at once) or its
   release. NULL: none, and what the last holder left is removed (as without
   this call). Kept by pointer, AND MUST NOT CHANGE until other data is set.
   BAD_ARGUMENT, IN_USE (a request of this lock is under way). */
#define DYNALOCK_DATA_MOST 400000u /* bytes: an item has room for 409,600 */
DYNALOCK_API dynalock_outcome dynalock_set_data(
    dynalock_lock *lock, const void *data, uint32_t size) DYNALOCK_CHECKED;

/* What is stored stays as it is, whoever has stored it, at acquires too. */
DYNALOCK_API dynalock_outcome dynalock_keep_data(
    dynalock_lock *lock) DYNALOCK_CHECKED;

#ifndef DYNALOCK_NO_TLS
/*
Data that only who has the key can read, or make: ChaCha20-Poly1305 (RFC 8439)
with a random nonce, bound to the item's name. In place: seal makes *size bytes
DYNALOCK_SEAL_SIZE longer, if capacity has room, ready for dynalock_set_data;
unseal takes what dynalock_data returns. The lock does not depend on it: a seal
that is broken costs the data only. At most 2^32 seals to a key.
seal: BAD_ARGUMENT, BAD_BUFFER, NO_ENTROPY. unseal: BAD_ARGUMENT, BAD_SEAL (the
data is then wiped).
*/
#define DYNALOCK_SEAL_SIZE 28u
DYNALOCK_API dynalock_outcome dynalock_seal(dynalock_client *client,
    const dynalock_name *name, const uint8_t key[32], void *data,
    uint32_t *size, uint32_t capacity) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_unseal(dynalock_client *client,
    const dynalock_name *name, const uint8_t key[32], void *data,
    uint32_t *size) DYNALOCK_CHECKED;
#endif

/* The data of the record that was read: once, in the record's own memory.
   *size: 0 = none, DYNALOCK_TOO_LONG = more than DYNALOCK_DATA_SIZE, or not
   of type B. */
DYNALOCK_API const uint8_t *dynalock_data(
    dynalock_record *record, uint32_t *size);

/* Another lease from the next renewal on, which is due at once. A shorter one
   counts from now on. BAD_LEASE, NOT_HELD, IN_USE, LOST_*. */
DYNALOCK_API dynalock_outcome dynalock_set_lease(dynalock_client *client,
    dynalock_lock *lock, uint32_t lease_ms) DYNALOCK_CHECKED;

/* ---- the same without blocking ---- */

/* DYNALOCK_AGAIN: under way, see dynalock_result. Anything else: not begun. */
DYNALOCK_API dynalock_outcome dynalock_start_acquire(dynalock_client *client,
    dynalock_lock *lock, uint32_t wait_ms) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_renew(
    dynalock_client *client, dynalock_lock *lock) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_release(
    dynalock_client *client, dynalock_lock *lock) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_release_restored(
    dynalock_client *client, dynalock_lock *lock) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_read(dynalock_client *client,
    const dynalock_name *name, dynalock_record *record) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_tidy(dynalock_client *client,
    const dynalock_name *name, dynalock_record *memory) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_break(dynalock_client *client,
    const dynalock_name *name, const char *rvn,
    dynalock_record *memory) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_list(dynalock_client *client,
    const char *table, dynalock_listing *listing) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_call(
    dynalock_client *client, dynalock_request *request) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_table_check(
    dynalock_client *client, const char *name,
    dynalock_table *memory) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_table_create(
    dynalock_client *client, const char *name, dynalock_table *memory,
    uint32_t wait_ms) DYNALOCK_CHECKED;

/*
One step of all that is due: answers, renewals, waiters, releases. Never
blocks. DYNALOCK_AGAIN: a lock is held or a call is under way, call again when
dynalock_wants says; DYNALOCK_OK: nothing is left to do.
*/
DYNALOCK_API dynalock_outcome dynalock_poll(dynalock_client *client);

/* What dynalock_poll waits for: the socket (DYNALOCK_READ | DYNALOCK_WRITE),
   and at most how long until it must be called again. */
DYNALOCK_API void dynalock_wants(
    const dynalock_client *client, unsigned *interest, uint32_t *ms);

/* DYNALOCK_AGAIN while the call runs, then its outcome. For a held lock that
   was lost meanwhile: DYNALOCK_LOST_*. */
DYNALOCK_API dynalock_outcome dynalock_result(
    const dynalock_operation *operation) DYNALOCK_CHECKED;

/* Ends the call: DYNALOCK_CANCELLED, or DYNALOCK_UNKNOWN while its writes are
   unanswered. A renewal that is cancelled leaves the lock held. */
DYNALOCK_API void dynalock_cancel(
    dynalock_client *client, dynalock_operation *operation);

/* ---- several at once ---- */

/*
All of some locks, or none: one TransactWriteItems, so that no device ever waits
with half of what another needs. The caller fills in locks and count, with locks
of this client, each made ready by lock_init, of different keys; the array and
the locks must outlive the group. The rest is private, and zero at first. While
the call runs its locks are in use; afterwards each is a lock like any other:
held, with heartbeats, fence, alarm and end of its own. A server without
transactions gets them one after another, in the order of their keys. At AWS a
transaction costs two write units for each lock.

acquire: as dynalock_acquire; detail.holder is the one in the way. UNKNOWN: some
lock is taken back yet. renew: the worst outcome of all. release: of those that
are held; OK when all were given back. A release or renewal is no transaction:
what is lost must not keep the rest from it.
*/
#define DYNALOCK_GROUP_MOST 16u
typedef struct dynalock_group {
    dynalock_operation operation;
    dynalock_lock *const *locks;
    uint32_t count; /* 1..DYNALOCK_GROUP_MOST */
    uint32_t at;
    uint32_t memory;
    int32_t failure;
    uint64_t until;
} dynalock_group;

DYNALOCK_API dynalock_outcome dynalock_group_acquire(dynalock_client *client,
    dynalock_group *group, uint32_t wait_ms) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_group_renew(
    dynalock_client *client, dynalock_group *group) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_group_release(
    dynalock_client *client, dynalock_group *group);
DYNALOCK_API dynalock_outcome dynalock_start_group_acquire(
    dynalock_client *client, dynalock_group *group,
    uint32_t wait_ms) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_group_renew(
    dynalock_client *client, dynalock_group *group) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_group_release(
    dynalock_client *client, dynalock_group *group) DYNALOCK_CHECKED;

/* How long all of them are certainly held from now on; 0: not all are. */
DYNALOCK_API uint32_t dynalock_group_remaining_ms(
    const dynalock_client *client, const dynalock_group *group);

/*
One of several permits under a name: permit i is the lock "name/i". The caller
gives the memory; everybody must use the same count. After init, acquire takes
whichever permit is free first, looking from a random one on; the lock that
dynalock_semaphore_lock() then returns is used and released like any other.
ANOTHER ACQUIRE TAKES ANOTHER PERMIT, and the function then returns that one.
permits must last until nothing is held and dynalock_poll says OK; of the
options the key is copied, the other strings are not.
init: BAD_ARGUMENT, BAD_KEY (with "/i" it does not fit), BAD_TABLE. acquire:
BUSY, TIMEOUT, IN_USE, BAD_ARGUMENT, any.
*/
#define DYNALOCK_PERMIT_KEY_SIZE 64u
typedef struct dynalock_permit {
    dynalock_lock lock;
    char key[DYNALOCK_PERMIT_KEY_SIZE];
} dynalock_permit;
typedef struct dynalock_semaphore {
    dynalock_operation operation;
    dynalock_permit *permits;
    uint32_t count;
    uint32_t at;      /* the permit under way, or held */
    uint32_t left;    /* to be looked at in this round */
    uint32_t wait_ms; /* 0: one round */
    int32_t failure;
    uint64_t until; /* the deadline */
} dynalock_semaphore;

DYNALOCK_API dynalock_outcome dynalock_semaphore_init(
    dynalock_semaphore *semaphore, dynalock_permit *permits, uint32_t count,
    const dynalock_lock_options *options) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_semaphore_acquire(
    dynalock_client *client, dynalock_semaphore *semaphore,
    uint32_t wait_ms) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_outcome dynalock_start_semaphore_acquire(
    dynalock_client *client, dynalock_semaphore *semaphore,
    uint32_t wait_ms) DYNALOCK_CHECKED;

/* The permit that was acquired; NULL: none. */
DYNALOCK_API dynalock_lock *dynalock_semaphore_lock(
    dynalock_semaphore *semaphore);

/* ---- credentials that are fetched ---- */

/*
A provider fetches credentials from a source: when a request needs them, again
when the service refuses them, and in good time before they expire. It belongs
to the caller, serves one client and outlives it; so does its memory.

    dynalock_provider_init(&provider, dynalock_source_ec2(), &ec2, memory,
        sizeof memory);
    config.credentials = &provider.credentials;
    ... dynalock_client_init(&client, &config) ...
    dynalock_set_provider(&client, &provider);

The client's one connection serves the source too. From five minutes before
they expire (or half their life, if that is less) credentials are fetched right
after a request of the client, so after the renewals, and only if every lock
that is held has more than twice the time left that a connection may take:
that a heartbeat is late for it cannot be. In the last ten seconds (or quarter
of their life), and when there are none, a request waits for them. A fetch that
fails leaves the old ones as they are; while they are good, nobody is told.
After that the calls that need them end in the source's outcome: detail.type is
then the source's name, detail.message what was wrong. An idle client fetches
nothing.

The memory holds two sets of texts, that in use and that on its way: half of it
must have room for the longest answer (names included; an AWS token has about
1 KB, no limit is promised). What is replaced is wiped at once, all of it by
dynalock_client_close.
*/
typedef struct dynalock_provider dynalock_provider;

/* A place that credentials come from. Yours may be one too: it is copied, but
   for its name, which must outlive the provider. */
typedef struct dynalock_source {
    const char *name;
    /* A step of a fetch; must not block. DYNALOCK_OK: dynalock_provide was
       called. DYNALOCK_AGAIN: not yet, client->exchange.interest says for what
       it waits. DYNALOCK_CREDENTIALS_MISSING: this source has none. Any other:
       why it failed. */
    dynalock_outcome (*step)(
        dynalock_client *client, dynalock_provider *provider);
    /* Optional: drops a fetch under way; the next step begins another. */
    void (*stop)(dynalock_client *client, dynalock_provider *provider);
} dynalock_source;

typedef struct dynalock_answer { /* private: the body of a source's answer */
    dynalock_sink sink;
    dynalock_filter *filter; /* NULL: it is plain text */
    char *out;
    uint32_t size, used; /* used may exceed size: the rest was dropped */
    int is_nested;
    dynalock_want wants[8];
} dynalock_answer;

/* `credentials` is for the config, `context` for the source; the rest is
   private. */
struct dynalock_provider {
    dynalock_operation operation; /* a fetch that no request waits for */
    dynalock_credentials credentials;
    dynalock_source source;
    void *context;
    char *memory;
    uint32_t half;  /* bytes of each of its halves */
    uint8_t in_use; /* half: 0, 1 */
    uint8_t state;  /* of the request to the source */
    uint8_t step;   /* the source's; 0: its first */
    uint8_t fetching;
    uint8_t secure;          /* the client's secure_transport */
    uint16_t port;           /* the service's */
    uint64_t renew;          /* from then on they should be fetched again */
    uint64_t until;          /* from then on they must be; 0: they must */
    dynalock_stream *stream; /* to the source */
    dynalock_answer answer;
    char host[DYNALOCK_HOST_SIZE]; /* the service's */
#ifndef DYNALOCK_NO_TLS
    dynalock_tls_profile *profile; /* of the other host, as are these */
    br_ssl_session_parameters session;
#endif
};

/* BAD_ARGUMENT; BAD_BUFFER: less than 1024 bytes, or more than 128 KB. */
DYNALOCK_API dynalock_outcome dynalock_provider_init(
    dynalock_provider *provider, dynalock_source source, void *context,
    void *memory, size_t size) DYNALOCK_CHECKED;

/* After client_init, before the first call. Sends nothing. The config's refresh
   is the provider's from then on. BAD_ARGUMENT: the config's credentials are
   not the provider's. IN_USE: something is under way. */
DYNALOCK_API dynalock_outcome dynalock_set_provider(
    dynalock_client *client, dynalock_provider *provider) DYNALOCK_CHECKED;

/* For a source's step: copies the texts. expires_ms is Unix time, 0: they do
   not expire. BAD_BUFFER: no room. CREDENTIALS_MISSING: key id or secret is.
   CREDENTIALS_EXPIRED: they have. BAD_ANSWER: a control character in them, or
   a space in key id or token. */
DYNALOCK_API dynalock_outcome dynalock_provide(dynalock_client *client,
    dynalock_provider *provider, const dynalock_credentials *credentials,
    int64_t expires_ms) DYNALOCK_CHECKED;

/* The role of an EC2 instance, from its metadata service (IMDSv2; version 1,
   without a token, is not offered). Two requests, three the first time, within
   two seconds. Zero the struct; the first three are yours. */
typedef struct dynalock_ec2 {
    const char *host; /* NULL: 169.254.169.254; "fd00:ec2::254" */
    uint16_t port;    /* 0: 80 */
    const char *role; /* NULL: it is asked for */
    uint8_t again;    /* private, as is the rest */
    char token[160];
    char found[68];
} dynalock_ec2;
DYNALOCK_API dynalock_source dynalock_source_ec2(void);

/*
The role of an ECS task or EKS pod. uri is what stands in
AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ("/..."), or _FULL_URI: https (the
client's tls checks the host), or http to 127.0.0.0/8, 169.254.170.2,
169.254.170.23, [::1] or [fd00:ec2::23]; a name is none of these. BAD_ENDPOINT
otherwise. authorization is the header's value; NULL: none. A line's end behind
it is dropped. If authorize is set, it is called before every fetch, for a
token that changes; what it returns must last until its next call; NULL: it
cannot be had.
*/
typedef struct dynalock_container {
    const char *uri;
    const char *authorization;
    const char *(*authorize)(void *context);
    void *context;
    const char *path; /* private, as is the rest */
    uint16_t port;
    uint8_t secure;
    uint8_t bracketed;
    char host[DYNALOCK_HOST_SIZE];
} dynalock_container;
DYNALOCK_API dynalock_source dynalock_source_container(void);

#ifndef DYNALOCK_NO_TLS
/* Who this device is: its X.509 certificate (first, then what leads to the
   root) and private key. All is kept by pointer. ECDSA on the curves of the TLS
   profile, or RSA; what nobody names is not linked. */
typedef struct dynalock_identity {
    void (*present)(
        dynalock_tls *tls, const struct dynalock_identity *identity);
    const br_x509_certificate *chain;
    size_t chain_count;
    const br_ec_private_key *ec_key;
    const br_rsa_private_key *rsa_key;
} dynalock_identity;
DYNALOCK_API void dynalock_identity_ec(dynalock_identity *identity,
    const br_x509_certificate *chain, size_t chain_count,
    const br_ec_private_key *key);
DYNALOCK_API void dynalock_identity_rsa(dynalock_identity *identity,
    const br_x509_certificate *chain, size_t chain_count,
    const br_rsa_private_key *key);
#endif

/* AWS IoT Core's credential provider: one request over the client's tls, with
   this device's certificate. Zero the struct; all but `own` is yours. Under
   secure_transport, identity is NULL and the port has the certificate. */
typedef struct dynalock_iot {
#ifndef DYNALOCK_NO_TLS
    dynalock_tls_profile *own; /* private */
    const dynalock_identity *identity;
#endif
    const char *host; /* "<prefix>.credentials.iot.<region>.amazonaws.com"
                               (aws iot describe-endpoint --endpoint-type
                               iot:CredentialProvider) */
    uint16_t port;    /* 0: 443 */
    const char *role_alias; /* 1..128 characters */
    const char *thing;      /* NULL: the header is not sent */
} dynalock_iot;
DYNALOCK_API dynalock_source dynalock_source_iot(void);

/* ---- helpers ---- */

/* Widens 32-bit ticks that wrap. Zero the struct; call at least twice per wrap
   (of milliseconds: every 24 days), under the client's mutex if it has one. */
typedef struct dynalock_ticks {
    uint64_t high;
    uint32_t last;
} dynalock_ticks;
DYNALOCK_API uint64_t dynalock_extend_ticks(
    dynalock_ticks *ticks, uint32_t now);

/*
DYNALOCK_WITH(&client, &lock, wait_ms) { ... } runs its block only with the
lock held and releases it afterwards: on falling through and on break in plain
C99, on every way out with gcc and clang (cleanup) and in C++ (destructor).
dynalock_result(&lock.operation) afterwards: how the release went, or why the
lock was not taken.
*/
typedef struct dynalock_scope {
    dynalock_client *client;
    dynalock_lock *lock; /* NULL: not held, or left */
} dynalock_scope;
DYNALOCK_API dynalock_scope dynalock_scope_enter(
    dynalock_client *client, dynalock_lock *lock, uint32_t wait_ms);
DYNALOCK_API void dynalock_scope_leave(dynalock_scope *scope);

#ifdef __cplusplus
} /* extern "C" */
struct dynalock_guard : dynalock_scope {
    dynalock_guard(dynalock_client *c, dynalock_lock *l, uint32_t wait_ms)
        : dynalock_scope(dynalock_scope_enter(c, l, wait_ms))
    {
    }
    ~dynalock_guard()
    {
        dynalock_scope_leave(this);
    }
    dynalock_guard(const dynalock_guard &) = delete;
    dynalock_guard &operator=(const dynalock_guard &) = delete;
};
#define DYNALOCK_SCOPE_(name, of_client, a_lock, within_ms)                   \
    dynalock_guard name((of_client), (a_lock), (within_ms))
extern "C" {
#elif defined(__GNUC__) || defined(__clang__)
#define DYNALOCK_SCOPE_(name, of_client, a_lock, within_ms)                   \
    dynalock_scope name __attribute__((cleanup(dynalock_scope_leave))) =      \
        dynalock_scope_enter((of_client), (a_lock), (within_ms))
#else
#define DYNALOCK_SCOPE_(name, of_client, a_lock, within_ms)                   \
    dynalock_scope name =                                                     \
        dynalock_scope_enter((of_client), (a_lock), (within_ms))
#endif

/* The inner loop runs the block once; break leaves it, and the outer loop's
   step releases all the same. */
#define DYNALOCK_WITH_(name, once, of_client, a_lock, within_ms)              \
    for (DYNALOCK_SCOPE_(name, of_client, a_lock, within_ms);                 \
         name.lock != NULL; dynalock_scope_leave(&name))                      \
        for (int once = 1; once != 0; once = 0)
#define DYNALOCK_WITH(of_client, a_lock, within_ms)                           \
    DYNALOCK_WITH_(DYNALOCK_JOIN2(dynalock_scope, __LINE__),                  \
        DYNALOCK_JOIN2(dynalock_once, __LINE__), of_client, a_lock,           \
        within_ms)

/* ---- POSIX port (DYNALOCK_POSIX) ---- */

#ifdef DYNALOCK_POSIX
struct addrinfo;

/* One connection's socket. Belongs to the caller, serves one client. */
typedef struct dynalock_posix {
    int fd;                     /* -1: none; for poll(2) with your own */
    struct addrinfo *addresses; /* of the open under way */
    struct addrinfo *next;
    volatile int *stop; /* NULL, or: nonzero ends a blocking call */
    int clock;          /* private, as is what it said last */
    uint64_t now;
} dynalock_posix;

/* Fills platform with sockets, clocks and entropy of this host; posix is its
   context, of one thread at a time. A clock that cannot be read stands still:
   of a host that takes it away, leases cannot be known. */
DYNALOCK_API void dynalock_posix_platform(
    dynalock_posix *posix, dynalock_platform *platform);

/* Points credentials at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
   AWS_SESSION_TOKEN of the environment (NULL where unset). */
DYNALOCK_API void dynalock_posix_credentials(
    dynalock_credentials *credentials);

/*
What AWS users have on a host. The chain asks, in AWS' order: the environment;
the profile in the shared credentials and config files; a container's endpoint
if its variables are set; else the EC2 instance. What a profile or the
environment may ask for and is not offered here (assume-role profiles, web
identity, SSO, credential_process) ends it in CREDENTIALS_NOT_OFFERED: another
identity must not take its place.

    dynalock_posix_load(&aws);    (region, endpoint and bundle for the config)
    dynalock_provider_init(&provider, dynalock_source_posix(), &aws, memory,
        sizeof memory);

Variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
AWS_CREDENTIAL_EXPIRATION; AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE,
AWS_CONFIG_FILE; AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI,
AWS_CONTAINER_AUTHORIZATION_TOKEN and _TOKEN_FILE (read anew for each fetch);
AWS_EC2_METADATA_DISABLED, AWS_EC2_METADATA_SERVICE_ENDPOINT and
_ENDPOINT_MODE. An empty value counts as none.
*/
#define DYNALOCK_POSIX_TEXT 1024
typedef struct dynalock_posix_aws {
    const char *profile; /* yours; NULL: AWS_PROFILE, else "default" */
    /* set by load; NULL: none. Of AWS_REGION, AWS_DEFAULT_REGION, the profile's
       region; AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL, endpoint_url under
       dynamodb in the services section that the profile names, the profile's
       endpoint_url, none of these if AWS_IGNORE_CONFIGURED_ENDPOINT_URLS or
       ignore_configured_endpoint_urls is true; AWS_CA_BUNDLE, ca_bundle. */
    const char *region;
    const char *endpoint;
    const char *ca_bundle;
    /* Each source that was asked, and why it was passed over or failed. */
    char report[768];
    uint8_t at; /* private, as is the rest */
    uint8_t ended;
    dynalock_ec2 ec2;
    dynalock_container container;
    char host[DYNALOCK_HOST_SIZE];
    char region_text[64];
    char endpoint_text[DYNALOCK_POSIX_TEXT];
    char bundle_text[DYNALOCK_POSIX_TEXT];
    char authorization[8192];
} dynalock_posix_aws;

/* DYNALOCK_OK, also when there is no file. BAD_FILE: see report; a services
   section that is named and not there, too. */
DYNALOCK_API dynalock_outcome dynalock_posix_load(
    dynalock_posix_aws *aws) DYNALOCK_CHECKED;
DYNALOCK_API dynalock_source dynalock_source_posix(void);

#ifndef DYNALOCK_NO_TLS
#ifndef DYNALOCK_ANCHORS
#define DYNALOCK_ANCHORS 256
#endif
#ifndef DYNALOCK_ANCHOR_BYTES
#define DYNALOCK_ANCHOR_BYTES 131072
#endif
#define DYNALOCK_ANCHORS_SIZED(name)                                          \
    DYNALOCK_JOIN2(                                                           \
        DYNALOCK_JOIN2(name, DYNALOCK_ANCHORS), DYNALOCK_ANCHOR_BYTES)
#define dynalock_posix_anchors DYNALOCK_ANCHORS_SIZED(dynalock_posix_anchors)
/* Trust anchors and what they point to. Belongs to the caller; must outlive
   the clients that use it and must not be moved. */
typedef struct dynalock_anchors {
    size_t count;
    size_t used;
    br_x509_trust_anchor list[DYNALOCK_ANCHORS];
    unsigned char bytes[DYNALOCK_ANCHOR_BYTES];
} dynalock_anchors;

/* Adds every certificate of a PEM file, but for those that BearSSL does not
   know (kind of key, curve, version). NO_FILE, BAD_FILE (none, or a broken one,
   in it), BAD_BUFFER (raise DYNALOCK_ANCHORS or _ANCHOR_BYTES). */
DYNALOCK_API dynalock_outcome dynalock_posix_anchors(
    dynalock_anchors *anchors, const char *path) DYNALOCK_CHECKED;

/* An identity from PEM files: its certificate and up to three more, and an EC
   or RSA key that is not encrypted (PKCS#8 or raw). Belongs to the caller; must
   outlive the clients that use it and must not be moved. NO_FILE, BAD_FILE,
   BAD_BUFFER (over 8 KB). To wipe the key: memory is all that it takes. */
typedef struct dynalock_posix_identity {
    dynalock_identity identity;
    size_t used;
    br_x509_certificate chain[4];
    br_ec_private_key ec_key;
    br_rsa_private_key rsa_key;
    br_skey_decoder_context decoder;
    unsigned char bytes[8192];
} dynalock_posix_identity;
DYNALOCK_API dynalock_outcome dynalock_posix_load_identity(
    dynalock_posix_identity *identity, const char *chain_path,
    const char *key_path) DYNALOCK_CHECKED;
#endif
#endif /* DYNALOCK_POSIX */

#ifdef __cplusplus
}
#endif

#endif /* DYNALOCK_H */

/* ===================================================================== */
/* Implementation */
/* ===================================================================== */

#ifdef DYNALOCK_IMPLEMENTATION
#ifndef DYNALOCK_IMPLEMENTATION_ONCE
#define DYNALOCK_IMPLEMENTATION_ONCE

#include <string.h>

/* Never inlined: in its caller it would cost more, by taking the registers
   whose instructions are short. */
#if defined(__GNUC__) || defined(__clang__)
#define DL_APART __attribute__((noinline))
#else
#define DL_APART
#endif

/* Always inlined: it has one caller in the plain lock, which another one, in a
   feature that is not linked, must not make longer. */
#if defined(__OPTIMIZE__) && (defined(__GNUC__) || defined(__clang__))
#define DL_ALONG __inline__ __attribute__((always_inline))
#else
#define DL_ALONG
#endif

/* jsmn's own conversions are its own affair. Only strings that our filter has
   checked reach it, so its non-strict mode is enough. */
#ifndef JSMN_STATIC
#define JSMN_STATIC
#endif
#ifndef JSMN_PARENT_LINKS /* shorter, both jsmn and what reads its tokens */
#define JSMN_PARENT_LINKS
#endif
#if defined(__GNUC__) || defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#endif
#define jsmn_parse DL_APART jsmn_parse
#include <jsmn.h>
#undef jsmn_parse
#if defined(__GNUC__) || defined(__clang__)
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Refuses to compile when its condition is false. */
#define DL_ASSERT_STATIC(name, condition)                                     \
    typedef char dl_assert_##name[(condition) ? 1 : -1] DYNALOCK_MAYBE_UNUSED
#define DL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

DL_ASSERT_STATIC(
    tokens_are_jsmn_tokens, sizeof(dynalock_token) >= sizeof(jsmntok_t));
DL_ASSERT_STATIC(answer_offsets_fit, DYNALOCK_ANSWER_SIZE < 65535);

/* ===================================================================== */
/* == text: bounded sinks and writers; nothing here can overflow          */
/* ===================================================================== */

/* Whatever is written goes through a sink, so that the same generator can
   count, hash, and fill any window of a request. It is the first member of
   what it writes to. */
typedef dynalock_sink dl_sink;

static DL_APART void dl_put(dl_sink *sink, const void *data, size_t size)
{
    if (size != 0) sink->take(sink, data, size);
}

static void dl_put_text(dl_sink *sink, const char *text)
{
    dl_put(sink, text, strlen(text));
}

/* A sink of fixed memory: what does not fit is dropped, and counted. */
typedef struct dl_span {
    dl_sink sink;
    char *at;
    size_t capacity;
    size_t skip; /* bytes to pass over first */
    size_t used;
    size_t total; /* bytes offered */
} dl_span;

static void dl_span_take(dl_sink *sink, const void *data, size_t size)
{
    dl_span *span = (dl_span *)(void *)sink;
    const char *from = (const char *)data;
    size_t room = span->capacity - span->used;

    span->total += size;
    if (span->skip >= size) {
        span->skip -= size;
        return;
    }
    from += span->skip;
    size -= span->skip;
    span->skip = 0;
    if (size > room) size = room;
    if (size != 0) memcpy(span->at + span->used, from, size);
    span->used += size;
}

static DL_APART dl_sink *dl_span_open(
    dl_span *span, char *at, size_t capacity, size_t skip)
{
    span->sink.take = dl_span_take;
    span->at = at;
    span->capacity = capacity;
    span->skip = skip;
    span->used = 0;
    span->total = 0;
    return &span->sink;
}

/* Divides in place, from the remainder of what stands before; returns the
   remainder. */
static uint32_t dl_divide_word(uint32_t *word, uint32_t rest, uint32_t divisor)
{
    uint32_t high = rest << 16 | *word >> 16;
    uint32_t low = (high % divisor) << 16 | (*word & 0xffff);

    *word = (high / divisor) << 16 | low / divisor;
    return low % divisor;
}

/* Divides in place and returns the remainder; divisor 1..65535. Keeps the
   64-bit division routines of the compiler's library out of small parts. */
static uint32_t dl_divide(uint64_t *value, uint32_t divisor)
{
    uint32_t high = (uint32_t)(*value >> 32), low = (uint32_t)*value;
    uint32_t rest = dl_divide_word(&high, 0, divisor);

    rest = dl_divide_word(&low, rest, divisor);
    *value = (uint64_t)high << 32 | low;
    return rest;
}

static void dl_put_decimal(dl_sink *sink, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + dl_divide(&value, 10));
    } while (value != 0);
    dl_put(sink, digits + at, sizeof digits - at);
}

static uint32_t dl_load32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

static DL_APART void dl_store32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/* Computed, not looked up: a session token is in what is written so. */
static char dl_hex(unsigned value)
{
    return (char)('0' + value + (value + 6) / 16 * ('a' - '0' - 10));
}

static void dl_put_hex(dl_sink *sink, const uint8_t *data, size_t size)
{
    char pair[2];
    size_t i;

    for (i = 0; i < size; i++) {
        pair[0] = dl_hex(data[i] >> 4);
        pair[1] = dl_hex(data[i] & 15);
        dl_put(sink, pair, 2);
    }
}

static void dl_put_hex32(dl_sink *sink, uint32_t value)
{
    uint8_t bytes[4];

    dl_store32(bytes, value);
    dl_put_hex(sink, bytes, sizeof bytes);
}

static void dl_put_base64(dl_sink *sink, const uint8_t *data, size_t size)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char quad[4];

    while (size != 0) {
        size_t n = size < 3 ? size : 3;
        uint32_t bits = (uint32_t)data[0] << 16;

        if (n > 1) bits |= (uint32_t)data[1] << 8;
        if (n > 2) bits |= data[2];
        quad[0] = digits[bits >> 18];
        quad[1] = digits[bits >> 12 & 63];
        quad[2] = '=';
        quad[3] = '=';
        if (n > 1) quad[2] = digits[bits >> 6 & 63];
        if (n > 2) quad[3] = digits[bits & 63];
        dl_put(sink, quad, 4);
        data += n;
        size -= n;
    }
}

static int dl_base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return -1;
}

/* Strict (RFC 4648 section 4, no stray bits). Returns the bytes written, or
   DYNALOCK_TOO_LONG when the text is malformed or out[] too small. out[] may
   be the text's own memory: three bytes are written after four are read. */
static uint32_t dl_base64_decode(
    uint8_t *out, size_t capacity, const char *text, size_t size)
{
    uint32_t bits = 0, used = 0;
    size_t i, padding = 0;

    if (size % 4 != 0) return DYNALOCK_TOO_LONG;
    if (size != 0 && text[size - 1] == '=') padding++;
    if (padding == 1 && text[size - 2] == '=') padding++;
    for (i = 0; i < size - padding; i++) {
        int digit = dl_base64_digit(text[i]);

        if (digit < 0) return DYNALOCK_TOO_LONG;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 == 0) continue;
        if (used == capacity) return DYNALOCK_TOO_LONG;
        out[used++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    /* what padding leaves over must be zero */
    if (padding != 0 && (bits & (padding == 1 ? 3u : 15u)) != 0)
        return DYNALOCK_TOO_LONG;
    return used;
}

/* The contents of a JSON string: quotes are the caller's. The bytes are
   UTF-8 already (checked when the name was given). */
static void dl_put_escaped(dl_sink *sink, const char *text, size_t size)
{
    for (; size != 0; text++, size--) {
        uint8_t c = (uint8_t)*text;

        if (c == '"' || c == '\\') dl_put_text(sink, "\\");
        if (c >= 0x20) {
            dl_put(sink, text, 1);
        } else {
            dl_put_text(sink, "\\u00");
            dl_put_hex(sink, &c, 1);
        }
    }
}

static void dl_put_contents(dl_sink *sink, const char *text)
{
    dl_put_escaped(sink, text, strlen(text));
}

static void dl_put_quoted(dl_sink *sink, const char *text)
{
    dl_put(sink, "\"", 1);
    dl_put_contents(sink, text);
    dl_put(sink, "\"", 1);
}

static char dl_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static int dl_hex_digit(char c)
{
    c = dl_lower(c);
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* Undoes, in place, the escapes that the filter leaves. */
static size_t dl_unescape(char *text, size_t size)
{
    size_t from = 0, to = 0;

    while (from < size) {
        char c = text[from++];

        if (c == '\\' && from < size) {
            c = text[from++];
            if (c == 'b') c = '\0';
        }
        text[to++] = c;
    }
    return to;
}

/* Takes the next byte of a text; 0: not UTF-8 (RFC 3629). A sequence that is
   cut short is told by the byte behind the text, its NUL or quote. */
static int dl_utf8_accepts(dynalock_utf8 *utf8, char next)
{
    uint8_t c = (uint8_t)next, last = utf8->last;

    utf8->last = c;
    if (utf8->more != 0) {
        utf8->more--;
        if (c < 0x80 || c > 0xbf) return 0;
        switch (last) {
        case 0xe0: return c >= 0xa0; /* less: it could be shorter */
        case 0xed: return c < 0xa0;  /* more: a surrogate */
        case 0xf0: return c >= 0x90; /* less: it could be shorter */
        case 0xf4: return c < 0x90;  /* more: no code point */
        default: return 1;
        }
    }
    if (c < 0x80) return 1;
    utf8->more = (uint8_t)(1 + (c >= 0xe0) + (c >= 0xf0));
    return c >= 0xc2 && c <= 0xf4;
}

/* 1..most bytes of sound UTF-8? */
static int dl_is_name(const char *text, size_t most)
{
    dynalock_utf8 utf8 = { 0, 0 };

    if (text == NULL || text[0] == '\0' || strlen(text) > most) return 0;
    do {
        if (!dl_utf8_accepts(&utf8, *text)) return 0;
    } while (*text++ != '\0');
    return 1;
}

static int dl_is_unset_or_name(const char *text, size_t most)
{
    return text == NULL || dl_is_name(text, most);
}

/* Reads a whole text of 1..19 digits. 0: not one, or over `most`. */
static int dl_read_decimal(
    const char *text, size_t size, uint64_t most, uint64_t *value)
{
    uint64_t sum = 0;
    size_t i;

    if (size == 0 || size > 19) return 0;
    for (i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return 0;
        sum = sum * 10 + (uint64_t)(text[i] - '0');
    }
    *value = sum;
    return sum <= most;
}

/* The same, of 32 bits. */
static int dl_read_word(const char *text, size_t size, uint32_t *value)
{
    uint64_t wide;

    if (!dl_read_decimal(text, size, 0xffffffff, &wide)) return 0;
    *value = (uint32_t)wide;
    return 1;
}

static int dl_equals(const char *text, size_t size, const char *other)
{
    return strlen(other) == size && memcmp(text, other, size) == 0;
}

/* Where the compiler would put a loop in place of memcpy. */
static DL_APART void dl_copy(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
}

static void dl_copy_text(
    char *out, size_t capacity, const char *text, size_t size)
{
    if (size > capacity - 1) size = capacity - 1;
    if (size != 0) memcpy(out, text, size);
    out[size] = '\0';
}

static int dl_is_in(char c, const char *set)
{
    while (*set != '\0')
        if (*set++ == c) return 1;
    return 0;
}

static int dl_is_alphanumeric(char c)
{
    c = dl_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* How many letters, digits and `others` text begins with. */
static size_t dl_count_plain(const char *text, const char *others)
{
    size_t n = 0;

    while (dl_is_alphanumeric(text[n]) || dl_is_in(text[n], others)) n++;
    return n;
}

/* How many of `set` text begins with. */
static size_t dl_count(const char *text, const char *set)
{
    size_t n = 0;

    while (dl_is_in(text[n], set)) n++;
    return n;
}

static int dl_is_mark(char c)
{
    return c == '\0' || c == ',' || c == '|' || c == '\n';
}

/* Does text begin with `start` (lower case, up to a mark), in any case? Then
   that mark's place; NULL: no. */
static const char *dl_begins(const char *text, const char *start)
{
    while (!dl_is_mark(*start))
        if (dl_lower(*text++) != *start++) return NULL;
    return start;
}

/* What the letters of a template stand for. */
typedef struct dl_fields dl_fields;
struct dl_fields {
    void (*put)(const dl_fields *fields, char letter, dl_sink *sink);
    const void *context;
    uint32_t flags; /* of the groups that are there: DL_FLAG */
};

#define DL_FLAG(letter) ((uint32_t)1 << ((letter)&31))

static int dl_is_markup(char c)
{
    return c == '\'' || c == '$' || c == '[' || c == ']' || c == '\0';
}

/*
Writes a template: ' stands for ", $x for field x, and [x...] for text that is
there only when flag x is set; groups may nest. Requests are data that way, and
can be run again and again: to hash, to count, to send any window of them.
*/
static void dl_put_template(
    dl_sink *sink, const char *at, const dl_fields *fields)
{
    unsigned skipped = 0; /* groups that are open and not there */
    size_t plain;
    char c;

    do {
        for (plain = 0; !dl_is_markup(at[plain]);) plain++;
        if (skipped == 0) dl_put(sink, at, plain);
        at += plain;
        c = *at++;
        if (c == '[') {
            if (skipped != 0 || (fields->flags & DL_FLAG(*at)) == 0) skipped++;
            at++;
        } else if (skipped != 0) {
            if (c == ']') skipped--;
        } else if (c == '$') {
            fields->put(fields, *at++, sink);
        } else if (c == '\'') {
            dl_put(sink, "\"", 1);
        }
    } while (c != '\0');
}

#define DL_DATE_SIZE 17 /* YYYYMMDDTHHMMSSZ and NUL */

/* Divides in place and returns the remainder. */
static uint32_t dl_split(uint32_t *value, uint32_t divisor)
{
    uint32_t rest = *value % divisor;

    *value /= divisor;
    return rest;
}

/* Years 1970..9999, no leap seconds. Years begin in March here, so that the
   leap day is the last: four centuries have 146097 days, four years 1461, and
   five months 153 whichever one starts with (30.6 each). */
static void dl_date(char out[DL_DATE_SIZE], uint64_t unix_ms)
{
    uint32_t part[7], left, century, year, month;
    unsigned i;

    part[6] = dl_divide(&unix_ms, 60000) / 1000;
    left = (uint32_t)unix_ms;
    part[5] = dl_split(&left, 60);
    part[4] = dl_split(&left, 24);
    century = 4 * (left + 719468) + 3; /* since 0000-03-01 */
    year = dl_split(&century, 146097) | 3;
    month = 5 * (dl_split(&year, 1461) / 4) + 2;
    part[3] = dl_split(&month, 153) / 5 + 1;
    year += 100 * century + month / 10;
    part[0] = year / 100;
    part[1] = year % 100;
    part[2] = (month + 2) % 12 + 1;
    for (i = 0; i < 7; i++) {
        if (i == 4) *out++ = 'T';
        *out++ = (char)('0' + part[i] / 10);
        *out++ = (char)('0' + part[i] % 10);
    }
    out[0] = 'Z';
    out[1] = '\0';
}

/* Through a volatile pointer, so that it is not optimised away. */
static void dl_wipe(void *data, size_t size)
{
    volatile uint8_t *at = (volatile uint8_t *)data;

    while (size-- != 0) *at++ = 0;
}

/* ===================================================================== */
/* == sha256: SHA-256 (FIPS 180-4), HMAC (RFC 2104), CRC-32               */
/* ===================================================================== */

#define DL_SHA256_SIZE 32

typedef struct dl_sha256 {
    dl_sink sink;
    uint32_t state[8];
    uint32_t size; /* under 4 GB */
    uint8_t block[64];
} dl_sha256;

static uint32_t dl_rotate(uint32_t value, unsigned bits)
{
    return value >> bits | value << (32 - bits);
}

static const uint32_t dl_sha256_k[64] = { 0x428a2f98, 0x71374491, 0xb5c0fbcf,
    0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7,
    0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e,
    0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c,
    0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee,
    0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2 };

static void dl_sha256_copy(uint32_t to[8], const uint32_t from[8])
{
    dl_copy(to, from, 8 * sizeof *to);
}

static void dl_sha256_block(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64], s[8];
    unsigned i;

    for (i = 0; i < 16; i++) w[i] = dl_load32(block + 4 * i);
    for (; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + w[i - 7] +
               (dl_rotate(a, 7) ^ dl_rotate(a, 18) ^ a >> 3) +
               (dl_rotate(b, 17) ^ dl_rotate(b, 19) ^ b >> 10);
    }
    dl_sha256_copy(s, state);
    for (i = 0; i < 64; i++) {
        uint32_t a = s[0], e = s[4];
        uint32_t t1 = s[7] + dl_sha256_k[i] + w[i] +
                      (dl_rotate(e, 6) ^ dl_rotate(e, 11) ^ dl_rotate(e, 25)) +
                      (s[6] ^ (e & (s[5] ^ s[6])));
        uint32_t t2 = (dl_rotate(a, 2) ^ dl_rotate(a, 13) ^ dl_rotate(a, 22)) +
                      ((a & s[1]) | (s[2] & (a | s[1])));

        s[7] = s[6];
        s[6] = s[5];
        s[5] = e;
        s[4] = s[3] + t1;
        s[3] = s[2];
        s[2] = s[1];
        s[1] = a;
        s[0] = t1 + t2;
    }
    for (i = 0; i < 8; i++) state[i] += s[i];
}

static const uint32_t dl_sha256_start[8] = { 0x6a09e667, 0xbb67ae85,
    0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

static void dl_sha256_update(dl_sha256 *sha, const void *data, size_t size)
{
    const uint8_t *from = (const uint8_t *)data;
    size_t used = sha->size & 63;

    sha->size += (uint32_t)size;
    while (size >= 64 - used) {
        memcpy(sha->block + used, from, 64 - used);
        dl_sha256_block(sha->state, sha->block);
        from += 64 - used;
        size -= 64 - used;
        used = 0;
    }
    if (size != 0) memcpy(sha->block + used, from, size);
}

static void dl_sha256_final(dl_sha256 *sha, uint8_t out[DL_SHA256_SIZE])
{
    uint8_t tail[64 + 8]; /* padding to 56 bytes of a block, and the size */
    unsigned padding = 1 + ((119 - sha->size) & 63), i;

    memset(tail, 0, sizeof tail);
    tail[0] = 0x80;
    dl_store32(tail + padding, sha->size >> 29);
    dl_store32(tail + padding + 4, sha->size << 3);
    dl_sha256_update(sha, tail, padding + 8);
    for (i = 0; i < 8; i++) dl_store32(out + 4 * i, sha->state[i]);
}

static void dl_sha256_take(dl_sink *sink, const void *data, size_t size)
{
    dl_sha256_update((dl_sha256 *)(void *)sink, data, size);
}

/* Goes on from a state after so many whole blocks. */
static DL_APART void dl_sha256_resume(
    dl_sha256 *sha, const uint32_t state[8], uint32_t size)
{
    sha->sink.take = dl_sha256_take;
    dl_sha256_copy(sha->state, state);
    sha->size = size;
}

static DL_APART void dl_sha256_init(dl_sha256 *sha)
{
    dl_sha256_resume(sha, dl_sha256_start, 0);
}

/* The state after a block of key and pad. */
static void dl_hmac_pad(uint32_t state[8], uint8_t key[64], uint8_t pad)
{
    unsigned i;

    for (i = 0; i < 64; i++) key[i] ^= pad;
    dl_sha256_copy(state, dl_sha256_start);
    dl_sha256_block(state, key);
}

/* The key is prefix and data, one after the other, of any length. Only the
   two states after the pads are kept: a message then costs two blocks less,
   and the key itself is not in memory. */
static void dl_hmac_key(
    dynalock_hmac_key *key, const char *prefix, const void *data, size_t size)
{
    dl_sha256 sha;
    uint8_t pad[64];
    size_t start = strlen(prefix);

    memset(pad, 0, sizeof pad);
    dl_sha256_init(&sha);
    if (start + size <= sizeof pad) {
        memcpy(pad, prefix, start);
        if (size != 0) memcpy(pad + start, data, size);
    } else {
        dl_sha256_update(&sha, prefix, start);
        dl_sha256_update(&sha, data, size);
        dl_sha256_final(&sha, pad);
    }
    dl_hmac_pad(key->inner, pad, 0x36);
    dl_hmac_pad(key->outer, pad, 0x36 ^ 0x5c);
    dl_wipe(pad, sizeof pad);
    dl_wipe(&sha, sizeof sha);
}

static void dl_hmac_init(dl_sha256 *sha, const dynalock_hmac_key *key)
{
    dl_sha256_resume(sha, key->inner, 64);
}

static void dl_hmac_final(
    dl_sha256 *sha, const dynalock_hmac_key *key, uint8_t out[DL_SHA256_SIZE])
{
    dl_sha256_final(sha, out);
    dl_sha256_resume(sha, key->outer, 64);
    dl_sha256_update(sha, out, DL_SHA256_SIZE);
    dl_sha256_final(sha, out);
    dl_wipe(sha, sizeof *sha);
}

/* The CRC of zlib, as in x-amz-crc32. Start with 0. Bit by bit: a table would
   be faster, and three times as long. */
static uint32_t dl_crc32(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *from = (const uint8_t *)data;
    unsigned bit;

    crc = ~crc;
    while (size-- != 0) {
        crc ^= *from++;
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* ===================================================================== */
/* == sigv4: AWS Signature Version 4 for one POST to DynamoDB             */
/*    docs.aws.amazon.com, "Create a signed AWS API request"             */
/* ===================================================================== */

typedef dynalock_signing dl_signing;

/* The headers are signed as they are sent, but for the ends of their lines. */
static const char dl_signed_headers[] =
    "content-type:application/x-amz-json-1.0$ehost:$h[p:$p]$e"
    "x-amz-date:$d$e[sx-amz-security-token:$s$e]"
    "x-amz-target:DynamoDB_20120810.$o$e";
static const char dl_signed_names[] =
    "content-type;host;x-amz-date;[sx-amz-security-token;]x-amz-target";
static const char dl_signed_scope[] = "$y/$g/dynamodb/aws4_request";

static void dl_signing_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dl_signing *signing = (const dl_signing *)fields->context;

    switch (letter) {
    case 'f': dl_put_template(sink, dl_signed_headers, fields); break;
    case 'l': dl_put_template(sink, dl_signed_names, fields); break;
    case 'c': dl_put_template(sink, dl_signed_scope, fields); break;
    case 'e': dl_put_text(sink, signing->newline); break;
    case 'd': dl_put_text(sink, signing->date); break;
    case 'y': dl_put(sink, signing->date, 8); break;
    case 'g': dl_put_text(sink, signing->region); break;
    case 'i': dl_put_text(sink, signing->credentials->key_id); break;
    case 's': dl_put_text(sink, signing->credentials->token); break;
    case 'o': dl_put_text(sink, signing->target); break;
    case 'h': dl_put_text(sink, signing->host); break;
    case 'p': dl_put_decimal(sink, signing->port); break;
    case 'n': dl_put_decimal(sink, signing->body_size); break;
    default: dl_put_hex(sink, signing->digest, DL_SHA256_SIZE); break; /* x */
    }
}

static void dl_put_signing(
    dl_sink *sink, const char *text, const dl_signing *signing)
{
    const char *token = signing->credentials->token;
    dl_fields fields;

    fields.put = dl_signing_put;
    fields.context = signing;
    fields.flags = 0;
    if (signing->port != 0) fields.flags |= DL_FLAG('p');
    if (token != NULL && token[0] != '\0') fields.flags |= DL_FLAG('s');
    dl_put_template(sink, text, &fields);
}

/* HMAC(key, text), and the result becomes the next key. */
static void dl_derive(dynalock_hmac_key *key, const char *text)
{
    dl_sha256 sha;
    uint8_t next[DL_SHA256_SIZE];

    dl_hmac_init(&sha, key);
    dl_sha256_update(&sha, text, strlen(text));
    dl_hmac_final(&sha, key, next);
    dl_hmac_key(key, "", next, sizeof next);
    dl_wipe(next, sizeof next);
}

/* The signing key changes once a UTC day; making it costs as much as signing,
   so it is kept. */
static void dl_signing_key(
    dynalock_signing_key *cache, const dl_signing *signing)
{
    const char *secret = signing->credentials->secret;

    if (memcmp(cache->day, signing->date, sizeof cache->day - 1) == 0) return;
    dl_copy_text(cache->day, sizeof cache->day, signing->date, 8);
    dl_hmac_key(&cache->key, "AWS4", secret, strlen(secret));
    dl_derive(&cache->key, cache->day);
    dl_derive(&cache->key, signing->region);
    dl_derive(&cache->key, "dynamodb");
    dl_derive(&cache->key, "aws4_request");
}

/* Turns signing->digest from the body's hash into the signature. The
   canonical request and the string to sign go straight into the hash. */
static void dl_sign(dynalock_signing_key *cache, dl_signing *signing)
{
    dl_sha256 sha;

    dl_signing_key(cache, signing);
    dl_sha256_init(&sha);
    signing->newline = "\n";
    dl_put_signing(&sha.sink, "POST\n/\n\n$f\n$l\n$x", signing);
    dl_sha256_final(&sha, signing->digest);
    dl_hmac_init(&sha, &cache->key);
    dl_put_signing(&sha.sink, "AWS4-HMAC-SHA256\n$d\n$c\n$x", signing);
    dl_hmac_final(&sha, &cache->key, signing->digest);
}

/* ===================================================================== */
/* == http: the request head, and an incremental response reader          */
/*    RFC 9110, RFC 9112 */
/* ===================================================================== */

static void dl_put_head(dl_sink *sink, dl_signing *signing)
{
    signing->newline = "\r\n";
    dl_put_signing(sink,
        "POST / HTTP/1.1$e"
        "$f"
        "authorization:AWS4-HMAC-SHA256 "
        "Credential=$i/$c, SignedHeaders=$l, Signature=$x$e"
        "content-length:$n$e$e",
        signing);
}

/*
The reader is fed any number of bytes at a time.

    state      on                                        goes to
    STATUS     status line                               HEADER, BAD
    HEADER     empty line after 1xx                      STATUS
    HEADER     empty line                  SIZED, CHUNK, CLOSED, DONE, BAD
    SIZED      Content-Length bytes                      DONE
    CHUNK      chunk-size line                           DATA, TRAILER, BAD
    DATA       chunk bytes                               GAP
    GAP        empty line                                CHUNK, BAD
    TRAILER    empty line                                DONE, BAD
    CLOSED     end of the stream                         DONE
    any other  end of the stream                         BAD
*/
enum {
    DL_HTTP_STATUS,
    DL_HTTP_HEADER,
    DL_HTTP_CHUNK,
    DL_HTTP_GAP,
    DL_HTTP_TRAILER,
    DL_HTTP_SIZED, /* from here on bytes belong to the body */
    DL_HTTP_DATA,
    DL_HTTP_CLOSED,
    DL_HTTP_DONE,
    DL_HTTP_BAD
};

/* The headers that mean something here, and, as it has no name, any other. */
static const char dl_header_names[] =
    "content-length:,transfer-encoding:,x-amz-crc32:,connection:,"
    "content-encoding:,date:,age:,x-amzn-requestid:,";
enum { /* in that order */
    DL_HEADER_LENGTH,
    DL_HEADER_TRANSFER,
    DL_HEADER_CRC,
    DL_HEADER_CONNECTION,
    DL_HEADER_ENCODING,
    DL_HEADER_DATE,
    DL_HEADER_AGE,
    DL_HEADER_REQUEST_ID
};

enum { /* dl_seen: what they said */
    DL_SEEN_LENGTH = 1 << DL_HEADER_LENGTH,
    DL_SEEN_CHUNKED = 1 << DL_HEADER_TRANSFER,
    DL_SEEN_CRC = 1 << DL_HEADER_CRC,
    DL_SEEN_CLOSE = 1 << DL_HEADER_CONNECTION,
    DL_SEEN_ENCODED = 1 << DL_HEADER_ENCODING,
    DL_SEEN_AGE = 1 << DL_HEADER_AGE /* from a cache: its Date is old */
};

#define DL_HEADERS_MOST 16384 /* bytes of header lines; more is an attack */

static void dl_response_begin(dynalock_response *response, dl_sink *body)
{
    memset(response, 0, sizeof *response);
    response->body = body;
}

static void dl_http_bad(dynalock_response *response)
{
    response->state = DL_HTTP_BAD;
}

/* "HTTP/1.1 200 OK": the reason may be missing. */
static void dl_http_status_line(dynalock_response *response, const char *line)
{
    uint32_t status;

    if (dl_begins(line, "http/1.") == NULL || (line[7] | 1) != '1' ||
        line[8] != ' ' || !dl_read_word(line + 9, 3, &status) ||
        (line[12] != '\0' && line[12] != ' ') || status - 100 >= 500)
        return;
    response->status = (uint16_t)status;
    response->seen = line[7] == '0' ? DL_SEEN_CLOSE : 0;
    response->state = DL_HTTP_HEADER;
}

/* A second Content-Length must agree with the first: a disagreement is how
   requests are smuggled (RFC 9112 section 6.3). */
static void dl_http_length(dynalock_response *response, uint32_t length)
{
    if (length > 0x7fffffff ||
        ((response->seen & DL_SEEN_LENGTH) != 0 && response->left != length))
        dl_http_bad(response);
    response->left = length;
    response->seen |= DL_SEEN_LENGTH;
}

static void dl_http_crc(dynalock_response *response, uint32_t crc)
{
    if ((response->seen & DL_SEEN_CRC) != 0 && response->promised_crc != crc)
        dl_http_bad(response);
    response->promised_crc = crc;
    response->seen |= DL_SEEN_CRC;
}

static int dl_http_is(const char *value, size_t size, const char *only)
{
    return size == strlen(only) && dl_begins(value, only) != NULL;
}

/* Only "chunked" can be read; anything else is refused. */
static void dl_http_transfer(
    dynalock_response *response, const char *value, size_t size)
{
    if (!dl_http_is(value, size, "chunked") ||
        (response->seen & DL_SEEN_CHUNKED) != 0)
        dl_http_bad(response);
    response->seen |= DL_SEEN_CHUNKED;
}

static void dl_http_connection(dynalock_response *response, const char *value)
{
    if (dl_begins(value, "keep-alive") != NULL)
        response->seen &= (uint8_t)~DL_SEEN_CLOSE;
    for (; *value != '\0'; value++) /* anywhere in the list */
        if (dl_begins(value, "close") != NULL) response->seen |= DL_SEEN_CLOSE;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7); any other form
   counts for nothing. Years begin in March, as in dl_date; of those from 1970
   to 2099 every fourth has a leap day. */
static uint32_t dl_read_date(const char *text, size_t size)
{
    static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    static const uint8_t places[] = { 5, 12, 17, 20, 23 };
    enum { DAY, YEAR, HOUR, MINUTE, SECOND, ALL };
    uint32_t part[ALL], year, i;

    if (size != 29) return 0;
    for (i = 0; i < ALL; i++)
        if (!dl_read_word(text + places[i], i == YEAR ? 4 : 2, &part[i]))
            return 0;
    year = part[YEAR];
    if (year - 1970 >= 130) return 0;
    for (i = 0; memcmp(text + 8, months + 3 * i, 3) != 0;)
        if (++i == 12) return 0;
    if (i >= 10) year--;
    part[DAY] += 365 * year + year / 4 + (153 * i + 2) / 5 - 719484;
    return ((part[DAY] * 24 + part[HOUR]) * 60 + part[MINUTE]) * 60 +
           part[SECOND];
}

static void dl_http_value(dynalock_response *response, unsigned header,
    const char *value, size_t size)
{
    uint32_t number;

    switch (header) {
    case DL_HEADER_LENGTH:
    case DL_HEADER_CRC:
        if (!dl_read_word(value, size, &number)) dl_http_bad(response);
        else if (header == DL_HEADER_CRC) dl_http_crc(response, number);
        else dl_http_length(response, number);
        break;
    case DL_HEADER_TRANSFER: dl_http_transfer(response, value, size); break;
    case DL_HEADER_CONNECTION: dl_http_connection(response, value); break;
    case DL_HEADER_ENCODING:
        if (!dl_http_is(value, size, "identity"))
            response->seen |= DL_SEEN_ENCODED;
        break;
    case DL_HEADER_DATE: response->date = dl_read_date(value, size); break;
    case DL_HEADER_AGE: response->seen |= DL_SEEN_AGE; break;
    case DL_HEADER_REQUEST_ID:
        dl_copy_text(
            response->request_id, sizeof response->request_id, value, size);
        break;
    default: break;
    }
}

static int dl_http_is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void dl_http_header(
    dynalock_response *response, const char *line, size_t size)
{
    const char *name = dl_header_names, *end = line + size, *mark;
    unsigned header = 0;

    /* A folded line would continue a value we may have judged already. */
    if (dl_http_is_space(line[0])) return;
    response->state = DL_HTTP_HEADER;
    while ((mark = dl_begins(line, name)) == NULL) {
        while (*name++ != ',') continue;
        header++;
    }
    if (size == DYNALOCK_LINE && header < DL_HEADER_REQUEST_ID)
        dl_http_bad(response); /* cut: what it says at its end is lost */
    line += mark - name;
    line += dl_count(line, " \t");
    while (end > line && dl_http_is_space(end[-1])) end--;
    dl_http_value(response, header, line, (size_t)(end - line));
}

static void dl_http_headers_end(dynalock_response *response)
{
    uint16_t status = response->status;
    uint8_t framing =
        response->seen & (DL_SEEN_LENGTH | DL_SEEN_CHUNKED | DL_SEEN_ENCODED);

    if (status < 200) { /* 101 would change the protocol under us */
        if (status != 101) response->state = DL_HTTP_STATUS;
    } else if (framing > DL_SEEN_CHUNKED) {
        return; /* both, or encoded */
    } else if (status == 204 || status == 304) {
        response->state = DL_HTTP_DONE;
    } else if (framing == DL_SEEN_CHUNKED) {
        response->state = DL_HTTP_CHUNK;
    } else if (framing == 0) {
        response->state = DL_HTTP_CLOSED;
    } else {
        response->state = response->left != 0 ? DL_HTTP_SIZED : DL_HTTP_DONE;
    }
}

/* Hexadecimal, then perhaps an extension. */
static void dl_http_chunk_line(dynalock_response *response, const char *line)
{
    const char *start = line;
    uint32_t length = 0;
    int digit;

    while ((digit = dl_hex_digit(*line)) >= 0) {
        if (length > 0x7ffffff) return;
        length = length << 4 | (uint32_t)digit;
        line++;
    }
    if (line == start || line == start + DYNALOCK_LINE ||
        (*line != '\0' && *line != ';' && *line != ' '))
        return;
    response->left = length;
    response->overhead = 0;
    response->state = length != 0 ? DL_HTTP_DATA : DL_HTTP_TRAILER;
}

/* A whole line has been read; it may have been cut to fit line[]. Each kind is
   entered in state BAD and goes on if it likes the line. */
static void dl_http_line(dynalock_response *response)
{
    char *line = response->line;
    size_t size = response->line_size;
    uint8_t state = response->state;

    if (size > DYNALOCK_LINE) size = DYNALOCK_LINE;
    else if (size != 0 && line[size - 1] == '\r') size--;
    line[size] = '\0';
    response->line_size = 0;
    dl_http_bad(response);
    switch (state) {
    case DL_HTTP_STATUS: dl_http_status_line(response, line); break;
    case DL_HTTP_HEADER:
        if (size != 0) dl_http_header(response, line, size);
        else dl_http_headers_end(response);
        break;
    case DL_HTTP_CHUNK: dl_http_chunk_line(response, line); break;
    case DL_HTTP_GAP:
        if (size == 0) response->state = DL_HTTP_CHUNK;
        break;
    default: /* TRAILER: its lines mean nothing to us */
        response->state = size == 0 ? DL_HTTP_DONE : DL_HTTP_TRAILER;
        break;
    }
}

static void dl_http_line_byte(dynalock_response *response, char c)
{
    if (++response->overhead > DL_HEADERS_MOST || c == '\0') {
        dl_http_bad(response);
    } else if (c == '\n') {
        dl_http_line(response);
    } else {
        if (response->line_size < DYNALOCK_LINE)
            response->line[response->line_size] = c;
        response->line_size++;
    }
}

/* Passes body bytes on; returns how many of them belong to the body. */
static size_t dl_http_body(
    dynalock_response *response, const char *data, size_t size)
{
    if (response->state != DL_HTTP_CLOSED) {
        if (size > response->left) size = response->left;
        response->left -= (uint32_t)size;
        if (response->left == 0)
            response->state =
                response->state == DL_HTTP_SIZED ? DL_HTTP_DONE : DL_HTTP_GAP;
    }
    response->crc = dl_crc32(response->crc, data, size);
    dl_put(response->body, data, size);
    return size;
}

static int dl_http_ended(const dynalock_response *response)
{
    return response->state >= DL_HTTP_DONE;
}

/* Returns how many bytes were taken: fewer than size only when the response
   has ended (DONE or BAD). */
static DL_APART size_t dl_response_feed(
    dynalock_response *response, const char *data, size_t size)
{
    size_t at = 0;

    while (at < size && !dl_http_ended(response)) {
        if (response->state >= DL_HTTP_SIZED)
            at += dl_http_body(response, data + at, size - at);
        else dl_http_line_byte(response, data[at++]);
    }
    return at;
}

/* The peer closed the stream. */
static void dl_response_eof(dynalock_response *response)
{
    if (response->state == DL_HTTP_CLOSED) response->state = DL_HTTP_DONE;
    if (response->state != DL_HTTP_DONE) dl_http_bad(response);
    response->seen |= DL_SEEN_CLOSE;
}

static int dl_response_damaged(const dynalock_response *response)
{
    return (response->seen & DL_SEEN_CRC) != 0 &&
           response->crc != response->promised_crc;
}

/* ===================================================================== */
/* == stream: the byte stream under HTTP, plain or TLS                    */
/* ===================================================================== */

/* What a stream can do. Results: open: 0 done, DYNALOCK_AGAIN; write and
   read: bytes, 0 = not now; flush: 0 done, DYNALOCK_AGAIN. Negative: the
   outcome of the request; read: DYNALOCK_EOF when the peer ended the stream
   properly. Whoever has to wait says for what in exchange.interest. */
union dynalock_stream_part {
    int32_t (*open)(dynalock_client *client);
    int32_t (*write)(dynalock_client *client, const void *data, size_t size);
    int32_t (*flush)(dynalock_client *client);
    int32_t (*read)(dynalock_client *client, void *data, size_t size);
    int (*is_stale)(dynalock_client *client);
    void (*close)(dynalock_client *client);
    void (*wipe)(dynalock_client *client); /* keys, sessions, last answers */
};

enum {
    DL_STREAM_OPEN,
    DL_STREAM_WRITE,
    DL_STREAM_FLUSH,
    DL_STREAM_READ,
    DL_STREAM_IS_STALE,
    DL_STREAM_CLOSE,
    DL_STREAM_WIPE
};

/* The table of a stream, as a function: see dynalock_steps. Where a table would
   be no data, compilers make one of it. */
#define DL_STREAM(                                                            \
    stream, to_open, to_write, to_flush, to_read, to_look, to_close, to_wipe) \
    static dynalock_stream_part stream(unsigned which)                        \
    {                                                                         \
        dynalock_stream_part part;                                            \
                                                                              \
        switch (which) {                                                      \
        case DL_STREAM_OPEN: part.open = to_open; break;                      \
        case DL_STREAM_WRITE: part.write = to_write; break;                   \
        case DL_STREAM_FLUSH: part.flush = to_flush; break;                   \
        case DL_STREAM_READ: part.read = to_read; break;                      \
        case DL_STREAM_IS_STALE: part.is_stale = to_look; break;              \
        case DL_STREAM_CLOSE: part.close = to_close; break;                   \
        default: part.wipe = to_wipe; break;                                  \
        }                                                                     \
        return part;                                                          \
    }

static int32_t dl_port_failed(
    dynalock_client *client, int32_t error, dynalock_outcome outcome)
{
    client->detail.port_error = error;
    return outcome;
}

static int32_t dl_plain_open(dynalock_client *client)
{
    const dynalock_platform *platform = client->config.platform;
    dynalock_peer peer;
    int32_t rc;

    peer.host = client->host;
    peer.port = client->port;
    peer.secure = client->config.secure_transport;
    rc = platform->open(platform->context, &peer);
    client->exchange.interest = DYNALOCK_WRITE;
    if (rc == 0 || rc == DYNALOCK_AGAIN) return rc;
    return dl_port_failed(client, rc, DYNALOCK_UNREACHABLE);
}

static int32_t dl_plain_write(
    dynalock_client *client, const void *data, size_t size)
{
    const dynalock_platform *platform = client->config.platform;
    int32_t n = platform->write(platform->context, data, size);

    client->exchange.interest = DYNALOCK_WRITE;
    if (n < 0) return dl_port_failed(client, n, DYNALOCK_DISCONNECTED);
    return n;
}

static int32_t dl_plain_flush(dynalock_client *client)
{
    (void)client;
    return 0;
}

static int32_t dl_plain_read(dynalock_client *client, void *data, size_t size)
{
    const dynalock_platform *platform = client->config.platform;
    int32_t n = platform->read(platform->context, data, size);

    client->exchange.interest = DYNALOCK_READ;
    if (n < 0 && n != DYNALOCK_EOF)
        return dl_port_failed(client, n, DYNALOCK_DISCONNECTED);
    return n;
}

/* Nothing may arrive before we have asked: not bytes, not an end. */
static int dl_plain_is_stale(dynalock_client *client)
{
    uint8_t byte;

    return dl_plain_read(client, &byte, 1) != 0;
}

static void dl_plain_close(dynalock_client *client)
{
    const dynalock_platform *platform = client->config.platform;

    platform->close(platform->context);
}

static void dl_plain_wipe(dynalock_client *client)
{
    (void)client; /* it has no memory */
}

DL_STREAM(dl_plain, dl_plain_open, dl_plain_write, dl_plain_flush,
    dl_plain_read, dl_plain_is_stale, dl_plain_close, dl_plain_wipe)

/* A tls object begins with a pointer to its stream, so that a program which
   names none links none. */
static DL_ALONG dynalock_stream *dl_stream(const dynalock_config *config)
{
    if (config->tls == NULL) return dl_plain;
    return *(dynalock_stream *const *)(const void *)config->tls;
}

static uint64_t dl_now(const dynalock_client *client)
{
    const dynalock_platform *platform = client->config.platform;

    return platform->monotonic_ms(platform->context);
}

/* The wall clock, or 0 when unknown or absurd: the platform's or, once it was
   set by hand, the monotonic clock, and what it has been found to be off. */
static uint64_t dl_unix_ms(const dynalock_client *client)
{
    const dynalock_platform *platform = client->config.platform;
    int64_t ms = client->clock_is_set ? (int64_t)dl_now(client)
                                      : platform->unix_ms(platform->context);

    if (ms > 0) ms += client->skew_ms;
    return ms > 0 && ms < 253402300800000 ? (uint64_t)ms : 0; /* year 10000 */
}

#ifndef DYNALOCK_NO_TLS

/*
    state      on                                   goes to
    CLOSED     the port has connected               SHAKE
    SHAKE      the handshake is done                OPEN, CLOSED
    OPEN       close                                CLOSED
*/
enum { DL_TLS_CLOSED, DL_TLS_SHAKE, DL_TLS_OPEN };

#define DL_TLS_STEPS 64 /* records in one step; then the caller's turn */

/* The first two are the small profile's. */
static const uint16_t dl_tls_suites[] = {
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
};

static void dl_tls_setup_hash(
    dynalock_tls *tls, int id, const br_hash_class *hash)
{
    br_ssl_engine_set_hash(&tls->client.eng, id, hash);
    br_x509_minimal_set_hash(&tls->x509, id, hash);
}

/* The generator's state goes on: seeding it again would be a seventh of a
   resumed handshake. */
static void dl_tls_zero(br_ssl_client_context *client)
{
    br_hmac_drbg_context generator = client->eng.rng;
    int seeded = client->eng.rng_init_done;

    br_ssl_client_zero(client);
    client->eng.rng = generator;
    client->eng.rng_init_done = seeded;
}

/* Constant-time AES and GHASH; 31-bit integers (small and fast wherever there
   is a 32-bit multiplication). */
static void dl_tls_setup(dynalock_tls *tls, const br_ec_impl *curves)
{
    br_ssl_engine_context *engine = &tls->client.eng;

    dl_tls_zero(&tls->client);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, dl_tls_suites, 2);
    br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION);
    br_ssl_engine_set_rsavrfy(engine, &br_rsa_i31_pkcs1_vrfy);
    br_ssl_engine_set_ecdsa(engine, &br_ecdsa_i31_vrfy_asn1);
    br_ssl_engine_set_ec(engine, curves);
    br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
    br_ssl_engine_set_aes_ctr(engine, &br_aes_ct_ctr_vtable);
    br_ssl_engine_set_ghash(engine, &br_ghash_ctmul32);
    br_ssl_engine_set_gcm(
        engine, &br_sslrec_in_gcm_vtable, &br_sslrec_out_gcm_vtable);
    br_x509_minimal_init(
        &tls->x509, &br_sha256_vtable, tls->anchors, tls->anchor_count);
    br_x509_minimal_set_rsa(&tls->x509, &br_rsa_i31_pkcs1_vrfy);
    br_x509_minimal_set_minrsa(&tls->x509, 2048 / 8); /* its own is 1017 */
    br_x509_minimal_set_ecdsa(&tls->x509, curves, &br_ecdsa_i31_vrfy_asn1);
    br_ssl_engine_set_x509(engine, &tls->x509.vtable);
    dl_tls_setup_hash(tls, br_sha256_ID, &br_sha256_vtable);
}

static void dl_tls_setup_small(dynalock_tls *tls)
{
    dl_tls_setup(tls, &br_ec_p256_m31);
}

static void dl_tls_setup_wide(dynalock_tls *tls)
{
    br_ssl_engine_context *engine = &tls->client.eng;

    dl_tls_setup(tls, &br_ec_all_m31);
    br_ssl_engine_set_suites(engine, dl_tls_suites, DL_COUNT(dl_tls_suites));
    br_ssl_engine_set_chacha20(engine, &br_chacha20_ct_run);
    br_ssl_engine_set_poly1305(engine, &br_poly1305_ctmul_run);
    br_ssl_engine_set_chapol(
        engine, &br_sslrec_in_chapol_vtable, &br_sslrec_out_chapol_vtable);
    dl_tls_setup_hash(tls, br_sha384_ID, &br_sha384_vtable);
    dl_tls_setup_hash(tls, br_sha512_ID, &br_sha512_vtable);
}

DYNALOCK_API dynalock_tls_profile *dynalock_tls_small(void)
{
    return dl_tls_setup_small;
}

DYNALOCK_API dynalock_tls_profile *dynalock_tls_wide(void)
{
    return dl_tls_setup_wide;
}

/* ---- what a certificate may be used for ---- */

/*
BearSSL passes over the extended key usage (RFC 5280 section 4.2.1.12). A strict
profile reads it, on its way to BearSSL, of the first certificate: the server's.
Of its elements those are entered that lead to the usages; `level` says how far:

    level   on                                       goes to
    0       Certificate                              1
    1       TBSCertificate                           2
    2       [3]                                      3
    3       Extensions                               4
    4       the name of the extended key usage       5
    5       its extnValue                            6
    6       the list in that                         7
    4..7    another Extension                        4

All others are passed over, whatever is in them. What is malformed BearSSL
refuses.
*/
enum { DL_DER_NAME = 6, DL_DER_OCTETS = 4, DL_DER_SEQUENCE = 0x30 };
enum { DL_USAGE_SAID = 1, DL_USAGE_SERVER = 2 }; /* dl_said */

#define DL_USAGE_FIRST 0x80 /* in octets: the first of a length comes */

/* The element under way is entered; 0: it is passed over. */
static int dl_usage_enter(dynalock_usage *usage)
{
    static const uint8_t ways[] = { DL_DER_SEQUENCE, DL_DER_SEQUENCE, 0xa3,
        DL_DER_SEQUENCE, 0, DL_DER_OCTETS, DL_DER_SEQUENCE, 0 };

    if (usage->tag != 0 && usage->tag == ways[usage->level]) usage->level++;
    else if (usage->level < 4 || usage->tag != DL_DER_SEQUENCE) return 0;
    else usage->level = 4;
    return 1;
}

static int dl_usage_is(
    const dynalock_usage *usage, const char *name, size_t size)
{
    return usage->used == size && memcmp(usage->name, name, size) == 0;
}

/* An object identifier has ended: an extension's, or a usage's. */
static void dl_usage_name(dynalock_usage *usage)
{
    if (usage->tag != DL_DER_NAME) return;
    if (usage->level == 4 && dl_usage_is(usage, "\x55\x1d\x25", 3)) {
        usage->level = 5;
        usage->said |= DL_USAGE_SAID;
    }
    if (usage->level == 7 && /* any, or serverAuth */
        (dl_usage_is(usage, "\x55\x1d\x25\0", 4) ||
            dl_usage_is(usage, "\x2b\6\1\5\5\7\3\1", 8)))
        usage->said |= DL_USAGE_SERVER;
}

static void dl_usage_byte(dynalock_usage *usage, uint8_t c)
{
    if (usage->left != 0) {
        if (usage->used < sizeof usage->name) usage->name[usage->used] = c;
        if (usage->used <= sizeof usage->name) usage->used++;
        if (--usage->left == 0) dl_usage_name(usage);
    } else if (usage->octets == 0) {
        usage->tag = c;
        usage->octets = DL_USAGE_FIRST;
        usage->length = 0;
        usage->used = 0;
    } else if (usage->octets == DL_USAGE_FIRST && c > 0x80) {
        usage->octets = c & 0x7f;
    } else {
        usage->length = usage->length << 8 | c;
        usage->octets =
            usage->octets == DL_USAGE_FIRST ? 0 : (uint8_t)(usage->octets - 1);
        if (usage->octets == 0 && !dl_usage_enter(usage))
            usage->left = usage->length;
    }
}

static dynalock_tls *dl_usage_tls(const br_x509_class **engine)
{
    return (dynalock_tls *)(void *)((char *)(void *)engine -
                                    offsetof(dynalock_tls, x509));
}

static void dl_usage_start_chain(
    const br_x509_class **engine, const char *server_name)
{
    dynalock_usage *usage = &dl_usage_tls(engine)->usage;

    memset(usage, 0, sizeof *usage);
    br_x509_minimal_vtable.start_chain(engine, server_name);
}

static void dl_usage_append(
    const br_x509_class **engine, const unsigned char *data, size_t size)
{
    dynalock_tls *tls = dl_usage_tls(engine);
    size_t i;

    br_x509_minimal_vtable.append(engine, data, size);
    if (tls->x509.num_certs != 0) return;
    for (i = 0; i < size; i++) dl_usage_byte(&tls->usage, data[i]);
}

static unsigned dl_usage_end_chain(const br_x509_class **engine)
{
    unsigned error = br_x509_minimal_vtable.end_chain(engine);

    if (error == 0 && dl_usage_tls(engine)->usage.said == DL_USAGE_SAID)
        return BR_ERR_X509_FORBIDDEN_KEY_USAGE;
    return error;
}

static void dl_tls_setup_strict(dynalock_tls *tls)
{
    tls->strict = br_x509_minimal_vtable;
    tls->strict.start_chain = dl_usage_start_chain;
    tls->strict.append = dl_usage_append;
    tls->strict.end_chain = dl_usage_end_chain;
    tls->x509.vtable = &tls->strict;
}

static void dl_tls_setup_small_strict(dynalock_tls *tls)
{
    dl_tls_setup_small(tls);
    dl_tls_setup_strict(tls);
}

static void dl_tls_setup_wide_strict(dynalock_tls *tls)
{
    dl_tls_setup_wide(tls);
    dl_tls_setup_strict(tls);
}

DYNALOCK_API dynalock_tls_profile *dynalock_tls_small_strict(void)
{
    return dl_tls_setup_small_strict;
}

DYNALOCK_API dynalock_tls_profile *dynalock_tls_wide_strict(void)
{
    return dl_tls_setup_wide_strict;
}

static const struct {
    int error;
    dynalock_outcome outcome;
} dl_tls_errors[] = {
    { BR_ERR_X509_EXPIRED, DYNALOCK_TLS_DATE },
    { BR_ERR_X509_TIME_UNKNOWN, DYNALOCK_CLOCK_UNSET },
    { BR_ERR_X509_BAD_SERVER_NAME, DYNALOCK_TLS_NAME },
    { BR_ERR_TOO_LARGE, DYNALOCK_TLS_RECORD },
    { BR_ERR_BAD_MAC, DYNALOCK_BAD_ANSWER }, /* damaged: it passes */
    { BR_ERR_NO_RANDOM, DYNALOCK_NO_ENTROPY },
    { BR_ERR_UNSUPPORTED_VERSION, DYNALOCK_TLS_NO_HANDSHAKE },
    { BR_ERR_BAD_VERSION, DYNALOCK_TLS_NO_HANDSHAKE },
    { BR_ERR_UNKNOWN_TYPE, DYNALOCK_TLS_NO_HANDSHAKE },
    { BR_ERR_RECV_FATAL_ALERT + 70, DYNALOCK_TLS_NO_HANDSHAKE },
};

static int32_t dl_tls_failed(dynalock_client *client)
{
    dynalock_tls *tls = client->config.tls;
    int error = br_ssl_engine_last_error(&tls->client.eng);
    size_t i;

    client->detail.tls_error = error;
    tls->session.session_id_len = 0;
    for (i = 0; i < DL_COUNT(dl_tls_errors); i++)
        if (dl_tls_errors[i].error == error) return dl_tls_errors[i].outcome;
    if (error >= BR_ERR_X509_OK && error <= BR_ERR_X509_NOT_TRUSTED)
        return DYNALOCK_TLS_UNTRUSTED;
    return DYNALOCK_TLS_FAILED;
}

/* Moves what the engine has to send. 1: moved; 0: not now; or an outcome. */
static int32_t dl_tls_send(dynalock_client *client)
{
    br_ssl_engine_context *engine = &client->config.tls->client.eng;
    size_t size;
    unsigned char *record = br_ssl_engine_sendrec_buf(engine, &size);
    int32_t n = dl_plain_write(client, record, size);

    if (n <= 0) return n;
    br_ssl_engine_sendrec_ack(engine, (size_t)n);
    return 1;
}

/* Feeds the engine. 1: fed; 0: not now; DYNALOCK_EOF; or an outcome. */
static int32_t dl_tls_receive(dynalock_client *client)
{
    br_ssl_engine_context *engine = &client->config.tls->client.eng;
    size_t size;
    unsigned char *record = br_ssl_engine_recvrec_buf(engine, &size);
    int32_t n = dl_plain_read(client, record, size);

    if (n <= 0) return n;
    br_ssl_engine_recvrec_ack(engine, (size_t)n);
    return 1;
}

/* Runs the engine until it is in one of the wanted states: those bits; 0: not
   now; DYNALOCK_EOF: close_notify; or an outcome. An end of the connection
   without close_notify may be an attacker's cut: DISCONNECTED. */
static int32_t dl_tls_pump(dynalock_client *client, unsigned wanted)
{
    br_ssl_engine_context *engine = &client->config.tls->client.eng;
    int32_t rc;
    int i;

    for (i = 0; i < DL_TLS_STEPS; i++) {
        unsigned state = br_ssl_engine_current_state(engine);

        if (state == BR_SSL_CLOSED) {
            if (br_ssl_engine_last_error(engine) == BR_ERR_OK)
                return DYNALOCK_EOF;
            return dl_tls_failed(client);
        }
        if ((state & BR_SSL_SENDREC) != 0) rc = dl_tls_send(client);
        else if ((state & wanted) != 0) return (int32_t)(state & wanted);
        else if ((state & BR_SSL_RECVREC) != 0) rc = dl_tls_receive(client);
        else return 0;
        if (rc == DYNALOCK_EOF) return DYNALOCK_DISCONNECTED;
        if (rc <= 0) return rc;
    }
    client->exchange.interest = DYNALOCK_READ | DYNALOCK_WRITE;
    return 0;
}

#define DL_TLS_SEEDED 2 /* of BearSSL's rng_init_done */

static int32_t dl_tls_seed(dynalock_client *client)
{
    br_ssl_engine_context *engine = &client->config.tls->client.eng;
    const dynalock_platform *platform = client->config.platform;
    uint8_t seed[32];

    if (engine->rng_init_done == DL_TLS_SEEDED) return 0;
    if (platform->entropy(platform->context, seed, sizeof seed) < 0)
        return DYNALOCK_NO_ENTROPY;
    br_ssl_engine_inject_entropy(engine, seed, sizeof seed);
    dl_wipe(seed, sizeof seed);
    return 0;
}

/* Every handshake starts from a fresh context (a reset would forget errors),
   but for the generator. BearSSL must be told the time each time. */
static int32_t dl_tls_start(dynalock_client *client)
{
    dynalock_tls *tls = client->config.tls;
    br_ssl_engine_context *engine = &tls->client.eng;
    uint64_t days = dl_unix_ms(client);
    uint32_t seconds;
    int32_t rc;

    if (days == 0) return DYNALOCK_CLOCK_UNSET;
    (void)dl_divide(&days, 1000);
    tls->profile(tls);
    seconds = dl_divide(&days, 43200); /* divisors are 16 bits: half days */
    seconds += (days & 1) != 0 ? 43200 : 0;
    br_x509_minimal_set_time(
        &tls->x509, (uint32_t)(days >> 1) + 719528, seconds);
    br_ssl_engine_set_buffer(engine, tls->buffer, sizeof tls->buffer, 0);
    rc = dl_tls_seed(client);
    if (rc != 0) return rc;
    br_ssl_engine_set_session_parameters(engine, &tls->session);
    if (!br_ssl_client_reset(&tls->client, client->host, 1))
        return dl_tls_failed(client);
    return 0;
}

static int32_t dl_tls_connect(dynalock_client *client)
{
    int32_t rc = dl_plain_open(client);

    if (rc != 0) return rc;
    rc = dl_tls_start(client);
    if (rc == 0) client->config.tls->state = DL_TLS_SHAKE;
    else dl_plain_close(client);
    return rc;
}

/* The handshake has failed; the port is still connected. */
static int32_t dl_tls_give_up(dynalock_client *client, int32_t outcome)
{
    client->config.tls->state = DL_TLS_CLOSED;
    client->config.tls->session.session_id_len = 0; /* try without it */
    dl_plain_close(client);
    if (outcome == DYNALOCK_EOF || outcome == DYNALOCK_DISCONNECTED)
        return DYNALOCK_TLS_NO_HANDSHAKE;
    return outcome;
}

static int32_t dl_tls_open(dynalock_client *client)
{
    dynalock_tls *tls = client->config.tls;
    int32_t rc;

    if (tls->state != DL_TLS_SHAKE) {
        rc = dl_tls_connect(client);
        if (rc != 0) return rc;
    }
    rc = dl_tls_pump(client, BR_SSL_SENDAPP);
    if (rc == 0) return DYNALOCK_AGAIN;
    if (rc < 0) return dl_tls_give_up(client, rc);
    br_ssl_engine_get_session_parameters(&tls->client.eng, &tls->session);
    tls->state = DL_TLS_OPEN;
    return 0;
}

static int32_t dl_tls_write(
    dynalock_client *client, const void *data, size_t size)
{
    br_ssl_engine_context *engine = &client->config.tls->client.eng;
    int32_t rc = dl_tls_pump(client, BR_SSL_SENDAPP);
    unsigned char *room;
    size_t capacity;

    if (rc == DYNALOCK_EOF) return DYNALOCK_DISCONNECTED;
    if (rc <= 0) return rc;
    room = br_ssl_engine_sendapp_buf(engine, &capacity);
    if (size > capacity) size = capacity;
    memcpy(room, data, size);
    br_ssl_engine_sendapp_ack(engine, size);
    return (int32_t)size;
}

/* Only now does the record leave: head and body go in one. */
static int32_t dl_tls_flush(dynalock_client *client)
{
    br_ssl_engine_context *engine = &client->config.tls->client.eng;
    int32_t rc = 1;
    int i;

    br_ssl_engine_flush(engine, 0);
    for (i = 0; i < DL_TLS_STEPS && rc > 0; i++) {
        if ((br_ssl_engine_current_state(engine) & BR_SSL_SENDREC) == 0)
            return 0;
        rc = dl_tls_send(client);
    }
    return rc < 0 ? rc : (int32_t)DYNALOCK_AGAIN;
}

static int32_t dl_tls_read(dynalock_client *client, void *data, size_t size)
{
    br_ssl_engine_context *engine = &client->config.tls->client.eng;
    int32_t rc = dl_tls_pump(client, BR_SSL_RECVAPP);
    unsigned char *from;
    size_t there;

    if (rc <= 0) return rc;
    from = br_ssl_engine_recvapp_buf(engine, &there);
    if (size > there) size = there;
    memcpy(data, from, size);
    br_ssl_engine_recvapp_ack(engine, size);
    return (int32_t)size;
}

/* In half duplex the one buffer must be free before we send: data, an alert
   or an end that came since the last answer means a new connection. A goodbye
   is answered: without that, some servers forget the session. */
static int dl_tls_is_stale(dynalock_client *client)
{
    br_ssl_engine_context *engine = &client->config.tls->client.eng;
    unsigned state = br_ssl_engine_current_state(engine);

    if ((state & BR_SSL_SENDAPP) == 0) return 1;
    if ((state & BR_SSL_RECVREC) == 0) return 0;
    switch (dl_tls_receive(client)) {
    case 0: return 0;
    case 1: (void)dl_tls_pump(client, 0); break; /* answers a goodbye */
    default: break;
    }
    return 1;
}

/* Says goodbye without waiting for the answer: some servers keep a session
   only when the client has sent close_notify. */
static void dl_tls_close(dynalock_client *client)
{
    dynalock_tls *tls = client->config.tls;

    if (tls->state == DL_TLS_OPEN) {
        br_ssl_engine_close(&tls->client.eng);
        (void)dl_tls_flush(client);
    }
    tls->state = DL_TLS_CLOSED;
    dl_plain_close(client);
}

static void dl_tls_wipe(dynalock_client *client)
{
    dynalock_tls *tls = client->config.tls;

    dl_wipe(&tls->client, sizeof tls->client);
    dl_wipe(&tls->x509, sizeof tls->x509);
    dl_wipe(&tls->session, sizeof tls->session);
    dl_wipe(tls->buffer, sizeof tls->buffer);
}

DL_STREAM(dl_tls, dl_tls_open, dl_tls_write, dl_tls_flush, dl_tls_read,
    dl_tls_is_stale, dl_tls_close, dl_tls_wipe)

DYNALOCK_API void dynalock_tls_init(dynalock_tls *tls,
    dynalock_tls_profile *profile, const br_x509_trust_anchor *anchors,
    size_t anchor_count)
{
    if (tls == NULL) return;
    memset(tls, 0, sizeof *tls);
    if (profile == NULL || anchors == NULL || anchor_count == 0) return;
    tls->stream = dl_tls;
    tls->profile = profile;
    tls->anchors = anchors;
    tls->anchor_count = anchor_count;
}

#endif /* DYNALOCK_NO_TLS */

/* ===================================================================== */
/* == json: a filter that keeps what is wanted, then jsmn                 */
/*    RFC 8259, strictly; what is kept is rewritten compactly */
/* ===================================================================== */

/*
Of an answer of any size the filter keeps, within its buffer:

    {"__type":"...","message":"...","Item":{"name":{"S":"value"}, ...}}

where each name is wanted and each value has exactly that shape: a text, the
Item, or an attribute of one type and one scalar. A wanted value that is too
long or of another shape is kept as `true`: present, but not understood; only
texts are cut instead. Malformed JSON, a wanted name met twice and nesting
over 95 levels end in BAD. Escapes are normalised: \" and \\ remain, \b stands
for NUL, which would end the text for jsmn; all else becomes UTF-8.
*/
typedef dynalock_want dl_want;

enum { /* dl_expect: what a value must be to be kept */
    DL_EXPECT_OBJECT,
    DL_EXPECT_TEXT,
    DL_EXPECT_ATTRIBUTE,
    DL_EXPECT_SCALAR
};

#define DL_TYPE_LIMIT 112
#define DL_MESSAGE_LIMIT 144
#define DL_RESERVE 12 /* bytes of the buffer kept for `true` and closing */

/* The names of an answer's root. 0: there are no more. */
static int dl_root_want(unsigned i, dl_want *want)
{
    static const char names[][8] = { "__type", /* stays the first */
        "message", "Message", "Item" };
    static const uint16_t limits[] = { DL_TYPE_LIMIT, DL_MESSAGE_LIMIT,
        DL_MESSAGE_LIMIT, 65535 };

    if (i == DL_COUNT(names)) return 0;
    want->name = names[i];
    want->limit = limits[i];
    want->expect = limits[i] < 65535 ? DL_EXPECT_TEXT : DL_EXPECT_OBJECT;
    return 1;
}
#define DL_ITEM_BIT 4 /* in found: the item's names come after the root's */

/*
    state      byte                       goes to
    VALUE      any value's first          VALUE0, NAME0, STRING, MINUS, ZERO,
                                          WHOLE, LITERAL
    VALUE0     as VALUE; ] of []          as VALUE; AFTER, DONE
    NAME0      as NAME; } of {}           STRING; AFTER, DONE
    NAME       "                          STRING
    COLON      :                          VALUE
    AFTER      , ] }                      VALUE, NAME, AFTER, DONE
    STRING     text; " ends it            STRING, ESCAPE; COLON, AFTER, DONE
    ESCAPE     one of "\/bfnrtu           STRING, HEX
    HEX        four hex digits            STRING
    MINUS .. EXPONENT                     dl_json_number
    LITERAL    the rest of a literal      AFTER, DONE
    VALUE .. DONE, white space            the same
    any        anything else              BAD
*/
enum {
    DL_JSON_MINUS, /* the number's states first: they index a table */
    DL_JSON_ZERO,
    DL_JSON_WHOLE,
    DL_JSON_POINT,
    DL_JSON_FRACTION,
    DL_JSON_E,
    DL_JSON_SIGN,
    DL_JSON_EXPONENT,
    DL_JSON_VALUE, /* from here to DONE: between tokens */
    DL_JSON_NAME,
    DL_JSON_COLON,
    DL_JSON_VALUE0, /* from here to AFTER: a bracket may close */
    DL_JSON_NAME0,
    DL_JSON_AFTER,
    DL_JSON_DONE,
    DL_JSON_STRING,
    DL_JSON_ESCAPE,
    DL_JSON_HEX,
    DL_JSON_LITERAL,
    DL_JSON_BAD
};

enum {            /* dl_keep: what happens to the bytes that go by */
    DL_KEEP_ALL,  /* copied */
    DL_KEEP_NAME, /* copied for now: a name that may be wanted */
    DL_KEEP_CUT,  /* of a long text, the rest up to the quote is dropped */
    DL_KEEP_NONE  /* dropped, until the value at value_depth has ended */
};

static void dl_filter_bad(dynalock_filter *filter)
{
    filter->state = DL_JSON_BAD;
}

/* ---- what to keep ---- */

/* Drops a member of the root or the item, its name included. */
static void dl_filter_skip(dynalock_filter *filter)
{
    filter->used = filter->mark;
    filter->keep = DL_KEEP_NONE;
    filter->value_depth = filter->depth;
}

/* The wanted value under way cannot be kept as it is. */
static void dl_filter_refuse(dynalock_filter *filter)
{
    filter->keep = DL_KEEP_NONE;
    memcpy(filter->out + filter->mark, "true", 4);
    filter->used = (uint16_t)(filter->mark + 4);
}

/* A character of a text that is cut is kept whole or not at all. One byte
   beneath the limit stays free for its quote. */
static void dl_filter_emit(dynalock_filter *filter, char c)
{
    if (filter->keep >= DL_KEEP_CUT) return;
    if (filter->used + 1 < filter->limit) {
        filter->out[filter->used++] = c;
    } else if (filter->keep == DL_KEEP_NAME) {
        dl_filter_skip(filter); /* longer than any that is wanted */
    } else if (filter->expect == DL_EXPECT_TEXT) {
        filter->keep = DL_KEEP_CUT;
        filter->used = filter->unit;
    } else {
        dl_filter_refuse(filter);
    }
}

static void dl_filter_name(dynalock_filter *filter)
{
    if (filter->depth > 2 || filter->keep != DL_KEEP_ALL) return;
    filter->keep = DL_KEEP_NAME;
    filter->mark = filter->used;
    filter->limit = (uint16_t)(filter->size - DL_RESERVE);
    if (filter->out[filter->used - 1] != '{') dl_filter_emit(filter, ',');
}

static void dl_filter_want(dynalock_filter *filter, const dl_want *want)
{
    filter->keep = DL_KEEP_ALL;
    filter->expect = want->expect;
    filter->value_depth = filter->depth;
    filter->limit = (uint16_t)(filter->limit + 4); /* for :"" of a cut text */
    dl_filter_emit(filter, ':');
    filter->mark = filter->used;
    if (want->limit < filter->limit - filter->used)
        filter->limit = (uint16_t)(filter->used + want->limit);
}

static int dl_filter_wanted(
    const dynalock_filter *filter, unsigned i, dl_want *want)
{
    if (filter->depth == 1) return dl_root_want(i, want);
    *want = filter->wants[i];
    return want->name != NULL;
}

/* A name of the root or the item has ended; out[] has it, with its quotes. */
static void dl_filter_choose(dynalock_filter *filter)
{
    unsigned i, first = filter->depth == 1 ? 1 : 1 << DL_ITEM_BIT;
    const char *name = filter->out + filter->start + 1;
    size_t size = (size_t)(filter->used - filter->start) - 2;
    dl_want want;

    for (i = 0; dl_filter_wanted(filter, i, &want); i++) {
        if (!dl_equals(name, size, want.name)) continue;
        if ((filter->found & first << i) != 0) dl_filter_bad(filter);
        filter->found = (uint16_t)(filter->found | first << i);
        dl_filter_want(filter, &want);
        return;
    }
    dl_filter_skip(filter);
}

/* A value begins: is it of the kind that is expected here? 0: not even an
   answer. */
static int dl_filter_value(dynalock_filter *filter, char first)
{
    int fits = first == '{';

    if (filter->expect == DL_EXPECT_TEXT) fits = first == '"';
    if (filter->expect == DL_EXPECT_SCALAR) fits = !fits && first != '[';
    if (fits || filter->keep != DL_KEEP_ALL) return 1;
    if (filter->depth != 0) dl_filter_refuse(filter);
    return filter->depth;
}

/* A value has ended at the present depth. */
static void dl_filter_after(dynalock_filter *filter)
{
    filter->state = filter->depth == 0 ? DL_JSON_DONE : DL_JSON_AFTER;
    if (filter->depth > 2) return;
    if (filter->keep == DL_KEEP_NONE && filter->depth != filter->value_depth)
        return;
    filter->keep = DL_KEEP_ALL;
    filter->expect = DL_EXPECT_OBJECT;
    filter->limit = filter->size;
}

/* ---- the grammar ---- */

/* Every step is entered in state BAD; one that likes its byte goes on. */

static void dl_json_open(dynalock_filter *filter, char c)
{
    if (filter->depth == DYNALOCK_DEPTH - 1) return;
    dl_filter_emit(filter, c);
    filter->open[++filter->depth] = c;
    filter->state = c == '[' ? DL_JSON_VALUE0 : DL_JSON_NAME0;
    if (filter->depth == 3) filter->expect = DL_EXPECT_SCALAR;
}

static void dl_json_close(dynalock_filter *filter, char c)
{
    if (filter->open[filter->depth] != c - 2) return; /* [ and ], { and } */
    if (filter->depth == 3 && filter->keep == DL_KEEP_ALL &&
        filter->out[filter->used - 1] == '{')
        dl_filter_refuse(filter); /* an attribute of no type */
    dl_filter_emit(filter, c);
    filter->depth--;
    dl_filter_after(filter);
}

static void dl_json_string_begin(dynalock_filter *filter)
{
    filter->state = DL_JSON_STRING;
    filter->start = filter->used;
    filter->unit = filter->used;
    dl_filter_emit(filter, '"');
}

static const char dl_json_literals[] = "true\0false\0null";

static void dl_json_value(dynalock_filter *filter, char c)
{
    filter->in_name = 0;
    if (!dl_filter_value(filter, c)) return;
    switch (c) {
    case '{':
    case '[': dl_json_open(filter, c); return;
    case '"': dl_json_string_begin(filter); return;
    case '-': filter->state = DL_JSON_MINUS; break;
    case '0': filter->state = DL_JSON_ZERO; break;
    case 't':
    case 'f':
    case 'n':
        filter->state = DL_JSON_LITERAL;
        filter->literal = c == 't' ? 1 : c == 'f' ? 6 : 12;
        break;
    default:
        if (c >= '1' && c <= '9') filter->state = DL_JSON_WHOLE;
        break;
    }
    dl_filter_emit(filter, c);
}

static void dl_json_name(dynalock_filter *filter, char c)
{
    if (c != '"') return;
    filter->in_name = 1;
    dl_filter_name(filter);
    dl_json_string_begin(filter);
}

static void dl_json_comma(dynalock_filter *filter, char c)
{
    if (c != ',') return;
    /* an attribute has one type */
    if (filter->depth == 3 && filter->keep == DL_KEEP_ALL)
        dl_filter_refuse(filter);
    filter->state =
        filter->open[filter->depth] == '[' ? DL_JSON_VALUE : DL_JSON_NAME;
}

static void dl_json_string_end(dynalock_filter *filter)
{
    if (filter->keep == DL_KEEP_CUT) filter->keep = DL_KEEP_ALL;
    if (filter->expect == DL_EXPECT_TEXT) filter->limit = filter->size;
    dl_filter_emit(filter, '"');
    if (!filter->in_name) {
        dl_filter_after(filter);
        return;
    }
    filter->state = DL_JSON_COLON;
    if (filter->keep == DL_KEEP_NAME) dl_filter_choose(filter);
    else if (filter->depth == 3) dl_filter_emit(filter, ':');
}

/* Behind the first half of a surrogate pair comes the escape of the other. */
static void dl_json_string(dynalock_filter *filter, char c)
{
    if (filter->utf8.more == 0) filter->unit = filter->used;
    if (!dl_utf8_accepts(&filter->utf8, c) || (uint8_t)c < 0x20) return;
    if (c == '\\') {
        filter->state = DL_JSON_ESCAPE;
    } else if (filter->surrogate == 0) {
        filter->state = DL_JSON_STRING;
        if (c == '"') dl_json_string_end(filter);
        else dl_filter_emit(filter, c);
    }
}

/* An escape's code point, in the one form that we keep. */
static void dl_json_code_point(dynalock_filter *filter, uint32_t c)
{
    unsigned more = (unsigned)((c >= 0x80) + (c >= 0x800) + (c >= 0x10000));
    unsigned lead = more != 0 ? 0xff80u >> more : 0;

    filter->state = DL_JSON_STRING;
    if (c == 0 || c == '"' || c == '\\') dl_filter_emit(filter, '\\');
    if (c == 0) c = 'b';
    dl_filter_emit(filter, (char)(lead | c >> 6 * more));
    while (more-- != 0)
        dl_filter_emit(filter, (char)(0x80 | (c >> 6 * more & 0x3f)));
}

static void dl_json_escape(dynalock_filter *filter, char c)
{
    static const char pairs[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    const char *at = pairs;

    if (c == 'u') {
        filter->state = DL_JSON_HEX;
        filter->code_point = 1;
    } else if (filter->surrogate == 0) {
        while (*at != '\0' && *at != c) at += 2;
        if (*at != '\0') dl_json_code_point(filter, (uint8_t)at[1]);
    }
}

static void dl_json_hex(dynalock_filter *filter, char c)
{
    int digit = dl_hex_digit(c);
    uint32_t code = filter->code_point << 4 | (uint32_t)digit;
    uint32_t high = filter->surrogate;

    if (digit < 0) return;
    filter->code_point = code;
    filter->state = DL_JSON_HEX;
    if (code >> 16 == 0) return;
    code &= 0xffff;
    filter->state = DL_JSON_STRING;
    filter->surrogate = 0;
    if ((code >> 10 == 0x37) != (high != 0)) dl_filter_bad(filter);
    else if (code >> 10 == 0x36) filter->surrogate = (uint16_t)code;
    else if (high == 0) dl_json_code_point(filter, code);
    else dl_json_code_point(filter, (high << 10) + code - 0x35fdc00);
}

static void dl_json_literal(dynalock_filter *filter, char c)
{
    if (c != dl_json_literals[filter->literal]) return;
    dl_filter_emit(filter, c);
    filter->state = DL_JSON_LITERAL;
    if (dl_json_literals[++filter->literal] == '\0') dl_filter_after(filter);
}

/* Where a number goes on 0, 1-9, point, e, sign, and anything else, which
   ends it (AFTER). Returns whether the byte was part of it. */
static int dl_json_number(dynalock_filter *filter, char c)
{
    enum {
        Z = DL_JSON_ZERO,
        W = DL_JSON_WHOLE,
        P = DL_JSON_POINT,
        F = DL_JSON_FRACTION,
        E = DL_JSON_E,
        S = DL_JSON_SIGN,
        X = DL_JSON_EXPONENT,
        A = DL_JSON_AFTER,
        B = DL_JSON_BAD
    };
    static const uint8_t next[8][6] = {
        /* minus    */ { Z, W, B, B, B, B },
        /* zero     */ { B, B, P, E, B, A },
        /* whole    */ { W, W, P, E, B, A },
        /* point    */ { F, F, B, B, B, B },
        /* fraction */ { F, F, B, E, B, A },
        /* e        */ { X, X, B, B, S, B },
        /* sign     */ { X, X, B, B, B, B },
        /* exponent */ { X, X, B, B, B, A },
    };
    unsigned kind = 5;

    if (c >= '0' && c <= '9') kind = c != '0';
    if (c == '.') kind = 2;
    if (dl_lower(c) == 'e') kind = 3;
    if (c == '+' || c == '-') kind = 4;
    filter->state = next[filter->state][kind];
    if (filter->state == DL_JSON_AFTER) {
        dl_filter_after(filter);
        return 0;
    }
    dl_filter_emit(filter, c);
    return 1;
}

static void dl_json_step(dynalock_filter *filter, uint8_t state, char c)
{
    switch (state) {
    case DL_JSON_VALUE:
    case DL_JSON_VALUE0: dl_json_value(filter, c); break;
    case DL_JSON_NAME:
    case DL_JSON_NAME0: dl_json_name(filter, c); break;
    case DL_JSON_COLON:
        if (c == ':') filter->state = DL_JSON_VALUE;
        break;
    case DL_JSON_AFTER: dl_json_comma(filter, c); break;
    case DL_JSON_STRING: dl_json_string(filter, c); break;
    case DL_JSON_ESCAPE: dl_json_escape(filter, c); break;
    case DL_JSON_HEX: dl_json_hex(filter, c); break;
    case DL_JSON_LITERAL: dl_json_literal(filter, c); break;
    default: break; /* DONE, BAD */
    }
}

static DL_APART void dl_filter_byte(dynalock_filter *filter, char c)
{
    uint8_t state = filter->state;

    if (state < DL_JSON_VALUE && dl_json_number(filter, c)) return;
    state = filter->state;
    if (state <= DL_JSON_DONE && dl_is_in(c, " \t\n\r")) return;
    filter->state = DL_JSON_BAD;
    if (state >= DL_JSON_VALUE0 && state <= DL_JSON_AFTER &&
        (c == ']' || c == '}'))
        dl_json_close(filter, c);
    else dl_json_step(filter, state, c);
}

static void dl_filter_take(dl_sink *sink, const void *data, size_t size)
{
    const char *from = (const char *)data;

    while (size-- != 0)
        dl_filter_byte((dynalock_filter *)(void *)sink, *from++);
}

static void dl_filter_begin(
    dynalock_filter *filter, const dl_want *wants, char *out, uint16_t size)
{
    memset(filter, 0, sizeof *filter);
    filter->sink.take = dl_filter_take;
    filter->wants = wants;
    filter->out = out;
    filter->size = size;
    filter->limit = size;
    filter->state = DL_JSON_VALUE;
}

/* ---- what was kept ---- */

typedef dynalock_json dl_json;

static DL_ALONG void dl_json_parse(dl_json *json,
    const dynalock_filter *filter, dynalock_token *tokens, unsigned capacity)
{
    jsmn_parser parser;

    json->text = filter->out;
    json->tokens = tokens;
    json->count = 0;
    if (filter->state != DL_JSON_DONE) return;
    jsmn_init(&parser);
    json->count = jsmn_parse(&parser, filter->out, filter->used,
        (jsmntok_t *)(void *)tokens, capacity);
    if (json->count < 0) json->count = 0;
}

static const jsmntok_t *dl_json_token(const dl_json *json, int token)
{
    return (const jsmntok_t *)(const void *)json->tokens + token;
}

/* The value of a member of an object; 0: there is none. (No value is the root
   itself.) */
static int dl_json_member(const dl_json *json, int object, const char *name)
{
    int i;

    for (i = object + 1; i < json->count; i++) {
        const jsmntok_t *t = dl_json_token(json, i);

        if (t->parent == object && dl_equals(json->text + t->start,
                                       (size_t)(t->end - t->start), name))
            return i + 1;
    }
    return 0;
}

/* What stands at a name. */
typedef struct dl_found {
    char *text;  /* NULL: no string; otherwise it ends in NUL */
    size_t size; /* of the text, which may have more NULs */
    int there;
} dl_found;

/* A string's text, unescaped in place: ask once for each token. */
static void dl_json_text(const dl_json *json, int token, dl_found *found)
{
    const jsmntok_t *t = dl_json_token(json, token);

    found->text = NULL;
    found->size = 0;
    if (token == 0 || t->type != JSMN_STRING) return;
    found->text = json->text + t->start;
    found->size = dl_unescape(found->text, (size_t)(t->end - t->start));
    found->text[found->size] = '\0'; /* where its quote was, or before */
}

/* The text of item attribute {"type":"text"}; none when it is absent or of
   another shape, which found->there tells apart. */
static void dl_json_attribute(const dl_json *json, int item, const char *name,
    const char *type, dl_found *found)
{
    int value = dl_json_member(json, item, name);

    found->there = value != 0;
    if (value != 0) value = dl_json_member(json, value, type);
    dl_json_text(json, value, found);
}

/* ===================================================================== */
/* == request: one call of DynamoDB, sent exactly once                    */
/* ===================================================================== */

/* What an operation does when. Lock, record and whatever comes are known to
   the client only through such a table, so that what nobody starts is not
   linked. */
union dynalock_step {
    /* The connection is ready: name signing.target and settle what the body
       will say. response.body may lead to the filter by way of a reader. */
    void (*prepare)(dynalock_operation *operation);
    /* The exchange has ended; exchange.fate says what may have happened. */
    void (*answer)(dynalock_operation *operation, dynalock_outcome outcome);
    void (*end)(dynalock_operation *operation, unsigned why);
    /* The body. */
    void (*body)(const dynalock_operation *operation, dl_sink *sink);
    /* Who goes first when several are due: the smallest. */
    uint64_t (*rank)(const dynalock_operation *operation);
    /* The lease that a slow answer would endanger; 0: none. */
    uint32_t (*lease)(const dynalock_client *client,
        const dynalock_operation *operation, int sending);
};

enum {
    DL_STEP_PREPARE,
    DL_STEP_ANSWER,
    DL_STEP_END,
    DL_STEP_BODY,
    DL_STEP_RANK,
    DL_STEP_LEASE
};

/* As DL_STREAM. */
#define DL_STEPS(                                                             \
    steps, to_prepare, to_answer, to_end, to_body, to_rank, to_lease)         \
    static dynalock_step steps(unsigned which)                                \
    {                                                                         \
        dynalock_step step;                                                   \
                                                                              \
        switch (which) {                                                      \
        case DL_STEP_PREPARE: step.prepare = to_prepare; break;               \
        case DL_STEP_ANSWER: step.answer = to_answer; break;                  \
        case DL_STEP_END: step.end = to_end; break;                           \
        case DL_STEP_BODY: step.body = to_body; break;                        \
        case DL_STEP_RANK: step.rank = to_rank; break;                        \
        default: step.lease = to_lease; break;                                \
        }                                                                     \
        return step;                                                          \
    }

enum {              /* why an operation must end */
    DL_END_EXPIRED, /* its deadline has passed */
    DL_END_CANCELLED,
    DL_END_CLOSED /* the client closes: give back what is held, end the rest */
};

/*
    state      on                                   goes to
    CLOSED     start                                OPEN
    OPEN       the stream is open                   SEND
    OPEN       failure, timeout, nothing to send    CLOSED
    SEND       all is sent                          RECEIVE
    SEND       failure, timeout                     CLOSED
    RECEIVE    answered, keep-alive                 READY
    RECEIVE    answered, failure, timeout           CLOSED
    READY      start                                SEND
    READY      stale, nothing to send, close        CLOSED
*/
enum {
    DL_EXCHANGE_CLOSED,
    DL_EXCHANGE_OPEN,
    DL_EXCHANGE_SEND,
    DL_EXCHANGE_RECEIVE,
    DL_EXCHANGE_READY
};

enum { /* dl_fate: of the request under way, as far as we know */
    DL_FATE_UNSENT,
    DL_FATE_SENT,    /* may have been carried out, or may be yet */
    DL_FATE_ANSWERED /* the service has said what it did */
};

#define DL_NEVER ((uint64_t)-1)
#define DL_CHUNK 512 /* bytes read at a time, on the stack */
#define DL_TURNS 64  /* reads or writes in one step; then the caller's turn */
#define DL_CLOCK_SLACK_MS 3000 /* a wall clock so far off is left alone */

/* A condition that did not hold: not an outcome of any call, but what a lock
   decides by. */
#define DL_CONDITION_FAILED (-2)

/* xorshift32: spreads clients in time, decides nothing else. */
static uint32_t dl_random(dynalock_client *client, uint32_t below)
{
    uint32_t x = client->random;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    client->random = x;
    return below == 0 ? 0 : x % below;
}

static uint64_t dl_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- the log ---- */

#if DYNALOCK_LOG > 0
static void dl_log(
    const dynalock_client *client, dynalock_log_id id, const char *text)
{
    const dynalock_platform *platform = client->config.platform;

    if (platform->log != NULL) platform->log(platform->context, id, text);
}

#define DL_LOG(client, id, text)                                              \
    ((id) / 100 <= DYNALOCK_LOG ? dl_log((client), (id), (text)) : (void)0)
#else
#define DL_LOG(client, id, text) ((void)0)
#endif

/* ---- the mutex ---- */

static int dl_is_ready(const dynalock_client *client)
{
    return client != NULL && client->config.platform != NULL;
}

/* To look only: 0: there is no client. */
static int dl_enter_const(const dynalock_client *client)
{
    const dynalock_platform *platform;

    if (!dl_is_ready(client)) return 0;
    platform = client->config.platform;
    if (platform->enter != NULL) platform->enter(platform->context);
    return 1;
}

/* A step begins. */
static int dl_enter(dynalock_client *client)
{
    if (!dl_enter_const(client)) return 0;
    client->now = dl_now(client);
    return 1;
}

static void dl_leave(const dynalock_client *client)
{
    const dynalock_platform *platform = client->config.platform;

    if (platform->leave != NULL) platform->leave(platform->context);
}

/* ---- the request's bytes ---- */

/* A body is generated, not kept: once to hash and count it, and again to send
   each window of it. Its size has no bound. */
static void dl_put_body(const dynalock_client *client, dl_sink *sink)
{
    const dynalock_operation *operation = client->exchange.operation;

    operation->steps(DL_STEP_BODY).body(operation, sink);
}

/* Fills the window with what follows the bytes that have left: with nothing if
   the body is not of the signed size any more. */
static void dl_exchange_fill(dynalock_client *client)
{
    dynalock_exchange *exchange = &client->exchange;
    dl_span span;
    dl_sink *sink = dl_span_open(&span, client->memory.window,
        sizeof client->memory.window, exchange->sent);

    dl_put_head(sink, &client->signing);
    exchange->total = (uint32_t)(span.total + client->signing.body_size);
    dl_put_body(client, sink);
    exchange->window_at = exchange->sent;
    exchange->window_used =
        span.total == exchange->total ? (uint16_t)span.used : 0;
}

static void dl_exchange_sign(dynalock_client *client)
{
    dynalock_exchange *exchange = &client->exchange;
    dl_signing *signing = &client->signing;
    dl_sha256 sha;

    dl_date(signing->date, exchange->unix_ms);
    dl_sha256_init(&sha);
    dl_put_body(client, &sha.sink);
    signing->body_size = sha.size;
    dl_sha256_final(&sha, signing->digest);
    dl_sign(&client->signing_key, signing);
    exchange->sent = 0;
    dl_exchange_fill(client);
}

/* ---- the exchange ---- */

/* The connection's end, whatever it was doing. */
static void dl_exchange_close(dynalock_client *client)
{
    dynalock_exchange *exchange = &client->exchange;
    uint8_t was = exchange->state;

    exchange->operation = NULL;
    exchange->state = DL_EXCHANGE_CLOSED;
    if (was == DL_EXCHANGE_CLOSED) return;
    client->stream(DL_STREAM_CLOSE).close(client);
    DL_LOG(client, DYNALOCK_LOG_CLOSED, client->host);
}

/* Hands the outcome to whoever asked. The connection stays open only when it
   may serve again. */
static void dl_exchange_end(dynalock_client *client, dynalock_outcome outcome)
{
    dynalock_exchange *exchange = &client->exchange;
    dynalock_operation *operation = exchange->operation;

    exchange->operation = NULL;
    if (exchange->state != DL_EXCHANGE_READY) dl_exchange_close(client);
    client->now = dl_now(client); /* a watch starts after the answer came */
    if (outcome != DYNALOCK_OK && (int)outcome != DL_CONDITION_FAILED)
        DL_LOG(client, DYNALOCK_LOG_FAILED,
            client->detail.type[0] != '\0' ? client->detail.type
                                           : client->host);
    operation->steps(DL_STEP_ANSWER).answer(operation, outcome);
}

/* Whoever asked does not wait any longer. Its answer must not be taken for
   another's: the connection goes. Returns whether a request had left. */
static int dl_exchange_abandon(const dynalock_operation *operation)
{
    dynalock_client *client = operation->client;
    dynalock_exchange *exchange = &client->exchange;

    if (exchange->operation != operation) return 0;
    dl_exchange_close(client);
    return exchange->fate == DL_FATE_SENT;
}

static int dl_exchange_is_busy(const dynalock_client *client)
{
    return client->exchange.operation != NULL;
}

/* One slow answer must not cost a lease, neither that of the lock it is for
   nor of any other that is held over this connection. */
static void dl_exchange_allow(
    dynalock_client *client, uint32_t most, int sending)
{
    const dynalock_operation *at = client->operations;

    for (; at != NULL; at = at->next) {
        uint32_t quarter =
            at->steps(DL_STEP_LEASE).lease(client, at, sending) / 4;

        if (quarter != 0 && quarter < most) most = quarter;
    }
    client->exchange.deadline = client->now + most;
}

static void dl_exchange_send_first(dynalock_client *client)
{
    dynalock_exchange *exchange = &client->exchange;
    dynalock_operation *operation = exchange->operation;

    exchange->unix_ms = dl_unix_ms(client);
    if (exchange->unix_ms == 0) {
        dl_exchange_end(client, DYNALOCK_CLOCK_UNSET);
        return;
    }
    /* what the answer goes into; prepare may put a reader of its own before */
    dl_response_begin(&client->response, &client->filter.sink);
    dl_filter_begin(&client->filter,
        client->wants + 1, /* data is for those who ask for it */
        client->memory.answer.text, sizeof client->memory.answer.text);
    operation->steps(DL_STEP_PREPARE).prepare(operation);
    dl_exchange_sign(client);
    exchange->state = DL_EXCHANGE_SEND;
    dl_exchange_allow(client, client->config.request_ms, 1);
}

static void dl_exchange_start(
    dynalock_client *client, dynalock_operation *operation)
{
    dynalock_exchange *exchange = &client->exchange;

    if (exchange->state == DL_EXCHANGE_READY &&
        client->stream(DL_STREAM_IS_STALE).is_stale(client))
        dl_exchange_close(client);
    memset(&client->detail, 0, offsetof(dynalock_detail, holder_lease_ms));
    exchange->operation = operation;
    exchange->began = client->now;
    exchange->fate = DL_FATE_UNSENT;
    exchange->reused = exchange->state == DL_EXCHANGE_READY;
    if (exchange->reused) {
        dl_exchange_send_first(client);
        return;
    }
    exchange->state = DL_EXCHANGE_OPEN;
    dl_exchange_allow(client, client->config.connect_ms, 0);
}

/* ---- the answer ---- */

/* What the service's error types mean, by their beginning in lower case; behind
   a bar, the beginning of the message. The first that fits counts; each line
   has its outcome in dl_service_outcomes.
   docs.aws.amazon.com, "Error handling with DynamoDB", "Common errors" */
static const char dl_service_errors[] =
    "cond\n"
    "prov,throttl,requestl,transactionco,transactionin,replicated\n"
    "resourcenot\n"
    "val|the provided k,val|one of the r\n"
    "expiredt\n"
    "invalids|signature e,invalids|signature n,requestexp,requesttimet\n"
    "invalids,signat,unrecog,invalidc,missingau,incomp\n"
    "accessd\n"
    "\n"; /* any */
static const int8_t dl_service_outcomes[] = { DL_CONDITION_FAILED,
    DYNALOCK_THROTTLED, DYNALOCK_TABLE_MISSING, DYNALOCK_TABLE_SHAPE,
    DYNALOCK_CREDENTIALS_EXPIRED, DYNALOCK_CLOCK_SKEW,
    DYNALOCK_CREDENTIALS_REFUSED, DYNALOCK_DENIED, DYNALOCK_SERVICE_REFUSED };

/* "com.amazonaws.dynamodb.v20120810#Type": without the prefix. */
static void dl_detail_type(dynalock_detail *detail, const char *text)
{
    const char *at = text;

    while (*at != '\0')
        if (*at++ == '#') text = at;
    dl_copy_text(detail->type, sizeof detail->type, text, strlen(text));
}

static void dl_detail_read(dynalock_client *client)
{
    dynalock_detail *detail = &client->detail;
    const dl_json *json = &client->json;
    unsigned i;
    dl_want want;
    dl_found found;

    detail->http_status = client->response.status;
    dl_copy(detail->request_id, client->response.request_id,
        sizeof detail->request_id);
    for (i = 0; dl_root_want(i, &want); i++) {
        if (want.expect != DL_EXPECT_TEXT) continue;
        dl_json_text(json, dl_json_member(json, 0, want.name), &found);
        if (found.text == NULL) continue;
        if (i == 0) dl_detail_type(detail, found.text);
        else
            dl_copy_text(detail->message, sizeof detail->message, found.text,
                found.size);
    }
}

static dynalock_outcome dl_service_error(const dynalock_detail *detail)
{
    const int8_t *outcome = dl_service_outcomes;
    const char *at = dl_service_errors, *end;

    for (;;) {
        end = dl_begins(detail->type, at);
        if (end != NULL && *end == '|')
            end = dl_begins(detail->message, end + 1);
        if (end != NULL) return (dynalock_outcome)*outcome;
        while (*at != ',' && *at != '\n') at++;
        if (*at++ == '\n') outcome++;
    }
}

/* Only an undamaged answer in the service's own form settles what became of
   the request: a 5xx may hide a write, a page of HTML is not from it, and one
   that says both yes and no says nothing. */
static dynalock_outcome dl_classify(dynalock_client *client)
{
    uint16_t status = client->response.status;
    int understood = client->json.count > 0;

    if (client->response.state == DL_HTTP_BAD ||
        dl_response_damaged(&client->response))
        return DYNALOCK_BAD_ANSWER;
    if (status >= 500) return DYNALOCK_SERVICE_FAILED;
    if (!understood || (status != 200 && status < 400))
        return DYNALOCK_BAD_ANSWER;
    if ((status == 200) == (client->detail.type[0] != '\0'))
        return DYNALOCK_BAD_ANSWER;
    client->exchange.fate = DL_FATE_ANSWERED;
    if (status == 200) return DYNALOCK_OK;
    return dl_service_error(&client->detail);
}

/* An answer that is surely the service's tells the time, to the second and
   somewhere between request and answer. Only what is surely off is mended:
   clocks that are about right stay independent of each other's haste. */
static void dl_learn_clock(dynalock_client *client)
{
    const dynalock_config *config = &client->config;
    int64_t date = (int64_t)client->response.date * 1000;
    int64_t now = (int64_t)dl_unix_ms(client);

    client->learnt = 0;
    if (date == 0 || (client->response.seen & DL_SEEN_AGE) != 0 ||
        (config->tls == NULL && !config->secure_transport))
        return;
    if (date <= now + DL_CLOCK_SLACK_MS &&
        date + DL_CLOCK_SLACK_MS >= (int64_t)client->exchange.unix_ms)
        return;
    client->skew_ms += date - now;
    client->learnt = 1;
    DL_LOG(client, DYNALOCK_LOG_CLOCK, client->host);
}

static int dl_exchange_answered(dynalock_client *client)
{
    dynalock_exchange *exchange = &client->exchange;
    dynalock_outcome outcome;

    dl_json_parse(&client->json, &client->filter, client->memory.answer.tokens,
        DYNALOCK_TOKENS);
    dl_detail_read(client);
    outcome = dl_classify(client);
    client->round_trip = (uint32_t)(client->now - exchange->began);
    if (outcome == DYNALOCK_OK || (int)outcome == DL_CONDITION_FAILED)
        client->refreshed = 0;
    if (outcome != DYNALOCK_BAD_ANSWER) {
        dl_learn_clock(client);
        if ((client->response.seen & DL_SEEN_CLOSE) == 0)
            exchange->state = DL_EXCHANGE_READY;
    }
    DL_LOG(client, DYNALOCK_LOG_ANSWERED, client->signing.target);
    dl_exchange_end(client, outcome);
    return 1;
}

/* ---- its steps ---- */

/* Each step returns whether there may be more to do at once. */

static int dl_exchange_open(dynalock_client *client)
{
    int32_t rc = client->stream(DL_STREAM_OPEN).open(client);

    if (rc == DYNALOCK_AGAIN) return 0;
    if (rc == 0) {
        DL_LOG(client, DYNALOCK_LOG_CONNECTED, client->host);
        dl_exchange_send_first(client);
        return 1;
    }
    client->exchange.state = DL_EXCHANGE_CLOSED; /* open has cleaned up */
    dl_exchange_end(client, (dynalock_outcome)rc);
    return 1;
}

static void dl_exchange_receive_first(dynalock_client *client)
{
    dynalock_exchange *exchange = &client->exchange;

    exchange->state = DL_EXCHANGE_RECEIVE;
    exchange->interest = DYNALOCK_READ;
    DL_LOG(client, DYNALOCK_LOG_SENT, client->signing.target);
}

static int dl_exchange_send(dynalock_client *client)
{
    dynalock_exchange *exchange = &client->exchange;
    dynalock_stream *stream = client->stream;
    int32_t n = 1;
    int i;

    for (i = 0; i < DL_TURNS && exchange->sent < exchange->total; i++) {
        uint32_t at = exchange->sent - exchange->window_at;

        if (at == exchange->window_used) {
            dl_exchange_fill(client);
            at = 0;
            if (exchange->window_used == 0) n = DYNALOCK_DISCONNECTED;
        }
        if (n < 0) break; /* the request has changed: it cannot be finished */
        n = stream(DL_STREAM_WRITE)
                .write(client, client->memory.window + at,
                    exchange->window_used - at);
        if (n <= 0) break;
        if (client->signing.target[0] != 'G') /* a look leaves no trace */
            exchange->fate = DL_FATE_SENT;
        exchange->sent += (uint32_t)n;
    }
    if (i == DL_TURNS) exchange->interest = DYNALOCK_READ | DYNALOCK_WRITE;
    if (n >= 0 && exchange->sent >= exchange->total)
        n = stream(DL_STREAM_FLUSH).flush(client);
    else if (n >= 0) return 0;
    if (n == DYNALOCK_AGAIN) return 0;
    if (n < 0) dl_exchange_end(client, (dynalock_outcome)n);
    else dl_exchange_receive_first(client);
    return n < 0;
}

static int dl_exchange_receive(dynalock_client *client)
{
    dynalock_response *response = &client->response;
    char chunk[DL_CHUNK];
    int i;

    for (i = 0; i < DL_TURNS; i++) {
        int32_t n =
            client->stream(DL_STREAM_READ).read(client, chunk, sizeof chunk);

        if (n == 0) return 0;
        if (n > 0) {
            /* more than was asked for: this connection is not trusted on */
            if (dl_response_feed(response, chunk, (size_t)n) != (size_t)n)
                response->seen |= DL_SEEN_CLOSE;
        } else if (n == DYNALOCK_EOF) {
            dl_response_eof(response);
            if (response->state == DL_HTTP_BAD) n = DYNALOCK_DISCONNECTED;
        }
        if (n < 0 && n != DYNALOCK_EOF) {
            dl_exchange_end(client, (dynalock_outcome)n);
            return 1;
        }
        if (dl_http_ended(response)) return dl_exchange_answered(client);
    }
    /* there may be more in the engine than in the socket: come back at once */
    client->exchange.interest = DYNALOCK_READ | DYNALOCK_WRITE;
    return 0;
}

static int dl_exchange_step(dynalock_client *client)
{
    if (client->now >= client->exchange.deadline) {
        dl_exchange_end(client, DYNALOCK_NO_ANSWER);
        return 1;
    }
    switch (client->exchange.state) {
    case DL_EXCHANGE_OPEN: return dl_exchange_open(client);
    case DL_EXCHANGE_SEND: return dl_exchange_send(client);
    default: return dl_exchange_receive(client);
    }
}

static void dl_take_credentials(
    dynalock_client *client, const dynalock_credentials *credentials)
{
    client->config.credentials = credentials;
    client->signing.credentials = credentials;
    dl_wipe(&client->signing_key, sizeof client->signing_key);
}

/* Asks for other credentials; but not if those it was given last are refused
   as well. The next call may ask again. */
static int dl_refresh(dynalock_client *client)
{
    const dynalock_config *config = &client->config;
    const dynalock_credentials *fresh;

    client->refreshed = !client->refreshed;
    if (config->refresh == NULL || !client->refreshed) return 0;
    DL_LOG(client, DYNALOCK_LOG_REFRESH, client->host);
    fresh = config->refresh(config->refresh_context);
    if (fresh != NULL) dl_take_credentials(client, fresh);
    return fresh != NULL;
}

/* Of the network and the service: it passes. */
static int dl_is_weather(dynalock_outcome outcome)
{
    return (outcome <= DYNALOCK_UNREACHABLE &&
               outcome >= DYNALOCK_BAD_ANSWER) ||
           outcome == DYNALOCK_TLS_NO_HANDSHAKE ||
           outcome == DYNALOCK_THROTTLED || outcome == DYNALOCK_SERVICE_FAILED;
}

/* Worth another try? Everything else ends the call at once. A refused
   signature is, once the clock has been mended. */
static int dl_is_passing(dynalock_client *client, dynalock_outcome outcome)
{
    if (outcome == DYNALOCK_CLOCK_SKEW) return client->learnt;
    if (outcome == DYNALOCK_CREDENTIALS_REFUSED ||
        outcome == DYNALOCK_CREDENTIALS_EXPIRED)
        return dl_refresh(client);
    return dl_is_weather(outcome);
}

/* The same; a call that is counted has only so many tries. */
static int dl_is_worth_trying(
    const dynalock_operation *operation, dynalock_outcome outcome, int counted)
{
    dynalock_client *client = operation->client;

    return dl_is_passing(client, outcome) &&
           (!counted || operation->attempts + 1 < client->config.attempts);
}

/* Full jitter: anything from 0 to base * 2^n, capped. A connection that the
   server closed while it was idle is no failure of the service: at once. */
static void dl_back_off(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_client *client = operation->client;
    const dynalock_config *config = &client->config;
    unsigned n = operation->attempts < 16 ? operation->attempts : 16;
    uint64_t most = dl_least((uint64_t)config->base_ms << n, config->cap_ms);

    operation->due = client->now;
    if (outcome != DYNALOCK_DISCONNECTED || !client->exchange.reused)
        operation->due += dl_random(client, (uint32_t)most + 1);
    if (operation->attempts < 255) operation->attempts++;
}

static DL_APART uint64_t dl_deadline(
    const dynalock_client *client, uint32_t wait_ms)
{
    if (wait_ms == DYNALOCK_FOREVER) return DL_NEVER;
    if (wait_ms != 0) return client->now + wait_ms;
    return client->now + client->config.connect_ms + client->config.request_ms;
}

/* ---- the list of operations ---- */

/* State 1 is where every operation begins. */
static DL_APART dynalock_outcome dl_start_operation(
    dynalock_client *client, dynalock_operation *operation, uint32_t wait_ms)
{
    if (dl_unix_ms(client) == 0) return DYNALOCK_CLOCK_UNSET;
    operation->state = 1;
    operation->attempts = 0;
    operation->outcome = DYNALOCK_AGAIN;
    operation->due = client->now;
    operation->deadline = dl_deadline(client, wait_ms);
    operation->client = client;
    operation->next = client->operations;
    client->operations = operation;
    return DYNALOCK_AGAIN;
}

/* Whether memory that may hold anything is in use, only the list says. */
static int dl_is_listed(
    const dynalock_client *client, const dynalock_operation *operation)
{
    const dynalock_operation *at = client->operations;

    while (at != NULL && at != operation) at = at->next;
    return at != NULL;
}

static void dl_unlink(dynalock_operation *operation)
{
    dynalock_operation **at = &operation->client->operations;

    while (*at != operation) at = &(*at)->next;
    *at = operation->next;
    operation->client = NULL;
    operation->deadline = DL_NEVER; /* for a list that is being gone through */
}

/* Ends an operation for good. */
static DL_APART void dl_finish(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dl_unlink(operation);
    operation->state = 0;
    operation->outcome = outcome;
}

/* Ends one that has not given back what it should have. */
static void dl_fail(dynalock_operation *operation, dynalock_outcome outcome)
{
    operation->client->worst = outcome;
    if (operation->name.key != NULL)
        DL_LOG(operation->client, DYNALOCK_LOG_LEFT, operation->name.key);
    dl_finish(operation, outcome);
}

static DL_ALONG dynalock_operation *dl_next_due(const dynalock_client *client)
{
    dynalock_operation *at, *first = NULL;
    uint64_t least = DL_NEVER;

    for (at = client->operations; at != NULL; at = at->next) {
        uint64_t rank = at->steps(DL_STEP_RANK).rank(at);

        if (at->due > client->now || rank >= least) continue;
        least = rank;
        first = at;
    }
    return first;
}

static void dl_expire(dynalock_client *client)
{
    dynalock_operation *at = client->operations, *next;

    for (; at != NULL; at = next) {
        next = at->next; /* expire may unlink its own operation */
        if (client->now >= at->deadline)
            at->steps(DL_STEP_END).end(at, DL_END_EXPIRED);
    }
}

/* The first step follows on the start before time can pass: whoever gave up in
   between would close what nobody has opened. */
static dynalock_outcome dl_poll(dynalock_client *client)
{
    dynalock_operation *next;
    int i;

    for (i = 0; i < DL_TURNS; i++) {
        client->now = dl_now(client);
        dl_expire(client);
        if (!dl_exchange_is_busy(client)) {
            next = dl_next_due(client);
            if (next == NULL) break;
            dl_exchange_start(client, next);
            if (!dl_exchange_is_busy(client)) continue;
        }
        if (!dl_exchange_step(client)) break;
    }
    return client->operations != NULL ? DYNALOCK_AGAIN : DYNALOCK_OK;
}

/* ===================================================================== */
/* == layout: the item on the table                                       */
/* ===================================================================== */

/*
A layout has one template for its three writes: [A acquire, [E renew, [G
release; [B is either of the last, [L the first or second, [F the first or
last. Other groups: [D data is given, [N removed, [J either; [T a TTL attribute
is known, [S set, [R removed, [I without data; [M there are names, [H some
before the TTL's; [W a claim is made (in an acquire only), whose condition and
values are $W and $M; [V it knows a fence, [U there was none. The values :x are
those of dl_put_value; $w is the bare record that a claim is about.
*/

typedef enum dl_item_kind {
    DL_ITEM_ABSENT,
    DL_ITEM_FREE,   /* released by its last holder */
    DL_ITEM_LIVE,   /* held, or left by a holder that died */
    DL_ITEM_FOREIGN /* not understood: never taken over */
} dl_item_kind;

/*
A claim, a function dynalock_claim, is what entitles an acquire to an item that
is neither free nor its own: one more alternative of its condition. It returns
that, and behind its NUL the values; of an item, unless that is NULL, only if it
is the one that the claim is about, otherwise NULL.
*/

union dynalock_layout_part {
    const char *text;
    dynalock_claim *claim;
    dl_item_kind (*judge)(
        const dynalock_client *client, struct dynalock_item *item);
    void (*put)(const dl_fields *fields, char letter, dl_sink *sink);
    void (*granted)(dynalock_lock *lock); /* what an acquire wrote is there */
};

enum {
    DL_LAYOUT_WRITE,
    DL_LAYOUT_WATCHED, /* a claim */
    DL_LAYOUT_DATA_TYPE,
    DL_LAYOUT_KEY_NAME, /* where the config has none */
    DL_LAYOUT_SORT_TYPE,
    DL_LAYOUT_GROUP, /* of its own: a letter, or none */
    DL_LAYOUT_JUDGE,
    DL_LAYOUT_PUT,
    DL_LAYOUT_GRANTED,
    DL_LAYOUT_NAMES /* what of an item is read: $0 to $5 */
};

#define DL_WANTS 6 /* these */

/* As DL_STREAM. */
#define DL_LAYOUT(layout, write, watched, data_type, key_name, sort_type,     \
    group, to_judge, to_put, to_grant, owner, version, released, lease)       \
    static dynalock_layout_part layout(unsigned which)                        \
    {                                                                         \
        dynalock_layout_part part;                                            \
                                                                              \
        switch (which) {                                                      \
        case DL_LAYOUT_WRITE: part.text = write; break;                       \
        case DL_LAYOUT_WATCHED: part.claim = watched; break;                  \
        case DL_LAYOUT_DATA_TYPE: part.text = data_type; break;               \
        case DL_LAYOUT_KEY_NAME: part.text = key_name; break;                 \
        case DL_LAYOUT_SORT_TYPE: part.text = sort_type; break;               \
        case DL_LAYOUT_GROUP: part.text = group; break;                       \
        case DL_LAYOUT_JUDGE: part.judge = to_judge; break;                   \
        case DL_LAYOUT_PUT: part.put = to_put; break;                         \
        case DL_LAYOUT_GRANTED: part.granted = to_grant; break;               \
        case DL_LAYOUT_NAMES: part.text = dl_text_data; break;                \
        case DL_LAYOUT_NAMES + 1: part.text = owner; break;                   \
        case DL_LAYOUT_NAMES + 2: part.text = version; break;                 \
        case DL_LAYOUT_NAMES + 3: part.text = released; break;                \
        case DL_LAYOUT_NAMES + 4: part.text = dl_text_fence; break;           \
        default: part.text = lease; break;                                    \
        }                                                                     \
        return part;                                                          \
    }

/* The item of awslabs/amazon-dynamodb-lock-client, and a fence. The names that
   are not aliased are not reserved words of DynamoDB; $0 to $5 are the
   layout's names. Each clause has its reason in == lock. Arrays, not literals:
   the linker drops those of a layout that nobody names. */
static const char dl_text_none[] = "";
static const char dl_text_bytes[] = "B";
static const char dl_text_string[] = "S";
static const char dl_text_key[] = "key";
static const char dl_text_data[] = "data";
static const char dl_text_owner[] = "ownerName";
static const char dl_text_version[] = "recordVersionNumber";
static const char dl_text_released[] = "isReleased";
static const char dl_text_fence[] = "fence";
static const char dl_text_lease[] = "leaseDuration";

#define DL_OWNER "$1"
#define DL_VERSION "$2"
#define DL_RELEASED "$3"
#define DL_FENCE "$4"
#define DL_LEASE "$5"
#define DL_IS_MISSING "$!" /* attribute_not_exists */

/* What every layout's template has: who may write. An acquire, if there is no
   item, or the fence rises and the item is free, as stands between the two, or
   mine, or claimed; all else only what is mine. */
#define DL_SET_FENCE "[F," DL_FENCE "=:f]"
#define DL_MINE DL_OWNER "=:o AND " DL_VERSION " BETWEEN :a AND :z"
#define DL_IF                                                                 \
    "','ConditionExpression':'"                                               \
    "[A" DL_IS_MISSING "(#k) OR ((" DL_IS_MISSING "(" DL_FENCE                \
    ") OR " DL_FENCE "<:f) AND ("
#define DL_OR_MINE " OR (]" DL_MINE "[A)[W OR ($W)]))]"
#define DL_VALUES ",'ExpressionAttributeValues':{$o,$a,$z,$r,$f"

static const char dl_standard_write[] =
    "'UpdateExpression':'"
    "SET " DL_VERSION "=:r[A," DL_OWNER "=:o][L," DL_LEASE "=:l]" DL_SET_FENCE
    "[G," DL_RELEASED "=:y][D,#d=:d][S,#t=:x]"
    "[A REMOVE " DL_RELEASED "[N,#d][R,#t]]"
    "[B[N REMOVE #d[R,#t]][I REMOVE #t]]" DL_IF DL_RELEASED "=:y" DL_OR_MINE
    "[E AND " DL_FENCE "=:f AND " DL_IS_MISSING "(" DL_RELEASED ")]"
    "[G AND " DL_FENCE "<=:f]"
    "'[M,'ExpressionAttributeNames':{"
    "[A'#k':$P][J[A,]'#d':'data'][T[H,]'#t':$L]}]" DL_VALUES
    "[L,$l][F,$y][D,$d][S,$x][W$M]}";

/* ---- the item's place ---- */

static const char *dl_table(
    const dynalock_client *client, const dynalock_operation *operation)
{
    const char *table = operation->name.table;

    return table != NULL ? table : client->config.table;
}

static void dl_read_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_operation *operation =
        (const dynalock_operation *)fields->context;
    const dynalock_config *config = &operation->client->config;
    const char *text;

    if (letter <= '9') {
        dl_put_text(sink,
            config->layout(DL_LAYOUT_NAMES + (unsigned)(letter - '0')).text);
        return;
    }
    switch (letter) {
    case 'T': text = dl_table(operation->client, operation); break;
    case 'P': text = config->key_name; break;
    case 'K': text = operation->name.key; break;
    case 'Q': text = config->sort_key_name; break;
    case 'O': text = config->layout(DL_LAYOUT_SORT_TYPE).text; break;
    case 'S': text = operation->name.sort_key; break;
    default: text = config->ttl_attribute; break; /* L */
    }
    dl_put_quoted(sink, text);
}

/* A write says by $X what it adds to the item's place; [O: its refusal is to
   show the item. */
static DL_APART void dl_put_request(dl_sink *sink,
    const dynalock_operation *operation,
    void (*put)(const dl_fields *fields, char letter, dl_sink *sink),
    uint32_t flags)
{
    dl_fields fields;

    fields.put = put;
    fields.context = operation;
    fields.flags = flags;
    if (operation->client->config.sort_key_name != NULL)
        fields.flags |= DL_FLAG('Q');
    dl_put_template(sink,
        "{'TableName':$T,'Key':{$P:{'S':$K}[Q,$Q:{$O:$S}]}"
        "[C,'ConsistentRead':true][X,$X]"
        "[O,'ReturnValuesOnConditionCheckFailure':'ALL_OLD']}",
        &fields);
}

DL_ASSERT_STATIC(
    a_layouts_names_fit, sizeof(((dynalock_client *)NULL)->wants) ==
                             (DL_WANTS + 1) * sizeof(dynalock_want));

/* What of an item is kept: the limits hold the text of the longest value that
   is understood, escapes included. The first is for dynalock_read alone. */
static void dl_want_names(dl_want *wants, dynalock_layout *layout)
{
    static const uint16_t limits[DL_WANTS] = { DYNALOCK_DATA_TEXT + 12,
        2 * DYNALOCK_OWNER_SIZE + 12, 2 * DYNALOCK_RVN_SIZE + 12, 24, 48, 48 };
    unsigned i;

    for (i = 0; i < DL_WANTS; i++) {
        wants[i].name = layout(DL_LAYOUT_NAMES + i).text;
        wants[i].limit = limits[i];
        wants[i].expect = DL_EXPECT_ATTRIBUTE;
    }
    wants[i].name = NULL;
}

enum { /* dl_found: the lease may be a number, too */
    DL_FOUND_OWNER,
    DL_FOUND_VERSION,
    DL_FOUND_RELEASED,
    DL_FOUND_FENCE,
    DL_FOUND_LEASE,
    DL_FOUND_LEASE_NUMBER,
    DL_FOUND_ALL
};

/* Texts point into the answer and last as long as it does. */
typedef struct dynalock_item {
    dl_item_kind kind;
    uint32_t lease_ms;
    uint64_t fence; /* DL_NO_FENCE: there is none */
    dl_found found[DL_FOUND_ALL];
} dl_item;

/* A fence above this leaves no room for the next ones. */
#define DL_FENCE_MOST ((uint64_t)0x7fffffffffffffff)
#define DL_NO_FENCE ((uint64_t)-1)
#define DL_LEASE_MOST ((uint64_t)0x7fffffff) /* 24.8 days */

/* Go's time.Duration as text: "20s", "1m30s", "500ms". Of "1.5s" the fraction
   counts as a whole: longer is safer. The text ends in NUL. */
static int dl_read_duration(const char *text, size_t size, uint64_t *ms)
{
    static const char digits[] = ".0123456789";
    const char *end = text + size;

    for (*ms = 0; text != end;) {
        size_t whole = dl_count(text, digits + 1);
        uint32_t part, unit = 1000;

        if (!dl_read_word(text, whole, &part) || part > DL_LEASE_MOST)
            return 0;
        text += whole;
        if (*text == '.') part++;
        text += dl_count(text, digits);
        if (!dl_is_in(*text, "hms")) return 0;
        if (*text == 'h') unit = 3600000;
        if (*text == 'm') unit = 60000;
        text++;
        if (unit == 60000 && *text == 's') {
            unit = 1;
            text++;
        }
        *ms += (uint64_t)part * unit;
    }
    return *ms <= DL_LEASE_MOST;
}

/* Milliseconds in decimal, as S or N, or a Go duration. */
static int dl_read_lease(const dl_found *found, uint32_t *lease_ms)
{
    uint64_t ms;

    if (found->text == NULL ||
        (!dl_read_decimal(found->text, found->size, DL_LEASE_MOST, &ms) &&
            !dl_read_duration(found->text, found->size, &ms)))
        return 0;
    *lease_ms = (uint32_t)ms;
    return ms != 0;
}

/* Absent is fine: a foreign client has dropped it. Anything but a whole
   number with room above is not. */
static int dl_read_fence(dl_item *item)
{
    const dl_found *fence = &item->found[DL_FOUND_FENCE];

    item->fence = DL_NO_FENCE;
    if (!fence->there) return 1;
    return fence->text != NULL && dl_read_decimal(fence->text, fence->size,
                                      DL_FENCE_MOST - 1, &item->fence);
}

static dl_item_kind dl_judge_item(const dynalock_client *client, dl_item *item)
{
    const dl_found *found = item->found;
    size_t version_size = found[DL_FOUND_VERSION].size;

    (void)client;
    if (!dl_read_fence(item) || version_size == 0 ||
        version_size >= DYNALOCK_RVN_SIZE ||
        version_size != strlen(found[DL_FOUND_VERSION].text))
        return DL_ITEM_FOREIGN;
    /* "Released" is exactly what the condition tests: isReleased = S "1" */
    if (dl_equals(
            found[DL_FOUND_RELEASED].text, found[DL_FOUND_RELEASED].size, "1"))
        return DL_ITEM_FREE;
    if (found[DL_FOUND_OWNER].text == NULL ||
        found[DL_FOUND_OWNER].size >= DYNALOCK_OWNER_SIZE ||
        (!dl_read_lease(&found[DL_FOUND_LEASE], &item->lease_ms) &&
            !dl_read_lease(&found[DL_FOUND_LEASE_NUMBER], &item->lease_ms)))
        return DL_ITEM_FOREIGN;
    return DL_ITEM_LIVE;
}

static void dl_read_item(const dynalock_client *client, dl_item *item)
{
    static const char types[DL_FOUND_ALL][2] = { "S", "S", "S", "N", "S",
        "N" };
    const dl_want *wants = client->wants + 1;
    int at = dl_json_member(&client->json, 0, "Item"), i;

    memset(item, 0, sizeof *item);
    if (at == 0) return; /* DL_ITEM_ABSENT */
    for (i = 0; i < DL_FOUND_ALL; i++)
        dl_json_attribute(&client->json, at,
            wants[i < DL_FOUND_LEASE ? i : DL_FOUND_LEASE].name, types[i],
            &item->found[i]);
    item->kind = client->config.layout(DL_LAYOUT_JUDGE).judge(client, item);
}

/* ---- claims: what a lock knows of a record it does not hold ---- */

#define DL_VERSION_SIZE 41 /* 32 hex digits, a colon, 8 hex digits */

static const char dl_watched_text[] =
    DL_VERSION "=:w AND [V" DL_FENCE "=:v][U" DL_IS_MISSING "(" DL_FENCE ")]"
               "\0"
               ",':w':{'S':'$w'}[V,$v]";

/* A read may be stale: an older record of the same acquisition says nothing
   new. Ours are told by their fixed width, and order as text. */
static int dl_is_older(const dynalock_lock *lock, const dl_item *item)
{
    return item->found[DL_FOUND_VERSION].size == DL_VERSION_SIZE &&
           strlen(lock->claim_rvn) == DL_VERSION_SIZE &&
           item->found[DL_FOUND_VERSION].text[DL_VERSION_SIZE - 9] == ':' &&
           memcmp(item->found[DL_FOUND_VERSION].text, lock->claim_rvn,
               DL_VERSION_SIZE - 8) == 0 &&
           memcmp(item->found[DL_FOUND_VERSION].text, lock->claim_rvn,
               DL_VERSION_SIZE) < 0;
}

/* The watch goes on while version, fence and lease stay. */
static int dl_is_watched(const dynalock_lock *lock, const dl_item *item)
{
    dynalock_layout *layout = lock->operation.client->config.layout;

    return dl_is_older(lock, item) ||
           (lock->claim == layout(DL_LAYOUT_WATCHED).claim &&
               lock->watch_fence == item->fence &&
               lock->watch_lease_ms == item->lease_ms &&
               dl_equals(item->found[DL_FOUND_VERSION].text,
                   item->found[DL_FOUND_VERSION].size, lock->claim_rvn));
}

/* in == lock */
static void dl_write_put(const dl_fields *fields, char letter, dl_sink *sink);
static void dl_hold(dynalock_lock *lock);

static const char *dl_watched(const dynalock_lock *lock, const dl_item *item)
{
    return item == NULL || dl_is_watched(lock, item) ? dl_watched_text : NULL;
}

DL_LAYOUT(dl_standard, dl_standard_write, dl_watched, dl_text_bytes,
    dl_text_key, dl_text_string, dl_text_none, dl_judge_item, dl_write_put,
    dl_hold, dl_text_owner, dl_text_version, dl_text_released, dl_text_lease)

DYNALOCK_API dynalock_layout *dynalock_standard(void)
{
    return dl_standard;
}

/* By the owner's name and what its version begins with. */
static int dl_is_heir(const dynalock_lock *lock, const dl_item *item)
{
    const char *owner = lock->operation.client->config.owner;
    size_t size = strlen(lock->claim_rvn);

    return item->found[DL_FOUND_VERSION].size >= size &&
           memcmp(item->found[DL_FOUND_VERSION].text, lock->claim_rvn, size) ==
               0 &&
           dl_equals(item->found[DL_FOUND_OWNER].text,
               item->found[DL_FOUND_OWNER].size, owner);
}

static const char dl_same_owner_text[] = DL_OWNER "=:o"
                                                  "\0";

static const char *dl_same_owner(
    const dynalock_lock *lock, const dl_item *item)
{
    return item == NULL || dl_is_heir(lock, item) ? dl_same_owner_text : NULL;
}

DYNALOCK_API dynalock_claim *dynalock_same_owner(void)
{
    return dl_same_owner;
}

/* The acquisition of a saved blob, which stands in claim_rvn. */
static const char dl_previous_text[] =
    DL_OWNER "=:o AND " DL_VERSION " BETWEEN :b AND :e"
             "\0"
             ",':b':{'S':'$w:00000000'},':e':{'S':'$w:ffffffff'}";

static const char *dl_previous(const dynalock_lock *lock, const dl_item *item)
{
    return item == NULL || dl_is_heir(lock, item) ? dl_previous_text : NULL;
}

/* ===================================================================== */
/* == lock: the protocol                                                  */
/* ===================================================================== */

/*
    state      on                                          goes to
    FREE       acquire                                     ACQUIRE
    ACQUIRE    granted                                     HOLD
    ACQUIRE    refused, without the item                   CONFIRM
    ACQUIRE    refused, somebody's                         WATCH
    ACQUIRE    ended with a write unanswered               RELEASE
    ACQUIRE    ended                                       FREE
    CONFIRM    the item shows my write                     HOLD
    CONFIRM    free, or mine from an earlier try           ACQUIRE
    CONFIRM    somebody's                                  WATCH
    CONFIRM    ended with a write unanswered               RELEASE
    CONFIRM    ended                                       FREE
    WATCH      free, watched through, or mine              ACQUIRE
    WATCH      ended with a write unanswered               RELEASE
    WATCH      ended                                       FREE
    HOLD       renewal due, renew                          RENEW
    HOLD       release                                     RELEASE
    HOLD       expired                                     FREE
    RENEW      renewed, or failed for now                         HOLD
    RENEW      refused, without the item                   CHECK
    RENEW      release, with the renewal under way         LEAVE
    RENEW      release                                     RELEASE
    RENEW      lost                                        FREE
    CHECK      the item shows my write                     HOLD
    CHECK      still mine                                  RENEW
    CHECK      release                                     RELEASE
    CHECK      lost                                        FREE
    LEAVE      answered                                    RELEASE
    LEAVE      ended with a write unanswered               RELEASE
    LEAVE      ended                                       FREE
    RELEASE    answered, ended                             FREE

In the client's list from ACQUIRE until FREE again.
*/
enum { /* in an order that the code relies on */
    DL_LOCK_FREE,
    DL_LOCK_ACQUIRE,
    DL_LOCK_CONFIRM,
    DL_LOCK_WATCH,
    DL_LOCK_HOLD,
    DL_LOCK_RENEW,
    DL_LOCK_CHECK,
    DL_LOCK_LEAVE,
    DL_LOCK_RELEASE
};

enum {                 /* dl_memory: what this call must not forget */
    DL_UNANSWERED = 1, /* a write of mine may still be carried out */
    DL_HURRIED = 2,    /* one immediate retry was used up */
    DL_COUNTED = 4,    /* only so many tries; an acquire does not wait */
    DL_SETTLING = 8,   /* the deadline has been reported */
    DL_BLIND = 16,     /* of a group: which lock is in the way is not told */
    DL_PROVING = 32,   /* a look is due: does what was written still stand? */
    DL_GROUPED = 64    /* begun by a group, whose requests speak for it */
};

/* Signatures older than this are refused, so that no copy of a request can
   still be carried out (5 minutes at DynamoDB, 15 elsewhere at AWS). */
#define DL_SETTLED_MS 900000u

static dynalock_lock *dl_lock_of(dynalock_operation *operation)
{
    return (dynalock_lock *)(void *)operation; /* its first member */
}

/* ---- time ---- */

static uint32_t dl_margin(const dynalock_client *client, uint32_t lease_ms)
{
    uint32_t per_mille = client->config.margin_per_mille;
    uint32_t margin = lease_ms / 1000 * per_mille;

    margin += (lease_ms % 1000 * per_mille + 999) / 1000; /* rounded up */
    return margin + DYNALOCK_CLOCK_STEP_MS;
}

/* Of a lease the holder uses less and a waiter waits longer: the two clocks
   may differ in rate, and each may be read up to a step late. */
static DL_APART uint32_t dl_usable(
    const dynalock_client *client, uint32_t lease_ms)
{
    uint32_t margin = dl_margin(client, lease_ms);

    return lease_ms > margin ? lease_ms - margin : 0;
}

static uint32_t dl_lease(
    const dynalock_client *client, const dynalock_lock *lock)
{
    return lock->lease_ms != 0 ? lock->lease_ms : client->config.lease_ms;
}

static int dl_lease_is_sound(const dynalock_client *client, uint32_t lease_ms)
{
    return lease_ms <= DL_LEASE_MOST && dl_usable(client, lease_ms) >= 4;
}

/* Fits: the margin is half of a lease at most. */
static uint32_t dl_watch_ms(const dynalock_client *client, uint32_t lease_ms)
{
    return lease_ms + dl_margin(client, lease_ms);
}

/* How long a dead holder's record must be watched yet; 0: the claim is good.
   (One that needs no watching counts from 0 and for no lease.) */
static uint32_t dl_watch_left(const dynalock_lock *lock)
{
    const dynalock_client *client = lock->operation.client;
    uint64_t end =
        lock->watch_since + dl_watch_ms(client, lock->watch_lease_ms);

    if (lock->claim == NULL) return DYNALOCK_FOREVER;
    if (end <= client->now) return 0;
    return (uint32_t)dl_least(end - client->now, DYNALOCK_FOREVER);
}

/* ---- the request's fields ---- */

static void dl_put_version(
    dl_sink *sink, const dynalock_lock *lock, uint32_t counter)
{
    dl_put_hex(sink, lock->acquisition, sizeof lock->acquisition);
    dl_put(sink, ":", 1);
    dl_put_hex32(sink, counter);
}

static void dl_put_mark(dl_sink *sink, const dynalock_lock *lock)
{
    dl_put_text(sink, "released:");
    dl_put_hex(sink, lock->acquisition, sizeof lock->acquisition);
}

/* What is signed further ahead of the service's clock is refused. */
#define DL_SIGNED_AHEAD_MS 300000u

/* A release writes the highest fence that this acquisition may have left: none
   that was too far ahead to be taken. */
static uint64_t dl_fence_of(const dynalock_lock *lock)
{
    const dynalock_client *client = lock->operation.client;
    uint64_t most = client->exchange.unix_ms + DL_SIGNED_AHEAD_MS;

    if (lock->operation.state != DL_LOCK_RELEASE) return lock->fence;
    if (most < lock->top_fence) most = lock->top_fence;
    return dl_least(lock->fence, most);
}

/* TTL is garbage collection: an hour or more past the lease, by the later of
   clock and fence, and never a sign of expiry. */
static void dl_put_ttl(
    const dynalock_client *client, const dynalock_lock *lock, dl_sink *sink)
{
    uint64_t s = client->exchange.unix_ms, fence = dl_fence_of(lock);

    if (s < fence) s = fence;
    s += lock->sent_lease_ms;
    (void)dl_divide(&s, 1000);
    dl_put_decimal(sink, s + client->config.ttl_s);
}

/* :r is what a write leaves, :a to :z what it may meet: a release marks what
   any try of its acquisition has left. */
static void dl_put_value_text(
    const dynalock_lock *lock, char letter, dl_sink *sink)
{
    const dynalock_client *client = lock->operation.client;
    int releasing = lock->operation.state == DL_LOCK_RELEASE;

    switch (letter) {
    case 'o': dl_put_contents(sink, client->config.owner); break;
    case 'l': dl_put_decimal(sink, lock->sent_lease_ms); break;
    case 'r':
        if (releasing) dl_put_mark(sink, lock);
        else dl_put_version(sink, lock, lock->counter);
        break;
    case 'a': dl_put_version(sink, lock, 0); break;
    case 'z':
        dl_put_version(sink, lock, releasing ? 0xffffffff : lock->counter - 1);
        break;
    case 'f': dl_put_decimal(sink, dl_fence_of(lock)); break;
    case 'v': dl_put_decimal(sink, lock->watch_fence); break;
    case 'x': dl_put_ttl(client, lock, sink); break;
    case 'd': lock->put_data(sink, lock->data, lock->data_size); break;
    default: dl_put_contents(sink, "1"); break; /* y */
    }
}

/* Value :x as ":x":{"S":"..."}, or of another type. */
static void dl_put_value(const dynalock_lock *lock, char letter, dl_sink *sink)
{
    char start[] = "\":x\":{\"S\":\"";

    start[2] = letter;
    if (letter == 'd') start[7] = 'B';
    if (dl_is_in(letter, "fvx")) start[7] = 'N';
    dl_put(sink, start, sizeof start - 1);
    dl_put_value_text(lock, letter, sink);
    dl_put(sink, "\"}", 2);
}

static void dl_write_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_lock *lock = (const dynalock_lock *)fields->context;
    dynalock_layout *layout = lock->operation.client->config.layout;
    const char *text;

    switch (letter) {
    case 'w': dl_put_contents(sink, lock->claim_rvn); return;
    case 'X': text = layout(DL_LAYOUT_WRITE).text; break;
    case 'W': text = lock->through(lock, NULL); break;
    case 'M':
        text = lock->through(lock, NULL);
        text += strlen(text) + 1;
        break;
    case '!': text = "attribute_not_exists"; break;
    default:
        if (letter >= 'a') dl_put_value(lock, letter, sink);
        else dl_read_put(fields, letter, sink);
        return;
    }
    dl_put_template(sink, text, fields);
}

/* What a write of this state always says; 0: it is a look. */
static uint32_t dl_write_flags(const dynalock_lock *lock)
{
    switch (lock->operation.state) {
    case DL_LOCK_ACQUIRE:
        return DL_FLAG('A') | DL_FLAG('L') | DL_FLAG('F') | DL_FLAG('M') |
               DL_FLAG('H') | (lock->through != NULL ? DL_FLAG('W') : 0);
    case DL_LOCK_RENEW:
    case DL_LOCK_LEAVE: return DL_FLAG('B') | DL_FLAG('E') | DL_FLAG('L');
    case DL_LOCK_RELEASE: return DL_FLAG('B') | DL_FLAG('G') | DL_FLAG('F');
    default: return 0;
    }
}

/* Every acquire says what becomes of the data, other writes only if there is
   news. */
static uint32_t dl_data_flags(const dynalock_lock *lock)
{
    if (lock->data_letter == 0 ||
        (!lock->data_due && lock->operation.state != DL_LOCK_ACQUIRE))
        return 0;
    return DL_FLAG(lock->data_letter) | DL_FLAG('J') | DL_FLAG('M') |
           DL_FLAG('H');
}

static uint32_t dl_ttl_flags(const dynalock_lock *lock, uint32_t flags)
{
    const dynalock_config *config = &lock->operation.client->config;

    if (config->ttl_attribute == NULL) return 0;
    if (!config->no_ttl || (config->delete_on_release &&
                               lock->operation.state == DL_LOCK_RELEASE))
        return DL_FLAG('T') | DL_FLAG('M') | DL_FLAG('S');
    return DL_FLAG('T') | DL_FLAG('M') | DL_FLAG('R') |
           ((flags & DL_FLAG('N')) == 0 ? DL_FLAG('I') : 0);
}

static uint32_t dl_lock_flags(const dynalock_lock *lock)
{
    dynalock_layout *layout = lock->operation.client->config.layout;
    const char *group = layout(DL_LAYOUT_GROUP).text;
    uint32_t flags = dl_write_flags(lock);

    if (flags == 0) /* a waiter's look need not be consistent */
        return lock->operation.state == DL_LOCK_WATCH ? 0 : DL_FLAG('C');
    if (*group != '\0') flags |= DL_FLAG(*group);
    flags |= DL_FLAG('X') | DL_FLAG('O') | dl_data_flags(lock);
    flags |= dl_ttl_flags(lock, flags);
    return flags | DL_FLAG(lock->watch_fence != DL_NO_FENCE ? 'V' : 'U');
}

static void dl_lock_body(const dynalock_operation *operation, dl_sink *sink)
{
    dl_put_request(sink, operation,
        operation->client->config.layout(DL_LAYOUT_PUT).put,
        dl_lock_flags((const dynalock_lock *)(const void *)operation));
}

/* ---- sending ---- */

/* A hybrid clock: rises over everything seen, granted or sent for this key, and
   with time, so that it rises over a deletion of the item too. What was sent
   may be written late, and must not win then; but what a wrong clock made and
   the service refused does not count: fences would then run ahead of
   everybody's time for ever. */
static void dl_raise_fence(dynalock_lock *lock)
{
    uint64_t sent = lock->fence;

    lock->fence = lock->operation.client->exchange.unix_ms;
    if (lock->fence <= lock->top_fence) lock->fence = lock->top_fence + 1;
    if (lock->fence <= sent && lock->fence + DL_SIGNED_AHEAD_MS >= sent)
        lock->fence = sent + 1;
}

/* Every request sent has a number of its own, retries too: no two copies of
   anything are alike, and a late one cannot pass for a newer. The lease runs
   from before the send. */
static void dl_number_request(dynalock_lock *lock)
{
    dynalock_client *client = lock->operation.client;

    lock->counter++;
    lock->base = client->now;
    lock->sent_lease_ms = dl_lease(client, lock);
}

static void dl_prepare_acquire(dynalock_lock *lock)
{
    dl_raise_fence(lock);
    lock->through = dl_watch_left(lock) == 0 ? lock->claim : NULL;
}

/* Whoever reads the shorter lease may take over by it: from before the send
   no more than that is left. */
static void dl_prepare_renew(dynalock_lock *lock)
{
    dynalock_client *client = lock->operation.client;

    lock->until = dl_least(
        lock->until, client->now + dl_usable(client, lock->sent_lease_ms));
    lock->operation.deadline = lock->until;
}

/* A write costs more than a look, also when it fails: a waiter writes only
   when it can win. */
static void dl_lock_prepare(dynalock_operation *operation)
{
    dynalock_client *client = operation->client;
    dynalock_lock *lock = dl_lock_of(operation);
    uint8_t state = operation->state;

    if (state == DL_LOCK_WATCH && dl_watch_left(lock) == 0)
        state = DL_LOCK_ACQUIRE;
    if (state == DL_LOCK_HOLD) state = DL_LOCK_RENEW;
    operation->state = state;
    client->signing.target = "UpdateItem";
    if (state == DL_LOCK_ACQUIRE || state == DL_LOCK_RENEW)
        dl_number_request(lock);
    if (state == DL_LOCK_ACQUIRE) dl_prepare_acquire(lock);
    else if (state == DL_LOCK_RENEW) dl_prepare_renew(lock);
    else if (state != DL_LOCK_RELEASE) client->signing.target = "GetItem";
}

/* ---- ending ---- */

/* To be done now, whatever was to be done before. */
static void dl_turn_to(dynalock_lock *lock, uint8_t state)
{
    lock->operation.state = state;
    lock->operation.due = lock->operation.client->now;
}

static void dl_release_begin(dynalock_lock *lock)
{
    lock->operation.attempts = 0;
    dl_turn_to(lock, DL_LOCK_RELEASE);
}

/* From here on only until no copy of any write can live. */
static void dl_settle(dynalock_lock *lock)
{
    const dynalock_client *client = lock->operation.client;

    lock->memory |= DL_SETTLING;
    lock->operation.deadline =
        client->now +
        (DL_SETTLED_MS + dl_watch_ms(client, lock->sent_lease_ms));
}

/* The call has ended without the lock. While a write of it is unanswered its
   acquisition is taken back, in later polls; only then is the outcome sure. */
static void dl_give_up(dynalock_lock *lock, dynalock_outcome outcome)
{
    if ((lock->memory & DL_UNANSWERED) == 0) {
        dl_finish(&lock->operation, outcome);
        return;
    }
    lock->memory = DL_UNANSWERED;
    lock->ending = outcome;
    lock->operation.outcome = DYNALOCK_UNKNOWN;
    DL_LOG(lock->operation.client, DYNALOCK_LOG_UNKNOWN,
        lock->operation.name.key);
    dl_release_begin(lock);
    dl_settle(lock);
}

/* After a loss nothing more is written. */
static void dl_lose(dynalock_lock *lock, dynalock_outcome outcome)
{
    lock->until = 0;
    DL_LOG(
        lock->operation.client, DYNALOCK_LOG_LOST, lock->operation.name.key);
    dl_finish(&lock->operation, outcome);
}

/* ---- holding ---- */

static void dl_hold(dynalock_lock *lock)
{
    dynalock_client *client = lock->operation.client;
    uint32_t third = lock->sent_lease_ms / 3;

    DL_LOG(client,
        lock->until != 0 ? DYNALOCK_LOG_RENEWED : DYNALOCK_LOG_GRANTED,
        lock->operation.name.key);
    lock->claim = NULL;
    /* as far as renewals are asked for */
    lock->memory = DL_COUNTED | (lock->memory & DL_GROUPED);
    lock->token = lock->fence;
    lock->top_fence = lock->fence;
    lock->until = lock->base + dl_usable(client, lock->sent_lease_ms);
    lock->held_lease_ms = lock->sent_lease_ms;
    lock->data_due = 0;
    lock->operation.state = DL_LOCK_HOLD;
    lock->operation.outcome = DYNALOCK_OK;
    lock->operation.attempts = 0;
    lock->operation.deadline = lock->until;
    lock->operation.due = DL_NEVER;
    if (client->config.manual_renew) return;
    lock->operation.due =
        lock->base + (third - dl_random(client, third / 8 + 1));
    /* asked for another lease meanwhile */
    if (lock->sent_lease_ms != dl_lease(client, lock))
        lock->operation.due = client->now;
}

/* ---- whose record is it? ---- */

static void dl_version(const dynalock_lock *lock, char out[DL_VERSION_SIZE])
{
    dl_span span;

    dl_put_version(
        dl_span_open(&span, out, DL_VERSION_SIZE, 0), lock, lock->counter);
}

enum { /* dl_whose record is it? */
    DL_WHOSE_OTHER,
    DL_WHOSE_MINE, /* written by this acquisition, in whatever try */
    DL_WHOSE_WRITE /* to the letter what the request under way writes: then
                      somebody has repeated that request, and it is done */
};

static int dl_whose(const dynalock_lock *lock, const dl_item *item)
{
    const dynalock_client *client = lock->operation.client;
    char version[DL_VERSION_SIZE];

    dl_version(lock, version);
    if (item->kind != DL_ITEM_LIVE ||
        item->found[DL_FOUND_VERSION].size != DL_VERSION_SIZE ||
        memcmp(item->found[DL_FOUND_VERSION].text, version,
            DL_VERSION_SIZE - 8) != 0 ||
        !dl_equals(item->found[DL_FOUND_OWNER].text,
            item->found[DL_FOUND_OWNER].size, client->config.owner))
        return DL_WHOSE_OTHER;
    if (memcmp(item->found[DL_FOUND_VERSION].text, version, DL_VERSION_SIZE) ==
            0 &&
        item->fence == lock->fence)
        return DL_WHOSE_WRITE;
    return DL_WHOSE_MINE;
}

/* ---- watching ---- */

static void dl_note_holder(dynalock_client *client, const dl_item *item)
{
    dynalock_detail *detail = &client->detail;

    dl_copy_text(detail->holder, sizeof detail->holder,
        item->found[DL_FOUND_OWNER].text, item->found[DL_FOUND_OWNER].size);
    detail->holder_lease_ms = item->lease_ms;
}

/* The watch on a record starts after it was received, and survives calls:
   short waits too must be able to outlive a dead holder. */
static void dl_observe(dynalock_lock *lock, const dl_item *item)
{
    dynalock_client *client = lock->operation.client;

    if (item->fence != DL_NO_FENCE && item->fence > lock->top_fence)
        lock->top_fence = item->fence;
    if (item->kind != DL_ITEM_LIVE) {
        lock->claim = NULL;
        return;
    }
    dl_note_holder(client, item);
    if (lock->claim != NULL && lock->claim(lock, item) != NULL) return;
    lock->claim = client->config.layout(DL_LAYOUT_WATCHED).claim;
    lock->watch_fence = item->fence;
    lock->watch_lease_ms = item->lease_ms;
    lock->watch_since = client->now + client->config.lock_delay_ms;
    dl_copy_text(lock->claim_rvn, sizeof lock->claim_rvn,
        item->found[DL_FOUND_VERSION].text,
        item->found[DL_FOUND_VERSION].size);
    DL_LOG(client, DYNALOCK_LOG_WATCHED, client->detail.holder);
}

/* ---- acquiring ---- */

/* Jittered, never more often than poll_ms; but not beyond the earliest moment
   at which a write can win. */
static void dl_watch_on(dynalock_lock *lock)
{
    dynalock_client *client = lock->operation.client;
    uint32_t poll_ms = client->config.poll_ms, left = dl_watch_left(lock);
    uint64_t wait = (uint64_t)poll_ms + dl_random(client, poll_ms / 4 + 1);

    /* entitled, or free, and refused all the same: not at once again */
    if (left == 0 || lock->claim == NULL) left = dl_lease(client, lock);
    wait = dl_least(wait, left);
    lock->operation.state = DL_LOCK_WATCH;
    lock->operation.due = client->now + wait;
    lock->operation.attempts = 0;
    lock->memory &= ~(uint32_t)DL_HURRIED;
    lock->failure = DYNALOCK_TIMEOUT;
}

/* Not ours now: wait for it, or say so. */
static void dl_acquire_later(dynalock_lock *lock)
{
    if ((lock->memory & DL_COUNTED) != 0) dl_give_up(lock, DYNALOCK_BUSY);
    else dl_watch_on(lock);
}

/* What stands there: our write was refused, or a waiter has looked. */
static void dl_acquire_seen(
    dynalock_lock *lock, const dl_item *item, int whose)
{
    int refused = lock->operation.state != DL_LOCK_WATCH;

    if (item->kind == DL_ITEM_FOREIGN) {
        dl_give_up(lock, DYNALOCK_NOT_A_LOCK);
        return;
    }
    dl_observe(lock, item);
    /* Free, mine from an earlier try, or watched through: while a look was
       under way, or though refused; then only the fence was behind, and has
       now caught up. After a refusal once; others may be as quick. */
    if ((lock->memory & DL_HURRIED) == 0 &&
        (item->kind != DL_ITEM_LIVE || whose != DL_WHOSE_OTHER ||
            dl_watch_left(lock) == 0)) {
        if (refused) lock->memory |= DL_HURRIED;
        dl_turn_to(lock, DL_LOCK_ACQUIRE);
        return;
    }
    dl_acquire_later(lock);
}

/* ---- renewing ---- */

/* Our renewal was refused, and this is what stands there instead. */
static void dl_renew_refused(
    dynalock_lock *lock, const dl_item *item, int whose)
{
    dynalock_outcome loss = DYNALOCK_LOST_STOLEN;

    if (whose == DL_WHOSE_MINE && item->fence == lock->fence) {
        /* an older copy of our own answered, or a stale one */
        lock->operation.state = DL_LOCK_RENEW;
        dl_back_off(&lock->operation, DYNALOCK_THROTTLED);
        return;
    }
    if (item->kind == DL_ITEM_FREE) loss = DYNALOCK_LOST_RELEASED;
    if (item->kind == DL_ITEM_ABSENT) loss = DYNALOCK_LOST_VANISHED;
    if (item->kind == DL_ITEM_LIVE)
        dl_note_holder(lock->operation.client, item);
    dl_lose(lock, loss);
}

/* A call that asked for a renewal has ended, the lock is held as before; the
   heartbeat, if there is one, goes on. */
static void dl_renew_end(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    if (operation->outcome != DYNALOCK_AGAIN) return;
    operation->outcome = outcome;
    if (!operation->client->config.manual_renew) return;
    operation->state = DL_LOCK_HOLD;
    operation->due = DL_NEVER;
}

/* ---- the lock's steps ---- */

/* The write was carried out. For a release a refusal means that, too: the item
   bears our mark already, or is another owner's or nobody's after a release
   that was sent in time. */
static void dl_write_done(dynalock_lock *lock)
{
    switch (lock->operation.state) {
    case DL_LOCK_ACQUIRE:
    case DL_LOCK_CONFIRM:
        lock->operation.client->config.layout(DL_LAYOUT_GRANTED).granted(lock);
        break;
    case DL_LOCK_LEAVE: dl_release_begin(lock); break;
    case DL_LOCK_RELEASE:
        DL_LOG(lock->operation.client, DYNALOCK_LOG_RELEASED,
            lock->operation.name.key);
        dl_finish(&lock->operation, (dynalock_outcome)lock->ending);
        break;
    default: dl_hold(lock); break;
    }
}

/* The write was refused, or a look has ended: this is what stands there. Some
   servers never show the item with a refusal; then it takes a look. */
static void dl_item_seen(dynalock_lock *lock, int refused)
{
    uint8_t state = lock->operation.state;
    dl_item item;
    int whose;

    dl_read_item(lock->operation.client, &item);
    if (refused && item.kind == DL_ITEM_ABSENT &&
        (state == DL_LOCK_ACQUIRE || state == DL_LOCK_RENEW)) {
        lock->memory &= ~(uint32_t)DL_PROVING;
        dl_turn_to(lock, (uint8_t)(state + 1)); /* CONFIRM, CHECK */
        return;
    }
    whose = dl_whose(lock, &item);
    if (state >= DL_LOCK_LEAVE ||
        (whose == DL_WHOSE_WRITE && state != DL_LOCK_WATCH))
        dl_write_done(lock);
    else if (state < DL_LOCK_HOLD) dl_acquire_seen(lock, &item, whose);
    else dl_renew_refused(lock, &item, whose);
}

/* A release goes on until it is answered; a write that could not be taken back
   may stand on the table. */
static void dl_lock_failed(dynalock_lock *lock, dynalock_outcome outcome)
{
    dynalock_operation *operation = &lock->operation;
    uint8_t state = operation->state;
    int again = dl_is_worth_trying(
        operation, outcome, (lock->memory & DL_COUNTED) != 0);

    if (operation->client->exchange.fate == DL_FATE_SENT)
        lock->memory |= DL_UNANSWERED;
    lock->failure = outcome;
    if (state == DL_LOCK_LEAVE) {
        dl_release_begin(lock);
    } else if (again) {
        dl_back_off(operation, outcome);
    } else if (state < DL_LOCK_HOLD) {
        dl_give_up(lock, outcome);
    } else if (state < DL_LOCK_LEAVE) {
        dl_back_off(operation, outcome);
        dl_renew_end(operation, outcome);
    } else {
        if ((lock->memory & DL_SETTLING) != 0) outcome = DYNALOCK_UNKNOWN;
        dl_fail(operation, outcome);
    }
}

static void dl_lock_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_client *client = operation->client;
    dynalock_lock *lock = dl_lock_of(operation);

    if ((int)outcome == DL_CONDITION_FAILED) dl_item_seen(lock, 1);
    else if (outcome != DYNALOCK_OK) dl_lock_failed(lock, outcome);
    else if (client->signing.target[0] == 'G') dl_item_seen(lock, 0);
    else dl_write_done(lock);
}

/* A release's call has ended; in later polls it is tried on until it is
   answered, or no copy of any write can live. */
static void dl_release_expire(dynalock_lock *lock)
{
    if ((lock->memory & DL_SETTLING) != 0)
        dl_fail(&lock->operation, DYNALOCK_UNKNOWN);
    else if ((lock->memory & DL_UNANSWERED) != 0)
        dl_give_up(lock, (dynalock_outcome)lock->ending);
    else dl_fail(&lock->operation, (dynalock_outcome)lock->failure);
}

/* Renewals before all else, the earliest end first; then what gives back;
   then the waiters, the longest due first. A lock that would be over before its
   answer comes goes last: if there are more than the connection can keep, each
   try for it would cost another one. */
static uint64_t dl_lock_rank(const dynalock_operation *operation)
{
    const dynalock_client *client = operation->client;
    const dynalock_lock *lock = (const dynalock_lock *)(const void *)operation;

    switch (operation->state) {
    case DL_LOCK_HOLD:
    case DL_LOCK_RENEW:
    case DL_LOCK_CHECK:
        return lock->until > client->now + client->round_trip ? lock->until
                                                              : DL_NEVER - 1;
    case DL_LOCK_RELEASE: return ((uint64_t)1 << 62) + operation->due;
    default: return ((uint64_t)1 << 63) + operation->due;
    }
}

/* The lease that a slow answer would endanger: of what is held, and of the
   write that is about to be sent. */
static uint32_t dl_lock_lease(const dynalock_client *client,
    const dynalock_operation *operation, int sending)
{
    const dynalock_lock *lock = (const dynalock_lock *)(const void *)operation;
    uint8_t state = operation->state;

    if (state == DL_LOCK_HOLD || state == DL_LOCK_RENEW ||
        state == DL_LOCK_CHECK ||
        (sending && client->exchange.operation == operation))
        return (uint32_t)dl_least(dl_lease(client, lock), lock->held_lease_ms);
    return 0;
}

/* ---- giving back ---- */

/* Not held from here on. A renewal that has left is waited for: renewal and
   release of one lock never overlap, and after the release nothing renews. */
static void dl_give_back(dynalock_lock *lock)
{
    dynalock_client *client = lock->operation.client;
    dynalock_operation *operation = &lock->operation;
    int renewing = operation->state == DL_LOCK_RENEW &&
                   client->exchange.operation == operation &&
                   client->exchange.state != DL_EXCHANGE_OPEN;

    if (!renewing) (void)dl_exchange_abandon(operation);
    lock->until = 0;
    lock->memory = 0;
    lock->ending = DYNALOCK_OK;
    lock->failure = DYNALOCK_NO_ANSWER;
    operation->outcome = DYNALOCK_AGAIN;
    operation->deadline = dl_deadline(client, 0);
    dl_release_begin(lock);
    if (renewing) operation->state = DL_LOCK_LEAVE;
}

/* A call that gives back: it goes on in later polls. */
static void dl_release_cancel(dynalock_lock *lock)
{
    if (lock->operation.outcome == DYNALOCK_AGAIN)
        lock->operation.outcome = DYNALOCK_UNKNOWN;
    dl_settle(lock);
}

static void dl_lock_end(dynalock_operation *operation, unsigned why)
{
    dynalock_lock *lock = dl_lock_of(operation);
    int expired = why == DL_END_EXPIRED;

    if (why == DL_END_CLOSED && lock->until != 0) {
        expired = operation->client->now >= lock->until;
        if (!expired) {
            dl_give_back(lock);
            return;
        }
    }
    /* what is under way counts for no other call */
    if ((expired || operation->state < DL_LOCK_LEAVE) &&
        dl_exchange_abandon(operation))
        lock->memory |= DL_UNANSWERED;
    if (operation->state < DL_LOCK_HOLD) {
        dl_give_up(lock,
            expired ? (dynalock_outcome)lock->failure : DYNALOCK_CANCELLED);
    } else if (operation->state < DL_LOCK_LEAVE) {
        if (expired) dl_lose(lock, DYNALOCK_LOST_EXPIRED);
        else dl_renew_end(operation, DYNALOCK_CANCELLED);
    } else {
        if (expired) dl_release_expire(lock);
        else if (why == DL_END_CANCELLED) dl_release_cancel(lock);
    }
}

DL_STEPS(dl_lock_steps, dl_lock_prepare, dl_lock_answer, dl_lock_end,
    dl_lock_body, dl_lock_rank, dl_lock_lease)

/* ---- starting ---- */

/* NULL only equals itself; b is not NULL if a is not. */
static int dl_text_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && dl_equals(a, strlen(a), b));
}

static dynalock_outcome dl_check_table(const char *table)
{
    size_t size;

    if (table == NULL) return DYNALOCK_BAD_TABLE;
    size = dl_count_plain(table, "_.-");
    return table[size] == '\0' && size >= 3 && size <= 255
               ? DYNALOCK_OK
               : DYNALOCK_BAD_TABLE;
}

/* The sort key must be there exactly when the table has one. */
static DL_APART dynalock_outcome dl_check_name(
    const dynalock_client *client, const dynalock_name *name)
{
    if (!dl_is_name(name->key, 2048)) return DYNALOCK_BAD_KEY;
    if (client->config.sort_key_name != NULL
            ? !dl_is_name(name->sort_key, 1024)
            : name->sort_key != NULL)
        return DYNALOCK_BAD_KEY;
    return DYNALOCK_OK;
}

/* Another lock of this client at work on the same item would be taken for a
   stranger's, and would break it. */
static int dl_is_key_in_use(
    const dynalock_client *client, const dynalock_operation *operation)
{
    const dynalock_operation *at = client->operations;

    for (; at != NULL; at = at->next)
        if (at != operation && at->steps(DL_STEP_BODY).body == dl_lock_body &&
            dl_text_equal(at->name.key, operation->name.key) &&
            dl_text_equal(at->name.sort_key, operation->name.sort_key) &&
            dl_text_equal(dl_table(client, at), dl_table(client, operation)))
            return 1;
    return 0;
}

/* With its NUL: no two texts are the same, one after the other. */
static void dl_sha256_text(dl_sha256 *sha, const char *text)
{
    dl_sha256_update(sha, text, strlen(text) + 1);
}

/* 128 bits that no other acquisition has, even where boards boot with poor
   entropy: names, clocks and a counter go in as well. */
static dynalock_outcome dl_draw_acquisition(
    dynalock_client *client, dynalock_lock *lock)
{
    const dynalock_platform *platform = client->config.platform;
    struct {
        uint64_t now;
        int64_t unix_ms;
        uint64_t count;
        uint8_t bytes[DL_SHA256_SIZE]; /* entropy, then all together */
    } seed;                            /* without padding */
    dl_sha256 sha;

    seed.now = client->now;
    seed.unix_ms = platform->unix_ms(platform->context);
    seed.count = ++client->acquisitions;
    if (platform->entropy(platform->context, seed.bytes, DL_SHA256_SIZE) < 0)
        return DYNALOCK_NO_ENTROPY;
    dl_sha256_init(&sha);
    dl_sha256_update(&sha, &seed, sizeof seed);
    dl_sha256_text(&sha, client->config.owner);
    dl_sha256_text(&sha, lock->operation.name.key);
    dl_sha256_final(&sha, seed.bytes);
    dl_copy(lock->acquisition, seed.bytes, sizeof lock->acquisition);
    return DYNALOCK_OK;
}

/* Ends what has ended meanwhile. */
static void dl_lapse(const dynalock_client *client, dynalock_lock *lock)
{
    if (lock->operation.client == client &&
        client->now >= lock->operation.deadline)
        lock->operation.steps(DL_STEP_END)
            .end(&lock->operation, DL_END_EXPIRED);
}

/* Says why this lock cannot begin. */
static dynalock_outcome dl_check_idle(
    dynalock_client *client, dynalock_lock *lock)
{
    dl_lapse(client, lock);
    if (lock->operation.client == NULL) return DYNALOCK_OK;
    if (lock->operation.client != client) return DYNALOCK_IN_USE;
    if (lock->until != 0) return DYNALOCK_HELD;
    if (lock->operation.outcome == DYNALOCK_UNKNOWN) return DYNALOCK_UNKNOWN;
    return DYNALOCK_IN_USE;
}

static dynalock_outcome dl_check_acquire(
    dynalock_client *client, dynalock_lock *lock)
{
    dynalock_outcome rc = dl_check_idle(client, lock);

    if (rc == DYNALOCK_OK) rc = dl_check_name(client, &lock->operation.name);
    if (rc != DYNALOCK_OK) return rc;
    if (dl_is_key_in_use(client, &lock->operation)) return DYNALOCK_SAME_KEY;
    if (!dl_lease_is_sound(client, dl_lease(client, lock)))
        return DYNALOCK_BAD_LEASE;
    return dl_draw_acquisition(client, lock);
}

static dynalock_outcome dl_start_acquire(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_lock *lock = (dynalock_lock *)object;
    dynalock_outcome rc;

    rc = dl_check_acquire(client, lock);
    if (rc != DYNALOCK_OK) return rc;
    lock->counter = 0;
    lock->token = 0;
    lock->sent_lease_ms = dl_lease(client, lock);
    lock->held_lease_ms = lock->sent_lease_ms;
    lock->memory = wait_ms == 0 ? DL_COUNTED : 0;
    lock->failure = DYNALOCK_NO_ANSWER;
    return dl_start_operation(client, &lock->operation, wait_ms);
}

static int dl_is_loss(int32_t outcome)
{
    return outcome <= DYNALOCK_LOST_EXPIRED &&
           outcome >= DYNALOCK_LOST_RELEASED;
}

/* DYNALOCK_OK: held now. Otherwise why not, a loss first. */
static dynalock_outcome dl_check_held(
    dynalock_client *client, dynalock_lock *lock)
{
    dl_lapse(client, lock);
    if (lock->operation.client == client)
        return lock->until != 0 ? DYNALOCK_OK : DYNALOCK_IN_USE;
    if (dl_is_loss(lock->operation.outcome))
        return (dynalock_outcome)lock->operation.outcome;
    return DYNALOCK_NOT_HELD;
}

static dynalock_outcome dl_start_renew(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_lock *lock = (dynalock_lock *)object;
    dynalock_operation *operation = &lock->operation;
    dynalock_outcome rc = dl_check_held(client, lock);

    (void)wait_ms;
    if (rc != DYNALOCK_OK) return rc;
    if (operation->outcome == DYNALOCK_AGAIN) return DYNALOCK_IN_USE;
    if (dl_unix_ms(client) == 0) return DYNALOCK_CLOCK_UNSET;
    operation->outcome = DYNALOCK_AGAIN;
    operation->attempts = 0;
    operation->due = client->now;
    if (operation->state == DL_LOCK_HOLD) operation->state = DL_LOCK_RENEW;
    return DYNALOCK_AGAIN;
}

static dynalock_outcome dl_start_release(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_lock *lock = (dynalock_lock *)object;
    dynalock_outcome rc = dl_check_held(client, lock);

    (void)wait_ms;
    if (rc != DYNALOCK_OK) return rc;
    dl_give_back(lock);
    return DYNALOCK_AGAIN;
}

/* ===================================================================== */
/* == layouts: of other libraries                                         */
/* ===================================================================== */

/* ---- cirello-io/dynamolock: the standard one, with a unit ---- */

static void dl_dynamolock_put(
    const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_lock *lock = (const dynalock_lock *)fields->context;

    if (letter != 'l') {
        dl_write_put(fields, letter, sink);
        return;
    }
    dl_put_text(sink, "\":l\":{\"S\":\"");
    dl_put_decimal(sink, lock->sent_lease_ms);
    dl_put_text(sink, "ms\"}");
}

DL_LAYOUT(dl_dynamolock, dl_standard_write, dl_watched, dl_text_bytes,
    dl_text_key, dl_text_string, dl_text_none, dl_judge_item,
    dl_dynamolock_put, dl_hold, dl_text_owner, dl_text_version,
    dl_text_released, dl_text_lease)

DYNALOCK_API dynalock_layout *dynalock_for_dynamolock(void)
{
    return dl_dynamolock;
}

/* ---- those that expire by the wall clock ---- */

/*
DynaLock, dynamo-dlm and chainsaws let an item go when $3, in whole seconds, is
over on the clock of whoever asks. Ours says so much later than our hold ends,
and theirs is taken so much later than it says: wall clocks may differ by the
grace. A release sets it to a day ago instead of deleting the item: to the
others that is as free, the fence stays, and the DynamoDB TTL deletes it. Groups
besides those of == layout: [Y chainsaws. $5 is when chainsaws renewed last; its
release makes $3 the same. Values: :t expiry ($E), :h to :g what is over ($H,
$G).
*/
#define DL_GRACE_MS 4000 /* DL_CLOCK_SLACK_MS, and a Date's second */
#define DL_DAY_MS 86400000u
/* What ended longer ago is no time but a duration: the DynamoDB TTL does not
   believe it either. */
#define DL_EXPIRY_OLDEST_S 157680000u /* five years */
#define DL_EXPIRY "$3"
#define DL_RENEWED "$5"

static const char dl_expiry_write[] =
    "'UpdateExpression':'"
    "SET " DL_VERSION "=:r,#e=:t[A," DL_OWNER "=:o[Y,#p=:p]]" DL_SET_FENCE
    "[D,#d=:d][N REMOVE #d]" DL_IF
    "#e BETWEEN :h AND :g[Y OR #e BETWEEN :h AND " DL_RENEWED "]" DL_OR_MINE
    "[E AND " DL_FENCE "=:f][G AND " DL_FENCE "<=:f]"
    "','ExpressionAttributeNames':{'#e':'" DL_EXPIRY "'"
    "[A,'#k':$P[Y,'#p':'_ptn']][J,'#d':'data']}" DL_VALUES
    ",':t':{'N':'$E'}[A,':g':{'N':'$G'},':h':{'N':'$H'}"
    "[Y,':p':{'S':'distributed_lock'}]][D,$d][W$M]}";

/* A watch is only how long to sleep: the condition has its own say. */
static const char dl_expired_text[] = "#e=:g"
                                      "\0";

static void dl_expiry_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_lock *lock = (const dynalock_lock *)fields->context;
    const dynalock_client *client = lock->operation.client;
    uint64_t ms = client->exchange.unix_ms;

    switch (letter) {
    case 'E':
        if (lock->operation.state == DL_LOCK_RELEASE) ms -= DL_DAY_MS;
        else ms += lock->sent_lease_ms + DL_GRACE_MS + 1000;
        break;
    case 'G': ms -= DL_GRACE_MS + 1000 + client->config.lock_delay_ms; break;
    case 'H': ms -= (uint64_t)DL_EXPIRY_OLDEST_S * 1000; break;
    default: dl_write_put(fields, letter, sink); return;
    }
    (void)dl_divide(&ms, 1000);
    dl_put_decimal(sink, ms);
}

static int dl_read_second(const dl_found *found, uint32_t *second)
{
    return found->text != NULL &&
           dl_read_word(found->text, found->size, second);
}

/* Absent, or a text that has room. */
static int dl_fits(const dl_found *found, size_t capacity)
{
    return !found->there || (found->text != NULL && found->size < capacity);
}

/* No time is what is too far ahead, as milliseconds are, or too long ago. */
static dl_item_kind dl_judge_expiry(
    const dynalock_client *client, dl_item *item)
{
    uint64_t ms = client->exchange.unix_ms - client->config.lock_delay_ms;
    uint32_t now, end, renewed;
    dl_found found;

    dl_json_attribute(&client->json, dl_json_member(&client->json, 0, "Item"),
        client->wants[DL_FOUND_RELEASED + 1].name, "N", &found);
    if (!dl_fits(&item->found[DL_FOUND_VERSION], DYNALOCK_RVN_SIZE))
        return DL_ITEM_FOREIGN;
    if (item->found[DL_FOUND_VERSION].text == NULL)
        item->found[DL_FOUND_VERSION].text = client->json.text; /* "" */
    (void)dl_divide(&ms, 1000);
    now = (uint32_t)ms;
    if (!dl_read_fence(item) || !dl_read_second(&found, &end) ||
        end - now + DL_EXPIRY_OLDEST_S >
            DL_EXPIRY_OLDEST_S + DL_LEASE_MOST / 1000 ||
        !dl_fits(&item->found[DL_FOUND_OWNER], DYNALOCK_OWNER_SIZE))
        return DL_ITEM_FOREIGN;
    if (client->wants[DL_WANTS - 1].name[0] != '\0' && /* some have none */
        dl_read_second(&item->found[DL_FOUND_LEASE_NUMBER], &renewed) &&
        renewed >= end)
        return DL_ITEM_FREE;
    end += 1 + DL_GRACE_MS / 1000; /* a second counts until it is over */
    if (end <= now) return DL_ITEM_FREE;
    item->lease_ms = (end - now) * 1000;
    return DL_ITEM_LIVE;
}

static const char *dl_expired(const dynalock_lock *lock, const dl_item *item)
{
    (void)lock;
    return item == NULL ? dl_expired_text : NULL; /* it watches none */
}

/* renewed: the attribute that says when it was, or none. */
#define DL_EXPIRY_LAYOUT(                                                     \
    layout, key_name, sort_type, group, owner, version, expiry, renewed)      \
    DL_LAYOUT(layout, dl_expiry_write, dl_expired, dl_text_bytes, key_name,   \
        sort_type, group, dl_judge_expiry, dl_expiry_put, dl_hold, owner,     \
        version, expiry, renewed)

static const char dl_dynalock_py_key[] = "LockId";
static const char dl_dynalock_py_expiry[] = "TTL";

DL_EXPIRY_LAYOUT(dl_dynalock_py, dl_dynalock_py_key, dl_text_string,
    dl_text_none, dl_text_owner, dl_text_version, dl_dynalock_py_expiry,
    dl_text_none)

DYNALOCK_API dynalock_layout *dynalock_for_dynalock_py(void)
{
    return dl_dynalock_py;
}

static const char dl_dynamo_dlm_sort[] = "N";
static const char dl_dynamo_dlm_key[] = "resource_id";
static const char dl_dynamo_dlm_version[] = "release_code";
static const char dl_dynamo_dlm_expiry[] = "expires";

DL_EXPIRY_LAYOUT(dl_dynamo_dlm, dl_dynamo_dlm_key, dl_dynamo_dlm_sort,
    dl_text_none, dl_text_owner, dl_dynamo_dlm_version, dl_dynamo_dlm_expiry,
    dl_text_none)

DYNALOCK_API dynalock_layout *dynalock_for_dynamo_dlm(void)
{
    return dl_dynamo_dlm;
}

/* It updates items where the others replace them: our version, fence and mark
   stay under its owner's name. */
static const char dl_chainsaws_key[] = "_pk";
static const char dl_chainsaws_group[] = "Y";
static const char dl_chainsaws_owner[] = "owner_id";
static const char dl_chainsaws_expiry[] = "expires_at";
static const char dl_chainsaws_renewed[] = "last_renewed_at";

DL_EXPIRY_LAYOUT(dl_chainsaws, dl_chainsaws_key, dl_text_string,
    dl_chainsaws_group, dl_chainsaws_owner, dl_text_version,
    dl_chainsaws_expiry, dl_chainsaws_renewed)

DYNALOCK_API dynalock_layout *dynalock_for_chainsaws(void)
{
    return dl_chainsaws;
}

/* ---- kmdeveloping/dynalock: no expiry, and it puts without a condition ----

It reads seven attributes, which must all be there with their types, and lets an
item go only when isReleased is true. Ours has besides what the standard one
has, so that devices take over from one another; an item without a version is
Go's, and never over. It may overwrite ours between its look and its put: a
grant counts only when it still stands a while later. Values: :s now ($H), :n
its constant, :i what isReleased becomes, :d data as text ($D). */
#define DL_PUT_RACE_MS 1000

static const char dl_go_write[] =
    "'UpdateExpression':'"
    "SET " DL_VERSION "=:r,#s=:s[A,#o=:o,#t=:n,deleteOnRelease=:i]"
    "[L,#d=:d," DL_LEASE "=:l]" DL_SET_FENCE "[F,isReleased=:i]" DL_IF
    "isReleased=:y AND NOT " DL_IS_MISSING "(#o)" DL_OR_MINE "[E AND " DL_FENCE
    "=:f AND isReleased=:i][G AND " DL_FENCE "<=:f]"
    "','ExpressionAttributeNames':{'#o':'owner','#s':'timestamp'"
    "[A,'#k':$P,'#t':'ttl'][L,'#d':'data']}" DL_VALUES
    ",':s':{'N':'$H'},':i':{'BOOL':[Gtrue][Lfalse]}[L,$l,':d':{'S':'$D'}]"
    "[A,':y':{'BOOL':true},':n':{'N':'2592000'}][W$M]}";

static void dl_go_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_lock *lock = (const dynalock_lock *)fields->context;
    uint64_t s = lock->operation.client->exchange.unix_ms;

    switch (letter) {
    case '1': dl_put_text(sink, "#o"); break;
    case 'D':
        if (lock->data_letter == 'D')
            dl_put_escaped(sink, (const char *)lock->data, lock->data_size);
        break;
    case 'H':
        (void)dl_divide(&s, 1000);
        dl_put_decimal(sink, s);
        break;
    default: dl_write_put(fields, letter, sink); break;
    }
}

/* The literal of attribute isReleased: 't', 'f', or 0. What is missing stands
   at 0, the root, which is no literal and has no such member. */
static char dl_go_released(const dl_json *json)
{
    int at =
        dl_json_member(json, dl_json_member(json, 0, "Item"), "isReleased");
    const char *text = json->text + dl_json_token(json, at)->start;

    return dl_begins(text, "{\"bool\":") != NULL ? text[8] : '\0';
}

/* One of Go's own has neither version nor lease: it is never over. */
static dl_item_kind dl_judge_go(const dynalock_client *client, dl_item *item)
{
    dl_found *version = &item->found[DL_FOUND_VERSION];
    dl_found *lease = &item->found[DL_FOUND_LEASE];
    int gos = !version->there;
    char released, one[] = "1";
    dl_item_kind kind;

    if (gos) {
        version->text = lease->text = one;
        version->size = lease->size = 1;
    }
    kind = dl_judge_item(client, item);
    if (gos) {
        version->text = lease->text = client->json.text;
        version->size = 0; /* "" */
        item->lease_ms = (uint32_t)DL_LEASE_MOST;
    }
    released = dl_go_released(&client->json);
    if (kind != DL_ITEM_LIVE) return DL_ITEM_FOREIGN;
    if (released == 't') return DL_ITEM_FREE;
    return released == 'f' ? DL_ITEM_LIVE : DL_ITEM_FOREIGN;
}

/* Written, but a put may be under way: look again after a while, which must
   leave something of the lease. A look that was made because a refusal showed
   no item comes too early for that. */
static void dl_go_granted(dynalock_lock *lock)
{
    uint32_t ms = lock->sent_lease_ms / 2;

    if (lock->operation.state == DL_LOCK_CONFIRM &&
        (lock->memory & DL_PROVING) != 0) {
        dl_hold(lock);
        return;
    }
    if (ms > DL_PUT_RACE_MS) ms = DL_PUT_RACE_MS;
    dl_turn_to(lock, DL_LOCK_CONFIRM);
    lock->memory |= DL_UNANSWERED | DL_PROVING;
    lock->operation.due += ms;
}

static const char dl_dynalock_go_owner[] = "owner";

DL_LAYOUT(dl_dynalock_go, dl_go_write, dl_watched, dl_text_string, dl_text_key,
    dl_text_string, dl_text_none, dl_judge_go, dl_go_put, dl_go_granted,
    dl_dynalock_go_owner, dl_text_version, dl_text_released, dl_text_lease)

DYNALOCK_API dynalock_layout *dynalock_for_dynalock_go(void)
{
    return dl_dynalock_go;
}

/* ===================================================================== */
/* == alarm: who is told before a lock is lost, and when                  */
/* ===================================================================== */

/* The state of a lock as its holder must see it; safe_ms: what is left must be
   more. */
static dynalock_outcome dl_state(const dynalock_client *client,
    const dynalock_lock *lock, uint64_t now, uint32_t safe_ms)
{
    int32_t outcome = lock->operation.outcome;

    if (lock->operation.client != client || lock->until == 0)
        return outcome == DYNALOCK_OK ? DYNALOCK_NOT_HELD
                                      : (dynalock_outcome)outcome;
    if (now >= lock->until) return DYNALOCK_LOST_EXPIRED;
    if (lock->until - now <= safe_ms) return DYNALOCK_DANGER;
    return DYNALOCK_OK;
}

/* After each step of the lock: sets the time of the next look, which is the
   end of the hold or a little earlier, and tells what is new. */
static void dl_alarm_look(dynalock_client *client, dynalock_lock *lock)
{
    dynalock_alarm *alarm = lock->alarm;
    dynalock_outcome state =
        dl_state(client, lock, client->now, alarm->safe_ms);

    if (lock->until != 0) lock->operation.deadline = lock->until;
    if (state == DYNALOCK_OK) lock->operation.deadline -= alarm->safe_ms;
    if ((int32_t)state == alarm->told) return;
    alarm->told = state;
    if (state == DYNALOCK_OK || state == DYNALOCK_DANGER || dl_is_loss(state))
        alarm->notify(alarm->context, lock, state);
}

static void dl_alarm_prepare(dynalock_operation *operation)
{
    dl_lock_prepare(operation);
    dl_alarm_look(operation->client, dl_lock_of(operation));
}

static void dl_alarm_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_client *client = operation->client;

    dl_lock_answer(operation, outcome);
    dl_alarm_look(client, dl_lock_of(operation));
}

static void dl_alarm_end(dynalock_operation *operation, unsigned why)
{
    dynalock_client *client = operation->client;

    /* what has come may be the time of danger only */
    if (why != DL_END_EXPIRED || client->now >= dl_lock_of(operation)->until)
        dl_lock_end(operation, why);
    dl_alarm_look(client, dl_lock_of(operation));
}

DL_STEPS(dl_alarm_steps, dl_alarm_prepare, dl_alarm_answer, dl_alarm_end,
    dl_lock_body, dl_lock_rank, dl_lock_lease)

DYNALOCK_API dynalock_outcome dynalock_set_alarm(
    dynalock_lock *lock, dynalock_alarm *alarm)
{
    if (lock == NULL || alarm == NULL || alarm->notify == NULL)
        return DYNALOCK_BAD_ARGUMENT;
    if (lock->operation.client != NULL) return DYNALOCK_IN_USE;
    alarm->told = DYNALOCK_NOT_HELD;
    lock->alarm = alarm;
    lock->operation.steps = dl_alarm_steps;
    return DYNALOCK_OK;
}

/* ===================================================================== */
/* == save: a lock's life over a reboot                                   */
/* ===================================================================== */

/* A blob is: CRC-32 of what follows, a version, the acquisition, the fence,
   and the owner's name with zeros behind it. */
enum {
    DL_BLOB_VERSION = 4,
    DL_BLOB_ACQUISITION = 5,
    DL_BLOB_FENCE = 21,
    DL_BLOB_OWNER = 29
};

DL_ASSERT_STATIC(a_blob_has_room,
    DYNALOCK_BLOB_SIZE == DL_BLOB_OWNER + DYNALOCK_OWNER_SIZE);

static uint32_t dl_blob_crc(const dynalock_blob *blob)
{
    return dl_crc32(0, blob->bytes + DL_BLOB_VERSION,
        sizeof blob->bytes - DL_BLOB_VERSION);
}

static void dl_blob_write(const dynalock_client *client,
    const dynalock_lock *lock, dynalock_blob *blob)
{
    const char *owner = client->config.owner;
    uint8_t *at = blob->bytes;

    memset(at, 0, sizeof blob->bytes);
    at[DL_BLOB_VERSION] = 1;
    memcpy(at + DL_BLOB_ACQUISITION, lock->acquisition, 16);
    dl_store32(at + DL_BLOB_FENCE, (uint32_t)(lock->token >> 32));
    dl_store32(at + DL_BLOB_FENCE + 4, (uint32_t)lock->token);
    memcpy(at + DL_BLOB_OWNER, owner, strlen(owner));
    dl_store32(at, dl_blob_crc(blob));
}

/* A client whose owner name was drawn goes on under the blob's, as long as it
   has done nothing under its own. */
static int dl_blob_is_mine(dynalock_client *client, const char *owner)
{
    size_t size = strlen(owner);

    if (client->config.owner == client->owner && client->acquisitions == 0 &&
        size == 32 && dl_is_name(owner, size))
        memcpy(client->owner, owner, size);
    return dl_equals(owner, size, client->config.owner);
}

static dynalock_outcome dl_blob_read(
    dynalock_client *client, dynalock_lock *lock, const dynalock_blob *blob)
{
    const uint8_t *at = blob->bytes;
    uint64_t fence = (uint64_t)dl_load32(at + DL_BLOB_FENCE) << 32 |
                     dl_load32(at + DL_BLOB_FENCE + 4);
    dl_span span;

    if (dl_load32(at) != dl_blob_crc(blob) || at[DL_BLOB_VERSION] != 1 ||
        at[sizeof blob->bytes - 1] != 0 || fence >= DL_FENCE_MOST - 1 ||
        !dl_blob_is_mine(client, (const char *)at + DL_BLOB_OWNER))
        return DYNALOCK_BAD_BLOB;
    memcpy(lock->acquisition, at + DL_BLOB_ACQUISITION, 16);
    dl_put_hex(
        dl_span_open(&span, lock->claim_rvn, sizeof lock->claim_rvn - 1, 0),
        lock->acquisition, 16);
    lock->claim_rvn[span.used] = '\0';
    lock->claim = dl_previous;
    lock->watch_since = 0;
    lock->watch_lease_ms = 0;
    if (lock->top_fence < fence) lock->top_fence = fence;
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_outcome dynalock_save(const dynalock_client *client,
    const dynalock_lock *lock, dynalock_blob *blob)
{
    dynalock_outcome rc;

    if (lock == NULL || blob == NULL || !dl_enter_const(client))
        return DYNALOCK_BAD_ARGUMENT;
    rc = lock->operation.client == client && lock->until > dl_now(client)
             ? DYNALOCK_OK
             : DYNALOCK_NOT_HELD;
    if (rc == DYNALOCK_OK) dl_blob_write(client, lock, blob);
    dl_leave(client);
    return rc;
}

DYNALOCK_API dynalock_outcome dynalock_restore(
    dynalock_client *client, dynalock_lock *lock, const dynalock_blob *blob)
{
    dynalock_outcome rc;

    if (lock == NULL || blob == NULL || !dl_enter(client))
        return DYNALOCK_BAD_ARGUMENT;
    rc = dl_check_idle(client, lock);
    if (rc == DYNALOCK_OK) rc = dl_blob_read(client, lock, blob);
    dl_leave(client);
    return rc;
}

/* Gives back what the blob's life has left, without taking it over first. */
static dynalock_outcome dl_start_release_restored(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_lock *lock = (dynalock_lock *)object;
    dynalock_outcome rc = dl_check_idle(client, lock);

    if (rc != DYNALOCK_OK) return rc;
    if (lock->claim != dl_previous) return DYNALOCK_NOT_HELD;
    rc = dl_check_name(client, &lock->operation.name);
    if (rc == DYNALOCK_OK)
        rc = dl_start_operation(client, &lock->operation, wait_ms);
    if (rc != DYNALOCK_AGAIN) return rc;
    lock->claim = NULL;
    lock->fence = lock->top_fence;
    lock->sent_lease_ms = dl_lease(client, lock);
    dl_give_back(lock);
    return rc;
}

/* ===================================================================== */
/* == read: look at one item                                              */
/* ===================================================================== */

static void dl_record_body(const dynalock_operation *operation, dl_sink *sink)
{
    dl_put_request(sink, operation, dl_read_put, DL_FLAG('C'));
}

static void dl_record_prepare(dynalock_operation *operation)
{
    dynalock_client *client = operation->client;

    client->signing.target = "GetItem";
    client->filter.wants = client->wants; /* data, too */
}

static DL_ALONG void dl_record_data(
    const dynalock_client *client, dynalock_record *record)
{
    const char *type = client->config.layout(DL_LAYOUT_DATA_TYPE).text;
    dl_found found;

    dl_json_attribute(&client->json, dl_json_member(&client->json, 0, "Item"),
        "data", type, &found);
    record->data_is_text = type[0] == 'S';
    record->data_size = found.there ? DYNALOCK_TOO_LONG : 0;
    if (found.text == NULL || found.size > DYNALOCK_DATA_TEXT) return;
    record->data_size = (uint32_t)found.size;
    dl_copy_text(record->data, sizeof record->data, found.text, found.size);
}

DL_ASSERT_STATIC(an_item_kind_is_a_status,
    (int)DL_ITEM_ABSENT == (int)DYNALOCK_ABSENT &&
        (int)DL_ITEM_FREE == (int)DYNALOCK_RELEASED &&
        (int)DL_ITEM_LIVE == (int)DYNALOCK_LOCKED &&
        (int)DL_ITEM_FOREIGN == (int)DYNALOCK_FOREIGN);

static DL_ALONG void dl_record_copy(const dynalock_client *client,
    dynalock_record *record, const dl_item *item)
{
    record->status = (dynalock_status)item->kind;
    record->lease_ms = item->lease_ms;
    record->fence = item->fence != DL_NO_FENCE ? item->fence : 0;
    dl_copy_text(record->owner, sizeof record->owner,
        item->found[DL_FOUND_OWNER].text, item->found[DL_FOUND_OWNER].size);
    dl_copy_text(record->rvn, sizeof record->rvn,
        item->found[DL_FOUND_VERSION].text,
        item->found[DL_FOUND_VERSION].size);
    dl_record_data(client, record);
}

static void dl_record_fill(
    const dynalock_client *client, dynalock_record *record)
{
    dl_item item;

    dl_read_item(client, &item);
    dl_record_copy(client, record, &item);
}

static void dl_record_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    if (outcome == DYNALOCK_OK)
        dl_record_fill(
            operation->client, (dynalock_record *)(void *)operation);
    if (dl_is_worth_trying(operation, outcome, 1))
        dl_back_off(operation, outcome);
    else dl_finish(operation, outcome);
}

static void dl_record_end(dynalock_operation *operation, unsigned why)
{
    (void)dl_exchange_abandon(operation);
    dl_finish(operation,
        why == DL_END_EXPIRED ? DYNALOCK_NO_ANSWER : DYNALOCK_CANCELLED);
}

static uint64_t dl_record_rank(const dynalock_operation *operation)
{
    return ((uint64_t)1 << 63) + operation->due;
}

static uint32_t dl_record_lease(const dynalock_client *client,
    const dynalock_operation *operation, int sending)
{
    (void)client;
    (void)operation;
    (void)sending;
    return 0;
}

DL_STEPS(dl_record_steps, dl_record_prepare, dl_record_answer, dl_record_end,
    dl_record_body, dl_record_rank, dl_record_lease)

/* A record's memory may hold anything before its first use: only the list says
   whether it is in use. */
static dynalock_outcome dl_record_init(const dynalock_client *client,
    const dynalock_name *name, dynalock_record *record)
{
    if (dl_is_listed(client, &record->operation)) return DYNALOCK_IN_USE;
    memset(record, 0, sizeof *record);
    record->operation.name = *name;
    return DYNALOCK_AGAIN;
}

static dynalock_outcome dl_start_read(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_operation *operation = (dynalock_operation *)object;
    dynalock_outcome rc = dl_check_name(client, &operation->name);

    if (rc == DYNALOCK_OK) rc = dl_check_table(dl_table(client, operation));
    if (rc == DYNALOCK_OK) rc = dl_start_operation(client, operation, wait_ms);
    operation->steps = dl_record_steps;
    return rc;
}

/* ===================================================================== */
/* == tidy: delete what was released long ago                             */
/* ===================================================================== */

/* With the item goes the fence. The next one exceeds it all the same if an
   hour lies between: more than clocks may differ and requests may be late. */
#define DL_TIDY_AGE_MS 3600000u

static void dl_tidy_prepare(dynalock_operation *operation)
{
    operation->client->signing.target = "DeleteItem";
}

static const char dl_tidy_condition[] =
    "'ConditionExpression':'" DL_RELEASED "=:y AND " DL_FENCE "<:f',"
    "'ExpressionAttributeValues':{':y':{'S':'1'},':f':{'N':'$F'}}";

static void dl_tidy_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_operation *operation =
        (const dynalock_operation *)fields->context;

    uint64_t unix_ms = operation->client->exchange.unix_ms;

    if (letter == 'X') dl_put_template(sink, dl_tidy_condition, fields);
    else if (letter == 'F')
        dl_put_decimal(
            sink, unix_ms > DL_TIDY_AGE_MS ? unix_ms - DL_TIDY_AGE_MS : 0);
    else dl_read_put(fields, letter, sink);
}

static void dl_tidy_body(const dynalock_operation *operation, dl_sink *sink)
{
    dl_put_request(sink, operation, dl_tidy_put, DL_FLAG('X'));
}

static void dl_tidy_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    if ((int)outcome == DL_CONDITION_FAILED) outcome = DYNALOCK_KEPT;
    if (dl_is_worth_trying(operation, outcome, 1))
        dl_back_off(operation, outcome);
    else dl_finish(operation, outcome);
}

DL_STEPS(dl_tidy_steps, dl_tidy_prepare, dl_tidy_answer, dl_record_end,
    dl_tidy_body, dl_record_rank, dl_record_lease)

static dynalock_outcome dl_start_tidy(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_operation *operation = (dynalock_operation *)object;
    dynalock_outcome rc = dl_start_read(client, object, wait_ms);

    if (rc == DYNALOCK_AGAIN) operation->steps = dl_tidy_steps;
    return rc;
}

/* ===================================================================== */
/* == watch: follow an item                                               */
/* ===================================================================== */

/* What was found goes into the caller's record. */
static void dl_record_show(dynalock_record *record, const dl_item *item)
{
    dl_record_copy(record->operation.client, record, item);
}

static void dl_watch_prepare(dynalock_operation *operation)
{
    dynalock_watch *watch = (dynalock_watch *)(void *)operation;

    watch->asked = operation->client->now;
    dl_record_prepare(operation);
}

/* Does a record's text show what was found, cut to fit as it may be? */
static int dl_shows(const char *copy, size_t capacity, const dl_found *found)
{
    size_t size = found->size < capacity ? found->size : capacity - 1;

    return (size == 0 || memcmp(copy, found->text, size) == 0) &&
           copy[size] == '\0';
}

enum { /* dl_news: what a look has brought */
    DL_NEWS_NONE,
    DL_NEWS_OLDER,   /* a read that was not consistent: no news */
    DL_NEWS_RENEWED, /* the same acquisition, after a heartbeat */
    DL_NEWS_CHANGED
};

/* A fence belongs to one acquisition; where there is none, the version number
   alone tells. */
static int dl_watch_news(const dynalock_record *record, const dl_item *item)
{
    const dl_found *version = &item->found[DL_FOUND_VERSION];
    uint64_t fence = item->fence != DL_NO_FENCE ? item->fence : 0;

    if ((int)record->status != (int)item->kind || record->fence != fence ||
        !dl_shows(
            record->owner, sizeof record->owner, &item->found[DL_FOUND_OWNER]))
        return DL_NEWS_CHANGED;
    if (dl_shows(record->rvn, sizeof record->rvn, version))
        return DL_NEWS_NONE;
    if (item->kind != DL_ITEM_LIVE || fence == 0) return DL_NEWS_CHANGED;
    if (version->size == DL_VERSION_SIZE &&
        strlen(record->rvn) == DL_VERSION_SIZE &&
        memcmp(version->text, record->rvn, DL_VERSION_SIZE - 8) == 0 &&
        memcmp(version->text, record->rvn, DL_VERSION_SIZE) < 0)
        return DL_NEWS_OLDER;
    return DL_NEWS_RENEWED;
}

static void dl_watch_next(dynalock_watch *watch)
{
    dynalock_operation *operation = &watch->record.operation;
    dynalock_client *client = operation->client;
    uint32_t poll_ms = client->config.poll_ms;

    watch->sure = 0;
    operation->attempts = 0;
    operation->due =
        client->now + poll_ms + dl_random(client, poll_ms / 4 + 1);
}

/* The new record counts from when it was received, and the old one up to when
   it was last asked for: what is told is never too long. */
static void dl_watch_turn(
    dynalock_watch *watch, const dl_item *item, int news, uint64_t now)
{
    uint32_t before_ms = watch->unchanged_ms;

    dl_record_show(&watch->record, item);
    watch->since = now;
    watch->unchanged_ms = 0;
    watch->looked = 1;
    if (news == DL_NEWS_CHANGED)
        watch->changed(watch->context, watch, before_ms);
}

/* Looks need not be consistent; but a change that one of them shows could be
   the past: it is told when a consistent one shows it, too. */
static void dl_watch_look(dynalock_watch *watch)
{
    dynalock_operation *operation = &watch->record.operation;
    uint64_t now = operation->client->now;
    int news, sure = watch->sure;
    dl_item item;

    dl_read_item(operation->client, &item);
    news =
        watch->looked ? dl_watch_news(&watch->record, &item) : DL_NEWS_CHANGED;
    dl_watch_next(watch);
    if (news == DL_NEWS_CHANGED && !sure) {
        watch->sure = 1;
        operation->due = now;
    } else if (news >= DL_NEWS_RENEWED) {
        dl_watch_turn(watch, &item, news, now);
    } else if (news == DL_NEWS_NONE) {
        watch->unchanged_ms =
            (uint32_t)dl_least(watch->asked - watch->since, DYNALOCK_FOREVER);
    }
}

static void dl_watch_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    if (outcome == DYNALOCK_OK)
        dl_watch_look((dynalock_watch *)(void *)operation);
    else if (dl_is_worth_trying(operation, outcome, 0))
        dl_back_off(operation, outcome);
    else dl_finish(operation, outcome);
}

static void dl_watch_body(const dynalock_operation *operation, dl_sink *sink)
{
    const dynalock_watch *watch =
        (const dynalock_watch *)(const void *)operation;

    dl_put_request(
        sink, operation, dl_read_put, watch->sure ? DL_FLAG('C') : 0);
}

DL_STEPS(dl_watch_steps, dl_watch_prepare, dl_watch_answer, dl_record_end,
    dl_watch_body, dl_record_rank, dl_record_lease)

static dynalock_outcome dl_start_watch(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_watch *watch = (dynalock_watch *)object;
    dynalock_outcome rc = dl_start_read(client, object, wait_ms);

    watch->looked = 0;
    watch->sure = 1;
    watch->unchanged_ms = 0;
    if (rc == DYNALOCK_AGAIN) watch->record.operation.steps = dl_watch_steps;
    return rc;
}

/* ===================================================================== */
/* == break: mark somebody else's lock released                           */
/* ===================================================================== */

static void dl_break_prepare(dynalock_operation *operation)
{
    dl_record_prepare(operation);
    operation->client->signing.target = "UpdateItem";
}

#define DL_MARK "released:"
#define DL_MARK_SIZE (sizeof DL_MARK + DL_VERSION_SIZE - 9)

/* What stands in the version's place once it is released: for one of ours what
   its holder would write, who then finds its own release done. */
static void dl_break_mark(char mark[DL_MARK_SIZE], const char *rvn)
{
    size_t size = sizeof DL_MARK - 1;

    memcpy(mark, DL_MARK, size);
    if (strlen(rvn) == DL_VERSION_SIZE && rvn[DL_VERSION_SIZE - 9] == ':') {
        memcpy(mark + size, rvn, DL_VERSION_SIZE - 9);
        size += DL_VERSION_SIZE - 9;
    }
    mark[size] = '\0';
}

/* The fence stays: the next grant exceeds it. (A copy of the holder's acquire
   that is still on its way may take the lock again, as after any release; with
   another fence than the holder was granted, so that nobody holds it.) */
static const char dl_break_write[] =
    "'UpdateExpression':'SET " DL_RELEASED "=:y," DL_VERSION "=:m',"
    "'ConditionExpression':'" DL_VERSION "=:r AND NOT " DL_RELEASED "=:y',"
    "'ExpressionAttributeValues':"
    "{':y':{'S':'1'},':m':{'S':'$M'},':r':{'S':'$R'}},"
    "'ReturnValuesOnConditionCheckFailure':'ALL_OLD'";

static void dl_break_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_record *record = (const dynalock_record *)fields->context;
    char mark[DL_MARK_SIZE];

    dl_break_mark(mark, record->rvn);
    if (letter == 'X') dl_put_template(sink, dl_break_write, fields);
    else if (letter == 'M') dl_put_contents(sink, mark);
    else if (letter == 'R') dl_put_contents(sink, record->rvn);
    else dl_read_put(fields, letter, sink);
}

static void dl_break_body(const dynalock_operation *operation, dl_sink *sink)
{
    dl_put_request(sink, operation, dl_break_put, DL_FLAG('X'));
}

/* The item as it stands now. With the mark of the version that was shown, that
   acquisition is over: an earlier copy of this request was carried out, or the
   holder was faster. */
static void dl_break_judge(dynalock_record *record)
{
    dynalock_operation *operation = &record->operation;
    char mark[DL_MARK_SIZE];
    dl_item item;

    dl_read_item(operation->client, &item);
    dl_break_mark(mark, record->rvn);
    dl_record_show(record, &item);
    dl_finish(operation,
        item.kind == DL_ITEM_FREE && dl_equals(mark, strlen(mark), record->rvn)
            ? DYNALOCK_OK
            : DYNALOCK_KEPT);
}

static void dl_kept_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    if (outcome == DYNALOCK_OK)
        dl_break_judge((dynalock_record *)(void *)operation);
    else if (dl_is_worth_trying(operation, outcome, 1))
        dl_back_off(operation, outcome);
    else dl_finish(operation, outcome);
}

DL_STEPS(dl_kept_steps, dl_record_prepare, dl_kept_answer, dl_record_end,
    dl_record_body, dl_record_rank, dl_record_lease)

/* Some servers do not show the item with a refusal: then it is read. */
static void dl_break_refused(dynalock_record *record)
{
    dynalock_operation *operation = &record->operation;

    if (dl_json_member(&operation->client->json, 0, "Item") != 0) {
        dl_break_judge(record);
        return;
    }
    operation->steps = dl_kept_steps;
    operation->due = operation->client->now;
}

static void dl_break_done(dynalock_record *record)
{
    char mark[DL_MARK_SIZE];

    dl_break_mark(mark, record->rvn);
    memcpy(record->rvn, mark, strlen(mark) + 1);
    record->status = DYNALOCK_RELEASED;
    dl_finish(&record->operation, DYNALOCK_OK);
}

static void dl_break_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_record *record = (dynalock_record *)(void *)operation;

    if ((int)outcome == DL_CONDITION_FAILED) dl_break_refused(record);
    else if (outcome == DYNALOCK_OK) dl_break_done(record);
    else if (dl_is_worth_trying(operation, outcome, 1))
        dl_back_off(operation, outcome);
    else dl_finish(operation, outcome);
}

DL_STEPS(dl_break_steps, dl_break_prepare, dl_break_answer, dl_record_end,
    dl_break_body, dl_record_rank, dl_record_lease)

static dynalock_outcome dl_start_break(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_operation *operation = (dynalock_operation *)object;
    dynalock_outcome rc = dl_start_read(client, object, wait_ms);

    if (rc == DYNALOCK_AGAIN) operation->steps = dl_break_steps;
    return rc;
}

/* ===================================================================== */
/* == list: the items of a table, page by page                            */
/* ===================================================================== */

/* ---- the splitter ---- */

/*
All of an answer goes through the client's filter, which checks its syntax, has
no use for "Items" and keeps what an error says. The splitter goes by that
filter's state: each object within "Items" it also hands to a filter of its own,
as the document {"Item":{...}}; and the object at "LastEvaluatedKey" it copies
as it stands. Neither may be of another shape, or come twice.

    part     on                                     goes to
    OTHER    the name LastEvaluatedKey, Items       KEY, ITEMS
    KEY      another name of the root               OTHER, ITEMS
    ITEMS    another name of the root               OTHER, KEY
*/
enum { /* dl_part; the depth at which its objects begin */
    DL_PART_OTHER,
    DL_PART_KEY,
    DL_PART_ITEMS
};

/* What a filter needs to read either name behind others. */
#define DL_SPLIT_ROOM (sizeof ",'LastEvaluatedKey'" + DL_RESERVE)

static const char dl_split_start[] = "{\"Item\":";

/* A name of the root has ended, but for its quote. */
static void dl_split_name(dynalock_splitter *splitter, dynalock_filter *whole)
{
    const char *name = whole->out + whole->start + 1;
    size_t size = (size_t)(whole->used - whole->start) - 1;

    splitter->part = DL_PART_OTHER;
    if (whole->keep != DL_KEEP_NAME) { /* too long for either, or unread */
        if (whole->used + DL_SPLIT_ROOM > whole->size) dl_filter_bad(whole);
        return;
    }
    if (dl_equals(name, size, "Items")) splitter->part = DL_PART_ITEMS;
    if (dl_equals(name, size, "LastEvaluatedKey"))
        splitter->part = DL_PART_KEY;
    if (splitter->part == DL_PART_OTHER) return;
    if ((splitter->seen >> splitter->part & 1) != 0) dl_filter_bad(whole);
    splitter->seen = (uint8_t)(splitter->seen | 1 << splitter->part);
}

static void dl_split_keep(dynalock_splitter *splitter, char c)
{
    if (splitter->part == DL_PART_ITEMS) {
        dl_filter_byte(&splitter->filter, c);
        return;
    }
    if (splitter->key_used < splitter->key_size)
        splitter->key[splitter->key_used] = c;
    if (splitter->key_used <= splitter->key_size) splitter->key_used++;
}

static void dl_split_begin(dynalock_splitter *splitter)
{
    if (splitter->part != DL_PART_ITEMS) return;
    dl_filter_begin(
        &splitter->filter, splitter->wants, splitter->out, splitter->out_size);
    dl_put_text(&splitter->filter.sink, dl_split_start);
}

static void dl_split_end(dynalock_splitter *splitter, dynalock_filter *whole)
{
    if (splitter->part != DL_PART_ITEMS) return;
    dl_filter_byte(&splitter->filter, '}');
    if (splitter->filter.state == DL_JSON_DONE) splitter->each(splitter);
    else dl_filter_bad(whole); /* an attribute twice */
}

/* Did this byte, met in this state and at this depth, begin a value? White
   space changes neither, a bracket that closes comes out. */
static int dl_split_is_value(
    const dynalock_filter *whole, unsigned state, unsigned depth)
{
    if (state != DL_JSON_VALUE && state != DL_JSON_VALUE0) return 0;
    return whole->depth > depth ||
           (whole->depth == depth && whole->state != state);
}

/* A value begins within a part, at the depth of its objects or above. 0: it is
   of another kind than belongs there. */
static int dl_split_value(
    dynalock_splitter *splitter, unsigned depth, char first)
{
    if (depth < splitter->part) return first == '[';
    if (first == '{') dl_split_begin(splitter);
    return first == '{';
}

static void dl_split_byte(
    dynalock_splitter *splitter, dynalock_filter *whole, char c)
{
    unsigned depth = whole->depth, state = whole->state;

    if (c == '"' && depth == 1 && state == DL_JSON_STRING && whole->in_name)
        dl_split_name(splitter, whole);
    dl_filter_byte(whole, c);
    if (depth <= splitter->part && dl_split_is_value(whole, state, depth) &&
        !dl_split_value(splitter, depth, c))
        dl_filter_bad(whole);
    if (whole->state == DL_JSON_BAD || splitter->part == DL_PART_OTHER) return;
    if (depth <= splitter->part && whole->depth <= splitter->part) return;
    dl_split_keep(splitter, c);
    if (whole->depth == splitter->part) dl_split_end(splitter, whole);
}

/* ---- an item ---- */

/* Of the answer's memory, what the client's filter needs for an error. */
#define DL_ENVELOPE                                                           \
    (DL_TYPE_LIMIT + DL_MESSAGE_LIMIT +                                       \
        sizeof "{'__type':,'message':" + DL_SPLIT_ROOM)
#define DL_ITEM_ROOM (DYNALOCK_ANSWER_SIZE - DL_ENVELOPE)

DL_ASSERT_STATIC(an_item_has_tokens_enough,
    DYNALOCK_TOKENS >= 3 +
                           4 * sizeof(((dynalock_listing *)NULL)->wants) /
                               sizeof(dynalock_want) -
                           4);

/* A key's text; 0: there is none, as the config has it. One that was too long
   for the filter has become `true`. */
static int dl_list_key(const dl_json *json, int item, const char *name,
    const char **text, uint32_t *size)
{
    dl_found found;
    int value = dl_json_member(json, item, name);

    *text = NULL;
    *size = DYNALOCK_TOO_LONG;
    if (value == 0) return 0;
    if (dl_json_token(json, value)->type != JSMN_OBJECT) return 1;
    dl_json_text(json, dl_json_member(json, value, "S"), &found);
    *text = found.text;
    *size = (uint32_t)found.size;
    return found.text != NULL;
}

static const char *dl_list_text(const dl_found *found)
{
    return found->text != NULL ? found->text : "";
}

/* 0: the table's keys are not those of the config. */
static int dl_list_fill(const dynalock_client *client, dynalock_listed *listed)
{
    const dynalock_config *config = &client->config;
    const dl_json *json = &client->json;
    int at = dl_json_member(json, 0, "Item");
    dl_item item;

    memset(listed, 0, sizeof *listed);
    dl_read_item(client, &item);
    listed->status = (dynalock_status)item.kind;
    listed->lease_ms = item.lease_ms;
    listed->fence = item.fence != DL_NO_FENCE ? item.fence : 0;
    listed->owner = dl_list_text(&item.found[DL_FOUND_OWNER]);
    listed->rvn = dl_list_text(&item.found[DL_FOUND_VERSION]);
    return dl_list_key(
               json, at, config->key_name, &listed->key, &listed->key_size) &&
           (config->sort_key_name == NULL ||
               dl_list_key(json, at, config->sort_key_name, &listed->sort_key,
                   &listed->sort_key_size));
}

static void dl_list_stop(dynalock_listing *listing, dynalock_outcome outcome)
{
    listing->stopped = 1;
    listing->ending = outcome;
}

static void dl_list_each(dynalock_splitter *splitter)
{
    dynalock_listing *listing =
        (dynalock_listing *)(void *)((char *)splitter -
                                     offsetof(dynalock_listing, splitter));
    dynalock_client *client = listing->operation.client;
    dynalock_listed listed;

    if (listing->stopped) return;
    dl_json_parse(&client->json, &splitter->filter,
        client->memory.answer.tokens, DYNALOCK_TOKENS);
    if (!dl_list_fill(client, &listed)) {
        dl_list_stop(listing, DYNALOCK_TABLE_SHAPE);
        return;
    }
    listed.again = listing->passed < listing->shown;
    listing->passed++;
    listing->count++;
    if (listing->each(listing->context, &listed) != 0)
        dl_list_stop(listing, DYNALOCK_OK);
}

/* Stands before the client's filter while a listing's answer comes in. */
static void dl_list_take(dl_sink *sink, const void *data, size_t size)
{
    dynalock_client *client =
        (dynalock_client *)(void *)((char *)sink -
                                    offsetof(dynalock_client, filter));
    dynalock_listing *listing =
        (dynalock_listing *)(void *)client->exchange.operation;
    const char *from = (const char *)data;

    while (size-- != 0)
        dl_split_byte(&listing->splitter, &client->filter, *from++);
}

/* ---- a page ---- */

static void dl_list_prepare(dynalock_operation *operation)
{
    dynalock_client *client = operation->client;
    dynalock_listing *listing = (dynalock_listing *)(void *)operation;
    dynalock_splitter *splitter = &listing->splitter;

    client->signing.target = "Scan";
    client->filter.sink.take = dl_list_take;
    client->filter.size = DL_ENVELOPE;
    client->filter.limit = DL_ENVELOPE;
    listing->passed = 0;
    splitter->part = DL_PART_OTHER;
    splitter->seen = 0;
    splitter->out = client->memory.answer.text + DL_ENVELOPE;
    splitter->out_size = DL_ITEM_ROOM;
    splitter->key = listing->cursor + listing->cursor_size;
    splitter->key_size =
        (uint16_t)(sizeof listing->cursor - listing->cursor_size);
    splitter->key_used = 0;
    splitter->wants = listing->wants;
    splitter->each = dl_list_each;
}

static void dl_list_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_listing *listing =
        (const dynalock_listing *)fields->context;

    if (letter == 'N') dl_put_decimal(sink, listing->page);
    else if (letter == 'E')
        dl_put(sink, listing->cursor, listing->cursor_size);
    else dl_read_put(fields, letter, sink);
}

static void dl_list_body(const dynalock_operation *operation, dl_sink *sink)
{
    static const char text[] =
        "{'TableName':$T,'Limit':$N,'ProjectionExpression':'#k[Q,#s]," DL_OWNER
        "," DL_VERSION "," DL_RELEASED "," DL_FENCE "," DL_LEASE
        "','ExpressionAttributeNames':{'#k':$P[Q,'#s':$Q]}"
        "[E,'ExclusiveStartKey':$E]}";
    const dynalock_listing *listing =
        (const dynalock_listing *)(const void *)operation;
    dl_fields fields;

    fields.put = dl_list_put;
    fields.context = listing;
    fields.flags = 0;
    if (listing->cursor_size != 0) fields.flags |= DL_FLAG('E');
    if (operation->client->config.sort_key_name != NULL)
        fields.flags |= DL_FLAG('Q');
    dl_put_template(sink, text, &fields);
}

/* The key that the page has ended with is where the next one goes on. One that
   leads nowhere would list for ever. */
static dynalock_outcome dl_list_turn(dynalock_listing *listing)
{
    const dynalock_splitter *splitter = &listing->splitter;
    uint16_t size = splitter->key_used;

    if (listing->stopped) return (dynalock_outcome)listing->ending;
    if ((splitter->seen >> DL_PART_ITEMS & 1) == 0) return DYNALOCK_BAD_ANSWER;
    if (size == 0) return DYNALOCK_OK;
    if (size > splitter->key_size) return DYNALOCK_KEY_TOO_LONG;
    if (size == listing->cursor_size &&
        memcmp(listing->cursor, splitter->key, size) == 0)
        return DYNALOCK_BAD_ANSWER;
    memmove(listing->cursor, splitter->key, size);
    listing->cursor_size = size;
    return DYNALOCK_AGAIN;
}

static void dl_list_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_client *client = operation->client;
    dynalock_listing *listing = (dynalock_listing *)(void *)operation;

    if (outcome == DYNALOCK_OK || listing->stopped)
        outcome = dl_list_turn(listing);
    if (outcome == DYNALOCK_AGAIN) {
        listing->shown = 0;
        operation->attempts = 0;
        operation->due = client->now;
        operation->deadline = dl_deadline(client, 0);
    } else if (dl_is_worth_trying(operation, outcome, 1)) {
        if (listing->shown < listing->passed) listing->shown = listing->passed;
        dl_back_off(operation, outcome);
    } else {
        dl_finish(operation, outcome);
    }
}

DL_STEPS(dl_list_steps, dl_list_prepare, dl_list_answer, dl_record_end,
    dl_list_body, dl_record_rank, dl_record_lease)

/* ---- a listing ---- */

/* What filters find by its text must stand in an answer as in the config. */
static int dl_list_is_plain(const char *name)
{
    for (; *name != '\0'; name++)
        if ((uint8_t)*name < 0x20 || dl_is_in(*name, "\"\\")) return 0;
    return 1;
}

/* Memory of an item that a name takes, with ,"": around it. */
static uint32_t dl_list_name(const char *name)
{
    return (uint32_t)strlen(name) + 4;
}

static void dl_list_want(
    dynalock_want **want, const char *name, uint32_t limit)
{
    (*want)->name = name;
    (*want)->limit = (uint16_t)limit;
    (*want)->expect = DL_EXPECT_ATTRIBUTE;
    ++*want;
}

/* What a lock's attributes leave of the memory is for the keys, shared as their
   greatest sizes are. */
static dynalock_outcome dl_list_wants(
    const dynalock_client *client, dynalock_listing *listing)
{
    const dynalock_config *config = &client->config;
    const dl_want *from = client->wants + 1; /* there is no data in it */
    dynalock_want *want = listing->wants;
    const char *sort = config->sort_key_name;
    uint32_t taken = sizeof dl_split_start + 4 + DL_RESERVE, room;

    taken += dl_list_name(config->key_name);
    if (sort != NULL) taken += dl_list_name(sort);
    for (; from->name != NULL; from++) {
        taken += dl_list_name(from->name) + from->limit;
        dl_list_want(&want, from->name, from->limit);
    }
    if (!dl_list_is_plain(config->key_name) ||
        (sort != NULL && !dl_list_is_plain(sort)))
        return DYNALOCK_BAD_KEY;
    if (taken + 64 > DL_ITEM_ROOM) return DYNALOCK_BAD_BUFFER;
    room = ((uint32_t)DL_ITEM_ROOM - taken) / 3;
    dl_list_want(&want, config->key_name, sort != NULL ? 2 * room : 3 * room);
    if (sort != NULL) dl_list_want(&want, sort, room);
    want->name = NULL;
    return DYNALOCK_OK;
}

/* A listing's memory may hold anything before its first use, but for what the
   caller sets. */
static dynalock_outcome dl_list_init(const dynalock_client *client,
    const char *table, dynalock_listing *listing)
{
    if (dl_is_listed(client, &listing->operation)) return DYNALOCK_IN_USE;
    memset(&listing->operation, 0, sizeof listing->operation);
    listing->operation.name.table = table;
    if (listing->page == 0) listing->page = 50;
    listing->count = 0;
    listing->stopped = 0;
    listing->shown = 0;
    listing->passed = 0;
    listing->cursor_size = 0;
    return DYNALOCK_AGAIN;
}

static dynalock_outcome dl_start_list(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_operation *operation = (dynalock_operation *)object;
    dynalock_outcome rc = dl_check_table(dl_table(client, operation));

    if (client->config.layout != dynalock_standard())
        rc = DYNALOCK_BAD_ARGUMENT;
    if (rc == DYNALOCK_OK)
        rc = dl_list_wants(client, (dynalock_listing *)object);
    if (rc == DYNALOCK_OK) rc = dl_start_operation(client, operation, wait_ms);
    operation->steps = dl_list_steps;
    return rc;
}

/* ===================================================================== */
/* == seal: data for those who have the key (RFC 8439)                    */
/* ===================================================================== */

#ifndef DYNALOCK_NO_TLS

#define DL_NONCE_SIZE 12u
#define DL_TAG_SIZE 16u

/* The item's place, so that data of one lock cannot pass for another's. */
static int dl_seal_place(const dynalock_client *client,
    const dynalock_name *name, uint8_t place[DL_SHA256_SIZE])
{
    const char *table =
        name->table != NULL ? name->table : client->config.table;
    dl_sha256 sha;

    if (name->key == NULL) return 0;
    dl_sha256_init(&sha);
    dl_sha256_text(&sha, table);
    dl_sha256_text(&sha, name->key);
    if (name->sort_key != NULL) dl_sha256_text(&sha, name->sort_key);
    dl_sha256_final(&sha, place);
    return 1;
}

static void dl_seal_run(const uint8_t *key, uint8_t *nonce, uint32_t size,
    const uint8_t *place, uint8_t tag[DL_TAG_SIZE], int encrypt)
{
    br_poly1305_ctmul_run(key, nonce, nonce + DL_NONCE_SIZE, size, place,
        DL_SHA256_SIZE, tag, br_chacha20_ct_run, encrypt);
}

/* In a time that does not tell where they differ. */
static int dl_same_secret(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint8_t differences = 0;

    while (size-- != 0) differences |= (uint8_t)(*a++ ^ *b++);
    return differences == 0;
}

DYNALOCK_API dynalock_outcome dynalock_seal(dynalock_client *client,
    const dynalock_name *name, const uint8_t key[32], void *data,
    uint32_t *size, uint32_t capacity)
{
    const dynalock_platform *platform;
    uint8_t place[DL_SHA256_SIZE], nonce[DL_NONCE_SIZE];
    uint8_t *at = (uint8_t *)data;
    int32_t drawn;

    if (!dl_is_ready(client) || name == NULL || key == NULL || data == NULL ||
        size == NULL || !dl_seal_place(client, name, place))
        return DYNALOCK_BAD_ARGUMENT;
    if (capacity < DYNALOCK_SEAL_SIZE || *size > capacity - DYNALOCK_SEAL_SIZE)
        return DYNALOCK_BAD_BUFFER;
    platform = client->config.platform;
    (void)dl_enter_const(client);
    drawn = platform->entropy(platform->context, nonce, sizeof nonce);
    dl_leave(client);
    if (drawn < 0) return DYNALOCK_NO_ENTROPY;
    memmove(at + DL_NONCE_SIZE, at, *size);
    memcpy(at, nonce, DL_NONCE_SIZE);
    dl_seal_run(key, at, *size, place, at + DL_NONCE_SIZE + *size, 1);
    *size += DYNALOCK_SEAL_SIZE;
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_outcome dynalock_unseal(dynalock_client *client,
    const dynalock_name *name, const uint8_t key[32], void *data,
    uint32_t *size)
{
    uint8_t place[DL_SHA256_SIZE], tag[DL_TAG_SIZE];
    uint8_t *at = (uint8_t *)data;
    uint32_t sealed;

    if (!dl_is_ready(client) || name == NULL || key == NULL || data == NULL ||
        size == NULL || !dl_seal_place(client, name, place))
        return DYNALOCK_BAD_ARGUMENT;
    sealed = *size;
    *size = 0;
    if (sealed < DYNALOCK_SEAL_SIZE || sealed == DYNALOCK_TOO_LONG)
        return DYNALOCK_BAD_SEAL;
    sealed -= DYNALOCK_SEAL_SIZE;
    dl_seal_run(key, at, sealed, place, tag, 0);
    if (!dl_same_secret(tag, at + DL_NONCE_SIZE + sealed, DL_TAG_SIZE)) {
        dl_wipe(at, sealed + DYNALOCK_SEAL_SIZE);
        return DYNALOCK_BAD_SEAL;
    }
    memmove(at, at + DL_NONCE_SIZE, sealed);
    *size = sealed;
    return DYNALOCK_OK;
}

#endif /* DYNALOCK_NO_TLS */

/* ===================================================================== */
/* == group: several locks, all or none                                   */
/* ===================================================================== */

/*
    state      on                                          goes to
    IDLE       acquire                                     ASK
    IDLE       renew, release                              MEMBERS
    ASK        granted, ended                              IDLE
    ASK        refused                                     LOOK
    ASK        the server knows no transactions            LINE
    LOOK       free, watched through, or mine              ASK
    LOOK       ended                                       IDLE
    LINE       all are held, one has failed, ended         IDLE
    LINE       the same, with some held                    MEMBERS
    MEMBERS    none has a call under way                   IDLE

While it asks and looks its locks are in the list, in state ACQUIRE, and never
due. In LINE and MEMBERS they act on their own, and the group glances at them.
*/
enum {
    DL_GROUP_IDLE,
    DL_GROUP_ASK,
    DL_GROUP_LOOK,
    DL_GROUP_LINE,
    DL_GROUP_MEMBERS
};

#define DL_GLANCE_MS 10u

static dynalock_group *dl_group_of(dynalock_operation *operation)
{
    return (dynalock_group *)(void *)operation; /* its first member */
}

/* A pause until the deadline that serves as a timer: see dl_group_end. */
static void dl_glance_later(dynalock_operation *operation, uint64_t until)
{
    operation->due = DL_NEVER;
    operation->deadline =
        dl_least(operation->client->now + DL_GLANCE_MS, until);
}

/* Ends in this poll; an answer that comes just now is not taken any more. */
static void dl_end_member(dynalock_lock *lock, dynalock_outcome outcome)
{
    if (dl_exchange_abandon(&lock->operation)) lock->memory |= DL_UNANSWERED;
    lock->failure = outcome;
    lock->operation.due = DL_NEVER;
    lock->operation.deadline = lock->operation.client->now;
}

/* Not one that was cancelled meanwhile, even if it asks again on its own. */
static int dl_group_has(const dynalock_group *group, const dynalock_lock *lock)
{
    return lock->operation.client == group->operation.client &&
           (lock->memory & DL_GROUPED) != 0;
}

static int dl_group_asks_for(
    const dynalock_group *group, const dynalock_lock *lock)
{
    return dl_group_has(group, lock) &&
           lock->operation.state == DL_LOCK_ACQUIRE;
}

/* ---- its request ---- */

/* Each lock of the transaction as if it asked alone, but for the item that its
   refusal would show: answers stay small, and one look follows. */
static void dl_group_body(const dynalock_operation *operation, dl_sink *sink)
{
    const dynalock_group *group =
        (const dynalock_group *)(const void *)operation;
    const char *before = "";
    uint32_t i;

    if (operation->state == DL_GROUP_LOOK) {
        dl_put_request(sink, operation, dl_read_put, DL_FLAG('C'));
        return;
    }
    dl_put_text(sink, "{\"TransactItems\":[");
    for (i = 0; i < group->count; i++) {
        const dynalock_lock *lock = group->locks[i];

        if (!dl_group_asks_for(group, lock)) continue;
        dl_put_text(sink, before);
        dl_put_text(sink, "{\"Update\":");
        dl_put_request(sink, &lock->operation,
            operation->client->config.layout(DL_LAYOUT_PUT).put,
            dl_lock_flags(lock) & ~DL_FLAG('O'));
        dl_put_text(sink, "}");
        before = ",";
    }
    dl_put_text(sink, "]}");
}

/* Every lock has a new number, and there is no token: each send is a request
   of its own, and the locks' own-copy clauses make repetition safe. What is
   about to leave counts as unanswered until it is. */
static void dl_group_prepare(dynalock_operation *operation)
{
    dynalock_group *group = dl_group_of(operation);
    uint32_t i;

    operation->client->signing.target = "GetItem";
    operation->name = group->locks[group->at]->operation.name;
    if (operation->state == DL_GROUP_LOOK) return;
    operation->client->signing.target = "TransactWriteItems";
    for (i = 0; i < group->count; i++) {
        dynalock_lock *lock = group->locks[i];

        if (!dl_group_asks_for(group, lock)) continue;
        dl_number_request(lock);
        dl_prepare_acquire(lock);
        lock->memory |= DL_UNANSWERED;
    }
}

/* ---- ending ---- */

/* Waits for the calls of its locks: at has a bit for each. */
static void dl_group_join(dynalock_group *group, dynalock_outcome outcome)
{
    group->failure = outcome;
    group->operation.state = DL_GROUP_MEMBERS;
    dl_glance_later(&group->operation, DL_NEVER);
}

/* The locks that it has not got end in this poll, and take back what they may
   have written; those that are held already are given back before the call
   ends. */
static void dl_group_give_up(dynalock_group *group, dynalock_outcome outcome)
{
    dynalock_outcome result = outcome;
    uint32_t i;

    group->at = 0;
    for (i = 0; i < group->count; i++) {
        dynalock_lock *lock = group->locks[i];

        if (!dl_group_has(group, lock)) continue;
        if (lock->until != 0) {
            dl_give_back(lock);
            group->at |= (uint32_t)1 << i;
        }
        if (lock->operation.state >= DL_LOCK_HOLD) continue;
        dl_end_member(lock, outcome);
        if ((lock->memory & DL_UNANSWERED) != 0) result = DYNALOCK_UNKNOWN;
    }
    if (group->at == 0) dl_finish(&group->operation, result);
    else dl_group_join(group, result);
}

/* One that was cancelled meanwhile gives back what it has got. */
static void dl_group_grant(dynalock_group *group)
{
    uint32_t i, granted = 0;

    for (i = 0; i < group->count; i++) {
        dynalock_operation *operation = &group->locks[i]->operation;

        if (!dl_group_asks_for(group, group->locks[i])) continue;
        operation->steps(DL_STEP_ANSWER).answer(operation, DYNALOCK_OK);
        granted++;
    }
    if (granted == group->count) dl_finish(&group->operation, DYNALOCK_OK);
    else dl_group_give_up(group, DYNALOCK_CANCELLED);
}

/* ---- waiting ---- */

static void dl_group_turn_to(dynalock_group *group, uint8_t state)
{
    group->operation.state = state;
    group->operation.due = group->operation.client->now;
}

/* As dl_watch_on, for the lock that is in the way. */
static void dl_group_wait(dynalock_group *group)
{
    const dynalock_lock *lock = group->locks[group->at];
    dynalock_client *client = group->operation.client;
    uint32_t poll_ms = client->config.poll_ms, left = dl_watch_left(lock);
    uint64_t wait = (uint64_t)poll_ms + dl_random(client, poll_ms / 4 + 1);

    if (left == 0 || lock->claim == NULL) left = dl_lease(client, lock);
    group->operation.due = client->now + dl_least(wait, left);
    group->operation.attempts = 0;
    group->memory &= ~(uint32_t)DL_HURRIED;
    group->failure = DYNALOCK_TIMEOUT;
}

/* What was looked at could be had. Then it is free now, or another one was in
   the way that the refusal did not name. */
static void dl_group_go_on(dynalock_group *group)
{
    if ((group->memory & DL_BLIND) != 0 && group->at + 1 < group->count) {
        group->at++;
        dl_group_turn_to(group, DL_GROUP_LOOK);
    } else if ((group->memory & DL_HURRIED) == 0) {
        group->memory |= DL_HURRIED;
        dl_group_turn_to(group, DL_GROUP_ASK);
    } else {
        dl_group_wait(group);
    }
}

static void dl_group_seen(dynalock_group *group)
{
    dynalock_lock *lock = group->locks[group->at];
    dl_item item;
    int whose;

    if (!dl_group_asks_for(group, lock)) {
        dl_group_give_up(group, DYNALOCK_CANCELLED);
        return;
    }
    dl_read_item(group->operation.client, &item);
    whose = dl_whose(lock, &item);
    if (item.kind != DL_ITEM_FOREIGN) dl_observe(lock, &item);
    if (item.kind == DL_ITEM_FOREIGN)
        dl_group_give_up(group, DYNALOCK_NOT_A_LOCK);
    else if (item.kind != DL_ITEM_LIVE || whose != DL_WHOSE_OTHER ||
             dl_watch_left(lock) == 0)
        dl_group_go_on(group);
    else if ((group->memory & DL_COUNTED) != 0)
        dl_group_give_up(group, DYNALOCK_BUSY);
    else dl_group_wait(group);
}

/* ---- refusals ---- */

/* "... specific reasons [None, ConditionalCheckFailed, ...]": which lock is
   refused, and the first letter of why. The message may be cut. */
static char dl_group_reason(dynalock_group *group)
{
    const char *at = group->operation.client->detail.message;

    group->at = 0;
    group->memory |= DL_BLIND;
    while (*at != '\0' && *at != '[') at++;
    while (*at != '\0') {
        at++;
        while (*at == ' ') at++;
        if (*at == '\0' || group->at + 1 == group->count) break;
        if (*at != 'N') {
            group->memory &= ~(uint32_t)DL_BLIND;
            return *at;
        }
        while (*at != '\0' && *at != ',') at++;
        if (*at != '\0') group->at++;
    }
    return 'C';
}

/* What was sent is answered: unanswered is what was so before. */
static void dl_group_answered(dynalock_group *group)
{
    uint32_t i;

    if ((group->memory & DL_UNANSWERED) != 0) return;
    for (i = 0; i < group->count; i++)
        if (dl_group_has(group, group->locks[i]))
            group->locks[i]->memory &= ~(uint32_t)DL_UNANSWERED;
}

static void dl_group_failed(dynalock_group *group, dynalock_outcome outcome)
{
    dynalock_operation *operation = &group->operation;
    int again = dl_is_worth_trying(
        operation, outcome, (group->memory & DL_COUNTED) != 0);

    if (operation->client->exchange.fate == DL_FATE_SENT)
        group->memory |= DL_UNANSWERED;
    else if (operation->state == DL_GROUP_ASK) dl_group_answered(group);
    group->failure = outcome;
    if (again) dl_back_off(operation, outcome);
    else dl_group_give_up(group, outcome);
}

/* ---- one after another ---- */

static int dl_text_order(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b);
    int order = memcmp(a, b, m < n ? m : n);

    return order != 0 ? order : m < n ? -1 : m > n;
}

static int dl_is_before(const dynalock_lock *a, const dynalock_lock *b)
{
    const dynalock_client *client = a->operation.client;
    int order = dl_text_order(
        dl_table(client, &a->operation), dl_table(client, &b->operation));

    if (order == 0)
        order = dl_text_order(a->operation.name.key, b->operation.name.key);
    if (order == 0 && a->operation.name.sort_key != NULL)
        order = dl_text_order(
            a->operation.name.sort_key, b->operation.name.sort_key);
    return order < 0;
}

/* The next one asks on its own. All devices use one order, so that no two ever
   wait for each other. */
static void dl_group_next(dynalock_group *group)
{
    dynalock_lock *first = NULL;
    uint32_t i;

    for (i = 0; i < group->count; i++) {
        dynalock_lock *lock = group->locks[i];
        int asks = dl_group_asks_for(group, lock);

        if (!asks && lock->until == 0) { /* cancelled */
            dl_group_give_up(group, DYNALOCK_CANCELLED);
            return;
        }
        if (asks && (first == NULL || dl_is_before(lock, first))) {
            first = lock;
            group->at = i;
        }
    }
    if (first == NULL) {
        dl_finish(&group->operation, DYNALOCK_OK);
        return;
    }
    if (group->operation.client->now >= group->until) {
        dl_group_give_up(group, (group->memory & DL_COUNTED) != 0
                                    ? DYNALOCK_BUSY
                                    : DYNALOCK_TIMEOUT);
        return;
    }
    first->operation.due = group->operation.client->now;
    first->operation.deadline = group->until;
    first->memory |= group->memory & DL_COUNTED;
    group->operation.state = DL_GROUP_LINE;
    dl_glance_later(&group->operation, group->until);
}

/* A part of the line that was held and is lost, or that was cancelled. */
static const dynalock_lock *dl_group_missing(const dynalock_group *group)
{
    uint32_t i;

    for (i = 0; i < group->count; i++) {
        const dynalock_lock *lock = group->locks[i];

        if (i != group->at && lock->until <= group->operation.client->now &&
            !dl_group_asks_for(group, lock))
            return lock;
    }
    return NULL;
}

/* All or none: a line with a part missing ends. */
static void dl_group_glance_in_line(dynalock_group *group)
{
    const dynalock_lock *lock = group->locks[group->at];
    const dynalock_lock *missing = dl_group_missing(group);
    dynalock_outcome outcome;

    if (missing != NULL) {
        outcome = (dynalock_outcome)missing->operation.outcome;
        dl_group_give_up(group, outcome < 0 ? outcome : DYNALOCK_CANCELLED);
    } else if (lock->until != 0) {
        dl_group_next(group);
    } else if (lock->operation.client != group->operation.client ||
               lock->operation.state >= DL_LOCK_HOLD) {
        dl_group_give_up(group, (dynalock_outcome)lock->operation.outcome);
    } else if (group->operation.client->now >= group->until) {
        dl_group_give_up(group, (dynalock_outcome)lock->failure);
    } else {
        dl_glance_later(&group->operation, group->until);
    }
}

static void dl_group_glance_at_members(dynalock_group *group)
{
    dynalock_outcome worst = (dynalock_outcome)group->failure;
    uint32_t i;

    for (i = 0; i < group->count; i++) {
        const dynalock_operation *operation = &group->locks[i]->operation;

        if ((group->at >> i & 1) == 0) continue;
        if (operation->outcome == DYNALOCK_AGAIN) {
            dl_glance_later(&group->operation, DL_NEVER);
            return;
        }
        if (operation->outcome != DYNALOCK_OK)
            worst = (dynalock_outcome)operation->outcome;
    }
    dl_finish(&group->operation, worst);
}

/* ---- the group's steps ---- */

static void dl_group_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_group *group = dl_group_of(operation);
    const char *type = operation->client->detail.type;
    char reason = 'C';

    if (outcome == DYNALOCK_OK) {
        if (operation->state == DL_GROUP_ASK) dl_group_grant(group);
        else dl_group_seen(group);
        return;
    }
    if (outcome == DYNALOCK_SERVICE_REFUSED &&
        dl_begins(type, "transactionca")) {
        reason = dl_group_reason(group);
        if (reason == 'C') {
            dl_group_answered(group);
            dl_group_turn_to(group, DL_GROUP_LOOK);
            return;
        }
        if (reason == 'T' || reason == 'P') outcome = DYNALOCK_THROTTLED;
    }
    if (outcome == DYNALOCK_SERVICE_REFUSED && dl_begins(type, "unknownop")) {
        dl_group_answered(group);
        dl_group_next(group);
    } else {
        dl_group_failed(group, outcome);
    }
}

static void dl_group_end(dynalock_operation *operation, unsigned why)
{
    dynalock_group *group = dl_group_of(operation);
    int expired = why == DL_END_EXPIRED;

    if (expired && operation->state == DL_GROUP_LINE) {
        dl_group_glance_in_line(group);
    } else if (expired && operation->state == DL_GROUP_MEMBERS) {
        dl_group_glance_at_members(group);
    } else if (operation->state == DL_GROUP_MEMBERS ||
               why == DL_END_CLOSED) { /* each lock ends on its own */
        (void)dl_exchange_abandon(operation);
        dl_finish(operation, DYNALOCK_CANCELLED);
    } else {
        (void)dl_exchange_abandon(operation);
        dl_group_give_up(group,
            expired ? (dynalock_outcome)group->failure : DYNALOCK_CANCELLED);
        /* who cancels does not wait for what is given back */
        if (!expired && operation->client != NULL)
            dl_finish(operation, DYNALOCK_CANCELLED);
    }
}

static uint32_t dl_group_lease(const dynalock_client *client,
    const dynalock_operation *operation, int sending)
{
    const dynalock_group *group =
        (const dynalock_group *)(const void *)operation;
    uint64_t least = DL_LEASE_MOST;
    uint32_t i;

    if (!sending || client->exchange.operation != operation) return 0;
    for (i = 0; i < group->count; i++)
        least = dl_least(least, dl_lease(client, group->locks[i]));
    return (uint32_t)least;
}

DL_STEPS(dl_group_steps, dl_group_prepare, dl_group_answer, dl_group_end,
    dl_group_body, dl_record_rank, dl_group_lease)

/* ---- starting ---- */

static dynalock_outcome dl_check_group(const dynalock_group *group)
{
    uint32_t i;

    if (group->operation.client != NULL) return DYNALOCK_IN_USE;
    if (group->locks == NULL || group->count == 0 ||
        group->count > DYNALOCK_GROUP_MOST)
        return DYNALOCK_BAD_ARGUMENT;
    for (i = 0; i < group->count; i++)
        if (group->locks[i] == NULL) return DYNALOCK_BAD_ARGUMENT;
    return DYNALOCK_OK;
}

/* Puts its locks into the list, never due: one that cannot begin takes the
   others out again. */
static dynalock_outcome dl_group_gather(
    dynalock_client *client, dynalock_group *group)
{
    dynalock_outcome rc;
    uint32_t i, back;

    for (i = 0; i < group->count; i++) {
        dynalock_operation *operation = &group->locks[i]->operation;

        rc = dl_start_acquire(client, group->locks[i], DYNALOCK_FOREVER);
        if (rc != DYNALOCK_AGAIN) {
            for (back = 0; back < i; back++)
                dl_finish(&group->locks[back]->operation, DYNALOCK_NOT_HELD);
            return rc;
        }
        operation->due = DL_NEVER;
        group->locks[i]->memory |= DL_GROUPED;
    }
    return DYNALOCK_AGAIN;
}

static dynalock_outcome dl_start_group_acquire(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_group *group = (dynalock_group *)object;
    dynalock_outcome rc = dl_check_group(group);
    uint32_t i;

    if (rc == DYNALOCK_OK) rc = dl_group_gather(client, group);
    if (rc != DYNALOCK_AGAIN) return rc;
    group->operation.steps = dl_group_steps;
    group->at = 0;
    group->memory = wait_ms == 0 ? DL_COUNTED : 0;
    group->failure = DYNALOCK_NO_ANSWER;
    rc = dl_start_operation(client, &group->operation, wait_ms);
    if (rc != DYNALOCK_AGAIN) {
        for (i = 0; i < group->count; i++)
            dl_finish(&group->locks[i]->operation, DYNALOCK_NOT_HELD);
        return rc;
    }
    group->until = group->operation.deadline;
    /* other layouts have more to do after each write */
    if (client->config.layout(DL_LAYOUT_GRANTED).granted != dl_hold)
        dl_group_next(group);
    return rc;
}

/* Starts a call of each lock that can; one that cannot counts as asked for. */
static dynalock_outcome dl_group_start_members(
    dynalock_client *client, dynalock_group *group, int releasing)
{
    dynalock_outcome rc = dl_check_group(group), worst = DYNALOCK_OK, member;
    uint32_t i;

    if (rc != DYNALOCK_OK) return rc;
    group->at = 0;
    for (i = 0; i < group->count; i++) {
        dynalock_lock *lock = group->locks[i];
        int asked = releasing || lock->until != 0;

        member = releasing ? dl_start_release(client, lock, 0)
                           : dl_start_renew(client, lock, 0);
        if (member == DYNALOCK_AGAIN || (member == DYNALOCK_IN_USE && asked))
            group->at |= (uint32_t)1 << i;
        else if (!releasing) worst = member;
    }
    if (group->at == 0) return worst;
    group->operation.steps = dl_group_steps;
    rc = dl_start_operation(client, &group->operation, DYNALOCK_FOREVER);
    if (rc == DYNALOCK_AGAIN) dl_group_join(group, worst);
    return rc;
}

static dynalock_outcome dl_start_group_renew(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    (void)wait_ms;
    return dl_group_start_members(client, (dynalock_group *)object, 0);
}

static dynalock_outcome dl_start_group_release(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    (void)wait_ms;
    return dl_group_start_members(client, (dynalock_group *)object, 1);
}

/* ===================================================================== */
/* == semaphore: one of several permits                                   */
/* ===================================================================== */

/*
It sends nothing itself: one permit's lock at a time asks, and the semaphore
glances at it. The first permit of all is tried at once; every other is looked
at first, which costs less than a write that fails. What a permit's lock has
watched counts for the next round, so that dead holders are outlived.
*/

enum {
    DL_SEMAPHORE_IDLE,
    DL_SEMAPHORE_PERMIT, /* one asks */
    DL_SEMAPHORE_PAUSE   /* between two rounds */
};

static dynalock_semaphore *dl_semaphore_of(dynalock_operation *operation)
{
    return (dynalock_semaphore *)(void *)operation; /* its first member */
}

static dynalock_lock *dl_permit(const dynalock_semaphore *semaphore)
{
    return &semaphore->permits[semaphore->at].lock;
}

/* After a round: when somebody may have released, or a watch is over. */
static void dl_semaphore_pause(dynalock_semaphore *semaphore)
{
    dynalock_client *client = semaphore->operation.client;
    uint32_t poll_ms = client->config.poll_ms, i;
    uint64_t again =
        client->now + poll_ms + dl_random(client, poll_ms / 4 + 1);

    if (poll_ms == DYNALOCK_FOREVER)
        again = client->now + client->config.lease_ms;
    for (i = 0; i < semaphore->count; i++) {
        const dynalock_lock *lock = &semaphore->permits[i].lock;
        uint64_t end =
            lock->watch_since + dl_watch_ms(client, lock->watch_lease_ms);

        if (lock->claim != NULL && end > client->now)
            again = dl_least(again, end);
    }
    semaphore->left = semaphore->count;
    semaphore->operation.state = DL_SEMAPHORE_PAUSE;
    semaphore->operation.due = DL_NEVER;
    semaphore->operation.deadline = dl_least(again, semaphore->until);
}

/* Starts the call of the permit that is next. Returns its outcome, AGAIN if it
   is under way. */
static dynalock_outcome dl_semaphore_try(
    dynalock_semaphore *semaphore, int looking)
{
    dynalock_lock *lock = dl_permit(semaphore);
    dynalock_outcome rc =
        dl_start_acquire(semaphore->operation.client, lock, 0);

    if (rc == DYNALOCK_AGAIN && looking) lock->operation.state = DL_LOCK_WATCH;
    return rc;
}

/* Does it say anything of the other permits? */
static int dl_is_of_one_permit(dynalock_outcome outcome)
{
    return (outcome <= DYNALOCK_IN_USE && outcome >= DYNALOCK_HELD) ||
           (outcome <= DYNALOCK_BUSY && outcome >= DYNALOCK_NOT_A_LOCK);
}

/* As long as a write for any permit is unanswered, so is the call. */
static void dl_semaphore_finish(
    dynalock_semaphore *semaphore, dynalock_outcome outcome)
{
    const dynalock_client *client = semaphore->operation.client;
    uint32_t i;

    for (i = 0; i < semaphore->count && outcome != DYNALOCK_OK; i++) {
        const dynalock_lock *lock = &semaphore->permits[i].lock;

        if (lock->operation.client == client &&
            lock->operation.state == DL_LOCK_RELEASE &&
            (lock->memory & DL_UNANSWERED) != 0)
            outcome = DYNALOCK_UNKNOWN;
    }
    dl_finish(&semaphore->operation, outcome);
}

/* A permit's call has ended so: on to the next one, or to the end. */
static void dl_semaphore_go_on(
    dynalock_semaphore *semaphore, dynalock_outcome outcome)
{
    dynalock_operation *operation = &semaphore->operation;

    while (outcome != DYNALOCK_AGAIN) {
        int waiting = semaphore->wait_ms != 0;

        if (outcome == DYNALOCK_OK ||
            (!dl_is_of_one_permit(outcome) &&
                !(waiting && dl_is_weather(outcome)))) {
            dl_semaphore_finish(semaphore, outcome);
            return;
        }
        semaphore->failure = dl_is_of_one_permit(outcome)
                                 ? waiting ? DYNALOCK_TIMEOUT : DYNALOCK_BUSY
                                 : outcome;
        semaphore->at = (semaphore->at + 1) % semaphore->count;
        if (--semaphore->left == 0) {
            if (waiting) dl_semaphore_pause(semaphore);
            else
                dl_semaphore_finish(
                    semaphore, (dynalock_outcome)semaphore->failure);
            return;
        }
        outcome = dl_semaphore_try(semaphore, 1);
    }
    dl_glance_later(operation, semaphore->until);
}

static int dl_semaphore_asks(const dynalock_semaphore *semaphore)
{
    const dynalock_operation *permit = &dl_permit(semaphore)->operation;

    return permit->client == semaphore->operation.client &&
           permit->state < DL_LOCK_HOLD;
}

static void dl_semaphore_end(dynalock_operation *operation, unsigned why)
{
    dynalock_semaphore *semaphore = dl_semaphore_of(operation);
    dynalock_client *client = operation->client;
    dynalock_lock *lock = dl_permit(semaphore);
    dynalock_outcome outcome;
    int asks = dl_semaphore_asks(semaphore);
    int granted = operation->state == DL_SEMAPHORE_PERMIT && !asks &&
                  lock->operation.client == client && lock->until != 0;

    if (granted && why == DL_END_EXPIRED) { /* at the last moment, too */
        dl_semaphore_go_on(semaphore, DYNALOCK_OK);
    } else if (why != DL_END_EXPIRED || client->now >= semaphore->until) {
        outcome = why == DL_END_EXPIRED ? (dynalock_outcome)semaphore->failure
                                        : DYNALOCK_CANCELLED;
        if (asks) {
            dl_end_member(lock, outcome);
            lock->operation.steps(DL_STEP_END)
                .end(&lock->operation, DL_END_EXPIRED);
        }
        if (granted) dl_give_back(lock);
        dl_semaphore_finish(semaphore, outcome);
    } else if (asks) {
        dl_glance_later(operation, semaphore->until);
    } else if (operation->state == DL_SEMAPHORE_PAUSE) {
        operation->state = DL_SEMAPHORE_PERMIT;
        dl_semaphore_go_on(semaphore, dl_semaphore_try(semaphore, 1));
    } else {
        outcome = (dynalock_outcome)lock->operation.outcome;
        /* granted, and given back before we looked */
        if (outcome == DYNALOCK_OK) outcome = DYNALOCK_CANCELLED;
        dl_semaphore_go_on(semaphore, outcome);
    }
}

/* It is never due, and asks nothing itself. */
DL_STEPS(dl_semaphore_steps, NULL, NULL, dl_semaphore_end, NULL,
    dl_record_rank, dl_record_lease)

static dynalock_outcome dl_start_semaphore_acquire(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_semaphore *semaphore = (dynalock_semaphore *)object;
    dynalock_outcome rc;

    if (semaphore->permits == NULL) return DYNALOCK_BAD_ARGUMENT;
    if (semaphore->operation.client != NULL) return DYNALOCK_IN_USE;
    semaphore->operation.steps = dl_semaphore_steps;
    semaphore->wait_ms = wait_ms;
    semaphore->failure = DYNALOCK_NO_ANSWER;
    semaphore->left = semaphore->count;
    semaphore->at = dl_random(client, semaphore->count);
    rc = dl_start_operation(client, &semaphore->operation, wait_ms);
    if (rc != DYNALOCK_AGAIN) return rc;
    semaphore->until = semaphore->operation.deadline;
    dl_semaphore_go_on(semaphore, dl_semaphore_try(semaphore, 0));
    return semaphore->operation.client != NULL
               ? DYNALOCK_AGAIN
               : (dynalock_outcome)semaphore->operation.outcome;
}

/* ===================================================================== */
/* == reader: what stands deeper in an answer than the filter keeps       */
/* ===================================================================== */

/*
A reader takes an answer byte by byte, hands it on to the filter and watches
what that makes of it. So it knows nothing of JSON's grammar, needs no memory,
and sees texts of well-formed answers only, at any depth and of any number.

It tells `found` of every text (with the escapes that the filter leaves) and of
every object or array that has ended (text NULL), with its path: a digit 1, then
a hexadecimal digit for each level, which is the number of the name there (1:
the first of `names`; 0: any other, or an element of an array). What lies deeper
than seven levels is not told.
*/
typedef dynalock_reader dl_reader;

#define DL_READER_DEPTH 7

static int dl_reader_is_in_text(const dynalock_filter *filter)
{
    return filter->state >= DL_JSON_STRING && filter->state <= DL_JSON_HEX;
}

static void dl_reader_open(dl_reader *reader)
{
    if (reader->filter->depth <= DL_READER_DEPTH) reader->path <<= 4;
}

static void dl_reader_close(dl_reader *reader)
{
    if (reader->filter->depth > DL_READER_DEPTH) return;
    if (reader->filter->depth < DL_READER_DEPTH) reader->path >>= 4;
    reader->found(reader, reader->path, NULL, 0);
}

/* A text begins that the filter drops: it is to keep it for a while. */
static void dl_reader_lend(dl_reader *reader)
{
    dynalock_filter *filter = reader->filter;

    if (filter->keep != DL_KEEP_NONE) return;
    reader->lent = 1;
    filter->keep = DL_KEEP_ALL;
    filter->expect = DL_EXPECT_TEXT; /* one that is too long is cut */
    filter->limit = (uint16_t)(filter->size - DL_RESERVE);
    filter->start = filter->used; /* the comma before it may be dropped, too */
    filter->unit = filter->used;
    dl_filter_emit(filter, '"');
}

/* Back to dropping, unless all that was to be dropped has ended: behind its
   name comes the value yet. */
static void dl_reader_give_back(dl_reader *reader)
{
    dynalock_filter *filter = reader->filter;

    reader->lent = 0;
    filter->used = filter->start;
    if (filter->in_name || filter->depth > filter->value_depth)
        filter->keep = DL_KEEP_NONE;
}

/* The names are a text, too, with a comma behind each. */
static uint32_t dl_reader_number(
    const char *names, const char *text, size_t size)
{
    uint32_t number = 1;
    size_t n;

    for (; *names != '\0'; names += n + 1, number++) {
        for (n = 0; names[n] != ',';) n++;
        if (n == size && memcmp(names, text, n) == 0) return number;
    }
    return 0;
}

/* A text has ended, which stands where it began in the filter's memory, behind
   its quote. Names of the answer itself are there as well. */
static void dl_reader_text(dl_reader *reader, size_t size)
{
    dynalock_filter *filter = reader->filter;
    char *text = filter->out + filter->start + 1;
    int deep = filter->depth > DL_READER_DEPTH;

    if (filter->state == DL_JSON_COLON) {
        if (!deep)
            reader->path = (reader->path & ~(uint32_t)15) |
                           dl_reader_number(reader->names, text, size);
    } else if (reader->lent && !deep) {
        reader->found(reader, reader->path, text, size);
    }
    if (reader->lent) dl_reader_give_back(reader);
}

static void dl_reader_byte(dl_reader *reader, char c)
{
    dynalock_filter *filter = reader->filter;
    unsigned depth = filter->depth;
    int was_in_text = dl_reader_is_in_text(filter);
    size_t size = 0; /* of the text so far; it may have been dropped */

    if (was_in_text && filter->keep != DL_KEEP_NONE &&
        filter->used > filter->start)
        size = (size_t)(filter->used - filter->start) - 1;
    dl_filter_byte(filter, c);
    if (filter->state == DL_JSON_BAD) return;
    if (filter->depth > depth) dl_reader_open(reader);
    else if (filter->depth < depth) dl_reader_close(reader);
    else if (!was_in_text && dl_reader_is_in_text(filter))
        dl_reader_lend(reader);
    else if (was_in_text && !dl_reader_is_in_text(filter))
        dl_reader_text(reader, size);
}

static void dl_reader_take(dl_sink *sink, const void *data, size_t size)
{
    const char *from = (const char *)data;

    while (size-- != 0) dl_reader_byte((dl_reader *)(void *)sink, *from++);
}

/* From an operation's prepare: it goes between the response and the filter,
   which needs to keep nothing of an item then. */
static void dl_reader_begin(dl_reader *reader, dynalock_client *client,
    const char *names,
    void (*found)(dl_reader *, uint32_t, const char *, size_t))
{
    static const dl_want nothing = { NULL, 0, 0 };

    reader->sink.take = dl_reader_take;
    reader->filter = &client->filter;
    reader->names = names;
    reader->found = found;
    reader->path = 1;
    reader->lent = 0;
    client->filter.wants = &nothing;
    client->response.body = &reader->sink;
}

/* ===================================================================== */
/* == call: any operation, with the caller's own body                      */
/* ===================================================================== */

enum { /* why a transaction was cancelled */
    DL_REASON_CONDITION = 1,
    DL_REASON_PASSING = 2 /* throttled, or in conflict with another */
};

static dynalock_request *dl_request_of(dynalock_operation *operation)
{
    return (dynalock_request *)(void *)operation; /* its first member */
}

/* CancellationReasons, any element, Code */
static void dl_request_found(
    dl_reader *reader, uint32_t path, const char *text, size_t size)
{
    static const char codes[] =
        "ConditionalCheckFailed,TransactionConflict,ThrottlingError,"
        "ProvisionedThroughputExceeded,";
    dynalock_request *request =
        (dynalock_request *)(void *)((char *)reader -
                                     offsetof(dynalock_request, reader));
    uint32_t number;

    if (path != 0x1102 || text == NULL) return;
    number = dl_reader_number(codes, text, size);
    if (number == 1) request->reasons |= DL_REASON_CONDITION;
    if (number > 1) request->reasons |= DL_REASON_PASSING;
}

/* The caller gets its copy before the answer is judged. */
static void dl_request_take(dl_sink *sink, const void *data, size_t size)
{
    dynalock_request *request =
        (dynalock_request *)(void *)((char *)sink -
                                     offsetof(dynalock_request, reader));
    uint32_t room = 0;

    if (request->answer != NULL && request->size < request->capacity)
        room = request->capacity - request->size;
    if (room > size) room = (uint32_t)size;
    if (room != 0) memcpy(request->answer + request->size, data, room);
    request->size += (uint32_t)size;
    dl_reader_take(sink, data, size);
}

static void dl_request_prepare(dynalock_operation *operation)
{
    static const char names[] = "CancellationReasons,Code,";
    dynalock_request *request = dl_request_of(operation);
    dynalock_client *client = operation->client;

    client->signing.target = request->target;
    request->size = 0;
    request->reasons = 0;
    dl_reader_begin(&request->reader, client, names, dl_request_found);
    request->reader.sink.take = dl_request_take;
}

static void dl_request_body(const dynalock_operation *operation, dl_sink *sink)
{
    const dynalock_request *request =
        (const dynalock_request *)(const void *)operation;

    if (request->body != NULL) dl_put_text(sink, request->body);
    else request->put_body(sink, request->context);
}

static dynalock_outcome dl_request_outcome(
    const dynalock_request *request, dynalock_outcome outcome)
{
    static const char cancelled[] = "transactionca";
    const char *type = request->operation.client->detail.type;

    if ((int)outcome == DL_CONDITION_FAILED) return DYNALOCK_CONDITION;
    if (outcome == DYNALOCK_OK && request->answer != NULL &&
        request->size > request->capacity)
        return DYNALOCK_BAD_BUFFER;
    if (outcome != DYNALOCK_SERVICE_REFUSED ||
        dl_begins(type, cancelled) == NULL)
        return outcome;
    if ((request->reasons & DL_REASON_CONDITION) != 0)
        return DYNALOCK_CONDITION;
    if ((request->reasons & DL_REASON_PASSING) != 0) return DYNALOCK_THROTTLED;
    return outcome;
}

static void dl_request_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_request *request = dl_request_of(operation);
    int unanswered = operation->client->exchange.fate == DL_FATE_SENT;

    if (unanswered && request->unanswered < 255) request->unanswered++;
    outcome = dl_request_outcome(request, outcome);
    if ((request->repeatable || !unanswered) &&
        dl_is_worth_trying(operation, outcome, 1)) {
        dl_back_off(operation, outcome);
        return;
    }
    if (request->answer != NULL && request->size < request->capacity)
        request->answer[request->size] = '\0';
    dl_finish(operation, outcome);
}

static void dl_request_end(dynalock_operation *operation, unsigned why)
{
    dynalock_request *request = dl_request_of(operation);

    if (dl_exchange_abandon(operation) && request->unanswered < 255)
        request->unanswered++;
    dl_finish(operation,
        why == DL_END_EXPIRED ? DYNALOCK_NO_ANSWER : DYNALOCK_CANCELLED);
}

DL_STEPS(dl_request_steps, dl_request_prepare, dl_request_answer,
    dl_request_end, dl_request_body, dl_record_rank, dl_record_lease)

/* The target goes into a header: nothing but letters and digits. */
static int dl_request_is_sound(const dynalock_request *request)
{
    size_t size;

    if (request->target == NULL) return 0;
    size = dl_count_plain(request->target, "");
    return size != 0 && request->target[size] == '\0' &&
           (request->body != NULL || request->put_body != NULL);
}

static dynalock_outcome dl_start_call(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_request *request = (dynalock_request *)object;

    if (dl_is_listed(client, &request->operation)) return DYNALOCK_IN_USE;
    request->operation.client = NULL;
    request->operation.steps = dl_request_steps;
    if (!dl_request_is_sound(request)) return DYNALOCK_BAD_ARGUMENT;
    request->unanswered = 0;
    request->size = 0;
    return dl_start_operation(client, &request->operation, wait_ms);
}

DYNALOCK_API void dynalock_put(
    dynalock_sink *sink, const void *data, size_t size)
{
    dl_put(sink, data, size);
}

/* ===================================================================== */
/* == fence: what ties a caller's own write to a lock                     */
/* ===================================================================== */

static const char dl_fence_missing[] = "attribute_not_exists";

static void dl_fence_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_lock *lock = (const dynalock_lock *)fields->context;
    const dynalock_client *client = lock->operation.client;

    switch (letter) {
    case 'O': dl_put_contents(sink, client->config.owner); break;
    case 'F': dl_put_decimal(sink, lock->token); break;
    case 'A': dl_put_version(sink, lock, 0); break;
    case 'Z': dl_put_version(sink, lock, 0xffffffff); break;
    case '!': dl_put_template(sink, dl_fence_missing, fields); break;
    default: dl_read_put(fields, letter, sink); break;
    }
}

static dynalock_outcome dl_fence_write(const dynalock_client *client,
    const dynalock_lock *lock, const char *text, char *buffer, size_t size)
{
    dynalock_outcome rc = dl_state(client, lock, dl_now(client), 0);
    dl_fields fields;
    dl_span span;

    if (rc == DYNALOCK_AGAIN) return DYNALOCK_IN_USE;
    if (rc != DYNALOCK_OK) return rc;
    fields.put = dl_fence_put;
    fields.context = lock;
    fields.flags = client->config.sort_key_name != NULL ? DL_FLAG('Q') : 0;
    if (client->config.layout(DL_LAYOUT_JUDGE).judge == dl_judge_item)
        fields.flags |= DL_FLAG('R');
    dl_put_template(dl_span_open(&span, buffer, size - 1, 0), text, &fields);
    buffer[span.used] = '\0';
    return span.total < size ? DYNALOCK_OK : DYNALOCK_BAD_BUFFER;
}

static dynalock_outcome dl_fence_text(const dynalock_client *client,
    const dynalock_lock *lock, const char *text, char *buffer, size_t size)
{
    dynalock_outcome rc;

    if (lock == NULL || buffer == NULL || size == 0 || !dl_enter_const(client))
        return DYNALOCK_BAD_ARGUMENT;
    buffer[0] = '\0';
    rc = dl_fence_write(client, lock, text, buffer, size);
    dl_leave(client);
    if (rc != DYNALOCK_OK) buffer[0] = '\0'; /* half a condition is none */
    return rc;
}

/* Renewals change the version within its acquisition; releases take it out of
   that, but for another client's, which has a mark only ([R). */
static const char dl_fence_condition[] =
    "{'ConditionCheck':{'TableName':$T,'Key':{$P:{'S':$K}[Q,$Q:{'S':$S}]},"
    "'ConditionExpression':'" DL_OWNER "=:o AND " DL_FENCE
    "=:f AND " DL_VERSION " BETWEEN :a AND :z[R AND " DL_IS_MISSING
    "(" DL_RELEASED ")]',"
    "'ExpressionAttributeValues':{':o':{'S':'$O'},':f':{'N':'$F'},"
    "':a':{'S':'$A'},':z':{'S':'$Z'}}}}";
static const char dl_fence_clause[] =
    "'ConditionExpression':'$!(fence) OR fence<=:fence',"
    "'ExpressionAttributeValues':{':fence':{'N':'$F'}";

DYNALOCK_API dynalock_outcome dynalock_fence_condition(
    const dynalock_client *client, const dynalock_lock *lock, char *buffer,
    size_t size)
{
    return dl_fence_text(client, lock, dl_fence_condition, buffer, size);
}

DYNALOCK_API dynalock_outcome dynalock_fence_clause(
    const dynalock_client *client, const dynalock_lock *lock, char *buffer,
    size_t size)
{
    return dl_fence_text(client, lock, dl_fence_clause, buffer, size);
}

/* ===================================================================== */
/* == table: does it fit? and making one that does                        */
/* ===================================================================== */

/*
    state      on                                          goes to
    FREE       check, create                               LOOK
    LOOK       missing, and create                         CREATE
    LOOK       active, and its keys fit                    TTL
    LOOK       ended                                       FREE
    CREATE     created, or another was faster              LOOK
    CREATE     ended                                       FREE
    TTL        off, and create                             SET
    TTL        ended                                       FREE
    SET        another was faster                          TTL
    SET        ended                                       FREE
*/
enum {
    DL_TABLE_FREE,
    DL_TABLE_LOOK,
    DL_TABLE_CREATE,
    DL_TABLE_TTL,
    DL_TABLE_SET
};

#define DL_TABLE_POLL_MS 1000

static dynalock_table *dl_table_of(dynalock_operation *operation)
{
    return (dynalock_table *)(void *)operation; /* its first member */
}

/* ---- what the service tells ---- */

static const char dl_table_names[] =
    "Table,TableStatus,KeySchema,AttributeDefinitions,AttributeName,KeyType,"
    "AttributeType,TimeToLiveDescription,TimeToLiveStatus,";

enum { /* paths of these names */
    DL_PATH_STATUS = 0x112,
    DL_PATH_KEY = 0x1130, /* an element of KeySchema, */
    DL_PATH_KEY_NAME = 0x11305,
    DL_PATH_KEY_KIND = 0x11306,
    DL_PATH_TYPE = 0x1140, /* of AttributeDefinitions */
    DL_PATH_TYPE_NAME = 0x11405,
    DL_PATH_TYPE_KIND = 0x11407,
    DL_PATH_TTL_NAME = 0x185,
    DL_PATH_TTL_STATUS = 0x189
};

enum { /* which of the config's names a text is */
    DL_FITS_KEY = 1,
    DL_FITS_SORT_KEY = 2,
    DL_FITS_TTL = 4
};

/* Is the text this name, but for the escapes that the filter leaves? */
static int dl_is_escaped(const char *name, const char *text, size_t size)
{
    const char *end = text + size;

    if (name == NULL) return 0;
    for (; *name != '\0'; name++) {
        if ((*name == '"' || *name == '\\') &&
            (text == end || *text++ != '\\'))
            return 0;
        if (text == end || *text++ != *name) return 0;
    }
    return text == end;
}

static void dl_table_name(dynalock_table *table, const char *text, size_t size)
{
    const dynalock_config *config = &table->operation.client->config;

    table->fits = 0;
    if (dl_is_escaped(config->key_name, text, size)) table->fits = DL_FITS_KEY;
    if (dl_is_escaped(config->sort_key_name, text, size))
        table->fits |= DL_FITS_SORT_KEY;
    if (dl_is_escaped(config->ttl_attribute, text, size))
        table->fits |= DL_FITS_TTL;
    dl_copy_text(table->text, sizeof table->text, text, size);
}

/* An element of the schema has ended: one of the keys. */
static void dl_table_key(dynalock_table *table)
{
    int sort = table->kind == 'R';

    table->key_fits[sort] =
        table->fits & (sort ? DL_FITS_SORT_KEY : DL_FITS_KEY);
    memcpy(table->key[sort], table->text, sizeof table->text);
}

/* One of the definitions has. */
static void dl_table_type(dynalock_table *table)
{
    if ((table->fits & DL_FITS_KEY) != 0) table->key_type[0][0] = table->kind;
    if ((table->fits & DL_FITS_SORT_KEY) != 0)
        table->key_type[1][0] = table->kind;
}

static void dl_table_found(
    dl_reader *reader, uint32_t path, const char *text, size_t size)
{
    dynalock_table *table =
        (dynalock_table *)(void *)((char *)reader -
                                   offsetof(dynalock_table, reader));

    if (text == NULL) {
        if (path == DL_PATH_KEY) dl_table_key(table);
        if (path == DL_PATH_TYPE) dl_table_type(table);
        return;
    }
    switch (path) {
    case DL_PATH_STATUS:
    case DL_PATH_TTL_STATUS:
        dl_copy_text(table->status, sizeof table->status, text, size);
        break;
    case DL_PATH_KEY_NAME:
    case DL_PATH_TYPE_NAME:
    case DL_PATH_TTL_NAME: dl_table_name(table, text, size); break;
    case DL_PATH_KEY_KIND:
    case DL_PATH_TYPE_KIND: table->kind = size != 0 ? text[0] : '\0'; break;
    default: break;
    }
}

/* ---- the requests ---- */

static const char dl_table_look[] = "{'TableName':$T}";
static const char dl_table_create[] =
    "{'TableName':$T,'BillingMode':'PAY_PER_REQUEST','KeySchema':$("
    "{'AttributeName':$P,'KeyType':'HASH'}"
    "[Q,{'AttributeName':$Q,'KeyType':'RANGE'}]$),'AttributeDefinitions':$("
    "{'AttributeName':$P,'AttributeType':'S'}"
    "[Q,{'AttributeName':$Q,'AttributeType':'S'}]$)}";
static const char dl_table_set_ttl[] =
    "{'TableName':$T,'TimeToLiveSpecification':{'Enabled':true,"
    "'AttributeName':$L}}";

static const char *dl_table_target(const dynalock_operation *operation)
{
    static const char targets[][19] = { "DescribeTable", /* LOOK's */
        "CreateTable", "DescribeTimeToLive", "UpdateTimeToLive" };

    return targets[operation->state - DL_TABLE_LOOK];
}

static const char *dl_table_template(const dynalock_operation *operation)
{
    switch (operation->state) {
    case DL_TABLE_CREATE: return dl_table_create;
    case DL_TABLE_SET: return dl_table_set_ttl;
    default: return dl_table_look;
    }
}

/* A template's brackets mean something else. */
static void dl_table_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    if (letter == '(') dl_put(sink, "[", 1);
    else if (letter == ')') dl_put(sink, "]", 1);
    else dl_read_put(fields, letter, sink);
}

static void dl_table_body(const dynalock_operation *operation, dl_sink *sink)
{
    dl_fields fields;

    fields.put = dl_table_put;
    fields.context = operation;
    fields.flags =
        operation->client->config.sort_key_name != NULL ? DL_FLAG('Q') : 0;
    dl_put_template(sink, dl_table_template(operation), &fields);
}

static void dl_table_prepare(dynalock_operation *operation)
{
    dynalock_table *table = dl_table_of(operation);

    operation->client->signing.target = dl_table_target(operation);
    table->fits = 0;
    table->kind = '\0';
    table->text[0] = '\0';
    table->status[0] = '\0';
    memset(table->key_fits, 0, sizeof table->key_fits);
    memset(table->key_type, 0, sizeof table->key_type);
    memset(table->key, 0, sizeof table->key);
    dl_reader_begin(
        &table->reader, operation->client, dl_table_names, dl_table_found);
}

/* ---- what does not fit ---- */

static const char dl_say_status[] = "status is $s";
static const char dl_say_key[] = "partition key is $0, not $P";
static const char dl_say_key_type[] = "partition key is of type $t, not S";
static const char dl_say_sort_key[] = "sort key is $1, not $Q";
static const char dl_say_sort_key_type[] = "sort key is of type $u, not S";
static const char dl_say_ttl[] = "TTL attribute is $2, not $L";

static void dl_say_text(dl_sink *sink, const char *text)
{
    static const char none[] = "none";

    dl_put_text(sink, text[0] != '\0' ? text : none);
}

/* A name, cut to leave room for another. */
static void dl_say_name(dl_sink *sink, const char *name)
{
    size_t size;

    if (name == NULL || name[0] == '\0') {
        dl_say_text(sink, "");
        return;
    }
    size = strlen(name);
    if (size > 36) size = 36;
    dl_put(sink, "\"", 1);
    dl_put(sink, name, size);
    dl_put(sink, "\"", 1);
}

static void dl_say_put(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_table *table = (const dynalock_table *)fields->context;
    const dynalock_config *config = &table->operation.client->config;

    switch (letter) {
    case 's': dl_put_text(sink, table->status); break;
    case 't': dl_say_text(sink, table->key_type[0]); break;
    case 'u': dl_say_text(sink, table->key_type[1]); break;
    case '0': dl_say_name(sink, table->key[0]); break;
    case '1': dl_say_name(sink, table->key[1]); break;
    case '2': dl_say_name(sink, table->text); break;
    case 'P': dl_say_name(sink, config->key_name); break;
    case 'Q': dl_say_name(sink, config->sort_key_name); break;
    default: dl_say_name(sink, config->ttl_attribute); break; /* L */
    }
}

static void dl_table_say(const dynalock_table *table, const char *text)
{
    dynalock_detail *detail = &table->operation.client->detail;
    dl_fields fields;
    dl_span span;

    fields.put = dl_say_put;
    fields.context = table;
    fields.flags = 0;
    dl_put_template(
        dl_span_open(&span, detail->message, sizeof detail->message - 1, 0),
        text, &fields);
    detail->message[span.used] = '\0';
}

/* NULL: the keys are as they should be. */
static const char *dl_table_misfit(const dynalock_table *table)
{
    const dynalock_config *config = &table->operation.client->config;

    if (!table->key_fits[0]) return dl_say_key;
    if (table->key_type[0][0] != 'S') return dl_say_key_type;
    if (!table->key_fits[1])
        return table->key[1][0] != '\0' || config->sort_key_name != NULL
                   ? dl_say_sort_key
                   : NULL;
    return table->key_type[1][0] != 'S' ? dl_say_sort_key_type : NULL;
}

/* ---- the answers ---- */

/* Looks again in a while. */
static void dl_table_wait(dynalock_table *table)
{
    dynalock_operation *operation = &table->operation;
    dynalock_client *client = operation->client;
    uint32_t pause =
        (uint32_t)dl_least(client->config.poll_ms, DL_TABLE_POLL_MS);

    table->failure = DYNALOCK_TABLE_NOT_READY;
    operation->state = DL_TABLE_LOOK;
    operation->due =
        client->now + pause / 2 + dl_random(client, pause / 2 + 1);
}

static void dl_table_next(dynalock_operation *operation, uint8_t state)
{
    operation->state = state;
    operation->due = operation->client->now;
}

/* UPDATING: another index or billing mode; its items can be used meanwhile. */
static int dl_table_is_active(const dynalock_table *table)
{
    static const char states[] = "ACTIVE,UPDATING,";

    return dl_reader_number(states, table->status, strlen(table->status)) != 0;
}

static void dl_table_looked(dynalock_table *table)
{
    dynalock_operation *operation = &table->operation;
    const char *misfit = dl_table_misfit(table);

    if (table->status[0] == '\0') {
        dl_finish(operation, DYNALOCK_BAD_ANSWER);
    } else if (!dl_table_is_active(table)) {
        dl_table_say(table, dl_say_status);
        if (table->patient) dl_table_wait(table);
        else dl_finish(operation, DYNALOCK_TABLE_NOT_READY);
    } else if (misfit != NULL) {
        dl_table_say(table, misfit);
        dl_finish(operation, DYNALOCK_TABLE_SHAPE);
    } else {
        dl_table_next(operation, DL_TABLE_TTL);
    }
}

/* ENABLED, or ENABLING: that takes up to an hour, and needs no waiting for. */
static void dl_table_looked_at_ttl(dynalock_table *table)
{
    static const char enabled[] = "enabl";
    dynalock_operation *operation = &table->operation;
    const dynalock_config *config = &operation->client->config;
    int on = dl_begins(table->status, enabled) != NULL;
    int wanted = config->ttl_attribute != NULL &&
                 (!config->no_ttl || config->delete_on_release);

    if (table->status[0] == '\0') {
        dl_finish(operation, DYNALOCK_BAD_ANSWER);
    } else if (on ? (table->fits & DL_FITS_TTL) != 0 : !wanted) {
        dl_finish(operation, DYNALOCK_OK);
    } else if (!on && table->creating) {
        dl_table_next(operation, DL_TABLE_SET);
    } else {
        if (!on) table->text[0] = '\0';
        dl_table_say(table, dl_say_ttl);
        dl_finish(operation, DYNALOCK_TABLE_TTL);
    }
}

static void dl_table_was_created(
    dynalock_table *table, dynalock_outcome outcome)
{
    static const char in_use[] = "resourceinuse";
    const dynalock_detail *detail = &table->operation.client->detail;

    if (outcome == DYNALOCK_SERVICE_REFUSED &&
        dl_begins(detail->type, in_use) != NULL)
        outcome = DYNALOCK_OK;
    if (outcome == DYNALOCK_OK)
        dl_table_next(&table->operation, DL_TABLE_LOOK);
    else dl_finish(&table->operation, outcome);
}

static void dl_table_ttl_was_set(
    dynalock_table *table, dynalock_outcome outcome)
{
    static const char already[] = "timetolive is al";
    const dynalock_detail *detail = &table->operation.client->detail;

    if (outcome == DYNALOCK_SERVICE_REFUSED &&
        dl_begins(detail->message, already) != NULL)
        dl_table_next(&table->operation, DL_TABLE_TTL);
    else dl_finish(&table->operation, outcome);
}

static int dl_table_tries_again(
    dynalock_table *table, dynalock_outcome outcome)
{
    dynalock_operation *operation = &table->operation;

    if (outcome == DYNALOCK_OK) operation->attempts = 0;
    if (!dl_is_worth_trying(operation, outcome, !table->patient)) return 0;
    table->failure = outcome;
    dl_back_off(operation, outcome);
    return 1;
}

static void dl_table_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_table *table = dl_table_of(operation);

    if (dl_table_tries_again(table, outcome)) return;
    if (operation->state == DL_TABLE_CREATE)
        dl_table_was_created(table, outcome);
    else if (operation->state == DL_TABLE_SET)
        dl_table_ttl_was_set(table, outcome);
    else if (outcome == DYNALOCK_TABLE_MISSING && table->creating)
        dl_table_next(operation, DL_TABLE_CREATE);
    else if (outcome != DYNALOCK_OK) dl_finish(operation, outcome);
    else if (operation->state == DL_TABLE_LOOK) dl_table_looked(table);
    else dl_table_looked_at_ttl(table);
}

static void dl_table_end(dynalock_operation *operation, unsigned why)
{
    (void)dl_exchange_abandon(operation);
    dl_finish(
        operation, why == DL_END_EXPIRED
                       ? (dynalock_outcome)dl_table_of(operation)->failure
                       : DYNALOCK_CANCELLED);
}

DL_STEPS(dl_table_steps, dl_table_prepare, dl_table_answer, dl_table_end,
    dl_table_body, dl_record_rank, dl_record_lease)

static dynalock_outcome dl_table_init(const dynalock_client *client,
    const char *name, dynalock_table *table, int creating)
{
    if (dl_is_listed(client, &table->operation)) return DYNALOCK_IN_USE;
    memset(table, 0, sizeof *table);
    table->operation.name.table = name;
    table->creating = (uint8_t)creating;
    return DYNALOCK_AGAIN;
}

static dynalock_outcome dl_start_table(
    dynalock_client *client, void *object, uint32_t wait_ms)
{
    dynalock_table *table = (dynalock_table *)object;
    dynalock_outcome rc = dl_check_table(dl_table(client, &table->operation));

    table->failure = DYNALOCK_NO_ANSWER;
    table->patient = wait_ms != 0;
    if (rc == DYNALOCK_OK)
        rc = dl_start_operation(client, &table->operation, wait_ms);
    table->operation.steps = dl_table_steps;
    return rc;
}

/* ===================================================================== */
/* == region: another host of the same region                             */
/* ===================================================================== */

/* docs.aws.amazon.com, "Federal Information Processing Standard (FIPS) 140" */
static dynalock_outcome dl_region_fips(dynalock_client *client)
{
    static const char china[] = "cn-", gov_cloud[] = "us-gov-";
    static const char host[] = "dynamodb-fips.$g.amazonaws.com";
    const dynalock_config *config = &client->config;
    dl_span span;

    if (config->endpoint != NULL) return DYNALOCK_BAD_ENDPOINT;
    if (client->exchange.state != DL_EXCHANGE_CLOSED) return DYNALOCK_IN_USE;
    if (dl_begins(config->region, china) != NULL) return DYNALOCK_BAD_REGION;
    if (dl_begins(config->region, gov_cloud) != NULL) return DYNALOCK_OK;
    dl_put_signing(
        dl_span_open(&span, client->host, sizeof client->host - 1, 0), host,
        &client->signing);
    client->host[span.used] = '\0';
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_outcome dynalock_use_fips(dynalock_client *client)
{
    dynalock_outcome rc;

    if (!dl_enter(client)) return DYNALOCK_BAD_ARGUMENT;
    rc = dl_region_fips(client);
    dl_leave(client);
    return rc;
}

/* ===================================================================== */
/* == client: the public functions                                        */
/* ===================================================================== */

/* ---- the config ---- */

/* Behind an endpoint of its own any name will do ("local"); otherwise one
   that has an AWS host: "eu-central-1", "us-gov-west-1". */
static dynalock_outcome dl_check_region(const dynalock_config *config)
{
    const char *region = config->region;
    size_t i, size, hyphens = 0;

    if (region == NULL) return DYNALOCK_BAD_REGION;
    size = dl_count_plain(region, "-");
    if (region[size] != '\0' || size == 0 || size > 32)
        return DYNALOCK_BAD_REGION;
    for (i = 0; i < size; i++) {
        if (region[i] != dl_lower(region[i])) return DYNALOCK_BAD_REGION;
        if (region[i] == '-') hyphens++;
    }
    if (config->endpoint != NULL || (hyphens >= 2 && region[size - 1] <= '9'))
        return DYNALOCK_OK;
    return DYNALOCK_BAD_REGION;
}

/* ":8000" and perhaps "/", or nothing. */
static dynalock_outcome dl_read_port(dynalock_client *client, const char *at)
{
    size_t size = strlen(at);
    uint32_t port;

    if (size != 0 && at[size - 1] == '/') size--;
    if (size == 0) return DYNALOCK_OK;
    if (*at != ':' || !dl_read_word(at + 1, size - 1, &port) ||
        port - 1 >= 65535)
        return DYNALOCK_BAD_ENDPOINT;
    if (client->port != port) client->signing.port = (uint16_t)port;
    client->port = (uint16_t)port;
    return DYNALOCK_OK;
}

static dynalock_outcome dl_read_endpoint(
    dynalock_client *client, const char *at, int secure)
{
    size_t size;

    if (!secure && dl_begins(at, "http://") == NULL)
        return DYNALOCK_BAD_ENDPOINT;
    at += secure ? 8 : 7;
    client->port = secure ? 443 : 80;
    size = dl_count_plain(at, ".-_");
    if (size == 0 || size >= DYNALOCK_HOST_SIZE) return DYNALOCK_BAD_ENDPOINT;
    dl_copy_text(client->host, sizeof client->host, at, size);
    return dl_read_port(client, at + size);
}

/* docs.aws.amazon.com, "Amazon DynamoDB endpoints and quotas" */
static void dl_region_endpoint(dynalock_client *client)
{
    dl_span span;
    dl_sink *sink =
        dl_span_open(&span, client->host, sizeof client->host - 1, 0);

    dl_put_signing(sink, "dynamodb.$g.amazonaws.com", &client->signing);
    if (dl_begins(client->config.region, "cn-") != NULL)
        dl_put_text(sink, ".cn");
    client->port = 443;
}

static dynalock_outcome dl_check_endpoint(dynalock_client *client)
{
    const dynalock_config *config = &client->config;
    dynalock_outcome rc = DYNALOCK_OK;
    int secure = config->endpoint == NULL ||
                 dl_begins(config->endpoint, "https://") != NULL;

    if (config->endpoint == NULL) dl_region_endpoint(client);
    else rc = dl_read_endpoint(client, config->endpoint, secure);
    if (rc != DYNALOCK_OK) return rc;
    if (secure != (config->tls != NULL) + (config->secure_transport != 0) ||
        client->stream == NULL)
        return DYNALOCK_BAD_TLS;
    return DYNALOCK_OK;
}

static dynalock_outcome dl_check_credentials(
    const dynalock_credentials *credentials)
{
    if (credentials == NULL || credentials->key_id == NULL ||
        credentials->secret == NULL || credentials->key_id[0] == '\0' ||
        credentials->secret[0] == '\0')
        return DYNALOCK_CREDENTIALS_MISSING;
    return DYNALOCK_OK;
}

static int dl_has_hooks(const dynalock_platform *platform)
{
    return platform != NULL && platform->open != NULL &&
           platform->write != NULL && platform->read != NULL &&
           platform->close != NULL && platform->monotonic_ms != NULL &&
           platform->unix_ms != NULL && platform->entropy != NULL;
}

static void dl_default(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0) *value = otherwise;
}

static void dl_config_defaults(dynalock_config *config)
{
    dl_default(&config->lease_ms, 20000);
    dl_default(&config->poll_ms, 1000);
    dl_default(&config->connect_ms, 10000);
    dl_default(&config->request_ms, 5000);
    dl_default(&config->base_ms, 50);
    dl_default(&config->cap_ms, 5000);
    if (config->ttl_s < 3600) config->ttl_s = 3600;
    if (config->attempts == 0) config->attempts = 3;
    if (config->margin_per_mille == 0) config->margin_per_mille = 10;
    if (config->layout == NULL) config->layout = dynalock_standard();
    if (config->key_name == NULL)
        config->key_name = config->layout(DL_LAYOUT_KEY_NAME).text;
}

static dynalock_outcome dl_check_config(dynalock_client *client)
{
    const dynalock_config *config = &client->config;
    dynalock_outcome rc = dl_check_table(config->table);

    if (rc == DYNALOCK_OK) rc = dl_check_region(config);
    if (rc == DYNALOCK_OK) rc = dl_check_endpoint(client);
    if (rc == DYNALOCK_OK) rc = dl_check_credentials(config->credentials);
    if (rc != DYNALOCK_OK) return rc;
    if (!dl_is_unset_or_name(config->owner, DYNALOCK_OWNER_SIZE - 1))
        return DYNALOCK_BAD_OWNER;
    if (!dl_is_unset_or_name(config->key_name, 255) ||
        !dl_is_unset_or_name(config->sort_key_name, 255) ||
        !dl_is_unset_or_name(config->ttl_attribute, 255))
        return DYNALOCK_BAD_KEY;
    if (config->margin_per_mille > 500 ||
        !dl_lease_is_sound(client, config->lease_ms))
        return DYNALOCK_BAD_LEASE;
    return DYNALOCK_OK;
}

/* Seeds the jitter, and names an owner that has no name. */
static dynalock_outcome dl_draw_owner(dynalock_client *client)
{
    const dynalock_platform *platform = client->config.platform;
    uint8_t seed[20];
    dl_span span;

    if (platform->entropy(platform->context, seed, sizeof seed) < 0)
        return DYNALOCK_NO_ENTROPY;
    dl_put_hex(dl_span_open(&span, client->owner, sizeof client->owner - 1, 0),
        seed, 16);
    client->random = dl_load32(seed + 16) | 1;
    if (client->config.owner == NULL) client->config.owner = client->owner;
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_outcome dynalock_client_init(
    dynalock_client *client, const dynalock_config *config)
{
    dynalock_outcome rc;

    if (client == NULL) return DYNALOCK_BAD_ARGUMENT;
    memset(client, 0, sizeof *client);
    if (config == NULL || !dl_has_hooks(config->platform))
        return DYNALOCK_BAD_ARGUMENT;
    client->config = *config;
    dl_config_defaults(&client->config);
    client->stream = dl_stream(config);
    dl_want_names(client->wants, client->config.layout);
    client->signing.credentials = config->credentials;
    client->signing.region = config->region;
    client->signing.host = client->host;
    rc = dl_check_config(client);
    if (rc == DYNALOCK_OK) rc = dl_draw_owner(client);
    if (rc != DYNALOCK_OK) memset(client, 0, sizeof *client);
    return rc;
}

DYNALOCK_API dynalock_outcome dynalock_set_credentials(
    dynalock_client *client, const dynalock_credentials *credentials)
{
    dynalock_outcome rc = dl_check_credentials(credentials);

    if (!dl_is_ready(client)) return DYNALOCK_BAD_ARGUMENT;
    if (rc != DYNALOCK_OK) return rc;
    (void)dl_enter(client);
    /* what is half sent was signed with the old ones */
    if (client->exchange.state == DL_EXCHANGE_SEND)
        dl_exchange_end(client, DYNALOCK_DISCONNECTED);
    dl_take_credentials(client, credentials);
    dl_leave(client);
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_outcome dynalock_set_clock(
    dynalock_client *client, int64_t unix_ms)
{
    if (unix_ms <= 0 || !dl_enter(client)) return DYNALOCK_BAD_ARGUMENT;
    client->clock_is_set = 1;
    client->skew_ms = unix_ms - (int64_t)client->now;
    dl_leave(client);
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_outcome dynalock_lock_init(
    dynalock_lock *lock, const dynalock_lock_options *options)
{
    if (lock == NULL) return DYNALOCK_BAD_ARGUMENT;
    memset(lock, 0, sizeof *lock);
    if (options == NULL) return DYNALOCK_BAD_ARGUMENT;
    if (!dl_is_name(options->key, 2048)) return DYNALOCK_BAD_KEY;
    if (!dl_is_unset_or_name(options->sort_key, 1024)) return DYNALOCK_BAD_KEY;
    if (options->table != NULL &&
        dl_check_table(options->table) != DYNALOCK_OK)
        return DYNALOCK_BAD_TABLE;
    lock->operation.name.key = options->key;
    lock->operation.name.sort_key = options->sort_key;
    lock->operation.name.table = options->table;
    lock->operation.outcome = DYNALOCK_NOT_HELD;
    lock->operation.steps = dl_lock_steps;
    lock->lease_ms = options->lease_ms;
    lock->claim = options->claim;
    lock->data_letter = 'N';
    return DYNALOCK_OK;
}

/* ---- stepping ---- */

DYNALOCK_API dynalock_outcome dynalock_poll(dynalock_client *client)
{
    dynalock_outcome rc;

    if (!dl_enter(client)) return DYNALOCK_BAD_ARGUMENT;
    rc = dl_poll(client);
    dl_leave(client);
    return rc;
}

static uint64_t dl_next_wake(const dynalock_client *client)
{
    const dynalock_operation *at = client->operations;
    int busy = dl_exchange_is_busy(client);
    uint64_t wake = busy ? client->exchange.deadline : DL_NEVER;

    for (; at != NULL; at = at->next) {
        wake = dl_least(wake, at->deadline);
        if (!busy) wake = dl_least(wake, at->due);
    }
    return wake;
}

static void dl_wants(
    const dynalock_client *client, unsigned *interest, uint32_t *ms)
{
    uint64_t wake = dl_next_wake(client), now = dl_now(client);

    *interest = dl_exchange_is_busy(client) ? client->exchange.interest : 0;
    *ms = wake > now ? (uint32_t)dl_least(wake - now, 60000) : 0;
}

DYNALOCK_API void dynalock_wants(
    const dynalock_client *client, unsigned *interest, uint32_t *ms)
{
    *interest = 0;
    *ms = 0;
    if (!dl_enter_const(client)) return;
    dl_wants(client, interest, ms);
    dl_leave(client);
}

DYNALOCK_API dynalock_outcome dynalock_result(
    const dynalock_operation *operation)
{
    if (operation == NULL || operation->steps == NULL)
        return DYNALOCK_NOT_HELD;
    return (dynalock_outcome)operation->outcome;
}

DYNALOCK_API void dynalock_cancel(
    dynalock_client *client, dynalock_operation *operation)
{
    if (operation == NULL || !dl_enter(client)) return;
    if (operation->client == client)
        operation->steps(DL_STEP_END).end(operation, DL_END_CANCELLED);
    dl_leave(client);
}

/* ---- starting, and blocking: loops over poll, wants and wait ---- */

/* As long as the operation's outcome is this one, and not beyond end. Another
   thread may step the client too, so all is looked at within the mutex. */
static dynalock_outcome dl_wait_while(dynalock_client *client,
    dynalock_operation *operation, dynalock_outcome outcome, uint64_t end)
{
    const dynalock_platform *platform = client->config.platform;
    dynalock_outcome rc;
    unsigned interest;
    uint32_t ms;
    int over;

    for (;;) {
        (void)dl_enter(client);
        (void)dl_poll(client);
        rc = (dynalock_outcome)operation->outcome;
        over =
            rc != outcome || operation->client == NULL || client->now >= end;
        dl_wants(client, &interest, &ms);
        ms = (uint32_t)dl_least(ms, end - client->now);
        dl_leave(client);
        if (over) return rc;
        if (platform->wait(platform->context, interest, ms) == 0) continue;
        dynalock_cancel(client, operation);
        if (outcome == DYNALOCK_UNKNOWN) return rc;
    }
}

typedef dynalock_outcome (*dl_start)(
    dynalock_client *client, void *object, uint32_t wait_ms);

static dynalock_outcome dl_begin(
    dynalock_client *client, dl_start start, void *object, uint32_t wait_ms)
{
    dynalock_operation *operation = (dynalock_operation *)object;
    dynalock_outcome rc;

    if (object == NULL || !dl_enter(client)) return DYNALOCK_BAD_ARGUMENT;
    rc = start(client, object, wait_ms);
    /* dynalock_result must not tell of an earlier call */
    if (operation->client == NULL) operation->outcome = rc;
    dl_leave(client);
    return rc;
}

/* While an earlier call's write is being taken back, that comes first. Returns
   what is left of the wait. */
static uint32_t dl_wait_settled(
    dynalock_client *client, dynalock_operation *operation, uint32_t wait_ms)
{
    uint64_t now, end;

    (void)dl_enter(client);
    end = dl_deadline(client, wait_ms);
    dl_leave(client);
    (void)dl_wait_while(client, operation, DYNALOCK_UNKNOWN, end);
    (void)dl_enter(client); /* the clock's hook, too, is under the mutex */
    now = client->now;
    dl_leave(client);
    if (wait_ms == 0 || wait_ms == DYNALOCK_FOREVER) return wait_ms;
    return end > now ? (uint32_t)(end - now) : 1;
}

static dynalock_outcome dl_call(
    dynalock_client *client, dl_start start, void *object, uint32_t wait_ms)
{
    dynalock_operation *operation = (dynalock_operation *)object;
    dynalock_outcome rc;

    if (!dl_is_ready(client) || client->config.platform->wait == NULL)
        return DYNALOCK_BAD_ARGUMENT;
    rc = dl_begin(client, start, object, wait_ms);
    if (rc == DYNALOCK_UNKNOWN) {
        wait_ms = dl_wait_settled(client, operation, wait_ms);
        rc = dl_begin(client, start, object, wait_ms);
    }
    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_wait_while(client, operation, rc, DL_NEVER);
}

DYNALOCK_API dynalock_outcome dynalock_start_acquire(
    dynalock_client *client, dynalock_lock *lock, uint32_t wait_ms)
{
    return dl_begin(client, dl_start_acquire, lock, wait_ms);
}

DYNALOCK_API dynalock_outcome dynalock_start_renew(
    dynalock_client *client, dynalock_lock *lock)
{
    return dl_begin(client, dl_start_renew, lock, 0);
}

DYNALOCK_API dynalock_outcome dynalock_start_release(
    dynalock_client *client, dynalock_lock *lock)
{
    return dl_begin(client, dl_start_release, lock, 0);
}

static dynalock_outcome dl_check_read(dynalock_client *client,
    const dynalock_name *name, dynalock_record *record)
{
    dynalock_outcome rc;

    if (name == NULL || record == NULL || !dl_enter(client))
        return DYNALOCK_BAD_ARGUMENT;
    rc = dl_record_init(client, name, record);
    dl_leave(client);
    return rc;
}

DYNALOCK_API dynalock_outcome dynalock_start_read(dynalock_client *client,
    const dynalock_name *name, dynalock_record *record)
{
    dynalock_outcome rc = dl_check_read(client, name, record);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_begin(client, dl_start_read, record, 0);
}

DYNALOCK_API dynalock_outcome dynalock_acquire(
    dynalock_client *client, dynalock_lock *lock, uint32_t wait_ms)
{
    return dl_call(client, dl_start_acquire, lock, wait_ms);
}

DYNALOCK_API dynalock_outcome dynalock_renew(
    dynalock_client *client, dynalock_lock *lock)
{
    return dl_call(client, dl_start_renew, lock, 0);
}

DYNALOCK_API dynalock_outcome dynalock_release(
    dynalock_client *client, dynalock_lock *lock)
{
    return dl_call(client, dl_start_release, lock, 0);
}

DYNALOCK_API dynalock_outcome dynalock_start_release_restored(
    dynalock_client *client, dynalock_lock *lock)
{
    return dl_begin(client, dl_start_release_restored, lock, 0);
}

DYNALOCK_API dynalock_outcome dynalock_release_restored(
    dynalock_client *client, dynalock_lock *lock)
{
    return dl_call(client, dl_start_release_restored, lock, 0);
}

DYNALOCK_API dynalock_outcome dynalock_read(dynalock_client *client,
    const dynalock_name *name, dynalock_record *record)
{
    dynalock_outcome rc = dl_check_read(client, name, record);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_call(client, dl_start_read, record, 0);
}

/* What is written has the names of that layout's attributes. */
static int dl_is_standard(const dynalock_client *client)
{
    return dl_is_ready(client) && client->config.layout == dynalock_standard();
}

static dynalock_outcome dl_check_tidy(dynalock_client *client,
    const dynalock_name *name, dynalock_record *memory)
{
    if (!dl_is_standard(client)) return DYNALOCK_BAD_ARGUMENT;
    return dl_check_read(client, name, memory);
}

DYNALOCK_API dynalock_outcome dynalock_start_tidy(dynalock_client *client,
    const dynalock_name *name, dynalock_record *memory)
{
    dynalock_outcome rc = dl_check_tidy(client, name, memory);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_begin(client, dl_start_tidy, memory, 0);
}

DYNALOCK_API dynalock_outcome dynalock_tidy(dynalock_client *client,
    const dynalock_name *name, dynalock_record *memory)
{
    dynalock_outcome rc = dl_check_tidy(client, name, memory);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_call(client, dl_start_tidy, memory, 0);
}

/* `changed` is the caller's and must be there. */
DYNALOCK_API dynalock_outcome dynalock_start_watch(
    dynalock_client *client, const dynalock_name *name, dynalock_watch *watch)
{
    dynalock_outcome rc;

    if (watch == NULL || watch->changed == NULL) return DYNALOCK_BAD_ARGUMENT;
    rc = dl_check_read(client, name, &watch->record);
    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_begin(client, dl_start_watch, watch, DYNALOCK_FOREVER);
}

/* The version number may stand in the memory that is to be cleared. */
static dynalock_outcome dl_check_break(dynalock_client *client,
    const dynalock_name *name, const char *rvn, dynalock_record *memory)
{
    dynalock_outcome rc;
    char copy[DYNALOCK_RVN_SIZE];

    if (!dl_is_name(rvn, sizeof copy - 1) || !dl_is_standard(client))
        return DYNALOCK_BAD_ARGUMENT;
    memcpy(copy, rvn, strlen(rvn) + 1);
    rc = dl_check_read(client, name, memory);
    if (rc == DYNALOCK_AGAIN) memcpy(memory->rvn, copy, strlen(copy) + 1);
    return rc;
}

DYNALOCK_API dynalock_outcome dynalock_start_break(dynalock_client *client,
    const dynalock_name *name, const char *rvn, dynalock_record *memory)
{
    dynalock_outcome rc = dl_check_break(client, name, rvn, memory);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_begin(client, dl_start_break, memory, 0);
}

DYNALOCK_API dynalock_outcome dynalock_break(dynalock_client *client,
    const dynalock_name *name, const char *rvn, dynalock_record *memory)
{
    dynalock_outcome rc = dl_check_break(client, name, rvn, memory);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_call(client, dl_start_break, memory, 0);
}

static dynalock_outcome dl_check_list(
    dynalock_client *client, const char *table, dynalock_listing *listing)
{
    dynalock_outcome rc;

    if (listing == NULL || listing->each == NULL || !dl_enter(client))
        return DYNALOCK_BAD_ARGUMENT;
    rc = dl_list_init(client, table, listing);
    dl_leave(client);
    return rc;
}

DYNALOCK_API dynalock_outcome dynalock_start_list(
    dynalock_client *client, const char *table, dynalock_listing *listing)
{
    dynalock_outcome rc = dl_check_list(client, table, listing);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_begin(client, dl_start_list, listing, 0);
}

DYNALOCK_API dynalock_outcome dynalock_list(
    dynalock_client *client, const char *table, dynalock_listing *listing)
{
    dynalock_outcome rc = dl_check_list(client, table, listing);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_call(client, dl_start_list, listing, 0);
}

DYNALOCK_API dynalock_outcome dynalock_start_call(
    dynalock_client *client, dynalock_request *request)
{
    return dl_begin(client, dl_start_call, request, 0);
}

DYNALOCK_API dynalock_outcome dynalock_call(
    dynalock_client *client, dynalock_request *request)
{
    return dl_call(client, dl_start_call, request, 0);
}

static dynalock_outcome dl_check_memory(dynalock_client *client,
    const char *name, dynalock_table *memory, int creating)
{
    dynalock_outcome rc;

    if (memory == NULL || !dl_enter(client)) return DYNALOCK_BAD_ARGUMENT;
    rc = dl_table_init(client, name, memory, creating);
    dl_leave(client);
    return rc;
}

DYNALOCK_API dynalock_outcome dynalock_start_table_check(
    dynalock_client *client, const char *name, dynalock_table *memory)
{
    dynalock_outcome rc = dl_check_memory(client, name, memory, 0);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_begin(client, dl_start_table, memory, 0);
}

DYNALOCK_API dynalock_outcome dynalock_table_check(
    dynalock_client *client, const char *name, dynalock_table *memory)
{
    dynalock_outcome rc = dl_check_memory(client, name, memory, 0);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_call(client, dl_start_table, memory, 0);
}

DYNALOCK_API dynalock_outcome dynalock_start_table_create(
    dynalock_client *client, const char *name, dynalock_table *memory,
    uint32_t wait_ms)
{
    dynalock_outcome rc = dl_check_memory(client, name, memory, 1);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_begin(client, dl_start_table, memory, wait_ms);
}

DYNALOCK_API dynalock_outcome dynalock_table_create(dynalock_client *client,
    const char *name, dynalock_table *memory, uint32_t wait_ms)
{
    dynalock_outcome rc = dl_check_memory(client, name, memory, 1);

    if (rc != DYNALOCK_AGAIN) return rc;
    return dl_call(client, dl_start_table, memory, wait_ms);
}

DYNALOCK_API dynalock_outcome dynalock_start_group_acquire(
    dynalock_client *client, dynalock_group *group, uint32_t wait_ms)
{
    return dl_begin(client, dl_start_group_acquire, group, wait_ms);
}

DYNALOCK_API dynalock_outcome dynalock_group_acquire(
    dynalock_client *client, dynalock_group *group, uint32_t wait_ms)
{
    return dl_call(client, dl_start_group_acquire, group, wait_ms);
}

DYNALOCK_API dynalock_outcome dynalock_start_group_renew(
    dynalock_client *client, dynalock_group *group)
{
    return dl_begin(client, dl_start_group_renew, group, 0);
}

DYNALOCK_API dynalock_outcome dynalock_group_renew(
    dynalock_client *client, dynalock_group *group)
{
    return dl_call(client, dl_start_group_renew, group, 0);
}

DYNALOCK_API dynalock_outcome dynalock_start_group_release(
    dynalock_client *client, dynalock_group *group)
{
    return dl_begin(client, dl_start_group_release, group, 0);
}

DYNALOCK_API dynalock_outcome dynalock_group_release(
    dynalock_client *client, dynalock_group *group)
{
    return dl_call(client, dl_start_group_release, group, 0);
}

DYNALOCK_API dynalock_outcome dynalock_start_semaphore_acquire(
    dynalock_client *client, dynalock_semaphore *semaphore, uint32_t wait_ms)
{
    return dl_begin(client, dl_start_semaphore_acquire, semaphore, wait_ms);
}

DYNALOCK_API dynalock_outcome dynalock_semaphore_acquire(
    dynalock_client *client, dynalock_semaphore *semaphore, uint32_t wait_ms)
{
    return dl_call(client, dl_start_semaphore_acquire, semaphore, wait_ms);
}

/* ---- the rest ---- */

DYNALOCK_API int64_t dynalock_granted_ms(uint64_t fence)
{
    return (int64_t)fence;
}

DYNALOCK_API uint32_t dynalock_remaining_ms(
    const dynalock_client *client, const dynalock_lock *lock)
{
    uint64_t now, until;

    if (lock == NULL || !dl_enter_const(client)) return 0;
    until = lock->until;
    now = dl_now(client);
    dl_leave(client);
    return until > now ? (uint32_t)(until - now) : 0;
}

DYNALOCK_API dynalock_outcome dynalock_check(
    const dynalock_client *client, const dynalock_lock *lock)
{
    dynalock_outcome state;

    if (lock == NULL || !dl_enter_const(client)) return DYNALOCK_BAD_ARGUMENT;
    state = dl_state(client, lock, dl_now(client),
        lock->alarm != NULL ? lock->alarm->safe_ms : 0);
    dl_leave(client);
    return state;
}

DYNALOCK_API uint32_t dynalock_group_remaining_ms(
    const dynalock_client *client, const dynalock_group *group)
{
    uint32_t i, least = DYNALOCK_FOREVER;

    if (group == NULL || dl_check_group(group) == DYNALOCK_BAD_ARGUMENT)
        return 0;
    for (i = 0; i < group->count; i++)
        least = (uint32_t)dl_least(
            least, dynalock_remaining_ms(client, group->locks[i]));
    return least;
}

/* "name/12" */
static dynalock_outcome dl_permit_init(dynalock_permit *permit,
    uint32_t number, const dynalock_lock_options *options)
{
    dynalock_lock_options own = *options;
    dl_span span;
    dl_sink *sink =
        dl_span_open(&span, permit->key, sizeof permit->key - 1, 0);

    dl_put_text(sink, options->key);
    dl_put_text(sink, "/");
    dl_put_decimal(sink, number);
    permit->key[span.used] = '\0';
    own.key = permit->key;
    if (span.total > span.used) return DYNALOCK_BAD_KEY;
    return dynalock_lock_init(&permit->lock, &own);
}

DYNALOCK_API dynalock_outcome dynalock_semaphore_init(
    dynalock_semaphore *semaphore, dynalock_permit *permits, uint32_t count,
    const dynalock_lock_options *options)
{
    dynalock_outcome rc = DYNALOCK_OK;
    uint32_t i;

    if (semaphore == NULL) return DYNALOCK_BAD_ARGUMENT;
    memset(semaphore, 0, sizeof *semaphore);
    if (permits == NULL || count == 0 || options == NULL)
        return DYNALOCK_BAD_ARGUMENT;
    if (!dl_is_name(options->key, 2048)) return DYNALOCK_BAD_KEY;
    for (i = 0; i < count && rc == DYNALOCK_OK; i++)
        rc = dl_permit_init(&permits[i], i, options);
    if (rc != DYNALOCK_OK) return rc;
    semaphore->permits = permits;
    semaphore->count = count;
    semaphore->operation.outcome = DYNALOCK_NOT_HELD;
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_lock *dynalock_semaphore_lock(
    dynalock_semaphore *semaphore)
{
    if (semaphore == NULL || semaphore->permits == NULL ||
        semaphore->operation.outcome != DYNALOCK_OK)
        return NULL;
    return dl_permit(semaphore);
}

DYNALOCK_API uint64_t dynalock_fence(const dynalock_lock *lock)
{
    return lock != NULL ? lock->token : 0;
}

static void dl_change_lease(dynalock_lock *lock, uint32_t lease_ms)
{
    dynalock_client *client = lock->operation.client;

    lock->lease_ms = lease_ms;
    lock->until =
        dl_least(lock->until, client->now + dl_usable(client, lease_ms));
    /* an alarm is looked after at the next poll */
    lock->operation.deadline = lock->alarm != NULL ? client->now : lock->until;
    if (!client->config.manual_renew) lock->operation.due = client->now;
}

DYNALOCK_API dynalock_outcome dynalock_set_lease(
    dynalock_client *client, dynalock_lock *lock, uint32_t lease_ms)
{
    dynalock_outcome rc;

    if (!dl_is_ready(client) || lock == NULL) return DYNALOCK_BAD_ARGUMENT;
    if (lease_ms == 0) lease_ms = client->config.lease_ms;
    if (!dl_lease_is_sound(client, lease_ms)) return DYNALOCK_BAD_LEASE;
    (void)dl_enter(client);
    rc = dl_check_held(client, lock);
    if (rc == DYNALOCK_OK) dl_change_lease(lock, lease_ms);
    dl_leave(client);
    return rc;
}

/* Ends every call under way: what is held is released, all else cancelled. Or
   only what is held. */
static void dl_end_all(dynalock_client *client, int held_only)
{
    dynalock_operation *at = client->operations, *next;

    client->worst = DYNALOCK_OK;
    for (; at != NULL; at = next) {
        next = at->next;
        if (held_only && at->steps(DL_STEP_LEASE).lease(client, at, 0) == 0)
            continue;
        at->steps(DL_STEP_END).end(at, DL_END_CLOSED);
    }
}

/* Until is_over says so, or wait_ms have passed. */
static void dl_wait_until(dynalock_client *client,
    int (*is_over)(const dynalock_client *client), uint32_t wait_ms)
{
    const dynalock_platform *platform = client->config.platform;
    uint64_t end = DL_NEVER;
    unsigned interest;
    uint32_t ms;
    int over;

    do {
        (void)dl_enter(client);
        if (end == DL_NEVER) end = client->now + wait_ms;
        (void)dl_poll(client);
        over = is_over(client) || client->now >= end || platform->wait == NULL;
        dl_wants(client, &interest, &ms);
        ms = (uint32_t)dl_least(ms, end - client->now);
        dl_leave(client);
        if (over) return;
    } while (platform->wait(platform->context, interest, ms) == 0);
}

static int dl_is_idle(const dynalock_client *client)
{
    return client->operations == NULL;
}

static void dl_close_end(dynalock_client *client)
{
    dl_exchange_close(client);
    while (client->operations != NULL)
        dl_fail(client->operations, DYNALOCK_UNKNOWN);
}

DYNALOCK_API dynalock_outcome dynalock_client_close(
    dynalock_client *client, uint32_t wait_ms)
{
    dynalock_outcome rc;

    if (!dl_enter(client)) return DYNALOCK_BAD_ARGUMENT;
    dl_end_all(client, 0);
    dl_leave(client);
    dl_wait_until(client, dl_is_idle, wait_ms);
    (void)dl_enter(client);
    dl_close_end(client);
    client->stream(DL_STREAM_WIPE).wipe(client);
    rc = (dynalock_outcome)client->worst;
    dl_leave(client);
    dl_wipe(client, sizeof *client);
    return rc;
}

/* No lock is being given back. */
static int dl_all_given_back(const dynalock_client *client)
{
    const dynalock_operation *at = client->operations;

    for (; at != NULL; at = at->next)
        if (at->steps(DL_STEP_BODY).body == dl_lock_body &&
            at->state >= DL_LOCK_LEAVE)
            return 0;
    return 1;
}

DYNALOCK_API dynalock_outcome dynalock_release_all(
    dynalock_client *client, uint32_t wait_ms)
{
    dynalock_outcome rc;

    if (!dl_enter(client)) return DYNALOCK_BAD_ARGUMENT;
    dl_end_all(client, 1);
    dl_leave(client);
    dl_wait_until(client, dl_all_given_back, wait_ms);
    (void)dl_enter(client);
    rc = dl_all_given_back(client) ? (dynalock_outcome)client->worst
                                   : DYNALOCK_UNKNOWN;
    dl_leave(client);
    return rc;
}

/* A request under way must not change: its bytes are made as they leave. */
static dynalock_outcome dl_change_data(
    dynalock_lock *lock, const void *data, uint32_t size, char letter)
{
    dynalock_operation *operation = &lock->operation;
    dynalock_client *client = operation->client;

    if (client != NULL &&
        (lock->until == 0 || client->exchange.operation == operation))
        return DYNALOCK_IN_USE;
    lock->data = (const uint8_t *)data;
    lock->data_size = size;
    lock->put_data = dl_put_base64;
    lock->data_letter = letter;
    if (client == NULL) return DYNALOCK_OK;
    lock->data_due = 1;
    if (!client->config.manual_renew) operation->due = client->now;
    return DYNALOCK_OK;
}

static dynalock_outcome dl_enter_and_change(
    dynalock_lock *lock, const void *data, uint32_t size, char letter)
{
    dynalock_client *client = lock->operation.client;
    dynalock_outcome rc;

    if (client != NULL) (void)dl_enter(client);
    rc = dl_change_data(lock, data, size, letter);
    if (client != NULL) dl_leave(client);
    return rc;
}

DYNALOCK_API dynalock_outcome dynalock_set_data(
    dynalock_lock *lock, const void *data, uint32_t size)
{
    if (lock == NULL || (data == NULL && size != 0) ||
        size > DYNALOCK_DATA_MOST)
        return DYNALOCK_BAD_ARGUMENT;
    return dl_enter_and_change(lock, data, size, data != NULL ? 'D' : 'N');
}

DYNALOCK_API dynalock_outcome dynalock_keep_data(dynalock_lock *lock)
{
    if (lock == NULL) return DYNALOCK_BAD_ARGUMENT;
    return dl_enter_and_change(lock, NULL, 0, 0);
}

DYNALOCK_API const uint8_t *dynalock_data(
    dynalock_record *record, uint32_t *size)
{
    uint8_t *out = (uint8_t *)(void *)record->data;

    if (record->data_size != DYNALOCK_TOO_LONG && !record->data_is_text)
        record->data_size = dl_base64_decode(
            out, DYNALOCK_DATA_SIZE, record->data, record->data_size);
    *size = record->data_size;
    return out;
}

DYNALOCK_API uint64_t dynalock_extend_ticks(
    dynalock_ticks *ticks, uint32_t now)
{
    /* a reading that comes a little late is no wrap */
    if (now < ticks->last && ticks->last - now < 0x80000000u)
        return ticks->high | ticks->last;
    if (now < ticks->last) ticks->high += (uint64_t)1 << 32;
    ticks->last = now;
    return ticks->high | now;
}

DYNALOCK_API dynalock_scope dynalock_scope_enter(
    dynalock_client *client, dynalock_lock *lock, uint32_t wait_ms)
{
    dynalock_scope scope;
    dynalock_outcome rc = dynalock_acquire(client, lock, wait_ms);

    scope.client = client;
    scope.lock = rc == DYNALOCK_OK ? lock : NULL;
    return scope;
}

DYNALOCK_API void dynalock_scope_leave(dynalock_scope *scope)
{
    if (scope->lock != NULL)
        (void)dynalock_release(scope->client, scope->lock);
    scope->lock = NULL;
}

/* Each sentence is an array of its own, so that the linker drops them all with
   the function. */
#define DL_EXPLANATIONS(X)                                                    \
    X(DYNALOCK_OK, "Done.")                                                   \
    X(DYNALOCK_AGAIN, "Under way: keep calling dynalock_poll.")               \
    X(DYNALOCK_BAD_ARGUMENT,                                                  \
        "A pointer is NULL, or the platform lacks a function.")               \
    X(DYNALOCK_BAD_KEY,                                                       \
        "The key is empty, too long or not UTF-8, or the sort key is "        \
        "missing or superfluous for this table.")                             \
    X(DYNALOCK_BAD_TABLE,                                                     \
        "The table name must be 3 to 255 of A-Z a-z 0-9 _ . -")               \
    X(DYNALOCK_BAD_LEASE,                                                     \
        "The lease leaves no time within the margin for clocks, or is "       \
        "over 24 days.")                                                      \
    X(DYNALOCK_BAD_REGION,                                                    \
        "The region is missing or not an AWS region name.")                   \
    X(DYNALOCK_BAD_ENDPOINT,                                                  \
        "The endpoint must be http://host[:port] or https://host[:port].")    \
    X(DYNALOCK_BAD_OWNER, "The owner name is empty, too long or not UTF-8.")  \
    X(DYNALOCK_BAD_TLS,                                                       \
        "An https endpoint needs config.tls with trust anchors, or "          \
        "secure_transport; an http endpoint must have neither.")              \
    X(DYNALOCK_BAD_BUFFER, "The memory given is too small.")                  \
    X(DYNALOCK_NO_ENTROPY, "The entropy function failed.")                    \
    X(DYNALOCK_IN_USE,                                                        \
        "This object has a call under way: wait for its result or cancel "    \
        "it.")                                                                \
    X(DYNALOCK_SAME_KEY,                                                      \
        "Another lock of this client is at work on the same key.")            \
    X(DYNALOCK_HELD, "This lock is held already.")                            \
    X(DYNALOCK_NOT_HELD, "This lock is not held.")                            \
    X(DYNALOCK_NO_FILE, "The file cannot be read.")                           \
    X(DYNALOCK_BAD_FILE, "The file is malformed, or holds no certificate.")   \
    X(DYNALOCK_BAD_BLOB,                                                      \
        "This is not a saved lock, is damaged, or is of another owner.")      \
    X(DYNALOCK_BUSY, "Another owner holds the lock.")                         \
    X(DYNALOCK_TIMEOUT,                                                       \
        "Another owner held the lock until the wait was over.")               \
    X(DYNALOCK_LOST_EXPIRED,                                                  \
        "The lock is lost: its lease ran out before it was renewed.")         \
    X(DYNALOCK_LOST_STOLEN, "The lock is lost: another owner has taken it.")  \
    X(DYNALOCK_LOST_VANISHED, "The lock is lost: somebody deleted its item.") \
    X(DYNALOCK_LOST_RELEASED, "The lock is lost: somebody released it.")      \
    X(DYNALOCK_UNKNOWN,                                                       \
        "A write is unanswered and is being taken back: keep polling.")       \
    X(DYNALOCK_CANCELLED, "The call was cancelled.")                          \
    X(DYNALOCK_NOT_A_LOCK,                                                    \
        "The item at this key is not a lock that this layout understands; "   \
        "it was left alone.")                                                 \
    X(DYNALOCK_BAD_SEAL,                                                      \
        "The data was not sealed with this key for this item, or was "        \
        "altered.")                                                           \
    X(DYNALOCK_DANGER, "The lock is held, but not for long any more.")        \
    X(DYNALOCK_KEPT,                                                          \
        "The item was left alone: it is held, not there, released too "       \
        "short ago, or not any more what was shown.")                         \
    X(DYNALOCK_KEY_TOO_LONG,                                                  \
        "The listing ends at a key that DYNALOCK_CURSOR_SIZE has no room "    \
        "for.")                                                               \
    X(DYNALOCK_CONDITION,                                                     \
        "A condition of the request did not hold: nothing was written.")      \
    X(DYNALOCK_UNREACHABLE,                                                   \
        "No connection: check the network, host and port.")                   \
    X(DYNALOCK_DISCONNECTED,                                                  \
        "The connection was cut before the answer was whole.")                \
    X(DYNALOCK_NO_ANSWER, "The service did not answer in time.")              \
    X(DYNALOCK_BAD_ANSWER,                                                    \
        "What answered does not speak DynamoDB's language, or the answer "    \
        "was damaged.")                                                       \
    X(DYNALOCK_TLS_NO_HANDSHAKE,                                              \
        "The peer does not answer in TLS 1.2: check host and port.")          \
    X(DYNALOCK_TLS_UNTRUSTED,                                                 \
        "The server's certificate is not issued under the trust anchors.")    \
    X(DYNALOCK_TLS_NAME,                                                      \
        "The server's certificate is for another host name.")                 \
    X(DYNALOCK_TLS_DATE,                                                      \
        "The server's certificate is out of date, or this device's clock "    \
        "is wrong.")                                                          \
    X(DYNALOCK_TLS_RECORD,                                                    \
        "The server's TLS records are larger than DYNALOCK_TLS_BUFFER.")      \
    X(DYNALOCK_TLS_FAILED,                                                    \
        "TLS failed: see detail.tls_error (BearSSL's number).")               \
    X(DYNALOCK_CLOCK_UNSET, "Set the wall clock first.")                      \
    X(DYNALOCK_CLOCK_SKEW, "The wall clock is too far off for the service.")  \
    X(DYNALOCK_CREDENTIALS_MISSING, "Give an access key id and a secret.")    \
    X(DYNALOCK_CREDENTIALS_REFUSED,                                           \
        "The service does not accept these credentials.")                     \
    X(DYNALOCK_CREDENTIALS_EXPIRED,                                           \
        "The temporary credentials have expired.")                            \
    X(DYNALOCK_DENIED,                                                        \
        "These credentials lack a right on the table: see detail.message.")   \
    X(DYNALOCK_CREDENTIALS_NOT_OFFERED,                                       \
        "The profile asks for a way to credentials that is not offered.")     \
    X(DYNALOCK_THROTTLED,                                                     \
        "The service is throttling or saw conflicting writes.")               \
    X(DYNALOCK_SERVICE_FAILED, "The service failed (5xx).")                   \
    X(DYNALOCK_SERVICE_REFUSED,                                               \
        "The service refused the request: see detail.type and "               \
        "detail.message.")                                                    \
    X(DYNALOCK_TABLE_MISSING, "There is no such table in this region.")       \
    X(DYNALOCK_TABLE_SHAPE,                                                   \
        "The table's keys have other names or types than the config says.")   \
    X(DYNALOCK_TABLE_NOT_READY,                                               \
        "The table is being created or deleted, or cannot be used: see "      \
        "detail.message.")                                                    \
    X(DYNALOCK_TABLE_TTL,                                                     \
        "The table's TTL is off or on another attribute than the config "     \
        "says: see detail.message.")

DYNALOCK_API const char *dynalock_explain(dynalock_outcome outcome)
{
#define DL_SENTENCE(name, text) static const char text_##name[] = text;
#define DL_CASE(name, text)                                                   \
    case name: return text_##name;
    DL_EXPLANATIONS(DL_SENTENCE)
    switch (outcome) {
        DL_EXPLANATIONS(DL_CASE)
    }
    return "Not an outcome of this library.";
#undef DL_CASE
#undef DL_SENTENCE
}

/* ===================================================================== */
/* == credentials: those that are fetched, and fetched again              */
/* ===================================================================== */

/*
The layers above know nothing of providers. A provider puts a stream before the
client's that decides, when a connection is opened, what must come first: an
exchange whose credentials are used up waits in `open` until others are there.
It also adds an operation to the client's list when it is time to fetch some
that no request waits for yet; all that this one does happens in `open` as well.

One request to a source:

    state      on                                   goes to
    IDLE       the source asks                      OPEN
    OPEN       the stream is open                   SEND
    OPEN       failure, stop                        IDLE
    SEND       all is sent                          RECEIVE
    SEND       failure, stop                        IDLE
    RECEIVE    answered, failure, stop              IDLE
*/
enum { DL_ASK_IDLE, DL_ASK_OPEN, DL_ASK_SEND, DL_ASK_RECEIVE };

#define DL_RENEW_MS 300000u     /* before they expire; half of life at most */
#define DL_UNTIL_MS 10000u      /* the same; a quarter at most */
#define DL_SPREAD_MS 60000u     /* a fleet does not ask all at once */
#define DL_PAUSE_MS 30000u      /* after a fetch that nobody waited for */
#define DL_LIFE_LEAST_MS 900000 /* the shortest that AWS gives */
/* The longest. (A clock that is years behind gives more.) */
#define DL_LIFE_MOST_MS 43200000

/* What `open` says when all was done in it, and when it was not the time for
   it: not outcomes of any call. */
#define DL_FETCHED DL_CONDITION_FAILED
#define DL_NOT_NOW (-3)

/* Arrays, not literals: what other sections have as well would otherwise stand
   among the literals here, all of which the linker then keeps. */
static const char dl_text_placeholder[] = "-";
static const char dl_text_colon[] = ":";
static const char dl_text_slash[] = "/";
static const char dl_text_item[] = "Item";
static const char dl_text_end[] = "}";
static const char dl_text_plain[] = "http://";
static const char dl_text_secure[] = "https://";
static const char dl_text_host[] = ".-_";
static const char dl_text_blanks[] = " \t\n\r";
static const char dl_text_bracket[] = "]";

static dynalock_provider *dl_provider(const dynalock_client *client)
{
    return (dynalock_provider *)client->config.refresh_context;
}

static char *dl_spare(const dynalock_provider *provider)
{
    return provider->memory + (provider->in_use ? 0 : provider->half);
}

/* ---- what was fetched ---- */

/* For a header: no control character, no space. For a secret, which is in
   none, spaces will do. */
static int dl_is_printable(const char *text, size_t size, char least)
{
    while (size-- != 0) {
        char c = *text++;

        if (c < least || c > '~') return 0;
    }
    return 1;
}

/* Without the line's end that may follow it. */
static size_t dl_count_token(const char *text)
{
    size_t size = strlen(text);

    if (size != 0 && text[size - 1] == '\n') size--;
    if (size != 0 && text[size - 1] == '\r') size--;
    return size;
}

static int dl_is_sound(const dynalock_credentials *credentials)
{
    const char *token = credentials->token;

    return dl_is_printable(
               credentials->key_id, strlen(credentials->key_id), '!') &&
           dl_is_printable(
               credentials->secret, strlen(credentials->secret), ' ') &&
           (token == NULL || dl_is_printable(token, strlen(token), '!'));
}

/* The spare half has become the one in use. */
static void dl_provider_switch(dynalock_client *client,
    dynalock_provider *provider, const dynalock_credentials *fresh)
{
    provider->credentials = *fresh;
    provider->in_use = !provider->in_use;
    dl_wipe(dl_spare(provider), provider->half);
    dl_take_credentials(client, &provider->credentials);
}

/* They live for so long from now on; 0: for ever. */
static void dl_provider_date(
    dynalock_client *client, dynalock_provider *provider, uint32_t life)
{
    uint32_t spread = dl_random(client, DL_SPREAD_MS);
    uint32_t early = DL_RENEW_MS - spread;

    provider->renew = DL_NEVER;
    provider->until = DL_NEVER;
    if (life == 0) return;
    provider->renew = client->now + life - dl_least(early, life / 2);
    provider->until = client->now + life - dl_least(DL_UNTIL_MS, life / 4);
}

/* The time by the source's own clock if it said, else by this device's: an
   expiry is of the same clock. */
static int64_t dl_source_unix_ms(const dynalock_client *client)
{
    const dynalock_response *response = &client->response;

    if (response->date != 0 && (response->seen & DL_SEEN_AGE) == 0)
        return (int64_t)response->date * 1000;
    return (int64_t)dl_unix_ms(client);
}

/* Takes what stands in the spare half; fresh points there. */
static dynalock_outcome dl_provider_take(dynalock_client *client,
    dynalock_provider *provider, const dynalock_credentials *fresh,
    int64_t life)
{
    dynalock_outcome rc = dl_check_credentials(fresh);

    if (rc != DYNALOCK_OK) return rc;
    if (!dl_is_sound(fresh)) return DYNALOCK_BAD_ANSWER;
    if (life < 0) return DYNALOCK_CREDENTIALS_EXPIRED;
    if (life > DL_LIFE_MOST_MS) life = DL_LIFE_MOST_MS;
    client->now = dl_now(client);
    dl_provider_switch(client, provider, fresh);
    dl_provider_date(client, provider, (uint32_t)life);
    return DYNALOCK_OK;
}

/* Where it was copied to; NULL: it is NULL, or there is no room, which
   span->total tells. */
static const char *dl_provider_copy(dl_span *span, const char *text)
{
    char *at = span->at + span->used;

    if (text == NULL) return NULL;
    dl_put(&span->sink, text, strlen(text) + 1);
    return at;
}

DYNALOCK_API dynalock_outcome dynalock_provide(dynalock_client *client,
    dynalock_provider *provider, const dynalock_credentials *credentials,
    int64_t expires_ms)
{
    dynalock_credentials fresh;
    dynalock_outcome rc;
    int64_t life = 0;
    dl_span span;

    if (client == NULL || provider == NULL || credentials == NULL)
        return DYNALOCK_BAD_ARGUMENT;
    if (expires_ms != 0) life = expires_ms - (int64_t)dl_unix_ms(client);
    if (expires_ms != 0 && life == 0) life = -1;
    (void)dl_span_open(&span, dl_spare(provider), provider->half, 0);
    fresh.key_id = dl_provider_copy(&span, credentials->key_id);
    fresh.secret = dl_provider_copy(&span, credentials->secret);
    fresh.token = dl_provider_copy(&span, credentials->token);
    rc = DYNALOCK_BAD_BUFFER;
    if (span.total == span.used)
        rc = dl_provider_take(client, provider, &fresh, life);
    if (rc != DYNALOCK_OK) dl_wipe(dl_spare(provider), provider->half);
    return rc;
}

/* ---- a request to a source ---- */

typedef struct dl_question {
    const char *host; /* an IPv6 address without its brackets */
    uint16_t port;
    uint8_t secure; /* TLS, or the port's */
    uint8_t is_json;
    uint8_t is_nested; /* JSON: what counts is within "credentials" */
    void (*put)(const dynalock_provider *provider, dl_sink *sink);
} dl_question;

/* Names the reason for the outcome that follows. */
static dynalock_outcome dl_blame(dynalock_client *client,
    const dynalock_provider *provider, dynalock_outcome outcome,
    const char *why)
{
    dynalock_detail *detail = &client->detail;
    const char *name = provider->source.name;

    dl_copy_text(detail->type, sizeof detail->type, name, strlen(name));
    dl_copy_text(detail->message, sizeof detail->message, why, strlen(why));
    return outcome;
}

#ifndef DYNALOCK_NO_TLS
/* Each host has its session; a host that asks who we are its profile, too. */
static void dl_provider_swap_tls(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_tls *tls = client->config.tls;
    br_ssl_session_parameters session = tls->session;
    dynalock_tls_profile *profile = tls->profile;

    if (provider->profile != NULL) {
        tls->profile = provider->profile;
        provider->profile = profile;
    }
    tls->session = provider->session;
    provider->session = session;
    dl_wipe(&session, sizeof session);
    dl_wipe(tls->buffer, sizeof tls->buffer); /* what came may be a secret */
}

static void dl_provider_swap(
    dynalock_client *client, dynalock_provider *provider)
{
    if (provider->stream != dl_plain) dl_provider_swap_tls(client, provider);
}
#else
static void dl_provider_swap(
    dynalock_client *client, dynalock_provider *provider)
{
    (void)client;
    (void)provider;
}
#endif

/* From the service's host to the source's. */
static void dl_ask_begin(dynalock_client *client, dynalock_provider *provider,
    const dl_question *question)
{
    const dynalock_config *config = &client->config;

    provider->stream = dl_plain;
    if (question->secure) provider->stream = dl_stream(config);
    provider->secure = config->secure_transport;
    provider->port = client->port;
    dl_copy(provider->host, client->host, sizeof provider->host);
    client->config.secure_transport = question->secure && provider->secure;
    client->port = question->port;
    dl_copy_text(client->host, sizeof client->host, question->host,
        strlen(question->host));
    dl_provider_swap(client, provider);
    provider->state = DL_ASK_OPEN;
}

/* And back. */
static void dl_ask_end(
    dynalock_client *client, dynalock_provider *provider, int is_open)
{
    if (provider->state == DL_ASK_IDLE) return;
    provider->state = DL_ASK_IDLE;
    if (is_open) provider->stream(DL_STREAM_CLOSE).close(client);
    dl_provider_swap(client, provider);
    client->config.secure_transport = provider->secure;
    client->port = provider->port;
    dl_copy(client->host, provider->host, sizeof client->host);
    dl_wipe(&client->memory, sizeof client->memory);
}

static void dl_ask_fill(dynalock_client *client,
    const dynalock_provider *provider, const dl_question *question)
{
    dynalock_exchange *exchange = &client->exchange;
    dl_span span;

    question->put(provider, dl_span_open(&span, client->memory.window,
                                sizeof client->memory.window, exchange->sent));
    exchange->window_at = exchange->sent;
    exchange->window_used = (uint16_t)span.used;
    exchange->total = (uint32_t)span.total;
}

/* What a question to a nested answer calls "credentials" is the filter's
   dl_text_item. */
static void dl_answer_rename(dynalock_filter *filter)
{
    const char *name = filter->out + filter->start + 1;

    if (filter->depth != 1 || filter->keep != DL_KEEP_NAME ||
        !dl_equals(
            name, (size_t)(filter->used - filter->start) - 1, "credentials"))
        return;
    filter->used = (uint16_t)(filter->start + 1);
    dl_put_text(&filter->sink, dl_text_item);
}

enum { /* of dl_key_names; the nested ones are the first four */
    DL_KEY_ID,
    DL_KEY_SECRET,
    DL_KEY_TOKEN,
    DL_KEY_EXPIRATION,
    DL_KEY_CODE,
    DL_KEY_WORDS,
    DL_KEY_OTHER_WORDS,
    DL_KEYS
};
DL_ASSERT_STATIC(
    an_answers_names_fit, sizeof(((dynalock_answer *)NULL)->wants) ==
                              (DL_KEYS + 1) * sizeof(dynalock_want));

static const char dl_key_names[DL_KEYS][16] = { "AccessKeyId",
    "SecretAccessKey", "Token", "Expiration", "Code", "message", "Message" };
static const char dl_nested_names[DL_KEY_CODE][16] = { "accessKeyId",
    "secretAccessKey", "sessionToken", "expiration" };

/* The answer's texts stay in the spare half, wherever they come from. */
static void dl_want_keys(dynalock_answer *answer)
{
    static const uint16_t limits[DL_KEYS] = { 65535, 65535, 65535, 65535,
        DL_TYPE_LIMIT, DL_MESSAGE_LIMIT, DL_MESSAGE_LIMIT };
    unsigned i, count = answer->is_nested ? DL_KEY_CODE : DL_KEYS;

    for (i = 0; i < count; i++) {
        answer->wants[i].name =
            answer->is_nested ? dl_nested_names[i] : dl_key_names[i];
        answer->wants[i].limit = limits[i];
        answer->wants[i].expect =
            i < DL_KEY_CODE ? DL_EXPECT_SCALAR : DL_EXPECT_TEXT;
    }
    answer->wants[i].name = NULL;
}

/* Behind a document there is nothing. */
static int dl_answer_is_over(const dynalock_answer *answer)
{
    return !answer->is_nested && answer->filter->depth == 1 &&
           answer->filter->state == DL_JSON_AFTER;
}

static void dl_answer_byte(const dynalock_answer *answer, char c)
{
    dynalock_filter *filter = answer->filter;

    if (c == '"' && filter->state == DL_JSON_STRING) dl_answer_rename(filter);
    if (dl_answer_is_over(answer) && !dl_is_in(c, dl_text_blanks))
        dl_filter_bad(filter);
    dl_put(&filter->sink, &c, 1);
}

static void dl_answer_take(dl_sink *sink, const void *data, size_t size)
{
    dynalock_answer *answer = (dynalock_answer *)(void *)sink;
    const char *from = (const char *)data;

    for (; size != 0; size--, from++) {
        if (answer->filter != NULL) {
            dl_answer_byte(answer, *from);
        } else {
            if (answer->used < answer->size) answer->out[answer->used] = *from;
            if (answer->used <= answer->size) answer->used++;
        }
    }
}

static void dl_answer_begin(dynalock_client *client,
    dynalock_provider *provider, const dl_question *question)
{
    dynalock_answer *answer = &provider->answer;

    answer->sink.take = dl_answer_take;
    answer->filter = NULL;
    answer->out = dl_spare(provider);
    answer->size = provider->half;
    answer->used = 0;
    dl_response_begin(&client->response, &answer->sink);
    if (!question->is_json) return;
    answer->filter = &client->filter;
    answer->is_nested = question->is_nested;
    dl_want_keys(answer);
    dl_filter_begin(&client->filter, answer->wants, answer->out,
        (uint16_t)dl_least(answer->size, 65535));
    if (!question->is_nested) dl_put_text(&client->filter.sink, "{\"Item\":");
}

/* 1: all has left. 0: not now. */
static int32_t dl_ask_send(dynalock_client *client,
    dynalock_provider *provider, const dl_question *question)
{
    dynalock_exchange *exchange = &client->exchange;
    int32_t n = 1;

    while (exchange->sent < exchange->total) {
        uint32_t at = exchange->sent - exchange->window_at;

        if (at == exchange->window_used) {
            dl_ask_fill(client, provider, question);
            at = 0;
        }
        n = provider->stream(DL_STREAM_WRITE)
                .write(client, client->memory.window + at,
                    exchange->window_used - at);
        if (n <= 0) return n;
        exchange->sent += (uint32_t)n;
    }
    n = provider->stream(DL_STREAM_FLUSH).flush(client);
    if (n < 0) return n;
    return n == 0;
}

/* 1: answered. 0: not now. */
static int32_t dl_ask_receive(
    dynalock_client *client, const dynalock_provider *provider)
{
    dynalock_response *response = &client->response;
    char chunk[DL_CHUNK];
    int32_t n = 1;
    int i;

    for (i = 0; i < DL_TURNS && n > 0 && !dl_http_ended(response); i++) {
        n = provider->stream(DL_STREAM_READ).read(client, chunk, sizeof chunk);
        if (n > 0) (void)dl_response_feed(response, chunk, (size_t)n);
        if (n != DYNALOCK_EOF) continue;
        dl_response_eof(response);
        if (response->state == DL_HTTP_BAD) n = DYNALOCK_DISCONNECTED;
    }
    dl_wipe(chunk, sizeof chunk);
    if (dl_http_ended(response) && n != DYNALOCK_DISCONNECTED) return 1;
    if (n > 0) client->exchange.interest = DYNALOCK_READ | DYNALOCK_WRITE;
    return n < 0 ? n : 0;
}

static int32_t dl_ask_step(dynalock_client *client,
    dynalock_provider *provider, const dl_question *question)
{
    int32_t rc;

    switch (provider->state) {
    case DL_ASK_OPEN:
        rc = provider->stream(DL_STREAM_OPEN).open(client);
        if (rc == DYNALOCK_AGAIN) return 0;
        if (rc != 0) return rc;
        provider->state = DL_ASK_SEND;
        client->exchange.unix_ms = dl_unix_ms(client);
        client->exchange.sent = 0;
        dl_ask_fill(client, provider, question);
        return 1;
    case DL_ASK_SEND:
        rc = dl_ask_send(client, provider, question);
        if (rc <= 0) return rc;
        provider->state = DL_ASK_RECEIVE;
        client->exchange.interest = DYNALOCK_READ;
        dl_answer_begin(client, provider, question);
        return 1;
    default: return dl_ask_receive(client, provider);
    }
}

/* Asks a source's host. DYNALOCK_OK: answered, client->response.status says
   how. */
static dynalock_outcome dl_ask(dynalock_client *client,
    dynalock_provider *provider, const dl_question *question)
{
    uint8_t state;
    int32_t rc;

    if (question->secure && !client->config.secure_transport &&
        client->config.tls == NULL)
        return dl_blame(client, provider, DYNALOCK_BAD_TLS, "needs TLS");
    if (provider->state == DL_ASK_IDLE)
        dl_ask_begin(client, provider, question);
    do {
        state = provider->state;
        rc = dl_ask_step(client, provider, question);
    } while (rc > 0 && state != DL_ASK_RECEIVE);
    if (rc == 0) return DYNALOCK_AGAIN;
    /* an open that failed has cleaned up */
    dl_ask_end(client, provider, rc > 0 || state != DL_ASK_OPEN);
    client->detail.http_status = rc > 0 ? client->response.status : 0;
    if (rc < 0)
        return dl_blame(
            client, provider, (dynalock_outcome)rc, "no connection");
    if (client->response.state == DL_HTTP_BAD)
        return dl_blame(client, provider, DYNALOCK_BAD_ANSWER, "not HTTP");
    return DYNALOCK_OK;
}

/* ---- the answer ---- */

/* What a status but 200 means. */
static dynalock_outcome dl_status_outcome(uint16_t status)
{
    switch (status) {
    case 401: return DYNALOCK_CREDENTIALS_REFUSED;
    case 403: return DYNALOCK_DENIED;
    case 404: return DYNALOCK_CREDENTIALS_MISSING;
    case 429:
    case 503: return DYNALOCK_THROTTLED;
    default: break;
    }
    if (status >= 500) return DYNALOCK_SERVICE_FAILED;
    return status >= 400 ? DYNALOCK_SERVICE_REFUSED : DYNALOCK_BAD_ANSWER;
}

/* Two digits at a time, from a fixed place. */
static int dl_read_parts(const char *text, uint32_t *part, unsigned count)
{
    static const uint8_t places[] = { 0, 5, 8, 11, 14, 17 };
    unsigned i;

    for (i = 0; i < count; i++)
        if (!dl_read_word(text + places[i], i == 0 ? 4 : 2, &part[i]))
            return 0;
    return 1;
}

static int dl_is_time(const uint32_t part[6])
{
    return part[0] >= 1970 && part[1] - 1 < 12 && part[2] - 1 < 31 &&
           part[3] <= 23 && part[4] <= 59 && part[5] <= 60;
}

/* "2018-01-18T09:18:06Z", with a fraction perhaps, as Unix milliseconds. 0:
   it is not. Years begin in March, as in dl_date. */
static int64_t dl_read_time(const char *text, size_t size)
{
    uint32_t part[6], year, month;
    size_t at = 19;
    int64_t days;

    if (size < 20 || text[4] != '-' || text[7] != '-' ||
        (text[10] | 32) != 't' || text[13] != ':' || text[16] != ':' ||
        !dl_read_parts(text, part, 6))
        return 0;
    if (text[at] == '.') at += 1 + dl_count(text + at + 1, "0123456789");
    if (!dl_equals(text + at, size - at, "Z") &&
        !dl_equals(text + at, size - at, "+00:00"))
        return 0;
    if (!dl_is_time(part)) return 0;
    month = (part[1] + 9) % 12;
    year = part[0] - (part[1] < 3);
    days = (int64_t)(365 * year + year / 4 - year / 100 + year / 400 +
                     (153 * month + 2) / 5 + part[2]) -
           719469;
    return (((days * 24 + part[3]) * 60 + part[4]) * 60 + part[5]) * 1000;
}

/* What the filter has kept, as a document. The tokens need no memory but the
   client's. */
static int dl_answer_parse(
    dynalock_client *client, const dynalock_provider *provider)
{
    dl_json *json = &client->json;
    dynalock_filter *filter = &client->filter;
    jsmn_parser parser;

    if (!provider->answer.is_nested) dl_put_text(&filter->sink, dl_text_end);
    json->text = dl_spare(provider);
    json->tokens = client->memory.answer.tokens;
    json->count = 0;
    if (filter->state != DL_JSON_DONE) return 0;
    jsmn_init(&parser);
    json->count = jsmn_parse(&parser, json->text, filter->used,
        (jsmntok_t *)(void *)client->memory.answer.tokens, DYNALOCK_TOKENS);
    return json->count > 0;
}

/* A member's text; NULL: there is none, or it was too long for the memory,
   which is an outcome. */
static const char *dl_answer_text(const dl_json *json, int object,
    const char *name, size_t *size, dynalock_outcome *outcome)
{
    int token = dl_json_member(json, object, name);
    dl_found found;

    dl_json_text(json, token, &found);
    if (size != NULL) *size = found.size;
    if (token != 0 && found.text == NULL) *outcome = DYNALOCK_BAD_BUFFER;
    if (found.text != NULL && strlen(found.text) != found.size)
        *outcome = DYNALOCK_BAD_ANSWER;
    return found.text;
}

/* How long they live. 0: they do not say. */
static int64_t dl_answer_life(
    const dynalock_client *client, const char *text, size_t size)
{
    int64_t expires = dl_read_time(text, size);
    int64_t life = expires - dl_source_unix_ms(client);

    if (expires == 0) return 0;
    return life > 0 ? life : -1;
}

/* The service's words about what went wrong. */
static dynalock_outcome dl_answer_refused(dynalock_client *client,
    const dynalock_provider *provider, dynalock_outcome outcome,
    const char *words)
{
    return dl_blame(client, provider, outcome,
        words != NULL ? words : "the host has refused");
}

/* The texts of a JSON answer that has come well; *life in milliseconds. */
static dynalock_outcome dl_answer_texts(dynalock_client *client,
    const dynalock_provider *provider, dynalock_credentials *fresh,
    int64_t *life)
{
    const dl_want *wants = provider->answer.wants;
    const dl_json *json = &client->json;
    int item = dl_json_member(json, 0, dl_text_item);
    dynalock_outcome rc = DYNALOCK_OK;
    const char *expiration;
    size_t size;

    if (item == 0)
        return dl_blame(
            client, provider, DYNALOCK_BAD_ANSWER, "no credentials in it");
    fresh->key_id =
        dl_answer_text(json, item, wants[DL_KEY_ID].name, NULL, &rc);
    fresh->secret =
        dl_answer_text(json, item, wants[DL_KEY_SECRET].name, NULL, &rc);
    fresh->token =
        dl_answer_text(json, item, wants[DL_KEY_TOKEN].name, NULL, &rc);
    expiration =
        dl_answer_text(json, item, wants[DL_KEY_EXPIRATION].name, &size, &rc);
    if (rc == DYNALOCK_BAD_BUFFER)
        return dl_blame(client, provider, rc,
            "more than the provider's memory has room for");
    if (rc != DYNALOCK_OK || fresh->token == NULL || fresh->token[0] == '\0' ||
        dl_check_credentials(fresh) != DYNALOCK_OK)
        return dl_blame(
            client, provider, DYNALOCK_BAD_ANSWER, "incomplete credentials");
    *life = DL_LIFE_LEAST_MS; /* where it need not be told */
    if (expiration != NULL || !provider->answer.is_nested)
        *life = dl_answer_life(client, expiration, size);
    if (*life == 0)
        return dl_blame(client, provider, DYNALOCK_BAD_ANSWER,
            "no time of expiry, or not one");
    return DYNALOCK_OK;
}

/* A 200 may hold an error all the same. */
static dynalock_outcome dl_answer_check(
    dynalock_client *client, const dynalock_provider *provider, int object)
{
    const dl_json *json = &client->json;
    dynalock_outcome ignored;
    const char *words, *code;

    words = dl_answer_text(
        json, object, dl_key_names[DL_KEY_WORDS], NULL, &ignored);
    if (words == NULL)
        words = dl_answer_text(
            json, object, dl_key_names[DL_KEY_OTHER_WORDS], NULL, &ignored);
    if (client->response.status != 200)
        return dl_answer_refused(client, provider,
            dl_status_outcome(client->response.status), words);
    code = dl_answer_text(
        json, object, dl_key_names[DL_KEY_CODE], NULL, &ignored);
    if (code == NULL || dl_equals(code, strlen(code), "Success"))
        return DYNALOCK_OK;
    return dl_answer_refused(client, provider, DYNALOCK_CREDENTIALS_REFUSED,
        words != NULL ? words : code);
}

/* Reads credentials from a JSON answer. */
static dynalock_outcome dl_answer_read(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_credentials fresh;
    dynalock_outcome rc;
    int64_t life = 0;

    rc = dl_answer_check(client, provider,
        provider->answer.is_nested
            ? 0
            : dl_json_member(&client->json, 0, dl_text_item));
    if (rc == DYNALOCK_OK)
        rc = dl_answer_texts(client, provider, &fresh, &life);
    if (rc != DYNALOCK_OK) return rc;
    rc = dl_provider_take(client, provider, &fresh, life);
    if (rc == DYNALOCK_CREDENTIALS_EXPIRED)
        return dl_blame(client, provider, rc,
            "they have expired already, or this device's clock is wrong");
    if (rc != DYNALOCK_OK)
        return dl_blame(client, provider, rc, "characters no header may have");
    return rc;
}

/* The end of a source's last request. */
static dynalock_outcome dl_answer_finish(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_outcome rc;

    if (dl_answer_parse(client, provider)) {
        rc = dl_answer_read(client, provider);
    } else if (client->response.status == 200) {
        rc = dl_blame(client, provider, DYNALOCK_BAD_ANSWER, "not JSON");
    } else {
        rc = dl_answer_refused(client, provider,
            dl_status_outcome(client->response.status), NULL);
    }
    return rc;
}

/* ---- the stream in front ---- */

static void dl_fetch_stop(dynalock_client *client, dynalock_provider *provider)
{
    if (provider->fetching && provider->source.stop != NULL)
        provider->source.stop(client, provider);
    dl_ask_end(client, provider, 1);
    provider->fetching = 0;
    provider->step = 0;
    dl_wipe(dl_spare(provider), provider->half);
}

/* 0: fetched. */
static int32_t dl_fetch(dynalock_client *client, dynalock_provider *provider)
{
    dynalock_outcome rc;

    if (!provider->fetching)
        DL_LOG(client, DYNALOCK_LOG_REFRESH, provider->source.name);
    provider->fetching = 1;
    rc = provider->source.step(client, provider);
    if (rc == DYNALOCK_AGAIN) return rc;
    dl_fetch_stop(client, provider);
    if (rc == DYNALOCK_OK && client->now < provider->until) return 0;
    if (rc == DYNALOCK_OK) rc = DYNALOCK_CREDENTIALS_MISSING;
    if (client->detail.type[0] == '\0')
        (void)dl_blame(client, provider, rc, dl_text_none);
    return rc;
}

/* Every lock that is held has more than twice the time left that this
   connection may take. (A lock's deadline is the end of its hold, or before.)
 */
static int dl_may_fetch(const dynalock_client *client)
{
    const dynalock_operation *at = client->operations;
    uint64_t budget = client->exchange.deadline - client->now;

    for (; at != NULL; at = at->next)
        if (at->steps(DL_STEP_LEASE).lease(client, at, 0) != 0 &&
            at->deadline < client->now + 2 * budget)
            return 0;
    return 1;
}

/* Time for a fetch that nothing waits for: it comes after this request. */
static void dl_fetch_later(
    dynalock_client *client, dynalock_provider *provider)
{
    if (client->now < provider->renew || provider->operation.client != NULL)
        return;
    (void)dl_start_operation(client, &provider->operation, DYNALOCK_FOREVER);
}

static int32_t dl_provided_open_own(
    dynalock_client *client, dynalock_provider *provider)
{
    int32_t rc;

    if (!provider->fetching && !dl_may_fetch(client)) return DL_NOT_NOW;
    rc = dl_fetch(client, provider);
    return rc == 0 ? DL_FETCHED : rc;
}

/* What carries the requests themselves. */
static dynalock_stream_part dl_carrier(
    const dynalock_client *client, unsigned which)
{
    return dl_stream(&client->config)(which);
}

static int32_t dl_provided_open(dynalock_client *client)
{
    dynalock_provider *provider = dl_provider(client);
    int32_t rc;

    if (client->exchange.operation == &provider->operation)
        return dl_provided_open_own(client, provider);
    /* decided once: a connection to the service may be on its way already */
    if (client->exchange.began >= provider->until) {
        rc = dl_fetch(client, provider);
        if (rc != 0) return rc;
        dl_exchange_allow(client, client->config.connect_ms, 0);
    }
    dl_fetch_later(client, provider);
    return dl_carrier(client, DL_STREAM_OPEN).open(client);
}

static int32_t dl_provided_write(
    dynalock_client *client, const void *data, size_t size)
{
    return dl_carrier(client, DL_STREAM_WRITE).write(client, data, size);
}

static int32_t dl_provided_flush(dynalock_client *client)
{
    return dl_carrier(client, DL_STREAM_FLUSH).flush(client);
}

static int32_t dl_provided_read(
    dynalock_client *client, void *data, size_t size)
{
    return dl_carrier(client, DL_STREAM_READ).read(client, data, size);
}

/* The one who is about to use the connection needs another. */
static int dl_provided_is_stale(dynalock_client *client)
{
    dynalock_provider *provider = dl_provider(client);

    if (client->now >= provider->until ||
        dl_next_due(client) == &provider->operation)
        return 1;
    dl_fetch_later(client, provider);
    return dl_carrier(client, DL_STREAM_IS_STALE).is_stale(client);
}

static void dl_provided_close(dynalock_client *client)
{
    dynalock_provider *provider = dl_provider(client);

    if (!provider->fetching) dl_carrier(client, DL_STREAM_CLOSE).close(client);
    else (void)dl_blame(client, provider, DYNALOCK_NO_ANSWER, "not in time");
    dl_fetch_stop(client, provider);
}

static void dl_provided_wipe(dynalock_client *client)
{
    dynalock_provider *provider = dl_provider(client);

    dl_wipe(provider->memory, 2 * (size_t)provider->half);
    dl_carrier(client, DL_STREAM_WIPE).wipe(client);
    dl_wipe(provider, sizeof *provider);
}

DL_STREAM(dl_provided, dl_provided_open, dl_provided_write, dl_provided_flush,
    dl_provided_read, dl_provided_is_stale, dl_provided_close,
    dl_provided_wipe)

/* ---- its operation ---- */

/* However it went: good credentials are still there, and the next request
   after a pause brings another try. */
static void dl_fetch_answer(
    dynalock_operation *operation, dynalock_outcome outcome)
{
    dynalock_client *client = operation->client;
    dynalock_provider *provider = (dynalock_provider *)(void *)operation;

    if ((int)outcome != DL_FETCHED && (int)outcome != DL_NOT_NOW)
        provider->renew =
            client->now + DL_PAUSE_MS + dl_random(client, DL_PAUSE_MS);
    dl_finish(operation, outcome);
}

static void dl_fetch_end(dynalock_operation *operation, unsigned why)
{
    (void)why;
    (void)dl_exchange_abandon(operation);
    dl_finish(operation, DYNALOCK_CANCELLED);
}

/* Behind every renewal, before all that can wait. */
static uint64_t dl_fetch_rank(const dynalock_operation *operation)
{
    (void)operation;
    return (uint64_t)1 << 62;
}

/* `open` never lets it come so far that a request is made. */
DL_STEPS(dl_fetch_steps, NULL, dl_fetch_answer, dl_fetch_end, NULL,
    dl_fetch_rank, dl_record_lease)

/* Credentials were refused: the retry must have others. */
static const dynalock_credentials *dl_provider_refused(void *context)
{
    dynalock_provider *provider = (dynalock_provider *)context;

    provider->until = 0;
    return &provider->credentials;
}

static dynalock_source dl_source(const char *name,
    dynalock_outcome (*step)(dynalock_client *, dynalock_provider *),
    void (*stop)(dynalock_client *, dynalock_provider *))
{
    dynalock_source source;

    source.name = name;
    source.step = step;
    source.stop = stop;
    return source;
}

DYNALOCK_API dynalock_outcome dynalock_provider_init(
    dynalock_provider *provider, dynalock_source source, void *context,
    void *memory, size_t size)
{
    if (provider == NULL || source.step == NULL || source.name == NULL ||
        memory == NULL)
        return DYNALOCK_BAD_ARGUMENT;
    memset(provider, 0, sizeof *provider);
    if (size < 1024 || size > 131072) return DYNALOCK_BAD_BUFFER;
    provider->source = source;
    provider->context = context;
    provider->memory = (char *)memory;
    provider->half = (uint32_t)size / 2;
    provider->credentials.key_id =
        dl_text_placeholder; /* never sent: until is 0 */
    provider->credentials.secret = dl_text_placeholder;
    provider->operation.steps = dl_fetch_steps;
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_outcome dynalock_set_provider(
    dynalock_client *client, dynalock_provider *provider)
{
    if (!dl_is_ready(client) || provider == NULL ||
        provider->source.step == NULL ||
        client->config.credentials != &provider->credentials)
        return DYNALOCK_BAD_ARGUMENT;
    if (client->operations != NULL) return DYNALOCK_IN_USE;
    client->config.refresh = dl_provider_refused;
    client->config.refresh_context = provider;
    client->stream = dl_provided;
    return DYNALOCK_OK;
}

/* ---- EC2 ---- */

/* What a head's template says of the host. */
static void dl_put_authority(
    dl_sink *sink, const char *host, int bracketed, uint16_t port)
{
    dl_put_text(sink, bracketed ? "[" : dl_text_none);
    dl_put_text(sink, host);
    dl_put_text(sink, bracketed ? dl_text_bracket : dl_text_none);
    if (port == 0) return;
    dl_put_text(sink, dl_text_colon);
    dl_put_decimal(sink, port);
}

static int dl_is_ipv6(const char *host)
{
    while (*host != '\0')
        if (*host++ == ':') return 1;
    return 0;
}

/* What a template's letters stand for, of a source. */
static void dl_put_source_head(dl_sink *sink,
    const dynalock_provider *provider, const char *head,
    void (*put)(const dl_fields *, char, dl_sink *), uint32_t flags)
{
    dl_fields fields;

    fields.put = put;
    fields.context = provider;
    fields.flags = flags;
    dl_put_template(sink, head, &fields);
}

/*
    state      on                                   goes to
    TOKEN      the role is known                    KEYS
    TOKEN      answered                             ROLE
    ROLE       answered                             KEYS
    ROLE       401, for the first time              TOKEN
    KEYS       401, for the first time              TOKEN

A failure and the end of KEYS are those of the fetch.
*/
enum { DL_EC2_TOKEN, DL_EC2_ROLE, DL_EC2_KEYS };

#define DL_EC2_MS 2000u /* elsewhere nothing answers at its address */

static const char dl_ec2_head[] =
    "[PPUT /latest/api/token]"
    "[GGET /latest/meta-data/iam/security-credentials/$r]"
    " HTTP/1.1\r\nhost:$h\r\n"
    "[Px-aws-ec2-metadata-token-ttl-seconds:60\r\ncontent-length:0\r\n]"
    "[Gx-aws-ec2-metadata-token:$t\r\n]"
    "connection:close\r\n\r\n";

static const char *dl_ec2_host(const dynalock_ec2 *ec2)
{
    return ec2->host != NULL ? ec2->host : "169.254.169.254";
}

static const char *dl_ec2_role(const dynalock_ec2 *ec2)
{
    return ec2->role != NULL ? ec2->role : ec2->found;
}

static void dl_ec2_field(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_provider *provider =
        (const dynalock_provider *)fields->context;
    const dynalock_ec2 *ec2 = (const dynalock_ec2 *)provider->context;
    const char *host = dl_ec2_host(ec2);

    if (letter == 'h')
        dl_put_authority(sink, host, dl_is_ipv6(host), ec2->port);
    else if (letter == 't') dl_put_text(sink, ec2->token);
    else if (provider->step == DL_EC2_KEYS)
        dl_put_text(sink, dl_ec2_role(ec2));
}

static void dl_ec2_put(const dynalock_provider *provider, dl_sink *sink)
{
    dl_put_source_head(sink, provider, dl_ec2_head, dl_ec2_field,
        provider->step == DL_EC2_TOKEN ? DL_FLAG('P') : DL_FLAG('G'));
}

/* The first line of a plain answer. BAD_ANSWER: not one word. */
static dynalock_outcome dl_ec2_line(dynalock_client *client,
    const dynalock_provider *provider, char *out, size_t capacity)
{
    const dynalock_answer *answer = &provider->answer;
    size_t size = 0;
    uint16_t status = client->response.status;

    if (status != 200)
        return dl_answer_refused(
            client, provider, dl_status_outcome(status), NULL);
    while (size < answer->used && size < answer->size &&
           dl_is_printable(answer->out + size, 1, '!'))
        size++;
    if (size == 0)
        return dl_blame(client, provider, DYNALOCK_BAD_ANSWER,
            "an empty token or role name");
    if (size >= capacity)
        return dl_blame(client, provider, DYNALOCK_BAD_BUFFER,
            "the token or role name is too long");
    dl_copy_text(out, capacity, answer->out, size);
    return DYNALOCK_OK;
}

/* The name goes into a path. */
static dynalock_outcome dl_ec2_check_role(
    dynalock_client *client, const dynalock_provider *provider)
{
    dynalock_ec2 *ec2 = (dynalock_ec2 *)provider->context;

    if (ec2->found[dl_count_plain(ec2->found, "+=,.@_-")] == '\0')
        return DYNALOCK_OK;
    ec2->found[0] = '\0';
    return dl_blame(
        client, provider, DYNALOCK_BAD_ANSWER, "not the name of a role");
}

/* What follows an answer: AGAIN: the next request. */
static dynalock_outcome dl_ec2_next(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_ec2 *ec2 = (dynalock_ec2 *)provider->context;
    dynalock_outcome rc;

    switch (provider->step) {
    case DL_EC2_TOKEN:
        rc = dl_ec2_line(client, provider, ec2->token, sizeof ec2->token);
        provider->step =
            dl_ec2_role(ec2)[0] != '\0' ? DL_EC2_KEYS : DL_EC2_ROLE;
        break;
    case DL_EC2_ROLE:
        rc = dl_ec2_line(client, provider, ec2->found, sizeof ec2->found);
        if (rc == DYNALOCK_OK) rc = dl_ec2_check_role(client, provider);
        provider->step = DL_EC2_KEYS;
        break;
    default:
        rc = dl_answer_finish(client, provider);
        if (rc != DYNALOCK_OK) ec2->found[0] = '\0'; /* another role now? */
        return rc;
    }
    return rc == DYNALOCK_OK ? DYNALOCK_AGAIN : rc;
}

static dynalock_outcome dl_ec2_step(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_ec2 *ec2 = (dynalock_ec2 *)provider->context;
    dynalock_exchange *exchange = &client->exchange;
    dl_question question = { NULL, 80, 0, 0, 0, NULL };
    dynalock_outcome rc;

    question.put = dl_ec2_put;
    question.host = dl_ec2_host(ec2);
    if (ec2->port != 0) question.port = ec2->port;
    if (provider->step == DL_EC2_TOKEN && provider->state == DL_ASK_IDLE)
        exchange->deadline =
            dl_least(exchange->deadline, client->now + DL_EC2_MS);
    do {
        question.is_json = provider->step == DL_EC2_KEYS;
        rc = dl_ask(client, provider, &question);
        if (rc != DYNALOCK_OK) return rc;
        if (client->response.status == 401 && provider->step != DL_EC2_TOKEN &&
            !ec2->again) {
            ec2->again = 1;
            provider->step = DL_EC2_TOKEN;
            rc = DYNALOCK_AGAIN;
        } else {
            rc = dl_ec2_next(client, provider);
        }
    } while (rc == DYNALOCK_AGAIN);
    return rc;
}

static void dl_ec2_stop(dynalock_client *client, dynalock_provider *provider)
{
    dynalock_ec2 *ec2 = (dynalock_ec2 *)provider->context;

    (void)client;
    ec2->again = 0;
    dl_wipe(ec2->token, sizeof ec2->token);
}

DYNALOCK_API dynalock_source dynalock_source_ec2(void)
{
    static const char name[] = "EC2 metadata";

    return dl_source(name, dl_ec2_step, dl_ec2_stop);
}

/* ---- containers ---- */

/* Four numbers, 0 to 255, without leading zeros; 0: it is not that. */
static int dl_read_ipv4(const char *text, uint32_t *address)
{
    uint32_t part, i;
    size_t size;

    *address = 0;
    for (i = 0; i < 4; i++) {
        size = dl_count(text, "0123456789");
        if (size > 3 || (size > 1 && *text == '0') ||
            !dl_read_word(text, size, &part) || part > 255)
            return 0;
        *address = *address << 8 | part;
        text += size;
        if (*text != (i < 3 ? '.' : '\0')) return 0;
        text++;
    }
    return 1;
}

/* Plain HTTP goes to these alone. */
static int dl_container_allows(const dynalock_container *container)
{
    const char *host = container->host;
    uint32_t address;

    if (container->secure) return 1;
    if (container->bracketed)
        return dl_equals(host, strlen(host), "::1") ||
               dl_equals(host, strlen(host), "fd00:ec2::23");
    return dl_read_ipv4(host, &address) &&
           (address >> 24 == 127 || address == 0xa9feaa02 ||
               address == 0xa9feaa17);
}

/* The host's name; returns what stands behind it. NULL: none that can be. */
static const char *dl_container_host(
    dynalock_container *container, const char *at)
{
    size_t size;

    container->bracketed = *at == '[';
    if (container->bracketed) at++;
    size = dl_count_plain(at, container->bracketed ? ":." : dl_text_host);
    if (size == 0 || size >= sizeof container->host) return NULL;
    dl_copy_text(container->host, sizeof container->host, at, size);
    at += size;
    if (container->bracketed && *at++ != ']') return NULL;
    return at;
}

/* ":8080", or nothing. */
static const char *dl_container_port(
    dynalock_container *container, const char *at)
{
    uint32_t port;
    size_t size;

    container->port = 0;
    if (*at != ':') return at;
    size = dl_count(at + 1, "0123456789");
    if (!dl_read_word(at + 1, size, &port) || port - 1 >= 65535) return NULL;
    container->port = (uint16_t)port;
    return at + 1 + size;
}

static int dl_container_read_uri(dynalock_container *container)
{
    const char *at = container->uri;

    container->secure = 0;
    if (at == NULL || !dl_is_printable(at, strlen(at), '!')) return 0;
    if (*at == '/') {
        container->bracketed = 0;
        container->port = 0;
        dl_copy_text(
            container->host, sizeof container->host, "169.254.170.2", 13);
    } else {
        container->secure = dl_begins(at, dl_text_secure) != NULL;
        if (!container->secure && dl_begins(at, dl_text_plain) == NULL)
            return 0;
        at = dl_container_host(container, at + 7 + container->secure);
        if (at != NULL) at = dl_container_port(container, at);
        if (at == NULL || (*at != '/' && *at != '?' && *at != '\0')) return 0;
    }
    container->path = at;
    return dl_container_allows(container);
}

static void dl_container_field(
    const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_provider *provider =
        (const dynalock_provider *)fields->context;
    const dynalock_container *container =
        (const dynalock_container *)provider->context;
    const char *token = container->authorization;

    if (letter == 'h')
        dl_put_authority(
            sink, container->host, container->bracketed, container->port);
    else if (letter == 'u') {
        if (container->path[0] != '/') dl_put_text(sink, dl_text_slash);
        dl_put_text(sink, container->path);
    } else dl_put(sink, token, dl_count_token(token));
}

static void dl_container_put(const dynalock_provider *provider, dl_sink *sink)
{
    const dynalock_container *container =
        (const dynalock_container *)provider->context;

    dl_put_source_head(sink, provider,
        "GET $u HTTP/1.1\r\nhost:$h\r\naccept:application/json\r\n"
        "[Aauthorization:$a\r\n]connection:close\r\n\r\n",
        dl_container_field,
        container->authorization != NULL ? DL_FLAG('A') : 0);
}

/* Once for each fetch. */
static dynalock_outcome dl_container_begin(
    dynalock_client *client, const dynalock_provider *provider)
{
    dynalock_container *container = (dynalock_container *)provider->context;
    const char *token;

    if (!dl_container_read_uri(container))
        return dl_blame(client, provider, DYNALOCK_BAD_ENDPOINT,
            "not a URI that credentials may come from");
    if (container->authorize != NULL) {
        container->authorization = container->authorize(container->context);
        if (container->authorization == NULL)
            return dl_blame(client, provider, DYNALOCK_NO_FILE,
                "the authorization token cannot be read");
    }
    token = container->authorization;
    if (token != NULL && !dl_is_printable(token, dl_count_token(token), ' '))
        return dl_blame(client, provider, DYNALOCK_BAD_FILE,
            "the authorization token has characters no header may have");
    return DYNALOCK_OK;
}

static dynalock_outcome dl_container_step(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_container *container = (dynalock_container *)provider->context;
    dl_question question = { NULL, 80, 0, 1, 0, NULL };
    dynalock_outcome rc = DYNALOCK_OK;

    if (provider->state == DL_ASK_IDLE)
        rc = dl_container_begin(client, provider);
    if (rc != DYNALOCK_OK) return rc;
    question.put = dl_container_put;
    question.host = container->host;
    question.secure = container->secure;
    if (container->secure) question.port = 443;
    if (container->port != 0) question.port = container->port;
    rc = dl_ask(client, provider, &question);
    return rc == DYNALOCK_OK ? dl_answer_finish(client, provider) : rc;
}

DYNALOCK_API dynalock_source dynalock_source_container(void)
{
    static const char name[] = "container";

    return dl_source(name, dl_container_step, NULL);
}

/* ---- AWS IoT Core ---- */

#ifndef DYNALOCK_NO_TLS

static void dl_identity_present_ec(
    dynalock_tls *tls, const dynalock_identity *identity)
{
    br_ssl_client_set_single_ec(&tls->client, identity->chain,
        identity->chain_count, identity->ec_key, BR_KEYTYPE_SIGN,
        BR_KEYTYPE_EC, tls->client.eng.iec, &br_ecdsa_i31_sign_asn1);
}

static void dl_identity_present_rsa(
    dynalock_tls *tls, const dynalock_identity *identity)
{
    br_ssl_client_set_single_rsa(&tls->client, identity->chain,
        identity->chain_count, identity->rsa_key, &br_rsa_i31_pkcs1_sign);
}

DYNALOCK_API void dynalock_identity_ec(dynalock_identity *identity,
    const br_x509_certificate *chain, size_t chain_count,
    const br_ec_private_key *key)
{
    memset(identity, 0, sizeof *identity);
    identity->present = dl_identity_present_ec;
    identity->chain = chain;
    identity->chain_count = chain_count;
    identity->ec_key = key;
}

DYNALOCK_API void dynalock_identity_rsa(dynalock_identity *identity,
    const br_x509_certificate *chain, size_t chain_count,
    const br_rsa_private_key *key)
{
    memset(identity, 0, sizeof *identity);
    identity->present = dl_identity_present_rsa;
    identity->chain = chain;
    identity->chain_count = chain_count;
    identity->rsa_key = key;
}

/* The client's own profile, and the certificate. */
static void dl_iot_setup(dynalock_tls *tls)
{
    tls->iot->own(tls);
    tls->iot->identity->present(tls, tls->iot->identity);
}

#endif /* DYNALOCK_NO_TLS */

static void dl_iot_field(const dl_fields *fields, char letter, dl_sink *sink)
{
    const dynalock_provider *provider =
        (const dynalock_provider *)fields->context;
    const dynalock_iot *iot = (const dynalock_iot *)provider->context;

    if (letter == 'h') dl_put_authority(sink, iot->host, 0, iot->port);
    else dl_put_text(sink, letter == 'a' ? iot->role_alias : iot->thing);
}

static void dl_iot_put(const dynalock_provider *provider, dl_sink *sink)
{
    const dynalock_iot *iot = (const dynalock_iot *)provider->context;

    dl_put_source_head(sink, provider,
        "GET /role-aliases/$a/credentials HTTP/1.1\r\nhost:$h\r\n"
        "[Tx-amzn-iot-thingname:$t\r\n]accept:application/json\r\n"
        "connection:close\r\n\r\n",
        dl_iot_field, iot->thing != NULL ? DL_FLAG('T') : 0);
}

static int dl_is_header_word(const char *text, size_t most)
{
    return text != NULL && text[0] != '\0' && strlen(text) <= most &&
           dl_is_printable(text, strlen(text), '!');
}

static int dl_iot_is_sound(const dynalock_iot *iot)
{
    return dl_is_header_word(iot->host, DYNALOCK_HOST_SIZE - 1) &&
           dl_is_header_word(iot->role_alias, 128) &&
           (iot->thing == NULL || dl_is_header_word(iot->thing, 128));
}

#ifndef DYNALOCK_NO_TLS
static int dl_iot_identify(
    dynalock_client *client, dynalock_provider *provider, dynalock_iot *iot)
{
    dynalock_tls *tls = client->config.tls;

    if (tls == NULL) return iot->identity == NULL;
    if (iot->identity == NULL) return 0;
    iot->own = tls->profile;
    tls->iot = iot;
    provider->profile = dl_iot_setup;
    return 1;
}
#else
static int dl_iot_identify(
    dynalock_client *client, dynalock_provider *provider, dynalock_iot *iot)
{
    (void)client;
    (void)provider;
    (void)iot;
    return 1;
}
#endif

static dynalock_outcome dl_iot_begin(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_iot *iot = (dynalock_iot *)provider->context;

    if (dl_iot_is_sound(iot) && dl_iot_identify(client, provider, iot))
        return DYNALOCK_OK;
    return dl_blame(client, provider, DYNALOCK_BAD_ARGUMENT,
        "host, role alias, thing or identity cannot be");
}

static dynalock_outcome dl_iot_step(
    dynalock_client *client, dynalock_provider *provider)
{
    const dynalock_iot *iot = (const dynalock_iot *)provider->context;
    dl_question question = { NULL, 443, 1, 1, 1, NULL };
    dynalock_outcome rc = DYNALOCK_OK;

    if (provider->state == DL_ASK_IDLE) rc = dl_iot_begin(client, provider);
    if (rc != DYNALOCK_OK) return rc;
    question.put = dl_iot_put;
    question.host = iot->host;
    if (iot->port != 0) question.port = iot->port;
    rc = dl_ask(client, provider, &question);
    return rc == DYNALOCK_OK ? dl_answer_finish(client, provider) : rc;
}

DYNALOCK_API dynalock_source dynalock_source_iot(void)
{
    static const char name[] = "AWS IoT";

    return dl_source(name, dl_iot_step, NULL);
}

/* ===================================================================== */
/* == anchors: Amazon's roots                                             */
/* ===================================================================== */

#if !defined(DYNALOCK_NO_TLS) && !defined(DYNALOCK_NO_AMAZON)

/* made by tools/gen_anchors */
/* clang-format off */
static const unsigned char dl_amazon_roots[] = {
    /* Amazon Root CA 1 */
    59,48,57,49,11,48,9,6,3,85,4,6,19,2,85,83,49,15,
    48,13,6,3,85,4,10,19,6,65,109,97,122,111,110,49,25,48,
    23,6,3,85,4,3,19,16,65,109,97,122,111,110,32,82,111,111,
    116,32,67,65,32,49,0,1,0,178,120,128,113,202,120,213,227,113,
    175,71,128,80,116,125,110,216,215,136,118,244,153,104,247,88,33,96,
    249,116,132,1,47,172,2,45,134,211,160,67,122,78,178,164,208,54,
    186,1,190,141,219,72,200,7,23,54,76,244,238,136,35,199,62,235,
    55,245,181,25,248,73,104,176,222,215,185,118,56,29,97,158,164,254,
    130,54,165,229,74,86,228,69,225,249,253,180,22,250,116,218,156,155,
    53,57,47,250,176,32,80,6,108,122,208,128,178,166,249,175,236,71,
    25,143,80,56,7,220,162,135,57,88,248,186,213,169,249,72,103,48,
    150,238,148,120,94,111,137,163,81,192,48,134,102,161,69,102,186,84,
    235,163,195,145,249,72,220,255,209,232,48,45,125,45,116,112,53,215,
    136,36,247,158,196,89,110,187,115,135,23,242,50,70,40,184,67,250,
    183,29,170,202,180,242,159,36,14,45,75,247,113,92,94,105,255,234,
    149,2,203,56,138,174,80,56,111,219,251,45,98,27,197,199,30,84,
    225,119,224,103,200,15,156,135,35,214,63,64,32,127,32,128,196,128,
    76,62,59,36,38,142,4,174,108,154,200,170,13,
    /* Amazon Root CA 2 */
    59,48,57,49,11,48,9,6,3,85,4,6,19,2,85,83,49,15,
    48,13,6,3,85,4,10,19,6,65,109,97,122,111,110,49,25,48,
    23,6,3,85,4,3,19,16,65,109,97,122,111,110,32,82,111,111,
    116,32,67,65,32,50,0,2,0,173,150,159,45,156,74,76,74,129,
    121,81,153,236,138,203,107,96,81,19,188,77,109,6,252,176,8,141,
    221,25,16,106,199,38,12,53,216,192,111,32,132,233,148,177,155,133,
    3,195,91,219,74,232,200,248,144,118,217,91,79,227,76,232,6,54,
    77,204,154,172,61,12,144,43,146,212,6,25,96,172,55,68,121,133,
    129,130,173,90,55,224,13,204,157,166,76,82,118,234,67,157,183,4,
    209,80,246,85,224,213,210,166,73,133,233,55,233,202,126,174,92,149,
    77,72,154,63,174,32,90,109,136,149,217,52,184,82,26,67,144,176,
    191,108,5,185,182,120,183,234,208,228,58,60,18,83,98,255,74,242,
    123,190,53,5,169,18,52,227,243,100,116,98,44,61,0,73,90,40,
    254,50,68,187,135,221,101,39,2,113,59,218,74,247,31,218,205,247,
    33,85,144,79,15,236,174,130,225,159,107,217,69,211,187,240,95,135,
    237,60,44,57,134,218,63,222,236,114,85,235,121,163,173,219,221,124,
    176,186,28,206,252,222,79,53,118,207,15,248,120,31,106,54,81,70,
    39,97,91,233,158,207,240,162,85,125,124,37,138,111,47,180,197,207,
    132,46,43,253,13,81,16,108,251,95,27,188,27,126,197,174,59,152,
    1,49,146,255,11,87,244,154,178,185,87,233,171,239,13,118,209,240,
    238,244,206,134,167,224,110,233,180,105,161,223,105,246,51,198,105,46,
    151,19,158,165,135,176,87,16,129,55,201,83,179,187,127,246,146,209,
    156,208,24,244,146,110,218,131,79,166,99,153,76,165,251,94,239,33,
    100,122,32,95,108,100,133,21,203,55,233,98,12,11,42,22,220,1,
    46,50,218,62,75,245,158,58,246,23,64,148,239,158,145,8,134,250,
    190,99,168,90,51,236,203,116,67,149,249,108,105,82,54,199,41,111,
    252,85,3,92,31,251,159,189,71,235,231,73,71,149,11,78,137,34,
    9,73,224,245,97,30,241,191,46,138,114,110,128,89,255,87,58,249,
    117,50,163,78,95,236,237,40,98,217,77,115,242,204,129,23,96,237,
    205,235,220,219,167,202,197,126,2,189,242,84,8,84,253,180,45,9,
    44,23,84,74,152,209,84,225,81,103,8,210,237,110,126,111,63,210,
    45,129,89,41,102,203,144,57,149,17,30,116,39,254,221,235,175,
    /* Amazon Root CA 3 */
    59,48,57,49,11,48,9,6,3,85,4,6,19,2,85,83,49,15,
    48,13,6,3,85,4,10,19,6,65,109,97,122,111,110,49,25,48,
    23,6,3,85,4,3,19,16,65,109,97,122,111,110,32,82,111,111,
    116,32,67,65,32,51,23,0,65,4,41,151,167,198,65,127,192,13,
    155,232,1,27,86,198,242,82,165,186,45,178,18,232,210,46,215,250,
    201,197,216,170,109,31,115,129,59,59,152,107,57,124,51,165,197,78,
    134,142,128,23,104,98,69,87,125,68,88,29,179,55,229,103,8,235,
    102,222,
    /* Amazon Root CA 4 */
    59,48,57,49,11,48,9,6,3,85,4,6,19,2,85,83,49,15,
    48,13,6,3,85,4,10,19,6,65,109,97,122,111,110,49,25,48,
    23,6,3,85,4,3,19,16,65,109,97,122,111,110,32,82,111,111,
    116,32,67,65,32,52,24,0,97,4,210,171,138,55,79,163,83,13,
    254,193,138,123,75,168,123,70,75,99,176,98,246,45,27,219,8,113,
    33,210,0,232,99,189,154,39,251,240,57,110,93,234,61,165,201,129,
    170,163,91,32,152,69,93,22,219,253,232,16,109,227,156,224,227,189,
    95,132,98,243,112,100,51,160,203,36,47,112,186,136,161,42,160,117,
    248,129,174,98,6,196,129,219,57,110,41,176,30,250,46,92,
    /* Starfield Services Root Certificate Authority - G2 */
    155,48,129,152,49,11,48,9,6,3,85,4,6,19,2,85,83,49,
    16,48,14,6,3,85,4,8,19,7,65,114,105,122,111,110,97,49,
    19,48,17,6,3,85,4,7,19,10,83,99,111,116,116,115,100,97,
    108,101,49,37,48,35,6,3,85,4,10,19,28,83,116,97,114,102,
    105,101,108,100,32,84,101,99,104,110,111,108,111,103,105,101,115,44,
    32,73,110,99,46,49,59,48,57,6,3,85,4,3,19,50,83,116,
    97,114,102,105,101,108,100,32,83,101,114,118,105,99,101,115,32,82,
    111,111,116,32,67,101,114,116,105,102,105,99,97,116,101,32,65,117,
    116,104,111,114,105,116,121,32,45,32,71,50,0,1,0,213,12,58,
    196,42,249,78,226,245,190,25,151,95,142,136,83,177,31,63,203,207,
    159,32,19,109,41,58,200,15,125,60,247,107,118,56,99,217,54,96,
    168,155,94,92,0,128,178,47,89,127,246,135,249,37,67,134,231,105,
    27,82,154,144,225,113,227,216,45,13,78,111,246,200,73,217,182,243,
    26,86,174,43,182,116,20,235,207,251,38,227,26,186,29,150,46,106,
    59,88,148,137,71,86,255,37,160,147,112,83,131,218,132,116,20,195,
    103,158,4,104,58,223,142,64,90,29,74,78,207,67,145,59,231,86,
    214,0,112,203,82,238,123,125,174,58,231,188,49,249,69,246,194,96,
    207,19,89,2,43,128,204,52,71,223,185,222,144,101,109,2,207,44,
    145,166,166,231,222,133,24,73,124,102,78,163,58,109,169,181,238,52,
    46,186,13,3,184,51,223,71,235,177,107,141,37,217,155,206,129,209,
    69,70,50,150,112,135,222,2,14,73,67,133,182,108,115,187,100,234,
    97,65,172,201,212,84,223,135,47,199,34,178,38,204,159,89,84,104,
    159,252,190,42,47,196,85,28,117,64,96,23,133,2,85,57,139,127,
    5,
};
/* clang-format on */
/* end of what tools/gen_anchors made */

/* BearSSL's pointers are to variables, though it only reads them. */
static unsigned char *dl_constant(const unsigned char *at)
{
    return (unsigned char *)(uintptr_t)at;
}

/* Reads one; returns where the next begins. */
static const unsigned char *dl_amazon_root(
    br_x509_trust_anchor *anchor, const unsigned char *at)
{
    static const unsigned char exponent[] = { 1, 0, 1 };
    size_t size;
    unsigned kind;

    memset(anchor, 0, sizeof *anchor);
    anchor->flags = BR_X509_TA_CA;
    anchor->dn.len = *at++;
    anchor->dn.data = dl_constant(at);
    at += anchor->dn.len;
    kind = *at++;
    size = (size_t)at[0] << 8 | at[1];
    at += 2;
    anchor->pkey.key_type = kind == 0 ? BR_KEYTYPE_RSA : BR_KEYTYPE_EC;
    if (kind == 0) {
        anchor->pkey.key.rsa.n = dl_constant(at);
        anchor->pkey.key.rsa.nlen = size;
        anchor->pkey.key.rsa.e = dl_constant(exponent);
        anchor->pkey.key.rsa.elen = sizeof exponent;
    } else {
        anchor->pkey.key.ec.curve = (int)kind;
        anchor->pkey.key.ec.q = dl_constant(at);
        anchor->pkey.key.ec.qlen = size;
    }
    return at + size;
}

DYNALOCK_API size_t dynalock_amazon_anchors(br_x509_trust_anchor *list)
{
    const unsigned char *at = dl_amazon_roots;
    size_t i;

    for (i = 0; i < DYNALOCK_AMAZON_ANCHORS; i++)
        at = dl_amazon_root(&list[i], at);
    return i;
}

#endif

#ifdef __cplusplus
} /* extern "C" */
#endif

/* ===================================================================== */
/* == posix: sockets, clocks, entropy, environment, files                 */
/* ===================================================================== */

#ifdef DYNALOCK_POSIX

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Suspend must count; where it has another name or none, or the system does not
   know it, the best there is. */
#if defined(CLOCK_BOOTTIME)
#define DL_CLOCK CLOCK_BOOTTIME
#else
#define DL_CLOCK CLOCK_MONOTONIC
#endif
#if defined(MSG_NOSIGNAL)
#define DL_SEND_FLAGS MSG_NOSIGNAL
#else
#define DL_SEND_FLAGS 0
#endif

static void dl_posix_drop(dynalock_posix *posix)
{
    if (posix->fd >= 0) (void)close(posix->fd);
    posix->fd = -1;
}

static void dl_posix_forget(dynalock_posix *posix)
{
    if (posix->addresses != NULL) freeaddrinfo(posix->addresses);
    posix->addresses = NULL;
    posix->next = NULL;
}

static void dl_posix_close(void *context)
{
    dynalock_posix *posix = (dynalock_posix *)context;

    dl_posix_drop(posix);
    dl_posix_forget(posix);
}

static int32_t dl_posix_resolve(
    dynalock_posix *posix, const dynalock_peer *peer)
{
    struct addrinfo hints;
    char port[6];
    dl_span span;

    dl_put_decimal(dl_span_open(&span, port, sizeof port - 1, 0), peer->port);
    port[span.used] = '\0';
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(peer->host, port, &hints, &posix->addresses) != 0)
        return -ENOENT;
    posix->next = posix->addresses;
    return 0;
}

/* Begins to connect to the next address. 0: connected. */
static int32_t dl_posix_try(dynalock_posix *posix)
{
    struct addrinfo *to = posix->next;
    int one = 1, flags;

    posix->next = to->ai_next;
    posix->fd = socket(to->ai_family, to->ai_socktype, to->ai_protocol);
    if (posix->fd < 0) return -errno;
    flags = fcntl(posix->fd, F_GETFL, 0);
    if (flags < 0 || fcntl(posix->fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(posix->fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    (void)setsockopt(
        posix->fd, IPPROTO_TCP, TCP_NODELAY, &one, (socklen_t)sizeof one);
    if (connect(posix->fd, to->ai_addr, to->ai_addrlen) == 0) return 0;
    return errno == EINPROGRESS ? (int32_t)DYNALOCK_AGAIN : (int32_t)-errno;
}

/* How the connect under way stands. */
static int32_t dl_posix_connected(dynalock_posix *posix)
{
    struct pollfd pfd;
    int error = 0;
    socklen_t size = (socklen_t)sizeof error;

    pfd.fd = posix->fd;
    pfd.events = POLLOUT;
    pfd.revents = 0;
    if (poll(&pfd, 1, 0) <= 0) return DYNALOCK_AGAIN; /* or disturbed */
    if (getsockopt(posix->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return -errno;
    return -error;
}

static int32_t dl_posix_open(void *context, const dynalock_peer *peer)
{
    dynalock_posix *posix = (dynalock_posix *)context;
    int32_t rc;

    if (peer->secure) return -EPROTONOSUPPORT; /* sockets do no TLS */
    if (posix->fd >= 0) {
        rc = dl_posix_connected(posix);
    } else {
        rc = dl_posix_resolve(posix, peer);
        if (rc == 0) rc = dl_posix_try(posix);
    }
    while (rc < 0 && posix->next != NULL) {
        dl_posix_drop(posix);
        rc = dl_posix_try(posix);
    }
    if (rc < 0) dl_posix_drop(posix);
    if (rc != DYNALOCK_AGAIN) dl_posix_forget(posix);
    return rc;
}

static int32_t dl_posix_is_later(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static int32_t dl_posix_write(void *context, const void *data, size_t size)
{
    const dynalock_posix *posix = (const dynalock_posix *)context;
    ssize_t n = send(posix->fd, data, size, DL_SEND_FLAGS);

    if (n >= 0) return (int32_t)n;
    return dl_posix_is_later() ? 0 : -errno;
}

static int32_t dl_posix_read(void *context, void *data, size_t size)
{
    const dynalock_posix *posix = (const dynalock_posix *)context;
    ssize_t n = recv(posix->fd, data, size, 0);

    if (n > 0) return (int32_t)n;
    if (n == 0) return DYNALOCK_EOF;
    return dl_posix_is_later() ? 0 : -errno;
}

static uint64_t dl_posix_monotonic_ms(void *context)
{
    dynalock_posix *posix = (dynalock_posix *)context;
    struct timespec now;

    /* a reading that fails must not step back */
    if (clock_gettime((clockid_t)posix->clock, &now) == 0)
        posix->now =
            (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return posix->now;
}

static int64_t dl_posix_unix_ms(void *context)
{
    struct timespec now;

    (void)context;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int32_t dl_posix_entropy(void *context, void *out, size_t size)
{
    uint8_t *at = (uint8_t *)out;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;

    (void)context;
    if (fd < 0) return -1;
    while (size != 0 && (n = read(fd, at, size)) > 0) {
        at += n;
        size -= (size_t)n;
    }
    (void)close(fd);
    return size == 0 ? 0 : -1;
}

static int32_t dl_posix_wait(void *context, unsigned interest, uint32_t ms)
{
    const dynalock_posix *posix = (const dynalock_posix *)context;
    struct pollfd pfd;

    pfd.fd = interest != 0 ? posix->fd : -1; /* poll skips -1 */
    pfd.events = 0;
    pfd.revents = 0;
    if ((interest & DYNALOCK_READ) != 0) pfd.events |= POLLIN;
    if ((interest & DYNALOCK_WRITE) != 0) pfd.events |= POLLOUT;
    (void)poll(&pfd, 1, ms < 60000 ? (int)ms : 60000);
    return posix->stop != NULL && *posix->stop != 0;
}

DYNALOCK_API void dynalock_posix_platform(
    dynalock_posix *posix, dynalock_platform *platform)
{
    struct timespec now;

    memset(posix, 0, sizeof *posix);
    memset(platform, 0, sizeof *platform);
    posix->fd = -1;
    posix->clock = (int)DL_CLOCK;
    if (clock_gettime(DL_CLOCK, &now) != 0)
        posix->clock = (int)CLOCK_MONOTONIC;
    (void)dl_posix_monotonic_ms(posix);
    platform->context = posix;
    platform->open = dl_posix_open;
    platform->write = dl_posix_write;
    platform->read = dl_posix_read;
    platform->close = dl_posix_close;
    platform->monotonic_ms = dl_posix_monotonic_ms;
    platform->unix_ms = dl_posix_unix_ms;
    platform->entropy = dl_posix_entropy;
    platform->wait = dl_posix_wait;
}

DYNALOCK_API void dynalock_posix_credentials(dynalock_credentials *credentials)
{
    credentials->key_id = getenv("AWS_ACCESS_KEY_ID");
    credentials->secret = getenv("AWS_SECRET_ACCESS_KEY");
    credentials->token = getenv("AWS_SESSION_TOKEN");
}

/* ---- the environment and the shared files ---- */

/* An empty value is none. */
static const char *dl_environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *dl_environment_or(const char *name, const char *otherwise)
{
    const char *value = dl_environment(name);

    return value != NULL ? value : otherwise;
}

#define DL_LINE_MOST 8192

/* What of a profile is looked at. The first eight are kept; of the others it
   matters that they are there. */
enum {
    DL_PROFILE_ID,
    DL_PROFILE_SECRET,
    DL_PROFILE_TOKEN,
    DL_PROFILE_REGION,
    DL_PROFILE_ENDPOINT,
    DL_PROFILE_BUNDLE,
    DL_PROFILE_SERVICES,
    DL_PROFILE_IGNORE,
    DL_PROFILE_PROCESS,
    DL_PROFILE_ROLE,
    DL_PROFILE_WEB,
    DL_PROFILE_SSO,
    DL_PROFILE_ALL = 14,
    DL_PROFILE_DYNAMODB /* of a services section */
};

static const char dl_profile_names[DL_PROFILE_ALL][32] = { "aws_access_key_id",
    "aws_secret_access_key", "aws_session_token", "region", "endpoint_url",
    "ca_bundle", "services", "ignore_configured_endpoint_urls",
    "credential_process", "role_arn", "web_identity_token_file", "sso_session",
    "sso_start_url", "sso_account_id" };

/*
Two files, line by line; what belongs to the profile is kept, or to the services
section of that name. A line is, tried in this order: empty or a comment; a
section; the continuation of the property above, or a sub-property, if that
one's value is empty; a property.
*/
typedef struct dl_profile {
    const char *name;
    int is_config;    /* it is the config file: [profile name] */
    int is_services;  /* what is looked for is [services name] */
    int found;        /* the profile is in some file */
    int prefixed;     /* "[profile default]" was met: it beats "[default]" */
    int in_section;   /* some section has begun */
    int ours;         /* it is the profile's */
    int property;     /* the one that a continuation belongs to;
                          DL_PROFILE_ALL: one that nobody looks at */
    int has_property; /* there is one above in this section */
    int is_empty;     /* it has no value: below it stand sub-properties */
    unsigned line;    /* number */
    size_t used[DL_PROFILE_ALL]; /* of the values; more than fits: cut */
    char value[DL_PROFILE_PROCESS][DL_LINE_MOST];
} dl_profile;

static int dl_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* Trims, in place; returns the new start. */
static char *dl_trim(char *text, size_t *size)
{
    while (*size != 0 && dl_is_blank(text[*size - 1])) (*size)--;
    while (*size != 0 && dl_is_blank(*text)) {
        text++;
        (*size)--;
    }
    return text;
}

static int dl_is_profile_name(const char *text, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++)
        if (!dl_is_alphanumeric(text[i]) && !dl_is_in(text[i], "_-/.%@:+\\"))
            return 0;
    return size != 0;
}

static void dl_profile_forget(dl_profile *profile)
{
    dl_wipe(profile->value, sizeof profile->value);
    memset(profile->used, 0, sizeof profile->used);
}

/* Is a section's name the profile's? */
static int dl_profile_is_ours(dl_profile *profile, char *name, size_t size)
{
    const char *prefix = profile->is_services ? "services" : "profile";
    size_t skip = strlen(prefix);
    int prefixed = size > skip && memcmp(name, prefix, skip) == 0 &&
                   dl_is_blank(name[skip]);

    if (prefixed && !profile->is_config) return 0;
    if (prefixed) {
        size -= skip;
        name = dl_trim(name + skip, &size);
    } else if (profile->is_config &&
               (profile->is_services || !dl_equals(name, size, "default") ||
                   profile->prefixed)) {
        return 0;
    }
    if (!dl_is_profile_name(name, size) ||
        !dl_equals(name, size, profile->name))
        return 0;
    if (prefixed && !profile->prefixed) { /* it beats what [default] said */
        profile->prefixed = 1;
        dl_profile_forget(profile);
    }
    profile->found = 1;
    return 1;
}

/* 0: fatal, as below. */
static int dl_profile_section(dl_profile *profile, char *line, size_t size)
{
    size_t end = 0;

    profile->in_section = 1;
    profile->has_property = 0;
    while (end < size && !dl_is_in(line[end], "#;]")) end++;
    if (end == size || line[end] != ']') return 0;
    end--;
    line = dl_trim(line + 1, &end);
    profile->ours = dl_profile_is_ours(profile, line, end);
    return 1;
}

static void dl_profile_append(
    dl_profile *profile, int property, const char *text, size_t size)
{
    size_t at = profile->used[property];
    size_t room = DL_LINE_MOST - 1 > at ? DL_LINE_MOST - 1 - at : 0;

    profile->used[property] += size;
    if (property >= DL_PROFILE_PROCESS) return;
    if (size > room) size = room;
    memcpy(profile->value[property] + at, text, size);
}

static void dl_profile_set(
    dl_profile *profile, int property, const char *text, size_t size)
{
    profile->used[property] = 0;
    if (property < DL_PROFILE_PROCESS)
        dl_wipe(profile->value[property], sizeof profile->value[property]);
    dl_profile_append(profile, property, text, size);
}

/* Cuts "name = value"; returns the value's start, NULL: it is no such line. */
static char *dl_profile_cut(char *line, size_t *name_size, size_t *value_size)
{
    size_t equals = 0;

    while (equals < *value_size && line[equals] != '=') equals++;
    if (equals == *value_size) return NULL;
    *name_size = equals;
    *value_size -= equals + 1;
    return line + equals + 1;
}

/* What is DynamoDB's own in a services section; nothing else of that kind is
   looked at. Comments are known at a line's start alone. */
static int dl_profile_below(dl_profile *profile, char *line, size_t size)
{
    size_t name_size;
    char *value;

    if (dl_is_in(line[0], "#;")) return 1;
    value = dl_profile_cut(line, &name_size, &size);
    if (value == NULL) return 0;
    line = dl_trim(line, &name_size);
    if (!profile->ours || profile->property != DL_PROFILE_DYNAMODB ||
        !dl_equals(line, name_size, dl_profile_names[DL_PROFILE_ENDPOINT]))
        return 1;
    value = dl_trim(value, &size);
    dl_profile_set(profile, DL_PROFILE_ENDPOINT, value, size);
    return 1;
}

static int dl_profile_continue(dl_profile *profile, char *line, size_t size)
{
    int property = profile->property;

    if (!profile->has_property) return 0;
    line = dl_trim(line, &size);
    if (profile->is_empty) return dl_profile_below(profile, line, size);
    if (!profile->ours || property >= DL_PROFILE_ALL) return 1;
    dl_profile_append(profile, property, "\n", 1);
    dl_profile_append(profile, property, line, size);
    return 1;
}

/* A comment needs a blank before it. */
static size_t dl_profile_value_size(const char *text, size_t size)
{
    size_t i;

    for (i = 1; i < size; i++)
        if (dl_is_in(text[i], "#;") && dl_is_blank(text[i - 1])) return i;
    return size;
}

static int dl_profile_find(
    const dl_profile *profile, const char *name, size_t size)
{
    int i = 0;

    if (profile->is_services)
        return dl_equals(name, size, "dynamodb") ? DL_PROFILE_DYNAMODB
                                                 : DL_PROFILE_ALL;
    while (i < DL_PROFILE_ALL && !dl_equals(name, size, dl_profile_names[i]))
        i++;
    return i;
}

static int dl_profile_property(dl_profile *profile, char *line, size_t size)
{
    size_t name_size;
    char *value = dl_profile_cut(line, &name_size, &size);

    if (value == NULL || !profile->in_section) return 0;
    size = dl_profile_value_size(value, size);
    value = dl_trim(value, &size);
    line = dl_trim(line, &name_size);
    profile->has_property = 1;
    profile->is_empty = size == 0;
    profile->property = dl_profile_find(profile, line, name_size);
    if (!profile->ours) return 1;
    if (profile->property == DL_PROFILE_DYNAMODB) /* in place of an earlier */
        dl_profile_set(profile, DL_PROFILE_ENDPOINT, dl_text_none, 0);
    if (profile->property < DL_PROFILE_ALL)
        dl_profile_set(profile, profile->property, value, size);
    return 1;
}

static int dl_profile_line(dl_profile *profile, char *line, size_t size)
{
    size_t trimmed = size;

    (void)dl_trim(line, &trimmed);
    if (trimmed == 0 || line[0] == '#' || line[0] == ';') return 1;
    if (line[0] == '[') return dl_profile_section(profile, line, size);
    if (dl_is_blank(line[0])) return dl_profile_continue(profile, line, size);
    return dl_profile_property(profile, line, size);
}

/* Takes a file apart into lines. 0: one of them is fatal, or too long. */
static int dl_profile_lines(dl_profile *profile, FILE *file)
{
    char line[DL_LINE_MOST];
    size_t size = 0;
    int c, well = 1;

    do {
        c = getc(file);
        if (size == 0) profile->line++;
        if (c != EOF && c != '\n') {
            if (size == sizeof line) well = 0;
            else line[size++] = (char)c;
            continue;
        }
        well = dl_profile_line(profile, line, size);
        size = 0;
    } while (c != EOF && well);
    dl_wipe(line, sizeof line);
    return well;
}

/* ---- the report ---- */

static void dl_report(dynalock_posix_aws *aws, const char *source,
    const char *subject, const char *why)
{
    size_t used = strlen(aws->report);
    dl_span span;
    dl_sink *sink = dl_span_open(
        &span, aws->report + used, sizeof aws->report - 1 - used, 0);

    if (used != 0) dl_put_text(sink, "; ");
    dl_put_text(sink, source);
    dl_put_text(sink, ": ");
    if (subject != NULL) {
        dl_put_text(sink, subject);
        dl_put_text(sink, " ");
    }
    dl_put_text(sink, why);
    aws->report[used + span.used] = '\0';
}

/* Where a file is: the variable's, or below ~/.aws. */
static int dl_profile_path(
    char *out, size_t capacity, const char *variable, const char *otherwise)
{
    const char *path = dl_environment_or(variable, otherwise);
    const char *home = dl_environment("HOME");
    dl_span span;
    dl_sink *sink = dl_span_open(&span, out, capacity - 1, 0);

    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0')) {
        if (home == NULL) return 0;
        dl_put_text(sink, home);
        path++;
    }
    dl_put_text(sink, path);
    out[span.used] = '\0';
    return span.total == span.used;
}

static dynalock_outcome dl_profile_fatal(
    dynalock_posix_aws *aws, const char *path, uint32_t line)
{
    char why[64];
    dl_span span;
    dl_sink *sink = dl_span_open(&span, why, sizeof why - 1, 0);

    dl_put_text(sink, "is malformed in line ");
    dl_put_decimal(sink, line);
    why[span.used] = '\0';
    dl_report(aws, "profile", path, why);
    return DYNALOCK_BAD_FILE;
}

/* A file that is not there, or cannot be read, says nothing. */
static dynalock_outcome dl_profile_file(dynalock_posix_aws *aws,
    dl_profile *profile, const char *variable, const char *otherwise)
{
    char path[DYNALOCK_POSIX_TEXT], buffer[1024];
    FILE *file = NULL;
    int well;

    profile->in_section = profile->ours = profile->has_property = 0;
    profile->line = 0;
    if (!dl_profile_path(path, sizeof path, variable, otherwise)) {
        dl_report(aws, "profile", otherwise, "has no place: HOME is not set");
        return DYNALOCK_OK;
    }
    file = fopen(path, "r");
    if (file == NULL) {
        dl_report(aws, "profile", path,
            errno == ENOENT ? "is not there" : "cannot be read");
        return DYNALOCK_OK;
    }
    /* libc's own would go back to the heap with what was read */
    (void)setvbuf(file, buffer, _IOFBF, sizeof buffer);
    well = dl_profile_lines(profile, file);
    if (ferror(file)) dl_report(aws, "profile", path, "cannot be read");
    (void)fclose(file);
    dl_wipe(buffer, sizeof buffer);
    return well ? DYNALOCK_OK : dl_profile_fatal(aws, path, profile->line);
}

/* The config file first: what the other has replaces what it says. */
static dynalock_outcome dl_profile_read(
    dynalock_posix_aws *aws, dl_profile *profile)
{
    dynalock_outcome rc;

    memset(profile, 0, sizeof *profile);
    profile->name = aws->profile != NULL
                        ? aws->profile
                        : dl_environment_or("AWS_PROFILE", "default");
    profile->is_config = 1;
    rc = dl_profile_file(aws, profile, "AWS_CONFIG_FILE", "~/.aws/config");
    profile->is_config = 0;
    if (rc != DYNALOCK_OK) return rc;
    return dl_profile_file(
        aws, profile, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
}

static const char *dl_profile_text(const dl_profile *profile, int property)
{
    return profile->used[property] != 0 ? profile->value[property] : NULL;
}

static const char *dl_profile_setting(const dl_profile *profile, int property,
    const char *given, char *out, size_t capacity)
{
    const char *text = dl_profile_text(profile, property);

    if (given != NULL || text == NULL) return given;
    dl_copy_text(out, capacity, text, strlen(text));
    return out;
}

/* Reads the services section that the profile names, in place of the profile
   itself. */
static dynalock_outcome dl_profile_services(
    dynalock_posix_aws *aws, dl_profile *profile)
{
    const char *text = profile->value[DL_PROFILE_SERVICES];
    char name[DYNALOCK_POSIX_TEXT];
    dynalock_outcome rc;

    dl_copy_text(name, sizeof name, text, strlen(text));
    dl_profile_forget(profile);
    memset(profile, 0, sizeof *profile);
    profile->name = name;
    profile->is_config = 1;
    profile->is_services = 1;
    rc = dl_profile_file(aws, profile, "AWS_CONFIG_FILE", "~/.aws/config");
    profile->name = NULL;
    if (rc != DYNALOCK_OK || profile->found) return rc;
    dl_report(aws, "services", name, "is not in the config file");
    return DYNALOCK_BAD_FILE;
}

static int dl_is_true(const char *text)
{
    return text != NULL && dl_begins(text, "true") != NULL && text[4] == '\0';
}

/* What is set for DynamoDB comes before what is set for all services, but what
   the environment says before both. */
static dynalock_outcome dl_profile_endpoint(
    dynalock_posix_aws *aws, dl_profile *profile, dynalock_outcome read)
{
    const char *given = dl_environment_or(
        "AWS_ENDPOINT_URL_DYNAMODB", dl_environment("AWS_ENDPOINT_URL"));

    aws->endpoint = NULL;
    if (dl_is_true(dl_environment_or("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            dl_profile_text(profile, DL_PROFILE_IGNORE))))
        return read;
    aws->endpoint = dl_profile_setting(profile, DL_PROFILE_ENDPOINT, given,
        aws->endpoint_text, sizeof aws->endpoint_text);
    if (given != NULL || read != DYNALOCK_OK ||
        profile->used[DL_PROFILE_SERVICES] == 0)
        return read;
    read = dl_profile_services(aws, profile);
    if (profile->used[DL_PROFILE_ENDPOINT] != 0)
        aws->endpoint = dl_profile_setting(profile, DL_PROFILE_ENDPOINT, NULL,
            aws->endpoint_text, sizeof aws->endpoint_text);
    return read;
}

DYNALOCK_API dynalock_outcome dynalock_posix_load(dynalock_posix_aws *aws)
{
    dl_profile profile;
    dynalock_outcome rc;

    if (aws == NULL) return DYNALOCK_BAD_ARGUMENT;
    aws->report[0] = '\0';
    rc = dl_profile_read(aws, &profile);
    aws->region = dl_profile_setting(&profile, DL_PROFILE_REGION,
        dl_environment_or("AWS_REGION", dl_environment("AWS_DEFAULT_REGION")),
        aws->region_text, sizeof aws->region_text);
    aws->ca_bundle = dl_profile_setting(&profile, DL_PROFILE_BUNDLE,
        dl_environment("AWS_CA_BUNDLE"), aws->bundle_text,
        sizeof aws->bundle_text);
    rc = dl_profile_endpoint(aws, &profile, rc);
    dl_profile_forget(&profile);
    return rc;
}

/* ---- the sources of the chain ---- */

static dynalock_outcome dl_posix_missing(
    dynalock_posix_aws *aws, const char *source, const char *why)
{
    dl_report(aws, source, NULL, why);
    return DYNALOCK_CREDENTIALS_MISSING;
}

/* dynalock_provide, and its outcome in the report. */
static dynalock_outcome dl_posix_provide(dynalock_client *client,
    dynalock_provider *provider, const char *source,
    const dynalock_credentials *found, int64_t expires_ms)
{
    dynalock_outcome rc =
        dynalock_provide(client, provider, found, expires_ms);

    if (rc != DYNALOCK_OK)
        dl_report((dynalock_posix_aws *)provider->context, source, NULL,
            rc == DYNALOCK_BAD_BUFFER ? "too long for the provider's memory"
            : rc == DYNALOCK_CREDENTIALS_EXPIRED
                ? "expired"
                : "characters no header may have");
    return rc;
}

static dynalock_outcome dl_posix_environment(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)provider->context;
    const char *expires = dl_environment("AWS_CREDENTIAL_EXPIRATION");
    dynalock_credentials found;
    int64_t expires_ms = 0;

    found.key_id = dl_environment("AWS_ACCESS_KEY_ID");
    found.secret = dl_environment("AWS_SECRET_ACCESS_KEY");
    found.token = dl_environment("AWS_SESSION_TOKEN");
    if (found.key_id == NULL)
        return dl_posix_missing(
            aws, "environment", "AWS_ACCESS_KEY_ID is not set");
    if (found.secret == NULL)
        return dl_posix_missing(
            aws, "environment", "AWS_SECRET_ACCESS_KEY is not set");
    if (expires != NULL) expires_ms = dl_read_time(expires, strlen(expires));
    if (expires != NULL && expires_ms == 0) {
        dl_report(
            aws, "environment", "AWS_CREDENTIAL_EXPIRATION", "is not a time");
        return DYNALOCK_BAD_ANSWER;
    }
    return dl_posix_provide(
        client, provider, "environment", &found, expires_ms);
}

/* A profile that names another way gets no other identity instead. */
static dynalock_outcome dl_profile_offered(
    dynalock_posix_aws *aws, const dl_profile *profile)
{
    int i, has_keys = profile->used[DL_PROFILE_ID] != 0 &&
                      profile->used[DL_PROFILE_SECRET] != 0;

    for (i = has_keys ? DL_PROFILE_ROLE : DL_PROFILE_PROCESS;
         i < DL_PROFILE_ALL; i++) {
        if (profile->used[i] == 0) continue;
        dl_report(aws, "profile", profile->name, "asks for");
        dl_report(aws, "not offered", NULL, dl_profile_names[i]);
        return DYNALOCK_CREDENTIALS_NOT_OFFERED;
    }
    if (has_keys) return DYNALOCK_OK;
    dl_report(aws, "profile", profile->name,
        profile->found ? "has no keys" : "is in no file");
    aws->ended = !profile->found && (aws->profile != NULL ||
                                        dl_environment("AWS_PROFILE") != NULL);
    return DYNALOCK_CREDENTIALS_MISSING;
}

static dynalock_outcome dl_posix_profile(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)provider->context;
    dl_profile profile;
    dynalock_credentials found;
    dynalock_outcome rc = dl_profile_read(aws, &profile);

    if (rc == DYNALOCK_OK) rc = dl_profile_offered(aws, &profile);
    found.key_id = profile.value[DL_PROFILE_ID];
    found.secret = profile.value[DL_PROFILE_SECRET];
    found.token = dl_profile_text(&profile, DL_PROFILE_TOKEN);
    if (rc == DYNALOCK_OK)
        rc = dl_posix_provide(client, provider, "profile", &found, 0);
    dl_profile_forget(&profile);
    return rc;
}

static dynalock_outcome dl_posix_web_identity(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)provider->context;

    (void)client;
    if (dl_environment("AWS_WEB_IDENTITY_TOKEN_FILE") == NULL)
        return DYNALOCK_CREDENTIALS_MISSING; /* nobody asks for it */
    dl_report(
        aws, "not offered", "AWS_WEB_IDENTITY_TOKEN_FILE", "(web identity)");
    return DYNALOCK_CREDENTIALS_NOT_OFFERED;
}

/* Sources of other sections: their own context for the step. */
static dynalock_outcome dl_posix_delegate(dynalock_client *client,
    dynalock_provider *provider, dynalock_source source, void *context)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)provider->context;
    dynalock_source chain = provider->source;
    dynalock_outcome rc;

    provider->source = source;
    provider->context = context;
    rc = source.step(client, provider);
    provider->source = chain;
    provider->context = aws;
    if (rc != DYNALOCK_OK && rc != DYNALOCK_AGAIN)
        dl_report(aws, source.name, NULL, client->detail.message);
    return rc;
}

/* The token's file changes: it is read for every fetch. */
static const char *dl_posix_authorize(void *context)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)context;
    const char *path =
        dl_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    FILE *file;
    size_t size;

    if (path == NULL)
        return dl_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    file = fopen(path, "r");
    if (file == NULL) return NULL;
    (void)setvbuf(file, NULL, _IONBF, 0); /* into our memory, no other */
    size = fread(aws->authorization, 1, sizeof aws->authorization, file);
    if (ferror(file) || size == sizeof aws->authorization) size = 0;
    (void)fclose(file);
    aws->authorization[size] = '\0';
    return size != 0 ? aws->authorization : NULL;
}

static dynalock_outcome dl_posix_container(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)provider->context;
    dynalock_container *container = &aws->container;

    container->uri =
        dl_environment_or("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            dl_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    if (container->uri == NULL)
        return dl_posix_missing(aws, "container", "its variables are not set");
    if (provider->state == DL_ASK_IDLE) container->authorization = NULL;
    container->authorize = NULL;
    container->context = aws;
    if (dl_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") != NULL ||
        dl_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN") != NULL)
        container->authorize = dl_posix_authorize;
    aws->ended = 1; /* who has these variables is not on EC2 as such */
    return dl_posix_delegate(
        client, provider, dynalock_source_container(), container);
}

/* The base URL of the metadata service, if it has been moved. */
static int dl_posix_ec2_endpoint(dynalock_posix_aws *aws)
{
    const char *uri = dl_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *mode =
        dl_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    dynalock_container *parts = &aws->container;
    const char *rest = NULL;

    memset(&aws->ec2, 0, offsetof(dynalock_ec2, again));
    if (uri == NULL) {
        if (mode != NULL && dl_begins(mode, "ipv6") != NULL)
            aws->ec2.host = "fd00:ec2::254";
        return 1;
    }
    if (dl_begins(uri, "http://") != NULL)
        rest = dl_container_host(parts, uri + 7);
    if (rest != NULL) rest = dl_container_port(parts, rest);
    if (rest == NULL || (rest[0] != '\0' && strcmp(rest, "/") != 0)) return 0;
    dl_copy_text(
        aws->host, sizeof aws->host, parts->host, strlen(parts->host));
    aws->ec2.host = aws->host;
    aws->ec2.port = parts->port;
    return 1;
}

static dynalock_outcome dl_posix_ec2(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)provider->context;

    if (dl_is_true(dl_environment("AWS_EC2_METADATA_DISABLED")))
        return dl_posix_missing(
            aws, "EC2 metadata", "AWS_EC2_METADATA_DISABLED is true");
    if (!dl_posix_ec2_endpoint(aws)) {
        dl_report(aws, "EC2 metadata", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "is not http://host[:port]");
        return DYNALOCK_BAD_ENDPOINT;
    }
    return dl_posix_delegate(
        client, provider, dynalock_source_ec2(), &aws->ec2);
}

/* ---- the chain ---- */

enum {
    DL_CHAIN_ENVIRONMENT,
    DL_CHAIN_PROFILE,
    DL_CHAIN_WEB_IDENTITY,
    DL_CHAIN_CONTAINER,
    DL_CHAIN_EC2 /* the last */
};

static dynalock_outcome dl_posix_link(
    dynalock_client *client, dynalock_provider *provider, unsigned at)
{
    switch (at) {
    case DL_CHAIN_ENVIRONMENT: return dl_posix_environment(client, provider);
    case DL_CHAIN_PROFILE: return dl_posix_profile(client, provider);
    case DL_CHAIN_WEB_IDENTITY: return dl_posix_web_identity(client, provider);
    case DL_CHAIN_CONTAINER: return dl_posix_container(client, provider);
    default: return dl_posix_ec2(client, provider);
    }
}

static dynalock_outcome dl_posix_step(
    dynalock_client *client, dynalock_provider *provider)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)provider->context;
    dynalock_outcome rc = DYNALOCK_CREDENTIALS_MISSING;

    if (aws->at == 0) aws->report[0] = '\0';
    for (;;) {
        rc = dl_posix_link(client, provider, aws->at);
        if (rc == DYNALOCK_AGAIN || rc == DYNALOCK_OK) return rc;
        if (rc != DYNALOCK_CREDENTIALS_MISSING || aws->ended ||
            aws->at == DL_CHAIN_EC2)
            break;
        aws->at++;
    }
    return dl_blame(client, provider, rc, aws->report);
}

static void dl_posix_stop(dynalock_client *client, dynalock_provider *provider)
{
    dynalock_posix_aws *aws = (dynalock_posix_aws *)provider->context;

    if (provider->state != DL_ASK_IDLE) {
        dl_report(aws, aws->at == DL_CHAIN_EC2 ? "EC2 metadata" : "container",
            NULL, "not in time");
        (void)dl_blame(client, provider, DYNALOCK_NO_ANSWER, aws->report);
    }
    dl_wipe(aws->authorization, sizeof aws->authorization);
    dl_wipe(aws->ec2.token, sizeof aws->ec2.token);
    aws->ec2.again = 0;
    aws->at = 0;
    aws->ended = 0;
}

DYNALOCK_API dynalock_source dynalock_source_posix(void)
{
    return dl_source("credentials chain", dl_posix_step, dl_posix_stop);
}

#ifndef DYNALOCK_NO_TLS

/* One certificate on its way from PEM text to an anchor. */
typedef struct dl_anchor_reader {
    dynalock_anchors *anchors;
    br_pem_decoder_context pem;
    br_x509_decoder_context x509;
    size_t name_at; /* where its DN begins in anchors->bytes */
    int inside;     /* a certificate's section, not a key's */
    dynalock_outcome outcome;
} dl_anchor_reader;

/* Memory for an anchor's name or key; NULL when it is used up. */
static unsigned char *dl_anchor_keep(
    dl_anchor_reader *reader, const void *data, size_t size)
{
    dynalock_anchors *anchors = reader->anchors;
    unsigned char *at = anchors->bytes + anchors->used;

    if (size > sizeof anchors->bytes - anchors->used) {
        reader->outcome = DYNALOCK_BAD_BUFFER;
        return NULL;
    }
    memcpy(at, data, size);
    anchors->used += size;
    return at;
}

static void dl_anchor_name(void *context, const void *data, size_t size)
{
    (void)dl_anchor_keep((dl_anchor_reader *)context, data, size);
}

/* BearSSL's decoders must not be fed behind an error: they would run on. */
static int dl_is_decoding(int error)
{
    return error == 0 || error == BR_ERR_X509_TRUNCATED;
}

static void dl_anchor_der(void *context, const void *data, size_t size)
{
    dl_anchor_reader *reader = (dl_anchor_reader *)context;

    if (reader->inside &&
        dl_is_decoding(br_x509_decoder_last_error(&reader->x509)))
        br_x509_decoder_push(&reader->x509, data, size);
}

static void dl_anchor_begin(dl_anchor_reader *reader)
{
    const char *name = br_pem_decoder_name(&reader->pem);

    reader->inside = strcmp(name, "CERTIFICATE") == 0 ||
                     strcmp(name, "X509 CERTIFICATE") == 0;
    reader->name_at = reader->anchors->used;
    br_x509_decoder_init(&reader->x509, dl_anchor_name, reader);
    br_pem_decoder_setdest(&reader->pem, dl_anchor_der, reader);
}

/* The decoder's key points into the decoder: its parts are copied. */
static void dl_anchor_key(dl_anchor_reader *reader, br_x509_pkey *key)
{
    if (key->key_type == BR_KEYTYPE_RSA) {
        br_rsa_public_key *rsa = &key->key.rsa;

        rsa->n = dl_anchor_keep(reader, rsa->n, rsa->nlen);
        rsa->e = dl_anchor_keep(reader, rsa->e, rsa->elen);
    } else {
        br_ec_public_key *ec = &key->key.ec;

        ec->q = dl_anchor_keep(reader, ec->q, ec->qlen);
    }
}

static void dl_anchor_end(dl_anchor_reader *reader)
{
    dynalock_anchors *anchors = reader->anchors;
    br_x509_pkey *key = br_x509_decoder_get_pkey(&reader->x509);
    br_x509_trust_anchor *anchor = &anchors->list[anchors->count];

    if (!reader->inside) return;
    reader->inside = 0;
    if (key == NULL) {
        if (br_x509_decoder_last_error(&reader->x509) !=
            BR_ERR_X509_UNSUPPORTED)
            reader->outcome = DYNALOCK_BAD_FILE;
        anchors->used = reader->name_at;
    } else if (anchors->count == DYNALOCK_ANCHORS) {
        reader->outcome = DYNALOCK_BAD_BUFFER;
    } else {
        memset(anchor, 0, sizeof *anchor);
        anchor->dn.data = anchors->bytes + reader->name_at;
        anchor->dn.len = anchors->used - reader->name_at;
        anchor->flags =
            br_x509_decoder_isCA(&reader->x509) ? BR_X509_TA_CA : 0;
        anchor->pkey = *key;
        dl_anchor_key(reader, &anchor->pkey);
        if (reader->outcome == DYNALOCK_OK) anchors->count++;
    }
}

static void dl_anchor_text(
    dl_anchor_reader *reader, const char *text, size_t size)
{
    while (size != 0 && reader->outcome == DYNALOCK_OK) {
        size_t n = br_pem_decoder_push(&reader->pem, text, size);

        text += n;
        size -= n;
        switch (br_pem_decoder_event(&reader->pem)) {
        case BR_PEM_BEGIN_OBJ: dl_anchor_begin(reader); break;
        case BR_PEM_END_OBJ: dl_anchor_end(reader); break;
        case BR_PEM_ERROR: reader->outcome = DYNALOCK_BAD_FILE; break;
        default: break;
        }
    }
}

DYNALOCK_API dynalock_outcome dynalock_posix_anchors(
    dynalock_anchors *anchors, const char *path)
{
    dl_anchor_reader reader;
    char text[1024];
    size_t before;
    ssize_t n = 0;
    int fd;

    if (anchors == NULL || path == NULL) return DYNALOCK_BAD_ARGUMENT;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return DYNALOCK_NO_FILE;
    memset(&reader, 0, sizeof reader);
    reader.anchors = anchors;
    before = anchors->count;
    br_pem_decoder_init(&reader.pem);
    while (
        reader.outcome == DYNALOCK_OK && (n = read(fd, text, sizeof text)) > 0)
        dl_anchor_text(&reader, text, (size_t)n);
    (void)close(fd);
    if (n < 0) return DYNALOCK_NO_FILE;
    dl_anchor_text(&reader, "\n", 1); /* the last line may lack its end */
    if (reader.outcome == DYNALOCK_OK &&
        (reader.inside || anchors->count == before))
        return DYNALOCK_BAD_FILE;
    return reader.outcome;
}

/* ---- an identity ---- */

typedef struct dl_identity_reader {
    dynalock_posix_identity *to;
    size_t start; /* of the object under way */
    int inside;
    dynalock_outcome outcome;
} dl_identity_reader;

static void dl_identity_der(void *context, const void *data, size_t size)
{
    dl_identity_reader *reader = (dl_identity_reader *)context;
    dynalock_posix_identity *to = reader->to;

    if (size > sizeof to->bytes - to->used) {
        reader->outcome = DYNALOCK_BAD_BUFFER;
        return;
    }
    memcpy(to->bytes + to->used, data, size);
    to->used += size;
}

static void dl_identity_object(
    dl_identity_reader *reader, const char *name, int is_key)
{
    dynalock_posix_identity *to = reader->to;
    dynalock_identity *identity = &to->identity;
    br_x509_certificate *next = &to->chain[identity->chain_count];
    size_t size = to->used - reader->start;

    if (is_key) {
        if (strstr(name, "PRIVATE KEY") != NULL &&
            dl_is_decoding(br_skey_decoder_last_error(&to->decoder)))
            br_skey_decoder_push(
                &to->decoder, to->bytes + reader->start, size);
        dl_wipe(to->bytes + reader->start, size); /* the decoder has it */
        to->used = reader->start;
    } else if (strcmp(name, "CERTIFICATE") != 0) {
        to->used = reader->start;
    } else if (identity->chain_count == DL_COUNT(to->chain)) {
        reader->outcome = DYNALOCK_BAD_BUFFER;
    } else {
        next->data = to->bytes + reader->start;
        next->data_len = size;
        identity->chain_count++;
    }
}

static void dl_identity_text(dl_identity_reader *reader,
    br_pem_decoder_context *pem, const char *text, size_t size, int is_key)
{
    while (size != 0 && reader->outcome == DYNALOCK_OK) {
        size_t n = br_pem_decoder_push(pem, text, size);

        text += n;
        size -= n;
        switch (br_pem_decoder_event(pem)) {
        case BR_PEM_BEGIN_OBJ:
            reader->inside = 1;
            reader->start = reader->to->used;
            br_pem_decoder_setdest(pem, dl_identity_der, reader);
            break;
        case BR_PEM_END_OBJ:
            reader->inside = 0;
            dl_identity_object(reader, br_pem_decoder_name(pem), is_key);
            break;
        case BR_PEM_ERROR: reader->outcome = DYNALOCK_BAD_FILE; break;
        default: break;
        }
    }
}

static dynalock_outcome dl_identity_file(
    dynalock_posix_identity *to, const char *path, int is_key)
{
    dl_identity_reader reader;
    br_pem_decoder_context pem;
    char text[1024];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) return DYNALOCK_NO_FILE;
    memset(&reader, 0, sizeof reader);
    reader.to = to;
    br_pem_decoder_init(&pem);
    while (
        reader.outcome == DYNALOCK_OK && (n = read(fd, text, sizeof text)) > 0)
        dl_identity_text(&reader, &pem, text, (size_t)n, is_key);
    (void)close(fd);
    dl_identity_text(&reader, &pem, "\n", 1, is_key);
    dl_wipe(text, sizeof text);
    dl_wipe(&pem, sizeof pem);
    if (n < 0) return DYNALOCK_NO_FILE;
    return reader.inside && reader.outcome == DYNALOCK_OK ? DYNALOCK_BAD_FILE
                                                          : reader.outcome;
}

static dynalock_outcome dl_identity_key(dynalock_posix_identity *to)
{
    const br_ec_private_key *ec = br_skey_decoder_get_ec(&to->decoder);
    const br_rsa_private_key *rsa = br_skey_decoder_get_rsa(&to->decoder);
    size_t count = to->identity.chain_count;

    if (count == 0) return DYNALOCK_BAD_FILE;
    if (ec != NULL) { /* its number stays in the decoder */
        to->ec_key = *ec;
        dynalock_identity_ec(&to->identity, to->chain, count, &to->ec_key);
    } else if (rsa != NULL) {
        to->rsa_key = *rsa;
        dynalock_identity_rsa(&to->identity, to->chain, count, &to->rsa_key);
    } else {
        return DYNALOCK_BAD_FILE;
    }
    return DYNALOCK_OK;
}

DYNALOCK_API dynalock_outcome dynalock_posix_load_identity(
    dynalock_posix_identity *identity, const char *chain_path,
    const char *key_path)
{
    dynalock_outcome rc;

    if (identity == NULL || chain_path == NULL || key_path == NULL)
        return DYNALOCK_BAD_ARGUMENT;
    memset(identity, 0, sizeof *identity);
    br_skey_decoder_init(&identity->decoder);
    rc = dl_identity_file(identity, chain_path, 0);
    if (rc == DYNALOCK_OK) rc = dl_identity_file(identity, key_path, 1);
    if (rc == DYNALOCK_OK) rc = dl_identity_key(identity);
    if (rc != DYNALOCK_OK) dl_wipe(identity, sizeof *identity);
    return rc;
}

#endif /* DYNALOCK_NO_TLS */

#ifdef __cplusplus
}
#endif

#endif /* DYNALOCK_POSIX */

#endif /* DYNALOCK_IMPLEMENTATION_ONCE */
#endif /* DYNALOCK_IMPLEMENTATION */

/*
== licence

MIT License

Copyright (c) 2026 the dynalock.h authors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
*/
