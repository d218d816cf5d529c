/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of rtgtctl compare that can be looked at by themselves. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* "2", "2s", "500ms", "1.5m"; *error names the option. */
bool compare_parse_time(const char *option, const char *text, guint32 *ms, GError **error);
