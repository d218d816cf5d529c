/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recording latencies on a loop, and adding up those of all loops. */
#include "core/scsi/latency.h"

LatencyOperation latency_operation(unsigned series)
{
    return series / LATENCY_SIZES;
}

const char *latency_operation_name(LatencyOperation operation)
{
    static const char *const names[LATENCY_OPERATIONS] = {"read", "write", "other"};
    return names[operation];
}

const char *latency_size_name(unsigned series)
{
    static const char *const names[LATENCY_SIZES] = {"4k", "16k", "64k", "256k", "more"};
    return latency_operation(series) == LATENCY_OTHER ? "" : names[series % LATENCY_SIZES];
}

const char *latency_what_name(LatencyWhat what)
{
    return what == LATENCY_COMMAND ? "command" : "engine";
}

/* --- of one loop ------------------------------------------------------------------------------ */

/* Readers see the pointer and then the zeros. */
static Histogram *make(Histogram **at)
{
    Histogram *histogram = g_new0(Histogram, 1);
    __atomic_store_n(at, histogram, __ATOMIC_RELEASE);
    return histogram;
}

static void record(Latency *latency, LatencyWhat what, unsigned series, uint64_t ns)
{
    Histogram **at = &latency->histograms[what][series];
    histogram_record(G_LIKELY(*at) ? *at : make(at), ns);
}

static void answers_sent(LoopFlush *flush)
{
    Latency *latency = (Latency *)((char *)flush - offsetof(Latency, sent));
    uint64_t now = loop_now(latency->loop);
    for (unsigned i = 0; i < latency->n_answers; i++) {
        const LatencyAnswer *answer = &latency->answers[i];
        record(latency, LATENCY_COMMAND, answer->series, now - answer->arrived);
    }
    latency->n_answers = 0;
}

void latency_answered(Latency *latency, unsigned series, uint64_t arrived)
{
    if (G_UNLIKELY(latency->n_answers == latency->room)) {
        latency->room = MAX(16, 2 * latency->room);
        latency->answers = g_renew(LatencyAnswer, latency->answers, latency->room);
        latency->sent.run = answers_sent;
    }
    latency->answers[latency->n_answers] = (LatencyAnswer){arrived, series};
    if (latency->n_answers++ == 0)
        loop_flushed_later(latency->loop, &latency->sent);
}

void latency_over(Latency *latency, LatencyWhat what, unsigned series, uint64_t begun)
{
    record(latency, what, series, loop_now(latency->loop) - begun);
}

static void free_histograms(Histogram *histograms[LATENCY_WHATS][LATENCY_SERIES])
{
    for (unsigned what = 0; what < LATENCY_WHATS; what++)
        for (unsigned i = 0; i < LATENCY_SERIES; i++)
            g_clear_pointer(&histograms[what][i], g_free);
}

void latency_clear(Latency *latency)
{
    loop_flushed_cancel(latency->loop, &latency->sent);
    free_histograms(latency->histograms);
    g_clear_pointer(&latency->answers, g_free);
    latency->n_answers = latency->room = 0;
}

/* --- sums ------------------------------------------------------------------------------------- */

void latency_sums_clear(LatencySums *sums)
{
    free_histograms(sums->histograms);
}

void latency_sums_add(LatencySums *sums, const Latency *latency)
{
    for (unsigned what = 0; what < LATENCY_WHATS; what++)
        for (unsigned i = 0; i < LATENCY_SERIES; i++) {
            const Histogram *from =
                __atomic_load_n(&latency->histograms[what][i], __ATOMIC_ACQUIRE);
            Histogram **into = &sums->histograms[what][i];
            if (!from)
                continue;
            if (!*into)
                *into = g_new0(Histogram, 1);
            histogram_merge(*into, from);
        }
}

void latency_sums_subtract(LatencySums *later, const LatencySums *earlier)
{
    for (unsigned what = 0; what < LATENCY_WHATS; what++)
        for (unsigned i = 0; i < LATENCY_SERIES; i++) {
            Histogram **from = &later->histograms[what][i];
            const Histogram *what_was = earlier->histograms[what][i];
            if (!*from || !what_was)
                continue;
            histogram_subtract(*from, what_was);
            if (histogram_count(*from) == 0)
                g_clear_pointer(from, g_free);
        }
}

uint64_t latency_sums_time(const LatencySums *sums, LatencyWhat what)
{
    uint64_t time = 0;
    for (unsigned i = 0; i < LATENCY_SERIES; i++)
        if (sums->histograms[what][i])
            time += sums->histograms[what][i]->sum;
    return time;
}

void latency_sums_merge(const LatencySums *sums, LatencyWhat what, LatencyOperation operation,
                        Histogram *out)
{
    for (unsigned i = 0; i < LATENCY_SERIES; i++)
        if (sums->histograms[what][i] && latency_operation(i) == operation)
            histogram_merge(out, sums->histograms[what][i]);
}

GVariant *latency_sums_to_variant(const LatencySums *sums)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(sss" HISTOGRAM_TYPE ")"));
    for (unsigned what = 0; what < LATENCY_WHATS; what++)
        for (unsigned i = 0; i < LATENCY_SERIES; i++) {
            const Histogram *histogram = sums->histograms[what][i];
            if (histogram)
                g_variant_builder_add(&builder, "(sss@" HISTOGRAM_TYPE ")", latency_what_name(what),
                                      latency_operation_name(latency_operation(i)),
                                      latency_size_name(i), histogram_to_variant(histogram));
        }
    return g_variant_builder_end(&builder);
}
