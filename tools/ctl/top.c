/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgtctl top: a view that renews itself, or lines for a log. */
#include "tools/ctl/commands.h"
#include "tools/ctl/screen.h"
#include "tools/ctl/top_rows.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const Request *request;
    GMainLoop *loop;
    TopRows *rows;
    Screen *screen; /* NULL: batch */
    unsigned interval_ms, count, shown;
    TopOrder order;
    bool reverse, paused, help;
    GError *error;
} Top;

/* --- batch -------------------------------------------------------------------------------------*/

static void print_lines(const Top *top, const char *time)
{
    const GPtrArray *rows = top_rows_all(top->rows);
    for (guint i = 0; i < rows->len; i++) {
        g_autofree char *line = top_log_line(rows->pdata[i]);
        g_print("%s %s\n", time, line);
    }
}

static void print_object(const Top *top, const char *time)
{
    const GPtrArray *rows = top_rows_all(top->rows);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "time");
    json_builder_add_string_value(builder, time);
    json_builder_set_member_name(builder, "rows");
    json_builder_begin_array(builder);
    for (guint i = 0; i < rows->len; i++)
        top_add_json(builder, rows->pdata[i]);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) node = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(node, FALSE);
    g_print("%s\n", text);
}

static void print_batch(const Top *top)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
    if (top->request->json)
        print_object(top, time);
    else
        print_lines(top, time);
    fflush(stdout);
}

/* --- screen ------------------------------------------------------------------------------------*/

static const char help_line[] =
    "q quit  n name  i IOPS  b MB/s  5 p50  9 p99  u queue  r reverse  space pause  h help";

static char *title(const Top *top)
{
    TopRow all;
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%H:%M:%S");
    top_rows_totals(top->rows, &all);
    return g_strdup_printf("rtgt %s  every %g s  %.0f IOPS  %.1f MB/s  queue %.1f  by %s%s%s", time,
                           top->interval_ms / 1000.0, all.iops, all.megabytes, all.queue,
                           top_orders[top->order], top->reverse ? ", reversed" : "",
                           top->paused ? "  PAUSED" : "");
}

static int draw_rows(const Top *top, int at, bool sessions)
{
    const GPtrArray *rows = top_rows_all(top->rows);
    int width = screen_width(top->screen);
    g_autofree char *heading = top_heading(sessions, width);
    screen_line(top->screen, at++, SCREEN_REVERSE, heading);
    for (guint i = 0; i < rows->len; i++) {
        const TopRow *row = rows->pdata[i];
        if (row->is_session != sessions)
            continue;
        g_autofree char *line = top_line(row, width);
        screen_line(top->screen, at++, SCREEN_PLAIN, line);
    }
    return at + 1;
}

static void draw(const Top *top)
{
    g_autofree char *first = title(top);
    screen_begin(top->screen);
    screen_line(top->screen, 0, SCREEN_BOLD, first);
    screen_line(top->screen, 1, SCREEN_PLAIN, top->help ? help_line : "");
    draw_rows(top, draw_rows(top, 2, false), true);
    screen_end(top->screen);
}

static void show(Top *top)
{
    top_rows_sort(top->rows, top->order, top->reverse);
    if (top->screen)
        draw(top);
    else
        print_batch(top);
}

/* --- keys --------------------------------------------------------------------------------------*/

static void choose_order(Top *top, char key)
{
    static const char keys[] = "nib59u"; /* by TopOrder */
    const char *found = strchr(keys, key);
    if (found)
        top->order = (TopOrder)(found - keys);
}

static void handle_key(Top *top, int key)
{
    switch (key) {
    case 'q':
    case 'Q':
    case 27: /* escape */
        g_main_loop_quit(top->loop);
        break;
    case 'r':
        top->reverse = !top->reverse;
        break;
    case ' ':
        top->paused = !top->paused;
        break;
    case 'h':
    case '?':
        top->help = !top->help;
        break;
    default:
        if (key > 0 && key < 128)
            choose_order(top, (char)key);
    }
}

static gboolean keys_ready(int fd, GIOCondition condition, void *arg)
{
    Top *top = arg;
    int key;
    (void)fd;
    while ((key = screen_key(top->screen)))
        handle_key(top, key);
    show(top);
    if (!(condition & (G_IO_HUP | G_IO_ERR)))
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(top->loop); /* the terminal is gone */
    return G_SOURCE_REMOVE;
}

static gboolean size_changed(void *arg)
{
    Top *top = arg;
    screen_fit(top->screen);
    show(top);
    return G_SOURCE_CONTINUE;
}

/* --- the run -----------------------------------------------------------------------------------*/

static gboolean tick(void *arg)
{
    Top *top = arg;
    if (top->paused)
        return G_SOURCE_CONTINUE;
    if (!top_rows_read(top->rows, top->request->client, &top->error)) {
        g_main_loop_quit(top->loop);
        return G_SOURCE_CONTINUE;
    }
    show(top);
    if (++top->shown == top->count)
        g_main_loop_quit(top->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean on_signal(void *arg)
{
    g_main_loop_quit(((Top *)arg)->loop);
    return G_SOURCE_CONTINUE;
}

static void run(Top *top)
{
    guint sources[] = {
        g_unix_signal_add(SIGINT, on_signal, top),
        g_unix_signal_add(SIGTERM, on_signal, top),
        g_unix_signal_add(SIGHUP, on_signal, top),
        g_timeout_add(top->interval_ms, tick, top),
        top->screen ? g_unix_fd_add(STDIN_FILENO, G_IO_IN, keys_ready, top) : 0,
        top->screen ? g_unix_signal_add(SIGWINCH, size_changed, top) : 0,
    };
    if (top_rows_read(top->rows, top->request->client, &top->error)) {
        if (top->screen)
            show(top);
        g_main_loop_run(top->loop);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        if (sources[i] && g_main_context_find_source_by_id(NULL, sources[i]))
            g_source_remove(sources[i]);
}

static bool refuse(GError **error, const char *option, const char *text, const char *what)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s %s: must be %s", option, text,
                what);
    return false;
}

static bool read_options(Top *top, const LineOptions *options, GError **error)
{
    top->interval_ms = 1000;
    top->order = TOP_BY_NAME;
    if (options->interval) {
        double seconds = g_ascii_strtod(options->interval, NULL);
        if (!(seconds >= 0.1 && seconds <= 3600))
            return refuse(error, "--interval", options->interval, "0.1 to 3600 seconds");
        top->interval_ms = (unsigned)(seconds * 1000);
    }
    if (options->count < 0)
        return refuse(error, "--count", "", "a number above 0");
    top->count = (unsigned)options->count;
    for (const char *const *order = top_orders; options->sort; order++) {
        if (!*order)
            return refuse(error, "--sort", options->sort, "name, iops, mb, p50, p99 or queue");
        if (strcmp(*order, options->sort) == 0) {
            top->order = (TopOrder)(order - top_orders);
            break;
        }
    }
    return true;
}

bool command_top(const Request *request, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(TopRows) rows = top_rows_new();
    Top top = {.request = request, .loop = loop, .rows = rows};
    bool batch = request->options->batch || request->json;
    if (!read_options(&top, request->options, error))
        return false;
    client_set_patience(request->client, 5000);
    if (!batch && !(top.screen = screen_new(error)))
        return false;
    run(&top);
    screen_free(top.screen);
    if (top.error)
        g_propagate_error(error, top.error);
    return !top.error;
}
