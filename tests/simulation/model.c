#define _DEFAULT_SOURCE
#include "model.h"

#include "expression.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY 64
#define TOKENS 64
#define TOKEN_MS (10 * 60 * 1000) /* how long a token stands for its call */
#define TRANSACTION 100

/* ---- the tables ---- */

typedef struct table {
    const char *name;
    const char *keys[2];
    char types[2];
} table;

static const table tables[] = {
    { "locks", { "key", NULL }, { 'S', 0 } },
    { "sorted", { "name", "part" }, { 'S', 'S' } },
    { "LockTable", { "LockId", NULL }, { 'S', 0 } },
    { "permits", { "resource_id", "concurrency_id" }, { 'S', 'N' } },
    { "resources", { "resource_id", NULL }, { 'S', 0 } },
};

typedef struct version {
    int64_t since_ms;
    item item;
} version;

/* One place of a table, with its past for eventually consistent reads. */
typedef struct place {
    struct place *next;
    const table *table;
    char *keys[2];
    item now;
    version history[HISTORY];
    unsigned versions;
} place;

/* A transaction that was carried out. */
typedef struct token {
    int64_t since_ms;
    char name[40];
    char *items;
} token;

struct model {
    place *places;
    signing_key *key;
    model_capacity consumed;
    token tokens[TOKENS];
    unsigned token_count;
};

model *model_new(void)
{
    model *m = (model *)calloc(1, sizeof *m);

    if (m == NULL || (m->key = signing_key_new()) == NULL) die("no memory");
    return m;
}

void model_free(model *m)
{
    unsigned i;

    while (m->places != NULL) {
        place *p = m->places;

        m->places = p->next;
        free(p->keys[0]);
        free(p->keys[1]);
        free(p);
    }
    for (i = 0; i < TOKENS; i++) free(m->tokens[i].items);
    signing_key_free(m->key);
    free(m);
}

model_capacity model_consumed(const model *m)
{
    return m->consumed;
}

static int same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static place *find_place(
    const model *m, const table *t, const char *key, const char *sort_key)
{
    place *p = m->places;

    while (p != NULL && (p->table != t || !same(p->keys[0], key) ||
                            !same(p->keys[1], sort_key)))
        p = p->next;
    return p;
}

static place *make_place(
    model *m, const table *t, const char *key, const char *sort_key)
{
    place *p = find_place(m, t, key, sort_key);

    if (p != NULL) return p;
    p = (place *)calloc(1, sizeof *p);
    if (p == NULL) die("no memory");
    p->table = t;
    p->keys[0] = strdup(key);
    p->keys[1] = sort_key != NULL ? strdup(sort_key) : NULL;
    p->next = m->places;
    m->places = p;
    return p;
}

static const table *find_table(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (strcmp(tables[i].name, name) == 0) return &tables[i];
    return NULL;
}

static void store(place *p, const item *it, int64_t now_ms)
{
    version *v = &p->history[p->versions++ % HISTORY];

    item_copy(&p->now, it);
    v->since_ms = now_ms;
    item_copy(&v->item, it);
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

/* ---- what an answer says ---- */

static char *put_raw(char *at, const char *data)
{
    size_t n = strlen(data);

    memcpy(at, data, n + 1);
    return at + n;
}

static char *put_quoted(char *at, const char *data)
{
    *at++ = '"';
    for (; *data != '\0'; data++) {
        if (*data == '"' || *data == '\\') *at++ = '\\';
        if ((unsigned char)*data >= 0x20) *at++ = *data;
        else at += sprintf(at, "\\u%04x", (unsigned)*data);
    }
    *at++ = '"';
    *at = '\0';
    return at;
}

static char *put_attribute(char *at, const char *name, value v)
{
    char type[] = ":{\"S\":";

    at = put_quoted(at, name);
    if (v.type == TYPE_BOOL) {
        at = put_raw(at, ":{\"BOOL\":");
        return put_raw(put_raw(at, v.text), "}");
    }
    type[3] = v.type;
    at = put_raw(at, type);
    at = put_quoted(at, v.text);
    return put_raw(at, "}");
}

static char *put_item(char *at, const place *p, const item *it)
{
    unsigned i;

    at = put_raw(at, "{");
    for (i = 0; i < 2 && p->keys[i] != NULL; i++) {
        value v = { 0, p->keys[i] };

        v.type = p->table->types[i];
        at = put_attribute(at, p->table->keys[i], v);
        *at++ = ',';
    }
    for (i = 0; i < it->count; i++) {
        const char *name = it->text + it->attributes[i].name;

        at = put_attribute(at, name, item_value(it, name));
        *at++ = ',';
    }
    at[-1] = '}';
    *at = '\0';
    return at;
}

/* ---- one write, alone or in a transaction ---- */

typedef struct call {
    model *m;
    const model_options *options;
    int64_t now_ms;
    char *answer;
} call;

typedef struct write {
    const cJSON *body;
    place *place;
    scope scope;
    int allowed;
    item next;
} write;

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(member) ? member->valuestring : NULL;
}

static int invalid(call *c, const char *message)
{
    return error_body(400, "ValidationException", message, c->answer);
}

static const char *key_text(const cJSON *attribute, char type)
{
    value v;

    if (type == 'S') return text_of(attribute, "S");
    return read_value(attribute, &v) && v.type == type ? v.text : NULL;
}

/* The key's attributes, and nothing else if it is a key. 0: not so. */
static int read_key(
    const table *t, const cJSON *json, int whole, const char *keys[2])
{
    static const size_t most[2] = { 2048, 1024 };
    int i, wanted = t->keys[1] != NULL ? 2 : 1;

    keys[0] = keys[1] = NULL;
    if (whole && cJSON_GetArraySize(json) != wanted) return 0;
    for (i = 0; i < wanted; i++) {
        keys[i] = key_text(
            cJSON_GetObjectItemCaseSensitive(json, t->keys[i]), t->types[i]);
        if (keys[i] == NULL || keys[i][0] == '\0' || strlen(keys[i]) > most[i])
            return 0;
    }
    return 1;
}

static int no_table(call *c)
{
    return error_body(400, "ResourceNotFoundException",
        "Requested resource not found", c->answer);
}

static void open_scope(scope *s, const cJSON *body)
{
    memset(s, 0, sizeof *s);
    s->names =
        cJSON_GetObjectItemCaseSensitive(body, "ExpressionAttributeNames");
    s->values =
        cJSON_GetObjectItemCaseSensitive(body, "ExpressionAttributeValues");
}

/* Finds the item and what its expressions speak of. 0: found; else a refused
   call's status. */
static int locate(call *c, write *w, const cJSON *body, const char *key_name)
{
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(body, key_name);
    const char *name = text_of(body, "TableName"), *keys[2];
    const table *t;
    int i;

    open_scope(&w->scope, body);
    w->body = body;
    if (name == NULL || key == NULL) return invalid(c, "a member is missing");
    t = find_table(name);
    if (t == NULL) return no_table(c);
    if (!read_key(t, key, key_name[0] == 'K', keys))
        return invalid(
            c, "The provided key element does not match the schema");
    w->place = make_place(c->m, t, keys[0], keys[1]);
    for (i = 0; i < 2; i++) {
        w->scope.keys[i] = t->keys[i];
        w->scope.key_values[i].type = t->types[i];
        w->scope.key_values[i].text = w->place->keys[i];
    }
    w->scope.it = &w->place->now;
    return 0;
}

static int check_scope(call *c, scope *s)
{
    check_all_used(s);
    if ((s->names != NULL && s->names->child == NULL) ||
        (s->values != NULL && s->values->child == NULL))
        return invalid(c, "expression attributes must not be empty");
    return s->error != NULL ? invalid(c, s->error) : 0;
}

static int prepare_update(call *c, write *w, const cJSON *body)
{
    const char *update = text_of(body, "UpdateExpression");
    int status = locate(c, w, body, "Key");

    if (status != 0) return status;
    item_copy(&w->next, &w->place->now);
    w->next.exists = 1;
    w->allowed =
        condition_holds(&w->scope, text_of(body, "ConditionExpression"));
    if (update != NULL) apply_update(&w->scope, update, &w->next);
    return check_scope(c, &w->scope);
}

static int prepare_delete(call *c, write *w, const cJSON *body)
{
    int status = locate(c, w, body, "Key");

    if (status != 0) return status;
    w->next.exists = 0;
    w->next.count = w->next.used = 0;
    w->allowed =
        condition_holds(&w->scope, text_of(body, "ConditionExpression"));
    return check_scope(c, &w->scope);
}

static int prepare_put(call *c, write *w, const cJSON *body)
{
    const cJSON *member;
    int status = locate(c, w, body, "Item");

    if (status != 0) return status;
    w->next.exists = 1;
    w->next.count = w->next.used = 0;
    for (member = cJSON_GetObjectItemCaseSensitive(body, "Item")->child;
         member != NULL; member = member->next) {
        value v;

        if (!read_value(member, &v)) return invalid(c, "a malformed value");
        if (!same(member->string, w->place->table->keys[0]) &&
            !same(member->string, w->place->table->keys[1]))
            item_set(&w->next, member->string, v);
    }
    w->allowed =
        condition_holds(&w->scope, text_of(body, "ConditionExpression"));
    return check_scope(c, &w->scope);
}

static int prepare_check(call *c, write *w, const cJSON *body)
{
    int status = locate(c, w, body, "Key");

    if (status != 0) return status;
    item_copy(&w->next, &w->place->now);
    w->allowed =
        condition_holds(&w->scope, text_of(body, "ConditionExpression"));
    return check_scope(c, &w->scope);
}

/* ---- capacity: "Provisioned capacity mode" in the developer guide ---- */

static uint64_t units(const write *w, uint64_t unit)
{
    size_t a = w->place->now.used, b = w->next.used;
    size_t size = (a > b ? a : b) + strlen(w->place->keys[0]) +
                  strlen(w->place->table->keys[0]);

    return (size + unit - 1) / unit;
}

static void put_capacity(const call *c, char **at, const write *w, double used)
{
    const char *wanted = text_of(w->body, "ReturnConsumedCapacity");

    (void)c;
    if (wanted == NULL || strcmp(wanted, "NONE") == 0) return;
    *at += sprintf(*at,
        "%s\"ConsumedCapacity\":{\"TableName\":\"%s\","
        "\"CapacityUnits\":%.1f}",
        (*at)[-1] == '{' ? "" : ",", w->place->table->name, used);
}

/* ---- operations: each returns the status ---- */

static int shows_item(const call *c, const write *w)
{
    const char *wants =
        text_of(w->body, "ReturnValuesOnConditionCheckFailure");

    return wants != NULL && strcmp(wants, "ALL_OLD") == 0 &&
           !c->options->hide_item && w->place->now.exists;
}

static int refuse(call *c, const write *w)
{
    char *at;
    int status = error_body(400, "ConditionalCheckFailedException",
        "The conditional request failed", c->answer);

    if (!shows_item(c, w)) return status;
    at = c->answer + strlen(c->answer) - 1;
    at = put_raw(at, ",\"Item\":");
    at = put_item(at, w->place, &w->place->now);
    (void)put_raw(at, "}");
    return status;
}

typedef int (*preparation)(call *c, write *w, const cJSON *body);

static int carry_out_write(call *c, const cJSON *body, preparation prepare)
{
    write w;
    char *at;
    int status = prepare(c, &w, body);
    uint64_t used;

    if (status != 0) return status;
    used = units(&w, 1024);
    c->m->consumed.write_units += used;
    if (!w.allowed) return refuse(c, &w);
    if (w.next.exists || w.place->now.exists)
        store(w.place, &w.next, c->now_ms);
    at = put_raw(c->answer, "{");
    put_capacity(c, &at, &w, (double)used);
    (void)put_raw(at, "}");
    return 200;
}

/* What this read is shown, fresh or not. */
static const item *seen_by(const call *c, const cJSON *body, const place *p)
{
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, "ConsistentRead")))
        return &p->now;
    return past(p, c->now_ms - (int64_t)c->options->stale_ms);
}

static int get_item(call *c, const cJSON *body)
{
    int consistent =
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, "ConsistentRead"));
    const item *seen;
    char *at;
    write w;
    int status = locate(c, &w, body, "Key");
    uint64_t halves;

    if (status != 0) return status;
    seen = seen_by(c, body, w.place);
    w.next.used = 0;
    halves = units(&w, 4096) * (consistent ? 2 : 1);
    c->m->consumed.read_halves += halves;
    at = put_raw(c->answer, "{");
    if (seen->exists) {
        at = put_raw(at, "\"Item\":");
        at = put_item(at, w.place, seen);
    }
    put_capacity(c, &at, &w, (double)halves / 2);
    (void)put_raw(at, "}");
    return 200;
}

/* By partition key alone, of a table that has no sort key: no or one item. */
static int query(call *c, const cJSON *body)
{
    const char *name = text_of(body, "TableName"), *key;
    const table *t = name != NULL ? find_table(name) : NULL;
    static const item none;
    const item *seen = NULL;
    const place *p;
    char *at = c->answer;
    scope s;
    int status;

    open_scope(&s, body);
    s.it = &none;
    if (t == NULL) return no_table(c);
    if (t->keys[1] != NULL) die("the model queries no sort keys");
    s.keys[0] = t->keys[0];
    key = key_condition(&s, text_of(body, "KeyConditionExpression"));
    status = check_scope(c, &s);
    if (status != 0) return status;
    p = find_place(c->m, t, key, NULL);
    if (p != NULL) seen = seen_by(c, body, p);
    at = put_raw(at, "{\"Items\":[");
    if (seen != NULL && seen->exists) {
        at = put_item(at, p, seen);
        (void)put_raw(at, "],\"Count\":1,\"ScannedCount\":1}");
    } else {
        (void)put_raw(at, "],\"Count\":0,\"ScannedCount\":0}");
    }
    return 200;
}

/* ---- transactions ---- */

static preparation preparation_of(const char *kind)
{
    if (strcmp(kind, "Update") == 0) return prepare_update;
    if (strcmp(kind, "Put") == 0) return prepare_put;
    if (strcmp(kind, "Delete") == 0) return prepare_delete;
    if (strcmp(kind, "ConditionCheck") == 0) return prepare_check;
    return NULL;
}

/* Which of them are refused stands in the message, too. */
static char *put_reasons(char *at, const write *writes, unsigned count)
{
    unsigned i;

    at = put_raw(at, "Transaction cancelled, please refer cancellation "
                     "reasons for specific reasons ");
    for (i = 0; i < count; i++) {
        at = put_raw(at, i == 0 ? "[" : ", ");
        at =
            put_raw(at, writes[i].allowed ? "None" : "ConditionalCheckFailed");
    }
    return put_raw(at, "]");
}

static int cancel(call *c, const write *writes, unsigned count)
{
    char *at = c->answer;
    unsigned i;

    at = put_raw(at, "{\"__type\":\"com.amazonaws.dynamodb.v20120810#"
                     "TransactionCanceledException\",\"Message\":\"");
    if (!c->options->hide_item) at = put_reasons(at, writes, count);
    at = put_raw(at, "\",\"CancellationReasons\":[");
    for (i = 0; i < count; i++) {
        if (i != 0) at = put_raw(at, ",");
        if (writes[i].allowed) {
            at = put_raw(at, "{\"Code\":\"None\"}");
            continue;
        }
        at = put_raw(at, "{\"Code\":\"ConditionalCheckFailed\"");
        if (shows_item(c, &writes[i])) {
            at = put_raw(at, ",\"Item\":");
            at = put_item(at, writes[i].place, &writes[i].place->now);
        }
        at = put_raw(at, ",\"Message\":\"The conditional request failed\"}");
    }
    (void)put_raw(at, "]}");
    return 400;
}

/* Prepares all; counts those that are refused. 0, or a refused call. */
static int prepare_all(call *c, const cJSON *items, write *writes,
    unsigned *count, unsigned *refused)
{
    const cJSON *at = items->child;
    unsigned i;

    for (*count = *refused = 0; at != NULL; at = at->next, ++*count) {
        write *w = &writes[*count];
        preparation prepare =
            at->child != NULL ? preparation_of(at->child->string) : NULL;
        int status;

        if (prepare == NULL || *count == TRANSACTION - 1)
            return invalid(c, "not a transaction");
        status = prepare(c, w, at->child);
        if (status != 0) return status;
        for (i = 0; i < *count; i++)
            if (writes[i].place == w->place)
                return invalid(c,
                    "Transaction request cannot include multiple operations "
                    "on one item");
        *refused += !w->allowed;
    }
    return 0;
}

static token *find_token(call *c, const char *name)
{
    unsigned i;

    for (i = 0; i < TOKENS; i++) {
        token *t = &c->m->tokens[i];

        if (t->items != NULL && strcmp(t->name, name) == 0 &&
            c->now_ms - t->since_ms < TOKEN_MS)
            return t;
    }
    return NULL;
}

static void keep_token(call *c, const char *name, char *items)
{
    token *t = &c->m->tokens[c->m->token_count++ % TOKENS];

    free(t->items);
    t->items = items;
    t->since_ms = c->now_ms;
    (void)snprintf(t->name, sizeof t->name, "%s", name);
}

/* The same token within ten minutes: nothing is done again. */
static int answer_token(call *c, const token *t, const char *items)
{
    if (strcmp(t->items, items) != 0)
        return error_body(400, "IdempotentParameterMismatchException",
            "The token was used with other parameters", c->answer);
    (void)put_raw(c->answer, "{}");
    return 200;
}

static int transact(call *c, const cJSON *items, write *writes)
{
    unsigned count, refused, i;
    int status = prepare_all(c, items, writes, &count, &refused);

    if (status != 0) return status;
    for (i = 0; i < count; i++)
        c->m->consumed.write_units += 2 * units(&writes[i], 1024);
    if (refused != 0) return cancel(c, writes, count);
    for (i = 0; i < count; i++)
        if (writes[i].next.exists || writes[i].place->now.exists)
            store(writes[i].place, &writes[i].next, c->now_ms);
    (void)put_raw(c->answer, "{}");
    return 200;
}

static int transact_write_items(call *c, const cJSON *body)
{
    const cJSON *items =
        cJSON_GetObjectItemCaseSensitive(body, "TransactItems");
    const char *name = text_of(body, "ClientRequestToken");
    const token *known;
    char *text;
    write *writes;
    int status;

    if (!cJSON_IsArray(items) || items->child == NULL)
        return invalid(c, "a transaction without items");
    if (name != NULL && (name[0] == '\0' || strlen(name) > 36))
        return invalid(c, "a token has 1 to 36 characters");
    text = cJSON_PrintUnformatted(items);
    known = name != NULL ? find_token(c, name) : NULL;
    if (known != NULL) {
        status = answer_token(c, known, text);
        free(text);
        return status;
    }
    writes = (write *)malloc(TRANSACTION * sizeof *writes);
    if (text == NULL || writes == NULL) die("no memory");
    status = transact(c, items, writes);
    free(writes);
    if (status == 200 && name != NULL) keep_token(c, name, text);
    else free(text);
    return status;
}

/* ---- calls ---- */

static int carry_out(call *c, const char *operation, const cJSON *body)
{
    if (body == NULL)
        return error_body(
            400, "SerializationException", "not JSON", c->answer);
    if (strcmp(operation, "UpdateItem") == 0)
        return carry_out_write(c, body, prepare_update);
    if (strcmp(operation, "GetItem") == 0) return get_item(c, body);
    if (strcmp(operation, "Query") == 0) return query(c, body);
    if (strcmp(operation, "DeleteItem") == 0)
        return carry_out_write(c, body, prepare_delete);
    if (strcmp(operation, "PutItem") == 0)
        return carry_out_write(c, body, prepare_put);
    if (strcmp(operation, "TransactWriteItems") == 0 &&
        !c->options->no_transactions)
        return transact_write_items(c, body);
    return error_body(400, "UnknownOperationException", "", c->answer);
}

int model_call(model *m, const model_options *options, int64_t now_ms,
    const char *operation, const char *body, char answer[MODEL_ANSWER_SIZE])
{
    cJSON *json = cJSON_Parse(body);
    call c;
    int status;

    c.m = m;
    c.options = options;
    c.now_ms = now_ms;
    c.answer = answer;
    status = carry_out(&c, operation, json);
    cJSON_Delete(json);
    return status;
}

size_t model_serve(model *m, const model_options *options, int64_t now_ms,
    const char *request, size_t size, char answer[MODEL_ANSWER_SIZE])
{
    char body[MODEL_ANSWER_SIZE];
    wire_call wire;
    int status;
    size_t refused =
        wire_read(m->key, options, now_ms, request, size, &wire, answer);

    if (refused != 0) return refused;
    status = model_call(m, options, now_ms, wire.operation, wire.body, body);
    return wire_reply(options, now_ms, status, body, answer);
}

/* ---- for the judges ---- */

int model_look(const model *m, const char *table_name, const char *key,
    const char *sort_key, const char *const names[6], model_view *view)
{
    const char **to[] = { &view->owner, &view->lease, &view->rvn,
        &view->released, &view->fence, &view->ttl };
    const place *p = find_place(m, find_table(table_name), key, sort_key);
    size_t i;

    memset(view, 0, sizeof *view);
    if (p == NULL || !p->now.exists) return 0;
    for (i = 0; i < 6; i++) {
        value v = { 0, NULL };

        if (names[i] != NULL) v = item_value(&p->now, names[i]);
        *to[i] = v.type != 0 ? v.text : NULL;
    }
    return 1;
}

int model_expire(model *m, const char *table_name, const char *key,
    const char *sort_key, const char *ttl_attribute, int64_t now_ms)
{
    static const item none;
    place *p = find_place(m, find_table(table_name), key, sort_key);
    value v;

    if (p == NULL || !p->now.exists) return 0;
    v = item_value(&p->now, ttl_attribute);
    if (v.type != 'N' || strtoll(v.text, NULL, 10) * 1000 >= now_ms) return 0;
    store(p, &none, now_ms);
    return 1;
}
