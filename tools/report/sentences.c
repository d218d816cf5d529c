/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may be said of the ratios, in words. */
#include <math.h>

#include "tools/report/figures.h"

char *ratio_sentence(const ReportSection *section, guint variant, const PairedRatio *ratio)
{
    const ReportVariant *baseline = section->variants->pdata[0];
    const ReportVariant *other = section->variants->pdata[variant];
    g_autofree char *interval =
        g_strdup_printf("95 %% interval %.2f to %.2f", ratio->low, ratio->high);

    switch (ratio->verdict) {
    case PAIRED_MORE:
    case PAIRED_LESS:
        return g_strdup_printf("%s is %.2f times as fast as %s (%s).", other->name, ratio->ratio,
                               baseline->name, interval);
    case PAIRED_NO_DIFFERENCE:
        return g_strdup_printf("No difference can be shown between %s and %s (ratio %.2f, %s).",
                               other->name, baseline->name, ratio->ratio, interval);
    default:
        return g_strdup_printf("Too few rounds to say how %s compares with %s.", other->name,
                               baseline->name);
    }
}

static uint64_t count_errors(const ReportSection *section)
{
    uint64_t errors = 0;

    for (guint v = 0; v < section->variants->len; v++)
        for (unsigned i = 0; i < section->rounds; i++)
            errors += ((const ReportVariant *)section->variants->pdata[v])->slots[i].errors;
    return errors;
}

char *section_warning(const ReportSection *section, const ReportComparison *comparison)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    uint64_t errors = count_errors(section);

    if (comparison->rounds == 0)
        g_ptr_array_add(texts, g_strdup("Nothing was measured."));
    else if (!comparison->ratios[0].pairs)
        g_ptr_array_add(texts, g_strdup("There was no load."));
    else if (comparison->rounds < section->rounds)
        g_ptr_array_add(texts, g_strdup_printf("%u of %u rounds were measured.", comparison->rounds,
                                               section->rounds));
    if (comparison->unsteady)
        g_ptr_array_add(
            texts, g_strdup_printf("The load changed between rounds more than the engines differ "
                                   "(by %.0f %%): the ratios are those of a mixture of loads.",
                                   comparison->load_change * 100));
    if (errors)
        g_ptr_array_add(texts, g_strdup_printf("%" G_GUINT64_FORMAT " operations failed.", errors));
    g_ptr_array_add(texts, NULL);
    return texts->len > 1 ? g_strjoinv(" ", (char **)texts->pdata) : NULL;
}

/* What the sections have in common: how often a difference was shown, and the greatest. */
typedef struct {
    unsigned compared, shown;
    double greatest; /* distance of its logarithm from 0 */
    char *sentence;
} Summary;

static void summarise(Summary *summary, const ReportSection *section, bool several)
{
    g_auto(ReportComparison) comparison = section_compare(section);

    for (guint v = 1; v < section->variants->len; v++) {
        const PairedRatio *ratio = &comparison.ratios[v];
        if (((const ReportVariant *)section->variants->pdata[v])->reference)
            continue;
        bool shown = ratio->verdict == PAIRED_MORE || ratio->verdict == PAIRED_LESS;
        double distance = shown ? fabs(log(ratio->ratio)) : 0;
        summary->compared++;
        summary->shown += shown;
        if (summary->sentence && distance <= summary->greatest)
            continue;
        summary->greatest = distance;
        g_free(summary->sentence);
        g_autofree char *sentence = ratio_sentence(section, v, ratio);
        summary->sentence =
            several ? g_strdup_printf("%s: %s", section->name, sentence) : g_strdup(sentence);
    }
}

char *report_summary(const Report *report)
{
    g_autoptr(GString) text = g_string_new(report->incomplete ? "Incomplete. " : "");
    Summary summary = {0};

    for (guint i = 0; i < report->sections->len; i++)
        summarise(&summary, report->sections->pdata[i], report->sections->len > 1);
    if (!summary.compared)
        g_string_append(text, "There was nothing to compare.");
    else if (summary.compared == 1 || !summary.shown)
        g_string_append(text,
                        summary.compared == 1 ? summary.sentence : "No difference can be shown.");
    else
        g_string_append_printf(text,
                               "Differences can be shown in %u of %u comparisons; the "
                               "greatest: %s",
                               summary.shown, summary.compared, summary.sentence);
    g_free(summary.sentence);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
