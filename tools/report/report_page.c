/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Puts the report's JSON, the style, the charts' library and its configuration into the page. */
#include "tools/report/report_page.h"

#include <gio/gio.h>
#include <string.h>

#include "tools/report/pages.h"
#include "tools/report/report_json.h"

#define ROOT "/org/rtgt/report/"

/* Inside a script element nothing but "</" and "<!" means something to HTML, and '<' stands only in
 * strings in JSON: so no name, whatever it is, can leave the element. */
static void append_data(GString *page, const Report *report)
{
    g_autofree char *json = report_json(report);

    for (const char *c = json; *c; c++)
        if (*c == '<')
            g_string_append(page, "\\u003c");
        else
            g_string_append_c(page, *c);
}

static bool append_part(GString *page, const Report *report, const char *name, GError **error)
{
    if (strcmp(name, "data") == 0) {
        append_data(page, report);
        return true;
    }
    g_autofree char *path = g_strconcat(ROOT, name, NULL);
    g_autoptr(GBytes) part =
        g_resource_lookup_data(pages_get_resource(), path, G_RESOURCE_LOOKUP_FLAGS_NONE, error);
    if (!part)
        return false;
    gsize size;
    const char *text = g_bytes_get_data(part, &size);
    g_string_append_len(page, text, (gssize)size);
    return true;
}

/* The template's "{{name}}" are replaced, once: what is put in is not looked at. */
bool report_write_page(const Report *report, const char *path, GError **error)
{
    g_autoptr(GString) template = g_string_new(NULL);
    g_autoptr(GString) page = g_string_new(NULL);

    if (!append_part(template, report, "page/page.html", error))
        return false;
    g_auto(GStrv) parts = g_strsplit(template->str, "{{", -1);
    g_string_append(page, parts[0]);
    for (char **part = parts + 1; *part; part++) {
        char *end = strstr(*part, "}}");
        g_assert(end); /* of our own template */
        *end = '\0';
        if (!append_part(page, report, *part, error))
            return false;
        g_string_append(page, end + 2);
    }
    return g_file_set_contents(path, page->str, (gssize)page->len, error);
}
