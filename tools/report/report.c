/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making, filling and freeing a report. */
#include "tools/report/report.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* --- freeing -----------------------------------------------------------------------------------*/

static void fact_free(gpointer data)
{
    ReportFact *fact = data;
    g_free(fact->group);
    g_free(fact->name);
    g_free(fact->value);
    g_free(fact);
}

static void section_free(gpointer data)
{
    ReportSection *section = data;

    for (guint i = 0; i < section->variants->len; i++) {
        ReportVariant *variant = section->variants->pdata[i];
        for (unsigned round = 0; round < section->rounds; round++) {
            g_clear_pointer(&variant->slots[round].counters, g_array_unref);
            g_free(variant->slots[round].latency);
        }
        g_ptr_array_unref(variant->latencies);
        g_free(variant->slots);
        g_free(variant->name);
        g_free(variant);
    }
    g_ptr_array_unref(section->variants);
    g_ptr_array_unref(section->settings);
    g_free(section->name);
    g_free(section);
}

void report_free(Report *report)
{
    if (!report)
        return;
    g_ptr_array_unref(report->sections);
    g_ptr_array_unref(report->facts);
    g_date_time_unref(report->started);
    g_free(report->subject);
    g_free(report->program);
    g_free(report);
}

/* --- making ------------------------------------------------------------------------------------*/

static char *clean(const char *text)
{
    return text ? g_utf8_make_valid(text, -1) : NULL;
}

static ReportFact *fact_new(const char *group, const char *name, const char *value)
{
    ReportFact *fact = g_new(ReportFact, 1);
    *fact = (ReportFact){clean(group), clean(name), clean(value)};
    return fact;
}

Report *report_new(const char *program, const char *subject)
{
    Report *report = g_new0(Report, 1);
    report->program = clean(program);
    report->subject = clean(subject);
    report->started = g_date_time_new_now_utc();
    report->facts = g_ptr_array_new_with_free_func(fact_free);
    report->sections = g_ptr_array_new_with_free_func(section_free);
    return report;
}

void report_fact(Report *report, const char *group, const char *name, const char *value)
{
    g_ptr_array_add(report->facts, fact_new(group, name, value));
}

ReportSection *report_section(Report *report, const char *name, unsigned rounds,
                              double slot_seconds)
{
    ReportSection *section = g_new0(ReportSection, 1);
    section->name = clean(name);
    section->rounds = rounds;
    section->slot_seconds = slot_seconds;
    section->settings = g_ptr_array_new_with_free_func(fact_free);
    section->variants = g_ptr_array_new();
    g_ptr_array_add(report->sections, section);
    return section;
}

void report_setting(ReportSection *section, const char *name, const char *value)
{
    g_ptr_array_add(section->settings, fact_new(NULL, name, value));
}

static bool has_variant(const ReportSection *section, const char *name)
{
    for (guint i = 0; i < section->variants->len; i++)
        if (strcmp(((const ReportVariant *)section->variants->pdata[i])->name, name) == 0)
            return true;
    return false;
}

/* The same engine twice is an A-A comparison: the names must differ. */
static char *unique_name(const ReportSection *section, const char *name)
{
    char *unique = clean(name);

    for (int i = 2; has_variant(section, unique); i++) {
        g_autofree char *base = clean(name);
        g_free(unique);
        unique = g_strdup_printf("%s (%d)", base, i);
    }
    return unique;
}

ReportVariant *report_variant(ReportSection *section, const char *name, bool reference)
{
    ReportVariant *variant = g_new0(ReportVariant, 1);
    variant->name = unique_name(section, name);
    variant->reference = reference;
    variant->slots = g_new0(ReportSlot, section->rounds);
    variant->latencies = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(section->variants, variant);
    return variant;
}

void report_counter(ReportSlot *slot, const char *name, uint64_t value)
{
    const ReportCounter counter = {g_intern_string(name), value};

    if (!slot->counters)
        slot->counters = g_array_new(FALSE, FALSE, sizeof(ReportCounter));
    g_array_append_val(slot->counters, counter);
}

static ReportLatency *find_latency(ReportVariant *variant, const char *span, const char *what)
{
    for (guint i = 0; i < variant->latencies->len; i++) {
        ReportLatency *latency = variant->latencies->pdata[i];
        if (latency->span == span && latency->what == what)
            return latency;
    }
    ReportLatency *latency = g_new0(ReportLatency, 1);
    latency->span = span;
    latency->what = what;
    g_ptr_array_add(variant->latencies, latency);
    return latency;
}

/* Of the spans, the one that begins first and ends last. */
static const char *widest_span(const ReportVariant *variant)
{
    const char *command = g_intern_static_string("command");

    for (guint i = 0; i < variant->latencies->len; i++) {
        const ReportLatency *latency = variant->latencies->pdata[i];
        if (latency->span == command)
            return command;
    }
    return g_intern_static_string("engine");
}

void report_latency(ReportVariant *variant, unsigned round, const char *span, const char *what,
                    const Histogram *histogram)
{
    ReportSlot *slot = &variant->slots[round];
    const char *before = widest_span(variant);
    ReportLatency *latency = find_latency(variant, g_intern_string(span), g_intern_string(what));

    histogram_merge(&latency->histogram, histogram);
    if (!slot->latency)
        slot->latency = g_new0(Histogram, 1);
    else if (before != widest_span(variant))
        memset(slot->latency, 0, sizeof(*slot->latency)); /* a wider one has come */
    if (latency->span == widest_span(variant))
        histogram_merge(slot->latency, histogram);
}

/* --- the machine -------------------------------------------------------------------------------*/

/* The value of the first line "KEY : VALUE" of a file of /proc; g_free(); NULL: none. */
static char *proc_value(const char *path, const char *key)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *colon = strchr(*line, ':');
        if (colon && g_str_has_prefix(*line, key))
            return g_strdup(g_strstrip(colon + 1));
    }
    return NULL;
}

void report_machine(Report *report)
{
    g_autofree char *model = proc_value("/proc/cpuinfo", "model name");
    g_autofree char *cpus = g_strdup_printf("%ld", sysconf(_SC_NPROCESSORS_ONLN));
    g_autofree char *memory = g_format_size_full(
        (guint64)sysconf(_SC_PHYS_PAGES) * (guint64)sysconf(_SC_PAGESIZE), G_FORMAT_SIZE_IEC_UNITS);
    struct utsname name;

    if (model)
        report_fact(report, "machine", "processor", model);
    report_fact(report, "machine", "processors online", cpus);
    report_fact(report, "machine", "memory", memory);
    if (uname(&name) == 0) {
        g_autofree char *kernel = g_strdup_printf("%s %s", name.sysname, name.release);
        report_fact(report, "machine", "kernel", kernel);
        report_fact(report, "machine", "architecture", name.machine);
    }
}
