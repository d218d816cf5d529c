/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EXTENDED COPY while the stores are slow: aborts, resets, LUNs that go, errors, write flags. */
#include "tests/unit/unit.h"

#include "tests/unit/copy_fixture.h"

#include <errno.h>

enum { PART_BLOCKS = 512 }; /* 256 KiB */

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

static int setup(void **state)
{
    *state = copy_rig_new(use_slow_engine);
    return 0;
}

static void write_through(LunSpec *spec)
{
    spec->engine = &slow_engine;
    spec->write_cache = spec->number == 0;
}

static int setup_write_through(void **state)
{
    *state = copy_rig_new(write_through);
    return 0;
}

static int teardown(void **state)
{
    copy_rig_free(*state);
    return 0;
}

/* A copy of so many blocks from LUN 0 to LUN 1, whose first reads the engine has. */
static Cmd *start(CopyRig *rig, unsigned blocks)
{
    g_autofree List *list = list_new();
    list_add_cscd(list, rig->second);
    list_add_segment(list, COPY_MANAGER_LUN_ID, 0, 0, 1000, blocks);
    Cmd *cmd = copy_start(rig->s->nexus, list);
    unsigned parts = MIN((blocks + PART_BLOCKS - 1) / PART_BLOCKS, 2);
    assert_int_equal(slow_waiting(), parts);
    return cmd;
}

/* The same, with the first write in the engine. */
static Cmd *start_write(CopyRig *rig)
{
    Cmd *cmd = start(rig, PART_BLOCKS);
    slow_finish(0, 0);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(slow_peek(0)->op, AIO_WRITE);
    return cmd;
}

static void finish(Cmd *cmd, SenseCode sense)
{
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), sense);
    cmd_free(cmd);
}

static void finish_aborted(Cmd *cmd)
{
    cmd_wait(cmd);
    assert_true(cmd->aborted);
    cmd_free(cmd);
}

typedef struct {
    bool done;
    TmfResponse response;
} Answer;

static void answered(TmfResponse response, void *arg)
{
    *(Answer *)arg = (Answer){true, response};
}

/* --- data in motion --------------------------------------------------------------------------- */

static void two_parts_at_a_time(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start(rig, 3 * PART_BLOCKS + 1);
    MemoryStats stats;
    memory_get_stats(rig->s->memory, &stats);
    assert_true(stats.admitted <= 2 * (256 * 1024 + 4096));
    uint64_t written = 0;
    while (slow_waiting() > 0) {
        const AioReq *req = slow_peek(0);
        assert_true(slow_waiting() <= 2);
        assert_int_equal(req->flags, 0);
        assert_true(req->op == AIO_READ || req->offset >= 1000 * 512);
        written += req->op == AIO_WRITE ? req->len : 0;
        slow_finish(0, 0);
    }
    assert_int_equal(written, (3 * PART_BLOCKS + 1) * 512);
    finish(cmd, 0);
}

static void without_write_cache(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start_write(rig);
    assert_int_equal(slow_peek(0)->flags, AIO_FUA); /* LUN 1 has none, though LUN 0 has */
    slow_finish_all(0);
    finish(cmd, 0);
}

static void one_identifier_at_a_time(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start(rig, 1);
    g_autofree List *list = list_new();
    assert_int_equal(copy_run(rig->s->nexus, list), SENSE_OPERATION_IN_PROGRESS);
    Cmd *status = copy_results(rig->s->nexus, 0, 1);
    assert_int_equal(status->in->data[4], 0);
    cmd_free(status);
    expect(rig->s->nexus, CDB(0x84, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0), 512,
           SENSE_INVALID_FIELD_IN_CDB);
    list->data[0] = 2;
    assert_int_equal(copy_run(rig->s->nexus, list), 0);
    slow_finish_all(0);
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    finish(cmd, 0);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void store_errors(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start(rig, 1);
    slow_finish(0, -EIO);
    cmd_wait(cmd);
    assert_int_equal(cmd->task.sense[8], 18); /* of the source */
    assert_int_equal(cmd->task.sense[19 + 12], 0x11);
    finish(cmd, SENSE_THIRD_PARTY_DEVICE_FAILURE);
    cmd = start_write(rig);
    slow_finish(0, -ENOSPC);
    cmd_wait(cmd);
    assert_int_equal(cmd->task.sense[0], 0x70);
    assert_int_equal(cmd->task.sense[9], 18); /* of the destination */
    assert_int_equal(cmd->task.sense[19 + 2], 0x07);
    assert_int_equal(cmd->task.sense[19 + 13], 0x07);
    finish(cmd, SENSE_THIRD_PARTY_DEVICE_FAILURE);
}

/* The residue counts what lies behind the first gap as not written. */
static void residue(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start(rig, 3 * PART_BLOCKS); /* 0 and 1 are read */
    slow_finish(1, 0);
    assert_int_equal(slow_waiting(), 2); /* 0 is read, 1 written */
    slow_finish(1, 0);
    assert_int_equal(slow_waiting(), 2); /* 0 and 2 are read */
    slow_finish(0, 0);
    assert_int_equal(slow_waiting(), 2); /* 2 is read, 0 written */
    slow_finish(1, 0);
    assert_int_equal(slow_waiting(), 1); /* 2 is read, and nothing is left to begin */
    slow_finish(0, -EIO);
    cmd_wait(cmd);
    assert_int_equal(cmd->task.sense[0], 0xf0);
    assert_int_equal(get_be32(cmd->task.sense + 3), PART_BLOCKS);
    finish(cmd, SENSE_THIRD_PARTY_DEVICE_FAILURE);

    cmd = start(rig, 2 * PART_BLOCKS);
    slow_finish(1, 0);
    assert_int_equal(slow_waiting(), 2);
    slow_finish(1, 0);
    assert_int_equal(slow_waiting(), 1); /* 0 is read, 1 is written */
    slow_finish(0, -EIO);
    cmd_wait(cmd);
    assert_int_equal(get_be32(cmd->task.sense + 3), 2 * PART_BLOCKS);
    finish(cmd, SENSE_THIRD_PARTY_DEVICE_FAILURE);
}

static void failure_waits_for_the_other_part(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start(rig, 2 * PART_BLOCKS);
    slow_finish(0, 0);
    assert_int_equal(slow_waiting(), 2); /* 1 is read, 0 written */
    slow_finish(0, -EIO);
    wait_turns(10);
    assert_false(cmd->responded);
    slow_finish_all(0);
    finish(cmd, SENSE_THIRD_PARTY_DEVICE_FAILURE);
    assert_int_equal(slow_waiting(), 0);
}

/* --- aborts ----------------------------------------------------------------------------------- */

static void abort_waits_for_the_write(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start_write(rig);
    Answer answer = {0};
    nexus_manage(rig->s->nexus, TMF_ABORT_TASK, 0, cmd->task.tag, answered, &answer);
    wait_turns(10);
    assert_false(answer.done);
    slow_finish_all(0);
    wait_for(&answer.done);
    assert_int_equal(answer.response, TMF_COMPLETE);
    finish_aborted(cmd);
    g_autofree List *list = list_new(); /* its identifier is free again */
    assert_int_equal(copy_run(rig->s->nexus, list), 0);
}

static void abort_does_not_wait_for_a_read(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start(rig, 2 * PART_BLOCKS);
    Answer answer = {0};
    nexus_manage(rig->s->nexus, TMF_ABORT_TASK, 0, cmd->task.tag, answered, &answer);
    wait_for(&answer.done);
    assert_false(cmd->released);
    slow_finish_all(0);
    finish_aborted(cmd);
    assert_int_equal(slow_waiting(), 0); /* nothing was written */
}

static void reset_of_the_destination(void **state)
{
    CopyRig *rig = *state;
    Cmd *writing = start_write(rig);
    Answer answer = {0};
    nexus_manage(rig->s->nexus, TMF_LOGICAL_UNIT_RESET, UINT64_C(1) << 48, 0, answered, &answer);
    wait_turns(10);
    assert_false(answer.done);
    assert_false(writing->responded);
    slow_finish_all(0);
    wait_for(&answer.done);
    assert_int_equal(answer.response, TMF_COMPLETE);
    cmd_wait(writing);
    assert_int_equal(writing->task.sense[18], SCSI_TASK_ABORTED);
    finish(writing, SENSE_THIRD_PARTY_DEVICE_FAILURE);
}

static void reset_while_several_copies_read(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmds[3];
    g_autofree List *list = list_new();
    list->data[1] = COPY_ID_NONE << 3;
    list->data[0] = 0;
    list_add_cscd(list, rig->second);
    list_add_segment(list, 0, 0, 0, 1000, 1); /* a guest twice */
    for (unsigned i = 0; i < G_N_ELEMENTS(cmds); i++)
        cmds[i] = copy_start(rig->s->nexus, list);
    assert_int_equal(slow_waiting(), G_N_ELEMENTS(cmds));
    Answer answer = {0};
    nexus_manage(rig->s->nexus, TMF_LOGICAL_UNIT_RESET, UINT64_C(1) << 48, 0, answered, &answer);
    wait_for(&answer.done);
    slow_finish_all(0);
    for (unsigned i = 0; i < G_N_ELEMENTS(cmds); i++)
        finish(cmds[i], SENSE_THIRD_PARTY_DEVICE_FAILURE);
    assert_int_equal(slow_waiting(), 0);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void connection_loss(void **state)
{
    CopyRig *rig = *state;
    Cmd *reading = start(rig, 1);
    bool closed = false;
    nexus_close(g_steal_pointer(&rig->s->nexus), set_flag, &closed);
    wait_turns(10);
    assert_false(closed);
    slow_finish_all(0);
    wait_for(&closed);
    finish_aborted(reading);
    assert_int_equal(slow_waiting(), 0);
}

/* --- LUNs that go ----------------------------------------------------------------------------- */

static void removal_waits_for_the_segment(void **state)
{
    CopyRig *rig = *state;
    g_autofree List *list = list_new();
    list_add_cscd(list, rig->second);
    list_add_segment(list, COPY_MANAGER_LUN_ID, 0, 0, 0, 1);
    list_add_segment(list, COPY_MANAGER_LUN_ID, 0, 0, 0, 1);
    Cmd *cmd = copy_start(rig->s->nexus, list);
    assert_int_equal(slow_waiting(), 1);
    bool closed = false;
    copy_rig_remove(rig, &rig->second, &closed);
    slow_finish(0, 0);
    assert_int_equal(slow_waiting(), 1); /* the write goes on */
    assert_false(closed);
    slow_finish(0, 0);
    finish(cmd, SENSE_COPY_TARGET_NOT_REACHABLE); /* the second segment */
    wait_for(&closed);
}

static void removal_waits_for_an_aborted_copy(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start_write(rig);
    bool gone = false, closed = false;
    nexus_close(g_steal_pointer(&rig->s->nexus), set_flag, &gone);
    copy_rig_remove(rig, &rig->second, &closed);
    wait_turns(10);
    assert_false(closed);
    slow_finish_all(0);
    wait_for(&closed);
    wait_for(&gone);
    finish_aborted(cmd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_parts_at_a_time),
        cmocka_unit_test_setup_teardown(without_write_cache, setup_write_through, teardown),
        TEST(one_identifier_at_a_time),
        TEST(store_errors),
        TEST(residue),
        TEST(failure_waits_for_the_other_part),
        TEST(abort_waits_for_the_write),
        TEST(abort_does_not_wait_for_a_read),
        TEST(reset_of_the_destination),
        TEST(reset_while_several_copies_read),
        TEST(connection_loss),
        TEST(removal_waits_for_the_segment),
        TEST(removal_waits_for_an_aborted_copy),
    };
    return unit_run(tests);
}
