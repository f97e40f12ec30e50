/*
A model of DynamoDB, as far as a lock needs it: HTTP bytes in, HTTP bytes out.
Written from AWS' documents and the answers of real servers, with code of its
own (cJSON and libcrypto): it shares nothing with dynalock.h, checks every
signature and every byte count, and evaluates the real expressions.

    model.c        the tables and their operations
    expression.c   items, conditions and updates
    wire.c         HTTP and signatures

tests/honesty.py holds it against real servers.
*/
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>

#define MODEL_ANSWER_SIZE 16384

typedef struct model model;

typedef struct model_options {
    const char *key_id;
    const char *secret;
    const char *token;     /* of the session; NULL: none */
    const char *old_token; /* one that has expired; NULL: none */
    const char *region;
    int hide_item;       /* a server that ignores
                          ReturnValuesOnConditionCheckFailure */
    int no_transactions; /* a server that knows none */
    int answer_all;      /* answer what the simulator takes for the client's
                          mistake (which ends the program otherwise) */
    uint64_t stale_ms;   /* how old an eventually consistent read is */
    unsigned age_s; /* answers come from a cache, so old; 0: they do not */
} model_options;

typedef struct model_capacity { /* consumed; reads count in halves */
    uint64_t write_units, read_halves;
} model_capacity;

/* With the tables "locks" (key), "sorted" (name, part), and those of other
   libraries: "LockTable" (LockId), "permits" (resource_id, concurrency_id, a
   number) and "resources" (resource_id). */
model *model_new(void);
void model_free(model *m);
model_capacity model_consumed(const model *m);

/* Carries one request out, at this moment of the server's clock (which is also
   its history's clock), and writes the answer. Returns its size. A request
   that is not one whole, rightly signed HTTP message ends the program: no
   network makes one, the client has miscounted its bytes. */
size_t model_serve(model *m, const model_options *options, int64_t now_ms,
    const char *request, size_t size, char answer[MODEL_ANSWER_SIZE]);

/* The same without HTTP and signature, for what is not dynalock.h. Returns the
   HTTP status; the answer is its body. */
int model_call(model *m, const model_options *options, int64_t now_ms,
    const char *operation, const char *body, char answer[MODEL_ANSWER_SIZE]);

/* An answer of the service that carries nothing out. */
size_t model_error(const model_options *options, int64_t now_ms, int status,
    const char *type, const char *message, char answer[MODEL_ANSWER_SIZE]);

/* What is on the table, for the judges: 0 when nothing is. Absent attributes
   are NULL, and those without a name; the names come in the view's order. Texts
   live until the item is next written. */
typedef struct model_view {
    const char *owner, *lease, *rvn, *released, *fence, *ttl;
} model_view;
int model_look(const model *m, const char *table, const char *key,
    const char *sort_key, const char *const names[6], model_view *view);

/* What only a table does: deletes the item if its TTL attribute says that it
   is over. Returns whether. */
int model_expire(model *m, const char *table, const char *key,
    const char *sort_key, const char *ttl_attribute, int64_t now_ms);

#endif
