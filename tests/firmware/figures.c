/*
Counts instructions on an emulated board, run with -icount shift=0: every
instruction takes one nanosecond of the board's time then, and a timer of the
board tells how many there were. What the port's hooks and the network take is
left out; interrupts are in it (a few dozen instructions each millisecond).

    endpoint=https://HOST:PORT  owner=NAME  lease=MS
*/
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include "anchors.h"
#include "board.h"
#include "../bench/sign.h"

#define REPEATS 8
#define HANDSHAKE_MS 20000

static dynalock_platform platform, inner; /* inner: the port's own hooks */
static dynalock_client client;
static dynalock_lock lock;
static dynalock_tls tls;
static const dynalock_credentials credentials = { "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };

/* ---- the timer ---- */

#ifdef FIGURES_MICROBIT
/* TIMER1 at 16 MHz; TIMER0 is the board's */
#define TIMER1(offset) BOARD_REGISTER(0x40009000 + (offset))
static void start_timer(void)
{
    TIMER1(0x508) = 3; /* 32 bits */
    TIMER1(0x510) = 0; /* no prescaler */
    TIMER1(0x000) = 1; /* on */
}

static uint32_t timer(void)
{
    TIMER1(0x040) = 1; /* capture */
    return TIMER1(0x540);
}

static uint32_t instructions(uint64_t ticks)
{
    return (uint32_t)(ticks * 1000 / 16);
}
#else
/* the MPS2's free counter at 25 MHz */
#define COUNTER BOARD_REGISTER(0x40028018)
#define PRESCALER BOARD_REGISTER(0x4002801c)
static void start_timer(void)
{
    PRESCALER = 0;
}

static uint32_t timer(void)
{
    return COUNTER;
}

static uint32_t instructions(uint64_t ticks)
{
    return (uint32_t)(ticks * 40);
}
#endif

/* ---- what is not counted: the hooks ---- */

static uint32_t outside; /* ticks */

#define IN_HOOK(type, call)                                                   \
    uint32_t start = timer();                                                 \
    type result = call;                                                       \
    outside += timer() - start;                                               \
    return result

static int32_t hook_open(void *context, const dynalock_peer *peer)
{
    IN_HOOK(int32_t, inner.open(context, peer));
}

static int32_t hook_write(void *context, const void *data, size_t size)
{
    IN_HOOK(int32_t, inner.write(context, data, size));
}

static int32_t hook_read(void *context, void *data, size_t size)
{
    IN_HOOK(int32_t, inner.read(context, data, size));
}

static void hook_close(void *context)
{
    uint32_t start = timer();

    inner.close(context);
    outside += timer() - start;
}

static uint64_t hook_monotonic_ms(void *context)
{
    IN_HOOK(uint64_t, inner.monotonic_ms(context));
}

static int64_t hook_unix_ms(void *context)
{
    IN_HOOK(int64_t, inner.unix_ms(context));
}

static int32_t hook_entropy(void *context, void *out, size_t size)
{
    IN_HOOK(int32_t, inner.entropy(context, out, size));
}

/* ---- measuring ---- */

static uint32_t started, outside_then;
static uint64_t counted;

static void begin(void)
{
    outside_then = outside;
    started = timer();
}

static void end(void)
{
    counted += timer() - started - (outside - outside_then);
}

static void report(const char *name, uint32_t number)
{
    board_print("figure ");
    board_print(name);
    board_print("=");
    board_print_number(number);
    board_print("\n");
    counted = 0;
}

static void require(int truth, const char *what)
{
    if (truth) return;
    board_print("failed: ");
    board_print(what);
    board_print("\n");
    board_exit(1);
}

static void sleep(void)
{
    unsigned interest;
    uint32_t ms;

    dynalock_wants(&client, &interest, &ms);
    (void)inner.wait(inner.context, interest, ms);
}

/* ---- the figures ---- */

static void measure_block(void)
{
    static const uint8_t blocks[64] = { 1 };
    dl_sha256 sha;
    int i;

    dl_sha256_init(&sha);
    dl_sha256_update(&sha, blocks, sizeof blocks);
    begin();
    for (i = 0; i < 64; i++) dl_sha256_block(sha.state, blocks);
    end();
    report("SHA-256 block", instructions(counted) / 64);
}

static void measure_signature(void)
{
    dynalock_signing_key key;
    char header[384];
    int i;

    memset(&key, 0, sizeof key);
    (void)sign(&key, header, sizeof header);
    begin();
    for (i = 0; i < REPEATS; i++) (void)sign(&key, header, sizeof header);
    end();
    report("signature, cached key", instructions(counted) / REPEATS);
}

/* The client sends nothing yet: its stream alone is opened and closed. */
static void measure_handshake(const char *name)
{
    uint32_t start = board_ms();
    int32_t rc;

    do {
        begin();
        rc = client.stream(DL_STREAM_OPEN).open(&client);
        end();
        require(rc >= 0, name);
        if (rc != 0)
            (void)inner.wait(inner.context, client.exchange.interest, 1000);
        require(board_ms() - start < HANDSHAKE_MS, name);
    } while (rc != 0);
    report(name, instructions(counted));
}

static void measure_call(const char *name, dynalock_outcome (*start)(void))
{
    dynalock_outcome rc;

    begin();
    rc = start();
    end();
    while (rc == DYNALOCK_AGAIN) {
        sleep();
        begin();
        (void)dynalock_poll(&client);
        end();
        rc = dynalock_result(&lock.operation);
    }
    require(rc == DYNALOCK_OK, name);
    report(name, instructions(counted));
}

static dynalock_outcome start_acquire(void)
{
    return dynalock_start_acquire(&client, &lock, 10000);
}

static dynalock_outcome start_renew(void)
{
    return dynalock_start_renew(&client, &lock);
}

static dynalock_outcome start_release(void)
{
    return dynalock_start_release(&client, &lock);
}

static void set_up(void)
{
    dynalock_config config;
    dynalock_lock_options options;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    platform.context = inner.context;
    platform.open = hook_open;
    platform.write = hook_write;
    platform.read = hook_read;
    platform.close = hook_close;
    platform.monotonic_ms = hook_monotonic_ms;
    platform.unix_ms = hook_unix_ms;
    platform.entropy = hook_entropy;
    config.platform = &platform;
    config.credentials = &credentials;
    config.endpoint = board_setting("endpoint");
    config.region = "us-east-1";
    config.table = "locks";
    config.owner = board_setting("owner");
    config.lease_ms = board_setting_number("lease");
    dynalock_tls_init(
        &tls, dynalock_tls_small(), anchors, sizeof anchors / sizeof *anchors);
    config.tls = &tls;
    require(
        dynalock_client_init(&client, &config) == DYNALOCK_OK, "client_init");
    options.key = "site-leader";
    require(dynalock_lock_init(&lock, &options) == DYNALOCK_OK, "lock_init");
}

int main(void)
{
    uint8_t session[32];

    start_timer();
    board_start(&inner);
    set_up();
    measure_block();
    measure_signature();

    measure_handshake("TLS handshake, full");
    memcpy(session, tls.session.session_id, sizeof session);
    client.stream(DL_STREAM_CLOSE).close(&client);
    (void)inner.wait(inner.context, 0, 300); /* the server closes, too */
    measure_handshake("TLS handshake, resumed");
    require(memcmp(session, tls.session.session_id, sizeof session) == 0,
        "the session is resumed");

    client.exchange.state = DL_EXCHANGE_READY; /* as it would be behind it */
    measure_call("acquire, open TLS", start_acquire);
    measure_call("renew, open TLS", start_renew);
    measure_call("release, open TLS", start_release);
    report("stack", board_stack_used());
    return 0;
}
