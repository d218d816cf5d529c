/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line on the terminal that tells how far a comparison is. */
#pragma once

#include "tools/report/report.h"

/* Rewrites the line on standard error, where that is a terminal: a bar, `what` is under way, and
 * the medians so far. share: 0..1. */
void progress_show(const ReportSection *section, double share, const char *what);
/* Before anything else is printed, and in the end. */
void progress_clear(void);
/* The line without the terminal, cut to so many characters; g_free(). */
char *progress_line(const ReportSection *section, double share, const char *what, unsigned width);
