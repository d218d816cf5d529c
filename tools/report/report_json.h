/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A report as JSON: for programs, and for the page. */
#pragma once

#include "tools/report/report.h"

/* UTF-8; g_free(). man/rtgt-bench.1 describes it. */
char *report_json(const Report *report);
/* Replaces the file. */
bool report_write_json(const Report *report, const char *path, GError **error);
