/* The HTTP message around a call. Private to the model. */
#ifndef WIRE_H
#define WIRE_H

#include "model.h"

typedef struct signing_key signing_key;
signing_key *signing_key_new(void);
void signing_key_free(signing_key *key);

/* Reads and checks a whole request. 0: `operation` and `body` (with its NUL)
   are sound. Otherwise the size of the answer that refuses it. */
typedef struct wire_call {
    char operation[64];
    const char *body;
} wire_call;
size_t wire_read(signing_key *key, const model_options *options,
    int64_t now_ms, const char *request, size_t size, wire_call *call,
    char *answer);

/* A whole answer around a body. */
size_t wire_reply(const model_options *options, int64_t now_ms, int status,
    const char *body, char *answer);

/* The body of an error. Returns the status. */
int error_body(int status, const char *type, const char *message, char *out);

#endif
