/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Latencies of commands and of requests to the engine: which histogram, how many, how long. */
#include "core/scsi/latency.h"
#include "tests/unit/scsi_fixture.h"
#include "tests/unit/unit.h"

static void size_classes(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *name;
    } cases[] = {
        {0, "4k"},        {512, "4k"},      {4096, "4k"},      {4097, "16k"},
        {16384, "16k"},   {16385, "64k"},   {65536, "64k"},    {65537, "256k"},
        {262144, "256k"}, {262145, "more"}, {1 << 20, "more"}, {UINT64_C(1) << 40, "more"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        for (unsigned operation = LATENCY_READ; operation <= LATENCY_WRITE; operation++) {
            unsigned series = latency_series(operation, cases[i].bytes);
            assert_true(series < LATENCY_SERIES);
            assert_int_equal(latency_operation(series), operation);
            assert_string_equal(latency_size_name(series), cases[i].name);
        }
    unsigned other = latency_series(LATENCY_OTHER, UINT64_C(1) << 30);
    assert_int_equal(other, LATENCY_SERIES - 1);
    assert_int_equal(latency_operation(other), LATENCY_OTHER);
    assert_string_equal(latency_size_name(other), "");
}

static uint64_t count_of(const LatencySums *sums, LatencyWhat what, unsigned series)
{
    const Histogram *histogram = sums->histograms[what][series];
    return histogram ? histogram_count(histogram) : 0;
}

static void read_blocks(Scsi *s, uint32_t blocks)
{
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x88, 0, blocks);
    cmd_free(cmd_run(s->nexus, cdb, 16, blocks * 512));
    wait_turns(2); /* the round that sends the answer ends */
}

static void every_command_is_counted_once(void **state)
{
    Scsi *s = *state;
    g_auto(LatencySums) before = {0}, sums = {0};
    LunStats stats;
    wait_turns(2);
    lun_add_latency(s->lun, &before);
    for (unsigned i = 0; i < 3; i++)
        read_blocks(s, 8);
    read_blocks(s, 9);
    expect_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), (uint8_t[512]){1}, 512, 0);
    expect(s->nexus, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0);
    expect(s->nexus, CDB(0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0), 512, SENSE_LBA_OUT_OF_RANGE);
    wait_turns(2);
    lun_add_latency(s->lun, &sums);
    lun_get_stats(s->lun, &stats);
    latency_sums_subtract(&sums, &before);

    assert_int_equal(count_of(&sums, LATENCY_COMMAND, latency_series(LATENCY_READ, 4096)), 4);
    assert_int_equal(count_of(&sums, LATENCY_COMMAND, latency_series(LATENCY_READ, 4608)), 1);
    assert_int_equal(count_of(&sums, LATENCY_COMMAND, latency_series(LATENCY_WRITE, 512)), 1);
    assert_int_equal(count_of(&sums, LATENCY_COMMAND, latency_series(LATENCY_OTHER, 0)), 1);
    assert_int_equal(stats.reads, 5);
    assert_int_equal(count_of(&sums, LATENCY_ENGINE, latency_series(LATENCY_READ, 4096)), 3);
    assert_int_equal(count_of(&sums, LATENCY_ENGINE, latency_series(LATENCY_READ, 4608)), 1);
    assert_int_equal(count_of(&sums, LATENCY_ENGINE, latency_series(LATENCY_WRITE, 512)), 1);
    assert_int_equal(count_of(&sums, LATENCY_ENGINE, latency_series(LATENCY_OTHER, 0)), 1);
    assert_true(latency_sums_time(&sums, LATENCY_COMMAND) >
                latency_sums_time(&sums, LATENCY_ENGINE) / 2);
}

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

/* What the engine keeps for a while, is in both. */
static void time_is_that_of_the_engine(void **state)
{
    (void)state;
    Scsi *s = scsi_new(use_slow_engine);
    g_auto(LatencySums) sums = {0};
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    Cmd *cmd = cmd_new(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0));
    cmd->task.data_in_len = 4096;
    cmd_submit(cmd);
    while (slow_waiting() == 0)
        g_main_context_iteration(NULL, TRUE);
    gint64 begun = g_get_monotonic_time();
    while (g_get_monotonic_time() < begun + 3000) /* what is measured here, is time */
        g_main_context_iteration(NULL, FALSE);
    slow_finish_all(0);
    cmd_wait(cmd);
    cmd_free(cmd);
    wait_turns(2);
    lun_add_latency(s->lun, &sums);
    const Histogram *engine = sums.histograms[LATENCY_ENGINE][latency_series(LATENCY_READ, 4096)];
    const Histogram *command = sums.histograms[LATENCY_COMMAND][latency_series(LATENCY_READ, 4096)];
    assert_true(engine->sum >= 3000000);
    assert_true(command->sum >= engine->sum);

    g_autoptr(GVariant) text = g_variant_ref_sink(latency_sums_to_variant(&sums));
    assert_string_equal(g_variant_get_type_string(text), "a(sss" HISTOGRAM_TYPE ")");
    bool found = false;
    for (gsize i = 0; i < g_variant_n_children(text); i++) {
        const char *what, *operation, *size;
        g_autoptr(GVariant) histogram = NULL;
        Histogram back;
        g_variant_get_child(text, i, "(&s&s&s@" HISTOGRAM_TYPE ")", &what, &operation, &size,
                            &histogram);
        if (g_strcmp0(what, "engine") != 0 || g_strcmp0(operation, "read") != 0)
            continue;
        assert_string_equal(size, "4k");
        assert_true(histogram_from_variant(&back, histogram));
        assert_int_equal(back.sum, engine->sum);
        found = true;
    }
    assert_true(found);
    scsi_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_classes),
        cmocka_unit_test_setup_teardown(every_command_is_counted_once, scsi_setup, scsi_teardown),
        cmocka_unit_test(time_is_that_of_the_engine),
    };
    return unit_run(tests);
}
