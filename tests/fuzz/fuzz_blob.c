/*
Fuzzes saved blobs (libFuzzer). The first byte chooses whether the owner's name
is given, whether the lock is acquired or released then, and whether the
checksum of the blob is put right, which comes next. One that is refused changes
nothing. One that is taken gives no lock by itself, keeps the owner's name if
that was given, and what is then asked of the table (the simulator's) is sound;
a blob saved from a lock that was acquired through it can be restored.
*/

#define DYNALOCK_NO_TLS
#include "device.h"

#include "../simulation/model.h"

static device d;
static dynalock_lock lock;
static model *table;
static const model_options options = {
    .key_id = "AKIDEXAMPLE", .secret = "secret", .region = "eu-central-1"
};

static void serve(device *of)
{
    char text[MODEL_ANSWER_SIZE];
    size_t size =
        model_serve(table, &options, DEVICE_UNIX_MS + (int64_t)of->now,
            of->request, of->request_size, text);

    device_answer_bytes(of, text, size);
}

static dynalock_blob make_blob(input *in, unsigned choice)
{
    input bytes = choose_bytes(in, DYNALOCK_BLOB_SIZE);
    dynalock_blob blob;

    memset(&blob, 0, sizeof blob);
    if (bytes.size != 0) memcpy(blob.bytes, bytes.at, bytes.size);
    if ((choice & 4) != 0) dl_store32(blob.bytes, dl_blob_crc(&blob));
    return blob;
}

/* What the earlier life may have left there. */
static void leave_item(input *in, const dynalock_blob *blob)
{
    unsigned choice = choose(in);
    char body[512], out[MODEL_ANSWER_SIZE], hex[64];
    dl_span span;

    if (choice < 64) return;
    dl_put_hex(dl_span_open(&span, hex, sizeof hex - 1, 0),
        blob->bytes + DL_BLOB_ACQUISITION, 16);
    hex[span.used] = '\0';
    (void)snprintf(body, sizeof body,
        "{\"TableName\":\"locks\",\"Item\":{\"key\":{\"S\":\"k\"},"
        "\"ownerName\":{\"S\":\"%s\"},\"leaseDuration\":{\"S\":\"20000\"},"
        "\"recordVersionNumber\":{\"S\":\"%s:%08x\"},"
        "\"fence\":{\"N\":\"%u\"}}}",
        choice & 1 ? "device" : "other", hex, choice, choice);
    (void)model_call(table, &options, DEVICE_UNIX_MS, "PutItem", body, out);
}

static void start(int named)
{
    dynalock_lock_options of = { "k", NULL, NULL, 0, NULL };

    device_init(&d, serve);
    if (!named) d.config.owner = NULL;
    device_start(&d);
    REQUIRE(dynalock_lock_init(&lock, &of) == DYNALOCK_OK);
}

/* What was taken over must rise over the blob's fence. */
static void check_taken(const dynalock_blob *blob, unsigned choice)
{
    const uint8_t *at = blob->bytes;
    uint64_t fence = (uint64_t)dl_load32(at + DL_BLOB_FENCE) << 32 |
                     dl_load32(at + DL_BLOB_FENCE + 4);
    dynalock_outcome rc;
    dynalock_blob next;

    REQUIRE(dynalock_remaining_ms(&d.client, &lock) == 0);
    if ((choice & 2) != 0) {
        rc = dynalock_release_restored(&d.client, &lock);
        REQUIRE(rc == DYNALOCK_OK);
        return;
    }
    rc = dynalock_acquire(&d.client, &lock, 0);
    if (rc != DYNALOCK_OK) {
        REQUIRE(rc == DYNALOCK_BUSY);
        return;
    }
    REQUIRE(dynalock_fence(&lock) > fence);
    REQUIRE(dynalock_fence(&lock) < UINT64_C(0x7fffffffffffffff));
    REQUIRE(dynalock_save(&d.client, &lock, &next) == DYNALOCK_OK);
    REQUIRE(dynalock_release(&d.client, &lock) == DYNALOCK_OK);
    REQUIRE(dynalock_restore(&d.client, &lock, &next) == DYNALOCK_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = { data, size };
    unsigned choice = choose(&in);
    dynalock_blob blob = make_blob(&in, choice);
    dynalock_lock before;
    char owner[DYNALOCK_OWNER_SIZE];
    dynalock_outcome rc;

    table = model_new();
    start(choice & 1);
    leave_item(&in, &blob);
    before = lock;
    strcpy(owner, d.client.config.owner);
    rc = dynalock_restore(&d.client, &lock, &blob);
    REQUIRE(rc == DYNALOCK_OK || rc == DYNALOCK_BAD_BLOB);
    REQUIRE(strcmp(owner, d.client.config.owner) == 0 || (choice & 1) == 0);
    REQUIRE(strlen(d.client.config.owner) == (choice & 1 ? 6 : 32));
    REQUIRE(dl_is_name(d.client.config.owner, 32));
    if (rc == DYNALOCK_OK) check_taken(&blob, choice);
    else REQUIRE(memcmp(&before, &lock, sizeof lock) == 0);
    (void)dynalock_client_close(&d.client, 0);
    model_free(table);
    return 0;
}
