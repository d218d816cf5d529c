/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tasks and task management: order, attentions, aborts while the store is slow, errors of it. */
#include "tests/unit/unit.h"

#include "core/scsi/tmf.h"
#include "tests/unit/scsi_fixture.h"

#include <errno.h>

#define TUR         CDB(0, 0, 0, 0, 0, 0)
#define READ_ONE    CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)
#define WRITE_ONE   CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0)
#define SENSE_BYTES 18

static uint8_t block[512];

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

static int setup(void **state)
{
    Scsi *s = scsi_new(use_slow_engine);
    expect(s->nexus, TUR, 0, SENSE_POWER_ON_RESET);
    *state = s;
    return 0;
}

static Cmd *start(Nexus *nexus, const uint8_t *cdb, unsigned len, TaskAttribute attribute)
{
    Cmd *cmd = cmd_new(nexus, cdb, len);
    cmd->task.attribute = attribute;
    cmd->out = block;
    if (cdb[0] == 0x2a)
        cmd->task.data_out_len = sizeof block;
    else
        cmd->task.data_in_len = sizeof block;
    cmd_submit(cmd);
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

/* --- unit attentions and unknown things ------------------------------------------------------- */

static void power_on_is_told_once(void **state)
{
    Scsi *s = *state;
    Nexus *nexus = scsi_nexus(s);
    expect(nexus, CDB(0x12, 0, 0, 0, 36, 0), 36, 0);
    expect(nexus, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0), 16, 0);
    expect(nexus, READ_ONE, 512, SENSE_POWER_ON_RESET);
    expect(nexus, TUR, 0, 0);
    scsi_close_nexus(nexus);
}

static void request_sense_takes_the_attention(void **state)
{
    Scsi *s = *state;
    Nexus *nexus = scsi_nexus(s);
    Cmd *cmd = cmd_run(nexus, CDB(3, 0, 0, 0, 255, 0), 255);
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->in->len, SENSE_BYTES);
    assert_int_equal(cmd->in->data[2], 0x06);
    assert_int_equal(cmd->in->data[12], 0x29);
    cmd_free(cmd);
    expect(nexus, TUR, 0, 0);
    cmd = cmd_run(nexus, CDB(3, 1, 0, 0, 255, 0), 255); /* DESC */
    assert_int_equal(cmd->in->data[0], 0x72);
    assert_int_equal(cmd->in->data[1], 0);
    cmd_free(cmd);
    scsi_close_nexus(nexus);
}

static Cmd *run_on_lun(Nexus *nexus, uint64_t lun, const uint8_t *cdb, unsigned len)
{
    Cmd *cmd = cmd_new(nexus, cdb, len);
    cmd->task.lun = lun;
    cmd->task.data_in_len = 255;
    cmd_submit(cmd);
    cmd_wait(cmd);
    return cmd;
}

static void unknown_lun(void **state)
{
    Scsi *s = *state;
    uint64_t lun = UINT64_C(7) << 48;
    Cmd *cmd = run_on_lun(s->nexus, lun, TUR);
    assert_int_equal(cmd_sense(cmd), SENSE_LUN_NOT_SUPPORTED);
    cmd_free(cmd);
    cmd = run_on_lun(s->nexus, lun, CDB(0x12, 0, 0, 0, 96, 0));
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->in->len, 96);
    assert_int_equal(cmd->in->data[0], 0x7f);
    cmd_free(cmd);
    cmd = run_on_lun(s->nexus, lun, CDB(3, 0, 0, 0, 255, 0));
    assert_int_equal(cmd->in->data[2], 0x05);
    assert_int_equal(cmd->in->data[12], 0x25);
    cmd_free(cmd);
    cmd = run_on_lun(s->nexus, lun, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0));
    assert_int_equal(get_be32(cmd->in->data), 8);
    cmd_free(cmd);
}

static void unknown_commands(void **state)
{
    Scsi *s = *state;
    expect(s->nexus, CDB(0xff, 0, 0, 0, 0, 0), 0, SENSE_INVALID_OPCODE);
    expect(s->nexus, CDB(0x9e, 0x1f, 0, 0, 0, 0), 0, SENSE_INVALID_FIELD_IN_CDB); /* no action */
    Cmd *cmd = cmd_new(s->nexus, CDB(0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    cmd->task.cdb_len = 10;
    cmd_submit(cmd);
    finish(cmd, SENSE_INVALID_FIELD_IN_CDB);
    cmd = start(s->nexus, TUR, TASK_ACA);
    finish(cmd, SENSE_INVALID_MESSAGE);
}

/* --- order ------------------------------------------------------------------------------------ */

static void ordered_task_waits_and_is_waited_for(void **state)
{
    Scsi *s = *state;
    Cmd *simple = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *ordered = start(s->nexus, READ_ONE, TASK_ORDERED);
    Cmd *later = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *later2 = start(s->nexus, READ_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 1);
    slow_finish(0, 0);
    finish(simple, 0);
    assert_int_equal(slow_waiting(), 1);
    slow_finish(0, 0);
    finish(ordered, 0);
    assert_int_equal(slow_waiting(), 2);
    slow_finish_all(0);
    finish(later, 0);
    finish(later2, 0);
}

static void head_of_queue_overtakes(void **state)
{
    Scsi *s = *state;
    Cmd *first = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *ordered = start(s->nexus, READ_ONE, TASK_ORDERED);
    Cmd *head = start(s->nexus, READ_ONE, TASK_HEAD_OF_QUEUE);
    assert_int_equal(slow_waiting(), 2);
    slow_finish(1, 0);
    finish(head, 0);
    slow_finish(0, 0);
    finish(first, 0);
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    finish(ordered, 0);
}

static void many_ordered_tasks_in_order(void **state)
{
    Scsi *s = *state;
    enum { N = 300 };
    GQueue order = G_QUEUE_INIT;
    Cmd *cmds[N], *first = start(s->nexus, READ_ONE, TASK_SIMPLE);
    for (unsigned i = 0; i < N; i++) {
        cmds[i] = cmd_new(s->nexus, TUR);
        cmds[i]->task.attribute = TASK_ORDERED;
        cmds[i]->order = &order;
        cmd_submit(cmds[i]);
    }
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    finish(first, 0);
    for (unsigned i = 0; i < N; i++) {
        cmd_wait(cmds[i]);
        assert_ptr_equal(g_queue_pop_head(&order), cmds[i]);
        cmd_free(cmds[i]);
    }
}

/* --- task management -------------------------------------------------------------------------- */

typedef struct {
    bool done;
    TmfResponse response;
} Answer;

static void answered(TmfResponse response, void *arg)
{
    Answer *answer = arg;
    assert_false(answer->done);
    *answer = (Answer){true, response};
}

static TmfResponse manage(Nexus *nexus, TmfFunction function, uint64_t tag)
{
    Answer answer = {0};
    nexus_manage(nexus, function, 0, tag, answered, &answer);
    wait_for(&answer.done);
    return answer.response;
}

static void abort_of_a_read_is_answered_at_once(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = start(s->nexus, READ_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, cmd->task.tag), TMF_COMPLETE);
    wait_turns(10);
    assert_false(cmd->released); /* the engine still has its buffer */
    slow_finish_all(0);
    finish_aborted(cmd);
}

static void abort_of_a_write_waits_for_it(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    Cmd *other = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 2);
    Answer answer = {0};
    nexus_manage(s->nexus, TMF_ABORT_TASK, 0, cmd->task.tag, answered, &answer);
    slow_finish(1, 0);
    finish(other, 0);
    wait_turns(10);
    assert_false(answer.done);
    slow_finish_all(0);
    wait_for(&answer.done);
    assert_int_equal(answer.response, TMF_COMPLETE);
    finish_aborted(cmd);
}

static void abort_while_data_is_fetched(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_new(s->nexus, WRITE_ONE);
    cmd->out = block;
    cmd->task.data_out_len = sizeof block;
    cmd->hold = true;
    cmd_submit(cmd);
    assert_int_equal(slow_waiting(), 0);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, cmd->task.tag), TMF_COMPLETE);
    finish_aborted(cmd);
    assert_int_equal(slow_waiting(), 0);
}

static void abort_of_a_blocked_task(void **state)
{
    Scsi *s = *state;
    Cmd *running = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *blocked = start(s->nexus, READ_ONE, TASK_ORDERED);
    assert_int_equal(manage(s->nexus, TMF_QUERY_TASK, blocked->task.tag), TMF_SUCCEEDED);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, blocked->task.tag), TMF_COMPLETE);
    finish_aborted(blocked);
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    finish(running, 0);
}

static void what_is_not_there(void **state)
{
    Scsi *s = *state;
    Answer answer = {0};
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, 999999), TMF_TASK_NOT_FOUND);
    assert_int_equal(manage(s->nexus, TMF_QUERY_TASK, 999999), TMF_COMPLETE);
    assert_int_equal(manage(s->nexus, TMF_QUERY_TASK_SET, 0), TMF_COMPLETE);
    assert_int_equal(manage(s->nexus, TMF_CLEAR_ACA, 0), TMF_REJECTED);
    nexus_manage(s->nexus, TMF_ABORT_TASK_SET, UINT64_C(9) << 48, 0, answered, &answer);
    wait_for(&answer.done);
    assert_int_equal(answer.response, TMF_INCORRECT_LUN);
}

static void abort_task_set_leaves_other_nexuses_alone(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    Cmd *mine = start(s->nexus, READ_ONE, TASK_SIMPLE), *blocked;
    Cmd *others = start(other, READ_ONE, TASK_SIMPLE);
    blocked = start(s->nexus, READ_ONE, TASK_ORDERED);
    assert_int_equal(slow_waiting(), 2);
    assert_int_equal(manage(s->nexus, TMF_QUERY_TASK_SET, 0), TMF_SUCCEEDED);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK_SET, 0), TMF_COMPLETE);
    finish_aborted(blocked);
    slow_finish_all(0);
    finish_aborted(mine);
    finish(others, 0);
    expect(other, TUR, 0, 0);
    scsi_close_nexus(other);
}

static void lun_reset_aborts_all_and_tells_all(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    Cmd *read = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *write = start(other, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 2);
    Answer answer = {0};
    nexus_manage(s->nexus, TMF_LOGICAL_UNIT_RESET, 0, 0, answered, &answer);
    wait_turns(10);
    assert_false(answer.done);
    slow_finish_all(-EIO);
    wait_for(&answer.done);
    assert_int_equal(answer.response, TMF_COMPLETE);
    finish_aborted(read);
    finish_aborted(write);
    expect(s->nexus, TUR, 0, SENSE_DEVICE_RESET);
    expect(other, TUR, 0, SENSE_DEVICE_RESET);
    expect(other, TUR, 0, 0);
    scsi_close_nexus(other);
}

static void resets_of_nexus_and_target(void **state)
{
    Scsi *s = *state;
    Cmd *read = start(s->nexus, READ_ONE, TASK_SIMPLE);
    assert_int_equal(manage(s->nexus, TMF_I_T_NEXUS_RESET, 0), TMF_COMPLETE);
    slow_finish_all(0);
    finish_aborted(read);
    expect(s->nexus, TUR, 0, SENSE_NEXUS_LOSS);
    assert_int_equal(manage(s->nexus, TMF_TARGET_WARM_RESET, 0), TMF_COMPLETE);
    expect(s->nexus, TUR, 0, SENSE_BUS_RESET);
    expect(s->nexus, TUR, 0, 0);
}

static void hung_write_rejects_the_function(void **state)
{
    Scsi *s = *state;
    tmf_timeout_ms = 50;
    Cmd *cmd = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, cmd->task.tag), TMF_REJECTED);
    assert_false(cmd->released);
    tmf_timeout_ms = 30000;
    slow_finish_all(0);
    finish_aborted(cmd);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void closing_waits_for_the_store(void **state)
{
    Scsi *s = *state;
    bool closed = false;
    Answer answer = {0};
    Cmd *read = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *write = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    Cmd *blocked = start(s->nexus, WRITE_ONE, TASK_ORDERED);
    assert_int_equal(slow_waiting(), 2);
    nexus_manage(s->nexus, TMF_ABORT_TASK, 0, write->task.tag, answered, &answer);
    nexus_close(g_steal_pointer(&s->nexus), set_flag, &closed);
    wait_turns(10);
    assert_false(closed);
    slow_finish_all(0);
    finish_aborted(read);
    finish_aborted(write);
    finish_aborted(blocked);
    wait_for(&closed);
    assert_false(answer.done); /* nobody is left to hear it */
}

static void closing_while_the_answer_is_sent(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_new(s->nexus, READ_ONE);
    cmd->task.data_in_len = sizeof block;
    cmd->hold = true;
    cmd_submit(cmd);
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    wait_for(&cmd->responded);
    assert_false(cmd->released);
    scsi_close_nexus(g_steal_pointer(&s->nexus));
    assert_true(cmd->released);
    cmd_free(cmd);
}

/* --- what the store says ---------------------------------------------------------------------- */

static void store_errors(void **state)
{
    Scsi *s = *state;
    static const struct {
        bool write;
        int error;
        SenseCode sense;
    } cases[] = {
        {false, -EIO, SENSE_READ_ERROR},
        {true, -EIO, SENSE_WRITE_ERROR},
        {true, -ENOSPC, SENSE_SPACE_ALLOCATION_FAILED},
        {true, -EROFS, SENSE_WRITE_PROTECTED},
        {true, -EOPNOTSUPP, SENSE_INVALID_OPCODE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Cmd *cmd = cases[i].write ? start(s->nexus, WRITE_ONE, TASK_SIMPLE)
                                  : start(s->nexus, READ_ONE, TASK_SIMPLE);
        assert_int_equal(slow_waiting(), 1);
        slow_finish_all(cases[i].error);
        cmd_wait(cmd);
        assert_int_equal(cmd->in->len, 0);
        finish(cmd, cases[i].sense);
    }
}

/* The first of two segments fails: no data, no status before the second has come back. */
static void failure_while_streaming(void **state)
{
    Scsi *s = *state;
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x88, 0, 4 * MIB / 512);
    for (unsigned failing = 0; failing < 2; failing++) {
        Cmd *cmd = cmd_new(s->nexus, cdb, 16);
        cmd->task.data_in_len = 4 * MIB;
        cmd_submit(cmd);
        assert_int_equal(slow_waiting(), 2);
        slow_finish(failing, -EIO);
        wait_turns(10);
        assert_false(cmd->responded);
        slow_finish_all(0);
        cmd_wait(cmd);
        assert_int_equal(cmd->in->len, 0);
        finish(cmd, SENSE_READ_ERROR);
    }
}

static void second_segment_waits_for_the_first(void **state)
{
    Scsi *s = *state;
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x88, 0, 3 * MIB / 512);
    Cmd *cmd = cmd_new(s->nexus, cdb, 16);
    cmd->task.data_in_len = 3 * MIB;
    cmd_submit(cmd);
    assert_int_equal(slow_waiting(), 2);
    slow_finish(1, 0);
    wait_turns(10);
    assert_int_equal(cmd->in->len, 0);
    slow_finish(0, 0);
    assert_int_equal(slow_waiting(), 1);
    slow_finish(0, 0);
    cmd_wait(cmd);
    assert_int_equal(cmd->in->len, 3 * MIB);
    finish(cmd, 0);
}

static void more_than_the_engine_takes(void **state)
{
    Scsi *s = *state;
    enum { N = 250 };
    Cmd *cmds[N];
    for (unsigned i = 0; i < N; i++)
        cmds[i] = start(s->nexus, READ_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 100);
    while (slow_waiting() > 0)
        slow_finish_all(0);
    for (unsigned i = 0; i < N; i++)
        finish(cmds[i], 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(power_on_is_told_once),
        TEST(request_sense_takes_the_attention),
        TEST(unknown_lun),
        TEST(unknown_commands),
        TEST(ordered_task_waits_and_is_waited_for),
        TEST(head_of_queue_overtakes),
        TEST(many_ordered_tasks_in_order),
        TEST(abort_of_a_read_is_answered_at_once),
        TEST(abort_of_a_write_waits_for_it),
        TEST(abort_while_data_is_fetched),
        TEST(abort_of_a_blocked_task),
        TEST(what_is_not_there),
        TEST(abort_task_set_leaves_other_nexuses_alone),
        TEST(lun_reset_aborts_all_and_tells_all),
        TEST(resets_of_nexus_and_target),
        TEST(hung_write_rejects_the_function),
        TEST(closing_waits_for_the_store),
        TEST(closing_while_the_answer_is_sent),
        TEST(store_errors),
        TEST(failure_while_streaming),
        TEST(second_segment_waits_for_the_first),
        TEST(more_than_the_engine_takes),
    };
    return unit_run(tests);
}
