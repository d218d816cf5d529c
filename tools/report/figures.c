/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rates of slots, medians of rounds, ratios of variants. */
#include "tools/report/figures.h"

#include <stdlib.h>

static double per_operation(const ReportSlot *slot, double value)
{
    return slot->operations ? value / (double)slot->operations : 0;
}

double slot_iops(const ReportSlot *slot)
{
    return slot->seconds > 0 ? (double)slot->operations / slot->seconds : 0;
}

double slot_mb_per_s(const ReportSlot *slot)
{
    return slot->seconds > 0 ? (double)slot->bytes / slot->seconds / 1e6 : 0;
}

double slot_cpu_us(const ReportSlot *slot)
{
    return per_operation(slot, slot->cpu_seconds * 1e6);
}

double slot_engine_cpu_us(const ReportSlot *slot)
{
    return per_operation(slot, slot->engine_cpu_seconds * 1e6);
}

double slot_depth(const ReportSlot *slot)
{
    return slot->depth;
}

double slot_p50_us(const ReportSlot *slot)
{
    return slot->latency ? (double)histogram_percentile(slot->latency, 0.5) / 1000 : 0;
}

double slot_p99_us(const ReportSlot *slot)
{
    return slot->latency ? (double)histogram_percentile(slot->latency, 0.99) / 1000 : 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

ReportSpread variant_spread(const ReportSection *section, const ReportVariant *variant,
                            ReportFigure figure)
{
    g_autofree double *values = g_new(double, section->rounds);
    unsigned n = 0;

    for (unsigned i = 0; i < section->rounds; i++)
        if (variant->slots[i].measured)
            values[n++] = figure(&variant->slots[i]);
    if (!n)
        return (ReportSpread){0};
    qsort(values, n, sizeof(*values), by_value);
    return (ReportSpread){n, (values[(n - 1) / 2] + values[n / 2]) / 2, values[0], values[n - 1]};
}

Histogram *variant_latency(const ReportSection *section, const ReportVariant *variant)
{
    Histogram *all = g_new0(Histogram, 1);

    for (unsigned i = 0; i < section->rounds; i++)
        if (variant->slots[i].measured && variant->slots[i].latency)
            histogram_merge(all, variant->slots[i].latency);
    return all;
}

static uint64_t slot_counter(const ReportSlot *slot, const char *interned)
{
    for (guint i = 0; slot->counters && i < slot->counters->len; i++) {
        const ReportCounter *counter = &g_array_index(slot->counters, ReportCounter, i);
        if (counter->name == interned)
            return counter->value;
    }
    return 0;
}

double variant_per_operation(const ReportSection *section, const ReportVariant *variant,
                             const char *counter)
{
    const char *name = g_intern_string(counter);
    uint64_t operations = 0, count = 0;

    for (unsigned i = 0; i < section->rounds; i++)
        if (variant->slots[i].measured) {
            operations += variant->slots[i].operations;
            count += slot_counter(&variant->slots[i], name);
        }
    return operations ? (double)count / (double)operations : 0;
}

GPtrArray *section_counters(const ReportSection *section)
{
    GPtrArray *names = g_ptr_array_new();

    for (guint v = 0; v < section->variants->len; v++) {
        const ReportVariant *variant = section->variants->pdata[v];
        for (unsigned i = 0; i < section->rounds; i++) {
            const GArray *counters = variant->slots[i].counters;
            for (guint c = 0; counters && c < counters->len; c++) {
                gpointer name = (gpointer)g_array_index(counters, ReportCounter, c).name;
                if (!g_ptr_array_find(names, name, NULL))
                    g_ptr_array_add(names, name);
            }
        }
    }
    return names;
}

/* --- ratios ------------------------------------------------------------------------------------*/

/* IOPS by round and compared variant, as paired_compare() wants them; g_free(). */
static double *compared_values(const ReportSection *section, unsigned compared)
{
    double *values = g_new0(double, (gsize)section->rounds *compared + 1);
    unsigned column = 0;

    for (guint v = 0; v < section->variants->len; v++) {
        const ReportVariant *variant = section->variants->pdata[v];
        if (variant->reference)
            continue;
        for (unsigned i = 0; i < section->rounds; i++)
            if (variant->slots[i].measured)
                values[i * compared + column] = slot_iops(&variant->slots[i]);
        column++;
    }
    return values;
}

static unsigned count_compared(const ReportSection *section)
{
    unsigned compared = 0;

    for (guint v = 0; v < section->variants->len; v++)
        compared += !((const ReportVariant *)section->variants->pdata[v])->reference;
    return compared;
}

static unsigned count_rounds(const ReportSection *section)
{
    unsigned rounds = 0;

    for (unsigned i = 0; i < section->rounds; i++)
        for (guint v = 0; v < section->variants->len; v++)
            if (((const ReportVariant *)section->variants->pdata[v])->slots[i].measured) {
                rounds++;
                break;
            }
    return rounds;
}

ReportComparison section_compare(const ReportSection *section)
{
    unsigned compared = count_compared(section), column = 0;
    g_autofree double *values = compared_values(section, compared);
    g_autofree PairedRatio *ratios = g_new0(PairedRatio, compared + 1);
    ReportComparison result = {
        .ratios = g_new0(PairedRatio, section->variants->len + 1),
        .load_change = paired_load_change(values, compared, section->rounds),
        .unsteady = paired_is_unsteady(values, compared, section->rounds),
        .rounds = count_rounds(section),
    };

    paired_compare(values, compared, section->rounds, ratios);
    for (guint v = 0; v < section->variants->len; v++)
        if (!((const ReportVariant *)section->variants->pdata[v])->reference)
            result.ratios[v] = ratios[column++];
    return result;
}

void report_comparison_clear(ReportComparison *comparison)
{
    g_clear_pointer(&comparison->ratios, g_free);
}
