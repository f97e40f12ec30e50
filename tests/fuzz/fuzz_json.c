/*
Fuzzes the filter of == json and what reads its output (libFuzzer). The first
bytes are the buffer's size above 16 (two of them, so as to be small often) and
the sizes of the pieces that the rest is fed in, in turn; 0 stands for 256.
*/

#define DYNALOCK_NO_TLS
#include "fuzz.h"

#define PIECES 4
#define HEAD (2 + PIECES)

/* One document's way through the filter. */
typedef struct sieving {
    dynalock_filter filter;
    char *out;
} sieving;

static dynalock_client client; /* of one of the layouts */

static void choose_layout(unsigned number)
{
    static dynalock_layout *(*const layouts[])(void) = { dynalock_standard,
        dynalock_for_dynalock_py, dynalock_for_dynamo_dlm,
        dynalock_for_chainsaws, dynalock_for_dynalock_go };

    client.config.layout =
        layouts[number % (sizeof layouts / sizeof *layouts)]();
    dl_want_names(client.wants, client.config.layout);
    client.exchange.unix_ms = 1700000000000;
}

/* Document and output lie in memory of their own size; pieces NULL: all at
   once. */
static void sieve(sieving *into, uint16_t room, const uint8_t *pieces,
    const char *document, size_t size)
{
    char *copy = memory(document, size);
    size_t at, n, turn = 0;

    into->out = memory(NULL, room);
    dl_filter_begin(&into->filter, client.wants, into->out, room);
    for (at = 0; at < size; at += n) {
        size_t most = pieces == NULL ? size : pieces[turn++ % PIECES];

        if (most == 0) most = 256;
        n = size - at < most ? size - at : most;
        dl_put(&into->filter.sink, copy + at, n);
        REQUIRE(into->filter.used <= room);
    }
    free(copy);
}

static void check_same(const sieving *a, const sieving *b)
{
    REQUIRE(a->filter.state == b->filter.state);
    REQUIRE(a->filter.used == b->filter.used);
    REQUIRE(memcmp(a->out, b->out, a->filter.used) == 0);
}

/* Control characters are kept as they are, NUL as \\b: not quite JSON. */
static int is_document(const sieving *kept)
{
    size_t i;

    for (i = 0; i < kept->filter.used; i++) {
        if ((uint8_t)kept->out[i] < 0x20) return 0;
        if (kept->out[i] == '\\' && kept->out[++i] == 'b') return 0;
    }
    return 1;
}

/* What was kept is itself a document of which all is kept. */
static void check_idempotent(const sieving *first, uint16_t room)
{
    sieving second;

    if (!is_document(first)) return;
    sieve(&second, room, NULL, first->out, first->filter.used);
    check_same(first, &second);
    free(second.out);
}

/* What reads the answer finds texts inside it. */
static void check_text(
    const sieving *kept, const dl_json *json, const char *name)
{
    dl_found found;

    dl_json_text(json, dl_json_member(json, 0, name), &found);
    if (found.text == NULL) return;
    REQUIRE(found.text >= kept->out);
    REQUIRE(found.size <= kept->filter.used);
    REQUIRE(found.text + found.size < kept->out + kept->filter.used);
}

/* A text that was found has fewer bytes than this. */
static int is_short(const dl_item *item, int found, size_t size)
{
    return item->found[found].size < size;
}

static void check_item(const sieving *kept, const dl_item *item)
{
    const dl_found *owner = &item->found[DL_FOUND_OWNER];

    if (item->kind == DL_ITEM_LIVE) {
        REQUIRE(item->lease_ms != 0);
        REQUIRE(is_short(item, DL_FOUND_OWNER, DYNALOCK_OWNER_SIZE));
        REQUIRE(owner->text == NULL ||
                owner->text + owner->size < kept->out + kept->filter.used);
        REQUIRE(is_short(item, DL_FOUND_VERSION, DYNALOCK_RVN_SIZE));
    }
    if (client.config.layout != dynalock_standard()) return;
    if (item->kind == DL_ITEM_LIVE || item->kind == DL_ITEM_FREE)
        REQUIRE(item->found[DL_FOUND_VERSION].size != 0 &&
                is_short(item, DL_FOUND_VERSION, DYNALOCK_RVN_SIZE));
}

static void check_readable(const sieving *kept)
{
    dynalock_token tokens[DYNALOCK_TOKENS];
    dl_json *json = &client.json;
    dl_item item;

    dl_json_parse(json, &kept->filter, tokens, DYNALOCK_TOKENS);
    REQUIRE(json->count > 0);
    check_text(kept, json, "__type");
    check_text(kept, json, "message");
    check_text(kept, json, "Message");
    dl_read_item(&client, &item);
    REQUIRE((item.kind == DL_ITEM_ABSENT) ==
            (dl_json_member(json, 0, "Item") == 0));
    check_item(kept, &item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t ones[PIECES] = { 1, 1, 1, 1 };
    const uint8_t *pieces[3];
    sieving sieves[3];
    uint16_t room;
    int i;

    if (size < HEAD) return 0;
    choose_layout(data[0]);
    room = (uint16_t)(16 + data[0] + 8 * (data[1] & 127));
    pieces[0] = NULL;
    pieces[1] = ones;
    pieces[2] = data + 2;
    for (i = 0; i < 3; i++)
        sieve(&sieves[i], room, pieces[i], (const char *)data + HEAD,
            size - HEAD);
    for (i = 1; i < 3; i++) {
        check_same(&sieves[0], &sieves[i]);
        free(sieves[i].out);
    }
    if (sieves[0].filter.state == DL_JSON_DONE) {
        check_idempotent(&sieves[0], room);
        check_readable(&sieves[0]);
    }
    free(sieves[0].out);
    return 0;
}
