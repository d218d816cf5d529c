/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is to be measured: the command line of rtgt-bench, checked. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "aio/aio.h"
#include "aio/file.h"

typedef enum { RW_RANDREAD, RW_RANDWRITE, RW_RANDRW, RW_SEQREAD, RW_SEQWRITE } Rw;

/* One of the loads that all contenders are put under, one load after the other. */
typedef struct {
    Rw rw;
    uint64_t block; /* bytes per request */
    int depth;      /* requests in flight */
    char *block_name, *name;
} Workload;

/* An engine with its options in one mode. */
typedef struct {
    const AioEngine *engine;
    AioParams params; /* but for depth, which is the workload's unless it was given */
    bool own_depth;
    AioMode mode;
    char *label;
    AioFile *file; /* borrowed; set by store_open() */
} Contender;

typedef struct {
    char *path, *json, *html;
    uint64_t create, seed;
    int rounds;
    double runtime; /* seconds per round */
    gboolean write_allowed, cold, verify, with_fio;
    GPtrArray *workloads;  /* Workload */
    GPtrArray *contenders; /* Contender; the first is the baseline */
} Plan;

/* Parses the command line; NULL with *error. --help and --version end the process. */
Plan *plan_new(int *argc, char ***argv, GError **error);
void plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

const char *rw_name(Rw rw);
bool rw_writes(Rw rw);
bool plan_writes(const Plan *plan); /* one of its loads does */
uint64_t plan_largest_block(const Plan *plan);
const char *plan_mode_name(AioMode mode);
