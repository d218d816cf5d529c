/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports: the figures, the sentences, JSON that parses, and a page that no name can break. */
#include "tests/unit/unit.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "tools/report/figures.h"
#include "tools/report/progress.h"
#include "tools/report/report_json.h"
#include "tools/report/report_page.h"
#include "tools/report/report_text.h"

#define ROUNDS 8
#define EVIL   "</script><script>alert(1)</script>{{data}}\"'&\xff"

/* A slot of so many IOPS, each request 4 KiB and 1000 ns * (its number % 10 + 1). */
static void fill(ReportVariant *variant, unsigned round, uint64_t operations)
{
    ReportSlot *slot = &variant->slots[round];
    g_autofree Histogram *latency = g_new0(Histogram, 1);

    slot->measured = true;
    slot->seconds = 2;
    slot->operations = operations;
    slot->bytes = operations * 4096;
    slot->cpu_seconds = (double)operations * 3e-6;
    report_counter(slot, "hand_offs", operations / 2);
    for (uint64_t i = 0; i < operations; i++)
        histogram_record(latency, 1000 * (i % 10 + 1));
    report_latency(variant, round, "engine", "read 4k", latency);
}

static Report *sample(const char *name, double ratio)
{
    Report *report = report_new("test 1", EVIL);
    report_machine(report);
    report_fact(report, "configuration", "path", EVIL);
    ReportSection *section = report_section(report, "randread", ROUNDS, 2);
    report_setting(section, "bs", "4k");
    ReportVariant *base = report_variant(section, "syslet", false);
    ReportVariant *other = report_variant(section, name, false);
    ReportVariant *fio = report_variant(section, "fio", true);
    for (unsigned i = 0; i < ROUNDS; i++) {
        fill(base, i, 1000 + i);
        fill(other, i, (uint64_t)(ratio * (1000 + i) + (i % 2 ? 3 : -3)));
        fill(fio, i, 10);
    }
    return report;
}

static void figures_are_right(void **state)
{
    g_autoptr(Report) report = sample("io_uring", 2);
    const ReportSection *section = report->sections->pdata[0];
    const ReportVariant *base = section->variants->pdata[0];
    g_auto(ReportComparison) comparison = section_compare(section);

    (void)state;
    ReportSpread iops = variant_spread(section, base, slot_iops);
    assert_int_equal(iops.count, ROUNDS);
    assert_true(iops.median == 501.75 && iops.min == 500 && iops.max == 503.5);
    assert_true(fabs(variant_spread(section, base, slot_cpu_us).median - 3) < 1e-9);
    assert_true(fabs(variant_per_operation(section, base, "hand_offs") - 0.5) < 0.001);
    assert_true(variant_per_operation(section, base, "none") == 0);
    g_autofree Histogram *latency = variant_latency(section, base);
    assert_int_equal(histogram_count(latency), 8 * 1000 + 28);
    assert_int_equal(comparison.rounds, ROUNDS);
    assert_true(fabs(comparison.ratios[1].ratio - 2) < 0.01);
    assert_int_equal(comparison.ratios[1].verdict, PAIRED_MORE);
    assert_int_equal(comparison.ratios[2].pairs, 0); /* a reference is not compared */
    assert_false(comparison.unsteady);
}

/* With "command" there, it is what a slot's latency is about, whichever came first. */
static void the_widest_span_counts(void **state)
{
    g_autoptr(Report) report = report_new("test", "x");
    ReportSection *section = report_section(report, "load", 2, 1);
    ReportVariant *variant = report_variant(section, "syslet", false);
    Histogram inner = {0}, outer = {0};

    (void)state;
    histogram_record(&inner, 10);
    histogram_record(&outer, 50);
    for (unsigned round = 0; round < 2; round++) {
        variant->slots[round].measured = true;
        report_latency(variant, round, "engine", "read 4k", &inner);
        report_latency(variant, round, "command", "read 4k", &outer);
        report_latency(variant, round, "engine", "write 4k", &inner);
        report_latency(variant, round, "command", "write 4k", &outer);
        assert_int_equal(histogram_count(variant->slots[round].latency), 2);
        assert_int_equal(histogram_min(variant->slots[round].latency), 50);
    }
    assert_int_equal(variant->latencies->len, 4);
}

static void sentences_say_what_was_found(void **state)
{
    static const struct {
        double ratio;
        const char *sentence;
    } cases[] = {
        {1.5, "io_uring is 1.50 times as fast as syslet (95 % interval 1.50 to 1.50)."},
        {0.5, "io_uring is 0.50 times as fast as syslet (95 % interval 0.50 to 0.50)."},
        {1, "No difference can be shown between io_uring and syslet (ratio 1.00, 95 % interval "
            "1.00 to "
            "1.00)."},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Report) report = sample("io_uring", cases[i].ratio);
        g_autofree char *summary = report_summary(report);
        g_autofree char *text = report_text(report);
        assert_string_equal(summary, cases[i].sentence);
        assert_non_null(strstr(text, cases[i].sentence));
        assert_null(strstr(text, "Warning"));
    }
}

static void what_is_missing_is_said(void **state)
{
    g_autoptr(Report) report = sample("io_uring", 2);
    ReportSection *section = report->sections->pdata[0];

    (void)state;
    report->incomplete = true;
    for (guint v = 0; v < 3; v++)
        for (unsigned i = v == 0 ? 2 : 1; i < ROUNDS; i++)
            ((ReportVariant *)section->variants->pdata[v])->slots[i].measured = false;
    g_autofree char *text = report_text(report);
    g_autofree char *summary = report_summary(report);
    assert_true(g_str_has_prefix(text, "Incomplete"));
    assert_non_null(strstr(text, "2 of 8 rounds were measured."));
    assert_non_null(strstr(text, "Too few rounds"));
    assert_string_equal(summary,
                        "Incomplete. Too few rounds to say how io_uring compares with syslet.");
    ((ReportVariant *)section->variants->pdata[1])->slots[0].errors = 7;
    g_autofree char *with_errors = report_text(report);
    assert_non_null(strstr(with_errors, "2 of 8 rounds were measured. 7 operations failed."));
    report_section(report, "another", 3, 1);
    g_autofree char *json = report_json(report);
    assert_non_null(strstr(json, "Nothing was measured."));
}

static void a_changing_load_is_warned_of(void **state)
{
    g_autoptr(Report) report = sample("io_uring", 1.1);
    ReportSection *section = report->sections->pdata[0];

    (void)state;
    for (guint v = 0; v < 2; v++)
        ((ReportVariant *)section->variants->pdata[v])->slots[3].operations *= 2;
    g_autofree char *text = report_text(report);
    assert_non_null(strstr(text, "Warning: The load changed between rounds"));
}

static JsonObject *only_section(JsonNode *root)
{
    JsonArray *sections = json_object_get_array_member(json_node_get_object(root), "sections");
    assert_int_equal(json_array_get_length(sections), 1);
    return json_array_get_object_element(sections, 0);
}

static void json_has_it_all(void **state)
{
    g_autoptr(Report) report = sample("io_uring", 2);
    g_autofree char *text = report_json(report);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = json_from_string(text, &error);

    (void)state;
    assert_null(error);
    JsonArray *variants = json_object_get_array_member(only_section(root), "variants");
    assert_int_equal(json_array_get_length(variants), 3);
    JsonObject *other = json_array_get_object_element(variants, 1);
    JsonObject *ratio = json_object_get_object_member(other, "ratio");
    assert_string_equal(json_object_get_string_member(ratio, "verdict"), "more");
    assert_true(json_object_get_double_member(ratio, "low") <=
                json_object_get_double_member(ratio, "value"));
    assert_int_equal(json_array_get_length(json_object_get_array_member(other, "rounds")), ROUNDS);
    JsonObject *latency = json_object_get_object_member(other, "latency");
    assert_true(json_object_get_double_member(latency, "max_us") == 10);
    assert_true(fabs(json_object_get_double_member(latency, "p50_us") - 5) <= 5 / 64.0);
    JsonObject *kind =
        json_array_get_object_element(json_object_get_array_member(other, "latencies"), 0);
    assert_int_equal(json_array_get_length(json_object_get_array_member(kind, "buckets")), 10);
    assert_false(json_object_has_member(json_array_get_object_element(variants, 2), "ratio"));
}

static unsigned occurrences(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static void no_name_breaks_the_page(void **state)
{
    g_autoptr(Report) report = sample(EVIL, 2);
    g_autoptr(Report) plain = sample("io_uring", 2);
    g_autofree char *path = g_strdup_printf("%s/rtgt-page-%d", g_get_tmp_dir(), (int)getpid());
    g_autofree char *page = NULL, *plain_page = NULL;
    g_autoptr(GError) error = NULL;

    (void)state;
    g_free(((ReportFact *)plain->facts->pdata[plain->facts->len - 1])->value);
    ((ReportFact *)plain->facts->pdata[plain->facts->len - 1])->value = g_strdup("x");
    g_free(plain->subject);
    plain->subject = g_strdup("x");
    assert_true(report_write_page(report, path, &error));
    assert_true(g_file_get_contents(path, &page, NULL, NULL));
    assert_true(report_write_page(plain, path, &error));
    assert_true(g_file_get_contents(path, &plain_page, NULL, NULL));
    g_unlink(path);
    assert_true(g_utf8_validate(page, -1, NULL));
    assert_int_equal(occurrences(page, "</script"), occurrences(plain_page, "</script"));
    assert_int_equal(occurrences(page, "<script"), occurrences(plain_page, "<script"));
    assert_non_null(strstr(page, "\\u003c/script>\\u003cscript>alert(1)"));
    /* neither does anything of it come from elsewhere */
    assert_null(strstr(plain_page, "src=\"http"));
    assert_null(strstr(plain_page, "url(http"));
    assert_null(strstr(plain_page, "@import"));
}

static void a_page_that_cannot_be_written_is_an_error(void **state)
{
    g_autoptr(Report) report = sample("io_uring", 2);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_false(report_write_page(report, "/nonexistent/x.html", &error));
    assert_non_null(error);
    g_clear_error(&error);
    assert_false(report_write_json(report, "/nonexistent/x.json", &error));
    assert_non_null(error);
}

static void progress_has_a_bar_and_the_medians(void **state)
{
    g_autoptr(Report) report = sample("io_uring", 20);
    const ReportSection *section = report->sections->pdata[0];
    g_autofree char *line = progress_line(section, 0.5, "round 1", 200);
    g_autofree char *cut = progress_line(section, 7, "round 1", 25);

    (void)state;
    assert_string_equal(line, "[##########----------]  50 %  round 1 | syslet 502, io_uring 10.0k, "
                              "fio 5");
    assert_string_equal(cut, "[####################] 10");
}

/* The same engine twice is a comparison, too. */
static void names_are_unique(void **state)
{
    g_autoptr(Report) report = report_new("test", "x");
    ReportSection *section = report_section(report, "load", 1, 1);

    (void)state;
    assert_string_equal(report_variant(section, "syslet", false)->name, "syslet");
    assert_string_equal(report_variant(section, "syslet", false)->name, "syslet (2)");
    assert_string_equal(report_variant(section, "syslet", false)->name, "syslet (3)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_right),
        cmocka_unit_test(the_widest_span_counts),
        cmocka_unit_test(sentences_say_what_was_found),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(a_changing_load_is_warned_of),
        cmocka_unit_test(progress_has_a_bar_and_the_medians),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(json_has_it_all),
        cmocka_unit_test(no_name_breaks_the_page),
        cmocka_unit_test(a_page_that_cannot_be_written_is_an_error),
    };
    return unit_run(tests);
}
