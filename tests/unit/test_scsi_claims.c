/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Claims on one loop: who waits for whom, in which order, and what aborts, resets, an exchange of
 * the engine and the removal of the LUN do to them. The store is slow. */
#include "tests/unit/unit.h"

#include "core/scsi/claim.h"
#include "tests/unit/scsi_fixture.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512

static uint8_t data[3 * MIB]; /* what the slow engine reads, so that everything compares */

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

static int setup(void **state)
{
    Scsi *s = scsi_new(use_slow_engine);
    memset(data, 0x5a, sizeof data);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    *state = s;
    return 0;
}

static bool moves_out(uint8_t opcode)
{
    return opcode != 0x88;
}

static Cmd *start_on(Nexus *nexus, uint8_t opcode, uint64_t lba, uint32_t blocks)
{
    uint8_t cdb[16];
    cdb_rw16(cdb, opcode, lba, blocks);
    Cmd *cmd = cmd_new(nexus, cdb, 16);
    cmd->out = data;
    if (moves_out(opcode))
        cmd->task.data_out_len = (opcode == 0x89 ? 2 : 1) * blocks * BLOCK;
    else
        cmd->task.data_in_len = blocks * BLOCK;
    cmd_submit(cmd);
    return cmd;
}

static Cmd *start(const Scsi *s, uint8_t opcode, uint64_t lba, uint32_t blocks)
{
    return start_on(s->nexus, opcode, lba, blocks);
}

enum { READ = 0x88, WRITE = 0x8a, COMPARE_AND_WRITE = 0x89, ORWRITE = 0x8b };

static void end(Cmd *cmd)
{
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), 0);
    cmd_free(cmd);
}

static void end_aborted(Cmd *cmd)
{
    cmd_wait(cmd);
    assert_true(cmd->aborted);
    cmd_free(cmd);
}

/* The store has exactly these requests. */
#define check_store(...)                                                     \
    do {                                                                     \
        const struct {                                                       \
            AioOp op;                                                        \
            uint64_t lba;                                                    \
        } wanted[] = {__VA_ARGS__};                                          \
        assert_int_equal(slow_waiting(), G_N_ELEMENTS(wanted));              \
        for (unsigned at = 0; at < G_N_ELEMENTS(wanted); at++) {             \
            assert_int_equal(slow_peek(at)->op, wanted[at].op);              \
            assert_int_equal(slow_peek(at)->offset / BLOCK, wanted[at].lba); \
        }                                                                    \
    } while (0)

/* --- order ------------------------------------------------------------------------------------ */

static void exclusive_waits_for_what_has_begun(void **state)
{
    Scsi *s = *state;
    Cmd *read = start(s, READ, 8, 2), *write = start(s, WRITE, 9, 1);
    Cmd *cw = start(s, COMPARE_AND_WRITE, 9, 1), *elsewhere = start(s, COMPARE_AND_WRITE, 10, 1);
    check_store({AIO_READ, 8}, {AIO_WRITE, 9}, {AIO_READ, 10});
    slow_finish(0, 0);
    end(read);
    check_store({AIO_WRITE, 9}, {AIO_READ, 10});
    slow_finish(0, 0);
    end(write);
    check_store({AIO_READ, 10}, {AIO_READ, 9});
    slow_finish_all(0);
    check_store({AIO_WRITE, 10}, {AIO_WRITE, 9});
    slow_finish_all(0);
    end(cw);
    end(elsewhere);
}

static void others_wait_for_exclusive(void **state)
{
    Scsi *s = *state;
    Cmd *cw = start(s, COMPARE_AND_WRITE, 100, 4);
    Cmd *held[] = {start(s, WRITE, 103, 1), start(s, READ, 90, 11), start(s, READ, 103, 9)};
    Cmd *left = start(s, READ, 99, 1), *right = start(s, WRITE, 104, 1);
    check_store({AIO_READ, 99}, {AIO_READ, 100}, {AIO_WRITE, 104});
    slow_finish(2, 0);
    slow_finish(0, 0);
    end(left);
    end(right);
    slow_finish(0, 0);
    check_store({AIO_WRITE, 100});
    slow_finish(0, 0);
    end(cw);
    check_store({AIO_READ, 90}, {AIO_READ, 103}, {AIO_WRITE, 103});
    slow_finish_all(0);
    for (unsigned i = 0; i < 3; i++)
        end(held[i]);
}

/* Exclusive, shared, exclusive on one block, and one that spans two claims. */
static void first_come_first_served(void **state)
{
    Scsi *s = *state;
    Cmd *first = start(s, COMPARE_AND_WRITE, 5, 1), *other = start(s, COMPARE_AND_WRITE, 6, 1);
    Cmd *read = start(s, READ, 5, 2), *second = start(s, COMPARE_AND_WRITE, 5, 1);
    Cmd *third = start(s, ORWRITE, 6, 1), *last = start(s, READ, 5, 1);
    check_store({AIO_READ, 5}, {AIO_READ, 6});
    slow_finish_all(0);
    check_store({AIO_WRITE, 5}, {AIO_WRITE, 6});
    slow_finish(0, 0);
    end(first);
    check_store({AIO_WRITE, 6}); /* the others wait for the READ, which waits for this one */
    slow_finish(0, 0);
    end(other);
    check_store({AIO_READ, 5});
    assert_int_equal(slow_peek(0)->len, 2 * BLOCK);
    slow_finish(0, 0);
    end(read);
    check_store({AIO_READ, 5}, {AIO_READ, 6});
    slow_finish_all(0);
    check_store({AIO_WRITE, 5}, {AIO_WRITE, 6});
    slow_finish_all(0);
    end(second);
    end(third);
    check_store({AIO_READ, 5});
    slow_finish(0, 0);
    end(last);
}

/* Between the segments of a long command nothing comes in. */
static void long_commands_are_whole(void **state)
{
    Scsi *s = *state;
    static const uint8_t opcodes[] = {READ, WRITE, ORWRITE};
    for (unsigned i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        Cmd *whole = start(s, opcodes[i], 0, sizeof data / BLOCK);
        Cmd *cw = start(s, COMPARE_AND_WRITE, 0, 1);
        Cmd *at_end = start(s, COMPARE_AND_WRITE, sizeof data / BLOCK - 1, 1);
        while (!whole->responded) {
            assert_true(slow_waiting() > 0);
            for (unsigned n = 0; n < slow_waiting(); n++)
                assert_true(slow_peek(n)->len > BLOCK);
            slow_finish(0, 0);
            wait_turns(4);
        }
        end(whole);
        check_store({AIO_READ, 0}, {AIO_READ, sizeof data / BLOCK - 1});
        slow_finish_all(0);
        assert_int_equal(slow_waiting(), 2);
        slow_finish_all(0);
        end(cw);
        end(at_end);
    }
}

/* Its blocks are in its parameter list: any. */
static void unmap_may_touch_anything(void **state)
{
    Scsi *s = *state;
    static const uint8_t list[24] = {[1] = 22, [3] = 16, [15] = 50, [19] = 8};
    Cmd *cw = start(s, COMPARE_AND_WRITE, 900, 1);
    Cmd *unmap = cmd_new(s->nexus, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0));
    unmap->out = list;
    unmap->task.data_out_len = sizeof list;
    cmd_submit(unmap);
    check_store({AIO_READ, 900});
    slow_finish(0, 0);
    check_store({AIO_WRITE, 900});
    slow_finish(0, 0);
    end(cw);
    check_store({AIO_DISCARD, 50});
    Cmd *next = start(s, COMPARE_AND_WRITE, 900, 1);
    check_store({AIO_DISCARD, 50});
    slow_finish(0, 0);
    end(unmap);
    check_store({AIO_READ, 900});
    slow_finish(0, 0);
    assert_int_equal(slow_waiting(), 1);
    slow_finish(0, 0);
    end(next);
}

/* Commands that end before they begin are not counted. */
static void failures_leave_nothing_behind(void **state)
{
    Scsi *s = *state;
    Cmd *cw = start(s, COMPARE_AND_WRITE, 1, 1);
    Cmd *miscompare = start(s, COMPARE_AND_WRITE, 1, 1);
    Cmd *beyond = start(s, COMPARE_AND_WRITE, UINT64_MAX, 255);
    cmd_wait(beyond);
    assert_int_equal(cmd_sense(beyond), SENSE_LBA_OUT_OF_RANGE);
    cmd_free(beyond);
    expect(s->nexus, CDB(0x28, 0xe0, 0, 0, 0, 1, 0, 0, 1, 0), BLOCK, SENSE_INVALID_FIELD_IN_CDB);
    check_store({AIO_READ, 1});
    data[0] = 1;
    slow_finish(0, -EIO);
    cmd_wait(cw);
    assert_int_equal(cmd_sense(cw), SENSE_READ_ERROR);
    cmd_free(cw);
    check_store({AIO_READ, 1});
    slow_finish(0, 0);
    cmd_wait(miscompare);
    assert_int_equal(cmd_sense(miscompare), SENSE_MISCOMPARE);
    cmd_free(miscompare);
    data[0] = 0x5a;
    Cmd *read = start(s, READ, 1, 1);
    check_store({AIO_READ, 1});
    slow_finish(0, 0);
    end(read);
}

/* --- aborts ----------------------------------------------------------------------------------- */

static void set_response(TmfResponse response, void *arg)
{
    assert_int_equal(response, TMF_COMPLETE);
    *(bool *)arg = true;
}

static void abort_cmd(const Scsi *s, const Cmd *cmd, bool *done)
{
    *done = false;
    nexus_manage(s->nexus, TMF_ABORT_TASK, 0, cmd->task.tag, set_response, done);
}

/* The holder's write may still reach the store: it keeps the range until that has returned. */
static void aborted_holder(void **state)
{
    Scsi *s = *state;
    bool done;
    Cmd *cw = start(s, COMPARE_AND_WRITE, 3, 1), *read = start(s, READ, 3, 1);
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    check_store({AIO_WRITE, 3});
    abort_cmd(s, cw, &done);
    wait_turns(10);
    assert_false(done);
    check_store({AIO_WRITE, 3});
    slow_finish(0, 0);
    wait_for(&done);
    end_aborted(cw);
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    end(read);
}

static void aborted_waiters(void **state)
{
    Scsi *s = *state;
    bool done;
    Cmd *holder = start(s, COMPARE_AND_WRITE, 3, 1);
    Cmd *read = start(s, READ, 3, 1), *second = start(s, COMPARE_AND_WRITE, 3, 1);
    Cmd *write = start(s, WRITE, 3, 1);
    abort_cmd(s, second, &done);
    assert_true(done);
    end_aborted(second);
    abort_cmd(s, read, &done);
    assert_true(done);
    end_aborted(read);
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    check_store({AIO_WRITE, 3});
    slow_finish(0, 0);
    end(holder);
    check_store({AIO_WRITE, 3});
    Cmd *third = start(s, COMPARE_AND_WRITE, 3, 1), *fourth = start(s, COMPARE_AND_WRITE, 3, 1);
    abort_cmd(s, third, &done); /* its turn has come, but it waits for the WRITE */
    assert_true(done);
    end_aborted(third);
    slow_finish(0, 0);
    end(write);
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    check_store({AIO_WRITE, 3});
    slow_finish(0, 0);
    end(fourth);
}

/* What others wait for is aborted: an aborted write counts until it has returned. */
static void aborted_predecessor(void **state)
{
    Scsi *s = *state;
    bool done;
    Cmd *write = start(s, WRITE, 3, 1), *cw = start(s, COMPARE_AND_WRITE, 3, 1);
    check_store({AIO_WRITE, 3});
    abort_cmd(s, write, &done);
    check_store({AIO_WRITE, 3});
    slow_finish(0, 0);
    wait_for(&done);
    end_aborted(write);
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    check_store({AIO_WRITE, 3});
    slow_finish(0, 0);
    end(cw);
}

static void reset_takes_all(void **state)
{
    Scsi *s = *state;
    bool done = false;
    Cmd *cmds[] = {start(s, COMPARE_AND_WRITE, 3, 1), start(s, READ, 3, 1),
                   start(s, COMPARE_AND_WRITE, 3, 1), start(s, WRITE, 3, 1)};
    check_store({AIO_READ, 3});
    nexus_manage(s->nexus, TMF_LOGICAL_UNIT_RESET, 0, 0, set_response, &done);
    slow_finish(0, 0);
    wait_for(&done);
    for (unsigned i = 0; i < G_N_ELEMENTS(cmds); i++)
        end_aborted(cmds[i]);
    assert_int_equal(slow_waiting(), 0);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_DEVICE_RESET);
    Cmd *read = start(s, READ, 3, 1);
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    end(read);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static Nexus *second_nexus(Scsi *s)
{
    Nexus *nexus = scsi_nexus(s);
    expect(nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    return nexus;
}

/* A connection that is lost takes a holder and waiters with it; another one goes on. */
static void lost_connection(void **state)
{
    Scsi *s = *state;
    Nexus *nexus = second_nexus(s);
    bool closed = false;
    Cmd *lost[] = {start_on(nexus, COMPARE_AND_WRITE, 3, 1), start_on(nexus, READ, 3, 1)};
    Cmd *cw = start(s, COMPARE_AND_WRITE, 3, 1);
    Cmd *late = start_on(nexus, COMPARE_AND_WRITE, 3, 1);
    Cmd *read = start(s, READ, 3, 1);
    check_store({AIO_READ, 3});
    nexus_close(nexus, set_flag, &closed);
    wait_turns(10);
    assert_false(closed); /* the engine has its buffer */
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    wait_for(&closed);
    end_aborted(lost[0]);
    end_aborted(lost[1]);
    end_aborted(late);
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    check_store({AIO_WRITE, 3});
    slow_finish(0, 0);
    end(cw);
    check_store({AIO_READ, 3});
    slow_finish(0, 0);
    end(read);
}

/* --- the LUN changes meanwhile ---------------------------------------------------------------- */

static void exchanged(Lun *lun, const GError *error, void *arg)
{
    (void)lun;
    assert_null(error);
    *(bool *)arg = true;
}

/* The gate closes between the two requests of the holder. */
static void engine_is_exchanged_meanwhile(void **state)
{
    Scsi *s = *state;
    bool done = false;
    uint8_t out[2 * BLOCK], back[BLOCK];
    uint8_t cdb[16];
    memset(out, 0x5a, BLOCK);
    memset(out + BLOCK, 0xc3, BLOCK);
    cdb_rw16(cdb, COMPARE_AND_WRITE, 3, 1);
    Cmd *cw = cmd_new(s->nexus, cdb, 16);
    cw->out = out;
    cw->task.data_out_len = sizeof out;
    cmd_submit(cw);
    Cmd *read = start(s, READ, 3, 1);
    check_store({AIO_READ, 3});
    lun_set_engine(s->lun, aio_engine_find("syslet"), &s->spec.params, AIO_BUFFERED, 60000,
                   exchanged, &done);
    wait_turns(10);
    slow_finish(0, 0);
    wait_for(&done);
    end(cw);
    cmd_wait(read);
    assert_int_equal(read->in->data[0], 0xc3);
    cmd_free(read);
    scsi_file_read(s, back, BLOCK, 3 * BLOCK);
    assert_memory_equal(back, out + BLOCK, BLOCK);
}

/* Its tasks run to their end, waiters too. */
static void lun_is_removed_meanwhile(void **state)
{
    Scsi *s = *state;
    bool removed = false, closed = false;
    Cmd *cw = start(s, COMPARE_AND_WRITE, 3, 1), *read = start(s, READ, 3, 1);
    Cmd *second = start(s, COMPARE_AND_WRITE, 3, 1);
    check_store({AIO_READ, 3});
    scsi_target_remove_lun(s->target, s->lun, set_flag, &removed);
    for (unsigned i = 0; i < 5; i++) {
        assert_false(removed);
        assert_int_equal(slow_waiting(), 1);
        slow_finish(0, 0);
    }
    end(cw);
    end(read);
    end(second);
    wait_for(&removed);
    lun_close(s->lun, set_flag, &closed);
    wait_for(&closed);
    s->spec.create = false;
    s->lun = lun_new(&s->spec, s->memory, &s->loop, 1, NULL);
    scsi_target_add_lun(s->target, s->lun);
}

/* --- claims of no task ------------------------------------------------------------------------ */

static void granted(Claim *claim, void *arg)
{
    (void)claim;
    *(bool *)arg = true;
}

/* The whole medium, as a format in the background would have it. */
static void claim_without_a_task(void **state)
{
    Scsi *s = *state;
    LunShard *shard = lun_shard(s->lun, s->loop);
    bool first = false, second = false, shared = false;
    Claim *claims[3];
    Cmd *read = start(s, READ, 1000, 1);
    claim_make(&claims[0], shard, CLAIM_EXCLUSIVE, 0, UINT64_MAX, granted, &first);
    claim_make(&claims[1], shard, CLAIM_EXCLUSIVE, 7, 1, granted, &second);
    claim_make(&claims[2], shard, CLAIM_SHARED, 8, 1, granted, &shared);
    check_store({AIO_READ, 1000});
    assert_false(first);
    slow_finish(0, 0);
    end(read);
    wait_for(&first);
    Cmd *write = start(s, WRITE, 8, 1), *cw = start(s, COMPARE_AND_WRITE, 8, 1);
    wait_turns(10);
    assert_false(second || shared);
    assert_int_equal(slow_waiting(), 0);
    claim_release(claims[0]);
    wait_for(&second);
    wait_for(&shared);
    check_store({AIO_WRITE, 8});
    slow_finish(0, 0);
    end(write);
    assert_int_equal(slow_waiting(), 0);
    claim_release(claims[1]);
    claim_release(claims[2]);
    check_store({AIO_READ, 8});
    slow_finish(0, 0);
    check_store({AIO_WRITE, 8});
    slow_finish(0, 0);
    end(cw);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exclusive_waits_for_what_has_begun),
        TEST(others_wait_for_exclusive),
        TEST(first_come_first_served),
        TEST(long_commands_are_whole),
        TEST(unmap_may_touch_anything),
        TEST(failures_leave_nothing_behind),
        TEST(aborted_holder),
        TEST(aborted_waiters),
        TEST(aborted_predecessor),
        TEST(reset_takes_all),
        TEST(lost_connection),
        TEST(engine_is_exchanged_meanwhile),
        TEST(lun_is_removed_meanwhile),
        TEST(claim_without_a_task),
    };
    return unit_run(tests);
}
