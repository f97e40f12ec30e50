/*
A device that takes a lock in a DynamoDB table, works under it, gives it back,
and does it again: the application, the same for every board. It prints a line
for everything that happens.

Its settings come from the debugger (board_setting), so that one image serves
every test; a product has them in flash:

    endpoint=https://HOST:PORT  owner=NAME
    lease=MS    wait=MS (for the lock)    work=MS (under it)
    rounds=N    how often it takes the lock
    restart=MS  after so long under the lock, in its first life, it restarts
*/
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include "board.h"
#ifndef DYNALOCK_NO_TLS
#include "anchors.h" /* made from the authority's certificate */
#endif

static dynalock_platform platform;
static dynalock_client client;
static dynalock_lock lock;
static char holder[DYNALOCK_OWNER_SIZE]; /* last seen */
static const dynalock_credentials credentials = { "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };
#ifndef DYNALOCK_NO_TLS
static dynalock_tls tls;
#endif

/* What a restart must not forget. */
#define SAVED 0x6c6f636bu
static BOARD_NOINIT struct {
    uint32_t mark; /* SAVED, or there was no power */
    uint32_t lives;
    dynalock_blob blob; /* of the lock that is held */
} saved;

static void say(const char *text, uint64_t number)
{
    board_print(text);
    board_print_number(number);
    board_print("\n");
}

static void say_outcome(const char *what, dynalock_outcome rc)
{
    board_print(what);
    board_print(" outcome=-");
    board_print_number((uint64_t) - (int64_t)rc);
    board_print(" ");
    board_print(dynalock_explain(rc));
    board_print(" ");
    board_print(client.detail.message);
    say(" port_error=-", (uint64_t) - (int64_t)client.detail.port_error);
}

static dynalock_outcome set_up(void)
{
    dynalock_config config;
    dynalock_lock_options options;
    dynalock_outcome rc;

    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    config.platform = &platform;
    config.credentials = &credentials;
    config.endpoint = board_setting("endpoint");
    config.region = "us-east-1";
    config.table = "locks";
    config.owner = board_setting("owner");
    config.lease_ms = board_setting_number("lease");
    config.poll_ms = 250;
#ifdef DYNALOCK_NO_TLS
    config.secure_transport = 1; /* the modem does it */
#else
    dynalock_tls_init(
        &tls, dynalock_tls_small(), anchors, sizeof anchors / sizeof *anchors);
    config.tls = &tls;
#endif
    rc = dynalock_client_init(&client, &config);
    if (rc != DYNALOCK_OK) return rc;
    options.key = "site-leader";
    rc = dynalock_lock_init(&lock, &options);
    if (rc != DYNALOCK_OK) return rc;
    rc = dynalock_restore(&client, &lock, &saved.blob);
    if (rc == DYNALOCK_OK) board_print("restored\n");
    return rc == DYNALOCK_BAD_BLOB ? DYNALOCK_OK : rc; /* nothing was saved */
}

/* Sleeps until there is something to do, but not longer than ms, and does it.
 */
static void step(uint32_t ms)
{
    unsigned interest;
    uint32_t wants;

    dynalock_wants(&client, &interest, &wants);
    (void)platform.wait(platform.context, interest, wants < ms ? wants : ms);
    (void)dynalock_poll(&client);
}

static dynalock_outcome take(void)
{
    uint32_t wait_ms = board_setting_number("wait");
    dynalock_outcome rc = dynalock_start_acquire(&client, &lock, wait_ms);

    holder[0] = '\0';
    while (rc == DYNALOCK_AGAIN) {
        step(100);
        rc = dynalock_result(&lock.operation);
        if (strcmp(holder, client.detail.holder) == 0) continue;
        memcpy(holder, client.detail.holder, sizeof holder);
        board_print("waits holder=");
        board_print(holder);
        say(" lease_ms=", client.detail.holder_lease_ms);
    }
    return rc;
}

/* Works as long as it was told to, or until the lock is lost. */
static dynalock_outcome work(void)
{
    uint32_t work_ms = board_setting_number("work");
    uint32_t restart_ms = board_setting_number("restart");
    uint32_t start = board_ms(), left, left_before = 0;

    while (board_ms() - start < work_ms) {
        step(50);
        left = dynalock_remaining_ms(&client, &lock);
        if (left == 0) return dynalock_result(&lock.operation);
        if (left > left_before) say("renewed left_ms=", left);
        left_before = left;
        if (restart_ms == 0 || saved.lives != 1) continue;
        if (board_ms() - start >= restart_ms) board_restart();
    }
    return DYNALOCK_OK;
}

static dynalock_outcome take_and_work(void)
{
    dynalock_outcome rc = take();

    if (rc != DYNALOCK_OK) {
        say_outcome("failed", rc);
        return rc;
    }
    say("acquired fence=", dynalock_fence(&lock));
    rc = dynalock_save(&client, &lock, &saved.blob);
    if (rc == DYNALOCK_OK) rc = work();
    memset(&saved.blob, 0, sizeof saved.blob);
    if (rc != DYNALOCK_OK) {
        say_outcome("lost", rc);
        return rc;
    }
    rc = dynalock_release(&client, &lock);
    if (rc == DYNALOCK_OK) board_print("released\n");
    else say_outcome("not released", rc);
    return rc;
}

int main(void)
{
    uint32_t rounds = board_setting_number("rounds");
    dynalock_outcome rc;

    if (saved.mark != SAVED) memset(&saved, 0, sizeof saved);
    saved.mark = SAVED;
    saved.lives++;
    board_start(&platform);
    say("started life=", saved.lives);
    rc = set_up();
    if (rc != DYNALOCK_OK) {
        say_outcome("set-up", rc);
        return 1;
    }
    while (rounds-- != 0) rc = take_and_work();
    (void)dynalock_client_close(&client, 5000);
    board_print("stack used=");
    board_print_number(board_stack_used());
    say(" of=", board_stack_size());
    return rc == DYNALOCK_OK ? 0 : 1;
}
