/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A histogram of latencies with about 1.6 % resolution. */
#pragma once

#include <stdint.h>

#define LATENCY_SUB     64 /* buckets per power of two */
#define LATENCY_BUCKETS (LATENCY_SUB * 42)

typedef struct {
    uint64_t count, sum_ns;
    uint64_t buckets[LATENCY_BUCKETS];
} Latency;

void latency_add(Latency *latency, uint64_t ns);
void latency_merge(Latency *into, const Latency *from);
double latency_mean_us(const Latency *latency);
/* The latency that `share` (0..1) of the requests did not exceed; 0 without requests. */
double latency_quantile_us(const Latency *latency, double share);
