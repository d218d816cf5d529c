/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What crosses I/O loops: resets, unit attentions, LUNs that come and go while nexuses know them.
 */
#include "tests/unit/unit.h"

#include "core/scsi/on_loops.h"
#include "core/scsi/reserve_action.h"
#include "core/scsi/transport_id.h"
#include "tests/unit/scsi_fixture.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define LOOPS 2
#define NONE  0xffffffffu

/* One loop with a nexus of its own; touched there, looked at between two calls of on_loops(). */
typedef struct {
    Nexus *nexus;
    SenseCode sense; /* of the last TEST UNIT READY */
} Side;

static Loop *main_loop, *loops[LOOPS];
static Arena *arena;
static Memory *memory;
static ScsiTarget *target;
static Lun *lun;
static Side sides[LOOPS];
static int pending; /* answers that loops owe us */
static char *dir, *path;

static Side *side_of(const Loop *loop)
{
    return &sides[loop_index(loop) - 1];
}

static void owed(void *arg)
{
    (void)arg;
    __atomic_sub_fetch(&pending, 1, __ATOMIC_RELEASE);
}

static void expect_answers(int n)
{
    __atomic_store_n(&pending, n, __ATOMIC_RELEASE);
}

static void wait_for_answers(void)
{
    while (__atomic_load_n(&pending, __ATOMIC_ACQUIRE) > 0)
        g_main_context_iteration(NULL, FALSE);
}

static void join(Loop *loop, void *arg)
{
    (void)arg;
    const uint8_t id[24] = {TRANSPORT_SRP, [23] = (uint8_t)loop_index(loop)};
    side_of(loop)->nexus = nexus_new(target, loop, memory, "unit", id, sizeof id);
}

static void leave(Loop *loop, void *arg)
{
    (void)arg;
    nexus_close(side_of(loop)->nexus, owed, NULL);
}

/* Is answered inside the call. */
static void test_unit_ready(Loop *loop, void *arg)
{
    (void)arg;
    Side *side = side_of(loop);
    Cmd *cmd = cmd_new(side->nexus, CDB(0, 0, 0, 0, 0, 0));
    cmd_submit(cmd);
    side->sense = cmd_sense(cmd);
    cmd_free(cmd);
}

static void check_all(SenseCode sense)
{
    for (unsigned i = 0; i < LOOPS; i++) {
        sides[i].sense = NONE;
        on_loops(&loops[i], 1, test_unit_ready, NULL);
        assert_int_equal(sides[i].sense, sense);
    }
}

/* One side has it, the others have nothing. */
static void check_only(unsigned side, SenseCode sense)
{
    for (unsigned i = 0; i < LOOPS; i++) {
        on_loops(&loops[i], 1, test_unit_ready, NULL);
        assert_int_equal(sides[i].sense, i == side ? sense : 0);
    }
}

static int setup(void **state)
{
    (void)state;
    const LoopConfig config = {0};
    GError *error = NULL;
    main_loop = loop_new_main(&config);
    for (unsigned i = 0; i < LOOPS; i++)
        loops[i] = loop_new(i + 1, &config);
    arena = arena_new(&(ArenaConfig){.limit = 16 * MIB, .initial = 16 * MIB}, owed, NULL, &error);
    memory = memory_new(arena, SIZE_MAX, loops, LOOPS);
    target = scsi_target_new(SCSI_NAME, loops, LOOPS);
    dir = g_dir_make_tmp("rtgt-scsi-XXXXXX", &error);
    path = g_build_filename(dir, "lun", NULL);
    LunSpec spec = {.target_name = SCSI_NAME,
                    .path = path,
                    .size = MIB,
                    .create = true,
                    .block_size = 512,
                    .engine = aio_engine_find("syslet")};
    aio_params_init(&spec.params);
    lun = lun_new(&spec, memory, loops, LOOPS, &error);
    assert_non_null(lun);
    scsi_target_add_lun(target, lun);
    on_loops(loops, LOOPS, join, NULL);
    check_all(SENSE_POWER_ON_RESET);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    expect_answers(LOOPS);
    on_loops(loops, LOOPS, leave, NULL);
    wait_for_answers();
    if (lun) {
        expect_answers(1);
        scsi_target_remove_lun(target, lun, owed, NULL);
        wait_for_answers();
        expect_answers(1);
        lun_close(lun, owed, NULL);
        wait_for_answers();
    }
    scsi_target_free(target);
    memory_free(memory);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_free(loops[i]);
    arena_free(arena);
    loop_free(main_loop);
    g_unlink(path);
    g_rmdir(dir);
    g_free(path);
    g_free(dir);
    return 0;
}

static void managed(TmfResponse response, void *arg)
{
    *(TmfResponse *)arg = response;
    owed(NULL);
}

static TmfResponse reset_response;

static void reset_lun(Loop *loop, void *arg)
{
    (void)arg;
    nexus_manage(side_of(loop)->nexus, TMF_LOGICAL_UNIT_RESET, 0, 0, managed, &reset_response);
}

static void reset_reaches_all_loops(void **state)
{
    (void)state;
    check_all(0);
    expect_answers(1);
    on_loops(&loops[0], 1, reset_lun, NULL);
    wait_for_answers();
    assert_int_equal(reset_response, TMF_COMPLETE);
    check_all(SENSE_DEVICE_RESET);
    check_all(0);
}

static void resize_is_told_on_all_loops(void **state)
{
    (void)state;
    assert_int_equal(truncate(path, 2 * MIB), 0);
    assert_true(lun_refresh_size(lun));
    check_all(SENSE_CAPACITY_CHANGED);
}

static void removed_lun_is_gone_everywhere(void **state)
{
    (void)state;
    expect_answers(1);
    scsi_target_remove_lun(target, lun, owed, NULL);
    wait_for_answers();
    check_all(SENSE_LUN_NOT_SUPPORTED);
    expect_answers(1);
    lun_close(g_steal_pointer(&lun), owed, NULL);
    wait_for_answers();
}

/* --- reservations ----------------------------------------------------------------------------- */

/* A command that every loop runs for itself, its parameter list coming with it. */
typedef struct {
    uint8_t cdb[10], list[24];
    Cmd *cmds[LOOPS];
    int left; /* not released */
} Both;

static void submit(Loop *loop, void *arg)
{
    Both *both = arg;
    Cmd *cmd = cmd_new(side_of(loop)->nexus, both->cdb, 10);
    cmd->task.immediate = both->list;
    cmd->task.immediate_len = cmd->task.data_out_len = sizeof both->list;
    both->cmds[loop_index(loop) - 1] = cmd;
    cmd_submit(cmd);
}

static void count_left(Loop *loop, void *arg)
{
    Both *both = arg;
    const Cmd *cmd = both->cmds[loop_index(loop) - 1];
    if (cmd && !cmd->released)
        __atomic_add_fetch(&both->left, 1, __ATOMIC_RELAXED);
}

static uint8_t take_status(Both *both, unsigned side)
{
    Cmd *cmd = g_steal_pointer(&both->cmds[side]);
    uint8_t status = cmd->task.status;
    cmd_free(cmd);
    return status;
}

static void run_on(Loop *const *on, unsigned n, Both *both)
{
    on_loops(on, n, submit, both);
    do {
        both->left = 0;
        on_loops(on, n, count_left, both);
    } while (both->left > 0);
}

static Both reserve_out(ReserveAction action, unsigned type, uint64_t key, uint64_t action_key)
{
    Both both = {.cdb = {0x5f, (uint8_t)action, (uint8_t)type, [8] = 24}};
    put_be64(both.list, key);
    put_be64(both.list + 8, action_key);
    return both;
}

static uint8_t reserve_out_on(unsigned side, ReserveAction action, unsigned type, uint64_t key,
                              uint64_t action_key)
{
    Both both = reserve_out(action, type, key, action_key);
    run_on(&loops[side], 1, &both);
    return take_status(&both, side);
}

static uint8_t write_on(unsigned side)
{
    Both both = {.cdb = {0x2a}}; /* of no block */
    run_on(&loops[side], 1, &both);
    return take_status(&both, side);
}

static void reservation_counts_on_all_loops(void **state)
{
    (void)state;
    assert_int_equal(write_on(1), SCSI_GOOD);
    assert_int_equal(reserve_out_on(0, PR_REGISTER, 0, 0, 1), SCSI_GOOD);
    assert_int_equal(reserve_out_on(0, PR_RESERVE, 1, 1, 0), SCSI_GOOD);
    assert_int_equal(write_on(0), SCSI_GOOD);
    assert_int_equal(write_on(1), SCSI_RESERVATION_CONFLICT);
    assert_int_equal(reserve_out_on(1, PR_REGISTER, 0, 0, 2), SCSI_GOOD);
    assert_int_equal(write_on(1), SCSI_RESERVATION_CONFLICT);
    assert_int_equal(reserve_out_on(1, PR_PREEMPT_AND_ABORT, 1, 2, 1), SCSI_GOOD);
    assert_int_equal(write_on(1), SCSI_GOOD);
    check_only(0, SENSE_REGISTRATIONS_PREEMPTED);
    assert_int_equal(write_on(0), SCSI_RESERVATION_CONFLICT);
    assert_int_equal(reserve_out_on(1, PR_CLEAR, 0, 2, 0), SCSI_GOOD);
    assert_int_equal(write_on(0), SCSI_GOOD);
}

/* All at the same time: each command sees the others whole or not at all. */
static void reservations_race(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        Both both = reserve_out(PR_REGISTER_AND_IGNORE, 0, 0, 7);
        run_on(loops, LOOPS, &both);
        for (unsigned i = 0; i < LOOPS; i++)
            assert_int_equal(take_status(&both, i), SCSI_GOOD);
        both = reserve_out(PR_RESERVE, 3, 7, 0);
        run_on(loops, LOOPS, &both);
        unsigned got = 0;
        for (unsigned i = 0; i < LOOPS; i++)
            got += take_status(&both, i) == SCSI_GOOD;
        assert_int_equal(got, 1);
        both = (Both){.cdb = {0x2a}};
        run_on(loops, LOOPS, &both);
        for (unsigned i = 0; i < LOOPS; i++)
            got += take_status(&both, i) == SCSI_GOOD;
        assert_int_equal(got, 2); /* the holder's */
        both = reserve_out(PR_RELEASE, 3, 7, 0);
        run_on(loops, LOOPS, &both);
        for (unsigned i = 0; i < LOOPS; i++)
            assert_int_equal(take_status(&both, i), SCSI_GOOD);
    }
    /* who comes first takes the other's registration, and his commands with it */
    Both both = reserve_out(PR_PREEMPT_AND_ABORT, 3, 7, 7);
    run_on(loops, LOOPS, &both);
    for (unsigned i = 0; i < LOOPS; i++)
        cmd_free(both.cmds[i]);
    assert_int_equal(reserve_out_on(0, PR_RESERVE, 1, 7, 0), SCSI_RESERVATION_CONFLICT);
    assert_int_equal(reserve_out_on(1, PR_RESERVE, 1, 7, 0), SCSI_RESERVATION_CONFLICT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_reaches_all_loops),
        TEST(resize_is_told_on_all_loops),
        TEST(removed_lun_is_gone_everywhere),
        TEST(reservation_counts_on_all_loops),
        TEST(reservations_race),
    };
    return unit_run(tests);
}
