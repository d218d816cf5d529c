/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drives one engine for one round: a poll() loop around its event fd. */
#pragma once

#include <signal.h>

#include "tools/bench/plan.h"

/* Set by the signal handler: the round ends early, what is in flight is waited for. */
extern volatile sig_atomic_t load_stopped;

/* Runs the plan's load on contender->file; fills *round and adds to contender->latency.
 * 0, or -errno when the engine cannot be opened. */
int load_run(const Plan *plan, Contender *contender, unsigned seed, Round *round);
