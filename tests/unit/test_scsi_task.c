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

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

/* --- a store that does not answer ------------------------------------------------------------- */

static int setup_impatient(void **state)
{
    tmf_timeout_ms = 50;
    return setup(state);
}

static int teardown_impatient(void **state)
{
    int res = scsi_teardown(state);
    tmf_timeout_ms = 30000;
    return res;
}

static void expect_status(Nexus *nexus, const uint8_t *cdb, unsigned len, TaskAttribute attribute,
                          uint8_t status)
{
    Cmd *cmd = start(nexus, cdb, len, attribute);
    assert_true(cmd->responded); /* at once */
    assert_int_equal(cmd->task.status, status);
    cmd_wait(cmd);
    cmd_free(cmd);
}

static void wait_for_the_mark(const Scsi *s)
{
    while (!lun_hung(s->lun))
        g_main_context_iteration(NULL, TRUE);
}

static void hung_write_rejects_the_function(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, cmd->task.tag), TMF_REJECTED);
    assert_false(cmd->released);
    assert_true(lun_hung(s->lun));
    slow_finish_all(0);
    finish_aborted(cmd);
    assert_false(lun_hung(s->lun));
}

/* Whoever asks again must not hear that the task is gone. */
static void abort_again_waits_again(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    uint64_t tag = cmd->task.tag;
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, tag), TMF_REJECTED);
    Answer task = {0}, set = {0}, lun = {0};
    nexus_manage(s->nexus, TMF_ABORT_TASK, 0, tag, answered, &task);
    nexus_manage(s->nexus, TMF_CLEAR_TASK_SET, 0, 0, answered, &set);
    nexus_manage(s->nexus, TMF_LOGICAL_UNIT_RESET, 0, 0, answered, &lun);
    assert_int_equal(manage(s->nexus, TMF_QUERY_TASK, tag), TMF_COMPLETE); /* it is aborted */
    assert_false(task.done || set.done || lun.done);
    slow_finish_all(0);
    wait_for(&task.done);
    wait_for(&set.done);
    wait_for(&lun.done);
    assert_int_equal(task.response, TMF_COMPLETE);
    assert_int_equal(set.response, TMF_COMPLETE);
    assert_int_equal(lun.response, TMF_COMPLETE);
    finish_aborted(cmd);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, tag), TMF_TASK_NOT_FOUND);
}

static void hung_lun_is_busy_until_its_store_answers(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    Cmd *read = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *write = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 2);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK_SET, 0), TMF_REJECTED);
    expect_status(s->nexus, READ_ONE, TASK_SIMPLE, SCSI_BUSY);
    expect_status(s->nexus, WRITE_ONE, TASK_ORDERED, SCSI_BUSY); /* not behind those that hang */
    expect_status(other, TUR, TASK_SIMPLE, SCSI_BUSY);
    expect(other, CDB(0x12, 0, 0, 0, 36, 0), 36, 0); /* INQUIRY needs no store */
    slow_finish(0, 0);
    finish_aborted(read);
    assert_true(lun_hung(s->lun)); /* for the other one */
    slow_finish_all(-EIO);
    finish_aborted(write);
    assert_false(lun_hung(s->lun));
    expect(other, TUR, 0, 0);
    scsi_close_nexus(other);
}

/* An abort of a read is answered at once; that its buffer does not come back is a mark too. */
static void orphaned_reads_mark_the_lun(void **state)
{
    Scsi *s = *state;
    Cmd *first = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *second = start(s->nexus, READ_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 2);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, first->task.tag), TMF_COMPLETE);
    assert_false(lun_hung(s->lun));
    wait_for_the_mark(s);
    slow_finish(0, 0);
    finish_aborted(first);
    assert_false(lun_hung(s->lun)); /* second was not aborted: nobody has lost patience */
    slow_finish_all(0);
    finish(second, 0);
}

static void orphans_that_come_back_in_time_leave_no_mark(void **state)
{
    Scsi *s = *state;
    tmf_timeout_ms = 30000;
    for (unsigned i = 0; i < 3; i++) {
        Cmd *cmd = start(s->nexus, READ_ONE, TASK_SIMPLE);
        assert_int_equal(slow_waiting(), 1);
        assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, cmd->task.tag), TMF_COMPLETE);
        slow_finish_all(0);
        finish_aborted(cmd);
        assert_false(lun_hung(s->lun));
    }
}

static void closing_marks_a_hung_lun(void **state)
{
    Scsi *s = *state;
    Nexus *leaving = scsi_nexus(s);
    bool closed = false;
    expect(leaving, TUR, 0, SENSE_POWER_ON_RESET);
    Cmd *write = start(leaving, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 1);
    nexus_close(leaving, set_flag, &closed);
    wait_for_the_mark(s);
    assert_false(closed); /* its buffer is lent */
    expect_status(s->nexus, READ_ONE, TASK_SIMPLE, SCSI_BUSY);
    slow_finish_all(0);
    wait_for(&closed);
    finish_aborted(write);
    expect(s->nexus, TUR, 0, 0);
}

/* --- requests that the engine does not have --------------------------------------------------- */

static void exchanged(Lun *lun, const GError *error, void *arg)
{
    (void)lun;
    assert_null(error);
    *(bool *)arg = true;
}

static void abort_at_the_closed_gate(void **state)
{
    Scsi *s = *state;
    bool done = false;
    Cmd *running = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 1);
    lun_set_engine(s->lun, aio_engine_find("syslet"), &s->spec.params, AIO_BUFFERED, 60000,
                   exchanged, &done);
    wait_turns(10);
    Cmd *held[3];
    for (unsigned i = 0; i < 3; i++)
        held[i] = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, held[2]->task.tag), TMF_COMPLETE);
    finish_aborted(held[2]);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, held[0]->task.tag), TMF_COMPLETE);
    finish_aborted(held[0]);
    Cmd *last = start(s->nexus, WRITE_ONE, TASK_SIMPLE); /* the queue's end is as it should be */
    slow_finish_all(0);
    wait_for(&done);
    finish(running, 0);
    finish(held[1], 0);
    finish(last, 0);
}

static void abort_before_the_engine_has_room(void **state)
{
    Scsi *s = *state;
    enum { N = 101 };
    Cmd *cmds[N];
    for (unsigned i = 0; i < N; i++)
        cmds[i] = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), N - 1);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, cmds[N - 1]->task.tag), TMF_COMPLETE);
    finish_aborted(cmds[N - 1]);
    slow_finish_all(0);
    for (unsigned i = 0; i < N - 1; i++)
        finish(cmds[i], 0);
    assert_int_equal(slow_waiting(), 0);
}

/* --- order after an abort --------------------------------------------------------------------- */

static void abort_of_a_blocked_task_lets_the_next_start(void **state)
{
    Scsi *s = *state;
    Cmd *running = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *ordered = start(s->nexus, READ_ONE, TASK_ORDERED);
    Cmd *simple = start(s->nexus, READ_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, ordered->task.tag), TMF_COMPLETE);
    finish_aborted(ordered);
    assert_int_equal(slow_waiting(), 2);
    slow_finish_all(0);
    finish(running, 0);
    finish(simple, 0);
}

/* Blocked tasks that are aborted with the one they wait for never start. */
static void abort_task_set_starts_nothing(void **state)
{
    Scsi *s = *state;
    Cmd *running = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *ordered = start(s->nexus, WRITE_ONE, TASK_ORDERED);
    Cmd *simple = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK_SET, 0), TMF_COMPLETE);
    finish_aborted(ordered);
    finish_aborted(simple);
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    finish_aborted(running);
}

/* What an aborted write has begun is over before an ordered task behind it starts. */
static void ordered_task_waits_for_an_aborted_write(void **state)
{
    Scsi *s = *state;
    Answer answer = {0};
    Cmd *write = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    Cmd *ordered = start(s->nexus, READ_ONE, TASK_ORDERED);
    assert_int_equal(slow_waiting(), 1);
    nexus_manage(s->nexus, TMF_ABORT_TASK, 0, write->task.tag, answered, &answer);
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    wait_for(&answer.done);
    finish_aborted(write);
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    finish(ordered, 0);
}

static void heads_of_queue_do_not_starve_an_ordered_task(void **state)
{
    Scsi *s = *state;
    Cmd *simple = start(s->nexus, READ_ONE, TASK_SIMPLE), *heads[20];
    Cmd *ordered = start(s->nexus, READ_ONE, TASK_ORDERED);
    Cmd *behind = start(s->nexus, READ_ONE, TASK_SIMPLE);
    for (unsigned i = 0; i < G_N_ELEMENTS(heads); i++)
        heads[i] = start(s->nexus, READ_ONE, TASK_HEAD_OF_QUEUE);
    assert_int_equal(slow_waiting(), 1 + G_N_ELEMENTS(heads));
    slow_finish_all(0);
    finish(simple, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(heads); i++)
        finish(heads[i], 0);
    assert_int_equal(slow_waiting(), 1); /* the ordered one, and alone */
    slow_finish_all(0);
    finish(ordered, 0);
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    finish(behind, 0);
}

/* --- aborts by a command (PREEMPT AND ABORT) ---------------------------------------------------
 */

typedef struct {
    bool done;
    TmfResponse response;
    bool freed;
    const Nexus *match;
} Preempt;

static Preempt preempt;

static bool is_the_one(const Nexus *nexus, const void *arg)
{
    return nexus == ((const Preempt *)arg)->match;
}

static void preempt_freed(void *arg)
{
    ((Preempt *)arg)->freed = true;
}

static void preempted(Task *task, TmfResponse response)
{
    preempt.done = true;
    preempt.response = response;
    assert_int_equal(task->state, TASK_RUNNING);
}

static void preempt_begin(Task *task, const Nexus *whose)
{
    preempt = (Preempt){.match = whose};
    tmf_abort_nexuses(task, is_the_one, &preempt, preempt_freed, SENSE_COMMANDS_CLEARED, preempted);
}

static void a_command_aborts_those_of_another_nexus(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s), *third = scsi_nexus(s);
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    expect(third, TUR, 0, SENSE_POWER_ON_RESET);
    Cmd *self = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *write = start(other, WRITE_ONE, TASK_SIMPLE);
    Cmd *spared = start(third, READ_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 3);
    preempt_begin(&self->task, other);
    wait_turns(10);
    assert_false(preempt.done);
    slow_finish(2, 0); /* the write, whose data had to come first */
    wait_for(&preempt.done);
    assert_int_equal(preempt.response, TMF_COMPLETE);
    assert_true(preempt.freed);
    finish_aborted(write);
    slow_finish_all(0);
    finish(self, 0);
    finish(spared, 0);
    expect(other, TUR, 0, SENSE_COMMANDS_CLEARED);
    expect(third, TUR, 0, 0);
    expect(s->nexus, TUR, 0, 0);
    scsi_close_nexus(other);
    scsi_close_nexus(third);
}

/* Its own nexus may be among those it preempts; it spares itself. */
static void a_command_spares_itself(void **state)
{
    Scsi *s = *state;
    Cmd *self = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *sibling = start(s->nexus, READ_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 2);
    preempt_begin(&self->task, s->nexus);
    wait_for(&preempt.done);
    slow_finish_all(0);
    finish_aborted(sibling);
    finish(self, 0);
    expect(s->nexus, TUR, 0, 0); /* its own doing is no news */
}

static void a_command_that_aborts_is_aborted(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    Cmd *self = start(s->nexus, READ_ONE, TASK_SIMPLE);
    Cmd *write = start(other, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 2);
    preempt_begin(&self->task, other);
    assert_int_equal(manage(s->nexus, TMF_ABORT_TASK, self->task.tag), TMF_COMPLETE);
    slow_finish(0, 0);
    wait_turns(10);
    assert_false(self->released); /* the abort of the others still needs it */
    slow_finish_all(0);
    finish_aborted(write);
    finish_aborted(self);
    assert_false(preempt.done);
    scsi_close_nexus(other);
}

static void a_command_that_aborts_loses_its_nexus(void **state)
{
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    bool closed = false;
    expect(other, TUR, 0, SENSE_POWER_ON_RESET);
    Cmd *self = start(other, READ_ONE, TASK_SIMPLE);
    Cmd *write = start(s->nexus, WRITE_ONE, TASK_SIMPLE);
    assert_int_equal(slow_waiting(), 2);
    preempt_begin(&self->task, s->nexus);
    nexus_close(other, set_flag, &closed);
    slow_finish(0, 0);
    wait_for(&closed);
    finish_aborted(self);
    slow_finish_all(0);
    wait_for(&preempt.freed);
    finish_aborted(write);
    assert_false(preempt.done);
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

#define TEST(fn)      cmocka_unit_test_setup_teardown(fn, setup, scsi_teardown)
#define IMPATIENT(fn) cmocka_unit_test_setup_teardown(fn, setup_impatient, teardown_impatient)

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
        IMPATIENT(hung_write_rejects_the_function),
        IMPATIENT(abort_again_waits_again),
        IMPATIENT(hung_lun_is_busy_until_its_store_answers),
        IMPATIENT(orphaned_reads_mark_the_lun),
        IMPATIENT(orphans_that_come_back_in_time_leave_no_mark),
        IMPATIENT(closing_marks_a_hung_lun),
        TEST(abort_at_the_closed_gate),
        TEST(abort_before_the_engine_has_room),
        TEST(abort_of_a_blocked_task_lets_the_next_start),
        TEST(abort_task_set_starts_nothing),
        TEST(ordered_task_waits_for_an_aborted_write),
        TEST(heads_of_queue_do_not_starve_an_ordered_task),
        TEST(a_command_aborts_those_of_another_nexus),
        TEST(a_command_spares_itself),
        TEST(a_command_that_aborts_is_aborted),
        TEST(a_command_that_aborts_loses_its_nexus),
        TEST(closing_waits_for_the_store),
        TEST(closing_while_the_answer_is_sent),
        TEST(store_errors),
        TEST(failure_while_streaming),
        TEST(second_segment_waits_for_the_first),
        TEST(more_than_the_engine_takes),
    };
    return unit_run(tests);
}
