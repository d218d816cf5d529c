/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Medians over the rounds, and ratios within each round, where the machine's mood cancels out. */
#include "tools/bench/report.h"

#include <stdlib.h>

typedef struct {
    unsigned count;
    double median, min, max;
} Spread;

typedef double (*Figure)(const Plan *plan, const Round *round);

static double round_iops(const Plan *plan, const Round *round)
{
    (void)plan;
    return (double)round->requests / round->seconds;
}

static double round_cpu_us(const Plan *plan, const Round *round)
{
    (void)plan;
    return round->requests ? round->cpu_seconds * 1e6 / (double)round->requests : 0;
}

static double per_request(const Round *round, uint64_t count)
{
    return round->requests ? (double)count / (double)round->requests : 0;
}

static double round_hand_offs(const Plan *plan, const Round *round)
{
    (void)plan;
    return per_request(round, round->counters.hand_offs);
}

static double round_wake_ups(const Plan *plan, const Round *round)
{
    (void)plan;
    return per_request(round, round->counters.wake_ups);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static Spread spread_of(double *values, unsigned count)
{
    if (!count)
        return (Spread){0};
    qsort(values, count, sizeof(*values), compare_doubles);
    return (Spread){count, (values[(count - 1) / 2] + values[count / 2]) / 2, values[0],
                    values[count - 1]};
}

static Spread figure(const Plan *plan, const Contender *contender, Figure of)
{
    g_autofree double *values = g_new(double, (unsigned)plan->rounds);
    unsigned count = 0;

    for (int i = 0; i < plan->rounds; i++)
        if (contender->rounds[i].valid)
            values[count++] = of(plan, &contender->rounds[i]);
    return spread_of(values, count);
}

/* IOPS against the first contender's in the same round; false where one of them has none. */
static bool round_ratio(const Plan *plan, const Contender *contender, int i, double *ratio)
{
    const Contender *first = plan->contenders->pdata[0];
    if (!contender->rounds[i].valid || !first->rounds[i].valid || !first->rounds[i].requests)
        return false;
    *ratio = round_iops(plan, &contender->rounds[i]) / round_iops(plan, &first->rounds[i]);
    return true;
}

static Spread ratios(const Plan *plan, const Contender *contender)
{
    g_autofree double *values = g_new(double, (unsigned)plan->rounds);
    unsigned count = 0;

    for (int i = 0; i < plan->rounds; i++)
        count += round_ratio(plan, contender, i, &values[count]);
    return spread_of(values, count);
}

static void report_row(const Plan *plan, const Contender *contender, int width, FILE *out)
{
    Spread iops = figure(plan, contender, round_iops), ratio = ratios(plan, contender);

    fprintf(out, "%-*s %-8s", width, contender->label, plan_mode_name(contender->mode));
    if (!iops.count) {
        fprintf(out, "  not measured\n");
        return;
    }
    fprintf(out, " %9.0f %8.1f %8.1f %8.1f %8.1f %7.2f %6.2f %6.2f", iops.median,
            iops.median * (double)plan->block / 1e6, latency_mean_us(&contender->latency),
            latency_quantile_us(&contender->latency, 0.5),
            latency_quantile_us(&contender->latency, 0.99),
            figure(plan, contender, round_cpu_us).median,
            figure(plan, contender, round_hand_offs).median,
            figure(plan, contender, round_wake_ups).median);
    if (ratio.count)
        fprintf(out, "  %5.2f (%.2f .. %.2f)", ratio.median, ratio.min, ratio.max);
    fputc('\n', out);
}

void report_table(const Plan *plan, FILE *out)
{
    int width = 6;

    for (unsigned i = 0; i < plan->contenders->len; i++) {
        const Contender *contender = plan->contenders->pdata[i];
        width = MAX(width, (int)strlen(contender->label));
    }
    fprintf(out, "%s, %" G_GUINT64_FORMAT " bytes, depth %d, %d rounds of %g s; latencies in us\n",
            plan->rw_name, plan->block, plan->depth, plan->rounds, plan->runtime);
    fprintf(out, "%-*s %-8s %9s %8s %8s %8s %8s %7s %6s %6s  %s\n", width, "engine", "mode", "IOPS",
            "MB/s", "mean", "p50", "p99", "CPUus", "hands", "wakes", "ratio (spread)");
    for (unsigned i = 0; i < plan->contenders->len; i++)
        report_row(plan, plan->contenders->pdata[i], width, out);
    fprintf(out, "CPUus: CPU time per request; hands, wakes: requests given to a thread, threads "
                 "woken, per request;\nratio: IOPS against the first line in the same round, "
                 "median and extremes\n");
}

/* Bytes above 0x7f pass as they are: the file is UTF-8 if the names are. */
static void json_string(GString *json, const char *text)
{
    g_string_append_c(json, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            g_string_append_c(json, '\\');
        if ((unsigned char)*text < 0x20)
            g_string_append_printf(json, "\\u%04x", *text);
        else
            g_string_append_c(json, *text);
    }
    g_string_append_c(json, '"');
}

/* JSON wants a dot, whatever the locale. */
static void json_number(GString *json, const char *key, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd(text, sizeof(text), "%.6g", value);
    g_string_append_printf(json, "\"%s\": %s", key, text);
}

static void json_counters(GString *json, const AioCounters *c)
{
    g_string_append_printf(
        json,
        ", \"inline_hits\": %" G_GUINT64_FORMAT ", \"inline_shorts\": %" G_GUINT64_FORMAT
        ", \"inline_misses\": %" G_GUINT64_FORMAT ", \"hand_offs\": %" G_GUINT64_FORMAT
        ", \"wake_ups\": %" G_GUINT64_FORMAT ", \"event_writes\": %" G_GUINT64_FORMAT
        ", \"submit_calls\": %" G_GUINT64_FORMAT ", \"bounced\": %" G_GUINT64_FORMAT,
        c->inline_hits, c->inline_shorts, c->inline_misses, c->hand_offs, c->wake_ups,
        c->event_writes, c->submit_calls, c->bounced);
}

static void json_round(GString *json, const Plan *plan, const Contender *contender, int i)
{
    const Round *round = &contender->rounds[i];
    double ratio;

    g_string_append_printf(json, "\n       {\"round\": %d, ", i + 1);
    json_number(json, "seconds", round->seconds);
    g_string_append_printf(
        json, ", \"requests\": %" G_GUINT64_FORMAT ", \"errors\": %" G_GUINT64_FORMAT ", ",
        round->requests, round->errors);
    json_number(json, "iops", round_iops(plan, round));
    g_string_append(json, ", ");
    json_number(json, "cpu_us_per_io", round_cpu_us(plan, round));
    if (round_ratio(plan, contender, i, &ratio)) {
        g_string_append(json, ", ");
        json_number(json, "ratio", ratio);
    }
    json_counters(json, &round->counters);
    g_string_append_c(json, '}');
}

static void json_contender(GString *json, const Plan *plan, const Contender *contender)
{
    const char *separator = "";

    g_string_append(json, "\n    {\"engine\": ");
    json_string(json, contender->label);
    g_string_append_printf(json, ", \"mode\": \"%s\",\n     ", plan_mode_name(contender->mode));
    json_number(json, "mean_us", latency_mean_us(&contender->latency));
    g_string_append(json, ", ");
    json_number(json, "p50_us", latency_quantile_us(&contender->latency, 0.5));
    g_string_append(json, ", ");
    json_number(json, "p99_us", latency_quantile_us(&contender->latency, 0.99));
    g_string_append(json, ",\n     \"rounds\": [");
    for (int i = 0; i < plan->rounds; i++)
        if (contender->rounds[i].valid) {
            g_string_append(json, separator);
            separator = ",";
            json_round(json, plan, contender, i);
        }
    g_string_append(json, "]}");
}

bool report_json(const Plan *plan, const char *path, GError **error)
{
    g_autoptr(GString) json = g_string_new("{\"file\": ");

    json_string(json, plan->path);
    g_string_append_printf(
        json, ", \"rw\": \"%s\", \"block_size\": %" G_GUINT64_FORMAT ", \"depth\": %d, ",
        plan->rw_name, plan->block, plan->depth);
    json_number(json, "runtime", plan->runtime);
    g_string_append(json, ",\n  \"contenders\": [");
    for (unsigned i = 0; i < plan->contenders->len; i++) {
        if (i)
            g_string_append_c(json, ',');
        json_contender(json, plan, plan->contenders->pdata[i]);
    }
    g_string_append(json, "]}\n");
    return g_file_set_contents(path, json->str, (gssize)json->len, error);
}
