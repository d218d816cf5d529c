/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Collects the complaints about a configuration, so that one run shows all of them. */
#include "core/daemon/config_report.h"

struct ConfigReport {
    char *file;
    GPtrArray *errors, *warnings; /* char *, sealed with NULL when they are handed out */
};

G_DEFINE_QUARK(rtgt - config - error - quark, config_error)

ConfigReport *config_report_new(const char *file)
{
    ConfigReport *report = g_new0(ConfigReport, 1);
    report->file = g_strdup(file);
    report->errors = g_ptr_array_new_with_free_func(g_free);
    report->warnings = g_ptr_array_new_with_free_func(g_free);
    return report;
}

void config_report_free(ConfigReport *report)
{
    if (!report)
        return;
    g_free(report->file);
    g_ptr_array_unref(report->errors);
    g_ptr_array_unref(report->warnings);
    g_free(report);
}

char *config_report_where(const ConfigReport *report, unsigned line)
{
    if (!report->file)
        return g_strdup("online");
    return line ? g_strdup_printf("%s:%u", report->file, line) : g_strdup(report->file);
}

static char *complaint(const ConfigReport *report, unsigned line, const char *group,
                       const char *key, const char *value, const char *text)
{
    g_autofree char *where = config_report_where(report, line);
    GString *out = g_string_new(NULL);
    if (report->file)
        g_string_append_printf(out, "%s: ", where);
    if (group)
        g_string_append_printf(out, "[%s]%s", group, key ? " " : ": ");
    if (key)
        g_string_append_printf(out, value ? "%s=%s: " : "%s: ", key, value);
    g_string_append(out, text);
    return g_string_free(out, FALSE);
}

#define ADD_COMPLAINT(list)                                                              \
    do {                                                                                 \
        va_list args;                                                                    \
        va_start(args, format);                                                          \
        g_autofree char *text = g_strdup_vprintf(format, args);                          \
        va_end(args);                                                                    \
        g_ptr_array_add(report->list, complaint(report, line, group, key, value, text)); \
    } while (0)

void config_report_error(ConfigReport *report, unsigned line, const char *group, const char *key,
                         const char *value, const char *format, ...)
{
    ADD_COMPLAINT(errors);
}

void config_report_warning(ConfigReport *report, unsigned line, const char *group, const char *key,
                           const char *value, const char *format, ...)
{
    ADD_COMPLAINT(warnings);
}

gboolean config_report_has_errors(const ConfigReport *report)
{
    return report->errors->len > 0;
}

gboolean config_report_finish(ConfigReport *report, GError **error)
{
    if (report->errors->len == 0)
        return TRUE;
    g_ptr_array_add(report->errors, NULL);
    g_autofree char *all = g_strjoinv("\n", (char **)report->errors->pdata);
    g_set_error_literal(error, CONFIG_ERROR, 0, all);
    return FALSE;
}

char **config_report_steal_warnings(ConfigReport *report)
{
    g_ptr_array_add(report->warnings, NULL);
    return (char **)g_ptr_array_steal(report->warnings, NULL);
}
