/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Experiments of a real manager on a real file: the order of the turns, what is measured, and that
 * the LUN has its own engine again however they end. */
#include "core/daemon/experiment.h"
#include "core/daemon/online.h"
#include "core/daemon/save.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/unit.h"

#include <glib/gstdio.h>
#include <string.h>

#define NAME "iqn.2026-01.org.example:a"

static const Transport *const transports[] = {&fake_transport, NULL};

typedef struct {
    char *dir, *file, *conf;
    Config *config;
    Manager *manager;
    ExportLun *lun, *null;
    unsigned added, measured, ended, removed; /* what the watcher was told */
    unsigned waiters;                         /* of experiment_remove() that were told */
} Fixture;

/* --- a manager whose watcher counts ------------------------------------------------------------*/

static void on_lun(void *arg, ExportLun *lun)
{
    (void)arg;
    (void)lun;
}

static void on_added(void *arg, Experiment *experiment)
{
    (void)experiment;
    ((Fixture *)arg)->added++;
}

static void on_changed(void *arg, Experiment *experiment)
{
    (void)arg;
    assert_non_null(experiment_state_name(experiment_state(experiment)));
}

static void on_measured(void *arg, Experiment *experiment)
{
    (void)experiment;
    ((Fixture *)arg)->measured++;
}

static void on_ended(void *arg, Experiment *experiment)
{
    (void)experiment;
    ((Fixture *)arg)->ended++;
}

static void on_removed(void *arg, Experiment *experiment)
{
    (void)experiment;
    ((Fixture *)arg)->removed++;
}

static const ManagerWatch watch = {
    .lun_removed = on_lun,
    .lun_changed = on_lun,
    .experiment_added = on_added,
    .experiment_changed = on_changed,
    .experiment_measured = on_measured,
    .experiment_ended = on_ended,
    .experiment_removed = on_removed,
};

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    g_autoptr(GError) error = NULL;
    *state = f;
    fake_reset();
    f->dir = g_dir_make_tmp("rtgt-experiment-XXXXXX", NULL);
    f->file = g_build_filename(f->dir, "store", NULL);
    f->conf = g_build_filename(f->dir, "rtgt.conf", NULL);
    g_autofree char *text =
        g_strdup_printf("[daemon]\nio-loops=2\nstate-dir=%s\n[memory]\narena=16M\nhugepages=off\n"
                        "[target " NAME "]\nallow=all\n"
                        "[lun " NAME "/0]\npath=%s\nsize=1M\ncreate=true\n"
                        "engine-options=threads=2;inline=off\n"
                        "[lun " NAME "/5]\nengine=null\nsize=1G\n",
                        f->dir, f->file);
    assert_true(g_file_set_contents(f->conf, text, -1, NULL));
    f->config = config_load(f->conf, transports, &error);
    f->manager = f->config ? manager_new(f->config, &error) : NULL;
    if (!f->manager)
        fail_msg("%s", error->message);
    manager_watch(f->manager, &watch, f);
    Export *export = manager_exports(f->manager)->pdata[0];
    f->lun = export_find_lun(export, 0);
    f->null = export_find_lun(export, 5);
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    assert_true(manager_free(f->manager, 10000));
    config_free(f->config);
    g_unlink(f->conf);
    g_unlink(f->file);
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->file);
    g_free(f->conf);
    g_free(f);
    return 0;
}

/* --- helpers -----------------------------------------------------------------------------------*/

static bool parse(ExperimentPlan *plan, const char *engines, const char *options, GError **error)
{
    g_auto(GStrv) names = g_strsplit(engines, " ", -1), words = g_strsplit(options, " ", -1);
    g_auto(ConfigSettings) settings = {g_new0(char *, 8), g_new0(char *, 8)};
    unsigned n = 0;
    for (char **word = words; *word; word++) {
        if (!**word)
            continue;
        g_auto(GStrv) parts = g_strsplit(*word, "=", 2);
        settings.keys[n] = g_strdup(parts[0]);
        settings.values[n++] = g_strdup(parts[1]);
    }
    return experiment_plan_parse(plan, (const char *const *)names, &settings, error);
}

static Experiment *start(Fixture *f, const char *engines, const char *options)
{
    g_auto(ExperimentPlan) plan = {0};
    g_autoptr(GError) error = NULL;
    if (!parse(&plan, engines, options, &error))
        fail_msg("%s", error->message);
    Experiment *experiment = experiment_start(f->manager, f->lun, &plan, &error);
    if (!experiment)
        fail_msg("%s", error->message);
    return experiment;
}

static gboolean give_up(void *arg)
{
    *(bool *)arg = true;
    return G_SOURCE_REMOVE;
}

/* Runs the main loop until the number is there. */
static void wait_for(const unsigned *number, unsigned wanted)
{
    bool late = false;
    guint timer = g_timeout_add_seconds(30, give_up, &late);
    while (*number < wanted && !late)
        g_main_context_iteration(NULL, TRUE);
    if (late)
        fail_msg("%u instead of %u", *number, wanted);
    g_source_remove(timer);
}

static void note_waiter(void *arg)
{
    ((Fixture *)arg)->waiters++;
}

static void note_done(const GError *error, void *arg)
{
    assert_null(error);
    ((Fixture *)arg)->waiters++;
}

static void assert_original(const ExportLun *lun)
{
    assert_null(lun->experiment);
    assert_false(lun->exchanging);
    assert_string_equal(lun_engine(lun->lun)->name, "syslet");
    assert_int_equal(lun_mode(lun->lun), AIO_BUFFERED);
    assert_int_equal(lun_params(lun->lun)->threads, 2);
    assert_false(lun_params(lun->lun)->inline_reads);
    assert_string_equal(lun->option_keys[0], "threads");
    assert_string_equal(lun->option_keys[1], "inline");
    assert_null(lun->option_keys[2]);
}

static uint64_t number_of(const GPtrArray *results, guint i, const char *key)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(results->pdata[i], key, NULL);
    assert_non_null(value);
    return g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32) ? g_variant_get_uint32(value)
                                                              : g_variant_get_uint64(value);
}

/* --- plans -------------------------------------------------------------------------------------*/

static void expect_refused(const char *engines, const char *options, const char *part)
{
    g_auto(ExperimentPlan) plan = {0};
    g_autoptr(GError) error = NULL;
    assert_false(parse(&plan, engines, options, &error));
    if (!strstr(error->message, part))
        fail_msg("%s: %s", engines, error->message);
    assert_true(error->domain == MANAGER_ERROR);
}

static void test_plan_refuses(void **state)
{
    (void)state;
    expect_refused("syslet", "", "2 to 16 engines");
    expect_refused("syslet nothing", "", "nothing: there is no engine nothing");
    expect_refused("syslet ", "", "there is no engine ");
    expect_refused("syslet null", "", "null: the null engine has no store");
    expect_refused("syslet syslet:inline=perhaps", "", "syslet:inline=perhaps: ");
    expect_refused("syslet libaio:inline=off", "", "libaio:inline=off: ");
    expect_refused("syslet libaio:mode=raw", "", "mode raw: must be");
    expect_refused("syslet libaio", "rounds=0", "option rounds=0");
    expect_refused("syslet libaio", "rounds=8x", "option rounds=8x");
    expect_refused("syslet libaio", "dwell-ms=0", "option dwell-ms=0");
    expect_refused("syslet libaio", "keep=perhaps", "option keep=perhaps");
    expect_refused("syslet libaio", "turns=8", "no option turns");
    expect_refused("syslet libaio syslet libaio syslet", "rounds=1000", "more than 4096 turns");
}

static void test_plan_defaults_and_options(void **state)
{
    (void)state;
    g_auto(ExperimentPlan) plan = {0}, other = {0};
    assert_true(parse(&plan, "syslet syslet:inline=off:threads=3:mode=direct", "", NULL));
    assert_int_equal(plan.rounds, 8);
    assert_int_equal(plan.dwell_ms, 1000);
    assert_int_equal(plan.settle_ms, 200);
    assert_false(plan.keep);
    const Variant *variant = plan.variants->pdata[1];
    assert_string_equal(variant->engine, "syslet");
    assert_string_equal(variant->mode, "direct");
    assert_string_equal(variant->keys[1], "threads");
    assert_string_equal(variant->values[1], "3");
    assert_null(variant->keys[2]);
    assert_null(((const Variant *)plan.variants->pdata[0])->mode);
    assert_true(
        parse(&other, "syslet libaio", "rounds=3 dwell-ms=40 settle-ms=0 seed=5 keep=on", NULL));
    assert_int_equal(other.rounds, 3);
    assert_int_equal(other.dwell_ms, 40);
    assert_int_equal(other.settle_ms, 0);
    assert_int_equal(other.seed, 5);
    assert_true(other.keep);
}

/* Every round has every variant; the first is not always the first. */
static void test_order_is_random_within_rounds(void **state)
{
    (void)state;
    g_auto(ExperimentPlan) plan = {0}, other = {0};
    assert_true(parse(&plan, "syslet libaio io_uring", "rounds=60 seed=77", NULL));
    assert_true(parse(&other, "syslet libaio io_uring", "rounds=60 seed=78", NULL));
    g_autoptr(GArray) order = experiment_plan_order(&plan), again = experiment_plan_order(&plan),
                      differs = experiment_plan_order(&other);
    unsigned first[3] = {0};
    assert_int_equal(order->len, 180);
    for (unsigned round = 0; round < 60; round++) {
        unsigned seen = 0;
        for (unsigned i = 0; i < 3; i++)
            seen |= 1u << g_array_index(order, unsigned, 3 * round + i);
        assert_int_equal(seen, 7);
        first[g_array_index(order, unsigned, 3 * round)]++;
    }
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(first[i], 8, 36);
    assert_memory_equal(order->data, again->data, 180 * sizeof(unsigned));
    assert_memory_not_equal(order->data, differs->data, 180 * sizeof(unsigned));
}

/* --- runs --------------------------------------------------------------------------------------*/

static void test_runs_to_its_end(void **state)
{
    Fixture *f = *state;
    const Experiment *experiment =
        start(f, "syslet syslet:inline=off io_uring", "rounds=2 dwell-ms=10 settle-ms=0 seed=3");
    g_autoptr(GArray) order = experiment_plan_order(experiment_plan(experiment));
    assert_int_equal(experiment_state(experiment), EXPERIMENT_RUNNING);
    assert_string_equal(experiment_original_text(experiment),
                        "syslet:mode=buffered:threads=2:inline=off");
    assert_int_equal(f->added, 1);
    wait_for(&f->ended, 1);
    assert_int_equal(experiment_state(experiment), EXPERIMENT_FINISHED);
    assert_string_equal(experiment_error(experiment), "");
    assert_original(f->lun);
    const GPtrArray *results = experiment_results(experiment);
    assert_int_equal(results->len, 6);
    assert_int_equal(f->measured, 6);
    for (guint i = 0; i < 6; i++) {
        assert_int_equal(number_of(results, i, "Slot"), i);
        assert_int_equal(number_of(results, i, "Round"), i / 3 + 1);
        assert_int_equal(number_of(results, i, "Variant"), g_array_index(order, unsigned, i));
        assert_true(number_of(results, i, "Duration") >= 9000000);
        assert_int_equal(number_of(results, i, "Reads"), 0);
        assert_true(number_of(results, i, "ProcessCpu") > 0);
        if (i > 0)
            assert_true(number_of(results, i, "Start") > number_of(results, i - 1, "Start"));
    }
}

static void test_cancel_restores(void **state)
{
    Fixture *f = *state;
    Experiment *experiment = start(f, "io_uring libaio:mode=direct", "rounds=9 dwell-ms=20");
    wait_for(&f->measured, 1);
    experiment_cancel(experiment);
    experiment_cancel(experiment);
    wait_for(&f->ended, 1);
    assert_int_equal(experiment_state(experiment), EXPERIMENT_CANCELLED);
    assert_original(f->lun);
    assert_int_equal(experiment_results(experiment)->len, f->measured);
    experiment_cancel(experiment);
    assert_int_equal(f->ended, 1);
}

static void test_cancel_before_the_first_turn(void **state)
{
    Fixture *f = *state;
    Experiment *experiment = start(f, "io_uring syslet", "rounds=1 dwell-ms=10");
    experiment_cancel(experiment);
    assert_int_equal(f->ended, 1);
    assert_original(f->lun);
}

/* Buffered files are nothing for libaio, which is seen when it is tried. */
static void test_engine_that_cannot_open(void **state)
{
    Fixture *f = *state;
    const Experiment *experiment = start(f, "io_uring libaio", "rounds=3 dwell-ms=10 settle-ms=0");
    wait_for(&f->ended, 1);
    assert_int_equal(experiment_state(experiment), EXPERIMENT_FAILED);
    if (!strstr(experiment_error(experiment), "libaio"))
        fail_msg("%s", experiment_error(experiment));
    assert_original(f->lun);
}

static void test_lun_is_removed(void **state)
{
    Fixture *f = *state;
    const Experiment *experiment = start(f, "io_uring syslet", "rounds=9 dwell-ms=20");
    wait_for(&f->measured, 1);
    online_remove_lun(f->manager, f->lun, note_done, f);
    wait_for(&f->ended, 1);
    assert_int_equal(experiment_state(experiment), EXPERIMENT_FAILED);
    assert_string_equal(experiment_error(experiment), "the LUN was removed");
    wait_for(&f->waiters, 1);
}

static void test_remove_while_it_runs(void **state)
{
    Fixture *f = *state;
    Experiment *experiment = start(f, "io_uring syslet", "rounds=9 dwell-ms=20");
    wait_for(&f->measured, 1);
    experiment_remove(experiment, note_waiter, f);
    experiment_remove(experiment, note_waiter, f);
    wait_for(&f->waiters, 2);
    assert_int_equal(f->removed, 1);
    assert_int_equal(manager_experiments(f->manager)->len, 0);
    assert_original(f->lun);
}

static void test_remove_afterwards(void **state)
{
    Fixture *f = *state;
    Experiment *experiment = start(f, "io_uring syslet", "rounds=1 dwell-ms=10 settle-ms=0");
    wait_for(&f->ended, 1);
    experiment_remove(experiment, note_waiter, f);
    assert_int_equal(f->waiters, 1);
    assert_int_equal(manager_experiments(f->manager)->len, 0);
}

/* The teardown ends the manager. */
static void test_daemon_ends_meanwhile(void **state)
{
    Fixture *f = *state;
    start(f, "io_uring syslet", "rounds=9 dwell-ms=20");
    wait_for(&f->measured, 1);
}

/* --- others at the same LUN --------------------------------------------------------------------*/

static void unexpected(ExportLun *lun, const GError *error, void *arg)
{
    (void)lun;
    (void)error;
    (void)arg;
    fail();
}

static void test_nobody_else_exchanges(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;
    const ExchangeRequest request = {.engine = "io_uring"};
    start(f, "io_uring syslet", "rounds=1 dwell-ms=10 settle-ms=0");
    assert_false(exchange_start(f->lun, &request, unexpected, NULL, &error));
    assert_int_equal(error->code, MANAGER_ERROR_BUSY);
    assert_non_null(strstr(error->message, "an experiment compares engines"));
    wait_for(&f->ended, 1);
}

static void test_one_at_a_time(void **state)
{
    Fixture *f = *state;
    g_auto(ExperimentPlan) plan = {0};
    g_autoptr(GError) error = NULL;
    start(f, "io_uring syslet", "rounds=1 dwell-ms=10 settle-ms=0");
    assert_true(parse(&plan, "syslet io_uring", "", &error));
    assert_null(experiment_start(f->manager, f->lun, &plan, &error));
    assert_int_equal(error->code, MANAGER_ERROR_BUSY);
    g_clear_error(&error);
    assert_null(experiment_start(f->manager, f->null, &plan, &error));
    assert_int_equal(error->code, MANAGER_ERROR_NOT_SUPPORTED);
    wait_for(&f->ended, 1);
}

static void test_resize_meanwhile(void **state)
{
    Fixture *f = *state;
    const Experiment *experiment = start(f, "io_uring syslet", "rounds=2 dwell-ms=30 settle-ms=30");
    wait_for(&f->measured, 1);
    while (f->lun->exchanging)
        g_main_context_iteration(NULL, TRUE);
    online_resize_lun(f->manager, f->lun, 512 << 10, true, note_done, f);
    wait_for(&f->waiters, 1);
    wait_for(&f->ended, 1);
    assert_int_equal(experiment_state(experiment), EXPERIMENT_FINISHED);
    assert_int_equal(lun_blocks(f->lun->lun), 1024);
    assert_original(f->lun);
}

/* The file keeps what the administrator chose. */
static void test_save_meanwhile(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *after = NULL;
    start(f, "io_uring io_uring:mode=direct", "rounds=2 dwell-ms=20");
    wait_for(&f->measured, 1);
    assert_string_equal(lun_engine(f->lun->lun)->name, "io_uring");
    assert_true(g_file_get_contents(f->conf, &before, NULL, NULL));
    assert_true(save_settings(f->manager, &error));
    assert_true(g_file_get_contents(f->conf, &after, NULL, NULL));
    assert_string_equal(before, after);
    wait_for(&f->ended, 1);
    assert_original(f->lun);
}

#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_refuses),
        cmocka_unit_test(test_plan_defaults_and_options),
        cmocka_unit_test(test_order_is_random_within_rounds),
        WITH_MANAGER(test_runs_to_its_end),
        WITH_MANAGER(test_cancel_restores),
        WITH_MANAGER(test_cancel_before_the_first_turn),
        WITH_MANAGER(test_engine_that_cannot_open),
        WITH_MANAGER(test_lun_is_removed),
        WITH_MANAGER(test_remove_while_it_runs),
        WITH_MANAGER(test_remove_afterwards),
        WITH_MANAGER(test_daemon_ends_meanwhile),
        WITH_MANAGER(test_nobody_else_exchanges),
        WITH_MANAGER(test_one_at_a_time),
        WITH_MANAGER(test_resize_meanwhile),
        WITH_MANAGER(test_save_meanwhile),
    };
    return unit_run(tests);
}
