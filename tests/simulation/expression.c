#define _DEFAULT_SOURCE
#include "expression.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VALUE_SIZE 1024

void die(const char *why)
{
    fprintf(stderr, "model: %s\n", why);
    abort();
}

/* ---- items ---- */

static int find(const item *it, const char *name)
{
    unsigned i;

    for (i = 0; i < it->count; i++)
        if (strcmp(it->text + it->attributes[i].name, name) == 0)
            return (int)i;
    return -1;
}

value item_value(const item *it, const char *name)
{
    int i = find(it, name);
    value v = { 0, "" };

    if (i < 0) return v;
    v.type = it->attributes[i].type;
    v.text = it->text + it->attributes[i].text;
    return v;
}

static uint16_t add_text(item *it, const char *text)
{
    size_t size = strlen(text) + 1;
    uint16_t at = (uint16_t)it->used;

    if (it->used + size > sizeof it->text) die("item too large for the model");
    memcpy(it->text + at, text, size);
    it->used += (unsigned)size;
    return at;
}

static void add(item *it, const char *name, value v)
{
    unsigned i = it->count++;

    if (i == ATTRIBUTES) die("item too large for the model");
    it->attributes[i].type = v.type;
    it->attributes[i].name = add_text(it, name);
    it->attributes[i].text = add_text(it, v.text);
}

/* Written anew without it: texts lie one behind the other. */
void item_remove(item *it, const char *name)
{
    item old;
    unsigned i;

    if (find(it, name) < 0) return;
    item_copy(&old, it);
    it->count = it->used = 0;
    for (i = 0; i < old.count; i++) {
        const char *other = old.text + old.attributes[i].name;

        if (strcmp(other, name) != 0) add(it, other, item_value(&old, other));
    }
}

void item_set(item *it, const char *name, value v)
{
    int i = find(it, name);

    if (i >= 0 && strlen(item_value(it, name).text) == strlen(v.text)) {
        it->attributes[i].type = v.type;
        strcpy(it->text + it->attributes[i].text, v.text);
        return;
    }
    item_remove(it, name);
    add(it, name, v);
}

void item_copy(item *to, const item *from)
{
    to->exists = from->exists;
    to->count = from->count;
    to->used = from->used;
    memcpy(to->attributes, from->attributes,
        from->count * sizeof from->attributes[0]);
    memcpy(to->text, from->text, from->used);
}

/* Whole numbers without sign, which is all that a lock writes. */
static int read_number(const char *text, value *v)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 38 || text[digits] != '\0') return 0;
    while (text[0] == '0' && text[1] != '\0') text++;
    v->text = text;
    return 1;
}

int read_value(const cJSON *json, value *v)
{
    const cJSON *inner = json != NULL ? json->child : NULL;

    if (cJSON_IsBool(inner) && strcmp(inner->string, "BOOL") == 0) {
        v->type = TYPE_BOOL;
        v->text = cJSON_IsTrue(inner) ? "true" : "false";
        return inner->next == NULL;
    }
    if (inner == NULL || inner->next != NULL || !cJSON_IsString(inner) ||
        strlen(inner->valuestring) >= VALUE_SIZE || inner->string[1] != '\0')
        return 0;
    v->type = inner->string[0];
    v->text = inner->valuestring;
    if (v->type == 'N') return read_number(inner->valuestring, v);
    return v->type == 'S' || v->type == 'B';
}

/* ---- the expressions' words ---- */

static void fail(scope *s, const char *error)
{
    if (s->error == NULL) s->error = error;
}

static void skip_spaces(scope *s)
{
    while (*s->at == ' ') s->at++;
}

static int is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Takes this word or sign if it comes next. */
static int take(scope *s, const char *text)
{
    size_t n = strlen(text);

    skip_spaces(s);
    if (toupper((unsigned char)*s->at) != toupper((unsigned char)*text) ||
        strncasecmp(s->at, text, n) != 0 ||
        (is_word(text[0]) && is_word(s->at[n])))
        return 0;
    s->at += n;
    return 1;
}

static void expect(scope *s, const char *text)
{
    if (!take(s, text)) fail(s, "syntax error in an expression");
}

static void expect_end(scope *s)
{
    skip_spaces(s);
    if (*s->at != '\0') fail(s, "syntax error in an expression");
}

static const cJSON *member(const cJSON *object, const char *name, int *index)
{
    const cJSON *child = object != NULL ? object->child : NULL;

    for (*index = 0; child != NULL; child = child->next, ++*index)
        if (strcmp(child->string, name) == 0) return child;
    return NULL;
}

static void word(scope *s, char out[NAME_SIZE])
{
    size_t n = 0;

    skip_spaces(s);
    if (*s->at == '#' || *s->at == ':') n++;
    while (n < NAME_SIZE - 1 && is_word(s->at[n])) n++;
    memcpy(out, s->at, n);
    out[n] = '\0';
    s->at += n;
    if (n == 0) fail(s, "syntax error: an operand is missing");
}

/* Of the reserved words those that a lock might use. */
static int is_reserved(const char *name)
{
    static const char *const reserved[] = { "key", "data", "ttl", "owner",
        "name", "timestamp", "status", "value", NULL };
    int i;

    for (i = 0; reserved[i] != NULL; i++)
        if (strcasecmp(name, reserved[i]) == 0) return 1;
    return 0;
}

/* An attribute's name, through its alias. */
static void path(scope *s, char out[NAME_SIZE])
{
    const cJSON *alias;
    int i;

    word(s, out);
    if (out[0] != '#') {
        if (is_reserved(out)) fail(s, "reserved keyword");
        return;
    }
    alias = member(s->names, out, &i);
    if (!cJSON_IsString(alias)) {
        fail(s, "an expression attribute name is not defined");
        return;
    }
    s->names_used |= 1u << i;
    (void)snprintf(out, NAME_SIZE, "%s", alias->valuestring);
}

static int key_index(const scope *s, const char *name)
{
    int i;

    for (i = 0; i < 2; i++)
        if (s->keys[i] != NULL && strcmp(s->keys[i], name) == 0) return i;
    return -1;
}

/* An attribute of the item, its key included. */
static value attribute(const scope *s, const char *name)
{
    static const value none = { 0, "" };
    int i = key_index(s, name);

    if (i < 0) return item_value(s->it, name);
    return s->it->exists ? s->key_values[i] : none;
}

/* A value: of the request (:x) or of the item. */
static value operand(scope *s)
{
    char name[NAME_SIZE];
    value v = { 0, "" };
    const cJSON *json;
    int i;

    skip_spaces(s);
    if (*s->at != ':') {
        path(s, name);
        return attribute(s, name);
    }
    word(s, name);
    json = member(s->values, name, &i);
    if (json == NULL) fail(s, "an expression attribute value is not defined");
    else if (!read_value(json, &v)) fail(s, "a malformed value");
    else s->values_used |= 1u << i;
    return v;
}

/* ---- conditions ---- */

static int compare_text(value a, value b)
{
    size_t m = strlen(a.text), n = strlen(b.text);

    if (a.type == 'N' && m != n) return m < n ? -1 : 1;
    return strcmp(a.text, b.text);
}

/* Values of different types, and absent ones, do not compare: false. */
static int comparable(value a, value b)
{
    return a.type != 0 && a.type == b.type;
}

static int condition(scope *s);

static int exists_function(scope *s, int wanted)
{
    char name[NAME_SIZE];

    expect(s, "(");
    path(s, name);
    expect(s, ")");
    return (attribute(s, name).type != 0) == wanted;
}

static int is_literal(scope *s)
{
    skip_spaces(s);
    return *s->at == ':';
}

/* Of attributes nobody knows beforehand whether they are reversed. */
static int between(scope *s, value a)
{
    int literal = is_literal(s);
    value low = operand(s), high;

    expect(s, "AND");
    literal &= is_literal(s);
    high = operand(s);
    if (literal && comparable(low, high) && compare_text(low, high) > 0)
        fail(s, "the BETWEEN operator's bounds are reversed");
    return comparable(a, low) && comparable(a, high) &&
           compare_text(a, low) >= 0 && compare_text(a, high) <= 0;
}

static int comparison(scope *s)
{
    static const char *const signs[] = { "<>", "<=", "<", ">=", ">", "=" };
    value a = operand(s), b;
    int i, order;

    if (take(s, "BETWEEN")) return between(s, a);
    for (i = 0; i < 6 && !take(s, signs[i]);) i++;
    if (i == 6) fail(s, "syntax error: no comparison");
    b = operand(s);
    if (!comparable(a, b)) return i == 0;
    order = compare_text(a, b);
    switch (i) {
    case 0: return order != 0;
    case 1: return order <= 0;
    case 2: return order < 0;
    case 3: return order >= 0;
    case 4: return order > 0;
    default: return order == 0;
    }
}

static int factor(scope *s)
{
    int result;

    if (s->error != NULL) return 0;
    if (take(s, "NOT")) return !factor(s);
    if (take(s, "attribute_not_exists")) return exists_function(s, 0);
    if (take(s, "attribute_exists")) return exists_function(s, 1);
    if (take(s, "(")) {
        result = condition(s);
        expect(s, ")");
        return result;
    }
    return comparison(s);
}

/* Both sides are always read: every name and value counts as used. */
static int term(scope *s)
{
    int result = factor(s);

    while (take(s, "AND")) result &= factor(s);
    return result;
}

static int condition(scope *s)
{
    int result = term(s);

    while (take(s, "OR")) result |= term(s);
    return result;
}

int condition_holds(scope *s, const char *text)
{
    int result;

    if (text == NULL) return 1;
    s->at = text;
    result = condition(s);
    expect_end(s);
    return result;
}

const char *key_condition(scope *s, const char *text)
{
    char name[NAME_SIZE];
    value v;

    s->at = text != NULL ? text : "";
    path(s, name);
    expect(s, "=");
    v = operand(s);
    expect_end(s);
    if (s->error == NULL && key_index(s, name) != 0)
        fail(s, "Query condition missed key schema element");
    if (s->error == NULL && v.type != 'S')
        fail(s, "the key's value is of another type");
    return s->error == NULL ? v.text : NULL;
}

/* ---- updates ---- */

/* A path may be changed once, and the key never. */
static void check_target(scope *s, item *changed, const char *name)
{
    static const value mark = { 'S', "" };

    if (key_index(s, name) >= 0) fail(s, "cannot update attribute of the key");
    if (find(changed, name) >= 0) fail(s, "two document paths overlap");
    if (s->error == NULL) add(changed, name, mark);
}

static void update_set(scope *s, item *to, item *changed)
{
    do {
        char name[NAME_SIZE];
        value v;

        path(s, name);
        check_target(s, changed, name);
        expect(s, "=");
        v = operand(s);
        if (s->error == NULL && v.type == 0)
            fail(s, "an attribute that does not exist is referred to");
        if (s->error == NULL) item_set(to, name, v);
    } while (s->error == NULL && take(s, ","));
}

static void update_remove(scope *s, item *to, item *changed)
{
    do {
        char name[NAME_SIZE];

        path(s, name);
        check_target(s, changed, name);
        if (s->error == NULL) item_remove(to, name);
    } while (s->error == NULL && take(s, ","));
}

/* Operands are read from the item as it was. */
void apply_update(scope *s, const char *text, item *to)
{
    item changed;
    int sets = 0, removes = 0;

    changed.count = changed.used = 0;
    s->at = text;
    while (s->error == NULL) {
        if (take(s, "SET") && sets++ == 0) update_set(s, to, &changed);
        else if (take(s, "REMOVE") && removes++ == 0)
            update_remove(s, to, &changed);
        else break;
    }
    if (sets + removes == 0) fail(s, "syntax error: an empty update");
    expect_end(s);
}

static unsigned all_bits(const cJSON *object)
{
    return (1u << (object == NULL ? 0 : cJSON_GetArraySize(object))) - 1;
}

void check_all_used(scope *s)
{
    if (s->names_used != all_bits(s->names) ||
        s->values_used != all_bits(s->values))
        fail(s, "declared in the request, but unused in expressions");
}
