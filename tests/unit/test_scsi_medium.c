/* SPDX-License-Identifier: GPL-2.0-or-later */
/* START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL: what a LUN answers when it is stopped or its
 * medium is ejected, and who keeps it in. */
#include "tests/unit/unit.h"

#include "tests/unit/scsi_fixture.h"

#include <string.h>

#define TUR           CDB(0, 0, 0, 0, 0, 0)
#define READ          CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)
#define SSU(byte4)    CDB(0x1b, 0, 0, 0, byte4, 0)
#define STOP          SSU(0)
#define START         SSU(1)
#define EJECT         SSU(2)
#define LOAD          SSU(3)
#define PREVENT(byte) CDB(0x1e, 0, 0, 0, byte, 0)

static void make_removable(LunSpec *spec)
{
    spec->removable = true;
}

static int removable_setup(void **state)
{
    Scsi *s = scsi_new(make_removable);
    expect(s->nexus, TUR, 0, SENSE_POWER_ON_RESET);
    *state = s;
    return 0;
}

static SenseCode requested_sense(Scsi *s)
{
    Cmd *cmd = cmd_run(s->nexus, CDB(0x03, 0, 0, 0, 64, 0), 64);
    assert_int_equal(cmd_sense(cmd), 0);
    const uint8_t *p = cmd->in->data;
    SenseCode code = SENSE_CODE(p[2], p[12], p[13]);
    cmd_free(cmd);
    return code;
}

static void fixed_disk(void **state)
{
    Scsi *s = *state;
    expect(s->nexus, EJECT, 0, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, LOAD, 0, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, SSU(0x32), 0, 0); /* standby: START and LOEJ are not looked at */
    expect(s->nexus, TUR, 0, 0);
    expect(s->nexus, STOP, 0, 0);
    expect(s->nexus, TUR, 0, SENSE_START_REQUIRED);
    expect(s->nexus, READ, 512, SENSE_START_REQUIRED);
    assert_int_equal(requested_sense(s), SENSE_START_REQUIRED);
    expect(s->nexus, CDB(0x12, 0, 0, 0, 96, 0), 96, 0);
    expect(s->nexus, CDB(0x1a, 8, 8, 0, 96, 0), 96, 0);
    expect(s->nexus, CDB(0x60, 0, 0, 0, 0, 0), 0, SENSE_INVALID_OPCODE);
    expect(s->nexus, CDB(0x28, 0xe0, 0, 0, 0, 0, 0, 0, 1, 0), 512, SENSE_START_REQUIRED);
    expect(s->nexus, START, 0, 0);
    expect(s->nexus, READ, 512, 0);
    assert_int_equal(requested_sense(s), SENSE_NO_SENSE);
}

static void removable_bit(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_run(s->nexus, CDB(0x12, 0, 0, 0, 96, 0), 96);
    assert_int_equal(cmd->in->data[1], 0x80);
    cmd_free(cmd);
}

static void eject_and_load(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    expect(s->nexus, STOP, 0, 0); /* starts again when it is needed */
    expect(s->nexus, READ, 512, 0);
    expect(s->nexus, EJECT, 0, 0);
    expect(s->nexus, EJECT, 0, 0);
    expect(s->nexus, STOP, 0, 0);
    expect(s->nexus, TUR, 0, SENSE_MEDIUM_NOT_PRESENT);
    expect(other, READ, 512, SENSE_MEDIUM_NOT_PRESENT);
    expect(other, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 8, SENSE_MEDIUM_NOT_PRESENT);
    assert_int_equal(requested_sense(s), SENSE_MEDIUM_NOT_PRESENT);
    expect(s->nexus, START, 0, SENSE_MEDIUM_NOT_PRESENT);
    expect(s->nexus, LOAD, 0, 0);
    expect(s->nexus, READ, 512, 0);
    expect(other, READ, 512, SENSE_MEDIUM_CHANGED);
    expect(other, READ, 512, 0);
    expect(s->nexus, LOAD, 0, 0);
    expect(other, READ, 512, 0);
    scsi_close_nexus(other);
}

static void reserved_bits(void **state)
{
    Scsi *s = *state;
    expect(s->nexus, CDB(0x1b, 2, 0, 0, 1, 0), 0, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x1b, 0, 1, 0, 1, 0), 0, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x1b, 0, 0, 1, 1, 0), 0, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, SSU(0x08), 0, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, PREVENT(2), 0, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x1b, 1, 0, 0, 0x06, 0), 0, 0); /* IMMED, NO_FLUSH */
    expect(s->nexus, TUR, 0, SENSE_MEDIUM_NOT_PRESENT);
}

static void prevention_is_of_the_nexus(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    expect(s->nexus, PREVENT(1), 0, 0);
    expect(s->nexus, PREVENT(1), 0, 0);
    expect(other, PREVENT(1), 0, 0);
    expect(s->nexus, EJECT, 0, SENSE_REMOVAL_PREVENTED);
    expect(s->nexus, PREVENT(0), 0, 0);
    expect(s->nexus, PREVENT(0), 0, 0);
    expect(s->nexus, EJECT, 0, SENSE_REMOVAL_PREVENTED);
    expect(s->nexus, TUR, 0, 0);
    scsi_close_nexus(other); /* and with it what it prevented */
    expect(s->nexus, EJECT, 0, 0);
    expect(s->nexus, PREVENT(1), 0, 0);
    expect(s->nexus, LOAD, 0, SENSE_REMOVAL_PREVENTED);
    expect(s->nexus, PREVENT(0), 0, 0);
    expect(s->nexus, LOAD, 0, 0);
}

static void reset_done(TmfResponse response, void *arg)
{
    assert_int_equal(response, TMF_COMPLETE);
    *(bool *)arg = true;
}

static void resets_end_prevention(void **state)
{
    Scsi *s = *state;
    static const TmfFunction resets[] = {TMF_LOGICAL_UNIT_RESET, TMF_TARGET_WARM_RESET,
                                         TMF_I_T_NEXUS_RESET};
    for (size_t i = 0; i < G_N_ELEMENTS(resets); i++) {
        bool done = false;
        expect(s->nexus, PREVENT(1), 0, 0);
        expect(s->nexus, EJECT, 0, SENSE_REMOVAL_PREVENTED);
        nexus_manage(s->nexus, resets[i], 0, 0, reset_done, &done);
        wait_for(&done);
        Cmd *cmd = cmd_run(s->nexus, TUR, 0);
        assert_int_equal(cmd_sense(cmd) >> 16, 6);
        cmd_free(cmd);
        expect(s->nexus, EJECT, 0, 0);
        expect(s->nexus, LOAD, 0, 0);
    }
}

#define TEST(fn)      cmocka_unit_test_setup_teardown(fn, scsi_setup, scsi_teardown)
#define REMOVABLE(fn) cmocka_unit_test_setup_teardown(fn, removable_setup, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fixed_disk),
        REMOVABLE(removable_bit),
        REMOVABLE(eject_and_load),
        REMOVABLE(reserved_bits),
        REMOVABLE(prevention_is_of_the_nexus),
        REMOVABLE(resets_end_prevention),
    };
    return unit_run(tests);
}
