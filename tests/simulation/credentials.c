#define _DEFAULT_SOURCE
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
The world "credentials": every device fetches its keys, from AWS IoT, a
container's endpoint or EC2's metadata, over the same network as the table. The
endpoints are well, by the seed, or slow, silent, throttled or broken at times,
and away for an hour; keys live for an hour over half a day, or for minutes, and
some are revoked before. The table knows who was given which.

What is judged: no heartbeat is late while the keys are good, whatever their
source does; a fetch that nothing waits for begins when no heartbeat is due and
every lock has more than twice the time left that it may take; it costs two
requests at most; keys that were refused are not used again; nobody fetches more
often than lives and refusals ask for. Exclusion, and that all are served when
the troubles are over, is for the other judges.
*/

#define HOUR (3600 * SECOND)
#define LEASE_MS 10000
#define CONNECT_MS 10000
#define BUDGET_MS (LEASE_MS / 4) /* of a connection, while a lock is held */
#define EARLY_MS 300000          /* before the end keys may be fetched anew */
#define LATE_MS 60 /* to open a connection, and the steps of a clock */
#define OUTAGES 3
#define TOKEN_SIZE 400
#define MEMORY_SIZE 4096
#define METADATA_TOKEN "metadata=="

/* Keys that were issued: their number is in the key id. */
typedef struct session {
    const device *device;
    uint64_t until; /* by the world's time */
    int is_refused; /* and the device was told */
} session;

struct issuer {
    uint64_t life;
    uint64_t bad; /* one in so many requests goes wrong; 0: none */
    struct {
        uint64_t from, until;
    } outages[OUTAGES];
    session *sessions;
    unsigned count, room;
    char key_id[32], secret[32], token[TOKEN_SIZE]; /* that the table wants */
};

struct source {
    dynalock_provider provider;
    dynalock_iot iot;
    dynalock_container container;
    dynalock_ec2 ec2;
    char memory[MEMORY_SIZE];
    unsigned requests, requests_most; /* of the fetch under way */
    uint64_t beat[TASKS]; /* until when it was held at the last heartbeat */
    uint64_t since;       /* boot */
    uint64_t waited_at;   /* a request did for a fetch; 0: none has */
    unsigned taken, refused;
};

/* ---- making them ---- */

/* With these a heartbeat is still when it was due. */
#define MIXED                                                                 \
    (WORLD_MANY | WORLD_DRIFT | WORLD_TICK | WORLD_CLOCK | WORLD_SORTED)

/* By itself that world is a mixture. */
void mix_sources(world *w)
{
    if (w->trouble == WORLD_CREDENTIALS)
        w->trouble |= (uint32_t)draw64(&w->chance) & MIXED;
}

static void draw_outages(world *w)
{
    issuer *is = w->issuer;
    unsigned i;

    for (i = 0; i < OUTAGES; i++) {
        if (one_in(&w->chance, 3)) continue;
        is->outages[i].from = draw(&w->chance, w->quiet_from);
        is->outages[i].until =
            is->outages[i].from + draw(&w->chance, 2000 * SECOND);
    }
    if (one_in(&w->chance, 2)) return;
    /* and one that lasts until the troubles end */
    is->outages[0].from = w->quiet_from - draw(&w->chance, 4000 * SECOND);
    is->outages[0].until = w->quiet_from;
}

void make_issuer(world *w)
{
    issuer *is = (issuer *)calloc(1, sizeof *is);

    if (is == NULL) abort();
    w->issuer = is;
    w->trouble &= ~(uint32_t)WORLD_TOKEN;
    is->life = HOUR;
    w->quiet_from = 12 * HOUR;
    if (w->seed % 3 == 0) { /* less than AWS gives */
        is->life = (60 + draw(&w->chance, 840)) * SECOND;
        w->quiet_from = 2 * HOUR;
    }
    w->end = w->quiet_from + 400 * SECOND;
    w->lease_ms = LEASE_MS;
    w->poll_ms = 1000;
    w->request_ms = 1000;
    if (w->seed % 3 == 1) return;
    is->bad = 2 + draw(&w->chance, 10);
    draw_outages(w);
}

void free_issuer(world *w)
{
    unsigned i;

    if (w->issuer == NULL) return;
    for (i = 0; i < w->device_count; i++) free(w->devices[i].source);
    free(w->issuer->sessions);
    free(w->issuer);
}

static dynalock_outcome init_provider(device *d)
{
    struct source *s = d->source;
    dynalock_source source = dynalock_source_ec2();
    void *context = &s->ec2;

    s->iot.host = "credentials.test";
    s->iot.role_alias = "lock-role";
    s->container.uri = "/keys";
    if (d->id % 4 == 0) {
        source = dynalock_source_iot();
        context = &s->iot;
    } else if (d->id % 4 == 2) {
        source = dynalock_source_container();
        context = &s->container;
    }
    return dynalock_provider_init(
        &s->provider, source, context, s->memory, sizeof s->memory);
}

/* Before the client's init, at each boot. */
void prepare_source(device *d, dynalock_config *config)
{
    if (!has(d->world, WORLD_CREDENTIALS)) return;
    if (d->source == NULL)
        d->source = (struct source *)malloc(sizeof *d->source);
    if (d->source == NULL) abort();
    memset(d->source, 0, sizeof *d->source);
    d->source->since = d->world->now;
    if (init_provider(d) != DYNALOCK_OK) abort();
    config->credentials = &d->source->provider.credentials;
    config->refresh = NULL;
    config->connect_ms = CONNECT_MS;
}

/* After it. */
void use_source(device *d)
{
    if (!has(d->world, WORLD_CREDENTIALS)) return;
    if (dynalock_set_provider(&d->client, &d->source->provider) != DYNALOCK_OK)
        abort();
}

/* ---- the table's side ---- */

static void print_session(issuer *is, unsigned number)
{
    int n;

    (void)snprintf(is->key_id, sizeof is->key_id, "ASIA%u", number);
    (void)snprintf(is->secret, sizeof is->secret, "hush %u", number);
    n = snprintf(is->token, sizeof is->token, "session-%u-", number);
    memset(is->token + n, 't', sizeof is->token - (size_t)n - 1);
    is->token[sizeof is->token - 1] = '\0';
}

/* Whose keys have signed it; NULL: nobody's. */
static session *find_session(const world *w, const char *request)
{
    const char *at = strstr(request, "Credential=ASIA");
    unsigned long number;

    if (at == NULL) return NULL;
    number = strtoul(at + 15, NULL, 10);
    return number < w->issuer->count ? &w->issuer->sessions[number] : NULL;
}

/* The table expects the keys that a request names, or refuses them, when they
   are over. */
void expect_session(world *w, const char *request)
{
    issuer *is = w->issuer;
    const session *s;

    if (!has(w, WORLD_CREDENTIALS)) return;
    s = find_session(w, request);
    if (s == NULL) abort();
    print_session(is, (unsigned)(s - is->sessions));
    w->options.key_id = is->key_id;
    w->options.secret = is->secret;
    w->options.token = s->until > w->now ? is->token : "another";
    /* long after, the service has forgotten that it ever knew them */
    w->options.old_token = s->until + 600 * SECOND > w->now ? is->token : NULL;
}

/* ---- the source's side ---- */

static unsigned issue(world *w, const device *d)
{
    issuer *is = w->issuer;
    session *s;

    if (is->count == is->room) {
        is->room = 2 * is->room + 64;
        is->sessions =
            (session *)realloc(is->sessions, is->room * sizeof *is->sessions);
        if (is->sessions == NULL) abort();
    }
    s = &is->sessions[is->count];
    memset(s, 0, sizeof *s);
    s->device = d;
    s->until = w->now + is->life;
    if (is->bad != 0 && !is_quiet(w) && one_in(&w->chance, 20)) /* revoked */
        s->until = w->now + draw(&w->chance, is->life);
    total.refreshed++;
    return is->count++;
}

/* As its answer says when they expire. */
static const char *expiry(const world *w, uint64_t life)
{
    static char text[32];
    time_t t = (time_t)((server_ms(w) + (int64_t)(life / MS)) / 1000);
    struct tm tm;

    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    return text;
}

static size_t reply(const world *w, int status, const char *body, char *answer)
{
    time_t t = (time_t)(server_ms(w) / 1000);
    char date[40];
    struct tm tm;

    (void)strftime(
        date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
    return (size_t)snprintf(answer, MODEL_ANSWER_SIZE,
        "HTTP/1.1 %d X\r\nDate: %s\r\nContent-Length: %zu\r\n\r\n%s", status,
        date, strlen(body), body);
}

static size_t reply_keys(
    world *w, const device *d, const char *request, char *answer)
{
    issuer *is = w->issuer;
    char body[1024];
    int is_iot = strncmp(request, "GET /role-aliases/", 18) == 0;

    print_session(is, issue(w, d));
    (void)snprintf(body, sizeof body,
        is_iot ? "{\"credentials\":{\"accessKeyId\":\"%s\",\"secretAccessKey\""
                 ":\"%s\",\"sessionToken\":\"%s\",\"expiration\":\"%s\"}}"
               : "{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"%s\","
                 "\"Token\":\"%s\",\"Expiration\":\"%s\"}",
        is->key_id, is->secret, is->token, expiry(w, is->life));
    return reply(w, 200, body, answer);
}

static int is_away(const world *w)
{
    unsigned i;

    for (i = 0; i < OUTAGES; i++)
        if (w->now >= w->issuer->outages[i].from &&
            w->now < w->issuer->outages[i].until)
            return 1;
    return 0;
}

static int goes_wrong(world *w)
{
    return !is_quiet(w) && (is_away(w) || one_in(&w->chance, w->issuer->bad));
}

/* Another answer than keys. */
static size_t reply_trouble(world *w, char *answer)
{
    switch (draw(&w->chance, 7)) {
    case 0: return reply(w, 429, "{\"message\":\"Rate exceeded\"}", answer);
    case 1: return reply(w, 503, "", answer);
    case 2: return reply(w, 403, "{\"message\":\"Access Denied\"}", answer);
    case 3: return reply(w, 404, "", answer);
    case 4: return reply(w, 200, "<html>sign in, please</html>", answer);
    case 5:
        return reply(w, 200,
            "{\"credentials\":{\"accessKeyId\":\"A\",\"secretAccessKey\":\"s\""
            ",\"sessionToken\":\"t\",\"expiration\":\"2023-01-01T00:00:00Z\"}"
            ",\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
            "\"Expiration\":\"2023-01-01T00:00:00Z\"}",
            answer);
    default: return reply(w, 500, "sorry", answer);
    }
}

/* Carries a request to a source out. Nobody may hear of it, or late. */
size_t serve_source(world *w, event *e, uint64_t *later, char *answer)
{
    const char *text = e->text;

    if (goes_wrong(w)) {
        if (one_in(&w->chance, 4)) e->silent = 1;
        if (one_in(&w->chance, 3)) *later = draw(&w->chance, 4 * SECOND);
        else return reply_trouble(w, answer);
    }
    if (strncmp(text, "PUT /latest/api/token ", 22) == 0)
        return reply(w, 200, METADATA_TOKEN, answer);
    if (strstr(text, "/latest/meta-data/") != NULL &&
        strstr(text, "-token:" METADATA_TOKEN "\r\n") == NULL) {
        e->device->source->requests_most += 2; /* of a page that was one */
        return reply(w, 401, "", answer);
    }
    if (strstr(text, "/security-credentials/ ") != NULL)
        return reply(w, 200, "lock-role", answer);
    return reply_keys(w, e->device, text, answer);
}

/* ---- the judges of a device ---- */

/* How long a task's lock will be held at the most when its heartbeat is due. */
static uint32_t left_when_due(void)
{
    return LEASE_MS - LEASE_MS / 100 - DYNALOCK_CLOCK_STEP_MS - LEASE_MS / 3;
}

/* Nothing but the sources troubles this world. */
static int is_only_sources(const world *w)
{
    return !has(w, ~(WORLD_CREDENTIALS | (uint32_t)MIXED));
}

/* A fetch begins for which no request waits. Who stands still has looked at
   the clock before. */
static void judge_early_fetch(world *w, device *d)
{
    unsigned i;

    if (has(w, WORLD_PAUSE | WORLD_EDGE | WORLD_SHORTEN)) return;
    for (i = 0; i < d->task_count; i++) {
        uint32_t left = remaining_ms(&d->tasks[i]);

        if (left == 0 || d->tasks[i].app != APP_HOLD) continue;
        if (is_only_sources(w) && left + LATE_MS < left_when_due())
            violate(w, "d%u fetches before a heartbeat that is due, left %u",
                d->id, left);
        if (left + LATE_MS < 2 * BUDGET_MS)
            violate(w, "d%u fetches with %u ms left", d->id, left);
    }
}

/* One that requests wait for: there were no keys, or these were refused, or
   their source had failed for long. */
static void judge_late_fetch(world *w, device *d)
{
    unsigned i;

    d->source->waited_at = w->now;
    if (w->issuer->bad != 0 || !is_only_sources(w)) return;
    for (i = 0; i < d->task_count; i++)
        if (remaining_ms(&d->tasks[i]) != 0)
            violate(w, "d%u holds a lock and has let its keys expire", d->id);
}

/* The first connection of a fetch. EC2's role is asked for once. */
static void begin_fetch(world *w, device *d)
{
    struct source *s = d->source;

    s->requests = 0;
    s->requests_most = d->id % 2 == 0 ? 1 : s->ec2.found[0] != '\0' ? 2 : 3;
    say(w, "d%u fetches credentials", d->id);
    if (local_ms(d) < s->provider.until) judge_early_fetch(w, d);
    else judge_late_fetch(w, d);
}

/* A connection is opened. 0: to a source that is not there. */
int open_to(device *d, const char *host)
{
    world *w = d->world;

    d->at_source = strcmp(host, "table.test") != 0;
    if (!d->at_source) return 1;
    if (d->source->provider.step == 0) begin_fetch(w, d);
    return is_quiet(w) || !is_away(w) || one_in(&w->chance, 3);
}

/* A request for a source leaves. */
void judge_asked(world *w, device *d)
{
    if (!d->at_source)
        violate(w, "d%u sends the table what is for its source", d->id);
    if (++d->source->requests > d->source->requests_most)
        violate(w, "d%u sends %u requests for one refresh", d->id,
            d->source->requests);
}

/* While its keys are good, a heartbeat leaves when it is due: with one lock to
   the connection's time, with several before a fetch more would be too much. */
static void judge_heartbeat(world *w, device *d, unsigned i)
{
    const task *t = &d->tasks[i];
    struct source *s = d->source;
    uint32_t left = remaining_ms(t);
    uint32_t least = d->task_count > 1 ? BUDGET_MS : left_when_due() - LATE_MS;

    if (t->lock->until == 0 || t->app != APP_HOLD ||
        s->beat[i] == t->lock->until)
        return;
    s->beat[i] = t->lock->until;
    if (left >= least ||
        (s->waited_at != 0 && w->now < s->waited_at + LEASE_MS * MS))
        return;
    violate(w, "d%u: the heartbeat of %s is late, %u ms are left", d->id,
        w->places[t->key].key, left);
}

/* A request to the table leaves. */
void judge_signed(world *w, device *d, int writes)
{
    const session *s;
    unsigned i;

    if (!has(w, WORLD_CREDENTIALS)) return;
    s = find_session(w, d->request);
    if (s == NULL || s->device != d)
        violate(w, "d%u signs with nobody's keys", d->id);
    else if (s->is_refused)
        violate(w, "d%u signs with keys that were refused", d->id);
    if (!writes || !is_only_sources(w)) return;
    for (i = 0; i < d->task_count; i++)
        if (strstr(d->request, w->places[d->tasks[i].key].key) != NULL)
            judge_heartbeat(w, d, i);
}

/* An answer arrives, whole or cut, to the request that was sent last. */
void note_answer(world *w, device *d, const char *answer)
{
    session *s;

    if (!has(w, WORLD_CREDENTIALS)) return;
    if (d->at_source) {
        d->source->taken += strstr(answer, "ASIA") != NULL;
    } else if ((strstr(answer, "ExpiredToken") != NULL ||
                   strstr(answer, "UnrecognizedClient") != NULL) &&
               answer[strlen(answer) - 1] == '}') {
        s = find_session(w, d->request);
        if (s == NULL) return;
        s->is_refused = 1;
        d->source->refused++;
        say(w, "d%u hears that its keys are refused", d->id);
    }
}

/* At the end of a life: as often as lives and refusals ask for, and no more. */
void judge_source(world *w, const device *d)
{
    const struct source *s = d->source;
    uint64_t life, most;

    if (!has(w, WORLD_CREDENTIALS) || !d->on || !is_only_sources(w)) return;
    life = w->issuer->life;
    life -= life / 2 < EARLY_MS * MS ? life / 2 : EARLY_MS * MS;
    most = (w->now - s->since) * 102 / 100 / life + 1 + s->refused;
    if (s->taken > most)
        violate(w, "d%u has fetched %u times, %" PRIu64 " would do", d->id,
            s->taken, most);
}
