/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What PERSISTENT RESERVE OUT waits for: writes that it aborts, saves, other commands of its kind;
 * and what is restored from a save. */
#include "tests/unit/unit.h"

#include "tests/unit/reserve_rig.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- preempt and abort ------------------------------------------------------------------------ */

static void be_slow(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

/* As the `count`th request that the engine has. */
static Cmd *start_rw(Nexus *nexus, uint8_t opcode, unsigned count)
{
    static const uint8_t data[512];
    Cmd *cmd = cmd_new(nexus, CDB(opcode, 0, 0, 0, 0, 0, 0, 0, 1, 0));
    cmd->out = data;
    if (opcode == 0x2a)
        cmd->task.data_out_len = 512;
    else
        cmd->task.data_in_len = 512;
    cmd_submit(cmd);
    while (slow_waiting() < count)
        ;
    return cmd;
}

static void preempt_and_abort_waits_for_writes(void **state)
{
    (void)state;
    Trio t = trio_reserved(be_slow, 5, 0);
    Cmd *own = start_rw(t.a, 0x2a, 1), *write = start_rw(t.b, 0x2a, 2);
    Cmd *read = start_rw(t.b, 0x28, 3);
    OutCommand out = out_command(PR_PREEMPT_AND_ABORT, 5, KEY_A, KEY_B, 0);
    Cmd *cmd = cmd_new(t.a, out.cdb, 10);
    cmd->out = out.list;
    cmd->task.data_out_len = 24;
    cmd_submit(cmd);
    wait_turns(50);
    assert_false(cmd->responded);
    expect_state(t.c, "3: 1, type 5 by 1"); /* in force at once */
    slow_finish(1, 0);                      /* the write of B */
    cmd_wait(cmd);
    assert_int_equal(result_of(cmd), 0);
    assert_true(write->aborted);
    assert_false(own->released);
    slow_finish_all(0);
    cmd_wait(own);
    cmd_wait(read);
    assert_int_equal(result_of(own), 0);
    assert_true(read->aborted);
    cmd_free(write);
    cmd_free(read);
    expect(t.b, TUR, 0, SENSE_REGISTRATIONS_PREEMPTED);
    expect(t.b, TUR, 0, 0);
    trio_free(&t);
}

/* --- over a loss of power --------------------------------------------------------------------- */

static void restart(Trio *t)
{
    trio_free(t);
    *t = trio_new(keep_state);
}

static void aptpl_outlives_the_daemon(void **state)
{
    (void)state;
    for (unsigned type = 1; type <= 8; type++) {
        if (!reserve_type_valid(type))
            continue;
        Trio t = trio_reserved(keep_state, type, APTPL);
        restart(&t);
        g_autofree char *text = g_strdup_printf("0: 1 2, type %x by %u", type, type >= 7 ? 0 : 1);
        expect_state(t.c, text); /* PRGENERATION begins anew */
        assert_int_equal(run(t.a, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0)), 0);
        assert_int_equal(run(t.c, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0)), CONFLICT);
        /* it is still kept: what changes now is, too */
        expect_out_good(t.b, PR_REGISTER, 0, KEY_B, 0, APTPL);
        restart(&t);
        expect_state(t.c, type >= 7
                              ? (type == 7 ? "0: 1, type 7 by 0" : "0: 1, type 8 by 0")
                              : (g_free(text), text = g_strdup_printf("0: 1, type %x by 1", type)));
        expect_out_good(t.a, PR_CLEAR, 0, KEY_A, 0, 0);
        restart(&t);
        expect_state(t.c, "0:");
        trio_free(&t);
    }
}

static void without_aptpl_nothing_is_left(void **state)
{
    (void)state;
    Trio t = trio_reserved(keep_state, 1, 0);
    restart(&t);
    expect_state(t.c, "0:");
    trio_free(&t);
    t = trio_reserved(keep_state, 1, APTPL);
    expect_out_good(t.b, PR_REGISTER, 0, KEY_B, KEY_B, 0); /* the last word: no */
    restart(&t);
    expect_state(t.c, "0:");
    trio_free(&t);
}

static void damaged_file_refuses_the_lun(void **state)
{
    (void)state;
    Trio t = trio_reserved(keep_state, 1, APTPL);
    trio_free(&t);
    g_autofree char *path = state_file();
    g_autofree char *good = NULL;
    gsize len;
    assert_true(g_file_get_contents(path, &good, &len, NULL));
    Scsi *s = scsi_new(NULL); /* for its loop and memory */
    LunSpec spec = s->spec;
    spec.state = state_dir;
    for (gsize at = 0; at < len + 1; at += 7) { /* a byte changed, or the file cut off */
        g_autoptr(GError) error = NULL;
        g_autofree char *bad = g_memdup2(good, len);
        if (at < len)
            bad[at] ^= 0x04;
        g_file_set_contents(path, bad, at % 2 ? (gssize)len : (gssize)at, NULL);
        if (at % 2 && at >= len)
            continue;
        assert_null(lun_new(&spec, s->memory, &s->loop, 1, &error));
        assert_non_null(strstr(error->message, "reservations"));
        assert_true(g_file_test(path, G_FILE_TEST_EXISTS)); /* nothing is thrown away */
    }
    scsi_free(s);
    g_file_set_contents(path, good, (gssize)len, NULL);
    t = trio_new(keep_state);
    expect_state(t.c, "0: 1 2, type 1 by 1");
    expect_out_good(t.a, PR_REGISTER, 0, KEY_A, KEY_A, 0);
    trio_free(&t);
    assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void failed_save_changes_nothing(void **state)
{
    (void)state;
    Trio t = trio_reserved(keep_state, 1, APTPL);
    g_autofree char *path = state_file();
    g_unlink(path);
    g_rmdir(state_path);
    assert_int_equal(pr_out(t.a, PR_RELEASE, 1, KEY_A, 0, 0), SENSE_INTERNAL_TARGET_FAILURE);
    assert_int_equal(pr_out(t.b, PR_CLEAR, 0, KEY_B, 0, 0), SENSE_INTERNAL_TARGET_FAILURE);
    assert_int_equal(pr_out(t.c, PR_REGISTER, 0, 0, KEY_C, APTPL), SENSE_INTERNAL_TARGET_FAILURE);
    expect_state(t.c, "2: 1 2, type 1 by 1");
    expect(t.a, TUR, 0, 0);
    expect(t.b, TUR, 0, 0);
    g_mkdir(state_path, 0700);
    expect_out_good(t.a, PR_CLEAR, 0, KEY_A, 0, 0);
    trio_free(&t);
}

/* What is being saved comes into force; an abort waits for that. */
static void abort_waits_for_the_save(void **state)
{
    (void)state;
    Trio t = trio_new(keep_state);
    OutCommand out = out_command(PR_REGISTER, 0, 0, KEY_A, APTPL);
    Cmd *cmd = cmd_new(t.a, out.cdb, 10);
    cmd->task.immediate = out.list;
    cmd->task.immediate_len = cmd->task.data_out_len = 24;
    cmd_submit(cmd);
    bool done = false;
    nexus_manage(t.a, TMF_ABORT_TASK, 0, cmd->task.tag, managed, &done);
    assert_false(done);
    wait_for(&done);
    cmd_wait(cmd);
    assert_true(cmd->aborted);
    cmd_free(cmd);
    expect_state(t.a, "1: 1");
    expect_out_good(t.a, PR_CLEAR, 0, KEY_A, 0, 0);
    trio_free(&t);
}

/* Commands that come during a save are carried out after it, in order; those aborted meanwhile are
 * not. */
static void one_at_a_time(void **state)
{
    (void)state;
    Trio t = trio_new(keep_state);
    const OutCommand outs[] = {
        out_command(PR_REGISTER, 0, 0, KEY_A, APTPL),
        out_command(PR_REGISTER, 0, KEY_A, KEY_B, APTPL),
        out_command(PR_REGISTER, 0, KEY_B, KEY_C, APTPL), /* aborted */
        out_command(PR_RESERVE, 3, KEY_B, 0, 0),
    };
    Cmd *cmds[4];
    for (unsigned i = 0; i < 4; i++) {
        cmds[i] = cmd_new(t.a, outs[i].cdb, 10);
        cmds[i]->task.immediate = outs[i].list;
        cmds[i]->task.immediate_len = cmds[i]->task.data_out_len = 24;
        cmd_submit(cmds[i]);
        assert_false(cmds[i]->responded);
    }
    bool done = false;
    nexus_manage(t.a, TMF_ABORT_TASK, 0, cmds[2]->task.tag, managed, &done);
    for (unsigned i = 0; i < 4; i++) {
        cmd_wait(cmds[i]);
        assert_int_equal(cmds[i]->aborted, i == 2);
        if (i != 2)
            assert_int_equal(cmd_sense(cmds[i]), 0);
        cmd_free(cmds[i]);
    }
    assert_true(done);
    expect_state(t.a, "2: 2, type 3 by 2");
    expect_out_good(t.a, PR_CLEAR, 0, KEY_B, 0, 0);
    trio_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preempt_and_abort_waits_for_writes),
        WITH_STATE(aptpl_outlives_the_daemon),
        WITH_STATE(without_aptpl_nothing_is_left),
        WITH_STATE(damaged_file_refuses_the_lun),
        WITH_STATE(failed_save_changes_nothing),
        WITH_STATE(abort_waits_for_the_save),
        WITH_STATE(one_at_a_time),
    };
    return unit_run(tests);
}
