/* SPDX-License-Identifier: GPL-2.0-or-later */
/* WRITE SAME, UNMAP, VERIFY, WRITE AND VERIFY; write flags that reach the engine; protected LUNs.
 */
#include "tests/unit/unit.h"

#include "tests/unit/scsi_fixture.h"

#include <string.h>

#define BLOCK 512

static void fill(Scsi *s, uint8_t value, size_t len)
{
    g_autofree uint8_t *data = g_malloc(len);
    memset(data, value, len);
    scsi_file_write(s, data, len, 0);
}

static void check_bytes(Scsi *s, uint64_t offset, size_t len, uint8_t value)
{
    g_autofree uint8_t *data = g_malloc(len);
    scsi_file_read(s, data, len, offset);
    for (size_t i = 0; i < len; i++)
        if (data[i] != value)
            fail_msg("byte %zu is %02x", i, data[i]);
}

/* --- WRITE SAME ------------------------------------------------------------------------------- */

static void write_same_of_data(void **state)
{
    Scsi *s = *state;
    static const uint32_t counts[] = {1, 3, 512, 513, 4096};
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        uint8_t cdb[16], block[BLOCK];
        memset(block, 0x30 + (int)i, BLOCK);
        fill(s, 0xee, 4200 * BLOCK);
        cdb_rw16(cdb, 0x93, 5, counts[i]);
        expect_out(s->nexus, cdb, 16, block, BLOCK, 0);
        check_bytes(s, 0, 5 * BLOCK, 0xee);
        check_bytes(s, 5 * BLOCK, counts[i] * BLOCK, (uint8_t)(0x30 + i));
        check_bytes(s, (5 + counts[i]) * BLOCK, BLOCK, 0xee);
    }
}

static void write_same_of_zeros(void **state)
{
    Scsi *s = *state;
    static const uint8_t zeros[BLOCK];
    static const uint8_t byte_1[] = {0, 0x08}; /* UNMAP */
    for (unsigned i = 0; i < 3; i++) {
        uint8_t cdb[16];
        fill(s, 0xee, 64 * 1024);
        cdb_rw16(cdb, 0x93, 8, 64);
        if (i < 2) {
            cdb[1] = byte_1[i];
            expect_out(s->nexus, cdb, 16, zeros, BLOCK, 0);
        } else {
            cdb[1] = 0x01; /* NDOB */
            expect(s->nexus, cdb, 16, 0, 0);
        }
        check_bytes(s, 7 * BLOCK, BLOCK, 0xee);
        check_bytes(s, 8 * BLOCK, 64 * BLOCK, 0);
        check_bytes(s, 72 * BLOCK, BLOCK, 0xee);
    }
    expect_out(s->nexus, CDB(0x41, 0x08, 0, 0, 0, 0, 0, 0, 8, 0), zeros, BLOCK, 0);
    check_bytes(s, 0, 8 * BLOCK, 0);
}

static void write_same_refused(void **state)
{
    Scsi *s = *state;
    uint8_t cdb[16], block[BLOCK] = {0};
    cdb_rw16(cdb, 0x93, 0, 0);
    expect_out(s->nexus, cdb, 16, block, BLOCK, SENSE_INVALID_FIELD_IN_CDB); /* WSNZ */
    cdb_rw16(cdb, 0x93, lun_blocks(s->lun) + 1, 0);
    expect_out(s->nexus, cdb, 16, block, BLOCK, SENSE_LBA_OUT_OF_RANGE);
    cdb_rw16(cdb, 0x93, 0, 1);
    cdb[1] = 0x10; /* ANCHOR */
    expect_out(s->nexus, cdb, 16, block, BLOCK, SENSE_INVALID_FIELD_IN_CDB);
    cdb[1] = 0;
    expect_out(s->nexus, cdb, 16, block, 100, SENSE_INVALID_FIELD_IN_IU);
    uint8_t two_blocks[2 * BLOCK] = {0};
    expect_out(s->nexus, cdb, 16, two_blocks, sizeof two_blocks, SENSE_INVALID_FIELD_IN_IU);
    cdb_rw16(cdb, 0x93, 0, 32769);
    expect_out(s->nexus, cdb, 16, block, BLOCK, SENSE_INVALID_FIELD_IN_CDB);
}

/* --- UNMAP ------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t lba;
    uint32_t blocks;
} Range;

static SenseCode unmap(Scsi *s, const Range *ranges, unsigned count)
{
    g_autofree uint8_t *list = g_malloc0(8 + 16 * (count + 1));
    uint16_t len = (uint16_t)(8 + 16 * count);
    put_be16(list, len - 2);
    put_be16(list + 2, len - 8);
    for (unsigned i = 0; i < count; i++) {
        put_be64(list + 8 + 16 * i, ranges[i].lba);
        put_be32(list + 16 + 16 * i, ranges[i].blocks);
    }
    Cmd *cmd =
        cmd_run_out(s->nexus, CDB(0x42, 0, 0, 0, 0, 0, 0, len >> 8, len & 0xff, 0), list, len);
    SenseCode sense = cmd_sense(cmd);
    cmd_free(cmd);
    return sense;
}

static void unmap_reads_zeros(void **state)
{
    Scsi *s = *state;
    fill(s, 0xee, 64 * 1024);
    const Range ranges[] = {{0, 8}, {50, 0}, {16, 1}, {24, 40}};
    assert_int_equal(unmap(s, ranges, 4), 0);
    check_bytes(s, 0, 8 * BLOCK, 0);
    check_bytes(s, 8 * BLOCK, 8 * BLOCK, 0xee);
    check_bytes(s, 16 * BLOCK, BLOCK, 0);
    check_bytes(s, 17 * BLOCK, 7 * BLOCK, 0xee);
    check_bytes(s, 24 * BLOCK, 40 * BLOCK, 0);
    check_bytes(s, 64 * BLOCK, BLOCK, 0xee);
}

static void unmap_refused(void **state)
{
    Scsi *s = *state;
    fill(s, 0xee, 8 * BLOCK);
    Range ranges[258] = {{0, 8}, {lun_blocks(s->lun) - 1, 2}};
    assert_int_equal(unmap(s, ranges, 2), SENSE_LBA_OUT_OF_RANGE);
    check_bytes(s, 0, 8 * BLOCK, 0xee); /* nothing is done before all is checked */
    assert_int_equal(unmap(s, ranges + 2, 256), 0);
    assert_int_equal(unmap(s, ranges, 257), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    expect(s->nexus, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0);
    expect(s->nexus, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), 0, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    expect(s->nexus, CDB(0x42, 1, 0, 0, 0, 0, 0, 0, 0, 0), 0, SENSE_INVALID_FIELD_IN_CDB);
}

/* --- VERIFY ----------------------------------------------------------------------------------- */

static void verify_compares(void **state)
{
    Scsi *s = *state;
    enum { LEN = 3 * MIB };
    g_autofree uint8_t *data = g_malloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        data[i] = (uint8_t)(i * 13 + i / 1000);
    scsi_file_write(s, data, LEN, 4 * BLOCK);
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x8f, 4, LEN / BLOCK);
    expect(s->nexus, cdb, 16, 0, 0); /* BYTCHK 0: no data */
    cdb[1] = 0x02;
    expect_out(s->nexus, cdb, 16, data, LEN, 0);
    static const uint32_t wrong[] = {0, 511, 300000, MIB / 2 + 1, LEN - 1};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        data[wrong[i]] ^= 0x40;
        Cmd *cmd = cmd_run_out(s->nexus, cdb, 16, data, LEN);
        assert_int_equal(cmd_sense(cmd), SENSE_MISCOMPARE);
        assert_int_equal(get_be32(cmd->task.sense + 3), wrong[i]);
        cmd_free(cmd);
        data[wrong[i]] ^= 0x40;
    }
    cdb[1] = 0x04; /* BYTCHK 2 */
    expect_out(s->nexus, cdb, 16, data, LEN, SENSE_INVALID_FIELD_IN_CDB);
    cdb_rw16(cdb, 0x8f, lun_blocks(s->lun), 1);
    expect(s->nexus, cdb, 16, 0, SENSE_LBA_OUT_OF_RANGE);
}

static void verify_one_block_against_many(void **state)
{
    Scsi *s = *state;
    uint8_t block[BLOCK];
    memset(block, 0xee, BLOCK);
    fill(s, 0xee, 2 * MIB);
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x8f, 0, 2 * MIB / BLOCK);
    cdb[1] = 0x06;
    expect_out(s->nexus, cdb, 16, block, BLOCK, 0);
    scsi_file_write(s, "x", 1, MIB + 77);
    Cmd *cmd = cmd_run_out(s->nexus, cdb, 16, block, BLOCK);
    assert_int_equal(cmd_sense(cmd), SENSE_MISCOMPARE);
    assert_int_equal(get_be32(cmd->task.sense + 3), MIB + 77);
    cmd_free(cmd);
    expect_out(s->nexus, cdb, 16, block, 10, SENSE_INVALID_FIELD_IN_IU);
}

static void write_and_verify(void **state)
{
    Scsi *s = *state;
    enum { LEN = 2 * MIB };
    g_autofree uint8_t *data = g_malloc(LEN), *back = g_malloc(LEN);
    static const uint8_t opcodes[] = {0x2e, 0xae, 0x8e};
    for (unsigned i = 0; i < 6; i++) {
        uint8_t cdb[16] = {opcodes[i % 3], i < 3 ? 0 : 0x02};
        memset(data, (int)i + 1, LEN);
        put_be16(cdb + (i % 3 == 0 ? 7 : i % 3 == 1 ? 8 : 12), LEN / BLOCK);
        Cmd *cmd = cmd_run_out(s->nexus, cdb, 16, data, LEN);
        assert_int_equal(cmd_sense(cmd), 0);
        assert_int_equal(cmd->task.data_out_wanted, LEN);
        cmd_free(cmd);
        scsi_file_read(s, back, LEN, 0);
        assert_memory_equal(back, data, LEN);
    }
    expect_out(s->nexus, CDB(0x2e, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL, 0, 0);
    expect_out(s->nexus, CDB(0x2e, 0x06, 0, 0, 0, 0, 0, 0, 1, 0), data, BLOCK,
               SENSE_INVALID_FIELD_IN_CDB);
}

/* --- what the engine is told; LUNs that refuse ------------------------------------------------ */

static void slow_without_cache(LunSpec *spec)
{
    spec->engine = &slow_engine;
    spec->write_cache = false;
}

static void slow_with_cache(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

static unsigned flags_of_write(Scsi *s, uint8_t byte_1)
{
    static const uint8_t block[BLOCK];
    Cmd *cmd = cmd_new(s->nexus, CDB(0x2a, byte_1, 0, 0, 0, 0, 0, 0, 1, 0));
    cmd->out = block;
    cmd->task.data_out_len = BLOCK;
    cmd_submit(cmd);
    assert_int_equal(slow_waiting(), 1);
    unsigned flags = slow_peek(0)->flags;
    slow_finish_all(0);
    cmd_wait(cmd);
    cmd_free(cmd);
    return flags;
}

static void force_unit_access(void **state)
{
    (void)state;
    Scsi *s = scsi_new(slow_with_cache);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    assert_int_equal(flags_of_write(s, 0), 0);
    assert_int_equal(flags_of_write(s, 0x08), AIO_FUA);
    scsi_free(s);
    s = scsi_new(slow_without_cache);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    assert_int_equal(flags_of_write(s, 0), AIO_FUA);
    scsi_free(s);
}

static void fully_provisioned(LunSpec *spec)
{
    spec->thin = LUN_THIN_OFF;
    spec->block_size = 4096;
}

static void no_unmap_where_not_thin(void **state)
{
    (void)state;
    Scsi *s = scsi_new(fully_provisioned);
    static const uint8_t zeros[4096];
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    expect(s->nexus, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, SENSE_INVALID_OPCODE);
    expect_out(s->nexus, CDB(0x41, 0x08, 0, 0, 0, 0, 0, 0, 1, 0), zeros, 4096,
               SENSE_INVALID_FIELD_IN_CDB);
    expect_out(s->nexus, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), zeros, 4096, 0);
    Cmd *cmd = cmd_run(s->nexus, CDB(0xa3, 0x0c, 1, 0x42, 0, 0, 0, 0, 1, 0, 0, 0), 256);
    assert_int_equal(cmd->in->data[1], 1);
    cmd_free(cmd);
    expect(s->nexus, CDB(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0), 24,
           SENSE_INVALID_OPCODE);
    cmd = cmd_run(s->nexus, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), 32);
    assert_int_equal(get_be32(cmd->in->data + 8), 4096);
    assert_int_equal(cmd->in->data[13], 0);
    assert_int_equal(cmd->in->data[14], 0);
    cmd_free(cmd);
    scsi_free(s);
}

static void read_only(LunSpec *spec)
{
    g_file_set_contents(spec->path, "x", 1, NULL);
    g_autofree char *data = g_malloc0(MIB);
    g_file_set_contents(spec->path, data, MIB, NULL);
    spec->read_only = true;
    spec->create = false;
}

static void read_only_lun(void **state)
{
    (void)state;
    Scsi *s = scsi_new(read_only);
    static const uint8_t block[BLOCK];
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    static const uint8_t opcodes[] = {0x0a, 0x2a, 0x2e, 0x41};
    for (size_t i = 0; i < sizeof opcodes; i++)
        expect_out(s->nexus, CDB(opcodes[i], 0, 0, 0, 0, 0, 0, 0, 0, 0), block, 0,
                   SENSE_WRITE_PROTECTED);
    expect(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), BLOCK, 0);
    scsi_free(s);
}

static void bad_luns_are_refused(void **state)
{
    Scsi *s = *state;
    LunSpec spec = s->spec;
    GError *error = NULL;
    spec.path = "/nowhere/at/all";
    spec.create = false;
    assert_null(lun_new(&spec, s->memory, &s->loop, 1, &error));
    assert_non_null(strstr(error->message, SCSI_NAME "/0: path: "));
    g_clear_error(&error);
    spec.path = NULL;
    spec.engine = aio_engine_find("null");
    spec.size = 511;
    assert_null(lun_new(&spec, s->memory, &s->loop, 1, &error));
    assert_non_null(strstr(error->message, "smaller than one block"));
    g_clear_error(&error);
    spec.engine = aio_engine_find("syslet");
    assert_null(lun_new(&spec, s->memory, &s->loop, 1, &error));
    assert_non_null(strstr(error->message, "engine=syslet"));
    g_clear_error(&error);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scsi_setup, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(write_same_of_data),
        TEST(write_same_of_zeros),
        TEST(write_same_refused),
        TEST(unmap_reads_zeros),
        TEST(unmap_refused),
        TEST(verify_compares),
        TEST(verify_one_block_against_many),
        TEST(write_and_verify),
        cmocka_unit_test(force_unit_access),
        cmocka_unit_test(no_unmap_where_not_thin),
        cmocka_unit_test(read_only_lun),
        TEST(bad_luns_are_refused),
    };
    return unit_run(tests);
}
