/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A report as one HTML file that needs nothing else. */
#pragma once

#include "tools/report/report.h"

/* Replaces the file. */
bool report_write_page(const Report *report, const char *path, GError **error);
