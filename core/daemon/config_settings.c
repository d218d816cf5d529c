/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Groups that come from an administrator and not from the file: written as one, so that they are
 * read and judged in the same way. */
#include "core/daemon/config_groups.h"
#include "core/daemon/config_text.h"

void config_settings_clear(ConfigSettings *settings)
{
    g_clear_pointer(&settings->keys, g_strfreev);
    g_clear_pointer(&settings->values, g_strfreev);
}

static void write_group(GKeyFile *file, const char *group, const ConfigSettings *settings,
                        ConfigReport *report)
{
    g_key_file_set_value(file, group, "-", "");
    g_key_file_remove_key(file, group, "-", NULL); /* leaves the group, which may stay empty */
    for (unsigned i = 0; settings->keys[i]; i++) {
        if (config_scan_is_key(settings->keys[i]))
            g_key_file_set_string(file, group, settings->keys[i], settings->values[i]);
        else
            config_report_error(report, 0, group, settings->keys[i], settings->values[i],
                                "this is not the name of a key");
    }
}

/* A reader of this one group. */
static bool read_group(const char *group, const ConfigSettings *settings, ConfigReport *report,
                       ConfigReader *reader)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    write_group(file, group, settings, report);
    gsize len;
    g_autofree char *text = g_key_file_to_data(file, &len, NULL);
    return config_reader_init(reader, text, len, report);
}

ConfigLun *config_lun_parse(const char *target, unsigned number, const ConfigSettings *settings,
                            GError **error)
{
    g_autoptr(ConfigReport) report = config_report_new(NULL);
    g_auto(ConfigReader) reader;
    g_autofree char *group = g_strdup_printf("lun %s/%u", target, number);
    g_autoptr(ConfigLun) lun = NULL;
    if (read_group(group, settings, report, &reader))
        lun = config_lun_read(&reader, group);
    return config_report_finish(report, error) ? g_steal_pointer(&lun) : NULL;
}

ConfigTarget *config_target_parse(const char *name, const ConfigSettings *settings,
                                  const Transport *const *transports, GError **error)
{
    const char *complaint = text_name_complaint(name);
    if (complaint) {
        g_set_error(error, CONFIG_ERROR, 0, "%s: %s", name, complaint);
        return NULL;
    }
    g_autoptr(ConfigReport) report = config_report_new(NULL);
    g_auto(ConfigReader) reader;
    g_autofree char *group = g_strdup_printf("target %s", name);
    g_autoptr(ConfigTarget) target = NULL;
    if (read_group(group, settings, report, &reader))
        target = config_target_read(&reader, group, transports);
    return config_report_finish(report, error) ? g_steal_pointer(&target) : NULL;
}
