/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One table for each section: medians over the rounds, latencies of all rounds together. */
#include "tools/report/report_text.h"

#include "tools/ctl/table.h"
#include "tools/report/figures.h"

#define COLUMNS 12
static const char *const headings[] = {"ENGINE", ">IOPS",    ">MB/s", ">P50",   ">P99",
                                       ">P99.9", ">MAX",     ">CPU",  ">HANDS", ">WAKES",
                                       ">RATIO", "INTERVAL", NULL};

static void add_figure(Table *table, int digits, double value)
{
    table_add(table, g_strdup_printf("%.*f", digits, value));
}

static void add_latency(Table *table, const ReportSection *section, const ReportVariant *variant)
{
    static const double shares[] = {0.5, 0.99, 0.999, 1};
    g_autofree Histogram *latency = variant_latency(section, variant);
    uint64_t values[G_N_ELEMENTS(shares)];

    histogram_percentiles(latency, shares, G_N_ELEMENTS(shares), values);
    for (guint i = 0; i < G_N_ELEMENTS(shares); i++)
        add_figure(table, 1, (double)values[i] / 1000);
}

static void add_ratio(Table *table, const ReportSection *section, guint index,
                      const PairedRatio *ratio)
{
    const ReportVariant *variant = section->variants->pdata[index];

    if (index == 0 || variant->reference || !ratio->pairs) {
        table_add(table, g_strdup(index == 0 ? "1" : ""));
        table_add(table, g_strdup(index == 0 ? "baseline" : variant->reference ? "reference" : ""));
        return;
    }
    add_figure(table, 3, ratio->ratio);
    table_add(table,
              ratio->verdict == PAIRED_TOO_FEW
                  ? g_strdup("")
                  : g_strdup_printf("%.3f .. %.3f%s", ratio->low, ratio->high,
                                    ratio->verdict == PAIRED_NO_DIFFERENCE ? ", not shown" : ""));
}

static void add_row(Table *table, const ReportSection *section, guint index,
                    const PairedRatio *ratio)
{
    const ReportVariant *variant = section->variants->pdata[index];

    table_add(table, g_strdup(variant->name));
    add_figure(table, 0, variant_spread(section, variant, slot_iops).median);
    add_figure(table, 1, variant_spread(section, variant, slot_mb_per_s).median);
    add_latency(table, section, variant);
    add_figure(table, 2, variant_spread(section, variant, slot_cpu_us).median);
    add_figure(table, 2, variant_per_operation(section, variant, "hand_offs"));
    add_figure(table, 2, variant_per_operation(section, variant, "wake_ups"));
    add_ratio(table, section, index, ratio);
}

static void append_section(GString *out, const ReportSection *section)
{
    g_auto(ReportComparison) comparison = section_compare(section);
    g_autoptr(Table) table = table_new(COLUMNS, headings);
    g_autofree char *warning = section_warning(section, &comparison);

    g_string_append_printf(out, "%s: %u rounds of %g s\n", section->name, comparison.rounds,
                           section->slot_seconds);
    for (guint i = 0; i < section->variants->len; i++)
        add_row(table, section, i, &comparison.ratios[i]);
    g_autofree char *text = table_print(table);
    g_string_append(out, text);
    for (guint i = 1; i < section->variants->len; i++) {
        if (((const ReportVariant *)section->variants->pdata[i])->reference)
            continue;
        g_autofree char *sentence = ratio_sentence(section, i, &comparison.ratios[i]);
        g_string_append_printf(out, "%s\n", sentence);
    }
    if (warning)
        g_string_append_printf(out, "Warning: %s\n", warning);
    g_string_append_c(out, '\n');
}

char *report_text(const Report *report)
{
    GString *out = g_string_new(report->incomplete ? "Incomplete: it was ended early.\n\n" : NULL);

    for (guint i = 0; i < report->sections->len; i++)
        append_section(out, report->sections->pdata[i]);
    g_string_append(out,
                    "IOPS, MB/s (10^6 bytes), CPU: medians of the rounds. Latencies (P50 to MAX) "
                    "and CPU per operation:\nmicroseconds. HANDS, WAKES: requests given to a "
                    "thread and threads woken, per operation. RATIO: of IOPS\nto the baseline "
                    "in the same round, with its 95 % interval; not shown: no difference can be "
                    "shown.\n");
    return g_string_free(out, FALSE);
}
