/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a LUN and a target tell of themselves: INQUIRY, capacity, LUNs, supported commands. */
#include "tests/unit/unit.h"

#include "core/scsi/command.h"
#include "tests/unit/scsi_fixture.h"

#include <string.h>

static Cmd *inquiry(Scsi *s, uint8_t page, uint16_t allocation)
{
    return cmd_run(s->nexus, CDB(0x12, 1, page, allocation >> 8, allocation & 0xff, 0), 4096);
}

static void standard(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_run(s->nexus, CDB(0x12, 0, 0, 0, 255, 0), 255);
    const uint8_t *p = cmd->in->data;
    assert_int_equal(cmd->in->len, 96);
    assert_int_equal(p[0], 0);
    assert_int_equal(p[2], 6);
    assert_int_equal(p[3] & 0x0f, 2);
    assert_int_equal(p[4], 91);
    assert_memory_equal(p + 8, "RTGT    DISK            ", 24);
    assert_int_equal(get_be16(p + 60), 0x0460);
    assert_int_equal(get_be16(p + 62), 0x04c0);
    assert_int_equal(cmd->task.data_in_wanted, 96);
    cmd_free(cmd);
    expect(s->nexus, CDB(0x12, 0, 0x83, 0, 255, 0), 255, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x12, 1, 0x55, 0, 255, 0), 255, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x12, 2, 0, 0, 255, 0), 255, SENSE_INVALID_FIELD_IN_CDB);
}

/* The allocation length, then the initiator's room, cut what is sent; the residual is of both. */
static void allocation_length(void **state)
{
    Scsi *s = *state;
    static const struct {
        uint8_t allocation;
        uint32_t room, sent, wanted;
    } cases[] = {{0, 96, 0, 0}, {5, 96, 5, 5}, {36, 20, 20, 36}, {255, 0, 0, 96}, {96, 96, 96, 96}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Cmd *cmd = cmd_run(s->nexus, CDB(0x12, 0, 0, 0, cases[i].allocation, 0), cases[i].room);
        assert_int_equal(cmd_sense(cmd), 0);
        assert_int_equal(cmd->in->len, cases[i].sent);
        assert_int_equal(cmd->task.data_in_wanted, cases[i].wanted);
        cmd_free(cmd);
    }
}

static void supported_pages_are_supported(void **state)
{
    Scsi *s = *state;
    Cmd *list = inquiry(s, 0, 255);
    static const uint8_t pages[] = {0x00, 0x80, 0x83, 0x86, 0x8f, 0xb0, 0xb1, 0xb2};
    assert_int_equal(get_be16(list->in->data + 2), sizeof pages);
    assert_memory_equal(list->in->data + 4, pages, sizeof pages);
    for (size_t i = 0; i < sizeof pages; i++) {
        Cmd *cmd = inquiry(s, pages[i], 4096);
        assert_int_equal(cmd_sense(cmd), 0);
        assert_int_equal(cmd->in->data[1], pages[i]);
        assert_int_equal(get_be16(cmd->in->data + 2) + 4, cmd->in->len);
        cmd_free(cmd);
    }
    cmd_free(list);
}

static void identity_is_stable(void **state)
{
    Scsi *s = *state;
    Cmd *serial = inquiry(s, 0x80, 255), *id = inquiry(s, 0x83, 255);
    const LunSpec *spec = lun_spec(s->lun);
    assert_int_equal(serial->in->len, 4 + 16);
    assert_memory_equal(serial->in->data + 4, spec->serial, 16);
    const uint8_t *p = id->in->data + 4;
    assert_int_equal(p[0], 1);
    assert_int_equal(p[1], 3);
    assert_true(get_be64(p + 4) == spec->naa);
    assert_true(spec->naa == 0x3b261185332e477d); /* for ever: initiators remember it */
    assert_string_equal(spec->serial, "b261185332e477d1");
    bool named = false;
    for (unsigned at = 4; at < id->in->len; at += 4 + id->in->data[at + 3]) {
        p = id->in->data + at;
        named |= p[1] == 0x28 && strcmp((const char *)p + 4, SCSI_NAME) == 0;
    }
    assert_true(named);
    cmd_free(serial);
    cmd_free(id);
}

static void limits(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = inquiry(s, 0xb0, 64);
    const uint8_t *p = cmd->in->data;
    assert_int_equal(get_be16(p + 2), 60);
    assert_int_equal(p[4], 1);            /* WSNZ */
    assert_int_equal(p[5], 255);          /* MAXIMUM COMPARE AND WRITE LENGTH */
    assert_int_equal(get_be32(p + 8), 0); /* no maximum transfer length */
    assert_true(lun_thin(s->lun));
    assert_int_equal(get_be32(p + 20), 1 << 20);
    assert_int_equal(get_be32(p + 24), 256);
    assert_true(get_be64(p + 36) > 0);
    cmd_free(cmd);
    cmd = inquiry(s, 0xb2, 64);
    assert_int_equal(cmd->in->data[5], 0xe4);
    assert_int_equal(cmd->in->data[6], 2);
    cmd_free(cmd);
}

static void capacity(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_run(s->nexus, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 8);
    assert_int_equal(get_be32(cmd->in->data), 64 * MIB / 512 - 1);
    assert_int_equal(get_be32(cmd->in->data + 4), 512);
    cmd_free(cmd);
    expect(s->nexus, CDB(0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0), 8, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x25, 0, 0, 0, 0, 1, 0, 0, 1, 0), 8, 0); /* PMI */
    cmd = cmd_run(s->nexus, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), 64);
    assert_int_equal(cmd->in->len, 32);
    assert_true(get_be64(cmd->in->data) == 64 * MIB / 512 - 1);
    assert_int_equal(cmd->in->data[13], 3);
    assert_int_equal(cmd->in->data[14], 0xc0);
    cmd_free(cmd);
}

static void small_physical_blocks(LunSpec *spec)
{
    spec->physical_block_size = 512;
}

static void physical_blocks_are_configured(void **state)
{
    (void)state;
    Scsi *s = scsi_new(small_physical_blocks);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    Cmd *cmd = cmd_run(s->nexus, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), 32);
    assert_int_equal(cmd->in->data[13], 0);
    cmd_free(cmd);
    cmd = inquiry(s, 0xb0, 64);
    assert_int_equal(get_be16(cmd->in->data + 6), 8); /* what is best stays 4 KiB */
    cmd_free(cmd);
    scsi_free(s);
}

static Cmd *report_luns(Nexus *nexus, uint8_t select, uint8_t allocation)
{
    return cmd_run(nexus, CDB(0xa0, 0, select, 0, 0, 0, 0, 0, 0, allocation, 0, 0), 255);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void luns_come_and_go(void **state)
{
    Scsi *s = *state;
    GError *error = NULL;
    Cmd *cmd = report_luns(s->nexus, 0, 8);
    assert_int_equal(cmd_sense(cmd), SENSE_INVALID_FIELD_IN_CDB);
    cmd_free(cmd);
    cmd = report_luns(s->nexus, 1, 64); /* well-known ones: none */
    assert_int_equal(get_be32(cmd->in->data), 0);
    cmd_free(cmd);

    LunSpec spec = s->spec;
    spec.number = 300;
    spec.path = NULL;
    spec.engine = aio_engine_find("null");
    Lun *lun = lun_new(&spec, s->memory, &s->loop, 1, &error);
    assert_non_null(lun);
    scsi_target_add_lun(s->target, lun);
    cmd = report_luns(s->nexus, 2, 64);
    assert_int_equal(get_be32(cmd->in->data), 16);
    assert_int_equal(get_be16(cmd->in->data + 16), 0x4000 | 300);
    cmd_free(cmd);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, 0); /* REPORT LUNS took the attention */

    cmd = cmd_new(s->nexus, CDB(0, 0, 0, 0, 0, 0));
    cmd->task.lun = scsi_lun_field(300);
    cmd_submit(cmd);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), SENSE_POWER_ON_RESET);
    cmd_free(cmd);

    bool removed = false, closed = false;
    scsi_target_remove_lun(s->target, lun, set_flag, &removed);
    wait_for(&removed);
    lun_close(lun, set_flag, &closed);
    wait_for(&closed);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_LUNS_CHANGED);
    cmd = cmd_new(s->nexus, CDB(0, 0, 0, 0, 0, 0));
    cmd->task.lun = scsi_lun_field(300);
    cmd_submit(cmd);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), SENSE_LUN_NOT_SUPPORTED);
    cmd_free(cmd);
}

static void resized_store(void **state)
{
    Scsi *s = *state;
    assert_false(lun_refresh_size(s->lun));
    scsi_file_write(s, "x", 1, 64 * MIB + 1023);
    assert_true(lun_refresh_size(s->lun));
    assert_int_equal(lun_blocks(s->lun), 64 * MIB / 512 + 2);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_CAPACITY_CHANGED);
}

static Cmd *report_opcodes(Scsi *s, uint8_t options, uint8_t opcode, uint8_t action)
{
    return cmd_run(s->nexus, CDB(0xa3, 0x0c, options, opcode, 0, action, 0, 0, 16, 0, 0, 0), 4096);
}

static void all_opcodes(void **state)
{
    Scsi *s = *state;
    const Command *offered[256];
    unsigned count = 0;
    for (unsigned i = 0; i < commands_count; i++)
        if (command_offered(&commands[i], s->lun))
            offered[count++] = &commands[i];
    assert_in_range(count, 1, commands_count - 1); /* no SANITIZE on a file with holes */
    for (unsigned rctd = 0; rctd < 2; rctd++) {
        Cmd *cmd = report_opcodes(s, rctd ? 0x80 : 0, 0, 0);
        unsigned size = rctd ? 20 : 8;
        const uint8_t *p = cmd->in->data + 4, *end = cmd->in->data + cmd->in->len;
        assert_int_equal(get_be32(cmd->in->data), end - p);
        for (unsigned i = 0; i < count; i++) {
            assert_true(p + size <= end);
            assert_int_equal(p[0], offered[i]->opcode);
            assert_int_equal(get_be16(p + 2), offered[i]->action);
            assert_int_equal(p[5], (rctd ? 2 : 0) | offered[i]->has_action);
            if (rctd)
                assert_int_equal(get_be16(p + 8), 10);
            p += size;
        }
        assert_true(p == end);
        cmd_free(cmd);
    }
}

static void one_opcode(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = report_opcodes(s, 1, 0x28, 0);
    static const uint8_t read_10[] = {0x28, 0x18, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0};
    assert_int_equal(cmd->in->data[1], 3);
    assert_int_equal(get_be16(cmd->in->data + 2), 10);
    assert_int_equal(cmd->in->len, 14);
    assert_memory_equal(cmd->in->data + 4, read_10, 10);
    cmd_free(cmd);
    cmd = report_opcodes(s, 0x82, 0x9e, 0x10);
    assert_int_equal(cmd->in->data[1], 0x83);
    assert_int_equal(cmd->in->data[5], 0x10);
    assert_int_equal(cmd->in->len, 4 + 16 + 12);
    cmd_free(cmd);
    cmd = report_opcodes(s, 2, 0x9e, 0x12); /* GET LBA STATUS */
    assert_int_equal(cmd->in->data[1], 3);
    assert_int_equal(cmd->in->data[5], 0x12);
    assert_int_equal(cmd->in->len, 4 + 16);
    cmd_free(cmd);
    cmd = report_opcodes(s, 1, 0xff, 0);
    assert_int_equal(cmd->in->data[1], 1);
    cmd_free(cmd);
    cmd = report_opcodes(s, 3, 0x9e, 0x1f);
    assert_int_equal(cmd->in->data[1], 1);
    cmd_free(cmd);
    expect(s->nexus, CDB(0xa3, 0x0c, 1, 0x9e, 0, 0, 0, 0, 1, 0, 0, 0), 256,
           SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0xa3, 0x0c, 2, 0x28, 0, 0, 0, 0, 1, 0, 0, 0), 256,
           SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0xa3, 0x0c, 4, 0x28, 0, 0, 0, 0, 1, 0, 0, 0), 256,
           SENSE_INVALID_FIELD_IN_CDB);
}

static void task_management(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_run(s->nexus, CDB(0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 64, 0, 0), 64);
    assert_int_equal(cmd->in->len, 16);
    assert_int_equal(cmd->in->data[0], 0xde);
    cmd_free(cmd);
    expect(s->nexus, CDB(0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0), 64, SENSE_INVALID_FIELD_IN_CDB);
}

static void small_commands(void **state)
{
    Scsi *s = *state;
    expect(s->nexus, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0);
    expect(s->nexus, CDB(0x91, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0), 0, 0);
    expect(s->nexus, CDB(0x35, 0, 0xff, 0, 0, 0, 0, 0, 0, 0), 0, SENSE_LBA_OUT_OF_RANGE);
    expect(s->nexus, CDB(0x34, 0, 0xff, 0, 0, 0, 0, 0, 8, 0), 0, SENSE_LBA_OUT_OF_RANGE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scsi_setup, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(standard),
        TEST(allocation_length),
        TEST(supported_pages_are_supported),
        TEST(identity_is_stable),
        TEST(limits),
        TEST(capacity),
        cmocka_unit_test(physical_blocks_are_configured),
        TEST(luns_come_and_go),
        TEST(resized_store),
        TEST(all_opcodes),
        TEST(one_opcode),
        TEST(task_management),
        TEST(small_commands),
    };
    return unit_run(tests);
}
