/*
A model of DynamoDB, as far as a lock needs it: HTTP bytes in, HTTP bytes out.
Written from AWS' documents and the answers of real servers, with code of its
own (cJSON and libcrypto): it shares nothing with dynalock.h, checks every
signature and every byte count, and evaluates the real expressions.
*/
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>

#define MODEL_ANSWER_SIZE 8192

typedef struct model model;

typedef struct model_options {
    const char *key_id;
    const char *secret;
    const char *region;
    int hide_item;     /* a server that ignores
                          ReturnValuesOnConditionCheckFailure */
    uint64_t stale_ms; /* how old an eventually consistent read is */
} model_options;

model *model_new(void);
void model_free(model *m);

/* Carries one request out, at this moment of the server's clock (which is also
   its history's clock), and writes the answer. Returns its size. A request
   that is not one whole HTTP message ends the program: the client has
   miscounted its bytes. */
size_t model_serve(model *m, const model_options *options, int64_t now_ms,
    const char *request, size_t size, char answer[MODEL_ANSWER_SIZE]);

/* An answer of the service that carries nothing out. */
size_t model_error(int status, const char *type, const char *message,
    char answer[MODEL_ANSWER_SIZE]);

/* What is on the table, for the judges: NULL when there is none. Texts live
   until the item is next written. */
typedef struct model_view {
    const char *owner, *lease, *rvn, *released, *fence, *ttl;
} model_view;
int model_look(
    const model *m, const char *table, const char *key, model_view *view);

/* What only a table does: deletes what its TTL attribute says is over. Returns
   how many. */
int model_expire(model *m, const char *ttl_attribute, int64_t now_ms);

/* Somebody deletes or rewrites an item without a condition. */
void model_delete(
    model *m, const char *table, const char *key, int64_t now_ms);

#endif
