/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A load on one LUN: sessions, each a thread of its own, each with commands outstanding. */
#pragma once

#include "tests/initiator/histogram.h"
#include "tests/initiator/nexus.h"

#define LOAD_SIZES_MOST 16

typedef struct {
    Url *url;
    TextKeys *keys; /* may be NULL */
    bool idle;      /* sessions only, for `runtime_s`: no commands */
    bool random;
    unsigned write_percent;
    uint32_t sizes[LOAD_SIZES_MOST]; /* bytes; a command takes one of them at random */
    unsigned size_count;
    unsigned depth, sessions;
    unsigned runtime_s;                   /* 0: by count */
    uint64_t count;                       /* commands per session; 0: by time */
    uint64_t region_start, region_length; /* bytes; length 0: to the end */
    bool verify, fill, fua, rate_report;
    unsigned manage_ms; /* each session has a task management function answered so often; 0: no */
    unsigned timeout_s; /* without a completion for so long: failed */
    uint64_t seed;
    bool invalidate;
    bool lenient; /* count breaches of the protocol, but let them pass */
} LoadOptions;

typedef struct {
    Histogram latency;
    uint64_t bytes;
} LoadSide;

typedef struct {
    LoadSide read, write;
    Histogram management; /* how long the target took to answer */
    uint64_t least;       /* commands of the session that did least */
    double seconds;       /* of the measured part */
    uint64_t refused;     /* logins for want of resources, tried again */
    uint64_t attentions;  /* unit attentions, after which the command was sent again */
    uint64_t failed, corrupt, violations, rejects, lost_sessions;
} LoadResult;

/* Blocks until the load is over. Failures are printed as they come. */
void load_run(const LoadOptions *options, LoadResult *result);
/* Ends all loads of the process early, as if their time were over. MT-SAFE, also in a signal
 * handler. */
void load_stop(void);
/* No command failed, every block verified, no breach of the protocol. */
bool load_result_good(const LoadOptions *options, const LoadResult *result);
