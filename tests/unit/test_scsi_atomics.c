/* SPDX-License-Identifier: GPL-2.0-or-later */
/* COMPARE AND WRITE, ORWRITE, WRITE ATOMIC and PRE-FETCH: what they do, and what they refuse. */
#include "tests/unit/unit.h"

#include "aio/sys.h"
#include "tests/unit/scsi_fixture.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512

static void fill(uint8_t *data, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

static void power_on(const Scsi *s)
{
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
}

/* Each reserved or unsupported bit of the CDB by itself. */
static void check_refused_bits(const Scsi *s, const uint8_t cdb[16], const uint8_t forbidden[16],
                               const void *out, uint32_t len)
{
    for (unsigned bit = 0; bit < 128; bit++) {
        uint8_t mask = (uint8_t)(1 << bit % 8), bad[16];
        if (!(forbidden[bit / 8] & mask))
            continue;
        memcpy(bad, cdb, 16);
        bad[bit / 8] |= mask;
        expect_out(s->nexus, bad, 16, out, len, SENSE_INVALID_FIELD_IN_CDB);
    }
}

static void block_4k(LunSpec *spec)
{
    spec->block_size = 4096;
}

static void read_only(LunSpec *spec)
{
    g_autofree char *data = g_malloc0(MIB);
    g_file_set_contents(spec->path, data, MIB, NULL);
    spec->read_only = true;
    spec->create = false;
}

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

/* --- COMPARE AND WRITE ------------------------------------------------------------------------ */

static Cmd *compare_and_write(const Scsi *s, uint64_t lba, uint8_t blocks, const uint8_t *out,
                              uint32_t len)
{
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x89, lba, blocks);
    return cmd_run_out(s->nexus, cdb, 16, out, len);
}

static void writes_what_compares(void **state)
{
    Scsi *s = *state;
    static const uint8_t counts[] = {1, 3, 255};
    uint8_t out[2 * 255 * BLOCK], back[257 * BLOCK], before[257 * BLOCK];
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        size_t len = counts[i] * BLOCK;
        fill(before, sizeof before, i);
        scsi_file_write(s, before, sizeof before, 0);
        memcpy(out, before + BLOCK, len);
        fill(out + len, len, 99 + i);
        Cmd *cmd = compare_and_write(s, 1, counts[i], out, (uint32_t)(2 * len));
        assert_int_equal(cmd_sense(cmd), 0);
        assert_int_equal(cmd->task.data_out_wanted, 2 * len);
        cmd_free(cmd);
        scsi_file_read(s, back, sizeof back, 0);
        memcpy(before + BLOCK, out + len, len);
        assert_memory_equal(back, before, sizeof back);
    }
}

static void miscompare_tells_where(void **state)
{
    Scsi *s = *state;
    static const uint32_t wrong[] = {0, 1, 511, 512, 1023};
    uint8_t out[4 * BLOCK], back[2 * BLOCK];
    fill(out, 2 * BLOCK, 1);
    fill(out + 2 * BLOCK, 2 * BLOCK, 2);
    scsi_file_write(s, out, 2 * BLOCK, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        out[wrong[i]] ^= 0x80;
        out[1023] ^= 0x40; /* the first one counts */
        Cmd *cmd = compare_and_write(s, 0, 2, out, sizeof out);
        out[1023] ^= 0x40;
        out[wrong[i]] ^= 0x80;
        assert_int_equal(cmd_sense(cmd), SENSE_MISCOMPARE);
        assert_int_equal(cmd->task.sense[0], 0xf0); /* VALID */
        assert_int_equal(get_be32(cmd->task.sense + 3), wrong[i]);
        cmd_free(cmd);
        scsi_file_read(s, back, sizeof back, 0);
        assert_memory_equal(back, out, sizeof back);
    }
}

static void immediate_data_is_compared(void **state)
{
    Scsi *s = *state;
    uint8_t cdb[16], back[BLOCK];
    uint8_t *out = arena_alloc(s->arena, 2 * BLOCK);
    memset(out, 0, BLOCK);
    fill(out + BLOCK, BLOCK, 5);
    cdb_rw16(cdb, 0x89, 9, 1);
    Cmd *cmd = cmd_new(s->nexus, cdb, 16);
    cmd->task.data_out_len = cmd->task.immediate_len = 2 * BLOCK;
    cmd->task.immediate = out;
    cmd_submit(cmd);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->moves, 0);
    cmd_free(cmd);
    scsi_file_read(s, back, BLOCK, 9 * BLOCK);
    assert_memory_equal(back, out + BLOCK, BLOCK);
    arena_release(s->arena, out, 2 * BLOCK);
}

static void compare_and_write_refused(void **state)
{
    Scsi *s = *state;
    static const uint8_t out[6 * BLOCK];
    static const uint8_t forbidden[16] = {
        [1] = 0xe7, [10] = 0xff, [11] = 0xff, [12] = 0xff, [14] = 0xe0, [15] = 0xff};
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x89, 0, 1);
    check_refused_bits(s, cdb, forbidden, out, 2 * BLOCK);
    cdb[1] = 0x18; /* DPO, FUA */
    expect_out(s->nexus, cdb, 16, out, 2 * BLOCK, 0);
    cdb_rw16(cdb, 0x89, 0, 0);
    expect(s->nexus, cdb, 16, 0, 0);
    expect_out(s->nexus, cdb, 16, out, 2 * BLOCK, SENSE_INVALID_FIELD_IN_CDB);
    cdb_rw16(cdb, 0x89, lun_blocks(s->lun), 0);
    expect(s->nexus, cdb, 16, 0, 0);
    static const uint64_t beyond[] = {UINT64_C(1) << 63, UINT64_MAX};
    for (unsigned i = 0; i < G_N_ELEMENTS(beyond); i++) {
        cdb_rw16(cdb, 0x89, beyond[i], 1);
        expect_out(s->nexus, cdb, 16, out, 2 * BLOCK, SENSE_LBA_OUT_OF_RANGE);
    }
    cdb_rw16(cdb, 0x89, lun_blocks(s->lun) - 1, 2);
    expect_out(s->nexus, cdb, 16, out, 4 * BLOCK, SENSE_LBA_OUT_OF_RANGE);
    cdb_rw16(cdb, 0x89, 0, 2);
    static const uint32_t lengths[] = {0, 3 * BLOCK, 4 * BLOCK - 1, 5 * BLOCK};
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++)
        expect_out(s->nexus, cdb, 16, out, lengths[i], SENSE_INVALID_FIELD_IN_IU);
}

static void compare_and_write_limits(void **state)
{
    (void)state;
    Scsi *s = scsi_new(block_4k);
    power_on(s);
    Cmd *page = cmd_run(s->nexus, CDB(0x12, 1, 0xb0, 0, 64, 0), 64);
    assert_int_equal(page->in->data[5], 64);
    cmd_free(page);
    g_autofree uint8_t *out = g_malloc0(65 * 2 * 4096);
    Cmd *cmd = compare_and_write(s, 0, 64, out, 64 * 2 * 4096);
    assert_int_equal(cmd_sense(cmd), 0);
    cmd_free(cmd);
    cmd = compare_and_write(s, 0, 65, out, 65 * 2 * 4096);
    assert_int_equal(cmd_sense(cmd), SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(get_be16(cmd->task.sense + 16), 13);
    cmd_free(cmd);
    scsi_free(s);

    s = scsi_new(read_only);
    power_on(s);
    static const uint8_t opcodes[] = {0x89, 0x8b};
    for (unsigned i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        uint8_t cdb[16];
        cdb_rw16(cdb, opcodes[i], 0, 1);
        expect_out(s->nexus, cdb, 16, out, 2 * BLOCK, SENSE_WRITE_PROTECTED);
    }
    scsi_free(s);
}

/* The read comes first, and FUA goes with the write. */
static void force_unit_access(void **state)
{
    (void)state;
    Scsi *s = scsi_new(use_slow_engine);
    power_on(s);
    for (unsigned fua = 0; fua < 2; fua++) {
        uint8_t cdb[16], out[2 * BLOCK];
        memset(out, 0x5a, sizeof out); /* what the slow engine reads */
        cdb_rw16(cdb, 0x89, 7, 1);
        cdb[1] = fua ? 0x08 : 0;
        Cmd *cmd = cmd_new(s->nexus, cdb, 16);
        cmd->out = out;
        cmd->task.data_out_len = sizeof out;
        cmd_submit(cmd);
        assert_int_equal(slow_waiting(), 1);
        assert_int_equal(slow_peek(0)->op, AIO_READ);
        slow_finish_all(0);
        assert_int_equal(slow_waiting(), 1);
        assert_int_equal(slow_peek(0)->op, AIO_WRITE);
        assert_int_equal(slow_peek(0)->flags, fua ? AIO_FUA : 0);
        assert_int_equal(slow_peek(0)->offset, 7 * BLOCK);
        assert_int_equal(slow_peek(0)->len, BLOCK);
        slow_finish_all(fua ? -EIO : 0);
        cmd_wait(cmd);
        assert_int_equal(cmd_sense(cmd), fua ? SENSE_WRITE_ERROR : 0);
        cmd_free(cmd);
    }
    scsi_free(s);
}

/* --- ORWRITE ---------------------------------------------------------------------------------- */

static void orwrite_sets_bits(void **state)
{
    Scsi *s = *state;
    static const uint32_t counts[] = {1, 2, 513, 1023, 1024, 5000};
    enum { LEN = 5000 * BLOCK };
    g_autofree uint8_t *out = g_malloc(LEN), *before = g_malloc(LEN), *back = g_malloc(LEN);
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        uint8_t cdb[16];
        fill(before, LEN, i);
        fill(out, LEN, 3 * i + 100);
        scsi_file_write(s, before, LEN, 6 * BLOCK);
        cdb_rw16(cdb, 0x8b, 6, counts[i]);
        expect_out(s->nexus, cdb, 16, out, counts[i] * BLOCK, 0);
        for (size_t n = 0; n < counts[i] * BLOCK; n++)
            before[n] |= out[n];
        scsi_file_read(s, back, LEN, 6 * BLOCK);
        assert_memory_equal(back, before, LEN);
    }
}

static void orwrite_refused(void **state)
{
    Scsi *s = *state;
    static const uint8_t out[2 * BLOCK];
    static const uint8_t forbidden[16] = {[1] = 0xe7, [14] = 0xe0, [15] = 0xff};
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x8b, 0, 1);
    check_refused_bits(s, cdb, forbidden, out, BLOCK);
    cdb[1] = 0x18; /* DPO, FUA */
    expect_out(s->nexus, cdb, 16, out, BLOCK, 0);
    cdb_rw16(cdb, 0x8b, lun_blocks(s->lun), 0);
    expect(s->nexus, cdb, 16, 0, 0);
    cdb_rw16(cdb, 0x8b, lun_blocks(s->lun) + 1, 0);
    expect(s->nexus, cdb, 16, 0, SENSE_LBA_OUT_OF_RANGE);
    cdb_rw16(cdb, 0x8b, lun_blocks(s->lun) - 1, 2);
    expect_out(s->nexus, cdb, 16, out, 2 * BLOCK, SENSE_LBA_OUT_OF_RANGE);
    cdb_rw16(cdb, 0x8b, UINT64_MAX, UINT32_MAX);
    expect_out(s->nexus, cdb, 16, out, 2 * BLOCK, SENSE_LBA_OUT_OF_RANGE);
}

/* --- WRITE ATOMIC ----------------------------------------------------------------------------- */

#define UNIT 16384

static AioSys real_sys;
static unsigned atomic_writes; /* by blocking calls, atomic */
static size_t atomic_bytes;    /* of the last one, which may be cut short */
static ssize_t atomic_result;

static unsigned unit_max;

static int limits_of_a_good_disk(int fd, AioAtomicLimits *limits)
{
    (void)fd;
    *limits = (AioAtomicLimits){.unit_min = 512, .unit_max = unit_max, .segments_max = 1};
    return 0;
}

/* The file system under test does not really have it. */
static ssize_t pwritev2_atomic(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    if (flags & RWF_ATOMIC) {
        __atomic_add_fetch(&atomic_writes, 1, __ATOMIC_RELAXED);
        atomic_bytes = iovcnt == 1 ? iov->iov_len : 0;
        if (atomic_result)
            return atomic_result;
    }
    return real_sys.pwritev2(fd, iov, iovcnt, offset, flags & ~RWF_ATOMIC);
}

static void direct(LunSpec *spec)
{
    spec->mode = AIO_DIRECT;
}

static int setup_atomic_up_to(void **state, unsigned max)
{
    unit_max = max;
    real_sys = aio_sys;
    aio_sys.atomic_limits = limits_of_a_good_disk;
    aio_sys.pwritev2 = pwritev2_atomic;
    atomic_writes = 0;
    atomic_result = 0;
    Scsi *s = scsi_new(direct);
    power_on(s);
    *state = s;
    return 0;
}

static int setup_atomic(void **state)
{
    return setup_atomic_up_to(state, UNIT + 512);
}

static int setup_much(void **state)
{
    return setup_atomic_up_to(state, MIB);
}

static int teardown_atomic(void **state)
{
    scsi_free(*state);
    aio_sys = real_sys;
    return 0;
}

static void check_block_limits(const Scsi *s, uint32_t atomic)
{
    Cmd *page = cmd_run(s->nexus, CDB(0x12, 1, 0xb0, 0, 64, 0), 64);
    const uint8_t *p = page->in->data;
    for (unsigned at = 44; at < 56; at += 4)
        assert_int_equal(get_be32(p + at), atomic);
    assert_int_equal(get_be64(p + 56), 0); /* no boundaries */
    cmd_free(page);
}

static unsigned is_offered(const Scsi *s)
{
    Cmd *cmd = cmd_run(s->nexus, CDB(0xa3, 0x0c, 1, 0x9c, 0, 0, 0, 0, 1, 0, 0, 0), 256);
    unsigned support = cmd->in->data[1] & 7;
    cmd_free(cmd);
    return support;
}

static void no_atomic_writes_without_the_store(void **state)
{
    Scsi *s = *state;
    static const uint8_t out[BLOCK];
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x9c, 0, 1);
    expect_out(s->nexus, cdb, 16, out, BLOCK, SENSE_INVALID_OPCODE);
    check_block_limits(s, 0);
    assert_int_equal(is_offered(s), 1);
}

static void atomic_write_is_one_call(void **state)
{
    Scsi *s = *state;
    uint8_t out[UNIT], back[UNIT], cdb[16];
    assert_int_equal(is_offered(s), 3);
    check_block_limits(s, UNIT / BLOCK);
    fill(out, sizeof out, 3);
    cdb_rw16(cdb, 0x9c, 5 * UNIT / BLOCK, UNIT / BLOCK);
    expect_out(s->nexus, cdb, 16, out, UNIT, 0);
    assert_int_equal(atomic_writes, 1);
    assert_int_equal(atomic_bytes, UNIT);
    scsi_file_read(s, back, UNIT, 5 * UNIT);
    assert_memory_equal(back, out, UNIT);

    atomic_result = UNIT / 2; /* torn: told, and not continued */
    expect_out(s->nexus, cdb, 16, out, UNIT, SENSE_WRITE_ERROR);
    assert_int_equal(atomic_writes, 2);
    atomic_result = -EOPNOTSUPP; /* the kernel knows better */
    expect_out(s->nexus, cdb, 16, out, UNIT, SENSE_INVALID_OPCODE);
    assert_int_equal(atomic_writes, 3);
}

static void atomic_write_refused(void **state)
{
    Scsi *s = *state;
    static const uint8_t out[2 * UNIT];
    static const uint8_t forbidden[16] = {
        [1] = 0xe7, [10] = 0xff, [11] = 0xff, [14] = 0xe0, [15] = 0xff};
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x9c, 0, UNIT / BLOCK);
    check_refused_bits(s, cdb, forbidden, out, UNIT);
    static const uint32_t counts[] = {1, UNIT / BLOCK - 1, UNIT / BLOCK + 1, 2 * UNIT / BLOCK};
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        cdb_rw16(cdb, 0x9c, 0, counts[i]);
        expect_out(s->nexus, cdb, 16, out, counts[i] * BLOCK, SENSE_INVALID_FIELD_IN_CDB);
    }
    cdb_rw16(cdb, 0x9c, 1, UNIT / BLOCK);
    expect_out(s->nexus, cdb, 16, out, UNIT, SENSE_INVALID_FIELD_IN_CDB);
    cdb_rw16(cdb, 0x9c, lun_blocks(s->lun), UNIT / BLOCK);
    expect_out(s->nexus, cdb, 16, out, UNIT, SENSE_LBA_OUT_OF_RANGE);
    cdb_rw16(cdb, 0x9c, 0, UNIT / BLOCK);
    expect_out(s->nexus, cdb, 16, out, UNIT - BLOCK, SENSE_INVALID_FIELD_IN_IU);
    cdb_rw16(cdb, 0x9c, 3, 0);
    expect(s->nexus, cdb, 16, 0, 0);
    assert_int_equal(atomic_writes, 0);
}

/* As XFS has it: more than there is in one buffer. */
static void atomic_writes_of_one_buffer(void **state)
{
    Scsi *s = *state;
    g_autofree uint8_t *out = g_malloc0(ARENA_BUFFER_MAX);
    uint8_t cdb[16];
    check_block_limits(s, ARENA_BUFFER_MAX / BLOCK);
    cdb_rw16(cdb, 0x9c, 0, ARENA_BUFFER_MAX / BLOCK);
    expect_out(s->nexus, cdb, 16, out, ARENA_BUFFER_MAX, 0);
    assert_int_equal(atomic_writes, 1);
    assert_int_equal(atomic_bytes, ARENA_BUFFER_MAX);
}

static void exchanged(Lun *lun, const GError *error, void *arg)
{
    (void)lun;
    assert_null(error);
    *(bool *)arg = true;
}

/* Atomic writes go past the page cache only: another mode takes them away, and that is told. */
static void exchange_changes_what_is_offered(void **state)
{
    Scsi *s = *state;
    static const AioMode modes[] = {AIO_BUFFERED, AIO_DIRECT};
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        bool done = false;
        lun_set_engine(s->lun, s->spec.engine, &s->spec.params, modes[i], 10000, exchanged, &done);
        wait_for(&done);
        expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_INQUIRY_DATA_CHANGED);
        check_block_limits(s, modes[i] == AIO_DIRECT ? UNIT / BLOCK : 0);
    }
}

/* --- PRE-FETCH -------------------------------------------------------------------------------- */

static unsigned advised;
static uint64_t advised_offset, advised_len;

static int note_advice(int fd, uint64_t offset, uint64_t len)
{
    advised++;
    advised_offset = offset;
    advised_len = len;
    return real_sys.advise(fd, offset, len);
}

static int setup_advice(void **state)
{
    real_sys = aio_sys;
    aio_sys.advise = note_advice;
    advised = 0;
    return scsi_setup(state);
}

static void large(LunSpec *spec)
{
    spec->size = 65 * MIB;
}

static unsigned prefetch(const Scsi *s, const uint8_t *cdb, unsigned len)
{
    Cmd *cmd = cmd_run(s->nexus, cdb, len, 0);
    assert_true(cmd->responded);
    unsigned status = cmd->task.status;
    cmd_free(cmd);
    return status;
}

static void prefetch_reads_ahead(void **state)
{
    Scsi *s = *state;
    for (unsigned immed = 0; immed < 2; immed++) {
        uint8_t cdb[16];
        assert_int_equal(prefetch(s, CDB(0x34, (uint8_t)(immed * 2), 0, 0, 0, 9, 0, 0x10, 0, 0)),
                         SCSI_CONDITION_MET);
        assert_int_equal(advised, 2 * immed + 1);
        assert_int_equal(advised_offset, 9 * BLOCK);
        assert_int_equal(advised_len, 4096 * BLOCK);
        cdb_rw16(cdb, 0x90, lun_blocks(s->lun) - 3, 0); /* up to the end */
        cdb[1] = immed ? 0x02 : 0;
        assert_int_equal(prefetch(s, cdb, 16), SCSI_CONDITION_MET);
        assert_int_equal(advised, 2 * immed + 2);
        assert_int_equal(advised_len, 3 * BLOCK);
    }
    LunStats stats;
    lun_get_stats(s->lun, &stats);
    assert_int_equal(stats.errors, 1); /* POWER ON, but not CONDITION MET */
}

static void prefetch_refused(void **state)
{
    Scsi *s = *state;
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x90, lun_blocks(s->lun) - 1, 2);
    expect(s->nexus, cdb, 16, 0, SENSE_LBA_OUT_OF_RANGE);
    cdb_rw16(cdb, 0x90, lun_blocks(s->lun) + 1, 0);
    expect(s->nexus, cdb, 16, 0, SENSE_LBA_OUT_OF_RANGE);
    cdb_rw16(cdb, 0x90, lun_blocks(s->lun), 0);
    assert_int_equal(prefetch(s, cdb, 16), SCSI_CONDITION_MET); /* of nothing */
    cdb_rw16(cdb, 0x90, 0, 1);
    cdb[1] = 0x10; /* DPO, which it does not have */
    expect(s->nexus, cdb, 16, 0, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(advised, 0);
}

static void prefetch_of_what_does_not_fit(void **state)
{
    (void)state;
    Scsi *s = scsi_new(large);
    power_on(s);
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x90, 0, 0);
    assert_int_equal(prefetch(s, cdb, 16), SCSI_GOOD);
    scsi_free(s);
    s = scsi_new(direct);
    power_on(s);
    cdb_rw16(cdb, 0x90, 0, 1);
    assert_int_equal(prefetch(s, cdb, 16), SCSI_GOOD);
    scsi_free(s);
}

#define TEST(fn)   cmocka_unit_test_setup_teardown(fn, scsi_setup, scsi_teardown)
#define ATOMIC(fn) cmocka_unit_test_setup_teardown(fn, setup_atomic, teardown_atomic)
#define ADVICE(fn) cmocka_unit_test_setup_teardown(fn, setup_advice, teardown_atomic)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_what_compares),
        TEST(miscompare_tells_where),
        TEST(immediate_data_is_compared),
        TEST(compare_and_write_refused),
        cmocka_unit_test(compare_and_write_limits),
        cmocka_unit_test(force_unit_access),
        TEST(orwrite_sets_bits),
        TEST(orwrite_refused),
        TEST(no_atomic_writes_without_the_store),
        ATOMIC(atomic_write_is_one_call),
        ATOMIC(atomic_write_refused),
        cmocka_unit_test_setup_teardown(atomic_writes_of_one_buffer, setup_much, teardown_atomic),
        ATOMIC(exchange_changes_what_is_offered),
        ADVICE(prefetch_reads_ahead),
        ADVICE(prefetch_refused),
        cmocka_unit_test(prefetch_of_what_does_not_fit),
    };
    return unit_run(tests);
}
