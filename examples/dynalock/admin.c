/* init and doctor: for whoever sets things up. */
#include "command.h"

static cli_session opened;

/* ---- init ---- */

static const char *partition_of(const char *region)
{
    if (strncmp(region, "cn-", 3) == 0) return "aws-cn";
    return strncmp(region, "us-gov-", 7) == 0 ? "aws-us-gov" : "aws";
}

/* What run, acquire, renew, release, status, watch and break need. */
static void print_policy(const char *region, const char *table)
{
    const char *end = output_is_json() ? "" : "\n";
    const char *step = output_is_json() ? "" : "  ";

    printf("{%s%s\"Version\": \"2012-10-17\",%s%s\"Statement\": [{%s", end,
        step, end, step, end);
    printf("%s%s\"Effect\": \"Allow\",%s", step, step, end);
    printf("%s%s\"Action\": [\"dynamodb:UpdateItem\", "
           "\"dynamodb:GetItem\"],%s",
        step, step, end);
    printf("%s%s\"Resource\": \"arn:%s:dynamodb:%s:*:table/%s\"%s", step, step,
        partition_of(region), region, table, end);
    printf("%s}]%s}\n", step, end);
}

#define CREATION_MS 120000u

int command_init(const cli_options *options)
{
    static dynalock_table table;
    const dynalock_config *config = &opened.client.config;
    dynalock_outcome rc;
    int code;

    signals_catch();
    code = session_open(&opened, options, NULL);
    if (code != 0) return code;
    if (!options->policy) {
        rc = dynalock_table_create(&opened.client, NULL, &table, CREATION_MS);
        if (rc != DYNALOCK_OK) return session_code(&opened, rc, config->table);
        note("ready",
            "%s: the table is ready. Whoever uses its locks needs this "
            "policy; `list` needs dynamodb:Scan too.",
            config->table);
    }
    print_policy(config->region, config->table);
    (void)session_close(&opened, 0);
    return 0;
}

/* ---- doctor ---- */

typedef enum cli_check {
    CHECK_SETTINGS,
    CHECK_CERTIFICATES,
    CHECK_CREDENTIALS_THERE,
    CHECK_NETWORK,
    CHECK_TLS,
    CHECK_CLOCK,
    CHECK_CREDENTIALS,
    CHECK_TABLE,
    CHECK_COUNT
} cli_check;

static const char *const names[] = { "settings", "certificates", "credentials",
    "network", "TLS", "clock", "credentials", "table" };

/* The first check that an outcome speaks against. */
static cli_check fault_of(dynalock_outcome outcome)
{
    switch ((int)outcome) {
    case DYNALOCK_OK: return CHECK_COUNT;
    case DYNALOCK_BAD_BUFFER:
    case DYNALOCK_NO_FILE:
    case DYNALOCK_BAD_FILE: return CHECK_CERTIFICATES;
    case DYNALOCK_CREDENTIALS_NOT_OFFERED:
    case DYNALOCK_CREDENTIALS_MISSING: return CHECK_CREDENTIALS_THERE;
    case DYNALOCK_CLOCK_UNSET:
    case DYNALOCK_CLOCK_SKEW: return CHECK_CLOCK;
    default: break;
    }
    if (outcome <= DYNALOCK_THROTTLED) return CHECK_TABLE;
    if (outcome <= DYNALOCK_CREDENTIALS_REFUSED) return CHECK_CREDENTIALS;
    if (outcome <= DYNALOCK_TLS_NO_HANDSHAKE) return CHECK_TLS;
    return outcome <= DYNALOCK_UNREACHABLE ? CHECK_NETWORK : CHECK_SETTINGS;
}

static void tell(
    cli_check check, const char *state, cli_colour colour, const char *what)
{
    if (output_is_json()) {
        json_open(stdout);
        json_text(stdout, "check", names[check]);
        json_text(stdout, "state", state);
        json_text(stdout, "text", what);
        json_close(stdout);
        return;
    }
    put_coloured(colour, 12, state);
    put_coloured(COLOUR_NONE, 14, names[check]);
    puts(harmless(what));
}

/* What was looked at, when it is well. */
static const char *evidence(cli_check check, const char *certificates)
{
    static char text[512];
    const dynalock_client *client = &opened.client;
    const dynalock_config *config = &client->config;

    text[0] = '\0';
    if (check == CHECK_SETTINGS)
        (void)snprintf(text, sizeof text, "table %s in %s", config->table,
            config->region);
    else if (check == CHECK_CERTIFICATES)
        (void)snprintf(text, sizeof text, "%s",
            config->tls != NULL ? certificates : "none needed");
    else if (check == CHECK_NETWORK)
        (void)snprintf(text, sizeof text, "%s", client->host);
    else if (check == CHECK_TLS && config->tls == NULL)
        (void)snprintf(text, sizeof text, "none: plain HTTP");
    else if (check == CHECK_CREDENTIALS_THERE)
        (void)snprintf(
            text, sizeof text, "key %s", opened.provider.credentials.key_id);
    return text;
}

static int report(dynalock_outcome rc, const char *certificates)
{
    cli_check fault = fault_of(rc), check;

    for (check = CHECK_SETTINGS; check < fault && check < CHECK_COUNT; check++)
        tell(check, "well", COLOUR_GOOD, evidence(check, certificates));
    if (fault == CHECK_COUNT) return 0;
    tell(fault, "FAILED", COLOUR_BAD,
        advice(rc,
            opened.client.config.platform != NULL ? &opened.client : NULL));
    for (check = fault + 1; check < CHECK_COUNT; check++)
        tell(check, "not tried", COLOUR_DIM, "");
    return code_of(rc);
}

/* A read needs what every user of a lock has; a look at the table itself,
   rights that may be missing. */
static dynalock_outcome examine(const cli_options *options)
{
    static dynalock_record record;
    static dynalock_table table;
    dynalock_name name;
    dynalock_outcome rc;

    memset(&name, 0, sizeof name);
    name.key = "dynalock-doctor";
    if (options->sort_key_name != NULL) name.sort_key = "dynalock-doctor";
    rc = dynalock_read(&opened.client, &name, &record);
    if (rc != DYNALOCK_OK) return rc;
    rc = dynalock_table_check(&opened.client, NULL, &table);
    if (rc != DYNALOCK_DENIED) return rc;
    note("unchecked", "keys and TTL were not looked at: that needs "
                      "dynamodb:DescribeTable and DescribeTimeToLive.");
    return DYNALOCK_OK;
}

int command_doctor(const cli_options *options)
{
    const char *certificates = "";
    dynalock_outcome rc = session_load(options, &certificates);
    int code;

    signals_catch();
    if (rc == DYNALOCK_OK) rc = session_try(&opened, options, NULL);
    if (rc == DYNALOCK_OK) rc = examine(options);
    if (opened.caught != 0) return CODE_SIGNAL + opened.caught;
    code = report(rc, certificates);
    return code;
}
