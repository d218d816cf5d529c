/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading, adding, subtracting and writing down histograms. */
#include "core/base/histogram.h"

#include <math.h>
#include <string.h>

static uint64_t bucket_start(unsigned bucket)
{
    if (bucket < HISTOGRAM_SUB)
        return bucket;
    return (uint64_t)(HISTOGRAM_SUB + bucket % HISTOGRAM_SUB) << (bucket / HISTOGRAM_SUB - 1);
}

static uint64_t bucket_middle(unsigned bucket)
{
    return bucket_start(bucket) + (bucket_start(bucket + 1) - bucket_start(bucket)) / 2;
}

/* A reader may see a value in its bucket before it sees it in max. */
static uint64_t top(const Histogram *histogram)
{
    uint64_t max = counter_get(&histogram->max);

    for (unsigned i = HISTOGRAM_BUCKETS; i-- > 0;)
        if (counter_get(&histogram->buckets[i]))
            return MAX(max, bucket_start(i));
    return max;
}

void histogram_merge(Histogram *into, const Histogram *from)
{
    into->sum += counter_get(&from->sum);
    into->max = MAX(into->max, counter_get(&from->max));
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += counter_get(&from->buckets[i]);
    into->max = top(into);
}

/* The sum is read apart from the buckets, so a difference of two readings might fall below 0. */
static uint64_t difference(uint64_t later, uint64_t earlier)
{
    return later > earlier ? later - earlier : 0;
}

void histogram_subtract(Histogram *later, const Histogram *earlier)
{
    uint64_t end = 0;

    later->sum = difference(later->sum, earlier->sum);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        later->buckets[i] = difference(later->buckets[i], earlier->buckets[i]);
        if (later->buckets[i])
            end = bucket_start(i + 1) - 1;
    }
    /* what lies beyond the limit is in the last bucket, whose end says nothing about it */
    if (!later->buckets[HISTOGRAM_BUCKETS - 1])
        later->max = MIN(later->max, end);
}

uint64_t histogram_count(const Histogram *histogram)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += counter_get(&histogram->buckets[i]);
    return count;
}

static uint64_t rank(double share, uint64_t count)
{
    double exact = ceil(share * (double)count);
    return exact < 1 ? 1 : exact > (double)count ? count : (uint64_t)exact;
}

void histogram_percentiles(const Histogram *histogram, const double *shares, unsigned n,
                           uint64_t *values)
{
    uint64_t count = histogram_count(histogram), max = top(histogram), seen = 0;
    unsigned done = 0;

    memset(values, 0, n * sizeof(*values));
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && count && done < n; i++) {
        seen += counter_get(&histogram->buckets[i]);
        for (; done < n && seen >= rank(shares[done], count); done++)
            values[done] = shares[done] >= 1 ? max : MIN(bucket_middle(i), max);
    }
}

uint64_t histogram_percentile(const Histogram *histogram, double share)
{
    uint64_t value;

    histogram_percentiles(histogram, &share, 1, &value);
    return value;
}

uint64_t histogram_min(const Histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (counter_get(&histogram->buckets[i]))
            return bucket_start(i);
    return 0;
}

double histogram_mean(const Histogram *histogram)
{
    uint64_t count = histogram_count(histogram);
    return count ? (double)counter_get(&histogram->sum) / (double)count : 0;
}

uint64_t histogram_count_below(const Histogram *histogram, uint64_t limit)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && bucket_start(i + 1) <= limit; i++)
        count += counter_get(&histogram->buckets[i]);
    return count;
}

GVariant *histogram_to_variant(const Histogram *histogram)
{
    GVariantBuilder pairs;
    uint64_t max = 0;

    g_variant_builder_init(&pairs, G_VARIANT_TYPE("a(tt)"));
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = counter_get(&histogram->buckets[i]);
        if (!count)
            continue;
        g_variant_builder_add(&pairs, "(tt)", bucket_start(i), count);
        max = bucket_start(i);
    }
    if (max > 0) /* a value may have come since the buckets were read */
        max = MAX(max, counter_get(&histogram->max));
    return g_variant_new(HISTOGRAM_TYPE, counter_get(&histogram->sum), max, &pairs);
}

/* Ascending, each the start of a bucket, and not so many that their sum overflows. */
static bool add_pairs(Histogram *out, GVariantIter *pairs)
{
    guint64 start, count, total = 0;
    int last = -1;

    while (g_variant_iter_next(pairs, "(tt)", &start, &count)) {
        unsigned bucket = histogram_bucket(start);
        if ((int)bucket <= last || bucket_start(bucket) != start || count == 0 ||
            count > UINT64_MAX - total)
            return false;
        out->buckets[bucket] = count;
        total += count;
        last = (int)bucket;
    }
    return last < 0 ? out->max == 0 : out->max >= bucket_start((unsigned)last);
}

bool histogram_from_variant(Histogram *out, GVariant *variant)
{
    g_autoptr(GVariantIter) pairs = NULL;

    memset(out, 0, sizeof(*out));
    if (!g_variant_is_of_type(variant, G_VARIANT_TYPE(HISTOGRAM_TYPE)))
        return false;
    g_variant_get(variant, HISTOGRAM_TYPE, &out->sum, &out->max, &pairs);
    if (add_pairs(out, pairs))
        return true;
    memset(out, 0, sizeof(*out));
    return false;
}
