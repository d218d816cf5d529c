/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Figures made of what a report holds: rates, spreads, ratios, and what is to be said of them. */
#pragma once

#include "core/base/paired.h"
#include "tools/report/report.h"

/* Over the rounds that were measured; all 0 without any. */
typedef struct {
    unsigned count;
    double median, min, max;
} ReportSpread;

/* Of a slot that was measured. CPU: microseconds per operation, 0 where nothing was done. */
typedef double (*ReportFigure)(const ReportSlot *slot);
double slot_iops(const ReportSlot *slot);
double slot_mb_per_s(const ReportSlot *slot); /* 10^6 bytes */
double slot_cpu_us(const ReportSlot *slot);
double slot_engine_cpu_us(const ReportSlot *slot);
double slot_depth(const ReportSlot *slot);
double slot_p50_us(const ReportSlot *slot);
double slot_p99_us(const ReportSlot *slot);

ReportSpread variant_spread(const ReportSection *section, const ReportVariant *variant,
                            ReportFigure figure);
/* Latencies of all slots; g_free(). */
Histogram *variant_latency(const ReportSection *section, const ReportVariant *variant);
/* A counter per operation, all rounds together. */
double variant_per_operation(const ReportSection *section, const ReportVariant *variant,
                             const char *counter);
/* Names of the counters that some slot of the section has; interned; g_ptr_array_unref(). */
GPtrArray *section_counters(const ReportSection *section);

typedef struct {
    PairedRatio *ratios; /* of IOPS, one for each variant; of a reference: no pairs */
    double load_change;  /* see core/base/paired.h */
    bool unsteady;
    unsigned rounds; /* in which something was measured */
} ReportComparison;
ReportComparison section_compare(const ReportSection *section);
void report_comparison_clear(ReportComparison *comparison);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ReportComparison, report_comparison_clear)

/* One sentence about a variant against the baseline; g_free(). */
char *ratio_sentence(const ReportSection *section, guint variant, const PairedRatio *ratio);
/* What stands at the head of the report; g_free(). */
char *report_summary(const Report *report);
/* What to beware of in a section; g_free(); NULL: nothing. */
char *section_warning(const ReportSection *section, const ReportComparison *comparison);
