/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What keeps EXTENDED COPY out of a LUN, or makes it wait: reservations, access states, the medium,
 * claims, operations, stores that hang. */
#include "tests/unit/unit.h"

#include "core/scsi/alua.h"
#include "core/scsi/claim.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/tmf.h"
#include "tests/unit/copy_fixture.h"

#include <string.h>

enum { BLOCK = 512, PART_BLOCKS = 512, OWN = COPY_MANAGER_LUN_ID };

#define LUN_1           (UINT64_C(1) << 48)
#define TUR             CDB(0, 0, 0, 0, 0, 0)
#define PR_OUT(a, type) CDB(0x5f, a, type, 0, 0, 0, 0, 0, 24, 0)

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

static int setup(void **state)
{
    *state = copy_rig_new(NULL);
    return 0;
}

static int setup_slow(void **state)
{
    *state = copy_rig_new(use_slow_engine);
    return 0;
}

static int teardown(void **state)
{
    copy_rig_free(*state);
    return 0;
}

static Cmd *start_on_second(Nexus *nexus, const uint8_t *cdb, unsigned len, const uint8_t *out,
                            uint32_t out_len)
{
    Cmd *cmd = cmd_new(nexus, cdb, len);
    cmd->task.lun = LUN_1;
    cmd->out = out;
    cmd->task.data_out_len = out_len;
    cmd_submit(cmd);
    return cmd;
}

static SenseCode on_second(Nexus *nexus, const uint8_t *cdb, unsigned len, const uint8_t *out,
                           uint32_t out_len)
{
    Cmd *cmd = start_on_second(nexus, cdb, len, out, out_len);
    cmd_wait(cmd);
    SenseCode sense = cmd_sense(cmd);
    cmd_free(cmd);
    return sense;
}

static Nexus *stranger_of_second(const CopyRig *rig)
{
    Nexus *nexus = nexus_new(rig->s->target, rig->s->loop, rig->s->memory, "stranger",
                             (const uint8_t *)"\x05\0\0\x0cstranger\0\0\0\0", 16);
    assert_int_equal(on_second(nexus, TUR, NULL, 0), SENSE_POWER_ON_RESET);
    return nexus;
}

/* One segment from the one to the other LUN, the command going to LUN 0. */
static Cmd *start(const CopyRig *rig, bool to_second, uint64_t from, uint64_t to, unsigned blocks)
{
    g_autofree List *list = list_new();
    list_add_cscd(list, rig->second);
    list->data[0] = 0;
    list->data[1] = COPY_ID_NONE << 3;
    list_add_segment(list, to_second ? OWN : 0, to_second ? 0 : OWN, from, to, blocks);
    return copy_start(rig->s->nexus, list);
}

/* What the LUN at the other end is said to have answered: its status and, with CHECK CONDITION, its
 * sense code; 0 where the copy is good. */
typedef struct {
    uint8_t status;
    SenseCode code;
} Said;

static Said finish(Cmd *cmd, bool to_second)
{
    Said said = {0};
    cmd_wait(cmd);
    if (cmd_sense(cmd) != 0) {
        const uint8_t *sense = cmd->task.sense;
        assert_int_equal(cmd_sense(cmd), SENSE_THIRD_PARTY_DEVICE_FAILURE);
        assert_int_equal(sense[to_second ? 9 : 8], 18);
        said.status = sense[18];
        if (said.status == SCSI_CHECK_CONDITION)
            said.code = SENSE_CODE(sense[19 + 2], sense[19 + 12], sense[19 + 13]);
    }
    cmd_free(cmd);
    return said;
}

static void expect_said(Cmd *cmd, bool to_second, uint8_t status, SenseCode code)
{
    Said said = finish(cmd, to_second);
    assert_int_equal(said.status, status);
    assert_int_equal(said.code, code);
}

/* --- reservations ----------------------------------------------------------------------------- */

static void reservation_of_somebody_else(void **state)
{
    const CopyRig *rig = *state;
    Nexus *stranger = stranger_of_second(rig);
    uint8_t list[24] = {[15] = 1};
    lun_fill(rig->s->lun, 1, 0, 8 * BLOCK);
    lun_fill(rig->second, 2, 0, 8 * BLOCK);
    assert_int_equal(on_second(stranger, PR_OUT(0, 0), list, 24), 0);
    put_be64(list, 1);
    assert_int_equal(on_second(stranger, PR_OUT(1, 1), list, 24), 0); /* write exclusive */
    expect_said(start(rig, true, 0, 0, 8), true, SCSI_RESERVATION_CONFLICT, 0);
    expect_said(start(rig, false, 0, 100, 8), false, 0, 0);
    lun_check(rig->second, 2, 0, 8 * BLOCK);
    assert_int_equal(on_second(stranger, PR_OUT(2, 1), list, 24), 0);
    assert_int_equal(on_second(stranger, PR_OUT(1, 3), list, 24), 0); /* exclusive access */
    expect_said(start(rig, false, 0, 100, 8), false, SCSI_RESERVATION_CONFLICT, 0);
    assert_int_equal(on_second(stranger, PR_OUT(2, 3), list, 24), 0);
    expect_said(start(rig, true, 0, 0, 8), true, 0, 0);
    lun_check(rig->second, 1, 0, 8 * BLOCK);
    scsi_close_nexus(stranger);
}

static void reserve_6_of_somebody_else(void **state)
{
    const CopyRig *rig = *state;
    Nexus *stranger = stranger_of_second(rig);
    assert_int_equal(on_second(stranger, CDB(0x16, 0, 0, 0, 0, 0), NULL, 0), 0);
    expect_said(start(rig, true, 0, 0, 8), true, SCSI_RESERVATION_CONFLICT, 0);
    expect_said(start(rig, false, 0, 0, 8), false, SCSI_RESERVATION_CONFLICT, 0);
    scsi_close_nexus(stranger); /* which ends it */
    expect_said(start(rig, true, 0, 0, 8), true, 0, 0);
}

/* --- the state of the LUN --------------------------------------------------------------------- */

static void stopped_medium(void **state)
{
    const CopyRig *rig = *state;
    assert_int_equal(on_second(rig->s->nexus, TUR, NULL, 0), SENSE_POWER_ON_RESET);
    assert_int_equal(on_second(rig->s->nexus, CDB(0x1b, 0, 0, 0, 0, 0), NULL, 0), 0);
    expect_said(start(rig, true, 0, 0, 8), true, SCSI_CHECK_CONDITION, SENSE_START_REQUIRED);
    expect_said(start(rig, false, 0, 0, 8), false, SCSI_CHECK_CONDITION, SENSE_START_REQUIRED);
    assert_int_equal(on_second(rig->s->nexus, CDB(0x1b, 0, 0, 0, 1, 0), NULL, 0), 0);
    expect_said(start(rig, true, 0, 0, 8), true, 0, 0);
}

/* The path turns bad between two parts. */
static void access_state(void **state)
{
    CopyRig *rig = *state;
    Cmd *cmd = start(rig, true, 0, 0, 3 * PART_BLOCKS);
    assert_int_equal(slow_waiting(), 2);
    assert_true(scsi_target_set_alua_state(rig->s->target, 1, ALUA_STANDBY));
    while (slow_waiting() > 0) /* the two parts to their end */
        slow_finish_all(0);
    expect_said(cmd, false, SCSI_CHECK_CONDITION, SENSE_PORT_STANDBY);
    assert_true(scsi_target_set_alua_state(rig->s->target, 1, ALUA_OPTIMIZED));
}

static void format_waits_for_copies(void **state)
{
    CopyRig *rig = *state;
    assert_int_equal(on_second(rig->s->nexus, TUR, NULL, 0), SENSE_POWER_ON_RESET);
    Cmd *copy = start(rig, true, 0, 0, 3 * PART_BLOCKS);
    assert_int_equal(slow_waiting(), 2);
    slow_finish(0, 0); /* a write is in the engine, and a read */
    Cmd *format = start_on_second(rig->s->nexus, CDB(0x04, 0, 0, 0, 0, 0), NULL, 0);
    wait_turns(50);
    for (unsigned i = 0; i < slow_waiting(); i++)
        assert_int_not_equal(slow_peek(i)->op, AIO_WRITE_ZEROES);
    slow_finish_all(0); /* the third part is not begun any more */
    assert_int_equal(slow_waiting(), 1);
    slow_finish_all(0);
    expect_said(copy, true, SCSI_CHECK_CONDITION, SENSE_FORMAT_IN_PROGRESS);
    while (!format->released) {
        if (slow_waiting() == 0 && !format->released)
            g_main_context_iteration(NULL, TRUE);
        slow_finish_all(0);
    }
    assert_int_equal(cmd_sense(format), 0);
    cmd_free(format);
}

/* --- claims ----------------------------------------------------------------------------------- */

typedef struct {
    Claim *claim;
    bool granted;
} Held;

static void granted(Claim *claim, void *arg)
{
    (void)claim;
    ((Held *)arg)->granted = true;
}

/* Exclusively, of the LUN's first part. */
static void hold(Held *held, const CopyRig *rig, Lun *lun)
{
    *held = (Held){0};
    claim_make(&held->claim, lun_shard(lun, rig->s->loop), CLAIM_EXCLUSIVE, 0, PART_BLOCKS, granted,
               held);
}

static size_t memory_in_use(const CopyRig *rig)
{
    MemoryStats stats;
    memory_get_stats(rig->s->memory, &stats);
    return stats.admitted;
}

static void part_waits_without_memory(void **state)
{
    const CopyRig *rig = *state;
    Lun *const luns[] = {rig->s->lun, rig->second};
    for (unsigned i = 0; i < 2; i++) {
        Held held, next;
        hold(&held, rig, luns[i]);
        wait_for(&held.granted);
        Cmd *cmd = start(rig, true, 0, 0, PART_BLOCKS);
        assert_int_equal(slow_waiting(), 0);
        assert_int_equal(memory_in_use(rig), 0);
        claim_release(held.claim);
        assert_int_equal(slow_waiting(), 1);
        hold(&next, rig, luns[i]);
        assert_int_equal(slow_waiting(), 1);
        assert_false(next.granted); /* by the read, or for the write to come */
        slow_finish_all(0);
        assert_int_equal(slow_waiting(), 1);
        assert_true(next.granted == (i == 0)); /* it is read, but not written */
        slow_finish_all(0);
        expect_said(cmd, true, 0, 0);
        assert_true(next.granted);
        claim_release(next.claim);
    }
}

/* From the first blocks of a LUN to its last ones: neither may be torn. */
static void part_within_a_lun(void **state)
{
    const CopyRig *rig = *state;
    Held held;
    g_autofree List *list = list_new();
    list_add_segment(list, OWN, OWN, 0, 10000, 8);
    hold(&held, rig, rig->s->lun);
    wait_for(&held.granted);
    Cmd *cmd = copy_start(rig->s->nexus, list);
    assert_int_equal(slow_waiting(), 0);
    claim_release(held.claim);
    assert_int_equal(slow_waiting(), 1);
    hold(&held, rig, rig->s->lun);
    slow_finish_all(0);
    assert_int_equal(slow_waiting(), 1);
    assert_false(held.granted);
    slow_finish_all(0);
    expect_said(cmd, true, 0, 0);
    wait_for(&held.granted);
    claim_release(held.claim);
}

/* Copies both ways, and between them in each queue one who wants everything for itself. */
static void no_circle(void **state)
{
    const CopyRig *rig = *state;
    Held first[2], second[2];
    hold(&first[0], rig, rig->s->lun);
    hold(&first[1], rig, rig->second);
    Cmd *there = start(rig, true, 0, 0, PART_BLOCKS), *back = start(rig, false, 0, 0, PART_BLOCKS);
    hold(&second[0], rig, rig->s->lun);
    hold(&second[1], rig, rig->second);
    wait_for(&first[0].granted);
    wait_for(&first[1].granted);
    claim_release(first[1].claim);
    wait_turns(20);
    hold(&first[1], rig, rig->second);
    claim_release(first[0].claim);
    Held *const held[] = {&second[0], &second[1], &first[1]};
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(slow_waiting() < 3);
        slow_finish_all(0);
        for (unsigned k = 0; k < G_N_ELEMENTS(held); k++)
            if (held[k]->claim && held[k]->granted)
                claim_release(g_steal_pointer(&held[k]->claim));
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(held); k++)
        assert_null(held[k]->claim);
    expect_said(there, true, 0, 0);
    expect_said(back, false, 0, 0);
}

static void answered(TmfResponse response, void *arg)
{
    assert_int_equal(response, TMF_COMPLETE);
    *(bool *)arg = true;
}

static void aborted_while_it_waits(void **state)
{
    const CopyRig *rig = *state;
    Lun *const luns[] = {rig->s->lun, rig->second};
    for (unsigned i = 0; i < 2; i++) {
        Held held;
        bool done = false;
        hold(&held, rig, luns[i]);
        wait_for(&held.granted);
        Cmd *cmd = start(rig, true, 0, 0, PART_BLOCKS);
        nexus_manage(rig->s->nexus, TMF_ABORT_TASK, 0, cmd->task.tag, answered, &done);
        wait_for(&done);
        cmd_wait(cmd);
        assert_true(cmd->aborted);
        cmd_free(cmd);
        claim_release(held.claim);
        for (unsigned l = 0; l < 2; l++)
            assert_true(g_queue_is_empty(&luns[l]->claims));
    }
    assert_int_equal(slow_waiting(), 0);
}

/* --- a store that hangs ----------------------------------------------------------------------- */

static void ignore(TmfResponse response, void *arg)
{
    (void)response, (void)arg;
}

static void await_hung(Lun *lun)
{
    while (!lun_hung(lun))
        g_main_context_iteration(NULL, TRUE);
}

/* It is the LUN whose store has the request that hangs, not that of the command. */
static void hung_destination(void **state)
{
    const CopyRig *rig = *state;
    static const TmfFunction functions[] = {TMF_ABORT_TASK, TMF_LOGICAL_UNIT_RESET};
    tmf_timeout_ms = 50;
    assert_int_equal(on_second(rig->s->nexus, TUR, NULL, 0), SENSE_POWER_ON_RESET);
    for (unsigned i = 0; i < G_N_ELEMENTS(functions); i++) {
        Cmd *cmd = start(rig, true, 0, 0, PART_BLOCKS);
        assert_int_equal(slow_waiting(), 1);
        slow_finish(0, 0);
        assert_int_equal(slow_waiting(), 1); /* the write */
        nexus_manage(rig->s->nexus, functions[i], i == 0 ? 0 : LUN_1, cmd->task.tag, ignore, NULL);
        await_hung(rig->second);
        assert_false(lun_hung(rig->s->lun));
        expect(rig->s->nexus, TUR, 0, 0);
        expect_said(start(rig, true, 0, 0, 8), true, SCSI_BUSY, 0);
        Cmd *busy = start_on_second(rig->s->nexus, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL, 0);
        cmd_wait(busy);
        assert_int_equal(busy->task.status, i == 0 ? SCSI_BUSY : SCSI_CHECK_CONDITION);
        cmd_free(busy);
        slow_finish_all(0);
        cmd_wait(cmd);
        assert_true(cmd->aborted == (i == 0));
        cmd_free(cmd);
        assert_false(lun_hung(rig->second));
    }
    tmf_timeout_ms = 30000;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define SLOW(name) cmocka_unit_test_setup_teardown(name, setup_slow, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reservation_of_somebody_else),
        TEST(reserve_6_of_somebody_else),
        TEST(stopped_medium),
        SLOW(access_state),
        SLOW(format_waits_for_copies),
        SLOW(part_waits_without_memory),
        SLOW(part_within_a_lun),
        SLOW(no_circle),
        SLOW(aborted_while_it_waits),
        SLOW(hung_destination),
    };
    return unit_run(tests);
}
