/* A client for the table that the options and the environment ask for. */
#define DYNALOCK_IMPLEMENTATION
#include "command.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_LEASE_MS 20000u
#define POLL_MOST_MS 60000

static cli_anchors anchors;

/* ---- from the environment and AWS' files ---- */

/* Region, endpoint, certificates and the way to credentials, as AWS' tools
   find them. */
static dynalock_posix_aws aws;

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

static const char *first(const char *one, const char *other)
{
    return one != NULL ? one : other;
}

static const char *find_endpoint(const cli_options *options)
{
    return first(options->endpoint, aws.endpoint);
}

static const char *find_region(const cli_options *options)
{
    const char *found = first(options->region, aws.region);

    /* A server of one's own asks for any. */
    if (found == NULL && find_endpoint(options) != NULL) return "us-east-1";
    return found;
}

static int is_plain(const cli_options *options)
{
    const char *endpoint = find_endpoint(options);

    return endpoint != NULL && strncmp(endpoint, "https://", 8) != 0;
}

/* Debian's, Red Hat's and Alpine's places. */
static const char *find_store(void)
{
    static const char *const places[] = { "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem" };
    size_t i;

    for (i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], R_OK) == 0) return places[i];
    return NULL;
}

const char *session_report(void)
{
    return aws.report;
}

dynalock_outcome session_load(const cli_options *options, const char **path)
{
    dynalock_outcome rc = dynalock_posix_load(&aws);

    *path = "the AWS config file";
    if (rc != DYNALOCK_OK) return rc;
    *path = first(options->certificates,
        first(aws.ca_bundle, variable("SSL_CERT_FILE")));
    if (is_plain(options) || anchors.count != 0) return DYNALOCK_OK;
    if (*path == NULL) *path = find_store();
    if (*path != NULL) return anchors_read(&anchors, *path);
    /* A host without a store: enough for AWS itself. */
    *path = "Amazon's own";
    anchors.count = dynalock_amazon_anchors(anchors.list);
    return DYNALOCK_OK;
}

/* Good enough to tell people apart; the protocol does not rely on it. */
static void name_owner(cli_session *session)
{
    char host[80];

    if (gethostname(host, sizeof host) != 0) strcpy(host, "host");
    host[sizeof host - 1] = '\0';
    (void)snprintf(
        session->owner, sizeof session->owner, "%s:%ld", host, (long)getpid());
}

/* ---- waiting ---- */

uint64_t boot_ms(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_for(
    const dynalock_posix *posix, unsigned interest, uint32_t ms)
{
    struct pollfd polled[2];

    memset(polled, 0, sizeof polled);
    polled[0].fd = interest != 0 ? posix->fd : -1;
    if ((interest & DYNALOCK_READ) != 0) polled[0].events |= POLLIN;
    if ((interest & DYNALOCK_WRITE) != 0) polled[0].events |= POLLOUT;
    polled[1].fd = signals_descriptor();
    polled[1].events = POLLIN;
    (void)poll(polled, 2, ms < POLL_MOST_MS ? (int)ms : POLL_MOST_MS);
}

/* The `wait` hook of the blocking calls: a signal ends them. */
static int32_t wait_hook(void *context, unsigned interest, uint32_t ms)
{
    cli_session *own =
        (cli_session *)context; /* its first member is the port */
    int number;

    sleep_for(&own->posix, interest, ms);
    while ((number = signals_next()) != 0) {
        if (!signals_ends(number)) continue;
        own->caught = number;
        return 1;
    }
    return 0;
}

void session_sleep(cli_session *session, uint32_t ms)
{
    unsigned interest;
    uint32_t wants;

    dynalock_wants(&session->client, &interest, &wants);
    sleep_for(&session->posix, interest, wants < ms ? wants : ms);
}

int session_code(
    cli_session *session, dynalock_outcome outcome, const char *what)
{
    if (session->caught != 0) return CODE_SIGNAL + session->caught;
    return complain_of(outcome, &session->client, what);
}

/* ---- opening and closing ---- */

static void fill_config(
    cli_session *session, dynalock_config *config, const char *owner)
{
    const cli_options *options = session->options;

    memset(config, 0, sizeof *config);
    config->platform = &session->platform;
    config->credentials = &session->provider.credentials;
    config->table =
        first(options->table, first(variable("DYNALOCK_TABLE"), "dynalock"));
    config->endpoint = find_endpoint(options);
    config->region = find_region(options);
    config->key_name = options->key_name;
    config->sort_key_name = options->sort_key_name;
    config->ttl_attribute = options->ttl_attribute;
    config->lease_ms =
        options->lease_ms != 0 ? options->lease_ms : DEFAULT_LEASE_MS;
    config->poll_ms = options->poll_ms;
    config->owner = first(owner, first(options->owner, session->owner));
    if (is_plain(options)) return;
    config->tls = &session->tls;
    dynalock_tls_init(
        &session->tls, dynalock_tls_wide(), anchors.list, anchors.count);
}

dynalock_outcome session_try(
    cli_session *session, const cli_options *options, const char *owner)
{
    dynalock_config config;
    dynalock_outcome rc;

    memset(session, 0, sizeof *session);
    session->options = options;
    dynalock_posix_platform(&session->posix, &session->platform);
    session->platform.wait = wait_hook;
    name_owner(session);
    rc = dynalock_provider_init(&session->provider, dynalock_source_posix(),
        &aws, session->memory, sizeof session->memory);
    if (rc != DYNALOCK_OK) return rc;
    fill_config(session, &config, owner);
    rc = dynalock_client_init(&session->client, &config);
    if (rc != DYNALOCK_OK) return rc;
    return dynalock_set_provider(&session->client, &session->provider);
}

int session_open(
    cli_session *session, const cli_options *options, const char *owner)
{
    const char *path;
    dynalock_outcome rc = session_load(options, &path);

    if (rc != DYNALOCK_OK)
        return complain(code_of(rc),
            "%s: %s Mend it, or give --ca FILE for another store.", path,
            dynalock_explain(rc));
    rc = session_try(session, options, owner);
    return rc == DYNALOCK_OK ? 0 : complain_of(rc, NULL, "set-up");
}

dynalock_outcome session_close(cli_session *session, uint32_t wait_ms)
{
    return dynalock_client_close(&session->client, wait_ms);
}

void session_name(const cli_options *options, dynalock_name *name)
{
    memset(name, 0, sizeof *name);
    name->key = options->word[0];
    name->sort_key = options->sort_key;
}
