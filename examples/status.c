/*
Tells of locks: one now, one for as long as it is watched, or all of a table;
and breaks one.

    cc -I.. status.c -o status -lbearssl
    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
        ./status REGION|ENDPOINT TABLE                      list the table
        ./status REGION|ENDPOINT TABLE KEY                  tell of one lock
        ./status REGION|ENDPOINT TABLE KEY watch            and go on (^C ends)
        ./status REGION|ENDPOINT TABLE KEY break VERSION    as it was shown

DYNALOCK_CA is a file with the trust anchors, if not the system's. Whether a
lock's holder is dead no look can tell, only a watch: it counts for how long
nothing has changed.
*/

#define _DEFAULT_SOURCE
#define DYNALOCK_POSIX
#define DYNALOCK_IMPLEMENTATION
#include "dynalock.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static dynalock_posix posix;
static dynalock_platform platform;
static dynalock_anchors anchors;
static dynalock_tls tls;
static dynalock_credentials credentials;
static dynalock_client client;
static dynalock_record record;
static dynalock_watch watching;
static dynalock_listing listing;
static volatile int stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static int finish(dynalock_outcome rc)
{
    if (rc == DYNALOCK_OK) return 0;
    fprintf(stderr, "%s %s\n", dynalock_explain(rc), client.detail.message);
    return 1;
}

/* Where: a region of AWS, or "http://...", "https://...". */
static dynalock_outcome set_up(const char *where, const char *table)
{
    const char *ca = getenv("DYNALOCK_CA");
    int is_url = strncmp(where, "http", 4) == 0;
    dynalock_config config = { 0 };
    dynalock_outcome rc;

    dynalock_posix_platform(&posix, &platform);
    dynalock_posix_credentials(&credentials);
    posix.stop = &stop;
    config.platform = &platform;
    config.credentials = &credentials;
    config.endpoint = is_url ? where : NULL;
    config.region = is_url ? "us-east-1" : where;
    config.table = table;
    if (strncmp(where, "http:", 5) != 0) {
        rc = dynalock_posix_anchors(
            &anchors, ca != NULL ? ca : "/etc/ssl/certs/ca-certificates.crt");
        if (rc != DYNALOCK_OK) return rc;
        dynalock_tls_init(
            &tls, dynalock_tls_wide(), anchors.list, anchors.count);
        config.tls = &tls;
    }
    return dynalock_client_init(&client, &config);
}

/* Keys and owners are whatever somebody wrote: no control characters go to the
   terminal. */
static void print_text(const char *text, size_t size)
{
    for (; size != 0; text++, size--) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f) printf("\\x%02x", c);
        else putchar(c);
    }
}

static void print_time(uint64_t fence)
{
    time_t seconds = (time_t)(dynalock_granted_ms(fence) / 1000);
    const struct tm *tm = fence != 0 ? gmtime(&seconds) : NULL;
    char text[32];

    if (tm != NULL && strftime(text, sizeof text, "%F %TZ", tm) != 0)
        printf(", granted about %s", text);
}

static void print_status(dynalock_status status, const char *owner,
    uint64_t fence, uint32_t lease_ms, const char *rvn)
{
    static const char *const words[] = { "absent", "released", "held",
        "not a lock" };

    printf("%s", words[status]);
    if (status == DYNALOCK_LOCKED) {
        printf(" by ");
        print_text(owner, strlen(owner));
        printf(" for %lu ms at a time", (unsigned long)lease_ms);
        print_time(fence);
    }
    if (fence != 0) printf(", fence %llu", (unsigned long long)fence);
    if (rvn[0] != '\0') printf(", version ");
    print_text(rvn, strlen(rvn));
}

static void print_record(const dynalock_record *of)
{
    print_status(of->status, of->owner, of->fence, of->lease_ms, of->rvn);
    putchar('\n');
}

static int print_item(void *context, const dynalock_listed *item)
{
    (void)context;
    if (item->key != NULL) print_text(item->key, item->key_size);
    else printf("(a key too long to show)");
    printf(": ");
    print_status(
        item->status, item->owner, item->fence, item->lease_ms, item->rvn);
    printf("%s\n", item->again ? " (perhaps listed before)" : "");
    return stop;
}

static void print_change(
    void *context, const dynalock_watch *watch, uint32_t before_ms)
{
    (void)context;
    if (before_ms != 0)
        printf("after %lu ms unchanged: ", (unsigned long)before_ms);
    print_record(&watch->record);
    (void)fflush(stdout);
}

/* "Unchanged for longer than its lease" is the most that can be said. */
static void print_silence(void)
{
    static uint32_t told;

    if (watching.unchanged_ms < told) told = 0;
    if (watching.record.status != DYNALOCK_LOCKED || told != 0 ||
        watching.unchanged_ms <= watching.record.lease_ms)
        return;
    told = watching.unchanged_ms;
    printf("unchanged for %lu ms, which is longer than its lease\n",
        (unsigned long)told);
    (void)fflush(stdout);
}

static dynalock_outcome watch(const dynalock_name *name)
{
    dynalock_outcome rc;
    unsigned interest;
    uint32_t ms;

    watching.changed = print_change;
    rc = dynalock_start_watch(&client, name, &watching);
    while (rc == DYNALOCK_AGAIN) {
        (void)dynalock_poll(&client);
        print_silence();
        dynalock_wants(&client, &interest, &ms);
        if (platform.wait(platform.context, interest, ms) != 0)
            dynalock_cancel(&client, &watching.record.operation);
        rc = dynalock_result(&watching.record.operation);
    }
    return rc == DYNALOCK_CANCELLED ? DYNALOCK_OK : rc;
}

static dynalock_outcome tell(const dynalock_name *name)
{
    dynalock_outcome rc = dynalock_read(&client, name, &record);

    if (rc == DYNALOCK_OK) print_record(&record);
    return rc;
}

static dynalock_outcome break_shown(const dynalock_name *name, const char *rvn)
{
    dynalock_outcome rc = dynalock_break(&client, name, rvn, &record);

    if (rc == DYNALOCK_OK || rc == DYNALOCK_KEPT) print_record(&record);
    return rc;
}

static dynalock_outcome list(void)
{
    listing.each = print_item;
    return dynalock_list(&client, NULL, &listing);
}

int main(int count, char **arguments)
{
    dynalock_name name = { NULL, NULL, NULL };
    const char *what = count > 4 ? arguments[4] : "";
    dynalock_outcome rc;

    if (count < 3) {
        fprintf(stderr, "status REGION|ENDPOINT TABLE [KEY [watch | break "
                        "VERSION]]\n");
        return 64;
    }
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    rc = set_up(arguments[1], arguments[2]);
    if (rc != DYNALOCK_OK) return finish(rc);
    name.key = count > 3 ? arguments[3] : NULL;
    if (count == 3) rc = list();
    else if (count == 4) rc = tell(&name);
    else if (count == 5 && strcmp(what, "watch") == 0) rc = watch(&name);
    else if (count == 6 && strcmp(what, "break") == 0)
        rc = break_shown(&name, arguments[5]);
    else rc = DYNALOCK_BAD_ARGUMENT;
    (void)finish(rc);
    (void)dynalock_client_close(&client, 1000);
    return rc == DYNALOCK_OK ? 0 : 1;
}
