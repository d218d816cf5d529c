/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Timers of a loop, in a context of their own behind one source: a turn of the loop's context then
 * takes no longer for a thousand sessions with a timer each, none of which is due. On the loop's
 * thread. */
#pragma once

#include <glib.h>

typedef struct {
    GMainContext *inner; /* has the timers */
    GSource *driver;     /* ready when the first of them is due */
} Timers;

/* Driven by `context`, from the thread that runs it. */
void timers_init(Timers *timers, GMainContext *context);
void timers_deinit(Timers *timers);

/* As g_timeout_add(), but the caller owns the reference and destroys the source. */
GSource *timers_start(Timers *timers, unsigned ms, GSourceFunc fn, void *arg);
