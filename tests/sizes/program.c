/*
What an application calls, and nothing else: tests/sizes.py links it to find
out how much of dynalock.h the linker keeps. It is never run, and has no
literals, so that none is merged with dynalock.h's.

    (nothing)       the lock over a plain stream
    WITH_...        and what the name says
    WITH_LAYOUT=f   and the layout that f returns
    WITH_ALL        and all of it, but TLS and providers
    WITH_TLS        and TLS, small profile; WITH_TLS_WIDE: wide
*/
#include "dynalock.h"

#ifdef WITH_ALL
#define WITH_SECURE_TRANSPORT
#define WITH_CLOSE
#define WITH_RELEASE_ALL
#define WITH_ALARM
#define WITH_SAVE
#define WITH_SAME_OWNER
#define WITH_DATA
#define WITH_SEAL
#define WITH_LEASE
#define WITH_CANCEL
#define WITH_GROUP
#define WITH_SEMAPHORE
#define WITH_TIDY
#define WITH_CLOCK
#define WITH_CREDENTIALS
#define WITH_WATCH
#define WITH_BREAK
#define WITH_LIST
#define WITH_CALL
#define WITH_TABLE
#define WITH_FIPS
#define WITH_LAYOUTS
#define WITH_EXPLAIN
#endif

extern dynalock_client client;
extern dynalock_config config;
extern dynalock_lock lock;
extern dynalock_lock_options options;
extern dynalock_name name;
extern dynalock_record record;
extern volatile int outcome;
#ifdef WITH_EXPLAIN
extern const char *volatile text;
#endif
#ifdef WITH_ALARM
extern dynalock_alarm alarm;
#endif
#ifdef WITH_SAVE
extern dynalock_blob blob;
#endif
#if defined(WITH_DATA) || defined(WITH_SEAL)
extern uint8_t bytes[100];
extern uint32_t size;
#endif
#ifdef WITH_SEAL
extern const uint8_t key[32];
#endif
#ifdef WITH_GROUP
extern dynalock_group group;
#endif
#ifdef WITH_SEMAPHORE
extern dynalock_semaphore semaphore;
extern dynalock_permit permits[3];
#endif
#ifdef WITH_CREDENTIALS
extern const dynalock_credentials credentials;
#endif
#if defined(WITH_EC2) || defined(WITH_CONTAINER) || defined(WITH_IOT)
#define WITH_PROVIDER
extern dynalock_provider provider;
extern char memory[4096];
#endif
#ifdef WITH_EC2
extern dynalock_ec2 of_source;
#define SOURCE dynalock_source_ec2()
#endif
#ifdef WITH_CONTAINER
extern dynalock_container of_source;
#define SOURCE dynalock_source_container()
#endif
#ifdef WITH_IOT
extern dynalock_iot of_source;
#define SOURCE dynalock_source_iot()
#endif
#ifdef WITH_LAYOUTS
extern volatile int which;
#endif
#ifdef WITH_WATCH
extern dynalock_watch watching;
#endif
#ifdef WITH_BREAK
extern const char version[];
#endif
#ifdef WITH_LIST
extern dynalock_listing listing;
#endif
#ifdef WITH_CALL
extern dynalock_request request;
extern char fence[DYNALOCK_FENCE_CLAUSE_SIZE];
#endif
#ifdef WITH_TABLE
extern dynalock_table table;
#endif
#if defined(WITH_TLS) || defined(WITH_TLS_WIDE)
extern dynalock_tls tls;
extern const br_x509_trust_anchor anchors[];
#endif

static void configure(void)
{
#ifdef WITH_TLS
    dynalock_tls_init(&tls, dynalock_tls_small(), anchors, 1);
    config.tls = &tls;
#endif
#ifdef WITH_TLS_WIDE
    dynalock_tls_init(&tls, dynalock_tls_wide(), anchors, 1);
    config.tls = &tls;
#endif
#ifdef WITH_SECURE_TRANSPORT
    config.secure_transport = 1;
#endif
#ifdef WITH_SAME_OWNER
    options.claim = DYNALOCK_SAME_OWNER;
#endif
#ifdef WITH_LAYOUT
    config.layout = WITH_LAYOUT();
#endif
#ifdef WITH_LAYOUTS
    if (which == 1) config.layout = dynalock_for_dynamolock();
    if (which == 2) config.layout = dynalock_for_dynamo_dlm();
    if (which == 3) config.layout = dynalock_for_chainsaws();
    if (which == 4) config.layout = dynalock_for_dynalock_py();
    if (which == 5) config.layout = dynalock_for_dynalock_go();
#endif
}

static void use_what_is_held(void)
{
#ifdef WITH_ALARM
    outcome = dynalock_check(&client, &lock);
#endif
#ifdef WITH_SAVE
    outcome = dynalock_save(&client, &lock, &blob);
#endif
#ifdef WITH_DATA
    outcome = dynalock_set_data(&lock, bytes, 9);
    outcome = dynalock_keep_data(&lock);
    outcome = dynalock_data(&record, &size) != NULL;
#endif
#ifdef WITH_SEAL
    outcome = dynalock_seal(&client, &name, key, bytes, &size, 100);
    outcome = dynalock_unseal(&client, &name, key, bytes, &size);
#endif
#ifdef WITH_LEASE
    outcome = dynalock_set_lease(&client, &lock, 9000);
#endif
#ifdef WITH_CREDENTIALS
    outcome = dynalock_set_credentials(&client, &credentials);
#endif
}

static void use_table(void)
{
#ifdef WITH_WATCH
    outcome = dynalock_start_watch(&client, &name, &watching);
#endif
#ifdef WITH_BREAK
    outcome = dynalock_break(&client, &name, version, &record);
#endif
#ifdef WITH_LIST
    outcome = dynalock_list(&client, NULL, &listing);
#endif
#ifdef WITH_CALL
    outcome = dynalock_fence_condition(&client, &lock, fence, sizeof fence);
    outcome = dynalock_fence_clause(&client, &lock, fence, sizeof fence);
    outcome = dynalock_call(&client, &request);
#endif
#ifdef WITH_TABLE
    outcome = dynalock_table_check(&client, name.table, &table);
    outcome =
        dynalock_table_create(&client, name.table, &table, DYNALOCK_FOREVER);
#endif
}

static void use_several(void)
{
#ifdef WITH_GROUP
    outcome = dynalock_group_acquire(&client, &group, 1000);
    outcome = (int)dynalock_group_remaining_ms(&client, &group);
    outcome = dynalock_group_renew(&client, &group);
    outcome = dynalock_group_release(&client, &group);
#endif
#ifdef WITH_SEMAPHORE
    outcome = dynalock_semaphore_init(&semaphore, permits, 3, &options);
    outcome = dynalock_semaphore_acquire(&client, &semaphore, 1000);
    outcome = dynalock_semaphore_lock(&semaphore) != NULL;
#endif
}

int main(void)
{
    configure();
#ifdef WITH_PROVIDER
    outcome = dynalock_provider_init(
        &provider, SOURCE, &of_source, memory, sizeof memory);
    config.credentials = &provider.credentials;
#endif
    outcome = dynalock_client_init(&client, &config);
#ifdef WITH_PROVIDER
    outcome = dynalock_set_provider(&client, &provider);
#endif
#ifdef WITH_FIPS
    outcome = dynalock_use_fips(&client);
#endif
#ifdef WITH_CLOCK
    outcome = dynalock_set_clock(&client, 1);
#endif
    outcome = dynalock_lock_init(&lock, &options);
#ifdef WITH_ALARM
    outcome = dynalock_set_alarm(&lock, &alarm);
#endif
#ifdef WITH_SAVE
    outcome = dynalock_restore(&client, &lock, &blob);
    outcome = dynalock_release_restored(&client, &lock);
#endif
    outcome = dynalock_acquire(&client, &lock, DYNALOCK_FOREVER);
    use_what_is_held();
    outcome = dynalock_renew(&client, &lock);
    outcome = dynalock_poll(&client);
    outcome = dynalock_release(&client, &lock);
    outcome = dynalock_read(&client, &name, &record);
    use_several();
    use_table();
#ifdef WITH_CANCEL
    dynalock_cancel(&client, &lock.operation);
#endif
#ifdef WITH_TIDY
    outcome = dynalock_tidy(&client, &name, &record);
#endif
#ifdef WITH_RELEASE_ALL
    outcome = dynalock_release_all(&client, 1000);
#endif
#ifdef WITH_CLOSE
    outcome = dynalock_client_close(&client, 1000);
#endif
#ifdef WITH_EXPLAIN
    text = dynalock_explain((dynalock_outcome)outcome);
#endif
    return 0;
}
