/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Timers behind one source. */
#include "core/base/timers.h"

typedef struct {
    GSource source;
    GMainContext *inner;
} Driver;

/* Microseconds of the monotonic clock; -1: no timer is left. */
static gint64 next_due(GMainContext *inner)
{
    gint priority, timeout_ms;
    g_main_context_acquire(inner);
    g_main_context_prepare(inner, &priority);
    g_main_context_query(inner, G_MAXINT, &timeout_ms, NULL, 0);
    g_main_context_release(inner);
    return timeout_ms < 0 ? -1 : g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
}

static gboolean run_due(GSource *source, GSourceFunc callback, gpointer arg)
{
    (void)callback, (void)arg;
    GMainContext *inner = g_main_context_ref(((Driver *)source)->inner);
    g_main_context_iteration(inner, FALSE);
    if (!g_source_is_destroyed(source)) /* by a timer that ended the loop */
        g_source_set_ready_time(source, next_due(inner));
    g_main_context_unref(inner);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs driver_funcs = {.dispatch = run_due};

void timers_init(Timers *timers, GMainContext *context)
{
    timers->inner = g_main_context_new();
    timers->driver = g_source_new(&driver_funcs, sizeof(Driver));
    ((Driver *)timers->driver)->inner = timers->inner;
    g_source_set_static_name(timers->driver, "rtgt timers");
    g_source_set_can_recurse(timers->driver, TRUE); /* as the data path's, see loop.c */
    g_source_attach(timers->driver, context);
}

void timers_deinit(Timers *timers)
{
    g_source_destroy(timers->driver);
    g_source_unref(timers->driver);
    g_main_context_unref(timers->inner);
}

GSource *timers_start(Timers *timers, unsigned ms, GSourceFunc fn, void *arg)
{
    gint64 due = g_get_monotonic_time() + ms * G_GINT64_CONSTANT(1000);
    gint64 first = g_source_get_ready_time(timers->driver);
    GSource *timer = g_timeout_source_new(ms);
    g_source_set_callback(timer, fn, arg, NULL);
    g_source_attach(timer, timers->inner);
    if (first < 0 || due < first)
        g_source_set_ready_time(timers->driver, due);
    return timer;
}
