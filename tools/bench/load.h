/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drives one engine for one round: a poll() loop around its event fd. */
#pragma once

#include <signal.h>

#include "core/base/histogram.h"
#include "tools/bench/plan.h"
#include "tools/bench/verify.h"

/* Set by the signal handler: the round ends early, what is in flight is waited for. */
extern volatile sig_atomic_t load_stopped;

/* What one round of one contender gave. */
typedef struct {
    bool valid; /* it ran long enough to say something */
    double seconds;
    double cpu_seconds;        /* of the process */
    double engine_cpu_seconds; /* of all its threads but this one */
    uint64_t requests, errors;
    int first_error; /* -errno; -EBADMSG: what was read is not what must be there */
    AioCounters counters;
    Histogram reads, writes; /* from queue() to done() */
} Round;

/* Puts contender->file under the load; fills *round. verify may be NULL.
 * 0, or -errno when the engine cannot be opened. */
int load_run(const Workload *workload, const Contender *contender, double seconds, uint64_t seed,
             Verify *verify, Round *round);
