#define _DEFAULT_SOURCE
#define OPENSSL_API_COMPAT 0x10100000L /* SHA256_*: four times as fast */
#include "wire.h"

#include "expression.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/sha.h>

#define FIELDS 16
#define WINDOW_MS (5 * 60 * 1000) /* how old a signature may be */
#define TARGET "DynamoDB_20120810."

/* ---- text ---- */

typedef struct text {
    char *at, *end;
} text;

static void put(text *t, const char *data, size_t size)
{
    if (size > (size_t)(t->end - t->at)) die("no room for a text");
    memcpy(t->at, data, size);
    t->at += size;
}

static void put_text(text *t, const char *data)
{
    put(t, data, strlen(data));
}

static void put_hex(text *t, const unsigned char *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < size; i++) {
        char pair[2] = { digits[data[i] >> 4], digits[data[i] & 15] };

        put(t, pair, 2);
    }
}

/* ---- answers ---- */

static uint32_t crc_of(const char *data, size_t size)
{
    static uint32_t table[256];
    uint32_t crc = 0xffffffff, i, k;

    for (i = 0; table[255] == 0 && i < 256; i++) {
        uint32_t c = i;

        for (k = 0; k < 8; k++) c = c >> 1 ^ ((c & 1) != 0 ? 0xedb88320 : 0);
        table[i] = c;
    }
    while (size-- != 0)
        crc = crc >> 8 ^ table[(crc ^ (unsigned char)*data++) & 255];
    return crc ^ 0xffffffff;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static const char *http_date(int64_t unix_s)
{
    static int64_t last = -1;
    static char date[40];
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (unix_s == last) return date;
    last = unix_s;
    (void)strftime(
        date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
    return date;
}

size_t wire_reply(const model_options *options, int64_t now_ms, int status,
    const char *body, char *answer)
{
    size_t size = strlen(body);
    int n = snprintf(answer, MODEL_ANSWER_SIZE,
        "HTTP/1.1 %d %s\r\nServer: model\r\nDate: %s\r\n"
        "x-amzn-RequestId: MODEL\r\nx-amz-crc32: %lu\r\n"
        "Content-Type: application/x-amz-json-1.0\r\nContent-Length: %zu\r\n",
        status, status == 200 ? "OK" : "Bad",
        http_date(now_ms / 1000 - options->age_s),
        (unsigned long)crc_of(body, size), size);
    text t;

    t.at = answer + n;
    t.end = answer + MODEL_ANSWER_SIZE;
    if (options->age_s != 0)
        t.at += snprintf(t.at, 32, "Age: %u\r\n", options->age_s);
    put_text(&t, "\r\n");
    put(&t, body, size + 1);
    return (size_t)(t.at - answer) - 1;
}

int error_body(int status, const char *type, const char *message, char *out)
{
    (void)snprintf(out, MODEL_ANSWER_SIZE,
        "{\"__type\":\"com.amazon%s#%s\",\"message\":\"%s\"}",
        strcmp(type, "ValidationException") == 0 || status == 500
            ? ".coral.validate"
            : "aws.dynamodb.v20120810",
        type, message);
    return status;
}

size_t model_error(const model_options *options, int64_t now_ms, int status,
    const char *type, const char *message, char answer[MODEL_ANSWER_SIZE])
{
    char body[MODEL_ANSWER_SIZE];

    (void)error_body(status, type, message, body);
    return wire_reply(options, now_ms, status, body, answer);
}

/* ---- requests ---- */

typedef struct field {
    const char *name, *value;
    size_t name_size, value_size;
} field;

typedef struct request {
    field fields[FIELDS];
    unsigned count;
    const char *body;
    size_t body_size;
} request;

static const field *find_field(
    const request *r, const char *name, size_t name_size)
{
    unsigned i;

    for (i = 0; i < r->count; i++)
        if (r->fields[i].name_size == name_size &&
            strncasecmp(r->fields[i].name, name, name_size) == 0)
            return &r->fields[i];
    return NULL;
}

/* A header's value; "" when it is missing. */
static void header(const request *r, const char *name, char *out, size_t size)
{
    const field *f = find_field(r, name, strlen(name));

    out[0] = '\0';
    if (f == NULL) return;
    if (f->value_size >= size) die("a header is too long");
    memcpy(out, f->value, f->value_size);
    out[f->value_size] = '\0';
}

/* Reads one line; NULL: it was the empty one. Headers come once each. */
static const char *read_field(request *r, const char *at)
{
    const char *end = strstr(at, "\r\n");
    field *f = &r->fields[r->count];

    if (end == NULL) die("the head has no end");
    if (end == at) return NULL;
    if (r->count == FIELDS) die("too many headers");
    f->name = at;
    f->name_size = strcspn(at, ":");
    f->value = at + f->name_size + 1;
    if (f->value > end) die("not a header");
    while (*f->value == ' ') f->value++;
    f->value_size = (size_t)(end - f->value);
    if (find_field(r, f->name, f->name_size) != NULL) die("a header twice");
    r->count++;
    return end + 2;
}

static void read_request(request *r, const char *data, size_t size)
{
    const char *at = data + 17, *next;
    char length[32];

    r->count = 0;
    if (strncmp(data, "POST / HTTP/1.1\r\n", 17) != 0) die("not a POST");
    while ((next = read_field(r, at)) != NULL) at = next;
    r->body = at + 2;
    r->body_size = size - (size_t)(r->body - data);
    header(r, "Content-Length", length, sizeof length);
    if (strtoul(length, NULL, 10) != r->body_size)
        die("Content-Length is not the body's length");
}

/* ---- signatures ---- */

struct signing_key {
    char made_for[128]; /* day and secret */
    SHA256_CTX inner, outer;
};

signing_key *signing_key_new(void)
{
    return (signing_key *)calloc(1, sizeof(signing_key));
}

void signing_key_free(signing_key *key)
{
    free(key);
}

static void set_hmac_key(signing_key *key, const void *data, size_t size)
{
    unsigned char pad[64] = { 0 };
    int i;

    if (size > sizeof pad) die("a key is too long for the model");
    memcpy(pad, data, size);
    for (i = 0; i < 64; i++) pad[i] ^= 0x36;
    (void)SHA256_Init(&key->inner);
    (void)SHA256_Update(&key->inner, pad, sizeof pad);
    for (i = 0; i < 64; i++) pad[i] ^= 0x36 ^ 0x5c;
    (void)SHA256_Init(&key->outer);
    (void)SHA256_Update(&key->outer, pad, sizeof pad);
}

static void hmac(const signing_key *key, const char *data, size_t size,
    unsigned char out[32])
{
    SHA256_CTX sha = key->inner;

    (void)SHA256_Update(&sha, data, size);
    (void)SHA256_Final(out, &sha);
    sha = key->outer;
    (void)SHA256_Update(&sha, out, 32);
    (void)SHA256_Final(out, &sha);
}

static void derive_key(
    signing_key *key, const model_options *options, const char *day)
{
    const char *parts[4] = { day, options->region, "dynamodb",
        "aws4_request" };
    char name[128], start[128];
    unsigned char next[32];
    int i;

    (void)snprintf(name, sizeof name, "%s %s", day, options->secret);
    if (strcmp(key->made_for, name) == 0) return;
    strcpy(key->made_for, name);
    (void)snprintf(start, sizeof start, "AWS4%s", options->secret);
    set_hmac_key(key, start, strlen(start));
    for (i = 0; i < 4; i++) {
        hmac(key, parts[i], strlen(parts[i]), next);
        set_hmac_key(key, next, sizeof next);
    }
}

static void put_hash(text *t, const char *data, size_t size)
{
    unsigned char digest[32];

    (void)SHA256((const unsigned char *)data, size, digest);
    put_hex(t, digest, sizeof digest);
}

/* The headers that were signed, as the request names them: sorted, in small
   letters, each of them there. 0: they are not. */
static int put_signed_headers(text *t, const request *r, const char *names)
{
    const char *last = "";

    while (*names != '\0') {
        size_t n = strcspn(names, ";");
        const field *f = find_field(r, names, n);

        if (f == NULL || strncmp(last, names, n) > 0) return 0;
        put(t, names, n);
        put(t, ":", 1);
        put(t, f->value, f->value_size);
        put(t, "\n", 1);
        last = names;
        names += n + (names[n] == ';');
    }
    return 1;
}

static int is_signed(const char *names, const char *name)
{
    const char *at = strstr(names, name);
    char behind = at != NULL ? at[strlen(name)] : 'x';

    return (at == names || (at != NULL && at[-1] == ';')) &&
           (behind == ';' || behind == '\0');
}

/* What the signature should be; 0: too little is signed. */
static int expected_signature(const signing_key *key, const request *r,
    const char *names, const char *date, const char *scope, char out[65])
{
    char data[8192];
    unsigned char mac[32];
    text t = { data, data + sizeof data }, result = { out, out + 64 };
    char hash[64];
    text hashed = { hash, hash + 64 };

    put_text(&t, "POST\n/\n\n");
    if (!is_signed(names, "host") || !is_signed(names, "x-amz-date") ||
        !put_signed_headers(&t, r, names))
        return 0;
    put_text(&t, "\n");
    put_text(&t, names);
    put_text(&t, "\n");
    put_hash(&t, r->body, r->body_size);
    put_hash(&hashed, data, (size_t)(t.at - data));
    t.at = data;
    put_text(&t, "AWS4-HMAC-SHA256\n");
    put_text(&t, date);
    put_text(&t, "\n");
    put_text(&t, scope);
    put_text(&t, "\n");
    put(&t, hash, 64);
    hmac(key, data, (size_t)(t.at - data), mac);
    put_hex(&result, mac, sizeof mac);
    out[64] = '\0';
    return 1;
}

/* Milliseconds of "YYYYMMDDTHHMMSSZ"; -1: it is none. */
static int64_t date_ms(const char *date)
{
    static char last[17];
    static int64_t last_ms;
    struct tm tm;

    if (strcmp(date, last) == 0) return last_ms;
    memset(&tm, 0, sizeof tm);
    if (sscanf(date, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon,
            &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6 ||
        strlen(date) != 16)
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    strcpy(last, date);
    last_ms = (int64_t)timegm(&tm) * 1000;
    return last_ms;
}

/* The parts of "AWS4-HMAC-SHA256 Credential=ID/SCOPE, SignedHeaders=NAMES,
   Signature=HEX". */
typedef struct authorization {
    char id[64], scope[128], names[256], signature[72], date[32];
} authorization;

static int read_authorization(const request *r, authorization *a)
{
    char line[640];

    header(r, "Authorization", line, sizeof line);
    header(r, "X-Amz-Date", a->date, sizeof a->date);
    return sscanf(line,
               "AWS4-HMAC-SHA256 Credential=%63[^/]/%127[^,], "
               "SignedHeaders=%255[^,], Signature=%71[0-9a-f]",
               a->id, a->scope, a->names, a->signature) == 4;
}

/* What is wrong with a signature; NULL: nothing. */
typedef struct complaint {
    const char *type, *message;
} complaint;

static complaint check_token(const model_options *options, const request *r)
{
    complaint fine = { NULL, NULL };
    complaint unknown = { "UnrecognizedClientException",
        "The security token included in the request is invalid." };
    complaint expired = { "ExpiredTokenException",
        "The security token included in the request is expired" };
    char token[4096];

    header(r, "X-Amz-Security-Token", token, sizeof token);
    if (options->token == NULL) return fine;
    if (strcmp(token, options->token) == 0) return fine;
    if (options->old_token != NULL && strcmp(token, options->old_token) == 0)
        return expired;
    return unknown;
}

static complaint check_date(const char *date, int64_t now_ms)
{
    complaint fine = { NULL, NULL };
    complaint late = { "InvalidSignatureException",
        "Signature expired: it is now later than that" };
    complaint early = { "InvalidSignatureException",
        "Signature not yet current: it is now earlier than that" };
    int64_t off = now_ms - date_ms(date);

    return off > WINDOW_MS ? late : off < -WINDOW_MS ? early : fine;
}

/* No fault of the network makes a wrong signature. */
static void client_is_wrong(const model_options *options, const char *why)
{
    if (!options->answer_all) die(why);
}

static complaint check_signature(signing_key *key,
    const model_options *options, int64_t now_ms, const request *r)
{
    complaint missing = { "MissingAuthenticationTokenException",
        "Request is missing Authentication Token" };
    complaint incomplete = { "IncompleteSignatureException",
        "Authorization header requires more parameters" };
    complaint wrong = { "InvalidSignatureException",
        "The request signature we calculated does not match" };
    complaint unknown = { "UnrecognizedClientException",
        "The security token included in the request is invalid." };
    complaint found;
    char day[9], scope[128], signature[65];
    authorization a;

    if (find_field(r, "Authorization", 13) == NULL) {
        client_is_wrong(options, "no signature");
        return missing;
    }
    if (!read_authorization(r, &a) || date_ms(a.date) < 0) {
        client_is_wrong(options, "a malformed signature");
        return incomplete;
    }
    (void)snprintf(day, sizeof day, "%.8s", a.date);
    (void)snprintf(scope, sizeof scope, "%s/%s/dynamodb/aws4_request", day,
        options->region);
    derive_key(key, options, day);
    if (strcmp(a.id, options->key_id) != 0) return unknown;
    found = check_token(options, r);
    if (found.type != NULL) return found;
    found = check_date(a.date, now_ms);
    if (found.type != NULL && options->answer_all) return found;
    if (strcmp(a.scope, scope) != 0 ||
        !expected_signature(key, r, a.names, a.date, scope, signature) ||
        strcmp(a.signature, signature) != 0) {
        client_is_wrong(options, "wrong signature");
        return wrong;
    }
    return found;
}

size_t wire_read(signing_key *key, const model_options *options,
    int64_t now_ms, const char *data, size_t size, wire_call *call,
    char *answer)
{
    char target[64];
    complaint found;
    request r;

    read_request(&r, data, size);
    found = check_signature(key, options, now_ms, &r);
    if (found.type != NULL)
        return model_error(
            options, now_ms, 400, found.type, found.message, answer);
    header(&r, "X-Amz-Target", target, sizeof target);
    if (strncmp(target, TARGET, sizeof TARGET - 1) != 0) {
        client_is_wrong(options, "wrong target");
        return model_error(
            options, now_ms, 400, "UnknownOperationException", "", answer);
    }
    strcpy(call->operation, target + sizeof TARGET - 1);
    call->body = r.body;
    return 0;
}
