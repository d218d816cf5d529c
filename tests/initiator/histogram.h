/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Latencies in buckets of 1/16 relative width. Nanoseconds. One thread. */
#pragma once

#include <stdint.h>

#define HISTOGRAM_BUCKETS (61 * 16)

typedef struct {
    uint64_t count, sum, max;
    uint64_t bucket[HISTOGRAM_BUCKETS];
} Histogram;

void histogram_add(Histogram *histogram, uint64_t ns);
void histogram_merge(Histogram *into, const Histogram *from);
/* The upper end of the bucket that holds the given part (0..1) of all values; 0 when empty. */
uint64_t histogram_quantile(const Histogram *histogram, double part);
double histogram_mean(const Histogram *histogram);
