/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgt-bench: its arguments, its figures, and that it destroys nothing unasked. */
#include "tests/unit/unit.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench/load.h"
#include "tools/bench/plan.h"
#include "tools/bench/report.h"
#include "tools/bench/store.h"

static char path[256];

static int setup(void **state)
{
    (void)state;
    g_snprintf(path, sizeof(path), "%s/rtgt-bench-XXXXXX", g_getenv("TMPDIR") ?: ".");
    int fd = g_mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return unlink(path);
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* A plan from words separated by spaces, the file behind them. */
static Plan *plan_from(const char *line, GError **error)
{
    g_autofree char *whole = g_strdup_printf("rtgt-bench %s %s", line, path);
    g_auto(GStrv) words = g_strsplit(whole, " ", -1);
    int argc = (int)g_strv_length(words);
    g_autofree char **argv = g_memdup2(words, sizeof(char *) * (unsigned)(argc + 1));
    return plan_new(&argc, &argv, error);
}

static void test_plan(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Plan) plan = plan_from("--engines syslet:inline=off:threads=3,io_uring --modes "
                                     "buffered,direct --bs 64K --depth 7 --rw seqwrite",
                                     &error);
    assert_non_null(plan);
    assert_int_equal(plan->contenders->len, 4);
    const Contender *first = plan->contenders->pdata[0], *last = plan->contenders->pdata[3];
    assert_string_equal(first->label, "syslet:inline=off:threads=3");
    assert_int_equal(first->params.threads, 3);
    assert_int_equal(first->params.depth, 7);
    assert_false(first->params.inline_reads);
    assert_string_equal(last->engine->name, "io_uring");
    assert_int_equal(last->mode, AIO_DIRECT);
    assert_int_equal(plan->block, 65536);
    assert_true(plan_writes(plan));
}

static void test_bad_plans(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "--engines aio",
        "--engines syslet:inline=maybe",
        "--engines syslet:sqpoll=on",
        "--engines syslet,",
        "--modes mapped",
        "--rw read",
        "--bs 4X",
        "--bs 0",
        "--bs -4096",
        "--bs 4KB",
        "--depth 0",
        "--depth 5000",
        "--rounds 0",
        "--runtime 0",
        "--runtime nan",
        "--bs 1G --depth 2",
        "--create lots",
        "--no-such-option",
        "another-file",
        "--bs 17179869184T",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        Plan *plan = plan_from(bad[i], &error);
        if (plan)
            print_message("accepted: %s\n", bad[i]);
        assert_null(plan);
        assert_non_null(error);
    }
}

static void test_latency(void **state)
{
    (void)state;
    g_autofree Latency *latency = g_new0(Latency, 1), *both = g_new0(Latency, 1);

    assert_true(latency_quantile_us(latency, 0.5) == 0 && latency_mean_us(latency) == 0);
    for (unsigned us = 1; us <= 1000; us++)
        latency_add(latency, us * 1000);
    latency_merge(both, latency);
    latency_merge(both, latency);
    assert_int_equal(both->count, 2000);
    double median = latency_quantile_us(both, 0.5), p99 = latency_quantile_us(both, 0.99);
    assert_true(median > 490 && median < 510);
    assert_true(p99 > 975 && p99 < 1005);
    assert_true(latency_mean_us(both) > 500.4 && latency_mean_us(both) < 500.6);
    latency_add(latency, 5);
    assert_true(latency_quantile_us(latency, 0) == 0.005);
    latency_add(latency, UINT64_MAX);
    assert_true(latency_quantile_us(latency, 1) > 1e9);
}

/* An existing file is opened for writing only when that is allowed. */
static void test_writes_only_when_allowed(void **state)
{
    (void)state;
    GError *error = NULL;
    Store store;

    assert_true(g_file_set_contents(path, "precious", 8, NULL));
    Plan *plan = plan_from("--rw randwrite --bs 1 --create 1M", NULL);
    assert_non_null(plan);
    assert_false(store_open(&store, plan, &error));
    assert_non_null(strstr(error->message, "--write-allowed"));
    g_clear_error(&error);
    store_close(&store);
    plan_free(plan);
    g_autofree char *text = NULL;
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, "precious");

    plan = plan_from("--rw randread --bs 1", NULL);
    assert_true(store_open(&store, plan, &error));
    assert_true(aio_file_read_only(store.modes[AIO_BUFFERED]));
    store_close(&store);
    plan_free(plan);
}

static void test_a_run(void **state)
{
    (void)state;
    GError *error = NULL;
    Store store;
    g_autofree char *json_path = g_strconcat(path, ".json", NULL), *json = NULL;
    Plan *plan = plan_from("--create 1M --rw randrw --runtime 0.05 --rounds 1 --depth 3 "
                           "--engines syslet,libaio,null",
                           &error);

    assert_non_null(plan);
    assert_true(store_open(&store, plan, &error));
    assert_int_equal(plan->contenders->len, 2); /* libaio is not for buffered files */
    for (unsigned i = 0; i < plan->contenders->len; i++) {
        Contender *contender = plan->contenders->pdata[i];
        assert_int_equal(load_run(plan, contender, 1, &contender->rounds[0]), 0);
        assert_true(contender->rounds[0].valid);
        assert_int_equal(contender->rounds[0].errors, 0);
        assert_int_equal(contender->rounds[0].requests, contender->latency.count);
        assert_int_equal(contender->rounds[0].counters.completed, contender->latency.count);
        assert_true(contender->latency.count > 0);
    }
    assert_true(report_json(plan, json_path, &error));
    assert_true(g_file_get_contents(json_path, &json, NULL, NULL));
    assert_non_null(strstr(json, "\"engine\": \"null\""));
    assert_non_null(strstr(json, "\"ratio\": 1"));
    unlink(json_path);
    store_close(&store);
    plan_free(plan);
}

/* What Ctrl-C leaves: no figure from a round that hardly began. */
static void test_interrupted(void **state)
{
    (void)state;
    Store store;
    Plan *plan = plan_from("--create 1M --runtime 1000 --engines syslet", NULL);
    Contender *contender = plan->contenders->pdata[0];

    assert_true(store_open(&store, plan, NULL));
    load_stopped = 1;
    assert_int_equal(load_run(plan, contender, 1, &contender->rounds[0]), 0);
    load_stopped = 0;
    assert_false(contender->rounds[0].valid);
    assert_int_equal(contender->latency.count, 0);
    store_close(&store);
    plan_free(plan);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plan),  TEST(bad_plans),   TEST(latency), TEST(writes_only_when_allowed),
        TEST(a_run), TEST(interrupted),
    };
    return unit_run(tests);
}
