/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GKeyFile for values, ConfigScan for places, ConfigReport for what is wrong with them. */
#include "core/daemon/config_reader.h"

#include "core/daemon/config_text.h"

#include <string.h>

bool config_reader_init(ConfigReader *reader, const char *text, gsize len, ConfigReport *report)
{
    *reader = (ConfigReader){.keys = g_key_file_new(), .report = report};
    reader->scan = config_scan_new(text, len, report);
    if (!config_scan_sound(reader->scan))
        return false;
    g_autoptr(GError) error = NULL;
    if (len == 0 || g_key_file_load_from_data(reader->keys, text, len, G_KEY_FILE_NONE, &error))
        return true;
    config_report_error(report, 0, NULL, NULL, NULL, "%s", error->message);
    return false;
}

void config_reader_clear(ConfigReader *reader)
{
    g_clear_pointer(&reader->keys, g_key_file_unref);
    g_clear_pointer(&reader->scan, config_scan_free);
}

bool config_reader_has(const ConfigReader *reader, const char *group, const char *key)
{
    return g_key_file_has_key(reader->keys, group, key, NULL);
}

typedef void (*ReportFn)(ConfigReport *, unsigned, const char *, const char *, const char *,
                         const char *, ...);

static void report_at(const ConfigReader *reader, ReportFn report, const char *group,
                      const char *key, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_autofree char *value = key ? g_key_file_get_value(reader->keys, group, key, NULL) : NULL;
    report(reader->report, config_scan_line(reader->scan, group, value ? key : NULL), group, key,
           value ? g_strchomp(value) : NULL, "%s", text);
}

void config_reader_complain(const ConfigReader *reader, const char *group, const char *key,
                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report_at(reader, config_report_error, group, key, format, args);
    va_end(args);
}

void config_reader_warn(const ConfigReader *reader, const char *group, const char *key,
                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report_at(reader, config_report_warning, group, key, format, args);
    va_end(args);
}

char *config_reader_where(const ConfigReader *reader, const char *group, const char *key)
{
    return config_report_where(reader->report, config_scan_line(reader->scan, group, key));
}

char *config_reader_string(const ConfigReader *reader, const char *group, const char *key)
{
    if (!config_reader_has(reader, group, key))
        return NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *value = g_key_file_get_string(reader->keys, group, key, &error);
    if (error) {
        config_reader_complain(reader, group, key, "\\ begins one of \\s \\n \\t \\r \\\\");
        return NULL;
    }
    if (*g_strchomp(value) == '\0') {
        config_reader_complain(reader, group, key,
                               "the value is empty; leave the key out for its default");
        return NULL;
    }
    return g_steal_pointer(&value);
}

char **config_reader_list(const ConfigReader *reader, const char *group, const char *key)
{
    g_autofree char *value = config_reader_string(reader, group, key);
    if (!value)
        return NULL;
    g_autoptr(GStrvBuilder) items = g_strv_builder_new();
    g_auto(GStrv) parts = g_strsplit(value, ";", -1);
    for (char **part = parts; *part; part++)
        if (*g_strstrip(*part) != '\0')
            g_strv_builder_add(items, *part);
    g_auto(GStrv) list = g_strv_builder_end(items);
    if (!*list) {
        config_reader_complain(reader, group, key, "the list is empty");
        return NULL;
    }
    return g_steal_pointer(&list);
}

bool config_reader_bool(const ConfigReader *reader, const char *group, const char *key,
                        bool otherwise)
{
    g_autofree char *text = config_reader_string(reader, group, key);
    bool value;
    if (!text)
        return otherwise;
    if (text_to_bool(text, &value))
        return value;
    config_reader_complain(reader, group, key, "must be true or false (or on, off, yes, no)");
    return otherwise;
}

uint64_t config_reader_number(const ConfigReader *reader, const char *group, const char *key,
                              const char *word, uint64_t otherwise, uint64_t min, uint64_t max)
{
    g_autofree char *text = config_reader_string(reader, group, key);
    uint64_t value;
    if (!text || g_strcmp0(text, word) == 0)
        return otherwise;
    if (text_to_number(text, &value) && value >= min && value <= max)
        return value;
    config_reader_complain(reader, group, key,
                           "must be %s%sa number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                           word ? word : "", word ? " or " : "", min, max);
    return otherwise;
}

uint64_t config_reader_size(const ConfigReader *reader, const char *group, const char *key,
                            const char *word, uint64_t otherwise, uint64_t min, uint64_t max)
{
    g_autofree char *text = config_reader_string(reader, group, key);
    uint64_t value;
    if (!text || g_strcmp0(text, word) == 0)
        return otherwise;
    if (text_to_size(text, &value) && value >= min && value <= max)
        return value;
    g_autofree char *least = text_from_size(min), *most = text_from_size(max);
    config_reader_complain(reader, group, key,
                           "must be %s%sa number of bytes from %s to %s, with a suffix K, M, G or "
                           "T or without",
                           word ? word : "", word ? " or " : "", least, most);
    return otherwise;
}

unsigned config_reader_choice(const ConfigReader *reader, const char *group, const char *key,
                              const char *const *words, unsigned otherwise)
{
    g_autofree char *text = config_reader_string(reader, group, key);
    if (!text)
        return otherwise;
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    config_reader_complain(reader, group, key, "must be one of: %s", all);
    return otherwise;
}
