/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The judgement of blocks: each way data can be wrong must be seen and named. */
#include "tests/unit/unit.h"

#include <string.h>

#include "tests/initiator/verify.h"

#define FIRST  100
#define BLOCKS 16
#define SIZE   512

typedef struct {
    Verifier *verifier;
    uint8_t data[BLOCKS * SIZE];
} Disk;

static int disk_setup(void **state)
{
    Disk *disk = g_new0(Disk, 1);

    disk->verifier = verifier_new(FIRST, BLOCKS, SIZE, 0x1234);
    *state = disk;
    return 0;
}

static int disk_teardown(void **state)
{
    verifier_free(((Disk *)*state)->verifier);
    g_free(*state);
    return 0;
}

static uint8_t *at(Disk *disk, uint64_t lba)
{
    return disk->data + (lba - FIRST) * SIZE;
}

static void write_blocks(Disk *disk, uint64_t lba, uint32_t count)
{
    verifier_fill(disk->verifier, lba, count, at(disk, lba));
    verifier_commit(disk->verifier, lba, count);
}

static VerifyResult check(Disk *disk, uint64_t lba, uint32_t count)
{
    VerifyFault fault;

    verifier_check(disk->verifier, lba, count, at(disk, lba), &fault);
    if (fault.result != VERIFY_GOOD)
        assert_in_range(fault.lba, lba, lba + count - 1);
    return fault.result;
}

static void test_good(void **state)
{
    Disk *disk = *state;

    write_blocks(disk, FIRST, BLOCKS);
    assert_int_equal(check(disk, FIRST, BLOCKS), VERIFY_GOOD);
    write_blocks(disk, FIRST + 3, 5);
    write_blocks(disk, FIRST + 4, 1);
    assert_int_equal(check(disk, FIRST, BLOCKS), VERIFY_GOOD);
}

static void test_foreign(void **state)
{
    Disk *disk = *state;

    assert_int_equal(check(disk, FIRST, 1), VERIFY_FOREIGN);
    write_blocks(disk, FIRST, BLOCKS);
    memset(at(disk, FIRST + BLOCKS - 1), 0, SIZE);
    assert_int_equal(check(disk, FIRST, BLOCKS - 1), VERIFY_GOOD);
    assert_int_equal(check(disk, FIRST, BLOCKS), VERIFY_FOREIGN);
}

/* Half of the old and half of the new, and a single wrong bit anywhere. */
static void test_torn(void **state)
{
    Disk *disk = *state;
    uint8_t old[SIZE];

    write_blocks(disk, FIRST, 1);
    memcpy(old, at(disk, FIRST), SIZE);
    write_blocks(disk, FIRST, 1);
    memcpy(at(disk, FIRST) + SIZE / 2, old + SIZE / 2, SIZE / 2);
    assert_int_equal(check(disk, FIRST, 1), VERIFY_TORN);
    write_blocks(disk, FIRST, 1);
    for (size_t byte = 8; byte < SIZE; byte++) {
        at(disk, FIRST)[byte] ^= 0x10;
        assert_int_equal(check(disk, FIRST, 1), VERIFY_TORN);
        at(disk, FIRST)[byte] ^= 0x10;
    }
    assert_int_equal(check(disk, FIRST, 1), VERIFY_GOOD);
}

static void test_misplaced(void **state)
{
    Disk *disk = *state;

    write_blocks(disk, FIRST, BLOCKS);
    memcpy(at(disk, FIRST + 1), at(disk, FIRST + 2), SIZE);
    assert_int_equal(check(disk, FIRST, BLOCKS), VERIFY_MISPLACED);
}

static void test_stale_and_ahead(void **state)
{
    Disk *disk = *state;
    uint8_t old[SIZE];

    write_blocks(disk, FIRST, 1);
    memcpy(old, at(disk, FIRST), SIZE);
    write_blocks(disk, FIRST, 1);
    memcpy(at(disk, FIRST), old, SIZE);
    assert_int_equal(check(disk, FIRST, 1), VERIFY_STALE);
    write_blocks(disk, FIRST, 1);
    verifier_fill(disk->verifier, FIRST, 1, at(disk, FIRST));
    assert_int_equal(check(disk, FIRST, 1), VERIFY_AHEAD);
}

static void test_another_run(void **state)
{
    Disk *disk = *state;
    g_autoptr(Verifier) other = verifier_new(FIRST, BLOCKS, SIZE, 0x9999);

    verifier_fill(other, FIRST, BLOCKS, disk->data);
    assert_int_equal(check(disk, FIRST, BLOCKS), VERIFY_GOOD); /* nothing is known yet */
    verifier_commit(disk->verifier, FIRST, 1);
    assert_int_equal(check(disk, FIRST, 1), VERIFY_STALE);
}

static void test_doubt(void **state)
{
    Disk *disk = *state;
    uint8_t old[SIZE];

    write_blocks(disk, FIRST, 2);
    memcpy(old, at(disk, FIRST), SIZE);
    write_blocks(disk, FIRST, 1);
    verifier_doubt(disk->verifier, FIRST, 1);
    assert_int_equal(check(disk, FIRST, 2), VERIFY_GOOD);
    memcpy(at(disk, FIRST), old, SIZE);
    assert_int_equal(check(disk, FIRST, 2), VERIFY_GOOD);
    at(disk, FIRST)[SIZE - 1] ^= 1;
    assert_int_equal(check(disk, FIRST, 2), VERIFY_TORN);
}

static void test_reserve(void **state)
{
    Verifier *v = ((Disk *)*state)->verifier;

    assert_true(verifier_reserve(v, FIRST + 4, 4));
    assert_false(verifier_reserve(v, FIRST + 7, 2));
    assert_false(verifier_reserve(v, FIRST, 5));
    assert_true(verifier_reserve(v, FIRST + 8, 8));
    assert_true(verifier_reserve(v, FIRST, 4));
    verifier_release(v, FIRST + 4, 4);
    assert_true(verifier_reserve(v, FIRST + 5, 2));
}

#define DISK_TEST(f) cmocka_unit_test_setup_teardown(f, disk_setup, disk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(test_good),      DISK_TEST(test_foreign),         DISK_TEST(test_torn),
        DISK_TEST(test_misplaced), DISK_TEST(test_stale_and_ahead), DISK_TEST(test_another_run),
        DISK_TEST(test_doubt),     DISK_TEST(test_reserve),
    };

    return unit_run(tests);
}
