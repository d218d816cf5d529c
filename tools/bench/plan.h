/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is to be measured: the command line of rtgt-bench, checked. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "aio/aio.h"
#include "aio/file.h"
#include "tools/bench/latency.h"

typedef enum { RW_RANDREAD, RW_RANDWRITE, RW_RANDRW, RW_SEQREAD, RW_SEQWRITE } Rw;

/* What one round of one contender gave. */
typedef struct {
    bool valid; /* it ran long enough to say something */
    double seconds, cpu_seconds;
    uint64_t requests, errors;
    int first_error; /* -errno */
    AioCounters counters;
} Round;

/* An engine with its options in one mode. */
typedef struct {
    const AioEngine *engine;
    AioParams params;
    AioMode mode;
    char *label;
    AioFile *file; /* borrowed */
    Round *rounds; /* one for each round of the plan */
    Latency latency;
} Contender;

typedef struct {
    char *path, *json, *rw_name;
    Rw rw;
    uint64_t block, create;
    int depth, rounds;
    double runtime; /* seconds per round */
    gboolean write_allowed, cold;
    GPtrArray *contenders; /* Contender, in the order measured */
} Plan;

/* Parses the command line; NULL with *error. --help ends the process. */
Plan *plan_new(int *argc, char ***argv, GError **error);
void plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

bool plan_writes(const Plan *plan);
const char *plan_mode_name(AioMode mode);
