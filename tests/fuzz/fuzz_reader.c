/*
Fuzzes the reader of == reader (libFuzzer): whatever goes by, the filter behind
it accepts, refuses and keeps what it does without it; what is told lies in its
memory, under a path that was opened; and pieces do not matter. The first bytes
are the size of the pieces that the rest is fed in, and the memory's above 16.
*/

#define DYNALOCK_NO_TLS
#include "fuzz.h"

#define HEAD 2
#define ROOM (16 + 255) /* at most: small, so that texts are cut */

/* One document's way, and a sum over all that was told of it. */
typedef struct reading {
    dl_reader reader; /* first: found gets it */
    dynalock_client client;
    char *out;
    uint16_t room;
    dl_sha256 told;
} reading;

static void found(
    dl_reader *reader, uint32_t path, const char *text, size_t size)
{
    reading *at = (reading *)(void *)reader;
    uint8_t bytes[4];

    REQUIRE(path != 0 && path >> 28 <= 1);
    REQUIRE(text == NULL || (text >= at->out && size <= at->room &&
                                text + size <= at->out + at->room));
    dl_store32(bytes, path);
    dl_sha256_update(&at->told, bytes, sizeof bytes);
    bytes[0] = text != NULL;
    dl_sha256_update(&at->told, bytes, 1);
    if (text != NULL) dl_sha256_update(&at->told, text, size);
}

static void read_document(
    reading *at, size_t piece, const uint8_t *document, size_t size)
{
    static const char names[] = "Table,KeySchema,AttributeName,Code,S,";
    char *copy = memory(document, size);
    size_t from, n;

    at->out = memory(NULL, at->room);
    dl_sha256_init(&at->told);
    dl_filter_begin(&at->client.filter, standard_wants(), at->out, at->room);
    dl_reader_begin(&at->reader, &at->client, names, found);
    at->client.filter.wants = standard_wants();
    for (from = 0; from < size; from += n) {
        n = size - from < piece ? size - from : piece;
        dl_put(at->client.response.body, copy + from, n);
        REQUIRE(at->client.filter.used <= at->room);
    }
    free(copy);
}

static void check_same(const dynalock_filter *a, const dynalock_filter *b)
{
    REQUIRE(a->state == b->state);
    if (a->state != DL_JSON_DONE) return;
    REQUIRE(a->used == b->used);
    REQUIRE(memcmp(a->out, b->out, a->used) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static reading whole, pieces;
    dynalock_filter plain;
    uint8_t a[32], b[32];
    char out[ROOM];

    if (size < HEAD) return 0;
    whole.room = pieces.room = (uint16_t)(16 + data[1]);
    dl_filter_begin(&plain, standard_wants(), out, whole.room);
    dl_put(&plain.sink, data + HEAD, size - HEAD);
    read_document(&whole, size, data + HEAD, size - HEAD);
    read_document(
        &pieces, data[0] != 0 ? data[0] : 256, data + HEAD, size - HEAD);
    check_same(&plain, &whole.client.filter);
    check_same(&plain, &pieces.client.filter);
    dl_sha256_final(&whole.told, a);
    dl_sha256_final(&pieces.told, b);
    REQUIRE(memcmp(a, b, sizeof a) == 0);
    free(whole.out);
    free(pieces.out);
    return 0;
}
