/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SEND DIAGNOSTIC and READ DEFECT DATA. */
#include "tests/unit/unit.h"

#include "tests/unit/scsi_fixture.h"

#include <errno.h>

#define SELF_TEST CDB(0x1d, 4, 0, 0, 0, 0)

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

static int slow_setup(void **state)
{
    Scsi *s = scsi_new(use_slow_engine);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    *state = s;
    return 0;
}

static void wait_for_request(uint64_t offset)
{
    while (slow_waiting() < 1)
        g_main_context_iteration(NULL, TRUE);
    assert_int_equal(slow_peek(0)->op, AIO_READ);
    assert_true(slow_peek(0)->offset == offset && slow_peek(0)->len == 512);
}

static void self_test_reads(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_new(s->nexus, SELF_TEST);
    cmd_submit(cmd);
    wait_for_request(0);
    slow_finish_all(0);
    wait_for_request(64 * MIB - 512);
    assert_false(cmd->responded);
    slow_finish_all(0);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), 0);
    cmd_free(cmd);
}

static void self_test_fails(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_new(s->nexus, SELF_TEST);
    cmd_submit(cmd);
    wait_for_request(0);
    slow_finish_all(-EIO);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), SENSE_SELF_TEST_FAILED);
    cmd_free(cmd);
    cmd = cmd_new(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0));
    cmd->task.data_in_len = 512;
    cmd_submit(cmd);
    wait_for_request(0);
    slow_finish_all(-EIO);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), SENSE_READ_ERROR); /* nothing stays of it */
    cmd_free(cmd);
}

static void diagnostics(void **state)
{
    Scsi *s = *state;
    expect(s->nexus, SELF_TEST, 0, 0);
    expect(s->nexus, CDB(0x1d, 0x17, 0, 0, 0, 0), 0, 0);
    expect(s->nexus, CDB(0x1d, 0x10, 0, 0, 0, 0), 0, 0);
    expect_out(s->nexus, CDB(0x1d, 0x10, 0, 0, 4, 0), "\0\0\0\0", 4, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x1d, 0x20, 0, 0, 0, 0), 0, SENSE_INVALID_FIELD_IN_CDB); /* background */
    expect(s->nexus, CDB(0x1d, 0x08, 0, 0, 0, 0), 0, SENSE_INVALID_FIELD_IN_CDB);
}

static void defects(void **state)
{
    Scsi *s = *state;
    static const uint8_t short_list[4] = {0, 0x1d, 0, 0}, long_list[8] = {0, 0x0b};
    Cmd *cmd = cmd_run(s->nexus, CDB(0x37, 0, 0x1d, 0, 0, 0, 0, 0, 64, 0), 64);
    assert_int_equal(cmd->in->len, 4);
    assert_memory_equal(cmd->in->data, short_list, 4);
    cmd_free(cmd);
    cmd = cmd_run(s->nexus, CDB(0xb7, 0x0b, 0, 0, 0, 9, 0, 0, 0, 64, 0, 0), 64);
    assert_int_equal(cmd->in->len, 8);
    assert_memory_equal(cmd->in->data, long_list, 8);
    cmd_free(cmd);
    cmd = cmd_run(s->nexus, CDB(0xb7, 0x08, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0), 64);
    assert_int_equal(cmd->in->len, 3);
    cmd_free(cmd);
    expect(s->nexus, CDB(0x37, 0, 0x0e, 0, 0, 0, 0, 0, 64, 0), 64, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0xb7, 0x07, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0), 64, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x37, 0, 0x28, 0, 0, 0, 0, 0, 64, 0), 64, SENSE_INVALID_FIELD_IN_CDB);
    expect(s->nexus, CDB(0x37, 0, 0x18, 0, 0, 0, 0, 0, 0, 0), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(self_test_reads, slow_setup, scsi_teardown),
        cmocka_unit_test_setup_teardown(self_test_fails, slow_setup, scsi_teardown),
        cmocka_unit_test_setup_teardown(diagnostics, scsi_setup, scsi_teardown),
        cmocka_unit_test_setup_teardown(defects, scsi_setup, scsi_teardown),
    };
    return unit_run(tests);
}
