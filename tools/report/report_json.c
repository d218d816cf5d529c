/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything that a report holds and what is concluded from it; latencies are microseconds. */
#include "tools/report/report_json.h"

#include <json-glib/json-glib.h>
#include <math.h>

#include "tools/report/figures.h"

static void put_text(JsonBuilder *json, const char *name, const char *text)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, text);
}

static void put_number(JsonBuilder *json, const char *name, double value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_double_value(json, isnan(value) ? 0 : CLAMP(value, -G_MAXDOUBLE, G_MAXDOUBLE));
}

static void put_count(JsonBuilder *json, const char *name, uint64_t value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, (gint64)MIN(value, (uint64_t)INT64_MAX));
}

static void put_bool(JsonBuilder *json, const char *name, bool value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}

static void open_object(JsonBuilder *json, const char *name)
{
    if (name)
        json_builder_set_member_name(json, name);
    json_builder_begin_object(json);
}

static void open_array(JsonBuilder *json, const char *name)
{
    if (name)
        json_builder_set_member_name(json, name);
    json_builder_begin_array(json);
}

/* --- parts -------------------------------------------------------------------------------------*/

static void put_spread(JsonBuilder *json, const char *name, const ReportSection *section,
                       const ReportVariant *variant, ReportFigure figure)
{
    ReportSpread spread = variant_spread(section, variant, figure);

    open_object(json, name);
    put_number(json, "median", spread.median);
    put_number(json, "min", spread.min);
    put_number(json, "max", spread.max);
    json_builder_end_object(json);
}

/* [share, microseconds] along the tail: ten points for each digit of nines that there are values
 * enough for. */
static void put_curve(JsonBuilder *json, const Histogram *histogram, uint64_t count)
{
    open_array(json, "curve");
    for (int step = 0; count && step <= 60 && pow(10, step / 10.0) <= (double)count; step++) {
        double share = 1 - pow(10, -step / 10.0);
        json_builder_begin_array(json);
        json_builder_add_double_value(json, share);
        json_builder_add_double_value(json, (double)histogram_percentile(histogram, share) / 1000);
        json_builder_end_array(json);
    }
    json_builder_end_array(json);
}

static void put_latency(JsonBuilder *json, const Histogram *histogram)
{
    static const double shares[] = {0.5, 0.9, 0.99, 0.999, 1};
    static const char *const names[] = {"p50_us", "p90_us", "p99_us", "p99.9_us", "max_us"};
    uint64_t values[G_N_ELEMENTS(shares)], count = histogram_count(histogram);

    histogram_percentiles(histogram, shares, G_N_ELEMENTS(shares), values);
    put_count(json, "count", count);
    put_number(json, "mean_us", histogram_mean(histogram) / 1000);
    put_number(json, "min_us", (double)histogram_min(histogram) / 1000);
    for (guint i = 0; i < G_N_ELEMENTS(shares); i++)
        put_number(json, names[i], (double)values[i] / 1000);
    put_curve(json, histogram, count);
}

/* [nanoseconds a bucket begins at, count] */
static void put_buckets(JsonBuilder *json, const Histogram *histogram)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(histogram_to_variant(histogram));
    g_autoptr(GVariantIter) pairs = NULL;
    guint64 start, count;

    open_array(json, "buckets");
    g_variant_get(variant, HISTOGRAM_TYPE, NULL, NULL, &pairs);
    while (g_variant_iter_next(pairs, "(tt)", &start, &count)) {
        json_builder_begin_array(json);
        json_builder_add_int_value(json, (gint64)start);
        json_builder_add_int_value(json, (gint64)count);
        json_builder_end_array(json);
    }
    json_builder_end_array(json);
}

static void put_latencies(JsonBuilder *json, const ReportSection *section,
                          const ReportVariant *variant)
{
    g_autofree Histogram *all = variant_latency(section, variant);

    open_object(json, "latency");
    put_latency(json, all);
    json_builder_end_object(json);
    open_array(json, "latencies");
    for (guint i = 0; i < variant->latencies->len; i++) {
        const ReportLatency *latency = variant->latencies->pdata[i];
        open_object(json, NULL);
        put_text(json, "span", latency->span);
        put_text(json, "what", latency->what);
        put_latency(json, &latency->histogram);
        put_buckets(json, &latency->histogram);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static const char *verdict_word(PairedVerdict verdict)
{
    static const char *const words[] = {
        [PAIRED_TOO_FEW] = "too few rounds",
        [PAIRED_NO_DIFFERENCE] = "no difference",
        [PAIRED_MORE] = "more",
        [PAIRED_LESS] = "less",
    };
    return words[verdict];
}

static void put_ratio(JsonBuilder *json, const ReportSection *section, guint index,
                      const PairedRatio *ratio)
{
    const ReportVariant *variant = section->variants->pdata[index];

    if (index == 0 || variant->reference || !ratio->pairs)
        return;
    g_autofree char *sentence = ratio_sentence(section, index, ratio);
    open_object(json, "ratio");
    put_number(json, "value", ratio->ratio);
    put_number(json, "low", ratio->low);
    put_number(json, "high", ratio->high);
    put_count(json, "pairs", ratio->pairs);
    put_text(json, "verdict", verdict_word(ratio->verdict));
    put_text(json, "sentence", sentence);
    json_builder_end_object(json);
}

static void put_slot_counters(JsonBuilder *json, const ReportSlot *slot)
{
    open_object(json, "counters");
    for (guint i = 0; slot->counters && i < slot->counters->len; i++) {
        const ReportCounter *counter = &g_array_index(slot->counters, ReportCounter, i);
        put_count(json, counter->name, counter->value);
    }
    json_builder_end_object(json);
}

static void put_round(JsonBuilder *json, const ReportSection *section, guint index, unsigned round)
{
    const ReportVariant *variant = section->variants->pdata[index];
    const ReportVariant *baseline = section->variants->pdata[0];
    const ReportSlot *slot = &variant->slots[round];
    double base = baseline->slots[round].measured ? slot_iops(&baseline->slots[round]) : 0;

    open_object(json, NULL);
    put_count(json, "round", round + 1);
    put_count(json, "turn", slot->turn);
    put_number(json, "seconds", slot->seconds);
    put_count(json, "operations", slot->operations);
    put_count(json, "bytes", slot->bytes);
    put_count(json, "errors", slot->errors);
    put_number(json, "iops", slot_iops(slot));
    put_number(json, "mb_per_s", slot_mb_per_s(slot));
    put_number(json, "cpu_us", slot_cpu_us(slot));
    put_number(json, "engine_cpu_us", slot_engine_cpu_us(slot));
    put_number(json, "depth", slot->depth);
    put_number(json, "p50_us", slot_p50_us(slot));
    put_number(json, "p99_us", slot_p99_us(slot));
    if (base > 0 && !variant->reference)
        put_number(json, "ratio", slot_iops(slot) / base);
    put_slot_counters(json, slot);
    json_builder_end_object(json);
}

static void put_variant(JsonBuilder *json, const ReportSection *section, guint index,
                        const PairedRatio *ratio)
{
    const ReportVariant *variant = section->variants->pdata[index];
    g_autoptr(GPtrArray) counters = section_counters(section);

    open_object(json, NULL);
    put_text(json, "name", variant->name);
    put_bool(json, "reference", variant->reference);
    put_spread(json, "iops", section, variant, slot_iops);
    put_spread(json, "mb_per_s", section, variant, slot_mb_per_s);
    put_spread(json, "cpu_us", section, variant, slot_cpu_us);
    put_spread(json, "engine_cpu_us", section, variant, slot_engine_cpu_us);
    put_spread(json, "depth", section, variant, slot_depth);
    put_ratio(json, section, index, ratio);
    put_latencies(json, section, variant);
    open_object(json, "per_operation");
    for (guint i = 0; i < counters->len; i++)
        put_number(json, counters->pdata[i],
                   variant_per_operation(section, variant, counters->pdata[i]));
    json_builder_end_object(json);
    open_array(json, "rounds");
    for (unsigned round = 0; round < section->rounds; round++)
        if (variant->slots[round].measured)
            put_round(json, section, index, round);
    json_builder_end_array(json);
    json_builder_end_object(json);
}

static void put_section(JsonBuilder *json, const ReportSection *section)
{
    g_auto(ReportComparison) comparison = section_compare(section);
    g_autofree char *warning = section_warning(section, &comparison);

    open_object(json, NULL);
    put_text(json, "name", section->name);
    put_count(json, "rounds", section->rounds);
    put_count(json, "rounds_measured", comparison.rounds);
    put_number(json, "slot_seconds", section->slot_seconds);
    put_number(json, "load_change", comparison.load_change);
    put_bool(json, "unsteady", comparison.unsteady);
    if (warning)
        put_text(json, "warning", warning);
    open_object(json, "settings");
    for (guint i = 0; i < section->settings->len; i++) {
        const ReportFact *fact = section->settings->pdata[i];
        put_text(json, fact->name, fact->value);
    }
    json_builder_end_object(json);
    open_array(json, "variants");
    for (guint i = 0; i < section->variants->len; i++)
        put_variant(json, section, i, &comparison.ratios[i]);
    json_builder_end_array(json);
    json_builder_end_object(json);
}

static void put_facts(JsonBuilder *json, const Report *report)
{
    open_array(json, "facts");
    for (guint i = 0; i < report->facts->len; i++) {
        const ReportFact *fact = report->facts->pdata[i];
        open_object(json, NULL);
        put_text(json, "group", fact->group);
        put_text(json, "name", fact->name);
        put_text(json, "value", fact->value);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

char *report_json(const Report *report)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autofree char *summary = report_summary(report);
    g_autofree char *started = g_date_time_format_iso8601(report->started);

    open_object(json, NULL);
    put_text(json, "program", report->program);
    put_text(json, "subject", report->subject);
    put_text(json, "started", started);
    put_bool(json, "incomplete", report->incomplete);
    put_text(json, "summary", summary);
    put_facts(json, report);
    open_array(json, "sections");
    for (guint i = 0; i < report->sections->len; i++)
        put_section(json, report->sections->pdata[i]);
    json_builder_end_array(json);
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_to_string(root, FALSE);
}

bool report_write_json(const Report *report, const char *path, GError **error)
{
    g_autofree char *json = report_json(report);
    g_autofree char *line = g_strconcat(json, "\n", NULL);
    return g_file_set_contents(path, line, -1, error);
}
