/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sense data, LUN addressing, and the command table. */
#include "tests/unit/unit.h"

#include "core/base/bytes.h"
#include "core/scsi/command.h"
#include "core/scsi/sense.h"
#include "core/scsi/target.h"

#include <glib.h>

static void fixed_format(void **state)
{
    (void)state;
    uint8_t s[SENSE_MAX];
    const SenseField field = {.byte = 0x1234, .bit = 3, .in_cdb = true};
    assert_int_equal(sense_build(s, false, SENSE_INVALID_FIELD_IN_CDB, &field), 18);
    assert_int_equal(s[0], 0x70);
    assert_int_equal(s[2], 5);
    assert_int_equal(s[7], 10);
    assert_int_equal(get_be16(s + 12), 0x2400);
    assert_int_equal(s[15], 0xcb);
    assert_int_equal(get_be16(s + 16), 0x1234);

    assert_int_equal(sense_build(s, false, SENSE_MISCOMPARE, NULL), 18);
    assert_int_equal(s[15], 0);
    assert_int_equal(sense_set_information(s, 18, 0x11223344), 18);
    assert_int_equal(s[0], 0xf0);
    assert_int_equal(get_be32(s + 3), 0x11223344);
    sense_build(s, false, SENSE_MISCOMPARE, NULL);
    sense_set_information(s, 18, UINT64_C(1) << 32); /* does not fit */
    assert_int_equal(s[0], 0x70);
}

static void descriptor_format(void **state)
{
    (void)state;
    uint8_t s[SENSE_MAX];
    const SenseField field = {.byte = 5, .bit = -1};
    unsigned len = sense_build(s, true, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, &field);
    assert_int_equal(len, 16);
    assert_int_equal(s[0], 0x72);
    assert_int_equal(s[1], 5);
    assert_int_equal(get_be16(s + 2), 0x2600);
    assert_int_equal(s[7], 8);
    assert_int_equal(s[12], 0x80);
    assert_int_equal(get_be16(s + 13), 5);
    len = sense_set_information(s, len, UINT64_C(1) << 40);
    assert_int_equal(len, 28);
    assert_int_equal(s[7], 20);
    assert_int_equal(s[16], 0);
    assert_int_equal(s[18], 0x80);
    assert_true(get_be64(s + 20) == UINT64_C(1) << 40);
}

static void failed_copies(void **state)
{
    (void)state;
    const SenseStatus said = {SCSI_CHECK_CONDITION, SENSE_WRITE_PROTECTED};
    uint8_t s[SENSE_MAX];
    unsigned len = sense_build(s, false, SENSE_THIRD_PARTY_DEVICE_FAILURE, NULL);
    len = sense_set_information(s, len, 77);
    len = sense_set_segment(s, len, 0x102, SENSE_OF_DESTINATION, said);
    assert_int_equal(len, 18 + 1 + 18);
    assert_int_equal(s[0], 0xf0);
    assert_int_equal(s[7], len - 8);
    const uint8_t fixed[4] = {0, 18, 1, 2};
    assert_memory_equal(s + 8, fixed, 4);
    assert_int_equal(s[18], SCSI_CHECK_CONDITION);
    assert_int_equal(s[19], 0x70);
    assert_int_equal(s[19 + 12], 0x27);

    len = sense_build(s, true, SENSE_THIRD_PARTY_DEVICE_FAILURE, NULL);
    len = sense_set_information(s, len, 77);
    len = sense_set_segment(s, len, 0x102, SENSE_OF_SOURCE, said);
    assert_int_equal(len, 8 + 12 + 12 + 4 + 8);
    assert_int_equal(s[7], len - 8);
    const uint8_t segment[12] = {1, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2};
    assert_memory_equal(s + 20, segment, 12);
    const uint8_t forwarded[12] = {0x0c, 10, 1, SCSI_CHECK_CONDITION, 0x72, 7, 0x27};
    assert_memory_equal(s + 32, forwarded, 12);

    len = sense_build(s, true, SENSE_COPY_ABORTED, NULL);
    assert_int_equal(sense_set_segment(s, len, 0, SENSE_OF_NOBODY, (SenseStatus){0}), 20);
    len = sense_build(s, true, SENSE_COPY_ABORTED, NULL);
    len = sense_set_segment(s, len, 0, SENSE_OF_SOURCE, (SenseStatus){.status = SCSI_TASK_ABORTED});
    assert_int_equal(len, 24);
    assert_int_equal(s[23], SCSI_TASK_ABORTED);
}

static void lun_fields(void **state)
{
    (void)state;
    assert_int_equal(scsi_lun_number(0), 0);
    assert_int_equal(scsi_lun_number(UINT64_C(0x00ff) << 48), 255);
    assert_int_equal(scsi_lun_number(UINT64_C(0x4001) << 48), 1);
    assert_int_equal(scsi_lun_number(UINT64_C(0x7fff) << 48), 16383);
    assert_int_equal(scsi_lun_number(UINT64_C(0xd2000123) << 32), 0x123);
    assert_int_equal(scsi_lun_number(UINT64_C(0xd2004000) << 32), -1);
    assert_int_equal(scsi_lun_number(UINT64_C(0x0100) << 48), -1);       /* another bus */
    assert_int_equal(scsi_lun_number(UINT64_C(0xc101) << 48), -1);       /* well-known */
    assert_int_equal(scsi_lun_number((UINT64_C(0x0001) << 48) | 1), -1); /* second level */
    for (unsigned n = 0; n <= 16383; n += 127)
        assert_int_equal(scsi_lun_number(scsi_lun_field(n)), n);
}

static void table_is_sorted_and_complete(void **state)
{
    (void)state;
    for (unsigned i = 0; i < commands_count; i++) {
        const Command *c = &commands[i];
        static const uint8_t lengths[8] = {6, 10, 10, 0, 16, 12, 0, 0};
        const uint8_t cdb[2] = {c->opcode, c->action};
        assert_ptr_equal(command_find(cdb), c);
        assert_int_equal(c->cdb_len, lengths[c->opcode >> 5]);
        assert_non_null(c->run);
        assert_non_null(c->name);
        if (i > 0)
            assert_true((c[-1].opcode << 8 | c[-1].action) < (c->opcode << 8 | c->action));
        for (unsigned b = c->cdb_len; b < COMMAND_CDB_MAX; b++)
            assert_int_equal(c->usage[b], 0);
        assert_int_equal(c->usage[0], 0);
        if (c->has_action)
            assert_int_equal(c->usage[1] & 0x1f, 0);
    }
}

/* Every bit of every command's CDB: allowed exactly where the table says so. */
static void each_reserved_bit_is_found(void **state)
{
    (void)state;
    for (unsigned i = 0; i < commands_count; i++) {
        const Command *c = &commands[i];
        uint8_t cdb[COMMAND_CDB_MAX] = {c->opcode, c->action};
        assert_int_equal(command_check_cdb(c, cdb, 16), -1);
        assert_true(command_check_cdb(c, cdb, c->cdb_len - 1) >= 0);
        for (int bit = 8; bit < c->cdb_len * 8; bit++) {
            if (c->has_action && bit < 13)
                continue;
            cdb[bit / 8] ^= (uint8_t)(1 << bit % 8);
            bool allowed = c->usage[bit / 8] >> bit % 8 & 1;
            assert_int_equal(command_check_cdb(c, cdb, 16), allowed ? -1 : bit);
            cdb[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_format),
        cmocka_unit_test(descriptor_format),
        cmocka_unit_test(failed_copies),
        cmocka_unit_test(lun_fields),
        cmocka_unit_test(table_is_sorted_and_complete),
        cmocka_unit_test(each_reserved_bit_is_found),
    };
    return unit_run(tests);
}
