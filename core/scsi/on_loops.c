/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A rendezvous of loop 0 with the I/O loops. */
#include "core/scsi/on_loops.h"

typedef struct {
    GMutex lock;
    GCond all_done;
    unsigned left;
    void (*fn)(Loop *loop, void *arg);
    void *arg;
} Rendezvous;

static void run_here(void *arg)
{
    Rendezvous *r = arg;
    r->fn(loop_self(), r->arg);
    g_mutex_lock(&r->lock);
    if (--r->left == 0)
        g_cond_signal(&r->all_done);
    g_mutex_unlock(&r->lock);
}

void on_loops(Loop *const *loops, unsigned nloops, void (*fn)(Loop *loop, void *arg), void *arg)
{
    Rendezvous r = {.left = nloops, .fn = fn, .arg = arg};
    g_mutex_init(&r.lock);
    g_cond_init(&r.all_done);
    for (unsigned i = 0; i < nloops; i++)
        if (loops[i] != loop_self())
            loop_call(loops[i], run_here, &r);
    for (unsigned i = 0; i < nloops; i++)
        if (loops[i] == loop_self())
            run_here(&r);
    g_mutex_lock(&r.lock);
    while (r.left > 0)
        g_cond_wait(&r.all_done, &r.lock);
    g_mutex_unlock(&r.lock);
    g_cond_clear(&r.all_done);
    g_mutex_clear(&r.lock);
}
