/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logarithmic histogram with 16 linear steps per power of two. */
#include "tests/initiator/histogram.h"

#include <glib.h>

static unsigned bucket_of(uint64_t ns)
{
    unsigned shift;

    if (ns < 16)
        return (unsigned)ns;
    shift = 59U - (unsigned)__builtin_clzll(ns);
    return (shift + 1) * 16 + (unsigned)(ns >> shift & 15);
}

static uint64_t bucket_end(unsigned bucket)
{
    unsigned shift;

    if (bucket < 16)
        return bucket;
    shift = bucket / 16 - 1;
    return ((uint64_t)(16 + bucket % 16) << shift) + ((UINT64_C(1) << shift) - 1);
}

void histogram_add(Histogram *histogram, uint64_t ns)
{
    histogram->count++;
    histogram->sum += ns;
    histogram->max = MAX(histogram->max, ns);
    histogram->bucket[bucket_of(ns)]++;
}

void histogram_merge(Histogram *into, const Histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    into->max = MAX(into->max, from->max);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

uint64_t histogram_quantile(const Histogram *histogram, double part)
{
    uint64_t want = (uint64_t)(part * (double)histogram->count), seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->bucket[i];
        if (seen > want || (seen && seen == histogram->count))
            return MIN(bucket_end(i), histogram->max);
    }
    return 0;
}

double histogram_mean(const Histogram *histogram)
{
    return histogram->count ? (double)histogram->sum / (double)histogram->count : 0;
}
