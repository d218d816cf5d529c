/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What crosses I/O loops: resets, unit attentions, LUNs that come and go while nexuses know them.
 */
#include "tests/unit/unit.h"

#include "core/scsi/on_loops.h"
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
    side_of(loop)->nexus = nexus_new(target, loop, memory, "unit", NULL, 0);
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_reaches_all_loops),
        TEST(resize_is_told_on_all_loops),
        TEST(removed_lun_is_gone_everywhere),
    };
    return unit_run(tests);
}
