/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with a configuration: every complaint with its file, line, group, key and value. */
#pragma once

#include <glib.h>

typedef struct ConfigReport ConfigReport;

/* file NULL: what is read stands in no file, and complaints name none. */
ConfigReport *config_report_new(const char *file);
void config_report_free(ConfigReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfigReport, config_report_free)

/* "FILE:LINE: [GROUP] KEY=VALUE: what would be right". Parts that are NULL (line: 0) are left out.
 */
void config_report_error(ConfigReport *report, unsigned line, const char *group, const char *key,
                         const char *value, const char *format, ...) G_GNUC_PRINTF(6, 7);
void config_report_warning(ConfigReport *report, unsigned line, const char *group, const char *key,
                           const char *value, const char *format, ...) G_GNUC_PRINTF(6, 7);

/* "FILE:LINE", without ":LINE" where line is 0. */
char *config_report_where(const ConfigReport *report, unsigned line);

gboolean config_report_has_errors(const ConfigReport *report);
/* False when there were errors; *error then holds all of them, one a line. */
gboolean config_report_finish(ConfigReport *report, GError **error);
/* The warnings, taken from the report; NULL-terminated, g_strfreev(). */
char **config_report_steal_warnings(ConfigReport *report);

/* The domain of what config_report_finish() sets; the code is always 0. */
#define CONFIG_ERROR config_error_quark()
GQuark config_error_quark(void);
