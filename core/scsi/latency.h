/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long the commands of a LUN take, and the requests of its engine: a histogram for each
 * operation and size class, made when the first of its kind ends. */
#pragma once

#include "core/base/histogram.h"
#include "core/base/loop.h"

typedef enum {
    LATENCY_COMMAND, /* from arrival to the end of the round that sent the answer */
    LATENCY_ENGINE,  /* from the engine's being given a request to its having been reaped */
} LatencyWhat;
#define LATENCY_WHATS 2

typedef enum { LATENCY_READ, LATENCY_WRITE, LATENCY_OTHER } LatencyOperation;
#define LATENCY_OPERATIONS 3
#define LATENCY_SIZES      5 /* to 4, 16, 64, 256 KiB, and more; of LATENCY_OTHER there is one */
#define LATENCY_SERIES     (2 * LATENCY_SIZES + 1)

static inline unsigned latency_series(LatencyOperation operation, uint64_t bytes)
{
    unsigned first = operation * LATENCY_SIZES;
    uint64_t pages = (bytes - 1) >> 12; /* a class is four times the one before */
    if (bytes <= 4096 || operation == LATENCY_OTHER)
        return first;
    return first + MIN((unsigned)(65 - __builtin_clzll(pages)) / 2, LATENCY_SIZES - 1);
}
LatencyOperation latency_operation(unsigned series);
const char *latency_operation_name(LatencyOperation operation); /* "read", "write", "other" */
const char *latency_size_name(unsigned series);  /* "4k", "16k", "64k", "256k", "more"; "" */
const char *latency_what_name(LatencyWhat what); /* "command", "engine" */

/* --- of one loop ------------------------------------------------------------------------------ */

/* An answer that the round has not sent yet. */
typedef struct {
    uint64_t arrived;
    unsigned series;
} LatencyAnswer;

/* All zeros is empty, but for `loop`. On the loop; histograms are read from anywhere. */
typedef struct {
    Histogram *histograms[LATENCY_WHATS][LATENCY_SERIES]; /* NULL: nothing yet; written once */
    Loop *loop;
    LoopFlush sent;
    LatencyAnswer *answers;
    unsigned n_answers, room;
} Latency;

void latency_clear(Latency *latency);
/* A command that arrived at `arrived` (loop_now()) is answered in this round. */
void latency_answered(Latency *latency, unsigned series, uint64_t arrived);
/* Something that began at `begun` is over. */
void latency_over(Latency *latency, LatencyWhat what, unsigned series, uint64_t begun);

/* --- sums ------------------------------------------------------------------------------------- */

/* Copies that are the caller's. */
typedef struct {
    Histogram *histograms[LATENCY_WHATS][LATENCY_SERIES]; /* NULL: nothing */
} LatencySums;

void latency_sums_clear(LatencySums *sums);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LatencySums, latency_sums_clear)
void latency_sums_add(LatencySums *sums, const Latency *latency); /* MT-SAFE */
/* Leaves in `later` what came after `earlier`; what is nothing then, is NULL. */
void latency_sums_subtract(LatencySums *later, const LatencySums *earlier);
/* Nanoseconds of all of it. */
uint64_t latency_sums_time(const LatencySums *sums, LatencyWhat what);
/* Adds up the size classes. */
void latency_sums_merge(const LatencySums *sums, LatencyWhat what, LatencyOperation operation,
                        Histogram *out);
/* "a(sss(tta(tt)))", see data/org.rtgt.xml; floating. */
GVariant *latency_sums_to_variant(const LatencySums *sums);
