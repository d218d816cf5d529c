/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EXTENDED COPY within and between LUNs, what it refuses, and what RECEIVE COPY RESULTS tells. */
#include "tests/unit/unit.h"

#include "core/scsi/copy_results.h"
#include "core/scsi/directory.h"
#include "tests/unit/copy_fixture.h"

#include <string.h>

enum { BLOCK = 512, OWN = COPY_MANAGER_LUN_ID };

static int setup(void **state)
{
    *state = copy_rig_new(NULL);
    return 0;
}

static void mix_block_sizes(LunSpec *spec)
{
    spec->block_size = spec->number == 1 ? 4096 : 512;
}

static int setup_mixed(void **state)
{
    *state = copy_rig_new(mix_block_sizes);
    return 0;
}

static void short_serials(LunSpec *spec)
{
    static const char *const serials[] = {"short0", "short1"};
    spec->serial = serials[spec->number];
}

static int setup_serials(void **state)
{
    *state = copy_rig_new(short_serials);
    return 0;
}

static int teardown(void **state)
{
    copy_rig_free(*state);
    return 0;
}

/* One segment from LUN 0 to `to`, both by NAA. */
static List *list_to(const CopyRig *rig, const Lun *to, unsigned blocks)
{
    List *list = list_new();
    list_add_cscd(list, rig->s->lun);
    list_add_cscd(list, to);
    list_add_segment(list, 0, 1, 0, 0, blocks);
    return list;
}

/* --- copying ---------------------------------------------------------------------------------- */

static void within_a_lun(void **state)
{
    const CopyRig *rig = *state;
    const Lun *lun = rig->s->lun;
    static const unsigned counts[] = {1, 8, 512, 513, 2048, 60000};
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        size_t len = (size_t)counts[i] * BLOCK;
        uint8_t seed = (uint8_t)(i + 1);
        g_autofree List *list = list_new();
        list_add_cscd(list, lun);
        list_add_segment(list, 0, 0, 3, 65539, counts[i]);
        lun_fill(lun, 0xee, 65538 * BLOCK, BLOCK);
        lun_fill(lun, 0xee, 65539 * BLOCK + len, BLOCK);
        lun_fill(lun, seed, 3 * BLOCK, len);
        assert_int_equal(copy_run(rig->s->nexus, list), 0);
        lun_check(lun, seed, 65539 * BLOCK, len);
        lun_check(lun, 0xee, 65538 * BLOCK, BLOCK);
        lun_check(lun, 0xee, 65539 * BLOCK + len, BLOCK);
    }
}

/* As if everything were read before anything is written. */
static void ranges_that_overlap(void **state)
{
    const CopyRig *rig = *state;
    const Lun *lun = rig->s->lun;
    static const struct {
        unsigned from, to, blocks;
    } cases[] = {{8, 0, 4096}, {0, 8, 4096}, {0, 511, 4096}, {700, 0, 4096},
                 {0, 0, 600},  {0, 1, 2},    {100, 612, 513}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t len = cases[i].blocks * BLOCK;
        g_autofree List *list = list_new();
        list_add_segment(list, OWN, OWN, cases[i].from, cases[i].to, cases[i].blocks);
        lun_fill(lun, (uint8_t)(0x10 + i), (uint64_t)cases[i].from * BLOCK, len);
        assert_int_equal(copy_run(rig->s->nexus, list), 0);
        lun_check(lun, (uint8_t)(0x10 + i), (uint64_t)cases[i].to * BLOCK, len);
    }
}

static void between_luns(void **state)
{
    const CopyRig *rig = *state;
    g_autofree List *list = list_to(rig, rig->second, 5000);
    list_add_segment(list, 1, 0, 4000, 100000, 1000); /* sees what the first has written */
    lun_fill(rig->s->lun, 1, 0, 5000 * BLOCK);
    assert_int_equal(copy_run(rig->s->nexus, list), 0);
    lun_check(rig->second, 1, 0, 5000 * BLOCK);
    g_autofree uint8_t *copied = g_malloc(1000 * BLOCK), *original = g_malloc(1000 * BLOCK);
    scsi_file_read(rig->s, copied, 1000 * BLOCK, 100000 * BLOCK);
    scsi_file_read(rig->s, original, 1000 * BLOCK, 4000 * BLOCK);
    assert_memory_equal(copied, original, 1000 * BLOCK);
}

/* Only whom the other target has admitted reaches it from here, and only where names are trusted.
 */
static void to_another_target(void **state)
{
    const CopyRig *rig = *state;
    Scsi *s = rig->s;
    g_autofree List *list = list_to(rig, rig->foreign, 100);
    directory_between_targets = true;
    lun_fill(s->lun, 1, 0, 100 * BLOCK);
    assert_int_equal(copy_run(s->nexus, list), SENSE_COPY_TARGET_NOT_REACHABLE);
    Nexus *stranger = nexus_new(rig->elsewhere, s->loop, s->memory, "iqn.stranger", NULL, 0);
    expect(stranger, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    assert_int_equal(copy_run(s->nexus, list), SENSE_COPY_TARGET_NOT_REACHABLE);
    Nexus *same = nexus_new(rig->elsewhere, s->loop, s->memory, nexus_initiator(s->nexus), NULL, 0);
    expect(same, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    directory_between_targets = false;
    assert_int_equal(copy_run(s->nexus, list), SENSE_COPY_TARGET_NOT_REACHABLE);
    directory_between_targets = true;
    assert_int_equal(copy_run(s->nexus, list), 0);
    lun_check(rig->foreign, 1, 0, 100 * BLOCK);
    scsi_close_nexus(stranger);
    scsi_close_nexus(same);
    assert_int_equal(copy_run(s->nexus, list), SENSE_COPY_TARGET_NOT_REACHABLE);
    directory_between_targets = false;
}

static void blocks_of_different_sizes(void **state)
{
    const CopyRig *rig = *state;
    g_autofree List *whole = list_to(rig, rig->second, 16),
                    *inexact = list_to(rig, rig->second, 15);
    lun_fill(rig->s->lun, 5, 0, 8192);
    assert_int_equal(copy_run(rig->s->nexus, inexact), SENSE_UNEXPECTED_INEXACT_SEGMENT);
    assert_int_equal(copy_run(rig->s->nexus, whole), 0);
    lun_check(rig->second, 5, 0, 8192);
    /* DC: 3 blocks of the destination, from block 8 to block 4 of 4 KiB */
    g_autofree List *list = list_new();
    list_add_cscd(list, rig->second);
    list_add_segment(list, OWN, 0, 8, 4, 3)[1] = 0x02;
    lun_fill(rig->s->lun, 6, 4096, 3 * 4096);
    assert_int_equal(copy_run(rig->s->nexus, list), 0);
    lun_check(rig->second, 6, 4 * 4096, 3 * 4096);
}

static void by_vendor_designator(void **state)
{
    const CopyRig *rig = *state;
    static const uint8_t id[] = "RTGT    short1";
    g_autofree List *list = list_new();
    uint8_t *cscd = list_add_cscd(list, rig->second);
    cscd[4] = 2; /* ASCII */
    cscd[5] = 1; /* T10 vendor ID */
    cscd[7] = sizeof id - 1;
    memcpy(cscd + 8, id, sizeof id - 1);
    list_add_segment(list, OWN, 0, 0, 0, 10);
    lun_fill(rig->s->lun, 3, 0, 10 * BLOCK);
    assert_int_equal(copy_run(rig->s->nexus, list), 0);
    lun_check(rig->second, 3, 0, 10 * BLOCK);
    cscd[7]--; /* a prefix is another designator */
    assert_int_equal(copy_run(rig->s->nexus, list), SENSE_COPY_TARGET_NOT_REACHABLE);
}

static void nothing_to_copy(void **state)
{
    const CopyRig *rig = *state;
    g_autofree List *list = list_new(), *empty = list_new();
    assert_int_equal(copy_run(rig->s->nexus, empty), 0);
    expect(rig->s->nexus, CDB(0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0);
    list_add_cscd(list, rig->second);
    lun_fill(rig->s->lun, 1, 0, BLOCK);
    for (unsigned i = 0; i < COPY_SEGMENTS_MAX - 1; i++)
        list_add_segment(list, OWN, 0, 0, 0, 0);
    list_add_segment(list, OWN, 0, 0, 0, 1);
    assert_int_equal(copy_run(rig->s->nexus, list), 0);
    lun_check(rig->second, 1, 0, BLOCK);
}

/* A session that may hold little gets on with what it has. */
static void little_memory(void **state)
{
    const CopyRig *rig = *state;
    Scsi *s = rig->s;
    Memory *small = memory_new(s->arena, 300 * 1024, &s->loop, 1);
    Nexus *nexus = nexus_new(s->target, s->loop, small, "unit", NULL, 0);
    expect(nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    g_autofree List *list = list_to(rig, rig->second, 16384);
    lun_fill(s->lun, 9, 0, 8 * MIB);
    list->data[1] = COPY_ID_NONE << 3;
    list->data[0] = 0;
    Cmd *cmds[3];
    for (unsigned i = 0; i < G_N_ELEMENTS(cmds); i++)
        cmds[i] = copy_start(nexus, list);
    MemoryStats stats;
    memory_get_stats(small, &stats);
    assert_true(stats.admitted <= stats.limit);
    for (unsigned i = 0; i < G_N_ELEMENTS(cmds); i++) {
        cmd_wait(cmds[i]);
        assert_int_equal(cmd_sense(cmds[i]), 0);
        cmd_free(cmds[i]);
    }
    memory_get_stats(small, &stats);
    assert_true(stats.waits > 0);
    assert_int_equal(stats.admitted, 0);
    lun_check(rig->second, 9, 0, 8 * MIB);
    scsi_close_nexus(nexus);
    memory_free(small);
}

/* --- what is refused -------------------------------------------------------------------------- */

static void unreachable(void **state)
{
    const CopyRig *rig = *state;
    static const struct {
        unsigned byte;
        uint8_t value;
        SenseCode sense;
    } cases[] = {
        {1, 0x20, SENSE_COPY_TARGET_NOT_REACHABLE}, /* NUL */
        {15, 0, SENSE_COPY_TARGET_NOT_REACHABLE},   /* another NAA */
        {4, 2, SENSE_COPY_TARGET_NOT_REACHABLE},    /* in ASCII */
        {5, 0x13, SENSE_COPY_TARGET_NOT_REACHABLE}, /* of a port */
        {5, 0x02, SENSE_COPY_TARGET_NOT_REACHABLE}, /* EUI-64 */
        {7, 0, SENSE_COPY_TARGET_NOT_REACHABLE},
        {1, 0x01, SENSE_INCORRECT_COPY_TARGET_TYPE},  /* a tape */
        {30, 0x10, SENSE_COPY_ABORTED_INVALID_FIELD}, /* 4 KiB blocks */
        {3, 1, 0},                                    /* any port will do */
        {1, 0x80, 0},                                 /* LU ID TYPE means nothing */
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree List *list = list_new();
        uint8_t *cscd = list_add_cscd(list, rig->second);
        if (cases[i].byte == 15)
            cscd[15]++;
        else
            cscd[cases[i].byte] = cases[i].value;
        list_add_segment(list, OWN, 0, 0, 0, 1);
        assert_int_equal(copy_run(rig->s->nexus, list), cases[i].sense);
    }
    for (unsigned id = 1; id < OWN; id = id * 2 + 1) {
        g_autofree List *list = list_new();
        list_add_cscd(list, rig->second);
        list_add_segment(list, 0, id, 0, 0, 1);
        assert_int_equal(copy_run(rig->s->nexus, list), SENSE_UNREACHABLE_COPY_TARGET);
    }
}

static void beyond_the_end(void **state)
{
    const CopyRig *rig = *state;
    uint64_t total = lun_blocks(rig->s->lun);
    const struct {
        uint64_t from, to;
        unsigned blocks;
        uint8_t pointer; /* which byte of COMMAND-SPECIFIC INFORMATION points to sense data */
    } cases[] = {{total - 1, 0, 2, 8},  {0, total - 1, 2, 9},      {total + 1, 0, 0, 8},
                 {UINT64_MAX, 0, 1, 8}, {0, UINT64_MAX - 1, 3, 9}, {UINT64_MAX / BLOCK, 0, 1, 8}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree List *list = list_new();
        list_add_cscd(list, rig->second);
        list_add_segment(list, OWN, 0, total, total, 0);
        list_add_segment(list, OWN, 0, cases[i].from, cases[i].to, cases[i].blocks);
        Cmd *cmd = copy_start(rig->s->nexus, list);
        cmd_wait(cmd);
        assert_int_equal(cmd_sense(cmd), SENSE_COPY_ABORTED);
        const uint8_t *sense = cmd->task.sense;
        assert_int_equal(sense[0], 0x70);          /* nothing was written: no residue */
        assert_int_equal(get_be16(sense + 10), 1); /* the second segment */
        assert_int_equal(sense[cases[i].pointer], 18);
        assert_int_equal(sense[7] + 8u, cmd->task.sense_len);
        assert_int_equal(sense[18], SCSI_CHECK_CONDITION);
        assert_int_equal(sense[19 + 2], 0x05);
        assert_int_equal(sense[19 + 12], 0x21);
        cmd_free(cmd);
    }
}

/* Of the LUN that the command goes to: what counts is whether it is written to. */
static void write_protection(void **state)
{
    const CopyRig *rig = *state;
    Nexus *nexus = rig->s->nexus;
    static const uint8_t swp[4 + 12] = {0, 0, 0, 0, 0x0a, 0x0a, 0x22, 0x10, 0x08};
    g_autofree List *from = list_to(rig, rig->second, 8), *to = list_new();
    list_add_cscd(to, rig->second);
    list_add_segment(to, 0, OWN, 0, 0, 8);
    lun_fill(rig->s->lun, 1, 0, 8 * BLOCK);
    lun_fill(rig->second, 2, 0, 8 * BLOCK);
    expect_out(nexus, CDB(0x15, 0x10, 0, 0, sizeof swp, 0), swp, sizeof swp, 0);
    Cmd *cmd = copy_start(nexus, to);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), SENSE_THIRD_PARTY_DEVICE_FAILURE);
    assert_int_equal(cmd->task.sense[9], 18);
    assert_int_equal(cmd->task.sense[19 + 2], 0x07);
    cmd_free(cmd);
    lun_check(rig->s->lun, 1, 0, 8 * BLOCK);
    assert_int_equal(copy_run(nexus, from), 0);
    lun_check(rig->second, 1, 0, 8 * BLOCK);
}

static void bad_lists(void **state)
{
    const CopyRig *rig = *state;
    g_autofree List *list = list_to(rig, rig->second, 1);
    list->data[15] = 1;
    assert_int_equal(copy_run(rig->s->nexus, list), SENSE_INLINE_DATA_LENGTH_EXCEEDED);
    /* the CDB promises more than there is room for, the list does not fill it */
    uint8_t cdb[16] = {0x83};
    put_be32(cdb + 10, UINT32_MAX);
    list->data[15] = 0;
    expect_out(rig->s->nexus, cdb, 16, list->data, sizeof list->data, 0);
    expect_out(rig->s->nexus, cdb, 16, list->data, 20, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    expect(rig->s->nexus, cdb, 16, 0, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    cdb[5] = 1;
    expect(rig->s->nexus, cdb, 16, 0, SENSE_INVALID_FIELD_IN_CDB);
}

/* --- RECEIVE COPY RESULTS --------------------------------------------------------------------- */

static void expect_unknown(Nexus *nexus, uint8_t list_id)
{
    static const uint8_t actions[] = {0, 1, 4};
    for (unsigned i = 0; i < G_N_ELEMENTS(actions); i++)
        expect(nexus, CDB(0x84, actions[i], list_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0), 512,
               SENSE_INVALID_FIELD_IN_CDB);
}

static void results_of_a_good_copy(void **state)
{
    const CopyRig *rig = *state;
    Nexus *nexus = rig->s->nexus;
    g_autofree List *list = list_to(rig, rig->second, 1000);
    expect_unknown(nexus, 1);
    assert_int_equal(copy_run(nexus, list), 0);
    Cmd *cmd = copy_results(nexus, 0, 1);
    assert_int_equal(cmd->in->len, 12);
    assert_int_equal(cmd->in->data[4], 1);
    assert_int_equal(get_be16(cmd->in->data + 5), 1);
    assert_int_equal(cmd->in->data[7], 0);
    assert_int_equal(get_be32(cmd->in->data + 8), 1000 * BLOCK);
    cmd_free(cmd);
    for (uint8_t action = 1; action <= 4; action += 3) {
        cmd = copy_results(nexus, action, 1);
        assert_int_equal(cmd->in->len, 4);
        cmd_free(cmd);
    }
    Nexus *other = scsi_nexus(rig->s);
    expect(other, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    expect_unknown(other, 1); /* an identifier is its nexus's */
    scsi_close_nexus(other);
}

static void results_of_a_failed_copy(void **state)
{
    const CopyRig *rig = *state;
    Nexus *nexus = rig->s->nexus;
    g_autofree List *list = list_to(rig, rig->second, 8);
    list_add_segment(list, 0, 5, 0, 0, 8);
    assert_int_equal(copy_run(nexus, list), SENSE_UNREACHABLE_COPY_TARGET);
    Cmd *cmd = copy_results(nexus, 0, 1);
    assert_int_equal(cmd->in->data[4], 2);
    assert_int_equal(get_be16(cmd->in->data + 5), 2);
    assert_int_equal(get_be32(cmd->in->data + 8), 8 * BLOCK);
    cmd_free(cmd);
    cmd = copy_results(nexus, 4, 1);
    assert_int_equal(cmd->in->len, 60 + 18);
    assert_int_equal(cmd->in->data[56], SCSI_CHECK_CONDITION);
    assert_int_equal(get_be16(cmd->in->data + 58), 18);
    assert_int_equal(cmd->in->data[60 + 2], 0x0a);
    assert_int_equal(cmd->in->data[60 + 12], 0x08);
    cmd_free(cmd);
}

static void what_is_held(void **state)
{
    const CopyRig *rig = *state;
    Nexus *nexus = rig->s->nexus;
    g_autofree List *list = list_to(rig, rig->second, 1);
    list->data[1] = COPY_ID_DISCARD << 3;
    assert_int_equal(copy_run(nexus, list), 0);
    expect_unknown(nexus, 1);
    list->data[1] = 0;
    for (unsigned id = 0; id < 2 * COPY_RESULTS_MAX; id++) {
        list->data[0] = (uint8_t)id;
        assert_int_equal(copy_run(nexus, list), 0);
        assert_int_equal(copy_run(nexus, list), 0); /* takes the place of the first */
    }
    expect_unknown(nexus, COPY_RESULTS_MAX - 1);
    cmd_free(copy_results(nexus, 0, COPY_RESULTS_MAX));
    cmd_free(copy_results(nexus, 0, 2 * COPY_RESULTS_MAX - 1));
}

static void operating_parameters(void **state)
{
    const CopyRig *rig = *state;
    Cmd *cmd = copy_results(rig->s->nexus, 3, 0);
    const uint8_t *p = cmd->in->data;
    assert_int_equal(cmd->in->len, 46);
    assert_int_equal(p[4], 1);
    assert_int_equal(get_be16(p + 8), COPY_CSCDS_MAX);
    assert_int_equal(get_be16(p + 10), COPY_SEGMENTS_MAX);
    assert_int_equal(get_be32(p + 12), COPY_LIST_LEN_MAX - COPY_HEADER_LEN);
    assert_int_equal(p[37], 9);
    assert_int_equal(p[43], 2);
    assert_int_equal(p[44], 0x02);
    assert_int_equal(p[45], 0xe4);
    cmd_free(cmd);
}

/* The descriptors of VPD page 8Fh fill it exactly, in ascending order. */
static void third_party_copy_page(void **state)
{
    const CopyRig *rig = *state;
    Cmd *cmd = cmd_run(rig->s->nexus, CDB(0x12, 1, 0x8f, 2, 0, 0), 512);
    static const uint16_t types[] = {0x0001, 0x0004, 0x0008, 0x000c, 0x8001, 0xc001};
    unsigned at = 4;
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        const uint8_t *d = cmd->in->data + at;
        assert_true(at + 4 <= cmd->in->len);
        assert_int_equal(get_be16(d), types[i]);
        assert_int_equal(get_be16(d + 2) % 4, 0);
        at += 4 + get_be16(d + 2);
    }
    assert_int_equal(at, cmd->in->len);
    cmd_free(cmd);
    cmd = cmd_run(rig->s->nexus, CDB(0x12, 0, 0, 0, 96, 0), 96);
    assert_int_equal(cmd->in->data[5] & 0x08, 0x08); /* 3PC */
    cmd_free(cmd);
}

#define TEST(name)         cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_ON(rig, name) cmocka_unit_test_setup_teardown(name, setup_##rig, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(within_a_lun),
        TEST(ranges_that_overlap),
        TEST(between_luns),
        TEST(to_another_target),
        TEST_ON(mixed, blocks_of_different_sizes),
        TEST_ON(serials, by_vendor_designator),
        TEST(nothing_to_copy),
        TEST(little_memory),
        TEST(unreachable),
        TEST(beyond_the_end),
        TEST(write_protection),
        TEST(bad_lists),
        TEST(results_of_a_good_copy),
        TEST(results_of_a_failed_copy),
        TEST(what_is_held),
        TEST(operating_parameters),
        TEST(third_party_copy_page),
    };
    return unit_run(tests);
}
