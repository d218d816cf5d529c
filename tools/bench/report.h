/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Results of a plan as a table and as JSON. */
#pragma once

#include <stdio.h>

#include "tools/bench/plan.h"

void report_table(const Plan *plan, FILE *out);
bool report_json(const Plan *plan, const char *path, GError **error);
