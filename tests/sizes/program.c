/*
What an application calls, and nothing else: tests/sizes.py links it to find
out how much of dynalock.h the linker keeps. It is never run, and has no
literals, so that none is merged with dynalock.h's.

    (nothing)       the lock over a plain stream
    WITH_EXPLAIN    and dynalock_explain
    WITH_TLS        and TLS, small profile
    WITH_WATCH      and dynalock_start_watch, dynalock_cancel
    WITH_BREAK      and dynalock_break
    WITH_LIST       and dynalock_list
    WITH_CALL       and requests of its own, with a fence
    WITH_TABLE      and making and checking a table
    WITH_EC2        and credentials from an EC2 instance
    WITH_IOT        and credentials from AWS IoT, with an EC key
    WITH_LAYOUT=f   and the layout that f returns
*/
#include "dynalock.h"

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
#ifdef WITH_WATCH
extern dynalock_watch watching;
#endif
#ifdef WITH_BREAK
extern const char version[];
#endif
#ifdef WITH_LIST
extern dynalock_listing listing;
#endif
#ifdef WITH_TLS
extern dynalock_tls tls;
extern const br_x509_trust_anchor anchors[];
#endif

#ifdef WITH_CALL
extern dynalock_request request;
extern char fence[DYNALOCK_FENCE_CLAUSE_SIZE];
#endif
#ifdef WITH_TABLE
extern dynalock_table table;
#endif

#if defined(WITH_EC2) || defined(WITH_IOT)
extern dynalock_provider provider;
extern char memory[4096];
#endif
#ifdef WITH_EC2
extern dynalock_ec2 source;
#endif
#ifdef WITH_IOT
extern dynalock_iot source;
extern dynalock_identity identity;
extern br_x509_certificate chain[];
extern br_ec_private_key key;
extern br_x509_trust_anchor roots[];
#endif

int main(void)
{
#ifdef WITH_TLS
    dynalock_tls_init(&tls, dynalock_tls_small(), anchors, 1);
    config.tls = &tls;
#endif
#ifdef WITH_LAYOUT
    config.layout = WITH_LAYOUT();
#endif
#ifdef WITH_EC2
    outcome = dynalock_provider_init(
        &provider, dynalock_source_ec2(), &source, memory, sizeof memory);
#endif
#ifdef WITH_IOT
    outcome = (int)dynalock_amazon_anchors(roots);
    dynalock_identity_ec(&identity, chain, 1, &key);
    outcome = dynalock_provider_init(
        &provider, dynalock_source_iot(), &source, memory, sizeof memory);
#endif
    outcome = dynalock_client_init(&client, &config);
#if defined(WITH_EC2) || defined(WITH_IOT)
    outcome = dynalock_set_provider(&client, &provider);
#endif
    outcome = dynalock_lock_init(&lock, &options);
    outcome = dynalock_acquire(&client, &lock, DYNALOCK_FOREVER);
    outcome = dynalock_renew(&client, &lock);
    outcome = dynalock_poll(&client);
    outcome = dynalock_release(&client, &lock);
    outcome = dynalock_read(&client, &name, &record);
#ifdef WITH_WATCH
    outcome = dynalock_start_watch(&client, &name, &watching);
    dynalock_cancel(&client, &watching.record.operation);
#endif
#ifdef WITH_BREAK
    outcome = dynalock_break(&client, &name, version, &record);
#endif
#ifdef WITH_LIST
    outcome = dynalock_list(&client, NULL, &listing);
#endif
#ifdef WITH_EXPLAIN
    text = dynalock_explain((dynalock_outcome)outcome);
#endif
#ifdef WITH_CALL
    outcome = dynalock_fence_clause(&client, &lock, fence, sizeof fence);
    outcome = dynalock_call(&client, &request);
#endif
#ifdef WITH_TABLE
    outcome = dynalock_table_check(&client, name.table, &table);
    outcome =
        dynalock_table_create(&client, name.table, &table, DYNALOCK_FOREVER);
#endif
    return 0;
}
