/* SPDX-License-Identifier: GPL-2.0-or-later */
/* READ and WRITE: data, ranges, residuals, immediate data, streaming. */
#include "tests/unit/unit.h"

#include "tests/unit/scsi_fixture.h"

#include <string.h>

#define BLOCK 512

static uint8_t *pattern(size_t len, unsigned seed)
{
    uint8_t *p = g_malloc(len);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 31 + i / 509 + seed);
    return p;
}

static void check_in(const Cmd *cmd, const void *data, size_t len)
{
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->in->len, len);
    assert_memory_equal(cmd->in->data, data, len);
}

static void read_each_cdb(void **state)
{
    Scsi *s = *state;
    g_autofree uint8_t *data = pattern(4 * BLOCK, 1);
    scsi_file_write(s, data, 4 * BLOCK, 0x1234 * BLOCK);
    Cmd *cmds[] = {
        cmd_run(s->nexus, CDB(0x08, 0, 0x12, 0x34, 4, 0), 4 * BLOCK),
        cmd_run(s->nexus, CDB(0x28, 0, 0, 0, 0x12, 0x34, 0, 0, 4, 0), 4 * BLOCK),
        cmd_run(s->nexus, CDB(0xa8, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 4, 0, 0), 4 * BLOCK),
        cmd_run(s->nexus, CDB(0x88, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 4, 0, 0), 4 * BLOCK),
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cmds); i++) {
        check_in(cmds[i], data, 4 * BLOCK);
        assert_int_equal(cmds[i]->task.data_in_wanted, 4 * BLOCK);
        assert_int_equal(cmds[i]->moves, 0); /* data and status in one go */
        cmd_free(cmds[i]);
    }
}

static void write_each_cdb(void **state)
{
    Scsi *s = *state;
    static const uint8_t cdbs[][16] = {
        {0x0a, 0, 0, 8, 2, 0},
        {0x2a, 0, 0, 0, 0, 8, 0, 0, 2, 0},
        {0xaa, 0, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0},
        {0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0},
        {0x2a, 0x18, 0, 0, 0, 8, 0, 0, 2, 0}, /* DPO, FUA */
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cdbs); i++) {
        g_autofree uint8_t *data = pattern(2 * BLOCK, i);
        uint8_t back[2 * BLOCK];
        expect_out(s->nexus, cdbs[i], 16, data, 2 * BLOCK, 0);
        scsi_file_read(s, back, sizeof back, 8 * BLOCK);
        assert_memory_equal(back, data, sizeof back);
    }
}

static void read_6_of_zero_is_256_blocks(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_run(s->nexus, CDB(0x08, 0, 0, 0, 0, 0), 256 * BLOCK);
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->in->len, 256 * BLOCK);
    cmd_free(cmd);
}

static void zero_blocks_are_good(void **state)
{
    Scsi *s = *state;
    expect(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0);
    expect(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0);
    expect(s->nexus, CDB(0x28, 0, 0, 2, 0, 1, 0, 0, 0, 0), 0, SENSE_LBA_OUT_OF_RANGE);
}

static void range_beyond_end_moves_nothing(void **state)
{
    Scsi *s = *state;
    uint64_t blocks = lun_blocks(s->lun);
    static const struct {
        uint64_t lba;
        uint32_t blocks;
    } ranges[] = {{0, 0}, {UINT64_MAX, 1}, {UINT64_MAX - 1, 2}, {UINT64_C(1) << 55, 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        uint8_t cdb[16];
        cdb_rw16(cdb, 0x88, i == 0 ? blocks - 1 : ranges[i].lba, i == 0 ? 2 : ranges[i].blocks);
        Cmd *cmd = cmd_run(s->nexus, cdb, 16, 4096);
        assert_int_equal(cmd_sense(cmd), SENSE_LBA_OUT_OF_RANGE);
        assert_int_equal(cmd->in->len, 0);
        cmd_free(cmd);
        cdb[0] = 0x8a;
        uint8_t data[1024] = {1};
        cmd = cmd_run_out(s->nexus, cdb, 16, data, sizeof data);
        assert_int_equal(cmd_sense(cmd), SENSE_LBA_OUT_OF_RANGE);
        assert_int_equal(cmd->moves, 0);
        cmd_free(cmd);
    }
}

static void reserved_and_protection_bits(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_run(s->nexus, CDB(0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0), BLOCK);
    assert_int_equal(cmd_sense(cmd), SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(cmd->task.sense[15], 0xc8 | 5); /* valid, in the CDB, bit 5 */
    assert_int_equal(get_be16(cmd->task.sense + 16), 1);
    cmd_free(cmd);
    expect(s->nexus, CDB(0x2a, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0), 0, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 4), 0,
           SENSE_INVALID_FIELD_IN_CDB); /* NACA */
}

static void limit_transfers(LunSpec *spec)
{
    spec->max_transfer = MIB;
}

static void too_long_a_transfer(void **state)
{
    (void)state;
    Scsi *s = scsi_new(limit_transfers);
    uint8_t cdb[16];
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    cdb_rw16(cdb, 0x88, 0, MIB / BLOCK);
    expect(s->nexus, cdb, 16, MIB, 0);
    cdb_rw16(cdb, 0x88, 0, MIB / BLOCK + 1);
    expect(s->nexus, cdb, 16, 0, SENSE_INVALID_FIELD_IN_CDB);
    scsi_free(s);
}

static void read_residuals(void **state)
{
    Scsi *s = *state;
    g_autofree uint8_t *data = pattern(2 * BLOCK, 7);
    scsi_file_write(s, data, 2 * BLOCK, 0);
    static const uint32_t rooms[] = {0, 1, 200, BLOCK, BLOCK + 1, 2 * BLOCK, 10000};
    for (size_t i = 0; i < G_N_ELEMENTS(rooms); i++) {
        Cmd *cmd = cmd_run(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0), rooms[i]);
        check_in(cmd, data, MIN(rooms[i], 2 * BLOCK));
        assert_int_equal(cmd->task.data_in_wanted, 2 * BLOCK);
        cmd_free(cmd);
    }
}

static void write_residuals_write_whole_blocks(void **state)
{
    Scsi *s = *state;
    g_autofree uint8_t *old = pattern(2 * BLOCK, 1), *new = pattern(10000, 2);
    static const struct {
        uint32_t offered, written;
    } cases[] = {{0, 0}, {200, 0}, {BLOCK, BLOCK}, {BLOCK + 7, BLOCK}, {10000, 2 * BLOCK}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t back[2 * BLOCK];
        scsi_file_write(s, old, 2 * BLOCK, 0);
        Cmd *cmd =
            cmd_run_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0), new, cases[i].offered);
        assert_int_equal(cmd_sense(cmd), 0);
        assert_int_equal(cmd->task.data_out_wanted, 2 * BLOCK);
        cmd_free(cmd);
        scsi_file_read(s, back, sizeof back, 0);
        assert_memory_equal(back, new, cases[i].written);
        assert_memory_equal(back + cases[i].written, old + cases[i].written,
                            2 * BLOCK - cases[i].written);
    }
}

static void stream_16_mib(void **state)
{
    Scsi *s = *state;
    g_autofree uint8_t *data = pattern(16 * MIB, 3), *back = g_malloc(16 * MIB);
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x8a, 5, 16 * MIB / BLOCK);
    Cmd *cmd = cmd_run_out(s->nexus, cdb, 16, data, 16 * MIB);
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->moves, 16);
    cmd_free(cmd);
    scsi_file_read(s, back, 16 * MIB, 5 * BLOCK);
    assert_memory_equal(back, data, 16 * MIB);

    cdb[0] = 0x88;
    cmd = cmd_run(s->nexus, cdb, 16, 16 * MIB);
    check_in(cmd, data, 16 * MIB);
    assert_int_equal(cmd->moves, 15);
    cmd_free(cmd);
    cmd = cmd_run(s->nexus, cdb, 16, 3 * MIB + 77); /* room for less */
    check_in(cmd, data, 3 * MIB + 77);
    cmd_free(cmd);

    ArenaStats stats;
    arena_get_stats(s->arena, &stats);
    assert_int_equal(stats.in_use, 0);
}

/* Immediate data of various lengths is never asked for again, and written from where it lies. */
static void immediate_data(void **state)
{
    Scsi *s = *state;
    static const uint32_t parts[] = {1, 100, BLOCK, 4096, MIB, MIB + 5, 2 * MIB};
    g_autofree uint8_t *back = g_malloc(2 * MIB);
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree uint8_t *data = pattern(2 * MIB, 10 + i);
        g_autofree uint8_t *immediate = g_memdup2(data, parts[i]);
        uint8_t cdb[16];
        cdb_rw16(cdb, 0x8a, 100, 2 * MIB / BLOCK);
        Cmd *cmd = cmd_new(s->nexus, cdb, 16);
        cmd->out = data;
        cmd->task.data_out_len = 2 * MIB;
        cmd->task.immediate = immediate;
        cmd->task.immediate_len = parts[i];
        cmd_submit(cmd);
        cmd_wait(cmd);
        assert_int_equal(cmd_sense(cmd), 0);
        cmd_free(cmd);
        scsi_file_read(s, back, 2 * MIB, 100 * BLOCK);
        assert_memory_equal(back, data, 2 * MIB);
    }
}

static void many_at_once(void **state)
{
    Scsi *s = *state;
    enum { N = 128 };
    g_autofree uint8_t *data = pattern(N * 4096, 9);
    scsi_file_write(s, data, N * 4096, 0);
    Cmd *cmds[N];
    for (unsigned i = 0; i < N; i++) {
        uint8_t cdb[16];
        cdb_rw16(cdb, 0x88, i * 8, 8);
        cmds[i] = cmd_new(s->nexus, cdb, 16);
        cmds[i]->task.data_in_len = 4096;
        cmd_submit(cmds[i]);
    }
    for (unsigned i = 0; i < N; i++) {
        cmd_wait(cmds[i]);
        check_in(cmds[i], data + i * 4096, 4096);
        cmd_free(cmds[i]);
    }
    LunStats stats;
    lun_get_stats(s->lun, &stats);
    assert_int_equal(stats.reads, N);
    assert_int_equal(stats.read_bytes, N * 4096);
    assert_int_equal(stats.engine.submitted, N);
}

static void make_null(LunSpec *spec)
{
    spec->path = NULL;
    spec->engine = aio_engine_find("null");
    spec->size = 8 * MIB;
}

static bool is_zero(const uint8_t *data, size_t len)
{
    return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

static void note_managed(TmfResponse response, void *arg)
{
    (void)response, (void)arg;
}

static void zeros_take_no_memory(void **state)
{
    (void)state;
    Scsi *s = scsi_new(make_null);
    const uint8_t *zeros = memory_zeros(s->memory);
    uint32_t len = 2 * MIB + BLOCK;
    ArenaStats before, during;
    MemoryStats memory;
    uint8_t cdb[16];
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    g_autofree uint8_t *data = pattern(4 * BLOCK, 5);
    expect_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 4, 0), data, 4 * BLOCK, 0);
    arena_get_stats(s->arena, &before);

    cdb_rw16(cdb, 0x88, 0, len / BLOCK);
    Cmd *cmd = cmd_new(s->nexus, cdb, 16);
    cmd->task.data_in_len = len - 100; /* a residual within the last block */
    cmd->hold = true;
    cmd_submit(cmd);
    assert_int_equal(cmd->moves, 2); /* at once */
    arena_get_stats(s->arena, &during);
    memory_get_stats(s->memory, &memory);
    assert_int_equal(during.in_use, before.in_use);
    assert_int_equal(memory.admitted, 0);
    for (int i = 0; i < cmd->held[0]->iovcnt; i++)
        assert_ptr_equal(cmd->held[0]->iov[i].iov_base, zeros);
    nexus_manage(s->nexus, TMF_ABORT_TASK, 0, cmd->task.tag, note_managed, NULL);
    cmd_wait(cmd);
    cmd_free(cmd);

    cmd = cmd_run(s->nexus, cdb, 16, len - 100);
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->in->len, len - 100);
    assert_true(is_zero(cmd->in->data, cmd->in->len));
    cmd_free(cmd);
    scsi_free(s); /* asserts that the zeros are zeros */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scsi_setup, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(read_each_cdb),
        TEST(write_each_cdb),
        TEST(read_6_of_zero_is_256_blocks),
        TEST(zero_blocks_are_good),
        TEST(range_beyond_end_moves_nothing),
        TEST(reserved_and_protection_bits),
        cmocka_unit_test(too_long_a_transfer),
        TEST(read_residuals),
        TEST(write_residuals_write_whole_blocks),
        TEST(stream_16_mib),
        TEST(immediate_data),
        TEST(many_at_once),
        cmocka_unit_test(zeros_take_no_memory),
    };
    return unit_run(tests);
}
