#define _DEFAULT_SOURCE
#include "model.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ATTRIBUTES 12
#define NAME_SIZE 64
#define VALUE_SIZE 512
#define HISTORY 128
#define WINDOW_MS (5 * 60 * 1000) /* how old a signature may be */

/* ---- the table ---- */

typedef struct attribute {
    char name[NAME_SIZE];
    char type; /* S, N or B; 0: free */
    char value[VALUE_SIZE];
} attribute;

typedef struct item {
    int exists;
    attribute attributes[ATTRIBUTES];
} item;

typedef struct version {
    int64_t since_ms;
    item item;
} version;

/* One place of the table, with its past for eventually consistent reads. */
typedef struct place {
    struct place *next;
    char name[1024]; /* table and key as the request's text has them */
    item now;
    version history[HISTORY];
    unsigned versions;
} place;

struct model {
    place *places;
    char day[9]; /* of the signing key */
    unsigned char signing_key[32];
};

model *model_new(void)
{
    return (model *)calloc(1, sizeof(model));
}

void model_free(model *m)
{
    while (m->places != NULL) {
        place *next = m->places->next;

        free(m->places);
        m->places = next;
    }
    free(m);
}

static void die(const char *why)
{
    fprintf(stderr, "model: %s\n", why);
    abort();
}

static place *find_place(model *m, const char *name)
{
    place *p = m->places;

    while (p != NULL && strcmp(p->name, name) != 0) p = p->next;
    if (p != NULL) return p;
    p = (place *)calloc(1, sizeof *p);
    if (p == NULL || strlen(name) >= sizeof p->name) die("no room");
    strcpy(p->name, name);
    p->next = m->places;
    m->places = p;
    return p;
}

static void keep_version(place *p, int64_t now_ms)
{
    version *v = &p->history[p->versions++ % HISTORY];

    v->since_ms = now_ms;
    v->item = p->now;
}

/* What a read that lags so far behind sees. */
static const item *past(const place *p, int64_t at_ms)
{
    unsigned i, oldest = p->versions > HISTORY ? p->versions - HISTORY : 0;
    static const item none;

    for (i = p->versions; i > oldest; i--) {
        const version *v = &p->history[(i - 1) % HISTORY];

        if (v->since_ms <= at_ms) return &v->item;
    }
    return oldest == 0 ? &none : &p->history[oldest % HISTORY].item;
}

static attribute *find_attribute(const item *it, const char *name)
{
    int i;

    for (i = 0; i < ATTRIBUTES; i++) {
        const attribute *a = &it->attributes[i];

        if (a->type != 0 && strcmp(a->name, name) == 0) return (attribute *)a;
    }
    return NULL;
}

static void remove_attribute(item *it, const char *name)
{
    attribute *a = find_attribute(it, name);

    if (a != NULL) a->type = 0;
}

static void set_attribute(
    item *it, const char *name, char type, const char *value)
{
    attribute *a = find_attribute(it, name);
    int i;

    for (i = 0; a == NULL && i < ATTRIBUTES; i++)
        if (it->attributes[i].type == 0) a = &it->attributes[i];
    if (a == NULL || strlen(value) >= VALUE_SIZE || strlen(name) >= NAME_SIZE)
        die("item too large for the model");
    strcpy(a->name, name);
    strcpy(a->value, value);
    a->type = type;
}

/* ---- expressions ---- */

/* One request's expressions: what they name and mean, and what of that has
   been used (the service refuses what is declared and not used). */
typedef struct scope {
    const cJSON *names;
    const cJSON *values;
    const item *it;
    unsigned names_used, values_used; /* bits by place */
    const char *at;
    const char *error;
} scope;

static void skip_spaces(scope *s)
{
    while (*s->at == ' ') s->at++;
}

/* Takes this word or sign if it comes next. */
static int take(scope *s, const char *text)
{
    size_t n = strlen(text);

    skip_spaces(s);
    if (strncasecmp(s->at, text, n) != 0) return 0;
    if (isalpha((unsigned char)text[0]) &&
        (isalnum((unsigned char)s->at[n]) || s->at[n] == '_'))
        return 0;
    s->at += n;
    return 1;
}

static void fail(scope *s, const char *error)
{
    if (s->error == NULL) s->error = error;
}

static void expect(scope *s, const char *text)
{
    if (!take(s, text)) fail(s, "syntax error in an expression");
}

static const cJSON *member(const cJSON *object, const char *name, int *index)
{
    const cJSON *child = object != NULL ? object->child : NULL;

    for (*index = 0; child != NULL; child = child->next, ++*index)
        if (strcmp(child->string, name) == 0) return child;
    return NULL;
}

static void token(scope *s, char out[NAME_SIZE])
{
    size_t n = 0;

    skip_spaces(s);
    while (isalnum((unsigned char)s->at[n]) || strchr("_#:", s->at[n]))
        if (s->at[n] == '\0' || ++n == NAME_SIZE) break;
    if (n == NAME_SIZE) n--;
    memcpy(out, s->at, n);
    out[n] = '\0';
    s->at += n;
    if (n == 0) fail(s, "an operand is missing");
}

/* An attribute's name, through its alias. */
static void path(scope *s, char out[NAME_SIZE])
{
    static const char *const reserved[] = { "key", "data", "ttl", "owner",
        "name", "timestamp", "status", "value", NULL };
    const cJSON *alias;
    int i;

    token(s, out);
    if (out[0] != '#') {
        for (i = 0; reserved[i] != NULL; i++)
            if (strcasecmp(out, reserved[i]) == 0) fail(s, "reserved keyword");
        return;
    }
    alias = member(s->names, out, &i);
    if (!cJSON_IsString(alias)) {
        fail(s, "undeclared name");
        return;
    }
    s->names_used |= 1u << i;
    (void)snprintf(out, NAME_SIZE, "%s", alias->valuestring);
}

/* A value: of the request (:x) or of the item. An absent one has type 0. */
static attribute operand(scope *s)
{
    attribute a, *found;
    const cJSON *value;
    int i;

    memset(&a, 0, sizeof a);
    skip_spaces(s);
    if (*s->at != ':') {
        path(s, a.name);
        found = find_attribute(s->it, a.name);
        if (found != NULL) a = *found;
        return a;
    }
    token(s, a.name);
    value = member(s->values, a.name, &i);
    if (value == NULL || value->child == NULL || value->child->next != NULL ||
        !cJSON_IsString(value->child) ||
        strlen(value->child->valuestring) >= VALUE_SIZE) {
        fail(s, "undeclared or malformed value");
        return a;
    }
    s->values_used |= 1u << i;
    a.type = value->child->string[0];
    strcpy(a.value, value->child->valuestring);
    return a;
}

/* Whole numbers without sign, which is all that a lock writes. */
static int compare_numbers(const char *a, const char *b)
{
    size_t m, n;

    while (*a == '0' && a[1] != '\0') a++;
    while (*b == '0' && b[1] != '\0') b++;
    m = strlen(a);
    n = strlen(b);
    if (m != n) return m < n ? -1 : 1;
    return strcmp(a, b);
}

/* Values of different types, and absent ones, do not compare: false. */
static int comparable(const attribute *a, const attribute *b)
{
    return a->type != 0 && a->type == b->type;
}

static int compare(const attribute *a, const attribute *b)
{
    return a->type == 'N' ? compare_numbers(a->value, b->value)
                          : strcmp(a->value, b->value);
}

static int condition(scope *s);

static int exists_function(scope *s, int wanted)
{
    char name[NAME_SIZE];

    expect(s, "(");
    path(s, name);
    expect(s, ")");
    return (find_attribute(s->it, name) != NULL) == wanted;
}

static int comparison(scope *s)
{
    attribute a = operand(s), b, c;

    if (take(s, "BETWEEN")) {
        b = operand(s);
        expect(s, "AND");
        c = operand(s);
        if (comparable(&b, &c) && compare(&b, &c) > 0)
            fail(s, "BETWEEN bounds are reversed");
        return comparable(&a, &b) && comparable(&a, &c) &&
               compare(&a, &b) >= 0 && compare(&a, &c) <= 0;
    }
    if (take(s, "<>")) {
        b = operand(s);
        return !comparable(&a, &b) || compare(&a, &b) != 0;
    }
    if (take(s, "<=")) {
        b = operand(s);
        return comparable(&a, &b) && compare(&a, &b) <= 0;
    }
    if (take(s, "<")) {
        b = operand(s);
        return comparable(&a, &b) && compare(&a, &b) < 0;
    }
    expect(s, "=");
    b = operand(s);
    return comparable(&a, &b) && compare(&a, &b) == 0;
}

static int factor(scope *s)
{
    int result;

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

static void update_set(scope *s, item *to)
{
    do {
        char name[NAME_SIZE];
        attribute value;

        path(s, name);
        expect(s, "=");
        value = operand(s);
        if (s->error == NULL) set_attribute(to, name, value.type, value.value);
    } while (s->error == NULL && take(s, ","));
}

static void update_remove(scope *s, item *to)
{
    do {
        char name[NAME_SIZE];

        path(s, name);
        if (s->error == NULL) remove_attribute(to, name);
    } while (s->error == NULL && take(s, ","));
}

static void update(scope *s, item *to)
{
    while (s->error == NULL) {
        if (take(s, "SET")) update_set(s, to);
        else if (take(s, "REMOVE")) update_remove(s, to);
        else break;
    }
    skip_spaces(s);
    if (*s->at != '\0') fail(s, "syntax error in an update");
}

static int count(const cJSON *object)
{
    return object == NULL ? 0 : cJSON_GetArraySize(object);
}

static void all_used(scope *s)
{
    if (s->names_used != (1u << count(s->names)) - 1 ||
        s->values_used != (1u << count(s->values)) - 1)
        fail(s, "declared in the request, but unused in expressions");
}

/* ---- answers ---- */

static unsigned long crc_of(const char *text, size_t size)
{
    unsigned long crc = 0xffffffff;
    int i;

    while (size-- != 0) {
        crc ^= (unsigned char)*text++;
        for (i = 0; i < 8; i++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
    }
    return crc ^ 0xffffffff;
}

static size_t reply(int status, const char *body, char *answer)
{
    size_t size = strlen(body);
    int n = snprintf(answer, MODEL_ANSWER_SIZE,
        "HTTP/1.1 %d %s\r\nServer: model\r\nx-amzn-RequestId: MODEL\r\n"
        "x-amz-crc32: %lu\r\nContent-Type: application/x-amz-json-1.0\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        status, status == 200 ? "OK" : "Bad", crc_of(body, size), size, body);

    if (n < 0 || n >= MODEL_ANSWER_SIZE) die("answer too large");
    return (size_t)n;
}

static size_t reply_json(int status, cJSON *json, char *answer)
{
    char body[MODEL_ANSWER_SIZE];
    size_t n;

    if (!cJSON_PrintPreallocated(json, body, sizeof body, 0))
        die("answer too large");
    cJSON_Delete(json);
    n = reply(status, body, answer);
    return n;
}

static cJSON *error_json(const char *type, const char *message)
{
    char full[128];
    cJSON *json = cJSON_CreateObject();

    (void)snprintf(
        full, sizeof full, "com.amazonaws.dynamodb.v20120810#%s", type);
    cJSON_AddStringToObject(json, "__type", full);
    cJSON_AddStringToObject(json, "message", message);
    return json;
}

size_t model_error(int status, const char *type, const char *message,
    char answer[MODEL_ANSWER_SIZE])
{
    return reply_json(status, error_json(type, message), answer);
}

static void add_item(cJSON *to, const item *it)
{
    cJSON *object = cJSON_AddObjectToObject(to, "Item");
    int i;

    for (i = 0; i < ATTRIBUTES; i++) {
        const attribute *a = &it->attributes[i];
        char type[2] = { a->type, '\0' };

        if (a->type == 0) continue;
        cJSON_AddStringToObject(
            cJSON_AddObjectToObject(object, a->name), type, a->value);
    }
}

/* ---- operations ---- */

typedef struct call {
    model *m;
    const model_options *options;
    int64_t now_ms;
    cJSON *body;
    char *answer;
    place *place;
    scope scope;
} call;

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(value) ? value->valuestring : NULL;
}

/* The item's place, from table and key. */
static int locate(call *c)
{
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(c->body, "Key");
    const char *table = text_of(c->body, "TableName");
    char name[1024];

    if (table == NULL || key == NULL || key->child == NULL ||
        key->child->next != NULL || strcmp(key->child->string, "key") != 0 ||
        text_of(key->child, "S") == NULL)
        return 0;
    (void)snprintf(
        name, sizeof name, "%s\n%s", table, text_of(key->child, "S"));
    c->place = find_place(c->m, name);
    c->scope.it = &c->place->now;
    return 1;
}

static size_t refuse(call *c)
{
    const char *wants =
        text_of(c->body, "ReturnValuesOnConditionCheckFailure");
    cJSON *json = error_json(
        "ConditionalCheckFailedException", "The conditional request failed");

    if (wants != NULL && strcmp(wants, "ALL_OLD") == 0 &&
        !c->options->hide_item && c->place->now.exists)
        add_item(json, &c->place->now);
    return reply_json(400, json, c->answer);
}

static int holds(call *c)
{
    const char *text = text_of(c->body, "ConditionExpression");
    int result = 1;

    if (text != NULL) {
        c->scope.at = text;
        result = condition(&c->scope);
        skip_spaces(&c->scope);
        if (*c->scope.at != '\0')
            fail(&c->scope, "syntax error in a condition");
    }
    return result;
}

static void store(call *c, const item *it)
{
    c->place->now = *it;
    keep_version(c->place, c->now_ms);
}

static size_t update_item(call *c)
{
    const char *text = text_of(c->body, "UpdateExpression");
    item next = c->place->now;
    int allowed = holds(c);
    const char *key = strchr(c->place->name, '\n') + 1;

    c->scope.at = text != NULL ? text : "";
    update(&c->scope, &next);
    all_used(&c->scope);
    if (c->scope.error != NULL)
        return model_error(
            400, "ValidationException", c->scope.error, c->answer);
    if (!allowed) return refuse(c);
    next.exists = 1;
    set_attribute(&next, "key", 'S', key);
    store(c, &next);
    return reply(200, "{}", c->answer);
}

static size_t delete_item(call *c)
{
    static const item none;
    int allowed = holds(c);

    all_used(&c->scope);
    if (c->scope.error != NULL)
        return model_error(
            400, "ValidationException", c->scope.error, c->answer);
    if (!allowed) return refuse(c);
    store(c, &none);
    return reply(200, "{}", c->answer);
}

static size_t get_item(call *c)
{
    const cJSON *consistent =
        cJSON_GetObjectItemCaseSensitive(c->body, "ConsistentRead");
    const item *seen = &c->place->now;
    cJSON *json = cJSON_CreateObject();

    if (!cJSON_IsTrue(consistent))
        seen = past(c->place, c->now_ms - (int64_t)c->options->stale_ms);
    if (seen->exists) add_item(json, seen);
    return reply_json(200, json, c->answer);
}

static size_t carry_out(call *c, const char *operation)
{
    if (c->body == NULL)
        return model_error(
            400, "SerializationException", "not JSON", c->answer);
    if (!locate(c))
        return model_error(400, "ValidationException",
            "The provided key element does not match the schema", c->answer);
    c->scope.names =
        cJSON_GetObjectItemCaseSensitive(c->body, "ExpressionAttributeNames");
    c->scope.values =
        cJSON_GetObjectItemCaseSensitive(c->body, "ExpressionAttributeValues");
    if (strcmp(operation, "UpdateItem") == 0) return update_item(c);
    if (strcmp(operation, "DeleteItem") == 0) return delete_item(c);
    if (strcmp(operation, "GetItem") == 0) return get_item(c);
    return model_error(400, "UnknownOperationException", "", c->answer);
}

/* ---- HTTP and signatures ---- */

typedef struct request {
    const char *head;
    size_t head_size;
    const char *body;
    size_t body_size;
} request;

/* A header's value; "" when it is missing. Headers come once each. */
static void header(const request *r, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);
    const char *at = r->head, *end = r->head + r->head_size;
    int found = 0;

    out[0] = '\0';
    while (at < end) {
        const char *line_end = strstr(at, "\r\n");

        if (line_end == NULL || line_end >= end) break;
        if (strncasecmp(at, name, n) == 0 && at[n] == ':') {
            const char *value = at + n + 1;

            while (*value == ' ') value++;
            if (found++ || (size_t)(line_end - value) >= size)
                die("header twice, or too long");
            memcpy(out, value, (size_t)(line_end - value));
            out[line_end - value] = '\0';
        }
        at = line_end + 2;
    }
}

static request read_request(const char *text, size_t size)
{
    const char *end = strstr(text, "\r\n\r\n");
    char length[32];
    request r;

    if (strncmp(text, "POST / HTTP/1.1\r\n", 17) != 0 || end == NULL)
        die("not a POST");
    r.head = text + 17;
    r.head_size = (size_t)(end + 2 - r.head);
    r.body = end + 4;
    r.body_size = size - (size_t)(r.body - text);
    header(&r, "Content-Length", length, sizeof length);
    if (strtoul(length, NULL, 10) != r.body_size)
        die("Content-Length is not the body's length");
    return r;
}

static void hex(const unsigned char *data, size_t size, char *out)
{
    size_t i;

    for (i = 0; i < size; i++) (void)sprintf(out + 2 * i, "%02x", data[i]);
}

static void hmac(
    const void *key, size_t key_size, const char *text, unsigned char out[32])
{
    unsigned n = 32;

    (void)HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)text,
        strlen(text), out, &n);
}

static void derive_key(
    model *m, const char *secret, const char *day, const char *region)
{
    char start[256];
    unsigned char *key = m->signing_key;

    if (strcmp(m->day, day) == 0) return;
    (void)snprintf(start, sizeof start, "AWS4%s", secret);
    hmac(start, strlen(start), day, key);
    hmac(key, 32, region, key);
    hmac(key, 32, "dynamodb", key);
    hmac(key, 32, "aws4_request", key);
    (void)snprintf(m->day, sizeof m->day, "%s", day);
}

static void digest_hex(const char *text, size_t size, char out[65])
{
    unsigned char digest[32];
    unsigned n = 32;

    (void)EVP_Digest(text, size, digest, &n, EVP_sha256(), NULL);
    hex(digest, 32, out);
}

static void expected_authorization(
    call *c, const request *r, const char *date, char *out, size_t size)
{
    static const char signed_headers[] =
        "content-type;host;x-amz-date;x-amz-target";
    char type[64], host[256], target[64], hash[65], text[2048];
    char scope_text[128], signature[65];
    unsigned char mac[32];

    header(r, "Content-Type", type, sizeof type);
    header(r, "Host", host, sizeof host);
    header(r, "X-Amz-Target", target, sizeof target);
    digest_hex(r->body, r->body_size, hash);
    (void)snprintf(text, sizeof text,
        "POST\n/\n\ncontent-type:%s\nhost:%s\nx-amz-date:%s\n"
        "x-amz-target:%s\n\n%s\n%s",
        type, host, date, target, signed_headers, hash);
    digest_hex(text, strlen(text), hash);
    (void)snprintf(scope_text, sizeof scope_text,
        "%.8s/%s/dynamodb/aws4_request", date, c->options->region);
    (void)snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date,
        scope_text, hash);
    hmac(c->m->signing_key, 32, text, mac);
    hex(mac, 32, signature);
    (void)snprintf(out, size,
        "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
        c->options->key_id, scope_text, signed_headers, signature);
}

/* Milliseconds of "YYYYMMDDTHHMMSSZ". */
static int64_t date_ms(const char *date)
{
    struct tm tm;

    memset(&tm, 0, sizeof tm);
    if (sscanf(date, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon,
            &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        die("X-Amz-Date is malformed");
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000;
}

/* 0: fine. A wrong signature ends the program: no fault of the network makes
   one. A wrong clock is answered. */
static size_t check_signature(call *c, const request *r)
{
    char date[32], day[9], given[512], expected[512];
    int64_t off;

    header(r, "X-Amz-Date", date, sizeof date);
    header(r, "Authorization", given, sizeof given);
    (void)snprintf(day, sizeof day, "%.8s", date);
    derive_key(c->m, c->options->secret, day, c->options->region);
    expected_authorization(c, r, date, expected, sizeof expected);
    if (strcmp(given, expected) != 0) die("wrong signature");
    off = c->now_ms - date_ms(date);
    if (off > WINDOW_MS)
        return model_error(400, "InvalidSignatureException",
            "Signature expired: it is now later than that", c->answer);
    if (off < -WINDOW_MS)
        return model_error(400, "InvalidSignatureException",
            "Signature not yet current: it is now earlier than that",
            c->answer);
    return 0;
}

size_t model_serve(model *m, const model_options *options, int64_t now_ms,
    const char *text, size_t size, char answer[MODEL_ANSWER_SIZE])
{
    request r = read_request(text, size);
    char target[64];
    size_t n;
    call c;

    memset(&c, 0, sizeof c);
    c.m = m;
    c.options = options;
    c.now_ms = now_ms;
    c.answer = answer;
    n = check_signature(&c, &r);
    if (n != 0) return n;
    header(&r, "X-Amz-Target", target, sizeof target);
    if (strncmp(target, "DynamoDB_20120810.", 18) != 0) die("wrong target");
    c.body = cJSON_ParseWithLength(r.body, r.body_size);
    n = carry_out(&c, target + 18);
    cJSON_Delete(c.body);
    return n;
}

/* ---- for the judges ---- */

static const char *value_of(const item *it, const char *name)
{
    const attribute *a = find_attribute(it, name);

    return a != NULL ? a->value : NULL;
}

static place *place_of(const model *m, const char *table, const char *key)
{
    char name[1024];
    place *p;

    (void)snprintf(name, sizeof name, "%s\n%s", table, key);
    for (p = m->places; p != NULL; p = p->next)
        if (strcmp(p->name, name) == 0) return p;
    return NULL;
}

int model_look(
    const model *m, const char *table, const char *key, model_view *view)
{
    const place *p = place_of(m, table, key);

    memset(view, 0, sizeof *view);
    if (p == NULL || !p->now.exists) return 0;
    view->owner = value_of(&p->now, "ownerName");
    view->lease = value_of(&p->now, "leaseDuration");
    view->rvn = value_of(&p->now, "recordVersionNumber");
    view->released = value_of(&p->now, "isReleased");
    view->fence = value_of(&p->now, "fence");
    view->ttl = value_of(&p->now, "expires");
    return 1;
}

static void clear_place(place *p, int64_t now_ms)
{
    memset(&p->now, 0, sizeof p->now);
    keep_version(p, now_ms);
}

int model_expire(model *m, const char *ttl_attribute, int64_t now_ms)
{
    place *p;
    int deleted = 0;

    for (p = m->places; p != NULL; p = p->next) {
        const char *ttl = value_of(&p->now, ttl_attribute);

        if (!p->now.exists || ttl == NULL ||
            strtoll(ttl, NULL, 10) * 1000 >= now_ms)
            continue;
        clear_place(p, now_ms);
        deleted++;
    }
    return deleted;
}

void model_delete(model *m, const char *table, const char *key, int64_t now_ms)
{
    place *p = place_of(m, table, key);

    if (p != NULL) clear_place(p, now_ms);
}
