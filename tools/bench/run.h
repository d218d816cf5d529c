/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The run of a plan: every load, every round, every contender. */
#pragma once

#include "tools/bench/plan.h"
#include "tools/bench/store.h"
#include "tools/report/report.h"

/* A report for the plan, with its facts and nothing measured. The store is open. */
Report *run_report(const Plan *plan, const Store *store);

/* Measures into it until all is done or load_stopped is set, which makes it incomplete. False when
 * something could not run, failed or was found wrong: that was told on standard error. */
bool run_plan(const Plan *plan, Report *report);
