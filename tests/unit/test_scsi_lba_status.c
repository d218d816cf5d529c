/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET LBA STATUS: holes and data of a real file, and of stores that answer in odd ways. */
#include "tests/unit/unit.h"

#include "aio/sys.h"
#include "tests/unit/scsi_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512

enum { MAPPED = 0, DEALLOCATED = 1 };

typedef struct {
    uint64_t lba, blocks;
    uint8_t status;
} Run;

static Cmd *get_lba_status(Scsi *s, uint64_t lba, uint32_t allocation_length, uint32_t room)
{
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x9e, lba, allocation_length);
    cdb[1] = 0x12;
    return cmd_run(s->nexus, cdb, 16, room);
}

/* With room for `count` descriptors; how many there were. */
static unsigned get_runs(Scsi *s, uint64_t lba, Run *runs, unsigned count)
{
    uint32_t len = 8 + 16 * count;
    Cmd *cmd = get_lba_status(s, lba, len, len);
    assert_int_equal(cmd_sense(cmd), 0);
    const uint8_t *p = cmd->in->data;
    assert_int_equal(get_be32(p), cmd->in->len - 4);
    assert_int_equal(get_be32(p + 4), 0);
    unsigned found = (cmd->in->len - 8) / 16;
    for (unsigned i = 0; i < found; i++) {
        const uint8_t *d = p + 8 + 16 * i;
        runs[i] = (Run){get_be64(d), get_be32(d + 8), d[12]};
        assert_int_equal(d[13] | d[14] | d[15], 0);
    }
    cmd_free(cmd);
    return found;
}

static void check_runs(Scsi *s, uint64_t lba, const Run *expected, unsigned count)
{
    Run runs[64];
    assert_int_equal(get_runs(s, lba, runs, G_N_ELEMENTS(runs)), count);
    for (unsigned i = 0; i < count; i++) {
        assert_true(runs[i].lba == expected[i].lba);
        assert_true(runs[i].blocks == expected[i].blocks);
        assert_int_equal(runs[i].status, expected[i].status);
    }
}

#define CHECK_RUNS(s, lba, ...)                      \
    check_runs(s, lba, ((const Run[]){__VA_ARGS__}), \
               sizeof((const Run[]){__VA_ARGS__}) / sizeof(Run))

static uint64_t blocks_of_unit(const Scsi *s)
{
    struct stat st;
    assert_int_equal(stat(s->path, &st), 0);
    return (uint64_t)st.st_blksize / BLOCK;
}

/* Data in [1, 2) and [3, 4) MiB, and one byte at 5 MiB + 700. */
static void write_data(Scsi *s)
{
    g_autofree uint8_t *data = g_malloc(MIB);
    memset(data, 0xee, MIB);
    scsi_file_write(s, data, MIB, MIB);
    scsi_file_write(s, data, MIB, 3 * MIB);
    scsi_file_write(s, data, 1, 5 * MIB + 700);
}

/* --- a real file ------------------------------------------------------------------------------ */

static void holes_and_data(void **state)
{
    Scsi *s = *state;
    uint64_t unit = blocks_of_unit(s), end = lun_blocks(s->lun);
    CHECK_RUNS(s, 0, {0, end, DEALLOCATED});
    write_data(s);
    CHECK_RUNS(s, 0, {0, 2048, DEALLOCATED}, {2048, 2048, MAPPED}, {4096, 2048, DEALLOCATED},
               {6144, 2048, MAPPED}, {8192, 2048, DEALLOCATED}, {10240, unit, MAPPED},
               {10240 + unit, end - 10240 - unit, DEALLOCATED});
    CHECK_RUNS(s, 10240 + unit, {10240 + unit, end - 10240 - unit, DEALLOCATED});
    CHECK_RUNS(s, end - 1, {end - 1, 1, DEALLOCATED});
}

/* The first descriptor begins with the block asked for, wherever that lies in its unit. */
static void start_within_a_unit(void **state)
{
    Scsi *s = *state;
    Run runs[2];
    write_data(s);
    for (uint64_t skip = 1; skip < 10; skip++) {
        assert_int_equal(get_runs(s, 2048 + skip, runs, 2), 2);
        assert_true(runs[0].lba == 2048 + skip && runs[0].blocks == 2048 - skip);
        assert_int_equal(runs[0].status, MAPPED);
        assert_true(runs[1].lba == 4096 && runs[1].status == DEALLOCATED);
        assert_int_equal(get_runs(s, 2048 - skip, runs, 1), 1);
        assert_true(runs[0].lba == 2048 - skip && runs[0].blocks == skip);
        assert_int_equal(runs[0].status, DEALLOCATED);
    }
}

static void unmapped_blocks_are_deallocated(void **state)
{
    Scsi *s = *state;
    uint64_t unit = blocks_of_unit(s);
    uint8_t list[24] = {0, 22, 0, 16};
    write_data(s);
    put_be64(list + 8, 2048 + unit);
    put_be32(list + 16, (uint32_t)unit);
    expect_out(s->nexus, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), list, 24, 0);
    put_be64(list + 8, 6144 + 1); /* no unit as a whole */
    put_be32(list + 16, (uint32_t)unit);
    expect_out(s->nexus, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), list, 24, 0);
    Run runs[6];
    assert_int_equal(get_runs(s, 2048, runs, 6), 6);
    assert_true(runs[0].blocks == unit && runs[0].status == MAPPED);
    assert_true(runs[1].blocks == unit && runs[1].status == DEALLOCATED);
    assert_true(runs[2].blocks == 2048 - 2 * unit && runs[2].status == MAPPED);
    assert_true(runs[4].lba == 6144 && runs[4].blocks == 2048 && runs[4].status == MAPPED);
}

static void allocation_lengths(void **state)
{
    Scsi *s = *state;
    static const struct {
        uint32_t allocation, room, told, sent;
    } cases[] = {{0, 64, 20, 0},     {4, 64, 20, 4},   {23, 64, 20, 23}, {24, 64, 20, 24},
                 {39, 64, 20, 24},   {40, 64, 36, 40}, {56, 10, 52, 10}, {24, 0, 20, 0},
                 {4096, 4096, 0, 0}, {~0u, 4096, 0, 0}};
    write_data(s);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Cmd *cmd = get_lba_status(s, 0, cases[i].allocation, cases[i].room);
        uint32_t all = 8 + 16 * 7;
        assert_int_equal(cmd_sense(cmd), 0);
        assert_int_equal(cmd->in->len, cases[i].told ? cases[i].sent : all);
        assert_int_equal(cmd->task.data_in_wanted,
                         MIN(cases[i].allocation, cases[i].told ? cases[i].told + 4 : all));
        if (cmd->in->len >= 4)
            assert_int_equal(get_be32(cmd->in->data), cases[i].told ? cases[i].told : all - 4);
        cmd_free(cmd);
    }
}

static void refused(void **state)
{
    Scsi *s = *state;
    const uint64_t beyond[] = {lun_blocks(s->lun), lun_blocks(s->lun) + 1, UINT64_C(1) << 55,
                               UINT64_C(1) << 63, UINT64_MAX};
    for (unsigned i = 0; i < G_N_ELEMENTS(beyond); i++) {
        Cmd *cmd = get_lba_status(s, beyond[i], 24, 24);
        assert_int_equal(cmd_sense(cmd), SENSE_LBA_OUT_OF_RANGE);
        assert_int_equal(cmd->in->len, 0);
        cmd_free(cmd);
    }
    expect(s->nexus, CDB(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 1, 0), 24,
           SENSE_INVALID_FIELD_IN_CDB);
}

/* --- other stores ----------------------------------------------------------------------------- */

static void null_of_3_tib(LunSpec *spec)
{
    spec->path = NULL;
    spec->engine = aio_engine_find("null");
    spec->size = UINT64_C(3) << 40;
}

static void null_is_mapped(void **state)
{
    (void)state;
    Scsi *s = scsi_new(null_of_3_tib);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    uint64_t end = lun_blocks(s->lun);
    CHECK_RUNS(s, 0, {0, UINT32_MAX, MAPPED}, {UINT32_MAX, end - UINT32_MAX, MAPPED});
    CHECK_RUNS(s, end - 7, {end - 7, 7, MAPPED});
    scsi_free(s);
}

static const uint64_t *seek_edges; /* where data and holes begin by turns, data first; 0-ended */
static int64_t seek_error;
static unsigned seek_calls;

static int64_t scripted_seek(int fd, uint64_t offset, int whence)
{
    bool data = whence == SEEK_DATA;
    (void)fd;
    seek_calls++;
    if (seek_error)
        return seek_error;
    if (whence == SEEK_END)
        return 64 * MIB;
    if (!seek_edges) /* each kind for a block */
        return (int64_t)(offset / BLOCK % 2 == !data ? offset : (offset / BLOCK + 1) * BLOCK);
    for (unsigned i = 0; i == 0 || seek_edges[i]; i++) {
        bool begins_data = i % 2 == 0;
        uint64_t next = seek_edges[i + 1] ? seek_edges[i + 1] : 64 * MIB;
        if (offset < next && begins_data == data)
            return (int64_t)MAX(offset, seek_edges[i]);
    }
    return data ? -ENXIO : 64 * MIB;
}

static AioSys real_sys;

static int setup_scripted(void **state)
{
    real_sys = aio_sys;
    aio_sys.seek = scripted_seek;
    seek_edges = NULL;
    seek_error = 0;
    seek_calls = 0;
    return scsi_setup(state);
}

static int teardown_scripted(void **state)
{
    int res = scsi_teardown(state);
    aio_sys = real_sys;
    return res;
}

/* A unit of which any part is data is mapped, and one descriptor with its neighbour. */
static void finer_than_the_unit(void **state)
{
    Scsi *s = *state;
    uint64_t unit = blocks_of_unit(s), bytes = unit * BLOCK, end = lun_blocks(s->lun);
    const uint64_t edges[] = {0,
                              512,
                              2 * bytes + 512,
                              2 * bytes + 1024,
                              6 * bytes + 512,
                              6 * bytes + 1024,
                              7 * bytes + 512,
                              7 * bytes + 1024,
                              0,
                              0};
    seek_edges = edges;
    CHECK_RUNS(s, 0, {0, unit, MAPPED}, {unit, unit, DEALLOCATED}, {2 * unit, unit, MAPPED},
               {3 * unit, 3 * unit, DEALLOCATED}, {6 * unit, 2 * unit, MAPPED},
               {8 * unit, end - 8 * unit, DEALLOCATED});
    CHECK_RUNS(s, 7 * unit + 3, {7 * unit + 3, unit - 3, MAPPED},
               {8 * unit, end - 8 * unit, DEALLOCATED});
}

/* However little each answer tells, the store is not asked for ever. */
static void bounded_effort(void **state)
{
    Scsi *s = *state;
    Run runs[4];
    assert_int_equal(get_runs(s, 0, runs, 4), 1);
    assert_int_equal(runs[0].status, MAPPED);
    assert_true(runs[0].blocks >= 64 && runs[0].blocks < lun_blocks(s->lun));
    assert_true(seek_calls <= 1000);
}

static void without_holes_all_is_mapped(void **state)
{
    Scsi *s = *state;
    seek_error = -EINVAL;
    CHECK_RUNS(s, 100, {100, lun_blocks(s->lun) - 100, MAPPED});
    seek_error = -EIO;
    Cmd *cmd = get_lba_status(s, 0, 24, 24);
    assert_int_equal(cmd_sense(cmd), SENSE_READ_ERROR);
    assert_int_equal(cmd->in->len, 0);
    cmd_free(cmd);
}

#define TEST(fn)     cmocka_unit_test_setup_teardown(fn, scsi_setup, scsi_teardown)
#define SCRIPTED(fn) cmocka_unit_test_setup_teardown(fn, setup_scripted, teardown_scripted)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(holes_and_data),
        TEST(start_within_a_unit),
        TEST(unmapped_blocks_are_deallocated),
        TEST(allocation_lengths),
        TEST(refused),
        cmocka_unit_test(null_is_mapped),
        SCRIPTED(finer_than_the_unit),
        SCRIPTED(bounded_effort),
        SCRIPTED(without_holes_all_is_mapped),
    };
    return unit_run(tests);
}
