/* A lock over a reboot: saved blobs, an owner's name used once, and what is
   tidied away. */
#include "world.h"

static world w;
static dynalock_lock lock;
static dynalock_blob blob;

static int begin(void **state)
{
    (void)state;
    world_begin(&w);
    world_ready(&w, &lock);
    return 0;
}

/* All memory is lost but the blob; the clocks start anew. */
static void reboot(dynalock_claim *claim)
{
    dynalock_lock_options options;

    w.connected = 0;
    w.now += 500;
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    memset(&options, 0, sizeof options);
    options.key = "k";
    options.claim = claim;
    assert_int_equal(dynalock_lock_init(&lock, &options), DYNALOCK_OK);
}

static void acquire_and_save(void)
{
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_save(&w.client, &lock, &blob), DYNALOCK_OK);
}

static void restore(void)
{
    assert_int_equal(dynalock_restore(&w.client, &lock, &blob), DYNALOCK_OK);
}

static void test_a_saved_lock_is_taken_back_at_once(void **state)
{
    uint64_t fence;
    char rvn[sizeof w.item.rvn];

    (void)state;
    acquire_and_save();
    fence = dynalock_fence(&lock);
    memcpy(rvn, w.item.rvn, sizeof rvn);
    reboot(NULL);
    restore();
    assert_int_equal(dynalock_remaining_ms(&w.client, &lock), 0);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_NOT_HELD);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) > fence);
    /* as a new acquisition: nothing of the old one can be mistaken for it */
    assert_memory_not_equal(w.item.rvn, rvn, 32);
    assert_int_equal(w.requests, 2);
}

static void test_renewals_do_not_outdate_a_blob(void **state)
{
    (void)state;
    acquire_and_save();
    world_run(&w, 30000);
    assert_int_equal(dynalock_check(&w.client, &lock), DYNALOCK_OK);
    reboot(NULL);
    restore();
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
}

static void test_without_the_blob_the_lease_is_waited_for(void **state)
{
    (void)state;
    acquire_and_save();
    reboot(NULL);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 11000), DYNALOCK_OK);
}

static void test_a_blob_takes_nothing_from_others(void **state)
{
    (void)state;
    acquire_and_save();
    reboot(NULL);
    restore();
    world_hold(&w, "somebody-else", "10000");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
    assert_string_equal(w.client.detail.holder, "other");
    assert_int_equal(
        dynalock_acquire(&w.client, &lock, 9000), DYNALOCK_TIMEOUT);
    /* the watch has gone on meanwhile */
    assert_int_equal(dynalock_acquire(&w.client, &lock, 2000), DYNALOCK_OK);
}

static void test_a_blob_lasts_over_lost_answers(void **state)
{
    (void)state;
    acquire_and_save();
    reboot(NULL);
    restore();
    w.faults[0] = FAULT_LOSE_REQUEST;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 9000), DYNALOCK_OK);
    assert_int_equal(w.requests, 3);
}

static void test_a_fence_that_rose_meanwhile_is_exceeded(void **state)
{
    (void)state;
    acquire_and_save();
    reboot(NULL);
    restore();
    w.item.fence += 1000000; /* somebody's clock */
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(w.requests, 3);
    assert_true(dynalock_fence(&lock) == w.item.fence);
}

static void test_a_damaged_blob_is_refused(void **state)
{
    size_t i;

    (void)state;
    acquire_and_save();
    reboot(NULL);
    for (i = 0; i < sizeof blob.bytes; i++) {
        blob.bytes[i] ^= 4;
        assert_int_equal(
            dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
        blob.bytes[i] ^= 4;
    }
    restore();
}

/* Of another version of this library, or with a name that does not end: its
   sum may be right. */
static void test_a_blob_of_another_kind_is_refused(void **state)
{
    dynalock_blob good;

    (void)state;
    acquire_and_save();
    good = blob;
    reboot(NULL);
    blob.bytes[DL_BLOB_VERSION]++;
    dl_store32(blob.bytes, dl_blob_crc(&blob));
    assert_int_equal(
        dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
    blob = good;
    blob.bytes[sizeof blob.bytes - 1] = 'x';
    dl_store32(blob.bytes, dl_blob_crc(&blob));
    assert_int_equal(
        dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
    blob = good;
    restore();
}

/* Not once it has done something under its own. */
static void test_a_drawn_owner_name_is_kept_once_it_was_used(void **state)
{
    dynalock_lock other;

    (void)state;
    acquire_and_save();
    w.config.owner = NULL;
    reboot(NULL);
    assert_int_equal(/* "me" is no drawn name */
        dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
    memset(&w.item, 0, sizeof w.item);
    acquire_and_save();
    reboot(NULL);
    memset(&w.item, 0, sizeof w.item);
    world_lock(&other, "other");
    assert_int_equal(dynalock_acquire(&w.client, &other, 0), DYNALOCK_OK);
    assert_int_equal(
        dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
}

/* Nor do restores lower the fence that was seen. */
static void test_an_older_blob_does_not_lower_the_fence(void **state)
{
    uint64_t fence;

    (void)state;
    acquire_and_save();
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    w.now += 1000;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    fence = dynalock_fence(&lock);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    restore();
    w.unix_ms -= 60000;
    memset(&w.item, 0, sizeof w.item);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) > fence);
}

static void test_a_restored_release_needs_a_clock_and_the_lock(void **state)
{
    (void)state;
    acquire_and_save();
    assert_int_equal(
        dynalock_release_restored(&w.client, &lock), DYNALOCK_HELD);
    reboot(NULL);
    restore();
    w.unix_ms = 0;
    assert_int_equal(
        dynalock_release_restored(&w.client, &lock), DYNALOCK_CLOCK_UNSET);
    w.unix_ms = 1700000000000;
    assert_int_equal(dynalock_release_restored(&w.client, &lock), DYNALOCK_OK);
    assert_true(w.item.released);
    restore();
    w.config.sort_key_name = "sort"; /* the lock has none */
    assert_int_equal(dynalock_client_init(&w.client, &w.config), DYNALOCK_OK);
    assert_int_equal(
        dynalock_release_restored(&w.client, &lock), DYNALOCK_BAD_KEY);
}

/* Altered, with a checksum that is right again. */
static void forge(unsigned at, const void *bytes, size_t size)
{
    memcpy(blob.bytes + at, bytes, size);
    dl_store32(blob.bytes, dl_blob_crc(&blob));
}

static void test_a_blob_without_room_above_its_fence_is_refused(void **state)
{
    static const uint8_t last[] = "\x7f\xff\xff\xff\xff\xff\xff\xfd";
    static const uint8_t full[] = "\x7f\xff\xff\xff\xff\xff\xff\xfe";
    static const uint8_t most[] = "\xff\xff\xff\xff\xff\xff\xff\xff";

    (void)state;
    acquire_and_save();
    reboot(NULL);
    forge(DL_BLOB_FENCE, most, 8);
    assert_int_equal(
        dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
    forge(DL_BLOB_FENCE, full, 8);
    assert_int_equal(
        dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
    forge(DL_BLOB_FENCE, last, 8);
    restore();
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) == DL_FENCE_MOST - 1);
}

static void test_a_blob_whose_owner_is_no_name_is_refused(void **state)
{
    char owner[36];

    (void)state;
    w.config.owner = NULL;
    reboot(NULL);
    acquire_and_save();
    reboot(NULL);
    strcpy(owner, w.client.config.owner);
    forge(DL_BLOB_OWNER + 3, "\xff", 1);
    assert_int_equal(
        dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
    assert_string_equal(w.client.config.owner, owner);
}

static void test_a_blob_of_another_owner_is_refused(void **state)
{
    (void)state;
    acquire_and_save();
    w.config.owner = "you";
    reboot(NULL);
    assert_int_equal(
        dynalock_restore(&w.client, &lock, &blob), DYNALOCK_BAD_BLOB);
}

static void test_a_drawn_owner_name_is_the_blobs(void **state)
{
    (void)state;
    w.config.owner = NULL;
    reboot(NULL);
    acquire_and_save();
    reboot(NULL);
    restore();
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_string_equal(w.client.config.owner, w.item.owner);
}

static void test_only_a_held_lock_is_saved(void **state)
{
    (void)state;
    assert_int_equal(
        dynalock_save(&w.client, &lock, &blob), DYNALOCK_NOT_HELD);
    acquire_and_save();
    assert_int_equal(dynalock_restore(&w.client, &lock, &blob), DYNALOCK_HELD);
    w.now += 20000;
    assert_int_equal(
        dynalock_save(&w.client, &lock, &blob), DYNALOCK_NOT_HELD);
}

static void test_a_restored_lock_is_released_unseen(void **state)
{
    (void)state;
    acquire_and_save();
    reboot(NULL);
    assert_int_equal(
        dynalock_release_restored(&w.client, &lock), DYNALOCK_NOT_HELD);
    restore();
    assert_int_equal(dynalock_release_restored(&w.client, &lock), DYNALOCK_OK);
    assert_true(w.item.released);
    assert_int_equal(w.requests, 2);
    /* once */
    assert_int_equal(
        dynalock_release_restored(&w.client, &lock), DYNALOCK_NOT_HELD);
}

static void test_a_restored_release_leaves_others_alone(void **state)
{
    (void)state;
    acquire_and_save();
    reboot(NULL);
    restore();
    world_hold(&w, "somebody-else", "10000");
    assert_int_equal(dynalock_release_restored(&w.client, &lock), DYNALOCK_OK);
    assert_false(w.item.released);
}

static void test_same_owner_takes_its_own_back_at_once(void **state)
{
    uint64_t fence;

    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    fence = dynalock_fence(&lock);
    reboot(DYNALOCK_SAME_OWNER);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_true(dynalock_fence(&lock) > fence);
    assert_int_equal(w.requests, 2);
}

static void test_same_owner_with_a_clock_set_back(void **state)
{
    (void)state;
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    w.unix_ms -= 60000;
    reboot(DYNALOCK_SAME_OWNER);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(w.requests, 3);
}

static void test_same_owner_takes_nothing_from_others(void **state)
{
    (void)state;
    world_hold(&w, "somebody-else", "10000");
    reboot(DYNALOCK_SAME_OWNER);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
}

/* The claim is for the first acquire after boot: later ones could rob another
   process that has come to use the name. */
static void test_same_owner_counts_until_the_first_grant(void **state)
{
    (void)state;
    reboot(DYNALOCK_SAME_OWNER);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    world_hold(&w, "mine", "10000");
    (void)snprintf(w.item.owner, sizeof w.item.owner, "me");
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_BUSY);
}

static void test_tidy_deletes_what_was_released_an_hour_ago(void **state)
{
    static dynalock_record memory;
    dynalock_name name = { "k", NULL, NULL };

    (void)state;
    assert_int_equal(dynalock_tidy(&w.client, &name, &memory), DYNALOCK_KEPT);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_int_equal(dynalock_tidy(&w.client, &name, &memory), DYNALOCK_KEPT);
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_int_equal(dynalock_tidy(&w.client, &name, &memory), DYNALOCK_KEPT);
    assert_true(w.item.exists);
    w.now += 3599000;
    assert_int_equal(dynalock_tidy(&w.client, &name, &memory), DYNALOCK_KEPT);
    w.now += 2000;
    assert_int_equal(dynalock_tidy(&w.client, &name, &memory), DYNALOCK_OK);
    assert_false(w.item.exists);
}

static void test_delete_on_release_is_a_ttl(void **state)
{
    (void)state;
    w.config.ttl_attribute = "expires";
    w.config.no_ttl = 1;
    w.config.delete_on_release = 1;
    reboot(NULL);
    assert_int_equal(dynalock_acquire(&w.client, &lock, 0), DYNALOCK_OK);
    assert_null(world_find(&w, "#t=:x"));
    assert_non_null(world_find(&w, "REMOVE isReleased,#d,#t"));
    assert_int_equal(dynalock_release(&w.client, &lock), DYNALOCK_OK);
    assert_non_null(world_find(&w, "#t=:x"));
    assert_true(world_number(&w, 'x') >=
                (uint64_t)w.unix_ms / 1000 + w.now / 1000 + 3600);
    assert_string_equal(w.last_operation, "UpdateItem");
}

#define TEST(name) cmocka_unit_test_setup(test_##name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_saved_lock_is_taken_back_at_once),
        TEST(renewals_do_not_outdate_a_blob),
        TEST(without_the_blob_the_lease_is_waited_for),
        TEST(a_blob_takes_nothing_from_others),
        TEST(a_blob_lasts_over_lost_answers),
        TEST(a_fence_that_rose_meanwhile_is_exceeded),
        TEST(a_damaged_blob_is_refused),
        TEST(a_blob_of_another_kind_is_refused),
        TEST(a_drawn_owner_name_is_kept_once_it_was_used),
        TEST(an_older_blob_does_not_lower_the_fence),
        TEST(a_restored_release_needs_a_clock_and_the_lock),
        TEST(a_blob_without_room_above_its_fence_is_refused),
        TEST(a_blob_whose_owner_is_no_name_is_refused),
        TEST(a_blob_of_another_owner_is_refused),
        TEST(a_drawn_owner_name_is_the_blobs),
        TEST(only_a_held_lock_is_saved),
        TEST(a_restored_lock_is_released_unseen),
        TEST(a_restored_release_leaves_others_alone),
        TEST(same_owner_takes_its_own_back_at_once),
        TEST(same_owner_with_a_clock_set_back),
        TEST(same_owner_takes_nothing_from_others),
        TEST(same_owner_counts_until_the_first_grant),
        TEST(tidy_deletes_what_was_released_an_hour_ago),
        TEST(delete_on_release_is_a_ttl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
