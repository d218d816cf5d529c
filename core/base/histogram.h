/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A log-linear histogram of fixed size: latencies recorded in O(1), percentiles of known error. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/counter.h"

/* Values (nanoseconds, by convention) fall into 32 buckets per power of two; below 64 each value
 * has a bucket of its own. A percentile is the middle of the bucket that the value of that rank
 * fell into: it is exact below 64 and differs by at most 1/64 (1.6 %) of the value above.
 * Values from HISTOGRAM_LIMIT on (18 minutes) count as the largest below it.
 *
 * All zeros is an empty histogram. One thread records; any other may read at the same time what
 * is const here, and sees each bucket as it was at some moment of the call. The count is the sum
 * of the buckets, so it never disagrees with them. */
#define HISTOGRAM_SUB_BITS   5
#define HISTOGRAM_SUB        (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_LIMIT_BITS 40
#define HISTOGRAM_LIMIT      (UINT64_C(1) << HISTOGRAM_LIMIT_BITS)
#define HISTOGRAM_BUCKETS    (HISTOGRAM_SUB * (HISTOGRAM_LIMIT_BITS - HISTOGRAM_SUB_BITS + 1))

typedef struct {
    uint64_t sum; /* of all values, exact */
    uint64_t max; /* exact, but of a difference: see histogram_subtract() */
    uint64_t buckets[HISTOGRAM_BUCKETS];
} Histogram;

static inline unsigned histogram_bucket(uint64_t value)
{
    uint64_t inside = value < HISTOGRAM_LIMIT ? value : HISTOGRAM_LIMIT - 1;
    unsigned shift = 63 - (unsigned)__builtin_clzll(inside | HISTOGRAM_SUB) - HISTOGRAM_SUB_BITS;
    return shift * HISTOGRAM_SUB + (unsigned)(inside >> shift);
}

/* The writer's thread only. */
static inline void histogram_record(Histogram *histogram, uint64_t value)
{
    counter_add(&histogram->buckets[histogram_bucket(value)], 1);
    counter_add(&histogram->sum, value);
    if (value > histogram->max)
        __atomic_store_n(&histogram->max, value, __ATOMIC_RELAXED);
}

/* `into` is the caller's alone; `from` may be recorded into meanwhile. Merging into an empty
 * histogram makes a copy. */
void histogram_merge(Histogram *into, const Histogram *from);
/* Leaves in `later` what was recorded since `earlier`, a copy of the same histogram. The largest
 * value since then is not known: max becomes the end of the highest bucket left, at most 1/32 more
 * than it, and never more than it was. */
void histogram_subtract(Histogram *later, const Histogram *earlier);

uint64_t histogram_count(const Histogram *histogram);
/* The value of rank ceil(share * count), share 0..1 (0.99 is the 99th percentile; 1 gives max, 0
 * the smallest value); 0 when empty. */
uint64_t histogram_percentile(const Histogram *histogram, double share);
/* Several percentiles in one pass; shares ascend. */
void histogram_percentiles(const Histogram *histogram, const double *shares, unsigned n,
                           uint64_t *values);
/* The start of the lowest bucket with something in it: at most 1/32 below the smallest value. */
uint64_t histogram_min(const Histogram *histogram);
double histogram_mean(const Histogram *histogram); /* exact */
/* How many values were below `limit`: exact where a bucket begins at it, as at every power of two
 * and 1.5 times that; otherwise buckets that reach beyond it are left out. */
uint64_t histogram_count_below(const Histogram *histogram, uint64_t limit);

/* "(tta(tt))": sum, max, and for each bucket that is not empty the value it begins at and its
 * count, ascending. A floating reference. */
#define HISTOGRAM_TYPE "(tta(tt))"
GVariant *histogram_to_variant(const Histogram *histogram);
/* False where it is no such variant, or no histogram can be like that; *out is then empty. */
bool histogram_from_variant(Histogram *out, GVariant *variant);
