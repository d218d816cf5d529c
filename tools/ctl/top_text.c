/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows as lines of a screen, of a log, and as JSON. */
#include "tools/ctl/top_rows.h"

#include <string.h>

#define NAME_MIN 12

/* What stands behind the name. */
#define COLUMNS       "%-16s %9s %9s %9s %9s %7s %7s %7s %12s"
#define COLUMNS_WIDTH (16 + 4 * 10 + 3 * 8 + 13)

/* The end of a name tells more than its beginning. */
static char *fit_name(const char *name, int width)
{
    int room = MAX(width - COLUMNS_WIDTH - 1, NAME_MIN);
    glong length = g_utf8_strlen(name, -1);
    if (length <= room)
        return g_strdup_printf("%s%*s", name, (int)(room - length), "");
    return g_strconcat("<", g_utf8_offset_to_pointer(name, length - room + 1), NULL);
}

static char *number(double value, int digits)
{
    return value < 0 ? g_strdup("-") : g_strdup_printf("%.*f", digits, value);
}

static char *percent(double value)
{
    return value < 0 ? g_strdup("-") : g_strdup_printf("%.1f%%", 100 * value);
}

char *top_heading(bool of_sessions, int width)
{
    g_autofree char *name = fit_name(of_sessions ? "SESSION" : "LUN", width);
    g_autofree char *columns =
        of_sessions ? g_strdup_printf(COLUMNS, "TRANSPORT", "IOPS", "MB/s", "", "", "WINDOW", "",
                                      "", "COMMANDS")
                    : g_strdup_printf(COLUMNS, "ENGINE", "IOPS", "MB/s", "p50 us", "p99 us",
                                      "QUEUE", "INLINE", "CACHE", "COMMANDS");
    return g_strconcat(name, " ", columns, NULL);
}

char *top_line(const TopRow *row, int width)
{
    g_autofree char *name = row->is_session
                                ? g_strdup_printf("%" G_GUINT64_FORMAT " %s", row->id, row->name)
                                : g_strdup(row->name);
    g_autofree char *fitted = fit_name(name, width);
    g_autofree char *iops = number(row->iops, 0), *mb = number(row->megabytes, 1);
    g_autofree char *p50 = number(row->p50, 1), *p99 = number(row->p99, 1);
    g_autofree char *queue = number(row->queue, row->is_session ? 0 : 1);
    g_autofree char *hits = percent(row->inline_rate), *cache = percent(row->cache_rate);
    g_autofree char *commands = g_strdup_printf("%" G_GUINT64_FORMAT, row->commands);
    bool session = row->is_session;
    g_autofree char *columns =
        g_strdup_printf(COLUMNS, row->detail, iops, mb, session ? "" : p50, session ? "" : p99,
                        queue, session ? "" : hits, session ? "" : cache, commands);
    return g_strconcat(fitted, " ", columns, NULL);
}

char *top_log_line(const TopRow *row)
{
    g_autofree char *iops = number(row->iops, 1), *mb = number(row->megabytes, 3);
    g_autofree char *p50 = number(row->p50, 1), *p99 = number(row->p99, 1);
    g_autofree char *queue = number(row->queue, 2);
    g_autofree char *hits = number(row->inline_rate, 4), *cache = number(row->cache_rate, 4);
    if (row->is_session)
        return g_strdup_printf("session %" G_GUINT64_FORMAT " initiator=%s target=%s transport=%s "
                               "iops=%s mbps=%s window=%.0f commands=%" G_GUINT64_FORMAT,
                               row->id, row->name, row->target, row->detail, iops, mb, row->queue,
                               row->commands);
    g_autofree char *engine = g_strdelimit(g_strdup(row->detail), " ", ',');
    return g_strdup_printf("lun %s engine=%s iops=%s mbps=%s p50_us=%s p99_us=%s queue=%s "
                           "inline=%s cache=%s commands=%" G_GUINT64_FORMAT,
                           row->name, engine, iops, mb, p50, p99, queue, hits, cache,
                           row->commands);
}

static void add_figure(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    if (value < 0)
        json_builder_add_null_value(builder);
    else
        json_builder_add_double_value(builder, value);
}

static void add_text(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, text);
}

static void add_count(JsonBuilder *builder, const char *name, uint64_t count)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)count);
}

void top_add_json(JsonBuilder *builder, const TopRow *row)
{
    json_builder_begin_object(builder);
    if (row->is_session) {
        add_count(builder, "session", row->id);
        add_text(builder, "initiator", row->name);
        add_text(builder, "target", row->target);
        add_text(builder, "transport", row->detail);
    } else {
        add_text(builder, "lun", row->name);
        add_text(builder, "engine", row->detail);
        add_figure(builder, "p50-us", row->p50);
        add_figure(builder, "p99-us", row->p99);
        add_figure(builder, "inline", row->inline_rate);
        add_figure(builder, "cache", row->cache_rate);
    }
    add_figure(builder, row->is_session ? "window" : "queue", row->queue);
    add_figure(builder, "iops", row->iops);
    add_figure(builder, "mbps", row->megabytes);
    add_count(builder, "commands", row->commands);
    json_builder_end_object(builder);
}
