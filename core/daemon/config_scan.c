/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One pass over the lines of a keyfile, before GKeyFile sees it. */
#include "core/daemon/config_scan.h"

#include <string.h>

struct ConfigScan {
    GHashTable *lines; /* "group\nkey", or "group" -> line number */
    gboolean sound;
};

/* One pass and where it is. */
typedef struct {
    ConfigScan *scan;
    ConfigReport *report;
    unsigned line;
    char *group; /* NULL before the first header */
} ScanPass;

static char *place(const char *group, const char *key)
{
    return key ? g_strconcat(group, "\n", key, NULL) : g_strdup(group);
}

static void unsound(ScanPass *pass, const char *group, const char *key, const char *what)
{
    pass->scan->sound = FALSE;
    config_report_error(pass->report, pass->line, group, key, NULL, "%s", what);
}

/* Notes the line of a group or key; the second of a name is an error that names the first. */
static void note(ScanPass *pass, const char *group, const char *key)
{
    unsigned first = config_scan_line(pass->scan, group, key);
    if (first) {
        g_autofree char *what = g_strdup_printf("%s a second time, the first is on line %u",
                                                key ? "the key" : "the group", first);
        unsound(pass, group, key, what);
        return;
    }
    g_hash_table_insert(pass->scan->lines, place(group, key), GUINT_TO_POINTER(pass->line));
}

static void scan_header(ScanPass *pass, char *text)
{
    char *end = strchr(text, ']');
    if (!end || end[1] != '\0' || strchr(text + 1, '[')) {
        unsound(pass, NULL, NULL, "a group header must be one [name] alone on its line");
        return;
    }
    *end = '\0';
    g_free(pass->group);
    pass->group = g_strdup(text + 1);
    note(pass, pass->group, NULL);
}

gboolean config_scan_is_key(const char *key)
{
    for (const char *p = key; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr("-_.", *p))
            return FALSE;
    return *key != '\0';
}

static void scan_key(ScanPass *pass, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals) {
        unsound(pass, pass->group, NULL,
                "a line must be [group], key=value, empty, or a comment that starts with #");
        return;
    }
    *equals = '\0';
    const char *key = g_strchomp(text);
    if (!pass->group)
        unsound(pass, NULL, key, "stands before the first [group]");
    else if (!config_scan_is_key(key))
        unsound(pass, pass->group, key, "a key is made of letters, digits, '-', '_' and '.'");
    else
        note(pass, pass->group, key);
}

static void scan_line(ScanPass *pass, char *text)
{
    pass->line++;
    g_strstrip(text);
    if (*text == '\0' || *text == '#')
        return;
    if (!g_utf8_validate(text, -1, NULL))
        unsound(pass, pass->group, NULL, "the line is not UTF-8 text");
    else if (*text == '[')
        scan_header(pass, text);
    else
        scan_key(pass, text);
}

ConfigScan *config_scan_new(const char *text, gsize len, ConfigReport *report)
{
    ConfigScan *scan = g_new0(ConfigScan, 1);
    scan->lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    scan->sound = TRUE;
    ScanPass pass = {.scan = scan, .report = report};

    if (memchr(text, '\0', len)) {
        unsound(&pass, NULL, NULL, "contains a NUL byte: this is no text file");
        return scan;
    }
    g_autofree char *whole = g_strndup(text, len);
    g_auto(GStrv) lines = g_strsplit(whole, "\n", -1);
    for (char **line = lines; *line; line++)
        scan_line(&pass, *line);
    g_free(pass.group);
    return scan;
}

void config_scan_free(ConfigScan *scan)
{
    if (!scan)
        return;
    g_hash_table_unref(scan->lines);
    g_free(scan);
}

gboolean config_scan_sound(const ConfigScan *scan)
{
    return scan->sound;
}

unsigned config_scan_line(const ConfigScan *scan, const char *group, const char *key)
{
    g_autofree char *name = place(group, key);
    return GPOINTER_TO_UINT(g_hash_table_lookup(scan->lines, name));
}
