/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgt-bench: its arguments, its figures, and that it destroys nothing unasked. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench/fio.h"
#include "tools/bench/load.h"
#include "tools/bench/plan.h"
#include "tools/bench/run.h"
#include "tools/bench/store.h"
#include "tools/bench/verify.h"
#include "tools/report/report_json.h"

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

static const Contender *contender_of(const Plan *plan, guint i)
{
    return plan->contenders->pdata[i];
}

static void test_plan(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Plan) plan = plan_from(
        "--engines syslet:inline=off:threads=3,libaio:mode=direct:depth=9,io_uring --modes "
        "buffered,direct --bs 64K,4k --depth 1,7 --rw seqwrite,seq",
        &error);
    assert_non_null(plan);
    assert_int_equal(plan->contenders->len, 5);
    assert_string_equal(contender_of(plan, 0)->label, "syslet:inline=off:threads=3:mode=buffered");
    assert_int_equal(contender_of(plan, 0)->params.threads, 3);
    assert_false(contender_of(plan, 0)->own_depth);
    assert_false(contender_of(plan, 0)->params.inline_reads);
    assert_string_equal(contender_of(plan, 2)->label, "libaio:mode=direct:depth=9");
    assert_int_equal(contender_of(plan, 2)->mode, AIO_DIRECT);
    assert_int_equal(contender_of(plan, 2)->params.depth, 9);
    assert_true(contender_of(plan, 2)->own_depth);
    assert_string_equal(contender_of(plan, 4)->engine->name, "io_uring");
    assert_int_equal(contender_of(plan, 4)->mode, AIO_DIRECT);
    assert_int_equal(plan->workloads->len, 8);
    const Workload *first = plan->workloads->pdata[0], *last = plan->workloads->pdata[7];
    assert_string_equal(first->name, "seqwrite, 64k, depth 1");
    assert_int_equal(first->block, 65536);
    assert_string_equal(last->name, "seqread, 4k, depth 7");
    assert_true(plan_writes(plan));
    assert_int_equal(plan_largest_block(plan), 65536);
    assert_int_equal(plan->rounds, 8);
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
        "--bs 4k,",
        "--depth 1,x",
        "--depth 1x",
        "--rw randread,,randrw",
        "--engines syslet:mode=mapped",
        "--verify --engines null",
        "--verify --with-fio",
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

    /* one load that writes is enough */
    plan = plan_from("--rw randread,randrw --bs 1", NULL);
    assert_false(store_open(&store, plan, &error));
    assert_non_null(strstr(error->message, "randrw would overwrite it"));
    g_clear_error(&error);
    store_close(&store);
    plan_free(plan);

    plan = plan_from("--rw randread --bs 1", NULL);
    assert_true(store_open(&store, plan, &error));
    assert_true(aio_file_read_only(store.modes[AIO_BUFFERED]));
    store_close(&store);
    plan_free(plan);
}

static void test_a_run(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    Store store;
    g_autoptr(Plan) plan = plan_from("--create 1M --rw randrw,seq --runtime 0.02 --rounds 3 "
                                     "--depth 3 --engines syslet,libaio,null",
                                     &error);

    assert_non_null(plan);
    assert_true(store_open(&store, plan, &error));
    assert_int_equal(plan->contenders->len, 2); /* libaio is not for buffered files */
    g_autoptr(Report) report = run_report(plan, &store);
    assert_true(run_plan(plan, report));
    store_close(&store);
    assert_false(report->incomplete);
    assert_int_equal(report->sections->len, 2);
    for (guint s = 0; s < 2; s++) {
        const ReportSection *section = report->sections->pdata[s];
        unsigned turns = 0;
        assert_int_equal(section->variants->len, 2);
        for (guint v = 0; v < 2; v++)
            for (unsigned round = 0; round < 3; round++) {
                const ReportVariant *variant = section->variants->pdata[v];
                const ReportSlot *slot = &variant->slots[round];
                assert_true(slot->measured && slot->operations > 0);
                assert_int_equal(slot->errors, 0);
                assert_int_equal(slot->bytes, slot->operations * 4096);
                assert_int_equal(histogram_count(slot->latency), slot->operations);
                assert_true(slot->depth > 0 && slot->depth <= 3.01);
                assert_in_range(slot->turn, 2 * round, 2 * round + 1);
                turns |= 1u << slot->turn;
            }
        assert_int_equal(turns, 0x3f); /* each has a turn of its own */
        assert_int_equal(((ReportVariant *)section->variants->pdata[0])->latencies->len, 2 - s);
    }
    g_autofree char *json = report_json(report);
    assert_non_null(strstr(json, "\"seqread, 4k, depth 3\""));
}

/* What Ctrl-C leaves: no figure from a round that hardly began, and the report says so. */
static void test_interrupted(void **state)
{
    (void)state;
    Store store;
    g_autoptr(Plan) plan = plan_from("--create 1M --runtime 1000 --engines syslet", NULL);
    g_autofree Round *round = g_new0(Round, 1);

    assert_true(store_open(&store, plan, NULL));
    load_stopped = 1;
    assert_int_equal(
        load_run(plan->workloads->pdata[0], contender_of(plan, 0), 1000, 1, NULL, round), 0);
    assert_false(round->valid);
    g_autoptr(Report) report = run_report(plan, &store);
    assert_true(run_plan(plan, report));
    load_stopped = 0;
    assert_true(report->incomplete);
    store_close(&store);
}

/* --- verification ------------------------------------------------------------------------------*/

static void test_claims(void **state)
{
    (void)state;
    char buffer[512];
    assert_true(g_file_set_contents(path, "", 0, NULL) && truncate(path, 2048 + 100) == 0);
    g_autoptr(Verify) verify = verify_new(path, 512, NULL);

    assert_non_null(verify);
    assert_true(verify_claim(verify, 3, false));
    assert_true(verify_claim(verify, 3, false));
    assert_false(verify_claim(verify, 3, true));
    verify_release(verify, 3, false);
    verify_release(verify, 3, false);
    assert_true(verify_claim(verify, 3, true));
    assert_false(verify_claim(verify, 3, true));
    assert_false(verify_claim(verify, 3, false));
    verify_fill(verify, 3, buffer);
    assert_true(verify_done(verify, 3, true, true, buffer));
    /* nobody wrote it: so says the file, and so says who reads it */
    assert_int_equal(verify_all(verify, NULL), 1);
    memset(buffer, 0, sizeof(buffer));
    assert_true(verify_claim(verify, 3, false));
    assert_false(verify_done(verify, 3, false, true, buffer));
    /* a write that failed leaves nothing to be known */
    assert_true(verify_claim(verify, 3, true));
    verify_fill(verify, 3, buffer);
    assert_true(verify_done(verify, 3, true, false, buffer));
    assert_int_equal(verify_all(verify, NULL), 0);
    assert_null(verify_new("/nonexistent", 512, NULL));
}

/* Good engines pass; a file changed behind their back does not. */
static void test_verified_runs(void **state)
{
    (void)state;
    Store store;
    g_autoptr(Plan) plan =
        plan_from("--create 1M --rw randrw,randwrite,seq --verify --runtime 0.05 --rounds 1 "
                  "--bs 8k --depth 5 --engines syslet,io_uring",
                  NULL);
    assert_non_null(plan);
    assert_true(store_open(&store, plan, NULL));
    g_autoptr(Report) report = run_report(plan, &store);
    assert_true(run_plan(plan, report));

    const Workload *sequential = plan->workloads->pdata[2];
    g_autoptr(Verify) verify = verify_new(path, sequential->block, NULL);
    g_autofree Round *round = g_new0(Round, 1);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "behind its back", 15, 10), 15);
    close(fd);
    assert_int_equal(load_run(sequential, contender_of(plan, 0), 0.05, 1, verify, round), 0);
    assert_true(round->errors > 0);
    assert_int_equal(round->first_error, -EBADMSG);
    store_close(&store);
}

/* --- fio ---------------------------------------------------------------------------------------*/

static void test_fio_results(void **state)
{
    (void)state;
    static const char json[] =
        "fio: a note\n{\"jobs\": [{\"usr_cpu\": 10.0, \"sys_cpu\": 15, \"job_runtime\": 2000,"
        "\"read\": {\"total_ios\": 3, \"runtime\": 2000, \"lat_ns\": {\"max\": 2100,"
        "\"bins\": {\"1000\": 2, \"2000\": 1}}},"
        "\"write\": {\"total_ios\": 1, \"runtime\": 1000, \"lat_ns\": {\"max\": 64,"
        "\"bins\": {\"60\": 1}}}}]}";
    static const char *const bad[] = {
        "",
        "fio: no such file",
        "{",
        "{}",
        "[]",
        "{\"jobs\": []}",
        "{\"jobs\": [1]}",
        "{\"jobs\": [{\"read\": 1, \"write\": {}}]}",
        "{\"jobs\": {}}",
    };
    g_autofree Round *round = g_new0(Round, 1);

    assert_true(fio_parse(json, round, NULL));
    assert_true(round->valid && round->seconds == 2 && round->cpu_seconds == 0.5);
    assert_int_equal(round->requests, 4);
    assert_int_equal(histogram_count(&round->reads), 3);
    assert_int_equal(histogram_percentile(&round->reads, 1), 2100);
    assert_int_equal(histogram_min(&round->writes), 60);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        assert_false(fio_parse(bad[i], round, &error));
        assert_non_null(error);
    }
}

static void test_fio_takes_part(void **state)
{
    (void)state;
    Store store;
    g_autofree char *fio = fio_find();
    g_autoptr(Plan) plan = plan_from("--create 1M --with-fio --runtime 0.1 --rounds 1", NULL);

    if (!fio)
        unit_skip("fio is not installed");
    assert_true(store_open(&store, plan, NULL));
    g_autoptr(Report) report = run_report(plan, &store);
    bool ok = run_plan(plan, report);
    store_close(&store);
    const ReportSection *section = report->sections->pdata[0];
    const ReportVariant *variant = section->variants->pdata[2];
    assert_true(variant->reference);
    assert_true(ok && variant->slots[0].measured && variant->slots[0].operations > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plan),          TEST(bad_plans),   TEST(writes_only_when_allowed),
        TEST(a_run),         TEST(interrupted), TEST(claims),
        TEST(verified_runs), TEST(fio_results), TEST(fio_takes_part),
    };
    return unit_run(tests);
}
