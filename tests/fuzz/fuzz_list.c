/*
Fuzzes the splitter of == list and what reads the items that it makes
(libFuzzer). The first two bytes are the memory for an item, above 600 bytes and
in steps of 4, and that for the key; the rest is the answer.
*/

#define DYNALOCK_NO_TLS
#include "fuzz.h"

#define HEAD 2
#define ENVELOPE DL_ENVELOPE

static const dynalock_want wants[] = {
    { "ownerName", 80, DL_EXPECT_ATTRIBUTE },
    { "recordVersionNumber", 80, DL_EXPECT_ATTRIBUTE },
    { "isReleased", 24, DL_EXPECT_ATTRIBUTE },
    { "fence", 48, DL_EXPECT_ATTRIBUTE },
    { "leaseDuration", 48, DL_EXPECT_ATTRIBUTE },
    { "key", 200, DL_EXPECT_ATTRIBUTE },
    { "part", 100, DL_EXPECT_ATTRIBUTE },
    { NULL, 0, 0 },
};

/* One answer's way through the splitter. */
typedef struct splitting {
    dynalock_splitter splitter; /* first */
    dynalock_filter whole;
    char *envelope;
    unsigned items;
    uint32_t crc; /* of what came out */
} splitting;

static void check_text(const splitting *into, const char *text, uint32_t size)
{
    if (text == NULL || text[0] == '\0') return;
    REQUIRE(size != DYNALOCK_TOO_LONG);
    REQUIRE(text >= into->splitter.out);
    REQUIRE(text + size < into->splitter.out + into->splitter.out_size);
    REQUIRE(text[size] == '\0');
}

static const dynalock_want nothing = { NULL, 0, 0 };

static void check_item(splitting *into)
{
    static dynalock_client client;
    dynalock_listed listed;
    int fits;

    client.config.key_name = "key";
    client.config.sort_key_name = (into->items & 1) != 0 ? "part" : NULL;
    client.config.layout = dynalock_standard();
    dl_want_names(client.wants, client.config.layout);
    dl_json_parse(&client.json, &into->splitter.filter,
        client.memory.answer.tokens, DYNALOCK_TOKENS);
    REQUIRE(client.json.count >= 3);
    REQUIRE(dl_json_member(&client.json, 0, "Item") != 0);
    fits = dl_list_fill(&client, &listed);
    REQUIRE(listed.status != DYNALOCK_ABSENT);
    REQUIRE(listed.status == DYNALOCK_FOREIGN || listed.rvn[0] != '\0');
    if (fits) check_text(into, listed.key, listed.key_size);
    if (fits) check_text(into, listed.sort_key, listed.sort_key_size);
    check_text(into, listed.owner, (uint32_t)strlen(listed.owner));
    check_text(into, listed.rvn, (uint32_t)strlen(listed.rvn));
}

static void each(dynalock_splitter *splitter)
{
    splitting *into = (splitting *)(void *)splitter;

    REQUIRE(splitter->filter.used <= splitter->out_size);
    into->crc = dl_crc32(into->crc, splitter->out, splitter->filter.used);
    into->items++;
    check_item(into);
}

static void split(splitting *into, uint16_t room, uint16_t key_room,
    const char *answer, size_t size)
{
    memset(into, 0, sizeof *into);
    into->envelope = memory(NULL, ENVELOPE);
    into->splitter.out = memory(NULL, room);
    into->splitter.out_size = room;
    into->splitter.key = memory(NULL, key_room);
    into->splitter.key_size = key_room;
    into->splitter.wants = wants;
    into->splitter.each = each;
    dl_filter_begin(&into->whole, &nothing, into->envelope, ENVELOPE);
    for (; size != 0; size--) {
        dl_split_byte(&into->splitter, &into->whole, *answer++);
        REQUIRE(into->splitter.key_used <= (unsigned)key_room + 1);
        REQUIRE(into->whole.used <= ENVELOPE);
    }
}

static void leave(splitting *into)
{
    free(into->envelope);
    free(into->splitter.out);
    free(into->splitter.key);
}

/* The key that an answer ends with is an object of its own. */
static void check_key(const splitting *into)
{
    const dynalock_splitter *splitter = &into->splitter;
    dynalock_filter filter;
    char out[64];
    unsigned i;

    if (splitter->key_used == 0 || splitter->key_used > splitter->key_size)
        return;
    dl_filter_begin(&filter, wants, out, sizeof out);
    for (i = 0; i < splitter->key_used; i++)
        dl_filter_byte(&filter, splitter->key[i]);
    REQUIRE(filter.state == DL_JSON_DONE ||
            filter.state == DL_JSON_BAD); /* a name that filters know, twice */
    REQUIRE(splitter->key[0] == '{');
    REQUIRE(splitter->key[splitter->key_used - 1] == '}');
}

/* The client's filter is to find of an answer what it would have found
   alone, but for what only the splitter refuses. */
static void check_whole(const splitting *into, const char *answer, size_t size)
{
    char out[ENVELOPE];
    dynalock_filter alone;

    dl_filter_begin(&alone, &nothing, out, sizeof out);
    for (; size != 0; size--) dl_filter_byte(&alone, *answer++);
    REQUIRE(
        into->whole.state == alone.state || into->whole.state == DL_JSON_BAD);
    if (into->whole.state != DL_JSON_DONE) return;
    REQUIRE(into->whole.used == alone.used);
    REQUIRE(memcmp(out, into->envelope, alone.used) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *answer = (const char *)data + HEAD;
    splitting one, other;
    uint16_t room;

    if (size < HEAD) return 0;
    size -= HEAD;
    room = (uint16_t)(600 + 4 * data[0]);
    split(&one, room, data[1], answer, size);
    check_whole(&one, answer, size);
    if (one.whole.state == DL_JSON_DONE) check_key(&one);
    /* what comes before an item's memory is not another's */
    split(&other, (uint16_t)(room + 300), data[1], answer, size);
    REQUIRE(one.items == other.items);
    REQUIRE(one.whole.state == other.whole.state);
    REQUIRE(one.splitter.key_used == other.splitter.key_used);
    leave(&one);
    leave(&other);
    return 0;
}
