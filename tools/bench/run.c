/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rounds in which all contenders take their turn in random order. */
#include "tools/bench/run.h"

#include <config.h>
#include <gio/gio.h>
#include <stdio.h>

#include "tools/bench/fio.h"
#include "tools/bench/load.h"
#include "tools/report/progress.h"

/* One load under way. */
typedef struct {
    const Plan *plan;
    const Workload *workload;
    ReportSection *section;
    Verify *verify;
    GRand *random;
    char *fio;      /* NULL: does not take part */
    unsigned first; /* slots of the loads before this one */
    unsigned slots, all_slots;
    Round *round; /* large: reused */
} Run;

G_GNUC_PRINTF(3, 4)
static bool complain(const Run *run, const char *who, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    progress_clear();
    fprintf(stderr, "rtgt-bench: %s: %s: %s\n", run->workload->name, who, text);
    return false;
}

/* --- one slot ----------------------------------------------------------------------------------*/

static void note_counters(ReportSlot *slot, const AioCounters *c)
{
    report_counter(slot, "inline_hits", c->inline_hits);
    report_counter(slot, "inline_shorts", c->inline_shorts);
    report_counter(slot, "inline_misses", c->inline_misses);
    report_counter(slot, "hand_offs", c->hand_offs);
    report_counter(slot, "wake_ups", c->wake_ups);
    report_counter(slot, "event_writes", c->event_writes);
    report_counter(slot, "submit_calls", c->submit_calls);
    report_counter(slot, "bounced", c->bounced);
}

static void note_latency(const Run *run, ReportVariant *variant, unsigned round,
                         const char *operation, const Histogram *histogram)
{
    g_autofree char *what = g_strdup_printf("%s %s", operation, run->workload->block_name);

    if (histogram_count(histogram))
        report_latency(variant, round, "engine", what, histogram);
}

static void note_round(Run *run, ReportVariant *variant, unsigned number)
{
    const Round *round = run->round;
    ReportSlot *slot = &variant->slots[number];

    if (!round->valid)
        return;
    slot->measured = true;
    slot->turn = run->slots;
    slot->seconds = round->seconds;
    slot->cpu_seconds = round->cpu_seconds;
    slot->engine_cpu_seconds = round->engine_cpu_seconds;
    slot->operations = round->requests;
    slot->bytes = round->requests * run->workload->block;
    slot->errors = round->errors;
    slot->depth = (double)(round->reads.sum + round->writes.sum) / 1e9 / round->seconds;
    if (!variant->reference)
        note_counters(slot, &round->counters);
    note_latency(run, variant, number, "read", &round->reads);
    note_latency(run, variant, number, "write", &round->writes);
}

static bool verify_file(const Run *run, const char *who)
{
    g_autoptr(GError) error = NULL;
    int64_t wrong =
        run->verify && rw_writes(run->workload->rw) ? verify_all(run->verify, &error) : 0;

    if (wrong < 0)
        return complain(run, who, "%s", error->message);
    return wrong == 0 ||
           complain(run, who, "%" G_GINT64_FORMAT " blocks are not as they were written", wrong);
}

static bool run_contender(Run *run, guint index, unsigned number)
{
    const Plan *plan = run->plan;
    const Contender *contender = plan->contenders->pdata[index];
    const Round *round = run->round;

    if (contender->mode == AIO_BUFFERED && !plan->cold && !rw_writes(run->workload->rw))
        store_warm(plan);
    if (load_stopped)
        return true;
    int res = load_run(run->workload, contender, plan->runtime, g_rand_int(run->random),
                       run->verify, run->round);
    if (res < 0)
        return complain(run, contender->label, "cannot be opened: %s", g_strerror(-res));
    note_round(run, run->section->variants->pdata[index], number);
    if (round->errors)
        return complain(run, contender->label,
                        "%" G_GUINT64_FORMAT " requests failed, the first with: %s", round->errors,
                        round->first_error == -EBADMSG ? "not the bytes that must be there"
                                                       : g_strerror(-round->first_error));
    return verify_file(run, contender->label);
}

static bool run_fio(Run *run, guint index, unsigned number)
{
    ReportVariant *variant = run->section->variants->pdata[index];
    AioMode mode = g_str_has_suffix(variant->name, "direct") ? AIO_DIRECT : AIO_BUFFERED;
    g_autoptr(GError) error = NULL;

    if (mode == AIO_BUFFERED && !run->plan->cold && !rw_writes(run->workload->rw))
        store_warm(run->plan);
    if (load_stopped)
        return true;
    if (!fio_run(run->fio, run->plan, run->workload, mode, run->round, &error))
        return complain(run, variant->name, "%s", error->message);
    note_round(run, variant, number);
    return true;
}

/* --- one load ----------------------------------------------------------------------------------*/

static void show(const Run *run, const ReportVariant *variant, unsigned number)
{
    g_autofree char *what = g_strdup_printf("%s, round %u of %d: %s", run->workload->name,
                                            number + 1, run->plan->rounds, variant->name);
    progress_show(run->section, (double)(run->first + run->slots) / run->all_slots, what);
}

static void shuffle(GRand *random, guint *order, guint n)
{
    for (guint i = 0; i < n; i++)
        order[i] = i;
    for (guint i = n; i > 1; i--) {
        guint other = (guint)g_rand_int_range(random, 0, (gint32)i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static bool run_round(Run *run, unsigned number)
{
    guint n = run->section->variants->len;
    g_autofree guint *order = g_new(guint, n);
    bool ok = true;

    shuffle(run->random, order, n);
    for (guint i = 0; i < n && !load_stopped; i++) {
        const ReportVariant *variant = run->section->variants->pdata[order[i]];
        show(run, variant, number);
        ok = (variant->reference ? run_fio(run, order[i], number)
                                 : run_contender(run, order[i], number)) &&
             ok;
        run->slots++;
    }
    return ok;
}

static bool has_mode(const Plan *plan, AioMode mode)
{
    for (guint i = 0; i < plan->contenders->len; i++)
        if (((const Contender *)plan->contenders->pdata[i])->mode == mode)
            return true;
    return false;
}

static void add_variants(const Run *run)
{
    const Plan *plan = run->plan;

    for (guint i = 0; i < plan->contenders->len; i++)
        report_variant(run->section, ((const Contender *)plan->contenders->pdata[i])->label, false);
    for (AioMode mode = AIO_BUFFERED; run->fio && mode <= AIO_DIRECT; mode++)
        if (has_mode(plan, mode)) {
            g_autofree char *name = g_strdup_printf("fio io_uring %s", plan_mode_name(mode));
            report_variant(run->section, name, true);
        }
}

static void add_section(Run *run, Report *report)
{
    const Workload *workload = run->workload;
    g_autofree char *depth = g_strdup_printf("%d", workload->depth);
    g_autofree char *block = g_strdup_printf("%" G_GUINT64_FORMAT, workload->block);

    run->section =
        report_section(report, workload->name, (unsigned)run->plan->rounds, run->plan->runtime);
    report_setting(run->section, "rw", rw_name(workload->rw));
    report_setting(run->section, "bs", block);
    report_setting(run->section, "depth", depth);
    add_variants(run);
}

static bool run_workload(Run *run, Report *report)
{
    const Plan *plan = run->plan;
    g_autoptr(GError) error = NULL;
    g_autoptr(Verify) verify =
        plan->verify ? verify_new(plan->path, run->workload->block, &error) : NULL;
    bool ok = true;

    if (error)
        return complain(run, "verification", "%s", error->message);
    run->verify = verify;
    run->slots = 0;
    add_section(run, report);
    run->all_slots = plan->workloads->len * run->section->variants->len * (unsigned)plan->rounds;
    for (int round = 0; round < plan->rounds && !load_stopped; round++)
        ok = run_round(run, (unsigned)round) && ok;
    run->first += run->slots;
    return ok;
}

bool run_plan(const Plan *plan, Report *report)
{
    g_autoptr(GRand) random = g_rand_new_with_seed((guint32)plan->seed);
    g_autofree Round *round = g_new0(Round, 1);
    g_autofree char *fio = plan->with_fio ? fio_find() : NULL;
    Run run = {.plan = plan, .random = random, .round = round, .fio = fio};
    bool ok = true;

    if (plan->with_fio && !fio)
        fprintf(stderr, "rtgt-bench: fio is not installed: it takes no part\n");
    for (guint i = 0; i < plan->workloads->len && !load_stopped; i++) {
        run.workload = plan->workloads->pdata[i];
        ok = run_workload(&run, report) && ok;
    }
    report->incomplete = load_stopped;
    progress_clear();
    return ok;
}

/* --- the report --------------------------------------------------------------------------------*/

static void fact_file_system(Report *report, const char *path)
{
    g_autoptr(GFile) file = g_file_new_for_path(path);
    g_autoptr(GFileInfo) info =
        g_file_query_filesystem_info(file, G_FILE_ATTRIBUTE_FILESYSTEM_TYPE, NULL, NULL);
    const char *type =
        info ? g_file_info_get_attribute_string(info, G_FILE_ATTRIBUTE_FILESYSTEM_TYPE) : NULL;

    if (type)
        report_fact(report, "configuration", "file system", type);
}

Report *run_report(const Plan *plan, const Store *store)
{
    const AioFile *file = store->modes[0] ?: store->modes[1];
    g_autofree char *size = g_format_size_full(aio_file_size(file), G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, plan->seed);
    g_autofree char *subject = g_strdup_printf(
        "%s %s", aio_file_is_block_device(file) ? "block device" : "file", plan->path);
    Report *report = report_new("rtgt-bench " PACKAGE_VERSION, subject);

    report_machine(report);
    report_fact(report, "configuration", "file", plan->path);
    report_fact(report, "configuration", "size", size);
    fact_file_system(report, plan->path);
    report_fact(report, "configuration", "seed", seed);
    report_fact(report, "configuration", "cache before buffered reads",
                plan->cold ? "as it was" : "file read once");
    report_fact(report, "configuration", "verified", plan->verify ? "yes" : "no");
    return report;
}
