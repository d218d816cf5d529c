/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log-linear buckets: exact below LATENCY_SUB ns, LATENCY_SUB buckets per power of two above. */
#include "tools/bench/latency.h"

#define SUB_BITS 6

static unsigned bucket_of(uint64_t ns)
{
    if (ns < LATENCY_SUB)
        return (unsigned)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;
    unsigned bucket = (shift + 1) * LATENCY_SUB + (unsigned)(ns >> shift) - LATENCY_SUB;
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* Middle of a bucket. */
static double bucket_ns(unsigned bucket)
{
    if (bucket < LATENCY_SUB)
        return bucket;
    unsigned shift = bucket / LATENCY_SUB - 1;
    return ((double)(LATENCY_SUB + bucket % LATENCY_SUB) + 0.5) * (double)(1ull << shift);
}

void latency_add(Latency *latency, uint64_t ns)
{
    latency->count++;
    latency->sum_ns += ns;
    latency->buckets[bucket_of(ns)]++;
}

void latency_merge(Latency *into, const Latency *from)
{
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

double latency_mean_us(const Latency *latency)
{
    return latency->count ? (double)latency->sum_ns / (double)latency->count / 1000 : 0;
}

double latency_quantile_us(const Latency *latency, double share)
{
    double wanted = share * (double)latency->count, seen = 0;

    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += (double)latency->buckets[i];
        if (latency->buckets[i] && seen >= wanted)
            return bucket_ns(i) / 1000;
    }
    return 0;
}
