/* Items, and the expressions over them. Private to the model. */
#ifndef EXPRESSION_H
#define EXPRESSION_H

#include <stdint.h>

#include <cjson/cJSON.h>

#define ATTRIBUTES 16
#define ITEM_TEXT 1536
#define NAME_SIZE 64

#define TYPE_BOOL 'T'

typedef struct value {
    char type;        /* S, N, B or TYPE_BOOL; 0: absent */
    const char *text; /* of N: digits without leading zeros */
} value;

/* All but its key. Attributes stand in the order they came. */
typedef struct item {
    int exists;
    unsigned count, used;
    struct {
        char type;
        uint16_t name, text; /* where in text[] */
    } attributes[ATTRIBUTES];
    char text[ITEM_TEXT];
} item;

value item_value(const item *it, const char *name);
void item_set(item *it, const char *name, value v);
void item_remove(item *it, const char *name);
void item_copy(item *to, const item *from); /* no more bytes than are used */

/* {"S":"..."}: 0 if it is no value the model knows. */
int read_value(const cJSON *json, value *v);

/* One request's expressions: what they name and mean, and what of that has
   been used (the service refuses what is declared and not used). */
typedef struct scope {
    const cJSON *names;
    const cJSON *values;
    const item *it;
    const char *keys[2]; /* the key's attributes, which are not in it */
    value key_values[2]; /* type 0: the table has no such key */
    unsigned names_used; /* bits by place */
    unsigned values_used;
    const char *at;
    const char *error;
} scope;

int condition_holds(scope *s, const char *text); /* NULL: it does */
/* The partition key's value, as a query names it; NULL and s->error: it does
   not. */
const char *key_condition(scope *s, const char *text);
void apply_update(scope *s, const char *text, item *to);
void check_all_used(scope *s);

/* What must not happen ends the program. */
void die(const char *why) __attribute__((noreturn));

#endif
