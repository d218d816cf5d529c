/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A report for the terminal. */
#pragma once

#include "tools/report/report.h"

/* Tables and sentences; g_free(). */
char *report_text(const Report *report);
