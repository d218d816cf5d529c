/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MODE SENSE and MODE SELECT: pages, controls, headers, what can be changed and what follows. */
#include "tests/unit/unit.h"

#include "tests/unit/scsi_fixture.h"

#include <string.h>

#define TUR CDB(0, 0, 0, 0, 0, 0)

static Cmd *sense_6(Scsi *s, uint8_t dbd, uint8_t page, uint8_t subpage)
{
    return cmd_run(s->nexus, CDB(0x1a, dbd, page, subpage, 255, 0), 255);
}

static void each_page(void **state)
{
    Scsi *s = *state;
    static const uint8_t pages[][3] = {{0x01, 0, 12}, {0x02, 0, 16}, {0x08, 0, 20},
                                       {0x0a, 0, 12}, {0x0a, 1, 32}, {0x1c, 0, 12}};
    unsigned total = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        Cmd *cmd = sense_6(s, 8, pages[i][0], pages[i][1]);
        assert_int_equal(cmd_sense(cmd), 0);
        assert_int_equal(cmd->in->len, 4 + pages[i][2]);
        assert_int_equal(cmd->in->data[0], cmd->in->len - 1);
        assert_int_equal(cmd->in->data[2], 0x10); /* DPOFUA, not write protected */
        assert_int_equal(cmd->in->data[4] & 0x3f, pages[i][0]);
        total += pages[i][2];
        cmd_free(cmd);
    }
    Cmd *cmd = sense_6(s, 8, 0x3f, 0xff);
    assert_int_equal(cmd->in->len, 4 + total);
    cmd_free(cmd);
    cmd = sense_6(s, 8, 0x3f, 0);
    assert_int_equal(cmd->in->len, 4 + total - 32);
    cmd_free(cmd);
    cmd = sense_6(s, 8, 0x0a, 0xff);
    assert_int_equal(cmd->in->len, 4 + 12 + 32);
    cmd_free(cmd);
    cmd = sense_6(s, 8, 0x3f, 1); /* reserved */
    assert_int_equal(cmd_sense(cmd), SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(get_be16(cmd->task.sense + 16), 3);
    cmd_free(cmd);
    cmd = sense_6(s, 8, 0x08, 1);
    assert_int_equal(cmd_sense(cmd), SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(get_be16(cmd->task.sense + 16), 3);
    cmd_free(cmd);
    cmd = sense_6(s, 8, 0x05, 0);
    assert_int_equal(cmd_sense(cmd), SENSE_INVALID_FIELD_IN_CDB);
    cmd_free(cmd);
    cmd = sense_6(s, 8, 0xc8, 0); /* saved values */
    assert_int_equal(cmd_sense(cmd), SENSE_SAVING_NOT_SUPPORTED);
    cmd_free(cmd);
}

static void page_controls(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = sense_6(s, 8, 0x08, 0);
    assert_int_equal(cmd->in->data[4 + 2], 0x04); /* WCE */
    cmd_free(cmd);
    cmd = sense_6(s, 8, 0x48, 0);
    static const uint8_t changeable[20] = {0x08, 0x12, 0x04};
    assert_memory_equal(cmd->in->data + 4, changeable, 20);
    cmd_free(cmd);
    cmd = sense_6(s, 8, 0x88, 0);
    assert_int_equal(cmd->in->data[4 + 2], 0x04);
    cmd_free(cmd);
}

static void block_descriptors(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = sense_6(s, 0, 0x08, 0);
    assert_int_equal(cmd->in->data[3], 8);
    assert_int_equal(get_be32(cmd->in->data + 4), 64 * MIB / 512);
    assert_int_equal(get_be24(cmd->in->data + 9), 512);
    cmd_free(cmd);
    cmd = cmd_run(s->nexus, CDB(0x5a, 0x10, 8, 0, 0, 0, 0, 1, 0, 0), 256); /* LLBAA */
    assert_int_equal(get_be16(cmd->in->data), cmd->in->len - 2);
    assert_int_equal(cmd->in->data[4], 1);
    assert_int_equal(get_be16(cmd->in->data + 6), 16);
    assert_true(get_be64(cmd->in->data + 8) == 64 * MIB / 512);
    assert_int_equal(get_be32(cmd->in->data + 20), 512);
    cmd_free(cmd);
}

static SenseCode select_6(Nexus *nexus, const uint8_t *list, uint8_t len)
{
    Cmd *cmd = cmd_run_out(nexus, CDB(0x15, 0x10, 0, 0, len, 0), list, len);
    SenseCode sense = cmd_sense(cmd);
    cmd_free(cmd);
    return sense;
}

static void write_cache_off_and_on(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    uint8_t list[24] = {0, 0, 0, 0, 0x08, 0x12};
    assert_int_equal(select_6(s->nexus, list, sizeof list), 0);
    assert_false(lun_write_cache(s->lun));
    expect(s->nexus, TUR, 0, 0);
    expect(other, TUR, 0, SENSE_MODE_PARAMETERS_CHANGED);
    assert_int_equal(select_6(s->nexus, list, sizeof list), 0); /* nothing changes by it */
    expect(other, TUR, 0, 0);
    list[6] = 0x04;
    assert_int_equal(select_6(s->nexus, list, sizeof list), 0);
    assert_true(lun_write_cache(s->lun));
    scsi_close_nexus(other);
}

static void descriptor_sense(void **state)
{
    Scsi *s = *state;
    uint8_t list[8 + 12] = {0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0x0a, 0x26, 0x10};
    expect_out(s->nexus, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, sizeof list, 0), list, sizeof list, 0);
    Cmd *cmd = cmd_run(s->nexus, CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0), 512);
    assert_int_equal(cmd->task.sense[0], 0x72);
    assert_int_equal(cmd_sense(cmd), SENSE_LBA_OUT_OF_RANGE);
    cmd_free(cmd);
}

static void software_write_protect(void **state)
{
    Scsi *s = *state;
    static const uint8_t block[512];
    uint8_t list[4 + 12] = {0, 0, 0, 0, 0x0a, 0x0a, 0x22, 0x10, 0x08};
    assert_int_equal(select_6(s->nexus, list, sizeof list), 0);
    expect_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512, SENSE_WRITE_PROTECTED);
    expect(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), 512, 0);
    Cmd *cmd = sense_6(s, 8, 0x0a, 0);
    assert_int_equal(cmd->in->data[2], 0x90);
    cmd_free(cmd);
    list[8] = 0;
    assert_int_equal(select_6(s->nexus, list, sizeof list), 0);
    expect_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512, 0);
}

/* What MODE SENSE gives, MODE SELECT takes. */
static void round_trip(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = sense_6(s, 0, 0x3f, 0xff);
    cmd->in->data[0] = 0;
    assert_int_equal(select_6(s->nexus, cmd->in->data, (uint8_t)cmd->in->len), 0);
    cmd_free(cmd);
}

static void bad_lists_change_nothing(void **state)
{
    Scsi *s = *state;
    static const struct {
        uint8_t len;
        SenseCode sense;
        uint8_t list[48];
    } cases[] = {
        {3, SENSE_PARAMETER_LIST_LENGTH_ERROR, {0}},
        {5, SENSE_PARAMETER_LIST_LENGTH_ERROR, {0, 0, 0, 0, 8}},
        {23, SENSE_PARAMETER_LIST_LENGTH_ERROR, {0, 0, 0, 0, 8, 0x12}},
        {24, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 0, 8, 0x11}},
        {24, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 0, 0x88, 0x12}}, /* PS */
        {24, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 0, 8, 0x12, 1}}, /* RCD */
        {24, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 0, 5, 0x12}},
        {12, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 2, 0}},
        {12, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 4, 0}},
        {12, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 7}},
        /* a good page before a bad one */
        {26, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 0, 8, 0x12, [24] = 0x05, 0}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_int_equal(select_6(s->nexus, cases[i].list, cases[i].len), cases[i].sense);
        assert_true(lun_write_cache(s->lun));
    }
    expect(s->nexus, CDB(0x15, 0x00, 0, 0, 4, 0), 0, SENSE_INVALID_FIELD_IN_CDB); /* PF */
    expect(s->nexus, CDB(0x15, 0x11, 0, 0, 4, 0), 0, SENSE_INVALID_FIELD_IN_CDB); /* SP */
    expect(s->nexus, CDB(0x15, 0x10, 0, 0, 0, 0), 0, 0);
    expect(s->nexus, CDB(0x15, 0x10, 0, 0, 24, 0), 0, SENSE_PARAMETER_LIST_LENGTH_ERROR);
}

static void list_as_immediate_data(void **state)
{
    Scsi *s = *state;
    uint8_t list[24] = {0, 0, 0, 0, 0x08, 0x12};
    Cmd *cmd = cmd_new(s->nexus, CDB(0x15, 0x10, 0, 0, 24, 0));
    cmd->out = list;
    cmd->task.data_out_len = 24;
    cmd->task.immediate = list;
    cmd->task.immediate_len = 10;
    cmd_submit(cmd);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), 0);
    assert_false(lun_write_cache(s->lun));
    cmd_free(cmd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scsi_setup, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_page),
        TEST(page_controls),
        TEST(block_descriptors),
        TEST(write_cache_off_and_on),
        TEST(descriptor_sense),
        TEST(software_write_protect),
        TEST(round_trip),
        TEST(bad_lists_change_nothing),
        TEST(list_as_immediate_data),
    };
    return unit_run(tests);
}
